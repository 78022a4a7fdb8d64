/* shown.c - slots that are read between steps. */
#include <string.h>

#include "store/shown.h"
#include "store/store_internal.h"

bool weir_store_show(weir_store *store, uint32_t layer_index, uint32_t record,
                     struct weir_lease *lease)
{
    const struct weir_layer_state *layer = &store->layers[layer_index];
    WEIR_ASSERT(!store->step.is_running);
    if (record >= layer->config.record_count)
        return false;
    const uint32_t slot = weir_cache_find(&store->cache, layer_index, record);
    if (slot == WEIR_NO_SLOT || !weir_store_slot_is_whole(store, slot))
        return false;
    weir_store_guard(store, slot, 0, layer->config.slice_count, true);
    weir_store_fill_lease(store, layer, slot, lease);
    WEIR_STORE_CHECK(store);
    return true;
}

void weir_store_hide(weir_store *store, struct weir_lease *lease)
{
    const struct weir_layer_state *layer = weir_store_layer_of(store, lease->slot);
    weir_store_guard(store, lease->slot, 0, layer->config.slice_count, false);
    memset(lease, 0, sizeof(*lease));
    WEIR_STORE_CHECK(store);
}

void weir_store_expose(weir_store *store, weir_store_stop_fn *stop, void *user)
{
    for (uint32_t layer = 0; layer < store->layer_count; layer++)
        WEIR_ASSERT(weir_store_is_whole(store, layer));
    for (uint32_t set = 0; set < store->cache.set_count; set++)
        weir_store_guard_set(store, set, true);
    store->stop = stop;
    store->stop_user = user;
    WEIR_STORE_CHECK(store);
}

bool weir_store_is_exposed(const weir_store *store)
{
    return store->stop != NULL;
}

void weir_store_cover(struct weir_store *store)
{
    weir_store_stop_fn *stop = store->stop;
    if (stop == NULL)
        return;
    stop(store->stop_user);
    store->stop = NULL;
    for (uint32_t set = 0; set < store->cache.set_count; set++)
        weir_store_guard_set(store, set, false);
}
