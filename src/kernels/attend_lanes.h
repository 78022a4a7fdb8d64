/* attend_lanes.h - a block's part of attention on registers of LANES floats.
 *
 * A level includes this after what it is made of: type lanes, LANES, ATTEND_ROWS (positions whose
 * scores are summed together), ATTEND_TILES (registers of sums of values), and
 *
 *   spread(x)  load_floats(at, count)  load_halves(at, count)  store_floats(at, x, count)
 *   load_bfloats(at, count)
 *   spread_half(at)  load_bytes(at) signed ones  load_nibbles(at) low ones  load_nibbles_high(at)
 *   multiply_add(a, b, c) = a * b + c  add(a, b)  subtract(a, b)  multiply(a, b)
 *   divide(a, b)
 *   maximum(a, b)  exp_of(x)
 *   keep_first(x, count)  sum_of(x)  largest_of(x)
 *   sums_of(x) what sum_of() gives of each of LANES registers, in a register
 *
 * where lanes past the first `count` read as 0 and are not stored; and what attend_tiles.h asks
 * for. It gives attend_init(), with softcap() of curves_lanes.h. */
#ifndef WEIR_KERNELS_ATTEND_LANES_H
#define WEIR_KERNELS_ATTEND_LANES_H

#include <string.h>

#include "base/base.h"
#include "kernels/attend_ahead.h"
#include "kernels/curves_lanes.h"
#include "kernels/kernels_internal.h"

/* Jobs whose sums are in registers at once. */
enum { JOBS_MAX = WEIR_ATTENTION_TURN };

#include "kernels/attend_rows.h"
#include "kernels/attend_tiles.h"

/* The sums of n jobs at `rows` positions each, which fill registers: added up together they take a
 * third of the instructions. */
WEIR_INLINE void store_sums(const lanes *sums, float scale, weir_attend_scores *scores, size_t at,
                            const int n, const int rows)
{
    float scaled[JOBS_MAX * ATTEND_ROWS];
    for (int first = 0; first < n * rows; first += LANES)
        store_floats(scaled + first, multiply(sums_of(sums + first), spread(scale)), LANES);
    for (int j = 0; j < n; j++)
        memcpy(scores[j] + at, scaled + j * rows, (size_t)rows * sizeof(*scaled));
}

/* Scores of n jobs at `rows` positions, k being the first's row. */
WEIR_INLINE void score_rows(const struct weir_attention *jobs, const uint8_t *k,
                            weir_attend_scores *scores, size_t at, const int n, const int rows,
                            const enum weir_kv kv)
{
    lanes sums[JOBS_MAX][ATTEND_ROWS];
    for (int j = 0; j < n; j++)
        for (int row = 0; row < rows; row++)
            sums[j][row] = spread(0.0f);
    for (size_t first = 0; first < jobs->d_head; first += piece_length(kv))
        for (size_t i = 0; i < piece_length(kv); i += LANES) {
            const size_t left = jobs->d_head - first - i;
            lanes keys[ATTEND_ROWS];
            for (int row = 0; row < rows; row++)
                keys[row] = load_row(k + (size_t)row * jobs->k_row_bytes, first, i, left, kv);
            for (int j = 0; j < n; j++) {
                const lanes q = load_floats(jobs[j].q + first + i, left);
                for (int row = 0; row < rows; row++)
                    sums[j][row] = multiply_add(q, keys[row], sums[j][row]);
            }
        }
    if (rows == ATTEND_ROWS && n * rows % LANES == 0)
        store_sums(&sums[0][0], jobs->scale, scores, at, n, rows);
    else
        for (int j = 0; j < n; j++)
            for (int row = 0; row < rows; row++)
                scores[j][at + (size_t)row] = sum_of(sums[j][row]) * jobs->scale;
}

WEIR_INLINE void score_jobs(const struct weir_attend_range *range,
                            const struct weir_attention *jobs, weir_attend_scores *scores,
                            const int n, const enum weir_kv kv)
{
    const uint8_t *k = (const uint8_t *)jobs->k + weir_attend_at(range, jobs->k_row_bytes);
    const size_t count = range->end - range->begin;
    const struct ahead ahead = keys_ahead(range, jobs);
    for (size_t row = 0; row < count;) {
        const size_t rows = count - row >= ATTEND_ROWS ? ATTEND_ROWS : 1;
        const size_t at = range->begin - range->block + row;
        ask_ahead(&ahead, row, rows);
        if (rows == ATTEND_ROWS)
            score_rows(jobs, k, scores, at, n, ATTEND_ROWS, kv);
        else
            score_rows(jobs, k, scores, at, n, 1, kv);
        k += rows * jobs->k_row_bytes;
        row += rows;
    }
}

WEIR_INLINE void fill_scores(const struct weir_attend_range *range, weir_attend_scores *scores,
                             const enum weir_kv kv)
{
    size_t j = 0;
    for (; j + 4 <= range->n; j += 4)
        score_jobs(range, range->jobs + j, scores + j, 4, kv);
    for (; j + 2 <= range->n; j += 2)
        score_jobs(range, range->jobs + j, scores + j, 2, kv);
    if (j < range->n)
        score_jobs(range, range->jobs + j, scores + j, 1, kv);
}

static float soften(float *scores, size_t count, float *most)
{
    lanes largest = spread(*most);
    lanes sums = spread(0.0f);
    size_t i = 0;
    for (; i + LANES <= count; i += LANES)
        largest = maximum(largest, load_floats(scores + i, LANES));
    *most = largest_of(largest);
    for (; i < count; i++)
        *most = scores[i] > *most ? scores[i] : *most;
    for (i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const lanes score = load_floats(scores + i, left);
        /* Times 0 a finite score is nothing, and minus infinity what is not a number. */
        const lanes e = multiply_add(score, spread(0.0f), exp_of(subtract(score, spread(*most))));
        store_floats(scores + i, e, left);
        sums = add(sums, keep_first(e, left));
    }
    return sum_of(sums);
}

/* Values [first, first + tiles * LANES) of n outputs; the last register holds last_count. The first
 * of them ask. Of formats of blocks these lie in one block, or begin with one. */
WEIR_INLINE void add_tiles(const struct weir_attend_range *range, const struct weir_attention *jobs,
                           const weir_attend_scores *scores, size_t first, size_t last_count,
                           const int n, const int tiles, const enum weir_kv kv)
{
    const uint8_t *v = (const uint8_t *)jobs->v + weir_attend_at(range, jobs->v_row_bytes);
    lanes sums[JOBS_MAX][ATTEND_TILES];
    for (int j = 0; j < n; j++)
        for (int tile = 0; tile < tiles; tile++)
            sums[j][tile] = load_floats(jobs[j].out + first + tile * LANES,
                                        tile < tiles - 1 ? LANES : last_count);
    const bool asks = first == 0;
    const struct ahead ahead = asks ? values_ahead(range, jobs) : (struct ahead){0};
    for (size_t at = range->begin - range->block; at < range->end - range->block; at++) {
        if (asks)
            ask_ahead(&ahead, at - (range->begin - range->block), 1);
        for (int tile = 0; tile < tiles; tile++) {
            const lanes values =
                load_row(v, first, (size_t)tile * LANES, tile < tiles - 1 ? LANES : last_count, kv);
            for (int j = 0; j < n; j++)
                sums[j][tile] = multiply_add(spread(scores[j][at]), values, sums[j][tile]);
        }
        v += jobs->v_row_bytes;
    }
    for (int j = 0; j < n; j++)
        for (int tile = 0; tile < tiles; tile++)
            store_floats(jobs[j].out + first + tile * LANES, sums[j][tile],
                         tile < tiles - 1 ? LANES : last_count);
}

/* From value `first` on, as long as all registers are full; where it got to. */
WEIR_INLINE size_t add_full_tiles(const struct weir_attend_range *range,
                                  const struct weir_attention *jobs,
                                  const weir_attend_scores *scores, size_t first, const int n,
                                  const int tiles, const enum weir_kv kv)
{
    for (; first + (size_t)tiles * LANES <= jobs->d_value; first += (size_t)tiles * LANES)
        add_tiles(range, jobs, scores, first, LANES, n, tiles, kv);
    return first;
}

/* Sums in several registers: each addition waits for the one before it in the same. */
WEIR_INLINE void add_jobs(const struct weir_attend_range *range, const struct weir_attention *jobs,
                          const weir_attend_scores *scores, const int n, const enum weir_kv kv)
{
    size_t first = add_full_tiles(range, jobs, scores, 0, n, ATTEND_TILES / n, kv);
    if (ATTEND_TILES / n > 8)
        first = add_full_tiles(range, jobs, scores, first, n, 8, kv);
    if (ATTEND_TILES / n > 4)
        first = add_full_tiles(range, jobs, scores, first, n, 4, kv);
    for (; first < jobs->d_value; first += LANES)
        add_tiles(range, jobs, scores, first, jobs->d_value - first, n, 1, kv);
}

WEIR_INLINE void add_values(const struct weir_attend_range *range, const weir_attend_scores *scores,
                            const enum weir_kv kv)
{
    size_t j = 0;
    for (; j + 4 <= range->n; j += 4)
        add_jobs(range, range->jobs + j, scores + j, 4, kv);
    for (; j + 2 <= range->n; j += 2)
        add_jobs(range, range->jobs + j, scores + j, 2, kv);
    if (j < range->n)
        add_jobs(range, range->jobs + j, scores + j, 1, kv);
}

WEIR_ATTEND_ROWS_OF(f16, WEIR_KV_F16, softcap)
WEIR_ATTEND_ROWS_OF(f32, WEIR_KV_F32, softcap)
WEIR_ATTEND_ROWS_OF(bf16, WEIR_KV_BF16, softcap)
WEIR_ATTEND_ROWS_OF(q8_0, WEIR_KV_Q8_0, softcap)
WEIR_ATTEND_ROWS_OF(q4_0, WEIR_KV_Q4_0, softcap)

static void attend_kivi4(const struct weir_attention *jobs, size_t count)
{
    static const struct weir_attend_level level = {fill_f16, softcap,     soften,
                                                   add_f16,  fill_tile_4, add_tile_4};
    weir_attend(&level, jobs, count);
}

static void attend_kivi2(const struct weir_attention *jobs, size_t count)
{
    static const struct weir_attend_level level = {fill_f16, softcap,     soften,
                                                   add_f16,  fill_tile_2, add_tile_2};
    weir_attend(&level, jobs, count);
}

static void attend_init(struct weir_kernels *kernels)
{
    kernels->attention[WEIR_KV_F16] = attend_f16;
    kernels->attention[WEIR_KV_F32] = attend_f32;
    kernels->attention[WEIR_KV_BF16] = attend_bf16;
    kernels->attention[WEIR_KV_Q8_0] = attend_q8_0;
    kernels->attention[WEIR_KV_Q4_0] = attend_q4_0;
    kernels->attention[WEIR_KV_KIVI4] = attend_kivi4;
    kernels->attention[WEIR_KV_KIVI2] = attend_kivi2;
    kernels->softcap = softcap;
    kernels->sigmoid_mul = sigmoid_mul;
}

#endif
