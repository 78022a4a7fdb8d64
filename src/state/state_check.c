/* state_check.c - asserts the numbered promises of state.c.
 *
 * Debug builds do it after every call of the room (WEIR_STATE_CHECK), tests in every build. That a
 * page's hash is that of its ids (I4) is seen only from a table that has all pages before it. I6 is
 * asserted by mem.h. */
#include <string.h>

#include "state/state_internal.h"

static uint32_t count_list(const struct weir_state *state, uint32_t page)
{
    uint32_t count = 0;
    for (; page != WEIR_STATE_NO_PAGE; page = state->pages[page].next)
        count++;
    return count;
}

/* Returns the bytes that it has. */
static uint64_t check_page(const struct weir_state *state, uint32_t page)
{
    const struct weir_page *at = &state->pages[page];
    uint64_t bytes = 0;
    WEIR_ASSERT(at->refs == 0 || !at->is_kept);                                /* I1 */
    WEIR_ASSERT(at->holds <= at->refs);                                        /* I9 */
    WEIR_ASSERT(at->refs > 0 || at->is_kept == at->is_indexed);                /* I1 */
    WEIR_ASSERT(at->refs > 0 || at->is_kept || at->snapshot == WEIR_NO_BLOCK); /* I7 */
    for (uint32_t class = 0; class < state->class_count; class ++) {
        const bool has_memory = (at->populated >> class & 1) != 0;
        bytes += has_memory ? state->classes[class].page_bytes : 0;
        WEIR_ASSERT(at->users[class] <= at->refs);                                     /* I3 */
        WEIR_ASSERT(at->users[class] == 0 || has_memory);                              /* I3 */
        WEIR_ASSERT(state->classes[class].window > 0 || at->users[class] == at->refs); /* I3 */
    }
    if (at->is_indexed)
        WEIR_ASSERT(weir_index_find(state, &at->hash, weir_page_ids(state, page)) == page); /* I4 */
    return bytes;
}

/* The list from the oldest to the newest, and back. */
static void check_kept(const struct weir_state *state)
{
    uint32_t count = 0;
    uint32_t before = WEIR_STATE_NO_PAGE;
    for (uint32_t page = state->kept.oldest; page != WEIR_STATE_NO_PAGE;
         page = weir_order_newer(&state->kept, page)) {
        WEIR_ASSERT(state->pages[page].is_kept && state->pages[page].kept.older == before); /* I5 */
        before = page;
        count++;
    }
    WEIR_ASSERT(state->kept.newest == before && state->kept_count == count); /* I5 */
}

/* Returns the bytes of all. */
static uint64_t check_blocks(const struct weir_state *state)
{
    uint64_t bytes = 0;
    uint32_t free_count = 0;
    uint32_t snapshot_count = 0;
    for (uint32_t block = 0; block < state->block_max; block++)
        bytes += state->block_is_populated[block] != 0 ? state->block_bytes : 0;
    for (uint32_t block = state->free_block; block != WEIR_NO_BLOCK;
         block = state->next_block[block])
        free_count++;
    for (uint32_t page = 0; page < state->page_max; page++)
        snapshot_count += state->pages[page].snapshot != WEIR_NO_BLOCK;
    const uint32_t sequence_count = state->block_bytes > 0 ? state->sequence_count : 0;
    WEIR_ASSERT(snapshot_count == state->snapshot_count); /* I7 */
    WEIR_ASSERT(snapshot_count <= state->snapshot_max);   /* I7 */
    WEIR_ASSERT(free_count + snapshot_count + sequence_count + state->lost_blocks ==
                state->block_max); /* I7 */
    return bytes;
}

void weir_state_check(const weir_state *state)
{
    uint64_t bytes = check_blocks(state);
    uint32_t free_count = 0;
    uint32_t indexed_count = 0;
    uint32_t found_count = 0;
    for (uint32_t page = 0; page < state->page_max; page++) {
        const struct weir_page *at = &state->pages[page];
        bytes += check_page(state, page);
        free_count += at->refs == 0 && !at->is_kept;
        indexed_count += at->is_indexed;
    }
    for (uint32_t bucket = 0; bucket < state->bucket_count; bucket++)
        found_count += count_list(state, state->buckets[bucket]);
    WEIR_ASSERT(bytes == state->populated_bytes);                                   /* I2 */
    WEIR_ASSERT(found_count == indexed_count);                                      /* I4 */
    WEIR_ASSERT(count_list(state, state->ready) == state->ready_count);             /* I1 */
    WEIR_ASSERT(count_list(state, state->bare) + state->ready_count == free_count); /* I1 */
    check_kept(state);
}

void weir_sequence_check(const weir_sequence *sequence)
{
    const struct weir_state *state = sequence->state;
    struct weir_hash hash = {{0, 0}};
    weir_state_check(state);
    WEIR_ASSERT(sequence->length <= state->n_ctx);
    WEIR_ASSERT(sequence->page_count >= weir_page_count(state, sequence->length)); /* I8 */
    WEIR_ASSERT(sequence->page_count <= state->table_length);
    WEIR_ASSERT((sequence->block != WEIR_NO_BLOCK) == (state->block_bytes > 0)); /* I7 */
    for (uint32_t place = 0; place < sequence->page_count; place++) {
        const struct weir_page *at = &state->pages[sequence->pages[place]];
        WEIR_ASSERT(at->refs > 0); /* I1 */
        for (uint32_t class = 0; class < state->class_count; class ++) {
            WEIR_ASSERT(sequence->first_kept[class] <= sequence->page_count);         /* I8 */
            WEIR_ASSERT(place < sequence->first_kept[class] || at->users[class] > 0); /* I8 */
        }
        if (place >= sequence->length / state->page_length)
            continue;
        hash = weir_hash_page(state, &hash, weir_page_ids(state, sequence->pages[place]));
        WEIR_ASSERT(memcmp(&hash, &at->hash, sizeof(hash)) == 0); /* I4 */
    }
}
