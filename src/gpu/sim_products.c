/* sim_products.c - products of weights and rows, as the simulated device computes them.
 *
 * To be decoded, a row is multiplied as the CPU's reference does it, bit for bit. Of a prompt the
 * weights are decoded and, like the rows, rounded to f16 (F32 is not), and summed column by column.
 * Rows of x are brought below 2 by a power of two first, so that none is too large for f16. */
#include <math.h>
#include <string.h>

#include "gpu/sim_internal.h"
#include "kernels/scales.h"

enum { TOGETHER = 8 }; /* rows of a prompt that pass a decoded row of weights at once */

/* One matrix in device memory. */
struct product {
    const struct weir_gpu_form *form;
    const uint8_t *data;
    struct weir_scales scales;
    bool has_scales;
    enum weir_gpu_way way;
    float scale;       /* 1: none */
    const float *bias; /* NULL: none */
    bool adds;
};

static uint64_t scales_bytes(const struct weir_gpu_form *form)
{
    return ((form->rows - 1) / form->scales.group_rows + 1) * form->scales.row_bytes;
}

static uint64_t zeros_bytes(const struct weir_gpu_form *form)
{
    return (form->rows + WEIR_I4_ZERO_ROWS - 1) / WEIR_I4_ZERO_ROWS * form->scales.zero_row_bytes;
}

static struct product product_of(const struct weir_sim *sim, const struct weir_gpu_form *form,
                                 weir_gpu_address data, weir_gpu_address scales,
                                 weir_gpu_address zeros)
{
    struct product product = {.form = form, .scales = form->scales, .scale = 1.0f};
    const uint64_t bytes =
        (form->rows - 1) * form->row_bytes + weir_quant_row_bytes(form->type, form->cols);
    product.data = weir_sim_at(sim, data, bytes);
    product.has_scales = scales != 0;
    WEIR_ASSERT(scales == 0 || form->type >= WEIR_TYPE_BLOCK_COUNT);
    WEIR_ASSERT(zeros == 0 || scales != 0);
    product.scales.data = scales == 0 ? NULL : weir_sim_at(sim, scales, scales_bytes(form));
    product.scales.zeros = zeros == 0 ? NULL : weir_sim_at(sim, zeros, zeros_bytes(form));
    return product;
}

/* A row of weights as what they mean. */
static void decode_row(const struct product *product, uint32_t row, float *out)
{
    const struct weir_gpu_form *form = product->form;
    weir_quant_decode_row(form->type, product->data + row * form->row_bytes, out, form->cols);
    if (!product->has_scales)
        return;
    const struct weir_scale_row scales = weir_scale_row_of(&product->scales, row);
    for (size_t group = 0, col = 0; col < form->cols; group++) {
        const float shift = (float)(WEIR_I4_ZERO - weir_zero_at(&scales, group));
        const float scale = weir_scale_at(&scales, group);
        for (const size_t end = weir_scale_end(&scales, group, form->cols); col < end; col++)
            out[col] = (out[col] + (form->type == WEIR_TYPE_I4 ? shift : 0.0f)) * scale;
    }
}

static float to_half(float value)
{
    return weir_f16_to_f32(weir_f32_to_f16(value));
}

/* The power of two that brings all of a row below 2; what is not finite stays so. */
static float step_of(const float *x, uint32_t cols)
{
    int exponent = 0;
    float most = 0.0f;
    for (uint32_t col = 0; col < cols; col++)
        most = fmaxf(most, fabsf(x[col]));
    if (!(most > 0.0f) || !isfinite(most))
        return 1.0f;
    frexpf(most, &exponent);
    return ldexpf(1.0f, exponent < -100 ? -100 : exponent > 100 ? 100 : exponent);
}

static void finish(const struct product *product, const float *values, float *y)
{
    for (uint32_t row = 0; row < product->form->rows; row++) {
        float value = values[row];
        if (product->scale != 1.0f)
            value *= product->scale;
        if (product->bias != NULL)
            value += product->bias[row];
        y[row] = product->adds ? y[row] + value : value;
    }
}

/* One row by the CPU's reference. */
static void decode_one(struct weir_sim *sim, const struct product *product, const float *x,
                       float *y)
{
    const struct weir_gpu_form *form = product->form;
    const enum weir_act format = sim->kernels.act[form->type];
    const size_t act_bytes = weir_align_up(weir_act_row_bytes(format, form->cols), WEIR_GPU_ALIGN);
    uint8_t *scratch = weir_sim_scratch(sim, act_bytes + form->rows * sizeof(float));
    if (scratch == NULL)
        return;
    float *values = (float *)(void *)(scratch + act_bytes);
    sim->kernels.quantize[format](x, scratch, form->cols);
    const struct weir_matmul job = {
        .w = product->data,
        .w_row_bytes = form->row_bytes,
        .x = scratch,
        .x_row_bytes = act_bytes,
        .y = values,
        .y_stride = form->rows,
        .cols = form->cols,
        .row_end = form->rows,
        .n_token = 1,
        .scales = product->has_scales ? &product->scales : NULL,
    };
    sim->kernels.matmul[form->type](&job);
    finish(product, values, y);
}

/* At most TOGETHER rows; each has its own sums, so it does not matter how many. */
static void multiply_prompt(struct weir_sim *sim, const struct product *product,
                            const float *const *x, float *const *y, uint32_t count)
{
    const struct weir_gpu_form *form = product->form;
    const bool is_plain = form->type == WEIR_TYPE_F32;
    const size_t cols = form->cols;
    float steps[TOGETHER];
    float *scratch = weir_sim_scratch(sim, (cols * (TOGETHER + 1) + (size_t)form->rows * TOGETHER) *
                                               sizeof(float));
    if (scratch == NULL)
        return;
    float *columns = scratch;
    float *weights = columns + cols * TOGETHER;
    float *values = weights + cols;
    memset(columns, 0, cols * TOGETHER * sizeof(float));
    for (uint32_t index = 0; index < count; index++) {
        steps[index] = is_plain ? 1.0f : step_of(x[index], form->cols);
        for (size_t col = 0; col < cols; col++)
            columns[col * TOGETHER + index] =
                is_plain ? x[index][col] : to_half(x[index][col] / steps[index]);
    }
    for (uint32_t row = 0; row < form->rows; row++) {
        float sums[TOGETHER] = {0};
        decode_row(product, row, weights);
        for (size_t col = 0; col < cols; col++) {
            const float weight = is_plain ? weights[col] : to_half(weights[col]);
            for (int index = 0; index < TOGETHER; index++)
                sums[index] += weight * columns[col * TOGETHER + index];
        }
        for (uint32_t index = 0; index < count; index++)
            values[index * form->rows + row] = sums[index] * steps[index];
    }
    for (uint32_t index = 0; index < count; index++)
        finish(product, values + (size_t)index * form->rows, y[index]);
}

/* Rows that are gathered until they pass a matrix together. */
struct gathered {
    const float *x[TOGETHER];
    float *y[TOGETHER];
    uint32_t count;
};

static void multiply_gathered(struct weir_sim *sim, const struct product *product,
                              struct gathered *rows)
{
    if (product->way == WEIR_GPU_PROMPT && rows->count > 0)
        multiply_prompt(sim, product, rows->x, rows->y, rows->count);
    for (uint32_t index = 0; product->way == WEIR_GPU_DECODE && index < rows->count; index++)
        decode_one(sim, product, rows->x[index], rows->y[index]);
    rows->count = 0;
}

static void gather(struct weir_sim *sim, const struct product *product, struct gathered *rows,
                   weir_gpu_address x, weir_gpu_address y)
{
    rows->x[rows->count] = weir_sim_at(sim, x, product->form->cols * sizeof(float));
    rows->y[rows->count] = weir_sim_at(sim, y, product->form->rows * sizeof(float));
    if (++rows->count == TOGETHER)
        multiply_gathered(sim, product, rows);
}

void weir_sim_matmul(struct weir_sim *sim, const struct weir_gpu_matmul *job)
{
    const struct weir_gpu_matrix *w = &job->w;
    struct product product = product_of(sim, &w->form, w->data, w->scales, w->zeros);
    struct gathered rows = {0};
    product.way = job->way;
    product.scale = w->scale;
    product.adds = job->adds;
    if (w->bias != 0)
        product.bias = weir_sim_at(sim, w->bias, w->form.rows * sizeof(float));
    for (uint32_t row = 0; row < job->n_row; row++)
        gather(sim, &product, &rows, job->x + (uint64_t)row * job->x_stride * sizeof(float),
               job->y + (uint64_t)row * job->y_stride * sizeof(float));
    multiply_gathered(sim, &product, &rows);
}

void weir_sim_products(struct weir_sim *sim, const struct weir_gpu_products *job)
{
    for (uint32_t index = 0; index < job->count; index++)
        weir_sim_matmul(sim, &job->of[index]);
}

/* All rows that chose one expert. */
static void run_expert(struct weir_sim *sim, const struct weir_gpu_experts *job, uint32_t id,
                       const struct weir_gpu_place *place, const uint32_t *chosen)
{
    const uint32_t rows_of_y = job->form.rows;
    struct product product = product_of(sim, &job->form, place->data, place->scales, place->zeros);
    struct gathered rows = {0};
    product.way = job->way;
    if (job->scale != 0)
        product.scale =
            ((const float *)weir_sim_at(sim, job->scale, job->n_expert * sizeof(float)))[id];
    if (job->bias != 0)
        product.bias = (const float *)weir_sim_at(
                           sim, job->bias, (uint64_t)job->n_expert * rows_of_y * sizeof(float)) +
                       (size_t)id * rows_of_y;
    for (uint64_t at = 0; at < (uint64_t)job->n_row * job->n_used; at++) {
        const uint64_t from = job->x_is_by_row ? at / job->n_used : at;
        if (chosen[at] == id)
            gather(sim, &product, &rows, job->x + from * job->x_stride * sizeof(float),
                   job->y + at * job->y_stride * sizeof(float));
    }
    multiply_gathered(sim, &product, &rows);
}

void weir_sim_experts(struct weir_sim *sim, const struct weir_gpu_experts *job)
{
    const uint64_t count = (uint64_t)job->n_row * job->n_used;
    const struct weir_gpu_place *places =
        weir_sim_at(sim, job->table, job->n_expert * sizeof(*places));
    const uint32_t *chosen = weir_sim_at(sim, job->chosen, count * sizeof(*chosen));
    for (uint64_t at = 0; at < count; at++)
        WEIR_ASSERT(chosen[at] < job->n_expert);
    if (job->unit.width > 0)
        weir_sim_glu(sim, &job->unit);
    for (uint32_t id = 0; id < job->n_expert; id++)
        if (places[id].data != 0)
            run_expert(sim, job, id, &places[id], chosen);
}

void weir_sim_pair(struct weir_sim *sim, const struct weir_gpu_pair *job)
{
    for (int index = 0; index < 2; index++)
        weir_sim_experts(sim, &job->of[index]);
}

void weir_sim_embed(struct weir_sim *sim, const struct weir_gpu_embed *job)
{
    const struct weir_gpu_matrix *table = &job->table;
    const struct product product =
        product_of(sim, &table->form, table->data, table->scales, table->zeros);
    const uint32_t *ids = weir_sim_at(sim, job->ids, job->n_row * sizeof(*ids));
    for (uint32_t row = 0; row < job->n_row; row++) {
        float *y = weir_sim_at(sim, job->y + (uint64_t)row * job->y_stride * sizeof(float),
                               table->form.cols * sizeof(float));
        WEIR_ASSERT(ids[row] < table->form.rows);
        decode_row(&product, ids[row], y);
        for (uint32_t col = 0; col < table->form.cols && job->scale != 1.0f; col++)
            y[col] *= job->scale;
    }
}
