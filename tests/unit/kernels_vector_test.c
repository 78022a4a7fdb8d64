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

static void silu_mul_matches_on_every_level_and_in_any_division(void **state)
{
    (void)state;
    struct weir_kernels ref;
    struct weir_kernels kernels;
    weir_kernels_init(&ref, 0);
    for (size_t size = 0; size < WEIR_COUNT(counts); size++) {
        const size_t count = counts[size];
        struct guarded gate = guarded_alloc(count * sizeof(float), true);
        struct guarded up = guarded_alloc(count * sizeof(float), true);
        float *found = (float *)(void *)gate.start;
        float inputs[COUNT_MAX];
        float wanted[COUNT_MAX];
        float whole[COUNT_MAX];
        fill_floats(inputs, count, FILL_RANDOM);
        for (size_t i = 0; i < count; i++)
            inputs[i] *= 100.0f; /* both ends of exp */
        fill_floats((float *)(void *)up.start, count, FILL_RANDOM);
        memcpy(wanted, inputs, count * sizeof(float));
        ref.silu_mul(wanted, (float *)(void *)up.start, count);
        FOR_LEVELS(kernels)
        {
            memcpy(found, inputs, count * sizeof(float));
            kernels.silu_mul(found, (float *)(void *)up.start, count);
            check_close("silu_mul", kernels.isa, found, wanted, count, 1e-5, 1e-30);
            memcpy(whole, found, count * sizeof(float));
            memcpy(found, inputs, count * sizeof(float));
            const size_t split = count / 3;
            kernels.silu_mul(found, (float *)(void *)up.start, split);
            kernels.silu_mul(found + split, (float *)(void *)up.start + split, count - split);
            assert_memory_equal(found, whole, count * sizeof(float));
        }
        guarded_free(&gate);
        guarded_free(&up);
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

/* The formula in double over the same f16 values. */
static void exact_attention(const struct weir_attention *job, double *out, double *magnitude)
{
    const uint16_t *k = job->k;
    const uint16_t *v = job->v;
    double scores[COUNT_MAX];
    double most = -HUGE_VAL;
    double total = 0.0;
    for (size_t position = 0; position < job->n_position; position++) {
        scores[position] = 0.0;
        for (size_t i = 0; i < job->d_head; i++)
            scores[position] +=
                (double)job->q[i] * (double)weir_f16_to_f32(k[position * job->kv_stride + i]);
        scores[position] *= (double)job->scale;
        most = fmax(most, scores[position]);
    }
    for (size_t position = 0; position < job->n_position; position++)
        total += scores[position] = exp(scores[position] - most);
    for (size_t i = 0; i < job->d_head; i++) {
        out[i] = magnitude[i] = 0.0;
        for (size_t position = 0; position < job->n_position; position++) {
            const double term = scores[position] / total *
                                (double)weir_f16_to_f32(v[position * job->kv_stride + i]);
            out[i] += term;
            magnitude[i] += fabs(term);
        }
    }
}

static const uint32_t first_page = 0; /* of a cache that has one */

static void attention_matches_the_formula_on_every_level(void **state)
{
    (void)state;
    static const size_t heads[] = {1, 4, 5, 8, 16, 24, 64, 80, 128};
    static const size_t positions[] = {1, 2, 15, 16, 17, 63, 64, 65, 300};
    for (size_t head = 0; head < WEIR_COUNT(heads); head++)
        for (size_t position = 0; position < WEIR_COUNT(positions); position++) {
            const size_t d_head = heads[head];
            const size_t n_position = positions[position];
            const size_t value_count = d_head * n_position;
            struct guarded q = guarded_alloc(d_head * sizeof(float), true);
            struct guarded k = guarded_alloc(value_count * sizeof(uint16_t), true);
            struct guarded v = guarded_alloc(value_count * sizeof(uint16_t), true);
            struct guarded out = guarded_alloc(d_head * sizeof(float), true);
            fill_floats((float *)(void *)q.start, d_head, FILL_RANDOM);
            for (size_t i = 0; i < value_count; i++) {
                ((uint16_t *)(void *)k.start)[i] = weir_f32_to_f16(4.0f * fill_value(FILL_RANDOM));
                ((uint16_t *)(void *)v.start)[i] = weir_f32_to_f16(fill_value(FILL_RANDOM));
            }
            const struct weir_attention job = {
                .q = (float *)(void *)q.start,
                .k = (uint16_t *)(void *)k.start,
                .v = (uint16_t *)(void *)v.start,
                .pages = &first_page,
                .kv_stride = d_head,
                .page_length = n_position,
                .d_head = d_head,
                .n_position = n_position,
                .scale = 1.0f / sqrtf((float)d_head),
                .out = (float *)(void *)out.start,
            };
            double wanted[COUNT_MAX];
            double magnitude[COUNT_MAX];
            exact_attention(&job, wanted, magnitude);
            for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
                struct weir_kernels kernels;
                if (!level_init(&kernels, level))
                    continue;
                kernels.attention(&job, 1);
                for (size_t i = 0; i < d_head; i++)
                    if (!(fabs((double)job.out[i] - wanted[i]) <= 1e-4 * magnitude[i] + 1e-9))
                        fail_msg("attention at %s: head of %zu, %zu positions, value %zu: wanted "
                                 "%.9g, found %.9g",
                                 kernels.isa, d_head, n_position, i, wanted[i], (double)job.out[i]);
            }
            guarded_free(&q);
            guarded_free(&k);
            guarded_free(&v);
            guarded_free(&out);
        }
}

/* Queries that see more and more positions, or all the same ones: each alone, and all together. */
static void attention_is_the_same_in_company_on_every_level(void **state)
{
    (void)state;
    enum { POSITIONS = 131, HEAD_MAX = 128 };
    static const size_t heads[] = {5, 8, 24, 64, 80, 128};
    static float q[WEIR_ATTENTION_MAX * HEAD_MAX];
    static uint16_t k[POSITIONS * HEAD_MAX], v[POSITIONS * HEAD_MAX];
    static float alone[WEIR_ATTENTION_MAX * HEAD_MAX], together[WEIR_ATTENTION_MAX * HEAD_MAX];
    fill_floats(q, WEIR_COUNT(q), FILL_RANDOM);
    for (size_t i = 0; i < WEIR_COUNT(k); i++) {
        k[i] = weir_f32_to_f16(4.0f * fill_value(FILL_RANDOM));
        v[i] = weir_f32_to_f16(fill_value(FILL_RANDOM));
    }
    for (size_t level = 0; level < WEIR_COUNT(level_masks); level++)
        for (size_t head = 0; head < WEIR_COUNT(heads); head++)
            for (size_t step = 0; step < 3; step++)
                for (size_t count = 1; count <= WEIR_ATTENTION_MAX; count++) {
                    struct weir_kernels kernels;
                    struct weir_attention jobs[WEIR_ATTENTION_MAX];
                    if (!level_init(&kernels, level))
                        continue;
                    const size_t d_head = heads[head];
                    for (size_t at = 0; at < count; at++) {
                        jobs[at] = (struct weir_attention){
                            .q = q + at * d_head,
                            .k = k,
                            .v = v,
                            .pages = &first_page,
                            .kv_stride = d_head,
                            .page_length = POSITIONS,
                            .d_head = d_head,
                            .n_position = POSITIONS - (count - 1 - at) * step,
                            .scale = 0.125f,
                            .out = alone + at * d_head,
                        };
                        kernels.attention(&jobs[at], 1);
                        jobs[at].out = together + at * d_head;
                    }
                    memset(together, 0x7f, sizeof(together));
                    kernels.attention(jobs, count);
                    assert_memory_equal(together, alone, count * d_head * sizeof(float));
                }
}

/* The same rows one after another, and in pages that lie apart and out of order, the last of them
 * not full, some shorter than what attention takes at once. */
static void attention_is_the_same_in_pages_on_every_level(void **state)
{
    (void)state;
    enum { POSITIONS = 2 * 128 + 70, D_HEAD = 24, PAGES_MAX = POSITIONS / 5 + 1, APART = 40 };
    static const size_t page_lengths[] = {5, 8, 32, 64, 128};
    static float q[D_HEAD], flat[D_HEAD], paged[D_HEAD];
    static uint16_t k[POSITIONS * D_HEAD], v[POSITIONS * D_HEAD];
    static uint16_t k_pages[PAGES_MAX * (5 * D_HEAD + APART) + 128 * (D_HEAD + APART)],
        v_pages[WEIR_COUNT(k_pages)];
    fill_floats(q, D_HEAD, FILL_RANDOM);
    for (size_t i = 0; i < WEIR_COUNT(k); i++) {
        k[i] = weir_f32_to_f16(4.0f * fill_value(FILL_RANDOM));
        v[i] = weir_f32_to_f16(fill_value(FILL_RANDOM));
    }
    for (size_t length = 0; length < WEIR_COUNT(page_lengths); length++) {
        const size_t page_length = page_lengths[length];
        const size_t page_stride = page_length * D_HEAD + APART;
        const size_t page_count = (POSITIONS + page_length - 1) / page_length;
        uint32_t pages[PAGES_MAX];
        for (size_t page = 0; page < page_count; page++)
            pages[page] = (uint32_t)(page_count - 1 - page);
        for (size_t i = 0; i < WEIR_COUNT(k); i++) {
            const size_t row = i / D_HEAD;
            const size_t at =
                pages[row / page_length] * page_stride + row % page_length * D_HEAD + i % D_HEAD;
            assert_true(at < WEIR_COUNT(k_pages));
            k_pages[at] = k[i];
            v_pages[at] = v[i];
        }
        for (size_t level = 0; level < WEIR_COUNT(level_masks); level++)
            for (size_t n_position = 1; n_position <= POSITIONS; n_position += 13) {
                struct weir_kernels kernels;
                struct weir_attention job = {.q = q,
                                             .k = k,
                                             .v = v,
                                             .pages = &first_page,
                                             .kv_stride = D_HEAD,
                                             .page_length = POSITIONS,
                                             .d_head = D_HEAD,
                                             .n_position = n_position,
                                             .scale = 0.125f,
                                             .out = flat};
                if (!level_init(&kernels, level))
                    continue;
                kernels.attention(&job, 1);
                job.k = k_pages;
                job.v = v_pages;
                job.pages = pages;
                job.page_length = page_length;
                job.page_stride = page_stride;
                job.out = paged;
                kernels.attention(&job, 1);
                assert_memory_equal(paged, flat, sizeof(flat));
            }
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
        cmocka_unit_test(silu_mul_matches_on_every_level_and_in_any_division),
        cmocka_unit_test(axpy_and_to_f16_have_the_reference_bits),
        cmocka_unit_test(attention_matches_the_formula_on_every_level),
        cmocka_unit_test(attention_is_the_same_in_company_on_every_level),
        cmocka_unit_test(attention_is_the_same_in_pages_on_every_level),
        cmocka_unit_test(rope_turns_pairs_and_keeps_lengths),
        cmocka_unit_test(levels_say_what_they_are),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
