/* state.c - layout, create, destroy, and the memory that pages have.
 *
 * I1  A page is free (in one of two lists), in the tables of `refs` sequences, or kept: full,
 *     indexed and in no table.
 * I2  populated_bytes is the sum over pages of the classes in their populated mask, and of blocks.
 * I3  A page in a table has memory in every class whose window still reaches it from some table.
 * I4  An indexed page is full, and its ids and its hash agree; no two indexed pages are equal.
 * I5  The list of kept pages is in the order in which they were let go.
 * I6  create asks mem for the same things in the same order, planning or opening: layout(). */
#include <string.h>

#include "base/heap.h"
#include "state/state_internal.h"

enum {
    TABLE_ALIGN = 64,
    PAGE_BYTES = 4096,
    HUGE_BYTES = 2 << 20,
    STATE_PAGE_BYTES_MIN = 1 << 20,
    STATE_PAGE_BYTES_MAX = 4 << 20,
    CONTEXT_PAGES = 32, /* of a long context; a short one has fewer pages, of 1 MiB at least */
    CONTEXTS = 8,       /* addresses for as many whole contexts ... */
    PAGES_LEAST = 256,  /* ... or for as many pages at least */
    BLOCKS = 1024,      /* addresses for so many sequences with a recurrence */
};

/* Bytes of a position in all paged layers. */
static uint64_t position_bytes(const struct weir_state_config *config)
{
    uint64_t bytes = 0;
    for (uint32_t layer = 0; layer < config->layer_count; layer++)
        if (config->layers[layer].kind == WEIR_STATE_POSITIONS ||
            config->layers[layer].kind == WEIR_STATE_WINDOW)
            bytes += config->layers[layer].bytes;
    return bytes;
}

static uint32_t power_of_two_above(uint64_t least)
{
    uint32_t power = 1;
    while (power < least)
        power *= 2;
    return power;
}

uint32_t weir_state_page_length(const struct weir_state_config *config)
{
#ifdef WEIR_HOSTILE
    (void)config;
    return 8;
#else
    const uint64_t each = weir_max(position_bytes(config), sizeof(uint32_t));
    const uint64_t goal =
        weir_min(weir_max(each * config->n_ctx / CONTEXT_PAGES, (uint64_t)STATE_PAGE_BYTES_MIN),
                 (uint64_t)STATE_PAGE_BYTES_MAX);
    uint32_t length = WEIR_STATE_PAGE_LENGTH_MIN;
    while (length < config->n_ctx &&
           (length * each < STATE_PAGE_BYTES_MIN || 2 * length * each <= goal))
        length *= 2;
    return length;
#endif
}

/* The class that a layer belongs to; CLASS_MAX when there are too many. */
static uint32_t find_class(struct weir_state *state, const struct weir_state_layer *layer)
{
    const uint32_t window = layer->kind == WEIR_STATE_WINDOW ? layer->window : 0;
    for (uint32_t class = 0; class < state->class_count; class ++)
        if (state->classes[class].window == window)
            return class;
    if (state->class_count < WEIR_STATE_CLASS_MAX)
        state->classes[state->class_count].window = window;
    return state->class_count < WEIR_STATE_CLASS_MAX ? state->class_count++ : WEIR_STATE_CLASS_MAX;
}

/* Where each layer's part of a page lies; places may be NULL. False with too many classes. */
static bool arrange(struct weir_state *state, const struct weir_state_config *config,
                    struct weir_state_place *places)
{
    state->class_count = 1; /* every position: also where no layer has it, for the ids */
    for (uint32_t layer = 0; layer < config->layer_count; layer++) {
        const struct weir_state_layer *at = &config->layers[layer];
        struct weir_state_place place = {.kind = at->kind};
        uint64_t *bytes = &state->block_bytes;
        if (at->kind == WEIR_STATE_NONE)
            continue;
        if (at->kind != WEIR_STATE_RECURRENT) {
            place.class = find_class(state, at);
            if (place.class == WEIR_STATE_CLASS_MAX)
                return false;
            bytes = &state->classes[place.class].page_bytes;
        }
        place.at_bytes = *bytes;
        *bytes += at->kind == WEIR_STATE_RECURRENT ? weir_align_up(at->bytes, TABLE_ALIGN)
                                                   : at->bytes * state->page_length;
        if (places != NULL)
            places[layer] = place;
    }
    state->ids_at_bytes = weir_align_up(state->classes[0].page_bytes, sizeof(uint32_t));
    state->classes[0].page_bytes = state->ids_at_bytes + state->page_length * sizeof(uint32_t);
    for (uint32_t class = 0; class < state->class_count; class ++) {
        struct weir_state_class *at = &state->classes[class];
        at->page_bytes = weir_align_up(at->page_bytes, PAGE_BYTES);
        /* So that a page begins with huge pages, and has them for itself. */
        at->stride_bytes =
            weir_align_up(at->page_bytes, at->page_bytes < HUGE_BYTES ? PAGE_BYTES : HUGE_BYTES);
        state->page_bytes += at->page_bytes;
    }
    state->block_bytes = weir_align_up(state->block_bytes, PAGE_BYTES);
    state->block_stride_bytes = weir_align_up(
        state->block_bytes, state->block_bytes < HUGE_BYTES ? PAGE_BYTES : HUGE_BYTES);
    return true;
}

static void measure(struct weir_state *state, const struct weir_state_config *config)
{
    *state = (struct weir_state){.n_ctx = config->n_ctx, .layer_count = config->layer_count};
    state->page_length = weir_state_page_length(config);
    state->table_length = (config->n_ctx + state->page_length - 1) / state->page_length;
    state->page_max = (uint32_t)weir_min(
        weir_max((uint64_t)state->table_length * CONTEXTS, PAGES_LEAST), WEIR_STATE_PAGE_MAX);
    state->bucket_count = power_of_two_above(state->page_max);
    state->snapshot_left = config->snapshot_count;
    memcpy(state->hash_key, config->hash_key, sizeof(state->hash_key));
}

uint64_t weir_state_page_bytes(const struct weir_state_config *config)
{
    struct weir_state state;
    measure(&state, config);
    return arrange(&state, config, NULL) ? state.page_bytes : 0;
}

static void *take(struct weir_mem *mem, uint64_t count, uint64_t each_bytes)
{
    return weir_mem_alloc(mem, WEIR_MEM_SCRATCH, count * each_bytes, TABLE_ALIGN);
}

static void free_all(struct weir_state *state)
{
    for (uint32_t bucket = 0; bucket < state->bucket_count; bucket++)
        state->buckets[bucket] = WEIR_STATE_NO_PAGE;
    state->ready = WEIR_STATE_NO_PAGE;
    state->bare = WEIR_STATE_NO_PAGE;
    state->oldest = state->newest = WEIR_STATE_NO_PAGE;
    for (uint32_t page = state->page_max; page > 0; page--) { /* so that page 0 is first */
        state->pages[page - 1] = (struct weir_page){.next = state->bare, .snapshot = WEIR_NO_BLOCK};
        state->bare = page - 1;
    }
    state->free_block = WEIR_NO_BLOCK;
    for (uint32_t block = state->block_max; block > 0; block--) {
        state->next_block[block - 1] = state->free_block;
        state->free_block = block - 1;
    }
}

static void layout(struct weir_state *state, struct weir_mem *mem)
{
    state->mem = mem;
    state->block_max = state->block_bytes == 0 ? 0 : BLOCKS + state->snapshot_left;
    state->places = take(mem, state->layer_count, sizeof(*state->places));
    state->pages = take(mem, state->page_max, sizeof(*state->pages));
    state->buckets = take(mem, state->bucket_count, sizeof(*state->buckets));
    state->next_block = take(mem, state->block_max, sizeof(*state->next_block));
    state->block_is_populated = take(mem, state->block_max, sizeof(*state->block_is_populated));
    for (uint32_t class = 0; class < state->class_count; class ++)
        state->classes[class].base = weir_mem_alloc(
            mem, WEIR_MEM_KV, state->page_max * state->classes[class].stride_bytes, HUGE_BYTES);
    if (state->block_max > 0)
        state->block_base = weir_mem_alloc(
            mem, WEIR_MEM_KV, state->block_max * state->block_stride_bytes, HUGE_BYTES);
}

enum weir_status weir_state_create(weir_state **out, const struct weir_state_config *config,
                                   struct weir_mem *mem, struct weir_err *err)
{
    struct weir_state plan;
    measure(&plan, config);
    if (!arrange(&plan, config, NULL))
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "layers with more than %d different windows are not built in",
                         WEIR_STATE_CLASS_MAX - 1);
    layout(&plan, mem);
    if (mem->phase == WEIR_MEM_PLANNING) {
        weir_mem_begin_with(mem, WEIR_MEM_KV, 0);
        return WEIR_OK;
    }
    weir_state *state = weir_heap_alloc(sizeof(*state));
    if (state == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the sequences' state");
    *state = plan;
    struct weir_state again;
    measure(&again, config);
    (void)arrange(&again, config, state->places);
    free_all(state);
    *out = state;
    return WEIR_OK;
}

void weir_state_destroy(weir_state **state)
{
    if (*state == NULL)
        return;
    WEIR_ASSERT((*state)->sequence_count == 0);
    weir_heap_free(*state);
    *state = NULL;
}

uint64_t weir_state_populated_bytes(const weir_state *state)
{
    return state->populated_bytes;
}

uint64_t weir_state_lack_bytes(const weir_state *state, uint32_t page_count)
{
    return page_count <= state->ready_count ? 0
                                            : (page_count - state->ready_count) * state->page_bytes;
}

enum weir_status weir_state_populate(weir_state *state, uint32_t page_count, struct weir_err *err)
{
    while (state->ready_count < page_count && state->bare != WEIR_STATE_NO_PAGE) {
        const uint32_t page = state->bare;
        if (!weir_page_populate(state, page))
            return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                             "the kernel has no memory for %llu bytes more of keys and values",
                             (unsigned long long)state->page_bytes);
        state->bare = state->pages[page].next;
        state->pages[page].next = state->ready;
        state->ready = page;
        state->ready_count++;
    }
    return WEIR_OK;
}

struct weir_state_view weir_state_view_get(const weir_state *state, uint32_t layer)
{
    const struct weir_state_place *place = &state->places[layer];
    const struct weir_state_class *class = &state->classes[place->class];
    WEIR_ASSERT(place->kind == WEIR_STATE_POSITIONS || place->kind == WEIR_STATE_WINDOW);
    return (struct weir_state_view){.base = class->base,
                                    .stride_bytes = class->stride_bytes,
                                    .at_bytes = place->at_bytes,
                                    .page_length = state->page_length};
}

void weir_state_stats_get(const weir_state *state, struct weir_state_stats *stats)
{
    *stats = state->stats;
    stats->page_max = state->page_max;
    stats->kept_pages = state->kept_count;
    for (uint32_t page = 0; page < state->page_max; page++) {
        stats->populated_pages += state->pages[page].populated != 0;
        stats->used_pages += state->pages[page].refs > 0;
    }
}

static uint32_t count_list(const struct weir_state *state, uint32_t page)
{
    uint32_t count = 0;
    for (; page != WEIR_STATE_NO_PAGE; page = state->pages[page].next)
        count++;
    return count;
}

void weir_state_check(const weir_state *state)
{
    uint64_t bytes = 0;
    uint32_t free_count = 0;
    uint32_t indexed_count = 0;
    uint32_t found_count = 0;
    for (uint32_t page = 0; page < state->page_max; page++) {
        const struct weir_page *at = &state->pages[page];
        const bool is_free = at->refs == 0 && !at->is_kept;
        WEIR_ASSERT(!(at->refs > 0 && at->is_kept) && (!at->is_kept || at->is_indexed));
        free_count += is_free; /* keeps I1 */
        indexed_count += at->is_indexed;
        for (uint32_t class = 0; class < state->class_count; class ++) {
            const bool has_memory = (at->populated >> class & 1) != 0;
            bytes += has_memory ? state->classes[class].page_bytes : 0;
            WEIR_ASSERT(at->users[class] <= at->refs);
            WEIR_ASSERT(at->users[class] == 0 || has_memory); /* keeps I3 */
        }
        if (at->is_indexed) /* keeps I4 */
            WEIR_ASSERT(weir_index_find(state, &at->hash, weir_page_ids(state, page)) == page);
    }
    for (uint32_t block = 0; block < state->block_max; block++)
        bytes += state->block_is_populated[block] != 0 ? state->block_bytes : 0;
    for (uint32_t bucket = 0; bucket < state->bucket_count; bucket++)
        found_count += count_list(state, state->buckets[bucket]);
    WEIR_ASSERT(bytes == state->populated_bytes); /* keeps I2 */
    WEIR_ASSERT(found_count == indexed_count);
    WEIR_ASSERT(count_list(state, state->ready) == state->ready_count);
    WEIR_ASSERT(count_list(state, state->bare) + state->ready_count == free_count);
    uint32_t kept_count = 0;
    for (uint32_t page = state->oldest; page != WEIR_STATE_NO_PAGE; page = state->pages[page].newer)
        kept_count++; /* keeps I5 */
    WEIR_ASSERT(kept_count == state->kept_count);
}
