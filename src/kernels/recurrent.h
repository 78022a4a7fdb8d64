/* recurrent.h - what goes from position to position: a short convolution, and the gated delta rule.
 *
 * Both take positions that follow each other, one after the other, with the same operations for
 * each whatever the call's number of positions is: cutting a text into calls changes no bit. */
#ifndef WEIR_KERNELS_RECURRENT_H
#define WEIR_KERNELS_RECURRENT_H

#include <stddef.h>

/* A depthwise causal convolution in place, then SiLU (arXiv:2312.00752, section 3.4):
 *
 *   y[t][c] = sum over j in [0, n_tap) of taps[j][c] * x[t - (n_tap - 1) + j][c],   j ascending
 *   x[t][c] = y / (1 + exp(-y))
 *
 *   x     n_position rows of n_channel values, x_stride apart
 *   taps  n_tap rows of n_channel values, tap_stride apart
 *   past  n_tap - 1 rows, tap_stride apart: x of the positions before the first, the oldest first;
 *         becomes that of the last positions
 *
 * n_tap in [1, WEIR_CONV_TAP_MAX], n_position >= 1. TOL 1e-5 * sum |taps x|. */
struct weir_conv {
    float *x;
    float *past;
    const float *taps;
    size_t x_stride, tap_stride;
    size_t n_tap, n_channel, n_position;
};
enum { WEIR_CONV_TAP_MAX = 8 };
typedef void weir_conv_fn(const struct weir_conv *job);

/* What a position does to a head's state, beside its vectors. */
struct weir_delta_gate {
    float decay;   /* the state is multiplied by it first: exp of the log of a decay, in [0, 1] */
    float beta;    /* how much of the difference is written, in [0, 1] */
    float overlap; /* q . k */
};

/* The gated delta rule (arXiv:2412.06464, eq. 10) for some columns of a head's state S. For each
 * position
 *
 *   S      = decay S
 *   d[j]   = beta (v[j] - sum over i of k[i] S[i][j])
 *   S     += k d^T
 *   out[j] = sum over i of q[i] S[i][j]
 *
 * where S is read once: both sums are taken of the S before, and what d adds to out is overlap * d.
 *
 *   state  [d_key][n_col] f32
 *   q, k   rows of d_key values, key_stride apart
 *   v      rows of n_col values, v_stride apart
 *   gate   gate_stride structs apart
 *   out    rows of n_col values, v_stride apart; may be v
 *
 * n_col in [1, WEIR_DELTA_COL_MAX], n_position >= 1. TOL 1e-5 * sum of magnitudes. */
struct weir_delta {
    float *state;
    const float *q, *k;
    const float *v;
    float *out;
    const struct weir_delta_gate *gate;
    size_t key_stride, v_stride, gate_stride;
    size_t d_key, n_col, n_position;
};
enum { WEIR_DELTA_COL_MAX = 32 }; /* of 128 rows: half of a first-level cache */
typedef void weir_delta_fn(const struct weir_delta *job);

#endif
