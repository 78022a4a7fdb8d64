/* encode.c - rows in pieces, each to the encoder of its blocks. */
#include "encode/encode.h"

#include <pthread.h>
#include <string.h>

#include "base/base.h"
#include "encode/blocks.h"
#include "kernels/kernels.h"

static struct weir_fit best_fit;
static pthread_once_t best_fit_made = PTHREAD_ONCE_INIT;

static void choose_fit(void)
{
    weir_fit_init_ref(&best_fit);
#if defined(__x86_64__)
    if ((weir_cpu_flags() & WEIR_CPU_AVX2) != 0)
        weir_fit_init_avx2(&best_fit);
#endif
}

const struct weir_fit *weir_encode_fit(void)
{
    pthread_once(&best_fit_made, choose_fit);
    return &best_fit;
}

bool weir_encode_can(enum weir_type type)
{
    return type < WEIR_TYPE_BLOCK_COUNT;
}

bool weir_encode_wants_weights(enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_IQ1_S:
    case WEIR_TYPE_IQ1_M:
    case WEIR_TYPE_IQ2_XXS:
    case WEIR_TYPE_IQ2_XS:
    case WEIR_TYPE_IQ2_S:
        return true;
    default:
        return false;
    }
}

void weir_encode_temper(float *weights, size_t cols)
{
    double sum = 0.0;
    for (size_t col = 0; col < cols; col++)
        sum += (double)weights[col];
    for (size_t col = 0; col < cols; col++) /* halved, so that none is too large */
        weights[col] = (float)(((double)weights[col] + sum / (double)cols) / 2.0);
}

static void encode_floats(enum weir_type type, const float *src, uint8_t *dst, size_t cols)
{
    if (type == WEIR_TYPE_F32) {
        memcpy(dst, src, cols * sizeof(*src));
        return;
    }
    for (size_t col = 0; col < cols; col++) {
        const uint16_t bits =
            type == WEIR_TYPE_F16 ? weir_f32_to_f16(src[col]) : weir_f32_to_bf16(src[col]);
        memcpy(dst + col * sizeof(bits), &bits, sizeof(bits));
    }
}

static void encode_piece(const struct weir_fit *fit, const struct weir_piece *piece)
{
    switch (piece->type) {
    case WEIR_TYPE_Q2_K:
    case WEIR_TYPE_Q3_K:
    case WEIR_TYPE_Q4_K:
    case WEIR_TYPE_Q5_K:
    case WEIR_TYPE_Q6_K:
    case WEIR_TYPE_IQ4_XS:
        weir_encode_super(fit, piece);
        return;
    case WEIR_TYPE_IQ1_S:
    case WEIR_TYPE_IQ1_M:
    case WEIR_TYPE_IQ2_XXS:
    case WEIR_TYPE_IQ2_XS:
    case WEIR_TYPE_IQ2_S:
    case WEIR_TYPE_IQ3_XXS:
    case WEIR_TYPE_IQ3_S:
        weir_encode_grid(fit, piece);
        return;
    case WEIR_TYPE_TQ1_0:
    case WEIR_TYPE_TQ2_0:
    case WEIR_TYPE_Q1_0:
        weir_encode_ternary(piece);
        return;
    default:
        weir_encode_simple(fit, piece);
    }
}

void weir_encode_row_at(const struct weir_fit *fit, enum weir_type type, const float *src,
                        const float *weights, void *dst, size_t cols)
{
    const struct weir_type_info *info = weir_quant_info(type);
    WEIR_ASSERT(weir_encode_can(type));
    if (info->block_len == 1) {
        encode_floats(type, src, dst, cols);
        return;
    }
    WEIR_ASSERT(cols % info->block_len == 0);
    for (size_t col = 0; col < cols; col++)
        WEIR_DASSERT(isfinite(src[col]));
    for (size_t col = 0; col < cols; col += WEIR_PIECE_VALUES) {
        const struct weir_piece piece = {
            .type = type,
            .count = (int)weir_min(cols - col, WEIR_PIECE_VALUES),
            .x = src + col,
            .importance = weights == NULL ? NULL : weights + col,
            .blocks = (uint8_t *)dst + col / info->block_len * info->block_bytes,
        };
        encode_piece(fit, &piece);
    }
}

void weir_encode_row(enum weir_type type, const float *src, const float *weights, void *dst,
                     size_t cols)
{
    weir_encode_row_at(weir_encode_fit(), type, src, weights, dst, cols);
}
