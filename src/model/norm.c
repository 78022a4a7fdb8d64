/* norm.c - the norms of a row of the residual stream, as the model has them. */
#include "model/branch.h"

float weir_norm_row(const struct weir_forward *forward, const float *weights, const float *x,
                    float *y)
{
    const struct weir_shape *shape = forward->shape;
    const size_t d_model = shape->d_model;
    if (shape->norms_are_centered) { /* LayerNorm (arXiv:1607.06450 eq. 3) without a bias */
        double sum = 0.0;
        for (size_t index = 0; index < d_model; index++)
            sum += (double)x[index];
        const float mean = (float)(sum / (double)d_model);
        for (size_t index = 0; index < d_model; index++)
            y[index] = x[index] - mean;
        x = y;
    }
    return forward->kernels->rmsnorm(x, weights, y, d_model, shape->norm_epsilon);
}

void weir_norm_residual(struct weir_forward *forward, const struct weir_vector *norm, size_t from,
                        size_t to)
{
    const size_t d_model = forward->shape->d_model;
    const float factor =
        weir_norm_row(forward, norm->data, forward->stream.residual + from * d_model,
                      forward->stream.normed + to * d_model);
    if (!(factor > 0.0f)) /* relaxed: the end of the job publishes it */
        atomic_store_explicit(&forward->is_damaged, true, memory_order_relaxed);
}

void weir_norm_rows(struct weir_forward *forward, const struct weir_vector *norm, uint64_t begin,
                    uint64_t end)
{
    for (uint64_t row = begin; row < end; row++)
        weir_norm_residual(forward, norm, row, row);
    weir_act_fill(forward, &forward->stream.normed_act, forward->stream.normed, begin, end);
}

static void norm_part(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_norm_rows(forward, forward->stream.norm, begin, end);
}

void weir_norm_step(struct weir_forward *forward, const struct weir_vector *norm)
{
    forward->stream.norm = norm;
    weir_forward_by_row(forward, "norm", norm_part);
}
