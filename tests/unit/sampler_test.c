/* sampler_test.c - greedy, the filters, the penalty, the seed. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
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

static void biases_add_up_and_forbid(void **state)
{
    static const struct weir_logit_bias biases[] = {{2, -INFINITY}, {7, 1.0f}, {7, 1.5f}};
    (void)state;
    double found[N_VOCAB], wanted[N_VOCAB];
    double total = 0.0;
    draw(
        (struct weir_sampler_config){
            .temperature = 1.0f, .seed = 6, .biases = biases, .bias_count = 3},
        found);
    for (int id = 0; id < N_VOCAB; id++) {
        wanted[id] = id == 2 ? 0.0 : shares[id] * (id == 7 ? exp(2.5) : 1.0);
        total += wanted[id];
    }
    for (int id = 0; id < N_VOCAB; id++)
        assert_true(fabs(found[id] - wanted[id] / total) < 0.015);
    assert_true(found[2] == 0.0);
}

/* What is left where the steps follow each other as weir.h says, computed outside; with any two
 * neighbours in the other order one of the rows would leave something else. */
static void the_steps_follow_each_other_as_the_header_says(void **state)
{
    static const struct weir_logit_bias bias = {6, 2.5f};
    static const struct {
        float logits[N_VOCAB];
        struct weir_sampler_config config;
        double wanted[N_VOCAB];
    } rows[] = {
        {{0.07f, 0.84f, 0.89f, 2.0f, 0.65f, 0.98f, 0.0f, 0.44f},
         {.temperature = 1.0f,
          .biases = &bias,
          .bias_count = 1,
          .repeat_penalty = 1.5f,
          .dry_multiplier = 1.5f,
          .dry_allowed = 1,
          .top_k = 6,
          .typical_p = 0.5f,
          .top_p = 0.6f,
          .min_p = 0.3f,
          .xtc_probability = 1.0f,
          .xtc_threshold = 0.25f},
         {[2] = 0.247871, [3] = 0.752129}},
        {{-0.693147f, -1.203973f, -2.302585f, -2.302585f, -99, -99, -99, -99},
         {.temperature = 1.0f, .min_p = 0.25f, .xtc_probability = 1.0f, .xtc_threshold = 0.25f},
         {[1] = 1.0}},
    };
    (void)state;
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++) {
        double found[N_VOCAB] = {0};
        for (uint64_t seed = 0; seed < DRAWS; seed++) {
            struct weir_sampler_config config = rows[row].config;
            config.seed = seed;
            weir_sampler *sampler = make_sampler(config);
            weir_sampler_accept(sampler, 5);
            weir_sampler_accept(sampler, 6);
            weir_sampler_accept(sampler, 5); /* 6 would prolong a repetition of one */
            found[weir_sampler_pick(sampler, rows[row].logits)] += 1.0 / DRAWS;
            weir_sampler_destroy(&sampler);
        }
        for (int id = 0; id < N_VOCAB; id++)
            if (fabs(found[id] - rows[row].wanted[id]) > 0.015)
                fail_msg("row %zu, id %d: %g, wanted %g", row, id, found[id], rows[row].wanted[id]);
    }
}

static void the_likeliest_of_what_xtc_leaves_is_taken_at_temperature_0(void **state)
{
    const struct weir_sampler_config config = {.xtc_probability = 1.0f, .xtc_threshold = 0.12f};
    (void)state;
    float logits[N_VOCAB];
    weir_sampler *sampler = make_sampler(config);
    make_logits(logits);
    /* .4 .2 .15 have as much as .12. */
    for (int turn = 0; turn < 10; turn++)
        assert_int_equal(weir_sampler_pick(sampler, logits), 4);
    weir_sampler_destroy(&sampler);
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
    static const uint32_t strange_id = N_VOCAB;
    static const struct weir_logit_bias strange_biases[] = {{N_VOCAB, 1.0f}, {1, INFINITY}};
    (void)state;
    static const struct {
        struct weir_sampler_config config;
        const char *words;
    } bad[] = {
        {{.temperature = -1.0f}, "temperature: wanted 0 to 100, found -1"},
        {{.temperature = NAN}, "temperature: wanted 0 to 100, found nan"},
        {{.temperature = 100.5f}, "temperature: wanted 0 to 100, found 100.5"},
        {{.top_p = -0.5f}, "top-p: wanted 0 to 1, found -0.5"},
        {{.top_p = 1.5f}, "top-p: wanted 0 to 1, found 1.5"},
        {{.min_p = 2.0f}, "min-p: wanted 0 to 1, found 2"},
        {{.min_p = NAN}, "min-p: wanted 0 to 1, found nan"},
        {{.repeat_penalty = -1.0f}, "repetition penalty: wanted 0 to 100, found -1"},
        {{.repeat_penalty = INFINITY}, "repetition penalty: wanted 0 to 100, found inf"},
        {{.repeat_last = WEIR_REPEAT_LAST_MAX + 1}, "wanted at most 65536 ids, found 65537"},
        {{.typical_p = 1.5f}, "typical share: wanted 0 to 1, found 1.5"},
        {{.xtc_probability = -0.5f}, "XTC probability: wanted 0 to 1, found -0.5"},
        {{.xtc_threshold = 0.75f}, "XTC threshold: wanted 0 to 0.5, found 0.75"},
        {{.frequency_penalty = 101.0f}, "frequency penalty: wanted -100 to 100, found 101"},
        {{.presence_penalty = -INFINITY}, "presence penalty: wanted -100 to 100, found -inf"},
        {{.dry_multiplier = NAN}, "DRY multiplier: wanted 0 to 100, found nan"},
        {{.dry_base = 0.5f}, "DRY base: wanted 1 to 100, found 0.5"},
        {{.dry_last = WEIR_REPEAT_LAST_MAX + 1}, "DRY window: wanted at most 65536 ids"},
        {{.dry_allowed = WEIR_REPEAT_LAST_MAX + 1}, "DRY allowed length: wanted at most 65536"},
        {{.dry_breaker_count = 1}, "config->dry_breakers: wanted a pointer, found NULL"},
        {{.dry_breakers = &strange_id, .dry_breaker_count = 1},
         "DRY breaker 1: wanted an id below 8, found 8"},
        {{.bias_count = 1}, "config->biases: wanted a pointer, found NULL"},
        {{.biases = strange_biases, .bias_count = 1},
         "logit bias 1: wanted an id below 8, found 8"},
        {{.biases = &strange_biases[1], .bias_count = 1},
         "logit bias 1: wanted a finite number or -inf, found inf"},
    };
    struct weir_err err = {0};
    weir_sampler *sampler = NULL;
    for (size_t row = 0; row < sizeof(bad) / sizeof(bad[0]); row++) {
        err = (struct weir_err){0};
        assert_int_equal(weir_sampler_create(&sampler, &bad[row].config, N_VOCAB, &err),
                         WEIR_ERR_ARG);
        assert_null(sampler);
        if (strstr(err.text, bad[row].words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", err.text, bad[row].words);
    }
    const struct weir_sampler_config zeros = {0};
    assert_int_equal(weir_sampler_create(&sampler, &zeros, 0, &err), WEIR_ERR_ARG);
    assert_null(sampler);
}

static void zeros_choose_as_if_nothing_was_asked(void **state)
{
    (void)state;
    float logits[N_VOCAB];
    double found[N_VOCAB];
    make_logits(logits);
    weir_sampler *sampler = make_sampler((struct weir_sampler_config){0});
    for (int turn = 0; turn < 100; turn++)
        assert_int_equal(weir_sampler_pick(sampler, logits), 2);
    weir_sampler_destroy(&sampler);
    /* Only a temperature: the plain distribution, and no share cuts it. */
    draw((struct weir_sampler_config){.temperature = 1.0f, .seed = 9}, found);
    for (int id = 0; id < N_VOCAB; id++)
        assert_true(fabs(found[id] - shares[id]) < 0.015);
    /* The smallest share that is none keeps the best. */
    draw((struct weir_sampler_config){.temperature = 1.0f, .top_p = FLT_MIN, .seed = 9}, found);
    assert_true(found[2] > 0.999);
}

/* One pick against the rule by its words, with ids that repeat, and logits of every kind. */
static void an_id_is_penalized_once_however_often_it_was_there(void **state)
{
    static const float kinds[] = {2.0f, -2.0f, 0.0f, -0.0f, 1e-45f, INFINITY, -INFINITY, NAN};
    static const float penalties[] = {1.5f, 0.5f, 100.0f};
    (void)state;
    for (size_t row = 0; row < sizeof(penalties) / sizeof(penalties[0]); row++)
        for (uint32_t seed = 0; seed < 200; seed++) {
            float logits[N_VOCAB];
            float wanted[N_VOCAB];
            uint64_t random_state = seed;
            weir_sampler *sampler =
                make_sampler((struct weir_sampler_config){.repeat_penalty = penalties[row]});
            for (uint32_t id = 0; id < N_VOCAB; id++)
                wanted[id] = logits[id] =
                    seed % 2 == 0 ? kinds[weir_random_next(&random_state) % 8] : (float)id - 4.0f;
            for (uint32_t id = 0; id < N_VOCAB; id++) {
                const uint64_t times = weir_random_next(&random_state) % 4;
                for (uint64_t turn = 0; turn < times; turn++)
                    weir_sampler_accept(sampler, id);
                if (times > 0)
                    wanted[id] = wanted[id] > 0.0f ? wanted[id] / penalties[row]
                                                   : wanted[id] * penalties[row];
            }
            uint32_t best = 0;
            for (uint32_t id = 1; id < N_VOCAB; id++)
                if (wanted[id] > wanted[best] || (isnan(wanted[best]) && wanted[id] > -INFINITY))
                    best = id;
            assert_int_equal(weir_sampler_pick(sampler, logits), best);
            weir_sampler_destroy(&sampler);
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
        cmocka_unit_test(biases_add_up_and_forbid),
        cmocka_unit_test(the_steps_follow_each_other_as_the_header_says),
        cmocka_unit_test(the_likeliest_of_what_xtc_leaves_is_taken_at_temperature_0),
        cmocka_unit_test(the_penalty_pushes_recent_ids_down),
        cmocka_unit_test(one_seed_gives_one_text),
        cmocka_unit_test(bad_settings_are_named),
        cmocka_unit_test(zeros_choose_as_if_nothing_was_asked),
        cmocka_unit_test(an_id_is_penalized_once_however_often_it_was_there),
        cmocka_unit_test(picking_allocates_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
