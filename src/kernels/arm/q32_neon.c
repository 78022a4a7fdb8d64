/* q32_neon.c - blocks of 32 values on 128-bit registers with dot product: four rows are the lanes.
 *
 * I1  One output is summed block by block from the left: sum = fma(float(integer dot),
 *     weight scale * activation scale, sum), whatever the number of rows and tokens. */
#include "kernels/arm/rows4_neon.h"
#include "quant/q4_0.h"
#include "quant/q8_0.h"

enum { PANEL_BLOCKS = 16 };

/* One block of 4 rows. */
struct block {
    int8x16_t steps[8];
    float32x4_t scale;
};

typedef const struct weir_act_q8_32 *act_blocks;
typedef struct block panel_block;
enum { BLOCK_VALUES = 32 };

WEIR_INLINE size_t block_bytes(const enum weir_type type)
{
    return type == WEIR_TYPE_Q8_0 ? sizeof(struct weir_q8_0) : sizeof(struct weir_q4_0);
}

/* Q4_0's steps are left 8 too large. */
WEIR_INLINE void load_block(const struct rows4 *rows, struct block *block,
                            const enum weir_type type)
{
    const size_t steps_at = block_bytes(type) - (type == WEIR_TYPE_Q8_0 ? 32 : 16);
    uint8x16_t words[8];
    block->scale = rows4_halves(rows, 0);
    rows4_words(rows, steps_at, words);
    if (type == WEIR_TYPE_Q8_0)
        rows4_words(rows, steps_at + 16, words + 4);
    for (int i = 0; i < 4; i++)
        if (type == WEIR_TYPE_Q8_0) {
            block->steps[i] = vreinterpretq_s8_u8(words[i]);
            block->steps[i + 4] = vreinterpretq_s8_u8(words[i + 4]);
        } else {
            block->steps[i] = vreinterpretq_s8_u8(vandq_u8(words[i], vdupq_n_u8(15)));
            block->steps[i + 4] = vreinterpretq_s8_u8(vshrq_n_u8(words[i], 4));
        }
}

/* sums[t] += one block times token t's, t in [0, n). */
WEIR_INLINE void add_block(const struct block *block, const act_blocks *x, size_t at,
                           float32x4_t *sums, const int n, const enum weir_type type)
{
    int32x4_t dots[WEIR_TOKEN_TILE];
    /* The offset is for steps that are 128 too large. */
    for (int t = 0; t < n; t++)
        dots[t] = vdupq_n_s32(type == WEIR_TYPE_Q4_0 ? x[t][at].offset / 16 : 0);
    for (int half = 0; half < 2; half++)
        for (int t = 0; t < n; t++)
            dots[t] = dot_16(dots[t], block->steps + 4 * half, vld1q_s8(x[t][at].q + 16 * half));
    for (int t = 0; t < n; t++)
        sums[t] =
            vfmaq_f32(sums[t], vcvtq_f32_s32(dots[t]), vmulq_n_f32(block->scale, x[t][at].scale));
}

/* A panel against n tokens of which x is the first. */
WEIR_INLINE void add_panel(const struct block *panel, size_t count, const uint8_t *x,
                           size_t x_row_bytes, float32x4_t *sums, const int n,
                           const enum weir_type type)
{
    act_blocks rows[WEIR_TOKEN_TILE];
    float32x4_t sum[WEIR_TOKEN_TILE];
    for (int t = 0; t < n; t++) {
        rows[t] = (act_blocks)(const void *)(x + (size_t)t * x_row_bytes);
        sum[t] = sums[t];
    }
    for (size_t at = 0; at < count; at++)
        add_block(&panel[at], rows, at, sum, n, type);
    for (int t = 0; t < n; t++)
        sums[t] = sum[t];
}

WEIR_INLINE void load_panel(const struct rows4 *rows, struct block *block,
                            const enum weir_type type)
{
    load_block(rows, block, type);
}

#include "kernels/arm/panels4_neon.h"

/* One token: blocks go from memory through registers into the sum. */
WEIR_INLINE void run_one(const struct weir_matmul *job, struct rows4 rows, float *y,
                         const enum weir_type type)
{
    const act_blocks x = job->x;
    float32x4_t sum = vdupq_n_f32(0.0f);
    for (size_t at = 0; at < job->cols / 32; at++) {
        struct block block;
        load_block(&rows, &block, type);
        add_block(&block, &x, at, &sum, 1, type);
        rows4_advance(&rows, block_bytes(type));
    }
    rows4_store(&rows, y, sum);
}

WEIR_ROWS4_MATMUL(q8_0, WEIR_TYPE_Q8_0)
WEIR_ROWS4_MATMUL(q4_0, WEIR_TYPE_Q4_0)

void weir_q32_init_neon(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_Q8_0] = matmul_q8_0;
    kernels->matmul[WEIR_TYPE_Q4_0] = matmul_q4_0;
}
