/* attention_avx2.c - attention on 256-bit registers. */
#include "kernels/x86/exp_avx2.h"
#include "kernels/x86/lanes_avx2.h"

typedef __m256 lanes;
typedef __m256i codes;
enum { LANES = 8, ATTEND_ROWS = 2, ATTEND_TILES = 8, TILE_JOBS = 2 };

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

WEIR_INLINE lanes load_bfloats(const uint16_t *at, size_t count)
{
    return load_bf16((const uint8_t *)at, count);
}

WEIR_INLINE lanes spread_half(const uint16_t *at)
{
    return _mm256_cvtph_ps(_mm_set1_epi16((short)*at));
}

WEIR_INLINE lanes load_bytes(const int8_t *at)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)at);
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes));
}

WEIR_INLINE lanes load_nibbles(const uint8_t *at)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)at);
    const __m256i wide = _mm256_cvtepu8_epi32(bytes);
    return _mm256_cvtepi32_ps(_mm256_and_si256(wide, _mm256_set1_epi32(15)));
}

WEIR_INLINE lanes load_nibbles_high(const uint8_t *at)
{
    const __m128i bytes = _mm_loadl_epi64((const __m128i *)(const void *)at);
    return _mm256_cvtepi32_ps(_mm256_srli_epi32(_mm256_cvtepu8_epi32(bytes), 4));
}

WEIR_INLINE codes load_codes(const uint8_t *at)
{
    return _mm256_loadu_si256((const __m256i *)(const void *)at);
}

WEIR_INLINE lanes first_codes(codes x, const int bits)
{
    return _mm256_cvtepi32_ps(_mm256_and_si256(x, _mm256_set1_epi32((1 << bits) - 1)));
}

WEIR_INLINE codes next_codes(codes x, const int bits)
{
    return _mm256_srli_epi32(x, bits);
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
    attend_init(kernels);
}
