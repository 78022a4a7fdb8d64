/* budget.c - weir quantize --bytes and --bpw: what to reach, and the text to measure on. */
#include "budget.h"

#include "base/heap.h"
#include "source.h"

enum { CHUNKS = 2 }; /* of the text, unless --chunks asks for more */

bool weir_cli_budget_wanted(const struct weir_cli_options *options)
{
    return options->file_bytes > 0 || options->bits > 0.0;
}

/* What only a budget has a use for. */
static int refuse_idle(const struct weir_cli_options *options)
{
    static const struct {
        enum weir_cli_option_id id;
        const char *name;
    } rows[] = {{WEIR_CLI_OPTION_text, "--text"},
                {WEIR_CLI_OPTION_chunk_limit, "--chunks"},
                {WEIR_CLI_OPTION_eval_ctx, "--ctx"},
                {WEIR_CLI_OPTION_slopes, "--slopes"},
                {WEIR_CLI_OPTION_probes, "--probes"}};
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if (weir_cli_option_given(options, rows[row].id))
            return weir_cli_misuse("quantize", "%s is for --bytes or --bpw, and neither is there",
                                   rows[row].name);
    return WEIR_CLI_OK;
}

static int check_words(const struct weir_cli_options *options)
{
    if (!weir_cli_budget_wanted(options))
        return refuse_idle(options);
    if (options->type != NULL || (options->file_bytes > 0 && options->bits > 0.0))
        return weir_cli_misuse("quantize",
                               "wanted one of --type, --bytes and --bpw, found more than one");
    if (options->text == NULL)
        return weir_cli_misuse("quantize", "%s wants --text FILE, on which losses are measured",
                               options->bits > 0.0 ? "--bpw" : "--bytes");
    if (options->more_count == 0)
        return weir_cli_misuse("quantize",
                               "%s wants IN and OUT also in a dry run: what is tried is written "
                               "beside OUT",
                               options->bits > 0.0 ? "--bpw" : "--bytes");
    return WEIR_CLI_OK;
}

static int read_text(struct weir_cli_budget *budget, const struct weir_cli_options *options,
                     struct weir_cli_source *source)
{
    weir_tokenizer *tokenizer = NULL;
    struct weir_err err = {0};
    size_t count = 0;
    const uint64_t chunks = options->chunk_limit > 0 ? options->chunk_limit : CHUNKS;
    const uint64_t most = weir_min(chunks * options->eval_ctx, UINT32_MAX / sizeof(uint32_t));
    if (weir_tokenizer_open(&tokenizer, options->argument, &err) != WEIR_OK)
        return weir_cli_fail(&err);
    budget->ids = weir_heap_array(most, sizeof(*budget->ids));
    bool is_read = budget->ids != NULL && weir_cli_source_open(source, options->text);
    if (budget->ids == NULL)
        weir_cli_say("no memory for %llu tokens", (unsigned long long)most);
    if (is_read && !weir_cli_source_encode(source, tokenizer, WEIR_TEXT_ADD_SPECIAL, &err)) {
        weir_cli_fail(&err);
        is_read = false;
    }
    is_read = is_read && weir_cli_source_next(source, budget->ids, most, &count);
    if (is_read && count < 2) {
        weir_cli_say("%s: wanted two tokens at least, found %zu", source->name, count);
        is_read = false;
    }
    budget->budget.ids = budget->ids;
    budget->budget.id_count = (uint32_t)count;
    weir_cli_source_close(source);
    weir_tokenizer_close(&tokenizer);
    return is_read ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

int weir_cli_budget_fill(struct weir_cli_budget *budget, const struct weir_cli_options *options)
{
    struct weir_cli_source source = {.fd = -1};
    const int code = check_words(options);
    *budget = (struct weir_cli_budget){.budget = {.file_bytes = options->file_bytes,
                                                  .bits = options->bits,
                                                  .slopes_path = options->slopes,
                                                  .probe_max = (uint32_t)options->probes,
                                                  .chunk_tokens = (uint32_t)options->eval_ctx}};
    if (code != WEIR_CLI_OK || !weir_cli_budget_wanted(options))
        return code;
    return read_text(budget, options, &source);
}

void weir_cli_budget_free(struct weir_cli_budget *budget)
{
    weir_heap_free(budget->ids);
    budget->ids = NULL;
}

void weir_cli_budget_print(FILE *file, const struct weir_quantize_result *result)
{
    fprintf(file, "divergence on the text: %.5f nats a token by ", result->divergence_expected);
    if (result->probe_count == 0)
        fprintf(file, "slopes that were kept");
    else
        fprintf(file, "the sum of %u measure%s", result->probe_count,
                result->probe_count == 1 ? "" : "s");
    if (result->divergence > 0.0)
        fprintf(file, ", %.5f as it is", result->divergence);
    fprintf(file, "\n");
}

void weir_cli_budget_json(json_t *object, const struct weir_quantize_result *result, bool is_there,
                          bool is_done)
{
    weir_cli_json_real(object, "divergence_expected",
                       is_there ? result->divergence_expected : WEIR_CLI_NONE);
    weir_cli_json_real(object, "divergence",
                       is_there && is_done ? result->divergence : WEIR_CLI_NONE);
    weir_cli_json_count(object, "probes", is_there ? result->probe_count : UINT64_MAX);
}
