/* engine_saved_test.c - a session whose text came from the disk writes what it would have written,
 * bit for bit, for every kind of layer; a disk that fails costs time only; memory goes to others
 * while a text is away. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/engine_internal.h"
#include "engine_toy.h"
#include "golden.h"
#include "io/io_internal.h"
#include "pace.h"
#include "prefix/prefix_internal.h"
#include "scratch.h"

#define DEMO "models/demo/weir-demo.gguf"

enum { N_CTX = 64, LENGTH = 40, ALL = 48, DEADLINE_S = 300 };

static char folder[64];

static void make_folder(void)
{
    mkdir("build", 0777);
    snprintf(folder, sizeof(folder), "build/saved-test-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void evaluate(weir_session *session, const uint32_t *ids, uint32_t count)
{
    struct weir_err err = {0};
    if (weir_session_eval(session, ids, count, NULL, NULL, &err) != WEIR_OK)
        fail_msg("%s", err.text);
}

static void wait_for_all(weir_engine *engine)
{
    while (weir_engine_disk_wait(engine, 1.0))
        ;
}

static struct weir_saved_stats stats_of(const weir_engine *engine)
{
    struct weir_saved_stats stats;
    assert_true(weir_engine_saved_get(engine, &stats));
    return stats;
}

static uint32_t recall(weir_session *session, const uint32_t *ids, uint32_t count)
{
    struct weir_err err = {0};
    uint32_t recalled = 0;
    session->engine->prompt_row_s = 0.0; /* what was measured decides nothing here */
    if (weir_session_recall(session, ids, count, &recalled, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(weir_session_position(session), recalled);
    return recalled;
}

/* All of a text's logits at its end, computed at once. */
static void compute_all(const struct weir_config *config, const uint32_t *ids, float *logits,
                        size_t n_vocab)
{
    struct weir_config plain = *config;
    plain.text_folder = NULL;
    weir_engine *engine = open_engine(&plain);
    weir_session *session = begin(engine);
    evaluate(session, ids, ALL);
    memcpy(logits, weir_session_logits(session), n_vocab * sizeof(*logits));
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

static void save_text(const struct weir_config *config, const uint32_t *ids)
{
    weir_engine *engine = open_engine(config);
    weir_session *session = begin(engine);
    evaluate(session, ids, LENGTH);
    assert_int_equal(weir_session_save(session, NULL), WEIR_OK);
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

/* Some are on a device, as a whole. */
static enum weir_engine_gpu gpu_of(const char *name, size_t index)
{
    const bool is_there = index % 3 == 1 || strcmp(name, "qwen35moe") == 0 ||
                          strcmp(name, "deepseek2-glm") == 0 || strcmp(name, "gpt-oss") == 0;
    return is_there ? WEIR_ENGINE_GPU_SIM : WEIR_ENGINE_GPU_OFF;
}

/* Saved by one engine, a text goes on in another. */
static void check_comes_back(const struct golden *golden, enum weir_engine_gpu gpu, const char *kv)
{
    struct weir_model_info info;
    make_folder();
    const struct weir_config config = {.model_path = golden->model_path,
                                       .n_thread = 2,
                                       .n_ctx = N_CTX,
                                       .text_folder = folder,
                                       .text_bytes = 64 << 20,
                                       .gpu = gpu,
                                       .kv = kv};
    assert_int_equal(weir_model_info_get(&info, golden->model_path, NULL), WEIR_OK);
    assert_true(golden->id_count >= ALL);
    float *logits = malloc(info.n_vocab * sizeof(float));
    compute_all(&config, golden->ids, logits, info.n_vocab);
    save_text(&config, golden->ids);
    weir_engine *engine = open_engine(&config);
    assert_int_equal(weir_engine_saved(engine, golden->ids, ALL), LENGTH);
    weir_session *session = begin(engine);
    assert_int_equal(recall(session, golden->ids, ALL), LENGTH);
    evaluate(session, golden->ids + LENGTH, ALL - LENGTH);
    assert_int_equal(stats_of(engine).recalled_tokens, LENGTH);
    if (memcmp(logits, weir_session_logits(session), info.n_vocab * sizeof(float)) != 0)
        fail_msg("%s: other bits behind a text that came back", golden->name);
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    free(logits);
    scratch_remove(folder);
}

static void a_text_comes_back_in_every_kind_of_layer(void **state)
{
    char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = golden_list(names);
    (void)state;
    for (size_t index = 0; index < count; index += pace_step(4)) {
        struct golden golden;
        assert_true(golden_open(&golden, names[index]));
        const enum weir_engine_gpu gpu = gpu_of(names[index], index);
        check_comes_back(&golden, gpu, gpu == WEIR_ENGINE_GPU_OFF && index % 3 == 0 ? "f32" : NULL);
        golden_close(&golden);
    }
}

/* A device's pages of blocks lie as those in memory. */
static void a_text_in_fewer_bits_comes_back_to_a_device(void **state)
{
    struct golden golden = {.name = "demo", .model_path = DEMO, .id_count = ALL};
    (void)state;
    for (uint32_t at = 0; at < ALL; at++)
        golden.ids[at] = at * 37 % 1000;
    check_comes_back(&golden, WEIR_ENGINE_GPU_SIM, "q8_0");
}

/* Reads that fail, for good or at first: the same bits. */
static void what_does_not_come_is_computed(void **state)
{
    static const struct weir_io_fake fakes[] = {
        {.error_rate = 1.0}, {.short_rate = 0.5, .retry_rate = 0.5}, {.lost_rate = 1.0}};
    static const char *const names[] = {"gpt-oss", "qwen35moe", "qwen3next", "deepseek2"};
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        struct golden golden;
        /* Of every second one two layers are on a device. */
        const struct weir_bench_config bench = {.fake_io_seed = 3,
                                                .gpu_is_placed = true,
                                                .gpu_first_layer = 1,
                                                .gpu_layer_count = 2,
                                                .gpu_expert_count = 2,
                                                .gpu_copies = 2};
        assert_true(golden_open(&golden, names[index]));
        const struct weir_config config = {.model_path = golden.model_path,
                                           .n_thread = 2,
                                           .n_ctx = N_CTX,
                                           .gpu = index % 2 == 0 ? WEIR_ENGINE_GPU_OFF
                                                                 : WEIR_ENGINE_GPU_SIM,
                                           .text_folder = folder,
                                           .bench = &bench};
        struct weir_model_info info;
        assert_int_equal(weir_model_info_get(&info, golden.model_path, NULL), WEIR_OK);
        float *logits = malloc(info.n_vocab * sizeof(float));
        compute_all(&config, golden.ids, logits, info.n_vocab);
        for (size_t fake = 0; fake < WEIR_COUNT(fakes); fake++) {
            make_folder();
            save_text(&config, golden.ids);
            weir_engine *engine = open_engine(&config);
            const uint64_t seed = engine->prefix->io->config.fake.seed;
            engine->prefix->io->config.fake = fakes[fake];
            engine->prefix->io->config.fake.seed = seed;
            engine->prefix->io->config.stall_ns = 20000000;
            weir_session *session = begin(engine);
            assert_int_equal(recall(session, golden.ids, ALL), LENGTH);
            evaluate(session, golden.ids + LENGTH, ALL - LENGTH);
            assert_int_equal(weir_session_position(session), ALL);
            if (fakes[fake].short_rate == 0.0)
                assert_int_equal(stats_of(engine).recalled_tokens, 0);
            if (memcmp(logits, weir_session_logits(session), info.n_vocab * sizeof(float)) != 0)
                fail_msg("%s: other bits", names[index]);
            weir_session_destroy(&session);
            assert_int_equal(weir_engine_close(&engine), WEIR_OK);
            scratch_remove(folder);
        }
        free(logits);
        golden_close(&golden);
    }
}

/* The smallest ceiling has room for one long text: another one begins as soon as the first is on
 * the disk, and that one comes back when it is gone. */
static void memory_goes_to_others_while_a_text_is_away(void **state)
{
    enum { LONG = IS_SANITIZED ? 48 : 400, CTX = 512 };
    static uint32_t ids[2][LONG + 1];
    struct weir_plan plan;
    make_folder();
    struct weir_config config = {
        .model_path = DEMO, .n_thread = 2, .n_ctx = CTX, .text_folder = folder};
    (void)state;
    assert_int_equal(weir_plan_make(&plan, &config, NULL), WEIR_OK);
    config.mem_bytes = plan.min_bytes;
    weir_engine *engine = open_engine(&config);
    const size_t n_vocab = weir_engine_model(engine)->n_vocab;
    float *logits = malloc(n_vocab * sizeof(float));
    for (uint32_t at = 0; at <= LONG; at++) {
        ids[0][at] = (at * 7 + 5) % 1000;
        ids[1][at] = (at * 11 + 3) % 1000;
    }
    for (uint32_t turn = 0; turn < 4; turn++) {
        weir_session *session = begin(engine);
        const uint32_t known = recall(session, ids[turn % 2], LONG + 1);
        if (turn >= 2)
            assert_int_equal(known, LONG);
        evaluate(session, ids[turn % 2] + known, LONG + 1 - known);
        if (turn == 0)
            memcpy(logits, weir_session_logits(session), n_vocab * sizeof(float));
        if (turn == 2)
            assert_memory_equal(logits, weir_session_logits(session), n_vocab * sizeof(float));
        assert_int_equal(weir_session_rewind(session, LONG), WEIR_OK);
        assert_int_equal(weir_session_save(session, NULL), WEIR_OK);
        weir_session_destroy(&session);
    }
    wait_for_all(engine);
    assert_true(stats_of(engine).reused_pages > 0);
    free(logits);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    scratch_remove(folder);
}

/* Sessions are forked, rewound and destroyed while their texts come. */
static void whatever_is_called_meanwhile_waits(void **state)
{
    static const char *const names[] = {"qwen3moe", "qwen3next"};
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        struct golden golden;
        weir_session *twin = NULL;
        assert_true(golden_open(&golden, names[index]));
        make_folder();
        const struct weir_bench_config bench = {.fake_io_seed = 3};
        const struct weir_config config = {.model_path = golden.model_path,
                                           .n_thread = 2,
                                           .n_ctx = N_CTX,
                                           .text_folder = folder,
                                           .bench = &bench};
        save_text(&config, golden.ids);
        weir_engine *engine = open_engine(&config);
        weir_session *session = begin(engine);
        assert_int_equal(recall(session, golden.ids, ALL), LENGTH);
        assert_int_equal(weir_session_fork(&twin, session, NULL), WEIR_OK);
        assert_false(weir_session_is_coming(session));
        assert_int_equal(weir_session_ready(twin), LENGTH);
        weir_session_destroy(&twin);
        assert_int_equal(weir_session_rewind(session, 0), WEIR_OK);
        weir_state_trim(engine->state, 0);
        assert_int_equal(recall(session, golden.ids, ALL), LENGTH);
        assert_int_equal(weir_session_rewind(session, 10), WEIR_OK);
        evaluate(session, golden.ids + 10, ALL - 10);
        weir_session_destroy(&session);
        session = begin(engine);
        weir_state_trim(engine->state, 0);
        (void)recall(session, golden.ids, ALL);
        weir_session_destroy(&session); /* while it comes */
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        golden_close(&golden);
        scratch_remove(folder);
    }
}

static void misuse_is_told(void **state)
{
    struct weir_err err = {0};
    uint32_t recalled = 7, ids[3] = {1, 2, 3};
    struct weir_config config = {.model_path = DEMO, .n_thread = 1, .n_ctx = N_CTX};
    (void)state;
    weir_engine *engine = open_engine(&config);
    weir_session *session = begin(engine);
    assert_int_equal(weir_session_save(session, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "text_folder"));
    assert_int_equal(weir_session_recall(session, ids, 3, &recalled, NULL), WEIR_OK);
    assert_int_equal(recalled, 0);
    assert_int_equal(weir_engine_saved(engine, ids, 3), 0);
    assert_false(weir_engine_disk_wait(engine, 1.0));
    struct weir_saved_stats stats;
    assert_false(weir_engine_saved_get(engine, &stats));
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    make_folder();
    config.text_folder = folder;
    config.text_bytes = 1000;
    assert_int_equal(weir_engine_open(&engine, &config, &err), WEIR_ERR_ARG);
    config.text_bytes = 0;
    engine = open_engine(&config);
    session = begin(engine);
    evaluate(session, ids, 3);
    err = (struct weir_err){0};
    assert_int_equal(weir_session_recall(session, ids, 3, &recalled, &err), WEIR_ERR_ARG);
    assert_int_equal(weir_session_save(NULL, NULL), WEIR_ERR_ARG);
    assert_int_equal(weir_session_recall(session, NULL, 3, &recalled, NULL), WEIR_ERR_ARG);
    weir_session_destroy(&session);
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
    scratch_remove(folder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(misuse_is_told),
        cmocka_unit_test(a_text_comes_back_in_every_kind_of_layer),
        cmocka_unit_test(a_text_in_fewer_bits_comes_back_to_a_device),
        cmocka_unit_test(what_does_not_come_is_computed),
        cmocka_unit_test(memory_goes_to_others_while_a_text_is_away),
        cmocka_unit_test(whatever_is_called_meanwhile_waits),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
