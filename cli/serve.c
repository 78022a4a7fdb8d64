/* serve.c - weir serve: a model behind the APIs of OpenAI and Anthropic. */
#include "serve/serve.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "chat.h"
#include "client_keys.h"
#include "manager.h"
#include "serve_limits.h"

enum {
    TICK_MS = 100,
    CTX_DEFAULT_MAX = 4096, /* as the engine chooses */
};

struct service {
    const struct weir_cli_options *options;
    struct weir_cli_manager manager;
    struct weir_cli_client_keys keys;
    int socket; /* that the service manager opened; 0: none */
    struct weir_cli_serve_limits chosen;
    struct weir_cli_chat chat;
    struct weir_cli_rig rig;
    struct weir_cli_progress progress;
    char name[WEIR_CLI_PATH_MAX]; /* of the model, to clients */
    weir_serve *serve;
};

/* ---- who may ask --------------------------------------------------------------------------- */

/* Keys of the file that the options name, or of the one that the service manager brings. */
static int read_keys(struct service *service)
{
    static char path[WEIR_CLI_PATH_MAX];
    const char *named = service->options->api_key_file;
    if (named == NULL && weir_cli_manager_credential("weir.keys", path, sizeof(path)))
        named = path;
    return weir_cli_client_keys_read(&service->keys, named) ? WEIR_CLI_OK : WEIR_CLI_FAILURE;
}

/* Who reaches the address is asked for a key, unless that is nobody but ourselves. */
static int check_safety(const struct service *service)
{
    const struct weir_cli_options *options = service->options;
    const bool is_given = service->socket > 0;
    bool is_local = weir_serve_is_loopback(options->host);
    struct weir_err err = {0};
    if (is_given && (options->given[WEIR_CLI_OPTION_host] || options->given[WEIR_CLI_OPTION_port]))
        return weir_cli_misuse("serve", "--host and --port: the service manager has opened the "
                                        "socket (LISTEN_FDS), which says where to listen");
    if (is_given && weir_serve_socket_check(service->socket, &is_local, &err) != WEIR_OK)
        return weir_cli_fail(&err);
    if (service->keys.count > 0 || options->insecure || is_local)
        return WEIR_CLI_OK;
    return weir_cli_misuse("serve",
                           "%s%s: others can reach this address: wanted --api-key-file FILE "
                           "or WEIR_API_KEY, or --insecure to let everybody in",
                           is_given ? "the socket of LISTEN_FDS" : "--host ",
                           is_given ? "" : options->host);
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
    if (!weir_cli_chat_open(&service->chat, options, weir_cli_chat_render_max(config->n_ctx)))
        return false;
    const uint64_t own_bytes = service->chat.heap_bytes + service->keys.text.capacity;
    if (!weir_cli_serve_limits_choose(&service->chosen, config, &info, own_bytes, options))
        return false;
    config->caller_bytes += own_bytes + weir_serve_bytes(&service->chosen.limits);
    return true;
}

/* ---- opening ------------------------------------------------------------------------------- */

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

/* From here on it listens, and says how far the model is. */
static int open_door(struct service *service)
{
    const struct weir_cli_options *options = service->options;
    struct weir_err err = {0};
    name_model(options->argument, service->name, sizeof(service->name));
    const struct weir_serve_config config = {
        .host = options->host,
        .port = (uint16_t)options->port,
        .socket = service->socket,
        .model_id = options->alias != NULL ? options->alias : service->name,
        .keys = service->keys.keys,
        .key_count = service->keys.count,
        .limits = service->chosen.limits,
        .log_json = options->log_json,
        .log = weir_cli_is_quiet() ? NULL : log_line,
    };
    return weir_serve_open(&service->serve, &config, &err) == WEIR_OK ? WEIR_CLI_OK
                                                                      : weir_cli_fail(&err);
}

static void tell_status(struct service *service)
{
    char status[128];
    if (!weir_cli_manager_wants_status(&service->manager))
        return;
    weir_serve_status(service->serve, status, sizeof(status));
    weir_cli_manager_status(&service->manager, status);
}

static bool tell_progress(void *user, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    struct service *service = user;
    if (total_bytes > 0)
        weir_serve_progress(service->serve, (double)done_bytes / (double)total_bytes);
    tell_status(service);
    return weir_cli_progress_tell(&service->progress, what, done_bytes, total_bytes);
}

static int load(struct service *service, struct weir_config *config)
{
    config->progress = tell_progress;
    config->progress_user = service;
    const int code = weir_cli_rig_open(&service->rig, config, service->options);
    if (code != WEIR_CLI_OK && service->chosen.is_too_much && !weir_cli_stop_asked())
        weir_cli_serve_limits_advise(&service->chosen);
    return code;
}

static void say_address(const struct service *service)
{
    const struct weir_cli_options *options = service->options;
    const char *name = options->alias != NULL ? options->alias : service->name;
    const uint16_t port = weir_serve_port(service->serve);
    const bool is_six = strchr(options->host, ':') != NULL;
    char limits[256];
    weir_cli_serve_limits_words(&service->chosen, limits, sizeof(limits));
    if (service->socket > 0)
        weir_cli_say("%s answers at the socket of the service manager, port %u%s", name, port,
                     limits);
    else
        weir_cli_say("%s answers at http://%s%s%s:%u/v1, and without /v1 there is a page%s", name,
                     is_six ? "[" : "", options->host, is_six ? "]" : "", port, limits);
}

/* The model is there: the server takes it over. */
static int begin(struct service *service)
{
    struct weir_err err = {0};
    weir_engine *engine = service->rig.engine;
    if (weir_engine_tokenizer(engine) == NULL)
        return weir_cli_no_text(&weir_engine_model(engine)->warnings,
                                weir_engine_tokenizer_why(engine), "a server needs a vocabulary");
    /* The server has sessions of its own, on a thread of its own. */
    weir_cli_signals_watch(NULL);
    weir_session_destroy(&service->rig.session);
    if (weir_serve_begin(service->serve, engine, service->chat.chat, &err) != WEIR_OK)
        return weir_cli_fail(&err);
    say_address(service);
    weir_cli_manager_tell(&service->manager, "READY=1");
    return WEIR_CLI_OK;
}

/* ---- serving ------------------------------------------------------------------------------- */

static void pause_ms(unsigned ms)
{
    const struct timespec time = {.tv_nsec = (long)ms * 1000000};
    nanosleep(&time, NULL); /* a signal ends it early */
}

static void tick(struct service *service)
{
    pause_ms(TICK_MS);
    weir_serve_tick(service->serve);
    if (weir_cli_manager_wants_beat(&service->manager))
        weir_cli_manager_beat(&service->manager, weir_serve_is_alive(service->serve));
    tell_status(service);
}

/* Until a signal; then as long as answers may take to end. */
static void serve(struct service *service)
{
    while (!weir_cli_stop_asked())
        tick(service);
    const uint64_t end_ns = weir_now_ns() + service->options->drain_time * 1000000000ull;
    weir_cli_manager_tell(&service->manager, "STOPPING=1");
    weir_serve_drain(service->serve);
    const uint32_t count = weir_serve_open_count(service->serve);
    if (count > 0)
        weir_cli_say("stopping: %u requests may still end, for at most %llu s", count,
                     (unsigned long long)service->options->drain_time);
    while (weir_serve_open_count(service->serve) > 0 && weir_now_ns() < end_ns)
        tick(service);
    weir_serve_close(&service->serve);
    weir_cli_say("stopped");
}

int weir_cli_serve(const struct weir_cli_options *options)
{
    static struct service service; /* too large for a stack */
    struct weir_config config;
    struct weir_bench_config bench_config;
    service.options = options;
    if (!weir_cli_config_fill(&config, &bench_config, options, options->command))
        return WEIR_CLI_USAGE;
    weir_cli_manager_open(&service.manager);
    int code = weir_cli_manager_socket(&service.socket) ? read_keys(&service) : WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK)
        code = check_safety(&service);
    if (code == WEIR_CLI_OK && !plan(&service, &config))
        code = WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK)
        code = open_door(&service);
    if (code == WEIR_CLI_OK)
        code = load(&service, &config);
    if (code == WEIR_CLI_OK)
        code = begin(&service);
    if (code == WEIR_CLI_OK) {
        serve(&service);
        code = WEIR_CLI_FAILURE; /* a signal's: main makes its exit status of it */
    }
    weir_serve_close(&service.serve);
    weir_cli_chat_close(&service.chat);
    weir_cli_rig_close(&service.rig);
    weir_cli_client_keys_free(&service.keys);
    weir_cli_manager_close(&service.manager);
    return code;
}
