/* device_delta.c - a gated delta net on the device, as delta.c has it, and the blocks of its state.
 *
 * A block there has the layers' parts one behind the other, each the inputs of the convolution and
 * then the states of the heads. Which block a text has is the state's choice (state.h). */
#include "model/device_internal.h"

static uint32_t key_width(const struct weir_delta_shape *shape)
{
    return shape->n_key_head * shape->d_key;
}

static uint32_t value_width(const struct weir_delta_shape *shape)
{
    return shape->n_value_head * shape->d_value;
}

static uint32_t mixed_width(const struct weir_delta_shape *shape)
{
    return 2 * key_width(shape) + value_width(shape);
}

/* Values of a layer's part of a block before those of its heads. */
static uint64_t past_count(const struct weir_delta_shape *shape)
{
    return (uint64_t)(shape->n_tap - 1) * mixed_width(shape);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

void weir_device_blocks_layout(struct weir_device *device, struct weir_gpu_mem *mem)
{
    struct weir_device_blocks *blocks = &device->blocks;
    blocks->bytes = 0;
    for (uint32_t layer = 0; layer < device->shape->n_layer; layer++) {
        const struct weir_mixer *mixer = &device->config.model->layers[layer].mixer;
        const struct weir_delta_shape *shape = &mixer->delta.shape;
        if (!device->plan.layers[layer].is_there || mixer->kind != WEIR_MIXER_DELTA)
            continue;
        const uint64_t count = past_count(shape) + (uint64_t)shape->d_key * value_width(shape);
        if (device->layers != NULL) {
            device->layers[layer].delta.state_at = blocks->bytes / sizeof(float);
            device->layers[layer].delta.state_bytes = count * sizeof(float);
        }
        blocks->bytes += weir_align_up(count * sizeof(float), WEIR_GPU_ALIGN);
    }
    if (blocks->bytes > 0)
        blocks->base = weir_gpu_alloc(mem, WEIR_GPU_KV, device->plan.block_max * blocks->bytes);
}

void weir_device_copy_block(void *user, uint32_t to, uint32_t from)
{
    const weir_device *device = user;
    const struct weir_device_blocks *blocks = &device->blocks;
    if (from == WEIR_STATE_NO_PAGE)
        weir_gpu_zero(device->gpu, WEIR_GPU_COMPUTE, blocks->base + to * blocks->bytes,
                      blocks->bytes);
    else
        weir_gpu_copy(device->gpu, WEIR_GPU_COMPUTE, blocks->base + to * blocks->bytes,
                      blocks->base + from * blocks->bytes, blocks->bytes);
}

/* ---- the step -------------------------------------------------------------------------------- */

/* q, k and v of all heads, the gate of what they give, and what states go by. */
static void place_inputs(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const struct weir_delta_shape *shape = &forward->step.layer->mixer.delta.shape;
    const weir_device *device = forward->config.device;
    const struct weir_device_scratch *scratch = &device->scratch;
    const struct weir_gpu_matrix *const matrices[] = {&layer->delta.mixed, &layer->delta.packed,
                                                      &layer->gate, &layer->delta.beta,
                                                      &layer->delta.alpha};
    const weir_gpu_address outputs[] = {scratch->q, scratch->mixers.packed, scratch->gate,
                                        scratch->mixers.beta, scratch->mixers.alpha};
    struct weir_device_product products[WEIR_COUNT(matrices)];
    uint32_t count = 0;
    for (size_t index = 0; index < WEIR_COUNT(matrices); index++)
        if (matrices[index]->form.cols != 0)
            products[count++] =
                (struct weir_device_product){.w = matrices[index],
                                             .x = scratch->normed,
                                             .x_stride = forward->shape->d_model,
                                             .y = outputs[index],
                                             .y_stride = matrices[index]->form.rows};
    weir_device_multiply_all(forward, products, count);
    if (layer->delta.packed.form.cols != 0)
        weir_gpu_unpack(device->gpu,
                        &(struct weir_gpu_unpack){.packed = scratch->mixers.packed,
                                                  .x = scratch->q,
                                                  .gate = scratch->gate,
                                                  .packed_stride = layer->delta.packed.form.rows,
                                                  .x_stride = mixed_width(shape),
                                                  .gate_stride = value_width(shape),
                                                  .n_row = forward->step.n_row,
                                                  .n_key_head = shape->n_key_head,
                                                  .n_value_head = shape->n_value_head,
                                                  .d_key = shape->d_key,
                                                  .d_value = shape->d_value,
                                                  .is_tiled = shape->is_tiled});
}

static struct weir_gpu_runs runs_of(const struct weir_forward *forward)
{
    const struct weir_device_parcel *parcel = &forward->config.device->parcel;
    return (struct weir_gpu_runs){.first = parcel->there + parcel->run_first,
                                  .states = parcel->there + parcel->run_states,
                                  .n_run = forward->step.n_run,
                                  .n_row = forward->step.n_row};
}

static void run_heads(const struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const struct weir_delta_shape *shape = &forward->step.layer->mixer.delta.shape;
    const weir_device *device = forward->config.device;
    const struct weir_device_scratch *scratch = &device->scratch;
    const bool is_joint = layer->delta.alpha.form.cols == 0;
    weir_gpu_conv(device->gpu, &(struct weir_gpu_conv){.runs = runs_of(forward),
                                                       .x = scratch->q,
                                                       .y = scratch->mixers.convolved,
                                                       .taps = layer->delta.taps,
                                                       .state_at = layer->delta.state_at,
                                                       .x_stride = mixed_width(shape),
                                                       .y_stride = mixed_width(shape),
                                                       .n_tap = shape->n_tap,
                                                       .n_channel = mixed_width(shape)});
    weir_gpu_delta(device->gpu,
                   &(struct weir_gpu_delta){.runs = runs_of(forward),
                                            .x = scratch->mixers.convolved,
                                            .out = scratch->attended,
                                            .beta = scratch->mixers.beta,
                                            .alpha = is_joint ? 0 : scratch->mixers.alpha,
                                            .decay = layer->delta.decay,
                                            .dt_bias = layer->delta.dt_bias,
                                            .state_at = layer->delta.state_at + past_count(shape),
                                            .x_stride = mixed_width(shape),
                                            .out_stride = value_width(shape),
                                            .gate_stride = (is_joint ? 2 : 1) * shape->n_value_head,
                                            .n_key_head = shape->n_key_head,
                                            .n_value_head = shape->n_value_head,
                                            .d_key = shape->d_key,
                                            .d_value = shape->d_value,
                                            .is_tiled = shape->is_tiled});
}

/* gate = silu(gate) * RMSNorm(what a head gives). */
static void gate_heads(const struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const struct weir_delta_shape *shape = &forward->step.layer->mixer.delta.shape;
    const weir_device *device = forward->config.device;
    weir_gpu_norm(device->gpu, &(struct weir_gpu_norm){.x = device->scratch.attended,
                                                       .y = device->scratch.attended,
                                                       .weights = layer->delta.norm,
                                                       .width = shape->d_value,
                                                       .n_head = shape->n_value_head,
                                                       .x_head_stride = shape->d_value,
                                                       .x_stride = value_width(shape),
                                                       .y_head_stride = shape->d_value,
                                                       .y_stride = value_width(shape),
                                                       .n_row = forward->step.n_row,
                                                       .epsilon = forward->shape->norm_epsilon});
    weir_gpu_glu(device->gpu, &(struct weir_gpu_glu){.gate = device->scratch.gate,
                                                     .up = device->scratch.attended,
                                                     .width = value_width(shape),
                                                     .stride = value_width(shape),
                                                     .n_row = forward->step.n_row,
                                                     .glu = WEIR_GLU_SILU});
}

void weir_device_run_delta(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const weir_device *device = forward->config.device;
    place_inputs(forward, layer);
    run_heads(forward, layer);
    gate_heads(forward, layer);
    weir_device_mix(forward, layer, device->scratch.gate);
}
