/* glu_lanes.h - gated units on registers of LANES floats; the equations are in glu_ref.c.
 *
 * A level includes this after its floats, which give type lanes, LANES and
 *
 *   spread(x)  load_floats(at, count)  store_floats(at, x, count)
 *   multiply(a, b)  multiply_add(a, b, c) = a * b + c  add(a, b)  subtract(a, b)  divide(a, b)
 *   minimum(a, b)  maximum(a, b)  exp_of(x)
 *
 * where lanes past the first `count` read as 0 and are not stored. It gives glu_init(). */
#ifndef WEIR_KERNELS_GLU_LANES_H
#define WEIR_KERNELS_GLU_LANES_H

#include "kernels/kernels_internal.h"

/* x / (1 + exp(-z)) */
WEIR_INLINE lanes times_sigmoid(lanes x, lanes z)
{
    return divide(x, add(spread(1.0f), exp_of(subtract(spread(0.0f), z))));
}

/* A limit must not turn what is infinite into a number. */
WEIR_INLINE lanes at_most(lanes x, lanes limit)
{
    return add(minimum(x, limit), multiply(spread(0.0f), x));
}

WEIR_INLINE lanes clamp(lanes x, lanes limit)
{
    const lanes least = subtract(spread(0.0f), limit);
    return add(maximum(minimum(x, limit), least), multiply(spread(0.0f), x));
}

WEIR_INLINE lanes glu_of(enum weir_glu kind, lanes gate, lanes up, lanes limit)
{
    const lanes less = at_most(gate, limit);
    switch (kind) {
    case WEIR_GLU_SILU_OF_LESS:
        return multiply(times_sigmoid(less, less), clamp(up, limit));
    case WEIR_GLU_LESS_OF_SILU:
        return multiply(at_most(times_sigmoid(gate, gate), limit), clamp(up, limit));
    case WEIR_GLU_OAI:
        return multiply(times_sigmoid(less, multiply(spread(1.702f), less)),
                        add(clamp(up, limit), spread(1.0f)));
    case WEIR_GLU_GELU: {
        const lanes square = multiply(gate, gate);
        const lanes z = multiply(multiply(spread(1.5957691216f), gate),
                                 multiply_add(spread(0.044715f), square, spread(1.0f)));
        return multiply(times_sigmoid(gate, z), up);
    }
    default:
        return multiply(times_sigmoid(gate, gate), up);
    }
}

/* kind is a constant wherever this is called. */
WEIR_INLINE void glu_all(enum weir_glu kind, float *gate, const float *up, size_t count,
                         float limit)
{
    for (size_t at = 0; at < count; at += LANES) {
        const lanes result = glu_of(kind, load_floats(gate + at, count - at),
                                    load_floats(up + at, count - at), spread(limit));
        store_floats(gate + at, result, count - at);
    }
}

static void glu_silu(float *gate, const float *up, size_t count, float limit)
{
    glu_all(WEIR_GLU_SILU, gate, up, count, limit);
}

static void glu_silu_of_less(float *gate, const float *up, size_t count, float limit)
{
    glu_all(WEIR_GLU_SILU_OF_LESS, gate, up, count, limit);
}

static void glu_less_of_silu(float *gate, const float *up, size_t count, float limit)
{
    glu_all(WEIR_GLU_LESS_OF_SILU, gate, up, count, limit);
}

static void glu_oai(float *gate, const float *up, size_t count, float limit)
{
    glu_all(WEIR_GLU_OAI, gate, up, count, limit);
}

static void glu_gelu(float *gate, const float *up, size_t count, float limit)
{
    glu_all(WEIR_GLU_GELU, gate, up, count, limit);
}

static void glu_init(struct weir_kernels *kernels)
{
    kernels->glu[WEIR_GLU_SILU] = glu_silu;
    kernels->glu[WEIR_GLU_SILU_OF_LESS] = glu_silu_of_less;
    kernels->glu[WEIR_GLU_LESS_OF_SILU] = glu_less_of_silu;
    kernels->glu[WEIR_GLU_OAI] = glu_oai;
    kernels->glu[WEIR_GLU_GELU] = glu_gelu;
}

#endif
