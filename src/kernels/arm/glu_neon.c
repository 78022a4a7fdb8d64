/* glu_neon.c - gated units on 128-bit registers. */
#include "kernels/arm/floats_neon.h"

#include "kernels/glu_lanes.h"

void weir_glu_init_neon(struct weir_kernels *kernels)
{
    glu_init(kernels);
}
