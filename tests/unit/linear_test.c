/* linear_test.c - rows dealt to threads: each once, in pieces that get smaller. */
#include "base/base.h"
#include "model/linear.h"
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
    struct weir_piece piece = weir_piece_first(&job->rows, part);
    WEIR_ASSERT(job->rows.n_part == n_part);
    for (; piece.begin < piece.end; piece = weir_piece_next(&job->rows)) {
        WEIR_ASSERT(piece.end <= job->rows.count);
        for (uint64_t row = piece.begin; row < piece.end; row++)
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
            weir_deal_start(&job.rows, count, n_thread % 2 + 1, n_thread, count % 2 == 0);
            weir_pool_run(pool, "rows", take_rows, &job);
            for (uint64_t row = 0; row < ROWS_MAX; row++)
                assert_int_equal(job.taken[row], row < count);
        }
        weir_pool_destroy(&pool);
    }
}

/* The first piece of each of two parts, then those that are left. */
static void check_pieces(uint64_t count, uint32_t n_token, bool is_uneven, uint64_t first,
                         uint64_t smallest)
{
    struct weir_deal rows;
    uint64_t largest = first;
    uint64_t at = 2 * first;
    weir_deal_start(&rows, count, n_token, 2, is_uneven);
    for (uint32_t part = 0; part < 2; part++) {
        const struct weir_piece piece = weir_piece_first(&rows, part);
        assert_int_equal(piece.begin, part * first);
        assert_int_equal(piece.end, (part + 1) * first);
    }
    for (struct weir_piece piece = weir_piece_next(&rows); piece.begin < piece.end;
         piece = weir_piece_next(&rows)) {
        const uint64_t length = piece.end - piece.begin;
        assert_int_equal(piece.begin, at);
        assert_true(length <= largest);
        assert_true(piece.end == count || (length >= smallest && length % 16 == 0));
        largest = length;
        at = piece.end;
    }
    assert_int_equal(at, count);
    assert_true(largest <= smallest);
}

static void test_pieces_shrink_to_a_tile(void **state)
{
    (void)state;
    check_pieces(1000, 1, false, 448, 32);   /* seven eighths of a half, in tiles */
    check_pieces(1000, 1, true, 448, 32);    /* one token is in all of them */
    check_pieces(4000, 2, false, 1024, 128); /* a quarter, in tiles */
    check_pieces(4000, 2, true, 416, 128);   /* a tenth */
    check_pieces(1000, 2, true, 128, 128);   /* a tenth, were it not so few */
    check_pieces(64, 2, false, 32, 32);      /* a router's: each thread its half */
}

static void test_one_thread_takes_all(void **state)
{
    (void)state;
    struct weir_deal rows;
    weir_deal_start(&rows, 1001, 1, 1, false);
    struct weir_piece piece = weir_piece_first(&rows, 0);
    assert_int_equal(piece.begin, 0);
    assert_int_equal(piece.end, 1001);
    piece = weir_piece_next(&rows);
    assert_int_equal(piece.begin, piece.end);
}

static void check_overlap(uint64_t begin, uint64_t end, uint64_t first, uint64_t count,
                          uint64_t from, uint64_t to)
{
    const struct weir_piece piece = {.begin = begin, .end = end};
    const bool some = weir_piece_overlap(&piece, first, count, &begin, &end);
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
        cmocka_unit_test(test_overlap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
