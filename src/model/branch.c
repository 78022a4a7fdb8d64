/* branch.c - what a layer's mixer and network give, on its way to the residual stream. */
#include "model/branch.h"

float weir_network_scale(const struct weir_model *model, const struct weir_layer *layer)
{
    const bool is_mean = model->family->averages_shared && layer->network.shared_gate.cols != 0;
    return model->shape.branch_scale * (is_mean ? 0.5f : 1.0f);
}

bool weir_layer_is_branch(const struct weir_model *model, const struct weir_layer *layer)
{
    return layer->network.post_norm.tensor != NULL || layer->output_scale.tensor != NULL ||
           weir_network_scale(model, layer) != 1.0f;
}

bool weir_model_has_branches(const struct weir_model *model)
{
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        if (weir_layer_is_branch(model, &model->layers[layer]))
            return true;
    return false;
}

void weir_branch_add(const struct weir_forward *forward, const struct weir_vector *norm, float *x,
                     float scale, float *out, uint64_t begin, uint64_t end)
{
    const size_t d_model = forward->shape->d_model;
    for (uint64_t row = begin; row < end && norm->tensor != NULL; row++)
        weir_norm_row(forward, norm->data, x + row * d_model, x + row * d_model);
    forward->kernels->axpy(out + begin * d_model, x + begin * d_model, scale,
                           (end - begin) * d_model);
}

void weir_branch_scale(const struct weir_forward *forward, uint64_t begin, uint64_t end)
{
    const struct weir_vector *scale = &forward->step.layer->output_scale;
    const size_t d_model = forward->shape->d_model;
    for (size_t at = begin * d_model; scale->tensor != NULL && at < end * d_model; at++)
        forward->stream.residual[at] *= scale->data[0];
}

void weir_branch_finish(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    weir_branch_add(forward, &forward->step.layer->network.post_norm, forward->stream.branch,
                    weir_network_scale(forward->config.model, forward->step.layer),
                    forward->stream.residual, begin, end);
    if (forward->step.layer->aside.gate.cols == 0)
        weir_branch_scale(forward, begin, end);
}
