/* ranks.c - the merges of a BPE vocabulary: pairs of tokens and which comes first. */
#include <string.h>

#include "base/heap.h"
#include "text/text_parts.h"

struct weir_text_merge_slot {
    uint32_t left, right;
    uint32_t joined;
    uint32_t rank_plus_one; /* 0: empty */
};

static uint32_t hash_pair(uint32_t left, uint32_t right)
{
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return (uint32_t)(hash >> 32);
}

static struct weir_text_merge_slot *find_merge(const struct weir_text_ranks *ranks, uint32_t left,
                                               uint32_t right)
{
    uint32_t index = hash_pair(left, right) & ranks->mask;
    for (;; index = (index + 1) & ranks->mask) {
        struct weir_text_merge_slot *slot = &ranks->slots[index];
        if (slot->rank_plus_one == 0 || (slot->left == left && slot->right == right))
            return slot;
    }
}

/* Merges that name a token which is not in the vocabulary never apply. */
struct useless_merges {
    uint32_t count, first;
};

/* Bytes of the left token of a merge; 0: it has none. */
static size_t measure_left(const struct weir_vocab *vocab, uint32_t rank)
{
    const struct weir_bytes merge = vocab->merges[rank];
    if (vocab->merge_lefts != NULL)
        return vocab->merge_lefts[rank];
    const char *space = merge.length < 3 ? NULL : memchr(merge.start + 1, ' ', merge.length - 2);
    return space == NULL ? 0 : (size_t)(space - merge.start);
}

static enum weir_status add_merge(weir_text *text, uint32_t rank, struct useless_merges *useless,
                                  struct weir_err *err)
{
    const struct weir_bytes merge = text->vocab.merges[rank];
    const size_t left_length = measure_left(&text->vocab, rank);
    if (left_length == 0 || left_length + 2 > merge.length || merge.length > WEIR_PIECE_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "merge %u \"%.*s\": wanted two tokens with a space between", rank,
                         (int)weir_min(merge.length, 80), merge.start);
    const char *space = merge.start + left_length;
    const size_t right_length = merge.length - left_length - 1;
    char *both = text->piece;
    memcpy(both, merge.start, left_length);
    memcpy(both + left_length, space + 1, right_length);
    const uint32_t left = weir_text_map_find(&text->map, merge.start, left_length);
    const uint32_t right = weir_text_map_find(&text->map, space + 1, right_length);
    const uint32_t joined = weir_text_map_find(&text->map, both, left_length + right_length);
    if (left == WEIR_TOKEN_NONE || right == WEIR_TOKEN_NONE || joined == WEIR_TOKEN_NONE) {
        if (useless->count++ == 0)
            useless->first = rank;
        return WEIR_OK;
    }
    struct weir_text_merge_slot *slot = find_merge(&text->ranks, left, right);
    if (slot->rank_plus_one == 0)
        *slot = (struct weir_text_merge_slot){left, right, joined, rank + 1};
    return WEIR_OK;
}

enum weir_status weir_text_ranks_init(weir_text *text, struct weir_warnings *warnings,
                                      struct weir_err *err)
{
    struct weir_text_ranks *ranks = &text->ranks;
    const struct weir_vocab *vocab = &text->vocab;
    struct useless_merges useless = {0};
    uint64_t capacity = 16;
    while (capacity * 2 < (uint64_t)vocab->n_merge * 3)
        capacity *= 2;
    ranks->mask = (uint32_t)(capacity - 1);
    ranks->slots = weir_heap_array(capacity, sizeof(*ranks->slots));
    if (ranks->slots == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "vocabulary: no room for a map of %u merges",
                         vocab->n_merge);
    for (uint32_t rank = 0; rank < vocab->n_merge; rank++)
        WEIR_TRY(add_merge(text, rank, &useless, err));
    if (useless.count == 0)
        return WEIR_OK;
    const struct weir_bytes first = vocab->merges[useless.first];
    weir_warn(warnings,
              "%u of %u merges never apply: the first, %u \"%.*s\", names or makes a token that is "
              "not in the vocabulary",
              useless.count, vocab->n_merge, useless.first, (int)weir_min(first.length, 80),
              first.start);
    return WEIR_OK;
}

void weir_text_ranks_deinit(struct weir_text_ranks *ranks)
{
    weir_heap_free(ranks->slots);
    ranks->slots = NULL;
}

bool weir_text_pair_by_rank(const weir_text *text, uint32_t left, uint32_t right)
{
    struct weir_text_symbol *symbols = text->merger.symbols.at;
    if (symbols[left].id == WEIR_TOKEN_NONE || symbols[right].id == WEIR_TOKEN_NONE)
        return false;
    const struct weir_text_merge_slot *slot =
        find_merge(&text->ranks, symbols[left].id, symbols[right].id);
    if (slot->rank_plus_one == 0)
        return false;
    symbols[left].key = slot->rank_plus_one - 1;
    symbols[left].joined = slot->joined;
    return true;
}
