/* server.c - the whole server: opening, places, names, the log, closing. */
#include "serve/server.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "serve/grammars.h"
#include "serve/openapi.h"
#include "serve/reasoning.h"
#include "serve/shelf.h"

const struct weir_serve_limits *weir_serve_limits_of(const struct weir_serve *serve)
{
    return &serve->limits;
}

uint32_t weir_serve_parallel(const struct weir_serve *serve)
{
    return atomic_load_explicit(&serve->parallel, memory_order_relaxed); /* orders nothing */
}

/* ---- places -------------------------------------------------------------------------------- */

bool weir_serve_places_take(struct weir_serve *serve, uint32_t count)
{
    const uint32_t most = weir_serve_parallel(serve) + serve->limits.queue_max;
    unsigned taken = atomic_load_explicit(&serve->places, memory_order_relaxed);
    do {
        if (taken + count > most)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&serve->places, &taken, taken + count,
                                                    memory_order_relaxed, memory_order_relaxed));
    return true;
}

void weir_serve_places_give(struct weir_serve *serve, uint32_t count)
{
    atomic_fetch_sub_explicit(&serve->places, count, memory_order_relaxed);
}

bool weir_serve_body_take(struct weir_serve *serve, size_t bytes)
{
    const uint64_t most = weir_serve_bodies_bytes(&serve->limits);
    if (atomic_fetch_add_explicit(&serve->body_bytes, bytes, memory_order_relaxed) + bytes <= most)
        return true;
    weir_serve_body_give(serve, bytes);
    return false;
}

void weir_serve_body_give(struct weir_serve *serve, size_t bytes)
{
    atomic_fetch_sub_explicit(&serve->body_bytes, bytes, memory_order_relaxed);
}

/* The time that an answer takes on average, for each round of those that wait. */
uint32_t weir_serve_retry_s(const struct weir_serve *serve)
{
    enum { MOST_S = 60 };
    const uint64_t count = atomic_load_explicit(&serve->counts.answered, memory_order_relaxed);
    const uint64_t took_ns = atomic_load_explicit(&serve->counts.answered_ns, memory_order_relaxed);
    const unsigned places = atomic_load_explicit(&serve->places, memory_order_relaxed);
    const double mean_s = count == 0 ? 1.0 : (double)took_ns * 1e-9 / (double)count;
    const double rounds = (double)places / weir_serve_parallel(serve);
    const double seconds = mean_s * rounds / 2.0 + 1.0;
    return seconds < MOST_S ? (uint32_t)seconds : MOST_S;
}

void weir_serve_problem_full(const struct weir_serve *serve, struct weir_exchange *exchange)
{
    exchange->retry_s = weir_serve_retry_s(serve);
    weir_problem_set(&exchange->problem, 429, "rate_limit_error", "server_full", NULL,
                     "this server has as many requests as it takes (%u texts are written, %u "
                     "wait): try again in %u s",
                     weir_serve_parallel(serve), serve->limits.queue_max, exchange->retry_s);
}

void weir_serve_problem_crowded(const struct weir_serve *serve, struct weir_exchange *exchange)
{
    exchange->retry_s = weir_serve_retry_s(serve);
    weir_problem_set(&exchange->problem, 429, "rate_limit_error", "server_full", NULL,
                     "requests of this key that wait for another model have half of the places, "
                     "which is all that one key may have: try again in %u s",
                     exchange->retry_s);
}

uint64_t weir_serve_random(struct weir_serve *serve)
{
    uint64_t value = 0;
    uint64_t state = atomic_fetch_add_explicit(&serve->id_state, 1, memory_order_relaxed);
    if (getentropy(&value, sizeof(value)) != 0)
        value = weir_random_next(&state);
    return value;
}

void weir_serve_name(struct weir_serve *serve, const char *kind, char out[64])
{
    snprintf(out, 64, "%s-%016llx%08x", kind, (unsigned long long)weir_serve_random(serve),
             (unsigned)weir_serve_random(serve));
}

/* ---- the log ------------------------------------------------------------------------------- */

static void count_exchange(struct weir_serve *serve, const struct weir_exchange *exchange,
                           uint64_t took_ns)
{
    struct weir_serve_counts *counts = &serve->counts;
    const unsigned status =
        exchange->problem.status != 0 ? exchange->problem.status : exchange->status;
    atomic_fetch_add_explicit(&counts->requests, 1, memory_order_relaxed);
    if (exchange->has_left)
        atomic_fetch_add_explicit(&counts->left, 1, memory_order_relaxed);
    else if (status >= 500)
        atomic_fetch_add_explicit(&counts->failed, 1, memory_order_relaxed);
    else if (status >= 400)
        atomic_fetch_add_explicit(&counts->refused, 1, memory_order_relaxed);
    else if (exchange->place_count > 0) {
        atomic_fetch_add_explicit(&counts->answered, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counts->answered_ns, took_ns, memory_order_relaxed);
    }
}

void weir_serve_tell(struct weir_serve *serve, const char *line)
{
    pthread_mutex_lock(&serve->log_lock);
    if (serve->config.log != NULL)
        serve->config.log(serve->config.log_user, line);
    pthread_mutex_unlock(&serve->log_lock);
}

void weir_serve_write_time(char out[32])
{
    struct tm parts;
    const time_t now = time(NULL);
    gmtime_r(&now, &parts);
    strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

void weir_serve_log_exchange(const struct weir_exchange *exchange)
{
    struct weir_serve *serve = exchange->serve;
    const uint64_t end_ns = weir_now_ns();
    const double took_s = (double)(end_ns - exchange->begin_ns) * 1e-9;
    const double first_s =
        exchange->first_ns == 0 ? 0.0 : (double)(exchange->first_ns - exchange->begin_ns) * 1e-9;
    const unsigned status =
        exchange->problem.status != 0 ? exchange->problem.status : exchange->status;
    const char *path = exchange->route == NULL ? "-" : exchange->route->path;
    const char *name = exchange->has_left              ? "left"
                       : exchange->problem.status != 0 ? exchange->problem.code
                       : exchange->why_over != NULL    ? exchange->why_over
                                                       : "ok";
    /* Behind the first token, of all its texts. */
    const double rate = exchange->written_tokens < 2 || took_s <= first_s
                            ? 0.0
                            : (exchange->written_tokens - 1) / (took_s - first_s);
    char line[512], when[32];
    count_exchange(serve, exchange, end_ns - exchange->begin_ns);
    if (exchange->first_ns != 0)
        weir_pace_add(&serve->pace, first_s);
    atomic_fetch_sub_explicit(&serve->open_count, 1, memory_order_relaxed);
    /* An open page looks at the machine all the time. */
    const bool is_look = exchange->route != NULL && exchange->route->tell == weir_watch_tell;
    const bool is_well = status < 400 && !exchange->has_left;
    if (is_well && (is_look || serve->config.log_failures))
        return;
    weir_serve_write_time(when);
    snprintf(line, sizeof(line),
             serve->config.log_json
                 ? "{\"time\":\"%s\",\"path\":\"%s\",\"status\":%u,\"end\":\"%s\","
                   "\"prompt_tokens\":%u,\"cached_tokens\":%u,\"tokens\":%u,\"first_s\":%.3f,"
                   "\"took_s\":%.3f,\"tokens_per_s\":%.1f}"
                 : "%s %s %u %s prompt %u cached %u written %u first %.3f s whole %.3f s %.1f/s",
             when, path, status, name, exchange->prompt_tokens, exchange->cached_tokens,
             exchange->written_tokens, first_s, took_s, rate);
    weir_serve_tell(serve, line);
}

/* ---- opening and closing ------------------------------------------------------------------- */

static enum weir_status copy_config(struct weir_serve *serve,
                                    const struct weir_serve_config *config, struct weir_err *err)
{
    serve->config = *config;
    serve->limits = config->limits;
    weir_serve_limits_fill(&serve->limits);
    serve->begin_s = (uint64_t)time(NULL);
    serve->config_ns = weir_now_ns();
    serve->host = weir_heap_text(config->host);
    serve->models = weir_heap_array(config->model_count, sizeof(*serve->models));
    serve->absent_until_ns = weir_heap_array(config->model_count, sizeof(*serve->absent_until_ns));
    atomic_init(&serve->wanted, SIZE_MAX);
    atomic_init(&serve->begun, SIZE_MAX);
    atomic_init(&serve->parallel, config->limits.parallel);
    serve->keys = weir_heap_array(config->key_count, sizeof(char *));
    serve->parties = weir_heap_array(config->key_count, sizeof(*serve->parties));
    serve->marks =
        weir_heap_array((size_t)config->limits.n_layer + 1, (size_t)config->limits.n_expert + 1);
    bool ok = serve->host != NULL && serve->models != NULL && serve->absent_until_ns != NULL &&
              serve->keys != NULL && serve->parties != NULL && serve->marks != NULL;
    for (size_t index = 0; ok && index < config->key_count; index++) {
        serve->keys[index] = weir_heap_text(config->keys[index].text);
        serve->parties[index].weight = config->keys[index].weight;
        ok = serve->keys[index] != NULL;
    }
    for (size_t index = 0; ok && index < config->model_count; index++) {
        serve->models[index] = config->models[index];
        serve->models[index].id = weir_heap_text(config->models[index].id);
        serve->model_count += serve->models[index].id != NULL;
        ok = serve->models[index].id != NULL;
    }
    serve->model_id = ok ? serve->models[0].id : NULL;
    return ok ? WEIR_OK : WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a server");
}

enum weir_status weir_serve_open(weir_serve **out, const struct weir_serve_config *config,
                                 struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    weir_serve *serve = weir_heap_alloc(sizeof(*serve));
    if (serve == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a server");
    pthread_mutex_init(&serve->log_lock, NULL);
    pthread_mutex_init(&serve->pace.lock, NULL);
    pthread_mutex_init(&serve->running_lock, NULL);
    weir_links_init(&serve->links);
    weir_fields_init();
    WEIR_TRY_GOTO(copy_config(serve, config, err));
    weir_serve_load(serve);
    weir_openapi_write(&serve->openapi);
    serve->shelf =
        weir_shelf_create(serve->limits.stored_bytes, weir_serve_answer_bytes(&serve->limits) +
                                                          weir_serve_echo_bytes(&serve->limits));
    if (serve->openapi.failed || serve->shelf == NULL) {
        status = WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a server");
        goto fail;
    }
    WEIR_TRY_GOTO(weir_desk_create(&serve->desk, serve, err));
    WEIR_TRY_GOTO(weir_http_open(&serve->http, serve, err));
    *out = serve;
    return WEIR_OK;

fail:
    weir_serve_close(&serve);
    return status;
}

uint16_t weir_serve_port(const weir_serve *serve)
{
    return weir_http_port(serve->http);
}

void weir_serve_tick(weir_serve *serve)
{
    weir_http_tick(serve->http);
    weir_running_beat(serve);
    if (weir_serve_is_served(serve))
        weir_pace_tick(serve);
}

void weir_serve_drain(weir_serve *serve)
{
    atomic_store(&serve->is_draining, true);
    weir_http_drain(serve->http);
}

uint32_t weir_serve_open_count(weir_serve *serve)
{
    return atomic_load_explicit(&serve->open_count, memory_order_relaxed);
}

void weir_serve_close(weir_serve **serve)
{
    if (*serve == NULL)
        return;
    weir_serve *closing = *serve;
    if (closing->http != NULL)
        weir_serve_drain(closing);
    if (closing->desk != NULL)
        weir_desk_stop(closing->desk);
    weir_serve_hide_model(closing); /* the HTTP thread goes on until its connections are closed */
    weir_scheduler_destroy(&closing->scheduler);
    weir_http_close(&closing->http);
    weir_desk_destroy(&closing->desk);
    weir_grammars_destroy(&closing->grammars);
    weir_closings_destroy(&closing->closings);
    weir_shelf_destroy(&closing->shelf);
    weir_writer_free(&closing->openapi);
    for (size_t index = 0; closing->keys != NULL && index < closing->config.key_count; index++)
        weir_heap_free(closing->keys[index]);
    weir_heap_free(closing->keys);
    weir_heap_free(closing->parties);
    weir_heap_free(closing->host);
    for (size_t index = 0; index < closing->model_count; index++)
        weir_heap_free((void *)(uintptr_t)closing->models[index].id);
    weir_heap_free(closing->models);
    weir_heap_free(closing->absent_until_ns);
    weir_heap_free(closing->marks);
    weir_links_deinit(&closing->links);
    pthread_mutex_destroy(&closing->running_lock);
    pthread_mutex_destroy(&closing->pace.lock);
    pthread_mutex_destroy(&closing->log_lock);
    weir_heap_free(closing);
    *serve = NULL;
}
