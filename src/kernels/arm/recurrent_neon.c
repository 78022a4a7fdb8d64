/* recurrent_neon.c - the short convolution and the gated delta rule on 128-bit registers. */
#include "kernels/arm/floats_neon.h"

enum { DELTA_TILES = WEIR_DELTA_COL_MAX / LANES, DELTA_SUMS = 1 };

#include "kernels/recurrent_lanes.h"

void weir_recurrent_init_neon(struct weir_kernels *kernels)
{
    kernels->conv = conv;
    kernels->delta = delta;
}
