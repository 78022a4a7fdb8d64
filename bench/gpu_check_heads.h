/* gpu_check_heads.h - checks of keys, values and attention. */
#ifndef WEIR_BENCH_GPU_CHECK_HEADS_H
#define WEIR_BENCH_GPU_CHECK_HEADS_H

#include "gpu/gpu_kept.h"
#include "gpu_check.h"

enum { PAGE_LENGTH = 32 };

static const struct heads {
    const char *name;
    uint32_t n_head, n_kv_head, d_head, d_value, window;
    bool is_in_chunks, has_sinks, v_is_k;
    float softcap;
} all_heads[] = {
    {.name = "128", .n_head = 8, .n_kv_head = 2, .d_head = 128, .d_value = 128},
    {.name = "64 sinks window", 16, 2, 64, 64, .window = 50, .has_sinks = true},
    {.name = "256 softcap", 4, 2, 256, 256, .softcap = 5.0f},
    {.name = "96 each chunks", 3, 3, 96, 96, .window = 40, .is_in_chunks = true},
    {.name = "192 and 128", 6, 6, 192, 128, 0},
    {.name = "latent", 8, 1, 576, 512, 0, .v_is_k = true},
};

/* Where rows are: of a prompt they follow each other, else each has a sequence of its own. */
static struct weir_gpu_rows put_rows(struct stage *stage, uint32_t n_row, bool is_prompt,
                                     uint32_t first, uint32_t *page_count)
{
    const uint32_t longest = first + n_row;
    const uint32_t table_length = longest / PAGE_LENGTH + 1;
    const uint32_t table_count = is_prompt ? 1 : n_row;
    uint32_t *positions = stage_host(n_row * sizeof(*positions));
    uint32_t *table_at = stage_host(n_row * sizeof(*table_at));
    uint32_t *pages = stage_host((size_t)table_count * table_length * sizeof(*pages));
    *page_count = table_count * table_length;
    for (uint32_t row = 0; row < n_row; row++) {
        positions[row] = is_prompt ? first + row : first - row * 7 % first;
        table_at[row] = is_prompt ? 0 : row * table_length;
    }
    for (uint32_t page = 0; page < *page_count; page++) /* not in their order, but all of them */
        pages[page] = page ^ (page + 1 < *page_count || page % 2 == 1 ? 1 : 0);
    const struct weir_gpu_rows rows = {
        .positions = stage_put(stage, positions, n_row * sizeof(*positions)),
        .table_at = stage_put(stage, table_at, n_row * sizeof(*table_at)),
        .pages = stage_put(stage, pages, *page_count * sizeof(*pages)),
        .n_row = n_row,
    };
    free(positions);
    free(table_at);
    free(pages);
    return rows;
}

static struct weir_gpu_pages put_pages(struct stage *stage, const struct heads *heads,
                                       uint32_t page_count)
{
    const uint32_t d_both = heads->d_head + (heads->v_is_k ? 0 : heads->d_value);
    struct weir_gpu_pages pages = {
        .page_stride = (uint64_t)PAGE_LENGTH * heads->n_kv_head * d_both,
        .page_length = PAGE_LENGTH,
        .n_kv_head = heads->n_kv_head,
        .d_head = heads->d_head,
        .d_value = heads->d_value,
    };
    const uint64_t count = page_count * pages.page_stride;
    uint16_t *values = stage_host(count * sizeof(*values));
    for (uint64_t at = 0; at < count; at++)
        values[at] = weir_f32_to_f16(stage_draw(stage));
    pages.k = stage_put(stage, values, count * sizeof(*values));
    const uint64_t keys = (uint64_t)PAGE_LENGTH * heads->n_kv_head * heads->d_head;
    pages.v = heads->v_is_k ? pages.k : pages.k + keys * sizeof(uint16_t);
    free(values);
    return pages;
}

static void check_attention(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const struct heads *heads = &all_heads[check->kind];
    const bool is_prompt = check->way == WEIR_GPU_PROMPT;
    const uint32_t first = is_prompt ? 133 : size_of(700, 4000);
    uint32_t page_count;
    /* As many pages whatever n_row is, so that the values are the same. */
    const struct weir_gpu_rows rows = put_rows(stage, check->n_row, is_prompt, first, &page_count);
    struct weir_gpu_attention job = {
        .rows = rows,
        .pages = put_pages(stage, heads, page_count),
        .n_head = heads->n_head,
        .q_head_stride = heads->d_head + 8,
        .q_stride = heads->n_head * (heads->d_head + 8),
        .out_stride = heads->n_head * heads->d_value,
        .sinks = heads->has_sinks ? stage_floats(stage, heads->n_head, 2.0f) : 0,
        .window = heads->window,
        .is_in_chunks = heads->is_in_chunks,
        .scale = 1.0f / sqrtf((float)heads->d_head),
        .softcap = heads->softcap,
        .position_max = first + n_row,
        .way = check->way,
    };
    const uint64_t of_row =
        weir_gpu_attention_bytes(heads->n_head, heads->n_kv_head, heads->d_value);
    /* For more rows than 5 there is too little, so that they take turns. */
    const uint64_t bytes = weir_min(n_row, 5) * of_row;
    weir_gpu_workspace_set(stage->gpu, stage_zeros(stage, bytes), bytes);
    job.rows.n_row = n_row;
    job.q = stage_floats(stage, (size_t)n_row * job.q_stride, 3.0f);
    job.out = stage_zeros(stage, (size_t)n_row * job.out_stride * sizeof(float));
    DO(stage, weir_gpu_attention(stage->gpu, &job));
    stage_keep(stage, job.out, (size_t)n_row * job.out_stride, heads->d_value);
}

static void check_remember(struct stage *stage, const struct check *check, uint32_t n_row)
{
    const struct heads *heads = &all_heads[check->kind];
    uint32_t page_count;
    const struct weir_gpu_rows rows = put_rows(stage, check->n_row, true, 33, &page_count);
    struct weir_gpu_remember job = {.rows = rows,
                                    .pages = put_pages(stage, heads, page_count),
                                    .k_stride = heads->n_kv_head * heads->d_head,
                                    .v_stride = heads->n_kv_head * heads->d_value};
    const uint64_t bytes = page_count * job.pages.page_stride * sizeof(uint16_t);
    job.rows.n_row = n_row;
    job.k = stage_floats(stage, (size_t)n_row * job.k_stride, 3.0f);
    job.v = stage_floats(stage, (size_t)n_row * job.v_stride, 3.0f);
    DO(stage, weir_gpu_remember(stage->gpu, &job));
    uint16_t *values = stage_host(bytes);
    weir_gpu_copy_out(stage->gpu, WEIR_GPU_COMPUTE, values, job.pages.k, bytes);
    stage_await(stage);
    for (uint64_t at = 0; n_row == check->n_row && at < bytes / sizeof(*values); at++)
        stage->out[stage->out_count++] = weir_f16_to_f32(values[at]);
    free(values);
}

static struct weir_gpu_kept put_kept(struct stage *stage, const struct weir_gpu_pages *pages,
                                     enum weir_kv kv, uint32_t page_count)
{
    struct weir_gpu_kept kept = {.kv = kv, .page_bytes = weir_kv_row_bytes(kv, pages->page_stride)};
    uint8_t *bytes = stage_host(page_count * kept.page_bytes);
    float *values = stage_host(pages->page_stride * sizeof(*values));
    for (uint32_t page = 0; page < page_count; page++) {
        for (uint64_t at = 0; at < pages->page_stride; at++)
            values[at] = stage_draw(stage);
        weir_kv_store_row(kv, values, bytes + page * kept.page_bytes, pages->page_stride);
    }
    kept.base = stage_put(stage, bytes, page_count * kept.page_bytes);
    free(values);
    free(bytes);
    return kept;
}

/* Rows become blocks, and these f16, which is what is kept of the check. */
static void check_kept(struct stage *stage, const struct check *check, uint32_t n_row)
{
    enum { FIRST = 45 };
    const struct heads *heads = &all_heads[check->kind / 2];
    const enum weir_kv kv = check->kind % 2 == 0 ? WEIR_KV_Q8_0 : WEIR_KV_Q4_0;
    uint32_t page_count;
    const struct weir_gpu_rows rows = put_rows(stage, check->n_row, true, FIRST, &page_count);
    struct weir_gpu_pages pages = put_pages(stage, heads, page_count);
    struct weir_gpu_keep keep = {.rows = rows,
                                 .pages = pages,
                                 .kept = put_kept(stage, &pages, kv, page_count),
                                 .k_stride = heads->n_kv_head * heads->d_head,
                                 .v_stride = heads->n_kv_head * heads->d_value};
    uint32_t first[2] = {0, n_row};
    const struct weir_gpu_expand expand = {.rows = rows,
                                           .pages = pages,
                                           .kept = keep.kept,
                                           .first = stage_put(stage, first, sizeof(first)),
                                           .n_run = 1,
                                           .window = heads->window,
                                           .is_in_chunks = heads->is_in_chunks,
                                           .position_max = FIRST + check->n_row};
    const uint64_t bytes = page_count * pages.page_stride * sizeof(uint16_t);
    keep.rows.n_row = n_row;
    keep.k = stage_floats(stage, (size_t)n_row * keep.k_stride, 3.0f);
    keep.v = stage_floats(stage, (size_t)n_row * keep.v_stride, 3.0f);
    DO(stage, weir_gpu_keep(stage->gpu, &keep));
    DO(stage, weir_gpu_expand(stage->gpu, &expand));
    uint16_t *values = stage_host(bytes);
    weir_gpu_copy_out(stage->gpu, WEIR_GPU_COMPUTE, values, pages.k, bytes);
    stage_await(stage);
    for (uint64_t at = 0; n_row == check->n_row && at < bytes / sizeof(*values); at++)
        stage->out[stage->out_count++] = weir_f16_to_f32(values[at]);
    free(values);
}

#endif
