/* route.c - which experts each row uses, and the same seen from the experts. */
#include "model/model_internal.h"

#include <float.h>
#include <math.h>
#include <string.h>

uint32_t weir_rank(const float *values, uint32_t n, uint32_t *ids, uint32_t most)
{
    uint32_t count = 0;
    for (uint32_t id = 0; id < n; id++) {
        if (count == most && !(values[id] > values[ids[count - 1]]))
            continue;
        uint32_t at = count < most ? count++ : count - 1;
        for (; at > 0 && values[ids[at - 1]] < values[id]; at--)
            ids[at] = ids[at - 1];
        ids[at] = id;
    }
    return count;
}

/* Ascending by id: outputs are summed in this order, whatever order the experts arrive in. */
static void sort_by_id(uint32_t *ids, float *weights, uint32_t count)
{
    for (uint32_t index = 1; index < count; index++) {
        const uint32_t id = ids[index];
        const float weight = weights[index];
        uint32_t at = index;
        for (; at > 0 && ids[at - 1] > id; at--) {
            ids[at] = ids[at - 1];
            weights[at] = weights[at - 1];
        }
        ids[at] = id;
        weights[at] = weight;
    }
}

/* What is not a number or infinite stays noticeable: times 0 a finite value is nothing. */
static float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x)) + 0.0f * x;
}

/* sqrt(log(1 + exp(x))), without an overflow. */
static float sqrt_softplus(float x)
{
    return sqrtf(fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x)))) + 0.0f * x;
}

/* What each expert would weigh, in place of the router's outputs: softmax (Qwen3 arXiv:2505.09388),
 * sigmoid (DeepSeek-V3 arXiv:2412.19437 eq. 15), or the square root of softplus. */
static void weigh_all(enum weir_gating_kind kind, float *values, uint32_t n_expert)
{
    switch (kind) {
    case WEIR_GATING_SOFTMAX:
        weir_softmax(values, n_expert);
        return;
    case WEIR_GATING_SIGMOID:
        for (uint32_t id = 0; id < n_expert; id++)
            values[id] = sigmoid(values[id]);
        return;
    case WEIR_GATING_SQRT_SOFTPLUS:
        for (uint32_t id = 0; id < n_expert; id++)
            values[id] = sqrt_softplus(values[id]);
        return;
    case WEIR_GATING_SOFTMAX_OF_CHOSEN:
    case WEIR_GATING_SIGMOID_OF_CHOSEN:
        return;
    }
}

/* What goes by the chosen ones alone. */
static void weigh_chosen(enum weir_gating_kind kind, float *weights, uint32_t n_used)
{
    if (kind == WEIR_GATING_SOFTMAX_OF_CHOSEN)
        weir_softmax(weights, n_used);
    for (uint32_t rank = 0; kind == WEIR_GATING_SIGMOID_OF_CHOSEN && rank < n_used; rank++)
        weights[rank] = sigmoid(weights[rank]);
}

/* A group counts as much as its two best experts together (DeepSeek-V3, arXiv:2412.19437 section
 * 2.1.2), or as its best one (DeepSeek-V2, arXiv:2405.04434 section 2.2.2). */
static float score_group(const float *selection, uint32_t count, uint32_t n_best)
{
    uint32_t best[2] = {0};
    const uint32_t found = weir_rank(selection, count, best, n_best);
    return selection[best[0]] + (found > 1 ? selection[best[1]] : 0.0f);
}

/* Experts of all groups but the n_group_used best are below any that may be chosen. */
static void drop_groups(const struct weir_gating *gating, float *selection, uint32_t n_expert)
{
    const uint32_t width = n_expert / gating->n_group;
    float scores[WEIR_GROUP_MAX] = {0};
    uint32_t ranked[WEIR_GROUP_MAX];
    for (uint32_t group = 0; group < gating->n_group; group++)
        scores[group] = score_group(selection + group * width, width, gating->n_group_best);
    weir_rank(scores, gating->n_group, ranked, gating->n_group);
    for (uint32_t rank = gating->n_group_used; rank < gating->n_group; rank++)
        for (uint32_t at = 0; at < width; at++)
            selection[ranked[rank] * width + at] = -FLT_MAX;
}

void weir_route_select(const struct weir_network *network, uint32_t n_expert, float *router,
                       float *selection)
{
    const struct weir_vector *bias = &network->selection_bias;
    for (uint32_t id = 0; id < n_expert && network->gating.steepness != 1.0f; id++)
        router[id] *= network->gating.steepness;
    weigh_all(network->gating.kind, router, n_expert);
    if (selection == router)
        return;
    for (uint32_t id = 0; id < n_expert; id++)
        selection[id] = router[id] + (bias->tensor != NULL ? bias->data[id] : 0.0f);
    if (network->gating.n_group > 0 && weir_all_finite(selection, n_expert))
        drop_groups(&network->gating, selection, n_expert);
}

/* The n_expert_used that the row is to use, and their weights. */
static void route_row(const struct weir_forward *forward, float *router, float *selection,
                      uint32_t *ids, float *weights)
{
    /* The least sum that is divided by, where all weights may be near 0. */
    static const float least_total = 6.103515625e-5f;
    const struct weir_gating *gating = &forward->step.layer->network.gating;
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    weir_route_select(&forward->step.layer->network, n_expert, router, selection);
    const uint32_t n_best = weir_rank(selection, n_expert, ids, n_used);
    WEIR_ASSERT(n_best == n_used);
    weir_prescribe_row(forward, (uint64_t)(ids - forward->routing.chosen) / n_used, ids);
    for (uint32_t rank = 0; rank < n_used; rank++)
        weights[rank] = router[ids[rank]];
    weigh_chosen(gating->kind, weights, n_used);
    float total = 0.0f;
    for (uint32_t rank = 0; rank < n_used; rank++)
        total += weights[rank];
    const float divisor = gating->renormalizes ? fmaxf(total, least_total) : 1.0f;
    /* An expert that is not chosen for what is not a number must not hide it. */
    const float poison = weir_all_finite(selection, n_expert) ? 0.0f : NAN;
    for (uint32_t rank = 0; rank < n_used; rank++)
        weights[rank] = weights[rank] / divisor * gating->scale + poison;
    sort_by_id(ids, weights, n_used);
}

void weir_route_rows(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const struct weir_shape *shape = forward->shape;
    const struct weir_routing *routing = &forward->routing;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    for (uint64_t row = begin; row < end; row++)
        route_row(forward, routing->router + row * shape->n_expert,
                  routing->selection + row * shape->n_expert, routing->chosen + row * n_used,
                  routing->chosen_weight + row * n_used);
}

void weir_route_group(struct weir_forward *forward)
{
    struct weir_routing *routing = &forward->routing;
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    const uint32_t assignment_count = forward->step.n_row * n_used;
    uint32_t *first = routing->expert_first;
    memset(first, 0, ((size_t)n_expert + 1) * sizeof(*first));
    for (uint32_t index = 0; index < assignment_count; index++)
        first[routing->chosen[index] + 1]++;
    routing->n_distinct = 0;
    for (uint32_t expert = 0; expert < n_expert; expert++) {
        if (first[expert + 1] > 0) {
            routing->distinct_rows[routing->n_distinct] = first[expert + 1];
            routing->distinct[routing->n_distinct++] = expert;
        }
        first[expert + 1] += first[expert];
    }
    /* Counting sort: first[e] moves up while rows are handed out, and is moved back after. */
    for (uint32_t index = 0; index < assignment_count; index++) {
        const uint32_t row = first[routing->chosen[index]]++;
        routing->assignment_at[index] = row;
        routing->token_at[row] = index / n_used;
        if (forward->step.layer->network.gating.weighs_input) {
            routing->input_weight[row] = routing->chosen_weight[index];
            routing->chosen_weight[index] = 1.0f;
        }
    }
    memmove(first + 1, first, n_expert * sizeof(*first));
    first[0] = 0;
}

/* Whether experts are chosen by anything but what they weigh. */
static bool needs_selection(const struct weir_model *model)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const struct weir_network *network = &model->layers[layer].network;
        if (network->selection_bias.tensor != NULL || network->gating.n_group > 0)
            return true;
    }
    return false;
}

void weir_routing_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const struct weir_shape *shape = forward->shape;
    struct weir_routing *routing = &forward->routing;
    const uint64_t n_chunk = forward->config.n_chunk;
    const uint64_t n_assignment = n_chunk * shape->n_expert_used;
    if (shape->n_expert == 0)
        return;
    routing->router = weir_take_floats(mem, n_chunk * shape->n_expert);
    routing->selection = needs_selection(forward->config.model)
                             ? weir_take_floats(mem, n_chunk * shape->n_expert)
                             : routing->router;
    routing->chosen = weir_take_indices(mem, n_assignment);
    routing->chosen_weight = weir_take_floats(mem, n_assignment);
    routing->shared_weight = weir_take_floats(mem, n_chunk);
    routing->assignment_at = weir_take_indices(mem, n_assignment);
    routing->token_at = weir_take_indices(mem, n_assignment);
    if (shape->gating.weighs_input)
        routing->input_weight = weir_take_floats(mem, n_assignment);
    routing->expert_first = weir_take_indices(mem, (uint64_t)shape->n_expert + 1);
    routing->distinct = weir_take_indices(mem, shape->n_expert);
    routing->distinct_rows = weir_take_indices(mem, shape->n_expert);
    routing->is_computed = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, shape->n_expert, 1);
    routing->expert_out = weir_take_floats(mem, n_assignment * shape->d_model);
    const unsigned formats =
        weir_input_formats(forward->config.model, forward->kernels, WEIR_INPUT_GATHERED);
    weir_take_act(&routing->gathered_act, mem, formats, forward->hidden.row_count, shape->d_model,
                  true);
    routing->gathered_act.f32 =
        (const float *)(const void *)routing->gathered_act.rows[WEIR_ACT_F32];
}
