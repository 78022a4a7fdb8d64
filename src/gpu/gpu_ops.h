/* gpu_ops.h - the arithmetic of a step on a device: each call is one operation on a stream.
 *
 * Shapes    As in kernels/kernels.h and model/: rows of f32, all in device memory, x_stride and
 *           y_stride in values from one row to the next. Nothing overlaps but where it says so.
 * Errors    None at the call (gpu.h). What is not finite stays so.
 * Threads   The engine thread.
 *
 * A result's bits depend on the operation, the way and the shapes of a row alone: never on how many
 * rows a call has, nor on their neighbours. So rows that are decoded and rows of a prompt go in
 * calls of their own (enum weir_gpu_way), and each way has one order of its sums. Relative to the
 * kernels of the CPU the difference is at most 1e-3 of a golden model's logits. All operations run
 * on WEIR_GPU_COMPUTE.
 */
#ifndef WEIR_GPU_OPS_H
#define WEIR_GPU_OPS_H

#include "gpu/gpu.h"
#include "gpu/gpu_recurrent.h"
#include "kernels/kernels.h"

enum weir_gpu_way {
    WEIR_GPU_DECODE, /* few rows: each weight is read once, products as the CPU's, by 8-bit x */
    /* Many rows: tiles of decoded weights, f16 products summed in f32; of F32 all is f32. */
    WEIR_GPU_PROMPT,
};

/* The form of a matrix, or of each of a stack of them: y = scale * W x + bias. */
struct weir_gpu_form {
    enum weir_type type;
    uint32_t cols, rows;
    uint64_t row_bytes;
    struct weir_scales scales; /* of codes: data and zeros are then NULL, and see below */
};

/* Not all forms can be on a device: columns are a multiple of 8 and at most WEIR_GPU_COLS_MAX, and
 * scales of codes are for a multiple of 8 of them. Ask before the weights are put there. */
enum { WEIR_GPU_COLS_MAX = 32768 };
bool weir_gpu_has_form(const struct weir_gpu_form *form);

/* A matrix. */
struct weir_gpu_matrix {
    struct weir_gpu_form form;
    weir_gpu_address data;          /* row 0 */
    weir_gpu_address scales, zeros; /* of codes; else 0 */
    weir_gpu_address bias;          /* [rows], or 0 */
    float scale;                    /* 1: none */
};

/* y[row] = W x[row], or y[row] += W x[row]. */
struct weir_gpu_matmul {
    struct weir_gpu_matrix w;
    weir_gpu_address x, y; /* rows of x at a multiple of 16 bytes */
    uint32_t x_stride, y_stride;
    uint32_t n_row;
    enum weir_gpu_way way;
    bool adds;
};
void weir_gpu_matmul(weir_gpu *gpu, const struct weir_gpu_matmul *job);

/* gate = unit(gate, up), [n_row][width]; input_weight: [n_row], both are multiplied by it first. */
struct weir_gpu_glu {
    weir_gpu_address gate, up, input_weight;
    uint32_t width, stride, n_row;
    enum weir_glu glu;
    float limit;
};
void weir_gpu_glu(weir_gpu *gpu, const struct weir_gpu_glu *job);

/* What a record of an expert has of one matrix, [n_expert] of them at `table` in device memory. */
struct weir_gpu_place {
    weir_gpu_address data; /* 0: this expert is not on the device, and its rows stay as they are */
    weir_gpu_address scales, zeros;
};
/* y[a] = W[chosen[a]] x[a] for assignments a = row * n_used + rank, where the table has a place. */
struct weir_gpu_experts {
    struct weir_gpu_form form;
    weir_gpu_address table;  /* struct weir_gpu_place [n_expert] */
    weir_gpu_address chosen; /* uint32_t [n_row][n_used] */
    weir_gpu_address bias;   /* [n_expert][rows], or 0 */
    weir_gpu_address scale;  /* [n_expert], or 0 */
    weir_gpu_address x, y;
    uint32_t x_stride, y_stride;
    bool x_is_by_row; /* x has a row of each step's row, else one of each assignment */
    uint32_t n_row, n_used, n_expert;
    enum weir_gpu_way way;
    /* width > 0: x is what this makes of its gate, which is x, and may be changed by it or not. */
    struct weir_gpu_glu unit;
};
void weir_gpu_experts(weir_gpu *gpu, const struct weir_gpu_experts *job);

/* Device memory that matmul and experts take beside their operands, for at most n_row rows of at
 * most `cols` values and n_assignment assignments to n_expert experts. Set once, before the first
 * operation. */
uint64_t weir_gpu_workspace_bytes(uint32_t n_row, uint32_t n_assignment, uint32_t cols,
                                  uint32_t n_expert);
void weir_gpu_workspace_set(weir_gpu *gpu, weir_gpu_address at, uint64_t bytes);

/* y[row] = row ids[row] of a table. */
struct weir_gpu_embed {
    struct weir_gpu_matrix table;
    weir_gpu_address ids; /* uint32_t [n_row] */
    weir_gpu_address y;
    uint32_t y_stride, n_row;
    float scale; /* of all values */
};
void weir_gpu_embed(weir_gpu *gpu, const struct weir_gpu_embed *job);

/* y = norm(x) of n_row * n_head pieces of `width` values; y may be x. */
struct weir_gpu_norm {
    weir_gpu_address x, y;
    weir_gpu_address weights; /* [width]; [n_head][width] with each_head; 0: ones */
    uint32_t width, n_head;
    uint32_t x_head_stride, x_stride, y_head_stride, y_stride;
    uint32_t n_row;
    bool is_centered, each_head;
    float epsilon;
    weir_gpu_address damage; /* uint32_t, set to 1 when a piece is not finite; or 0 */
};
void weir_gpu_norm(weir_gpu *gpu, const struct weir_gpu_norm *job);

/* Turn heads in place, as weir_rope(). */
struct weir_gpu_rope {
    weir_gpu_address x;
    weir_gpu_address angles; /* [n_row][n_rot]: cosines, then sines */
    uint32_t n_head, head_stride, x_stride, n_rot, n_row;
    bool is_interleaved;
};
void weir_gpu_rope(weir_gpu *gpu, const struct weir_gpu_rope *job);

/* Where rows of sequences are: arrays in device memory. */
struct weir_gpu_rows {
    weir_gpu_address positions; /* uint32_t [n_row] */
    weir_gpu_address table_at;  /* uint32_t [n_row]: where in pages the row's table begins */
    weir_gpu_address pages;     /* uint32_t: page numbers of all tables */
    uint32_t n_row;
};
/* Keys and values of a layer in pages of f16, as struct weir_attention has them. v == k: values are
 * the first d_value of each key, which no values are remembered beside (latent attention). */
struct weir_gpu_pages {
    weir_gpu_address k, v; /* row 0 of KV head 0 of page 0 */
    uint64_t page_stride;  /* values */
    uint32_t page_length;
    uint32_t n_kv_head, d_head, d_value; /* head h of K: page_length * d_head values behind h - 1 */
};
/* Rows of k and v, [n_row][n_kv_head * d], become f16 at their positions. */
struct weir_gpu_remember {
    struct weir_gpu_rows rows;
    struct weir_gpu_pages pages;
    weir_gpu_address k, v;
    uint32_t k_stride, v_stride;
};
void weir_gpu_remember(weir_gpu *gpu, const struct weir_gpu_remember *job);

enum { WEIR_GPU_HEAD_MAX = 576, WEIR_GPU_VALUE_MAX = 512 }; /* d_head and d_value */
/* struct weir_attention of each head of each row. In one call a sequence's rows follow each other,
 * their positions ascending. */
struct weir_gpu_attention {
    struct weir_gpu_rows rows;
    struct weir_gpu_pages pages;
    weir_gpu_address q, out; /* [n_row][n_head][q_head_stride], [n_row][n_head * d_value] */
    uint32_t n_head, q_head_stride, q_stride, out_stride;
    weir_gpu_address sinks; /* [n_head], or 0 */
    uint32_t window;        /* 0: all positions */
    bool is_in_chunks;
    float scale, softcap;
    uint32_t position_max; /* of the rows: how long the longest is */
    enum weir_gpu_way way;
};
void weir_gpu_attention(weir_gpu *gpu, const struct weir_gpu_attention *job);
/* Of the workspace: what attention takes for each row of a call. Where there is less, it takes rows
 * in turns; for one there must be enough. */
uint64_t weir_gpu_attention_bytes(uint32_t n_head, uint32_t n_kv_head, uint32_t d_value);

/* y += scale * weight[row] * x; weight 0: 1; weight_is_logit: sigmoid of it. */
struct weir_gpu_add {
    weir_gpu_address x, y, weight;
    uint32_t width, x_stride, y_stride, n_row;
    float scale;
    bool weight_is_logit;
};
void weir_gpu_add(weir_gpu *gpu, const struct weir_gpu_add *job);

/* x *= sigmoid(gate), or log(1 + exp(gate)), in place: a gate for each value, or for each head of
 * head_width. */
struct weir_gpu_gate {
    weir_gpu_address x, gate;
    uint32_t width, head_width, x_stride, gate_head_stride, gate_stride, n_row;
    bool is_by_head, is_softplus;
};
void weir_gpu_gate(weir_gpu *gpu, const struct weir_gpu_gate *job);

/* x = cap * tanh(scale x / cap), cap 0: scale x; scale is multiplied by a row's weight first. */
struct weir_gpu_scale {
    weir_gpu_address x;
    weir_gpu_address weight; /* [n_row], or 0 */
    uint32_t width, stride, n_row;
    float scale, cap;
};
void weir_gpu_scale(weir_gpu *gpu, const struct weir_gpu_scale *job);

enum { WEIR_GPU_EXPERT_MAX = 1024 }; /* of a router; 64 of them are used at most */
/* How experts are chosen; the values of enum weir_gating_kind (kernels/choose.h). */
struct weir_gpu_route {
    weir_gpu_address router; /* [n_row][n_expert]: outputs of the router; changed */
    weir_gpu_address bias;   /* of the choice: [n_expert], or 0 */
    uint32_t kind;
    float steepness, scale;
    bool renormalizes;
    uint32_t n_group, n_group_used, n_group_best;
    uint32_t n_row, n_expert, n_used;
    weir_gpu_address chosen;  /* uint32_t [n_row][n_used]: ids ascending */
    weir_gpu_address weights; /* f32 [n_row][n_used] */
};
void weir_gpu_route(weir_gpu *gpu, const struct weir_gpu_route *job);

/* y[row] += sum over ranks, ascending, of weights[row][rank] * x[row * n_used + rank]; weights 0:
 * each counts 1. */
struct weir_gpu_sum {
    weir_gpu_address x, weights, y;
    uint32_t width, x_stride, y_stride, n_row, n_used;
};
void weir_gpu_sum(weir_gpu *gpu, const struct weir_gpu_sum *job);

/* y[at[i]] = x[i]: rows that were computed elsewhere take their places. at 0: y[i] = x[i]. */
struct weir_gpu_scatter {
    weir_gpu_address x, y, at; /* at: uint32_t [n_row] */
    uint32_t width, x_stride, y_stride, n_row;
};
void weir_gpu_scatter(weir_gpu *gpu, const struct weir_gpu_scatter *job);

#endif
