/* kernels_codes_test.c - matmuls of codes whose scales are another tensor's: every level against
 * the formula, on guard pages. */
#include "kernels_test.h"
#include "quant/i4.h"

enum { ROWS = 11, TOKENS = 9, COLS_MAX = 700, ZERO_ROWS = 2 };

/* How the formats that use them group their scales. */
static const struct grouping {
    enum weir_type type;
    enum weir_scale_type scale_type;
    size_t rows, cols;
    bool has_zeros;
} groupings[] = {
    {WEIR_TYPE_F8_E4M3, WEIR_SCALE_F32, 128, 128, false},
    {WEIR_TYPE_F8_E4M3, WEIR_SCALE_BF16, 4, 128, false},
    {WEIR_TYPE_F8_E4M3, WEIR_SCALE_F16, 1, COLS_MAX, false},
    {WEIR_TYPE_F8_E4M3, WEIR_SCALE_E8M0, 3, 20, false},
    {WEIR_TYPE_F4_E2M1, WEIR_SCALE_F8_E4M3, 1, 16, false},
    {WEIR_TYPE_F4_E2M1, WEIR_SCALE_E8M0, 1, 32, false},
    {WEIR_TYPE_I4, WEIR_SCALE_BF16, 1, 32, false},
    {WEIR_TYPE_I4, WEIR_SCALE_F16, 1, 128, false},
    {WEIR_TYPE_I4, WEIR_SCALE_F32, ROWS, COLS_MAX, false},
    {WEIR_TYPE_I4, WEIR_SCALE_BF16, 1, 32, true},
    {WEIR_TYPE_I4, WEIR_SCALE_F16, 1, 8, true},
    {WEIR_TYPE_I4, WEIR_SCALE_F32, 1, COLS_MAX, true},
};
static const size_t widths[] = {2, 14, 16, 18, 32, 46, 128, 130, 254, 384, 642};

/* W, its scales, its zero points and x, each against an unreadable page. */
struct problem {
    struct grouping grouping;
    size_t cols, row_bytes, scale_row_bytes, zero_row_bytes;
    struct guarded w, scales, zeros, x;
};

/* Codes and scales of ordinary size that are finite. */
static void fill_codes(struct problem *problem)
{
    const size_t scale_bytes = weir_scale_bytes(problem->grouping.scale_type);
    const size_t group_rows = (ROWS + problem->grouping.rows - 1) / problem->grouping.rows;
    for (size_t at = 0; at < ROWS * problem->row_bytes; at++) {
        const uint8_t code = (uint8_t)weir_random_next(&test_seed);
        const bool is_nan = problem->grouping.type == WEIR_TYPE_F8_E4M3 && (code & 0x7f) == 0x7f;
        problem->w.start[at] = is_nan ? 0x80 : code;
    }
    for (size_t at = 0; at < group_rows * problem->scale_row_bytes / scale_bytes; at++) {
        const float scale = 0.5f + (float)weir_random_unit(&test_seed);
        const uint16_t halves[] = {
            [WEIR_SCALE_F16] = weir_f32_to_f16(scale), [WEIR_SCALE_BF16] = weir_f32_to_bf16(scale)};
        uint8_t *place = problem->scales.start + at * scale_bytes;
        if (problem->grouping.scale_type == WEIR_SCALE_F32)
            memcpy(place, &scale, sizeof(scale));
        else if (scale_bytes == 2)
            memcpy(place, &halves[problem->grouping.scale_type], sizeof(halves[0]));
        else /* around 1 in both */
            *place = (uint8_t)((problem->grouping.scale_type == WEIR_SCALE_E8M0 ? 126 : 0x36) +
                               weir_random_next(&test_seed) % 4);
    }
}

static void make_problem(struct problem *problem, size_t index, size_t cols, bool at_end)
{
    const struct grouping grouping = groupings[index];
    problem->grouping = grouping;
    problem->cols = cols;
    problem->row_bytes = weir_quant_row_bytes(grouping.type, cols);
    problem->scale_row_bytes =
        (cols + grouping.cols - 1) / grouping.cols * weir_scale_bytes(grouping.scale_type);
    problem->w = guarded_alloc(ROWS * problem->row_bytes, at_end);
    problem->scales = guarded_alloc(
        (ROWS + grouping.rows - 1) / grouping.rows * problem->scale_row_bytes, at_end);
    problem->zero_row_bytes = (cols + grouping.cols - 1) / grouping.cols * WEIR_I4_ZERO_BYTES;
    problem->zeros = guarded_alloc(ZERO_ROWS * problem->zero_row_bytes, at_end);
    for (size_t at = 0; at < ZERO_ROWS * problem->zero_row_bytes; at++)
        problem->zeros.start[at] = (uint8_t)weir_random_next(&test_seed);
    problem->x = guarded_alloc(TOKENS * cols * sizeof(float), at_end);
    fill_codes(problem);
    for (size_t at = 0; at < TOKENS * cols; at++) {
        const float value = fill_value(FILL_RANDOM);
        memcpy(problem->x.start + at * sizeof(value), &value, sizeof(value));
    }
}

static void free_problem(struct problem *problem)
{
    guarded_free(&problem->w);
    guarded_free(&problem->scales);
    guarded_free(&problem->zeros);
    guarded_free(&problem->x);
}

static void run(const struct weir_kernels *kernels, const struct problem *problem, bool is_scaled,
                float *y, size_t row_begin, size_t row_end, size_t first, size_t n_token)
{
    const struct weir_scales scales = {.data = problem->scales.start,
                                       .zeros = problem->grouping.has_zeros ? problem->zeros.start
                                                                            : NULL,
                                       .zero_row_bytes = problem->zero_row_bytes,
                                       .row_bytes = problem->scale_row_bytes,
                                       .group_rows = problem->grouping.rows,
                                       .group_cols = problem->grouping.cols,
                                       .type = problem->grouping.scale_type};
    const struct weir_matmul job = {
        .w = problem->w.start,
        .w_row_bytes = problem->row_bytes,
        .x = problem->x.start + first * problem->cols * sizeof(float),
        .x_row_bytes = problem->cols * sizeof(float),
        .y = y + first * ROWS,
        .y_stride = ROWS,
        .cols = problem->cols,
        .row_begin = row_begin,
        .row_end = row_end,
        .n_token = n_token,
        .scales = is_scaled ? &scales : NULL,
    };
    assert_int_equal(kernels->act[problem->grouping.type], WEIR_ACT_F32);
    kernels->matmul[problem->grouping.type](&job);
}

/* The zero point of a code, eight rows' in a word, the first in the lowest bits. */
static int zero_of(const struct problem *problem, size_t row, size_t col)
{
    uint32_t word;
    memcpy(&word,
           problem->zeros.start + row / 8 * problem->zero_row_bytes +
               col / problem->grouping.cols * sizeof(word),
           sizeof(word));
    return word >> row % 8 * 4 & 15;
}

/* The formula in double, and what its tolerance is made of: of codes with zero points both. */
static double exact_dot(const struct problem *problem, bool is_scaled, size_t row, size_t token,
                        double *magnitude)
{
    static float codes[COLS_MAX];
    const struct grouping *grouping = &problem->grouping;
    const uint8_t *scales = problem->scales.start + row / grouping->rows * problem->scale_row_bytes;
    double sum = 0.0;
    *magnitude = 0.0;
    weir_quant_decode_row(grouping->type, problem->w.start + row * problem->row_bytes, codes,
                          problem->cols);
    for (size_t col = 0; col < problem->cols; col++) {
        float x;
        memcpy(&x, problem->x.start + (token * problem->cols + col) * sizeof(x), sizeof(x));
        const double scale = is_scaled ? (double)weir_scale_decode(grouping->scale_type, scales,
                                                                   col / grouping->cols)
                                       : 1.0;
        const bool has_zero = is_scaled && grouping->has_zeros;
        const double code = (double)codes[col] + (has_zero ? 8 : 0);
        const double zero = has_zero ? zero_of(problem, row, col) : 0.0;
        sum += scale * (code - zero) * (double)x;
        *magnitude += fabs(scale * (double)x) * (fabs(code) + zero);
    }
    return sum;
}

static void check_level(const struct weir_kernels *kernels, const struct problem *problem,
                        bool is_scaled)
{
    float whole[TOKENS * ROWS];
    float parts[TOKENS * ROWS];
    run(kernels, problem, is_scaled, whole, 0, ROWS, 0, TOKENS);
    for (size_t token = 0; token < TOKENS; token++)
        for (size_t row = 0; row < ROWS; row++) {
            double magnitude = 0.0;
            const double wanted = exact_dot(problem, is_scaled, row, token, &magnitude);
            const double found = (double)whole[token * ROWS + row];
            if (!(fabs(found - wanted) <= 1e-5 * magnitude + 1e-30))
                fail_msg("%s %s, %zu columns, row %zu, token %zu: wanted %g, found %g",
                         kernels->isa, weir_quant_info(problem->grouping.type)->name, problem->cols,
                         row, token, wanted, found);
        }
    /* However it is divided, the bits are the same. */
    for (size_t row = 0; row < ROWS; row += 3)
        for (size_t token = 0; token < TOKENS; token += 2)
            run(kernels, problem, is_scaled, parts, row, weir_min(row + 3, ROWS), token,
                weir_min(2, TOKENS - token));
    assert_memory_equal(whole, parts, sizeof(whole));
}

#define FOR_LEVELS(kernels)                                                                        \
    for (size_t level = 0; level < WEIR_COUNT(level_masks); level++)                               \
        if (level_init(&(kernels), level))

static void every_level_computes_the_formula(void **state)
{
    (void)state;
    struct weir_kernels kernels;
    for (size_t index = 0; index < WEIR_COUNT(groupings); index++)
        for (size_t width = 0; width < WEIR_COUNT(widths); width++) {
            struct problem problem;
            make_problem(&problem, index, widths[width], width % 2 == 0);
            FOR_LEVELS(kernels)
            {
                check_level(&kernels, &problem, true);
                check_level(&kernels, &problem, false);
            }
            free_problem(&problem);
        }
}

/* Each code alone, times 1: its value to the bit. */
static void every_code_has_its_value_on_every_level(void **state)
{
    (void)state;
    static const enum weir_type types[] = {WEIR_TYPE_F8_E4M3, WEIR_TYPE_F4_E2M1, WEIR_TYPE_I4};
    struct weir_kernels kernels;
    for (size_t type = 0; type < WEIR_COUNT(types); type++)
        for (unsigned code = 0; code < 256; code++) {
            const uint8_t w[16] = {(uint8_t)code};
            const size_t count = weir_quant_info(types[type])->block_len;
            float wanted[2];
            weir_quant_decode_row(types[type], w, wanted, count);
            for (size_t at = 0; at < count; at++) {
                float x[32] = {0};
                x[at] = 1.0f;
                FOR_LEVELS(kernels)
                {
                    float y = 0.0f;
                    const struct weir_matmul job = {.w = w,
                                                    .w_row_bytes = 16,
                                                    .x = x,
                                                    .x_row_bytes = sizeof(x),
                                                    .y = &y,
                                                    .y_stride = 1,
                                                    .cols = 16 * count,
                                                    .row_end = 1,
                                                    .n_token = 1};
                    kernels.matmul[types[type]](&job);
                    assert_true(y == wanted[at] || (isnan(y) && isnan(wanted[at])));
                }
            }
        }
}

static void f8_and_its_scales_mean_what_their_format_says(void **state)
{
    (void)state;
    static const struct {
        uint8_t code;
        float value;
    } wanted[] = {{0x00, 0.0f}, {0x01, 0x1p-9f}, {0x07, 0x1.cp-7f}, {0x08, 0x1p-6f}, {0x38, 1.0f},
                  {0x3c, 1.5f}, {0x7e, 448.0f},  {0xb8, -1.0f},     {0xfe, -448.0f}};
    float value = 0.0f;
    for (size_t row = 0; row < WEIR_COUNT(wanted); row++) {
        weir_quant_decode_row(WEIR_TYPE_F8_E4M3, &wanted[row].code, &value, 1);
        assert_true(value == wanted[row].value);
        assert_true(weir_scale_decode(WEIR_SCALE_F8_E4M3, &wanted[row].code, 0) ==
                    wanted[row].value);
    }
    const uint8_t powers[] = {0, 1, 127, 130, 254, 255};
    assert_true(weir_scale_decode(WEIR_SCALE_E8M0, powers, 0) == 0x1p-127f);
    assert_true(weir_scale_decode(WEIR_SCALE_E8M0, powers, 1) == 0x1p-126f);
    assert_true(weir_scale_decode(WEIR_SCALE_E8M0, powers, 2) == 1.0f);
    assert_true(weir_scale_decode(WEIR_SCALE_E8M0, powers, 3) == 8.0f);
    assert_true(weir_scale_decode(WEIR_SCALE_E8M0, powers, 4) == 0x1p127f);
    assert_true(isnan(weir_scale_decode(WEIR_SCALE_E8M0, powers, 5)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_level_computes_the_formula),
        cmocka_unit_test(every_code_has_its_value_on_every_level),
        cmocka_unit_test(f8_and_its_scales_mean_what_their_format_says),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
