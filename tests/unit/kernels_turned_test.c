/* kernels_turned_test.c - matmuls of floats that lie column by column, at every level against the
 * formula, on guard pages. */
#include "kernels_test.h"

/* More than the registers of any level side by side, and some left over; more than two blocks of
 * columns; several tiles of tokens. */
enum { ROWS = 151, COLS = 275, TOKENS = 9 };

/* W among the rows of `together` matrices, of which it is the one numbered `member`. */
struct problem {
    enum weir_type type;
    size_t cols, together, member;
    struct guarded w, x;
    float w_values[COLS][ROWS];
};

static size_t value_bytes(enum weir_type type)
{
    return weir_quant_info(type)->block_bytes;
}

/* A value of type, and what it means. */
static float put_value(enum weir_type type, uint8_t *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    const uint16_t half = type == WEIR_TYPE_F16 ? weir_f32_to_f16(value) : (uint16_t)(bits >> 16);
    if (type == WEIR_TYPE_F32) {
        memcpy(out, &value, sizeof(value));
        return value;
    }
    memcpy(out, &half, sizeof(half));
    return type == WEIR_TYPE_F16 ? weir_f16_to_f32(half) : weir_bf16_to_f32(half);
}

static uint8_t *place_of(const struct problem *problem, size_t row, size_t col)
{
    return problem->w.start +
           (col * ROWS * problem->together + row * problem->together + problem->member) *
               value_bytes(problem->type);
}

static void make_problem(struct problem *problem, enum weir_type type, size_t cols, size_t together,
                         bool at_end)
{
    *problem = (struct problem){
        .type = type, .cols = cols, .together = together, .member = at_end ? together - 1 : 0};
    problem->w = guarded_alloc(cols * ROWS * together * value_bytes(type), at_end);
    problem->x = guarded_alloc(TOKENS * cols * sizeof(float), at_end);
    for (size_t col = 0; col < cols; col++)
        for (size_t row = 0; row < ROWS; row++)
            problem->w_values[col][row] =
                put_value(type, place_of(problem, row, col), fill_value(FILL_RANDOM));
    fill_floats((float *)(void *)problem->x.start, TOKENS * cols, FILL_RANDOM);
}

static void free_problem(struct problem *problem)
{
    guarded_free(&problem->w);
    guarded_free(&problem->x);
}

static void run(const struct weir_kernels *kernels, const struct problem *problem, float *y,
                size_t row_begin, size_t row_end, size_t first, size_t n_token)
{
    const size_t bytes = value_bytes(problem->type);
    const struct weir_matmul job = {
        .w = place_of(problem, 0, 0),
        .w_row_bytes = problem->together * bytes,
        .w_col_bytes = ROWS * problem->together * bytes,
        .x = problem->x.start + first * problem->cols * sizeof(float),
        .x_row_bytes = problem->cols * sizeof(float),
        .y = y + first * ROWS,
        .y_stride = ROWS,
        .cols = problem->cols,
        .row_begin = row_begin,
        .row_end = row_end,
        .n_token = n_token,
    };
    kernels->turned[problem->type](&job);
}

static void check_values(const struct weir_kernels *kernels, const struct problem *problem,
                         const float *y)
{
    const float *x = (const float *)(const void *)problem->x.start;
    for (size_t token = 0; token < TOKENS; token++)
        for (size_t row = 0; row < ROWS; row++) {
            double wanted = 0.0;
            double magnitude = 0.0;
            for (size_t col = 0; col < problem->cols; col++) {
                const double product =
                    (double)problem->w_values[col][row] * (double)x[token * problem->cols + col];
                wanted += product;
                magnitude += fabs(product);
            }
            if (!(fabs((double)y[token * ROWS + row] - wanted) <= 1e-5 * magnitude))
                fail_msg("%s %s cols %zu row %zu token %zu: wanted %.9g, found %.9g", kernels->isa,
                         weir_quant_info(problem->type)->name, problem->cols, row, token, wanted,
                         (double)y[token * ROWS + row]);
        }
}

/* The formula, and the same bits however rows and tokens are divided. */
static void check_level(const struct weir_kernels *kernels, const struct problem *problem)
{
    static float whole[TOKENS * ROWS];
    static float parts[TOKENS * ROWS];
    run(kernels, problem, whole, 0, ROWS, 0, TOKENS);
    check_values(kernels, problem, whole);
    for (size_t split = 1; split < ROWS; split += 13) {
        memset(parts, 0x7f, sizeof(parts));
        run(kernels, problem, parts, 0, split, 0, TOKENS);
        run(kernels, problem, parts, split, ROWS, 0, TOKENS);
        assert_memory_equal(parts, whole, sizeof(whole));
    }
    for (size_t size = 1; size < TOKENS; size++) {
        memset(parts, 0x7f, sizeof(parts));
        for (size_t first = 0; first < TOKENS; first += size)
            run(kernels, problem, parts, 0, ROWS, first,
                first + size <= TOKENS ? size : TOKENS - first);
        assert_memory_equal(parts, whole, sizeof(whole));
    }
}

static const enum weir_type types[] = {WEIR_TYPE_F32, WEIR_TYPE_F16, WEIR_TYPE_BF16};

static void turned_matrices_match_the_formula_on_every_level(void **state)
{
    static const size_t widths[] = {1, 2, 127, 128, 129, COLS};
    static struct problem problem;
    (void)state;
    for (size_t type = 0; type < WEIR_COUNT(types); type++)
        for (size_t width = 0; width < WEIR_COUNT(widths); width++)
            for (size_t place = 0; place < 4; place++) {
                make_problem(&problem, types[type], widths[width], 1 + place / 2, place % 2 != 0);
                for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
                    struct weir_kernels kernels;
                    if (level_init(&kernels, level))
                        check_level(&kernels, &problem);
                }
                free_problem(&problem);
            }
}

/* Whichever value it is, and however many tokens are computed with it. */
static void what_is_not_finite_stays_so_on_every_level(void **state)
{
    static struct problem problem;
    static float y[TOKENS * ROWS];
    (void)state;
    for (size_t type = 0; type < WEIR_COUNT(types); type++) {
        make_problem(&problem, types[type], COLS, 1, true);
        for (size_t at = 0; at < COLS * ROWS; at += 997) {
            const size_t row = at % ROWS;
            put_value(types[type], place_of(&problem, row, at / ROWS),
                      at % 2 == 0 ? INFINITY : NAN);
            for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
                struct weir_kernels kernels;
                if (!level_init(&kernels, level))
                    continue;
                for (size_t n_token = 1; n_token <= TOKENS; n_token += TOKENS - 1) {
                    run(&kernels, &problem, y, 0, ROWS, 0, n_token);
                    for (size_t token = 0; token < n_token; token++)
                        assert_false(isfinite(y[token * ROWS + row]));
                }
            }
            put_value(types[type], place_of(&problem, row, at / ROWS), 1.0f);
        }
        free_problem(&problem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(turned_matrices_match_the_formula_on_every_level),
        cmocka_unit_test(what_is_not_finite_stays_so_on_every_level),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
