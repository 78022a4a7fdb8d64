/* gpu_workspace.c - the device memory that products take beside their operands. */
#include "gpu/gpu_ops.h"

uint64_t weir_gpu_workspace_bytes(uint32_t n_row, uint32_t n_assignment, uint32_t cols,
                                  uint32_t n_expert)
{
    const uint64_t rows = weir_max(n_row, n_assignment);
    /* Rows of x as f16, each padded to the alignment. */
    const uint64_t x_bytes = rows * weir_align_up((uint64_t)cols * 2, WEIR_GPU_ALIGN);
    const uint64_t scale_bytes = rows * sizeof(float);
    /* Assignments by expert, and tiles of 32 of them or more, 16 bytes each. */
    const uint64_t order_bytes = n_assignment * (uint64_t)4;
    const uint64_t tile_bytes = (n_assignment / 32 + (uint64_t)n_expert) * 16;
    return weir_align_up(x_bytes, WEIR_GPU_ALIGN) + weir_align_up(scale_bytes, WEIR_GPU_ALIGN) +
           weir_align_up(order_bytes, WEIR_GPU_ALIGN) + weir_align_up(tile_bytes, WEIR_GPU_ALIGN);
}
