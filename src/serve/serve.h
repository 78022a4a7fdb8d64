/* serve.h - an HTTP server for one engine: OpenAI's API, and Anthropic's, over a queue of many
 * users' texts.
 *
 * Job       Requests in, answers out; all texts that are being written share each step of the
 *           engine.
 * Not here  Options, signals, printing (cli/); templates, grammars, tokens (behind weir.h).
 * Owns      A weir_serve owns its threads, connections and sessions; it borrows the engine and
 *           the conversation's format, which must live longer.
 * Threads   Three of its own: HTTP (libmicrohttpd's), the desk, which reads one request at a time,
 *           and the engine's, which alone calls into the engine while the server is open. The
 *           functions below belong to the thread that opened it.
 * Errors    ARG, NOMEM, IO (the address cannot be had), UNSUPPORTED (no libmicrohttpd). What is
 *           wrong with a request is told to its client.
 * Limits    struct weir_serve_limits; weir_serve_bytes() is what a server may hold with them.
 * Source    OpenAI's API reference (platform.openai.com/docs/api-reference),
 *           Anthropic's Messages API (platform.claude.com/docs/api/messages), Prometheus's text
 *           format 0.0.4, the event stream of HTML (server-sent events).
 */
#ifndef WEIR_SERVE_H
#define WEIR_SERVE_H

#include "base/base.h"
#include "weir.h"

typedef struct weir_serve weir_serve;

struct weir_serve_limits {
    uint32_t parallel;         /* texts that are written at the same time */
    uint32_t queue_max;        /* that wait beside them */
    uint32_t connection_max;   /* connections that are open */
    uint32_t grammar_max;      /* schemas and grammars that are ready for use; 0: none are taken */
    uint32_t token_max;        /* that a request may ask for; 0: what the context holds */
    uint32_t request_s;        /* in which a connection has to bring a whole request */
    uint32_t answer_s;         /* in which an answer has to end; 0: as long as it takes */
    uint32_t gap_ms;           /* between two tokens beside a prompt: portions.h */
    uint32_t beat_s;           /* after which a stream gets a sign of life; 0: it gets none */
    uint64_t body_bytes;       /* of a request; 0: what a full context takes */
    uint64_t stored_bytes;     /* of responses that are kept; 0: none are */
    bool log_text;             /* prompts and answers are told in the log */
    uint32_t n_ctx, n_vocab;   /* the model's */
    uint32_t d_model;          /* the same */
    uint32_t n_layer;          /* the same */
    uint32_t n_expert;         /* the same: of a layer; 0: it has none */
    uint64_t render_bytes_max; /* struct weir_chat_config.memory_max */
};

/* A finished request, or a word about the server itself, as one line without its end. Called on any
 * thread, one at a time. */
typedef void weir_serve_log_fn(void *user, const char *line);

/* A model that can be asked for. */
struct weir_serve_model {
    const char *id;
    /* As in struct weir_serve_limits, which have the most of all models. */
    uint32_t n_ctx, n_vocab, d_model, n_layer, n_expert;
};

struct weir_serve_key {
    const char *text;
    uint32_t weight; /* tokens that its requests get for each of a key with weight 1; at least 1 */
};

/* What a request means that does not say. */
struct weir_serve_usual {
    struct weir_advice_values sampling;                    /* before what the model advises */
    double typical_p, frequency_penalty, presence_penalty; /* 0: off */
    uint32_t token_max;     /* of an answer; 0: as many as the limits and the context allow */
    uint32_t reasoning_max; /* tokens; UINT32_MAX: as many as come */
    const char *effort;     /* of reasoning, where the template can ask for it; NULL: its own */
    bool has_seed;          /* else each request has another one */
    uint64_t seed;
    const char *const *stops; /* [stop_count] borrowed; at most WEIR_STOP_MAX, none is empty */
    size_t stop_count;
};

struct weir_serve_config {
    const char *host; /* an address in numbers, of IPv4 or IPv6 */
    uint16_t port;    /* 0: any that is free */
    int socket;       /* one that listens already, instead of both; it is taken over. 0: none */
    const struct weir_serve_model *models; /* [model_count] at least one; one is here at a time */
    size_t model_count;
    const struct weir_serve_key *keys; /* [key_count] one of which clients must show; none: anybody
                                          may ask */
    size_t key_count;
    struct weir_serve_limits limits;
    bool ignore_tools;   /* tools that only another server has are left out, not refused */
    bool plain_sampling; /* what a request does not say is OpenAI's, whatever the model advises */
    bool any_model;      /* a name that none of the models has is as none */
    struct weir_serve_usual usual;
    const char *const *origins; /* [origin_count] borrowed: whose pages browsers let in; "*": all */
    size_t origin_count;
    bool log_json;
    bool log_failures; /* only requests that were refused, failed, or left are told */
    weir_serve_log_fn *log;
    void *log_user;
    /* Of the model that is here: weir_serve_begin() fills them in. */
    weir_engine *engine;
    const weir_chat *chat;
};

/* Where body_bytes is left open: it follows from the context. */
void weir_serve_limits_fill(struct weir_serve_limits *limits);
/* The most that a server with these limits holds beside the engine: for weir_config.caller_bytes.
 */
uint64_t weir_serve_bytes(const struct weir_serve_limits *limits);

enum weir_status weir_serve_open(weir_serve **out, const struct weir_serve_config *config,
                                 struct weir_err *err);
/* A model's load begins: nothing of it is here. */
void weir_serve_load(weir_serve *serve);
/* While a model is loaded: the server listens, and says how far that is, from 0 to 1. */
void weir_serve_progress(weir_serve *serve, double share);
/* The model is here: requests for it are heard. The engine and the format of its chats are borrowed
 * until weir_serve_end() or weir_serve_close(). Errors: NOMEM. */
enum weir_status weir_serve_begin(weir_serve *serve, size_t model, weir_engine *engine,
                                  const weir_chat *chat, struct weir_err *err);
/* Models come when they are asked for, and nothing is refused because none is here yet. Without
 * this, a server has to have its first one before it hears any request. */
void weir_serve_wait_for_requests(weir_serve *serve);
/* Which model has to come, once the one that is here has no more to do; SIZE_MAX: none, and none
 * when the server is being stopped. */
size_t weir_serve_wanted(weir_serve *serve);
/* The same, also while the one that is here has texts to write. */
size_t weir_serve_next(weir_serve *serve);
/* So many bytes of the ceiling are wanted for the next model, beside the one that is here; 0: none
 * any more. False: they are not there yet, or a text needs them now: whoever has them gives them
 * back, and then asks for none. */
bool weir_serve_lend(weir_serve *serve, uint64_t bytes);
/* The weights of the next model are here already; SIZE_MAX: of none. To be told. */
void weir_serve_tell_begun(weir_serve *serve, size_t model);
/* The model that is here goes; requests wait, then. False: it has texts to write. */
bool weir_serve_end(weir_serve *serve);
/* It could not be loaded: who waits for it is told so, and for a while who asks for it. */
void weir_serve_give_up(weir_serve *serve, size_t model);
/* Whether a model is here, and has nothing to do. */
bool weir_serve_is_idle(weir_serve *serve);
/* Requests that wanted a model, so far: those that one has read. */
uint64_t weir_serve_use_count(weir_serve *serve);
/* The experts of the model that is here that are the most worth a slot, as they were when this was
 * called the last time; how many, 0: they are not told yet. The list lives until the next call, or
 * the model's end. */
uint32_t weir_serve_kept_experts(weir_serve *serve, const struct weir_expert **experts);
/* Whether only this machine reaches that address. */
bool weir_serve_is_loopback(const char *host);
/* The same of a socket. Errors: ARG (it does not listen), IO (it is none). */
enum weir_status weir_serve_socket_check(int socket, bool *is_local, struct weir_err *err);
/* Whether the engine's thread has come round since this was asked the last time, or has nothing to
 * do. */
bool weir_serve_is_alive(weir_serve *serve);
/* What it does now, in a few words. */
void weir_serve_status(weir_serve *serve, char *out, size_t capacity);
/* 0: it listens at no port. */
uint16_t weir_serve_port(const weir_serve *serve);
/* Now and then, such as ten times a second: ends connections whose time is over, and keeps what
 * happened in the last seconds. */
void weir_serve_tick(weir_serve *serve);
/* From now on nobody new is heard. */
void weir_serve_drain(weir_serve *serve);
/* Requests that are not answered yet. */
uint32_t weir_serve_open_count(weir_serve *serve);
/* Ends what still runs, and all of it. */
void weir_serve_close(weir_serve **serve);

#endif
