/* importance.h - what a text multiplies the columns of weights by: sums of squares.
 *
 * An engine that measures has, for each weight, a sum for each column of each of its matrices
 * (struct weir_input_sums). One that does not has none. */
#ifndef WEIR_MODEL_IMPORTANCE_H
#define WEIR_MODEL_IMPORTANCE_H

#include "formats/imatrix.h"
#include "model/model.h"

/* Room for all sums (use SUMS), planning or opening; before the trunk is laid out. */
void weir_importance_layout(struct weir_model *model, struct weir_mem *mem);
/* What was measured so far, each tensor once, sorted by name. Returns how many there are; more than
 * `most`: list is not sorted, and has only some. */
uint32_t weir_importance_list(struct weir_model *model, struct weir_imatrix_sums *list,
                              uint32_t most);

#endif
