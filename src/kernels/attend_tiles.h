/* attend_tiles.h - packed keys and values on registers of LANES floats: a part of attend_lanes.h.
 *
 * Keys and values are the same sum over a tile's indices, with one factor for each: a query's
 * channels, or the weights of positions.
 *
 *   sum[lane] = sum over i of factor[i] * (scale[i] * code(lane, i) + zero[i])
 *             = sum over i of (factor[i] * scale[i]) * code(lane, i)
 *               + sum over i of factor[i] * zero[i]
 *
 * The first of these is attend_whole.h's. */
#ifndef WEIR_KERNELS_ATTEND_TILES_H
#define WEIR_KERNELS_ATTEND_TILES_H

#include <string.h>

#include "kernels/attend_whole.h"

/* Scores of n jobs at the 32 positions of a tile. */
WEIR_INLINE void score_tile(const struct weir_attend_range *range,
                            const struct weir_attention *jobs, weir_attend_scores *scores,
                            const int n, const int bits)
{
    const size_t k_bytes = WEIR_TILE * weir_tile_row_bytes(bits, jobs->d_head);
    const size_t v_bytes = WEIR_TILE * weir_tile_row_bytes(bits, jobs->d_value);
    const size_t code_bytes = WEIR_TILE * (size_t)bits / 8; /* of an index */
    const uint8_t *at =
        (const uint8_t *)jobs->packed_k + weir_attend_tile(jobs, k_bytes, range->begin);
    const uint16_t *scales = (const uint16_t *)(const void *)(at + jobs->d_head * code_bytes);
    const uint8_t *ahead = jobs != range->jobs ? NULL
                                               : (const uint8_t *)jobs->packed_v +
                                                     weir_attend_tile(jobs, v_bytes, range->begin);
    lanes sums[JOBS_MAX][TILE_REGISTERS];
    lanes zeros[JOBS_MAX];
    for (int j = 0; j < n; j++) {
        zeros[j] = spread(0.0f);
        for (int r = 0; r < TILE_REGISTERS; r++)
            sums[j][r] = spread(0.0f);
    }
    for (size_t first = 0; first < jobs->d_head; first += PORTION * TILE_PIECE) {
        const struct pieces pieces = {
            .at = at + first * code_bytes,
            .scales = scales + first,
            .zeros = scales + jobs->d_head + first,
            .code_stride = TILE_PIECE * code_bytes,
            .half_stride = TILE_PIECE,
            .ahead = ahead == NULL ? NULL : ahead + first * weir_tile_row_bytes(bits, WEIR_TILE),
            .count = weir_min(PORTION, (jobs->d_head - first) / TILE_PIECE),
        };
        struct portion portions[JOBS_MAX];
        ask_pieces(&pieces, bits);
        for (int j = 0; j < n; j++)
            scale_factors(&pieces, jobs[j].q + first, TILE_PIECE, &portions[j], bits);
        for (size_t p = 0; p < pieces.count; p++) {
            lanes found[JOBS_MAX][TILE_REGISTERS];
            dot_piece(pieces.at + p * pieces.code_stride, portions, p, found, n, bits);
            for (int j = 0; j < n; j++) {
                zeros[j] = add(zeros[j], portions[j].zeros[p]);
                for (int r = 0; r < TILE_REGISTERS; r++)
                    sums[j][r] = multiply_add(found[j][r], spread(portions[j].step), sums[j][r]);
            }
        }
    }
    for (int j = 0; j < n; j++) {
        const lanes zero = spread(sum_of(zeros[j]));
        float *to = scores[j] + (range->begin - range->block);
        for (int r = 0; r < TILE_REGISTERS; r++)
            store_floats(to + r * LANES, multiply(add(sums[j][r], zero), spread(jobs[j].scale)),
                         LANES);
    }
}

/* Where the keys of the same place in the next block are, which are read after this one's values;
 * NULL: they are no tile. */
WEIR_INLINE const uint8_t *next_keys(const struct weir_attend_range *range, size_t k_bytes)
{
    const struct weir_attention *last = &range->jobs[range->n - 1];
    const size_t next = range->begin + WEIR_ATTEND_BLOCK;
    return next >= last->packed_end
               ? NULL
               : (const uint8_t *)last->packed_k + weir_attend_tile(last, k_bytes, next);
}

/* What a job's positions weigh: those before its first one nothing, and then they are in `own`. */
WEIR_INLINE const float *weights_of(const struct weir_attend_range *range, size_t first,
                                    const float *scores, float own[WEIR_TILE])
{
    const float *weights = scores + (range->begin - range->block);
    if (first <= range->begin)
        return weights;
    memset(own, 0, WEIR_TILE * sizeof(*own));
    for (size_t i = first - range->begin; i < WEIR_TILE; i++)
        own[i] = weights[i];
    return own;
}

/* The values of 32 positions to n outputs. */
WEIR_INLINE void sum_tile(const struct weir_attend_range *range, const struct weir_attention *jobs,
                          const weir_attend_scores *scores, const int n, const int bits)
{
    const size_t k_bytes = WEIR_TILE * weir_tile_row_bytes(bits, jobs->d_head);
    const size_t v_bytes = WEIR_TILE * weir_tile_row_bytes(bits, jobs->d_value);
    const size_t tile_bytes = WEIR_TILE * weir_tile_row_bytes(bits, WEIR_TILE);
    const uint8_t *at =
        (const uint8_t *)jobs->packed_v + weir_attend_tile(jobs, v_bytes, range->begin);
    const uint8_t *ahead = jobs == range->jobs ? next_keys(range, k_bytes) : NULL;
    float own[JOBS_MAX][WEIR_TILE];
    const float *weights[JOBS_MAX];
    for (int j = 0; j < n; j++)
        weights[j] = weights_of(range, jobs[j].first, scores[j], own[j]);
    for (size_t first = 0; first < jobs->d_value; first += PORTION * WEIR_TILE) {
        const size_t code_bytes = WEIR_TILE * WEIR_TILE * (size_t)bits / 8;
        const uint16_t *scales = (const uint16_t *)(const void *)(at + code_bytes);
        const struct pieces pieces = {
            .at = at,
            .scales = scales,
            .zeros = scales + WEIR_TILE,
            .code_stride = tile_bytes,
            .half_stride = tile_bytes / sizeof(*scales),
            .ahead = ahead,
            .count = weir_min(PORTION, (jobs->d_value - first) / WEIR_TILE),
        };
        struct portion portions[JOBS_MAX];
        ask_pieces(&pieces, bits);
        for (int j = 0; j < n; j++)
            scale_factors(&pieces, weights[j], 0, &portions[j], bits);
        for (size_t p = 0; p < pieces.count; p++, at += tile_bytes) {
            lanes found[JOBS_MAX][TILE_REGISTERS];
            dot_piece(at, portions, p, found, n, bits);
            for (int j = 0; j < n; j++) {
                const lanes zero = spread(sum_of(portions[j].zeros[p]));
                float *out = jobs[j].out + first + p * WEIR_TILE;
                for (int r = 0; r < TILE_REGISTERS; r++) {
                    const lanes before = add(load_floats(out + r * LANES, LANES), zero);
                    store_floats(out + r * LANES,
                                 multiply_add(found[j][r], spread(portions[j].step), before),
                                 LANES);
                }
            }
        }
        ahead = ahead == NULL ? NULL : ahead + PORTION * tile_bytes;
    }
}

WEIR_INLINE void fill_tile(const struct weir_attend_range *range, weir_attend_scores *scores,
                           const int bits)
{
    size_t j = 0;
    for (; TILE_JOBS > 1 && j + TILE_JOBS <= range->n; j += TILE_JOBS)
        score_tile(range, range->jobs + j, scores + j, TILE_JOBS, bits);
    for (; j < range->n; j++)
        score_tile(range, range->jobs + j, scores + j, 1, bits);
}

WEIR_INLINE void add_tile(const struct weir_attend_range *range, const weir_attend_scores *scores,
                          const int bits)
{
    size_t j = 0;
    for (; TILE_JOBS > 1 && j + TILE_JOBS <= range->n; j += TILE_JOBS)
        sum_tile(range, range->jobs + j, scores + j, TILE_JOBS, bits);
    for (; j < range->n; j++)
        sum_tile(range, range->jobs + j, scores + j, 1, bits);
}

static void fill_tile_4(const struct weir_attend_range *range, weir_attend_scores *scores)
{
    fill_tile(range, scores, 4);
}

static void add_tile_4(const struct weir_attend_range *range, const weir_attend_scores *scores)
{
    add_tile(range, scores, 4);
}

static void fill_tile_2(const struct weir_attend_range *range, weir_attend_scores *scores)
{
    fill_tile(range, scores, 2);
}

static void add_tile_2(const struct weir_attend_range *range, const weir_attend_scores *scores)
{
    add_tile(range, scores, 2);
}

#endif
