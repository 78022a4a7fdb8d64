/* sim_internal.h - the simulated device: its streams of work, and its arithmetic. */
#ifndef WEIR_SIM_INTERNAL_H
#define WEIR_SIM_INTERNAL_H

#include "gpu/gpu_internal.h"

enum weir_sim_kind {
    WEIR_SIM_COPY_IN,
    WEIR_SIM_COPY_OUT,
    WEIR_SIM_COPY,
    WEIR_SIM_ZERO,
    WEIR_SIM_RECORD,
    WEIR_SIM_WAIT,
#define EACH(name) WEIR_SIM_##name,
    WEIR_GPU_OPERATIONS(EACH)
#undef EACH
};

struct weir_sim_copy {
    weir_gpu_address to, from;
    void *to_host;
    const void *from_host;
    uint64_t bytes;
};

/* One call, waiting in its stream. */
struct weir_sim_work {
    enum weir_sim_kind kind;
    uint64_t delay_ns;
    union {
        struct weir_sim_copy copy;
        struct {
            weir_gpu_event event;
            uint64_t turn; /* which of its recordings */
        } order;
#define EACH(name) struct weir_gpu_##name name;
        WEIR_GPU_OPERATIONS(EACH)
#undef EACH
    };
};

#ifdef WEIR_HOSTILE
enum { WEIR_SIM_QUEUE = 8 };
#else
enum { WEIR_SIM_QUEUE = 512 };
#endif

struct weir_sim_stream {
    struct weir_sim_work work[WEIR_SIM_QUEUE];
    uint32_t first, count;
    uint64_t head_ns;   /* since when the first one is the first */
    uint32_t eagerness; /* odds that this stream goes on rather than another */
};

struct weir_sim_graph {
    struct weir_sim_work *nodes; /* heap */
    uint32_t count, capacity;
};

struct weir_sim {
    weir_gpu gpu;
    uint8_t *heap; /* the device's memory is in here */
    uint8_t *memory;
    struct weir_kernels kernels; /* the reference */
    struct weir_sim_stream streams[WEIR_GPU_STREAM_COUNT];
    uint64_t recorded[WEIR_GPU_EVENT_MAX], passed[WEIR_GPU_EVENT_MAX]; /* turns */
    struct weir_sim_graph graphs[WEIR_GPU_GRAPH_MAX];
    uint64_t random, work_count, foreign_bytes;
    double hurry;  /* odds that work goes on at a call */
    void *scratch; /* heap: of one operation */
    size_t scratch_bytes;
};

/* bytes of device memory; that they are the device's is asserted. */
void *weir_sim_at(const struct weir_sim *sim, weir_gpu_address at, uint64_t bytes);
/* For one operation. NULL: the device is lost for want of memory. */
void *weir_sim_scratch(struct weir_sim *sim, size_t bytes);

#define EACH(name) void weir_sim_##name(struct weir_sim *sim, const struct weir_gpu_##name *job);
WEIR_GPU_OPERATIONS(EACH)
#undef EACH

#endif
