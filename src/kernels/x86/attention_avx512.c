/* attention_avx512.c - attention on 512-bit registers. */
#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/lanes_avx512.h"

typedef __m512 lanes;
enum { LANES = 16, ATTEND_ROWS = 4, ATTEND_TILES = 16 };

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

WEIR_INLINE lanes load_halves(const uint16_t *at, size_t count)
{
    return load_f16((const uint8_t *)at, first_lanes(count));
}

WEIR_INLINE void store_floats(float *at, lanes x, size_t count)
{
    _mm512_mask_storeu_ps(at, first_lanes(count), x);
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

WEIR_INLINE lanes multiply(lanes a, lanes b)
{
    return _mm512_mul_ps(a, b);
}

WEIR_INLINE lanes divide(lanes a, lanes b)
{
    return _mm512_div_ps(a, b);
}

WEIR_INLINE lanes maximum(lanes a, lanes b)
{
    return _mm512_max_ps(a, b);
}

WEIR_INLINE lanes exp_of(lanes x)
{
    return exp_16(x);
}

WEIR_INLINE lanes keep_first(lanes x, size_t count)
{
    return _mm512_maskz_mov_ps(first_lanes(count), x);
}

WEIR_INLINE float sum_of(lanes x)
{
    return _mm512_reduce_add_ps(x);
}

WEIR_INLINE float largest_of(lanes x)
{
    return _mm512_reduce_max_ps(x);
}

#include "kernels/attend_lanes.h"

void weir_attention_init_avx512(struct weir_kernels *kernels)
{
    kernels->attention = attend_lanes;
    kernels->softcap = softcap;
    kernels->sigmoid_mul = sigmoid_mul;
}
