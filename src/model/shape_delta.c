/* shape_delta.c - gated delta nets, and which layers have them, from the keys. */
#include "model/shape.h"

/* Every how many layers attention is, where the keys do not say. */
enum { INTERVAL_USUAL = 4 };

static enum weir_status read_head_counts(const struct weir_key_reader *reader,
                                         struct weir_delta_shape *delta)
{
    uint32_t d_inner = 0;
    WEIR_TRY(
        weir_key_count(reader, "ssm.time_step_rank", -1, WEIR_SHAPE_MAX, 0, &delta->n_value_head));
    WEIR_TRY(weir_key_count(reader, "ssm.group_count", -1, WEIR_SHAPE_MAX, 0, &delta->n_key_head));
    WEIR_TRY(weir_key_count(reader, "ssm.state_size", -1, WEIR_SHAPE_MAX, 0, &delta->d_key));
    WEIR_TRY(weir_key_count(reader, "ssm.inner_size", -1, WEIR_SHAPE_MAX, 0, &d_inner));
    if (delta->n_value_head % delta->n_key_head != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "keys %s.ssm.time_step_rank and %s.ssm.group_count: %u value heads cannot "
                         "share %u key heads evenly",
                         reader->family, reader->family, delta->n_value_head, delta->n_key_head);
    delta->d_value = d_inner / delta->n_value_head;
    if (d_inner % delta->n_value_head != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.ssm.inner_size: wanted a multiple of the %u value heads, found %u",
                         reader->family, delta->n_value_head, d_inner);
    if ((uint64_t)delta->n_key_head * delta->d_key > WEIR_SHAPE_MAX)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.ssm.state_size: %u key heads of %u are wider than %d",
                         reader->family, delta->n_key_head, delta->d_key, WEIR_SHAPE_MAX);
    return WEIR_OK;
}

enum weir_status weir_shape_read_delta(const struct weir_key_reader *reader,
                                       const struct weir_family *family, struct weir_shape *shape)
{
    bool is_grouped = family->delta == WEIR_DELTA_GROUPED;
    if (family->delta == WEIR_DELTA_NONE)
        return WEIR_OK;
    WEIR_TRY(weir_key_bool(reader, "ssm.heads_are_grouped", &is_grouped));
    shape->delta.is_tiled = !is_grouped;
    WEIR_TRY(
        weir_key_count(reader, "ssm.conv_kernel", -1, WEIR_CONV_TAP_MAX, 0, &shape->delta.n_tap));
    return read_head_counts(reader, &shape->delta);
}

enum weir_status weir_shape_read_mixer_kind(const struct weir_key_reader *reader,
                                            const struct weir_family *family, uint32_t n_layer,
                                            uint32_t layer, enum weir_mixer_kind *kind)
{
    uint32_t interval = 0;
    uint32_t is_recurrent = 0;
    *kind = WEIR_MIXER_ATTENTION;
    if (family->delta == WEIR_DELTA_NONE)
        return WEIR_OK;
    WEIR_TRY(weir_key_count(reader, "full_attention_interval", INTERVAL_USUAL, WEIR_LAYER_MAX, 0,
                            &interval));
    is_recurrent = (layer + 1) % interval != 0;
    if (weir_key_is_there(reader, "attention.recurrent_layers"))
        WEIR_TRY(weir_key_layer_count(reader, "attention.recurrent_layers", 0, 1, n_layer, layer,
                                      &is_recurrent));
    if (is_recurrent)
        *kind = WEIR_MIXER_DELTA;
    return WEIR_OK;
}
