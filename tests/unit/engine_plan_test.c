/* engine_plan_test.c - a plan is the truth: what it says fits does, one byte less is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "golden.h"
#include "weir_bench.h"

#define DEMO "models/demo/weir-demo.gguf"

static uint64_t sum_lines(const struct weir_plan *plan)
{
    uint64_t sum = 0;
    for (uint32_t index = 0; index < plan->line_count; index++)
        sum += plan->lines[index].bytes;
    return sum;
}

static void ceilings_are_ordered_and_one_byte_less_is_refused(void **state)
{
    (void)state;
    char names[GOLDEN_FOLDERS_MAX][64];
    const size_t count = golden_list(names);
    for (size_t index = 0; index <= count; index++) {
        struct weir_err err = {0};
        struct weir_plan plan;
        struct weir_plan least;
        char path[256];
        char number[32];
        snprintf(path, sizeof(path), "tests/golden/%s/model.gguf", names[index % count]);
        struct weir_config config = {.model_path = index == count ? DEMO : path, .n_thread = 2};
        assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_OK);
        assert_true(plan.min_bytes <= plan.useful_bytes);
        assert_true(plan.useful_bytes <= plan.resident_bytes);
        assert_int_equal(sum_lines(&plan), plan.planned_bytes);
        assert_true(plan.planned_bytes <= plan.budget_bytes);

        config.mem_bytes = plan.min_bytes;
        assert_int_equal(weir_plan_make(&least, &config, &err), WEIR_OK);
        assert_int_equal(least.min_bytes, plan.min_bytes);
        assert_true(sum_lines(&least) <= plan.min_bytes);

        config.mem_bytes = plan.min_bytes - 1;
        assert_int_equal(weir_plan_make(&least, &config, &err), WEIR_ERR_NOMEM);
        snprintf(number, sizeof(number), "%llu", (unsigned long long)plan.min_bytes);
        assert_non_null(strstr(err.text, number));
        assert_int_equal(least.min_bytes, plan.min_bytes);
        weir_engine *engine = NULL;
        assert_int_equal(weir_engine_open(&engine, &config, NULL), WEIR_ERR_NOMEM);
        assert_null(engine);

        config.mem_bytes = plan.resident_bytes;
        assert_int_equal(weir_plan_make(&least, &config, NULL), WEIR_OK);
#ifndef WEIR_HOSTILE /* there the fewest slots are always chosen */
        assert_int_equal(least.n_slot_total, least.n_expert_total);
#endif
    }
}

static void more_memory_never_means_fewer_slots(void **state)
{
    (void)state;
    struct weir_config config = {.model_path = DEMO, .n_thread = 2, .n_chunk = 64};
    struct weir_plan plan;
    uint32_t before = 0;
    uint32_t last = 0;
    assert_int_equal(weir_plan_make(&plan, &config, NULL), WEIR_OK);
    const uint64_t step_bytes = (plan.resident_bytes - plan.min_bytes) / 50 + 1;
    for (uint64_t bytes = plan.min_bytes; bytes < plan.resident_bytes; bytes += step_bytes) {
        struct weir_plan at;
        config.mem_bytes = bytes;
        assert_int_equal(weir_plan_make(&at, &config, NULL), WEIR_OK);
        assert_true(at.planned_bytes <= bytes);
        assert_true(at.n_slot_total >= before);
        assert_true(at.n_slot_last <= at.n_slot_total);
        assert_true(at.n_slot_last >= last);
        last = at.n_slot_last;
        before = at.n_slot_total;
    }
#ifndef WEIR_HOSTILE
    assert_true(before > 200);
#endif
}

static void wishes_out_of_range_are_refused_with_both_numbers(void **state)
{
    (void)state;
    static const struct {
        struct weir_config config;
        const char *wanted, *found;
    } cases[] = {
        {{.model_path = DEMO, .n_slot = 3}, "4 (the experts of one token)", "found 3"},
        {{.model_path = DEMO, .n_slot = 33}, "32 (all)", "found 33"},
        {{.model_path = DEMO, .expert_share = 1.5}, "0 to 1", "1.5"},
        {{.model_path = DEMO, .n_ctx = 1u << 30}, "trained for", "1073741824"},
        {{.model_path = DEMO, .n_thread = 100000}, "1 to 256", "100000"},
        {{.model_path = DEMO, .isa = "sse9"}, "ref, avx2", "sse9"},
    };
    for (size_t index = 0; index < sizeof(cases) / sizeof(cases[0]); index++) {
        struct weir_err err = {0};
        struct weir_plan plan;
        assert_int_equal(weir_plan_make(&plan, &cases[index].config, &err), WEIR_ERR_ARG);
        if (strstr(err.text, cases[index].wanted) == NULL ||
            strstr(err.text, cases[index].found) == NULL)
            fail_msg("case %zu says: %s", index, err.text);
    }
}

static void what_the_caller_holds_is_taken_from_the_ceiling(void **state)
{
    (void)state;
    struct weir_config config = {.model_path = DEMO, .n_thread = 2};
    struct weir_plan without;
    struct weir_plan with;
    assert_int_equal(weir_plan_make(&without, &config, NULL), WEIR_OK);
    config.caller_bytes = 5000000;
    assert_int_equal(weir_plan_make(&with, &config, NULL), WEIR_OK);
    assert_int_equal(with.min_bytes, without.min_bytes + 5000000);
    assert_int_equal(with.resident_bytes, without.resident_bytes + 5000000);
}

static void a_timeline_is_taken_from_the_ceiling(void **state)
{
    (void)state;
    enum { EVENT_BYTES = 48, EVENTS = 1 << 20 };
    struct weir_config config = {.model_path = DEMO, .n_thread = 2, .mem_bytes = 256u << 20};
    struct weir_plan without;
    struct weir_plan with;
    assert_int_equal(weir_plan_make(&without, &config, NULL), WEIR_OK);
    config.timeline_events = EVENTS;
    assert_int_equal(weir_plan_make(&with, &config, NULL), WEIR_OK);
    const struct weir_plan_line *line = &with.lines[with.line_count - 1];
    assert_int_equal(with.line_count, without.line_count + 1);
    assert_string_equal(line->what, "timeline");
    assert_in_range(line->bytes, EVENT_BYTES * EVENTS, EVENT_BYTES * EVENTS + 4096);
    assert_true(with.min_bytes >= without.min_bytes + EVENT_BYTES * EVENTS);
    assert_true(with.planned_bytes <= with.budget_bytes);
}

/* The share that ./run-demo shows: 30 % of 12 x 32 experts; a layer alone has whole slots. */
static void a_share_of_the_experts_is_that_many_slots(void **state)
{
    (void)state;
    struct weir_config config = {.model_path = DEMO, .expert_share = 0.30};
    struct weir_plan plan;
    assert_int_equal(weir_plan_make(&plan, &config, NULL), WEIR_OK);
    assert_int_equal(plan.n_slot_total, 115);
    const struct weir_bench_config bench = {.policy = "decayed"};
    config.bench = &bench;
    assert_int_equal(weir_plan_make(&plan, &config, NULL), WEIR_OK);
    assert_int_equal(plan.n_slot, 9);
    assert_int_equal(plan.n_slot_total, 9 * 12);
}

static void only_policies_that_can_decide_now_are_taken(void **state)
{
    (void)state;
    struct weir_bench_config bench = {.policy = "belady"};
    const struct weir_config config = {.model_path = DEMO, .bench = &bench};
    struct weir_err err = {0};
    struct weir_plan plan;
    assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "replay only"));
    err = (struct weir_err){0};
    bench.policy = "clock";
    assert_int_equal(weir_plan_make(&plan, &config, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "learned, decayed, lru"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ceilings_are_ordered_and_one_byte_less_is_refused),
        cmocka_unit_test(more_memory_never_means_fewer_slots),
        cmocka_unit_test(wishes_out_of_range_are_refused_with_both_numbers),
        cmocka_unit_test(what_the_caller_holds_is_taken_from_the_ceiling),
        cmocka_unit_test(a_timeline_is_taken_from_the_ceiling),
        cmocka_unit_test(a_share_of_the_experts_is_that_many_slots),
        cmocka_unit_test(only_policies_that_can_decide_now_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
