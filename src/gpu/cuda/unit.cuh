/* unit.cuh - gated units: what a gate and an up become. */
#ifndef WEIR_CUDA_UNIT_CUH
#define WEIR_CUDA_UNIT_CUH

#include "kernels/kernels.h"

static __device__ __forceinline__ float silu(float x)
{
    return x / (1.0f + expf(-x));
}

static __device__ __forceinline__ float at_most(float x, float limit)
{
    return (x > limit ? limit : x) + 0.0f * x;
}

static __device__ __forceinline__ float clamp(float x, float limit)
{
    return (x > limit ? limit : x < -limit ? -limit : x) + 0.0f * x;
}

/* enum weir_glu. */
static __device__ __forceinline__ float unit(uint32_t glu, float gate, float up, float limit)
{
    static const float twice_root = 1.5957691216f; /* 2 sqrt(2 / pi) */
    const float low = at_most(gate, limit);
    switch (glu) {
    case WEIR_GLU_SILU:
        return silu(gate) * up;
    case WEIR_GLU_SILU_OF_LESS:
        return silu(low) * clamp(up, limit);
    case WEIR_GLU_LESS_OF_SILU:
        return at_most(silu(gate), limit) * clamp(up, limit);
    case WEIR_GLU_OAI:
        return low / (1.0f + expf(-1.702f * low)) * (clamp(up, limit) + 1.0f);
    default: /* GELU: (1 + tanh(z)) / 2 = 1 / (1 + exp(-2 z)) */
        return gate / (1.0f + expf(-twice_root * gate * (1.0f + 0.044715f * gate * gate))) * up;
    }
}

#endif
