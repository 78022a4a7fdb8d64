/* kept.cu - keys and values in fewer bits: rows become blocks of 32 values, and pages of blocks
 * become pages of f16, which attention reads.
 *
 * A lane has one value of a block: codes and values are then read and written side by side. */
#include "gpu/cuda/grid.cuh"
#include "gpu/cuda/kept_args.h"

enum { THREADS = 32 * WEIR_KEPT_WARPS };

static __device__ __forceinline__ const uint32_t *numbers(uint64_t address)
{
    return reinterpret_cast<const uint32_t *>(address);
}

static __device__ __forceinline__ uint32_t block_bytes(const weir_kept_args &a)
{
    return a.is_q4 ? 18 : 34;
}

/* Bytes of a page before the row of a position and a head, of K or V. */
static __device__ __forceinline__ uint64_t kept_at(const weir_kept_args &a, bool is_v,
                                                   uint32_t head, uint32_t in_page)
{
    const uint64_t rows = static_cast<uint64_t>(a.n_kv_head) << a.page_shift;
    const uint64_t row = (static_cast<uint64_t>(head) << a.page_shift) + in_page;
    const uint32_t k_blocks = a.d_head / WEIR_KEPT_LEN;
    const uint64_t blocks =
        is_v ? rows * k_blocks + row * (a.d_value / WEIR_KEPT_LEN) : row * k_blocks;
    return blocks * block_bytes(a);
}

static __device__ __forceinline__ uint16_t half_of(float value)
{
    uint16_t half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    return half;
}

static __device__ __forceinline__ float float_of(uint16_t half)
{
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half));
    return value;
}

/* The value of the largest magnitude among the lanes', of equal ones the first; what is not finite
 * makes it not a number. */
static __device__ __forceinline__ float extreme_of(float x)
{
    float nothing = 0.0f * x;
    uint32_t lane = threadIdx.x % 32;
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2) {
        const float other = __shfl_xor_sync(~0u, x, distance);
        const uint32_t from = __shfl_xor_sync(~0u, lane, distance);
        nothing += __shfl_xor_sync(~0u, nothing, distance);
        if (fabsf(other) > fabsf(x) || (fabsf(other) == fabsf(x) && from < lane)) {
            x = other;
            lane = from;
        }
    }
    return x + nothing;
}

/* One block of 32 lanes' values, as kernels/kv_rows.c stores it. */
static __device__ __forceinline__ void store_block(uint8_t *to, float x, bool is_q4)
{
    const uint32_t lane = threadIdx.x % 32;
    const float extreme = extreme_of(x);
    const uint16_t half = half_of(is_q4 ? extreme / -8.0f : fabsf(extreme) / 127.0f);
    const float d = float_of(half);
    const float inverse = d != 0.0f && fabsf(d) <= 65504.0f ? 1.0f / d : 0.0f;
    if (lane == 0)
        *reinterpret_cast<uint16_t *>(to) = half;
    if (!is_q4) {
        const float step = fminf(fmaxf(x * inverse, -127.0f), 127.0f);
        reinterpret_cast<int8_t *>(to)[2 + lane] = static_cast<int8_t>(__float2int_rn(step));
        return;
    }
    const int step = __float2int_rn(fminf(fmaxf(x * inverse, -8.0f), 7.0f)) + 8;
    const int other = __shfl_down_sync(~0u, step, 16);
    if (lane < 16)
        to[2 + lane] = static_cast<uint8_t>(step | other << 4);
}

/* Blocks are [row][blocks of K and V of all heads]: a warp has one of them. */
extern "C" __global__ void __launch_bounds__(THREADS)
    weir_keep(const __grid_constant__ struct weir_kept_args a)
{
    begin_grid();
    const uint32_t row = blockIdx.x;
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t n_key = a.n_kv_head * (a.d_head / WEIR_KEPT_LEN);
    const uint32_t n_value = a.from_v == 0 ? 0 : a.n_kv_head * (a.d_value / WEIR_KEPT_LEN);
    uint32_t block = blockIdx.y * WEIR_KEPT_WARPS + threadIdx.x / 32;
    if (block >= n_key + n_value)
        return;
    const bool is_v = block >= n_key;
    block -= is_v ? n_key : 0;
    const uint32_t each = (is_v ? a.d_value : a.d_head) / WEIR_KEPT_LEN;
    const uint32_t position = numbers(a.positions)[row];
    const uint32_t page = numbers(a.pages)[numbers(a.table_at)[row] + (position >> a.page_shift)];
    const float *from = reinterpret_cast<const float *>(is_v ? a.from_v : a.from_k) +
                        static_cast<uint64_t>(row) * (is_v ? a.v_stride : a.k_stride);
    uint8_t *to = reinterpret_cast<uint8_t *>(a.base) + page * a.page_bytes +
                  kept_at(a, is_v, block / each, position & ((1u << a.page_shift) - 1)) +
                  block % each * block_bytes(a);
    store_block(to, from[block * WEIR_KEPT_LEN + lane], a.is_q4 != 0);
}

/* A row of one position and head. */
static __device__ __forceinline__ void expand_row(const weir_kept_args &a, uint32_t page, bool is_v,
                                                  uint32_t head, uint32_t in_page)
{
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t width = is_v ? a.d_value : a.d_head;
    const uint8_t *from = reinterpret_cast<const uint8_t *>(a.base) + page * a.page_bytes +
                          kept_at(a, is_v, head, in_page);
    uint16_t *to = reinterpret_cast<uint16_t *>(is_v ? a.v : a.k) + page * a.page_stride +
                   ((static_cast<uint64_t>(head) << a.page_shift) + in_page) * width;
#pragma unroll 4
    for (uint32_t first = 0; first < width; first += WEIR_KEPT_LEN) {
        const uint8_t *block = from + first / WEIR_KEPT_LEN * block_bytes(a);
        const float d = float_of(*reinterpret_cast<const uint16_t *>(block));
        int step;
        if (a.is_q4)
            step = (block[2 + lane % 16] >> (lane < 16 ? 0 : 4) & 15) - 8;
        else
            step = reinterpret_cast<const int8_t *>(block)[2 + lane];
        to[first + lane] = half_of(d * static_cast<float>(step));
    }
}

/* Blocks are [rows of a page][page of the table][run]. */
extern "C" __global__ void __launch_bounds__(THREADS)
    weir_expand(const __grid_constant__ struct weir_kept_args a)
{
    begin_grid();
    const uint32_t *first = numbers(a.first);
    const uint32_t row = first[blockIdx.z];
    const uint32_t end = numbers(a.positions)[first[blockIdx.z + 1] - 1] + 1;
    const uint32_t from = numbers(a.positions)[row];
    const uint32_t start = blockIdx.y << a.page_shift;
    uint32_t begin = 0;
    if (a.window != 0 && a.is_in_chunks)
        begin = from / a.window * a.window;
    else if (a.window != 0)
        begin = from < a.window ? 0 : from + 1 - a.window;
    if (start >= end || start + (1u << a.page_shift) <= begin)
        return;
    const uint32_t page = numbers(a.pages)[numbers(a.table_at)[row] + blockIdx.y];
    const uint32_t warp = blockIdx.x * WEIR_KEPT_WARPS + threadIdx.x / 32;
    for (uint32_t at = 0; at < WEIR_KEPT_ROWS; at++) {
        const uint32_t index = warp * WEIR_KEPT_ROWS + at;
        const uint32_t head = index >> a.page_shift;
        const uint32_t in_page = index & ((1u << a.page_shift) - 1);
        if (head >= a.n_kv_head)
            return;
        if (start + in_page < begin || start + in_page >= end)
            continue;
        expand_row(a, page, false, head, in_page);
        if (a.v != 0)
            expand_row(a, page, true, head, in_page);
    }
}
