/* io_uring.c - requests by io_uring: one ring, submitted and reaped by the engine thread.
 *
 * Each call into the kernel may be refused: by a filter that knows one of the three calls, for lack
 * of memory, or because a signal came. What refuses for good ends the ring: requests that it has
 * not taken are told as failed, those that it has are still waited for.
 *
 * I1  A request is queued or with the kernel (in the ring), or in refused, exactly once.
 * I2  In flight are at most depth requests, and both queues have room for as many: neither runs
 *     over. */
#include <liburing.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/heap.h"
#include "io/io_internal.h"

/* How long "not now" is taken for an answer: while a ring is tried, and afterwards. */
#define PATIENCE_TRIAL_NS UINT64_C(250000000)
#define PATIENCE_NS UINT64_C(5000000000)
#define TRIAL_NS INT64_C(1000000000)
/* Between two tries at what was refused for now, and two looks at a ring that has ended. */
#define PAUSE_NS INT64_C(200000)

struct uring_state {
    struct io_uring ring;
    int os_errno; /* why the kernel takes no more requests; 0: it does */
    uint64_t patience_ns;
    uint64_t not_now_since_ns; /* it has taken nothing since; 0: it has */
    uint32_t *refused;         /* [depth], to be told as failed */
    uint32_t refused_count;
    char trial; /* what the trial reads */
};

/* COOP_TASKRUN saves an interrupt per completion; the kernel then delivers at our next call into
 * it, and TASKRUN_FLAG lets a look at the ring see that one is due. Older kernels refuse both. */
static int init_ring(struct io_uring *ring, uint32_t depth)
{
    struct io_uring_params params;
    static const unsigned wishes[] = {IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG, 0};
    int result = -ENOSYS;
    for (size_t wish = 0; wish < WEIR_COUNT(wishes); wish++) {
        memset(&params, 0, sizeof(params));
        params.flags = wishes[wish];
        result = io_uring_queue_init_params(depth, ring, &params);
        if (result != -EINVAL)
            break;
    }
    return result;
}

/* The kernel takes no more: what it has not taken yet is refused. */
static void end_ring(struct uring_state *state, int os_errno)
{
    const struct io_uring_sq *queue = &state->ring.sq;
    const unsigned taken = __atomic_load_n(queue->khead, __ATOMIC_ACQUIRE);
    state->os_errno = os_errno;
    for (unsigned at = taken; at != queue->sqe_tail; at++) {
        const uint64_t request = queue->sqes[at & *queue->kring_mask].user_data;
        if (request != LIBURING_UDATA_TIMEOUT) /* of a wait, on kernels before 5.11 */
            state->refused[state->refused_count++] = (uint32_t)request; /* keeps I1 */
    }
}

static void pause_for(int64_t ns)
{
    nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
}

/* Look at what a call into the kernel returned. True when it did what it should. */
static bool judge(struct uring_state *state, int result)
{
    if (result >= 0 || result == -ETIME) {
        state->not_now_since_ns = 0;
        return true;
    }
    const bool is_for_now =
        result == -EINTR || result == -EAGAIN || result == -EBUSY || result == -ENOMEM;
    if (!is_for_now) {
        end_ring(state, -result);
        return false;
    }
    /* A wait that a signal ended has left nothing behind. */
    if (io_uring_sq_ready(&state->ring) == 0)
        return false;
    const uint64_t now_ns = weir_now_ns();
    if (state->not_now_since_ns == 0)
        state->not_now_since_ns = now_ns;
    else if (now_ns - state->not_now_since_ns >= state->patience_ns)
        end_ring(state, -result);
    return false;
}

/* Hand over what is queued, and wait for a completion when there is none. */
static void enter(struct uring_state *state, int64_t wait_ns)
{
    struct io_uring *ring = &state->ring;
    struct __kernel_timespec limit = {.tv_sec = wait_ns / 1000000000,
                                      .tv_nsec = wait_ns % 1000000000};
    struct io_uring_cqe *cqe = NULL;
    const bool is_due =
        (IO_URING_READ_ONCE(*ring->sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
    bool is_done = true;
    if (wait_ns != 0 && io_uring_cq_ready(ring) == 0)
        is_done = judge(state, io_uring_submit_and_wait_timeout(ring, &cqe, 1, &limit, NULL));
    else if (io_uring_sq_ready(ring) > 0)
        is_done = judge(state, io_uring_submit(ring)); /* a caller that only ever looks, too */
    else if (is_due && io_uring_cq_ready(ring) == 0)
        is_done = judge(state, io_uring_get_events(ring));
    if (!is_done && wait_ns != 0 && state->os_errno == 0)
        pause_for(weir_min(PAUSE_NS, wait_ns));
}

/* A filter may let a ring be made and forbid its use, and an old kernel may not know how to read:
 * only a read proves it. 0 or an errno. */
static int try_ring(struct uring_state *state)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        return errno;
    int os_errno = write(ends[1], "w", 1) == 1 ? 0 : errno;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&state->ring);
    io_uring_prep_read(sqe, ends[0], &state->trial, 1, UINT64_MAX);
    io_uring_sqe_set_data64(sqe, 0);
    const uint64_t begin_ns = weir_now_ns();
    while (os_errno == 0 && io_uring_cq_ready(&state->ring) == 0) {
        enter(state, TRIAL_NS);
        os_errno = state->os_errno;
        if (os_errno == 0 && weir_now_ns() - begin_ns >= (uint64_t)TRIAL_NS)
            os_errno = ETIME;
    }
    struct io_uring_cqe *cqe = NULL;
    if (os_errno == 0 && io_uring_peek_cqe(&state->ring, &cqe) == 0) {
        os_errno = cqe->res == 1 ? 0 : cqe->res < 0 ? -cqe->res : EIO;
        io_uring_cqe_seen(&state->ring, cqe);
    }
    close(ends[0]);
    close(ends[1]);
    return os_errno;
}

/* A ring that works, or the errno of what was refused. */
static int open_ring(struct uring_state *state, const struct weir_io_config *config)
{
    if ((weir_io_refused() & WEIR_IO_REFUSE_URING) != 0)
        return ENOSYS;
    int os_errno = -init_ring(&state->ring, config->depth);
    if (os_errno != 0)
        return os_errno;
    state->patience_ns = PATIENCE_TRIAL_NS;
    os_errno = try_ring(state);
    if (os_errno != 0)
        io_uring_queue_exit(&state->ring);
    /* Shorter than the wait of io itself: it has the better reason. */
    state->patience_ns = weir_min(PATIENCE_NS, config->stall_ns / 2);
    return os_errno;
}

static enum weir_status uring_open(weir_io *io, struct weir_err *err)
{
    struct uring_state *state = weir_heap_alloc(sizeof(*state));
    uint32_t *refused = weir_heap_array(io->config.depth, sizeof(*refused));
    if (state == NULL || refused == NULL) {
        weir_heap_free(state);
        weir_heap_free(refused);
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a ring");
    }
    state->refused = refused;
    const int os_errno = open_ring(state, &io->config);
    if (os_errno != 0) {
        weir_heap_free(state);
        weir_heap_free(refused);
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "the kernel refuses io_uring: %s (see kernel.io_uring_disabled, seccomp "
                         "filters and ulimit -l)",
                         strerror(os_errno));
    }
    io->state = state;
    return WEIR_OK;
}

static bool uring_close(weir_io *io)
{
    struct uring_state *state = io->state;
    io_uring_queue_exit(&state->ring);
    weir_heap_free(state->refused);
    weir_heap_free(state);
    return true;
}

static void uring_start(weir_io *io, uint32_t request)
{
    struct uring_state *state = io->state;
    const struct weir_io_range range = weir_io_missing(io, request);
    struct io_uring_sqe *sqe =
        state->os_errno == 0 ? io_uring_get_sqe(&state->ring) : NULL; /* keeps I2 */
    if (sqe == NULL) {
        state->refused[state->refused_count++] = request; /* keeps I1 */
        return;
    }
    switch (range.op) {
    case WEIR_IO_READ:
        io_uring_prep_read(sqe, range.fd, range.dst, range.bytes, range.offset);
        break;
    case WEIR_IO_WRITE:
        io_uring_prep_write(sqe, range.fd, range.src, range.bytes, range.offset);
        break;
    case WEIR_IO_BARRIER:
        io_uring_prep_fsync(sqe, range.fd, IORING_FSYNC_DATASYNC);
        break;
    }
    io_uring_sqe_set_data64(sqe, request);
}

static void uring_flush(weir_io *io)
{
    struct uring_state *state = io->state;
    /* What is refused for now stays queued; collect takes it along. */
    if (state->os_errno == 0 && io_uring_sq_ready(&state->ring) > 0)
        judge(state, io_uring_submit(&state->ring));
}

static uint32_t uring_collect(weir_io *io, struct weir_io_result *results, uint32_t capacity,
                              int64_t wait_ns)
{
    struct uring_state *state = io->state;
    struct io_uring_cqe *cqe;
    unsigned head;
    uint32_t count = 0;
    if (state->os_errno == 0)
        enter(state, state->refused_count > 0 ? 0 : wait_ns);
    else if (wait_ns != 0 && state->refused_count == 0 && io_uring_cq_ready(&state->ring) == 0)
        pause_for(weir_min(PAUSE_NS, wait_ns)); /* what it has taken still lands by itself */
    io_uring_for_each_cqe(&state->ring, head, cqe)
    {
        if (count == capacity)
            break;
        results[count++] = (struct weir_io_result){
            .request = (uint32_t)io_uring_cqe_get_data64(cqe), .result = cqe->res};
    }
    io_uring_cq_advance(&state->ring, count);
    while (count < capacity && state->refused_count > 0)
        results[count++] =
            (struct weir_io_result){.request = state->refused[--state->refused_count],
                                    .result = state->os_errno != 0 ? -state->os_errno : -EAGAIN};
    return count;
}

const struct weir_io_engine weir_io_engine_uring = {
    .name = "uring",
    .open = uring_open,
    .close = uring_close,
    .start = uring_start,
    .flush = uring_flush,
    .collect = uring_collect,
};
