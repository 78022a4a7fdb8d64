/* trial_test.c - what is faster stays, whichever way the machine drifts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "engine/trial.h"

static void tell(struct weir_trial *trial, double took_ns, double wait_ns, uint64_t needed)
{
    const struct weir_trial_steps step = {1, (uint64_t)took_ns, (uint64_t)wait_ns, needed};
    weir_trial_tell(trial, &step);
}

/* Steps that take so long until a decision; returns how many. */
static uint32_t run_until_decided(struct weir_trial *trial, double on_ns, double off_ns,
                                  double drift, double noise, uint64_t seed)
{
    uint32_t count = 0;
    while (!trial->is_decided && count < 100000) {
        const double share = (double)(weir_random_next(&seed) >> 40) / (double)(1 << 24);
        const double ns = (trial->is_on ? on_ns : off_ns) * (1.0 + noise * share);
        tell(trial, ns * (1.0 + drift * count), 0, 0);
        count++;
    }
    return count;
}

static void the_faster_one_is_chosen(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct weir_trial trial = {0};
        weir_trial_start(&trial);
        assert_true(run_until_decided(&trial, 9e6, 10e6, 0.0, 0.2, seed) <= 12 * 32);
        assert_true(trial.is_on);
        assert_true(weir_trial_ratio(&trial) > 0.8 && weir_trial_ratio(&trial) < 0.98);
        trial = (struct weir_trial){0};
        weir_trial_start(&trial);
        run_until_decided(&trial, 10e6, 9e6, 0.0, 0.2, seed);
        assert_false(trial.is_on);
    }
}

/* Little noise, soon; one pair that says the opposite, later. */
static void a_clear_case_takes_few_steps(void **state)
{
    struct weir_trial trial = {0};
    (void)state;
    weir_trial_start(&trial);
    assert_int_equal(run_until_decided(&trial, 9e6, 10e6, 0.0, 0.0, 1), 4 * 32);
    trial = (struct weir_trial){0};
    weir_trial_start(&trial);
    tell(&trial, 1e9, 0, 0);
    assert_int_equal(1 + run_until_decided(&trial, 9e6, 10e6, 0.0, 0.0, 1), 6 * 32);
    assert_true(trial.is_on);
}

/* Whichever way it goes, the worse one costs a sixteenth of the steps, once two pairs say so. */
static void a_trial_costs_little(void **state)
{
    (void)state;
    for (int on_is_faster = 0; on_is_faster <= 1; on_is_faster++) {
        struct weir_trial trial = {0};
        uint32_t worse = 0;
        uint32_t count = 0;
        weir_trial_start(&trial);
        for (; !trial.is_decided; count++) {
            worse += trial.is_on != on_is_faster;
            tell(&trial, trial.is_on == on_is_faster ? 9e6 : 10e6, 0, 0);
        }
        assert_int_equal(trial.is_on, on_is_faster);
        assert_int_equal(worse, on_is_faster ? 4 * 2 : 2 * 30 + 2 * 2);
        assert_int_equal(count, 4 * 32);
    }
}

/* One pair that says the opposite does not make the other lead. */
static void one_pair_changes_no_lead(void **state)
{
    struct weir_trial trial = {0};
    (void)state;
    weir_trial_start(&trial);
    for (int step = 0; step < 32; step++)
        tell(&trial, trial.is_on ? 10e6 : 9e6, 0, 0);
    assert_int_equal(trial.pair_count, 1);
    assert_true(trial.leader_is_on);
    for (int step = 0; step < 32; step++)
        tell(&trial, trial.is_on ? 10e6 : 9e6, 0, 0);
    assert_false(trial.leader_is_on);
}

/* Steps need between 10 and 40 records: which of them fall to the short blocks decides nothing. */
static void what_a_step_needs_is_not_held_against_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 50; seed++) {
        struct weir_trial trial = {0};
        uint64_t random = seed;
        uint32_t count = 0;
        weir_trial_start(&trial);
        for (; !trial.is_decided; count++) {
            const uint64_t needed = 10 + weir_random_next(&random) % 31;
            const double wait_ns = (trial.is_on ? 3.6e6 : 4e6) * (double)needed;
            tell(&trial, 50e6 + wait_ns, wait_ns, needed);
        }
        assert_true(trial.is_on);
        assert_int_equal(count, 4 * 32);
    }
}

static void a_drift_helps_neither(void **state)
{
    (void)state;
    for (int sign = -1; sign <= 1; sign += 2) {
        struct weir_trial trial = {0};
        weir_trial_start(&trial);
        run_until_decided(&trial, 9.5e6, 10e6, sign * 0.004, 0.0, 1);
        assert_true(trial.is_on);
        trial = (struct weir_trial){0};
        weir_trial_start(&trial);
        run_until_decided(&trial, 10e6, 9.5e6, sign * 0.004, 0.0, 1);
        assert_false(trial.is_on);
    }
}

static void one_slow_step_decides_nothing(void **state)
{
    struct weir_trial trial = {0};
    (void)state;
    weir_trial_start(&trial);
    tell(&trial, 1e9, 0, 0); /* the first step, with reads ahead, met a busy machine */
    run_until_decided(&trial, 9e6, 10e6, 0.0, 0.0, 1);
    assert_true(trial.is_on);
}

static void a_decision_is_looked_at_again(void **state)
{
    struct weir_trial trial = {0};
    uint32_t count = 0;
    (void)state;
    weir_trial_start(&trial);
    run_until_decided(&trial, 10e6, 9e6, 0.0, 0.0, 1);
    while (trial.is_decided) {
        assert_false(trial.is_on);
        tell(&trial, 9e6, 0, 0);
        count++;
    }
    assert_int_equal(count, 1024);
    run_until_decided(&trial, 8e6, 9e6, 0.0, 0.0, 1);
    assert_true(trial.is_on);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_faster_one_is_chosen),
        cmocka_unit_test(a_clear_case_takes_few_steps),
        cmocka_unit_test(a_trial_costs_little),
        cmocka_unit_test(one_pair_changes_no_lead),
        cmocka_unit_test(what_a_step_needs_is_not_held_against_it),
        cmocka_unit_test(a_drift_helps_neither),
        cmocka_unit_test(one_slow_step_decides_nothing),
        cmocka_unit_test(a_decision_is_looked_at_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
