/* batch.c - tokens of several sessions through the layers together, step by step.
 *
 * A step has at most n_chunk rows: first those that decode, whose users wait for each token, then
 * as much of the prompts as fits. */
#include "engine/engine_internal.h"

#include <string.h>

void weir_batch_layout(struct weir_batch *batch, const struct weir_choice *choice, uint32_t n_vocab,
                       struct weir_mem *mem)
{
    const uint64_t n_logit = weir_min(choice->n_chunk, WEIR_LOGIT_ROWS_MAX);
    batch->runs = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, choice->n_chunk * sizeof(*batch->runs),
                                 sizeof(uint64_t));
    batch->evals = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, choice->n_chunk * sizeof(*batch->evals),
                                  sizeof(uint64_t));
    batch->logits = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, n_logit * n_vocab * sizeof(float), 64);
}

bool weir_batch_is_unwanted(const struct weir_batch *batch)
{
    /* Relaxed: the flags publish nothing but themselves. */
    for (uint32_t run = 0; run < batch->n_run; run++)
        if (!atomic_load_explicit(batch->runs[run].cancel, memory_order_relaxed))
            return false;
    return batch->n_run > 0;
}

static enum weir_status check_eval(const weir_engine *engine, const struct weir_eval *evals,
                                   size_t index, struct weir_err *err)
{
    const struct weir_eval *eval = &evals[index];
    const uint32_t n_vocab = engine->blueprint.model->shape.n_vocab;
    const uint32_t n_ctx = engine->choice.n_ctx;
    if (eval->session == NULL || eval->session->engine != engine)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "eval %zu: wanted a session of this engine, found %s",
                         index, eval->session == NULL ? "none" : "another engine's");
    for (size_t before = 0; before < index; before++)
        if (evals[before].session == eval->session)
            return WEIR_FAIL(err, WEIR_ERR_ARG, "evals %zu and %zu are of one session", before,
                             index);
    if ((unsigned)eval->phase > WEIR_PHASE_DECODE)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "eval %zu: phase: wanted 0 to %d, found %d", index,
                         WEIR_PHASE_DECODE, (int)eval->phase);
    const uint32_t position = weir_session_position(eval->session);
    if (eval->count == 0 || eval->ids == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "no tokens to evaluate");
    if (eval->count > n_ctx - position)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "the context holds %u positions: %u are used and %zu more are asked for",
                         n_ctx, position, eval->count);
    for (size_t at = 0; at < eval->count; at++)
        if (eval->ids[at] >= n_vocab)
            return WEIR_FAIL(err, WEIR_ERR_ARG, "token %zu is %u, the vocabulary has %u", at,
                             eval->ids[at], n_vocab);
    return WEIR_OK;
}

/* What is computed again is a text that is known. */
static bool is_prompt(const struct weir_eval *eval)
{
    return eval->phase == WEIR_PHASE_PROMPT ||
           (eval->phase == WEIR_PHASE_AUTO && eval->count > 1) || eval->session->owed_count > 0;
}

/* Put as much of an eval into the step as there is room for; what its session owes comes first. */
static void add_run(struct weir_batch *batch, struct weir_eval *eval, uint32_t row_max)
{
    weir_session *session = eval->session;
    const bool owes = session->owed_count > 0;
    const size_t left = owes ? session->owed_count : eval->count - eval->done;
    uint32_t n_row = (uint32_t)weir_min(left, row_max - batch->n_row);
    n_row = weir_sequence_step_max(session->sequence, n_row);
    if (eval->status != WEIR_OK || eval->done == eval->count || n_row == 0)
        return;
    struct weir_run *run = &batch->runs[batch->n_run];
    *run = (struct weir_run){.ids = owes ? session->owed : eval->ids + eval->done,
                             .n_row = n_row,
                             .phase = is_prompt(eval) ? WEIR_PROMPT : WEIR_DECODE};
    weir_session_fill_run(session, run);
    if (owes) { /* whoever watches was told when it was computed first */
        run->watch = NULL;
        run->watch_guess = NULL;
    }
    batch->evals[batch->n_run++] = eval;
    batch->n_row += n_row;
}

/* Whether a run computes again what its session had. */
static bool is_owed(const struct weir_batch *batch, uint32_t run)
{
    return batch->runs[run].ids == batch->evals[run]->session->owed;
}

static void compose_step(weir_engine *engine, struct weir_eval *evals, size_t count)
{
    struct weir_batch *batch = &engine->batch;
    batch->n_run = batch->n_row = 0;
    for (size_t index = 0; index < count; index++)
        if (!is_prompt(&evals[index]))
            add_run(batch, &evals[index], engine->choice.n_chunk);
    for (size_t index = 0; index < count; index++)
        if (is_prompt(&evals[index]))
            add_run(batch, &evals[index], engine->choice.n_chunk);
}

/* Pages for every row of the step. */
static enum weir_status reserve_pages(weir_engine *engine, struct weir_err *err)
{
    const struct weir_batch *batch = &engine->batch;
    uint32_t page_count = 0;
    for (uint32_t index = 0; index < batch->n_run; index++)
        page_count += weir_sequence_lack(batch->runs[index].sequence,
                                         batch->runs[index].position + batch->runs[index].n_row);
    WEIR_TRY(weir_engine_room_for_pages(engine, page_count, err));
    for (uint32_t index = 0; index < batch->n_run; index++)
        WEIR_TRY(weir_sequence_reserve(batch->runs[index].sequence,
                                       batch->runs[index].position + batch->runs[index].n_row,
                                       err));
    return WEIR_OK;
}

/* Where every expert has a slot there is nothing to read ahead. */
static bool lacks_slots(const weir_engine *engine)
{
    struct weir_store_stats stats;
    if (engine->plan.n_slot_total < engine->plan.n_expert_total)
        return true;
    weir_store_stats_get(engine->store, &stats);
    return stats.retired_slots > 0;
}

/* Whether something could be read ahead, and may be. */
static bool may_look_ahead(const weir_engine *engine)
{
    const struct weir_batch *batch = &engine->batch;
    bool may = engine->lookahead != WEIR_LOOKAHEAD_OFF && engine->store != NULL &&
               engine->choice.predictor != WEIR_PREDICT_NONE && lacks_slots(engine);
    for (uint32_t index = 0; index < batch->n_run; index++) {
        const struct weir_prescription *prescription = batch->runs[index].prescription;
        /* Routers would guess about other experts than those that are used. */
        may &= prescription == NULL || prescription->recall > 0.0;
    }
    return may;
}

/* A prompt has a use for nearly all that is read ahead; a step that decodes may or may not. */
static bool is_tried(const weir_engine *engine)
{
    const struct weir_batch *batch = &engine->batch;
    bool has_prompt = false;
    for (uint32_t index = 0; index < batch->n_run; index++)
        has_prompt |= batch->runs[index].phase == WEIR_PROMPT;
    return engine->lookahead == WEIR_LOOKAHEAD_AUTO && !has_prompt && may_look_ahead(engine);
}

/* Steps of several rows cost more, and want nearly the same experts the next time. */
static struct weir_trial *trial_of(weir_engine *engine)
{
    return &engine->trials[engine->batch.n_row > 1];
}

static void choose_lookahead(weir_engine *engine)
{
    const struct weir_batch *batch = &engine->batch;
    if (engine->choice.predictor == WEIR_PREDICT_NONE || engine->store == NULL)
        return;
    bool is_on = may_look_ahead(engine) && (!is_tried(engine) || trial_of(engine)->is_on);
    engine->mode.lookahead |= is_on;
    for (uint32_t index = 0; index < batch->n_run; index++)
        is_on |= batch->runs[index].watch_guess != NULL;
    weir_forward_look_ahead(engine->forward, is_on ? engine->lookahead_m : 0);
}

/* A row whose logits somebody wants. */
struct wanted {
    uint32_t run;
    uint32_t row; /* of the run */
    uint32_t step_row;
};

/* The next row after *at whose logits are wanted; false when there is none. */
static bool next_wanted(const struct weir_batch *batch, struct wanted *at)
{
    for (; at->run < batch->n_run; at->run++, at->row = 0) {
        const struct weir_run *run = &batch->runs[at->run];
        const struct weir_eval *eval = batch->evals[at->run];
        const bool is_last_step = eval->done + run->n_row == eval->count;
        if (is_owed(batch, at->run)) {
            at->step_row += run->n_row;
            continue;
        }
        for (; at->row < run->n_row; at->row++, at->step_row++)
            if (eval->status == WEIR_OK &&
                (eval->each != NULL || (is_last_step && at->row + 1 == run->n_row)))
                return true;
    }
    return false;
}

/* The logits of one row, if there are any: checked, told, and kept where they are the last of its
 * run. */
static void give_row(weir_engine *engine, const struct wanted *wanted, const float *logits,
                     enum weir_status status, struct weir_err *err)
{
    const struct weir_run *run = &engine->batch.runs[wanted->run];
    struct weir_eval *eval = engine->batch.evals[wanted->run];
    weir_session *session = eval->session;
    const uint32_t position = run->position + wanted->row;
    if (eval->status != WEIR_OK)
        return;
    eval->status = status;
    if (status == WEIR_OK)
        eval->status = weir_logits_check(engine->blueprint.model, logits, position, err);
    if (eval->status == WEIR_OK && eval->each != NULL && !eval->each(eval->user, position, logits))
        eval->status = WEIR_FAIL(err, WEIR_ERR_CANCELLED, "stopped at position %u", position);
    if (eval->status != WEIR_OK)
        return;
    if (logits != session->logits && wanted->row + 1 == run->n_row)
        memcpy(session->logits, logits, engine->blueprint.model->shape.n_vocab * sizeof(*logits));
    session->has_logits = true;
}

/* The output matrix passes once for as many rows as are computed together, whoever's they are. */
static void give_logits(weir_engine *engine, struct weir_err *err)
{
    const struct weir_batch *batch = &engine->batch;
    const uint32_t n_vocab = engine->blueprint.model->shape.n_vocab;
    const uint32_t most = (uint32_t)weir_min(WEIR_LOGIT_ROWS_MAX, engine->choice.n_chunk);
    struct wanted at = {0};
    for (;;) {
        struct wanted wanted[WEIR_LOGIT_ROWS_MAX];
        uint32_t rows[WEIR_LOGIT_ROWS_MAX];
        uint32_t count = 0;
        while (count < most && next_wanted(batch, &at)) {
            wanted[count] = at;
            rows[count++] = at.step_row;
            at.row++;
            at.step_row++;
        }
        if (count == 0)
            return;
        float *out = count == 1 ? batch->evals[wanted[0].run]->session->logits : batch->logits;
        const enum weir_status status = weir_forward_logits(engine->forward, rows, count, out, err);
        for (uint32_t index = 0; index < count; index++)
            give_row(engine, &wanted[index], out + (size_t)index * n_vocab, status, err);
    }
}

/* The states of a run's rows, of which the first is that row of the step. */
static void give_run_states(weir_engine *engine, uint32_t index, uint32_t step_row,
                            struct weir_err *err)
{
    const struct weir_run *run = &engine->batch.runs[index];
    struct weir_eval *eval = engine->batch.evals[index];
    const uint32_t d_model = engine->blueprint.model->shape.d_model;
    for (uint32_t row = 0; row < run->n_row && eval->status == WEIR_OK; row++) {
        const uint32_t position = run->position + row;
        const float *state = weir_forward_state(engine->forward, step_row + row);
        if (!weir_all_finite(state, d_model))
            eval->status =
                WEIR_FAIL(err, WEIR_ERR_FORMAT,
                          "position %u: the final norm gives values that are not finite", position);
        else if (!eval->state(eval->user, position, state))
            eval->status = WEIR_FAIL(err, WEIR_ERR_CANCELLED, "stopped at position %u", position);
    }
}

static void give_states(weir_engine *engine, struct weir_err *err)
{
    const struct weir_batch *batch = &engine->batch;
    uint32_t step_row = 0;
    for (uint32_t index = 0; index < batch->n_run; index++) {
        if (batch->evals[index]->state != NULL && !is_owed(batch, index))
            give_run_states(engine, index, step_row, err);
        step_row += batch->runs[index].n_row;
    }
}

/* What the step computed belongs to the sessions now, but for those that were stopped. */
static void commit_step(weir_engine *engine)
{
    const struct weir_batch *batch = &engine->batch;
    for (uint32_t index = 0; index < batch->n_run; index++) {
        struct weir_eval *eval = batch->evals[index];
        weir_session *session = eval->session;
        const uint32_t n_row = batch->runs[index].n_row;
        if (eval->status != WEIR_OK) {
            weir_session_keep(session, weir_session_position(session));
            continue;
        }
        weir_sequence_commit(session->sequence, batch->runs[index].ids, n_row);
        if (!is_owed(batch, index)) {
            eval->done += n_row;
            continue;
        }
        session->owed_count -= n_row;
        memmove(session->owed, session->owed + n_row, session->owed_count * sizeof(uint32_t));
    }
}

/* Sessions that somebody stopped leave; each is told once. */
static void take_cancelled(struct weir_eval *evals, size_t count, struct weir_err *err)
{
    for (size_t index = 0; index < count; index++) {
        struct weir_eval *eval = &evals[index];
        if (eval->status != WEIR_OK || eval->done == eval->count ||
            !atomic_load_explicit(&eval->session->cancel, memory_order_relaxed))
            continue;
        atomic_store_explicit(&eval->session->cancel, false, memory_order_relaxed);
        eval->status = WEIR_FAIL(err, WEIR_ERR_CANCELLED, "stopped at position %u",
                                 weir_session_position(eval->session));
    }
}

/* A step with or without look-ahead took until now. */
static void tell_trial(weir_engine *engine, uint64_t begin_ns,
                       const struct weir_store_stats *before)
{
    struct weir_trial *trial = trial_of(engine);
    struct weir_store_stats after;
    weir_store_stats_get(engine->store, &after);
    const uint64_t missing = after.uses - before->uses - (after.hits - before->hits);
    const uint64_t took_ns = weir_now_ns() - begin_ns;
    const struct weir_trial_steps step = {
        .count = 1,
        .took_ns = took_ns,
        .wait_ns = weir_min(after.wait_ns - before->wait_ns, took_ns),
        .needed = missing + (after.ahead_hits - before->ahead_hits),
    };
    weir_trial_tell(trial, &step);
    engine->mode.lookahead = trial->leader_is_on;
    engine->mode.lookahead_ratio = weir_trial_ratio(trial);
}

/* Choose how the step looks ahead, and compute it. */
static enum weir_status forward_step(weir_engine *engine, struct weir_err *err)
{
    const bool tried = is_tried(engine);
    struct weir_store_stats before;
    const uint64_t begin_ns = weir_now_ns();
    if (tried)
        weir_store_stats_get(engine->store, &before);
    choose_lookahead(engine);
    WEIR_TRY(weir_forward_step(engine->forward, engine->batch.runs, engine->batch.n_run, err));
    if (tried)
        tell_trial(engine, begin_ns, &before);
    return WEIR_OK;
}

/* One step; false when nothing is left to compute. A failure of the step is that of all in it. */
static bool run_step(weir_engine *engine, struct weir_eval *evals, size_t count,
                     struct weir_err *err)
{
    struct weir_batch *batch = &engine->batch;
    const uint64_t begin_ns = weir_timeline_now(engine->timeline);
    const uint64_t step_ns = weir_now_ns();
    take_cancelled(evals, count, err);
    compose_step(engine, evals, count);
    if (batch->n_run == 0)
        return false;
    if (engine->prefix != NULL)
        (void)weir_prefix_poll(engine->prefix);
    enum weir_status status = weir_mem_check(&engine->mem, err);
    if (status == WEIR_OK)
        status = reserve_pages(engine, err);
    if (status == WEIR_OK)
        status = forward_step(engine, err);
    if (status == WEIR_ERR_CANCELLED)
        take_cancelled(evals, count, err);
    for (uint32_t index = 0; index < batch->n_run; index++)
        if (batch->evals[index]->status == WEIR_OK)
            batch->evals[index]->status = status;
    if (status == WEIR_OK)
        give_states(engine, err);
    if (status == WEIR_OK)
        give_logits(engine, err);
    if (status == WEIR_OK)
        weir_engine_time_prompt(engine, step_ns);
    weir_timeline_add(engine->timeline,
                      (struct weir_event){.name = "step",
                                          .kind = WEIR_EVENT_STEP,
                                          .begin_ns = begin_ns,
                                          .arg = {batch->n_row, batch->runs[0].position}});
    commit_step(engine);
    batch->n_run = 0;
    return true;
}

/* Nothing is done yet; and where one is refused nothing of any of them will be. */
static void begin_all(struct weir_eval *evals, size_t count, enum weir_status status)
{
    for (size_t index = 0; index < count; index++) {
        evals[index].done = 0;
        evals[index].status = status;
    }
}

enum weir_status weir_engine_eval(weir_engine *engine, struct weir_eval *evals, size_t count,
                                  struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    WEIR_NEED(engine, err);
    if (count > 0)
        WEIR_NEED(evals, err);
    status = weir_engine_enter(engine, err);
    if (status != WEIR_OK) {
        begin_all(evals, count, status);
        return status;
    }
    for (size_t index = 0; index < count && status == WEIR_OK; index++)
        status = check_eval(engine, evals, index, err);
    begin_all(evals, count, status);
    for (size_t index = 0; index < count && status == WEIR_OK; index++)
        weir_session_settle(evals[index].session);
    while (status == WEIR_OK && run_step(engine, evals, count, err))
        ;
    for (size_t index = 0; index < count && status == WEIR_OK; index++)
        status = evals[index].status;
    weir_engine_leave(engine);
    return status;
}

enum weir_status weir_session_eval(weir_session *session, const uint32_t *ids, size_t count,
                                   weir_logits_fn *each, void *user, struct weir_err *err)
{
    struct weir_eval eval = {
        .session = session, .ids = ids, .count = count, .each = each, .user = user};
    WEIR_NEED(session, err);
    return weir_engine_eval(session->engine, &eval, 1, err);
}
