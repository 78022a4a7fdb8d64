/* engine_silent_test.c - a disk that stops to answer: a cancel ends a load, a text and a close. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/base.h"
#include "io/io_internal.h"
#include "weir_bench.h"

#include "pace.h"

#define MODEL "models/demo/weir-demo.gguf"
#define S UINT64_C(1000000000)

/* A stop gives the disk two seconds; without one a wait for it takes two minutes. */
#define STOPPED_S_MAX 100

static const uint32_t prompt[] = {17, 900, 3, 42, 4000, 7, 8, 9, 10, 11, 12};

static bool stop_after_some(void *user, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    uint32_t *left = user;
    assert_non_null(what);
    assert_true(done_bytes <= total_bytes && total_bytes > 0);
    if (*left > 0)
        --*left;
    return *left > 0;
}

static void a_load_ends_when_its_progress_says_so(void **state)
{
    uint32_t questions_left = 5;
    struct weir_err err = {0};
    const struct weir_bench_config bench = {.fake_io_seed = 1, .fake_io_fault = 3};
    const struct weir_config config = {.model_path = MODEL,
                                       .n_thread = 2,
                                       .progress = stop_after_some,
                                       .progress_user = &questions_left,
                                       .bench = &bench};
    weir_engine *engine = NULL;
    (void)state;
    const uint64_t begin_ns = weir_now_ns();
    assert_int_equal(weir_engine_open(&engine, &config, &err), WEIR_ERR_IO);
    assert_in_range(weir_now_ns() - begin_ns, 1 * S, STOPPED_S_MAX * S);
    assert_int_equal(questions_left, 0);
    assert_null(engine);
}

/* Cancels when the text is likely to wait for the disk; at whichever moment, the text must end. */
static void *cancel_soon(void *session)
{
    usleep(300000);
    weir_session_cancel(session);
    return NULL;
}

static void a_cancel_ends_a_text_that_waits_for_the_disk(void **state)
{
    struct weir_err err = {0};
    const struct weir_config config = {.model_path = MODEL,
                                       .n_thread = 2,
                                       .n_ctx = 64,
                                       .expert_share = 0.2,
                                       .io = WEIR_ENGINE_IO_THREADS};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    pthread_t canceller;
    (void)state;
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(weir_session_create(&session, engine, &err), WEIR_OK);
    assert_int_equal(weir_session_eval(session, prompt, 3, NULL, NULL, &err), WEIR_OK);
    weir_io_refuse(WEIR_IO_REFUSE_ANSWER);
    assert_int_equal(pthread_create(&canceller, NULL, cancel_soon, session), 0);
    const uint64_t begin_ns = weir_now_ns();
    assert_int_not_equal(weir_session_eval(session, prompt, 11, NULL, NULL, &err), WEIR_OK);
    pthread_join(canceller, NULL);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
    assert_true(weir_now_ns() - begin_ns < STOPPED_S_MAX * S);
    weir_io_refuse(0);
    usleep(100000); /* what the readers were stuck with lands, and nothing of it was unmapped */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_load_ends_when_its_progress_says_so),
        cmocka_unit_test(a_cancel_ends_a_text_that_waits_for_the_disk),
    };
    alarm(PACE_PATIENCE_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
