/* scheduler.c - many texts written together on one engine. */
#include "serve/scheduler.h"

#include <string.h>
#include <time.h>

#include "base/heap.h"
#include "base/thread.h"
#include "serve/scheduler_internal.h"
#include "serve/text_bytes.h"

enum {
    STACK_BYTES = 1 << 20,
    LOOK_MS = 20,    /* between two looks at jobs that nobody takes text from */
    DISK_MS = 5,     /* for which nobody new is heard while only the disk works */
    QUESTION_S = 10, /* after a short question, another one is to be expected for so long */
    NS_PER_MS = 1000000,
};

/* ---- a step -------------------------------------------------------------------------------- */

static uint32_t count_pending(const struct weir_job *job)
{
    return job->length - weir_session_position(job->seat->session);
}

/* A token that was just chosen; all else is a prompt, or computed again. */
static bool is_written(const struct weir_job *job)
{
    return job->length > job->id_count && count_pending(job) == 1;
}

static bool tell_state(void *user, uint32_t position, const float *state)
{
    struct weir_job *job = user;
    return job->sink->state(job->user, position, state);
}

static void add_eval(struct weir_scheduler *scheduler, uint32_t *count, struct weir_job *job,
                     uint32_t rows)
{
    const uint32_t position = weir_session_position(job->seat->session);
    scheduler->evals[(*count)++] = (struct weir_eval){
        .session = job->seat->session,
        .ids = job->ids + position,
        .count = rows,
        .phase = is_written(job) ? WEIR_PHASE_DECODE : WEIR_PHASE_PROMPT,
        .state = job->sink->state == NULL ? NULL : tell_state,
        .user = job,
    };
}

/* Every text's next token. How many there are; and what prompts want, in their parties. */
static uint32_t add_tokens(struct weir_scheduler *scheduler, uint32_t *prompts)
{
    uint32_t count = 0;
    *prompts = 0;
    for (uint32_t index = 0; index < scheduler->running_count; index++) {
        struct weir_party *party = scheduler->running[index]->party;
        party->wanted = party->prompts = 0;
    }
    for (uint32_t index = 0; index < scheduler->running_count; index++) {
        struct weir_job *job = scheduler->running[index];
        if (job->is_waiting)
            continue;
        if (is_written(job)) {
            add_eval(scheduler, &count, job, 1);
            weir_fair_charge(&scheduler->fair, job->party);
        } else {
            job->party->wanted += count_pending(job);
            job->party->prompts++;
            ++*prompts;
        }
    }
    return count;
}

/* Prompts of the step with all that they want, the one that wants least first. How many evals there
 * are then. */
static uint32_t add_prompts(struct weir_scheduler *scheduler, uint32_t first)
{
    struct weir_eval *evals = scheduler->evals;
    uint32_t count = first;
    for (uint32_t index = 0; index < scheduler->running_count; index++) {
        struct weir_job *job = scheduler->running[index];
        if (job->is_waiting || is_written(job))
            continue;
        uint32_t at = count;
        add_eval(scheduler, &count, job, count_pending(job));
        const struct weir_eval added = evals[at];
        for (; at > first && evals[at - 1].count > added.count; at--)
            evals[at] = evals[at - 1];
        evals[at] = added;
    }
    return count;
}

/* What its party has been dealt, in equal shares: what one leaves goes to those behind, which want
 * more. Those that get nothing are left out. */
static uint32_t share_rows(struct weir_scheduler *scheduler, uint32_t first, uint32_t count)
{
    uint32_t kept = first;
    for (uint32_t index = first; index < count; index++) {
        struct weir_eval eval = scheduler->evals[index];
        const struct weir_job *job = eval.user;
        struct weir_party *party = job->party;
        const uint32_t share = (party->given + party->prompts - 1) / party->prompts;
        eval.count = weir_min(share, eval.count);
        party->given -= (uint32_t)eval.count;
        party->prompts--;
        if (eval.count > 0)
            scheduler->evals[kept++] = eval;
    }
    return kept;
}

/* Whether another short question is to be expected, of somebody else than those who have texts. */
static bool is_question_near(const struct weir_scheduler *scheduler)
{
    bool is_others = scheduler->asks == NULL;
    for (uint32_t index = 0; index < scheduler->running_count; index++)
        is_others = is_others || scheduler->running[index]->party != scheduler->asks;
    return is_others && scheduler->question_ns > 0 &&
           weir_now_ns() - scheduler->question_ns < QUESTION_S * 1000ull * NS_PER_MS;
}

/* Rows for prompts; *others: of them, those that short questions do not get. */
static uint32_t count_rows(struct weir_scheduler *scheduler, uint32_t token_count, uint32_t *others)
{
    struct weir_portions *pieces = &scheduler->pieces;
    pieces->is_awaited = is_question_near(scheduler);
    return weir_portions_rows(pieces, token_count, weir_fair_questions(&scheduler->fair), others);
}

/* Every text's next token, and of the rows for prompts what is dealt to each party. *token_count:
 * how many of the evals are tokens, which come first. */
static uint32_t compose(struct weir_scheduler *scheduler, uint32_t *token_count)
{
    uint32_t prompts = 0, others = 0;
    const uint32_t count = add_tokens(scheduler, &prompts);
    *token_count = count;
    const uint32_t rows = count_rows(scheduler, count, &others);
    weir_fair_deal(&scheduler->fair, rows, others);
    return prompts == 0 ? count : share_rows(scheduler, count, add_prompts(scheduler, count));
}

/* A step took so long: the next one's prompts follow from it. */
static void heed_time(struct weir_scheduler *scheduler, uint32_t token_count, uint32_t count,
                      uint64_t took_ns)
{
    uint32_t rows = 0;
    for (uint32_t index = token_count; index < count; index++)
        rows += (uint32_t)scheduler->evals[index].count;
    weir_portions_tell(&scheduler->pieces, token_count, rows, took_ns);
}

/* With its last token the text is all that it had to be. */
static bool is_whole(const struct weir_job *job)
{
    return job->ends_whole && weir_sampler_bytes_left(job->sampler) == 0;
}

/* The next id: the one that has to come, or else the sampler's choice. */
static uint32_t choose(struct weir_job *job, const float *logits, bool *is_forced)
{
    *is_forced = job->forced_at < job->forced_count &&
                 weir_sampler_force(job->sampler, job->forced[job->forced_at]);
    if (!*is_forced && job->forced_at > 0)
        job->forced_count = job->forced_at; /* the grammar goes on in its own way */
    return *is_forced ? job->forced[job->forced_at++] : weir_sampler_pick(job->sampler, logits);
}

/* Logits are there: choose, tell, and see whether the text goes on. */
static void write_token(struct weir_scheduler *scheduler, struct weir_job *job)
{
    bool is_forced = false;
    const float *logits = weir_session_logits(job->seat->session);
    const uint32_t id = choose(job, logits, &is_forced);
    if (id == WEIR_ID_NONE) {
        struct weir_err err = {0};
        const char *why = weir_sampler_why(job->sampler);
        if (why != NULL)
            WEIR_FAIL(&err, WEIR_ERR_ARG, "%s", why);
        weir_jobs_end(scheduler, job, why == NULL ? WEIR_JOB_STOPPED : WEIR_JOB_FAILED, &err);
        return;
    }
    scheduler->counts.written_tokens++;
    if ((!is_forced && weir_tokenizer_is_end(scheduler->tokenizer, id)) ||
        !job->sink->token(job->user, id, logits)) {
        weir_jobs_end(scheduler, job, WEIR_JOB_STOPPED, NULL);
        return;
    }
    job->ids[job->length++] = id;
    if (job->length == job->id_count + job->token_max)
        weir_jobs_end(scheduler, job, is_whole(job) ? WEIR_JOB_STOPPED : WEIR_JOB_LENGTH, NULL);
}

/* Memory is short: what is only kept goes, then whoever came last has to wait until one of the
 * others has ended; then what it has comes back from the disk, or is computed again. False: there
 * is nobody beside the one text. */
static bool make_room(struct weir_scheduler *scheduler)
{
    if (weir_seats_forget_oldest(&scheduler->seats))
        return true;
    if (scheduler->running_count < 2)
        return false;
    struct weir_job *job = scheduler->running[scheduler->running_count - 1];
    weir_jobs_put_back(scheduler, job);
    job->away_from = scheduler->running_count;
    weir_seats_give_up(&scheduler->seats, job->seat);
    scheduler->counts.preempted++;
    return true;
}

/* A piece of a prompt, all of it, or a token is computed. */
static void heed_eval(struct weir_scheduler *scheduler, struct weir_job *job)
{
    if (job->length == job->id_count && job->sink->progress != NULL)
        job->sink->progress(job->user, weir_session_position(job->seat->session));
    if (count_pending(job) == 0 && job->sink->state != NULL)
        weir_jobs_end(scheduler, job, WEIR_JOB_STOPPED, NULL);
    else if (count_pending(job) == 0)
        write_token(scheduler, job);
}

static void heed_evals(struct weir_scheduler *scheduler, uint32_t count, const struct weir_err *err)
{
    for (uint32_t index = 0; index < count; index++) {
        const struct weir_eval *eval = &scheduler->evals[index];
        struct weir_job *job = eval->user;
        if (eval->status != WEIR_OK && eval->status != WEIR_ERR_NOMEM)
            weir_jobs_end(scheduler, job, WEIR_JOB_FAILED, err);
        else if (eval->status == WEIR_OK)
            heed_eval(scheduler, job);
    }
}

static void run_step(struct weir_scheduler *scheduler)
{
    struct weir_err err = {0};
    uint32_t token_count = 0;
    const uint32_t count = compose(scheduler, &token_count);
    if (count == 0)
        return;
    const uint64_t begin_ns = weir_now_ns();
    const enum weir_status status =
        weir_engine_eval(scheduler->engine, scheduler->evals, count, &err);
    if (status == WEIR_OK)
        heed_time(scheduler, token_count, count, weir_now_ns() - begin_ns);
    scheduler->counts.steps++;
    heed_evals(scheduler, count, &err);
    if (status == WEIR_ERR_NOMEM && !make_room(scheduler))
        while (scheduler->running_count > 0)
            weir_jobs_end(scheduler, scheduler->running[0], WEIR_JOB_FAILED, &err);
}

/* ---- the thread ---------------------------------------------------------------------------- */

/* Whether a step would have something to compute. */
static bool is_busy(const struct weir_scheduler *scheduler)
{
    for (uint32_t index = 0; index < scheduler->running_count; index++)
        if (!scheduler->running[index]->is_waiting)
            return true;
    return false;
}

/* Whether a text is on its way from the disk. */
static bool is_any_coming(const struct weir_scheduler *scheduler)
{
    for (uint32_t index = 0; index < scheduler->running_count; index++)
        if (weir_session_is_coming(scheduler->running[index]->seat->session))
            return true;
    return false;
}

static void tell_stats(struct weir_scheduler *scheduler)
{
    struct weir_scheduler_stats *counts = &scheduler->counts;
    weir_engine_stats_get(scheduler->engine, &counts->engine);
    (void)weir_engine_saved_get(scheduler->engine, &counts->saved);
    counts->running = scheduler->running_count;
    counts->state_bytes = weir_jobs_bytes(scheduler);
    counts->lent_bytes = atomic_load_explicit(&scheduler->lent_bytes, memory_order_relaxed);
    weir_expert_map_take(&scheduler->map, scheduler->engine);
    weir_expert_list_take(&scheduler->list, scheduler->engine);
    pthread_mutex_lock(&scheduler->lock);
    scheduler->stats = *counts;
    weir_jobs_tell(scheduler);
    pthread_mutex_unlock(&scheduler->lock);
}

/* Wait until there is something to do; false: the end. */
static bool wait_for_work(struct weir_scheduler *scheduler)
{
    /* Where nothing is computed the disk goes on here, else in the engine's steps. A text that was
     * on its way may be here then, and is looked at again at once. */
    const bool was_coming = is_any_coming(scheduler);
    const bool is_idle = !is_busy(scheduler) &&
                         !weir_engine_disk_wait(scheduler->engine, DISK_MS * 1e-3) && !was_coming;
    tell_stats(scheduler);
    atomic_fetch_add_explicit(&scheduler->beats, 1, memory_order_relaxed);
    pthread_mutex_lock(&scheduler->lock);
    while (!scheduler->is_ending && !scheduler->is_awake && is_idle) {
        struct timespec until;
        if (scheduler->running_count == 0 &&
            atomic_load_explicit(&scheduler->waiting, memory_order_relaxed) == 0) {
            atomic_store_explicit(&scheduler->is_idle, true, memory_order_relaxed);
            pthread_cond_wait(&scheduler->changed, &scheduler->lock);
            atomic_store_explicit(&scheduler->is_idle, false, memory_order_relaxed);
            continue;
        }
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += LOOK_MS * NS_PER_MS;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&scheduler->changed, &scheduler->lock, &until);
        break;
    }
    scheduler->is_awake = false;
    const bool goes_on = !scheduler->is_ending;
    pthread_mutex_unlock(&scheduler->lock);
    return goes_on;
}

static void *run(void *argument)
{
    struct weir_scheduler *scheduler = argument;
    weir_thread_name("steps", 0);
    while (wait_for_work(scheduler)) {
        weir_jobs_take_new(scheduler);
        weir_jobs_weed(scheduler, false);
        weir_jobs_look(scheduler);
        weir_jobs_lend(scheduler);
        weir_jobs_let_in(scheduler);
        run_step(scheduler);
    }
    while (scheduler->running_count > 0)
        weir_jobs_end(scheduler, scheduler->running[0], WEIR_JOB_CANCELLED, NULL);
    weir_jobs_take_new(scheduler);
    weir_jobs_weed(scheduler, true);
    weir_seats_deinit(&scheduler->seats);
    return NULL;
}

/* ---- the door ------------------------------------------------------------------------------ */

enum weir_status weir_scheduler_create(weir_scheduler **out,
                                       const struct weir_scheduler_config *config,
                                       struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    const struct weir_plan *plan = weir_engine_plan(config->engine);
    if (weir_engine_tokenizer(config->engine) == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "wanted a model with a vocabulary, found none: %s",
                         weir_engine_tokenizer_why(config->engine));
    weir_scheduler *scheduler = weir_heap_alloc(sizeof(*scheduler));
    if (scheduler == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a scheduler");
    pthread_mutex_init(&scheduler->lock, NULL);
    pthread_cond_init(&scheduler->changed, NULL);
    scheduler->config = *config;
    scheduler->engine = config->engine;
    scheduler->tokenizer = weir_engine_tokenizer(config->engine);
    scheduler->n_vocab = weir_engine_model(config->engine)->n_vocab;
    /* A step holds a token of each, and at least one row of a prompt. */
    scheduler->config.parallel =
        (uint32_t)weir_max(weir_min(config->parallel, plan->n_chunk - 1), 1);
    weir_portions_init(&scheduler->pieces, config->gap_ms, plan->n_chunk,
                       plan->n_slot_total < plan->n_expert_total);
    scheduler->counts.state_bytes_max = weir_text_bytes_max(config->engine);
    const uint32_t parallel = scheduler->config.parallel;
    scheduler->running = weir_heap_array(parallel, sizeof(struct weir_job *));
    scheduler->evals = weir_heap_array(parallel, sizeof(*scheduler->evals));
    const bool has_map = weir_expert_map_init(&scheduler->map, config->engine);
    if (!has_map || !weir_expert_list_init(&scheduler->list, config->engine) ||
        !weir_seats_init(&scheduler->seats, config->engine, parallel) ||
        scheduler->running == NULL || scheduler->evals == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u texts at once", parallel);
        goto fail;
    }
    const int os_errno = weir_thread_start(&scheduler->thread, STACK_BYTES, run, scheduler);
    scheduler->has_thread = os_errno == 0;
    if (os_errno != 0) {
        status = WEIR_FAIL_OS(err, os_errno, "start a thread");
        goto fail;
    }
    *out = scheduler;
    return WEIR_OK;

fail:
    weir_scheduler_destroy(&scheduler);
    return status;
}

void weir_scheduler_destroy(weir_scheduler **scheduler)
{
    if (*scheduler == NULL)
        return;
    weir_scheduler *ending = *scheduler;
    pthread_mutex_lock(&ending->lock);
    ending->is_ending = true;
    pthread_cond_signal(&ending->changed);
    pthread_mutex_unlock(&ending->lock);
    if (ending->has_thread)
        pthread_join(ending->thread, NULL);
    else
        weir_seats_deinit(&ending->seats);
    pthread_cond_destroy(&ending->changed);
    pthread_mutex_destroy(&ending->lock);
    weir_expert_map_deinit(&ending->map);
    weir_expert_list_deinit(&ending->list);
    weir_heap_free(ending->running);
    weir_heap_free(ending->evals);
    weir_heap_free(ending);
    *scheduler = NULL;
}

void weir_scheduler_submit(weir_scheduler *scheduler, struct weir_job *job)
{
    job->next = NULL;
    job->length = job->id_count;
    job->came_ns = weir_now_ns();
    if (job->party == NULL)
        job->party = &job->own;
    atomic_fetch_add(&scheduler->job_count, 1);
    atomic_fetch_add_explicit(&scheduler->waiting, 1, memory_order_relaxed);
    pthread_mutex_lock(&scheduler->lock);
    if (scheduler->last != NULL)
        scheduler->last->next = job;
    else
        scheduler->first = job;
    scheduler->last = job;
    scheduler->is_awake = true;
    pthread_cond_signal(&scheduler->changed);
    pthread_mutex_unlock(&scheduler->lock);
}

void weir_scheduler_wake(weir_scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    scheduler->is_awake = true;
    pthread_cond_signal(&scheduler->changed);
    pthread_mutex_unlock(&scheduler->lock);
}

void weir_scheduler_stats_get(weir_scheduler *scheduler, struct weir_scheduler_stats *stats)
{
    pthread_mutex_lock(&scheduler->lock);
    *stats = scheduler->stats;
    pthread_mutex_unlock(&scheduler->lock);
    stats->waiting = atomic_load_explicit(&scheduler->waiting, memory_order_relaxed);
    stats->peak_bytes = weir_peak_bytes(); /* asks the kernel: not before each step */
}

uint32_t weir_scheduler_texts_get(weir_scheduler *scheduler,
                                  struct weir_text_state states[WEIR_TEXT_STATES])
{
    pthread_mutex_lock(&scheduler->lock);
    const uint32_t count = scheduler->text_count;
    memcpy(states, scheduler->texts, count * sizeof(states[0]));
    pthread_mutex_unlock(&scheduler->lock);
    return count;
}

void weir_scheduler_map_get(weir_scheduler *scheduler, uint8_t *marks)
{
    weir_expert_map_get(&scheduler->map, marks);
    weir_scheduler_wake(scheduler);
}

uint32_t weir_scheduler_kept_get(weir_scheduler *scheduler, const struct weir_expert **experts)
{
    bool asks = false;
    const uint32_t count = weir_expert_list_get(&scheduler->list, experts, &asks);
    if (asks)
        weir_scheduler_wake(scheduler);
    return count;
}

uint64_t weir_scheduler_beats(const weir_scheduler *scheduler, bool *is_idle)
{
    *is_idle = atomic_load_explicit(&scheduler->is_idle, memory_order_relaxed);
    return atomic_load_explicit(&scheduler->beats, memory_order_relaxed);
}

bool weir_scheduler_is_idle(const weir_scheduler *scheduler)
{
    return atomic_load(&scheduler->job_count) == 0;
}

void weir_scheduler_lend(weir_scheduler *scheduler, uint64_t bytes)
{
    if (atomic_exchange_explicit(&scheduler->lend_bytes, bytes, memory_order_relaxed) != bytes)
        weir_scheduler_wake(scheduler);
}

uint64_t weir_scheduler_lent(const weir_scheduler *scheduler, bool *is_missed)
{
    *is_missed = atomic_load_explicit(&scheduler->is_missed, memory_order_relaxed);
    return atomic_load_explicit(&scheduler->lent_bytes, memory_order_relaxed);
}

uint32_t weir_scheduler_parallel(const weir_scheduler *scheduler)
{
    return scheduler->config.parallel;
}
