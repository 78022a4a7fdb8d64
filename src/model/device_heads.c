/* device_heads.c - attention of a layer on the device: as attention.c and heads.c have it. */
#include "gpu/gpu_joint.h"
#include "model/device_internal.h"
#include "model/heads.h"

/* Heads of all rows: side by side, or with something between them. */
struct heads {
    weir_gpu_address x;
    uint32_t count, width, head_stride, row_stride;
};

/* width 0: they are not normed. */
static struct weir_gpu_norm norm_of(const struct weir_forward *forward, const struct heads *heads,
                                    const struct weir_vector *norm, weir_gpu_address weights,
                                    bool is_bare)
{
    const uint32_t width = norm->tensor == NULL ? heads->width : (uint32_t)norm->tensor->dims[0];
    const bool is_wide = width > heads->width;
    if (norm->tensor == NULL && !is_bare)
        return (struct weir_gpu_norm){0};
    return (struct weir_gpu_norm){.x = heads->x,
                                  .y = heads->x,
                                  .weights = weights,
                                  .width = width,
                                  .n_head = is_wide ? 1 : heads->count,
                                  .x_head_stride = is_wide ? width : heads->head_stride,
                                  .x_stride = heads->row_stride,
                                  .y_head_stride = is_wide ? width : heads->head_stride,
                                  .y_stride = heads->row_stride,
                                  .n_row = forward->step.n_row,
                                  .epsilon = forward->shape->norm_epsilon};
}

/* n_rot 0: they are not turned. */
static struct weir_gpu_rope rope_of(const struct weir_forward *forward, const struct heads *heads)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const struct weir_device_parcel *parcel = &forward->config.device->parcel;
    struct weir_gpu_rope rope = {.x = heads->x,
                                 .n_head = heads->count,
                                 .head_stride = heads->head_stride,
                                 .x_stride = heads->row_stride,
                                 .n_row = forward->step.n_row,
                                 .is_interleaved = mixer->is_interleaved};
    if (mixer->rope != WEIR_ROPE_NONE) {
        rope.angles = parcel->there + parcel->angles[mixer->rope];
        rope.n_rot = forward->shape->rope[mixer->rope].n_rot;
    }
    return rope;
}

struct weir_gpu_rows weir_device_rows_of(const weir_device *device,
                                         const struct weir_device_rows *rows)
{
    const struct weir_device_parcel *parcel = &device->parcel;
    return (struct weir_gpu_rows){
        .positions = weir_device_at(parcel->there + parcel->positions, rows->first),
        .table_at = weir_device_at(parcel->there + parcel->table_at, rows->first),
        .pages = parcel->there + parcel->pages,
        .n_row = rows->count,
    };
}

void weir_device_heat(const struct weir_forward *forward, weir_gpu_address q, uint32_t width)
{
    const weir_device *device = forward->config.device;
    if (forward->step.layer->mixer.temperature.scale != 0.0f)
        weir_gpu_scale(device->gpu, &(struct weir_gpu_scale){.x = q,
                                                             .weight = device->parcel.there +
                                                                       device->parcel.heat,
                                                             .width = width,
                                                             .stride = width,
                                                             .n_row = forward->step.n_row,
                                                             .scale = 1.0f});
}

void weir_device_expand(const struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const weir_device *device = forward->config.device;
    const struct weir_device_rows all = {.count = forward->step.n_row};
    uint32_t position_max = device->reach;
    if (layer->kept.base == 0)
        return;
    for (uint32_t row = 0; row < forward->step.n_row; row++)
        position_max = (uint32_t)weir_max(position_max, forward->step.rows[row].position);
    weir_gpu_expand(device->gpu, &(struct weir_gpu_expand){
                                     .rows = weir_device_rows_of(device, &all),
                                     .pages = layer->pages,
                                     .kept = layer->kept,
                                     .first = device->parcel.there + device->parcel.run_first,
                                     .n_run = forward->step.n_run,
                                     .window = mixer->window,
                                     .is_in_chunks = mixer->is_in_chunks,
                                     .position_max = position_max});
}

void weir_device_remember(const struct weir_forward *forward, const struct weir_device_layer *layer,
                          weir_gpu_address k, uint32_t k_stride, weir_gpu_address v,
                          uint32_t v_stride)
{
    const struct weir_device_rows all = {.count = forward->step.n_row};
    const weir_device *device = forward->config.device;
    const struct weir_gpu_rows rows = weir_device_rows_of(device, &all);
    if (layer->kept.base == 0)
        weir_gpu_remember(device->gpu, &(struct weir_gpu_remember){.rows = rows,
                                                                   .pages = layer->pages,
                                                                   .k = k,
                                                                   .v = v,
                                                                   .k_stride = k_stride,
                                                                   .v_stride = v_stride});
    else
        weir_gpu_keep(device->gpu, &(struct weir_gpu_keep){.rows = rows,
                                                           .pages = layer->pages,
                                                           .kept = layer->kept,
                                                           .k = k,
                                                           .v = v,
                                                           .k_stride = k_stride,
                                                           .v_stride = v_stride});
    weir_device_expand(forward, layer);
}

/* Outputs of all that is multiplied with normed. */
static void project(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const struct weir_device_scratch *scratch = &forward->config.device->scratch;
    const struct weir_gpu_matrix *const matrices[] = {&layer->q, &layer->k, &layer->v,
                                                      &layer->gate};
    const weir_gpu_address outputs[] = {scratch->q, scratch->k, scratch->v, scratch->gate};
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
}

/* Norms, turns, and what is to be remembered. */
static void prepare(struct weir_forward *forward, const struct weir_device_layer *layer,
                    const struct heads *q)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const weir_device *device = forward->config.device;
    const struct heads k = {device->scratch.k, mixer->n_kv_head, mixer->d_head, mixer->d_head,
                            mixer->n_kv_head * mixer->d_head};
    const struct heads v = {device->scratch.v, mixer->n_kv_head, mixer->d_value, mixer->d_value,
                            mixer->n_kv_head * mixer->d_value};
    const struct weir_device_rows all = {.count = forward->step.n_row};
    const bool is_bare = mixer->norms_bare;
    const bool is_kept = layer->kept.base != 0;
    struct weir_gpu_heads job = {.q_norm =
                                     norm_of(forward, q, &mixer->q_norm, layer->q_norm, is_bare),
                                 .q_rope = rope_of(forward, q),
                                 .norms_late = mixer->norms_late};
    if (!mixer->borrows) {
        job.k_norm = norm_of(forward, &k, &mixer->k_norm, layer->k_norm, is_bare);
        job.v_norm = norm_of(forward, &v, &(struct weir_vector){0}, 0, mixer->norms_values);
        job.k_rope = rope_of(forward, &k);
        if (layer->v.form.cols == 0)
            weir_gpu_copy(device->gpu, WEIR_GPU_COMPUTE, v.x, k.x,
                          (uint64_t)forward->step.n_row * v.row_stride * sizeof(float));
    }
    if (!mixer->borrows && !is_kept)
        job.remember = (struct weir_gpu_remember){.rows = weir_device_rows_of(device, &all),
                                                  .pages = layer->pages,
                                                  .k = k.x,
                                                  .v = v.x,
                                                  .k_stride = k.row_stride,
                                                  .v_stride = v.row_stride};
    weir_gpu_heads(device->gpu, &job);
    if (mixer->borrows)
        weir_device_expand(forward, layer);
    else if (is_kept)
        weir_device_remember(forward, layer, k.x, k.row_stride, v.x, v.row_stride);
    weir_device_heat(forward, q->x, q->row_stride);
}

static void attend_rows(const struct weir_forward *forward, const struct weir_device_layer *layer,
                        const struct heads *q, const struct weir_device_rows *rows)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const weir_device *device = forward->config.device;
    const uint32_t out_stride = mixer->n_head * mixer->d_value;
    weir_gpu_attention(
        device->gpu,
        &(struct weir_gpu_attention){
            .rows = weir_device_rows_of(device, rows),
            .pages = layer->pages,
            .q = weir_device_at(q->x, (uint64_t)rows->first * q->row_stride),
            .out = weir_device_at(device->scratch.attended, (uint64_t)rows->first * out_stride),
            .n_head = mixer->n_head,
            .q_head_stride = q->head_stride,
            .q_stride = q->row_stride,
            .out_stride = out_stride,
            .sinks = layer->sinks,
            .window = mixer->window,
            .is_in_chunks = mixer->is_in_chunks,
            .scale = mixer->scale,
            .softcap = mixer->softcap,
            .position_max = rows->position_max,
            .way = rows->way});
}

/* Gates of what attention gave: beside a head's query, or rows of a matrix of their own. */
static void gate_heads(struct weir_forward *forward, const struct weir_device_layer *layer,
                       const struct heads *q)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const weir_device *device = forward->config.device;
    const bool is_by_head = !mixer->gate_is_in_q && mixer->gate.rows == mixer->n_head;
    struct weir_gpu_gate gate = {.x = device->scratch.attended,
                                 .gate = weir_device_at(q->x, mixer->d_head),
                                 .width = mixer->n_head * mixer->d_value,
                                 .head_width = mixer->d_value,
                                 .x_stride = mixer->n_head * mixer->d_value,
                                 .gate_head_stride = q->head_stride,
                                 .gate_stride = q->row_stride,
                                 .n_row = forward->step.n_row,
                                 .is_by_head = is_by_head,
                                 .is_softplus = mixer->output_gate == WEIR_GATE_SOFTPLUS};
    if (!weir_attention_has_gate(forward))
        return;
    if (!mixer->gate_is_in_q) {
        gate.gate = device->scratch.gate;
        gate.gate_head_stride = is_by_head ? 1 : mixer->d_value;
        gate.gate_stride = layer->gate.form.rows;
    }
    weir_gpu_gate(device->gpu, &gate);
}

void weir_device_attend(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const struct weir_mixer *mixer = &forward->step.layer->mixer;
    const weir_device *device = forward->config.device;
    const uint32_t q_stride = weir_attention_q_stride(mixer);
    const struct heads q = {device->scratch.q, mixer->n_head, mixer->d_head, q_stride,
                            mixer->n_head * q_stride};
    struct weir_device_rows rows = {0};
    if (mixer->kind == WEIR_MIXER_LATENT) {
        weir_device_run_latent(forward, layer);
        return;
    }
    if (mixer->kind == WEIR_MIXER_DELTA) {
        weir_device_run_delta(forward, layer);
        return;
    }
    project(forward, layer);
    prepare(forward, layer, &q);
    while (weir_device_rows_next(forward, &rows))
        attend_rows(forward, layer, &q, &rows);
    gate_heads(forward, layer, &q);
    weir_device_mix(forward, layer, device->scratch.attended);
}
