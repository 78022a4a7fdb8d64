/* session.c - one sequence of positions over an engine. */
#include "engine/engine_internal.h"

#include <string.h>

#include "base/heap.h"

struct weir_session {
    struct weir_engine *engine; /* borrowed */
    uint32_t position;
    weir_routing_fn *watch;
    void *watch_user;
    weir_guess_fn *watch_guess;
    void *watch_guess_user;
    const float *logits; /* of the last position; borrowed from the forward pass */
    _Atomic bool cancel; /* set from anywhere, cleared by the eval that it stops */
};

enum weir_status weir_session_create(weir_session **out, weir_engine *engine, struct weir_err *err)
{
    if (engine->has_session)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "this engine has a session already; destroy it first");
    weir_session *session = weir_heap_alloc(sizeof(*session));
    if (session == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a session");
    session->engine = engine;
    engine->has_session = true;
    *out = session;
    return WEIR_OK;
}

void weir_session_destroy(weir_session **session)
{
    if (*session == NULL)
        return;
    (*session)->engine->has_session = false;
    weir_session_watch_routing(*session, NULL, NULL);
    weir_session_watch_guesses(*session, NULL, NULL);
    weir_heap_free(*session);
    *session = NULL;
}

static enum weir_status check_ids(const weir_session *session, const uint32_t *ids, size_t count,
                                  struct weir_err *err)
{
    const uint32_t n_vocab = session->engine->blueprint.model->shape.n_vocab;
    const uint32_t n_ctx = session->engine->choice.n_ctx;
    if (count == 0)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "no tokens to evaluate");
    if (count > n_ctx - session->position)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "the context holds %u positions: %u are used and %zu more are asked for "
                         "(a larger --ctx needs more memory)",
                         n_ctx, session->position, count);
    for (size_t index = 0; index < count; index++)
        if (ids[index] >= n_vocab)
            return WEIR_FAIL(err, WEIR_ERR_ARG, "token %zu is %u, the vocabulary has %u", index,
                             ids[index], n_vocab);
    return WEIR_OK;
}

/* Logits of every token of the chunk just computed, a few rows at a time. */
static enum weir_status tell_logits(weir_session *session, uint32_t n_token, weir_logits_fn *each,
                                    void *user, struct weir_err *err)
{
    weir_forward *forward = session->engine->forward;
    const uint32_t n_vocab = session->engine->blueprint.model->shape.n_vocab;
    const uint32_t rows_max =
        (uint32_t)weir_min(WEIR_LOGIT_ROWS_MAX, session->engine->choice.n_chunk);
    for (uint32_t first = 0; first < n_token; first += rows_max) {
        const uint32_t rows = (uint32_t)weir_min(rows_max, n_token - first);
        const float *logits = weir_forward_logits(forward, first, rows);
        session->logits = logits + (size_t)(rows - 1) * n_vocab;
        for (uint32_t row = 0; row < rows; row++) {
            WEIR_TRY(weir_logits_check(session->engine->blueprint.model,
                                       logits + (size_t)row * n_vocab,
                                       session->position + first + row, err));
            if (!each(user, session->position + first + row, logits + (size_t)row * n_vocab))
                return WEIR_FAIL(err, WEIR_ERR_CANCELLED, "stopped at position %u",
                                 session->position + first + row);
        }
    }
    return WEIR_OK;
}

/* A chunk has every use for the next layer's experts; a token may or may not. */
static void choose_lookahead(const weir_session *session, uint32_t n_token)
{
    const weir_engine *engine = session->engine;
    const bool may_guess = engine->choice.predictor != WEIR_PREDICT_NONE && engine->store != NULL;
    const bool is_on =
        may_guess &&
        (session->watch_guess != NULL ||
         (engine->lookahead != WEIR_LOOKAHEAD_OFF &&
          (n_token > 1 || engine->lookahead == WEIR_LOOKAHEAD_ON || engine->trial.is_on)));
    weir_forward_look_ahead(engine->forward, is_on ? engine->lookahead_m : 0);
}

static void tell_trial(struct weir_engine *engine, uint64_t start_ns,
                       const struct weir_store_stats *before)
{
    struct weir_store_stats after;
    weir_store_stats_get(engine->store, &after);
    const uint64_t uses = after.uses - before->uses;
    const uint64_t hits = after.hits - before->hits;
    const struct weir_trial_tokens token = {
        .count = 1,
        .took_ns = weir_now_ns() - start_ns,
        .wait_ns = after.wait_ns - before->wait_ns,
        .needed = uses - hits + (after.ahead_hits - before->ahead_hits),
    };
    weir_trial_tell(&engine->trial, &token);
}

/* One chunk through the layers. */
static enum weir_status step_chunk(weir_session *session, const uint32_t *ids, uint32_t n_token,
                                   struct weir_err *err)
{
    struct weir_engine *engine = session->engine;
    const bool is_tried =
        n_token == 1 && engine->store != NULL && engine->lookahead == WEIR_LOOKAHEAD_AUTO;
    struct weir_store_stats before;
    const uint64_t start_ns = weir_now_ns();
    if (is_tried)
        weir_store_stats_get(engine->store, &before);
    choose_lookahead(session, n_token);
    engine->cancel = &session->cancel;
    const enum weir_status status = weir_forward_step(engine->forward, &engine->kv, ids, n_token,
                                                      session->position, &session->cancel, err);
    engine->cancel = NULL;
    if (status == WEIR_ERR_CANCELLED)
        atomic_store_explicit(&session->cancel, false, memory_order_relaxed);
    if (status == WEIR_OK && is_tried)
        tell_trial(engine, start_ns, &before);
    return status;
}

/* One chunk, and the logits that are asked for: of all its tokens, of the last, or none. */
static enum weir_status eval_chunk(weir_session *session, const uint32_t *ids, uint32_t n_token,
                                   bool is_last, weir_logits_fn *each, void *user,
                                   struct weir_err *err)
{
    struct weir_engine *engine = session->engine;
    WEIR_TRY(weir_engine_reach(engine, session->position + n_token, err));
    WEIR_TRY(step_chunk(session, ids, n_token, err));
    if (each != NULL)
        return tell_logits(session, n_token, each, user, err);
    if (!is_last)
        return WEIR_OK;
    session->logits = weir_forward_logits(engine->forward, n_token - 1, 1);
    return weir_logits_check(engine->blueprint.model, session->logits,
                             session->position + n_token - 1, err);
}

enum weir_status weir_session_eval(weir_session *session, const uint32_t *ids, size_t count,
                                   weir_logits_fn *each, void *user, struct weir_err *err)
{
    struct weir_engine *engine = session->engine;
    WEIR_TRY(check_ids(session, ids, count, err));
    for (size_t done = 0; done < count;) {
        const uint32_t n_token = (uint32_t)weir_min(engine->choice.n_chunk, count - done);
        const uint64_t begin_ns = weir_timeline_now(engine->timeline);
        const enum weir_status status =
            eval_chunk(session, ids + done, n_token, done + n_token == count, each, user, err);
        weir_timeline_add(engine->timeline,
                          (struct weir_event){.name = "step",
                                              .kind = WEIR_EVENT_STEP,
                                              .begin_ns = begin_ns,
                                              .arg = {n_token, session->position}});
        if (status != WEIR_OK)
            return status;
        session->position += n_token;
        done += n_token;
    }
    return WEIR_OK;
}

/* A layer's place among those with experts. */
static uint32_t find_place(const weir_session *session, uint32_t layer)
{
    uint32_t place = 0;
    for (uint32_t before = 0; before < layer; before++)
        place += weir_layer_has_experts(&session->engine->blueprint.model->layers[before]);
    return place;
}

static void tell_routing(void *user, uint32_t layer, uint32_t position, uint32_t n_token,
                         const uint32_t *experts)
{
    const weir_session *session = user;
    session->watch(session->watch_user, find_place(session, layer), position, n_token, experts);
}

void weir_session_watch_routing(weir_session *session, weir_routing_fn *watch, void *user)
{
    session->watch = watch;
    session->watch_user = user;
    weir_forward_watch(session->engine->forward, watch == NULL ? NULL : tell_routing, session);
}

static void tell_guess(void *user, uint32_t layer, const uint32_t *ranked, const uint32_t *control,
                       uint32_t n_expert, const uint32_t *experts)
{
    const weir_session *session = user;
    session->watch_guess(session->watch_guess_user, find_place(session, layer), ranked, control,
                         n_expert, experts);
}

void weir_session_watch_guesses(weir_session *session, weir_guess_fn *watch, void *user)
{
    session->watch_guess = watch;
    session->watch_guess_user = user;
    weir_forward_watch_guesses(session->engine->forward, watch == NULL ? NULL : tell_guess,
                               session);
}

const float *weir_session_logits(const weir_session *session)
{
    return session->logits;
}

uint32_t weir_session_position(const weir_session *session)
{
    return session->position;
}

void weir_session_rewind(weir_session *session, uint32_t position)
{
    WEIR_ASSERT(position <= session->position);
    session->position = position;
}

void weir_session_cancel(weir_session *session)
{
    /* Relaxed: read at the next layer, orders nothing. Lock-free, so a signal handler may call. */
    atomic_store_explicit(&session->cancel, true, memory_order_relaxed);
}
