/* gpu.h - a device that computes: its memory, copies to and from it, and the order of both.
 *
 * Job       Open one device, own its memory, run copies and operations (gpu_ops.h) on streams.
 * Not here  What is on the device, and when it is worth it (model/, engine/).
 * Shapes    An address is a byte of device memory. The host never looks through one.
 * Units     *_bytes in bytes, *_ns in nanoseconds.
 * Owns      The device's memory and streams, from open to close. Host memory is the caller's.
 * Threads   The engine thread makes all calls.
 * Errors    open: WEIR_ERR_UNSUPPORTED names what is missing and what to install (no driver, an old
 *           one, no code for this device, a build without CUDA); WEIR_ERR_NOMEM. Copies and
 *           operations cannot fail when they are called: what goes wrong on the device (memory
 *           that broke, a reset, a device that fell off the bus) is WEIR_ERR_IO at the next
 *           wait, and at every one after it; waits end within WEIR_GPU_SILENT_NS.
 * Limits    One device.
 * Source    Streams and events as the CUDA driver's API has them, which the "cuda" device uses.
 *
 * There are two devices. "cuda" finds the driver's library when it is opened (dlopen), so that one
 * program serves machines with and without a GPU. "sim" is host memory and the reference kernels
 * behind the same door, with delays, failures and a memory limit by a seed: what is tested with it
 * is all that decides, not the arithmetic of a GPU.
 */
#ifndef WEIR_GPU_H
#define WEIR_GPU_H

#include <stdbool.h>
#include <stdint.h>

#include "base/base.h"

typedef uint64_t weir_gpu_address; /* 0: nothing */
typedef struct weir_gpu weir_gpu;

enum weir_gpu_kind { WEIR_GPU_CUDA, WEIR_GPU_SIM };

/* Work of one stream is done in the order of its calls; that of several goes on side by side. */
enum weir_gpu_stream {
    WEIR_GPU_COMPUTE,
    WEIR_GPU_COPY_IN, /* expert slots and pages, beside the computation */
    WEIR_GPU_COPY_OUT,
    WEIR_GPU_STREAM_COUNT
};

enum {
    WEIR_GPU_ALIGN = 256,      /* of every piece of device memory */
    WEIR_GPU_EVENT_MAX = 4096, /* events of a device */
};
#define WEIR_GPU_SILENT_NS (UINT64_C(120) * 1000000000)

/* What the simulated device does that a real one might; all zero: nothing. */
struct weir_gpu_faults {
    /* Streams overtake each other, and work waits for somebody who waits for it, by this seed; 0:
     * all work is done when it is called. */
    uint64_t seed;
    uint32_t delay_us_max;  /* of each piece of work: by the seed, 0 to this */
    uint64_t fails_at_work; /* the device is lost at the n-th piece of work, from 1 on; 0: never */
    uint64_t total_bytes;   /* of its memory; 0: 16 GiB */
};

struct weir_gpu_config {
    enum weir_gpu_kind kind;
    uint32_t index;        /* of the machine's devices */
    uint64_t memory_bytes; /* all that may be taken of the device, beside its own overhead */
    struct weir_gpu_faults faults; /* sim */
};

struct weir_gpu_info {
    char name[96];
    char driver[64];       /* its version, for reports */
    uint32_t major, minor; /* compute capability; 0: sim */
    uint32_t processors;   /* streaming multiprocessors */
    uint64_t total_bytes, free_bytes;
    char code[32]; /* what of the embedded code runs here: "sm_90", "PTX 9.0" */
};

/* What is there, without opening it. Errors as of open. */
enum weir_status weir_gpu_probe(enum weir_gpu_kind kind, uint32_t index, struct weir_gpu_info *info,
                                struct weir_err *err);
/* Takes memory_bytes of the device at once, and gives them back at close: nothing of it grows. */
enum weir_status weir_gpu_open(weir_gpu **out, const struct weir_gpu_config *config,
                               struct weir_err *err);
/* Waits for all work, as long as the device answers. */
void weir_gpu_close(weir_gpu **gpu);
void weir_gpu_info_get(const weir_gpu *gpu, struct weir_gpu_info *info);
/* Of the device now, all programs together: for the guard. 0: it does not say. */
uint64_t weir_gpu_free_bytes(const weir_gpu *gpu);

/* ---- memory: planned first, handed out once ------------------------------------------------- */

enum weir_gpu_use {
    WEIR_GPU_TRUNK,
    WEIR_GPU_KV,
    WEIR_GPU_SCRATCH,
    WEIR_GPU_SLOTS,
    WEIR_GPU_USE_COUNT
};

/* The code that lays device memory out runs twice: with gpu NULL it only counts. */
struct weir_gpu_mem {
    weir_gpu *gpu;                           /* NULL: planning */
    uint64_t used_bytes[WEIR_GPU_USE_COUNT]; /* alignment included */
};
/* bytes of device memory, WEIR_GPU_ALIGN aligned, filled with 0 once; planning: 0. More than
 * memory_bytes in all is our bug and asserts. */
weir_gpu_address weir_gpu_alloc(struct weir_gpu_mem *mem, enum weir_gpu_use use, uint64_t bytes);
uint64_t weir_gpu_mem_bytes(const struct weir_gpu_mem *mem);

/* Make host memory known to the device, so that copies from and to it go at full speed and beside
 * the caller; start and bytes are whole pages. False: the driver refuses, and copies of it are slow
 * (the caller says so). */
bool weir_gpu_pin(weir_gpu *gpu, void *start, uint64_t bytes);
void weir_gpu_unpin(weir_gpu *gpu, void *start);

/* ---- copies --------------------------------------------------------------------------------- */

/* The host's bytes are borrowed until the stream has passed. */
void weir_gpu_copy_in(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                      const void *from, uint64_t bytes);
void weir_gpu_copy_out(weir_gpu *gpu, enum weir_gpu_stream stream, void *to, weir_gpu_address from,
                       uint64_t bytes);
void weir_gpu_copy(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                   weir_gpu_address from, uint64_t bytes);
void weir_gpu_zero(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address at, uint64_t bytes);

/* ---- order ---------------------------------------------------------------------------------- */

/* An event is a place in a stream; recorded again it means the new place. 0 .. EVENT_MAX - 1, the
 * caller deals them out. */
typedef uint32_t weir_gpu_event;
void weir_gpu_record(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event);
/* What is called on stream from now on waits for the event. */
void weir_gpu_wait_for(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event);
/* The stream has passed the event, or it was never recorded, or the device is lost. */
bool weir_gpu_has_passed(weir_gpu *gpu, weir_gpu_event event);
/* The host waits. Errors: IO. */
enum weir_status weir_gpu_await(weir_gpu *gpu, weir_gpu_event event, struct weir_err *err);
enum weir_status weir_gpu_await_all(weir_gpu *gpu, struct weir_err *err);

/* ---- work that repeats ---------------------------------------------------------------------- */

/* What is called on COMPUTE between begin and end is kept under number (below WEIR_GPU_GRAPH_MAX)
 * instead of done; launch does it, with the addresses of then and what stands there now. Copies to
 * and from the host may be among it, events not, and nobody waits in between. begin returns false
 * where the device has no such thing: then the caller does the work each time. */
enum { WEIR_GPU_GRAPH_MAX = 1024 };
bool weir_gpu_graph_begin(weir_gpu *gpu, uint32_t number);
void weir_gpu_graph_end(weir_gpu *gpu, uint32_t number);
void weir_gpu_graph_launch(weir_gpu *gpu, uint32_t number);
void weir_gpu_graph_forget(weir_gpu *gpu, uint32_t number);

#endif
