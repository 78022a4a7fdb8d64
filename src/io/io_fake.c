/* io_fake.c - a device that misbehaves on purpose, the same way for the same seed.
 *
 * It reads the real file, but in random order, late, in pieces, and with errors at the rates it is
 * told. What happens to a request is drawn when it first starts, so retries meet the same fate. */
#include <errno.h>
#include <time.h>

#include "base/heap.h"
#include "io/io_internal.h"

struct fake_state {
    uint64_t random_state;
    uint32_t *pending; /* [depth], unordered */
    uint32_t pending_count;
    uint64_t due_ns; /* when the next completion comes; 0: not drawn yet */
};

enum fate { FATE_FINE, FATE_SHORT, FATE_RETRY, FATE_ERROR, FATE_LOST };

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

static bool fake_close(weir_io *io)
{
    struct fake_state *state = io->state;
    weir_heap_free(state->pending);
    weir_heap_free(state);
    return true;
}

static enum fate fate_of(const struct weir_io_fake *fake, uint64_t random)
{
    const struct {
        double rate;
        enum fate fate;
    } fates[] = {{fake->error_rate, FATE_ERROR},
                 {fake->retry_rate, FATE_RETRY},
                 {fake->short_rate, FATE_SHORT},
                 {fake->lost_rate, FATE_LOST}};
    double draw = (double)(random >> 11) * 0x1.0p-53;
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
    WEIR_ASSERT(state->pending_count < io->config.depth);
    if (io->requests[request].random == 0)
        io->requests[request].random = weir_random_next(&state->random_state) | 1;
    if (fate_of(&io->config.fake, io->requests[request].random) != FATE_LOST)
        state->pending[state->pending_count++] = request;
}

static void fake_flush(weir_io *io)
{
    (void)io;
}

static int32_t serve(weir_io *io, uint32_t request)
{
    const struct weir_io_request *at = &io->requests[request];
    struct weir_io_range range = weir_io_missing(io, request);
    const enum fate fate = fate_of(&io->config.fake, at->random);
    if (fate == FATE_ERROR || (fate == FATE_RETRY && at->attempt == 0))
        return -EIO;
    if (fate == FATE_SHORT && at->done_bytes == 0 && range.bytes > WEIR_IO_ALIGN)
        range.bytes = (uint32_t)weir_align_up(range.bytes / 2, WEIR_IO_ALIGN);
    return weir_io_pread(range);
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

const struct weir_io_engine weir_io_engine_fake = {
    .name = "fake",
    .open = fake_open,
    .close = fake_close,
    .start = fake_start,
    .flush = fake_flush,
    .collect = fake_collect,
};
