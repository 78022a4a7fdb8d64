/* store_ahead_test.c - heads, tails, reads ahead and warm-ups; no lease ever holds other bytes. */
#include "store/store_internal.h"

#include <jansson.h>

#include "store_toy.h"

static void check_head(const struct toy *toy, uint32_t layer, const struct weir_lease *lease)
{
    const struct weir_store_layer *config = &toy->layers[layer];
    const uint32_t head_count = config->head_count > 0 ? config->head_count : config->slice_count;
    for (uint32_t slice = 0; slice < head_count; slice++) {
        const struct weir_slice *at = &config->slice[slice];
        assert_memory_equal(lease->slice[slice],
                            content + weir_store_place(at, lease->record).offset, at->bytes);
    }
}

/* All records of a step, whole; false after a failed read. */
static bool run_step(struct toy *toy, uint32_t layer, const uint32_t *records, uint32_t count,
                     const uint32_t *expected, uint32_t expected_count)
{
    struct weir_err err = {0};
    bool more = true;
    begin_rows(toy, layer, records, count);
    const uint32_t next = (layer + 1) % LAYERS, further = (layer + 2) % LAYERS;
    if (expected_count > 0)
        weir_store_hint(toy->store, next, expected, expected_count, draw(toy, 0, 1) == 0);
    if (expected_count > 0 && draw(toy, 0, 2) == 0 &&
        toy->layers[further].record_count >= toy->layers[next].record_count)
        weir_store_hint(toy->store, further, expected, expected_count, draw(toy, 0, 1) == 0);
    while (more && err.status == WEIR_OK) {
        struct weir_lease lease = {0};
        if (weir_store_next(toy->store, &lease, &more, &err) != WEIR_OK || !more)
            break;
        check_head(toy, layer, &lease);
        if (draw(toy, 0, 3) > 0 && weir_store_tail(toy->store, &lease, &err) == WEIR_OK)
            check_lease(toy, layer, &lease);
        weir_store_release(toy->store, &lease);
    }
    weir_store_end(toy->store);
    return err.status == WEIR_OK;
}

/* Guesses that are right more often than not, and sometimes about the wrong layer's records. */
static void guess(struct toy *toy, const uint32_t *records, uint32_t count, uint32_t record_count,
                  uint32_t *expected)
{
    for (uint32_t index = 0; index < count; index++)
        expected[index] = draw(toy, 0, 2) > 0 ? records[index] : draw(toy, 0, record_count - 1);
}

static void open_with_heads(struct toy *toy, const struct weir_io_config *config, uint64_t seed)
{
    uint32_t file;
    *toy = (struct toy){.random_state = seed};
    shape_layers(toy, 4, 12);
    for (uint32_t layer = 0; layer < LAYERS; layer++)
        toy->layers[layer].head_count = draw(toy, 0, toy->layers[layer].slice_count);
    toy->config.policy = seed % 2 == 0 ? &weir_policy_learned : &weir_policy_arc;
    toy->config.budget_bytes = draw(toy, 1, 20) * PAGE;
    toy->config.waits_for_all = seed % 5 == 0;
    toy->io = open_variant(*config, draw(toy, 1, 40), &file);
    assert_int_equal(weir_io_open(toy->io, path, &file, NULL), WEIR_OK);
    open_store(toy);
}

static void run_steps(struct toy *toy, bool may_fail)
{
    uint32_t records[RECORDS_MAX], next[RECORDS_MAX], expected[RECORDS_MAX];
    uint32_t count = 4;
    draw_records(toy, 0, records, count);
    for (uint32_t step = 0; step < 300; step++) {
        const uint32_t layer = step % LAYERS;
        const uint32_t after = (layer + 1) % LAYERS;
        /* A prefill step has more records than a token has. */
        const uint32_t next_count =
            draw(toy, 0, 7) == 0 ? toy->layers[after].record_count : draw(toy, 1, 4);
        draw_records(toy, after, next, next_count);
        guess(toy, next, next_count, toy->layers[after].record_count, expected);
        const bool is_fine =
            run_step(toy, layer, records, count, expected, draw(toy, 0, 4) == 0 ? 0 : next_count);
        assert_true(is_fine || may_fail);
        memcpy(records, next, sizeof(records));
        count = next_count;
        if (draw(toy, 0, 9) == 0)
            weir_store_poll(toy->store);
    }
}

static void reads_ahead_never_change_a_lease(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (uint64_t seed = pace_is_long() ? 1 : 2; seed <= 6 && variant_has_turn(variant);
             seed += pace_is_long() ? 1 : 3) {
            struct toy toy;
            struct weir_store_stats stats;
            open_with_heads(&toy, &variants[variant], seed);
            run_steps(&toy, false);
            weir_store_stats_get(toy.store, &stats);
            assert_int_equal(stats.step_reads_max, 1);
            assert_true(stats.ahead_reads > 0);
            assert_true(stats.ahead_hits + stats.ahead_late > 0);
            assert_true(stats.ahead_hits + stats.ahead_late <= stats.ahead_reads);
            assert_true(stats.ahead_wasted_bytes < stats.read_bytes);
            assert_true(stats.pending_bytes <= stats.read_bytes);
            close_toy(&toy);
        }
}

/* All records of the toy, in any order. */
static uint32_t list_all(struct toy *toy, struct weir_record_name *names)
{
    uint32_t count = 0;
    for (uint32_t layer = 0; layer < LAYERS; layer++)
        for (uint32_t record = 0; record < toy->layers[layer].record_count; record++) {
            const uint32_t at = draw(toy, 0, count);
            names[count++] = names[at];
            names[at] = (struct weir_record_name){layer, record};
        }
    return count;
}

static void a_warm_up_never_changes_a_lease(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (uint64_t seed = 1; seed <= 2 && variant_has_turn(variant); seed++) {
            struct weir_record_name names[LAYERS * RECORDS_MAX + 1];
            struct toy toy;
            struct weir_store_stats stats;
            open_with_heads(&toy, &variants[variant], seed);
            weir_store_warm_up(toy.store, names, list_all(&toy, names));
            run_steps(&toy, false);
            weir_store_stats_get(toy.store, &stats);
            assert_int_equal(stats.step_reads_max, 1);
            assert_true(stats.ahead_hits + stats.ahead_late <= stats.ahead_reads);
            assert_true(stats.ahead_wasted_bytes < stats.read_bytes);
            close_toy(&toy);
        }
}

static void failed_reads_ahead_are_forgotten(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct toy toy;
        const struct weir_io_config config = {
            .kind = WEIR_IO_FAKE,
            .fake = {.seed = seed, .latency_ns_max = 20000, .error_rate = 0.05}};
        struct weir_record_name names[LAYERS * RECORDS_MAX + 1];
        open_with_heads(&toy, &config, seed);
        if (seed % 2 == 0)
            weir_store_warm_up(toy.store, names, list_all(&toy, names));
        run_steps(&toy, true);
        close_toy(&toy);
    }
}

/* Three layers with one slice a record; slots for four of eight. */
static void open_plain_with(struct toy *toy, const struct weir_io_config *config)
{
    uint32_t file;
    *toy = (struct toy){.random_state = 1};
    for (uint32_t layer = 0; layer < LAYERS; layer++)
        toy->layers[layer] =
            (struct weir_store_layer){.record_count = 8,
                                      .slice_count = 2,
                                      .head_count = 1,
                                      .slot_count = 4,
                                      .slice = {{layer * 8 * PAGE, PAGE, PAGE, 0, NULL},
                                                {layer * 8 * PAGE, PAGE, PAGE, 1, NULL}}};
    static struct weir_policy pooled;
    pooled = weir_policy_decayed;
    pooled.is_pooled = true;
    toy->config = (struct weir_store_config){
        .layer_count = LAYERS, .layers = toy->layers, .policy = &pooled, .step_max = 2};
    toy->io = open_variant(*config, 8, &file);
    assert_int_equal(weir_io_open(toy->io, path, &file, NULL), WEIR_OK);
    open_store(toy);
}

static void open_plain(struct toy *toy)
{
    open_plain_with(toy, &variants[0]);
}

/* Wait until what was expected has landed. */
static void wait_for_reads(struct toy *toy)
{
    struct weir_io_stats stats;
    do {
        weir_store_poll(toy->store);
        weir_io_stats_get(toy->io, &stats);
    } while (stats.in_flight > 0);
}

static void a_right_guess_is_a_hit_and_a_wrong_one_is_waste(void **state)
{
    struct toy toy;
    struct weir_store_stats stats;
    const uint32_t expected[] = {3, 5};
    const uint32_t used[] = {5, 6};
    (void)state;
    open_plain(&toy);
    weir_store_hint(toy.store, 1, expected, 2, true);
    wait_for_reads(&toy);
    assert_true(run_step(&toy, 1, used, 2, NULL, 0));
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.uses, 2);
    assert_int_equal(stats.hits, 1);
    assert_int_equal(stats.reads, 3);
    assert_int_equal(stats.ahead_reads, 2);
    assert_int_equal(stats.ahead_hits, 1);
    assert_int_equal(stats.ahead_late, 0);
    assert_int_equal(stats.ahead_wasted_bytes, 2 * PAGE);
    /* What was read for nothing is there all the same. */
    assert_true(run_step(&toy, 1, expected, 2, NULL, 0));
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.reads, 3);
    close_toy(&toy);
}

/* Poll until a warm-up has nothing more to read. */
static void warm_up(struct toy *toy)
{
    for (int poll = 0; poll < 100; poll++)
        wait_for_reads(toy);
}

static void marks_say_where_records_are(void **state)
{
    enum { COUNT = 16 };
    struct toy toy;
    uint8_t marks[COUNT];
    const uint32_t first[] = {0, 1}, second[] = {1, 3};
    (void)state;
    open_plain(&toy);
    weir_store_marks_get(toy.store, 0, marks, COUNT);
    for (uint32_t record = 0; record < COUNT; record++)
        assert_int_equal(marks[record],
                         record < toy.layers[0].record_count ? 0 : (unsigned)WEIR_RECORD_ABSENT);
    assert_true(run_step(&toy, 0, first, 2, NULL, 0));
    assert_true(run_step(&toy, 0, second, 2, NULL, 0));
    weir_store_marks_get(toy.store, 0, marks, COUNT);
    assert_int_equal(marks[0], WEIR_RECORD_WHOLE);
    assert_int_equal(marks[1], WEIR_RECORD_WHOLE | WEIR_RECORD_USED);
    assert_int_equal(marks[2], 0);
    assert_int_equal(marks[3], WEIR_RECORD_WHOLE | WEIR_RECORD_USED);
    const struct weir_record_name name = {0, 2};
    weir_store_warm_up(toy.store, &name, 1);
    weir_store_poll(toy.store); /* submits it; nobody has collected it yet */
    weir_store_marks_get(toy.store, 0, marks, COUNT);
    assert_int_equal(marks[2], WEIR_RECORD_READING);
    weir_store_marks_get(toy.store, 99, marks, 1); /* no such layer */
    assert_int_equal(marks[0], WEIR_RECORD_ABSENT);
    warm_up(&toy);
    weir_store_marks_get(toy.store, 0, marks, COUNT);
    assert_int_equal(marks[2], WEIR_RECORD_WHOLE);
    close_toy(&toy);
}

static void a_warm_up_fills_empty_slots_in_order_and_takes_no_others(void **state)
{
    struct toy toy;
    struct weir_store_stats stats;
    const uint32_t used[] = {0, 1};
    struct weir_record_name kept[16];
    /* The toy's layers share 12 slots. What is not there is passed over. */
    static const struct weir_record_name names[] = {{1, 7}, {2, 3}, {0, 0}, {9, 0}, {1, 99}, {2, 4},
                                                    {1, 0}, {1, 1}, {1, 2}, {1, 3}, {1, 4},  {1, 5},
                                                    {2, 0}, {2, 1}, {2, 2}, {2, 5}, {2, 6}};
    (void)state;
    open_plain(&toy);
    assert_true(run_step(&toy, 0, used, 2, NULL, 0));
    weir_store_warm_up(toy.store, names, WEIR_COUNT(names));
    warm_up(&toy);
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.warm_up_reads, 10); /* of 12 slots a step has taken two */
    assert_int_equal(stats.reads, 12);
    for (size_t index = 0; index < WEIR_COUNT(names); index++)
        if (index != 3 && index != 4)
            assert_int_equal(weir_cache_find(&toy.store->cache, names[index].layer,
                                             names[index].record) != WEIR_NO_SLOT,
                             index < 13);
    assert_int_equal(weir_store_kept(toy.store, kept, WEIR_COUNT(kept)), 12);
    for (uint32_t index = 0; index < 2; index++) { /* those that were used would go last */
        assert_int_equal(kept[index].layer, 0);
        assert_true(kept[index].record <= 1);
    }
    assert_true(run_step(&toy, 1, used, 2, NULL, 0));
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.hits, 2);
    assert_int_equal(stats.ahead_reads + stats.ahead_hits + stats.ahead_late, 0);
    assert_int_equal(stats.ahead_wasted_bytes, 0);
    close_toy(&toy);
}

static void a_step_takes_over_what_a_warm_up_reads(void **state)
{
    struct toy toy;
    struct weir_store_stats stats;
    const uint32_t used[] = {7, 6};
    static const struct weir_record_name names[] = {{1, 7}};
    (void)state;
    open_plain(&toy);
    weir_store_warm_up(toy.store, names, WEIR_COUNT(names));
    weir_store_poll(toy.store); /* submits it */
    assert_true(run_step(&toy, 1, used, 2, NULL, 0));
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.warm_up_reads, 1);
    assert_int_equal(stats.reads, 2);
    assert_int_equal(stats.ahead_wasted_bytes, 0);
    close_toy(&toy);
}

/* Whether a warm-up's read outlives the failed step; a device may answer before anybody looks. */
static bool a_failed_step_leaves_a_warm_up(uint32_t latency_ns_max)
{
    struct toy toy;
    struct weir_lease lease;
    bool more;
    const uint32_t used = 7;
    static const struct weir_record_name names[] = {{1, 7}};
    const struct weir_io_config fails = {.kind = WEIR_IO_FAKE,
                                         .fake = {.seed = 1, .error_rate = 1}};
    open_plain_with(&toy, &fails);
    begin_rows(&toy, 1, &used, 1);
    weir_store_warm_up(toy.store, names, WEIR_COUNT(names));
    assert_int_equal(weir_store_next(toy.store, &lease, &more, NULL), WEIR_ERR_IO);
    toy.io->config.fake = (struct weir_io_fake){.seed = 1, .latency_ns_max = latency_ns_max};
    while (toy.store->ahead.slot_count == 0) /* the warm-up begins when nothing is in flight */
        assert_true(weir_store_ready(toy.store));
    weir_store_end(toy.store);
    const bool is_left = toy.store->in_flight_bytes > 0;
    weir_store_check(toy.store);
    wait_for_reads(&toy);
    assert_true(run_step(&toy, 1, &used, 1, NULL, 0));
    close_toy(&toy);
    return is_left;
}

static void a_warm_up_keeps_what_it_reads_when_a_step_of_it_failed(void **state)
{
    (void)state;
    for (uint32_t ns = 50000000; !a_failed_step_leaves_a_warm_up(ns); ns *= 2)
        assert_true(ns < 3200000000);
}

static void guesses_stay_until_their_layers_step(void **state)
{
    struct toy toy;
    struct weir_store_stats stats;
    const uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    (void)state;
    open_plain(&toy);
    for (uint32_t round = 0; round < 5; round++) {
        weir_store_hint(toy.store, 1, all, 8, true);
        wait_for_reads(&toy);
        weir_store_hint(toy.store, 2, all, 8, true);
        wait_for_reads(&toy);
    }
    /* step_max slots are left alone, so that any step can go on. */
    assert_true(run_step(&toy, 0, all, 8, NULL, 0));
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.hits, 0);
    assert_int_equal(stats.step_reads_max, 1);
    assert_int_equal(stats.ahead_wasted_bytes, 0);
    assert_true(stats.ahead_reads > 8); /* of both layers */
    assert_true(run_step(&toy, 1, all, 8, NULL, 0));
    assert_true(run_step(&toy, 2, all, 8, NULL, 0));
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.ahead_hits, stats.ahead_reads);
    assert_int_equal(stats.ahead_wasted_bytes, 0);
    close_toy(&toy);
}

static void a_step_gives_up_only_its_own_layers_wrong_guesses(void **state)
{
    struct toy toy;
    struct weir_store_stats stats;
    const uint32_t few[] = {0, 1, 2};
    (void)state;
    open_plain(&toy);
    weir_store_hint(toy.store, 1, few, 2, true);
    wait_for_reads(&toy);
    weir_store_hint(toy.store, 2, few, 1, true);
    wait_for_reads(&toy);
    assert_true(run_step(&toy, 1, few + 1, 2, NULL, 0));
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.ahead_hits, 1);
    assert_int_equal(stats.ahead_wasted_bytes, 2 * PAGE);
    assert_true(run_step(&toy, 2, few, 2, NULL, 0));
    weir_store_stats_get(toy.store, &stats);
    assert_int_equal(stats.ahead_hits, 2);
    assert_int_equal(stats.ahead_wasted_bytes, 2 * PAGE);
    close_toy(&toy);
}

/* A step that needs nothing, after which the device is known to have time for so many bytes. */
static void give_time(struct toy *toy, double idle_ns, double bytes_per_ns)
{
    toy->store->pace = (struct weir_pace){.idle_ns = idle_ns, .bytes_per_ns = bytes_per_ns};
    begin_rows(toy, 0, NULL, 0);
    weir_store_end(toy->store);
}

/* How many records are read ahead when the device is known to have time for `bytes`. */
static uint64_t started_in_time_for(double bytes)
{
    struct toy toy;
    struct weir_store_stats stats;
    const uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    open_plain(&toy);
    give_time(&toy, 1.0, bytes);
    weir_store_hint(toy.store, 1, all, 8, false);
    wait_for_reads(&toy);
    weir_store_stats_get(toy.store, &stats);
    close_toy(&toy);
    return stats.ahead_reads;
}

static void a_guess_begins_while_time_is_left(void **state)
{
    (void)state;
    assert_int_equal(started_in_time_for(0.0), 0);
    assert_int_equal(started_in_time_for(1.0), 1); /* of 2 slices, a page each */
    assert_int_equal(started_in_time_for(2.0 * PAGE), 1);
    assert_int_equal(started_in_time_for(2.0 * PAGE + 1.0), 2);
}

/* A record of layer 1 without a slot, from `from` on. */
static uint32_t find_missing(const struct toy *toy, uint32_t from)
{
    while (weir_cache_find(&toy->store->cache, 1, from) != WEIR_NO_SLOT)
        from++;
    return from;
}

/* One guess about layer 1, of a record that has to be read. True when it is read ahead. */
static bool is_read_ahead(struct toy *toy, bool is_right)
{
    const uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    struct weir_store_stats before, after;
    assert_true(run_step(toy, 2, all, 8, NULL, 0)); /* takes the slots of layer 1 */
    assert_true(run_step(toy, 0, all, 8, NULL, 0));
    give_time(toy, 1.0, 1.0);
    const uint32_t guessed = find_missing(toy, 0);
    const uint32_t used = is_right ? guessed : find_missing(toy, guessed + 1);
    weir_store_stats_get(toy->store, &before);
    weir_store_hint(toy->store, 1, &guessed, 1, false);
    wait_for_reads(toy);
    weir_store_stats_get(toy->store, &after);
    assert_true(run_step(toy, 1, &used, 1, NULL, 0));
    return after.ahead_reads > before.ahead_reads;
}

static void guesses_that_are_mostly_wrong_are_not_read_but_watched(void **state)
{
    struct toy toy;
    uint32_t read = 0;
    (void)state;
    open_plain(&toy);
    for (uint32_t round = 0; round < 16; round++)
        read += is_read_ahead(&toy, round % 4 == 0);
    assert_in_range(read, 8, 12); /* trusted at first */
    assert_false(is_read_ahead(&toy, false));
    /* A text begins in which they are right: nothing is read at first, and yet that is seen. */
    assert_false(is_read_ahead(&toy, true));
    for (uint32_t round = 0; round < 12; round++)
        is_read_ahead(&toy, true);
    assert_true(is_read_ahead(&toy, true));
    close_toy(&toy);
}

static void there_is_spare_time_when_all_guesses_are_asked_for(void **state)
{
    struct toy toy;
    const uint32_t few[] = {0, 1};
    (void)state;
    open_plain(&toy);
    give_time(&toy, 1.0, 6.0 * PAGE);
    weir_store_hint(toy.store, 1, few, 2, false);
    wait_for_reads(&toy);
    assert_true(weir_store_has_time(toy.store)); /* for one of three records */
    weir_store_hint(toy.store, 2, few, 2, false);
    wait_for_reads(&toy);
    assert_false(weir_store_has_time(toy.store));
    close_toy(&toy);
}

/* Reads in flight when 8 records of a slice are expected; 4 MiB may be, for a prompt 16 MiB. */
static uint64_t expect_in_flight(uint32_t slice_bytes, bool is_sure)
{
    struct toy toy = {.random_state = 1};
    struct weir_io_stats stats;
    char name[64];
    uint32_t file;
    const uint32_t all[] = {0, 1, 2, 3, 4, 5, 6, 7};
    make_file(name, sizeof(name));
    assert_int_equal(truncate(name, slice_bytes + 8 * PAGE), 0);
    toy.io = open_variant(variants[0], 8, &file);
    assert_int_equal(weir_io_open(toy.io, name, &file, NULL), WEIR_OK);
    toy.layers[0] = (struct weir_store_layer){.record_count = 8,
                                              .slice_count = 1,
                                              .slot_count = 8,
                                              .slice = {{0, PAGE, slice_bytes, file, NULL}}};
    toy.config = (struct weir_store_config){.layer_count = 1,
                                            .layers = toy.layers,
                                            .policy = &weir_policy_learned,
                                            .step_max = 1,
                                            .budget_bytes = 4 << 20,
                                            .prompt_budget_bytes = 16 << 20};
    open_store(&toy);
    give_time(&toy, 1e9, 1.0);
    weir_store_hint(toy.store, 0, all, 8, is_sure);
    weir_io_stats_get(toy.io, &stats);
    close_toy(&toy);
    assert_int_equal(unlink(name), 0);
    return stats.in_flight;
}

static void what_is_sure_fills_the_queue_and_a_guess_does_not(void **state)
{
    (void)state;
    const uint32_t large_bytes = 3 << 20, small_bytes = 1 << 20;
    assert_int_equal(expect_in_flight(large_bytes, false), real_depth(1));
    assert_int_equal(expect_in_flight(small_bytes, false), real_depth(2)); /* 2 MiB */
    assert_int_equal(expect_in_flight(large_bytes, true), real_depth(5));  /* 16 MiB */
}

/* Bytes of the timeline's reads of one class; all of them when class is NULL. */
static uint64_t read_bytes(const json_t *root, const char *class)
{
    const json_t *events = json_object_get(root, "traceEvents");
    uint64_t bytes = 0;
    for (size_t at = 0; at < json_array_size(events); at++) {
        const json_t *event = json_array_get(events, at);
        const char *category = json_string_value(json_object_get(event, "cat"));
        if (strcmp(json_string_value(json_object_get(event, "ph")), "b") == 0 &&
            (class == NULL || strcmp(category, class) == 0))
            bytes += (uint64_t)json_integer_value(
                json_object_get(json_object_get(event, "args"), "bytes"));
    }
    return bytes;
}

static void each_read_is_on_the_timeline_with_its_class(void **state)
{
    (void)state;
    enum { EVENTS = 100000 };
    struct toy toy;
    struct weir_mem mem;
    struct weir_store_stats stats;
    struct weir_io_config config = {.kind = WEIR_IO_FAKE, .fake = {.seed = 3, .short_rate = 0.2}};
    weir_mem_init(&mem);
    weir_timeline_layout(&mem, EVENTS);
    assert_int_equal(weir_mem_open(&mem, NULL), WEIR_OK);
    config.timeline = weir_timeline_layout(&mem, EVENTS);
    open_with_heads(&toy, &config, 1);
    run_steps(&toy, false);
    weir_store_stats_get(toy.store, &stats);
    close_toy(&toy); /* what is in flight lands */
    FILE *file = tmpfile();
    assert_non_null(file);
    assert_int_equal(weir_timeline_write(config.timeline, file), 0);
    rewind(file);
    json_t *root = json_loadf(file, 0, NULL);
    fclose(file);
    assert_int_equal(read_bytes(root, NULL), stats.read_bytes);
    assert_true(read_bytes(root, "demand") > 0);
    assert_true(read_bytes(root, "look-ahead") > 0);
    assert_true(read_bytes(root, "promoted") > 0);
    assert_true(read_bytes(root, "look-ahead") >= stats.ahead_wasted_bytes);
    json_decref(root);
    weir_mem_close(&mem);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_ahead_never_change_a_lease),
        cmocka_unit_test(each_read_is_on_the_timeline_with_its_class),
        cmocka_unit_test(a_warm_up_never_changes_a_lease),
        cmocka_unit_test(marks_say_where_records_are),
        cmocka_unit_test(a_warm_up_fills_empty_slots_in_order_and_takes_no_others),
        cmocka_unit_test(a_step_takes_over_what_a_warm_up_reads),
        cmocka_unit_test(a_warm_up_keeps_what_it_reads_when_a_step_of_it_failed),
        cmocka_unit_test(failed_reads_ahead_are_forgotten),
        cmocka_unit_test(a_right_guess_is_a_hit_and_a_wrong_one_is_waste),
        cmocka_unit_test(guesses_stay_until_their_layers_step),
        cmocka_unit_test(a_step_gives_up_only_its_own_layers_wrong_guesses),
        cmocka_unit_test(a_guess_begins_while_time_is_left),
        cmocka_unit_test(guesses_that_are_mostly_wrong_are_not_read_but_watched),
        cmocka_unit_test(there_is_spare_time_when_all_guesses_are_asked_for),
        cmocka_unit_test(what_is_sure_fills_the_queue_and_a_guess_does_not),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
