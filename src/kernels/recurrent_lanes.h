/* recurrent_lanes.h - the short convolution and the gated delta rule on registers of LANES floats.
 *
 * A level includes this after the names of its registers (floats_*.h), DELTA_TILES, the registers
 * that hold WEIR_DELTA_COL_MAX columns, and DELTA_SUMS, how many sums of each column run side by
 * side. Every column has the same order of additions however many registers are computed together.
 */
#ifndef WEIR_KERNELS_RECURRENT_LANES_H
#define WEIR_KERNELS_RECURRENT_LANES_H

#include "kernels/kernels_internal.h"

/* ---- the convolution ------------------------------------------------------------------------- */

/* Channels [c, c + LANES), or `left` of them where they are fewer. */
WEIR_INLINE void conv_lanes(const struct weir_conv *job, size_t c, size_t left, const size_t n_tap)
{
    lanes taps[WEIR_CONV_TAP_MAX];
    lanes window[WEIR_CONV_TAP_MAX]; /* the position's x is the last */
    for (size_t j = 0; j < n_tap; j++)
        taps[j] = load_floats(job->taps + j * job->tap_stride + c, left);
    for (size_t j = 0; j + 1 < n_tap; j++)
        window[j] = load_floats(job->past + j * job->tap_stride + c, left);
    for (size_t t = 0; t < job->n_position; t++) {
        float *x = job->x + t * job->x_stride + c;
        lanes y = spread(0.0f);
        window[n_tap - 1] = load_floats(x, left);
        for (size_t j = 0; j < n_tap; j++)
            y = multiply_add(taps[j], window[j], y);
        for (size_t j = 0; j + 1 < n_tap; j++)
            window[j] = window[j + 1];
        const lanes e = exp_of(subtract(spread(0.0f), y));
        store_floats(x, divide(y, add(spread(1.0f), e)), left);
    }
    for (size_t j = 0; j + 1 < n_tap; j++)
        store_floats(job->past + j * job->tap_stride + c, window[j], left);
}

static void conv(const struct weir_conv *job)
{
    for (size_t c = 0; c < job->n_channel; c += LANES) {
        const size_t left = job->n_channel - c;
        if (job->n_tap == 4 && left >= LANES)
            conv_lanes(job, c, LANES, 4);
        else
            conv_lanes(job, c, left, job->n_tap);
    }
}

/* ---- the delta rule -------------------------------------------------------------------------- */

/* What the position before still has to do to the state: nothing when k is NULL. */
struct write {
    const float *k;
    lanes decay;
    lanes d[DELTA_TILES];
};

/* Sums over rows of S, for q and for k. */
struct sums {
    lanes read[DELTA_SUMS][DELTA_TILES];
    lanes found[DELTA_SUMS][DELTA_TILES];
};

WEIR_INLINE void pass_row(float *s, const struct write *write, const float *q, const float *k,
                          size_t i, size_t last_count, struct sums *sums, const int sum,
                          const int tiles, const bool writes, const bool reads)
{
    const lanes row_q = spread(reads ? q[i] : 0.0f);
    const lanes row_k = spread(reads ? k[i] : 0.0f);
    const lanes row_d = spread(writes ? write->k[i] : 0.0f);
    for (int tile = 0; tile < tiles; tile++) {
        const size_t count = tile < tiles - 1 ? LANES : last_count;
        lanes value = load_floats(s + tile * LANES, count);
        if (writes) {
            value = multiply_add(row_d, write->d[tile], multiply(write->decay, value));
            store_floats(s + tile * LANES, value, count);
        }
        if (reads) {
            sums->read[sum][tile] = multiply_add(row_q, value, sums->read[sum][tile]);
            sums->found[sum][tile] = multiply_add(row_k, value, sums->found[sum][tile]);
        }
    }
}

/* Once over the rows of S: what was written by the position before, and the sums of this one. */
WEIR_INLINE void pass(const struct weir_delta *job, float *state, const struct write *write,
                      const float *q, const float *k, size_t last_count, struct sums *sums,
                      const int tiles, const bool writes, const bool reads)
{
    size_t i = 0;
    for (; i + DELTA_SUMS <= job->d_key; i += DELTA_SUMS)
        for (int sum = 0; sum < DELTA_SUMS; sum++)
            pass_row(state + (i + (size_t)sum) * job->n_col, write, q, k, i + (size_t)sum,
                     last_count, sums, sum, tiles, writes, reads);
    for (; i < job->d_key; i++)
        pass_row(state + i * job->n_col, write, q, k, i, last_count, sums, 0, tiles, writes, reads);
}

/* d and out of one position. */
WEIR_INLINE void finish(const struct weir_delta *job, size_t t, size_t first, size_t last_count,
                        const struct sums *sums, struct write *write, const int tiles)
{
    const struct weir_delta_gate *gate = &job->gate[t * job->gate_stride];
    const float *v = job->v + t * job->v_stride + first;
    float *out = job->out + t * job->v_stride + first;
    write->k = job->k + t * job->key_stride;
    write->decay = spread(gate->decay);
    for (int tile = 0; tile < tiles; tile++) {
        const size_t count = tile < tiles - 1 ? LANES : last_count;
        lanes read = sums->read[0][tile];
        lanes found = sums->found[0][tile];
        for (int sum = 1; sum < DELTA_SUMS; sum++) {
            read = add(read, sums->read[sum][tile]);
            found = add(found, sums->found[sum][tile]);
        }
        const lanes value = load_floats(v + tile * LANES, count);
        const lanes missing = subtract(value, multiply(write->decay, found));
        write->d[tile] = multiply(spread(gate->beta), missing);
        read = multiply(write->decay, read);
        store_floats(out + tile * LANES, multiply_add(spread(gate->overlap), write->d[tile], read),
                     count);
    }
}

WEIR_INLINE void clear(struct sums *sums, const int tiles)
{
    for (int sum = 0; sum < DELTA_SUMS; sum++)
        for (int tile = 0; tile < tiles; tile++)
            sums->read[sum][tile] = sums->found[sum][tile] = spread(0.0f);
}

/* Columns from `first` on: `tiles` registers, of which the last holds last_count. */
WEIR_INLINE void delta_tiles(const struct weir_delta *job, size_t first, size_t last_count,
                             const int tiles)
{
    float *state = job->state + first;
    struct write write = {0};
    struct sums sums;
    for (size_t t = 0; t < job->n_position; t++) {
        const float *q = job->q + t * job->key_stride;
        const float *k = job->k + t * job->key_stride;
        clear(&sums, tiles);
        if (t == 0)
            pass(job, state, &write, q, k, last_count, &sums, tiles, false, true);
        else
            pass(job, state, &write, q, k, last_count, &sums, tiles, true, true);
        finish(job, t, first, last_count, &sums, &write, tiles);
    }
    pass(job, state, &write, NULL, NULL, last_count, &sums, tiles, true, false);
}

static void delta(const struct weir_delta *job)
{
    if (job->n_col == WEIR_DELTA_COL_MAX) {
        delta_tiles(job, 0, LANES, DELTA_TILES);
        return;
    }
    for (size_t first = 0; first < job->n_col; first += LANES)
        delta_tiles(job, first, job->n_col - first < LANES ? job->n_col - first : LANES, 1);
}

#endif
