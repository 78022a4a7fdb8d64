/* rope.c - the angles of rotary position embedding, computed once for every position. */
#include "model/model_internal.h"

#include <math.h>

void weir_rope_fill(float *table, const struct weir_shape *shape, const float *factors,
                    uint32_t n_ctx)
{
    const uint32_t n_pair = shape->n_rot / 2;
    for (uint32_t pair = 0; pair < n_pair; pair++) {
        double frequency = pow((double)shape->rope_base, -2.0 * pair / shape->n_rot);
        if (factors != NULL)
            frequency /= (double)factors[pair];
        frequency *= (double)shape->rope_scale;
        for (uint32_t position = 0; position < n_ctx; position++) {
            float *angles = table + (size_t)position * shape->n_rot;
            angles[pair] = (float)cos(frequency * position);
            angles[n_pair + pair] = (float)sin(frequency * position);
        }
    }
}
