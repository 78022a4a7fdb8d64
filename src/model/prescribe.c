/* prescribe.c - experts of a recorded text in place of those that routers choose.
 *
 * Weights stay those that the router gives to whatever is used, and all that is computed stays the
 * same work, so only what caches and disk see is that of the recorded text. */
#include "model/lookahead.h"

#include <string.h>

/* A step's row in a layer; NULL: its router chooses. */
static const uint16_t *find_experts(const struct weir_forward *forward, uint32_t layer,
                                    uint64_t row)
{
    const struct weir_row *at = &forward->step.rows[row];
    const struct weir_prescription *from = forward->step.runs[at->run].prescription;
    const struct weir_model *model = forward->config.model;
    uint64_t n_expert_layer = 0;
    uint64_t index = 0;
    if (from == NULL)
        return NULL;
    for (uint32_t other = 0; other < model->shape.n_layer; other++) {
        index += other < layer && weir_layer_has_experts(&model->layers[other]);
        n_expert_layer += weir_layer_has_experts(&model->layers[other]);
    }
    const uint64_t token = ((uint64_t)from->first + at->position) % from->n_token;
    return from->experts + (token * n_expert_layer + index) * model->shape.n_expert_used;
}

static bool is_among(const uint32_t *ids, uint32_t count, uint32_t id)
{
    for (uint32_t index = 0; index < count; index++)
        if (ids[index] == id)
            return true;
    return false;
}

void weir_prescribe_row(const struct weir_forward *forward, uint64_t row, uint32_t *ids)
{
    const uint16_t *experts = find_experts(forward, forward->step.layer_index, row);
    const uint32_t n_listed = forward->shape->n_expert_used;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    uint32_t own[WEIR_TOP_K_MAX];
    uint32_t wanted[WEIR_TOP_K_MAX];
    uint32_t n_wanted = 0;
    uint32_t count = 0;
    if (experts == NULL)
        return;
    memcpy(own, ids, n_used * sizeof(*own));
    for (uint32_t rank = 0; rank < n_listed; rank++)
        if (experts[rank] != WEIR_NOT_PRESCRIBED)
            wanted[n_wanted++] = experts[rank];
    /* The router's own first, in its order: where all are its own, nothing changes. */
    for (uint32_t rank = 0; rank < n_used; rank++)
        if (is_among(wanted, n_wanted, own[rank]))
            ids[count++] = own[rank];
    for (uint32_t rank = 0; rank < n_wanted; rank++)
        if (!is_among(ids, count, wanted[rank]))
            ids[count++] = wanted[rank];
    for (uint32_t rank = 0; count < n_used; rank++)
        if (!is_among(ids, count, own[rank]))
            ids[count++] = own[rank];
}

/* An expert that the row does not use; any, where it uses all. */
static uint32_t draw_other(uint64_t *random_state, const uint16_t *experts, uint32_t n_listed,
                           uint32_t n_expert)
{
    uint32_t id = (uint32_t)(weir_random_next(random_state) % n_expert);
    for (uint32_t step = 0; step < n_expert; step++, id = (id + 1) % n_expert) {
        bool is_used = false;
        for (uint32_t rank = 0; rank < n_listed; rank++)
            is_used |= experts[rank] == id;
        if (!is_used)
            break;
    }
    return id;
}

bool weir_prescribe_scores(const struct weir_forward *forward, uint32_t layer, uint32_t n_row,
                           float *scores)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_listed = forward->shape->n_expert_used;
    bool is_any = false;
    for (uint32_t row = 0; row < n_row; row++) {
        const struct weir_row *at = &forward->step.rows[row];
        const uint16_t *experts = find_experts(forward, layer, row);
        /* The same guess whenever the same is asked. */
        uint64_t random_state = (uint64_t)at->position * WEIR_LAYER_MAX + layer;
        if (experts == NULL)
            continue;
        if (!is_any)
            memset(scores, 0, n_expert * sizeof(*scores));
        is_any = true;
        for (uint32_t rank = 0; rank < n_listed; rank++) {
            if (experts[rank] == WEIR_NOT_PRESCRIBED)
                continue;
            const bool is_right =
                weir_random_unit(&random_state) < forward->step.runs[at->run].prescription->recall;
            scores[is_right ? experts[rank]
                            : draw_other(&random_state, experts, n_listed, n_expert)] += 1.0f;
        }
    }
    return is_any;
}
