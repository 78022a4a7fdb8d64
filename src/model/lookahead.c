/* lookahead.c - which experts the next layers will probably want, told to the store in time.
 *
 * The router of the next layer is asked what it would choose for the residual stream as it is now:
 * with the outputs of the running layer's experts as far as they are computed. So a guess gets
 * better the later it is made, and is made when the device is about to run out of reads, or when
 * the layer is over. Where the next layer has all it wants, the layer after it is asked too. The
 * idea of asking the next router early is Fate's (arXiv:2502.12224), which gives it the running
 * layer's gate input. Guesses decide what is read early, never what is computed. */
#include "model/lookahead.h"
#include "model/linear.h"

#include <string.h>

#include "base/heap.h"

enum {
    ROWS_DECODE = 16, /* of a step that decodes; more rows want nearly the same experts */
    ROWS_PROMPT = 64, /* of a prompt: they use nearly all experts that the others use */
};

/* The rows' state in every form that a router wants. */
static void layout_state(struct weir_forward *forward, struct weir_mem *mem)
{
    struct weir_lookahead *ahead = forward->lookahead;
    const size_t d_model = forward->shape->d_model;
    const unsigned formats =
        weir_input_formats(forward->config.model, forward->kernels, WEIR_INPUT_ROUTER);
    ahead->state = weir_take_floats(mem, ahead->row_max * d_model);
    ahead->normed = weir_take_floats(mem, ahead->row_max * d_model);
    weir_take_act(&ahead->act, mem, formats, ahead->row_max, d_model, false);
    ahead->act.f32 = ahead->normed;
}

enum weir_status weir_lookahead_create(struct weir_forward *forward, struct weir_mem *mem,
                                       struct weir_err *err)
{
    const uint64_t n_expert = forward->shape->n_expert;
    struct weir_lookahead plan = {.routed = WEIR_LAYER_NONE, .guessed = WEIR_LAYER_NONE};
    if (n_expert == 0 || forward->config.predictor == WEIR_PREDICT_NONE)
        return WEIR_OK;
    plan.row_max = (uint32_t)weir_min(ROWS_DECODE, forward->config.n_chunk);
    plan.scores = weir_take_floats(mem, n_expert);
    plan.ranked = weir_take_indices(mem, n_expert);
    plan.control = weir_take_indices(mem, n_expert);
    forward->lookahead = &plan;
    layout_state(forward, mem);
    weir_path_layout(forward, mem);
    forward->lookahead = NULL;
    if (mem->phase == WEIR_MEM_PLANNING)
        return WEIR_OK;
    forward->lookahead = weir_heap_alloc(sizeof(*forward->lookahead));
    if (forward->lookahead == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for look-ahead");
    *forward->lookahead = plan;
    return WEIR_OK;
}

void weir_lookahead_destroy(struct weir_forward *forward)
{
    weir_heap_free(forward->lookahead);
    forward->lookahead = NULL;
}

uint32_t weir_find_expert_layer(const struct weir_forward *forward, uint32_t layer)
{
    const struct weir_model *model = forward->config.model;
    for (; layer < model->shape.n_layer; layer++)
        if (weir_layer_has_experts(&model->layers[layer]))
            return layer;
    return WEIR_LAYER_NONE;
}

/* A row's router outputs in the order in which experts are chosen, above 0 and at most 1. */
static const float *odds_of(const struct weir_forward *forward, uint32_t layer, uint32_t row)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const struct weir_network *network = &forward->config.model->layers[layer].network;
    float *router = forward->routing.router + (size_t)row * n_expert;
    float *selection = forward->routing.selection + (size_t)row * n_expert;
    weir_route_select(network, n_expert, router, selection);
    if (selection != router || network->gating.kind != WEIR_GATING_SOFTMAX)
        weir_softmax(selection, n_expert);
    return selection;
}

void weir_lookahead_score(struct weir_forward *forward, uint32_t layer,
                          const struct weir_act_rows *act, uint32_t n_row)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_best = (uint32_t)weir_min(forward->lookahead->m, n_expert);
    float *scores = forward->lookahead->scores;
    uint32_t *best = forward->lookahead->ranked;
    struct weir_linear router = {
        .name = "look-ahead",
        .forward = forward,
        .act = act,
        .weight = {&forward->config.model->layers[layer].network.router},
        .y = {forward->routing.router},
        .count = 1,
        .n_row = n_row,
        .is_unmeasured = true,
    };
    weir_linear_run(&router);
    if (weir_prescribe_scores(forward, layer, n_row, scores))
        return;
    memset(scores, 0, n_expert * sizeof(*scores));
    for (uint32_t row = 0; row < n_row; row++) {
        const float *odds = odds_of(forward, layer, row);
        if (n_row == 1) {
            memcpy(scores, odds, n_expert * sizeof(*scores));
            return;
        }
        weir_rank(odds, n_expert, best, n_best);
        /* A row more counts more than all the rows' odds. */
        for (uint32_t rank = 0; rank < n_best; rank++)
            scores[best[rank]] += 1.0f + odds[best[rank]] / (float)n_row;
    }
}

/* What the guess watcher of a step's only row sees; NULL: nobody watches. */
static const struct weir_run *watched_run(const struct weir_forward *forward)
{
    const struct weir_run *run = &forward->step.runs[0];
    return forward->step.n_row == 1 && run->watch_guess != NULL ? run : NULL;
}

/* How many of the row's experts are among the first m ranked. */
static uint32_t count_found(const struct weir_forward *forward)
{
    const struct weir_lookahead *ahead = forward->lookahead;
    uint32_t found = 0;
    for (uint32_t rank = 0; rank < weir_min(ahead->m, ahead->count); rank++)
        for (uint32_t chosen = 0; chosen < forward->step.layer->network.n_expert_used; chosen++)
            found += ahead->ranked[rank] == forward->routing.chosen[chosen];
    return found;
}

void weir_lookahead_judge(struct weir_forward *forward)
{
    struct weir_lookahead *ahead = forward->lookahead;
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t layer = forward->step.layer_index;
    if (ahead == NULL)
        return;
    const bool was_guessed = ahead->guessed == layer;
    ahead->routed = layer;
    ahead->stage = WEIR_UNTOLD;
    ahead->guessed = WEIR_LAYER_NONE;
    if (!was_guessed)
        return;
    weir_path_learn(forward);
    if (forward->step.n_row > 1 || ahead->count == 0)
        return;
    ahead->used_count += forward->step.layer->network.n_expert_used;
    ahead->found_count += count_found(forward);
    const struct weir_run *run = watched_run(forward);
    if (run == NULL)
        return;
    weir_rank(forward->routing.selection, n_expert, ahead->control, n_expert);
    run->watch_guess(run->watch_guess_user, layer, ahead->ranked, ahead->control, n_expert,
                     forward->step.layer->network.n_expert_used, forward->routing.chosen);
}

/* Rank what was scored about the next layer, and tell the store. */
static void tell_store(struct weir_forward *forward, uint32_t layer)
{
    struct weir_lookahead *ahead = forward->lookahead;
    const uint32_t n_expert = forward->shape->n_expert;
    const uint64_t most = (uint64_t)ahead->m * forward->step.n_row;
    /* Enough rows to want nearly every expert: a few would have many read that nobody uses. */
    const bool is_sure = forward->step.has_prompt && most >= n_expert;
    ahead->guessed = layer;
    ahead->count = weir_rank(ahead->scores, n_expert, ahead->ranked, n_expert);
    while (ahead->count > 0 && ahead->scores[ahead->ranked[ahead->count - 1]] <= 0.0f)
        ahead->count--;
    weir_store_hint(forward->config.store, layer, ahead->ranked,
                    is_sure ? ahead->count : (uint32_t)weir_min(most, ahead->count), is_sure);
}

/* Whether anything is to be guessed about the layer. */
static bool is_worthwhile(const struct weir_forward *forward, uint32_t layer)
{
    return layer != WEIR_LAYER_NONE &&
           (watched_run(forward) != NULL || !weir_store_is_whole(forward->config.store, layer));
}

/* state = residual stream, with what the rows' experts have given so far: while the running layer's
 * outputs are not added yet. */
static uint32_t gather_state(struct weir_forward *forward)
{
    const struct weir_routing *routing = &forward->routing;
    const struct weir_lookahead *ahead = forward->lookahead;
    const size_t d_model = forward->shape->d_model;
    const uint32_t n_used = routing->is_pending ? forward->step.layer->network.n_expert_used : 0;
    const uint32_t n_row = (uint32_t)weir_min(forward->step.n_row, ahead->row_max);
    memcpy(ahead->state, forward->stream.residual, n_row * d_model * sizeof(float));
    for (uint32_t row = 0; row < n_row; row++)
        for (uint32_t index = row * n_used; index < (row + 1) * n_used; index++)
            if (routing->is_computed[routing->chosen[index]] && !weir_lossy_drops(forward, index))
                forward->kernels->axpy(ahead->state + row * d_model,
                                       routing->expert_out +
                                           (size_t)routing->assignment_at[index] * d_model,
                                       routing->chosen_weight[index], d_model);
    return n_row;
}

/* Scores of the layer's experts by its router on the state. */
static void score_state(struct weir_forward *forward, uint32_t layer)
{
    const struct weir_lookahead *ahead = forward->lookahead;
    const size_t d_model = forward->shape->d_model;
    const struct weir_vector *norm = weir_network_norm(&forward->config.model->layers[layer]);
    const uint32_t n_row = gather_state(forward);
    for (uint32_t row = 0; row < n_row; row++)
        weir_norm_row(forward, norm->data, ahead->state + row * d_model,
                      ahead->normed + row * d_model);
    weir_act_fill(forward, &forward->lookahead->act, ahead->normed, 0, n_row);
    weir_lookahead_score(forward, layer, &ahead->act, n_row);
}

/* About the next layer. */
static void guess(struct weir_forward *forward, uint32_t layer)
{
    const struct weir_routing *routing = &forward->routing;
    const bool is_prompt = forward->step.has_prompt;
    const enum weir_predictor predictor = forward->config.predictor;
    struct weir_lookahead *ahead = forward->lookahead;
    const bool can_wait = !is_prompt && predictor == WEIR_PREDICT_RESIDUAL;
    ahead->stage =
        can_wait && routing->is_pending && routing->n_computed == 0 ? WEIR_TOLD_EARLY : WEIR_TOLD;
    if (!is_worthwhile(forward, layer))
        return;
    if (predictor == WEIR_PREDICT_PATH)
        weir_path_score(forward, layer);
    else if (can_wait)
        score_state(forward, layer);
    else
        weir_lookahead_score(forward, layer, &forward->stream.normed_act,
                             (uint32_t)weir_min(forward->step.n_row, ROWS_PROMPT));
    tell_store(forward, layer);
}

/* The next layer wants little that is not there: before the device stands still, the layer after.
 */
static void guess_further(struct weir_forward *forward, uint32_t layer)
{
    struct weir_lookahead *ahead = forward->lookahead;
    const uint64_t most = (uint64_t)ahead->m * forward->step.n_row;
    ahead->stage = WEIR_TOLD_FURTHER;
    if (!is_worthwhile(forward, layer))
        return;
    score_state(forward, layer);
    const uint32_t count = weir_rank(ahead->scores, forward->shape->n_expert, ahead->control,
                                     (uint32_t)weir_min(most, forward->shape->n_expert));
    weir_store_hint(forward->config.store, layer, ahead->control, count, false);
}

void weir_lookahead_begin(struct weir_forward *forward)
{
    struct weir_lookahead *ahead = forward->lookahead;
    const uint32_t layer = weir_find_expert_layer(forward, 0);
    if (!weir_lookahead_is_on(forward))
        return;
    ahead->routed = ahead->guessed = WEIR_LAYER_NONE;
    ahead->stage = WEIR_TOLD;
    forward->routing.is_pending = false;
    if (!is_worthwhile(forward, layer) || forward->config.predictor == WEIR_PREDICT_PATH)
        return;
    score_state(forward, layer);
    tell_store(forward, layer);
}

void weir_lookahead_pause(struct weir_forward *forward, bool is_layer_over)
{
    struct weir_lookahead *ahead = forward->lookahead;
    weir_store *store = forward->config.store;
    if (!weir_lookahead_is_on(forward))
        return;
    weir_store_poll(store);
    const uint32_t next =
        weir_find_expert_layer(forward, ahead->routed == WEIR_LAYER_NONE ? 0 : ahead->routed + 1);
    /* What is known does not get better: a prompt's and a rival's guess are made at once. */
    const bool can_wait =
        !forward->step.has_prompt && forward->config.predictor == WEIR_PREDICT_RESIDUAL;
    if (next == WEIR_LAYER_NONE || ahead->stage == WEIR_TOLD_FURTHER)
        return;
    if (ahead->stage == WEIR_UNTOLD) {
        if (!can_wait || is_layer_over || weir_store_has_time(store))
            guess(forward, next);
    } else if (ahead->stage == WEIR_TOLD_EARLY && is_layer_over) {
        guess(forward, next);
    } else if (can_wait && weir_store_has_time(store)) {
        guess_further(forward, weir_find_expert_layer(forward, next + 1));
    }
}

bool weir_lookahead_is_on(const struct weir_forward *forward)
{
    return forward->lookahead != NULL && forward->lookahead->m > 0;
}

void weir_forward_look_ahead(weir_forward *forward, uint32_t m)
{
    WEIR_ASSERT(m == 0 || forward->lookahead != NULL);
    if (forward->lookahead != NULL)
        forward->lookahead->m = m;
}

void weir_forward_recall_get(const weir_forward *forward, uint64_t *used, uint64_t *found)
{
    *used = forward->lookahead == NULL ? 0 : forward->lookahead->used_count;
    *found = forward->lookahead == NULL ? 0 : forward->lookahead->found_count;
}
