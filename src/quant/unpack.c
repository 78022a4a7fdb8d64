/* unpack.c - blocks of the IQ, TQ and other low-bit formats, taken apart. */
#include "quant/unpack.h"

#include <string.h>

#include "base/base.h"
#include "quant/grids.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"
#include "quant/q2_k.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

static uint32_t read_word(const uint8_t bytes[4])
{
    uint32_t word;
    memcpy(&word, bytes, sizeof(word));
    return word;
}

/* count steps of an entry's sizes, minus where a bit of signs is set. */
static void put_signed(int8_t *steps, uint64_t sizes, unsigned signs, int count)
{
    for (int i = 0; i < count; i++) {
        const int size = (int)(sizes >> 8 * i & 255);
        steps[i] = (int8_t)((signs >> i & 1) != 0 ? -size : size);
    }
}

/* Eight steps of an entry of IQ1's codebook and a delta of an eighth. */
static void put_ternary(int8_t *steps, uint64_t entry, int delta)
{
    for (int i = 0; i < 8; i++)
        steps[i] = (int8_t)((int)(entry >> 8 * i & 255) - 8 + delta);
}

/* The odd scale that a few bits stand for. */
static int16_t odd_scale(unsigned bits)
{
    return (int16_t)(2 * bits + 1);
}

static void unpack_iq1_s(const struct weir_iq1_s *block, struct weir_steps *out)
{
    out->d = weir_f16_to_f32(block->d) / 8.0f;
    for (int s = 0; s < 8; s++) {
        const unsigned high = block->qh[s];
        const int delta = (high & 0x8000) != 0 ? -1 : 1;
        out->scales[2 * s] = out->scales[2 * s + 1] = odd_scale(high >> 12 & 7);
        for (int g = 0; g < 4; g++) {
            const unsigned index = block->qs[4 * s + g] | (high >> 3 * g & 7) << 8;
            put_ternary(out->steps + 32 * s + 8 * g, weir_iq1_grid[index], delta);
        }
    }
}

static void unpack_iq1_m(const struct weir_iq1_m *block, struct weir_steps *out)
{
    out->d = weir_f16_to_f32(weir_iq1_m_d(block->scales)) / 8.0f;
    for (int s = 0; s < 16; s++)
        out->scales[s] = odd_scale(block->scales[s / 4] >> 3 * (s % 4) & 7u);
    for (int g = 0; g < 32; g++) {
        const unsigned high = block->qh[g / 2] >> 4 * (g % 2) & 15u;
        const unsigned index = block->qs[g] | (high & 7) << 8;
        put_ternary(out->steps + 8 * g, weir_iq1_grid[index], (high & 8) != 0 ? -1 : 1);
    }
}

static void unpack_iq2_xxs(const struct weir_iq2_xxs *block, struct weir_steps *out)
{
    out->d = weir_f16_to_f32(block->d) / 8.0f;
    for (int s = 0; s < 8; s++) {
        const uint32_t word = read_word(block->parts[s].word);
        out->scales[2 * s] = out->scales[2 * s + 1] = odd_scale(word >> 28);
        for (int g = 0; g < 4; g++)
            put_signed(out->steps + 32 * s + 8 * g, weir_iq2_xxs_grid[block->parts[s].index[g]],
                       weir_even_signs(word >> 7 * g & 127), 8);
    }
}

static void unpack_iq2_xs(const struct weir_iq2_xs *block, struct weir_steps *out)
{
    out->d = weir_f16_to_f32(block->d) / 8.0f;
    for (int s = 0; s < 16; s++)
        out->scales[s] = odd_scale(block->scales[s / 2] >> 4 * (s % 2) & 15u);
    for (int g = 0; g < 32; g++)
        put_signed(out->steps + 8 * g, weir_iq2_xs_grid[block->qs[g] & 511],
                   weir_even_signs(block->qs[g] >> 9), 8);
}

static void unpack_iq2_s(const struct weir_iq2_s *block, struct weir_steps *out)
{
    out->d = weir_f16_to_f32(block->d) / 8.0f;
    for (int s = 0; s < 16; s++)
        out->scales[s] = odd_scale(block->scales[s / 2] >> 4 * (s % 2) & 15u);
    for (int g = 0; g < 32; g++) {
        const unsigned index = block->qs[g] | (block->qh[g / 4] >> 2 * (g % 4) & 3u) << 8;
        put_signed(out->steps + 8 * g, weir_iq2_s_grid[index], block->signs[g], 8);
    }
}

static void unpack_iq3_xxs(const struct weir_iq3_xxs *block, struct weir_steps *out)
{
    out->d = weir_f16_to_f32(block->d) / 4.0f;
    for (int s = 0; s < 8; s++) {
        const uint32_t word = read_word(block->words[s]);
        out->scales[2 * s] = out->scales[2 * s + 1] = odd_scale(word >> 28);
        for (int g = 0; g < 8; g++)
            put_signed(out->steps + 32 * s + 4 * g, weir_iq3_xxs_grid[block->qs[8 * s + g]],
                       weir_even_signs(word >> 7 * (g / 2) & 127) >> 4 * (g % 2), 4);
    }
}

static void unpack_iq3_s(const struct weir_iq3_s *block, struct weir_steps *out)
{
    out->d = weir_f16_to_f32(block->d);
    for (int s = 0; s < 16; s++)
        out->scales[s] = odd_scale(block->scales[s / 4] >> 4 * (s / 2 % 2) & 15u);
    for (int g = 0; g < 64; g++) {
        const unsigned index = block->qs[g] | (block->qh[g / 8] >> g % 8 & 1u) << 8;
        put_signed(out->steps + 4 * g, weir_iq3_s_grid[index],
                   (unsigned)block->signs[g / 2] >> 4 * (g % 2), 4);
    }
}

/* Digit n of a byte is taken after n multiplications by 3 that drop what is past 256. */
static void put_digits(int8_t *steps, const uint8_t *bytes, int count, int digits)
{
    static const uint8_t powers[5] = {1, 3, 9, 27, 81};
    for (int n = 0; n < digits; n++)
        for (int i = 0; i < count; i++) {
            const uint8_t fraction = (uint8_t)(bytes[i] * powers[n]);
            steps[n * count + i] = (int8_t)((fraction * 3 >> 8) - 1);
        }
}

static void unpack_tq1_0(const struct weir_tq1_0 *block, struct weir_steps *out)
{
    out->d = weir_f16_to_f32(block->d);
    for (int s = 0; s < 16; s++)
        out->scales[s] = 1;
    put_digits(out->steps, block->qs, 32, 5);
    put_digits(out->steps + 160, block->qs + 32, 16, 5);
    put_digits(out->steps + 240, block->qh, 4, 4);
}

static void unpack_tq2_0(const struct weir_tq2_0 *block, struct weir_steps *out)
{
    out->d = weir_f16_to_f32(block->d);
    for (int s = 0; s < 16; s++)
        out->scales[s] = 1;
    for (int i = 0; i < WEIR_TQ2_0_LEN; i++)
        out->steps[i] = (int8_t)(weir_k_two_bits(block->qs, i) - 1);
}

void weir_quant_unpack_256(enum weir_type type, const void *block, struct weir_steps *out)
{
    switch (type) {
    case WEIR_TYPE_IQ1_S:
        unpack_iq1_s(block, out);
        return;
    case WEIR_TYPE_IQ1_M:
        unpack_iq1_m(block, out);
        return;
    case WEIR_TYPE_IQ2_XXS:
        unpack_iq2_xxs(block, out);
        return;
    case WEIR_TYPE_IQ2_XS:
        unpack_iq2_xs(block, out);
        return;
    case WEIR_TYPE_IQ2_S:
        unpack_iq2_s(block, out);
        return;
    case WEIR_TYPE_IQ3_XXS:
        unpack_iq3_xxs(block, out);
        return;
    case WEIR_TYPE_IQ3_S:
        unpack_iq3_s(block, out);
        return;
    case WEIR_TYPE_TQ1_0:
        unpack_tq1_0(block, out);
        return;
    case WEIR_TYPE_TQ2_0:
        unpack_tq2_0(block, out);
        return;
    default:
        WEIR_ASSERT(false); /* a type of other blocks */
    }
}

static void unpack_q1_0(const struct weir_q1_0 *block, int part, struct weir_steps_32 *out)
{
    out->scales[0] = out->scales[1] = weir_f16_to_f32(block->d);
    for (int i = 0; i < 32; i++)
        out->steps[i] = (block->qs[4 * part + i / 8] >> i % 8 & 1) != 0 ? 1 : -1;
}

static void unpack_q2_0(const struct weir_q2_0 *block, int part, struct weir_steps_32 *out)
{
    out->scales[0] = out->scales[1] = weir_f16_to_f32(block->d);
    for (int i = 0; i < 32; i++)
        out->steps[i] = (int8_t)((block->qs[8 * part + i / 4] >> 2 * (i % 4) & 3) - 1);
}

static void unpack_nvfp4(const struct weir_nvfp4 *block, int part, struct weir_steps_32 *out)
{
    for (int s = 0; s < 2; s++) {
        const uint8_t *qs = block->qs + 8 * (2 * part + s);
        out->scales[s] = weir_nvfp4_scale(block->scales[2 * part + s]);
        for (int i = 0; i < 16; i++)
            out->steps[16 * s + i] = weir_mxfp4_steps[qs[i % 8] >> 4 * (i / 8) & 15];
    }
}

void weir_quant_unpack_32(enum weir_type type, const void *block, int part,
                          struct weir_steps_32 *out)
{
    switch (type) {
    case WEIR_TYPE_NVFP4:
        unpack_nvfp4(block, part, out);
        return;
    case WEIR_TYPE_Q1_0:
        unpack_q1_0(block, part, out);
        return;
    case WEIR_TYPE_Q2_0:
        unpack_q2_0(block, part, out);
        return;
    default:
        WEIR_ASSERT(false); /* a type of other blocks */
    }
}
