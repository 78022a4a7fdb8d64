/* io_silent_test.c - a device that does not answer: waits end, and late answers hurt nobody. */
#include "io/io.h"

#include <errno.h>

#include "io_toy.h"

#define MS INT64_C(1000000)

enum { READS = 6 };

static const struct weir_io_fake silent = {.seed = 1, .lost_rate = 1};

/* READS reads are with the device. */
static uint32_t submit_some(weir_io *io, uint32_t file)
{
    struct weir_read reads[READS];
    for (uint32_t place = 0; place < READS; place++)
        reads[place] = (struct weir_read){.offset = place * PAGE,
                                          .tag = place,
                                          .dst = places[place],
                                          .bytes = PAGE,
                                          .min_bytes = PAGE,
                                          .file = file};
    return weir_io_submit(io, reads, READS);
}

/* Everything in flight is told as timed out, each once. How long the wait for it took. */
static uint64_t give_up(weir_io *io, uint32_t count)
{
    struct weir_io_done done[READS];
    struct weir_io_stats stats;
    bool is_back[READS] = {false};
    const uint64_t begin_ns = weir_now_ns();
    for (uint32_t reaped = 0; reaped < count;) {
        const uint32_t arrived = weir_io_reap(io, done, 4, -1);
        assert_in_range(arrived, 1, 4);
        for (uint32_t index = 0; index < arrived; index++) {
            assert_false(is_back[done[index].tag]);
            is_back[done[index].tag] = true;
            assert_int_equal(done[index].status, WEIR_ERR_IO);
            assert_int_equal(done[index].os_errno, ETIMEDOUT);
        }
        reaped += arrived;
    }
    const uint64_t took_ns = weir_now_ns() - begin_ns;
    weir_io_stats_get(io, &stats);
    assert_int_equal(stats.in_flight, 0);
    assert_true(stats.error_count >= count);
    assert_int_equal(weir_io_reap(io, done, 4, -1), 0);
    return took_ns;
}

static void a_wait_for_an_answer_that_never_comes_ends(void **state)
{
    const struct weir_io_config config = {
        .kind = WEIR_IO_FAKE, .fake = silent, .stall_ns = 300 * MS};
    uint32_t file;
    (void)state;
    weir_io *io = open_variant(config, READS, &file);
    const uint32_t count = submit_some(io, file);
    assert_int_equal(count, real_depth(READS));
    assert_true(give_up(io, count) >= 300 * MS);
    /* And later ones at once; on a busy machine not each time. */
    bool is_at_once = false;
    for (int turn = 0; turn < 200 && !is_at_once; turn++) {
        assert_int_equal(submit_some(io, file), count);
        is_at_once = give_up(io, count) < 300 * MS;
    }
    assert_true(is_at_once);
    assert_false(weir_io_destroy(&io));
    assert_null(io);
}

static void destroy_ends_though_an_answer_never_comes(void **state)
{
    const struct weir_io_config config = {
        .kind = WEIR_IO_FAKE, .fake = silent, .stall_ns = 300 * MS};
    uint32_t file;
    (void)state;
    weir_io *io = open_variant(config, READS, &file);
    submit_some(io, file);
    const uint64_t begin_ns = weir_now_ns();
    assert_false(weir_io_destroy(&io));
    assert_true(weir_now_ns() - begin_ns >= 300 * MS);
}

static bool count_questions(void *user)
{
    uint32_t *left = user;
    if (*left > 0)
        --*left;
    return *left == 0;
}

static void a_stop_ends_the_wait_long_before_the_limit(void **state)
{
    uint32_t questions_left = 4;
    uint32_t file;
    const struct weir_io_config config = {.kind = WEIR_IO_FAKE,
                                          .fake = silent,
                                          .stop = count_questions,
                                          .stop_user = &questions_left};
    (void)state;
    weir_io *io = open_variant(config, READS, &file);
    /* Two seconds; without a stop it would be two minutes. */
    assert_in_range(give_up(io, submit_some(io, file)), 1900 * MS, 100000 * MS);
    assert_int_equal(questions_left, 0);
    assert_false(weir_io_destroy(&io));
}

static void a_slow_device_is_waited_for_though_a_stop_was_asked_for(void **state)
{
    uint32_t questions_left = 1;
    uint32_t file;
    const struct weir_io_config slow = {.kind = WEIR_IO_FAKE,
                                        .fake = {.seed = 2, .latency_ns_max = 500 * MS},
                                        .stop = count_questions,
                                        .stop_user = &questions_left};
    (void)state;
    weir_io *io = open_variant(slow, READS, &file);
    read_many(io, file, real_depth(READS), 5, -1);
    assert_int_equal(questions_left, 0);
    assert_true(weir_io_destroy(&io));
}

static void a_wait_that_has_an_end_gives_nothing_up(void **state)
{
    const struct weir_io_config config = {.kind = WEIR_IO_FAKE, .fake = silent, .stall_ns = 1};
    struct weir_io_done done;
    uint32_t file;
    (void)state;
    weir_io *io = open_variant(config, READS, &file);
    const uint32_t count = submit_some(io, file);
    const uint64_t begin_ns = weir_now_ns();
    assert_int_equal(weir_io_reap(io, &done, 1, 0), 0);
    assert_int_equal(weir_io_reap(io, &done, 1, 350 * MS), 0); /* more than one slice of waiting */
    assert_true(weir_now_ns() - begin_ns >= 350 * MS);
    give_up(io, count);
    weir_io_destroy(&io);
}

static uint32_t count_landed(void)
{
    uint32_t landed = 0;
    for (uint32_t place = 0; place < READS; place++)
        landed +=
            places[place][0] != 0xee || memcmp(places[place], content + place * PAGE, PAGE) == 0;
    return landed;
}

static void readers_stuck_in_the_kernel_are_left_behind(void **state)
{
    const struct weir_io_config config = {
        .kind = WEIR_IO_THREADS, .n_thread = 2, .stall_ns = 300 * MS};
    uint32_t file;
    (void)state;
    weir_io *io = open_variant(config, READS, &file);
    weir_io_refuse(WEIR_IO_REFUSE_ANSWER);
    const uint32_t count = submit_some(io, file);
    assert_true(give_up(io, count) >= 300 * MS);
    assert_false(weir_io_destroy(&io)); /* which does not wait: they come back further below */
    for (uint32_t place = 0; place < READS; place++)
        memset(places[place], 0xee, PAGE);
    weir_io_refuse(0);
    /* Those that a reader had begun, and none of those that only waited for one. */
    for (int turn = 0; turn < PACE_PATIENCE_S * 10 && count_landed() < weir_min(2, count); turn++)
        usleep(100000);
    usleep(100000);
    assert_int_equal(count_landed(), weir_min(2, count));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_wait_for_an_answer_that_never_comes_ends),
        cmocka_unit_test(destroy_ends_though_an_answer_never_comes),
        cmocka_unit_test(a_stop_ends_the_wait_long_before_the_limit),
        cmocka_unit_test(a_slow_device_is_waited_for_though_a_stop_was_asked_for),
        cmocka_unit_test(a_wait_that_has_an_end_gives_nothing_up),
        cmocka_unit_test(readers_stuck_in_the_kernel_are_left_behind),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
