/* trial_test.c - what is faster stays, whichever way the machine drifts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/base.h"
#include "engine/trial.h"

/* Tokens that take so long until a decision; returns how many. */
static uint32_t run_until_decided(struct weir_trial *trial, double on_ns, double off_ns,
                                  double drift, double noise, uint64_t seed)
{
    uint32_t count = 0;
    while (!trial->is_decided && count < 100000) {
        const double share = (double)(weir_random_next(&seed) >> 40) / (double)(1 << 24);
        const double ns = (trial->is_on ? on_ns : off_ns) * (1.0 + noise * share);
        weir_trial_tell(trial, (uint64_t)(ns * (1.0 + drift * count)));
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
        assert_true(run_until_decided(&trial, 9e6, 10e6, 0.0, 0.2, seed) <= 12 * 16);
        assert_true(trial.is_on);
        assert_true(weir_trial_ratio(&trial) > 0.8 && weir_trial_ratio(&trial) < 0.98);
        trial = (struct weir_trial){0};
        weir_trial_start(&trial);
        run_until_decided(&trial, 10e6, 9e6, 0.0, 0.2, seed);
        assert_false(trial.is_on);
    }
}

/* Little noise, soon; one pair that says the opposite, later. */
static void a_clear_case_takes_few_tokens(void **state)
{
    struct weir_trial trial = {0};
    (void)state;
    weir_trial_start(&trial);
    assert_int_equal(run_until_decided(&trial, 9e6, 10e6, 0.0, 0.0, 1), 5 * 16);
    trial = (struct weir_trial){0};
    weir_trial_start(&trial);
    weir_trial_tell(&trial, 1000000000);
    assert_int_equal(1 + run_until_decided(&trial, 9e6, 10e6, 0.0, 0.0, 1), 8 * 16);
    assert_true(trial.is_on);
}

/* Whichever way it goes, the worse one costs an eighth of the trial's tokens, once it is known. */
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
            weir_trial_tell(&trial, trial.is_on == on_is_faster ? 9000000 : 10000000);
        }
        assert_int_equal(trial.is_on, on_is_faster);
        assert_int_equal(worse, on_is_faster ? 5 * 2 : 14 + 4 * 2);
        assert_int_equal(count, 5 * 16);
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

static void one_slow_token_decides_nothing(void **state)
{
    struct weir_trial trial = {0};
    (void)state;
    weir_trial_start(&trial);
    weir_trial_tell(&trial, 1000000000); /* the first token, with reads ahead, met a busy machine */
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
        weir_trial_tell(&trial, 9000000);
        count++;
    }
    assert_int_equal(count, 1024);
    assert_int_equal(trial.decision_count, 1);
    run_until_decided(&trial, 8e6, 9e6, 0.0, 0.0, 1);
    assert_true(trial.is_on);
    assert_int_equal(trial.decision_count, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_faster_one_is_chosen),
        cmocka_unit_test(a_clear_case_takes_few_tokens),
        cmocka_unit_test(a_trial_costs_little),
        cmocka_unit_test(a_drift_helps_neither),
        cmocka_unit_test(one_slow_token_decides_nothing),
        cmocka_unit_test(a_decision_is_looked_at_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
