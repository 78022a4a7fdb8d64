/* store.c - layout, create, destroy, fill.
 *
 * I1  A slot has the record that the cache says it has, and an EMPTY slot has none.
 * I2  in_flight_bytes are those of the slices that were submitted and have not arrived. The slot of
 *     each is kept by the step or by fill, or by look-ahead: end, fill and destroy wait for theirs.
 * I3  create and plan request the same memory in the same order: both are layout(). */
#include "store/store.h"

#include <string.h>

#include "base/heap.h"
#include "store/store_internal.h"

enum { TABLE_ALIGN = 64 };

struct weir_place weir_store_place(const struct weir_slice *slice, uint32_t record)
{
    if (slice->places != NULL)
        return slice->places[record];
    return (struct weir_place){.offset = slice->offset + record * slice->stride_bytes,
                               .file = slice->file};
}

struct weir_superset weir_store_superset(const struct weir_slice *slice, uint32_t record)
{
    return weir_io_superset(weir_store_place(slice, record).offset, slice->bytes);
}

/* The longest superset of any record's slice. */
static uint64_t slice_capacity(const struct weir_store_layer *layer, uint32_t slice)
{
    uint64_t most = 0;
    for (uint32_t record = 0; record < layer->record_count; record++)
        most = weir_max(most, weir_store_superset(&layer->slice[slice], record).bytes);
    return most;
}

uint64_t weir_store_slot_bytes(const struct weir_store_layer *layer)
{
    uint64_t bytes = 0;
    for (uint32_t slice = 0; slice < layer->slice_count; slice++)
        bytes += slice_capacity(layer, slice);
    return bytes;
}

static void *take(struct weir_mem *mem, uint64_t count, uint64_t each_bytes)
{
    return weir_mem_alloc(mem, WEIR_MEM_SLOTS, count * each_bytes, TABLE_ALIGN);
}

static struct weir_guess take_guess(struct weir_mem *mem, uint32_t record_max)
{
    return (struct weir_guess){
        .layer = WEIR_LAYER_ANY,
        .missing = take(mem, record_max, sizeof(uint32_t)),
        .part = take(mem, record_max, sizeof(uint8_t)),
    };
}

/* Which layers share slots: none, or, when the policy is pooled, those whose records have the same
 * size. */
struct sets {
    struct weir_cache_layer layers[WEIR_STORE_LAYER_MAX];
    uint32_t slots[WEIR_STORE_LAYER_MAX];
    uint64_t slot_bytes[WEIR_STORE_LAYER_MAX];
    uint64_t record_bytes[WEIR_STORE_LAYER_MAX];
    uint32_t count;
};

static uint64_t record_bytes(const struct weir_store_layer *layer)
{
    uint64_t bytes = 0;
    for (uint32_t slice = 0; slice < layer->slice_count; slice++)
        bytes += layer->slice[slice].bytes;
    return bytes;
}

static void find_sets(const struct weir_store_config *config, struct sets *sets)
{
    sets->count = 0;
    for (uint32_t layer = 0; layer < config->layer_count; layer++) {
        const struct weir_store_layer *at = &config->layers[layer];
        uint32_t set = 0;
        sets->layers[layer] = (struct weir_cache_layer){.record_count = at->record_count};
        if (at->record_count == 0)
            continue;
        while (set < sets->count &&
               !(config->policy->is_pooled && sets->record_bytes[set] == record_bytes(at)))
            set++;
        if (set == sets->count) {
            sets->slots[set] = 0;
            sets->slot_bytes[set] = 0;
            sets->record_bytes[set] = record_bytes(at);
            sets->count++;
        }
        sets->layers[layer].set = set;
        sets->slots[set] += at->slot_count;
        sets->slot_bytes[set] = weir_max(sets->slot_bytes[set], weir_store_slot_bytes(at));
    }
}

static void layout_slots(struct weir_store *store, struct weir_mem *mem, const struct sets *sets)
{
    for (uint32_t set = 0, slot = 0; set < sets->count; set++) {
        const uint64_t slot_bytes = sets->slot_bytes[set];
        uint8_t *arena =
            weir_mem_alloc(mem, WEIR_MEM_SLOTS, slot_bytes * sets->slots[set], WEIR_IO_ALIGN);
        if (mem->phase == WEIR_MEM_PLANNING)
            continue;
        store->slot_bytes[set] = slot_bytes;
        store->arenas[set] = arena;
        for (uint32_t index = 0; index < sets->slots[set]; index++, slot++)
            store->slots[slot] =
                (struct weir_slot){.memory = arena + index * slot_bytes, .record = WEIR_NO_RECORD};
        weir_store_guard_set(store, set, false);
    }
}

static void describe_layers(struct weir_store *store, const struct weir_store_config *config,
                            const struct sets *sets)
{
    for (uint32_t index = 0; index < config->layer_count; index++) {
        struct weir_layer_state *layer = &store->layers[index];
        *layer = (struct weir_layer_state){.config = config->layers[index], .index = index};
        if (layer->config.record_count == 0)
            continue;
        if (layer->config.head_count == 0)
            layer->config.head_count = layer->config.slice_count;
        layer->slot_bytes = sets->slot_bytes[sets->layers[index].set];
        for (uint32_t slice = 1; slice < layer->config.slice_count; slice++)
            layer->slice_at[slice] =
                layer->slice_at[slice - 1] + slice_capacity(&layer->config, slice - 1);
    }
}

static void layout(struct weir_store *store, struct weir_mem *mem,
                   const struct weir_store_config *config)
{
    struct sets sets;
    struct weir_cache cache;
    uint32_t slot_count = 0;
    uint32_t record_max = 0;
    find_sets(config, &sets);
    for (uint32_t layer = 0; layer < config->layer_count; layer++) {
        slot_count += config->layers[layer].slot_count;
        record_max = (uint32_t)weir_max(record_max, config->layers[layer].record_count);
    }
    const struct weir_cache_config cache_config = {.policy = config->policy,
                                                   .layer_count = config->layer_count,
                                                   .turn_count = config->turn_count,
                                                   .layers = sets.layers,
                                                   .set_count = sets.count,
                                                   .set_slots = sets.slots};
    weir_cache_layout(&cache, mem, &cache_config);
    struct weir_layer_state *layers = take(mem, config->layer_count, sizeof(*layers));
    struct weir_slot *slots = take(mem, slot_count, sizeof(*slots));
    uint64_t *slot_bytes = take(mem, sets.count, sizeof(*slot_bytes));
    uint8_t **arenas = take(mem, sets.count, sizeof(*arenas));
    const struct weir_step step = {
        .records = take(mem, record_max, sizeof(uint32_t)),
        .resident = take(mem, record_max, sizeof(uint32_t)),
        .missing = take(mem, record_max, sizeof(uint32_t)),
        .reading = take(mem, slot_count, sizeof(uint32_t)),
        .landed = take(mem, weir_max(record_max, slot_count), sizeof(uint32_t)),
        .read_count = take(mem, record_max, sizeof(uint32_t)),
    };
    const struct weir_ahead ahead = {
        .records = take(mem, record_max, sizeof(uint32_t)),
        .slots = take(mem, slot_count, sizeof(uint32_t)),
    };
    const struct weir_worth worth = {take_guess(mem, record_max), take_guess(mem, record_max)};
    if (mem->phase != WEIR_MEM_PLANNING) {
        store->layer_count = config->layer_count;
        store->step_max = config->step_max;
        store->budget_bytes =
            config->budget_bytes > 0 ? config->budget_bytes : WEIR_STORE_BUDGET_BYTES;
        store->prompt_budget_bytes = weir_max(config->prompt_budget_bytes, store->budget_bytes);
        store->waits_for_all = config->waits_for_all;
        store->forgets = config->forgets;
        store->record_max = record_max;
        store->layers = layers;
        store->cache = cache;
        store->slots = slots;
        store->slot_bytes = slot_bytes;
        store->arenas = arenas;
        store->step = step;
        store->ahead = ahead;
        store->worth = worth;
        describe_layers(store, config, &sets);
    }
    layout_slots(store, mem, &sets);
}

void weir_store_plan(struct weir_mem *mem, const struct weir_store_config *config)
{
    WEIR_ASSERT(mem->phase == WEIR_MEM_PLANNING);
    layout(NULL, mem, config);
}

static enum weir_status check_layer(const struct weir_store_config *config, uint32_t index,
                                    struct weir_err *err)
{
    const struct weir_store_layer *layer = &config->layers[index];
    if (layer->record_count == 0)
        return WEIR_OK;
    if (layer->record_count > WEIR_RECORD_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "layer %u: wanted at most %d records, found %u", index,
                         WEIR_RECORD_MAX, layer->record_count);
    if (layer->slice_count == 0 || layer->slice_count > WEIR_SLICE_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "layer %u: wanted 1 to %d slices a record, found %u",
                         index, WEIR_SLICE_MAX, layer->slice_count);
    for (uint32_t slice = 0; slice < layer->slice_count; slice++)
        if (layer->slice[slice].bytes == 0 || layer->slice[slice].bytes > WEIR_SLICE_BYTES_MAX)
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "layer %u slice %u: wanted 1 to %d bytes a record, found %u", index,
                             slice, WEIR_SLICE_BYTES_MAX, layer->slice[slice].bytes);
    if (layer->head_count > layer->slice_count)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "layer %u: wanted at most %u slices in a head, found %u", index,
                         layer->slice_count, layer->head_count);
    const uint32_t least = (uint32_t)weir_min(weir_max(config->step_max, 1), layer->record_count);
    if (layer->slot_count < least || layer->slot_count > layer->record_count)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "layer %u: wanted %u to %u slots, found %u", index,
                         least, layer->record_count, layer->slot_count);
    return WEIR_OK;
}

enum weir_status weir_store_create(weir_store **out, struct weir_mem *mem, weir_io *io,
                                   const struct weir_store_config *config, struct weir_err *err)
{
    if (config->layer_count > WEIR_STORE_LAYER_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "wanted at most %d layers, found %u",
                         WEIR_STORE_LAYER_MAX, config->layer_count);
    for (uint32_t layer = 0; layer < config->layer_count; layer++)
        WEIR_TRY(check_layer(config, layer, err));
    weir_store *store = weir_heap_alloc(sizeof(*store));
    if (store == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a store");
    store->io = io;
    store->mem = mem;
    layout(store, mem, config); /* keeps I3 */
    WEIR_STORE_CHECK(store);
    *out = store;
    return WEIR_OK;
}

void weir_store_destroy(weir_store **store)
{
    weir_store *closing = *store;
    if (closing == NULL)
        return;
    WEIR_ASSERT(closing->lease_count == 0);
    if (closing->step.is_running)
        weir_store_end(closing);
    weir_store_stop_ahead(closing);
    const struct weir_cache *cache = &closing->cache;
    for (uint32_t set = 0; set < cache->set_count; set++)
        weir_store_guard_set(closing, set, true);
    weir_heap_free(closing);
    *store = NULL;
}

/* Records of the layer without a slot. */
static uint32_t absent_count(const struct weir_store *store, const struct weir_layer_state *layer)
{
    uint32_t count = 0;
    for (uint32_t record = 0; record < layer->config.record_count; record++)
        count += weir_cache_find(&store->cache, layer->index, record) == WEIR_NO_SLOT;
    return count;
}

static uint64_t bytes_to_fill(const struct weir_store *store)
{
    uint64_t total_bytes = 0;
    for (uint32_t set = 0; set < store->cache.set_count; set++) {
        uint32_t absent = 0;
        for (uint32_t layer = 0; layer < store->layer_count; layer++)
            if (store->cache.layers[layer].set == set)
                absent += absent_count(store, &store->layers[layer]);
        total_bytes += store->slot_bytes[set] * weir_min(absent, store->cache.set_empty[set]);
    }
    return total_bytes;
}

/* Read records of one layer until its set has no empty slot. */
static enum weir_status fill_layer(struct weir_store *store, struct weir_layer_state *layer,
                                   weir_store_progress_fn *progress, void *user,
                                   uint64_t *done_bytes, uint64_t total_bytes, struct weir_err *err)
{
    struct weir_step *step = &store->step;
    bool cancelled = false;
    step->reading_count = step->landed_count = step->landed_next = 0;
    step->failure = (struct weir_err){0};
    memset(step->read_count, 0, store->record_max * sizeof(step->read_count[0]));
    for (uint32_t record = 0; record < layer->config.record_count; record++)
        if (weir_cache_find(&store->cache, layer->index, record) == WEIR_NO_SLOT &&
            weir_cache_has_empty(&store->cache, layer->index))
            (void)weir_store_start_read(store, layer, record, WEIR_READ_FILL);
    while (step->reading_count > 0) {
        weir_store_submit_step(store);
        const uint32_t before = step->landed_count;
        weir_store_collect(store, true);
        *done_bytes += (step->landed_count - before) * layer->slot_bytes;
        if (!cancelled && progress != NULL && !progress(user, *done_bytes, total_bytes))
            cancelled = true;
        if (cancelled || step->failure.status != WEIR_OK)
            weir_store_drop_reads(store);
    }
    weir_store_collect(store, false);
    for (uint32_t index = 0; index < step->landed_count; index++) {
        store->slots[step->landed[index]].is_wanted = false;
        weir_cache_let_go(&store->cache, step->landed[index]);
    }
    if (step->failure.status != WEIR_OK) {
        if (err != NULL && err->status == WEIR_OK)
            *err = step->failure;
        return step->failure.status;
    }
    return cancelled ? WEIR_FAIL(err, WEIR_ERR_CANCELLED, "the load was stopped") : WEIR_OK;
}

enum weir_status weir_store_fill(weir_store *store, weir_store_progress_fn *progress, void *user,
                                 struct weir_err *err)
{
    uint64_t done_bytes = 0;
    const uint64_t total_bytes = bytes_to_fill(store);
    enum weir_status status = WEIR_OK;
    WEIR_ASSERT(!store->step.is_running);
    weir_store_stop_ahead(store);
    for (uint32_t layer = 0; layer < store->layer_count && status == WEIR_OK; layer++)
        status =
            fill_layer(store, &store->layers[layer], progress, user, &done_bytes, total_bytes, err);
    WEIR_STORE_CHECK(store);
    return status;
}

void weir_store_stats_get(const weir_store *store, struct weir_store_stats *stats)
{
    *stats = store->stats;
}

void weir_store_stats_reset(weir_store *store)
{
    store->stats = (struct weir_store_stats){.retired_slots = store->stats.retired_slots,
                                             .retired_bytes = store->stats.retired_bytes};
    WEIR_STORE_CHECK(store);
}
