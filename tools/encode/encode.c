/* encode.c - floats to blocks: nearest steps under a scale found by a small search.
 *
 * I1  Every finite value decodes to a finite one: scales stop at the largest finite half, where the
 *     values outside the format's range meet its end.
 * I2  Steps are the nearest under the scale as stored, not under the one before it was rounded. */
#include "encode/encode.h"

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "encode/encode_steps.h"
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

static void encode_q8_0(const float *x, struct weir_q8_0 *block)
{
    float most = 0.0f;
    for (int i = 0; i < 32; i++)
        most = fmaxf(most, fabsf(x[i]));
    block->d = to_half(most / 127.0f);
    const float d = weir_f16_to_f32(block->d);
    for (int i = 0; i < 32; i++)
        block->qs[i] = (int8_t)nearest(x[i], d, -127, 127);
}

/* The value of largest magnitude becomes -8 exactly: the side with one more step. */
static void encode_q4_0(const float *x, struct weir_q4_0 *block)
{
    block->d = to_half(find_extreme(x, 32) / -8.0f);
    const float d = weir_f16_to_f32(block->d);
    for (int i = 0; i < 16; i++) {
        const int low = nearest(x[i], d, -8, 7) + 8;
        const int high = nearest(x[i + 16], d, -8, 7) + 8;
        block->qs[i] = (uint8_t)(low | high << 4);
    }
}

/* A scale that divides the range of 32 values into steps, and their minimum. */
static void divide_range(const float *x, int steps, uint16_t *d, uint16_t *m)
{
    float least = x[0];
    float most = x[0];
    for (int i = 1; i < 32; i++) {
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    *d = to_half((most - least) / (float)steps);
    *m = to_half(least);
}

static void encode_q4_1(const float *x, struct weir_q4_1 *block)
{
    divide_range(x, 15, &block->d, &block->m);
    const float d = weir_f16_to_f32(block->d);
    const float m = weir_f16_to_f32(block->m);
    for (int i = 0; i < 16; i++) {
        const int low = nearest(x[i] - m, d, 0, 15);
        const int high = nearest(x[i + 16] - m, d, 0, 15);
        block->qs[i] = (uint8_t)(low | high << 4);
    }
}

/* weir_q5_step() of value i becomes step; both arrays are zero before. */
static void put_q5_step(uint8_t qh[4], uint8_t qs[16], int i, int step)
{
    qs[i % 16] |= (uint8_t)((step & 15) << 4 * (i / 16));
    qh[i / 8] |= (uint8_t)(step >> 4 << i % 8);
}

/* As Q4_0, with the extreme at -16. */
static void encode_q5_0(const float *x, struct weir_q5_0 *block)
{
    memset(block, 0, sizeof(*block));
    block->d = to_half(find_extreme(x, 32) / -16.0f);
    const float d = weir_f16_to_f32(block->d);
    for (int i = 0; i < 32; i++)
        put_q5_step(block->qh, block->qs, i, nearest(x[i], d, -16, 15) + 16);
}

static void encode_q5_1(const float *x, struct weir_q5_1 *block)
{
    memset(block, 0, sizeof(*block));
    divide_range(x, 31, &block->d, &block->m);
    const float d = weir_f16_to_f32(block->d);
    const float m = weir_f16_to_f32(block->m);
    for (int i = 0; i < 32; i++)
        put_q5_step(block->qh, block->qs, i, nearest(x[i] - m, d, 0, 31));
}

static void encode_codes(const float *x, float scale, const int8_t steps[16], uint8_t *qs)
{
    for (int i = 0; i < 16; i++) {
        const int low = nearest_code(x[i], scale, steps);
        const int high = nearest_code(x[i + 16], scale, steps);
        qs[i] = (uint8_t)(low | high << 4);
    }
}

/* A signed scale of IQ4_NL's steps for 32 values: the extreme at -127, the side that reaches
 * farther, or the best of a few scales around that. */
static float fit_iq4_nl(const float *x)
{
    const float extreme = find_extreme(x, 32);
    float best = INFINITY;
    float best_scale = extreme / -127.0f; /* stays where the errors below overflow */
    for (int trial = -4; trial <= 4 && extreme != 0.0f; trial++) {
        const float scale = extreme / (-127.0f + 3.0f * (float)trial);
        float error = 0.0f;
        for (int i = 0; i < 32; i++) {
            const int code = nearest_code(x[i], scale, weir_iq4_nl_steps);
            const float miss = scale * (float)weir_iq4_nl_steps[code] - x[i];
            error += miss * miss;
        }
        if (error < best) {
            best = error;
            best_scale = scale;
        }
    }
    return best_scale;
}

static void encode_iq4_nl(const float *x, struct weir_iq4_nl *block)
{
    block->d = to_half(fit_iq4_nl(x));
    encode_codes(x, weir_f16_to_f32(block->d), weir_iq4_nl_steps, block->qs);
}

/* The extreme's power of two becomes that of 4, E2M1's greatest (OCP MX v1.0, 6.3). */
static void encode_mxfp4(const float *x, struct weir_mxfp4 *block)
{
    const float extreme = find_extreme(x, 32);
    const int e = extreme == 0.0f ? 0 : ilogbf(extreme) - 2 + 127;
    block->e = (uint8_t)(e < 0 ? 0 : e);
    encode_codes(x, weir_mxfp4_scale(block->e), weir_mxfp4_steps, block->qs);
}

/* weir_k_two_bits() of value index becomes bits; the array is zero before. */
static void put_two_bits(uint8_t qs[64], int index, int bits)
{
    const int i = index % 128;
    qs[index / 128 * 32 + i % 32] |= (uint8_t)(bits << 2 * (i / 32));
}

/* Scale and minimum (x ~ scale * step - minimum, minimum >= 0) of count values with the least
 * squared error among a few scales around the plain one. */
static void fit_scale_min(const float *x, int count, int steps, float *scale, float *minimum)
{
    float least = 0.0f;
    float most = x[0];
    for (int i = 0; i < count; i++) {
        least = fminf(least, x[i]);
        most = fmaxf(most, x[i]);
    }
    *scale = 0.0f;
    *minimum = -least;
    if (most <= least)
        return;
    /* Stays where the errors below overflow: far outside of what the format holds. */
    *scale = (most - least) / (float)steps;
    float best = INFINITY;
    for (int trial = -4; trial <= 4; trial++) {
        const float s = (most - least) / ((float)steps + 0.15f * (float)trial);
        float error = 0.0f;
        for (int i = 0; i < count; i++) {
            const float miss = s * (float)nearest(x[i] - least, s, 0, steps) + least - x[i];
            error += miss * miss;
        }
        if (error < best) {
            best = error;
            *scale = s;
        }
    }
}

/* 16 scales and minimums, as multiples of at most 15 of two f16 units. */
static void encode_q2_k(const float *x, struct weir_q2_k *block)
{
    float scales[16];
    float minimums[16];
    memset(block, 0, sizeof(*block));
    for (int s = 0; s < 16; s++)
        fit_scale_min(x + s * 16, 16, 3, &scales[s], &minimums[s]);
    block->d = to_half(find_extreme(scales, 16) / 15.0f);
    block->dmin = to_half(find_extreme(minimums, 16) / 15.0f);
    const float d = weir_f16_to_f32(block->d);
    const float dmin = weir_f16_to_f32(block->dmin);
    for (int s = 0; s < 16; s++) {
        const int scale = nearest(scales[s], d, 0, 15);
        const int minimum = nearest(minimums[s], dmin, 0, 15);
        block->scales[s] = (uint8_t)(scale | minimum << 4);
        for (int index = s * 16; index < s * 16 + 16; index++) {
            const float above = x[index] + dmin * (float)minimum;
            put_two_bits(block->qs, index, nearest(above, d * (float)scale, 0, 3));
        }
    }
}

/* The 8 scales and minimums of a Q4_K or Q5_K block: two f16 units and 6-bit multiples of them. */
static void encode_scales(const float *x, int steps, uint16_t *d, uint16_t *dmin, uint8_t *packed)
{
    float scales[8];
    float minimums[8];
    float scale_most = 0.0f;
    float minimum_most = 0.0f;
    for (int s = 0; s < 8; s++) {
        fit_scale_min(x + s * 32, 32, steps, &scales[s], &minimums[s]);
        scale_most = fmaxf(scale_most, scales[s]);
        minimum_most = fmaxf(minimum_most, minimums[s]);
    }
    *d = to_half(scale_most / 63.0f);
    *dmin = to_half(minimum_most / 63.0f);
    memset(packed, 0, 12);
    for (int s = 0; s < 8; s++) {
        const unsigned scale = (unsigned)nearest(scales[s], weir_f16_to_f32(*d), 0, 63);
        const unsigned minimum = (unsigned)nearest(minimums[s], weir_f16_to_f32(*dmin), 0, 63);
        if (s < 4) {
            packed[s] |= (uint8_t)scale;
            packed[s + 4] |= (uint8_t)minimum;
        } else {
            packed[s + 4] = (uint8_t)((scale & 15) | (minimum & 15) << 4);
            packed[s - 4] |= (uint8_t)(scale >> 4 << 6);
            packed[s] |= (uint8_t)(minimum >> 4 << 6);
        }
    }
}

/* The step of x under the block's rounded scale and minimum. */
static int k_step(float x, float d, float dmin, const uint8_t *packed, int s, int steps)
{
    uint8_t scale;
    uint8_t minimum;
    weir_k_scale(packed, s, &scale, &minimum);
    return nearest(x + dmin * (float)minimum, d * (float)scale, 0, steps);
}

static void encode_q4_k(const float *x, struct weir_q4_k *block)
{
    memset(block, 0, sizeof(*block));
    encode_scales(x, 15, &block->d, &block->dmin, block->scales);
    const float d = weir_f16_to_f32(block->d);
    const float dmin = weir_f16_to_f32(block->dmin);
    for (int i = 0; i < WEIR_Q4_K_LEN; i++) {
        const int step = k_step(x[i], d, dmin, block->scales, i / 32, 15);
        block->qs[i / 64 * 32 + i % 32] |= (uint8_t)(i % 64 < 32 ? step : step << 4);
    }
}

static void encode_q5_k(const float *x, struct weir_q5_k *block)
{
    memset(block, 0, sizeof(*block));
    encode_scales(x, 31, &block->d, &block->dmin, block->scales);
    const float d = weir_f16_to_f32(block->d);
    const float dmin = weir_f16_to_f32(block->dmin);
    for (int i = 0; i < WEIR_Q5_K_LEN; i++) {
        const int step = k_step(x[i], d, dmin, block->scales, i / 32, 31);
        block->qs[i / 64 * 32 + i % 32] |= (uint8_t)(i % 64 < 32 ? step & 15 : (step & 15) << 4);
        block->qh[i % 32] |= (uint8_t)(step >> 4 << (i / 32));
    }
}

/* A signed scale for 16 values of steps from low to -low - 1: the extreme at low, or the best of a
 * few scales around that, `apart` from each other. */
static float fit_scale(const float *x, int low, float apart)
{
    const float extreme = find_extreme(x, 16);
    float best = INFINITY;
    float best_scale = extreme / (float)low; /* stays where the errors below overflow */
    for (int trial = -4; trial <= 4 && extreme != 0.0f; trial++) {
        const float scale = extreme / ((float)low + apart * (float)trial);
        float error = 0.0f;
        for (int i = 0; i < 16; i++) {
            const float miss = scale * (float)nearest(x[i], scale, low, -low - 1) - x[i];
            error += miss * miss;
        }
        if (error < best) {
            best = error;
            best_scale = scale;
        }
    }
    return best_scale;
}

/* As weir_q3_k_scale() reads them; the steps are those of values around 0. */
static void encode_q3_k(const float *x, struct weir_q3_k *block)
{
    float scales[16];
    memset(block, 0, sizeof(*block));
    for (int s = 0; s < 16; s++)
        scales[s] = fit_scale(x + s * 16, -4, 0.1f);
    block->d = to_half(find_extreme(scales, 16) / -32.0f);
    const float d = weir_f16_to_f32(block->d);
    for (int s = 0; s < 16; s++) {
        const int scale = nearest(scales[s], d, -32, 31);
        block->scales[s % 8] |= (uint8_t)(((scale + 32) & 15) << 4 * (s / 8));
        block->scales[8 + s % 4] |= (uint8_t)((scale + 32) >> 4 << 2 * (s / 4));
        for (int index = s * 16; index < s * 16 + 16; index++) {
            const int step = nearest(x[index], d * (float)scale, -4, 3) + 4;
            put_two_bits(block->qs, index, step & 3);
            block->hmask[index % 32] |= (uint8_t)(step >> 2 << index / 32);
        }
    }
}

/* As weir_iq4_xs_scale() reads them. */
static void encode_iq4_xs(const float *x, struct weir_iq4_xs *block)
{
    float scales[8];
    memset(block, 0, sizeof(*block));
    for (int s = 0; s < 8; s++)
        scales[s] = fit_iq4_nl(x + s * 32);
    block->d = to_half(find_extreme(scales, 8) / -32.0f);
    const float d = weir_f16_to_f32(block->d);
    for (int s = 0; s < 8; s++) {
        const int scale = nearest(scales[s], d, -32, 31);
        block->scales_l[s / 2] |= (uint8_t)(((scale + 32) & 15) << 4 * (s % 2));
        block->scales_h |= (uint16_t)((scale + 32) >> 4 << 2 * s);
        encode_codes(x + s * 32, d * (float)scale, weir_iq4_nl_steps, block->qs + s * 16);
    }
}

static void encode_q6_k(const float *x, struct weir_q6_k *block)
{
    float scales[16];
    memset(block, 0, sizeof(*block));
    for (int s = 0; s < 16; s++)
        scales[s] = fit_scale(x + s * 16, -32, 0.25f);
    block->d = to_half(find_extreme(scales, 16) / -128.0f);
    const float d = weir_f16_to_f32(block->d);
    for (int s = 0; s < 16; s++)
        block->scales[s] = (int8_t)nearest(scales[s], d, -128, 127);
    for (int index = 0; index < WEIR_Q6_K_LEN; index++) {
        const float scale = d * (float)block->scales[index / 16];
        const unsigned step = (unsigned)(nearest(x[index], scale, -32, 31) + 32);
        const int half = index / 128;
        const int i = index % 128;
        block->ql[half * 64 + i % 64] |= (uint8_t)((step & 15) << 4 * (i / 64));
        block->qh[half * 32 + i % 32] |= (uint8_t)(step >> 4 << 2 * (i / 32));
    }
}

static void encode_block(enum weir_type type, const float *x, void *block)
{
    uint16_t bits;
    switch (type) {
    case WEIR_TYPE_F32:
        memcpy(block, x, sizeof(*x));
        return;
    case WEIR_TYPE_F16:
        bits = weir_f32_to_f16(*x);
        memcpy(block, &bits, sizeof(bits));
        return;
    case WEIR_TYPE_BF16:
        bits = weir_f32_to_bf16(*x);
        memcpy(block, &bits, sizeof(bits));
        return;
    case WEIR_TYPE_Q8_0:
        encode_q8_0(x, block);
        return;
    case WEIR_TYPE_Q4_0:
        encode_q4_0(x, block);
        return;
    case WEIR_TYPE_Q4_1:
        encode_q4_1(x, block);
        return;
    case WEIR_TYPE_Q5_0:
        encode_q5_0(x, block);
        return;
    case WEIR_TYPE_Q5_1:
        encode_q5_1(x, block);
        return;
    case WEIR_TYPE_IQ4_NL:
        encode_iq4_nl(x, block);
        return;
    case WEIR_TYPE_MXFP4:
        encode_mxfp4(x, block);
        return;
    case WEIR_TYPE_Q2_K:
        encode_q2_k(x, block);
        return;
    case WEIR_TYPE_Q3_K:
        encode_q3_k(x, block);
        return;
    case WEIR_TYPE_Q4_K:
        encode_q4_k(x, block);
        return;
    case WEIR_TYPE_Q5_K:
        encode_q5_k(x, block);
        return;
    case WEIR_TYPE_Q6_K:
        encode_q6_k(x, block);
        return;
    case WEIR_TYPE_IQ4_XS:
        encode_iq4_xs(x, block);
        return;
    default:
        weir_encode_low(type, x, block);
    }
}

void weir_encode_row(enum weir_type type, const float *src, void *dst, size_t cols)
{
    const struct weir_type_info *info = weir_quant_info(type);
    const size_t row_bytes = weir_quant_row_bytes(type, cols);
    for (size_t col = 0; info->block_len > 1 && col < cols; col++)
        WEIR_DASSERT(isfinite(src[col]));
    union {
        uint8_t bytes[256];
        uint32_t align;
    } block;
    for (size_t at = 0; at < row_bytes; at += info->block_bytes) {
        encode_block(type, src, block.bytes);
        memcpy((uint8_t *)dst + at, block.bytes, info->block_bytes);
        src += info->block_len;
    }
}
