/* activations.c - rows of activations in planned memory, and in the formats that kernels want. */
#include "model/model_internal.h"

enum { SCRATCH_ALIGN = 64 };

float *weir_take_floats(struct weir_mem *mem, uint64_t count)
{
    return weir_mem_alloc(mem, WEIR_MEM_SCRATCH, count * sizeof(float), SCRATCH_ALIGN);
}

uint32_t *weir_take_indices(struct weir_mem *mem, uint64_t count)
{
    return weir_mem_alloc(mem, WEIR_MEM_SCRATCH, count * sizeof(uint32_t), SCRATCH_ALIGN);
}

void weir_take_act(struct weir_act_rows *act, struct weir_mem *mem, unsigned formats,
                   uint64_t row_count, size_t cols, bool copies_f32)
{
    *act = (struct weir_act_rows){.cols = cols};
    for (int format = 0; format < WEIR_ACT_COUNT; format++) {
        const bool wanted = (formats & (1u << format)) != 0;
        if (!wanted || (format == WEIR_ACT_F32 && !copies_f32))
            continue;
        act->row_bytes[format] = weir_act_row_bytes((enum weir_act)format, cols);
        act->rows[format] = weir_mem_alloc(mem, WEIR_MEM_SCRATCH,
                                           row_count * act->row_bytes[format], SCRATCH_ALIGN);
    }
}

void weir_act_narrow(struct weir_act_rows *act, size_t cols)
{
    act->cols = cols;
    for (int format = 0; format < WEIR_ACT_COUNT; format++)
        if (act->rows[format] != NULL)
            act->row_bytes[format] = weir_act_row_bytes((enum weir_act)format, cols);
}

void weir_act_fill(const struct weir_forward *forward, struct weir_act_rows *act, const float *f32,
                   size_t begin, size_t end)
{
    for (size_t row = begin; row < end; row++)
        for (int format = 0; format < WEIR_ACT_COUNT; format++)
            if (act->rows[format] != NULL)
                forward->kernels->quantize[format](f32 + row * act->cols,
                                                   act->rows[format] + row * act->row_bytes[format],
                                                   act->cols);
}
