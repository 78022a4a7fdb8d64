/* launch_attention.c - calls of attention: which kernel, and how it is divided. */
#include "gpu/cuda/attention_args.h"
#include "gpu/cuda/cuda_internal.h"

/* Kernels of decoding, by what of d_head and d_value they can hold. */
static const struct {
    const char *name;
    uint32_t d_head, d_value;
} decoders[] = {
    {"weir_attend_64_64", 64, 64},
    {"weir_attend_128_128", 128, 128},
    {"weir_attend_256_256", 256, 256},
    {"weir_attend_576_512", 576, 512},
};

/* Kernels of prompts; queries of a tile, and the shared memory they take. */
static const struct {
    const char *name;
    uint32_t d_head, queries, shared_bytes;
} prompters[] = {
    {"weir_attend_prompt_64", 64, 128, (128 + 2 * 64) * 64 * 2},
    {"weir_attend_prompt_128", 128, 128, (128 + 2 * 32) * 128 * 2},
    {"weir_attend_prompt_256", 256, 64, (64 + 2 * 32) * 256 * 2},
};

static uint32_t log2_of(uint32_t power)
{
    uint32_t log = 0;
    while (power >> log > 1)
        log++;
    WEIR_ASSERT(power == 1u << log);
    return log;
}

/* Every row of K, V and q begins at a multiple of 16 bytes, and is that long. */
static bool has_vectors(const struct weir_gpu_attention *job)
{
    const struct weir_gpu_pages *pages = &job->pages;
    const uint64_t halves = pages->page_stride | pages->d_head | pages->d_value;
    const uint64_t floats = job->q_stride | job->q_head_stride;
    return (pages->k | pages->v | job->q) % 16 == 0 && halves % 8 == 0 && floats % 4 == 0;
}

static struct weir_attention_args args_of(const struct weir_gpu_attention *job)
{
    static const float log2_of_e = 1.44269504f;
    const struct weir_gpu_pages *pages = &job->pages;
    const bool is_capped = job->softcap != 0.0f;
    return (struct weir_attention_args){
        .positions = job->rows.positions,
        .table_at = job->rows.table_at,
        .pages = job->rows.pages,
        .k = pages->k,
        .v = pages->v,
        .q = job->q,
        .out = job->out,
        .sinks = job->sinks,
        .page_stride = pages->page_stride,
        .page_shift = log2_of(pages->page_length),
        .d_head = pages->d_head,
        .d_value = pages->d_value,
        .k_row = pages->d_head,
        .v_row = pages->v == pages->k ? pages->d_head : pages->d_value,
        .n_head = job->n_head,
        .n_share = job->n_head / pages->n_kv_head,
        .q_head_stride = job->q_head_stride,
        .q_stride = job->q_stride,
        .out_stride = job->out_stride,
        .window = job->window,
        .is_in_chunks = job->is_in_chunks,
        .n_row = job->rows.n_row,
        .q_scale = is_capped ? job->scale / job->softcap : job->scale * log2_of_e,
        .cap = job->softcap * log2_of_e,
    };
}

/* As many rows at a time as the workspace holds parts of. */
static void decode(weir_gpu *gpu, const struct weir_gpu_attention *job,
                   struct weir_attention_args *args, uint32_t splits)
{
    static const uint32_t block[3] = {WEIR_ATTEND_THREADS, 1, 1};
    const struct weir_cuda_workspace workspace = weir_cuda_workspace(gpu);
    const uint64_t row_bytes = (uint64_t)splits * job->n_head * (job->pages.d_value + 2) * 4;
    const uint32_t groups =
        job->pages.n_kv_head * ((args->n_share + WEIR_ATTEND_TOGETHER - 1) / WEIR_ATTEND_TOGETHER);
    const uint32_t most =
        (uint32_t)weir_min(weir_min(workspace.bytes / row_bytes, job->rows.n_row), UINT16_MAX);
    size_t kind = 0;
    while (job->pages.d_head > decoders[kind].d_head || job->pages.d_value > decoders[kind].d_value)
        kind++;
    WEIR_ASSERT(most > 0 || job->rows.n_row == 0);
    args->partial = workspace.at;
    args->splits = splits;
    for (uint32_t first = 0; first < job->rows.n_row; first += most) {
        args->first_row = first;
        args->n_row = (uint32_t)weir_min(most, job->rows.n_row - first);
        const uint32_t grid[3] = {splits, groups, args->n_row};
        const uint32_t join_grid[3] = {job->n_head, args->n_row, 1};
        weir_cuda_launch_early(gpu, decoders[kind].name, grid, block, 0, args, sizeof(*args));
        weir_cuda_launch_early(gpu, "weir_attend_join", join_grid, block, 0, args, sizeof(*args));
    }
}

void weir_cuda_attention(weir_gpu *gpu, const struct weir_gpu_attention *job)
{
    static const uint32_t block[3] = {WEIR_ATTEND_THREADS, 1, 1};
    struct weir_attention_args args = args_of(job);
    const uint32_t width = (uint32_t)weir_max(job->pages.d_head, job->pages.d_value);
    size_t kind = 0;
    WEIR_ASSERT(job->pages.d_head <= WEIR_GPU_HEAD_MAX && job->pages.d_value <= WEIR_GPU_VALUE_MAX);
    while (kind < WEIR_COUNT(prompters) && width > prompters[kind].d_head)
        kind++;
    if (!has_vectors(job)) {
        const uint32_t rows[3] = {job->n_head, job->rows.n_row, 1};
        weir_cuda_launch(gpu, WEIR_GPU_COMPUTE, "weir_attend_any", rows, block, 0, &args,
                         sizeof(args));
        return;
    }
    if (job->way == WEIR_GPU_DECODE) {
        decode(gpu, job, &args, weir_attend_splits(job->n_head, job->pages.n_kv_head));
        return;
    }
    if (kind == WEIR_COUNT(prompters)) { /* wide heads: rows alone, each over all its positions */
        decode(gpu, job, &args, 1);
        return;
    }
    const uint32_t tiles =
        (job->rows.n_row + prompters[kind].queries - 1) / prompters[kind].queries;
    const uint32_t grid[3] = {job->n_head, tiles, 1};
    weir_cuda_launch(gpu, WEIR_GPU_COMPUTE, prompters[kind].name, grid, block,
                     prompters[kind].shared_bytes, &args, sizeof(args));
}
