/* gpu_check_rows.h - checks of what is done to the values of rows, and of routing. */
#ifndef WEIR_BENCH_GPU_CHECK_ROWS_H
#define WEIR_BENCH_GPU_CHECK_ROWS_H

#include "gpu_check.h"
#include "kernels/choose.h"

enum { NORM_PLAIN, NORM_HEADS, NORM_CENTERED, NORM_NO_WEIGHTS };

static void check_norm(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const bool is_heads = check->kind == NORM_HEADS;
    const uint32_t n_head = is_heads ? 6 : 1;
    const uint32_t width = is_heads ? 128 : size_of(1000, 2048);
    struct weir_gpu_norm job = {
        .weights =
            check->kind == NORM_NO_WEIGHTS ? 0 : stage_floats(stage, (size_t)n_head * width, 2.0f),
        .width = width,
        .n_head = n_head,
        .x_head_stride = width + 4,
        .x_stride = n_head * (width + 4),
        .y_head_stride = width + 4,
        .y_stride = n_head * (width + 4),
        .n_row = n_row,
        .is_centered = check->kind == NORM_CENTERED,
        .each_head = is_heads,
        .epsilon = 1e-6f,
        .damage = stage_zeros(stage, sizeof(uint32_t)),
    };
    job.x = stage_floats(stage, (size_t)n_row * job.x_stride, 3.0f);
    job.y = is_heads ? job.x : stage_zeros(stage, (size_t)n_row * job.y_stride * sizeof(float));
    DO(stage, weir_gpu_norm(stage->gpu, &job));
    stage_keep(stage, job.y, (size_t)n_row * job.y_stride, job.y_stride);
}

static void check_rope(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const uint32_t n_rot = check->kind > 1 ? 64 : 128;
    struct weir_gpu_rope job = {.n_head = 5,
                                .head_stride = 128,
                                .x_stride = 5 * 128,
                                .n_rot = n_rot,
                                .n_row = n_row,
                                .is_interleaved = check->kind % 2 == 1};
    job.x = stage_floats(stage, (size_t)n_row * job.x_stride, 1.0f);
    job.angles = stage_floats(stage, (size_t)n_row * n_rot, 1.0f);
    DO(stage, weir_gpu_rope(stage->gpu, &job));
    stage_keep(stage, job.x, (size_t)n_row * job.x_stride, 128);
}

static void check_glu(struct stage *stage, const struct check *check, uint32_t n_row)
{
    struct weir_gpu_glu job = {.width = 700,
                               .stride = 704,
                               .n_row = n_row,
                               .glu = (enum weir_glu)(check->kind % WEIR_GLU_COUNT),
                               .limit = 2.0f};
    const bool is_weighed = check->kind >= WEIR_GLU_COUNT;
    job.gate = stage_floats(stage, (size_t)n_row * job.stride, 4.0f);
    job.up = stage_floats(stage, (size_t)n_row * job.stride, 4.0f);
    job.input_weight = is_weighed ? stage_floats(stage, n_row, 1.0f) : 0;
    DO(stage, weir_gpu_glu(stage->gpu, &job));
    stage_keep(stage, job.gate, (size_t)n_row * job.stride, job.stride);
}

static void check_add(struct stage *stage, const struct check *check, uint32_t n_row)
{
    struct weir_gpu_add job = {.width = 700,
                               .x_stride = 704,
                               .y_stride = 708,
                               .n_row = n_row,
                               .scale = 0.5f,
                               .weight_is_logit = check->kind == 2};
    job.x = stage_floats(stage, (size_t)n_row * job.x_stride, 1.0f);
    job.y = stage_floats(stage, (size_t)n_row * job.y_stride, 1.0f);
    job.weight = check->kind > 0 ? stage_floats(stage, n_row, 2.0f) : 0;
    DO(stage, weir_gpu_add(stage->gpu, &job));
    stage_keep(stage, job.y, (size_t)n_row * job.y_stride, job.y_stride);
}

static void check_gate(struct stage *stage, const struct check *check, uint32_t n_row)
{
    struct weir_gpu_gate job = {.width = 6 * 64,
                                .head_width = 64,
                                .x_stride = 400,
                                .n_row = n_row,
                                .is_by_head = check->kind % 2 == 1,
                                .is_softplus = check->kind > 1};
    job.gate_head_stride = job.is_by_head ? 1 : 128;
    job.gate_stride = 6 * job.gate_head_stride;
    job.x = stage_floats(stage, (size_t)n_row * job.x_stride, 1.0f);
    job.gate = stage_floats(stage, (size_t)n_row * job.gate_stride, 5.0f);
    DO(stage, weir_gpu_gate(stage->gpu, &job));
    stage_keep(stage, job.x, (size_t)n_row * job.x_stride, job.x_stride);
}

static void check_scale(struct stage *stage, const struct check *check, uint32_t n_row)
{
    struct weir_gpu_scale job = {.width = 999,
                                 .stride = 1003,
                                 .n_row = n_row,
                                 .scale = 0.7f,
                                 .cap = check->kind == 1 ? 3.0f : 0.0f};
    job.x = stage_floats(stage, (size_t)n_row * job.stride, 8.0f);
    if (check->kind == 2)
        job.weight = stage_floats(stage, n_row, 1.0f);
    DO(stage, weir_gpu_scale(stage->gpu, &job));
    stage_keep(stage, job.x, (size_t)n_row * job.stride, job.stride);
}

enum { ROUTE_BIAS = 8, ROUTE_GROUPS = 16 };

static void check_route(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const bool has_groups = (check->kind & ROUTE_GROUPS) != 0;
    struct weir_gpu_route job = {.kind = check->kind & 7,
                                 .steepness = 1.5f,
                                 .scale = 2.5f,
                                 .renormalizes = (check->kind & 1) != 0,
                                 .n_group = has_groups ? 8 : 0,
                                 .n_group_used = has_groups ? 3 : 0,
                                 .n_group_best = 2,
                                 .n_row = n_row,
                                 .n_expert = 256,
                                 .n_used = 8};
    job.bias = (check->kind & ROUTE_BIAS) != 0 ? stage_floats(stage, job.n_expert, 1.0f) : 0;
    job.router = stage_floats(stage, (size_t)n_row * job.n_expert, 4.0f);
    job.chosen = stage_zeros(stage, (size_t)n_row * job.n_used * sizeof(uint32_t));
    job.weights = stage_zeros(stage, (size_t)n_row * job.n_used * sizeof(float));
    DO(stage, weir_gpu_route(stage->gpu, &job));
    for (uint32_t row = 0; row < n_row; row++) {
        const size_t at = (size_t)row * job.n_used * sizeof(float);
        stage_keep_numbers(stage, job.chosen + at, job.n_used);
        stage_keep(stage, job.weights + at, job.n_used, job.n_used);
    }
}

static void check_sum(struct stage *stage, const struct check *check, uint32_t n_row)
{
    struct weir_gpu_sum job = {
        .width = 700, .x_stride = 704, .y_stride = 708, .n_row = n_row, .n_used = 8};
    job.x = stage_floats(stage, (size_t)n_row * job.n_used * job.x_stride, 1.0f);
    job.y = stage_floats(stage, (size_t)n_row * job.y_stride, 1.0f);
    job.weights = check->kind > 0 ? stage_floats(stage, (size_t)n_row * job.n_used, 1.0f) : 0;
    DO(stage, weir_gpu_sum(stage->gpu, &job));
    stage_keep(stage, job.y, (size_t)n_row * job.y_stride, job.y_stride);
}

static void check_scatter(struct stage *stage, const struct check *check, uint32_t n_row)
{
    struct weir_gpu_scatter job = {.width = 700, .x_stride = 704, .y_stride = 708, .n_row = n_row};
    uint32_t *at = stage_host(n_row * sizeof(*at));
    for (uint32_t row = 0; row < n_row; row++)
        at[row] = row ^ 1;
    job.at = stage_put(stage, at, n_row * sizeof(*at));
    free(at);
    job.x = stage_floats(stage, (size_t)n_row * job.x_stride, 1.0f);
    job.y = stage_floats(stage, ((size_t)n_row + 1) * job.y_stride, 1.0f);
    DO(stage, weir_gpu_scatter(stage->gpu, &job));
    if (n_row == check->n_row) /* others have other places */
        stage_keep(stage, job.y, (size_t)n_row * job.y_stride, job.y_stride);
}

#endif
