/* quantize.c - weir quantize: a GGUF file with its weights in other formats. */
#include <string.h>

#include "base/heap.h"
#include "budget.h"
#include "fallbacks.h"

struct quantizing {
    const struct weir_cli_options *options;
    struct weir_quantize_rule rules[WEIR_CLI_LIST_MAX];
    char patterns[WEIR_CLI_LIST_MAX][256];
    size_t rule_count;
    struct weir_cli_budget budget;
    json_t *tensors; /* of --json; NULL: nobody asks */
    struct weir_cli_progress progress;
};

/* ---- what was asked for ---------------------------------------------------------------------- */

/* PATTERN=FORMAT: a format has no '=', a pattern may. */
static bool read_rules(struct quantizing *quantizing)
{
    const struct weir_cli_list *list = &quantizing->options->tensor_types;
    for (size_t index = 0; index < list->count; index++) {
        const char *word = list->words[index];
        const char *equals = strrchr(word, '=');
        char *pattern = quantizing->patterns[index];
        const size_t length = equals == NULL ? 0 : (size_t)(equals - word);
        if (length == 0 || equals[1] == '\0' || length >= sizeof(quantizing->patterns[0])) {
            weir_cli_misuse("quantize",
                            "--tensor: wanted PATTERN=FORMAT such as '*ffn_down*=Q6_K', found "
                            "\"%s\"",
                            word);
            return false;
        }
        memcpy(pattern, word, length);
        pattern[length] = '\0';
        quantizing->rules[index] = (struct weir_quantize_rule){pattern, equals + 1};
    }
    quantizing->rule_count = list->count;
    return true;
}

/* ---- what is told ---------------------------------------------------------------------------- */

static const char *show_shape(const struct weir_quantize_tensor *tensor, char out[96])
{
    size_t length = 0;
    for (uint32_t dim = 0; dim < tensor->n_dim && length < 80; dim++)
        length += (size_t)snprintf(out + length, 96 - length, "%s%llu", dim > 0 ? " x " : "",
                                   (unsigned long long)tensor->dims[dim]);
    return out;
}

static void tell_tensor(void *user, const struct weir_quantize_tensor *tensor)
{
    struct quantizing *quantizing = user;
    const struct weir_cli_options *options = quantizing->options;
    char shape[96];
    if (quantizing->tensors != NULL) {
        json_t *object = json_object();
        weir_cli_json_text(object, "name", tensor->name, strlen(tensor->name));
        json_object_set_new(object, "from", json_string(tensor->from));
        json_object_set_new(object, "to", json_string(tensor->to));
        json_object_set_new(object, "meant", json_string(tensor->meant));
        json_object_set_new(object, "weighted", json_boolean(tensor->has_weights));
        weir_cli_json_count(object, "bytes_before", tensor->bytes_before);
        weir_cli_json_count(object, "bytes_after", tensor->bytes_after);
        json_array_append_new(quantizing->tensors, object);
    } else if (options->verbose || options->dry_run) {
        fprintf(options->dry_run ? stdout : stderr, "%-40s %-22s %-7s -> %s%s%s\n",
                weir_cli_shown(tensor->name), show_shape(tensor, shape), tensor->from, tensor->to,
                strcmp(tensor->meant, tensor->to) == 0 ? "" : ", in place of ",
                strcmp(tensor->meant, tensor->to) == 0 ? "" : tensor->meant);
    }
}

static void print_uses(FILE *file, const char *what, const struct weir_quantize_use *uses,
                       uint32_t count)
{
    char size[32];
    for (uint32_t index = 0; index < count; index++)
        fprintf(file, "%-8s %-8s %5u tensor%s %*llu weights %10s  %5.2f bits\n",
                index == 0 ? what : "", uses[index].type, uses[index].tensor_count,
                uses[index].tensor_count == 1 ? "" : "s", uses[index].tensor_count == 1 ? 15 : 14,
                (unsigned long long)uses[index].weight_count,
                weir_format_size(uses[index].bytes, size, sizeof(size)),
                8.0 * (double)uses[index].bytes / (double)uses[index].weight_count);
}

/* The lines that must not be missed, whatever else is printed. */
static void print_remarks(const struct weir_quantize_result *result)
{
    if (result->requantized_count > 0)
        weir_cli_say("requantized from %s: %u tensor%s blocks already, and what was lost "
                     "stays lost; a file in BF16 or F16 gives a better one",
                     result->requantized_from, result->requantized_count,
                     result->requantized_count == 1 ? " was" : "s were");
    weir_cli_fallbacks_say(result->fallbacks, result->fallback_count);
    if (result->unweighted_count > 0)
        weir_cli_say("%u tensor%s importance and ha%s none (--allow-unweighted)",
                     result->unweighted_count, result->unweighted_count == 1 ? " wants" : "s want",
                     result->unweighted_count == 1 ? "s" : "ve");
}

static void print_result(const struct quantizing *quantizing,
                         const struct weir_quantize_result *result)
{
    const struct weir_cli_options *options = quantizing->options;
    FILE *file = options->dry_run ? stdout : stderr;
    char before[32], after[32], peak[32], budget[32];
    print_uses(file, "before", result->before, result->before_count);
    print_uses(file, "after", result->after, result->after_count);
    fprintf(file, "%s: %s to %s, %.2f to %.2f bits a weight", result->type,
            weir_format_size(result->bytes_before, before, sizeof(before)),
            weir_format_size(result->bytes_after, after, sizeof(after)), result->bits_before,
            result->bits_after);
    if (result->weighted_count > 0)
        fprintf(file, ", %u tensor%s by importance", result->weighted_count,
                result->weighted_count == 1 ? "" : "s");
    if (!options->dry_run)
        fprintf(file, "; %.1f s, peak memory %s of %s", result->seconds,
                weir_format_size(result->peak_bytes, peak, sizeof(peak)),
                weir_format_size(result->budget_bytes, budget, sizeof(budget)));
    fprintf(file, "\n");
    if (weir_cli_budget_wanted(options))
        weir_cli_budget_print(file, result);
    if (!options->dry_run)
        fprintf(file, "%s is there\n", weir_cli_shown(options->more[0]));
}

static json_t *describe_uses(const struct weir_quantize_use *uses, uint32_t count)
{
    json_t *object = json_object();
    for (uint32_t index = 0; index < count; index++) {
        json_t *use = json_object();
        weir_cli_json_count(use, "tensors", uses[index].tensor_count);
        weir_cli_json_count(use, "weights", uses[index].weight_count);
        weir_cli_json_count(use, "bytes", uses[index].bytes);
        json_object_set_new(object, uses[index].type, use);
    }
    return object;
}

static void set_path(json_t *object, const char *key, const char *path)
{
    if (path == NULL)
        json_object_set_new(object, key, json_null());
    else
        weir_cli_json_text(object, key, path, strlen(path));
}

static bool print_json(struct quantizing *quantizing, const struct weir_quantize_result *result)
{
    const struct weir_cli_options *options = quantizing->options;
    json_t *object = json_object();
    set_path(object, "input", options->argument);
    set_path(object, "output", options->more_count > 0 ? options->more[0] : NULL);
    json_object_set_new(object, "type", json_string(result->type));
    json_object_set_new(object, "dry_run", json_boolean(options->dry_run));
    weir_cli_json_count(object, "weights", result->weight_count);
    weir_cli_json_count(object, "bytes_before", result->bytes_before);
    weir_cli_json_count(object, "bytes_after", result->bytes_after);
    weir_cli_json_count(object, "file_bytes", result->file_bytes);
    weir_cli_json_real(object, "bits_before", result->bits_before);
    weir_cli_json_real(object, "bits_after", result->bits_after);
    json_object_set_new(object, "before", describe_uses(result->before, result->before_count));
    json_object_set_new(object, "after", describe_uses(result->after, result->after_count));
    json_object_set_new(object, "fallbacks",
                        weir_cli_fallbacks_json(result->fallbacks, result->fallback_count));
    weir_cli_json_count(object, "changed", result->changed_count);
    weir_cli_json_count(object, "requantized", result->requantized_count);
    json_object_set_new(object, "requantized_from", json_string(result->requantized_from));
    weir_cli_json_count(object, "weighted", result->weighted_count);
    weir_cli_json_count(object, "unweighted", result->unweighted_count);
    const bool is_done = !options->dry_run;
    weir_cli_json_real(object, "seconds", is_done ? result->seconds : WEIR_CLI_NONE);
    weir_cli_json_count(object, "bytes_read", is_done ? result->read_bytes : UINT64_MAX);
    weir_cli_json_count(object, "bytes_written", is_done ? result->written_bytes : UINT64_MAX);
    weir_cli_json_count(object, "budget_bytes", is_done ? result->budget_bytes : UINT64_MAX);
    weir_cli_json_count(object, "peak_bytes", is_done ? result->peak_bytes : UINT64_MAX);
    set_path(object, "io", is_done ? result->io : NULL);
    weir_cli_budget_json(object, result, weir_cli_budget_wanted(options), is_done);
    json_object_set(object, "tensors", quantizing->tensors);
    return weir_cli_json_print(object, stdout, "standard output");
}

/* ---- the command ----------------------------------------------------------------------------- */

static int check_words(const struct weir_cli_options *options)
{
    if (options->type == NULL && !weir_cli_budget_wanted(options))
        return weir_cli_misuse("quantize", "wanted --type TYPE, such as Q4_K_M (weir help quantize "
                                           "lists them), --bytes SIZE or --bpw B");
    if (options->more_count == 0 && !options->dry_run)
        return weir_cli_misuse("quantize", "wanted IN and OUT, found only \"%s\"",
                               options->argument);
    return WEIR_CLI_OK;
}

static int quantize(struct quantizing *quantizing)
{
    const struct weir_cli_options *options = quantizing->options;
    const struct weir_quantize_config config = {
        .input_path = options->argument,
        .output_path = options->more_count > 0 ? options->more[0] : NULL,
        .type = options->type,
        .budget = weir_cli_budget_wanted(options) ? &quantizing->budget.budget : NULL,
        .is_pure = options->pure,
        .rules = quantizing->rules,
        .rule_count = (uint32_t)quantizing->rule_count,
        .imatrix_path = options->imatrix,
        .allow_unweighted = options->allow_unweighted,
        .is_dry = options->dry_run,
        .mem_bytes = options->mem,
        .n_thread = (uint32_t)options->threads,
        .buffered = options->buffered,
        .progress = weir_cli_progress_tell,
        .progress_user = &quantizing->progress,
        .visit = tell_tensor,
        .visit_user = quantizing,
        .notice = weir_cli_notice_tell,
    };
    struct weir_quantize_result result;
    struct weir_err err = {0};
    const enum weir_status status = weir_quantize(&result, &config, &err);
    weir_cli_status_clear();
    if (status == WEIR_ERR_ARG)
        return weir_cli_misuse("quantize", "%s", err.text);
    if (status != WEIR_OK)
        return weir_cli_fail(&err);
    print_remarks(&result);
    if (options->json)
        return print_json(quantizing, &result) ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
    if (options->dry_run || !weir_cli_is_quiet())
        print_result(quantizing, &result);
    return WEIR_CLI_OK;
}

int weir_cli_quantize(const struct weir_cli_options *options)
{
    int code = check_words(options);
    struct quantizing *quantizing = weir_heap_alloc(sizeof(*quantizing));
    if (quantizing == NULL) {
        weir_cli_say("no memory for the options");
        return WEIR_CLI_FAILURE;
    }
    quantizing->options = options;
    if (options->json)
        quantizing->tensors = json_array();
    if (code == WEIR_CLI_OK)
        code = weir_cli_budget_fill(&quantizing->budget, options);
    if (code == WEIR_CLI_OK)
        code = read_rules(quantizing) ? quantize(quantizing) : WEIR_CLI_USAGE;
    json_decref(quantizing->tensors);
    weir_cli_budget_free(&quantizing->budget);
    weir_heap_free(quantizing);
    return code;
}
