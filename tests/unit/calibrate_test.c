/* calibrate_test.c - a calibration is whole or an error, of models and of other files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/heap.h"
#include "gguf_parts.h"
#include "weir.h"

#define DEMO "models/demo/weir-demo.gguf"

/* A file of bytes that is no model, in build/; the caller unlinks it. */
static void make_file(char *name, size_t capacity, uint64_t bytes)
{
    static char page[1 << 16];
    snprintf(name, capacity, "build/calibrate-XXXXXX");
    const int fd = mkstemp(name);
    assert_true(fd >= 0);
    memset(page, 'x', sizeof(page));
    for (uint64_t done = 0; done < bytes; done += sizeof(page))
        assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
    close(fd);
}

static void assert_band(struct weir_band band)
{
    assert_true(band.low > 0.0 && band.low <= band.high && band.high < 1e15);
}

static void a_model_is_measured_with_its_own_slices_and_kernel(void **state)
{
    (void)state;
    const struct weir_calibrate_config config = {.path = DEMO, .quick = true, .n_thread = 2};
    const struct weir_config plan_config = {.model_path = DEMO, .n_thread = 2};
    struct weir_calibration found;
    struct weir_plan plan;
    uint64_t device_id = 0;
    uint32_t slice_bytes = 0;
    assert_int_equal(weir_calibrate(&found, &config, NULL, NULL, NULL), WEIR_OK);
    assert_int_equal(weir_plan_make(&plan, &plan_config, NULL), WEIR_OK);
    assert_int_equal(weir_calibration_key_get(DEMO, &device_id, &slice_bytes, NULL), WEIR_OK);
    assert_int_equal(found.slice_bytes, 13824);
    assert_int_equal(slice_bytes, 13824);
    assert_int_equal(found.device_id, device_id);
    assert_true(weir_calibration_fits(&found, &plan));
    assert_true(found.quick); /* so the budget is the one of a plan without a calibration */
    assert_int_equal(found.io_budget_bytes, plan.io_budget_bytes);
    assert_band(found.read);
    assert_band(found.burst);
    assert_true(found.dram_bytes_per_s > 0.0 && found.both_dram_bytes_per_s > 0.0);
    assert_true(found.both_read_bytes_per_s >= 0.0);
    assert_true(found.decode_bytes_per_s > 0.0 && found.prefill_ops_per_s > 0.0);
    assert_string_equal(found.type, "Q4_0");
}

static void a_model_in_parts_is_measured_where_its_experts_are(void **state)
{
    (void)state;
    static struct edit_model model;
    char stem[64]; /* of this process: builds of two kinds are tested at once */
    struct weir_calibration found;
    struct weir_err err = {0};
    snprintf(stem, sizeof(stem), "build/calibrate-parts-%d", (int)getpid());
    edit_open(&model, DEMO);
    edit_split(&model, stem, 3, true); /* the first part has no tensor at all */
    edit_close(&model);
    const struct weir_calibrate_config config = {
        .path = edit_part_path(stem, 1, 3), .quick = true, .n_thread = 2};
    const struct weir_calibrate_config cut = {
        .path = config.path, .quick = true, .n_thread = 2, .slice_bytes = 4096};
    const enum weir_status status = weir_calibrate(&found, &config, NULL, NULL, &err);
    const enum weir_status cut_status = weir_calibrate(&found, &cut, NULL, NULL, &err);
    edit_remove_parts(stem, 3);
    if (status != WEIR_OK || cut_status != WEIR_OK)
        fail_msg("%s", err.text);
    assert_band(found.read);
}

static bool note_share(void *user, double share)
{
    double *last = user;
    assert_true(share >= *last && share <= 1.0);
    *last = share;
    return true;
}

static void the_search_finds_a_budget_among_its_cells(void **state)
{
    (void)state;
    char name[64];
    double last = 0.0;
    struct weir_calibration found;
    make_file(name, sizeof(name), 8 << 20);
    const struct weir_calibrate_config config = {.path = name, .slice_bytes = 100000};
    const enum weir_status status = weir_calibrate(&found, &config, note_share, &last, NULL);
    unlink(name);
    assert_int_equal(status, WEIR_OK);
    assert_true(last > 0.5);
    assert_false(found.quick);
    assert_int_equal(found.slice_bytes, 100000);
    /* 80 pieces of 102,400 bytes are less than 8 MiB: more in flight would read them twice. */
    assert_int_equal(found.cell_count, 3);
    double best = 0.0;
    double chosen = 0.0;
    for (uint32_t cell = 0; cell < found.cell_count; cell++) {
        const double speed = found.cells[cell].bytes_per_s;
        assert_int_equal(found.cells[cell].in_flight_bytes, 1u << (20 + cell));
        best = speed > best ? speed : best;
        if (found.cells[cell].in_flight_bytes == found.io_budget_bytes)
            chosen = speed;
    }
    assert_true(chosen >= 0.95 * best && chosen > 0.0);
    assert_band(found.read);
    assert_string_equal(found.type, "");
    assert_true(found.decode_bytes_per_s == 0.0);
}

/* However fast one read at a time is: eight of a mebibyte make a burst. */
static void a_burst_is_in_flight_as_a_whole(void **state)
{
    struct weir_calibration found;
    char name[64];
    (void)state;
    make_file(name, sizeof(name), 32 << 20);
    const struct weir_calibrate_config config = {.path = name, .slice_bytes = 1 << 20};
    const enum weir_status status = weir_calibrate(&found, &config, NULL, NULL, NULL);
    unlink(name);
    assert_int_equal(status, WEIR_OK);
    assert_int_equal(found.burst_bytes, 8 << 20);
    assert_true(found.io_budget_bytes >= 8 << 20);
}

static void what_cannot_be_measured_says_why(void **state)
{
    (void)state;
    char name[64];
    char number[32];
    uint64_t device_id;
    uint32_t slice_bytes = 7;
    struct weir_err err = {0};
    struct weir_calibration found;
    make_file(name, sizeof(name), 1 << 16);
    const struct weir_calibrate_config small = {.path = name, .quick = true};
    assert_int_equal(weir_calibrate(&found, &small, NULL, NULL, &err), WEIR_ERR_ARG);
    snprintf(number, sizeof(number), "%d", 16 << 20);
    assert_non_null(strstr(err.text, number));
    assert_non_null(strstr(err.text, "65536"));
    assert_int_equal(weir_calibration_key_get(name, &device_id, &slice_bytes, NULL), WEIR_OK);
    assert_int_equal(slice_bytes, 0);
    unlink(name);
    assert_int_equal(weir_calibrate(&found, &small, NULL, NULL, NULL), WEIR_ERR_IO);
    assert_int_equal(weir_calibration_key_get(name, &device_id, &slice_bytes, NULL), WEIR_ERR_IO);
    const struct weir_calibrate_config huge = {.path = DEMO, .slice_bytes = 1u << 31};
    assert_int_equal(weir_calibrate(&found, &huge, NULL, NULL, NULL), WEIR_ERR_ARG);
    const struct weir_calibrate_config isa = {.path = DEMO, .isa = "sse9"};
    assert_int_equal(weir_calibrate(&found, &isa, NULL, NULL, NULL), WEIR_ERR_ARG);
}

static bool refuse(void *user, double share)
{
    (void)share;
    ++*(int *)user;
    return false;
}

static void a_refused_progress_ends_it(void **state)
{
    (void)state;
    int asked = 0;
    struct weir_calibration found = {.n_thread = 77};
    const struct weir_calibrate_config config = {.path = DEMO};
    assert_int_equal(weir_calibrate(&found, &config, refuse, &asked, NULL), WEIR_ERR_CANCELLED);
    assert_int_equal(asked, 1);
    assert_int_equal(found.n_thread, 77);
}

static void every_failed_allocation_is_an_error_and_nothing_is_lost(void **state)
{
    (void)state;
    const struct weir_calibrate_config config = {.path = DEMO, .quick = true};
    const uint64_t before_bytes = weir_heap_bytes();
    uint64_t failed_count = 0;
    bool reached = true; /* the call that was to fail was made */
    for (uint64_t call = 1; reached; call++) {
        struct weir_calibration found;
        struct weir_err err = {0};
        int asked = 0;
        const uint64_t calls = weir_heap_calls();
        weir_heap_fail_at(call);
        const enum weir_status status = weir_calibrate(&found, &config, refuse, &asked, &err);
        weir_heap_fail_at(0);
        reached = weir_heap_calls() - calls >= call;
        failed_count += status == WEIR_ERR_NOMEM;
        /* Stopped in the first round, or out of memory before it: shrinking a buffer may fail. */
        if (status != WEIR_ERR_NOMEM && status != WEIR_ERR_CANCELLED)
            fail_msg("allocation %llu: status %d: %s", (unsigned long long)call, (int)status,
                     err.text);
        assert_int_equal(weir_heap_bytes(), before_bytes);
    }
    assert_true(failed_count > 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_is_measured_with_its_own_slices_and_kernel),
        cmocka_unit_test(a_model_in_parts_is_measured_where_its_experts_are),
        cmocka_unit_test(the_search_finds_a_budget_among_its_cells),
        cmocka_unit_test(a_burst_is_in_flight_as_a_whole),
        cmocka_unit_test(what_cannot_be_measured_says_why),
        cmocka_unit_test(a_refused_progress_ends_it),
        cmocka_unit_test(every_failed_allocation_is_an_error_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
