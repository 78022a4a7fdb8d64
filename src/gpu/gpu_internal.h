/* gpu_internal.h - what is the same for every kind of device, and what each kind brings. */
#ifndef WEIR_GPU_INTERNAL_H
#define WEIR_GPU_INTERNAL_H

#include "gpu/gpu_joint.h"
#include "gpu/gpu_kept.h"

/* The operations of gpu_ops.h, by their names there. */
#define WEIR_GPU_OPERATIONS(each)                                                                  \
    each(matmul) each(products) each(experts) each(pair) each(embed) each(norm) each(rope)         \
        each(remember) each(heads) each(attention) each(glu) each(add) each(gate) each(scale)      \
            each(route) each(sum) each(scatter) each(conv) each(delta) each(unpack) each(keep)     \
                each(expand)

/* What a kind of device does for the functions of gpu.h that have these names; nothing of it is
 * called once the device is lost, but close, free_bytes, pin and unpin. */
struct weir_gpu_device {
    enum weir_status (*probe)(uint32_t index, struct weir_gpu_info *info, struct weir_err *err);
    /* A heap object that begins with a struct weir_gpu, of which base, info and device are set. */
    enum weir_status (*open)(weir_gpu **out, const struct weir_gpu_config *config,
                             struct weir_err *err);
    void (*close)(weir_gpu *gpu);
    uint64_t (*free_bytes)(const weir_gpu *gpu);
    bool (*pin)(weir_gpu *gpu, void *start, uint64_t bytes);
    void (*unpin)(weir_gpu *gpu, void *start);
    void (*copy_in)(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                    const void *from, uint64_t bytes);
    void (*copy_out)(weir_gpu *gpu, enum weir_gpu_stream stream, void *to, weir_gpu_address from,
                     uint64_t bytes);
    void (*copy)(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                 weir_gpu_address from, uint64_t bytes);
    void (*zero)(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address at, uint64_t bytes);
    void (*record)(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event);
    void (*wait_for)(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event);
    bool (*has_passed)(weir_gpu *gpu, weir_gpu_event event);
    /* These two tell of a loss through weir_gpu_lose() alone. */
    void (*await)(weir_gpu *gpu, weir_gpu_event event);
    void (*await_all)(weir_gpu *gpu);
    bool (*graph_begin)(weir_gpu *gpu, uint32_t number);
    void (*graph_end)(weir_gpu *gpu, uint32_t number);
    void (*graph_launch)(weir_gpu *gpu, uint32_t number);
    void (*graph_forget)(weir_gpu *gpu, uint32_t number);
#define EACH(name) void (*name)(weir_gpu * gpu, const struct weir_gpu_##name *job);
    WEIR_GPU_OPERATIONS(EACH)
#undef EACH
};
extern const struct weir_gpu_device weir_gpu_cuda, weir_gpu_sim;

enum { WEIR_GPU_NO_GRAPH = WEIR_GPU_GRAPH_MAX };

struct weir_gpu {
    const struct weir_gpu_device *device;
    struct weir_gpu_config config;
    struct weir_gpu_info info;
    weir_gpu_address base; /* of its memory_bytes */
    uint64_t handed_bytes; /* of these */
    weir_gpu_address workspace;
    uint64_t workspace_bytes;
    uint32_t recording;                   /* the graph that is recorded, or NO_GRAPH */
    bool is_recorded[WEIR_GPU_EVENT_MAX]; /* the event has a place */
    bool has_graph[WEIR_GPU_GRAPH_MAX];
    struct weir_err lost; /* status OK: it is there */
};

/* The device is lost; the first reason is kept. The sentence says what the device did. */
void weir_gpu_lose(weir_gpu *gpu, const char *format, ...) WEIR_PRINTF(2, 3);

#endif
