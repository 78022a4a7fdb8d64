/* device_step.c - a step on the device: what goes there with it, and what comes back. */
#include "model/device_internal.h"
#include "model/heads.h"

#include <string.h>

/* Where the runs' pages are, and the rows' positions; returns the bytes. */
static uint64_t list_pages(struct weir_forward *forward)
{
    weir_device *device = forward->config.device;
    const struct weir_step_view *step = &forward->step;
    const struct weir_device_parcel *parcel = &device->parcel;
    uint32_t *positions = (uint32_t *)(void *)(parcel->here + parcel->positions);
    uint32_t *table_at = (uint32_t *)(void *)(parcel->here + parcel->table_at);
    uint32_t *pages = (uint32_t *)(void *)(parcel->here + parcel->pages);
    uint32_t page_count = 0;
    uint32_t row = 0;
    for (uint32_t index = 0; index < step->n_run; index++) {
        const struct weir_run *run = &step->runs[index];
        const uint32_t end = run->position + run->n_row;
        const uint32_t count = (end + device->plan.page_length - 1) / device->plan.page_length;
        memcpy(pages + page_count, weir_sequence_pages(run->sequence), count * sizeof(*pages));
        for (uint32_t at = 0; at < run->n_row; at++, row++) {
            positions[row] = run->position + at;
            table_at[row] = page_count;
        }
        page_count += count;
    }
    return parcel->pages + page_count * sizeof(*pages);
}

/* What follows from the runs' own positions: their blocks, and how steep their scores are. */
static void list_states(const struct weir_forward *forward)
{
    const weir_device *device = forward->config.device;
    const struct weir_step_view *step = &forward->step;
    const struct weir_device_parcel *parcel = &device->parcel;
    uint32_t *first = (uint32_t *)(void *)(parcel->here + parcel->run_first);
    weir_gpu_address *states = (weir_gpu_address *)(void *)(parcel->here + parcel->run_states);
    float *heat = (float *)(void *)(parcel->here + parcel->heat);
    uint32_t row = 0;
    for (uint32_t run = 0; run < step->n_run; run++) {
        first[run] = row;
        if (device->blocks.bytes > 0)
            states[run] =
                device->blocks.base +
                weir_sequence_block_number(step->runs[run].sequence) * device->blocks.bytes;
        row += step->runs[run].n_row;
    }
    first[step->n_run] = row;
    for (row = 0; row < step->n_row && device->temperature.scale != 0.0f; row++)
        heat[row] = weir_heat(&device->temperature, step->rows[row].position);
}

uint64_t weir_device_pack(struct weir_forward *forward)
{
    weir_device *device = forward->config.device;
    const struct weir_device_parcel *parcel = &device->parcel;
    weir_device_cut(device, forward->step.n_row);
    for (int kind = 0; kind < WEIR_ROPE_COUNT; kind++)
        if (forward->shape->rope[kind].n_rot > 0)
            memcpy(parcel->here + parcel->angles[kind], forward->angles[kind].rows,
                   (size_t)forward->step.n_row * forward->shape->rope[kind].n_rot * sizeof(float));
    list_states(forward);
    const uint64_t bytes = list_pages(forward);
    WEIR_ASSERT(bytes <= parcel->most_bytes);
    return bytes;
}

static uint64_t damage_bytes(const struct weir_forward *forward)
{
    return 2 * (uint64_t)forward->shape->n_layer * sizeof(uint32_t);
}

static uint64_t residual_bytes(const struct weir_forward *forward)
{
    return (uint64_t)forward->step.n_row * forward->shape->d_model * sizeof(float);
}

void weir_device_send(const struct weir_forward *forward, uint64_t bytes)
{
    const weir_device *device = forward->config.device;
    weir_gpu_copy_in(device->gpu, WEIR_GPU_COMPUTE, device->parcel.there, device->parcel.here,
                     bytes);
    weir_device_send_inputs(forward);
    weir_gpu_zero(device->gpu, WEIR_GPU_COMPUTE, device->scratch.damage, damage_bytes(forward));
}

void weir_device_begin(struct weir_forward *forward)
{
    weir_device *device = forward->config.device;
    if (device == NULL)
        return;
    device->reach = 0;
    device->logit_count = 0;
    device->has_residual = false;
    if (device->plan.n_layer > 0)
        weir_device_send(forward, weir_device_pack(forward));
}

/* The first norm that met what is not finite: it is what the half of a layer before it gave. */
static enum weir_status check_norms(struct weir_forward *forward, struct weir_err *err)
{
    const uint32_t *damage = forward->config.device->returns.damage;
    for (uint32_t flag = 1; flag < 2 * forward->shape->n_layer; flag++)
        if (damage[flag] != 0)
            return weir_damage_name(forward, (flag - 1) / 2, flag % 2 == 0, err);
    return WEIR_OK;
}

void weir_device_bring(const struct weir_forward *forward)
{
    const weir_device *device = forward->config.device;
    weir_gpu_copy_out(device->gpu, WEIR_GPU_COMPUTE, forward->stream.residual,
                      device->scratch.residual, residual_bytes(forward));
    weir_gpu_copy_out(device->gpu, WEIR_GPU_COMPUTE, device->returns.damage, device->scratch.damage,
                      damage_bytes(forward));
}

enum weir_status weir_device_await(struct weir_forward *forward, struct weir_err *err)
{
    weir_device *device = forward->config.device;
    device->has_residual = false;
    weir_gpu_record(device->gpu, WEIR_GPU_COMPUTE, WEIR_DEVICE_EVENT);
    WEIR_TRY(weir_gpu_await(device->gpu, WEIR_DEVICE_EVENT, err));
    return check_norms(forward, err);
}

enum weir_status weir_device_fetch(struct weir_forward *forward, struct weir_err *err)
{
    const weir_device *device = forward->config.device;
    if (device == NULL || !device->has_residual)
        return WEIR_OK;
    weir_device_bring(forward);
    return weir_device_await(forward, err);
}

void weir_device_settle(struct weir_forward *forward)
{
    weir_device *device = forward->config.device;
    if (device == NULL)
        return;
    device->has_residual = false;
    (void)weir_gpu_await_all(device->gpu, NULL);
    weir_device_cache_let_go(device);
}

void weir_device_multiply_output(const struct weir_forward *forward, uint32_t count)
{
    const weir_device *device = forward->config.device;
    const struct weir_shape *shape = forward->shape;
    const uint32_t d_model = shape->d_model;
    const struct weir_device_scratch *scratch = &device->scratch;
    weir_gpu_norm(device->gpu, &(struct weir_gpu_norm){.x = scratch->projected,
                                                       .y = scratch->normed,
                                                       .weights = device->output_norm,
                                                       .width = d_model,
                                                       .n_head = 1,
                                                       .x_head_stride = d_model,
                                                       .x_stride = d_model,
                                                       .y_head_stride = d_model,
                                                       .y_stride = d_model,
                                                       .n_row = count,
                                                       .is_centered = shape->norms_are_centered,
                                                       .epsilon = shape->norm_epsilon});
    weir_gpu_matmul(device->gpu, &(struct weir_gpu_matmul){.w = device->output,
                                                           .x = scratch->normed,
                                                           .y = scratch->logits,
                                                           .x_stride = d_model,
                                                           .y_stride = shape->n_vocab,
                                                           .n_row = count,
                                                           .way = WEIR_GPU_DECODE});
    if (shape->logit_scale != 1.0f || shape->logit_softcap != 0.0f)
        weir_gpu_scale(device->gpu, &(struct weir_gpu_scale){.x = scratch->logits,
                                                             .width = shape->n_vocab,
                                                             .stride = shape->n_vocab,
                                                             .n_row = count,
                                                             .scale = shape->logit_scale,
                                                             .cap = shape->logit_softcap});
    weir_gpu_copy_out(device->gpu, WEIR_GPU_COMPUTE, device->returns.logits, scratch->logits,
                      (uint64_t)count * shape->n_vocab * sizeof(float));
}

/* The step's own rows, if it has computed their logits. */
static bool take_logits(const struct weir_forward *forward, const uint32_t *rows, uint32_t count,
                        float *out)
{
    const weir_device *device = forward->config.device;
    const size_t n_vocab = forward->shape->n_vocab;
    for (uint32_t index = 0; index < count; index++) {
        if (rows[index] >= device->logit_count)
            return false;
        memcpy(out + index * n_vocab, device->returns.logits + rows[index] * n_vocab,
               n_vocab * sizeof(*out));
    }
    return true;
}

enum weir_status weir_device_logits(struct weir_forward *forward, const uint32_t *rows,
                                    uint32_t count, float *out, struct weir_err *err)
{
    weir_device *device = forward->config.device;
    const uint32_t d_model = forward->shape->d_model;
    if (take_logits(forward, rows, count, out))
        return WEIR_OK;
    device->logit_count = 0;
    for (uint32_t index = 0; index < count; index++)
        weir_gpu_copy_in(device->gpu, WEIR_GPU_COMPUTE,
                         weir_device_at(device->scratch.projected, (uint64_t)index * d_model),
                         forward->stream.residual + (size_t)rows[index] * d_model,
                         d_model * sizeof(float));
    weir_device_multiply_output(forward, count);
    weir_gpu_record(device->gpu, WEIR_GPU_COMPUTE, WEIR_DEVICE_EVENT);
    WEIR_TRY(weir_gpu_await(device->gpu, WEIR_DEVICE_EVENT, err));
    memcpy(out, device->returns.logits, (size_t)count * forward->shape->n_vocab * sizeof(*out));
    return WEIR_OK;
}
