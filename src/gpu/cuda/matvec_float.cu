/* matvec_float.cu - y = W x of a few rows of f32 x, with values that stand for themselves.
 *
 * A warp computes ROWS rows of W; lane i takes eight columns from 8 i on, then those 256 further
 * on. The sum of a row of y is over columns of a lane, ascending, then over lanes. */
#include "gpu/cuda/formats/floats.cuh"
#include "gpu/cuda/grid.cuh"
#include "gpu/cuda/rows.cuh"

enum { WARPS = 4, ROWS = 2 };

DEVICE void get_x(float out[8], const float *x)
{
    *(float4 *)out = *(const float4 *)x;
    *(float4 *)(out + 4) = *(const float4 *)(x + 4);
}

template <class F, int ALIGN>
DEVICE void get_w(float out[8], const uint8_t *row, const struct scale_row &scales, uint32_t col)
{
    const uint32_t group = F::HAS_SCALES ? col / scales.group_cols : 0;
    F::template get<ALIGN>(out, row + (uint64_t)col * F::BITS / 8,
                           F::HAS_SCALES ? zero_at(scales, group) : 0);
    if (F::HAS_SCALES) {
        const float scale = scale_at(scales, group);
        for (int i = 0; i < 8; i++)
            out[i] *= scale;
    }
}

template <class F, int N, int ALIGN>
DEVICE void compute(const struct weir_matvec_args &a, uint32_t part,
                    const struct weir_cuda_place &place, const struct members &m, uint32_t base,
                    uint32_t n)
{
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t row = (part * WARPS + threadIdx.x / 32) * ROWS;
    const uint8_t *rows[ROWS];
    struct scale_row scales[ROWS] = {};
    const float *x[N];
    float sums[ROWS][N] = {};
    if (row >= a.w.rows)
        return;
    for (uint32_t r = 0; r < ROWS; r++) {
        const uint32_t at = min(row + r, a.w.rows - 1);
        rows[r] = (const uint8_t *)place.data + at * a.w.row_bytes;
        if (F::HAS_SCALES)
            scales[r] = scale_row_of(a.w.scales, place, at);
    }
    for (uint32_t i = 0; i < N; i++)
        x[i] = x_row(a.rows, member_at(m, base + min(i, n - 1)));
#pragma unroll(N == 1 ? 4 : 1)
    for (uint32_t col = 8 * lane; col < a.w.cols; col += 256) {
        float w[ROWS][8];
        for (uint32_t r = 0; r < ROWS; r++)
            get_w<F, ALIGN>(w[r], rows[r], scales[r], col);
#pragma unroll
        for (uint32_t i = 0; i < N; i++) {
            float value[8];
            if (i < n) {
                get_x(value, x[i] + col);
                for (uint32_t r = 0; r < ROWS; r++)
                    for (int j = 0; j < 8; j++)
                        sums[r][i] = __fmaf_rn(w[r][j], value[j], sums[r][i]);
            }
        }
    }
#pragma unroll
    for (uint32_t i = 0; i < ROWS * N; i++) {
        float sum = sums[i % ROWS][i / ROWS];
        for (int other = 16; other > 0; other /= 2)
            sum = __fadd_rn(sum, __shfl_xor_sync(~0u, sum, other));
        if (lane == i && i / ROWS < n && row + i % ROWS < a.w.rows)
            put_y(a.w, a.rows, m.expert, member_at(m, base + i / ROWS), row + i % ROWS, sum);
    }
}

/* grid.x: parts of W's rows; grid.y: as members_of() takes it. */
template <class F, int N> DEVICE void matvec_float(const struct weir_matvec_list &all)
{
    const struct portion portion = portion_of(all);
    const struct weir_matvec_args &a = all.of[portion.matrix];
    begin_grid();
    const struct members m = members_of<N>(a, (uint32_t *)shared);
    const struct weir_cuda_place place = place_of(a.w, m.expert);
    if (place.data == 0)
        return;
    const bool is_aligned = (place.data | a.w.row_bytes) % 16 == 0;
    for (uint32_t base = 0; base < m.count; base += a.each)
        if (is_aligned)
            compute<F, N, F::BITS>(a, portion.part, place, m, base, min(a.each, m.count - base));
        else
            compute<F, N, 1>(a, portion.part, place, m, base, min(a.each, m.count - base));
}

#define MATVEC(format, n)                                                                          \
    extern "C" __global__ void __launch_bounds__(32 * WARPS)                                       \
        weir_matvec_##format##_##n(const __grid_constant__ struct weir_matvec_list all)            \
    {                                                                                              \
        matvec_float<format, n>(all);                                                              \
    }
MATVEC(f32, 1)
MATVEC(f32, 4)
MATVEC(f16, 1)
MATVEC(f16, 4)
MATVEC(bf16, 1)
MATVEC(bf16, 4)
MATVEC(f8_e4m3, 1)
MATVEC(f8_e4m3, 4)
MATVEC(f4_e2m1, 1)
MATVEC(f4_e2m1, 4)
MATVEC(i4, 1)
MATVEC(i4, 4)
