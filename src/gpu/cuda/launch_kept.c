/* launch_kept.c - calls of what keeps keys and values in fewer bits. */
#include "gpu/cuda/cuda_internal.h"
#include "gpu/cuda/kept_args.h"

static struct weir_kept_args args_of(const struct weir_gpu_rows *rows,
                                     const struct weir_gpu_pages *pages,
                                     const struct weir_gpu_kept *kept)
{
    struct weir_kept_args args = {
        .positions = rows->positions,
        .table_at = rows->table_at,
        .pages = rows->pages,
        .base = kept->base,
        .page_bytes = kept->page_bytes,
        .k = pages->k,
        .v = pages->v == pages->k ? 0 : pages->v,
        .page_stride = pages->page_stride,
        .n_kv_head = pages->n_kv_head,
        .d_head = pages->d_head,
        .d_value = pages->d_value,
        .n_row = rows->n_row,
        .is_q4 = kept->kv == WEIR_KV_Q4_0,
    };
    while (1u << args.page_shift < pages->page_length)
        args.page_shift++;
    WEIR_ASSERT(1u << args.page_shift == pages->page_length);
    WEIR_ASSERT(kept->kv == WEIR_KV_Q8_0 || kept->kv == WEIR_KV_Q4_0);
    WEIR_ASSERT(pages->d_head % WEIR_KEPT_LEN == 0 && pages->d_value % WEIR_KEPT_LEN == 0);
    WEIR_ASSERT(kept->base % 2 == 0 && kept->page_bytes % 2 == 0);
    return args;
}

void weir_cuda_keep(weir_gpu *gpu, const struct weir_gpu_keep *job)
{
    static const uint32_t block[3] = {32 * WEIR_KEPT_WARPS, 1, 1};
    struct weir_kept_args args = args_of(&job->rows, &job->pages, &job->kept);
    const uint32_t width = job->pages.d_head + (args.v == 0 ? 0 : job->pages.d_value);
    const uint32_t grid[3] = {
        job->rows.n_row,
        weir_cuda_blocks((uint64_t)job->pages.n_kv_head * (width / WEIR_KEPT_LEN), WEIR_KEPT_WARPS),
        1};
    args.from_k = job->k;
    args.from_v = args.v == 0 ? 0 : job->v;
    args.k_stride = job->k_stride;
    args.v_stride = job->v_stride;
    weir_cuda_launch_early(gpu, "weir_keep", grid, block, 0, &args, sizeof(args));
}

void weir_cuda_expand(weir_gpu *gpu, const struct weir_gpu_expand *job)
{
    static const uint32_t block[3] = {32 * WEIR_KEPT_WARPS, 1, 1};
    struct weir_kept_args args = args_of(&job->rows, &job->pages, &job->kept);
    const uint64_t rows = (uint64_t)job->pages.n_kv_head * job->pages.page_length;
    const uint32_t grid[3] = {weir_cuda_blocks(rows, WEIR_KEPT_WARPS * WEIR_KEPT_ROWS),
                              job->position_max / job->pages.page_length + 1, job->n_run};
    args.first = job->first;
    args.window = job->window;
    args.is_in_chunks = job->is_in_chunks;
    weir_cuda_launch_early(gpu, "weir_expand", grid, block, 0, &args, sizeof(args));
}
