/* rows.cu - what is done to the values of rows, one pass over memory each: norms, rope, K and V
 * into pages, gated units, sums.
 *
 * Blocks are [row][piece of the width] but where a kernel says more. A thread has four values that
 * follow each other, and reads and writes them at once where rows lie so. */
#include "gpu/cuda/grid.cuh"
#include "gpu/cuda/rows_args.h"
#include "gpu/cuda/unit.cuh"

#include <stddef.h>

#include "kernels/kernels.h"

enum { THREADS = WEIR_ROWS_THREADS };

static __device__ __forceinline__ float *row_of(uint64_t address, uint64_t row, uint32_t stride)
{
    return reinterpret_cast<float *>(address) + row * stride;
}

struct four {
    float at[4];
};

/* Values i to i + 3 of x; zeros from `width` on. */
static __device__ __forceinline__ four read_four(const float *x, uint32_t i, uint32_t width,
                                                 bool has_fours)
{
    four values = {};
    if (has_fours) {
        const float4 all = *reinterpret_cast<const float4 *>(x + i);
        values = {{all.x, all.y, all.z, all.w}};
    } else {
#pragma unroll
        for (uint32_t at = 0; at < 4; at++)
            if (i + at < width)
                values.at[at] = x[i + at];
    }
    return values;
}

static __device__ __forceinline__ void write_four(float *y, uint32_t i, uint32_t width,
                                                  bool has_fours, const four &values)
{
    if (has_fours) {
        *reinterpret_cast<float4 *>(y + i) =
            make_float4(values.at[0], values.at[1], values.at[2], values.at[3]);
        return;
    }
#pragma unroll
    for (uint32_t at = 0; at < 4; at++)
        if (i + at < width)
            y[i + at] = values.at[at];
}

static __device__ __forceinline__ uint32_t own_four()
{
    return 4 * (blockIdx.y * THREADS + threadIdx.x);
}

/* Times 0 a finite value is nothing, and an infinity what is not a number. */
static __device__ __forceinline__ float sigmoid(float x)
{
    return 1.0f / (1.0f + expf(-x)) + 0.0f * x;
}

static __device__ __forceinline__ float softplus(float x)
{
    return fmaxf(x, 0.0f) + log1pf(expf(-fabsf(x))) + 0.0f * x;
}

/* ---- norms and places ------------------------------------------------------------------------ */

/* The sum over the lanes of a piece, the same for all of them: 32 threads, or the whole block. */
static __device__ float sum_of(float value, uint32_t lanes)
{
    __shared__ float sums[THREADS / 32];
#pragma unroll
    for (int distance = 16; distance > 0; distance /= 2)
        value += __shfl_xor_sync(~0u, value, distance);
    if (lanes == 32)
        return value;
    __syncthreads(); /* those of the sum before have been read */
    if (threadIdx.x % 32 == 0)
        sums[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0.0f;
#pragma unroll
    for (int warp = 0; warp < THREADS / 32; warp++)
        value += sums[warp];
    return value;
}

/* Blocks are [pieces]: of one piece, or of eight of 32 lanes. */
extern "C" __global__ void __launch_bounds__(THREADS)
    weir_norm(const __grid_constant__ struct weir_norm_args a)
{
    begin_grid();
    const uint32_t lane = threadIdx.x % a.lanes;
    const uint64_t piece =
        static_cast<uint64_t>(blockIdx.x) * (THREADS / a.lanes) + threadIdx.x / a.lanes;
    if (piece >= static_cast<uint64_t>(a.n_row) * a.n_head)
        return;
    const uint32_t head = piece % a.n_head;
    const float *x = row_of(a.x, piece / a.n_head, a.x_stride) + head * a.x_head_stride;
    float *y = row_of(a.y, piece / a.n_head, a.y_stride) + head * a.y_head_stride;
    const float *weights = row_of(a.weights, a.each_head ? head : 0, a.width);
    float mean = 0.0f;
    float squares = 0.0f;
    if (a.is_centered) { /* LayerNorm (arXiv:1607.06450 eq. 3) without a bias */
        for (uint32_t i = 4 * lane; i < a.width; i += 4 * a.lanes) {
            const four values = read_four(x, i, a.width, a.has_fours);
            mean += (values.at[0] + values.at[1]) + (values.at[2] + values.at[3]);
        }
        mean = sum_of(mean, a.lanes) / static_cast<float>(a.width);
    }
    for (uint32_t i = 4 * lane; i < a.width; i += 4 * a.lanes) {
        const four values = read_four(x, i, a.width, a.has_fours);
#pragma unroll
        for (uint32_t at = 0; at < 4; at++) {
            const float value = i + at < a.width ? values.at[at] - mean : 0.0f;
            squares = fmaf(value, value, squares);
        }
    }
    squares = sum_of(squares, a.lanes);
    const float factor = 1.0f / sqrtf(squares / static_cast<float>(a.width) + a.epsilon);
    if (!(factor > 0.0f) && a.damage != 0 && lane == 0)
        *reinterpret_cast<uint32_t *>(a.damage) = 1;
    for (uint32_t i = 4 * lane; i < a.width; i += 4 * a.lanes) {
        four values = read_four(x, i, a.width, a.has_fours);
        four scales = {{1.0f, 1.0f, 1.0f, 1.0f}};
        if (a.weights != 0)
            scales = read_four(weights, i, a.width, a.has_fours);
#pragma unroll
        for (int at = 0; at < 4; at++)
            values.at[at] = (values.at[at] - mean) * factor * scales.at[at];
        write_four(y, i, a.width, a.has_fours, values);
    }
}

/* A thread has a pair of a head (arXiv:2104.09864, eq. 34). */
extern "C" __global__ void __launch_bounds__(THREADS)
    weir_rope(const __grid_constant__ struct weir_rope_args a)
{
    begin_grid();
    const uint32_t n_pair = a.n_rot / 2;
    const uint32_t index = blockIdx.y * THREADS + threadIdx.x;
    if (index >= n_pair * a.n_head)
        return;
    const uint32_t pair = index % n_pair;
    const float *angles = row_of(a.angles, blockIdx.x, a.n_rot);
    float *head = row_of(a.x, blockIdx.x, a.x_stride) + index / n_pair * a.head_stride;
    float *one = head + (a.is_interleaved ? 2 * pair : pair);
    float *other = a.is_interleaved ? one + 1 : one + n_pair;
    const float x = *one;
    const float y = *other;
    const float cosine = angles[pair];
    const float sine = angles[n_pair + pair];
    *one = x * cosine - y * sine;
    *other = x * sine + y * cosine;
}

/* A thread has one value of K or V of all heads. */
extern "C" __global__ void __launch_bounds__(THREADS)
    weir_remember(const __grid_constant__ struct weir_remember_args a)
{
    begin_grid();
    const uint32_t row = blockIdx.x;
    const uint32_t n_key = a.n_kv_head * a.d_head;
    uint32_t index = blockIdx.y * THREADS + threadIdx.x;
    const bool is_v = index >= n_key;
    const uint32_t width = is_v ? a.d_value : a.d_head;
    if (is_v)
        index -= n_key;
    if (index >= a.n_kv_head * width || (is_v && a.from_v == 0))
        return;
    const uint32_t position = reinterpret_cast<const uint32_t *>(a.positions)[row];
    const uint32_t *table = reinterpret_cast<const uint32_t *>(a.pages) +
                            reinterpret_cast<const uint32_t *>(a.table_at)[row];
    const uint32_t length = 1u << a.page_shift;
    const uint64_t in_page =
        (static_cast<uint64_t>(index / width) * length + position % length) * width + index % width;
    const float value =
        is_v ? row_of(a.from_v, row, a.v_stride)[index] : row_of(a.from_k, row, a.k_stride)[index];
    uint16_t half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half) : "f"(value));
    reinterpret_cast<uint16_t *>(
        is_v ? a.v : a.k)[table[position >> a.page_shift] * a.page_stride + in_page] = half;
}

/* ---- units ----------------------------------------------------------------------------------- */

extern "C" __global__ void __launch_bounds__(THREADS)
    weir_glu(const __grid_constant__ struct weir_glu_args a)
{
    begin_grid();
    const uint32_t i = own_four();
    if (i >= a.width)
        return;
    float *x = row_of(a.gate, blockIdx.x, a.stride);
    four gate = read_four(x, i, a.width, a.has_fours);
    const four up = read_four(row_of(a.up, blockIdx.x, a.stride), i, a.width, a.has_fours);
    const float weight = a.input_weight == 0 ? 1.0f : row_of(a.input_weight, blockIdx.x, 1)[0];
#pragma unroll
    for (int at = 0; at < 4; at++)
        gate.at[at] = unit(a.glu, gate.at[at] * weight, up.at[at] * weight, a.limit);
    write_four(x, i, a.width, a.has_fours, gate);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    weir_gate(const __grid_constant__ struct weir_gate_args a)
{
    begin_grid();
    const uint32_t i = blockIdx.y * THREADS + threadIdx.x;
    if (i >= a.width)
        return;
    const float *gates = row_of(a.gate, blockIdx.x, a.gate_stride) +
                         static_cast<uint64_t>(i / a.head_width) * a.gate_head_stride;
    const float gate = gates[a.is_by_head ? 0 : i % a.head_width];
    row_of(a.x, blockIdx.x, a.x_stride)[i] *= a.is_softplus ? softplus(gate) : sigmoid(gate);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    weir_scale(const __grid_constant__ struct weir_scale_args a)
{
    begin_grid();
    const uint32_t i = blockIdx.y * THREADS + threadIdx.x;
    if (i >= a.width)
        return;
    float *x = row_of(a.x, blockIdx.x, a.stride) + i;
    const float scale = a.weight == 0 ? a.scale : a.scale * row_of(a.weight, blockIdx.x, 1)[0];
    const float scaled = scale * *x;
    *x = a.cap == 0.0f ? scaled : a.cap * tanhf(scaled / a.cap) + 0.0f * scaled;
}

/* ---- sums and places ------------------------------------------------------------------------- */

extern "C" __global__ void __launch_bounds__(THREADS)
    weir_add(const __grid_constant__ struct weir_add_args a)
{
    begin_grid();
    const uint32_t i = own_four();
    if (i >= a.width)
        return;
    float weight = a.weight == 0 ? 1.0f : row_of(a.weight, blockIdx.x, 1)[0];
    if (a.weight != 0 && a.weight_is_logit)
        weight = sigmoid(weight);
    weight *= a.scale;
    float *to = row_of(a.y, blockIdx.x, a.y_stride);
    const four x = read_four(row_of(a.x, blockIdx.x, a.x_stride), i, a.width, a.has_fours);
    four y = read_four(to, i, a.width, a.has_fours);
#pragma unroll
    for (int at = 0; at < 4; at++)
        y.at[at] = fmaf(weight, x.at[at], y.at[at]);
    write_four(to, i, a.width, a.has_fours, y);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    weir_sum(const __grid_constant__ struct weir_sum_args a)
{
    begin_grid();
    const uint32_t i = own_four();
    if (i >= a.width)
        return;
    float *to = row_of(a.y, blockIdx.x, a.y_stride);
    const uint64_t first = static_cast<uint64_t>(blockIdx.x) * a.n_used;
    four y = read_four(to, i, a.width, a.has_fours);
#pragma unroll 8
    for (uint32_t rank = 0; rank < a.n_used; rank++) {
        const float weight = a.weights == 0 ? 1.0f : row_of(a.weights, first + rank, 1)[0];
        const four x = read_four(row_of(a.x, first + rank, a.x_stride), i, a.width, a.has_fours);
#pragma unroll
        for (int at = 0; at < 4; at++)
            y.at[at] = fmaf(weight, x.at[at], y.at[at]);
    }
    write_four(to, i, a.width, a.has_fours, y);
}

extern "C" __global__ void __launch_bounds__(THREADS)
    weir_scatter(const __grid_constant__ struct weir_scatter_args a)
{
    begin_grid();
    const uint32_t i = own_four();
    if (i >= a.width)
        return;
    const uint32_t to =
        a.at == 0 ? blockIdx.x : reinterpret_cast<const uint32_t *>(a.at)[blockIdx.x];
    write_four(row_of(a.y, to, a.y_stride), i, a.width, a.has_fours,
               read_four(row_of(a.x, blockIdx.x, a.x_stride), i, a.width, a.has_fours));
}
