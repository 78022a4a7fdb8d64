/* sim_recurrent.c - short convolutions and gated delta nets, as the simulated device computes them.
 */
#include <math.h>
#include <string.h>

#include "gpu/sim_internal.h"

/* One run: its rows, and its sequence's state from value `at` on. */
struct run {
    uint32_t first, n_row;
    float *state;
};

static struct run run_of(const struct weir_sim *sim, const struct weir_gpu_runs *runs,
                         uint32_t index, uint64_t at, uint64_t count)
{
    const uint32_t *first =
        weir_sim_at(sim, runs->first + index * sizeof(*first), 2 * sizeof(*first));
    const weir_gpu_address *state =
        weir_sim_at(sim, runs->states + index * sizeof(*state), sizeof(*state));
    WEIR_ASSERT(first[0] < first[1] && first[1] <= runs->n_row);
    return (struct run){
        .first = first[0],
        .n_row = first[1] - first[0],
        .state = weir_sim_at(sim, *state + at * sizeof(float), count * sizeof(float)),
    };
}

static float *row_at(const struct weir_sim *sim, weir_gpu_address at, uint64_t row, uint64_t stride,
                     uint64_t count)
{
    return weir_sim_at(sim, at + row * stride * sizeof(float), count * sizeof(float));
}

void weir_sim_conv(struct weir_sim *sim, const struct weir_gpu_conv *job)
{
    const uint32_t n_channel = job->n_channel;
    for (uint32_t index = 0; index < job->runs.n_run; index++) {
        const struct run run =
            run_of(sim, &job->runs, index, job->state_at, (uint64_t)(job->n_tap - 1) * n_channel);
        for (uint32_t row = run.first; row < run.first + run.n_row; row++)
            memcpy(row_at(sim, job->y, row, job->y_stride, n_channel),
                   row_at(sim, job->x, row, job->x_stride, n_channel), n_channel * sizeof(float));
        const struct weir_conv conv = {
            .x = row_at(sim, job->y, run.first, job->y_stride, n_channel),
            .past = run.state,
            .taps = row_at(sim, job->taps, 0, 0, (uint64_t)job->n_tap * n_channel),
            .x_stride = job->y_stride,
            .tap_stride = n_channel,
            .n_tap = job->n_tap,
            .n_channel = n_channel,
            .n_position = run.n_row,
        };
        sim->kernels.conv(&conv);
    }
}

/* ---- gated delta nets (model/delta.c) ------------------------------------------------------- */

/* The value head that has this place among those of a key head. */
static uint32_t value_head_at(uint32_t n_key_head, uint32_t n_value_head, bool is_tiled,
                              uint32_t key_head, uint32_t place)
{
    return is_tiled ? place * n_key_head + key_head
                    : key_head * (n_value_head / n_key_head) + place;
}

/* q and k get the length 1, q is divided by sqrt(d_key) once more: by the kernel of RMSNorm. */
static void set_lengths(struct weir_sim *sim, const struct weir_gpu_delta *job, uint32_t row)
{
    const uint32_t d_key = job->d_key;
    const float epsilon = 1e-6f / (float)d_key;
    float weights[WEIR_GPU_DELTA_KEY_MAX];
    for (uint32_t vector = 0; vector < 2 * job->n_key_head; vector++) {
        float *x = row_at(sim, job->x + (uint64_t)vector * d_key * sizeof(float), row,
                          job->x_stride, d_key);
        for (uint32_t i = 0; i < d_key; i++)
            weights[i] =
                vector < job->n_key_head ? 1.0f / (float)d_key : 1.0f / sqrtf((float)d_key);
        sim->kernels.rmsnorm(x, weights, x, d_key, epsilon);
    }
}

static double softplus(double x)
{
    return x > 20.0 ? x : log1p(exp(x));
}

/* beta = sigmoid(logit); decay = exp(a softplus(logit + bias)), a < 0. The logits become these. */
static struct weir_delta_gate gate_of(struct weir_sim *sim, const struct weir_gpu_delta *job,
                                      uint32_t row, uint32_t key_head, uint32_t place)
{
    const uint32_t share = job->n_value_head / job->n_key_head;
    const uint32_t head =
        value_head_at(job->n_key_head, job->n_value_head, job->is_tiled, key_head, place);
    const bool is_joint = job->alpha == 0;
    const uint32_t count = job->n_value_head * (is_joint ? 2 : 1);
    float *beta = row_at(sim, job->beta, row, job->gate_stride, count);
    float *alpha = is_joint ? beta : row_at(sim, job->alpha, row, job->gate_stride, count);
    beta += is_joint ? key_head * 2 * share + place : head;
    alpha += is_joint ? key_head * 2 * share + share + place : head;
    const double logit = (double)*alpha + (double)*row_at(sim, job->dt_bias, head, 1, 1);
    const double decay = (double)*row_at(sim, job->decay, head, 1, 1) * softplus(logit);
    /* Times 0 a finite value is nothing, and an infinity what is not a number. */
    *alpha = (float)(exp(decay) + 0.0 * (logit + decay));
    *beta = (float)(1.0 / (1.0 + exp(-(double)*beta)) + 0.0 * (double)*beta);
    return (struct weir_delta_gate){.decay = *alpha, .beta = *beta};
}

/* One position of a value head, column by column of its state. */
static void step_head(struct weir_sim *sim, const struct weir_gpu_delta *job, const struct run *run,
                      uint32_t row, uint32_t key_head, uint32_t place)
{
    const uint32_t d_key = job->d_key;
    const uint32_t keys = job->n_key_head * d_key;
    const uint32_t head =
        value_head_at(job->n_key_head, job->n_value_head, job->is_tiled, key_head, place);
    const float *x = row_at(sim, job->x, row, job->x_stride,
                            2 * (uint64_t)keys + (uint64_t)job->n_value_head * job->d_value);
    const float *q = x + key_head * d_key;
    const float *k = q + keys;
    const float *v = x + 2 * keys + head * job->d_value;
    float *out =
        row_at(sim, job->out, row, job->out_stride, (uint64_t)job->n_value_head * job->d_value) +
        head * job->d_value;
    float *state = run->state + (size_t)head * d_key * job->d_value;
    struct weir_delta_gate gate = gate_of(sim, job, row, key_head, place);
    for (uint32_t i = 0; i < d_key; i++)
        gate.overlap += q[i] * k[i];
    for (uint32_t first = 0; first < job->d_value; first += WEIR_DELTA_COL_MAX) {
        const struct weir_delta step = {
            .state = state + (size_t)first * d_key,
            .q = q,
            .k = k,
            .v = v + first,
            .out = out + first,
            .gate = &gate,
            .d_key = d_key,
            .n_col = weir_min(job->d_value - first, WEIR_DELTA_COL_MAX),
            .n_position = 1,
        };
        sim->kernels.delta(&step);
    }
}

void weir_sim_delta(struct weir_sim *sim, const struct weir_gpu_delta *job)
{
    const uint64_t state_count = (uint64_t)job->n_value_head * job->d_key * job->d_value;
    const uint32_t share = job->n_value_head / job->n_key_head;
    WEIR_ASSERT(job->d_key <= WEIR_GPU_DELTA_KEY_MAX);
    for (uint32_t index = 0; index < job->runs.n_run; index++) {
        const struct run run = run_of(sim, &job->runs, index, job->state_at, state_count);
        for (uint32_t row = run.first; row < run.first + run.n_row; row++) {
            set_lengths(sim, job, row);
            for (uint32_t key_head = 0; key_head < job->n_key_head; key_head++)
                for (uint32_t place = 0; place < share; place++)
                    step_head(sim, job, &run, row, key_head, place);
        }
    }
}

static void unpack_head(const struct weir_sim *sim, const struct weir_gpu_unpack *job, uint32_t row,
                        uint32_t key_head)
{
    const uint32_t share = job->n_value_head / job->n_key_head;
    const uint32_t d_key = job->d_key;
    const uint32_t d_value = job->d_value;
    const uint64_t width = 2 * (uint64_t)d_key + 2 * (uint64_t)share * d_value;
    const uint64_t keys = (uint64_t)job->n_key_head * d_key;
    const uint64_t values = (uint64_t)job->n_value_head * d_value;
    const float *q =
        row_at(sim, job->packed + key_head * width * sizeof(float), row, job->packed_stride, width);
    const float *v = q + 2 * (size_t)d_key;
    float *x = row_at(sim, job->x, row, job->x_stride, 2 * keys + values);
    float *gate = row_at(sim, job->gate, row, job->gate_stride, values);
    memcpy(x + key_head * d_key, q, d_key * sizeof(float));
    memcpy(x + keys + key_head * d_key, q + d_key, d_key * sizeof(float));
    for (uint32_t place = 0; place < share; place++, v += d_value) {
        const uint32_t head =
            value_head_at(job->n_key_head, job->n_value_head, job->is_tiled, key_head, place);
        memcpy(x + 2 * keys + (size_t)head * d_value, v, d_value * sizeof(float));
        memcpy(gate + (size_t)head * d_value, v + (size_t)share * d_value, d_value * sizeof(float));
    }
}

void weir_sim_unpack(struct weir_sim *sim, const struct weir_gpu_unpack *job)
{
    for (uint32_t row = 0; row < job->n_row; row++)
        for (uint32_t key_head = 0; key_head < job->n_key_head; key_head++)
            unpack_head(sim, job, row, key_head);
}
