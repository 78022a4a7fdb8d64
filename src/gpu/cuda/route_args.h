/* route_args.h - what the kernel that chooses experts is called with. */
#ifndef WEIR_CUDA_ROUTE_ARGS_H
#define WEIR_CUDA_ROUTE_ARGS_H

#include <stdint.h>

enum {
    WEIR_ROUTE_THREADS = 32,
    WEIR_ROUTE_USED_MAX = 64,
    WEIR_ROUTE_GROUP_MAX = 64,
};

struct weir_route_args {
    uint64_t router, bias, chosen, weights;
    uint32_t kind; /* enum weir_gating_kind */
    float steepness, scale;
    uint32_t renormalizes;
    uint32_t n_group, n_group_used, n_group_best;
    uint32_t n_row, n_expert, n_used;
};

#endif
