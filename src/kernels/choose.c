/* choose.c - which experts a row uses and what they weigh, in plain C. */
#include "kernels/choose.h"

#include <float.h>
#include <math.h>

#include "kernels/kernels.h"

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

void weir_choose_select(const struct weir_gating *gating, const float *bias, uint32_t n_expert,
                        float *router, float *selection)
{
    for (uint32_t id = 0; id < n_expert && gating->steepness != 1.0f; id++)
        router[id] *= gating->steepness;
    weigh_all(gating->kind, router, n_expert);
    if (selection == router)
        return;
    for (uint32_t id = 0; id < n_expert; id++)
        selection[id] = router[id] + (bias != NULL ? bias[id] : 0.0f);
    if (gating->n_group > 0 && weir_all_finite(selection, n_expert))
        drop_groups(gating, selection, n_expert);
}

void weir_choose_weigh(const struct weir_gating *gating, uint32_t n_expert, const float *router,
                       const float *selection, uint32_t n_used, uint32_t *ids, float *weights)
{
    /* The least sum that is divided by, where all weights may be near 0. */
    static const float least_total = 6.103515625e-5f;
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
