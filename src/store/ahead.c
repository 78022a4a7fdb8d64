/* ahead.c - records that a later layer may need, read while the device has nothing better to do.
 *
 * I1  A slot is in ahead.slots while it is read ahead and its layer's step has not begun, or was
 *     given up with reads in flight; its record is held, so that nobody takes the slot meanwhile.
 * I2  A set keeps step_max slots that are not held by look-ahead: every step can go on. */
#include <math.h>

#include "store/store_internal.h"

static uint64_t asked_bytes(struct weir_store *store, uint32_t slot)
{
    const struct weir_layer_state *layer = weir_store_layer_of(store, slot);
    uint64_t bytes = 0;
    for (uint32_t slice = 0; slice < store->slots[slot].asked; slice++)
        bytes += weir_store_superset(&layer->config.slice[slice], store->slots[slot].record).bytes;
    return bytes;
}

static void forget_slot(struct weir_ahead *ahead, uint32_t slot)
{
    uint32_t at = 0;
    while (ahead->slots[at] != slot)
        at++;
    ahead->slot_count--;
    for (; at < ahead->slot_count; at++)
        ahead->slots[at] = ahead->slots[at + 1];
}

static bool is_listed(const struct weir_ahead *ahead, uint32_t slot)
{
    for (uint32_t index = 0; index < ahead->slot_count; index++)
        if (ahead->slots[index] == slot)
            return true;
    return false;
}

void weir_store_promote(struct weir_store *store, uint32_t slot)
{
    struct weir_slot *at = &store->slots[slot];
    if (!is_listed(&store->ahead, slot))
        return;
    if (!at->is_ahead)
        store->stats.ahead_wasted_bytes -= asked_bytes(store, slot);
    if (weir_store_slot_is_whole(store, slot))
        store->stats.ahead_hits++;
    else if (at->asked > 0)
        store->stats.ahead_late++;
    at->is_ahead = false;
    at->class = WEIR_READ_PROMOTED;
    forget_slot(&store->ahead, slot);
}

/* Nobody waits for this slot any more. It is free for others when nothing is on its way to it. */
static void settle(struct weir_store *store, uint32_t slot)
{
    const struct weir_slot *at = &store->slots[slot];
    if (at->arrived != (1u << at->asked) - 1)
        return;
    forget_slot(&store->ahead, slot);
    if (weir_store_slot_is_whole(store, slot))
        weir_cache_let_go(&store->cache, slot);
    else
        weir_store_empty_slot(store, slot);
}

bool weir_store_finish_ahead(struct weir_store *store, uint32_t slot)
{
    if (!is_listed(&store->ahead, slot))
        return false;
    if (!store->slots[slot].is_ahead)
        settle(store, slot);
    return true;
}

void weir_store_close_ahead(struct weir_store *store, uint32_t layer)
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
        store->stats.ahead_wasted_bytes += asked_bytes(store, slot);
        settle(store, slot);
    }
}

/* A slot of the layer on whose way something failed; WEIR_NO_SLOT when there is none. */
static uint32_t find_failed(const struct weir_store *store, uint32_t layer)
{
    for (uint32_t index = 0; index < store->ahead.slot_count; index++) {
        const struct weir_slot *at = &store->slots[store->ahead.slots[index]];
        if (at->layer == layer && at->failed)
            return store->ahead.slots[index];
    }
    return WEIR_NO_SLOT;
}

void weir_store_settle_ahead(struct weir_store *store, uint32_t layer)
{
    for (;;) {
        const uint32_t slot = find_failed(store, layer);
        if (slot == WEIR_NO_SLOT)
            return;
        store->slots[slot].is_ahead = false;
        settle(store, slot);
        if (is_listed(&store->ahead, slot))
            weir_store_collect(store, true);
    }
}

void weir_store_stop_ahead(struct weir_store *store)
{
    weir_store_close_ahead(store, WEIR_LAYER_ANY);
    while (store->ahead.slot_count > 0)
        weir_store_collect(store, true);
}

/* Whether look-ahead may hold one more slot of the layer's set; keeps I2. */
static bool may_hold(const struct weir_store *store, uint32_t layer)
{
    const struct weir_cache *cache = &store->cache;
    const uint32_t set = cache->layers[layer].set;
    uint32_t held = 0;
    for (uint32_t index = 0; index < store->ahead.slot_count; index++)
        held += cache->layers[store->slots[store->ahead.slots[index]].layer].set == set;
    return cache->set_live[set] > held + store->step_max;
}

static bool start_ahead(struct weir_store *store, uint32_t record)
{
    struct weir_ahead *ahead = &store->ahead;
    uint32_t victim;
    if (!may_hold(store, ahead->layer))
        return false;
    const uint32_t slot = weir_cache_claim_ahead(&store->cache, ahead->layer, record, &victim);
    if (slot == WEIR_NO_SLOT)
        return false;
    weir_store_open_slot(store, slot, ahead->layer, record, victim);
    store->slots[slot].is_ahead = true;
    store->slots[slot].class = WEIR_READ_AHEAD;
    ahead->slots[ahead->slot_count++] = slot;
    return true;
}

/* Of a guess one slice at a time, or a few small ones: what is in flight when the next step knows
 * what it needs delays it. */
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

/* What is left of the slots that were taken; false when budget or device take no more now. */
static bool ask_for_taken(struct weir_store *store, uint64_t budget_bytes)
{
    const struct weir_ahead *ahead = &store->ahead;
    for (uint32_t index = 0; index < ahead->slot_count; index++) {
        const uint32_t slot = ahead->slots[index];
        const uint32_t slice_count = weir_store_layer_of(store, slot)->config.slice_count;
        if (store->slots[slot].is_ahead && !weir_store_ask(store, slot, slice_count, budget_bytes))
            return false;
    }
    return true;
}

static void ask_ahead(struct weir_store *store)
{
    struct weir_ahead *ahead = &store->ahead;
    const uint64_t budget_bytes = ahead_budget_bytes(store);
    const uint32_t slice_count = store->layers[ahead->layer].config.slice_count;
    const double record_bytes = (double)store->layers[ahead->layer].slot_bytes;
    if (!ask_for_taken(store, budget_bytes))
        return;
    while (ahead->next < ahead->count && store->in_flight_bytes < budget_bytes) {
        const uint32_t record = ahead->records[ahead->next++];
        if (weir_cache_find(&store->cache, ahead->layer, record) != WEIR_NO_SLOT)
            continue;
        /* The last one may end too late: slices that are not asked for yet are never read when it
         * turns out wrong, and those that are, if it is right, need not be read then. */
        if (ahead->left_bytes <= 0.0 || !start_ahead(store, record)) {
            ahead->next = ahead->count;
            return;
        }
        ahead->left_bytes -= record_bytes;
        if (!weir_store_ask(store, ahead->slots[ahead->slot_count - 1], slice_count, budget_bytes))
            return;
    }
}

void weir_store_pump_ahead(struct weir_store *store)
{
    ask_ahead(store);
    weir_io_flush(store->io);
}

void weir_store_expect(weir_store *store, uint32_t layer, const uint32_t *records, uint32_t count,
                       bool is_sure)
{
    struct weir_ahead *ahead = &store->ahead;
    WEIR_ASSERT(layer < store->layer_count && count <= store->layers[layer].config.record_count);
    WEIR_ASSERT(!store->step.is_running || store->step.layer != layer);
    ahead->layer = layer;
    ahead->count = count;
    ahead->next = 0;
    ahead->is_sure = is_sure;
    if (is_sure)
        ahead->left_bytes = (double)INFINITY;
    for (uint32_t index = 0; index < count; index++)
        ahead->records[index] = records[index];
    weir_store_poll(store);
}

bool weir_store_has_time(const weir_store *store)
{
    const struct weir_step *step = &store->step;
    return step->missing_next == step->missing_count &&
           store->in_flight_bytes < ahead_budget_bytes(store);
}

bool weir_store_has_spare(const weir_store *store)
{
    const struct weir_ahead *ahead = &store->ahead;
    if (ahead->next < ahead->count || ahead->left_bytes <= 0.0 || !weir_store_has_time(store))
        return false;
    for (uint32_t index = 0; index < ahead->slot_count; index++) {
        const struct weir_slot *at = &store->slots[ahead->slots[index]];
        if (at->is_ahead && at->asked < store->layers[at->layer].config.slice_count)
            return false;
    }
    return true;
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
    const struct weir_step *step = &store->step;
    weir_store_collect(store, false);
    if (!step->is_running ||
        (weir_store_pump_reads(store) && step->missing_next == step->missing_count))
        weir_store_pump_ahead(store);
}
