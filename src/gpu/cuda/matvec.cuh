/* matvec.cuh - y = W x of a few rows of x, as the CPU does it: whole numbers times 8-bit x.
 *
 * A warp computes VECTOR_ROWS rows of W at a time and reads each once: their bytes come through a
 * ring in shared memory that only this warp uses, and meanwhile the block quantizes the rows of x
 * as weir_act_q8_32 and weir_act_q8_256 have them. Lane i takes unit i of a chunk of 32 units. The
 * sum of a row of y is over units of a lane, ascending, then over lanes, whoever is beside it. */
#ifndef WEIR_CUDA_MATVEC_CUH
#define WEIR_CUDA_MATVEC_CUH

#include "gpu/cuda/formats/kinds.cuh"
#include "gpu/cuda/grid.cuh"
#include "gpu/cuda/rows.cuh"
#include "gpu/cuda/stage.cuh"
#include "gpu/cuda/unit.cuh"

enum { VECTOR_WARPS = WEIR_MATVEC_WARPS, VECTOR_ROWS = WEIR_MATVEC_ROWS };

template <class F> struct chunk {
    enum {
        SLOT = WEIR_SLOT_BYTES(32 * F::BYTES_32),
        STAGES = WEIR_MATVEC_STAGES(F::BYTES_32),
    };
};

/* What a run of 16 values of x has beside its steps. */
struct run_facts {
    float scale;
    int sum; /* of the steps */
};

/* A row of x, or of gates and what they are for. */
struct row_of_x {
    const float *x, *up; /* up NULL: none */
    float weight;        /* of both */
};

DEVICE struct row_of_x row_of_x_at(const struct weir_matvec_list &all,
                                   const struct weir_cuda_rows &rows, uint32_t row)
{
    if (all.up == 0)
        return {x_row(rows, row), NULL, 1.0f};
    return {x_row(rows, row), (const float *)all.up + (uint64_t)(row / rows.x_per) * rows.x_stride,
            all.input_weight == 0 ? 1.0f : ((const float *)all.input_weight)[row]};
}

DEVICE void get_eight(float value[8], const float *from)
{
    *(float4 *)value = *(const float4 *)from;
    *(float4 *)(value + 4) = *(const float4 *)(from + 4);
}

/* Once for all values: it has many ways. */
static __device__ __noinline__ float unit_of(uint32_t glu, float gate, float up, float limit)
{
    return unit(glu, gate, up, limit);
}

/* 256 values of x to steps, by a warp; the values of act_block lanes have one scale. */
DEVICE void quantize_256(const struct weir_matvec_list &all, const struct row_of_x &row,
                         uint32_t cols, uint32_t col, uint32_t lanes, uint8_t *steps,
                         struct run_facts *facts)
{
    float value[8] = {0};
    uint32_t most = 0;
    col += threadIdx.x % 32 * 8;
    if (col < cols)
        get_eight(value, row.x + col);
    if (col < cols && row.up != NULL) {
        float up[8];
        get_eight(up, row.up + col);
        for (int i = 0; i < 8; i++)
            value[i] = unit_of(all.glu, value[i] * row.weight, up[i] * row.weight, all.limit);
    }
    for (int i = 0; i < 8; i++)
        most = max(most, __float_as_uint(value[i]) & 0x7fffffff);
    for (uint32_t other = 1; other < lanes; other *= 2)
        most = max(most, __shfl_xor_sync(~0u, most, other));
    const float limit = __uint_as_float(most);
    const bool is_finite = most < 0x7f800000;
    const float scale = is_finite ? __fdiv_rn(limit, 127.0f) : __uint_as_float(0x7fc00000);
    const float inverse = is_finite && most != 0 ? __fdiv_rn(127.0f, limit) : 0.0f;
    uint32_t words[2] = {0};
    int sum = 0;
    for (int i = 0; i < 8; i++) {
        /* A subnormal maximum makes the inverse infinite: the products are then kept in range. */
        const float step = __fmul_rn(value[i], inverse);
        const int q = step == step ? __float2int_rn(fminf(fmaxf(step, -127.0f), 127.0f)) : 0;
        sum += q;
        words[i / 4] |= (uint32_t)(q & 255) << 8 * (i % 4);
    }
    sum += __shfl_xor_sync(~0u, sum, 1);
    if (col < cols) {
        *(uint2 *)(steps + col) = make_uint2(words[0], words[1]);
        if (threadIdx.x % 2 == 0)
            facts[col / 16] = {scale, sum};
    }
}

/* W of a block of threads. */
struct rows_of_w {
    const uint8_t *data;
    struct layout lay;
    uint32_t off;            /* of data behind a multiple of 16 */
    uint32_t chunk_bytes;    /* of 1024 columns */
    uint32_t n_chunk, every; /* chunks of a row; rows from one of a warp to its next */
};

/* Where a warp is in its rows of W: a chunk of VECTOR_ROWS rows. */
struct spot {
    const uint8_t *from;
    uint32_t row, chunk, stage;
};

template <class F>
DEVICE void advance(const struct weir_matvec_args &a, const struct rows_of_w &w, struct spot &at)
{
    at.stage = at.stage + 1 == chunk<F>::STAGES ? 0 : at.stage + 1;
    at.from += w.chunk_bytes;
    if (++at.chunk == w.n_chunk) {
        at.chunk = 0;
        at.row += w.every;
        at.from = w.data + at.row * a.w.row_bytes;
    }
}

/* Ask for the bytes of a spot, and go on; behind the last there are none. */
template <class F>
DEVICE void ask(const struct weir_matvec_args &a, const struct rows_of_w &w, uint8_t *ring,
                struct spot &at)
{
    const uint32_t left = a.w.cols / w.lay.len * w.lay.bytes - at.chunk * w.chunk_bytes;
    const uint32_t bytes = min(w.chunk_bytes, left);
    uint8_t *to = ring + at.stage * VECTOR_ROWS * chunk<F>::SLOT;
    const uint8_t *from = at.from;
#pragma unroll
    for (uint32_t r = 0; r < VECTOR_ROWS; r++, from += a.w.row_bytes)
        copy_bytes<chunk<F>::SLOT, 32>(to + r * chunk<F>::SLOT, from,
                                       at.row + r < a.w.rows ? bytes : 0, w.off, threadIdx.x % 32);
    close_group();
    advance<F>(a, w, at);
}

/* sum += W's unit times the unit of a row of x at `col`. */
template <class F>
DEVICE float dot_unit(const struct run w[2], const uint8_t *steps, const struct run_facts *facts,
                      uint32_t col, uint32_t gap, float sum)
{
    float scale = 0.0f;
    float part = 0.0f;
    for (int r = 0; r < 2; r++, col += gap) {
        const uint4 x = *(const uint4 *)(steps + col);
        const struct run_facts fact = facts[col / 16];
        int dot = F::OFFSET == 0 ? 0 : -F::OFFSET * fact.sum;
        dot = __dp4a((int)w[r].steps[0], (int)x.x, dot);
        dot = __dp4a((int)w[r].steps[1], (int)x.y, dot);
        dot = __dp4a((int)w[r].steps[2], (int)x.z, dot);
        dot = __dp4a((int)w[r].steps[3], (int)x.w, dot);
        part = __fmaf_rn(w[r].scale, (float)dot, part);
        if (F::HAS_MINIMUM)
            part = __fmaf_rn(-w[r].minimum, (float)fact.sum, part);
        scale = fact.scale;
    }
    return __fmaf_rn(scale, part, sum);
}

DEVICE float sum_of_lanes(float value)
{
    for (int other = 16; other > 0; other /= 2)
        value = __fadd_rn(value, __shfl_xor_sync(~0u, value, other));
    return value;
}

/* The products of a chunk, by lanes that have a unit of it. */
template <class F, int N>
DEVICE void take(const struct weir_matvec_args &a, const struct rows_of_w &w, const struct spot &at,
                 const uint8_t *ring, const uint8_t *x, uint32_t n, float sums[VECTOR_ROWS][N])
{
    const uint32_t units = w.lay.len / 32;
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t unit = at.chunk * 32 + lane;
    const uint32_t col = unit_column(unit, w.lay.gap);
    struct run runs[VECTOR_ROWS][2];
    if (unit >= a.w.cols / 32)
        return;
    ring += at.stage * VECTOR_ROWS * chunk<F>::SLOT + lane / units * w.lay.bytes;
#pragma unroll
    for (uint32_t r = 0; r < VECTOR_ROWS; r++) {
        const uint8_t *block =
            ring + r * chunk<F>::SLOT + skip_of(at.from + r * a.w.row_bytes, w.off);
        F::get(runs[r][0], block, lane % units, 0, a.w.type);
        F::get(runs[r][1], block, lane % units, 1, a.w.type);
    }
#pragma unroll
    for (uint32_t i = 0; i < N; i++, x += a.x_bytes)
        if (N == 1 || i < n)
#pragma unroll
            for (uint32_t r = 0; r < VECTOR_ROWS; r++)
                sums[r][i] = dot_unit<F>(runs[r], x, (const struct run_facts *)(x + a.w.cols), col,
                                         w.lay.gap, sums[r][i]);
}

/* Rows of y, from the sums of lanes, which begin anew. */
template <int N>
DEVICE void put(const struct weir_matvec_args &a, const struct members &m, uint32_t base,
                uint32_t n, uint32_t row, float sums[VECTOR_ROWS][N])
{
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t w_row = row + lane % VECTOR_ROWS;
    float mine = 0.0f;
#pragma unroll
    for (uint32_t i = 0; i < VECTOR_ROWS * N; i++) {
        const float sum = sum_of_lanes(sums[i % VECTOR_ROWS][i / VECTOR_ROWS]);
        mine = lane == i ? sum : mine;
        sums[i % VECTOR_ROWS][i / VECTOR_ROWS] = 0.0f;
    }
    if (lane < VECTOR_ROWS * n && w_row < a.w.rows)
        put_y(a.w, a.rows, m.expert, member_at(m, base + lane / VECTOR_ROWS), w_row, mine);
}

/* Up to N rows of x, members base to base + n - 1, by all rows of W that are this block's. */
template <class F, int N>
DEVICE void compute(const struct weir_matvec_list &all, const struct portion &portion,
                    const uint8_t *data, const struct members &m, uint32_t base, uint32_t n,
                    uint8_t *x)
{
    const struct weir_matvec_args &a = all.of[portion.matrix];
    typedef struct chunk<F> C;
    const uint32_t warp = threadIdx.x / 32;
    const struct layout lay = F::layout_of(a.w.type);
    const struct rows_of_w w = {data,
                                lay,
                                (uint32_t)(uintptr_t)data & 15,
                                1024 / lay.len * lay.bytes,
                                (a.w.cols + 1023) / 1024,
                                portion.parts * VECTOR_WARPS * VECTOR_ROWS};
    const uint32_t row = (portion.part * VECTOR_WARPS + warp) * VECTOR_ROWS;
    uint8_t *ring = x + a.each * a.x_bytes + warp * C::STAGES * VECTOR_ROWS * C::SLOT;
    struct spot at = {data + row * a.w.row_bytes, row, 0, 0};
    struct spot ahead = at;
    float sums[VECTOR_ROWS][N] = {};

#pragma unroll 1
    for (uint32_t step = 0; step + 1 < C::STAGES; step++)
        ask<F>(a, w, ring, ahead);
    if (a.w.table == 0)
        await_grid();
    for (uint32_t i = 0; i < n; i++) {
        uint8_t *steps = x + i * a.x_bytes;
        const struct row_of_x from = row_of_x_at(all, a.rows, member_at(m, base + i));
        for (uint32_t col = warp * 256; col < a.w.cols; col += VECTOR_WARPS * 256)
            quantize_256(all, from, a.w.cols, col, a.act_block / 8, steps,
                         (struct run_facts *)(steps + a.w.cols));
    }
    __syncthreads();

#pragma unroll 1
    while (at.row < a.w.rows) {
        await_groups<C::STAGES - 2>();
        __syncwarp();
        ask<F>(a, w, ring, ahead);
        take<F, N>(a, w, at, ring, x, n, sums);
        if (at.chunk + 1 == w.n_chunk)
            put<N>(a, m, base, n, at.row, sums);
        advance<F>(a, w, at);
    }
    await_groups<0>();
    __syncthreads(); /* x and the ring are free */
}

/* grid.x: parts of W's rows; grid.y: as members_of() takes it. */
template <class F, int N>
DEVICE void matvec(const struct weir_matvec_list &all, const struct portion &portion)
{
    const struct weir_matvec_args &a = all.of[portion.matrix];
    uint32_t *list = (uint32_t *)shared;
    let_next_begin();
    if (a.w.table != 0) /* which of them is a choice, and they come and go */
        await_grid();
    const struct members m = members_of<N>(a, list);
    const struct weir_cuda_place place = place_of(a.w, m.expert);
    uint8_t *x_part = (uint8_t *)shared + a.list_bytes;
    if (place.data == 0)
        return;
    for (uint32_t base = 0; base < m.count; base += a.each)
        compute<F, N>(all, portion, (const uint8_t *)place.data, m, base,
                      min(a.each, m.count - base), x_part);
}

/* A kernel for at most n rows of x at a time. */
#define MATVEC(name, format, n)                                                                    \
    extern "C" __global__ void __launch_bounds__(32 * VECTOR_WARPS)                                \
        weir_matvec_##name##_##n(const __grid_constant__ struct weir_matvec_list all)              \
    {                                                                                              \
        matvec<format, n>(all, portion_of(all));                                                   \
    }

#endif
