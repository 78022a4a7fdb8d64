/* limits.c - what a server may hold, planned before a model is loaded. */
#include "serve/expert_list.h"
#include "serve/server.h"
#include "serve/text_log.h"

enum {
    CONNECTION_BYTES = (16 << 10) + (2 << 10), /* its buffers (http.c), and libmicrohttpd's words */
    SOCKET_BYTES = 96 << 10,                   /* the kernel's buffers (http.c) */
    FIXED_BYTES = 128 << 10,                   /* its own description, the ends of reasoning */
    LIBRARY_BYTES = 6 << 20, /* libmicrohttpd, GnuTLS and what they load; three threads */
    TEXT_BYTES_MIN = 64 << 10,
    POSITION_BYTES = 32, /* of text, many more than most tokens have */
    BODY_GROWTH = 2,     /* what is counted of bodies, and what they grow by */
    BODY_COUNT = 4,      /* full ones at once, on their way or waiting for the desk */
    JSON_COPIES = 24,    /* of a body, as jansson's values may take */
    JSON_BODIES = 2,     /* as it came, and as OpenAI's API would have it */
    STOP_BYTES = WEIR_STOP_MAX * (WEIR_STOP_BYTES_MAX + 64), /* with jansson's own for each */
    ANSWER_COPIES = 4,        /* of an answer: what it grows by, its calls, the JSON made of it */
    SAMPLER_BYTES = 24,       /* of an id */
    STATE_BYTES = 8 + 4 * 24, /* of a value of a state: in a sum, and as JSON on its way */
    GRAMMAR_BYTES = 7 << 20,  /* its automaton */
    MATCHER_BYTES = 7 << 20,  /* of a text of one: states that it has met, masks of tokens */
    GRAMMAR_TOKEN_BYTES = 96,
    WATCH_BYTES = 4 << 10, /* of /v1/watch, its map of experts apart */
    MAP_COPIES = 3,        /* of the map: the scheduler has two, the HTTP thread one */
};

void weir_serve_limits_fill(struct weir_serve_limits *limits)
{
    if (limits->body_bytes == 0)
        limits->body_bytes = TEXT_BYTES_MIN + 2ull * POSITION_BYTES * limits->n_ctx;
}

uint64_t weir_serve_answer_bytes(const struct weir_serve_limits *limits)
{
    return TEXT_BYTES_MIN + (uint64_t)POSITION_BYTES * limits->n_ctx;
}

/* A response tells it again with each of its events: it may take half of the room for that. */
uint64_t weir_serve_echo_bytes(const struct weir_serve_limits *limits)
{
    return weir_serve_answer_bytes(limits) / (2 * WEIR_AGAIN_COPIES);
}

uint64_t weir_serve_tools_bytes(const struct weir_serve_limits *limits)
{
    return limits->body_bytes / 2;
}

uint64_t weir_serve_json_bytes(const struct weir_serve_limits *limits)
{
    return JSON_COPIES * limits->body_bytes;
}

uint64_t weir_serve_bodies_bytes(const struct weir_serve_limits *limits)
{
    return BODY_COUNT * limits->body_bytes;
}

/* /v1/watch tells each connection of every expert. */
uint64_t weir_serve_watch_bytes(const struct weir_serve_limits *limits)
{
    const uint64_t per_layer = (uint64_t)limits->n_expert + 4; /* a character each, and quotes */
    return WATCH_BYTES + limits->n_layer * per_layer;
}

uint64_t weir_serve_bytes(const struct weir_serve_limits *limits)
{
    const uint64_t places = (uint64_t)limits->parallel + limits->queue_max;
    const uint64_t id_bytes = limits->n_ctx * sizeof(uint32_t);
    const uint64_t request =
        sizeof(struct weir_exchange) + (uint64_t)BODY_GROWTH * WEIR_SERVE_SMALL_BODY_BYTES;
    /* As many requests again wait for the desk, whose clients may have left. */
    const uint64_t connections =
        (uint64_t)limits->connection_max *
        (CONNECTION_BYTES + SOCKET_BYTES + weir_serve_watch_bytes(limits) + 2 * request);
    const uint64_t experts = (uint64_t)limits->n_layer * limits->n_expert;
    const uint64_t map = MAP_COPIES * experts + weir_expert_list_bytes(experts);
    const uint64_t texts =
        places * (id_bytes + ANSWER_COPIES * weir_serve_answer_bytes(limits) +
                  2 * weir_serve_tools_bytes(limits) + STOP_BYTES +
                  (limits->log_text ? sizeof(struct weir_text_log) : 0)) +
        limits->parallel * (id_bytes + (uint64_t)limits->n_vocab * SAMPLER_BYTES +
                            (uint64_t)limits->d_model * STATE_BYTES);
    const uint64_t desk = JSON_BODIES * weir_serve_json_bytes(limits) + limits->render_bytes_max;
    const uint64_t grammars =
        limits->grammar_max *
        (GRAMMAR_BYTES + (uint64_t)limits->n_vocab * GRAMMAR_TOKEN_BYTES + limits->body_bytes);
    /* The desk reads one at a time. */
    const uint64_t reading = limits->grammar_max == 0 ? 0 : WEIR_GRAMMAR_READ_BYTES;
    /* The desk makes the lines of one at a time. */
    const uint64_t stored =
        limits->stored_bytes == 0 ? 0 : limits->stored_bytes + BODY_GROWTH * limits->body_bytes;
    /* One for each text that is written, and one on the desk. */
    const uint64_t matchers = limits->grammar_max == 0 ? 0 : limits->parallel + 1ull;
    return LIBRARY_BYTES + FIXED_BYTES + connections + map + texts + desk +
           BODY_GROWTH * weir_serve_bodies_bytes(limits) + grammars + reading + stored +
           matchers * MATCHER_BYTES;
}
