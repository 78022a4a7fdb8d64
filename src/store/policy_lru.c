/* policy_lru.c - the least recently used goes; and Belady's choice, which knows the future. */
#include "store/cache.h"

/* A list in order of use: a step touches what is there, then what it reads. */
struct lru {
    uint64_t clock;
};

static uint64_t *stamps_of(const struct weir_cache *cache)
{
    return (uint64_t *)((struct lru *)cache->state + 1);
}

static uint64_t state_bytes(const struct weir_cache *cache)
{
    return sizeof(struct lru) + cache->record_count * sizeof(uint64_t);
}

static void touch(struct weir_cache *cache, uint32_t record)
{
    stamps_of(cache)[record] = ++((struct lru *)cache->state)->clock;
}

static double last_use(const struct weir_cache *cache, uint32_t record)
{
    return (double)stamps_of(cache)[record];
}

const struct weir_policy weir_policy_lru = {
    .name = "lru",
    .about = "the least recently used of the layer goes",
    .state_bytes = state_bytes,
    .hit = touch,
    .enter = touch,
    .value = last_use,
};

/* Belady, IBM Systems Journal 5 (1966): what is used again last goes. */
static double next_use(const struct weir_cache *cache, uint32_t record)
{
    return -(double)cache->next_use[record];
}

const struct weir_policy weir_policy_belady = {
    .name = "belady",
    .about = "what is used again last goes: the best there can be, for replay only",
    .needs_future = true,
    .value = next_use,
};
