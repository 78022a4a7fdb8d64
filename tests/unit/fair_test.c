/* fair_test.c - parties get tokens by their weights, and nobody waits for those who want more. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "serve/scheduler.h"

enum { PARTIES = 3, STEPS = 100, ROWS = 24 };

/* Texts of parties, as the scheduler would have them, without an engine. */
struct scene {
    struct weir_fair fair;
    struct weir_party parties[PARTIES];
    struct weir_job jobs[16];
    uint32_t job_count;
    uint64_t computed[PARTIES];
};

static struct weir_job *come(struct scene *scene, uint32_t party, uint32_t cost)
{
    assert_true(scene->job_count < 16);
    struct weir_job *job = &scene->jobs[scene->job_count++];
    *job = (struct weir_job){.party = &scene->parties[party], .cost = cost};
    weir_fair_wait(&scene->fair, job);
    return job;
}

static struct weir_job *enter(struct scene *scene, uint32_t party, uint32_t cost)
{
    struct weir_job *job = come(scene, party, cost);
    weir_fair_enter(&scene->fair, job);
    return job;
}

static bool may_any(const void *user, const struct weir_job *job)
{
    (void)user;
    (void)job;
    return true;
}

static bool may_not(const void *user, const struct weir_job *job)
{
    return job != user;
}

static struct weir_job *next(const struct scene *scene)
{
    return weir_fair_next(&scene->fair, may_any, NULL);
}

/* A step in which parties want so much of prompts, and write so many tokens. */
static void step(struct scene *scene, const uint32_t wanted[PARTIES],
                 const uint32_t written[PARTIES], uint32_t rows)
{
    for (uint32_t index = 0; index < PARTIES; index++) {
        scene->parties[index].wanted = wanted[index];
        for (uint32_t token = 0; token < written[index]; token++)
            weir_fair_charge(&scene->fair, &scene->parties[index]);
    }
    weir_fair_deal(&scene->fair, rows, rows / 4);
    uint32_t sum = 0;
    for (uint32_t index = 0; index < PARTIES; index++) {
        assert_true(scene->parties[index].given <= wanted[index]);
        scene->computed[index] += scene->parties[index].given + written[index];
        sum += scene->parties[index].given;
    }
    const uint64_t all = (uint64_t)wanted[0] + wanted[1] + wanted[2];
    bool is_met = false;
    for (uint32_t index = 0; index < PARTIES; index++)
        is_met = is_met || (wanted[index] > 0 && scene->parties[index].given == wanted[index]);
    assert_true(sum <= rows && (sum > 0 || rows == 0 || all == 0));
    if (!is_met) /* no row is left over */
        assert_int_equal(sum, rows < all ? rows : all);
}

static const uint32_t none[PARTIES] = {0};
static const uint32_t endless[PARTIES] = {4000, 4000, 4000};

/* Rows that do not divide evenly, few and many. */
static void test_prompts_get_rows_by_weight(void **state)
{
    static const uint32_t weights[PARTIES] = {1, 3, 0 /* counts as 1 */};
    static const uint32_t rows[] = {8, 21, 64, 500};
    (void)state;
    for (size_t at = 0; at < WEIR_COUNT(rows); at++) {
        struct scene scene = {0};
        for (uint32_t index = 0; index < PARTIES; index++) {
            scene.parties[index].weight = weights[index];
            enter(&scene, index, 4000);
        }
        for (uint32_t count = 0; count < STEPS; count++)
            step(&scene, endless, none, rows[at]);
        const uint64_t part = (uint64_t)STEPS * rows[at] / 5;
        assert_in_range(scene.computed[0], part - 24, part + 24);
        assert_in_range(scene.computed[1], 3 * part - 24, 3 * part + 24);
        assert_in_range(scene.computed[2], part - 24, part + 24);
    }
}

/* Others get as much in that step, and the rest in the next ones. */
static void test_small_wishes_are_met_at_once(void **state)
{
    static const uint32_t wishes[] = {5, 8, 20};
    (void)state;
    for (size_t at = 0; at < WEIR_COUNT(wishes); at++) {
        struct scene scene = {0};
        const uint32_t wanted[PARTIES] = {4000, wishes[at], 4000};
        const uint32_t then[PARTIES] = {4000, 0, 4000};
        const uint32_t part = (wishes[at] + 7) / 8 * 8;
        for (uint32_t index = 0; index < PARTIES; index++) {
            enter(&scene, index, wanted[index]);
            scene.parties[index].head = 0; /* they have been here for long */
        }
        step(&scene, wanted, none, 500);
        assert_int_equal(scene.computed[1], wishes[at]);
        assert_int_equal(scene.computed[0], part);
        assert_int_equal(scene.computed[2], part);
        step(&scene, then, none, 500);
        assert_int_equal(scene.computed[0] + scene.computed[2], 2 * part + 500);
    }
}

/* A short question beside long prompts waits for nobody's turn; what it has had so it owes, and a
 * second text of the same party has to wait. */
static void test_who_has_just_come_is_first(void **state)
{
    struct scene scene = {0};
    const uint32_t before[PARTIES] = {4000, 0, 4000}, with[PARTIES] = {4000, 30, 4000};
    (void)state;
    enter(&scene, 0, 4000);
    enter(&scene, 2, 4000);
    for (uint32_t count = 0; count < STEPS; count++)
        step(&scene, before, none, ROWS);
    struct weir_job *question = enter(&scene, 1, 30);
    step(&scene, with, none, 40); /* of which a quarter is for turns */
    assert_int_equal(scene.computed[1], 30);
    assert_int_equal(scene.parties[1].deficit, -30);
    weir_fair_enter(&scene.fair, come(&scene, 1, 4000));
    weir_fair_leave(&scene.fair, question);
    for (uint32_t count = 0; count < STEPS; count++)
        step(&scene, endless, none, ROWS);
    const uint64_t part = (uint64_t)(STEPS * ROWS + 40) / 3; /* as if it had had its turns */
    assert_in_range(scene.computed[1], part - 24, part + 24);
}

/* What is short, of somebody who had nothing running; once it is read it is no question more. */
static void test_questions_are_short_and_new(void **state)
{
    struct scene scene = {0};
    const uint32_t wanted[PARTIES] = {4000, 30, 20};
    (void)state;
    enter(&scene, 0, 4000);
    enter(&scene, 2, 20);
    scene.parties[0].head = scene.parties[2].head = 0; /* they have been here for long */
    assert_true(weir_fair_is_question(come(&scene, 1, 64)));
    assert_false(weir_fair_is_question(come(&scene, 1, 65)));
    assert_false(weir_fair_is_question(come(&scene, 0, 5)));
    weir_fair_enter(&scene.fair, scene.parties[1].first);
    for (uint32_t index = 0; index < PARTIES; index++)
        scene.parties[index].wanted = wanted[index];
    assert_int_equal(weir_fair_questions(&scene.fair), 30);
    step(&scene, wanted, none, 40);
    assert_int_equal(scene.computed[1], 30);
    scene.parties[1].wanted = 0;
    assert_int_equal(weir_fair_questions(&scene.fair), 0);
}

/* Two have just come, the long one before the short one: the short one is read first, whoever's
 * turn it is. */
static void test_the_shortest_question_is_first(void **state)
{
    const uint32_t wanted[PARTIES] = {4000, 12, 60};
    (void)state;
    for (uint32_t turn = 0; turn < PARTIES; turn++) {
        struct scene scene = {0};
        enter(&scene, 0, 4000);
        enter(&scene, 2, 60);
        enter(&scene, 1, 12);
        scene.fair.turn = &scene.parties[turn];
        step(&scene, wanted, none, 20);
        assert_int_equal(scene.computed[1], 12);
        assert_int_equal(scene.parties[1].head, 52);
    }
}

/* Shorter questions come without end, and want all rows: a longer one is passed by a few. */
static void test_a_question_is_passed_by_few(void **state)
{
    struct scene scene = {0};
    uint32_t steps = 0;
    (void)state;
    enter(&scene, 2, 60);
    for (scene.parties[2].given = 0; scene.parties[2].given == 0 && steps < 100; steps++) {
        struct weir_job *shorter = enter(&scene, 1, 12);
        scene.parties[1].wanted = 12;
        weir_fair_deal(&scene.fair, 12, 0);
        weir_fair_leave(&scene.fair, shorter);
        scene.job_count = 1;
    }
    assert_in_range(steps, 2, 5);
}

/* The question has all of the rows that do not stay for others, and these have the rest. */
static void test_others_keep_their_rows(void **state)
{
    struct scene scene = {0};
    (void)state;
    enter(&scene, 0, 4000);
    enter(&scene, 1, 30);
    scene.parties[0].head = 0; /* it has been here for long */
    scene.parties[0].wanted = 4000;
    weir_fair_deal(&scene.fair, 34, 4);
    assert_int_equal(scene.parties[1].given, 30);
    assert_int_equal(scene.parties[0].given, 4);
}

/* Questions come without end, each of somebody who had nothing running: a long prompt goes on. */
static void test_nobody_is_passed_for_ever(void **state)
{
    struct scene scene = {0};
    const uint32_t wanted[PARTIES] = {4000, 60, 60};
    (void)state;
    enter(&scene, 0, 4000);
    for (uint32_t count = 0; count < STEPS; count++) {
        struct weir_job *questions[] = {enter(&scene, 1, 60), enter(&scene, 2, 60)};
        step(&scene, wanted, none, 16);
        weir_fair_leave(&scene.fair, questions[0]);
        weir_fair_leave(&scene.fair, questions[1]);
        scene.job_count = 1;
    }
    assert_true(scene.computed[0] >= STEPS * 3);
}

/* Two write eight tokens a step and two; with prompts beside them they come to the same. */
static void test_written_tokens_count(void **state)
{
    struct scene scene = {0};
    const uint32_t written[PARTIES] = {8, 2, 0};
    const uint32_t wanted[PARTIES] = {4000, 4000, 0};
    (void)state;
    enter(&scene, 0, 4000);
    enter(&scene, 1, 4000);
    for (uint32_t count = 0; count < STEPS; count++)
        step(&scene, wanted, written, ROWS);
    const uint64_t half = (uint64_t)STEPS * (ROWS + 10) / 2;
    assert_in_range(scene.computed[0], half - 24, half + 24);
}

/* Whoever wrote alone owes nothing to one who comes; who wrote more beside another does. */
static void test_debts_are_to_each_other(void **state)
{
    struct scene scene = {0};
    const uint32_t alone[PARTIES] = {8, 0, 0}, both[PARTIES] = {8, 1, 0};
    (void)state;
    enter(&scene, 0, 100);
    for (uint32_t count = 0; count < STEPS; count++)
        step(&scene, none, alone, ROWS);
    assert_true(scene.parties[0].deficit > -16);
    enter(&scene, 1, 100);
    for (uint32_t count = 0; count < STEPS; count++)
        step(&scene, none, both, ROWS);
    assert_true(scene.parties[1].deficit > -16);
    assert_in_range(-scene.parties[0].deficit, 300, 400);
    for (uint32_t count = 0; count < 100 * STEPS; count++)
        step(&scene, none, both, ROWS);
    assert_in_range(-scene.parties[0].deficit, 4000, 4100); /* no more */
}

static void test_the_fewest_tokens_come_in_first(void **state)
{
    struct scene scene = {0};
    (void)state;
    assert_null(next(&scene));
    struct weir_job *long_one = come(&scene, 0, 900);
    struct weir_job *behind = come(&scene, 0, 10); /* one party's come one after the other */
    assert_ptr_equal(next(&scene), long_one);
    struct weir_job *short_one = come(&scene, 1, 20);
    assert_ptr_equal(next(&scene), short_one);
    assert_ptr_equal(weir_fair_next(&scene.fair, may_not, short_one), long_one);
    weir_fair_enter(&scene.fair, short_one);
    weir_fair_enter(&scene.fair, long_one);
    assert_ptr_equal(next(&scene), behind);
    weir_fair_leave(&scene.fair, short_one);
    assert_null(scene.parties[1].next);
    weir_fair_enter(&scene.fair, behind);
    assert_null(next(&scene));
    weir_fair_leave(&scene.fair, long_one);
    weir_fair_leave(&scene.fair, behind);
    assert_null(scene.fair.turn);
}

/* Short texts come again and again; a long one that waits is let in when they have had as much. */
static void test_nobody_waits_for_ever(void **state)
{
    static const uint32_t wanted[PARTIES] = {0, 20, 0};
    static const uint32_t written[PARTIES] = {0, 1, 0};
    (void)state;
    for (uint32_t writes = 0; writes < 2;
         writes++) { /* prompts, or written tokens, bring it nearer */
        struct scene scene = {0};
        struct weir_job *long_one = come(&scene, 0, 900);
        uint32_t rounds = 0;
        while (rounds < 1000) {
            scene.job_count = 1;
            struct weir_job *job = come(&scene, 1, 20);
            if (next(&scene) == long_one)
                break;
            weir_fair_enter(&scene.fair, job);
            for (uint32_t count = 0; count < (writes == 0 ? 1 : 20); count++)
                step(&scene, writes == 0 ? wanted : none, writes == 0 ? none : written, ROWS);
            weir_fair_leave(&scene.fair, job);
            rounds++;
        }
        assert_in_range(rounds, 30, 120);
        weir_fair_enter(&scene.fair, long_one);
        assert_true(scene.parties[0].deficit <= 0); /* and then gets no more than its part */
    }
}

static bool is_cheap(const struct weir_job *job)
{
    return job->cost < 100;
}

static void test_who_leaves_the_queue(void **state)
{
    struct scene scene = {0};
    (void)state;
    come(&scene, 0, 200);
    struct weir_job *stays = come(&scene, 0, 20);
    come(&scene, 0, 200);
    come(&scene, 1, 200);
    struct weir_job *other = come(&scene, 2, 30);
    uint32_t count = 0;
    for (struct weir_job *job = weir_fair_weed(&scene.fair, is_cheap); job != NULL; job = job->next)
        count++;
    assert_int_equal(count, 3);
    assert_null(scene.parties[1].next);
    assert_ptr_equal(next(&scene), stays);
    weir_fair_enter(&scene.fair, stays);
    assert_ptr_equal(next(&scene), other);
    assert_null(scene.parties[0].last);
    weir_fair_wait_first(&scene.fair, stays); /* as the scheduler puts one back */
    weir_fair_leave(&scene.fair, stays);
    assert_ptr_equal(scene.parties[0].first, stays);
}

static void test_who_has_too_many_texts(void **state)
{
    struct scene scene = {0};
    (void)state;
    enter(&scene, 0, 10);
    struct weir_job *job = come(&scene, 1, 10);
    assert_null(weir_fair_debtor(&scene.fair, job)); /* nobody loses the only one */
    enter(&scene, 0, 10);
    assert_ptr_equal(weir_fair_debtor(&scene.fair, job), &scene.parties[0]);
    enter(&scene, 0, 10);
    enter(&scene, 2, 10);
    enter(&scene, 2, 10);
    assert_ptr_equal(weir_fair_debtor(&scene.fair, job), &scene.parties[0]);
    scene.parties[0].weight = 2; /* three of weight two are fewer than two of weight one */
    assert_ptr_equal(weir_fair_debtor(&scene.fair, job), &scene.parties[2]);
    weir_fair_enter(&scene.fair, job);
    job = come(&scene, 1, 10);
    assert_null(weir_fair_debtor(&scene.fair, job)); /* it would have two, as they have */
    scene.parties[1].weight = 4;
    assert_ptr_equal(weir_fair_debtor(&scene.fair, job), &scene.parties[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prompts_get_rows_by_weight),
        cmocka_unit_test(test_small_wishes_are_met_at_once),
        cmocka_unit_test(test_who_has_just_come_is_first),
        cmocka_unit_test(test_questions_are_short_and_new),
        cmocka_unit_test(test_the_shortest_question_is_first),
        cmocka_unit_test(test_a_question_is_passed_by_few),
        cmocka_unit_test(test_others_keep_their_rows),
        cmocka_unit_test(test_nobody_is_passed_for_ever),
        cmocka_unit_test(test_written_tokens_count),
        cmocka_unit_test(test_debts_are_to_each_other),
        cmocka_unit_test(test_the_fewest_tokens_come_in_first),
        cmocka_unit_test(test_nobody_waits_for_ever),
        cmocka_unit_test(test_who_leaves_the_queue),
        cmocka_unit_test(test_who_has_too_many_texts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
