/* glu_avx512.c - gated units on 512-bit registers. */
#include "kernels/x86/floats_avx512.h"

#include "kernels/glu_lanes.h"

void weir_glu_init_avx512(struct weir_kernels *kernels)
{
    glu_init(kernels);
}
