/* kernels_finite_test.c - what is not finite stays so through every kernel at every level: a
 * damaged weight or an overflow may not end as a number. */
#include "kernels_test.h"

#include <float.h>

static const uint32_t first_page = 0; /* of a cache that has one */

enum { HALF_NAN = 0x7e00, HALF_INFINITY = 0x7c00, HALF_SIGN = 0x8000 };

static const float bad_values[] = {NAN, -NAN, INFINITY, -INFINITY};
/* At the ends of what is finite, and where f16 ends. */
static const float end_values[] = {FLT_MAX, -FLT_MAX, FLT_MIN, 1e-42f,   -1e-45f,
                                   0.0f,    -0.0f,    65504.f, -65519.f, 1.0f};

/* Run body for every level that this CPU has, the reference first. */
#define FOR_LEVELS(kernels)                                                                        \
    for (size_t level = 0; level < WEIR_COUNT(level_masks); level++)                               \
        if (level_init(&(kernels), level))

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void all_finite_sees_each_value(void **state)
{
    enum { COUNT = 37 };
    float x[COUNT];
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        x[i] = end_values[i % WEIR_COUNT(end_values)];
    for (size_t count = 0; count <= COUNT; count++)
        assert_true(weir_all_finite(x, count));
    for (size_t i = 0; i < COUNT; i++)
        for (size_t bad = 0; bad < WEIR_COUNT(bad_values); bad++) {
            const float before = x[i];
            x[i] = bad_values[bad];
            assert_false(weir_all_finite(x, COUNT));
            assert_true(weir_all_finite(x, i));
            x[i] = before;
        }
    x[0] = float_of(0x7f800001); /* signalling */
    assert_false(weir_all_finite(x, 1));
}

/* The scale of the block that value i of a row is in. */
static float scale_at(enum weir_act act, const uint8_t *row, size_t i)
{
    if (act == WEIR_ACT_Q8_32)
        return ((const struct weir_act_q8_32 *)(const void *)row)[i / 32].scale;
    return ((const struct weir_act_q8_256 *)(const void *)row)[i / 256].scale;
}

static void a_block_of_activations_with_a_bad_value_has_no_scale_on_every_level(void **state)
{
    enum { COLS = 768 };
    float x[COLS];
    uint8_t wanted[COLS * sizeof(float)];
    uint8_t found[COLS * sizeof(float)];
    struct weir_kernels ref;
    struct weir_kernels kernels;
    (void)state;
    weir_kernels_init(&ref, 0);
    fill_floats(x, COLS, FILL_RANDOM);
    for (int act = WEIR_ACT_Q8_32; act < WEIR_ACT_COUNT; act++)
        for (size_t i = 0; i < COLS; i++)
            for (size_t bad = 0; bad < WEIR_COUNT(bad_values); bad++) {
                const size_t bytes = weir_act_row_bytes((enum weir_act)act, COLS);
                const size_t block = act == WEIR_ACT_Q8_32 ? 32 : 256;
                const float before = x[i];
                x[i] = bad_values[bad];
                ref.quantize[act](x, wanted, COLS);
                for (size_t first = 0; first < COLS; first += block)
                    assert_int_equal(isnan(scale_at((enum weir_act)act, wanted, first)) != 0,
                                     first == i / block * block);
                FOR_LEVELS(kernels)
                {
                    kernels.quantize[act](x, found, COLS);
                    assert_memory_equal(found, wanted, bytes);
                }
                x[i] = before;
            }
}

static void a_block_of_activations_keeps_the_ends_of_floats_on_every_level(void **state)
{
    struct weir_kernels ref;
    struct weir_kernels kernels;
    (void)state;
    weir_kernels_init(&ref, 0);
    for (int act = WEIR_ACT_Q8_32; act < WEIR_ACT_COUNT; act++)
        for (size_t end = 0; end < WEIR_COUNT(end_values); end++) {
            uint8_t wanted[256 * sizeof(float)];
            uint8_t found[256 * sizeof(float)];
            float x[256];
            for (size_t i = 0; i < 256; i++)
                x[i] = i % 3 == 0 ? end_values[end] : 0.0f;
            ref.quantize[act](x, wanted, 256);
            const float scale = scale_at((enum weir_act)act, wanted, 0);
            assert_true(isfinite(scale));
            assert_true(scale * 127.0f >= fabsf(x[0]) * 0.99f || fabsf(x[0]) < FLT_MIN);
            FOR_LEVELS(kernels)
            {
                kernels.quantize[act](x, found, 256);
                assert_memory_equal(found, wanted, weir_act_row_bytes((enum weir_act)act, 256));
            }
        }
}

static void rmsnorm_keeps_what_is_not_finite_on_every_level(void **state)
{
    enum { COUNT_MAX = 67 };
    float x[COUNT_MAX];
    float weight[COUNT_MAX];
    float y[COUNT_MAX];
    struct weir_kernels kernels;
    (void)state;
    fill_floats(x, COUNT_MAX, FILL_RANDOM);
    fill_floats(weight, COUNT_MAX, FILL_RANDOM);
    FOR_LEVELS(kernels)
    for (size_t count = 1; count <= COUNT_MAX; count += 3)
        for (size_t i = 0; i < count; i++)
            for (size_t bad = 0; bad < WEIR_COUNT(bad_values); bad++) {
                const float value = x[i];
                const float factor = weight[i];
                assert_true(kernels.rmsnorm(x, weight, y, count, 1e-6f) > 0.0f);
                assert_true(weir_all_finite(y, count));
                x[i] = bad_values[bad];
                assert_false(kernels.rmsnorm(x, weight, y, count, 1e-6f) > 0.0f);
                assert_false(weir_all_finite(y + i, 1));
                x[i] = value;
                weight[i] = bad_values[bad];
                assert_true(kernels.rmsnorm(x, weight, y, count, 1e-6f) > 0.0f);
                assert_false(weir_all_finite(y + i, 1));
                weight[i] = factor;
            }
    /* The largest floats are no overflow: their squares are summed in double. */
    FOR_LEVELS(kernels)
    for (size_t end = 0; end < WEIR_COUNT(end_values); end++) {
        for (size_t i = 0; i < COUNT_MAX; i++)
            x[i] = end_values[end];
        assert_true(kernels.rmsnorm(x, weight, y, COUNT_MAX, 1e-6f) > 0.0f);
        assert_true(weir_all_finite(y, COUNT_MAX));
    }
}

enum { SIGMOID = WEIR_GLU_COUNT, UNITS };

static void run_unit(const struct weir_kernels *kernels, int kind, float *gate, const float *up,
                     size_t count)
{
    if (kind == SIGMOID)
        kernels->sigmoid_mul(gate, up, count);
    else
        kernels->glu[kind](gate, up, count, 7.0f);
}

static void check_unit_keeps(int kind, const struct weir_kernels *kernels, size_t i)
{
    enum { COUNT = 19 };
    for (size_t bad = 0; bad < WEIR_COUNT(bad_values); bad++)
        for (size_t end = 0; end < WEIR_COUNT(end_values); end++)
            for (int is_up = 0; is_up < 2; is_up++) {
                float gate[COUNT] = {0};
                float up[COUNT] = {0};
                gate[i] = is_up ? end_values[end] : bad_values[bad];
                up[i] = is_up ? bad_values[bad] : end_values[end];
                run_unit(kernels, kind, gate, up, COUNT);
                assert_false(weir_all_finite(gate + i, 1));
                gate[i] = 0.0f;
                assert_true(weir_all_finite(gate, COUNT));
            }
}

static void gated_units_keep_what_is_not_finite_on_every_level(void **state)
{
    struct weir_kernels ref;
    struct weir_kernels kernels;
    (void)state;
    weir_kernels_init(&ref, 0);
    FOR_LEVELS(kernels)
    for (int kind = 0; kind < UNITS; kind++)
        for (size_t i = 0; i < 19; i++)
            check_unit_keeps(kind, &kernels, i);
    /* Far from 0 it is the value itself, or nothing, or what the limit makes of it. */
    FOR_LEVELS(kernels)
    for (int kind = 0; kind < WEIR_GLU_COUNT; kind++)
        for (float gate = -FLT_MAX; gate < FLT_MAX; gate += FLT_MAX / 8) {
            float found = gate;
            float wanted = gate;
            const float up = 0.25f;
            kernels.glu[kind](&found, &up, 1, 7.0f);
            ref.glu[kind](&wanted, &up, 1, 7.0f);
            assert_true(fabsf(found - wanted) <= 1e-5f * fabsf(wanted));
        }
}

static void axpy_and_to_f16_keep_what_is_not_finite_on_every_level(void **state)
{
    enum { COUNT = 19 };
    struct weir_kernels kernels;
    (void)state;
    FOR_LEVELS(kernels)
    for (size_t i = 0; i < COUNT; i++)
        for (size_t bad = 0; bad < WEIR_COUNT(bad_values); bad++) {
            float x[COUNT] = {0};
            float y[COUNT] = {0};
            uint16_t halves[COUNT];
            x[i] = bad_values[bad];
            kernels.to_f16(x, halves, COUNT);
            for (size_t at = 0; at < COUNT; at++)
                assert_int_equal((halves[at] & HALF_INFINITY) == HALF_INFINITY, at == i);
            kernels.axpy(y, x, 0.0f, COUNT); /* 0 times it, too */
            assert_false(weir_all_finite(y + i, 1));
            memset(y, 0, sizeof(y));
            x[i] = 0.0f;
            kernels.axpy(y, x, bad_values[bad], COUNT);
            assert_false(weir_all_finite(y + i, 1));
        }
    FOR_LEVELS(kernels)
    {
        static const float x[] = {65504.0f, 65519.9f, 65520.0f, -65520.0f, 3e38f, 6e-8f, 1e-42f};
        static const uint16_t wanted[] = {0x7bff, 0x7bff, 0x7c00, 0xfc00, 0x7c00, 0x0001, 0};
        uint16_t found[WEIR_COUNT(x)];
        kernels.to_f16(x, found, WEIR_COUNT(x));
        assert_memory_equal(found, wanted, sizeof(wanted));
    }
}

static void softcap_keeps_what_is_not_finite_on_every_level(void **state)
{
    enum { COUNT = 37 };
    struct weir_kernels kernels;
    (void)state;
    FOR_LEVELS(kernels)
    for (size_t i = 0; i < COUNT; i++)
        for (size_t bad = 0; bad < WEIR_COUNT(bad_values); bad++) {
            float x[COUNT] = {0.5f, -3e38f, 3e38f};
            kernels.softcap(x, COUNT, 30.0f);
            assert_true(weir_all_finite(x, COUNT));
            x[i] = bad_values[bad];
            kernels.softcap(x, COUNT, 30.0f);
            for (size_t at = 0; at < COUNT; at++)
                assert_true(weir_all_finite(&x[at], 1) == (at != i));
        }
}

static void softmax_keeps_what_is_not_finite(void **state)
{
    enum { COUNT = 9 };
    (void)state;
    for (size_t i = 0; i < COUNT; i++)
        for (size_t bad = 0; bad < WEIR_COUNT(bad_values); bad++) {
            float x[COUNT] = {0.5f, -3.0f, 2.0f, 80.0f, -90.0f, 0.0f, 1.0f, 1.0f, -1e30f};
            weir_softmax(x, COUNT);
            assert_true(weir_all_finite(x, COUNT));
            x[i] = bad_values[bad];
            weir_softmax(x, COUNT);
            for (size_t at = 0; at < COUNT; at++)
                assert_true(isnan(x[at]));
        }
}

/* Two blocks of positions and some more; jobs that see all of them, and one that sees fewer. */
enum { HEAD = 20, POSITIONS = 150, FEWER = 100, JOBS = 3 };

static void attend(const struct weir_kernels *kernels, float *q, const uint16_t *k,
                   const uint16_t *v, float *out)
{
    struct weir_attention jobs[JOBS];
    for (size_t at = 0; at < JOBS; at++)
        jobs[at] = (struct weir_attention){.q = q + at * HEAD,
                                           .k = k,
                                           .v = v,
                                           .pages = &first_page,
                                           .k_row_bytes = HEAD * sizeof(uint16_t),
                                           .v_row_bytes = HEAD * sizeof(uint16_t),
                                           .page_length = POSITIONS,
                                           .d_head = HEAD,
                                           .d_value = HEAD,
                                           .n_position = at == 0 ? FEWER : POSITIONS,
                                           .scale = 0.25f,
                                           .out = out + at * HEAD};
    kernels->attention[WEIR_KV_F16](jobs, JOBS);
}

static void attention_keeps_what_is_not_finite_on_every_level(void **state)
{
    static const size_t positions[] = {0, 7, 15, 63, 64, 99, 100, 127, 128, 149};
    static const uint16_t bad_halves[] = {HALF_NAN, HALF_INFINITY, HALF_SIGN | HALF_INFINITY};
    static uint16_t k[POSITIONS * HEAD], v[POSITIONS * HEAD];
    float q[JOBS * HEAD];
    float whole[JOBS * HEAD];
    float found[JOBS * HEAD];
    struct weir_kernels kernels;
    (void)state;
    fill_floats(q, JOBS * HEAD, FILL_RANDOM);
    for (size_t i = 0; i < POSITIONS * HEAD; i++) {
        k[i] = weir_f32_to_f16(4.0f * fill_value(FILL_RANDOM));
        v[i] = weir_f32_to_f16(fill_value(FILL_RANDOM));
    }
    FOR_LEVELS(kernels)
    {
        attend(&kernels, q, k, v, whole);
        assert_true(weir_all_finite(whole, JOBS * HEAD));
        for (size_t place = 0; place < 2 * WEIR_COUNT(positions); place++)
            for (size_t i = 0; i < HEAD; i += 3)
                for (size_t bad = 0; bad < WEIR_COUNT(bad_halves); bad++) {
                    const size_t position = positions[place / 2];
                    uint16_t *half = (place % 2 == 0 ? k : v) + position * HEAD + i;
                    const uint16_t before = *half;
                    *half = bad_halves[bad];
                    attend(&kernels, q, k, v, found);
                    for (size_t at = 0; at < JOBS; at++)
                        if (at > 0 || position < FEWER)
                            assert_false(weir_all_finite(found + at * HEAD, HEAD));
                        else
                            assert_memory_equal(found, whole, HEAD * sizeof(float));
                    *half = before;
                }
        for (size_t i = 0; i < HEAD; i++)
            for (size_t bad = 0; bad < WEIR_COUNT(bad_values); bad++) {
                const float before = q[HEAD + i];
                q[HEAD + i] = bad_values[bad];
                attend(&kernels, q, k, v, found);
                assert_false(weir_all_finite(found + HEAD, HEAD));
                assert_memory_equal(found, whole, HEAD * sizeof(float));
                q[HEAD + i] = before;
            }
    }
}

/* Every score but the largest is so far below it that float ends: minus infinity, and an error. */
static void a_score_that_overflows_is_no_answer_on_every_level(void **state)
{
    static uint16_t k[POSITIONS * HEAD], v[POSITIONS * HEAD];
    float q[JOBS * HEAD] = {0};
    float out[JOBS * HEAD];
    struct weir_kernels kernels;
    (void)state;
    for (size_t at = 0; at < JOBS; at++)
        q[at * HEAD] = FLT_MAX;
    for (size_t position = 1; position < POSITIONS; position++)
        k[position * HEAD] = weir_f32_to_f16(-65504.0f);
    FOR_LEVELS(kernels)
    {
        attend(&kernels, q, k, v, out);
        for (size_t at = 0; at < JOBS; at++)
            assert_false(weir_all_finite(out + at * HEAD, HEAD));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_finite_sees_each_value),
        cmocka_unit_test(a_block_of_activations_with_a_bad_value_has_no_scale_on_every_level),
        cmocka_unit_test(a_block_of_activations_keeps_the_ends_of_floats_on_every_level),
        cmocka_unit_test(rmsnorm_keeps_what_is_not_finite_on_every_level),
        cmocka_unit_test(gated_units_keep_what_is_not_finite_on_every_level),
        cmocka_unit_test(axpy_and_to_f16_keep_what_is_not_finite_on_every_level),
        cmocka_unit_test(softcap_keeps_what_is_not_finite_on_every_level),
        cmocka_unit_test(softmax_keeps_what_is_not_finite),
        cmocka_unit_test(attention_keeps_what_is_not_finite_on_every_level),
        cmocka_unit_test(a_score_that_overflows_is_no_answer_on_every_level),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
