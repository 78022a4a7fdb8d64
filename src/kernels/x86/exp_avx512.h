/* exp_avx512.h - exp of 16 floats: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]; relative error
 * below 2e-7, 0 below -87.3, infinite above 88.73. */
#ifndef WEIR_KERNELS_EXP_AVX512_H
#define WEIR_KERNELS_EXP_AVX512_H

#include <immintrin.h>

static inline __m512 exp_16(__m512 x)
{
    const __m512 low = _mm512_set1_ps(-87.3f);
    const __mmask16 tiny = _mm512_cmp_ps_mask(x, low, _CMP_LT_OS);
    /* Both give their second operand when one is not a number. */
    x = _mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(low, x));
    const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)), 8);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0.693359375f), x);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-2.12194440e-4f), r);
    __m512 p = _mm512_set1_ps(1.0f / 5040.0f);
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 720.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 120.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 24.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f / 6.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.5f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(1.0f));
    return _mm512_mask_blend_ps(tiny, _mm512_scalef_ps(p, n), _mm512_setzero_ps());
}

#endif
