/* lookahead.c - which experts the next layer will probably want, told to the store in time.
 *
 * By the gate (Fate, arXiv:2502.12224): the next layer's router on this layer's gate input; for the
 * first layer, on the token's embedding. By the residual stream: a guess is of no use while the
 * device is busy with what is needed now; when it is about to run out of that, most experts of this
 * layer are computed, and the next layer's router on the residual stream with their outputs added
 * knows more than Fate's guess does; where that names little that is not there, the layer after it
 * is asked too. By the path (EdgeMoE, arXiv:2308.14352; MoE-Infinity, arXiv:2401.14361): which
 * experts have followed the ones that this layer uses, counted while running; kept to compare the
 * gate with. Guesses decide what is read early, never what is computed. */
#include "model/model_internal.h"

#include <string.h>

enum {
    TABLE_ALIGN = 64,
    COUNT_MAX = UINT16_MAX,
    SAMPLE_TOKENS = 64, /* of a prompt: they use nearly all experts that the others use */
};

/* One token's state in every form that a router wants. */
static void layout_state(struct weir_forward *forward, struct weir_mem *mem)
{
    struct weir_lookahead *ahead = &forward->lookahead;
    const struct weir_model *model = forward->config.model;
    const size_t d_model = forward->shape->d_model;
    ahead->computed = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, forward->shape->n_expert, TABLE_ALIGN);
    ahead->state = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, d_model * sizeof(float), TABLE_ALIGN);
    ahead->normed = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, d_model * sizeof(float), TABLE_ALIGN);
    ahead->act = (struct weir_act_rows){.cols = d_model, .f32 = ahead->normed};
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        if (!weir_layer_has_experts(&model->layers[layer]))
            continue;
        const enum weir_act format =
            weir_forward_act(forward, &model->layers[layer].network.router);
        if (format == WEIR_ACT_F32 || ahead->act.row_bytes[format] > 0)
            continue;
        ahead->act.row_bytes[format] = weir_act_row_bytes(format, d_model);
        ahead->act.rows[format] =
            weir_mem_alloc(mem, WEIR_MEM_SCRATCH, ahead->act.row_bytes[format], TABLE_ALIGN);
    }
}

void weir_lookahead_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const struct weir_shape *shape = forward->shape;
    struct weir_lookahead *ahead = &forward->lookahead;
    const uint64_t n_expert = shape->n_expert;
    const uint64_t n_chosen = (uint64_t)forward->config.n_chunk * shape->n_expert_used;
    *ahead = (struct weir_lookahead){.layer = WEIR_LAYER_NONE};
    if (n_expert == 0 || forward->config.predictor == WEIR_PREDICT_NONE)
        return;
    ahead->scores = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, n_expert * sizeof(float), TABLE_ALIGN);
    ahead->ranked = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, n_expert * sizeof(uint32_t), TABLE_ALIGN);
    ahead->control =
        weir_mem_alloc(mem, WEIR_MEM_SCRATCH, n_expert * sizeof(uint32_t), TABLE_ALIGN);
    if (forward->config.predictor == WEIR_PREDICT_RESIDUAL)
        layout_state(forward, mem);
    if (forward->config.predictor != WEIR_PREDICT_PATH)
        return;
    ahead->before = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, n_chosen * sizeof(uint32_t), TABLE_ALIGN);
    ahead->followers =
        weir_mem_alloc(mem, WEIR_MEM_SCRATCH,
                       shape->n_layer * n_expert * n_expert * sizeof(uint16_t), TABLE_ALIGN);
}

/* The next layer with experts from `layer` on. */
static uint32_t find_layer(const struct weir_forward *forward, uint32_t layer)
{
    const struct weir_model *model = forward->config.model;
    for (; layer < model->shape.n_layer; layer++)
        if (weir_layer_has_experts(&model->layers[layer]))
            return layer;
    return WEIR_LAYER_NONE;
}

/* Probability that each token gives its likeliest experts, summed over the first n_token of act. */
static void score_by_router(struct weir_forward *forward, uint32_t layer,
                            const struct weir_act_rows *act, uint32_t n_token)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const uint32_t n_best = (uint32_t)weir_min(forward->lookahead.m, n_expert);
    float *scores = forward->lookahead.scores;
    uint32_t *best = forward->lookahead.ranked;
    struct weir_linear router = {
        .name = "look-ahead",
        .forward = forward,
        .act = act,
        .weight = {&forward->config.model->layers[layer].network.router},
        .y = {forward->router},
        .count = 1,
        .n_token = n_token,
    };
    weir_linear_run(&router);
    memset(scores, 0, n_expert * sizeof(*scores));
    for (uint32_t token = 0; token < n_token; token++) {
        float *probability = forward->router + (size_t)token * n_expert;
        weir_softmax(probability, n_expert);
        if (n_token == 1) {
            memcpy(scores, probability, n_expert * sizeof(*scores));
            return;
        }
        weir_rank(probability, n_expert, best, n_best);
        for (uint32_t rank = 0; rank < n_best; rank++)
            scores[best[rank]] += probability[best[rank]];
    }
}

static uint16_t *followers_of(const struct weir_forward *forward, uint32_t layer, uint32_t expert)
{
    const size_t n_expert = forward->shape->n_expert;
    return forward->lookahead.followers + (layer * n_expert + expert) * n_expert;
}

/* How often each expert of the layer followed the experts that the tokens use now. */
static void score_by_path(struct weir_forward *forward, uint32_t layer)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const size_t count = (size_t)forward->n_token * forward->shape->n_expert_used;
    float *scores = forward->lookahead.scores;
    memset(scores, 0, n_expert * sizeof(*scores));
    for (size_t index = 0; index < count; index++) {
        const uint16_t *followers = followers_of(forward, layer, forward->chosen[index]);
        for (uint32_t expert = 0; expert < n_expert; expert++)
            scores[expert] += (float)followers[expert];
    }
    memcpy(forward->lookahead.before, forward->chosen, count * sizeof(*forward->chosen));
}

static void count_follower(uint16_t *followers, uint32_t n_expert, uint32_t expert)
{
    if (followers[expert] == COUNT_MAX)
        for (uint32_t index = 0; index < n_expert; index++)
            followers[index] /= 2;
    followers[expert]++;
}

static void learn_path(struct weir_forward *forward)
{
    const uint32_t n_used = forward->shape->n_expert_used;
    for (size_t token = 0; token < forward->n_token; token++)
        for (uint32_t rank = 0; rank < n_used; rank++) {
            uint16_t *followers = followers_of(forward, forward->layer_index,
                                               forward->lookahead.before[token * n_used + rank]);
            for (uint32_t chosen = 0; chosen < n_used; chosen++)
                count_follower(followers, forward->shape->n_expert,
                               forward->chosen[token * n_used + chosen]);
        }
}

/* How many of the token's experts are among the first m ranked. */
static uint32_t count_found(const struct weir_forward *forward)
{
    uint32_t found = 0;
    for (uint32_t rank = 0; rank < weir_min(forward->lookahead.m, forward->lookahead.count); rank++)
        for (uint32_t chosen = 0; chosen < forward->shape->n_expert_used; chosen++)
            found += forward->lookahead.ranked[rank] == forward->chosen[chosen];
    return found;
}

void weir_lookahead_judge(struct weir_forward *forward)
{
    struct weir_lookahead *ahead = &forward->lookahead;
    const uint32_t n_expert = forward->shape->n_expert;
    if (ahead->layer != forward->layer_index)
        return;
    if (ahead->followers != NULL)
        learn_path(forward);
    ahead->layer = WEIR_LAYER_NONE;
    if (forward->n_token > 1 || ahead->count == 0)
        return;
    ahead->used_count += forward->shape->n_expert_used;
    ahead->found_count += count_found(forward);
    if (ahead->watch == NULL)
        return;
    weir_rank(forward->router, n_expert, ahead->control, n_expert);
    ahead->watch(ahead->watch_user, forward->layer_index, ahead->ranked, ahead->control, n_expert,
                 forward->chosen);
}

/* Rank what was scored, and let the store know. */
static void tell_store(struct weir_forward *forward, uint32_t layer)
{
    struct weir_lookahead *ahead = &forward->lookahead;
    const uint32_t n_expert = forward->shape->n_expert;
    const bool is_token = forward->n_token == 1;
    ahead->layer = layer;
    ahead->count = weir_rank(ahead->scores, n_expert, ahead->ranked, n_expert);
    while (ahead->count > 0 && ahead->scores[ahead->ranked[ahead->count - 1]] <= 0.0f)
        ahead->count--;
    weir_store_hint(forward->config.store, layer, ahead->ranked,
                    is_token ? (uint32_t)weir_min(ahead->m, ahead->count) : ahead->count,
                    !is_token);
}

/* Whether anything is to be guessed about the layer. */
static bool is_worthwhile(const struct weir_forward *forward, uint32_t layer)
{
    const struct weir_lookahead *ahead = &forward->lookahead;
    return layer != WEIR_LAYER_NONE && ahead->m > 0 &&
           (ahead->watch != NULL || !weir_store_is_whole(forward->config.store, layer));
}

void weir_lookahead_from(struct weir_forward *forward, uint32_t first)
{
    const uint32_t layer = find_layer(forward, first);
    const enum weir_predictor predictor = forward->config.predictor;
    if (!is_worthwhile(forward, layer) || (predictor == WEIR_PREDICT_PATH && first == 0))
        return;
    if (predictor == WEIR_PREDICT_RESIDUAL) {
        memset(forward->lookahead.computed, 0, forward->shape->n_expert);
        forward->lookahead.is_settled = forward->lookahead.is_further = false;
        if (forward->n_token == 1 && first > 0 && !weir_store_has_time(forward->config.store))
            return; /* a better guess is to come in time */
    }
    if (predictor == WEIR_PREDICT_PATH)
        score_by_path(forward, layer);
    else
        score_by_router(forward, layer, &forward->normed_act,
                        (uint32_t)weir_min(forward->n_token, SAMPLE_TOKENS));
    tell_store(forward, layer);
}

void weir_lookahead_computed(struct weir_forward *forward, uint32_t expert)
{
    if (forward->lookahead.computed != NULL)
        forward->lookahead.computed[expert] = 1;
}

/* state = residual stream, with what the token's experts have given so far. */
static void gather_state(struct weir_forward *forward, bool is_layer_over)
{
    const size_t d_model = forward->shape->d_model;
    float *state = forward->lookahead.state;
    memcpy(state, forward->residual, d_model * sizeof(*state));
    for (uint32_t rank = 0; rank < forward->shape->n_expert_used && !is_layer_over; rank++)
        if (forward->lookahead.computed[forward->chosen[rank]] != 0)
            forward->kernels->axpy(
                state, forward->expert_out + (size_t)forward->assignment_at[rank] * d_model,
                forward->chosen_weight[rank], d_model);
}

/* Scores of the layer's experts by its router on state. */
static void score_state(struct weir_forward *forward, uint32_t layer)
{
    struct weir_lookahead *ahead = &forward->lookahead;
    forward->kernels->rmsnorm(ahead->state, forward->config.model->layers[layer].network.norm.data,
                              ahead->normed, forward->shape->d_model, forward->shape->norm_epsilon);
    weir_act_fill(forward, &ahead->act, ahead->normed, 0, 1);
    score_by_router(forward, layer, &ahead->act, 1);
}

/* The next layer wants little that is not there: before the device stands still, the same state by
 * the router of the layer after it, or after `next`. */
static void look_further(struct weir_forward *forward, uint32_t next)
{
    struct weir_lookahead *ahead = &forward->lookahead;
    const uint32_t layer = find_layer(forward, next + 1);
    if (!is_worthwhile(forward, layer))
        return;
    score_state(forward, layer);
    const uint32_t count = weir_rank(ahead->scores, forward->shape->n_expert, ahead->control,
                                     (uint32_t)weir_min(ahead->m, forward->shape->n_expert));
    weir_store_hint(forward->config.store, layer, ahead->control, count, false);
    ahead->is_further = true;
}

void weir_lookahead_poll(struct weir_forward *forward)
{
    const struct weir_lookahead *ahead = &forward->lookahead;
    if (ahead->m == 0)
        return;
    weir_store_poll(forward->config.store);
    if (forward->n_token > 1 || !ahead->is_settled || ahead->is_further ||
        !weir_store_has_spare(forward->config.store))
        return;
    gather_state(forward, true);
    look_further(forward, forward->layer_index);
}

void weir_lookahead_again(struct weir_forward *forward, bool is_layer_over)
{
    struct weir_lookahead *ahead = &forward->lookahead;
    const uint32_t layer = find_layer(forward, forward->layer_index + 1);
    if (forward->config.predictor != WEIR_PREDICT_RESIDUAL || forward->n_token > 1 ||
        !is_worthwhile(forward, layer))
        return;
    /* While much is on its way the guess can wait, and become better. One is enough: the next would
     * know more, but a thread that guesses computes nothing. */
    if (ahead->is_settled || (!is_layer_over && !weir_store_has_time(forward->config.store)))
        return;
    gather_state(forward, is_layer_over);
    score_state(forward, layer);
    tell_store(forward, layer);
    ahead->is_settled = true;
    if (weir_store_has_spare(forward->config.store))
        look_further(forward, layer);
}

void weir_forward_look_ahead(weir_forward *forward, uint32_t m)
{
    WEIR_ASSERT(m == 0 || forward->config.predictor != WEIR_PREDICT_NONE);
    forward->lookahead.m = m;
}

void weir_forward_watch_guesses(weir_forward *forward, weir_forward_guess_fn *watch, void *user)
{
    forward->lookahead.watch = watch;
    forward->lookahead.watch_user = user;
}

void weir_forward_recall_get(const weir_forward *forward, uint64_t *used, uint64_t *found)
{
    *used = forward->lookahead.used_count;
    *found = forward->lookahead.found_count;
}
