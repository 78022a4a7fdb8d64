/* replay.c - a policy over a recorded trace, through the cache that decides in an engine too. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "engine/engine_internal.h"
#include "store/cache.h"

#define POLICY_DEFAULT "learned"

const char *weir_policy_name(uint32_t index)
{
    const struct weir_policy *policy = weir_policy_at(index);
    return policy == NULL ? NULL : policy->name;
}

bool weir_policy_can_pool(uint32_t index)
{
    const struct weir_policy *policy = weir_policy_at(index);
    return policy != NULL && !policy->is_shallow_first;
}

const char *weir_policy_about(uint32_t index)
{
    const struct weir_policy *policy = weir_policy_at(index);
    return policy == NULL ? NULL : policy->about;
}

enum weir_status weir_policy_choose(const char *name, bool pool, struct weir_policy *out,
                                    struct weir_err *err)
{
    char names[160] = "";
    size_t length = 0;
    const struct weir_policy *found = weir_policy_find(name == NULL ? POLICY_DEFAULT : name);
    if (found != NULL) {
        if (pool && found->is_shallow_first)
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "policy %s gives the first layers all their slots: it has no pool",
                             found->name);
        *out = *found;
        out->is_pooled |= pool;
        return WEIR_OK;
    }
    for (uint32_t index = 0; weir_policy_name(index) != NULL && length < sizeof(names); index++)
        length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
                                   index == 0 ? "" : ", ", weir_policy_name(index));
    return WEIR_FAIL(err, WEIR_ERR_ARG, "policy \"%s\": wanted one of %s", name, names);
}

enum weir_status weir_policy_check(const char *name, bool pool, bool in_engine,
                                   struct weir_err *err)
{
    struct weir_policy policy;
    WEIR_TRY(weir_policy_choose(name, pool, &policy, err));
    if (in_engine && policy.needs_future)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "policy %s needs the future: it is for replay only",
                         policy.name);
    return WEIR_OK;
}

struct replay {
    const struct weir_trace *trace;
    struct weir_cache cache;
    struct weir_mem mem;
    struct weir_cache_layer *layers;
    uint32_t *set_slots;
    uint32_t *next_uses; /* [n_token][n_layer][n_expert_used], when the policy needs the future */
    uint32_t *next_use;  /* [records], as the cache sees it now */
    uint32_t *records;   /* [n_expert_used] distinct ones of the step */
    bool *hits;          /* [n_expert_used] */
};

static const uint16_t *step_experts(const struct weir_trace *trace, uint32_t token, uint32_t layer)
{
    return trace->experts + ((size_t)token * trace->n_layer + layer) * trace->n_expert_used;
}

static enum weir_status check_trace(const struct weir_trace *trace,
                                    const struct weir_replay_config *config, struct weir_err *err)
{
    const size_t count = (size_t)trace->n_token * trace->n_layer * trace->n_expert_used;
    if (trace->n_layer == 0 || trace->n_expert_used == 0 ||
        trace->n_expert_used > trace->n_expert || trace->n_expert >= WEIR_EXPERT_NONE)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "trace: %u of %u experts in %u layers make no sense",
                         trace->n_expert_used, trace->n_expert, trace->n_layer);
    for (size_t at = 0; at < count; at++)
        if (trace->experts[at] >= trace->n_expert && trace->experts[at] != WEIR_EXPERT_NONE)
            return WEIR_FAIL(err, WEIR_ERR_ARG, "trace: expert %u of %u at place %zu",
                             trace->experts[at], trace->n_expert, at);
    if (config->n_slot > 0 &&
        (config->n_slot < trace->n_expert_used || config->n_slot > trace->n_expert))
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "slots a layer: wanted %u (the experts of one token) to %u (all), found "
                         "%u",
                         trace->n_expert_used, trace->n_expert, config->n_slot);
    if ((config->n_slot == 0 && !(config->expert_share > 0.0 && config->expert_share <= 1.0)) ||
        !(config->warm_share >= 0.0 && config->warm_share < 1.0))
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "share of experts %g (wanted above 0, at most 1), "
                         "warm share %g (wanted 0 to below 1)",
                         config->expert_share, config->warm_share);
    return WEIR_OK;
}

static uint32_t distinct_records(const struct replay *replay, uint32_t token, uint32_t layer)
{
    const uint16_t *experts = step_experts(replay->trace, token, layer);
    uint32_t count = 0;
    for (uint32_t rank = 0; rank < replay->trace->n_expert_used; rank++) {
        bool is_new = experts[rank] != WEIR_EXPERT_NONE;
        for (uint32_t before = 0; before < count; before++)
            is_new = is_new && replay->records[before] != experts[rank];
        if (is_new)
            replay->records[count++] = experts[rank];
    }
    return count;
}

/* For each use of the trace, the step that uses the same expert next. */
static void find_next_uses(struct replay *replay)
{
    const struct weir_trace *trace = replay->trace;
    const size_t n_record = (size_t)trace->n_layer * trace->n_expert;
    for (size_t record = 0; record < n_record; record++)
        replay->next_use[record] = UINT32_MAX;
    for (uint32_t token = trace->n_token; token-- > 0;)
        for (uint32_t layer = 0; layer < trace->n_layer; layer++) {
            const uint16_t *experts = step_experts(trace, token, layer);
            for (uint32_t rank = 0; rank < trace->n_expert_used; rank++)
                if (experts[rank] != WEIR_EXPERT_NONE)
                    replay->next_uses[(size_t)(experts - trace->experts) + rank] =
                        replay->next_use[layer * trace->n_expert + experts[rank]];
            for (uint32_t rank = 0; rank < trace->n_expert_used; rank++)
                if (experts[rank] != WEIR_EXPERT_NONE)
                    replay->next_use[layer * trace->n_expert + experts[rank]] =
                        token * trace->n_layer + layer;
        }
}

static void look_ahead(struct replay *replay, uint32_t token, uint32_t layer)
{
    const struct weir_trace *trace = replay->trace;
    const uint16_t *experts = step_experts(trace, token, layer);
    for (uint32_t rank = 0; rank < trace->n_expert_used; rank++)
        if (experts[rank] != WEIR_EXPERT_NONE)
            replay->next_use[layer * trace->n_expert + experts[rank]] =
                replay->next_uses[(size_t)(experts - trace->experts) + rank];
}

/* The same order as the store: hits are held first, then each miss takes a slot. */
static uint32_t run_step(struct replay *replay, uint32_t layer, uint32_t count)
{
    struct weir_cache *cache = &replay->cache;
    uint32_t hit_count = 0;
    weir_cache_begin(cache, layer, replay->records, count);
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t slot = weir_cache_find(cache, layer, replay->records[index]);
        replay->hits[index] = slot != WEIR_NO_SLOT;
        hit_count += replay->hits[index];
        if (slot != WEIR_NO_SLOT)
            weir_cache_hold(cache, slot);
    }
    for (uint32_t index = 0; index < count; index++) {
        uint32_t victim;
        if (!replay->hits[index])
            (void)weir_cache_claim(cache, layer, replay->records[index], &victim);
    }
    for (uint32_t index = 0; index < count; index++)
        weir_cache_let_go(cache, weir_cache_find(cache, layer, replay->records[index]));
    weir_cache_end(cache);
    return hit_count;
}

static enum weir_status lay_out(struct replay *replay, const struct weir_policy *policy,
                                uint32_t slot_total, struct weir_err *err)
{
    const struct weir_trace *trace = replay->trace;
    const size_t n_use = (size_t)trace->n_token * trace->n_layer * trace->n_expert_used;
    const size_t n_record = (size_t)trace->n_layer * trace->n_expert;
    const uint32_t n_set = policy->is_pooled ? 1 : trace->n_layer;
    replay->layers = weir_heap_array(trace->n_layer, sizeof(*replay->layers));
    replay->set_slots = weir_heap_array(n_set, sizeof(*replay->set_slots));
    replay->records = weir_heap_array(trace->n_expert_used, sizeof(*replay->records));
    replay->hits = weir_heap_array(trace->n_expert_used, sizeof(*replay->hits));
    replay->next_use = weir_heap_array(n_record, sizeof(*replay->next_use));
    if (policy->needs_future)
        replay->next_uses = weir_heap_array(n_use, sizeof(*replay->next_uses));
    if (replay->layers == NULL || replay->set_slots == NULL || replay->records == NULL ||
        replay->hits == NULL || replay->next_use == NULL ||
        (policy->needs_future && replay->next_uses == NULL))
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to replay %u tokens", trace->n_token);
    for (uint32_t layer = 0; layer < trace->n_layer; layer++) {
        replay->layers[layer].record_count = trace->n_expert;
        replay->layers[layer].set = policy->is_pooled ? 0 : layer;
        replay->set_slots[replay->layers[layer].set] += weir_cache_deal(
            policy, slot_total, trace->n_layer, layer, trace->n_expert_used, trace->n_expert);
    }
    const struct weir_cache_config cache_config = {.policy = policy,
                                                   .layer_count = trace->n_layer,
                                                   .layers = replay->layers,
                                                   .set_count = n_set,
                                                   .set_slots = replay->set_slots};
    weir_cache_layout(&replay->cache, &replay->mem, &cache_config);
    WEIR_TRY(weir_mem_open(&replay->mem, err));
    weir_cache_layout(&replay->cache, &replay->mem, &cache_config);
    replay->cache.next_use = replay->next_use;
    if (policy->needs_future)
        find_next_uses(replay);
    return WEIR_OK;
}

static void run_trace(struct replay *replay, const struct weir_replay_config *config,
                      struct weir_replay_result *result, weir_replay_fn *each, void *user)
{
    const struct weir_trace *trace = replay->trace;
    const uint32_t n_prompt = (uint32_t)weir_min(trace->n_prompt_token, trace->n_token);
    const uint32_t counted_from =
        n_prompt + (uint32_t)(config->warm_share * (trace->n_token - n_prompt));
    for (uint32_t token = 0; token < trace->n_token; token++)
        for (uint32_t layer = 0; layer < trace->n_layer; layer++) {
            const bool is_counted = token >= counted_from;
            if (replay->next_uses != NULL)
                look_ahead(replay, token, layer);
            const uint32_t count = distinct_records(replay, token, layer);
            const uint32_t hit_count = run_step(replay, layer, count);
            if (is_counted) {
                result->uses += count;
                result->hits += hit_count;
            }
            if (each != NULL)
                each(user, token, layer, replay->records, replay->hits, count, is_counted);
        }
}

enum weir_status weir_trace_replay(const struct weir_trace *trace,
                                   const struct weir_replay_config *config,
                                   struct weir_replay_result *result, weir_replay_fn *each,
                                   void *user, struct weir_err *err)
{
    struct weir_policy policy;
    struct replay replay = {.trace = trace};
    WEIR_TRY(check_trace(trace, config, err));
    WEIR_TRY(weir_policy_choose(config->policy, config->pool, &policy, err));
    const uint32_t slot_total =
        config->n_slot > 0 ? config->n_slot * trace->n_layer
                           : weir_cache_slot_total(&policy, config->expert_share, trace->n_layer,
                                                   trace->n_expert_used, trace->n_expert);
    weir_mem_init(&replay.mem);
    const enum weir_status status = lay_out(&replay, &policy, slot_total, err);
    if (status == WEIR_OK) {
        *result = (struct weir_replay_result){.n_slot = slot_total / trace->n_layer,
                                              .n_slot_total = slot_total,
                                              .pooled = policy.is_pooled};
        run_trace(&replay, config, result, each, user);
    }
    weir_mem_close(&replay.mem);
    weir_heap_free(replay.layers);
    weir_heap_free(replay.set_slots);
    weir_heap_free(replay.records);
    weir_heap_free(replay.hits);
    weir_heap_free(replay.next_use);
    weir_heap_free(replay.next_uses);
    return status;
}
