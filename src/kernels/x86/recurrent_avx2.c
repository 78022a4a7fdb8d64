/* recurrent_avx2.c - the short convolution and the gated delta rule on 256-bit registers. */
#include "kernels/x86/floats_avx2.h"

enum { DELTA_TILES = WEIR_DELTA_COL_MAX / LANES, DELTA_SUMS = 1 };

#include "kernels/recurrent_lanes.h"

void weir_recurrent_init_avx2(struct weir_kernels *kernels)
{
    kernels->conv = conv;
    kernels->delta = delta;
}
