/* io_test.c - the same exact bytes from every engine, at any depth and however its caller waits. */
#include "io/io.h"

#include <errno.h>
#include <sys/mman.h>

#include "io_toy.h"

static void every_engine_reads_exact_bytes_at_any_depth(void **state)
{
    static const uint32_t depths[] = {1, 2, 7, DEPTH};
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (size_t index = 0; index < WEIR_COUNT(depths); index++) {
            uint32_t file;
            weir_io *io = open_variant(variants[variant], depths[index], &file);
            assert_int_equal(weir_io_file_bytes(io, file), FILE_BYTES);
            assert_string_equal(weir_io_file_path(io, file), path);
            read_many(io, file, real_depth(depths[index]), 150, -1);
            weir_io_destroy(&io);
            assert_null(io);
        }
}

static void reads_complete_for_a_caller_that_never_waits_or_waits_briefly(void **state)
{
    static const int64_t waits_ns[] = {0, 1, 50000, INT64_MAX};
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (size_t index = 0; index < WEIR_COUNT(waits_ns); index++) {
            uint32_t file;
            weir_io *io = open_variant(variants[variant], 8, &file);
            read_many(io, file, real_depth(8), 60, waits_ns[index]);
            weir_io_destroy(&io);
        }
}

static void submit_takes_as_many_as_there_is_room_for(void **state)
{
    enum { COUNT = 11 };
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        struct weir_read reads[COUNT];
        struct weir_io_done done[COUNT];
        uint64_t random_state = variant;
        uint32_t file, submitted = 0, reaped = 0;
        bool is_back[COUNT] = {false};
        weir_io *io = open_variant(variants[variant], 4, &file);
        for (uint32_t tag = 0; tag < COUNT; tag++) {
            reads[tag] = random_read(&random_state, file, places[tag]);
            reads[tag].tag = tag;
        }
        while (reaped < COUNT) {
            const uint32_t room = real_depth(4) - (submitted - reaped);
            const uint32_t taken = weir_io_submit(io, reads + submitted, COUNT - submitted);
            assert_int_equal(taken, weir_min(room, COUNT - submitted));
            submitted += taken;
            assert_int_equal(weir_io_submit(io, reads, 0), 0);
            const uint32_t arrived = weir_io_reap(io, done, 2, -1); /* fewer than are in flight */
            assert_in_range(arrived, 1, 2);
            for (uint32_t index = 0; index < arrived; index++) {
                assert_false(is_back[done[index].tag]);
                is_back[done[index].tag] = true;
                check_bytes(&reads[done[index].tag], &done[index]);
            }
            reaped += arrived;
        }
        weir_io_destroy(&io);
    }
}

static void reap_with_nothing_in_flight_returns_at_once(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        struct weir_io_done done;
        uint32_t file;
        weir_io *io = open_variant(variants[variant], 0, &file);
        assert_int_equal(weir_io_reap(io, &done, 1, -1), 0);
        assert_int_equal(weir_io_reap(io, &done, 1, 0), 0);
        assert_int_equal(weir_io_reap(io, &done, 1, INT64_MAX), 0);
        weir_io_destroy(&io);
    }
}

/* Whether a wait for a device that takes so long ended before it; on a busy machine the answer may
 * be there before anybody looks. */
static bool a_wait_ends_before(uint32_t latency_ns_max)
{
    enum { WAIT_NS = 1000000 };
    const struct weir_io_config slow = {
        .kind = WEIR_IO_FAKE,
        .fake = {.seed = 5, .latency_ns_max = latency_ns_max, .retry_rate = 1}};
    uint64_t random_state = 1;
    struct weir_io_done done;
    struct weir_io_stats stats;
    uint32_t file;
    weir_io *io = open_variant(slow, 1, &file);
    const struct weir_read read = random_read(&random_state, file, places[0]);
    assert_int_equal(weir_io_submit(io, &read, 1), 1);
    const uint64_t begin_ns = weir_now_ns();
    const bool has_ended = weir_io_reap(io, &done, 1, WAIT_NS) == 0;
    if (has_ended) {
        assert_true(weir_now_ns() - begin_ns >= WAIT_NS);
        weir_io_stats_get(io, &stats);
        assert_true(stats.wait_ns >= WAIT_NS && stats.busy_ns >= WAIT_NS);
        assert_int_equal(weir_io_reap(io, &done, 1, -1), 1);
    }
    check_bytes(&read, &done);
    weir_io_destroy(&io);
    return has_ended;
}

static void reap_gives_up_after_its_wait(void **state)
{
    (void)state;
    for (uint32_t ns = 400000000; !a_wait_ends_before(ns); ns *= 2)
        assert_true(ns < 3200000000);
}

/* count whole-file-inside reads by a fake device; how many failed. */
static uint32_t read_from_fake(struct weir_io_fake fake, uint32_t count, bool buffered,
                               struct weir_io_stats *stats)
{
    const struct weir_io_config config = {.kind = WEIR_IO_FAKE, .buffered = buffered, .fake = fake};
    uint32_t file, failed = 0;
    weir_io *io = open_variant(config, 1, &file);
    for (uint32_t index = 0; index < count; index++) {
        struct weir_io_done done;
        struct weir_read read = {.offset = index % 100 * PAGE,
                                 .dst = places[0],
                                 .bytes = READ_PAGES * PAGE,
                                 .min_bytes = READ_PAGES * PAGE,
                                 .file = file};
        assert_int_equal(weir_io_submit(io, &read, 1), 1);
        assert_int_equal(weir_io_reap(io, &done, 1, -1), 1);
        if (done.status == WEIR_OK) {
            check_bytes(&read, &done);
            continue;
        }
        assert_int_equal(done.status, WEIR_ERR_IO);
        assert_int_equal(done.os_errno, EIO);
        failed++;
    }
    weir_io_stats_get(io, stats);
    assert_int_equal(stats->error_count, failed);
    weir_io_destroy(&io);
    return failed;
}

static void short_reads_and_retries_are_completed_and_counted(void **state)
{
    struct weir_io_stats stats, again;
    (void)state;
    for (int buffered = 0; buffered < 2; buffered++) {
        const struct weir_io_fake always_short = {.seed = 1, .short_rate = 1};
        assert_int_equal(read_from_fake(always_short, 50, buffered, &stats), 0);
        assert_int_equal(stats.short_count, 50);
        assert_int_equal(stats.retry_count, 0);
        const struct weir_io_fake always_twice = {.seed = 1, .retry_rate = 1};
        assert_int_equal(read_from_fake(always_twice, 50, buffered, &stats), 0);
        assert_int_equal(stats.short_count, 0);
        assert_int_equal(stats.retry_count, 50);
        const struct weir_io_fake mixed = {.seed = 9, .short_rate = 0.3, .retry_rate = 0.3};
        assert_int_equal(read_from_fake(mixed, 300, buffered, &stats), 0);
        assert_in_range(stats.short_count, 60, 120);
        assert_in_range(stats.retry_count, 60, 120);
        read_from_fake(mixed, 300, buffered, &again);
        assert_int_equal(stats.short_count, again.short_count);
        assert_int_equal(stats.retry_count, again.retry_count);
    }
}

static void errors_for_good_name_the_errno_after_bounded_retries(void **state)
{
    struct weir_io_stats stats;
    (void)state;
    const struct weir_io_fake broken = {.seed = 1, .error_rate = 1};
    assert_int_equal(read_from_fake(broken, 20, false, &stats), 20);
    assert_int_equal(stats.retry_count, 20 * 3);
    assert_int_equal(stats.read_bytes, 0);
    const struct weir_io_fake worn = {.seed = 4, .error_rate = 0.3};
    assert_in_range(read_from_fake(worn, 300, false, &stats), 60, 120);
}

static void check_exact(weir_io *io, uint32_t file, uint64_t offset, uint64_t bytes,
                        uint64_t staging_bytes)
{
    static uint8_t dst[FILE_BYTES + 2];
    struct weir_err err = {0};
    uint8_t *staging = aligned_alloc(PAGE, weir_align_up(staging_bytes, PAGE));
    memset(dst, 0xee, bytes + 2);
    const enum weir_status status =
        weir_io_read_exact(io, file, offset, bytes, dst + 1, staging, staging_bytes, &err);
    free(staging);
    if (offset + bytes <= FILE_BYTES || bytes == 0) {
        assert_int_equal(status, WEIR_OK);
        assert_memory_equal(dst + 1, content + offset, bytes);
    } else {
        assert_int_equal(status, WEIR_ERR_FORMAT);
        assert_non_null(strstr(err.text, path));
    }
    assert_int_equal(dst[0], 0xee);
    assert_int_equal(dst[bytes + 1], 0xee);
}

static void read_exact_takes_any_offset_and_count_in_pieces(void **state)
{
    static const uint64_t staging_bytes[] = {2 * PAGE, 3 * PAGE + 100, 17 * PAGE, 1 << 20};
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (uint32_t depth = 1; depth <= 9; depth += 8) {
            uint64_t random_state = depth;
            uint32_t file;
            weir_io *io = open_variant(variants[variant], depth, &file);
            for (size_t index = 0; index < WEIR_COUNT(staging_bytes); index++) {
                const uint64_t room = staging_bytes[index];
                check_exact(io, file, 0, FILE_BYTES, room);
                check_exact(io, file, 4095, 2, room);
                check_exact(io, file, 5, 0, room);
                check_exact(io, file, FILE_BYTES - 1, 1, room);
                check_exact(io, file, FILE_BYTES - 1, 2, room);
                check_exact(io, file, FILE_BYTES + PAGE, 1, room);
                for (int round = 0; round < 5; round++) {
                    const uint64_t offset = weir_random_next(&random_state) % FILE_BYTES;
                    check_exact(io, file, offset, weir_random_next(&random_state) % 50000, room);
                }
            }
            weir_io_destroy(&io);
        }
}

static void read_exact_reports_an_error_and_reads_on(void **state)
{
    const struct weir_io_config worn = {.kind = WEIR_IO_FAKE,
                                        .fake = {.seed = 6, .error_rate = 0.1}};
    uint8_t *dst = malloc(FILE_BYTES);
    uint8_t *staging = aligned_alloc(PAGE, 16 * PAGE);
    uint32_t file, failed = 0;
    (void)state;
    weir_io *io = open_variant(worn, 4, &file);
    for (int round = 0; round < 100; round++) {
        struct weir_err err = {0};
        struct weir_io_stats stats;
        if (weir_io_read_exact(io, file, 10, 20 * PAGE, dst, staging, 16 * PAGE, &err) == WEIR_OK) {
            assert_memory_equal(dst, content + 10, 20 * PAGE);
        } else {
            assert_int_equal(err.status, WEIR_ERR_IO);
            assert_int_equal(err.os_errno, EIO);
            assert_non_null(strstr(err.text, path));
            failed++;
        }
        weir_io_stats_get(io, &stats);
        assert_int_equal(stats.in_flight, 0);
    }
    assert_in_range(failed, 10, 95);
    weir_io_destroy(&io);
    free(staging);
    free(dst);
}

/* Parts anywhere, some of no bytes, taken in pieces of any size; the last one may not be there. */
static void check_stream(weir_io *io, uint32_t file, uint64_t *random_state, uint64_t staging_bytes,
                         bool ends_early)
{
    enum { PARTS = 20 };
    struct weir_io_part parts[PARTS];
    struct weir_io_stream stream;
    struct weir_err err = {0};
    uint8_t *staging = aligned_alloc(PAGE, weir_align_up(staging_bytes, PAGE));
    uint8_t *wanted = malloc(PARTS * 30000), *found = malloc(PARTS * 30000);
    uint64_t total = 0, taken = 0;
    for (uint32_t at = 0; at < PARTS; at++) {
        const uint64_t offset = weir_random_next(random_state) % FILE_BYTES;
        const uint64_t most = weir_random_next(random_state) % (at % 4 == 0 ? 30000 : 100);
        parts[at] = (struct weir_io_part){offset, weir_min(most, FILE_BYTES - offset), file};
        memcpy(wanted + total, content + offset, parts[at].bytes);
        total += parts[at].bytes;
    }
    parts[PARTS - 1].bytes += ends_early ? FILE_BYTES : 0;
    weir_io_stream_begin(&stream, io, parts, PARTS, staging, staging_bytes);
    enum weir_status status = WEIR_OK;
    while (status == WEIR_OK && taken < total) {
        const uint64_t step = weir_min(total - taken, weir_random_next(random_state) % 9000);
        status = weir_io_stream_take(&stream, found + taken, step, &err);
        taken += status == WEIR_OK ? step : 0;
    }
    assert_memory_equal(found, wanted, taken);
    assert_true(ends_early || status == WEIR_OK);
    for (uint64_t more = 0; ends_early && status == WEIR_OK && more < FILE_BYTES; more += PAGE)
        status = weir_io_stream_take(&stream, found, PAGE, &err);
    assert_int_equal(status, ends_early ? WEIR_ERR_FORMAT : WEIR_OK);
    assert_true(!ends_early || strstr(err.text, "ends early") != NULL);
    weir_io_stream_end(&stream);
    free(found);
    free(wanted);
    free(staging);
}

static void a_stream_gives_the_bytes_of_its_parts_in_their_order(void **state)
{
    static const uint64_t staging_bytes[] = {2 * PAGE, 5 * PAGE + 100, 1 << 20};
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (uint32_t depth = 1; depth <= 9; depth += 8) {
            uint64_t random_state = depth + variant;
            struct weir_io_stats stats;
            uint32_t file;
            weir_io *io = open_variant(variants[variant], depth, &file);
            for (uint32_t round = 0; round < 12; round++)
                check_stream(io, file, &random_state, staging_bytes[round % 3], round % 4 == 3);
            weir_io_stats_get(io, &stats);
            assert_int_equal(stats.in_flight, 0);
            assert_int_equal(stats.in_flight_max, real_depth(depth));
            weir_io_destroy(&io);
        }
}

/* The reads of the next parts are under way while bytes of the first one are taken. */
static void a_stream_keeps_the_device_busy_across_its_parts(void **state)
{
    enum { PARTS = 8 };
    static const struct weir_io_config fake = {.kind = WEIR_IO_FAKE, .fake = {.seed = 3}};
    struct weir_io_part parts[PARTS];
    struct weir_io_stream stream;
    struct weir_io_stats stats;
    uint8_t bytes[8];
    uint32_t file;
    (void)state;
    uint8_t *staging = aligned_alloc(PAGE, PARTS * PAGE);
    weir_io *io = open_variant(fake, PARTS, &file);
    for (uint32_t at = 0; at < PARTS; at++)
        parts[at] = (struct weir_io_part){at * PAGE, sizeof(bytes), file};
    weir_io_stream_begin(&stream, io, parts, PARTS, staging, PARTS * PAGE);
    weir_io_stats_get(io, &stats);
    assert_int_equal(stats.in_flight, real_depth(PARTS));
    for (uint32_t at = 0; at < PARTS; at++) {
        assert_int_equal(weir_io_stream_take(&stream, bytes, sizeof(bytes), NULL), WEIR_OK);
        assert_memory_equal(bytes, content + at * PAGE, sizeof(bytes));
    }
    weir_io_stream_end(&stream);
    weir_io_destroy(&io);
    free(staging);
}

static void destroy_waits_for_reads_in_flight(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        uint64_t random_state = variant;
        struct weir_read reads[16];
        uint32_t file;
        weir_io *io = open_variant(variants[variant], 16, &file);
        for (uint32_t place = 0; place < 16; place++)
            reads[place] = random_read(&random_state, file, places[place]);
        assert_int_equal(weir_io_submit(io, reads, 16), real_depth(16));
        weir_io_destroy(&io);
        assert_null(io);
        for (uint32_t place = 0; place < 16; place++) /* ours again: nothing may land any more */
            memset(places[place], 0x11, READ_PAGES * PAGE);
        for (uint32_t place = 0; place < 16; place++)
            assert_int_equal(places[place][READ_PAGES * PAGE - 1], 0x11);
    }
    weir_io *none = NULL;
    weir_io_destroy(&none);
}

static uint32_t count_cached_pages(uint8_t *mapping)
{
    static unsigned char is_cached[FILE_PAGES];
    uint32_t count = 0;
    assert_int_equal(mincore(mapping, FILE_BYTES, is_cached), 0);
    for (uint32_t page = 0; page < FILE_PAGES; page++)
        count += is_cached[page] & 1;
    return count;
}

static void buffered_reads_give_their_cache_pages_back(void **state)
{
    (void)state;
    const int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    uint8_t *mapping = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);
    assert_ptr_not_equal(mapping, MAP_FAILED);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (count_cached_pages(mapping) > 0) {
        printf("skipped: this file system keeps its pages (memory?)\n");
        skip();
    }
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        uint32_t file;
        weir_io *io = open_variant(variants[variant], 8, &file);
        read_many(io, file, real_depth(8), 200, -1);
        weir_io_destroy(&io);
        assert_in_range(count_cached_pages(mapping), 0, FILE_PAGES / 10);
    }
    munmap(mapping, FILE_BYTES);
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_engine_reads_exact_bytes_at_any_depth),
        cmocka_unit_test(reads_complete_for_a_caller_that_never_waits_or_waits_briefly),
        cmocka_unit_test(submit_takes_as_many_as_there_is_room_for),
        cmocka_unit_test(reap_with_nothing_in_flight_returns_at_once),
        cmocka_unit_test(reap_gives_up_after_its_wait),
        cmocka_unit_test(short_reads_and_retries_are_completed_and_counted),
        cmocka_unit_test(errors_for_good_name_the_errno_after_bounded_retries),
        cmocka_unit_test(read_exact_takes_any_offset_and_count_in_pieces),
        cmocka_unit_test(read_exact_reports_an_error_and_reads_on),
        cmocka_unit_test(a_stream_gives_the_bytes_of_its_parts_in_their_order),
        cmocka_unit_test(a_stream_keeps_the_device_busy_across_its_parts),
        cmocka_unit_test(destroy_waits_for_reads_in_flight),
        cmocka_unit_test(buffered_reads_give_their_cache_pages_back),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
