/* route.c - which experts each row uses, and the same seen from the experts. */
#include "model/model_internal.h"

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

/* Softmax over all experts, the n_expert_used largest, their weights made to sum 1 where the model
 * says so (Qwen3 arXiv:2505.09388; OLMoE and Qwen2-MoE leave them as they are). */
static void route_row(const struct weir_forward *forward, float *probability, uint32_t *ids,
                      float *weights)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_used = forward->shape->n_expert_used;
    weir_softmax(probability, n_expert);
    const uint32_t n_best = weir_rank(probability, n_expert, ids, n_used);
    WEIR_ASSERT(n_best == n_used);
    weir_prescribe_row(forward, (uint64_t)(ids - forward->routing.chosen) / n_used, ids);
    float total = 0.0f;
    for (uint32_t rank = 0; rank < n_used; rank++)
        total += probability[ids[rank]];
    const bool renormalize = forward->step.layer->network.renormalizes;
    for (uint32_t rank = 0; rank < n_used; rank++)
        weights[rank] = (renormalize ? probability[ids[rank]] / total : probability[ids[rank]]) *
                        forward->step.layer->network.expert_scale;
    sort_by_id(ids, weights, n_used);
}

void weir_route_rows(struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const struct weir_shape *shape = forward->shape;
    const struct weir_routing *routing = &forward->routing;
    for (uint64_t row = begin; row < end; row++)
        route_row(forward, routing->router + row * shape->n_expert,
                  routing->chosen + row * shape->n_expert_used,
                  routing->chosen_weight + row * shape->n_expert_used);
}

void weir_route_group(struct weir_forward *forward)
{
    struct weir_routing *routing = &forward->routing;
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_used = forward->shape->n_expert_used;
    const uint32_t assignment_count = forward->step.n_row * n_used;
    uint32_t *first = routing->expert_first;
    memset(first, 0, ((size_t)n_expert + 1) * sizeof(*first));
    for (uint32_t index = 0; index < assignment_count; index++)
        first[routing->chosen[index] + 1]++;
    routing->n_distinct = 0;
    for (uint32_t expert = 0; expert < n_expert; expert++) {
        if (first[expert + 1] > 0)
            routing->distinct[routing->n_distinct++] = expert;
        first[expert + 1] += first[expert];
    }
    /* Counting sort: first[e] moves up while rows are handed out, and is moved back after. */
    for (uint32_t index = 0; index < assignment_count; index++) {
        const uint32_t row = first[routing->chosen[index]]++;
        routing->assignment_at[index] = row;
        routing->token_at[row] = index / n_used;
    }
    memmove(first + 1, first, n_expert * sizeof(*first));
    first[0] = 0;
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
    routing->chosen = weir_take_indices(mem, n_assignment);
    routing->chosen_weight = weir_take_floats(mem, n_assignment);
    routing->shared_weight = weir_take_floats(mem, n_chunk);
    routing->assignment_at = weir_take_indices(mem, n_assignment);
    routing->token_at = weir_take_indices(mem, n_assignment);
    routing->expert_first = weir_take_indices(mem, (uint64_t)shape->n_expert + 1);
    routing->distinct = weir_take_indices(mem, shape->n_expert);
    routing->is_computed = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, shape->n_expert, 1);
    routing->expert_out = weir_take_floats(mem, n_assignment * shape->d_model);
    const unsigned formats =
        weir_input_formats(forward->config.model, forward->kernels, WEIR_INPUT_GATHERED);
    weir_take_act(&routing->gathered_act, mem, formats, forward->hidden.row_count, shape->d_model,
                  true);
    routing->gathered_act.f32 =
        (const float *)(const void *)routing->gathered_act.rows[WEIR_ACT_F32];
}
