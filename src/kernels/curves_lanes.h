/* curves_lanes.h - gates and caps on registers of LANES floats, of what attend_lanes.h lists. */
#ifndef WEIR_KERNELS_CURVES_LANES_H
#define WEIR_KERNELS_CURVES_LANES_H

#include "kernels/kernels_internal.h"

static void sigmoid_mul(float *x, const float *gate, size_t count)
{
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const lanes value = load_floats(x + i, left);
        const lanes g = load_floats(gate + i, left);
        const lanes shrink = add(exp_of(subtract(spread(0.0f), g)), spread(1.0f));
        /* Times 0 a finite gate is nothing, and an infinity what is not a number. */
        store_floats(x + i, multiply_add(g, spread(0.0f), divide(value, shrink)), left);
    }
}

/* tanh(x) = 1 - 2 / (exp(2 x) + 1). */
static void softcap(float *x, size_t count, float cap)
{
    for (size_t i = 0; i < count; i += LANES) {
        const size_t left = count - i;
        const lanes value = load_floats(x + i, left);
        const lanes grown = exp_of(multiply(value, spread(2.0f / cap)));
        const lanes part = divide(spread(-2.0f * cap), add(grown, spread(1.0f)));
        /* Times 0 a finite value is nothing, and an infinity what is not a number. */
        store_floats(x + i, multiply_add(value, spread(0.0f), add(part, spread(cap))), left);
    }
}

#endif
