/* guard.c - how much has to be left, and what is done when it is not.
 *
 * I1  Slots are only ever given back: what is free again may be about to be taken again.
 * I2  A limit that is lowered is not growth: growth is what others use more. */
#include "engine/guard.h"

#include <stdio.h>
#include <string.h>

enum {
    MARGIN_PART = 64, /* of the limit, of the machine's memory */
    MARGIN_MIN_BYTES = 16 << 20,
    MARGIN_MAX_BYTES = 1 << 30,
    GIVE_MIN_BYTES = 4 << 20, /* so that slow growth is answered by steps, not by a trickle */
    STALL_PART = 10,          /* memory is waited for when it takes a tenth of the time */
    FAULTS_MAX = 64,          /* pages of ours read back within an interval */
};

/* Nothing to compare with: no growth can be seen. */
#define USED_UNKNOWN INT64_MAX

/* How a place looks in one sample. */
struct view {
    const char *name;
    uint64_t whole_bytes;
    int64_t room_bytes;              /* negative when a limit was set beneath what is used */
    int64_t least_bytes, most_bytes; /* what others use, from any zero: differences count */
};

/* Bytes of one place are in use. What is ours is taken off: as much as we have, or where nobody
 * tells, as much as we shall have. */
static struct view view_of(const struct weir_guard *guard, const struct weir_sys_pressure *sample,
                           int64_t used_bytes, int64_t free_bytes)
{
    const bool is_told = sample->own_most_bytes != UINT64_MAX;
    const uint64_t least_bytes = is_told ? sample->own_least_bytes : guard->promised_bytes;
    const uint64_t most_bytes = is_told ? sample->own_most_bytes : guard->promised_bytes;
    const uint64_t awaited_bytes =
        guard->promised_bytes - weir_min(most_bytes, guard->promised_bytes);
    return (struct view){.room_bytes = free_bytes - (int64_t)awaited_bytes,
                         .least_bytes = used_bytes - (int64_t)most_bytes,
                         .most_bytes = used_bytes - (int64_t)least_bytes};
}

static struct view view_group(const struct weir_guard *guard,
                              const struct weir_sys_pressure *sample)
{
    struct view view = view_of(guard, sample, (int64_t)sample->usage_bytes,
                               (int64_t)(sample->limit_bytes - sample->usage_bytes));
    view.name = sample->group_level == 0 ? "our control group" : "a control group above ours";
    view.whole_bytes = sample->limit_bytes;
    return view;
}

static struct view view_machine(const struct weir_guard *guard,
                                const struct weir_sys_pressure *sample)
{
    struct view view =
        view_of(guard, sample, -(int64_t)sample->available_bytes, (int64_t)sample->available_bytes);
    view.name = "the machine";
    view.whole_bytes = guard->total_bytes;
    return view;
}

static struct weir_guard_place begin_place(bool is_known, struct view view)
{
    if (!is_known)
        return (struct weir_guard_place){.margin_max_bytes = UINT64_MAX,
                                         .used_bytes = USED_UNKNOWN};
    return (struct weir_guard_place){.margin_max_bytes =
                                         view.room_bytes > 0 ? (uint64_t)view.room_bytes / 2 : 0,
                                     .used_bytes = view.most_bytes};
}

void weir_guard_begin(struct weir_guard *guard, const struct weir_sys_pressure *sample,
                      uint64_t total_bytes)
{
    guard->total_bytes = total_bytes;
    guard->last = *sample;
    guard->group = begin_place(sample->limit_bytes != UINT64_MAX, view_group(guard, sample));
    guard->machine =
        begin_place(sample->available_bytes != UINT64_MAX, view_machine(guard, sample));
}

/* Bytes that a place lacks; with them the reason is written. */
static uint64_t lacks(struct weir_guard *guard, struct weir_guard_place *place, struct view view,
                      bool is_stalled)
{
    char left[32];
    char whole[32];
    char wanted[32];
    const uint64_t part_bytes = weir_max(view.whole_bytes / MARGIN_PART, MARGIN_MIN_BYTES);
    const uint64_t margin_bytes =
        weir_min(weir_min(part_bytes, MARGIN_MAX_BYTES), place->margin_max_bytes);
    const uint64_t grown_bytes =
        view.least_bytes > place->used_bytes ? (uint64_t)(view.least_bytes - place->used_bytes) : 0;
    place->growth_bytes = weir_max(grown_bytes, place->growth_bytes / 2);
    place->used_bytes = view.most_bytes;
    const uint64_t low_bytes = (margin_bytes + place->growth_bytes) * (is_stalled ? 2 : 1);
    if (view.room_bytes >= (int64_t)low_bytes)
        return 0;
    const uint64_t room_bytes = view.room_bytes > 0 ? (uint64_t)view.room_bytes : 0;
    snprintf(guard->stats.reason, sizeof(guard->stats.reason), "%s left of %s in %s, %s wanted%s",
             weir_format_size(room_bytes, left, sizeof(left)),
             weir_format_size(view.whole_bytes, whole, sizeof(whole)), view.name,
             weir_format_size(low_bytes, wanted, sizeof(wanted)),
             is_stalled ? ", and memory is being waited for" : "");
    return (uint64_t)((int64_t)low_bytes - view.room_bytes) +
           weir_max(margin_bytes, GIVE_MIN_BYTES);
}

uint64_t weir_guard_missing(struct weir_guard *guard, const struct weir_sys_pressure *sample,
                            uint64_t elapsed_ns)
{
    const uint64_t stall_us = sample->stall_us - weir_min(sample->stall_us, guard->last.stall_us);
    const bool has_faults = sample->major_faults - guard->last.major_faults > FAULTS_MAX;
    const bool has_stalls = stall_us > elapsed_ns / 1000 / STALL_PART;
    /* Somebody else's group may be short of memory while ours is not. */
    const bool is_group_stalled = has_faults || (has_stalls && !sample->stall_is_machine);
    const bool has_limit = sample->limit_bytes != UINT64_MAX;
    uint64_t missing_bytes = 0;
    if (!has_limit || sample->group_level != guard->last.group_level)
        guard->group.used_bytes = USED_UNKNOWN;
    if (has_limit)
        missing_bytes = lacks(guard, &guard->group, view_group(guard, sample), is_group_stalled);
    if (sample->available_bytes != UINT64_MAX)
        missing_bytes =
            weir_max(missing_bytes, lacks(guard, &guard->machine, view_machine(guard, sample),
                                          has_faults || has_stalls));
    guard->last = *sample;
    return missing_bytes;
}

static uint64_t count_promised(const struct weir_mem *mem)
{
    uint64_t bytes = 0;
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++)
        bytes += weir_mem_reached_bytes(mem, (enum weir_mem_use)use);
    return bytes;
}

enum weir_status weir_guard_open(struct weir_guard *guard, const struct weir_guard_config *config,
                                 struct weir_err *err)
{
    struct weir_sys_memory memory;
    struct weir_sys_pressure sample;
    *guard = (struct weir_guard){.store = config->store,
                                 .mem = config->mem,
                                 .slot_total = config->slot_total,
                                 .notice = config->notice,
                                 .notice_user = config->notice_user};
    if (config->store == NULL)
        return WEIR_OK;
    WEIR_TRY(weir_sys_watch_open(&guard->watch, err));
    weir_sys_memory_get(&memory);
    weir_sys_watch_sample(guard->watch, &sample);
    guard->promised_bytes = count_promised(guard->mem);
    weir_guard_begin(guard, &sample, memory.total_bytes);
    guard->last_ns = weir_now_ns();
    return WEIR_OK;
}

void weir_guard_close(struct weir_guard *guard)
{
    weir_sys_watch_close(&guard->watch);
}

static void tell(const struct weir_guard *guard, uint64_t given_bytes, uint64_t given_slots,
                 uint64_t left)
{
    char text[400];
    char size[32];
    if (guard->notice == NULL)
        return;
    if (given_bytes == 0)
        snprintf(text, sizeof(text),
                 "memory is short (%s): no more expert slots can be given back, %llu of %u remain",
                 guard->stats.reason, (unsigned long long)left, guard->slot_total);
    else
        snprintf(text, sizeof(text),
                 "memory is short (%s): %llu expert slots, %s, given back for good, %llu of %u "
                 "remain",
                 guard->stats.reason, (unsigned long long)given_slots,
                 weir_format_size(given_bytes, size, sizeof(size)), (unsigned long long)left,
                 guard->slot_total);
    guard->notice(guard->notice_user, text);
}

void weir_guard_check(void *user)
{
    struct weir_guard *guard = user;
    struct weir_sys_pressure sample;
    struct weir_store_stats before;
    struct weir_store_stats after;
    if (guard->store == NULL)
        return;
    const uint64_t now_ns = weir_now_ns();
    if (now_ns - guard->last_ns < WEIR_GUARD_INTERVAL_NS)
        return;
    weir_sys_watch_sample(guard->watch, &sample);
    guard->promised_bytes = count_promised(guard->mem);
    guard->stats.samples++;
    const uint64_t missing_bytes = weir_guard_missing(guard, &sample, now_ns - guard->last_ns);
    guard->last_ns = now_ns;
    if (missing_bytes == 0)
        return;
    weir_store_stats_get(guard->store, &before);
    const uint64_t given_bytes = weir_store_shrink(guard->store, missing_bytes);
    weir_store_stats_get(guard->store, &after);
    const uint64_t given_slots = after.retired_slots - before.retired_slots;
    guard->stats.retired_slots += given_slots;
    guard->stats.shrunk_bytes += after.retired_bytes - before.retired_bytes;
    guard->stats.shrinks += given_bytes > 0;
    if (given_bytes > 0 || !guard->is_spent)
        tell(guard, given_bytes, given_slots, guard->slot_total - after.retired_slots);
    guard->is_spent = given_bytes == 0;
}
