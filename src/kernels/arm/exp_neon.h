/* exp_neon.h - exp of 4 floats: 2^n times a polynomial on [-ln 2 / 2, ln 2 / 2]; relative error
 * below 2e-7, 0 below -87.3, infinite above 88.38, where 2^n has no float. Minimum and maximum give
 * what is not a number when one operand is. */
#ifndef WEIR_KERNELS_EXP_NEON_H
#define WEIR_KERNELS_EXP_NEON_H

#include <arm_neon.h>

static inline float32x4_t exp_4(float32x4_t x)
{
    const float32x4_t low = vdupq_n_f32(-87.3f);
    const uint32x4_t tiny = vcltq_f32(x, low);
    x = vminq_f32(vmaxq_f32(x, low), vdupq_n_f32(89.0f));
    const float32x4_t n = vrndnq_f32(vmulq_n_f32(x, 1.44269504f));
    float32x4_t r = vfmsq_f32(x, n, vdupq_n_f32(0.693359375f));
    r = vfmsq_f32(r, n, vdupq_n_f32(-2.12194440e-4f));
    float32x4_t p = vdupq_n_f32(1.0f / 5040.0f);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 720.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 120.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 24.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f / 6.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(0.5f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    p = vfmaq_f32(vdupq_n_f32(1.0f), p, r);
    const int32x4_t exponent = vshlq_n_s32(vaddq_s32(vcvtnq_s32_f32(n), vdupq_n_s32(127)), 23);
    const float32x4_t value = vmulq_f32(p, vreinterpretq_f32_s32(exponent));
    return vreinterpretq_f32_u32(vbicq_u32(vreinterpretq_u32_f32(value), tiny));
}

#endif
