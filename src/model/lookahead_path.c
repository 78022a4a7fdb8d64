/* lookahead_path.c - guesses by the path: which experts have followed the ones that a layer uses
 * (EdgeMoE, arXiv:2308.14352; MoE-Infinity, arXiv:2401.14361), counted while running. A rival, to
 * compare guesses by the router with. */
#include "model/lookahead.h"

#include <string.h>

enum { TABLE_ALIGN = 64, COUNT_MAX = UINT16_MAX };

void weir_path_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    struct weir_lookahead *ahead = forward->lookahead;
    const struct weir_shape *shape = forward->shape;
    const uint64_t n_expert = shape->n_expert;
    if (forward->config.predictor != WEIR_PREDICT_PATH)
        return;
    ahead->before =
        weir_take_indices(mem, (uint64_t)forward->config.n_chunk * shape->n_expert_used);
    ahead->followers =
        weir_mem_alloc(mem, WEIR_MEM_SCRATCH,
                       shape->n_layer * n_expert * n_expert * sizeof(uint16_t), TABLE_ALIGN);
}

static uint16_t *followers_of(const struct weir_forward *forward, uint32_t layer, uint32_t expert)
{
    const size_t n_expert = forward->shape->n_expert;
    return forward->lookahead->followers + (layer * n_expert + expert) * n_expert;
}

void weir_path_score(struct weir_forward *forward, uint32_t layer)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    const size_t count = (size_t)forward->step.n_row * n_used;
    const uint32_t *chosen = forward->routing.chosen;
    float *scores = forward->lookahead->scores;
    memset(scores, 0, n_expert * sizeof(*scores));
    for (size_t index = 0; index < count; index++) {
        const uint16_t *followers = followers_of(forward, layer, chosen[index]);
        for (uint32_t expert = 0; expert < n_expert; expert++)
            scores[expert] += (float)followers[expert];
    }
    memcpy(forward->lookahead->before, chosen, count * sizeof(*chosen));
    forward->lookahead->n_before = n_used;
}

static void count_follower(uint16_t *followers, uint32_t n_expert, uint32_t expert)
{
    if (followers[expert] == COUNT_MAX)
        for (uint32_t index = 0; index < n_expert; index++)
            followers[index] /= 2;
    followers[expert]++;
}

void weir_path_learn(struct weir_forward *forward)
{
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    const uint32_t n_before = forward->lookahead->n_before;
    if (forward->lookahead->followers == NULL)
        return;
    for (size_t row = 0; row < forward->step.n_row; row++)
        for (uint32_t rank = 0; rank < n_before; rank++) {
            uint16_t *followers = followers_of(forward, forward->step.layer_index,
                                               forward->lookahead->before[row * n_before + rank]);
            for (uint32_t chosen = 0; chosen < n_used; chosen++)
                count_follower(followers, forward->shape->n_expert,
                               forward->routing.chosen[row * n_used + chosen]);
        }
}
