/* engine_kv_test.c - keys and values in every format: the same bits however a text is cut,
 * rewound, forked, joined by others, kept on a disk, or short of slots; what cannot be is refused
 * by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/base.h"
#include "engine_toy.h"
#include "golden.h"
#include "pace.h"
#include "scratch.h"
#include "weir.h"

#define DEMO "models/demo/weir-demo.gguf"

/* Long enough that tiles are seen packed from the middle of a page on: 128 rows, and some tiles. */
enum { LENGTH = 230, N_CTX = 256 };

static const char *const kvs[] = {"f16", "f32", "bf16", "q8_0", "q4_0", "kivi4", "kivi2"};

static uint32_t ids[LENGTH];
static float *wanted; /* logits behind all ids, computed at once */
static uint32_t n_vocab;

static void evaluate(weir_session *session, uint32_t from, uint32_t count)
{
    struct weir_err err = {0};
    if (weir_session_eval(session, ids + from, count, NULL, NULL, &err) != WEIR_OK)
        fail_msg("%s", err.text);
}

static void check(const weir_session *session, const char *kv, const char *what)
{
    assert_int_equal(weir_session_position(session), LENGTH);
    if (memcmp(weir_session_logits(session), wanted, n_vocab * sizeof(*wanted)) != 0)
        fail_msg("%s: other bits %s", kv, what);
}

static struct weir_config config_of(const char *kv)
{
    return (struct weir_config){
        .model_path = DEMO, .n_thread = 2, .n_ctx = N_CTX, .n_chunk = N_CTX, .kv = kv};
}

/* The text in one piece; *wanted is what it gives. */
static void compute(const char *kv)
{
    const struct weir_config config = config_of(kv);
    weir_engine *engine = open_engine(&config);
    weir_session *session = begin(engine);
    uint64_t random = 7;
    n_vocab = weir_engine_model(engine)->n_vocab;
    for (uint32_t at = 0; at < LENGTH; at++)
        ids[at] = (uint32_t)(weir_random_next(&random) % n_vocab);
    if (wanted == NULL)
        wanted = malloc(n_vocab * sizeof(*wanted));
    evaluate(session, 0, LENGTH);
    memcpy(wanted, weir_session_logits(session), n_vocab * sizeof(*wanted));
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

/* Pieces whose ends lie in and between tiles, and single tokens. */
static void check_pieces(weir_engine *engine, const char *kv)
{
    static const uint32_t pieces[] = {1, 30, 1, 33, 62, 1, 1, 31, 5, 27, 1};
    weir_session *session = begin(engine);
    uint32_t from = 0;
    for (size_t at = 0; at < WEIR_COUNT(pieces); from += pieces[at++])
        evaluate(session, from, pieces[at]);
    for (; from < LENGTH - 20; from++)
        evaluate(session, from, 1);
    evaluate(session, from, LENGTH - from);
    check(session, kv, "in pieces");
    weir_session_destroy(&session);
}

/* Another end is computed over the text's own, and taken back: in a tile, and long ago. */
static void check_rewinds(weir_engine *engine, const char *kv)
{
    static const uint32_t lengths[] = {225, 200, 224, 229, 131, 40, 0};
    const size_t count = pace_is_long() ? WEIR_COUNT(lengths) : 2;
    weir_session *session = begin(engine);
    evaluate(session, 0, LENGTH);
    for (size_t at = 0; at < count; at++) {
        assert_int_equal(weir_session_rewind(session, lengths[at]), WEIR_OK);
        evaluate(session, 3, weir_min(N_CTX - lengths[at], 20));
        assert_int_equal(weir_session_rewind(session, lengths[at]), WEIR_OK);
        evaluate(session, lengths[at], LENGTH - lengths[at]);
        check(session, kv, "behind a rewind");
    }
    weir_session_destroy(&session);
}

/* A fork writes into what was shared; both go on, together with a third text. */
static void check_company(weir_engine *engine, const char *kv)
{
    struct weir_err err = {0};
    weir_session *one = begin(engine);
    weir_session *third = begin(engine);
    weir_session *two = NULL;
    evaluate(one, 0, 170);
    assert_int_equal(weir_session_fork(&two, one, &err), WEIR_OK);
    evaluate(two, 5, 40);
    assert_int_equal(weir_session_rewind(two, 170), WEIR_OK);
    struct weir_eval evals[] = {
        {.session = one, .ids = ids + 170, .count = LENGTH - 170},
        {.session = third, .ids = ids, .count = LENGTH},
        {.session = two, .ids = ids + 170, .count = LENGTH - 170},
    };
    assert_int_equal(weir_engine_eval(engine, evals, 3, &err), WEIR_OK);
    check(one, kv, "beside a fork");
    check(two, kv, "in a fork");
    check(third, kv, "beside others");
    weir_session_destroy(&one);
    weir_session_destroy(&two);
    weir_session_destroy(&third);
}

/* As few slots as there can be, and steps of few rows. */
static void check_streamed(const char *kv)
{
    struct weir_config config = config_of(kv);
    struct weir_plan plan;
    config.n_chunk = 50;
    assert_int_equal(weir_plan_make(&plan, &config, NULL), WEIR_OK);
    config.mem_bytes = plan.min_bytes + (1 << 20);
    weir_engine *engine = open_engine(&config);
    weir_session *session = begin(engine);
    assert_true(weir_engine_plan(engine)->n_slot_total < weir_engine_plan(engine)->n_expert_total);
    evaluate(session, 0, LENGTH);
    check(session, kv, "with few slots");
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

static char folder[64];

/* A text that was kept on the disk goes on in another engine; in one of another format it is not
 * known. */
static void check_restart(const char *kv, const char *other)
{
    struct weir_config config = config_of(kv);
    config.text_folder = folder;
    mkdir("build", 0777);
    snprintf(folder, sizeof(folder), "build/kv-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
    weir_engine *engine = open_engine(&config);
    weir_session *session = begin(engine);
    evaluate(session, 0, 200);
    assert_int_equal(weir_session_save(session, NULL), WEIR_OK);
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    config.kv = other;
    engine = open_engine(&config);
    assert_int_equal(weir_engine_saved(engine, ids, LENGTH), 0);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    config.kv = kv;
    engine = open_engine(&config);
    assert_int_equal(weir_engine_saved(engine, ids, LENGTH), 200);
    session = begin(engine);
    uint32_t recalled = 0;
    assert_int_equal(weir_session_recall(session, ids, LENGTH, &recalled, NULL), WEIR_OK);
    evaluate(session, recalled, LENGTH - recalled);
    check(session, kv, "behind a restart");
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    scratch_remove(folder);
}

static void no_bit_depends_on_how_a_text_came(void **state)
{
    (void)state;
    /* By default the formats that are least like f16: rows of blocks, and tiles. */
    for (size_t at = pace_is_long() ? 0 : 4; at < WEIR_COUNT(kvs); at += pace_is_long() ? 1 : 2) {
        const struct weir_config config = config_of(kvs[at]);
        compute(kvs[at]);
        weir_engine *engine = open_engine(&config);
        assert_string_equal(weir_engine_mode(engine)->kv, kvs[at]);
        assert_int_equal(weir_engine_mode(engine)->kv_is_lossy, at >= 3);
        check_pieces(engine, kvs[at]);
        check_rewinds(engine, kvs[at]);
        check_company(engine, kvs[at]);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        check_streamed(kvs[at]);
        check_restart(kvs[at], kvs[(at + 1) % WEIR_COUNT(kvs)]);
    }
}

static void what_cannot_be_kept_so_is_refused(void **state)
{
    static const struct {
        const char *name, *kv;
        enum weir_status status;
    } cases[] = {
        {"deepseek2", "bf16", WEIR_OK},
        {"deepseek2", "q4_0", WEIR_ERR_UNSUPPORTED},
        {"deepseek2", "kivi2", WEIR_ERR_UNSUPPORTED},
        {"qwen3moe", "bf16", WEIR_OK},
        {"qwen3moe", "q5_0", WEIR_ERR_ARG},
    };
    (void)state;
    for (size_t at = 0; at < WEIR_COUNT(cases); at++) {
        struct golden golden;
        struct weir_plan plan;
        struct weir_err err = {0};
        assert_true(golden_open(&golden, cases[at].name));
        const struct weir_config config = {
            .model_path = golden.model_path, .n_thread = 1, .kv = cases[at].kv};
        assert_int_equal(weir_plan_make(&plan, &config, &err), cases[at].status);
        if (cases[at].status != WEIR_OK)
            assert_non_null(strstr(err.text, cases[at].kv));
        golden_close(&golden);
    }
}

/* The plan knows the bytes of a position: of 12 layers with 4 heads of 64 and 64 values. */
static void the_plan_has_the_bytes(void **state)
{
    static const struct {
        const char *kv;
        uint64_t bytes; /* of 512 values */
    } cases[] = {{"f16", 1024}, {"f32", 2048},  {"bf16", 1024}, {"q8_0", 544},
                 {"q4_0", 288}, {"kivi4", 320}, {"kivi2", 192}};
    (void)state;
    for (size_t at = 0; at < WEIR_COUNT(cases); at++) {
        struct weir_plan plan;
        const struct weir_config config = {.model_path = DEMO, .n_thread = 1, .kv = cases[at].kv};
        assert_int_equal(weir_plan_make(&plan, &config, NULL), WEIR_OK);
        assert_int_equal(plan.cost.states[0].window, 0);
        assert_int_equal(plan.cost.states[0].position_bytes, 12 * cases[at].bytes);
        assert_int_equal(plan.cost.state_count, at < 5 ? 1 : 2);
        assert_int_equal(weir_token_cost_state(&plan.cost, 1000),
                         12 * (cases[at].bytes * 1000 + (at < 5 ? 0 : 159 * 1024)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_bit_depends_on_how_a_text_came),
        cmocka_unit_test(what_cannot_be_kept_so_is_refused),
        cmocka_unit_test(the_plan_has_the_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
