/* precision.h - which format each tensor gets under a budget, by what it costs (decision 0061). */
#ifndef WEIR_PRECISION_H
#define WEIR_PRECISION_H

#include "engine/divergence.h"
#include "engine/quantize.h"

/* Set the types of all tensors that may change and that no rule of the user's has: own says those.
 * Computes the text once, and once for each probe. Files beside the output are made for it, and
 * removed. Errors: ARG (the budget is less than the least formats have: names both), CANCELLED, and
 * those of the engine. */
enum weir_status weir_precision_choose(struct weir_quantizing *quantizing, weir_mixture_own_fn *own,
                                       struct weir_err *err);
/* The divergence of the file that was written. */
enum weir_status weir_precision_judge(struct weir_quantizing *quantizing, struct weir_err *err);

#endif
