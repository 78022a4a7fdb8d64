/* tiles.cuh - y = W x of many rows of x, on tensor cores: f16 products summed in f32.
 *
 * A block computes 128 rows of W by TOKENS rows of x, a warp 32 rows of W by all of them. W's bytes
 * come through a ring in shared memory that is the warp's own, and are decoded into the registers
 * that mma.sync takes its first factor from: each weight once. So columns have the order of units
 * (formats/blocks.cuh), in which lane i % 4 has unit i % 4 of four, and first all runs 0, then all
 * runs 1; x comes in the same order, 64 columns of all TOKENS at a time.
 *
 * The sum of a value of y is in one order of columns, whatever TOKENS is and whoever is beside it.
 * A weight beyond 65504 is infinite in f16. */
#ifndef WEIR_CUDA_TILES_CUH
#define WEIR_CUDA_TILES_CUH

#include "gpu/cuda/formats/floats.cuh"
#include "gpu/cuda/formats/kinds.cuh"
#include "gpu/cuda/rows.cuh"
#include "gpu/cuda/stage.cuh"

enum {
    TILE_WARPS = WEIR_TILE_WARPS,
    WARP_ROWS = WEIR_TILE_WARP_ROWS,
    TILE_ROWS = WEIR_TILE_ROWS,
};

DEVICE uint32_t pack(float low, float high)
{
    const __half2 both = __floats2half2_rn(low, high);
    return *(const uint32_t *)&both;
}

/* 16 values as eight pairs of f16. */
DEVICE void to_halves(uint32_t out[8], const struct run &w)
{
    for (int i = 0; i < 8; i++) {
        const uint32_t pair = w.steps[i / 2] >> 16 * (i % 2);
        out[i] = pack(fmaf(w.scale, (float)(int8_t)pair, -w.minimum),
                      fmaf(w.scale, (float)(int8_t)(pair >> 8), -w.minimum));
    }
}

/* A source gives W: so many columns of a row are staged at a time; bytes() of columns; gap() as in
 * formats/blocks.cuh; get() gives 16 values, run `run` of a unit, from where the stage begins. */
template <class F> struct block_source {
    enum { STAGE = 256 };
    DEVICE uint32_t gap(const struct weir_tiles_args &a)
    {
        return F::layout_of(a.w.type).gap;
    }
    DEVICE uint32_t bytes(const struct weir_tiles_args &a, uint32_t cols)
    {
        const struct layout lay = F::layout_of(a.w.type);
        return cols / lay.len * lay.bytes;
    }
    DEVICE void get(uint32_t out[8], const struct weir_tiles_args &a,
                    const struct weir_cuda_place &, const uint8_t *stage, uint32_t unit,
                    uint32_t run, uint32_t)
    {
        const struct layout lay = F::layout_of(a.w.type);
        const uint32_t at = unit % (STAGE / 32);
        struct run w;
        F::get(w, stage + at / (lay.len / 32) * lay.bytes, at % (lay.len / 32), run, a.w.type);
        to_halves(out, w);
    }
};

/* Of values that stand for themselves, and codes. */
struct float_source {
    enum { STAGE = 128 };
    DEVICE uint32_t gap(const struct weir_tiles_args &)
    {
        return 16;
    }
    DEVICE uint32_t bits(const struct weir_tiles_args &a)
    {
        return a.w.type <= WEIR_TYPE_BF16 ? 16 : a.w.type == WEIR_TYPE_F8_E4M3 ? 8 : 4;
    }
    DEVICE uint32_t bytes(const struct weir_tiles_args &a, uint32_t cols)
    {
        return cols * bits(a) / 8;
    }
    DEVICE void get(uint32_t out[8], const struct weir_tiles_args &a,
                    const struct weir_cuda_place &place, const uint8_t *stage, uint32_t unit,
                    uint32_t run, uint32_t row)
    {
        const uint32_t col = 32 * unit + 16 * run;
        const uint8_t *from = stage + col % STAGE * bits(a) / 8;
        float scale = 1.0f;
        uint32_t zero = 0;
        if (a.w.type == WEIR_TYPE_F16) {
            load_bytes<32>(out, from);
            return;
        }
        if (a.w.type >= WEIR_TYPE_BLOCK_COUNT) {
            const struct scale_row scales = scale_row_of(a.w.scales, place, row);
            scale = scale_at(scales, col / scales.group_cols);
            zero = zero_at(scales, col / scales.group_cols);
        }
        for (int i = 0; i < 2; i++) {
            float value[8];
            if (a.w.type == WEIR_TYPE_BF16)
                bf16::get(value, from + 16 * i, 0);
            else if (a.w.type == WEIR_TYPE_F8_E4M3)
                f8_e4m3::get(value, from + 8 * i, 0);
            else if (a.w.type == WEIR_TYPE_F4_E2M1)
                f4_e2m1::get(value, from + 4 * i, 0);
            else
                i4::get(value, from + 4 * i, zero);
            for (int j = 0; j < 4; j++)
                out[4 * i + j] = pack(scale * value[2 * j], scale * value[2 * j + 1]);
        }
    }
};

/* c += a b, 16 by 16 times 16 by 8. */
DEVICE void multiply(float c[4], const uint32_t a[4], const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
                 "{%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int i = 0; i < 2; i++)
        asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, "
                     "{%6}, {%0,%1,%2,%3};"
                     : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                     : "r"(a[2 * i]), "r"(a[2 * i + 1]), "r"(b[i]));
#endif
}

/* What a thread knows of its block's work. */
struct tile_work {
    struct weir_cuda_place place;
    struct weir_cuda_tile tile;
    const uint32_t *tokens; /* rows of x16, in shared memory */
    uint8_t *x, *ring;      /* the ring of this warp */
    uint32_t row, lane;     /* first row of W of this warp */
};

/* 64 columns of x: piece 2 t + i of a token has eight values of run `half % 2` of unit t, at a
 * place that keeps the lanes of a warp on banks of their own. */
template <class S, int TOKENS>
DEVICE void ask_x(const struct weir_tiles_args &a, const struct tile_work &work, uint32_t half)
{
    uint8_t *to = work.x + half % 2 * TOKENS * 128;
    const uint32_t gap = S::gap(a);
    for (uint32_t i = threadIdx.x; i < TOKENS * 8; i += 32 * TILE_WARPS) {
        const uint32_t token = i / 8;
        const uint32_t piece = i % 8;
        const uint32_t col =
            unit_column(half / 2 * 4 + piece / 2, gap) + half % 2 * gap + piece % 2 * 8;
        copy_16(to + token * 128 + (piece ^ (token & 1)) * 16,
                (const __half *)a.x16 + (uint64_t)work.tokens[token] * a.x16_stride + col);
    }
}

/* The bytes of stage `stage` of the warp's rows of W. */
template <class S>
DEVICE void ask_w(const struct weir_tiles_args &a, const struct tile_work &work, uint32_t stage)
{
    const uint32_t from = S::bytes(a, stage * S::STAGE);
    const uint32_t all = S::bytes(a, a.w.cols);
    uint8_t *to = work.ring + stage % 2 * WARP_ROWS * a.slot_bytes;
    if (from >= all)
        return;
    /* By pieces of 16 bytes, so that no lane is idle. */
    const uint32_t bytes = min(S::bytes(a, S::STAGE), all - from);
    const uint32_t rows = min((uint32_t)WARP_ROWS, a.w.rows - work.row);
    const uint32_t pieces = a.slot_bytes / 16;
    for (uint32_t i = work.lane; i < rows * pieces; i += 32) {
        const uint8_t *row =
            (const uint8_t *)work.place.data + (work.row + i / pieces) * a.w.row_bytes + from;
        const uint32_t skip = skip_of(row);
        const uint32_t at = i % pieces * 16;
        if (at < skip + bytes)
            copy_16(to + i / pieces * a.slot_bytes + at, row - skip + at);
    }
}

/* sums += 64 columns: run `half % 2` of four units. */
template <class S, int TOKENS>
DEVICE void multiply_half(const struct weir_tiles_args &a, const struct tile_work &work,
                          uint32_t half, float sums[2][TOKENS / 8][4])
{
    const uint32_t g = work.lane / 4;
    const uint32_t t = work.lane % 4;
    const uint32_t unit = half / 2 * 4 + t;
    const uint32_t stage = half / (S::STAGE / 64);
    const uint32_t from = S::bytes(a, stage * S::STAGE);
    const uint8_t *x = work.x + half % 2 * TOKENS * 128 + g * 128 + ((2 * t) ^ (g & 1)) * 16;
    const uint8_t *x_next =
        work.x + half % 2 * TOKENS * 128 + g * 128 + ((2 * t + 1) ^ (g & 1)) * 16;
    uint32_t w[2][4][4];
#pragma unroll
    for (uint32_t j = 0; j < 4; j++) {
        const uint32_t row = min(work.row + g + 8 * j, a.w.rows - 1);
        const uint32_t skip =
            skip_of((const uint8_t *)work.place.data + row * a.w.row_bytes + from);
        uint32_t halves[8] = {};
        if (32 * unit < a.w.cols)
            S::get(halves, a, work.place,
                   work.ring + (stage % 2 * WARP_ROWS + row - work.row) * a.slot_bytes + skip, unit,
                   half % 2, row);
        for (int i = 0; i < 8; i++)
            w[j / 2][i / 2][j % 2 + 2 * (i % 2)] = halves[i];
    }
#pragma unroll
    for (int n = 0; n < TOKENS / 8; n++) {
        const uint4 low = *(const uint4 *)(x + n * 1024);
        const uint4 high = *(const uint4 *)(x_next + n * 1024);
        const uint32_t b[4][2] = {
            {low.x, low.y}, {low.z, low.w}, {high.x, high.y}, {high.z, high.w}};
        for (int k = 0; k < 4; k++)
            for (int m = 0; m < 2; m++)
                multiply(sums[m][n], w[m][k], b[k]);
    }
}

/* grid.x: 128 rows of W; grid.y: tiles of rows of x. */
template <class S, int TOKENS> DEVICE void compute_tile(const struct weir_tiles_args &a)
{
    struct tile_work work;
    uint32_t *tokens = (uint32_t *)shared;
    const uint32_t *order = (const uint32_t *)a.order;
    if (a.tiles != 0)
        work.tile = ((const struct weir_cuda_tile *)a.tiles)[blockIdx.y];
    else
        work.tile = {0, blockIdx.y * TOKENS,
                     min((uint32_t)TOKENS, a.rows.n_row - blockIdx.y * TOKENS), 0};
    if (work.tile.count == 0)
        return;
    work.place = place_of(a.w, work.tile.expert);
    work.tokens = tokens;
    work.x = (uint8_t *)(tokens + TOKENS);
    work.lane = threadIdx.x % 32;
    work.ring = work.x + 2 * TOKENS * 128 + threadIdx.x / 32 * 2 * WARP_ROWS * a.slot_bytes;
    /* A warp behind the last row takes part with the last one, and puts nothing. */
    const uint32_t warp_row = blockIdx.x * TILE_ROWS + threadIdx.x / 32 * WARP_ROWS;
    work.row = min(warp_row, a.w.rows - 1);
    for (uint32_t i = threadIdx.x; i < TOKENS; i += 32 * TILE_WARPS) {
        const uint32_t at = work.tile.begin + (i < work.tile.count ? i : 0);
        tokens[i] = (order != NULL ? order[at] : at) / a.rows.x_per;
    }
    __syncthreads();

    const uint32_t n_half = (a.w.cols + 127) / 128 * 2;
    float sums[2][TOKENS / 8][4] = {};
    ask_x<S, TOKENS>(a, work, 0);
    ask_w<S>(a, work, 0);
    close_group();
#pragma unroll 1
    for (uint32_t half = 0; half < n_half; half++) {
        await_groups<0>();
        __syncthreads();
        if (half + 1 < n_half)
            ask_x<S, TOKENS>(a, work, half + 1);
        if (half % (S::STAGE / 64) == 0)
            ask_w<S>(a, work, half / (S::STAGE / 64) + 1);
        close_group();
        multiply_half<S, TOKENS>(a, work, half, sums);
    }

#pragma unroll
    for (int n = 0; n < TOKENS / 8; n++)
        for (int i = 0; i < 8; i++) {
            const uint32_t token = n * 8 + work.lane % 4 * 2 + i % 2;
            const uint32_t row = warp_row + work.lane / 4 + i / 2 * 8;
            if (token < work.tile.count && row < a.w.rows) {
                const uint32_t at = work.tile.begin + token;
                const float scale = ((const float *)a.x16_scale)[tokens[token]];
                put_y(a.w, a.rows, work.tile.expert, order != NULL ? order[at] : at, row,
                      sums[i / 4][n][i % 4] * scale);
            }
        }
}

/* A kernel for tiles of n rows of x. */
#define TILES(name, source, n)                                                                     \
    extern "C" __global__ void __launch_bounds__(32 * TILE_WARPS, 2)                               \
        weir_tiles_##name##_##n(const __grid_constant__ struct weir_tiles_args a)                  \
    {                                                                                              \
        compute_tile<source, n>(a);                                                                \
    }

#endif
