/* codebooks_avx2.h - bytes, entries of codebooks and signs of the IQ and TQ formats, for every
 * length of registers. */
#ifndef WEIR_KERNELS_CODEBOOKS_AVX2_H
#define WEIR_KERNELS_CODEBOOKS_AVX2_H

#include <immintrin.h>
#include <stddef.h>

#include "kernels/kernels_internal.h"

WEIR_INLINE __m256i load_32(const uint8_t *bytes)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)bytes);
}

WEIR_INLINE __m128i load_16(const uint8_t *bytes)
{
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

WEIR_INLINE __m128i load_8(const uint8_t *bytes)
{
    return _mm_loadl_epi64((const __m128i *)(const void *)bytes);
}

WEIR_INLINE __m128i load_4(const uint8_t *bytes)
{
    int word;
    __builtin_memcpy(&word, bytes, sizeof(word));
    return _mm_cvtsi32_si128(word);
}

WEIR_INLINE float load_half(const uint8_t *bytes)
{
    uint16_t bits;
    __builtin_memcpy(&bits, bytes, sizeof(bits));
    return _cvtsh_ss(bits);
}

WEIR_INLINE __m128i odd_scales(__m128i bits)
{
    return _mm_or_si128(_mm_add_epi16(bits, bits), _mm_set1_epi16(1));
}

/* weir_even_signs() of each byte. */
WEIR_INLINE __m256i even_signs(__m256i seven)
{
    const __m256i is_odd = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -128, -128, 0, -128, 0, 0, -128, -128, 0, 0, -128, 0, -128, -128, 0));
    const __m256i folded = _mm256_xor_si256(seven, _mm256_srli_epi16(seven, 4));
    const __m256i nibbles = _mm256_and_si256(folded, _mm256_set1_epi8(15));
    return _mm256_or_si256(seven, _mm256_shuffle_epi8(is_odd, nibbles));
}

/* Each word has four times seven signs and from bit 28 on a scale: IQ2_XXS, IQ3_XXS. */
WEIR_INLINE __m256i signs_of_words(__m256i words)
{
    const __m256i ends = _mm256_set1_epi32(0x7f);
    const __m256i first = _mm256_and_si256(words, ends);
    const __m256i second =
        _mm256_and_si256(_mm256_slli_epi32(words, 1), _mm256_set1_epi32(0x7f << 8));
    const __m256i third =
        _mm256_and_si256(_mm256_slli_epi32(words, 2), _mm256_set1_epi32(0x7f << 16));
    const __m256i fourth =
        _mm256_and_si256(_mm256_slli_epi32(words, 3), _mm256_set1_epi32(0x7f << 24));
    return even_signs(
        _mm256_or_si256(_mm256_or_si256(first, second), _mm256_or_si256(third, fourth)));
}

WEIR_INLINE __m128i scales_of_words(__m256i words)
{
    const __m256i bits = _mm256_srli_epi32(words, 28);
    return odd_scales(
        _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1)));
}

/* Four entries of eight weights. */
WEIR_INLINE __m256i four_entries(const uint64_t *grid, unsigned a, unsigned b, unsigned c,
                                 unsigned d)
{
    const double *at = (const double *)(const void *)grid;
    const __m128d low = _mm_loadh_pd(_mm_load_sd(at + a), at + b);
    const __m128d high = _mm_loadh_pd(_mm_load_sd(at + c), at + d);
    return _mm256_castpd_si256(_mm256_set_m128d(high, low));
}

/* Two entries of four weights, lowest; the second is read as 16 bytes (WEIR_GRID_PAD). */
WEIR_INLINE __m128i two_entries(const uint32_t *grid, unsigned a, unsigned b)
{
    return _mm_unpacklo_epi32(_mm_cvtsi32_si128((int)grid[a]),
                              load_16((const uint8_t *)(grid + b)));
}

#endif
