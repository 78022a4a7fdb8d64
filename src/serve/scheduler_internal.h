/* scheduler_internal.h - what the files of the scheduler share: its thread's own.
 *
 * I1  Only this thread calls into the engine.
 * I2  A job has just come, or waits, or runs (it has a seat), or has ended. One that waits may have
 *     a seat too: it was set aside. */
#ifndef WEIR_SERVE_SCHEDULER_INTERNAL_H
#define WEIR_SERVE_SCHEDULER_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "serve/expert_list.h"
#include "serve/expert_map.h"
#include "serve/portions.h"
#include "serve/scheduler.h"
#include "serve/seats.h"

struct weir_scheduler {
    weir_engine *engine;
    weir_tokenizer *tokenizer;
    struct weir_scheduler_config config;
    uint32_t n_vocab;
    struct weir_seats seats;
    struct weir_job **running; /* [parallel] in the order in which they came */
    struct weir_eval *evals;   /* [parallel] */
    uint32_t running_count;
    struct weir_portions pieces; /* of prompts, in a step */
    uint64_t question_ns;        /* when a short question came last; 0: never */
    const void *asks;            /* whose, where nothing ran beside it; only compared */
    struct weir_fair fair;       /* all that have a job, and jobs that wait */
    struct weir_scheduler_stats counts;
    struct weir_expert_map map;
    struct weir_expert_list list;
    pthread_t thread;
    bool has_thread;
    atomic_uint job_count; /* that have come, and whose end is not told */
    atomic_uint waiting;   /* that have come, or wait; it and what follows order nothing */
    atomic_uint_least64_t beats;
    atomic_bool is_idle;
    atomic_uint_least64_t lend_bytes; /* of the ceiling, that are asked for */
    atomic_uint_least64_t lent_bytes; /* that have been given; its thread's */
    atomic_bool is_missed;            /* a text waits for them; the same */
    uint64_t refused_bytes;           /* that slots could not give, and are not asked for again */

    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t changed;
    struct weir_job *first, *last;                  /* that have just come */
    struct weir_text_state texts[WEIR_TEXT_STATES]; /* as they were before the last step */
    uint32_t text_count;
    struct weir_scheduler_stats stats; /* counts as they were before the last step */
    bool is_awake;                     /* somebody has called since the last step */
    bool is_ending;
};

/* ---- jobs (jobs.c) ------------------------------------------------------------------------- */

/* Those that have come stand behind others of their party. */
void weir_jobs_take_new(struct weir_scheduler *scheduler);
/* Those that wait and that nobody wants any more end; at the end all of them. */
void weir_jobs_weed(struct weir_scheduler *scheduler, bool is_the_end);
/* The same of those that run; and whether their text is taken. */
void weir_jobs_look(struct weir_scheduler *scheduler);
/* Whose turn it is runs, while there is room. */
void weir_jobs_let_in(struct weir_scheduler *scheduler);
/* It runs no longer, and is the first of its party's that wait. */
void weir_jobs_put_back(struct weir_scheduler *scheduler, struct weir_job *job);
void weir_jobs_end(struct weir_scheduler *scheduler, struct weir_job *job, enum weir_job_end end,
                   const struct weir_err *err);
/* How far the first of them are; with the lock held. */
void weir_jobs_tell(struct weir_scheduler *scheduler);
/* What those that run may come to remember. */
uint64_t weir_jobs_bytes(const struct weir_scheduler *scheduler);
/* Bytes of the ceiling are given, or taken back, as was asked for. */
void weir_jobs_lend(struct weir_scheduler *scheduler);

#endif
