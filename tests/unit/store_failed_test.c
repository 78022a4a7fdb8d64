/* store_failed_test.c - failed reads, shrinking files, wrong layers, no memory: what a store says,
 * and that it goes on. */
#include "store/store.h"

#include <errno.h>

#include "store_toy.h"

#include "base/heap.h"

/* One step until the first failure; everything leased is released, and the step ended. */
static enum weir_status step_once(struct toy *toy, uint32_t layer, const uint32_t *records,
                                  uint32_t count, uint32_t hold_max, struct weir_err *err)
{
    struct weir_lease held[RECORDS_MAX];
    uint32_t held_count = 0, leased = 0;
    enum weir_status status = WEIR_OK;
    bool more = true;
    begin_rows(toy, layer, records, count);
    while (status == WEIR_OK && more) {
        struct weir_lease lease;
        status = weir_store_next(toy->store, &lease, &more, err);
        if (status != WEIR_OK || !more)
            break;
        assert_true(is_among(records, count, lease.record));
        check_lease(toy, layer, &lease);
        held[held_count++] = lease;
        leased++;
        if (held_count == hold_max)
            weir_store_release(toy->store, &held[--held_count]);
    }
    if (status != WEIR_OK) { /* it stays so for this step */
        struct weir_lease lease;
        assert_true(weir_store_ready(toy->store));
        assert_int_equal(weir_store_next(toy->store, &lease, &more, NULL), status);
    }
    while (held_count > 0)
        weir_store_release(toy->store, &held[--held_count]);
    weir_store_end(toy->store);
    assert_true(status != WEIR_OK || leased == count);
    return status;
}

/* "layer L record R slice S" of a step's failure. */
static void check_names(const struct toy *toy, const struct weir_err *err, uint32_t layer,
                        const uint32_t *records, uint32_t count)
{
    unsigned found_layer, record, slice;
    const char *place = strstr(err->text, "layer ");
    assert_non_null(place);
    assert_int_equal(sscanf(place, "layer %u record %u slice %u", &found_layer, &record, &slice),
                     3);
    assert_int_equal(found_layer, layer);
    assert_true(is_among(records, count, record));
    assert_true(slice < toy->layers[layer].slice_count);
}

static void errors_at_any_rate_name_the_record_and_the_store_goes_on(void **state)
{
    static const double rates[] = {0.02, 0.2, 0.6, 1};
    (void)state;
    for (size_t rate = 0; rate < WEIR_COUNT(rates); rate++) {
        const struct weir_io_config config = {
            .kind = WEIR_IO_FAKE,
            .fake = {.seed = rate + 1, .short_rate = 0.1, .error_rate = rates[rate]}};
        struct toy toy;
        uint32_t failures = 0;
        open_toy(&toy, &config, rate + 30, 3, 10);
        for (int step = 0; step < 100; step++) {
            struct weir_err err = {0};
            uint32_t records[RECORDS_MAX];
            const uint32_t layer = draw(&toy, 0, LAYERS - 1);
            const uint32_t count = draw(&toy, 1, toy.layers[layer].record_count);
            const uint32_t hold_max = draw(&toy, 1, toy.layers[layer].slot_count - 1);
            draw_records(&toy, layer, records, count);
            if (step_once(&toy, layer, records, count, hold_max, &err) == WEIR_OK)
                continue;
            assert_int_equal(err.status, WEIR_ERR_IO);
            assert_int_equal(err.os_errno, EIO);
            assert_non_null(strstr(err.text, path));
            check_names(&toy, &err, layer, records, count);
            failures++;
        }
        assert_true(failures > 5);
        toy.io->config.fake.error_rate = 0; /* the device is well again */
        for (int step = 0; step < 50; step++) {
            uint32_t records[RECORDS_MAX];
            const uint32_t layer = draw(&toy, 0, LAYERS - 1);
            const uint32_t count = draw(&toy, 1, toy.layers[layer].record_count);
            draw_records(&toy, layer, records, count);
            assert_int_equal(step_once(&toy, layer, records, count, 1, NULL), WEIR_OK);
        }
        close_toy(&toy);
    }
}

static void fill_reports_a_failed_read_and_can_be_asked_again(void **state)
{
    const struct weir_io_config config = {.kind = WEIR_IO_FAKE,
                                          .fake = {.seed = 8, .error_rate = 0.2}};
    struct weir_err err = {0};
    struct weir_store_stats stats;
    struct toy toy;
    uint32_t all[RECORDS_MAX], slot_count = 0;
    (void)state;
    open_toy(&toy, &config, 11, 12, 20);
    assert_int_equal(weir_store_fill(toy.store, NULL, NULL, NULL), WEIR_ERR_IO);
    assert_int_equal(weir_store_fill(toy.store, NULL, NULL, &err), WEIR_ERR_IO);
    assert_int_equal(err.os_errno, EIO);
    for (uint32_t record = 0; record < RECORDS_MAX; record++)
        all[record] = record;
    check_names(&toy, &err, 0, all, RECORDS_MAX);
    toy.io->config.fake.error_rate = 0;
    assert_int_equal(weir_store_fill(toy.store, NULL, NULL, NULL), WEIR_OK);
    weir_store_stats_reset(toy.store);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        slot_count += toy.layers[layer].slot_count;
        assert_int_equal(step_once(&toy, layer, all, toy.layers[layer].slot_count, 1, NULL),
                         WEIR_OK);
    }
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.hits, slot_count);
    assert_int_equal(stats.reads, 0);
    close_toy(&toy);
}

enum { SHRINK_RECORDS = 8, SHRINK_SLICE = 3000, SHRINK_STRIDE = 5000 };

/* Three slices a record: the first and the last in a file that stays, the second in one that does
 * not, as a stack or by a table that says the same. */
static void open_shrinking(struct toy *toy, const struct weir_io_config *config, bool by_table,
                           const char *name)
{
    uint32_t file;
    struct weir_store_layer layer = {
        .record_count = SHRINK_RECORDS, .slice_count = 3, .slot_count = 5};
    for (uint32_t slice = 0; slice < 3; slice++)
        layer.slice[slice] = (struct weir_slice){.offset = 100,
                                                 .stride_bytes = SHRINK_STRIDE,
                                                 .bytes = SHRINK_SLICE,
                                                 .file = slice == 1 ? 1 : 0};
    *toy = (struct toy){.random_state = 1, .layers = {[1] = layer}};
    struct weir_slice *second = &toy->layers[1].slice[1];
    for (uint32_t record = 0; record < SHRINK_RECORDS; record++)
        toy->places[1][1][record] = weir_store_place(second, record);
    if (by_table)
        *second = (struct weir_slice){.bytes = SHRINK_SLICE, .places = toy->places[1][1]};
    toy->config = (struct weir_store_config){
        .layer_count = 2, .layers = toy->layers, .policy = &weir_policy_decayed, .step_max = 4};
    toy->io = open_variant(*config, 6, &file);
    assert_int_equal(weir_io_open(toy->io, name, &file, NULL), WEIR_OK);
    open_store(toy);
}

static void restore_file(const char *name)
{
    const int fd = open(name, O_WRONLY);
    assert_int_equal(pwrite(fd, content, FILE_BYTES, 0), FILE_BYTES);
    close(fd);
}

static void a_file_that_shrinks_names_its_slice_and_the_others_survive(void **state)
{
    static const uint32_t whole[] = {0, 1, 2}, mixed[] = {0, 1, 2, 6}, lost[] = {4, 5, 6, 7};
    (void)state;
    for (size_t variant = 0; variant < 2 * WEIR_COUNT(variants); variant++) {
        char name[64];
        struct toy toy;
        struct weir_err err = {0};
        make_file(name, sizeof(name));
        open_shrinking(&toy, &variants[variant / 2], variant % 2 == 1, name);
        assert_int_equal(step_once(&toy, 1, whole, 3, 2, NULL), WEIR_OK);
        /* Record 4 keeps some of its bytes, those after it none. */
        assert_int_equal(truncate(name, 100 + 4 * SHRINK_STRIDE + 1500), 0);
        assert_int_equal(step_once(&toy, 1, whole, 3, 2, NULL), WEIR_OK);
        assert_int_equal(step_once(&toy, 1, mixed, 4, 2, &err), WEIR_ERR_FORMAT);
        assert_non_null(strstr(err.text, "layer 1 record 6 slice 1"));
        assert_non_null(strstr(err.text, name));
        err = (struct weir_err){0};
        assert_int_equal(step_once(&toy, 1, lost, 4, 1, &err), WEIR_ERR_FORMAT); /* all four */
        check_names(&toy, &err, 1, lost, 4);
        assert_non_null(strstr(err.text, "slice 1"));
        err = (struct weir_err){0};
        assert_int_equal(weir_store_fill(toy.store, NULL, NULL, &err), WEIR_ERR_FORMAT);
        restore_file(name);
        assert_int_equal(step_once(&toy, 1, lost, 4, 1, NULL), WEIR_OK);
        assert_int_equal(step_once(&toy, 1, mixed, 4, 2, NULL), WEIR_OK);
        close_toy(&toy);
        unlink(name);
    }
}

/* What create says to one layer; the others are fine. */
static enum weir_status create_with(struct weir_io *io, struct weir_store_layer layer,
                                    uint32_t step_max, struct weir_err *err)
{
    const struct weir_store_layer fine = {.record_count = 2,
                                          .slice_count = 1,
                                          .slot_count = 2,
                                          .slice = {{.stride_bytes = 10, .bytes = 10}}};
    const struct weir_store_layer layers[] = {fine, layer};
    const struct weir_store_config config = {
        .layer_count = 2, .layers = layers, .policy = &weir_policy_decayed, .step_max = step_max};
    struct weir_mem mem;
    weir_store *store = NULL;
    weir_mem_init(&mem);
    *err = (struct weir_err){0};
    if (layer.slice_count <= WEIR_SLICE_MAX && layer.slice[0].bytes <= PAGE) {
        weir_store_plan(&mem, &config);
        assert_int_equal(weir_mem_open(&mem, NULL), WEIR_OK);
    }
    const enum weir_status status = weir_store_create(&store, &mem, io, &config, err);
    assert_int_equal(status == WEIR_OK, store != NULL);
    weir_store_destroy(&store);
    weir_mem_close(&mem);
    if (status != WEIR_OK) {
        assert_int_equal(status, WEIR_ERR_ARG);
        assert_non_null(strstr(err->text, "layer 1"));
    }
    return status;
}

static void create_refuses_what_is_past_its_limits(void **state)
{
    const struct weir_store_layer fine = {.record_count = 10,
                                          .slice_count = 2,
                                          .slot_count = 4,
                                          .slice = {{0, 10, 10, 0, NULL}, {500, 20, 10, 0, NULL}}};
    struct weir_store_layer layer = fine;
    struct weir_err err;
    uint32_t file;
    (void)state;
    weir_io *io = open_variant(variants[2], 1, &file);
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_OK);
    assert_int_equal(create_with(io, layer, 5, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "wanted 5 to 10 slots, found 4"));
    layer.slot_count = 10;
    assert_int_equal(create_with(io, layer, 10, &err), WEIR_OK);
    assert_int_equal(create_with(io, layer, 12, &err), WEIR_OK); /* all fit: enough for any step */
    layer.slot_count = 11;
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_ERR_ARG);
    layer.slot_count = 0;
    assert_int_equal(create_with(io, layer, 0, &err), WEIR_ERR_ARG);
    layer = fine;
    layer.record_count = WEIR_RECORD_MAX;
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_OK);
    layer.record_count++;
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "4097"));
    layer = fine;
    layer.slice_count = WEIR_SLICE_MAX;
    for (uint32_t slice = 2; slice < WEIR_SLICE_MAX; slice++)
        layer.slice[slice] = layer.slice[1];
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_OK);
    layer.slice_count = 0;
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_ERR_ARG);
    layer.slice_count = WEIR_SLICE_MAX + 1;
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "found 10"));
    layer = fine;
    layer.head_count = 3;
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "head, found 3"));
    layer = fine;
    layer.slice[1].bytes = 0;
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "slice 1"));
    layer.slice[1].bytes = 10;
    layer.slice[0].bytes = WEIR_SLICE_BYTES_MAX + 1;
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_ERR_ARG);
    layer = (struct weir_store_layer){0}; /* a dense layer */
    assert_int_equal(create_with(io, layer, 4, &err), WEIR_OK);
    weir_io_destroy(&io);
}

static void every_failed_allocation_leaves_nothing(void **state)
{
    struct toy toy = {.random_state = 3};
    uint32_t file;
    (void)state;
    shape_layers(&toy, 3, 9);
    toy.io = open_variant(variants[2], 1, &file);
    const uint64_t before_bytes = weir_heap_bytes();
    enum weir_status status = WEIR_ERR_NOMEM;
    uint64_t call = 0;
    while (status != WEIR_OK) {
        struct weir_err err = {0};
        weir_mem_init(&toy.mem);
        weir_heap_fail_at(++call);
        weir_store_plan(&toy.mem, &toy.config);
        status = weir_mem_open(&toy.mem, &err);
        if (status == WEIR_OK)
            status = weir_store_create(&toy.store, &toy.mem, toy.io, &toy.config, &err);
        weir_heap_fail_at(0);
        assert_true(status == WEIR_OK || status == WEIR_ERR_NOMEM);
        assert_true(status == WEIR_OK || strstr(err.text, "no memory") != NULL);
        assert_int_equal(status == WEIR_OK, toy.store != NULL);
        weir_store_destroy(&toy.store);
        weir_mem_close(&toy.mem);
        assert_int_equal(weir_heap_bytes(), before_bytes);
    }
    assert_in_range(call, 3, 5);
    weir_io_destroy(&toy.io);
}

static void a_slot_has_room_for_every_records_supersets(void **state)
{
    struct weir_store_layer layer = {.record_count = 4,
                                     .slice_count = 1,
                                     .slot_count = 4,
                                     .slice = {{.stride_bytes = PAGE, .bytes = PAGE}}};
    (void)state;
    assert_int_equal(weir_store_slot_bytes(&layer), PAGE);
    layer.slice[0] = (struct weir_slice){.offset = 1, .stride_bytes = PAGE, .bytes = PAGE};
    assert_int_equal(weir_store_slot_bytes(&layer), 2 * PAGE);
    layer.slice[0] =
        (struct weir_slice){.stride_bytes = 1000, .bytes = 1000}; /* records 0 to 3 end at 4000 */
    assert_int_equal(weir_store_slot_bytes(&layer), PAGE);
    layer.record_count = 5; /* and the fifth crosses into the second page */
    assert_int_equal(weir_store_slot_bytes(&layer), 2 * PAGE);
    layer.slice_count = 2;
    layer.slice[1] = (struct weir_slice){.stride_bytes = 5000, .bytes = 1};
    assert_int_equal(weir_store_slot_bytes(&layer), 3 * PAGE);
    const struct weir_place table[] = {{0, 0}, {PAGE, 1}, {PAGE - 1, 0}, {0, 1}, {5, 0}};
    layer.slice[1].places = table; /* one byte is in one page, wherever it is */
    assert_int_equal(weir_store_slot_bytes(&layer), 3 * PAGE);
    layer.slice[1].bytes = 2; /* record 2 has a byte on either side */
    assert_int_equal(weir_store_slot_bytes(&layer), 4 * PAGE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_at_any_rate_name_the_record_and_the_store_goes_on),
        cmocka_unit_test(fill_reports_a_failed_read_and_can_be_asked_again),
        cmocka_unit_test(a_file_that_shrinks_names_its_slice_and_the_others_survive),
        cmocka_unit_test(create_refuses_what_is_past_its_limits),
        cmocka_unit_test(every_failed_allocation_leaves_nothing),
        cmocka_unit_test(a_slot_has_room_for_every_records_supersets),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
