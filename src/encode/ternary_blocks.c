/* ternary_blocks.c - blocks whose values are all of one magnitude, or 0.
 *
 * I1  Of the magnitudes above half of a scale the weighted mean is the best scale; a scale is a
 *     mean that stays when it is taken again, from the best of some starts. */
#include <string.h>

#include "base/base.h"
#include "encode/blocks.h"
#include "quant/q1_0.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

/* Magnitudes in a unit, and weights. */
struct magnitudes {
    int count;
    float unit;
    float most;
    float x[WEIR_PIECE_VALUES];
    float w[WEIR_PIECE_VALUES];
};

static void fill_magnitudes(const float *x, const float *importance, int count,
                            struct magnitudes *all)
{
    float counts = 0.0f;
    all->count = count;
    for (int i = 0; i < count; i++) {
        const float w = importance == NULL ? 1.0f : importance[i];
        all->w[i] = weir_importance_of(w);
        counts = fmaxf(counts, all->w[i]);
    }
    all->most = weir_encode_most(x, count);
    all->unit = ldexpf(1.0f, ilogbf(all->most));
    all->most /= all->unit;
    for (int i = 0; i < count; i++) {
        all->x[i] = fabsf(x[i]) / all->unit;
        all->w[i] = (counts > 0.0f ? all->w[i] / counts : 0.0f) + 0x1p-20f;
    }
}

/* The mean of the magnitudes above a threshold; *gain is what it takes off the error. */
static float mean_above(const struct magnitudes *all, float threshold, float *gain)
{
    float weight = 0.0f;
    float product = 0.0f;
    for (int i = 0; i < all->count; i++) {
        const float w = all->x[i] > threshold ? all->w[i] : 0.0f;
        weight += w;
        product += w * all->x[i];
    }
    const float mean = weight > 0.0f ? product / weight : 0.0f;
    *gain = mean * product;
    return mean;
}

static float fit_ternary(const struct magnitudes *all)
{
    enum { STARTS = 10, TURNS = 3 };
    float best = -1.0f;
    float scale = 0.0f;
    float gain;
    for (int start = 0; start < STARTS; start++) {
        float found = mean_above(all, all->most * (float)start / (2 * STARTS), &gain);
        if (gain > best) {
            best = gain;
            scale = found;
        }
    }
    for (int turn = 0; turn < TURNS; turn++) /* keeps I1 */
        scale = mean_above(all, scale / 2.0f, &gain);
    return scale;
}

/* -1, 0 or 1 for each value, nearest under the scale as stored. */
static uint16_t take_ternary(const float *x, const float *importance, int8_t steps[256])
{
    struct magnitudes all;
    fill_magnitudes(x, importance, 256, &all);
    const uint16_t half = weir_encode_half(fit_ternary(&all) * all.unit);
    const float d = weir_f16_to_f32(half);
    for (int i = 0; i < 256; i++)
        steps[i] = (int8_t)weir_encode_whole(x[i], d, -1.0f, 1.0f);
    return half;
}

/* The fraction of 256 whose digits to the base 3 are those of `count` steps, `apart` from each
 * other. */
static uint8_t put_digits(const int8_t *steps, int apart, int count)
{
    int digits = 0;
    for (int n = 0; n < 5; n++)
        digits = 3 * digits + (n < count ? steps[n * apart] + 1 : 0);
    return (uint8_t)((digits * 256 + 242) / 243);
}

static void encode_tq1_0(const struct weir_piece *piece)
{
    struct weir_tq1_0 block;
    int8_t steps[256];
    block.d = take_ternary(piece->x, piece->importance, steps);
    for (int i = 0; i < 32; i++)
        block.qs[i] = put_digits(steps + i, 32, 5);
    for (int i = 0; i < 16; i++)
        block.qs[32 + i] = put_digits(steps + 160 + i, 16, 5);
    for (int i = 0; i < 4; i++)
        block.qh[i] = put_digits(steps + 240 + i, 4, 4);
    memcpy(piece->blocks, &block, sizeof(block));
}

static void encode_tq2_0(const struct weir_piece *piece)
{
    struct weir_tq2_0 block = {.d = 0};
    int8_t steps[256];
    block.d = take_ternary(piece->x, piece->importance, steps);
    for (int index = 0; index < 256; index++)
        block.qs[index / 128 * 32 + index % 32] |=
            (uint8_t)((steps[index] + 1) << index % 128 / 32 * 2);
    memcpy(piece->blocks, &block, sizeof(block));
}

/* The mean magnitude has the least squared error. */
static void encode_q1_0(const float *x, const float *importance, uint8_t *to)
{
    struct magnitudes all;
    struct weir_q1_0 block = {.d = 0};
    float gain;
    fill_magnitudes(x, importance, WEIR_Q1_0_LEN, &all);
    block.d = weir_encode_half(mean_above(&all, -1.0f, &gain) * all.unit);
    for (int i = 0; i < WEIR_Q1_0_LEN; i++)
        block.qs[i / 8] |= (uint8_t)((x[i] >= 0.0f) << i % 8);
    memcpy(to, &block, sizeof(block));
}

void weir_encode_ternary(const struct weir_piece *piece)
{
    switch (piece->type) {
    case WEIR_TYPE_TQ1_0:
        encode_tq1_0(piece);
        return;
    case WEIR_TYPE_TQ2_0:
        encode_tq2_0(piece);
        return;
    default:
        for (int at = 0; at < piece->count; at += WEIR_Q1_0_LEN)
            encode_q1_0(piece->x + at, piece->importance == NULL ? NULL : piece->importance + at,
                        piece->blocks + (size_t)at / WEIR_Q1_0_LEN * sizeof(struct weir_q1_0));
    }
}
