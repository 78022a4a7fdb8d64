/* shape_latent.c - the widths of latent attention, and how it is stretched, from the keys.
 *
 * Two layouts are about. In newer files key_length and value_length are those of what a position
 * leaves behind, key_length_mla and value_length_mla those of a head; older ones have no such keys,
 * the first two are a head's, and one matrix makes keys and values of all heads. */
#include <math.h>

#include "model/shape.h"

static enum weir_status want_number(const struct weir_key_reader *reader, const char *suffix,
                                    uint64_t wanted)
{
    uint32_t found = 0;
    WEIR_TRY(weir_key_count(reader, suffix, -1, UINT32_MAX, 0, &found));
    if (wanted == found)
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s.%s: wanted %llu, found %u",
                     reader->family, suffix, (unsigned long long)wanted, found);
}

/* The widths of a head, and what keys of a newer file say twice. */
static enum weir_status read_head(const struct weir_key_reader *reader, struct weir_shape *shape)
{
    struct weir_latent_shape *latent = &shape->latent;
    latent->is_joint = !weir_key_is_there(reader, "attention.key_length_mla");
    if (latent->is_joint) {
        WEIR_TRY(
            weir_key_count(reader, "attention.key_length", -1, WEIR_SHAPE_MAX, 0, &shape->d_head));
        return weir_key_count(reader, "attention.value_length", -1, WEIR_SHAPE_MAX, 0,
                              &latent->d_value);
    }
    WEIR_TRY(
        weir_key_count(reader, "attention.key_length_mla", -1, WEIR_SHAPE_MAX, 0, &shape->d_head));
    WEIR_TRY(weir_key_count(reader, "attention.value_length_mla", -1, WEIR_SHAPE_MAX, 0,
                            &latent->d_value));
    WEIR_TRY(
        want_number(reader, "attention.key_length", (uint64_t)latent->d_latent + latent->d_turned));
    return want_number(reader, "attention.value_length", latent->d_latent);
}

/* YaRN as DeepSeek has it: cos and sin stay as they are, and scores are multiplied by the square of
 * 1 + 0.1 m ln(factor) instead (arXiv:2405.04434 section 3.1.4). Files of these families hold m as
 * a tenth of itself; without it, cos and sin are stretched as in other families. */
static enum weir_status read_yarn(const struct weir_key_reader *reader, struct weir_shape *shape)
{
    struct weir_rope *rope = &shape->rope[WEIR_ROPE_FULL];
    float tenth = 0.0f;
    if (shape->attention_scale == 0.0f)
        shape->attention_scale = 1.0f / sqrtf((float)shape->d_head);
    WEIR_TRY(weir_shape_read_yarn_multiplier(reader, &tenth));
    if (tenth == 0.0f || rope->extrapolation == 0.0f || rope->scale >= 1.0f)
        return WEIR_OK;
    const double grown = 1.0 - (double)tenth * log((double)rope->scale);
    shape->attention_scale *= (float)(grown * grown);
    rope->magnitude = 1.0f;
    return weir_shape_read_attn_factor(reader, &rope->magnitude);
}

enum weir_status weir_shape_read_latent(const struct weir_key_reader *reader,
                                        struct weir_shape *shape)
{
    struct weir_latent_shape *latent = &shape->latent;
    WEIR_TRY(
        weir_key_count(reader, "attention.kv_lora_rank", -1, WEIR_SHAPE_MAX, 0, &latent->d_latent));
    WEIR_TRY(
        weir_key_count(reader, "attention.q_lora_rank", 0, WEIR_SHAPE_MAX, 0, &latent->d_query));
    WEIR_TRY(
        weir_key_count(reader, "rope.dimension_count", -1, WEIR_SHAPE_MAX, 0, &latent->d_turned));
    WEIR_TRY(read_head(reader, shape));
    if (latent->d_turned >= shape->d_head)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.rope.dimension_count: wanted less than the head's %u, found %u",
                         reader->family, shape->d_head, latent->d_turned);
    latent->d_plain = shape->d_head - latent->d_turned;
    if (shape->n_head * weir_max((uint64_t)shape->d_head, latent->d_value) > WEIR_SHAPE_MAX)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%u heads of %u and %u are wider than %d",
                         shape->n_head, shape->d_head, latent->d_value, WEIR_SHAPE_MAX);
    /* All heads share what a position leaves behind; files may count what each makes of it, and
     * older ones do. */
    if (shape->n_kv_head != shape->n_head)
        WEIR_TRY(
            want_number(reader, "attention.head_count_kv", latent->is_joint ? shape->n_head : 1));
    shape->n_kv_head = 1;
    return read_yarn(reader, shape);
}

void weir_shape_fill_latent(const struct weir_shape *shape, struct weir_mixer *mixer)
{
    mixer->kind = WEIR_MIXER_LATENT;
    mixer->latent.shape = shape->latent;
    mixer->n_kv_head = 1;
    mixer->d_head = shape->d_head;
    mixer->d_value = shape->latent.d_value;
}
