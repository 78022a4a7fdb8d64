/* byte_level.c - GPT-2's byte-level BPE: every byte is a letter of an alphabet of 256. */
#include <string.h>

#include "base/heap.h"
#include "text/text_parts.h"

struct weir_text_merge_slot {
    uint32_t left, right;
    uint32_t joined;
    uint32_t rank_plus_one; /* 0: empty */
};

/* GPT-2's alphabet: printable Latin-1 bytes stand for themselves, the others for U+0100 upwards in
 * their order. */
static void build_alphabet(struct weir_text_byte_level *level)
{
    memset(level->decoded, 0xff, sizeof(level->decoded));
    uint32_t next_other = 0x100;
    for (uint32_t byte = 0; byte < 256; byte++) {
        const bool is_itself =
            (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
        const uint32_t character = is_itself ? byte : next_other++;
        char encoded[4];
        level->encoded_length[byte] = (uint8_t)weir_utf8_encode(character, encoded);
        memcpy(level->encoded[byte], encoded, level->encoded_length[byte]);
        level->decoded[character] = (int16_t)byte;
    }
}

static uint32_t hash_pair(uint32_t left, uint32_t right)
{
    uint64_t hash = ((uint64_t)left << 32 | right) * 0x9e3779b97f4a7c15u;
    hash ^= hash >> 32;
    hash *= 0xd6e8feb86659fd93u;
    return (uint32_t)(hash >> 32);
}

static struct weir_text_merge_slot *find_merge(const struct weir_text_byte_level *level,
                                               uint32_t left, uint32_t right)
{
    uint32_t index = hash_pair(left, right) & level->merge_mask;
    for (;; index = (index + 1) & level->merge_mask) {
        struct weir_text_merge_slot *slot = &level->merges[index];
        if (slot->rank_plus_one == 0 || (slot->left == left && slot->right == right))
            return slot;
    }
}

/* Merges that name a token which is not in the vocabulary never apply. */
struct useless_merges {
    uint32_t count, first;
};

static enum weir_status add_merge(weir_text *text, uint32_t rank, struct useless_merges *useless,
                                  struct weir_err *err)
{
    const struct weir_bytes merge = text->vocab.merges[rank];
    const char *space = merge.length < 3 ? NULL : memchr(merge.start + 1, ' ', merge.length - 2);
    if (space == NULL || merge.length > WEIR_PIECE_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "merge %u \"%.*s\": wanted two tokens with a space between", rank,
                         (int)weir_min(merge.length, 80), merge.start);
    const size_t left_length = (size_t)(space - merge.start);
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
    struct weir_text_merge_slot *slot = find_merge(&text->level, left, right);
    if (slot->rank_plus_one == 0)
        *slot = (struct weir_text_merge_slot){left, right, joined, rank + 1};
    return WEIR_OK;
}

static enum weir_status add_merges(weir_text *text, struct weir_warnings *warnings,
                                   struct weir_err *err)
{
    struct weir_text_byte_level *level = &text->level;
    const struct weir_vocab *vocab = &text->vocab;
    struct useless_merges useless = {0};
    uint64_t capacity = 16;
    while (capacity * 2 < (uint64_t)vocab->n_merge * 3)
        capacity *= 2;
    level->merge_mask = (uint32_t)(capacity - 1);
    level->merges = weir_heap_array(capacity, sizeof(*level->merges));
    if (level->merges == NULL)
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

/* A normal token of more than one byte, which only a merge can make; WEIR_TOKEN_NONE: there is
 * none. */
static uint32_t find_merged(const weir_text *text)
{
    for (uint32_t id = 0; id < text->vocab.n_vocab; id++)
        if (weir_text_type(text, id) == WEIR_TOKEN_NORMAL &&
            weir_text_byte_level_decode(&text->level, text->vocab.tokens[id], NULL) > 1)
            return id;
    return WEIR_TOKEN_NONE;
}

enum weir_status weir_text_byte_level_init(weir_text *text, struct weir_warnings *warnings,
                                           struct weir_err *err)
{
    struct weir_text_byte_level *level = &text->level;
    build_alphabet(level);
    WEIR_TRY(weir_text_splitter_create(&level->splitter, text->vocab.pre, err));
    for (uint32_t byte = 0; byte < 256; byte++)
        text->byte_ids[byte] =
            weir_text_map_find(&text->map, level->encoded[byte], level->encoded_length[byte]);
    const uint32_t merged = text->vocab.n_merge == 0 ? find_merged(text) : WEIR_TOKEN_NONE;
    if (merged != WEIR_TOKEN_NONE)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "key tokenizer.ggml.merges: wanted the merges of this vocabulary, found "
                         "none (token %u has more than one byte)",
                         merged);
    return add_merges(text, warnings, err);
}

void weir_text_byte_level_deinit(struct weir_text_byte_level *level)
{
    weir_text_splitter_destroy(&level->splitter);
    weir_heap_free(level->merges);
}

static bool pair_by_rank(const weir_text *text, uint32_t left, uint32_t right)
{
    struct weir_text_symbol *symbols = text->merger.symbols.at;
    const struct weir_text_merge_slot *slot =
        find_merge(&text->level, symbols[left].id, symbols[right].id);
    if (slot->rank_plus_one == 0)
        return false;
    symbols[left].key = slot->rank_plus_one - 1;
    symbols[left].joined = slot->joined;
    return true;
}

/* Never a special token: those are found before a text is split, or not wanted. */
uint32_t weir_text_byte_level_whole(weir_text *text, const char *bytes, size_t length)
{
    if (!weir_text_splitter_whole_first(text->level.splitter) || length > text->map.longest)
        return WEIR_TOKEN_NONE;
    size_t filled = 0;
    for (size_t index = 0; index < length; index++) {
        const uint8_t byte = (uint8_t)bytes[index];
        if (filled + 2 > sizeof(text->piece))
            return WEIR_TOKEN_NONE;
        memcpy(text->piece + filled, text->level.encoded[byte], text->level.encoded_length[byte]);
        filled += text->level.encoded_length[byte];
    }
    const uint32_t id = weir_text_map_find(&text->map, text->piece, filled);
    if (id == WEIR_TOKEN_NONE || weir_text_type(text, id) != WEIR_TOKEN_NORMAL)
        return WEIR_TOKEN_NONE;
    return id;
}

enum weir_status weir_text_byte_level_merge(weir_text *text, const char *bytes, size_t length,
                                            struct weir_err *err)
{
    WEIR_TRY(weir_text_array_reserve(&text->merger.symbols, length, sizeof(struct weir_text_symbol),
                                     err));
    struct weir_text_symbol *symbols = text->merger.symbols.at;
    text->merger.bytes = bytes;
    text->merger.length = length;
    for (size_t index = 0; index < length; index++) {
        const uint8_t byte = (uint8_t)bytes[index];
        uint32_t id = text->byte_ids[byte];
        if (id == WEIR_TOKEN_NONE)
            id = text->vocab.unk_id;
        if (id == WEIR_TOKEN_NONE)
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "byte 0x%02x of the text: the vocabulary has no token for it, and "
                             "no unknown token",
                             byte);
        symbols[index].id = id;
        symbols[index].previous = index == 0 ? WEIR_TOKEN_NONE : (uint32_t)index - 1;
        symbols[index].next = index + 1 == length ? WEIR_TOKEN_NONE : (uint32_t)index + 1;
    }
    return length > 1 ? weir_text_merger_run(text, pair_by_rank, err) : WEIR_OK;
}

/* Valid UTF-8, normalised where the family wants it and cut into pieces. */
static enum weir_status feed_valid(struct weir_text_plain *plain, const char *bytes, size_t length,
                                   bool ends, struct weir_err *err)
{
    struct weir_bytes part = {bytes, length};
    if (weir_text_splitter_wants_nfc(plain->text->level.splitter))
        WEIR_TRY(weir_text_nfc_feed(&plain->nfc, bytes, length, ends, &part, err));
    plain->in_text = !ends;
    return weir_text_split_feed(plain->split, part.start, part.length, ends, err);
}

/* A run of bytes that are no UTF-8 is a piece. */
static enum weir_status feed_raw(struct weir_text_plain *plain, const char *bytes, size_t length,
                                 bool ends, struct weir_err *err)
{
    plain->in_raw = !ends;
    return weir_text_pieces_feed(&plain->pieces, bytes, length, ends, err);
}

enum weir_status weir_text_byte_level_feed(struct weir_text_plain *plain, const char *bytes,
                                           size_t length, bool ends, struct weir_err *err)
{
    for (size_t offset = 0; offset < length;) {
        const size_t valid = weir_utf8_valid(bytes + offset, length - offset);
        if (valid > 0) {
            if (plain->in_raw)
                WEIR_TRY(feed_raw(plain, NULL, 0, true, err));
            const bool is_last = ends && offset + valid == length;
            WEIR_TRY(feed_valid(plain, bytes + offset, valid, is_last, err));
        }
        offset += valid;
        size_t raw = 0;
        while (offset + raw < length &&
               weir_utf8_char(bytes + offset + raw, length - offset - raw) == 0)
            raw++;
        if (raw > 0) {
            if (plain->in_text)
                WEIR_TRY(feed_valid(plain, NULL, 0, true, err));
            WEIR_TRY(feed_raw(plain, bytes + offset, raw, false, err));
        }
        offset += raw;
    }
    if (ends && plain->in_text)
        WEIR_TRY(feed_valid(plain, NULL, 0, true, err));
    if (ends && plain->in_raw)
        WEIR_TRY(feed_raw(plain, NULL, 0, true, err));
    return WEIR_OK;
}

size_t weir_text_byte_level_decode(const struct weir_text_byte_level *level,
                                   struct weir_bytes token, char *out)
{
    size_t filled = 0;
    for (size_t offset = 0; offset < token.length;) {
        const size_t step = weir_utf8_char(token.start + offset, token.length - offset);
        const uint32_t character = step == 0 ? UINT32_MAX : weir_utf8_decode(token.start + offset);
        if (character >= WEIR_COUNT(level->decoded) || level->decoded[character] < 0) {
            /* Not written in the alphabet: an added token, which stands for its own bytes. */
            if (out != NULL)
                memcpy(out, token.start, token.length);
            return token.length;
        }
        if (out != NULL)
            out[filled] = (char)level->decoded[character];
        filled++;
        offset += step;
    }
    return filled;
}
