/* io_internal.h - what an engine is, and the requests that the front door keeps. */
#ifndef WEIR_IO_INTERNAL_H
#define WEIR_IO_INTERNAL_H

#include "io/io.h"

enum weir_io_op { WEIR_IO_READ, WEIR_IO_WRITE, WEIR_IO_BARRIER };

enum { WEIR_IO_ATTEMPT_MAX = 3 };

/* One request on its way: done_bytes have been moved, the rest is asked for again until it is
 * enough. */
struct weir_io_request {
    enum weir_io_op op;
    uint32_t file;
    uint64_t offset, tag;
    uint8_t *dst;       /* of a read */
    const uint8_t *src; /* of a write */
    uint32_t bytes, min_bytes;
    struct weir_read_label label;
    uint64_t order;       /* of all requests */
    uint64_t begin_ns;    /* on the timeline */
    uint32_t write_count; /* a barrier's: writes before it that are still in flight */
    int write_errno;      /* a barrier's: of the first of them that failed */
    uint32_t done_bytes;
    uint32_t most_bytes; /* that any attempt has reached */
    uint32_t attempt;    /* failures so far that were worth another try */
    uint64_t random;     /* the fake's own: what it means to do with this request */
    bool is_cut_off;     /* the fake's own: the power failed while it was in flight */
    bool is_in_flight;
};

struct weir_io_file {
    char *path;
    int fd;
    bool direct;
    bool is_writable;
    uint64_t file_bytes;
};

/* What came back for a request: bytes, or a negative errno. */
struct weir_io_result {
    uint32_t request;
    int32_t result;
};

/* An engine starts requests and collects results; it knows nothing of what came short, of retries,
 * nor of what a barrier waits for. */
struct weir_io_engine {
    const char *name;
    enum weir_status (*open)(weir_io *io, struct weir_err *err);
    /* False when something of it is still at work on requests that were given up: all that io holds
     * then stays as it is, for ever. */
    bool (*close)(weir_io *io);
    /* Start, or start again, what is missing of a request. There is always room: depth is checked
     * by the front door. */
    void (*start)(weir_io *io, uint32_t request);
    /* Hand everything started to the device. */
    void (*flush)(weir_io *io);
    /* The device was given up: forget what nobody has begun. NULL: nothing is begun by itself. */
    void (*give_up)(weir_io *io);
    /* As weir_io_reap(), raw; called with something in flight only, and never with a negative wait.
     * May come back early, with nothing. */
    uint32_t (*collect)(weir_io *io, struct weir_io_result *results, uint32_t capacity,
                        int64_t wait_ns);
};

extern const struct weir_io_engine weir_io_engine_uring;
extern const struct weir_io_engine weir_io_engine_threads;
extern const struct weir_io_engine weir_io_engine_fake;

struct weir_io {
    const struct weir_io_engine *engine;
    struct weir_io_config config;
    struct weir_io_mode mode;
    struct weir_io_stats stats;
    uint64_t busy_since_ns;
    bool is_given_up;    /* the engine is not called any more, but for close */
    uint64_t order;      /* of the next request */
    uint32_t held_count; /* barriers that wait for writes, not yet with the engine */
    struct weir_io_file files[WEIR_IO_FILE_MAX];
    uint32_t file_count;
    struct weir_io_request *requests; /* [depth] */
    uint32_t *free_requests;          /* [depth], a stack */
    uint32_t free_count;
    struct weir_io_result *results; /* [depth], scratch of reap */
    void *state;                    /* the engine's own */
    weir_io *left_before;           /* another one that could not be closed */
};

/* What is missing of a request: where it is in file and memory, and how long. */
struct weir_io_range {
    enum weir_io_op op;
    int fd;
    uint64_t offset;
    uint8_t *dst;
    const uint8_t *src;
    uint32_t bytes;
};
struct weir_io_range weir_io_missing(const weir_io *io, uint32_t request);
/* pread, pwrite or fdatasync of that range: bytes or a negative errno. By the system call itself: a
 * sanitizer that watches pread would take the poisoned buffer for a mistake. */
int32_t weir_io_perform(struct weir_io_range range);

/* io_kept.c: whether nobody else could have written in the file, and how long it is; and to be the
 * only one that has it, until the descriptor is closed. 0 or an errno. */
int weir_io_kept_check(int fd, uint64_t *file_bytes);
int weir_io_kept_lock(int fd);

/* For tests: pretend that the kernel refuses. Process-wide; 0 ends it. */
enum {
    WEIR_IO_REFUSE_URING = 1,
    WEIR_IO_REFUSE_DIRECT = 2,
    WEIR_IO_REFUSE_ANSWER = 4,   /* calls that move bytes do not come back while it lasts */
    WEIR_IO_REFUSE_UNNAMED = 8,  /* the file system makes no file without a name */
    WEIR_IO_REFUSE_RESERVE = 16, /* nor does it reserve space */
};
void weir_io_refuse(unsigned what);
unsigned weir_io_refused(void);

#endif
