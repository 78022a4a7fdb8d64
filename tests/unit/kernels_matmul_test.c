/* kernels_matmul_test.c - every matmul at every level against the reference, on guard pages. */
#include "encode/encode.h"
#include "kernels_test.h"
#include "pace.h"

/* Several rows for each of 16 lanes and some left over, and tiles of tokens of every size. */
enum { ROWS = 37, TOKENS = 13, COLS_MAX = 3424 };

/* Every division of rows and tokens is tried once for each width; otherwise, and by the reference,
 * which divides nothing, a few. Sanitizers and emulators find in a few what they find in all. */
#if defined(__aarch64__)
enum { IS_SLOW = 1 };
#else
enum { IS_SLOW = IS_SANITIZED };
#endif
enum {
    SPLIT_STEP = IS_SLOW ? 11 : 1,
    SPLIT_STEP_FEW = IS_SLOW ? 35 : 11,
    PLACE_STEP = IS_SLOW ? 5 : 1
};

/* One problem: W and x against an unreadable page on one side. */
struct problem {
    enum weir_type type;
    size_t cols;
    size_t w_row_bytes, x_row_bytes;
    struct guarded w, x;
    float *w_values; /* decoded [ROWS][cols] */
    size_t split_step;
};

/* False when the CPU lacks the level, or the level leaves the type to the reference. */
static bool level_has(struct weir_kernels *kernels, size_t level, const struct weir_kernels *ref,
                      enum weir_type type)
{
    return level_init(kernels, level) && (level == 0 || kernels->matmul[type] != ref->matmul[type]);
}

static bool has_minimum(enum weir_type type)
{
    return type == WEIR_TYPE_Q4_1 || type == WEIR_TYPE_Q5_1 || type == WEIR_TYPE_Q2_K ||
           type == WEIR_TYPE_Q4_K || type == WEIR_TYPE_Q5_K;
}

/* Where a block has its scale as a half. */
static size_t scale_at(enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q2_K:
        return 80;
    case WEIR_TYPE_Q3_K:
        return 108;
    case WEIR_TYPE_Q6_K:
        return 208;
    case WEIR_TYPE_TQ1_0:
        return 52;
    case WEIR_TYPE_TQ2_0:
        return 64;
    default:
        return 0;
    }
}

/* The top nibbles of four numbers become the nibbles of a half. */
static void put_iq1_m_scale(uint8_t *block, uint16_t half)
{
    for (int i = 0; i < 4; i++)
        block[49 + 2 * i] = (uint8_t)((block[49 + 2 * i] & 15) | (half >> 4 * i & 15) << 4);
}

/* Scales of about 1 at most, and never 0: finite, and no larger than tests can bound. */
static void bound_scales(enum weir_type type, uint8_t *block)
{
    const size_t at = scale_at(type);
    if (type == WEIR_TYPE_MXFP4) {
        block[0] = (block[0] & 0x1f) + 0x60;
        return;
    }
    if (type == WEIR_TYPE_NVFP4) {
        for (int i = 0; i < 4; i++)
            block[i] = (block[i] & 0x1f) | 0x20;
        return;
    }
    if (type == WEIR_TYPE_IQ1_M) {
        put_iq1_m_scale(block, (uint16_t)((block[0] << 8 & 0x9b00) | 0x2000 | block[1]));
        return;
    }
    /* The high byte of a half: its sign stays, its exponent is from 2^-7 to 2^-1. */
    block[at + 1] = (block[at + 1] & 0x9b) | 0x20;
    if (has_minimum(type))
        block[at + 3] = (block[at + 3] & 0x9b) | 0x20;
}

/* A row of blocks that a file may hold, whatever their values. */
static void fill_blocks(enum weir_type type, uint8_t *row, size_t row_bytes,
                        uint8_t (*next_byte)(void))
{
    for (size_t at = 0; at < row_bytes; at++)
        row[at] = next_byte();
    for (size_t at = 0; at < row_bytes; at += weir_quant_info(type)->block_bytes)
        bound_scales(type, row + at);
}

/* To search codebooks for the nearest entries takes long, and any bytes are entries. */
static bool has_codebook(enum weir_type type)
{
    return type >= WEIR_TYPE_IQ1_S && type <= WEIR_TYPE_IQ3_S;
}

static uint8_t random_byte(void)
{
    return (uint8_t)weir_random_next(&test_seed);
}

static void make_problem(struct problem *problem, const struct weir_kernels *ref,
                         enum weir_type type, size_t cols, enum fill fill, bool at_end)
{
    static float row[COLS_MAX];
    const enum weir_act act = ref->act[type];
    problem->type = type;
    problem->cols = cols;
    problem->split_step = SPLIT_STEP_FEW;
    problem->w_row_bytes = weir_quant_row_bytes(type, cols);
    problem->x_row_bytes = weir_act_row_bytes(act, cols);
    problem->w = guarded_alloc(ROWS * problem->w_row_bytes, at_end);
    problem->x = guarded_alloc(TOKENS * problem->x_row_bytes, at_end);
    problem->w_values = malloc(ROWS * cols * sizeof(float));
    for (size_t index = 0; index < ROWS; index++) {
        uint8_t *bytes = problem->w.start + index * problem->w_row_bytes;
        fill_floats(row, cols, fill);
        if (has_codebook(type))
            fill_blocks(type, bytes, problem->w_row_bytes, random_byte);
        else
            weir_encode_row(type, row, NULL, bytes, cols);
        weir_quant_decode_row(type, bytes, problem->w_values + index * cols, cols);
    }
    for (size_t token = 0; token < TOKENS; token++) {
        fill_floats(row, cols, fill);
        ref->quantize[act](row, problem->x.start + token * problem->x_row_bytes, cols);
    }
}

static void free_problem(struct problem *problem)
{
    guarded_free(&problem->w);
    guarded_free(&problem->x);
    free(problem->w_values);
}

static void run(const struct weir_kernels *kernels, const struct problem *problem, float *y,
                size_t row_begin, size_t row_end, size_t first, size_t n_token)
{
    const struct weir_matmul job = {
        .w = problem->w.start,
        .w_row_bytes = problem->w_row_bytes,
        .x = problem->x.start + first * problem->x_row_bytes,
        .x_row_bytes = problem->x_row_bytes,
        .y = y + first * ROWS,
        .y_stride = ROWS,
        .cols = problem->cols,
        .row_begin = row_begin,
        .row_end = row_end,
        .n_token = n_token,
    };
    kernels->matmul[problem->type](&job);
}

/* Value i of a row of activations, as the format means it. */
static double act_value(enum weir_act act, const uint8_t *row, size_t i)
{
    if (act == WEIR_ACT_Q8_32) {
        const struct weir_act_q8_32 *block = (const void *)row;
        return (double)block[i / 32].scale * block[i / 32].q[i % 32];
    }
    if (act == WEIR_ACT_Q8_256) {
        const struct weir_act_q8_256 *block = (const void *)row;
        return (double)block[i / 256].scale * block[i / 256].q[i % 256];
    }
    float value;
    memcpy(&value, row + i * sizeof(value), sizeof(value));
    return (double)value;
}

/* At least the minimum of the block of values i to i + 31 of a row; 0 for formats without. */
static double minimum_bound(const struct problem *problem, size_t row, size_t i)
{
    if (!has_minimum(problem->type))
        return 0.0;
    const float *block = problem->w_values + row * problem->cols + i;
    double most = 0.0;
    for (int at = 0; at < 32; at++) {
        const double magnitude = fabs((double)block[at]);
        if (magnitude > most)
            most = magnitude;
    }
    return most;
}

/* The formula itself in double, and the sum of magnitudes that the tolerance is made of. */
static double exact_dot(const struct weir_kernels *ref, const struct problem *problem, size_t row,
                        size_t token, double *magnitude)
{
    const uint8_t *x = problem->x.start + token * problem->x_row_bytes;
    double sum = 0.0;
    double below = 0.0;
    *magnitude = 0.0;
    for (size_t i = 0; i < problem->cols; i++) {
        const double weight = (double)problem->w_values[row * problem->cols + i];
        const double value = act_value(ref->act[problem->type], x, i);
        if (i % 32 == 0)
            below = minimum_bound(problem, row, i);
        sum += weight * value;
        *magnitude += fabs(value) * (fabs(weight) + below);
    }
    return sum;
}

/* What a problem's outputs are, and how far they may be off. */
struct solution {
    double wanted[TOKENS * ROWS], tolerance[TOKENS * ROWS];
};

static void check_level(const struct weir_kernels *kernels, const struct problem *problem,
                        const struct solution *solution, size_t split_step)
{
    float whole[TOKENS * ROWS];
    float parts[TOKENS * ROWS];
    run(kernels, problem, whole, 0, ROWS, 0, TOKENS);
    for (size_t token = 0; token < TOKENS; token++)
        for (size_t row = 0; row < ROWS; row++) {
            const double wanted = solution->wanted[token * ROWS + row];
            const double found = (double)whole[token * ROWS + row];
            if (!(fabs(found - wanted) <= solution->tolerance[token * ROWS + row]))
                fail_msg("%s %s cols %zu row %zu token %zu: wanted %.9g, found %.9g", kernels->isa,
                         weir_quant_info(problem->type)->name, problem->cols, row, token, wanted,
                         found);
        }
    /* The same bits however rows and tokens are divided. */
    for (size_t split = 1; split < ROWS; split += split_step) {
        memset(parts, 0x7f, sizeof(parts));
        run(kernels, problem, parts, 0, split, 0, TOKENS);
        run(kernels, problem, parts, split, ROWS, 0, TOKENS);
        assert_memory_equal(parts, whole, sizeof(whole));
    }
    for (size_t size = 1; size < TOKENS; size += split_step) {
        memset(parts, 0x7f, sizeof(parts));
        for (size_t first = 0; first < TOKENS; first += size)
            run(kernels, problem, parts, 0, ROWS, first,
                first + size <= TOKENS ? size : TOKENS - first);
        assert_memory_equal(parts, whole, sizeof(whole));
    }
}

static void check_levels(const struct weir_kernels *ref, const struct problem *problem)
{
    static struct solution solution;
    for (size_t token = 0; token < TOKENS; token++)
        for (size_t row = 0; row < ROWS; row++) {
            double magnitude = 0.0;
            solution.wanted[token * ROWS + row] = exact_dot(ref, problem, row, token, &magnitude);
            solution.tolerance[token * ROWS + row] = 1e-5 * magnitude + 1e-30;
        }
    for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
        struct weir_kernels kernels;
        if (level_has(&kernels, level, ref, problem->type))
            check_level(&kernels, problem, &solution,
                        level == 0 ? SPLIT_STEP_FEW : problem->split_step);
    }
}

static void check_type(enum weir_type type)
{
    static const size_t float_cols[] = {1, 5, 7, 8, 15, 16, 17, 31, 33, 64, 100, 257};
    static const size_t block_counts[] = {1, 2, 3, 4, 5};
    const size_t block_len = weir_quant_info(type)->block_len;
    const size_t size_count = block_len == 1 ? WEIR_COUNT(float_cols) : WEIR_COUNT(block_counts);
    struct weir_kernels ref;
    weir_kernels_init(&ref, 0);
    for (size_t size = 0; size < size_count; size++)
        for (int fill = IS_SLOW ? FILL_RANDOM : 0; fill < (IS_SLOW ? FILL_EXTREME : FILL_COUNT);
             fill++)
            for (int at_end = 0; at_end < 2; at_end++) {
                struct problem problem;
                const size_t cols =
                    block_len == 1 ? float_cols[size] : block_counts[size] * block_len;
                make_problem(&problem, &ref, type, cols, (enum fill)fill, at_end != 0);
                if (fill == FILL_RANDOM && at_end != 0)
                    problem.split_step = SPLIT_STEP;
                check_levels(&ref, &problem);
                free_problem(&problem);
            }
}

#define TYPE_TEST(type)                                                                            \
    static void matmul_##type##_matches_the_formula_on_every_level(void **state)                   \
    {                                                                                              \
        (void)state;                                                                               \
        check_type(WEIR_TYPE_##type);                                                              \
    }
TYPE_TEST(F32)
TYPE_TEST(F16)
TYPE_TEST(BF16)
TYPE_TEST(Q8_0)
TYPE_TEST(Q4_0)
TYPE_TEST(Q4_1)
TYPE_TEST(Q5_0)
TYPE_TEST(Q5_1)
TYPE_TEST(IQ4_NL)
TYPE_TEST(MXFP4)
TYPE_TEST(Q2_K)
TYPE_TEST(Q3_K)
TYPE_TEST(Q4_K)
TYPE_TEST(Q5_K)
TYPE_TEST(Q6_K)
TYPE_TEST(IQ4_XS)
TYPE_TEST(IQ1_S)
TYPE_TEST(IQ1_M)
TYPE_TEST(IQ2_XXS)
TYPE_TEST(IQ2_XS)
TYPE_TEST(IQ2_S)
TYPE_TEST(IQ3_XXS)
TYPE_TEST(IQ3_S)
TYPE_TEST(TQ1_0)
TYPE_TEST(TQ2_0)
TYPE_TEST(NVFP4)
TYPE_TEST(Q1_0)
TYPE_TEST(Q2_0)

/* Put what next_byte gives in place of W, scales bounded, and check every level. */
static void check_bytes(const struct weir_kernels *ref, struct problem *problem,
                        uint8_t (*next_byte)(void))
{
    for (size_t row = 0; row < ROWS; row++) {
        uint8_t *bytes = problem->w.start + row * problem->w_row_bytes;
        fill_blocks(problem->type, bytes, problem->w_row_bytes, next_byte);
        weir_quant_decode_row(problem->type, bytes, problem->w_values + row * problem->cols,
                              problem->cols);
    }
    check_levels(ref, problem);
}

/* Every nibble, scale and sign that a file can hold. */
static void any_bytes_give_the_same_on_every_level(void **state)
{
    (void)state;
    struct weir_kernels ref;
    weir_kernels_init(&ref, 0);
    for (int type = WEIR_TYPE_Q8_0; type < WEIR_TYPE_BLOCK_COUNT; type++) {
        struct problem problem;
        const size_t cols = 4 * weir_quant_info((enum weir_type)type)->block_len;
        make_problem(&problem, &ref, (enum weir_type)type, cols, FILL_RANDOM, true);
        check_bytes(&ref, &problem, random_byte);
        free_problem(&problem);
    }
}

static uint8_t least_byte(void)
{
    return 0;
}

static uint8_t greatest_byte(void)
{
    return 0xff;
}

/* Steps and activations at their ends, all of one sign: no sum on the way may overflow. */
static void extremes_fit_every_sum_on_every_level(void **state)
{
    static uint8_t (*const bytes[])(void) = {least_byte, greatest_byte};
    static float row[COLS_MAX];
    struct weir_kernels ref;
    (void)state;
    weir_kernels_init(&ref, 0);
    for (int type = WEIR_TYPE_Q8_0; type < WEIR_TYPE_BLOCK_COUNT; type++)
        for (size_t at = 0; at < WEIR_COUNT(bytes); at++) {
            struct problem problem;
            const size_t cols = 2 * weir_quant_info((enum weir_type)type)->block_len;
            const enum weir_act act = ref.act[type];
            make_problem(&problem, &ref, (enum weir_type)type, cols, FILL_RANDOM, true);
            for (size_t token = 0; token < TOKENS; token++) {
                for (size_t i = 0; i < cols; i++)
                    row[i] = token % 2 == 0 ? 1.0f : -1.0f;
                ref.quantize[act](row, problem.x.start + token * problem.x_row_bytes, cols);
            }
            check_bytes(&ref, &problem, bytes[at]);
            free_problem(&problem);
        }
}

/* Steps of 1 and -1 under each power of two, subnormal ones too, and activations that bring the
 * products near 1. */
static void mxfp4_has_every_power_on_every_level(void **state)
{
    (void)state;
    struct weir_kernels ref;
    struct problem problem;
    float row[32];
    weir_kernels_init(&ref, 0);
    make_problem(&problem, &ref, WEIR_TYPE_MXFP4, 32, FILL_RANDOM, true);
    for (int e = 0; e < 255; e++) {
        const int opposite = e < 8 ? 120 : e > 228 ? -100 : 128 - e;
        for (size_t index = 0; index < ROWS; index++) {
            uint8_t *block = problem.w.start + index * problem.w_row_bytes;
            memset(block, 0x91, problem.w_row_bytes);
            block[0] = (uint8_t)e;
            weir_quant_decode_row(WEIR_TYPE_MXFP4, block, problem.w_values + index * 32, 32);
        }
        for (size_t token = 0; token < TOKENS; token++) {
            fill_floats(row, 32, FILL_RANDOM);
            for (int i = 0; i < 32; i++)
                row[i] = ldexpf(row[i], opposite);
            ref.quantize[ref.act[WEIR_TYPE_MXFP4]](
                row, problem.x.start + token * problem.x_row_bytes, 32);
        }
        check_levels(&ref, &problem);
    }
    free_problem(&problem);
}

static void put_bad(enum weir_type type, uint8_t *at, int which)
{
    static const uint32_t floats[] = {0x7fc00000, 0x7f800000, 0xff800000};
    static const uint16_t halves[] = {0x7e00, 0x7c00, 0xfc00};
    static const uint16_t brain[] = {0x7fc0, 0x7f80, 0xff80};
    if (type == WEIR_TYPE_F32)
        memcpy(at, &floats[which], sizeof(floats[which]));
    else if (type == WEIR_TYPE_MXFP4)
        *at = 255;
    else if (type == WEIR_TYPE_NVFP4)
        *at = 0x7f;
    else if (type == WEIR_TYPE_IQ1_M)
        put_iq1_m_scale(at, halves[which]);
    else
        memcpy(at, type == WEIR_TYPE_BF16 ? &brain[which] : &halves[which], sizeof(halves[which]));
}

/* One row of weights and one token are damaged: their outputs are not finite, all others are. */
static void check_damage(const struct weir_kernels *kernels, const struct problem *problem,
                         size_t bad_row, size_t bad_token)
{
    static float y[TOKENS * ROWS];
    for (size_t n_token = 1; n_token <= TOKENS; n_token += TOKENS - 1) {
        for (size_t first = 0; first < TOKENS; first += n_token)
            run(kernels, problem, y, 0, ROWS, first, n_token);
        for (size_t token = 0; token < TOKENS; token++)
            for (size_t row = 0; row < ROWS; row++)
                if (weir_all_finite(&y[token * ROWS + row], 1) ==
                    (row == bad_row || token == bad_token))
                    fail_msg("%s %s: row %zu, token %zu of %zu at once: %g", kernels->isa,
                             weir_quant_info(problem->type)->name, row, token, n_token,
                             (double)y[token * ROWS + row]);
    }
}

/* In the first block or the last, of the first row, one in the middle and the last. Token 1 is all
 * zeros, and so are the steps of the damaged row's activations. */
static void what_is_not_finite_stays_so_on_every_level(void **state)
{
    struct weir_kernels ref;
    (void)state;
    weir_kernels_init(&ref, 0);
    for (int type = 0; type < WEIR_TYPE_BLOCK_COUNT; type++)
        for (int which = 0; which < 3; which++)
            for (size_t place = (size_t)which % PLACE_STEP; place < 12; place += PLACE_STEP) {
                static const size_t rows[] = {0, 18, ROWS - 1};
                static const size_t tokens[] = {0, 5, TOKENS - 1};
                static float row[COLS_MAX];
                struct problem problem;
                const struct weir_type_info *info = weir_quant_info((enum weir_type)type);
                const size_t cols = info->block_len == 1 ? 37 : 3 * info->block_len;
                const size_t bad_row = rows[place % 3];
                const size_t bad_token = tokens[place / 4];
                const enum weir_act act = ref.act[type];
                const size_t at = scale_at((enum weir_type)type);
                const bool in_minimum = place / 2 % 2 == 1 && has_minimum((enum weir_type)type);
                make_problem(&problem, &ref, (enum weir_type)type, cols, FILL_RANDOM, true);
                memset(row, 0, sizeof(row));
                ref.quantize[act](row, problem.x.start + problem.x_row_bytes, cols);
                const float bad[] = {NAN, INFINITY, -INFINITY};
                row[place % 2 == 0 ? 0 : cols - 1] = bad[which];
                ref.quantize[act](row, problem.x.start + bad_token * problem.x_row_bytes, cols);
                uint8_t *block = problem.w.start + bad_row * problem.w_row_bytes +
                                 (place % 2 == 0 ? 0 : problem.w_row_bytes - info->block_bytes);
                put_bad((enum weir_type)type, block + at + (in_minimum ? 2 : 0), which);
                for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
                    struct weir_kernels kernels;
                    if (level_has(&kernels, level, &ref, (enum weir_type)type))
                        check_damage(&kernels, &problem, bad_row, bad_token);
                }
                free_problem(&problem);
            }
}

/* More tokens and columns than any tile or panel holds: an odd number of blocks of 32. */
static size_t long_cols(enum weir_type type)
{
    const size_t block_len = weir_quant_info(type)->block_len;
    return block_len == 256 ? 1280 : COLS_MAX / block_len * block_len;
}

static void long_prompts_have_the_bits_of_single_tokens(void **state)
{
    enum { LONG = 131 };
    static float wanted[TOKENS * ROWS];
    static float found[LONG * ROWS];
    struct weir_kernels ref;
    (void)state;
    weir_kernels_init(&ref, 0);
    for (int type = 0; type < WEIR_TYPE_BLOCK_COUNT; type++) {
        struct problem problem;
        make_problem(&problem, &ref, (enum weir_type)type, long_cols((enum weir_type)type),
                     FILL_RANDOM, true);
        struct guarded x = guarded_alloc(LONG * problem.x_row_bytes, true);
        for (size_t token = 0; token < LONG; token++)
            memcpy(x.start + token * problem.x_row_bytes,
                   problem.x.start + token % TOKENS * problem.x_row_bytes, problem.x_row_bytes);
        for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
            struct weir_kernels kernels;
            if (!level_has(&kernels, level, &ref, (enum weir_type)type))
                continue;
            for (size_t token = 0; token < TOKENS; token++)
                run(&kernels, &problem, wanted, 0, ROWS, token, 1);
            struct problem stretched = problem;
            stretched.x = x;
            run(&kernels, &stretched, found, 0, ROWS, 0, LONG);
            for (size_t token = 0; token < LONG; token++)
                assert_memory_equal(found + token * ROWS, wanted + token % TOKENS * ROWS,
                                    ROWS * sizeof(float));
        }
        guarded_free(&x);
        free_problem(&problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matmul_F32_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_F16_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_BF16_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q8_0_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q4_0_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q4_1_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q5_0_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q5_1_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_IQ4_NL_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_MXFP4_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q2_K_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q3_K_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q4_K_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q5_K_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q6_K_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_IQ4_XS_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_IQ1_S_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_IQ1_M_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_IQ2_XXS_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_IQ2_XS_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_IQ2_S_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_IQ3_XXS_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_IQ3_S_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_TQ1_0_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_TQ2_0_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_NVFP4_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q1_0_matches_the_formula_on_every_level),
        cmocka_unit_test(matmul_Q2_0_matches_the_formula_on_every_level),
        cmocka_unit_test(any_bytes_give_the_same_on_every_level),
        cmocka_unit_test(extremes_fit_every_sum_on_every_level),
        cmocka_unit_test(mxfp4_has_every_power_on_every_level),
        cmocka_unit_test(what_is_not_finite_stays_so_on_every_level),
        cmocka_unit_test(long_prompts_have_the_bits_of_single_tokens),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
