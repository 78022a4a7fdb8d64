/* resize.c - slots given back to the kernel while the store is in use, and taken again.
 *
 * I1  A slot is retired while its memory has no pages, and only then: retired_bytes are those of
 *     the slots that are retired now. */
#include "store/store_internal.h"

uint64_t weir_store_shrink(weir_store *store, uint64_t bytes)
{
    uint64_t given_bytes = 0;
    WEIR_ASSERT(!store->step.is_running);
    if (bytes > 0)
        weir_store_cover(store);
    while (given_bytes < bytes) {
        const uint32_t slot = weir_cache_retire(&store->cache, store->step_max);
        if (slot == WEIR_NO_SLOT)
            break;
        struct weir_slot *at = &store->slots[slot];
        const uint64_t slot_bytes = store->slot_bytes[weir_cache_set_of(&store->cache, slot)];
        WEIR_ASSERT(at->state == WEIR_SLOT_EMPTY || at->state == WEIR_SLOT_READY);
        *at = (struct weir_slot){.memory = at->memory, .record = WEIR_NO_RECORD};
        if (!weir_mem_discard(store->mem, WEIR_MEM_SLOTS, at->memory, slot_bytes)) {
            weir_cache_readmit(&store->cache, slot); /* keeps I1 */
            break;
        }
        store->stats.retired_slots++;
        store->stats.retired_bytes += slot_bytes;
        store->stats.shrunk_slots++;
        given_bytes += slot_bytes;
    }
    WEIR_STORE_CHECK(store);
    return given_bytes;
}

/* Share of a set's records that have lost their slots; 0 when no slot of the set is retired. */
static double lost_share(const struct weir_cache *cache, uint32_t set)
{
    const uint32_t slot_count = cache->set_first[set + 1] - cache->set_first[set];
    return (double)(slot_count - cache->set_live[set]) / cache->set_records[set];
}

/* A retired slot of at most this many bytes, of the set that lost the largest share; WEIR_NO_SLOT
 * when there is none. */
static uint32_t find_retired(const struct weir_store *store, uint64_t bytes)
{
    const struct weir_cache *cache = &store->cache;
    double most = 0.0;
    uint32_t slot = WEIR_NO_SLOT;
    for (uint32_t set = 0; set < cache->set_count; set++)
        if (store->slot_bytes[set] <= bytes && lost_share(cache, set) > most) {
            most = lost_share(cache, set);
            slot = weir_cache_find_retired(cache, set);
        }
    return slot;
}

static bool restore_memory(struct weir_store *store, uint32_t slot, uint64_t bytes)
{
    uint8_t *memory = store->slots[slot].memory;
    weir_store_guard_memory(memory, bytes, true);
    const bool is_there = weir_mem_restore(store->mem, WEIR_MEM_SLOTS, memory, bytes);
    weir_store_guard_memory(memory, bytes, false);
    return is_there;
}

uint64_t weir_store_grow(weir_store *store, uint64_t bytes)
{
    uint64_t taken_bytes = 0;
    uint32_t slot;
    WEIR_ASSERT(!store->step.is_running);
    while ((slot = find_retired(store, bytes - taken_bytes)) != WEIR_NO_SLOT) {
        const uint64_t slot_bytes = store->slot_bytes[weir_cache_set_of(&store->cache, slot)];
        if (!restore_memory(store, slot, slot_bytes))
            break;
        weir_cache_readmit(&store->cache, slot); /* keeps I1 */
        store->stats.retired_slots--;
        store->stats.retired_bytes -= slot_bytes;
        store->stats.grown_slots++;
        taken_bytes += slot_bytes;
    }
    WEIR_STORE_CHECK(store);
    return taken_bytes;
}
