/* codes_avx2.c - codes whose scales are another tensor's, on 256-bit registers.
 *
 * A row is groups of columns that share a scale: the products of a group are added in lanes, and
 * then times the scale to the row's lanes. */
#include <immintrin.h>
#include <string.h>

#include "kernels/x86/codes_tile.h"
#include "kernels/x86/lanes_avx2.h"
#include "quant/f4_e2m1.h"
#include "quant/i4.h"

enum { STEP = 16 }; /* columns at once */

/* The first count codes of 16; what lies past them reads as zero. */
WEIR_INLINE __m128i load_bytes(const uint8_t *w, size_t count)
{
    uint8_t bytes[16] = {0};
    if (count >= sizeof(bytes))
        return _mm_loadu_si128((const __m128i *)(const void *)w);
    memcpy(bytes, w, count);
    return _mm_loadu_si128((const __m128i *)(const void *)bytes);
}

/* As weir_f8_e4m3_to_f32(). */
WEIR_INLINE __m256 widen_f8(__m128i codes)
{
    const __m256i wide = _mm256_cvtepu8_epi32(codes);
    const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(wide, _mm256_set1_epi32(0x80)), 24);
    const __m256i rest = _mm256_and_si256(wide, _mm256_set1_epi32(0x7f));
    const __m256i nan = _mm256_cmpeq_epi32(rest, _mm256_set1_epi32(0x7f));
    const __m256i bits = _mm256_or_si256(_mm256_or_si256(sign, nan), _mm256_slli_epi32(rest, 20));
    return _mm256_mul_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(0x1p120f));
}

WEIR_INLINE void load_f8(const uint8_t *w, size_t i, size_t count, __m256 out[2])
{
    const __m128i codes = load_bytes(w + i, count);
    out[0] = widen_f8(codes);
    out[1] = widen_f8(_mm_unpackhi_epi64(codes, codes));
}

/* 16 codes of two to a byte, in their order, as the steps of a table. */
WEIR_INLINE void load_steps(const uint8_t *w, size_t i, size_t count, __m128i table, __m256 out[2])
{
    uint64_t word = 0;
    memcpy(&word, w + i / 2, count >= STEP ? sizeof(word) : (count + 1) / 2);
    const __m128i bytes = _mm_cvtsi64_si128((long long)word);
    const __m128i low = _mm_set1_epi8(15);
    const __m128i codes =
        _mm_unpacklo_epi8(_mm_and_si128(bytes, low), _mm_and_si128(_mm_srli_epi16(bytes, 4), low));
    const __m128i steps = _mm_shuffle_epi8(table, codes);
    out[0] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(steps));
    out[1] = _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(steps, steps)));
}

WEIR_INLINE void load_f4(const uint8_t *w, size_t i, size_t count, __m256 out[2])
{
    const __m128i table = _mm_loadu_si128((const __m128i *)(const void *)weir_f4_e2m1_steps);
    load_steps(w, i, count, table, out);
}

WEIR_INLINE void load_i4(const uint8_t *w, size_t i, size_t count, __m256 out[2])
{
    const __m128i table = _mm_setr_epi8(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
    load_steps(w, i, count, table, out);
}

/* 16 columns of n tokens. */
#define ADD_STEP(type, count)                                                                      \
    do {                                                                                           \
        __m256 weights[2];                                                                         \
        load_##type(w, i, (count), weights);                                                       \
        for (int t = 0; t < n; t++) {                                                              \
            const size_t left = (count);                                                           \
            even[t] = _mm256_fmadd_ps(weights[0], load_f32(x[t] + i * 4, left), even[t]);          \
            if (left > 8)                                                                          \
                odd[t] =                                                                           \
                    _mm256_fmadd_ps(weights[1], load_f32(x[t] + (i + 8) * 4, left - 8), odd[t]);   \
        }                                                                                          \
    } while (0)

#define DOTS(type, unit)                                                                           \
    WEIR_INLINE void dots_##type(const uint8_t *w, const struct weir_scale_row *scales,            \
                                 const uint8_t *const *x, size_t cols, float *out, const int n)    \
    {                                                                                              \
        __m256 sums[WEIR_TOKEN_TILE];                                                              \
        for (int t = 0; t < n; t++)                                                                \
            sums[t] = _mm256_setzero_ps();                                                         \
        for (size_t group = 0, i = 0; i < cols; group++) {                                         \
            const size_t end = weir_scale_end(scales, group, cols);                                \
            const __m256 scale = _mm256_set1_ps((unit)*weir_scale_at(scales, group));              \
            __m256 even[WEIR_TOKEN_TILE];                                                          \
            __m256 odd[WEIR_TOKEN_TILE];                                                           \
            for (int t = 0; t < n; t++)                                                            \
                even[t] = odd[t] = _mm256_setzero_ps();                                            \
            for (; i + STEP <= end; i += STEP)                                                     \
                ADD_STEP(type, STEP);                                                              \
            if (i < end)                                                                           \
                ADD_STEP(type, end - i);                                                           \
            i = end;                                                                               \
            for (int t = 0; t < n; t++)                                                            \
                sums[t] = _mm256_fmadd_ps(_mm256_add_ps(even[t], odd[t]), scale, sums[t]);         \
        }                                                                                          \
        for (int t = 0; t < n; t++)                                                                \
            out[t] = sum_8(sums[t]);                                                               \
    }                                                                                              \
    WEIR_CODES_MATMUL(type)

DOTS(f8, 1.0f)
DOTS(f4, 0.5f)
DOTS(i4, 1.0f)

void weir_codes_init_avx2(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_F8_E4M3] = matmul_f8;
    kernels->matmul[WEIR_TYPE_F4_E2M1] = matmul_f4;
    kernels->matmul[WEIR_TYPE_I4] = matmul_i4;
}
