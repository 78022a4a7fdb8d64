/* floats_avx512.h - sixteen floats, by the names that code for registers of any length has. */
#ifndef WEIR_KERNELS_FLOATS_AVX512_H
#define WEIR_KERNELS_FLOATS_AVX512_H

#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/lanes_avx512.h"

typedef __m512 lanes;
enum { LANES = 16 };

WEIR_INLINE __mmask16 first_lanes(size_t count)
{
    return count >= LANES ? 0xffff : tail_mask(count);
}

WEIR_INLINE lanes spread(float x)
{
    return _mm512_set1_ps(x);
}

WEIR_INLINE lanes load_floats(const float *at, size_t count)
{
    return load_f32((const uint8_t *)at, first_lanes(count));
}

WEIR_INLINE void store_floats(float *at, lanes x, size_t count)
{
    _mm512_mask_storeu_ps(at, first_lanes(count), x);
}

WEIR_INLINE lanes multiply(lanes a, lanes b)
{
    return _mm512_mul_ps(a, b);
}

WEIR_INLINE lanes multiply_add(lanes a, lanes b, lanes c)
{
    return _mm512_fmadd_ps(a, b, c);
}

WEIR_INLINE lanes add(lanes a, lanes b)
{
    return _mm512_add_ps(a, b);
}

WEIR_INLINE lanes subtract(lanes a, lanes b)
{
    return _mm512_sub_ps(a, b);
}

WEIR_INLINE lanes divide(lanes a, lanes b)
{
    return _mm512_div_ps(a, b);
}

WEIR_INLINE lanes minimum(lanes a, lanes b)
{
    return _mm512_min_ps(a, b);
}

WEIR_INLINE lanes maximum(lanes a, lanes b)
{
    return _mm512_max_ps(a, b);
}

WEIR_INLINE lanes exp_of(lanes x)
{
    return exp_16(x);
}

#endif
