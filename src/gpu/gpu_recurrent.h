/* gpu_recurrent.h - the operations of mixers that have a state: what gpu_ops.h says holds here. */
#ifndef WEIR_GPU_RECURRENT_H
#define WEIR_GPU_RECURRENT_H

#include "gpu/gpu.h"

/* Rows that follow each other, of sequences that have a state beside their pages: arrays in device
 * memory. */
struct weir_gpu_runs {
    weir_gpu_address first;  /* uint32_t [n_run + 1]: run i is rows first[i] to first[i + 1] - 1 */
    weir_gpu_address states; /* weir_gpu_address [n_run]: each sequence's state of the layer */
    uint32_t n_run, n_row;
};

/* struct weir_conv of each run, from x to y, which is not x. */
struct weir_gpu_conv {
    struct weir_gpu_runs runs;
    weir_gpu_address x, y;
    weir_gpu_address taps; /* [n_tap][n_channel] */
    uint64_t state_at;     /* values of a state before the past */
    uint32_t x_stride, y_stride, n_tap, n_channel;
};
void weir_gpu_conv(weir_gpu *gpu, const struct weir_gpu_conv *job);

enum { WEIR_GPU_DELTA_KEY_MAX = 128, WEIR_GPU_TAPS_MAX = 8 };
/* The heads of a gated delta net (model/delta.c): lengths of q and k, gates, and struct weir_delta.
 * A head's state is [d_value / 32][d_key][32], the last piece with as many columns as are left. */
struct weir_gpu_delta {
    struct weir_gpu_runs runs;
    weir_gpu_address x;              /* [n_row][q, k, v of all heads]; q and k are changed */
    weir_gpu_address out;            /* [n_row][n_value_head * d_value]; may be v */
    weir_gpu_address beta, alpha;    /* logits [n_row][n_value_head], changed; alpha 0: beta has
                                      * both */
    weir_gpu_address decay, dt_bias; /* [n_value_head] */
    uint64_t state_at;               /* values of a state before those of the heads */
    uint32_t x_stride, out_stride, gate_stride;
    uint32_t n_key_head, n_value_head;
    uint32_t d_key, d_value; /* d_key: at most KEY_MAX, and of CUDA's a multiple of 4 */
    bool is_tiled;           /* value head i has key head i modulo their number; else neighbours */
};
void weir_gpu_delta(weir_gpu *gpu, const struct weir_gpu_delta *job);

/* Rows with q, k, v and gate of each key head (older files), to x as above and the gate. */
struct weir_gpu_unpack {
    weir_gpu_address packed, x, gate;
    uint32_t packed_stride, x_stride, gate_stride, n_row;
    uint32_t n_key_head, n_value_head, d_key, d_value;
    bool is_tiled;
};
void weir_gpu_unpack(weir_gpu *gpu, const struct weir_gpu_unpack *job);

#endif
