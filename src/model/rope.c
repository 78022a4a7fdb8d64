/* rope.c - the angles of rotary position embedding, computed once for every position. */
#include "model/model_internal.h"

#include <math.h>

/* The pair that turns so often within the context that the model was first trained for
 * (arXiv:2309.00071, eq. 17 solved for the pair). */
static double find_pair(const struct weir_rope *rope, uint32_t n_rot, double turns)
{
    const double tau = 6.283185307179586;
    return n_rot * log(rope->n_ctx_original / (turns * tau)) / (2.0 * log((double)rope->base));
}

/* YaRN: pairs that turn often keep their frequency, those that turn less than once are scaled,
 * between the two it is a blend (arXiv:2309.00071, eq. 18 to 20). The share that is kept. */
static double kept_share(const struct weir_rope *rope, uint32_t n_rot, uint32_t pair)
{
    if (rope->extrapolation == 0.0f)
        return 0.0;
    const double low = fmax(floor(find_pair(rope, n_rot, (double)rope->beta_fast)), 0.0);
    const double high = fmin(ceil(find_pair(rope, n_rot, (double)rope->beta_slow)), n_rot - 1.0);
    const double scaled = (pair - low) / fmax(0.001, high - low);
    return (1.0 - fmin(fmax(scaled, 0.0), 1.0)) * (double)rope->extrapolation;
}

void weir_rope_fill(float *table, const struct weir_shape *shape, const float *factors,
                    uint32_t n_ctx)
{
    const struct weir_rope *rope = &shape->rope;
    const uint32_t n_pair = shape->n_rot / 2;
    const double magnitude = (double)rope->magnitude;
    for (uint32_t pair = 0; pair < n_pair; pair++) {
        double frequency = pow((double)rope->base, -2.0 * pair / shape->n_rot);
        if (factors != NULL)
            frequency /= (double)factors[pair];
        const double kept = kept_share(rope, shape->n_rot, pair);
        frequency *= (double)rope->scale * (1.0 - kept) + kept;
        for (uint32_t position = 0; position < n_ctx; position++) {
            float *angles = table + (size_t)position * shape->n_rot;
            angles[pair] = (float)(magnitude * cos(frequency * position));
            angles[n_pair + pair] = (float)(magnitude * sin(frequency * position));
        }
    }
}
