/* model_info.c - what a model file says, whether it can run here or not. */
#include "engine/engine_internal.h"

#include <stdio.h>
#include <string.h>

/* ---- what the tensors say -------------------------------------------------------------------- */

static uint64_t parameters_of(const struct weir_tensor *tensor)
{
    return tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
}

/* "Q4_0 72.1 %, Q8_0 27.0 %": the file's tensors by type and bytes, largest first. */
static void describe_types(const weir_manifest *manifest, char *out, size_t capacity)
{
    uint64_t type_bytes[WEIR_TYPE_COUNT] = {0};
    uint64_t total_bytes = 0;
    for (uint32_t index = 0; index < weir_manifest_tensor_count(manifest); index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, index);
        if (tensor->known)
            type_bytes[tensor->type] += tensor->bytes;
        total_bytes += tensor->bytes;
    }
    size_t length = 0;
    out[0] = '\0';
    for (;;) {
        int best = 0;
        for (int type = 1; type < WEIR_TYPE_COUNT; type++)
            if (type_bytes[type] > type_bytes[best])
                best = type;
        if (type_bytes[best] == 0 || length >= capacity)
            return;
        length +=
            (size_t)snprintf(out + length, capacity - length, "%s%s %.1f %%",
                             length == 0 ? "" : ", ", weir_quant_info((enum weir_type)best)->name,
                             100.0 * (double)type_bytes[best] / (double)total_bytes);
        type_bytes[best] = 0;
    }
}

/* Types that nothing here can read, in the order of the file: the first ones. */
struct strange_types {
    const struct weir_tensor *firsts[8]; /* one of each */
    uint32_t tensor_counts[8];
    uint32_t count;
    uint32_t more; /* tensors of others */
};

static void count_strange(struct strange_types *strange, const struct weir_tensor *tensor)
{
    uint32_t at = 0;
    while (at < strange->count && (strange->firsts[at]->ggml_type != tensor->ggml_type ||
                                   strcmp(strange->firsts[at]->type_name, tensor->type_name) != 0))
        at++;
    if (at == WEIR_COUNT(strange->firsts)) {
        strange->more++;
        return;
    }
    strange->firsts[at] = tensor;
    strange->tensor_counts[at]++;
    strange->count = (uint32_t)weir_max(strange->count, at + 1);
}

/* "IQ1_S (48 tensors), type 99 (1)"; empty when there are none. */
static void describe_strange_types(const weir_manifest *manifest, char *out, size_t capacity)
{
    struct strange_types strange = {.count = 0};
    size_t length = 0;
    for (uint32_t index = 0; index < weir_manifest_tensor_count(manifest); index++)
        if (!weir_manifest_tensor_at(manifest, index)->known)
            count_strange(&strange, weir_manifest_tensor_at(manifest, index));
    out[0] = '\0';
    for (uint32_t at = 0; at < strange.count && length < capacity; at++) {
        const struct weir_tensor *tensor = strange.firsts[at];
        const bool has_name =
            weir_quant_ggml_name(tensor->ggml_type) != NULL || weir_manifest_version(manifest) == 0;
        char number[32];
        snprintf(number, sizeof(number), "type %u", tensor->ggml_type);
        length += (size_t)snprintf(out + length, capacity - length, "%s%s (%u%s)",
                                   at == 0 ? "" : ", ", has_name ? tensor->type_name : number,
                                   strange.tensor_counts[at], at == 0 ? " tensors" : "");
    }
    if (strange.more > 0 && length < capacity)
        snprintf(out + length, capacity - length, " and others (%u)", strange.more);
}

/* ---- a model that runs ----------------------------------------------------------------------- */

/* What every file has, whatever is in it. */
static void fill_file(struct weir_model_info *info, const weir_manifest *manifest)
{
    const char *name = weir_manifest_text(manifest, "general.name");
    memset(info, 0, sizeof(*info));
    snprintf(info->name, sizeof(info->name), "%s", name == NULL ? "" : name);
    describe_types(manifest, info->types, sizeof(info->types));
    info->file_bytes = weir_manifest_bytes(manifest);
    info->file_count = weir_manifest_file_count(manifest);
    info->tensor_count = weir_manifest_tensor_count(manifest);
    info->key_count = weir_manifest_key_count(manifest);
    info->warnings = *weir_manifest_warnings(manifest);
    info->gguf_version = weir_manifest_version(manifest);
}

void weir_model_info_fill(struct weir_model_info *info, const struct weir_blueprint *blueprint)
{
    const struct weir_model *model = blueprint->model;
    const struct weir_shape *shape = &model->shape;
    fill_file(info, blueprint->manifest);
    snprintf(info->family, sizeof(info->family), "%s", model->family->name);
    info->advice = blueprint->advice;
    weir_model_parameters(model, &info->parameter_count, &info->active_parameter_count);
    info->expert_bytes = model->expert_bytes;
    info->trunk_bytes = model->trunk_bytes;
    info->n_layer = shape->n_layer;
    info->n_moe_layer = weir_moe_layer_count(model);
    info->n_head = shape->n_head;
    info->n_kv_head = shape->n_kv_head;
    info->n_expert = shape->n_expert;
    info->n_expert_used = shape->n_expert_used;
    info->expert_uses = weir_model_use_count(model);
    info->d_model = shape->d_model;
    info->d_head = shape->d_head;
    info->d_ffn = shape->d_ffn;
    info->d_ffn_expert = shape->d_ffn_expert;
    info->n_vocab = shape->n_vocab;
    info->n_ctx_train = shape->n_ctx_train;
}

/* ---- a model that does not ------------------------------------------------------------------- */

/* A key of whatever architecture it is: the largest entry of an array. 0 when it is not there, or
 * no number that says anything. */
static uint32_t read_count(const weir_manifest *manifest, const char *suffix)
{
    char key[WEIR_NAME_MAX + 1];
    uint64_t value = 0;
    uint64_t count = 0;
    const char *name = weir_manifest_text(manifest, "general.architecture");
    snprintf(key, sizeof(key), "%.128s.%s", name == NULL ? "" : name, suffix);
    if (weir_manifest_array_count(manifest, key, &count)) {
        for (uint64_t index = 0; index < count; index++) {
            uint64_t entry = 0;
            if (weir_manifest_array_u64(manifest, key, index, &entry))
                value = weir_max(value, entry);
        }
    } else {
        (void)weir_manifest_u64(manifest, key, &value);
    }
    return value > UINT32_MAX ? 0 : (uint32_t)value;
}

/* By the names that all families give to stacks of routed experts. */
static bool is_of_experts(const struct weir_tensor *tensor)
{
    return strstr(tensor->name, "_exps.") != NULL;
}

/* Sums over the tensors, in which a stack of experts counts as far as a token uses it. */
static void sum_tensors(struct weir_model_info *info, const weir_manifest *manifest)
{
    uint64_t expert_parameters = 0;
    for (uint32_t index = 0; index < weir_manifest_tensor_count(manifest); index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, index);
        info->parameter_count += parameters_of(tensor);
        if (is_of_experts(tensor)) {
            info->expert_bytes += tensor->bytes;
            expert_parameters += parameters_of(tensor);
            info->n_moe_layer += strstr(tensor->name, "ffn_down_exps.weight") != NULL;
        } else {
            info->trunk_bytes += tensor->bytes;
        }
    }
    info->active_parameter_count = info->parameter_count - expert_parameters;
    if (info->n_expert > 0)
        info->active_parameter_count +=
            expert_parameters / info->n_expert * weir_min(info->n_expert_used, info->n_expert);
}

static void add_missing(struct weir_model_info *info, const char *text)
{
    WEIR_ASSERT(info->missing_count < WEIR_MISSING_MAX);
    snprintf(info->missing[info->missing_count++], WEIR_ERR_TEXT_MAX, "%s", text);
}

/* What else is missing, beside what kept the model from being described. */
static enum weir_status find_missing(struct weir_model_info *info, weir_manifest *manifest,
                                     const struct weir_err *why, struct weir_err *err)
{
    char types[WEIR_ERR_TEXT_MAX / 2];
    struct weir_tokenizer *tokenizer = NULL;
    struct weir_err no_tokenizer = {0};
    add_missing(info, why->text);
    describe_strange_types(manifest, types, sizeof(types));
    if (types[0] != '\0') {
        char text[WEIR_ERR_TEXT_MAX];
        snprintf(text, sizeof(text), "number formats that are not built in: %s", types);
        add_missing(info, text);
    }
    const enum weir_status status = weir_tokenizer_create(&tokenizer, manifest, &no_tokenizer);
    weir_tokenizer_close(&tokenizer);
    if (status == WEIR_ERR_NOMEM)
        return WEIR_FAIL(err, status, "%s", no_tokenizer.text);
    if (status != WEIR_OK)
        add_missing(info, no_tokenizer.text);
    return WEIR_OK;
}

/* From the keys that are there. */
static enum weir_status fill_from_keys(struct weir_model_info *info, weir_manifest *manifest,
                                       const struct weir_err *why, struct weir_err *err)
{
    const struct weir_tensor *embedding = weir_manifest_tensor(manifest, "token_embd.weight");
    const char *family = weir_manifest_text(manifest, "general.architecture");
    uint64_t n_token = 0;
    fill_file(info, manifest);
    snprintf(info->family, sizeof(info->family), "%s", family == NULL ? "" : family);
    info->status = why->status;
    info->n_layer = read_count(manifest, "block_count");
    info->n_head = read_count(manifest, "attention.head_count");
    info->n_kv_head = read_count(manifest, "attention.head_count_kv");
    info->n_expert = read_count(manifest, "expert_count");
    info->n_expert_used = read_count(manifest, "expert_used_count");
    info->d_model = read_count(manifest, "embedding_length");
    info->d_head = read_count(manifest, "attention.key_length");
    if (info->d_head == 0 && info->n_head > 0)
        info->d_head = info->d_model / info->n_head;
    info->d_ffn = read_count(manifest, "feed_forward_length");
    info->d_ffn_expert = read_count(manifest, "expert_feed_forward_length");
    info->n_ctx_train = read_count(manifest, "context_length");
    if (weir_manifest_array_count(manifest, "tokenizer.ggml.tokens", &n_token))
        info->n_vocab = (uint32_t)n_token;
    else if (embedding != NULL && embedding->dims[1] <= UINT32_MAX)
        info->n_vocab = (uint32_t)embedding->dims[1];
    sum_tensors(info, manifest);
    return find_missing(info, manifest, why, err);
}

enum weir_status weir_model_info_get(struct weir_model_info *info, const char *path,
                                     struct weir_err *err)
{
    struct weir_blueprint blueprint;
    struct weir_err why = {0};
    weir_manifest *manifest = NULL;
    const struct weir_config config = {.model_path = path};
    WEIR_NEED(info, err);
    WEIR_NEED(path, err);
    enum weir_status status = weir_blueprint_open(&blueprint, &config, &why);
    if (status == WEIR_OK) {
        weir_model_info_fill(info, &blueprint);
        weir_blueprint_close(&blueprint);
        return WEIR_OK;
    }
    WEIR_TRY(weir_manifest_open(&manifest, path, err));
    if (status == WEIR_ERR_UNSUPPORTED || status == WEIR_ERR_FORMAT)
        status = fill_from_keys(info, manifest, &why, err);
    else
        WEIR_FAIL(err, status, "%s", why.text);
    weir_manifest_close(&manifest);
    return status;
}

/* ---- everything ------------------------------------------------------------------------------ */

static void visit_tensors(const weir_manifest *manifest, weir_model_visit_fn *visit, void *user)
{
    for (uint32_t index = 0; index < weir_manifest_tensor_count(manifest); index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, index);
        char value[160];
        int length =
            snprintf(value, sizeof(value), "%s [%llu, %llu, %llu, %llu] %llu bytes at %llu",
                     tensor->type_name, (unsigned long long)tensor->dims[0],
                     (unsigned long long)tensor->dims[1], (unsigned long long)tensor->dims[2],
                     (unsigned long long)tensor->dims[3], (unsigned long long)tensor->bytes,
                     (unsigned long long)tensor->offset);
        if (weir_manifest_file_count(manifest) > 1)
            snprintf(value + length, sizeof(value) - (size_t)length, " of part %u",
                     tensor->file + 1);
        visit(user, true, tensor->name, value);
    }
}

enum weir_status weir_model_visit(const char *path, weir_model_visit_fn *visit, void *user,
                                  struct weir_err *err)
{
    weir_manifest *manifest = NULL;
    WEIR_NEED(path, err);
    WEIR_NEED(visit, err);
    WEIR_TRY(weir_manifest_open(&manifest, path, err));
    for (uint32_t index = 0; index < weir_manifest_key_count(manifest); index++) {
        char value[256];
        const char *name = weir_manifest_key_at(manifest, index, value, sizeof(value));
        visit(user, false, name, value);
    }
    visit_tensors(manifest, visit, user);
    weir_manifest_close(&manifest);
    return WEIR_OK;
}

enum weir_status weir_model_head_check(const char *path, uint64_t there_bytes,
                                       uint64_t *wanted_bytes, struct weir_err *err)
{
    WEIR_NEED(path, err);
    WEIR_NEED(wanted_bytes, err);
    return weir_manifest_head_check(path, weir_max(there_bytes, 1), wanted_bytes, err);
}
