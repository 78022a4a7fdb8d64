/* scheduler.c - many texts written together on one engine.
 *
 * I1  Only this thread calls into the engine.
 * I2  A job is in the queue, or runs (it has a seat), or has ended. */
#include "serve/scheduler.h"

#include <string.h>
#include <time.h>

#include "base/heap.h"
#include "base/thread.h"
#include "serve/expert_map.h"
#include "serve/seats.h"

enum {
    STACK_BYTES = 1 << 20,
    ROWS_MIN = 8, /* of prompts in a step with others, however long it takes */
    LOOK_MS = 20, /* between two looks at jobs that nobody takes text from */
    NS_PER_MS = 1000000,
};

struct weir_scheduler {
    weir_engine *engine;
    weir_tokenizer *tokenizer;
    struct weir_scheduler_config config;
    uint32_t n_chunk, n_vocab;
    struct weir_seats seats;
    struct weir_job **running; /* [parallel] in the order in which they came */
    struct weir_eval *evals;   /* [parallel] */
    uint32_t running_count;
    uint32_t beside_rows; /* of prompts in a step with tokens of others */
    struct weir_scheduler_stats counts;
    struct weir_expert_map map;
    pthread_t thread;
    bool has_thread;

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct weir_job *first, *last; /* the queue */
    uint32_t waiting;
    struct weir_scheduler_stats stats; /* counts as they were before the last step */
    bool is_awake;                     /* somebody has called since the last step */
    bool is_ending;
};

/* ---- bytes of state ------------------------------------------------------------------------ */

/* What a text of so many positions remembers. */
static uint64_t state_bytes(const weir_engine *engine, uint64_t n_position)
{
    const struct weir_token_cost *cost = &weir_engine_plan(engine)->cost;
    uint64_t bytes = 0;
    for (uint32_t index = 0; index < cost->state_count; index++) {
        const struct weir_state_cost *state = &cost->states[index];
        const uint64_t held = state->window > 0 ? weir_min(n_position, state->window) : n_position;
        bytes += state->fixed_bytes + state->position_bytes * held;
    }
    return bytes;
}

static uint64_t job_bytes(const struct weir_scheduler *scheduler, const struct weir_job *job)
{
    const uint64_t logit_bytes = scheduler->n_vocab * sizeof(float);
    return state_bytes(scheduler->engine, (uint64_t)job->id_count + job->token_max) + logit_bytes;
}

/* One full context, what the plan leaves, and half of what slots have beyond one token's experts:
 * the other half is what makes them fast. */
static uint64_t most_state_bytes(const weir_engine *engine)
{
    const struct weir_plan *plan = weir_engine_plan(engine);
    const uint64_t floor = (uint64_t)plan->cost.n_expert_used * plan->cost.n_moe_layer;
    const uint64_t more = plan->n_slot_total - weir_min(plan->n_slot_total, floor);
    return state_bytes(engine, plan->n_ctx) + (plan->budget_bytes - plan->planned_bytes) +
           more / 2 * plan->cost.record_bytes;
}

/* ---- jobs ---------------------------------------------------------------------------------- */

static void drop_running(struct weir_scheduler *scheduler, struct weir_job *job)
{
    uint32_t at = 0;
    while (scheduler->running[at] != job)
        at++;
    scheduler->running_count--;
    memmove(&scheduler->running[at], &scheduler->running[at + 1],
            (scheduler->running_count - at) * sizeof(scheduler->running[0]));
}

static void end_job(struct weir_scheduler *scheduler, struct weir_job *job, enum weir_job_end end,
                    const struct weir_err *err)
{
    if (job->seat != NULL) {
        drop_running(scheduler, job);
        weir_seats_leave(&scheduler->seats, job->seat);
    }
    weir_sampler_destroy(&job->sampler);
    weir_heap_free(job->ids);
    job->ids = NULL;
    job->sink->end(job->user, end, err);
}

static struct weir_job *take_first(struct weir_scheduler *scheduler)
{
    struct weir_job *job = scheduler->first;
    scheduler->first = job->next;
    if (scheduler->first == NULL)
        scheduler->last = NULL;
    job->next = NULL;
    scheduler->waiting--;
    return job;
}

static void put_first(struct weir_scheduler *scheduler, struct weir_job *job)
{
    job->next = scheduler->first;
    scheduler->first = job;
    if (scheduler->last == NULL)
        scheduler->last = job;
    scheduler->waiting++;
}

void weir_scheduler_submit(weir_scheduler *scheduler, struct weir_job *job)
{
    job->next = NULL;
    job->length = job->id_count;
    pthread_mutex_lock(&scheduler->lock);
    if (scheduler->last != NULL)
        scheduler->last->next = job;
    else
        scheduler->first = job;
    scheduler->last = job;
    scheduler->waiting++;
    scheduler->is_awake = true;
    pthread_cond_signal(&scheduler->changed);
    pthread_mutex_unlock(&scheduler->lock);
}

/* Those that nobody wants any more leave the queue. */
static void look_at_queue(struct weir_scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    struct weir_job *job = scheduler->first;
    scheduler->first = scheduler->last = NULL;
    scheduler->waiting = 0;
    pthread_mutex_unlock(&scheduler->lock);
    struct weir_job *kept = NULL;
    while (job != NULL) {
        struct weir_job *next = job->next;
        if (job->sink->look(job->user) == WEIR_JOB_LEAVES) {
            end_job(scheduler, job, WEIR_JOB_CANCELLED, NULL);
        } else {
            job->next = kept;
            kept = job;
        }
        job = next;
    }
    pthread_mutex_lock(&scheduler->lock);
    while (kept != NULL) { /* the last of them first, before those that came meanwhile */
        struct weir_job *next = kept->next;
        put_first(scheduler, kept);
        kept = next;
    }
    pthread_mutex_unlock(&scheduler->lock);
}

static void look_at_running(struct weir_scheduler *scheduler)
{
    for (uint32_t index = 0; index < scheduler->running_count;) {
        struct weir_job *job = scheduler->running[index];
        const enum weir_job_look look = job->sink->look(job->user);
        job->is_waiting = look == WEIR_JOB_WAITS;
        if (look == WEIR_JOB_LEAVES)
            end_job(scheduler, job, WEIR_JOB_CANCELLED, NULL);
        else
            index++;
    }
}

/* ---- letting in ---------------------------------------------------------------------------- */

static uint64_t running_bytes(const struct weir_scheduler *scheduler)
{
    uint64_t bytes = 0;
    for (uint32_t index = 0; index < scheduler->running_count; index++)
        bytes += job_bytes(scheduler, scheduler->running[index]);
    return bytes;
}

static bool may_enter(const struct weir_scheduler *scheduler, const struct weir_job *job)
{
    const uint64_t bytes = running_bytes(scheduler) + job_bytes(scheduler, job);
    return scheduler->running_count == 0 ||
           (scheduler->running_count < scheduler->config.parallel &&
            bytes <= scheduler->counts.state_bytes_max &&
            !weir_seats_is_under_way(&scheduler->seats, job));
}

/* A job's first seat also brings its sampler. */
static enum weir_status begin_job(struct weir_scheduler *scheduler, struct weir_job *job,
                                  struct weir_err *err)
{
    const uint32_t cached = weir_session_position(job->seat->session);
    if (job->has_begun)
        return WEIR_OK;
    WEIR_TRY(weir_sampler_create(&job->sampler, &job->choice, scheduler->n_vocab, err));
    for (uint32_t at = 0; at < job->id_count; at++)
        weir_sampler_accept(job->sampler, job->ids[at]);
    if (!job->sink->begin(job->user, cached))
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for an answer");
    job->has_begun = true;
    scheduler->counts.cached_tokens += cached;
    scheduler->counts.prompt_tokens += job->id_count;
    return WEIR_OK;
}

/* False: it has to wait. */
static bool let_in(struct weir_scheduler *scheduler, struct weir_job *job)
{
    struct weir_err err = {0};
    if (!may_enter(scheduler, job))
        return false;
    if (weir_seats_take(&scheduler->seats, job) == NULL) {
        if (scheduler->running_count > 0)
            return false;
        WEIR_FAIL(&err, WEIR_ERR_NOMEM, "no room under the ceiling for a text");
        end_job(scheduler, job, WEIR_JOB_FAILED, &err);
        return true;
    }
    scheduler->running[scheduler->running_count++] = job;
    if (begin_job(scheduler, job, &err) != WEIR_OK)
        end_job(scheduler, job, WEIR_JOB_FAILED, &err);
    return true;
}

static void let_all_in(struct weir_scheduler *scheduler)
{
    for (;;) {
        pthread_mutex_lock(&scheduler->lock);
        struct weir_job *job = scheduler->first == NULL ? NULL : take_first(scheduler);
        pthread_mutex_unlock(&scheduler->lock);
        if (job == NULL)
            return;
        if (let_in(scheduler, job))
            continue;
        pthread_mutex_lock(&scheduler->lock);
        put_first(scheduler, job);
        pthread_mutex_unlock(&scheduler->lock);
        return;
    }
}

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

static void add_eval(struct weir_scheduler *scheduler, uint32_t *count, struct weir_job *job,
                     uint32_t rows)
{
    const uint32_t position = weir_session_position(job->seat->session);
    scheduler->evals[(*count)++] = (struct weir_eval){
        .session = job->seat->session,
        .ids = job->ids + position,
        .count = rows,
        .phase = is_written(job) ? WEIR_PHASE_DECODE : WEIR_PHASE_PROMPT,
        .user = job,
    };
}

/* Every text's next token, and an equal share of the rows that are left to each prompt. *has_both:
 * the step has prompts beside tokens. */
static uint32_t compose(struct weir_scheduler *scheduler, bool *has_both)
{
    uint32_t count = 0, prompts = 0;
    for (uint32_t index = 0; index < scheduler->running_count; index++) {
        struct weir_job *job = scheduler->running[index];
        if (!job->is_waiting && is_written(job))
            add_eval(scheduler, &count, job, 1);
        else
            prompts += !job->is_waiting;
    }
    *has_both = count > 0 && prompts > 0;
    uint32_t rows = scheduler->n_chunk - count;
    if (count > 0)
        rows = (uint32_t)weir_min(rows, scheduler->beside_rows);
    for (uint32_t index = 0; index < scheduler->running_count && prompts > 0; index++) {
        struct weir_job *job = scheduler->running[index];
        if (job->is_waiting || is_written(job))
            continue;
        const uint32_t share = (uint32_t)weir_max(rows / prompts, 1);
        const uint32_t taken = (uint32_t)weir_min(share, count_pending(job));
        prompts--;
        if (rows == 0)
            break;
        rows -= taken;
        add_eval(scheduler, &count, job, taken);
    }
    return count;
}

/* How much of prompts goes beside tokens follows from how long the others had to wait. */
static void adapt_rows(struct weir_scheduler *scheduler, uint64_t took_ns)
{
    const uint64_t bound_ns = (uint64_t)scheduler->config.gap_ms * NS_PER_MS;
    uint32_t rows = scheduler->beside_rows;
    if (took_ns > bound_ns)
        rows /= 2;
    else if (took_ns < bound_ns / 2)
        rows *= 2;
    scheduler->beside_rows = (uint32_t)weir_max(weir_min(rows, scheduler->n_chunk), ROWS_MIN);
}

/* With its last token the text is all that it had to be. */
static bool is_whole(const struct weir_job *job)
{
    return job->ends_whole && weir_sampler_bytes_left(job->sampler) == 0;
}

/* Logits are there: choose, tell, and see whether the text goes on. */
static void write_token(struct weir_scheduler *scheduler, struct weir_job *job)
{
    const float *logits = weir_session_logits(job->seat->session);
    const uint32_t id = weir_sampler_pick(job->sampler, logits);
    if (id == WEIR_ID_NONE) {
        struct weir_err err = {0};
        const char *why = weir_sampler_why(job->sampler);
        if (why != NULL)
            WEIR_FAIL(&err, WEIR_ERR_FORMAT, "%s", why);
        end_job(scheduler, job, why == NULL ? WEIR_JOB_STOPPED : WEIR_JOB_FAILED, &err);
        return;
    }
    scheduler->counts.written_tokens++;
    if (weir_tokenizer_is_end(scheduler->tokenizer, id) ||
        !job->sink->token(job->user, id, logits)) {
        end_job(scheduler, job, WEIR_JOB_STOPPED, NULL);
        return;
    }
    job->ids[job->length++] = id;
    if (job->length == job->id_count + job->token_max)
        end_job(scheduler, job, is_whole(job) ? WEIR_JOB_STOPPED : WEIR_JOB_LENGTH, NULL);
}

/* Memory is short: what is only kept goes, then whoever came last has to begin again. False: there
 * is nobody beside the one text. */
static bool make_room(struct weir_scheduler *scheduler)
{
    if (weir_seats_forget_oldest(&scheduler->seats))
        return true;
    if (scheduler->running_count < 2)
        return false;
    struct weir_job *job = scheduler->running[scheduler->running_count - 1];
    drop_running(scheduler, job);
    weir_seats_give_up(job->seat);
    pthread_mutex_lock(&scheduler->lock);
    put_first(scheduler, job);
    scheduler->counts.preempted++;
    pthread_mutex_unlock(&scheduler->lock);
    return true;
}

static void heed_evals(struct weir_scheduler *scheduler, uint32_t count, const struct weir_err *err)
{
    for (uint32_t index = 0; index < count; index++) {
        const struct weir_eval *eval = &scheduler->evals[index];
        struct weir_job *job = eval->user;
        if (eval->status != WEIR_OK && eval->status != WEIR_ERR_NOMEM)
            end_job(scheduler, job, WEIR_JOB_FAILED, err);
        else if (eval->status == WEIR_OK && count_pending(job) == 0)
            write_token(scheduler, job);
    }
}

static void run_step(struct weir_scheduler *scheduler)
{
    struct weir_err err = {0};
    bool has_both = false;
    const uint32_t count = compose(scheduler, &has_both);
    if (count == 0)
        return;
    const uint64_t begin_ns = weir_now_ns();
    const enum weir_status status =
        weir_engine_eval(scheduler->engine, scheduler->evals, count, &err);
    if (has_both)
        adapt_rows(scheduler, weir_now_ns() - begin_ns);
    scheduler->counts.steps++;
    heed_evals(scheduler, count, &err);
    if (status == WEIR_ERR_NOMEM && !make_room(scheduler))
        while (scheduler->running_count > 0)
            end_job(scheduler, scheduler->running[0], WEIR_JOB_FAILED, &err);
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

static void tell_stats(struct weir_scheduler *scheduler)
{
    struct weir_scheduler_stats *counts = &scheduler->counts;
    weir_engine_stats_get(scheduler->engine, &counts->engine);
    counts->running = scheduler->running_count;
    counts->state_bytes = running_bytes(scheduler);
    counts->peak_bytes = weir_peak_bytes();
    weir_expert_map_take(&scheduler->map, scheduler->engine);
    pthread_mutex_lock(&scheduler->lock);
    scheduler->stats = *counts;
    pthread_mutex_unlock(&scheduler->lock);
}

/* Wait until there is something to do; false: the end. */
static bool wait_for_work(struct weir_scheduler *scheduler)
{
    tell_stats(scheduler);
    pthread_mutex_lock(&scheduler->lock);
    while (!scheduler->is_ending && !scheduler->is_awake && !is_busy(scheduler)) {
        struct timespec until;
        if (scheduler->running_count == 0 && scheduler->first == NULL) {
            pthread_cond_wait(&scheduler->changed, &scheduler->lock);
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
        look_at_queue(scheduler);
        look_at_running(scheduler);
        let_all_in(scheduler);
        run_step(scheduler);
    }
    while (scheduler->running_count > 0)
        end_job(scheduler, scheduler->running[0], WEIR_JOB_CANCELLED, NULL);
    pthread_mutex_lock(&scheduler->lock);
    struct weir_job *job = scheduler->first;
    scheduler->first = scheduler->last = NULL;
    pthread_mutex_unlock(&scheduler->lock);
    while (job != NULL) {
        struct weir_job *next = job->next;
        end_job(scheduler, job, WEIR_JOB_CANCELLED, NULL);
        job = next;
    }
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
    scheduler->n_chunk = plan->n_chunk;
    scheduler->n_vocab = weir_engine_model(config->engine)->n_vocab;
    /* A step holds a token of each, and at least one row of a prompt. */
    scheduler->config.parallel =
        (uint32_t)weir_max(weir_min(config->parallel, plan->n_chunk - 1), 1);
    scheduler->beside_rows = (uint32_t)weir_min(4 * ROWS_MIN, plan->n_chunk);
    scheduler->counts.state_bytes_max = most_state_bytes(config->engine);
    const uint32_t parallel = scheduler->config.parallel;
    scheduler->running = weir_heap_array(parallel, sizeof(struct weir_job *));
    scheduler->evals = weir_heap_array(parallel, sizeof(*scheduler->evals));
    const bool has_map = weir_expert_map_init(&scheduler->map, config->engine);
    if (!has_map || !weir_seats_init(&scheduler->seats, config->engine, parallel) ||
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
    weir_heap_free(ending->running);
    weir_heap_free(ending->evals);
    weir_heap_free(ending);
    *scheduler = NULL;
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
    stats->waiting = scheduler->waiting;
    pthread_mutex_unlock(&scheduler->lock);
}

void weir_scheduler_map_get(weir_scheduler *scheduler, uint8_t *marks)
{
    weir_expert_map_get(&scheduler->map, marks);
    weir_scheduler_wake(scheduler);
}

uint32_t weir_scheduler_parallel(const weir_scheduler *scheduler)
{
    return scheduler->config.parallel;
}
