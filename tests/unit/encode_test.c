/* encode_test.c - floats to blocks: errors, weights, levels, and who asks at once. */
#include "encode/encode.h"

#include <float.h>
#include <pthread.h>

#include "encode/blocks.h"
#include "pace.h"
#include "quant_test.h"

enum { ROWS = IS_SANITIZED ? 2 : 8, THREADS = 4 };

static const char *name_of(enum weir_type type)
{
    return weir_quant_info(type)->name;
}

static bool has_blocks(enum weir_type type)
{
    return weir_encode_can(type) && weir_quant_info(type)->block_len > 1;
}

enum shape { NORMAL, HEAVY, EQUAL, SHAPE_COUNT };

/* Heavy: a normal value over the root of a mean of a few squares of others, Student's t. */
static void fill_row(float *x, enum shape shape)
{
    const double same = weir_random_unit(&test_seed) + 0.5;
    for (int i = 0; i < ROW; i++) {
        double value = 0.0;
        double squares = 0.0;
        for (int part = 0; part < 12; part++)
            value += weir_random_unit(&test_seed) - 0.5;
        for (int part = 0; part < 4; part++) {
            const double other = weir_random_unit(&test_seed) + weir_random_unit(&test_seed) - 1.0;
            squares += 6.0 * other * other;
        }
        x[i] = (float)(0.02 * (shape == EQUAL   ? same
                               : shape == HEAVY ? value / sqrt(squares / 4.0 + 0.02)
                                                : value));
    }
}

/* Sum of the squared errors under weights (NULL: 1), by the decoder. */
static double error_of(enum weir_type type, const uint8_t *row, const float *x,
                       const float *weights)
{
    static float back[ROW];
    double sum = 0.0;
    weir_quant_decode_row(type, row, back, ROW);
    for (int i = 0; i < ROW; i++) {
        const double miss = (double)back[i] - (double)x[i];
        assert_true(isfinite(back[i]));
        sum += (weights == NULL ? 1.0 : (double)weights[i]) * miss * miss;
    }
    return sum;
}

static double square_of(const float *x, const float *weights)
{
    double sum = 0.0;
    for (int i = 0; i < ROW; i++)
        sum += (weights == NULL ? 1.0 : (double)weights[i]) * (double)x[i] * (double)x[i];
    return sum;
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* Which share of the square of normal values a format loses, with a tenth to spare: as measured. No
 * code of b bits a value loses less than 2^(-2 b) (Shannon 1959). */
static double share_of(enum weir_type type)
{
    static const double shares[WEIR_TYPE_BLOCK_COUNT] = {
        [WEIR_TYPE_Q8_0] = 3.3e-5,   [WEIR_TYPE_Q4_0] = 7.4e-3,  [WEIR_TYPE_Q4_1] = 5.5e-3,
        [WEIR_TYPE_Q5_0] = 1.8e-3,   [WEIR_TYPE_Q5_1] = 1.3e-3,  [WEIR_TYPE_IQ4_NL] = 6.1e-3,
        [WEIR_TYPE_MXFP4] = 1.4e-2,  [WEIR_TYPE_Q2_K] = 7.8e-2,  [WEIR_TYPE_Q3_K] = 2.3e-2,
        [WEIR_TYPE_Q4_K] = 5.5e-3,   [WEIR_TYPE_Q5_K] = 1.4e-3,  [WEIR_TYPE_Q6_K] = 3.3e-4,
        [WEIR_TYPE_IQ4_XS] = 6.2e-3, [WEIR_TYPE_IQ1_S] = 0.27,   [WEIR_TYPE_IQ1_M] = 0.23,
        [WEIR_TYPE_IQ2_XXS] = 0.136, [WEIR_TYPE_IQ2_XS] = 0.10,  [WEIR_TYPE_IQ2_S] = 0.068,
        [WEIR_TYPE_IQ3_XXS] = 0.036, [WEIR_TYPE_IQ3_S] = 0.019,  [WEIR_TYPE_TQ1_0] = 0.21,
        [WEIR_TYPE_TQ2_0] = 0.21,    [WEIR_TYPE_NVFP4] = 9.0e-3, [WEIR_TYPE_Q1_0] = 0.40,
        [WEIR_TYPE_Q2_0] = 0.157,
    };
    return shares[type];
}

static void rows_lose_no_more_than_their_formats_share(void **state)
{
    (void)state;
    /* Heavy tails lose more; for equal values a codebook may have no entry of equal steps. */
    static const double spare[SHAPE_COUNT] = {1.0, 2.0, 1.5};
    static float x[ROW];
    static uint8_t row[ROW * sizeof(float)];
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++)
        for (int shape = 0; shape < SHAPE_COUNT && has_blocks((enum weir_type)at); shape++) {
            const enum weir_type type = (enum weir_type)at;
            double error = 0.0;
            double all = 0.0;
            for (int round = 0; round < ROWS; round++) {
                fill_row(x, (enum shape)shape);
                weir_encode_row(type, x, NULL, row, ROW);
                error += error_of(type, row, x, NULL);
                all += square_of(x, NULL);
            }
            printf("%-8s shape %d: share %.5f of %.5f\n", name_of(type), shape, error / all,
                   spare[shape] * share_of(type));
            assert_true(error <= spare[shape] * share_of(type) * all);
        }
}

/* A format with one even ladder of steps for each sub-block. */
struct plain {
    enum weir_type type;
    int run;        /* values under one scale */
    int low, high;  /* steps */
    int scale_end;  /* scales are multiples of 1/scale_end of the largest; 0: halves */
    bool has_ends;  /* steps begin at the least value, which is stored alike */
    bool from_zero; /* at 0 where that is less */
};

/* What the plain rule would lose: the extreme at the longer end, or the range in equal steps. */
static double plain_error(const struct plain *plain, const float *x, int count)
{
    double scales[16] = {0};
    double offsets[16] = {0};
    double sum = 0.0;
    double most[2] = {0};
    for (int run = 0; run < count / plain->run; run++) {
        const float *at = x + run * plain->run;
        double least = (double)at[0];
        double greatest = (double)at[0];
        for (int i = 0; i < plain->run; i++) {
            least = fmin(least, (double)at[i]);
            greatest = fmax(greatest, (double)at[i]);
        }
        const double extreme = -least > greatest ? least : greatest;
        least = plain->from_zero ? fmin(least, 0.0) : least;
        scales[run] = plain->has_ends ? (greatest - least) / plain->high : extreme / plain->low;
        offsets[run] = plain->has_ends ? least : 0.0;
        most[0] = fmax(most[0], fabs(scales[run]));
        most[1] = fmax(most[1], -offsets[run]);
    }
    for (int i = 0; i < count; i++) {
        double scale = scales[i / plain->run];
        double offset = offsets[i / plain->run];
        if (plain->scale_end > 0) {
            scale = rint(scale / most[0] * plain->scale_end) * most[0] / plain->scale_end;
            offset = most[1] == 0.0
                         ? 0.0
                         : rint(offset / most[1] * plain->scale_end) * most[1] / plain->scale_end;
        }
        const double step =
            scale == 0.0
                ? 0.0
                : fmin(fmax(rint(((double)x[i] - offset) / scale), plain->low), plain->high);
        const double miss = scale * step + offset - (double)x[i];
        sum += miss * miss;
    }
    return sum;
}

static void rows_lose_less_than_under_the_plain_rule(void **state)
{
    (void)state;
    static const struct plain plains[] = {
        {WEIR_TYPE_Q4_0, 32, -8, 7, 0, false, false},
        {WEIR_TYPE_Q5_0, 32, -16, 15, 0, false, false},
        {WEIR_TYPE_Q4_1, 32, 0, 15, 0, true, false},
        {WEIR_TYPE_Q5_1, 32, 0, 31, 0, true, false},
        {WEIR_TYPE_Q2_0, 64, -1, 2, 0, false, false},
        {WEIR_TYPE_Q2_K, 16, 0, 3, 15, true, true},
        {WEIR_TYPE_Q3_K, 16, -4, 3, 31, false, false},
        {WEIR_TYPE_Q4_K, 32, 0, 15, 63, true, true},
        {WEIR_TYPE_Q5_K, 32, 0, 31, 63, true, true},
        {WEIR_TYPE_Q6_K, 16, -32, 31, 127, false, false},
    };
    static float x[ROW];
    static uint8_t row[ROW * sizeof(float)];
    for (size_t at = 0; at < WEIR_COUNT(plains); at++)
        for (int shape = NORMAL; shape <= HEAVY; shape++) {
            const int block_len = (int)weir_quant_info(plains[at].type)->block_len;
            double ours = 0.0;
            double plain = 0.0;
            for (int round = 0; round < ROWS; round++) {
                fill_row(x, (enum shape)shape);
                weir_encode_row(plains[at].type, x, NULL, row, ROW);
                ours += error_of(plains[at].type, row, x, NULL);
                for (int from = 0; from < ROW; from += block_len)
                    plain += plain_error(&plains[at], x + from, block_len);
            }
            printf("%-5s shape %d: %.3f of the plain rule's\n", name_of(plains[at].type), shape,
                   ours / plain);
            assert_true(ours < 0.99 * plain);
        }
}

/* What a format holds exactly stays as it is: a file may come from a quantized one. */
static void values_on_the_steps_of_a_format_stay(void **state)
{
    (void)state;
    static const struct plain plains[] = {
        {WEIR_TYPE_Q8_0, 32, -127, 127, 0, false, false},
        {WEIR_TYPE_Q4_0, 32, -8, 7, 0, false, false},
        {WEIR_TYPE_Q5_0, 32, -16, 15, 0, false, false},
        {WEIR_TYPE_Q2_0, 64, -1, 2, 0, false, false},
        {WEIR_TYPE_TQ1_0, 256, -1, 1, 0, false, false},
        {WEIR_TYPE_TQ2_0, 256, -1, 1, 0, false, false},
    };
    static float x[ROW];
    static float back[ROW];
    static uint8_t row[ROW * sizeof(float)];
    for (size_t at = 0; at < WEIR_COUNT(plains); at++) {
        const struct plain *plain = &plains[at];
        const unsigned count = (unsigned)(plain->high - plain->low + 1);
        for (int i = 0; i < ROW; i++) {
            const float d = weir_f16_to_f32(weir_f32_to_f16(0.01f * (float)(1 + i / plain->run)));
            const int step = plain->low + (int)(weir_random_next(&test_seed) % count);
            x[i] = d * (float)(i % plain->run == 0 ? plain->low : step);
        }
        weir_encode_row(plain->type, x, NULL, row, ROW);
        weir_quant_decode_row(plain->type, row, back, ROW);
        for (int i = 0; i < ROW; i++)
            if (back[i] != x[i])
                fail_msg("%s: %.9g became %.9g", name_of(plain->type), (double)x[i],
                         (double)back[i]);
    }
}

/* ---- weights --------------------------------------------------------------------------------- */

/* Every seventh column counts a hundred times as much. */
static void what_counts_more_is_nearer(void **state)
{
    (void)state;
    static float x[ROW];
    static float weights[ROW];
    static float only[ROW];
    static uint8_t plain[ROW * sizeof(float)];
    static uint8_t weighed[ROW * sizeof(float)];
    for (int i = 0; i < ROW; i++) {
        only[i] = i % 7 == 0 ? 1.0f : 0.0f;
        weights[i] = i % 7 == 0 ? 100.0f : 1.0f;
    }
    for (int at = WEIR_TYPE_Q4_0; at < WEIR_TYPE_BLOCK_COUNT; at++) {
        const enum weir_type type = (enum weir_type)at;
        double of_important[2] = {0};
        double of_all[2] = {0};
        for (int round = 0; round < ROWS; round++) {
            fill_row(x, NORMAL);
            weir_encode_row(type, x, NULL, plain, ROW);
            weir_encode_row(type, x, weights, weighed, ROW);
            of_important[0] += error_of(type, plain, x, only);
            of_important[1] += error_of(type, weighed, x, only);
            of_all[0] += error_of(type, plain, x, weights);
            of_all[1] += error_of(type, weighed, x, weights);
        }
        printf("%-8s important columns lose %.3f of before\n", name_of(type),
               of_important[1] / of_important[0]);
        assert_true(of_important[1] < 0.98 * of_important[0]);
        assert_true(of_all[1] < of_all[0]);
    }
}

/* Least squares alone decodes to less: by the share that is lost, a fifth of IQ1_S. Formats that
 * are not named have scales of 8 bits, lose next to nothing, or are for models of three values. */
static void decoded_values_are_as_large_as_they_were(void **state)
{
    (void)state;
    static const enum weir_type types[] = {
        WEIR_TYPE_Q4_0,  WEIR_TYPE_Q4_1,    WEIR_TYPE_Q5_0,   WEIR_TYPE_Q5_1,  WEIR_TYPE_IQ4_NL,
        WEIR_TYPE_Q2_K,  WEIR_TYPE_Q3_K,    WEIR_TYPE_Q4_K,   WEIR_TYPE_Q5_K,  WEIR_TYPE_IQ4_XS,
        WEIR_TYPE_IQ1_S, WEIR_TYPE_IQ1_M,   WEIR_TYPE_IQ2_XS, WEIR_TYPE_IQ2_S, WEIR_TYPE_IQ2_XXS,
        WEIR_TYPE_IQ3_S, WEIR_TYPE_IQ3_XXS, WEIR_TYPE_Q2_0,
    };
    static float x[ROW];
    static float back[ROW];
    static float weights[ROW];
    static uint8_t row[ROW * sizeof(float)];
    for (int i = 0; i < ROW; i++)
        weights[i] = (float)weir_random_unit(&test_seed);
    for (size_t at = 0; at < WEIR_COUNT(types); at++)
        for (int weighed = 0; weighed < 2; weighed++) {
            double product = 0.0;
            double square = 0.0;
            for (int round = 0; round < ROWS; round++) {
                fill_row(x, NORMAL);
                weir_encode_row(types[at], x, weighed ? weights : NULL, row, ROW);
                weir_quant_decode_row(types[at], row, back, ROW);
                for (int i = 0; i < ROW; i++) {
                    const double w = weighed ? (double)weights[i] : 1.0;
                    product += w * (double)x[i] * (double)back[i];
                    square += w * (double)x[i] * (double)x[i];
                }
            }
            if (fabs(product / square - 1.0) > 1e-3)
                fail_msg("%s: %.5f of their size", name_of(types[at]), product / square);
        }
}

static void importance_counts_half(void **state)
{
    (void)state;
    float weights[4] = {0.0f, 8.0f, 4.0f, 0.0f};
    float large[2] = {FLT_MAX, FLT_MAX};
    weir_encode_temper(weights, 4);
    assert_float_equal(weights[0], 1.5f, 0.0f);
    assert_float_equal(weights[1], 5.5f, 0.0f);
    assert_float_equal(weights[2], 3.5f, 0.0f);
    assert_float_equal(weights[3], 1.5f, 0.0f);
    weir_encode_temper(large, 2);
    assert_float_equal(large[0], FLT_MAX, 0.0f);
}

/* Columns that count nothing, or by something that is no count, still get values of their size. */
static void odd_weights_do_no_harm(void **state)
{
    (void)state;
    static const float odd[] = {0.0f, -1.0f, NAN, INFINITY, FLT_MAX, 1e-44f, 1e-30f, 1e30f};
    static float x[ROW];
    static float weights[ROW];
    static uint8_t row[ROW * sizeof(float)];
    fill_row(x, NORMAL);
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++)
        for (size_t kind = 0; kind <= WEIR_COUNT(odd); kind++) {
            const enum weir_type type = (enum weir_type)at;
            for (size_t i = 0; i < ROW; i++)
                weights[i] = odd[kind < WEIR_COUNT(odd) ? kind : i % WEIR_COUNT(odd)];
            weir_encode_row(type, x, weights, row, ROW);
            const double share = error_of(type, row, x, NULL) / square_of(x, NULL);
            if (kind < WEIR_COUNT(odd) && has_blocks(type) && share > 1.5 * share_of(type))
                fail_msg("%s, weights of %g: share %.5f", name_of(type), (double)odd[kind], share);
            assert_true(share < 3.0);
        }
}

/* ---- bits ------------------------------------------------------------------------------------ */

static void levels_give_the_same_bits(void **state)
{
    (void)state;
    static float x[ROW];
    static float weights[ROW];
    static uint8_t wanted[ROW * sizeof(float)];
    static uint8_t found[ROW * sizeof(float)];
    struct weir_fit reference;
    weir_fit_init_ref(&reference);
    printf("%s beside %s\n", reference.isa, weir_encode_fit()->isa);
    for (int i = 0; i < ROW; i++)
        weights[i] = (float)weir_random_unit(&test_seed);
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++)
        for (int round = 0; round < 2 * SHAPE_COUNT; round++) {
            const enum weir_type type = (enum weir_type)at;
            const float *of_columns = round < SHAPE_COUNT ? NULL : weights;
            fill_row(x, (enum shape)(round % SHAPE_COUNT));
            weir_encode_row_at(&reference, type, x, of_columns, wanted, ROW);
            weir_encode_row(type, x, of_columns, found, ROW);
            if (memcmp(found, wanted, weir_quant_row_bytes(type, ROW)) != 0)
                fail_msg("%s: bytes differ between levels", name_of(type));
        }
}

/* A block depends on its own values alone, wherever rows begin and end. */
static void blocks_depend_on_their_values_alone(void **state)
{
    (void)state;
    static float x[ROW];
    static uint8_t row[ROW * sizeof(float)];
    static uint8_t block[256 * sizeof(float)];
    fill_row(x, NORMAL);
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++) {
        const struct weir_type_info *info = weir_quant_info((enum weir_type)at);
        weir_encode_row((enum weir_type)at, x, NULL, row, ROW);
        for (size_t from = 0; from < ROW; from += info->block_len) {
            weir_encode_row((enum weir_type)at, x + from, NULL, block, info->block_len);
            assert_memory_equal(block, row + from / info->block_len * info->block_bytes,
                                info->block_bytes);
        }
    }
}

static float shared_row[ROW];

static void *encode_all(void *argument)
{
    uint8_t *rows = argument;
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++)
        weir_encode_row((enum weir_type)at, shared_row, NULL, rows + at * ROW * 4, ROW);
    return NULL;
}

/* The first to ask for a codebook makes it while others wait. */
static void threads_may_ask_at_once(void **state)
{
    (void)state;
    static uint8_t rows[THREADS][WEIR_TYPE_BLOCK_COUNT * ROW * 4];
    pthread_t threads[THREADS];
    fill_row(shared_row, NORMAL);
    for (int at = 0; at < THREADS; at++)
        assert_int_equal(pthread_create(&threads[at], NULL, encode_all, rows[at]), 0);
    for (int at = 0; at < THREADS; at++)
        pthread_join(threads[at], NULL);
    for (int at = 1; at < THREADS; at++)
        assert_memory_equal(rows[at], rows[0], sizeof(rows[0]));
}

static void targets_are_what_files_can_have(void **state)
{
    (void)state;
    for (int at = 0; at < WEIR_TYPE_COUNT; at++) {
        const enum weir_type type = (enum weir_type)at;
        assert_int_equal(weir_encode_can(type), weir_quant_info(type)->ggml_id != WEIR_GGML_NONE);
        assert_true(weir_encode_can(type) || !weir_encode_wants_weights(type));
    }
    assert_true(weir_encode_wants_weights(WEIR_TYPE_IQ2_XXS));
    assert_false(weir_encode_wants_weights(WEIR_TYPE_Q4_K));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_may_ask_at_once), /* first, while no codebook is made */
        cmocka_unit_test(rows_lose_no_more_than_their_formats_share),
        cmocka_unit_test(rows_lose_less_than_under_the_plain_rule),
        cmocka_unit_test(values_on_the_steps_of_a_format_stay),
        cmocka_unit_test(what_counts_more_is_nearer),
        cmocka_unit_test(decoded_values_are_as_large_as_they_were),
        cmocka_unit_test(importance_counts_half),
        cmocka_unit_test(odd_weights_do_no_harm),
        cmocka_unit_test(levels_give_the_same_bits),
        cmocka_unit_test(blocks_depend_on_their_values_alone),
        cmocka_unit_test(targets_are_what_files_can_have),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
