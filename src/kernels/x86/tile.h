/* tile.h - how a matmul walks rows and tokens, shared by the x86 levels.
 *
 * A level gives `dots`: the dot products of one row with n tokens, n a constant 1 or 4, each
 * computed by the same sequence of operations whatever n is. So the walk below cannot change a
 * result. */
#ifndef WEIR_KERNELS_TILE_H
#define WEIR_KERNELS_TILE_H

#include <immintrin.h>

#include "kernels/kernels_internal.h"

/* Tokens whose activations stay in the second-level cache while all rows of a part pass. */
enum { WEIR_TOKEN_BLOCK = 32, WEIR_TOKEN_TILE = 4 };

/* Tokens that pass over a panel of unpacked weights: their sums stay in the caches. */
enum { WEIR_TOKENS_MAX = 128, WEIR_LINE_BYTES = 64 };

/* Define matmul_TYPE from dots_TYPE(w_row, x_rows, cols, out, n). */
#define WEIR_MATMUL(type)                                                                          \
    static void matmul_##type(const struct weir_matmul *job)                                       \
    {                                                                                              \
        for (size_t first = 0; first < job->n_token; first += WEIR_TOKEN_BLOCK) {                  \
            const size_t left = job->n_token - first;                                              \
            const size_t count = left < WEIR_TOKEN_BLOCK ? left : WEIR_TOKEN_BLOCK;                \
            for (size_t row = job->row_begin; row < job->row_end; row++) {                         \
                const uint8_t *w = (const uint8_t *)job->w + row * job->w_row_bytes;               \
                size_t token = first;                                                              \
                for (; token + WEIR_TOKEN_TILE <= first + count; token += WEIR_TOKEN_TILE) {       \
                    const uint8_t *x[WEIR_TOKEN_TILE];                                             \
                    float out[WEIR_TOKEN_TILE];                                                    \
                    for (int n = 0; n < WEIR_TOKEN_TILE; n++)                                      \
                        x[n] = (const uint8_t *)job->x + (token + (size_t)n) * job->x_row_bytes;   \
                    dots_##type(w, x, job->cols, out, WEIR_TOKEN_TILE);                            \
                    for (int n = 0; n < WEIR_TOKEN_TILE; n++)                                      \
                        job->y[(token + (size_t)n) * job->y_stride + row] = out[n];                \
                }                                                                                  \
                for (; token < first + count; token++) {                                           \
                    const uint8_t *x[1] = {(const uint8_t *)job->x + token * job->x_row_bytes};    \
                    dots_##type(w, x, job->cols, &job->y[token * job->y_stride + row], 1);         \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

/* Ask for bytes that are needed later. A tile asks for the next one's: its rows are more streams
 * than the CPU follows by itself. Nothing is read, so next may lie anywhere. */
WEIR_INLINE void prefetch_bytes(const uint8_t *next, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += WEIR_LINE_BYTES)
        _mm_prefetch((const char *)(const void *)(next + at), _MM_HINT_T1);
}

/* The same for what is needed soon, in the order of memory. */
WEIR_INLINE void prefetch_near(const uint8_t *next, size_t bytes)
{
    for (size_t at = 0; at < bytes; at += WEIR_LINE_BYTES)
        _mm_prefetch((const char *)(const void *)(next + at), _MM_HINT_T0);
}

/* Lanes that lie less than this apart, modulo a page, want the same sets of the L1 cache. */
enum { WEIR_PAGE_BYTES = 4096, WEIR_SETS_BYTES = 256 };

/* How many rows apart `count` lanes lie that share left rows: each goes from its first row to where
 * the next lane began. So a lane is one long stream in memory, which the CPU follows by itself, and
 * several of them are read faster than one. */
WEIR_INLINE size_t lanes_apart(size_t left, size_t count, size_t row_bytes)
{
    size_t apart = left / count;
    while (apart > 1 &&
           (apart * row_bytes + WEIR_SETS_BYTES) % WEIR_PAGE_BYTES < 2 * WEIR_SETS_BYTES)
        apart--;
    return apart > 1 ? apart : 1;
}

/* y[lane * apart] = values[lane], of `count` lanes. */
WEIR_INLINE void scatter_lanes(float *y, size_t apart, const float *values, size_t count)
{
    for (size_t lane = 0; lane < count; lane++)
        y[lane * apart] = values[lane];
}

/* Define prompt_NAME from the file's run_panels, for tiles of WEIR_ROWS rows that struct TILE says
 * the place of. It takes the type as a constant. */
#define WEIR_ROWS_PROMPT(tile, name, type)                                                         \
    static void prompt_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        for (size_t first = 0; first < job->n_token; first += WEIR_TOKENS_MAX) {                   \
            const size_t left = job->n_token - first;                                              \
            const size_t n_token = left < WEIR_TOKENS_MAX ? left : WEIR_TOKENS_MAX;                \
            for (size_t row = job->row_begin; row < job->row_end; row += WEIR_ROWS) {              \
                const uint8_t *w = (const uint8_t *)job->w + row * job->w_row_bytes;               \
                const bool is_last = job->row_end - row <= WEIR_ROWS;                              \
                const uint8_t *next = is_last ? w : w + WEIR_ROWS * job->w_row_bytes;              \
                run_panels(job, first, n_token,                                                    \
                           tile##_at(w, job->w_row_bytes, job->row_end - row), next,               \
                           job->y + first * job->y_stride + row, type);                            \
            }                                                                                      \
        }                                                                                          \
    }

/* Define streams_NAME, one token's rows, from the file's run_stream: the rows that struct LANES
 * says the place of go through their parts of the matrix side by side. */
#define WEIR_ROWS_STREAMS(lanes, name, type)                                                       \
    static void streams_##name(const struct weir_matmul *job)                                      \
    {                                                                                              \
        for (size_t row = job->row_begin; row < job->row_end;) {                                   \
            const size_t left = job->row_end - row;                                                \
            const size_t count = left < WEIR_LANES ? left : WEIR_LANES;                            \
            const size_t apart = lanes_apart(left, WEIR_LANES, job->w_row_bytes);                  \
            for (size_t first = row; first < row + apart; first++) {                               \
                const uint8_t *w = (const uint8_t *)job->w + first * job->w_row_bytes;             \
                run_stream(job, lanes##_at(w, apart * job->w_row_bytes, count), apart,             \
                           job->y + first, type);                                                  \
            }                                                                                      \
            row += apart * count;                                                                  \
        }                                                                                          \
    }

/* Define matmul_NAME from both. */
#define WEIR_ROWS_MATMUL(lanes, tile, name, type)                                                  \
    WEIR_ROWS_PROMPT(tile, name, type)                                                             \
    WEIR_ROWS_STREAMS(lanes, name, type)                                                           \
    static void matmul_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        if (job->n_token == 1)                                                                     \
            streams_##name(job);                                                                   \
        else                                                                                       \
            prompt_##name(job);                                                                    \
    }

#endif
