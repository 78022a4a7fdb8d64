/* prepare.cu - what tiles.cuh needs beside W: rows of x as f16, assignments by expert. */
#include "gpu/cuda/formats/blocks.cuh"
#include "gpu/cuda/matmul_args.h"

enum { WARPS = 8 };

/* By all warps: the largest, or the sum. */
DEVICE uint32_t most_of_block(uint32_t value)
{
    __shared__ uint32_t most[WARPS];
    for (uint32_t other = 16; other > 0; other /= 2)
        value = max(value, __shfl_xor_sync(~0u, value, other));
    if (threadIdx.x % 32 == 0)
        most[threadIdx.x / 32] = value;
    __syncthreads();
    for (int warp = 0; warp < WARPS; warp++)
        value = max(value, most[warp]);
    return value;
}

/* A block is a row. Its largest magnitude becomes one of 2^13 to 2^14, by a power of two: none is
 * too large for f16, and what is 2^-27 of it is a normal number still. A row with a value that is
 * not finite has a scale that is not a number. */
extern "C" __global__ void __launch_bounds__(32 * WARPS)
    weir_to_f16(const __grid_constant__ struct weir_to_f16_args a)
{
    const float *x = (const float *)a.x + (uint64_t)blockIdx.x * a.x_stride;
    __half2 *out = (__half2 *)((__half *)a.out + (uint64_t)blockIdx.x * a.cols_out);
    uint32_t most = 0;
    for (uint32_t col = threadIdx.x; col < a.cols; col += blockDim.x)
        most = max(most, __float_as_uint(x[col]) & 0x7fffffff);
    most = most_of_block(most);
    const bool is_finite = most < 0x7f800000;
    const uint32_t power = is_finite ? min(140 - (int)(most >> 23), 100) : 0; /* two's */
    const float factor = is_finite ? __uint_as_float((power + 127) << 23) : 0.0f;
    for (uint32_t col = 2 * threadIdx.x; col < a.cols_out; col += 2 * blockDim.x) {
        const float low = is_finite && col < a.cols ? x[col] * factor : 0.0f;
        const float high = is_finite && col + 1 < a.cols ? x[col + 1] * factor : 0.0f;
        out[col / 2] = __floats2half2_rn(low, high);
    }
    if (threadIdx.x == 0)
        ((float *)a.scale)[blockIdx.x] =
            __uint_as_float(is_finite ? (127 - power) << 23 : 0x7fc00000);
}

/* Places of this warp's flagged threads among the block's, and how many there are in all. */
DEVICE uint32_t place_in_block(bool flag, uint32_t *all)
{
    __shared__ uint32_t counts[WARPS];
    const uint32_t flags = __ballot_sync(~0u, flag);
    uint32_t before = 0;
    __syncthreads();
    if (threadIdx.x % 32 == 0)
        counts[threadIdx.x / 32] = __popc(flags);
    __syncthreads();
    *all = 0;
    for (uint32_t warp = 0; warp < WARPS; warp++) {
        before += warp < threadIdx.x / 32 ? counts[warp] : 0;
        *all += counts[warp];
    }
    return before + __popc(flags & ((1u << threadIdx.x % 32) - 1));
}

/* A block is an expert: its assignments, ascending, lie behind those of the experts before it. Its
 * tiles begin at number begin / tile_rows + expert, so no block needs to know of another's: as many
 * numbers are left as there can be parts of tiles. */
extern "C" __global__ void __launch_bounds__(32 * WARPS)
    weir_group(const __grid_constant__ struct weir_group_args a)
{
    __shared__ uint32_t less;
    const uint32_t expert = blockIdx.x;
    const uint32_t *chosen = (const uint32_t *)a.chosen;
    uint32_t begin = 0;
    uint32_t count = 0;
    if (threadIdx.x == 0)
        less = 0;
    __syncthreads();
    for (uint32_t row = threadIdx.x; row < a.n_row; row += blockDim.x)
        begin += chosen[row] < expert;
    atomicAdd(&less, begin);
    __syncthreads();
    begin = less;
    for (uint32_t base = 0; base < a.n_row; base += blockDim.x) {
        const uint32_t row = base + threadIdx.x;
        const bool is_mine = row < a.n_row && chosen[row] == expert;
        uint32_t all;
        const uint32_t at = place_in_block(is_mine, &all);
        if (is_mine)
            ((uint32_t *)a.order)[begin + count + at] = row;
        count += all;
    }
    const bool is_here = ((const struct weir_cuda_place *)a.table)[expert].data != 0;
    const bool is_last = expert + 1 == a.n_expert;
    const uint32_t first = begin / a.tile_rows + expert;
    const uint32_t end =
        is_last ? a.n_row / a.tile_rows + a.n_expert : (begin + count) / a.tile_rows + expert + 1;
    for (uint32_t i = threadIdx.x; first + i < end; i += blockDim.x) {
        const uint32_t done = i * a.tile_rows;
        const uint32_t left = is_here && done < count ? min(count - done, a.tile_rows) : 0;
        ((struct weir_cuda_tile *)a.tiles)[first + i] = {expert, begin + done, left, 0};
    }
}
