/* scheduler_test.c - jobs that share steps write what each writes alone; who leaves is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <unistd.h>

#include "serve/scheduler.h"

#include "scheduler_toy.h"

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

/* They take a place while they are computed, and no conversation's place behind that. */
static void test_states_leave_conversations_alone(void **state)
{
    static struct probe text, states[2], again;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(2);
    begin_probe(&text, scheduler, JOBS - 1);
    wait_for(&text);
    for (uint32_t number = 0; number < 2; number++) {
        begin_states(&states[number], scheduler, number + 1);
        wait_for(&states[number]);
    }
    begin_probe(&again, scheduler, JOBS - 1);
    wait_for(&again);
    assert_int_equal(again.cached, 3 + (JOBS - 1) * LONGER - 1);
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
    assert_false(is_idle || weir_scheduler_is_idle(scheduler));
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
        /* Few slots may be taken again by reads ahead, before anybody looks. */
        assert_true(count_marks(seen, size, WEIR_EXPERT_RESIDENT | WEIR_EXPERT_READING) > 0);
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
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_together_as_alone),
        cmocka_unit_test(test_a_conversation_goes_on),
        cmocka_unit_test(test_states_come_from_the_first),
        cmocka_unit_test(test_states_leave_conversations_alone),
        cmocka_unit_test(test_what_nobody_takes_is_not_computed),
        cmocka_unit_test(test_ids_that_have_to_come),
        cmocka_unit_test(test_a_prompts_progress_is_told),
        cmocka_unit_test(test_who_leaves_is_gone),
        cmocka_unit_test(test_whether_it_comes_round),
        cmocka_unit_test(test_the_map_shows_what_was_used),
        cmocka_unit_test(test_an_end_tells_all),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
