/* lossy_test.c - which experts give way and which are left out, on one row of a toy. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model/model_internal.h"

enum { EXPERTS = 8, USED = 3 };

struct toy {
    struct weir_shape shape;
    struct weir_layer layer;
    struct weir_forward forward;
    float scores[EXPERTS], weights[USED];
    uint8_t marks[EXPERTS];
    bool dropped[USED];
    uint32_t ids[USED];
};

static void set_up(struct toy *toy, float skip_share, float margin)
{
    static const float scores[EXPERTS] = {0.30f, 0.05f, 0.20f, 0.19f, 0.10f, 0.08f, 0.05f, 0.03f};
    memset(toy, 0, sizeof(*toy));
    memcpy(toy->scores, scores, sizeof(scores));
    toy->shape.n_expert = EXPERTS;
    toy->layer.network.n_expert_used = USED;
    toy->layer.network.gating.kind = WEIR_GATING_SOFTMAX;
    toy->forward.shape = &toy->shape;
    toy->forward.step.layer = &toy->layer;
    toy->forward.config.skip_share = skip_share;
    toy->forward.config.resident_margin = margin;
    toy->forward.lossy = (struct weir_lossy){
        .dropped = toy->dropped, .marks = toy->marks, .is_marked = margin > 0.0f};
    toy->ids[0] = 0; /* the best three */
    toy->ids[1] = 2;
    toy->ids[2] = 3;
}

static void expect(struct toy *toy, uint32_t first, uint32_t second, uint32_t third)
{
    weir_lossy_prefer(&toy->forward, toy->scores, toy->scores, toy->ids);
    assert_int_equal(toy->ids[0], first);
    assert_int_equal(toy->ids[1], second);
    assert_int_equal(toy->ids[2], third);
}

static void what_is_near_enough_takes_the_place(void **state)
{
    (void)state;
    struct toy toy;
    set_up(&toy, 0.0f, 0.5f);
    toy.marks[4] = WEIR_RECORD_WHOLE; /* 0.10 for 0.19: more than half */
    toy.marks[5] = WEIR_RECORD_READING;
    expect(&toy, 0, 2, 4); /* 0.08 is less than half of 0.20 */
    set_up(&toy, 0.0f, 0.7f);
    toy.marks[4] = toy.marks[5] = WEIR_RECORD_WHOLE;
    expect(&toy, 0, 5, 4); /* the best one stays, though it is not there */
    set_up(&toy, 0.0f, 0.4f);
    toy.marks[4] = WEIR_RECORD_WHOLE;
    expect(&toy, 0, 2, 3);
    set_up(&toy, 0.0f, 0.9f);
    memset(toy.marks, WEIR_RECORD_WHOLE, sizeof(toy.marks)); /* all are there */
    expect(&toy, 0, 2, 3);
    set_up(&toy, 0.0f, 0.9f);
    toy.forward.lossy.is_marked = false;
    toy.marks[4] = WEIR_RECORD_WHOLE;
    expect(&toy, 0, 2, 3);
}

/* Scores that are logits: 1 - margin of the weight is so much less of the score. */
static void logits_are_compared_by_what_they_weigh(void **state)
{
    (void)state;
    struct toy toy;
    for (int is_near = 0; is_near < 2; is_near++) {
        set_up(&toy, 0.0f, 0.5f);
        toy.layer.network.gating.kind = WEIR_GATING_SOFTMAX_OF_CHOSEN;
        for (int id = 0; id < EXPERTS; id++)
            toy.scores[id] = -2.0f;
        toy.scores[0] = 3.0f;
        toy.scores[2] = 2.0f;
        toy.scores[3] = 1.0f;
        toy.scores[6] = 1.0f - logf(2.0f) + (is_near ? 0.01f : -0.01f);
        toy.marks[2] = toy.marks[6] = WEIR_RECORD_WHOLE;
        expect(&toy, 0, 2, is_near ? 6 : 3);
    }
}

static void what_weighs_little_is_left_out(void **state)
{
    (void)state;
    struct toy toy;
    set_up(&toy, 0.2f, 0.0f);
    toy.weights[0] = 0.3f;
    toy.weights[1] = 0.1f;
    toy.weights[2] = 0.2f;
    weir_lossy_drop(&toy.forward, 0, toy.weights);
    assert_true(!toy.dropped[0] && toy.dropped[1] && !toy.dropped[2]);
    assert_true(toy.weights[0] == 0.3f && weir_lossy_drops(&toy.forward, 1));
    toy.layer.network.gating.renormalizes = true;
    weir_lossy_drop(&toy.forward, 0, toy.weights);
    assert_true(fabsf(toy.weights[0] + toy.weights[2] - 0.6f) < 1e-6f);
    set_up(&toy, 0.9f, 0.0f); /* the best one stays */
    for (int rank = 0; rank < USED; rank++)
        toy.weights[rank] = 0.2f;
    weir_lossy_drop(&toy.forward, 0, toy.weights);
    assert_true(!toy.dropped[0] && toy.dropped[1] && toy.dropped[2]);
    set_up(&toy, 0.9f, 0.0f); /* what is not a number is kept, for others to find */
    toy.weights[0] = toy.weights[1] = toy.weights[2] = NAN;
    weir_lossy_drop(&toy.forward, 0, toy.weights);
    assert_true(!toy.dropped[0] && !toy.dropped[1] && !toy.dropped[2] && isnan(toy.weights[0]));
    set_up(&toy, 0.0f, 0.0f);
    toy.dropped[1] = true; /* of an earlier run: nothing is left out */
    assert_false(weir_lossy_drops(&toy.forward, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_near_enough_takes_the_place),
        cmocka_unit_test(logits_are_compared_by_what_they_weigh),
        cmocka_unit_test(what_weighs_little_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
