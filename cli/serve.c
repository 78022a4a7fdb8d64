/* serve.c - weir serve: a model behind the APIs of OpenAI and Anthropic. */
#include "serve/serve.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/heap.h"
#include "chat.h"

enum {
    KEY_MAX = 64,
    KEY_BYTES_MAX = 64 << 10, /* of all */
    KEY_LENGTH_MIN = 16,
    TICK_MS = 100,
    CTX_DEFAULT_MAX = 4096, /* as the engine chooses */
};

struct service {
    const struct weir_cli_options *options;
    struct weir_cli_chat chat;
    struct weir_cli_rig rig;
    struct weir_cli_buffer key_text;
    const char *keys[KEY_MAX];
    size_t key_count;
    struct weir_serve_limits limits;
    weir_serve *serve;
};

/* ---- keys ---------------------------------------------------------------------------------- */

static bool add_key(struct service *service, const char *key, const char *where)
{
    if (strlen(key) < KEY_LENGTH_MIN || service->key_count == KEY_MAX) {
        weir_cli_say("%s: wanted at most %d keys of at least %d characters, found one of %zu",
                     where, KEY_MAX, KEY_LENGTH_MIN, strlen(key));
        return false;
    }
    service->keys[service->key_count++] = key;
    return true;
}

/* One key a line; lines that are empty or begin with # are none. */
static bool read_keys(struct service *service)
{
    const char *path = service->options->api_key_file;
    const char *given = getenv("WEIR_API_KEY");
    char *rest = NULL;
    if (path == NULL)
        return given == NULL || add_key(service, given, "WEIR_API_KEY");
    if (!weir_cli_file_read(&service->key_text, "--api-key-file", path, KEY_BYTES_MAX))
        return false;
    for (char *line = strtok_r(service->key_text.bytes, "\r\n", &rest); line != NULL;
         line = strtok_r(NULL, "\r\n", &rest))
        if (line[0] != '#' && !add_key(service, line, path))
            return false;
    if (service->key_count == 0)
        weir_cli_say("--api-key-file %s: wanted a key, found none", path);
    return service->key_count > 0;
}

/* Who reaches the address is asked for a key, unless that is nobody but ourselves. */
static int check_safety(const struct service *service)
{
    const struct weir_cli_options *options = service->options;
    if (service->key_count > 0 || options->insecure || weir_serve_is_loopback(options->host))
        return WEIR_CLI_OK;
    return weir_cli_misuse("serve",
                           "--host %s: others can reach this address: wanted --api-key-file FILE "
                           "or WEIR_API_KEY, or --insecure to let everybody in",
                           options->host);
}

/* ---- memory -------------------------------------------------------------------------------- */

static bool plan(struct service *service, struct weir_config *config)
{
    const struct weir_cli_options *options = service->options;
    struct weir_model_info info = {0};
    if (!weir_cli_model_info(&info, config->model_path))
        return false;
    config->n_ctx = options->ctx > 0 ? (uint32_t)options->ctx
                                     : (uint32_t)weir_min(info.n_ctx_train, CTX_DEFAULT_MAX);
    service->limits = (struct weir_serve_limits){
        .parallel = (uint32_t)options->parallel,
        .queue_max = (uint32_t)options->queue,
        .connection_max = (uint32_t)options->connections,
        .grammar_max = (uint32_t)options->grammars,
        .token_max = (uint32_t)options->answer_tokens,
        .request_s = (uint32_t)options->request_time,
        .answer_s = (uint32_t)options->answer_time,
        .gap_ms = (uint32_t)options->gap,
        .body_bytes = options->body_bytes,
        .n_ctx = config->n_ctx,
        .n_vocab = info.n_vocab,
        .n_layer = info.n_layer,
        .n_expert = info.n_expert,
        .render_bytes_max = weir_cli_chat_render_max(config->n_ctx),
    };
    weir_serve_limits_fill(&service->limits);
    if (!weir_cli_chat_open(&service->chat, options, service->limits.render_bytes_max))
        return false;
    config->caller_bytes +=
        service->chat.heap_bytes + service->key_text.capacity + weir_serve_bytes(&service->limits);
    return true;
}

/* ---- serving ------------------------------------------------------------------------------- */

static void log_line(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line);
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

static int open_service(struct service *service)
{
    const struct weir_cli_options *options = service->options;
    char name[WEIR_CLI_PATH_MAX];
    struct weir_err err = {0};
    if (weir_engine_tokenizer(service->rig.engine) == NULL)
        return weir_cli_no_text(&weir_engine_model(service->rig.engine)->warnings,
                                weir_engine_tokenizer_why(service->rig.engine),
                                "a server needs a vocabulary");
    /* The server has sessions of its own, on a thread of its own. */
    weir_cli_signals_watch(NULL);
    weir_session_destroy(&service->rig.session);
    name_model(options->argument, name, sizeof(name));
    const struct weir_serve_config config = {
        .host = options->host,
        .port = (uint16_t)options->port,
        .model_id = options->alias != NULL ? options->alias : name,
        .keys = service->keys,
        .key_count = service->key_count,
        .limits = service->limits,
        .log_json = options->log_json,
        .log = weir_cli_is_quiet() ? NULL : log_line,
        .engine = service->rig.engine,
        .chat = service->chat.chat,
    };
    if (weir_serve_open(&service->serve, &config, &err) != WEIR_OK)
        return weir_cli_fail(&err);
    const bool is_six = strchr(options->host, ':') != NULL;
    weir_cli_say("%s answers at http://%s%s%s:%u/v1, and without /v1 there is a page",
                 config.model_id, is_six ? "[" : "", options->host, is_six ? "]" : "",
                 weir_serve_port(service->serve));
    return WEIR_CLI_OK;
}

static void pause_ms(unsigned ms)
{
    const struct timespec time = {.tv_nsec = (long)ms * 1000000};
    nanosleep(&time, NULL); /* a signal ends it early */
}

/* Until a signal; then as long as answers may take to end. */
static void serve(struct service *service)
{
    while (!weir_cli_stop_asked()) {
        pause_ms(TICK_MS);
        weir_serve_tick(service->serve);
    }
    const uint64_t end_ns = weir_now_ns() + service->options->drain_time * 1000000000ull;
    weir_serve_drain(service->serve);
    const uint32_t count = weir_serve_open_count(service->serve);
    if (count > 0)
        weir_cli_say("stopping: %u requests may still end, for at most %llu s", count,
                     (unsigned long long)service->options->drain_time);
    while (weir_serve_open_count(service->serve) > 0 && weir_now_ns() < end_ns) {
        pause_ms(TICK_MS);
        weir_serve_tick(service->serve);
    }
    weir_serve_close(&service->serve);
    weir_cli_say("stopped");
}

int weir_cli_serve(const struct weir_cli_options *options)
{
    struct service service = {.options = options};
    struct weir_config config;
    struct weir_bench_config bench_config;
    if (!weir_cli_config_fill(&config, &bench_config, options, options->command))
        return WEIR_CLI_USAGE;
    int code = read_keys(&service) ? check_safety(&service) : WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK && !plan(&service, &config))
        code = WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK)
        code = weir_cli_rig_open(&service.rig, &config, options);
    if (code == WEIR_CLI_OK)
        code = open_service(&service);
    if (code == WEIR_CLI_OK) {
        serve(&service);
        code = WEIR_CLI_FAILURE; /* a signal's: main makes its exit status of it */
    }
    weir_cli_chat_close(&service.chat);
    weir_cli_rig_close(&service.rig);
    weir_cli_buffer_free(&service.key_text);
    return code;
}
