/* linear.h - how the rows of weights are divided among threads. */
#ifndef WEIR_MODEL_LINEAR_H
#define WEIR_MODEL_LINEAR_H

#include "model/model_internal.h"

/* Part `part` of n_part of count things: [begin, end). */
void weir_part_range(uint64_t count, uint32_t part, uint32_t n_part, uint64_t *begin,
                     uint64_t *end);
/* Run fn over the pool; with one row, on the caller alone: hand-off would cost more. */
void weir_forward_by_row(struct weir_forward *forward, const char *name, weir_pool_fn *fn);

/* Rows that the threads of a job take piece by piece, until none is left: large pieces first, so
 * that all threads end at nearly the same time whatever slows one of them (guided self-scheduling,
 * Polychronopoulos and Kuck, IEEE Transactions on Computers C-36, 1987). Each part's first piece is
 * known before the job, so that it can be prefetched. */
struct weir_deal {
    uint64_t count;
    uint64_t least; /* rows of a piece */
    double share;   /* of a part's share of what is left: a piece */
    uint32_t n_part;
    uint64_t first; /* rows of each part's first piece, part after part from row 0 on */
    _Atomic uint64_t next;
};
/* Before the job: count rows of weights that n_row rows of activations pass, in n_part parts;
 * is_uneven: not every weight is passed by all of them. */
void weir_deal_start(struct weir_deal *deal, uint64_t count, uint32_t n_row, uint32_t n_part,
                     bool is_uneven);
/* Rows [begin, end) of a deal; empty: none is left. */
struct weir_piece {
    uint64_t begin, end;
};
/* A part's first piece, and each one after it. */
struct weir_piece weir_piece_first(const struct weir_deal *deal, uint32_t part);
struct weir_piece weir_piece_next(struct weir_deal *deal);
/* What the piece has of the count rows that begin at first, numbered from there; false: nothing. */
bool weir_piece_overlap(const struct weir_piece *piece, uint64_t first, uint64_t count,
                        uint64_t *begin, uint64_t *end);

enum { WEIR_LINEAR_MAX = 4 };

/* One fork-join over the rows of up to WEIR_LINEAR_MAX weights that share x. */
struct weir_linear {
    const char *name; /* of the job */
    struct weir_forward *forward;
    const struct weir_act_rows *act;
    const struct weir_weight *weight[WEIR_LINEAR_MAX];
    float *y[WEIR_LINEAR_MAX];
    uint32_t count;
    uint32_t n_row;        /* of act */
    bool is_unmeasured;    /* no weight's own input: a guess, or measured elsewhere */
    bool counts_uses;      /* beside it one thread lets the store count the last layer's uses */
    struct weir_deal rows; /* set by the run */
};
void weir_linear_run(struct weir_linear *linear);
/* The job after the next one reads these weights: a thread that waits between the two prefetches
 * what it will read first. Only for steps of one row: their speed is the memory's. */
void weir_linear_prefetch(const struct weir_forward *forward,
                          const struct weir_weight *const *weights, uint32_t count);
/* One matrix of a weight, wherever its rows are in memory. */
struct weir_matrix {
    const struct weir_weight *weight;
    const uint8_t *data;   /* row 0 */
    const uint8_t *scales; /* row 0 of them, of a format of codes */
    const uint8_t *zeros;  /* the same of zero points; NULL: there are none */
    uint32_t index;        /* in its stack */
};
static inline struct weir_matrix weir_trunk_matrix(const struct weir_weight *weight)
{
    return (struct weir_matrix){.weight = weight,
                                .data = weight->data,
                                .scales = weight->scales.data,
                                .zeros = weight->zeros.data};
}
/* The scales of one matrix, which begin at data, and its zero points. */
static inline struct weir_scales weir_scales_of(const struct weir_weight *weight,
                                                const uint8_t *data, const uint8_t *zeros)
{
    const struct weir_scale_stack *scales = &weight->scales;
    return (struct weir_scales){.data = data,
                                .zeros = zeros,
                                .row_bytes = (size_t)scales->row_bytes,
                                .zero_row_bytes = (size_t)weight->zeros.row_bytes,
                                .group_rows = scales->group_rows,
                                .group_cols = scales->group_cols,
                                .type = scales->type};
}
/* An expert's, in its slot. */
struct weir_matrix weir_expert_matrix(const struct weir_weight *weight,
                                      const struct weir_lease *lease);
/* Rows [begin, end) of y = scale * W x + bias for n_row rows of act from first on. next is where
 * the thread reads weights after these, or NULL. */
void weir_matmul_rows(const struct weir_forward *forward, const struct weir_matrix *matrix,
                      const struct weir_act_rows *act, size_t first, uint32_t n_row, float *y,
                      uint64_t begin, uint64_t end, const uint8_t *next);

#endif
