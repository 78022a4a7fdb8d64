/* check.c - asserts the room's numbered promises.
 *
 * Debug builds do it after every call of the room (WEIR_STORE_CHECK), tests in every build. Each
 * assertion names the promise that it looks at: the file, and the number at the top of it. Promises
 * about choices cannot be seen afterwards: cache I2 is asserted where it is kept; cache I3 and
 * store I3 are for tests. */
#include "store/store_internal.h"

static void check_set(const struct weir_cache *cache, uint32_t set)
{
    uint32_t empty_count = 0;
    uint32_t live_count = 0;
    for (uint32_t slot = cache->set_first[set]; slot < cache->set_first[set + 1]; slot++) {
        const uint32_t record = cache->record_in[slot];
        const bool is_retired = cache->holds[slot] == WEIR_HOLD_RETIRED;
        live_count += !is_retired;
        empty_count += !is_retired && record == WEIR_NO_RECORD;
        if (record == WEIR_NO_RECORD) {
            WEIR_ASSERT(is_retired || cache->holds[slot] == WEIR_HOLD_NONE); /* cache I6 */
            continue;
        }
        WEIR_ASSERT(!is_retired);                                       /* cache I4 */
        WEIR_ASSERT(cache->slot_of[record] == slot);                    /* cache I1 */
        WEIR_ASSERT(cache->layers[cache->layer_of[record]].set == set); /* cache I1 */
    }
    WEIR_ASSERT(cache->set_empty[set] == empty_count);                        /* cache I5 */
    WEIR_ASSERT(cache->set_live[set] == live_count);                          /* cache I5 */
    WEIR_ASSERT(cache->is_counting || live_count >= cache->set_records[set]); /* cache I7 */
}

void weir_cache_check(const struct weir_cache *cache)
{
    for (uint32_t set = 0; set < cache->set_count; set++)
        check_set(cache, set);
    for (uint32_t record = 0; record < cache->record_count; record++) {
        const uint32_t slot = cache->slot_of[record];
        WEIR_ASSERT(slot == WEIR_NO_SLOT || cache->record_in[slot] == record); /* cache I1 */
    }
}

static uint32_t count_in(const uint32_t *slots, uint32_t count, uint32_t slot)
{
    uint32_t found = 0;
    for (uint32_t index = 0; index < count; index++)
        found += slots[index] == slot;
    return found;
}

/* A slot with a record. Returns its bytes in flight. */
static uint64_t check_slot(const struct weir_store *store, uint32_t slot)
{
    const struct weir_slot *at = &store->slots[slot];
    const struct weir_store_layer *config = &store->layers[at->layer].config;
    const uint32_t submitted = (1u << at->submitted) - 1;
    const uint32_t head = (1u << config->head_count) - 1;
    const bool has_head = (at->arrived & head) == head;
    uint64_t flying_bytes = 0;
    WEIR_ASSERT(at->submitted <= config->slice_count);                                /* reads I1 */
    WEIR_ASSERT((at->arrived & ~submitted) == 0);                                     /* reads I1 */
    WEIR_ASSERT(at->state == WEIR_SLOT_READING ? !has_head || at->failed : has_head); /* reads I2 */
    for (uint32_t slice = 0; slice < at->submitted; slice++)
        if ((at->arrived & 1u << slice) == 0)
            flying_bytes += weir_store_superset(&config->slice[slice], at->record).bytes;
    return flying_bytes;
}

/* Who keeps a slot: the step, look-ahead or nobody. */
static void check_keeper(const struct weir_store *store, uint32_t slot, uint64_t flying_bytes)
{
    const struct weir_slot *at = &store->slots[slot];
    const struct weir_step *step = &store->step;
    const uint32_t in_step = count_in(step->reading, step->reading_count, slot);
    const uint32_t in_ahead = count_in(store->ahead.slots, store->ahead.slot_count, slot);
    const bool is_of_step = at->is_wanted || at->state == WEIR_SLOT_LEASED || in_step > 0;
    const uint32_t all = (1u << store->layers[at->layer].config.slice_count) - 1;
    const bool is_held = store->cache.holds[slot] == WEIR_HOLD_FIRM;
    WEIR_ASSERT(in_step + in_ahead <= 1);                           /* step I2, ahead I1 */
    WEIR_ASSERT(in_step == 0 || at->arrived != all);                /* step I2 */
    WEIR_ASSERT(!is_of_step || step->is_running);                   /* step I3 */
    WEIR_ASSERT(is_held == (is_of_step || in_ahead > 0));           /* step I1 */
    WEIR_ASSERT(!at->is_ahead || in_ahead == 1);                    /* ahead I1 */
    WEIR_ASSERT(in_ahead == 0 || at->is_ahead || flying_bytes > 0); /* ahead I1 */
    WEIR_ASSERT(flying_bytes == 0 || in_step + in_ahead == 1);      /* store I2 */
}

static void check_slots(const struct weir_store *store)
{
    const struct weir_cache *cache = &store->cache;
    uint32_t lease_count = 0;
    uint64_t flying_bytes = 0;
    for (uint32_t slot = 0; slot < cache->slot_count; slot++) {
        const struct weir_slot *at = &store->slots[slot];
        if (at->state == WEIR_SLOT_EMPTY) {
            WEIR_ASSERT(cache->record_in[slot] == WEIR_NO_RECORD);              /* store I1 */
            WEIR_ASSERT(!at->is_wanted && !at->is_ahead && at->submitted == 0); /* store I1 */
            continue;
        }
        const uint32_t record = cache->first[at->layer] + at->record;
        const uint64_t slot_flying_bytes = check_slot(store, slot);
        WEIR_ASSERT(cache->record_in[slot] == record); /* store I1 */
        check_keeper(store, slot, slot_flying_bytes);
        lease_count += at->state == WEIR_SLOT_LEASED;
        flying_bytes += slot_flying_bytes;
    }
    WEIR_ASSERT(store->lease_count == lease_count);      /* step I3 */
    WEIR_ASSERT(store->in_flight_bytes == flying_bytes); /* store I2 */
}

/* Those that the step has not leased yet. */
static void check_queue(const struct weir_store *store, const uint32_t *slots, uint32_t next,
                        uint32_t count)
{
    for (; next < count; next++) {
        const struct weir_slot *at = &store->slots[slots[next]];
        WEIR_ASSERT(at->state == WEIR_SLOT_READY && at->is_wanted); /* step I4 */
        WEIR_ASSERT(at->layer == store->step.layer);                /* step I4 */
    }
}

static void check_sets(const struct weir_store *store)
{
    const struct weir_cache *cache = &store->cache;
    uint64_t retired_slots = 0;
    uint64_t retired_bytes = 0;
    for (uint32_t set = 0; set < cache->set_count; set++) {
        const uint32_t slot_count = cache->set_first[set + 1] - cache->set_first[set];
        const uint32_t retired = slot_count - cache->set_live[set];
        const uint32_t left = cache->set_live[set] - weir_store_ahead_held(store, set);
        retired_slots += retired;
        retired_bytes += retired * store->slot_bytes[set];
        WEIR_ASSERT(left >= weir_cache_fewest(cache, set, store->step_max)); /* ahead I2 */
    }
    WEIR_ASSERT(store->stats.retired_slots == retired_slots); /* resize I1 */
    WEIR_ASSERT(store->stats.retired_bytes == retired_bytes); /* resize I1 */
}

void weir_store_check(const struct weir_store *store)
{
    const struct weir_step *step = &store->step;
    const struct weir_ahead *ahead = &store->ahead;
    weir_cache_check(&store->cache);
    check_slots(store);
    check_sets(store);
    if (step->is_running && step->failure.status == WEIR_OK) {
        check_queue(store, step->resident, step->resident_next, step->resident_count);
        check_queue(store, step->landed, step->landed_next, step->landed_count);
    }
    WEIR_ASSERT(ahead->next <= ahead->count);                                     /* ahead I3 */
    WEIR_ASSERT(ahead->count <= store->layers[ahead->layer].config.record_count); /* ahead I3 */
}
