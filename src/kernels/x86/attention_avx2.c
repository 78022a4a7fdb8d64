/* attention_avx2.c - attention on 256-bit registers. */
#include "kernels/x86/exp_avx2.h"
#include "kernels/x86/lanes_avx2.h"

typedef __m256 lanes;
typedef __m256i codes;
typedef __m256i dots; /* two sums of 16 bits in a word: each at most 8 * 2 * 15 * 128 */
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

WEIR_INLINE codes byte_codes(codes x, const int from, const int bits)
{
    const codes mask = _mm256_set1_epi8((char)((1 << bits) - 1));
    return _mm256_and_si256(_mm256_srli_epi32(x, from), mask);
}

WEIR_INLINE codes spread_four(const int8_t *at)
{
    int32_t four;
    memcpy(&four, at, sizeof(four));
    return _mm256_set1_epi32(four);
}

WEIR_INLINE dots no_dots(void)
{
    return _mm256_setzero_si256();
}

WEIR_INLINE dots add_dots(codes x, codes factors, dots sums)
{
    return _mm256_adds_epi16(sums, _mm256_maddubs_epi16(x, factors));
}

WEIR_INLINE lanes join_dots(dots high, dots low)
{
    const __m256i highs = _mm256_madd_epi16(high, _mm256_set1_epi16(256));
    const __m256i lows = _mm256_madd_epi16(low, _mm256_set1_epi16(1));
    return _mm256_cvtepi32_ps(_mm256_add_epi32(highs, lows));
}

/* Bytes 0 to 15 and 16 to 31 of two registers of 16 numbers, packed as _mm256_packs_epi32() has
 * them, in the order of the steps. */
WEIR_INLINE void store_ordered(__m256i first, __m256i second, const int bits, int8_t *to)
{
    const __m256i halves = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    const __m128i four = _mm_setr_epi8(0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15);
    const __m128i two = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m256i order = _mm256_broadcastsi128_si256(bits == 4 ? four : two);
    const __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(first, second), halves);
    _mm256_storeu_si256((__m256i *)(void *)to, _mm256_shuffle_epi8(bytes, order));
}

WEIR_INLINE void store_parts(const lanes *x, const int bits, int8_t *high, int8_t *low)
{
    __m256i highs[2];
    __m256i lows[2];
    for (int half = 0; half < 2; half++) {
        const __m256i whole = _mm256_packs_epi32(_mm256_cvtps_epi32(x[2 * half]),
                                                 _mm256_cvtps_epi32(x[2 * half + 1]));
        highs[half] = _mm256_srai_epi16(_mm256_add_epi16(whole, _mm256_set1_epi16(128)), 8);
        lows[half] = _mm256_sub_epi16(whole, _mm256_slli_epi16(highs[half], 8));
    }
    store_ordered(highs[0], highs[1], bits, high);
    store_ordered(lows[0], lows[1], bits, low);
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

/* In sum_8's order: halves, pairs, lanes. */
WEIR_INLINE lanes sums_of(const lanes x[LANES])
{
    lanes halves[4];
    for (int i = 0; i < 4; i++)
        halves[i] = add(_mm256_permute2f128_ps(x[i], x[4 + i], 0x20),
                        _mm256_permute2f128_ps(x[i], x[4 + i], 0x31));
    const lanes low = add(_mm256_shuffle_ps(halves[0], halves[1], 0x44),
                          _mm256_shuffle_ps(halves[0], halves[1], 0xee));
    const lanes high = add(_mm256_shuffle_ps(halves[2], halves[3], 0x44),
                           _mm256_shuffle_ps(halves[2], halves[3], 0xee));
    return add(_mm256_shuffle_ps(low, high, 0x88), _mm256_shuffle_ps(low, high, 0xdd));
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
