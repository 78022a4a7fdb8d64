/* lobby.c - requests that wait for another model than the one that is served. */
#include "serve/lobby.h"

#include <string.h>

#include "serve/server.h"

/* The model that the request names; the one that is here, or was, where it names none or one that
 * there is not, which is found when it is read. */
static size_t find_model(const struct weir_serve *serve, const json_t *root)
{
    const char *name = json_string_value(json_object_get(root, "model"));
    for (size_t index = 0; name != NULL && index < serve->model_count; index++)
        if (strcmp(serve->models[index].id, name) == 0)
            return index;
    return serve->served;
}

static bool is_here(const struct weir_lobby *lobby, size_t model)
{
    return weir_serve_is_served(lobby->serve) && lobby->serve->served == model;
}

size_t weir_lobby_wanted(const struct weir_lobby *lobby)
{
    for (const struct weir_exchange *at = lobby->first; at != NULL; at = at->next)
        if (is_here(lobby, at->model) && (at->is_called || at == lobby->first))
            return SIZE_MAX; /* it is read before */
    return lobby->first == NULL ? SIZE_MAX : lobby->first->model;
}

bool weir_lobby_take(struct weir_lobby *lobby, struct weir_exchange *exchange, const json_t *root)
{
    exchange->model = find_model(lobby->serve, root);
    if (exchange->is_called || (lobby->first == NULL && is_here(lobby, exchange->model)))
        return false;
    if (lobby->count >= weir_max(lobby->serve->limits.queue_max, 1)) {
        weir_serve_problem_full(lobby->serve, exchange);
        return false;
    }
    exchange->next = NULL;
    if (lobby->last != NULL)
        lobby->last->next = exchange;
    else
        lobby->first = exchange;
    lobby->last = exchange;
    lobby->count++;
    return true;
}

/* Takes out the one behind before; NULL: the first. */
static struct weir_exchange *take_out(struct weir_lobby *lobby, struct weir_exchange *before)
{
    struct weir_exchange *exchange = before == NULL ? lobby->first : before->next;
    if (before == NULL)
        lobby->first = exchange->next;
    else
        before->next = exchange->next;
    if (lobby->last == exchange)
        lobby->last = before;
    exchange->next = NULL;
    lobby->count--;
    return exchange;
}

/* Another model is here: all that wait for it now come with it. */
static void call(struct weir_lobby *lobby)
{
    const uint32_t generation =
        atomic_load_explicit(&lobby->serve->generation, memory_order_acquire);
    if (lobby->generation == generation)
        return;
    lobby->generation = generation;
    for (struct weir_exchange *at = lobby->first; at != NULL; at = at->next)
        at->is_called = is_here(lobby, at->model);
}

struct weir_exchange *weir_lobby_next(struct weir_lobby *lobby)
{
    struct weir_exchange *before = NULL;
    if (!weir_serve_is_served(lobby->serve))
        return NULL;
    call(lobby);
    for (struct weir_exchange *at = lobby->first; at != NULL; before = at, at = at->next) {
        if (!is_here(lobby, at->model) || (!at->is_called && before != NULL))
            continue;
        struct weir_exchange *exchange = take_out(lobby, before);
        exchange->is_called = true;
        return exchange;
    }
    return NULL;
}

static void refuse(struct weir_exchange *exchange, unsigned status, const char *code,
                   const char *why)
{
    weir_problem_set(&exchange->problem, status, "server_error", code, NULL, "%s", why);
    weir_exchange_refuse(exchange);
    weir_exchange_release(exchange);
}

void weir_lobby_weed(struct weir_lobby *lobby)
{
    struct weir_exchange *before = NULL;
    struct weir_exchange *at = lobby->first;
    while (at != NULL) {
        struct weir_exchange *next = at->next;
        if (weir_exchange_look(at) == WEIR_JOB_LEAVES)
            refuse(take_out(lobby, before), 503, "stopped", "the request has waited too long");
        else
            before = at;
        at = next;
    }
}

void weir_lobby_refuse(struct weir_lobby *lobby, size_t model, unsigned status, const char *why)
{
    struct weir_exchange *before = NULL;
    struct weir_exchange *at = lobby->first;
    while (at != NULL) {
        struct weir_exchange *next = at->next;
        if (model == SIZE_MAX || at->model == model)
            refuse(take_out(lobby, before), status, "model_not_loaded", why);
        else
            before = at;
        at = next;
    }
}
