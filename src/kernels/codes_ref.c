/* codes_ref.c - y = W x of codes whose scales are another tensor's, in plain C. */
#include "kernels/scales.h"
#include "quant/f4_e2m1.h"

static float f8_at(const uint8_t *w, size_t col, int zero)
{
    (void)zero;
    return weir_f8_e4m3_to_f32(w[col]);
}

static uint8_t nibble_at(const uint8_t *w, size_t col)
{
    return col % 2 == 0 ? w[col / 2] & 15 : w[col / 2] >> 4;
}

static float f4_at(const uint8_t *w, size_t col, int zero)
{
    (void)zero;
    return 0.5f * (float)weir_f4_e2m1_steps[nibble_at(w, col)];
}

static float i4_at(const uint8_t *w, size_t col, int zero)
{
    return (float)(nibble_at(w, col) - zero);
}

/* Sum over groups of scale * (sum over the group of code * x). */
#define CODES(type)                                                                                \
    static float dot_##type(const uint8_t *w, const struct weir_scale_row *scales,                 \
                            const uint8_t *x, size_t cols)                                         \
    {                                                                                              \
        float sum = 0.0f;                                                                          \
        for (size_t group = 0, col = 0; col < cols; group++) {                                     \
            const size_t end = weir_scale_end(scales, group, cols);                                \
            const int zero = weir_zero_at(scales, group);                                          \
            float part = 0.0f;                                                                     \
            for (; col < end; col++) {                                                             \
                float value;                                                                       \
                memcpy(&value, x + col * sizeof(value), sizeof(value));                            \
                part += type##_at(w, col, zero) * value;                                           \
            }                                                                                      \
            sum += weir_scale_at(scales, group) * part;                                            \
        }                                                                                          \
        return sum;                                                                                \
    }                                                                                              \
    static void matmul_##type(const struct weir_matmul *job)                                       \
    {                                                                                              \
        for (size_t row = job->row_begin; row < job->row_end; row++) {                             \
            const struct weir_scale_row scales = weir_scale_row_of(job->scales, row);              \
            for (size_t token = 0; token < job->n_token; token++)                                  \
                job->y[token * job->y_stride + row] =                                              \
                    dot_##type((const uint8_t *)job->w + row * job->w_row_bytes, &scales,          \
                               (const uint8_t *)job->x + token * job->x_row_bytes, job->cols);     \
        }                                                                                          \
    }
CODES(f8)
CODES(f4)
CODES(i4)
#undef CODES

void weir_codes_init_ref(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_F8_E4M3] = matmul_f8;
    kernels->matmul[WEIR_TYPE_F4_E2M1] = matmul_f4;
    kernels->matmul[WEIR_TYPE_I4] = matmul_i4;
}
