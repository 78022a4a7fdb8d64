/* packed.c - codes of directories, put together with their scales. */
#include "recast/packed.h"

#include "quant/i4.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "recast/recast_internal.h"

enum { NVFP4_GROUP = 16 }; /* columns of a scale */

static uint8_t nibble_at(const uint8_t *codes, uint64_t col)
{
    return col % 2 == 0 ? codes[col / 2] & 15 : codes[col / 2] >> 4;
}

/* What codes of the group are too large by. */
static int zero_of(const struct weir_packed *row, uint64_t group)
{
    if (row->zeros == NULL)
        return WEIR_I4_ZERO;
    return nibble_at(row->zeros + group * WEIR_I4_ZERO_BYTES, row->zero_row);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

/* Codes of one block: the low nibbles are its first half, where neighbours share a byte here. */
static void split_halves(const uint8_t *codes, uint64_t col, uint32_t count, uint8_t *out)
{
    for (uint32_t at = 0; at < count / 2; at++)
        out[at] =
            (uint8_t)(nibble_at(codes, col + at) | nibble_at(codes, col + count / 2 + at) << 4);
}

static void pack_mxfp4(const struct weir_packed *row, uint64_t col, struct weir_mxfp4 *block)
{
    block->e = row->scales[col / WEIR_MXFP4_LEN];
    split_halves(row->codes, col, WEIR_MXFP4_LEN, block->qs);
}

static void pack_nvfp4(const struct weir_packed *row, uint64_t col, struct weir_nvfp4 *block)
{
    for (uint32_t part = 0; part < WEIR_NVFP4_LEN / NVFP4_GROUP; part++) {
        const uint64_t first = col + part * NVFP4_GROUP;
        const uint8_t scale = row->scales[first / NVFP4_GROUP];
        uint8_t *qs = block->qs + part * NVFP4_GROUP / 2;
        split_halves(row->codes, first, NVFP4_GROUP, qs);
        /* Scales have no sign there: that of one goes to its codes. */
        block->scales[part] = scale & 0x7f;
        for (uint32_t at = 0; at < NVFP4_GROUP / 2 && (scale & 0x80) != 0; at++)
            qs[at] ^= 0x88;
    }
}

static float scale_at(const struct weir_packed *row, uint64_t col)
{
    return weir_scale_decode(row->scale_type, row->scales, (size_t)(col / row->group_cols));
}

static void pack_q4_0(const struct weir_packed *row, uint64_t col, struct weir_q4_0 *block)
{
    block->d = weir_f32_to_f16(scale_at(row, col));
    split_halves(row->codes, col, WEIR_Q4_0_LEN, block->qs);
}

static void pack_q4_1(const struct weir_packed *row, uint64_t col, struct weir_q4_1 *block)
{
    const float scale = scale_at(row, col);
    block->d = weir_f32_to_f16(scale);
    block->m = weir_f32_to_f16(-scale * (float)zero_of(row, col / row->group_cols));
    split_halves(row->codes, col, WEIR_Q4_1_LEN, block->qs);
}

enum weir_type weir_packed_type(const struct weir_recast_tensor *tensor)
{
    const struct weir_tensor *source = tensor->source;
    const struct weir_tensor *scales = tensor->scales;
    const uint64_t cols = source->dims[0];
    if (scales == NULL || tensor->is_turned || tensor->col_order != NULL ||
        tensor->first_col != 0 || tensor->dims[0] != cols || weir_recast_group_rows(tensor) != 1)
        return WEIR_TYPE_BF16;
    const uint64_t group = weir_recast_group_cols(tensor);
    if (source->type == WEIR_TYPE_I4 && group % WEIR_Q4_0_LEN == 0 && cols % WEIR_Q4_0_LEN == 0)
        return tensor->zeros == NULL ? WEIR_TYPE_Q4_0 : WEIR_TYPE_Q4_1;
    if (source->type != WEIR_TYPE_F4_E2M1)
        return WEIR_TYPE_BF16;
    if (group == WEIR_MXFP4_LEN && scales->scale_type == WEIR_SCALE_E8M0 &&
        cols % WEIR_MXFP4_LEN == 0)
        return WEIR_TYPE_MXFP4;
    return group == NVFP4_GROUP && scales->scale_type == WEIR_SCALE_F8_E4M3 &&
                   cols % WEIR_NVFP4_LEN == 0
               ? WEIR_TYPE_NVFP4
               : WEIR_TYPE_BF16;
}

bool weir_packed_is_kept(const struct weir_recast_tensor *tensor)
{
    return tensor->source->known && tensor->source->type >= WEIR_TYPE_BLOCK_COUNT &&
           tensor->factor == NULL && tensor->type != WEIR_TYPE_BF16 &&
           tensor->type == weir_packed_type(tensor);
}

void weir_packed_put(const struct weir_packed *row, enum weir_type type, void *out)
{
    const struct weir_type_info *info = weir_quant_info(type);
    uint8_t *block = out;
    for (uint64_t col = 0; col < row->cols; col += info->block_len, block += info->block_bytes) {
        if (type == WEIR_TYPE_MXFP4)
            pack_mxfp4(row, col, (struct weir_mxfp4 *)(void *)block);
        else if (type == WEIR_TYPE_NVFP4)
            pack_nvfp4(row, col, (struct weir_nvfp4 *)(void *)block);
        else if (type == WEIR_TYPE_Q4_0)
            pack_q4_0(row, col, (struct weir_q4_0 *)(void *)block);
        else
            pack_q4_1(row, col, (struct weir_q4_1 *)(void *)block);
    }
}
