/* route.c - which experts each row uses, and the same seen from the experts. */
#include "model/model_internal.h"

#include <string.h>

void weir_route_select(const struct weir_network *network, uint32_t n_expert, float *router,
                       float *selection)
{
    const struct weir_vector *bias = &network->selection_bias;
    weir_choose_select(&network->gating, bias->tensor != NULL ? bias->data : NULL, n_expert, router,
                       selection);
}

/* The n_expert_used that the row is to use, and their weights. */
static void route_row(const struct weir_forward *forward, float *router, float *selection,
                      uint32_t *ids, float *weights)
{
    const struct weir_network *network = &forward->step.layer->network;
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_used = network->n_expert_used;
    weir_route_select(network, n_expert, router, selection);
    const uint32_t n_best = weir_rank(selection, n_expert, ids, n_used);
    WEIR_ASSERT(n_best == n_used);
    weir_lossy_prefer(forward, router, selection, ids);
    weir_prescribe_row(forward, (uint64_t)(ids - forward->routing.chosen) / n_used, ids);
    weir_choose_weigh(&network->gating, n_expert, router, selection, n_used, ids, weights);
    weir_lossy_drop(forward, (uint64_t)(ids - forward->routing.chosen) / n_used, weights);
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

/* The assignment is computed elsewhere, or not at all. */
static bool is_skipped(const struct weir_forward *forward, uint32_t index)
{
    const bool *skips = forward->routing.skips;
    return (skips != NULL && skips[index]) || weir_lossy_drops(forward, index);
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
        if (!is_skipped(forward, index))
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
        if (is_skipped(forward, index))
            continue;
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
    weir_lossy_layout(forward, mem);
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
