/* rows8_avx2.h - eight rows of weights as the eight lanes of a register; as rows16_avx512.h.
 * Of many tokens a tile is two of them, so that what is loaded of the activations serves two
 * registers of weights. */
#ifndef WEIR_KERNELS_ROWS8_AVX2_H
#define WEIR_KERNELS_ROWS8_AVX2_H

#include <immintrin.h>

#include "kernels/x86/tile.h"

enum { WEIR_LANES = 8, WEIR_ROWS = 16, PARTS = 2 };

/* Row 4 l + j lies at group[l] + step[j]; fewer than 8 rows are covered more than once,
 * as in struct rows16. */
struct rows8 {
    const uint8_t *group[2];
    size_t step[4];
    size_t second; /* the row of lane 4, from the first */
    size_t count;
};

/* The first of the rows lies at w, the next each row_bytes further. */
WEIR_INLINE struct rows8 rows8_at(const uint8_t *w, size_t row_bytes, size_t count)
{
    struct rows8 rows = {.count = count < WEIR_LANES ? count : WEIR_LANES};
    rows.second = rows.count < 4 ? 0 : rows.count - 4;
    rows.group[0] = w;
    rows.group[1] = w + rows.second * row_bytes;
    for (size_t j = 0; j < 4; j++)
        rows.step[j] = (j < rows.count ? j : rows.count - 1) * row_bytes;
    return rows;
}

WEIR_INLINE void rows8_advance(struct rows8 *rows, size_t bytes)
{
    rows->group[0] += bytes;
    rows->group[1] += bytes;
}

/* y[row * apart] = lane, for the rows that are there; y belongs to the first of them. */
WEIR_INLINE void rows8_store(const struct rows8 *rows, float *y, size_t apart, __m256 lanes)
{
    if (apart == 1 && rows->count >= 4) {
        _mm_storeu_ps(y, _mm256_castps256_ps128(lanes));
        _mm_storeu_ps(y + rows->second, _mm256_extractf128_ps(lanes, 1));
        return;
    }
    float values[WEIR_LANES];
    _mm256_storeu_ps(values, lanes);
    if (rows->count == WEIR_LANES)
        scatter_lanes(y, apart, values, WEIR_LANES);
    else
        scatter_lanes(y, apart, values, rows->count);
}

/* Where a tile's rows lie. */
struct tile {
    const uint8_t *w;
    size_t row_bytes;
    size_t count;
};

WEIR_INLINE struct tile tile_at(const uint8_t *w, size_t row_bytes, size_t count)
{
    return (struct tile){w, row_bytes, count < WEIR_ROWS ? count : WEIR_ROWS};
}

/* The first row of a part. Up to 8 rows are all in the first; the second is then the same again. */
WEIR_INLINE size_t part_row(const struct tile *tile, int part)
{
    return part > 0 && tile->count > WEIR_LANES ? WEIR_LANES : 0;
}

WEIR_INLINE struct rows8 part_rows(const struct tile *tile, int part)
{
    const size_t row = part_row(tile, part);
    return rows8_at(tile->w + row * tile->row_bytes, tile->row_bytes, tile->count - row);
}

/* The sums of a tile's parts; y belongs to the tile's first row. */
WEIR_INLINE void parts_store(const struct tile *tile, const struct rows8 rows[PARTS], float *y,
                             const __m256 sums[PARTS])
{
    for (int part = 0; part < PARTS; part++)
        rows8_store(&rows[part], y + part_row(tile, part), 1, sums[part]);
}

WEIR_INLINE const uint8_t *rows8_row(const struct rows8 *rows, int row)
{
    return rows->group[row / 4] + rows->step[row % 4];
}

/* Bytes [byte, byte + 16) of rows j and 4 + j. */
WEIR_INLINE __m256i rows8_pair(const struct rows8 *rows, int j, size_t byte)
{
    const size_t at = rows->step[j] + byte;
    const __m128i low = _mm_loadu_si128((const __m128i *)(const void *)(rows->group[0] + at));
    return _mm256_inserti128_si256(
        _mm256_castsi128_si256(low),
        _mm_loadu_si128((const __m128i *)(const void *)(rows->group[1] + at)), 1);
}

/* pairs[j]: bytes [byte, byte + 16) of rows j and 4 + j. */
WEIR_INLINE void rows8_pairs(const struct rows8 *rows, size_t byte, __m256i pairs[4])
{
    for (int j = 0; j < 4; j++)
        pairs[j] = rows8_pair(rows, j, byte);
}

/* words[i]: of each row, the 32-bit word at byte + 4 i. */
WEIR_INLINE void rows8_words(const struct rows8 *rows, size_t byte, __m256i words[4])
{
    __m256i pairs[4];
    rows8_pairs(rows, byte, pairs);
    const __m256i ab_low = _mm256_unpacklo_epi32(pairs[0], pairs[1]);
    const __m256i ab_high = _mm256_unpackhi_epi32(pairs[0], pairs[1]);
    const __m256i cd_low = _mm256_unpacklo_epi32(pairs[2], pairs[3]);
    const __m256i cd_high = _mm256_unpackhi_epi32(pairs[2], pairs[3]);
    words[0] = _mm256_unpacklo_epi64(ab_low, cd_low);
    words[1] = _mm256_unpackhi_epi64(ab_low, cd_low);
    words[2] = _mm256_unpacklo_epi64(ab_high, cd_high);
    words[3] = _mm256_unpackhi_epi64(ab_high, cd_high);
}

WEIR_INLINE int rows8_u16(const struct rows8 *rows, int row, size_t byte)
{
    uint16_t bits;
    __builtin_memcpy(&bits, rows8_row(rows, row) + byte, sizeof(bits));
    return bits;
}

/* The half-precision number at byte of each row. */
WEIR_INLINE __m256 rows8_halves(const struct rows8 *rows, size_t byte)
{
    __m128i halves = _mm_cvtsi32_si128(rows8_u16(rows, 0, byte));
    halves = _mm_insert_epi16(halves, rows8_u16(rows, 1, byte), 1);
    halves = _mm_insert_epi16(halves, rows8_u16(rows, 2, byte), 2);
    halves = _mm_insert_epi16(halves, rows8_u16(rows, 3, byte), 3);
    halves = _mm_insert_epi16(halves, rows8_u16(rows, 4, byte), 4);
    halves = _mm_insert_epi16(halves, rows8_u16(rows, 5, byte), 5);
    halves = _mm_insert_epi16(halves, rows8_u16(rows, 6, byte), 6);
    halves = _mm_insert_epi16(halves, rows8_u16(rows, 7, byte), 7);
    return _mm256_cvtph_ps(halves);
}

/* Rows that one token passes need not be transposed: register j holds numbers of row j in its lower
 * half and of row 4 + j in its upper, and two folds of sums make them lanes. The first leaves 64
 * bits of each row, those of `after` following those of `rows`; the second 32. */
WEIR_INLINE __m256i fold_16(__m256i rows, __m256i after)
{
    return _mm256_add_epi16(_mm256_unpacklo_epi64(rows, after), _mm256_unpackhi_epi64(rows, after));
}

WEIR_INLINE __m256i fold_32(__m256i rows, __m256i after)
{
    return _mm256_add_epi32(_mm256_unpacklo_epi64(rows, after), _mm256_unpackhi_epi64(rows, after));
}

/* Of each 64 bits the lower 32, and the upper 32. */
WEIR_INLINE __m256i lower_words(__m256i rows, __m256i after)
{
    return _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(rows), _mm256_castsi256_ps(after), 0x88));
}

WEIR_INLINE __m256i upper_words(__m256i rows, __m256i after)
{
    return _mm256_castps_si256(
        _mm256_shuffle_ps(_mm256_castsi256_ps(rows), _mm256_castsi256_ps(after), 0xdd));
}

WEIR_INLINE __m256i fold_lanes_16(__m256i rows, __m256i after)
{
    return _mm256_add_epi16(lower_words(rows, after), upper_words(rows, after));
}

WEIR_INLINE __m256i fold_lanes_32(__m256i rows, __m256i after)
{
    return _mm256_add_epi32(lower_words(rows, after), upper_words(rows, after));
}

/* 16 activations in each half. */
WEIR_INLINE __m256i spread_half(const int8_t *q)
{
    return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)q));
}

/* The same 32-bit word of the activations in every lane. */
WEIR_INLINE __m256i spread_word(const void *bytes)
{
    int word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return _mm256_set1_epi32(word);
}

/* What comes before stays before: gcc would ask for the next lines of a whole super-block at once,
 * which are more than the CPU waits for. */
WEIR_INLINE void keep_order(void)
{
    __asm__ volatile("" ::: "memory");
}

/* Add up to here before anything else is begun: gcc would first take all products of a block, which
 * are more than the registers hold, and then add them. */
WEIR_INLINE void settle(__m256i *sum)
{
    __asm__("" : "+x"(*sum));
}

#endif
