/* routes.c - what a server answers to, and what it tells of itself. */
#include <string.h>

#include "serve/embeddings.h"
#include "serve/openapi.h"
#include "serve/reasoning.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/shelf.h"

static void tell_health(struct weir_exchange *exchange)
{
    const bool is_well = weir_serve_write_health(exchange->serve, &exchange->answer);
    weir_exchange_reply(exchange, is_well ? 200 : 503, "application/json");
}

static void write_model(const struct weir_serve *serve, size_t index, struct weir_writer *writer)
{
    const struct weir_serve_model *model = &serve->models[index];
    const bool is_here = weir_serve_is_served(serve) && atomic_load(&serve->served) == index;
    weir_writer_text(writer, "{\"id\":");
    weir_writer_string(writer, model->id, strlen(model->id));
    weir_writer_format(writer,
                       ",\"object\":\"model\",\"created\":%llu,\"owned_by\":\"weir\","
                       "\"context_length\":%u,\"loaded\":%s}",
                       (unsigned long long)serve->begin_s, model->n_ctx,
                       is_here ? "true" : "false");
}

static void tell_models(struct weir_exchange *exchange)
{
    const struct weir_serve *serve = exchange->serve;
    struct weir_writer *writer = &exchange->answer;
    weir_writer_text(writer, "{\"object\":\"list\",\"data\":[");
    for (size_t index = 0; index < serve->model_count; index++) {
        weir_writer_text(writer, index == 0 ? "" : ",");
        write_model(serve, index, writer);
    }
    weir_writer_text(writer, "]}");
    weir_exchange_reply(exchange, 200, "application/json");
}

static void tell_model(struct weir_exchange *exchange)
{
    const struct weir_serve *serve = exchange->serve;
    size_t index = 0;
    while (index < serve->model_count && strcmp(serve->models[index].id, exchange->part) != 0)
        index++;
    if (index < serve->model_count) {
        write_model(serve, index, &exchange->answer);
        weir_exchange_reply(exchange, 200, "application/json");
    } else {
        weir_serve_problem_unknown(serve, &exchange->problem);
        weir_exchange_refuse(exchange);
    }
}

/* Whose key was shown: which of them it is, from 1 on. */
static void tell_me(struct weir_exchange *exchange)
{
    struct weir_writer *writer = &exchange->answer;
    if (exchange->party == NULL)
        weir_writer_text(writer, "{\"id\":\"local\"");
    else
        weir_writer_format(writer, "{\"id\":\"key-%u\"",
                           (unsigned)(exchange->party - exchange->serve->parties) + 1);
    weir_writer_text(writer, ",\"object\":\"user\",\"owned_by\":\"weir\"}");
    weir_exchange_reply(exchange, 200, "application/json");
}

static const struct weir_route routes[] = {
    {"GET", "/health", tell_health, NULL, true, false, false},
    {"GET", "/openapi.json", weir_openapi_tell, NULL, true, false, false},
    {"GET", "/v1/models", tell_models, NULL, false, false, false},
    {"GET", "/v1/models/{model}", tell_model, NULL, false, false, false},
    {"GET", "/v1/me", tell_me, NULL, false, false, false},
    {"GET", "/props", weir_props_tell, NULL, false, false, false},
    {"GET", "/metrics", weir_metrics_tell, NULL, false, false, false},
    {"GET", "/slots", weir_texts_tell, NULL, false, false, false},
    {"GET", "/v1/watch", weir_watch_tell, NULL, false, false, false},
    {"POST", "/v1/chat/completions", NULL, weir_openai_chat_read, false, false, true},
    {"POST", "/v1/chat/completions/control", NULL, weir_control_read, false, false, false},
    {"POST", "/v1/responses", NULL, weir_responses_read, false, false, true},
    {"POST", "/v1/responses/input_tokens", NULL, weir_responses_count_read, false, false, false},
    {"GET", "/v1/responses/{response_id}/input_items", weir_response_items_tell, NULL, false, false,
     false},
    {"GET", "/v1/responses/{response_id}", weir_response_tell, NULL, false, false, false},
    {"DELETE", "/v1/responses/{response_id}", weir_response_forget, NULL, false, false, false},
    {"POST", "/v1/embeddings", NULL, weir_embeddings_read, false, false, false},
    {"POST", "/v1/completions", NULL, weir_openai_completions_read, false, false, true},
    {"POST", "/v1/messages", NULL, weir_anthropic_messages_read, false, true, true},
    {"POST", "/v1/messages/count_tokens", NULL, weir_anthropic_count_read, false, true, false},
    {"POST", "/apply-template", NULL, weir_template_read, false, false, false},
    {"POST", "/tokenize", NULL, weir_tokenize_read, false, false, false},
    {"POST", "/detokenize", NULL, weir_detokenize_read, false, false, false},
};

const struct weir_route *weir_route_at(uint32_t index)
{
    return index < WEIR_COUNT(routes) ? &routes[index] : NULL;
}

/* Whether it is the route's path; *part: what stands there for the words in braces. */
static bool is_path(const char *pattern, const char *path, char part[WEIR_PATH_PART_MAX])
{
    const size_t before = strcspn(pattern, "{");
    part[0] = '\0';
    if (pattern[before] == '\0' || strncmp(pattern, path, before) != 0)
        return strcmp(pattern, path) == 0;
    const char *behind = strchr(pattern, '}') + 1;
    const size_t length = strlen(path), behind_length = strlen(behind);
    if (length <= before + behind_length || strcmp(path + length - behind_length, behind) != 0 ||
        length - before - behind_length >= WEIR_PATH_PART_MAX)
        return false;
    memcpy(part, path + before, length - before - behind_length);
    part[length - before - behind_length] = '\0';
    return true;
}

/* As an answer's header says it. */
static const char *list_methods(bool gets, bool posts, bool deletes)
{
    if (gets)
        return deletes ? "GET, HEAD, DELETE" : "GET, HEAD";
    return posts ? "POST" : deletes ? "DELETE" : NULL;
}

const struct weir_route *weir_route_find(const char *method, const char *path, const char **allow,
                                         char part[WEIR_PATH_PART_MAX])
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method; /* without its text */
    const struct weir_route *page = weir_page_route(path);
    bool gets = page != NULL, posts = false, deletes = false;
    *allow = NULL;
    part[0] = '\0';
    if (page != NULL && strcmp(wanted, "GET") == 0)
        return page;
    for (size_t index = 0; index < WEIR_COUNT(routes); index++) {
        const struct weir_route *route = &routes[index];
        if (!is_path(route->path, path, part))
            continue;
        if (strcmp(route->method, wanted) == 0)
            return route;
        gets = gets || strcmp(route->method, "GET") == 0;
        posts = posts || strcmp(route->method, "POST") == 0;
        deletes = deletes || strcmp(route->method, "DELETE") == 0;
    }
    *allow = list_methods(gets, posts, deletes);
    return NULL;
}
