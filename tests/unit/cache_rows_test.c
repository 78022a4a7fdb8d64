/* cache_rows_test.c - steps of several rows: how their uses count, and who makes room for them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cache_toy.h"

/* A step that reads each of these records, computes it and lets it go before the next. */
static void stream(struct toy *toy, uint32_t layer, const uint32_t *records,
                   const uint32_t *row_counts, uint32_t count, uint32_t n_row)
{
    const struct weir_uses uses = {
        .records = records, .row_counts = row_counts, .count = count, .n_row = n_row};
    weir_cache_begin(&toy->cache, layer, &uses);
    for (uint32_t index = 0; index < count; index++) {
        uint32_t victim;
        uint32_t slot = weir_cache_find(&toy->cache, layer, records[index]);
        if (slot == WEIR_NO_SLOT)
            slot = weir_cache_claim(&toy->cache, layer, records[index], &victim);
        else
            weir_cache_hold(&toy->cache, slot);
        weir_cache_let_go(&toy->cache, slot);
    }
    weir_cache_end(&toy->cache);
}

/* One text's step spares its own records, for they may be wanted before they are computed. A step
 * of several rows streams what it rarely needs through few slots. */
static void a_step_of_several_rows_spares_favourites(void **state)
{
    static const uint32_t records[] = {2, 3, 4, 5};
    static const uint32_t row_counts[] = {1, 1, 1, 1};
    (void)state;
    for (uint32_t n_row = 1; n_row <= 2; n_row++) {
        struct toy toy;
        open_toy(&toy, &weir_policy_decayed, 6, 3);
        for (int round = 0; round < 5; round++) {
            use(&toy, 0);
            use(&toy, 1);
        }
        stream(&toy, 0, records, row_counts, 4, n_row);
        for (uint32_t favourite = 0; favourite < 2; favourite++)
            assert_int_equal(weir_cache_find(&toy.cache, 0, favourite) != WEIR_NO_SLOT, n_row > 1);
        weir_mem_close(&toy.mem);
    }
}

/* Uses of a step of several rows are counted once, when it begins. */
static void a_step_of_several_rows_is_counted_once(void **state)
{
    static const uint32_t records[] = {0, 1};
    static const uint32_t row_counts[] = {8, 1};
    struct toy toy;
    (void)state;
    open_toy(&toy, &weir_policy_decayed, 6, 3);
    stream(&toy, 0, records, row_counts, 2, 8);
    weir_cache_count(&toy.cache);
    assert_true(weir_policy_decayed.value(&toy.cache, 0) == 1.0);
    weir_mem_close(&toy.mem);
}

/* In every step eight rows use the records, but one of them far more rows than the other. */
static void learned_counts_rows(void **state)
{
    static const uint32_t records[] = {0, 1, 2};
    static const uint32_t row_counts[] = {1, 7, 1};
    struct toy toy;
    (void)state;
    open_toy(&toy, &weir_policy_learned, 12, 4);
    for (int round = 0; round < 20; round++)
        stream(&toy, 0, records, row_counts, 3, 8);
    const double few = weir_policy_learned.value(&toy.cache, 0);
    assert_true(weir_policy_learned.value(&toy.cache, 1) > few);
    assert_true(weir_policy_learned.value(&toy.cache, 2) == few);
    assert_true(weir_policy_learned.value(&toy.cache, 3) < few);
    weir_mem_close(&toy.mem);
}

/* Each layer uses its first record in every step. */
static void of_equals_the_one_whose_layer_comes_last_goes_first(void **state)
{
    enum { LAYER_COUNT = 3 };
    static const uint32_t record = 0;
    struct toy toy;
    (void)state;
    open_pool(&toy, &weir_policy_learned, LAYER_COUNT, 4, 5);
    for (uint32_t step = 0; step < 40 * LAYER_COUNT; step++)
        stream(&toy, step % LAYER_COUNT, &record, NULL, 1, 1);
    stream(&toy, 0, &record, NULL, 1, 1);
    weir_cache_count(&toy.cache);
    const struct weir_cache *cache = &toy.cache;
    const double last = weir_policy_learned.value(cache, cache->first[0]);
    const double next = weir_policy_learned.value(cache, cache->first[1]);
    const double later = weir_policy_learned.value(cache, cache->first[2]);
    assert_true(next > later && later > last);
    weir_mem_close(&toy.mem);
}

/* The same text twice, and once: each expert is used once for both. */
static void texts_that_decode_together_use_each_expert_once(void **state)
{
    const struct weir_trace whole = make_trace(3);
    uint16_t *twice = calloc((size_t)2 * (TOKENS - 30) + 30, LAYERS * USED * sizeof(uint16_t));
    const size_t text = (size_t)(TOKENS - 30) * LAYERS * USED;
    struct weir_trace doubled = whole;
    (void)state;
    assert_non_null(twice);
    memcpy(twice, experts, sizeof(experts));
    memcpy(twice + (size_t)TOKENS * LAYERS * USED, experts[30], text * sizeof(uint16_t));
    doubled.n_token = 2 * TOKENS - 30;
    doubled.experts = twice;
    for (uint32_t index = 0; weir_policy_name(index) != NULL; index++) {
        struct weir_replay_config config = {.policy = weir_policy_name(index), .expert_share = 0.5};
        struct weir_replay_result one, two;
        assert_int_equal(weir_trace_replay(&whole, &config, &one, NULL, NULL, NULL), WEIR_OK);
        config.n_together = 2;
        assert_int_equal(weir_trace_replay(&doubled, &config, &two, NULL, NULL, NULL), WEIR_OK);
        assert_int_equal(two.tokens, 2 * one.tokens);
        assert_int_equal(two.uses, one.uses);
        assert_true(two.hits > one.hits / 2);
    }
    free(twice);
}

static void nothing_beats_the_future_of_texts_together(void **state)
{
    const struct weir_trace trace = make_trace(2);
    double rates[2];
    (void)state;
    for (uint32_t index = 0; index < 2; index++) {
        const struct weir_replay_config config = {.policy = index == 0 ? "belady" : "learned",
                                                  .pool = true,
                                                  .expert_share = 0.4,
                                                  .n_together = 6};
        struct weir_replay_result result;
        assert_int_equal(weir_trace_replay(&trace, &config, &result, NULL, NULL, NULL), WEIR_OK);
        assert_int_equal(result.tokens, (TOKENS - 30) / 6 * 6);
        rates[index] = (double)result.hits / (double)result.uses;
    }
    assert_true(rates[0] > rates[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_of_several_rows_spares_favourites),
        cmocka_unit_test(a_step_of_several_rows_is_counted_once),
        cmocka_unit_test(learned_counts_rows),
        cmocka_unit_test(of_equals_the_one_whose_layer_comes_last_goes_first),
        cmocka_unit_test(texts_that_decode_together_use_each_expert_once),
        cmocka_unit_test(nothing_beats_the_future_of_texts_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
