/* quant.h - what the bytes of each number format mean.
 *
 * Job       Layout and scalar decode of every supported weight format.
 * Not here  Arithmetic on encoded weights (kernels/), encoding (encode/).
 * Shapes    A row is cols values, stored as cols / block_len blocks of block_bytes each.
 *           cols is a multiple of block_len; F32, F16 and BF16 take any width.
 * Units     *_bytes in bytes, cols in values.
 * Owns      Nothing.
 * Threads   Any thread.
 * Errors    None: a type from outside goes through weir_quant_from_ggml(), which may say no.
 * Source    The ggml block formats as found in GGUF files; each quant/<format>.h draws its bytes.
 */
#ifndef WEIR_QUANT_H
#define WEIR_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum weir_type {
    WEIR_TYPE_F32,
    WEIR_TYPE_F16,
    WEIR_TYPE_BF16,
    WEIR_TYPE_Q8_0,
    WEIR_TYPE_Q4_0,
    WEIR_TYPE_Q4_1,
    WEIR_TYPE_Q5_0,
    WEIR_TYPE_Q5_1,
    WEIR_TYPE_IQ4_NL,
    WEIR_TYPE_MXFP4,
    WEIR_TYPE_Q2_K,
    WEIR_TYPE_Q3_K,
    WEIR_TYPE_Q4_K,
    WEIR_TYPE_Q5_K,
    WEIR_TYPE_Q6_K,
    WEIR_TYPE_IQ4_XS,
    WEIR_TYPE_IQ1_S,
    WEIR_TYPE_IQ1_M,
    WEIR_TYPE_IQ2_XXS,
    WEIR_TYPE_IQ2_XS,
    WEIR_TYPE_IQ2_S,
    WEIR_TYPE_IQ3_XXS,
    WEIR_TYPE_IQ3_S,
    WEIR_TYPE_TQ1_0,
    WEIR_TYPE_TQ2_0,
    WEIR_TYPE_NVFP4,
    WEIR_TYPE_Q1_0,
    WEIR_TYPE_Q2_0,
    /* A tensor of one of the formats above holds all of a weight. Those below are codes: their
     * scales are another tensor's (struct weir_scales), and no GGUF file has them. */
    WEIR_TYPE_BLOCK_COUNT,
    WEIR_TYPE_F8_E4M3 = WEIR_TYPE_BLOCK_COUNT,
    WEIR_TYPE_F4_E2M1,
    WEIR_TYPE_I4,
    WEIR_TYPE_COUNT
};

/* What the scales of codes are stored as. */
enum weir_scale_type {
    WEIR_SCALE_F32,
    WEIR_SCALE_F16,
    WEIR_SCALE_BF16,
    WEIR_SCALE_F8_E4M3,
    WEIR_SCALE_E8M0, /* a power of two: 2^(bits - 127); 255 is not a number */
    WEIR_SCALE_COUNT
};

#define WEIR_GGML_NONE UINT32_MAX

struct weir_type_info {
    const char *name;     /* "Q4_K" */
    uint32_t ggml_id;     /* the number GGUF files use; WEIR_GGML_NONE: they cannot have it */
    uint32_t block_len;   /* values in a block */
    uint32_t block_bytes; /* bytes of a block */
};

const struct weir_type_info *weir_quant_info(enum weir_type type);
/* False when the id is not one of the formats above. */
bool weir_quant_from_ggml(uint32_t ggml_id, enum weir_type *type);
/* The format called name ("q4_0", any case). False when there is none. */
bool weir_quant_from_name(const char *name, enum weir_type *type);
/* "Q8_K" for a ggml id, also for formats not built in; "type 99" style text is the caller's. NULL
 * when unknown. For error messages. */
const char *weir_quant_ggml_name(uint32_t ggml_id);

/* Bytes of a row; cols must be a multiple of block_len (asserts). */
size_t weir_quant_row_bytes(enum weir_type type, size_t cols);

/* src holds one row at any alignment; dst holds cols floats. */
void weir_quant_decode_row(enum weir_type type, const void *src, float *dst, size_t cols);
/* Scale number index of a row of them, at any alignment. */
float weir_scale_decode(enum weir_scale_type type, const void *scales, size_t index);
size_t weir_scale_bytes(enum weir_scale_type type);
float weir_f16_to_f32(uint16_t half);
uint16_t weir_f32_to_f16(float value); /* round to nearest even, overflow to infinity */
float weir_bf16_to_f32(uint16_t bits);
uint16_t weir_f32_to_bf16(float value); /* round to nearest even */

#endif
