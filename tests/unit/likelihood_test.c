/* likelihood_test.c - divergence beside closed forms, sums of positions and of chunks. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "../../cli/chunks.h"
#include "../../cli/likelihood.h"
#include "base/base.h"

enum { VOCAB = 1000 };

#define assert_near(found, wanted, most) assert_true(fabs((double)(found) - (wanted)) <= (most))

/* Logits of random shares; spread is their standard deviation, about. */
static void fill(float *logits, uint64_t seed, double spread)
{
    for (uint32_t id = 0; id < VOCAB; id++) {
        double sum = 0.0;
        for (int part = 0; part < 12; part++)
            sum += weir_random_unit(&seed);
        logits[id] = (float)(spread * (sum - 6.0));
    }
}

/* sum p log(p / q), straight from the definition. */
static double diverge(const float *one, const float *other)
{
    double one_sum = 0.0, other_sum = 0.0, kl = 0.0;
    for (uint32_t id = 0; id < VOCAB; id++) {
        one_sum += exp((double)one[id]);
        other_sum += exp((double)other[id]);
    }
    for (uint32_t id = 0; id < VOCAB; id++)
        kl += exp((double)one[id]) / one_sum *
              ((double)one[id] - log(one_sum) - (double)other[id] + log(other_sum));
    return kl;
}

static double measure(const float *one, const float *other)
{
    uint16_t codes[VOCAB];
    struct weir_cli_row row = {.codes = codes};
    struct weir_cli_softmax softmax;
    weir_cli_softmax_take(&softmax, one, VOCAB);
    weir_cli_row_encode(&row, one, VOCAB, &softmax, 3);
    assert_int_equal(row.top, softmax.top);
    assert_near(row.target, -weir_cli_surprise(&softmax, one, 3), 1e-5);
    weir_cli_softmax_take(&softmax, other, VOCAB);
    return weir_cli_row_divergence(&row, other, VOCAB, &softmax);
}

static void divergence_is_the_definitions(void **state)
{
    (void)state;
    float one[VOCAB], other[VOCAB];
    for (uint64_t seed = 1; seed < 20; seed++) {
        fill(one, seed, 1.5);
        fill(other, seed + 100, 0.05);
        for (uint32_t id = 0; id < VOCAB; id++)
            other[id] += one[id];
        const double wanted = diverge(one, other);
        assert_near(measure(one, other), wanted, 1e-6 + 1e-4 * wanted);
        assert_near(measure(one, one), 0.0, 2e-8);
        assert_true(measure(one, one) > -1e-9);
    }
}

/* Of two shares p and q: p log(p/q) + (1 - p) log((1 - p)/(1 - q)). */
static void divergence_of_two_is_the_closed_form(void **state)
{
    (void)state;
    float one[VOCAB], other[VOCAB];
    for (uint32_t id = 0; id < VOCAB; id++) /* next to nothing */
        one[id] = other[id] = -24.0f;
    one[0] = logf(0.8f);
    one[1] = logf(0.2f);
    other[0] = other[1] = logf(0.5f);
    const double wanted = 0.8 * log(0.8 / 0.5) + 0.2 * log(0.2 / 0.5);
    assert_near(measure(one, other), wanted, 1e-5);
    for (uint32_t id = 0; id < VOCAB; id++) /* all alike: the scale is 0 */
        one[id] = 2.0f;
    assert_near(measure(one, one), 0.0, 1e-12);
}

static void positions_add_up(void **state)
{
    (void)state;
    enum { COUNT = 1001 };
    struct weir_cli_distance distance;
    struct weir_cli_distance_facts facts;
    assert_true(weir_cli_distance_init(&distance, COUNT));
    /* KL 0, 1, ... 1000; the model is always half as sure as the reference. */
    for (int at = 0; at < COUNT; at++)
        weir_cli_distance_add(&distance, (at * 5) % COUNT, at % 4 != 0, 1.0 + at + log(2.0),
                              1.0 + at);
    weir_cli_distance_tell(&distance, &facts);
    assert_near(facts.kl, 500.0, 1e-9);
    assert_near(facts.kl_err, sqrt((COUNT * COUNT - 1.0) / 12.0 / (COUNT - 1.0)), 1e-6);
    assert_near(facts.kl_median, 500.0, 1e-9);
    assert_near(facts.kl_p90, 900.0, 1e-9);
    assert_near(facts.kl_p99, 990.0, 1e-9);
    assert_near(facts.kl_p999, 999.0, 1e-9);
    assert_near(facts.kl_max, 1000.0, 1e-9);
    assert_near(facts.top1, 750.0 / COUNT, 1e-9);
    assert_near(facts.ppl_ratio, 2.0, 1e-9);
    assert_near(facts.ppl_ratio_err, 0.0, 1e-6);
    assert_near(facts.correlation, 1.0, 1e-9);
    weir_cli_distance_deinit(&distance);
    assert_true(weir_cli_distance_init(&distance, 1));
    weir_cli_distance_tell(&distance, &facts);
    assert_true(isnan(facts.kl) && isnan(facts.kl_median) && isnan(facts.top1));
    weir_cli_distance_deinit(&distance);
}

static void quantiles_lie_between(void **state)
{
    (void)state;
    const double values[] = {1.0, 2.0, 4.0, 8.0};
    assert_near(weir_cli_quantile(values, 4, 0.5), 3.0, 1e-12);
    assert_near(weir_cli_quantile(values, 4, 0.9), 4.0 + 0.7 * 4.0, 1e-12);
    assert_near(weir_cli_quantile(values, 1, 0.9), 1.0, 1e-12);
}

static void fill_chunks(struct weir_cli_chunks *chunks, uint32_t count)
{
    for (uint32_t at = 0; at < count; at++) {
        const struct weir_cli_chunk chunk = {
            .count = 10, .bytes = 40, .nll = at, .kl = 0.5, .same_top = 9};
        weir_cli_chunks_hash(chunks, &at, 1);
        assert_true(weir_cli_chunks_add(chunks, &chunk));
    }
}

static void many_chunks_are_joined(void **state)
{
    (void)state;
    struct weir_cli_chunks chunks = {0}, same = {0};
    enum { COUNT = 2 * WEIR_CLI_CHUNKS_MAX + 3 };
    fill_chunks(&chunks, COUNT);
    assert_int_equal(chunks.each, 4);
    assert_int_equal(chunks.count, (COUNT + 3) / 4);
    double nll = 0.0;
    uint64_t tokens = 0;
    for (size_t at = 0; at < chunks.count; at++) {
        nll += chunks.list[at].nll;
        tokens += chunks.list[at].count;
    }
    assert_near(nll, COUNT * (COUNT - 1.0) / 2.0, 1e-6);
    assert_int_equal(tokens, COUNT * 10);
    fill_chunks(&same, 4); /* the first entry's ids are those of four chunks */
    assert_true(same.list[3].ids == chunks.list[0].ids && same.list[2].ids != same.list[3].ids);
    weir_cli_chunks_free(&chunks);
    weir_cli_chunks_free(&same);
}

static void chunks_are_read_back(void **state)
{
    (void)state;
    struct weir_cli_chunks chunks = {0}, back = {0}, broken = {0};
    struct weir_err err = {0};
    fill_chunks(&chunks, 5);
    json_t *object = weir_cli_chunks_json(&chunks, false);
    assert_int_equal(weir_cli_chunks_read(&back, object, &err), WEIR_OK);
    assert_true(back.count == 5 && back.each == 1);
    for (size_t at = 0; at < 5; at++)
        assert_memory_equal(&back.list[at], &chunks.list[at], sizeof(back.list[at]));
    json_array_append_new(json_object_get(object, "nll"), json_real(1.0));
    assert_int_equal(weir_cli_chunks_read(&broken, object, &err), WEIR_ERR_FORMAT);
    assert_non_null(strstr(err.text, "nll"));
    weir_cli_chunks_free(&chunks);
    weir_cli_chunks_free(&back);
    weir_cli_chunks_free(&broken);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(divergence_is_the_definitions),
        cmocka_unit_test(divergence_of_two_is_the_closed_form),
        cmocka_unit_test(positions_add_up),
        cmocka_unit_test(quantiles_lie_between),
        cmocka_unit_test(many_chunks_are_joined),
        cmocka_unit_test(chunks_are_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
