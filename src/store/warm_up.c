/* warm_up.c - empty slots filled with records that were worth keeping before.
 *
 * A cache is cold at first, and the device idle between the reads of one token and the next. The
 * caller names the records that an earlier run of the same model kept. They are read one at a
 * time, and only while the device has nothing to do: what comes then waits for one record at most.
 *
 * I1  Records before `next` had a slot when they were looked at, or were begun, or are not here. */
#include "store/store_internal.h"

void weir_store_warm_up(weir_store *store, const struct weir_record_name *records, uint32_t count)
{
    store->warm_up = (struct weir_warm_up){.records = records, .count = count};
}

/* The next record of the warm-up that has no slot and could have an empty one; false at the end. */
static bool find_next(struct weir_store *store, struct weir_record_name *found)
{
    struct weir_warm_up *warm_up = &store->warm_up;
    while (warm_up->next < warm_up->count) {
        const struct weir_record_name name = warm_up->records[warm_up->next++];
        if (name.layer < store->layer_count &&
            name.record < store->layers[name.layer].config.record_count &&
            weir_cache_find(&store->cache, name.layer, name.record) == WEIR_NO_SLOT &&
            weir_cache_has_empty(&store->cache, name.layer)) {
            *found = name;
            return true;
        }
    }
    return false;
}

void weir_store_submit_warm_up(struct weir_store *store)
{
    struct weir_record_name name;
    if (!find_next(store, &name) ||
        !weir_store_may_keep(store, store->cache.layers[name.layer].set))
        return;
    const uint32_t slot =
        weir_store_take_slot(store, &store->layers[name.layer], name.record, WEIR_READ_WARM_UP);
    if (slot != WEIR_NO_SLOT)
        weir_store_keep_reading(store, slot);
}

/* a would lose its slot later than b. */
static bool is_kept_longer(const struct weir_cache *cache, struct weir_record_name a,
                           struct weir_record_name b)
{
    const uint32_t left = cache->first[a.layer] + a.record;
    const uint32_t right = cache->first[b.layer] + b.record;
    const double left_value = cache->policy->value(cache, left);
    const double right_value = cache->policy->value(cache, right);
    if (left_value != right_value)
        return left_value > right_value;
    return cache->last_steps[left] > cache->last_steps[right];
}

static void sift_down(const struct weir_cache *cache, struct weir_record_name *heap, uint32_t count,
                      uint32_t at)
{
    for (;;) {
        uint32_t last = at;
        for (uint32_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
            if (is_kept_longer(cache, heap[last], heap[child]))
                last = child;
        if (last == at)
            return;
        const struct weir_record_name moved = heap[at];
        heap[at] = heap[last];
        heap[last] = moved;
        at = last;
    }
}

static void make_heap(const struct weir_cache *cache, struct weir_record_name *heap, uint32_t count)
{
    for (uint32_t at = count / 2; at > 0; at--)
        sift_down(cache, heap, count, at - 1);
}

uint32_t weir_store_kept(weir_store *store, struct weir_record_name *records, uint32_t count)
{
    const struct weir_cache *cache = &store->cache;
    uint32_t found = 0;
    weir_cache_count(&store->cache);
    /* A heap of at most count records, the one that would be lost first on top. */
    for (uint32_t slot = 0; slot < cache->slot_count && count > 0; slot++) {
        const struct weir_record_name name = {store->slots[slot].layer, store->slots[slot].record};
        if (cache->record_in[slot] == WEIR_NO_RECORD || !weir_store_slot_is_whole(store, slot))
            continue;
        if (found < count) {
            records[found++] = name;
            if (found == count)
                make_heap(cache, records, found);
        } else if (is_kept_longer(cache, name, records[0])) {
            records[0] = name;
            sift_down(cache, records, found, 0);
        }
    }
    make_heap(cache, records, found);
    for (uint32_t left = found; left > 1; left--) {
        const struct weir_record_name first = records[0];
        records[0] = records[left - 1];
        records[left - 1] = first;
        sift_down(cache, records, left - 1, 0);
    }
    return found;
}
