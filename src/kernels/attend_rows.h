/* attend_rows.h - rows of keys and values on registers of LANES floats: part of attend_lanes.h. */
#ifndef WEIR_KERNELS_ATTEND_ROWS_H
#define WEIR_KERNELS_ATTEND_ROWS_H

#include "quant/q4_0.h"
#include "quant/q8_0.h"

/* Values that share a scale, or that are loaded at once: a row's pieces. */
WEIR_INLINE size_t piece_length(const enum weir_kv kv)
{
    return kv == WEIR_KV_Q8_0 || kv == WEIR_KV_Q4_0 ? 32 : LANES;
}

/* Values [first + at, first + at + LANES) of a row, of which `left` are there: all of them in
 * formats of blocks. at is a constant, so that what a block's values share is loaded once. */
WEIR_INLINE lanes load_row(const uint8_t *row, size_t first, const size_t at, size_t left,
                           const enum weir_kv kv)
{
    const size_t i = first % 32 + at % 32;
    if (kv == WEIR_KV_F32)
        return load_floats((const float *)(const void *)row + first + at, left);
    if (kv == WEIR_KV_BF16)
        return load_bfloats((const uint16_t *)(const void *)row + first + at, left);
    if (kv == WEIR_KV_Q8_0) {
        const struct weir_q8_0 *block =
            (const struct weir_q8_0 *)(const void *)row + first / 32 + at / 32;
        return multiply(load_bytes(block->qs + i), spread_half(&block->d));
    }
    if (kv == WEIR_KV_Q4_0) {
        const struct weir_q4_0 *block =
            (const struct weir_q4_0 *)(const void *)row + first / 32 + at / 32;
        const lanes d = spread_half(&block->d);
        const lanes steps =
            i < 16 ? load_nibbles(block->qs + i) : load_nibbles_high(block->qs + i - 16);
        return multiply_add(steps, d, multiply(d, spread(-8.0f)));
    }
    return load_halves((const uint16_t *)(const void *)row + first + at, left);
}

#endif
