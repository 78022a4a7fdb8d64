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

/* Give all memory of a page back to the kernel, as far as it takes it. */
static void strip(struct weir_state *state, uint32_t page)
{
    for (uint32_t class = 0; class < state->class_count; class ++)
        discard(state, page, class);
}

/* All memory that it lacks; false when the kernel has not enough: then it has none. */
static bool populate(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const uint64_t bytes = state->classes[class].page_bytes;
        if ((at->populated >> class & 1) != 0)
            continue;
        if (!weir_mem_restore(state->mem, WEIR_MEM_KV, memory_of(state, page, class), bytes)) {
            strip(state, page);
            return false;
        }
        at->populated |= (uint8_t)(1u << class);
        state->populated_bytes += bytes;
    }
    return true;
}

/* ---- kept pages, the oldest first ---------------------------------------------------------- */

static void keep(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    at->is_kept = true;
    weir_order_put_newest(&state->kept, page);
    state->kept_count++;
}

static void unkeep(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    weir_order_take_out(&state->kept, page);
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
    state->snapshot_count--;
}

static void push_ready(struct weir_state *state, uint32_t page)
{
    state->pages[page].next = state->ready;
    state->ready = page;
    state->ready_count++;
}

/* In no table and not indexed: the page is free, ready where it has all its memory. */
static void free_page(struct weir_state *state, uint32_t page)
{
    struct weir_page *at = &state->pages[page];
    drop_snapshot(state, page);
    if (at->populated != all_classes(state))
        strip(state, page);
    if (at->populated == all_classes(state)) {
        push_ready(state, page);
        return;
    }
    at->next = state->bare;
    state->bare = page;
}

/* A kept page is free. */
static void forget(struct weir_state *state, uint32_t page)
{
    unkeep(state, page);
    remove_from_index(state, page);
    free_page(state, page);
    state->stats.forgotten_pages++;
}

static bool forget_oldest(struct weir_state *state)
{
    if (state->kept.oldest == WEIR_STATE_NO_PAGE)
        return false;
    forget(state, state->kept.oldest);
    return true;
}

bool weir_state_forget_oldest(weir_state *state)
{
    const bool was_kept = forget_oldest(state);
    WEIR_STATE_CHECK(state);
    return was_kept;
}

/* Out of the list of free pages that have their memory; there is one. */
static uint32_t pop_ready(struct weir_state *state)
{
    const uint32_t page = state->ready;
    state->ready = state->pages[page].next;
    state->ready_count--;
    return page;
}

enum weir_status weir_state_populate_first(weir_state *state, struct weir_err *err)
{
    const uint32_t count = (uint32_t)weir_min(state->first_pages, state->page_max);
    WEIR_ASSERT(state->populated_bytes == 0 && state->bare == 0);
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const uint64_t bytes = count * state->classes[class].page_bytes;
        if (!weir_mem_restore(state->mem, WEIR_MEM_KV, memory_of(state, 0, class), bytes))
            return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                             "the kernel has no memory for %llu bytes of keys and values",
                             (unsigned long long)bytes);
        state->populated_bytes += bytes;
    }
    state->bare = state->pages[count - 1].next; /* the list is in the pages' order */
    for (uint32_t page = count; page > 0; page--) {
        state->pages[page - 1].populated = all_classes(state);
        push_ready(state, page - 1);
    }
    WEIR_STATE_CHECK(state);
    return WEIR_OK;
}

enum weir_status weir_state_populate(weir_state *state, uint32_t page_count, struct weir_err *err)
{
    while (state->ready_count < page_count) {
        const uint32_t page = state->bare;
        if (page == WEIR_STATE_NO_PAGE) {
            if (!forget_oldest(state))
                return weir_page_refuse(state, err);
            continue; /* it is free now, with its memory or without */
        }
        if (!populate(state, page))
            return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                             "the kernel has no memory for %llu bytes more of keys and values",
                             (unsigned long long)state->page_bytes);
        state->bare = state->pages[page].next;
        push_ready(state, page);
    }
    WEIR_STATE_CHECK(state);
    return WEIR_OK;
}

uint32_t weir_page_take(struct weir_state *state)
{
    while (state->ready == WEIR_STATE_NO_PAGE)
        if (!forget_oldest(state))
            return WEIR_STATE_NO_PAGE;
    const uint32_t page = pop_ready(state);
    struct weir_page *at = &state->pages[page];
    at->refs = 1;
    for (uint32_t class = 0; class < state->class_count; class ++)
        at->users[class] = 1;
    return page;
}

enum weir_status weir_page_refuse(const struct weir_state *state, struct weir_err *err)
{
    struct weir_state_stats stats;
    weir_state_stats_get(state, &stats);
    return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                     "no page is left for keys and values: %u of %u pages of %u positions are in "
                     "use, and no other has memory; end another text first",
                     stats.used_pages, stats.page_max, state->page_length);
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
    /* A page that no table has any more is kept with what it has. */
    if (--at->users[class] == 0 && at->refs > 0)
        discard(state, page, class);
}

void weir_page_let_go(struct weir_state *state, uint32_t page, const uint32_t *first_kept,
                      uint32_t place)
{
    struct weir_page *at = &state->pages[page];
    WEIR_ASSERT(at->refs > 0);
    at->refs--;
    for (uint32_t class = 0; class < state->class_count; class ++)
        if (place >= first_kept[class])
            weir_page_pass(state, page, class);
    if (at->refs > 0)
        return;
    if (at->is_indexed)
        keep(state, page);
    else
        free_page(state, page);
}

uint64_t weir_state_trim(weir_state *state, uint64_t keep_bytes)
{
    const uint64_t begin_bytes = state->populated_bytes;
    while (state->populated_bytes > keep_bytes) {
        const uint64_t before_bytes = state->populated_bytes;
        if (state->ready == WEIR_STATE_NO_PAGE && !forget_oldest(state))
            break;
        if (state->ready != WEIR_STATE_NO_PAGE) {
            const uint32_t page = pop_ready(state);
            strip(state, page);
            free_page(state, page);
        }
        if (state->populated_bytes == before_bytes)
            break; /* the kernel does not take memory: it is locked */
    }
    WEIR_STATE_CHECK(state);
    return begin_bytes - state->populated_bytes;
}

void weir_page_finish(struct weir_state *state, uint32_t page, const struct weir_hash *before)
{
    struct weir_page *at = &state->pages[page];
    const uint32_t *ids = weir_page_ids(state, page);
    at->hash = weir_hash_page(state, before, ids);
    const uint32_t equal = weir_index_find(state, &at->hash, ids);
    if (equal != WEIR_STATE_NO_PAGE && !state->pages[equal].is_kept)
        return; /* keeps I4 */
    /* A kept one may lack what windows let go of, or its snapshot: this one has all. */
    if (equal != WEIR_STATE_NO_PAGE)
        forget(state, equal);
    uint32_t *bucket = bucket_of(state, &at->hash);
    at->is_indexed = true;
    at->next = *bucket;
    *bucket = page;
}

void weir_page_reopen(struct weir_state *state, uint32_t page)
{
    WEIR_ASSERT(state->pages[page].snapshot == WEIR_NO_BLOCK); /* a block is not within a page */
    if (state->pages[page].is_indexed)
        remove_from_index(state, page);
}

/* ---- blocks -------------------------------------------------------------------------------- */

uint8_t *weir_block_memory(const struct weir_state *state, uint32_t block)
{
    return state->block_base + block * state->block_stride_bytes;
}

static void copy_elsewhere(const struct weir_state *state, uint32_t to, uint32_t from)
{
    if (state->copy_block != NULL)
        state->copy_block(state->copy_user, to, from);
}

void weir_block_clear(struct weir_state *state, uint32_t block)
{
    memset(weir_block_memory(state, block), 0, state->block_bytes);
    copy_elsewhere(state, block, WEIR_STATE_NO_PAGE);
}

uint32_t weir_block_take(struct weir_state *state)
{
    const uint32_t block = state->free_block;
    if (block == WEIR_NO_BLOCK)
        return WEIR_NO_BLOCK;
    if (state->block_is_populated[block] != 0) {
        weir_block_clear(state, block);
    } else {
        if (!weir_mem_restore(state->mem, WEIR_MEM_KV, weir_block_memory(state, block),
                              state->block_bytes))
            return WEIR_NO_BLOCK;
        state->block_is_populated[block] = 1;
        state->populated_bytes += state->block_bytes;
        copy_elsewhere(state, block, WEIR_STATE_NO_PAGE);
    }
    state->free_block = state->next_block[block];
    return block;
}

void weir_block_give(struct weir_state *state, uint32_t block)
{
    if (weir_mem_discard(state->mem, WEIR_MEM_KV, weir_block_memory(state, block),
                         state->block_bytes)) {
        state->block_is_populated[block] = 0;
        state->populated_bytes -= state->block_bytes;
    }
    state->next_block[block] = state->free_block;
    state->free_block = block;
}

void weir_block_copy(struct weir_state *state, uint32_t to, uint32_t from)
{
    memcpy(weir_block_memory(state, to), weir_block_memory(state, from), state->block_bytes);
    copy_elsewhere(state, to, from);
}

bool weir_block_forget_oldest(struct weir_state *state)
{
    uint32_t page = state->kept.oldest;
    while (page != WEIR_STATE_NO_PAGE && state->pages[page].snapshot == WEIR_NO_BLOCK)
        page = weir_order_newer(&state->kept, page);
    if (page == WEIR_STATE_NO_PAGE)
        return false;
    drop_snapshot(state, page);
    return true;
}

/* The same of the first of these pages that has one. */
static bool drop_first_snapshot(struct weir_state *state, const uint32_t *pages, uint32_t count)
{
    for (uint32_t place = 0; place < count; place++)
        if (state->pages[pages[place]].snapshot != WEIR_NO_BLOCK &&
            state->pages[pages[place]].holds == 0) {
            drop_snapshot(state, pages[place]);
            return true;
        }
    return false;
}

void weir_page_snapshot(struct weir_state *state, uint32_t page, uint32_t block,
                        const uint32_t *before, uint32_t before_count)
{
    WEIR_ASSERT(state->pages[page].snapshot == WEIR_NO_BLOCK);
    if (state->snapshot_max == 0 ||
        (state->snapshot_count == state->snapshot_max && !weir_block_forget_oldest(state) &&
         !drop_first_snapshot(state, before, before_count)))
        return;
    const uint32_t snapshot = weir_block_take(state);
    if (snapshot == WEIR_NO_BLOCK)
        return;
    weir_block_copy(state, snapshot, block);
    state->pages[page].snapshot = snapshot;
    state->snapshot_count++;
}
