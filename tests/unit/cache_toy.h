/* cache_toy.h - a trace like a text's, and caches of a few records. */
#ifndef WEIR_CACHE_TOY_H
#define WEIR_CACHE_TOY_H

#include "store/cache.h"
#include "store/store.h"
#include "weir_bench.h"

enum { LAYERS = 3, EXPERTS = 24, USED = 4, TOKENS = 300 };

static uint16_t experts[TOKENS][LAYERS][USED];

/* Text-like routing: each layer has favourites that change every 40 tokens. */
static inline struct weir_trace make_trace(uint64_t seed)
{
    for (uint32_t token = 0; token < TOKENS; token++)
        for (uint32_t layer = 0; layer < LAYERS; layer++)
            for (uint32_t rank = 0; rank < USED;) {
                const uint32_t topic = token / 40 * 5 + layer;
                const bool is_favourite = weir_random_unit(&seed) < 0.7;
                const uint32_t draw = (uint32_t)weir_random_next(&seed);
                const uint16_t expert =
                    (uint16_t)((is_favourite ? topic + draw % 7 : draw) % EXPERTS);
                bool is_new = true;
                for (uint32_t before = 0; before < rank; before++)
                    is_new = is_new && experts[token][layer][before] != expert;
                if (is_new)
                    experts[token][layer][rank++] = expert;
            }
    return (struct weir_trace){.n_layer = LAYERS,
                               .n_expert = EXPERTS,
                               .n_expert_used = USED,
                               .n_token = TOKENS,
                               .n_prompt_token = 30,
                               .experts = &experts[0][0][0]};
}

struct toy {
    struct weir_mem mem;
    struct weir_cache cache;
};

/* Layers of `records` each that share the slots. */
static inline void open_pool(struct toy *toy, const struct weir_policy *policy,
                             uint32_t layer_count, uint32_t records, uint32_t slots)
{
    struct weir_cache_layer layers[4];
    const struct weir_cache_config config = {.policy = policy,
                                             .layer_count = layer_count,
                                             .layers = layers,
                                             .set_count = 1,
                                             .set_slots = &slots};
    for (uint32_t layer = 0; layer < layer_count; layer++)
        layers[layer] = (struct weir_cache_layer){.record_count = records, .set = 0};
    weir_mem_init(&toy->mem);
    weir_cache_layout(&toy->cache, &toy->mem, &config);
    assert_int_equal(weir_mem_open(&toy->mem, NULL), WEIR_OK);
    weir_cache_layout(&toy->cache, &toy->mem, &config);
}

static inline void open_toy(struct toy *toy, const struct weir_policy *policy, uint32_t records,
                            uint32_t slots)
{
    open_pool(toy, policy, 1, records, slots);
}

/* One record used by a step of its own; the record that gave up its slot. */
static inline uint32_t use(struct toy *toy, uint32_t record)
{
    uint32_t victim = WEIR_NO_RECORD;
    weir_cache_begin(&toy->cache, 0, &(struct weir_uses){.records = &record, .count = 1});
    uint32_t slot = weir_cache_find(&toy->cache, 0, record);
    if (slot == WEIR_NO_SLOT)
        slot = weir_cache_claim(&toy->cache, 0, record, &victim);
    else
        weir_cache_hold(&toy->cache, slot);
    weir_cache_let_go(&toy->cache, slot);
    weir_cache_end(&toy->cache);
    return victim;
}

#endif
