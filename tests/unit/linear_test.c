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
    uint64_t begin;
    uint64_t end;
    (void)part;
    while (weir_deal_take(&job->rows, n_part, &begin, &end)) {
        WEIR_ASSERT(begin < end && end <= job->rows.count);
        for (uint64_t row = begin; row < end; row++)
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
            weir_deal_start(&job.rows, count, 1);
            weir_pool_run(pool, "rows", take_rows, &job);
            for (uint64_t row = 0; row < ROWS_MAX; row++)
                assert_int_equal(job.taken[row], row < count);
        }
        weir_pool_destroy(&pool);
    }
}

static void check_pieces(uint32_t n_token, uint64_t first, uint64_t smallest)
{
    struct weir_deal rows;
    uint64_t largest = first;
    uint64_t at = 0;
    uint64_t begin;
    uint64_t end;
    weir_deal_start(&rows, 1000, n_token);
    while (weir_deal_take(&rows, 2, &begin, &end)) {
        assert_int_equal(begin, at);
        assert_true(at == 0 ? end == first : end - begin <= largest);
        assert_true(end == 1000 || (end - begin >= smallest && (end - begin) % 16 == 0));
        largest = end - begin;
        at = end;
    }
    assert_int_equal(at, 1000);
    assert_true(largest <= smallest);
}

static void test_pieces_shrink_to_a_tile(void **state)
{
    (void)state;
    check_pieces(1, 256, 32);  /* a quarter */
    check_pieces(2, 128, 128); /* a tenth, were it not so few */
}

static void test_one_thread_takes_all(void **state)
{
    (void)state;
    struct weir_deal rows;
    uint64_t begin;
    uint64_t end;
    weir_deal_start(&rows, 1001, 1);
    assert_true(weir_deal_take(&rows, 1, &begin, &end));
    assert_int_equal(begin, 0);
    assert_int_equal(end, 1001);
    assert_false(weir_deal_take(&rows, 1, &begin, &end));
}

static void check_overlap(uint64_t begin, uint64_t end, uint64_t first, uint64_t count,
                          uint64_t from, uint64_t to)
{
    const bool some = weir_deal_overlap(first, count, &begin, &end);
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
