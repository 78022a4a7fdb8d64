/* codes_rows.h - rows of codes whose scales are another tensor's, for registers of any length.
 *
 * Weights are codes times their group's scale before any token meets them, so that a group of 16
 * columns costs a token no more than a long one. Several rows or tokens at once are what the
 * multiply-adds wait for. Whoever includes it names the floats of a register (floats_avx2.h), and
 * says factor_of(scale, zero, type), load_f8(codes, count), a 256th of them, load_weights(w, i,
 * count, factor, type), sum_of(lanes) and how many rows and tokens go together.
 *
 * I1  One output is summed in LANES lanes, so many columns after the others from the left, a
 *     group's last ones perhaps fewer: lanes = fma(code * scale, x, lanes), whatever the number of
 *     rows and tokens. */
#ifndef WEIR_KERNELS_CODES_ROWS_H
#define WEIR_KERNELS_CODES_ROWS_H

#include "kernels/scales.h"
#include "kernels/x86/tile.h"

/* Groups whose scales are read together, while no sums wait in registers. */
enum { SCALES = 64 };

/* One row of codes. */
struct codes {
    const uint8_t *w;
    struct weir_scale_row scales;
};

/* The scales of up to SCALES groups from `first` on, those that are there. */
WEIR_INLINE void load_scales(const struct weir_scale_row *row, size_t first, size_t cols,
                             float *scales)
{
    const size_t all = row->data == NULL ? 1 : (cols + row->group_cols - 1) / row->group_cols;
    const size_t count = all - first < SCALES ? all - first : SCALES;
    if (row->data != NULL && row->type == WEIR_SCALE_F8_E4M3)
        for (size_t at = 0; at < count; at += LANES)
            store_floats(scales + at,
                         multiply(load_f8(row->data + first + at, count - at), spread(256.0f)),
                         count - at);
    else
        for (size_t at = 0; at < count; at++)
            scales[at] = weir_scale_at(row, first + at);
}

/* Columns [i, i + count) of some rows times those of n tokens. */
WEIR_INLINE void add_step(const struct codes *rows, const struct factor *factors,
                          const int row_count, size_t i, size_t count, const uint8_t *const *x,
                          const int n, lanes sums[ROWS_ALONE][TOKENS], const enum weir_type type)
{
    lanes weights[ROWS_ALONE];
    for (int r = 0; r < row_count; r++)
        weights[r] = load_weights(rows[r].w, i, count, &factors[r], type);
    for (int t = 0; t < n; t++) {
        const lanes value = load_floats((const float *)(const void *)x[t] + i, count);
        for (int r = 0; r < row_count; r++)
            sums[r][t] = multiply_add(weights[r], value, sums[r][t]);
    }
}

/* row_count rows from `row` on, each `apart` after the one before, and n tokens from `token` on. */
WEIR_INLINE void dots(const struct weir_matmul *job, size_t row, const int row_count, size_t apart,
                      size_t token, const int n, const enum weir_type type)
{
    struct codes rows[ROWS_ALONE];
    const uint8_t *x[TOKENS];
    lanes sums[ROWS_ALONE][TOKENS];
    for (int t = 0; t < n; t++)
        x[t] = (const uint8_t *)job->x + (token + (size_t)t) * job->x_row_bytes;
    for (int r = 0; r < row_count; r++) {
        rows[r].w = (const uint8_t *)job->w + (row + (size_t)r * apart) * job->w_row_bytes;
        rows[r].scales = weir_scale_row_of(job->scales, row + (size_t)r * apart);
        for (int t = 0; t < n; t++)
            sums[r][t] = spread(0.0f);
    }
    for (size_t first = 0, i = 0; i < job->cols; first += SCALES) {
        float scales[ROWS_ALONE][SCALES];
        for (int r = 0; r < row_count; r++)
            load_scales(&rows[r].scales, first, job->cols, scales[r]);
        for (size_t at = 0; at < SCALES && i < job->cols; at++) {
            const size_t left = job->cols - i;
            const size_t group_cols = rows[0].scales.group_cols;
            const size_t end = left <= group_cols ? job->cols : i + group_cols;
            struct factor factors[ROWS_ALONE];
            for (int r = 0; r < row_count; r++)
                factors[r] = factor_of(
                    scales[r][at],
                    type == WEIR_TYPE_I4 ? weir_zero_at(&rows[r].scales, first + at) : 0, type);
            for (; i + LANES <= end; i += LANES)
                add_step(rows, factors, row_count, i, LANES, x, n, sums, type);
            if (i < end)
                add_step(rows, factors, row_count, i, end - i, x, n, sums, type);
            i = end;
        }
    }
    for (int r = 0; r < row_count; r++)
        for (int t = 0; t < n; t++)
            job->y[(token + (size_t)t) * job->y_stride + row + (size_t)r * apart] =
                sum_of(sums[r][t]);
}

/* The same of any number of tokens. */
WEIR_INLINE void run_tokens(const struct weir_matmul *job, size_t row, const int row_count,
                            size_t first, size_t count, const enum weir_type type)
{
    size_t token = first;
    for (; token + TOKENS <= first + count; token += TOKENS)
        dots(job, row, row_count, 1, token, TOKENS, type);
    for (; token < first + count; token++)
        dots(job, row, row_count, 1, token, 1, type);
}

/* One token: rows far apart, each a long stream (docs/decisions/0010-long-streams.md). */
WEIR_INLINE void run_one(const struct weir_matmul *job, const enum weir_type type)
{
    size_t row = job->row_begin;
    while (job->row_end - row >= ROWS_ALONE) {
        const size_t apart = lanes_apart(job->row_end - row, ROWS_ALONE, job->w_row_bytes);
        for (size_t first = row; first < row + apart; first++)
            dots(job, first, ROWS_ALONE, apart, 0, 1, type);
        row += apart * ROWS_ALONE;
    }
    for (; row < job->row_end; row++)
        dots(job, row, 1, 1, 0, 1, type);
}

WEIR_INLINE void run(const struct weir_matmul *job, const enum weir_type type)
{
    if (job->n_token == 1) {
        run_one(job, type);
        return;
    }
    for (size_t first = 0; first < job->n_token; first += WEIR_TOKEN_BLOCK) {
        const size_t left = job->n_token - first;
        const size_t count = left < WEIR_TOKEN_BLOCK ? left : WEIR_TOKEN_BLOCK;
        size_t row = job->row_begin;
        for (; row + ROWS <= job->row_end; row += ROWS)
            run_tokens(job, row, ROWS, first, count, type);
        for (; row < job->row_end; row++)
            run_tokens(job, row, 1, first, count, type);
    }
}

static void matmul_f8(const struct weir_matmul *job)
{
    run(job, WEIR_TYPE_F8_E4M3);
}

static void matmul_f4(const struct weir_matmul *job)
{
    run(job, WEIR_TYPE_F4_E2M1);
}

static void matmul_i4(const struct weir_matmul *job)
{
    run(job, WEIR_TYPE_I4);
}

WEIR_INLINE void init_codes(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_F8_E4M3] = matmul_f8;
    kernels->matmul[WEIR_TYPE_F4_E2M1] = matmul_f4;
    kernels->matmul[WEIR_TYPE_I4] = matmul_i4;
}

#endif
