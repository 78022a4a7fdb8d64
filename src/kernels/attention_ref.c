/* attention_ref.c - a block's part of attention in C, over K and V of f16 or f32. */
#include <math.h>

#include "kernels/attend.h"
#include "kernels/kernels_internal.h"

WEIR_INLINE float value_of(const void *row, size_t at, const bool is_f32)
{
    return is_f32 ? ((const float *)row)[at] : weir_f16_to_f32(((const uint16_t *)row)[at]);
}

WEIR_INLINE void fill_scores(const struct weir_attend_range *range, weir_attend_scores *scores,
                             const bool is_f32)
{
    for (size_t j = 0; j < range->n; j++) {
        const struct weir_attention *job = &range->jobs[j];
        for (size_t position = range->begin; position < range->end; position++) {
            const size_t row = weir_attend_row(range, job->k_stride, position);
            float dot = 0.0f;
            for (size_t i = 0; i < job->d_head; i++)
                dot += job->q[i] * value_of(job->k, row + i, is_f32);
            scores[j][position - range->block] = dot * job->scale;
        }
    }
}

static float soften(float *scores, size_t count, float *most)
{
    float sum = 0.0f;
    for (size_t i = 0; i < count; i++)
        *most = scores[i] > *most ? scores[i] : *most;
    for (size_t i = 0; i < count; i++) {
        /* Times 0 a finite score is nothing, and minus infinity what is not a number. */
        scores[i] = expf(scores[i] - *most) + 0.0f * scores[i];
        sum += scores[i];
    }
    return sum;
}

WEIR_INLINE void add_values(const struct weir_attend_range *range, const weir_attend_scores *scores,
                            const bool is_f32)
{
    for (size_t j = 0; j < range->n; j++) {
        const struct weir_attention *job = &range->jobs[j];
        for (size_t position = range->begin; position < range->end; position++) {
            const size_t row = weir_attend_row(range, job->v_stride, position);
            for (size_t i = 0; i < job->d_value; i++)
                job->out[i] +=
                    scores[j][position - range->block] * value_of(job->v, row + i, is_f32);
        }
    }
}

static void fill_scores_f16(const struct weir_attend_range *range, weir_attend_scores *scores)
{
    fill_scores(range, scores, false);
}

static void add_values_f16(const struct weir_attend_range *range, const weir_attend_scores *scores)
{
    add_values(range, scores, false);
}

static void fill_scores_f32(const struct weir_attend_range *range, weir_attend_scores *scores)
{
    fill_scores(range, scores, true);
}

static void add_values_f32(const struct weir_attend_range *range, const weir_attend_scores *scores)
{
    add_values(range, scores, true);
}

void weir_attention_ref(const struct weir_attention *jobs, size_t count)
{
    static const struct weir_attend_level level = {fill_scores_f16, weir_softcap_ref, soften,
                                                   add_values_f16};
    weir_attend(&level, jobs, count);
}

void weir_attention_f32(const struct weir_attention *jobs, size_t count)
{
    static const struct weir_attend_level level = {fill_scores_f32, weir_softcap_ref, soften,
                                                   add_values_f32};
    weir_attend(&level, jobs, count);
}
