/* cuda_internal.h - what the files of the CUDA device share: launches, limits, operations.
 *
 * A kernel is `extern "C" __global__ void weir_NAME(struct weir_NAME_args a)`: one struct by value,
 * at most WEIR_CUDA_ARGS_BYTES long, of plain C types, declared in src/gpu/cuda/WHAT_args.h, which
 * C and CUDA include both. Addresses are weir_gpu_address (uint64_t) there, and become pointers in
 * the kernel. The host's half is src/gpu/cuda/launch_WHAT.c: it fills the struct and launches.
 *
 * All operations run on WEIR_GPU_COMPUTE. They may be recorded into a graph: a launch looks at
 * nothing but its job, allocates nothing and waits for nothing. */
#ifndef WEIR_CUDA_INTERNAL_H
#define WEIR_CUDA_INTERNAL_H

#include "gpu/gpu_joint.h"
#include "gpu/gpu_kept.h"

enum { WEIR_CUDA_ARGS_BYTES = 1024 };

/* What the device offers to a kernel's shape. */
struct weir_cuda_limits {
    uint32_t major, minor;     /* compute capability */
    uint32_t processors;       /* streaming multiprocessors */
    uint32_t shared_bytes_max; /* of a block, when it asks for more than 48 KiB */
    uint32_t l2_bytes;
};
const struct weir_cuda_limits *weir_cuda_limits(const weir_gpu *gpu);

/* What weir_gpu_workspace_set() was given. */
struct weir_cuda_workspace {
    weir_gpu_address at;
    uint64_t bytes;
};
struct weir_cuda_workspace weir_cuda_workspace(const weir_gpu *gpu);

/* Run a kernel of the embedded code, looked up by its name once: the name must last. A grid with
 * a 0 in it is no work. Much shared memory is asked for here. Failures are told at a wait. */
void weir_cuda_launch(weir_gpu *gpu, enum weir_gpu_stream stream, const char *kernel,
                      const uint32_t grid[3], const uint32_t block[3], uint32_t shared_bytes,
                      const void *args, size_t args_bytes);
/* The same on COMPUTE of a kernel that waits by itself for those before it (grid.cuh). */
void weir_cuda_launch_early(weir_gpu *gpu, const char *kernel, const uint32_t grid[3],
                            const uint32_t block[3], uint32_t shared_bytes, const void *args,
                            size_t args_bytes);

/* Blocks of so many each that hold all. */
static inline uint32_t weir_cuda_blocks(uint64_t all, uint64_t each)
{
    return (uint32_t)((all + each - 1) / each);
}

/* The operations of gpu_ops.h. launch_products.c: */
void weir_cuda_matmul(weir_gpu *gpu, const struct weir_gpu_matmul *job);
void weir_cuda_products(weir_gpu *gpu, const struct weir_gpu_products *job);
void weir_cuda_experts(weir_gpu *gpu, const struct weir_gpu_experts *job);
void weir_cuda_pair(weir_gpu *gpu, const struct weir_gpu_pair *job);
void weir_cuda_embed(weir_gpu *gpu, const struct weir_gpu_embed *job);
/* The others' launch files: */
void weir_cuda_norm(weir_gpu *gpu, const struct weir_gpu_norm *job);
void weir_cuda_rope(weir_gpu *gpu, const struct weir_gpu_rope *job);
void weir_cuda_remember(weir_gpu *gpu, const struct weir_gpu_remember *job);
void weir_cuda_heads(weir_gpu *gpu, const struct weir_gpu_heads *job);
void weir_cuda_keep(weir_gpu *gpu, const struct weir_gpu_keep *job);
void weir_cuda_expand(weir_gpu *gpu, const struct weir_gpu_expand *job);
void weir_cuda_attention(weir_gpu *gpu, const struct weir_gpu_attention *job);
void weir_cuda_glu(weir_gpu *gpu, const struct weir_gpu_glu *job);
void weir_cuda_add(weir_gpu *gpu, const struct weir_gpu_add *job);
void weir_cuda_gate(weir_gpu *gpu, const struct weir_gpu_gate *job);
void weir_cuda_scale(weir_gpu *gpu, const struct weir_gpu_scale *job);
void weir_cuda_route(weir_gpu *gpu, const struct weir_gpu_route *job);
void weir_cuda_sum(weir_gpu *gpu, const struct weir_gpu_sum *job);
void weir_cuda_scatter(weir_gpu *gpu, const struct weir_gpu_scatter *job);
void weir_cuda_conv(weir_gpu *gpu, const struct weir_gpu_conv *job);
void weir_cuda_delta(weir_gpu *gpu, const struct weir_gpu_delta *job);
void weir_cuda_unpack(weir_gpu *gpu, const struct weir_gpu_unpack *job);

#endif
