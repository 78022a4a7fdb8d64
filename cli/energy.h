/* energy.h - joules of the processors, as RAPL counts them, where the kernel lets us read it.
 *
 * Job       What the packages, and memory where it is apart, have used between two moments. It is
 *           the whole machine's: what others do meanwhile is in it.
 * Not here  What is made of it: report.c.
 * Units     Joules.
 * Owns      Nothing that is to be given back.
 * Threads   One.
 * Errors    What cannot be read is not known, from then on: NAN, never a guess.
 * Source    Documentation/power/powercap/powercap.rst of Linux
 */
#ifndef WEIR_CLI_ENERGY_H
#define WEIR_CLI_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

enum { WEIR_CLI_ENERGY_DOMAIN_MAX = 32, WEIR_CLI_ENERGY_PATH_MAX = 288 };

struct weir_cli_energy {
    uint32_t count; /* domains; 0: nothing is known */
    struct weir_cli_energy_domain {
        char path[WEIR_CLI_ENERGY_PATH_MAX]; /* of its counter */
        uint64_t range_uj;                   /* it begins anew there */
        uint64_t last_uj;
    } domains[WEIR_CLI_ENERGY_DOMAIN_MAX];
    double joules; /* since the last take */
    uint64_t read_ns;
};

#define WEIR_CLI_ENERGY_ROOT "/sys/class/powercap"

/* Begin to count. */
void weir_cli_energy_begin(struct weir_cli_energy *energy, const char *root);
/* To be called every now and then: counters that begin anew twice between two looks would be taken
 * for such that did so once. Reads at most every ten seconds. */
void weir_cli_energy_look(struct weir_cli_energy *energy);
/* Add to *joules what was used since begin or the last take; NAN where that is not known. NULL:
 * forget it. */
void weir_cli_energy_take(struct weir_cli_energy *energy, double *joules);

#endif
