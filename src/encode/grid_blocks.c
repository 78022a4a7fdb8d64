/* grid_blocks.c - blocks of entries of codebooks: IQ1, IQ2, IQ3.
 *
 * I1  The multiple of a run is the best of the nearest one and its neighbours, each with its own
 *     entries; the unit is then the best for these entries and multiples.
 * I2  The round with the least error is the one that is stored, its unit grown (blocks.h). */
#include <string.h>

#include "base/base.h"
#include "encode/blocks.h"
#include "encode/grid_book.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"

enum { GROUPS_MAX = 64, LOTS_MAX = 8, RUNS_MAX = 16, ROUNDS = 2 };
/* How far down a list: while scales are looked for, and for what is stored. */
enum { QUICK_DEPTH = 6, FULL_DEPTH = WEIR_BOOK_NEAR };

/* How a format uses its codebook. */
struct shape {
    enum weir_type type;
    int run;       /* values that share a scale */
    int scale_max; /* its greatest number: 2 of it and 1 times d * unit is the scale */
    float unit;
    bool is_even;  /* of eight signs the last follows from the others */
    int delta_run; /* IQ1: values that share a delta; 0: no delta, but signs */
};

static const struct shape shapes[] = {
    {WEIR_TYPE_IQ1_S, 32, 7, 0.125f, false, 32},  {WEIR_TYPE_IQ1_M, 16, 7, 0.125f, false, 8},
    {WEIR_TYPE_IQ2_XXS, 32, 15, 0.125f, true, 0}, {WEIR_TYPE_IQ2_XS, 16, 15, 0.125f, true, 0},
    {WEIR_TYPE_IQ2_S, 16, 15, 0.125f, false, 0},  {WEIR_TYPE_IQ3_XXS, 32, 15, 0.25f, true, 0},
    {WEIR_TYPE_IQ3_S, 32, 15, 1.0f, false, 0},
};

/* What stands for a block. */
struct found {
    uint16_t d;
    unsigned scales[RUNS_MAX];  /* by run */
    uint16_t index[GROUPS_MAX]; /* by entry */
    uint8_t signs[32];          /* by eight values */
    bool is_minus[32];          /* delta by eight values */
};

/* A block on the way; its values, in units, are magnitudes but of IQ1. */
struct work {
    const struct weir_fit *fit;
    const struct shape *shape;
    const struct weir_book *book;
    int group_count, run_count;
    float unit;
    double square; /* sum of w x x */
    struct weir_groups lots[LOTS_MAX];
};

/* What one try gives: by group, and the error by run. */
struct tried {
    uint16_t index[GROUPS_MAX];
    bool is_minus[GROUPS_MAX];
    float misses[RUNS_MAX];
};

static int run_of(const struct work *work, int group)
{
    return group * work->book->width / work->shape->run;
}

/* The greatest step of an entry. */
static float last_step(const struct work *work)
{
    const int delta = work->shape->delta_run > 0 ? 1 : 0;
    return (float)(work->book->levels[work->book->level_count - 1] + delta);
}

/* Entries of all groups for one delta. */
static void find_all(const struct work *work, const float scales[RUNS_MAX], float delta, int depth,
                     uint16_t index[GROUPS_MAX], float misses[GROUPS_MAX])
{
    for (int first = 0; first < work->group_count; first += WEIR_LOT_RUNS) {
        float spread[WEIR_LOT_RUNS];
        for (int at = 0; at < WEIR_LOT_RUNS; at++)
            spread[at] = scales[run_of(work, first + at)];
        work->fit->entries(work->book, &work->lots[first / WEIR_LOT_RUNS], spread, delta, depth,
                           index + first, misses + first);
    }
}

/* Entries, and deltas where there are some, under a scale for each run. */
static void try_scales(const struct work *work, const float scales[RUNS_MAX], int depth,
                       struct tried *tried)
{
    const struct shape *shape = work->shape;
    float misses[2][GROUPS_MAX];
    memset(tried, 0, sizeof(*tried));
    if (shape->delta_run == 0) {
        find_all(work, scales, 0.0f, depth, tried->index, misses[0]);
        for (int group = 0; group < work->group_count; group++)
            tried->misses[run_of(work, group)] += misses[0][group];
        return;
    }
    uint16_t minus[GROUPS_MAX];
    const int part = shape->delta_run / work->book->width; /* groups that share a delta */
    find_all(work, scales, 1.0f, depth, tried->index, misses[0]);
    find_all(work, scales, -1.0f, depth, minus, misses[1]);
    for (int first = 0; first < work->group_count; first += part) {
        float totals[2] = {0};
        for (int at = first; at < first + part; at++) {
            totals[0] += misses[0][at];
            totals[1] += misses[1][at];
        }
        const bool is_minus = totals[1] < totals[0];
        for (int at = first; at < first + part; at++) {
            tried->is_minus[at] = is_minus;
            tried->index[at] = is_minus ? minus[at] : tried->index[at];
        }
        tried->misses[run_of(work, first)] += totals[is_minus];
    }
}

/* A run's part of one try becomes that of another. */
static void take_run(const struct work *work, int run, const struct tried *from, struct tried *to)
{
    const int groups = work->shape->run / work->book->width;
    for (int at = run * groups; at < (run + 1) * groups; at++) {
        to->index[at] = from->index[at];
        to->is_minus[at] = from->is_minus[at];
    }
    to->misses[run] = from->misses[run];
}

/* Sums of a run's w q q and w q x. */
static void sum_run(const struct work *work, int run, const struct tried *tried, float *qq,
                    float *qx)
{
    const int groups = work->shape->run / work->book->width;
    *qq = *qx = 0.0f;
    for (int group = run * groups; group < (run + 1) * groups; group++) {
        const struct weir_groups *lot = &work->lots[group / WEIR_LOT_RUNS];
        const int lane = group % WEIR_LOT_RUNS;
        const int delta = work->shape->delta_run == 0 ? 0 : tried->is_minus[group] ? -1 : 1;
        for (int place = 0; place < work->book->width; place++) {
            const float q = (float)(work->book->steps[tried->index[group]][place] + delta);
            const float weighed = lot->w[place][lane] * q;
            *qq += weighed * q;
            *qx += weighed * lot->x[place][lane];
        }
    }
}

/* The best scale of each run by itself: of a few tries, and then for the entries of the best. */
static void begin(const struct work *work, float scales[RUNS_MAX])
{
    static const float shares[] = {0.45f, 0.5f,  0.55f, 0.6f,  0.65f, 0.7f,
                                   0.76f, 0.82f, 0.88f, 0.94f, 1.0f,  1.06f};
    const float end = last_step(work);
    float most[RUNS_MAX] = {0};
    struct tried best;
    for (int group = 0; group < work->group_count; group++)
        for (int place = 0; place < work->book->width; place++) {
            const float x = work->lots[group / WEIR_LOT_RUNS].x[place][group % WEIR_LOT_RUNS];
            most[run_of(work, group)] = fmaxf(most[run_of(work, group)], fabsf(x));
        }
    for (size_t at = 0; at < WEIR_COUNT(shares); at++) {
        float wanted[RUNS_MAX];
        struct tried tried;
        for (int run = 0; run < work->run_count; run++)
            wanted[run] = most[run] / end * shares[at];
        try_scales(work, wanted, QUICK_DEPTH, &tried);
        for (int run = 0; run < work->run_count; run++)
            if (at == 0 || tried.misses[run] < best.misses[run])
                take_run(work, run, &tried, &best);
    }
    for (int run = 0; run < work->run_count; run++) {
        float qq;
        float qx;
        sum_run(work, run, &best, &qq, &qx);
        scales[run] = qq > 0.0f && qx > 0.0f ? qx / qq : 0.0f;
    }
}

/* Multiples of d near the wanted scales, keeping I1. Returns the error. */
static float choose_multiples(const struct work *work, float d, const float scales[RUNS_MAX],
                              unsigned multiples[RUNS_MAX], struct tried *best)
{
    const float end = (float)work->shape->scale_max;
    float total = 0.0f;
    for (int aside = -1; aside <= 1; aside++) {
        float near[RUNS_MAX];
        float wanted[RUNS_MAX];
        struct tried tried;
        for (int run = 0; run < work->run_count; run++) {
            const float above = scales[run] - d;
            near[run] = weir_encode_hold(
                weir_encode_whole(above, 2.0f * d, 0.0f, end) + (float)aside, 0.0f, end);
            wanted[run] = d * (2.0f * near[run] + 1.0f);
        }
        try_scales(work, wanted, FULL_DEPTH, &tried);
        for (int run = 0; run < work->run_count; run++)
            if (aside == -1 || tried.misses[run] < best->misses[run]) {
                take_run(work, run, &tried, best);
                multiples[run] = (unsigned)near[run];
            }
    }
    for (int run = 0; run < work->run_count; run++)
        total += best->misses[run];
    return total;
}

static void find_block(const struct work *work, struct found *found)
{
    float scales[RUNS_MAX];
    float most = 0.0f;
    float least = INFINITY;
    double product = 0.0;
    begin(work, scales);
    for (int run = 0; run < work->run_count; run++)
        most = fmaxf(most, scales[run]);
    float d = most / (float)(2 * work->shape->scale_max + 1);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned multiples[RUNS_MAX];
        struct tried best;
        double ss = 0.0;
        double sx = 0.0;
        bool is_best = false;
        const uint16_t half = weir_encode_half(d * work->unit / work->shape->unit);
        d = weir_f16_to_f32(half) * work->shape->unit / work->unit;
        const float error = choose_multiples(work, d, scales, multiples, &best);
        if (error < least || round == 0) { /* keeps I2 */
            is_best = true;
            least = error;
            found->d = half;
            memcpy(found->scales, multiples, sizeof(multiples));
            memcpy(found->index, best.index, sizeof(best.index));
            for (int at = 0; at < 32; at++)
                found->is_minus[at] = work->book->width == 8 && best.is_minus[at];
        }
        for (int run = 0; run < work->run_count; run++) {
            const double s = (double)(2 * multiples[run] + 1);
            float qq;
            float qx;
            sum_run(work, run, &best, &qq, &qx);
            ss += s * s * (double)qq;
            sx += s * (double)qx;
        }
        product = is_best ? (double)d * sx : product;
        d = ss > 0.0 && sx > 0.0 ? (float)(sx / ss) : 0.0f;
        for (int run = 0; run < work->run_count; run++)
            scales[run] = d * (float)(2 * multiples[run] + 1);
    }
    found->d = weir_encode_grown(found->d, weir_encode_growth(work->square, product, found->d));
}

/* Values become magnitudes, and bits of signs. Where the last sign follows from the others and is
 * wrong, that of the value for which it counts least is turned: it becomes a negative magnitude. */
static void take_signs(const struct shape *shape, float *x, const float *w, uint8_t signs[32])
{
    for (int at = 0; at < 32; at++) {
        int least = 8 * at;
        signs[at] = 0;
        for (int i = 8 * at; i < 8 * at + 8; i++) {
            signs[at] |= (uint8_t)((x[i] < 0.0f) << i % 8);
            x[i] = fabsf(x[i]);
            least = w[i] * x[i] < w[least] * x[least] ? i : least;
        }
        if (shape->is_even && __builtin_parity(signs[at]) != 0) {
            signs[at] ^= (uint8_t)(1 << least % 8);
            x[least] = -x[least];
        }
    }
}

/* As of a lot (fit.h), for the 256 values of a block. */
static void weigh_values(const float *importance, float w[256])
{
    float most = 0.0f;
    for (int i = 0; i < 256; i++) {
        w[i] = importance == NULL ? 1.0f : weir_importance_of(importance[i]);
        most = w[i] > most ? w[i] : most;
    }
    for (int i = 0; i < 256; i++)
        w[i] = (most > 0.0f ? w[i] / most : 0.0f) + 0x1p-20f;
}

static void fill_work(const struct weir_piece *piece, struct work *work, uint8_t signs[32])
{
    float x[256];
    float w[256];
    const int width = work->book->width;
    /* Beyond what the format reaches all entries are alike: values end there. */
    const float reach =
        65504.0f * work->shape->unit * (float)(2 * work->shape->scale_max + 1) * last_step(work);
    for (int i = 0; i < 256; i++)
        x[i] = weir_encode_hold(piece->x[i], -reach, reach);
    work->unit = ldexpf(1.0f, ilogbf(weir_encode_most(x, 256)));
    work->group_count = 256 / width;
    work->run_count = 256 / work->shape->run;
    weigh_values(piece->importance, w);
    for (int i = 0; i < 256; i++) {
        x[i] /= work->unit;
        work->square += (double)w[i] * (double)x[i] * (double)x[i];
    }
    if (work->shape->delta_run == 0)
        take_signs(work->shape, x, w, signs);
    for (int group = 0; group < work->group_count; group++)
        for (int place = 0; place < width; place++) {
            struct weir_groups *lot = &work->lots[group / WEIR_LOT_RUNS];
            lot->x[place][group % WEIR_LOT_RUNS] = x[group * width + place];
            lot->w[place][group % WEIR_LOT_RUNS] = w[group * width + place];
        }
}

/* ---- bytes ----------------------------------------------------------------------------------- */

static void put_word(const struct found *found, int s, uint8_t bytes[4])
{
    uint32_t word = (uint32_t)found->scales[s] << 28;
    for (int at = 0; at < 4; at++)
        word |= (uint32_t)(found->signs[4 * s + at] & 127) << 7 * at;
    memcpy(bytes, &word, sizeof(word));
}

static void put_scales(const unsigned *scales, uint8_t *bytes, int count)
{
    for (int at = 0; at < count; at++)
        bytes[at] = (uint8_t)(scales[2 * at] | scales[2 * at + 1] << 4);
}

static void put_iq1_s(const struct found *found, struct weir_iq1_s *block)
{
    block->d = found->d;
    for (int g = 0; g < 32; g++) {
        block->qs[g] = (uint8_t)found->index[g];
        block->qh[g / 4] |= (uint16_t)(found->index[g] >> 8 << 3 * (g % 4));
    }
    for (int s = 0; s < 8; s++)
        block->qh[s] |= (uint16_t)(found->scales[s] << 12 | (found->is_minus[4 * s] ? 0x8000 : 0));
}

static void put_iq1_m(const struct found *found, struct weir_iq1_m *block)
{
    for (int g = 0; g < 32; g++) {
        const unsigned nibble = found->index[g] >> 8 | (found->is_minus[g] ? 8 : 0);
        block->qs[g] = (uint8_t)found->index[g];
        block->qh[g / 2] |= (uint8_t)(nibble << 4 * (g % 2));
    }
    for (int s = 0; s < 16; s++)
        block->scales[s / 4] |= (uint16_t)(found->scales[s] << 3 * (s % 4));
    for (int i = 0; i < 4; i++)
        block->scales[i] |= (uint16_t)((found->d >> 4 * i & 15) << 12);
}

static void put_iq2_xxs(const struct found *found, struct weir_iq2_xxs *block)
{
    block->d = found->d;
    for (int s = 0; s < 8; s++) {
        for (int g = 0; g < 4; g++)
            block->parts[s].index[g] = (uint8_t)found->index[4 * s + g];
        put_word(found, s, block->parts[s].word);
    }
}

static void put_iq2_xs(const struct found *found, struct weir_iq2_xs *block)
{
    block->d = found->d;
    for (int g = 0; g < 32; g++)
        block->qs[g] = (uint16_t)(found->index[g] | (found->signs[g] & 127u) << 9);
    put_scales(found->scales, block->scales, 8);
}

static void put_iq2_s(const struct found *found, struct weir_iq2_s *block)
{
    block->d = found->d;
    for (int g = 0; g < 32; g++) {
        block->qs[g] = (uint8_t)found->index[g];
        block->qh[g / 4] |= (uint8_t)(found->index[g] >> 8 << 2 * (g % 4));
    }
    memcpy(block->signs, found->signs, sizeof(block->signs));
    put_scales(found->scales, block->scales, 8);
}

static void put_iq3_xxs(const struct found *found, struct weir_iq3_xxs *block)
{
    block->d = found->d;
    for (int g = 0; g < 64; g++)
        block->qs[g] = (uint8_t)found->index[g];
    for (int s = 0; s < 8; s++)
        put_word(found, s, block->words[s]);
}

static void put_iq3_s(const struct found *found, struct weir_iq3_s *block)
{
    block->d = found->d;
    for (int g = 0; g < 64; g++) {
        block->qs[g] = (uint8_t)found->index[g];
        block->qh[g / 8] |= (uint8_t)(found->index[g] >> 8 << g % 8);
    }
    memcpy(block->signs, found->signs, sizeof(block->signs));
    put_scales(found->scales, block->scales, 4);
}

static const struct shape *get_shape(enum weir_type type)
{
    for (size_t at = 0; at < WEIR_COUNT(shapes); at++)
        if (shapes[at].type == type)
            return &shapes[at];
    return NULL;
}

static void put_grid(enum weir_type type, const struct found *found, uint8_t *to)
{
    union {
        struct weir_iq1_s iq1_s;
        struct weir_iq1_m iq1_m;
        struct weir_iq2_xxs iq2_xxs;
        struct weir_iq2_xs iq2_xs;
        struct weir_iq2_s iq2_s;
        struct weir_iq3_xxs iq3_xxs;
        struct weir_iq3_s iq3_s;
    } block;
    memset(&block, 0, sizeof(block));
    switch (type) {
    case WEIR_TYPE_IQ1_S:
        put_iq1_s(found, &block.iq1_s);
        break;
    case WEIR_TYPE_IQ1_M:
        put_iq1_m(found, &block.iq1_m);
        break;
    case WEIR_TYPE_IQ2_XXS:
        put_iq2_xxs(found, &block.iq2_xxs);
        break;
    case WEIR_TYPE_IQ2_XS:
        put_iq2_xs(found, &block.iq2_xs);
        break;
    case WEIR_TYPE_IQ2_S:
        put_iq2_s(found, &block.iq2_s);
        break;
    case WEIR_TYPE_IQ3_XXS:
        put_iq3_xxs(found, &block.iq3_xxs);
        break;
    default:
        put_iq3_s(found, &block.iq3_s);
    }
    memcpy(to, &block, weir_quant_info(type)->block_bytes);
}

void weir_encode_grid(const struct weir_fit *fit, const struct weir_piece *piece)
{
    struct work work = {.fit = fit, .shape = get_shape(piece->type)};
    struct found found = {0};
    WEIR_ASSERT(work.shape != NULL); /* a type of other blocks */
    work.book = weir_book_of(piece->type);
    fill_work(piece, &work, found.signs);
    find_block(&work, &found);
    put_grid(piece->type, &found, piece->blocks);
}
