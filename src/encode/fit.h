/* fit.h - scales and steps of eight runs of values at once: what the encoders of blocks share.
 *
 * A run is the values under one scale. A lot has eight runs, value by value, so that a register
 * holds the same value of each: every run is a lane with its own sums, in the order of its values.
 * No result depends on how many lanes a register has, or on what the other lanes hold.
 *
 * A lot's values are divided by a power of two, the unit of their run, so that no sum overflows or
 * vanishes. Scales and minimums here are of such values. */
#ifndef WEIR_ENCODE_FIT_H
#define WEIR_ENCODE_FIT_H

#include <stdbool.h>
#include <stdint.h>

#include "encode/grid_book.h"

enum {
    WEIR_LOT_RUNS = 8,
    WEIR_LOT_LEN = 64, /* values of a run, at most */
    WEIR_STEPS_MAX = 8 * 64,
    WEIR_LADDER_MAX = 16,
    WEIR_TRIES_MAX = 32,
};

/* What a column counts: between these, for sums of weights must neither vanish nor overflow; other
 * numbers, and what is none, count as nothing. */
static inline float weir_importance_of(float count)
{
    return count >= 0x1p-100f && count <= 0x1p100f ? count : 0.0f;
}

struct weir_lot {
    int len;                              /* values of a run */
    bool is_flat;                         /* all weights are 1 */
    float x[WEIR_LOT_LEN][WEIR_LOT_RUNS]; /* values, in units; 0 where there is no run */
    float w[WEIR_LOT_LEN][WEIR_LOT_RUNS]; /* their weights, each > 0 */
    float units[WEIR_LOT_RUNS];           /* powers of two */
    float extremes[WEIR_LOT_RUNS];        /* the value of largest magnitude, with its sign */
    float squares[WEIR_LOT_RUNS];         /* sums of w x x */
};

/* What a lot is made from. */
struct weir_values {
    const float *x;          /* the runs, one behind the other */
    const float *importance; /* of each value; NULL: all alike */
    int run_count;
    int len;
    float unit; /* of all runs; 0: each has its own, the power of two below its extreme */
    float importance_most; /* of all that has this unit; where runs have their own it is found */
};

/* The steps of a format. Even ones are the whole numbers from low to high; others are a sorted
 * list, and a step's number is its place there. */
struct weir_ladder {
    float low;
    float high;
    int count;                     /* of the list; 0: even steps */
    int8_t steps[WEIR_LADDER_MAX]; /* the list */
};

/* Where the search for a scale starts: under it the extreme is at each of these steps. The first is
 * the plain rule. */
struct weir_tries {
    int count;
    float at[WEIR_TRIES_MAX];
};

/* Of steps q and values x under weights w, run by run: the sums that least squares need. */
struct weir_sums {
    float qq[WEIR_LOT_RUNS];   /* w q q */
    float q[WEIR_LOT_RUNS];    /* w q */
    float qx[WEIR_LOT_RUNS];   /* w q x */
    float miss[WEIR_LOT_RUNS]; /* w (x - (scale q - minimum))^2 */
};

/* Eight groups of values, each to become an entry of a codebook. */
struct weir_groups {
    float x[8][WEIR_LOT_RUNS]; /* by place of the entry, in units */
    float w[8][WEIR_LOT_RUNS];
};

/* One CPU level. x ~ scale * step - minimum, run by run. */
struct weir_fit {
    const char *isa;
    void (*fill)(const struct weir_values *values, struct weir_lot *lot);
    /* The scale with the least error: of the best try, after `turns` turns, at least one, of steps
     * and scale; gains: what it takes off squares of the lot. */
    void (*scale)(const struct weir_lot *lot, const struct weir_ladder *ladder,
                  const struct weir_tries *tries, int turns, float scales[WEIR_LOT_RUNS],
                  float gains[WEIR_LOT_RUNS]);
    /* Scale and minimum, of any sign where is_free and else not below 0, with the least error for
     * even steps from 0 to high. Tries are how many steps the range of a run has. */
    void (*range)(const struct weir_lot *lot, float high, bool is_free,
                  const struct weir_tries *tries, int turns, float scales[WEIR_LOT_RUNS],
                  float minimums[WEIR_LOT_RUNS]);
    /* The nearest steps under these, summed. */
    void (*measure)(const struct weir_lot *lot, const struct weir_ladder *ladder,
                    const float scales[WEIR_LOT_RUNS], const float minimums[WEIR_LOT_RUNS],
                    struct weir_sums *sums);
    /* The nearest steps under these: even ones as they are, others by their place in the list. Run
     * r has those from r * len on. */
    void (*take)(const struct weir_lot *lot, const struct weir_ladder *ladder,
                 const float scales[WEIR_LOT_RUNS], const float minimums[WEIR_LOT_RUNS],
                 int8_t steps[WEIR_STEPS_MAX]);
    /* Of the first `depth` entries that are near each group over its scale, the one with the least
     * error, w (x - scale (step + delta))^2, and that error. */
    void (*entries)(const struct weir_book *book, const struct weir_groups *groups,
                    const float scales[WEIR_LOT_RUNS], float delta, int depth,
                    uint16_t entries[WEIR_LOT_RUNS], float misses[WEIR_LOT_RUNS]);
};

void weir_fit_init_ref(struct weir_fit *fit);
#if defined(__x86_64__)
void weir_fit_init_avx2(struct weir_fit *fit);
#endif

#endif
