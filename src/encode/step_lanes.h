/* step_lanes.h - the nearest steps under given scales, on registers of LANES floats (lanes.h).
 *
 * I1  Even steps are held in range before they are rounded, so that no quotient is too large.
 * I2  A scale of 0 makes every step 0: its inverse counts as 0. */
#ifndef WEIR_ENCODE_STEP_LANES_H
#define WEIR_ENCODE_STEP_LANES_H

#include "encode/fit.h"
#include "encode/lanes.h"

/* A list as registers: steps grow from the first by a gap at each middle. */
struct rungs {
    lanes low, high;
    lanes middles[WEIR_LADDER_MAX - 1];
    lanes gaps[WEIR_LADDER_MAX - 1];
};

static void spread_ladder(const struct weir_ladder *ladder, struct rungs *rungs)
{
    rungs->low = spread(ladder->low);
    rungs->high = spread(ladder->high);
    for (int at = 0; at + 1 < ladder->count; at++) {
        const float step = (float)ladder->steps[at];
        const float next = (float)ladder->steps[at + 1];
        rungs->middles[at] = spread((step + next) / 2.0f);
        rungs->gaps[at] = spread(next - step);
    }
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
    struct rungs rungs;
    spread_ladder(ladder, &rungs);
    if (ladder->count == 0)
        sum_misses(lot, &rungs, 0, scales, minimums, sums);
    else if (ladder->count == 15)
        sum_misses(lot, &rungs, 15, scales, minimums, sums);
    else
        sum_misses(lot, &rungs, 16, scales, minimums, sums);
}

LANES_INLINE void take_steps(const struct weir_lot *lot, const struct rungs *rungs, const int count,
                             const float *scales, const float *minimums, int8_t *steps)
{
    for (int first = 0; first < WEIR_LOT_RUNS; first += LANES) {
        const lanes scale = load(&scales[first]);
        const lanes minimum = load(&minimums[first]);
        const lanes shrink = inverse(scale); /* keeps I2 */
        for (int i = 0; i < lot->len; i += 4) {
            masks four = {0}; /* steps in the bytes of a lane */
            for (int at = 0; at < 4; at++) {
                const lanes x = load(&lot->x[i + at][first]);
                const lanes step = nearest_step((x + minimum) * shrink, rungs, count);
                four |= (__builtin_convertvector(step, masks) & 255) << 8 * at;
            }
            for (int lane = 0; lane < LANES; lane++) {
                const int32_t bytes = four[lane];
                memcpy(steps + (first + lane) * lot->len + i, &bytes, sizeof(bytes));
            }
        }
    }
}

static void take(const struct weir_lot *lot, const struct weir_ladder *ladder,
                 const float scales[WEIR_LOT_RUNS], const float minimums[WEIR_LOT_RUNS],
                 int8_t steps[WEIR_STEPS_MAX])
{
    struct rungs rungs;
    spread_ladder(ladder, &rungs);
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
