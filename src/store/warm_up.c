/* warm_up.c - empty slots filled with records that were worth keeping before, and how often each
 * was used.
 *
 * A cache is cold at first, and the device idle between the reads of one token and the next. The
 * caller names the records that an earlier run of the same model kept. They are read one at a
 * time, and only while the device has nothing to do: what comes then waits for one record at most.
 *
 * I1  Records before `next` had a slot when they were looked at, or were begun, or are not here. */
#include "base/heap.h"
#include "store/store_internal.h"

void weir_store_warm_up(weir_store *store, const struct weir_record_name *records, uint32_t count)
{
    store->warm_up = (struct weir_warm_up){.records = records, .count = count};
    WEIR_STORE_CHECK(store);
}

static bool has_record(const struct weir_store *store, struct weir_record_name name)
{
    return name.layer < store->layer_count &&
           name.record < store->layers[name.layer].config.record_count;
}

/* The next record of the warm-up that has no slot and could have an empty one; false at the end. */
static bool find_next(struct weir_store *store, struct weir_record_name *found)
{
    struct weir_warm_up *warm_up = &store->warm_up;
    while (warm_up->next < warm_up->count) {
        const struct weir_record_name name = warm_up->records[warm_up->next++];
        if (has_record(store, name) &&
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

float weir_store_share(const weir_store *store, struct weir_record_name name)
{
    const struct weir_cache *cache = &store->cache;
    return cache->policy->share == NULL
               ? 0.0f
               : (float)cache->policy->share(cache, cache->first[name.layer] + name.record);
}

enum weir_status weir_store_recall(weir_store *store, const struct weir_record_name *records,
                                   const float *shares, uint32_t count, struct weir_err *err)
{
    struct weir_cache *cache = &store->cache;
    uint32_t told = 0;
    WEIR_ASSERT(cache->step == 0);
    if (cache->policy->recall == NULL || !cache->is_counting)
        return WEIR_OK;
    struct weir_cache_share *list = weir_heap_array(count, sizeof(*list));
    if (list == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a list of %u records", count);
    for (uint32_t index = 0; index < count; index++)
        if (has_record(store, records[index]) && shares[index] > 0.0f)
            list[told++] = (struct weir_cache_share){
                cache->first[records[index].layer] + records[index].record, shares[index]};
    cache->policy->recall(cache, list, told);
    weir_heap_free(list);
    WEIR_STORE_CHECK(store);
    return WEIR_OK;
}

/* Whether there is a reason to keep it, whether or not it has a slot. */
static bool is_worth_keeping(const struct weir_store *store, struct weir_record_name name)
{
    const uint32_t slot = weir_cache_find(&store->cache, name.layer, name.record);
    return (slot != WEIR_NO_SLOT && weir_store_slot_is_whole(store, slot)) ||
           weir_store_share(store, name) > 0.0f;
}

uint32_t weir_store_kept(weir_store *store, struct weir_record_name *records, uint32_t count)
{
    const struct weir_cache *cache = &store->cache;
    uint32_t found = 0;
    weir_cache_count(&store->cache);
    /* A heap of at most count records, the one that is worth the least on top. */
    for (uint32_t at = 0; at < cache->record_count && count > 0; at++) {
        const uint32_t layer = cache->layer_of[at];
        const struct weir_record_name name = {layer, at - cache->first[layer]};
        if (!is_worth_keeping(store, name))
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
    WEIR_STORE_CHECK(store);
    return found;
}
