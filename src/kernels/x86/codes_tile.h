/* codes_tile.h - how a matmul of codes walks rows and tokens, as tile.h's, with a row's scales. */
#ifndef WEIR_KERNELS_CODES_TILE_H
#define WEIR_KERNELS_CODES_TILE_H

#include "kernels/scales.h"
#include "kernels/x86/tile.h"

/* Define matmul_TYPE from dots_TYPE(w_row, scales, x_rows, cols, out, n). */
#define WEIR_CODES_MATMUL(type)                                                                    \
    static void matmul_##type(const struct weir_matmul *job)                                       \
    {                                                                                              \
        for (size_t first = 0; first < job->n_token; first += WEIR_TOKEN_BLOCK) {                  \
            const size_t left = job->n_token - first;                                              \
            const size_t count = left < WEIR_TOKEN_BLOCK ? left : WEIR_TOKEN_BLOCK;                \
            for (size_t row = job->row_begin; row < job->row_end; row++) {                         \
                const uint8_t *w = (const uint8_t *)job->w + row * job->w_row_bytes;               \
                const struct weir_scale_row scales = weir_scale_row_of(job->scales, row);          \
                size_t token = first;                                                              \
                for (; token + WEIR_TOKEN_TILE <= first + count; token += WEIR_TOKEN_TILE) {       \
                    const uint8_t *x[WEIR_TOKEN_TILE];                                             \
                    float out[WEIR_TOKEN_TILE];                                                    \
                    for (int n = 0; n < WEIR_TOKEN_TILE; n++)                                      \
                        x[n] = (const uint8_t *)job->x + (token + (size_t)n) * job->x_row_bytes;   \
                    dots_##type(w, &scales, x, job->cols, out, WEIR_TOKEN_TILE);                   \
                    for (int n = 0; n < WEIR_TOKEN_TILE; n++)                                      \
                        job->y[(token + (size_t)n) * job->y_stride + row] = out[n];                \
                }                                                                                  \
                for (; token < first + count; token++) {                                           \
                    const uint8_t *x[1] = {(const uint8_t *)job->x + token * job->x_row_bytes};    \
                    dots_##type(w, &scales, x, job->cols, &job->y[token * job->y_stride + row],    \
                                1);                                                                \
                }                                                                                  \
            }                                                                                      \
        }                                                                                          \
    }

#endif
