/* super_blocks.c - blocks of 256 values in sub-blocks whose scales are whole multiples of a unit.
 *
 * I1  A multiple of a round is the best of the nearest one and its neighbours; a round's units
 *     are the best for the round's steps and multiples, and then a half.
 * I2  The round with the least error is the one that is stored, its units grown (blocks.h). */
#include <string.h>

#include "base/base.h"
#include "encode/blocks.h"
#include "quant/iq4_xs.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"

enum { RUNS_MAX = 16, LOTS_MAX = 2, ROUNDS = 3 };

/* How a format divides its blocks, and looks for its scales. */
struct super {
    enum weir_type type;
    int len;         /* values of a sub-block */
    int low, high;   /* its multiples of d; low 0: a minimum goes with each scale */
    int minimum_end; /* greatest multiple of dmin */
    struct weir_ladder ladder;
    int turns;
    struct weir_tries tries;
};

#define IQ4_STEPS                                                                                  \
    {                                                                                              \
        -127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113                   \
    }

static const struct super supers[] = {
    {WEIR_TYPE_Q2_K,
     16,
     0,
     15,
     15,
     {0.0f, 3.0f, 0, {0}},
     2,
     {8, {3.0f, 3.6f, 2.55f, 2.1f, 3.3f, 2.85f, 2.4f, 4.65f}}},
    {WEIR_TYPE_Q3_K,
     16,
     -32,
     31,
     0,
     {-4.0f, 3.0f, 0, {0}},
     1,
     {6, {-4.0f, -4.6f, -3.1f, -3.7f, -4.3f, -5.0f}}},
    {WEIR_TYPE_Q4_K,
     32,
     0,
     63,
     63,
     {0.0f, 15.0f, 0, {0}},
     1,
     {8, {15.0f, 15.5f, 14.25f, 14.75f, 13.75f, 13.0f, 16.0f, 15.25f}}},
    {WEIR_TYPE_Q5_K,
     32,
     0,
     63,
     63,
     {0.0f, 31.0f, 0, {0}},
     1,
     {8, {31.0f, 30.0f, 31.5f, 29.0f, 30.5f, 28.0f, 29.5f, 27.0f}}},
    {WEIR_TYPE_Q6_K,
     16,
     -128,
     127,
     0,
     {-32.0f, 31.0f, 0, {0}},
     1,
     {6, {-32.0f, -31.0f, -30.0f, 29.0f, -32.5f, -31.5f}}},
    {WEIR_TYPE_IQ4_XS,
     32,
     -32,
     31,
     0,
     {-127.0f, 113.0f, 16, IQ4_STEPS},
     1,
     {9, {-127.0f, 117.0f, -138.0f, -108.0f, -120.0f, 111.0f, -132.0f, 126.0f, 90.0f}}},
};

/* Units and multiples of a block, in units of its lots. */
struct multiples {
    uint16_t d, dmin;
    float d_value, dmin_value; /* what they mean, before they grow */
    float scales[RUNS_MAX];    /* whole */
    float minimums[RUNS_MAX];
};

/* A block on the way. */
struct work {
    const struct weir_fit *fit;
    const struct super *super;
    struct weir_lot lots[LOTS_MAX];
    int lot_count;
    float unit;
    float weights[RUNS_MAX];  /* sums of a run's weights, */
    float products[RUNS_MAX]; /* and of its values times them */
};

static const struct super *get_super(enum weir_type type)
{
    for (size_t at = 0; at < WEIR_COUNT(supers); at++)
        if (supers[at].type == type)
            return &supers[at];
    return NULL;
}

static void set_units(const struct work *work, float d, float dmin, struct multiples *multiples)
{
    multiples->d = weir_encode_half(d * work->unit);
    multiples->dmin = weir_encode_half(dmin * work->unit);
    multiples->d_value = weir_f16_to_f32(multiples->d) / work->unit;
    multiples->dmin_value = weir_f16_to_f32(multiples->dmin) / work->unit;
}

/* Where a try is better its sums and multiples replace what was. */
static void keep_better(const struct weir_sums *tried, const float *scales, const float *minimums,
                        struct weir_sums *best, float *best_scales, float *best_minimums)
{
    for (int run = 0; run < WEIR_LOT_RUNS; run++) {
        const bool is_better = tried->miss[run] < best->miss[run];
        best->q[run] = is_better ? tried->q[run] : best->q[run];
        best->qq[run] = is_better ? tried->qq[run] : best->qq[run];
        best->qx[run] = is_better ? tried->qx[run] : best->qx[run];
        best->miss[run] = is_better ? tried->miss[run] : best->miss[run];
        best_scales[run] = is_better ? scales[run] : best_scales[run];
        best_minimums[run] = is_better ? minimums[run] : best_minimums[run];
    }
}

/* Multiples near to the wanted scales and minimums of one lot, keeping I1, and their sums. */
static float choose_multiples(const struct work *work, int at, const float *scales,
                              const float *minimums, struct multiples *multiples,
                              struct weir_sums *best)
{
    const struct super *super = work->super;
    const int first = at * WEIR_LOT_RUNS;
    const int sides = super->minimum_end > 0 ? 1 : 0;
    const float low = (float)super->low;
    const float high = (float)super->high;
    const float end = (float)super->minimum_end;
    float near_scales[WEIR_LOT_RUNS];
    float near_minimums[WEIR_LOT_RUNS];
    float total = 0.0f;
    for (int run = 0; run < WEIR_LOT_RUNS; run++) {
        near_scales[run] = weir_encode_whole(scales[first + run], multiples->d_value, low, high);
        near_minimums[run] =
            weir_encode_whole(minimums[first + run], multiples->dmin_value, 0.0f, end);
        best->miss[run] = INFINITY;
    }
    for (int aside = -1; aside <= 1; aside++)
        for (int below = -sides; below <= sides; below++) {
            float tried[4][WEIR_LOT_RUNS];
            struct weir_sums sums;
            for (int run = 0; run < WEIR_LOT_RUNS; run++) {
                tried[0][run] = weir_encode_hold(near_scales[run] + (float)aside, low, high);
                tried[1][run] = weir_encode_hold(near_minimums[run] + (float)below, 0.0f, end);
                tried[2][run] = multiples->d_value * tried[0][run];
                tried[3][run] = multiples->dmin_value * tried[1][run];
            }
            work->fit->measure(&work->lots[at], &super->ladder, tried[2], tried[3], &sums);
            keep_better(&sums, tried[0], tried[1], best, multiples->scales + first,
                        multiples->minimums + first);
        }
    for (int run = 0; run < WEIR_LOT_RUNS; run++)
        total += best->miss[run];
    return total;
}

/* Of x ~ d (s q) - dmin m, with steps q and multiples s and m, the best d and dmin. */
static void solve_units(const struct work *work, const struct multiples *multiples,
                        const struct weir_sums *sums, float *d, float *dmin)
{
    double ss = 0.0;
    double sm = 0.0;
    double mm = 0.0;
    double sx = 0.0;
    double mx = 0.0;
    for (int run = 0; run < work->lot_count * WEIR_LOT_RUNS; run++) {
        const struct weir_sums *of = &sums[run / WEIR_LOT_RUNS];
        const double s = (double)multiples->scales[run];
        const double m = (double)multiples->minimums[run];
        ss += s * s * (double)of->qq[run % WEIR_LOT_RUNS];
        sm += s * m * (double)of->q[run % WEIR_LOT_RUNS];
        mm += m * m * (double)work->weights[run];
        sx += s * (double)of->qx[run % WEIR_LOT_RUNS];
        mx += m * (double)work->products[run];
    }
    const double ground = ss * mm - sm * sm;
    if (ground > 1e-9 * ss * mm) {
        *d = (float)((sx * mm - sm * mx) / ground);
        *dmin = (float)((sm * sx - ss * mx) / ground);
    } else if (ss > 0.0) {
        *d = (float)((sx + sm * (double)*dmin) / ss);
    }
}

/* Scales and minimums of their own for all runs, and units that reach the largest of them. */
static void begin(const struct work *work, float *scales, float *minimums, float *d, float *dmin)
{
    const struct super *super = work->super;
    float extreme = 0.0f;
    float most = 0.0f;
    for (int at = 0; at < work->lot_count; at++) {
        float *lot_scales = scales + at * WEIR_LOT_RUNS;
        float *lot_minimums = minimums + at * WEIR_LOT_RUNS;
        float gains[WEIR_LOT_RUNS];
        if (super->minimum_end > 0)
            work->fit->range(&work->lots[at], super->ladder.high, false, &super->tries,
                             super->turns, lot_scales, lot_minimums);
        else
            work->fit->scale(&work->lots[at], &super->ladder, &super->tries, super->turns,
                             lot_scales, gains);
    }
    for (int run = 0; run < work->lot_count * WEIR_LOT_RUNS; run++) {
        extreme = fabsf(scales[run]) > fabsf(extreme) ? scales[run] : extreme;
        most = fmaxf(most, minimums[run]);
    }
    *d = extreme / (float)(super->low < 0 ? super->low : super->high);
    *dmin = super->minimum_end > 0 ? most / (float)super->minimum_end : 0.0f;
}

/* The sum of w x times what x becomes. */
static double sum_product(const struct work *work, const struct multiples *found,
                          const struct weir_sums *sums)
{
    double product = 0.0;
    for (int run = 0; run < work->lot_count * WEIR_LOT_RUNS; run++) {
        const float qx = sums[run / WEIR_LOT_RUNS].qx[run % WEIR_LOT_RUNS];
        product += (double)(found->d_value * found->scales[run]) * (double)qx;
        product -= (double)(found->dmin_value * found->minimums[run]) * (double)work->products[run];
    }
    return product;
}

static void find_multiples(const struct work *work, struct multiples *best)
{
    float scales[RUNS_MAX];
    float minimums[RUNS_MAX] = {0};
    float least = INFINITY;
    float d;
    float dmin;
    double square = 0.0;
    double product = 0.0;
    begin(work, scales, minimums, &d, &dmin);
    for (int round = 0; round < ROUNDS; round++) {
        struct multiples found = {0};
        struct weir_sums sums[LOTS_MAX];
        float error = 0.0f;
        set_units(work, d, dmin, &found);
        for (int at = 0; at < work->lot_count; at++)
            error += choose_multiples(work, at, scales, minimums, &found, &sums[at]);
        if (error < least || round == 0) { /* keeps I2 */
            least = error;
            *best = found;
            product = sum_product(work, &found, sums);
        }
        solve_units(work, &found, sums, &d, &dmin);
        for (int run = 0; run < work->lot_count * WEIR_LOT_RUNS; run++) {
            scales[run] = d * found.scales[run];
            minimums[run] = dmin * found.minimums[run];
        }
    }
    for (int run = 0; run < work->lot_count * WEIR_LOT_RUNS; run++)
        square += (double)work->lots[run / WEIR_LOT_RUNS].squares[run % WEIR_LOT_RUNS];
    const float growth = weir_encode_growth(square, product, best->d);
    best->d = weir_encode_grown(best->d, growth);
    best->dmin = weir_encode_grown(best->dmin, growth);
}

/* ---- bytes ----------------------------------------------------------------------------------- */

/* weir_k_two_bits() of all values: the low two bits of steps with `add` added. */
static void put_two_bits(const int8_t *steps, int add, uint8_t qs[64])
{
    for (int half = 0; half < 2; half++)
        for (int i = 0; i < 32; i++) {
            const int8_t *at = steps + 128 * half + i;
            qs[32 * half + i] = (uint8_t)(((at[0] + add) & 3) | ((at[32] + add) & 3) << 2 |
                                          ((at[64] + add) & 3) << 4 | ((at[96] + add) & 3) << 6);
        }
}

static void put_q2_k(const struct multiples *found, const int8_t *steps, struct weir_q2_k *block)
{
    for (int s = 0; s < 16; s++)
        block->scales[s] = (uint8_t)((int)found->scales[s] | (int)found->minimums[s] << 4);
    put_two_bits(steps, 0, block->qs);
    block->d = found->d;
    block->dmin = found->dmin;
}

/* As weir_q3_k_scale() reads them. */
static void put_q3_k(const struct multiples *found, const int8_t *steps, struct weir_q3_k *block)
{
    memset(block, 0, sizeof(*block));
    for (int s = 0; s < 16; s++) {
        const int scale = (int)found->scales[s] + 32;
        block->scales[s % 8] |= (uint8_t)((scale & 15) << 4 * (s / 8));
        block->scales[8 + s % 4] |= (uint8_t)(scale >> 4 << 2 * (s / 4));
    }
    for (int part = 0; part < 8; part++)
        for (int i = 0; i < 32; i++)
            block->hmask[i] |= (uint8_t)((steps[32 * part + i] + 4) >> 2 << part);
    put_two_bits(steps, 4, block->qs);
    block->d = found->d;
}

/* As weir_k_scale() reads them. */
static void put_k_scales(const struct multiples *found, uint8_t packed[12])
{
    memset(packed, 0, 12);
    for (int s = 0; s < 8; s++) {
        const int scale = (int)found->scales[s];
        const int minimum = (int)found->minimums[s];
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

/* Nibbles of 64 values in 32 bytes, the low ones those of the first half. */
static void put_nibbles(const int8_t *steps, uint8_t qs[128])
{
    for (int part = 0; part < 4; part++)
        for (int i = 0; i < 32; i++)
            qs[32 * part + i] =
                (uint8_t)((steps[64 * part + i] & 15) | (steps[64 * part + 32 + i] & 15) << 4);
}

static void put_q4_k(const struct multiples *found, const int8_t *steps, struct weir_q4_k *block)
{
    block->d = found->d;
    block->dmin = found->dmin;
    put_k_scales(found, block->scales);
    put_nibbles(steps, block->qs);
}

static void put_q5_k(const struct multiples *found, const int8_t *steps, struct weir_q5_k *block)
{
    block->d = found->d;
    block->dmin = found->dmin;
    put_k_scales(found, block->scales);
    put_nibbles(steps, block->qs);
    memset(block->qh, 0, sizeof(block->qh));
    for (int s = 0; s < 8; s++)
        for (int i = 0; i < 32; i++)
            block->qh[i] |= (uint8_t)(steps[32 * s + i] >> 4 << s);
}

static void put_q6_k(const struct multiples *found, const int8_t *steps, struct weir_q6_k *block)
{
    for (int s = 0; s < 16; s++)
        block->scales[s] = (int8_t)found->scales[s];
    block->d = found->d;
    for (int half = 0; half < 2; half++) {
        const int8_t *from = steps + 128 * half;
        for (int i = 0; i < 64; i++)
            block->ql[64 * half + i] =
                (uint8_t)(((from[i] + 32) & 15) | ((from[64 + i] + 32) & 15) << 4);
        for (int i = 0; i < 32; i++)
            block->qh[32 * half + i] =
                (uint8_t)((from[i] + 32) >> 4 | (from[32 + i] + 32) >> 4 << 2 |
                          (from[64 + i] + 32) >> 4 << 4 | (from[96 + i] + 32) >> 4 << 6);
    }
}

/* As weir_iq4_xs_scale() reads them; steps are codes. */
static void put_iq4_xs(const struct multiples *found, const int8_t *steps,
                       struct weir_iq4_xs *block)
{
    memset(block, 0, sizeof(*block));
    block->d = found->d;
    for (int s = 0; s < 8; s++) {
        const int scale = (int)found->scales[s] + 32;
        block->scales_l[s / 2] |= (uint8_t)((scale & 15) << 4 * (s % 2));
        block->scales_h |= (uint16_t)(scale >> 4 << 2 * s);
        for (int i = 0; i < 16; i++)
            block->qs[16 * s + i] = (uint8_t)(steps[32 * s + i] | steps[32 * s + 16 + i] << 4);
    }
}

static void put_super(enum weir_type type, const struct multiples *found, const int8_t *steps,
                      uint8_t *to)
{
    union {
        struct weir_q2_k q2_k;
        struct weir_q3_k q3_k;
        struct weir_q4_k q4_k;
        struct weir_q5_k q5_k;
        struct weir_q6_k q6_k;
        struct weir_iq4_xs iq4_xs;
    } block;
    switch (type) {
    case WEIR_TYPE_Q2_K:
        put_q2_k(found, steps, &block.q2_k);
        break;
    case WEIR_TYPE_Q3_K:
        put_q3_k(found, steps, &block.q3_k);
        break;
    case WEIR_TYPE_Q4_K:
        put_q4_k(found, steps, &block.q4_k);
        break;
    case WEIR_TYPE_Q5_K:
        put_q5_k(found, steps, &block.q5_k);
        break;
    case WEIR_TYPE_Q6_K:
        put_q6_k(found, steps, &block.q6_k);
        break;
    default:
        put_iq4_xs(found, steps, &block.iq4_xs);
    }
    memcpy(to, &block, weir_quant_info(type)->block_bytes);
}

/* The largest that counts, as of a lot. */
static float find_most(const float *importance, int count)
{
    float most = 0.0f;
    for (int i = 0; importance != NULL && i < count; i++) {
        const float found = weir_importance_of(importance[i]);
        most = found > most ? found : most;
    }
    return most;
}

static void fill_work(const struct weir_piece *piece, struct work *work)
{
    const int step = work->super->len * WEIR_LOT_RUNS;
    /* All runs have the same, so that their sums can be added. */
    work->unit = ldexpf(1.0f, ilogbf(weir_encode_most(piece->x, piece->count)));
    work->lot_count = piece->count / step;
    const float importance_most = find_most(piece->importance, piece->count);
    for (int at = 0; at < work->lot_count; at++) {
        struct weir_lot *lot = &work->lots[at];
        const struct weir_values values = {
            .x = piece->x + at * step,
            .importance = piece->importance == NULL ? NULL : piece->importance + at * step,
            .run_count = WEIR_LOT_RUNS,
            .len = work->super->len,
            .unit = work->unit,
            .importance_most = importance_most,
        };
        work->fit->fill(&values, lot);
        for (int run = 0; run < WEIR_LOT_RUNS; run++) {
            float weight = 0.0f;
            float product = 0.0f;
            for (int i = 0; i < lot->len; i++) {
                weight += lot->w[i][run];
                product += lot->w[i][run] * lot->x[i][run];
            }
            work->weights[at * WEIR_LOT_RUNS + run] = weight;
            work->products[at * WEIR_LOT_RUNS + run] = product;
        }
    }
}

void weir_encode_super(const struct weir_fit *fit, const struct weir_piece *piece)
{
    struct work work = {.fit = fit, .super = get_super(piece->type)};
    struct multiples found;
    int8_t steps[LOTS_MAX * WEIR_STEPS_MAX];
    WEIR_ASSERT(work.super != NULL); /* a type of other blocks */
    fill_work(piece, &work);
    find_multiples(&work, &found);
    for (int at = 0; at < work.lot_count; at++) {
        float scales[WEIR_LOT_RUNS];
        float minimums[WEIR_LOT_RUNS];
        for (int run = 0; run < WEIR_LOT_RUNS; run++) {
            scales[run] = found.d_value * found.scales[at * WEIR_LOT_RUNS + run];
            minimums[run] = found.dmin_value * found.minimums[at * WEIR_LOT_RUNS + run];
        }
        fit->take(&work.lots[at], &work.super->ladder, scales, minimums,
                  steps + at * work.super->len * WEIR_LOT_RUNS);
    }
    put_super(piece->type, &found, steps, piece->blocks);
}
