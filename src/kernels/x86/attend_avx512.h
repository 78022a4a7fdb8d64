/* attend_avx512.h - what attention on 512-bit registers is made of, but for dots of bytes. */
#ifndef WEIR_KERNELS_ATTEND_AVX512_H
#define WEIR_KERNELS_ATTEND_AVX512_H

#include <string.h>

#include "kernels/x86/exp_avx512.h"
#include "kernels/x86/lanes_avx512.h"

typedef __m512 lanes;
typedef __m512i codes;
enum { LANES = 16, ATTEND_ROWS = 4, ATTEND_TILES = 16, TILE_JOBS = 4 };

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

WEIR_INLINE lanes load_bfloats(const uint16_t *at, size_t count)
{
    return load_bf16((const uint8_t *)at, first_lanes(count));
}

WEIR_INLINE lanes spread_half(const uint16_t *at)
{
    return _mm512_cvtph_ps(_mm256_set1_epi16((short)*at));
}

WEIR_INLINE __m128i load_sixteen(const void *at)
{
    return _mm_loadu_si128((const __m128i *)at);
}

WEIR_INLINE lanes load_bytes(const int8_t *at)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(load_sixteen(at)));
}

WEIR_INLINE lanes load_nibbles(const uint8_t *at)
{
    const __m512i wide = _mm512_cvtepu8_epi32(load_sixteen(at));
    return _mm512_cvtepi32_ps(_mm512_and_si512(wide, _mm512_set1_epi32(15)));
}

WEIR_INLINE lanes load_nibbles_high(const uint8_t *at)
{
    const __m512i wide = _mm512_cvtepu8_epi32(load_sixteen(at));
    return _mm512_cvtepi32_ps(_mm512_srli_epi32(wide, 4));
}

WEIR_INLINE codes load_codes(const uint8_t *at)
{
    return _mm512_loadu_si512(at);
}

WEIR_INLINE codes byte_codes(codes x, const int from, const int bits)
{
    const codes mask = _mm512_set1_epi8((char)((1 << bits) - 1));
    return _mm512_and_si512(_mm512_srli_epi32(x, (unsigned)from), mask);
}

WEIR_INLINE codes spread_four(const int8_t *at)
{
    int32_t four;
    memcpy(&four, at, sizeof(four));
    return _mm512_set1_epi32(four);
}

WEIR_INLINE void store_parts(const lanes *x, const int bits, int8_t *high, int8_t *low)
{
    const __m128i four = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    const __m128i two = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m128i order = bits == 4 ? four : two;
    for (int half = 0; half < 2; half++) {
        const __m512i whole = _mm512_cvtps_epi32(x[half]);
        const __m512i rounded = _mm512_add_epi32(whole, _mm512_set1_epi32(128));
        const __m128i highs = _mm512_cvtepi32_epi8(_mm512_srai_epi32(rounded, 8));
        const __m128i lows = _mm512_cvtepi32_epi8(whole);
        _mm_storeu_si128((__m128i *)(void *)(high + 16 * half), _mm_shuffle_epi8(highs, order));
        _mm_storeu_si128((__m128i *)(void *)(low + 16 * half), _mm_shuffle_epi8(lows, order));
    }
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

/* The halves of a and of b, added up: _mm512_reduce_add_ps adds these first, and then the same of
 * quarters, pairs and single lanes. */
WEIR_INLINE lanes add_halves(lanes a, lanes b)
{
    return add(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}

WEIR_INLINE lanes add_quarters(lanes a, lanes b)
{
    return add(_mm512_shuffle_f32x4(a, b, 0x88), _mm512_shuffle_f32x4(a, b, 0xdd));
}

WEIR_INLINE lanes add_pairs(lanes a, lanes b)
{
    return add(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
}

WEIR_INLINE lanes add_lanes(lanes a, lanes b)
{
    return add(_mm512_shuffle_ps(a, b, 0x88), _mm512_shuffle_ps(a, b, 0xdd));
}

/* Quarter q of quarters[i] is of register 4 q + i. */
WEIR_INLINE lanes sums_of(const lanes x[LANES])
{
    lanes quarters[4];
    for (int i = 0; i < 4; i++)
        quarters[i] = add_quarters(add_halves(x[i], x[4 + i]), add_halves(x[8 + i], x[12 + i]));
    return add_lanes(add_pairs(quarters[0], quarters[1]), add_pairs(quarters[2], quarters[3]));
}

WEIR_INLINE float largest_of(lanes x)
{
    return _mm512_reduce_max_ps(x);
}

#endif
