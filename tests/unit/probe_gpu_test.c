/* probe_gpu_test.c - the measurement of a GPU, on the simulated one. */
#include "gpu_toy.h"

#include "engine/engine_internal.h"
#include "engine/probe.h"

static const struct weir_gpu_probing small = {.kind = WEIR_GPU_SIM,
                                              .copy_bytes = 256 << 10,
                                              .weight_bytes = 1 << 20,
                                              .width = 256,
                                              .prompt_rows = 3};

static bool count_calls(void *user, double share)
{
    uint32_t *left = user;
    assert_true(share > 0.0 && share <= 1.0);
    return (*left)-- > 1;
}

static void everything_is_measured(void **state)
{
    (void)state;
    struct weir_gpu_speeds speeds = {0};
    struct weir_err err = {0};
    uint32_t left = UINT32_MAX;
    if (weir_gpu_probe_speeds(&speeds, &small, count_calls, &left, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_string_equal(speeds.name, "simulated GPU");
    assert_int_equal(speeds.copy_count, 2);
    assert_int_equal(speeds.copies[1].bytes, 256 << 10);
    for (uint32_t index = 0; index < speeds.copy_count; index++) {
        assert_true(speeds.copies[index].pinned_in_bytes_per_s > 0.0);
        assert_true(speeds.copies[index].pinned_out_bytes_per_s > 0.0);
        assert_true(speeds.copies[index].pageable_in_bytes_per_s > 0.0);
        assert_true(speeds.copies[index].pageable_out_bytes_per_s > 0.0);
    }
    assert_true(speeds.both_bytes_per_s > 0.0);
    assert_true(speeds.memory_bytes_per_s > 0.0);
    assert_int_equal(speeds.format_count, WEIR_TYPE_BLOCK_COUNT);
    for (uint32_t index = 0; index < speeds.format_count; index++) {
        assert_string_equal(speeds.formats[index].type,
                            weir_quant_info((enum weir_type)index)->name);
        assert_true(speeds.formats[index].decode_bytes_per_s > 0.0);
        assert_true(speeds.formats[index].prompt_ops_per_s > 0.0);
    }
}

static void a_measurement_can_be_stopped(void **state)
{
    (void)state;
    struct weir_gpu_speeds speeds = {.copy_count = 77};
    struct weir_err err = {0};
    uint32_t left = 2;
    assert_int_equal(weir_gpu_probe_speeds(&speeds, &small, count_calls, &left, &err),
                     WEIR_ERR_CANCELLED);
    assert_int_equal(speeds.copy_count, 77);
}

/* Where there is a GPU this measures it; else it says why there is none. */
static void facts_say_why_there_is_none(void **state)
{
    (void)state;
    struct weir_gpu_facts facts;
    weir_gpu_facts_get(&facts);
    assert_true(facts.is_there ? facts.name[0] != '\0' : facts.why[0] != '\0');
    assert_int_equal(weir_gpu_calibrate(NULL, NULL, NULL, NULL), WEIR_ERR_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_is_measured),
        cmocka_unit_test(a_measurement_can_be_stopped),
        cmocka_unit_test(facts_say_why_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
