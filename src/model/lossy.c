/* lossy.c - experts that weigh little are left out, experts in memory are preferred. */
#include "model/lossy.h"

#include <float.h>
#include <math.h>

#include "model/model_internal.h"

void weir_lossy_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const struct weir_shape *shape = forward->shape;
    const uint64_t n_assignment = (uint64_t)forward->config.n_chunk * shape->n_expert_used;
    forward->lossy.dropped = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, n_assignment, 1);
    forward->lossy.marks = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, shape->n_expert, 1);
    forward->lossy.matters = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, shape->n_expert, 1);
}

void weir_lossy_begin(struct weir_forward *forward)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    /* Many rows want nearly all experts between them, so nothing would be saved. */
    const bool is_asked =
        forward->config.resident_margin > 0.0f || forward->config.copy_share > 0.0f;
    forward->lossy.is_marked = is_asked && (uint64_t)forward->step.n_row * n_used * 2 <= n_expert;
    if (forward->lossy.is_marked)
        weir_store_marks_get(forward->config.store, forward->step.layer_index, forward->lossy.marks,
                             n_expert);
}

bool weir_lossy_is_here(const struct weir_forward *forward, uint32_t expert)
{
    return (forward->lossy.marks[expert] & (WEIR_RECORD_WHOLE | WEIR_RECORD_READING)) != 0;
}

static bool is_among(const uint32_t *ids, uint32_t count, uint32_t id)
{
    for (uint32_t index = 0; index < count; index++)
        if (ids[index] == id)
            return true;
    return false;
}

/* The best in memory that is not chosen; n_expert: there is none. */
static uint32_t find_best(const struct weir_forward *forward, const float *selection,
                          const uint32_t *ids)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    uint32_t best = n_expert;
    for (uint32_t id = 0; id < n_expert; id++)
        if (weir_lossy_is_here(forward, id) && selection[id] > -FLT_MAX &&
            !is_among(ids, n_used, id) && (best == n_expert || selection[id] > selection[best]))
            best = id;
    return best;
}

/* How far below an expert's score another's may be: so that it weighs at least 1 - margin of it.
 * Where scores are the router's outputs as they are, weights are their exponentials. */
static float find_slack(const struct weir_forward *forward, float weight)
{
    const enum weir_gating_kind kind = forward->step.layer->network.gating.kind;
    const float margin = forward->config.resident_margin;
    if (kind == WEIR_GATING_SOFTMAX_OF_CHOSEN || kind == WEIR_GATING_SIGMOID_OF_CHOSEN)
        return -logf(1.0f - margin);
    return margin * weight;
}

void weir_lossy_prefer(const struct weir_forward *forward, const float *router,
                       const float *selection, uint32_t *ids)
{
    if (!forward->lossy.is_marked || !(forward->config.resident_margin > 0.0f))
        return;
    for (uint32_t rank = forward->step.layer->network.n_expert_used - 1; rank > 0; rank--) {
        const uint32_t id = ids[rank];
        if (weir_lossy_is_here(forward, id))
            continue;
        const uint32_t other = find_best(forward, selection, ids);
        if (other == forward->shape->n_expert)
            return;
        if (selection[other] >= selection[id] - find_slack(forward, router[id]))
            ids[rank] = other;
    }
}

void weir_lossy_drop(const struct weir_forward *forward, uint64_t row, float *weights)
{
    const struct weir_network *network = &forward->step.layer->network;
    const uint32_t n_used = network->n_expert_used;
    const float skip_share = forward->config.skip_share;
    bool *dropped = forward->lossy.dropped + row * n_used;
    float total = 0.0f;
    float kept = 0.0f;
    uint32_t best = 0;
    if (!(skip_share > 0.0f))
        return;
    for (uint32_t rank = 0; rank < n_used; rank++) {
        total += weights[rank];
        best = weights[rank] > weights[best] ? rank : best;
    }
    for (uint32_t rank = 0; rank < n_used; rank++) {
        dropped[rank] = rank != best && weights[rank] < skip_share * total;
        kept += dropped[rank] ? 0.0f : weights[rank];
    }
    const bool sums_to_one =
        network->gating.renormalizes || network->gating.kind == WEIR_GATING_SOFTMAX_OF_CHOSEN;
    for (uint32_t rank = 0; rank < n_used && sums_to_one && kept < total; rank++)
        weights[rank] *= total / kept;
}

bool weir_lossy_drops(const struct weir_forward *forward, uint64_t index)
{
    return forward->config.skip_share > 0.0f && forward->lossy.dropped[index];
}
