/* recurrent_avx512.c - the short convolution and the gated delta rule on 512-bit registers. */
#include "kernels/x86/floats_avx512.h"

enum { DELTA_TILES = WEIR_DELTA_COL_MAX / LANES, DELTA_SUMS = 2 };

#include "kernels/recurrent_lanes.h"

void weir_recurrent_init_avx512(struct weir_kernels *kernels)
{
    kernels->conv = conv;
    kernels->delta = delta;
}
