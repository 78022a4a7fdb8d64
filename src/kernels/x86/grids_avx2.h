/* grids_avx2.h - what the IQ and TQ formats share: super-blocks as registers of steps and scales.
 *
 * Steps are kept `bias` too large, so that they are unsigned bytes; what that adds to a sum is
 * taken off by way of the activations' sums. */
#ifndef WEIR_KERNELS_GRIDS_AVX2_H
#define WEIR_KERNELS_GRIDS_AVX2_H

#include "kernels/x86/codebooks_avx2.h"

/* A super-block of one row. */
struct steps {
    float d;
    __m256i steps[8];  /* of 32 values each */
    __m256i scales[8]; /* as 16-bit numbers, the first 16 values' in the lower half */
    __m256i below;     /* -bias * scale of each 16 values */
};

/* 16 bits of sub-block s in each 16 bits, from eight of them in each half. */
WEIR_INLINE __m256i spread_number(__m256i numbers, int s)
{
    return _mm256_shuffle_epi8(numbers, _mm256_set1_epi16((short)(0x0100 + 0x0202 * s)));
}

/* Bytes 4 s to 4 s + 3 of 16, which both halves have, each eight times. */
WEIR_INLINE __m256i spread_bytes(__m256i bytes, int s)
{
    const __m256i at =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    return _mm256_shuffle_epi8(bytes, _mm256_add_epi8(at, _mm256_set1_epi8((char)(4 * s))));
}

/* even, odd: the scales of every second 16 values. */
WEIR_INLINE void put_scales(struct steps *out, __m128i even, __m128i odd, int bias)
{
    const __m256i both = _mm256_set_m128i(odd, even);
    const __m256i in_order =
        _mm256_set_m128i(_mm_unpackhi_epi16(even, odd), _mm_unpacklo_epi16(even, odd));
    for (int s = 0; s < 8; s++)
        out->scales[s] = spread_number(both, s);
    out->below = _mm256_mullo_epi16(in_order, _mm256_set1_epi16((short)-bias));
}

/* Of eight bytes the low nibbles are the even scales, the high ones the odd. */
WEIR_INLINE void put_nibble_scales(struct steps *out, const uint8_t *bytes, int bias)
{
    const __m128i both = _mm_cvtepu8_epi16(load_8(bytes));
    put_scales(out, odd_scales(_mm_and_si128(both, _mm_set1_epi16(15))),
               odd_scales(_mm_srli_epi16(both, 4)), bias);
}

/* Sizes get the signs of 32 bits, a 1 of which is minus: those of sub-block s of four. */
WEIR_INLINE __m256i with_signs(__m256i sizes, __m256i signs, int s, int bias)
{
    const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201);
    const __m256i minus = _mm256_cmpeq_epi8(_mm256_and_si256(spread_bytes(signs, s), bits), bits);
    return _mm256_add_epi8(_mm256_xor_si256(sizes, minus),
                           _mm256_sub_epi8(_mm256_set1_epi8((char)bias), minus));
}

/* signs: 32 bytes in order. steps: sizes. */
WEIR_INLINE void put_signs(struct steps *out, __m256i signs, int bias)
{
    const __m256i first = _mm256_permute2x128_si256(signs, signs, 0x00);
    const __m256i second = _mm256_permute2x128_si256(signs, signs, 0x11);
    for (int s = 0; s < 8; s++)
        out->steps[s] = with_signs(out->steps[s], s < 4 ? first : second, s % 4, bias);
}

/* The signs and scales of eight words. */
WEIR_INLINE void put_words(struct steps *out, __m256i words, int bias)
{
    const __m128i scales = scales_of_words(words);
    put_signs(out, signs_of_words(words), bias);
    put_scales(out, scales, scales, bias);
}

/* Entries of 16-bit indexes: sub-block s of a codebook of eight, or of four, weights an entry. */
WEIR_INLINE __m256i entries_of_8(const uint64_t *grid, const uint16_t *index)
{
    return four_entries(grid, index[0], index[1], index[2], index[3]);
}

WEIR_INLINE __m256i entries_of_4(const uint32_t *grid, const uint16_t *index)
{
    const __m128i low = _mm_unpacklo_epi64(two_entries(grid, index[0], index[1]),
                                           two_entries(grid, index[2], index[3]));
    const __m128i high = _mm_unpacklo_epi64(two_entries(grid, index[4], index[5]),
                                            two_entries(grid, index[6], index[7]));
    return _mm256_set_m128i(high, low);
}

/* 16 indexes: low bits are bytes, high ones 16-bit numbers. */
WEIR_INLINE void store_indexes(uint16_t *index, const uint8_t *low, __m256i high)
{
    _mm256_storeu_si256((__m256i *)(void *)index,
                        _mm256_or_si256(_mm256_cvtepu8_epi16(load_16(low)), high));
}

#endif
