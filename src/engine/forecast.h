/* forecast.h - what one token costs, for weir_plan_expect() and for calibration. */
#ifndef WEIR_ENGINE_FORECAST_H
#define WEIR_ENGINE_FORECAST_H

#include "kernels/kernels.h"
#include "model/model.h"
#include "weir.h"

/* Read at a time where a file has no experts' slices to measure with. */
enum { WEIR_SLICE_BYTES_DEFAULT = 1 << 20 };

void weir_token_cost_fill(struct weir_token_cost *cost, const struct weir_model *model,
                          const struct weir_kernels *kernels, enum weir_kv kv);
/* The first slice of what most of the work is: an expert's gate, or a dense network's. */
const struct weir_weight *weir_main_weight(const struct weir_model *model);
/* Of the experts that a token uses, the share that a cache with slots for such a share of them has:
 * the middle between uniform routing and texts with habits. */
double weir_expected_hit_rate(const struct weir_token_cost *cost, double share);
/* The longest slice of an expert; WEIR_SLICE_BYTES_DEFAULT without experts. */
uint32_t weir_slice_bytes_max(const struct weir_model *model);

#endif
