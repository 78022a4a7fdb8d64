/* forecast_test.c - a forecast is arithmetic: its ends, its order, and when it says nothing. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "weir.h"

/* 4 layers of 8 experts of 1 MB, 2 of them used, under a ceiling for n_slot_total of the 32. */
static struct weir_plan make_plan(uint32_t n_slot_total)
{
    return (struct weir_plan){
        .n_slot_total = n_slot_total,
        .n_slot_last = n_slot_total,
        .n_expert_total = 32,
        .n_ctx = 1000,
        .n_chunk = 64,
        .n_thread = 2,
        .cost = {.n_layer = 4,
                 .n_moe_layer = 4,
                 .n_expert = 8,
                 .n_expert_used = 2,
                 .expert_uses = 8,
                 .record_bytes = 1000000,
                 .miss_bytes = 1100000,
                 .trunk_bytes = 4000000,
                 .state_count = 1,
                 .states = {{.position_bytes = 1000}},
                 .prompt_parameters = 20000000,
                 .slice_bytes = 333333,
                 .type = "Q4_0",
                 .isa = "avx2"},
    };
}

static const struct weir_calibration measured = {
    .slice_bytes = 333333,
    .n_thread = 2,
    .isa = "avx2",
    .type = "Q4_0",
    .read = {1e9, 2e9},
    .burst = {0.5e9, 1.5e9},
    .dram_bytes_per_s = 30e9,
    .decode_bytes_per_s = 20e9,
    .prefill_ops_per_s = 400e9,
};

static struct weir_expected expect(uint32_t n_slot_total, const struct weir_calibration *with,
                                   uint64_t prompt_tokens, double hit_rate)
{
    const struct weir_plan plan = make_plan(n_slot_total);
    struct weir_expected expected;
    weir_plan_expect(&expected, &plan, with, prompt_tokens, hit_rate);
    return expected;
}

static void assert_close(double found, double wanted)
{
    if (!(fabs(found - wanted) <= 1e-9 * fabs(wanted)))
        fail_msg("wanted %.12g, found %.12g", wanted, found);
}

static void with_all_experts_resident_nothing_is_read(void **state)
{
    (void)state;
    const struct weir_expected found = expect(32, &measured, 0, (double)NAN);
    assert_close(found.hit_rate, 1.0);
    assert_close(found.hit_rate_band.low, 1.0);
    assert_true(found.decode_read_bytes.high == 0.0);
    assert_true(found.decode_tps.low > 0.0 && found.decode_tps.low < found.decode_tps.high);
    /* Then the disk does not matter. */
    struct weir_calibration slow = measured;
    slow.read.low = slow.burst.low = 1e3;
    const struct weir_expected same = expect(32, &slow, 0, (double)NAN);
    assert_close(same.decode_tps.low, found.decode_tps.low);
    assert_close(same.prefill_tps.low, found.prefill_tps.low);
}

static void the_ends_of_the_hit_rate_are_uniform_routing_and_the_curve(void **state)
{
    (void)state;
    struct weir_plan plan = make_plan(0);
    struct weir_expected found;
    /* 8 of 64 experts is a row of the curve, 30 % a column. */
    plan.cost.n_expert = 64;
    plan.cost.expert_uses = 8ull * plan.cost.n_moe_layer;
    plan.n_expert_total = 1000;
    plan.n_slot_total = plan.n_slot_last = 300;
    weir_plan_expect(&found, &plan, NULL, 0, (double)NAN);
    assert_close(found.hit_rate_band.low, 0.3);
    assert_close(found.hit_rate_band.high, 1.0 - 0.6 * (1.0 - 0.698));
    assert_close(found.hit_rate, (0.3 + found.hit_rate_band.high) / 2.0);
    /* Between two columns, half way. */
    plan.n_slot_total = plan.n_slot_last = 350;
    weir_plan_expect(&found, &plan, NULL, 0, (double)NAN);
    assert_close(found.hit_rate_band.high, 1.0 - 0.6 * (1.0 - (0.698 + 0.781) / 2.0));
    /* Between two rows, between their values. */
    plan.n_slot_total = plan.n_slot_last = 300;
    plan.cost.expert_uses = 5ull * plan.cost.n_moe_layer;
    weir_plan_expect(&found, &plan, NULL, 0, (double)NAN);
    assert_true(found.hit_rate_band.high > 1.0 - 0.6 * (1.0 - 0.698) &&
                found.hit_rate_band.high < 1.0 - 0.6 * (1.0 - 0.909));
}

static void more_slots_never_make_it_slower(void **state)
{
    (void)state;
    struct weir_expected before = expect(8, &measured, 0, (double)NAN);
    for (uint32_t slots = 9; slots <= 32; slots++) {
        const struct weir_expected at = expect(slots, &measured, 0, (double)NAN);
        assert_true(at.hit_rate_band.low >= before.hit_rate_band.low);
        assert_true(at.hit_rate_band.high >= before.hit_rate_band.high);
        assert_true(at.hit_rate_band.low <= at.hit_rate_band.high);
        assert_true(at.decode_tps.low >= before.decode_tps.low);
        assert_true(at.decode_tps.high >= before.decode_tps.high);
        assert_true(at.decode_tps.low < at.decode_tps.high);
        assert_true(at.prefill_tps.low >= before.prefill_tps.low);
        assert_true(at.prefill_tps.high >= before.prefill_tps.high);
        assert_true(at.prefill_tps.low < at.prefill_tps.high);
        before = at;
    }
}

static void where_only_the_disk_counts_the_ends_are_bytes_over_its_speeds(void **state)
{
    (void)state;
    struct weir_plan plan = make_plan(16);
    struct weir_calibration disk = measured;
    struct weir_expected found;
    plan.cost.n_layer = 0; /* layers cost time of their own, which would hide what is tested */
    disk.decode_bytes_per_s = disk.dram_bytes_per_s = disk.prefill_ops_per_s = 1e30;
    weir_plan_expect(&found, &plan, &disk, 0, (double)NAN);
    const double slow_bytes = 4 * 2 * 0.5 * 1100000.0;
    const double fast_bytes = 4 * 2 * (1.0 - found.hit_rate_band.high) * 1100000.0;
    assert_close(found.decode_read_bytes.high, slow_bytes);
    assert_close(found.decode_tps.low, 0.5e9 / slow_bytes); /* bursts are the slower ones */
    assert_close(found.decode_tps.high, 2e9 / fast_bytes);
    /* And whatever lies between them is in the band. */
    const double usual = 1e9 / (4 * 2 * (1.0 - found.hit_rate) * 1100000.0);
    assert_true(usual > found.decode_tps.low && usual < found.decode_tps.high);
    /* A long prompt reads every expert of every layer, whatever was there. */
    weir_plan_expect(&found, &plan, &disk, 64, (double)NAN);
    const double distinct = 4 * 8 * (1.0 - pow(0.75, 64));
    assert_close(found.prefill_tps.low, 64.0 / (distinct * 1100000.0 / 1e9));
}

static void a_trace_closes_the_band_of_the_hit_rate(void **state)
{
    (void)state;
    const struct weir_expected wide = expect(16, &measured, 0, (double)NAN);
    const struct weir_expected narrow = expect(16, &measured, 0, 0.6);
    assert_close(narrow.hit_rate, 0.6);
    assert_close(narrow.hit_rate_band.low, 0.6);
    assert_close(narrow.hit_rate_band.high, 0.6);
    assert_true(narrow.decode_tps.low > wide.decode_tps.low);
    assert_true(narrow.decode_tps.high <= wide.decode_tps.high);
}

static void a_prompt_of_two_chunks_costs_both(void **state)
{
    (void)state;
    const struct weir_expected one = expect(8, &measured, 64, (double)NAN);
    const struct weir_expected two = expect(8, &measured, 128, (double)NAN);
    const struct weir_expected few = expect(8, &measured, 4, (double)NAN);
    /* The second chunk has more positions behind it, so it is slower, but not twice. */
    assert_true(two.prefill_tps.low < one.prefill_tps.low);
    assert_true(two.prefill_tps.low > 0.9 * one.prefill_tps.low);
    /* A short prompt shares its experts among few tokens. */
    assert_true(few.prefill_tps.high < one.prefill_tps.high);
    assert_close(expect(8, &measured, 0, (double)NAN).prefill_tps.low, one.prefill_tps.low);
}

static void without_experts_there_is_no_hit_rate_but_a_speed(void **state)
{
    (void)state;
    struct weir_plan plan = make_plan(0);
    struct weir_expected found;
    plan.n_expert_total = plan.cost.n_moe_layer = plan.cost.n_expert = 0;
    plan.cost.expert_uses = 0;
    weir_plan_expect(&found, &plan, &measured, 0, (double)NAN);
    assert_true(isnan(found.hit_rate) && isnan(found.hit_rate_band.low));
    assert_true(found.decode_tps.low > 0.0 && found.decode_tps.low < found.decode_tps.high);
    assert_true(found.prefill_tps.low > 0.0 && found.prefill_tps.low < found.prefill_tps.high);
}

static void what_was_measured_for_other_work_gives_no_speed(void **state)
{
    (void)state;
    struct weir_calibration others[6];
    for (size_t index = 0; index < 6; index++)
        others[index] = measured;
    others[0].n_thread = 3;
    others[1].slice_bytes = 4096;
    others[2].isa[0] = 'r';
    others[3].type[1] = '8';
    others[4].decode_bytes_per_s = 0.0;
    others[5].type[0] = '\0';
    for (size_t index = 0; index < 6; index++) {
        const struct weir_expected found = expect(16, &others[index], 0, (double)NAN);
        if (!isnan(found.decode_tps.low) || !isnan(found.prefill_tps.high))
            fail_msg("calibration %zu does not fit but gives %g", index, found.decode_tps.low);
        assert_true(isfinite(found.hit_rate));
    }
    assert_true(isnan(expect(16, NULL, 0, (double)NAN).decode_tps.low));
    assert_true(isfinite(expect(16, &measured, 0, (double)NAN).decode_tps.low));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(with_all_experts_resident_nothing_is_read),
        cmocka_unit_test(the_ends_of_the_hit_rate_are_uniform_routing_and_the_curve),
        cmocka_unit_test(more_slots_never_make_it_slower),
        cmocka_unit_test(where_only_the_disk_counts_the_ends_are_bytes_over_its_speeds),
        cmocka_unit_test(a_trace_closes_the_band_of_the_hit_rate),
        cmocka_unit_test(a_prompt_of_two_chunks_costs_both),
        cmocka_unit_test(without_experts_there_is_no_hit_rate_but_a_speed),
        cmocka_unit_test(what_was_measured_for_other_work_gives_no_speed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
