/* exchange.c - one HTTP request and its answer, between the client's thread and the workers'. */
#include "serve/exchange.h"

#include <poll.h>
#include <string.h>

#include "base/heap.h"
#include "serve/embeddings.h"
#include "serve/mhd_load.h"
#include "serve/request.h"
#include "serve/server.h"

struct weir_exchange *weir_exchange_create(struct weir_serve *serve)
{
    struct weir_exchange *exchange = weir_heap_alloc(sizeof(*exchange));
    if (exchange == NULL)
        return NULL;
    exchange->serve = serve;
    exchange->fd = -1;
    exchange->begin_ns = exchange->sent_ns = weir_now_ns();
    pthread_mutex_init(&exchange->lock, NULL);
    atomic_init(&exchange->references, 1);
    return exchange;
}

void weir_exchange_hold(struct weir_exchange *exchange)
{
    atomic_fetch_add_explicit(&exchange->references, 1, memory_order_relaxed);
}

void weir_exchange_release(struct weir_exchange *exchange)
{
    /* Acquire and release: whoever frees it sees what the other side did. */
    if (atomic_fetch_sub_explicit(&exchange->references, 1, memory_order_acq_rel) > 1)
        return;
    weir_serve_log_exchange(exchange);
    weir_serve_places_give(exchange->serve, exchange->place_count);
    weir_serve_body_give(exchange->serve, exchange->body_counted);
    weir_request_destroy(&exchange->request);
    weir_embedding_destroy(&exchange->embedding);
    weir_writer_free(&exchange->body);
    weir_writer_free(&exchange->answer);
    pthread_mutex_destroy(&exchange->lock);
    weir_heap_free(exchange);
}

/* With the lock held: the client's side has something to do. */
static void resume(struct weir_exchange *exchange)
{
    if (!exchange->is_suspended || exchange->connection == NULL)
        return;
    exchange->is_suspended = false;
    weir_mhd()->MHD_resume_connection(exchange->connection);
}

static void write_openai(const struct weir_problem *problem, struct weir_writer *writer)
{
    weir_writer_text(writer, "{\"error\":{\"message\":");
    weir_writer_string(writer, problem->text, strlen(problem->text));
    weir_writer_text(writer, ",\"type\":");
    weir_writer_string(writer, problem->type, strlen(problem->type));
    weir_writer_text(writer, ",\"param\":");
    if (problem->field[0] == '\0')
        weir_writer_text(writer, "null");
    else
        weir_writer_string(writer, problem->field, strlen(problem->field));
    weir_writer_text(writer, ",\"code\":");
    weir_writer_string(writer, problem->code, strlen(problem->code));
    weir_writer_text(writer, "}}");
}

/* By the status, for nothing else is known of most problems. */
static void write_anthropic(const struct weir_problem *problem, struct weir_writer *writer)
{
    static const struct {
        unsigned status;
        const char *type;
    } types[] = {{401, "authentication_error"}, {403, "permission_error"},
                 {404, "not_found_error"},      {413, "request_too_large"},
                 {429, "rate_limit_error"},     {503, "overloaded_error"}};
    const char *type = problem->status < 500 ? "invalid_request_error" : "api_error";
    for (size_t row = 0; row < WEIR_COUNT(types); row++)
        if (types[row].status == problem->status)
            type = types[row].type;
    weir_writer_format(writer, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":", type);
    weir_writer_string(writer, problem->text, strlen(problem->text));
    weir_writer_text(writer, "}}");
}

void weir_exchange_write_problem(const struct weir_exchange *exchange, struct weir_writer *writer)
{
    if (exchange->route != NULL && exchange->route->is_anthropic)
        write_anthropic(&exchange->problem, writer);
    else
        write_openai(&exchange->problem, writer);
}

void weir_exchange_write_failure(const struct weir_exchange *exchange, struct weir_writer *writer)
{
    weir_writer_text(writer, exchange->route->is_anthropic ? "event: error\ndata: " : "data: ");
    weir_exchange_write_problem(exchange, writer);
    weir_writer_text(writer, "\n\n");
}

void weir_exchange_reply(struct weir_exchange *exchange, unsigned status, const char *type)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->status = exchange->answer.failed ? 500 : status;
    exchange->type = type;
    exchange->is_ready = exchange->is_finished = true;
    resume(exchange);
    pthread_mutex_unlock(&exchange->lock);
}

/* Its request is needed no more, and what that holds is planned for texts that run. */
void weir_exchange_refuse(struct weir_exchange *exchange)
{
    struct weir_writer piece = {0};
    weir_request_destroy(&exchange->request);
    if (exchange->is_stream) { /* it has begun while the request waited for its model */
        weir_exchange_write_failure(exchange, &piece);
        weir_exchange_send(exchange, &piece);
        weir_exchange_finish(exchange);
        weir_writer_free(&piece);
        return;
    }
    weir_writer_clear(&exchange->answer);
    weir_exchange_write_problem(exchange, &exchange->answer);
    weir_exchange_reply(exchange, exchange->problem.status, "application/json");
}

/* With the lock held. */
static void begin_stream(struct weir_exchange *exchange, const char *type)
{
    exchange->status = 200;
    exchange->type = type;
    exchange->is_ready = exchange->is_stream = true;
    exchange->sent_ns = weir_now_ns();
    resume(exchange);
}

void weir_exchange_begin_stream(struct weir_exchange *exchange, const char *type)
{
    pthread_mutex_lock(&exchange->lock);
    begin_stream(exchange, type);
    pthread_mutex_unlock(&exchange->lock);
}

/* With the lock held: more of a stream, of which whole pieces come only. */
static void add(struct weir_exchange *exchange, const char *bytes, size_t length)
{
    if (exchange->sent > 0) {
        exchange->answer.length -= exchange->sent;
        memmove(exchange->answer.bytes, exchange->answer.bytes + exchange->sent,
                exchange->answer.length);
        exchange->sent = 0;
    }
    weir_writer_put(&exchange->answer, bytes, length);
    exchange->sent_ns = weir_now_ns();
    resume(exchange);
}

void weir_exchange_send(struct weir_exchange *exchange, const struct weir_writer *piece)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->answer.failed |= piece->failed;
    if (exchange->connection != NULL)
        add(exchange, piece->bytes, piece->length);
    pthread_mutex_unlock(&exchange->lock);
}

/* A comment, which clients skip, or what the API has for that. */
void weir_exchange_beat(struct weir_exchange *exchange, uint64_t every_ns)
{
    const char *beat = exchange->route->is_anthropic ? "event: ping\ndata: {\"type\":\"ping\"}\n\n"
                                                     : ": it goes on\n\n";
    pthread_mutex_lock(&exchange->lock);
    const bool is_due = every_ns > 0 && !exchange->is_finished && exchange->connection != NULL &&
                        exchange->answer.length == exchange->sent &&
                        weir_now_ns() - exchange->sent_ns >= every_ns;
    if (is_due && exchange->wants_stream && !exchange->is_ready)
        begin_stream(exchange, "text/event-stream");
    if (is_due && exchange->is_stream)
        add(exchange, beat, strlen(beat));
    pthread_mutex_unlock(&exchange->lock);
}

void weir_exchange_finish(struct weir_exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->is_finished = true;
    resume(exchange);
    pthread_mutex_unlock(&exchange->lock);
}

void weir_exchange_break(struct weir_exchange *exchange)
{
    pthread_mutex_lock(&exchange->lock);
    exchange->answer.failed = exchange->is_finished = true;
    resume(exchange);
    pthread_mutex_unlock(&exchange->lock);
}

/* With the lock held. A client that has closed its side does not wait for an answer. */
static bool has_left(const struct weir_exchange *exchange)
{
    struct pollfd peer = {.fd = exchange->fd, .events = POLLRDHUP};
    if (exchange->connection == NULL || exchange->answer.failed)
        return true;
    return poll(&peer, 1, 0) > 0 && (peer.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

/* With the lock held: whether its client has let us wait for too long, in all. */
static bool is_too_late(struct weir_exchange *exchange, uint64_t now_ns)
{
    const uint64_t most_s = weir_serve_limits_of(exchange->serve)->request_s;
    if (exchange->is_late)
        exchange->late_ns += now_ns - exchange->looked_ns;
    exchange->looked_ns = now_ns;
    exchange->is_late = exchange->is_stream &&
                        exchange->answer.length - exchange->sent > WEIR_EXCHANGE_BACKLOG_BYTES;
    return exchange->late_ns > most_s * 1000000000ull;
}

enum weir_job_look weir_exchange_look(struct weir_exchange *exchange)
{
    const uint64_t answer_s = weir_serve_limits_of(exchange->serve)->answer_s;
    const uint64_t now_ns = weir_now_ns();
    enum weir_job_look look = WEIR_JOB_WANTED;
    pthread_mutex_lock(&exchange->lock);
    exchange->has_left = has_left(exchange);
    if (exchange->has_left || is_too_late(exchange, now_ns) ||
        (answer_s > 0 && now_ns - exchange->begin_ns > answer_s * 1000000000ull))
        look = WEIR_JOB_LEAVES;
    else if (exchange->is_late)
        look = WEIR_JOB_WAITS;
    pthread_mutex_unlock(&exchange->lock);
    return look;
}
