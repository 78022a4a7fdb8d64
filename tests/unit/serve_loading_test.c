/* serve_loading_test.c - a server that listens before it has a model says so, and then answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "serve/server.h"

#include "pace.h"

#define MODEL "models/demo/weir-demo.gguf"

static weir_engine *engine;
static weir_chat *chat;

static weir_serve *open_server(void)
{
    const struct weir_model_info *model = weir_engine_model(engine);
    const struct weir_serve_model models[] = {
        {"demo", 128, model->n_vocab, model->d_model, model->n_layer, model->n_expert}};
    static const struct weir_serve_key keys[] = {{"a-key-of-the-tests", 1}};
    struct weir_serve_config config = {
        .host = "127.0.0.1",
        .models = models,
        .model_count = 1,
        .keys = keys,
        .key_count = 1,
        .limits = {.parallel = 2,
                   .queue_max = 2,
                   .connection_max = 8,
                   .request_s = 600,
                   .gap_ms = 250,
                   .n_ctx = 128,
                   .n_layer = 64,
                   .n_expert = 64,
                   .render_bytes_max = 4 << 20},
    };
    struct weir_err err = {0};
    weir_serve *serve = NULL;
    config.limits.n_vocab = model->n_vocab;
    weir_serve_limits_fill(&config.limits);
    if (weir_serve_open(&serve, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    return serve;
}

/* The whole answer to one request. */
static const char *ask(weir_serve *serve, const char *line, const char *body)
{
    static char answer[16384];
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(weir_serve_port(serve)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    char request[1024];
    size_t length = 0;
    ssize_t got = 0;
    const int peer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(peer, (struct sockaddr *)&address, sizeof(address)), 0);
    const int count = snprintf(request, sizeof(request),
                               "%s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                               "x-api-key: a-key-of-the-tests\r\nContent-Type: application/json\r\n"
                               "Content-Length: %zu\r\n\r\n%s",
                               line, strlen(body), body);
    assert_int_equal(send(peer, request, (size_t)count, MSG_NOSIGNAL), count);
    while ((got = recv(peer, answer + length, sizeof(answer) - 1 - length, 0)) > 0)
        length += (size_t)got;
    answer[length] = '\0';
    close(peer);
    return answer;
}

static void assert_has(const char *answer, const char *part)
{
    if (strstr(answer, part) == NULL)
        fail_msg("wanted %s in %s", part, answer);
}

static void test_loading(void **state)
{
    static const char text[] = "{\"prompt\": \"The\", \"max_tokens\": 2}";
    char status[128];
    struct weir_err err = {0};
    (void)state;
    weir_serve *serve = open_server();
    weir_serve_progress(serve, 0.25);
    const char *answer = ask(serve, "GET /health", "");
    assert_has(answer, "HTTP/1.1 503 ");
    assert_has(answer, "{\"status\":\"loading\",\"progress\":0.250}");
    static const char *const lines[] = {"POST /v1/completions", "GET /v1/models", "GET /metrics",
                                        "GET /v1/watch"};
    for (size_t index = 0; index < WEIR_COUNT(lines); index++) {
        answer = ask(serve, lines[index], index == 0 ? text : "");
        assert_has(answer, "HTTP/1.1 503 ");
        assert_has(answer, "\r\nRetry-After: ");
        assert_has(answer, "25.0 %");
    }
    assert_has(ask(serve, "GET /", ""), "HTTP/1.1 200 "); /* the page */
    assert_has(ask(serve, "GET /nowhere", ""), "HTTP/1.1 404 ");
    weir_serve_status(serve, status, sizeof(status));
    assert_string_equal(status, "loading, 25 %");
    assert_true(weir_serve_is_alive(serve));
    const uint64_t before_ns = weir_now_ns();
    weir_serve_give_up(serve, 0); /* what was loaded is gone */
    weir_serve_status(serve, status, sizeof(status));
    assert_string_equal(status, "loading, 0 %");
    assert_true(atomic_load(&serve->absent_until_ns[0]) > before_ns);
    serve->beats_seen = 5; /* another scheduler's */
    if (weir_serve_begin(serve, 0, engine, chat, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_int_equal(serve->beats_seen, 0);
    assert_int_equal(atomic_load(&serve->absent_until_ns[0]), 0);
    assert_has(ask(serve, "GET /health", ""), "{\"status\":\"ok\"}");
    assert_has(ask(serve, "POST /v1/completions", text), "\"completion_tokens\":2");
    assert_int_equal(weir_serve_use_count(serve), 1);
    assert_has(ask(serve, "GET /v1/watch", ""), "HTTP/1.1 200 ");
    assert_int_equal(weir_serve_use_count(serve), 1); /* a page that is open uses nothing */
    weir_serve_drain(serve);
    weir_serve_close(&serve);
    assert_null(serve);
}

static void *close_server(void *argument)
{
    weir_serve **serve = argument;
    weir_serve_close(serve);
    return NULL;
}

/* As the HTTP thread does: what it looks at must not go. */
static void test_a_close_waits_for_who_looks(void **state)
{
    struct weir_err err = {0};
    pthread_t thread;
    int turns = PACE_PATIENCE_S * 1000;
    (void)state;
    weir_serve *serve = open_server();
    weir_serve *closing = serve;
    if (weir_serve_begin(serve, 0, engine, chat, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_true(weir_serve_hold_model(serve));
    assert_int_equal(pthread_create(&thread, NULL, close_server, &closing), 0);
    while (weir_serve_is_served(serve) && turns-- > 0)
        usleep(1000);
    assert_true(turns > 0);
    assert_non_null(serve->scheduler);
    weir_scheduler_wake(serve->scheduler);
    weir_serve_let_go(serve);
    pthread_join(thread, NULL);
    assert_null(closing);
}

/* A load that fails, or is stopped. */
static void test_closed_before_it_has_a_model(void **state)
{
    (void)state;
    weir_serve *serve = open_server();
    weir_serve_drain(serve);
    weir_serve_close(&serve);
    assert_null(serve);
}

int main(void)
{
    const struct weir_config config = {
        .model_path = MODEL, .n_thread = 2, .n_ctx = 128, .mem_bytes = 128 << 20};
    const struct weir_chat_config chat_config = {.model_path = MODEL, .format = "chatml"};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loading),
        cmocka_unit_test(test_a_close_waits_for_who_looks),
        cmocka_unit_test(test_closed_before_it_has_a_model),
    };
    struct weir_err err = {0};
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK ||
        weir_chat_open(&chat, &chat_config, &err) != WEIR_OK) {
        print_error("%s\n", err.text);
        return 1;
    }
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    weir_chat_close(&chat);
    return weir_engine_close(&engine) == WEIR_OK ? failed : 1;
}
