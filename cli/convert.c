/* convert.c - weir convert: a Hugging Face directory as one GGUF file. */
#include <string.h>

#include "cli.h"
#include "fallbacks.h"
#include "weir_files.h"

/* What to do about a directory whose tokenizer no file can say. */
static void advise(const struct weir_err *err)
{
    if (err->status == WEIR_ERR_CANCELLED || strstr(err->text, "tokenize") == NULL)
        return;
    weir_cli_say("--no-vocab converts the weights without a tokenizer: such a file takes and gives "
                 "token ids alone");
}

static void print_result(const struct weir_cli_options *options,
                         const struct weir_convert_result *result)
{
    char in[32];
    char out[32];
    char peak[32];
    if (result->exact_count > 0)
        fprintf(stderr, "%u tensors of codes and scales became blocks with the same values\n",
                result->exact_count);
    if (result->near_count > 0 && options->type == NULL)
        fprintf(stderr,
                "%u tensors of codes became the type of GGUF whose values are nearest to theirs\n",
                result->near_count);
    fprintf(stderr, "%s: %u tensors, %s (the directory has %s), %.1f s, peak memory %s\n",
            weir_cli_shown(options->output), result->tensor_count,
            weir_format_size(result->bytes_after, out, sizeof(out)),
            weir_format_size(result->bytes_before, in, sizeof(in)), result->seconds,
            weir_format_size(result->peak_bytes, peak, sizeof(peak)));
}

static bool print_json(const struct weir_cli_options *options,
                       const struct weir_convert_result *result)
{
    json_t *object = json_object();
    json_object_set_new(object, "directory", json_string(options->argument));
    json_object_set_new(object, "file", json_string(options->output));
    weir_cli_json_count(object, "tensors", result->tensor_count);
    weir_cli_json_count(object, "tensors_done_before", result->done_count);
    weir_cli_json_count(object, "tensors_exact", result->exact_count);
    weir_cli_json_count(object, "tensors_near", result->near_count);
    json_object_set_new(object, "fallbacks",
                        weir_cli_fallbacks_json(result->fallbacks, result->fallback_count));
    weir_cli_json_count(object, "bytes_before", result->bytes_before);
    weir_cli_json_count(object, "bytes_after", result->bytes_after);
    weir_cli_json_count(object, "bytes_read", result->read_bytes);
    weir_cli_json_count(object, "budget_bytes", result->budget_bytes);
    weir_cli_json_count(object, "peak_bytes", result->peak_bytes);
    json_object_set_new(object, "seconds", json_real(result->seconds));
    json_object_set_new(object, "io", json_string(result->io));
    return weir_cli_json_print(object, stdout, "standard output");
}

int weir_cli_convert(const struct weir_cli_options *options)
{
    struct weir_cli_progress progress = {0};
    struct weir_convert_result result = {0};
    struct weir_err err = {0};
    if (options->output == NULL)
        return weir_cli_misuse("convert", "wanted -o FILE, where the model goes");
    if (!weir_cli_outputs_check(options, options->argument))
        return WEIR_CLI_USAGE;
    const struct weir_convert_config config = {.input_path = options->argument,
                                               .output_path = options->output,
                                               .type = options->type,
                                               .without_vocab = options->no_vocab,
                                               .mem_bytes = options->mem,
                                               .n_thread = (uint32_t)options->threads,
                                               .buffered = options->buffered,
                                               .progress = weir_cli_progress_tell,
                                               .progress_user = &progress,
                                               .notice = weir_cli_notice_tell};
    const enum weir_status status = weir_convert(&result, &config, &err);
    weir_cli_status_clear();
    if (status != WEIR_OK) {
        const int code = weir_cli_fail(&err);
        if (weir_cli_stop_asked())
            weir_cli_say("the same command goes on behind the tensors that are written");
        else
            advise(&err);
        return status == WEIR_ERR_ARG ? WEIR_CLI_USAGE : code;
    }
    weir_cli_fallbacks_say(result.fallbacks, result.fallback_count);
    if (options->json)
        return print_json(options, &result) ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
    if (!weir_cli_is_quiet())
        print_result(options, &result);
    return WEIR_CLI_OK;
}
