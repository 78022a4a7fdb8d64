/* exchange.h - one HTTP request and its answer, between the thread that talks to the client and the
 * threads that work on it.
 *
 * Owns      Its body, its answer, its request. Both sides hold a reference; the last one frees it.
 * Threads   The client's side is libmicrohttpd's thread, the worker's side one thread at a time;
 *           what they share is guarded by the lock.
 */
#ifndef WEIR_SERVE_EXCHANGE_H
#define WEIR_SERVE_EXCHANGE_H

#include <pthread.h>
#include <stdatomic.h>

#include "serve/fields.h"
#include "serve/scheduler.h"
#include "serve/writer.h"

struct MHD_Connection;
struct weir_embedding;
struct weir_page_file;
struct weir_request;
struct weir_route;

enum { WEIR_EXCHANGE_BACKLOG_BYTES = 64 << 10 /* that a client has not taken: its text waits */ };

enum { WEIR_PATH_PART_MAX = 256 };

struct weir_exchange {
    struct weir_serve *serve;
    const struct weir_route *route;
    char part[WEIR_PATH_PART_MAX]; /* of its path, what stands for a route's words in braces */
    struct weir_exchange *next;    /* in the desk's queue, or in the lobby */
    struct weir_exchange *beaten;  /* the next one of those that may want a sign of life now */
    size_t model;                  /* the lobby's: which it waits for */
    bool is_called;                /* the same: that one is here */
    bool wants_stream;             /* the same: its answer may begin before */
    struct weir_request *request;  /* what of the two was asked for */
    struct weir_embedding *embedding;
    struct weir_party *party; /* of the key that was shown; NULL: none is asked for */
    struct weir_writer body;  /* the client's side, until it is whole */
    size_t body_counted;      /* bytes of it in the server's sum */
    struct weir_problem problem;
    uint64_t begin_ns, first_ns; /* of the first token */
    uint32_t prompt_tokens, cached_tokens, written_tokens;
    const char *why_over; /* of its last text: "stop", "length", "tool_calls"; NULL: it has none */
    uint32_t place_count; /* of the server's places for texts */
    bool has_left;        /* its client, before the end */
    atomic_uint references;

    pthread_mutex_t lock;
    struct MHD_Connection *connection; /* NULL: the client's side is over */
    int fd;
    bool is_suspended; /* the client's side waits for the worker's */
    bool is_ready;     /* status and type are known */
    bool is_stream;    /* more of the answer comes while it is sent */
    bool is_finished;  /* nothing more comes */
    bool is_asked;     /* the request is whole: a worker has it, or had */
    bool is_late;      /* when it was looked at, its client had not taken enough of the stream */
    uint64_t late_ns, looked_ns; /* how long in all; when it was looked at */
    uint64_t sent_ns;            /* when the last piece of a stream came, or it began */
    unsigned status;
    uint32_t retry_s;                  /* 0: it does not say when */
    const char *allow;                 /* methods that the path has; NULL: it is none */
    const char *type;                  /* of the answer */
    const struct weir_page_file *page; /* what is sent instead of the answer; NULL: the answer */
    const struct weir_writer *shared;  /* the same: it is the server's, for all; NULL */
    struct weir_writer answer;
    size_t sent; /* of the answer, and given away with the next piece */
};

/* NULL: no memory. One reference is the caller's. */
struct weir_exchange *weir_exchange_create(struct weir_serve *serve);
void weir_exchange_hold(struct weir_exchange *exchange);
void weir_exchange_release(struct weir_exchange *exchange);

/* The worker's side: the whole answer is in `answer`, or the problem is the answer. */
void weir_exchange_reply(struct weir_exchange *exchange, unsigned status, const char *type);
void weir_exchange_refuse(struct weir_exchange *exchange);
/* An answer that comes in pieces, such as a stream of events. */
void weir_exchange_begin_stream(struct weir_exchange *exchange, const char *type);
void weir_exchange_send(struct weir_exchange *exchange, const struct weir_writer *piece);
/* A sign of life instead of a piece, if none has come for so long and its client has taken all;
 * where it waits for its model the stream begins with it. */
void weir_exchange_beat(struct weir_exchange *exchange, uint64_t every_ns);
void weir_exchange_finish(struct weir_exchange *exchange);
/* A stream that has no words for a problem: its client sees that it ends too early. */
void weir_exchange_break(struct weir_exchange *exchange);
/* Whether its client is there, and takes what it gets. */
enum weir_job_look weir_exchange_look(struct weir_exchange *exchange);

/* The problem as the API that was asked has it; and as an event of a stream. */
void weir_exchange_write_problem(const struct weir_exchange *exchange, struct weir_writer *writer);
void weir_exchange_write_failure(const struct weir_exchange *exchange, struct weir_writer *writer);

#endif
