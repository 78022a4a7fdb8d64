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
    *seats = (struct weir_seats){.engine = engine, .count = count};
    seats->seats = weir_heap_array(count, sizeof(*seats->seats));
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
    for (uint32_t index = 0; index < seats->count; index++) {
        const struct weir_job *other = seats->seats[index].job;
        if (other == NULL)
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

static struct weir_seat *find_empty(struct weir_seats *seats)
{
    for (uint32_t index = 0; index < seats->count; index++)
        if (seats->seats[index].session == NULL)
            return &seats->seats[index];
    return NULL;
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

static struct weir_seat *find_nearest(struct weir_seats *seats, const struct weir_job *job,
                                      uint32_t *common)
{
    struct weir_seat *nearest = NULL;
    *common = 0;
    for (uint32_t index = 0; index < seats->count; index++) {
        struct weir_seat *seat = &seats->seats[index];
        const uint32_t count = seat->session == NULL ? 0 : count_common(seat, job);
        if (count >= SHARED_MIN && count > *common) {
            nearest = seat;
            *common = count;
        }
    }
    return nearest;
}

/* A session that begins as another one does, or an empty one that takes over what pages hold. */
static bool open_session(struct weir_seats *seats, struct weir_seat *seat, struct weir_job *job,
                         const struct weir_seat *nearest, uint32_t common)
{
    uint32_t adopted = 0;
    if (nearest != NULL)
        return weir_session_fork(&seat->session, nearest->session, NULL) == WEIR_OK &&
               weir_session_rewind(seat->session, common) == WEIR_OK;
    return weir_session_create(&seat->session, seats->engine, NULL) == WEIR_OK &&
           weir_session_adopt(seat->session, job->ids, job->length, &adopted, NULL) == WEIR_OK;
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

struct weir_seat *weir_seats_take(struct weir_seats *seats, struct weir_job *job)
{
    uint32_t common = 0;
    struct weir_seat *nearest = find_nearest(seats, job, &common);
    struct weir_seat *seat = find_empty(seats);
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
    while (!open_session(seats, seat, job, nearest, common)) {
        clear(seat);
        struct weir_seat *oldest = find_oldest(seats);
        if (oldest == NULL)
            return NULL;
        if (oldest == nearest)
            nearest = NULL;
        clear(oldest);
    }
    return sit(seat, job);
}

void weir_seats_leave(struct weir_seats *seats, struct weir_seat *seat)
{
    struct weir_job *job = seat->job;
    seat->ids = job->ids;
    seat->id_count = weir_session_position(seat->session);
    seat->used = ++seats->clock;
    seat->job = NULL;
    job->ids = NULL;
    job->seat = NULL;
}

void weir_seats_give_up(struct weir_seat *seat)
{
    seat->job->seat = NULL;
    seat->job = NULL;
    clear(seat);
}

bool weir_seats_forget_oldest(struct weir_seats *seats)
{
    struct weir_seat *oldest = find_oldest(seats);
    if (oldest == NULL)
        return false;
    clear(oldest);
    return true;
}
