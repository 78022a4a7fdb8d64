/* bootstrap.h - how sure a mean over chunks is: a percentile bootstrap (Efron 1979), seeded.
 *
 * Job       Draw chunks with replacement, as many as there are, many times, and tell where 95 % of
 *           the ratios of the sums lie. Of two files on the same chunks the differences are drawn,
 *           so what makes a chunk hard for both does not count (paired).
 * Owns      Nothing.
 * Threads   One.
 * Errors    False: no memory.
 */
#ifndef WEIR_CLI_BOOTSTRAP_H
#define WEIR_CLI_BOOTSTRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WEIR_CLI_DRAW_COUNT = 2000,
    WEIR_CLI_DRAW_CHUNK_MIN = 10, /* of fewer no draw can tell where the mean is with 95 % */
};

struct weir_cli_interval {
    double value, low, high; /* low and high are NAN of too few chunks */
};

/* value is the sum of above over the sum of below; [count] each. */
bool weir_cli_bootstrap(struct weir_cli_interval *interval, const double *above,
                        const double *below, size_t count, uint64_t seed);

#endif
