/* shape.c - a model's shape from its keys. */
#include <math.h>
#include <string.h>

#include "model/key_reader.h"
#include "model/model_internal.h"

/* The largest value a shape may have: far above any model, far below overflow. */
enum { SHAPE_MAX = 1 << 24 };

/* expert_gating_func, as files number it. */
enum { GATING_FAMILY, GATING_SOFTMAX, GATING_SIGMOID, GATING_SOFTMAX_OF_CHOSEN };

static struct weir_key_reader reader_of(const weir_manifest *manifest,
                                        const struct weir_family *family, struct weir_err *err)
{
    return (struct weir_key_reader){.manifest = manifest, .family = family->name, .err = err};
}

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

static enum weir_status read_rope(const struct weir_key_reader *reader, struct weir_shape *shape)
{
    shape->rope = (struct weir_rope){
        .base = 10000.0f, .magnitude = 1.0f, .beta_fast = 32.0f, .beta_slow = 1.0f};
    WEIR_TRY(
        weir_key_count(reader, "rope.dimension_count", shape->d_head, SHAPE_MAX, 0, &shape->n_rot));
    if (shape->n_rot > shape->d_head || shape->n_rot % 2 != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.rope.dimension_count: wanted an even number up to the head's %u, "
                         "found %u",
                         reader->family, shape->d_head, shape->n_rot);
    WEIR_TRY(weir_key_positive(reader, "rope.freq_base", &shape->rope.base));
    return read_rope_scaling(reader, shape);
}

/* A window that is no shorter than any text is none. */
static enum weir_status check_window(const struct weir_key_reader *reader,
                                     const struct weir_shape *shape)
{
    uint32_t window = 0;
    WEIR_TRY(
        weir_key_count(reader, "attention.sliding_window", 0, UINT32_MAX, shape->n_layer, &window));
    if (window == 0 || window >= shape->n_ctx_train)
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                     "key %s.attention.sliding_window: windows are not built in for family %s: "
                     "wanted 0, or %u (the context) at least, found %u",
                     reader->family, reader->family, shape->n_ctx_train, window);
}

/* What one layer has of what layers may differ in. */
static enum weir_status read_layer(const struct weir_key_reader *reader, uint32_t n_layer,
                                   uint32_t layer, struct weir_layer_shape *out)
{
    WEIR_TRY(weir_key_layer_count(reader, "attention.head_count", -1, SHAPE_MAX, n_layer, layer,
                                  &out->n_head));
    WEIR_TRY(weir_key_layer_count(reader, "attention.head_count_kv", out->n_head, SHAPE_MAX,
                                  n_layer, layer, &out->n_kv_head));
    if (out->n_head % out->n_kv_head != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "layer %u: %u heads cannot share %u key/value heads evenly", layer,
                         out->n_head, out->n_kv_head);
    return weir_key_layer_count(reader, "feed_forward_length", 0, SHAPE_MAX, n_layer, layer,
                                &out->d_ffn);
}

/* Of the model: the widest of each. */
static enum weir_status read_layers(const struct weir_key_reader *reader, struct weir_shape *shape)
{
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        struct weir_layer_shape at;
        WEIR_TRY(read_layer(reader, shape->n_layer, layer, &at));
        shape->n_head = (uint32_t)weir_max(shape->n_head, at.n_head);
        shape->n_kv_head = (uint32_t)weir_max(shape->n_kv_head, at.n_kv_head);
        shape->d_ffn = (uint32_t)weir_max(shape->d_ffn, at.d_ffn);
    }
    return WEIR_OK;
}

static enum weir_status read_attention(const struct weir_key_reader *reader,
                                       struct weir_shape *shape)
{
    uint32_t d_value = 0;
    WEIR_TRY(weir_key_count(reader, "attention.key_length", shape->d_model / shape->n_head,
                            SHAPE_MAX, 0, &shape->d_head));
    WEIR_TRY(
        weir_key_count(reader, "attention.value_length", shape->d_head, SHAPE_MAX, 0, &d_value));
    if (d_value != shape->d_head || shape->d_head == 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "value heads of %u beside key heads of %u are not built in", d_value,
                         shape->d_head);
    if ((uint64_t)shape->n_head * shape->d_head > SHAPE_MAX)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%u heads of %u are wider than %d",
                         shape->n_head, shape->d_head, SHAPE_MAX);
    shape->attention_scale = 1.0f / sqrtf((float)shape->d_head);
    float scale = 0.0f; /* 0: the usual one */
    WEIR_TRY(weir_key_real(reader, "attention.scale", &scale));
    if (scale != 0.0f)
        WEIR_TRY(weir_key_positive(reader, "attention.scale", &shape->attention_scale));
    shape->norm_epsilon = 0.0f; /* refused when the key does not give it */
    WEIR_TRY(weir_key_positive(reader, "attention.layer_norm_rms_epsilon", &shape->norm_epsilon));
    return check_window(reader, shape);
}

/* Sizes that follow from a shape are computed without a look at overflow: no text is so long. */
static enum weir_status check_state(const struct weir_key_reader *reader,
                                    const struct weir_shape *shape)
{
    enum { STATE_BITS = 56 };
    const double values =
        (double)shape->n_ctx_train * shape->n_layer * shape->n_kv_head * shape->d_head;
    if (values <= ldexp(1.0, STATE_BITS))
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "key %s.context_length: %u positions of %u layers, %u heads of %u: wanted at "
                     "most 2^%d keys, found %.3g",
                     reader->family, shape->n_ctx_train, shape->n_layer, shape->n_kv_head,
                     shape->d_head, STATE_BITS, values);
}

/* How the router's logits become the weights of the chosen experts. */
static enum weir_status read_routing(const struct weir_key_reader *reader, unsigned parts,
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

static enum weir_status read_experts(const struct weir_key_reader *reader, unsigned parts,
                                     struct weir_shape *shape)
{
    if ((parts & WEIR_PART_EXPERTS) == 0) {
        uint32_t n_expert = 0;
        WEIR_TRY(weir_key_count(reader, "expert_count", 0, UINT32_MAX, 0, &n_expert));
        return n_expert == 0 ? WEIR_OK
                             : WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                                         "family %s with %u experts is not built in (dense only)",
                                         reader->family, n_expert);
    }
    WEIR_TRY(weir_key_count(reader, "expert_count", -1, WEIR_RECORD_MAX, 0, &shape->n_expert));
    WEIR_TRY(weir_key_count(reader, "expert_used_count", -1, WEIR_TOP_K_MAX, shape->n_layer,
                            &shape->n_expert_used));
    if (shape->n_expert_used > shape->n_expert)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%u experts of a token are wanted from %u",
                         shape->n_expert_used, shape->n_expert);
    return read_routing(reader, parts, shape);
}

enum weir_status weir_shape_read(const weir_manifest *manifest, const struct weir_family *family,
                                 struct weir_shape *shape, struct weir_err *err)
{
    const struct weir_key_reader reader = reader_of(manifest, family, err);
    memset(shape, 0, sizeof(*shape));
    WEIR_TRY(weir_keys_check(&reader, family->parts));
    WEIR_TRY(weir_key_count(&reader, "block_count", -1, WEIR_LAYER_MAX, 0, &shape->n_layer));
    WEIR_TRY(weir_key_count(&reader, "embedding_length", -1, SHAPE_MAX, 0, &shape->d_model));
    WEIR_TRY(weir_key_count(&reader, "context_length", -1, UINT32_MAX, 0, &shape->n_ctx_train));
    WEIR_TRY(read_layers(&reader, shape));
    WEIR_TRY(read_attention(&reader, shape));
    WEIR_TRY(check_state(&reader, shape));
    WEIR_TRY(read_rope(&reader, shape));
    return read_experts(&reader, family->parts, shape);
}

enum weir_status weir_shape_read_layer(const struct weir_model *model, uint32_t layer,
                                       struct weir_layer_shape *out, struct weir_err *err)
{
    const struct weir_key_reader reader = reader_of(model->manifest, model->family, err);
    return read_layer(&reader, model->shape.n_layer, layer, out);
}

/* What a key says about the width of a layer's experts; absent or 0: nothing. */
static enum weir_status check_width(const struct weir_key_reader *reader, const char *suffix,
                                    const struct weir_shape *shape, uint32_t layer, uint32_t width)
{
    uint32_t wanted = 0;
    WEIR_TRY(weir_key_layer_count(reader, suffix, 0, SHAPE_MAX, shape->n_layer, layer, &wanted));
    if (wanted == 0 || wanted == width)
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "key %s.%s: layer %u has tensors of width %u, found %u", reader->family,
                     suffix, layer, width, wanted);
}

enum weir_status weir_shape_check(const struct weir_model *model, struct weir_err *err)
{
    const struct weir_key_reader reader = reader_of(model->manifest, model->family, err);
    const struct weir_shape *shape = &model->shape;
    uint32_t dense_count = 0;
    WEIR_TRY(weir_key_count(&reader, "leading_dense_block_count", 0, UINT32_MAX, 0, &dense_count));
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        const struct weir_network *network = &model->layers[layer].network;
        if (network->kind != WEIR_NETWORK_EXPERTS)
            continue;
        if (layer < dense_count)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "key %s.leading_dense_block_count: wanted at most %u, the dense "
                             "layers before the first with experts, found %u",
                             reader.family, layer, dense_count);
        WEIR_TRY(check_width(&reader, "expert_feed_forward_length", shape, layer,
                             network->d_ffn_expert));
        if (network->d_ffn_shared > 0)
            WEIR_TRY(check_width(&reader, "expert_shared_feed_forward_length", shape, layer,
                                 network->d_ffn_shared));
    }
    return WEIR_OK;
}
