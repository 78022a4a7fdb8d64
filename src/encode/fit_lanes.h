/* fit_lanes.h - searches for scales and minimums on registers of LANES floats (lanes.h).
 *
 * I1  Of tries that are equally good the first is kept. */
#ifndef WEIR_ENCODE_FIT_LANES_H
#define WEIR_ENCODE_FIT_LANES_H

#include <math.h>

#include "encode/step_lanes.h"

/* ---- one scale ------------------------------------------------------------------------------- */

/* Sums of q x and q q of the nearest steps under an inverse scale. */
LANES_INLINE void sum_steps(const struct weir_lot *lot, int first, lanes shrink,
                            const struct rungs *rungs, const int count, const bool is_flat,
                            lanes *qx, lanes *qq)
{
    *qx = *qq = spread(0.0f);
    for (int i = 0; i < lot->len; i++) {
        const lanes x = load(&lot->x[i][first]);
        const lanes step = nearest_step(x * shrink, rungs, count);
        const lanes weighed = is_flat ? step : load(&lot->w[i][first]) * step;
        *qx += weighed * x;
        *qq += weighed * step;
    }
}

/* Under the best scale for its steps, qx / qq, the error is that of nothing less qx^2 / qq. */
LANES_INLINE void search_scale(const struct weir_lot *lot, const struct weir_tries *tries,
                               int turns, const struct rungs *rungs, const int count,
                               const bool is_flat, float *scales, float *gains)
{
    for (int first = 0; first < WEIR_LOT_RUNS; first += LANES) {
        const lanes inward = inverse(load(&lot->extremes[first]));
        lanes best = spread(-1.0f);
        lanes scale = spread(0.0f);
        lanes qx = spread(0.0f);
        lanes qq;
        for (int at = 0; at < tries->count; at++) {
            sum_steps(lot, first, inward * tries->at[at], rungs, count, is_flat, &qx, &qq);
            const lanes found = ratio(qx, qq);
            const masks is_better = found * qx > best; /* keeps I1 */
            best = pick(is_better, found * qx, best);
            scale = pick(is_better, found, scale);
        }
        for (int turn = 0; turn < turns; turn++) {
            sum_steps(lot, first, inverse(scale), rungs, count, is_flat, &qx, &qq);
            scale = ratio(qx, qq);
        }
        store(&scales[first], scale);
        store(&gains[first], scale * qx);
    }
}

static void fit_scale(const struct weir_lot *lot, const struct weir_ladder *ladder,
                      const struct weir_tries *tries, int turns, float scales[WEIR_LOT_RUNS],
                      float gains[WEIR_LOT_RUNS])
{
    struct rungs rungs;
    spread_ladder(ladder, &rungs);
    if (ladder->count == 0 && lot->is_flat)
        search_scale(lot, tries, turns, &rungs, 0, true, scales, gains);
    else if (ladder->count == 0)
        search_scale(lot, tries, turns, &rungs, 0, false, scales, gains);
    else if (ladder->count == 15)
        search_scale(lot, tries, turns, &rungs, 15, false, scales, gains);
    else
        search_scale(lot, tries, turns, &rungs, 16, false, scales, gains);
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
    const masks is_better = error < line->best; /* keeps I1 */
    line->best = pick(is_better, error, line->best);
    line->scale = pick(is_better, scale, line->scale);
    line->offset = pick(is_better, end, line->offset);
}

static void fit_range(const struct weir_lot *lot, float high, bool is_free,
                      const struct weir_tries *tries, int turns, float scales[WEIR_LOT_RUNS],
                      float minimums[WEIR_LOT_RUNS])
{
    const struct weir_ladder ladder = {0.0f, high, 0, {0}};
    struct rungs rungs;
    spread_ladder(&ladder, &rungs);
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

#endif
