/* glu_avx2.c - gated units on 256-bit registers. */
#include "kernels/x86/floats_avx2.h"

#include "kernels/glu_lanes.h"

void weir_glu_init_avx2(struct weir_kernels *kernels)
{
    glu_init(kernels);
}
