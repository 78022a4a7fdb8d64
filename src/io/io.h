/* io.h - reads and writes between devices and the caller's buffers.
 *
 * Job       Submit aligned reads, writes and barriers, collect completions; three engines behind
 *           one interface.
 * Not here  Which bytes to read and when (store/).
 * Shapes    offset, bytes, dst and src are multiples of WEIR_IO_ALIGN.
 * Units     *_bytes in bytes, *_ns on CLOCK_MONOTONIC.
 * Owns      Files and rings from create to destroy. Between submit and the matching reap entry dst
 *           belongs to the device: nobody reads, writes or frees it (poisoned under ASan). The
 *           same of a write's src, but that it may be read.
 * Threads   create, open, submit, reap, stats, destroy: one thread, the engine's, and not after a
 *           fork.
 * Errors    Per request, in struct weir_io_done: WEIR_ERR_IO (os_errno set, after a bounded number
 *           of retries), or WEIR_ERR_FORMAT when the file ends before min_bytes (it shrank). A
 *           write that failed has left any part of its bytes.
 *           A device that does not answer (stall_ns) is given up: every request in flight, and
 *           every later one, is told as ETIMEDOUT.
 *           create: WEIR_ERR_UNSUPPORTED when an engine asked for by name is refused.
 * Limits    WEIR_IO_DEPTH_MAX requests in flight, WEIR_IO_FILE_MAX files.
 * Source    io_uring(7), liburing 2.3; open(2) O_DIRECT, O_TMPFILE; fallocate(2), fdatasync(2);
 *           fcntl(2) on locks of open file descriptions.
 */
#ifndef WEIR_IO_H
#define WEIR_IO_H

#include "base/base.h"
#include "base/timeline.h"

enum {
    WEIR_IO_ALIGN = 4096,
    WEIR_IO_DEPTH_MAX = 1024,
    WEIR_IO_FILE_MAX = 512,
    WEIR_IO_KEPT_BEGIN_MAX = 64, /* bytes by which a kept file is known */
};

/* What a timeline calls a read. */
struct weir_read_label {
    const char *class; /* why it is read: a string constant; NULL: the read is not recorded */
    uint32_t layer, record, slice; /* WEIR_EVENT_ARG_NONE: it has none */
};

struct weir_read {
    uint64_t offset;    /* in the file; multiple of WEIR_IO_ALIGN */
    uint64_t tag;       /* returned untouched */
    void *dst;          /* WEIR_IO_ALIGN aligned; the device's until reaped */
    uint32_t bytes;     /* multiple of WEIR_IO_ALIGN; room in dst */
    uint32_t min_bytes; /* the file must have at least these; the rest may lie past its end */
    uint32_t file;      /* from weir_io_open() */
    struct weir_read_label label;
};

/* To a scratch file or a kept one, within its bytes. */
struct weir_write {
    uint64_t offset; /* in the file; multiple of WEIR_IO_ALIGN */
    uint64_t tag;    /* returned untouched */
    const void *src; /* WEIR_IO_ALIGN aligned; the device's until reaped */
    uint32_t bytes;  /* multiple of WEIR_IO_ALIGN */
    uint32_t file;   /* from weir_io_open_scratch() or weir_io_open_kept() */
};

struct weir_io_done {
    uint64_t tag;
    uint32_t bytes; /* read, at least min_bytes when status is WEIR_OK; written; 0 of a barrier */
    enum weir_status status;
    int os_errno;
};

enum weir_io_kind {
    WEIR_IO_AUTO, /* io_uring, or threads where the kernel refuses it (said in the mode) */
    WEIR_IO_URING,
    WEIR_IO_THREADS,
    WEIR_IO_FAKE,
};

/* What the fake does, all from one seed. Rates are shares of requests, 0 to 1. */
struct weir_io_fake {
    uint64_t seed;
    uint32_t latency_ns_max; /* completions come in random order within this time */
    double short_rate;       /* first attempt returns fewer bytes, then is completed inside io */
    double retry_rate;       /* EIO once, then fine */
    double error_rate;       /* EIO for good */
    double lost_rate;        /* never answered */
    double full_rate;        /* of writes: ENOSPC */
    bool can_crash;          /* keep what weir_io_fake_crash() needs */
};

/* Whether somebody wants the end. Called on the engine's thread while a read is waited for. */
typedef bool weir_io_stop_fn(void *user);

struct weir_io_config {
    enum weir_io_kind kind;
    bool buffered;     /* do not ask for direct reads */
    uint32_t depth;    /* requests in flight, 1 to WEIR_IO_DEPTH_MAX; 0 gives the default, 64 */
    uint32_t n_thread; /* thread engine only; 0 gives the default, 4 */
    struct weir_io_fake fake;
    /* Without any answer for so long, while one is waited for, the device is given up; 0 gives the
     * default, 120 s. Once stop says true, 2 s are enough. */
    uint64_t stall_ns;
    weir_io_stop_fn *stop; /* NULL: nobody ever does */
    void *stop_user;
    weir_timeline *timeline; /* borrowed until destroy; NULL: nothing is recorded */
};

/* What really happens; no silent fall-back. */
struct weir_io_mode {
    const char *engine; /* "uring", "threads", "fake" */
    bool direct;        /* every open file is read past the page cache */
    char why[200];      /* why not what was asked for; empty when it is */
};

struct weir_io_stats {
    uint64_t submitted, done, in_flight;
    uint64_t read_bytes;    /* asked of the device by completed reads */
    uint64_t written_bytes; /* by completed writes */
    uint64_t short_count;   /* requests that needed another call to complete */
    uint64_t retry_count;   /* EIO, EAGAIN or EINTR tried again */
    uint64_t error_count;   /* requests that failed for good */
    uint64_t wait_ns;       /* inside reap, waiting */
    uint64_t busy_ns;       /* at least one request in flight */
    uint32_t in_flight_max;
};

typedef struct weir_io weir_io;

/* What a direct read of bytes [begin, begin + bytes) of a file asks for. */
struct weir_superset {
    uint64_t offset;
    uint32_t bytes;
    uint32_t lead_bytes; /* between its start and the first wanted byte */
};

static inline struct weir_superset weir_io_superset(uint64_t begin, uint64_t bytes)
{
    const uint64_t from = weir_align_down(begin, WEIR_IO_ALIGN);
    const uint64_t to = weir_align_up(begin + bytes, WEIR_IO_ALIGN);
    return (struct weir_superset){
        .offset = from, .bytes = (uint32_t)(to - from), .lead_bytes = (uint32_t)(begin - from)};
}

enum weir_status weir_io_create(weir_io **out, const struct weir_io_config *config,
                                struct weir_err *err);
/* Waits for requests in flight first. False when some were given up: they may still be at work, so
 * their memory must stay mapped while the process lives. */
bool weir_io_destroy(weir_io **io);
/* Direct where the file system allows it; otherwise buffered, with page-cache pages given back
 * after each read so that they do not count against the ceiling; *file is the index for reads. */
enum weir_status weir_io_open(weir_io *io, const char *path, uint32_t *file, struct weir_err *err);
/* A file without a name in a folder, gone with io: direct where the file system allows it, and its
 * bytes reserved, so that a full disk is an error here (WEIR_ERR_IO, ENOSPC), not in the middle. */
enum weir_status weir_io_open_scratch(weir_io *io, const char *folder, uint64_t bytes,
                                      uint32_t *file, struct weir_err *err);
/* A file that stays when io goes: made where it is not there, for its owner alone, and locked, so
 * that no two have it (WEIR_ERR_IO, EAGAIN: another one does). As long as it was found. */
enum weir_status weir_io_open_kept(weir_io *io, const char *path, uint32_t *file,
                                   struct weir_err *err);
/* Whether path is a file that was kept by this user, and begins with these bytes; what it takes of
 * the disk. */
bool weir_io_kept_is_ours(const char *path, const void *begin, size_t count, uint64_t *disk_bytes);
/* Give back so many of them, from the file's end; one that would have no more than least_bytes then
 * goes. 0 or an errno: ENOENT (it is not ours), EAGAIN (somebody has it). */
int weir_io_kept_shrink(const char *path, const void *begin, size_t count, uint64_t bytes,
                        uint64_t least_bytes, bool *is_gone);
/* Make a kept file so long, a multiple of WEIR_IO_ALIGN. What is new is zero and takes no room on
 * the disk until it is written, which may then fail with ENOSPC. */
enum weir_status weir_io_resize(weir_io *io, uint32_t file, uint64_t bytes, struct weir_err *err);
/* The path it was opened by, or a scratch file's folder; borrowed. */
const char *weir_io_file_path(const weir_io *io, uint32_t file);
uint64_t weir_io_file_bytes(const weir_io *io, uint32_t file);
const struct weir_io_mode *weir_io_mode_get(const weir_io *io);

/* Take a read that the next flush or reap hands to the device, with all that were queued: one call
 * into the kernel for them together. False means full: reap first. */
bool weir_io_queue(weir_io *io, const struct weir_read *read);
/* The same for a write. What two requests in flight at a time do to the same bytes is not said. */
bool weir_io_queue_write(weir_io *io, const struct weir_write *write);
/* The same for a barrier: it is told when all writes to the file that were queued before it are
 * durable, and has failed when one of them has. A failed barrier is final: what it was to make
 * durable may be gone, so it is not tried again. */
bool weir_io_queue_barrier(weir_io *io, uint32_t file, uint64_t tag);
void weir_io_flush(weir_io *io);
/* Queue up to count reads and flush; returns how many were taken. */
uint32_t weir_io_submit(weir_io *io, const struct weir_read *reads, uint32_t count);
/* Collect up to capacity results; waits at most wait_ns for the first (0: do not wait; negative:
 * wait until one comes, or the device is given up). Returns 0 at once when nothing is in flight. */
uint32_t weir_io_reap(weir_io *io, struct weir_io_done *done, uint32_t capacity, int64_t wait_ns);
void weir_io_stats_get(const weir_io *io, struct weir_io_stats *stats);
/* The power fails: of every write since the last barrier of its file each sector is there or not,
 * as the seed says, and what is in flight fails. Then the fake goes on, as after a start. */
void weir_io_fake_crash(weir_io *io);

/* ---- streams: stream.c ---------------------------------------------------------------------- */

/* Bytes [offset, offset + bytes) of a file. */
struct weir_io_part {
    uint64_t offset, bytes;
    uint32_t file;
};

enum { WEIR_IO_PIECE_MAX = 16 /* in flight at a time */ };

/* The bytes of many parts, one after the other: for the load of the trunk. Nothing else is in
 * flight while it lasts. */
struct weir_io_stream {
    weir_io *io;
    const struct weir_io_part *parts; /* borrowed */
    uint32_t part_count;
    uint32_t part; /* the one whose bytes are asked for next, and how many of them were */
    uint64_t done;
    uint8_t *staging;
    uint64_t piece_bytes;
    uint32_t piece_count;
    uint64_t asked, taken; /* pieces, since it began */
    struct weir_io_piece {
        uint32_t part;
        bool has_landed;
        uint64_t offset;  /* in the file */
        uint64_t at, end; /* of what is wanted of it, in the piece: from the next byte on */
    } pieces[WEIR_IO_PIECE_MAX];
    struct weir_err failure;
};

/* staging is WEIR_IO_ALIGN aligned and holds staging_bytes (at least 2 * WEIR_IO_ALIGN); it is the
 * stream's until end. */
void weir_io_stream_begin(struct weir_io_stream *stream, weir_io *io,
                          const struct weir_io_part *parts, uint32_t part_count, void *staging,
                          uint64_t staging_bytes);
/* The next bytes go to dst, no more than there are. After an error there are no others. */
enum weir_status weir_io_stream_take(struct weir_io_stream *stream, void *dst, uint64_t bytes,
                                     struct weir_err *err);
/* Waits for what is in flight. */
void weir_io_stream_end(struct weir_io_stream *stream);
/* A stream of one part. */
enum weir_status weir_io_read_exact(weir_io *io, uint32_t file, uint64_t offset, uint64_t bytes,
                                    void *dst, void *staging, uint64_t staging_bytes,
                                    struct weir_err *err);

#endif
