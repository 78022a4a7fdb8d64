/* kv_rows.c - keys and values to the rows and tiles that they are kept as. */
#include "kernels/kv.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/base.h"
#include "quant/q4_0.h"
#include "quant/q8_0.h"
#include "quant/quant.h"

#define F16_MAX 65504.0f

/* Steps reach as far as the most of them times the largest scale. */
static const struct weir_kv_info infos[WEIR_KV_COUNT] = {
    [WEIR_KV_F16] = {"f16", 1, 2, 0, false, F16_MAX},
    [WEIR_KV_F32] = {"f32", 1, 4, 0, false, FLT_MAX},
    [WEIR_KV_BF16] = {"bf16", 1, 2, 0, false, FLT_MAX},
    [WEIR_KV_Q8_0] = {"q8_0", 32, 34, 0, true, 127.0f * F16_MAX},
    [WEIR_KV_Q4_0] = {"q4_0", 32, 18, 0, true, 8.0f * F16_MAX},
    [WEIR_KV_KIVI4] = {"kivi4", 32, 20, 4, true, F16_MAX},
    [WEIR_KV_KIVI2] = {"kivi2", 32, 12, 2, true, F16_MAX},
};

const struct weir_kv_info *weir_kv_info(enum weir_kv kv)
{
    return &infos[kv];
}

bool weir_kv_from_name(const char *name, enum weir_kv *kv)
{
    for (int at = 0; at < WEIR_KV_COUNT; at++)
        if (strcmp(infos[at].name, name) == 0) {
            *kv = (enum weir_kv)at;
            return true;
        }
    return false;
}

const char *weir_kv_names(void)
{
    return "f16, f32, bf16, q8_0, q4_0, kivi4, kivi2";
}

/* ---- rows ---------------------------------------------------------------------------------- */

/* The value of the largest magnitude, with its sign; not a number where one is not finite. */
static float extreme_of(const float *x, size_t count)
{
    float extreme = 0.0f;
    float nothing = 0.0f; /* the sum of values times 0, which is 0 where they are finite */
    for (size_t i = 0; i < count; i++) {
        extreme = fabsf(x[i]) > fabsf(extreme) ? x[i] : extreme;
        nothing += 0.0f * x[i];
    }
    return extreme + nothing;
}

/* To the nearest whole number, even where two are: of magnitudes below 2^22. Not rintf(), which is
 * a call where the compiler may count on no more than SSE2. */
static float nearest(float x)
{
    const float big = 12582912.0f; /* 1.5 * 2^23: floats of this size are whole numbers */
    return (x + big) - big;
}

static float within(float x, float least, float most)
{
    x = x > least ? x : least;
    return x < most ? x : most;
}

static void store_q8_0(const float *src, struct weir_q8_0 *block)
{
    const float most = fabsf(extreme_of(src, WEIR_Q8_0_LEN));
    block->d = weir_f32_to_f16(most / 127.0f);
    const float d = weir_f16_to_f32(block->d);
    const float inverse = d > 0.0f && d <= F16_MAX ? 1.0f / d : 0.0f;
    for (size_t i = 0; i < WEIR_Q8_0_LEN; i++)
        block->qs[i] = (int8_t)nearest(within(src[i] * inverse, -127.0f, 127.0f));
}

/* The step of -8 is the extreme value. */
static void store_q4_0(const float *src, struct weir_q4_0 *block)
{
    const float extreme = extreme_of(src, WEIR_Q4_0_LEN);
    block->d = weir_f32_to_f16(extreme / -8.0f);
    const float d = weir_f16_to_f32(block->d);
    const float inverse = d != 0.0f && fabsf(d) <= F16_MAX ? 1.0f / d : 0.0f;
    uint8_t steps[WEIR_Q4_0_LEN];
    for (size_t i = 0; i < WEIR_Q4_0_LEN; i++)
        steps[i] = (uint8_t)(nearest(within(src[i] * inverse, -8.0f, 7.0f)) + 8.0f);
    for (size_t i = 0; i < WEIR_Q4_0_LEN / 2; i++)
        block->qs[i] = (uint8_t)(steps[i] | steps[i + WEIR_Q4_0_LEN / 2] << 4);
}

void weir_kv_store_row(enum weir_kv kv, const float *src, void *dst, size_t count)
{
    uint16_t *halves = dst;
    WEIR_ASSERT(count % infos[kv].block_len == 0);
    switch (weir_kv_rows(kv)) {
    case WEIR_KV_F32:
        memcpy(dst, src, count * sizeof(*src));
        break;
    case WEIR_KV_BF16:
        for (size_t i = 0; i < count; i++)
            halves[i] = weir_f32_to_bf16(src[i]);
        break;
    case WEIR_KV_Q8_0:
        for (size_t i = 0; i < count / WEIR_Q8_0_LEN; i++)
            store_q8_0(src + i * WEIR_Q8_0_LEN, (struct weir_q8_0 *)dst + i);
        break;
    case WEIR_KV_Q4_0:
        for (size_t i = 0; i < count / WEIR_Q4_0_LEN; i++)
            store_q4_0(src + i * WEIR_Q4_0_LEN, (struct weir_q4_0 *)dst + i);
        break;
    default:
        for (size_t i = 0; i < count; i++)
            halves[i] = weir_f32_to_f16(src[i]);
    }
}

void weir_kv_load_row(enum weir_kv kv, const void *row, float *dst, size_t count)
{
    static const enum weir_type types[WEIR_KV_COUNT] = {
        [WEIR_KV_F16] = WEIR_TYPE_F16,   [WEIR_KV_F32] = WEIR_TYPE_F32,
        [WEIR_KV_BF16] = WEIR_TYPE_BF16, [WEIR_KV_Q8_0] = WEIR_TYPE_Q8_0,
        [WEIR_KV_Q4_0] = WEIR_TYPE_Q4_0, [WEIR_KV_KIVI4] = WEIR_TYPE_F16,
        [WEIR_KV_KIVI2] = WEIR_TYPE_F16,
    };
    weir_quant_decode_row(types[kv], row, dst, count);
}

/* ---- tiles --------------------------------------------------------------------------------- */

enum { PIECE = 32 }; /* channels that are decoded together */

/* f16 to f32, EXACT but for what is not finite, whose magnitude becomes HALF_END or more. */
#define HALF_END 65536.0f
static float widen(uint16_t half)
{
    union {
        uint32_t bits;
        float value;
    } at = {.bits = (half & 0x7fffu) << 13};
    at.value *= 0x1p112f;
    return (half & 0x8000u) != 0 ? -at.value : at.value;
}

/* Channels [first, first + PIECE) of the rows: x[position][channel]. */
static void load_piece(const void *rows, size_t stride_bytes, size_t first, float *x)
{
    for (size_t position = 0; position < WEIR_TILE; position++) {
        const uint16_t *row =
            (const uint16_t *)(const void *)((const uint8_t *)rows + position * stride_bytes);
        for (size_t i = 0; i < PIECE; i++)
            x[position * PIECE + i] = widen(row[first + i]);
    }
}

/* A tile that is being packed. */
struct packing {
    uint32_t bits;
    size_t n; /* indices */
    uint32_t *words;
    uint16_t *scales, *zeros;
};

static struct packing begin_packing(enum weir_kv kv, void *tile, size_t n)
{
    const uint32_t bits = infos[kv].bits;
    const size_t code_bytes = n * WEIR_TILE * bits / 8;
    uint16_t *scales = (uint16_t *)(void *)((uint8_t *)tile + code_bytes);
    memset(tile, 0, code_bytes);
    return (struct packing){
        .bits = bits, .n = n, .words = tile, .scales = scales, .zeros = scales + n};
}

/* Scale and zero of an index: s = (max - min) / (2^bits - 1), z = min (arXiv:2402.02750, section
 * 3.1), and codes by the numbers that are kept. Not a number where a value is not finite. */
static void pack_index(const struct packing *packing, size_t index, const float *x)
{
    const float last = (float)((1u << packing->bits) - 1);
    float least = x[0];
    float most = x[0];
    for (size_t lane = 0; lane < WEIR_TILE; lane++) {
        least = x[lane] < least ? x[lane] : least;
        most = x[lane] > most ? x[lane] : most;
    }
    const bool is_finite = least > -HALF_END && most < HALF_END;
    const float scale = is_finite ? (most - least) / last : NAN;
    packing->scales[index] = weir_f32_to_f16(scale);
    packing->zeros[index] = weir_f32_to_f16(is_finite ? least : NAN);
    const float step = weir_f16_to_f32(packing->scales[index]);
    const float inverse = step > 0.0f ? 1.0f / step : 0.0f;
    const uint32_t each = 32 / packing->bits;
    uint32_t *words = packing->words + index / each * WEIR_TILE;
    for (size_t lane = 0; lane < WEIR_TILE; lane++)
        words[lane] |= (uint32_t)(int32_t)(within((x[lane] - least) * inverse, 0.0f, last) + 0.5f)
                       << index % each * packing->bits;
}

void weir_kv_pack_keys(enum weir_kv kv, const void *rows, size_t stride_bytes, size_t width,
                       void *tile)
{
    const struct packing packing = begin_packing(kv, tile, width);
    float x[WEIR_TILE * PIECE];
    float channel[WEIR_TILE];
    for (size_t first = 0; first < width; first += PIECE) {
        load_piece(rows, stride_bytes, first, x);
        for (size_t i = 0; i < PIECE; i++) {
            for (size_t position = 0; position < WEIR_TILE; position++)
                channel[position] = x[position * PIECE + i];
            pack_index(&packing, first + i, channel);
        }
    }
}

void weir_kv_pack_values(enum weir_kv kv, const void *rows, size_t stride_bytes, size_t width,
                         void *tiles)
{
    const size_t tile_bytes = WEIR_TILE * weir_kv_row_bytes(kv, WEIR_TILE);
    float x[WEIR_TILE * PIECE];
    for (size_t first = 0; first < width; first += PIECE) {
        const struct packing packing =
            begin_packing(kv, (uint8_t *)tiles + first / PIECE * tile_bytes, WEIR_TILE);
        load_piece(rows, stride_bytes, first, x);
        for (size_t position = 0; position < WEIR_TILE; position++)
            pack_index(&packing, position, x + position * PIECE);
    }
}

float weir_tile_value(enum weir_kv kv, const void *tile, size_t n, size_t lane, size_t index)
{
    const uint32_t bits = infos[kv].bits;
    const uint32_t each = 32 / bits;
    const uint32_t *words = tile;
    const uint16_t *scales =
        (const uint16_t *)(const void *)((const uint8_t *)tile + n * WEIR_TILE * bits / 8);
    const uint32_t code =
        words[index / each * WEIR_TILE + lane] >> index % each * bits & ((1u << bits) - 1);
    return weir_f16_to_f32(scales[index]) * (float)code + weir_f16_to_f32(scales[n + index]);
}
