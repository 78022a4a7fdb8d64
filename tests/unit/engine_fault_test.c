/* engine_fault_test.c - what goes wrong is said: never a wrong token, a hang or a crash. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/heap.h"
#include "formats/formats.h"
#include "golden.h"
#include "io/io_internal.h"
#include "pace.h"
#include "weir_bench.h"

#define MODEL "qwen3moe"

/* A copy of a model that a test may damage; on the file system of the sources, for direct reads. */
static char copy_path[] = "build/fault-test-XXXXXX";

static void copy_model(const char *path)
{
    size_t bytes = 0;
    void *data = golden_read(path, &bytes);
    assert_non_null(data);
    strcpy(copy_path + strlen(copy_path) - 6, "XXXXXX");
    const int fd = mkstemp(copy_path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, bytes), bytes);
    close(fd);
    free(data);
}

static void remove_copy(void)
{
    unlink(copy_path);
}

struct run {
    weir_engine *engine;
    weir_session *session;
    struct weir_err err;
};

static enum weir_status open_run(struct run *run, const struct weir_config *config)
{
    memset(run, 0, sizeof(*run));
    const enum weir_status status = weir_engine_open(&run->engine, config, &run->err);
    if (status != WEIR_OK)
        return status;
    return weir_session_create(&run->session, run->engine, &run->err);
}

static enum weir_status eval_run(struct run *run, const struct golden *golden)
{
    memset(&run->err, 0, sizeof(run->err));
    weir_session_rewind(run->session, 0);
    return weir_session_eval(run->session, golden->ids, golden->id_count, NULL, NULL, &run->err);
}

static void close_run(struct run *run)
{
    weir_session_destroy(&run->session);
    weir_engine_close(&run->engine);
}

static float *last_logits(const struct golden *golden)
{
    return golden->logits + golden->logit_count - golden->logit_count / golden->id_count;
}

static void assert_right(const struct run *run, const struct golden *golden)
{
    const float *found = weir_session_logits(run->session);
    const size_t n_vocab = golden->logit_count / golden->id_count;
    for (size_t id = 0; id < n_vocab; id++)
        assert_true(fabsf(found[id] - last_logits(golden)[id]) <= 1e-4f);
}

static struct weir_config config_of(const char *path)
{
    return (struct weir_config){
        .model_path = path, .n_thread = 2, .n_slot = 3, .n_chunk = 8, .kv = "f32"};
}

/* Reads that fail: the layer and record are named, and once reads work again so does the engine. */
static void failing_reads_are_named_and_leave_no_wrong_token(void **state)
{
    (void)state;
    struct golden golden;
    unsigned failures = 0;
    assert_true(golden_open(&golden, MODEL));
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct weir_config config = config_of(golden.model_path);
        struct run run;
        const struct weir_bench_config bench = {.fake_io_seed = seed, .fake_io_fault = 2};
        config.bench = &bench;
        if (open_run(&run, &config) != WEIR_OK) {
            assert_int_equal(run.err.status, WEIR_ERR_IO);
            assert_non_null(strstr(run.err.text, golden.model_path));
            continue;
        }
        for (int attempt = 0; attempt < 8; attempt++) {
            if (eval_run(&run, &golden) == WEIR_OK) {
                assert_right(&run, &golden);
                continue;
            }
            failures++;
            assert_int_equal(run.err.status, WEIR_ERR_IO);
            assert_non_null(strstr(run.err.text, "layer"));
            assert_non_null(strstr(run.err.text, "record"));
            assert_non_null(strstr(run.err.text, "Input/output error"));
        }
        close_run(&run);
    }
    golden_close(&golden);
    assert_true(failures > 20);
}

static void a_file_that_shrinks_is_named(void **state)
{
    (void)state;
    struct golden golden;
    static const enum weir_engine_io engines[] = {WEIR_ENGINE_IO_AUTO, WEIR_ENGINE_IO_THREADS};
    assert_true(golden_open(&golden, MODEL));
    for (size_t index = 0; index < 4; index++) {
        struct run run;
        copy_model(golden.model_path);
        struct weir_config config = config_of(copy_path);
        config.io = engines[index % 2];
        config.buffered = index >= 2;
        assert_int_equal(open_run(&run, &config), WEIR_OK);
        assert_int_equal(truncate(copy_path, 8192), 0);
        assert_int_equal(eval_run(&run, &golden), WEIR_ERR_FORMAT);
        assert_non_null(strstr(run.err.text, copy_path));
        assert_non_null(strstr(run.err.text, "ends early"));
        close_run(&run);
        remove_copy();
    }
    golden_close(&golden);
}

static void a_truncated_file_is_refused_before_loading(void **state)
{
    (void)state;
    struct golden golden;
    assert_true(golden_open(&golden, MODEL));
    size_t bytes = 0;
    free(golden_read(golden.model_path, &bytes));
    const size_t lengths[] = {0, 3, 23, 24, 1000, bytes / 4, bytes / 2, bytes - 1};
    for (size_t index = 0; index < sizeof(lengths) / sizeof(lengths[0]); index++) {
        struct run run;
        copy_model(golden.model_path);
        const struct weir_config config = config_of(copy_path);
        assert_int_equal(truncate(copy_path, (off_t)lengths[index]), 0);
        assert_int_equal(open_run(&run, &config), WEIR_ERR_FORMAT);
        assert_non_null(strstr(run.err.text, copy_path));
        remove_copy();
    }
    golden_close(&golden);
}

/* Overwrite the first value of a tensor. */
static void damage(const char *tensor_name, float value)
{
    struct weir_err err = {0};
    weir_manifest *manifest = NULL;
    assert_int_equal(weir_manifest_open(&manifest, copy_path, &err), WEIR_OK);
    const struct weir_tensor *tensor = weir_manifest_tensor(manifest, tensor_name);
    assert_non_null(tensor);
    FILE *file = fopen(copy_path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)tensor->offset, SEEK_SET), 0);
    assert_int_equal(fwrite(&value, sizeof(value), 1, file), 1);
    fclose(file);
    weir_manifest_close(&manifest);
}

static void weights_that_are_no_numbers_are_an_error(void **state)
{
    (void)state;
    static const char *const tensors[] = {"blk.0.attn_q.weight",     "blk.1.ffn_gate_inp.weight",
                                          "output_norm.weight",      "blk.0.ffn_norm.weight",
                                          "output.weight",           "blk.1.attn_norm.weight",
                                          "blk.1.attn_k_norm.weight"};
    struct golden golden;
    assert_true(golden_open(&golden, MODEL));
    for (size_t index = 0; index < sizeof(tensors) / sizeof(tensors[0]); index++) {
        struct run run;
        copy_model(golden.model_path);
        const struct weir_config config = config_of(copy_path);
        damage(tensors[index], index % 2 == 0 ? NAN : INFINITY);
        assert_int_equal(open_run(&run, &config), WEIR_OK);
        for (int attempt = 0; attempt < 2; attempt++) { /* it stays usable, and damaged */
            assert_int_equal(eval_run(&run, &golden), WEIR_ERR_FORMAT);
            assert_non_null(strstr(run.err.text, "not finite"));
            assert_non_null(strstr(run.err.text, tensors[index]));
        }
        close_run(&run);
        remove_copy();
    }
    golden_close(&golden);
}

/* An infinite divisor makes an angle of 0, which is a number; one of 0 is found in what it makes,
 * far from the tensor. */
static void rope_factors_that_are_no_numbers_are_refused(void **state)
{
    (void)state;
    struct golden golden;
    struct run run;
    assert_true(golden_open(&golden, "llama-rope-llama3"));
    copy_model(golden.model_path);
    const struct weir_config config = {.model_path = copy_path, .n_thread = 2};
    damage("rope_freqs.weight", INFINITY);
    assert_int_equal(open_run(&run, &config), WEIR_ERR_FORMAT);
    assert_non_null(strstr(run.err.text, "tensor rope_freqs.weight: value 0 is not finite"));
    damage("rope_freqs.weight", 0.0f);
    assert_int_equal(open_run(&run, &config), WEIR_ERR_FORMAT);
    assert_non_null(strstr(run.err.text, "tensor rope_freqs.weight: value 0 divides an angle"));
    remove_copy();
    golden_close(&golden);
}

static void every_failed_allocation_is_reported_and_nothing_leaks(void **state)
{
    (void)state;
    struct golden golden;
    struct run run;
    assert_true(golden_open(&golden, MODEL));
    const struct weir_config config = config_of(golden.model_path);
    const uint64_t before_bytes = weir_heap_bytes();
    const uint64_t before_calls = weir_heap_calls();
    assert_int_equal(open_run(&run, &config), WEIR_OK);
    const uint64_t calls = weir_heap_calls() - before_calls;
    close_run(&run);
    unsigned refused = 0;
    /* The thread sanitizer sees the same threads end each time; leaks are seen elsewhere. */
    for (uint64_t at = 1; at <= calls; at += IS_THREAD_SANITIZED ? 4 : 1) {
        weir_heap_fail_at(at);
        const enum weir_status status = open_run(&run, &config);
        weir_heap_fail_at(0);
        if (status ==
            WEIR_OK) { /* patterns uncompiled, or threads for io_uring: right all the same */
            assert_int_equal(eval_run(&run, &golden), WEIR_OK);
            assert_right(&run, &golden);
        } else {
            refused++;
            assert_int_equal(status, WEIR_ERR_NOMEM);
            assert_true(run.err.text[0] != '\0');
        }
        close_run(&run);
        assert_int_equal(weir_heap_bytes(), before_bytes);
    }
    assert_true(refused > calls / (IS_THREAD_SANITIZED ? 8 : 2));
    golden_close(&golden);
}

static void a_kernel_that_refuses_is_said_and_changes_nothing(void **state)
{
    (void)state;
    static const struct {
        unsigned refused;
        const char *why;
    } cases[] = {
        {WEIR_IO_REFUSE_URING, "io_uring"},
        {WEIR_IO_REFUSE_DIRECT, "direct reads refused"},
        {WEIR_IO_REFUSE_URING | WEIR_IO_REFUSE_DIRECT, "reading with threads"},
    };
    struct golden golden;
    assert_true(golden_open(&golden, MODEL));
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct weir_config config = config_of(golden.model_path);
        struct run run;
        weir_io_refuse(cases[index].refused);
        assert_int_equal(open_run(&run, &config), WEIR_OK);
        const struct weir_mode *mode = weir_engine_mode(run.engine);
#ifndef WEIR_HOSTILE /* there it is always the fake that reads */
        if ((cases[index].refused & WEIR_IO_REFUSE_URING) != 0)
            assert_string_equal(mode->io, "threads");
        assert_non_null(strstr(mode->why, cases[index].why));
#endif
        assert_int_equal(mode->direct, (cases[index].refused & WEIR_IO_REFUSE_DIRECT) == 0);
        assert_int_equal(eval_run(&run, &golden), WEIR_OK);
        assert_right(&run, &golden);
        close_run(&run);
        config.io = WEIR_ENGINE_IO_URING;
        if ((cases[index].refused & WEIR_IO_REFUSE_URING) != 0) {
            assert_int_equal(open_run(&run, &config), WEIR_ERR_UNSUPPORTED);
            close_run(&run);
        }
        weir_io_refuse(0);
    }
    golden_close(&golden);
}

static bool stop_after(void *user, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    unsigned *left = user;
    assert_non_null(what);
    assert_true(done_bytes <= total_bytes);
    return (*left)-- > 0;
}

static void a_load_can_be_stopped_at_every_step(void **state)
{
    (void)state;
    struct golden golden;
    assert_true(golden_open(&golden, MODEL));
    const uint64_t before_bytes = weir_heap_bytes();
    for (unsigned steps = 0;; steps++) {
        struct weir_config config = config_of(golden.model_path);
        struct run run;
        unsigned left = steps;
        config.n_slot = 0;
        config.progress = stop_after;
        config.progress_user = &left;
        const enum weir_status status = open_run(&run, &config);
        close_run(&run);
        assert_int_equal(weir_heap_bytes(), before_bytes);
        if (status == WEIR_OK) {
            assert_true(steps > 1);
            break;
        }
        assert_int_equal(status, WEIR_ERR_CANCELLED);
    }
    golden_close(&golden);
}

static bool stop_at_five(void *user, uint32_t position, const float *logits)
{
    (void)user;
    (void)logits;
    return position < 5;
}

static void a_stopped_session_goes_on_where_it_was(void **state)
{
    (void)state;
    struct golden golden;
    struct run run;
    assert_true(golden_open(&golden, MODEL));
    const struct weir_config config = config_of(golden.model_path);
    assert_int_equal(open_run(&run, &config), WEIR_OK);
    weir_session_cancel(run.session);
    assert_int_equal(eval_run(&run, &golden), WEIR_ERR_CANCELLED);
    assert_int_equal(weir_session_position(run.session), 0);
    assert_int_equal(
        weir_session_eval(run.session, golden.ids, golden.id_count, stop_at_five, NULL, &run.err),
        WEIR_ERR_CANCELLED);
    assert_int_equal(eval_run(&run, &golden), WEIR_OK);
    assert_right(&run, &golden);
    close_run(&run);
    golden_close(&golden);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failing_reads_are_named_and_leave_no_wrong_token),
        cmocka_unit_test(a_file_that_shrinks_is_named),
        cmocka_unit_test(a_truncated_file_is_refused_before_loading),
        cmocka_unit_test(weights_that_are_no_numbers_are_an_error),
        cmocka_unit_test(rope_factors_that_are_no_numbers_are_refused),
        cmocka_unit_test(every_failed_allocation_is_reported_and_nothing_leaks),
        cmocka_unit_test(a_kernel_that_refuses_is_said_and_changes_nothing),
        cmocka_unit_test(a_load_can_be_stopped_at_every_step),
        cmocka_unit_test(a_stopped_session_goes_on_where_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
