/* io_threads.c - requests by a few threads that block in pread, pwrite and fdatasync.
 *
 * One lock guards both queues. Each holds at most depth requests, which is all there are. */
#include <errno.h>
#include <time.h>

#include "base/heap.h"
#include "base/thread.h"
#include "io/io_internal.h"

enum { NAMED_READERS_MAX = 1000, STACK_BYTES = 256 << 10 };

struct thread_state {
    weir_io *io;
    pthread_mutex_t lock;
    pthread_cond_t work;    /* a request was queued, or we are stopping */
    pthread_cond_t arrived; /* a result was queued */

    /* under lock */
    uint32_t *queue; /* [depth], a ring */
    uint32_t queue_first, queue_count;
    struct weir_io_result *results; /* [depth] */
    uint32_t result_count;
    uint32_t reader_count; /* threads that have begun */
    uint32_t busy_count;   /* of them in a call of the kernel */
    bool stopping;

    uint32_t thread_count;
    pthread_t threads[];
};

static const char *const call_names[] = {
    [WEIR_IO_READ] = "pread", [WEIR_IO_WRITE] = "pwrite", [WEIR_IO_BARRIER] = "fdatasync"};

static void *serve_requests(void *user)
{
    struct thread_state *state = user;
    weir_io *io = state->io;
    pthread_mutex_lock(&state->lock);
    const uint32_t reader = state->reader_count++ % NAMED_READERS_MAX;
    weir_thread_name("io", reader);
    for (;;) {
        while (state->queue_count == 0 && !state->stopping)
            pthread_cond_wait(&state->work, &state->lock);
        if (state->queue_count == 0)
            break;
        const uint32_t request = state->queue[state->queue_first];
        state->queue_first = (state->queue_first + 1) % io->config.depth;
        state->queue_count--;
        state->busy_count++;
        const struct weir_io_range range = weir_io_missing(io, request);
        pthread_mutex_unlock(&state->lock);
        const uint64_t begin_ns = weir_timeline_now(io->config.timeline);
        const int32_t result = weir_io_perform(range);
        weir_timeline_add(io->config.timeline,
                          (struct weir_event){.name = call_names[range.op],
                                              .kind = WEIR_EVENT_CALL,
                                              .track = WEIR_TRACK_READER + reader,
                                              .begin_ns = begin_ns,
                                              .arg = {range.bytes}});
        pthread_mutex_lock(&state->lock);
        state->busy_count--;
        state->results[state->result_count++] =
            (struct weir_io_result){.request = request, .result = result};
        pthread_cond_signal(&state->arrived);
    }
    pthread_mutex_unlock(&state->lock);
    return NULL;
}

static void threads_give_up(weir_io *io)
{
    struct thread_state *state = io->state;
    pthread_mutex_lock(&state->lock);
    state->queue_count = 0;
    pthread_mutex_unlock(&state->lock);
}

/* True when no reader is in a call of the kernel: then all of them end. */
static bool stop_readers(struct thread_state *state)
{
    pthread_mutex_lock(&state->lock);
    state->stopping = true;
    const bool is_quiet = state->busy_count == 0;
    pthread_cond_broadcast(&state->work);
    pthread_mutex_unlock(&state->lock);
    return is_quiet;
}

static bool threads_close(weir_io *io)
{
    struct thread_state *state = io->state;
    const bool is_quiet = stop_readers(state);
    for (uint32_t thread = 0; thread < state->thread_count; thread++) {
        if (is_quiet)
            pthread_join(state->threads[thread], NULL);
        else
            pthread_detach(state->threads[thread]); /* it ends when the kernel lets it go */
    }
    if (!is_quiet)
        return false;
    pthread_cond_destroy(&state->arrived);
    pthread_cond_destroy(&state->work);
    pthread_mutex_destroy(&state->lock);
    weir_heap_free(state->queue);
    weir_heap_free(state->results);
    weir_heap_free(state);
    return true;
}

static enum weir_status start_threads(weir_io *io, struct thread_state *state, struct weir_err *err)
{
    for (uint32_t thread = 0; thread < io->config.n_thread; thread++) {
        const int os_errno =
            weir_thread_start(&state->threads[thread], STACK_BYTES, serve_requests, state);
        if (os_errno != 0)
            return WEIR_FAIL_OS(err, os_errno, "start reader %u of %u", thread + 1,
                                io->config.n_thread);
        state->thread_count++;
    }
    return WEIR_OK;
}

static enum weir_status threads_open(weir_io *io, struct weir_err *err)
{
    pthread_condattr_t monotonic;
    struct thread_state *state =
        weir_heap_alloc(sizeof(*state) + io->config.n_thread * sizeof(state->threads[0]));
    if (state == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u readers", io->config.n_thread);
    state->io = io;
    state->queue = weir_heap_array(io->config.depth, sizeof(*state->queue));
    state->results = weir_heap_array(io->config.depth, sizeof(*state->results));
    pthread_mutex_init(&state->lock, NULL);
    pthread_cond_init(&state->work, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&state->arrived, &monotonic);
    pthread_condattr_destroy(&monotonic);
    io->state = state;
    const enum weir_status status =
        state->queue == NULL || state->results == NULL
            ? WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u reads in flight", io->config.depth)
            : start_threads(io, state, err);
    if (status != WEIR_OK)
        threads_close(io);
    return status;
}

static void threads_start(weir_io *io, uint32_t request)
{
    struct thread_state *state = io->state;
    pthread_mutex_lock(&state->lock);
    WEIR_ASSERT(state->queue_count < io->config.depth);
    state->queue[(state->queue_first + state->queue_count++) % io->config.depth] = request;
    pthread_cond_signal(&state->work);
    pthread_mutex_unlock(&state->lock);
}

static void threads_flush(weir_io *io)
{
    (void)io; /* a queued request is already somebody's */
}

static uint32_t threads_collect(weir_io *io, struct weir_io_result *results, uint32_t capacity,
                                int64_t wait_ns)
{
    struct thread_state *state = io->state;
    struct timespec until;
    uint32_t count = 0;
    if (wait_ns > 0) {
        clock_gettime(CLOCK_MONOTONIC, &until);
        const int64_t nanoseconds = until.tv_nsec + wait_ns;
        until.tv_sec += nanoseconds / 1000000000;
        until.tv_nsec = nanoseconds % 1000000000;
    }
    pthread_mutex_lock(&state->lock);
    while (state->result_count == 0 && wait_ns > 0)
        if (pthread_cond_timedwait(&state->arrived, &state->lock, &until) == ETIMEDOUT)
            break;
    while (count < capacity && state->result_count > 0)
        results[count++] = state->results[--state->result_count];
    pthread_mutex_unlock(&state->lock);
    return count;
}

const struct weir_io_engine weir_io_engine_threads = {
    .name = "threads",
    .open = threads_open,
    .close = threads_close,
    .start = threads_start,
    .flush = threads_flush,
    .give_up = threads_give_up,
    .collect = threads_collect,
};
