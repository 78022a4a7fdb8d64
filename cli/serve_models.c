/* serve_models.c - which models a server can bring: those that are named, or all of a folder. */
#include "serve_models.h"

#include <string.h>

#include "base/heap.h"

enum { CTX_DEFAULT_MAX = 4096 /* as the engine chooses */ };

bool weir_cli_serve_models_are_many(const struct weir_cli_options *options)
{
    return options->argument == NULL || options->more_count > 0;
}

/* The file's name without its end, or the folder's. */
static void name_model(const char *path, char *out, size_t capacity)
{
    static const char end[] = ".gguf";
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/')
        length--;
    size_t begin = length;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    if (length - begin > sizeof(end) - 1 &&
        strncmp(path + length - (sizeof(end) - 1), end, sizeof(end) - 1) == 0)
        length -= sizeof(end) - 1;
    snprintf(out, capacity, "%.*s", (int)(length - begin), path + begin);
}

/* A server takes the most that one of its models needs, and is cut as the one that leaves least. */
static void add_limits(struct weir_cli_serve_limits *sum, const struct weir_cli_serve_limits *more,
                       bool is_first)
{
    struct weir_serve_limits *to = &sum->limits;
    const struct weir_serve_limits *from = &more->limits;
    if (is_first) {
        *sum = *more;
        return;
    }
    to->n_ctx = (uint32_t)weir_max(to->n_ctx, from->n_ctx);
    to->n_vocab = (uint32_t)weir_max(to->n_vocab, from->n_vocab);
    to->n_layer = (uint32_t)weir_max(to->n_layer, from->n_layer);
    to->d_model = (uint32_t)weir_max(to->d_model, from->d_model);
    to->n_expert = (uint32_t)weir_max(to->n_expert, from->n_expert);
    to->body_bytes = weir_max(to->body_bytes, from->body_bytes);
    to->render_bytes_max = weir_max(to->render_bytes_max, from->render_bytes_max);
    to->queue_max = (uint32_t)weir_min(to->queue_max, from->queue_max);
    to->connection_max = (uint32_t)weir_min(to->connection_max, from->connection_max);
    to->grammar_max = (uint32_t)weir_min(to->grammar_max, from->grammar_max);
    to->stored_bytes = weir_min(to->stored_bytes, from->stored_bytes);
    sum->is_cut = sum->is_cut || more->is_cut;
}

/* False: it cannot be served, which has been said. */
static bool add_model(struct weir_cli_serve_models *models, const char *id, const char *path,
                      const struct weir_cli_options *options)
{
    struct weir_model_info info = {0};
    struct weir_config config;
    struct weir_bench_config bench;
    struct weir_cli_serve_limits chosen;
    struct weir_cli_options named = *options;
    named.argument = path;
    if (!weir_cli_model_info(&info, path) ||
        !weir_cli_config_fill(&config, &bench, &named, options->command))
        return false;
    config.n_ctx = options->ctx > 0 ? (uint32_t)options->ctx
                                    : (uint32_t)weir_min(info.n_ctx_train, CTX_DEFAULT_MAX);
    if (!weir_cli_serve_limits_choose(&chosen, &config, &info, models->own_bytes, options))
        return false;
    if (chosen.is_too_much && weir_cli_serve_models_are_many(options)) {
        weir_cli_say("%s%s the ceiling cannot hold it beside the server (weir plan says what it "
                     "needs)",
                     id, options->argument == NULL ? " is left out:" : ":");
        return false;
    }
    add_limits(&models->chosen, &chosen, models->count == 0);
    models->paths[models->count] = path;
    models->begun_bytes[models->count] = chosen.begun_bytes;
    models->models[models->count++] = (struct weir_serve_model){
        id, config.n_ctx, info.n_vocab, info.d_model, info.n_layer, info.n_expert};
    return true;
}

static bool reserve(struct weir_cli_serve_models *models, size_t count)
{
    models->models = weir_heap_array(count, sizeof(*models->models));
    models->paths = weir_heap_array(count, sizeof(*models->paths));
    models->begun_bytes = weir_heap_array(count, sizeof(*models->begun_bytes));
    if (models->models != NULL && models->paths != NULL && models->begun_bytes != NULL)
        return true;
    weir_cli_say("no memory for %zu models", count);
    return false;
}

static bool find_many(struct weir_cli_serve_models *models, const struct weir_cli_options *options)
{
    if (!weir_cli_library_read(&models->library, options) ||
        !reserve(models, models->library.count + 1))
        return false;
    for (size_t index = 0; index < models->library.count; index++) {
        const struct weir_cli_held *held = &models->library.models[index];
        const char *id = weir_cli_library_short(&models->library, index);
        if (held->is_unfinished || held->parts_there < held->part_count)
            weir_cli_say("%s is left out: it is not all here", id);
        else
            add_model(models, id, held->path, options);
    }
    if (models->count == 0)
        weir_cli_say("%s: wanted models that run under this ceiling, found none",
                     models->library.folder);
    return models->count > 0;
}

static bool is_known(const struct weir_cli_serve_models *models, const char *id)
{
    for (size_t index = 0; index < models->count; index++)
        if (strcmp(models->models[index].id, id) == 0)
            return true;
    return false;
}

/* Those that are named: each of them has to run. */
static bool find_named(struct weir_cli_serve_models *models, const struct weir_cli_options *options)
{
    static char name[WEIR_CLI_PATH_MAX];
    const size_t count = 1 + options->more_count;
    models->names = weir_heap_array(count, sizeof(*models->names));
    if (!reserve(models, count) || models->names == NULL)
        return false;
    for (size_t index = 0; index < count; index++) {
        const char *path = index == 0 ? options->argument : options->more[index - 1];
        name_model(path, name, sizeof(name));
        if (options->alias != NULL)
            snprintf(name, sizeof(name), "%s", options->alias);
        if (is_known(models, name)) {
            weir_cli_say("%s: another model is called %s too; a link to it with another name, or "
                         "--models DIR, tells them apart",
                         weir_cli_shown(path), name);
            return false;
        }
        models->names[index] = weir_heap_text(name);
        models->name_count++;
        if (models->names[index] == NULL || !add_model(models, models->names[index], path, options))
            return false;
    }
    return true;
}

bool weir_cli_serve_models_find(struct weir_cli_serve_models *models, uint64_t own_bytes,
                                const struct weir_cli_options *options)
{
    models->own_bytes = own_bytes;
    return options->argument == NULL ? find_many(models, options) : find_named(models, options);
}

void weir_cli_serve_models_free(struct weir_cli_serve_models *models)
{
    for (size_t index = 0; index < models->name_count; index++)
        weir_heap_free(models->names[index]);
    weir_heap_free(models->names);
    weir_heap_free(models->models);
    weir_heap_free(models->paths);
    weir_heap_free(models->begun_bytes);
    weir_cli_library_free(&models->library);
    *models = (struct weir_cli_serve_models){0};
}
