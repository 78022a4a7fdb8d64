/* heads.cu - what is done to heads between their products and attention, in one pass: q and k are
 * normed and turned, k and v go to their pages. The bits are those of rows.cu's kernels. */
#include "gpu/cuda/grid.cuh"
#include "gpu/cuda/rows_args.h"

#include <stddef.h>

enum { WARPS = WEIR_ROWS_THREADS / 32, WIDTH = WEIR_HEADS_WIDTH_MAX };

static __device__ __forceinline__ const uint32_t *numbers(uint64_t address)
{
    return reinterpret_cast<const uint32_t *>(address);
}

/* By a warp: x = norm(x) of `width` values, a multiple of 4. */
static __device__ __forceinline__ void norm_head(float *x, uint32_t width, const float *weights,
                                                 float epsilon)
{
    const uint32_t lane = threadIdx.x % 32;
    float squares = 0.0f;
    for (uint32_t i = 4 * lane; i < width; i += 128)
        for (uint32_t at = 0; at < 4; at++)
            squares = fmaf(x[i + at], x[i + at], squares);
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        squares += __shfl_xor_sync(~0u, squares, distance);
    const float factor = 1.0f / sqrtf(squares / static_cast<float>(width) + epsilon);
    for (uint32_t i = 4 * lane; i < width; i += 128)
        for (uint32_t at = 0; at < 4; at++)
            x[i + at] = x[i + at] * factor * (weights == NULL ? 1.0f : weights[i + at]);
    __syncwarp();
}

/* By a warp (arXiv:2104.09864, eq. 34). */
static __device__ __forceinline__ void turn_head(float *x, const float *angles, uint32_t n_pair,
                                                 bool is_interleaved)
{
    for (uint32_t pair = threadIdx.x % 32; pair < n_pair; pair += 32) {
        float *one = x + (is_interleaved ? 2 * pair : pair);
        float *other = is_interleaved ? one + 1 : one + n_pair;
        const float a = *one;
        const float b = *other;
        const float cosine = angles[pair];
        const float sine = angles[n_pair + pair];
        *one = a * cosine - b * sine;
        *other = a * sine + b * cosine;
    }
    __syncwarp();
}

/* Where a row's head is in K or V. */
static __device__ __forceinline__ uint16_t *page_of(const weir_remember_args &to, uint64_t pages,
                                                    uint32_t row, uint32_t head, uint32_t width)
{
    const uint32_t position = numbers(to.positions)[row];
    const uint32_t *table = numbers(to.pages) + numbers(to.table_at)[row];
    const uint32_t length = 1u << to.page_shift;
    return reinterpret_cast<uint16_t *>(pages) + table[position >> to.page_shift] * to.page_stride +
           (static_cast<uint64_t>(head) * length + position % length) * width;
}

/* Blocks are [row][eight heads]: those of q, then of k, then of v. */
extern "C" __global__ void __launch_bounds__(WEIR_ROWS_THREADS)
    weir_heads(const __grid_constant__ struct weir_heads_args a)
{
    __shared__ __align__(16) float heads[WARPS][WIDTH];
    const uint32_t row = blockIdx.x;
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t number = blockIdx.y * WARPS + threadIdx.x / 32;
    const uint32_t n_kv_head = a.to.n_kv_head;
    const bool is_q = number < a.n_head;
    const bool is_v = number >= a.n_head + n_kv_head;
    const uint32_t head = is_q ? number : number - a.n_head - (is_v ? n_kv_head : 0);
    const uint32_t width = is_v ? a.to.d_value : a.to.d_head;
    float *x = heads[threadIdx.x / 32];
    begin_grid();
    if (number >= a.n_head + 2 * n_kv_head)
        return;
    float *from = reinterpret_cast<float *>(is_q   ? a.q
                                            : is_v ? a.to.from_v
                                                   : a.to.from_k) +
                  static_cast<uint64_t>(row) * (is_q   ? a.q_stride
                                                : is_v ? a.to.v_stride
                                                       : a.to.k_stride) +
                  head * (is_q ? a.q_head_stride : width);
    for (uint32_t i = 4 * lane; i < width; i += 128)
        *reinterpret_cast<float4 *>(x + i) = *reinterpret_cast<const float4 *>(from + i);
    __syncwarp();
    if (is_q ? a.norms_q : !is_v && a.norms_k)
        norm_head(x, width, reinterpret_cast<const float *>(is_q ? a.q_weights : a.k_weights),
                  is_q ? a.q_epsilon : a.k_epsilon);
    if (!is_v && a.n_rot > 0)
        turn_head(x,
                  reinterpret_cast<const float *>(a.angles) + static_cast<uint64_t>(row) * a.n_rot,
                  a.n_rot / 2, a.is_interleaved);
    if (is_q) {
        for (uint32_t i = 4 * lane; i < width; i += 128)
            *reinterpret_cast<float4 *>(from + i) = *reinterpret_cast<const float4 *>(x + i);
        return;
    }
    uint16_t *to = page_of(a.to, is_v ? a.to.v : a.to.k, row, head, width);
    for (uint32_t i = lane; i < width; i += 32) {
        uint16_t half;
        asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(x[i]));
        to[i] = half;
    }
}
