/* lot_lanes.h - lots made from values, on registers of LANES floats (lanes.h). */
#ifndef WEIR_ENCODE_LOT_LANES_H
#define WEIR_ENCODE_LOT_LANES_H

#include <math.h>

#include "encode/fit.h"
#include "encode/lanes.h"

/* The power of two at or below a magnitude, within what has an inverse. */
LANES_INLINE lanes unit_of(lanes most)
{
    const lanes held = least(greatest(most, spread(0x1p-125f)), spread(0x1p125f));
    return (lanes)((masks)held & 0x7f800000);
}

LANES_INLINE lanes weigh(lanes x, lanes mean_square, enum weir_weighing weighing)
{
    const lanes square = x * x;
    lanes root;
    switch (weighing) {
    case WEIR_WEIGHING_FLAT:
        return spread(1.0f);
    case WEIR_WEIGHING_SQUARE:
        return square;
    case WEIR_WEIGHING_MAGNITUDE:
        break;
    }
    root = square + mean_square;
    for (int lane = 0; lane < LANES; lane++)
        root[lane] = sqrtf(root[lane]);
    return root;
}

/* Weights of LANES runs from `first` on: divided by the largest of what shares a unit, and none so
 * small that a run without importance would have nothing to go by. */
LANES_INLINE void fill_weights(const struct weir_values *values, int first, struct weir_lot *lot)
{
    lanes sum = spread(0.0f);
    lanes most = spread(0.0f);
    for (int i = 0; i < values->len; i++) {
        const lanes x = load(&lot->x[i][first]);
        sum += x * x;
    }
    const lanes mean_square = sum / (float)values->len;
    for (int i = 0; i < values->len; i++) {
        lanes w = weigh(load(&lot->x[i][first]), mean_square, values->weighing);
        if (values->importance != NULL)
            for (int lane = 0; lane < LANES && first + lane < values->run_count; lane++) {
                const float count = values->importance[(first + lane) * values->len + i];
                w[lane] *= count > 0.0f && count <= WEIR_IMPORTANCE_MOST ? count : 0.0f;
            }
        store(&lot->w[i][first], w);
        most = greatest(w, most);
    }
    const lanes largest = values->unit == 0.0f         ? most
                          : values->importance != NULL ? spread(values->importance_most)
                                                       : spread(1.0f);
    const lanes shrink = inverse(largest);
    for (int i = 0; i < values->len; i++)
        store(&lot->w[i][first], load(&lot->w[i][first]) * shrink + 0x1p-20f);
}

static void fill(const struct weir_values *values, struct weir_lot *lot)
{
    const int len = values->len;
    lot->len = len;
    for (int run = 0; run < WEIR_LOT_RUNS; run++)
        for (int i = 0; i < len; i++)
            lot->x[i][run] = run < values->run_count ? values->x[run * len + i] : 0.0f;
    for (int first = 0; first < WEIR_LOT_RUNS; first += LANES) {
        lanes extreme = spread(0.0f);
        for (int i = 0; i < len; i++) {
            const lanes x = load(&lot->x[i][first]);
            extreme = pick(magnitude(x) > magnitude(extreme), x, extreme);
        }
        const lanes unit = values->unit > 0.0f ? spread(values->unit) : unit_of(magnitude(extreme));
        const lanes shrink = 1.0f / unit;
        for (int i = 0; i < len; i++)
            store(&lot->x[i][first], load(&lot->x[i][first]) * shrink);
        store(&lot->units[first], unit);
        store(&lot->extremes[first], extreme * shrink);
        fill_weights(values, first, lot);
    }
}

#endif
