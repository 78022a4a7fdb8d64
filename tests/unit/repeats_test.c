/* repeats_test.c - the penalties and DRY against their definitions, on short random texts. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/heap.h"
#include "engine/repeats.h"

#include "pace.h"

enum { N_VOCAB = 5, TEXT_MAX = 40, SEEDS = 3000 };

struct text {
    uint32_t ids[TEXT_MAX];
    int length;
};

static void make_text(struct text *text, uint64_t *random_state)
{
    text->length = (int)(weir_random_next(random_state) % (TEXT_MAX + 1));
    for (int at = 0; at < text->length; at++)
        text->ids[at] = (uint32_t)(weir_random_next(random_state) % N_VOCAB);
}

/* The logits after steps 2 and 3. */
static void weigh(const struct weir_sampler_config *config, const struct text *text,
                  const double logits[N_VOCAB], double found[N_VOCAB])
{
    struct weir_repeats repeats;
    struct weir_candidate candidates[N_VOCAB];
    struct weir_err err = {0};
    assert_int_equal(weir_repeats_init(&repeats, config, N_VOCAB, &err), WEIR_OK);
    for (int at = 0; at < text->length; at++)
        weir_repeats_accept(&repeats, text->ids[at]);
    /* Twice: nothing of the first time may be left for the second. */
    for (int turn = 0; turn < 2; turn++) {
        for (uint32_t id = 0; id < N_VOCAB; id++)
            candidates[id] = (struct weir_candidate){.logit = (float)logits[id], .id = id};
        weir_repeats_apply(&repeats, candidates);
    }
    for (uint32_t id = 0; id < N_VOCAB; id++)
        found[id] = (double)candidates[id].logit;
    weir_repeats_deinit(&repeats);
}

static void compare(const double found[N_VOCAB], const double wanted[N_VOCAB])
{
    for (int id = 0; id < N_VOCAB; id++)
        if (!(fabs(found[id] - wanted[id]) <= 1e-5 * (1.0 + fabs(wanted[id]))))
            fail_msg("id %d: wanted %.9g, found %.9g", id, wanted[id], found[id]);
}

static void penalties_count_the_last_ids(void **state)
{
    uint64_t random_state = 1;
    struct text text;
    (void)state;
    for (int seed = 0; seed < SEEDS; seed++) {
        const double logits[N_VOCAB] = {2.0, -2.0, 0.25, -0.5, 1.0};
        const uint32_t last = 1 + seed % 9;
        const struct weir_sampler_config config = {
            .repeat_penalty = seed % 2 == 0 ? 0.0f : 1.5f,
            .frequency_penalty = seed % 3 == 0 ? 0.0f : 0.25f,
            .presence_penalty = seed % 5 == 0 ? 0.0f : -0.75f,
            .repeat_last = last,
        };
        double wanted[N_VOCAB], found[N_VOCAB];
        make_text(&text, &random_state);
        for (int id = 0; id < N_VOCAB; id++) {
            int times = 0;
            for (int at = 0; at < text.length; at++)
                times += text.ids[at] == (uint32_t)id && at + (int)last >= text.length;
            wanted[id] = logits[id];
            if (times > 0 && seed % 2 != 0)
                wanted[id] = wanted[id] > 0 ? wanted[id] / 1.5 : wanted[id] * 1.5;
            if (seed % 3 != 0)
                wanted[id] -= 0.25 * times;
            if (times > 0 && seed % 5 != 0)
                wanted[id] += 0.75;
        }
        weigh(&config, &text, logits, found);
        compare(found, wanted);
    }
}

/* Steps are counted by memory that cannot be touched: what is chosen looks at no id of the window,
 * and an id that is accepted at the place where it goes alone. */
static void a_pick_does_not_look_at_the_longest_window(void **state)
{
    enum { VOCAB = 100000, LAST = WEIR_REPEAT_LAST_MAX, BEYOND = 10 };
    const size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    const size_t ring_bytes = LAST * sizeof(uint32_t);
    const struct weir_sampler_config config = {.repeat_penalty = 2.0f, .repeat_last = LAST};
    struct weir_candidate *candidates = weir_heap_array(VOCAB, sizeof(*candidates));
    struct weir_repeats repeats;
    (void)state;
    uint8_t *ring =
        mmap(NULL, ring_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(ring != MAP_FAILED && candidates != NULL);
    assert_int_equal(weir_repeats_init(&repeats, &config, VOCAB, NULL), WEIR_OK);
    assert_int_equal(repeats.capacity, LAST);
    uint32_t *own = repeats.recent;
    repeats.recent = (uint32_t *)ring;
    for (uint32_t id = 0; id < LAST; id++)
        weir_repeats_accept(&repeats, id);
    assert_int_equal(mprotect(ring + page_bytes, ring_bytes - page_bytes, PROT_NONE), 0);
    for (uint32_t id = LAST; id < LAST + BEYOND; id++)
        weir_repeats_accept(&repeats, id);
    assert_int_equal(mprotect(ring, page_bytes, PROT_NONE), 0);
    for (uint32_t id = 0; id < VOCAB; id++)
        candidates[id] = (struct weir_candidate){.id = id, .logit = 1.0f};
    weir_repeats_apply(&repeats, candidates);
    for (uint32_t id = 0; id < VOCAB; id++) {
        const bool is_lately = id >= BEYOND && id < LAST + BEYOND;
        assert_true(candidates[id].logit == (is_lately ? 0.5f : 1.0f));
    }
    repeats.recent = own;
    weir_repeats_deinit(&repeats);
    weir_heap_free(candidates);
    munmap(ring, ring_bytes);
}

/* For every place where the text's last id was before: how far do the texts up to there and up to
 * the end agree, read backwards, without a breaker? */
static void judge_dry(const struct weir_sampler_config *config, const struct text *text,
                      double logits[N_VOCAB])
{
    const int begin =
        text->length > (int)config->dry_last ? text->length - (int)config->dry_last : 0;
    bool breaks[N_VOCAB] = {false};
    int longest[N_VOCAB] = {0};
    for (size_t index = 0; index < config->dry_breaker_count; index++)
        breaks[config->dry_breakers[index]] = true;
    for (int at = begin; at + 1 < text->length; at++) {
        int length = 0;
        while (at - length >= begin &&
               text->ids[at - length] == text->ids[text->length - 1 - length] &&
               !breaks[text->ids[at - length]])
            length++;
        const uint32_t next = text->ids[at + 1];
        if (!breaks[next] && length > longest[next])
            longest[next] = length;
    }
    for (int id = 0; id < N_VOCAB; id++)
        if (longest[id] >= (int)config->dry_allowed)
            logits[id] -= (double)config->dry_multiplier *
                          pow((double)config->dry_base, longest[id] - (int)config->dry_allowed);
}

static void dry_weighs_the_longest_repetition(void **state)
{
    static const uint32_t breakers[] = {4, 2};
    uint64_t random_state = 2;
    struct text text;
    (void)state;
    for (int seed = 0; seed < SEEDS; seed++) {
        const double logits[N_VOCAB] = {2.0, -2.0, 0.25, -0.5, 1.0};
        const struct weir_sampler_config config = {
            .dry_multiplier = 0.8f,
            .dry_base = 1.25f,
            .dry_allowed = 1 + seed % 3,
            .dry_last = 3 + seed % 50,
            .repeat_last = 1 + seed % 60,
            .dry_breakers = breakers,
            .dry_breaker_count = seed % 3,
        };
        double wanted[N_VOCAB], found[N_VOCAB];
        make_text(&text, &random_state);
        if (seed % 4 == 0) /* long repetitions */
            for (int at = 3; at < text.length; at++)
                text.ids[at] = text.ids[at - 3];
        memcpy(wanted, logits, sizeof(wanted));
        judge_dry(&config, &text, wanted);
        weigh(&config, &text, logits, found);
        compare(found, wanted);
    }
}

/* "a b c d a b": c would prolong a repetition of two. By hand. */
static void zeros_of_dry_are_the_usual_figures(void **state)
{
    const struct text text = {.ids = {0, 1, 2, 3, 0, 1}, .length = 6};
    const struct text longer = {.ids = {4, 0, 1, 2, 3, 4, 0, 1}, .length = 8};
    const double logits[N_VOCAB] = {0};
    double found[N_VOCAB];
    const struct weir_sampler_config config = {.dry_multiplier = 0.5f};
    (void)state;
    weigh(&config, &text, logits, found);
    compare(found, (double[N_VOCAB]){0, 0, -0.5, 0, 0});
    weigh(&config, &longer, logits, found);
    compare(found, (double[N_VOCAB]){0, 0, -0.5 * 1.75, 0, 0});
}

/* Comparing every two places of such a text would take hours. */
static void one_id_for_ever_costs_no_more_than_its_length(void **state)
{
    struct weir_repeats repeats;
    struct weir_candidate candidates[N_VOCAB];
    const struct weir_sampler_config config = {.dry_multiplier = 1.0f,
                                               .dry_last = WEIR_REPEAT_LAST_MAX};
    (void)state;
    assert_int_equal(weir_repeats_init(&repeats, &config, N_VOCAB, NULL), WEIR_OK);
    for (uint32_t at = 0; at < WEIR_REPEAT_LAST_MAX + 5; at++)
        weir_repeats_accept(&repeats, 3);
    const double start_s = pace_worked_s();
    for (int turn = 0; turn < 20; turn++) {
        memset(candidates, 0, sizeof(candidates));
        weir_repeats_apply(&repeats, candidates);
    }
    assert_true(pace_worked_s() - start_s < PACE_WORK_S_MAX);
    assert_true(isinf(candidates[3].logit) && candidates[3].logit < 0.0f);
    assert_true(candidates[2].logit == 0.0f);
    weir_repeats_deinit(&repeats);
}

/* Ids that the vocabulary has not (another model's text) are remembered and weigh nothing. */
static void strange_ids_do_no_harm(void **state)
{
    const struct text text = {.ids = {9, 1, 9, 1, 4000000000u, 2, 9, 1}, .length = 8};
    const double logits[N_VOCAB] = {0};
    double found[N_VOCAB];
    const struct weir_sampler_config config = {
        .dry_multiplier = 1.0f, .dry_allowed = 1, .presence_penalty = 1.0f, .repeat_last = 3};
    (void)state;
    weigh(&config, &text, logits, found);
    compare(found, (double[N_VOCAB]){0, -1, -1, 0, 0});
}

static void failed_allocations_leave_nothing(void **state)
{
    const struct weir_sampler_config config = {.dry_multiplier = 1.0f};
    struct weir_repeats repeats;
    const uint64_t bytes = weir_heap_bytes();
    (void)state;
    for (uint64_t call = 1; call <= 5; call++) {
        weir_heap_fail_at(call);
        assert_int_equal(weir_repeats_init(&repeats, &config, N_VOCAB, NULL), WEIR_ERR_NOMEM);
        weir_heap_fail_at(0);
        weir_repeats_deinit(&repeats);
        assert_true(weir_heap_bytes() == bytes);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(penalties_count_the_last_ids),
        cmocka_unit_test(a_pick_does_not_look_at_the_longest_window),
        cmocka_unit_test(dry_weighs_the_longest_repetition),
        cmocka_unit_test(zeros_of_dry_are_the_usual_figures),
        cmocka_unit_test(one_id_for_ever_costs_no_more_than_its_length),
        cmocka_unit_test(strange_ids_do_no_harm),
        cmocka_unit_test(failed_allocations_leave_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
