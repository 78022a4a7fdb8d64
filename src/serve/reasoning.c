/* reasoning.c - how long a model may reason. */
#include "serve/reasoning.h"

#include <string.h>

#include "base/heap.h"
#include "serve/server.h"

/* ---- how reasoning ends -------------------------------------------------------------------- */

struct closing {
    const char *text;
    uint32_t *ids;
    size_t count;
};

struct weir_closings {
    uint32_t count;
    struct closing rows[];
};

enum weir_status weir_closings_create(struct weir_closings **out, weir_tokenizer *tokenizer,
                                      struct weir_err *err)
{
    uint32_t count = 0;
    enum weir_status status = WEIR_OK;
    while (weir_reasoning_end(count) != NULL)
        count++;
    struct weir_closings *closings =
        weir_heap_alloc(sizeof(*closings) + count * sizeof(closings->rows[0]));
    if (closings == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the ends of reasoning");
    closings->count = count;
    for (uint32_t row = 0; row < count && status == WEIR_OK; row++) {
        struct closing *closing = &closings->rows[row];
        closing->text = weir_reasoning_end(row);
        status =
            weir_tokenizer_encode(tokenizer, closing->text, strlen(closing->text),
                                  WEIR_TEXT_PARSE_SPECIAL, &closing->ids, &closing->count, err);
    }
    if (status == WEIR_OK)
        *out = closings;
    else
        weir_closings_destroy(&closings);
    return status;
}

void weir_closings_destroy(struct weir_closings **closings)
{
    if (*closings == NULL)
        return;
    for (uint32_t row = 0; row < (*closings)->count; row++)
        weir_ids_free(&(*closings)->rows[row].ids);
    weir_heap_free(*closings);
    *closings = NULL;
}

/* ---- when it does -------------------------------------------------------------------------- */

void weir_reasoning_count(struct weir_choice_text *choice)
{
    choice->reasoning_count += weir_reply_reasoning_end(choice->reply) != NULL;
}

void weir_reasoning_watch(struct weir_choice_text *choice)
{
    const struct weir_closings *closings = choice->request->exchange->serve->closings;
    const char *end = weir_reply_reasoning_end(choice->reply);
    /* Relaxed: the flag publishes nothing but itself. */
    const bool is_enough = choice->reasoning_count >= choice->request->reasoning_max ||
                           atomic_load_explicit(&choice->ends_reasoning, memory_order_relaxed);
    if (end == NULL || !is_enough || choice->was_closed)
        return;
    for (uint32_t row = 0; row < closings->count; row++)
        if (strcmp(closings->rows[row].text, end) == 0) {
            choice->job.forced = closings->rows[row].ids;
            choice->job.forced_count = (uint32_t)closings->rows[row].count;
            choice->was_closed = true;
        }
}

/* ---- requests that run --------------------------------------------------------------------- */

void weir_running_add(struct weir_request *request)
{
    struct weir_serve *serve = request->exchange->serve;
    pthread_mutex_lock(&serve->running_lock);
    request->next = serve->running;
    if (request->next != NULL)
        request->next->before = request;
    serve->running = request;
    pthread_mutex_unlock(&serve->running_lock);
}

void weir_running_remove(struct weir_request *request)
{
    struct weir_serve *serve = request->exchange->serve;
    pthread_mutex_lock(&serve->running_lock);
    if (request->before != NULL)
        request->before->next = request->next;
    else
        serve->running = request->next;
    if (request->next != NULL)
        request->next->before = request->before;
    pthread_mutex_unlock(&serve->running_lock);
}

/* One lock at a time: they are held, and told behind the list's. */
void weir_running_beat(struct weir_serve *serve)
{
    const uint64_t every_ns = serve->limits.beat_s * UINT64_C(1000000000);
    struct weir_exchange *first = NULL;
    if (every_ns == 0)
        return;
    pthread_mutex_lock(&serve->running_lock);
    for (struct weir_request *request = serve->running; request != NULL; request = request->next)
        if (request->is_stream) {
            struct weir_exchange *exchange = request->exchange;
            weir_exchange_hold(exchange);
            exchange->beaten = first;
            first = exchange;
        }
    pthread_mutex_unlock(&serve->running_lock);
    while (first != NULL) {
        struct weir_exchange *exchange = first;
        first = exchange->beaten;
        weir_exchange_beat(exchange, every_ns);
        weir_exchange_release(exchange);
    }
}

/* False: none of that name runs. */
static bool end_reasoning(struct weir_serve *serve, const char *name)
{
    pthread_mutex_lock(&serve->running_lock);
    struct weir_request *request = serve->running;
    while (request != NULL && strcmp(request->name, name) != 0)
        request = request->next;
    for (uint32_t index = 0; request != NULL && index < request->choice_count; index++)
        atomic_store_explicit(&request->choices[index].ends_reasoning, true, memory_order_relaxed);
    pthread_mutex_unlock(&serve->running_lock);
    return request != NULL;
}

/* Any that can be asked for: it need not be here any more. */
static void check_model(const struct weir_serve *serve, const struct weir_fields *fields)
{
    const char *name = weir_field_text(fields, "model");
    size_t index = 0;
    while (name != NULL && index < serve->model_count && strcmp(serve->models[index].id, name) != 0)
        index++;
    if (name != NULL && index == serve->model_count && !serve->config.any_model)
        weir_problem_set(fields->problem, 404, "invalid_request_error", "model_not_found", "model",
                         "\"model\": this server has none of that name");
}

void weir_control_read(struct weir_exchange *exchange, json_t *root)
{
    const struct weir_fields fields = {root, &exchange->problem};
    weir_fields_check_members(&fields, weir_control_members, NULL);
    check_model(exchange->serve, &fields);
    weir_field_only(&fields, "action", "\"reasoning_end\"");
    const char *name = weir_field_text(&fields, "id");
    if (name == NULL || weir_field(&fields, "action") == NULL)
        WEIR_PROBLEM(&exchange->problem, name == NULL ? "id" : "action",
                     "wanted the \"id\" of an answer that is being written, and the \"action\" "
                     "\"reasoning_end\"");
    if (exchange->problem.status != 0) {
        weir_exchange_refuse(exchange);
        return;
    }
    weir_writer_text(&exchange->answer,
                     end_reasoning(exchange->serve, name)
                         ? "{\"success\":true}"
                         : "{\"success\":false,\"message\":\"no answer of that id is being "
                           "written\"}");
    weir_exchange_reply(exchange, 200, "application/json");
}
