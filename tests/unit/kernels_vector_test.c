/* kernels_vector_test.c - activations, norms, SwiGLU, attention and f16 at every level against the
 * reference, on guard pages. */
#include "kernels_test.h"

enum { COUNT_MAX = 520 };

static const size_t counts[] = {1, 2, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 100, 256, 513};

/* Run body for every level beyond the reference that this CPU has. */
#define FOR_LEVELS(kernels)                                                                        \
    for (size_t level = 1; level < WEIR_COUNT(level_masks); level++)                               \
        if (level_init(&(kernels), level))

static void check_close(const char *what, const char *isa, const float *found, const float *wanted,
                        size_t count, double relative, double absolute)
{
    for (size_t i = 0; i < count; i++) {
        const double limit = relative * fabs((double)wanted[i]) + absolute;
        if (!(fabs((double)found[i] - (double)wanted[i]) <= limit))
            fail_msg("%s at %s: value %zu of %zu: wanted %.9g, found %.9g", what, isa, i, count,
                     (double)wanted[i], (double)found[i]);
    }
}

static void activations_have_the_reference_bits(void **state)
{
    (void)state;
    static const size_t widths[] = {256, 512, 1280};
    struct weir_kernels ref;
    struct weir_kernels kernels;
    weir_kernels_init(&ref, 0);
    for (size_t width = 0; width < WEIR_COUNT(widths); width++)
        for (int act = WEIR_ACT_Q8_32; act < WEIR_ACT_COUNT; act++)
            for (int fill = 0; fill < FILL_COUNT + 3; fill++) {
                const size_t cols = widths[width];
                const size_t bytes = weir_act_row_bytes((enum weir_act)act, cols);
                struct guarded x = guarded_alloc(cols * sizeof(float), true);
                struct guarded wanted = guarded_alloc(bytes, true);
                struct guarded found = guarded_alloc(bytes, true);
                float *values = (float *)(void *)x.start;
                fill_floats(values, cols, (enum fill)(fill % FILL_COUNT));
                if (fill == FILL_COUNT) /* zeros, infinities and not-a-numbers have bits too */
                    memset(values, 0, cols * sizeof(*values));
                if (fill == FILL_COUNT + 1)
                    values[3] = INFINITY, values[40] = NAN, values[77] = 1e-42f;
                for (size_t i = 0; fill == FILL_COUNT + 2 && i < cols; i++) /* halves of a step */
                    values[i] = i % 32 == 0 ? 127.0f : (float)(i * 5 % 253) - 126.5f;
                ref.quantize[act](values, wanted.start, cols);
                FOR_LEVELS(kernels)
                {
                    memset(found.start, 0x7f, bytes);
                    kernels.quantize[act](values, found.start, cols);
                    assert_memory_equal(found.start, wanted.start, bytes);
                }
                guarded_free(&x);
                guarded_free(&wanted);
                guarded_free(&found);
            }
}

static void activations_are_the_nearest_steps(void **state)
{
    (void)state;
    struct weir_kernels ref;
    float x[32];
    struct weir_act_q8_32 act;
    weir_kernels_init(&ref, 0);
    fill_floats(x, 32, FILL_RANDOM);
    ref.quantize[WEIR_ACT_Q8_32](x, &act, 32);
    int sum = 0;
    for (int i = 0; i < 32; i++) {
        assert_true(fabs((double)x[i] - (double)act.scale * act.q[i]) <=
                    0.5001 * (double)act.scale);
        sum += act.q[i];
    }
    assert_true(fabs((double)act.sum - (double)act.scale * sum) <= 1e-6);
    assert_int_equal(act.offset, -128 * sum);
}

static void rmsnorm_matches_on_every_level(void **state)
{
    (void)state;
    struct weir_kernels ref;
    struct weir_kernels kernels;
    weir_kernels_init(&ref, 0);
    for (size_t size = 0; size < WEIR_COUNT(counts); size++)
        for (int fill = 0; fill < FILL_COUNT; fill++) {
            const size_t count = counts[size];
            struct guarded x = guarded_alloc(count * sizeof(float), true);
            struct guarded weight = guarded_alloc(count * sizeof(float), true);
            struct guarded y = guarded_alloc(count * sizeof(float), true);
            float wanted[COUNT_MAX];
            fill_floats((float *)(void *)x.start, count, (enum fill)fill);
            fill_floats((float *)(void *)weight.start, count, FILL_RANDOM);
            ref.rmsnorm((float *)(void *)x.start, (float *)(void *)weight.start, wanted, count,
                        1e-6f);
            FOR_LEVELS(kernels)
            {
                kernels.rmsnorm((float *)(void *)x.start, (float *)(void *)weight.start,
                                (float *)(void *)y.start, count, 1e-6f);
                check_close("rmsnorm", kernels.isa, (float *)(void *)y.start, wanted, count, 1e-5,
                            1e-12);
            }
            guarded_free(&x);
            guarded_free(&weight);
            guarded_free(&y);
        }
}

/* What multiplies by a curve: gated units, and the sigmoid by itself. */
enum { SIGMOID = WEIR_GLU_COUNT, UNITS };

static void run_unit(const struct weir_kernels *kernels, int kind, float *gate, const float *up,
                     size_t count, float limit)
{
    if (kind == SIGMOID)
        kernels->sigmoid_mul(gate, up, count);
    else
        kernels->glu[kind](gate, up, count, limit);
}

/* One kind of unit over count values: gates reach both ends of exp, and limits are met. */
static void check_unit(int kind, size_t count)
{
    static const float limit = 0.75f;
    struct weir_kernels ref;
    struct weir_kernels kernels;
    struct guarded gate = guarded_alloc(count * sizeof(float), true);
    struct guarded up = guarded_alloc(count * sizeof(float), true);
    float *found = (float *)(void *)gate.start;
    float inputs[COUNT_MAX];
    float wanted[COUNT_MAX];
    float whole[COUNT_MAX];
    weir_kernels_init(&ref, 0);
    fill_floats(inputs, count, FILL_RANDOM);
    for (size_t i = 0; i < count; i++)
        inputs[i] *= i % 2 == 0 ? 100.0f : 2.0f;
    fill_floats((float *)(void *)up.start, count, FILL_RANDOM);
    memcpy(wanted, inputs, count * sizeof(float));
    run_unit(&ref, kind, wanted, (float *)(void *)up.start, count, limit);
    FOR_LEVELS(kernels)
    {
        memcpy(found, inputs, count * sizeof(float));
        run_unit(&kernels, kind, found, (float *)(void *)up.start, count, limit);
        check_close("gated unit", kernels.isa, found, wanted, count,
                    kind == WEIR_GLU_GELU ? 1e-4 : 1e-5, 1e-30);
        memcpy(whole, found, count * sizeof(float));
        memcpy(found, inputs, count * sizeof(float));
        const size_t split = count / 3;
        run_unit(&kernels, kind, found, (float *)(void *)up.start, split, limit);
        run_unit(&kernels, kind, found + split, (float *)(void *)up.start + split, count - split,
                 limit);
        assert_memory_equal(found, whole, count * sizeof(float));
    }
    guarded_free(&gate);
    guarded_free(&up);
}

static void gated_units_match_on_every_level_and_in_any_division(void **state)
{
    (void)state;
    for (int kind = 0; kind < UNITS; kind++)
        for (size_t size = 0; size < WEIR_COUNT(counts); size++)
            check_unit(kind, counts[size]);
}

/* The equations in double, at values on both sides of the limit. */
static void gated_units_are_what_their_equations_say(void **state)
{
    static const double limit = 7.0;
    struct weir_kernels ref;
    (void)state;
    weir_kernels_init(&ref, 0);
    for (double g = -20.0; g <= 20.0; g += 0.37)
        for (double u = -9.0; u <= 9.0; u += 1.3) {
            const double less = fmin(g, limit);
            const double near = fmax(fmin(u, limit), -limit);
            const double root = sqrt(2.0 / 3.14159265358979323846);
            const double wanted[WEIR_GLU_COUNT] = {
                [WEIR_GLU_SILU] = g / (1.0 + exp(-g)) * u,
                [WEIR_GLU_SILU_OF_LESS] = less / (1.0 + exp(-less)) * near,
                [WEIR_GLU_LESS_OF_SILU] = fmin(g / (1.0 + exp(-g)), limit) * near,
                [WEIR_GLU_OAI] = less / (1.0 + exp(-1.702 * less)) * (near + 1.0),
                [WEIR_GLU_GELU] = 0.5 * g * (1.0 + tanh(root * (g + 0.044715 * g * g * g))) * u,
            };
            for (int kind = 0; kind < WEIR_GLU_COUNT; kind++) {
                float gate = (float)g;
                const float up = (float)u;
                ref.glu[kind](&gate, &up, 1, (float)limit);
                assert_true(fabs((double)gate - wanted[kind]) <= 1e-5 * fabs(wanted[kind]) + 1e-5);
            }
        }
}

static void axpy_and_to_f16_have_the_reference_bits(void **state)
{
    (void)state;
    struct weir_kernels ref;
    struct weir_kernels kernels;
    weir_kernels_init(&ref, 0);
    for (size_t size = 0; size < WEIR_COUNT(counts); size++)
        for (int fill = 0; fill < FILL_COUNT; fill++) {
            const size_t count = counts[size];
            struct guarded x = guarded_alloc(count * sizeof(float), true);
            struct guarded y = guarded_alloc(count * sizeof(float), true);
            struct guarded halves = guarded_alloc(count * sizeof(uint16_t), true);
            float start[COUNT_MAX];
            float wanted[COUNT_MAX];
            uint16_t wanted_halves[COUNT_MAX];
            fill_floats((float *)(void *)x.start, count, (enum fill)fill);
            fill_floats(start, count, (enum fill)fill);
            memcpy(wanted, start, count * sizeof(float));
            ref.axpy(wanted, (float *)(void *)x.start, 0.37f, count);
            ref.to_f16((float *)(void *)x.start, wanted_halves, count);
            FOR_LEVELS(kernels)
            {
                memcpy(y.start, start, count * sizeof(float));
                kernels.axpy((float *)(void *)y.start, (float *)(void *)x.start, 0.37f, count);
                assert_memory_equal(y.start, wanted, count * sizeof(float));
                kernels.to_f16((float *)(void *)x.start, (uint16_t *)(void *)halves.start, count);
                assert_memory_equal(halves.start, wanted_halves, count * sizeof(uint16_t));
            }
            guarded_free(&x);
            guarded_free(&y);
            guarded_free(&halves);
        }
}

static void softcap_matches_on_every_level(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 3, 4, 7, 8, 15, 16, 17, 64, 65};
    for (size_t count = 0; count < WEIR_COUNT(sizes); count++) {
        const size_t bytes = sizes[count] * sizeof(float);
        struct guarded x = guarded_alloc(bytes, true);
        struct guarded y = guarded_alloc(bytes, true);
        float *start = (float *)(void *)x.start;
        float *found = (float *)(void *)y.start;
        for (size_t i = 0; i < sizes[count]; i++)
            start[i] = fill_value(FILL_RANDOM) * (i % 3 == 0 ? 2.0f : i % 3 == 1 ? 90.0f : 1e6f);
        for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
            struct weir_kernels kernels;
            if (!level_init(&kernels, level))
                continue;
            memcpy(found, start, bytes);
            kernels.softcap(found, sizes[count], 30.0f);
            for (size_t i = 0; i < sizes[count]; i++)
                assert_true(fabs((double)found[i] - 30.0 * tanh((double)start[i] / 30.0)) <= 3e-5);
        }
        guarded_free(&x);
        guarded_free(&y);
    }
}

static void rope_turns_pairs_and_keeps_lengths(void **state)
{
    (void)state;
    float head[10];
    float angles[8];
    for (int pair = 0; pair < 4; pair++) {
        angles[pair] = cosf(0.3f * (float)(pair + 1));
        angles[4 + pair] = sinf(0.3f * (float)(pair + 1));
    }
    for (int kind = 0; kind < 2; kind++) {
        for (int i = 0; i < 10; i++)
            head[i] = (float)(i + 1);
        weir_rope(head, angles, 8, kind == 1);
        for (int pair = 0; pair < 4; pair++) {
            const int a = kind == 1 ? 2 * pair : pair;
            const int b = kind == 1 ? 2 * pair + 1 : pair + 4;
            const double angle = 0.3 * (pair + 1);
            const double x = a + 1;
            const double y = b + 1;
            assert_true(fabs((double)head[a] - (x * cos(angle) - y * sin(angle))) < 1e-5);
            assert_true(fabs((double)head[b] - (x * sin(angle) + y * cos(angle))) < 1e-5);
        }
        assert_true(head[8] == 9.0f && head[9] == 10.0f);
    }
}

static void levels_say_what_they_are(void **state)
{
    (void)state;
    static const char *const names[] = {"ref",         "avx2",        "avx512",
                                        "avx512-vnni", "avx512-vnni", "neon-dotprod"};
    for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
        struct weir_kernels kernels;
        if (level_init(&kernels, level))
            assert_string_equal(kernels.isa, names[level]);
        else
            printf("this CPU has no %s\n", names[level]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(activations_have_the_reference_bits),
        cmocka_unit_test(activations_are_the_nearest_steps),
        cmocka_unit_test(rmsnorm_matches_on_every_level),
        cmocka_unit_test(gated_units_match_on_every_level_and_in_any_division),
        cmocka_unit_test(gated_units_are_what_their_equations_say),
        cmocka_unit_test(axpy_and_to_f16_have_the_reference_bits),
        cmocka_unit_test(softcap_matches_on_every_level),
        cmocka_unit_test(rope_turns_pairs_and_keeps_lengths),
        cmocka_unit_test(levels_say_what_they_are),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
