/* turned_avx2.c - floats that lie column by column, on 256-bit registers. */
#include "kernels/x86/floats_avx2.h"

enum { TOKEN_ROWS = 8, PROMPT_ROWS = 2, PROMPT_TOKENS = 4 };

WEIR_INLINE lanes load_values(const uint8_t *w, size_t count, const enum weir_type type)
{
    if (type == WEIR_TYPE_F32)
        return load_f32(w, count);
    if (type == WEIR_TYPE_F16)
        return load_f16(w, count);
    return load_bf16(w, count);
}

/* The first of each of eight pairs in BF16. */
WEIR_INLINE lanes load_pairs(const uint8_t *w)
{
    const __m256i pairs = _mm256_loadu_si256((const __m256i *)(const void *)w);
    return _mm256_castsi256_ps(_mm256_slli_epi32(pairs, 16));
}

#include "kernels/turned_lanes.h"

void weir_turned_init_avx2(struct weir_kernels *kernels)
{
    kernels->turned[WEIR_TYPE_F32] = turned_f32;
    kernels->turned[WEIR_TYPE_F16] = turned_f16;
    kernels->turned[WEIR_TYPE_BF16] = turned_bf16;
}
