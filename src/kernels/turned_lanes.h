/* turned_lanes.h - y = W x of floats that lie column by column, on registers of LANES floats.
 *
 * A level includes this after the names of its registers (floats_*.h), load_values(), load_pairs()
 * and how many registers of rows go side by side: TOKEN_ROWS for one token, PROMPT_ROWS for
 * PROMPT_TOKENS of them. A block of columns is read once for all tokens. An output is the sum of
 * its blocks' sums, each in the order of columns, however rows and tokens are divided.
 */
#ifndef WEIR_KERNELS_TURNED_LANES_H
#define WEIR_KERNELS_TURNED_LANES_H

#include <string.h>

#include "kernels/kernels_internal.h"

/* Their pieces of columns and of x stay in the caches, and their pages in the TLB. */
enum { TURNED_COLS = 128 };

WEIR_INLINE size_t value_bytes(const enum weir_type type)
{
    return type == WEIR_TYPE_F32 ? sizeof(float) : sizeof(uint16_t);
}

/* Values of `count` rows, which another matrix's lie between. A register of pairs reaches over the
 * last value, so at the end of the matrix they are gathered. */
WEIR_INLINE lanes load_apart(const uint8_t *w, size_t row_bytes, size_t count, bool is_last,
                             const enum weir_type type)
{
    uint8_t values[LANES * sizeof(float)];
    if (type == WEIR_TYPE_BF16 && row_bytes == 2 * sizeof(uint16_t) && count == LANES && !is_last)
        return load_pairs(w);
    for (size_t row = 0; row < count; row++)
        memcpy(values + row * value_bytes(type), w + row * row_bytes, value_bytes(type));
    return load_values(values, count, type);
}

/* Columns [first, end) of `rows` registers of rows and of n_token tokens, added to y, or beginning
 * it. The last register has `left` rows. */
WEIR_INLINE void add_columns(const struct weir_matmul *job, size_t first, size_t end, size_t row,
                             size_t left, size_t token, const int rows, const int n_token,
                             const bool is_apart, const enum weir_type type)
{
    lanes sums[PROMPT_TOKENS][TOKEN_ROWS];
    const size_t register_bytes = LANES * job->w_row_bytes;
    const uint8_t *w = (const uint8_t *)job->w + row * job->w_row_bytes;
    const uint8_t *x = (const uint8_t *)job->x + token * job->x_row_bytes;
    for (int t = 0; t < n_token; t++)
        for (int r = 0; r < rows; r++)
            sums[t][r] = spread(0.0f);
    for (size_t col = first; col < end; col++) {
        const uint8_t *column = w + col * job->w_col_bytes;
        lanes weights[TOKEN_ROWS];
        for (int r = 0; r < rows; r++) {
            const size_t count = r < rows - 1 ? LANES : left;
            const uint8_t *at = column + (size_t)r * register_bytes;
            weights[r] = is_apart
                             ? load_apart(at, job->w_row_bytes, count, col + 1 == job->cols, type)
                             : load_values(at, count, type);
        }
        /* The next rows of this column: columns are more streams than the CPU follows by itself. */
        __builtin_prefetch(column + (size_t)rows * register_bytes);
        for (int t = 0; t < n_token; t++) {
            float value;
            memcpy(&value, x + (size_t)t * job->x_row_bytes + col * sizeof(value), sizeof(value));
            for (int r = 0; r < rows; r++)
                sums[t][r] = multiply_add(weights[r], spread(value), sums[t][r]);
        }
    }
    for (int t = 0; t < n_token; t++)
        for (int r = 0; r < rows; r++) {
            const size_t count = r < rows - 1 ? LANES : left;
            float *y = job->y + (token + (size_t)t) * job->y_stride + row + (size_t)r * LANES;
            const lanes before = first == 0 ? spread(0.0f) : load_floats(y, count);
            store_floats(y, add(before, sums[t][r]), count);
        }
}

/* A block of columns of all rows and tokens. */
WEIR_INLINE void run_block(const struct weir_matmul *job, size_t first, size_t end,
                           const bool is_apart, const enum weir_type type)
{
    const bool is_one = job->n_token == 1;
    const size_t step = (size_t)(is_one ? TOKEN_ROWS : PROMPT_ROWS) * LANES;
    size_t row = job->row_begin;
    for (; row + step <= job->row_end; row += step) {
        size_t token = 0;
        if (is_one) {
            add_columns(job, first, end, row, LANES, 0, TOKEN_ROWS, 1, is_apart, type);
            continue;
        }
        for (; token + PROMPT_TOKENS <= job->n_token; token += PROMPT_TOKENS)
            add_columns(job, first, end, row, LANES, token, PROMPT_ROWS, PROMPT_TOKENS, is_apart,
                        type);
        for (; token < job->n_token; token++)
            add_columns(job, first, end, row, LANES, token, PROMPT_ROWS, 1, is_apart, type);
    }
    for (; row < job->row_end; row += LANES) {
        const size_t left = job->row_end - row < LANES ? job->row_end - row : LANES;
        for (size_t token = 0; token < job->n_token; token++)
            add_columns(job, first, end, row, left, token, 1, 1, is_apart, type);
    }
}

WEIR_INLINE void run_turned(const struct weir_matmul *job, const enum weir_type type)
{
    for (size_t first = 0; first < job->cols; first += TURNED_COLS) {
        const size_t left = job->cols - first;
        const size_t end = first + (left < TURNED_COLS ? left : TURNED_COLS);
        if (job->w_row_bytes == value_bytes(type))
            run_block(job, first, end, false, type);
        else
            run_block(job, first, end, true, type);
    }
}

#define TURNED(name, type)                                                                         \
    static void turned_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        run_turned(job, type);                                                                     \
    }
TURNED(f32, WEIR_TYPE_F32)
TURNED(f16, WEIR_TYPE_F16)
TURNED(bf16, WEIR_TYPE_BF16)
#undef TURNED

#endif
