/* attention_avx2.c - attention on 256-bit registers. */
#include "kernels/x86/exp_avx2.h"
#include "kernels/x86/lanes_avx2.h"

typedef __m256 lanes;
enum { LANES = 8, ATTEND_ROWS = 2, ATTEND_TILES = 8 };

WEIR_INLINE lanes spread(float x)
{
    return _mm256_set1_ps(x);
}

WEIR_INLINE lanes load_floats(const float *at, size_t count)
{
    return count >= LANES ? _mm256_loadu_ps(at) : load_tail(at, count);
}

WEIR_INLINE lanes load_halves(const uint16_t *at, size_t count)
{
    return load_f16((const uint8_t *)at, count);
}

WEIR_INLINE void store_floats(float *at, lanes x, size_t count)
{
    if (count >= LANES)
        _mm256_storeu_ps(at, x);
    else
        _mm256_maskstore_ps(at, tail_mask(count), x);
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

WEIR_INLINE lanes multiply(lanes a, lanes b)
{
    return _mm256_mul_ps(a, b);
}

WEIR_INLINE lanes divide(lanes a, lanes b)
{
    return _mm256_div_ps(a, b);
}

WEIR_INLINE lanes maximum(lanes a, lanes b)
{
    return _mm256_max_ps(a, b);
}

WEIR_INLINE lanes exp_of(lanes x)
{
    return exp_8(x);
}

WEIR_INLINE lanes keep_first(lanes x, size_t count)
{
    return count >= LANES ? x : _mm256_and_ps(x, _mm256_castsi256_ps(tail_mask(count)));
}

WEIR_INLINE float sum_of(lanes x)
{
    return sum_8(x);
}

WEIR_INLINE float largest_of(lanes x)
{
    return max_8(x);
}

#include "kernels/attend_lanes.h"

void weir_attention_init_avx2(struct weir_kernels *kernels)
{
    kernels->attention = attend_lanes;
    kernels->softcap = softcap;
    kernels->sigmoid_mul = sigmoid_mul;
}
