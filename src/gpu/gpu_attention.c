/* gpu_attention.c - the device memory that attention takes beside its operands. */
#include "gpu/cuda/attention_args.h"
#include "gpu/gpu_ops.h"

uint64_t weir_gpu_attention_bytes(uint32_t n_head, uint32_t n_kv_head, uint32_t d_value)
{
    return (uint64_t)weir_attend_splits(n_head, n_kv_head) * n_head * (d_value + 2) * sizeof(float);
}
