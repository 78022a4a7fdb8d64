/* gpu_workspace.c - the device memory that products take beside their operands. */
#include "gpu/gpu_ops.h"

uint64_t weir_gpu_workspace_bytes(uint32_t n_row, uint32_t n_assignment, uint32_t cols,
                                  uint32_t n_expert)
{
    const uint64_t rows = weir_max(n_row, n_assignment);
    /* Rows of x as f16, or as blocks of 8 bits, which are less; each padded to the alignment. */
    const uint64_t x_bytes = rows * weir_align_up((uint64_t)cols * 2, WEIR_GPU_ALIGN);
    const uint64_t scale_bytes = rows * sizeof(float);
    /* Who chose which expert: where each expert's assignments begin, and the assignments. */
    const uint64_t list_bytes = ((uint64_t)n_expert + 1 + 2 * (uint64_t)n_assignment) * 4;
    return weir_align_up(x_bytes, WEIR_GPU_ALIGN) + weir_align_up(scale_bytes, WEIR_GPU_ALIGN) +
           weir_align_up(list_bytes, WEIR_GPU_ALIGN);
}
