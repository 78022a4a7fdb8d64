/* cuda_device.h - the CUDA device as its own files see it, and the code that is embedded. */
#ifndef WEIR_CUDA_DEVICE_H
#define WEIR_CUDA_DEVICE_H

#include "gpu/cuda/cuda_driver.h"
#include "gpu/cuda/cuda_internal.h"
#include "gpu/gpu_internal.h"

/* What the build made of the .cu files: one image each, with code for all architectures. */
extern const void *const weir_cuda_images[]; /* ends with NULL */
extern const uint32_t weir_cuda_archs[];     /* 90: sm_90, ascending; ends with 0 */
extern const uint32_t weir_cuda_ptx;         /* of compute_90 and later: 90 */
extern const char weir_cuda_compiler[];      /* "13.0" */

/* A kernel that was looked up. */
struct weir_cuda_kernel {
    const char *name; /* NULL: free */
    weir_cu_function function;
    uint32_t shared_bytes; /* that it may have */
};

enum {
    WEIR_CUDA_IMAGE_MAX = 32,
    WEIR_CUDA_KERNEL_MAX = 1024, /* a power of two */
    /* Of a block, without asking: 48 KiB, of which a kernel may have some of its own. */
    WEIR_CUDA_SHARED_BYTES = 16 << 10,
};

struct weir_cuda {
    weir_gpu gpu;
    struct weir_cu cu;
    struct weir_cuda_limits limits;
    weir_cu_device device;
    weir_cu_context context;
    weir_cu_pointer memory;
    weir_cu_stream streams[WEIR_GPU_STREAM_COUNT];
    weir_cu_event events[WEIR_GPU_EVENT_MAX]; /* made when first recorded */
    weir_cu_graph_exec graphs[WEIR_GPU_GRAPH_MAX];
    weir_cu_module modules[WEIR_CUDA_IMAGE_MAX];
    uint32_t module_count;
    struct weir_cuda_kernel kernels[WEIR_CUDA_KERNEL_MAX];
    bool begins_early; /* kernels may begin before the one in front of them has ended */
    bool is_silent;    /* it was given up: nothing that may wait for it is called any more */
};

static inline struct weir_cuda *weir_cuda_of(weir_gpu *gpu)
{
    return (struct weir_cuda *)gpu;
}

/* The calling thread's calls are this device's from now on. */
void weir_cuda_enter(struct weir_cuda *cuda);
/* False, and the device is lost, when the call did not succeed. */
bool weir_cuda_check(struct weir_cuda *cuda, int code, const char *call);
/* Until the stream is empty, or the device is lost. */
void weir_cuda_drain(struct weir_cuda *cuda, weir_cu_stream stream);

/* For the door (gpu_internal.h). */
void weir_cuda_copy_in(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                       const void *from, uint64_t bytes);
void weir_cuda_copy_out(weir_gpu *gpu, enum weir_gpu_stream stream, void *to, weir_gpu_address from,
                        uint64_t bytes);
void weir_cuda_copy(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                    weir_gpu_address from, uint64_t bytes);
void weir_cuda_zero(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address at,
                    uint64_t bytes);
void weir_cuda_record(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event);
void weir_cuda_wait_for(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event);
bool weir_cuda_has_passed(weir_gpu *gpu, weir_gpu_event event);
void weir_cuda_await(weir_gpu *gpu, weir_gpu_event event);
void weir_cuda_await_all(weir_gpu *gpu);
bool weir_cuda_graph_begin(weir_gpu *gpu, uint32_t number);
void weir_cuda_graph_end(weir_gpu *gpu, uint32_t number);
void weir_cuda_graph_launch(weir_gpu *gpu, uint32_t number);
void weir_cuda_graph_forget(weir_gpu *gpu, uint32_t number);

#endif
