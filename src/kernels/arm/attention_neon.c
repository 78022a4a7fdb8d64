/* attention_neon.c - attention on 128-bit registers. */
#include "kernels/arm/floats_neon.h"

typedef uint32x4_t codes;
typedef int16x8_t dots; /* two sums in a word: each at most 8 * 2 * 15 * 128 */
enum { ATTEND_ROWS = 4, ATTEND_TILES = 16, TILE_JOBS = 1 };

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

WEIR_INLINE codes byte_codes(codes x, const int from, const int bits)
{
    const uint8x16_t mask = vdupq_n_u8((uint8_t)((1 << bits) - 1));
    return vandq_u32(vshlq_u32(x, vdupq_n_s32(-from)), vreinterpretq_u32_u8(mask));
}

WEIR_INLINE codes spread_four(const int8_t *at)
{
    uint32_t four;
    memcpy(&four, at, sizeof(four));
    return vdupq_n_u32(four);
}

WEIR_INLINE dots no_dots(void)
{
    return vdupq_n_s16(0);
}

WEIR_INLINE dots add_dots(codes x, codes factors, dots sums)
{
    const int8x16_t bytes = vreinterpretq_s8_u32(x); /* codes end at 15 */
    const int8x16_t others = vreinterpretq_s8_u32(factors);
    const int16x8_t first = vmull_s8(vget_low_s8(bytes), vget_low_s8(others));
    return vaddq_s16(sums, vpaddq_s16(first, vmull_high_s8(bytes, others)));
}

WEIR_INLINE lanes join_dots(dots high, dots low)
{
    return vcvtq_f32_s32(vaddq_s32(vshlq_n_s32(vpaddlq_s16(high), 8), vpaddlq_s16(low)));
}

WEIR_INLINE void store_parts(const lanes *x, const int bits, int8_t *high, int8_t *low)
{
    static const uint8_t orders[2][16] = {
        {0, 2, 4, 6, 1, 3, 5, 7, 8, 10, 12, 14, 9, 11, 13, 15},
        {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15},
    };
    const uint8x16_t order = vld1q_u8(orders[bits == 2]);
    for (int half = 0; half < 2; half++, x += 4) {
        const int16x8_t first =
            vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(x[0])), vqmovn_s32(vcvtnq_s32_f32(x[1])));
        const int16x8_t second =
            vcombine_s16(vqmovn_s32(vcvtnq_s32_f32(x[2])), vqmovn_s32(vcvtnq_s32_f32(x[3])));
        const int8x16_t highs = vcombine_s8(vrshrn_n_s16(first, 8), vrshrn_n_s16(second, 8));
        const int8x16_t lows = vcombine_s8(vmovn_s16(first), vmovn_s16(second));
        vst1q_s8(high + 16 * half, vqtbl1q_s8(highs, order));
        vst1q_s8(low + 16 * half, vqtbl1q_s8(lows, order));
    }
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

/* In vaddvq_f32's order: neighbours, then theirs. */
WEIR_INLINE lanes sums_of(const lanes x[LANES])
{
    return vpaddq_f32(vpaddq_f32(x[0], x[1]), vpaddq_f32(x[2], x[3]));
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
