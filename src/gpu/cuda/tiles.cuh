/* tiles.cuh - y = W x of many rows of x, on tensor cores: f16 products summed in f32.
 *
 * A block computes 128 rows of W by TOKENS rows of x, a warp 32 rows of W by all of them. W's bytes
 * come through a ring in shared memory that is the warp's own, and are decoded into the registers
 * that mma.sync takes its first factor from: each weight once. So columns have the order of units
 * (formats/blocks.cuh), in which lane i % 4 has unit i % 4 of four, and first all runs 0, then all
 * runs 1; x comes in the same order, 64 columns of all TOKENS at a time.
 *
 * The sum of a value of y is in one order of columns, whatever TOKENS is and whoever is beside it.
 * A weight beyond 4094, or of f16 and bf16 beyond 65504, is infinite here. */
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

DEVICE uint32_t word_of(__half2 pair)
{
    return *(const uint32_t *)&pair;
}

/* The first factors of a thread: 16 values of four rows of W. */
struct factors {
    uint32_t of[2][4][4];
};

DEVICE void put_factors(struct factors &w, int row, const uint32_t halves[8])
{
    for (int i = 0; i < 8; i++)
        w.of[row / 2][i / 2][row % 2 + 2 * (i % 2)] = halves[i];
}

/* A run as f16, 16 times too large: so a scale has all of f16's bits from 2^-18 on. A byte behind
 * 0x64 is the f16 that is 1024 more. */
template <class F> DEVICE void to_halves(uint32_t out[8], const struct run &w)
{
    const __half2 base = __float2half2_rn(1024.0f + F::OFFSET + 128.0f * F::HAS_MINUS);
    const __half2 scale = __float2half2_rn(16.0f * w.scale);
    const __half2 least = __float2half2_rn(F::HAS_MINIMUM ? -16.0f * w.minimum : 0.0f);
    for (int i = 0; i < 8; i++) {
        const uint32_t four = F::HAS_MINUS ? w.steps[i / 2] ^ 0x80808080 : w.steps[i / 2];
        const uint32_t pair = __byte_perm(four, 0x64646464, i % 2 == 0 ? 0x4140 : 0x4342);
        const __half2 steps = __hsub2(*(const __half2 *)&pair, base);
        out[i] = word_of(F::HAS_MINIMUM ? __hfma2(steps, scale, least) : __hmul2(steps, scale));
    }
}

/* A source gives W: STAGE columns of a row are staged at a time; layout_of() says how they lie;
 * get() gives a run of a unit of four rows, of W's rows from `row` on, 8 apart, from where they are
 * staged; products are FACTOR times too large. */
template <class Kinds> struct block_source {
    enum { STAGE = 256, FACTOR = 16 };
    DEVICE struct layout layout_of(const struct weir_tiles_args &a)
    {
        return Kinds::layout_of(a.w.type);
    }
    DEVICE void get(struct factors &out, const struct weir_tiles_args &a,
                    const struct weir_cuda_place &, const uint8_t *const stages[4], uint32_t unit,
                    uint32_t run, uint32_t)
    {
        Kinds::visit(a.w.type, [&](auto format) {
            typedef decltype(format) F;
            enum { UNITS = F::LEN / 32 };
            const uint32_t at = unit % (STAGE / 32);
#pragma unroll
            for (int j = 0; j < 4; j++) {
                struct run w;
                uint32_t halves[8];
                F::get(w, stages[j] + at / UNITS * F::BYTES, (int)(at % UNITS), (int)run);
                to_halves<F>(halves, w);
                put_factors(out, j, halves);
            }
        });
    }
};

/* Of values that stand for themselves, and codes: as if in blocks of 32. */
struct float_source {
    enum { STAGE = 128, FACTOR = 1 };
    DEVICE struct layout layout_of(const struct weir_tiles_args &a)
    {
        return {32,
                a.w.type <= WEIR_TYPE_BF16      ? 64u
                : a.w.type == WEIR_TYPE_F8_E4M3 ? 32u
                                                : 16u,
                16};
    }
    DEVICE void get_eight(float value[8], uint32_t type, const uint8_t *from, uint32_t zero)
    {
        if (type == WEIR_TYPE_BF16)
            bf16::get<16>(value, from, 0);
        else if (type == WEIR_TYPE_F8_E4M3)
            f8_e4m3::get<8>(value, from, 0);
        else if (type == WEIR_TYPE_F4_E2M1)
            f4_e2m1::get<4>(value, from, 0);
        else
            i4::get<4>(value, from, zero);
    }
    DEVICE void get(struct factors &out, const struct weir_tiles_args &a,
                    const struct weir_cuda_place &place, const uint8_t *const stages[4],
                    uint32_t unit, uint32_t run, uint32_t row)
    {
        const uint32_t col = 32 * unit + 16 * run;
        const uint32_t eight_bytes = layout_of(a).bytes / 4;
        const bool is_codes = a.w.type >= WEIR_TYPE_BLOCK_COUNT;
#pragma unroll
        for (int j = 0; j < 4; j++, row += 8) {
            const uint8_t *stage = stages[j] + col % STAGE / 8 * eight_bytes;
            uint32_t halves[8];
            float scale = 1.0f;
            uint32_t zero = 0;
            if (is_codes) {
                const struct scale_row scales =
                    scale_row_of(a.w.scales, place, min(row, a.w.rows - 1));
                scale = scale_at(scales, col / scales.group_cols);
                zero = zero_at(scales, col / scales.group_cols);
            }
            if (a.w.type == WEIR_TYPE_F16)
                load_bytes<32, 16>(halves, stage);
            for (int i = 0; i < 2 && a.w.type != WEIR_TYPE_F16; i++) {
                float value[8];
                get_eight(value, a.w.type, stage + i * eight_bytes, zero);
                for (int k = 0; k < 4; k++)
                    halves[4 * i + k] =
                        word_of(__floats2half2_rn(scale * value[2 * k], scale * value[2 * k + 1]));
            }
            put_factors(out, j, halves);
        }
    }
};

/* c += a b, 16 by 16 times 16 by 8. */
DEVICE void multiply(float c[4], const uint32_t a[4], const uint32_t b[2])
{
#if __CUDA_ARCH__ >= 800
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
        "{%8,%9}, {%0,%1,%2,%3};"
        : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
    for (int i = 0; i < 2; i++)
        asm("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, "
            "{%6}, {%0,%1,%2,%3};"
            : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
            : "r"(a[2 * i]), "r"(a[2 * i + 1]), "r"(b[i]));
#endif
}

/* What a thread knows of its block's work. */
struct tile_work {
    struct weir_cuda_place place;
    struct weir_cuda_tile tile;
    uint32_t *tokens;   /* in shared memory: where a token is in x16, in pieces of 16 bytes */
    uint8_t *x, *ring;  /* the ring of this warp */
    uint32_t row, lane; /* first row of W of this warp */
    uint32_t gap, stage_bytes, row_bytes;
    uint32_t off; /* of W behind a multiple of 16 */
};

/* 64 columns of x: piece 2 t + i of a token has eight values of run `half % 2` of unit t, at a
 * place that keeps the lanes of a warp on banks of their own. */
template <int TOKENS>
DEVICE void ask_x(const struct weir_tiles_args &a, const struct tile_work &work, uint32_t half)
{
    const uint32_t first = threadIdx.x / 8;
    const uint32_t piece = threadIdx.x % 8;
    const uint32_t col =
        unit_column(half / 2 * 4 + piece / 2, work.gap) + half % 2 * work.gap + piece % 2 * 8;
    const uint4 *from = (const uint4 *)a.x16 + col / 8;
    uint8_t *to = work.x + half % 2 * TOKENS * 128 + first * 128 + (piece ^ (first & 1)) * 16;
    enum { EACH = 4 * TILE_WARPS };
#pragma unroll
    for (uint32_t i = 0; i < TOKENS / EACH; i++)
        copy_16(to + i * EACH * 128, from + work.tokens[first + i * EACH]);
}

/* The bytes of stage `stage` of the warp's rows of W, two rows at a time. */
DEVICE void ask_w(const struct weir_tiles_args &a, const struct tile_work &work, uint32_t stage)
{
    const uint32_t from = stage * work.stage_bytes;
    if (from >= work.row_bytes)
        return;
    const uint32_t bytes = min(work.stage_bytes, work.row_bytes - from);
    uint8_t *to = work.ring + stage % 2 * WARP_ROWS * a.slot_bytes;
    const uint8_t *data = (const uint8_t *)work.place.data + from;
#pragma unroll 4
    for (uint32_t r = work.lane / 16; r < WARP_ROWS; r += 2)
        if (work.row + r < a.w.rows)
            copy_bytes<288, 16>(to + r * a.slot_bytes, data + (work.row + r) * a.w.row_bytes, bytes,
                                work.off, work.lane % 16);
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
    const uint8_t *x = work.x + half % 2 * TOKENS * 128 + g * 128;
    const uint8_t *x_low = x + ((2 * t) ^ (g & 1)) * 16;
    const uint8_t *x_high = x + ((2 * t + 1) ^ (g & 1)) * 16;
    struct factors w = {};
    const uint8_t *stages[4];
    for (uint32_t j = 0; j < 4; j++) {
        const uint8_t *from = (const uint8_t *)work.place.data + stage * work.stage_bytes +
                              (work.row + g + 8 * j) * a.w.row_bytes;
        stages[j] = work.ring + (stage % 2 * WARP_ROWS + g + 8 * j) * a.slot_bytes +
                    skip_of(from, work.off);
    }
    if (32 * unit < a.w.cols)
        S::get(w, a, work.place, stages, unit, half % 2, work.row + g);
    enum { AT_ONCE = TOKENS >= 64 ? 4 : 2 };
#pragma unroll
    for (int n = 0; n < TOKENS / 8; n += AT_ONCE) {
        uint32_t b[AT_ONCE][8];
        for (int i = 0; i < AT_ONCE; i++) {
            load_bytes<16, 16>(b[i], x_low + (n + i) * 1024);
            load_bytes<16, 16>(b[i] + 4, x_high + (n + i) * 1024);
        }
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < AT_ONCE; i++)
                for (int m = 0; m < 2; m++)
                    multiply(sums[m][n + i], w.of[m][k], b[i] + 2 * k);
    }
}

/* False: there is nothing to do. */
template <class S, int TOKENS>
DEVICE bool begin_tile(const struct weir_tiles_args &a, struct tile_work &work)
{
    const struct layout lay = S::layout_of(a);
    const uint32_t warp = threadIdx.x / 32;
    const uint32_t first = blockIdx.y * TOKENS;
    if (a.tiles != 0)
        work.tile = ((const struct weir_cuda_tile *)a.tiles)[blockIdx.y];
    else
        work.tile = {0, first, min((uint32_t)TOKENS, a.rows.n_row - first), 0};
    work.place = place_of(a.w, work.tile.expert);
    work.lane = threadIdx.x % 32;
    work.row = blockIdx.x * TILE_ROWS + warp * WARP_ROWS;
    work.gap = lay.gap;
    work.off = (uint32_t)work.place.data & 15;
    work.stage_bytes = S::STAGE / lay.len * lay.bytes;
    work.row_bytes = a.w.cols / lay.len * lay.bytes;
    work.tokens = (uint32_t *)shared;
    work.x = (uint8_t *)(work.tokens + TOKENS);
    work.ring = work.x + 2 * TOKENS * 128 + warp * 2 * WARP_ROWS * a.slot_bytes;
    return work.tile.count != 0;
}

/* Row `i` of a tile: the row of y, and of x16. */
DEVICE uint32_t tile_row(const struct weir_tiles_args &a, const struct tile_work &work, uint32_t i)
{
    const uint32_t at = work.tile.begin + i;
    return a.order != 0 ? ((const uint32_t *)a.order)[at] : at;
}

/* grid.x: 128 rows of W; grid.y: tiles of rows of x. */
template <class S, int TOKENS> DEVICE void compute_tile(const struct weir_tiles_args &a)
{
    struct tile_work work;
    if (!begin_tile<S, TOKENS>(a, work))
        return;
    /* A row that is not there is the first once more, and goes nowhere. */
    for (uint32_t i = threadIdx.x; i < TOKENS; i += 32 * TILE_WARPS)
        work.tokens[i] =
            tile_row(a, work, i < work.tile.count ? i : 0) / a.rows.x_per * (a.x16_stride / 8);
    __syncthreads();

    const uint32_t n_half = (a.w.cols + 127) / 128 * 2;
    float sums[2][TOKENS / 8][4] = {};
    ask_x<TOKENS>(a, work, 0);
    ask_w(a, work, 0);
    close_group();
#pragma unroll 1
    for (uint32_t half = 0; half < n_half; half++) {
        await_groups<0>();
        __syncthreads();
        if (half + 1 < n_half)
            ask_x<TOKENS>(a, work, half + 1);
        if (half % (S::STAGE / 64) == 0)
            ask_w(a, work, half / (S::STAGE / 64) + 1);
        close_group();
        multiply_half<S, TOKENS>(a, work, half, sums);
    }

#pragma unroll
    for (int n = 0; n < TOKENS / 8; n++)
        for (int j = 0; j < 2; j++) {
            const uint32_t token = n * 8 + work.lane % 4 * 2 + j;
            if (token >= work.tile.count)
                continue;
            const uint32_t y_row = tile_row(a, work, token);
            const float scale = ((const float *)a.x16_scale)[y_row / a.rows.x_per] / S::FACTOR;
            for (int i = 0; i < 4; i++) {
                const uint32_t row = work.row + work.lane / 4 + 8 * i;
                if (row < a.w.rows)
                    put_y(a.w, a.rows, work.tile.expert, y_row, row,
                          sums[i / 2][n][i % 2 * 2 + j] * scale);
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
