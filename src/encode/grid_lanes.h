/* grid_lanes.h - the search for entries of codebooks on registers of LANES floats (lanes.h).
 *
 * The error of an entry is a sum over its places, so that of its halves: errors of all half
 * patterns are added up once for a group, and an entry is then the sum of two of them. */
#ifndef WEIR_ENCODE_GRID_LANES_H
#define WEIR_ENCODE_GRID_LANES_H

#include "encode/fit.h"
#include "encode/lanes.h"

/* Errors of half patterns, and the pattern without an error but that of rounding to levels. */
struct half_errors {
    float errors[WEIR_BOOK_HALVES][WEIR_LOT_RUNS];
    float pattern[WEIR_LOT_RUNS];
};

/* Errors of each level at a place; adds the best one's digit, times base, to *pattern. */
LANES_INLINE void try_levels(const struct weir_book *book, const struct weir_groups *groups,
                             int place, int first, lanes scale, float delta, const int level_count,
                             float base, lanes *errors, lanes *pattern)
{
    const lanes x = load(&groups->x[place][first]);
    const lanes w = load(&groups->w[place][first]);
    lanes best = spread(0.0f);
    lanes digit = spread(0.0f);
    for (int level = 0; level < level_count; level++) {
        const lanes miss = x - scale * ((float)book->levels[level] + delta);
        errors[level] = w * (miss * miss);
        const masks is_less = level == 0 ? (masks){0} : errors[level] < best;
        best = level == 0 ? errors[0] : pick(is_less, errors[level], best);
        digit = pick(is_less, spread((float)level), digit);
    }
    *pattern += digit * base;
}

/* Four places of three levels. */
LANES_INLINE void add_threes(const struct weir_book *book, const struct weir_groups *groups,
                             int side, int first, lanes scale, float delta,
                             struct half_errors *half)
{
    lanes errors[4][3];
    lanes pairs[2][9];
    lanes pattern = spread(0.0f);
    for (int place = 0; place < 4; place++) {
        static const float bases[4] = {1.0f, 3.0f, 9.0f, 27.0f};
        try_levels(book, groups, 4 * side + place, first, scale, delta, 3, bases[place],
                   errors[place], &pattern);
    }
    for (int pair = 0; pair < 2; pair++)
        for (int at = 0; at < 9; at++)
            pairs[pair][at] = errors[2 * pair][at % 3] + errors[2 * pair + 1][at / 3];
    for (int high = 0; high < 9; high++)
        for (int low = 0; low < 9; low++)
            store(&half->errors[9 * high + low][first], pairs[0][low] + pairs[1][high]);
    store(&half->pattern[first], pattern);
}

/* Two places of eight levels. */
LANES_INLINE void add_eights(const struct weir_book *book, const struct weir_groups *groups,
                             int side, int first, lanes scale, float delta,
                             struct half_errors *half)
{
    lanes errors[2][8];
    lanes pattern = spread(0.0f);
    for (int place = 0; place < 2; place++)
        try_levels(book, groups, 2 * side + place, first, scale, delta, 8, place == 0 ? 1.0f : 8.0f,
                   errors[place], &pattern);
    for (int high = 0; high < 8; high++)
        for (int low = 0; low < 8; low++)
            store(&half->errors[8 * high + low][first], errors[0][low] + errors[1][high]);
    store(&half->pattern[first], pattern);
}

static void find_entries(const struct weir_book *book, const struct weir_groups *groups,
                         const float scales[WEIR_LOT_RUNS], float delta, int depth,
                         uint16_t entries[WEIR_LOT_RUNS], float misses[WEIR_LOT_RUNS])
{
    struct half_errors halves[2];
    for (int side = 0; side < 2; side++)
        for (int first = 0; first < WEIR_LOT_RUNS; first += LANES) {
            const lanes scale = load(&scales[first]);
            if (book->level_count == 3)
                add_threes(book, groups, side, first, scale, delta, &halves[side]);
            else
                add_eights(book, groups, side, first, scale, delta, &halves[side]);
        }
    for (int run = 0; run < WEIR_LOT_RUNS; run++) {
        const int pattern =
            (int)halves[0].pattern[run] + book->half_count * (int)halves[1].pattern[run];
        const uint16_t *near = book->near[pattern];
        uint16_t best = near[0];
        float least = halves[0].errors[book->halves[best][0]][run] +
                      halves[1].errors[book->halves[best][1]][run];
        for (int at = 1; at < depth; at++) {
            const uint8_t *half = book->halves[near[at]];
            const float error = halves[0].errors[half[0]][run] + halves[1].errors[half[1]][run];
            best = error < least ? near[at] : best;
            least = error < least ? error : least;
        }
        entries[run] = best;
        misses[run] = least;
    }
}

#endif
