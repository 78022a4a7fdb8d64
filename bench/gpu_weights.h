/* gpu_weights.h - matrices of every format in a device's memory. */
#ifndef WEIR_BENCH_GPU_WEIGHTS_H
#define WEIR_BENCH_GPU_WEIGHTS_H

#include "encode/encode.h"
#include "gpu_stage.h"
#include "quant/i4.h"

/* How codes' scales are grouped where they are used. */
static inline struct weir_scales stage_grouping(enum weir_type type, bool has_zeros, uint32_t cols)
{
    struct weir_scales scales = {.group_rows = 1, .group_cols = 32, .type = WEIR_SCALE_BF16};
    if (type == WEIR_TYPE_F8_E4M3)
        scales = (struct weir_scales){.group_rows = 128, .group_cols = 128, .type = WEIR_SCALE_F32};
    if (type == WEIR_TYPE_F4_E2M1)
        scales =
            (struct weir_scales){.group_rows = 1, .group_cols = 16, .type = WEIR_SCALE_F8_E4M3};
    const uint32_t group_count = (uint32_t)((cols + scales.group_cols - 1) / scales.group_cols);
    scales.row_bytes = group_count * weir_scale_bytes(scales.type);
    scales.zero_row_bytes = has_zeros ? group_count * WEIR_I4_ZERO_BYTES : 0;
    return scales;
}

static inline struct weir_gpu_form stage_form(enum weir_type type, uint32_t cols, uint32_t rows,
                                              bool has_zeros)
{
    struct weir_gpu_form form = {
        .type = type, .cols = cols, .rows = rows, .row_bytes = weir_quant_row_bytes(type, cols)};
    if (type >= WEIR_TYPE_BLOCK_COUNT)
        form.scales = stage_grouping(type, has_zeros, cols);
    return form;
}

static inline void stage_scale(struct stage *stage, enum weir_scale_type type, uint8_t *place)
{
    const float scale = 0.01f + 0.01f * fabsf(stage_draw(stage));
    const uint16_t half = type == WEIR_SCALE_F16 ? weir_f32_to_f16(scale) : weir_f32_to_bf16(scale);
    if (type == WEIR_SCALE_F32)
        memcpy(place, &scale, sizeof(scale));
    else if (weir_scale_bytes(type) == sizeof(half))
        memcpy(place, &half, sizeof(half));
    else
        *place = (uint8_t)((type == WEIR_SCALE_E8M0 ? 120 : 0x08) +
                           weir_random_next(&stage->random) % 8);
}

/* Rows of a block format that matrices draw theirs from, for to encode them takes long. */
enum { STAGE_POOL_ROWS = 24, STAGE_POOLS = 8 };

static inline const uint8_t *stage_pool(const struct weir_gpu_form *form)
{
    static struct {
        uint32_t cols;
        uint8_t *rows;
    } pools[WEIR_TYPE_COUNT][STAGE_POOLS];
    uint64_t random = 99;
    uint32_t at = 0;
    while (pools[form->type][at].rows != NULL && pools[form->type][at].cols != form->cols)
        at++;
    WEIR_ASSERT(at < STAGE_POOLS);
    if (pools[form->type][at].rows != NULL)
        return pools[form->type][at].rows;
    uint8_t *rows = stage_host(STAGE_POOL_ROWS * form->row_bytes);
    float *values = stage_host(form->cols * sizeof(float));
    for (uint32_t row = 0; row < STAGE_POOL_ROWS; row++) {
        for (uint32_t col = 0; col < form->cols; col++)
            values[col] = (float)(0.1 * weir_random_unit(&random) - 0.05);
        weir_encode_row(form->type, values, NULL, rows + row * form->row_bytes, form->cols);
    }
    free(values);
    pools[form->type][at].cols = form->cols;
    pools[form->type][at].rows = rows;
    return rows;
}

/* A matrix of a form: its data, and of codes its scales and zero points. */
static inline struct weir_gpu_place stage_matrix(struct stage *stage,
                                                 const struct weir_gpu_form *form)
{
    struct weir_gpu_place place = {0};
    const bool is_codes = form->type >= WEIR_TYPE_BLOCK_COUNT;
    uint8_t *data = stage_host(form->rows * form->row_bytes);
    for (uint64_t at = 0; is_codes && at < form->rows * form->row_bytes; at++) {
        data[at] = (uint8_t)weir_random_next(&stage->random);
        if (form->type == WEIR_TYPE_F8_E4M3 && (data[at] & 0x7f) == 0x7f)
            data[at] ^= 1; /* which would be no number */
    }
    for (uint32_t index = 0; !is_codes && index < form->rows; index++)
        memcpy(data + index * form->row_bytes,
               stage_pool(form) +
                   weir_random_next(&stage->random) % STAGE_POOL_ROWS * form->row_bytes,
               form->row_bytes);
    place.data = stage_put(stage, data, form->rows * form->row_bytes);
    if (is_codes) {
        const struct weir_scales *scales = &form->scales;
        const size_t each = weir_scale_bytes(scales->type);
        const size_t bytes =
            (form->rows + scales->group_rows - 1) / scales->group_rows * scales->row_bytes;
        uint8_t *values = stage_host(bytes);
        for (size_t at = 0; at < bytes; at += each)
            stage_scale(stage, scales->type, values + at);
        place.scales = stage_put(stage, values, bytes);
        free(values);
        const size_t zero_bytes = (size_t)(form->rows + 7) / 8 * scales->zero_row_bytes;
        uint8_t *zeros = stage_host(zero_bytes);
        for (size_t at = 0; at < zero_bytes; at++)
            zeros[at] = (uint8_t)weir_random_next(&stage->random);
        if (zero_bytes > 0)
            place.zeros = stage_put(stage, zeros, zero_bytes);
        free(zeros);
    }
    free(data);
    return place;
}

#endif
