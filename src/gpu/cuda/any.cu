/* any.cu - what looks at the format as it runs: products with rarer formats, embeddings. */
#include "gpu/cuda/formats/grids.cuh"
#include "gpu/cuda/matvec.cuh"
#include "gpu/cuda/tiles.cuh"

KINDS(rare_kinds, RARE_KINDS);

#define ALL_KINDS(each) HOT_KINDS(each) RARE_KINDS(each)
KINDS(all_kinds, ALL_KINDS);

MATVEC(rare, rare_kinds, 4)
TILES(rare, block_source<rare_kinds>, 32)

/* Eight values of a row whose values stand for themselves. */
DEVICE void embed_eight(const struct weir_embed_args &a, const uint8_t *row, uint32_t id,
                        uint32_t col, float *y)
{
    const uint8_t *from = row + (uint64_t)col * a.value_bits / 8;
    float value[8];
    float scale = a.scale;
    uint32_t zero = 0;
    if (a.w.type >= WEIR_TYPE_BLOCK_COUNT) {
        const struct scale_row scales = scale_row_of(a.w.scales, a.w.one, id);
        scale *= scale_at(scales, col / scales.group_cols);
        zero = zero_at(scales, col / scales.group_cols);
    }
    if (a.w.type == WEIR_TYPE_F32)
        f32::get(value, from, 0);
    else if (a.w.type == WEIR_TYPE_F16)
        f16::get(value, from, 0);
    else if (a.w.type == WEIR_TYPE_BF16)
        bf16::get(value, from, 0);
    else if (a.w.type == WEIR_TYPE_F8_E4M3)
        f8_e4m3::get(value, from, 0);
    else if (a.w.type == WEIR_TYPE_F4_E2M1)
        f4_e2m1::get(value, from, 0);
    else
        i4::get(value, from, zero);
    for (uint32_t i = 0; i < 8; i++)
        y[col + i] = scale * value[i];
}

/* Run `run` of a unit of a row in blocks. */
DEVICE void embed_run(const struct weir_embed_args &a, const uint8_t *row, uint32_t unit,
                      uint32_t run, float *y)
{
    const struct layout lay = all_kinds::layout_of(a.w.type);
    const uint32_t units = lay.len / 32;
    struct run w;
    all_kinds::get(w, row + unit / units * lay.bytes, unit % units, run, a.w.type);
    y += unit_column(unit, lay.gap) + run * lay.gap;
    for (uint32_t i = 0; i < 16; i++)
        y[i] = a.scale * fmaf(w.scale, (float)(int8_t)(w.steps[i / 4] >> 8 * (i % 4)), -w.minimum);
}

/* A block is a row of y. */
extern "C" __global__ void __launch_bounds__(128)
    weir_embed(const __grid_constant__ struct weir_embed_args a)
{
    const uint32_t id = ((const uint32_t *)a.ids)[blockIdx.x];
    const uint8_t *row = (const uint8_t *)a.w.one.data + id * a.w.row_bytes;
    float *y = (float *)a.y + (uint64_t)blockIdx.x * a.y_stride;
    if (a.value_bits != 0) {
        for (uint32_t col = 8 * threadIdx.x; col < a.w.cols; col += 8 * blockDim.x)
            embed_eight(a, row, id, col, y);
    } else {
        for (uint32_t i = threadIdx.x; i < a.w.cols / 16; i += blockDim.x)
            embed_run(a, row, i / 2, i % 2, y);
    }
}
