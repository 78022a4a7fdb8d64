/* bind.c - tensors to roles: one table says which tensors a family has and what shape they are. */
#include <stdio.h>
#include <string.h>

#include "model/bind.h"

/* A column has a value of every row, those of other matrices in the tensor too: all is read. */
static void turn_weight(struct weir_weight *weight, const struct weir_found *found)
{
    const uint64_t value_bytes = weir_quant_info(weight->type)->block_bytes;
    weight->row_bytes = found->step * value_bytes;
    weight->col_bytes = found->tensor->dims[1] * value_bytes;
    weight->lead_bytes = found->first * value_bytes;
    weight->matrix_bytes = weight->cols * weight->col_bytes;
    weight->offset = found->tensor->offset;
}

static void place_weight(struct weir_weight *weight, const struct weir_found *found)
{
    const struct weir_tensor *tensor = found->tensor;
    const uint64_t row_bytes = weir_quant_row_bytes(tensor->type, (size_t)tensor->dims[0]);
    const uint64_t first_bytes = found->first * row_bytes;
    *weight = (struct weir_weight){
        .tensor = tensor,
        .type = tensor->type,
        .file = tensor->file,
        .cols = tensor->dims[0],
        .rows = found->extent,
        .count = tensor->dims[2],
        .places = tensor->places,
        .row_bytes = found->step * row_bytes,
        .lead_bytes = found->step > 1 ? first_bytes : 0,
        .offset = tensor->offset + (found->step > 1 ? 0 : first_bytes),
    };
    weight->matrix_bytes = weight->rows * weight->row_bytes;
    weight->stride_bytes = tensor->dims[1] * row_bytes;
    if (tensor->is_turned)
        turn_weight(weight, found);
}

static void bind_vector(struct weir_binding *binding, const struct weir_role *role,
                        const struct weir_found *found, struct weir_vector *vector)
{
    const struct weir_tensor *tensor = found->tensor;
    *vector = (struct weir_vector){
        .tensor = tensor,
        .cols = found->extent,
        .rows = tensor->dims[1],
        .first = found->first,
        .stride = tensor->dims[0],
        .step = found->step,
        .is_turned = role->rows != WEIR_DIM_NONE,
    };
    binding->model->trunk_bytes +=
        vector->rows * weir_quant_row_bytes(tensor->type, (size_t)vector->cols);
}

static enum weir_status bind_weight(struct weir_binding *binding, const struct weir_role *role,
                                    const struct weir_found *found, struct weir_weight *weight,
                                    struct weir_err *err)
{
    place_weight(weight, found);
    WEIR_TRY(weir_bind_bytes(binding, role, found, weight->count, weight->matrix_bytes, err));
    const bool is_alone = role->input == 0 || role->kind == WEIR_ROLE_HEADS;
    if (is_alone && weight->type >= WEIR_TYPE_BLOCK_COUNT)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tensor %s has type %s, which is not built in here", found->tensor->name,
                         found->tensor->type_name);
    return is_alone ? WEIR_OK : weir_bind_companions(binding, role, found, weight, err);
}

/* By a row of the table before this one, which had the same place. */
static bool is_bound(const struct weir_role *role, const void *place)
{
    const struct weir_weight *weight = place;
    const struct weir_vector *vector = place;
    return role->kind == WEIR_ROLE_VECTOR ? vector->tensor != NULL : weight->tensor != NULL;
}

static bool is_waived(const struct weir_binding *binding, const struct weir_role *role)
{
    for (size_t row = 0; row < weir_waived_count; row++)
        if ((weir_waived[row].part & binding->parts) != 0 &&
            strcmp(weir_waived[row].name, role->name) == 0)
            return true;
    return false;
}

/* Also by the other names that files of this family have for the role, or for several together. */
static enum weir_status refuse_missing(const struct weir_binding *binding,
                                       const struct weir_role *role, struct weir_err *err)
{
    char name[WEIR_TENSOR_NAME_MAX];
    char others[WEIR_ERR_TEXT_MAX / 2] = "";
    for (size_t row = 0; row < weir_alias_count; row++) {
        const struct weir_alias *alias = &weir_aliases[row];
        bool is_for = false;
        for (size_t at = 0; at < WEIR_ALIAS_MEMBERS_MAX && alias->members[at] != NULL; at++)
            is_for = is_for || strcmp(alias->members[at], role->name) == 0;
        const size_t length = strlen(others);
        if (is_for && (alias->parts & binding->parts) == alias->parts)
            snprintf(others + length, sizeof(others) - length, ", and so is %s", alias->name);
    }
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s is missing%s; a %s model needs it",
                     weir_tensor_name(binding, role->name, name), others,
                     binding->model->family->name);
}

static enum weir_status bind_role(struct weir_binding *binding, const struct weir_role *role,
                                  struct weir_err *err)
{
    const struct weir_found found = weir_role_locate(binding, role);
    void *base = binding->layer == NULL ? (void *)binding->model : binding->layer;
    void *place = (char *)base + role->place;
    if (is_bound(role, place) ||
        (found.tensor == NULL && (role->optional || is_waived(binding, role))))
        return WEIR_OK;
    if (found.tensor == NULL)
        return refuse_missing(binding, role, err);
    WEIR_TRY(weir_found_check(binding, role, &found, err));
    binding->bound_count += found.is_first;
    if (role->kind != WEIR_ROLE_VECTOR)
        return bind_weight(binding, role, &found, place, err);
    bind_vector(binding, role, &found, place);
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
    layer->network.kind = has_experts ? WEIR_NETWORK_EXPERTS : WEIR_NETWORK_DENSE;
    layer->network.gating = shape->gating;
    layer->network.d_ffn = has_experts ? 0 : at.d_ffn;
    if (has_experts)
        WEIR_TRY(weir_shape_read_used(model, layer_index, &layer->network.n_expert_used, err));
    return weir_shape_read_units(model, layer_index, &layer->network, err);
}

static bool has_tensor(const struct weir_model *model, uint32_t layer_index, const char *suffix)
{
    char name[WEIR_TENSOR_NAME_MAX];
    snprintf(name, sizeof(name), "blk.%u.%s", layer_index, suffix);
    return weir_manifest_tensor(model->manifest, name) != NULL;
}

/* The parts of a layer's mixer. */
static weir_parts mixer_parts(const struct weir_model *model, uint32_t layer_index)
{
    const struct weir_mixer *mixer = &model->layers[layer_index].mixer;
    const struct weir_latent_shape *latent = &mixer->latent.shape;
    if (mixer->kind == WEIR_MIXER_ATTENTION)
        return WEIR_PART_ATTENTION | (mixer->borrows ? 0 : WEIR_PART_OWN_KEYS);
    if (mixer->kind == WEIR_MIXER_DELTA)
        return WEIR_PART_DELTA |
               (has_tensor(model, layer_index, "ssm_in.weight") ? WEIR_PART_DELTA_PACKED
                                                                : WEIR_PART_DELTA_PLAIN) |
               (has_tensor(model, layer_index, "ssm_ba.weight") ? WEIR_PART_DELTA_ONE_GATE
                                                                : WEIR_PART_DELTA_TWO_GATES);
    return (latent->d_query > 0 ? WEIR_PART_LOW_QUERY : WEIR_PART_PLAIN_QUERY) |
           (latent->is_joint ? WEIR_PART_JOINT_HEADS : WEIR_PART_SPLIT_HEADS);
}

/* What the keys say that all layers, or the model itself, have. */
static weir_parts common_parts(const struct weir_model *model)
{
    return model->family->parts | (model->shape.d_layer_input > 0 ? WEIR_PART_LAYER_INPUT : 0);
}

/* A layer has experts unless it has a network's tensors and no router. */
static bool has_experts(const struct weir_binding *binding)
{
    const struct weir_family *family = binding->model->family;
    const bool is_routed = weir_tensor_find(binding, "ffn_gate_inp.weight") != NULL;
    const bool is_dense = weir_tensor_find(binding, "ffn_gate.weight") != NULL ||
                          weir_tensor_find(binding, "ffn_up.weight") != NULL;
    return ((family->parts | family->may) & WEIR_PART_EXPERTS) != 0 &&
           binding->model->shape.n_expert > 0 && (is_routed || !is_dense);
}

/* The parts that a layer has: its family's, its mixer's, and of those that the family may have the
 * ones with a tensor in the layer. */
static weir_parts find_parts(struct weir_binding *binding)
{
    const struct weir_family *family = binding->model->family;
    const bool is_routed = weir_layer_has_experts(binding->layer);
    const weir_parts network = is_routed ? WEIR_PART_EXPERTS : WEIR_PART_DENSE;
    const weir_parts never = is_routed ? WEIR_PART_DENSE : WEIR_PART_EXPERTS;
    const weir_parts always =
        common_parts(binding->model) | network | mixer_parts(binding->model, binding->layer_index);
    weir_parts found = always & ~never;
    binding->parts = (always | family->may) & ~never;
    for (size_t row = 0; row < weir_layer_role_count; row++) {
        const struct weir_role *role = &weir_layer_roles[row];
        if ((role->parts & ~found) != 0 && weir_role_is_needed(role, binding->parts) &&
            weir_role_is_there(binding, role))
            found |= role->parts;
    }
    return found;
}

/* Heads of another layer are as many as are wanted; those that see as much are as wide. */
static enum weir_status check_borrowed(const struct weir_binding *binding, struct weir_err *err)
{
    const struct weir_mixer *mixer = &binding->layer->mixer;
    const struct weir_mixer *lender = &binding->model->layers[mixer->keys_layer].mixer;
    if (mixer->n_kv_head == lender->n_kv_head)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "key %s.attention.head_count_kv: layer %u reads keys and values of layer %u: "
                     "wanted its %u heads, found %u",
                     binding->model->family->name, binding->layer_index, mixer->keys_layer,
                     lender->n_kv_head, mixer->n_kv_head);
}

/* Values that are the keys as they were are as wide as they, and of layers without a window
 * (attention_k_eq_v of Gemma 4). */
static enum weir_status check_values(const struct weir_binding *binding, struct weir_err *err)
{
    const struct weir_mixer *mixer = &binding->layer->mixer;
    if (mixer->borrows)
        return check_borrowed(binding, err);
    if (mixer->kind != WEIR_MIXER_ATTENTION || mixer->v.cols != 0)
        return WEIR_OK;
    if (mixer->window > 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tensor blk.%u.attn_v.weight is missing: only in layers that see all "
                         "positions can values be the keys, and this one has a window of %u",
                         binding->layer_index, mixer->window);
    if (mixer->d_value == mixer->d_head)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                     "tensor blk.%u.attn_v.weight is missing, and its values cannot be the keys: "
                     "wanted heads of %u, found %u",
                     binding->layer_index, mixer->d_head, mixer->d_value);
}

/* One matrix for keys and values of all heads is used in parts, which have nothing beside them. */
static enum weir_status check_joint(const struct weir_binding *binding, struct weir_err *err)
{
    const struct weir_mixer *mixer = &binding->layer->mixer;
    const struct weir_weight *joint = &mixer->latent.kv_up;
    if (mixer->kind != WEIR_MIXER_LATENT || joint->cols == 0)
        return WEIR_OK;
    if (joint->scale.tensor != NULL || joint->bias.tensor != NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "tensor %s goes with %s, which is not built in",
                         (joint->scale.tensor != NULL ? joint->scale : joint->bias).tensor->name,
                         joint->tensor->name);
    return WEIR_OK;
}

static enum weir_status bind_layer(struct weir_binding *binding, struct weir_err *err)
{
    struct weir_model *model = binding->model;
    binding->layer = &model->layers[binding->layer_index];
    WEIR_TRY(describe_layer(model, binding->layer_index, has_experts(binding), err));
    binding->parts = find_parts(binding);
    for (size_t row = 0; row < weir_layer_role_count; row++)
        if (weir_role_is_needed(&weir_layer_roles[row], binding->parts))
            WEIR_TRY(bind_role(binding, &weir_layer_roles[row], err));
    weir_slices_number(&binding->layer->network);
    WEIR_TRY(check_values(binding, err));
    WEIR_TRY(check_joint(binding, err));
    model->shape.d_ffn_expert =
        (uint32_t)weir_max(model->shape.d_ffn_expert, binding->layer->network.d_ffn_expert);
    return WEIR_OK;
}

/* Whether name is "blk.N." of a layer that exists, followed by a role of this family; or a role of
 * the model. Only for the message about the first tensor that is not. */
static bool has_use(const struct weir_model *model, const char *name)
{
    unsigned layer_index = 0;
    int length = 0;
    if (sscanf(name, "blk.%u.%n", &layer_index, &length) != 1 || length == 0)
        return weir_is_bound_name(name, false, common_parts(model));
    if (layer_index >= model->shape.n_layer)
        return false;
    weir_parts parts = model->family->parts | model->family->may | WEIR_PART_DENSE |
                       mixer_parts(model, layer_index);
    if (model->layers[layer_index].network.kind != WEIR_NETWORK_EXPERTS)
        parts &= ~WEIR_PART_EXPERTS;
    return weir_is_bound_name(name + length, true, parts);
}

/* Whether a layer that borrows keys and values has a tensor for its own: files hold what training
 * left there. */
static bool is_left_over(const struct weir_model *model, uint32_t layer_index, const char *suffix)
{
    const weir_parts parts = common_parts(model) | mixer_parts(model, layer_index);
    return model->layers[layer_index].mixer.borrows && !weir_is_bound_name(suffix, true, parts) &&
           weir_is_bound_name(suffix, true, parts | WEIR_PART_OWN_KEYS);
}

bool weir_model_skips(const struct weir_model *model, const char *name)
{
    unsigned layer_index = 0;
    int length = 0;
    if (sscanf(name, "blk.%u.%n", &layer_index, &length) != 1 || length == 0 ||
        layer_index >= model->shape.n_block)
        return false;
    return layer_index >= model->shape.n_layer || is_left_over(model, layer_index, name + length);
}

/* A tensor that nobody uses means a model that we would compute wrongly. */
static enum weir_status refuse_unused(const struct weir_model *model, uint32_t bound_count,
                                      struct weir_err *err)
{
    const struct weir_tensor *unused = NULL;
    const uint32_t tensor_count = weir_manifest_tensor_count(model->manifest);
    for (uint32_t index = 0; index < tensor_count; index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(model->manifest, index);
        if (weir_model_skips(model, tensor->name))
            bound_count++;
        else if (unused == NULL && !has_use(model, tensor->name))
            unused = tensor;
    }
    if (bound_count == tensor_count)
        return WEIR_OK;
    if (unused != NULL)
        return WEIR_FAIL(
            err, WEIR_ERR_UNSUPPORTED,
            "tensor %s has no use in family %s beside the others of its layer; running "
            "without it would give wrong text",
            unused->name, model->family->name);
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "family %s uses %u tensors of the file's %u; running without the others would "
                     "give wrong text",
                     model->family->name, bound_count, tensor_count);
}

/* Blocks that guess further tokens are known by what no layer has. A file may hold nothing but such
 * blocks, for a model in another file. */
static enum weir_status check_guesses(const struct weir_model *model, struct weir_err *err)
{
    const struct weir_shape *shape = &model->shape;
    const uint32_t tensor_count = weir_manifest_tensor_count(model->manifest);
    uint32_t layer_tensors = 0;
    for (uint32_t index = 0; index < tensor_count && shape->n_block > shape->n_layer; index++) {
        char projection[WEIR_TENSOR_NAME_MAX];
        unsigned block = 0;
        const char *name = weir_manifest_tensor_at(model->manifest, index)->name;
        if (sscanf(name, "blk.%u.", &block) != 1)
            continue;
        snprintf(projection, sizeof(projection), "blk.%u.nextn.eh_proj.weight", block);
        if (!weir_model_skips(model, name))
            layer_tensors++;
        else if (weir_manifest_tensor(model->manifest, projection) == NULL)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "key %s.nextn_predict_layers: block %u is said to guess further "
                             "tokens: wanted tensor %s, found none",
                             model->family->name, block, projection);
    }
    if (shape->n_block == shape->n_layer || layer_tensors > 0)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "the file has only blocks that guess further tokens (key "
                     "%s.nextn_predict_layers), and none of the model's %u layers: wanted the "
                     "model's own file",
                     model->family->name, shape->n_layer);
}

enum weir_status weir_model_bind(struct weir_model *model, struct weir_err *err)
{
    struct weir_binding binding = {.model = model, .parts = common_parts(model)};
    WEIR_TRY(check_guesses(model, err));
    for (size_t row = 0; row < weir_model_role_count; row++)
        if (weir_role_is_needed(&weir_model_roles[row], binding.parts))
            WEIR_TRY(bind_role(&binding, &weir_model_roles[row], err));
    model->tied = model->output.cols == 0;
    if (model->tied)
        model->output = model->token_embedding;
    for (; binding.layer_index < model->shape.n_layer; binding.layer_index++)
        WEIR_TRY(bind_layer(&binding, err));
    WEIR_TRY(refuse_unused(model, binding.bound_count, err));
    return weir_model_check_alike(model, err);
}

struct trunk_visit {
    struct weir_trunk_visitor *visitor;
    char *base; /* the model, or a layer */
};

static void visit_trunk_role(void *user, const struct weir_role *role)
{
    const struct trunk_visit *visit = user;
    void *place = visit->base + role->place;
    struct weir_weight *weight = place;
    if (role->kind == WEIR_ROLE_VECTOR) {
        visit->visitor->vector(visit->visitor, place);
        return;
    }
    if (role->kind != WEIR_ROLE_EXPERTS)
        visit->visitor->weight(visit->visitor, weight);
    if (weight->bias.tensor != NULL)
        visit->visitor->vector(visit->visitor, &weight->bias);
    if (weight->scale.tensor != NULL)
        visit->visitor->vector(visit->visitor, &weight->scale);
}

void weir_model_visit_trunk(struct weir_model *model, struct weir_trunk_visitor *visitor)
{
    struct trunk_visit visit = {.visitor = visitor, .base = (char *)model};
    const uint64_t cols[] = {model->token_embedding.cols, model->layer_embedding.cols};
    struct weir_weight tied_output = model->output;
    if (model->tied) /* one matrix, visited once */
        model->output.cols = 0;
    if ((model->tables_on_disk & 1u << WEIR_TABLE_TOKENS) != 0)
        model->token_embedding.cols = 0;
    if ((model->tables_on_disk & 1u << WEIR_TABLE_LAYERS) != 0)
        model->layer_embedding.cols = 0;
    weir_roles_visit_model(model, visit_trunk_role, &visit);
    model->token_embedding.cols = cols[WEIR_TABLE_TOKENS];
    model->layer_embedding.cols = cols[WEIR_TABLE_LAYERS];
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
    bool is_of_experts; /* of no other role */
    const char *base;   /* the model, or a layer */
    unsigned formats;
};

static void add_format(void *user, const struct weir_role *role)
{
    struct input_mask *mask = user;
    const struct weir_weight *weight = (const void *)(mask->base + role->place);
    if (mask->is_of_experts ? role->kind != WEIR_ROLE_EXPERTS : role->kind == WEIR_ROLE_VECTOR)
        return;
    if ((role->input & mask->input) != 0)
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
    mask.is_of_experts = true;
    for (uint32_t layer = 0; model->copies != NULL && layer < model->shape.n_layer; layer++) {
        mask.base = (const char *)&model->copies->layers[layer];
        weir_roles_visit_layer(&model->copies->layers[layer], add_format, &mask);
    }
    return mask.formats;
}
