/* stage.cuh - copies of device memory into shared memory, beside the computation. */
#ifndef WEIR_CUDA_STAGE_CUH
#define WEIR_CUDA_STAGE_CUH

#include "gpu/cuda/formats/blocks.cuh"

/* 16 bytes; both addresses are multiples of 16. */
DEVICE void copy_16(void *to, const void *from)
{
#if __CUDA_ARCH__ >= 800
    asm volatile(
        "cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((uint32_t)__cvta_generic_to_shared(to)),
        "l"(from)
        : "memory");
#else
    *(uint4 *)to = *(const uint4 *)from;
#endif
}

/* The copies of a thread since the last call are one group. */
DEVICE void close_group()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}

/* All groups of this thread but the last LEFT have arrived. */
template <int LEFT> DEVICE void await_groups()
{
#if __CUDA_ARCH__ >= 800
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
#endif
}

DEVICE uint32_t skip_of(const uint8_t *from)
{
    return (uint32_t)(uintptr_t)from & 15;
}

/* The pieces of 16 bytes that hold `bytes` from `from` on, by the lanes of a warp; the first byte
 * arrives at to + from % 16. A piece that has one byte of a matrix is in device memory whole. */
DEVICE void copy_bytes(uint8_t *to, const uint8_t *from, uint32_t bytes)
{
    const uint32_t skip = skip_of(from);
    for (uint32_t at = threadIdx.x % 32 * 16; at < skip + bytes; at += 32 * 16)
        copy_16(to + at, from - skip + at);
}

#endif
