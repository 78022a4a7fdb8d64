/* replay.c - a policy over a recorded trace, through the cache that decides in an engine too.
 *
 * Invariants:
 * I1  Beyond WEIR_REPLAY_ALL_BYTES_MAX memory follows what occurs: a layer then has as many
 *     records as experts of it are in the trace, and never more slots than records. An expert that
 *     does not come is never in a slot, so this changes no hit; but learned also learns from what
 *     does not come, so tables that are small have all experts, as in an engine.
 */
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

enum { LAYER_MAX = 4096 };

struct replay {
    const struct weir_trace *trace;
    const struct weir_policy *policy;
    struct weir_cache cache;
    struct weir_mem mem;
    bool has_all;                      /* each layer's records are all its experts */
    uint32_t n_prompt, n_text, length; /* texts that decode together, and tokens of each */
    struct weir_cache_layer *layers;
    uint32_t *set_slots;
    uint16_t *numbers;   /* [n_token][n_layer][n_expert_used] the trace's experts as records */
    uint16_t *experts;   /* [records of all layers] the expert that each of them is */
    uint32_t *next_uses; /* [n_token][n_layer][n_expert_used], when the policy needs the future */
    uint32_t *next_use;  /* [records of all layers], as the cache sees it now */
    uint32_t *records;   /* [step_max] distinct ones of the step ... */
    uint32_t *told;      /* ... and as experts */
    uint32_t *row_counts, *held; /* [step_max] */
    bool *hits;                  /* [step_max] */
};

static size_t step_at(const struct weir_trace *trace, uint32_t token, uint32_t layer)
{
    return ((size_t)token * trace->n_layer + layer) * trace->n_expert_used;
}

static enum weir_status check_trace(const struct weir_trace *trace,
                                    const struct weir_replay_config *config, struct weir_err *err)
{
    if (trace->n_layer == 0 || trace->n_expert_used == 0 ||
        trace->n_expert_used > trace->n_expert || trace->n_expert >= WEIR_EXPERT_NONE)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "trace: %u of %u experts in %u layers make no sense",
                         trace->n_expert_used, trace->n_expert, trace->n_layer);
    if (trace->n_layer > LAYER_MAX || trace->n_layer * trace->n_expert > WEIR_TRACE_PLACE_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "trace: wanted at most %d layers and %d experts in all of them, found %u "
                         "layers of %u",
                         LAYER_MAX, WEIR_TRACE_PLACE_MAX, trace->n_layer, trace->n_expert);
    const size_t count = step_at(trace, trace->n_token, 0);
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
    if (config->n_together > 1 &&
        config->n_together > trace->n_token - weir_min(trace->n_prompt_token, trace->n_token))
        return WEIR_FAIL(
            err, WEIR_ERR_ARG,
            "texts together: wanted at most a text for each of the %u tokens after the "
            "prompt, found %u",
            trace->n_token - (uint32_t)weir_min(trace->n_prompt_token, trace->n_token),
            config->n_together);
    return WEIR_OK;
}

/* How many records a layer has: the experts that occur, or all, in the order of their ids. With
 * experts: tells which they are, and fills the layer's part of replay->numbers. number_of has room
 * for all ids. */
static uint32_t number_layer(struct replay *replay, uint32_t layer, uint16_t *number_of,
                             uint16_t *experts)
{
    const struct weir_trace *trace = replay->trace;
    uint32_t count = 0;
    for (uint32_t expert = 0; expert < trace->n_expert; expert++)
        number_of[expert] = replay->has_all;
    for (uint32_t token = 0; token < trace->n_token; token++)
        for (uint32_t rank = 0; rank < trace->n_expert_used; rank++) {
            const uint16_t expert = trace->experts[step_at(trace, token, layer) + rank];
            if (expert != WEIR_EXPERT_NONE)
                number_of[expert] = 1;
        }
    for (uint32_t expert = 0; expert < trace->n_expert; expert++)
        if (number_of[expert] != 0) {
            if (experts != NULL)
                experts[count] = (uint16_t)expert;
            number_of[expert] = (uint16_t)count++;
        }
    for (uint32_t token = 0; token < trace->n_token && experts != NULL; token++)
        for (uint32_t rank = 0; rank < trace->n_expert_used; rank++) {
            const size_t at = step_at(trace, token, layer) + rank;
            const uint16_t expert = trace->experts[at];
            replay->numbers[at] = expert == WEIR_EXPERT_NONE ? expert : number_of[expert];
        }
    return count;
}

/* The records of each layer; their number, or NOMEM. */
static enum weir_status number_experts(struct replay *replay, uint32_t *record_count,
                                       struct weir_err *err)
{
    const struct weir_trace *trace = replay->trace;
    uint16_t *number_of = weir_heap_array(trace->n_expert, sizeof(*number_of));
    uint32_t total = 0;
    for (uint32_t layer = 0; layer < trace->n_layer && number_of != NULL; layer++) {
        replay->layers[layer].record_count = number_layer(replay, layer, number_of, NULL);
        total += replay->layers[layer].record_count;
    }
    replay->numbers = weir_heap_array(step_at(trace, trace->n_token, 0), sizeof(*replay->numbers));
    replay->experts = weir_heap_array(total, sizeof(*replay->experts));
    const bool has_room = number_of != NULL && replay->numbers != NULL && replay->experts != NULL;
    uint16_t *experts = replay->experts;
    for (uint32_t layer = 0; layer < trace->n_layer && has_room; layer++)
        experts += number_layer(replay, layer, number_of, experts);
    weir_heap_free(number_of);
    *record_count = total;
    return has_room
               ? WEIR_OK
               : WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to replay %u tokens", trace->n_token);
}

/* The tokens of a step: one of each text, which lie `stride` apart. */
struct rows {
    uint32_t token, stride, count;
};

/* The prompt's tokens one by one, then the next one of each text. */
static struct rows rows_of(const struct replay *replay, uint32_t step)
{
    if (step < replay->n_prompt)
        return (struct rows){.token = step, .count = 1};
    return (struct rows){.token = step, .stride = replay->length, .count = replay->n_text};
}

/* Where the experts of one of them are. */
static size_t row_at(const struct replay *replay, const struct rows *rows, uint32_t row,
                     uint32_t layer)
{
    return step_at(replay->trace, rows->token + row * rows->stride, layer);
}

/* Records, their rows, and the experts that they are: how many there are. */
static uint32_t distinct_records(struct replay *replay, uint32_t step, uint32_t layer)
{
    const uint32_t n_used = replay->trace->n_expert_used;
    const struct rows rows = rows_of(replay, step);
    uint32_t count = 0;
    for (uint32_t index = 0; index < rows.count * n_used; index++) {
        const uint16_t *numbers = replay->numbers + row_at(replay, &rows, index / n_used, layer);
        const uint16_t number = numbers[index % n_used];
        uint32_t at = 0;
        if (number == WEIR_EXPERT_NONE)
            continue;
        while (at < count && replay->records[at] != number)
            at++;
        if (at == count) {
            replay->records[count] = number;
            replay->row_counts[count++] = 0;
        }
        replay->row_counts[at]++;
    }
    for (uint32_t index = 0; index < count; index++)
        replay->told[index] = replay->experts[replay->cache.first[layer] + replay->records[index]];
    return count;
}

/* For each use of the trace, the step that uses the same expert next. */
static void find_next_uses(struct replay *replay)
{
    const struct weir_trace *trace = replay->trace;
    for (uint32_t record = 0; record < replay->cache.record_count; record++)
        replay->next_use[record] = UINT32_MAX;
    for (uint32_t step = replay->n_prompt + replay->length; step-- > 0;)
        for (uint32_t layer = 0; layer < trace->n_layer; layer++) {
            const struct rows rows = rows_of(replay, step);
            uint32_t *next_use = replay->next_use + replay->cache.first[layer];
            for (uint32_t index = 0; index < rows.count * trace->n_expert_used; index++) {
                const size_t at = row_at(replay, &rows, index / trace->n_expert_used, layer) +
                                  index % trace->n_expert_used;
                if (replay->numbers[at] != WEIR_EXPERT_NONE)
                    replay->next_uses[at] = next_use[replay->numbers[at]];
            }
            const uint32_t count = distinct_records(replay, step, layer);
            for (uint32_t index = 0; index < count; index++)
                next_use[replay->records[index]] = step * trace->n_layer + layer;
        }
}

static void look_ahead(struct replay *replay, uint32_t step, uint32_t layer)
{
    const uint32_t n_used = replay->trace->n_expert_used;
    const struct rows rows = rows_of(replay, step);
    for (uint32_t index = 0; index < rows.count * n_used; index++) {
        const size_t at = row_at(replay, &rows, index / n_used, layer) + index % n_used;
        if (replay->numbers[at] != WEIR_EXPERT_NONE)
            replay->next_use[replay->cache.first[layer] + replay->numbers[at]] =
                replay->next_uses[at];
    }
}

/* Let the first ones of replay->held go that were not. */
static void let_go(struct replay *replay, uint32_t *gone, uint32_t until)
{
    for (; *gone < until; (*gone)++)
        weir_cache_let_go(&replay->cache, replay->held[*gone]);
}

/* The same order as the store: hits are held first, then each miss takes a slot; of a step of
 * several rows when there are slots, and when fewer than UNDER_WAY are being read. */
static uint32_t run_step(struct replay *replay, uint32_t layer, uint32_t count, uint32_t n_row)
{
    enum { UNDER_WAY = 8 };
    struct weir_cache *cache = &replay->cache;
    const struct weir_uses uses = {.records = replay->records,
                                   .row_counts = replay->row_counts,
                                   .count = count,
                                   .n_row = n_row};
    uint32_t hit_count = 0;
    uint32_t gone = 0;
    weir_cache_begin(cache, layer, &uses);
    for (uint32_t index = 0; index < count; index++) {
        const uint32_t slot = weir_cache_find(cache, layer, replay->records[index]);
        replay->hits[index] = slot != WEIR_NO_SLOT;
        if (slot == WEIR_NO_SLOT)
            continue;
        weir_cache_hold(cache, slot);
        replay->held[hit_count++] = slot;
    }
    for (uint32_t index = 0, held = hit_count; index < count; index++) {
        uint32_t victim;
        uint32_t slot;
        if (replay->hits[index])
            continue;
        if (n_row > 1 && held >= hit_count + UNDER_WAY)
            let_go(replay, &gone, held - UNDER_WAY + 1);
        while ((slot = weir_cache_claim(cache, layer, replay->records[index], &victim)) ==
               WEIR_NO_SLOT)
            let_go(replay, &gone, gone + 1);
        replay->held[held++] = slot;
    }
    let_go(replay, &gone, count);
    weir_cache_end(cache);
    return hit_count;
}

/* What is as long as the trace is wide. */
static enum weir_status take_tables(struct replay *replay, struct weir_err *err)
{
    const struct weir_trace *trace = replay->trace;
    replay->layers = weir_heap_array(trace->n_layer, sizeof(*replay->layers));
    replay->set_slots = weir_heap_array(trace->n_layer, sizeof(*replay->set_slots));
    const uint64_t step_max =
        weir_min((uint64_t)trace->n_expert_used * replay->n_text, trace->n_expert);
    replay->records = weir_heap_array(step_max, sizeof(*replay->records));
    replay->told = weir_heap_array(step_max, sizeof(*replay->told));
    replay->row_counts = weir_heap_array(step_max, sizeof(*replay->row_counts));
    replay->held = weir_heap_array(step_max, sizeof(*replay->held));
    replay->hits = weir_heap_array(step_max, sizeof(*replay->hits));
    if (replay->layers == NULL || replay->set_slots == NULL || replay->records == NULL ||
        replay->told == NULL || replay->row_counts == NULL || replay->held == NULL ||
        replay->hits == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to replay %u tokens", trace->n_token);
    return WEIR_OK;
}

/* Deal the slots as an engine would, and leave those out that could never be filled. */
static struct weir_cache_config deal_slots(struct replay *replay, uint32_t slot_total,
                                           uint32_t record_count)
{
    const struct weir_trace *trace = replay->trace;
    const struct weir_policy *policy = replay->policy;
    const uint32_t n_set = policy->is_pooled ? 1 : trace->n_layer;
    memset(replay->set_slots, 0, n_set * sizeof(*replay->set_slots));
    for (uint32_t layer = 0; layer < trace->n_layer; layer++) {
        const uint32_t slots = weir_cache_deal(policy, slot_total, trace->n_layer, layer,
                                               trace->n_expert_used, trace->n_expert);
        replay->layers[layer].set = policy->is_pooled ? 0 : layer;
        if (policy->is_pooled)
            replay->set_slots[0] = (uint32_t)weir_min(replay->set_slots[0] + slots, record_count);
        else
            replay->set_slots[layer] =
                (uint32_t)weir_min(slots, replay->layers[layer].record_count);
    }
    return (struct weir_cache_config){.policy = policy,
                                      .layer_count = trace->n_layer,
                                      .layers = replay->layers,
                                      .set_count = n_set,
                                      .set_slots = replay->set_slots};
}

/* Whether the tables of all experts are small. */
static bool all_are_few(struct replay *replay, uint32_t slot_total)
{
    const struct weir_trace *trace = replay->trace;
    struct weir_mem plan;
    for (uint32_t layer = 0; layer < trace->n_layer; layer++)
        replay->layers[layer].record_count = trace->n_expert;
    const struct weir_cache_config config =
        deal_slots(replay, slot_total, trace->n_layer * trace->n_expert);
    weir_mem_init(&plan);
    weir_cache_layout(&replay->cache, &plan, &config);
    return weir_mem_bytes(&plan) <= WEIR_REPLAY_ALL_BYTES_MAX;
}

static enum weir_status lay_out(struct replay *replay, uint32_t slot_total, struct weir_err *err)
{
    const struct weir_trace *trace = replay->trace;
    const struct weir_policy *policy = replay->policy;
    uint32_t record_count = 0;
    WEIR_TRY(take_tables(replay, err));
    replay->has_all = all_are_few(replay, slot_total);
    WEIR_TRY(number_experts(replay, &record_count, err));
    const struct weir_cache_config cache_config = deal_slots(replay, slot_total, record_count);
    weir_cache_layout(&replay->cache, &replay->mem, &cache_config);
    if (weir_mem_bytes(&replay->mem) > WEIR_REPLAY_BYTES_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "replay with policy %s: wanted at most %llu bytes of tables, found %llu "
                         "for %u experts that occur in %u layers",
                         policy->name, (unsigned long long)WEIR_REPLAY_BYTES_MAX,
                         (unsigned long long)weir_mem_bytes(&replay->mem), record_count,
                         trace->n_layer);
    WEIR_TRY(weir_mem_open(&replay->mem, err));
    weir_cache_layout(&replay->cache, &replay->mem, &cache_config);
    replay->next_use = weir_heap_array(record_count, sizeof(*replay->next_use));
    if (policy->needs_future)
        replay->next_uses =
            weir_heap_array(step_at(trace, trace->n_token, 0), sizeof(*replay->next_uses));
    if (replay->next_use == NULL || (policy->needs_future && replay->next_uses == NULL))
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to replay %u tokens", trace->n_token);
    replay->cache.next_use = replay->next_use;
    if (policy->needs_future)
        find_next_uses(replay);
    return WEIR_OK;
}

static void run_trace(struct replay *replay, const struct weir_replay_config *config,
                      struct weir_replay_result *result, weir_replay_fn *each, void *user)
{
    const struct weir_trace *trace = replay->trace;
    const uint32_t counted_from =
        replay->n_prompt + (uint32_t)(config->warm_share * replay->length);
    for (uint32_t step = 0; step < replay->n_prompt + replay->length; step++)
        for (uint32_t layer = 0; layer < trace->n_layer; layer++) {
            const bool is_counted = step >= counted_from;
            const uint32_t n_row = rows_of(replay, step).count;
            if (replay->next_uses != NULL)
                look_ahead(replay, step, layer);
            const uint32_t count = distinct_records(replay, step, layer);
            const uint32_t hit_count = run_step(replay, layer, count, n_row);
            if (is_counted) {
                result->uses += count;
                result->hits += hit_count;
                result->tokens += layer == 0 ? n_row : 0;
            }
            if (each != NULL)
                each(user, step, layer, replay->told, replay->hits, count, is_counted);
        }
}

enum weir_status weir_trace_replay(const struct weir_trace *trace,
                                   const struct weir_replay_config *config,
                                   struct weir_replay_result *result, weir_replay_fn *each,
                                   void *user, struct weir_err *err)
{
    struct weir_policy policy;
    struct replay replay = {.trace = trace, .policy = &policy};
    WEIR_NEED(trace, err);
    WEIR_NEED(config, err);
    WEIR_NEED(result, err);
    WEIR_TRY(check_trace(trace, config, err));
    WEIR_TRY(weir_policy_choose(config->policy, config->pool, &policy, err));
    const uint32_t slot_total =
        config->n_slot > 0 ? config->n_slot * trace->n_layer
                           : weir_cache_slot_total(&policy, config->expert_share, trace->n_layer,
                                                   trace->n_expert_used, trace->n_expert);
    replay.n_prompt = (uint32_t)weir_min(trace->n_prompt_token, trace->n_token);
    replay.n_text = (uint32_t)weir_max(config->n_together, 1);
    replay.length = (trace->n_token - replay.n_prompt) / replay.n_text;
    weir_mem_init(&replay.mem);
    const enum weir_status status = lay_out(&replay, slot_total, err);
    if (status == WEIR_OK) {
        *result = (struct weir_replay_result){.n_slot = slot_total / trace->n_layer,
                                              .n_slot_total = slot_total,
                                              .pooled = policy.is_pooled};
        run_trace(&replay, config, result, each, user);
    }
    weir_mem_close(&replay.mem);
    weir_heap_free(replay.layers);
    weir_heap_free(replay.set_slots);
    weir_heap_free(replay.numbers);
    weir_heap_free(replay.experts);
    weir_heap_free(replay.records);
    weir_heap_free(replay.told);
    weir_heap_free(replay.row_counts);
    weir_heap_free(replay.held);
    weir_heap_free(replay.hits);
    weir_heap_free(replay.next_use);
    weir_heap_free(replay.next_uses);
    return status;
}
