/* attention_avx512.c - attention on 512-bit registers. */
#include "kernels/x86/attend_avx512.h"

typedef __m512i dots; /* two sums of 16 bits in a word: each at most 8 * 2 * 15 * 128 */

WEIR_INLINE dots no_dots(void)
{
    return _mm512_setzero_si512();
}

WEIR_INLINE dots add_dots(codes x, codes factors, dots sums)
{
    return _mm512_adds_epi16(sums, _mm512_maddubs_epi16(x, factors));
}

WEIR_INLINE lanes join_dots(dots high, dots low)
{
    const __m512i highs = _mm512_madd_epi16(high, _mm512_set1_epi16(256));
    const __m512i lows = _mm512_madd_epi16(low, _mm512_set1_epi16(1));
    return _mm512_cvtepi32_ps(_mm512_add_epi32(highs, lows));
}

#include "kernels/attend_lanes.h"

void weir_attention_init_avx512(struct weir_kernels *kernels)
{
    attend_init(kernels);
}
