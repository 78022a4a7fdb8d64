/* store_shrink_test.c - slots are given back between steps, and the store stays right. */
#include <sys/mman.h>

#include "store/store_internal.h"
#include "store_toy.h"

static void open_with(struct toy *toy, const struct weir_policy *policy, uint64_t seed,
                      uint32_t slots_min, uint32_t slots_max)
{
    uint32_t file;
    *toy = (struct toy){.random_state = seed};
    shape_layers(toy, slots_min, slots_max);
    toy->config.policy = policy;
    if (policy->is_pooled) /* layers of one size, so that they do share */
        for (uint32_t layer = 1; layer < LAYERS; layer++)
            toy->layers[layer] = toy->layers[0];
    toy->io = open_variant(variants[seed % WEIR_COUNT(variants)], draw(toy, 1, 40), &file);
    assert_int_equal(weir_io_open(toy->io, path, &file, NULL), WEIR_OK);
    open_store(toy);
}

/* A step of count records, its bytes checked; hold_max leases are held at once. */
static void run_step(struct toy *toy, uint32_t count, uint32_t hold_max)
{
    uint32_t records[RECORDS_MAX];
    struct weir_lease held[RECORDS_MAX];
    uint32_t held_count = 0;
    uint32_t leased = 0;
    bool more = true;
    const uint32_t layer = draw(toy, 0, LAYERS - 1);
    count = (uint32_t)weir_min(count, toy->layers[layer].record_count);
    draw_records(toy, layer, records, count);
    weir_store_begin(toy->store, layer, records, count);
    for (;;) {
        assert_int_equal(weir_store_next(toy->store, &held[held_count], &more, NULL), WEIR_OK);
        if (!more)
            break;
        check_lease(toy, layer, &held[held_count++]);
        leased++;
        while (held_count >= hold_max)
            weir_store_release(toy->store, &held[--held_count]);
    }
    while (held_count > 0)
        weir_store_release(toy->store, &held[--held_count]);
    weir_store_end(toy->store);
    assert_int_equal(leased, count);
}

/* Records of some layer are read ahead, and their slots held. */
static void look_ahead(struct toy *toy)
{
    uint32_t records[RECORDS_MAX];
    const uint32_t layer = draw(toy, 0, LAYERS - 1);
    const uint32_t count = draw(toy, 0, toy->layers[layer].record_count);
    draw_records(toy, layer, records, count);
    weir_store_expect(toy->store, layer, records, count, true);
}

static uint64_t resident_pages(const struct toy *toy)
{
    static unsigned char pages[1 << 16];
    const struct weir_mem_region *region = &toy->mem.region[WEIR_MEM_SLOTS];
    uint64_t count = 0;
    assert_true(region->total_bytes / PAGE <= sizeof(pages));
    assert_int_equal(mincore(region->start, region->total_bytes, pages), 0);
    for (uint64_t page = 0; page < region->total_bytes / PAGE; page++)
        count += pages[page] & 1;
    return count;
}

static void what_is_given_back_is_with_the_kernel(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        struct toy toy;
        struct weir_store_stats stats;
        open_with(&toy, &weir_policy_decayed, seed, 2, 20);
        for (int step = 0; step < 40; step++)
            run_step(&toy, 2, 2);
        const uint64_t before = resident_pages(&toy);
        const uint64_t given_bytes = weir_store_shrink(toy.store, 100000);
        assert_true(given_bytes >= 100000 && given_bytes < 100000 + 4 * (SLICE_BYTES + 2 * PAGE));
        assert_int_equal(before - resident_pages(&toy), given_bytes / PAGE);
        for (int step = 0; step < 40; step++)
            run_step(&toy, 2, 2);
        assert_int_equal(before - resident_pages(&toy), given_bytes / PAGE); /* and stays there */
        weir_store_stats_reset(toy.store);
        weir_store_stats_get(toy.store, &stats);
        assert_int_equal(stats.retired_bytes, given_bytes);
        assert_in_range(stats.retired_slots, 1, 100000 / PAGE + 1);
        close_toy(&toy);
    }
}

static void every_policy_reads_right_down_to_the_fewest_slots(void **state)
{
    (void)state;
    const struct weir_policy *policy;
    for (uint32_t index = 0; (policy = weir_policy_at(index)) != NULL; index++) {
        if (policy->needs_future)
            continue;
        for (uint64_t seed = 1; seed <= 5; seed++) {
            struct toy toy;
            struct weir_store_stats stats;
            uint64_t slots = 0;
            open_with(&toy, policy, seed, 3, 18);
            for (uint32_t layer = 0; layer < LAYERS; layer++)
                slots += toy.layers[layer].slot_count;
            if (seed % 2 == 0) /* the resident run */
                assert_int_equal(weir_store_fill(toy.store, NULL, NULL, NULL), WEIR_OK);
            for (int step = 0; step < 150; step++) {
                run_step(&toy, draw(&toy, 0, step % 3 == 0 ? RECORDS_MAX : 3), draw(&toy, 1, 3));
                if (step % 2 == 0)
                    look_ahead(&toy);
                weir_store_shrink(toy.store, draw(&toy, 0, 6000));
            }
            weir_store_stop_ahead(toy.store);
            weir_store_shrink(toy.store, UINT64_MAX);
            assert_int_equal(weir_store_shrink(toy.store, 1), 0);
            for (int step = 0; step < 50; step++) {
                look_ahead(&toy);
                run_step(&toy, draw(&toy, 0, RECORDS_MAX), 3);
            }
            weir_store_stats_get(toy.store, &stats);
            assert_int_equal(slots - stats.retired_slots, policy->is_pooled ? 3 : 3 * LAYERS);
            assert_int_equal(stats.step_reads_max, 1);
            /* Nothing is filled but the slots that are left. */
            const uint64_t reads = stats.reads;
            assert_int_equal(weir_store_fill(toy.store, NULL, NULL, NULL), WEIR_OK);
            weir_store_stats_get(toy.store, &stats);
            assert_true(stats.reads - reads <= 3 * LAYERS);
            close_toy(&toy);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_back_is_with_the_kernel),
        cmocka_unit_test(every_policy_reads_right_down_to_the_fewest_slots),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
