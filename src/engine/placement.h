/* placement.h - what is on a device, and an engine's device. */
#ifndef WEIR_ENGINE_PLACEMENT_H
#define WEIR_ENGINE_PLACEMENT_H

#include "engine/engine_internal.h"

/* Whether anything is on a device. */
static inline bool weir_choice_has_device(const struct weir_choice *choice)
{
    return choice->device.n_layer > 0 || choice->device.has_output;
}

/* What is on a device, as much as its ceiling holds (placement.c): sets the choice's device, and
 * lowers n_chunk, the most rows of a step, where the device has no room for them. Errors: NOMEM,
 * UNSUPPORTED, ARG. */
enum weir_status weir_placement_find(const struct weir_blueprint *blueprint,
                                     const struct weir_config *config, uint32_t *n_chunk,
                                     struct weir_choice *choice, struct weir_gpu_plan *plan,
                                     struct weir_err *err);
/* What the choice has on its device, to the byte. */
void weir_placement_fill(const struct weir_blueprint *blueprint, const struct weir_choice *choice,
                         struct weir_gpu_plan *plan);
/* Host memory that the device's driver takes beside the plan's lines, or that stands for it. */
uint64_t weir_placement_host_bytes(const struct weir_choice *choice,
                                   const struct weir_gpu_mem *gpu_mem);

/* The device of the plan, which has one (gpu_door.c). Errors: as weir_gpu_open(). */
enum weir_status weir_engine_open_gpu(struct weir_engine *engine, const struct weir_config *config,
                                      struct weir_err *err);
/* The config's experts to begin with, the caller's to free; NULL: there are none, or no memory for
 * the list: then the first ones do. */
struct weir_record_name *weir_engine_list_wanted(const struct weir_config *config);
/* All memory is there: what crosses is made known to the device. */
void weir_engine_pin(struct weir_engine *engine, const struct weir_config *config);
void weir_engine_close_gpu(struct weir_engine *engine);

#endif
