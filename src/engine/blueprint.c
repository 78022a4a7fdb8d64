/* blueprint.c - what a model file says, before anything is loaded. */
#include "engine/engine_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"

/* CPU features up to a level called by name; false when there is no such level. */
static bool find_isa(const char *name, unsigned *flags)
{
    static const struct {
        const char *name;
        unsigned flags;
    } levels[] = {
        {"ref", 0},
        {"avx2", WEIR_CPU_AVX2},
        {"avx512", WEIR_CPU_AVX2 | WEIR_CPU_AVX512},
        {"avx512-vnni", WEIR_CPU_AVX2 | WEIR_CPU_AVX512 | WEIR_CPU_AVX512_VNNI},
        {"neon-dotprod", WEIR_CPU_NEON_DOTPROD},
    };
    for (size_t level = 0; level < WEIR_COUNT(levels); level++)
        if (strcmp(levels[level].name, name) == 0) {
            *flags = levels[level].flags;
            return true;
        }
    return false;
}

enum weir_status weir_kernels_choose(struct weir_kernels *kernels, const char *isa,
                                     struct weir_err *err)
{
    unsigned wanted = ~0u;
    if (isa != NULL && !find_isa(isa, &wanted))
        return WEIR_FAIL(
            err, WEIR_ERR_ARG,
            "instruction set \"%s\": wanted ref, avx2, avx512, avx512-vnni or neon-dotprod", isa);
    const unsigned found = weir_cpu_flags();
    if (isa != NULL && (wanted & ~found) != 0)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "this CPU does not have %s", isa);
    weir_kernels_init(kernels, found & (wanted | WEIR_CPU_IN_ORDER));
    return WEIR_OK;
}

/* A vocabulary that cannot be used, or is not there, keeps nobody from giving and taking ids. */
static enum weir_status open_tokenizer(struct weir_blueprint *blueprint, struct weir_err *err)
{
    struct weir_warnings *warnings = weir_manifest_warnings(blueprint->manifest);
    struct weir_err *why = &blueprint->no_tokenizer;
    const enum weir_status status =
        weir_tokenizer_create(&blueprint->tokenizer, blueprint->manifest, why);
    if (status == WEIR_ERR_NOMEM)
        return WEIR_FAIL(err, status, "%s", why->text);
    if (status != WEIR_OK) {
        if (weir_manifest_array_count(blueprint->manifest, "tokenizer.ggml.tokens", &(uint64_t){0}))
            weir_warn(warnings, "ids have no text: %s", why->text);
        return WEIR_OK;
    }
    const uint32_t n_token = weir_tokenizer_vocab_count(blueprint->tokenizer);
    const uint32_t n_row = blueprint->model->shape.n_vocab;
    if (n_token < n_row)
        weir_warn(warnings,
                  "the vocabulary has %u tokens, the embedding %u rows: ids from %u on "
                  "have no text",
                  n_token, n_row, n_token);
    if (n_token > n_row)
        weir_warn(warnings,
                  "the vocabulary has %u tokens, the embedding %u rows: tokens from %u "
                  "on cannot be computed",
                  n_token, n_row, n_row);
    return WEIR_OK;
}

static void tell_warnings(const struct weir_warnings *warnings, const struct weir_config *config)
{
    if (config->notice == NULL)
        return;
    for (uint32_t index = 0; index < warnings->count; index++)
        config->notice(config->notice_user, warnings->text[index]);
    if (warnings->more == 0)
        return;
    char text[WEIR_WARNING_TEXT_MAX];
    snprintf(text, sizeof(text), "and %u more warnings about this file", warnings->more);
    config->notice(config->notice_user, text);
}

/* A setting that is one of an enum's values, 0 to most. */
static enum weir_status check_choice(const char *what, unsigned found, unsigned most,
                                     struct weir_err *err)
{
    if (found <= most)
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_ARG, "%s: wanted 0 to %u, found %u", what, most, found);
}

static enum weir_status check_choices(const struct weir_config *config, struct weir_err *err)
{
    const struct weir_bench_config bench = weir_bench_of(config);
    WEIR_TRY(check_choice("lookahead", (unsigned)config->lookahead, WEIR_LOOKAHEAD_OFF, err));
    WEIR_TRY(check_choice("io", (unsigned)config->io, WEIR_ENGINE_IO_THREADS, err));
    return check_choice("guess_by", (unsigned)bench.guess_by, WEIR_GUESS_BY_PATH, err);
}

enum weir_status weir_blueprint_open(struct weir_blueprint *blueprint,
                                     const struct weir_config *config, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    memset(blueprint, 0, sizeof(*blueprint));
    if (config->model_path == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "no model file is named");
    WEIR_TRY(check_choices(config, err));
    const uint64_t heap_bytes = weir_heap_bytes();
    WEIR_TRY_GOTO(weir_kernels_choose(&blueprint->kernels, config->isa, err));
    WEIR_TRY_GOTO(weir_manifest_open(&blueprint->manifest, config->model_path, err));
    WEIR_TRY_GOTO(weir_model_describe(&blueprint->model, blueprint->manifest, err));
    WEIR_TRY_GOTO(open_tokenizer(blueprint, err));
    blueprint->description_bytes = weir_heap_bytes() - heap_bytes;
    tell_warnings(weir_manifest_warnings(blueprint->manifest), config);
    return WEIR_OK;

fail:
    weir_blueprint_close(blueprint);
    return status;
}

void weir_blueprint_close(struct weir_blueprint *blueprint)
{
    weir_tokenizer_close(&blueprint->tokenizer);
    weir_model_destroy(&blueprint->model);
    weir_manifest_close(&blueprint->manifest);
}

uint32_t weir_moe_layer_count(const struct weir_model *model)
{
    uint32_t count = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        count += weir_layer_has_experts(&model->layers[layer]);
    return count;
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

void weir_model_info_fill(struct weir_model_info *info, const struct weir_blueprint *blueprint)
{
    const struct weir_model *model = blueprint->model;
    const struct weir_shape *shape = &model->shape;
    const char *name = weir_manifest_text(blueprint->manifest, "general.name");
    memset(info, 0, sizeof(*info));
    snprintf(info->family, sizeof(info->family), "%s", model->family->name);
    snprintf(info->name, sizeof(info->name), "%s", name == NULL ? "" : name);
    describe_types(blueprint->manifest, info->types, sizeof(info->types));
    weir_model_parameters(model, &info->parameter_count, &info->active_parameter_count);
    info->file_bytes = weir_manifest_bytes(blueprint->manifest);
    info->file_count = weir_manifest_file_count(blueprint->manifest);
    info->expert_bytes = model->expert_bytes;
    info->trunk_bytes = model->trunk_bytes;
    info->n_layer = shape->n_layer;
    info->n_moe_layer = weir_moe_layer_count(model);
    info->n_head = shape->n_head;
    info->n_kv_head = shape->n_kv_head;
    info->n_expert = shape->n_expert;
    info->n_expert_used = shape->n_expert_used;
    info->d_model = shape->d_model;
    info->d_head = shape->d_head;
    info->d_ffn = shape->d_ffn;
    info->d_ffn_expert = shape->d_ffn_expert;
    info->n_vocab = shape->n_vocab;
    info->n_ctx_train = shape->n_ctx_train;
    info->tensor_count = weir_manifest_tensor_count(blueprint->manifest);
    info->key_count = weir_manifest_key_count(blueprint->manifest);
    info->warnings = *weir_manifest_warnings(blueprint->manifest);
    info->gguf_version = weir_manifest_version(blueprint->manifest);
}

enum weir_status weir_model_info_get(struct weir_model_info *info, const char *path,
                                     struct weir_err *err)
{
    struct weir_blueprint blueprint;
    const struct weir_config config = {.model_path = path};
    WEIR_NEED(info, err);
    WEIR_NEED(path, err);
    WEIR_TRY(weir_blueprint_open(&blueprint, &config, err));
    weir_model_info_fill(info, &blueprint);
    weir_blueprint_close(&blueprint);
    return WEIR_OK;
}

static void visit_tensors(const weir_manifest *manifest, weir_model_visit_fn *visit, void *user)
{
    for (uint32_t index = 0; index < weir_manifest_tensor_count(manifest); index++) {
        const struct weir_tensor *tensor = weir_manifest_tensor_at(manifest, index);
        const char *type = weir_quant_ggml_name(tensor->ggml_type);
        char value[160];
        int length =
            snprintf(value, sizeof(value), "%s [%llu, %llu, %llu, %llu] %llu bytes at %llu",
                     type == NULL ? "unknown type" : type, (unsigned long long)tensor->dims[0],
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
