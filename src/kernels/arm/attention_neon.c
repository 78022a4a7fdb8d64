/* attention_neon.c - attention on 128-bit registers. */
#include <arm_neon.h>
#include <string.h>

#include "kernels/arm/exp_neon.h"
#include "kernels/kernels_internal.h"

typedef float32x4_t lanes;
enum { LANES = 4, ATTEND_ROWS = 4, ATTEND_TILES = 16 };

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

WEIR_INLINE lanes load_halves(const uint16_t *at, size_t count)
{
    uint16_t first[LANES] = {0};
    if (count >= LANES)
        return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at)));
    memcpy(first, at, count * sizeof(*at));
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(first)));
}

WEIR_INLINE void store_floats(float *at, lanes x, size_t count)
{
    float first[LANES];
    vst1q_f32(first, x);
    memcpy(at, first, (count < LANES ? count : LANES) * sizeof(*at));
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

WEIR_INLINE lanes multiply(lanes a, lanes b)
{
    return vmulq_f32(a, b);
}

WEIR_INLINE lanes divide(lanes a, lanes b)
{
    return vdivq_f32(a, b);
}

WEIR_INLINE lanes maximum(lanes a, lanes b)
{
    return vmaxq_f32(a, b);
}

WEIR_INLINE lanes exp_of(lanes x)
{
    return exp_4(x);
}

WEIR_INLINE lanes keep_first(lanes x, size_t count)
{
    float all[LANES];
    vst1q_f32(all, x);
    return load_floats(all, count);
}

WEIR_INLINE float sum_of(lanes x)
{
    return vaddvq_f32(x);
}

WEIR_INLINE float largest_of(lanes x)
{
    return vmaxvq_f32(x);
}

#include "kernels/attend_lanes.h"

void weir_attention_init_neon(struct weir_kernels *kernels)
{
    kernels->attention = attend_lanes;
    kernels->softcap = softcap;
    kernels->sigmoid_mul = sigmoid_mul;
}
