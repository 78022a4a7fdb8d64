/* encode_steps.h - what the encoders share: rounding to steps and to halves. */
#ifndef WEIR_ENCODE_STEPS_H
#define WEIR_ENCODE_STEPS_H

#include <math.h>
#include <stdint.h>

#include "quant/quant.h"

/* Nearest step of x / scale in [low, high]; under a scale of 0, which makes all steps alike, 0. */
static inline int nearest(float x, float scale, int low, int high)
{
    if (scale == 0.0f)
        return 0;
    /* Held in range before it becomes an integer: the quotient may be past any of them. */
    return (int)lrintf(fminf(fmaxf(x / scale, (float)low), (float)high));
}

/* The half nearest to a scale or minimum; the largest finite one ends them. */
static inline uint16_t to_half(float value)
{
    return weir_f32_to_f16(fminf(fmaxf(value, -65504.0f), 65504.0f));
}

/* The value of largest magnitude, with its sign. */
static inline float find_extreme(const float *x, int count)
{
    float extreme = 0.0f;
    for (int i = 0; i < count; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    return extreme;
}

/* The code whose step is nearest to x / scale, the first of those alike. */
static inline int nearest_code(float x, float scale, const int8_t steps[16])
{
    /* No step is past 127: held there, quotients past what floats tell apart keep their side. */
    const float quotient = scale == 0.0f ? 0.0f : fminf(fmaxf(x / scale, -127.0f), 127.0f);
    int best = 0;
    for (int code = 1; code < 16; code++)
        if (fabsf((float)steps[code] - quotient) < fabsf((float)steps[best] - quotient))
            best = code;
    return best;
}

/* Blocks of the IQ, TQ and other low-bit formats; block is aligned for its struct. */
void weir_encode_low(enum weir_type type, const float *x, void *block);

#endif
