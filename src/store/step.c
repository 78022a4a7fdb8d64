/* step.c - one step: resident records are leased first, then each record as its head lands; in a
 * step of more records than a token has, what has landed goes first.
 *
 * I1  The cache holds a slot from begin, or from the start of its read, until its lease is released
 *     and its tail is there. Nothing else is held but what look-ahead keeps (ahead I1). So no
 *     record is read twice in a step.
 * I2  Slots in step.reading have slices still to come, and each is listed once.
 * I3  Slots are leased and wanted only while a step runs; lease_count is how many are leased.
 * I4  Until the step fails, the slots that it has not leased yet, resident or landed, are READY. */
#include <string.h>

#include "store/store_internal.h"

static struct weir_layer_state *running_layer(struct weir_store *store)
{
    WEIR_ASSERT(store->step.is_running);
    return &store->layers[store->step.layer];
}

/* Give missing records their slots, as far as there are slots, and no more than are submitted soon:
 * who loses a slot to one may be used before it is read. True when there was one. */
static bool start_reads(struct weir_store *store)
{
    struct weir_step *step = &store->step;
    const uint32_t before = step->missing_next;
    while (step->missing_next < step->missing_count && step->failure.status == WEIR_OK &&
           weir_store_may_start(store) &&
           weir_store_start_read(store, running_layer(store), step->missing[step->missing_next],
                                 WEIR_READ_DEMAND))
        step->missing_next++;
    return step->missing_next > before;
}

void weir_store_advance(struct weir_store *store)
{
    const struct weir_step *step = &store->step;
    bool is_all;
    (void)start_reads(store);
    do
        is_all = weir_store_queue_step(store);
    while (is_all && start_reads(store));
    weir_io_flush(store->io);
    if (is_all && step->missing_next == step->missing_count)
        weir_store_submit_ahead(store);
}

/* A record of the step has a slot already: all of it is there, or a read ahead is under way. */
static void take_slot(struct weir_store *store, uint32_t slot)
{
    struct weir_step *step = &store->step;
    WEIR_ASSERT(!store->slots[slot].is_wanted); /* distinct */
    store->slots[slot].is_wanted = true;
    weir_cache_hold(&store->cache, slot); /* keeps I1 */
    weir_store_promote(store, slot);
    if (weir_store_slot_is_whole(store, slot)) {
        step->resident[step->resident_count++] = slot;
        return;
    }
    step->reading[step->reading_count++] = slot;
    if (store->slots[slot].state == WEIR_SLOT_READY)
        step->landed[step->landed_count++] = slot;
}

void weir_store_begin(weir_store *store, uint32_t layer_index, const struct weir_uses *uses)
{
    struct weir_step *step = &store->step;
    WEIR_ASSERT(!step->is_running && layer_index < store->layer_count && store->lease_count == 0);
    WEIR_ASSERT(uses->count <= store->layers[layer_index].config.record_count);
    weir_store_drop_failed_ahead(store, layer_index);
    step->is_running = true;
    step->is_prompt = uses->is_prompt;
    step->layer = layer_index;
    step->count = uses->count;
    step->resident_count = step->resident_next = 0;
    step->missing_count = step->missing_next = 0;
    step->reading_count = step->landed_count = step->landed_next = 0;
    step->failure = (struct weir_err){0};
    weir_cache_begin(&store->cache, layer_index, uses);
    for (uint32_t index = 0; index < uses->count; index++) {
        const uint32_t record = uses->records[index];
        const uint32_t slot = weir_cache_find(&store->cache, layer_index, record);
        step->records[index] = record;
        step->read_count[record] = 0;
        if (slot == WEIR_NO_SLOT)
            step->missing[step->missing_count++] = record;
        else
            take_slot(store, slot);
    }
    weir_store_drop_hint(store, layer_index);
    weir_worth_learn(store);
    store->stats.uses += uses->count;
    store->stats.hits += step->resident_count;
    weir_store_advance(store);
    weir_store_collect(store, false);
    WEIR_STORE_CHECK(store);
}

void weir_store_fill_lease(const struct weir_store *store, const struct weir_layer_state *layer,
                           uint32_t slot, struct weir_lease *lease)
{
    const struct weir_slot *at = &store->slots[slot];
    *lease = (struct weir_lease){.record = at->record, .slot = slot, .place = WEIR_PLACE_MEMORY};
    for (uint32_t slice = 0; slice < layer->config.slice_count; slice++)
        lease->slice[slice] =
            at->memory + layer->slice_at[slice] +
            weir_store_superset(&layer->config.slice[slice], at->record).lead_bytes;
}

static void lease_slot(struct weir_store *store, uint32_t slot, struct weir_lease *lease)
{
    const struct weir_layer_state *layer = running_layer(store);
    struct weir_slot *at = &store->slots[slot];
    WEIR_ASSERT(at->state == WEIR_SLOT_READY);
    at->state = WEIR_SLOT_LEASED;
    at->is_wanted = false;
    store->lease_count++;
    weir_store_guard(store, slot, 0,
                     weir_store_slot_is_whole(store, slot) ? layer->config.slice_count
                                                           : layer->config.head_count,
                     true);
    weir_store_fill_lease(store, layer, slot, lease);
}

/* A record can be leased now. */
static bool has_next(const struct weir_store *store)
{
    const struct weir_step *step = &store->step;
    if (store->waits_for_all && step->reading_count > 0)
        return false;
    return step->resident_next < step->resident_count || step->landed_next < step->landed_count;
}

/* A long step needs the slots of what has landed for other reads. What was there before is work for
 * when nothing has landed. */
static uint32_t next_slot(struct weir_store *store)
{
    struct weir_step *step = &store->step;
    const bool has_landed = step->landed_next < step->landed_count;
    const bool is_long = step->count > store->step_max;
    if (has_landed && (is_long || step->resident_next == step->resident_count))
        return step->landed[step->landed_next++];
    return step->resident[step->resident_next++];
}

static bool is_over(const struct weir_step *step)
{
    return step->resident_next == step->resident_count && step->landed_next == step->landed_count &&
           step->reading_count == 0 && step->missing_next == step->missing_count;
}

/* What the step's first failed read was, for the caller. */
static enum weir_status tell_failure(const struct weir_store *store, struct weir_err *err)
{
    const struct weir_step *step = &store->step;
    WEIR_STORE_CHECK(store);
    if (err != NULL && err->status == WEIR_OK)
        *err = step->failure;
    return step->failure.status;
}

enum weir_status weir_store_next(weir_store *store, struct weir_lease *lease, bool *more,
                                 struct weir_err *err)
{
    struct weir_step *step = &store->step;
    for (;;) {
        weir_store_collect(store, false);
        weir_store_advance(store);
        if (step->failure.status != WEIR_OK)
            return tell_failure(store, err);
        if (has_next(store) || is_over(step))
            break;
        /* Nothing in flight and records still missing: the caller holds every slot. */
        WEIR_ASSERT(store->in_flight_bytes > 0);
        weir_store_collect(store, true);
    }
    *more = has_next(store);
    if (*more)
        lease_slot(store, next_slot(store), lease);
    WEIR_STORE_CHECK(store);
    return WEIR_OK;
}

bool weir_store_ready(weir_store *store)
{
    weir_store_collect(store, false);
    weir_store_advance(store);
    WEIR_STORE_CHECK(store);
    return has_next(store) || is_over(&store->step) || store->step.failure.status != WEIR_OK;
}

bool weir_store_tail_ready(const weir_store *store, const struct weir_lease *lease)
{
    return weir_store_slot_is_whole(store, lease->slot) || store->step.failure.status != WEIR_OK;
}

enum weir_status weir_store_tail(weir_store *store, const struct weir_lease *lease,
                                 struct weir_err *err)
{
    WEIR_ASSERT(store->slots[lease->slot].state == WEIR_SLOT_LEASED);
    while (!weir_store_tail_ready(store, lease)) {
        weir_store_advance(store);
        weir_store_collect(store, true);
    }
    if (store->step.failure.status != WEIR_OK)
        return tell_failure(store, err);
    weir_store_guard(store, lease->slot, 0, running_layer(store)->config.slice_count, true);
    WEIR_STORE_CHECK(store);
    return WEIR_OK;
}

void weir_store_release(weir_store *store, struct weir_lease *lease)
{
    const struct weir_layer_state *layer = running_layer(store);
    struct weir_slot *at = &store->slots[lease->slot];
    WEIR_ASSERT(at->state == WEIR_SLOT_LEASED && at->record == lease->record);
    at->state = WEIR_SLOT_READY;
    store->lease_count--;
    weir_store_guard(store, lease->slot, 0, layer->config.slice_count, false);
    if (weir_store_slot_is_whole(store, lease->slot))
        weir_cache_let_go(&store->cache, lease->slot);
    else if (at->failed && at->arrived == (1u << layer->config.slice_count) - 1)
        weir_store_empty_slot(store, lease->slot);
    memset(lease, 0, sizeof(*lease));
    weir_store_advance(store);
    WEIR_STORE_CHECK(store);
}

void weir_store_end(weir_store *store)
{
    struct weir_step *step = &store->step;
    WEIR_ASSERT(step->is_running && store->lease_count == 0);
    weir_store_drop_reads(store);
    while (step->reading_count > 0) {
        weir_store_submit_step(store);
        weir_store_collect(store, true);
    }
    weir_store_collect(store, false);
    for (uint32_t index = 0; index < step->count; index++) {
        const uint32_t slot = weir_cache_find(&store->cache, step->layer, step->records[index]);
        /* A warm-up may read a record again that the step lost to a failed read. */
        if (slot == WEIR_NO_SLOT || weir_store_is_kept_ahead(store, slot))
            continue;
        store->slots[slot].is_wanted = false;
        weir_cache_let_go(&store->cache, slot);
        if (store->forgets)
            weir_store_empty_slot(store, slot);
    }
    weir_cache_end(&store->cache);
    step->is_running = false;
    WEIR_STORE_CHECK(store);
}

void weir_store_count(weir_store *store)
{
    weir_cache_count(&store->cache);
    WEIR_STORE_CHECK(store);
}
