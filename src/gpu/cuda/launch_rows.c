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
           weir_cuda_blocks((uint64_t)job->n_row * job->n_head, WEIR_ROWS_THREADS / lanes), 1,
           &args, sizeof(args));
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
           weir_cuda_blocks((uint64_t)job->n_head * (job->n_rot / 2), WEIR_ROWS_THREADS), &args,
           sizeof(args));
}

static struct weir_remember_args remember_args(const struct weir_gpu_remember *job)
{
    const struct weir_gpu_pages *pages = &job->pages;
    const bool is_joint = pages->v == pages->k;
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
    return args;
}

void weir_cuda_remember(weir_gpu *gpu, const struct weir_gpu_remember *job)
{
    const struct weir_gpu_pages *pages = &job->pages;
    const struct weir_remember_args args = remember_args(job);
    const uint64_t width = (uint64_t)pages->d_head + (args.from_v == 0 ? 0 : pages->d_value);
    launch(gpu, "weir_remember", job->rows.n_row,
           weir_cuda_blocks(pages->n_kv_head * width, WEIR_ROWS_THREADS), &args, sizeof(args));
}

/* One norm a head, of all of it. */
static bool is_of_heads(const struct weir_gpu_norm *norm, uint32_t n_head, uint32_t width)
{
    return norm->width == 0 ||
           (norm->width == width && norm->n_head == n_head && !norm->is_centered &&
            !norm->each_head && norm->damage == 0 && norm->x == norm->y);
}

static bool is_one_pass(const struct weir_gpu_heads *job)
{
    const struct weir_gpu_pages *pages = &job->remember.pages;
    const struct weir_gpu_rope *q = &job->q_rope;
    const struct weir_gpu_rope *k = &job->k_rope;
    return pages->k != 0 && !job->norms_late && job->v_norm.width == 0 && pages->v != pages->k &&
           is_of_heads(&job->q_norm, q->n_head, pages->d_head) &&
           is_of_heads(&job->k_norm, pages->n_kv_head, pages->d_head) && q->n_rot == k->n_rot &&
           q->is_interleaved == k->is_interleaved && q->n_rot <= pages->d_head &&
           pages->d_head <= WEIR_HEADS_WIDTH_MAX && pages->d_value <= WEIR_HEADS_WIDTH_MAX &&
           has_fours(q->x | job->remember.k | job->remember.v,
                     q->head_stride | q->x_stride | job->remember.k_stride |
                         job->remember.v_stride | pages->d_head | pages->d_value);
}

static void norm_heads(weir_gpu *gpu, const struct weir_gpu_norm *norm)
{
    if (norm->width > 0)
        weir_cuda_norm(gpu, norm);
}

/* What heads.cu has not: each by itself. */
static void run_in_turn(weir_gpu *gpu, const struct weir_gpu_heads *job)
{
    for (int turn = 0; turn < 2; turn++) {
        if (job->norms_late == (turn == 1)) {
            norm_heads(gpu, &job->q_norm);
            norm_heads(gpu, &job->k_norm);
        }
        if (turn == 0 && job->q_rope.n_rot > 0)
            weir_cuda_rope(gpu, &job->q_rope);
        if (turn == 0 && job->k_rope.n_rot > 0)
            weir_cuda_rope(gpu, &job->k_rope);
    }
    norm_heads(gpu, &job->v_norm);
    if (job->remember.pages.k != 0)
        weir_cuda_remember(gpu, &job->remember);
}

void weir_cuda_heads(weir_gpu *gpu, const struct weir_gpu_heads *job)
{
    const struct weir_gpu_rope *q = &job->q_rope;
    if (!is_one_pass(job)) {
        run_in_turn(gpu, job);
        return;
    }
    const struct weir_heads_args args = {
        .to = remember_args(&job->remember),
        .q = q->x,
        .q_weights = job->q_norm.weights,
        .k_weights = job->k_norm.weights,
        .angles = q->angles,
        .n_head = q->n_head,
        .q_head_stride = q->head_stride,
        .q_stride = q->x_stride,
        .n_rot = q->n_rot,
        .is_interleaved = q->is_interleaved,
        .norms_q = job->q_norm.width > 0,
        .norms_k = job->k_norm.width > 0,
        .q_epsilon = job->q_norm.epsilon,
        .k_epsilon = job->k_norm.epsilon,
    };
    launch(gpu, "weir_heads", job->remember.rows.n_row,
           weir_cuda_blocks((uint64_t)q->n_head + 2 * (uint64_t)args.to.n_kv_head,
                            WEIR_ROWS_THREADS / 32),
           &args, sizeof(args));
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
    launch(gpu, "weir_glu", job->n_row, weir_cuda_blocks(job->width, PER_BLOCK), &args,
           sizeof(args));
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
    launch(gpu, "weir_add", job->n_row, weir_cuda_blocks(job->width, PER_BLOCK), &args,
           sizeof(args));
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
    launch(gpu, "weir_gate", job->n_row, weir_cuda_blocks(job->width, WEIR_ROWS_THREADS), &args,
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
    launch(gpu, "weir_scale", job->n_row, weir_cuda_blocks(job->width, WEIR_ROWS_THREADS), &args,
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
    launch(gpu, "weir_sum", job->n_row, weir_cuda_blocks(job->width, PER_BLOCK), &args,
           sizeof(args));
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
    launch(gpu, "weir_scatter", job->n_row, weir_cuda_blocks(job->width, PER_BLOCK), &args,
           sizeof(args));
}
