/* shape_routing.c - how experts are chosen and weighed, from the keys. */
#include <math.h>
#include <stdio.h>

#include "model/shape.h"

/* expert_gating_func, as files number it; 0 is what the family has. */
static const enum weir_gating_kind kinds[] = {
    [1] = WEIR_GATING_SOFTMAX,
    [2] = WEIR_GATING_SIGMOID,
    [3] = WEIR_GATING_SOFTMAX_OF_CHOSEN,
    [4] = WEIR_GATING_SQRT_SOFTPLUS,
};

/* Whether a layer's experts are chosen with a bias. */
static bool has_selection_bias(const weir_manifest *manifest, const struct weir_shape *shape)
{
    char name[WEIR_KEY_NAME_MAX];
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        snprintf(name, sizeof(name), "blk.%u.exp_probs_b.bias", layer);
        if (weir_manifest_tensor(manifest, name) != NULL)
            return true;
    }
    return false;
}

static enum weir_status read_kind(const struct weir_key_reader *reader,
                                  const struct weir_family *family, const struct weir_shape *shape,
                                  enum weir_gating_kind *kind)
{
    uint32_t number = 0;
    WEIR_TRY(weir_key_count(reader, "expert_gating_func", 0, UINT32_MAX, 0, &number));
    *kind = family->gating;
    if (number == 0 && family->sigmoid_with_bias && has_selection_bias(reader->manifest, shape))
        *kind = WEIR_GATING_SIGMOID;
    if (number == 0)
        return WEIR_OK;
    if (number >= WEIR_COUNT(kinds))
        return WEIR_FAIL(
            reader->err, WEIR_ERR_UNSUPPORTED,
            "key %s.expert_gating_func: wanted 1 (softmax), 2 (sigmoid), 3 (softmax of "
            "the chosen) or 4 (square root of softplus), found %u",
            reader->family, number);
    /* Of the chosen or of all: a sigmoid is the same. */
    if (family->gating != WEIR_GATING_SIGMOID_OF_CHOSEN || kinds[number] != WEIR_GATING_SIGMOID)
        *kind = kinds[number];
    return WEIR_OK;
}

static enum weir_status read_groups(const struct weir_key_reader *reader,
                                    const struct weir_family *family, struct weir_shape *shape)
{
    struct weir_gating *gating = &shape->gating;
    uint32_t n_group = 0;
    uint32_t n_group_used = 0;
    WEIR_TRY(weir_key_count(reader, "expert_group_count", 0, UINT32_MAX, 0, &n_group));
    WEIR_TRY(weir_key_count(reader, "expert_group_used_count", 0, UINT32_MAX, 0, &n_group_used));
    if (n_group <= 1)
        return WEIR_OK;
    if (n_group > WEIR_GROUP_MAX || shape->n_expert % n_group != 0)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.expert_group_count: wanted at most %d equal groups of %u experts, "
                         "found %u",
                         reader->family, WEIR_GROUP_MAX, shape->n_expert, n_group);
    if (n_group_used == 0 || n_group_used > n_group ||
        shape->n_expert / n_group * n_group_used < shape->n_expert_used)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "key %s.expert_group_used_count: wanted up to %u groups of %u experts "
                         "with room for the %u of a token, found %u",
                         reader->family, n_group, shape->n_expert / n_group, shape->n_expert_used,
                         n_group_used);
    if (n_group_used == n_group)
        return WEIR_OK;
    gating->n_group = n_group;
    gating->n_group_used = n_group_used;
    gating->n_group_best = family->judges_by_best && gating->kind == WEIR_GATING_SOFTMAX ? 1 : 2;
    return WEIR_OK;
}

enum weir_status weir_shape_read_routing(const struct weir_key_reader *reader,
                                         const struct weir_family *family, struct weir_shape *shape)
{
    float scale = 0.0f; /* 0 and 1 both leave weights as they are */
    shape->gating = (struct weir_gating){.steepness = 1.0f,
                                         .renormalizes = family->renormalizes,
                                         .weighs_input = family->weighs_input};
    if (family->roots_router)
        shape->gating.steepness = 1.0f / sqrtf((float)shape->d_model);
    WEIR_TRY(read_kind(reader, family, shape, &shape->gating.kind));
    WEIR_TRY(weir_key_bool(reader, "expert_weights_norm", &shape->gating.renormalizes));
    WEIR_TRY(weir_key_zero_or(reader, "expert_weights_scale", 1e-3f, 1e4f, &scale));
    shape->gating.scale = scale == 0.0f ? 1.0f : scale;
    return read_groups(reader, family, shape);
}
