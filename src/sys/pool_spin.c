/* pool_spin.c - how long a thread spins before it sleeps: alone, so that tests link another time.
 *
 * Longer than the gap between two jobs of one token, even when a few experts are read in it. Who
 * sleeps is late at the next job.
 */
#include "sys/sys_internal.h"

const uint64_t weir_pool_spin_ns = 4000000;
