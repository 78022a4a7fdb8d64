/* attention_avx512vnni.c - attention on 512-bit registers, dots of bytes in one instruction.
 *
 * The bits are those of attention_avx512.c. */
#include "kernels/x86/attend_avx512.h"

typedef __m512i dots; /* a sum of 32 bits in a word */

WEIR_INLINE dots no_dots(void)
{
    return _mm512_setzero_si512();
}

WEIR_INLINE dots add_dots(codes x, codes factors, dots sums)
{
    return _mm512_dpbusd_epi32(sums, x, factors);
}

WEIR_INLINE lanes join_dots(dots high, dots low)
{
    return _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_slli_epi32(high, 8), low));
}

#include "kernels/attend_lanes.h"

void weir_attention_init_vnni(struct weir_kernels *kernels)
{
    attend_init(kernels);
}
