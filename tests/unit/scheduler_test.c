/* scheduler_test.c - jobs that share steps write what each writes alone; who leaves is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "serve/scheduler.h"

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
};

static void submit(struct probe *probe)
{
    struct weir_scheduler_stats stats;
    weir_scheduler_stats_get(probe->scheduler, &stats);
    probe->came_at = stats.steps;
    weir_scheduler_submit(probe->scheduler, &probe->job);
}

static enum weir_job_look look(void *user)
{
    struct probe *waiting = user;
    if (atomic_load(&waiting->waits))
        return WEIR_JOB_WAITS;
    struct probe *probe = user;
    return probe->leaves_at > 0 && probe->count >= probe->leaves_at ? WEIR_JOB_LEAVES
                                                                    : WEIR_JOB_WANTED;
}

static bool begin(void *user, uint32_t cached_count)
{
    struct probe *probe = user;
    probe->cached = cached_count;
    for (uint32_t index = 0; index < probe->follower_count; index++)
        submit(&probe->followers[index]);
    return true;
}

static void hold(struct probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    probe->is_held = true;
    pthread_cond_broadcast(&probe->changed);
    while (probe->holds)
        pthread_cond_wait(&probe->changed, &probe->lock);
    pthread_mutex_unlock(&probe->lock);
}

static bool take_token(void *user, uint32_t id, const float *logits)
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

static void progress(void *user, uint32_t computed)
{
    struct probe *probe = user;
    assert_true(computed > 0 && computed <= probe->job.id_count);
    probe->computed = computed;
    probe->progress_count++;
}

static bool take_state(void *user, uint32_t position, const float *state)
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

static void end(void *user, enum weir_job_end how, const struct weir_err *err)
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
static void make_probe(struct probe *probe, weir_scheduler *scheduler, uint32_t number,
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

static void begin_leaving(struct probe *probe, weir_scheduler *scheduler, uint32_t number,
                          uint32_t leaves_at)
{
    make_probe(probe, scheduler, number, NULL);
    probe->leaves_at = leaves_at;
    submit(probe);
}

static void begin_probe(struct probe *probe, weir_scheduler *scheduler, uint32_t number)
{
    begin_leaving(probe, scheduler, number, 0);
}

static void wait_for(struct probe *probe)
{
    pthread_mutex_lock(&probe->lock);
    while (!probe->has_ended)
        pthread_cond_wait(&probe->changed, &probe->lock);
    pthread_mutex_unlock(&probe->lock);
}

static weir_scheduler *open_with_gap(uint32_t parallel, uint32_t gap_ms)
{
    const struct weir_scheduler_config config = {
        .engine = engine, .parallel = parallel, .gap_ms = gap_ms};
    struct weir_err err = {0};
    weir_scheduler *scheduler = NULL;
    if (weir_scheduler_create(&scheduler, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return scheduler;
}

static weir_scheduler *open_scheduler(uint32_t parallel)
{
    return open_with_gap(parallel, 50);
}

/* Each in an engine's only seat, one after the other. */
static void write_alone(struct probe probes[JOBS])
{
    for (uint32_t number = 0; number < JOBS; number++) {
        weir_scheduler *scheduler = open_scheduler(1);
        begin_probe(&probes[number], scheduler, number);
        wait_for(&probes[number]);
        weir_scheduler_destroy(&scheduler);
    }
}

static void test_together_as_alone(void **state)
{
    static struct probe alone[JOBS], together[JOBS];
    (void)state;
    write_alone(alone);
    for (uint32_t parallel = JOBS; parallel > JOBS / 4; parallel /= 2) { /* the others wait */
        weir_scheduler *scheduler = open_scheduler(parallel);
        for (uint32_t number = 0; number < JOBS; number++)
            begin_probe(&together[number], scheduler, number);
        for (uint32_t number = 0; number < JOBS; number++) {
            wait_for(&together[number]);
            assert_int_equal(together[number].end, alone[number].end);
            assert_int_equal(together[number].count, alone[number].count);
            assert_memory_equal(together[number].ids, alone[number].ids,
                                sizeof(together[number].ids));
        }
        struct weir_scheduler_stats stats;
        weir_scheduler_stats_get(scheduler, &stats);
        assert_int_equal(stats.waiting, 0);
        weir_scheduler_destroy(&scheduler);
    }
}

static void test_a_conversation_goes_on(void **state)
{
    static struct probe first, again;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(2);
    begin_probe(&first, scheduler, JOBS - 1);
    wait_for(&first);
    begin_probe(&again, scheduler, JOBS - 1);
    wait_for(&again);
    assert_memory_equal(first.ids, again.ids, sizeof(first.ids));
    assert_int_equal(again.cached, 3 + (JOBS - 1) * LONGER - 1);
    weir_scheduler_destroy(&scheduler);
}

static void begin_states(struct probe *probe, weir_scheduler *scheduler, uint32_t number)
{
    make_probe(probe, scheduler, number, NULL);
    probe->job.sink = &state_sink;
    probe->job.token_max = 0;
    submit(probe);
}

/* A text whose beginning is known tells all its states nevertheless, the same beside others. */
static void test_states_come_from_the_first(void **state)
{
    static struct probe text, alone, beside, others[2];
    const uint32_t length = 3 + (JOBS - 1) * LONGER;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(4);
    begin_probe(&text, scheduler, JOBS - 1);
    wait_for(&text);
    begin_states(&alone, scheduler, JOBS - 1);
    wait_for(&alone);
    for (uint32_t number = 0; number < 2; number++)
        begin_probe(&others[number], scheduler, number + 1);
    begin_states(&beside, scheduler, JOBS - 1);
    wait_for(&beside);
    for (uint32_t number = 0; number < 2; number++)
        wait_for(&others[number]);
    assert_int_equal(alone.end, WEIR_JOB_STOPPED);
    assert_int_equal(beside.end, WEIR_JOB_STOPPED);
    assert_int_equal(alone.state_count, length);
    assert_int_equal(beside.state_count, length);
    assert_int_equal(alone.cached, 0);
    assert_true(alone.state_sum == beside.state_sum);
    assert_int_equal(alone.restarts, 0);
    weir_scheduler_destroy(&scheduler);
}

/* Not even in the step with which a text comes in. */
static void test_what_nobody_takes_is_not_computed(void **state)
{
    static struct probe text, other;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(2);
    make_probe(&text, scheduler, 1, NULL);
    text.job.sink = &state_sink;
    text.job.token_max = 0;
    atomic_store(&text.waits, true);
    submit(&text);
    begin_probe(&other, scheduler, 2);
    wait_for(&other);
    assert_int_equal(text.state_count, 0);
    atomic_store(&text.waits, false);
    weir_scheduler_wake(scheduler);
    wait_for(&text);
    assert_int_equal(text.state_count, 3 + LONGER);
    weir_scheduler_destroy(&scheduler);
}

static void test_ids_that_have_to_come(void **state)
{
    static const uint32_t forced[] = {700, 701, 702};
    static struct probe free_text, text;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(1);
    begin_probe(&free_text, scheduler, 1);
    wait_for(&free_text);
    make_probe(&text, scheduler, 1, NULL);
    text.job.forced = forced;
    text.job.forced_count = 3;
    submit(&text);
    wait_for(&text);
    assert_int_equal(text.count, TOKENS);
    assert_memory_equal(text.ids, forced, sizeof(forced));
    assert_memory_not_equal(text.ids, free_text.ids, sizeof(forced));
    weir_scheduler_destroy(&scheduler);
}

static void test_a_prompts_progress_is_told(void **state)
{
    static struct probe probe;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(1);
    begin_probe(&probe, scheduler, JOBS - 1);
    wait_for(&probe);
    assert_int_equal(probe.computed, probe.job.id_count);
    assert_true(probe.progress_count >= 1);
    weir_scheduler_destroy(&scheduler);
}

static void test_who_leaves_is_gone(void **state)
{
    static struct probe leaves, stays;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(2);
    begin_probe(&stays, scheduler, 1);
    begin_leaving(&leaves, scheduler, 2, 2);
    wait_for(&leaves);
    wait_for(&stays);
    assert_int_equal(leaves.end, WEIR_JOB_CANCELLED);
    assert_int_equal(leaves.count, 2);
    assert_int_equal(stays.end, WEIR_JOB_LENGTH);
    weir_scheduler_destroy(&scheduler);
}

/* Long texts of one key, two at a time; another key's short one comes when two of them run. It
 * is answered after the step that is under way and one of its own, and they write what they do
 * alone. */
static void test_a_heavy_client_lets_others_by(void **state)
{
    enum { HEAVY = IS_SANITIZED ? 3 : 6 };
    static struct probe alone, probes[HEAVY + 1];
    struct probe *light = &probes[HEAVY];
    struct weir_party many = {0}, few = {0};
    struct weir_scheduler_stats stats;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(1);
    begin_probe(&alone, scheduler, JOBS - 1);
    wait_for(&alone);
    weir_scheduler_destroy(&scheduler);

    scheduler = open_scheduler(2);
    make_probe(light, scheduler, 0, &few);
    for (uint32_t number = 0; number < HEAVY; number++) {
        make_probe(&probes[number], scheduler, JOBS - 1, &many);
        const uint32_t other = number == 1 ? 0 : number + 1; /* they have nothing in common */
        for (uint32_t at = 0; at < probes[number].job.id_count; at++)
            probes[number].job.ids[at] += other;
    }
    probes[0].followers = &probes[1];
    probes[0].follower_count = 1;
    probes[1].followers = &probes[2];
    probes[1].follower_count = HEAVY - 1;
    submit(&probes[0]);
    for (uint32_t number = 0; number < HEAVY + 1; number++) {
        wait_for(&probes[number]);
        assert_int_equal(probes[number].end, WEIR_JOB_LENGTH);
    }
    assert_true(light->first_at - light->came_at <= 2);
    assert_memory_equal(probes[1].ids, alone.ids, sizeof(alone.ids)); /* it was set aside */
    weir_scheduler_stats_get(scheduler, &stats);
    assert_int_equal(stats.preempted, 0);
    assert_int_equal(stats.set_aside, 1);
    weir_scheduler_destroy(&scheduler);
    assert_null(many.next);
    assert_null(few.next);
}

/* Beside a text that is written: where no step may take any time, a prompt is computed in the
 * smallest pieces; where one may take for ever, in the largest. */
static void test_the_gap_cuts_prompts(void **state)
{
    static const uint32_t gaps_ms[] = {0, 3600000};
    static struct probe writes, reads;
    uint64_t steps[WEIR_COUNT(gaps_ms)];
    (void)state;
    if (IS_SANITIZED)
        return; /* many steps, in which nothing new happens */
    for (size_t index = 0; index < WEIR_COUNT(gaps_ms); index++) {
        weir_scheduler *scheduler = open_with_gap(2, gaps_ms[index]);
        make_probe(&writes, scheduler, 0, NULL);
        make_probe(&reads, scheduler, 160 / LONGER, NULL);
        for (uint32_t at = 0; at < reads.job.id_count; at++) /* no page holds anything of it */
            reads.job.ids[at] += 100 + (uint32_t)index;
        writes.job.token_max = TOKENS_MAX;
        writes.followers = &reads;
        writes.follower_count = 1;
        submit(&writes);
        wait_for(&reads);
        wait_for(&writes);
        assert_int_equal(writes.count, TOKENS_MAX);
        steps[index] = reads.first_at - reads.came_at;
        weir_scheduler_destroy(&scheduler);
    }
    assert_in_range(steps[0], 12, 40);
    assert_in_range(steps[1], 4, 9);
}

/* The thread that should compute is stuck; then it goes on, and then has nothing to do. */
static void test_whether_it_comes_round(void **state)
{
    static struct probe probe;
    bool is_idle = true;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(1);
    make_probe(&probe, scheduler, 1, NULL);
    probe.holds = true;
    submit(&probe);
    pthread_mutex_lock(&probe.lock);
    while (!probe.is_held)
        pthread_cond_wait(&probe.changed, &probe.lock);
    pthread_mutex_unlock(&probe.lock);
    const uint64_t beats = weir_scheduler_beats(scheduler, &is_idle);
    assert_false(is_idle);
    usleep(1000);
    assert_int_equal(weir_scheduler_beats(scheduler, &is_idle), beats);
    pthread_mutex_lock(&probe.lock);
    probe.holds = false;
    pthread_cond_broadcast(&probe.changed);
    pthread_mutex_unlock(&probe.lock);
    wait_for(&probe);
    uint64_t later = beats;
    while (!is_idle) {
        usleep(1000);
        later = weir_scheduler_beats(scheduler, &is_idle);
    }
    assert_true(later > beats);
    weir_scheduler_destroy(&scheduler);
}

static uint32_t count_marks(const uint8_t *marks, size_t size, unsigned wanted)
{
    uint32_t count = 0;
    for (size_t at = 0; at < size; at++)
        count += (marks[at] & wanted) != 0;
    return count;
}

/* A look is taken between steps, and only for those who ask: the map asks for the next each time.
 * Until it shows a step of one token after `before`, the map that was seen last. */
static void look_at_map(weir_scheduler *scheduler, uint8_t *marks, const uint8_t *before,
                        size_t size)
{
    const uint32_t wanted = weir_engine_model(engine)->expert_uses;
    for (int turn = 0; turn < PACE_PATIENCE_S * 1000; turn++) {
        weir_scheduler_map_get(scheduler, marks);
        if (count_marks(marks, size, WEIR_EXPERT_USED) == wanted &&
            memcmp(marks, before, size) != 0)
            return;
        usleep(1000);
    }
    fail_msg("no look showed the last token's %u experts", wanted);
}

static void test_the_map_shows_what_was_used(void **state)
{
    static struct probe probes[2];
    const struct weir_model_info *model = weir_engine_model(engine);
    const size_t size = (size_t)model->n_layer * model->n_expert;
    uint8_t *marks = weir_heap_array(3, size);
    (void)state;
    assert_non_null(marks);
    memset(marks, 0, size);
    weir_scheduler *scheduler = open_scheduler(2);
    for (uint32_t number = 0; number < 2; number++) {
        begin_probe(&probes[number], scheduler, 3 + number);
        wait_for(&probes[number]);
        uint8_t *seen = marks + (number + 1) * size;
        look_at_map(scheduler, seen, marks + number * size, size); /* other texts, other experts */
        assert_true(count_marks(seen, size, WEIR_EXPERT_RESIDENT) >= model->expert_uses);
        assert_int_equal(count_marks(seen, size, WEIR_EXPERT_ABSENT), 0);
    }
    weir_scheduler_destroy(&scheduler);
    assert_false(weir_engine_experts_look(engine, marks, 1)); /* another size than the model's */
    assert_false(weir_engine_experts_look(NULL, marks, size));
    weir_heap_free(marks);
}

static void test_an_end_tells_all(void **state)
{
    static struct probe probes[JOBS];
    (void)state;
    weir_scheduler *scheduler = open_scheduler(2);
    for (uint32_t number = 0; number < JOBS; number++)
        begin_probe(&probes[number], scheduler, number);
    weir_scheduler_destroy(&scheduler);
    for (uint32_t number = 0; number < JOBS; number++)
        assert_true(probes[number].has_ended);
    assert_int_equal(probes[JOBS - 1].end, WEIR_JOB_CANCELLED);
}

int main(void)
{
    const struct weir_config config = {.model_path = "models/demo/weir-demo.gguf",
                                       .n_thread = 2,
                                       .n_ctx = 256,
                                       .n_chunk = CHUNK,
                                       .mem_bytes = 128 << 20};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_together_as_alone),
        cmocka_unit_test(test_a_conversation_goes_on),
        cmocka_unit_test(test_states_come_from_the_first),
        cmocka_unit_test(test_what_nobody_takes_is_not_computed),
        cmocka_unit_test(test_ids_that_have_to_come),
        cmocka_unit_test(test_a_prompts_progress_is_told),
        cmocka_unit_test(test_who_leaves_is_gone),
        cmocka_unit_test(test_a_heavy_client_lets_others_by),
        cmocka_unit_test(test_the_gap_cuts_prompts),
        cmocka_unit_test(test_whether_it_comes_round),
        cmocka_unit_test(test_the_map_shows_what_was_used),
        cmocka_unit_test(test_an_end_tells_all),
    };
    struct weir_err err = {0};
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK) {
        print_error("%s\n", err.text);
        return 1;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return weir_engine_close(&engine) == WEIR_OK ? failed : 1;
}
