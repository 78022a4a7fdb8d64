/* encode_low.c - floats to blocks of few bits: entries of codebooks, ternary steps, 4-bit floats.
 *
 * I1  Every finite value decodes to a finite one, as in encode.c.
 * I2  Entries and steps are the nearest under the scale as stored. */
#include <string.h>

#include "base/base.h"
#include "encode/encode_steps.h"
#include "quant/grids.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

enum { ENTRIES_MAX = 2048, GROUPS_MAX = 8 };

/* How a format uses its codebook. */
struct shape {
    enum weir_type type;
    int entry_count;
    int width;     /* values of an entry */
    int run;       /* values that share a scale */
    int scale_max; /* its greatest number: 2 of it and 1 times d * unit is the scale */
    float unit;
    float greatest; /* step of an entry */
    bool is_even;   /* of eight signs the last follows from the others */
    int delta_run;  /* IQ1: values that share a delta; 0: no delta, but signs */
};

static const struct shape shapes[] = {
    {WEIR_TYPE_IQ1_S, 2048, 8, 32, 7, 0.125f, 9.0f, false, 32},
    {WEIR_TYPE_IQ1_M, 2048, 8, 16, 7, 0.125f, 9.0f, false, 8},
    {WEIR_TYPE_IQ2_XXS, 256, 8, 32, 15, 0.125f, 43.0f, true, 0},
    {WEIR_TYPE_IQ2_XS, 512, 8, 16, 15, 0.125f, 43.0f, true, 0},
    {WEIR_TYPE_IQ2_S, 1024, 8, 16, 15, 0.125f, 43.0f, false, 0},
    {WEIR_TYPE_IQ3_XXS, 256, 4, 32, 15, 0.25f, 62.0f, true, 0},
    {WEIR_TYPE_IQ3_S, 512, 4, 32, 15, 1.0f, 15.0f, false, 0},
};

/* A codebook's entries as floats, place by place, so that a search is a loop over entries; IQ1's
 * without a delta. */
struct book {
    float steps[8][ENTRIES_MAX];
    float sums[ENTRIES_MAX];    /* of the steps of an entry */
    float squares[ENTRIES_MAX]; /* and of their squares */
};

/* Of each group of a run: the sum of its values, and of its values times each entry's steps. */
struct products {
    float sums[GROUPS_MAX];
    float dots[GROUPS_MAX][ENTRIES_MAX];
};

/* What stands for a block. */
struct found {
    uint16_t d;
    unsigned scales[16]; /* by run */
    unsigned index[64];  /* by entry */
    uint8_t signs[32];   /* by eight values */
    bool is_minus[32];   /* delta by eight values */
};

static int entry_step(const struct shape *shape, int entry, int place)
{
    const int shift = 8 * place;
    switch (shape->type) {
    case WEIR_TYPE_IQ2_XXS:
        return (int)(weir_iq2_xxs_grid[entry] >> shift & 255);
    case WEIR_TYPE_IQ2_XS:
        return (int)(weir_iq2_xs_grid[entry] >> shift & 255);
    case WEIR_TYPE_IQ2_S:
        return (int)(weir_iq2_s_grid[entry] >> shift & 255);
    case WEIR_TYPE_IQ3_XXS:
        return (int)(weir_iq3_xxs_grid[entry] >> shift & 255);
    case WEIR_TYPE_IQ3_S:
        return (int)(weir_iq3_s_grid[entry] >> shift & 255);
    default:
        return (int)(weir_iq1_grid[entry] >> shift & 255) - 8;
    }
}

static const struct book *get_book(const struct shape *shape)
{
    static struct book books[WEIR_COUNT(shapes)];
    struct book *book = &books[shape - shapes];
    if (book->squares[0] > 0.0f)
        return book;
    for (int entry = 0; entry < shape->entry_count; entry++)
        for (int place = 0; place < shape->width; place++) {
            const float step = (float)entry_step(shape, entry, place);
            book->steps[place][entry] = step;
            book->sums[entry] += step;
            book->squares[entry] += step * step;
        }
    return book;
}

static void multiply(const struct shape *shape, const float *u, struct products *products)
{
    const struct book *book = get_book(shape);
    memset(products, 0, sizeof(*products));
    for (int group = 0; group < shape->run / shape->width; group++, u += shape->width)
        for (int place = 0; place < shape->width; place++) {
            products->sums[group] += u[place];
            for (int entry = 0; entry < shape->entry_count; entry++)
                products->dots[group][entry] += u[place] * book->steps[place][entry];
        }
}

/* The entry nearest to the values u of a group over scale: of w steps with a delta each,
 * sum (u - scale * (step + delta))^2 is, but for the squares of u, scale times
 * scale * (squares + 2 delta sum + w delta^2) - 2 (dot + delta * sum u), which *cost is. */
static unsigned find_entry(const struct shape *shape, const struct products *products, int group,
                           float scale, float delta, float *cost)
{
    enum { LANES = 8 };
    const struct book *book = get_book(shape);
    const float *dots = products->dots[group];
    float least[LANES];
    int entries[LANES] = {0};
    int best = 0;
    for (int lane = 0; lane < LANES; lane++)
        least[lane] = INFINITY;
    for (int from = 0; from < shape->entry_count; from += LANES)
        for (int lane = 0; lane < LANES; lane++) {
            const int entry = from + lane;
            const float squares = book->squares[entry] + 2.0f * delta * book->sums[entry];
            const float found = scale * squares - 2.0f * dots[entry];
            const bool is_less = found < least[lane];
            least[lane] = is_less ? found : least[lane];
            entries[lane] = is_less ? entry : entries[lane];
        }
    for (int lane = 1; lane < LANES; lane++)
        if (least[lane] < least[best])
            best = lane;
    *cost = least[best] + scale * delta * delta * (float)shape->width -
            2.0f * delta * products->sums[group];
    return (unsigned)entries[best];
}

/* Entries and deltas of a run. Returns the cost. */
static float find_run(const struct shape *shape, const struct products *products, float scale,
                      unsigned *index, bool *is_minus)
{
    const int part = shape->delta_run > 0 ? shape->delta_run : shape->run;
    const int count = part / shape->width;
    float total = 0.0f;
    for (int first = 0; first < shape->run; first += part) {
        unsigned entries[2][GROUPS_MAX];
        float costs[2] = {0};
        for (int which = 0; which < (shape->delta_run > 0 ? 2 : 1); which++)
            for (int at = 0; at < count; at++) {
                float cost;
                const float delta = shape->delta_run == 0 ? 0.0f : which == 0 ? 1.0f : -1.0f;
                entries[which][at] =
                    find_entry(shape, products, first / shape->width + at, scale, delta, &cost);
                costs[which] += cost;
            }
        const int best = shape->delta_run > 0 && costs[1] < costs[0] ? 1 : 0;
        memcpy(index + first / shape->width, entries[best], (size_t)count * sizeof(*index));
        for (int at = first / 8; at < (first + part) / 8; at++)
            is_minus[at] = best == 1;
        total += costs[best];
    }
    return total;
}

/* The best of a few scales for values the largest of which is 1. */
static float fit_run(const struct shape *shape, const struct products *products)
{
    static const float trials[] = {0.45f, 0.55f, 0.7f, 0.85f, 1.0f};
    unsigned index[GROUPS_MAX];
    bool is_minus[4];
    float best_scale = 0.0f;
    float best = INFINITY;
    for (size_t trial = 0; trial < WEIR_COUNT(trials); trial++) {
        const float scale = trials[trial] / shape->greatest;
        const float error = scale * find_run(shape, products, scale, index, is_minus);
        if (error < best) {
            best = error;
            best_scale = scale;
        }
    }
    return best_scale;
}

/* Values become magnitudes, and bits of signs. Where the last sign follows from the others and is
 * wrong, that of the least value is turned: it becomes a negative magnitude. */
static void take_signs(const struct shape *shape, float *u, uint8_t *signs)
{
    for (int at = 0; at < 32; at++) {
        int least = 0;
        signs[at] = 0;
        for (int i = 0; i < 8; i++) {
            float *value = &u[8 * at + i];
            signs[at] |= (uint8_t)((*value < 0.0f) << i);
            *value = fabsf(*value);
            least = *value < u[8 * at + least] ? i : least;
        }
        if (shape->is_even && __builtin_parity(signs[at]) != 0) {
            signs[at] ^= (uint8_t)(1 << least);
            u[8 * at + least] = -u[8 * at + least];
        }
    }
}

static void find_block(const struct shape *shape, const float *x, struct found *found)
{
    static struct products products[16];
    float u[256];
    float scales[16];
    const int n_run = 256 / shape->run;
    float most_scale = 0.0f;
    memcpy(u, x, sizeof(u));
    if (shape->delta_run == 0)
        take_signs(shape, u, found->signs);
    for (int run = 0; run < n_run; run++) {
        float *values = u + run * shape->run;
        const float most = fabsf(find_extreme(values, shape->run));
        for (int i = 0; i < shape->run && most > 0.0f; i++)
            values[i] /= most;
        multiply(shape, values, &products[run]);
        scales[run] = most > 0.0f ? most * fit_run(shape, &products[run]) : 0.0f;
        most_scale = fmaxf(most_scale, scales[run]);
    }
    found->d = to_half(most_scale / (shape->unit * (float)(2 * shape->scale_max + 1)));
    const float d = weir_f16_to_f32(found->d) * shape->unit;
    for (int run = 0; run < n_run; run++) {
        const float most = fabsf(find_extreme(x + run * shape->run, shape->run));
        const int scale =
            d == 0.0f ? 0 : nearest(scales[run] / d - 1.0f, 2.0f, 0, shape->scale_max);
        found->scales[run] = (unsigned)scale;
        find_run(shape, &products[run], most > 0.0f ? d * (float)(2 * scale + 1) / most : 1.0f,
                 found->index + run * shape->run / shape->width,
                 found->is_minus + run * shape->run / 8);
    }
}

static void put_word(const struct found *found, int s, uint8_t bytes[4])
{
    uint32_t word = (uint32_t)found->scales[s] << 28;
    for (int at = 0; at < 4; at++)
        word |= (uint32_t)(found->signs[4 * s + at] & 127) << 7 * at;
    memcpy(bytes, &word, sizeof(word));
}

static void put_nibbles(const unsigned *scales, uint8_t *bytes, int count)
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
    put_nibbles(found->scales, block->scales, 8);
}

static void put_iq2_s(const struct found *found, struct weir_iq2_s *block)
{
    block->d = found->d;
    for (int g = 0; g < 32; g++) {
        block->qs[g] = (uint8_t)found->index[g];
        block->qh[g / 4] |= (uint8_t)(found->index[g] >> 8 << 2 * (g % 4));
    }
    memcpy(block->signs, found->signs, sizeof(block->signs));
    put_nibbles(found->scales, block->scales, 8);
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
    put_nibbles(found->scales, block->scales, 4);
}

/* The fraction of 256 whose digits to the base 3 are those of `count` steps, `apart` from each
 * other. */
static uint8_t put_digits(const float *x, int apart, int count, float d)
{
    int digits = 0;
    for (int n = 0; n < 5; n++)
        digits = 3 * digits + (n < count ? nearest(x[n * apart], d, -1, 1) + 1 : 0);
    return (uint8_t)((digits * 256 + 242) / 243);
}

static void encode_tq1_0(const float *x, struct weir_tq1_0 *block)
{
    block->d = to_half(fabsf(find_extreme(x, 256)));
    const float d = weir_f16_to_f32(block->d);
    for (int i = 0; i < 32; i++)
        block->qs[i] = put_digits(x + i, 32, 5, d);
    for (int i = 0; i < 16; i++)
        block->qs[32 + i] = put_digits(x + 160 + i, 16, 5, d);
    for (int i = 0; i < 4; i++)
        block->qh[i] = put_digits(x + 240 + i, 4, 4, d);
}

static void encode_tq2_0(const float *x, struct weir_tq2_0 *block)
{
    block->d = to_half(fabsf(find_extreme(x, 256)));
    const float d = weir_f16_to_f32(block->d);
    for (int index = 0; index < 256; index++) {
        const int step = nearest(x[index], d, -1, 1) + 1;
        block->qs[index / 128 * 32 + index % 32] |= (uint8_t)(step << index % 128 / 32 * 2);
    }
}

/* The scale under which the extreme is nearest to 6, E2M1's greatest. */
static uint8_t find_nvfp4_scale(float extreme)
{
    const float wanted = fminf(fabsf(extreme) / 12.0f, weir_nvfp4_scale(0x7e));
    int best = 0;
    for (int bits = 1; bits < 0x7f; bits++)
        if (fabsf(weir_nvfp4_scale((uint8_t)bits) - wanted) <
            fabsf(weir_nvfp4_scale((uint8_t)best) - wanted))
            best = bits;
    return (uint8_t)best;
}

static void encode_nvfp4(const float *x, struct weir_nvfp4 *block)
{
    for (int s = 0; s < 4; s++, x += 16) {
        block->scales[s] = find_nvfp4_scale(find_extreme(x, 16));
        const float scale = weir_nvfp4_scale(block->scales[s]);
        for (int i = 0; i < 8; i++) {
            const int low = nearest_code(x[i], scale, weir_mxfp4_steps);
            const int high = nearest_code(x[i + 8], scale, weir_mxfp4_steps);
            block->qs[8 * s + i] = (uint8_t)(low | high << 4);
        }
    }
}

/* The mean magnitude has the least squared error. */
static void encode_q1_0(const float *x, struct weir_q1_0 *block)
{
    float sum = 0.0f;
    for (int i = 0; i < WEIR_Q1_0_LEN; i++) {
        sum += fabsf(x[i]);
        block->qs[i / 8] |= (uint8_t)((x[i] >= 0.0f) << i % 8);
    }
    block->d = to_half(sum / WEIR_Q1_0_LEN);
}

/* The best of a few scales; the extreme has the side that reaches to 2. */
static float fit_q2_0(const float *x)
{
    const float extreme = find_extreme(x, WEIR_Q2_0_LEN);
    float best = INFINITY;
    float best_scale = extreme / 2.0f; /* stays where the errors below overflow */
    for (int trial = 10; trial <= 20 && extreme != 0.0f; trial++) {
        const float scale = extreme / (0.1f * (float)trial);
        float error = 0.0f;
        for (int i = 0; i < WEIR_Q2_0_LEN; i++) {
            const float miss = scale * (float)nearest(x[i], scale, -1, 2) - x[i];
            error += miss * miss;
        }
        if (error < best) {
            best = error;
            best_scale = scale;
        }
    }
    return best_scale;
}

static void encode_q2_0(const float *x, struct weir_q2_0 *block)
{
    block->d = to_half(fit_q2_0(x));
    const float d = weir_f16_to_f32(block->d);
    for (int i = 0; i < WEIR_Q2_0_LEN; i++)
        block->qs[i / 4] |= (uint8_t)((nearest(x[i], d, -1, 2) + 1) << 2 * (i % 4));
}

static void encode_grid(enum weir_type type, const float *x, void *block)
{
    struct found found = {0};
    size_t at = 0;
    while (at < WEIR_COUNT(shapes) && shapes[at].type != type)
        at++;
    WEIR_ASSERT(at < WEIR_COUNT(shapes)); /* a type without an encoder */
    find_block(&shapes[at], x, &found);
    switch (type) {
    case WEIR_TYPE_IQ1_S:
        put_iq1_s(&found, block);
        return;
    case WEIR_TYPE_IQ1_M:
        put_iq1_m(&found, block);
        return;
    case WEIR_TYPE_IQ2_XXS:
        put_iq2_xxs(&found, block);
        return;
    case WEIR_TYPE_IQ2_XS:
        put_iq2_xs(&found, block);
        return;
    case WEIR_TYPE_IQ2_S:
        put_iq2_s(&found, block);
        return;
    case WEIR_TYPE_IQ3_XXS:
        put_iq3_xxs(&found, block);
        return;
    default:
        put_iq3_s(&found, block);
    }
}

void weir_encode_low(enum weir_type type, const float *x, void *block)
{
    memset(block, 0, weir_quant_info(type)->block_bytes);
    switch (type) {
    case WEIR_TYPE_TQ1_0:
        encode_tq1_0(x, block);
        return;
    case WEIR_TYPE_TQ2_0:
        encode_tq2_0(x, block);
        return;
    case WEIR_TYPE_NVFP4:
        encode_nvfp4(x, block);
        return;
    case WEIR_TYPE_Q1_0:
        encode_q1_0(x, block);
        return;
    case WEIR_TYPE_Q2_0:
        encode_q2_0(x, block);
        return;
    default:
        encode_grid(type, x, block);
    }
}
