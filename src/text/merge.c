/* merge.c - merges neighbours in the order of their keys. */
#include "text/text_parts.h"

static void push_entry(struct weir_text_merger *merger, uint64_t entry)
{
    uint64_t *heap = merger->heap.at;
    size_t at = merger->heap_count++;
    while (at > 0) {
        const size_t parent = (at - 1) / 2;
        if (heap[parent] <= entry)
            break;
        heap[at] = heap[parent];
        at = parent;
    }
    heap[at] = entry;
}

static uint64_t pop_entry(struct weir_text_merger *merger)
{
    uint64_t *heap = merger->heap.at;
    const uint64_t top = heap[0];
    const size_t count = --merger->heap_count;
    if (count == 0)
        return top;
    const uint64_t entry = heap[count];
    size_t at = 0;
    for (;;) {
        size_t child = at * 2 + 1;
        if (child >= count)
            break;
        if (child + 1 < count && heap[child + 1] < heap[child])
            child++;
        if (heap[child] >= entry)
            break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = entry;
    return top;
}

/* Look at the pair that begins with left, and queue it when it can be merged. */
static void offer_pair(weir_text *text, weir_text_pair_fn *pair, uint32_t left)
{
    struct weir_text_symbol *symbols = text->merger.symbols.at;
    symbols[left].key = UINT32_MAX;
    if (symbols[left].next != WEIR_TOKEN_NONE && pair(text, left, symbols[left].next))
        push_entry(&text->merger, (uint64_t)symbols[left].key << 32 | left);
}

enum weir_status weir_text_merger_run(weir_text *text, weir_text_pair_fn *pair,
                                      struct weir_err *err)
{
    struct weir_text_merger *merger = &text->merger;
    struct weir_text_symbol *symbols = merger->symbols.at;

    size_t symbol_count = 0;
    for (uint32_t at = 0; at != WEIR_TOKEN_NONE; at = symbols[at].next)
        symbol_count++;
    /* One entry a pair at first; each merge takes one out and brings at most two. */
    WEIR_TRY(weir_text_array_reserve(&merger->heap, symbol_count * 2, sizeof(uint64_t), err));
    merger->heap_count = 0;
    for (uint32_t at = 0; at != WEIR_TOKEN_NONE; at = symbols[at].next)
        offer_pair(text, pair, at);

    while (merger->heap_count > 0) {
        const uint64_t entry = pop_entry(merger);
        const uint32_t left = (uint32_t)entry;
        if (symbols[left].key != (uint32_t)(entry >> 32))
            continue;
        const uint32_t right = symbols[left].next;
        symbols[right].key = UINT32_MAX;
        symbols[left].id = symbols[left].joined;
        symbols[left].next = symbols[right].next;
        if (symbols[left].next != WEIR_TOKEN_NONE)
            symbols[symbols[left].next].previous = left;
        offer_pair(text, pair, left);
        if (symbols[left].previous != WEIR_TOKEN_NONE)
            offer_pair(text, pair, symbols[left].previous);
    }
    return WEIR_OK;
}
