/* marks.c - which records are in slots, on their way, or were used last: for whoever watches. */
#include "store/store_internal.h"

/* The last step of the layer; 0: it has had none. */
static uint64_t find_last_step(const struct weir_cache *cache, uint32_t layer)
{
    uint64_t last = 0;
    for (uint32_t record = 0; record < cache->layers[layer].record_count; record++)
        last = weir_max(last, cache->last_steps[cache->first[layer] + record]);
    return last;
}

static unsigned mark(const struct weir_store *store, uint32_t layer, uint32_t record,
                     uint64_t last_step)
{
    const struct weir_cache *cache = &store->cache;
    const uint32_t slot = weir_cache_find(cache, layer, record);
    unsigned marks = 0;
    if (slot != WEIR_NO_SLOT)
        marks |= weir_store_slot_is_whole(store, slot) ? WEIR_RECORD_WHOLE : WEIR_RECORD_READING;
    if (last_step > 0 && cache->last_steps[cache->first[layer] + record] == last_step)
        marks |= WEIR_RECORD_USED;
    return marks;
}

void weir_store_marks_get(const weir_store *store, uint32_t layer, uint8_t *marks, uint32_t count)
{
    const struct weir_cache *cache = &store->cache;
    const bool is_here = layer < cache->layer_count;
    const uint32_t here = is_here ? cache->layers[layer].record_count : 0;
    const uint64_t last_step = is_here ? find_last_step(cache, layer) : 0;
    for (uint32_t record = 0; record < count; record++)
        marks[record] =
            (uint8_t)(record < here ? mark(store, layer, record, last_step) : WEIR_RECORD_ABSENT);
}
