/* gpu_form.c - which matrices a device can have. */
#include "gpu/gpu_ops.h"

bool weir_gpu_has_form(const struct weir_gpu_form *form)
{
    const uint64_t group = weir_min(form->scales.group_cols, form->cols);
    if (form->cols % 8 != 0 || form->cols > WEIR_GPU_COLS_MAX)
        return false;
    return form->type < WEIR_TYPE_BLOCK_COUNT || group % 8 == 0;
}
