/* desk.c - one thread that reads requests, one after the other: JSON, template, tokens, grammars.
 *
 * What that takes in memory is held by one request at a time, and however long it takes, texts that
 * are being written go on. */
#include <string.h>

#include "base/heap.h"
#include "base/thread.h"
#include "serve/server.h"

enum { STACK_BYTES = (2 << 20) - (64 << 10) /* JSON and templates are read by recursion */ };

struct weir_desk {
    struct weir_serve *serve;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct weir_exchange *first, *last;
    bool is_ending;
};

bool weir_desk_submit(struct weir_desk *desk, struct weir_exchange *exchange)
{
    exchange->next = NULL;
    pthread_mutex_lock(&desk->lock);
    const bool is_open = !desk->is_ending;
    if (is_open && desk->last != NULL)
        desk->last->next = exchange;
    else if (is_open)
        desk->first = exchange;
    if (is_open)
        desk->last = exchange;
    pthread_cond_signal(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
    return is_open;
}

/* NULL: the end. */
static struct weir_exchange *take(struct weir_desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    while (desk->first == NULL && !desk->is_ending)
        pthread_cond_wait(&desk->changed, &desk->lock);
    struct weir_exchange *exchange = desk->first;
    if (exchange != NULL)
        desk->first = exchange->next;
    if (desk->first == NULL)
        desk->last = NULL;
    pthread_mutex_unlock(&desk->lock);
    return exchange;
}

static void drop_body(struct weir_exchange *exchange)
{
    weir_writer_free(&exchange->body);
    weir_serve_body_give(exchange->serve, exchange->body_counted);
    exchange->body_counted = 0;
}

static void read_request(struct weir_exchange *exchange)
{
    const struct weir_serve_limits *limits = weir_serve_limits_of(exchange->serve);
    if (weir_exchange_look(exchange) == WEIR_JOB_LEAVES) {
        weir_problem_set(&exchange->problem, 503, "server_error", "stopped", NULL,
                         "the request has waited too long");
        weir_exchange_refuse(exchange);
        return;
    }
    json_t *root = weir_fields_parse(exchange->body.bytes, exchange->body.length,
                                     weir_serve_json_bytes(limits), &exchange->problem);
    drop_body(exchange);
    if (root == NULL)
        weir_exchange_refuse(exchange);
    else
        exchange->route->read(exchange, root);
    json_decref(root);
}

static void *run(void *argument)
{
    struct weir_desk *desk = argument;
    struct weir_exchange *exchange = NULL;
    weir_thread_name("desk", 0);
    while ((exchange = take(desk)) != NULL) {
        read_request(exchange);
        weir_exchange_release(exchange);
    }
    return NULL;
}

enum weir_status weir_desk_create(struct weir_desk **out, struct weir_serve *serve,
                                  struct weir_err *err)
{
    struct weir_desk *desk = weir_heap_alloc(sizeof(*desk));
    if (desk == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a desk");
    desk->serve = serve;
    pthread_mutex_init(&desk->lock, NULL);
    pthread_cond_init(&desk->changed, NULL);
    const int os_errno = weir_thread_start(&desk->thread, STACK_BYTES, run, desk);
    desk->has_thread = os_errno == 0;
    if (os_errno != 0) {
        weir_desk_destroy(&desk);
        return WEIR_FAIL_OS(err, os_errno, "start a thread");
    }
    *out = desk;
    return WEIR_OK;
}

void weir_desk_stop(struct weir_desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    desk->is_ending = true;
    pthread_cond_signal(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
    if (desk->has_thread)
        pthread_join(desk->thread, NULL);
    desk->has_thread = false;
}

void weir_desk_destroy(struct weir_desk **desk)
{
    if (*desk == NULL)
        return;
    weir_desk_stop(*desk);
    pthread_cond_destroy(&(*desk)->changed);
    pthread_mutex_destroy(&(*desk)->lock);
    weir_heap_free(*desk);
    *desk = NULL;
}
