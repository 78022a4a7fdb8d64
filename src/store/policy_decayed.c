/* policy_decayed.c - decayed use counts (docs/decisions/0002-eviction.md). */
#include "store/cache.h"

/* A use is worth half as much after 14 steps. */
static const double decay = 0.95;

static uint64_t state_bytes(const struct weir_cache *cache)
{
    return cache->record_count * sizeof(double);
}

static void end(struct weir_cache *cache, uint32_t layer)
{
    double *counts = cache->state;
    const uint32_t first = cache->first[layer];
    for (uint32_t record = first; record < first + cache->layers[layer].record_count; record++) {
        counts[record] *= decay;
        if (weir_cache_is_used(cache, record))
            counts[record] += 1.0;
    }
}

static double value(const struct weir_cache *cache, uint32_t record)
{
    return ((const double *)cache->state)[record];
}

const struct weir_policy weir_policy_decayed = {
    .name = "decayed",
    .about = "the smallest use count of the layer goes; counts fade by 0.95 a step",
    .state_bytes = state_bytes,
    .end = end,
    .value = value,
};
