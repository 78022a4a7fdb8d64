/* gpu_sim.h - what tests do to the simulated device while it is open. */
#ifndef WEIR_GPU_SIM_H
#define WEIR_GPU_SIM_H

#include "gpu/gpu.h"

/* Another program holds so many bytes of the device: weir_gpu_free_bytes() is that much less. */
void weir_gpu_sim_take(weir_gpu *gpu, uint64_t bytes);
/* Pieces of work that were done. */
uint64_t weir_gpu_sim_work(const weir_gpu *gpu);

#endif
