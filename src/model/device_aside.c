/* device_aside.c - a layer's input of the token on the device: as aside.c has it. */
#include "model/device_internal.h"

/* Values of a row: the inputs of all layers. */
static uint32_t inputs_width(const struct weir_forward *forward)
{
    return forward->shape->n_layer * forward->shape->d_layer_input;
}

void weir_device_send_inputs(const struct weir_forward *forward)
{
    const weir_device *device = forward->config.device;
    const uint64_t count = (uint64_t)forward->step.n_row * inputs_width(forward);
    if (device->scratch.mixers.inputs != 0)
        weir_gpu_copy_in(device->gpu, WEIR_GPU_COMPUTE, device->scratch.mixers.inputs,
                         forward->aside.inputs, count * sizeof(float));
}

void weir_device_run_aside(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const weir_device *device = forward->config.device;
    const struct weir_device_scratch *scratch = &device->scratch;
    const struct weir_unit *unit = &forward->step.layer->network.unit;
    const uint32_t width = forward->shape->d_layer_input;
    const uint32_t d_model = forward->shape->d_model;
    struct weir_device_product product = {.w = &layer->aside_gate,
                                          .x = scratch->residual,
                                          .x_stride = d_model,
                                          .y = scratch->hidden_gate,
                                          .y_stride = width};
    weir_device_multiply(forward, &product);
    weir_gpu_scatter(
        device->gpu,
        &(struct weir_gpu_scatter){.x = weir_device_at(scratch->mixers.inputs,
                                                       (uint64_t)forward->step.layer_index * width),
                                   .y = scratch->hidden_up,
                                   .width = width,
                                   .x_stride = inputs_width(forward),
                                   .y_stride = width,
                                   .n_row = forward->step.n_row});
    weir_gpu_glu(device->gpu, &(struct weir_gpu_glu){.gate = scratch->hidden_gate,
                                                     .up = scratch->hidden_up,
                                                     .width = width,
                                                     .stride = width,
                                                     .n_row = forward->step.n_row,
                                                     .glu = unit->glu,
                                                     .limit = unit->limit});
    product = (struct weir_device_product){.w = &layer->aside_out,
                                           .x = scratch->hidden_gate,
                                           .x_stride = width,
                                           .y = scratch->projected,
                                           .y_stride = d_model};
    weir_device_multiply(forward, &product);
    weir_device_norm_own(forward, layer->aside_norm, scratch->projected);
    weir_device_add(forward, scratch->projected, scratch->residual, forward->shape->branch_scale);
}
