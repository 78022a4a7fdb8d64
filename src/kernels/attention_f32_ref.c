/* attention_f32_ref.c - attention of one query head over K and V in f32. */
#include "kernels/kernels.h"

void weir_attention_f32(const struct weir_attention_f32 *job)
{
    for (size_t position = 0; position < job->n_position; position++) {
        const float *k = job->k + position * job->kv_stride;
        float dot = 0.0f;
        for (size_t i = 0; i < job->d_head; i++)
            dot += job->q[i] * k[i];
        job->score[position] = dot * job->scale;
    }
    weir_softmax(job->score, job->n_position);
    for (size_t i = 0; i < job->d_head; i++)
        job->out[i] = 0.0f;
    for (size_t position = 0; position < job->n_position; position++) {
        const float *v = job->v + position * job->kv_stride;
        for (size_t i = 0; i < job->d_head; i++)
            job->out[i] += job->score[position] * v[i];
    }
}
