/* policy_edgemoe.c - how often a record is used over how far away its layer is.
 *
 * EdgeMoE (arXiv:2308.14352, section 3.4) prints L = -f / ((S - i + I) mod S), evicting the
 * highest, whose denominator is the distance since layer i ran; the text means the distance until
 * it runs again, and so does this: keep f / d with d = (i - I) mod S, S for the layer that runs
 * now. */
#include "store/cache.h"

static uint64_t state_bytes(const struct weir_cache *cache)
{
    return cache->record_count * sizeof(uint64_t);
}

static void end(struct weir_cache *cache, uint32_t layer)
{
    uint64_t *uses = cache->state;
    const uint32_t first = cache->first[layer];
    for (uint32_t record = first; record < first + cache->layers[layer].record_count; record++)
        uses[record] += weir_cache_is_used(cache, record);
}

static double value(const struct weir_cache *cache, uint32_t record)
{
    return (double)((const uint64_t *)cache->state)[record] / weir_cache_distance(cache, record);
}

const struct weir_policy weir_policy_edgemoe = {
    .name = "edgemoe",
    .about = "uses over layers until the next turn, over slots that all layers share (EdgeMoE)",
    .is_pooled = true,
    .state_bytes = state_bytes,
    .end = end,
    .value = value,
};
