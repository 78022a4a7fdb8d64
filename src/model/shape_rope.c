/* shape_rope.c - how positions turn heads, from the keys. */
#include <math.h>
#include <string.h>

#include "model/shape.h"

/* A factor is how many times longer texts may get; its older key and no type mean linear. */
static enum weir_status read_rope_factor(const struct weir_key_reader *reader, float *factor)
{
    static const char *const keys[] = {"rope.scaling.factor", "rope.scale_linear"};
    float found[] = {1.0f, 1.0f}; /* none is asked for */
    for (size_t row = 0; row < WEIR_COUNT(keys); row++)
        WEIR_TRY(weir_key_between(reader, keys[row], 1e-3f, 1e6f, &found[row]));
    const bool has_newer = weir_key_is_there(reader, keys[0]);
    *factor = has_newer ? found[0] : found[1];
    if (!has_newer || !weir_key_is_there(reader, keys[1]) || found[0] == found[1])
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "keys %s.rope.scaling.factor and %s.rope.scale_linear say the same thing: "
                     "wanted one number, found %g and %g",
                     reader->family, reader->family, (double)found[0], (double)found[1]);
}

/* Errors when the key is there and no text. */
static enum weir_status read_rope_type(const struct weir_key_reader *reader, const char **type)
{
    char key[WEIR_KEY_NAME_MAX];
    *type = weir_manifest_text(reader->manifest, weir_key_name(reader, "rope.scaling.type", key));
    if (*type == NULL && weir_manifest_has(reader->manifest, key))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s: wanted a text, found something else", key);
    if (*type == NULL)
        *type = "linear";
    static const char *const known[] = {"none", "linear", "yarn", "longrope"};
    for (size_t row = 0; row < WEIR_COUNT(known); row++)
        if (strcmp(*type, known[row]) == 0)
            return WEIR_OK;
    return WEIR_FAIL(
        reader->err, WEIR_ERR_UNSUPPORTED,
        "key %s: wanted none, linear, yarn or longrope (or a rope_freqs tensor), found \"%s\"", key,
        *type);
}

enum weir_status weir_shape_read_attn_factor(const struct weir_key_reader *reader, float *factor)
{
    return weir_key_between(reader, "rope.scaling.attn_factor", 1e-3f, 1e3f, factor);
}

enum weir_status weir_shape_read_yarn_multiplier(const struct weir_key_reader *reader,
                                                 float *multiplier)
{
    return weir_key_zero_or(reader, "rope.scaling.yarn_log_multiplier", 1e-6f, 1e3f, multiplier);
}

/* What cos and sin are multiplied by: YaRN's 1 + 0.1 ln(factor) (arXiv:2309.00071, eq. 22), over
 * the same with the multiplier that a family's own scale of scores has already. */
static enum weir_status read_rope_magnitude(const struct weir_key_reader *reader, float factor,
                                            struct weir_rope *rope)
{
    float multiplier = 0.0f;
    WEIR_TRY(weir_shape_read_yarn_multiplier(reader, &multiplier));
    WEIR_TRY(weir_shape_read_attn_factor(reader, &rope->magnitude));
    if (rope->extrapolation == 0.0f || factor <= 1.0f)
        return WEIR_OK;
    const double grown = 0.1 * log((double)factor);
    rope->magnitude *= (float)((1.0 + grown) / (1.0 + (double)multiplier * grown));
    return WEIR_OK;
}

static enum weir_status read_rope_scaling(const struct weir_key_reader *reader,
                                          struct weir_shape *shape)
{
    struct weir_rope *rope = &shape->rope[WEIR_ROPE_FULL];
    const char *type = NULL;
    float factor = 1.0f;
    float extrapolation = -1.0f; /* below 0: what the type says */
    WEIR_TRY(read_rope_type(reader, &type));
    WEIR_TRY(read_rope_factor(reader, &factor));
    rope->needs_factors = strcmp(type, "longrope") == 0;
    if (strcmp(type, "none") == 0)
        factor = 1.0f;
    WEIR_TRY(weir_key_count(reader, "rope.scaling.original_context_length", shape->n_ctx_train,
                            UINT32_MAX, 0, &rope->n_ctx_original));
    WEIR_TRY(weir_key_between(reader, "rope.scaling.yarn_ext_factor", -1.0f, 1.0f, &extrapolation));
    WEIR_TRY(
        weir_key_between(reader, "rope.scaling.yarn_beta_fast", 1e-3f, 1e6f, &rope->beta_fast));
    WEIR_TRY(
        weir_key_between(reader, "rope.scaling.yarn_beta_slow", 1e-3f, 1e6f, &rope->beta_slow));
    rope->scale = 1.0f / factor;
    rope->extrapolation = extrapolation >= 0.0f ? extrapolation : strcmp(type, "yarn") == 0;
    if (rope->extrapolation > 0.0f && !(rope->base > 1.0f))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.rope.freq_base: wanted above 1 for YaRN, found %g", reader->family,
                         (double)rope->base);
    return read_rope_magnitude(reader, factor, rope);
}

static enum weir_status read_rotated(const struct weir_key_reader *reader, const char *suffix,
                                     uint32_t usual, uint32_t *n_rot)
{
    char key[WEIR_KEY_NAME_MAX];
    WEIR_TRY(weir_key_count(reader, suffix, usual, WEIR_SHAPE_MAX, 0, n_rot));
    if (*n_rot % 2 != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s: wanted an even number, found %u",
                         weir_key_name(reader, suffix, key), *n_rot);
    return WEIR_OK;
}

static enum weir_status read_base(const struct weir_key_reader *reader, const char *suffix,
                                  struct weir_rope *rope)
{
    return weir_key_between(reader, suffix, 1.0f, 1e15f, &rope->base);
}

/* Of layers with a window: as the full ones', but for what the family or a key says. Without n_rot
 * where nothing differs, for one table does then. */
static enum weir_status read_window_rope(const struct weir_key_reader *reader,
                                         const struct weir_family_attention *family,
                                         struct weir_shape *shape)
{
    const struct weir_rope *full = &shape->rope[WEIR_ROPE_FULL];
    struct weir_rope *rope = &shape->rope[WEIR_ROPE_WINDOW];
    if (shape->window == 0)
        return WEIR_OK;
    *rope = *full;
    if (family->window_rope_base != 0.0f)
        rope->base = family->window_rope_base;
    WEIR_TRY(read_base(reader, "rope.freq_base_swa", rope));
    WEIR_TRY(read_rotated(reader, "rope.dimension_count_swa", full->n_rot, &rope->n_rot));
    if (family->window_rope_is_plain) {
        rope->scale = rope->magnitude = 1.0f;
        rope->extrapolation = 0.0f;
        rope->has_factors = false;
    }
    const bool is_same = rope->base == full->base && rope->n_rot == full->n_rot &&
                         !family->window_rope_is_plain && !family->full_rope_is_half;
    if (is_same)
        rope->n_rot = 0;
    return WEIR_OK;
}

enum weir_status weir_shape_read_rope(const struct weir_key_reader *reader,
                                      const struct weir_family_attention *family,
                                      struct weir_shape *shape)
{
    struct weir_rope *rope = &shape->rope[WEIR_ROPE_FULL];
    *rope = (struct weir_rope){.base = 10000.0f,
                               .magnitude = 1.0f,
                               .beta_fast = 32.0f,
                               .beta_slow = 1.0f,
                               .is_exact = family->rope_is_exact,
                               .has_factors = true};
    WEIR_TRY(read_rotated(reader, "rope.dimension_count", shape->d_head, &rope->n_rot));
    WEIR_TRY(read_base(reader, "rope.freq_base", rope));
    WEIR_TRY(read_rope_scaling(reader, shape));
    WEIR_TRY(read_window_rope(reader, family, shape));
    if (family->full_rope_is_half)
        rope->n_rot = rope->n_rot / 4 * 2;
    shape->n_rot = (uint32_t)weir_max(rope->n_rot, shape->rope[WEIR_ROPE_WINDOW].n_rot);
    return WEIR_OK;
}
