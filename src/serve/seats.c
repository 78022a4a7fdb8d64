/* seats.c - sessions of the engine, each with a job or with what the last one left.
 *
 * I1  A seat without a session has neither ids nor a job; one with a job has no ids of its own. */
#include "serve/seats.h"

#include <string.h>

#include "base/heap.h"

enum {
    SHARED_MIN = 32, /* ids at the beginning that are worth waiting for or going back to */
    LOST_MAX = 64,   /* ids behind the common ones that a conversation may lose */
};

bool weir_seats_init(struct weir_seats *seats, weir_engine *engine, uint32_t count)
{
    *seats = (struct weir_seats){.engine = engine, .count = 2 * count, .most = count};
    seats->seats = weir_heap_array(seats->count, sizeof(*seats->seats));
    return seats->seats != NULL;
}

static void clear(struct weir_seat *seat)
{
    weir_session_destroy(&seat->session);
    weir_heap_free(seat->ids);
    *seat = (struct weir_seat){0};
}

void weir_seats_deinit(struct weir_seats *seats)
{
    for (uint32_t index = 0; seats->seats != NULL && index < seats->count; index++)
        clear(&seats->seats[index]);
    weir_heap_free(seats->seats);
    *seats = (struct weir_seats){0};
}

/* How many ids of the job the seat's session has computed. */
static uint32_t count_common(const struct weir_seat *seat, const struct weir_job *job)
{
    const uint32_t *ids = seat->job != NULL ? seat->job->ids : seat->ids;
    const uint32_t most = (uint32_t)weir_min(weir_session_position(seat->session), job->length - 1);
    uint32_t count = 0;
    while (count < most && ids[count] == job->ids[count])
        count++;
    return count;
}

bool weir_seats_is_under_way(const struct weir_seats *seats, const struct weir_job *job)
{
    for (uint32_t index = 0; index < seats->count && job->sink->state == NULL; index++) {
        const struct weir_job *other = seats->seats[index].job;
        if (other == NULL || other->is_set_aside)
            continue;
        const uint32_t position = weir_session_position(seats->seats[index].session);
        const uint32_t most = (uint32_t)weir_min(other->length, job->length);
        uint32_t count = 0;
        while (count < most && other->ids[count] == job->ids[count])
            count++;
        if (position < other->length && other->length - position > 1 &&
            count > position + SHARED_MIN)
            return true;
    }
    return false;
}

/* NULL: as many have sessions as may. */
static struct weir_seat *find_empty(struct weir_seats *seats)
{
    struct weir_seat *empty = NULL;
    uint32_t used = 0;
    for (uint32_t index = 0; index < seats->count; index++) {
        used += seats->seats[index].session != NULL;
        if (seats->seats[index].session == NULL && empty == NULL)
            empty = &seats->seats[index];
    }
    return used - seats->aside_count < seats->most ? empty : NULL;
}

static struct weir_seat *find_oldest(struct weir_seats *seats)
{
    struct weir_seat *oldest = NULL;
    for (uint32_t index = 0; index < seats->count; index++) {
        struct weir_seat *seat = &seats->seats[index];
        if (seat->session != NULL && seat->job == NULL &&
            (oldest == NULL || seat->used < oldest->used))
            oldest = seat;
    }
    return oldest;
}

/* Whose job is set aside; NULL: none. */
static struct weir_seat *find_aside(struct weir_seats *seats)
{
    for (uint32_t index = 0; index < seats->count; index++)
        if (seats->seats[index].job != NULL && seats->seats[index].job->is_set_aside)
            return &seats->seats[index];
    return NULL;
}

/* The session that is missed least; NULL: all are in use. */
static struct weir_seat *find_spare(struct weir_seats *seats)
{
    struct weir_seat *oldest = find_oldest(seats);
    return oldest != NULL ? oldest : find_aside(seats);
}

/* What a session holds goes to the disk, where there is a folder for it. */
static void keep_text(weir_session *session)
{
    (void)weir_session_save(session, NULL); /* ARG: there is none */
}

/* Its session goes, and its job, where it has one, begins again, or from what the disk has. */
static void give_up(struct weir_seats *seats, struct weir_seat *seat)
{
    if (seat->job != NULL) {
        keep_text(seat->session);
        seats->aside_count -= seat->job->is_set_aside;
        seat->job->is_set_aside = false;
        seat->job->cost = seat->job->length;
        seat->job->seat = NULL;
    }
    clear(seat);
}

/* Whether so many ids at the beginning are worth going on from: many, or all that one of the two
 * has. */
static bool is_worth_sharing(const struct weir_seat *seat, const struct weir_job *job,
                             uint32_t count)
{
    const bool is_all = count + 1 == job->length || (seat->job == NULL && count == seat->id_count);
    return count >= SHARED_MIN || (count > 0 && is_all);
}

/* NULL also for a job that tells states: all of its text has to be computed. */
static struct weir_seat *find_nearest(const struct weir_seats *seats, const struct weir_job *job,
                                      uint32_t *common)
{
    struct weir_seat *nearest = NULL;
    *common = 0;
    for (uint32_t index = 0; index < seats->count && job->sink->state == NULL; index++) {
        struct weir_seat *seat = &seats->seats[index];
        const uint32_t count = seat->session == NULL ? 0 : count_common(seat, job);
        if (count > *common && is_worth_sharing(seat, job, count)) {
            nearest = seat;
            *common = count;
        }
    }
    return nearest;
}

/* How many of a job's ids the disk has. */
static uint32_t count_saved(const struct weir_seats *seats, const struct weir_job *job)
{
    return job->sink->state != NULL ? 0 : weir_engine_saved(seats->engine, job->ids, job->length);
}

uint32_t weir_seats_known(const struct weir_seats *seats, const struct weir_job *job)
{
    uint32_t common = 0;
    if (job->seat != NULL)
        return weir_session_position(job->seat->session);
    if (job->sink->state != NULL)
        return 0; /* all of it has to be computed */
    find_nearest(seats, job, &common);
    return (uint32_t)weir_max(common, count_saved(seats, job));
}

/* A session that begins as another one does, or an empty one that takes over what pages hold, in
 * memory and on the disk. What comes from the disk wants room for all of its pages at once, so at
 * last it is done without: !from_disk. */
static bool open_session(struct weir_seats *seats, struct weir_seat *seat, struct weir_job *job,
                         const struct weir_seat *nearest, uint32_t common, bool from_disk)
{
    uint32_t known = 0;
    if (nearest != NULL)
        return weir_session_fork(&seat->session, nearest->session, NULL) == WEIR_OK &&
               weir_session_rewind(seat->session, common) == WEIR_OK;
    if (weir_session_create(&seat->session, seats->engine, NULL) != WEIR_OK)
        return false;
    if (job->sink->state != NULL)
        return true;
    return (from_disk ? weir_session_recall(seat->session, job->ids, job->length, &known, NULL)
                      : weir_session_adopt(seat->session, job->ids, job->length, &known, NULL)) ==
           WEIR_OK;
}

static struct weir_seat *sit(struct weir_seat *seat, struct weir_job *job)
{
    weir_heap_free(seat->ids);
    seat->ids = NULL;
    seat->id_count = 0;
    seat->job = job;
    job->seat = seat;
    return seat;
}

/* Its job is next. */
static struct weir_seat *take_back(struct weir_seats *seats, struct weir_job *job)
{
    if (find_empty(seats) == NULL && find_oldest(seats) != NULL)
        clear(find_oldest(seats));
    job->is_set_aside = false;
    seats->aside_count--;
    return job->seat;
}

struct weir_seat *weir_seats_take(struct weir_seats *seats, struct weir_job *job)
{
    if (job->is_set_aside)
        return take_back(seats, job);
    uint32_t common = 0;
    struct weir_seat *nearest = find_nearest(seats, job, &common);
    struct weir_seat *seat = find_empty(seats);
    bool from_disk = true;
    if (count_saved(seats, job) > common + SHARED_MIN)
        nearest = NULL; /* the disk has more */
    /* The same conversation goes on: it loses little, if anything, by going back. */
    const bool goes_on = nearest != NULL && nearest->job == NULL &&
                         (nearest->id_count - common <= LOST_MAX || seat == NULL);
    if (goes_on && weir_session_rewind(nearest->session, common) == WEIR_OK)
        return sit(nearest, job);
    if (seat == NULL) {
        seat = find_oldest(seats);
        if (seat == NULL)
            return NULL;
        clear(seat);
    }
    while (!open_session(seats, seat, job, nearest, common, from_disk)) {
        clear(seat);
        struct weir_seat *spare = find_spare(seats);
        if (spare == NULL && !from_disk)
            return NULL;
        if (spare == NULL) {
            from_disk = false;
            continue;
        }
        if (spare == nearest)
            nearest = NULL;
        give_up(seats, spare);
    }
    return sit(seat, job);
}

void weir_seats_leave(struct weir_seats *seats, struct weir_seat *seat)
{
    struct weir_job *job = seat->job;
    seats->aside_count -= job->is_set_aside;
    job->is_set_aside = false;
    job->seat = NULL;
    if (job->sink->state != NULL) { /* no text goes on from it: conversations keep their places */
        clear(seat);
        return;
    }
    seat->ids = job->ids;
    seat->id_count = weir_session_position(seat->session);
    seat->used = ++seats->clock;
    keep_text(seat->session);
    seat->job = NULL;
    job->ids = NULL;
}

bool weir_seats_set_aside(struct weir_seats *seats, struct weir_job *job)
{
    if (seats->aside_count == seats->most)
        return false;
    keep_text(job->seat->session); /* so that its memory can go at once when it is wanted */
    seats->aside_count++;
    job->is_set_aside = true;
    return true;
}

void weir_seats_give_up(struct weir_seats *seats, struct weir_seat *seat)
{
    give_up(seats, seat);
}

bool weir_seats_forget_oldest(struct weir_seats *seats)
{
    struct weir_seat *spare = find_spare(seats);
    if (spare == NULL)
        return false;
    give_up(seats, spare);
    return true;
}
