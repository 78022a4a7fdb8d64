/* server.h - what the files of room serve share. */
#ifndef WEIR_SERVE_SERVER_H
#define WEIR_SERVE_SERVER_H

#include "serve/exchange.h"
#include "serve/links.h"
#include "serve/serve.h"

/* Since the server was opened; each is written by several threads, and orders nothing. */
struct weir_serve_counts {
    atomic_uint_least64_t requests, refused, failed, left; /* left: by their clients */
    atomic_uint_least64_t answered_ns, answered;           /* time and number of whole answers */
    atomic_uint connections;
};

struct MHD_Response;

enum { WEIR_SERVE_SMALL_BODY_BYTES = 4 << 10 /* of each body, that others cannot use up */ };
enum { WEIR_PACE_SAMPLES = 6, WEIR_PACE_ANSWERS = 8 };

/* What counters were at a time. */
struct weir_pace_sample {
    uint64_t at_ns, written_tokens, prompt_tokens, expert_uses, expert_hits, read_bytes;
};

/* The last seconds, and the last answers. */
struct weir_serve_pace {
    pthread_mutex_t lock;                               /* guards all of it */
    struct weir_pace_sample samples[WEIR_PACE_SAMPLES]; /* a ring, one a second */
    uint32_t sample_count;                              /* that were taken so far */
    double first_s[WEIR_PACE_ANSWERS];                  /* a ring: until an answer's first token */
    uint32_t answer_count;
};

struct weir_serve {
    struct weir_serve_limits limits;
    struct weir_serve_config config;
    char *host;
    struct weir_serve_model *models; /* [model_count] */
    size_t model_count;
    const char *model_id;        /* of the one that is here, or was, or will be first */
    atomic_size_t served;        /* which that is; orders nothing */
    char **keys;                 /* [config.key_count] */
    struct weir_party *parties;  /* the same: whose turn is used up; the scheduler's */
    uint64_t begin_s, config_ns; /* when it was opened: since 1970, and by weir_now_ns() */
    weir_tokenizer *tokenizer;
    bool takes_text;                  /* as weir_tools_take_text() */
    struct weir_advice_values advice; /* what requests mean that do not say, of this model */
    weir_scheduler *scheduler;
    struct weir_desk *desk;
    struct weir_links links; /* open connections */
    struct weir_http *http;
    struct weir_grammars *grammars;
    struct weir_shelf *shelf; /* responses that are kept */
    struct weir_closings *closings;
    struct weir_writer openapi; /* constant once the server is open */
    pthread_mutex_t running_lock;
    struct weir_request *running; /* the list of those that run; guarded by the lock */
    struct weir_serve_counts counts;
    struct weir_serve_pace pace;
    uint8_t *marks;         /* [n_layer][n_expert] of experts; the HTTP thread's */
    atomic_uint places;     /* texts that run, wait, or whose answer is not taken yet */
    atomic_uint open_count; /* requests of which the same holds */
    atomic_uint_least64_t body_bytes;
    atomic_uint_least64_t id_state; /* of random names */
    atomic_bool is_draining;
    atomic_uint parallel;                   /* texts at once, of the model that is here, or was */
    atomic_uint_least64_t use_count;        /* requests that a model has read */
    atomic_bool is_open;                    /* requests are heard */
    atomic_uint readers;                    /* who looks at the model now */
    atomic_uint request_count;              /* requests that have something of it */
    atomic_uint lobby_count;                /* requests that wait for another model */
    atomic_uint generation;                 /* how many models have come */
    atomic_size_t wanted;                   /* the model that has to come; SIZE_MAX: none */
    atomic_size_t begun;                    /* one that comes next, and is begun; the same */
    atomic_uint_least64_t *absent_until_ns; /* [model_count] when it may be tried again; 0: now */
    atomic_bool is_served;                  /* there is a model: see served.c */
    atomic_uint_least64_t load_begin_ns;    /* when its load began */
    atomic_uint loaded_permille;            /* of its bytes, of 1000 */
    uint64_t beats_seen;                    /* of the scheduler, when last asked */
    pthread_mutex_t log_lock;
};

const struct weir_serve_limits *weir_serve_limits_of(const struct weir_serve *serve);
/* Bytes that an answer holds until it is whole. What a stream's end tells again counts so often. */
enum { WEIR_AGAIN_COPIES = 4 };
uint64_t weir_serve_answer_bytes(const struct weir_serve_limits *limits);
/* That a response may have of its request. */
uint64_t weir_serve_echo_bytes(const struct weir_serve_limits *limits);
/* That the tools of a request may have. */
uint64_t weir_serve_tools_bytes(const struct weir_serve_limits *limits);
/* That an answer of /v1/watch may have. */
uint64_t weir_serve_watch_bytes(const struct weir_serve_limits *limits);
/* What the values of one body may take, and all bodies together. */
uint64_t weir_serve_json_bytes(const struct weir_serve_limits *limits);
uint64_t weir_serve_bodies_bytes(const struct weir_serve_limits *limits);
/* False: there is no room for so many texts. */
bool weir_serve_places_take(struct weir_serve *serve, uint32_t count);
void weir_serve_places_give(struct weir_serve *serve, uint32_t count);
/* The same of bytes of bodies. */
bool weir_serve_body_take(struct weir_serve *serve, size_t bytes);
void weir_serve_body_give(struct weir_serve *serve, size_t bytes);
/* Texts that are written at the same time. */
uint32_t weir_serve_parallel(const struct weir_serve *serve);
/* Seconds after which a client that found no room may ask again. */
uint32_t weir_serve_retry_s(const struct weir_serve *serve);
uint64_t weir_serve_random(struct weir_serve *serve);
/* A name such as chatcmpl-..., which nobody can guess. */
void weir_serve_name(struct weir_serve *serve, const char *kind, char out[64]);
void weir_serve_log_exchange(const struct weir_exchange *exchange);
/* A line of the log. */
void weir_serve_tell(struct weir_serve *serve, const char *line);
/* Now, as the log has it. */
void weir_serve_write_time(char out[32]);
/* ---- the model (served.c) ------------------------------------------------------------------ */

bool weir_serve_is_served(const struct weir_serve *serve);
/* Whether requests are heard: there was a model, or they may wait for one. */
bool weir_serve_is_open(const struct weir_serve *serve);
/* The model stays while somebody looks at it, which must not take long. False: there is none; it is
 * let go in any case. */
bool weir_serve_hold_model(struct weir_serve *serve);
void weir_serve_let_go(struct weir_serve *serve);
/* Whether there is none: then the exchange is told so. */
bool weir_serve_refuse_absent(struct weir_exchange *exchange);
/* From now on there is none, and when it returns nobody looks at it any more. */
void weir_serve_hide_model(struct weir_serve *serve);
/* What look() would say has changed. */
void weir_serve_wake(struct weir_serve *serve);
/* "a", "b", "c": what a client may ask for. */
void weir_serve_write_names(const struct weir_serve *serve, char *out, size_t capacity);
/* 503: its load is under way. */
void weir_serve_problem_loading(struct weir_serve *serve, struct weir_exchange *exchange);
/* Whether it could not be loaded a moment ago; 503: that. */
bool weir_serve_is_absent(const struct weir_serve *serve, size_t model);
void weir_serve_problem_absent(const struct weir_serve *serve, struct weir_exchange *exchange,
                               size_t model);
/* 404: there is no model of that name. */
void weir_serve_problem_unknown(const struct weir_serve *serve, struct weir_problem *problem);
/* What there is to say of it in /health, and whether that is well. */
bool weir_serve_write_health(struct weir_serve *serve, struct weir_writer *writer);

/* 429: as many requests of one key wait for another model as may. */
void weir_serve_problem_crowded(const struct weir_serve *serve, struct weir_exchange *exchange);
/* 429: the server is full. */
void weir_serve_problem_full(const struct weir_serve *serve, struct weir_exchange *exchange);

/* ---- the desk (desk.c): one thread that reads requests, one after the other ---------------- */

enum weir_status weir_desk_create(struct weir_desk **out, struct weir_serve *serve,
                                  struct weir_err *err);
/* Between these two nothing is read; what is being read has been. */
void weir_desk_pause(struct weir_desk *desk);
void weir_desk_resume(struct weir_desk *desk);
/* What it has is still read, and nothing more is taken. */
void weir_desk_stop(struct weir_desk *desk);
void weir_desk_destroy(struct weir_desk **desk);
/* As many wait as there may be connections: clients that left are among them. */
bool weir_desk_is_full(struct weir_desk *desk);
/* Takes over a reference; false: it is stopped, and takes none. */
bool weir_desk_submit(struct weir_desk *desk, struct weir_exchange *exchange);

/* ---- HTTP (http.c) ------------------------------------------------------------------------- */

enum weir_status weir_http_open(struct weir_http **out, struct weir_serve *serve,
                                struct weir_err *err);
uint16_t weir_http_port(const struct weir_http *http);
void weir_http_tick(struct weir_http *http);
void weir_http_drain(struct weir_http *http);
void weir_http_close(struct weir_http **http);

/* ---- routes (routes.c) --------------------------------------------------------------------- */

struct weir_route {
    const char *method, *path;
    /* Answers at once, on the HTTP thread ... */
    void (*tell)(struct weir_exchange *exchange);
    /* ... or with the body, on the desk's; the answer comes then or later. */
    void (*read)(struct weir_exchange *exchange, json_t *root);
    bool is_open;      /* to those without a key too */
    bool is_anthropic; /* problems have the shape of Anthropic's API */
    bool streams;      /* events, where the body says so */
};

/* Of the API, without the files of the page. NULL: past the last. */
const struct weir_route *weir_route_at(uint32_t index);
/* NULL: there is none. *allow: the methods that the path has; NULL: it is none. *part: of the path,
 * what stands for the words in braces of the route's. */
const struct weir_route *weir_route_find(const char *method, const char *path, const char **allow,
                                         char part[WEIR_PATH_PART_MAX]);
void weir_metrics_tell(struct weir_exchange *exchange);

/* ---- what the machine does now (watch_route.c) --------------------------------------------- */

/* Another model's counters begin. */
void weir_pace_begin(struct weir_serve *serve);
/* Count time: as often as weir_serve_tick(). */
void weir_pace_tick(struct weir_serve *serve);
/* An answer had its first token after so long. */
void weir_pace_add(struct weir_serve_pace *pace, double first_s);
void weir_watch_tell(struct weir_exchange *exchange);
/* Limits, and what requests mean that do not say (props_route.c). */
void weir_props_tell(struct weir_exchange *exchange);
/* How far texts are (texts_route.c). */
void weir_texts_tell(struct weir_exchange *exchange);

/* ---- the page (page.c) --------------------------------------------------------------------- */

void weir_page_tell(struct weir_exchange *exchange);
/* NULL: there is no such file. */
const struct weir_route *weir_page_route(const char *path);
/* What is said of the file beside its type, and its bytes, none where the status is 304. */
void weir_page_head(const struct weir_page_file *file, struct MHD_Response *response);
struct MHD_Response *weir_page_body(const struct weir_page_file *file, unsigned status);

/* ---- keys (keys.c) ------------------------------------------------------------------------- */

/* Whether text is one of the keys, and which; takes the same time whichever it is. */
bool weir_keys_match(char *const *keys, size_t count, const char *text, size_t *which);

#endif
