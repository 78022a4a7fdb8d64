/* norm.c - the norms of a row of the residual stream, as the model has them. */
#include "model/model_internal.h"

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
