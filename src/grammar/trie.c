/* trie.c - the bytes of a vocabulary's tokens as one tree. */
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "grammar/grammar.h"

struct entry {
    const char *bytes;
    uint32_t id;
    uint16_t length;
};

static int compare_entries(const void *left, const void *right)
{
    const struct entry *a = left;
    const struct entry *b = right;
    const int order = memcmp(a->bytes, b->bytes, weir_min(a->length, b->length));
    if (order != 0)
        return order;
    if (a->length != b->length)
        return a->length < b->length ? -1 : 1;
    return a->id < b->id ? -1 : a->id > b->id;
}

static uint16_t common_length(const struct entry *left, const struct entry *right)
{
    uint16_t length = 0;
    while (length < left->length && length < right->length &&
           left->bytes[length] == right->bytes[length])
        length++;
    return length;
}

/* Nodes that sorted entries need: those of their bytes that the one before does not begin with. */
static uint64_t count_nodes(const struct entry *entries, uint32_t count)
{
    uint64_t nodes = 0;
    for (uint32_t at = 0; at < count; at++)
        nodes +=
            entries[at].length - (at == 0 ? 0u : common_length(&entries[at], &entries[at - 1]));
    return nodes;
}

/* An open node is skipped to where the next one of its depth, or of a lesser one, begins. */
static void fill(struct weir_trie *trie, const struct entry *entries, uint32_t count,
                 uint32_t *open)
{
    uint32_t depth = 0, filled = 0;
    for (uint32_t at = 0; at < count; at++) {
        const struct entry *entry = &entries[at];
        const uint16_t shared = at == 0 ? 0 : common_length(entry, &entries[at - 1]);
        while (depth > shared)
            trie->nodes[open[--depth]].skip = filled;
        for (; depth < entry->length; depth++) {
            open[depth] = filled;
            trie->nodes[filled++] = (struct weir_trie_node){
                .first_id = at, .depth = (uint16_t)depth, .byte = (uint8_t)entry->bytes[depth]};
        }
        /* Those that only lead here have no ids of their own: theirs end where this one's begin. */
        trie->ids[at] = entry->id;
    }
    while (depth > 0)
        trie->nodes[open[--depth]].skip = filled;
    trie->nodes[filled] = (struct weir_trie_node){.skip = filled, .first_id = count};
}

static enum weir_status alloc(struct weir_trie *trie, uint64_t nodes, struct weir_err *err)
{
    trie->node_count = (uint32_t)nodes;
    trie->nodes = weir_heap_array(nodes + 1, sizeof(*trie->nodes));
    trie->ids = weir_heap_array(trie->id_count, sizeof(*trie->ids));
    if (trie->nodes == NULL || trie->ids == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the bytes of %u tokens",
                         trie->id_count);
    return WEIR_OK;
}

static uint32_t sort_entries(struct entry *entries, const struct weir_trie_token *tokens,
                             struct weir_trie *trie)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < trie->n_vocab; id++) {
        if (tokens[id].is_end)
            trie->end_ids[trie->end_count++] = id;
        else if (tokens[id].length > 0 && tokens[id].length <= WEIR_GRAMMAR_TOKEN_MAX)
            entries[count++] = (struct entry){tokens[id].bytes, id, tokens[id].length};
    }
    qsort(entries, count, sizeof(*entries), compare_entries);
    return count;
}

static uint32_t count_ends(const struct weir_trie_token *tokens, uint32_t n_vocab)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < n_vocab; id++)
        count += tokens[id].is_end;
    return count;
}

enum weir_status weir_trie_create(struct weir_trie **out, const struct weir_trie_token *tokens,
                                  uint32_t n_vocab, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    uint32_t *open = weir_heap_array(WEIR_GRAMMAR_TOKEN_MAX, sizeof(*open));
    struct entry *entries = weir_heap_array(n_vocab, sizeof(*entries));
    struct weir_trie *trie = weir_heap_alloc(sizeof(*trie));
    if (trie != NULL) {
        trie->n_vocab = n_vocab;
        trie->end_ids = weir_heap_array(count_ends(tokens, n_vocab), sizeof(*trie->end_ids));
    }
    if (open == NULL || entries == NULL || trie == NULL || trie->end_ids == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the bytes of %u tokens", n_vocab);
        goto fail;
    }
    trie->id_count = sort_entries(entries, tokens, trie);
    WEIR_TRY_GOTO(alloc(trie, count_nodes(entries, trie->id_count), err));
    fill(trie, entries, trie->id_count, open);
    *out = trie;
    trie = NULL;
fail:
    weir_heap_free(open);
    weir_heap_free(entries);
    weir_trie_destroy(&trie);
    return status;
}

void weir_trie_destroy(struct weir_trie **trie)
{
    if (trie == NULL || *trie == NULL)
        return;
    weir_heap_free((*trie)->nodes);
    weir_heap_free((*trie)->ids);
    weir_heap_free((*trie)->end_ids);
    weir_heap_free(*trie);
    *trie = NULL;
}
