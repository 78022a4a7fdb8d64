/* engine_states_test.c - states behind the final norm: transformers' own, and the same bits
 * whatever the chunk and the company. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "golden.h"
#include "pace.h"
#include "weir.h"

enum { LENGTH = 40 };

/* A text, and the states that it has alone. */
struct text {
    const uint32_t *ids;
    uint32_t d_model, seen, differs, stops_at;
    float *states; /* [LENGTH][d_model] */
    double *sums;  /* [d_model] */
};

static bool keep(void *user, uint32_t position, const float *state)
{
    struct text *text = user;
    memcpy(text->states + (size_t)position * text->d_model, state, text->d_model * sizeof(*state));
    return true;
}

static bool compare(void *user, uint32_t position, const float *state)
{
    struct text *text = user;
    assert_int_equal(position, text->seen);
    text->seen++;
    text->differs += memcmp(text->states + (size_t)position * text->d_model, state,
                            text->d_model * sizeof(*state)) != 0;
    return text->seen != text->stops_at;
}

static bool add(void *user, uint32_t position, const float *state)
{
    struct text *text = user;
    (void)position;
    for (uint32_t index = 0; index < text->d_model; index++)
        text->sums[index] += (double)state[index];
    return true;
}

static weir_engine *open_engine(const struct golden *golden, uint32_t n_chunk, const char *kv)
{
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    const struct weir_config config = {
        .model_path = golden->model_path, .n_thread = 2, .n_chunk = n_chunk, .kv = kv};
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    return engine;
}

/* One text with its states, and beside it another one that asks for none. */
static enum weir_status run(weir_engine *engine, struct text *text, weir_state_fn *state,
                            bool in_company)
{
    struct weir_err err = {0};
    weir_session *sessions[2] = {NULL, NULL};
    for (int index = 0; index < 2; index++)
        assert_int_equal(weir_session_create(&sessions[index], engine, &err), WEIR_OK);
    struct weir_eval evals[] = {
        {.session = sessions[0], .ids = text->ids + 3, .count = 17},
        {.session = sessions[1], .ids = text->ids, .count = LENGTH, .state = state, .user = text},
    };
    const enum weir_status status =
        weir_engine_eval(engine, in_company ? evals : evals + 1, in_company ? 2 : 1, &err);
    for (int index = 0; index < 2; index++)
        weir_session_destroy(&sessions[index]);
    return status;
}

static void company_and_chunks_change_no_bit(void **state)
{
    static const char *const names[] = {"qwen3moe", "gemma4-e2b", "qwen35moe", "deepseek2",
                                        "granitemoe"};
    (void)state;
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index += pace_step(2)) {
        struct golden golden;
        assert_true(golden_open(&golden, names[index]));
        assert_true(golden.id_count >= LENGTH);
        struct text text = {.ids = golden.ids};
        weir_engine *engine = open_engine(&golden, 64, NULL);
        text.d_model = weir_engine_model(engine)->d_model;
        text.states = malloc((size_t)LENGTH * text.d_model * sizeof(float));
        assert_int_equal(run(engine, &text, keep, false), WEIR_OK);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        for (uint32_t n_chunk = 1; n_chunk < 40; n_chunk += 6) {
            engine = open_engine(&golden, n_chunk, NULL);
            for (int company = 0; company < 2; company++) {
                text.seen = text.differs = 0;
                assert_int_equal(run(engine, &text, compare, company), WEIR_OK);
                assert_int_equal(text.seen, LENGTH);
                if (text.differs > 0)
                    fail_msg("%s: %u states differ; chunk %u, company %d", names[index],
                             text.differs, n_chunk, company);
            }
            text.seen = 0;
            text.stops_at = 10;
            assert_int_equal(run(engine, &text, compare, false), WEIR_ERR_CANCELLED);
            assert_int_equal(text.seen, 10);
            text.stops_at = 0;
            assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        }
        free(text.states);
        golden_close(&golden);
    }
}

/* mean.f32: of the ids' states, divided by its length (tools/oracle/make_means.py). */
static void means_equal_transformers(void **state)
{
    static const char *const names[] = {"directories/qwen3moe-bf16", "directories/gpt-oss"};
    (void)state;
    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++) {
        struct golden golden;
        char path[256];
        size_t bytes = 0;
        assert_true(golden_open(&golden, names[index]));
        snprintf(path, sizeof(path), "tests/golden/%s/mean.f32", names[index]);
        float *wanted = golden_read(path, &bytes);
        assert_non_null(wanted);
        weir_engine *engine = open_engine(&golden, 0, "f32");
        struct weir_err err = {0};
        weir_session *session = NULL;
        struct text text = {.d_model = weir_engine_model(engine)->d_model};
        assert_int_equal(bytes, text.d_model * sizeof(float));
        text.sums = calloc(text.d_model, sizeof(double));
        assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
        struct weir_eval eval = {.session = session,
                                 .ids = golden.ids,
                                 .count = golden.id_count,
                                 .state = add,
                                 .user = &text};
        assert_int_equal(weir_engine_eval(engine, &eval, 1, &err), WEIR_OK);
        double length = 0.0, worst = 0.0;
        for (uint32_t at = 0; at < text.d_model; at++)
            length += text.sums[at] * text.sums[at];
        for (uint32_t at = 0; at < text.d_model; at++)
            worst = fmax(worst, fabs(text.sums[at] / sqrt(length) - (double)wanted[at]));
        printf("%-28s worst difference %.2e\n", names[index], worst);
        assert_true(worst <= 1e-5);
        weir_session_destroy(&session);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        free(text.sums);
        free(wanted);
        golden_close(&golden);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_and_chunks_change_no_bit),
        cmocka_unit_test(means_equal_transformers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
