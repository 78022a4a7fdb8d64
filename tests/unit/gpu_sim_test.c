/* gpu_sim_test.c - streams, events, graphs, limits and losses of the simulated device. */
#include "gpu_toy.h"

enum { SEEDS = 64 };

/* What a chain gives that hands a number from the copies to the computation and back: 7 doubled is
 * 14. Without its events, whatever was there before. */
static float run_chain(struct weir_gpu_faults faults, bool has_in, bool has_out)
{
    struct gpu_toy toy = gpu_toy_open(faults);
    const float in = 7.0f;
    float out = 0.0f;
    const weir_gpu_address a = gpu_toy_take(&toy, sizeof(float));
    const weir_gpu_address b = gpu_toy_take(&toy, sizeof(float));
    weir_gpu_copy_in(toy.gpu, WEIR_GPU_COPY_IN, a, &in, sizeof(in));
    weir_gpu_record(toy.gpu, WEIR_GPU_COPY_IN, 3);
    if (has_in)
        weir_gpu_wait_for(toy.gpu, WEIR_GPU_COMPUTE, 3);
    const struct weir_gpu_add add = {.x = a, .y = b, .width = 1, .n_row = 1, .scale = 2.0f};
    weir_gpu_add(toy.gpu, &add);
    weir_gpu_record(toy.gpu, WEIR_GPU_COMPUTE, 4);
    if (has_out)
        weir_gpu_wait_for(toy.gpu, WEIR_GPU_COPY_OUT, 4);
    weir_gpu_copy_out(toy.gpu, WEIR_GPU_COPY_OUT, &out, b, sizeof(out));
    weir_gpu_record(toy.gpu, WEIR_GPU_COPY_OUT, 5);
    assert_int_equal(weir_gpu_await(toy.gpu, 5, NULL), WEIR_OK);
    assert_true(weir_gpu_has_passed(toy.gpu, 5));
    weir_gpu_close(&toy.gpu);
    assert_null(toy.gpu);
    return out;
}

static void events_order_streams(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++)
        assert_true(run_chain((struct weir_gpu_faults){.seed = seed}, true, true) == 14.0f);
    const struct weir_gpu_faults slow = {.seed = 5, .delay_us_max = 300};
    assert_true(run_chain(slow, true, true) == 14.0f);
}

static void some_seed_finds_a_missing_event(void **state)
{
    (void)state;
    uint32_t without_in = 0;
    uint32_t without_out = 0;
    for (uint64_t seed = 1; seed < SEEDS; seed++) {
        const struct weir_gpu_faults faults = {.seed = seed};
        without_in += run_chain(faults, false, true) != 14.0f;
        without_out += run_chain(faults, true, false) != 14.0f;
    }
    assert_in_range(without_in, SEEDS / 8, SEEDS);
    assert_in_range(without_out, SEEDS / 8, SEEDS);
}

/* A buffer of the host's that changes before its copy was waited for. */
static void some_seed_finds_a_buffer_that_changes(void **state)
{
    (void)state;
    uint32_t found = 0;
    for (uint64_t seed = 1; seed < SEEDS; seed++) {
        struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){.seed = seed});
        const weir_gpu_address at = gpu_toy_take(&toy, sizeof(float));
        float value = 1.0f;
        weir_gpu_copy_in(toy.gpu, WEIR_GPU_COPY_IN, at, &value, sizeof(value));
        value = 2.0f;
        assert_int_equal(weir_gpu_await_all(toy.gpu, NULL), WEIR_OK);
        gpu_toy_get(&toy, &value, at, sizeof(value));
        found += value == 2.0f;
        weir_gpu_close(&toy.gpu);
    }
    assert_in_range(found, SEEDS / 8, SEEDS);
}

static void an_event_recorded_again_means_its_new_place(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){.seed = seed});
        const weir_gpu_address at = gpu_toy_take(&toy, sizeof(float));
        const float values[] = {1.0f, 2.0f};
        float out = 0.0f;
        assert_true(weir_gpu_has_passed(toy.gpu, 9)); /* never recorded */
        assert_int_equal(weir_gpu_await(toy.gpu, 9, NULL), WEIR_OK);
        for (int turn = 0; turn < 2; turn++) {
            weir_gpu_copy_in(toy.gpu, WEIR_GPU_COPY_IN, at, &values[turn], sizeof(values[turn]));
            weir_gpu_record(toy.gpu, WEIR_GPU_COPY_IN, 9);
        }
        weir_gpu_wait_for(toy.gpu, WEIR_GPU_COPY_OUT, 9);
        weir_gpu_copy_out(toy.gpu, WEIR_GPU_COPY_OUT, &out, at, sizeof(out));
        assert_int_equal(weir_gpu_await_all(toy.gpu, NULL), WEIR_OK);
        assert_true(out == 2.0f);
        weir_gpu_close(&toy.gpu);
    }
}

static void whoever_asks_again_gets_there(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){.seed = seed});
        const weir_gpu_address at = gpu_toy_take(&toy, 64);
        for (int index = 0; index < 9; index++)
            weir_gpu_zero(toy.gpu, WEIR_GPU_COMPUTE, at, 64);
        weir_gpu_record(toy.gpu, WEIR_GPU_COMPUTE, 0);
        while (!weir_gpu_has_passed(toy.gpu, 0))
            ;
        weir_gpu_close(&toy.gpu);
    }
}

/* More work than a stream's queue holds, while another stream is waited for. */
static void long_queues_go_on(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){.seed = seed});
        const float one = 1.0f;
        const weir_gpu_address x = gpu_toy_put(&toy, &one, sizeof(one));
        const weir_gpu_address y = gpu_toy_take(&toy, sizeof(float));
        const struct weir_gpu_add add = {.x = x, .y = y, .width = 1, .n_row = 1, .scale = 1.0f};
        float out = 0.0f;
        for (int index = 0; index < COUNT; index++) {
            weir_gpu_record(toy.gpu, WEIR_GPU_COPY_IN, 1);
            weir_gpu_wait_for(toy.gpu, WEIR_GPU_COMPUTE, 1);
            weir_gpu_add(toy.gpu, &add);
        }
        gpu_toy_get(&toy, &out, y, sizeof(out));
        assert_true(out == COUNT);
        weir_gpu_close(&toy.gpu);
    }
}

static void copies_and_zeros(void **state)
{
    (void)state;
    struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){0});
    uint8_t bytes[64];
    uint8_t out[64];
    for (int index = 0; index < 64; index++)
        bytes[index] = (uint8_t)(index + 1);
    const weir_gpu_address a = gpu_toy_put(&toy, bytes, sizeof(bytes));
    const weir_gpu_address b = gpu_toy_take(&toy, sizeof(bytes));
    gpu_toy_get(&toy, out, b, sizeof(out));
    for (int index = 0; index < 64; index++)
        assert_int_equal(out[index], 0); /* device memory begins as 0 */
    weir_gpu_copy(toy.gpu, WEIR_GPU_COMPUTE, b, a, sizeof(bytes));
    weir_gpu_zero(toy.gpu, WEIR_GPU_COMPUTE, b + 8, 8);
    gpu_toy_get(&toy, out, b, sizeof(out));
    for (int index = 0; index < 64; index++)
        assert_int_equal(out[index], index >= 8 && index < 16 ? 0 : index + 1);
    weir_gpu_close(&toy.gpu);
}

static void a_graph_does_its_work_at_each_launch(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){.seed = seed});
        float in = 1.0f;
        float out = 0.0f;
        const weir_gpu_address x = gpu_toy_take(&toy, sizeof(float));
        const weir_gpu_address y = gpu_toy_take(&toy, sizeof(float));
        const struct weir_gpu_add add = {.x = x, .y = y, .width = 1, .n_row = 1, .scale = 1.0f};
        assert_true(weir_gpu_graph_begin(toy.gpu, 2));
        weir_gpu_copy_in(toy.gpu, WEIR_GPU_COMPUTE, x, &in, sizeof(in));
        weir_gpu_add(toy.gpu, &add);
        weir_gpu_copy_out(toy.gpu, WEIR_GPU_COMPUTE, &out, y, sizeof(out));
        weir_gpu_graph_end(toy.gpu, 2);
        assert_int_equal(weir_gpu_await_all(toy.gpu, NULL), WEIR_OK);
        assert_true(out == 0.0f); /* kept, not done */
        for (in = 1.0f; in < 4.0f; in += 1.0f) {
            weir_gpu_graph_launch(toy.gpu, 2);
            assert_int_equal(weir_gpu_await_all(toy.gpu, NULL), WEIR_OK);
        }
        assert_true(out == 6.0f);                      /* what stood there at each launch */
        assert_true(weir_gpu_graph_begin(toy.gpu, 2)); /* in place of the old one */
        weir_gpu_zero(toy.gpu, WEIR_GPU_COMPUTE, y, sizeof(float));
        weir_gpu_graph_end(toy.gpu, 2);
        weir_gpu_graph_launch(toy.gpu, 2);
        gpu_toy_get(&toy, &out, y, sizeof(out));
        assert_true(out == 0.0f);
        weir_gpu_graph_forget(toy.gpu, 2);
        weir_gpu_graph_forget(toy.gpu, 2);
        weir_gpu_close(&toy.gpu);
    }
}

static void copies_go_on_beside_a_recording(void **state)
{
    (void)state;
    struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){0});
    const float in = 3.0f;
    float out = 0.0f;
    const weir_gpu_address at = gpu_toy_take(&toy, sizeof(float));
    assert_true(weir_gpu_graph_begin(toy.gpu, 0));
    weir_gpu_zero(toy.gpu, WEIR_GPU_COMPUTE, at, sizeof(float));
    weir_gpu_copy_in(toy.gpu, WEIR_GPU_COPY_IN, at, &in, sizeof(in));
    weir_gpu_record(toy.gpu, WEIR_GPU_COPY_IN, 0);
    weir_gpu_graph_end(toy.gpu, 0);
    assert_int_equal(weir_gpu_await(toy.gpu, 0, NULL), WEIR_OK);
    gpu_toy_get(&toy, &out, at, sizeof(out));
    assert_true(out == 3.0f);
    weir_gpu_close(&toy.gpu);
}

/* The device goes at its n-th piece of work, whichever that is; nothing waits for ever. */
static void a_lost_device_ends_every_wait(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        struct gpu_toy toy =
            gpu_toy_open((struct weir_gpu_faults){.seed = seed, .fails_at_work = 3 + seed % 5});
        const weir_gpu_address at = gpu_toy_take(&toy, 64);
        struct weir_err err = {0};
        assert_true(weir_gpu_graph_begin(toy.gpu, 1));
        weir_gpu_zero(toy.gpu, WEIR_GPU_COMPUTE, at, 64);
        weir_gpu_graph_end(toy.gpu, 1);
        for (int index = 0; index < 5; index++) {
            weir_gpu_zero(toy.gpu, WEIR_GPU_COPY_IN, at, 64);
            weir_gpu_record(toy.gpu, WEIR_GPU_COPY_IN, 1);
            weir_gpu_wait_for(toy.gpu, WEIR_GPU_COMPUTE, 1);
            weir_gpu_graph_launch(toy.gpu, 1);
            weir_gpu_record(toy.gpu, WEIR_GPU_COMPUTE, 2);
        }
        assert_int_equal(weir_gpu_await(toy.gpu, 2, &err), WEIR_ERR_IO);
        assert_non_null(strstr(err.text, "the GPU 0 (simulated GPU) is lost"));
        assert_non_null(strstr(err.text, "--gpu off"));
        assert_int_equal(weir_gpu_sim_work(toy.gpu), 3 + seed % 5);
        /* And at each wait after it. */
        assert_int_equal(weir_gpu_await_all(toy.gpu, NULL), WEIR_ERR_IO);
        assert_true(weir_gpu_has_passed(toy.gpu, 2));
        weir_gpu_zero(toy.gpu, WEIR_GPU_COMPUTE, at, 64);
        weir_gpu_record(toy.gpu, WEIR_GPU_COMPUTE, 2);
        assert_int_equal(weir_gpu_await(toy.gpu, 2, NULL), WEIR_ERR_IO);
        assert_false(weir_gpu_graph_begin(toy.gpu, 1));
        assert_int_equal(weir_gpu_sim_work(toy.gpu), 3 + seed % 5);
        weir_gpu_close(&toy.gpu);
    }
}

/* What is planned is what is handed out, and to the last byte. */
static void memory_is_planned_first(void **state)
{
    (void)state;
    struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){0});
    struct weir_gpu_mem plan = {0};
    const uint64_t pieces[] = {1, 256, 1000, 0, 70000};
    weir_gpu_address last = 0;
    for (size_t index = 0; index < WEIR_COUNT(pieces); index++) {
        assert_int_equal(weir_gpu_alloc(&plan, WEIR_GPU_KV, pieces[index]), 0);
        const weir_gpu_address at = weir_gpu_alloc(&toy.mem, WEIR_GPU_KV, pieces[index]);
        assert_int_equal(at % WEIR_GPU_ALIGN, 0);
        assert_true(at >= last);
        last = at;
    }
    assert_int_equal(plan.used_bytes[WEIR_GPU_KV], 256 + 256 + 1024 + 0 + 70144);
    assert_int_equal(weir_gpu_mem_bytes(&plan), weir_gpu_mem_bytes(&toy.mem));
    weir_gpu_alloc(&toy.mem, WEIR_GPU_SLOTS, TOY_BYTES - weir_gpu_mem_bytes(&toy.mem));
    assert_int_equal(weir_gpu_mem_bytes(&toy.mem), TOY_BYTES);
    weir_gpu_close(&toy.gpu);
}

static void a_device_has_so_much_memory(void **state)
{
    (void)state;
    struct weir_gpu_config config = {
        .kind = WEIR_GPU_SIM, .memory_bytes = 1 << 20, .faults = {.total_bytes = 1 << 20}};
    struct weir_gpu_info info;
    struct weir_err err = {0};
    weir_gpu *gpu = NULL;
    assert_int_equal(weir_gpu_open(&gpu, &config, &err), WEIR_OK);
    weir_gpu_info_get(gpu, &info);
    assert_int_equal(info.total_bytes, 1 << 20);
    assert_int_equal(weir_gpu_free_bytes(gpu), 0);
    weir_gpu_close(&gpu);
    config.memory_bytes++;
    assert_int_equal(weir_gpu_open(&gpu, &config, &err), WEIR_ERR_NOMEM);
    assert_non_null(strstr(err.text, "1048577"));
    assert_null(gpu);
    config = (struct weir_gpu_config){.kind = WEIR_GPU_SIM, .index = 1};
    err = (struct weir_err){0};
    assert_int_equal(weir_gpu_open(&gpu, &config, &err), WEIR_ERR_UNSUPPORTED);
    assert_int_equal(weir_gpu_probe(WEIR_GPU_SIM, 1, &info, NULL), WEIR_ERR_UNSUPPORTED);
    assert_int_equal(weir_gpu_probe(WEIR_GPU_SIM, 0, &info, NULL), WEIR_OK);
    assert_string_equal(info.name, "simulated GPU");
}

static void another_program_takes_memory(void **state)
{
    (void)state;
    struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){.total_bytes = TOY_BYTES + 4096});
    assert_int_equal(weir_gpu_free_bytes(toy.gpu), 4096);
    weir_gpu_sim_take(toy.gpu, 1000);
    assert_int_equal(weir_gpu_free_bytes(toy.gpu), 3096);
    weir_gpu_sim_take(toy.gpu, 10000);
    assert_int_equal(weir_gpu_free_bytes(toy.gpu), 0);
    weir_gpu_close(&toy.gpu);
}

static void host_memory_is_pinned_by_pages(void **state)
{
    (void)state;
    struct gpu_toy toy = gpu_toy_open((struct weir_gpu_faults){0});
    void *pages = aligned_alloc(4096, 8192);
    assert_non_null(pages);
    assert_true(weir_gpu_pin(toy.gpu, pages, 8192));
    weir_gpu_unpin(toy.gpu, pages);
    free(pages);
    weir_gpu_close(&toy.gpu);
}

/* Whether a build has no CUDA, or a machine no driver or GPU: the message says which. */
static void a_device_that_is_not_there_is_told(void **state)
{
    (void)state;
    const struct weir_gpu_config config = {.kind = WEIR_GPU_CUDA, .index = 1000};
    struct weir_gpu_info info = {.name = "as it was"};
    struct weir_err err = {0};
    weir_gpu *gpu = NULL;
    assert_int_equal(weir_gpu_open(&gpu, &config, &err), WEIR_ERR_UNSUPPORTED);
    assert_null(gpu);
    assert_true(strstr(err.text, "built without CUDA") != NULL ||
                strstr(err.text, "NVIDIA driver") != NULL);
    assert_int_equal(weir_gpu_probe(WEIR_GPU_CUDA, 1000, &info, NULL), WEIR_ERR_UNSUPPORTED);
    assert_string_equal(info.name, "as it was");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_order_streams),
        cmocka_unit_test(some_seed_finds_a_missing_event),
        cmocka_unit_test(some_seed_finds_a_buffer_that_changes),
        cmocka_unit_test(an_event_recorded_again_means_its_new_place),
        cmocka_unit_test(whoever_asks_again_gets_there),
        cmocka_unit_test(long_queues_go_on),
        cmocka_unit_test(copies_and_zeros),
        cmocka_unit_test(a_graph_does_its_work_at_each_launch),
        cmocka_unit_test(copies_go_on_beside_a_recording),
        cmocka_unit_test(a_lost_device_ends_every_wait),
        cmocka_unit_test(memory_is_planned_first),
        cmocka_unit_test(a_device_has_so_much_memory),
        cmocka_unit_test(another_program_takes_memory),
        cmocka_unit_test(host_memory_is_pinned_by_pages),
        cmocka_unit_test(a_device_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
