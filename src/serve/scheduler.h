/* scheduler.h - many texts written together on one engine.
 *
 * A job is a prompt and how to go on with it. Each step of the engine computes one token of every
 * text that is being written, and beside them a piece of the prompts: a new job joins at the next
 * step, one that has ended leaves at once. Who is let in, and whose prompts get how much of a step,
 * follows from whose turn it is (fair.h). What a text has computed stays with its session until
 * another job takes it, so that a conversation's next turn computes only what is new.
 *
 * Threads   Callbacks run on the scheduler's own thread. Everything else: any thread.
 */
#ifndef WEIR_SERVE_SCHEDULER_H
#define WEIR_SERVE_SCHEDULER_H

#include "base/base.h"
#include "serve/fair.h"
#include "weir.h"

enum weir_job_look {
    WEIR_JOB_WANTED,
    WEIR_JOB_WAITS,  /* nobody takes its text at the moment */
    WEIR_JOB_LEAVES, /* nobody wants it any more */
};

enum weir_job_end {
    WEIR_JOB_STOPPED, /* an end token, a stop string, the grammar's end; or all states are told */
    WEIR_JOB_LENGTH,
    WEIR_JOB_CANCELLED,
    WEIR_JOB_FAILED, /* err says why; ARG: its grammar has no way on */
};

struct weir_job;

/* Whoever submits a job. */
struct weir_job_sink {
    /* Before each step. */
    enum weir_job_look (*look)(void *user);
    /* Before its first token: what was known of the prompt already. False: it cannot go on. */
    bool (*begin)(void *user, uint32_t cached_count);
    /* So many ids of the prompt are computed, the last ones just now. NULL: nobody asks. */
    void (*progress)(void *user, uint32_t computed);
    /* For a job that writes nothing: the state [d_model] of each position behind the final norm, in
     * their order. A job that had to make room tells them all again, from the first. NULL: the job
     * writes a text. False: it ends here. */
    bool (*state)(void *user, uint32_t position, const float *state);
    /* The next token, and the logits that it was chosen from. False: the text ends here. */
    bool (*token)(void *user, uint32_t id, const float *logits);
    /* The scheduler is done with the job, which may be freed. */
    void (*end)(void *user, enum weir_job_end end, const struct weir_err *err);
};

struct weir_job {
    uint32_t *ids; /* [id_count + token_max] the prompt; the scheduler takes them over */
    uint32_t id_count;
    uint32_t token_max; /* at least 1; with the prompt no more than the context. 0: only states */
    bool ends_whole;    /* where its grammar lets it end at the last token, it has not been cut */
    struct weir_sampler_config choice; /* its arrays and grammar live until the end */
    const struct weir_job_sink *sink;
    void *user;
    struct weir_party *party; /* whose turn is used up; NULL: its own; borrowed until the end */
    /* Ids that come instead of chosen ones, from where the grammar allows the first of them, and as
     * far as it does; the sink's begin() and token() may set them. */
    const uint32_t *forced; /* [forced_count] */
    uint32_t forced_count;

    /* The scheduler's own. */
    struct weir_job *next; /* in the queue */
    weir_sampler *sampler;
    struct weir_seat *seat;
    struct weir_party own; /* where it has no other */
    uint64_t came_ns;
    uint32_t cost;      /* tokens that are not computed yet, as they were counted last */
    bool is_set_aside;  /* it has a seat, and waits: others are next */
    uint32_t length;    /* ids that are there: the prompt and what was written */
    uint32_t forced_at; /* of forced ids, those that have come */
    bool has_begun;
    bool is_waiting;    /* is left out of the next step */
    bool gives_way;     /* is set aside for another one, if that has room then */
    uint32_t away_from; /* it made room for so many: it comes back when they are fewer */
};

typedef struct weir_scheduler weir_scheduler;

struct weir_scheduler_config {
    weir_engine *engine;
    uint32_t parallel; /* jobs at the same time */
    uint32_t gap_ms;   /* between two tokens of others beside a prompt, as portions.h has it */
};

/* Numbers since the beginning, and of now. */
struct weir_scheduler_stats {
    uint32_t running, waiting;
    uint64_t prompt_tokens, cached_tokens, written_tokens, steps, preempted;
    uint64_t set_aside;                    /* texts that others with fewer were let in before */
    uint64_t state_bytes, state_bytes_max; /* of what runs; of which others may be let in */
    uint64_t lent_bytes;                   /* of the ceiling, for the next model */
    struct weir_stats engine;
    struct weir_saved_stats saved; /* zeros: no texts are kept on the disk */
    uint64_t peak_bytes;
};

enum weir_text_phase {
    WEIR_TEXT_WAITS,
    WEIR_TEXT_IS_ASIDE, /* it waits, and has its session */
    WEIR_TEXT_IS_READ,
    WEIR_TEXT_IS_WRITTEN,
};

/* How far a text is. */
struct weir_text_state {
    enum weir_text_phase phase;
    uint32_t prompt_tokens, computed_tokens, written_tokens; /* computed: of the prompt */
    uint64_t came_ns;
};

enum { WEIR_TEXT_STATES = 32 };

/* Errors: ARG (a model without a vocabulary), NOMEM. */
enum weir_status weir_scheduler_create(weir_scheduler **out,
                                       const struct weir_scheduler_config *config,
                                       struct weir_err *err);
/* Every job that is left ends CANCELLED. */
void weir_scheduler_destroy(weir_scheduler **scheduler);
/* Its end is told in every case. */
void weir_scheduler_submit(weir_scheduler *scheduler, struct weir_job *job);
/* What look() would say has changed. */
void weir_scheduler_wake(weir_scheduler *scheduler);
void weir_scheduler_stats_get(weir_scheduler *scheduler, struct weir_scheduler_stats *stats);
/* The first of those that run and then of those that wait, as they were before the last step; how
 * many. */
uint32_t weir_scheduler_texts_get(weir_scheduler *scheduler,
                                  struct weir_text_state states[WEIR_TEXT_STATES]);
/* How often its thread has come round, which it does at least once a step; *is_idle: it waits, for
 * there is nothing to do. */
uint64_t weir_scheduler_beats(const weir_scheduler *scheduler, bool *is_idle);
/* Whether it has no job at all. */
bool weir_scheduler_is_idle(const weir_scheduler *scheduler);
/* Where experts were before the last step or, where nothing runs, when this was called the last
 * time: marks [n_layer][n_expert] as weir_engine_experts_look() has them. One thread at a time. */
void weir_scheduler_map_get(weir_scheduler *scheduler, uint8_t *marks);
/* The experts that are the most worth a slot, the most of them first, when this was called the last
 * time; how many, 0: they are not told yet, or all are in memory. The list is the caller's until it
 * calls again. One thread at a time. */
uint32_t weir_scheduler_kept_get(weir_scheduler *scheduler, const struct weir_expert **experts);
/* So many bytes of the engine's ceiling are to be another's (weir_engine_lend); 0: none any more.
 * The scheduler's thread sees to it between two steps, once there is room beside texts that run. */
void weir_scheduler_lend(weir_scheduler *scheduler, uint64_t bytes);
/* How many are now; *is_missed: a text waits for them. */
uint64_t weir_scheduler_lent(const weir_scheduler *scheduler, bool *is_missed);
/* How many jobs run at most: parallel, or what a step of the engine holds. */
uint32_t weir_scheduler_parallel(const weir_scheduler *scheduler);

#endif
