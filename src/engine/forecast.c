/* forecast.c - speed before a run: bytes that must come, over measured bytes per second.
 *
 * Every figure is a band. The slow end takes the low disk speed, routing without habits and no
 * overlap of reading and computing; the fast end the high speed, stronger habits than three real
 * models have and full overlap. docs/decisions/0004-forecast.md has the measurements behind the
 * constants. */
#include "engine/forecast.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The share of the kernel's measured speed that a whole step reaches. The rest are norms, routing,
 * softmax, activations turned into 8 bits, and threads that wait for each other. */
#define STEP_SHARE_LOW 0.5
#define STEP_SHARE_HIGH 1.1
/* Forks, joins and scalar work of one layer, however small its matrices are. */
#define LAYER_S_LOW 5e-6
#define LAYER_S_HIGH 40e-6

/* Misses of the strongest habits over those of the curve below: models with random weights, whose
 * tokens share much of their residual stream, have 0.66 and 0.83 of them. */
#define MISS_SHARE_LOW 0.6
/* The distinct experts that 16 to 128 tokens of a text use, over those of uniform routing: the
 * least mean over layers of the traces below. */
#define DISTINCT_SHARE_LOW 0.45

enum { CURVE_SHARES = 14, CURVE_TRACES = 3 };

static const double curve_shares[CURVE_SHARES] = {0.0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3,
                                                  0.4, 0.5,  0.6, 0.7,  0.8, 0.9,  1.0};
/* Hit rate of policy learned by the share of experts that have slots, while decoding, from routing
 * traces of real models, one row for each k/E: gpt-oss-120b (2 of 128), Qwen3-30B-A3B (6 of 128),
 * OLMoE-1B-7B (8 of 64). The traces are short, so the upper shares still count first uses; ends by
 * definition. `weir trace replay TRACE --policy learned --fraction 0.05,...` */
static const struct {
    double used_share; /* k/E */
    double hit_rates[CURVE_SHARES];
} curves[CURVE_TRACES] = {
    {2.0 / 128.0, {0, .516, .677, .760, .815, .845, .871, .903, .922, .922, .922, .922, .922, 1}},
    {6.0 / 128.0, {0, .403, .598, .720, .804, .864, .909, .957, .977, .983, .983, .983, .983, 1}},
    {8.0 / 64.0, {0, .457, .457, .506, .584, .649, .698, .781, .850, .903, .946, .976, .994, 1}},
};

/* ---- what a token costs -------------------------------------------------------------------- */

const struct weir_weight *weir_main_weight(const struct weir_model *model)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        if (weir_layer_has_experts(&model->layers[layer]))
            return &model->layers[layer].network.expert_gate;
    return &model->layers[0].network.gate;
}

uint32_t weir_slice_bytes_max(const struct weir_model *model)
{
    uint32_t most = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        struct weir_store_layer at;
        weir_model_store_layer(model, layer, &at);
        for (uint32_t slice = 0; slice < at.slice_count; slice++)
            most = (uint32_t)weir_max(most, at.slice[slice].bytes);
    }
    return most > 0 ? most : WEIR_SLICE_BYTES_DEFAULT;
}

/* Bytes that the device is asked for when all experts of a layer are read. */
static uint64_t layer_read_bytes(const struct weir_store_layer *layer)
{
    uint64_t bytes = 0;
    for (uint32_t expert = 0; expert < layer->record_count; expert++)
        for (uint32_t slice = 0; slice < layer->slice_count; slice++)
            bytes += weir_store_superset(&layer->slice[slice], expert).bytes;
    return bytes;
}

/* Where the layer belongs among what is remembered. */
static struct weir_state_cost *find_state(struct weir_token_cost *cost, const char *what,
                                          uint32_t window)
{
    for (uint32_t index = 0; index < cost->state_count; index++)
        if (cost->states[index].window == window && strcmp(cost->states[index].what, what) == 0)
            return &cost->states[index];
    WEIR_ASSERT(cost->state_count <
                WEIR_STATE_COST_MAX); /* kinds of mixers, and windows, are few */
    struct weir_state_cost *state = &cost->states[cost->state_count++];
    snprintf(state->what, sizeof(state->what), "%s", what);
    state->window = window;
    return state;
}

static void add_state(struct weir_token_cost *cost, const char *what,
                      const struct weir_state_layer *layer)
{
    if (layer->kind == WEIR_STATE_NONE)
        return;
    struct weir_state_cost *state = find_state(cost, what, layer->window);
    state->n_layer++;
    if (layer->kind == WEIR_STATE_RECURRENT)
        state->fixed_bytes += layer->bytes;
    else
        state->position_bytes += layer->bytes;
}

uint64_t weir_token_cost_state(const struct weir_token_cost *cost, uint32_t n_position)
{
    uint64_t bytes = 0;
    for (uint32_t index = 0; cost != NULL && index < cost->state_count; index++) {
        const struct weir_state_cost *state = &cost->states[index];
        const uint64_t seen = state->window > 0 ? weir_min(state->window, n_position) : n_position;
        bytes += state->fixed_bytes + state->position_bytes * seen;
    }
    return bytes;
}

void weir_token_cost_fill(struct weir_token_cost *cost, const struct weir_model *model,
                          const struct weir_kernels *kernels, enum weir_kv kv)
{
    const struct weir_shape *shape = &model->shape;
    const struct weir_weight *embedding = &model->token_embedding;
    uint64_t all_parameters;
    uint64_t read_bytes = 0;
    *cost = (struct weir_token_cost){
        .n_layer = shape->n_layer,
        .n_expert = shape->n_expert,
        .n_expert_used = shape->n_expert_used,
        .expert_uses = weir_model_use_count(model),
        .trunk_bytes = model->trunk_bytes - model->layer_embedding.matrix_bytes -
                       (model->tied ? 0 : embedding->matrix_bytes),
        .slice_bytes = weir_slice_bytes_max(model),
    };
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        struct weir_store_layer at;
        struct weir_state_layer state[WEIR_STATE_PARTS];
        weir_model_store_layer(model, layer, &at);
        weir_model_state_layer(model, layer, kv, state);
        for (int part = 0; part < WEIR_STATE_PARTS; part++)
            add_state(cost, weir_model_state_name(model, layer), &state[part]);
        cost->n_moe_layer += at.record_count > 0;
        read_bytes += layer_read_bytes(&at);
    }
    const uint64_t record_count = (uint64_t)cost->n_moe_layer * shape->n_expert;
    if (record_count > 0) {
        cost->record_bytes = model->expert_bytes / record_count;
        cost->miss_bytes = read_bytes / record_count;
    }
    weir_model_parameters(model, &all_parameters, &cost->prompt_parameters);
    /* A prompt is not multiplied with tables, and only its last token with the output. */
    cost->prompt_parameters -= embedding->rows * embedding->cols;
    cost->prompt_parameters -= model->layer_embedding.rows * model->layer_embedding.cols;
    if (!model->tied)
        cost->prompt_parameters -= model->output.rows * model->output.cols;
    snprintf(cost->type, sizeof(cost->type), "%s",
             weir_quant_info(weir_main_weight(model)->type)->name);
    snprintf(cost->isa, sizeof(cost->isa), "%s", kernels->isa);
}

/* ---- hit rate ------------------------------------------------------------------------------ */

static double interpolate(double at, double from, double to, double from_value, double to_value)
{
    return from_value + (to_value - from_value) * (at - from) / (to - from);
}

static double read_curve(int trace, double share)
{
    int above = 1;
    while (above < CURVE_SHARES - 1 && share > curve_shares[above])
        above++;
    return interpolate(share, curve_shares[above - 1], curve_shares[above],
                       curves[trace].hit_rates[above - 1], curves[trace].hit_rates[above]);
}

/* Between the traces whose k/E are nearest, by its logarithm; past the ends, the end. */
static double habitual_hit_rate(double share, double used_share)
{
    int above = 1;
    while (above < CURVE_TRACES - 1 && used_share > curves[above].used_share)
        above++;
    const double from = curves[above - 1].used_share;
    const double to = curves[above].used_share;
    const double at = fmin(fmax(used_share, from), to);
    return interpolate(log(at), log(from), log(to), read_curve(above - 1, share),
                       read_curve(above, share));
}

/* k/E, of all layers together. */
static double used_share_of(const struct weir_token_cost *cost)
{
    return (double)cost->expert_uses / ((double)cost->n_moe_layer * cost->n_expert);
}

/* The strongest. */
static double hit_rate_of_habits(const struct weir_token_cost *cost, double share)
{
    const double habit = habitual_hit_rate(share, used_share_of(cost));
    return fmax(share, 1.0 - MISS_SHARE_LOW * (1.0 - habit));
}

static struct weir_band forecast_hits(const struct weir_plan *plan, double hit_rate)
{
    const struct weir_token_cost *cost = &plan->cost;
    if (plan->n_expert_total == 0)
        return (struct weir_band){(double)NAN, (double)NAN};
    const double share = (double)plan->n_slot_total / plan->n_expert_total;
    const double share_last = (double)plan->n_slot_last / plan->n_expert_total;
    if (share_last >= 1.0)
        return (struct weir_band){1.0, 1.0};
    if (isfinite(hit_rate))
        return (struct weir_band){hit_rate, hit_rate};
    return (struct weir_band){share_last, hit_rate_of_habits(cost, share)};
}

double weir_expected_hit_rate(const struct weir_token_cost *cost, double share)
{
    return share >= 1.0 ? 1.0 : (share + hit_rate_of_habits(cost, share)) / 2.0;
}

/* ---- speed --------------------------------------------------------------------------------- */

/* Seconds of a step: in turn, or at once. */
struct step {
    double read_s, compute_s;
};

bool weir_calibration_fits(const struct weir_calibration *calibration, const struct weir_plan *plan)
{
    return calibration != NULL && plan != NULL && calibration->decode_bytes_per_s > 0.0 &&
           calibration->n_thread == plan->n_thread &&
           calibration->slice_bytes == plan->cost.slice_bytes &&
           strcmp(calibration->isa, plan->cost.isa) == 0 &&
           strcmp(calibration->type, plan->cost.type) == 0;
}

static void forecast_decode(struct weir_expected *expected, const struct weir_plan *plan,
                            const struct weir_calibration *calibration)
{
    const struct weir_token_cost *cost = &plan->cost;
    const double uses = (double)cost->expert_uses;
    const double weight_bytes = (double)cost->trunk_bytes + uses * (double)cost->record_bytes;
    const double kv_bytes = (double)weir_token_cost_state(cost, plan->n_ctx);
    const double speed = calibration->decode_bytes_per_s;
    struct weir_band read_bytes = {0.0, 0.0};
    if (uses > 0.0) {
        read_bytes.low = uses * (1.0 - expected->hit_rate_band.high) * (double)cost->miss_bytes;
        read_bytes.high = uses * (1.0 - expected->hit_rate_band.low) * (double)cost->miss_bytes;
    }
    const struct weir_band compute_s = {
        .low = weight_bytes / (speed * STEP_SHARE_HIGH) + cost->n_layer * LAYER_S_LOW,
        .high = (weight_bytes / speed + kv_bytes / calibration->dram_bytes_per_s) / STEP_SHARE_LOW +
                cost->n_layer * LAYER_S_HIGH,
    };
    /* What decoding waits for comes in bursts, and those may be slower than a steady stream. */
    const double slow = fmin(calibration->read.low, calibration->burst.low);
    const double fast = fmax(calibration->read.high, calibration->burst.high);
    expected->decode_read_bytes = read_bytes;
    expected->decode_compute_s = compute_s;
    expected->decode_tps.low = 1.0 / (read_bytes.high / slow + compute_s.high);
    expected->decode_tps.high = 1.0 / fmax(read_bytes.low / fast, compute_s.low);
}

/* Distinct experts of n tokens that choose uniformly: each one is missed with (1 - k/E)^n. */
static double count_distinct(const struct weir_token_cost *cost, double n_token)
{
    return cost->n_expert * (1.0 - pow(1.0 - used_share_of(cost), n_token));
}

/* One chunk of a prompt whose positions end at position_end, slow and fast. */
static void forecast_chunk(const struct weir_plan *plan, const struct weir_calibration *calibration,
                           double n_token, uint32_t position_end, struct step *slow,
                           struct step *fast)
{
    const struct weir_token_cost *cost = &plan->cost;
    const double ops = 2.0 * (double)cost->prompt_parameters * n_token;
    const double ops_s = ops / calibration->prefill_ops_per_s;
    const double speed = calibration->decode_bytes_per_s;
    double distinct_high = 0.0;
    double distinct_low = 0.0;
    double resident_share = 1.0;
    if (plan->n_expert_total > 0) {
        distinct_high = count_distinct(cost, n_token) * cost->n_moe_layer;
        distinct_low = fmax(distinct_high * DISTINCT_SHARE_LOW, (double)cost->expert_uses);
        resident_share = (double)plan->n_slot_total / plan->n_expert_total;
    }
    const double record_bytes = (double)cost->record_bytes;
    const double trunk_s = (double)cost->trunk_bytes / speed;
    /* Every position's K and V are passed over once a token, if no cache helps. */
    const double kv_s =
        (double)weir_token_cost_state(cost, position_end) * n_token / calibration->dram_bytes_per_s;
    slow->compute_s =
        (ops_s + trunk_s + distinct_high * record_bytes / speed + kv_s) / STEP_SHARE_LOW +
        cost->n_layer * LAYER_S_HIGH;
    fast->compute_s = fmax(ops_s, trunk_s + distinct_low * record_bytes / speed) / STEP_SHARE_HIGH +
                      cost->n_layer * LAYER_S_LOW;
    /* A chunk passes over all layers, so what it leaves may be of no use to the next one. */
    const double missing = resident_share < 1.0 ? distinct_high : 0.0;
    slow->read_s = missing * (double)cost->miss_bytes / calibration->read.low;
    fast->read_s =
        distinct_low * (1.0 - resident_share) * (double)cost->miss_bytes / calibration->read.high;
}

static void forecast_prefill(struct weir_expected *expected, const struct weir_plan *plan,
                             const struct weir_calibration *calibration, uint64_t prompt_tokens)
{
    const uint64_t total = prompt_tokens > 0 ? prompt_tokens : plan->n_chunk;
    double slow_s = 0.0;
    double fast_s = 0.0;
    for (uint64_t done = 0; done < total;) {
        const uint64_t n_token = weir_min(plan->n_chunk, total - done);
        struct step slow;
        struct step fast;
        done += n_token;
        forecast_chunk(plan, calibration, (double)n_token, (uint32_t)weir_min(done, UINT32_MAX),
                       &slow, &fast);
        slow_s += slow.read_s + slow.compute_s;
        fast_s += fmax(fast.read_s, fast.compute_s);
    }
    expected->prefill_tps.low = (double)total / slow_s;
    expected->prefill_tps.high = (double)total / fast_s;
}

void weir_plan_expect(struct weir_expected *expected, const struct weir_plan *plan,
                      const struct weir_calibration *calibration, uint64_t prompt_tokens,
                      double hit_rate)
{
    const struct weir_band none = {(double)NAN, (double)NAN};
    if (expected == NULL || plan == NULL)
        return;
    *expected = (struct weir_expected){
        .hit_rate = (double)NAN,
        .hit_rate_band = forecast_hits(plan, hit_rate),
        .decode_tps = none,
        .prefill_tps = none,
        .decode_read_bytes = none,
        .decode_compute_s = none,
    };
    expected->hit_rate = (expected->hit_rate_band.low + expected->hit_rate_band.high) / 2.0;
    /* Calibration has no speeds of a GPU. */
    if (plan->gpu.name[0] != '\0' || !weir_calibration_fits(calibration, plan))
        return;
    forecast_decode(expected, plan, calibration);
    forecast_prefill(expected, plan, calibration, prompt_tokens);
}
