/* bind.c - tensors to roles: one table says which tensors a family has and what shape they are. */
#include "model/roles.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"

/* Where a dimension's value is kept when the first tensor that has it decides; NULL when keys do.
 * layer is NULL for the model's own tensors. */
static uint32_t *learned_dim(struct weir_model *model, struct weir_layer *layer, enum weir_dim dim)
{
    switch (dim) {
    case WEIR_DIM_FFN:
        return &layer->network.d_ffn;
    case WEIR_DIM_FFN_EXPERT:
        return &layer->network.d_ffn_expert;
    case WEIR_DIM_FFN_SHARED:
        return &layer->network.d_ffn_shared;
    case WEIR_DIM_VOCAB:
        return &model->shape.n_vocab;
    default:
        return NULL;
    }
}

static uint64_t known_dim(const struct weir_model *model, const struct weir_layer *layer,
                          enum weir_dim dim)
{
    const struct weir_latent_shape *latent = &model->shape.latent;
    switch (dim) {
    case WEIR_DIM_MODEL:
        return model->shape.d_model;
    case WEIR_DIM_HEAD:
        return layer->mixer.d_head;
    case WEIR_DIM_HEADS:
        return layer->mixer.n_head;
    case WEIR_DIM_Q:
        return (uint64_t)layer->mixer.n_head * layer->mixer.d_head;
    case WEIR_DIM_K:
        return (uint64_t)layer->mixer.n_kv_head * layer->mixer.d_head;
    case WEIR_DIM_V:
        return (uint64_t)layer->mixer.n_kv_head * layer->mixer.d_value;
    case WEIR_DIM_ATTENDED:
        return (uint64_t)layer->mixer.n_head * layer->mixer.d_value;
    case WEIR_DIM_EXPERTS:
        return model->shape.n_expert;
    case WEIR_DIM_LOW_QUERY:
        return latent->d_query;
    case WEIR_DIM_PLAIN:
        return latent->d_plain;
    case WEIR_DIM_VALUE:
        return latent->d_value;
    case WEIR_DIM_LATENT:
        return latent->d_latent;
    case WEIR_DIM_LATENT_ROW:
        return (uint64_t)latent->d_latent + latent->d_turned;
    case WEIR_DIM_JOINT:
        return (uint64_t)layer->mixer.n_head * (latent->d_plain + latent->d_value);
    case WEIR_DIM_ROT_HALF:
        return model->shape.n_rot / 2;
    default:
        return 1;
    }
}

/* What is being bound: a tensor of the model, or of one of its layers. */
struct place {
    struct weir_model *model;
    struct weir_layer *layer; /* NULL: the model's own */
    const struct weir_tensor *tensor;
    uint32_t part, n_part; /* of its rows; 0, 1: all */
};

static enum weir_status check_dim(const struct place *place, uint32_t index, enum weir_dim dim,
                                  struct weir_err *err)
{
    const uint64_t all = place->tensor->dims[index];
    const uint32_t n_part = index == 1 ? place->n_part : 1;
    const uint64_t found = all / n_part;
    uint32_t *learned = learned_dim(place->model, place->layer, dim);
    if (learned != NULL && *learned == 0 && found > 0 && found <= UINT32_MAX)
        *learned = (uint32_t)found;
    const uint64_t wanted = learned != NULL ? *learned : known_dim(place->model, place->layer, dim);
    if (found != wanted || all % n_part != 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s: dimension %u must be %llu, found %llu",
                         place->tensor->name, index, (unsigned long long)wanted * n_part,
                         (unsigned long long)all);
    return WEIR_OK;
}

static enum weir_status check_tensor(const struct place *place, const struct weir_role *role,
                                     struct weir_err *err)
{
    const struct weir_tensor *tensor = place->tensor;
    if (!tensor->known) {
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tensor %s has type %s (ggml %u), which is not built in", tensor->name,
                         tensor->type_name, tensor->ggml_type);
    }
    WEIR_TRY(check_dim(place, 0, role->cols, err));
    WEIR_TRY(check_dim(place, 1, role->rows, err));
    WEIR_TRY(check_dim(place, 2,
                       role->kind == WEIR_ROLE_EXPERTS ? WEIR_DIM_EXPERTS
                       : role->kind == WEIR_ROLE_HEADS ? WEIR_DIM_HEADS
                                                       : WEIR_DIM_NONE,
                       err));
    return check_dim(place, 3, WEIR_DIM_NONE, err);
}

static void place_weight(struct weir_weight *weight, const struct place *place)
{
    const struct weir_tensor *tensor = place->tensor;
    *weight = (struct weir_weight){
        .tensor = tensor,
        .type = tensor->type,
        .file = tensor->file,
        .cols = tensor->dims[0],
        .rows = tensor->dims[1] / place->n_part,
        .count = tensor->dims[2],
        .offset = tensor->offset,
        .places = tensor->places,
        .row_bytes = weir_quant_row_bytes(tensor->type, (size_t)tensor->dims[0]),
    };
    weight->matrix_bytes = weight->rows * weight->row_bytes;
    weight->stride_bytes = weight->matrix_bytes * place->n_part;
    weight->offset += weight->matrix_bytes * place->part;
}

/* Whether this layer, or the model, needs the role. */
static bool is_needed(const struct weir_role *role, unsigned parts)
{
    return (role->parts & parts) == role->parts;
}

/* Where a role's weights are: in a tensor of their own, or in a part of one. layer_index is of no
 * account for a role of the model itself. */
static struct place find_place(struct weir_model *model, struct weir_layer *layer,
                               uint32_t layer_index, const struct weir_role *role, char name[64])
{
    struct place place = {.model = model, .layer = layer, .n_part = 1};
    if (layer == NULL)
        snprintf(name, 64, "%s", role->name);
    else
        snprintf(name, 64, "blk.%u.%s", layer_index, role->name);
    place.tensor = weir_manifest_tensor(model->manifest, name);
    for (size_t row = 0; layer != NULL && row < weir_fused_role_count; row++) {
        char fused_name[64];
        const struct weir_fused_role *fused = &weir_fused_roles[row];
        snprintf(fused_name, sizeof(fused_name), "blk.%u.%s", layer_index, fused->name);
        const struct weir_tensor *tensor = weir_manifest_tensor(model->manifest, fused_name);
        if (tensor == NULL || strcmp(fused->role, role->name) != 0)
            continue;
        place.tensor = tensor; /* then one of its own has no use, and is refused for that */
        place.part = fused->part;
        place.n_part = fused->n_part;
    }
    return place;
}

/* layer is NULL for a role of the model itself. */
static enum weir_status bind_role(struct weir_model *model, struct weir_layer *layer,
                                  uint32_t layer_index, const struct weir_role *role,
                                  uint32_t *bound_count, struct weir_err *err)
{
    char name[64];
    const struct place place = find_place(model, layer, layer_index, role, name);
    const struct weir_tensor *tensor = place.tensor;
    void *base = layer == NULL ? (void *)model : layer;
    if (tensor == NULL && role->optional)
        return WEIR_OK;
    if (tensor == NULL)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s is missing; a %s model needs it", name,
                         model->family->name);
    WEIR_TRY(check_tensor(&place, role, err));
    *bound_count += place.part == 0; /* each tensor once */
    if (role->kind == WEIR_ROLE_VECTOR) {
        struct weir_vector *vector = (struct weir_vector *)((char *)base + role->place);
        vector->tensor = tensor;
        model->trunk_bytes += tensor->bytes;
        return WEIR_OK;
    }
    struct weir_weight *weight = (struct weir_weight *)((char *)base + role->place);
    place_weight(weight, &place);
    if (role->kind == WEIR_ROLE_EXPERTS)
        model->expert_bytes += tensor->bytes / place.n_part;
    else
        model->trunk_bytes += tensor->bytes;
    if (role->kind == WEIR_ROLE_EXPERTS && weight->matrix_bytes > WEIR_SLICE_BYTES_MAX)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tensor %s: one expert's part of it: wanted at most %d bytes, found %llu",
                         tensor->name, WEIR_SLICE_BYTES_MAX,
                         (unsigned long long)weight->matrix_bytes);
    return WEIR_OK;
}

/* What the keys and the family say about a layer, before its tensors are looked at. */
static enum weir_status describe_layer(const struct weir_model *model, uint32_t layer_index,
                                       bool has_experts, struct weir_err *err)
{
    struct weir_layer *layer = &model->layers[layer_index];
    const struct weir_shape *shape = &model->shape;
    struct weir_layer_shape at;
    WEIR_TRY(weir_shape_read_layer(model, layer_index, &at, &layer->mixer, err));
    layer->network.activation = model->family->activation;
    layer->network.kind = has_experts ? WEIR_NETWORK_EXPERTS : WEIR_NETWORK_DENSE;
    layer->network.renormalizes = shape->renormalizes;
    layer->network.expert_scale = shape->expert_scale;
    layer->network.d_ffn = has_experts ? 0 : at.d_ffn;
    return WEIR_OK;
}

/* The parts of a layer's mixer. */
static unsigned mixer_parts(const struct weir_mixer *mixer)
{
    const struct weir_latent_shape *latent = &mixer->latent.shape;
    if (mixer->kind == WEIR_MIXER_ATTENTION)
        return WEIR_PART_ATTENTION;
    return (latent->d_query > 0 ? WEIR_PART_LOW_QUERY : WEIR_PART_PLAIN_QUERY) |
           (latent->is_joint ? WEIR_PART_JOINT_HEADS : WEIR_PART_SPLIT_HEADS);
}

static enum weir_status bind_layer(struct weir_model *model, uint32_t layer_index,
                                   uint32_t *bound_count, struct weir_err *err)
{
    char name[64];
    struct weir_layer *layer = &model->layers[layer_index];
    unsigned parts = model->family->parts;
    /* A family with experts may have layers without: then they are dense. */
    snprintf(name, sizeof(name), "blk.%u.ffn_gate.weight", layer_index);
    const bool has_experts =
        (parts & WEIR_PART_EXPERTS) != 0 && weir_manifest_tensor(model->manifest, name) == NULL;
    WEIR_TRY(describe_layer(model, layer_index, has_experts, err));
    if (!has_experts)
        parts = (parts & ~(unsigned)(WEIR_PART_EXPERTS | WEIR_PART_SHARED)) | WEIR_PART_DENSE;
    parts |= mixer_parts(&layer->mixer);
    for (size_t row = 0; row < weir_layer_role_count; row++) {
        if (!is_needed(&weir_layer_roles[row], parts))
            continue;
        WEIR_TRY(bind_role(model, layer, layer_index, &weir_layer_roles[row], bound_count, err));
    }
    model->shape.d_ffn_expert =
        (uint32_t)weir_max(model->shape.d_ffn_expert, layer->network.d_ffn_expert);
    return WEIR_OK;
}

/* Whether name is "blk.N." of a layer that exists, followed by a role of this family; or a role of
 * the model. Only for the message about the first tensor that is not. */
static bool is_bound_name(const struct weir_model *model, const char *name)
{
    for (size_t row = 0; row < weir_model_role_count; row++)
        if (strcmp(weir_model_roles[row].name, name) == 0)
            return true;
    unsigned layer_index = 0;
    int length = 0;
    if (sscanf(name, "blk.%u.%n", &layer_index, &length) != 1 || length == 0 ||
        layer_index >= model->shape.n_layer)
        return false;
    const unsigned parts =
        model->family->parts | WEIR_PART_DENSE | mixer_parts(&model->layers[layer_index].mixer);
    for (size_t row = 0; row < weir_layer_role_count; row++)
        if (is_needed(&weir_layer_roles[row], parts) &&
            strcmp(weir_layer_roles[row].name, name + length) == 0)
            return true;
    for (size_t row = 0; row < weir_fused_role_count; row++)
        if (strcmp(weir_fused_roles[row].name, name + length) == 0)
            return true;
    return false;
}

/* A tensor that nobody uses means a model that we would compute wrongly. */
static enum weir_status refuse_unused(const struct weir_model *model, uint32_t bound_count,
                                      struct weir_err *err)
{
    const uint32_t tensor_count = weir_manifest_tensor_count(model->manifest);
    if (bound_count == tensor_count)
        return WEIR_OK;
    for (uint32_t index = 0; index < tensor_count; index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(model->manifest, index);
        if (!is_bound_name(model, tensor->name))
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "tensor %s has no use in family %s; running without it would give "
                             "wrong text",
                             tensor->name, model->family->name);
    }
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "family %s uses %u tensors of the file's %u; running without the others would "
                     "give wrong text",
                     model->family->name, bound_count, tensor_count);
}

enum weir_status weir_model_bind(struct weir_model *model, struct weir_err *err)
{
    uint32_t bound_count = 0;
    for (size_t row = 0; row < weir_model_role_count; row++)
        WEIR_TRY(bind_role(model, NULL, 0, &weir_model_roles[row], &bound_count, err));
    model->tied = model->output.cols == 0;
    if (model->tied)
        model->output = model->token_embedding;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        WEIR_TRY(bind_layer(model, layer, &bound_count, err));
    return refuse_unused(model, bound_count, err);
}

struct trunk_visit {
    struct weir_trunk_visitor *visitor;
    char *base; /* the model, or a layer */
};

static void visit_trunk_role(void *user, const struct weir_role *role)
{
    const struct trunk_visit *visit = user;
    void *place = visit->base + role->place;
    if (role->kind == WEIR_ROLE_WEIGHT || role->kind == WEIR_ROLE_HEADS)
        visit->visitor->weight(visit->visitor, place);
    else if (role->kind == WEIR_ROLE_VECTOR)
        visit->visitor->vector(visit->visitor, place);
}

void weir_model_visit_trunk(struct weir_model *model, struct weir_trunk_visitor *visitor)
{
    struct trunk_visit visit = {.visitor = visitor, .base = (char *)model};
    const uint64_t embedding_cols = model->token_embedding.cols;
    struct weir_weight tied_output = model->output;
    if (model->tied) /* one matrix, visited once */
        model->output.cols = 0;
    if (model->embedding_on_disk)
        model->token_embedding.cols = 0;
    weir_roles_visit_model(model, visit_trunk_role, &visit);
    model->token_embedding.cols = embedding_cols;
    if (model->tied) {
        model->output = tied_output;
        model->output.data = model->token_embedding.data;
    }
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        visit.base = (char *)&model->layers[layer];
        weir_roles_visit_layer(&model->layers[layer], visit_trunk_role, &visit);
    }
}

struct input_mask {
    const struct weir_kernels *kernels;
    enum weir_input input;
    const char *base; /* the model, or a layer */
    unsigned formats;
};

static void add_format(void *user, const struct weir_role *role)
{
    struct input_mask *mask = user;
    const struct weir_weight *weight = (const void *)(mask->base + role->place);
    if (role->kind != WEIR_ROLE_VECTOR && (role->input & mask->input) != 0)
        mask->formats |= 1u << mask->kernels->act[weight->type];
}

unsigned weir_input_formats(const struct weir_model *model, const struct weir_kernels *kernels,
                            enum weir_input input)
{
    struct input_mask mask = {.kernels = kernels, .input = input, .base = (const char *)model};
    weir_roles_visit_model(model, add_format, &mask);
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        mask.base = (const char *)&model->layers[layer];
        weir_roles_visit_layer(&model->layers[layer], add_format, &mask);
    }
    return mask.formats;
}
