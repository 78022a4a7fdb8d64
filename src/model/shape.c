/* shape.c - a model's shape from its keys. */
#include <math.h>
#include <string.h>

#include "model/shape.h"

static struct weir_key_reader reader_of(const weir_manifest *manifest,
                                        const struct weir_family *family, struct weir_err *err)
{
    return (struct weir_key_reader){.manifest = manifest, .family = family->name, .err = err};
}

static const char used_key[] = "expert_used_count";

static enum weir_status read_layer_used(const struct weir_key_reader *reader, uint32_t n_block,
                                        uint32_t layer, uint32_t *n_used)
{
    return weir_key_layer_count(reader, used_key, 0, WEIR_TOP_K_MAX, n_block, layer, n_used);
}

/* What one layer has of what layers may differ in. */
static enum weir_status read_layer(const struct weir_key_reader *reader,
                                   const struct weir_family *family, uint32_t n_block,
                                   uint32_t layer, struct weir_layer_shape *out)
{
    *out = (struct weir_layer_shape){0};
    WEIR_TRY(weir_key_layer_count(reader, "feed_forward_length", 0, WEIR_SHAPE_MAX, n_block, layer,
                                  &out->d_ffn));
    WEIR_TRY(weir_shape_read_mixer_kind(reader, family, n_block, layer, &out->mixer));
    if (out->mixer == WEIR_MIXER_DELTA) /* files may say 0 heads of these */
        return WEIR_OK;
    WEIR_TRY(weir_key_layer_count(reader, "attention.head_count", -1, WEIR_SHAPE_MAX, n_block,
                                  layer, &out->n_head));
    WEIR_TRY(weir_key_layer_count(reader, "attention.head_count_kv", out->n_head, WEIR_SHAPE_MAX,
                                  n_block, layer, &out->n_kv_head));
    if (out->n_head % out->n_kv_head != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "layer %u: %u heads cannot share %u key/value heads evenly", layer,
                         out->n_head, out->n_kv_head);
    return WEIR_OK;
}

/* Of the model: the widest of each. */
static enum weir_status read_layers(const struct weir_key_reader *reader,
                                    const struct weir_family *family, struct weir_shape *shape)
{
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        struct weir_layer_shape at;
        WEIR_TRY(read_layer(reader, family, shape->n_block, layer, &at));
        shape->n_head = (uint32_t)weir_max(shape->n_head, at.n_head);
        shape->n_kv_head = (uint32_t)weir_max(shape->n_kv_head, at.n_kv_head);
        shape->d_ffn = (uint32_t)weir_max(shape->d_ffn, at.d_ffn);
    }
    if (shape->n_head == 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "key %s.block_count: none of the %u layers has attention: a %s model "
                         "without is not built in",
                         reader->family, shape->n_layer, reader->family);
    return WEIR_OK;
}

static enum weir_status read_norms(const struct weir_key_reader *reader,
                                   const struct weir_family *family, struct weir_shape *shape)
{
    static const char centered[] = "attention.layer_norm_epsilon";
    static const char usual[] = "attention.layer_norm_rms_epsilon";
    shape->norm_epsilon = 0.0f; /* refused when the key does not give it */
    shape->norms_are_centered = family->may_center_norms && !weir_key_is_there(reader, usual) &&
                                weir_key_is_there(reader, centered);
    return weir_key_between(reader, shape->norms_are_centered ? centered : usual, 1e-30f, 1.0f,
                            &shape->norm_epsilon);
}

/* What embeddings, branches and logits are multiplied by. A key of 0 says nothing. */
static enum weir_status read_scales(const struct weir_key_reader *reader,
                                    const struct weir_family *family, struct weir_shape *shape)
{
    float *const scales[] = {&shape->embedding_scale, &shape->branch_scale, &shape->logit_scale};
    static const char *const keys[] = {"embedding_scale", "residual_scale", "logit_scale"};
    for (size_t row = 0; row < WEIR_COUNT(keys); row++) {
        float scale = 0.0f;
        WEIR_TRY(weir_key_zero_or(reader, keys[row], 1e-6f, 1e6f, &scale));
        *scales[row] = scale == 0.0f ? 1.0f : scale;
    }
    if (family->roots_embedding && !weir_key_is_there(reader, "embedding_scale"))
        shape->embedding_scale = sqrtf((float)shape->d_model);
    if (family->divides_logits)
        shape->logit_scale = 1.0f / shape->logit_scale;
    return weir_key_zero_or(reader, "final_logit_softcapping", 1e-2f, 1e6f, &shape->logit_softcap);
}

/* Sizes that follow from a shape are computed without a look at overflow: no text is so long. */
static enum weir_status check_state(const struct weir_key_reader *reader,
                                    const struct weir_shape *shape)
{
    enum { STATE_BITS = 56 };
    const double values = (double)shape->n_ctx_train * shape->n_layer * shape->n_kv_head *
                          ((double)shape->d_head + shape->latent.d_latent);
    if (values <= ldexp(1.0, STATE_BITS))
        return WEIR_OK;
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                     "key %s.context_length: %u positions of %u layers, %u heads of %u: wanted at "
                     "most 2^%d values, found %.3g",
                     reader->family, shape->n_ctx_train, shape->n_layer, shape->n_kv_head,
                     shape->d_head + shape->latent.d_latent, STATE_BITS, values);
}

/* The most that a layer uses. Files say 0 of a layer without experts. */
static enum weir_status read_used(const struct weir_key_reader *reader, struct weir_shape *shape)
{
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        uint32_t n_used = 0;
        WEIR_TRY(read_layer_used(reader, shape->n_block, layer, &n_used));
        shape->n_expert_used = (uint32_t)weir_max(shape->n_expert_used, n_used);
    }
    if (shape->n_expert_used > 0)
        return WEIR_OK;
    /* No layer uses any: say what is wrong with the key. */
    return weir_key_count(reader, used_key, -1, WEIR_TOP_K_MAX, shape->n_block,
                          &shape->n_expert_used);
}

static enum weir_status read_experts(const struct weir_key_reader *reader,
                                     const struct weir_family *family, struct weir_shape *shape)
{
    const bool needs = (family->parts & WEIR_PART_EXPERTS) != 0;
    WEIR_TRY(weir_key_count(reader, "expert_count", needs ? -1 : 0, WEIR_RECORD_MAX, 0,
                            &shape->n_expert));
    if (shape->n_expert == 0)
        return WEIR_OK;
    if (((family->parts | family->may) & WEIR_PART_EXPERTS) == 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "family %s with %u experts is not built in (dense only)", reader->family,
                         shape->n_expert);
    WEIR_TRY(read_used(reader, shape));
    if (shape->n_expert_used > shape->n_expert)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.%s: %u experts of a token are wanted from %u", reader->family,
                         used_key, shape->n_expert_used, shape->n_expert);
    return weir_shape_read_routing(reader, family, shape);
}

/* Blocks, and how many of them are layers: those at the end guess further tokens. */
static enum weir_status read_blocks(const struct weir_key_reader *reader, struct weir_shape *shape)
{
    uint32_t n_guess = 0;
    WEIR_TRY(weir_key_count(reader, "block_count", -1, WEIR_LAYER_MAX, 0, &shape->n_block));
    WEIR_TRY(weir_key_count(reader, "nextn_predict_layers", 0, shape->n_block - 1, 0, &n_guess));
    shape->n_layer = shape->n_block - n_guess;
    return WEIR_OK;
}

/* What layers have of other layers, and of the token. */
static enum weir_status read_borrowed(const struct weir_key_reader *reader,
                                      struct weir_shape *shape)
{
    uint32_t n_borrow = 0;
    WEIR_TRY(
        weir_key_count(reader, "attention.shared_kv_layers", 0, shape->n_layer - 1, 0, &n_borrow));
    shape->n_layer_own = shape->n_layer - n_borrow;
    return weir_key_count(reader, "embedding_length_per_layer_input", 0,
                          WEIR_SHAPE_MAX / shape->n_layer, 0, &shape->d_layer_input);
}

enum weir_status weir_shape_read(const weir_manifest *manifest, const struct weir_family *family,
                                 struct weir_shape *shape, struct weir_err *err)
{
    const struct weir_key_reader reader = reader_of(manifest, family, err);
    memset(shape, 0, sizeof(*shape));
    WEIR_TRY(
        weir_keys_check(&reader, family->parts | family->may |
                                     (family->delta != WEIR_DELTA_NONE ? WEIR_PART_DELTA : 0)));
    WEIR_TRY(read_blocks(&reader, shape));
    WEIR_TRY(read_borrowed(&reader, shape));
    WEIR_TRY(weir_key_count(&reader, "embedding_length", -1, WEIR_SHAPE_MAX, 0, &shape->d_model));
    WEIR_TRY(weir_key_count(&reader, "context_length", -1, UINT32_MAX, 0, &shape->n_ctx_train));
    WEIR_TRY(read_layers(&reader, family, shape));
    WEIR_TRY(weir_shape_read_delta(&reader, family, shape));
    WEIR_TRY(read_norms(&reader, family, shape));
    WEIR_TRY(weir_shape_read_attention(&reader, &family->attention, shape));
    if ((family->parts & WEIR_PART_LATENT) != 0)
        WEIR_TRY(weir_shape_read_latent(&reader, shape));
    WEIR_TRY(read_scales(&reader, family, shape));
    WEIR_TRY(check_state(&reader, shape));
    WEIR_TRY(read_experts(&reader, family, shape));
    return weir_key_count(&reader, "leading_dense_block_count", 0, UINT32_MAX, 0,
                          &shape->n_layer_lead);
}

enum weir_status weir_shape_read_layer(const struct weir_model *model, uint32_t layer,
                                       struct weir_layer_shape *out, struct weir_mixer *mixer,
                                       struct weir_err *err)
{
    const struct weir_key_reader reader = reader_of(model->manifest, model->family, err);
    WEIR_TRY(read_layer(&reader, model->family, model->shape.n_block, layer, out));
    if (out->mixer == WEIR_MIXER_DELTA) {
        mixer->kind = WEIR_MIXER_DELTA;
        mixer->delta.shape = model->shape.delta;
        return WEIR_OK;
    }
    mixer->n_head = out->n_head;
    mixer->n_kv_head = out->n_kv_head;
    WEIR_TRY(weir_shape_read_mixer(&reader, model->family, &model->shape, layer, mixer));
    if (model->shape.latent.d_latent > 0)
        weir_shape_fill_latent(&model->shape, mixer);
    return WEIR_OK;
}

enum weir_status weir_shape_read_used(const struct weir_model *model, uint32_t layer,
                                      uint32_t *n_used, struct weir_err *err)
{
    const struct weir_key_reader reader = reader_of(model->manifest, model->family, err);
    WEIR_TRY(read_layer_used(&reader, model->shape.n_block, layer, n_used));
    if (*n_used > 0)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "key %s.%s: layer %u has experts: wanted 1 to %u of a token, found 0",
                     reader.family, used_key, layer, model->shape.n_expert);
}
