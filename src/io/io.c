/* io.c - the front door: requests, what came short, retries, barriers, counters.
 *
 * I1  A request is free, held (a barrier), or in flight at the engine exactly once.
 * I2  A read is done when min_bytes have arrived; the superset past the end of a file never comes.
 * I3  What came short goes on from the last whole WEIR_IO_ALIGN: offsets stay aligned.
 * I4  Each restart after it has moved bytes that were not moved before: it ends.
 * I5  Once the device was given up no answer of it counts: a request that was told is not told
 *     again, and what it may still write is nobody's.
 * I6  A barrier is held until every write to its file that is older than it has been told. */
#include "io/io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/heap.h"
#include "io/io_internal.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#define POISON(memory, bytes) __asan_poison_memory_region((memory), (bytes))
#define UNPOISON(memory, bytes) __asan_unpoison_memory_region((memory), (bytes))
#else
#define POISON(memory, bytes) ((void)(memory))
#define UNPOISON(memory, bytes) ((void)(memory))
#endif

enum { DEPTH_DEFAULT = 64, THREADS_DEFAULT = 4 };
/* The longest single wait of an engine: between two looks whether somebody wants the end. */
#define SLICE_NS INT64_C(100000000)
#define STALL_NS_DEFAULT UINT64_C(120000000000)
#define STALL_NS_STOPPED UINT64_C(2000000000)

static _Atomic unsigned refused;

void weir_io_refuse(unsigned what)
{
    atomic_store(&refused, what);
}

unsigned weir_io_refused(void)
{
    return atomic_load(&refused);
}

struct weir_io_range weir_io_missing(const weir_io *io, uint32_t request)
{
    const struct weir_io_request *at = &io->requests[request];
    return (struct weir_io_range){
        .op = at->op,
        .fd = io->files[at->file].fd,
        .offset = at->offset + at->done_bytes,
        .dst = at->op == WEIR_IO_READ ? at->dst + at->done_bytes : NULL,
        .src = at->op == WEIR_IO_WRITE ? at->src + at->done_bytes : NULL,
        .bytes = at->bytes - at->done_bytes,
    };
}

int32_t weir_io_perform(struct weir_io_range range)
{
    const size_t bytes = range.bytes;
    const off_t offset = (off_t)range.offset;
    long moved = 0;
    while ((weir_io_refused() & WEIR_IO_REFUSE_ANSWER) != 0)
        usleep(1000);
    switch (range.op) {
    case WEIR_IO_READ:
        moved = syscall(SYS_pread64, range.fd, range.dst, bytes, offset);
        break;
    case WEIR_IO_WRITE:
        moved = syscall(SYS_pwrite64, range.fd, range.src, bytes, offset);
        break;
    case WEIR_IO_BARRIER:
        moved = fdatasync(range.fd);
        break;
    }
    return moved < 0 ? -errno : (int32_t)moved;
}

/* io_uring unless the kernel refuses it; then threads, and why. */
static enum weir_status open_engine(weir_io *io, struct weir_err *err)
{
    struct weir_err refusal = {0};
    switch (io->config.kind) {
    case WEIR_IO_FAKE:
        io->engine = &weir_io_engine_fake;
        return io->engine->open(io, err);
    case WEIR_IO_THREADS:
        io->engine = &weir_io_engine_threads;
        return io->engine->open(io, err);
    case WEIR_IO_URING:
        io->engine = &weir_io_engine_uring;
        return io->engine->open(io, err);
    case WEIR_IO_AUTO:
        break;
    }
    io->engine = &weir_io_engine_uring;
    const enum weir_status status = io->engine->open(io, &refusal);
    if (status == WEIR_OK)
        return WEIR_OK;
    if (status != WEIR_ERR_UNSUPPORTED)
        return WEIR_FAIL(err, status, "%s", refusal.text);
    io->engine = &weir_io_engine_threads;
    snprintf(io->mode.why, sizeof(io->mode.why), "%.150s; reading with threads", refusal.text);
    return io->engine->open(io, err);
}

enum weir_status weir_io_create(weir_io **out, const struct weir_io_config *config,
                                struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    if (config->depth > WEIR_IO_DEPTH_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "reads in flight: wanted 1 to %d, found %u",
                         WEIR_IO_DEPTH_MAX, config->depth);
    weir_io *io = weir_heap_alloc(sizeof(*io));
    if (io == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for an I/O engine");
    io->config = *config;
    if (io->config.depth == 0)
        io->config.depth = DEPTH_DEFAULT;
    if (io->config.n_thread == 0)
        io->config.n_thread = THREADS_DEFAULT;
    if (io->config.stall_ns == 0)
        io->config.stall_ns = STALL_NS_DEFAULT;
#ifdef WEIR_HOSTILE
    /* One read at a time, in whatever order and pieces the fake likes. */
    io->config.depth = 1;
    if (io->config.kind == WEIR_IO_AUTO) {
        io->config.kind = WEIR_IO_FAKE;
        io->config.fake = (struct weir_io_fake){.seed = 1, .short_rate = 0.2, .retry_rate = 0.1};
    }
#endif
    const uint32_t depth = io->config.depth;
    io->requests = weir_heap_array(depth, sizeof(*io->requests));
    io->free_requests = weir_heap_array(depth, sizeof(*io->free_requests));
    io->results = weir_heap_array(depth, sizeof(*io->results));
    if (io->requests == NULL || io->free_requests == NULL || io->results == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u reads in flight", depth);
        goto fail;
    }
    for (; io->free_count < depth; io->free_count++)
        io->free_requests[io->free_count] = depth - 1 - io->free_count;
    status = open_engine(io, err);
    if (status != WEIR_OK) {
        io->engine = NULL;
        goto fail;
    }
    io->mode.engine = io->engine->name;
    io->mode.direct = true;
    *out = io;
    return WEIR_OK;

fail:
    weir_io_destroy(&io);
    return status;
}

/* What a reader is stuck with stays as it is. It is kept in sight, so that nobody calls it lost. */
static void leave(weir_io *io)
{
    static _Atomic(weir_io *) last;
    io->left_before = atomic_exchange(&last, io);
}

bool weir_io_destroy(weir_io **io)
{
    weir_io *closing = *io;
    *io = NULL;
    if (closing == NULL)
        return true;
    struct weir_io_done done;
    while (closing->engine != NULL && closing->stats.in_flight > 0)
        weir_io_reap(closing, &done, 1, -1);
    if (closing->engine != NULL && !closing->engine->close(closing)) {
        leave(closing);
        return false;
    }
    const bool is_quiet = !closing->is_given_up;
    for (uint32_t file = 0; file < closing->file_count; file++) {
        close(closing->files[file].fd);
        weir_heap_free(closing->files[file].path);
    }
    weir_heap_free(closing->requests);
    weir_heap_free(closing->free_requests);
    weir_heap_free(closing->results);
    weir_heap_free(closing);
    return is_quiet;
}

const struct weir_io_mode *weir_io_mode_get(const weir_io *io)
{
    return &io->mode;
}

static uint32_t count_writes_in_flight(const weir_io *io, uint32_t file)
{
    uint32_t count = 0;
    for (uint32_t request = 0; request < io->config.depth; request++)
        count += io->requests[request].is_in_flight && io->requests[request].op == WEIR_IO_WRITE &&
                 io->requests[request].file == file;
    return count;
}

/* False when all requests are in flight. */
static bool queue(weir_io *io, const struct weir_io_request *wanted)
{
    if (io->free_count == 0)
        return false;
    const uint32_t request = io->free_requests[--io->free_count]; /* keeps I1 */
    struct weir_io_request *at = &io->requests[request];
    WEIR_ASSERT(wanted->file < io->file_count);
    *at = *wanted;
    if (at->op == WEIR_IO_BARRIER)
        at->write_count = count_writes_in_flight(io, at->file);
    at->order = io->order++;
    at->begin_ns = weir_timeline_now(io->config.timeline);
    at->is_in_flight = true;
    if (io->stats.in_flight++ == 0)
        io->busy_since_ns = weir_now_ns();
    io->stats.submitted++;
    if (io->stats.in_flight > io->stats.in_flight_max)
        io->stats.in_flight_max = (uint32_t)io->stats.in_flight;
    if (at->write_count > 0)
        io->held_count++; /* keeps I6 */
    else if (!io->is_given_up)
        io->engine->start(io, request);
    return true;
}

bool weir_io_queue(weir_io *io, const struct weir_read *read)
{
    WEIR_ASSERT(read->min_bytes <= read->bytes && read->bytes > 0);
    WEIR_ASSERT(read->offset % WEIR_IO_ALIGN == 0 && read->bytes % WEIR_IO_ALIGN == 0);
    WEIR_ASSERT((uintptr_t)read->dst % WEIR_IO_ALIGN == 0);
    const struct weir_io_request wanted = {.op = WEIR_IO_READ,
                                           .file = read->file,
                                           .offset = read->offset,
                                           .tag = read->tag,
                                           .dst = read->dst,
                                           .bytes = read->bytes,
                                           .min_bytes = read->min_bytes,
                                           .label = read->label};
    if (!queue(io, &wanted))
        return false;
    POISON(read->dst, read->bytes);
    return true;
}

bool weir_io_queue_write(weir_io *io, const struct weir_write *write)
{
    WEIR_ASSERT(write->file < io->file_count && io->files[write->file].is_writable);
    WEIR_ASSERT(write->offset % WEIR_IO_ALIGN == 0 && write->bytes % WEIR_IO_ALIGN == 0);
    WEIR_ASSERT((uintptr_t)write->src % WEIR_IO_ALIGN == 0 && write->bytes > 0);
    WEIR_ASSERT(write->offset + write->bytes <= io->files[write->file].file_bytes);
    return queue(io, &(struct weir_io_request){.op = WEIR_IO_WRITE,
                                               .file = write->file,
                                               .offset = write->offset,
                                               .tag = write->tag,
                                               .src = write->src,
                                               .bytes = write->bytes,
                                               .min_bytes = write->bytes});
}

bool weir_io_queue_barrier(weir_io *io, uint32_t file, uint64_t tag)
{
    WEIR_ASSERT(file < io->file_count && io->files[file].is_writable);
    return queue(io, &(struct weir_io_request){.op = WEIR_IO_BARRIER, .file = file, .tag = tag});
}

void weir_io_flush(weir_io *io)
{
    if (!io->is_given_up)
        io->engine->flush(io);
}

uint32_t weir_io_submit(weir_io *io, const struct weir_read *reads, uint32_t count)
{
    uint32_t taken = 0;
    while (taken < count && weir_io_queue(io, &reads[taken]))
        taken++;
    if (taken > 0)
        weir_io_flush(io);
    return taken;
}

/* The kernel tells a failed fdatasync once, and forgets what it could not write: another one would
 * succeed, and mean nothing. */
static bool worth_retrying(enum weir_io_op op, int os_errno)
{
    return (os_errno == EIO && op != WEIR_IO_BARRIER) || os_errno == EAGAIN || os_errno == EINTR;
}

static void fail_done(struct weir_io_done *done, int os_errno)
{
    done->status = WEIR_ERR_IO;
    done->os_errno = os_errno;
}

/* What a raw result means. True when the request is finished; otherwise it was started again. */
static bool take_result(weir_io *io, const struct weir_io_result *raw, struct weir_io_done *done)
{
    struct weir_io_request *at = &io->requests[raw->request];
    *done = (struct weir_io_done){.tag = at->tag, .status = WEIR_OK};
    if (raw->result < 0) {
        if (worth_retrying(at->op, -raw->result) && at->attempt < WEIR_IO_ATTEMPT_MAX) {
            at->attempt++;
            io->stats.retry_count++;
            io->engine->start(io, raw->request);
            return false;
        }
        fail_done(done, -raw->result);
        return true;
    }
    at->done_bytes += (uint32_t)raw->result;
    done->bytes = (uint32_t)weir_max(at->done_bytes, at->most_bytes);
    if (at->write_errno != 0)
        fail_done(done, at->write_errno);
    if (at->done_bytes >= at->min_bytes) /* keeps I2 */
        return true;
    if (at->done_bytes <= at->most_bytes) { /* keeps I4 */
        if (at->op == WEIR_IO_READ)
            done->status = WEIR_ERR_FORMAT; /* the file ends here */
        else
            fail_done(done, EIO); /* it takes nothing, and does not say why */
        return true;
    }
    at->most_bytes = at->done_bytes;
    io->stats.short_count++;
    at->done_bytes = (uint32_t)weir_align_down(at->done_bytes, WEIR_IO_ALIGN); /* I3 */
    io->engine->start(io, raw->request);
    return false;
}

static void tell_read(weir_io *io, const struct weir_io_request *request)
{
    const struct weir_read_label *label = &request->label;
    if (request->op != WEIR_IO_READ || label->class == NULL)
        return;
    weir_timeline_add(
        io->config.timeline,
        (struct weir_event){.name = label->class,
                            .kind = WEIR_EVENT_READ,
                            .begin_ns = request->begin_ns,
                            .arg = {request->bytes, label->layer, label->record, label->slice}});
}

/* A write has been told: barriers that are younger wait for one less; keeps I6. */
static void release_barriers(weir_io *io, const struct weir_io_request *write, int os_errno)
{
    for (uint32_t request = 0; request < io->config.depth && io->held_count > 0; request++) {
        struct weir_io_request *at = &io->requests[request];
        if (!at->is_in_flight || at->op != WEIR_IO_BARRIER || at->file != write->file ||
            at->write_count == 0 || at->order < write->order)
            continue;
        if (at->write_errno == 0)
            at->write_errno = os_errno;
        if (--at->write_count > 0)
            continue;
        io->held_count--;
        if (!io->is_given_up)
            io->engine->start(io, request);
    }
}

/* Pages of the cache that the request has filled are given back; only clean ones can be. */
static void give_cache_back(const struct weir_io_file *file, const struct weir_io_request *at)
{
    if (!file->direct && at->op != WEIR_IO_WRITE)
        posix_fadvise(file->fd, (off_t)at->offset, at->bytes, POSIX_FADV_DONTNEED);
}

static void finish(weir_io *io, uint32_t request, const struct weir_io_done *done)
{
    struct weir_io_request *at = &io->requests[request];
    at->is_in_flight = false;
    if (at->op == WEIR_IO_READ)
        UNPOISON(at->dst, at->bytes);
    if (at->op == WEIR_IO_WRITE)
        release_barriers(io, at, done->os_errno);
    if (at->write_count > 0) /* the device was given up */
        io->held_count--;
    tell_read(io, at);
    give_cache_back(&io->files[at->file], at);
    io->stats.done++;
    io->stats.read_bytes += at->op == WEIR_IO_READ ? done->bytes : 0;
    io->stats.written_bytes += at->op == WEIR_IO_WRITE ? done->bytes : 0;
    io->stats.error_count += done->status != WEIR_OK;
    io->free_requests[io->free_count++] = request; /* keeps I1 */
    if (--io->stats.in_flight == 0)
        io->stats.busy_ns += weir_now_ns() - io->busy_since_ns;
}

/* What the engine has, until wait_ns are over. */
static uint32_t collect(weir_io *io, struct weir_io_done *done, uint32_t capacity, int64_t wait_ns,
                        bool *has_answered)
{
    const uint32_t most = (uint32_t)weir_min(capacity, io->config.depth);
    const uint32_t raw_count = io->engine->collect(io, io->results, most, wait_ns);
    uint32_t count = 0;
    for (uint32_t index = 0; index < raw_count; index++) {
        if (take_result(io, &io->results[index], &done[count])) {
            finish(io, io->results[index].request, &done[count]);
            count++;
        }
    }
    if (raw_count > 0) /* some of them may have started others */
        weir_io_flush(io);
    *has_answered = raw_count > 0;
    return count;
}

/* Tell what is in flight as failed; keeps I5. */
static uint32_t tell_given_up(weir_io *io, struct weir_io_done *done, uint32_t capacity)
{
    uint32_t count = 0;
    for (uint32_t request = 0; request < io->config.depth && count < capacity; request++) {
        if (!io->requests[request].is_in_flight)
            continue;
        done[count] = (struct weir_io_done){.tag = io->requests[request].tag};
        fail_done(&done[count], ETIMEDOUT);
        finish(io, request, &done[count++]);
    }
    return count;
}

static void give_up(weir_io *io)
{
    io->is_given_up = true;
    if (io->engine->give_up != NULL)
        io->engine->give_up(io);
}

/* How long to wait for any answer at all. */
static uint64_t patience_ns(const weir_io *io)
{
    const bool is_stopped = io->config.stop != NULL && io->config.stop(io->config.stop_user);
    return is_stopped ? weir_min(STALL_NS_STOPPED, io->config.stall_ns) : io->config.stall_ns;
}

/* The results themselves; see weir_io_reap(). */
static uint32_t wait_for_some(weir_io *io, struct weir_io_done *done, uint32_t capacity,
                              int64_t wait_ns, uint64_t begin_ns)
{
    uint64_t answered_ns = begin_ns;
    int64_t left_ns = wait_ns;
    for (;;) {
        const bool is_long = left_ns < 0 || left_ns > SLICE_NS;
        bool has_answered;
        const uint32_t count =
            collect(io, done, capacity, is_long ? SLICE_NS : left_ns, &has_answered);
        if (count > 0 || wait_ns == 0)
            return count;
        const uint64_t now_ns = weir_now_ns();
        if (has_answered)
            answered_ns = now_ns;
        else if (wait_ns < 0 && now_ns - answered_ns >= patience_ns(io))
            give_up(io);
        if (io->is_given_up)
            return tell_given_up(io, done, capacity);
        if (wait_ns > 0 && now_ns - begin_ns >= (uint64_t)wait_ns)
            return 0;
        if (wait_ns > 0)
            left_ns = wait_ns - (int64_t)(now_ns - begin_ns);
    }
}

uint32_t weir_io_reap(weir_io *io, struct weir_io_done *done, uint32_t capacity, int64_t wait_ns)
{
    if (io->stats.in_flight == 0 || capacity == 0)
        return 0;
    if (io->is_given_up)
        return tell_given_up(io, done, capacity);
    const uint64_t begin_ns = wait_ns == 0 ? 0 : weir_now_ns();
    const uint32_t count = wait_for_some(io, done, capacity, wait_ns, begin_ns);
    if (wait_ns != 0) {
        io->stats.wait_ns += weir_now_ns() - begin_ns;
        weir_timeline_add(io->config.timeline, (struct weir_event){.name = "wait",
                                                                   .kind = WEIR_EVENT_WAIT,
                                                                   .track = WEIR_TRACK_ENGINE,
                                                                   .begin_ns = begin_ns});
    }
    return count;
}

void weir_io_stats_get(const weir_io *io, struct weir_io_stats *stats)
{
    *stats = io->stats;
    if (io->stats.in_flight > 0)
        stats->busy_ns += weir_now_ns() - io->busy_since_ns;
}
