/* guard_test.c - when memory counts as short, and how much is given back then. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "engine/guard.h"

#define MIB (1ull << 20)
#define TICK_NS WEIR_GUARD_INTERVAL_NS

/* A group of 640 MiB, whose margin is the least there is, on a machine with plenty. */
enum { MARGIN = 16, TOTAL = 64 << 10, PLENTY = 32 << 10, OWN = 400 };

static struct weir_sys_pressure sample_of(uint64_t limit_mib, uint64_t usage_mib)
{
    return (struct weir_sys_pressure){.limit_bytes = limit_mib * MIB,
                                      .usage_bytes = usage_mib * MIB,
                                      .available_bytes = PLENTY * MIB,
                                      .own_least_bytes = OWN * MIB,
                                      .own_most_bytes = OWN * MIB,
                                      .stall_us = 5000000,
                                      .major_faults = 100};
}

static struct weir_guard begin(const struct weir_sys_pressure *sample)
{
    struct weir_guard guard = {.promised_bytes = OWN * MIB};
    weir_guard_begin(&guard, sample, TOTAL * MIB);
    return guard;
}

/* Whole MiB missing. */
static uint64_t missing(struct weir_guard *guard, const struct weir_sys_pressure *sample)
{
    return weir_guard_missing(guard, sample, TICK_NS) / MIB;
}

static void enough_room_asks_for_nothing_down_to_the_margin(void **state)
{
    (void)state;
    struct weir_sys_pressure sample = sample_of(640, 500);
    struct weir_guard guard = begin(&sample);
    assert_int_equal(missing(&guard, &sample), 0);
    /* Slow growth, a MiB at a time: the margin and one step's growth are kept. */
    for (uint64_t usage = 501; usage <= 640 - MARGIN - 1; usage++) {
        sample = sample_of(640, usage);
        assert_int_equal(missing(&guard, &sample), 0);
    }
    assert_string_equal(guard.stats.reason, "");
    sample = sample_of(640, 640 - MARGIN);
    assert_int_equal(missing(&guard, &sample), 1 + MARGIN);
    assert_string_equal(guard.stats.reason,
                        "16.0 MiB left of 640.0 MiB in our control group, 17.0 MiB wanted");
}

static void what_was_given_is_enough_until_others_grow_again(void **state)
{
    (void)state;
    struct weir_sys_pressure sample = sample_of(640, 500);
    struct weir_guard guard = begin(&sample);
    sample = sample_of(640, 600); /* 100 in one interval: as much again is expected */
    const uint64_t wanted = missing(&guard, &sample);
    assert_int_equal(wanted, MARGIN + 100 - 40 + MARGIN);
    guard.promised_bytes -= wanted * MIB;
    sample = sample_of(640, 600 - wanted);
    sample.own_least_bytes = sample.own_most_bytes = guard.promised_bytes;
    assert_int_equal(missing(&guard, &sample), 0);
    /* The kernel freed it, yet others took as much at once: that is growth. */
    sample.usage_bytes = 600 * MIB;
    assert_int_equal(missing(&guard, &sample), MARGIN + wanted - 40 + MARGIN);
}

static void planned_memory_that_gets_its_pages_is_no_growth(void **state)
{
    (void)state;
    for (int is_told = 0; is_told < 2; is_told++) {
        /* 300 MiB of ours have no pages yet, and 20 are left beyond them. */
        struct weir_sys_pressure sample = sample_of(640, 320);
        sample.own_least_bytes = sample.own_most_bytes = is_told ? (OWN - 300) * MIB : UINT64_MAX;
        struct weir_guard guard = begin(&sample);
        assert_int_equal(guard.group.margin_max_bytes, (is_told ? 20 : 320) / 2 * MIB);
        assert_int_equal(missing(&guard, &sample), 0);
        /* They come at once, some of them between the looks at us and at the group. */
        sample.usage_bytes += 300 * MIB;
        if (is_told) {
            sample.own_least_bytes += 290 * MIB;
            sample.own_most_bytes += 300 * MIB;
        }
        assert_int_equal(missing(&guard, &sample) > 0, !is_told);
        /* Others take what is left but for 5 MiB, all that may be theirs. */
        sample.usage_bytes += 15 * MIB;
        sample.own_least_bytes = sample.own_most_bytes;
        if (is_told)
            assert_int_equal(missing(&guard, &sample), 10 + 5 - 5 + 10);
    }
}

static void growth_is_forgotten_by_halves(void **state)
{
    (void)state;
    struct weir_sys_pressure sample = sample_of(640, 400);
    struct weir_guard guard = begin(&sample);
    sample = sample_of(640, 500);
    assert_int_equal(missing(&guard, &sample), 0); /* 140 left, 116 wanted */
    assert_int_equal(guard.group.growth_bytes, 100 * MIB);
    sample = sample_of(640, 480);
    assert_int_equal(missing(&guard, &sample), 0);
    assert_int_equal(guard.group.growth_bytes, 50 * MIB);
}

static void a_lowered_limit_is_answered_without_calling_it_growth(void **state)
{
    (void)state;
    struct weir_sys_pressure sample = sample_of(640, 500);
    struct weir_guard guard = begin(&sample);
    sample = sample_of(505, 500);
    assert_int_equal(missing(&guard, &sample), MARGIN - 5 + MARGIN);
    assert_int_equal(guard.group.growth_bytes, 0);
    sample = sample_of(400, 500); /* beneath what is used */
    assert_int_equal(missing(&guard, &sample), MARGIN + 100 + MARGIN);
    sample.group_level = 1; /* another group is the tightest now: nothing to compare with */
    sample.limit_bytes = 2000 * MIB;
    sample.usage_bytes = 1900 * MIB;
    assert_int_equal(missing(&guard, &sample), 0);
    assert_int_equal(guard.group.growth_bytes, 0);
}

static void a_limit_that_comes_while_running_counts(void **state)
{
    (void)state;
    struct weir_sys_pressure sample = sample_of(640, 500);
    sample.limit_bytes = UINT64_MAX;
    sample.usage_bytes = 0;
    struct weir_guard guard = begin(&sample);
    assert_int_equal(missing(&guard, &sample), 0);
    sample = sample_of(510, 500);
    assert_int_equal(missing(&guard, &sample), MARGIN - 10 + MARGIN);
}

static void a_ceiling_as_large_as_the_limit_is_left_alone(void **state)
{
    (void)state;
    struct weir_sys_pressure sample = sample_of(640, 638);
    struct weir_guard guard = begin(&sample);
    assert_int_equal(missing(&guard, &sample), 0);
    /* Half of the 2 MiB that were left is the margin; then a step worth the trouble is taken. */
    sample.usage_bytes += MIB;
    assert_int_equal(missing(&guard, &sample), 1 + 4);
}

static void waiting_and_major_faults_double_the_margin(void **state)
{
    (void)state;
    const struct weir_sys_pressure calm = sample_of(640, 640 - MARGIN - 4);
    struct weir_sys_pressure before = sample_of(640, 500);
    struct weir_sys_pressure sample = calm;
    struct weir_guard guard = begin(&before);
    weir_guard_missing(&guard, &calm, TICK_NS);
    for (int tick = 0; tick < 30; tick++)
        weir_guard_missing(&guard, &calm, TICK_NS); /* its growth is forgotten */
    assert_int_equal(missing(&guard, &calm), 0);
    sample.stall_us += TICK_NS / 1000 / 10;
    assert_int_equal(missing(&guard, &sample), 0); /* a tenth of the time, not more */
    sample.stall_us += TICK_NS / 1000 / 10 + 1;
    assert_int_equal(missing(&guard, &sample), 2 * MARGIN - MARGIN - 4 + MARGIN);
    assert_int_equal(missing(&guard, &sample), 0); /* no more waiting */
    sample.major_faults += 65;
    assert_int_equal(missing(&guard, &sample), 2 * MARGIN - MARGIN - 4 + MARGIN);
    /* With room, waiting alone asks for nothing. */
    sample = before;
    sample.stall_us += 1000 * TICK_NS;
    assert_int_equal(missing(&guard, &sample), 0);
}

static void waiting_elsewhere_on_the_machine_says_nothing_about_our_group(void **state)
{
    (void)state;
    struct weir_sys_pressure sample = sample_of(640, 500);
    sample.stall_is_machine = true;
    struct weir_guard guard = begin(&sample);
    sample.usage_bytes = (640 - MARGIN - 4) * MIB;
    for (int tick = 0; tick < 30; tick++)
        weir_guard_missing(&guard, &sample, TICK_NS); /* its growth is forgotten */
    sample.stall_us += 1000 * TICK_NS;
    assert_int_equal(missing(&guard, &sample), 0);
    /* The machine itself is nearly short: there the waiting counts. */
    sample.available_bytes = 1500 * MIB;
    for (int tick = 0; tick < 60; tick++)
        weir_guard_missing(&guard, &sample, TICK_NS);
    assert_int_equal(missing(&guard, &sample), 0);
    sample.stall_us += 1000 * TICK_NS;
    assert_int_equal(missing(&guard, &sample), 2 * 1024 - 1500 + 1024);
}

static void the_machine_runs_short_as_well(void **state)
{
    (void)state;
    struct weir_sys_pressure sample = {.limit_bytes = UINT64_MAX,
                                       .available_bytes = 8000 * MIB,
                                       .own_least_bytes = OWN * MIB,
                                       .own_most_bytes = OWN * MIB};
    struct weir_guard guard = begin(&sample);
    assert_int_equal(missing(&guard, &sample), 0);
    sample.available_bytes = 3000 * MIB; /* 5000 in one interval */
    assert_int_equal(missing(&guard, &sample), 1024 + 5000 - 3000 + 1024);
    assert_non_null(strstr(guard.stats.reason, "of 64.0 GiB in the machine"));
    sample.available_bytes = UINT64_MAX; /* cannot be read any more */
    assert_int_equal(missing(&guard, &sample), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(enough_room_asks_for_nothing_down_to_the_margin),
        cmocka_unit_test(what_was_given_is_enough_until_others_grow_again),
        cmocka_unit_test(planned_memory_that_gets_its_pages_is_no_growth),
        cmocka_unit_test(growth_is_forgotten_by_halves),
        cmocka_unit_test(a_lowered_limit_is_answered_without_calling_it_growth),
        cmocka_unit_test(a_limit_that_comes_while_running_counts),
        cmocka_unit_test(a_ceiling_as_large_as_the_limit_is_left_alone),
        cmocka_unit_test(waiting_and_major_faults_double_the_margin),
        cmocka_unit_test(waiting_elsewhere_on_the_machine_says_nothing_about_our_group),
        cmocka_unit_test(the_machine_runs_short_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
