/* kept_args.h - what the kernels of keys and values in fewer bits are called with: fields are
 * those of gpu_kept.h. */
#ifndef WEIR_CUDA_KEPT_ARGS_H
#define WEIR_CUDA_KEPT_ARGS_H

#include <stdint.h>

enum {
    WEIR_KEPT_WARPS = 8,
    WEIR_KEPT_LEN = 32, /* values of a block: a lane has one */
    WEIR_KEPT_ROWS = 4, /* of positions and heads, that a warp expands */
};

struct weir_kept_args {
    uint64_t positions, table_at, pages;
    uint64_t base, page_bytes;
    uint64_t from_k, from_v;    /* keep: rows; from_v 0: no values */
    uint64_t k, v, page_stride; /* expand: pages of f16; v 0: no values */
    uint64_t first;             /* expand */
    uint32_t page_shift, n_kv_head, d_head, d_value;
    uint32_t k_stride, v_stride;
    uint32_t n_row;
    uint32_t window, is_in_chunks;
    uint32_t is_q4; /* blocks of Q4_0, else of Q8_0 */
};

#endif
