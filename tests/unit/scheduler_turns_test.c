/* scheduler_turns_test.c - who is let in beside others, and how much of a step each prompt gets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/scheduler.h"

#include "scheduler_toy.h"

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

/* One party's short prompt comes second: what its share leaves goes to the long one. */
static void test_a_step_is_full(void **state)
{
    static struct probe long_one, short_one;
    const uint32_t chunk = weir_engine_plan(engine)->n_chunk;
    struct weir_party party = {0};
    (void)state;
    weir_scheduler *scheduler = open_scheduler(2);
    make_probe(&long_one, scheduler, JOBS - 1, &party);
    make_probe(&short_one, scheduler, 0, &party);
    for (uint32_t at = 0; at < long_one.job.id_count; at++) /* no page holds anything of it */
        long_one.job.ids[at] += 50;
    long_one.followers = &short_one;
    long_one.follower_count = 1;
    submit(&long_one);
    wait_for(&long_one);
    wait_for(&short_one);
    assert_int_equal(long_one.computed_at[0], chunk);
    assert_int_equal(long_one.computed_at[1],
                     weir_min(2 * chunk - short_one.job.id_count, long_one.job.id_count));
    weir_scheduler_destroy(&scheduler);
}

/* Another party's text would not fit even if one of two were set aside: so none is, and it comes
 * when both have ended. */
static void test_nobody_is_set_aside_in_vain(void **state)
{
    static struct probe first, second, other;
    struct weir_party many = {0}, few = {0};
    struct weir_scheduler_stats stats;
    (void)state;
    weir_scheduler *scheduler = open_scheduler(3);
    make_probe(&first, scheduler, 1, &many);
    make_probe(&second, scheduler, 1, &many);
    make_probe(&other, scheduler, JOBS - 1, &few);
    other.job.token_max = TOKENS_MAX;
    first.followers = &second;
    second.followers = &other;
    first.follower_count = second.follower_count = 1;
    second.is_ceiling = true;
    submit(&first);
    wait_for(&first);
    wait_for(&second);
    wait_for(&other);
    assert_int_equal(other.end, WEIR_JOB_LENGTH);
    weir_scheduler_stats_get(scheduler, &stats);
    assert_int_equal(stats.set_aside, 0);
    weir_scheduler_destroy(&scheduler);
}

/* A party that has all places wants another short text, and its turn is near: it has to wait for
 * its own. Another party's longer one, which waits for a place too, is let in before one has
 * ended. */
static void test_who_waits_for_itself_keeps_nobody_out(void **state)
{
    static struct probe probes[4];
    struct weir_party many = {0}, few = {0};
    struct probe *own = &probes[2], *other = &probes[3];
    (void)state;
    weir_scheduler *scheduler = open_scheduler(2);
    for (uint32_t at = 0; at < 3; at++) {
        make_probe(&probes[at], scheduler, 0, &many);
        for (uint32_t id = 0; id < probes[at].job.id_count; id++)
            probes[at].job.ids[id] += 20 + at;
        probes[at].job.token_max = at == 2 ? TOKENS : TOKENS_MAX;
    }
    make_probe(other, scheduler, 2, &few);
    other->job.token_max = 1;
    probes[0].followers = &probes[1];
    probes[0].follower_count = 1;
    probes[1].followers = own;
    probes[1].follower_count = 2;
    submit(&probes[0]);
    for (uint32_t at = 0; at < WEIR_COUNT(probes); at++)
        wait_for(&probes[at]);
    assert_true(other->first_at - other->came_at <= 3);
    weir_scheduler_destroy(&scheduler);
}

/* Who has asked a short question may ask another one soon: others' prompts are in short pieces from
 * their first step on, and its own are not. Who shows no key is not known to be the same. */
static void test_a_question_is_awaited(void **state)
{
    struct weir_party asks = {0}, other = {0};
    struct weir_party *const askers[] = {&asks, &asks, NULL};
    struct weir_party *const readers[] = {&other, &asks, &other};
    static const bool are_awaited[] = {true, false, false};
    (void)state;
    for (size_t row = 0; row < WEIR_COUNT(askers); row++) {
        static struct probe question, reads;
        weir_scheduler *scheduler = open_scheduler(2);
        make_probe(&question, scheduler, 0, askers[row]);
        submit(&question);
        wait_for(&question);
        make_probe(&reads, scheduler, 80 / LONGER, readers[row]); /* longer than a question */
        submit(&reads);
        wait_for(&reads);
        assert_int_equal(reads.was_awaited, are_awaited[row]);
        weir_scheduler_destroy(&scheduler);
    }
}

/* Who looks at the map wakes the thread: that is nothing to do. */
static void test_a_look_is_no_job(void **state)
{
    (void)state;
    weir_scheduler *scheduler = open_scheduler(1);
    for (int turn = 0; turn < 100; turn++) {
        assert_true(weir_scheduler_is_idle(scheduler));
        weir_scheduler_wake(scheduler);
    }
    weir_scheduler_destroy(&scheduler);
}

/* Beside a text that is written: where a step may take for ever, a prompt is computed in the
 * largest pieces; where none may take any time, in more steps, and one of them goes without. */
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
    assert_in_range(steps[1], 4, 9);
    assert_true(steps[0] > steps[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_heavy_client_lets_others_by),
        cmocka_unit_test(test_a_step_is_full),
        cmocka_unit_test(test_nobody_is_set_aside_in_vain),
        cmocka_unit_test(test_who_waits_for_itself_keeps_nobody_out),
        cmocka_unit_test(test_a_question_is_awaited),
        cmocka_unit_test(test_a_look_is_no_job),
        cmocka_unit_test(test_the_gap_cuts_prompts),
    };
    return cmocka_run_group_tests(tests, open_engine, close_engine);
}
