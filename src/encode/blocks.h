/* blocks.h - the encoders of one kind of blocks each, over some 256 values at a time. */
#ifndef WEIR_ENCODE_BLOCKS_H
#define WEIR_ENCODE_BLOCKS_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "encode/fit.h"
#include "quant/quant.h"

enum { WEIR_PIECE_VALUES = 256 }; /* what an encoder is given, unless a row ends before */

/* Part of a row: whole blocks. */
struct weir_piece {
    enum weir_type type;
    int count;               /* values, at most WEIR_PIECE_VALUES */
    const float *x;          /* finite */
    const float *importance; /* of each value; NULL: not known */
    uint8_t *blocks;         /* where they go, at any alignment */
};

/* Blocks of one scale, or one scale and one minimum, as a float: Q4_0 to Q8_0, IQ4_NL, MXFP4,
 * NVFP4, Q2_0. */
void weir_encode_simple(const struct weir_fit *fit, const struct weir_piece *piece);
/* Blocks of sub-blocks with whole scales: Q2_K to Q6_K, IQ4_XS. */
void weir_encode_super(const struct weir_fit *fit, const struct weir_piece *piece);
/* Blocks whose values all have one magnitude, or are 0: TQ1_0, TQ2_0, Q1_0. */
void weir_encode_ternary(const struct weir_piece *piece);
/* Blocks of entries of a codebook: IQ1, IQ2 and IQ3. */
void weir_encode_grid(const struct weir_fit *fit, const struct weir_piece *piece);

/* weir_encode_row() at a level of the caller's choice; weir_encode_fit() is the CPU's best. */
void weir_encode_row_at(const struct weir_fit *fit, enum weir_type type, const float *src,
                        const float *weights, void *dst, size_t cols);
const struct weir_fit *weir_encode_fit(void);

static inline float weir_encode_hold(float value, float low, float high)
{
    const float above = value > low ? value : low;
    return above < high ? above : high;
}

/* The half nearest to a scale or minimum; the largest finite one ends them. */
static inline uint16_t weir_encode_half(float value)
{
    return weir_f32_to_f16(weir_encode_hold(value, -65504.0f, 65504.0f));
}

/* The whole number nearest to a / b in [low, high], even of two; 0 where b is 0. */
static inline float weir_encode_whole(float a, float b, float low, float high)
{
    const float quotient = b == 0.0f ? 0.0f : a / (b == 0.0f ? 1.0f : b);
    /* Held in range first: numbers near 2^23 have no fraction. */
    return (weir_encode_hold(quotient, low, high) + 0x1.8p23f) - 0x1.8p23f;
}

/* What a scale is to be multiplied by when its steps are chosen: a block's square (of its values,
 * weighed) over its product (of its values and the decoded ones). Under the scale of least squares
 * decoded values are too small, by the share of the square that is lost. Errors of either sign
 * cancel in a product of many columns; this one is alike in all blocks, and layers add it up. A
 * block whose scale is less than 2^-18 stays: such halves are further apart than it would grow. */
static inline float weir_encode_growth(double square, double product, uint16_t scale)
{
    enum { GROWTH_MAX = 2 }; /* of a block that its format does not fit at all */
    const bool grows = product > square / GROWTH_MAX && fabsf(weir_f16_to_f32(scale)) >= 0x1p-18f;
    return grows ? (float)(square / product) : 1.0f;
}

/* A half times that. */
static inline uint16_t weir_encode_grown(uint16_t half, float growth)
{
    return weir_encode_half(weir_f16_to_f32(half) * growth);
}

/* The largest magnitude, 2^-125 at least and 2^125 at most; its power of two is a unit. */
static inline float weir_encode_most(const float *x, int count)
{
    uint32_t most = 0; /* floats above 0 are in order as whole numbers */
    float value;
    for (int i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof(bits));
        bits &= 0x7fffffff;
        most = bits > most ? bits : most;
    }
    memcpy(&value, &most, sizeof(value));
    return weir_encode_hold(value, 0x1p-125f, 0x1p125f);
}

#endif
