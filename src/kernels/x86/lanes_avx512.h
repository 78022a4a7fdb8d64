/* lanes_avx512.h - sixteen floats: loads that end early. */
#ifndef WEIR_KERNELS_LANES_AVX512_H
#define WEIR_KERNELS_LANES_AVX512_H

#include <immintrin.h>

#include "kernels/kernels_internal.h"

WEIR_INLINE __mmask16 tail_mask(size_t count)
{
    return (__mmask16)((1u << count) - 1);
}

WEIR_INLINE __m512 load_f32(const uint8_t *w, __mmask16 mask)
{
    return _mm512_maskz_loadu_ps(mask, w);
}

WEIR_INLINE __m512 load_f16(const uint8_t *w, __mmask16 mask)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, w));
}

WEIR_INLINE __m512 load_bf16(const uint8_t *w, __mmask16 mask)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_maskz_loadu_epi16(mask, w));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

#endif
