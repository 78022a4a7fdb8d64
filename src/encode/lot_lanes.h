/* lot_lanes.h - lots made from values, on registers of LANES floats (lanes.h). */
#ifndef WEIR_ENCODE_LOT_LANES_H
#define WEIR_ENCODE_LOT_LANES_H

#include <stddef.h>

#include "encode/fit.h"
#include "encode/lanes.h"

/* The power of two at or below a magnitude, within what has an inverse. */
LANES_INLINE lanes unit_of(lanes most)
{
    const lanes held = least(greatest(most, spread(0x1p-125f)), spread(0x1p125f));
    return (lanes)((masks)held & 0x7f800000);
}

/* Weights of LANES runs from `first` on: divided by the largest of what shares a unit, and none so
 * small that a run without importance would have nothing to go by. */
LANES_INLINE void fill_weights(const struct weir_values *values, int first, struct weir_lot *lot)
{
    lanes most = spread(0.0f);
    for (int i = 0; i < values->len; i++) {
        lanes w = spread(0.0f);
        for (int lane = 0; lane < LANES && first + lane < values->run_count; lane++)
            w[lane] = weir_importance_of(values->importance[(first + lane) * values->len + i]);
        store(&lot->w[i][first], w);
        most = greatest(w, most);
    }
    const lanes shrink = inverse(values->unit == 0.0f ? most : spread(values->importance_most));
    lanes squares = spread(0.0f);
    for (int i = 0; i < values->len; i++) {
        const lanes x = load(&lot->x[i][first]);
        const lanes w = load(&lot->w[i][first]) * shrink + 0x1p-20f;
        store(&lot->w[i][first], w);
        squares += w * (x * x);
    }
    store(&lot->squares[first], squares);
}

/* Values i to i + LANES - 1 of LANES runs, turned so that a register has one of each. */
LANES_INLINE void turn(const float *x, int len, lanes rows[LANES])
{
    for (int lane = 0; lane < LANES; lane++)
        rows[lane] = load(x + lane * len);
    for (int half = 1; half < LANES; half *= 2) {
        lanes turned[LANES];
        for (int pair = 0; pair < LANES / 2; pair++) {
            turned[2 * pair] = interleave_low(rows[pair], rows[pair + LANES / 2]);
            turned[2 * pair + 1] = interleave_high(rows[pair], rows[pair + LANES / 2]);
        }
        for (int lane = 0; lane < LANES; lane++)
            rows[lane] = turned[lane];
    }
}

/* Values of LANES runs from `first` on; runs that are not there are 0. */
LANES_INLINE void fill_values(const struct weir_values *values, int first, struct weir_lot *lot)
{
    const int len = values->len;
    lanes rows[LANES];
    if (first + LANES <= values->run_count) {
        for (int i = 0; i < len; i += LANES) {
            turn(values->x + first * len + i, len, rows);
            for (int at = 0; at < LANES; at++)
                store(&lot->x[i + at][first], rows[at]);
        }
        return;
    }
    for (int run = first; run < first + LANES; run++)
        for (int i = 0; i < len; i++)
            lot->x[i][run] = run < values->run_count ? values->x[run * len + i] : 0.0f;
}

static void fill(const struct weir_values *values, struct weir_lot *lot)
{
    const int len = values->len;
    lot->len = len;
    lot->is_flat = values->importance == NULL;
    for (int first = 0; first < WEIR_LOT_RUNS; first += LANES) {
        lanes extreme = spread(0.0f);
        fill_values(values, first, lot);
        for (int i = 0; i < len; i++) {
            const lanes x = load(&lot->x[i][first]);
            extreme = pick(magnitude(x) > magnitude(extreme), x, extreme);
        }
        const lanes unit = values->unit > 0.0f ? spread(values->unit) : unit_of(magnitude(extreme));
        const lanes shrink = 1.0f / unit;
        lanes squares = spread(0.0f);
        for (int i = 0; i < len; i++) {
            const lanes x = load(&lot->x[i][first]) * shrink;
            store(&lot->x[i][first], x);
            squares += x * x;
            if (lot->is_flat)
                store(&lot->w[i][first], spread(1.0f));
        }
        store(&lot->squares[first], squares);
        store(&lot->units[first], unit);
        store(&lot->extremes[first], extreme * shrink);
        if (!lot->is_flat)
            fill_weights(values, first, lot);
    }
}

#endif
