/* kernels_attention_test.c - attention at every level: the formula, company, pages, windows. */
#include "kernels_test.h"

static const uint32_t first_page = 0; /* of a cache that has one */

/* The formula in double over the same f16 values of one page. */
static void exact_attention(const struct weir_attention *job, double *out, double *magnitude)
{
    const uint16_t *k = job->k;
    const uint16_t *v = job->v;
    double scores[400];
    double most = job->sink == NULL ? -HUGE_VAL : (double)*job->sink;
    double total = 0.0;
    assert_true(job->n_position <= WEIR_COUNT(scores));
    for (size_t p = job->first; p < job->n_position; p++) {
        scores[p] = 0.0;
        for (size_t i = 0; i < job->d_head; i++)
            scores[p] += (double)job->q[i] * (double)weir_f16_to_f32(k[p * job->d_head + i]);
        scores[p] *= (double)job->scale;
        if (job->softcap != 0.0f)
            scores[p] = (double)job->softcap * tanh(scores[p] / (double)job->softcap);
        most = fmax(most, scores[p]);
    }
    for (size_t p = job->first; p < job->n_position; p++)
        total += scores[p] = exp(scores[p] - most);
    if (job->sink != NULL)
        total += exp((double)*job->sink - most);
    for (size_t i = 0; i < job->d_value; i++) {
        out[i] = magnitude[i] = 0.0;
        for (size_t p = job->first; p < job->n_position; p++) {
            const double term =
                scores[p] / total * (double)weir_f16_to_f32(v[p * job->d_value + i]);
            out[i] += term;
            magnitude[i] += fabs(term);
        }
    }
}

static void fill_halves(uint16_t *x, size_t count, float most)
{
    for (size_t i = 0; i < count; i++)
        x[i] = weir_f32_to_f16(most * fill_value(FILL_RANDOM));
}

/* K and V of these shapes that end at an unreadable page. */
static void check_formula(struct weir_attention job)
{
    struct guarded q = guarded_alloc(job.d_head * sizeof(float), true);
    struct guarded k = guarded_alloc(job.d_head * job.n_position * sizeof(uint16_t), true);
    struct guarded v = guarded_alloc(job.d_value * job.n_position * sizeof(uint16_t), true);
    struct guarded out = guarded_alloc(job.d_value * sizeof(float), true);
    double wanted[400];
    double magnitude[400];
    fill_floats((float *)(void *)q.start, job.d_head, FILL_RANDOM);
    fill_halves((uint16_t *)(void *)k.start, job.d_head * job.n_position, 4.0f);
    fill_halves((uint16_t *)(void *)v.start, job.d_value * job.n_position, 1.0f);
    job.q = (float *)(void *)q.start;
    job.k = k.start;
    job.v = v.start;
    job.out = (float *)(void *)out.start;
    job.pages = &first_page;
    job.k_row_bytes = job.d_head * sizeof(uint16_t);
    job.v_row_bytes = job.d_value * sizeof(uint16_t);
    job.page_length = job.n_position;
    job.scale = 1.0f / sqrtf((float)job.d_head);
    exact_attention(&job, wanted, magnitude);
    for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
        struct weir_kernels kernels;
        if (!level_init(&kernels, level))
            continue;
        kernels.attention[WEIR_KV_F16](&job, 1);
        for (size_t i = 0; i < job.d_value; i++)
            if (!(fabs((double)job.out[i] - wanted[i]) <= 1e-4 * magnitude[i] + 1e-9))
                fail_msg("attention at %s: heads of %zu and %zu, positions %zu to %zu, softcap %g, "
                         "value %zu: wanted %.9g, found %.9g",
                         kernels.isa, job.d_head, job.d_value, job.first, job.n_position,
                         (double)job.softcap, i, wanted[i], (double)job.out[i]);
    }
    guarded_free(&q);
    guarded_free(&k);
    guarded_free(&v);
    guarded_free(&out);
}

static void attention_matches_the_formula_on_every_level(void **state)
{
    (void)state;
    static const size_t heads[] = {1, 4, 5, 8, 16, 24, 64, 80, 128};
    static const size_t positions[] = {1, 2, 15, 16, 17, 63, 64, 65, 300};
    for (size_t head = 0; head < WEIR_COUNT(heads); head++)
        for (size_t position = 0; position < WEIR_COUNT(positions); position++)
            check_formula((struct weir_attention){
                .d_head = heads[head], .d_value = heads[head], .n_position = positions[position]});
}

/* Each of what not every model asks for, and pairs of them. */
static void windows_sinks_caps_and_narrow_values_match_the_formula(void **state)
{
    (void)state;
    static const size_t firsts[] = {0, 1, 5, 63, 64, 65, 127, 128, 199};
    static const size_t widths[][2] = {{24, 24}, {24, 8}, {16, 40}, {192, 128}};
    static const float sinks[] = {-3.0f, 0.0f, 0.7f, 50.0f};
    for (size_t width = 0; width < WEIR_COUNT(widths); width++)
        for (size_t first = 0; first < WEIR_COUNT(firsts); first++)
            for (size_t sink = 0; sink <= WEIR_COUNT(sinks); sink++)
                for (int is_capped = 0; is_capped < 2; is_capped++)
                    check_formula((struct weir_attention){
                        .d_head = widths[width][0],
                        .d_value = widths[width][1],
                        .first = firsts[first],
                        .n_position = 200,
                        .sink = sink == WEIR_COUNT(sinks) ? NULL : &sinks[sink],
                        .softcap = is_capped ? 1.5f : 0.0f,
                    });
}

enum { POSITIONS = 131, HEAD_MAX = 128 };

/* Queries that see more and more positions, or all the same ones, all of the past or a window of
 * it: each alone, and all together. */
static void check_company(const struct weir_kernels *kernels, size_t d_head, size_t count,
                          size_t step, size_t window)
{
    static float q[WEIR_ATTENTION_MAX * HEAD_MAX];
    static uint16_t k[POSITIONS * HEAD_MAX], v[POSITIONS * HEAD_MAX];
    static float alone[WEIR_ATTENTION_MAX * HEAD_MAX], together[WEIR_ATTENTION_MAX * HEAD_MAX];
    struct weir_attention jobs[WEIR_ATTENTION_MAX];
    if (k[0] == 0) {
        fill_floats(q, WEIR_COUNT(q), FILL_RANDOM);
        fill_halves(k, WEIR_COUNT(k), 4.0f);
        fill_halves(v, WEIR_COUNT(v), 1.0f);
    }
    for (size_t at = 0; at < count; at++) {
        const size_t n_position = POSITIONS - (count - 1 - at) * step;
        jobs[at] = (struct weir_attention){
            .q = q + at * d_head,
            .k = k,
            .v = v,
            .pages = &first_page,
            .k_row_bytes = d_head * sizeof(uint16_t),
            .v_row_bytes = d_head * sizeof(uint16_t),
            .page_length = POSITIONS,
            .d_head = d_head,
            .d_value = d_head,
            .first = n_position > window ? n_position - window : 0,
            .n_position = n_position,
            .scale = 0.125f,
            .out = alone + at * d_head,
        };
        kernels->attention[WEIR_KV_F16](&jobs[at], 1);
        jobs[at].out = together + at * d_head;
    }
    memset(together, 0x7f, sizeof(together));
    kernels->attention[WEIR_KV_F16](jobs, count);
    assert_memory_equal(together, alone, count * d_head * sizeof(float));
}

static void attention_is_the_same_in_company_on_every_level(void **state)
{
    (void)state;
    static const size_t heads[] = {5, 8, 24, 64, 80, 128};
    static const size_t windows[] = {POSITIONS, 70, 64, 5, 2, 1};
    for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
        struct weir_kernels kernels;
        if (!level_init(&kernels, level))
            continue;
        for (size_t head = 0; head < WEIR_COUNT(heads); head++)
            for (size_t step = 0; step < 3; step++)
                for (size_t count = 1; count <= WEIR_ATTENTION_MAX; count++)
                    for (size_t window = 0; window < WEIR_COUNT(windows); window++)
                        check_company(&kernels, heads[head], count, step, windows[window]);
    }
}

/* Values that are the first part of keys give what copies of them give. */
static void attention_takes_values_inside_keys_on_every_level(void **state)
{
    (void)state;
    enum { WIDTH = 72, VALUE = 56, COUNT = 11 };
    static float q[COUNT * WIDTH], inside[COUNT * VALUE], apart[COUNT * VALUE];
    static uint16_t k[POSITIONS * WIDTH], v[POSITIONS * VALUE];
    fill_floats(q, WEIR_COUNT(q), FILL_RANDOM);
    fill_halves(k, WEIR_COUNT(k), 4.0f);
    for (size_t position = 0; position < POSITIONS; position++)
        memcpy(v + position * VALUE, k + position * WIDTH, VALUE * sizeof(*v));
    for (size_t level = 0; level < WEIR_COUNT(level_masks); level++) {
        struct weir_kernels kernels;
        struct weir_attention jobs[COUNT];
        if (!level_init(&kernels, level))
            continue;
        for (size_t at = 0; at < COUNT; at++)
            jobs[at] = (struct weir_attention){
                .q = q + at * WIDTH,
                .k = k,
                .v = v,
                .pages = &first_page,
                .k_row_bytes = WIDTH * sizeof(uint16_t),
                .v_row_bytes = VALUE * sizeof(uint16_t),
                .page_length = POSITIONS,
                .d_head = WIDTH,
                .d_value = VALUE,
                .n_position = POSITIONS - COUNT + at,
                .scale = 0.125f,
                .out = apart + at * VALUE,
            };
        kernels.attention[WEIR_KV_F16](jobs, COUNT);
        for (size_t at = 0; at < COUNT; at++) {
            jobs[at].v = k;
            jobs[at].v_row_bytes = WIDTH * sizeof(uint16_t);
            jobs[at].out = inside + at * VALUE;
        }
        kernels.attention[WEIR_KV_F16](jobs, COUNT);
        assert_memory_equal(inside, apart, sizeof(inside));
    }
}

enum { PAGED = 2 * 128 + 70, D_HEAD = 24, PAGES_MAX = PAGED / 5 + 1, APART = 40 };

/* K and V in one piece, and in pages that lie apart and out of order. */
struct paged {
    uint16_t k[PAGED * D_HEAD], v[PAGED * D_HEAD];
    uint16_t k_pages[PAGES_MAX * (5 * D_HEAD + APART) + 128 * (D_HEAD + APART)];
    uint16_t v_pages[PAGES_MAX * (5 * D_HEAD + APART) + 128 * (D_HEAD + APART)];
    uint32_t pages[PAGES_MAX];
};

static void fill_pages(struct paged *paged, size_t page_length)
{
    const size_t page_stride = page_length * D_HEAD + APART;
    const size_t page_count = (PAGED + page_length - 1) / page_length;
    for (size_t page = 0; page < page_count; page++)
        paged->pages[page] = (uint32_t)(page_count - 1 - page);
    for (size_t i = 0; i < WEIR_COUNT(paged->k); i++) {
        const size_t row = i / D_HEAD;
        const size_t at =
            paged->pages[row / page_length] * page_stride + row % page_length * D_HEAD + i % D_HEAD;
        assert_true(at < WEIR_COUNT(paged->k_pages));
        paged->k_pages[at] = paged->k[i];
        paged->v_pages[at] = paged->v[i];
    }
}

/* The same rows one after another, and in pages, the last of them not full, some shorter than what
 * attention takes at once. Pages before a window are nowhere. */
static void attention_is_the_same_in_pages_on_every_level(void **state)
{
    (void)state;
    static const size_t page_lengths[] = {5, 8, 32, 64, 128};
    static struct paged paged;
    static float q[D_HEAD], flat[D_HEAD], found[D_HEAD];
    fill_floats(q, D_HEAD, FILL_RANDOM);
    fill_halves(paged.k, WEIR_COUNT(paged.k), 4.0f);
    fill_halves(paged.v, WEIR_COUNT(paged.v), 1.0f);
    for (size_t length = 0; length < WEIR_COUNT(page_lengths); length++)
        for (size_t level = 0; level < WEIR_COUNT(level_masks); level++)
            for (size_t n_position = 1; n_position <= PAGED; n_position += 13) {
                struct weir_kernels kernels;
                struct weir_attention job = {.q = q,
                                             .k = paged.k,
                                             .v = paged.v,
                                             .pages = &first_page,
                                             .k_row_bytes = D_HEAD * sizeof(uint16_t),
                                             .v_row_bytes = D_HEAD * sizeof(uint16_t),
                                             .page_length = PAGED,
                                             .d_head = D_HEAD,
                                             .d_value = D_HEAD,
                                             .first = n_position % 2 * (n_position / 3),
                                             .n_position = n_position,
                                             .scale = 0.125f,
                                             .out = flat};
                if (!level_init(&kernels, level))
                    continue;
                kernels.attention[WEIR_KV_F16](&job, 1);
                fill_pages(&paged, page_lengths[length]);
                job.k = paged.k_pages;
                job.v = paged.v_pages;
                job.pages = paged.pages;
                job.page_length = page_lengths[length];
                job.page_bytes = (page_lengths[length] * D_HEAD + APART) * sizeof(uint16_t);
                job.out = found;
                for (size_t page = 0; page < job.first / job.page_length; page++)
                    paged.pages[page] = UINT32_MAX;
                kernels.attention[WEIR_KV_F16](&job, 1);
                assert_memory_equal(found, flat, sizeof(flat));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_matches_the_formula_on_every_level),
        cmocka_unit_test(windows_sinks_caps_and_narrow_values_match_the_formula),
        cmocka_unit_test(attention_is_the_same_in_company_on_every_level),
        cmocka_unit_test(attention_takes_values_inside_keys_on_every_level),
        cmocka_unit_test(attention_is_the_same_in_pages_on_every_level),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
