/* rows4_neon.h - four rows of weights as the four lanes of a register.
 *
 * A tile of 4 rows is transposed word by word when it is unpacked, so that vdotq's lanes are rows:
 * one activation register is then used from its own lanes, no sum crosses lanes, and the float
 * sums of a tile are one register for each token. */
#ifndef WEIR_KERNELS_ROWS4_NEON_H
#define WEIR_KERNELS_ROWS4_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "kernels/kernels_internal.h"

/* Tokens that pass over a panel of unpacked weights, whose sums stay in the caches, and tokens that
 * share the registers. */
enum { WEIR_ROWS = 4, WEIR_TOKENS_MAX = 128, WEIR_TOKEN_TILE = 4 };

/* Where a tile's rows are. Where there are fewer than 4, the last is computed more than once, so
 * that nothing past it is read. */
struct rows4 {
    const uint8_t *row[WEIR_ROWS];
    size_t count;
};

WEIR_INLINE struct rows4 rows4_at(const uint8_t *w, size_t row_bytes, size_t count)
{
    struct rows4 rows = {.count = count < WEIR_ROWS ? count : WEIR_ROWS};
    for (size_t j = 0; j < WEIR_ROWS; j++)
        rows.row[j] = w + (j < rows.count ? j : rows.count - 1) * row_bytes;
    return rows;
}

WEIR_INLINE void rows4_advance(struct rows4 *rows, size_t bytes)
{
    for (int j = 0; j < WEIR_ROWS; j++)
        rows->row[j] += bytes;
}

/* y[row] = lane, for the rows that are there; y belongs to the tile's first row. */
WEIR_INLINE void rows4_store(const struct rows4 *rows, float *y, float32x4_t lanes)
{
    if (rows->count == WEIR_ROWS) {
        vst1q_f32(y, lanes);
        return;
    }
    float values[WEIR_ROWS];
    vst1q_f32(values, lanes);
    for (size_t row = 0; row < rows->count; row++)
        y[row] = values[row];
}

/* words[i]: of each row, the four bytes at byte + 4 i. */
WEIR_INLINE void rows4_words(const struct rows4 *rows, size_t byte, uint8x16_t words[4])
{
    const uint32x4_t a = vreinterpretq_u32_u8(vld1q_u8(rows->row[0] + byte));
    const uint32x4_t b = vreinterpretq_u32_u8(vld1q_u8(rows->row[1] + byte));
    const uint32x4_t c = vreinterpretq_u32_u8(vld1q_u8(rows->row[2] + byte));
    const uint32x4_t d = vreinterpretq_u32_u8(vld1q_u8(rows->row[3] + byte));
    const uint64x2_t ab_even = vreinterpretq_u64_u32(vtrn1q_u32(a, b));
    const uint64x2_t ab_odd = vreinterpretq_u64_u32(vtrn2q_u32(a, b));
    const uint64x2_t cd_even = vreinterpretq_u64_u32(vtrn1q_u32(c, d));
    const uint64x2_t cd_odd = vreinterpretq_u64_u32(vtrn2q_u32(c, d));
    words[0] = vreinterpretq_u8_u64(vtrn1q_u64(ab_even, cd_even));
    words[1] = vreinterpretq_u8_u64(vtrn1q_u64(ab_odd, cd_odd));
    words[2] = vreinterpretq_u8_u64(vtrn2q_u64(ab_even, cd_even));
    words[3] = vreinterpretq_u8_u64(vtrn2q_u64(ab_odd, cd_odd));
}

WEIR_INLINE uint16_t rows4_u16(const struct rows4 *rows, int row, size_t byte)
{
    uint16_t bits;
    memcpy(&bits, rows->row[row] + byte, sizeof(bits));
    return bits;
}

/* The half-precision number at byte of each row. */
WEIR_INLINE float32x4_t rows4_halves(const struct rows4 *rows, size_t byte)
{
    uint16x4_t halves = vdup_n_u16(rows4_u16(rows, 0, byte));
    halves = vset_lane_u16(rows4_u16(rows, 1, byte), halves, 1);
    halves = vset_lane_u16(rows4_u16(rows, 2, byte), halves, 2);
    halves = vset_lane_u16(rows4_u16(rows, 3, byte), halves, 3);
    return vcvt_f32_f16(vreinterpret_f16_u16(halves));
}

/* sum + the 16 steps of each row times 16 activations: steps[i] holds the rows' steps 4 i to
 * 4 i + 3. */
WEIR_INLINE int32x4_t dot_16(int32x4_t sum, const int8x16_t steps[4], int8x16_t x)
{
    sum = vdotq_laneq_s32(sum, steps[0], x, 0);
    sum = vdotq_laneq_s32(sum, steps[1], x, 1);
    sum = vdotq_laneq_s32(sum, steps[2], x, 2);
    return vdotq_laneq_s32(sum, steps[3], x, 3);
}

/* Define matmul_NAME from the file's run_one and run_panels, which take the type as a constant. */
#define WEIR_ROWS4_MATMUL(name, type)                                                              \
    static void matmul_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        for (size_t first = 0; first < job->n_token; first += WEIR_TOKENS_MAX) {                   \
            const size_t left = job->n_token - first;                                              \
            const size_t n_token = left < WEIR_TOKENS_MAX ? left : WEIR_TOKENS_MAX;                \
            for (size_t row = job->row_begin; row < job->row_end; row += WEIR_ROWS) {              \
                const uint8_t *w = (const uint8_t *)job->w + row * job->w_row_bytes;               \
                const struct rows4 rows = rows4_at(w, job->w_row_bytes, job->row_end - row);       \
                float *y = job->y + first * job->y_stride + row;                                   \
                if (job->n_token == 1)                                                             \
                    run_one(job, rows, y, type);                                                   \
                else                                                                               \
                    run_panels(job, first, n_token, rows, y, type);                                \
            }                                                                                      \
        }                                                                                          \
    }

#endif
