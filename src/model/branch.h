/* branch.h - norms of the residual stream, and what mixers and networks give to it. */
#ifndef WEIR_MODEL_BRANCH_H
#define WEIR_MODEL_BRANCH_H

#include "model/linear.h"

/* normed[to] = norm(residual[from]), without its 8-bit forms. Notices a row that is not finite. */
void weir_norm_residual(struct weir_forward *forward, const struct weir_vector *norm, size_t from,
                        size_t to);
/* normed = norm(residual) of rows [begin, end), in every form; then the same of the whole step. */
void weir_norm_rows(struct weir_forward *forward, const struct weir_vector *norm, uint64_t begin,
                    uint64_t end);
void weir_norm_step(struct weir_forward *forward, const struct weir_vector *norm);

/* What the layer's network gives is multiplied by it. */
float weir_network_scale(const struct weir_model *model, const struct weir_layer *layer);
/* Whether more is done to what the layer's network gives before the residual stream has it; whether
 * any layer is like that. */
bool weir_layer_is_branch(const struct weir_model *model, const struct weir_layer *layer);
bool weir_model_has_branches(const struct weir_model *model);
/* out += scale * norm(x), rows [begin, end); the norm is where the layer has one. */
void weir_branch_add(const struct weir_forward *forward, const struct weir_vector *norm, float *x,
                     float scale, float *out, uint64_t begin, uint64_t end);
/* The residual stream of rows [begin, end) times the layer's last scale, where it has one. */
void weir_branch_scale(const struct weir_forward *forward, uint64_t begin, uint64_t end);
/* A job over rows: the residual stream gets what the network gave; and its last scale, where
 * nothing else is added. */
weir_pool_fn weir_branch_finish;

#endif
