/* door_test.c - what a program that has only weir.h can rely on, with the demo model. */
#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weir.h"

#define DEMO "models/demo/weir-demo.gguf"

enum { N_CTX = 64 };

static struct weir_config small_config(void)
{
    return (struct weir_config){
        .model_path = DEMO, .n_thread = 2, .n_ctx = N_CTX, .n_chunk = 16, .expert_share = 0.3};
}

/* The demo model under the smallest ceiling for a third of its experts, with a session. */
static void open_small(weir_engine **engine, weir_session **session)
{
    struct weir_config config = small_config();
    struct weir_err err = {0};
    struct weir_plan plan;
    if (weir_plan_make(&plan, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    config.mem_bytes = plan.min_bytes;
    if (weir_engine_open(engine, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(weir_session_create(session, *engine, &err), WEIR_OK);
}

static void close_small(weir_engine **engine, weir_session **session)
{
    weir_session_destroy(session);
    weir_engine_close(engine);
    assert_null(*engine);
    assert_null(*session);
    /* Closing what is closed is nothing. */
    weir_session_destroy(session);
    weir_engine_close(engine);
}

static void plan_is_exact_at_the_smallest_ceiling(void **state)
{
    (void)state;
    struct weir_config config = small_config();
    struct weir_plan plan;
    struct weir_err err = {0};
    char least[32];
    assert_int_equal(weir_plan_make(&plan, &config, NULL), WEIR_OK);
    const uint64_t min_bytes = plan.min_bytes;
    assert_in_range(min_bytes, 1, plan.resident_bytes);
    config.mem_bytes = min_bytes;
    assert_int_equal(weir_plan_make(&plan, &config, NULL), WEIR_OK);
    uint64_t sum_bytes = 0;
    for (uint32_t line = 0; line < plan.line_count; line++)
        sum_bytes += plan.lines[line].bytes;
    assert_int_equal(sum_bytes, plan.planned_bytes);
    assert_in_range(sum_bytes, 1, min_bytes);
    config.mem_bytes = min_bytes - 1;
    assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_ERR_NOMEM);
    snprintf(least, sizeof(least), "%llu", (unsigned long long)min_bytes);
    assert_non_null(strstr(err.text, least));
    assert_int_equal(plan.min_bytes, min_bytes);
}

static void open_names_what_is_wrong_with_the_file(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        enum weir_status status;
    } wrong[] = {{"models/demo/none.gguf", WEIR_ERR_IO}, {"LICENSE", WEIR_ERR_FORMAT}};
    for (size_t row = 0; row < 2; row++) {
        struct weir_err err = {0};
        weir_engine *engine = NULL;
        const struct weir_config config = {.model_path = wrong[row].path};
        assert_int_equal(weir_engine_open(&engine, &config, &err), wrong[row].status);
        assert_null(engine);
        assert_non_null(strstr(err.text, wrong[row].path));
        assert_int_equal(err.status, wrong[row].status);
    }
}

static void info_knows_the_model_without_loading_it(void **state)
{
    (void)state;
    struct weir_model_info info;
    assert_int_equal(weir_model_info_get(&info, DEMO, NULL), WEIR_OK);
    assert_string_equal(info.family, "qwen3moe");
    assert_int_equal(info.n_expert, 32);
    assert_int_equal(info.n_expert_used, 4);
    assert_true(info.trunk_bytes + info.expert_bytes <= info.file_bytes);
    assert_true(info.active_parameter_count < info.parameter_count);
}

static void text_goes_in_and_comes_back(void **state)
{
    (void)state;
    static const char text[] =
        "The old man looked at the caf\xc3\xa9, and said: \"\xe2\x82\xac 5?\"\n";
    weir_tokenizer *tokenizer = NULL;
    weir_decoder *decoder = NULL;
    uint32_t *ids = NULL;
    size_t count = 0;
    size_t length = 0;
    static char out[WEIR_TOKEN_BYTES_MAX];
    static char joined[2 * WEIR_TOKEN_BYTES_MAX];
    assert_int_equal(weir_tokenizer_open(&tokenizer, DEMO, NULL), WEIR_OK);
    assert_int_equal(
        weir_tokenizer_encode(tokenizer, text, sizeof(text) - 1, 0, &ids, &count, NULL), WEIR_OK);
    assert_int_equal(weir_decoder_create(&decoder, tokenizer, false, NULL), WEIR_OK);
    for (size_t index = 0; index < count; index++) {
        assert_true(ids[index] < weir_tokenizer_vocab_count(tokenizer));
        const size_t bytes = weir_decoder_push(decoder, ids[index], out);
        memcpy(joined + length, out, bytes);
        length += bytes;
    }
    length += weir_decoder_flush(decoder, joined + length);
    assert_int_equal(length, sizeof(text) - 1);
    assert_memory_equal(joined, text, length);
    weir_decoder_destroy(&decoder);
    weir_ids_free(&ids);
    assert_null(ids);
    weir_tokenizer_close(&tokenizer);
    assert_null(tokenizer);
}

static void a_text_in_parts_has_the_same_ids(void **state)
{
    (void)state;
    static const char text[] =
        "It's 1234 na\xc3\xafve miles,\n\n  and a dwarf's mine <|endoftext|>.";
    weir_tokenizer *tokenizer = NULL;
    weir_encoder *encoder = NULL;
    uint32_t *whole = NULL;
    size_t whole_count = 0;
    assert_int_equal(weir_tokenizer_open(&tokenizer, DEMO, NULL), WEIR_OK);
    assert_int_equal(weir_tokenizer_encode(tokenizer, text, sizeof(text) - 1,
                                           WEIR_TEXT_PARSE_SPECIAL, &whole, &whole_count, NULL),
                     WEIR_OK);
    assert_int_equal(weir_encoder_create(&encoder, tokenizer, WEIR_TEXT_PARSE_SPECIAL, NULL),
                     WEIR_OK);
    for (int again = 0; again < 2; again++) { /* behind the end begins another text */
        size_t filled = 0;
        for (size_t at = 0; at < sizeof(text); at++) {
            const uint32_t *ids = NULL;
            size_t count = 0;
            const uint64_t least = weir_encoder_least(encoder);
            const bool ends = at + 1 == sizeof(text);
            assert_int_equal(weir_encoder_push(encoder, text + at, !ends, ends, &ids, &count, NULL),
                             WEIR_OK);
            assert_true(filled + count <= whole_count && (!ends || count >= least));
            for (size_t index = 0; index < count; index++)
                assert_int_equal(ids[index], whole[filled++]);
        }
        assert_int_equal(filled, whole_count);
        assert_int_equal(weir_encoder_least(encoder), 0);
    }
    weir_encoder_destroy(&encoder);
    assert_null(encoder);
    weir_ids_free(&whole);
    weir_tokenizer_close(&tokenizer);
}

static void session_appends_rewinds_and_repeats_itself(void **state)
{
    (void)state;
    static const uint32_t ids[] = {17, 900, 3, 42, 4000, 7};
    static float first[1 << 16];
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    open_small(&engine, &session);
    const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
    assert_in_range(n_vocab, 1, 1 << 16);
    assert_int_equal(weir_session_eval(session, ids, 6, NULL, NULL, NULL), WEIR_OK);
    assert_int_equal(weir_session_position(session), 6);
    memcpy(first, weir_session_logits(session), n_vocab * sizeof(float));
    for (uint32_t id = 0; id < n_vocab; id++)
        assert_true(isfinite(first[id]));
    weir_session_rewind(session, 2);
    assert_int_equal(weir_session_position(session), 2);
    for (size_t index = 2; index < 6; index++)
        assert_int_equal(weir_session_eval(session, ids + index, 1, NULL, NULL, NULL), WEIR_OK);
    assert_memory_equal(weir_session_logits(session), first, n_vocab * sizeof(float));
    close_small(&engine, &session);
}

static void session_refuses_what_is_out_of_range_and_goes_on(void **state)
{
    (void)state;
    static const uint32_t good[N_CTX + 1] = {1, 2, 3};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    struct weir_err err = {0};
    open_small(&engine, &session);
    const uint32_t outside = weir_engine_model(engine)->n_vocab;
    assert_int_equal(weir_session_eval(session, &outside, 1, NULL, NULL, &err), WEIR_ERR_ARG);
    err = (struct weir_err){0};
    assert_int_equal(weir_session_eval(session, good, N_CTX + 1, NULL, NULL, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "65"));
    assert_non_null(strstr(err.text, "64"));
    weir_session_cancel(session);
    assert_int_equal(weir_session_eval(session, good, 3, NULL, NULL, NULL), WEIR_ERR_CANCELLED);
    assert_int_equal(weir_session_eval(session, good, 3, NULL, NULL, NULL), WEIR_OK);
    close_small(&engine, &session);
}

static void *evaluate_elsewhere(void *user)
{
    static const uint32_t ids[] = {5, 6, 7};
    return weir_session_eval(user, ids, 3, NULL, NULL, NULL) == WEIR_OK ? user : NULL;
}

static void whatever_a_caller_does_wrong_is_a_status(void **state)
{
    (void)state;
    static const uint32_t ids[] = {1, 2, 3};
    weir_engine *engine = NULL;
    weir_engine *other = NULL;
    weir_session *session = NULL;
    weir_session *foreign = NULL;
    struct weir_err err = {0};
    open_small(&engine, &session);
    open_small(&other, &foreign);
    assert_null(weir_session_logits(session));
    assert_int_equal(weir_session_eval(session, ids, 3, NULL, NULL, NULL), WEIR_OK);
    assert_non_null(weir_session_logits(session));
    assert_int_equal(weir_session_rewind(session, 4), WEIR_ERR_ARG);
    assert_int_equal(weir_session_position(session), 3);
    assert_int_equal(weir_engine_close(&engine), WEIR_ERR_ARG);
    assert_non_null(engine);
    assert_int_equal(weir_session_eval(session, NULL, 3, NULL, NULL, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_session_eval(session, ids, 0, NULL, NULL, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_session_eval(NULL, ids, 3, NULL, NULL, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_session_create(&session, NULL, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_engine_open(&engine, NULL, NULL), WEIR_ERR_ARG);
    struct weir_eval twice[] = {{.session = session, .ids = ids, .count = 1},
                                {.session = session, .ids = ids, .count = 1}};
    assert_int_equal(weir_engine_eval(engine, twice, 2, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "one session"));
    struct weir_eval away = {.session = foreign, .ids = ids, .count = 1};
    assert_int_equal(weir_engine_eval(engine, &away, 1, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_session_position(session), 3);
    pthread_t thread;
    void *result = NULL;
    assert_int_equal(pthread_create(&thread, NULL, evaluate_elsewhere, session), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, session);
    assert_int_equal(weir_session_position(session), 6);
    close_small(&other, &foreign);
    close_small(&engine, &session);
}

static void statistics_and_mode_say_what_was_done(void **state)
{
    (void)state;
    static const uint32_t ids[] = {5, 6, 7, 8, 9, 10, 11, 12, 13, 14};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    struct weir_stats stats;
    open_small(&engine, &session);
    weir_engine_stats_reset(engine);
    assert_int_equal(weir_session_eval(session, ids, 10, NULL, NULL, NULL), WEIR_OK);
    weir_engine_stats_get(engine, &stats);
    assert_true(stats.expert_reads > 0);
    assert_int_equal(stats.reads_per_expert_max, 1);
    /* Each use was resident, on its way, or read on demand. */
    assert_int_equal(stats.expert_uses, stats.expert_hits + stats.ahead_late +
                                            (stats.expert_reads - stats.ahead_reads));
    assert_true(stats.read_bytes >= stats.expert_bytes);
    const struct weir_mode *mode = weir_engine_mode(engine);
    static const char *const engines[] = {"uring", "threads", "fake"}; /* fake: a hostile build */
    bool is_known = false;
    for (size_t index = 0; index < sizeof(engines) / sizeof(engines[0]); index++)
        is_known = is_known || strcmp(mode->io, engines[index]) == 0;
    assert_true(is_known);
    assert_true(mode->direct || mode->why[0] != '\0');
    assert_true(weir_peak_bytes() > 0);
    close_small(&engine, &session);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plan_is_exact_at_the_smallest_ceiling),
        cmocka_unit_test(open_names_what_is_wrong_with_the_file),
        cmocka_unit_test(info_knows_the_model_without_loading_it),
        cmocka_unit_test(text_goes_in_and_comes_back),
        cmocka_unit_test(a_text_in_parts_has_the_same_ids),
        cmocka_unit_test(session_appends_rewinds_and_repeats_itself),
        cmocka_unit_test(session_refuses_what_is_out_of_range_and_goes_on),
        cmocka_unit_test(whatever_a_caller_does_wrong_is_a_status),
        cmocka_unit_test(statistics_and_mode_say_what_was_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
