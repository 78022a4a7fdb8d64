/* scales.h - how the kernels of codes walk a row's scales. */
#ifndef WEIR_KERNELS_SCALES_H
#define WEIR_KERNELS_SCALES_H

#include <string.h>

#include "kernels/kernels_internal.h"
#include "quant/f8_e4m3.h"
#include "quant/i4.h"

/* The scales of one row. */
struct weir_scale_row {
    const uint8_t *data; /* NULL: all are 1, and the row is one group */
    enum weir_scale_type type;
    size_t group_cols;
    const uint8_t *zeros; /* the byte that has the row's first zero point; NULL: there are none */
    int zero_shift;       /* of its bits in it */
};

WEIR_INLINE struct weir_scale_row weir_scale_row_of(const struct weir_scales *scales, size_t row)
{
    if (scales == NULL)
        return (struct weir_scale_row){.group_cols = SIZE_MAX};
    return (struct weir_scale_row){
        .data = (const uint8_t *)scales->data + row / scales->group_rows * scales->row_bytes,
        .type = scales->type,
        .group_cols = scales->group_cols,
        .zeros = scales->zeros == NULL ? NULL
                                       : (const uint8_t *)scales->zeros +
                                             row / WEIR_I4_ZERO_ROWS * scales->zero_row_bytes +
                                             row % WEIR_I4_ZERO_ROWS / 2,
        .zero_shift = row % 2 == 0 ? 0 : 4,
    };
}

/* What codes of I4 are too large by. */
WEIR_INLINE int weir_zero_at(const struct weir_scale_row *scales, size_t group)
{
    if (scales->zeros == NULL)
        return WEIR_I4_ZERO;
    return scales->zeros[group * WEIR_I4_ZERO_BYTES] >> scales->zero_shift & 15;
}

/* The column behind the last one of a group. */
WEIR_INLINE size_t weir_scale_end(const struct weir_scale_row *scales, size_t group, size_t cols)
{
    return cols / scales->group_cols <= group ? cols : (group + 1) * scales->group_cols;
}

/* As weir_scale_decode(), which a row of 16 columns a scale would call too often. */
WEIR_INLINE float weir_scale_at(const struct weir_scale_row *scales, size_t group)
{
    uint32_t bits = 0;
    uint16_t half;
    float value;
    if (scales->data == NULL)
        return 1.0f;
    switch (scales->type) {
    case WEIR_SCALE_F32:
        memcpy(&value, scales->data + group * sizeof(value), sizeof(value));
        return value;
    case WEIR_SCALE_BF16:
        memcpy(&half, scales->data + group * sizeof(half), sizeof(half));
        bits = (uint32_t)half << 16;
        break;
    case WEIR_SCALE_F8_E4M3:
        return weir_f8_e4m3_to_f32(scales->data[group]);
    case WEIR_SCALE_E8M0:
        bits = (uint32_t)scales->data[group] << 23;
        if (scales->data[group] != 0 && scales->data[group] != 255)
            break;
        return weir_scale_decode(scales->type, scales->data, group);
    default:
        return weir_scale_decode(scales->type, scales->data, group);
    }
    memcpy(&value, &bits, sizeof(value));
    return value;
}

#endif
