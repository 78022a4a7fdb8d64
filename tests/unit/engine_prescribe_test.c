/* engine_prescribe_test.c - experts of a trace in place of the router's: those, and no others. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine_internal.h"
#include "golden.h"

enum { LENGTH = 40 };

/* A trace as it is taken down while a text is computed. */
struct record {
    uint16_t *experts; /* [LENGTH][n_layer][n_used] */
    uint32_t n_layer, n_used, n_expert;
};

static void take_down(void *user, uint32_t layer, uint32_t position, uint32_t n_token,
                      uint32_t n_expert_used, const uint32_t *experts)
{
    const struct record *record = user;
    for (uint32_t token = 0; token < n_token; token++)
        for (uint32_t rank = 0; rank < record->n_used; rank++)
            record
                ->experts[((size_t)(position + token) * record->n_layer + layer) * record->n_used +
                          rank] = rank < n_expert_used
                                      ? (uint16_t)experts[token * n_expert_used + rank]
                                      : WEIR_EXPERT_NONE;
}

static struct record open_record(weir_engine *engine)
{
    const struct weir_model_info *info = weir_engine_model(engine);
    struct record record = {
        .n_layer = info->n_moe_layer, .n_used = info->n_expert_used, .n_expert = info->n_expert};
    record.experts =
        calloc((size_t)LENGTH * record.n_layer * record.n_used, sizeof(*record.experts));
    return record;
}

static size_t record_bytes(const struct record *record)
{
    return (size_t)LENGTH * record->n_layer * record->n_used * sizeof(*record->experts);
}

static struct weir_trace trace_of(const struct record *record)
{
    return (struct weir_trace){.n_layer = record->n_layer,
                               .n_expert = record->n_expert,
                               .n_expert_used = record->n_used,
                               .n_token = LENGTH,
                               .experts = record->experts};
}

static weir_engine *open_engine(const struct golden *golden, uint32_t n_chunk, uint32_t n_slot)
{
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    const struct weir_config config = {
        .model_path = golden->model_path, .n_thread = 2, .n_chunk = n_chunk, .n_slot = n_slot};
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        fail_msg("%s: %s", golden->name, err.text);
    return engine;
}

/* The text's experts, under a trace that may be NULL; its last logits into logits. */
static struct record compute(weir_engine *engine, const struct golden *golden,
                             const struct weir_trace *trace, uint32_t first, double recall,
                             float *logits)
{
    struct weir_err err = {0};
    weir_session *session = NULL;
    struct record record = open_record(engine);
    assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
    if (weir_session_prescribe(session, trace, first, recall, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    weir_session_watch_routing(session, take_down, &record);
    for (uint32_t at = 0; at < LENGTH; at += at < 10 ? 10 : 1) /* a prompt, then tokens */
        assert_int_equal(
            weir_session_eval(session, golden->ids + at, at < 10 ? 10 : 1, NULL, NULL, &err),
            WEIR_OK);
    memcpy(logits, weir_session_logits(session),
           weir_engine_model(engine)->n_vocab * sizeof(*logits));
    weir_session_destroy(&session);
    return record;
}

/* Its own experts change no bit. */
static void a_texts_own_trace_changes_nothing(void **state)
{
    static const char *const names[] = {"qwen3moe", "qwen3moe-uneven", "olmoe", "qwen2moe"};
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        struct golden golden;
        assert_true(golden_open(&golden, names[index]));
        weir_engine *engine = open_engine(&golden, 7, 0);
        const size_t bytes = weir_engine_model(engine)->n_vocab * sizeof(float);
        float *alone = malloc(bytes);
        float *led = malloc(bytes);
        struct record own = compute(engine, &golden, NULL, 0, 0.0, alone);
        const struct weir_trace trace = trace_of(&own);
        struct record same = compute(engine, &golden, &trace, 0, 0.0, led);
        assert_memory_equal(own.experts, same.experts, record_bytes(&own));
        assert_memory_equal(alone, led, bytes);
        free(same.experts);
        free(own.experts);
        free(alone);
        free(led);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        golden_close(&golden);
    }
}

/* Experts that have nothing to do with the text, with places left to the router. */
static void those_of_the_trace_are_used_and_no_others(void **state)
{
    struct golden golden;
    uint64_t random_state = 3;
    (void)state;
    assert_true(golden_open(&golden, "qwen3moe"));
    weir_engine *engine = open_engine(&golden, 7, 0);
    float *logits = malloc(weir_engine_model(engine)->n_vocab * sizeof(float));
    struct record wanted = open_record(engine);
    const size_t count = record_bytes(&wanted) / sizeof(*wanted.experts);
    assert_true(wanted.n_used > 1 && wanted.n_used < wanted.n_expert);
    for (size_t at = 0; at < count; at += wanted.n_used)
        for (uint32_t rank = 0; rank < wanted.n_used; rank++) /* ascending */
            wanted.experts[at + rank] =
                (uint16_t)(rank + (rank == 0 ? 0
                                             : weir_random_next(&random_state) %
                                                   (wanted.n_expert - wanted.n_used)));
    for (size_t at = 0; at < count; at += wanted.n_used)
        for (uint32_t rank = 1; rank < wanted.n_used; rank++)
            wanted.experts[at + rank] =
                (uint16_t)weir_max(wanted.experts[at + rank], wanted.experts[at + rank - 1] + 1u);
    const struct weir_trace trace = trace_of(&wanted);
    struct record found = compute(engine, &golden, &trace, 0, 0.0, logits);
    assert_memory_equal(found.experts, wanted.experts, record_bytes(&wanted));
    free(found.experts);
    /* Position 0 is the trace's last token, and the first one follows. */
    found = compute(engine, &golden, &trace, LENGTH - 1, 0.0, logits);
    const size_t token = count / LENGTH;
    assert_memory_equal(found.experts, wanted.experts + (LENGTH - 1) * token, token * 2);
    assert_memory_equal(found.experts + token, wanted.experts, (LENGTH - 1) * token * 2);
    free(found.experts);
    /* Without one expert of each place, the router's best fills up. */
    for (size_t at = 0; at < count; at += wanted.n_used)
        wanted.experts[at + wanted.n_used - 1] = WEIR_EXPERT_NONE;
    found = compute(engine, &golden, &trace, 0, 0.0, logits);
    for (size_t at = 0; at < count; at += wanted.n_used)
        for (uint32_t rank = 0; rank < wanted.n_used; rank++) {
            uint32_t times = 0;
            for (uint32_t other = 0; other < wanted.n_used; other++)
                times += found.experts[at + other] == wanted.experts[at + rank];
            assert_int_equal(times, wanted.experts[at + rank] != WEIR_EXPERT_NONE);
            assert_true(rank == 0 || found.experts[at + rank] > found.experts[at + rank - 1]);
        }
    free(found.experts);
    free(wanted.experts);
    free(logits);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
}

/* Look-ahead is told what the trace uses next, as often as it should be, or nothing. */
static void look_ahead_is_right_as_often_as_was_asked(void **state)
{
    struct golden golden;
    (void)state;
    assert_true(golden_open(&golden, "qwen3moe-many"));
    weir_engine *engine = open_engine(&golden, 7, 0);
    const uint32_t n_used = weir_engine_model(engine)->n_expert_used;
    float *logits = malloc(weir_engine_model(engine)->n_vocab * sizeof(float));
    struct record own = compute(engine, &golden, NULL, 0, 0.0, logits);
    const struct weir_trace trace = trace_of(&own);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    for (int step = 0; step <= 4; step++) {
        const double recall = step / 4.0;
        struct weir_stats stats;
        engine = open_engine(&golden, 7, n_used);
        struct record found = compute(engine, &golden, &trace, 0, recall, logits);
        weir_engine_stats_get(engine, &stats);
        assert_int_equal(weir_engine_mode(engine)->lookahead, step > 0);
        assert_memory_equal(own.experts, found.experts, record_bytes(&own));
        if (step == 0) {
            assert_int_equal(stats.guessed, 0);
            assert_int_equal(stats.ahead_reads, 0);
        } else {
            const double share = (double)stats.guessed_right / (double)stats.guessed;
            assert_true(stats.guessed > 100);
            if (share < recall - 0.12 || share > recall + 0.12)
                fail_msg("wanted %g of the guesses right, found %g", recall, share);
        }
        free(found.experts);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    }
    free(own.experts);
    free(logits);
    golden_close(&golden);
}

/* Layer 1 of the model uses one expert of a token, and others more. */
static void a_layer_gets_no_more_experts_than_it_uses(void **state)
{
    struct golden golden;
    struct weir_err err = {0};
    weir_session *session = NULL;
    (void)state;
    assert_true(golden_open(&golden, "qwen3moe-uneven"));
    weir_engine *engine = open_engine(&golden, 7, 0);
    struct record record = open_record(engine);
    const struct weir_trace trace = trace_of(&record);
    const size_t count = record_bytes(&record) / sizeof(*record.experts);
    for (size_t at = 0; at < count; at++)
        record.experts[at] = at % record.n_used == 0 ? 2 : WEIR_EXPERT_NONE;
    assert_int_equal(weir_session_create(&session, engine, NULL), WEIR_OK);
    assert_int_equal(weir_session_prescribe(session, &trace, 0, 0.5, &err), WEIR_OK);
    record.experts[record.n_used + 1] = 5;
    assert_int_equal(weir_session_prescribe(session, &trace, 0, 0.5, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "layer 1: wanted at most 1 experts, found 2 for token 0"));
    weir_session_destroy(&session);
    free(record.experts);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
}

static void a_trace_of_another_model_is_refused(void **state)
{
    struct golden golden;
    struct weir_err err = {0};
    weir_session *session = NULL;
    (void)state;
    assert_true(golden_open(&golden, "qwen3moe"));
    weir_engine *engine = open_engine(&golden, 7, 0);
    struct record record = open_record(engine);
    for (int wrong = 0; wrong < 6; wrong++) {
        struct weir_trace trace = trace_of(&record);
        trace.n_layer += wrong == 0;
        trace.n_expert += wrong == 1;
        trace.n_expert_used -= wrong == 2;
        trace.n_token = wrong == 3 ? 0 : trace.n_token;
        record.experts[5] = wrong == 4 ? (uint16_t)record.n_expert : 0;
        assert_int_equal(weir_session_create(&session, engine, NULL), WEIR_OK);
        memset(&err, 0, sizeof(err));
        assert_int_equal(weir_session_prescribe(session, &trace, 0, wrong == 5 ? 1.5 : 0.5, &err),
                         WEIR_ERR_ARG);
        assert_non_null(strstr(err.text, "wanted"));
        weir_session_destroy(&session);
    }
    free(record.experts);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
    assert_true(golden_open(&golden, "llama"));
    engine = open_engine(&golden, 7, 0);
    const struct weir_trace none = {.n_token = 1};
    assert_int_equal(weir_session_create(&session, engine, NULL), WEIR_OK);
    assert_int_equal(weir_session_prescribe(session, &none, 0, 0.0, NULL), WEIR_ERR_ARG);
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_texts_own_trace_changes_nothing),
        cmocka_unit_test(those_of_the_trace_are_used_and_no_others),
        cmocka_unit_test(look_ahead_is_right_as_often_as_was_asked),
        cmocka_unit_test(a_layer_gets_no_more_experts_than_it_uses),
        cmocka_unit_test(a_trace_of_another_model_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
