/* exp_avx2.h - exp of 8 floats: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]; relative error
 * below 2e-7, 0 below -87.3, infinite above 88.38, where 2^n has no float. */
#ifndef WEIR_KERNELS_EXP_AVX2_H
#define WEIR_KERNELS_EXP_AVX2_H

#include <immintrin.h>

static inline __m256 exp_8(__m256 x)
{
    const __m256 low = _mm256_set1_ps(-87.3f);
    const __m256 tiny = _mm256_cmp_ps(x, low, _CMP_LT_OS);
    /* Both give their second operand when one is not a number. */
    x = _mm256_min_ps(_mm256_set1_ps(89.0f), _mm256_max_ps(low, x));
    const __m256 n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)),
                                     _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0.693359375f), x);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-2.12194440e-4f), r);
    __m256 p = _mm256_set1_ps(1.0f / 5040.0f);
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 720.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 120.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 24.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f / 6.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.5f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(1.0f));
    const __m256i exponent =
        _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
    return _mm256_andnot_ps(tiny, _mm256_mul_ps(p, _mm256_castsi256_ps(exponent)));
}

#endif
