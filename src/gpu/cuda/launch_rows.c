/* launch_rows.c - calls of what is done to the values of rows. */
#include "gpu/cuda/cuda_internal.h"
#include "gpu/cuda/rows_args.h"

enum { PER_BLOCK = 4 * WEIR_ROWS_THREADS, NARROW = 512 };

static void launch(weir_gpu *gpu, const char *kernel, uint64_t rows, uint64_t pieces,
                   const void *args, size_t args_bytes)
{
    static const uint32_t block[3] = {WEIR_ROWS_THREADS, 1, 1};
    const uint32_t grid[3] = {(uint32_t)rows, (uint32_t)pieces, 1};
    weir_cuda_launch_early(gpu, kernel, grid, block, 0, args, args_bytes);
}

static uint64_t divide_up(uint64_t count, uint64_t by)
{
    return (count + by - 1) / by;
}

/* Rows at these addresses, with these strides and widths, can be taken four values at a time. */
static bool has_fours(weir_gpu_address addresses, uint32_t widths)
{
    return addresses % 16 == 0 && widths % 4 == 0;
}

void weir_cuda_norm(weir_gpu *gpu, const struct weir_gpu_norm *job)
{
    const uint32_t lanes = job->width <= NARROW ? 32 : WEIR_ROWS_THREADS;
    const struct weir_norm_args args = {
        .x = job->x,
        .y = job->y,
        .weights = job->weights,
        .damage = job->damage,
        .width = job->width,
        .n_head = job->n_head,
        .x_head_stride = job->x_head_stride,
        .x_stride = job->x_stride,
        .y_head_stride = job->y_head_stride,
        .y_stride = job->y_stride,
        .n_row = job->n_row,
        .lanes = lanes,
        .is_centered = job->is_centered,
        .each_head = job->each_head,
        .has_fours = has_fours(job->x | job->y | job->weights,
                               job->width | job->x_head_stride | job->x_stride |
                                   job->y_head_stride | job->y_stride),
        .epsilon = job->epsilon,
    };
    launch(gpu, "weir_norm",
           divide_up((uint64_t)job->n_row * job->n_head, WEIR_ROWS_THREADS / lanes), 1, &args,
           sizeof(args));
}

void weir_cuda_rope(weir_gpu *gpu, const struct weir_gpu_rope *job)
{
    const struct weir_rope_args args = {
        .x = job->x,
        .angles = job->angles,
        .n_head = job->n_head,
        .head_stride = job->head_stride,
        .x_stride = job->x_stride,
        .n_rot = job->n_rot,
        .n_row = job->n_row,
        .is_interleaved = job->is_interleaved,
    };
    launch(gpu, "weir_rope", job->n_row,
           divide_up((uint64_t)job->n_head * (job->n_rot / 2), WEIR_ROWS_THREADS), &args,
           sizeof(args));
}

void weir_cuda_remember(weir_gpu *gpu, const struct weir_gpu_remember *job)
{
    const struct weir_gpu_pages *pages = &job->pages;
    const bool is_joint = pages->v == pages->k;
    const uint64_t width = (uint64_t)pages->d_head + (is_joint ? 0 : pages->d_value);
    struct weir_remember_args args = {
        .positions = job->rows.positions,
        .table_at = job->rows.table_at,
        .pages = job->rows.pages,
        .k = pages->k,
        .v = pages->v,
        .from_k = job->k,
        .from_v = is_joint ? 0 : job->v,
        .page_stride = pages->page_stride,
        .n_kv_head = pages->n_kv_head,
        .d_head = pages->d_head,
        .d_value = pages->d_value,
        .k_stride = job->k_stride,
        .v_stride = job->v_stride,
        .n_row = job->rows.n_row,
    };
    while (1u << args.page_shift < pages->page_length)
        args.page_shift++;
    WEIR_ASSERT(1u << args.page_shift == pages->page_length);
    launch(gpu, "weir_remember", job->rows.n_row,
           divide_up(pages->n_kv_head * width, WEIR_ROWS_THREADS), &args, sizeof(args));
}

void weir_cuda_glu(weir_gpu *gpu, const struct weir_gpu_glu *job)
{
    const struct weir_glu_args args = {
        .gate = job->gate,
        .up = job->up,
        .input_weight = job->input_weight,
        .width = job->width,
        .stride = job->stride,
        .n_row = job->n_row,
        .glu = job->glu,
        .has_fours = has_fours(job->gate | job->up, job->width | job->stride),
        .limit = job->limit,
    };
    launch(gpu, "weir_glu", job->n_row, divide_up(job->width, PER_BLOCK), &args, sizeof(args));
}

void weir_cuda_add(weir_gpu *gpu, const struct weir_gpu_add *job)
{
    const struct weir_add_args args = {
        .x = job->x,
        .y = job->y,
        .weight = job->weight,
        .width = job->width,
        .x_stride = job->x_stride,
        .y_stride = job->y_stride,
        .n_row = job->n_row,
        .weight_is_logit = job->weight_is_logit,
        .has_fours = has_fours(job->x | job->y, job->width | job->x_stride | job->y_stride),
        .scale = job->scale,
    };
    launch(gpu, "weir_add", job->n_row, divide_up(job->width, PER_BLOCK), &args, sizeof(args));
}

void weir_cuda_gate(weir_gpu *gpu, const struct weir_gpu_gate *job)
{
    const struct weir_gate_args args = {
        .x = job->x,
        .gate = job->gate,
        .width = job->width,
        .head_width = job->head_width,
        .x_stride = job->x_stride,
        .gate_head_stride = job->gate_head_stride,
        .gate_stride = job->gate_stride,
        .n_row = job->n_row,
        .is_by_head = job->is_by_head,
        .is_softplus = job->is_softplus,
    };
    launch(gpu, "weir_gate", job->n_row, divide_up(job->width, WEIR_ROWS_THREADS), &args,
           sizeof(args));
}

void weir_cuda_scale(weir_gpu *gpu, const struct weir_gpu_scale *job)
{
    const struct weir_scale_args args = {
        .x = job->x,
        .weight = job->weight,
        .width = job->width,
        .stride = job->stride,
        .n_row = job->n_row,
        .scale = job->scale,
        .cap = job->cap,
    };
    launch(gpu, "weir_scale", job->n_row, divide_up(job->width, WEIR_ROWS_THREADS), &args,
           sizeof(args));
}

void weir_cuda_sum(weir_gpu *gpu, const struct weir_gpu_sum *job)
{
    const struct weir_sum_args args = {
        .x = job->x,
        .weights = job->weights,
        .y = job->y,
        .width = job->width,
        .x_stride = job->x_stride,
        .y_stride = job->y_stride,
        .n_row = job->n_row,
        .n_used = job->n_used,
        .has_fours = has_fours(job->x | job->y, job->width | job->x_stride | job->y_stride),
    };
    launch(gpu, "weir_sum", job->n_row, divide_up(job->width, PER_BLOCK), &args, sizeof(args));
}

void weir_cuda_scatter(weir_gpu *gpu, const struct weir_gpu_scatter *job)
{
    const struct weir_scatter_args args = {
        .x = job->x,
        .y = job->y,
        .at = job->at,
        .width = job->width,
        .x_stride = job->x_stride,
        .y_stride = job->y_stride,
        .n_row = job->n_row,
        .has_fours = has_fours(job->x | job->y, job->width | job->x_stride | job->y_stride),
    };
    launch(gpu, "weir_scatter", job->n_row, divide_up(job->width, PER_BLOCK), &args, sizeof(args));
}
