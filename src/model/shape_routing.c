/* shape_routing.c - how experts are chosen and weighed, from the keys. */
#include "model/shape.h"

/* expert_gating_func, as files number it. */
enum { GATING_FAMILY, GATING_SOFTMAX, GATING_SIGMOID, GATING_SOFTMAX_OF_CHOSEN };

enum weir_status weir_shape_read_routing(const struct weir_key_reader *reader, unsigned parts,
                                         struct weir_shape *shape)
{
    uint32_t gating = 0;
    float scale = 0.0f; /* 0 and 1 both leave weights as they are */
    shape->renormalizes = (parts & WEIR_PART_RENORMALIZE) != 0;
    WEIR_TRY(weir_key_bool(reader, "expert_weights_norm", &shape->renormalizes));
    WEIR_TRY(weir_key_count(reader, "expert_gating_func", 0, UINT32_MAX, 0, &gating));
    if (gating == GATING_SOFTMAX_OF_CHOSEN) /* the same numbers, by another way */
        shape->renormalizes = true;
    else if (gating != GATING_FAMILY && gating != GATING_SOFTMAX)
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "key %s.expert_gating_func: wanted 1 (softmax) or 3 (softmax of the "
                         "chosen), found %u%s",
                         reader->family, gating, gating == GATING_SIGMOID ? " (sigmoid)" : "");
    WEIR_TRY(weir_key_real(reader, "expert_weights_scale", &scale));
    if (scale < 0.0f)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.expert_weights_scale: wanted 0 or more, found %g", reader->family,
                         (double)scale);
    shape->expert_scale = scale == 0.0f ? 1.0f : scale;
    return WEIR_OK;
}
