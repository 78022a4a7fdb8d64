/* simple_blocks.c - blocks of one scale, or of one scale and one minimum.
 *
 * I1  No block is worse than under the plain rule, by its weighted error and but for rounding: the
 *     plain rule is the first start of a search, and where the search's sums cannot tell, both are
 *     compared as they are stored. What a search found then grows (blocks.h). */
#include <string.h>

#include "base/base.h"
#include "encode/blocks.h"
#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/q2_0.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q8_0.h"

/* How a format looks for its scales. */
struct simple {
    enum weir_type type;
    struct weir_ladder ladder;
    int turns;
    struct weir_tries tries;
};

/* E2M1's sixteen codes have fifteen values: twice these, sorted. */
#define E2M1_LADDER                                                                                \
    {                                                                                              \
        -12.0f, 12.0f, 15,                                                                         \
        {                                                                                          \
            -12, -8, -6, -4, -3, -2, -1, 0, 1, 2, 3, 4, 6, 8, 12                                   \
        }                                                                                          \
    }
#define IQ4_LADDER                                                                                 \
    {                                                                                              \
        -127.0f, 113.0f, 16,                                                                       \
        {                                                                                          \
            -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113               \
        }                                                                                          \
    }

/* The plain rules put the extreme at the end of the side that reaches farther. Where steps are few
 * others are better: it is cut, or it is at the other end. */
static const struct simple simples[] = {
    {WEIR_TYPE_Q8_0, {-127.0f, 127.0f, 0, {0}}, 0, {1, {127.0f}}},
    {WEIR_TYPE_Q4_0, {-8.0f, 7.0f, 0, {0}}, 1, {3, {-8.0f, -8.6f, -7.1f}}},
    {WEIR_TYPE_Q5_0,
     {-16.0f, 15.0f, 0, {0}},
     1,
     {6, {-16.0f, -15.0f, -16.6f, -14.0f, -15.6f, 13.0f}}},
    {WEIR_TYPE_Q4_1,
     {0.0f, 15.0f, 0, {0}},
     1,
     {8, {15.0f, 15.5f, 14.25f, 14.75f, 13.75f, 13.0f, 16.0f, 15.25f}}},
    {WEIR_TYPE_Q5_1,
     {0.0f, 31.0f, 0, {0}},
     1,
     {8, {31.0f, 30.0f, 31.5f, 29.0f, 30.5f, 28.0f, 29.5f, 27.0f}}},
    {WEIR_TYPE_IQ4_NL,
     IQ4_LADDER,
     1,
     {9, {-127.0f, 117.0f, -138.0f, -108.0f, -120.0f, 111.0f, -132.0f, 126.0f, 90.0f}}},
    {WEIR_TYPE_MXFP4, E2M1_LADDER, 0, {0, {0}}},
    {WEIR_TYPE_NVFP4, E2M1_LADDER, 0, {0, {0}}},
    {WEIR_TYPE_Q2_0, {-1.0f, 2.0f, 0, {0}}, 2, {7, {2.0f, 3.4f, -2.7f, 2.6f, 4.3f, -2.1f, -3.5f}}},
};

/* A format's blocks are alike in what they store: a scale, and of some a minimum. */
struct stored {
    uint16_t d[WEIR_LOT_RUNS]; /* or 8 bits of another scale */
    uint16_t m[WEIR_LOT_RUNS];
    float scales[WEIR_LOT_RUNS]; /* what they mean, in units */
    float minimums[WEIR_LOT_RUNS];
};

static const struct simple *get_simple(enum weir_type type)
{
    for (size_t at = 0; at < WEIR_COUNT(simples); at++)
        if (simples[at].type == type)
            return &simples[at];
    return NULL;
}

/* Of no offsets the minimums are 0. */
static void store_halves(const struct weir_lot *lot, const float *scales, const float *offsets,
                         struct stored *stored)
{
    for (int run = 0; run < WEIR_LOT_RUNS; run++) {
        stored->d[run] = weir_encode_half(scales[run] * lot->units[run]);
        stored->scales[run] = weir_f16_to_f32(stored->d[run]) / lot->units[run];
        stored->m[run] = 0;
        stored->minimums[run] = 0.0f;
        if (offsets != NULL) {
            stored->m[run] = weir_encode_half(offsets[run] * lot->units[run]);
            stored->minimums[run] = 0.0f - weir_f16_to_f32(stored->m[run]) / lot->units[run];
        }
    }
}

/* Of two the one with the lesser error, run by run, becomes the first. */
static void keep_better(const struct weir_fit *fit, const struct weir_lot *lot,
                        const struct weir_ladder *ladder, struct stored *best,
                        const struct stored *other)
{
    struct weir_sums sums[2];
    fit->measure(lot, ladder, best->scales, best->minimums, &sums[0]);
    fit->measure(lot, ladder, other->scales, other->minimums, &sums[1]);
    for (int run = 0; run < WEIR_LOT_RUNS; run++)
        if (sums[1].miss[run] < sums[0].miss[run]) {
            best->d[run] = other->d[run];
            best->m[run] = other->m[run];
            best->scales[run] = other->scales[run];
            best->minimums[run] = other->minimums[run];
        }
}

/* Whether what a search found needs no comparison: what is lost is more than sums of floats are off
 * by, and the scales are stored nearly as they are; subnormal halves are coarse. */
static bool is_plain_worse(const struct weir_lot *lot, const float *scales, const float *gains,
                           const struct stored *stored)
{
    bool is_worse = true;
    for (int run = 0; run < WEIR_LOT_RUNS; run++) {
        const float apart = fabsf(stored->scales[run] - scales[run]);
        const float lost = lot->squares[run] - gains[run];
        is_worse =
            is_worse && apart <= fabsf(scales[run]) * 0x1p-10f && lost >= lot->squares[run] * 1e-4f;
    }
    return is_worse;
}

static void find_scales(const struct weir_fit *fit, const struct simple *simple,
                        const struct weir_lot *lot, struct stored *stored)
{
    const bool is_searched = simple->tries.count > 1;
    struct stored found;
    float scales[WEIR_LOT_RUNS];
    float gains[WEIR_LOT_RUNS];
    if (is_searched) {
        fit->scale(lot, &simple->ladder, &simple->tries, simple->turns, scales, gains);
        store_halves(lot, scales, NULL, stored);
        if (is_plain_worse(lot, scales, gains, stored))
            return;
        found = *stored;
    }
    for (int run = 0; run < WEIR_LOT_RUNS; run++) {
        scales[run] = lot->extremes[run] / simple->tries.at[0];
        if (!is_searched) /* Q8_0, whose ends are alike */
            scales[run] = fabsf(scales[run]);
    }
    store_halves(lot, scales, NULL, stored);
    if (is_searched)
        keep_better(fit, lot, &simple->ladder, stored, &found); /* keeps I1 */
}

static void find_ranges(const struct weir_fit *fit, const struct simple *simple,
                        const struct weir_lot *lot, struct stored *stored)
{
    const struct weir_tries plain = {1, {simple->ladder.high}};
    struct stored found;
    float scales[WEIR_LOT_RUNS];
    float minimums[WEIR_LOT_RUNS];
    float offsets[WEIR_LOT_RUNS];
    for (int run = 0; run < WEIR_LOT_RUNS; run++) {
        float least = lot->x[0][run];
        float most = least;
        for (int i = 1; i < lot->len; i++) {
            least = fminf(least, lot->x[i][run]);
            most = fmaxf(most, lot->x[i][run]);
        }
        scales[run] = (most - least) / plain.at[0];
        offsets[run] = least;
    }
    store_halves(lot, scales, offsets, stored);
    fit->range(lot, simple->ladder.high, true, &simple->tries, simple->turns, scales, minimums);
    for (int run = 0; run < WEIR_LOT_RUNS; run++)
        offsets[run] = 0.0f - minimums[run];
    store_halves(lot, scales, offsets, &found);
    keep_better(fit, lot, &simple->ladder, stored, &found); /* keeps I1 */
}

/* The scale with bits `at` of MXFP4 or NVFP4. */
static float small_scale(enum weir_type type, int bits)
{
    return type == WEIR_TYPE_MXFP4 ? weir_mxfp4_scale((uint8_t)bits)
                                   : weir_nvfp4_scale((uint8_t)bits);
}

/* The extreme's power of two becomes that of 4, E2M1's greatest (OCP MX v1.0, 6.3). */
static int plain_mxfp4(float extreme)
{
    const int e = extreme == 0.0f ? 0 : ilogbf(extreme) - 2 + 127;
    return e < 0 ? 0 : e;
}

/* The scale under which the extreme is nearest to 6, E2M1's greatest: half of it, as bits. */
static int plain_nvfp4(float extreme)
{
    const float wanted = fminf(fabsf(extreme) / 12.0f, weir_nvfp4_scale(0x7e));
    int low = 0;
    int high = 0x7e; /* greater bits are greater scales */
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        if (weir_nvfp4_scale((uint8_t)middle) <= wanted)
            low = middle;
        else
            high = middle;
    }
    return weir_nvfp4_scale((uint8_t)high) - wanted < wanted - weir_nvfp4_scale((uint8_t)low) ? high
                                                                                              : low;
}

/* Scales of 8 bits: the plain one and those near it. */
static void find_small_scales(const struct weir_fit *fit, const struct simple *simple,
                              const struct weir_lot *lot, struct stored *stored)
{
    const bool is_power = simple->type == WEIR_TYPE_MXFP4;
    const int apart_most = is_power ? 1 : 4;
    const int end = is_power ? 252 : 0x7e; /* of more the greatest step is no finite float */
    int plain[WEIR_LOT_RUNS];
    for (int run = 0; run < WEIR_LOT_RUNS; run++) {
        const float extreme = lot->extremes[run] * lot->units[run];
        plain[run] = is_power ? plain_mxfp4(extreme) : plain_nvfp4(extreme);
        stored->d[run] = (uint16_t)plain[run];
        stored->minimums[run] = 0.0f;
        stored->scales[run] = small_scale(simple->type, plain[run]) / lot->units[run];
    }
    for (int apart = -apart_most; apart <= apart_most; apart++) {
        struct stored other = *stored;
        for (int run = 0; run < WEIR_LOT_RUNS; run++) {
            const int bits = plain[run] + apart;
            other.d[run] = (uint16_t)(bits < 0 ? 0 : bits > end ? end : bits);
            other.scales[run] = small_scale(simple->type, other.d[run]) / lot->units[run];
        }
        keep_better(fit, lot, &simple->ladder, stored, &other); /* keeps I1 */
    }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* Nibbles of the first half of `count` steps and of the second, `add` added. */
static void put_nibbles(const int8_t *steps, int count, int add, uint8_t *qs)
{
    for (int i = 0; i < count / 2; i++)
        qs[i] = (uint8_t)(((steps[i] + add) & 15) | ((steps[i + count / 2] + add) & 15) << 4);
}

/* A fifth bit of 32 steps. */
static void put_fifth_bits(const int8_t *steps, int add, uint8_t qh[4])
{
    for (int byte = 0; byte < 4; byte++) {
        unsigned bits = 0;
        for (int i = 0; i < 8; i++)
            bits |= (unsigned)((steps[8 * byte + i] + add) >> 4 & 1) << i;
        qh[byte] = (uint8_t)bits;
    }
}

/* Places in E2M1's list become its codes. */
static void put_e2m1(const int8_t *places, int count, uint8_t *qs)
{
    static const int8_t codes[15] = {15, 14, 13, 12, 11, 10, 9, 0, 1, 2, 3, 4, 5, 6, 7};
    int8_t steps[32];
    for (int i = 0; i < count; i++)
        steps[i] = codes[places[i]];
    put_nibbles(steps, count, 0, qs);
}

union block {
    struct weir_q8_0 q8_0;
    struct weir_q4_0 q4_0;
    struct weir_q4_1 q4_1;
    struct weir_q5_0 q5_0;
    struct weir_q5_1 q5_1;
    struct weir_iq4_nl iq4_nl;
    struct weir_mxfp4 mxfp4;
    struct weir_q2_0 q2_0;
};

static void put_block(enum weir_type type, uint16_t d, uint16_t m, const int8_t *steps,
                      union block *block)
{
    switch (type) {
    case WEIR_TYPE_Q8_0:
        block->q8_0.d = d;
        memcpy(block->q8_0.qs, steps, sizeof(block->q8_0.qs));
        return;
    case WEIR_TYPE_Q4_0:
        block->q4_0.d = d;
        put_nibbles(steps, 32, 8, block->q4_0.qs);
        return;
    case WEIR_TYPE_Q4_1:
        block->q4_1.d = d;
        block->q4_1.m = m;
        put_nibbles(steps, 32, 0, block->q4_1.qs);
        return;
    case WEIR_TYPE_Q5_0:
        block->q5_0.d = d;
        put_fifth_bits(steps, 16, block->q5_0.qh);
        put_nibbles(steps, 32, 16, block->q5_0.qs);
        return;
    case WEIR_TYPE_Q5_1:
        block->q5_1.d = d;
        block->q5_1.m = m;
        put_fifth_bits(steps, 0, block->q5_1.qh);
        put_nibbles(steps, 32, 0, block->q5_1.qs);
        return;
    case WEIR_TYPE_IQ4_NL:
        block->iq4_nl.d = d;
        put_nibbles(steps, 32, 0, block->iq4_nl.qs);
        return;
    case WEIR_TYPE_MXFP4:
        block->mxfp4.e = (uint8_t)d;
        put_e2m1(steps, 32, block->mxfp4.qs);
        return;
    default:
        block->q2_0.d = d;
        for (int i = 0; i < 16; i++)
            block->q2_0.qs[i] =
                (uint8_t)((steps[4 * i] + 1) | (steps[4 * i + 1] + 1) << 2 |
                          (steps[4 * i + 2] + 1) << 4 | (steps[4 * i + 3] + 1) << 6);
    }
}

/* Runs of NVFP4 are a quarter of a block. */
static void put_nvfp4(const struct stored *stored, const int8_t *steps, int run_count,
                      uint8_t *blocks)
{
    for (int run = 0; run < run_count; run++) {
        uint8_t *block = blocks + run / 4 * (int)sizeof(struct weir_nvfp4);
        block[offsetof(struct weir_nvfp4, scales) + run % 4] = (uint8_t)stored->d[run];
        put_e2m1(steps + 16 * run, 16, block + offsetof(struct weir_nvfp4, qs) + 8 * (run % 4));
    }
}

/* Steps are taken already; what scales and minimums mean stays as it was for these. */
static void grow(const struct weir_fit *fit, const struct weir_lot *lot,
                 const struct weir_ladder *ladder, struct stored *stored)
{
    struct weir_sums sums;
    fit->measure(lot, ladder, stored->scales, stored->minimums, &sums);
    for (int run = 0; run < WEIR_LOT_RUNS; run++) {
        double offset = 0.0;
        for (int i = 0; i < lot->len && stored->minimums[run] != 0.0f; i++)
            offset += (double)lot->w[i][run] * (double)lot->x[i][run];
        const double product = (double)stored->scales[run] * (double)sums.qx[run] -
                               (double)stored->minimums[run] * offset;
        const float growth = weir_encode_growth((double)lot->squares[run], product, stored->d[run]);
        stored->d[run] = weir_encode_grown(stored->d[run], growth);
        stored->m[run] = weir_encode_grown(stored->m[run], growth);
    }
}

/* Up to eight runs: blocks, but of NVFP4. */
static void encode_runs(const struct weir_fit *fit, const struct simple *simple,
                        const struct weir_values *values, uint8_t *blocks)
{
    const enum weir_type type = simple->type;
    const size_t block_bytes = weir_quant_info(type)->block_bytes;
    struct weir_lot lot;
    struct stored stored;
    int8_t steps[WEIR_STEPS_MAX];
    fit->fill(values, &lot);
    if (simple->ladder.count == 15)
        find_small_scales(fit, simple, &lot, &stored);
    else if (simple->ladder.low == 0.0f)
        find_ranges(fit, simple, &lot, &stored);
    else
        find_scales(fit, simple, &lot, &stored);
    fit->take(&lot, &simple->ladder, stored.scales, stored.minimums, steps);
    if (simple->tries.count > 1) /* Q8_0 has the plain rule, scales of 8 bits are too coarse */
        grow(fit, &lot, &simple->ladder, &stored);
    if (type == WEIR_TYPE_NVFP4) {
        put_nvfp4(&stored, steps, values->run_count, blocks);
        return;
    }
    for (int run = 0; run < values->run_count; run++) {
        union block block;
        put_block(type, stored.d[run], stored.m[run], steps + run * lot.len, &block);
        memcpy(blocks + (size_t)run * block_bytes, &block, block_bytes);
    }
}

void weir_encode_simple(const struct weir_fit *fit, const struct weir_piece *piece)
{
    const struct simple *simple = get_simple(piece->type);
    const struct weir_type_info *info = weir_quant_info(piece->type);
    const int len = piece->type == WEIR_TYPE_NVFP4 ? 16 : (int)info->block_len;
    const int step = len * WEIR_LOT_RUNS;
    WEIR_ASSERT(simple != NULL); /* a type of other blocks */
    for (int at = 0; at < piece->count; at += step) {
        const int left = piece->count - at;
        const struct weir_values values = {
            .x = piece->x + at,
            .importance = piece->importance == NULL ? NULL : piece->importance + at,
            .run_count = (left < step ? left : step) / len,
            .len = len,
        };
        encode_runs(fit, simple, &values,
                    piece->blocks + (size_t)at / info->block_len * info->block_bytes);
    }
}
