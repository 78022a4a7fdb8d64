/* kv.h - what keys and values are kept as: rows of a position, and tiles of 32 of them.
 *
 * A row is `width` values of one position and head, as floats of some width, or as blocks of 32 of
 * GGUF's formats. A tile (KIVI, arXiv:2402.02750, section 3) has 32 lanes and any number of
 * indices: keys of a head are one tile whose lanes are 32 positions and whose indices are the
 * head's channels; its values are a tile for each 32 channels, which are the lanes, and the
 * positions are the indices. So a group of numbers that share a scale and a zero, the lanes of an
 * index, is a channel of 32 keys, or 32 channels of one value.
 *
 *   byte  0                                         4 bits n           6 n...
 *         | codes                                   | scale[n]         | zero[n]   |
 *         words of 32 bits, [n bits / 32][lane]      f16                f16
 *
 *   code (lane, i) is `bits` bits of word [i / (32 / bits)][lane], from bit i % (32 / bits) * bits
 *   value(lane, i) = scale[i] * code(lane, i) + zero[i] */
#ifndef WEIR_KERNELS_KV_H
#define WEIR_KERNELS_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_kv {
    WEIR_KV_F16,
    WEIR_KV_F32,
    WEIR_KV_BF16,
    WEIR_KV_Q8_0,
    WEIR_KV_Q4_0,
    WEIR_KV_KIVI4, /* tiles; the latest positions are rows of f16 */
    WEIR_KV_KIVI2,
    WEIR_KV_COUNT
};

enum {
    WEIR_TILE = 32,             /* lanes of a tile; positions that are packed together */
    WEIR_TILE_UNIT_BYTES = 128, /* of one word for each lane */
    WEIR_KIVI_ROWS = 128,       /* the latest positions that are not packed, at least ... */
    WEIR_KIVI_WINDOW = WEIR_KIVI_ROWS + WEIR_TILE - 1, /* ... and at most */
};

struct weir_kv_info {
    const char *name;     /* "q8_0" */
    uint32_t block_len;   /* a width is a multiple of it */
    uint32_t block_bytes; /* of so many values; in a tile, scales and zeros among them */
    uint32_t bits;        /* of a code of a tile; 0: rows are all there is */
    bool is_lossy;        /* fewer bits than f16 */
    float most;           /* the largest magnitude that it holds */
};

const struct weir_kv_info *weir_kv_info(enum weir_kv kv);
/* False when there is none of that name. */
bool weir_kv_from_name(const char *name, enum weir_kv *kv);
/* "f16, f32, ...": for messages. */
const char *weir_kv_names(void);

/* Bytes that `width` values of one position have, in a row or in a tile. */
static inline size_t weir_kv_row_bytes(enum weir_kv kv, size_t width)
{
    const struct weir_kv_info *info = weir_kv_info(kv);
    return width / info->block_len * info->block_bytes;
}

/* The same of tiles of codes of so many bits: scales and zeros are two of f16 for 32 values. */
static inline size_t weir_tile_row_bytes(int bits, size_t width)
{
    return width * (size_t)bits / 8 + width / WEIR_TILE * 4;
}

/* What the rows are where the latest positions are kept. */
static inline enum weir_kv weir_kv_rows(enum weir_kv kv)
{
    return weir_kv_info(kv)->bits > 0 ? WEIR_KV_F16 : kv;
}

/* Where what a position sees packed ends, the rest being rows: a function of the position alone, so
 * that no bits depend on how a text was cut. It sees the last WEIR_KIVI_ROWS, itself among them, as
 * rows, and those before in whole tiles: docs/decisions/0060-kv.md. */
static inline size_t weir_kv_packed_end(enum weir_kv kv, size_t position)
{
    if (weir_kv_info(kv)->bits == 0 || position + 1 < WEIR_KIVI_ROWS)
        return 0;
    return (position + 1 - WEIR_KIVI_ROWS) / WEIR_TILE * WEIR_TILE;
}

/* src, count floats, as a row: src and dst do not overlap, count is a multiple of block_len. For
 * packed formats as weir_kv_rows(). EXACT: floats round to nearest even, steps too. What is not
 * finite stays so; of steps, all of its block. */
void weir_kv_store_row(enum weir_kv kv, const float *src, void *dst, size_t count);
/* A row back to floats. */
void weir_kv_load_row(enum weir_kv kv, const void *row, float *dst, size_t count);

/* WEIR_TILE rows of f16, stride_bytes apart, of width values: packed as keys, or as values, into
 * WEIR_TILE * weir_kv_row_bytes(). EXACT: codes round to nearest even, scales and zeros are f16. */
void weir_kv_pack_keys(enum weir_kv kv, const void *rows, size_t stride_bytes, size_t width,
                       void *tile);
void weir_kv_pack_values(enum weir_kv kv, const void *rows, size_t stride_bytes, size_t width,
                         void *tiles);
/* The value of a tile of n indices. */
float weir_tile_value(enum weir_kv kv, const void *tile, size_t n, size_t lane, size_t index);

#endif
