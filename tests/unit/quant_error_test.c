/* quant_error_test.c - what encode and decode lose, against bounds that follow from each format. */
#include "encode/encode.h"
#include "pace.h"
#include "quant_test.h"

#include <float.h>

#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"

enum { ROUNDS = IS_SANITIZED ? 1 : 3, NORMAL_ROWS = IS_SANITIZED ? 4 : 20 };

enum shape {
    SHAPE_NORMAL,
    SHAPE_UNIFORM,
    SHAPE_POSITIVE,
    SHAPE_NEGATIVE,
    SHAPE_EQUAL,
    SHAPE_ZERO,
    SHAPE_OUTLIER,
    SHAPE_SMALL, /* scales become subnormal halves */
    SHAPE_TINY,  /* scales become zero */
    SHAPE_LARGE, /* near the largest that every format holds */
    SHAPE_COUNT
};
static const char *const shape_names[SHAPE_COUNT] = {"normal", "uniform", "positive", "negative",
                                                     "equal",  "zero",    "outlier",  "small",
                                                     "tiny",   "large"};

static double draw_normal(void)
{
    const double radius = sqrt(-2.0 * log(1.0 - weir_random_unit(&test_seed)));
    return radius * cos(6.283185307179586 * weir_random_unit(&test_seed));
}

static void fill_shape(float *x, enum shape shape)
{
    const double same = draw_normal();
    const size_t outlier = weir_random_next(&test_seed) % ROW;
    for (size_t i = 0; i < ROW; i++) {
        const double unit = weir_random_unit(&test_seed);
        const double value = shape == SHAPE_NORMAL || shape == SHAPE_OUTLIER ? draw_normal() * 0.02
                             : shape == SHAPE_UNIFORM                        ? 2.0 * unit - 1.0
                             : shape == SHAPE_POSITIVE                       ? 0.5 + unit
                             : shape == SHAPE_NEGATIVE                       ? -0.5 - unit
                             : shape == SHAPE_EQUAL                          ? same
                             : shape == SHAPE_ZERO                           ? 0.0
                             : shape == SHAPE_SMALL ? (2.0 * unit - 1.0) * 1e-5
                             : shape == SHAPE_TINY  ? (2.0 * unit - 1.0) * 1e-12
                                                    : (2.0 * unit - 1.0) * 65000.0;
        x[i] = (float)value;
    }
    if (shape == SHAPE_OUTLIER)
        x[outlier] = weir_random_next(&test_seed) % 2 == 0 ? 1000.0f : -1000.0f;
}

/* How far rounding to a finite half moves a value of at most this magnitude. */
static double half_miss(double magnitude)
{
    return fmax(ldexp(magnitude, -11), 0x1p-25);
}

struct range {
    double least, most, magnitude;
};

static struct range find_range(const float *x, size_t count)
{
    struct range range = {(double)x[0], (double)x[0], 0.0};
    for (size_t i = 0; i < count; i++) {
        range.least = fmin(range.least, (double)x[i]);
        range.most = fmax(range.most, (double)x[i]);
        range.magnitude = fmax(range.magnitude, fabs((double)x[i]));
    }
    return range;
}

/* Q2_K, Q4_K and Q5_K. A sub-block's scale s is its range (0 included) over steps - 0.6 to steps +
 * 0.6, so that at most 0.6 s of the range is past the last step. The units of scales and minimums
 * are 1/units of the greatest, rounded to a half; a scale or minimum is then off by half a unit, or
 * by `units` times the unit's own miss. A wrong minimum moves values past an end; a wrong scale
 * moves the last step by `steps` times its miss. */
static double k_bound(const float *block, size_t i, size_t count, int steps, double units)
{
    double scale_most = 0.0;
    double minimum_most = 0.0;
    double scale = 0.0;
    for (size_t s = 0; s < 256 / count; s++) {
        const struct range range = find_range(block + s * count, count);
        const double s_scale = (fmax(range.most, 0.0) - fmin(range.least, 0.0)) / (steps - 0.6);
        scale_most = fmax(scale_most, s_scale);
        minimum_most = fmax(minimum_most, -range.least);
        scale = s == i / count ? s_scale : scale;
    }
    const double unit_miss = half_miss(scale_most / units);
    const double minimum_unit_miss = half_miss(minimum_most / units);
    const double scale_miss = (scale_most / units + unit_miss) / 2.0 + units * unit_miss;
    const double minimum_miss =
        (minimum_most / units + minimum_unit_miss) / 2.0 + units * minimum_unit_miss;
    return 0.6 * (scale + scale_miss) + minimum_miss + steps * scale_miss;
}

/* Formats of signed scales s, one for each count values: the extreme over `divisor` at least, with
 * `past` s of it past the shorter end and `reach` steps to the longer. The unit of scales is
 * 1/units of the greatest, rounded to a half; as scales go from -units to units - 1, one is off by
 * a unit at most, or by `units` times the unit's miss. */
struct signed_scales {
    size_t count;
    double divisor, past, reach, units;
};

static double signed_bound(const float *block, size_t i, struct signed_scales format)
{
    const double unit = find_range(block, 256).magnitude / format.divisor / format.units;
    const double scale =
        find_range(block + i / format.count * format.count, format.count).magnitude /
        format.divisor;
    const double scale_miss = unit + (format.units + 1.0) * half_miss(unit);
    return format.past * scale + format.reach * scale_miss;
}

/* What a step of 1 means: the magnitude is 8 to 16 of it. The greatest step is 12, and the widest
 * gap between two is 4. */
static double mxfp4_unit(double magnitude)
{
    return magnitude == 0.0 ? 0x1p-128 : fmax(ldexp(1.0, ilogb(magnitude) - 3), 0x1p-128);
}

/* The scale, of 3 bits of mantissa, is off by a 16th, or by what lies under the least; no value is
 * past 6 * 448. Steps are at most 2 wide under a halved scale, on the side of the extreme 4. */
static double nvfp4_bound(double magnitude)
{
    const double unit = magnitude / 12.0;
    const double unit_miss = fmax(unit / 16.0, 0x1p-11);
    return fmax(2.0 * (unit + unit_miss), 12.0 * unit_miss) + fmax(0.0, magnitude - 2688.0);
}

/* What value i of a block may be off by after encode and decode. */
static double error_bound(enum weir_type type, const float *block, size_t i)
{
    const struct range range = find_range(block, weir_quant_info(type)->block_len);
    const double value = fabs((double)block[i]);
    double unit;
    switch (type) {
    case WEIR_TYPE_F32:
        return 0.0;
    case WEIR_TYPE_F16: /* 11 bits, nearest */
        return half_miss(value);
    case WEIR_TYPE_BF16: /* 8 bits, nearest */
        return ldexp(value, -8) + 0x1p-134;
    case WEIR_TYPE_Q8_0: /* half a step; the last step is off by 127 times the scale's miss */
        unit = range.magnitude / 127.0;
        return unit / 2.0 + 127.5 * half_miss(unit);
    case WEIR_TYPE_Q4_0: /* as much as one step on the side that has only seven */
        unit = range.magnitude / 8.0;
        return unit + 8.0 * half_miss(unit);
    case WEIR_TYPE_Q4_1: /* half a step, and what the minimum is off by */
        unit = (range.most - range.least) / 15.0;
        return unit / 2.0 + 15.5 * half_miss(unit) + half_miss(fabs(range.least));
    case WEIR_TYPE_Q5_0:
        unit = range.magnitude / 16.0;
        return unit + 16.0 * half_miss(unit);
    case WEIR_TYPE_Q5_1:
        unit = (range.most - range.least) / 31.0;
        return unit / 2.0 + 31.5 * half_miss(unit) + half_miss(fabs(range.least));
    case WEIR_TYPE_IQ4_NL: /* the extreme is at 115 to 139, the shorter side ends at 113 */
        unit = range.magnitude / 115.0;
        return 26.0 * unit + 127.0 * half_miss(unit);
    case WEIR_TYPE_MXFP4:
        unit = mxfp4_unit(range.magnitude);
        return fmax(2.0 * unit, range.magnitude - 12.0 * unit);
    case WEIR_TYPE_Q2_K:
        return k_bound(block, i, 16, 3, 15.0);
    case WEIR_TYPE_Q3_K:
        return signed_bound(block, i, (struct signed_scales){16, 3.6, 1.4, 4.0, 32.0});
    case WEIR_TYPE_Q4_K:
        return k_bound(block, i, 32, 15, 63.0);
    case WEIR_TYPE_Q5_K:
        return k_bound(block, i, 32, 31, 63.0);
    case WEIR_TYPE_Q6_K:
        return signed_bound(block, i, (struct signed_scales){16, 31.0, 2.0, 32.0, 128.0});
    case WEIR_TYPE_IQ4_XS:
        return signed_bound(block, i, (struct signed_scales){32, 115.0, 26.0, 127.0, 32.0});
    case WEIR_TYPE_IQ1_S:
    case WEIR_TYPE_IQ1_M:
    case WEIR_TYPE_IQ2_XXS:
    case WEIR_TYPE_IQ2_XS:
    case WEIR_TYPE_IQ2_S:
    case WEIR_TYPE_IQ3_XXS:
    case WEIR_TYPE_IQ3_S: /* what no entry has, and a scale no finer than a 31st of the greatest */
        return 1.2 * range.magnitude + 0x1p-20;
    case WEIR_TYPE_TQ1_0:
    case WEIR_TYPE_TQ2_0: /* half a step */
        return 0.5 * range.magnitude + 1.5 * half_miss(range.magnitude);
    case WEIR_TYPE_NVFP4:
        return nvfp4_bound(find_range(block + i / 16 * 16, 16).magnitude);
    case WEIR_TYPE_Q1_0: /* a value that is 0, or the extreme beside others that are */
        return range.magnitude + half_miss(range.magnitude);
    case WEIR_TYPE_Q2_0: /* the side that has one step */
        return 0.75 * range.magnitude + 3.0 * half_miss(range.magnitude);
    default:
        break;
    }
    fail_msg("type %d has no bound", (int)type);
    return 0.0;
}

/* Encode into exactly the bytes of a row, and decode. */
static void round_trip(enum weir_type type, const float *x, float *back)
{
    static uint8_t row[ROW * sizeof(float) + 1];
    const size_t row_bytes = weir_quant_row_bytes(type, ROW);
    row[row_bytes] = 0xa5;
    weir_encode_row(type, x, NULL, row, ROW);
    assert_int_equal(row[row_bytes], 0xa5);
    weir_quant_decode_row(type, row, back, ROW);
}

static void every_byte_is_written_and_always_alike(void **state)
{
    (void)state;
    static float x[ROW];
    static uint8_t row[ROW * sizeof(float)];
    static uint8_t again[ROW * sizeof(float)];
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++)
        for (int shape = 0; shape < SHAPE_COUNT; shape++) {
            memset(row, 0xa5, sizeof(row));
            memset(again, 0x5a, sizeof(again));
            fill_shape(x, (enum shape)shape);
            weir_encode_row((enum weir_type)at, x, NULL, row, ROW);
            weir_encode_row((enum weir_type)at, x, NULL, again, ROW);
            assert_memory_equal(row, again, weir_quant_row_bytes((enum weir_type)at, ROW));
        }
}

/* Encoders look for the least squared error of a block, so a single value may be farther off than
 * under the plain rule, to which the bounds belong; all of its block are not. */
static void errors_stay_within_each_formats_bound(void **state)
{
    (void)state;
    static float x[ROW];
    static float back[ROW];
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++) {
        const enum weir_type type = (enum weir_type)at;
        const size_t block_len = weir_quant_info(type)->block_len;
        double worst = 0.0;
        for (int round = 0; round < ROUNDS * SHAPE_COUNT; round++) {
            const enum shape shape = (enum shape)(round % SHAPE_COUNT);
            fill_shape(x, shape);
            round_trip(type, x, back);
            for (size_t block = 0; block < ROW; block += block_len) {
                /* And the rounding of decode's own multiplications. */
                const double slack =
                    block_len == 1 ? 0.0 : 1e-6 * find_range(x + block, block_len).magnitude;
                double errors = 0.0;
                double bounds = 0.0;
                for (size_t i = 0; i < block_len; i++) {
                    const double error = (double)back[block + i] - (double)x[block + i];
                    const double bound = error_bound(type, x + block, i) + slack;
                    errors += error * error;
                    bounds += bound * bound;
                    if (shape == SHAPE_ZERO)
                        assert_true(back[block + i] == 0.0f);
                }
                if (!(errors <= bounds))
                    fail_msg("%s, %s: squared errors of a block are %.3g, bound %.3g",
                             weir_quant_info(type)->name, shape_names[shape], errors, bounds);
                worst = bounds > 0.0 ? fmax(worst, sqrt(errors / bounds)) : worst;
            }
        }
        printf("%-6s worst error is %.2f of its bound\n", weir_quant_info(type)->name, worst);
    }
}

/* The gap between the two steps of a table around a value; past its ends, that at the end. */
static double find_gap(const int8_t *steps, double value)
{
    double below = (double)-INFINITY;
    double above = (double)INFINITY;
    for (int code = 0; code < 16; code++) {
        if (steps[code] <= value)
            below = fmax(below, steps[code]);
        else
            above = fmin(above, steps[code]);
    }
    if (isinf(below) || isinf(above))
        return find_gap(steps,
                        isinf(below) ? nextafter(above, (double)INFINITY) : nextafter(below, 0.0));
    return above - below;
}

/* The extreme, of either sign, is at -127. */
static double iq4_nl_step(struct range range, double value)
{
    const double unit = (-range.least > range.most ? range.magnitude : -range.magnitude) / 127.0;
    return fabs(unit) * find_gap(weir_iq4_nl_steps, value / unit);
}

/* Codebooks and steps of few bits have no rounding to speak of: which share of the mean square of
 * normal values they lose, as measured; no code of b bits a value loses less than 2^(-2 b) (Shannon
 * 1959), which is 0.115 to 0.0085 from IQ1_S to IQ3_S. */
static double lost_share(enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_IQ1_S:
        return 0.248;
    case WEIR_TYPE_IQ1_M:
        return 0.208;
    case WEIR_TYPE_IQ2_XXS:
        return 0.121;
    case WEIR_TYPE_IQ2_XS:
        return 0.089;
    case WEIR_TYPE_IQ2_S:
        return 0.062;
    case WEIR_TYPE_IQ3_XXS:
        return 0.033;
    case WEIR_TYPE_IQ3_S:
        return 0.017;
    case WEIR_TYPE_TQ1_0:
    case WEIR_TYPE_TQ2_0:
        return 0.19;
    case WEIR_TYPE_Q1_0:
        return 0.36;
    default:
        return 0.141;
    }
}

/* The plain step of value i's block: what the format would use if scales were not rounded. */
static double plain_step(enum weir_type type, const float *block, size_t i)
{
    const struct range whole = find_range(block, 32);
    const struct range part = find_range(block + (i & ~(size_t)31), 32);
    const struct range half = find_range(block + (i & ~(size_t)15), 16);
    const double width = fmax(part.most, 0.0) - fmin(part.least, 0.0);
    double unit;
    switch (type) {
    case WEIR_TYPE_Q8_0:
        return whole.magnitude / 127.0;
    case WEIR_TYPE_Q4_0:
        return whole.magnitude / 8.0;
    case WEIR_TYPE_Q4_1:
        return (whole.most - whole.least) / 15.0;
    case WEIR_TYPE_Q5_0:
        return whole.magnitude / 16.0;
    case WEIR_TYPE_Q5_1:
        return (whole.most - whole.least) / 31.0;
    case WEIR_TYPE_IQ4_NL:
        return iq4_nl_step(whole, (double)block[i]);
    case WEIR_TYPE_MXFP4:
        unit = mxfp4_unit(whole.magnitude);
        return unit * find_gap(weir_mxfp4_steps, (double)block[i] / unit);
    case WEIR_TYPE_Q2_K:
        return (fmax(half.most, 0.0) - fmin(half.least, 0.0)) / 3.0;
    case WEIR_TYPE_Q3_K:
        return half.magnitude / 4.0;
    case WEIR_TYPE_Q4_K:
        return width / 15.0;
    case WEIR_TYPE_Q5_K:
        return width / 31.0;
    case WEIR_TYPE_IQ4_XS:
        return iq4_nl_step(part, (double)block[i]);
    case WEIR_TYPE_Q6_K:
        return half.magnitude / 32.0;
    case WEIR_TYPE_NVFP4:
        unit = half.magnitude / 12.0;
        return unit * find_gap(weir_mxfp4_steps, (double)block[i] / unit);
    default:
        return sqrt(12.0 * lost_share(type)) * fabs((double)block[i]);
    }
}

/* Rounding to steps of width u leaves a mean square of u^2 / 12. An encoder that meets the bounds
 * but loses a bit somewhere, or picks poor scales, is far above that. */
static void errors_of_normal_values_are_those_of_rounding(void **state)
{
    (void)state;
    static float x[ROW];
    static float back[ROW];
    for (int at = WEIR_TYPE_Q8_0; at < WEIR_TYPE_BLOCK_COUNT; at++) {
        const enum weir_type type = (enum weir_type)at;
        const size_t block_len = weir_quant_info(type)->block_len;
        double error_sum = 0.0;
        double ideal_sum = 0.0;
        for (int round = 0; round < NORMAL_ROWS; round++) {
            fill_shape(x, SHAPE_NORMAL);
            round_trip(type, x, back);
            for (size_t i = 0; i < ROW; i++) {
                const double error = (double)back[i] - (double)x[i];
                const double step = plain_step(type, x + i / block_len * block_len, i % block_len);
                error_sum += error * error;
                ideal_sum += step * step / 12.0;
            }
        }
        printf("%-6s mean square error %.3f of its ideal\n", weir_quant_info(type)->name,
               error_sum / ideal_sum);
        assert_true(error_sum <= 1.1 * ideal_sum);
        assert_true(error_sum >= 0.5 * ideal_sum); /* or the yardstick is wrong */
    }
}

/* Beyond a format's range values end at its end: finite, and of the right sign. */
static void values_out_of_range_stay_finite(void **state)
{
    (void)state;
    static const float huge[] = {1e7f, 1e10f, 1e19f, 1e30f, FLT_MAX};
    static float x[ROW];
    static float back[ROW];
    for (int at = WEIR_TYPE_Q8_0; at < WEIR_TYPE_BLOCK_COUNT; at++) {
        const float end = at == WEIR_TYPE_NVFP4 ? 2688.0f : 6e4f;
        for (size_t size = 0; size < WEIR_COUNT(huge); size++)
            for (int pattern = 0; pattern < 3; pattern++) {
                for (size_t i = 0; i < ROW; i++) {
                    const bool negative = pattern == 0 ? i % 2 == 0 : pattern == 1;
                    x[i] = negative ? -huge[size] : huge[size];
                }
                round_trip((enum weir_type)at, x, back);
                for (size_t i = 0; i < ROW; i++)
                    if (!isfinite(back[i]) || back[i] * x[i] <= 0.0f || fabsf(back[i]) < end)
                        fail_msg("%s: %.9g became %.9g", weir_quant_info((enum weir_type)at)->name,
                                 (double)x[i], (double)back[i]);
            }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_written_and_always_alike),
        cmocka_unit_test(errors_stay_within_each_formats_bound),
        cmocka_unit_test(errors_of_normal_values_are_those_of_rounding),
        cmocka_unit_test(values_out_of_range_stay_finite),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
