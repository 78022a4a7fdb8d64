/* probe_memory.c - how fast all threads read memory, and how fast a kernel passes through it. */
#include "engine/probe.h"

#include "engine/forecast.h"

enum {
    MEMORY_BYTES = 256 << 20,
    PIECE_BYTES = 4 << 20, /* read between two looks at the clock */
};

/* Fewer rows than the matrix has when it is longer than a piece. */
static uint64_t count_rows(const struct weir_probe_matrix *matrix)
{
    const uint64_t row_bytes = weir_quant_row_bytes(matrix->type, matrix->cols);
    return weir_max(1, weir_min(matrix->rows, PIECE_BYTES / row_bytes));
}

static void lay_out(struct weir_memory_probe *probe, const struct weir_probe_matrix *matrix)
{
    probe->start = weir_mem_alloc(&probe->mem, WEIR_MEM_SCRATCH, probe->bytes, 4096);
    if (matrix == NULL)
        return;
    const size_t row_bytes =
        weir_act_row_bytes(matrix->kernels->act[matrix->type], (size_t)matrix->cols);
    probe->x = weir_mem_alloc(&probe->mem, WEIR_MEM_SCRATCH, row_bytes * matrix->n_token_max, 4096);
    probe->y = weir_mem_alloc(&probe->mem, WEIR_MEM_SCRATCH,
                              count_rows(matrix) * matrix->n_token_max * sizeof(float), 4096);
}

struct weir_probe_matrix weir_probe_matrix_of(const struct weir_model *model,
                                              const struct weir_kernels *kernels,
                                              uint32_t n_token_max)
{
    const struct weir_weight *weight = weir_main_weight(model);
    return (struct weir_probe_matrix){
        .kernels = kernels,
        .type = weight->type,
        .rows = weight->rows,
        .cols = weight->cols,
        .group_rows = weight->scales.group_rows,
        .group_cols = weight->scales.group_cols,
        .scale_type = weight->scales.type,
        .n_token_max = n_token_max,
    };
}

enum weir_status weir_memory_probe_open(struct weir_memory_probe *probe, uint32_t n_thread,
                                        const struct weir_probe_matrix *matrix,
                                        struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    *probe = (struct weir_memory_probe){0};
    weir_mem_init(&probe->mem);
    probe->bytes = weir_align_down(weir_min(MEMORY_BYTES, weir_sys_free_bytes() / 4), PIECE_BYTES);
    if (probe->bytes < MEMORY_BYTES / 4) {
        char size[32];
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "memory to measure its speed: wanted 64 MiB, a quarter of what is free "
                         "is %s",
                         weir_format_size(probe->bytes, size, sizeof(size)));
    }
    lay_out(probe, matrix);
    WEIR_TRY_GOTO(weir_mem_open(&probe->mem, err));
    lay_out(probe, matrix);
    WEIR_TRY_GOTO(weir_pool_create(&probe->pool, n_thread, err));
    return WEIR_OK;

fail:
    weir_memory_probe_close(probe);
    return status;
}

void weir_memory_probe_close(struct weir_memory_probe *probe)
{
    if (probe->pool != NULL)
        weir_pool_destroy(&probe->pool);
    weir_mem_close(&probe->mem);
    *probe = (struct weir_memory_probe){0};
}

double weir_memory_probe_read(struct weir_memory_probe *probe, uint64_t duration_ns)
{
    uint64_t done_bytes = 0;
    uint64_t ns = 0;
    do {
        ns += weir_sys_dram_read_ns(probe->pool, probe->start + probe->cursor, PIECE_BYTES);
        done_bytes += PIECE_BYTES;
        probe->cursor = (probe->cursor + PIECE_BYTES) % probe->bytes;
    } while (ns < duration_ns);
    return (double)done_bytes / ((double)ns * 1e-9);
}

struct matmul_job {
    weir_matmul_fn *matmul;
    struct weir_matmul matrix; /* the first of the piece, without a range of rows */
    uint64_t rows, matrix_bytes, matrix_count;
};

static void run_part(void *user, uint32_t part, uint32_t n_part)
{
    const struct matmul_job *job = user;
    struct weir_matmul matrix = job->matrix;
    matrix.row_begin = job->rows * part / n_part;
    matrix.row_end = job->rows * (part + 1) / n_part;
    for (uint64_t index = 0; index < job->matrix_count; index++) {
        job->matmul(&matrix);
        matrix.w = (const uint8_t *)matrix.w + job->matrix_bytes;
    }
}

double weir_memory_probe_matmul(struct weir_memory_probe *probe,
                                const struct weir_probe_matrix *matrix, uint32_t n_token,
                                uint64_t duration_ns)
{
    const size_t row_bytes = weir_quant_row_bytes(matrix->type, matrix->cols);
    const bool is_codes = matrix->group_cols > 0;
    /* Whatever values they have: the same for each matrix, beside which they are few. */
    const struct weir_scales scales = {
        .data = probe->start,
        .row_bytes = is_codes ? (matrix->cols + matrix->group_cols - 1) / matrix->group_cols *
                                    weir_scale_bytes(matrix->scale_type)
                              : 0,
        .group_rows = matrix->group_rows,
        .group_cols = matrix->group_cols,
        .type = matrix->scale_type,
    };
    struct matmul_job job = {
        .matmul = matrix->kernels->matmul[matrix->type],
        .matrix = {.w_row_bytes = row_bytes,
                   .x = probe->x,
                   .x_row_bytes =
                       weir_act_row_bytes(matrix->kernels->act[matrix->type], (size_t)matrix->cols),
                   .y = probe->y,
                   .y_stride = count_rows(matrix),
                   .cols = matrix->cols,
                   .n_token = n_token,
                   .scales = is_codes ? &scales : NULL},
        .rows = count_rows(matrix),
        .matrix_bytes = count_rows(matrix) * row_bytes,
    };
    /* Long enough that a fork and a join cost nothing beside it. */
    job.matrix_count = PIECE_BYTES / job.matrix_bytes;
    const uint64_t piece_bytes = job.matrix_bytes * job.matrix_count;
    const uint64_t start_ns = weir_now_ns();
    uint64_t done_bytes = 0;
    uint64_t ns;
    WEIR_ASSERT(probe->x != NULL && n_token <= matrix->n_token_max);
    do {
        job.matrix.w = probe->start + probe->cursor;
        weir_pool_run(probe->pool, "probe", run_part, &job);
        probe->cursor = (probe->cursor + PIECE_BYTES) % probe->bytes;
        done_bytes += piece_bytes;
        ns = weir_now_ns() - start_ns;
    } while (ns < duration_ns);
    return (double)done_bytes / ((double)ns * 1e-9);
}
