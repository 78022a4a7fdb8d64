/* kernels_internal.h - the slots' fillers, one for each level. */
#ifndef WEIR_KERNELS_INTERNAL_H
#define WEIR_KERNELS_INTERNAL_H

#include <float.h>
#include <math.h>

#include "kernels/kernels.h"

/* For what takes a type or a number of tokens as a constant, and must see it as one. */
#define WEIR_INLINE static inline __attribute__((always_inline))

/* How a block of activations is quantized. */
struct weir_act_range {
    float scale;   /* not a number when a value of the block is not finite */
    float inverse; /* what values are multiplied with to become steps; then 0 */
};

/* most is the magnitude whose bits are the largest of the block: a maximum of floats drops what is
 * not a number, and the block would go on as if nothing had been there. */
WEIR_INLINE struct weir_act_range weir_act_range_of(float most)
{
    if (!(most <= FLT_MAX))
        return (struct weir_act_range){.scale = NAN};
    return (struct weir_act_range){.scale = most / 127.0f,
                                   .inverse = most > 0.0f ? 127.0f / most : 0.0f};
}

void weir_matmul_init_ref(struct weir_kernels *kernels);
void weir_codes_init_ref(struct weir_kernels *kernels);
void weir_kernels_init_ref(struct weir_kernels *kernels);
void weir_recurrent_init_ref(struct weir_kernels *kernels);
void weir_glu_init_ref(struct weir_kernels *kernels);
void weir_attention_init_ref(struct weir_kernels *kernels);
weir_softcap_fn weir_softcap_ref;
#if defined(__x86_64__)
void weir_float_init_avx2(struct weir_kernels *kernels);
void weir_turned_init_avx2(struct weir_kernels *kernels);
void weir_attention_init_avx2(struct weir_kernels *kernels);
void weir_recurrent_init_avx2(struct weir_kernels *kernels);
void weir_glu_init_avx2(struct weir_kernels *kernels);
void weir_q32_init_avx2(struct weir_kernels *kernels);
void weir_k_init_avx2(struct weir_kernels *kernels);
void weir_codes_init_avx2(struct weir_kernels *kernels);
void weir_grids_init_avx2(struct weir_kernels *kernels);
void weir_bits_init_avx2(struct weir_kernels *kernels);
/* One token of these is no faster on longer registers, and the bits are the same. */
weir_matmul_fn weir_iq1_s_avx2;
weir_matmul_fn weir_iq1_m_avx2;
weir_matmul_fn weir_iq2_xs_avx2;
void weir_float_init_avx512(struct weir_kernels *kernels);
void weir_turned_init_avx512(struct weir_kernels *kernels);
void weir_codes_init_avx512(struct weir_kernels *kernels);
void weir_grids_init_avx512(struct weir_kernels *kernels);
void weir_attention_init_avx512(struct weir_kernels *kernels);
void weir_recurrent_init_avx512(struct weir_kernels *kernels);
void weir_glu_init_avx512(struct weir_kernels *kernels);
void weir_q32_init_vnni(struct weir_kernels *kernels, bool in_order);
void weir_k_init_vnni(struct weir_kernels *kernels, bool in_order);
void weir_grids_init_vnni(struct weir_kernels *kernels, bool slow_gather);
void weir_bits_init_vnni(struct weir_kernels *kernels);
void weir_attention_init_vnni(struct weir_kernels *kernels);
#elif defined(__aarch64__)
void weir_float_init_neon(struct weir_kernels *kernels);
void weir_attention_init_neon(struct weir_kernels *kernels);
void weir_recurrent_init_neon(struct weir_kernels *kernels);
void weir_glu_init_neon(struct weir_kernels *kernels);
void weir_q32_init_neon(struct weir_kernels *kernels);
void weir_k_init_neon(struct weir_kernels *kernels);
void weir_grids_init_neon(struct weir_kernels *kernels);
#endif

#endif
