/* io_toy.h - a file of known bytes, every engine that can read it, and many random reads. */
#ifndef WEIR_IO_TOY_H
#define WEIR_IO_TOY_H

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/io_internal.h"
#include "pace.h"

enum {
    PAGE = WEIR_IO_ALIGN,
    FILE_BYTES = 1024 * 1024 + 1234,
    FILE_PAGES = FILE_BYTES / PAGE + 1,
    READ_PAGES = 16, /* the longest read of these tests */
    DEPTH = 64,
    DEADLINE_S = 900, /* a test that waits for ever is killed, and so fails */
};

/* The file that all tests read, and what is in it. */
static char path[64];
static uint8_t content[FILE_BYTES];
/* Where reads go: one place for each that can be in flight. */
static uint8_t *places[DEPTH];

/* On the disk of the checkout, because memory file systems refuse direct reads. */
static void make_file(char *name, size_t capacity)
{
    mkdir("build", 0777);
    snprintf(name, capacity, "build/io_test-XXXXXX");
    const int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, FILE_BYTES), FILE_BYTES);
    assert_int_equal(fsync(fd), 0);
    close(fd);
}

static int set_up(void **state)
{
    uint64_t random_state = 7;
    (void)state;
    for (size_t at = 0; at < FILE_BYTES; at++)
        content[at] = (uint8_t)(weir_random_next(&random_state) >> 56);
    for (size_t place = 0; place < DEPTH; place++)
        places[place] = aligned_alloc(PAGE, READ_PAGES * PAGE);
    make_file(path, sizeof(path));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    for (size_t place = 0; place < DEPTH; place++)
        free(places[place]);
    return unlink(path);
}

static const struct weir_io_config variants[] = {
    {.kind = WEIR_IO_URING},
    {.kind = WEIR_IO_URING, .buffered = true},
    {.kind = WEIR_IO_THREADS},
    {.kind = WEIR_IO_THREADS, .buffered = true, .n_thread = 9},
    {.kind = WEIR_IO_FAKE, .fake = {.seed = 1}},
    {.kind = WEIR_IO_FAKE, .buffered = true, .fake = {.seed = 2, .latency_ns_max = 20000}},
    {.kind = WEIR_IO_FAKE, .fake = {.seed = 3, .short_rate = 0.4, .retry_rate = 0.3}},
};

/* Whether a variant is tried: the thread sanitizer sees nothing where this process has no threads
 * that read, for the ring's are the kernel's and the fake has none. */
static inline bool variant_has_turn(size_t variant)
{
    return !IS_THREAD_SANITIZED || pace_is_long() || variants[variant].kind == WEIR_IO_THREADS;
}

/* The hostile build has one read in flight, whatever is asked for. */
static inline uint32_t real_depth(uint32_t depth)
{
#ifdef WEIR_HOSTILE
    return depth > 0 ? 1 : 0;
#else
    return depth;
#endif
}

static inline weir_io *open_variant(struct weir_io_config config, uint32_t depth, uint32_t *file)
{
    struct weir_err err = {0};
    weir_io *io = NULL;
    config.depth = depth;
    if (weir_io_create(&io, &config, &err) != WEIR_OK ||
        weir_io_open(io, path, file, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return io;
}

static inline uint64_t available_bytes(uint64_t offset, uint64_t bytes)
{
    return offset >= FILE_BYTES ? 0 : weir_min(bytes, FILE_BYTES - offset);
}

/* A read somewhere in the file; its superset may end past the end. */
static inline struct weir_read random_read(uint64_t *random_state, uint32_t file, void *dst)
{
    const uint64_t offset = weir_random_next(random_state) % FILE_PAGES * PAGE;
    const uint32_t bytes = (uint32_t)(1 + weir_random_next(random_state) % READ_PAGES) * PAGE;
    uint64_t min_bytes = available_bytes(offset, bytes);
    if (weir_random_next(random_state) % 4 == 0)
        min_bytes = weir_random_next(random_state) % (min_bytes + 1);
    memset(dst, 0xee, READ_PAGES * PAGE);
    return (struct weir_read){.offset = offset,
                              .dst = dst,
                              .bytes = bytes,
                              .min_bytes = (uint32_t)min_bytes,
                              .file = file};
}

static inline void check_bytes(const struct weir_read *read, const struct weir_io_done *done)
{
    const uint8_t *dst = read->dst;
    assert_int_equal(done->status, WEIR_OK);
    assert_int_equal(done->os_errno, 0);
    assert_true(done->bytes >= read->min_bytes);
    assert_true(done->bytes <= available_bytes(read->offset, read->bytes));
    assert_memory_equal(dst, content + read->offset, done->bytes);
    if (read->bytes < READ_PAGES * PAGE)
        assert_int_equal(dst[read->bytes], 0xee); /* nothing past the room it was given */
}

/* count random reads, as many in flight as depth allows; every tag comes back exactly once. */
static inline void read_many(weir_io *io, uint32_t file, uint32_t depth, uint32_t count,
                             int64_t wait_ns)
{
    enum { BIAS = 1000 };
    struct weir_read reads[DEPTH];
    bool is_busy[DEPTH] = {false};
    struct weir_io_done done[DEPTH];
    struct weir_io_stats stats;
    uint64_t random_state = depth, asked_bytes = 0;
    uint32_t submitted = 0, reaped = 0;
    while (reaped < count) {
        for (uint32_t place = 0; place < depth && submitted < count; place++) {
            if (is_busy[place])
                continue;
            reads[place] = random_read(&random_state, file, places[place]);
            reads[place].tag = BIAS + place;
            assert_int_equal(weir_io_submit(io, &reads[place], 1), 1);
            is_busy[place] = true;
            submitted++;
        }
        const uint32_t arrived = weir_io_reap(io, done, DEPTH, wait_ns);
        assert_true(arrived > 0 || wait_ns >= 0);
        for (uint32_t index = 0; index < arrived; index++) {
            const uint64_t place = done[index].tag - BIAS;
            assert_true(place < depth && is_busy[place]);
            check_bytes(&reads[place], &done[index]);
            is_busy[place] = false;
            asked_bytes += done[index].bytes;
        }
        reaped += arrived;
    }
    weir_io_stats_get(io, &stats);
    assert_int_equal(stats.submitted, count);
    assert_int_equal(stats.done, count);
    assert_int_equal(stats.in_flight, 0);
    assert_int_equal(stats.read_bytes, asked_bytes);
    assert_int_equal(stats.error_count, 0);
    assert_true(stats.in_flight_max <= depth && stats.in_flight_max > 0);
    assert_true(stats.busy_ns > 0);
}

#endif
