/* misuse_test.c - calls that may not be made, through weir.h alone: each is refused, and the engine
 * goes on. */
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

enum { PROMPT_COUNT = 24 };

static const uint32_t prompt[PROMPT_COUNT] = {17, 900, 3, 42, 4000, 7, 5, 6, 8, 9, 10, 11};

static struct weir_config small_config(void)
{
    return (struct weir_config){
        .model_path = DEMO, .n_thread = 2, .n_ctx = 64, .n_chunk = 16, .expert_share = 0.3};
}

struct bench {
    weir_engine *engine;
    weir_session *running; /* what is evaluated */
    weir_session *other;
    uint32_t call_count;
    bool on_thread; /* calls come from another thread, while a callback waits */
};

static void open_bench(struct bench *bench)
{
    const struct weir_config config = small_config();
    struct weir_err err = {0};
    *bench = (struct bench){0};
    if (weir_engine_open(&bench->engine, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(weir_session_create(&bench->running, bench->engine, NULL), WEIR_OK);
    assert_int_equal(weir_session_create(&bench->other, bench->engine, NULL), WEIR_OK);
}

static void close_bench(struct bench *bench)
{
    weir_session_destroy(&bench->running);
    weir_session_destroy(&bench->other);
    assert_null(bench->running);
    assert_null(bench->other);
    assert_int_equal(weir_engine_close(&bench->engine), WEIR_OK);
    assert_null(bench->engine);
}

/* ---- while an eval runs ---------------------------------------------------------------------- */

static void expect_running(enum weir_status status, const struct weir_err *err)
{
    assert_int_equal(status, WEIR_ERR_ARG);
    assert_non_null(strstr(err->text, "still running"));
}

/* Everything that changes an engine or its sessions. */
static void *call_everything(void *user)
{
    struct bench *bench = user;
    weir_session *made = NULL;
    weir_session *running = bench->running;
    weir_session *other = bench->other;
    weir_engine *engine = bench->engine;
    uint32_t adopted = 77;
    struct weir_err err = {0};
    expect_running(weir_session_create(&made, engine, &err), &err);
    err = (struct weir_err){0};
    expect_running(weir_session_fork(&made, running, &err), &err);
    err = (struct weir_err){0};
    expect_running(weir_session_adopt(other, prompt, 3, &adopted, &err), &err);
    err = (struct weir_err){0};
    expect_running(weir_session_eval(running, prompt, 1, NULL, NULL, &err), &err);
    struct weir_eval eval = {.session = other, .ids = prompt, .count = 1, .done = 9};
    err = (struct weir_err){0};
    expect_running(weir_engine_eval(engine, &eval, 1, &err), &err);
    assert_int_equal(eval.status, WEIR_ERR_ARG);
    assert_int_equal(eval.done, 0);
    err = (struct weir_err){0};
    expect_running(weir_session_eval(other, prompt, 1, NULL, NULL, &err), &err);
    assert_null(made);
    assert_int_equal(adopted, 77);
    assert_int_equal(weir_session_rewind(running, 0), WEIR_ERR_ARG);
    assert_int_equal(weir_session_rewind(other, 0), WEIR_ERR_ARG);
    weir_session_destroy(&running);
    weir_session_destroy(&other);
    assert_ptr_equal(running, bench->running);
    assert_ptr_equal(other, bench->other);
    assert_int_equal(weir_engine_close(&engine), WEIR_ERR_ARG);
    assert_ptr_equal(engine, bench->engine);
    assert_int_equal(weir_engine_timeline_write(engine, stderr), UINT64_MAX);
    bench->call_count++;
    return NULL;
}

static bool misuse(void *user, uint32_t position, const float *logits)
{
    struct bench *bench = user;
    pthread_t thread;
    (void)logits;
    if (!bench->on_thread)
        call_everything(bench);
    else if (pthread_create(&thread, NULL, call_everything, bench) == 0)
        pthread_join(thread, NULL);
    return position != PROMPT_COUNT - 2; /* abort in the second step */
}

static void check_calls_while_running(bool on_thread)
{
    static float wanted[1 << 16];
    struct bench bench;
    open_bench(&bench);
    const size_t row_bytes = weir_engine_model(bench.engine)->n_vocab * sizeof(float);
    assert_in_range(row_bytes, 1, sizeof(wanted));
    assert_int_equal(weir_session_eval(bench.running, prompt, PROMPT_COUNT, NULL, NULL, NULL),
                     WEIR_OK);
    memcpy(wanted, weir_session_logits(bench.running), row_bytes);
    assert_int_equal(weir_session_rewind(bench.running, 0), WEIR_OK);
    bench.on_thread = on_thread;
    assert_int_equal(weir_session_eval(bench.running, prompt, PROMPT_COUNT, misuse, &bench, NULL),
                     WEIR_ERR_CANCELLED);
    assert_int_equal(bench.call_count, PROMPT_COUNT - 1);
    /* What was refused then is right now, and nothing is spoilt. */
    const uint32_t position = weir_session_position(bench.running);
    assert_in_range(position, 1, PROMPT_COUNT - 1);
    assert_int_equal(weir_session_eval(bench.running, prompt + position, PROMPT_COUNT - position,
                                       NULL, NULL, NULL),
                     WEIR_OK);
    assert_memory_equal(weir_session_logits(bench.running), wanted, row_bytes);
    assert_int_equal(weir_session_rewind(bench.running, 0), WEIR_OK);
    close_bench(&bench);
}

static void a_callback_changes_nothing_of_the_engine_that_calls_it(void **state)
{
    (void)state;
    check_calls_while_running(false);
}

static void another_thread_changes_nothing_while_an_eval_runs(void **state)
{
    (void)state;
    check_calls_while_running(true);
}

/* ---- what is missing ------------------------------------------------------------------------- */

/* The message names the argument. */
#define EXPECT_MISSING(name, call)                                                                 \
    do {                                                                                           \
        struct weir_err err = {0};                                                                 \
        assert_int_equal((call), WEIR_ERR_ARG);                                                    \
        assert_string_equal(err.text, name ": wanted a pointer, found NULL");                      \
    } while (0)

static void a_missing_argument_is_named(void **state)
{
    (void)state;
    static struct weir_model_info info;
    static struct weir_plan plan;
    static struct weir_calibration calibration;
    const struct weir_config config = small_config();
    const struct weir_calibrate_config no_path = {0};
    const struct weir_sampler_config choice = {0};
    weir_sampler *sampler = NULL;
    weir_stops *stops = NULL;
    weir_grammar *grammar = NULL;
    weir_engine *engine = NULL;
    uint64_t device_id;
    uint32_t slice_bytes;
    EXPECT_MISSING("plan", weir_plan_make(NULL, &config, &err));
    EXPECT_MISSING("config", weir_plan_make(&plan, NULL, &err));
    EXPECT_MISSING("info", weir_model_info_get(NULL, DEMO, &err));
    EXPECT_MISSING("path", weir_model_info_get(&info, NULL, &err));
    EXPECT_MISSING("visit", weir_model_visit(DEMO, NULL, NULL, &err));
    EXPECT_MISSING("path", weir_model_visit(NULL, NULL, NULL, &err));
    EXPECT_MISSING("out", weir_engine_open(NULL, &config, &err));
    EXPECT_MISSING("config", weir_engine_open(&engine, NULL, &err));
    EXPECT_MISSING("out", weir_sampler_create(NULL, &choice, 9, &err));
    EXPECT_MISSING("config", weir_sampler_create(&sampler, NULL, 9, &err));
    EXPECT_MISSING("tokenizer", weir_grammar_create(&grammar, NULL, "x", 1, "g", &err));
    EXPECT_MISSING("text", weir_grammar_create(&grammar, NULL, NULL, 1, "g", &err));
    EXPECT_MISSING("schema", weir_grammar_from_schema(&grammar, NULL, NULL, 1, "g", &err));
    EXPECT_MISSING("text", weir_grammar_check(NULL, 1, false, "g", &err));
    EXPECT_MISSING("name", weir_grammar_check("x", 1, true, NULL, &err));
    EXPECT_MISSING("out", weir_stops_create(NULL, NULL, 0, &err));
    EXPECT_MISSING("strings", weir_stops_create(&stops, NULL, 1, &err));
    EXPECT_MISSING("calibration", weir_calibrate(NULL, &no_path, NULL, NULL, &err));
    EXPECT_MISSING("config", weir_calibrate(&calibration, NULL, NULL, NULL, &err));
    EXPECT_MISSING("config->path", weir_calibrate(&calibration, &no_path, NULL, NULL, &err));
    EXPECT_MISSING("path", weir_calibration_key_get(NULL, &device_id, &slice_bytes, &err));
    EXPECT_MISSING("device_id", weir_calibration_key_get(DEMO, NULL, &slice_bytes, &err));
    EXPECT_MISSING("slice_bytes", weir_calibration_key_get(DEMO, &device_id, NULL, &err));
    assert_int_equal(weir_plan_make(NULL, NULL, NULL), WEIR_ERR_ARG);
}

static void a_missing_argument_of_a_text_is_named(void **state)
{
    (void)state;
    weir_tokenizer *tokenizer = NULL;
    weir_encoder *encoder = NULL;
    weir_decoder *decoder = NULL;
    const uint32_t *certain = NULL;
    uint32_t *ids = NULL;
    size_t count = 0;
    EXPECT_MISSING("out", weir_tokenizer_open(NULL, DEMO, &err));
    EXPECT_MISSING("path", weir_tokenizer_open(&tokenizer, NULL, &err));
    assert_int_equal(weir_tokenizer_open(&tokenizer, DEMO, NULL), WEIR_OK);
    EXPECT_MISSING("tokenizer", weir_tokenizer_encode(NULL, "x", 1, 0, &ids, &count, &err));
    EXPECT_MISSING("bytes", weir_tokenizer_encode(tokenizer, NULL, 1, 0, &ids, &count, &err));
    EXPECT_MISSING("ids", weir_tokenizer_encode(tokenizer, "x", 1, 0, NULL, &count, &err));
    EXPECT_MISSING("count", weir_tokenizer_encode(tokenizer, "x", 1, 0, &ids, NULL, &err));
    EXPECT_MISSING("out", weir_encoder_create(NULL, tokenizer, 0, &err));
    EXPECT_MISSING("tokenizer", weir_encoder_create(&encoder, NULL, 0, &err));
    EXPECT_MISSING("out", weir_decoder_create(NULL, tokenizer, false, &err));
    EXPECT_MISSING("tokenizer", weir_decoder_create(&decoder, NULL, false, &err));
    assert_int_equal(weir_encoder_create(&encoder, tokenizer, 0, NULL), WEIR_OK);
    EXPECT_MISSING("encoder", weir_encoder_push(NULL, "x", 1, true, &certain, &count, &err));
    EXPECT_MISSING("bytes", weir_encoder_push(encoder, NULL, 1, true, &certain, &count, &err));
    EXPECT_MISSING("ids", weir_encoder_push(encoder, "x", 1, true, NULL, &count, &err));
    EXPECT_MISSING("count", weir_encoder_push(encoder, "x", 1, true, &certain, NULL, &err));
    /* No bytes may be nowhere. */
    assert_int_equal(weir_encoder_push(encoder, NULL, 0, true, &certain, &count, NULL), WEIR_OK);
    assert_int_equal(weir_tokenizer_encode(tokenizer, NULL, 0, 0, &ids, &count, NULL), WEIR_OK);
    assert_int_equal(weir_tokenizer_piece(tokenizer, 1, NULL), 0);
    assert_int_equal(weir_decoder_create(&decoder, tokenizer, false, NULL), WEIR_OK);
    assert_int_equal(weir_decoder_push(decoder, 1, NULL), 0);
    assert_int_equal(weir_decoder_flush(decoder, NULL), 0);
    weir_ids_free(&ids);
    weir_decoder_destroy(&decoder);
    weir_encoder_destroy(&encoder);
    weir_tokenizer_close(&tokenizer);
}

static void a_missing_argument_of_a_session_is_named(void **state)
{
    (void)state;
    struct bench bench;
    weir_session *made = NULL;
    struct weir_stats stats;
    struct weir_guard_stats guard;
    uint32_t adopted;
    open_bench(&bench);
    EXPECT_MISSING("out", weir_session_create(NULL, bench.engine, &err));
    EXPECT_MISSING("engine", weir_session_create(&made, NULL, &err));
    EXPECT_MISSING("out", weir_session_fork(NULL, bench.running, &err));
    EXPECT_MISSING("session", weir_session_fork(&made, NULL, &err));
    EXPECT_MISSING("session", weir_session_adopt(NULL, prompt, 3, &adopted, &err));
    EXPECT_MISSING("ids", weir_session_adopt(bench.running, NULL, 3, &adopted, &err));
    EXPECT_MISSING("adopted", weir_session_adopt(bench.running, prompt, 3, NULL, &err));
    EXPECT_MISSING("session", weir_session_eval(NULL, prompt, 3, NULL, NULL, &err));
    EXPECT_MISSING("engine", weir_engine_eval(NULL, NULL, 0, &err));
    EXPECT_MISSING("evals", weir_engine_eval(bench.engine, NULL, 3, &err));
    assert_int_equal(weir_engine_eval(bench.engine, NULL, 0, NULL), WEIR_OK);
    assert_int_equal(weir_session_eval(bench.running, NULL, 3, NULL, NULL, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_session_rewind(NULL, 0), WEIR_ERR_ARG);
    weir_engine_stats_get(bench.engine, NULL);
    weir_engine_stats_get(NULL, &stats);
    weir_engine_guard_get(bench.engine, NULL);
    weir_engine_guard_get(NULL, &guard);
    assert_int_equal(weir_engine_timeline_write(bench.engine, NULL), UINT64_MAX);
    /* A refused call has let go of the engine. */
    assert_int_equal(weir_session_eval(bench.running, prompt, 3, NULL, NULL, NULL), WEIR_OK);
    close_bench(&bench);
}

static void a_missing_argument_of_a_conversation_is_named(void **state)
{
    (void)state;
    static const uint32_t ids[1];
    const struct weir_chat_config config = {.format = "chatml"};
    const struct weir_chat_request none = {0};
    const struct weir_chat_request hello = {.messages = "[]", .messages_length = 2};
    const struct weir_reply_config no_ids = {.id_count = 3};
    const struct weir_reply_config some_ids = {.ids = ids, .id_count = 1};
    const struct weir_reply_rules rules = {0};
    const struct weir_reply_rules rules_no_ids = {
        .schema = "{}", .schema_length = 2, .id_count = 3};
    weir_tokenizer *tokenizer = NULL;
    weir_chat *chat = NULL;
    weir_reply *reply = NULL;
    weir_grammar *grammar = NULL;
    char *text = NULL;
    uint32_t *made = NULL;
    size_t count = 0;
    assert_int_equal(weir_tokenizer_open(&tokenizer, DEMO, NULL), WEIR_OK);
    assert_int_equal(weir_chat_open(NULL, &config, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_chat_open(&chat, NULL, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_chat_open(&chat, &config, NULL), WEIR_OK);
    assert_int_equal(weir_chat_render(NULL, &hello, &text, &count, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_chat_render(chat, NULL, &text, &count, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_chat_render(chat, &none, &text, &count, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_chat_render(chat, &hello, NULL, &count, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_chat_render(chat, &hello, &text, NULL, NULL), WEIR_ERR_ARG);
    EXPECT_MISSING("tokenizer", weir_chat_encode(chat, NULL, &hello, &made, &count, &err));
    EXPECT_MISSING("ids", weir_chat_encode(chat, tokenizer, &hello, NULL, &count, &err));
    EXPECT_MISSING("count", weir_chat_encode(chat, tokenizer, &hello, &made, NULL, &err));
    assert_int_equal(weir_chat_encode(NULL, tokenizer, &hello, &made, &count, NULL), WEIR_ERR_ARG);
    EXPECT_MISSING("out", weir_reply_create(NULL, tokenizer, &some_ids, &err));
    EXPECT_MISSING("config", weir_reply_create(&reply, tokenizer, NULL, &err));
    EXPECT_MISSING("config->ids", weir_reply_create(&reply, tokenizer, &no_ids, &err));
    EXPECT_MISSING("tokenizer", weir_reply_create(&reply, NULL, &some_ids, &err));
    EXPECT_MISSING("tokenizer", weir_grammar_of_reply(&grammar, NULL, &rules, &err));
    EXPECT_MISSING("rules", weir_grammar_of_reply(&grammar, tokenizer, NULL, &err));
    EXPECT_MISSING("rules->ids", weir_grammar_of_reply(&grammar, tokenizer, &rules_no_ids, &err));
    assert_null(weir_reply_mark_before(NULL, ids, 1));
    assert_null(weir_reply_mark_before(tokenizer, NULL, 1));
    assert_null(weir_reply_mark_before(tokenizer, NULL, 0));
    assert_true(text == NULL && made == NULL && reply == NULL && grammar == NULL);
    weir_chat_close(&chat);
    weir_tokenizer_close(&tokenizer);
}

static void a_missing_argument_of_an_engine_is_named(void **state)
{
    (void)state;
    struct bench bench;
    const struct weir_config config = small_config();
    static const struct weir_importance_file facts;
    static struct weir_importance importance;
    struct weir_expert expert;
    struct weir_saved_stats saved;
    uint64_t bytes = 0;
    uint32_t recalled = 0;
    uint8_t mark = 0;
    open_bench(&bench);
    EXPECT_MISSING("out", weir_engine_begin(NULL, &config, &err));
    EXPECT_MISSING("engine", weir_engine_finish(NULL, &err));
    assert_int_equal(weir_engine_finish(bench.engine, NULL), WEIR_ERR_ARG); /* it is whole */
    EXPECT_MISSING("engine", weir_engine_lend(NULL, 1, &err));
    EXPECT_MISSING("path", weir_model_head_check(NULL, 1, &bytes, &err));
    EXPECT_MISSING("wanted_bytes", weir_model_head_check(DEMO, 1, NULL, &err));
    EXPECT_MISSING("speeds", weir_gpu_calibrate(NULL, NULL, NULL, &err));
    EXPECT_MISSING("engine", weir_engine_importance_write(NULL, &facts, stderr, &err));
    EXPECT_MISSING("facts", weir_engine_importance_write(bench.engine, NULL, stderr, &err));
    EXPECT_MISSING("file", weir_engine_importance_write(bench.engine, &facts, NULL, &err));
    EXPECT_MISSING("session", weir_session_save(NULL, &err));
    EXPECT_MISSING("session", weir_session_recall(NULL, prompt, 3, &recalled, &err));
    EXPECT_MISSING("ids", weir_session_recall(bench.running, NULL, 3, &recalled, &err));
    EXPECT_MISSING("recalled", weir_session_recall(bench.running, prompt, 3, NULL, &err));
    /* It does not measure, and has no folder for texts. */
    assert_int_equal(weir_engine_importance_write(bench.engine, &facts, stderr, NULL),
                     WEIR_ERR_ARG);
    assert_int_equal(weir_session_save(bench.running, NULL), WEIR_ERR_ARG);
    assert_false(weir_engine_importance_get(NULL, &importance) ||
                 weir_engine_importance_get(bench.engine, NULL));
    assert_false(weir_engine_experts_look(NULL, &mark, 1) ||
                 weir_engine_experts_look(bench.engine, NULL, 1) ||
                 weir_engine_experts_look(bench.engine, &mark, 1)); /* too few */
    assert_int_equal(weir_engine_kept_experts(NULL, &expert, 1), 0);
    assert_int_equal(weir_engine_kept_experts(bench.engine, NULL, 1), 0);
    assert_int_equal(weir_engine_saved(NULL, prompt, 3), 0);
    assert_int_equal(weir_engine_saved(bench.engine, NULL, 3), 0);
    assert_false(weir_engine_saved_get(NULL, &saved) || weir_engine_saved_get(bench.engine, NULL));
    assert_false(weir_engine_disk_wait(NULL, 1.0) ||
                 weir_engine_disk_wait(bench.engine, (double)NAN));
    assert_int_equal(weir_session_eval(bench.running, prompt, 3, NULL, NULL, NULL), WEIR_OK);
    close_bench(&bench);
}

static void nothing_is_done_for_nobody(void **state)
{
    (void)state;
    static struct weir_plan plan;
    char out[WEIR_TOKEN_BYTES_MAX];
    const float logits[3] = {0};
    const struct weir_sampler_config choice = {0};
    weir_sampler *sampler = NULL;
    weir_session_destroy(NULL);
    weir_tokenizer_close(NULL);
    weir_encoder_destroy(NULL);
    weir_decoder_destroy(NULL);
    weir_sampler_destroy(NULL);
    weir_stops_destroy(NULL);
    weir_grammar_destroy(NULL);
    assert_null(weir_sampler_why(NULL));
    weir_ids_free(NULL);
    weir_chat_close(NULL);
    weir_chat_text_free(NULL);
    weir_reply_destroy(NULL);
    weir_reply_push(NULL, 1, NULL, NULL);
    weir_reply_push_text(NULL, "x", 1, NULL, NULL);
    weir_reply_end(NULL, NULL, NULL);
    weir_session_cancel(NULL);
    weir_engine_stats_reset(NULL);
    weir_sampler_accept(NULL, 1);
    weir_machine_get(NULL, NULL);
    weir_plan_expect(NULL, &plan, NULL, 0, 0.0);
    assert_int_equal(weir_engine_close(NULL), WEIR_OK);
    assert_null(weir_engine_plan(NULL));
    assert_null(weir_engine_model(NULL));
    assert_null(weir_engine_mode(NULL));
    assert_null(weir_engine_tokenizer(NULL));
    assert_null(weir_engine_tokenizer_why(NULL));
    assert_int_equal(weir_engine_timeline_write(NULL, stderr), UINT64_MAX);
    assert_null(weir_tokenizer_warnings(NULL));
    assert_int_equal(weir_tokenizer_piece(NULL, 1, out), 0);
    assert_int_equal(weir_tokenizer_vocab_count(NULL), 0);
    assert_int_equal(weir_tokenizer_bos(NULL), WEIR_ID_NONE);
    assert_false(weir_tokenizer_adds_bos(NULL) || weir_tokenizer_is_end(NULL, 0));
    assert_int_equal(weir_encoder_least(NULL), 0);
    assert_int_equal(weir_decoder_push(NULL, 1, out) + weir_decoder_flush(NULL, out), 0);
    assert_int_equal(weir_stops_push(NULL, "x", 1, out) + weir_stops_flush(NULL, out), 0);
    assert_true(weir_stops_found(NULL) == SIZE_MAX);
    assert_null(weir_session_logits(NULL));
    assert_int_equal(weir_session_position(NULL), 0);
    assert_false(weir_session_is_coming(NULL));
    assert_int_equal(weir_session_ready(NULL), 0);
    assert_int_equal(weir_engine_text_bytes(NULL, 9), 0);
    assert_int_equal(weir_token_cost_state(NULL, 9), 0);
    assert_int_equal(weir_chat_origin(NULL), WEIR_CHAT_PLAIN);
    assert_false(weir_chat_mentions(NULL, "x"));
    assert_null(weir_chat_calls(NULL));
    assert_null(weir_chat_format_name(UINT32_MAX));
    assert_null(weir_call_format_name(UINT32_MAX));
    assert_null(weir_reasoning_end(UINT32_MAX));
    assert_int_equal(weir_reply_call_count(NULL), 0);
    assert_null(weir_reply_reasoning_end(NULL));
    assert_false(weir_sampler_force(NULL, 1));
    assert_int_equal(weir_sampler_bytes_left(NULL), 0);
    assert_false(weir_calibration_fits(NULL, &plan));
    assert_int_equal(weir_sampler_create(&sampler, &choice, 3, NULL), WEIR_OK);
    assert_int_equal(weir_sampler_pick(sampler, NULL), WEIR_ID_NONE);
    assert_int_equal(weir_sampler_pick(NULL, logits), WEIR_ID_NONE);
    assert_int_equal(weir_sampler_pick(sampler, logits), 0);
    assert_false(weir_sampler_force(sampler, 3)); /* one past the last */
    weir_sampler_destroy(&sampler);
}

/* ---- what is out of range -------------------------------------------------------------------- */

static void expect_setting(struct weir_config config, const char *wanted)
{
    static struct weir_plan plan;
    weir_engine *engine = NULL;
    struct weir_err err = {0};
    assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, wanted));
    err = (struct weir_err){0};
    assert_int_equal(weir_engine_open(&engine, &config, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, wanted));
    assert_null(engine);
}

static void a_setting_that_is_no_choice_names_the_range(void **state)
{
    (void)state;
    struct weir_config config = small_config();
    config.io = (enum weir_engine_io)77;
    expect_setting(config, "io: wanted 0 to 2, found 77");
    config.io = (enum weir_engine_io)(WEIR_ENGINE_IO_THREADS + 1);
    expect_setting(config, "io: wanted 0 to 2, found 3");
    config = small_config();
    config.lookahead = (enum weir_lookahead)99;
    expect_setting(config, "lookahead: wanted 0 to 2, found 99");
    config = small_config();
    config.expert_share = (double)NAN;
    expect_setting(config, "share of experts: wanted 0 to 1, found nan");
}

static void a_phase_or_flag_that_is_none_names_the_range(void **state)
{
    (void)state;
    struct bench bench;
    struct weir_err err = {0};
    uint32_t *ids = NULL;
    size_t count = 0;
    open_bench(&bench);
    struct weir_eval eval = {
        .session = bench.running, .ids = prompt, .count = 1, .phase = (enum weir_eval_phase)44};
    assert_int_equal(weir_engine_eval(bench.engine, &eval, 1, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "phase: wanted 0 to 2, found 44"));
    assert_int_equal(weir_session_position(bench.running), 0);
    eval.phase = WEIR_PHASE_DECODE;
    assert_int_equal(weir_engine_eval(bench.engine, &eval, 1, NULL), WEIR_OK);
    err = (struct weir_err){0};
    assert_int_equal(
        weir_tokenizer_encode(weir_engine_tokenizer(bench.engine), "x", 1, 4, &ids, &count, &err),
        WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "flags: wanted 0 to 3, found 4"));
    close_bench(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_callback_changes_nothing_of_the_engine_that_calls_it),
        cmocka_unit_test(another_thread_changes_nothing_while_an_eval_runs),
        cmocka_unit_test(a_missing_argument_is_named),
        cmocka_unit_test(a_missing_argument_of_a_text_is_named),
        cmocka_unit_test(a_missing_argument_of_a_session_is_named),
        cmocka_unit_test(a_missing_argument_of_a_conversation_is_named),
        cmocka_unit_test(a_missing_argument_of_an_engine_is_named),
        cmocka_unit_test(nothing_is_done_for_nobody),
        cmocka_unit_test(a_setting_that_is_no_choice_names_the_range),
        cmocka_unit_test(a_phase_or_flag_that_is_none_names_the_range),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
