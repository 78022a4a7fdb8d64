/* pool_spin.c - what tests link in the place of src/sys/pool_spin.c: many run at once, and a thread
 * that spins keeps others waiting. */
#include "sys/sys_internal.h"

const uint64_t weir_pool_spin_ns = 50000;
