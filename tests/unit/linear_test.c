/* linear_test.c - rows dealt to threads: each once, in pieces that get smaller. */
#include "base/base.h"
#include "model/model_internal.h"
#include "sys/sys.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

enum { ROWS_MAX = 5000 };

struct job {
    struct weir_deal rows;
    _Atomic uint32_t taken[ROWS_MAX];
};

static void take_rows(void *user, uint32_t part, uint32_t n_part)
{
    struct job *job = user;
    struct weir_pieces pieces = weir_pieces_start(&job->rows, part);
    WEIR_ASSERT(job->rows.n_part == n_part);
    while (weir_pieces_step(&pieces)) {
        WEIR_ASSERT(pieces.begin < pieces.end && pieces.end <= job->rows.count);
        for (uint64_t row = pieces.begin; row < pieces.end; row++)
            atomic_fetch_add(&job->taken[row], 1);
    }
}

static void test_each_row_once(void **state)
{
    (void)state;
    for (uint32_t n_thread = 1; n_thread <= 5; n_thread++) {
        weir_pool *pool = NULL;
        assert_int_equal(weir_pool_create(&pool, n_thread, NULL), WEIR_OK);
        for (uint64_t count = 0; count <= ROWS_MAX; count = count * 3 + 1) {
            static struct job job;
            memset(&job, 0, sizeof(job));
            weir_deal_start(&job.rows, count, n_thread % 2 + 1, n_thread);
            weir_pool_run(pool, "rows", take_rows, &job);
            for (uint64_t row = 0; row < ROWS_MAX; row++)
                assert_int_equal(job.taken[row], row < count);
        }
        weir_pool_destroy(&pool);
    }
}

/* The first piece of each of two parts, then those that are left. */
static void check_pieces(uint64_t count, uint32_t n_token, uint64_t first, uint64_t smallest)
{
    struct weir_deal rows;
    uint64_t largest = first;
    uint64_t at = 2 * first;
    weir_deal_start(&rows, count, n_token, 2);
    struct weir_pieces second = weir_pieces_start(&rows, 1);
    assert_true(weir_pieces_step(&second));
    assert_int_equal(second.begin, first);
    assert_int_equal(second.end, 2 * first);
    struct weir_pieces pieces = weir_pieces_start(&rows, 0);
    assert_true(weir_pieces_step(&pieces));
    assert_int_equal(pieces.begin, 0);
    assert_int_equal(pieces.end, first);
    if (second.next_begin < count)
        at = second.next_end;
    while (weir_pieces_step(&pieces)) {
        const uint64_t length = pieces.end - pieces.begin;
        assert_int_equal(pieces.begin, at);
        assert_true(length <= largest);
        assert_true(pieces.end == count || (length >= smallest && length % 16 == 0));
        largest = length;
        at = pieces.end;
    }
    assert_int_equal(at, count);
    assert_true(largest <= smallest);
}

static void test_pieces_shrink_to_a_tile(void **state)
{
    (void)state;
    check_pieces(1000, 1, 256, 32);  /* a quarter */
    check_pieces(1000, 2, 128, 128); /* a tenth, were it not so few */
    check_pieces(64, 2, 32, 32);     /* a router's: each thread its half */
}

static void test_one_thread_takes_all(void **state)
{
    (void)state;
    struct weir_deal rows;
    weir_deal_start(&rows, 1001, 1, 1);
    struct weir_pieces pieces = weir_pieces_start(&rows, 0);
    assert_true(weir_pieces_step(&pieces));
    assert_int_equal(pieces.begin, 0);
    assert_int_equal(pieces.end, 1001);
    assert_false(weir_pieces_step(&pieces));
}

static void test_what_comes_after(void **state)
{
    (void)state;
    struct weir_deal rows;
    weir_deal_start(&rows, 4000, 1, 2);
    struct weir_pieces mine = weir_pieces_start(&rows, 0);
    struct weir_pieces other = weir_pieces_start(&rows, 1);
    assert_true(weir_pieces_step(&mine) && weir_pieces_step(&other));
    assert_int_equal(weir_pieces_after(&mine, mine.begin), mine.begin + 1);
    const uint64_t told = weir_pieces_after(&mine, mine.end - 1);
    assert_in_range(told, mine.end, 3999);
    assert_true(weir_pieces_step(&mine));
    assert_int_equal(mine.begin, told);

    /* The last rows are in nobody's reserve. */
    while (rows.next < 4000)
        assert_true(weir_pieces_step(&other));
    assert_int_equal(weir_pieces_after(&other, other.end - 1), 4000);
    assert_false(weir_pieces_step(&other));

    /* A prompt's pieces are not taken before their time. */
    weir_deal_start(&rows, 4000, 2, 2);
    mine = weir_pieces_start(&rows, 0);
    assert_true(weir_pieces_step(&mine));
    assert_int_equal(weir_pieces_after(&mine, mine.end - 1), 4000);
    assert_int_equal(rows.next, 2 * rows.first);
}

static void check_overlap(uint64_t begin, uint64_t end, uint64_t first, uint64_t count,
                          uint64_t from, uint64_t to)
{
    const struct weir_pieces pieces = {.begin = begin, .end = end};
    const bool some = weir_pieces_overlap(&pieces, first, count, &begin, &end);
    assert_int_equal(some, from < to);
    if (some) {
        assert_int_equal(begin, from);
        assert_int_equal(end, to);
    }
}

static void test_overlap(void **state)
{
    (void)state;
    check_overlap(0, 10, 0, 10, 0, 10);
    check_overlap(5, 30, 10, 10, 0, 10);
    check_overlap(12, 17, 10, 10, 2, 7);
    check_overlap(15, 30, 10, 10, 5, 10);
    check_overlap(5, 15, 10, 10, 0, 5);
    check_overlap(0, 10, 10, 10, 0, 0);
    check_overlap(20, 30, 10, 10, 0, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_row_once),
        cmocka_unit_test(test_pieces_shrink_to_a_tile),
        cmocka_unit_test(test_one_thread_takes_all),
        cmocka_unit_test(test_what_comes_after),
        cmocka_unit_test(test_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
