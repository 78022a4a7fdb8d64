/* ranking_test.c - each filter and the draw against its definition, on small distributions. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/ranking.h"

enum { N = 12, SEEDS = 400 };

/* What is tested, and its judge: the same candidates sorted at once, every share computed from its
 * definition each time. */
struct subject {
    struct weir_candidate slots[N];
    struct weir_ranking ranking;
    uint32_t ids[N]; /* by falling logit, ties by id */
    double logits[N];
    uint32_t first, count;
};

static void begin(struct subject *subject, const float logits[N])
{
    bool is_taken[N] = {false};
    *subject = (struct subject){.count = N};
    for (int rank = 0; rank < N; rank++) {
        int best = -1;
        for (int id = 0; id < N; id++)
            if (!is_taken[id] && (best < 0 || logits[id] > logits[best]))
                best = id;
        is_taken[best] = true;
        subject->ids[rank] = (uint32_t)best;
        subject->logits[rank] = (double)logits[best];
        subject->slots[rank] = (struct weir_candidate){.logit = logits[rank], .id = (uint32_t)rank};
    }
    weir_ranking_init(&subject->ranking, subject->slots, N);
}

/* Whole eighths make ties common; the typical filter may take either of two that are tied. */
static void begin_random(struct subject *subject, bool has_ties, uint64_t *random_state)
{
    float logits[N];
    for (int id = 0; id < N; id++)
        logits[id] = has_ties ? (float)(weir_random_next(random_state) % 40) / 8.0f - 2.5f
                              : (float)(weir_random_unit(random_state) * 5.0 - 2.5);
    begin(subject, logits);
}

static double share(const struct subject *subject, uint32_t rank)
{
    double total = 0.0;
    for (uint32_t at = subject->first; at < subject->first + subject->count; at++)
        total += exp(subject->logits[at]);
    return exp(subject->logits[rank]) / total;
}

/* ---- the definitions ----------------------------------------------------------------------- */

static void judge_top_k(struct subject *subject, double k)
{
    if (k > 0 && k < subject->count)
        subject->count = (uint32_t)k;
}

/* The smallest number of the likeliest ids whose shares reach p. */
static void judge_top_p(struct subject *subject, double p)
{
    for (uint32_t count = 1; count < subject->count; count++) {
        double sum = 0.0;
        for (uint32_t at = 0; at < count; at++)
            sum += share(subject, subject->first + at);
        if (sum >= p) {
            subject->count = count;
            return;
        }
    }
}

static void judge_min_p(struct subject *subject, double p)
{
    uint32_t count = 0;
    for (uint32_t at = 0; at < subject->count; at++)
        count += share(subject, subject->first + at) >= p * share(subject, subject->first);
    subject->count = count;
}

/* Ids by |-log p - H|, as many as reach the share. */
static void judge_typical(struct subject *subject, double p)
{
    bool stays[N] = {false};
    double mean = 0.0, sum = 0.0;
    const uint32_t end = subject->first + subject->count;
    uint32_t first = N, count = 0;
    for (uint32_t at = subject->first; at < end; at++)
        mean -= share(subject, at) * log(share(subject, at));
    while (sum < p && count < subject->count) {
        uint32_t nearest = N;
        double least = (double)INFINITY;
        for (uint32_t at = subject->first; at < end; at++) {
            const double distance = fabs(-log(share(subject, at)) - mean);
            if (!stays[at] && distance < least - 1e-9) {
                nearest = at;
                least = distance;
            }
        }
        stays[nearest] = true;
        sum += share(subject, nearest);
        first = nearest < first ? nearest : first;
        count++;
    }
    subject->first = first;
    subject->count = count;
}

/* An id goes when the next one still has the share. */
static void judge_xtc(struct subject *subject, double threshold)
{
    uint32_t dropped = 0;
    for (uint32_t at = 0; at + 1 < subject->count; at++)
        dropped += share(subject, subject->first + at + 1) >= threshold;
    subject->first += dropped;
    subject->count -= dropped;
}

/* ---- both ---------------------------------------------------------------------------------- */

enum filter { TOP_K, TYPICAL, TOP_P, MIN_P, XTC, FILTER_COUNT };

static const char *const names[] = {"top-k", "typical", "top-p", "min-p", "XTC"};
/* Shares that no sum of these distributions meets exactly. */
static const double settings[FILTER_COUNT][5] = {
    [TOP_K] = {1, 2, 5, 11, 40},
    [TYPICAL] = {0.0501, 0.2003, 0.5007, 0.9001, 0.9903},
    [TOP_P] = {0.0501, 0.2003, 0.5007, 0.9001, 0.9903},
    [MIN_P] = {0.0101, 0.0503, 0.2003, 0.7001, 0.9999},
    [XTC] = {0.0101, 0.0503, 0.1003, 0.2001, 0.4003},
};

static void apply(struct subject *subject, enum filter filter, double setting)
{
    switch (filter) {
    case TOP_K:
        weir_ranking_top_k(&subject->ranking, (uint32_t)setting);
        judge_top_k(subject, setting);
        break;
    case TYPICAL:
        weir_ranking_typical(&subject->ranking, setting);
        judge_typical(subject, setting);
        break;
    case TOP_P:
        weir_ranking_top_p(&subject->ranking, setting);
        judge_top_p(subject, setting);
        break;
    case MIN_P:
        weir_ranking_min_p(&subject->ranking, setting);
        judge_min_p(subject, setting);
        break;
    default:
        weir_ranking_xtc(&subject->ranking, setting);
        judge_xtc(subject, setting);
        break;
    }
}

static void compare(struct subject *subject, const char *what, double setting)
{
    struct weir_ranking *ranking = &subject->ranking;
    if (ranking->first != subject->first || ranking->count != subject->count)
        fail_msg("%s %g: from rank %u on %u stay, wanted from %u on %u", what, setting,
                 ranking->first, ranking->count, subject->first, subject->count);
    for (uint32_t rank = subject->first; rank < subject->first + subject->count; rank++)
        assert_int_equal(weir_ranking_at(ranking, rank).id, subject->ids[rank]);
}

static void a_filter_leaves_what_its_definition_leaves(void **state)
{
    struct subject subject;
    uint64_t random_state = 1;
    (void)state;
    for (int seed = 0; seed < SEEDS; seed++)
        for (enum filter filter = 0; filter < FILTER_COUNT; filter++)
            for (int row = 0; row < 5; row++) {
                begin_random(&subject, filter != TYPICAL && row % 2 == 0, &random_state);
                apply(&subject, filter, settings[filter][row]);
                compare(&subject, names[filter], settings[filter][row]);
            }
}

static void a_filter_sees_what_the_ones_before_have_left(void **state)
{
    struct subject subject;
    uint64_t random_state = 2;
    (void)state;
    for (int seed = 0; seed < SEEDS * 10; seed++) {
        begin_random(&subject, false, &random_state);
        for (int turn = 0; turn < 4; turn++) {
            const enum filter filter = weir_random_next(&random_state) % FILTER_COUNT;
            const double setting = settings[filter][weir_random_next(&random_state) % 5];
            apply(&subject, filter, setting);
            compare(&subject, names[filter], setting);
        }
    }
}

static void what_is_off_changes_nothing(void **state)
{
    struct subject subject;
    uint64_t random_state = 3;
    (void)state;
    begin_random(&subject, false, &random_state);
    weir_ranking_top_k(&subject.ranking, 0);
    weir_ranking_typical(&subject.ranking, 0.0);
    weir_ranking_typical(&subject.ranking, 1.0);
    weir_ranking_top_p(&subject.ranking, 0.0);
    weir_ranking_top_p(&subject.ranking, 1.0);
    weir_ranking_min_p(&subject.ranking, 0.0);
    compare(&subject, "off", 0.0);
}

/* Some are near the best, most are not, some are no numbers; whoever asks gets them in order. */
static void the_order_holds_near_and_far(void **state)
{
    enum { MANY = 100 };
    struct weir_candidate slots[MANY];
    struct weir_ranking ranking;
    uint64_t random_state = 5;
    (void)state;
    for (int seed = 0; seed < SEEDS; seed++) {
        const double range = (seed % 4) * 30.0;
        for (uint32_t id = 0; id < MANY; id++) {
            const bool is_odd = weir_random_next(&random_state) % 8 == 0;
            const float odd = id % 3 == 0 ? NAN : id % 3 == 1 ? -INFINITY : 7.0f;
            const float logit = (float)(weir_random_unit(&random_state) * range);
            slots[id] = (struct weir_candidate){.logit = is_odd ? odd : logit, .id = id};
        }
        weir_ranking_init(&ranking, slots, MANY);
        weir_ranking_top_k(&ranking, (uint32_t)(seed % MANY));
        bool is_seen[MANY] = {false};
        struct weir_candidate before = weir_ranking_at(&ranking, 0);
        for (uint32_t rank = 0; rank < MANY; rank++) {
            const struct weir_candidate at = weir_ranking_at(&ranking, rank);
            assert_true(rank == 0 || weir_candidate_before(before, at));
            assert_false(is_seen[at.id]);
            is_seen[at.id] = true;
            before = at;
        }
    }
}

/* A number in [0, 1) falls on the id whose part of the sum of shares holds it. */
static void a_draw_divides_the_line_by_shares(void **state)
{
    static const double temperatures[] = {0.3, 1.0, 2.5};
    struct subject subject;
    uint64_t random_state = 4;
    (void)state;
    for (int seed = 0; seed < SEEDS; seed++) {
        const double temperature = temperatures[seed % 3];
        begin_random(&subject, false, &random_state);
        apply(&subject, XTC, settings[XTC][seed % 5]);
        apply(&subject, TOP_K, 7);
        double total = 0.0, below = 0.0;
        for (uint32_t at = subject.first; at < subject.first + subject.count; at++)
            total += exp(subject.logits[at] / temperature);
        for (uint32_t at = subject.first; at < subject.first + subject.count; at++) {
            const double above = below + exp(subject.logits[at] / temperature) / total;
            const uint32_t id = subject.ids[at];
            assert_int_equal(weir_ranking_draw(&subject.ranking, temperature, below + 1e-9), id);
            assert_int_equal(weir_ranking_draw(&subject.ranking, temperature, above - 1e-9), id);
            below = above;
        }
    }
}

static void what_has_no_share_is_never_drawn(void **state)
{
    static const struct {
        float logits[N];
        uint32_t wanted;
    } rows[] = {
        {{-INFINITY, -INFINITY, 1.0f, NAN, -INFINITY, NAN, -INFINITY, NAN, NAN, NAN, NAN, NAN}, 2},
        {{NAN, 3.0f, INFINITY, 1, 2, 3, 4, 5, 6, 7, 8, 9}, 2},
    };
    static const double last = 1.0 - 0x1p-53;
    struct subject subject;
    (void)state;
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        begin(&subject, rows[row].logits);
        for (int step = 0; step < 20; step++)
            assert_int_equal(weir_ranking_draw(&subject.ranking, 1.0, step / 20.0),
                             rows[row].wanted);
        assert_int_equal(weir_ranking_draw(&subject.ranking, 1.0, last), rows[row].wanted);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_filter_leaves_what_its_definition_leaves),
        cmocka_unit_test(a_filter_sees_what_the_ones_before_have_left),
        cmocka_unit_test(what_is_off_changes_nothing),
        cmocka_unit_test(the_order_holds_near_and_far),
        cmocka_unit_test(a_draw_divides_the_line_by_shares),
        cmocka_unit_test(what_has_no_share_is_never_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
