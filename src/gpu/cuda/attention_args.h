/* attention_args.h - what the kernels of attention are called with. */
#ifndef WEIR_CUDA_ATTENTION_ARGS_H
#define WEIR_CUDA_ATTENTION_ARGS_H

#include <stdint.h>

enum {
    WEIR_ATTEND_STEP = 64,     /* positions that a block of decoding takes at a time */
    WEIR_ATTEND_TOGETHER = 16, /* query heads of one KV head in a block of decoding */
    WEIR_ATTEND_THREADS = 128,
    WEIR_ATTEND_VALUE_MAX = 512,  /* the widest value */
    WEIR_ATTEND_SPLITS_MAX = 128, /* parts that the positions of a row are divided into */
};

/* How many parts, by the shape alone: about 256 blocks for each row. */
static inline uint32_t weir_attend_splits(uint32_t n_head, uint32_t n_kv_head)
{
    const uint32_t share = n_head / n_kv_head;
    const uint32_t groups = n_kv_head * ((share + WEIR_ATTEND_TOGETHER - 1) / WEIR_ATTEND_TOGETHER);
    const uint32_t splits = 256 / groups;
    return splits < 8 ? 8 : splits > WEIR_ATTEND_SPLITS_MAX ? WEIR_ATTEND_SPLITS_MAX : splits;
}

/* Of all of them. Positions of decoding are split: a block's part of out, its largest score and its
 * sum go to `partial`, [rows][n_head][splits] of each: outs of d_value, then scores, then sums. */
struct weir_attention_args {
    uint64_t positions, table_at, pages; /* struct weir_gpu_rows */
    uint64_t k, v, q, out;
    uint64_t sinks; /* or 0 */
    uint64_t partial;
    uint64_t page_stride; /* values */
    uint32_t page_shift;  /* log2 of positions in a page */
    uint32_t d_head, d_value;
    uint32_t k_row, v_row;    /* values from a position to the next */
    uint32_t n_head, n_share; /* query heads of one KV head */
    uint32_t q_head_stride, q_stride, out_stride;
    uint32_t window, is_in_chunks;
    uint32_t first_row, n_row; /* of the call's rows: those of this launch */
    uint32_t splits;
    float q_scale; /* what q is multiplied by: scores are then powers of 2 */
    float cap;     /* softcap of such a score; 0: none */
};

#endif
