/* bind_tensor.c - a role's tensor: its own, one of another name, or a part of a shared one. */
#include <stdio.h>
#include <string.h>

#include "model/bind.h"
#include "quant/i4.h"

const char *weir_tensor_name(const struct weir_binding *binding, const char *suffix, char *out)
{
    if (binding->layer == NULL)
        snprintf(out, WEIR_TENSOR_NAME_MAX, "%s", suffix);
    else
        snprintf(out, WEIR_TENSOR_NAME_MAX, "blk.%u.%s", binding->layer_index, suffix);
    return out;
}

const struct weir_tensor *weir_tensor_find(const struct weir_binding *binding, const char *suffix)
{
    char name[WEIR_TENSOR_NAME_MAX];
    return weir_manifest_tensor(binding->model->manifest, weir_tensor_name(binding, suffix, name));
}

/* Where a dimension is kept when the first tensor that has it decides; NULL when keys do. */
static uint32_t *learned_dim(const struct weir_binding *binding, enum weir_dim dim)
{
    struct weir_layer *layer = binding->layer;
    switch (dim) {
    case WEIR_DIM_FFN:
        return &layer->network.d_ffn;
    case WEIR_DIM_FFN_EXPERT:
        return &layer->network.d_ffn_expert;
    case WEIR_DIM_FFN_SHARED:
        return &layer->network.d_ffn_shared;
    case WEIR_DIM_VOCAB:
        return &binding->model->shape.n_vocab;
    default:
        return NULL;
    }
}

static uint64_t delta_dim(const struct weir_delta_shape *delta, enum weir_dim dim)
{
    const uint64_t keys = (uint64_t)delta->n_key_head * delta->d_key;
    const uint64_t values = (uint64_t)delta->n_value_head * delta->d_value;
    switch (dim) {
    case WEIR_DIM_DELTA_KEY_VALUE:
        return 2 * keys + values;
    case WEIR_DIM_DELTA_VALUE:
        return values;
    case WEIR_DIM_DELTA_PACKED:
        return 2 * (keys + values);
    case WEIR_DIM_DELTA_HEADS:
        return delta->n_value_head;
    case WEIR_DIM_DELTA_HEADS_TWICE:
        return 2 * (uint64_t)delta->n_value_head;
    case WEIR_DIM_DELTA_HEAD:
        return delta->d_value;
    case WEIR_DIM_DELTA_TAPS:
        return delta->n_tap;
    default:
        return 1;
    }
}

static uint64_t known_dim(const struct weir_binding *binding, enum weir_dim dim)
{
    const struct weir_shape *shape = &binding->model->shape;
    const struct weir_layer *layer = binding->layer;
    const struct weir_latent_shape *latent = &shape->latent;
    switch (dim) {
    case WEIR_DIM_MODEL:
        return shape->d_model;
    case WEIR_DIM_HEAD:
        return layer->mixer.d_head;
    case WEIR_DIM_HEADS:
        return layer->mixer.n_head;
    case WEIR_DIM_Q:
        return (uint64_t)layer->mixer.n_head *
               (layer->mixer.d_head + (layer->mixer.gate_is_in_q ? layer->mixer.d_value : 0));
    case WEIR_DIM_K:
        return (uint64_t)layer->mixer.n_kv_head * layer->mixer.d_head;
    case WEIR_DIM_V:
        return (uint64_t)layer->mixer.n_kv_head * layer->mixer.d_value;
    case WEIR_DIM_ATTENDED:
        return (uint64_t)layer->mixer.n_head * layer->mixer.d_value;
    case WEIR_DIM_EXPERTS:
        return shape->n_expert;
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
        return shape->n_rot / 2;
    case WEIR_DIM_LAYER_INPUT:
        return shape->d_layer_input;
    case WEIR_DIM_LAYER_INPUTS:
        return (uint64_t)shape->n_layer * shape->d_layer_input;
    default:
        return delta_dim(&shape->delta, dim);
    }
}

static uint64_t dim_of(const struct weir_binding *binding, enum weir_dim dim)
{
    const uint32_t *learned = learned_dim(binding, dim);
    return learned != NULL ? *learned : known_dim(binding, dim);
}

/* found decides, if nothing did before and it is one that can. */
static void learn_dim(const struct weir_binding *binding, enum weir_dim dim, uint64_t found)
{
    uint32_t *learned = learned_dim(binding, dim);
    if (learned != NULL && *learned == 0 && found <= UINT32_MAX)
        *learned = (uint32_t)found;
}

/* The dimension along which roles share a tensor: rows of matrices, values of vectors. */
static uint32_t shared_axis(const struct weir_role *role)
{
    return role->kind == WEIR_ROLE_VECTOR ? 0 : 1;
}

static enum weir_dim shared_dim(const struct weir_role *role)
{
    return role->kind == WEIR_ROLE_VECTOR ? role->cols : role->rows;
}

const struct weir_role *weir_role_find(const struct weir_binding *binding, const char *name)
{
    const bool is_layer = binding->layer != NULL;
    const struct weir_role *roles = is_layer ? weir_layer_roles : weir_model_roles;
    const size_t count = is_layer ? weir_layer_role_count : weir_model_role_count;
    for (size_t row = 0; row < count; row++)
        if (strcmp(roles[row].name, name) == 0 && weir_role_is_needed(&roles[row], binding->parts))
            return &roles[row];
    return NULL;
}

static uint32_t member_count(const struct weir_alias *alias)
{
    uint32_t count = 0;
    while (count < WEIR_ALIAS_MEMBERS_MAX && alias->members[count] != NULL)
        count++;
    return count;
}

static const struct weir_alias *find_alias(const struct weir_binding *binding,
                                           const struct weir_role *role)
{
    for (size_t row = 0; binding->layer != NULL && row < weir_alias_count; row++) {
        const struct weir_alias *alias = &weir_aliases[row];
        if ((alias->parts & binding->parts) != alias->parts)
            continue;
        for (uint32_t member = 0; member < member_count(alias); member++)
            if (strcmp(alias->members[member], role->name) == 0 &&
                weir_tensor_find(binding, alias->name) != NULL)
                return alias;
    }
    return NULL;
}

bool weir_role_is_there(const struct weir_binding *binding, const struct weir_role *role)
{
    return find_alias(binding, role) != NULL || weir_tensor_find(binding, role->name) != NULL;
}

struct weir_found weir_role_locate(const struct weir_binding *binding, const struct weir_role *role)
{
    const struct weir_alias *alias = find_alias(binding, role);
    struct weir_found found = {
        .tensor = weir_tensor_find(binding, alias == NULL ? role->name : alias->name),
        .alias = alias, /* one of its own has no use then, and is refused for that */
        .step = 1,
        .is_first = true,
    };
    if (found.tensor == NULL)
        return found;
    const uint32_t count = alias == NULL ? 1 : member_count(alias);
    learn_dim(binding, shared_dim(role), found.tensor->dims[shared_axis(role)] / count);
    found.extent = found.total = dim_of(binding, shared_dim(role));
    if (alias == NULL)
        return found;
    found.total = 0;
    for (uint32_t member = 0; member < count; member++) {
        const struct weir_role *at = weir_role_find(binding, alias->members[member]);
        if (at == role) {
            found.first = found.tensor->takes_turns ? member : found.total;
            found.is_first = member == 0;
        }
        found.total += at == NULL ? 0 : dim_of(binding, shared_dim(at));
    }
    found.step = found.tensor->takes_turns ? count : 1;
    return found;
}

static enum weir_status check_dim(const struct weir_tensor *tensor, uint32_t index, uint64_t wanted,
                                  struct weir_err *err)
{
    if (tensor->dims[index] == wanted)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_FORMAT, "tensor %s: dimension %u must be %llu, found %llu",
                     tensor->name, index, (unsigned long long)wanted,
                     (unsigned long long)tensor->dims[index]);
}

static enum weir_status check_type(const struct weir_tensor *tensor, struct weir_err *err)
{
    if (tensor->known)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "tensor %s has type %s (ggml %u), which is not built in", tensor->name,
                     tensor->type_name, tensor->ggml_type);
}

/* A part of a vector begins and ends with blocks of the tensor's format. */
static enum weir_status check_cut(const struct weir_found *found, struct weir_err *err)
{
    const uint64_t block = weir_quant_info(found->tensor->type)->block_len;
    if (found->step > 1 ? block == 1 : found->first % block == 0 && found->extent % block == 0)
        return WEIR_OK;
    return WEIR_FAIL(
        err, WEIR_ERR_UNSUPPORTED, "tensor %s: values %llu to %llu are not whole blocks of %llu",
        found->tensor->name, (unsigned long long)found->first,
        (unsigned long long)(found->first + found->extent - 1), (unsigned long long)block);
}

enum weir_status weir_found_check(const struct weir_binding *binding, const struct weir_role *role,
                                  const struct weir_found *found, struct weir_err *err)
{
    const struct weir_tensor *tensor = found->tensor;
    const enum weir_dim dims[] = {role->cols, role->rows,
                                  role->kind == WEIR_ROLE_EXPERTS ? WEIR_DIM_EXPERTS
                                  : role->kind == WEIR_ROLE_HEADS ? WEIR_DIM_HEADS
                                                                  : WEIR_DIM_NONE,
                                  WEIR_DIM_NONE};
    WEIR_TRY(check_type(tensor, err));
    for (uint32_t index = 0; index < WEIR_COUNT(dims); index++) {
        if (index != shared_axis(role))
            learn_dim(binding, dims[index], tensor->dims[index]);
        WEIR_TRY(check_dim(tensor, index,
                           index == shared_axis(role) ? found->total : dim_of(binding, dims[index]),
                           err));
    }
    if (found->step > 1 && found->total != found->step * found->extent)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tensor %s: %u that take turns: wanted as many rows of each, found %llu "
                         "of %s and %llu of all",
                         tensor->name, found->step, (unsigned long long)found->extent, role->name,
                         (unsigned long long)found->total);
    if (tensor->places != NULL && found->total != found->extent)
        return WEIR_FAIL(
            err, WEIR_ERR_UNSUPPORTED,
            "tensor %s: %s in parts of matrices that are not one stack is not built in",
            tensor->name, role->name);
    return role->kind == WEIR_ROLE_VECTOR ? check_cut(found, err) : WEIR_OK;
}

/* ---- what goes with a matrix ----------------------------------------------------------------- */

static const char weight_word[] = ".weight";

/* The length of X in "X.weight"; 0: it is no such name. */
static size_t stem_length(const char *name)
{
    const size_t length = strlen(name);
    const size_t word = strlen(weight_word);
    return length > word && strcmp(name + length - word, weight_word) == 0 ? length - word : 0;
}

/* "X.word" for "X.weight": NULL when the file has none, or it has a role of its own. */
static const struct weir_tensor *find_companion(const struct weir_binding *binding,
                                                const char *name, const char *word)
{
    char suffix[WEIR_TENSOR_SUFFIX_MAX];
    snprintf(suffix, sizeof(suffix), "%.*s.%s", (int)stem_length(name), name, word);
    return weir_role_find(binding, suffix) != NULL ? NULL : weir_tensor_find(binding, suffix);
}

/* The companion of the role by its own name, or of the tensor that it shares with others. */
static struct weir_found locate_companion(struct weir_binding *binding,
                                          const struct weir_role *role,
                                          const struct weir_found *found, const char *word)
{
    struct weir_found own = {.tensor = find_companion(binding, role->name, word),
                             .extent = found->extent,
                             .step = 1,
                             .total = found->extent,
                             .is_first = true};
    if (own.tensor == NULL && found->alias != NULL) {
        own = *found;
        own.tensor = find_companion(binding, found->alias->name, word);
    }
    binding->bound_count += own.tensor != NULL && own.is_first;
    return own;
}

static void place_companion(struct weir_binding *binding, const struct weir_found *at,
                            uint64_t rows, struct weir_vector *vector)
{
    *vector = (struct weir_vector){.tensor = at->tensor,
                                   .cols = at->extent,
                                   .rows = rows,
                                   .first = at->first,
                                   .stride = at->tensor->dims[0],
                                   .step = at->step};
    binding->model->trunk_bytes +=
        rows * weir_quant_row_bytes(at->tensor->type, (size_t)(at->step * at->extent));
}

static enum weir_status bind_bias(struct weir_binding *binding, const struct weir_role *role,
                                  const struct weir_found *found, struct weir_weight *weight,
                                  struct weir_err *err)
{
    const struct weir_found bias = locate_companion(binding, role, found, "bias");
    if (bias.tensor != NULL) {
        const uint64_t wanted[] = {bias.total, weight->count, 1, 1};
        WEIR_TRY(check_type(bias.tensor, err));
        for (uint32_t index = 0; index < WEIR_COUNT(wanted); index++)
            WEIR_TRY(check_dim(bias.tensor, index, wanted[index], err));
        WEIR_TRY(check_cut(&bias, err));
        place_companion(binding, &bias, weight->count, &weight->bias);
        return WEIR_OK;
    }
    for (size_t row = 0; row < weir_biased_count; row++)
        if ((weir_biased[row].part & binding->parts) != 0 &&
            strcmp(weir_biased[row].name, role->name) == 0) {
            char name[WEIR_TENSOR_NAME_MAX];
            weir_tensor_name(binding, role->name, name);
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "tensor %.*s.bias is missing; a %s model needs it",
                             (int)stem_length(name), name, binding->model->family->name);
        }
    return WEIR_OK;
}

/* One factor for all, or one for each matrix of a stack: values of a vector, or matrices of one
 * value each. */
static enum weir_status bind_scale(struct weir_binding *binding, const struct weir_role *role,
                                   const struct weir_found *found, struct weir_weight *weight,
                                   struct weir_err *err)
{
    struct weir_found scale = locate_companion(binding, role, found, "scale");
    if (scale.tensor == NULL)
        return WEIR_OK;
    const bool is_apart = scale.tensor->places != NULL;
    const uint64_t count = is_apart || scale.tensor->dims[0] != 1 ? weight->count : 1;
    const uint64_t wanted[] = {is_apart ? 1 : count, 1, is_apart ? count : 1, 1};
    scale.first = 0;
    scale.extent = scale.total = wanted[0];
    scale.step = 1;
    WEIR_TRY(check_type(scale.tensor, err));
    for (uint32_t index = 0; index < WEIR_COUNT(wanted); index++)
        WEIR_TRY(check_dim(scale.tensor, index, wanted[index], err));
    WEIR_TRY(check_cut(&scale, err));
    place_companion(binding, &scale, wanted[2], &weight->scale);
    return WEIR_OK;
}

enum weir_status weir_bind_bytes(struct weir_binding *binding, const struct weir_role *role,
                                 const struct weir_found *found, uint64_t count,
                                 uint64_t matrix_bytes, struct weir_err *err)
{
    struct weir_model *model = binding->model;
    const bool is_shared = found->step > 1 || found->tensor->is_turned; /* read once for all */
    const bool is_counted = !is_shared || found->is_first;
    if (role->kind == WEIR_ROLE_EXPERTS && matrix_bytes > WEIR_SLICE_BYTES_MAX)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tensor %s: one expert's part of it: wanted at most %d bytes, found %llu",
                         found->tensor->name, WEIR_SLICE_BYTES_MAX,
                         (unsigned long long)matrix_bytes);
    if (is_counted && role->kind == WEIR_ROLE_EXPERTS)
        model->expert_bytes += count * matrix_bytes;
    else if (is_counted)
        model->trunk_bytes += count * matrix_bytes;
    return WEIR_OK;
}

/* How much of a side one scale is for. */
static uint32_t group_of(uint32_t said, uint64_t side, uint64_t scale_count)
{
    return said != 0 ? said : (uint32_t)((side + scale_count - 1) / scale_count);
}

/* Groups that kernels can tell apart: of whole bytes of codes, and of rows that lie together. */
static enum weir_status check_groups(const struct weir_weight *weight,
                                     const struct weir_found *found, struct weir_err *err)
{
    const struct weir_scale_stack *scales = &weight->scales;
    const uint64_t block = weir_quant_info(weight->type)->block_len;
    if (scales->group_cols < weight->cols && scales->group_cols % block != 0)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "tensor %s: wanted a scale for a multiple of %llu columns of tensor %s, "
                         "found one for %u",
                         scales->tensor->name, (unsigned long long)block, found->tensor->name,
                         scales->group_cols);
    if (found->total == found->extent || scales->group_rows == 1 ||
        (found->step == 1 && found->first % scales->group_rows == 0))
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "tensor %s: wanted scales that are for rows of one matrix only, found each "
                     "for %u rows, and row %llu begins another matrix",
                     scales->tensor->name, scales->group_rows, (unsigned long long)found->first);
}

static void place_scales(struct weir_scale_stack *scales, const struct weir_found *found,
                         uint64_t scale_bytes)
{
    const struct weir_tensor *tensor = scales->tensor;
    const uint64_t row_bytes = tensor->dims[0] * scale_bytes;
    const uint64_t first_bytes = found->first / scales->group_rows * row_bytes;
    scales->cols = tensor->dims[0];
    scales->rows = (found->extent + scales->group_rows - 1) / scales->group_rows;
    scales->row_bytes = found->step * row_bytes;
    scales->matrix_bytes = scales->rows * scales->row_bytes;
    scales->stride_bytes = tensor->dims[1] * row_bytes;
    scales->lead_bytes = found->step > 1 ? first_bytes : 0;
    scales->offset = tensor->offset + (found->step > 1 ? 0 : first_bytes);
    scales->file = tensor->file;
    scales->places = tensor->places;
}

/* Codes mean nothing without their scales. */
static enum weir_status bind_scales(struct weir_binding *binding, const struct weir_role *role,
                                    const struct weir_found *found, struct weir_weight *weight,
                                    struct weir_err *err)
{
    if (weight->type < WEIR_TYPE_BLOCK_COUNT)
        return WEIR_OK;
    const struct weir_found of_scales = locate_companion(binding, role, found, "scales");
    const struct weir_tensor *tensor = of_scales.tensor;
    if (tensor == NULL || !tensor->is_scales)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tensor %s has codes (%s) without a tensor of scales", found->tensor->name,
                         found->tensor->type_name);
    struct weir_scale_stack *scales = &weight->scales;
    scales->tensor = tensor;
    scales->type = tensor->scale_type;
    scales->group_rows = group_of(tensor->group_rows, found->total, tensor->dims[1]);
    scales->group_cols = group_of(tensor->group_cols, weight->cols, tensor->dims[0]);
    const uint64_t wanted[] = {(weight->cols + scales->group_cols - 1) / scales->group_cols,
                               (found->total + scales->group_rows - 1) / scales->group_rows,
                               weight->count, 1};
    WEIR_TRY(check_type(tensor, err));
    for (uint32_t index = 0; index < WEIR_COUNT(wanted); index++)
        WEIR_TRY(check_dim(tensor, index, wanted[index], err));
    WEIR_TRY(check_groups(weight, found, err));
    place_scales(scales, found, weir_scale_bytes(scales->type));
    return weir_bind_bytes(binding, role, &of_scales, weight->count, scales->matrix_bytes, err);
}

/* Zero points are for the groups of columns that have scales, eight rows' in a word, so that a
 * matrix begins with a word and its scales are of one row each. */
static enum weir_status check_zeros(const struct weir_weight *weight,
                                    const struct weir_found *found, struct weir_err *err)
{
    const struct weir_tensor *tensor = weight->zeros.tensor;
    const uint64_t wanted[] = {weight->scales.cols,
                               (found->total + WEIR_I4_ZERO_ROWS - 1) / WEIR_I4_ZERO_ROWS,
                               weight->count, 1};
    if (weight->type != WEIR_TYPE_I4 || !tensor->is_zeros)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tensor %s: wanted zero points in words beside codes of type I4, found %s "
                         "beside %s",
                         tensor->name, tensor->type_name, found->tensor->type_name);
    for (uint32_t index = 0; index < WEIR_COUNT(wanted); index++)
        WEIR_TRY(check_dim(tensor, index, wanted[index], err));
    if (weight->scales.group_rows == 1 && found->step == 1 && found->first % WEIR_I4_ZERO_ROWS == 0)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "tensor %s: wanted zero points for one row each of a matrix that begins at a "
                     "multiple of %d rows, found them for %u rows of one that begins at row %llu",
                     tensor->name, WEIR_I4_ZERO_ROWS, weight->scales.group_rows,
                     (unsigned long long)found->first);
}

/* What codes are too large by, where that is a tensor. */
static enum weir_status bind_zeros(struct weir_binding *binding, const struct weir_role *role,
                                   const struct weir_found *found, struct weir_weight *weight,
                                   struct weir_err *err)
{
    const struct weir_found of_zeros = locate_companion(binding, role, found, "zeros");
    struct weir_scale_stack *zeros = &weight->zeros;
    if (of_zeros.tensor == NULL && found->tensor->has_zeros)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "tensor %s has codes with zero points (symmetric: false), and no tensor "
                         "of them (weight_zero_point)",
                         found->tensor->name);
    if (of_zeros.tensor == NULL)
        return WEIR_OK;
    if ((role->parts & WEIR_PART_JOINT_HEADS) != 0)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "tensor %s goes with %s, which is not built in",
                         of_zeros.tensor->name, found->tensor->name);
    zeros->tensor = of_zeros.tensor;
    WEIR_TRY(check_zeros(weight, found, err));
    zeros->group_rows = WEIR_I4_ZERO_ROWS;
    zeros->group_cols = weight->scales.group_cols;
    place_scales(zeros, found, WEIR_I4_ZERO_BYTES);
    return weir_bind_bytes(binding, role, &of_zeros, weight->count, zeros->matrix_bytes, err);
}

enum weir_status weir_bind_companions(struct weir_binding *binding, const struct weir_role *role,
                                      const struct weir_found *found, struct weir_weight *weight,
                                      struct weir_err *err)
{
    /* How activations were scaled where they are not what they are here: of no consequence. */
    locate_companion(binding, role, found, "input_scale");
    WEIR_TRY(bind_scales(binding, role, found, weight, err));
    WEIR_TRY(bind_zeros(binding, role, found, weight, err));
    WEIR_TRY(bind_bias(binding, role, found, weight, err));
    return bind_scale(binding, role, found, weight, err);
}

/* ---- names ----------------------------------------------------------------------------------- */

static bool is_role_name(const char *suffix, bool is_layer, weir_parts parts)
{
    const struct weir_role *roles = is_layer ? weir_layer_roles : weir_model_roles;
    const size_t count = is_layer ? weir_layer_role_count : weir_model_role_count;
    for (size_t row = 0; row < count; row++)
        if (weir_role_is_needed(&roles[row], parts) && strcmp(roles[row].name, suffix) == 0)
            return true;
    for (size_t row = 0; is_layer && row < weir_alias_count; row++)
        if ((weir_aliases[row].parts & parts) == weir_aliases[row].parts &&
            strcmp(weir_aliases[row].name, suffix) == 0)
            return true;
    return false;
}

bool weir_is_bound_name(const char *suffix, bool is_layer, weir_parts parts)
{
    static const char *const words[] = {"bias", "scale", "scales", "zeros", "input_scale"};
    const char *dot = strrchr(suffix, '.');
    if (is_role_name(suffix, is_layer, parts))
        return true;
    for (size_t row = 0; dot != NULL && row < WEIR_COUNT(words); row++) {
        char name[WEIR_TENSOR_NAME_MAX];
        snprintf(name, sizeof(name), "%.*s%s", (int)(dot - suffix), suffix, weight_word);
        if (strcmp(dot + 1, words[row]) == 0 && is_role_name(name, is_layer, parts))
            return true;
    }
    return false;
}
