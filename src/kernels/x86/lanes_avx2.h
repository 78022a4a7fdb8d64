/* lanes_avx2.h - eight floats: loads that end early, sums and maxima over lanes. */
#ifndef WEIR_KERNELS_LANES_AVX2_H
#define WEIR_KERNELS_LANES_AVX2_H

#include <immintrin.h>
#include <string.h>

#include "kernels/kernels_internal.h"

WEIR_INLINE float sum_8(__m256 x)
{
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

WEIR_INLINE float max_8(__m256 x)
{
    __m128 four = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    four = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(four, _mm_movehdup_ps(four)));
}

/* All bits set in the first count lanes. */
WEIR_INLINE __m256i tail_mask(size_t count)
{
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lanes);
}

WEIR_INLINE __m256 load_tail(const float *x, size_t count)
{
    return _mm256_maskload_ps(x, tail_mask(count));
}

/* The first count of eight values; halves past them read as zero. */
WEIR_INLINE __m128i tail_halves(const uint8_t *w, size_t count)
{
    uint16_t halves[8] = {0};
    memcpy(halves, w, count * sizeof(halves[0]));
    return _mm_loadu_si128((const __m128i *)(const void *)halves);
}

WEIR_INLINE __m256 widen_f16(__m128i halves)
{
    return _mm256_cvtph_ps(halves);
}

WEIR_INLINE __m256 load_f32(const uint8_t *w, size_t count)
{
    return count >= 8 ? _mm256_loadu_ps((const float *)(const void *)w)
                      : load_tail((const float *)(const void *)w, count);
}

WEIR_INLINE __m256 load_f16(const uint8_t *w, size_t count)
{
    return widen_f16(count >= 8 ? _mm_loadu_si128((const __m128i *)(const void *)w)
                                : tail_halves(w, count));
}

WEIR_INLINE __m256 widen_bf16(__m128i halves)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
}

WEIR_INLINE __m256 load_bf16(const uint8_t *w, size_t count)
{
    return widen_bf16(count >= 8 ? _mm_loadu_si128((const __m128i *)(const void *)w)
                                 : tail_halves(w, count));
}

#endif
