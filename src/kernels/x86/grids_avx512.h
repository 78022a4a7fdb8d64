/* grids_avx512.h - what the IQ and TQ formats share on 512-bit registers: a super-block of a row as
 * steps and scales; as grids_avx2.h.
 *
 * Steps are kept `bias` too large, so that they are unsigned bytes; what that adds to a sum is
 * taken off by way of the activations' sums. Signs are masks, as the files have them. */
#ifndef WEIR_KERNELS_GRIDS_AVX512_H
#define WEIR_KERNELS_GRIDS_AVX512_H

#include <string.h>

#include "kernels/x86/codebooks_avx2.h"

/* A super-block of one row. */
struct steps {
    float d;
    __m512i steps[4]; /* of 64 values each */
    __m256i scales;   /* of each 16 values, as 16-bit numbers */
    __m256i below;    /* -bias * scale of each 16 values */
};

WEIR_INLINE __m512i load_64(const uint8_t *bytes)
{
    return _mm512_loadu_si512(bytes);
}

WEIR_INLINE __m512i pair_of(__m256i low, __m256i high)
{
    return _mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1);
}

WEIR_INLINE void put_scales(struct steps *out, __m256i scales, int bias)
{
    out->scales = scales;
    out->below = _mm256_mullo_epi16(scales, _mm256_set1_epi16((short)-bias));
}

/* Each of eight 16-bit numbers two times. */
WEIR_INLINE __m256i twice(__m128i numbers)
{
    return _mm256_set_m128i(_mm_unpackhi_epi16(numbers, numbers),
                            _mm_unpacklo_epi16(numbers, numbers));
}

/* Scale 2 i is the low nibble of byte i, scale 2 i + 1 the high one. */
WEIR_INLINE __m256i nibble_scales(__m128i bytes)
{
    const __m128i four = _mm_set1_epi8(15);
    const __m128i nibbles = _mm_unpacklo_epi8(_mm_and_si128(bytes, four),
                                              _mm_and_si128(_mm_srli_epi16(bytes, 4), four));
    const __m128i odd = _mm_or_si128(_mm_add_epi8(nibbles, nibbles), _mm_set1_epi8(1));
    return _mm256_cvtepu8_epi16(odd);
}

/* Sizes get the signs of 256 bits in order, a 1 of which is minus. */
WEIR_INLINE void put_signs(struct steps *out, const uint64_t minus[4], int bias)
{
    const __m512i middle = _mm512_set1_epi8((char)bias);
    for (int q = 0; q < 4; q++) {
        const __m512i sizes = out->steps[q];
        out->steps[q] =
            _mm512_mask_sub_epi8(_mm512_add_epi8(middle, sizes), minus[q], middle, sizes);
    }
}

/* The signs and scales of eight words. */
WEIR_INLINE void put_words(struct steps *out, __m256i words, int bias)
{
    uint64_t minus[4];
    _mm256_storeu_si256((__m256i *)(void *)minus, signs_of_words(words));
    put_signs(out, minus, bias);
    put_scales(out, twice(scales_of_words(words)), bias);
}

/* An entry into the lane of a mask. As one instruction it takes no shuffle, of which the CPU does
 * one at a time; compilers would make two of it. */
WEIR_INLINE __m128i put_word(__m128i words, __mmask8 lane, const uint32_t *entry)
{
    __asm__("vpbroadcastd %1, %0%{%2%}" : "+v"(words) : "m"(*entry), "Yk"(lane));
    return words;
}

WEIR_INLINE __m128i put_long(__m128i words, __mmask8 lane, const uint64_t *entry)
{
    __asm__("vpbroadcastq %1, %0%{%2%}" : "+v"(words) : "m"(*entry), "Yk"(lane));
    return words;
}

/* Four entries of four weights. */
WEIR_INLINE __m128i quarter_entries(const uint32_t *grid, const uint16_t *index)
{
    __m128i four = _mm_cvtsi32_si128((int)grid[index[0]]);
    four = put_word(four, 2, grid + index[1]);
    four = put_word(four, 4, grid + index[2]);
    return put_word(four, 8, grid + index[3]);
}

/* Two entries of eight. */
WEIR_INLINE __m128i pair_entries(const uint64_t *grid, const uint16_t *index)
{
    return put_long(load_8((const uint8_t *)(grid + index[0])), 2, grid + index[1]);
}

WEIR_INLINE __m512i four_quarters(__m128i a, __m128i b, __m128i c, __m128i d)
{
    return pair_of(_mm256_set_m128i(b, a), _mm256_set_m128i(d, c));
}

/* Eight entries of eight weights. */
WEIR_INLINE __m512i eight_entries(const uint64_t *grid, const uint16_t *index)
{
    return four_quarters(pair_entries(grid, index), pair_entries(grid, index + 2),
                         pair_entries(grid, index + 4), pair_entries(grid, index + 6));
}

/* Sixteen entries of four weights. */
WEIR_INLINE __m512i sixteen_entries(const uint32_t *grid, const uint16_t *index)
{
    return four_quarters(quarter_entries(grid, index), quarter_entries(grid, index + 4),
                         quarter_entries(grid, index + 8), quarter_entries(grid, index + 12));
}

/* All 32 entries of a super-block. */
WEIR_INLINE void put_entries(struct steps *out, const uint64_t *grid, __m512i indexes)
{
    uint16_t index[32];
    _mm512_storeu_si512(index, indexes);
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++)
        out->steps[q] = eight_entries(grid, index + 8 * q);
}

#endif
