/* grids_neon.c - super-blocks of IQ2 and IQ3 on 128-bit registers with dot product: 16 values of a
 * row.
 *
 * What a row looks up in a codebook lies side by side, so rows are not lanes here: a super-block is
 * taken apart once, and meets all tokens of a block as it lies.
 *
 * I1  Within a super-block all is integer, and exact in any order: at most 2^26. One output is
 *     summed super-block by super-block from the left:
 *     sum = fma(float(total), d * activation scale, sum),
 *     whatever the number of rows and tokens. */
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels_internal.h"
#include "quant/grids.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"

/* Tokens whose activations stay in the second-level cache while all rows of a part pass. */
enum { TOKEN_BLOCK = 32 };

/* A super-block of one row: 16 times 16 values. */
struct steps {
    float d;
    uint8x16_t sizes[16];
    uint8x16_t signs[2]; /* bits of which 1 is minus, in the order of values */
    int32_t scales[16];
};

WEIR_INLINE uint8x16_t two_entries(const uint64_t *grid, unsigned a, unsigned b)
{
    return vcombine_u8(vcreate_u8(grid[a]), vcreate_u8(grid[b]));
}

WEIR_INLINE uint8x16_t four_entries(const uint32_t *grid, const unsigned index[4])
{
    return vcombine_u8(vcreate_u8(grid[index[0]] | (uint64_t)grid[index[1]] << 32),
                       vcreate_u8(grid[index[2]] | (uint64_t)grid[index[3]] << 32));
}

/* weir_even_signs() of each byte. */
WEIR_INLINE uint8x16_t even_signs(uint8x16_t seven)
{
    return vorrq_u8(seven, vshlq_n_u8(vcntq_u8(seven), 7));
}

/* Scales and signs of eight words: four times seven signs, and from bit 28 on a scale. */
WEIR_INLINE void put_words(struct steps *out, const uint8_t (*words)[4], size_t apart)
{
    uint32_t sevens[8];
    for (int s = 0; s < 8; s++) {
        uint32_t word;
        memcpy(&word, (const uint8_t *)words + (size_t)s * apart, sizeof(word));
        out->scales[2 * s] = out->scales[2 * s + 1] = (int32_t)(2 * (word >> 28) + 1);
        sevens[s] = (word & 0x7f) | (word << 1 & 0x7f00) | (word << 2 & 0x7f0000) |
                    (word << 3 & 0x7f000000);
    }
    for (int half = 0; half < 2; half++)
        out->signs[half] = even_signs(vreinterpretq_u8_u32(vld1q_u32(sevens + 4 * half)));
}

/* Of each byte the low nibble is the scale before that of the high one; each is of 16 values
 * `times` over. */
WEIR_INLINE void put_nibbles(struct steps *out, const uint8_t *bytes, int times)
{
    for (int s = 0; s < 16; s++) {
        const int nibble = s / times;
        out->scales[s] = 2 * (bytes[nibble / 2] >> 4 * (nibble % 2) & 15) + 1;
    }
}

WEIR_INLINE void put_signs(struct steps *out, const uint8_t signs[32])
{
    out->signs[0] = vld1q_u8(signs);
    out->signs[1] = vld1q_u8(signs + 16);
}

WEIR_INLINE void unpack_iq2_xxs(const uint8_t *w, struct steps *out)
{
    struct weir_iq2_xxs block;
    memcpy(&block, w, sizeof(block));
    out->d = weir_f16_to_f32(block.d) * 0.125f;
    put_words(out, &block.parts[0].word, sizeof(block.parts[0]));
    for (int s = 0; s < 16; s++) {
        const uint8_t *index = block.parts[s / 2].index + s % 2 * 2;
        out->sizes[s] = two_entries(weir_iq2_xxs_grid, index[0], index[1]);
    }
}

WEIR_INLINE void unpack_iq2_xs(const uint8_t *w, struct steps *out)
{
    struct weir_iq2_xs block;
    memcpy(&block, w, sizeof(block));
    out->d = weir_f16_to_f32(block.d) * 0.125f;
    put_nibbles(out, block.scales, 1);
    for (int half = 0; half < 2; half++) {
        const uint16x8_t first = vld1q_u16(block.qs + 16 * half);
        const uint16x8_t second = vld1q_u16(block.qs + 16 * half + 8);
        const uint8x8_t low = vmovn_u16(vshrq_n_u16(first, 9));
        out->signs[half] = even_signs(vcombine_u8(low, vmovn_u16(vshrq_n_u16(second, 9))));
    }
    for (int s = 0; s < 16; s++)
        out->sizes[s] =
            two_entries(weir_iq2_xs_grid, block.qs[2 * s] & 511u, block.qs[2 * s + 1] & 511u);
}

WEIR_INLINE void unpack_iq2_s(const uint8_t *w, struct steps *out)
{
    struct weir_iq2_s block;
    memcpy(&block, w, sizeof(block));
    out->d = weir_f16_to_f32(block.d) * 0.125f;
    put_nibbles(out, block.scales, 1);
    put_signs(out, block.signs);
    for (int s = 0; s < 16; s++) {
        const unsigned high = (unsigned)block.qh[s / 2] >> 4 * (s % 2);
        out->sizes[s] = two_entries(weir_iq2_s_grid, block.qs[2 * s] | (high & 3) << 8,
                                    block.qs[2 * s + 1] | (high >> 2 & 3) << 8);
    }
}

WEIR_INLINE void unpack_iq3_xxs(const uint8_t *w, struct steps *out)
{
    struct weir_iq3_xxs block;
    memcpy(&block, w, sizeof(block));
    out->d = weir_f16_to_f32(block.d) * 0.25f;
    put_words(out, &block.words[0], sizeof(block.words[0]));
    for (int s = 0; s < 16; s++) {
        const uint8_t *qs = block.qs + 4 * s;
        const unsigned index[4] = {qs[0], qs[1], qs[2], qs[3]};
        out->sizes[s] = four_entries(weir_iq3_xxs_grid, index);
    }
}

WEIR_INLINE void unpack_iq3_s(const uint8_t *w, struct steps *out)
{
    struct weir_iq3_s block;
    memcpy(&block, w, sizeof(block));
    out->d = weir_f16_to_f32(block.d);
    put_nibbles(out, block.scales, 2);
    put_signs(out, block.signs);
    for (int s = 0; s < 16; s++) {
        const unsigned high = (unsigned)block.qh[s / 2] >> 4 * (s % 2);
        unsigned index[4];
        for (int g = 0; g < 4; g++)
            index[g] = block.qs[4 * s + g] | (high >> g & 1) << 8;
        out->sizes[s] = four_entries(weir_iq3_s_grid, index);
    }
}

WEIR_INLINE void unpack(const uint8_t *w, struct steps *out, const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_IQ2_XXS:
        unpack_iq2_xxs(w, out);
        break;
    case WEIR_TYPE_IQ2_XS:
        unpack_iq2_xs(w, out);
        break;
    case WEIR_TYPE_IQ2_S:
        unpack_iq2_s(w, out);
        break;
    case WEIR_TYPE_IQ3_XXS:
        unpack_iq3_xxs(w, out);
        break;
    default:
        unpack_iq3_s(w, out);
    }
}

/* Values [16 s, 16 s + 16): sizes with their signs. */
WEIR_INLINE int8x16_t signed_steps(const struct steps *w, int s)
{
    const uint8x16_t bits = vreinterpretq_u8_u64(vdupq_n_u64(0x8040201008040201));
    const uint8_t at = (uint8_t)(2 * (s % 8));
    const uint8x16_t bytes =
        vqtbl1q_u8(w->signs[s / 8], vcombine_u8(vdup_n_u8(at), vdup_n_u8((uint8_t)(at + 1))));
    const uint8x16_t minus = vtstq_u8(bytes, bits);
    return vreinterpretq_s8_u8(vsubq_u8(veorq_u8(w->sizes[s], minus), minus));
}

/* One row and n tokens of which x is the first. */
WEIR_INLINE void dot_row(const struct weir_matmul *job, const uint8_t *w, const uint8_t *x,
                         size_t n, float *sums, const enum weir_type type)
{
    for (size_t at = 0; at < job->cols / 256; at++) {
        struct steps block;
        int8x16_t steps[16];
        unpack(w, &block, type);
        for (int s = 0; s < 16; s++)
            steps[s] = signed_steps(&block, s);
        for (size_t t = 0; t < n; t++) {
            const struct weir_act_q8_256 *act = (const void *)(x + t * job->x_row_bytes);
            int32x4_t total = vdupq_n_s32(0);
            for (int s = 0; s < 16; s++) {
                const int32x4_t dot =
                    vdotq_s32(vdupq_n_s32(0), steps[s], vld1q_s8(act[at].q + 16 * s));
                total = vmlaq_n_s32(total, dot, block.scales[s]);
            }
            sums[t] = fmaf((float)vaddvq_s32(total), block.d * act[at].scale, sums[t]);
        }
        w += weir_quant_info(type)->block_bytes;
    }
}

WEIR_INLINE void run(const struct weir_matmul *job, const enum weir_type type)
{
    for (size_t first = 0; first < job->n_token; first += TOKEN_BLOCK) {
        const size_t left = job->n_token - first;
        const size_t count = left < TOKEN_BLOCK ? left : TOKEN_BLOCK;
        const uint8_t *x = (const uint8_t *)job->x + first * job->x_row_bytes;
        for (size_t row = job->row_begin; row < job->row_end; row++) {
            float sums[TOKEN_BLOCK] = {0};
            dot_row(job, (const uint8_t *)job->w + row * job->w_row_bytes, x, count, sums, type);
            for (size_t t = 0; t < count; t++)
                job->y[(first + t) * job->y_stride + row] = sums[t];
        }
    }
}

#define MATMUL(name, type)                                                                         \
    static void matmul_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        run(job, type);                                                                            \
    }
MATMUL(iq2_xxs, WEIR_TYPE_IQ2_XXS)
MATMUL(iq2_xs, WEIR_TYPE_IQ2_XS)
MATMUL(iq2_s, WEIR_TYPE_IQ2_S)
MATMUL(iq3_xxs, WEIR_TYPE_IQ3_XXS)
MATMUL(iq3_s, WEIR_TYPE_IQ3_S)
#undef MATMUL

void weir_grids_init_neon(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_IQ2_XXS] = matmul_iq2_xxs;
    kernels->matmul[WEIR_TYPE_IQ2_XS] = matmul_iq2_xs;
    kernels->matmul[WEIR_TYPE_IQ2_S] = matmul_iq2_s;
    kernels->matmul[WEIR_TYPE_IQ3_XXS] = matmul_iq3_xxs;
    kernels->matmul[WEIR_TYPE_IQ3_S] = matmul_iq3_s;
}
