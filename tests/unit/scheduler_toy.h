/* scheduler_toy.h - jobs for a scheduler's tests, and what became of them. */
#ifndef WEIR_SCHEDULER_TOY_H
#define WEIR_SCHEDULER_TOY_H

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/heap.h"
#include "serve/scheduler_internal.h"

#include "pace.h"

/* Some prompts are longer than what they have in common. */
enum {
    JOBS = IS_SANITIZED ? 4 : 8,
    TOKENS = IS_SANITIZED ? 4 : 6,
    TOKENS_MAX = 60,
    COMMON = 40, /* more than what a text goes back for */
    LONGER = IS_SANITIZED ? 16 : 23,
    CHUNK = 32, /* of the engine's: the longest prompts take several steps */
};

static weir_engine *engine;

/* A job of a test's, and what became of it. */
struct probe {
    struct weir_job job;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint32_t ids[64];
    uint32_t count, cached, leaves_at; /* leaves_at: with so many tokens; 0: never */
    uint32_t computed, progress_count; /* of the prompt, and how often it was told */
    bool was_awaited;                  /* then others' short questions were */
    uint32_t computed_at[2];           /* the first times */
    uint32_t state_count, restarts;    /* states in a row; how often they began again */
    double state_sum;
    atomic_bool waits; /* nobody takes what it tells */
    bool has_ended;
    enum weir_job_end end;
    weir_scheduler *scheduler;
    struct probe *followers; /* [follower_count] come as soon as this one has begun */
    uint32_t follower_count;
    uint64_t came_at, first_at; /* in steps */
    bool is_held;               /* its first token is told, and waits to be let go */
    bool holds;                 /* it does so */
    bool is_ceiling;            /* from its begin on there is no more memory than is in use */
};

static inline void submit(struct probe *probe)
{
    struct weir_scheduler_stats stats;
    weir_scheduler_stats_get(probe->scheduler, &stats);
    probe->came_at = stats.steps;
    weir_scheduler_submit(probe->scheduler, &probe->job);
}

static inline enum weir_job_look look(void *user)
{
    struct probe *waiting = user;
    if (atomic_load(&waiting->waits))
        return WEIR_JOB_WAITS;
    struct probe *probe = user;
    return probe->leaves_at > 0 && probe->count >= probe->leaves_at ? WEIR_JOB_LEAVES
                                                                    : WEIR_JOB_WANTED;
}

static inline bool begin(void *user, uint32_t cached_count)
{
    struct probe *probe = user;
    probe->cached = cached_count;
    if (probe->is_ceiling)
        probe->scheduler->counts.state_bytes_max = weir_jobs_bytes(probe->scheduler);
    for (uint32_t index = 0; index < probe->follower_count; index++)
        submit(&probe->followers[index]);
    return true;
}

static inline void hold(struct probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    probe->is_held = true;
    pthread_cond_broadcast(&probe->changed);
    while (probe->holds)
        pthread_cond_wait(&probe->changed, &probe->lock);
    pthread_mutex_unlock(&probe->lock);
}

static inline bool take_token(void *user, uint32_t id, const float *logits)
{
    struct probe *probe = user;
    assert_non_null(logits);
    assert_true(probe->count < 64);
    if (probe->count == 0) {
        struct weir_scheduler_stats stats;
        weir_scheduler_stats_get(probe->scheduler, &stats);
        probe->first_at = stats.steps;
        hold(probe);
    }
    probe->ids[probe->count++] = id;
    return true;
}

static inline void progress(void *user, uint32_t computed)
{
    struct probe *probe = user;
    assert_true(computed > 0 && computed <= probe->job.id_count);
    probe->computed = computed;
    if (probe->progress_count == 0)
        probe->was_awaited = probe->scheduler->pieces.is_awaited;
    if (probe->progress_count < WEIR_COUNT(probe->computed_at))
        probe->computed_at[probe->progress_count] = computed;
    probe->progress_count++;
}

static inline bool take_state(void *user, uint32_t position, const float *state)
{
    struct probe *probe = user;
    if (position == 0) {
        probe->restarts += probe->state_count > 0;
        probe->state_count = 0;
        probe->state_sum = 0.0;
    }
    assert_int_equal(position, probe->state_count);
    probe->state_count++;
    for (uint32_t index = 0; index < weir_engine_model(engine)->d_model; index++)
        probe->state_sum += (double)state[index] * (index + 1);
    return true;
}

static inline void end(void *user, enum weir_job_end how, const struct weir_err *err)
{
    struct probe *probe = user;
    (void)err;
    pthread_mutex_lock(&probe->lock);
    probe->end = how;
    probe->has_ended = true;
    pthread_cond_broadcast(&probe->changed);
    pthread_mutex_unlock(&probe->lock);
}

static const struct weir_job_sink sink = {
    .look = look, .begin = begin, .progress = progress, .token = take_token, .end = end};
static const struct weir_job_sink state_sink = {
    .look = look, .begin = begin, .state = take_state, .end = end};

/* Prompts of different lengths, some of which begin alike. */
static inline void make_probe(struct probe *probe, weir_scheduler *scheduler, uint32_t number,
                              struct weir_party *party)
{
    const uint32_t length = 3 + number * LONGER;
    memset(probe, 0, sizeof(*probe));
    probe->scheduler = scheduler;
    pthread_mutex_init(&probe->lock, NULL);
    pthread_cond_init(&probe->changed, NULL);
    probe->job = (struct weir_job){.ids = weir_heap_array(length + TOKENS_MAX, sizeof(uint32_t)),
                                   .id_count = length,
                                   .token_max = TOKENS,
                                   .sink = &sink,
                                   .user = probe,
                                   .party = party};
    for (uint32_t at = 0; at < length; at++)
        probe->job.ids[at] = 300 + (at * 7 + (at > COMMON ? number : 0)) % 1000;
}

static inline void begin_leaving(struct probe *probe, weir_scheduler *scheduler, uint32_t number,
                                 uint32_t leaves_at)
{
    make_probe(probe, scheduler, number, NULL);
    probe->leaves_at = leaves_at;
    submit(probe);
}

static inline void begin_probe(struct probe *probe, weir_scheduler *scheduler, uint32_t number)
{
    begin_leaving(probe, scheduler, number, 0);
}

static inline void wait_for(struct probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    while (!probe->has_ended)
        pthread_cond_wait(&probe->changed, &probe->lock);
    pthread_mutex_unlock(&probe->lock);
}

static inline weir_scheduler *open_with_gap(uint32_t parallel, uint32_t gap_ms)
{
    const struct weir_scheduler_config config = {
        .engine = engine, .parallel = parallel, .gap_ms = gap_ms};
    struct weir_err err = {0};
    weir_scheduler *scheduler = NULL;
    if (weir_scheduler_create(&scheduler, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return scheduler;
}

static inline weir_scheduler *open_scheduler(uint32_t parallel)
{
    return open_with_gap(parallel, 3600000); /* no step is cut because the machine is slow */
}

static inline void begin_states(struct probe *probe, weir_scheduler *scheduler, uint32_t number)
{
    make_probe(probe, scheduler, number, NULL);
    probe->job.sink = &state_sink;
    probe->job.token_max = 0;
    submit(probe);
}

static inline int open_engine(void **state)
{
    const struct weir_config config = {.model_path = "models/demo/weir-demo.gguf",
                                       .n_thread = 2,
                                       .n_ctx = 256,
                                       .n_chunk = CHUNK,
                                       .mem_bytes = 128 << 20};
    struct weir_err err = {0};
    (void)state;
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK)
        print_error("%s\n", err.text);
    return engine == NULL ? -1 : 0;
}

static inline int close_engine(void **state)
{
    (void)state;
    return weir_engine_close(&engine) == WEIR_OK ? 0 : -1;
}

#endif
