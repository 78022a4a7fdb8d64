/* ahead.c - records that a later layer will probably need, read while the device has time.
 *
 * The model gives a hint: a layer, and records of it, the likeliest first. A record of the hint
 * that has no slot takes the slot of the least valuable record and is read into it. It keeps this
 * slot until its layer's step begins. Then the record was needed (a hit, or late when it is still
 * being read), or the read was wasted.
 *
 * I1  ahead.slots lists each slot that look-ahead keeps, once. One with is_ahead is kept until its
 *     layer's step begins. One without has a read in flight that nobody waits for: its guess was
 *     abandoned, or the read is a warm-up's.
 * I2  Look-ahead leaves enough slots of each set for a step of any of its layers.
 * I3  The hint is records of one layer; those before `next` were looked at. */
#include "store/store_internal.h"

static uint64_t submitted_bytes(struct weir_store *store, uint32_t slot)
{
    const struct weir_layer_state *layer = weir_store_layer_of(store, slot);
    uint64_t bytes = 0;
    for (uint32_t slice = 0; slice < store->slots[slot].submitted; slice++)
        bytes += weir_store_superset(&layer->config.slice[slice], store->slots[slot].record).bytes;
    return bytes;
}

static uint32_t slice_count_of(const struct weir_store *store, uint32_t slot)
{
    return store->layers[store->slots[slot].layer].config.slice_count;
}

bool weir_store_is_kept_ahead(const struct weir_store *store, uint32_t slot)
{
    for (uint32_t index = 0; index < store->ahead.slot_count; index++)
        if (store->ahead.slots[index] == slot)
            return true;
    return false;
}

static void unlist(struct weir_ahead *ahead, uint32_t slot)
{
    uint32_t at = 0;
    while (ahead->slots[at] != slot)
        at++;
    ahead->slot_count--;
    for (; at < ahead->slot_count; at++)
        ahead->slots[at] = ahead->slots[at + 1];
}

/* The step wants what look-ahead has read, or is reading. */
static void count_use(struct weir_store *store, uint32_t slot)
{
    const struct weir_slot *at = &store->slots[slot];
    if (!at->is_ahead) /* it was counted as wasted when it was abandoned */
        store->stats.ahead_wasted_bytes -= submitted_bytes(store, slot);
    if (weir_store_slot_is_whole(store, slot))
        store->stats.ahead_hits++;
    else if (at->submitted > 0)
        store->stats.ahead_late++;
}

void weir_store_promote(struct weir_store *store, uint32_t slot)
{
    struct weir_slot *at = &store->slots[slot];
    if (!weir_store_is_kept_ahead(store, slot))
        return;
    if (at->class != WEIR_READ_WARM_UP)
        count_use(store, slot);
    at->is_ahead = false;
    at->class = WEIR_READ_PROMOTED;
    unlist(&store->ahead, slot);
}

/* Let others have an abandoned slot, unless a read into it is still in flight. */
static void free_slot(struct weir_store *store, uint32_t slot)
{
    const struct weir_slot *at = &store->slots[slot];
    if (at->arrived != (1u << at->submitted) - 1)
        return;
    unlist(&store->ahead, slot);
    if (weir_store_slot_is_whole(store, slot))
        weir_cache_let_go(&store->cache, slot);
    else
        weir_store_empty_slot(store, slot);
}

/* A warm-up's record of which the device did not take all slices at once. */
static bool goes_on(struct weir_store *store, uint32_t slot)
{
    const struct weir_slot *at = &store->slots[slot];
    if (at->class != WEIR_READ_WARM_UP || at->failed ||
        at->submitted == slice_count_of(store, slot))
        return false;
    (void)weir_store_submit(store, slot, slice_count_of(store, slot), UINT64_MAX);
    weir_io_flush(store->io);
    return at->arrived != (1u << at->submitted) - 1;
}

bool weir_store_arrived_ahead(struct weir_store *store, uint32_t slot)
{
    if (!weir_store_is_kept_ahead(store, slot))
        return false;
    if (!store->slots[slot].is_ahead && !goes_on(store, slot))
        free_slot(store, slot);
    return true;
}

void weir_store_drop_hint(struct weir_store *store, uint32_t layer)
{
    struct weir_ahead *ahead = &store->ahead;
    ahead->count = ahead->next = 0;
    ahead->is_sure = false;
    ahead->left_bytes = store->pace.idle_ns * store->pace.bytes_per_ns;
    for (uint32_t index = ahead->slot_count; index > 0; index--) {
        const uint32_t slot = ahead->slots[index - 1];
        const struct weir_slot *at = &store->slots[slot];
        if (!at->is_ahead || (layer != WEIR_LAYER_ANY && at->layer != layer))
            continue;
        store->slots[slot].is_ahead = false;
        store->stats.ahead_wasted_bytes += submitted_bytes(store, slot);
        free_slot(store, slot);
    }
}

/* A slot that look-ahead keeps for this layer, and into which a read failed, or WEIR_NO_SLOT. */
static uint32_t find_failed(const struct weir_store *store, uint32_t layer)
{
    for (uint32_t index = 0; index < store->ahead.slot_count; index++) {
        const struct weir_slot *at = &store->slots[store->ahead.slots[index]];
        if (at->layer == layer && at->failed)
            return store->ahead.slots[index];
    }
    return WEIR_NO_SLOT;
}

void weir_store_drop_failed_ahead(struct weir_store *store, uint32_t layer)
{
    for (;;) {
        const uint32_t slot = find_failed(store, layer);
        if (slot == WEIR_NO_SLOT)
            return;
        store->slots[slot].is_ahead = false;
        free_slot(store, slot);
        if (weir_store_is_kept_ahead(store, slot))
            weir_store_collect(store, true);
    }
}

void weir_store_stop_ahead(struct weir_store *store)
{
    weir_store_drop_hint(store, WEIR_LAYER_ANY);
    while (store->ahead.slot_count > 0)
        weir_store_collect(store, true);
    WEIR_STORE_CHECK(store);
}

uint32_t weir_store_ahead_held(const struct weir_store *store, uint32_t set)
{
    uint32_t held = 0;
    for (uint32_t index = 0; index < store->ahead.slot_count; index++)
        held += store->cache.layers[store->slots[store->ahead.slots[index]].layer].set == set;
    return held;
}

bool weir_store_may_keep(const struct weir_store *store, uint32_t set)
{
    const uint32_t held = weir_store_ahead_held(store, set);
    return store->cache.set_live[set] > held + store->step_max; /* keeps I2 */
}

void weir_store_keep_reading(struct weir_store *store, uint32_t slot)
{
    store->ahead.slots[store->ahead.slot_count++] = slot;
    (void)weir_store_submit(store, slot, slice_count_of(store, slot), UINT64_MAX);
    if (store->slots[slot].submitted == 0)
        free_slot(store, slot);
}

/* Begin to read a record of the hint. False when look-ahead may have no slot for it. */
static bool start_ahead(struct weir_store *store, uint32_t record)
{
    struct weir_ahead *ahead = &store->ahead;
    struct weir_layer_state *layer = &store->layers[ahead->layer];
    if (!weir_store_may_keep(store, store->cache.layers[ahead->layer].set))
        return false;
    const uint32_t slot = weir_store_take_slot(store, layer, record, WEIR_READ_AHEAD);
    if (slot == WEIR_NO_SLOT)
        return false;
    store->slots[slot].is_ahead = true;
    ahead->slots[ahead->slot_count++] = slot;
    return true;
}

/* Bytes that may be in flight when a read ahead is submitted. A guess gets little, one slice or a
 * few small ones: what is in flight when the next step begins delays what that step waits for. */
static uint64_t ahead_budget_bytes(const struct weir_store *store)
{
    if (store->ahead.is_sure)
        return store->prompt_budget_bytes;
    const struct weir_layer_state *layer = &store->layers[store->ahead.layer];
    uint64_t slice_bytes = 0;
    for (uint32_t slice = 0; slice < layer->config.slice_count; slice++)
        slice_bytes =
            weir_max(slice_bytes, weir_store_superset(&layer->config.slice[slice], 0).bytes);
    const uint64_t wanted_bytes = weir_max(slice_bytes, WEIR_STORE_AHEAD_BYTES);
    return weir_min(store->budget_bytes, wanted_bytes);
}

/* The first slot with slices of a read ahead that were not submitted, or WEIR_NO_SLOT. */
static uint32_t find_unsubmitted(const struct weir_store *store)
{
    for (uint32_t index = 0; index < store->ahead.slot_count; index++) {
        const uint32_t slot = store->ahead.slots[index];
        const struct weir_slot *at = &store->slots[slot];
        if (at->is_ahead && at->submitted < slice_count_of(store, slot))
            return slot;
    }
    return WEIR_NO_SLOT;
}

/* The next record of the hint without a slot; WEIR_NO_RECORD when none is left. */
static uint32_t next_hinted(struct weir_store *store)
{
    struct weir_ahead *ahead = &store->ahead;
    while (ahead->next < ahead->count) {
        const uint32_t record = ahead->records[ahead->next++];
        if (weir_cache_find(&store->cache, ahead->layer, record) == WEIR_NO_SLOT)
            return record;
    }
    return WEIR_NO_RECORD;
}

/* What is sure to be needed is read whenever there is room. */
static bool has_time_left(const struct weir_ahead *ahead)
{
    return ahead->is_sure || ahead->left_bytes > 0.0;
}

/* Submit slices until the budget or the device takes no more, the hint has no more records, or the
 * time before the next step is used up. */
static void submit_hinted(struct weir_store *store)
{
    struct weir_ahead *ahead = &store->ahead;
    const uint64_t budget_bytes = ahead_budget_bytes(store);
    for (;;) {
        uint32_t slot;
        while ((slot = find_unsubmitted(store)) != WEIR_NO_SLOT)
            if (!weir_store_submit(store, slot, slice_count_of(store, slot), budget_bytes))
                return;
        if (store->in_flight_bytes >= budget_bytes)
            return;
        const uint32_t record = next_hinted(store);
        if (record == WEIR_NO_RECORD)
            return;
        /* The last record that is begun may take longer than the time that is left. Its later
         * slices are submitted only when the earlier ones made room: if the guess is wrong they are
         * never read, and if it is right, what was read need not be read again. */
        if (!has_time_left(ahead) || !start_ahead(store, record)) {
            ahead->next = ahead->count;
            return;
        }
        if (!ahead->is_sure)
            ahead->left_bytes -= (double)store->layers[ahead->layer].slot_bytes;
    }
}

void weir_store_submit_ahead(struct weir_store *store)
{
    submit_hinted(store);
    if (store->in_flight_bytes == 0)
        weir_store_submit_warm_up(store);
    weir_io_flush(store->io);
}

void weir_store_hint(weir_store *store, uint32_t layer, const uint32_t *records, uint32_t count,
                     bool is_sure)
{
    struct weir_ahead *ahead = &store->ahead;
    WEIR_ASSERT(layer < store->layer_count && count <= store->layers[layer].config.record_count);
    WEIR_ASSERT(!store->step.is_running || store->step.layer != layer);
    ahead->layer = layer;
    ahead->count = is_sure ? count : weir_worth_cut(store, layer, records, count);
    ahead->next = 0;
    ahead->is_sure = is_sure;
    for (uint32_t index = 0; index < ahead->count; index++)
        ahead->records[index] = records[index];
    weir_store_poll(store);
}

bool weir_store_has_time(const weir_store *store)
{
    const struct weir_step *step = &store->step;
    const struct weir_ahead *ahead = &store->ahead;
    return step->missing_next == step->missing_count && ahead->next == ahead->count &&
           has_time_left(ahead) && store->in_flight_bytes < ahead_budget_bytes(store) &&
           find_unsubmitted(store) == WEIR_NO_SLOT;
}

bool weir_store_is_whole(const weir_store *store, uint32_t layer)
{
    for (uint32_t record = 0; record < store->layers[layer].config.record_count; record++)
        if (weir_cache_find(&store->cache, layer, record) == WEIR_NO_SLOT)
            return false;
    return true;
}

void weir_store_poll(weir_store *store)
{
    weir_store_collect(store, false);
    if (store->step.is_running)
        weir_store_advance(store);
    else
        weir_store_submit_ahead(store);
    WEIR_STORE_CHECK(store);
}
