/* fit_lanes.h - the functions of struct weir_fit on registers of LANES floats (lanes.h).
 *
 * I1  Even steps are held in range before they are rounded, so that no quotient is too large.
 * I2  A scale of 0 makes every step 0: its inverse counts as 0.
 * I3  Of tries that are equally good the first is kept. */
#ifndef WEIR_ENCODE_FIT_LANES_H
#define WEIR_ENCODE_FIT_LANES_H

#include <math.h>

#include "encode/fit.h"
#include "encode/lanes.h"

/* A list as registers: steps grow from the first by a gap at each middle. */
struct rungs {
    lanes low, high;
    lanes middles[WEIR_LADDER_MAX - 1];
    lanes gaps[WEIR_LADDER_MAX - 1];
};

static struct rungs spread_ladder(const struct weir_ladder *ladder)
{
    struct rungs rungs = {.low = spread(ladder->low), .high = spread(ladder->high)};
    for (int at = 0; at + 1 < ladder->count; at++) {
        const float step = (float)ladder->steps[at];
        const float next = (float)ladder->steps[at + 1];
        rungs.middles[at] = spread((step + next) / 2.0f);
        rungs.gaps[at] = spread(next - step);
    }
    return rungs;
}

/* The step nearest to a quotient. count is 0 for even steps, and a constant where it matters. */
LANES_INLINE lanes nearest_step(lanes quotient, const struct rungs *rungs, const int count)
{
    if (count == 0) /* keeps I1 */
        return round_even(least(greatest(quotient, rungs->low), rungs->high));
    lanes step = rungs->low;
    for (int at = 0; at + 1 < count; at++)
        step += keep(quotient > rungs->middles[at], rungs->gaps[at]);
    return step;
}

/* ---- one scale ------------------------------------------------------------------------------- */

/* Sums of q x and q q of the nearest steps under an inverse scale. */
LANES_INLINE void sum_steps(const struct weir_lot *lot, int first, lanes shrink,
                            const struct rungs *rungs, const int count, lanes *qx, lanes *qq)
{
    *qx = *qq = spread(0.0f);
    for (int i = 0; i < lot->len; i++) {
        const lanes x = load(&lot->x[i][first]);
        const lanes step = nearest_step(x * shrink, rungs, count);
        const lanes weighed = load(&lot->w[i][first]) * step;
        *qx += weighed * x;
        *qq += weighed * step;
    }
}

/* Under the best scale for its steps, qx / qq, the error is that of nothing less qx^2 / qq. */
LANES_INLINE void search_scale(const struct weir_lot *lot, const struct weir_tries *tries,
                               int turns, const struct rungs *rungs, const int count, float *scales)
{
    for (int first = 0; first < WEIR_LOT_RUNS; first += LANES) {
        const lanes inward = inverse(load(&lot->extremes[first]));
        lanes best = spread(-1.0f);
        lanes scale = spread(0.0f);
        lanes qx;
        lanes qq;
        for (int at = 0; at < tries->count; at++) {
            sum_steps(lot, first, inward * tries->at[at], rungs, count, &qx, &qq);
            const lanes found = ratio(qx, qq);
            const masks is_better = found * qx > best; /* keeps I3 */
            best = pick(is_better, found * qx, best);
            scale = pick(is_better, found, scale);
        }
        for (int turn = 0; turn < turns; turn++) {
            sum_steps(lot, first, inverse(scale), rungs, count, &qx, &qq);
            scale = ratio(qx, qq);
        }
        store(&scales[first], scale);
    }
}

static void fit_scale(const struct weir_lot *lot, const struct weir_ladder *ladder,
                      const struct weir_tries *tries, int turns, float scales[WEIR_LOT_RUNS])
{
    const struct rungs rungs = spread_ladder(ladder);
    if (ladder->count == 0)
        search_scale(lot, tries, turns, &rungs, 0, scales);
    else if (ladder->count == 15)
        search_scale(lot, tries, turns, &rungs, 15, scales);
    else
        search_scale(lot, tries, turns, &rungs, 16, scales);
}

/* ---- scale and minimum ----------------------------------------------------------------------- */

/* What x ~ scale * step + offset is found with. */
struct line {
    lanes weight, x; /* sums of w and w x */
    lanes best;      /* least error so far, less that of nothing */
    lanes scale, offset;
};

/* Steps are the nearest under shrink and offset; the best line through them replaces the one that
 * was, where it is better. */
LANES_INLINE void try_line(const struct weir_lot *lot, int first, lanes shrink, lanes offset,
                           const struct rungs *rungs, bool is_free, struct line *line)
{
    lanes q = spread(0.0f);
    lanes qq = spread(0.0f);
    lanes qx = spread(0.0f);
    for (int i = 0; i < lot->len; i++) {
        const lanes x = load(&lot->x[i][first]);
        const lanes step = nearest_step((x - offset) * shrink, rungs, 0);
        const lanes weighed = load(&lot->w[i][first]) * step;
        q += weighed;
        qq += weighed * step;
        qx += weighed * x;
    }
    const lanes ground = line->weight * qq - q * q;
    /* Where all steps are alike, the one equation that is left. */
    const masks is_line = ground > line->weight * qq * 1e-6f;
    lanes scale = keep(is_line, ratio(line->weight * qx - line->x * q, ground));
    lanes end = keep(is_line, ratio(qq * line->x - q * qx, ground));
    const masks is_flat = ~is_line & (qq == 0.0f);
    end = pick(is_flat, line->x / line->weight, end);
    const masks is_through_zero = (~is_line & ~is_flat) | (is_free ? (masks){0} : end > 0.0f);
    end = keep(~is_through_zero, end);
    scale = pick(is_through_zero, greatest(ratio(qx, qq), spread(0.0f)), scale);
    const lanes error =
        scale * (scale * qq + 2.0f * (end * q - qx)) + end * (end * line->weight - 2.0f * line->x);
    const masks is_better = error < line->best; /* keeps I3 */
    line->best = pick(is_better, error, line->best);
    line->scale = pick(is_better, scale, line->scale);
    line->offset = pick(is_better, end, line->offset);
}

static void fit_range(const struct weir_lot *lot, float high, bool is_free,
                      const struct weir_tries *tries, int turns, float scales[WEIR_LOT_RUNS],
                      float minimums[WEIR_LOT_RUNS])
{
    const struct rungs rungs = {.low = spread(0.0f), .high = spread(high)};
    for (int first = 0; first < WEIR_LOT_RUNS; first += LANES) {
        struct line line = {.best = spread(INFINITY)};
        lanes low = load(&lot->x[0][first]);
        lanes top = low;
        for (int i = 0; i < lot->len; i++) {
            const lanes x = load(&lot->x[i][first]);
            const lanes w = load(&lot->w[i][first]);
            low = least(x, low);
            top = greatest(x, top);
            line.weight += w;
            line.x += w * x;
        }
        if (!is_free)
            low = least(low, spread(0.0f));
        const lanes shrink = inverse(top - low);
        for (int at = 0; at < tries->count; at++)
            try_line(lot, first, shrink * tries->at[at], low, &rungs, is_free, &line);
        for (int turn = 0; turn < turns; turn++)
            try_line(lot, first, inverse(line.scale), line.offset, &rungs, is_free, &line);
        store(&scales[first], line.scale);
        store(&minimums[first], 0.0f - line.offset);
    }
}

/* ---- steps under given scales ---------------------------------------------------------------- */

LANES_INLINE void sum_misses(const struct weir_lot *lot, const struct rungs *rungs, const int count,
                             const float *scales, const float *minimums, struct weir_sums *sums)
{
    for (int first = 0; first < WEIR_LOT_RUNS; first += LANES) {
        const lanes scale = load(&scales[first]);
        const lanes minimum = load(&minimums[first]);
        const lanes shrink = inverse(scale); /* keeps I2 */
        lanes q = spread(0.0f);
        lanes qq = spread(0.0f);
        lanes qx = spread(0.0f);
        lanes total = spread(0.0f);
        for (int i = 0; i < lot->len; i++) {
            const lanes x = load(&lot->x[i][first]);
            const lanes w = load(&lot->w[i][first]);
            const lanes step = nearest_step((x + minimum) * shrink, rungs, count);
            const lanes weighed = w * step;
            const lanes miss = x - (scale * step - minimum);
            q += weighed;
            qq += weighed * step;
            qx += weighed * x;
            total += w * (miss * miss);
        }
        store(&sums->q[first], q);
        store(&sums->qq[first], qq);
        store(&sums->qx[first], qx);
        store(&sums->miss[first], total);
    }
}

static void measure(const struct weir_lot *lot, const struct weir_ladder *ladder,
                    const float scales[WEIR_LOT_RUNS], const float minimums[WEIR_LOT_RUNS],
                    struct weir_sums *sums)
{
    struct rungs rungs = spread_ladder(ladder);
    if (ladder->count == 0)
        sum_misses(lot, &rungs, 0, scales, minimums, sums);
    else if (ladder->count == 15)
        sum_misses(lot, &rungs, 15, scales, minimums, sums);
    else
        sum_misses(lot, &rungs, 16, scales, minimums, sums);
}

/* Here quotients are divided for, so that no step is the second nearest. */
LANES_INLINE void take_steps(const struct weir_lot *lot, const struct rungs *rungs, const int count,
                             const float *scales, const float *minimums, int8_t *steps)
{
    for (int first = 0; first < WEIR_LOT_RUNS; first += LANES) {
        const lanes scale = load(&scales[first]);
        const lanes minimum = load(&minimums[first]);
        const masks is_zero = scale == 0.0f; /* keeps I2 */
        const lanes divisor = pick(is_zero, spread(1.0f), scale);
        for (int i = 0; i < lot->len; i++) {
            const lanes quotient = keep(~is_zero, (load(&lot->x[i][first]) + minimum) / divisor);
            const masks step = __builtin_convertvector(nearest_step(quotient, rungs, count), masks);
            for (int lane = 0; lane < LANES; lane++)
                steps[(first + lane) * lot->len + i] = (int8_t)step[lane];
        }
    }
}

static void take(const struct weir_lot *lot, const struct weir_ladder *ladder,
                 const float scales[WEIR_LOT_RUNS], const float minimums[WEIR_LOT_RUNS],
                 int8_t steps[WEIR_STEPS_MAX])
{
    struct rungs rungs = spread_ladder(ladder);
    for (int at = 0; at + 1 < ladder->count; at++)
        rungs.gaps[at] = spread(1.0f); /* places are counted */
    if (ladder->count == 0) {
        take_steps(lot, &rungs, 0, scales, minimums, steps);
        return;
    }
    rungs.low = spread(0.0f);
    if (ladder->count == 15)
        take_steps(lot, &rungs, 15, scales, minimums, steps);
    else
        take_steps(lot, &rungs, 16, scales, minimums, steps);
}

#endif
