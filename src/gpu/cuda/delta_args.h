/* delta_args.h - what the kernels of gated delta nets are called with; fields are those of
 * gpu_ops.h. */
#ifndef WEIR_CUDA_DELTA_ARGS_H
#define WEIR_CUDA_DELTA_ARGS_H

#include <stdint.h>

enum {
    WEIR_CONV_THREADS = 128, /* a channel each */
    WEIR_CONV_ROWS = 16,     /* positions of a block: more than a convolution looks back */
    WEIR_CONV_TAPS = 8,      /* at most */
    WEIR_DELTA_THREADS = 128,
    WEIR_DELTA_KEY_MAX = 128,
    WEIR_DELTA_COLUMNS = 32, /* of a state that lie side by side, and of a block */
};

struct weir_conv_args {
    uint64_t first, states;
    uint64_t state_at; /* values of a state before the past */
    uint64_t x, y, taps;
    uint32_t x_stride, y_stride, n_tap, n_channel;
};

struct weir_delta_args {
    uint64_t first, states;
    uint64_t state_at; /* values of a state before those of heads */
    uint64_t x, out, beta, alpha, decay, dt_bias;
    uint32_t x_stride, out_stride, gate_stride;
    uint32_t n_key_head, n_value_head, d_key, d_value;
    uint32_t is_tiled, gates_are_joint;
    uint32_t n_row;
};

struct weir_unpack_args {
    uint64_t packed, x, gate;
    uint32_t packed_stride, x_stride, gate_stride;
    uint32_t n_key_head, n_value_head, d_key, d_value;
    uint32_t is_tiled, n_row;
};

#endif
