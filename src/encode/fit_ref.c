/* fit_ref.c - fits on the registers that every CPU of the kind has. */
#define LANES 4
#include "encode/fit_lanes.h"
#include "encode/grid_lanes.h"
#include "encode/lot_lanes.h"

void weir_fit_init_ref(struct weir_fit *fit)
{
    *fit = (struct weir_fit){.isa = "reference",
                             .fill = fill,
                             .scale = fit_scale,
                             .range = fit_range,
                             .measure = measure,
                             .take = take,
                             .entries = find_entries};
}
