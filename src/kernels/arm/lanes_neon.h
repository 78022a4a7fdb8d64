/* lanes_neon.h - eight values of a float format as floats, and loads that end early. */
#ifndef WEIR_KERNELS_LANES_NEON_H
#define WEIR_KERNELS_LANES_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "kernels/kernels_internal.h"

/* Eight values. */
struct eight {
    float32x4_t low;
    float32x4_t high;
};

WEIR_INLINE struct eight load_8(const uint8_t *at, const enum weir_type type)
{
    const uint8x16_t bytes = vld1q_u8(at);
    if (type == WEIR_TYPE_F32)
        return (struct eight){vreinterpretq_f32_u8(bytes), vreinterpretq_f32_u8(vld1q_u8(at + 16))};
    if (type == WEIR_TYPE_F16) {
        const float16x8_t halves = vreinterpretq_f16_u8(bytes);
        return (struct eight){vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)};
    }
    const uint16x8_t halves = vreinterpretq_u16_u8(bytes);
    return (struct eight){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(halves), 16)),
                          vreinterpretq_f32_u32(vshll_high_n_u16(halves, 16))};
}

/* The first count of eight values; those past them read as zero. */
WEIR_INLINE struct eight load_tail(const uint8_t *at, size_t count, const enum weir_type type)
{
    uint8_t bytes[32] = {0};
    memcpy(bytes, at, count * (type == WEIR_TYPE_F32 ? sizeof(float) : sizeof(uint16_t)));
    return load_8(bytes, type);
}

#endif
