/* codes_avx512.c - codes whose scales are another tensor's, on 512-bit registers. */
#include "kernels/x86/floats_avx512.h"

#include <string.h>

/* Rows of one token, and rows and tokens of several. */
enum { ROWS_ALONE = 8, ROWS = 2, TOKENS = 8 };

/* What a group's codes are looked up in, or multiplied by. */
struct factor {
    __m512 values;
};

WEIR_INLINE struct factor factor_of(float scale, int zero, const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_F4_E2M1:
        return (struct factor){
            _mm512_mul_ps(_mm512_setr_ps(0.0f, 0.5f, 1.0f, 1.5f, 2.0f, 3.0f, 4.0f, 6.0f, -0.0f,
                                         -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f),
                          _mm512_set1_ps(scale))};
    case WEIR_TYPE_I4:
        return (struct factor){_mm512_mul_ps(
            _mm512_sub_ps(_mm512_setr_ps(0.0f, 1.0f, 2.0f, 3.0f, 4.0f, 5.0f, 6.0f, 7.0f, 8.0f, 9.0f,
                                         10.0f, 11.0f, 12.0f, 13.0f, 14.0f, 15.0f),
                          _mm512_set1_ps((float)zero)),
            _mm512_set1_ps(scale))};
    default: /* as halves, codes are 256 times smaller */
        return (struct factor){_mm512_set1_ps(scale * 256.0f)};
    }
}

/* Up to sixteen codes as halves, whose exponents count from 15 in place of 7: so they are 256 times
 * smaller. */
WEIR_INLINE __m512 load_f8(const uint8_t *codes, size_t count)
{
    const __m256i wide = _mm256_cvtepu8_epi16(_mm_maskz_loadu_epi8(first_lanes(count), codes));
    const __m256i most = _mm256_set1_epi16(0x3f80);
    const __m256i bits = _mm256_and_si256(_mm256_srai_epi16(_mm256_slli_epi16(wide, 8), 1),
                                          _mm256_set1_epi16((short)0xbfff));
    const __mmask16 is_nan = _mm256_cmpeq_epi16_mask(_mm256_and_si256(bits, most), most);
    return _mm512_cvtph_ps(_mm256_mask_mov_epi16(bits, is_nan, _mm256_set1_epi16(0x7fff)));
}

/* The weights of columns [i, i + count), count up to 16; those past them are of the code 0. */
WEIR_INLINE __m512 load_weights(const uint8_t *w, size_t i, size_t count,
                                const struct factor *factor, const enum weir_type type)
{
    if (type == WEIR_TYPE_F8_E4M3)
        return _mm512_mul_ps(load_f8(w + i, count), factor->values);
    const __m512i half = _mm512_setr_epi32(0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1);
    const __m512i shifts =
        _mm512_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28, 0, 4, 8, 12, 16, 20, 24, 28);
    uint64_t word = 0;
    memcpy(&word, w + i / 2, count >= LANES ? sizeof(word) : (count + 1) / 2);
    const __m512i words =
        _mm512_permutexvar_epi32(half, _mm512_castsi128_si512(_mm_cvtsi64_si128((long long)word)));
    return _mm512_permutexvar_ps(_mm512_srlv_epi32(words, shifts), factor->values);
}

WEIR_INLINE float sum_of(__m512 x)
{
    return _mm512_reduce_add_ps(x);
}

#include "kernels/x86/codes_rows.h"

void weir_codes_init_avx512(struct weir_kernels *kernels)
{
    init_codes(kernels);
}
