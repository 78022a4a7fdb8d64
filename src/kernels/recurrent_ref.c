/* recurrent_ref.c - the short convolution and the gated delta rule in C: the definition of correct.
 */
#include "kernels/kernels_internal.h"

static void conv_channel(const struct weir_conv *job, size_t c)
{
    float window[WEIR_CONV_TAP_MAX]; /* the position's x is the last */
    for (size_t j = 0; j + 1 < job->n_tap; j++)
        window[j] = job->past[j * job->tap_stride + c];
    for (size_t t = 0; t < job->n_position; t++) {
        float *x = job->x + t * job->x_stride + c;
        float y = 0.0f;
        window[job->n_tap - 1] = *x;
        for (size_t j = 0; j < job->n_tap; j++)
            y += job->taps[j * job->tap_stride + c] * window[j];
        for (size_t j = 0; j + 1 < job->n_tap; j++)
            window[j] = window[j + 1];
        *x = y / (1.0f + expf(-y));
    }
    for (size_t j = 0; j + 1 < job->n_tap; j++)
        job->past[j * job->tap_stride + c] = window[j];
}

static void conv(const struct weir_conv *job)
{
    for (size_t c = 0; c < job->n_channel; c++)
        conv_channel(job, c);
}

/* One position. */
static void step(const struct weir_delta *job, size_t t)
{
    const struct weir_delta_gate *gate = &job->gate[t * job->gate_stride];
    const float *q = job->q + t * job->key_stride;
    const float *k = job->k + t * job->key_stride;
    float read[WEIR_DELTA_COL_MAX] = {0};
    float found[WEIR_DELTA_COL_MAX] = {0};
    for (size_t i = 0; i < job->d_key; i++)
        for (size_t j = 0; j < job->n_col; j++) {
            read[j] += q[i] * job->state[i * job->n_col + j];
            found[j] += k[i] * job->state[i * job->n_col + j];
        }
    for (size_t j = 0; j < job->n_col; j++) {
        const float v = job->v[t * job->v_stride + j];
        const float d = gate->beta * (v - gate->decay * found[j]);
        job->out[t * job->v_stride + j] = gate->decay * read[j] + gate->overlap * d;
        for (size_t i = 0; i < job->d_key; i++) {
            float *s = &job->state[i * job->n_col + j];
            *s = gate->decay * *s + k[i] * d;
        }
    }
}

static void delta(const struct weir_delta *job)
{
    for (size_t t = 0; t < job->n_position; t++)
        step(job, t);
}

void weir_recurrent_init_ref(struct weir_kernels *kernels)
{
    kernels->conv = conv;
    kernels->delta = delta;
}
