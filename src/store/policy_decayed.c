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

static double share(const struct weir_cache *cache, uint32_t record)
{
    return ((const double *)cache->state)[record] * (1.0 - decay);
}

/* What the count would be after many steps with that share. */
static void recall(struct weir_cache *cache, const struct weir_cache_share *shares, uint32_t count)
{
    double *counts = cache->state;
    for (uint32_t index = 0; index < count; index++)
        counts[shares[index].record] = (double)shares[index].share / (1.0 - decay);
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
    .share = share,
    .recall = recall,
    .value = value,
};
