/* gpu_check_states.h - checks of what goes from position to position: convolutions, delta nets. */
#ifndef WEIR_BENCH_GPU_CHECK_STATES_H
#define WEIR_BENCH_GPU_CHECK_STATES_H

#include "gpu_check.h"

enum { STATE_TAPS = 4, STATE_KEY_HEADS = 2, STATE_VALUE_HEADS = 4, STATE_KEY = 128 };
enum { STATE_TILED = 1, STATE_JOINT = 2, STATE_NARROW = 4 };

/* One run of n_row rows, or as many of one row; states of `count` values. */
static struct weir_gpu_runs put_runs(struct stage *stage, uint32_t n_row, bool is_one, size_t count)
{
    const uint32_t n_run = is_one ? 1 : n_row;
    uint32_t *first = stage_host((n_run + 1) * sizeof(*first));
    weir_gpu_address *states = stage_host(n_run * sizeof(*states));
    const weir_gpu_address start = stage_floats(stage, (size_t)n_run * count, 0.3f);
    for (uint32_t run = 0; run < n_run; run++) {
        first[run] = run;
        states[run] = start + run * count * sizeof(float);
    }
    first[n_run] = n_row;
    const struct weir_gpu_runs runs = {
        .first = stage_put(stage, first, (n_run + 1) * sizeof(*first)),
        .states = stage_put(stage, states, n_run * sizeof(*states)),
        .n_run = n_run,
        .n_row = n_row,
    };
    free(first);
    free(states);
    return runs;
}

/* The states that runs begin with are the first piece that put_runs() puts. */
static void keep_states(struct stage *stage, weir_gpu_address states, uint32_t n_run, size_t count)
{
    stage_keep(stage, states, n_run * count, stage->out_row);
}

static void check_conv(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const bool is_one = check->way == WEIR_GPU_PROMPT;
    struct weir_gpu_conv job = {
        .x_stride = 1028, .y_stride = 1032, .n_tap = STATE_TAPS, .n_channel = 1024, .state_at = 64};
    const size_t count = (size_t)job.state_at + (STATE_TAPS - 1) * job.n_channel;
    const weir_gpu_address states = stage->start + stage->used_bytes;
    job.runs = put_runs(stage, n_row, is_one, count);
    job.taps = stage_floats(stage, (size_t)STATE_TAPS * job.n_channel, 1.0f);
    job.x = stage_floats(stage, (size_t)n_row * job.x_stride, 1.0f);
    job.y = stage_zeros(stage, (size_t)n_row * job.y_stride * sizeof(float));
    DO(stage, weir_gpu_conv(stage->gpu, &job));
    stage_keep(stage, job.y, (size_t)n_row * job.y_stride, job.y_stride);
    if (n_row == check->n_row) /* else it is of another text, or elsewhere in what is kept */
        keep_states(stage, states, job.runs.n_run, count);
}

static void check_delta(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const bool is_one = check->way == WEIR_GPU_PROMPT;
    const uint32_t d_value = (check->kind & STATE_NARROW) != 0 ? 48 : 128;
    const uint32_t n_head = STATE_VALUE_HEADS;
    const bool is_joint = (check->kind & STATE_JOINT) != 0;
    struct weir_gpu_delta job = {
        .state_at = 96,
        .x_stride = 2 * STATE_KEY_HEADS * STATE_KEY + n_head * d_value,
        .out_stride = n_head * d_value,
        .gate_stride = (is_joint ? 2 : 1) * n_head,
        .n_key_head = STATE_KEY_HEADS,
        .n_value_head = n_head,
        .d_key = STATE_KEY,
        .d_value = d_value,
        .is_tiled = (check->kind & STATE_TILED) != 0,
    };
    const size_t count = (size_t)job.state_at + (size_t)n_head * STATE_KEY * d_value;
    const weir_gpu_address states = stage->start + stage->used_bytes;
    job.runs = put_runs(stage, n_row, is_one, count);
    job.decay = stage_floats(stage, n_head, 0.2f);
    job.dt_bias = stage_floats(stage, n_head, 1.0f);
    job.x = stage_floats(stage, (size_t)n_row * job.x_stride, 1.0f);
    job.out = stage_zeros(stage, (size_t)n_row * job.out_stride * sizeof(float));
    job.beta = stage_floats(stage, (size_t)n_row * job.gate_stride, 2.0f);
    job.alpha = is_joint ? 0 : stage_floats(stage, (size_t)n_row * job.gate_stride, 2.0f);
    DO(stage, weir_gpu_delta(stage->gpu, &job));
    stage_keep(stage, job.out, (size_t)n_row * job.out_stride, d_value);
    if (n_row == check->n_row)
        keep_states(stage, states, job.runs.n_run, count);
}

static void check_unpack(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const uint32_t d_value = 96;
    struct weir_gpu_unpack job = {
        .packed_stride = 2 * STATE_KEY_HEADS * STATE_KEY + 2 * STATE_VALUE_HEADS * d_value,
        .x_stride = 2 * STATE_KEY_HEADS * STATE_KEY + STATE_VALUE_HEADS * d_value,
        .gate_stride = STATE_VALUE_HEADS * d_value,
        .n_row = n_row,
        .n_key_head = STATE_KEY_HEADS,
        .n_value_head = STATE_VALUE_HEADS,
        .d_key = STATE_KEY,
        .d_value = d_value,
        .is_tiled = check->kind == STATE_TILED,
    };
    job.packed = stage_floats(stage, (size_t)n_row * job.packed_stride, 1.0f);
    job.x = stage_zeros(stage, (size_t)n_row * job.x_stride * sizeof(float));
    job.gate = stage_zeros(stage, (size_t)n_row * job.gate_stride * sizeof(float));
    DO(stage, weir_gpu_unpack(stage->gpu, &job));
    for (uint32_t row = 0; row < n_row; row++) {
        stage_keep(stage, job.x + (uint64_t)row * job.x_stride * sizeof(float), job.x_stride, 1);
        stage_keep(stage, job.gate + (uint64_t)row * job.gate_stride * sizeof(float),
                   job.gate_stride, 1);
    }
}

#endif
