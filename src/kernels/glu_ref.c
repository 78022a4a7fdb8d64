/* glu_ref.c - the gated units of feed-forward networks in C: the definition of correct.
 *
 * A limit must not turn what is infinite into a number: times 0 a finite value is nothing, and an
 * infinite one what is not a number. */
#include "kernels/kernels_internal.h"

WEIR_INLINE float silu(float x)
{
    return x / (1.0f + expf(-x));
}

WEIR_INLINE float at_most(float x, float limit)
{
    return (x > limit ? limit : x) + 0.0f * x;
}

WEIR_INLINE float clamp(float x, float limit)
{
    return (x > limit ? limit : x < -limit ? -limit : x) + 0.0f * x;
}

static void glu_silu(float *gate, const float *up, size_t count, float limit)
{
    (void)limit;
    for (size_t i = 0; i < count; i++)
        gate[i] = silu(gate[i]) * up[i];
}

static void glu_silu_of_less(float *gate, const float *up, size_t count, float limit)
{
    for (size_t i = 0; i < count; i++)
        gate[i] = silu(at_most(gate[i], limit)) * clamp(up[i], limit);
}

static void glu_less_of_silu(float *gate, const float *up, size_t count, float limit)
{
    for (size_t i = 0; i < count; i++)
        gate[i] = at_most(silu(gate[i]), limit) * clamp(up[i], limit);
}

static void glu_oai(float *gate, const float *up, size_t count, float limit)
{
    for (size_t i = 0; i < count; i++) {
        const float x = at_most(gate[i], limit);
        gate[i] = x / (1.0f + expf(-1.702f * x)) * (clamp(up[i], limit) + 1.0f);
    }
}

/* (1 + tanh(z)) / 2 = 1 / (1 + exp(-2 z)). */
static void glu_gelu(float *gate, const float *up, size_t count, float limit)
{
    static const float twice_root = 1.5957691216f; /* 2 sqrt(2 / pi) */
    (void)limit;
    for (size_t i = 0; i < count; i++) {
        const float x = gate[i];
        const float z = twice_root * x * (1.0f + 0.044715f * x * x);
        gate[i] = x / (1.0f + expf(-z)) * up[i];
    }
}

void weir_glu_init_ref(struct weir_kernels *kernels)
{
    kernels->glu[WEIR_GLU_SILU] = glu_silu;
    kernels->glu[WEIR_GLU_SILU_OF_LESS] = glu_silu_of_less;
    kernels->glu[WEIR_GLU_LESS_OF_SILU] = glu_less_of_silu;
    kernels->glu[WEIR_GLU_OAI] = glu_oai;
    kernels->glu[WEIR_GLU_GELU] = glu_gelu;
}
