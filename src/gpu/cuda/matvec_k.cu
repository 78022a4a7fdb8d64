/* matvec_k.cu - products of a few rows with matrices of several K formats: a model's q, k and v. */
#include "gpu/cuda/matvec.cuh"
#include "quant/quant.h"

#define MATVEC_K(n)                                                                                \
    extern "C" __global__ void __launch_bounds__(32 * VECTOR_WARPS)                                \
        weir_matvec_k_##n(const __grid_constant__ struct weir_matvec_list all)                     \
    {                                                                                              \
        const struct portion portion = portion_of(all);                                            \
        const uint32_t type = all.of[portion.matrix].w.type;                                       \
        if (type == WEIR_TYPE_Q4_K)                                                                \
            matvec<one_kind<q4_k>, n>(all, portion);                                               \
        else if (type == WEIR_TYPE_Q5_K)                                                           \
            matvec<one_kind<q5_k>, n>(all, portion);                                               \
        else                                                                                       \
            matvec<one_kind<q6_k>, n>(all, portion);                                               \
    }
MATVEC_K(1)
MATVEC_K(8)
