/* desk.c - one thread that reads requests, one after the other: JSON, template, tokens, grammars.
 *
 * What that takes in memory is held by one request at a time, and however long it takes, texts that
 * are being written go on. Requests for a model that is not here wait in the lobby. */
#include <time.h>

#include "base/heap.h"
#include "base/thread.h"
#include "serve/lobby.h"
#include "serve/reasoning.h"
#include "serve/server.h"

enum {
    STACK_BYTES = (2 << 20) - (64 << 10), /* JSON and templates are read by recursion */
    LOOK_MS = 100,                        /* between two looks at who waits in the lobby */
};

struct weir_desk {
    struct weir_serve *serve;
    pthread_t thread;
    bool has_thread;
    struct weir_lobby lobby; /* the thread's own */
    pthread_mutex_t lock;    /* guards what follows */
    pthread_cond_t changed;
    struct weir_exchange *first, *last;
    uint32_t count; /* of them */
    bool is_ending;
    bool is_paused, is_reading; /* paused: nothing more is read */
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
    desk->count += is_open;
    pthread_cond_broadcast(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
    return is_open;
}

bool weir_desk_is_full(struct weir_desk *desk)
{
    const uint32_t lobby = atomic_load_explicit(&desk->serve->lobby_count, memory_order_relaxed);
    pthread_mutex_lock(&desk->lock);
    const bool is_full = desk->count + lobby >= desk->serve->limits.connection_max;
    pthread_mutex_unlock(&desk->lock);
    return is_full;
}

/* With the lock held: until something changes, or the lobby has to be looked at again. */
static void wait(struct weir_desk *desk)
{
    struct timespec until;
    if (desk->lobby.first == NULL) {
        pthread_cond_wait(&desk->changed, &desk->lock);
        return;
    }
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    pthread_cond_timedwait(&desk->changed, &desk->lock, &until);
}

/* Who waits in vain is let go. Which model has to come is found while none comes or goes. */
static void tend_lobby(struct weir_desk *desk)
{
    weir_lobby_tend(&desk->lobby);
    pthread_mutex_lock(&desk->lock);
    if (!desk->is_paused)
        atomic_store(&desk->serve->wanted, weir_lobby_wanted(&desk->lobby));
    pthread_mutex_unlock(&desk->lock);
    atomic_store_explicit(&desk->serve->lobby_count, desk->lobby.count, memory_order_relaxed);
}

/* With the lock held. NULL: there is none. */
static struct weir_exchange *find_next(struct weir_desk *desk)
{
    struct weir_exchange *exchange = desk->is_paused ? NULL : weir_lobby_next(&desk->lobby);
    if (exchange != NULL || desk->is_paused || desk->first == NULL)
        return exchange;
    exchange = desk->first;
    desk->first = exchange->next;
    desk->count--;
    if (desk->first == NULL)
        desk->last = NULL;
    return exchange;
}

/* NULL: the end. */
static struct weir_exchange *take(struct weir_desk *desk)
{
    struct weir_exchange *exchange = NULL;
    bool goes_on = true;
    while (exchange == NULL && goes_on) {
        tend_lobby(desk);
        pthread_mutex_lock(&desk->lock);
        desk->is_reading = false;
        pthread_cond_broadcast(&desk->changed);
        exchange = find_next(desk);
        goes_on = !desk->is_ending;
        if (exchange == NULL && goes_on)
            wait(desk);
        desk->is_reading = exchange != NULL;
        pthread_mutex_unlock(&desk->lock);
    }
    return exchange;
}

static void drop_body(struct weir_exchange *exchange)
{
    weir_writer_free(&exchange->body);
    weir_serve_body_give(exchange->serve, exchange->body_counted);
    exchange->body_counted = 0;
}

/* False: the lobby has it. */
static bool read_request(struct weir_desk *desk, struct weir_exchange *exchange)
{
    const struct weir_serve_limits *limits = weir_serve_limits_of(exchange->serve);
    if (weir_exchange_look(exchange) == WEIR_JOB_LEAVES) {
        weir_problem_set(&exchange->problem, 503, "server_error", "stopped", NULL,
                         "the request has waited too long");
        weir_exchange_refuse(exchange);
        return true;
    }
    json_t *root = weir_fields_parse(exchange->body.bytes, exchange->body.length,
                                     weir_serve_json_bytes(limits), &exchange->problem);
    const bool wants_model = exchange->route->read != weir_control_read;
    if (root != NULL && wants_model && weir_lobby_take(&desk->lobby, exchange, root)) {
        json_decref(root); /* it is read again */
        return false;
    }
    drop_body(exchange);
    const bool is_read = root != NULL && exchange->problem.status == 0;
    if (is_read && wants_model)
        atomic_fetch_add_explicit(&exchange->serve->use_count, 1, memory_order_relaxed);
    if (is_read)
        exchange->route->read(exchange, root);
    else
        weir_exchange_refuse(exchange);
    json_decref(root);
    return true;
}

static void *run(void *argument)
{
    struct weir_desk *desk = argument;
    struct weir_exchange *exchange = NULL;
    weir_thread_name("desk", 0);
    while ((exchange = take(desk)) != NULL)
        if (read_request(desk, exchange))
            weir_exchange_release(exchange);
    weir_lobby_tend(&desk->lobby); /* all of them: the server is being stopped */
    return NULL;
}

enum weir_status weir_desk_create(struct weir_desk **out, struct weir_serve *serve,
                                  struct weir_err *err)
{
    struct weir_desk *desk = weir_heap_alloc(sizeof(*desk));
    if (desk == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a desk");
    desk->serve = desk->lobby.serve = serve;
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

void weir_desk_pause(struct weir_desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    desk->is_paused = true;
    while (desk->is_reading)
        pthread_cond_wait(&desk->changed, &desk->lock);
    pthread_mutex_unlock(&desk->lock);
}

void weir_desk_resume(struct weir_desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    desk->is_paused = false;
    pthread_cond_broadcast(&desk->changed);
    pthread_mutex_unlock(&desk->lock);
}

void weir_desk_stop(struct weir_desk *desk)
{
    pthread_mutex_lock(&desk->lock);
    desk->is_ending = true;
    desk->is_paused = false;
    pthread_cond_broadcast(&desk->changed);
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
