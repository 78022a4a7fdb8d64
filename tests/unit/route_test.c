/* route_test.c - experts are chosen and weighed by the equations; ties go to the lower id. */
#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "model/model_internal.h"

enum { EXPERTS = 12, USED = 3 };

static const float outputs[EXPERTS] = {0.3f,  -1.2f, 2.1f, 0.9f,  -0.4f, 1.7f,
                                       -2.5f, 0.1f,  1.1f, -0.9f, 0.6f,  1.4f};

/* A row of router outputs through one layer's gating. */
struct toy {
    struct weir_shape shape;
    struct weir_layer layer;
    struct weir_forward forward;
    struct weir_row row;
    struct weir_run run;
    struct weir_tensor tensor; /* that there is a bias */
    float bias[EXPERTS], router[EXPERTS], selection[EXPERTS], weights[USED];
    uint32_t chosen[USED];
};

static void set_up(struct toy *toy, struct weir_gating gating)
{
    *toy = (struct toy){.shape = {.n_expert = EXPERTS, .n_expert_used = USED}};
    toy->layer.network.n_expert_used = USED;
    toy->layer.network.gating = gating;
    toy->layer.network.gating.steepness = 1.0f;
    toy->layer.network.gating.n_group_best = 2;
    toy->forward.shape = &toy->shape;
    toy->forward.step.layer = &toy->layer;
    toy->forward.step.rows = &toy->row;
    toy->forward.step.runs = &toy->run;
    toy->forward.routing.router = toy->router;
    toy->forward.routing.selection = gating.n_group > 0 ? toy->selection : toy->router;
    toy->forward.routing.chosen = toy->chosen;
    toy->forward.routing.chosen_weight = toy->weights;
    memcpy(toy->router, outputs, sizeof(outputs));
}

static void give_bias(struct toy *toy)
{
    toy->layer.network.selection_bias =
        (struct weir_vector){.tensor = &toy->tensor, .cols = EXPERTS, .rows = 1, .data = toy->bias};
    toy->forward.routing.selection = toy->selection;
}

static void expect(struct toy *toy, const uint32_t ids[USED], const double weights[USED])
{
    weir_route_rows(&toy->forward, 0, 1);
    for (uint32_t rank = 0; rank < USED; rank++) {
        assert_int_equal(toy->chosen[rank], ids[rank]);
        assert_true(fabs((double)toy->weights[rank] - weights[rank]) < 1e-6);
    }
}

static double sigmoid(double x)
{
    return 1.0 / (1.0 + exp(-x));
}

static void each_gating_weighs_as_its_equation_says(void **state)
{
    static const uint32_t best[USED] = {2, 5, 11}; /* 2.1, 1.7, 1.4 */
    double x[USED];
    struct toy toy;
    double sum_all = 0.0;
    double sum_chosen = 0.0;
    (void)state;
    for (int id = 0; id < EXPERTS; id++)
        sum_all += exp((double)outputs[id]);
    for (int rank = 0; rank < USED; rank++) {
        x[rank] = (double)outputs[best[rank]];
        sum_chosen += exp(x[rank]);
    }
    double wanted[5][USED];
    for (int rank = 0; rank < USED; rank++) {
        wanted[WEIR_GATING_SOFTMAX][rank] = exp(x[rank]) / sum_all;
        wanted[WEIR_GATING_SIGMOID][rank] = sigmoid(x[rank]);
        wanted[WEIR_GATING_SOFTMAX_OF_CHOSEN][rank] = exp(x[rank]) / sum_chosen;
        wanted[WEIR_GATING_SQRT_SOFTPLUS][rank] = sqrt(log1p(exp(x[rank])));
        wanted[WEIR_GATING_SIGMOID_OF_CHOSEN][rank] = sigmoid(x[rank]);
    }
    for (int kind = 0; kind < 5; kind++) {
        double scaled[USED];
        double renormalized[USED];
        const double *plain = wanted[kind];
        for (int rank = 0; rank < USED; rank++) {
            scaled[rank] = 2.5 * plain[rank];
            renormalized[rank] = plain[rank] / (plain[0] + plain[1] + plain[2]);
        }
        struct weir_gating gating = {.kind = (enum weir_gating_kind)kind, .scale = 1.0f};
        set_up(&toy, gating);
        expect(&toy, best, plain);
        gating.scale = 2.5f;
        set_up(&toy, gating);
        expect(&toy, best, scaled);
        gating = (struct weir_gating){
            .kind = (enum weir_gating_kind)kind, .scale = 1.0f, .renormalizes = true};
        set_up(&toy, gating);
        expect(&toy, best, renormalized);
    }
}

static void a_bias_chooses_and_weighs_nothing(void **state)
{
    struct toy toy;
    (void)state;
    set_up(&toy, (struct weir_gating){.kind = WEIR_GATING_SIGMOID, .scale = 1.0f});
    give_bias(&toy);
    toy.bias[6] = 1.0f; /* the least likely */
    toy.bias[2] = -1.0f;
    expect(&toy, (uint32_t[]){5, 6, 11},
           (double[]){sigmoid((double)1.7f), sigmoid((double)-2.5f), sigmoid((double)1.4f)});
}

/* Groups of three: their two best are 2.4, 2.6, 1.2 and 2.0 together; by sigmoids alike. */
static void experts_are_chosen_from_the_best_groups(void **state)
{
    struct toy toy;
    (void)state;
    set_up(&toy, (struct weir_gating){.kind = WEIR_GATING_SOFTMAX_OF_CHOSEN,
                                      .scale = 1.0f,
                                      .n_group = 4,
                                      .n_group_used = 1});
    const double sum = exp((double)0.9f) + exp((double)-0.4f) + exp((double)1.7f);
    expect(&toy, (uint32_t[]){3, 4, 5},
           (double[]){exp((double)0.9f) / sum, exp((double)-0.4f) / sum, exp((double)1.7f) / sum});
    set_up(&toy, (struct weir_gating){
                     .kind = WEIR_GATING_SIGMOID, .scale = 1.0f, .n_group = 4, .n_group_used = 2});
    expect(&toy, (uint32_t[]){2, 3, 5},
           (double[]){sigmoid((double)2.1f), sigmoid((double)0.9f), sigmoid((double)1.7f)});
}

static void ties_go_to_the_lower_id(void **state)
{
    struct toy toy;
    (void)state;
    set_up(&toy, (struct weir_gating){.kind = WEIR_GATING_SIGMOID, .scale = 1.0f});
    for (int id = 0; id < EXPERTS; id++)
        toy.router[id] = 1.0f;
    expect(&toy, (uint32_t[]){0, 1, 2}, (double[]){sigmoid(1), sigmoid(1), sigmoid(1)});
    set_up(&toy, (struct weir_gating){
                     .kind = WEIR_GATING_SIGMOID, .scale = 1.0f, .n_group = 4, .n_group_used = 2});
    for (int id = 0; id < EXPERTS; id++)
        toy.router[id] = id < 3 ? 0.0f : 1.0f;
    expect(&toy, (uint32_t[]){3, 4, 5}, (double[]){sigmoid(1), sigmoid(1), sigmoid(1)});
}

static void weights_that_are_all_near_0_are_not_made_large(void **state)
{
    struct toy toy;
    (void)state;
    set_up(&toy,
           (struct weir_gating){.kind = WEIR_GATING_SIGMOID, .scale = 1.0f, .renormalizes = true});
    for (int id = 0; id < EXPERTS; id++)
        toy.router[id] = -20.0f;
    const double each = sigmoid(-20) / 6.103515625e-5;
    expect(&toy, (uint32_t[]){0, 1, 2}, (double[]){each, each, each});
}

static void what_is_not_finite_reaches_every_weight(void **state)
{
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    struct toy toy;
    (void)state;
    for (int kind = 0; kind < 5; kind++)
        for (int variant = 0; variant < 3; variant++) /* plain, with a bias, with groups */
            for (size_t row = 0; row < WEIR_COUNT(bad); row++)
                for (int id = 0; id < EXPERTS; id++) {
                    set_up(&toy, (struct weir_gating){.kind = (enum weir_gating_kind)kind,
                                                      .scale = 1.0f,
                                                      .n_group = variant == 2 ? 4 : 0,
                                                      .n_group_used = 2});
                    if (variant == 1)
                        give_bias(&toy);
                    toy.router[id] = bad[row];
                    weir_route_rows(&toy.forward, 0, 1);
                    for (uint32_t rank = 0; rank < USED; rank++) {
                        assert_false(isfinite(toy.weights[rank]));
                        assert_true(toy.chosen[rank] < EXPERTS);
                    }
                }
    set_up(&toy, (struct weir_gating){.kind = WEIR_GATING_SIGMOID, .scale = 1.0f});
    give_bias(&toy);
    toy.bias[6] = NAN;
    weir_route_rows(&toy.forward, 0, 1);
    assert_false(isfinite(toy.weights[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_gating_weighs_as_its_equation_says),
        cmocka_unit_test(a_bias_chooses_and_weighs_nothing),
        cmocka_unit_test(experts_are_chosen_from_the_best_groups),
        cmocka_unit_test(ties_go_to_the_lower_id),
        cmocka_unit_test(weights_that_are_all_near_0_are_not_made_large),
        cmocka_unit_test(what_is_not_finite_reaches_every_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
