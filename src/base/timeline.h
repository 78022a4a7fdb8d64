/* timeline.h - what each thread and the device did, and when: recorded in memory, written as JSON.
 *
 * Job       Keep events in planned memory while tokens are computed; write them at the end as a
 *           Chrome trace. NULL stands for "nothing is recorded": no clock is read then.
 * Not here  Sums and rates (the statistics of the rooms).
 * Units     *_ns on CLOCK_MONOTONIC; in the file microseconds since the timeline was made.
 * Owns      Nothing: the timeline lives in weir_mem use TIMELINE. Names are borrowed for good:
 *           string constants.
 * Threads   Any thread adds, without a lock; each event is written by one thread. write may run
 *           beside that, and leaves out what is not complete.
 * Errors    None. A full timeline counts what found no room.
 * Source    Trace Event Format (Google, 2016), phases X, b, e and M; docs/formats/timeline.md.
 */
#ifndef WEIR_TIMELINE_H
#define WEIR_TIMELINE_H

#include <stdio.h>

#include "base/base.h"
#include "base/mem.h"

/* What an event's numbers are called in the file. */
enum weir_event_kind {
    WEIR_EVENT_LOAD,  /* before the first token */
    WEIR_EVENT_STEP,  /* tokens, position */
    WEIR_EVENT_LAYER, /* layer */
    WEIR_EVENT_JOB,   /* one thread's part of a job */
    WEIR_EVENT_WAIT,
    WEIR_EVENT_CALL, /* bytes: a system call of a reader */
    WEIR_EVENT_READ, /* bytes, layer, record, slice; of the device: may overlap others */
    WEIR_EVENT_KIND_COUNT
};

enum {
    WEIR_EVENT_ARG_MAX = 4,
    /* Tracks: the engine is part 0 of each job, thread weir-cpu-N part N. */
    WEIR_TRACK_ENGINE = 0,
    WEIR_TRACK_READER = 1024, /* and above: weir-io-N */
    WEIR_TRACK_COUNT = 2048,
};

/* A number that this event does not have. */
#define WEIR_EVENT_ARG_NONE UINT32_MAX

struct weir_event {
    const char *name;
    uint64_t begin_ns; /* weir_timeline_now() when it began */
    uint32_t arg[WEIR_EVENT_ARG_MAX];
    enum weir_event_kind kind;
    uint32_t track; /* not of a read */
};

typedef struct weir_timeline weir_timeline;

/* Ask mem for room for event_count events: counts and returns NULL while PLANNING; NULL also for
 * none. */
weir_timeline *weir_timeline_layout(struct weir_mem *mem, uint32_t event_count);
/* The event ended now. */
void weir_timeline_record(weir_timeline *timeline, const struct weir_event *event);
/* The whole file; errors of writing stay in file. timeline may be NULL. Returns how many events
 * are not in it. */
uint64_t weir_timeline_write(const weir_timeline *timeline, FILE *file);

static inline uint64_t weir_timeline_now(const weir_timeline *timeline)
{
    return timeline == NULL ? 0 : weir_now_ns();
}

static inline void weir_timeline_add(weir_timeline *timeline, struct weir_event event)
{
    if (timeline != NULL)
        weir_timeline_record(timeline, &event);
}

#endif
