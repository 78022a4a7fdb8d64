/* compare.c - weir eval compare: results on the same text side by side, with paired intervals. */
#include "compare.h"

#include <stdlib.h>
#include <string.h>

#include "base/heap.h"

enum { SEED = 1 };

static const struct {
    const char *name; /* in JSON */
    bool is_choice;
} metrics[WEIR_CLI_METRIC_COUNT] = {
    [WEIR_CLI_METRIC_NLL] = {"nll", false},
    [WEIR_CLI_METRIC_KL] = {"kl", false},
    [WEIR_CLI_METRIC_TOP1] = {"top1", false},
    [WEIR_CLI_METRIC_RIGHT] = {"accuracy", true},
    [WEIR_CLI_METRIC_RIGHT_BY_LENGTH] = {"accuracy_by_length", true},
};

static double get_metric(const struct weir_cli_chunk *chunk, enum weir_cli_metric metric)
{
    switch (metric) {
    case WEIR_CLI_METRIC_NLL:
        return chunk->nll;
    case WEIR_CLI_METRIC_KL:
        return chunk->kl;
    case WEIR_CLI_METRIC_TOP1:
        return (double)chunk->same_top;
    case WEIR_CLI_METRIC_RIGHT:
        return (double)chunk->right;
    case WEIR_CLI_METRIC_RIGHT_BY_LENGTH:
        return (double)chunk->right_by_length;
    case WEIR_CLI_METRIC_COUNT:
        break;
    }
    return WEIR_CLI_NONE;
}

/* ---- reading ------------------------------------------------------------------------------- */

static double get_number(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : WEIR_CLI_NONE;
}

static bool read_result(struct weir_cli_result *result, const char *path)
{
    struct weir_cli_buffer text = {0};
    struct weir_err err = {0};
    json_error_t error;
    result->path = path;
    if (!weir_cli_file_read(&text, "FILE", path, WEIR_CLI_RESULT_BYTES_MAX))
        return false;
    result->object = json_loadb(text.bytes, text.length, JSON_REJECT_DUPLICATES, &error);
    weir_cli_buffer_free(&text);
    if (result->object == NULL) {
        weir_cli_say("%s, line %d: no JSON: %s", path, error.line, error.text);
        return false;
    }
    const json_t *chunks = json_object_get(result->object, "per_chunk");
    const char *model = json_string_value(json_object_get(result->object, "model"));
    if (!json_is_object(chunks) || model == NULL) {
        weir_cli_say("%s: wanted the object of weir eval --json, with model and per_chunk, found "
                     "another one",
                     path);
        return false;
    }
    if (weir_cli_chunks_read(&result->chunks, chunks, &err) != WEIR_OK) {
        weir_cli_say("%s: %s", path, err.text);
        return false;
    }
    const char *slash = strrchr(model, '/');
    result->name = slash == NULL || slash[1] == '\0' ? model : slash + 1;
    result->bytes = get_number(result->object, "file_bytes");
    result->bits_per_weight = get_number(result->object, "bits_per_weight");
    result->tps = get_number(result->object, "prefill_tps");
    return true;
}

/* Two results that are not of the same text, or not cut the same way, say nothing about each
 * other. */
static bool check_pair(const struct weir_cli_result *one, const struct weir_cli_result *other)
{
    const json_int_t first = json_integer_value(json_object_get(one->object, "chunk_tokens"));
    const json_int_t second = json_integer_value(json_object_get(other->object, "chunk_tokens"));
    if (json_is_object(json_object_get(one->object, "multiple_choice")) !=
        json_is_object(json_object_get(other->object, "multiple_choice"))) {
        weir_cli_say("one of %s and %s is of --mc, the other of a text: wanted two of a kind",
                     one->path, other->path);
        return false;
    }
    if (first != second) {
        weir_cli_say("%s has chunks of %lld tokens, %s of %lld: wanted the same", one->path,
                     (long long)first, other->path, (long long)second);
        return false;
    }
    if (one->chunks.each == other->chunks.each)
        return true;
    weir_cli_say("%s has sums of %llu chunks each, %s of %llu: wanted texts of about one length "
                 "(--chunks)",
                 one->path, (unsigned long long)one->chunks.each, other->path,
                 (unsigned long long)other->chunks.each);
    return false;
}

/* The chunks that all have. */
static bool find_common(struct weir_cli_comparison *comparison)
{
    const struct weir_cli_chunks *first = &comparison->results[0].chunks;
    comparison->chunk_count = first->count;
    for (size_t index = 1; index < comparison->count; index++) {
        const struct weir_cli_result *result = &comparison->results[index];
        size_t at = 0;
        while (at < comparison->chunk_count && at < result->chunks.count &&
               first->list[at].ids == result->chunks.list[at].ids &&
               first->list[at].count == result->chunks.list[at].count)
            at++;
        comparison->chunk_count = at;
        if (at > 0)
            continue;
        weir_cli_say("%s and %s are of different texts: their first chunks have other tokens",
                     comparison->results[0].path, result->path);
        return false;
    }
    for (size_t at = 0; at < comparison->chunk_count; at++)
        comparison->token_count += first->list[at].count;
    return true;
}

/* ---- figures ------------------------------------------------------------------------------- */

/* The metric of one result's chunks, or of how they differ from the first's. */
static bool find_interval(const struct weir_cli_comparison *comparison,
                          struct weir_cli_result *result, enum weir_cli_metric metric,
                          bool is_beside, double *above, double *below)
{
    const struct weir_cli_chunk *first = comparison->results[0].chunks.list;
    for (size_t at = 0; at < comparison->chunk_count; at++) {
        above[at] = get_metric(&result->chunks.list[at], metric);
        below[at] = (double)result->chunks.list[at].count;
        if (is_beside)
            above[at] -= get_metric(&first[at], metric);
    }
    return weir_cli_bootstrap(is_beside ? &result->beside[metric] : &result->own[metric], above,
                              below, comparison->chunk_count, SEED);
}

static bool has_metric(const struct weir_cli_result *result, enum weir_cli_metric metric,
                       bool is_choice)
{
    if (metrics[metric].is_choice != is_choice)
        return false;
    return (metric != WEIR_CLI_METRIC_KL && metric != WEIR_CLI_METRIC_TOP1) ||
           isfinite(result->chunks.list[0].kl);
}

static bool find_figures(struct weir_cli_comparison *comparison)
{
    double *above = weir_heap_array(comparison->chunk_count, sizeof(*above));
    double *below = weir_heap_array(comparison->chunk_count, sizeof(*below));
    bool ok = above != NULL && below != NULL;
    for (size_t index = 0; ok && index < comparison->count; index++)
        for (int metric = 0; ok && metric < WEIR_CLI_METRIC_COUNT; metric++) {
            struct weir_cli_result *result = &comparison->results[index];
            result->has[metric] =
                has_metric(result, (enum weir_cli_metric)metric, comparison->is_choice);
            if (!result->has[metric])
                continue;
            ok = find_interval(comparison, result, (enum weir_cli_metric)metric, false, above,
                               below);
            if (ok && index > 0 && comparison->results[0].has[metric])
                ok = find_interval(comparison, result, (enum weir_cli_metric)metric, true, above,
                                   below);
        }
    weir_heap_free(above);
    weir_heap_free(below);
    if (!ok)
        weir_cli_say("no memory for the sums of %zu chunks", comparison->chunk_count);
    return ok;
}

enum weir_cli_metric weir_cli_comparison_figure(const struct weir_cli_comparison *comparison)
{
    if (comparison->is_choice)
        return WEIR_CLI_METRIC_RIGHT;
    for (size_t index = 0; index < comparison->count; index++)
        if (!comparison->results[index].has[WEIR_CLI_METRIC_KL])
            return WEIR_CLI_METRIC_NLL;
    return WEIR_CLI_METRIC_KL;
}

/* ---- for people ---------------------------------------------------------------------------- */

static void print_number(int width, int places, double value)
{
    if (isfinite(value))
        printf(" %*.*f", width, places, value);
    else
        printf(" %*s", width, "-");
}

static void print_row(const struct weir_cli_comparison *comparison,
                      const struct weir_cli_result *result)
{
    char size[32];
    printf("  %10s", isfinite(result->bytes)
                         ? weir_format_size((uint64_t)result->bytes, size, sizeof(size))
                         : "-");
    print_number(8, 3, result->bits_per_weight);
    print_number(9, 1, result->tps);
    if (comparison->is_choice) {
        print_number(9, 2, 100.0 * result->own[WEIR_CLI_METRIC_RIGHT].value);
        print_number(12, 2, 100.0 * result->own[WEIR_CLI_METRIC_RIGHT_BY_LENGTH].value);
    } else {
        print_number(11, 4, exp(result->own[WEIR_CLI_METRIC_NLL].value));
        print_number(10, 6,
                     result->has[WEIR_CLI_METRIC_KL] ? result->own[WEIR_CLI_METRIC_KL].value
                                                     : WEIR_CLI_NONE);
        print_number(9, 3,
                     result->has[WEIR_CLI_METRIC_TOP1]
                         ? 100.0 * result->own[WEIR_CLI_METRIC_TOP1].value
                         : WEIR_CLI_NONE);
    }
    printf("  %s\n", weir_cli_shown(result->name));
}

/* "what +0.0123 [+0.0101, +0.0145]". */
static void print_beside(const char *what, int places, double factor,
                         const struct weir_cli_interval *interval)
{
    printf("  %s %+.*f", what, places, factor * interval->value);
    if (isfinite(interval->low))
        printf(" [%+.*f, %+.*f]", places, factor * interval->low, places, factor * interval->high);
}

/* What the lines below it are. */
static void print_head(const struct weir_cli_comparison *comparison)
{
    const char *what = comparison->is_choice ? "questions" : "chunks";
    const char *name = weir_cli_shown(comparison->results[0].name);
    if (comparison->chunk_count < WEIR_CLI_DRAW_CHUNK_MIN)
        printf("\nMore than %s; too few %s for an interval: %zu, wanted %d\n", name, what,
               comparison->chunk_count, WEIR_CLI_DRAW_CHUNK_MIN);
    else
        printf("\nMore than %s, and where that is with 95 %% (%d draws of %s, paired)\n", name,
               WEIR_CLI_DRAW_COUNT, what);
}

static void print_table(const struct weir_cli_comparison *comparison)
{
    printf("%zu results, %zu %s%s that all have, %llu %s\n\n", comparison->count,
           comparison->chunk_count, comparison->is_choice ? "question" : "chunk",
           comparison->chunk_count == 1 ? "" : "s", (unsigned long long)comparison->token_count,
           comparison->is_choice ? "answers" : "scored tokens");
    printf("  %10s %8s %9s%s  %s\n", "file", "bits/w", "tokens/s",
           comparison->is_choice ? "  right, % by length, %" : "  perplexity         KL  same top",
           "model");
    for (size_t index = 0; index < comparison->count; index++)
        print_row(comparison, &comparison->results[index]);
    print_head(comparison);
    for (size_t index = 1; index < comparison->count; index++) {
        const struct weir_cli_result *result = &comparison->results[index];
        const bool has_kl =
            result->has[WEIR_CLI_METRIC_KL] && comparison->results[0].has[WEIR_CLI_METRIC_KL];
        if (comparison->is_choice) {
            print_beside("right, %", 2, 100.0, &result->beside[WEIR_CLI_METRIC_RIGHT]);
            print_beside("by length, %", 2, 100.0,
                         &result->beside[WEIR_CLI_METRIC_RIGHT_BY_LENGTH]);
        } else {
            print_beside("nats a token", 5, 1.0, &result->beside[WEIR_CLI_METRIC_NLL]);
        }
        if (has_kl) {
            print_beside("KL", 6, 1.0, &result->beside[WEIR_CLI_METRIC_KL]);
            print_beside("same top, %", 3, 100.0, &result->beside[WEIR_CLI_METRIC_TOP1]);
        }
        printf("  %s\n", weir_cli_shown(result->name));
    }
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static json_t *describe_intervals(const struct weir_cli_result *result,
                                  const struct weir_cli_interval *intervals, const bool *is_there)
{
    json_t *object = json_object();
    for (int metric = 0; metric < WEIR_CLI_METRIC_COUNT; metric++) {
        if (!result->has[metric] || !is_there[metric])
            continue;
        json_t *interval = json_object();
        weir_cli_json_real(interval, "value", intervals[metric].value);
        weir_cli_json_real(interval, "low", intervals[metric].low);
        weir_cli_json_real(interval, "high", intervals[metric].high);
        json_object_set_new(object, metrics[metric].name, interval);
    }
    return object;
}

static bool print_json(const struct weir_cli_comparison *comparison)
{
    json_t *object = json_object();
    json_t *list = json_array();
    weir_cli_json_count(object, "chunks", comparison->chunk_count);
    weir_cli_json_count(object, "tokens", comparison->token_count);
    weir_cli_json_count(object, "draws", WEIR_CLI_DRAW_COUNT);
    weir_cli_json_count(object, "seed", SEED);
    for (size_t index = 0; index < comparison->count; index++) {
        const struct weir_cli_result *result = &comparison->results[index];
        json_t *entry = json_object();
        weir_cli_json_text(entry, "result", result->path, strlen(result->path));
        weir_cli_json_text(entry, "model", result->name, strlen(result->name));
        weir_cli_json_real(entry, "file_bytes", result->bytes);
        weir_cli_json_real(entry, "bits_per_weight", result->bits_per_weight);
        weir_cli_json_real(entry, "prefill_tps", result->tps);
        weir_cli_json_real(entry, "ppl",
                           comparison->is_choice ? WEIR_CLI_NONE
                                                 : exp(result->own[WEIR_CLI_METRIC_NLL].value));
        json_object_set_new(entry, "own", describe_intervals(result, result->own, result->has));
        json_object_set_new(
            entry, "beside_first",
            index == 0 ? json_null()
                       : describe_intervals(result, result->beside, comparison->results[0].has));
        json_array_append_new(list, entry);
    }
    json_object_set_new(object, "results", list);
    return weir_cli_json_print(object, stdout, "standard output");
}

/* ---- the command --------------------------------------------------------------------------- */

static bool compare(struct weir_cli_comparison *comparison, const struct weir_cli_options *options)
{
    for (size_t index = 0; index < 1 + options->more_count; index++) {
        struct weir_cli_result *result = &comparison->results[comparison->count++];
        if (!read_result(result, index == 0 ? options->argument : options->more[index - 1]) ||
            (index > 0 && !check_pair(&comparison->results[0], result)))
            return false;
    }
    comparison->is_choice =
        json_is_object(json_object_get(comparison->results[0].object, "multiple_choice"));
    return find_common(comparison) && find_figures(comparison);
}

static bool draw(const struct weir_cli_comparison *comparison, const char *path)
{
    struct weir_cli_out out = {0};
    if (path == NULL)
        return true;
    if (!weir_cli_out_open(&out, path))
        return false;
    weir_cli_comparison_draw(comparison, out.file);
    return weir_cli_out_finish(&out);
}

int weir_cli_eval_compare(const struct weir_cli_options *options)
{
    if (options->more_count == 0)
        return weir_cli_misuse(options->command, "wanted two or more FILEs of weir eval --json, "
                                                 "found one");
    struct weir_cli_comparison *comparison = weir_heap_alloc(sizeof(*comparison));
    bool ok = comparison != NULL;
    if (!ok)
        weir_cli_say("no memory for %zu results", 1 + options->more_count);
    ok = ok && compare(comparison, options) && draw(comparison, options->output);
    if (ok && options->json)
        ok = print_json(comparison);
    else if (ok)
        print_table(comparison);
    for (size_t index = 0; comparison != NULL && index < comparison->count; index++) {
        json_decref(comparison->results[index].object);
        weir_cli_chunks_free(&comparison->results[index].chunks);
    }
    weir_heap_free(comparison);
    return ok ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}
