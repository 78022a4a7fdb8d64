/* io_uring.c - reads by io_uring: one ring, submitted and reaped by the engine thread. */
#include <liburing.h>

#include <errno.h>
#include <string.h>

#include "base/heap.h"
#include "io/io_internal.h"

struct uring_state {
    struct io_uring ring;
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

static enum weir_status uring_open(weir_io *io, struct weir_err *err)
{
    struct uring_state *state = weir_heap_alloc(sizeof(*state));
    if (state == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a ring");
    const int result = (weir_io_refused() & WEIR_IO_REFUSE_URING) != 0
                           ? -ENOSYS
                           : init_ring(&state->ring, io->config.depth);
    if (result < 0) {
        weir_heap_free(state);
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "the kernel refuses io_uring: %s (see kernel.io_uring_disabled, seccomp "
                         "filters and ulimit -l)",
                         strerror(-result));
    }
    io->state = state;
    return WEIR_OK;
}

static void uring_close(weir_io *io)
{
    struct uring_state *state = io->state;
    io_uring_queue_exit(&state->ring);
    weir_heap_free(state);
}

static void uring_start(weir_io *io, uint32_t request)
{
    struct uring_state *state = io->state;
    const struct weir_io_range range = weir_io_missing(io, request);
    struct io_uring_sqe *sqe = io_uring_get_sqe(&state->ring);
    if (sqe == NULL) { /* the queue holds depth entries; what it has goes to the kernel first */
        io_uring_submit(&state->ring);
        sqe = io_uring_get_sqe(&state->ring);
    }
    WEIR_ASSERT(sqe != NULL);
    io_uring_prep_read(sqe, range.fd, range.dst, range.bytes, range.offset);
    io_uring_sqe_set_data64(sqe, request);
}

static void uring_flush(weir_io *io)
{
    struct uring_state *state = io->state;
    /* EAGAIN and EBUSY leave the entries queued; collect takes them along. */
    if (io_uring_sq_ready(&state->ring) > 0)
        io_uring_submit(&state->ring);
}

static uint32_t uring_collect(weir_io *io, struct weir_io_result *results, uint32_t capacity,
                              int64_t wait_ns)
{
    struct uring_state *state = io->state;
    struct io_uring_cqe *cqe = NULL;
    uint32_t count = 0;
    if (wait_ns != 0 && io_uring_cq_ready(&state->ring) == 0) {
        struct __kernel_timespec limit = {.tv_sec = wait_ns / 1000000000,
                                          .tv_nsec = wait_ns % 1000000000};
        if (wait_ns < 0)
            io_uring_submit_and_wait(&state->ring, 1);
        else
            io_uring_submit_and_wait_timeout(&state->ring, &cqe, 1, &limit, NULL);
    } else if (io_uring_sq_ready(&state->ring) > 0) {
        io_uring_submit(&state->ring); /* a caller that only ever looks is served too */
    }
    while (count < capacity && io_uring_peek_cqe(&state->ring, &cqe) == 0) {
        results[count++] = (struct weir_io_result){
            .request = (uint32_t)io_uring_cqe_get_data64(cqe), .result = cqe->res};
        io_uring_cqe_seen(&state->ring, cqe);
    }
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
