/* shape.c - a model's shape from its keys. */
#include "model/model_internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEY_MAX = 128 };

/* The largest value a shape may have: far above any model, far below overflow. */
enum { SHAPE_MAX = 1 << 24 };

struct key_reader {
    const weir_manifest *manifest;
    const char *family;
    struct weir_err *err;
};

static const char *make_key(const struct key_reader *reader, const char *suffix, char *out)
{
    snprintf(out, KEY_MAX, "%s.%s", reader->family, suffix);
    return out;
}

/* A whole number in [1, most]. fallback < 0: the key must be there. */
static enum weir_status read_count(const struct key_reader *reader, const char *suffix,
                                   int64_t fallback, uint64_t most, uint32_t *value)
{
    char key[KEY_MAX];
    uint64_t found = 0;
    uint64_t entry_count = 0;
    make_key(reader, suffix, key);
    if (weir_manifest_array_count(reader->manifest, key, &entry_count))
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "key %s: one number for all layers is wanted, found an array of %llu", key,
                         (unsigned long long)entry_count);
    if (!weir_manifest_u64(reader->manifest, key, &found)) {
        if (fallback < 0)
            return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                             "key %s is missing or not a whole number", key);
        found = (uint64_t)fallback;
    }
    if (found > most || (found == 0 && fallback != 0))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s: wanted 1 to %llu, found %llu", key,
                         (unsigned long long)most, (unsigned long long)found);
    *value = (uint32_t)found;
    return WEIR_OK;
}

static enum weir_status read_real(const struct key_reader *reader, const char *suffix,
                                  double fallback, float *value)
{
    char key[KEY_MAX];
    double found = fallback;
    make_key(reader, suffix, key);
    if (!weir_manifest_f64(reader->manifest, key, &found) && isnan(fallback))
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s is missing or not a number", key);
    if (!isfinite((float)found) || (float)found <= 0.0f) /* 1e-300 and 1e300 are no floats */
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "key %s: wanted a number above 0, found %g",
                         key, found);
    *value = (float)found;
    return WEIR_OK;
}

static enum weir_status read_rope(const struct key_reader *reader, struct weir_shape *shape)
{
    char key[KEY_MAX];
    float factor = 1.0f;
    WEIR_TRY(read_count(reader, "rope.dimension_count", shape->d_head, SHAPE_MAX, &shape->n_rot));
    if (shape->n_rot > shape->d_head || shape->n_rot % 2 != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s: wanted an even number up to the head's %u, found %u",
                         make_key(reader, "rope.dimension_count", key), shape->d_head,
                         shape->n_rot);
    WEIR_TRY(read_real(reader, "rope.freq_base", 10000.0, &shape->rope_base));
    const char *kind =
        weir_manifest_text(reader->manifest, make_key(reader, "rope.scaling.type", key));
    if (kind != NULL && strcmp(kind, "none") != 0 && strcmp(kind, "linear") != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "key %s: \"%s\" is not built in (none, linear, or a rope_freqs tensor)",
                         key, kind);
    if (kind != NULL && strcmp(kind, "linear") == 0)
        WEIR_TRY(read_real(reader, "rope.scaling.factor", 1.0, &factor));
    shape->rope_scale = 1.0f / factor;
    return WEIR_OK;
}

static enum weir_status read_attention(const struct key_reader *reader, struct weir_shape *shape)
{
    uint32_t d_value = 0;
    WEIR_TRY(read_count(reader, "attention.head_count", -1, SHAPE_MAX, &shape->n_head));
    WEIR_TRY(
        read_count(reader, "attention.head_count_kv", shape->n_head, SHAPE_MAX, &shape->n_kv_head));
    if (shape->n_head % shape->n_kv_head != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "%u heads cannot share %u key/value heads evenly", shape->n_head,
                         shape->n_kv_head);
    WEIR_TRY(read_count(reader, "attention.key_length", shape->d_model / shape->n_head, SHAPE_MAX,
                        &shape->d_head));
    WEIR_TRY(read_count(reader, "attention.value_length", shape->d_head, SHAPE_MAX, &d_value));
    if (d_value != shape->d_head || shape->d_head == 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_UNSUPPORTED,
                         "value heads of %u beside key heads of %u are not built in", d_value,
                         shape->d_head);
    if ((uint64_t)shape->n_head * shape->d_head > SHAPE_MAX)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%u heads of %u are wider than %d",
                         shape->n_head, shape->d_head, SHAPE_MAX);
    return read_real(reader, "attention.layer_norm_rms_epsilon", (double)NAN, &shape->norm_epsilon);
}

static enum weir_status read_experts(const struct key_reader *reader, struct weir_shape *shape)
{
    WEIR_TRY(read_count(reader, "expert_count", -1, WEIR_RECORD_MAX, &shape->n_expert));
    WEIR_TRY(read_count(reader, "expert_used_count", -1, WEIR_TOP_K_MAX, &shape->n_expert_used));
    if (shape->n_expert_used > shape->n_expert)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%u experts of a token are wanted from %u",
                         shape->n_expert_used, shape->n_expert);
    return WEIR_OK;
}

enum weir_status weir_shape_read(const weir_manifest *manifest, const struct weir_family *family,
                                 struct weir_shape *shape, struct weir_err *err)
{
    const struct key_reader reader = {.manifest = manifest, .family = family->name, .err = err};
    memset(shape, 0, sizeof(*shape));
    WEIR_TRY(read_count(&reader, "block_count", -1, WEIR_LAYER_MAX, &shape->n_layer));
    WEIR_TRY(read_count(&reader, "embedding_length", -1, SHAPE_MAX, &shape->d_model));
    WEIR_TRY(read_count(&reader, "context_length", -1, UINT32_MAX, &shape->n_ctx_train));
    WEIR_TRY(read_count(&reader, "feed_forward_length", 0, SHAPE_MAX, &shape->d_ffn));
    WEIR_TRY(read_attention(&reader, shape));
    WEIR_TRY(read_rope(&reader, shape));
    if ((family->parts & WEIR_PART_EXPERTS) != 0)
        return read_experts(&reader, shape);
    uint64_t n_expert = 0;
    char key[KEY_MAX];
    if (weir_manifest_u64(manifest, make_key(&reader, "expert_count", key), &n_expert) &&
        n_expert > 0)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "family %s with %llu experts is not built in (dense only)", family->name,
                         (unsigned long long)n_expert);
    return WEIR_OK;
}
