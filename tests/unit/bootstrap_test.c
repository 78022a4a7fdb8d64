/* bootstrap_test.c - intervals by drawing chunks, beside what theory says of them. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../cli/bootstrap.h"
#include "base/base.h"

enum { COUNT = 400 };

/* Of equal weights the interval is the normal one: 1.96 standard errors on each side. */
static void interval_is_as_wide_as_the_error(void **state)
{
    (void)state;
    double above[COUNT], below[COUNT], sum = 0.0, square = 0.0;
    struct weir_cli_interval interval, again, other;
    uint64_t seed = 7;
    for (int at = 0; at < COUNT; at++) {
        above[at] = weir_random_unit(&seed);
        below[at] = 1.0;
        sum += above[at];
        square += above[at] * above[at];
    }
    const double mean = sum / COUNT;
    const double error = sqrt((square / COUNT - mean * mean) / COUNT);
    assert_true(weir_cli_bootstrap(&interval, above, below, COUNT, 1));
    assert_true(fabs(interval.value - mean) < 1e-12);
    assert_true(fabs((interval.high - mean) / error - 1.96) < 0.2);
    assert_true(fabs((mean - interval.low) / error - 1.96) < 0.2);
    assert_true(weir_cli_bootstrap(&again, above, below, COUNT, 1));
    assert_memory_equal(&interval, &again, sizeof(again));
    assert_true(weir_cli_bootstrap(&other, above, below, COUNT, 2));
    assert_true(other.low != interval.low && fabs(other.low - interval.low) < error);
}

/* It covers the truth about 95 times of 100. */
static void interval_covers_the_truth(void **state)
{
    (void)state;
    enum { ROUNDS = 100, FEW = 40 };
    double above[FEW], below[FEW];
    int covered = 0;
    uint64_t seed = 3;
    for (int round = 0; round < ROUNDS; round++) {
        struct weir_cli_interval interval;
        for (int at = 0; at < FEW; at++) {
            below[at] = 1.0 + weir_random_unit(&seed);
            above[at] = below[at] * 2.0 + weir_random_unit(&seed) - 0.5;
        }
        assert_true(weir_cli_bootstrap(&interval, above, below, FEW, (uint64_t)round));
        covered += interval.low <= 2.0 && 2.0 <= interval.high;
    }
    assert_in_range(covered, 85, 99);
}

static void weights_count(void **state)
{
    (void)state;
    double above[WEIR_CLI_DRAW_CHUNK_MIN], below[WEIR_CLI_DRAW_CHUNK_MIN];
    struct weir_cli_interval interval;
    for (int at = 0; at < WEIR_CLI_DRAW_CHUNK_MIN; at++) {
        below[at] = at % 2 == 0 ? 1.0 : 3.0;
        above[at] = at % 2 == 0 ? 1.0 : 9.0;
    }
    assert_true(weir_cli_bootstrap(&interval, above, below, WEIR_CLI_DRAW_CHUNK_MIN, 1));
    assert_true(fabs(interval.value - 2.5) < 1e-12);
    assert_true(1.0 <= interval.low && interval.low < 2.5);
    assert_true(2.5 < interval.high && interval.high <= 3.0);
    assert_true(weir_cli_bootstrap(&interval, above, below, WEIR_CLI_DRAW_CHUNK_MIN - 1, 1));
    assert_true(isfinite(interval.value) && isnan(interval.low) && isnan(interval.high));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(interval_is_as_wide_as_the_error),
        cmocka_unit_test(interval_covers_the_truth),
        cmocka_unit_test(weights_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
