/* fit_avx2.c - fits on registers of eight floats. */
#define LANES 8
#include "encode/fit_lanes.h"
#include "encode/grid_lanes.h"
#include "encode/lot_lanes.h"

void weir_fit_init_avx2(struct weir_fit *fit)
{
    *fit = (struct weir_fit){.isa = "avx2",
                             .fill = fill,
                             .scale = fit_scale,
                             .range = fit_range,
                             .measure = measure,
                             .take = take,
                             .entries = find_entries};
}
