/* moving.h - whether experts of layers on a device stay there or come and go, by what each costs.
 */
#ifndef WEIR_ENGINE_MOVING_H
#define WEIR_ENGINE_MOVING_H

#include "engine/engine_internal.h"

/* Of one layer and a token that decodes. */
struct weir_moving_costs {
    double n_used;          /* experts that it uses */
    double missing_staying; /* the share of them that is not there, where experts stay ... */
    double missing_moving;  /* ... and where they come and go */
    double compute_ns;      /* of an expert, by the CPU */
    double cross_ns;        /* of an expert, to the device */
};

static inline double weir_moving_stay_ns(const struct weir_moving_costs *costs)
{
    return costs->n_used * costs->missing_staying * costs->compute_ns;
}
static inline double weir_moving_move_ns(const struct weir_moving_costs *costs)
{
    return costs->n_used * costs->missing_moving * costs->cross_ns;
}

/* Measured in a fifth of a second, with 256 MiB: bytes of experts a second that cross from locked
 * memory, and that the CPU's kernels pass through. Errors: as weir_gpu_open(); NOMEM; UNSUPPORTED:
 * memory cannot be locked. */
struct weir_moving_speeds {
    double link, host;
};
enum weir_status weir_moving_measure(struct weir_moving_speeds *speeds,
                                     const struct weir_blueprint *blueprint,
                                     enum weir_gpu_kind kind, uint32_t n_thread,
                                     struct weir_err *err);

/* Whether experts of the choice, which are not all on its device, come and go: what is measured
 * says so, or what the bench's config has instead. budget_bytes: of this process. Says why in the
 * plan. What cannot be measured, and a simulated device, is a reason to stay. */
bool weir_moving_pays(const struct weir_blueprint *blueprint, const struct weir_choice *choice,
                      const struct weir_bench_config *bench, uint64_t budget_bytes,
                      struct weir_gpu_plan *plan);

#endif
