/* lobby.c - requests that wait for another model than the one that is served. */
#include "serve/lobby.h"

#include <string.h>

#include "serve/server.h"

/* The model that the request names; the one that is here, or was, where it names none, or any name
 * may mean it. SIZE_MAX: there is none of that name. */
static size_t find_model(const struct weir_serve *serve, const json_t *root)
{
    const char *name = json_string_value(json_object_get(root, "model"));
    for (size_t index = 0; name != NULL && index < serve->model_count; index++)
        if (strcmp(serve->models[index].id, name) == 0)
            return index;
    return name == NULL || serve->config.any_model ? serve->served : SIZE_MAX;
}

static bool is_here(const struct weir_lobby *lobby, size_t model)
{
    return weir_serve_is_served(lobby->serve) && lobby->serve->served == model;
}

/* Another model is here: all that wait for it now come with it. */
static void call(struct weir_lobby *lobby)
{
    const uint32_t generation =
        atomic_load_explicit(&lobby->serve->generation, memory_order_acquire);
    if (lobby->generation == generation || !weir_serve_is_served(lobby->serve))
        return;
    lobby->generation = generation;
    for (struct weir_exchange *at = lobby->first; at != NULL; at = at->next)
        at->is_called = is_here(lobby, at->model);
}

size_t weir_lobby_wanted(struct weir_lobby *lobby)
{
    call(lobby);
    for (const struct weir_exchange *at = lobby->first; at != NULL; at = at->next)
        if (is_here(lobby, at->model) && (at->is_called || at == lobby->first))
            return SIZE_MAX; /* it is read before */
    return lobby->first == NULL ? SIZE_MAX : lobby->first->model;
}

/* Where several keys are shown, one of them has half of the places at most. */
static bool is_full_for(const struct weir_lobby *lobby, const struct weir_party *party)
{
    const uint32_t most = (uint32_t)weir_max(lobby->serve->limits.queue_max / 2, 1);
    uint32_t count = 0;
    if (lobby->serve->config.key_count < 2)
        return false;
    for (const struct weir_exchange *at = lobby->first; at != NULL; at = at->next)
        count += at->party == party;
    return count >= most;
}

/* Whether there is no use in waiting, or no place: the problem says which. */
static bool is_refused(const struct weir_lobby *lobby, struct weir_exchange *exchange)
{
    const struct weir_serve *serve = lobby->serve;
    if (exchange->model == SIZE_MAX)
        weir_serve_problem_unknown(serve, &exchange->problem);
    else if (weir_serve_is_absent(serve, exchange->model))
        weir_serve_problem_absent(serve, exchange, exchange->model);
    else if (lobby->count >= weir_max(serve->limits.queue_max, 1))
        weir_serve_problem_full(serve, exchange);
    else if (is_full_for(lobby, exchange->party))
        weir_serve_problem_crowded(serve, exchange);
    return exchange->problem.status != 0;
}

bool weir_lobby_take(struct weir_lobby *lobby, struct weir_exchange *exchange, const json_t *root)
{
    if (exchange->is_called)
        return false;
    exchange->model = find_model(lobby->serve, root);
    if ((lobby->first == NULL && is_here(lobby, exchange->model)) || is_refused(lobby, exchange))
        return false;
    exchange->wants_stream =
        exchange->route->streams && json_is_true(json_object_get(root, "stream"));
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

/* Whether it need not wait any longer: its problem says why. */
static bool waits_in_vain(const struct weir_lobby *lobby, struct weir_exchange *exchange)
{
    struct weir_problem *problem = &exchange->problem;
    if (weir_exchange_look(exchange) == WEIR_JOB_LEAVES)
        weir_problem_set(problem, 503, "server_error", "stopped", NULL,
                         "the request has waited too long");
    else if (atomic_load(&lobby->serve->is_draining))
        weir_problem_set(problem, 503, "server_error", "stopping", NULL,
                         "the server is being stopped");
    else if (weir_serve_is_absent(lobby->serve, exchange->model))
        weir_serve_problem_absent(lobby->serve, exchange, exchange->model);
    return problem->status != 0;
}

void weir_lobby_tend(struct weir_lobby *lobby)
{
    const uint64_t beat_ns = lobby->serve->limits.beat_s * UINT64_C(1000000000);
    struct weir_exchange *before = NULL;
    struct weir_exchange *at = lobby->first;
    while (at != NULL) {
        struct weir_exchange *next = at->next;
        if (waits_in_vain(lobby, at)) {
            take_out(lobby, before);
            weir_exchange_refuse(at);
            weir_exchange_release(at);
        } else {
            weir_exchange_beat(at, beat_ns);
            before = at;
        }
        at = next;
    }
}
