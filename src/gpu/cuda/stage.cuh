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

/* Bytes of a matrix lie in shared memory as if it began at a multiple of 16 bytes. off: how far
 * behind one it does; the result: how far behind one `from` then is. */
DEVICE uint32_t skip_of(const uint8_t *from, uint32_t off)
{
    return ((uint32_t)(uintptr_t)from - off) & 15;
}

static __device__ __noinline__ void copy_by_bytes(uint8_t *to, const uint8_t *from, uint32_t bytes,
                                                  uint32_t lane, uint32_t lanes)
{
    for (uint32_t at = lane; at < bytes; at += lanes)
        to[at] = from[at];
}

/* `bytes` from `from` on, to as far behind `to` as skip_of() says, by LANES threads, of which this
 * is number `lane`. All that is at most MAX. Where the matrix begins at a multiple of 16, in pieces
 * of 16 bytes, each of which has a byte of the matrix, so it is in device memory whole; or else the
 * copy is done when it is called. */
template <int MAX, int LANES>
DEVICE void copy_bytes(uint8_t *to, const uint8_t *from, uint32_t bytes, uint32_t off,
                       uint32_t lane)
{
    const uint32_t skip = skip_of(from, off);
    if (off != 0) {
        copy_by_bytes(to + skip, from, bytes, lane, LANES);
        return;
    }
    const uint32_t end = bytes == 0 ? 0 : skip + bytes;
    from = from - skip + 16 * lane;
    to += 16 * lane;
#pragma unroll
    for (uint32_t i = 0; i < MAX; i += 16 * LANES)
        if (16 * lane + i < end)
            copy_16(to + i, from + i);
}

#endif
