/* rope.c - the angles of rotary position embedding, for the rows of a step. */
#include "model/linear.h"

#include <math.h>

/* The pair that turns so often within the context that the model was first trained for
 * (arXiv:2309.00071, eq. 17 solved for the pair). */
static double find_pair(const struct weir_rope *rope, double turns)
{
    const double tau = 6.283185307179586;
    return rope->n_rot * log(rope->n_ctx_original / (turns * tau)) /
           (2.0 * log((double)rope->base));
}

/* YaRN: pairs that turn often keep their frequency, those that turn less than once are scaled,
 * between the two it is a blend (arXiv:2309.00071, eq. 18 to 20). The share that is kept. */
static double kept_share(const struct weir_rope *rope, uint32_t pair)
{
    if (rope->extrapolation == 0.0f)
        return 0.0;
    const double first = find_pair(rope, (double)rope->beta_fast);
    const double last = find_pair(rope, (double)rope->beta_slow);
    const double low = fmax(rope->is_exact ? first : floor(first), 0.0);
    const double high = fmin(rope->is_exact ? last : ceil(last), rope->n_rot - 1.0);
    const double scaled = (pair - low) / fmax(0.001, high - low);
    return (1.0 - fmin(fmax(scaled, 0.0), 1.0)) * (double)rope->extrapolation;
}

/* base^(-2 i / n_rot) of each pair (arXiv:2104.09864 eq. 15), as it is stretched. factors (may be
 * NULL) divides it (arXiv:2407.21783, rope scaling). */
static void fill_frequencies(double *frequency, const struct weir_rope *rope, const float *factors)
{
    for (uint32_t pair = 0; pair < rope->n_rot / 2; pair++) {
        const double kept = kept_share(rope, pair);
        frequency[pair] = pow((double)rope->base, -2.0 * pair / rope->n_rot);
        if (factors != NULL)
            frequency[pair] /= (double)factors[pair];
        frequency[pair] *= (double)rope->scale * (1.0 - kept) + kept;
    }
}

void weir_rope_layout(struct weir_forward *forward, struct weir_mem *mem)
{
    const uint64_t n_chunk = forward->config.n_chunk;
    for (int kind = 0; kind < WEIR_ROPE_COUNT; kind++) {
        const uint32_t n_rot = forward->shape->rope[kind].n_rot;
        struct weir_angles *angles = &forward->angles[kind];
        if (n_rot == 0)
            continue;
        angles->frequency = weir_mem_alloc(mem, WEIR_MEM_SCRATCH,
                                           n_rot / 2 * sizeof(*angles->frequency), sizeof(double));
        angles->rows = weir_take_floats(mem, n_chunk * n_rot);
    }
}

/* What divides the frequencies of a context: the factors of all, or those of long or short ones
 * (LongRoPE, arXiv:2402.13753). */
static const float *choose_factors(const struct weir_forward *forward, const struct weir_rope *rope)
{
    const struct weir_model *model = forward->config.model;
    if (!rope->has_factors)
        return NULL;
    if (model->rope_factors.tensor != NULL)
        return model->rope_factors.data;
    if (forward->config.n_ctx > rope->n_ctx_original)
        return model->rope_long.data;
    return model->rope_short.data;
}

void weir_rope_open(struct weir_forward *forward)
{
    for (int kind = 0; kind < WEIR_ROPE_COUNT; kind++) {
        const struct weir_rope *rope = &forward->shape->rope[kind];
        if (rope->n_rot > 0)
            fill_frequencies(forward->angles[kind].frequency, rope, choose_factors(forward, rope));
    }
}

/* cos, then sin, of each pair. */
static void fill_angles(const struct weir_forward *forward, int kind, uint64_t row)
{
    const struct weir_rope *rope = &forward->shape->rope[kind];
    const uint32_t n_pair = rope->n_rot / 2;
    const double magnitude = (double)rope->magnitude;
    const double position = forward->step.rows[row].position;
    float *angles = forward->angles[kind].rows + row * rope->n_rot;
    for (uint32_t pair = 0; pair < n_pair; pair++) {
        const double angle = forward->angles[kind].frequency[pair] * position;
        angles[pair] = (float)(magnitude * cos(angle));
        angles[n_pair + pair] = (float)(magnitude * sin(angle));
    }
}

static void fill_rows(void *user, uint32_t part, uint32_t n_part)
{
    const struct weir_forward *forward = user;
    uint64_t begin;
    uint64_t end;
    weir_part_range(forward->step.n_row, part, n_part, &begin, &end);
    for (uint64_t row = begin; row < end; row++)
        for (int kind = 0; kind < WEIR_ROPE_COUNT; kind++)
            if (forward->shape->rope[kind].n_rot > 0)
                fill_angles(forward, kind, row);
}

void weir_rope_begin(struct weir_forward *forward)
{
    weir_forward_by_row(forward, "angles", fill_rows);
}

const float *weir_rope_angles(const struct weir_forward *forward, enum weir_rope_kind kind,
                              uint64_t row)
{
    return forward->angles[kind].rows + row * forward->shape->rope[kind].n_rot;
}
