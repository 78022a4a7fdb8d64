/* sampler_test.c - greedy, the filters, the penalty, the seed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/heap.h"
#include "weir.h"

enum { N_VOCAB = 8, DRAWS = 20000 };

/* Probabilities at temperature 1: .4 .2 .15 .1 .05 .05 .03 .02 */
static const double shares[N_VOCAB] = {0.05, 0.2, 0.4, 0.02, 0.15, 0.1, 0.05, 0.03};

static void make_logits(float *logits)
{
    for (int id = 0; id < N_VOCAB; id++)
        logits[id] = (float)(log(shares[id]) + 3.0);
}

static weir_sampler *make_sampler(struct weir_sampler_config config)
{
    struct weir_err err = {0};
    weir_sampler *sampler = NULL;
    if (config.top_p == 0.0f)
        config.top_p = 1.0f;
    if (config.repeat_penalty == 0.0f)
        config.repeat_penalty = 1.0f;
    if (weir_sampler_create(&sampler, &config, N_VOCAB, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return sampler;
}

static void draw(struct weir_sampler_config config, double found[N_VOCAB])
{
    float logits[N_VOCAB];
    weir_sampler *sampler = make_sampler(config);
    memset(found, 0, N_VOCAB * sizeof(*found));
    make_logits(logits);
    for (int turn = 0; turn < DRAWS; turn++)
        found[weir_sampler_pick(sampler, logits)] += 1.0 / DRAWS;
    weir_sampler_destroy(&sampler);
}

static void greedy_takes_the_largest_and_the_smaller_id_of_a_tie(void **state)
{
    (void)state;
    float logits[N_VOCAB];
    weir_sampler *sampler = make_sampler((struct weir_sampler_config){0});
    make_logits(logits);
    assert_int_equal(weir_sampler_pick(sampler, logits), 2);
    logits[6] = logits[2];
    assert_int_equal(weir_sampler_pick(sampler, logits), 2);
    logits[1] = logits[2];
    assert_int_equal(weir_sampler_pick(sampler, logits), 1);
    logits[0] = NAN;
    assert_int_equal(weir_sampler_pick(sampler, logits), 1);
    weir_sampler_destroy(&sampler);
}

static void sampling_follows_the_distribution(void **state)
{
    (void)state;
    double found[N_VOCAB];
    draw((struct weir_sampler_config){.temperature = 1.0f, .seed = 1}, found);
    for (int id = 0; id < N_VOCAB; id++)
        assert_true(fabs(found[id] - shares[id]) < 0.015);
    draw((struct weir_sampler_config){.temperature = 0.5f, .seed = 1}, found);
    double total = 0.0;
    for (int id = 0; id < N_VOCAB; id++)
        total += shares[id] * shares[id];
    for (int id = 0; id < N_VOCAB; id++)
        assert_true(fabs(found[id] - shares[id] * shares[id] / total) < 0.015);
}

static void filters_keep_what_they_name(void **state)
{
    (void)state;
    double found[N_VOCAB];
    draw((struct weir_sampler_config){.temperature = 1.0f, .top_k = 3, .seed = 2}, found);
    assert_true(fabs(found[2] - 0.4 / 0.75) < 0.015 && fabs(found[1] - 0.2 / 0.75) < 0.015);
    assert_true(found[5] == 0.0 && found[0] == 0.0);
    /* .4 + .2 < .7 <= .4 + .2 + .15: three stay */
    draw((struct weir_sampler_config){.temperature = 1.0f, .top_p = 0.7f, .seed = 3}, found);
    assert_true(found[4] > 0.0 && found[5] == 0.0);
    assert_true(fabs(found[2] - 0.4 / 0.75) < 0.015);
    /* at least .3 of the best: .4 .2 .15 stay */
    draw((struct weir_sampler_config){.temperature = 1.0f, .min_p = 0.3f, .seed = 4}, found);
    assert_true(found[4] > 0.0 && found[5] == 0.0);
    draw((struct weir_sampler_config){.temperature = 2.0f, .top_k = 1, .seed = 5}, found);
    assert_true(found[2] > 0.999);
}

static void the_penalty_pushes_recent_ids_down(void **state)
{
    (void)state;
    float logits[N_VOCAB];
    weir_sampler *sampler =
        make_sampler((struct weir_sampler_config){.repeat_penalty = 4.0f, .repeat_last = 2});
    make_logits(logits);
    assert_int_equal(weir_sampler_pick(sampler, logits), 2);
    assert_int_equal(weir_sampler_pick(sampler, logits), 1);
    assert_int_equal(weir_sampler_pick(sampler, logits), 4);
    /* 2 has left the window of two. */
    assert_int_equal(weir_sampler_pick(sampler, logits), 2);
    /* A negative logit is multiplied: it must fall, not rise. */
    for (int id = 0; id < N_VOCAB; id++)
        logits[id] = -1.0f - (float)id;
    weir_sampler_accept(sampler, 0);
    assert_int_equal(weir_sampler_pick(sampler, logits), 1);
    weir_sampler_destroy(&sampler);
}

static void one_seed_gives_one_text(void **state)
{
    (void)state;
    float logits[N_VOCAB];
    make_logits(logits);
    const struct weir_sampler_config config = {.temperature = 1.0f, .seed = 77};
    weir_sampler *left = make_sampler(config);
    weir_sampler *right = make_sampler(config);
    unsigned differing = 0;
    weir_sampler *other =
        make_sampler((struct weir_sampler_config){.temperature = 1.0f, .seed = 78});
    for (int turn = 0; turn < 200; turn++) {
        const uint32_t id = weir_sampler_pick(left, logits);
        assert_int_equal(id, weir_sampler_pick(right, logits));
        differing += id != weir_sampler_pick(other, logits);
    }
    assert_true(differing > 50);
    weir_sampler_destroy(&left);
    weir_sampler_destroy(&right);
    weir_sampler_destroy(&other);
}

static void bad_settings_are_named(void **state)
{
    (void)state;
    const struct weir_sampler_config bad[] = {
        {.temperature = -1.0f, .top_p = 1.0f, .repeat_penalty = 1.0f},
        {.temperature = NAN, .top_p = 1.0f, .repeat_penalty = 1.0f},
        {.top_p = 0.0f, .repeat_penalty = 1.0f},
        {.top_p = 1.5f, .repeat_penalty = 1.0f},
        {.top_p = 1.0f, .min_p = 2.0f, .repeat_penalty = 1.0f},
        {.top_p = 1.0f, .repeat_penalty = 0.0f},
    };
    for (size_t row = 0; row < sizeof(bad) / sizeof(bad[0]); row++) {
        struct weir_err err = {0};
        weir_sampler *sampler = NULL;
        assert_int_equal(weir_sampler_create(&sampler, &bad[row], N_VOCAB, &err), WEIR_ERR_ARG);
        assert_null(sampler);
        assert_non_null(strstr(err.text, "wanted"));
    }
}

static void picking_allocates_nothing(void **state)
{
    (void)state;
    float logits[N_VOCAB];
    make_logits(logits);
    weir_sampler *sampler =
        make_sampler((struct weir_sampler_config){.temperature = 0.8f, .top_p = 0.9f});
    const uint64_t calls = weir_heap_calls();
    for (int turn = 0; turn < 100; turn++)
        weir_sampler_pick(sampler, logits);
    assert_int_equal(weir_heap_calls(), calls);
    weir_sampler_destroy(&sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_takes_the_largest_and_the_smaller_id_of_a_tie),
        cmocka_unit_test(sampling_follows_the_distribution),
        cmocka_unit_test(filters_keep_what_they_name),
        cmocka_unit_test(the_penalty_pushes_recent_ids_down),
        cmocka_unit_test(one_seed_gives_one_text),
        cmocka_unit_test(bad_settings_are_named),
        cmocka_unit_test(picking_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
