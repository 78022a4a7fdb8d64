/* seats.h - sessions of the engine, each with a job or with what the last one left. */
#ifndef WEIR_SERVE_SEATS_H
#define WEIR_SERVE_SEATS_H

#include "serve/scheduler.h"

struct weir_seat {
    weir_session *session; /* NULL: the seat is empty */
    struct weir_job *job;  /* NULL: nobody sits here */
    uint32_t *ids;         /* of a session that is left: what it holds */
    uint32_t id_count;
    uint64_t used; /* when it was left, counted in jobs */
};

struct weir_seats {
    weir_engine *engine;
    struct weir_seat *seats; /* [count] twice as many as may be used, for jobs that are set aside */
    uint32_t count, most;    /* most: sessions, those of jobs that are set aside apart */
    uint32_t aside_count;
    uint64_t clock;
};

/* Seats for count jobs; false: no memory. */
bool weir_seats_init(struct weir_seats *seats, weir_engine *engine, uint32_t count);
void weir_seats_deinit(struct weir_seats *seats);

/* How many of the job's ids need not be computed: some session has them. */
uint32_t weir_seats_known(const struct weir_seats *seats, const struct weir_job *job);
/* A session for the job, with as much of its text as any session has; at least one id is left to
 * compute. One that was set aside has its own. NULL: all are taken, or memory has no room for one
 * more. */
struct weir_seat *weir_seats_take(struct weir_seats *seats, struct weir_job *job);
/* The job is over; its session stays with what it holds, and takes over its ids. That of one that
 * tells states goes. */
void weir_seats_leave(struct weir_seats *seats, struct weir_seat *seat);
/* The session goes too, and the job keeps its ids. */
void weir_seats_give_up(struct weir_seats *seats, struct weir_seat *seat);
/* The job waits, and keeps its session as long as there is memory; false: too many do. */
bool weir_seats_set_aside(struct weir_seats *seats, struct weir_job *job);
/* The session goes that nobody has used for the longest time, or one that was set aside, whose job
 * then begins again; false: there is none. */
bool weir_seats_forget_oldest(struct weir_seats *seats);
/* Whether a running job computes ids now that this one begins with too: worth waiting for. */
bool weir_seats_is_under_way(const struct weir_seats *seats, const struct weir_job *job);

#endif
