/* floats_avx2.h - eight floats, by the names that code for registers of any length has for them. */
#ifndef WEIR_KERNELS_FLOATS_AVX2_H
#define WEIR_KERNELS_FLOATS_AVX2_H

#include "kernels/x86/exp_avx2.h"
#include "kernels/x86/lanes_avx2.h"

typedef __m256 lanes;
enum { LANES = 8 };

WEIR_INLINE lanes spread(float x)
{
    return _mm256_set1_ps(x);
}

WEIR_INLINE lanes load_floats(const float *at, size_t count)
{
    return count >= LANES ? _mm256_loadu_ps(at) : load_tail(at, count);
}

WEIR_INLINE void store_floats(float *at, lanes x, size_t count)
{
    if (count >= LANES)
        _mm256_storeu_ps(at, x);
    else
        _mm256_maskstore_ps(at, tail_mask(count), x);
}

WEIR_INLINE lanes multiply(lanes a, lanes b)
{
    return _mm256_mul_ps(a, b);
}

WEIR_INLINE lanes multiply_add(lanes a, lanes b, lanes c)
{
    return _mm256_fmadd_ps(a, b, c);
}

WEIR_INLINE lanes add(lanes a, lanes b)
{
    return _mm256_add_ps(a, b);
}

WEIR_INLINE lanes subtract(lanes a, lanes b)
{
    return _mm256_sub_ps(a, b);
}

WEIR_INLINE lanes divide(lanes a, lanes b)
{
    return _mm256_div_ps(a, b);
}

WEIR_INLINE lanes minimum(lanes a, lanes b)
{
    return _mm256_min_ps(a, b);
}

WEIR_INLINE lanes maximum(lanes a, lanes b)
{
    return _mm256_max_ps(a, b);
}

WEIR_INLINE lanes exp_of(lanes x)
{
    return exp_8(x);
}

#endif
