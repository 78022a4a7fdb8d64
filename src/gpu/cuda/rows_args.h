/* rows_args.h - what the kernels over the values of rows are called with; fields are those of
 * gpu_ops.h. A four: 4 floats that lie at a multiple of 16 bytes. */
#ifndef WEIR_CUDA_ROWS_ARGS_H
#define WEIR_CUDA_ROWS_ARGS_H

#include <stdint.h>

enum { WEIR_ROWS_THREADS = 256 };

struct weir_norm_args {
    uint64_t x, y, weights, damage;
    uint32_t width, n_head;
    uint32_t x_head_stride, x_stride, y_head_stride, y_stride;
    uint32_t n_row;
    uint32_t lanes; /* threads of a piece: 32, or all of a block */
    uint32_t is_centered, each_head;
    uint32_t has_fours;
    float epsilon;
};

struct weir_rope_args {
    uint64_t x, angles;
    uint32_t n_head, head_stride, x_stride, n_rot, n_row;
    uint32_t is_interleaved;
};

struct weir_remember_args {
    uint64_t positions, table_at, pages;
    uint64_t k, v;           /* pages */
    uint64_t from_k, from_v; /* rows; from_v 0: no values */
    uint64_t page_stride;
    uint32_t page_shift, n_kv_head, d_head, d_value;
    uint32_t k_stride, v_stride;
    uint32_t n_row;
};

/* Heads of q, k and v, at most this wide, a warp each: q in place, k and v to their pages. */
enum { WEIR_HEADS_WIDTH_MAX = 512 };
struct weir_heads_args {
    struct weir_remember_args to;
    uint64_t q, q_weights, k_weights; /* weights 0: ones */
    uint64_t angles;
    uint32_t n_head, q_head_stride, q_stride;
    uint32_t n_rot, is_interleaved; /* n_rot 0: they are not turned */
    uint32_t norms_q, norms_k;
    float q_epsilon, k_epsilon;
};

struct weir_glu_args {
    uint64_t gate, up, input_weight;
    uint32_t width, stride, n_row, glu;
    uint32_t has_fours;
    float limit;
};

struct weir_add_args {
    uint64_t x, y, weight;
    uint32_t width, x_stride, y_stride, n_row;
    uint32_t weight_is_logit, has_fours;
    float scale;
};

struct weir_gate_args {
    uint64_t x, gate;
    uint32_t width, head_width, x_stride, gate_head_stride, gate_stride, n_row;
    uint32_t is_by_head, is_softplus;
};

struct weir_scale_args {
    uint64_t x, weight;
    uint32_t width, stride, n_row;
    float scale, cap;
};

struct weir_sum_args {
    uint64_t x, weights, y;
    uint32_t width, x_stride, y_stride, n_row, n_used;
    uint32_t has_fours;
};

struct weir_scatter_args {
    uint64_t x, y, at;
    uint32_t width, x_stride, y_stride, n_row;
    uint32_t has_fours;
};

#endif
