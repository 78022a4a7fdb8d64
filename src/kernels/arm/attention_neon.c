/* attention_neon.c - attention on 128-bit registers. */
#include "kernels/arm/floats_neon.h"

typedef uint32x4_t codes;
enum { ATTEND_ROWS = 4, ATTEND_TILES = 16, TILE_JOBS = 2 };

WEIR_INLINE lanes load_halves(const uint16_t *at, size_t count)
{
    uint16_t first[LANES] = {0};
    if (count >= LANES)
        return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(at)));
    memcpy(first, at, count * sizeof(*at));
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(first)));
}

WEIR_INLINE lanes load_bfloats(const uint16_t *at, size_t count)
{
    uint16_t first[LANES] = {0};
    memcpy(first, at, (count < LANES ? count : LANES) * sizeof(*at));
    return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(first), 16));
}

WEIR_INLINE lanes spread_half(const uint16_t *at)
{
    return vcvt_f32_f16(vreinterpret_f16_u16(vdup_n_u16(*at)));
}

WEIR_INLINE lanes load_bytes(const int8_t *at)
{
    int32_t four;
    memcpy(&four, at, sizeof(four));
    const int8x8_t bytes = vreinterpret_s8_s32(vdup_n_s32(four));
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(bytes))));
}

/* Four unsigned bytes, each in a word of its own. */
WEIR_INLINE uint32x4_t load_four(const uint8_t *at)
{
    uint32_t four;
    memcpy(&four, at, sizeof(four));
    const uint8x8_t bytes = vreinterpret_u8_u32(vdup_n_u32(four));
    return vmovl_u16(vget_low_u16(vmovl_u8(bytes)));
}

WEIR_INLINE lanes load_nibbles(const uint8_t *at)
{
    return vcvtq_f32_u32(vandq_u32(load_four(at), vdupq_n_u32(15)));
}

WEIR_INLINE lanes load_nibbles_high(const uint8_t *at)
{
    return vcvtq_f32_u32(vshrq_n_u32(load_four(at), 4));
}

WEIR_INLINE codes load_codes(const uint8_t *at)
{
    return vreinterpretq_u32_u8(vld1q_u8(at));
}

WEIR_INLINE lanes first_codes(codes x, const int bits)
{
    return vcvtq_f32_u32(vandq_u32(x, vdupq_n_u32((1u << bits) - 1)));
}

WEIR_INLINE codes next_codes(codes x, const int bits)
{
    return vshlq_u32(x, vdupq_n_s32(-bits));
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
    attend_init(kernels);
}
