/* io.c - the front door: files, requests, short reads, retries, counters.
 *
 * I1  A request is free, or in flight at the engine exactly once.
 * I2  A read is done when min_bytes have arrived; the superset past the end of a file never comes.
 * I3  A read that came short goes on from the last whole WEIR_IO_ALIGN: offsets stay aligned.
 * I4  Each restart after a short read has brought bytes that were not there before: it ends.
 * I5  Once the device was given up no answer of it counts: a request that was told is not told
 *     again, and what it may still write is nobody's. */
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

enum { DEPTH_DEFAULT = 64, THREADS_DEFAULT = 4, ATTEMPT_MAX = 3 };
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
        .fd = io->files[at->read.file].fd,
        .offset = at->read.offset + at->done_bytes,
        .dst = (uint8_t *)at->read.dst + at->done_bytes,
        .bytes = at->read.bytes - at->done_bytes,
    };
}

int32_t weir_io_pread(struct weir_io_range range)
{
    while ((weir_io_refused() & WEIR_IO_REFUSE_ANSWER) != 0)
        usleep(1000);
    const long found =
        syscall(SYS_pread64, range.fd, range.dst, (size_t)range.bytes, (off_t)range.offset);
    return found < 0 ? -errno : (int32_t)found;
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
    struct weir_read_done done;
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

/* A file system may take the flag and refuse the read: only a read proves it. 0 or an errno.
 * room holds an aligned page somewhere. */
static int probe_direct(int fd, uint8_t *room)
{
    if ((weir_io_refused() & WEIR_IO_REFUSE_DIRECT) != 0)
        return EINVAL;
    const uint64_t lead_bytes = weir_align_up((uintptr_t)room, WEIR_IO_ALIGN) - (uintptr_t)room;
    const int32_t found = weir_io_pread(
        (struct weir_io_range){.fd = fd, .dst = room + lead_bytes, .bytes = WEIR_IO_ALIGN});
    return found < 0 ? -found : 0;
}

/* Open for direct reads; when that is refused, *os_errno says why and the result is -1. */
static int open_direct(const char *path, uint8_t *room, int *os_errno)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd < 0) {
        *os_errno = errno;
        return -1;
    }
    *os_errno = probe_direct(fd, room);
    if (*os_errno == 0)
        return fd;
    close(fd);
    return -1;
}

/* Each reason once, however many files give it. */
static void add_reason(struct weir_io_mode *mode, const char *reason)
{
    const size_t used = strlen(mode->why);
    if (strstr(mode->why, reason) == NULL)
        snprintf(mode->why + used, sizeof(mode->why) - used, "%s%s", used > 0 ? "; " : "", reason);
}

static enum weir_status open_file(weir_io *io, struct weir_io_file *file, const char *path,
                                  uint8_t *room, struct weir_err *err)
{
    char reason[120] = "buffered reads were asked for";
    int os_errno = 0;
    file->fd = io->config.buffered ? -1 : open_direct(path, room, &os_errno);
    file->direct = file->fd >= 0;
    if (file->fd < 0)
        file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0)
        return WEIR_FAIL_OS(err, errno, "open %s", path);
    const off_t end = lseek(file->fd, 0, SEEK_END);
    if (end < 0) {
        close(file->fd);
        return WEIR_FAIL_OS(err, errno, "find the size of %s", path);
    }
    file->file_bytes = (uint64_t)end;
    if (file->direct)
        return WEIR_OK;
    /* Read-ahead would fill the page cache with what nobody asked for. */
    posix_fadvise(file->fd, 0, 0, POSIX_FADV_RANDOM);
    io->mode.direct = false;
    if (!io->config.buffered)
        snprintf(reason, sizeof(reason),
                 "direct reads refused (%s), reading through the page cache", strerror(os_errno));
    add_reason(&io->mode, reason);
    return WEIR_OK;
}

enum weir_status weir_io_open(weir_io *io, const char *path, uint32_t *file, struct weir_err *err)
{
    if (io->file_count == WEIR_IO_FILE_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "more than %d files", WEIR_IO_FILE_MAX);
    struct weir_io_file *added = &io->files[io->file_count];
    char *copy = weir_heap_text(path);
    uint8_t *room = weir_heap_alloc(2 * WEIR_IO_ALIGN);
    const enum weir_status status =
        copy == NULL || room == NULL ? WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to open %s", path)
                                     : open_file(io, added, path, room, err);
    weir_heap_free(room);
    if (status != WEIR_OK) {
        weir_heap_free(copy);
        return status;
    }
    added->path = copy;
    *file = io->file_count++;
    return WEIR_OK;
}

const char *weir_io_file_path(const weir_io *io, uint32_t file)
{
    WEIR_ASSERT(file < io->file_count);
    return io->files[file].path;
}

uint64_t weir_io_file_bytes(const weir_io *io, uint32_t file)
{
    WEIR_ASSERT(file < io->file_count);
    return io->files[file].file_bytes;
}

const struct weir_io_mode *weir_io_mode_get(const weir_io *io)
{
    return &io->mode;
}

static void start(weir_io *io, const struct weir_read *read)
{
    WEIR_ASSERT(read->file < io->file_count && read->min_bytes <= read->bytes && read->bytes > 0);
    WEIR_ASSERT(read->offset % WEIR_IO_ALIGN == 0 && read->bytes % WEIR_IO_ALIGN == 0);
    WEIR_ASSERT((uintptr_t)read->dst % WEIR_IO_ALIGN == 0);
    const uint32_t request = io->free_requests[--io->free_count]; /* keeps I1 */
    io->requests[request] = (struct weir_io_request){
        .read = *read, .begin_ns = weir_timeline_now(io->config.timeline), .is_in_flight = true};
    POISON(read->dst, read->bytes);
    if (io->stats.in_flight++ == 0)
        io->busy_since_ns = weir_now_ns();
    io->stats.submitted++;
    if (io->stats.in_flight > io->stats.in_flight_max)
        io->stats.in_flight_max = (uint32_t)io->stats.in_flight;
    if (!io->is_given_up)
        io->engine->start(io, request);
}

bool weir_io_queue(weir_io *io, const struct weir_read *read)
{
    if (io->free_count == 0)
        return false;
    start(io, read);
    return true;
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

static bool worth_retrying(int os_errno)
{
    return os_errno == EIO || os_errno == EAGAIN || os_errno == EINTR;
}

/* What a raw result means. True when the request is finished; otherwise it was started again. */
static bool take_result(weir_io *io, const struct weir_io_result *raw, struct weir_read_done *done)
{
    struct weir_io_request *request = &io->requests[raw->request];
    const struct weir_read *read = &request->read;
    *done = (struct weir_read_done){.tag = read->tag, .status = WEIR_OK};
    if (raw->result < 0) {
        if (worth_retrying(-raw->result) && request->attempt < ATTEMPT_MAX) {
            request->attempt++;
            io->stats.retry_count++;
            io->engine->start(io, raw->request);
            return false;
        }
        done->status = WEIR_ERR_IO;
        done->os_errno = -raw->result;
        return true;
    }
    request->done_bytes += (uint32_t)raw->result;
    done->bytes = (uint32_t)weir_max(request->done_bytes, request->most_bytes);
    if (request->done_bytes >= read->min_bytes) /* keeps I2 */
        return true;
    if (request->done_bytes <= request->most_bytes) { /* keeps I4: the file ends here */
        done->status = WEIR_ERR_FORMAT;
        return true;
    }
    request->most_bytes = request->done_bytes;
    io->stats.short_count++;
    request->done_bytes = (uint32_t)weir_align_down(request->done_bytes, WEIR_IO_ALIGN); /* I3 */
    io->engine->start(io, raw->request);
    return false;
}

static void tell_read(weir_io *io, const struct weir_io_request *request)
{
    const struct weir_read_label *label = &request->read.label;
    if (label->class == NULL)
        return;
    weir_timeline_add(io->config.timeline,
                      (struct weir_event){
                          .name = label->class,
                          .kind = WEIR_EVENT_READ,
                          .begin_ns = request->begin_ns,
                          .arg = {request->read.bytes, label->layer, label->record, label->slice}});
}

static void finish(weir_io *io, uint32_t request, const struct weir_read_done *done)
{
    const struct weir_read *read = &io->requests[request].read;
    const struct weir_io_file *file = &io->files[read->file];
    io->requests[request].is_in_flight = false;
    UNPOISON(read->dst, read->bytes);
    tell_read(io, &io->requests[request]);
    if (!file->direct)
        posix_fadvise(file->fd, (off_t)read->offset, read->bytes, POSIX_FADV_DONTNEED);
    io->stats.done++;
    io->stats.read_bytes += done->bytes;
    io->stats.error_count += done->status != WEIR_OK;
    io->free_requests[io->free_count++] = request; /* keeps I1 */
    if (--io->stats.in_flight == 0)
        io->stats.busy_ns += weir_now_ns() - io->busy_since_ns;
}

/* What the engine has, until wait_ns are over. */
static uint32_t collect(weir_io *io, struct weir_read_done *done, uint32_t capacity,
                        int64_t wait_ns, bool *has_answered)
{
    const uint32_t most = (uint32_t)weir_min(capacity, io->config.depth);
    const uint32_t raw_count = io->engine->collect(io, io->results, most, wait_ns);
    uint32_t count = 0;
    bool restarted = false;
    for (uint32_t index = 0; index < raw_count; index++) {
        if (take_result(io, &io->results[index], &done[count]))
            finish(io, io->results[index].request, &done[count++]);
        else
            restarted = true;
    }
    if (restarted)
        io->engine->flush(io);
    *has_answered = raw_count > 0;
    return count;
}

/* Tell what is in flight as failed; keeps I5. */
static uint32_t tell_given_up(weir_io *io, struct weir_read_done *done, uint32_t capacity)
{
    uint32_t count = 0;
    for (uint32_t request = 0; request < io->config.depth && count < capacity; request++) {
        if (!io->requests[request].is_in_flight)
            continue;
        done[count] = (struct weir_read_done){
            .tag = io->requests[request].read.tag, .status = WEIR_ERR_IO, .os_errno = ETIMEDOUT};
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
static uint32_t wait_for_some(weir_io *io, struct weir_read_done *done, uint32_t capacity,
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

uint32_t weir_io_reap(weir_io *io, struct weir_read_done *done, uint32_t capacity, int64_t wait_ns)
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
