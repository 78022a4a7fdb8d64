/* gating.h - how experts are chosen, what networks make of hidden values: the data of a layer. */
#ifndef WEIR_MODEL_GATING_H
#define WEIR_MODEL_GATING_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/kernels.h"

enum weir_gating_kind {
    WEIR_GATING_SOFTMAX,           /* over all experts */
    WEIR_GATING_SIGMOID,           /* of each */
    WEIR_GATING_SOFTMAX_OF_CHOSEN, /* chosen by the router's outputs as they are */
    WEIR_GATING_SQRT_SOFTPLUS,     /* of each */
    WEIR_GATING_SIGMOID_OF_CHOSEN, /* chosen by the router's outputs as they are */
};

/* How a router's outputs choose experts and weigh them. */
struct weir_gating {
    enum weir_gating_kind kind;
    float steepness;   /* the router's outputs are multiplied by it first */
    bool renormalizes; /* the weights of the chosen experts are made to sum 1 ... */
    float scale;       /* ... and then multiplied by this */
    bool weighs_input; /* of an expert, before anything is computed; else its output */
    /* Experts are in n_group equal groups, of which n_group_used may be chosen from; n_group 0:
     * there are none. */
    uint32_t n_group, n_group_used;
    uint32_t n_group_best; /* of its experts, by which a group is judged: 1 or 2 */
};

/* What a network makes of its gate and its other half. */
struct weir_unit {
    enum weir_glu glu;
    float limit; /* where the glu has one */
};

#endif
