/* peak.c - how fast this CPU multiplies and adds bytes: the ceiling of a prompt.
 *
 *   build/release/bench/peak [THREADS]      prints {"threads":T,"ops_per_s":R}
 *
 * Two operations for each product. The best of several rounds counts.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "ops_peak.h"

enum { ROUNDS = 9 };

int main(int argc, char **argv)
{
    weir_pool *pool = NULL;
    struct weir_err err = {0};
    double best = 0.0;
    uint32_t n_thread = weir_sys_cpu_count();
    if (argc > 1)
        n_thread = (uint32_t)strtoul(argv[1], NULL, 10);
    if (n_thread < 1 || n_thread > WEIR_THREAD_MAX || argc > 2) {
        fprintf(stderr, "usage: peak [THREADS]   wanted 1 to %d threads\n", WEIR_THREAD_MAX);
        return 2;
    }
    if (weir_pool_create(&pool, n_thread, &err) != WEIR_OK) {
        fprintf(stderr, "peak: %s\n", err.text);
        return EXIT_FAILURE;
    }
    for (int round = 0; round < ROUNDS; round++)
        best = fmax(best, ops_peak_measure(pool, n_thread, weir_cpu_flags(), false));
    printf("{\"threads\": %u, \"ops_per_s\": %.0f}\n", n_thread, best * 1e9);
    weir_pool_destroy(&pool);
    return EXIT_SUCCESS;
}
