/* any.cu - what looks at the format as it runs: products with rarer formats, embeddings. */
#include "gpu/cuda/formats/grids.cuh"
#include "gpu/cuda/matvec.cuh"
#include "gpu/cuda/tiles.cuh"

KINDS(rare_kinds, RARE_KINDS);

#define ALL_KINDS(each) HOT_KINDS(each) RARE_KINDS(each)
KINDS(all_kinds, ALL_KINDS);

MATVEC(rare, rare_kinds, 4)
TILES(rare, block_source<rare_kinds>, 32)

enum { EMBED_WARPS = 4 };

/* Eight values of a row whose values stand for themselves, from where they are staged. */
DEVICE void embed_eight(const struct weir_embed_args &a, const uint8_t *from, uint32_t id,
                        uint32_t col, float *y)
{
    float value[8];
    float scale = a.scale;
    uint32_t zero = 0;
    if (a.w.type >= WEIR_TYPE_BLOCK_COUNT) {
        const struct scale_row scales = scale_row_of(a.w.scales, a.w.one, id);
        scale *= scale_at(scales, col / scales.group_cols);
        zero = zero_at(scales, col / scales.group_cols);
    }
    if (a.w.type == WEIR_TYPE_F32)
        f32::get<16>(value, from, 0);
    else if (a.w.type == WEIR_TYPE_F16)
        f16::get<16>(value, from, 0);
    else
        float_source::get_eight(value, a.w.type, from, zero);
    for (uint32_t i = 0; i < 8; i++)
        y[col + i] = scale * value[i];
}

/* A unit of a row in blocks; part: of the block. */
DEVICE void embed_unit(const struct weir_embed_args &a, const uint8_t *block, uint32_t part,
                       uint32_t gap, float *y)
{
    for (uint32_t run = 0; run < 2; run++, y += gap) {
        struct run w;
        all_kinds::get(w, block, part, run, a.w.type);
        for (uint32_t i = 0; i < 16; i++) {
            const float step = (float)(int8_t)(w.steps[i / 4] >> 8 * (i % 4));
            y[i] = a.scale * fmaf(w.scale, step, -w.minimum);
        }
    }
}

/* A block is a row of y; a warp takes 256 columns of it at a time. */
extern "C" __global__ void __launch_bounds__(32 * EMBED_WARPS)
    weir_embed(const __grid_constant__ struct weir_embed_args a)
{
    __shared__ uint4 stages[EMBED_WARPS][66];
    const struct layout lay = all_kinds::layout_of(a.w.type);
    const uint32_t id = ((const uint32_t *)a.ids)[blockIdx.x];
    const uint8_t *row = (const uint8_t *)a.w.one.data + id * a.w.row_bytes;
    uint8_t *stage = (uint8_t *)stages[threadIdx.x / 32];
    float *y = (float *)a.y + (uint64_t)blockIdx.x * a.y_stride;
    const uint32_t lane = threadIdx.x % 32;
    const uint32_t off = (uint32_t)a.w.one.data & 15;
    for (uint32_t base = threadIdx.x / 32 * 256; base < a.w.cols; base += EMBED_WARPS * 256) {
        const uint32_t cols = min(256, a.w.cols - base);
        const bool is_float = a.value_bits != 0;
        const uint32_t from = is_float ? base / 8 * a.value_bits : base / lay.len * lay.bytes;
        const uint32_t bytes = is_float ? cols / 8 * a.value_bits : cols / lay.len * lay.bytes;
        __syncwarp();
        copy_bytes<1056, 32>(stage, row + from, bytes, off, lane);
        close_group();
        await_groups<0>();
        __syncwarp();
        const uint8_t *staged = stage + skip_of(row + from, off);
        if (is_float && 8 * lane < cols)
            embed_eight(a, staged + lane * a.value_bits, id, base + 8 * lane, y);
        else if (!is_float && 32 * lane < cols)
            embed_unit(a, staged + lane / (lay.len / 32) * lay.bytes, lane % (lay.len / 32),
                       lay.gap, y + base + unit_column(lane, lay.gap));
    }
}
