/* matmul_ref.c - y = W x in plain C: the definition of correct. */
#include <string.h>

#include "kernels/kernels_internal.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"
#include "quant/unpack.h"

/* The dot product of one row of a format with one row of its activations. */
typedef float dot_fn(const uint8_t *w, const uint8_t *x, size_t cols);

static void run(const struct weir_matmul *job, dot_fn *dot)
{
    for (size_t token = 0; token < job->n_token; token++) {
        const uint8_t *x = (const uint8_t *)job->x + token * job->x_row_bytes;
        for (size_t row = job->row_begin; row < job->row_end; row++)
            job->y[token * job->y_stride + row] =
                dot((const uint8_t *)job->w + row * job->w_row_bytes, x, job->cols);
    }
}

/* A block where its fields are aligned. */
union aligned_block {
    uint8_t bytes[128];
    uint32_t align;
};

static const void *act_row(const struct weir_matmul *job, size_t token)
{
    return (const uint8_t *)job->x + token * job->x_row_bytes;
}

static int dot_16(const int8_t *a, const int8_t *b)
{
    int total = 0;
    for (int i = 0; i < 16; i++)
        total += a[i] * b[i];
    return total;
}

static float dot_f32(const uint8_t *w, const uint8_t *x, size_t cols)
{
    float sum = 0.0f;
    for (size_t i = 0; i < cols; i++) {
        float a;
        float b;
        memcpy(&a, w + i * sizeof(a), sizeof(a));
        memcpy(&b, x + i * sizeof(b), sizeof(b));
        sum += a * b;
    }
    return sum;
}

static float dot_f16(const uint8_t *w, const uint8_t *x, size_t cols)
{
    float sum = 0.0f;
    for (size_t i = 0; i < cols; i++) {
        uint16_t a;
        float b;
        memcpy(&a, w + i * sizeof(a), sizeof(a));
        memcpy(&b, x + i * sizeof(b), sizeof(b));
        sum += weir_f16_to_f32(a) * b;
    }
    return sum;
}

static float dot_bf16(const uint8_t *w, const uint8_t *x, size_t cols)
{
    float sum = 0.0f;
    for (size_t i = 0; i < cols; i++) {
        uint16_t a;
        float b;
        memcpy(&a, w + i * sizeof(a), sizeof(a));
        memcpy(&b, x + i * sizeof(b), sizeof(b));
        sum += weir_bf16_to_f32(a) * b;
    }
    return sum;
}

static float dot_q8_0(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_32 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 32; at++, act++) {
        struct weir_q8_0 block;
        int total = 0;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        for (int i = 0; i < 32; i++)
            total += block.qs[i] * act->q[i];
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total;
    }
    return sum;
}

static float dot_q4_0(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_32 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 32; at++, act++) {
        struct weir_q4_0 block;
        int total = 0;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        for (int i = 0; i < 16; i++)
            total +=
                ((block.qs[i] & 15) - 8) * act->q[i] + ((block.qs[i] >> 4) - 8) * act->q[i + 16];
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total;
    }
    return sum;
}

static float dot_q4_1(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_32 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 32; at++, act++) {
        struct weir_q4_1 block;
        int total = 0;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        for (int i = 0; i < 16; i++)
            total += (block.qs[i] & 15) * act->q[i] + (block.qs[i] >> 4) * act->q[i + 16];
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total +
               weir_f16_to_f32(block.m) * act->sum;
    }
    return sum;
}

static float dot_q5_0(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_32 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 32; at++, act++) {
        struct weir_q5_0 block;
        int total = 0;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        for (int i = 0; i < 32; i++)
            total += (weir_q5_step(block.qh, block.qs, i) - 16) * act->q[i];
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total;
    }
    return sum;
}

static float dot_q5_1(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_32 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 32; at++, act++) {
        struct weir_q5_1 block;
        int total = 0;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        for (int i = 0; i < 32; i++)
            total += weir_q5_step(block.qh, block.qs, i) * act->q[i];
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total +
               weir_f16_to_f32(block.m) * act->sum;
    }
    return sum;
}

/* 16 bytes of codes, each a step of a table, with 32 activations. */
static int dot_codes(const int8_t steps[16], const uint8_t *qs, const int8_t *q)
{
    int total = 0;
    for (int i = 0; i < 16; i++)
        total += steps[qs[i] & 15] * q[i] + steps[qs[i] >> 4] * q[i + 16];
    return total;
}

static float dot_iq4_nl(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_32 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 32; at++, act++) {
        struct weir_iq4_nl block;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        const int total = dot_codes(weir_iq4_nl_steps, block.qs, act->q);
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total;
    }
    return sum;
}

static float dot_mxfp4(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_32 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 32; at++, act++) {
        struct weir_mxfp4 block;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        const int total = dot_codes(weir_mxfp4_steps, block.qs, act->q);
        sum += weir_mxfp4_scale(block.e) * act->scale * (float)total;
    }
    return sum;
}

static float dot_q2_k(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_256 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 256; at++, act++) {
        struct weir_q2_k block;
        int total = 0;
        int minimums = 0;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        for (int index = 0; index < 256; index++) {
            const uint8_t both = block.scales[index / 16];
            total += (both & 15) * weir_k_two_bits(block.qs, index) * act->q[index];
            minimums += (both >> 4) * act->q[index];
        }
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total -
               weir_f16_to_f32(block.dmin) * act->scale * (float)minimums;
    }
    return sum;
}

static float dot_q3_k(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_256 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 256; at++, act++) {
        struct weir_q3_k block;
        int total = 0;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        for (int index = 0; index < 256; index++) {
            const int bit = block.hmask[index % 32] >> (index / 32) & 1;
            const int step = weir_k_two_bits(block.qs, index) + 4 * bit - 4;
            total += weir_q3_k_scale(block.scales, index / 16) * step * act->q[index];
        }
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total;
    }
    return sum;
}

/* One super-block of Q4_K or Q5_K: high holds the fifth bits, or is NULL. */
static float dot_k(const uint8_t *scales, const uint8_t *qs, const uint8_t *high, float d,
                   float dmin, const struct weir_act_q8_256 *act)
{
    int total = 0;
    int minimums = 0;
    for (int s = 0; s < 8; s++) {
        uint8_t scale;
        uint8_t minimum;
        int dot = 0;
        weir_k_scale(scales, s, &scale, &minimum);
        for (int i = 0; i < 32; i++) {
            const uint8_t byte = qs[s / 2 * 32 + i];
            int step = s % 2 == 0 ? byte & 15 : byte >> 4;
            if (high != NULL)
                step += (high[i] >> s & 1) * 16;
            dot += step * act->q[s * 32 + i];
        }
        total += scale * dot;
        minimums += minimum * act->sums[s];
    }
    return d * act->scale * (float)total - dmin * act->scale * (float)minimums;
}

static float dot_q4_k(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_256 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 256; at++, act++) {
        struct weir_q4_k block;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        sum += dot_k(block.scales, block.qs, NULL, weir_f16_to_f32(block.d),
                     weir_f16_to_f32(block.dmin), act);
    }
    return sum;
}

static float dot_q5_k(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_256 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 256; at++, act++) {
        struct weir_q5_k block;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        sum += dot_k(block.scales, block.qs, block.qh, weir_f16_to_f32(block.d),
                     weir_f16_to_f32(block.dmin), act);
    }
    return sum;
}

static float dot_q6_k(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_256 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 256; at++, act++) {
        struct weir_q6_k block;
        int total = 0;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        for (int index = 0; index < 256; index++) {
            const int half = index / 128;
            const int i = index % 128;
            const int nibble = block.ql[half * 64 + i % 64] >> 4 * (i / 64) & 15;
            const int bits = block.qh[half * 32 + i % 32] >> 2 * (i / 32) & 3;
            total += block.scales[index / 16] * (nibble + 16 * bits - 32) * act->q[index];
        }
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total;
    }
    return sum;
}

static float dot_iq4_xs(const uint8_t *w, const uint8_t *x, size_t cols)
{
    const struct weir_act_q8_256 *act = (const void *)x;
    float sum = 0.0f;
    for (size_t at = 0; at < cols / 256; at++, act++) {
        struct weir_iq4_xs block;
        int total = 0;
        memcpy(&block, w + at * sizeof(block), sizeof(block));
        for (int s = 0; s < 8; s++)
            total += weir_iq4_xs_scale(&block, s) *
                     dot_codes(weir_iq4_nl_steps, block.qs + s * 16, act->q + s * 32);
        sum += weir_f16_to_f32(block.d) * act->scale * (float)total;
    }
    return sum;
}

/* A block is taken apart once for all tokens: that costs more than a dot product. */
static void run_steps_256(const struct weir_matmul *job, enum weir_type type)
{
    const size_t block_bytes = weir_quant_info(type)->block_bytes;
    for (size_t row = job->row_begin; row < job->row_end; row++) {
        for (size_t token = 0; token < job->n_token; token++)
            job->y[token * job->y_stride + row] = 0.0f;
        for (size_t at = 0; at < job->cols / 256; at++) {
            union aligned_block block;
            struct weir_steps w;
            memcpy(block.bytes, (const uint8_t *)job->w + row * job->w_row_bytes + at * block_bytes,
                   block_bytes);
            weir_quant_unpack_256(type, block.bytes, &w);
            for (size_t token = 0; token < job->n_token; token++) {
                const struct weir_act_q8_256 *act = act_row(job, token);
                int total = 0;
                for (int s = 0; s < 16; s++)
                    total += w.scales[s] * dot_16(w.steps + 16 * s, act[at].q + 16 * s);
                job->y[token * job->y_stride + row] += w.d * act[at].scale * (float)total;
            }
        }
    }
}

static void run_steps_32(const struct weir_matmul *job, enum weir_type type)
{
    const struct weir_type_info *info = weir_quant_info(type);
    const size_t part_count = info->block_len / 32;
    for (size_t row = job->row_begin; row < job->row_end; row++) {
        for (size_t token = 0; token < job->n_token; token++)
            job->y[token * job->y_stride + row] = 0.0f;
        for (size_t at = 0; at < job->cols / 32; at++) {
            union aligned_block block;
            struct weir_steps_32 w;
            memcpy(block.bytes,
                   (const uint8_t *)job->w + row * job->w_row_bytes +
                       at / part_count * info->block_bytes,
                   info->block_bytes);
            weir_quant_unpack_32(type, block.bytes, (int)(at % part_count), &w);
            for (size_t token = 0; token < job->n_token; token++) {
                const struct weir_act_q8_32 *act = act_row(job, token);
                const float first = w.scales[0] * (float)dot_16(w.steps, act[at].q);
                const float second = w.scales[1] * (float)dot_16(w.steps + 16, act[at].q + 16);
                job->y[token * job->y_stride + row] += act[at].scale * (first + second);
            }
        }
    }
}

#define MATMUL(type)                                                                               \
    static void matmul_##type(const struct weir_matmul *job)                                       \
    {                                                                                              \
        run(job, dot_##type);                                                                      \
    }
MATMUL(f32)
MATMUL(f16)
MATMUL(bf16)
MATMUL(q8_0)
MATMUL(q4_0)
MATMUL(q4_1)
MATMUL(q5_0)
MATMUL(q5_1)
MATMUL(iq4_nl)
MATMUL(mxfp4)
MATMUL(q2_k)
MATMUL(q3_k)
MATMUL(q4_k)
MATMUL(q5_k)
MATMUL(q6_k)
MATMUL(iq4_xs)
#undef MATMUL

static float widen(enum weir_type type, const uint8_t *value)
{
    float wide;
    uint16_t half;
    memcpy(&half, value, sizeof(half));
    if (type == WEIR_TYPE_F32)
        memcpy(&wide, value, sizeof(wide));
    else
        wide = type == WEIR_TYPE_F16 ? weir_f16_to_f32(half) : weir_bf16_to_f32(half);
    return wide;
}

static void run_turned(const struct weir_matmul *job, enum weir_type type)
{
    for (size_t token = 0; token < job->n_token; token++)
        for (size_t row = job->row_begin; row < job->row_end; row++) {
            const float *x = act_row(job, token);
            const uint8_t *w = (const uint8_t *)job->w + row * job->w_row_bytes;
            float sum = 0.0f;
            for (size_t col = 0; col < job->cols; col++)
                sum += widen(type, w + col * job->w_col_bytes) * x[col];
            job->y[token * job->y_stride + row] = sum;
        }
}

#define MATMUL(name, type, run_steps)                                                              \
    static void matmul_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        run_steps(job, type);                                                                      \
    }
MATMUL(iq1_s, WEIR_TYPE_IQ1_S, run_steps_256)
MATMUL(iq1_m, WEIR_TYPE_IQ1_M, run_steps_256)
MATMUL(iq2_xxs, WEIR_TYPE_IQ2_XXS, run_steps_256)
MATMUL(iq2_xs, WEIR_TYPE_IQ2_XS, run_steps_256)
MATMUL(iq2_s, WEIR_TYPE_IQ2_S, run_steps_256)
MATMUL(iq3_xxs, WEIR_TYPE_IQ3_XXS, run_steps_256)
MATMUL(iq3_s, WEIR_TYPE_IQ3_S, run_steps_256)
MATMUL(tq1_0, WEIR_TYPE_TQ1_0, run_steps_256)
MATMUL(tq2_0, WEIR_TYPE_TQ2_0, run_steps_256)
MATMUL(nvfp4, WEIR_TYPE_NVFP4, run_steps_32)
MATMUL(q1_0, WEIR_TYPE_Q1_0, run_steps_32)
MATMUL(q2_0, WEIR_TYPE_Q2_0, run_steps_32)
MATMUL(turned_f32, WEIR_TYPE_F32, run_turned)
MATMUL(turned_f16, WEIR_TYPE_F16, run_turned)
MATMUL(turned_bf16, WEIR_TYPE_BF16, run_turned)
#undef MATMUL

void weir_matmul_init_ref(struct weir_kernels *kernels)
{
    static weir_matmul_fn *const matmuls[WEIR_TYPE_COUNT] = {
        [WEIR_TYPE_F32] = matmul_f32,         [WEIR_TYPE_F16] = matmul_f16,
        [WEIR_TYPE_BF16] = matmul_bf16,       [WEIR_TYPE_Q8_0] = matmul_q8_0,
        [WEIR_TYPE_Q4_0] = matmul_q4_0,       [WEIR_TYPE_Q4_1] = matmul_q4_1,
        [WEIR_TYPE_Q5_0] = matmul_q5_0,       [WEIR_TYPE_Q5_1] = matmul_q5_1,
        [WEIR_TYPE_IQ4_NL] = matmul_iq4_nl,   [WEIR_TYPE_MXFP4] = matmul_mxfp4,
        [WEIR_TYPE_Q2_K] = matmul_q2_k,       [WEIR_TYPE_Q3_K] = matmul_q3_k,
        [WEIR_TYPE_Q4_K] = matmul_q4_k,       [WEIR_TYPE_Q5_K] = matmul_q5_k,
        [WEIR_TYPE_Q6_K] = matmul_q6_k,       [WEIR_TYPE_IQ4_XS] = matmul_iq4_xs,
        [WEIR_TYPE_IQ1_S] = matmul_iq1_s,     [WEIR_TYPE_IQ1_M] = matmul_iq1_m,
        [WEIR_TYPE_IQ2_XXS] = matmul_iq2_xxs, [WEIR_TYPE_IQ2_XS] = matmul_iq2_xs,
        [WEIR_TYPE_IQ2_S] = matmul_iq2_s,     [WEIR_TYPE_IQ3_XXS] = matmul_iq3_xxs,
        [WEIR_TYPE_IQ3_S] = matmul_iq3_s,     [WEIR_TYPE_TQ1_0] = matmul_tq1_0,
        [WEIR_TYPE_TQ2_0] = matmul_tq2_0,     [WEIR_TYPE_NVFP4] = matmul_nvfp4,
        [WEIR_TYPE_Q1_0] = matmul_q1_0,       [WEIR_TYPE_Q2_0] = matmul_q2_0,
    };
    static const enum weir_act acts[WEIR_TYPE_COUNT] = {
        [WEIR_TYPE_F32] = WEIR_ACT_F32,        [WEIR_TYPE_F16] = WEIR_ACT_F32,
        [WEIR_TYPE_BF16] = WEIR_ACT_F32,       [WEIR_TYPE_Q8_0] = WEIR_ACT_Q8_32,
        [WEIR_TYPE_Q4_0] = WEIR_ACT_Q8_32,     [WEIR_TYPE_Q4_1] = WEIR_ACT_Q8_32,
        [WEIR_TYPE_Q5_0] = WEIR_ACT_Q8_32,     [WEIR_TYPE_Q5_1] = WEIR_ACT_Q8_32,
        [WEIR_TYPE_IQ4_NL] = WEIR_ACT_Q8_32,   [WEIR_TYPE_MXFP4] = WEIR_ACT_Q8_32,
        [WEIR_TYPE_Q2_K] = WEIR_ACT_Q8_256,    [WEIR_TYPE_Q3_K] = WEIR_ACT_Q8_256,
        [WEIR_TYPE_Q4_K] = WEIR_ACT_Q8_256,    [WEIR_TYPE_Q5_K] = WEIR_ACT_Q8_256,
        [WEIR_TYPE_Q6_K] = WEIR_ACT_Q8_256,    [WEIR_TYPE_IQ4_XS] = WEIR_ACT_Q8_256,
        [WEIR_TYPE_IQ1_S] = WEIR_ACT_Q8_256,   [WEIR_TYPE_IQ1_M] = WEIR_ACT_Q8_256,
        [WEIR_TYPE_IQ2_XXS] = WEIR_ACT_Q8_256, [WEIR_TYPE_IQ2_XS] = WEIR_ACT_Q8_256,
        [WEIR_TYPE_IQ2_S] = WEIR_ACT_Q8_256,   [WEIR_TYPE_IQ3_XXS] = WEIR_ACT_Q8_256,
        [WEIR_TYPE_IQ3_S] = WEIR_ACT_Q8_256,   [WEIR_TYPE_TQ1_0] = WEIR_ACT_Q8_256,
        [WEIR_TYPE_TQ2_0] = WEIR_ACT_Q8_256,   [WEIR_TYPE_NVFP4] = WEIR_ACT_Q8_32,
        [WEIR_TYPE_Q1_0] = WEIR_ACT_Q8_32,     [WEIR_TYPE_Q2_0] = WEIR_ACT_Q8_32,
    };
    memcpy(kernels->matmul, matmuls, sizeof(matmuls));
    kernels->turned[WEIR_TYPE_F32] = matmul_turned_f32;
    kernels->turned[WEIR_TYPE_F16] = matmul_turned_f16;
    kernels->turned[WEIR_TYPE_BF16] = matmul_turned_bf16;
    memcpy(kernels->act, acts, sizeof(acts));
}
