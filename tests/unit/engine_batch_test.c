/* engine_batch_test.c - sequences that share steps, pages and a ceiling have the bits of running
 * alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "engine/engine_internal.h"
#include "engine_toy.h"
#include "golden.h"
#include "pace.h"

enum { TEXTS = 10, TOGETHER = 8, N_CTX = 64 };

/* A text, and the logits of each of its positions when it is computed alone. */
struct text {
    uint32_t ids[N_CTX];
    uint32_t length, prompt;
    float *logits;
    size_t n_vocab;
    uint32_t seen;    /* positions that were told when it ran in company */
    uint32_t differs; /* of them, with other bits */
    weir_session *session;
    uint32_t done;
};

static bool keep_row(void *user, uint32_t position, const float *logits)
{
    struct text *text = user;
    memcpy(text->logits + position * text->n_vocab, logits, text->n_vocab * sizeof(*logits));
    return true;
}

static bool compare_row(void *user, uint32_t position, const float *logits)
{
    struct text *text = user;
    assert_int_equal(position, text->seen);
    text->seen++;
    text->differs += memcmp(text->logits + position * text->n_vocab, logits,
                            text->n_vocab * sizeof(*logits)) != 0;
    return true;
}

static void make_texts(const struct golden *golden, struct text texts[TEXTS])
{
    struct weir_err err = {0};
    const struct weir_config config = {.model_path = golden->model_path, .n_thread = 2};
    weir_engine *engine = open_engine(&config);
    const size_t n_vocab = weir_engine_model(engine)->n_vocab;
    for (uint32_t index = 0; index < TEXTS; index++) {
        struct text *text = &texts[index];
        memset(text, 0, sizeof(*text));
        text->n_vocab = n_vocab;
        text->length = 20 + index * 3 % 17;
        text->prompt = 1 + index * 7 % 18;
        for (uint32_t at = 0; at < text->length; at++)
            text->ids[at] = golden->ids[(at * (index + 1) + index) % golden->id_count];
        text->logits = malloc(text->length * n_vocab * sizeof(float));
        assert_int_equal(weir_session_create(&text->session, engine, &err), WEIR_OK);
        if (weir_session_eval(text->session, text->ids, text->length, keep_row, text, &err) !=
            WEIR_OK)
            fail_msg("%s alone: %s", golden->name, err.text);
        weir_session_destroy(&text->session);
    }
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

/* One more step of every text that is open: a new one's prompt, or the next token. Texts that end
 * make room for others. False when all have ended. */
static bool run_round(weir_engine *engine, struct text texts[TEXTS], uint32_t *next)
{
    struct weir_err err = {0};
    struct weir_eval evals[TEXTS];
    uint32_t count = 0;
    uint32_t open_count = 0;
    for (uint32_t index = 0; index < *next; index++)
        open_count += texts[index].session != NULL;
    /* One begins in each round, so that prompts and tokens meet. */
    if (*next < TEXTS && open_count < TOGETHER)
        assert_int_equal(weir_session_create(&texts[(*next)++].session, engine, &err), WEIR_OK);
    for (uint32_t index = 0; index < *next; index++) {
        struct text *text = &texts[index];
        if (text->session == NULL)
            continue;
        evals[count++] = (struct weir_eval){
            .session = text->session,
            .ids = text->ids + text->done,
            .count = text->done == 0 ? text->prompt : 1,
            .each = compare_row,
            .user = text,
        };
        text->done += (uint32_t)evals[count - 1].count;
    }
    if (count == 0)
        return false;
    if (weir_engine_eval(engine, evals, count, &err) != WEIR_OK)
        fail_msg("together: %s", err.text);
    for (uint32_t index = 0; index < *next; index++)
        if (texts[index].session != NULL && texts[index].done == texts[index].length)
            weir_session_destroy(&texts[index].session);
    return true;
}

static void run_together(const struct golden *golden, struct text texts[TEXTS],
                         const struct weir_config *config)
{
    weir_engine *engine = open_engine(config);
    uint32_t next = 0;
    struct weir_stats stats;
    for (uint32_t index = 0; index < TEXTS; index++)
        texts[index].seen = texts[index].differs = texts[index].done = 0;
    while (run_round(engine, texts, &next))
        weir_state_check(engine->state);
    for (uint32_t index = 0; index < TEXTS; index++) {
        assert_int_equal(texts[index].seen, texts[index].length);
        if (texts[index].differs > 0)
            fail_msg("%s: text %u differs at %u positions; %u slots, %u threads, chunk %u",
                     golden->name, index, texts[index].differs, config->n_slot, config->n_thread,
                     config->n_chunk);
    }
    weir_engine_stats_get(engine, &stats);
    assert_true(stats.reads_per_expert_max <= 1);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

static void company_changes_no_bit(void **state)
{
    static const char *const names[] = {"qwen3moe",
                                        "olmoe",
                                        "qwen2moe",
                                        "llama",
                                        "gpt-oss",
                                        "gemma4",
                                        "gemma4-e2b",
                                        "llama4",
                                        "phi3-short",
                                        "deepseek2",
                                        "qwen35moe",
                                        "qwen3next",
                                        "llama-mixtral",
                                        "glm4moe-groups",
                                        "directories/gpt-oss",
                                        "directories/qwen3moe-nvfp4"};
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(names); index += pace_step(5)) {
        struct golden golden;
        struct weir_model_info info;
        static struct text texts[TEXTS];
        assert_true(golden_open(&golden, names[index]));
        assert_int_equal(weir_model_info_get(&info, golden.model_path, NULL), WEIR_OK);
        make_texts(&golden, texts);
        for (uint32_t variant = 0; variant < 6; variant++) {
            const struct weir_bench_config bench = {.fake_io_seed = variant == 4 ? 11 : 0,
                                                    .fake_io_fault = 1};
            const struct weir_config config = {
                .model_path = golden.model_path,
                .n_thread = 1 + variant % 3,
                .n_chunk = variant % 2 == 0 ? 64 : 5,
                .n_slot = variant < 3 ? info.n_expert_used : 0,
                .bench = &bench,
            };
            run_together(&golden, texts, &config);
        }
        for (uint32_t text = 0; text < TEXTS; text++)
            free(texts[text].logits);
        golden_close(&golden);
    }
}

/* A session that begins as another did takes its pages over, and goes on with the same bits. */
static void a_known_beginning_is_taken_over(void **state)
{
    struct weir_err err = {0};
    const struct weir_config config = {
        .model_path = "models/demo/weir-demo.gguf", .n_thread = 2, .n_ctx = 1024};
    weir_engine *engine = open_engine(&config);
    weir_session *sessions[2] = {NULL, NULL};
    const uint32_t n_vocab = weir_engine_model(engine)->n_vocab;
    const uint32_t page_length = weir_state_view_get(engine->state, 0).page_length;
    const uint32_t count = page_length + 7;
    uint32_t *ids = malloc(count * sizeof(*ids));
    float *logits = malloc(n_vocab * sizeof(*logits));
    uint32_t adopted = 0;
    (void)state;
    assert_true(count <= 1024);
    for (uint32_t at = 0; at < count; at++)
        ids[at] = (at * 7919 + 3) % n_vocab;
    assert_int_equal(weir_session_create(&sessions[0], engine, &err), WEIR_OK);
    assert_int_equal(weir_session_eval(sessions[0], ids, count, NULL, NULL, &err), WEIR_OK);
    memcpy(logits, weir_session_logits(sessions[0]), n_vocab * sizeof(*logits));
    for (int round = 0; round < 2; round++) { /* while the first one lives, and after it */
        assert_int_equal(weir_session_create(&sessions[1], engine, &err), WEIR_OK);
        assert_int_equal(weir_session_adopt(sessions[1], ids, count, &adopted, &err), WEIR_OK);
        assert_int_equal(adopted, page_length);
        assert_int_equal(weir_session_position(sessions[1]), adopted);
        assert_int_equal(weir_session_adopt(sessions[1], ids, count, &adopted, &err), WEIR_ERR_ARG);
        assert_int_equal(weir_session_eval(sessions[1], ids + page_length, 7, NULL, NULL, &err),
                         WEIR_OK);
        assert_memory_equal(weir_session_logits(sessions[1]), logits, n_vocab * sizeof(*logits));
        weir_session_destroy(&sessions[1]);
        weir_session_destroy(&sessions[0]);
    }
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    free(ids);
    free(logits);
}

/* Two sessions from one: each goes its own way. */
static void fork_one(const char *name)
{
    struct golden golden;
    struct weir_err err = {0};
    static struct text texts[TEXTS];
    weir_session *twin = NULL;
    assert_true(golden_open(&golden, name));
    make_texts(&golden, texts);
    struct text *text = &texts[3];
    const struct weir_config config = {.model_path = golden.model_path, .n_thread = 2};
    weir_engine *engine = open_engine(&config);
    const uint32_t half = text->length / 2;
    assert_int_equal(weir_session_create(&text->session, engine, &err), WEIR_OK);
    assert_int_equal(weir_session_eval(text->session, text->ids, half, compare_row, text, &err),
                     WEIR_OK);
    assert_int_equal(weir_session_fork(&twin, text->session, &err), WEIR_OK);
    assert_int_equal(weir_session_position(twin), half);
    assert_memory_equal(weir_session_logits(twin), weir_session_logits(text->session),
                        text->n_vocab * sizeof(float));
    for (uint32_t at = half; at < text->length; at++) {
        const uint32_t other = (text->ids[at] + 1) % (uint32_t)text->n_vocab;
        struct weir_eval evals[] = {
            {.session = twin, .ids = &other, .count = 1},
            {.session = text->session,
             .ids = &text->ids[at],
             .count = 1,
             .each = compare_row,
             .user = text},
        };
        assert_int_equal(weir_engine_eval(engine, evals, 2, &err), WEIR_OK);
    }
    assert_int_equal(text->differs, 0);
    assert_int_equal(text->seen, text->length);
    weir_session_destroy(&twin);
    weir_session_destroy(&text->session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    for (uint32_t index = 0; index < TEXTS; index++)
        free(texts[index].logits);
    golden_close(&golden);
}

static void a_fork_goes_its_own_way(void **state)
{
    (void)state;
    fork_one("qwen3moe");
    fork_one("qwen35moe");
}

/* One of two is stopped: the other goes on, and both can go on later. */
static void stop_one(const char *name)
{
    struct golden golden;
    struct weir_err err = {0};
    weir_session *sessions[2] = {NULL, NULL};
    assert_true(golden_open(&golden, name));
    const struct weir_config config = {
        .model_path = golden.model_path, .n_thread = 2, .n_chunk = 4};
    weir_engine *engine = open_engine(&config);
    for (int index = 0; index < 2; index++)
        assert_int_equal(weir_session_create(&sessions[index], engine, &err), WEIR_OK);
    struct weir_eval evals[] = {{.session = sessions[0], .ids = golden.ids, .count = 20},
                                {.session = sessions[1], .ids = golden.ids, .count = 20}};
    weir_session_cancel(sessions[0]);
    assert_int_equal(weir_engine_eval(engine, evals, 2, &err), WEIR_ERR_CANCELLED);
    assert_int_equal(evals[0].status, WEIR_ERR_CANCELLED);
    assert_int_equal(evals[1].status, WEIR_OK);
    assert_int_equal(weir_session_position(sessions[0]), 0);
    assert_int_equal(weir_session_position(sessions[1]), 20);
    assert_int_equal(weir_engine_eval(engine, evals, 1, &err), WEIR_OK);
    assert_memory_equal(weir_session_logits(sessions[0]), weir_session_logits(sessions[1]),
                        weir_engine_model(engine)->n_vocab * sizeof(float));
    for (int index = 0; index < 2; index++)
        weir_session_destroy(&sessions[index]);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    golden_close(&golden);
}

static void a_stopped_session_leaves_the_others_alone(void **state)
{
    (void)state;
    stop_one("qwen3moe");
    stop_one("qwen35moe");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(company_changes_no_bit),
        cmocka_unit_test(a_known_beginning_is_taken_over),
        cmocka_unit_test(a_fork_goes_its_own_way),
        cmocka_unit_test(a_stopped_session_leaves_the_others_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
