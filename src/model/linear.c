/* linear.c - how work is divided: rows of weights, tokens of a chunk.
 *
 * No division here can change a result: a kernel's output element has one accumulation order,
 * whatever the range it is computed in. */
#include "model/model_internal.h"

void weir_part_range(uint64_t count, uint32_t part, uint32_t n_part, uint64_t *begin, uint64_t *end)
{
    *begin = count * part / n_part;
    *end = count * (part + 1) / n_part;
}

void weir_forward_by_token(struct weir_forward *forward, const char *name, weir_pool_fn *fn)
{
    if (forward->n_token == 1)
        fn(forward, 0, 1);
    else
        weir_pool_run(forward->config.pool, name, fn, forward);
}

enum weir_act weir_forward_act(const struct weir_forward *forward, const struct weir_weight *weight)
{
    return forward->kernels->act[weight->type];
}

void weir_act_fill(const struct weir_forward *forward, struct weir_act_rows *act, const float *f32,
                   size_t begin, size_t end)
{
    for (size_t row = begin; row < end; row++)
        for (int format = 0; format < WEIR_ACT_COUNT; format++)
            if (act->rows[format] != NULL)
                forward->kernels->quantize[format](f32 + row * act->cols,
                                                   act->rows[format] + row * act->row_bytes[format],
                                                   act->cols);
}

void weir_matmul_rows(const struct weir_forward *forward, const struct weir_weight *weight,
                      const uint8_t *matrix, const struct weir_act_rows *act, size_t first,
                      uint32_t n_token, float *y, uint64_t begin, uint64_t end)
{
    const enum weir_act format = weir_forward_act(forward, weight);
    const bool plain = format == WEIR_ACT_F32;
    const size_t row_bytes = plain ? act->cols * sizeof(float) : act->row_bytes[format];
    const uint8_t *rows = plain ? (const uint8_t *)act->f32 : act->rows[format];
    WEIR_ASSERT(rows != NULL && act->cols == weight->cols);
    const struct weir_matmul job = {
        .w = matrix,
        .w_row_bytes = weight->row_bytes,
        .x = rows + first * row_bytes,
        .x_row_bytes = row_bytes,
        .y = y,
        .y_stride = weight->rows,
        .cols = weight->cols,
        .row_begin = begin,
        .row_end = end,
        .n_token = n_token,
    };
    if (begin < end && n_token > 0)
        forward->kernels->matmul[weight->type](&job);
}

/* Large enough that a kernel's first rows, which nothing asked for before, cost nothing, and small
 * enough that a thread whose CPU was taken for a while leaves the rest to the others. */
enum { TAKEN_BYTES = 4 << 20 };

static uint64_t rows_at_once(const struct weir_weight *weight, uint32_t n_part)
{
    const uint64_t share = (weight->rows + n_part - 1) / n_part;
    const uint64_t large = weir_max(TAKEN_BYTES / weight->row_bytes, 1);
    return weir_min(share, large);
}

static void run_linear_part(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_linear *linear = user;
    (void)part;
    for (uint32_t index = 0; index < linear->count; index++) {
        const struct weir_weight *weight = linear->weight[index];
        const uint64_t rows = rows_at_once(weight, n_part);
        uint64_t begin;
        while ((begin = atomic_fetch_add_explicit(&linear->taken[index], rows,
                                                  memory_order_relaxed)) < weight->rows)
            weir_matmul_rows(linear->forward, weight, weight->data, linear->act, 0, linear->n_token,
                             linear->y[index], begin, weir_min(begin + rows, weight->rows));
    }
}

void weir_linear_run(struct weir_linear *linear)
{
    weir_pool_run(linear->forward->config.pool, linear->name, run_linear_part, linear);
}
