/* store_test.c - leases hold the file's bytes, and residency is as a plain simulation says. */
#include "store/store_internal.h"

#include "store_toy.h"

/* Leases every record of a step, holding up to hold_max at once; order becomes what came when. */
static void lease_all(struct toy *toy, uint32_t layer, uint32_t count, uint32_t hold_max,
                      uint32_t *order)
{
    struct weir_lease held[RECORDS_MAX];
    uint32_t held_count = 0, leased = 0;
    for (;;) {
        struct weir_err err = {0};
        struct weir_lease lease = {.record = UINT32_MAX};
        bool more = false;
        if (toy->random_state % 3 == 0) /* a caller that would rather look than wait */
            while (!weir_store_ready(toy->store))
                usleep(1);
        if (weir_store_next(toy->store, &lease, &more, &err) != WEIR_OK)
            fail_msg("%s", err.text);
        if (!more) {
            assert_int_equal(lease.record, UINT32_MAX);
            break;
        }
        assert_true(leased < count);
        assert_false(is_among(order, leased, lease.record));
        check_lease(toy, layer, &lease);
        order[leased++] = lease.record;
        held[held_count++] = lease;
        while (held_count > 0 && held_count >= hold_max) {
            const uint32_t at = draw(toy, 0, held_count - 1);
            check_lease(toy, layer, &held[at]); /* what is leased stays as it is */
            weir_store_release(toy->store, &held[at]);
            assert_null(held[at].slice[0]);
            held[at] = held[--held_count];
        }
    }
    while (held_count > 0)
        weir_store_release(toy->store, &held[--held_count]);
    assert_int_equal(leased, count);
}

/* One random step of at most as many records as slots, beside the simulation. */
static void step_as_simulated(struct toy *toy)
{
    uint32_t records[RECORDS_MAX], hits[RECORDS_MAX], order[RECORDS_MAX];
    const uint32_t layer = draw(toy, 0, LAYERS - 1);
    const uint32_t count = draw(toy, 0, toy->layers[layer].slot_count);
    uint32_t missing[RECORDS_MAX], missing_count = 0;
    draw_records(toy, layer, records, count);
    const uint32_t hit_count = reference_step(toy, layer, records, count, hits);
    begin_step(toy, layer, records, count);
    lease_all(toy, layer, count, draw(toy, 1, count + 1), order);
    weir_store_end(toy->store);
    for (uint32_t index = 0, hit = 0; index < count;
         index++) { /* resident ones as given, and ... */
        assert_true(is_among(records, count, order[index]));
        if (is_among(hits, hit_count, order[index]))
            assert_int_equal(order[index], hits[hit++]);
        else if (count <= toy->config.step_max) /* ... before all others */
            assert_int_equal(hit, hit_count);
        if (!is_among(hits, hit_count, records[index]))
            missing[missing_count++] = records[index];
    }
    toy->expected.uses += count;
    toy->expected.hits += hit_count;
    expect_reads(toy, layer, missing, missing_count);
    check_stats(toy);
}

static void steps_read_and_keep_what_the_simulation_does(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (uint64_t seed = 1; seed <= 4 && variant_has_turn(variant); seed++) {
            struct toy toy;
            open_toy(&toy, &variants[variant], seed, 1, (uint32_t)(4 * seed));
            for (int step = 0; step < 150; step++)
                step_as_simulated(&toy);
            assert_true(toy.expected.hits > 0 && toy.expected.hits < toy.expected.uses);
            close_toy(&toy);
        }
}

static void a_step_larger_than_the_slots_slides_through_them(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        struct toy toy;
        open_toy(&toy, &variants[variant], variant + 50, 3, 7);
        for (int step = 0; step < 30; step++) {
            uint32_t records[RECORDS_MAX], order[RECORDS_MAX];
            struct weir_store_stats before, after;
            const uint32_t layer = draw(&toy, 0, LAYERS - 1);
            const uint32_t slot_count = toy.layers[layer].slot_count;
            const uint32_t count = draw(&toy, slot_count, toy.layers[layer].record_count);
            draw_records(&toy, layer, records, count);
            weir_store_stats_get(toy.store, &before);
            begin_rows(&toy, layer, records, count);
            lease_all(&toy, layer, count, draw(&toy, 1, slot_count - 1), order);
            weir_store_end(toy.store);
            weir_store_stats_get(toy.store, &after);
            assert_int_equal(after.uses - before.uses, count);
            assert_true(after.hits - before.hits <= slot_count);
            assert_int_equal(after.reads - before.reads, count - (after.hits - before.hits));
            assert_int_equal(after.step_reads_max, 1);
        }
        close_toy(&toy);
    }
}

static void a_step_may_end_early_and_a_store_close_within_it(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        struct toy toy;
        uint32_t records[RECORDS_MAX], order[RECORDS_MAX];
        open_toy(&toy, &variants[variant], variant + 9, 2, 20);
        for (int step = 0; step < 60; step++) {
            const uint32_t layer = draw(&toy, 0, LAYERS - 1);
            const uint32_t count = draw(&toy, 2, toy.layers[layer].record_count);
            struct weir_lease lease;
            bool more = false;
            draw_records(&toy, layer, records, count);
            begin_rows(&toy, layer, records, count);
            for (uint32_t index = draw(&toy, 0, 2); index > 0; index--) {
                assert_int_equal(weir_store_next(toy.store, &lease, &more, NULL), WEIR_OK);
                assert_true(more);
                check_lease(&toy, layer, &lease);
                weir_store_release(toy.store, &lease);
            }
            weir_store_end(toy.store);
            draw_records(&toy, layer, records, 2); /* a whole step works as ever */
            begin_rows(&toy, layer, records, 2);
            lease_all(&toy, layer, 2, 1, order);
            weir_store_end(toy.store);
        }
        draw_records(&toy, 0, records, 2);
        begin_rows(&toy, 0, records, 2);
        close_toy(&toy);
    }
}

/* Of a long step what was read is computed first, so that its slots are free for other reads. */
static void a_long_step_leases_first_what_has_landed(void **state)
{
    enum { SLOTS = 6, COUNT = 12 };
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        struct toy toy;
        uint32_t records[RECORDS_MAX], order[RECORDS_MAX];
        struct weir_lease lease;
        bool more = false;
        open_toy(&toy, &variants[variant], variant + 77, SLOTS, 12);
        draw_records(&toy, 0, records, COUNT);
        begin_step(&toy, 0, records, 2);
        lease_all(&toy, 0, 2, 1, order);
        weir_store_end(toy.store);
        begin_step(&toy, 0, records, COUNT);
        while (toy.store->step.landed_count == 0)
            weir_store_poll(toy.store);
        assert_int_equal(weir_store_next(toy.store, &lease, &more, NULL), WEIR_OK);
        assert_true(more);
        assert_false(is_among(records, 2, lease.record));
        weir_store_release(toy.store, &lease);
        lease_all(&toy, 0, COUNT - 1, 1, order);
        weir_store_end(toy.store);
        close_toy(&toy);
    }
}

/* With one slice in flight few records wait for theirs: what is not read yet has no slot. */
static void a_long_step_claims_slots_as_it_reads(void **state)
{
    enum { COUNT = 12, FEW = 3 };
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        struct toy toy;
        uint32_t records[RECORDS_MAX];
        struct weir_lease lease;
        bool more = true;
        open_toy(&toy, &variants[variant], variant + 31, 2, COUNT);
        toy.store->budget_bytes = toy.store->prompt_budget_bytes = 1;
        draw_records(&toy, 0, records, COUNT);
        begin_rows(&toy, 0, records, COUNT);
        for (uint32_t leased = 0; leased < COUNT; leased++) {
            assert_in_range(toy.store->step.reading_count, 0, FEW);
            assert_int_equal(weir_store_next(toy.store, &lease, &more, NULL), WEIR_OK);
            assert_true(more);
            weir_store_release(toy.store, &lease);
        }
        weir_store_end(toy.store);
        close_toy(&toy);
    }
}

static void a_step_that_ends_early_begins_no_more_reads(void **state)
{
    uint32_t narrow = 0;
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct toy toy;
        struct weir_store_stats stats;
        uint32_t records[RECORDS_MAX];
        open_toy(&toy, &variants[2], seed, 12, 20);
        draw_records(&toy, 0, records, 12);
        begin_rows(&toy, 0, records, 12);
        weir_store_end(toy.store);
        weir_store_stats_get(toy.store, &stats);
        assert_in_range(stats.reads, 1, toy.io->config.depth);
        narrow += toy.io->config.depth < 12;
        close_toy(&toy);
    }
    assert_true(narrow > 0);
}

struct load {
    uint64_t done_bytes, total_bytes;
    uint32_t calls;
    uint32_t stop_at; /* the call that says stop; 0: none */
};

static bool note_progress(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    struct load *load = user;
    assert_true(done_bytes >= load->done_bytes && done_bytes <= total_bytes);
    assert_true(load->calls == 0 || total_bytes == load->total_bytes);
    load->done_bytes = done_bytes;
    load->total_bytes = total_bytes;
    return ++load->calls != load->stop_at;
}

/* The simulation of a fill: the smallest indices that are not there yet. */
static void reference_fill(struct toy *toy)
{
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        struct reference *reference = &toy->references[layer];
        for (uint32_t record = 0; record < toy->layers[layer].record_count; record++) {
            if (reference->resident_count == toy->layers[layer].slot_count)
                break;
            if (reference->is_resident[record])
                continue;
            reference->is_resident[record] = true;
            reference->resident_count++;
            expect_reads(toy, layer, &record, 1);
        }
    }
}

static void fill_reads_until_the_slots_are_full_and_steps_go_on(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (int steps = 0; steps <= 8 && variant_has_turn(variant); steps += 4) {
            struct toy toy;
            struct load load = {0}, second = {0};
            uint64_t total_bytes = 0;
            open_toy(&toy, &variants[variant], variant + 70, 6, 20);
            for (int step = 0; step < steps; step++)
                step_as_simulated(&toy);
            for (uint32_t layer = 0; layer < LAYERS; layer++)
                total_bytes +=
                    weir_store_slot_bytes(&toy.layers[layer]) *
                    (toy.layers[layer].slot_count - toy.references[layer].resident_count);
            reference_fill(&toy);
            assert_int_equal(weir_store_fill(toy.store, note_progress, &load, NULL), WEIR_OK);
            assert_int_equal(load.total_bytes, load.calls > 0 ? total_bytes : 0);
            assert_int_equal(load.done_bytes, total_bytes);
            check_stats(&toy);
            assert_int_equal(weir_store_fill(toy.store, note_progress, &second, NULL), WEIR_OK);
            assert_int_equal(second.calls, 0);
            assert_int_equal(weir_store_fill(toy.store, NULL, NULL, NULL), WEIR_OK);
            for (int step = 0; step < 60; step++)
                step_as_simulated(&toy);
            close_toy(&toy);
        }
}

static void fill_stops_when_told_and_goes_on_when_asked_again(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        struct toy toy;
        struct weir_store_stats stats;
        struct load load = {.stop_at = 2}, rest = {0};
        struct weir_err err = {0};
        uint32_t slot_count = 0;
        open_toy(&toy, &variants[variant], variant + 80, 18, 20);
        for (uint32_t layer = 0; layer < LAYERS; layer++)
            slot_count += toy.layers[layer].slot_count;
        assert_int_equal(weir_store_fill(toy.store, note_progress, &load, &err),
                         WEIR_ERR_CANCELLED);
        assert_int_equal(err.status, WEIR_ERR_CANCELLED);
        weir_store_stats_get(toy.store, &stats);
        assert_true(stats.reads > 0 && stats.reads < slot_count);
        assert_int_equal(weir_store_fill(toy.store, note_progress, &rest, NULL), WEIR_OK);
        /* What was in flight when told to stop has landed as well. */
        assert_true(rest.total_bytes <= load.total_bytes - load.done_bytes);
        assert_int_equal(rest.done_bytes, rest.total_bytes);
        reference_fill(&toy);
        check_stats(&toy);
        for (int step = 0; step < 30; step++)
            step_as_simulated(&toy);
        close_toy(&toy);
    }
}

static void counters_start_anew_and_residency_stays(void **state)
{
    struct toy toy;
    (void)state;
    open_toy(&toy, &variants[2], 5, 4, 12);
    for (int round = 0; round < 5; round++) {
        for (int step = 0; step < 20; step++)
            step_as_simulated(&toy);
        weir_store_stats_reset(toy.store);
        toy.expected = (struct weir_store_stats){0};
        check_stats(&toy);
    }
    close_toy(&toy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_read_and_keep_what_the_simulation_does),
        cmocka_unit_test(a_step_larger_than_the_slots_slides_through_them),
        cmocka_unit_test(a_step_may_end_early_and_a_store_close_within_it),
        cmocka_unit_test(a_long_step_leases_first_what_has_landed),
        cmocka_unit_test(a_long_step_claims_slots_as_it_reads),
        cmocka_unit_test(a_step_that_ends_early_begins_no_more_reads),
        cmocka_unit_test(fill_reads_until_the_slots_are_full_and_steps_go_on),
        cmocka_unit_test(fill_stops_when_told_and_goes_on_when_asked_again),
        cmocka_unit_test(counters_start_anew_and_residency_stays),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
