/* shape.c - a model's shape from its keys. */
#include <math.h>
#include <string.h>

#include "model/shape.h"

static struct weir_key_reader reader_of(const weir_manifest *manifest,
                                        const struct weir_family *family, struct weir_err *err)
{
    return (struct weir_key_reader){.manifest = manifest, .family = family->name, .err = err};
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
    WEIR_TRY(weir_key_layer_count(reader, "attention.head_count", -1, WEIR_SHAPE_MAX, n_layer,
                                  layer, &out->n_head));
    WEIR_TRY(weir_key_layer_count(reader, "attention.head_count_kv", out->n_head, WEIR_SHAPE_MAX,
                                  n_layer, layer, &out->n_kv_head));
    if (out->n_head % out->n_kv_head != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "layer %u: %u heads cannot share %u key/value heads evenly", layer,
                         out->n_head, out->n_kv_head);
    return weir_key_layer_count(reader, "feed_forward_length", 0, WEIR_SHAPE_MAX, n_layer, layer,
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
                            WEIR_SHAPE_MAX, 0, &shape->d_head));
    WEIR_TRY(weir_key_count(reader, "attention.value_length", shape->d_head, WEIR_SHAPE_MAX, 0,
                            &d_value));
    if (d_value != shape->d_head || shape->d_head == 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "value heads of %u beside key heads of %u are not built in", d_value,
                         shape->d_head);
    if ((uint64_t)shape->n_head * shape->d_head > WEIR_SHAPE_MAX)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%u heads of %u are wider than %d",
                         shape->n_head, shape->d_head, WEIR_SHAPE_MAX);
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
    return weir_shape_read_routing(reader, parts, shape);
}

enum weir_status weir_shape_read(const weir_manifest *manifest, const struct weir_family *family,
                                 struct weir_shape *shape, struct weir_err *err)
{
    const struct weir_key_reader reader = reader_of(manifest, family, err);
    memset(shape, 0, sizeof(*shape));
    WEIR_TRY(weir_keys_check(&reader, family->parts));
    WEIR_TRY(weir_key_count(&reader, "block_count", -1, WEIR_LAYER_MAX, 0, &shape->n_layer));
    WEIR_TRY(weir_key_count(&reader, "embedding_length", -1, WEIR_SHAPE_MAX, 0, &shape->d_model));
    WEIR_TRY(weir_key_count(&reader, "context_length", -1, UINT32_MAX, 0, &shape->n_ctx_train));
    WEIR_TRY(read_layers(&reader, shape));
    WEIR_TRY(read_attention(&reader, shape));
    WEIR_TRY(check_state(&reader, shape));
    WEIR_TRY(weir_shape_read_rope(&reader, shape));
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
    WEIR_TRY(
        weir_key_layer_count(reader, suffix, 0, WEIR_SHAPE_MAX, shape->n_layer, layer, &wanted));
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
