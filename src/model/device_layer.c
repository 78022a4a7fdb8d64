/* device_layer.c - a layer on the device, from the residual stream to the residual stream. */
#include "gpu/gpu_joint.h"
#include "model/branch.h"
#include "model/device_internal.h"

bool weir_device_rows_next(const struct weir_forward *forward, struct weir_device_rows *rows)
{
    const struct weir_step_view *step = &forward->step;
    uint32_t at = rows->first + rows->count;
    if (at == step->n_row)
        return false;
    const enum weir_phase phase = step->runs[step->rows[at].run].phase;
    *rows =
        (struct weir_device_rows){.first = at,
                                  .way = phase == WEIR_DECODE ? WEIR_GPU_DECODE : WEIR_GPU_PROMPT,
                                  .position_max = forward->config.device->reach};
    for (; at < step->n_row && step->runs[step->rows[at].run].phase == phase; at++) {
        rows->count++;
        rows->position_max = (uint32_t)weir_max(rows->position_max, step->rows[at].position);
    }
    return true;
}

static struct weir_gpu_matmul matmul_of(const struct weir_device_product *product,
                                        const struct weir_device_rows *rows)
{
    return (struct weir_gpu_matmul){
        .w = *product->w,
        .x = weir_device_at(product->x, (uint64_t)rows->first * product->x_stride),
        .y = weir_device_at(product->y, (uint64_t)rows->first * product->y_stride),
        .x_stride = product->x_stride,
        .y_stride = product->y_stride,
        .n_row = rows->count,
        .way = rows->way,
        .adds = product->adds};
}

void weir_device_multiply_all(struct weir_forward *forward,
                              const struct weir_device_product *products, uint32_t count)
{
    struct weir_device_rows rows = {0};
    WEIR_ASSERT(count <= WEIR_GPU_PRODUCTS_MAX);
    while (weir_device_rows_next(forward, &rows)) {
        struct weir_gpu_products job = {.count = count};
        for (uint32_t index = 0; index < count; index++)
            job.of[index] = matmul_of(&products[index], &rows);
        weir_gpu_products(forward->config.device->gpu, &job);
    }
}

void weir_device_multiply(struct weir_forward *forward, const struct weir_device_product *product)
{
    weir_device_multiply_all(forward, product, 1);
}

static struct weir_gpu_norm norm_of(const struct weir_forward *forward, weir_gpu_address weights,
                                    weir_gpu_address x, weir_gpu_address y)
{
    const uint32_t d_model = forward->shape->d_model;
    return (struct weir_gpu_norm){.x = x,
                                  .y = y,
                                  .weights = weights,
                                  .width = d_model,
                                  .n_head = 1,
                                  .x_head_stride = d_model,
                                  .x_stride = d_model,
                                  .y_head_stride = d_model,
                                  .y_stride = d_model,
                                  .n_row = forward->step.n_row,
                                  .is_centered = forward->shape->norms_are_centered,
                                  .epsilon = forward->shape->norm_epsilon};
}

void weir_device_norm(struct weir_forward *forward, weir_gpu_address weights, uint32_t flag)
{
    const weir_device *device = forward->config.device;
    struct weir_gpu_norm norm =
        norm_of(forward, weights, device->scratch.residual, device->scratch.normed);
    norm.damage = weir_device_at(device->scratch.damage, flag);
    weir_gpu_norm(device->gpu, &norm);
}

void weir_device_norm_own(struct weir_forward *forward, weir_gpu_address weights,
                          weir_gpu_address x)
{
    const struct weir_gpu_norm norm = norm_of(forward, weights, x, x);
    if (weights != 0)
        weir_gpu_norm(forward->config.device->gpu, &norm);
}

void weir_device_add(struct weir_forward *forward, weir_gpu_address x, weir_gpu_address y,
                     float scale)
{
    const uint32_t d_model = forward->shape->d_model;
    weir_gpu_add(forward->config.device->gpu, &(struct weir_gpu_add){.x = x,
                                                                     .y = y,
                                                                     .width = d_model,
                                                                     .x_stride = d_model,
                                                                     .y_stride = d_model,
                                                                     .n_row = forward->step.n_row,
                                                                     .scale = scale});
}

/* A network's gate and up, joined, in hidden_gate; then down, in projected. */
void weir_device_network(struct weir_forward *forward, const struct weir_gpu_matrix *network,
                         const struct weir_unit *unit)
{
    const weir_device *device = forward->config.device;
    const struct weir_device_scratch *scratch = &device->scratch;
    const uint32_t width = network[WEIR_DEVICE_GATE].form.rows;
    const uint32_t d_model = forward->shape->d_model;
    struct weir_device_product products[] = {{.w = &network[WEIR_DEVICE_GATE],
                                              .x = scratch->normed,
                                              .x_stride = d_model,
                                              .y = scratch->hidden_gate,
                                              .y_stride = width},
                                             {.w = &network[WEIR_DEVICE_UP],
                                              .x = scratch->normed,
                                              .x_stride = d_model,
                                              .y = scratch->hidden_up,
                                              .y_stride = width}};
    weir_device_multiply_all(forward, products, 2);
    weir_gpu_glu(device->gpu, &(struct weir_gpu_glu){.gate = scratch->hidden_gate,
                                                     .up = scratch->hidden_up,
                                                     .width = width,
                                                     .stride = width,
                                                     .n_row = forward->step.n_row,
                                                     .glu = unit->glu,
                                                     .limit = unit->limit});
    weir_device_multiply(forward, &(struct weir_device_product){.w = &network[WEIR_DEVICE_DOWN],
                                                                .x = scratch->hidden_gate,
                                                                .x_stride = width,
                                                                .y = scratch->projected,
                                                                .y_stride = d_model});
}

/* Where nothing is done to it in between, the product adds to the residual stream itself. */
void weir_device_mix(struct weir_forward *forward, const struct weir_device_layer *layer,
                     weir_gpu_address x)
{
    const struct weir_device_scratch *scratch = &forward->config.device->scratch;
    const float branch_scale = forward->shape->branch_scale;
    const bool adds = layer->post_norm == 0 && branch_scale == 1.0f;
    const weir_gpu_address y = adds ? scratch->residual : scratch->projected;
    weir_device_multiply(forward, &(struct weir_device_product){.w = &layer->out,
                                                                .x = x,
                                                                .x_stride = layer->out.form.cols,
                                                                .y = y,
                                                                .y_stride = forward->shape->d_model,
                                                                .adds = adds});
    weir_device_norm_own(forward, layer->post_norm, y);
    if (!adds)
        weir_device_add(forward, y, scratch->residual, branch_scale);
}

static void run_mixer(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const uint32_t index = forward->step.layer_index;
    weir_device_norm(forward, layer->norm, 2 * index);
    weir_device_attend(forward, layer);
    if ((forward->config.model->family->parts & WEIR_PART_PARALLEL) == 0)
        weir_device_norm(forward, layer->network_norm, 2 * index + 1);
}

/* What the network gave, where more is done to it before the residual stream has it. */
static void finish_branch(struct weir_forward *forward, const struct weir_device_layer *layer)
{
    const weir_device *device = forward->config.device;
    weir_device_norm_own(forward, layer->network_post_norm, device->scratch.branch);
    weir_device_add(forward, device->scratch.branch, device->scratch.residual,
                    weir_network_scale(forward->config.model, forward->step.layer));
}

/* The residual stream times the layer's last scale, where it has one. */
static void scale_output(const struct weir_forward *forward)
{
    const weir_device *device = forward->config.device;
    const struct weir_vector *scale = &forward->step.layer->output_scale;
    const uint32_t d_model = forward->shape->d_model;
    if (scale->tensor != NULL)
        weir_gpu_scale(device->gpu, &(struct weir_gpu_scale){.x = device->scratch.residual,
                                                             .width = d_model,
                                                             .stride = d_model,
                                                             .n_row = forward->step.n_row,
                                                             .scale = scale->data[0]});
}

static enum weir_status run_network(struct weir_forward *forward, struct weir_device_layer *layer,
                                    weir_gpu_address sum, struct weir_err *err)
{
    if (weir_layer_has_experts(forward->step.layer))
        return weir_device_experts(forward, layer, sum, err);
    weir_device_network(forward, layer->dense, &forward->step.layer->network.unit);
    weir_device_add(forward, forward->config.device->scratch.projected, sum, 1.0f);
    return WEIR_OK;
}

static void send_residual(struct weir_forward *forward)
{
    weir_device *device = forward->config.device;
    if (device->has_residual)
        return;
    weir_gpu_copy_in(device->gpu, WEIR_GPU_COMPUTE, device->scratch.residual,
                     forward->stream.residual,
                     (uint64_t)forward->step.n_row * forward->shape->d_model * sizeof(float));
    device->has_residual = true;
}

enum weir_status weir_device_run_layer(struct weir_forward *forward, struct weir_err *err)
{
    weir_device *device = forward->config.device;
    struct weir_device_layer *layer = &device->layers[forward->step.layer_index];
    const bool is_branch = weir_layer_is_branch(forward->config.model, forward->step.layer);
    const weir_gpu_address sum = is_branch ? device->scratch.branch : device->scratch.residual;
    WEIR_TRY(weir_device_measure_copies(device, err));
    send_residual(forward);
    run_mixer(forward, layer);
    if (is_branch)
        weir_gpu_zero(device->gpu, WEIR_GPU_COMPUTE, sum,
                      (uint64_t)forward->step.n_row * forward->shape->d_model * sizeof(float));
    WEIR_TRY(run_network(forward, layer, sum, err));
    if (is_branch)
        finish_branch(forward, layer);
    if (layer->aside_gate.form.cols != 0)
        weir_device_run_aside(forward, layer);
    scale_output(forward);
    return WEIR_OK;
}
