/* state.c - layout, create, destroy, and the memory that pages have.
 *
 * I1  A page is free (in one of two lists), in the tables of sequences and held, `refs` times in
 *     all, or kept: full, indexed and in no table.
 * I2  populated_bytes is the sum over pages of the classes in their populated mask, and of blocks.
 * I3  A page in a table has memory in every class whose window still reaches it from some table.
 * I4  An indexed page is full, and its ids and its hash agree; no two indexed pages are equal.
 *     A page is written only while it is not indexed and in one table.
 * I5  The list of kept pages is in the order in which they were let go.
 * I6  create asks mem for the same things in the same order, planning or opening: layout().
 * I7  A block is free, of a sequence, or a page's snapshot; at most snapshot_max are the latter.
 * I8  A table has the pages of all its sequence's positions, and each page that a window reaches
 *     has that class's memory, and counts this table among its users.
 * I9  Of refs some are holds: of whoever carries a page away. A page with one keeps its memory and
 *     its snapshot, and is not written in. */
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
};

static uint32_t power_of_two_above(uint64_t least)
{
    uint32_t power = 1;
    while (power < least)
        power *= 2;
    return power;
}

#ifdef WEIR_HOSTILE
uint32_t weir_state_page_length(const struct weir_state_config *config)
{
    return (uint32_t)weir_max(WEIR_STATE_PAGE_LENGTH_MIN / 2, config->group_length);
}
#else
/* Bytes of a position in all paged layers. */
static uint64_t position_bytes(const struct weir_state_config *config)
{
    uint64_t bytes = 0;
    for (uint32_t layer = 0; layer < config->layer_count; layer++)
        if (config->layers[layer].kind != WEIR_STATE_NONE &&
            config->layers[layer].kind != WEIR_STATE_RECURRENT &&
            config->layers[layer].kind != WEIR_STATE_BLOCK_ELSEWHERE)
            bytes += config->layers[layer].bytes;
    return bytes;
}

uint32_t weir_state_page_length(const struct weir_state_config *config)
{
    const uint64_t each = weir_max(position_bytes(config), sizeof(uint32_t));
    const uint32_t most =
        position_bytes(config) > 0 ? config->n_ctx : WEIR_STATE_RECURRENT_PAGE_LENGTH;
    const uint64_t goal =
        weir_min(weir_max(each * config->n_ctx / CONTEXT_PAGES, (uint64_t)STATE_PAGE_BYTES_MIN),
                 (uint64_t)STATE_PAGE_BYTES_MAX);
    uint32_t length = (uint32_t)weir_max(WEIR_STATE_PAGE_LENGTH_MIN, config->group_length);
    while (length < config->n_ctx && length < most &&
           (length * each < STATE_PAGE_BYTES_MIN || 2 * length * each <= goal))
        length *= 2;
    return length;
}
#endif

/* The class that a layer belongs to; WEIR_STATE_CLASS_MAX when there are too many. */
static uint32_t find_class(struct weir_state *state, const struct weir_state_layer *layer)
{
    const uint32_t window = layer->kind == WEIR_STATE_WINDOW ? layer->window : 0;
    WEIR_ASSERT((window > 0) == (layer->kind == WEIR_STATE_WINDOW));
    for (uint32_t class = 0; class < state->class_count; class ++)
        if (state->classes[class].window == window)
            return class;
    if (state->class_count == WEIR_STATE_CLASS_MAX)
        return WEIR_STATE_CLASS_MAX;
    state->classes[state->class_count].window = window;
    return state->class_count++;
}

/* Where a layer's part of a page, or of a block, lies. False when it is of a class too many. */
static bool place_layer(struct weir_state *state, const struct weir_state_layer *layer,
                        struct weir_state_place *place)
{
    *place = (struct weir_state_place){.kind = layer->kind, .is_carried = layer->is_carried};
    if (layer->kind == WEIR_STATE_NONE || layer->kind == WEIR_STATE_ELSEWHERE)
        return true;
    if (layer->kind == WEIR_STATE_RECURRENT) {
        place->at_bytes = state->block_bytes;
        state->block_bytes += weir_align_up(layer->bytes, TABLE_ALIGN);
        return true;
    }
    if (layer->kind == WEIR_STATE_BLOCK_ELSEWHERE) {
        state->block_bytes += TABLE_ALIGN; /* so that there are blocks, and their numbers */
        return true;
    }
    place->class = find_class(state, layer);
    if (place->class == WEIR_STATE_CLASS_MAX)
        return false;
    place->at_bytes = state->classes[place->class].page_bytes;
    state->classes[place->class].page_bytes += layer->bytes * state->page_length;
    return true;
}

/* From one page, or block, to the next: so that a large one begins with huge pages, and has them
 * for itself. */
static uint64_t stride_of(uint64_t bytes)
{
    return weir_align_up(bytes, bytes < HUGE_BYTES ? PAGE_BYTES : HUGE_BYTES);
}

/* Where each layer's part lies; places may be NULL. Returns layer_count, or the first layer that is
 * of a class too many. */
static uint32_t arrange(struct weir_state *state, const struct weir_state_config *config,
                        struct weir_state_place *places)
{
    state->class_count = 1; /* every position: also where no layer has it, for the ids */
    for (uint32_t layer = 0; layer < config->layer_count; layer++) {
        struct weir_state_place place;
        if (!place_layer(state, &config->layers[layer], &place))
            return layer;
        if (places != NULL)
            places[layer] = place;
    }
    state->ids_at_bytes = weir_align_up(state->classes[0].page_bytes, sizeof(uint32_t));
    state->classes[0].page_bytes = state->ids_at_bytes + state->page_length * sizeof(uint32_t);
    for (uint32_t class = 0; class < state->class_count; class ++) {
        struct weir_state_class *at = &state->classes[class];
        at->page_bytes = weir_align_up(at->page_bytes, PAGE_BYTES);
        at->stride_bytes = config->first_pages > 1 ? at->page_bytes : stride_of(at->page_bytes);
        state->page_bytes += at->page_bytes;
    }
    state->block_bytes = weir_align_up(state->block_bytes, PAGE_BYTES);
    state->block_stride_bytes = stride_of(state->block_bytes);
    return config->layer_count;
}

static void measure(struct weir_state *state, const struct weir_state_config *config)
{
    *state = (struct weir_state){.n_ctx = config->n_ctx,
                                 .layer_count = config->layer_count,
                                 .first_pages = (uint32_t)weir_max(config->first_pages, 1)};
    state->page_length = weir_state_page_length(config);
    const uint64_t context_pages = weir_page_count(state, config->n_ctx);
    state->page_max =
        (uint32_t)weir_min(weir_max(context_pages * CONTEXTS, PAGES_LEAST), WEIR_STATE_PAGE_MAX);
    if (config->page_max > 0)
        state->page_max = (uint32_t)weir_min(state->page_max, config->page_max);
    state->copy_elsewhere = config->copy_elsewhere;
    state->copy_block = config->copy_block;
    state->carry = config->carry;
    state->carried = config->carried;
    state->copy_user = config->copy_user;
    state->table_length = (uint32_t)weir_min(context_pages, state->page_max);
    state->bucket_count = power_of_two_above(state->page_max);
    state->snapshot_max = config->snapshot_count;
    if (config->block_max > 0)
        state->snapshot_max = (uint32_t)weir_min(state->snapshot_max, config->block_max / 2);
    state->block_max = WEIR_STATE_BLOCK_MAX + state->snapshot_max;
    if (config->block_max > 0)
        state->block_max = (uint32_t)weir_min(state->block_max, config->block_max);
    state->snapshot_length =
        (uint32_t)weir_align_up(weir_max(config->snapshot_length, 1), state->page_length);
    state->rewind_length = config->rewind_length;
    memcpy(state->hash_key, config->hash_key, sizeof(state->hash_key));
}

uint32_t weir_state_table_length(const struct weir_state_config *config)
{
    struct weir_state state;
    measure(&state, config);
    return state.table_length;
}

uint64_t weir_state_page_bytes(const struct weir_state_config *config)
{
    struct weir_state state;
    measure(&state, config);
    return arrange(&state, config, NULL) == config->layer_count ? state.page_bytes : 0;
}

uint64_t weir_state_block_bytes(const struct weir_state_config *config)
{
    struct weir_state state;
    measure(&state, config);
    return arrange(&state, config, NULL) == config->layer_count ? state.block_bytes : 0;
}

static struct weir_state_shape shape_of(const struct weir_state *state)
{
    struct weir_state_shape shape = {.page_length = state->page_length,
                                     .class_count = state->class_count,
                                     .table_length = state->table_length,
                                     .block_bytes = state->block_bytes};
    for (uint32_t class = 0; class < state->class_count; class ++) {
        shape.windows[class] = state->classes[class].window;
        shape.class_bytes[class] = state->classes[class].page_bytes;
    }
    return shape;
}

bool weir_state_shape_plan(const struct weir_state_config *config, struct weir_state_shape *shape)
{
    struct weir_state state;
    measure(&state, config);
    if (arrange(&state, config, NULL) < config->layer_count)
        return false;
    *shape = shape_of(&state);
    return true;
}

void weir_state_shape_get(const weir_state *state, struct weir_state_shape *shape)
{
    *shape = shape_of(state);
}

/* The most pages of a class that have memory at a time: before a step is committed, those that its
 * first position would see after a rewind, and those of its last one. */
static uint64_t class_pages(const struct weir_state *state, uint32_t class, uint64_t n_position,
                            uint64_t n_step)
{
    const uint64_t window = state->classes[class].window;
    const uint64_t all = (n_position + state->page_length - 1) / state->page_length;
    if (window == 0)
        return all;
    const uint64_t seen = window - 1 + state->rewind_length + n_step;
    return weir_min(all, (seen + state->page_length - 1) / state->page_length + 1);
}

uint64_t weir_state_bytes(const struct weir_state_config *config, uint32_t n_position,
                          uint32_t n_step)
{
    struct weir_state state;
    measure(&state, config);
    if (arrange(&state, config, NULL) < config->layer_count)
        return 0;
    uint64_t bytes = (1 + (uint64_t)state.snapshot_max) * state.block_bytes;
    if (state.block_bytes > 0)
        n_step = (uint32_t)weir_min(n_step, state.snapshot_length);
    for (uint32_t class = 0; class < state.class_count; class ++)
        bytes += class_pages(&state, class, n_position, n_step) * state.classes[class].page_bytes;
    return bytes;
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
    state->kept = weir_order_of(&state->pages[0].kept, sizeof(state->pages[0]));
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
    if (state->block_bytes == 0)
        state->block_max = 0;
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
    const uint32_t layer = arrange(&plan, config, NULL);
    if (layer < config->layer_count)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "layer %u has a window of %u positions, the layers before it have %d "
                         "others: more are not built in",
                         layer, config->layers[layer].window, WEIR_STATE_CLASS_MAX - 1);
    layout(&plan, mem);
    if (mem->phase == WEIR_MEM_PLANNING) {
        weir_mem_begin_with(mem, WEIR_MEM_KV, 0);
        return WEIR_OK;
    }
    weir_state *state = weir_heap_alloc(sizeof(*state));
    if (state == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the sequences' state");
    *state = plan;
    /* Only now is there a table of places to fill. */
    struct weir_state again;
    measure(&again, config);
    (void)arrange(&again, config, state->places);
    free_all(state);
    WEIR_STATE_CHECK(state);
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

uint64_t weir_state_block_lack_bytes(const weir_state *state)
{
    const uint32_t block = state->free_block;
    return block == WEIR_NO_BLOCK || state->block_is_populated[block] != 0 ? 0 : state->block_bytes;
}

uint64_t weir_state_snapshot_room_bytes(const weir_state *state)
{
    return (state->snapshot_max - state->snapshot_count) * state->block_bytes;
}

struct weir_state_view weir_state_view_get(const weir_state *state, uint32_t layer)
{
    WEIR_ASSERT(layer < state->layer_count);
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
