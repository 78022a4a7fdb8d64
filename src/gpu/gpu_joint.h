/* gpu_joint.h - operations that are several of gpu_ops.h, which a device may do in one go.
 *
 * Errors and threads as there; the bits are those of the operations one after the other. */
#ifndef WEIR_GPU_JOINT_H
#define WEIR_GPU_JOINT_H

#include "gpu/gpu_ops.h"

/* Products of the same rows of x, each as it would be by itself. */
enum { WEIR_GPU_PRODUCTS_MAX = 4 };
struct weir_gpu_products {
    struct weir_gpu_matmul of[WEIR_GPU_PRODUCTS_MAX]; /* of one x, and one way */
    uint32_t count;
};
void weir_gpu_products(weir_gpu *gpu, const struct weir_gpu_products *job);

/* Two matrices of the same experts, of one x, without units. */
struct weir_gpu_pair {
    struct weir_gpu_experts of[2];
};
void weir_gpu_pair(weir_gpu *gpu, const struct weir_gpu_pair *job);

/* Heads of all rows, in place: q and k are normed (width 0: not) and turned (n_rot 0: not), v is
 * normed; then rows of k and v are remembered (pages.k 0: not), and what is left of k where it was
 * is of no use. */
struct weir_gpu_heads {
    struct weir_gpu_norm q_norm, k_norm, v_norm;
    struct weir_gpu_rope q_rope, k_rope;
    struct weir_gpu_remember remember;
    bool norms_late; /* q and k are turned first */
};
void weir_gpu_heads(weir_gpu *gpu, const struct weir_gpu_heads *job);

#endif
