/* io_write_test.c - every engine writes what a later read finds, and a barrier keeps its word. */
#include "io/io.h"

#include <errno.h>

#include "io_toy.h"

enum { SCRATCH_PAGES = 256, SCRATCH_BYTES = SCRATCH_PAGES * PAGE, WRITE_PAGES = READ_PAGES };

/* What the scratch file must hold, and what writes take their bytes from. */
static uint8_t shadow[SCRATCH_BYTES];
static uint8_t *back;

static weir_io *open_scratch(struct weir_io_config config, uint32_t depth, uint32_t *file)
{
    struct weir_err err = {0};
    weir_io *io = NULL;
    config.depth = depth;
    if (weir_io_create(&io, &config, &err) != WEIR_OK ||
        weir_io_open_scratch(io, "build", SCRATCH_BYTES, file, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    memset(shadow, 0, sizeof(shadow));
    return io;
}

static struct weir_io_done reap_one(weir_io *io)
{
    struct weir_io_done done;
    assert_int_equal(weir_io_reap(io, &done, 1, -1), 1);
    return done;
}

/* One write of new random bytes from a place, waited for. */
static struct weir_io_done write_now(weir_io *io, uint32_t file, uint64_t offset, uint32_t bytes,
                                     uint64_t *random_state)
{
    for (uint32_t at = 0; at < bytes; at += sizeof(uint64_t)) {
        const uint64_t value = weir_random_next(random_state);
        memcpy(places[0] + at, &value, sizeof(value));
    }
    const struct weir_write write = {
        .offset = offset, .src = places[0], .bytes = bytes, .file = file};
    assert_true(weir_io_queue_write(io, &write));
    return reap_one(io);
}

static struct weir_io_done barrier_now(weir_io *io, uint32_t file)
{
    assert_true(weir_io_queue_barrier(io, file, 77));
    const struct weir_io_done done = reap_one(io);
    assert_int_equal(done.tag, 77);
    return done;
}

static void read_back(weir_io *io, uint32_t file)
{
    struct weir_err err = {0};
    uint8_t *staging = aligned_alloc(PAGE, 16 * PAGE);
    memset(back, 0xee, SCRATCH_BYTES);
    if (weir_io_read_exact(io, file, 0, SCRATCH_BYTES, back, staging, 16 * PAGE, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    free(staging);
}

/* count writes of random pages of the file, at most depth in flight, none over another; with
 * barriers between them. What is in flight is never read. */
static void write_many(weir_io *io, uint32_t file, uint32_t depth, uint32_t count,
                       uint64_t random_state)
{
    enum { BARRIER = 1000 };
    struct weir_write writes[DEPTH];
    struct weir_io_done done[DEPTH];
    struct weir_io_stats stats;
    bool is_busy[DEPTH] = {false};
    uint32_t order[DEPTH], submitted = 0, told = 0, barriers = 0, pending = 0;
    uint64_t written_bytes = 0;
    const uint32_t room = SCRATCH_PAGES / depth; /* pages that belong to a place */
    while (told < count + barriers) {
        for (uint32_t place = 0; place < depth && submitted < count; place++) {
            if (is_busy[place])
                continue;
            const uint32_t pages =
                (uint32_t)(1 + weir_random_next(&random_state) % weir_min(room, WRITE_PAGES));
            const uint64_t first =
                place * room + weir_random_next(&random_state) % (room - pages + 1);
            memset(places[place], (int)weir_random_next(&random_state), pages * PAGE);
            writes[place] = (struct weir_write){.offset = first * PAGE,
                                                .tag = place,
                                                .src = places[place],
                                                .bytes = pages * PAGE,
                                                .file = file};
            if (!weir_io_queue_write(io, &writes[place]))
                break; /* barriers take their places too */
            is_busy[place] = true;
            order[place] = submitted++;
            if (submitted % 5 == 0 && weir_io_queue_barrier(io, file, BARRIER + submitted))
                barriers++;
        }
        weir_io_flush(io);
        const uint32_t arrived = weir_io_reap(io, done, DEPTH, -1);
        assert_true(arrived > 0);
        for (uint32_t index = 0; index < arrived; index++) {
            assert_int_equal(done[index].status, WEIR_OK);
            if (done[index].tag >= BARRIER) { /* no older write may still be in flight */
                for (uint32_t place = 0; place < depth; place++)
                    assert_true(!is_busy[place] || order[place] >= done[index].tag - BARRIER);
                continue;
            }
            const struct weir_write *write = &writes[done[index].tag];
            assert_true(is_busy[done[index].tag]);
            assert_int_equal(done[index].bytes, write->bytes);
            memcpy(shadow + write->offset, write->src, write->bytes);
            written_bytes += write->bytes;
            is_busy[done[index].tag] = false;
        }
        told += arrived;
        pending = submitted + barriers - told;
    }
    assert_int_equal(pending, 0);
    weir_io_stats_get(io, &stats);
    assert_int_equal(stats.written_bytes, written_bytes);
    assert_int_equal(stats.submitted, count + barriers);
    assert_int_equal(stats.done, count + barriers);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.read_bytes, 0);
    assert_int_equal(stats.error_count, 0);
    assert_true(stats.in_flight_max <= depth);
}

static void every_engine_writes_what_is_read_back_at_any_depth(void **state)
{
    static const uint32_t depths[] = {1, 2, 7, DEPTH};
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (size_t index = 0; index < WEIR_COUNT(depths); index++) {
            uint32_t file;
            weir_io *io = open_scratch(variants[variant], depths[index], &file);
            assert_int_equal(weir_io_file_bytes(io, file), SCRATCH_BYTES);
            assert_string_equal(weir_io_file_path(io, file), "build");
            write_many(io, file, real_depth(depths[index]), 120, variant);
            read_back(io, file);
            assert_memory_equal(back, shadow, SCRATCH_BYTES);
            assert_true(weir_io_destroy(&io));
        }
}

static void a_barrier_waits_for_older_writes_and_not_for_younger_ones(void **state)
{
    enum { OLD = 5, YOUNG = 5 };
    const struct weir_io_fake slow = {.seed = 3, .latency_ns_max = 3000000};
    uint32_t barrier_was_before_young = 0;
    (void)state;
    for (uint32_t seed = 1; seed <= 20; seed++) {
        struct weir_io_config config = {.kind = WEIR_IO_FAKE, .fake = slow};
        uint32_t file, old_told = 0, told = 0;
        config.fake.seed = seed;
        weir_io *io = open_scratch(config, 32, &file);
        if (real_depth(32) < 32) { /* one at a time: nothing to wait for */
            weir_io_destroy(&io);
            return;
        }
        for (uint32_t index = 0; index < OLD + YOUNG; index++) {
            const struct weir_write write = {.offset = index * PAGE,
                                             .tag = index,
                                             .src = places[index],
                                             .bytes = PAGE,
                                             .file = file};
            if (index == OLD)
                assert_true(weir_io_queue_barrier(io, file, 100));
            assert_true(weir_io_queue_write(io, &write));
        }
        weir_io_flush(io);
        while (told < OLD + YOUNG + 1) {
            const struct weir_io_done done = reap_one(io);
            assert_int_equal(done.status, WEIR_OK);
            old_told += done.tag < OLD;
            told++;
            if (done.tag == 100) {
                assert_int_equal(old_told, OLD);
                assert_int_equal(done.bytes, 0);
                barrier_was_before_young += told < OLD + YOUNG + 1;
            }
        }
        weir_io_destroy(&io);
    }
    assert_true(barrier_was_before_young > 0);
}

static void short_writes_and_retries_are_completed_and_counted(void **state)
{
    static const struct weir_io_fake fakes[] = {{.seed = 1, .short_rate = 1},
                                                {.seed = 1, .retry_rate = 1}};
    (void)state;
    for (size_t which = 0; which < WEIR_COUNT(fakes); which++)
        for (int buffered = 0; buffered < 2; buffered++) {
            const struct weir_io_config config = {
                .kind = WEIR_IO_FAKE, .buffered = buffered, .fake = fakes[which]};
            struct weir_io_stats stats;
            uint64_t random_state = 1;
            uint32_t file;
            weir_io *io = open_scratch(config, 1, &file);
            for (uint32_t index = 0; index < 20; index++) {
                const uint64_t offset = index * 8 * PAGE;
                const struct weir_io_done done =
                    write_now(io, file, offset, 7 * PAGE, &random_state);
                assert_int_equal(done.status, WEIR_OK);
                assert_int_equal(done.bytes, 7 * PAGE);
                memcpy(shadow + offset, places[0], 7 * PAGE);
            }
            weir_io_stats_get(io, &stats);
            assert_int_equal(stats.short_count, which == 0 ? 20 : 0);
            assert_int_equal(stats.retry_count, which == 1 ? 20 : 0);
            assert_int_equal(stats.written_bytes, 20 * 7 * PAGE);
            read_back(io, file);
            assert_memory_equal(back, shadow, SCRATCH_BYTES);
            weir_io_destroy(&io);
        }
}

static void errors_for_good_name_the_errno(void **state)
{
    const struct weir_io_config broken = {.kind = WEIR_IO_FAKE,
                                          .fake = {.seed = 1, .error_rate = 1}};
    const struct weir_io_config full = {.kind = WEIR_IO_FAKE, .fake = {.seed = 1, .full_rate = 1}};
    struct weir_io_stats stats;
    uint64_t random_state = 1;
    uint32_t file;
    (void)state;
    weir_io *io = open_scratch(broken, 1, &file);
    struct weir_io_done done = write_now(io, file, 0, 4 * PAGE, &random_state);
    assert_int_equal(done.status, WEIR_ERR_IO);
    assert_int_equal(done.os_errno, EIO);
    weir_io_stats_get(io, &stats);
    assert_int_equal(stats.retry_count, 3);
    assert_int_equal(stats.written_bytes, 0);
    assert_int_equal(stats.error_count, 1);
    done = barrier_now(io, file); /* a second one would mean nothing */
    assert_int_equal(done.os_errno, EIO);
    weir_io_stats_get(io, &stats);
    assert_int_equal(stats.retry_count, 3);
    weir_io_destroy(&io);
    io = open_scratch(full, 1, &file);
    done = write_now(io, file, 0, 4 * PAGE, &random_state);
    assert_int_equal(done.status, WEIR_ERR_IO);
    assert_int_equal(done.os_errno, ENOSPC);
    weir_io_stats_get(io, &stats);
    assert_int_equal(stats.retry_count, 0); /* it does not become less full */
    done = barrier_now(io, file);
    assert_int_equal(done.status, WEIR_OK); /* nothing was in flight, and the failure was told */
    weir_io_destroy(&io);
}

static void a_barrier_that_is_interrupted_is_tried_again(void **state)
{
    const struct weir_io_config config = {.kind = WEIR_IO_FAKE,
                                          .fake = {.seed = 1, .retry_rate = 1}};
    struct weir_io_stats stats;
    uint32_t file;
    (void)state;
    weir_io *io = open_scratch(config, 1, &file);
    assert_int_equal(barrier_now(io, file).status, WEIR_OK);
    weir_io_stats_get(io, &stats);
    assert_int_equal(stats.retry_count, 1);
    weir_io_destroy(&io);
}

static void a_barrier_behind_a_write_that_failed_has_failed(void **state)
{
    const struct weir_io_config config = {
        .kind = WEIR_IO_FAKE, .fake = {.seed = 1, .full_rate = 1, .latency_ns_max = 100000}};
    uint32_t file, other, failed = 0;
    (void)state;
    weir_io *io = open_scratch(config, 8, &file);
    if (real_depth(8) == 8) {
        assert_int_equal(weir_io_open_scratch(io, "build", PAGE, &other, NULL), WEIR_OK);
        const struct weir_write write = {.src = places[0], .bytes = PAGE, .file = file};
        assert_true(weir_io_queue_write(io, &write));
        assert_true(weir_io_queue_barrier(io, file, 1));
        assert_true(weir_io_queue_barrier(io, other, 2)); /* of another file: nothing to it */
        for (int told = 0; told < 3; told++) {
            const struct weir_io_done done = reap_one(io);
            assert_int_equal(done.os_errno, done.tag == 2 ? 0 : ENOSPC);
            failed += done.status != WEIR_OK;
        }
        assert_int_equal(failed, 2);
    }
    weir_io_destroy(&io);
}

/* Which of two versions each sector of the file has; any other content fails. */
static void count_sectors(const uint8_t *old, const uint8_t *new, uint32_t pages,
                          uint32_t *old_count, uint32_t *new_count)
{
    *old_count = *new_count = 0;
    for (uint32_t at = 0; at < pages * PAGE; at += 512) {
        const bool is_old = memcmp(back + at, old + at, 512) == 0;
        const bool is_new = memcmp(back + at, new + at, 512) == 0;
        assert_true(is_old || is_new);
        *old_count += is_old;
        *new_count += is_new;
    }
}

static void a_crash_tears_what_no_barrier_followed_and_nothing_else(void **state)
{
    const struct weir_io_config config = {.kind = WEIR_IO_FAKE,
                                          .fake = {.seed = 9, .can_crash = true}};
    static uint8_t first[8 * PAGE], again[SCRATCH_BYTES];
    (void)state;
    for (int round = 0; round < 2; round++) {
        uint64_t random_state = 5;
        uint32_t file, old_count, new_count;
        weir_io *io = open_scratch(config, 4, &file);
        assert_int_equal(write_now(io, file, 0, 8 * PAGE, &random_state).status, WEIR_OK);
        memcpy(first, places[0], sizeof(first));
        assert_int_equal(barrier_now(io, file).status, WEIR_OK);
        weir_io_fake_crash(io);
        read_back(io, file);
        assert_memory_equal(back, first, sizeof(first)); /* durable */
        assert_int_equal(write_now(io, file, 0, 8 * PAGE, &random_state).status, WEIR_OK);
        read_back(io, file);
        assert_memory_equal(back, places[0], 8 * PAGE); /* seen, though not durable */
        weir_io_fake_crash(io);
        read_back(io, file);
        count_sectors(first, places[0], 8, &old_count, &new_count);
        assert_true(old_count > 8 && new_count > 8); /* of 64 */
        if (round == 0)
            memcpy(again, back, sizeof(again));
        assert_memory_equal(again, back, sizeof(again)); /* the same for the same seed */
        weir_io_destroy(&io);
    }
}

static void a_crash_fails_what_is_in_flight_and_may_tear_it(void **state)
{
    const struct weir_io_config config = {.kind = WEIR_IO_FAKE,
                                          .fake = {.seed = 4, .can_crash = true}};
    static const uint8_t zeros[4 * PAGE];
    uint64_t random_state = 5;
    uint32_t file, old_count, new_count;
    struct weir_io_stats stats;
    (void)state;
    weir_io *io = open_scratch(config, 4, &file);
    memset(places[0], 0x5a, 4 * PAGE);
    const struct weir_write write = {.src = places[0], .bytes = 4 * PAGE, .file = file};
    assert_true(weir_io_queue_write(io, &write));
    if (real_depth(4) == 4)
        assert_true(weir_io_queue_barrier(io, file, 7));
    weir_io_fake_crash(io);
    for (uint32_t told = 0; told < weir_min(real_depth(4), 2); told++)
        assert_int_equal(reap_one(io).os_errno, EIO);
    weir_io_stats_get(io, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.retry_count, 0);
    read_back(io, file);
    count_sectors(zeros, places[0], 4, &old_count, &new_count);
    assert_true(old_count > 4 && new_count > 4); /* of 32 */
    assert_int_equal(write_now(io, file, 0, 4 * PAGE, &random_state).status, WEIR_OK);
    assert_int_equal(barrier_now(io, file).status, WEIR_OK);
    weir_io_destroy(&io);
}

static void destroy_waits_for_writes_in_flight(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        uint32_t file;
        weir_io *io = open_scratch(variants[variant], 16, &file);
        const uint32_t count = real_depth(16) == 16 ? 15 : 1;
        for (uint32_t place = 0; place < count; place++) {
            const struct weir_write write = {
                .offset = place * PAGE, .src = places[place], .bytes = PAGE, .file = file};
            assert_true(weir_io_queue_write(io, &write));
        }
        assert_int_equal(weir_io_queue_barrier(io, file, 0), count == 15);
        const struct weir_write more = {.src = places[15], .bytes = PAGE, .file = file};
        assert_false(weir_io_queue_write(io, &more)); /* full */
        assert_true(weir_io_destroy(&io));
    }
}

static void writes_and_barriers_that_are_never_answered_are_given_up(void **state)
{
    const struct weir_io_config config = {
        .kind = WEIR_IO_FAKE, .fake = {.seed = 1, .lost_rate = 1}, .stall_ns = 200000000};
    uint32_t file;
    (void)state;
    weir_io *io = open_scratch(config, 4, &file);
    for (int round = 0; round < 2; round++) {
        const struct weir_write write = {.src = places[0], .bytes = PAGE, .file = file};
        assert_true(weir_io_queue_write(io, &write));
        const uint32_t count = weir_io_queue_barrier(io, file, 1) ? 2 : 1;
        for (uint32_t told = 0; told < count; told++)
            assert_int_equal(reap_one(io).os_errno, ETIMEDOUT);
    }
    assert_false(weir_io_destroy(&io));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_engine_writes_what_is_read_back_at_any_depth),
        cmocka_unit_test(a_barrier_waits_for_older_writes_and_not_for_younger_ones),
        cmocka_unit_test(short_writes_and_retries_are_completed_and_counted),
        cmocka_unit_test(errors_for_good_name_the_errno),
        cmocka_unit_test(a_barrier_that_is_interrupted_is_tried_again),
        cmocka_unit_test(a_barrier_behind_a_write_that_failed_has_failed),
        cmocka_unit_test(a_crash_tears_what_no_barrier_followed_and_nothing_else),
        cmocka_unit_test(a_crash_fails_what_is_in_flight_and_may_tear_it),
        cmocka_unit_test(destroy_waits_for_writes_in_flight),
        cmocka_unit_test(writes_and_barriers_that_are_never_answered_are_given_up),
    };
    back = malloc(SCRATCH_BYTES);
    alarm(DEADLINE_S);
    const int failed = cmocka_run_group_tests(tests, set_up, tear_down);
    free(back);
    return failed;
}
