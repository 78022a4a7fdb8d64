/* bootstrap.c - intervals by drawing chunks. */
#include "bootstrap.h"

#include <math.h>

#include "base/base.h"
#include "base/heap.h"
#include "likelihood.h"

static double draw(const double *above, const double *below, size_t count, uint64_t *state)
{
    double sum = 0.0;
    double weight = 0.0;
    for (size_t pick = 0; pick < count; pick++) {
        const size_t at = (size_t)(weir_random_unit(state) * (double)count);
        sum += above[at];
        weight += below[at];
    }
    return sum / weight;
}

bool weir_cli_bootstrap(struct weir_cli_interval *interval, const double *above,
                        const double *below, size_t count, uint64_t seed)
{
    double sum = 0.0;
    double weight = 0.0;
    for (size_t at = 0; at < count; at++) {
        sum += above[at];
        weight += below[at];
    }
    *interval = (struct weir_cli_interval){sum / weight, (double)NAN, (double)NAN};
    if (count < WEIR_CLI_DRAW_CHUNK_MIN || !isfinite(interval->value))
        return true;
    double *ratios = weir_heap_array(WEIR_CLI_DRAW_COUNT, sizeof(*ratios));
    if (ratios == NULL)
        return false;
    for (int round = 0; round < WEIR_CLI_DRAW_COUNT; round++)
        ratios[round] = draw(above, below, count, &seed);
    weir_sort_reals(ratios, WEIR_CLI_DRAW_COUNT);
    interval->low = weir_cli_quantile(ratios, WEIR_CLI_DRAW_COUNT, 0.025);
    interval->high = weir_cli_quantile(ratios, WEIR_CLI_DRAW_COUNT, 0.975);
    weir_heap_free(ratios);
    return true;
}
