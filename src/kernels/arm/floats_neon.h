/* floats_neon.h - four floats, by the names that code for registers of any length has for them. */
#ifndef WEIR_KERNELS_FLOATS_NEON_H
#define WEIR_KERNELS_FLOATS_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "kernels/arm/exp_neon.h"
#include "kernels/kernels_internal.h"

typedef float32x4_t lanes;
enum { LANES = 4 };

WEIR_INLINE lanes spread(float x)
{
    return vdupq_n_f32(x);
}

WEIR_INLINE lanes load_floats(const float *at, size_t count)
{
    float first[LANES] = {0};
    if (count >= LANES)
        return vld1q_f32(at);
    memcpy(first, at, count * sizeof(*at));
    return vld1q_f32(first);
}

WEIR_INLINE void store_floats(float *at, lanes x, size_t count)
{
    float first[LANES];
    if (count >= LANES) {
        vst1q_f32(at, x);
        return;
    }
    vst1q_f32(first, x);
    memcpy(at, first, count * sizeof(*at));
}

WEIR_INLINE lanes multiply(lanes a, lanes b)
{
    return vmulq_f32(a, b);
}

WEIR_INLINE lanes multiply_add(lanes a, lanes b, lanes c)
{
    return vfmaq_f32(c, a, b);
}

WEIR_INLINE lanes add(lanes a, lanes b)
{
    return vaddq_f32(a, b);
}

WEIR_INLINE lanes subtract(lanes a, lanes b)
{
    return vsubq_f32(a, b);
}

WEIR_INLINE lanes divide(lanes a, lanes b)
{
    return vdivq_f32(a, b);
}

WEIR_INLINE lanes minimum(lanes a, lanes b)
{
    return vminq_f32(a, b);
}

WEIR_INLINE lanes maximum(lanes a, lanes b)
{
    return vmaxq_f32(a, b);
}

WEIR_INLINE lanes exp_of(lanes x)
{
    return exp_4(x);
}

#endif
