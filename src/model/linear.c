/* linear.c - how work is divided: rows of weights, rows of a step.
 *
 * No division here can change a result: a kernel's output element has one accumulation order,
 * whatever the range it is computed in. */
#include "model/importance_taps.h"

void weir_part_range(uint64_t count, uint32_t part, uint32_t n_part, uint64_t *begin, uint64_t *end)
{
    *begin = count * part / n_part;
    *end = count * (part + 1) / n_part;
}

void weir_forward_by_row(struct weir_forward *forward, const char *name, weir_pool_fn *fn)
{
    if (forward->step.n_row == 1)
        fn(forward, 0, 1);
    else
        weir_pool_run(forward->config.pool, name, fn, forward);
}

/* What goes with a matrix, for outputs [begin, end) of each row: few matrices have any of it. */
static void scale_and_bias(const struct weir_matrix *matrix, uint32_t n_row, float *y,
                           uint64_t begin, uint64_t end)
{
    const struct weir_weight *weight = matrix->weight;
    const struct weir_vector *scale = &weight->scale;
    const float *bias = weight->bias.data + (size_t)matrix->index * weight->rows;
    for (uint32_t row = 0; row < n_row; row++) {
        float *out = y + row * weight->rows;
        for (uint64_t at = begin; scale->tensor != NULL && at < end; at++)
            out[at] *= scale->data[scale->cols * scale->rows == 1 ? 0 : matrix->index];
        for (uint64_t at = begin; weight->bias.tensor != NULL && at < end; at++)
            out[at] += bias[at];
    }
}

void weir_matmul_rows(const struct weir_forward *forward, const struct weir_matrix *matrix,
                      const struct weir_act_rows *act, size_t first, uint32_t n_row, float *y,
                      uint64_t begin, uint64_t end, const uint8_t *next)
{
    const struct weir_weight *weight = matrix->weight;
    const enum weir_act format = weir_forward_act(forward, weight);
    const bool plain = format == WEIR_ACT_F32;
    const size_t row_bytes = plain ? act->cols * sizeof(float) : act->row_bytes[format];
    const uint8_t *rows = plain ? (const uint8_t *)act->f32 : act->rows[format];
    WEIR_ASSERT(rows != NULL && act->cols == weight->cols);
    const struct weir_scales scales = weir_scales_of(weight, matrix->scales, matrix->zeros);
    const struct weir_matmul job = {
        .w = matrix->data,
        .w_row_bytes = weight->row_bytes,
        .w_col_bytes = weight->col_bytes,
        .x = rows + first * row_bytes,
        .x_row_bytes = row_bytes,
        .y = y,
        .y_stride = weight->rows,
        .cols = weight->cols,
        .row_begin = begin,
        .row_end = end,
        .n_token = n_row,
        .next = next,
        .scales = matrix->scales == NULL ? NULL : &scales,
    };
    if (begin == end || n_row == 0)
        return;
    (weight->col_bytes > 0 ? forward->kernels->turned
                           : forward->kernels->matmul)[weight->type](&job);
    if (weight->scale.tensor != NULL || weight->bias.tensor != NULL)
        scale_and_bias(matrix, n_row, y, begin, end);
}

/* The smallest pieces, in rows of weights: multiples of all kernels' tiles. A thread computes one
 * for a single row of activations in a few microseconds. With several rows each piece reads all of
 * their activations again, so pieces are larger. */
enum { PIECE_ROWS = 32, PROMPT_PIECE_ROWS = 128 };
/* Memory is idle for a moment where a piece begins and ends, so one row's pieces are as large as
 * they can be while two threads, one a fifth slower than the other, still end together. In a prompt
 * one expert may have most of the rows: no thread may begin with all of that expert's weights. */
static const double token_share = 7.0 / 8;
static const double prompt_share = 1.0 / 2;
static const double uneven_prompt_share = 1.0 / 5;

/* The piece that begins at row begin. */
static struct weir_piece piece_at(const struct weir_deal *deal, uint64_t begin)
{
    const uint64_t left = deal->count - begin;
    /* Few rows, a router's, are shared all the same. */
    const uint64_t least = weir_max(weir_min(deal->least, deal->count / deal->n_part), 1);
    const uint64_t share =
        deal->n_part == 1 ? left : (uint64_t)((double)left * deal->share / deal->n_part);
    return (struct weir_piece){
        .begin = begin,
        .end = begin + weir_min(weir_align_up(weir_max(share, least), PIECE_ROWS), left)};
}

void weir_deal_start(struct weir_deal *deal, uint64_t count, uint32_t n_row, uint32_t n_part,
                     bool is_uneven)
{
    const double prompt = is_uneven ? uneven_prompt_share : prompt_share;
    *deal = (struct weir_deal){
        .count = count,
        .least = n_row == 1 ? PIECE_ROWS : PROMPT_PIECE_ROWS,
        .share = n_row == 1 ? token_share : prompt,
        .n_part = n_part,
    };
    deal->first = piece_at(deal, 0).end;
    deal->next = weir_min(deal->first * n_part, count);
}

struct weir_piece weir_piece_first(const struct weir_deal *deal, uint32_t part)
{
    const uint64_t begin = weir_min(deal->first * part, deal->count);
    return (struct weir_piece){.begin = begin, .end = weir_min(begin + deal->first, deal->count)};
}

struct weir_piece weir_piece_next(struct weir_deal *deal)
{
    uint64_t begin = atomic_load_explicit(&deal->next, memory_order_relaxed);
    struct weir_piece piece;
    do
        piece = piece_at(deal, begin);
    /* Relaxed: which rows are whose is all that is agreed on. */
    while (piece.begin < piece.end &&
           !atomic_compare_exchange_weak_explicit(&deal->next, &begin, piece.end,
                                                  memory_order_relaxed, memory_order_relaxed));
    return piece;
}

bool weir_piece_overlap(const struct weir_piece *piece, uint64_t first, uint64_t count,
                        uint64_t *begin, uint64_t *end)
{
    *begin = weir_max(piece->begin, first) - first;
    *end = weir_max(weir_min(piece->end, first + count), first) - first;
    return *begin < *end;
}

static void run_linear_part(void *user, uint32_t part, uint32_t n_part)
{
    struct weir_linear *linear = user;
    struct weir_piece piece = weir_piece_first(&linear->rows, part);
    weir_store *store = linear->forward->config.store;
    (void)n_part;
    if (part == 0 && linear->counts_uses && store != NULL)
        weir_store_count(store);
    for (; piece.begin < piece.end; piece = weir_piece_next(&linear->rows)) {
        uint64_t first = 0;
        for (uint32_t index = 0; index < linear->count; index++) {
            const struct weir_matrix matrix = weir_trunk_matrix(linear->weight[index]);
            const uint64_t after = first + matrix.weight->rows;
            uint64_t begin;
            uint64_t end;
            if (weir_piece_overlap(&piece, first, matrix.weight->rows, &begin, &end))
                weir_matmul_rows(linear->forward, &matrix, linear->act, 0, linear->n_row,
                                 linear->y[index], begin, end,
                                 after < piece.end ? linear->weight[index + 1]->data : NULL);
            first = after;
        }
    }
}

void weir_linear_run(struct weir_linear *linear)
{
    uint64_t count = 0;
    for (uint32_t index = 0; index < linear->count; index++)
        count += linear->weight[index]->rows;
    weir_pool *pool = linear->forward->config.pool;
    weir_deal_start(&linear->rows, count, linear->n_row, weir_pool_thread_count(pool), false);
    weir_pool_run(pool, linear->name, run_linear_part, linear);
    if (weir_is_measured(linear->weight[0]) && !linear->is_unmeasured)
        weir_importance_linear(linear);
}

/* More than a thread has time to fetch between two jobs, and less than its second-level cache
 * holds.
 */
enum { EXPECT_BYTES = 256 << 10 };

void weir_linear_prefetch(const struct weir_forward *forward,
                          const struct weir_weight *const *weights, uint32_t count)
{
    weir_pool *pool = forward->config.pool;
    const uint32_t n_part = weir_pool_thread_count(pool);
    uint64_t row_count = 0;
    struct weir_deal deal;
    if (forward->step.n_row > 1)
        return;
    for (uint32_t index = 0; index < count; index++)
        row_count += weights[index]->rows;
    weir_deal_start(&deal, row_count, 1, n_part, false);
    for (uint32_t part = 0; part < n_part; part++) {
        const struct weir_piece piece = weir_piece_first(&deal, part);
        uint64_t row = piece.begin;
        uint32_t index = 0;
        for (; index < count && row >= weights[index]->rows; index++)
            row -= weights[index]->rows;
        if (index == count)
            return;
        const struct weir_weight *weight = weights[index];
        const uint64_t rows = weir_min(piece.end - piece.begin, weight->rows - row);
        weir_pool_prefetch(pool, part, (const uint8_t *)weight->data + row * weight->row_bytes,
                           weir_min(rows * weight->row_bytes, EXPECT_BYTES));
    }
}
