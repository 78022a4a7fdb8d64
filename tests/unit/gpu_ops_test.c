/* gpu_ops_test.c - the simulated device's operations beside plain formulas. */
#include "encode/encode.h"
#include "gpu_toy.h"
#include "quant/i4.h"

/* Of prompts: a product's f16 are off by 2^-12 on average, and those of a row add up by chance. */
static const double half_bound = 2e-3;

struct rows {
    float *values;
    weir_gpu_address at;
    size_t count;
};

static struct rows put_floats(struct gpu_toy *toy, size_t count)
{
    struct rows rows = {.values = calloc(count, sizeof(float)), .count = count};
    assert_non_null(rows.values);
    gpu_toy_fill(toy, rows.values, count);
    rows.at = gpu_toy_put(toy, rows.values, count * sizeof(float));
    return rows;
}

/* What stands there now; the caller frees it. */
static float *get_floats(struct gpu_toy *toy, weir_gpu_address at, size_t count)
{
    float *values = calloc(count, sizeof(float));
    assert_non_null(values);
    gpu_toy_get(toy, values, at, count * sizeof(float));
    return values;
}

static void expect_near(double found, double wanted, double bound)
{
    if (!(fabs(found - wanted) <= bound))
        fail_msg("%.9g, wanted %.9g within %g", found, wanted, bound);
}

/* ---- products ------------------------------------------------------------------------------- */

enum { COLS = 512, ROWS = 9, N_ROW = 11, STRIDE_X = COLS + 3, STRIDE_Y = ROWS + 2 };

struct weights {
    struct weir_gpu_form form;
    struct weir_gpu_place place;
    float *values; /* [ROWS][COLS]: what they mean */
};

static struct weights put_weights(struct gpu_toy *toy, enum weir_type type)
{
    const size_t row_bytes = weir_quant_row_bytes(type, COLS) + 8;
    uint8_t *data = calloc(ROWS, row_bytes);
    float row[COLS];
    struct weights w = {
        .form = {.type = type, .cols = COLS, .rows = ROWS, .row_bytes = row_bytes},
        .values = calloc(ROWS * COLS, sizeof(float)),
    };
    for (uint32_t index = 0; index < ROWS; index++) {
        gpu_toy_fill(toy, row, COLS);
        weir_encode_row(type, row, NULL, data + index * row_bytes, COLS);
        weir_quant_decode_row(type, data + index * row_bytes, w.values + (size_t)index * COLS,
                              COLS);
    }
    w.place.data = gpu_toy_put(toy, data, ROWS * row_bytes);
    free(data);
    return w;
}

/* I4 in groups of 32, with zero points. */
static struct weights put_codes(struct gpu_toy *toy)
{
    enum { GROUP = 32, GROUPS = COLS / GROUP, ZERO_ROW = GROUPS * WEIR_I4_ZERO_BYTES };
    uint8_t codes[ROWS][COLS / 2];
    float scales[ROWS][GROUPS];
    uint8_t zeros[2][ZERO_ROW];
    struct weights w = {
        .form = {.type = WEIR_TYPE_I4,
                 .cols = COLS,
                 .rows = ROWS,
                 .row_bytes = sizeof(codes[0]),
                 .scales = {.row_bytes = sizeof(scales[0]),
                            .zero_row_bytes = ZERO_ROW,
                            .group_rows = 1,
                            .group_cols = GROUP,
                            .type = WEIR_SCALE_F32}},
        .values = calloc(ROWS * COLS, sizeof(float)),
    };
    for (size_t at = 0; at < sizeof(codes); at++)
        ((uint8_t *)codes)[at] = (uint8_t)weir_random_next(&toy->random);
    for (size_t at = 0; at < sizeof(zeros); at++)
        ((uint8_t *)zeros)[at] = (uint8_t)weir_random_next(&toy->random);
    gpu_toy_fill(toy, scales[0], ROWS * GROUPS);
    for (uint32_t row = 0; row < ROWS; row++)
        for (uint32_t col = 0; col < COLS; col++) {
            const int code = codes[row][col / 2] >> 4 * (col % 2) & 15;
            const uint8_t *group = zeros[row / 8] + col / GROUP * WEIR_I4_ZERO_BYTES;
            const int zero = group[row % 8 / 2] >> 4 * (row % 2) & 15;
            w.values[row * COLS + col] = scales[row][col / GROUP] * (float)(code - zero);
        }
    w.place.data = gpu_toy_put(toy, codes, sizeof(codes));
    w.place.scales = gpu_toy_put(toy, scales, sizeof(scales));
    w.place.zeros = gpu_toy_put(toy, zeros, sizeof(zeros));
    return w;
}

/* W x of one row, and the sum of its magnitudes. */
static double dot_of(const struct weights *w, uint32_t row, const float *x, double *size)
{
    double sum = 0.0;
    *size = 0.0;
    for (uint32_t col = 0; col < COLS; col++) {
        const double product = (double)w->values[(size_t)row * COLS + col] * (double)x[col];
        sum += product;
        *size += fabs(product);
    }
    return sum;
}

/* How far a result may be from the formula, by what it is made of: 8-bit values of x have 127 steps
 * of the largest, f16 2^11. */
static double bound_of(const struct weir_gpu_form *form, enum weir_gpu_way way)
{
    if (form->type == WEIR_TYPE_F32)
        return 1e-6;
    if (way == WEIR_GPU_PROMPT)
        return half_bound;
    const bool is_plain = form->type == WEIR_TYPE_F16 || form->type == WEIR_TYPE_BF16 ||
                          form->type >= WEIR_TYPE_BLOCK_COUNT;
    return is_plain ? 1e-6 : 1e-2;
}

static void expect_matmul(struct gpu_toy *toy, const struct weights *w, enum weir_gpu_way way,
                          bool has_all)
{
    const struct rows x = put_floats(toy, N_ROW * STRIDE_X);
    const struct rows y = put_floats(toy, N_ROW * STRIDE_Y);
    const struct rows bias = put_floats(toy, ROWS);
    struct weir_gpu_matmul job = {
        .w = {.form = w->form,
              .data = w->place.data,
              .scales = w->place.scales,
              .zeros = w->place.zeros,
              .bias = has_all ? bias.at : 0,
              .scale = has_all ? 0.5f : 1.0f},
        .x = x.at,
        .y = y.at,
        .x_stride = STRIDE_X,
        .y_stride = STRIDE_Y,
        .n_row = N_ROW,
        .way = way,
        .adds = has_all,
    };
    weir_gpu_matmul(toy->gpu, &job);
    float *found = get_floats(toy, y.at, y.count);
    for (uint32_t row = 0; row < N_ROW; row++)
        for (uint32_t out = 0; out < STRIDE_Y; out++) {
            const size_t at = (size_t)row * STRIDE_Y + out;
            double size;
            if (out >= ROWS) {
                assert_true(found[at] == y.values[at]); /* between rows nothing is touched */
                continue;
            }
            double wanted = dot_of(w, out, x.values + (size_t)row * STRIDE_X, &size);
            if (has_all)
                wanted = 0.5 * wanted + (double)bias.values[out] + (double)y.values[at];
            expect_near((double)found[at], wanted, bound_of(&w->form, way) * (size + 1.0));
        }
    /* A row has the same bits alone. */
    weir_gpu_copy_in(toy->gpu, WEIR_GPU_COMPUTE, y.at, y.values, y.count * sizeof(float));
    for (uint32_t row = 0; row < N_ROW; row++) {
        struct weir_gpu_matmul one = job;
        one.n_row = 1;
        one.x += (uint64_t)row * STRIDE_X * sizeof(float);
        one.y += (uint64_t)row * STRIDE_Y * sizeof(float);
        weir_gpu_matmul(toy->gpu, &one);
    }
    float *alone = get_floats(toy, y.at, y.count);
    assert_memory_equal(alone, found, y.count * sizeof(float));
    free(alone);
    free(found);
    free(x.values);
    free(y.values);
    free(bias.values);
}

static void products_of_every_format(void **state)
{
    (void)state;
    for (int type = 0; type <= WEIR_TYPE_BLOCK_COUNT; type++) {
        struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){0});
        struct weights w = type == WEIR_TYPE_BLOCK_COUNT ? put_codes(&toy)
                                                         : put_weights(&toy, (enum weir_type)type);
        expect_matmul(&toy, &w, WEIR_GPU_DECODE, false);
        expect_matmul(&toy, &w, WEIR_GPU_DECODE, true);
        expect_matmul(&toy, &w, WEIR_GPU_PROMPT, false);
        expect_matmul(&toy, &w, WEIR_GPU_PROMPT, true);
        free(w.values);
        weir_gpu_close(&toy.gpu);
    }
}

/* Values of a row that are too large for f16 are none too large for a product. */
static void prompts_may_have_large_values(void **state)
{
    (void)state;
    struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){0});
    const struct weights w = put_weights(&toy, WEIR_TYPE_F16);
    struct rows x = put_floats(&toy, COLS);
    for (uint32_t col = 0; col < COLS; col++)
        x.values[col] *= 1e9f;
    x.values[5] = 0.0f;
    weir_gpu_copy_in(toy.gpu, WEIR_GPU_COMPUTE, x.at, x.values, COLS * sizeof(float));
    const weir_gpu_address y = gpu_toy_take(&toy, ROWS * sizeof(float));
    const struct weir_gpu_matmul job = {.w = {.form = w.form, .data = w.place.data, .scale = 1.0f},
                                        .x = x.at,
                                        .y = y,
                                        .x_stride = COLS,
                                        .y_stride = ROWS,
                                        .n_row = 1,
                                        .way = WEIR_GPU_PROMPT};
    weir_gpu_matmul(toy.gpu, &job);
    float *found = get_floats(&toy, y, ROWS);
    for (uint32_t out = 0; out < ROWS; out++) {
        double size;
        const double wanted = dot_of(&w, out, x.values, &size);
        expect_near((double)found[out], wanted, half_bound * size);
    }
    free(found);
    x.values[7] = INFINITY; /* what is not finite stays so */
    weir_gpu_copy_in(toy.gpu, WEIR_GPU_COMPUTE, x.at, x.values, COLS * sizeof(float));
    weir_gpu_matmul(toy.gpu, &job);
    found = get_floats(&toy, y, ROWS);
    for (uint32_t out = 0; out < ROWS; out++)
        assert_false(isfinite(found[out]));
    free(found);
    free(x.values);
    free(w.values);
    weir_gpu_close(&toy.gpu);
}

static void expect_experts(struct gpu_toy *toy, enum weir_gpu_way way, bool by_row, bool has_all)
{
    enum { EXPERTS = 5, USED = 2, MISSING = 3 };
    static const uint32_t chosen[N_ROW][USED] = {{0, 1}, {1, 4}, {2, 3}, {3, 4}, {0, 4}, {1, 2},
                                                 {0, 3}, {0, 2}, {1, 3}, {2, 4}, {0, 1}};
    struct weights w[EXPERTS];
    struct weir_gpu_place places[EXPERTS] = {0};
    for (int id = 0; id < EXPERTS; id++) {
        w[id] = put_weights(toy, WEIR_TYPE_Q8_0);
        if (id != MISSING)
            places[id] = w[id].place;
    }
    const struct rows x = put_floats(toy, N_ROW * USED * COLS);
    const struct rows y = put_floats(toy, N_ROW * USED * ROWS);
    const struct rows bias = put_floats(toy, EXPERTS * ROWS);
    const struct rows scale = put_floats(toy, EXPERTS);
    const struct weir_gpu_experts job = {
        .form = w[0].form,
        .table = gpu_toy_put(toy, places, sizeof(places)),
        .chosen = gpu_toy_put(toy, chosen, sizeof(chosen)),
        .bias = has_all ? bias.at : 0,
        .scale = has_all ? scale.at : 0,
        .x = x.at,
        .y = y.at,
        .x_stride = COLS,
        .y_stride = ROWS,
        .x_is_by_row = by_row,
        .n_row = N_ROW,
        .n_used = USED,
        .n_expert = EXPERTS,
        .way = way,
    };
    weir_gpu_experts(toy->gpu, &job);
    float *found = get_floats(toy, y.at, y.count);
    for (uint32_t at = 0; at < N_ROW * USED; at++) {
        const uint32_t id = chosen[at / USED][at % USED];
        const float *from = x.values + (size_t)(by_row ? at / USED : at) * COLS;
        for (uint32_t out = 0; out < ROWS; out++) {
            double size;
            double wanted = dot_of(&w[id], out, from, &size);
            if (has_all)
                wanted = wanted * (double)scale.values[id] + (double)bias.values[id * ROWS + out];
            if (id == MISSING)
                assert_true(found[at * ROWS + out] == y.values[at * ROWS + out]);
            else
                expect_near((double)found[at * ROWS + out], wanted, 1e-2 * (size + 1.0));
        }
    }
    for (int id = 0; id < EXPERTS; id++)
        free(w[id].values);
    free(found);
    free(x.values);
    free(y.values);
    free(bias.values);
    free(scale.values);
}

static void experts_that_are_there(void **state)
{
    (void)state;
    struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){0});
    expect_experts(&toy, WEIR_GPU_DECODE, true, false);
    expect_experts(&toy, WEIR_GPU_DECODE, false, true);
    expect_experts(&toy, WEIR_GPU_PROMPT, true, true);
    expect_experts(&toy, WEIR_GPU_PROMPT, false, false);
    weir_gpu_close(&toy.gpu);
}

static void embeddings(void **state)
{
    (void)state;
    static const uint32_t ids[] = {3, 0, ROWS - 1};
    struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){0});
    for (int is_codes = 0; is_codes < 2; is_codes++) {
        const struct weights w = is_codes ? put_codes(&toy) : put_weights(&toy, WEIR_TYPE_Q6_K);
        const struct weir_gpu_embed job = {
            .table = {.form = w.form,
                      .data = w.place.data,
                      .scales = w.place.scales,
                      .zeros = w.place.zeros,
                      .scale = 1.0f},
            .ids = gpu_toy_put(&toy, ids, sizeof(ids)),
            .y = gpu_toy_take(&toy, 3 * COLS * sizeof(float)),
            .y_stride = COLS,
            .n_row = 3,
            .scale = 3.0f,
        };
        weir_gpu_embed(toy.gpu, &job);
        float *found = get_floats(&toy, job.y, 3 * COLS);
        for (uint32_t row = 0; row < 3; row++)
            for (uint32_t col = 0; col < COLS; col++)
                expect_near((double)found[row * COLS + col],
                            3.0 * (double)w.values[ids[row] * COLS + col], 1e-5);
        free(found);
        free(w.values);
    }
    weir_gpu_close(&toy.gpu);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_of_every_format),
        cmocka_unit_test(prompts_may_have_large_values),
        cmocka_unit_test(experts_that_are_there),
        cmocka_unit_test(embeddings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
