/* budget_test.c - formats under a budget: never past it, and as good as trying everything. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/base.h"
#include "recast/budget.h"

enum { ITEMS = 6, MANY = 80, CHOICES = 4 };

/* Formats of a tensor: more bytes lose less, mostly. */
static void fill(struct weir_budget_item *item, uint64_t *seed)
{
    const double size = 10.0 + 1000.0 * weir_random_unit(seed);
    const double slope = exp(6.0 * weir_random_unit(seed));
    item->choice_count = CHOICES;
    for (uint32_t at = 0; at < CHOICES; at++) {
        const double bits = 2.0 + 6.0 * weir_random_unit(seed);
        item->bytes[at] = (uint64_t)(size * bits);
        item->losses[at] = slope * exp2(-2.0 * bits) * (0.8 + 0.4 * weir_random_unit(seed));
    }
}

static uint64_t bytes_of(const struct weir_budget_item *items)
{
    uint64_t bytes = 0;
    for (uint32_t index = 0; index < ITEMS; index++)
        bytes += items[index].bytes[items[index].chosen];
    return bytes;
}

/* The least loss of all choices that fit. */
static double try_all(struct weir_budget_item *items, uint64_t limit_bytes)
{
    double best = (double)INFINITY;
    for (uint32_t code = 0; code < 4096; code++) { /* CHOICES ^ ITEMS */
        for (uint32_t index = 0; index < ITEMS; index++)
            items[index].chosen = code >> 2 * index & 3;
        if (bytes_of(items) <= limit_bytes && weir_budget_loss(items, ITEMS) < best)
            best = weir_budget_loss(items, ITEMS);
    }
    return best;
}

static void it_fits_and_is_near_the_best(void **state)
{
    uint64_t seed = 7;
    double worst = 1.0;
    double sum = 0.0;
    uint32_t count = 0;
    (void)state;
    for (uint32_t round = 0; round < 200; round++) {
        struct weir_budget_item items[ITEMS] = {0};
        uint64_t least = 0;
        uint64_t most = 0;
        for (uint32_t index = 0; index < ITEMS; index++) {
            fill(&items[index], &seed);
            for (uint32_t at = 0; at < CHOICES; at++)
                items[index].chosen =
                    items[index].bytes[at] > items[index].bytes[items[index].chosen]
                        ? at
                        : items[index].chosen;
        }
        most = bytes_of(items);
        assert_false(weir_budget_choose(items, ITEMS, 0, &least));
        assert_true(least > 0);
        assert_false(weir_budget_choose(items, ITEMS, least - 1, &least));
        const uint64_t limit = least + (uint64_t)((double)(most - least) * weir_random_unit(&seed));
        assert_true(weir_budget_choose(items, ITEMS, limit, &least));
        assert_true(bytes_of(items) <= limit);
        const double found = weir_budget_loss(items, ITEMS);
        const double ratio = found / try_all(items, limit);
        assert_true(ratio >= 1.0 - 1e-12);
        worst = ratio > worst ? ratio : worst;
        sum += ratio;
        count++;
    }
    print_message("loss over the least there is: mean %.4f, worst %.3f\n", sum / count, worst);
    assert_true(sum / count < 1.06);
    assert_true(worst < 2.1);
}

/* No choice of that many bytes loses less: the dual of the choice, at the best of many prices. */
static double bound(const struct weir_budget_item *items, uint32_t count, uint64_t limit_bytes)
{
    double best = 0.0;
    for (double price = 1e-12; price < 1e3; price *= 1.05) {
        double sum = -price * (double)limit_bytes;
        for (uint32_t index = 0; index < count; index++) {
            double least = (double)INFINITY;
            for (uint32_t at = 0; at < items[index].choice_count; at++)
                least =
                    fmin(least, items[index].losses[at] + price * (double)items[index].bytes[at]);
            sum += least;
        }
        best = fmax(best, sum);
    }
    return best;
}

/* A model has many tensors: then what is chosen is as good as there is. */
static void of_many_it_is_the_best(void **state)
{
    uint64_t seed = 11;
    double worst = 1.0;
    (void)state;
    for (uint32_t round = 0; round < 20; round++) {
        static struct weir_budget_item items[MANY];
        uint64_t least = 0;
        for (uint32_t index = 0; index < MANY; index++)
            fill(&items[index], &seed);
        weir_budget_choose(items, MANY, 0, &least);
        const uint64_t limit = least + (uint64_t)((double)least * weir_random_unit(&seed));
        assert_true(weir_budget_choose(items, MANY, limit, &least));
        const double least_loss = bound(items, MANY, limit);
        const double ratio = weir_budget_loss(items, MANY) / least_loss;
        worst = fmax(worst, ratio);
    }
    print_message("loss over a bound: worst %.4f\n", worst);
    assert_true(worst < 1.06);
}

/* What loses nothing is taken when it fits, and nothing that cannot be had. */
static void all_that_fits_is_taken(void **state)
{
    struct weir_budget_item items[] = {
        {.choice_count = 3, .bytes = {100, 50, UINT64_MAX}, .losses = {0.0, 0.1, 0.0}},
        {.choice_count = 3, .bytes = {100, 60, 60}, .losses = {0.0, 0.3, 0.2}}};
    uint64_t least = 0;
    (void)state;
    assert_true(weir_budget_choose(items, 2, 200, &least));
    assert_int_equal(least, 110);
    assert_true(items[0].chosen == 0 && items[1].chosen == 0);
    assert_true(weir_budget_choose(items, 2, 199, &least));
    assert_true(items[0].chosen == 1 && items[1].chosen == 0);
    assert_true(weir_budget_choose(items, 2, 110, &least));
    assert_true(items[0].chosen == 1 && items[1].chosen == 2);
    assert_false(weir_budget_choose(items, 2, 109, &least));
    assert_true(weir_budget_choose(items, 0, 0, &least));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_fits_and_is_near_the_best),
        cmocka_unit_test(of_many_it_is_the_best),
        cmocka_unit_test(all_that_fits_is_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
