/* choose.h - which experts a row uses and what they weigh, from the outputs of its router. */
#ifndef WEIR_KERNELS_CHOOSE_H
#define WEIR_KERNELS_CHOOSE_H

#include <stdbool.h>
#include <stdint.h>

enum { WEIR_GROUP_MAX = 64 }; /* of experts */

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

/* The ids of the largest of n values, at most `most`, largest first; ties go to the smaller id.
 * Returns how many. */
uint32_t weir_rank(const float *values, uint32_t n, uint32_t *ids, uint32_t most);
/* A row's router outputs become what each expert would weigh if it were chosen, and selection what
 * it is chosen by: not a number anywhere when an output is not finite. bias: of the choice, or
 * NULL. selection may be router where there are neither a bias nor groups. */
void weir_choose_select(const struct weir_gating *gating, const float *bias, uint32_t n_expert,
                        float *router, float *selection);
/* The weights of the n_used experts in ids, by what weir_choose_select() left; both become
 * ascending by id: outputs are summed in this order, whatever order experts arrive in. */
void weir_choose_weigh(const struct weir_gating *gating, uint32_t n_expert, const float *router,
                       const float *selection, uint32_t n_used, uint32_t *ids, float *weights);

#endif
