/* attention_avx512.c - attention on 512-bit registers. */
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

/* A table has an entry for each value of the low four bits. */
WEIR_INLINE lanes first_codes(codes x, const int bits)
{
    const __m512 table = bits == 4
                             ? _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
                             : _mm512_setr_ps(0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3);
    return _mm512_permutexvar_ps(x, table);
}

WEIR_INLINE codes next_codes(codes x, const int bits)
{
    return _mm512_srli_epi32(x, (unsigned)bits);
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
    attend_init(kernels);
}
