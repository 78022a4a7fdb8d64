/* rows16_avx512.h - sixteen rows of weights as the sixteen lanes of a register.
 *
 * Block formats keep the bytes of one row side by side; the kernels want the same byte of sixteen
 * rows side by side, so that an output's sum never crosses lanes. Rows are read 16 bytes at a time
 * and transposed as 32-bit words, which is what vpdpbusd multiplies.
 *
 * I1  A lane's arithmetic is that of its row alone: which rows share a tile changes no result. */
#ifndef WEIR_KERNELS_ROWS16_AVX512_H
#define WEIR_KERNELS_ROWS16_AVX512_H

#include <immintrin.h>

#include "kernels/x86/tile.h"

enum { WEIR_LANES = 16, WEIR_ROWS = 16 };

/* Where the rows of a tile lie: row 4 l + j at group[l] + step[j]. Fewer than 16 rows are covered
 * more than once, so that every lane holds a row (keeps I1) and no byte beside them is read. */
struct rows16 {
    const uint8_t *group[4];
    size_t step[4];
    size_t lane_row[4]; /* of lane 4 l, from the tile's first row */
    size_t count;
    /* What is asked for while these rows are read, a line with each load of sixteen: many at once
     * hold up the loads. */
    const uint8_t *ahead;
    const uint8_t *further; /* the same lines of this are asked for into L2; NULL: of nothing */
    size_t ahead_bytes;
    size_t asked_bytes;
};

/* The first of the rows lies at w, the next each row_bytes further. */
WEIR_INLINE struct rows16 rows16_at(const uint8_t *w, size_t row_bytes, size_t count)
{
    struct rows16 rows = {.count = count < WEIR_ROWS ? count : WEIR_ROWS};
    for (size_t l = 0; l < 4; l++) {
        const size_t last = rows.count < 4 ? 0 : rows.count - 4;
        rows.lane_row[l] = 4 * l < last ? 4 * l : last;
        rows.group[l] = w + rows.lane_row[l] * row_bytes;
        rows.step[l] = (l < rows.count ? l : rows.count - 1) * row_bytes;
    }
    return rows;
}

/* Eight rows twice: lanes 0 to 7 are their blocks, lanes 8 to 15 the blocks block_bytes further. */
WEIR_INLINE struct rows16 rows8x2_at(const uint8_t *w, size_t row_bytes, size_t count,
                                     size_t block_bytes)
{
    struct rows16 rows = rows16_at(w, row_bytes, count < WEIR_LANES / 2 ? count : WEIR_LANES / 2);
    for (int l = 0; l < 2; l++) {
        rows.group[l + 2] = rows.group[l] + block_bytes;
        rows.lane_row[l + 2] = rows.lane_row[l];
    }
    return rows;
}

/* The second blocks lie one block further from the first, or one nearer: then a last block that has
 * no second one is read twice. */
WEIR_INLINE void rows8x2_apart(struct rows16 *rows, size_t block_bytes)
{
    rows->group[2] += block_bytes;
    rows->group[3] += block_bytes;
}

WEIR_INLINE void rows8x2_nearer(struct rows16 *rows, size_t block_bytes)
{
    rows->group[2] -= block_bytes;
    rows->group[3] -= block_bytes;
}

WEIR_INLINE void rows16_advance(struct rows16 *rows, size_t bytes)
{
    for (int l = 0; l < 4; l++)
        rows->group[l] += bytes;
}

/* y[row * apart] = lane, for the rows that are there; y belongs to the first of them. */
WEIR_INLINE void rows16_store(const struct rows16 *rows, float *y, size_t apart, __m512 lanes)
{
    if (apart > 1) {
        float values[WEIR_LANES];
        _mm512_storeu_ps(values, lanes);
        scatter_lanes(y, apart, values, rows->count);
        return;
    }
    if (rows->count == WEIR_ROWS) {
        _mm512_storeu_ps(y, lanes);
        return;
    }
    const __mmask8 mask = (__mmask8)(rows->count < 4 ? (1 << rows->count) - 1 : 15);
    _mm_mask_storeu_ps(y + rows->lane_row[0], mask, _mm512_extractf32x4_ps(lanes, 0));
    _mm_mask_storeu_ps(y + rows->lane_row[1], mask, _mm512_extractf32x4_ps(lanes, 1));
    _mm_mask_storeu_ps(y + rows->lane_row[2], mask, _mm512_extractf32x4_ps(lanes, 2));
    _mm_mask_storeu_ps(y + rows->lane_row[3], mask, _mm512_extractf32x4_ps(lanes, 3));
}

/* The same for the eight rows of rows8x2_at(), neighbours. */
WEIR_INLINE void rows8x2_store(const struct rows16 *rows, float *y, __m256 lanes)
{
    rows16_store(rows, y, 1, _mm512_insertf32x8(_mm512_castps256_ps512(lanes), lanes, 1));
}

WEIR_INLINE const uint8_t *rows16_row(const struct rows16 *rows, int row)
{
    return rows->group[row / 4] + rows->step[row % 4];
}

WEIR_INLINE void rows16_ask(struct rows16 *rows)
{
    if (rows->asked_bytes >= rows->ahead_bytes)
        return;
    prefetch_near(rows->ahead + rows->asked_bytes, 1);
    if (rows->further != NULL)
        prefetch_bytes(rows->further + rows->asked_bytes, 1);
    rows->asked_bytes += WEIR_LINE_BYTES;
    __asm__ volatile("" ::: "memory"); /* else gcc puts them side by side */
}

/* From now on bytes at ahead are asked for, and those at further. */
WEIR_INLINE void rows16_ask_for(struct rows16 *rows, const uint8_t *ahead, const uint8_t *further,
                                size_t bytes)
{
    while (rows->asked_bytes < rows->ahead_bytes)
        rows16_ask(rows);
    rows->ahead = ahead;
    rows->further = further;
    rows->ahead_bytes = bytes;
    rows->asked_bytes = 0;
}

/* Bytes [byte, byte + 16) of row 4 l + j in part l. */
WEIR_INLINE __m512i rows16_quad(struct rows16 *rows, int j, size_t byte)
{
    rows16_ask(rows);
    const size_t at = rows->step[j] + byte;
    __m512i quad = _mm512_castsi128_si512(
        _mm_loadu_si128((const __m128i *)(const void *)(rows->group[0] + at)));
    quad = _mm512_inserti32x4(
        quad, _mm_loadu_si128((const __m128i *)(const void *)(rows->group[1] + at)), 1);
    quad = _mm512_inserti32x4(
        quad, _mm_loadu_si128((const __m128i *)(const void *)(rows->group[2] + at)), 2);
    return _mm512_inserti32x4(
        quad, _mm_loadu_si128((const __m128i *)(const void *)(rows->group[3] + at)), 3);
}

/* words[i]: of each row, the 32-bit word at byte + 4 i. */
WEIR_INLINE void rows16_words(struct rows16 *rows, size_t byte, __m512i words[4])
{
    const __m512i a = rows16_quad(rows, 0, byte);
    const __m512i b = rows16_quad(rows, 1, byte);
    const __m512i c = rows16_quad(rows, 2, byte);
    const __m512i d = rows16_quad(rows, 3, byte);
    const __m512i ab_low = _mm512_unpacklo_epi32(a, b);
    const __m512i ab_high = _mm512_unpackhi_epi32(a, b);
    const __m512i cd_low = _mm512_unpacklo_epi32(c, d);
    const __m512i cd_high = _mm512_unpackhi_epi32(c, d);
    words[0] = _mm512_unpacklo_epi64(ab_low, cd_low);
    words[1] = _mm512_unpackhi_epi64(ab_low, cd_low);
    words[2] = _mm512_unpacklo_epi64(ab_high, cd_high);
    words[3] = _mm512_unpackhi_epi64(ab_high, cd_high);
}

WEIR_INLINE int rows16_u16(const struct rows16 *rows, int row, size_t byte)
{
    uint16_t bits;
    __builtin_memcpy(&bits, rows16_row(rows, row) + byte, sizeof(bits));
    return bits;
}

/* The half-precision bits at byte of eight rows. */
WEIR_INLINE __m128i rows16_eight_u16(const struct rows16 *rows, int first, size_t byte)
{
    __m128i bits = _mm_cvtsi32_si128(rows16_u16(rows, first, byte));
    bits = _mm_insert_epi16(bits, rows16_u16(rows, first + 1, byte), 1);
    bits = _mm_insert_epi16(bits, rows16_u16(rows, first + 2, byte), 2);
    bits = _mm_insert_epi16(bits, rows16_u16(rows, first + 3, byte), 3);
    bits = _mm_insert_epi16(bits, rows16_u16(rows, first + 4, byte), 4);
    bits = _mm_insert_epi16(bits, rows16_u16(rows, first + 5, byte), 5);
    bits = _mm_insert_epi16(bits, rows16_u16(rows, first + 6, byte), 6);
    return _mm_insert_epi16(bits, rows16_u16(rows, first + 7, byte), 7);
}

/* The half-precision number at byte of each row. */
WEIR_INLINE __m512 rows16_halves(const struct rows16 *rows, size_t byte)
{
    return _mm512_cvtph_ps(
        _mm256_set_m128i(rows16_eight_u16(rows, 8, byte), rows16_eight_u16(rows, 0, byte)));
}

/* That of the first eight. */
WEIR_INLINE __m256 rows8_halves(const struct rows16 *rows, size_t byte)
{
    return _mm256_cvtph_ps(rows16_eight_u16(rows, 0, byte));
}

/* 16 activations in each quarter. */
WEIR_INLINE __m512i spread_quarter(const int8_t *q)
{
    return _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)q));
}

/* The same 32-bit word of the activations in every lane. */
WEIR_INLINE __m512i spread_word(const void *bytes)
{
    int word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return _mm512_set1_epi32(word);
}

#endif
