/* turned_avx512.c - floats that lie column by column, on 512-bit registers. */
#include "kernels/x86/floats_avx512.h"

enum { TOKEN_ROWS = 8, PROMPT_ROWS = 4, PROMPT_TOKENS = 4 };

WEIR_INLINE lanes load_values(const uint8_t *w, size_t count, const enum weir_type type)
{
    const __mmask16 mask = count >= LANES ? 0xffff : tail_mask(count);
    if (type == WEIR_TYPE_F32)
        return load_f32(w, mask);
    if (type == WEIR_TYPE_F16)
        return load_f16(w, mask);
    return load_bf16(w, mask);
}

/* The first of each of sixteen pairs in BF16. */
WEIR_INLINE lanes load_pairs(const uint8_t *w)
{
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(w), 16));
}

#include "kernels/turned_lanes.h"

void weir_turned_init_avx512(struct weir_kernels *kernels)
{
    kernels->turned[WEIR_TYPE_F32] = turned_f32;
    kernels->turned[WEIR_TYPE_F16] = turned_f16;
    kernels->turned[WEIR_TYPE_BF16] = turned_bf16;
}
