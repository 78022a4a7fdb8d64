/* quant.c - the table of formats; decode. */
#include "quant/quant.h"

#include <string.h>
#include <strings.h>

#include "base/base.h"
#include "quant/f4_e2m1.h"
#include "quant/f8_e4m3.h"
#include "quant/i4.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/mxfp4.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q4_k.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"
#include "quant/q8_0.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"
#include "quant/unpack.h"

static const struct weir_type_info infos[WEIR_TYPE_COUNT] = {
    [WEIR_TYPE_F32] = {"F32", 0, 1, 4},
    [WEIR_TYPE_F16] = {"F16", 1, 1, 2},
    [WEIR_TYPE_BF16] = {"BF16", 30, 1, 2},
    [WEIR_TYPE_Q8_0] = {"Q8_0", 8, WEIR_Q8_0_LEN, sizeof(struct weir_q8_0)},
    [WEIR_TYPE_Q4_0] = {"Q4_0", 2, WEIR_Q4_0_LEN, sizeof(struct weir_q4_0)},
    [WEIR_TYPE_Q4_1] = {"Q4_1", 3, WEIR_Q4_1_LEN, sizeof(struct weir_q4_1)},
    [WEIR_TYPE_Q5_0] = {"Q5_0", 6, WEIR_Q5_0_LEN, sizeof(struct weir_q5_0)},
    [WEIR_TYPE_Q5_1] = {"Q5_1", 7, WEIR_Q5_1_LEN, sizeof(struct weir_q5_1)},
    [WEIR_TYPE_IQ4_NL] = {"IQ4_NL", 20, WEIR_IQ4_NL_LEN, sizeof(struct weir_iq4_nl)},
    [WEIR_TYPE_MXFP4] = {"MXFP4", 39, WEIR_MXFP4_LEN, sizeof(struct weir_mxfp4)},
    [WEIR_TYPE_Q2_K] = {"Q2_K", 10, WEIR_Q2_K_LEN, sizeof(struct weir_q2_k)},
    [WEIR_TYPE_Q3_K] = {"Q3_K", 11, WEIR_Q3_K_LEN, sizeof(struct weir_q3_k)},
    [WEIR_TYPE_Q4_K] = {"Q4_K", 12, WEIR_Q4_K_LEN, sizeof(struct weir_q4_k)},
    [WEIR_TYPE_Q5_K] = {"Q5_K", 13, WEIR_Q5_K_LEN, sizeof(struct weir_q5_k)},
    [WEIR_TYPE_Q6_K] = {"Q6_K", 14, WEIR_Q6_K_LEN, sizeof(struct weir_q6_k)},
    [WEIR_TYPE_IQ4_XS] = {"IQ4_XS", 23, WEIR_IQ4_XS_LEN, sizeof(struct weir_iq4_xs)},
    [WEIR_TYPE_IQ1_S] = {"IQ1_S", 19, WEIR_IQ1_S_LEN, sizeof(struct weir_iq1_s)},
    [WEIR_TYPE_IQ1_M] = {"IQ1_M", 29, WEIR_IQ1_M_LEN, sizeof(struct weir_iq1_m)},
    [WEIR_TYPE_IQ2_XXS] = {"IQ2_XXS", 16, WEIR_IQ2_XXS_LEN, sizeof(struct weir_iq2_xxs)},
    [WEIR_TYPE_IQ2_XS] = {"IQ2_XS", 17, WEIR_IQ2_XS_LEN, sizeof(struct weir_iq2_xs)},
    [WEIR_TYPE_IQ2_S] = {"IQ2_S", 22, WEIR_IQ2_S_LEN, sizeof(struct weir_iq2_s)},
    [WEIR_TYPE_IQ3_XXS] = {"IQ3_XXS", 18, WEIR_IQ3_XXS_LEN, sizeof(struct weir_iq3_xxs)},
    [WEIR_TYPE_IQ3_S] = {"IQ3_S", 21, WEIR_IQ3_S_LEN, sizeof(struct weir_iq3_s)},
    [WEIR_TYPE_TQ1_0] = {"TQ1_0", 34, WEIR_TQ1_0_LEN, sizeof(struct weir_tq1_0)},
    [WEIR_TYPE_TQ2_0] = {"TQ2_0", 35, WEIR_TQ2_0_LEN, sizeof(struct weir_tq2_0)},
    [WEIR_TYPE_NVFP4] = {"NVFP4", 40, WEIR_NVFP4_LEN, sizeof(struct weir_nvfp4)},
    [WEIR_TYPE_Q1_0] = {"Q1_0", 41, WEIR_Q1_0_LEN, sizeof(struct weir_q1_0)},
    [WEIR_TYPE_Q2_0] = {"Q2_0", 42, WEIR_Q2_0_LEN, sizeof(struct weir_q2_0)},
    [WEIR_TYPE_F8_E4M3] = {"F8_E4M3", WEIR_GGML_NONE, 1, 1},
    [WEIR_TYPE_F4_E2M1] = {"F4_E2M1", WEIR_GGML_NONE, WEIR_F4_E2M1_LEN, 1},
    [WEIR_TYPE_I4] = {"I4", WEIR_GGML_NONE, WEIR_I4_LEN, 1},
};

const struct weir_type_info *weir_quant_info(enum weir_type type)
{
    WEIR_ASSERT((unsigned)type < WEIR_TYPE_COUNT);
    return &infos[type];
}

bool weir_quant_from_ggml(uint32_t ggml_id, enum weir_type *type)
{
    for (int at = 0; at < WEIR_TYPE_COUNT; at++)
        if (ggml_id != WEIR_GGML_NONE && infos[at].ggml_id == ggml_id) {
            *type = (enum weir_type)at;
            return true;
        }
    return false;
}

bool weir_quant_from_name(const char *name, enum weir_type *type)
{
    for (int at = 0; at < WEIR_TYPE_COUNT; at++)
        if (strcasecmp(infos[at].name, name) == 0) {
            *type = (enum weir_type)at;
            return true;
        }
    return false;
}

const char *weir_quant_ggml_name(uint32_t ggml_id)
{
    static const char *const names[] = {
        [0] = "F32",     [1] = "F16",      [2] = "Q4_0",   [3] = "Q4_1",    [6] = "Q5_0",
        [7] = "Q5_1",    [8] = "Q8_0",     [9] = "Q8_1",   [10] = "Q2_K",   [11] = "Q3_K",
        [12] = "Q4_K",   [13] = "Q5_K",    [14] = "Q6_K",  [15] = "Q8_K",   [16] = "IQ2_XXS",
        [17] = "IQ2_XS", [18] = "IQ3_XXS", [19] = "IQ1_S", [20] = "IQ4_NL", [21] = "IQ3_S",
        [22] = "IQ2_S",  [23] = "IQ4_XS",  [24] = "I8",    [25] = "I16",    [26] = "I32",
        [27] = "I64",    [28] = "F64",     [29] = "IQ1_M", [30] = "BF16",   [34] = "TQ1_0",
        [35] = "TQ2_0",  [39] = "MXFP4",   [40] = "NVFP4", [41] = "Q1_0",   [42] = "Q2_0",
    };
    return ggml_id < WEIR_COUNT(names) ? names[ggml_id] : NULL;
}

size_t weir_quant_row_bytes(enum weir_type type, size_t cols)
{
    const struct weir_type_info *info = weir_quant_info(type);
    WEIR_ASSERT(cols % info->block_len == 0);
    return cols / info->block_len * info->block_bytes;
}

static void decode_q4_0(const struct weir_q4_0 *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    for (int i = 0; i < 16; i++) {
        x[i] = d * (float)((block->qs[i] & 15) - 8);
        x[i + 16] = d * (float)((block->qs[i] >> 4) - 8);
    }
}

static void decode_q4_1(const struct weir_q4_1 *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    const float m = weir_f16_to_f32(block->m);
    for (int i = 0; i < 16; i++) {
        x[i] = d * (float)(block->qs[i] & 15) + m;
        x[i + 16] = d * (float)(block->qs[i] >> 4) + m;
    }
}

static void decode_q5_0(const struct weir_q5_0 *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    for (int i = 0; i < 32; i++)
        x[i] = d * (float)(weir_q5_step(block->qh, block->qs, i) - 16);
}

static void decode_q5_1(const struct weir_q5_1 *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    const float m = weir_f16_to_f32(block->m);
    for (int i = 0; i < 32; i++)
        x[i] = d * (float)weir_q5_step(block->qh, block->qs, i) + m;
}

/* 32 values of 16 bytes of codes, each scale times a step. */
static void decode_codes(const int8_t steps[16], float scale, const uint8_t *qs, float *x)
{
    for (int i = 0; i < 16; i++) {
        x[i] = scale * (float)steps[qs[i] & 15];
        x[i + 16] = scale * (float)steps[qs[i] >> 4];
    }
}

static void decode_iq4_nl(const struct weir_iq4_nl *block, float *x)
{
    decode_codes(weir_iq4_nl_steps, weir_f16_to_f32(block->d), block->qs, x);
}

static void decode_mxfp4(const struct weir_mxfp4 *block, float *x)
{
    decode_codes(weir_mxfp4_steps, weir_mxfp4_scale(block->e), block->qs, x);
}

static void decode_q8_0(const struct weir_q8_0 *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    for (int i = 0; i < 32; i++)
        x[i] = d * (float)block->qs[i];
}

static void decode_q2_k(const struct weir_q2_k *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    const float dmin = weir_f16_to_f32(block->dmin);
    for (int i = 0; i < WEIR_Q2_K_LEN; i++) {
        const float scale = d * (float)(block->scales[i / 16] & 15);
        const float minimum = dmin * (float)(block->scales[i / 16] >> 4);
        x[i] = scale * (float)weir_k_two_bits(block->qs, i) - minimum;
    }
}

static void decode_q3_k(const struct weir_q3_k *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    for (int i = 0; i < WEIR_Q3_K_LEN; i++) {
        const int bit = block->hmask[i % 32] >> (i / 32) & 1;
        const int step = weir_k_two_bits(block->qs, i) + 4 * bit - 4;
        x[i] = d * (float)weir_q3_k_scale(block->scales, i / 16) * (float)step;
    }
}

static void decode_q4_k(const struct weir_q4_k *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    const float dmin = weir_f16_to_f32(block->dmin);
    for (int i = 0; i < WEIR_Q4_K_LEN; i++) {
        uint8_t scale;
        uint8_t minimum;
        weir_k_scale(block->scales, i / 32, &scale, &minimum);
        const uint8_t byte = block->qs[i / 64 * 32 + i % 32];
        const int nibble = i % 64 < 32 ? byte & 15 : byte >> 4;
        x[i] = d * (float)scale * (float)nibble - dmin * (float)minimum;
    }
}

static void decode_q5_k(const struct weir_q5_k *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    const float dmin = weir_f16_to_f32(block->dmin);
    for (int i = 0; i < WEIR_Q5_K_LEN; i++) {
        uint8_t scale;
        uint8_t minimum;
        weir_k_scale(block->scales, i / 32, &scale, &minimum);
        const uint8_t byte = block->qs[i / 64 * 32 + i % 32];
        const int nibble = i % 64 < 32 ? byte & 15 : byte >> 4;
        const int bit = block->qh[i % 32] >> (i / 32) & 1;
        x[i] = d * (float)scale * (float)(nibble + 16 * bit) - dmin * (float)minimum;
    }
}

static void decode_q6_k(const struct weir_q6_k *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    for (int index = 0; index < WEIR_Q6_K_LEN; index++) {
        const int half = index / 128;
        const int i = index % 128;
        const int nibble = block->ql[half * 64 + i % 64] >> 4 * (i / 64) & 15;
        const int high = block->qh[half * 32 + i % 32] >> 2 * (i / 32) & 3;
        x[index] = d * (float)block->scales[index / 16] * (float)(nibble + 16 * high - 32);
    }
}

static void decode_iq4_xs(const struct weir_iq4_xs *block, float *x)
{
    const float d = weir_f16_to_f32(block->d);
    for (int s = 0; s < 8; s++)
        decode_codes(weir_iq4_nl_steps, d * (float)weir_iq4_xs_scale(block, s), block->qs + s * 16,
                     x + s * 32);
}

static void decode_f4_e2m1(uint8_t codes, float *x)
{
    x[0] = 0.5f * (float)weir_f4_e2m1_steps[codes & 15];
    x[1] = 0.5f * (float)weir_f4_e2m1_steps[codes >> 4];
}

static void decode_i4(uint8_t codes, float *x)
{
    x[0] = (float)((codes & 15) - WEIR_I4_ZERO);
    x[1] = (float)((codes >> 4) - WEIR_I4_ZERO);
}

static void decode_steps_256(enum weir_type type, const void *block, float *x)
{
    struct weir_steps steps;
    weir_quant_unpack_256(type, block, &steps);
    for (int i = 0; i < 256; i++)
        x[i] = steps.d * (float)(steps.scales[i / 16] * steps.steps[i]);
}

static void decode_steps_32(enum weir_type type, const void *block, float *x)
{
    struct weir_steps_32 steps;
    for (uint32_t part = 0; part < infos[type].block_len / 32; part++, x += 32) {
        weir_quant_unpack_32(type, block, (int)part, &steps);
        for (int i = 0; i < 32; i++)
            x[i] = steps.scales[i / 16] * (float)steps.steps[i];
    }
}

static void decode_block(enum weir_type type, const void *block, float *x)
{
    switch (type) {
    case WEIR_TYPE_Q8_0:
        decode_q8_0(block, x);
        return;
    case WEIR_TYPE_Q4_0:
        decode_q4_0(block, x);
        return;
    case WEIR_TYPE_Q4_1:
        decode_q4_1(block, x);
        return;
    case WEIR_TYPE_Q5_0:
        decode_q5_0(block, x);
        return;
    case WEIR_TYPE_Q5_1:
        decode_q5_1(block, x);
        return;
    case WEIR_TYPE_IQ4_NL:
        decode_iq4_nl(block, x);
        return;
    case WEIR_TYPE_MXFP4:
        decode_mxfp4(block, x);
        return;
    case WEIR_TYPE_Q2_K:
        decode_q2_k(block, x);
        return;
    case WEIR_TYPE_Q3_K:
        decode_q3_k(block, x);
        return;
    case WEIR_TYPE_Q4_K:
        decode_q4_k(block, x);
        return;
    case WEIR_TYPE_Q5_K:
        decode_q5_k(block, x);
        return;
    case WEIR_TYPE_Q6_K:
        decode_q6_k(block, x);
        return;
    case WEIR_TYPE_IQ4_XS:
        decode_iq4_xs(block, x);
        return;
    case WEIR_TYPE_F8_E4M3:
        *x = weir_f8_e4m3_to_f32(*(const uint8_t *)block);
        return;
    case WEIR_TYPE_F4_E2M1:
        decode_f4_e2m1(*(const uint8_t *)block, x);
        return;
    case WEIR_TYPE_I4:
        decode_i4(*(const uint8_t *)block, x);
        return;
    default:
        if (infos[type].block_len == 256)
            decode_steps_256(type, block, x);
        else
            decode_steps_32(type, block, x);
    }
}

/* Rows of floats, in loops that compilers turn into vectors: most of what is converted is such. */
static bool decode_floats(enum weir_type type, const void *src, float *dst, size_t cols)
{
    const uint8_t *from = src;
    uint16_t bits;
    switch (type) {
    case WEIR_TYPE_F32:
        memcpy(dst, src, cols * sizeof(*dst));
        return true;
    case WEIR_TYPE_BF16:
        for (size_t col = 0; col < cols; col++) {
            memcpy(&bits, from + 2 * col, sizeof(bits));
            const uint32_t wide = (uint32_t)bits << 16;
            memcpy(&dst[col], &wide, sizeof(wide));
        }
        return true;
    case WEIR_TYPE_F16:
        for (size_t col = 0; col < cols; col++) {
            memcpy(&bits, from + 2 * col, sizeof(bits));
            dst[col] = weir_f16_to_f32(bits);
        }
        return true;
    default:
        return false;
    }
}

void weir_quant_decode_row(enum weir_type type, const void *src, float *dst, size_t cols)
{
    const struct weir_type_info *info = weir_quant_info(type);
    const size_t row_bytes = weir_quant_row_bytes(type, cols);
    if (decode_floats(type, src, dst, cols))
        return;
    /* Rows lie at any alignment in a file: each block is copied to where its fields are aligned. */
    union {
        uint8_t bytes[256];
        uint32_t align;
    } block;
    for (size_t at = 0; at < row_bytes; at += info->block_bytes) {
        memcpy(block.bytes, (const uint8_t *)src + at, info->block_bytes);
        decode_block(type, block.bytes, dst);
        dst += info->block_len;
    }
}

size_t weir_scale_bytes(enum weir_scale_type type)
{
    static const uint8_t bytes[WEIR_SCALE_COUNT] = {4, 2, 2, 1, 1};
    return bytes[type];
}

float weir_scale_decode(enum weir_scale_type type, const void *scales, size_t index)
{
    const uint8_t *at = (const uint8_t *)scales + index * weir_scale_bytes(type);
    uint16_t half;
    float value;
    switch (type) {
    case WEIR_SCALE_F32:
        memcpy(&value, at, sizeof(value));
        return value;
    case WEIR_SCALE_F16:
        memcpy(&half, at, sizeof(half));
        return weir_f16_to_f32(half);
    case WEIR_SCALE_BF16:
        memcpy(&half, at, sizeof(half));
        return weir_bf16_to_f32(half);
    case WEIR_SCALE_F8_E4M3:
        return weir_f8_e4m3_to_f32(*at);
    default:
        return 2.0f * weir_mxfp4_scale(*at);
    }
}
