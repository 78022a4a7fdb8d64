/* routes.c - what a server answers to, and what it tells of itself. */
#include <string.h>

#include "serve/embeddings.h"
#include "serve/openapi.h"
#include "serve/reasoning.h"
#include "serve/request.h"
#include "serve/server.h"

static void tell_health(struct weir_exchange *exchange)
{
    const bool is_well = weir_serve_write_health(exchange->serve, &exchange->answer);
    weir_exchange_reply(exchange, is_well ? 200 : 503, "application/json");
}

static void tell_models(struct weir_exchange *exchange)
{
    const struct weir_serve *serve = exchange->serve;
    struct weir_writer *writer = &exchange->answer;
    const bool is_served = weir_serve_is_served(serve);
    weir_writer_text(writer, "{\"object\":\"list\",\"data\":[");
    for (size_t index = 0; index < serve->model_count; index++) {
        const struct weir_serve_model *model = &serve->models[index];
        weir_writer_text(writer, index == 0 ? "{\"id\":" : ",{\"id\":");
        weir_writer_string(writer, model->id, strlen(model->id));
        weir_writer_format(writer,
                           ",\"object\":\"model\",\"created\":%llu,\"owned_by\":\"weir\","
                           "\"context_length\":%u,\"loaded\":%s}",
                           (unsigned long long)serve->begin_s, model->n_ctx,
                           is_served && atomic_load(&serve->served) == index ? "true" : "false");
    }
    weir_writer_text(writer, "]}");
    weir_exchange_reply(exchange, 200, "application/json");
}

static void tell_props(struct weir_exchange *exchange)
{
    const struct weir_serve *serve = exchange->serve;
    const struct weir_serve_limits *limits = &serve->limits;
    if (weir_serve_refuse_absent(exchange))
        return;
    const struct weir_model_info *model = weir_engine_model(serve->config.engine);
    const struct weir_plan *plan = weir_engine_plan(serve->config.engine);
    struct weir_writer *writer = &exchange->answer;
    weir_writer_text(writer, "{\"model\":");
    weir_writer_string(writer, serve->model_id, strlen(serve->model_id));
    weir_writer_text(writer, ",\"family\":");
    weir_writer_string(writer, model->family, strlen(model->family));
    weir_writer_text(writer, ",\"version\":\"" WEIR_VERSION "\"");
    weir_writer_format(writer, ",\"n_ctx\":%u,\"n_vocab\":%u,\"parallel\":%u,\"queue\":%u",
                       limits->n_ctx, limits->n_vocab, weir_serve_parallel(serve),
                       limits->queue_max);
    weir_writer_format(writer, ",\"connections\":%u,\"body_bytes\":%llu,\"token_max\":%u",
                       limits->connection_max, (unsigned long long)limits->body_bytes,
                       limits->token_max);
    weir_writer_format(writer, ",\"budget_bytes\":%llu,\"planned_bytes\":%llu,\"slots\":%u}",
                       (unsigned long long)plan->budget_bytes,
                       (unsigned long long)plan->planned_bytes, plan->n_slot_total);
    weir_exchange_reply(exchange, 200, "application/json");
}

static const struct weir_route routes[] = {
    {"GET", "/health", tell_health, NULL, true, false},
    {"GET", "/openapi.json", weir_openapi_tell, NULL, true, false},
    {"GET", "/v1/models", tell_models, NULL, false, false},
    {"GET", "/props", tell_props, NULL, false, false},
    {"GET", "/metrics", weir_metrics_tell, NULL, false, false},
    {"GET", "/slots", weir_texts_tell, NULL, false, false},
    {"GET", "/v1/watch", weir_watch_tell, NULL, false, false},
    {"POST", "/v1/chat/completions", NULL, weir_openai_chat_read, false, false},
    {"POST", "/v1/chat/completions/control", NULL, weir_control_read, false, false},
    {"POST", "/v1/responses", NULL, weir_responses_read, false, false},
    {"POST", "/v1/responses/input_tokens", NULL, weir_responses_count_read, false, false},
    {"POST", "/v1/embeddings", NULL, weir_embeddings_read, false, false},
    {"POST", "/v1/completions", NULL, weir_openai_completions_read, false, false},
    {"POST", "/v1/messages", NULL, weir_anthropic_messages_read, false, true},
    {"POST", "/v1/messages/count_tokens", NULL, weir_anthropic_count_read, false, true},
    {"POST", "/tokenize", NULL, weir_tokenize_read, false, false},
    {"POST", "/detokenize", NULL, weir_detokenize_read, false, false},
};

const struct weir_route *weir_route_at(uint32_t index)
{
    return index < WEIR_COUNT(routes) ? &routes[index] : NULL;
}

const struct weir_route *weir_route_find(const char *method, const char *path, const char **allow)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method; /* without its text */
    const struct weir_route *route = weir_page_route(path);
    for (size_t index = 0; route == NULL && index < WEIR_COUNT(routes); index++)
        if (strcmp(routes[index].path, path) == 0)
            route = &routes[index];
    *allow = NULL;
    if (route == NULL || strcmp(route->method, wanted) == 0)
        return route;
    *allow = strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method;
    return NULL;
}
