/* launch_delta.c - calls of what gated delta nets do. */
#include "gpu/cuda/cuda_internal.h"
#include "gpu/cuda/delta_args.h"

void weir_cuda_conv(weir_gpu *gpu, const struct weir_gpu_conv *job)
{
    static const uint32_t block[3] = {WEIR_CONV_THREADS, 1, 1};
    const struct weir_conv_args args = {
        .first = job->runs.first,
        .states = job->runs.states,
        .state_at = job->state_at,
        .x = job->x,
        .y = job->y,
        .taps = job->taps,
        .x_stride = job->x_stride,
        .y_stride = job->y_stride,
        .n_tap = job->n_tap,
        .n_channel = job->n_channel,
    };
    const uint32_t grid[3] = {weir_cuda_blocks(job->n_channel, WEIR_CONV_THREADS),
                              weir_cuda_blocks(job->runs.n_row, WEIR_CONV_ROWS), job->runs.n_run};
    WEIR_ASSERT(job->n_tap >= 1 && job->n_tap <= WEIR_CONV_TAPS && job->x != job->y);
    weir_cuda_launch_early(gpu, "weir_conv", grid, block, 0, &args, sizeof(args));
}

void weir_cuda_delta(weir_gpu *gpu, const struct weir_gpu_delta *job)
{
    static const uint32_t block[3] = {WEIR_DELTA_THREADS, 1, 1};
    const struct weir_delta_args args = {
        .first = job->runs.first,
        .states = job->runs.states,
        .state_at = job->state_at,
        .x = job->x,
        .out = job->out,
        .beta = job->beta,
        .alpha = job->alpha,
        .decay = job->decay,
        .dt_bias = job->dt_bias,
        .x_stride = job->x_stride,
        .out_stride = job->out_stride,
        .gate_stride = job->gate_stride,
        .n_key_head = job->n_key_head,
        .n_value_head = job->n_value_head,
        .d_key = job->d_key,
        .d_value = job->d_value,
        .is_tiled = job->is_tiled,
        .gates_are_joint = job->alpha == 0,
        .n_row = job->runs.n_row,
    };
    const uint32_t rows[3] = {job->runs.n_row,
                              weir_cuda_blocks(2 * job->n_key_head, WEIR_DELTA_THREADS / 32), 1};
    const uint32_t grid[3] = {weir_cuda_blocks(job->d_value, WEIR_DELTA_COLUMNS), job->n_value_head,
                              job->runs.n_run};
    WEIR_ASSERT(job->d_key % 4 == 0 && job->d_key <= WEIR_GPU_DELTA_KEY_MAX);
    WEIR_ASSERT(job->x % 16 == 0 && job->x_stride % 4 == 0);
    weir_cuda_launch_early(gpu, "weir_delta_gates", rows, block, 0, &args, sizeof(args));
    weir_cuda_launch_early(gpu, "weir_delta", grid, block, 0, &args, sizeof(args));
}

void weir_cuda_unpack(weir_gpu *gpu, const struct weir_gpu_unpack *job)
{
    static const uint32_t block[3] = {WEIR_DELTA_THREADS, 1, 1};
    const struct weir_unpack_args args = {
        .packed = job->packed,
        .x = job->x,
        .gate = job->gate,
        .packed_stride = job->packed_stride,
        .x_stride = job->x_stride,
        .gate_stride = job->gate_stride,
        .n_key_head = job->n_key_head,
        .n_value_head = job->n_value_head,
        .d_key = job->d_key,
        .d_value = job->d_value,
        .is_tiled = job->is_tiled,
        .n_row = job->n_row,
    };
    const uint32_t grid[3] = {job->n_row, job->n_key_head, 1};
    weir_cuda_launch_early(gpu, "weir_unpack", grid, block, 0, &args, sizeof(args));
}
