/* codes_avx2.c - codes whose scales are another tensor's, on 256-bit registers. */
#include "kernels/x86/floats_avx2.h"

#include <limits.h>
#include <string.h>

/* Rows of one token, and rows and tokens of several. */
enum { ROWS_ALONE = 4, ROWS = 2, TOKENS = 4 };

/* What a group's codes are multiplied by, or the sizes that they are looked up in, and what is
 * taken off the products. */
struct factor {
    __m256 values;
    __m256 below;
};

WEIR_INLINE struct factor factor_of(float scale, int zero, const enum weir_type type)
{
    struct factor factor = {_mm256_set1_ps(scale), _mm256_setzero_ps()};
    if (type == WEIR_TYPE_F4_E2M1)
        factor.values = _mm256_mul_ps(
            factor.values, _mm256_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f));
    else if (type == WEIR_TYPE_I4)
        factor.below = _mm256_set1_ps(scale * (float)zero);
    else /* as halves, codes are 256 times smaller */
        factor.values = _mm256_set1_ps(scale * 256.0f);
    return factor;
}

/* Up to eight codes as halves, whose exponents count from 15 in place of 7: so they are 256 times
 * smaller. */
WEIR_INLINE __m256 load_f8(const uint8_t *codes, size_t count)
{
    uint64_t word = 0;
    memcpy(&word, codes, count >= LANES ? sizeof(word) : count);
    const __m128i wide = _mm_cvtepu8_epi16(_mm_cvtsi64_si128((long long)word));
    const __m128i most = _mm_set1_epi16(0x3f80);
    const __m128i bits =
        _mm_and_si128(_mm_srai_epi16(_mm_slli_epi16(wide, 8), 1), _mm_set1_epi16((short)0xbfff));
    return widen_f16(_mm_or_si128(bits, _mm_cmpeq_epi16(_mm_and_si128(bits, most), most)));
}

/* The weights of columns [i, i + count), count up to 8; those past them are of the code 0. */
WEIR_INLINE __m256 load_weights(const uint8_t *w, size_t i, size_t count,
                                const struct factor *factor, const enum weir_type type)
{
    if (type == WEIR_TYPE_F8_E4M3)
        return _mm256_mul_ps(load_f8(w + i, count), factor->values);
    uint32_t word = 0;
    memcpy(&word, w + i / 2, count >= LANES ? sizeof(word) : (count + 1) / 2);
    const __m256i codes = _mm256_srlv_epi32(_mm256_set1_epi32((int)word),
                                            _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
    if (type == WEIR_TYPE_I4) {
        const __m256i steps = _mm256_and_si256(codes, _mm256_set1_epi32(15));
        return _mm256_fmsub_ps(_mm256_cvtepi32_ps(steps), factor->values, factor->below);
    }
    const __m256i sign = _mm256_and_si256(_mm256_slli_epi32(codes, 28), _mm256_set1_epi32(INT_MIN));
    return _mm256_xor_ps(_mm256_permutevar8x32_ps(factor->values, codes),
                         _mm256_castsi256_ps(sign));
}

WEIR_INLINE float sum_of(__m256 x)
{
    return sum_8(x);
}

#include "kernels/x86/codes_rows.h"

void weir_codes_init_avx2(struct weir_kernels *kernels)
{
    init_codes(kernels);
}
