/* scheduler_saved_test.c - texts that make room when memory is short go to the disk and come back,
 * and write what each writes alone; so they do where the disk fails. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/heap.h"
#include "engine/engine_internal.h"
#include "io/io_internal.h"
#include "pace.h"
#include "prefix/prefix_internal.h"
#include "scratch.h"
#include "serve/scheduler_internal.h"
#include "state/state_internal.h"

#define DEMO "models/demo/weir-demo.gguf"

enum {
    JOBS = 6,
    PROMPT = 116, /* the text is a page, and two when it ends */
    TOKENS = 20,
    N_CTX = 512,
    MORE_BYTES = 4 << 20, /* than the smallest ceiling */
    DEADLINE_S = 300,
};

static char folder[64];

struct probe {
    struct weir_job job;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t ids[TOKENS], count;
    weir_scheduler *scheduler;
    bool has_ended;
    enum weir_job_end end;
};

static enum weir_job_look look(void *user)
{
    (void)user;
    return WEIR_JOB_WANTED;
}

/* All others are let in, as if memory had become short only since. */
static bool begin(void *user, uint32_t cached_count)
{
    struct probe *probe = user;
    (void)cached_count;
    probe->scheduler->counts.state_bytes_max = UINT64_MAX;
    return true;
}

static bool take_token(void *user, uint32_t id, const float *logits)
{
    struct probe *probe = user;
    assert_non_null(logits);
    assert_true(probe->count < TOKENS);
    probe->ids[probe->count++] = id;
    return true;
}

static void end(void *user, enum weir_job_end how, const struct weir_err *err)
{
    struct probe *probe = user;
    (void)err;
    pthread_mutex_lock(&probe->lock);
    probe->end = how;
    probe->has_ended = true;
    pthread_cond_signal(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
}

static const struct weir_job_sink sink = {
    .look = look, .begin = begin, .token = take_token, .end = end};

static void submit(struct probe *probe, weir_scheduler *scheduler, uint32_t number)
{
    memset(probe, 0, sizeof(*probe));
    probe->scheduler = scheduler;
    pthread_mutex_init(&probe->lock, NULL);
    pthread_cond_init(&probe->changed, NULL);
    probe->job = (struct weir_job){.ids = weir_heap_array(PROMPT + TOKENS, sizeof(uint32_t)),
                                   .id_count = PROMPT,
                                   .token_max = TOKENS,
                                   .sink = &sink,
                                   .user = probe};
    for (uint32_t at = 0; at < PROMPT; at++)
        probe->job.ids[at] = 300 + (at * 7 + number * 13) % 1000;
    weir_scheduler_submit(scheduler, &probe->job);
}

static void wait_for(struct probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    while (!probe->has_ended)
        pthread_cond_wait(&probe->changed, &probe->lock);
    pthread_mutex_unlock(&probe->lock);
}

static weir_scheduler *open_scheduler(weir_engine *engine, uint32_t parallel)
{
    const struct weir_scheduler_config config = {
        .engine = engine, .parallel = parallel, .gap_ms = 50};
    struct weir_err err = {0};
    weir_scheduler *scheduler = NULL;
    if (weir_scheduler_create(&scheduler, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return scheduler;
}

/* Admission counts positions, and pages hold more: of the texts that are let in not all can end
 * beside each other. */
static weir_engine *open_engine(const char *text_folder, const struct weir_bench_config *bench)
{
    struct weir_err err = {0};
    struct weir_plan plan;
    weir_engine *engine = NULL;
    struct weir_config config = {.model_path = DEMO,
                                 .n_thread = 2,
                                 .n_ctx = N_CTX,
                                 .n_chunk = 64,
                                 .text_folder = text_folder,
                                 .text_bytes = 256 << 20,
                                 .bench = bench};
    assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_OK);
    config.mem_bytes = plan.min_bytes + MORE_BYTES;
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return engine;
}

static void write_alone(struct probe probes[JOBS])
{
    weir_engine *engine = open_engine(NULL, NULL);
    for (uint32_t number = 0; number < JOBS; number++) {
        weir_scheduler *scheduler = open_scheduler(engine, 1);
        submit(&probes[number], scheduler, number);
        wait_for(&probes[number]);
        assert_int_equal(probes[number].end, WEIR_JOB_LENGTH);
        weir_scheduler_destroy(&scheduler);
    }
    assert_int_equal(weir_engine_close(&engine), WEIR_OK);
}

static void compare(const struct probe *probe, const struct probe *alone)
{
    assert_int_equal(probe->end, alone->end);
    assert_int_equal(probe->count, alone->count);
    assert_memory_equal(probe->ids, alone->ids, sizeof(probe->ids));
}

static void who_makes_room_comes_back_with_its_text(void **state)
{
    static const struct weir_io_fake fakes[] = {
        {0}, {.short_rate = 0.3, .retry_rate = 0.2}, {.error_rate = 0.3}, {.full_rate = 1.0}};
    static struct probe alone[JOBS], together[JOBS];
    (void)state;
    write_alone(alone);
    for (size_t index = 0; index < WEIR_COUNT(fakes); index += pace_is_long() ? 1 : 3) {
        const struct weir_bench_config bench = {.fake_io_seed = 3};
        struct weir_scheduler_stats stats;
        mkdir("build", 0777);
        snprintf(folder, sizeof(folder), "build/scheduler-saved-XXXXXX");
        assert_non_null(mkdtemp(folder));
        weir_engine *engine = open_engine(folder, &bench);
        engine->prefix->io->config.fake = fakes[index];
        engine->prefix->io->config.fake.latency_ns_max = 200000;
        weir_scheduler *scheduler = open_scheduler(engine, JOBS);
        for (uint32_t number = 0; number < JOBS; number++)
            submit(&together[number], scheduler, number);
        for (uint32_t number = 0; number < JOBS; number++) {
            wait_for(&together[number]);
            compare(&together[number], &alone[number]);
        }
        weir_scheduler_stats_get(scheduler, &stats);
        weir_scheduler_destroy(&scheduler);
        weir_state_check(engine->state);
        struct weir_saved_stats saved;
        assert_true(weir_engine_saved_get(engine, &saved));
        if (engine->state->page_length > PROMPT)
            assert_true(stats.preempted > 0);
        print_message("%llu made room, %llu came back, %llu were computed\n",
                      (unsigned long long)stats.preempted, (unsigned long long)saved.recalled_texts,
                      (unsigned long long)saved.computed_texts);
        if (index < 2 && stats.preempted > 0)
            assert_true(saved.recalled_texts + saved.computed_texts > 0);
        if (fakes[index].full_rate > 0.0)
            assert_int_equal(saved.pages, 0);
        assert_int_equal(weir_engine_close(&engine), WEIR_OK);
        scratch_remove(folder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_makes_room_comes_back_with_its_text),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
