/* gpu_kept.h - keys and values in fewer bits than f16: what gpu_ops.h says holds here. */
#ifndef WEIR_GPU_KEPT_H
#define WEIR_GPU_KEPT_H

#include "gpu/gpu_ops.h"
#include "kernels/kv.h"

/* Pages of rows of blocks, as they lie in memory: K of all heads, then V, if there are values. */
struct weir_gpu_kept {
    weir_gpu_address base; /* page 0 */
    uint64_t page_bytes;
    enum weir_kv kv; /* Q8_0 or Q4_0; F16: nothing is kept so */
};

/* As weir_gpu_remember, but rows become blocks: pages says how many heads, and how wide. */
struct weir_gpu_keep {
    struct weir_gpu_rows rows;
    struct weir_gpu_pages pages;
    struct weir_gpu_kept kept;
    weir_gpu_address k, v;
    uint32_t k_stride, v_stride;
};
void weir_gpu_keep(weir_gpu *gpu, const struct weir_gpu_keep *job);

/* All that the rows see becomes f16 in `pages`, under the same page numbers, for attention. */
struct weir_gpu_expand {
    struct weir_gpu_rows rows;
    struct weir_gpu_pages pages;
    struct weir_gpu_kept kept;
    weir_gpu_address first; /* uint32_t [n_run + 1], as in struct weir_gpu_runs */
    uint32_t n_run;
    uint32_t window; /* of attention */
    bool is_in_chunks;
    uint32_t position_max; /* of the rows */
};
void weir_gpu_expand(weir_gpu *gpu, const struct weir_gpu_expand *job);

#endif
