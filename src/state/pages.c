/* pages.c - a page from free to used to kept, the index of full pages, and blocks. */
#include <string.h>

#include "state/state_internal.h"

static uint8_t all_classes(const struct weir_state *state)
{
    return (uint8_t)((1u << state->class_count) - 1);
}

static uint8_t *memory_of(const struct weir_state *state, uint32_t page, uint32_t class)
{
    return state->classes[class].base + page * state->classes[class].stride_bytes;
}

bool weir_page_populate(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const uint64_t bytes = state->classes[class].page_bytes;
        if ((at->populated >> class & 1) != 0)
            continue;
        if (!weir_mem_restore(state->mem, WEIR_MEM_KV, memory_of(state, page, class), bytes))
            return false;
        at->populated |= (uint8_t)(1u << class);
        state->populated_bytes += bytes;
    }
    return true;
}

/* A class's memory of a page goes back to the kernel; where it does not take it, it stays. */
static void discard(struct weir_state *state, uint32_t page, uint32_t class)
{
    struct weir_page *at = &state->pages[page];
    const uint64_t bytes = state->classes[class].page_bytes;
    if ((at->populated >> class & 1) == 0 ||
        !weir_mem_discard(state->mem, WEIR_MEM_KV, memory_of(state, page, class), bytes))
        return;
    at->populated &= (uint8_t) ~(1u << class);
    state->populated_bytes -= bytes;
}

/* ---- kept pages, the oldest first ---------------------------------------------------------- */

static void keep(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    at->is_kept = true;
    at->older = state->newest;
    at->newer = WEIR_STATE_NO_PAGE;
    if (state->newest == WEIR_STATE_NO_PAGE)
        state->oldest = page;
    else
        state->pages[state->newest].newer = page;
    state->newest = page;
    state->kept_count++;
}

static void unkeep(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    if (at->older == WEIR_STATE_NO_PAGE)
        state->oldest = at->newer;
    else
        state->pages[at->older].newer = at->newer;
    if (at->newer == WEIR_STATE_NO_PAGE)
        state->newest = at->older;
    else
        state->pages[at->newer].older = at->older;
    at->is_kept = false;
    state->kept_count--;
}

/* ---- the index ----------------------------------------------------------------------------- */

static uint32_t *bucket_of(const struct weir_state *state, const struct weir_hash *hash)
{
    return &state->buckets[hash->word[0] & (state->bucket_count - 1)];
}

uint32_t weir_index_find(const struct weir_state *state, const struct weir_hash *hash,
                         const uint32_t *ids)
{
    const size_t bytes = state->page_length * sizeof(*ids);
    for (uint32_t page = *bucket_of(state, hash); page != WEIR_STATE_NO_PAGE;
         page = state->pages[page].next)
        if (memcmp(&state->pages[page].hash, hash, sizeof(*hash)) == 0 &&
            memcmp(weir_page_ids(state, page), ids, bytes) == 0)
            return page;
    return WEIR_STATE_NO_PAGE;
}

void weir_index_put(struct weir_state *state, uint32_t page, const struct weir_hash *hash)
{
    struct weir_page *at = &state->pages[page];
    uint32_t *bucket = bucket_of(state, hash);
    at->hash = *hash;
    at->is_indexed = true;
    at->next = *bucket;
    *bucket = page;
}

static void remove_from_index(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    uint32_t *place = bucket_of(state, &at->hash);
    while (*place != page)
        place = &state->pages[*place].next;
    *place = at->next;
    at->is_indexed = false;
}

/* ---- from free to used and back ------------------------------------------------------------ */

static void drop_snapshot(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    if (at->snapshot == WEIR_NO_BLOCK)
        return;
    weir_block_give(state, at->snapshot);
    at->snapshot = WEIR_NO_BLOCK;
    state->snapshot_left++;
}

/* Give all memory of a page back to the kernel; false when some of it stays. */
static bool strip(struct weir_state *state, uint32_t page)
{
    for (uint32_t class = 0; class < state->class_count; class ++)
        discard(state, page, class);
    return state->pages[page].populated == 0;
}

/* In no table and not indexed: the page is free, ready where it has all its memory. */
static void free_page(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    drop_snapshot(state, page);
    if (at->populated != all_classes(state))
        strip(state, page);
    const bool is_ready = at->populated == all_classes(state);
    uint32_t *list = is_ready ? &state->ready : &state->bare;
    at->next = *list;
    *list = page;
    state->ready_count += is_ready;
}

bool weir_state_forget_oldest(weir_state *state)
{
    const uint32_t page = state->oldest;
    if (page == WEIR_STATE_NO_PAGE)
        return false;
    unkeep(state, page);
    remove_from_index(state, page);
    free_page(state, page);
    state->stats.forgotten_pages++;
    return true;
}

uint32_t weir_page_take(struct weir_state *state)
{
    while (state->ready == WEIR_STATE_NO_PAGE)
        if (!weir_state_forget_oldest(state))
            return WEIR_STATE_NO_PAGE;
    const uint32_t page = state->ready;
    struct weir_page *at = &state->pages[page];
    state->ready = at->next;
    state->ready_count--;
    at->refs = 1;
    for (uint32_t class = 0; class < state->class_count; class ++)
        at->users[class] = 1;
    return page;
}

void weir_page_share(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    if (at->is_kept)
        unkeep(state, page);
    at->refs++;
    for (uint32_t class = 0; class < state->class_count; class ++)
        at->users[class]++;
}

void weir_page_pass(struct weir_state *state, uint32_t page, uint32_t class)
{
    struct weir_page *at = &state->pages[page];
    WEIR_ASSERT(at->users[class] > 0);
    if (--at->users[class] == 0)
        discard(state, page, class);
}

void weir_page_let_go(struct weir_state *state, uint32_t page, const uint32_t *first_kept,
                      uint32_t place)
{
    struct weir_page *at = &state->pages[page];
    WEIR_ASSERT(at->refs > 0);
    for (uint32_t class = 0; class < state->class_count; class ++)
        at->users[class] -= place >= first_kept[class];
    if (--at->refs > 0)
        return;
    if (at->is_indexed)
        keep(state, page);
    else
        free_page(state, page);
}

uint64_t weir_state_trim(weir_state *state, uint64_t keep_bytes)
{
    const uint64_t before_bytes = state->populated_bytes;
    while (state->populated_bytes > keep_bytes) {
        if (state->ready == WEIR_STATE_NO_PAGE) {
            if (!weir_state_forget_oldest(state))
                break;
            continue; /* it is ready now, or has gone with its memory */
        }
        const uint32_t page = state->ready;
        state->ready = state->pages[page].next;
        state->ready_count--;
        const bool has_gone = strip(state, page);
        free_page(state, page);
        if (!has_gone)
            break; /* the kernel does not take memory: it is locked */
    }
    return before_bytes - state->populated_bytes;
}

void weir_page_reopen(struct weir_state *state, uint32_t page)
{
    if (!state->pages[page].is_indexed)
        return;
    remove_from_index(state, page);
    drop_snapshot(state, page);
}

/* ---- blocks -------------------------------------------------------------------------------- */

static uint8_t *block_at(const struct weir_state *state, uint32_t block)
{
    return state->block_base + block * state->block_stride_bytes;
}

uint32_t weir_block_take(struct weir_state *state)
{
    const uint32_t block = state->free_block;
    if (block == WEIR_NO_BLOCK)
        return WEIR_NO_BLOCK;
    if (state->block_is_populated[block] == 0) {
        if (!weir_mem_restore(state->mem, WEIR_MEM_KV, block_at(state, block), state->block_bytes))
            return WEIR_NO_BLOCK;
        state->block_is_populated[block] = 1;
        state->populated_bytes += state->block_bytes;
    }
    state->free_block = state->next_block[block];
    memset(block_at(state, block), 0, state->block_bytes);
    return block;
}

void weir_block_give(struct weir_state *state, uint32_t block)
{
    if (weir_mem_discard(state->mem, WEIR_MEM_KV, block_at(state, block), state->block_bytes)) {
        state->block_is_populated[block] = 0;
        state->populated_bytes -= state->block_bytes;
    }
    state->next_block[block] = state->free_block;
    state->free_block = block;
}

void weir_block_copy(struct weir_state *state, uint32_t to, uint32_t from)
{
    memcpy(block_at(state, to), block_at(state, from), state->block_bytes);
}
