/* shape_network.c - keys about networks: units and their limits, and widths against the tensors. */
#include "model/shape.h"

/* A limit of one layer's networks; 0: none. */
static enum weir_status read_limit(const struct weir_key_reader *reader, const char *suffix,
                                   const struct weir_shape *shape, uint32_t layer,
                                   const struct weir_family *family, struct weir_unit *unit)
{
    float limit = 0.0f;
    WEIR_TRY(weir_key_layer_zero_or(reader, suffix, shape->n_block, layer, 1e-3f, 1e6f, &limit));
    if (limit == 0.0f)
        return WEIR_OK;
    if (family->limited == WEIR_GLU_SILU)
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "key %s.%s: what it asks for is not built in for family %s: wanted 0, "
                         "found %g",
                         reader->family, suffix, reader->family, (double)limit);
    *unit = (struct weir_unit){.glu = family->limited, .limit = limit};
    return WEIR_OK;
}

enum weir_status weir_shape_read_units(const struct weir_model *model, uint32_t layer,
                                       struct weir_network *network, struct weir_err *err)
{
    const struct weir_family *family = model->family;
    const struct weir_key_reader reader = {
        .manifest = model->manifest, .family = family->name, .err = err};
    network->unit = network->expert_unit = family->unit;
    WEIR_TRY(read_limit(&reader, "swiglu_clamp_exp", &model->shape, layer, family,
                        &network->expert_unit));
    if (!weir_key_is_there(&reader, "swiglu_clamp_shexp"))
        network->unit = network->expert_unit;
    return read_limit(&reader, "swiglu_clamp_shexp", &model->shape, layer, family, &network->unit);
}

/* What a key says about the width of a layer's experts; absent or 0: nothing. */
static enum weir_status check_width(const struct weir_key_reader *reader, const char *suffix,
                                    const struct weir_shape *shape, uint32_t layer, uint32_t width)
{
    uint32_t wanted = 0;
    WEIR_TRY(
        weir_key_layer_count(reader, suffix, 0, WEIR_SHAPE_MAX, shape->n_block, layer, &wanted));
    if (wanted == 0 || wanted == width)
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "key %s.%s: layer %u has tensors of width %u, found %u", reader->family,
                     suffix, layer, width, wanted);
}

/* Shared experts are one network of their widths together. */
static enum weir_status check_shared(const struct weir_key_reader *reader,
                                     const struct weir_shape *shape, uint32_t layer,
                                     const struct weir_network *network)
{
    uint32_t count = 0;
    uint32_t each = 0;
    WEIR_TRY(weir_key_count(reader, "expert_shared_count", 0, WEIR_RECORD_MAX, 0, &count));
    WEIR_TRY(weir_key_layer_count(reader, "expert_shared_feed_forward_length", 0, WEIR_SHAPE_MAX,
                                  shape->n_block, layer, &each));
    const uint32_t width = network->d_ffn_shared;
    const bool says_none = count == 0 && weir_key_is_there(reader, "expert_shared_count");
    if (each != 0 && each == width && !says_none) /* the key may count them already */
        return WEIR_OK;
    const uint64_t wanted = (uint64_t)(each != 0 ? each : network->d_ffn_expert) * count;
    if (width == 0 ? count == 0 : wanted == width || (count == 0 && each == 0 && !says_none))
        return WEIR_OK;
    if (count == 0 && !says_none)
        return check_width(reader, "expert_shared_feed_forward_length", shape, layer, width);
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "key %s.expert_shared_count: layer %u has shared experts of width %u: wanted "
                     "%u of %u, found %u together",
                     reader->family, layer, width, count, each != 0 ? each : network->d_ffn_expert,
                     width);
}

/* Which layers have experts, where a key says it: with a step every so many, after the leading
 * ones; with a step of 0 none. */
static enum weir_status check_place(const struct weir_key_reader *reader, uint32_t layer,
                                    bool has_experts)
{
    const bool has_step = weir_key_is_there(reader, "interleave_moe_layer_step");
    uint32_t dense_count = 0;
    uint32_t step = 0;
    WEIR_TRY(weir_key_count(reader, "leading_dense_block_count", 0, UINT32_MAX, 0, &dense_count));
    WEIR_TRY(weir_key_count(reader, "interleave_moe_layer_step", 0, UINT32_MAX, 0, &step));
    const bool is_step = has_step ? step > 0 && (layer + 1) % step == 0 : has_experts;
    if (has_experts && layer < dense_count)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.leading_dense_block_count: wanted at most %u, the dense layers "
                         "before the first with experts, found %u",
                         reader->family, layer, dense_count);
    if (!has_experts && step <= 1 && layer >= dense_count &&
        weir_key_is_there(reader, "leading_dense_block_count"))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.leading_dense_block_count: layer %u is dense: wanted %u at least, "
                         "found %u",
                         reader->family, layer, layer + 1, dense_count);
    if (has_experts != is_step && layer >= dense_count)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.interleave_moe_layer_step: layer %u %s: wanted a step that says "
                         "so, found %u",
                         reader->family, layer, has_experts ? "has experts" : "is dense", step);
    return WEIR_OK;
}

/* Of a model without experts: keys about them have no effect, and must be numbers yet. */
static enum weir_status check_idle(const struct weir_key_reader *reader,
                                   const struct weir_shape *shape)
{
    static const char *const lengths[] = {"expert_feed_forward_length",
                                          "expert_shared_feed_forward_length"};
    uint32_t ignored = 0;
    WEIR_TRY(weir_key_count(reader, "expert_shared_count", 0, WEIR_RECORD_MAX, 0, &ignored));
    for (size_t row = 0; row < WEIR_COUNT(lengths); row++)
        for (uint32_t layer = 0; layer < shape->n_layer; layer++)
            WEIR_TRY(weir_key_layer_count(reader, lengths[row], 0, WEIR_SHAPE_MAX, shape->n_block,
                                          layer, &ignored));
    return WEIR_OK;
}

enum weir_status weir_shape_check(const struct weir_model *model, struct weir_err *err)
{
    const struct weir_key_reader reader = {
        .manifest = model->manifest, .family = model->family->name, .err = err};
    const struct weir_shape *shape = &model->shape;
    const bool has_long = model->rope_long.tensor != NULL;
    uint32_t expert_layer_count = 0;
    if (has_long != (model->rope_short.tensor != NULL) ||
        (!has_long && shape->rope[WEIR_ROPE_FULL].needs_factors))
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "key %s.rope.scaling.type: longrope needs tensors of long and of short "
                         "texts: rope_factors_%s.weight is missing",
                         reader.family, has_long ? "short" : "long");
    if (model->family->attention.rope_is_divided && model->rope_factors.tensor == NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tensor rope_freqs.weight is missing; a %s model needs it", reader.family);
    if (shape->n_expert == 0)
        return check_idle(&reader, shape);
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        const struct weir_network *network = &model->layers[layer].network;
        const bool has_experts = network->kind == WEIR_NETWORK_EXPERTS;
        WEIR_TRY(check_place(&reader, layer, has_experts));
        if (!has_experts)
            continue;
        expert_layer_count++;
        WEIR_TRY(check_width(&reader, "expert_feed_forward_length", shape, layer,
                             network->d_ffn_expert));
        WEIR_TRY(check_shared(&reader, shape, layer, network));
    }
    if (expert_layer_count == 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "key %s.expert_count: no layer has experts: wanted 0, found %u",
                         reader.family, shape->n_expert);
    return WEIR_OK;
}
