/* jobs.c - jobs as they come, are let in, wait, and end; and how far they are. */
#include <string.h>

#include "base/heap.h"
#include "serve/scheduler_internal.h"
#include "serve/text_bytes.h"

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

void weir_jobs_end(struct weir_scheduler *scheduler, struct weir_job *job, enum weir_job_end end,
                   const struct weir_err *err)
{
    if (job->seat != NULL && !job->is_set_aside) {
        drop_running(scheduler, job);
        weir_fair_leave(&scheduler->fair, job);
    }
    if (job->seat != NULL)
        weir_seats_leave(&scheduler->seats, job->seat);
    weir_sampler_destroy(&job->sampler);
    weir_heap_free(job->ids);
    job->ids = NULL;
    job->sink->end(job->user, end, err);
    atomic_fetch_sub(&scheduler->job_count, 1);
}

void weir_jobs_put_back(struct weir_scheduler *scheduler, struct weir_job *job)
{
    drop_running(scheduler, job);
    job->cost = job->length - weir_session_position(job->seat->session);
    weir_fair_wait_first(&scheduler->fair, job); /* before it leaves: who has a text owes on */
    weir_fair_leave(&scheduler->fair, job);
    atomic_fetch_add_explicit(&scheduler->waiting, 1, memory_order_relaxed);
}

void weir_jobs_take_new(struct weir_scheduler *scheduler)
{
    pthread_mutex_lock(&scheduler->lock);
    struct weir_job *job = scheduler->first;
    scheduler->first = scheduler->last = NULL;
    pthread_mutex_unlock(&scheduler->lock);
    while (job != NULL) {
        struct weir_job *next = job->next;
        job->cost = job->length - weir_seats_known(&scheduler->seats, job);
        weir_fair_wait(&scheduler->fair, job);
        job = next;
    }
}

static bool is_wanted(const struct weir_job *job)
{
    return job->sink->look(job->user) != WEIR_JOB_LEAVES;
}

static bool is_never_wanted(const struct weir_job *job)
{
    (void)job;
    return false;
}

void weir_jobs_weed(struct weir_scheduler *scheduler, bool is_the_end)
{
    struct weir_job *job =
        weir_fair_weed(&scheduler->fair, is_the_end ? is_never_wanted : is_wanted);
    while (job != NULL) {
        struct weir_job *next = job->next;
        atomic_fetch_sub_explicit(&scheduler->waiting, 1, memory_order_relaxed);
        weir_jobs_end(scheduler, job, WEIR_JOB_CANCELLED, NULL);
        job = next;
    }
}

/* ---- letting in ---------------------------------------------------------------------------- */

/* That the job may come to remember. */
static uint64_t job_bytes(const struct weir_scheduler *scheduler, const struct weir_job *job)
{
    return weir_engine_text_bytes(scheduler->engine, job->id_count + job->token_max);
}

uint64_t weir_jobs_bytes(const struct weir_scheduler *scheduler)
{
    uint64_t bytes = 0;
    for (uint32_t index = 0; index < scheduler->running_count; index++)
        bytes += job_bytes(scheduler, scheduler->running[index]);
    return bytes;
}

/* Whether the job could run beside the others: what it begins with, and could have from them, is
 * not being computed. */
static bool may_be_next(const void *user, const struct weir_job *job)
{
    const struct weir_scheduler *scheduler = user;
    return scheduler->running_count == 0 || job->is_set_aside || job->sink->state != NULL ||
           !weir_seats_is_under_way(&scheduler->seats, job);
}

static uint64_t lent_bytes(const struct weir_scheduler *scheduler)
{
    return atomic_load_explicit(&scheduler->lent_bytes, memory_order_relaxed); /* our own */
}

/* Whether the job may run beside so many texts that may come to remember so much. Alone it may,
 * unless what it needs is lent. */
static bool has_room(const struct weir_scheduler *scheduler, const struct weir_job *job,
                     uint32_t count, uint64_t bytes)
{
    const uint64_t lent = lent_bytes(scheduler);
    if (count == 0 && lent == 0)
        return true;
    return count < scheduler->config.parallel && (job->away_from == 0 || count < job->away_from) &&
           bytes + lent + job_bytes(scheduler, job) <= scheduler->counts.state_bytes_max;
}

/* The text that was let in last of a party that has more of them than it would have to; NULL: there
 * is none. */
static struct weir_job *find_surplus(const struct weir_scheduler *scheduler,
                                     const struct weir_job *job)
{
    const struct weir_party *party = weir_fair_debtor(&scheduler->fair, job);
    for (uint32_t at = scheduler->running_count; party != NULL && at > 0; at--)
        if (scheduler->running[at - 1]->party == party && !scheduler->running[at - 1]->gives_way)
            return scheduler->running[at - 1];
    return NULL;
}

static void set_aside(struct weir_scheduler *scheduler, struct weir_job *job)
{
    weir_jobs_put_back(scheduler, job);
    if (!weir_seats_set_aside(&scheduler->seats, job))
        weir_seats_give_up(&scheduler->seats, job->seat);
    scheduler->counts.set_aside++;
}

/* Marks texts that would wait so that the job need not: as many as it takes. False: all of them
 * would not do. */
static bool mark_surplus(const struct weir_scheduler *scheduler, const struct weir_job *job)
{
    uint32_t count = scheduler->running_count;
    uint64_t bytes = weir_jobs_bytes(scheduler);
    struct weir_job *other = NULL;
    while (!has_room(scheduler, job, count, bytes) &&
           (other = find_surplus(scheduler, job)) != NULL) {
        other->gives_way = true;
        other->party->running--; /* as it would be */
        count--;
        bytes -= job_bytes(scheduler, other);
    }
    return has_room(scheduler, job, count, bytes);
}

/* Whether the text was marked; it is no more. */
static bool take_mark(struct weir_job *job)
{
    const bool was_marked = job->gives_way;
    job->gives_way = false;
    job->party->running += was_marked;
    return was_marked;
}

/* Texts wait so that the job need not, and none where that would not do. False: the job has to
 * wait. */
static bool make_way(struct weir_scheduler *scheduler, const struct weir_job *job)
{
    const bool is_enough = mark_surplus(scheduler, job);
    for (uint32_t at = scheduler->running_count; at > 0; at--) {
        struct weir_job *other = scheduler->running[at - 1];
        if (take_mark(other) && is_enough)
            set_aside(scheduler, other);
    }
    return is_enough;
}

/* A job's first seat also brings its sampler, once what comes from the disk is here. */
static enum weir_status begin_job(struct weir_scheduler *scheduler, struct weir_job *job,
                                  struct weir_err *err)
{
    const uint32_t cached = weir_session_ready(job->seat->session);
    if (job->has_begun || weir_session_is_coming(job->seat->session))
        return WEIR_OK;
    if (job->sink->state == NULL)
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

void weir_jobs_look(struct weir_scheduler *scheduler)
{
    struct weir_err err = {0};
    for (uint32_t index = 0; index < scheduler->running_count;) {
        struct weir_job *job = scheduler->running[index];
        const enum weir_job_look look = job->sink->look(job->user);
        job->is_waiting = look == WEIR_JOB_WAITS || weir_session_is_coming(job->seat->session);
        if (look == WEIR_JOB_LEAVES)
            weir_jobs_end(scheduler, job, WEIR_JOB_CANCELLED, NULL);
        else if (begin_job(scheduler, job, &err) != WEIR_OK)
            weir_jobs_end(scheduler, job, WEIR_JOB_FAILED, &err);
        else
            index++;
    }
}

/* False: it has to wait. */
static bool let_in(struct weir_scheduler *scheduler, struct weir_job *job)
{
    struct weir_err err = {0};
    if (!make_way(scheduler, job)) {
        if (scheduler->running_count == 0)
            atomic_store_explicit(&scheduler->is_missed, true, memory_order_relaxed);
        return false;
    }
    if (weir_seats_take(&scheduler->seats, job) == NULL && scheduler->running_count > 0)
        return false;
    if (weir_fair_is_question(job) && (scheduler->running_count > 0 || job->party != &job->own)) {
        scheduler->question_ns = weir_now_ns();
        scheduler->asks = scheduler->running_count > 0 ? NULL : job->party;
    }
    weir_fair_enter(&scheduler->fair, job);
    atomic_fetch_sub_explicit(&scheduler->waiting, 1, memory_order_relaxed);
    if (job->seat == NULL) {
        weir_fair_leave(&scheduler->fair, job);
        WEIR_FAIL(&err, WEIR_ERR_NOMEM, "no room under the ceiling for a text");
        weir_jobs_end(scheduler, job, WEIR_JOB_FAILED, &err);
        return true;
    }
    scheduler->running[scheduler->running_count++] = job;
    job->away_from = 0;
    job->is_waiting =
        weir_session_is_coming(job->seat->session) || job->sink->look(job->user) == WEIR_JOB_WAITS;
    if (begin_job(scheduler, job, &err) != WEIR_OK)
        weir_jobs_end(scheduler, job, WEIR_JOB_FAILED, &err);
    return true;
}

/* Whether the job would run in the place of another party that has too many, and of nobody who
 * waits. */
static bool may_take_a_place(const void *user, const struct weir_job *job)
{
    const struct weir_scheduler *scheduler = user;
    if (!may_be_next(user, job) ||
        has_room(scheduler, job, scheduler->running_count, weir_jobs_bytes(scheduler)))
        return false;
    const bool is_enough = mark_surplus(scheduler, job);
    for (uint32_t at = 0; at < scheduler->running_count; at++)
        (void)take_mark(scheduler->running[at]);
    return is_enough;
}

/* Where whose turn it is has to wait, for its own party has the places, or for memory, another one
 * still gets what a third has too much of: the one that waits could not have had it. */
void weir_jobs_let_in(struct weir_scheduler *scheduler)
{
    struct weir_job *job = NULL;
    do
        job = weir_fair_next(&scheduler->fair, may_be_next, scheduler);
    while (job != NULL && let_in(scheduler, job));
    while (job != NULL) {
        job = weir_fair_next(&scheduler->fair, may_take_a_place, scheduler);
        if (job != NULL && !let_in(scheduler, job))
            job = NULL;
    }
}

/* What texts that run may come to need is not lent: one that is half done would fail. */
void weir_jobs_lend(struct weir_scheduler *scheduler)
{
    const uint64_t wanted = atomic_load_explicit(&scheduler->lend_bytes, memory_order_relaxed);
    if (wanted == 0)
        scheduler->refused_bytes = 0;
    if (wanted == lent_bytes(scheduler) || (wanted > 0 && wanted == scheduler->refused_bytes) ||
        (wanted > 0 && weir_jobs_bytes(scheduler) + wanted > scheduler->counts.state_bytes_max))
        return;
    if (weir_engine_lend(scheduler->engine, wanted, NULL) != WEIR_OK) {
        scheduler->refused_bytes = wanted;
        return;
    }
    atomic_store_explicit(&scheduler->lent_bytes, wanted, memory_order_relaxed);
    atomic_store_explicit(&scheduler->is_missed, false, memory_order_relaxed);
}

/* ---- how far they are ---------------------------------------------------------------------- */

static void tell_job(struct weir_scheduler *scheduler, const struct weir_job *job)
{
    const uint32_t position = job->seat == NULL ? 0 : weir_session_position(job->seat->session);
    const bool runs = job->seat != NULL && !job->is_set_aside;
    if (scheduler->text_count == WEIR_TEXT_STATES)
        return;
    scheduler->texts[scheduler->text_count++] = (struct weir_text_state){
        .phase = !runs ? (job->is_set_aside ? WEIR_TEXT_IS_ASIDE : WEIR_TEXT_WAITS)
                 : position < job->id_count ? WEIR_TEXT_IS_READ
                                            : WEIR_TEXT_IS_WRITTEN,
        .prompt_tokens = job->id_count,
        .computed_tokens = (uint32_t)weir_min(position, job->id_count),
        .written_tokens = job->length - job->id_count,
        .came_ns = job->came_ns,
    };
}

void weir_jobs_tell(struct weir_scheduler *scheduler)
{
    const struct weir_party *party = scheduler->fair.turn;
    scheduler->text_count = 0;
    for (uint32_t index = 0; index < scheduler->running_count; index++)
        tell_job(scheduler, scheduler->running[index]);
    while (party != NULL && scheduler->text_count < WEIR_TEXT_STATES) {
        for (const struct weir_job *job = party->first; job != NULL; job = job->next)
            tell_job(scheduler, job);
        party = party->next == scheduler->fair.turn ? NULL : party->next;
    }
}
