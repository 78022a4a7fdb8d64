/* importance_taps.h - where a step adds up what its weights are applied to.
 *
 * I1  A sum is taken row after row in the text's order, by one thread, in f64, where the square of
 *     an f32 is exact: it depends on neither threads, steps nor slots. */
#ifndef WEIR_MODEL_IMPORTANCE_TAPS_H
#define WEIR_MODEL_IMPORTANCE_TAPS_H

#include "model/network.h"

/* Asked once a matrix: all weights of a model are measured, or none. */
static inline bool weir_is_measured(const struct weir_weight *weight)
{
    return weight->inputs.sums != NULL;
}

/* Rows of x that one matrix of a weight was applied to. */
struct weir_measured_rows {
    const struct weir_weight *weight;
    uint32_t matrix;
    const float *x; /* n_row rows, stride values apart */
    size_t stride;
    uint32_t n_row;
};
/* Add them to its sums, on this thread alone: the only one that has this matrix now. */
void weir_importance_add(const struct weir_measured_rows *rows);
/* The same for several, with all threads. */
void weir_importance_rows(const struct weir_forward *forward, const struct weir_measured_rows *rows,
                          uint32_t count);

/* Taps of a step; each for weights that are measured. The inputs of one job of matrices: */
void weir_importance_linear(const struct weir_linear *linear);
/* the grouped rows of the running layer's experts, which gate and up share: */
void weir_importance_experts(struct weir_forward *forward);
/* the hidden rows of networks whose down matrices are there: */
void weir_importance_down(const struct weir_together *together);
/* queries and latent values of the running layer, behind its heads: */
void weir_importance_latent(struct weir_forward *forward);
/* what the output matrix would be applied to, of every row of the step. */
void weir_importance_output(struct weir_forward *forward);

#endif
