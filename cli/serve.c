/* serve.c - weir serve: models behind the APIs of OpenAI and Anthropic. */
#include "serve/serve.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "advice.h"
#include "chat.h"
#include "client_keys.h"
#include "manager.h"
#include "serve_models.h"
#include "serve_usual.h"
#include "streams.h"

enum {
    TICK_MS = 100,
    CHAT_BYTES = 2 << 20, /* of a template that is ready, at most about */
};

/* A model that is here, or on its way. */
struct brought {
    size_t index;
    struct weir_config config;
    struct weir_bench_config bench_config;
    struct weir_cli_chat chat;
    struct weir_cli_rig rig; /* without an engine: there is none */
};

struct service {
    const struct weir_cli_options *options;
    struct weir_cli_manager manager;
    struct weir_cli_client_keys keys;
    int socket; /* that the service manager opened; 0: none */
    struct weir_cli_serve_models models;
    struct weir_serve_usual usual;
    weir_serve *serve;
    struct brought slots[2];
    struct brought *here, *next; /* of them: the model that answers; one that is begun beside it */
    bool is_ahead;               /* what is read now is the next one's */
    struct weir_cli_progress progress;
    uint64_t use_count;  /* of requests, as it was seen last */
    uint64_t busy_ns;    /* when it last had something to do */
    uint64_t kept_count; /* requests when the list of experts was written last */
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

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text);
    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* As browsers say them: "https://app.example:8000", in small letters, without a path and without
 * the port that is the scheme's own. */
static bool is_origin(const char *word)
{
    const bool is_safe = strncmp(word, "https://", 8) == 0;
    const char *host = is_safe ? word + 8 : word + 7;
    return (is_safe || strncmp(word, "http://", 7) == 0) && *host != '\0' && *host != ':' &&
           strspn(host, "abcdefghijklmnopqrstuvwxyz0123456789.-_:[]") == strlen(host) &&
           !ends_with(host, is_safe ? ":443" : ":80");
}

static int check_origins(const struct weir_cli_list *origins)
{
    for (size_t index = 0; index < origins->count; index++)
        if (strcmp(origins->words[index], "*") != 0 && !is_origin(origins->words[index]))
            return weir_cli_misuse("serve",
                                   "--cors-origin: wanted * or an origin as browsers say it, such "
                                   "as https://app.example:8000: small letters, no path, and no "
                                   ":443 or :80, found \"%s\"",
                                   origins->words[index]);
    return WEIR_CLI_OK;
}

/* ---- opening ------------------------------------------------------------------------------- */

static void log_line(void *user, const char *line)
{
    (void)user;
    fprintf(stderr, "%s\n", line);
}

/* From here on it listens, and says how far the model is. */
static int open_door(struct service *service)
{
    const struct weir_cli_options *options = service->options;
    struct weir_err err = {0};
    const struct weir_serve_config config = {
        .host = options->host,
        .port = (uint16_t)options->port,
        .socket = service->socket,
        .models = service->models.models,
        .model_count = service->models.count,
        .keys = service->keys.keys,
        .key_count = service->keys.count,
        .limits = service->models.chosen.limits,
        .ignore_tools = options->ignore_tools,
        .plain_sampling = options->plain_sampling,
        .usual = service->usual,
        .origins = options->cors_origins.words,
        .origin_count = options->cors_origins.count,
        .any_model = options->any_model,
        .log_json = options->log_json,
        .log_failures = weir_cli_is_quiet(),
        .log = log_line,
    };
    return weir_serve_open(&service->serve, &config, &err) == WEIR_OK ? WEIR_CLI_OK
                                                                      : weir_cli_fail(&err);
}

/* The server is ready: where it answers, and for what. */
static void say_address(struct service *service)
{
    const struct weir_cli_options *options = service->options;
    const uint16_t port = weir_serve_port(service->serve);
    const bool is_six = strchr(options->host, ':') != NULL;
    char names[64], limits[384];
    if (weir_cli_serve_models_are_many(options))
        snprintf(names, sizeof(names), "%zu models, brought when they are asked for, answer",
                 service->models.count);
    else
        snprintf(names, sizeof(names), "%.48s answers", service->models.models[0].id);
    weir_cli_serve_limits_words(&service->models.chosen, limits, sizeof(limits));
    if (service->socket > 0)
        weir_cli_say("%s at the socket of the service manager, port %u%s", names, port, limits);
    else
        weir_cli_say("%s at http://%s%s%s:%u/v1, and without /v1 there is a page%s", names,
                     is_six ? "[" : "", options->host, is_six ? "]" : "", port, limits);
    weir_cli_manager_tell(&service->manager, "READY=1");
}

static void tell_manager(struct service *service)
{
    char status[128];
    if (weir_cli_manager_wants_beat(&service->manager))
        weir_cli_manager_beat(&service->manager, weir_serve_is_alive(service->serve));
    if (!weir_cli_manager_wants_status(&service->manager))
        return;
    weir_serve_status(service->serve, status, sizeof(status));
    weir_cli_manager_status(&service->manager, status);
}

/* ---- models that come and go --------------------------------------------------------------- */

static bool is_here(const struct brought *brought)
{
    return brought->rig.engine != NULL;
}

static void drop(struct brought *brought)
{
    weir_cli_chat_close(&brought->chat);
    weir_cli_rig_close(&brought->rig);
}

static void drop_next(struct service *service)
{
    if (is_here(service->next))
        weir_serve_tell_begun(service->serve, SIZE_MAX);
    drop(service->next);
}

/* Of the ceiling, for a model that is only begun. */
static uint64_t begun_bytes(const struct service *service, size_t index)
{
    return service->models.begun_bytes[index] + CHAT_BYTES;
}

/* Whether the next model's weights may still be read beside the texts of the one that is here. */
static bool may_be_ahead(struct service *service)
{
    return weir_serve_next(service->serve) == service->next->index &&
           weir_serve_lend(service->serve, begun_bytes(service, service->next->index));
}

static bool tell_progress(void *user, const char *what, uint64_t done_bytes, uint64_t total_bytes)
{
    struct service *service = user;
    if (service->is_ahead)
        weir_serve_tick(service->serve);
    else if (total_bytes > 0)
        weir_serve_progress(service->serve, (double)done_bytes / (double)total_bytes);
    tell_manager(service);
    return weir_cli_progress_tell(&service->progress, what, done_bytes, total_bytes) &&
           (!service->is_ahead || may_be_ahead(service));
}

typedef int open_fn(struct weir_cli_rig *rig, const struct weir_config *config,
                    const struct weir_cli_options *options);

/* All of it, or its first half. On failure it has been said, and nothing is here. */
static int load_model(struct service *service, struct brought *brought, size_t index,
                      open_fn *open_it)
{
    const struct weir_cli_serve_models *models = &service->models;
    struct weir_cli_options named = *service->options;
    struct weir_config *config = &brought->config;
    named.argument = models->paths[index];
    brought->index = index;
    if (!weir_cli_config_fill(config, &brought->bench_config, &named, named.command))
        return WEIR_CLI_USAGE;
    config->n_ctx = models->models[index].n_ctx;
    config->progress = tell_progress;
    config->progress_user = service;
    if (!weir_cli_chat_open(&brought->chat, &named, weir_cli_chat_render_max(config->n_ctx)))
        return WEIR_CLI_FAILURE;
    config->caller_bytes += brought->chat.heap_bytes + service->keys.text.capacity +
                            weir_serve_bytes(&models->chosen.limits);
    const int code = open_it(&brought->rig, config, &named);
    if (code != WEIR_CLI_OK)
        drop(brought);
    return code;
}

/* The model is loaded: the server takes it over. */
static int hand_over(struct service *service)
{
    struct brought *here = service->here;
    struct weir_err err = {0};
    char advice[WEIR_CLI_ADVICE_MAX];
    weir_engine *engine = here->rig.engine;
    if (weir_engine_tokenizer(engine) == NULL)
        return weir_cli_no_text(&weir_engine_model(engine)->warnings,
                                weir_engine_tokenizer_why(engine), "a server needs a vocabulary");
    /* The server has sessions of its own, on a thread of its own. */
    weir_cli_signals_watch(NULL);
    weir_session_destroy(&here->rig.session);
    service->busy_ns = weir_now_ns();
    if (!service->options->plain_sampling &&
        weir_cli_advice_words(&weir_engine_model(engine)->advice, advice, sizeof(advice)))
        weir_cli_say("what a request does not say of sampling is as the model's file advises: %s "
                     "(--plain-sampling: as OpenAI has it)",
                     advice);
    weir_cli_serve_usual_tell(&service->usual, service->models.models[here->index].id,
                              here->chat.chat);
    return weir_serve_begin(service->serve, here->index, engine, here->chat.chat, &err) == WEIR_OK
               ? WEIR_CLI_OK
               : weir_cli_fail(&err);
}

/* One that is begun comes to its end. On failure it has been said, and nothing is here. */
static int finish_next(struct service *service)
{
    struct brought *begun = service->next;
    service->next = service->here;
    service->here = begun;
    weir_serve_tell_begun(service->serve, SIZE_MAX);
    return weir_cli_rig_finish(&begun->rig, service->options);
}

/* On failure it has been said, and nothing is here. */
static int bring_model(struct service *service, size_t index)
{
    const struct weir_cli_serve_limits *chosen = &service->models.chosen;
    int code = WEIR_CLI_OK;
    weir_serve_load(service->serve);
    if (is_here(service->next) && service->next->index == index) {
        code = finish_next(service);
    } else {
        drop_next(service);
        code = load_model(service, service->here, index, weir_cli_rig_open);
        if (code != WEIR_CLI_OK && chosen->is_too_much && !weir_cli_stop_asked())
            weir_cli_serve_limits_advise(chosen);
    }
    if (code == WEIR_CLI_OK)
        code = hand_over(service);
    if (code != WEIR_CLI_OK)
        drop(service->here);
    return code;
}

/* What every token of the next model needs is read while the one that is here still answers, in
 * memory that this one gives. Without a ceiling nobody has said how much both may have. */
static void read_ahead(struct service *service)
{
    const struct weir_cli_options *options = service->options;
    const size_t next = weir_serve_next(service->serve);
    if (is_here(service->next) && !may_be_ahead(service))
        drop_next(service);
    if (next == SIZE_MAX && !is_here(service->next))
        weir_serve_lend(service->serve, 0);
    if (next == SIZE_MAX || is_here(service->next) || options->mem == 0 || options->stats != NULL ||
        options->timeline != NULL || /* files that one has */
        !weir_serve_lend(service->serve, begun_bytes(service, next)))
        return;
    weir_cli_say("%s is next: the weights that every token needs are read already",
                 service->models.models[next].id);
    service->is_ahead = true;
    service->next->index = next;
    const int code = load_model(service, service->next, next, weir_cli_rig_begin);
    service->is_ahead = false;
    if (code == WEIR_CLI_OK)
        weir_serve_tell_begun(service->serve, next);
    else if (may_be_ahead(service) && !weir_cli_stop_asked())
        weir_serve_give_up(service->serve, next);
}

/* The one that is wanted comes, when the one that is here has no more to do; one that has had
 * nothing to do for so long goes. */
static void change_model(struct service *service)
{
    const uint64_t idle_s = service->options->idle_time;
    const size_t wanted = weir_serve_wanted(service->serve);
    const bool is_idle = weir_serve_is_idle(service->serve);
    const uint64_t use_count = weir_serve_use_count(service->serve);
    if (!is_idle || use_count != service->use_count) /* a short text is over between two looks */
        service->busy_ns = weir_now_ns();
    service->use_count = use_count;
    const bool is_old = idle_s > 0 && weir_now_ns() - service->busy_ns > idle_s * 1000000000ull;
    if (is_idle && (wanted != SIZE_MAX || is_old) && weir_serve_end(service->serve))
        drop(service->here);
    if (is_here(service->here)) {
        read_ahead(service);
        return;
    }
    if (wanted == SIZE_MAX)
        return;
    weir_cli_say("%s is wanted", service->models.models[wanted].id);
    if (bring_model(service, wanted) != WEIR_CLI_OK && !weir_cli_stop_asked())
        weir_serve_give_up(service->serve, wanted);
}

/* What a model that is killed has learned is not lost. */
static void keep_experts(struct service *service)
{
    const struct weir_expert *experts = NULL;
    struct weir_cli_kept *kept = &service->here->rig.kept;
    if (!is_here(service->here) || !weir_cli_kept_is_due(kept) ||
        weir_serve_use_count(service->serve) == service->kept_count)
        return;
    const uint64_t use_count = weir_serve_use_count(service->serve);
    const uint32_t count = weir_serve_kept_experts(service->serve, &experts);
    if (count == 0)
        return; /* the next time they are told */
    weir_cli_kept_write(kept, experts, count);
    if (weir_serve_is_idle(service->serve))
        service->kept_count = use_count;
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
    change_model(service);
    keep_experts(service);
    tell_manager(service);
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

/* What can be found wrong before anything is loaded. */
static int prepare(struct service *service)
{
    const struct weir_cli_options *options = service->options;
    if (options->argument == NULL && !options->given[WEIR_CLI_OPTION_models])
        return weir_cli_misuse("serve", "wanted MODEL or several, or --models DIR for all in it");
    if (weir_cli_serve_models_are_many(options) && options->alias != NULL)
        return weir_cli_misuse("serve", "--alias: several models have their own names");
    if (check_origins(&options->cors_origins) != WEIR_CLI_OK)
        return WEIR_CLI_USAGE;
    if (!weir_cli_serve_usual_read(&service->usual, options))
        return WEIR_CLI_USAGE;
    weir_cli_manager_open(&service->manager);
    int code = weir_cli_manager_socket(&service->socket) ? read_keys(service) : WEIR_CLI_FAILURE;
    if (code == WEIR_CLI_OK)
        code = check_safety(service);
    const uint64_t own_bytes = CHAT_BYTES + service->keys.text.capacity;
    if (code == WEIR_CLI_OK && !weir_cli_serve_models_find(&service->models, own_bytes, options))
        code = WEIR_CLI_FAILURE;
    return code;
}

int weir_cli_serve(const struct weir_cli_options *options)
{
    static struct service service; /* too large for a stack */
    weir_cli_messages_hasten();    /* no answer waits for who reads the log */
    service.options = options;
    service.here = &service.slots[0];
    service.next = &service.slots[1];
    int code = prepare(&service);
    if (code == WEIR_CLI_OK)
        code = open_door(&service);
    if (code == WEIR_CLI_OK && weir_cli_serve_models_are_many(options))
        weir_serve_wait_for_requests(service.serve);
    else if (code == WEIR_CLI_OK)
        code = bring_model(&service, 0);
    if (code == WEIR_CLI_OK) {
        say_address(&service);
        serve(&service);
        code = WEIR_CLI_FAILURE; /* a signal's: main makes its exit status of it */
    }
    weir_serve_close(&service.serve);
    drop(service.next);
    drop(service.here);
    weir_cli_serve_models_free(&service.models);
    weir_cli_client_keys_free(&service.keys);
    weir_cli_manager_close(&service.manager);
    return code;
}
