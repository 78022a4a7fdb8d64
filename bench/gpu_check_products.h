/* gpu_check_products.h - checks of products of weights and rows. */
#ifndef WEIR_BENCH_GPU_CHECK_PRODUCTS_H
#define WEIR_BENCH_GPU_CHECK_PRODUCTS_H

#include "gpu_check.h"
#include "gpu_weights.h"

enum { PLAIN, WITH_ALL, WITH_ZEROS, BY_ASSIGNMENT };

/* A prompt's tiles have 32, 64 or 128 rows: as many as fill them, and leave two tiles of weights
 * for each processor. These sizes fill the longest ones of 132 processors. */
enum { TALL_COLS = 256, TALL_ROWS = 1600, TALL_PROMPT = 1300, TALL_EXPERTS = 6, TALL_USED = 2 };

static void check_matmul(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const uint32_t cols = check->is_tall ? TALL_COLS : size_of(1280, 2048);
    const uint32_t rows = check->is_tall ? TALL_ROWS : size_of(77, 4096);
    const struct weir_gpu_form form =
        stage_form(check->type, cols, rows, check->kind == WITH_ZEROS);
    const struct weir_gpu_place place = stage_matrix(stage, &form);
    const bool has_all = check->kind == WITH_ALL;
    set_workspace(stage, n_row, 0, cols, 0);
    struct weir_gpu_matmul job = {
        .w = {.form = form,
              .data = place.data,
              .scales = place.scales,
              .zeros = place.zeros,
              .bias = has_all ? stage_floats(stage, rows, 1.0f) : 0,
              .scale = has_all ? 0.75f : 1.0f},
        .x_stride = cols + (has_all ? 8 : 0),
        .y_stride = rows + (has_all ? 3 : 0),
        .n_row = n_row,
        .way = check->way,
        .adds = has_all,
    };
    job.x = stage_floats(stage, (size_t)n_row * job.x_stride, 1.0f);
    job.y = stage_floats(stage, (size_t)n_row * job.y_stride, 1.0f);
    DO(stage, weir_gpu_matmul(stage->gpu, &job));
    stage_keep(stage, job.y, (size_t)n_row * job.y_stride, job.y_stride);
}

/* A table without every fifth expert. */
static weir_gpu_address put_table(struct stage *stage, const struct weir_gpu_form *form,
                                  uint32_t n_expert)
{
    enum { MATRICES = 8 };
    struct weir_gpu_place own[MATRICES];
    struct weir_gpu_place *places = stage_host(n_expert * sizeof(*places));
    for (int index = 0; index < MATRICES; index++)
        own[index] = stage_matrix(stage, form);
    for (uint32_t id = 0; id < n_expert; id++)
        if (is_timed || id % 5 != 4)
            places[id] = own[id % MATRICES];
    const weir_gpu_address table = stage_put(stage, places, n_expert * sizeof(*places));
    free(places);
    return table;
}

/* n_used experts for each row, ascending. */
static weir_gpu_address put_chosen(struct stage *stage, uint32_t n_row, uint32_t n_used,
                                   uint32_t n_expert)
{
    uint32_t *chosen = stage_host((size_t)n_row * n_used * sizeof(*chosen));
    for (uint32_t row = 0; row < n_row; row++)
        for (uint32_t rank = 0; rank < n_used; rank++) {
            const uint32_t width = n_expert / n_used;
            chosen[row * n_used + rank] =
                rank * width + (uint32_t)(weir_random_next(&stage->random) % width);
        }
    const weir_gpu_address at = stage_put(stage, chosen, (size_t)n_row * n_used * sizeof(*chosen));
    free(chosen);
    return at;
}

static void check_experts(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const uint32_t n_expert = check->is_tall ? TALL_EXPERTS : size_of(24, 128);
    const uint32_t n_used = check->is_tall ? TALL_USED : size_of(4, 8);
    const uint32_t cols = check->is_tall ? TALL_COLS : size_of(512, 2048);
    const uint32_t rows = check->is_tall ? TALL_ROWS : size_of(70, 768);
    const bool by_assignment = check->kind == BY_ASSIGNMENT;
    const struct weir_gpu_form form =
        stage_form(check->type, cols, rows, check->kind == WITH_ZEROS);
    struct weir_gpu_experts job = {
        .form = form,
        .table = put_table(stage, &form, n_expert),
        .x_stride = cols,
        .y_stride = rows,
        .x_is_by_row = !by_assignment,
        .n_row = n_row,
        .n_used = n_used,
        .n_expert = n_expert,
        .way = check->way,
    };
    set_workspace(stage, n_row, n_row * n_used, cols, n_expert);
    if (by_assignment) {
        job.bias = stage_floats(stage, (size_t)n_expert * rows, 1.0f);
        job.scale = stage_floats(stage, n_expert, 2.0f);
    }
    job.chosen = put_chosen(stage, n_row, n_used, n_expert);
    job.x = stage_floats(stage, (size_t)n_row * (by_assignment ? n_used : 1) * cols, 1.0f);
    job.y = stage_floats(stage, (size_t)n_row * n_used * rows, 1.0f);
    DO(stage, weir_gpu_experts(stage->gpu, &job));
    stage_keep(stage, job.y, (size_t)n_row * n_used * rows, rows);
}

static void check_embed(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const uint32_t cols = size_of(768, 2048);
    const struct weir_gpu_form form = stage_form(check->type, cols, 50, check->kind == WITH_ZEROS);
    const struct weir_gpu_place place = stage_matrix(stage, &form);
    uint32_t *ids = stage_host(n_row * sizeof(*ids));
    for (uint32_t row = 0; row < n_row; row++)
        ids[row] = (uint32_t)(weir_random_next(&stage->random) % form.rows);
    const struct weir_gpu_embed job = {
        .table = {.form = form,
                  .data = place.data,
                  .scales = place.scales,
                  .zeros = place.zeros,
                  .scale = 1.0f},
        .ids = stage_put(stage, ids, n_row * sizeof(*ids)),
        .y = stage_zeros(stage, (size_t)n_row * cols * sizeof(float)),
        .y_stride = cols,
        .n_row = n_row,
        .scale = 3.0f,
    };
    free(ids);
    DO(stage, weir_gpu_embed(stage->gpu, &job));
    stage_keep(stage, job.y, (size_t)n_row * cols, cols);
}

#endif
