/* shape_rope.c - how positions turn heads, from the keys. */
#include <math.h>
#include <string.h>

#include "model/shape.h"

/* A factor is how many times longer texts may get; its older key and no type mean linear. */
static enum weir_status read_rope_factor(const struct weir_key_reader *reader, float *factor)
{
    float older = 0.0f;
    *factor = 0.0f;
    WEIR_TRY(weir_key_real(reader, "rope.scaling.factor", factor));
    WEIR_TRY(weir_key_real(reader, "rope.scale_linear", &older));
    if (*factor != 0.0f && older != 0.0f && *factor != older)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "keys %s.rope.scaling.factor and %s.rope.scale_linear say the same thing: "
                         "wanted one number, found %g and %g",
                         reader->family, reader->family, (double)*factor, (double)older);
    if (*factor == 0.0f)
        *factor = older;
    if (*factor == 0.0f) /* none is asked for */
        *factor = 1.0f;
    if (*factor > 0.0f && isfinite(1.0f / *factor))
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "key %s.rope.scaling.factor: wanted a number above 0, found %g",
                     reader->family, (double)*factor);
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
    if (strcmp(*type, "none") == 0 || strcmp(*type, "linear") == 0 || strcmp(*type, "yarn") == 0)
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                     "key %s: wanted none, linear or yarn (or a rope_freqs tensor), found \"%s\"",
                     key, *type);
}

/* What cos and sin are multiplied by: YaRN's 1 + 0.1 ln(factor) (arXiv:2309.00071, eq. 22), over
 * the same with the multiplier that a family's own scale of scores has already. */
static enum weir_status read_rope_magnitude(const struct weir_key_reader *reader, float factor,
                                            struct weir_rope *rope)
{
    float multiplier = 0.0f;
    WEIR_TRY(weir_key_real(reader, "rope.scaling.yarn_log_multiplier", &multiplier));
    WEIR_TRY(weir_key_positive(reader, "rope.scaling.attn_factor", &rope->magnitude));
    if (multiplier < 0.0f)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.rope.scaling.yarn_log_multiplier: wanted 0 or more, found %g",
                         reader->family, (double)multiplier);
    if (rope->extrapolation == 0.0f || factor <= 1.0f)
        return WEIR_OK;
    const double grown = 0.1 * log((double)factor);
    rope->magnitude *= (float)((1.0 + grown) / (1.0 + (double)multiplier * grown));
    return WEIR_OK;
}

static enum weir_status read_rope_scaling(const struct weir_key_reader *reader,
                                          struct weir_shape *shape)
{
    struct weir_rope *rope = &shape->rope;
    const char *type = NULL;
    float factor = 1.0f;
    float extrapolation = -1.0f; /* below 0: what the type says */
    WEIR_TRY(read_rope_type(reader, &type));
    WEIR_TRY(read_rope_factor(reader, &factor));
    if (strcmp(type, "none") == 0)
        factor = 1.0f;
    WEIR_TRY(weir_key_count(reader, "rope.scaling.original_context_length", shape->n_ctx_train,
                            UINT32_MAX, 0, &rope->n_ctx_original));
    WEIR_TRY(weir_key_real(reader, "rope.scaling.yarn_ext_factor", &extrapolation));
    WEIR_TRY(weir_key_positive(reader, "rope.scaling.yarn_beta_fast", &rope->beta_fast));
    WEIR_TRY(weir_key_positive(reader, "rope.scaling.yarn_beta_slow", &rope->beta_slow));
    rope->scale = 1.0f / factor;
    rope->extrapolation = extrapolation >= 0.0f ? extrapolation : strcmp(type, "yarn") == 0;
    if (rope->extrapolation > 1.0f)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.rope.scaling.yarn_ext_factor: wanted at most 1, found %g",
                         reader->family, (double)rope->extrapolation);
    if (rope->extrapolation > 0.0f && !(rope->base > 1.0f))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.rope.freq_base: wanted above 1 for YaRN, found %g", reader->family,
                         (double)rope->base);
    return read_rope_magnitude(reader, factor, rope);
}

enum weir_status weir_shape_read_rope(const struct weir_key_reader *reader,
                                      struct weir_shape *shape)
{
    shape->rope = (struct weir_rope){
        .base = 10000.0f, .magnitude = 1.0f, .beta_fast = 32.0f, .beta_slow = 1.0f};
    WEIR_TRY(weir_key_count(reader, "rope.dimension_count", shape->d_head, WEIR_SHAPE_MAX, 0,
                            &shape->n_rot));
    if (shape->n_rot > shape->d_head || shape->n_rot % 2 != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.rope.dimension_count: wanted an even number up to the head's %u, "
                         "found %u",
                         reader->family, shape->d_head, shape->n_rot);
    WEIR_TRY(weir_key_positive(reader, "rope.freq_base", &shape->rope.base));
    return read_rope_scaling(reader, shape);
}
