/* session.c - sequences of tokens over an engine: create, forget, watch, cancel. */
#include "engine/engine_internal.h"

#include <string.h>

#include "base/heap.h"

/* The functions named _inside are called between weir_engine_enter() and weir_engine_leave(). */

static enum weir_status create_inside(weir_session **out, weir_engine *engine, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    weir_session *session = NULL;
    WEIR_TRY(weir_engine_room_for_session(engine, err));
    WEIR_TRY(weir_engine_room_for_pages(engine, 1, err)); /* its first tokens fault nothing in */
    session = weir_heap_alloc(sizeof(*session));
    if (session == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a session");
    session->engine = engine;
    session->logits = weir_heap_array(engine->blueprint.model->shape.n_vocab, sizeof(float));
    session->owed = weir_heap_array(engine->choice.n_ctx, sizeof(*session->owed));
    if (session->logits == NULL || session->owed == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a session's logits and ids");
        goto fail;
    }
    WEIR_TRY_GOTO(weir_sequence_create(&session->sequence, engine->state, err));
    engine->session_count++;
    *out = session;
    return WEIR_OK;

fail:
    weir_heap_free(session->owed);
    weir_heap_free(session->logits);
    weir_heap_free(session);
    return status;
}

enum weir_status weir_session_create(weir_session **out, weir_engine *engine, struct weir_err *err)
{
    WEIR_NEED(out, err);
    WEIR_NEED(engine, err);
    WEIR_TRY(weir_engine_enter(engine, err));
    const enum weir_status status = create_inside(out, engine, err);
    weir_engine_leave(engine);
    return status;
}

static void destroy_inside(weir_session **session)
{
    weir_engine *engine = (*session)->engine;
    weir_session_settle(*session);
    weir_sequence_destroy(&(*session)->sequence);
    weir_heap_free((*session)->owed);
    weir_heap_free((*session)->logits);
    weir_heap_free(*session);
    engine->session_count--;
    weir_engine_slots_return(engine);
    *session = NULL;
}

void weir_session_destroy(weir_session **session)
{
    if (session == NULL || *session == NULL)
        return;
    weir_engine *engine = (*session)->engine;
    if (weir_engine_enter(engine, NULL) != WEIR_OK)
        return;
    destroy_inside(session);
    weir_engine_leave(engine);
}

/* A layer's place among those with experts. */
static uint32_t find_place(const weir_session *session, uint32_t layer)
{
    const struct weir_model *model = session->engine->blueprint.model;
    uint32_t place = 0;
    for (uint32_t before = 0; before < layer; before++)
        place += weir_layer_has_experts(&model->layers[before]);
    return place;
}

static void tell_routing(void *user, uint32_t layer, uint32_t position, uint32_t n_row,
                         uint32_t n_expert_used, const uint32_t *experts)
{
    const weir_session *session = user;
    if (session->watch != NULL) /* a callback may have ended it */
        session->watch(session->watch_user, find_place(session, layer), position, n_row,
                       n_expert_used, experts);
}

static void tell_guess(void *user, uint32_t layer, const uint32_t *ranked, const uint32_t *control,
                       uint32_t n_expert, uint32_t n_expert_used, const uint32_t *experts)
{
    const weir_session *session = user;
    if (session->watch_guess != NULL) /* a callback may have ended it */
        session->watch_guess(session->watch_guess_user, find_place(session, layer), ranked, control,
                             n_expert, n_expert_used, experts);
}

void weir_session_fill_run(weir_session *session, struct weir_run *run)
{
    run->sequence = session->sequence;
    run->position = weir_sequence_length(session->sequence);
    run->cancel = &session->cancel;
    run->prescription = session->prescription.experts == NULL ? NULL : &session->prescription;
    run->watch = session->watch == NULL ? NULL : tell_routing;
    run->watch_user = session;
    run->watch_guess = session->watch_guess == NULL ? NULL : tell_guess;
    run->watch_guess_user = session;
}

void weir_session_watch_routing(weir_session *session, weir_routing_fn *watch, void *user)
{
    if (session == NULL)
        return;
    session->watch = watch;
    session->watch_user = user;
}

void weir_session_watch_guesses(weir_session *session, weir_guess_fn *watch, void *user)
{
    if (session == NULL)
        return;
    session->watch_guess = watch;
    session->watch_guess_user = user;
}

const float *weir_session_logits(const weir_session *session)
{
    return session != NULL && session->has_logits ? session->logits : NULL;
}

uint32_t weir_session_position(const weir_session *session)
{
    return session == NULL ? 0 : weir_sequence_length(session->sequence) + session->owed_count;
}

void weir_session_keep(weir_session *session, uint32_t position)
{
    weir_sequence *sequence = session->sequence;
    const uint32_t kept = (uint32_t)weir_min(position, weir_sequence_length(sequence));
    const uint32_t reach = weir_sequence_reach(sequence, kept);
    const uint32_t lost = kept - reach;
    WEIR_ASSERT(position <= weir_session_position(session));
    memmove(session->owed + lost, session->owed, (position - kept) * sizeof(*session->owed));
    for (uint32_t index = 0; index < lost; index++)
        session->owed[index] = weir_sequence_id(sequence, reach + index);
    session->owed_count = position - reach;
    (void)weir_sequence_rewind(sequence, kept); /* to reach */
}

static enum weir_status rewind_inside(weir_session *session, uint32_t position)
{
    if (position > weir_session_position(session))
        return WEIR_ERR_ARG;
    if (position == weir_session_position(session))
        return WEIR_OK;
    weir_session_settle(session);
    weir_session_keep(session, position);
    session->has_logits = false;
    if (position == 0)
        weir_engine_slots_return(session->engine);
    return WEIR_OK;
}

enum weir_status weir_session_rewind(weir_session *session, uint32_t position)
{
    WEIR_NEED(session, NULL);
    WEIR_TRY(weir_engine_enter(session->engine, NULL));
    const enum weir_status status = rewind_inside(session, position);
    weir_engine_leave(session->engine);
    return status;
}

static enum weir_status fork_inside(weir_session **out, weir_session *session, struct weir_err *err)
{
    weir_session *twin = NULL;
    weir_session_settle(session);
    WEIR_TRY(create_inside(&twin, session->engine, err));
    weir_sequence *empty = twin->sequence;
    twin->sequence = NULL;
    const enum weir_status status = weir_sequence_fork(&twin->sequence, session->sequence, err);
    if (status != WEIR_OK) {
        twin->sequence = empty;
        destroy_inside(&twin);
        return status;
    }
    weir_sequence_destroy(&empty);
    twin->prescription = session->prescription;
    twin->owed_count = session->owed_count;
    memcpy(twin->owed, session->owed, session->owed_count * sizeof(*session->owed));
    twin->has_logits = session->has_logits;
    if (session->has_logits)
        memcpy(twin->logits, session->logits,
               session->engine->blueprint.model->shape.n_vocab * sizeof(float));
    *out = twin;
    return WEIR_OK;
}

enum weir_status weir_session_fork(weir_session **out, const weir_session *session,
                                   struct weir_err *err)
{
    WEIR_NEED(out, err);
    WEIR_NEED(session, err);
    WEIR_TRY(weir_engine_enter(session->engine, err));
    /* What is still on its way to the first one has to be there. */
    const enum weir_status status = fork_inside(out, (weir_session *)(uintptr_t)session, err);
    weir_engine_leave(session->engine);
    return status;
}

static enum weir_status adopt_inside(weir_session *session, const uint32_t *ids, size_t count,
                                     uint32_t *adopted, struct weir_err *err)
{
    const uint32_t length = weir_session_position(session);
    if (length > 0)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "only an empty session can take over what is known: this one has %u "
                         "positions",
                         length);
    weir_session_settle(session);
    *adopted = weir_sequence_adopt(session->sequence, ids,
                                   (uint32_t)weir_min(count, session->engine->choice.n_ctx));
    return WEIR_OK;
}

enum weir_status weir_session_adopt(weir_session *session, const uint32_t *ids, size_t count,
                                    uint32_t *adopted, struct weir_err *err)
{
    WEIR_NEED(session, err);
    WEIR_NEED(adopted, err);
    if (count > 0)
        WEIR_NEED(ids, err);
    WEIR_TRY(weir_engine_enter(session->engine, err));
    const enum weir_status status = adopt_inside(session, ids, count, adopted, err);
    weir_engine_leave(session->engine);
    return status;
}

/* A layer that uses fewer experts than another has no room for more. */
static enum weir_status check_trace_layers(const struct weir_trace *trace,
                                           const struct weir_model *model, struct weir_err *err)
{
    const uint16_t *experts = trace->experts;
    for (uint32_t token = 0; token < trace->n_token; token++)
        for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
            const uint32_t n_used = model->layers[layer].network.n_expert_used;
            uint32_t found = 0;
            if (!weir_layer_has_experts(&model->layers[layer]))
                continue;
            for (uint32_t rank = 0; rank < trace->n_expert_used; rank++)
                found += *experts++ != WEIR_EXPERT_NONE;
            if (found > n_used)
                return WEIR_FAIL(err, WEIR_ERR_ARG,
                                 "routing: layer %u: wanted at most %u experts, found %u for token "
                                 "%u",
                                 layer, n_used, found, token);
        }
    return WEIR_OK;
}

/* Whether the trace is of a model with these experts. */
static enum weir_status check_trace(const struct weir_trace *trace, const struct weir_model *model,
                                    struct weir_err *err)
{
    const uint32_t n_layer = weir_moe_layer_count(model);
    const uint32_t n_expert = model->shape.n_expert;
    const uint32_t n_used = model->shape.n_expert_used;
    const uint64_t count = (uint64_t)trace->n_token * trace->n_layer * trace->n_expert_used;
    if (trace->n_layer != n_layer || trace->n_expert != n_expert ||
        trace->n_expert_used != n_used || trace->n_token == 0 || n_layer == 0)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "routing: wanted a trace of %u layers with %u of %u experts, found %u "
                         "tokens of %u layers with %u of %u",
                         n_layer, n_used, n_expert, trace->n_token, trace->n_layer,
                         trace->n_expert_used, trace->n_expert);
    for (uint64_t index = 0; index < count; index++)
        if (trace->experts[index] >= n_expert && trace->experts[index] != WEIR_EXPERT_NONE)
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "routing: wanted experts from 0 to %u, found %u for token %llu",
                             n_expert - 1, trace->experts[index],
                             (unsigned long long)(index / ((uint64_t)n_layer * n_used)));
    return check_trace_layers(trace, model, err);
}

static enum weir_status prescribe_inside(weir_session *session, const struct weir_trace *trace,
                                         uint32_t first_token, double recall, struct weir_err *err)
{
    if (!(recall >= 0.0 && recall <= 1.0))
        return WEIR_FAIL(err, WEIR_ERR_ARG, "recall of guesses: wanted 0 to 1, found %g", recall);
    WEIR_TRY(check_trace(trace, session->engine->blueprint.model, err));
    session->prescription = (struct weir_prescription){.experts = trace->experts,
                                                       .n_token = trace->n_token,
                                                       .first = first_token,
                                                       .recall = recall};
    if (recall == 0.0)
        session->engine->mode.lookahead = false;
    return WEIR_OK;
}

enum weir_status weir_session_prescribe(weir_session *session, const struct weir_trace *trace,
                                        uint32_t first_token, double recall, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    WEIR_NEED(session, err);
    WEIR_TRY(weir_engine_enter(session->engine, err));
    if (trace == NULL)
        session->prescription = (struct weir_prescription){.experts = NULL};
    else
        status = prescribe_inside(session, trace, first_token, recall, err);
    weir_engine_leave(session->engine);
    return status;
}

void weir_session_cancel(weir_session *session)
{
    if (session == NULL)
        return;
    /* Relaxed: read at the next layer, orders nothing. Lock-free, so a signal handler may call. */
    atomic_store_explicit(&session->cancel, true, memory_order_relaxed);
}
