/* shrink.c - slots given back to the kernel while the store is in use. */
#include "store/store_internal.h"

static uint64_t bytes_of(const struct weir_store *store, uint32_t slot)
{
    uint32_t set = 0;
    while (slot >= store->cache.set_first[set + 1])
        set++;
    return store->slot_bytes[set];
}

uint64_t weir_store_shrink(weir_store *store, uint64_t bytes)
{
    uint64_t given_bytes = 0;
    WEIR_ASSERT(!store->step.is_running);
    while (given_bytes < bytes) {
        const uint32_t slot = weir_cache_retire(&store->cache, store->step_max);
        if (slot == WEIR_NO_SLOT)
            break;
        struct weir_slot *at = &store->slots[slot];
        const uint64_t slot_bytes = bytes_of(store, slot);
        WEIR_ASSERT(at->state == WEIR_SLOT_EMPTY || at->state == WEIR_SLOT_READY);
        *at = (struct weir_slot){.memory = at->memory, .record = WEIR_NO_RECORD};
        store->stats.retired_slots++;
        if (!weir_mem_discard(store->mem, WEIR_MEM_SLOTS, at->memory, slot_bytes))
            break;
        store->stats.retired_bytes += slot_bytes;
        given_bytes += slot_bytes;
    }
    return given_bytes;
}
