/* quantize.c - weir_quantize(): what becomes of each tensor, and the file with it. */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "encode/encode.h"
#include "engine/precision.h"
#include "sys/sys.h"
#include "weir_files.h"

const char *weir_quantize_type_name(uint32_t index)
{
    const struct weir_mixture *mixture = weir_mixture_at(index);
    return mixture == NULL ? NULL : mixture->name;
}

const char *weir_quantize_type_about(uint32_t index)
{
    const struct weir_mixture *mixture = weir_mixture_at(index);
    return mixture == NULL ? NULL : mixture->about;
}

/* ---- what was asked for ---------------------------------------------------------------------- */

static enum weir_status find_mixture(struct weir_quantizing *quantizing, struct weir_err *err)
{
    /* Pure, as it is in no table; which formats there are, the budget says. */
    static const struct weir_mixture by_budget = {"budget", UINT32_MAX, WEIR_TYPE_Q8_0, ""};
    const char *name = quantizing->config->type;
    char names[400] = "";
    if (quantizing->config->budget != NULL) {
        quantizing->mixture = &by_budget;
        return WEIR_OK;
    }
    size_t length = 0;
    quantizing->mixture = name == NULL ? NULL : weir_mixture_find(name);
    if (quantizing->mixture != NULL)
        return WEIR_OK;
    for (uint32_t index = 0; weir_mixture_at(index) != NULL && length < sizeof(names); index++)
        length += (size_t)snprintf(names + length, sizeof(names) - length, "%s%s",
                                   index == 0 ? "" : " ", weir_mixture_at(index)->name);
    return WEIR_FAIL(err, WEIR_ERR_ARG, "type: wanted one of %s, found \"%s\"", names,
                     name == NULL ? "" : name);
}

static enum weir_status read_rules(struct weir_quantizing *quantizing, struct weir_err *err)
{
    const struct weir_quantize_config *config = quantizing->config;
    quantizing->rules = weir_heap_array(config->rule_count, sizeof(*quantizing->rules));
    if (quantizing->rules == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u rules", config->rule_count);
    for (uint32_t index = 0; index < config->rule_count; index++) {
        const struct weir_quantize_rule *rule = &config->rules[index];
        struct weir_quantizing_rule *read = &quantizing->rules[index];
        if (!weir_quant_from_name(rule->type, &read->type) || !weir_encode_can(read->type))
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "rule %s=%s: wanted a number format such as Q4_K or F16, found \"%s\"",
                             rule->pattern, rule->type, rule->type);
    }
    return WEIR_OK;
}

/* The first rule that matches. */
static bool choose_own(void *user, const struct weir_recast_tensor *tensor, enum weir_type *type)
{
    struct weir_quantizing *quantizing = user;
    const struct weir_quantize_config *config = quantizing->config;
    bool is_found = false;
    for (uint32_t index = 0; index < config->rule_count; index++) {
        if (fnmatch(config->rules[index].pattern, tensor->name, 0) != 0)
            continue;
        quantizing->rules[index].match_count++;
        if (!is_found)
            *type = quantizing->rules[index].type;
        is_found = true;
    }
    return is_found;
}

/* A rule that nothing obeys is a mistake of whoever wrote it. */
static enum weir_status check_rules(const struct weir_quantizing *quantizing, struct weir_err *err)
{
    const struct weir_quantize_config *config = quantizing->config;
    for (uint32_t index = 0; index < config->rule_count; index++) {
        const char *pattern = config->rules[index].pattern;
        uint32_t kept = 0;
        for (uint32_t at = 0; at < quantizing->list.count; at++)
            kept += fnmatch(pattern, quantizing->list.tensors[at].name, 0) == 0;
        if (quantizing->rules[index].match_count > 0)
            continue;
        if (kept > 0)
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "rule %s=%s matches only norms, routers, vectors and the like (%u "
                             "tensors), which keep their format",
                             pattern, config->rules[index].type, kept);
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "rule %s=%s matches no tensor: a pattern is of the whole name, such as "
                         "\"*ffn_down*\" (weir info --verbose lists names)",
                         pattern, config->rules[index].type);
    }
    return WEIR_OK;
}

/* ---- importance ------------------------------------------------------------------------------ */

static bool wants_weights(const struct weir_recast_tensor *tensor)
{
    return weir_quant_info(tensor->type)->block_len > 1 && !weir_recast_is_copy(tensor);
}

/* Its names may all be others, and then nothing would be weighed. */
static enum weir_status check_names(const struct weir_quantizing *quantizing, struct weir_err *err)
{
    for (uint32_t index = 0; index < quantizing->list.count; index++)
        if (weir_imatrix_has(quantizing->imatrix, quantizing->list.tensors[index].name))
            return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_ARG,
                     "%s has importance of %u tensors, and none of them is in %s: it is of another "
                     "model",
                     quantizing->config->imatrix_path,
                     weir_imatrix_entry_count(quantizing->imatrix), quantizing->config->input_path);
}

/* That a file of importance is of another model is said before the work. */
static enum weir_status give_weights(struct weir_quantizing *quantizing, struct weir_err *err)
{
    WEIR_TRY(check_names(quantizing, err));
    for (uint32_t index = 0; index < quantizing->list.count; index++) {
        struct weir_recast_tensor *tensor = &quantizing->list.tensors[index];
        if (!wants_weights(tensor) || !weir_imatrix_has(quantizing->imatrix, tensor->name))
            continue;
        float *values = weir_heap_array((size_t)tensor->dims[0], sizeof(*values));
        const enum weir_status status =
            values == NULL
                ? WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for importance")
                : weir_imatrix_read(quantizing->imatrix, tensor->name, tensor->dims[0],
                                    tensor->dims[2] * tensor->dims[3], 0, values, NULL, err);
        weir_heap_free(values);
        WEIR_TRY(status);
        tensor->has_weights = true;
    }
    return WEIR_OK;
}

enum weir_status weir_quantizing_weights(void *user, const struct weir_recast_tensor *tensor,
                                         uint64_t matrix, float *values, struct weir_err *err)
{
    const struct weir_quantizing *quantizing = user;
    WEIR_TRY(weir_imatrix_read(quantizing->imatrix, tensor->name, tensor->dims[0],
                               tensor->dims[2] * tensor->dims[3], matrix, values, NULL, err));
    weir_encode_temper(values, tensor->dims[0]);
    return WEIR_OK;
}

static bool misses_weights(const struct weir_quantizing *quantizing,
                           const struct weir_recast_tensor *tensor)
{
    return !tensor->has_weights && wants_weights(tensor) &&
           weir_mixture_needs_weights(quantizing->mixture, tensor);
}

static enum weir_status check_weights(const struct weir_quantizing *quantizing,
                                      struct weir_err *err)
{
    const struct weir_quantize_config *config = quantizing->config;
    for (uint32_t index = 0; index < quantizing->list.count && !config->allow_unweighted; index++) {
        const struct weir_recast_tensor *tensor = &quantizing->list.tensors[index];
        if (!misses_weights(quantizing, tensor))
            continue;
        return WEIR_FAIL(
            err, WEIR_ERR_ARG,
            "tensor %s would be %s, which is of little use without importance of its columns, and "
            "there is none%s%s: `weir imatrix MODEL --text FILE -o FILE` measures it, --imatrix "
            "FILE "
            "gives it, --allow-unweighted goes without",
            tensor->name, weir_quant_info(tensor->type)->name,
            config->imatrix_path == NULL ? "" : " in ",
            config->imatrix_path == NULL ? "" : config->imatrix_path);
    }
    return WEIR_OK;
}

/* ---- the plan -------------------------------------------------------------------------------- */

static enum weir_status open_input(struct weir_quantizing *quantizing, struct weir_err *err)
{
    const struct weir_quantize_config *config = quantizing->config;
    WEIR_TRY(weir_manifest_open(&quantizing->manifest, config->input_path, err));
    const struct weir_warnings *warnings = weir_manifest_warnings(quantizing->manifest);
    for (uint32_t index = 0; config->notice != NULL && index < warnings->count; index++)
        config->notice(config->notice_user, warnings->text[index]);
    if (weir_manifest_version(quantizing->manifest) == 0)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "%s is a directory: `weir convert %s -o OUT.gguf --type %s` makes a GGUF "
                         "file of it",
                         config->input_path, config->input_path, config->type);
    return config->imatrix_path == NULL
               ? WEIR_OK
               : weir_imatrix_open(&quantizing->imatrix, config->imatrix_path, err);
}

enum weir_status weir_quantizing_plan(struct weir_quantizing *quantizing, struct weir_err *err)
{
    const struct weir_quantize_config *config = quantizing->config;
    WEIR_TRY(find_mixture(quantizing, err));
    WEIR_TRY(read_rules(quantizing, err));
    WEIR_TRY(open_input(quantizing, err));
    WEIR_TRY(weir_recast_list_make(&quantizing->list, quantizing->manifest, err));
    weir_mixture_facts_get(&quantizing->facts, quantizing->manifest);
    quantizing->facts.has_weights = quantizing->imatrix != NULL;
    quantizing->facts.is_pure = config->is_pure || config->budget != NULL;
    WEIR_TRY(weir_mixture_apply(quantizing->mixture, &quantizing->facts, choose_own, quantizing,
                                &quantizing->list, err));
    WEIR_TRY(check_rules(quantizing, err));
    if (config->budget != NULL)
        WEIR_TRY(weir_precision_choose(quantizing, choose_own, err));
    if (quantizing->imatrix != NULL)
        WEIR_TRY(give_weights(quantizing, err));
    return check_weights(quantizing, err);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void add_use(struct weir_quantize_use *uses, uint32_t *count, enum weir_type type,
                    uint64_t weight_count, uint64_t bytes)
{
    const char *name = weir_quant_info(type)->name;
    uint32_t at = 0;
    while (at < *count && uses[at].type != name)
        at++;
    if (at == WEIR_QUANTIZE_USE_MAX)
        return;
    *count += at == *count;
    uses[at].type = name;
    uses[at].tensor_count++;
    uses[at].weight_count += weight_count;
    uses[at].bytes += bytes;
}

void weir_fallback_add(struct weir_quantize_fallback fallbacks[WEIR_QUANTIZE_FALLBACK_MAX],
                       uint32_t *count, const struct weir_recast_tensor *tensor)
{
    const char *meant = weir_quant_info(tensor->meant)->name;
    const char *type = weir_quant_info(tensor->type)->name;
    uint32_t at = 0;
    while (at < *count && (fallbacks[at].meant != meant || fallbacks[at].type != type))
        at++;
    if (at == WEIR_QUANTIZE_FALLBACK_MAX)
        return;
    *count += at == *count;
    fallbacks[at].meant = meant;
    fallbacks[at].type = type;
    fallbacks[at].tensor_count++;
}

static void add_requantized(struct weir_quantize_result *result,
                            const struct weir_recast_tensor *tensor)
{
    const char *name = weir_quant_info(tensor->source->type)->name;
    const size_t length = strlen(result->requantized_from);
    result->requantized_count++;
    if (strstr(result->requantized_from, name) == NULL)
        snprintf(result->requantized_from + length, sizeof(result->requantized_from) - length,
                 "%s%s", length == 0 ? "" : ", ", name);
}

static void tell_tensor(const struct weir_quantizing *quantizing,
                        const struct weir_recast_tensor *tensor)
{
    const struct weir_quantize_config *config = quantizing->config;
    struct weir_quantize_tensor told = {.name = tensor->name,
                                        .n_dim = tensor->n_dim,
                                        .from = weir_quant_info(tensor->source->type)->name,
                                        .to = weir_quant_info(tensor->type)->name,
                                        .meant = weir_quant_info(tensor->meant)->name,
                                        .bytes_before = tensor->source->bytes,
                                        .bytes_after = weir_recast_tensor_bytes(tensor),
                                        .has_weights = tensor->has_weights};
    memcpy(told.dims, tensor->dims, sizeof(told.dims));
    if (config->visit != NULL)
        config->visit(config->visit_user, &told);
}

static void describe(struct weir_quantizing *quantizing)
{
    struct weir_quantize_result *result = quantizing->result;
    snprintf(result->type, sizeof(result->type), "%s", quantizing->mixture->name);
    result->tensor_count = quantizing->list.count;
    for (uint32_t index = 0; index < quantizing->list.count; index++) {
        const struct weir_recast_tensor *tensor = &quantizing->list.tensors[index];
        const struct weir_tensor *source = tensor->source;
        const uint64_t bytes = weir_recast_tensor_bytes(tensor);
        const uint64_t count =
            tensor->dims[0] * tensor->dims[1] * tensor->dims[2] * tensor->dims[3];
        result->weight_count += count;
        result->bytes_before += source->bytes;
        result->bytes_after += bytes;
        add_use(result->before, &result->before_count, source->type, count, source->bytes);
        add_use(result->after, &result->after_count, tensor->type, count, bytes);
        if (tensor->fell_back)
            weir_fallback_add(result->fallbacks, &result->fallback_count, tensor);
        result->changed_count += tensor->type != source->type;
        if (tensor->type != source->type && weir_quant_info(source->type)->block_len > 1)
            add_requantized(result, tensor);
        result->weighted_count += tensor->has_weights;
        result->unweighted_count += misses_weights(quantizing, tensor);
        tell_tensor(quantizing, tensor);
    }
    const double weights = result->weight_count == 0 ? 1.0 : (double)result->weight_count;
    result->bits_before = 8.0 * (double)result->bytes_before / weights;
    result->bits_after = 8.0 * (double)result->bytes_after / weights;
}

/* ---- the door -------------------------------------------------------------------------------- */

static enum weir_status write_all(struct weir_quantizing *quantizing, struct weir_err *err)
{
    struct weir_recast_job job = {.manifest = quantizing->manifest,
                                  .list = &quantizing->list,
                                  .n_thread = quantizing->config->n_thread,
                                  .buffered = quantizing->config->buffered,
                                  .weights = weir_quantizing_weights,
                                  .weights_user = quantizing};
    if (job.n_thread == 0)
        job.n_thread = weir_sys_cpu_count();
    return weir_quantizing_write(quantizing, &job, err);
}

static void free_all(struct weir_quantizing *quantizing)
{
    weir_recast_list_free(&quantizing->list);
    weir_heap_free(quantizing->rules);
    weir_imatrix_close(&quantizing->imatrix);
    weir_divergence_close(&quantizing->divergence);
    weir_manifest_close(&quantizing->manifest);
}

static enum weir_status check_budget(const struct weir_quantize_config *config,
                                     struct weir_err *err)
{
    const struct weir_quantize_budget *budget = config->budget;
    if (budget == NULL)
        return WEIR_OK;
    if (config->output_path == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "a budget wants an output_path also in a dry run: what is tried is "
                         "written beside it");
    if ((budget->file_bytes > 0) == (budget->bits > 0.0))
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "a budget is bytes of a file or bits of a weight: wanted one of both");
    if (budget->ids == NULL || budget->id_count < 2 || budget->chunk_tokens < 2)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "a budget wants a text: at least 2 tokens, in pieces of 2 at least, found "
                         "%u in pieces of %u",
                         budget->id_count, budget->chunk_tokens);
    return WEIR_OK;
}

static enum weir_status check_config(const struct weir_quantize_config *config,
                                     struct weir_err *err)
{
    if (config->input_path == NULL || (config->output_path == NULL && !config->is_dry) ||
        (config->type == NULL) == (config->budget == NULL) ||
        (config->rules == NULL && config->rule_count > 0))
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "weir_quantize: wanted input_path, output_path, either type or a budget, "
                         "and the rules, found one that is NULL");
    WEIR_TRY(check_budget(config, err));
    if (config->n_thread > WEIR_THREAD_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "n_thread: wanted at most %d, found %u",
                         WEIR_THREAD_MAX, config->n_thread);
    return WEIR_OK;
}

enum weir_status weir_quantize(struct weir_quantize_result *result,
                               const struct weir_quantize_config *config, struct weir_err *err)
{
    if (config == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "weir_quantize: config is NULL");
    WEIR_TRY(check_config(config, err));
    const uint64_t start_ns = weir_now_ns();
    struct weir_quantize_result own;
    struct weir_quantizing quantizing = {.config = config, .result = &own};
    own = (struct weir_quantize_result){0};
    enum weir_status status = weir_quantizing_plan(&quantizing, err);
    if (status == WEIR_OK)
        describe(&quantizing);
    if (status == WEIR_OK)
        status = config->is_dry ? weir_quantizing_measure(&quantizing, err)
                                : write_all(&quantizing, err);
    if (status == WEIR_OK && !config->is_dry && config->budget != NULL)
        status = weir_precision_judge(&quantizing, err);
    free_all(&quantizing);
    own.seconds = (double)(weir_now_ns() - start_ns) * 1e-9;
    own.peak_bytes = weir_sys_peak_rss_bytes();
    if (status == WEIR_OK && result != NULL)
        *result = own;
    return status;
}
