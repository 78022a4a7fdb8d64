/* io_fake.c - a device that misbehaves on purpose, the same way for the same seed.
 *
 * It works on the real file, but in random order, late, in pieces, and with errors at the rates it
 * is told. What happens to a request is drawn when it first starts, so retries meet the same fate.
 *
 * I1  When the device can crash, undo holds what each write has replaced that was served and that
 *     no barrier of its file has followed. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "base/heap.h"
#include "io/io_internal.h"

enum { SECTOR_BYTES = 512 }; /* what a device writes whole or not at all */

/* What a write has replaced. */
struct undo {
    struct undo *older;
    uint32_t file;
    struct weir_io_range range; /* of the write; dst holds the old bytes */
    uint8_t room[];             /* a page more than the bytes, for the alignment */
};

struct fake_state {
    uint64_t random_state;
    uint32_t *pending; /* [depth], unordered */
    uint32_t pending_count;
    uint64_t due_ns; /* when the next completion comes; 0: not drawn yet */
    struct undo *undo;
};

enum fate { FATE_FINE, FATE_SHORT, FATE_RETRY, FATE_ERROR, FATE_LOST, FATE_FULL };

static enum weir_status fake_open(weir_io *io, struct weir_err *err)
{
    struct fake_state *state = weir_heap_alloc(sizeof(*state));
    if (state == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the fake device");
    state->random_state = io->config.fake.seed;
    state->pending = weir_heap_array(io->config.depth, sizeof(*state->pending));
    if (state->pending == NULL) {
        weir_heap_free(state);
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the fake device");
    }
    io->state = state;
    return WEIR_OK;
}

static void drop_undo(struct undo **undo)
{
    struct undo *dropped = *undo;
    *undo = dropped->older;
    weir_heap_free(dropped);
}

static bool fake_close(weir_io *io)
{
    struct fake_state *state = io->state;
    while (state->undo != NULL)
        drop_undo(&state->undo);
    weir_heap_free(state->pending);
    weir_heap_free(state);
    return true;
}

static enum fate fate_of(const struct weir_io_fake *fake, const struct weir_io_request *at)
{
    const struct {
        double rate;
        enum fate fate;
    } fates[] = {{fake->error_rate, FATE_ERROR},
                 {fake->retry_rate, FATE_RETRY},
                 {fake->short_rate, FATE_SHORT},
                 {fake->lost_rate, FATE_LOST},
                 {at->op == WEIR_IO_WRITE ? fake->full_rate : 0.0, FATE_FULL}};
    double draw = (double)(at->random >> 11) * 0x1.0p-53;
    for (size_t index = 0; index < WEIR_COUNT(fates); index++) {
        if (draw < fates[index].rate)
            return fates[index].fate;
        draw -= fates[index].rate;
    }
    return FATE_FINE;
}

static void fake_start(weir_io *io, uint32_t request)
{
    struct fake_state *state = io->state;
    struct weir_io_request *at = &io->requests[request];
    WEIR_ASSERT(state->pending_count < io->config.depth);
    if (at->random == 0)
        at->random = weir_random_next(&state->random_state) | 1;
    if (fate_of(&io->config.fake, at) != FATE_LOST)
        state->pending[state->pending_count++] = request;
}

static void fake_flush(weir_io *io)
{
    (void)io;
}

/* Room for bytes of a range, aligned. */
static struct undo *make_undo(struct weir_io_range range)
{
    struct undo *undo = weir_heap_alloc(sizeof(*undo) + range.bytes + WEIR_IO_ALIGN);
    if (undo == NULL)
        return NULL;
    const uintptr_t room = (uintptr_t)undo->room;
    range.dst = undo->room + (weir_align_up(room, WEIR_IO_ALIGN) - room);
    undo->range = range;
    return undo;
}

/* Read what is there now to where the range's bytes go. */
static bool read_old(struct undo *undo)
{
    struct weir_io_range range = undo->range;
    range.op = WEIR_IO_READ;
    return weir_io_perform(range) == (int32_t)range.bytes;
}

/* Write a range, and remember what was there before; keeps I1. */
static int32_t write_range(weir_io *io, uint32_t file, struct weir_io_range range)
{
    struct fake_state *state = io->state;
    struct undo *undo = NULL;
    if (io->config.fake.can_crash) {
        undo = make_undo(range);
        if (undo == NULL)
            return -ENOMEM;
        if (!read_old(undo)) {
            weir_heap_free(undo);
            return -EIO;
        }
        undo->file = file;
        undo->older = state->undo;
        state->undo = undo;
    }
    return weir_io_perform(range);
}

static int32_t serve_barrier(weir_io *io, const struct weir_io_request *at, enum fate fate)
{
    struct fake_state *state = io->state;
    if (fate == FATE_ERROR)
        return -EIO;
    if (fate == FATE_RETRY && at->attempt == 0)
        return -EINTR;
    for (struct undo **undo = &state->undo; *undo != NULL;) { /* I1 */
        if ((*undo)->file == at->file)
            drop_undo(undo);
        else
            undo = &(*undo)->older;
    }
    return 0;
}

static int32_t serve(weir_io *io, uint32_t request)
{
    const struct weir_io_request *at = &io->requests[request];
    struct weir_io_range range = weir_io_missing(io, request);
    const enum fate fate = fate_of(&io->config.fake, at);
    if (at->is_cut_off)
        return -EIO;
    if (at->op == WEIR_IO_BARRIER)
        return serve_barrier(io, at, fate);
    const bool is_cut = fate == FATE_ERROR || fate == FATE_SHORT;
    if (is_cut && at->done_bytes == 0 && range.bytes > WEIR_IO_ALIGN)
        range.bytes = (uint32_t)weir_align_up(range.bytes / 2, WEIR_IO_ALIGN);
    if (fate == FATE_ERROR && at->op == WEIR_IO_WRITE) /* and yet it leaves a part of its bytes */
        (void)write_range(io, at->file, range);
    if (fate == FATE_ERROR || (fate == FATE_RETRY && at->attempt == 0))
        return -EIO;
    if (fate == FATE_FULL)
        return -ENOSPC;
    return at->op == WEIR_IO_WRITE ? write_range(io, at->file, range) : weir_io_perform(range);
}

static void sleep_for(uint64_t pause_ns)
{
    const struct timespec pause = {.tv_sec = (time_t)(pause_ns / 1000000000),
                                   .tv_nsec = (long)(pause_ns % 1000000000)};
    if (pause_ns > 0)
        nanosleep(&pause, NULL);
}

/* Wait for the next completion, no longer than wait_ns; false when it is later than that. */
static bool sleep_until_due(struct fake_state *state, uint32_t latency_ns_max, int64_t wait_ns)
{
    if (latency_ns_max == 0)
        return true;
    const uint64_t now_ns = weir_now_ns();
    if (state->due_ns == 0)
        state->due_ns = now_ns + weir_random_next(&state->random_state) % latency_ns_max;
    const uint64_t left_ns = state->due_ns > now_ns ? state->due_ns - now_ns : 0;
    const bool is_late = left_ns > (uint64_t)wait_ns;
    sleep_for(is_late ? (uint64_t)wait_ns : left_ns);
    if (!is_late)
        state->due_ns = 0;
    return !is_late;
}

static uint32_t fake_collect(weir_io *io, struct weir_io_result *results, uint32_t capacity,
                             int64_t wait_ns)
{
    struct fake_state *state = io->state;
    const uint64_t draw = weir_random_next(&state->random_state);
    if (state->pending_count == 0) /* all that is in flight is lost */
        sleep_for((uint64_t)wait_ns);
    /* Nobody waits: half of the time nothing has come yet. */
    if (capacity == 0 || state->pending_count == 0 || (wait_ns == 0 && draw % 2 == 0))
        return 0;
    if (!sleep_until_due(state, io->config.fake.latency_ns_max, wait_ns))
        return 0;
    const uint32_t at = (uint32_t)(weir_random_next(&state->random_state) % state->pending_count);
    const uint32_t request = state->pending[at];
    state->pending[at] = state->pending[--state->pending_count];
    results[0] = (struct weir_io_result){.request = request, .result = serve(io, request)};
    return 1;
}

/* Of what is in the file, each sector goes back to the old bytes, or not. */
static void undo_sectors(struct fake_state *state, struct undo *undo)
{
    struct undo *now = make_undo(undo->range);
    WEIR_ASSERT(now != NULL && read_old(now)); /* a test's own file and memory */
    for (uint32_t at = 0; at < now->range.bytes; at += SECTOR_BYTES)
        if (weir_random_next(&state->random_state) % 2 == 0)
            memcpy(now->range.dst + at, undo->range.dst + at, SECTOR_BYTES);
    now->range.op = WEIR_IO_WRITE;
    now->range.src = now->range.dst;
    WEIR_ASSERT(weir_io_perform(now->range) == (int32_t)now->range.bytes);
    weir_heap_free(now);
}

void weir_io_fake_crash(weir_io *io)
{
    struct fake_state *state = io->state;
    WEIR_ASSERT(io->engine == &weir_io_engine_fake && io->config.fake.can_crash);
    for (uint32_t index = 0; index < state->pending_count; index++) {
        struct weir_io_request *at = &io->requests[state->pending[index]];
        if (at->op == WEIR_IO_WRITE)
            (void)write_range(io, at->file, weir_io_missing(io, state->pending[index]));
        at->attempt = WEIR_IO_ATTEMPT_MAX;
        at->is_cut_off = true;
    }
    while (state->undo != NULL) { /* the youngest first: what it replaced may be undone as well */
        undo_sectors(state, state->undo);
        drop_undo(&state->undo);
    }
}

const struct weir_io_engine weir_io_engine_fake = {
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .start = fake_start,
    .flush = fake_flush,
    .collect = fake_collect,
};
