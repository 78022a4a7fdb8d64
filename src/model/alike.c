/* alike.c - layers that are alike have the same tensors: what one of them lacks was lost. */
#include <stdio.h>
#include <string.h>

#include "model/bind.h"

/* Whether the parts of two layers that a tensor belongs to are of one kind. Attention over a window
 * may have other tensors than that over all, and what borrows keys and values has less. */
static bool are_alike(const struct weir_layer *one, const struct weir_layer *other,
                      const char *rest)
{
    const bool is_of_mixer = strncmp(rest, "attn_", 5) == 0 || strncmp(rest, "ssm_", 4) == 0;
    if (!is_of_mixer)
        return one->network.kind == other->network.kind;
    return one->mixer.kind == other->mixer.kind && one->mixer.borrows == other->mixer.borrows &&
           (one->mixer.window > 0) == (other->mixer.window > 0);
}

/* The layer of a tensor, and where the rest of its name begins; UINT32_MAX: it is in none that
 * runs. */
static uint32_t read_layer(const struct weir_model *model, const char *name, const char **rest)
{
    unsigned layer = 0;
    int length = 0;
    if (sscanf(name, "blk.%u.%n", &layer, &length) != 1 || length == 0 ||
        layer >= model->shape.n_layer)
        return UINT32_MAX;
    *rest = name + length;
    return layer;
}

static const struct weir_tensor *find_tensor(const struct weir_model *model, uint32_t layer,
                                             const char *rest, size_t length, const char *end)
{
    char name[WEIR_TENSOR_NAME_MAX];
    snprintf(name, sizeof(name), "blk.%u.%.*s%s", layer, (int)length, rest, end);
    return weir_manifest_tensor(model->manifest, name);
}

/* Scales go with a format: a matrix of another one has none. */
static bool is_of_format(const struct weir_model *model, uint32_t one, uint32_t other,
                         const char *rest)
{
    const char *word = strrchr(rest, '.');
    if (word == NULL || strstr(word, "scale") == NULL)
        return true;
    const size_t length = (size_t)(word - rest);
    const struct weir_tensor *has = find_tensor(model, one, rest, length, ".weight");
    const struct weir_tensor *lacks = find_tensor(model, other, rest, length, ".weight");
    return has == NULL || lacks == NULL || strcmp(has->type_name, lacks->type_name) == 0;
}

static enum weir_status want_tensor(const struct weir_model *model, uint32_t one, uint32_t other,
                                    const char *rest, struct weir_err *err)
{
    if (find_tensor(model, other, rest, strlen(rest), "") != NULL ||
        !is_of_format(model, one, other, rest))
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "tensor blk.%u.%s is missing; layer %u, which is of the same kind, has it",
                     other, rest, one);
}

enum weir_status weir_model_check_alike(const struct weir_model *model, struct weir_err *err)
{
    const uint32_t tensor_count = weir_manifest_tensor_count(model->manifest);
    for (uint32_t index = 0; index < tensor_count; index++) {
        const char *rest = NULL;
        const char *name = weir_manifest_tensor_at(model->manifest, index)->name;
        const uint32_t layer = read_layer(model, name, &rest);
        uint32_t first = 0;
        if (layer == UINT32_MAX)
            continue;
        while (!are_alike(&model->layers[first], &model->layers[layer], rest))
            first++;
        WEIR_TRY(want_tensor(model, layer, first, rest, err));
        for (uint32_t other = first + 1; first == layer && other < model->shape.n_layer; other++)
            if (are_alike(&model->layers[first], &model->layers[other], rest))
                WEIR_TRY(want_tensor(model, first, other, rest, err));
    }
    return WEIR_OK;
}
