/* grids_avx512.c - super-blocks of the IQ and TQ formats on 512-bit registers without VNNI. */
#include <immintrin.h>

#include "kernels/kernels_internal.h"

WEIR_INLINE __m512i add_products(__m512i total, __m512i pairs, __m512i scales)
{
    return _mm512_add_epi32(total, _mm512_madd_epi16(pairs, scales));
}

#include "kernels/x86/grids_rows_avx512.h"

#define MATMUL(name, type)                                                                         \
    static void matmul_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        run_few(job, type, true);                                                                  \
    }
MATMUL(iq1_s, WEIR_TYPE_IQ1_S)
MATMUL(iq1_m, WEIR_TYPE_IQ1_M)
MATMUL(iq2_xxs, WEIR_TYPE_IQ2_XXS)
MATMUL(iq2_xs, WEIR_TYPE_IQ2_XS)
MATMUL(iq2_s, WEIR_TYPE_IQ2_S)
MATMUL(iq3_xxs, WEIR_TYPE_IQ3_XXS)
MATMUL(iq3_s, WEIR_TYPE_IQ3_S)
MATMUL(tq1_0, WEIR_TYPE_TQ1_0)
MATMUL(tq2_0, WEIR_TYPE_TQ2_0)
#undef MATMUL

void weir_grids_init_avx512(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_IQ1_S] = matmul_iq1_s;
    kernels->matmul[WEIR_TYPE_IQ1_M] = matmul_iq1_m;
    kernels->matmul[WEIR_TYPE_IQ2_XXS] = matmul_iq2_xxs;
    kernels->matmul[WEIR_TYPE_IQ2_XS] = matmul_iq2_xs;
    kernels->matmul[WEIR_TYPE_IQ2_S] = matmul_iq2_s;
    kernels->matmul[WEIR_TYPE_IQ3_XXS] = matmul_iq3_xxs;
    kernels->matmul[WEIR_TYPE_IQ3_S] = matmul_iq3_s;
    kernels->matmul[WEIR_TYPE_TQ1_0] = matmul_tq1_0;
    kernels->matmul[WEIR_TYPE_TQ2_0] = matmul_tq2_0;
}
