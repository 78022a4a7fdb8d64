/* store_resize_test.c - slots are given back and come back; the store stays right. */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "base/heap.h"
#include "pace.h"
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
    begin_step(toy, layer, records, count);
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
    weir_store_hint(toy->store, layer, records, count, true);
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
        assert_true(given_bytes >= 100000 &&
                    given_bytes < 100000 + WEIR_SLICE_MAX * (SLICE_BYTES + 2 * PAGE));
        assert_int_equal(before - resident_pages(&toy), given_bytes / PAGE);
        for (int step = 0; step < 40; step++)
            run_step(&toy, 2, 2);
        assert_int_equal(before - resident_pages(&toy), given_bytes / PAGE); /* and stays there */
        weir_store_stats_reset(toy.store);
        weir_store_stats_get(toy.store, &stats);
        assert_int_equal(stats.retired_bytes, given_bytes);
        assert_in_range(stats.retired_slots, 1, 100000 / PAGE + 1);
        assert_int_equal(stats.shrunk_slots, 0); /* since the reset */
        close_toy(&toy);
    }
}

/* A kernel that does not take the memory (here it is locked) costs no slot. */
static void slots_whose_memory_stays_stay(void **state)
{
    (void)state;
    struct toy toy;
    struct weir_store_stats stats;
    open_with(&toy, &weir_policy_decayed, 1, 2, 20);
    for (int step = 0; step < 40; step++)
        run_step(&toy, 2, 2);
    const struct weir_mem_region *region = &toy.mem.region[WEIR_MEM_SLOTS];
    /* the sanitizers' mlock does nothing */
    if (syscall(SYS_mlock, region->start, region->total_bytes) == 0) {
        assert_int_equal(weir_store_shrink(toy.store, 100000), 0);
        weir_store_stats_get(toy.store, &stats);
        assert_int_equal(stats.retired_slots + stats.retired_bytes + stats.shrunk_slots, 0);
        for (uint32_t set = 0; set < LAYERS; set++)
            assert_int_equal(weir_cache_find_retired(&toy.store->cache, set), WEIR_NO_SLOT);
        assert_int_equal(syscall(SYS_munlock, region->start, region->total_bytes), 0);
    }
    for (int step = 0; step < 40; step++)
        run_step(&toy, RECORDS_MAX, 2);
    assert_true(weir_store_shrink(toy.store, 100000) >= 100000);
    close_toy(&toy);
}

/* Two steps of each layer that need as many records as it has slots: what was there before makes
 * no difference any more. */
static void use_all_slots(struct toy *toy)
{
    for (uint32_t layer = 0; layer < LAYERS; layer++)
        for (int round = 0; round < 2; round++) {
            struct weir_lease lease;
            bool more = true;
            uint32_t records[RECORDS_MAX];
            for (uint32_t record = 0; record < RECORDS_MAX; record++)
                records[record] = record;
            begin_step(toy, layer, records, toy->layers[layer].slot_count);
            while (weir_store_next(toy->store, &lease, &more, NULL) == WEIR_OK && more)
                weir_store_release(toy->store, &lease);
            assert_false(more);
            weir_store_end(toy->store);
        }
}

/* The same steps in a store that shrank and grew and in one that did not: as many slots, and from
 * where both have the same records on the same hits. */
static void slots_that_come_back_hit_as_before(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= (pace_is_long() ? 30 : 12); seed++) {
        struct toy toys[2];
        struct weir_store_stats stats[2];
        struct weir_policy policy = seed % 3 == 0   ? weir_policy_lru
                                    : seed % 3 == 1 ? weir_policy_decayed
                                                    : weir_policy_learned;
        uint64_t pages[2];
        policy.is_pooled = false; /* so that use_all_slots() says what is where */
        for (int toy = 0; toy < 2; toy++) {
            open_with(&toys[toy], &policy, seed, 3, 18);
            const uint64_t before = resident_pages(&toys[toy]);
            for (int step = 0; step < 100; step++) {
                run_step(&toys[toy], draw(&toys[toy], 0, 3), 3);
                if (toy == 1 && step % 10 == 0)
                    weir_store_shrink(toys[toy].store, 50000);
            }
            weir_store_stats_get(toys[toy].store, &stats[toy]);
            if (toy == 1)
                assert_int_equal(weir_store_grow(toys[toy].store, UINT64_MAX),
                                 stats[toy].retired_bytes);
            pages[toy] = before - resident_pages(&toys[toy]);
            use_all_slots(&toys[toy]);
            weir_store_stats_reset(toys[toy].store);
            for (int step = 0; step < 200; step++)
                run_step(&toys[toy], draw(&toys[toy], 0, 3), 3);
            weir_store_stats_get(toys[toy].store, &stats[toy]);
            assert_int_equal(stats[toy].retired_slots + stats[toy].retired_bytes, 0);
            assert_int_equal(weir_store_grow(toys[toy].store, UINT64_MAX), 0);
        }
        assert_int_equal(pages[0], 0);
        assert_int_equal(pages[1], 0);
        assert_true(stats[0].hits > 0);
        assert_int_equal(stats[1].hits, stats[0].hits);
        assert_int_equal(stats[1].read_bytes, stats[0].read_bytes);
        close_toy(&toys[0]);
        close_toy(&toys[1]);
    }
}

/* As many as fit, and no set is left behind: of layers with slots for all records, shares of the
 * slots that are away stay equal but for one slot. */
static void sets_grow_in_turns(void **state)
{
    (void)state;
    struct toy toy;
    open_with(&toy, &weir_policy_decayed, 5, 2, 20);
    close_toy(&toy);
    for (uint32_t layer = 0; layer < LAYERS; layer++) {
        toy.layers[layer] = toy.layers[0];
        toy.layers[layer].record_count = toy.layers[layer].slot_count = 4 + 8 * layer;
    }
    uint32_t file;
    toy.io = open_variant(variants[0], 8, &file);
    assert_int_equal(weir_io_open(toy.io, path, &file, NULL), WEIR_OK);
    open_store(&toy);
    const uint64_t slot_bytes = weir_store_slot_bytes(&toy.layers[LAYERS - 1]);
    weir_store_shrink(toy.store, UINT64_MAX);
    for (;;) {
        const struct weir_cache *cache = &toy.store->cache;
        double least = 1.0;
        double most = 0.0;
        for (uint32_t set = 0; set < LAYERS; set++) {
            const double slots = toy.layers[set].record_count;
            const double lost = slots - cache->set_live[set];
            least = (lost + 1) / slots < least ? (lost + 1) / slots : least;
            most = lost / slots > most ? lost / slots : most;
        }
        if (toy.store->stats.grown_slots > 8) /* they were shrunk as it came */
            assert_true(most <= least);
        assert_int_equal(weir_store_grow(toy.store, toy.store->slot_bytes[0] - 1), 0);
        if (weir_store_grow(toy.store, slot_bytes) == 0)
            break;
    }
    assert_int_equal(toy.store->stats.retired_slots, 0);
    close_toy(&toy);
}

/* Memory that is not there is found when slots grow; those before it are back. */
static void grow_stops_where_memory_ends(void **state)
{
    (void)state;
    for (uint64_t call = 1; call <= 4; call++) {
        struct toy toy;
        struct weir_store_stats stats;
        open_with(&toy, &weir_policy_decayed, call, 2, 20);
        run_step(&toy, RECORDS_MAX, 2);
        weir_store_shrink(toy.store, UINT64_MAX);
        weir_store_stats_get(toy.store, &stats);
        assert_true(stats.retired_slots > 4);
        const uint64_t retired_slots = stats.retired_slots;
        const uint64_t retired_bytes = stats.retired_bytes;
        const uint64_t pages = resident_pages(&toy);
        weir_heap_fail_at(call);
        const uint64_t taken_bytes = weir_store_grow(toy.store, UINT64_MAX);
        weir_heap_fail_at(0);
        weir_store_stats_get(toy.store, &stats);
        assert_int_equal(stats.grown_slots, call - 1);
        assert_int_equal(stats.retired_slots, retired_slots - (call - 1));
        assert_int_equal(stats.retired_bytes, retired_bytes - taken_bytes);
        assert_int_equal(resident_pages(&toy) - pages, taken_bytes / PAGE);
        for (int step = 0; step < 20; step++)
            run_step(&toy, RECORDS_MAX, 2);
        assert_int_equal(weir_store_grow(toy.store, UINT64_MAX), retired_bytes - taken_bytes);
        assert_int_equal(resident_pages(&toy) - pages, retired_bytes / PAGE);
        close_toy(&toy);
    }
}

/* Of few records or of many; every other time with reads ahead after it. */
static void run_some_step(struct toy *toy, int step)
{
    run_step(toy, draw(toy, 0, step % 3 == 0 ? RECORDS_MAX : 3), draw(toy, 1, 3));
    if (step % 2 == 0)
        look_ahead(toy);
}

static void with_every_policy(void (*test)(struct toy *toy))
{
    const struct weir_policy *policy;
    for (uint32_t index = 0; (policy = weir_policy_at(index)) != NULL; index++)
        for (uint64_t seed = 1; seed <= 5 && !policy->needs_future; seed++) {
            struct toy toy;
            open_with(&toy, policy, seed, 3, 18);
            if (seed % 2 == 0) /* the resident run */
                assert_int_equal(weir_store_fill(toy.store, NULL, NULL, NULL), WEIR_OK);
            test(&toy);
            close_toy(&toy);
        }
}

/* Slots go and come between steps, with reads ahead in flight, filled or not. */
static void come_and_go(struct toy *toy)
{
    struct weir_store_stats stats;
    const uint64_t pages = resident_pages(toy);
    for (int step = 0; step < 200; step++) {
        const uint32_t bytes = draw(toy, 0, 200000);
        run_some_step(toy, step);
        if (step % 5 == 0)
            weir_store_shrink(toy->store, step % 3 == 0 ? UINT64_MAX : bytes);
        if (step % 5 >= 3)
            assert_true(weir_store_grow(toy->store, bytes) <= bytes);
        if (step % 40 == 39)
            assert_int_equal(weir_store_fill(toy->store, NULL, NULL, NULL), WEIR_OK);
        weir_store_check(toy->store);
        weir_store_stats_get(toy->store, &stats);
        assert_int_equal(stats.shrunk_slots - stats.grown_slots, stats.retired_slots);
        assert_int_equal(pages - resident_pages(toy), stats.retired_bytes / PAGE);
    }
    assert_true(stats.grown_slots > 0);
    assert_int_equal(weir_store_grow(toy->store, UINT64_MAX), stats.retired_bytes);
    assert_int_equal(resident_pages(toy), pages);
    assert_int_equal(weir_store_fill(toy->store, NULL, NULL, NULL), WEIR_OK);
    for (uint32_t slot = 0; slot < toy->store->cache.slot_count; slot++)
        assert_int_not_equal(toy->store->cache.record_in[slot], WEIR_NO_RECORD);
}

static void every_policy_reads_right_while_slots_come_and_go(void **state)
{
    (void)state;
    with_every_policy(come_and_go);
}

static void go_to_the_fewest(struct toy *toy)
{
    struct weir_store_stats stats;
    for (int step = 0; step < 150; step++) {
        run_some_step(toy, step);
        weir_store_shrink(toy->store, draw(toy, 0, 6000));
    }
    weir_store_stop_ahead(toy->store);
    weir_store_shrink(toy->store, UINT64_MAX);
    assert_int_equal(weir_store_shrink(toy->store, 1), 0);
    for (int step = 0; step < 50; step++) {
        look_ahead(toy);
        run_step(toy, draw(toy, 0, RECORDS_MAX), 3);
    }
    weir_store_stats_get(toy->store, &stats);
    assert_int_equal(toy->store->cache.slot_count - stats.retired_slots,
                     toy->config.policy->is_pooled ? 3 : 3 * LAYERS);
    assert_int_equal(stats.step_reads_max, 1);
    /* Nothing is filled but the slots that are left. */
    const uint64_t reads = stats.reads;
    assert_int_equal(weir_store_fill(toy->store, NULL, NULL, NULL), WEIR_OK);
    weir_store_stats_get(toy->store, &stats);
    assert_true(stats.reads - reads <= 3 * LAYERS);
}

static void every_policy_reads_right_down_to_the_fewest_slots(void **state)
{
    (void)state;
    with_every_policy(go_to_the_fewest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_given_back_is_with_the_kernel),
        cmocka_unit_test(slots_whose_memory_stays_stay),
        cmocka_unit_test(slots_that_come_back_hit_as_before),
        cmocka_unit_test(sets_grow_in_turns),
        cmocka_unit_test(grow_stops_where_memory_ends),
        cmocka_unit_test(every_policy_reads_right_while_slots_come_and_go),
        cmocka_unit_test(every_policy_reads_right_down_to_the_fewest_slots),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
