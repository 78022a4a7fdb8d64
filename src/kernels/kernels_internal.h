/* kernels_internal.h - the slots' fillers, one for each level. */
#ifndef WEIR_KERNELS_INTERNAL_H
#define WEIR_KERNELS_INTERNAL_H

#include "kernels/kernels.h"

/* For what takes a type or a number of tokens as a constant, and must see it as one. */
#define WEIR_INLINE static inline __attribute__((always_inline))

void weir_matmul_init_ref(struct weir_kernels *kernels);
void weir_kernels_init_ref(struct weir_kernels *kernels);
weir_attention_fn weir_attention_ref;
#if defined(__x86_64__)
void weir_float_init_avx2(struct weir_kernels *kernels);
void weir_attention_init_avx2(struct weir_kernels *kernels);
void weir_q32_init_avx2(struct weir_kernels *kernels);
void weir_k_init_avx2(struct weir_kernels *kernels);
void weir_float_init_avx512(struct weir_kernels *kernels);
void weir_attention_init_avx512(struct weir_kernels *kernels);
void weir_q32_init_vnni(struct weir_kernels *kernels, bool in_order);
void weir_k_init_vnni(struct weir_kernels *kernels, bool in_order);
#elif defined(__aarch64__)
void weir_float_init_neon(struct weir_kernels *kernels);
void weir_attention_init_neon(struct weir_kernels *kernels);
void weir_q32_init_neon(struct weir_kernels *kernels);
void weir_k_init_neon(struct weir_kernels *kernels);
#endif

#endif
