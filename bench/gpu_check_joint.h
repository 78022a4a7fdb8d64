/* gpu_check_joint.h - checks of operations that a device may do in one go (gpu_joint.h). */
#ifndef WEIR_BENCH_GPU_CHECK_JOINT_H
#define WEIR_BENCH_GPU_CHECK_JOINT_H

#include "gpu/gpu_joint.h"
#include "gpu_check_heads.h"
#include "gpu_check_products.h"

static const struct joint_types {
    const char *name;
    enum weir_type types[3];
} all_joint_types[] = {
    {"Q4_K", {WEIR_TYPE_Q4_K, WEIR_TYPE_Q4_K, WEIR_TYPE_Q4_K}},
    {"Q4_K and Q6_K", {WEIR_TYPE_Q4_K, WEIR_TYPE_Q4_K, WEIR_TYPE_Q6_K}},
    {"Q6_K, Q4_K and Q5_K", {WEIR_TYPE_Q6_K, WEIR_TYPE_Q4_K, WEIR_TYPE_Q5_K}},
    {"Q8_0 and others", {WEIR_TYPE_Q8_0, WEIR_TYPE_Q4_K, WEIR_TYPE_F32}},
    {"BF16", {WEIR_TYPE_BF16, WEIR_TYPE_BF16, WEIR_TYPE_BF16}},
};

/* q, k and v: their outputs are side by side in a row. */
static void check_joint_products(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const uint32_t cols = size_of(1280, 2048);
    const uint32_t rows[3] = {size_of(330, 4096), size_of(77, 512), size_of(50, 512)};
    struct weir_gpu_products job = {.count = 3};
    set_workspace(stage, n_row, 0, cols, 0);
    const weir_gpu_address x = stage_floats(stage, (size_t)n_row * cols, 1.0f);
    const uint32_t width = rows[0] + rows[1] + rows[2];
    const weir_gpu_address y = stage_zeros(stage, (size_t)n_row * width * sizeof(float));
    uint64_t at = 0;
    for (int index = 0; index < 3; index++) {
        const struct weir_gpu_form form =
            stage_form(all_joint_types[check->kind].types[index], cols, rows[index], false);
        const struct weir_gpu_place place = stage_matrix(stage, &form);
        job.of[index] = (struct weir_gpu_matmul){.w = {.form = form,
                                                       .data = place.data,
                                                       .scales = place.scales,
                                                       .zeros = place.zeros,
                                                       .scale = 1.0f},
                                                 .x = x,
                                                 .y = y + at * sizeof(float),
                                                 .x_stride = cols,
                                                 .y_stride = width,
                                                 .n_row = n_row,
                                                 .way = check->way};
        at += rows[index];
    }
    DO(stage, weir_gpu_products(stage->gpu, &job));
    stage_keep(stage, y, (size_t)n_row * width, width);
}

/* Experts' gates and ups, side by side in a row; then their downs, of what these become. */
static void check_joint_experts(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const uint32_t n_expert = size_of(24, 128);
    const uint32_t n_used = size_of(4, 8);
    const uint32_t d_model = size_of(512, 2048);
    const uint32_t width = size_of(256, 768);
    const struct joint_types *types = &all_joint_types[check->kind];
    const size_t n_assignment = (size_t)n_row * n_used;
    struct weir_gpu_pair job;
    set_workspace(stage, n_row, n_row * n_used, weir_max(d_model, width), n_expert);
    const weir_gpu_address x = stage_floats(stage, (size_t)n_row * d_model, 1.0f);
    const weir_gpu_address hidden = stage_zeros(stage, 2 * n_assignment * width * sizeof(float));
    const weir_gpu_address out = stage_zeros(stage, n_assignment * d_model * sizeof(float));
    const weir_gpu_address chosen = put_chosen(stage, n_row, n_used, n_expert);
    for (uint64_t index = 0; index < 2; index++) {
        const struct weir_gpu_form form =
            stage_form(types->types[2 * index], d_model, width, false);
        job.of[index] =
            (struct weir_gpu_experts){.form = form,
                                      .table = put_table(stage, &form, n_expert),
                                      .chosen = chosen,
                                      .x = x,
                                      .y = hidden + index * n_assignment * width * sizeof(float),
                                      .x_stride = d_model,
                                      .y_stride = width,
                                      .x_is_by_row = true,
                                      .n_row = n_row,
                                      .n_used = n_used,
                                      .n_expert = n_expert,
                                      .way = check->way};
    }
    const struct weir_gpu_form form = stage_form(types->types[0], width, d_model, false);
    struct weir_gpu_experts down = job.of[0];
    down.form = form;
    down.table = put_table(stage, &form, n_expert);
    down.x = job.of[0].y;
    down.y = out;
    down.x_stride = width;
    down.y_stride = d_model;
    down.x_is_by_row = false;
    down.unit = (struct weir_gpu_glu){
        .gate = job.of[0].y,
        .up = job.of[1].y,
        .input_weight = check->kind == 0 ? 0 : stage_floats(stage, n_assignment, 1.0f),
        .width = width,
        .stride = width,
        .n_row = (uint32_t)n_assignment,
        .glu = (enum weir_glu)(check->kind % WEIR_GLU_COUNT),
        .limit = 2.0f};
    DO(stage, weir_gpu_pair(stage->gpu, &job));
    DO(stage, weir_gpu_experts(stage->gpu, &down));
    stage_keep(stage, out, n_assignment * d_model, d_model);
}

enum { JOINT_NORMED = 16, JOINT_INTERLEAVED = 32, JOINT_LATE = 64, JOINT_BARE = 128 };

static struct weir_gpu_norm joint_norm(struct stage *stage, const struct check *check,
                                       const struct weir_gpu_rope *rope, uint32_t width)
{
    if ((check->kind & JOINT_NORMED) == 0)
        return (struct weir_gpu_norm){0};
    return (struct weir_gpu_norm){
        .x = rope->x,
        .y = rope->x,
        .weights = (check->kind & JOINT_BARE) != 0 ? 0 : stage_floats(stage, width, 2.0f),
        .width = width,
        .n_head = rope->n_head,
        .x_head_stride = rope->head_stride,
        .x_stride = rope->x_stride,
        .y_head_stride = rope->head_stride,
        .y_stride = rope->x_stride,
        .n_row = rope->n_row,
        .epsilon = 1e-6f};
}

static void check_joint_heads(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const struct heads *heads = &all_heads[check->kind % 16];
    uint32_t page_count;
    const struct weir_gpu_rows rows = put_rows(stage, check->n_row, true, 33, &page_count);
    const uint32_t q_stride = heads->n_head * (heads->d_head + 8);
    const uint32_t n_rot = heads->d_head / 4 * 2;
    struct weir_gpu_heads job = {
        .q_rope = {.x = stage_floats(stage, (size_t)n_row * q_stride, 3.0f),
                   .angles = stage_floats(stage, (size_t)n_row * n_rot, 1.0f),
                   .n_head = heads->n_head,
                   .head_stride = heads->d_head + 8,
                   .x_stride = q_stride,
                   .n_rot = n_rot,
                   .n_row = n_row,
                   .is_interleaved = (check->kind & JOINT_INTERLEAVED) != 0},
        .remember = {.rows = rows,
                     .pages = put_pages(stage, heads, page_count),
                     .k_stride = heads->n_kv_head * heads->d_head,
                     .v_stride = heads->n_kv_head * heads->d_value},
        .norms_late = (check->kind & JOINT_LATE) != 0,
    };
    struct weir_gpu_remember *remember = &job.remember;
    const uint64_t bytes = page_count * remember->pages.page_stride * sizeof(uint16_t);
    remember->rows.n_row = n_row;
    remember->k = stage_floats(stage, (size_t)n_row * remember->k_stride, 3.0f);
    remember->v = stage_floats(stage, (size_t)n_row * remember->v_stride, 3.0f);
    job.k_rope = job.q_rope;
    job.k_rope.x = remember->k;
    job.k_rope.n_head = heads->n_kv_head;
    job.k_rope.head_stride = heads->d_head;
    job.k_rope.x_stride = remember->k_stride;
    job.q_norm = joint_norm(stage, check, &job.q_rope, heads->d_head);
    job.k_norm = joint_norm(stage, check, &job.k_rope, heads->d_head);
    DO(stage, weir_gpu_heads(stage->gpu, &job));
    stage_keep(stage, job.q_rope.x, (size_t)n_row * q_stride, heads->d_head + 8);
    uint16_t *values = stage_host(bytes);
    weir_gpu_copy_out(stage->gpu, WEIR_GPU_COMPUTE, values, remember->pages.k, bytes);
    stage_await(stage);
    for (uint64_t at = 0; n_row == check->n_row && at < bytes / sizeof(*values); at++)
        stage->out[stage->out_count++] = weir_f16_to_f32(values[at]);
    free(values);
}

#endif
