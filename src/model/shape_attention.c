/* shape_attention.c - windows, heads and scores of grouped-query attention, from the keys. */
#include <math.h>

#include "model/shape.h"

/* Whether layer sees a window only: by the key's list or period, else as the family has it. */
static enum weir_status read_is_windowed(const struct weir_key_reader *reader,
                                         const struct weir_family_attention *family,
                                         const struct weir_shape *shape, uint32_t layer, bool *out)
{
    static const char suffix[] = "attention.sliding_window_pattern";
    char key[WEIR_KEY_NAME_MAX];
    uint64_t count = 0;
    uint32_t value = 0;
    *out = false;
    if (shape->window == 0)
        return WEIR_OK;
    if (!weir_key_is_there(reader, suffix)) {
        if (family->window_period == WEIR_WINDOWS_BY_KEY)
            return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s is missing",
                             weir_key_name(reader, suffix, key));
        value = family->window_period;
    } else {
        WEIR_TRY(
            weir_key_layer_count(reader, suffix, 0, UINT32_MAX, shape->n_block, layer, &value));
        if (weir_manifest_array_count(reader->manifest, weir_key_name(reader, suffix, key),
                                      &count)) {
            *out = value != 0;
            return WEIR_OK;
        }
    }
    *out = value == 0 || (family->is_full_first ? layer % value != 0 : layer % value < value - 1);
    return WEIR_OK;
}

/* A window that is no shorter than any text is none. */
static enum weir_status read_window(const struct weir_key_reader *reader,
                                    const struct weir_family_attention *family,
                                    struct weir_shape *shape)
{
    shape->window = family->window;
    if (weir_key_is_there(reader, "attention.sliding_window"))
        WEIR_TRY(weir_key_count(reader, "attention.sliding_window", 0, UINT32_MAX, shape->n_block,
                                &shape->window));
    else if (family->has_windows && family->window == 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s.attention.sliding_window is missing",
                         reader->family);
    if (family->has_windows || shape->window == 0)
        return WEIR_OK;
    if (shape->window < shape->n_ctx_train)
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "key %s.attention.sliding_window: windows are not built in for family %s: "
                         "wanted 0, or %u (the context) at least, found %u",
                         reader->family, reader->family, shape->n_ctx_train, shape->window);
    shape->window = 0;
    return WEIR_OK;
}

/* Widths of heads: the usual ones, and those of layers with a window. */
static enum weir_status read_widths(const struct weir_key_reader *reader, bool is_windowed,
                                    const struct weir_shape *shape, struct weir_mixer *mixer)
{
    WEIR_TRY(weir_key_count(reader, "attention.key_length", shape->d_model / shape->n_head,
                            WEIR_SHAPE_MAX, 0, &mixer->d_head));
    WEIR_TRY(weir_key_count(reader, "attention.value_length", mixer->d_head, WEIR_SHAPE_MAX, 0,
                            &mixer->d_value));
    if (is_windowed) {
        WEIR_TRY(weir_key_count(reader, "attention.key_length_swa", mixer->d_head, WEIR_SHAPE_MAX,
                                0, &mixer->d_head));
        WEIR_TRY(weir_key_count(reader, "attention.value_length_swa", mixer->d_value,
                                WEIR_SHAPE_MAX, 0, &mixer->d_value));
    }
    if (mixer->d_head == 0 || mixer->d_value == 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%u heads are wider than the model's %u",
                         shape->n_head, shape->d_model);
    return WEIR_OK;
}

/* Scores are multiplied by what the file says, the family, or one over the root of a head. */
static enum weir_status read_scores(const struct weir_key_reader *reader,
                                    const struct weir_family_attention *family,
                                    struct weir_shape *shape)
{
    float scale = 0.0f; /* 0: the usual one */
    shape->attention_scale = family->scale;
    if (family->wide_scale_layers == shape->n_layer)
        shape->attention_scale = 1.0f / sqrtf((float)shape->d_model / (float)shape->n_head);
    WEIR_TRY(weir_key_zero_or(reader, "attention.scale", 1e-4f, 1e2f, &scale));
    if (scale != 0.0f)
        shape->attention_scale = scale;
    return weir_key_zero_or(reader, "attn_logit_softcapping", 1e-2f, 1e6f, &shape->score_softcap);
}

static enum weir_status read_temperature(const struct weir_key_reader *reader,
                                         struct weir_shape *shape)
{
    struct weir_temperature *temperature = &shape->temperature;
    uint32_t length = 0;
    WEIR_TRY(
        weir_key_zero_or(reader, "attention.temperature_scale", 1e-6f, 1e3f, &temperature->scale));
    WEIR_TRY(weir_key_count(reader, "attention.temperature_length", 0, UINT32_MAX, 0, &length));
    if (length == 0)
        length = shape->rope[WEIR_ROPE_FULL].n_ctx_original;
    temperature->length = (float)length;
    return WEIR_OK;
}

/* The key's scale is of all layers, the family's of those that do not turn their heads. */
static struct weir_temperature temperature_of(const struct weir_key_reader *reader,
                                              const struct weir_family_attention *family,
                                              const struct weir_shape *shape, bool turns)
{
    struct weir_temperature temperature = shape->temperature;
    if (temperature.scale != 0.0f || turns)
        return temperature;
    temperature = family->temperature;
    if (weir_key_is_there(reader, "attention.temperature_length"))
        temperature.length = shape->temperature.length;
    return temperature;
}

enum weir_status weir_shape_read_attention(const struct weir_key_reader *reader,
                                           const struct weir_family_attention *family,
                                           struct weir_shape *shape)
{
    struct weir_mixer usual = {0};
    WEIR_TRY(read_widths(reader, false, shape, &usual));
    shape->d_head = usual.d_head;
    WEIR_TRY(read_scores(reader, family, shape));
    WEIR_TRY(read_window(reader, family, shape));
    WEIR_TRY(weir_shape_read_rope(reader, family, shape));
    return read_temperature(reader, shape);
}

static bool turns_heads(const struct weir_family_attention *family, const struct weir_shape *shape,
                        uint32_t layer, bool is_windowed)
{
    switch (family->rope_layers) {
    case WEIR_ROPE_NOT_EVERY_FOURTH:
        return (layer + 1) % 4 != 0;
    case WEIR_ROPE_IN_WINDOWS:
        return is_windowed || shape->window == 0;
    case WEIR_ROPE_IN_WINDOWS_AND_LEAD:
        return is_windowed || shape->window == 0 || layer < shape->n_layer_lead;
    default:
        return true;
    }
}

/* The last ones read what the nearest layer before them has that sees as much (as in Gemma 3n). */
static enum weir_status find_keys_layer(const struct weir_key_reader *reader,
                                        const struct weir_family_attention *family,
                                        const struct weir_shape *shape, uint32_t layer,
                                        bool is_windowed, struct weir_mixer *mixer)
{
    mixer->keys_layer = layer;
    mixer->borrows = layer >= shape->n_layer_own;
    if (!mixer->borrows)
        return WEIR_OK;
    for (uint32_t before = shape->n_layer_own; before-- > 0;) {
        bool is_other;
        WEIR_TRY(read_is_windowed(reader, family, shape, before, &is_other));
        mixer->keys_layer = before;
        if (is_other == is_windowed)
            return WEIR_OK;
    }
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "key %s.attention.shared_kv_layers: layer %u %s: wanted one among the first "
                     "%u layers that does too, found none",
                     reader->family, layer, is_windowed ? "sees a window" : "sees all positions",
                     shape->n_layer_own);
}

static enum weir_status check_mixer(const struct weir_key_reader *reader,
                                    const struct weir_shape *shape, uint32_t layer,
                                    const struct weir_mixer *mixer)
{
    const uint32_t n_rot = mixer->rope == WEIR_ROPE_NONE ? 0 : shape->rope[mixer->rope].n_rot;
    const uint64_t width = weir_max(mixer->d_head, mixer->d_value);
    if (n_rot > mixer->d_head)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.rope.dimension_count%s: wanted an even number up to the head's "
                         "%u, found %u",
                         reader->family, mixer->rope == WEIR_ROPE_WINDOW ? "_swa" : "",
                         mixer->d_head, n_rot);
    if (mixer->n_head * width > WEIR_SHAPE_MAX)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "layer %u: %u heads of %llu are wider than %d", layer, mixer->n_head,
                         (unsigned long long)width, WEIR_SHAPE_MAX);
    return WEIR_OK;
}

enum weir_status weir_shape_read_mixer(const struct weir_key_reader *reader,
                                       const struct weir_family *family,
                                       const struct weir_shape *shape, uint32_t layer,
                                       struct weir_mixer *mixer)
{
    const struct weir_family_attention *usual = &family->attention;
    bool is_windowed;
    WEIR_TRY(read_is_windowed(reader, usual, shape, layer, &is_windowed));
    WEIR_TRY(read_widths(reader, is_windowed, shape, mixer));
    const bool turns = turns_heads(usual, shape, layer, is_windowed);
    const bool has_own_rope = is_windowed && shape->rope[WEIR_ROPE_WINDOW].n_rot > 0;
    mixer->kind = WEIR_MIXER_ATTENTION;
    WEIR_TRY(find_keys_layer(reader, usual, shape, layer, is_windowed, mixer));
    mixer->rope = !turns ? WEIR_ROPE_NONE : has_own_rope ? WEIR_ROPE_WINDOW : WEIR_ROPE_FULL;
    mixer->is_interleaved = (family->parts & WEIR_PART_INTERLEAVED) != 0;
    WEIR_TRY(weir_key_bool(reader, "rope.interleaved", &mixer->is_interleaved));
    mixer->window = is_windowed && shape->window < shape->n_ctx_train ? shape->window : 0;
    mixer->is_in_chunks = usual->is_in_chunks;
    mixer->scale = shape->attention_scale != 0.0f ? shape->attention_scale
                                                  : 1.0f / sqrtf((float)mixer->d_head);
    mixer->softcap = shape->score_softcap;
    mixer->temperature = temperature_of(reader, usual, shape, turns);
    mixer->norms_late = usual->norms_late;
    mixer->norms_bare = usual->norms_bare && turns && usual->not_bare_experts != shape->n_expert;
    mixer->norms_values = usual->norms_values;
    mixer->output_gate = usual->output_gate;
    mixer->gate_is_in_q = usual->gate_is_in_q;
    return check_mixer(reader, shape, layer, mixer);
}
