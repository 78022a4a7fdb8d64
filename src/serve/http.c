/* http.c - requests from connections, and answers to them, over libmicrohttpd.
 *
 * One thread of libmicrohttpd's serves all connections. Whoever waits for a worker is suspended:
 * then nobody looks at its socket but weir_exchange_look().
 *
 * I1  A connection is suspended only under its exchange's lock, and only while is_suspended. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/heap.h"
#include "base/thread.h"
#include "serve/cors.h"
#include "serve/mhd_load.h"
#include "serve/server.h"

enum {
    CONNECTION_BYTES = 16 << 10, /* of libmicrohttpd's for a connection: its headers fit in */
    SEND_BYTES = 16 << 10,       /* of the kernel's, which doubles it */
    RECEIVE_BYTES = 32 << 10, /* the same; with less, loopback's segments of 64 KiB are held back */
    BLOCK_BYTES = 4 << 10,    /* of a stream, at once */
};

struct weir_http {
    struct weir_serve *serve;
    struct MHD_Daemon *daemon;
    uint16_t port;
    bool is_drained;
    struct sockaddr_storage address;
    int start_errno;
};

/* ---- connections --------------------------------------------------------------------------- */

static int descriptor_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        weir_mhd()->MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    return info == NULL ? -1 : info->connect_fd;
}

static void open_link(struct weir_http *http, struct MHD_Connection *connection, void **socket)
{
    const int send_bytes = SEND_BYTES, receive_bytes = RECEIVE_BYTES;
    const int fd = descriptor_of(connection);
    /* Refused, the kernel keeps its own sizes: a connection then costs more than was planned. */
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &send_bytes, sizeof(send_bytes));
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes, sizeof(receive_bytes));
    *socket = weir_links_open(&http->serve->links, fd);
    if (*socket != NULL)
        atomic_fetch_add_explicit(&http->serve->counts.connections, 1, memory_order_relaxed);
}

static void close_link(struct weir_http *http, void **socket)
{
    if (*socket == NULL)
        return;
    weir_links_close(&http->serve->links, *socket);
    *socket = NULL;
    atomic_fetch_sub_explicit(&http->serve->counts.connections, 1, memory_order_relaxed);
}

static void notify_connection(void *user, struct MHD_Connection *connection, void **socket,
                              enum MHD_ConnectionNotificationCode code)
{
    if (code == MHD_CONNECTION_NOTIFY_STARTED)
        open_link(user, connection, socket);
    else
        close_link(user, socket);
}

static void mark_link(struct weir_exchange *exchange, struct MHD_Connection *connection,
                      enum weir_link_state state)
{
    const union MHD_ConnectionInfo *info =
        weir_mhd()->MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    if (info != NULL && info->socket_context != NULL)
        weir_links_mark(&exchange->serve->links, info->socket_context, state);
}

/* Whether somebody waits for what connections have that bring nothing. */
static bool is_crowded(const struct weir_http *http)
{
    struct weir_serve *serve = http->serve;
    return http->is_drained ||
           atomic_load_explicit(&serve->counts.connections, memory_order_relaxed) >=
               serve->limits.connection_max ||
           atomic_load_explicit(&serve->body_bytes, memory_order_relaxed) >
               weir_serve_bodies_bytes(&serve->limits) / 2;
}

void weir_http_tick(struct weir_http *http)
{
    weir_links_weed(&http->serve->links, weir_serve_limits_of(http->serve)->request_s,
                    is_crowded(http));
}

/* ---- answers ------------------------------------------------------------------------------- */

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
    weir_mhd()->MHD_add_response_header(response, name, value);
}

static enum MHD_Result queue(struct weir_exchange *exchange, struct MHD_Connection *connection,
                             struct MHD_Response *response)
{
    char seconds[16];
    if (response == NULL)
        return MHD_NO;
    if (exchange->type != NULL)
        add_header(response, "Content-Type", exchange->type);
    weir_cors_head(exchange, connection, response);
    if (exchange->page != NULL)
        weir_page_head(exchange->page, response);
    else
        add_header(response, "Cache-Control", "no-store");
    add_header(response, "X-Content-Type-Options", "nosniff");
    if (exchange->is_stream)
        add_header(response, "X-Accel-Buffering", "no");
    if (exchange->status == 401)
        add_header(response, "WWW-Authenticate", "Bearer");
    if (exchange->allow != NULL)
        add_header(response, "Allow", exchange->allow);
    if (exchange->retry_s > 0) {
        snprintf(seconds, sizeof(seconds), "%u", exchange->retry_s);
        add_header(response, "Retry-After", seconds);
    }
    if (atomic_load(&exchange->serve->is_draining) || !exchange->is_asked)
        add_header(response, "Connection", "close");
    const enum MHD_Result result =
        weir_mhd()->MHD_queue_response(connection, exchange->status, response);
    weir_mhd()->MHD_destroy_response(response);
    return result;
}

/* The next bytes of a stream, as libmicrohttpd wants them. */
static ssize_t read_stream(void *user, uint64_t position, char *out, size_t most)
{
    struct weir_exchange *exchange = user;
    ssize_t count = 0;
    (void)position;
    pthread_mutex_lock(&exchange->lock);
    const size_t left = exchange->answer.length - exchange->sent;
    const bool is_last = exchange->is_finished && left > 0;
    const bool was_full = left > WEIR_EXCHANGE_BACKLOG_BYTES;
    if (exchange->answer.failed) {
        count = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (left > 0) {
        count = (ssize_t)weir_min(left, most);
        memcpy(out, exchange->answer.bytes + exchange->sent, (size_t)count);
        exchange->sent += (size_t)count;
    } else if (exchange->is_finished) {
        count = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        exchange->is_suspended = true; /* keeps I1 */
        weir_mhd()->MHD_suspend_connection(exchange->connection);
    }
    pthread_mutex_unlock(&exchange->lock);
    if (is_last)
        mark_link(exchange, exchange->connection, WEIR_LINK_TOLD);
    if (was_full)
        weir_serve_wake(exchange->serve);
    return count;
}

static enum MHD_Result answer(struct weir_exchange *exchange, struct MHD_Connection *connection)
{
    if (exchange->is_stream)
        return queue(exchange, connection,
                     weir_mhd()->MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES,
                                                                   read_stream, exchange, NULL));
    mark_link(exchange, connection, WEIR_LINK_TOLD);
    if (exchange->page != NULL)
        return queue(exchange, connection, weir_page_body(exchange->page, exchange->status));
    const struct weir_writer *whole =
        exchange->shared != NULL ? exchange->shared : &exchange->answer;
    return queue(exchange, connection,
                 weir_mhd()->MHD_create_response_from_buffer(whole->length, whole->bytes,
                                                             MHD_RESPMEM_PERSISTENT));
}

static enum MHD_Result refuse(struct weir_exchange *exchange, struct MHD_Connection *connection)
{
    weir_exchange_refuse(exchange);
    return answer(exchange, connection);
}

/* ---- requests ------------------------------------------------------------------------------ */

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return weir_mhd()->MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Whoever shows a key is known by it. */
static bool find_party(struct weir_exchange *exchange, struct MHD_Connection *connection)
{
    const struct weir_serve *serve = exchange->serve;
    size_t which = 0;
    static const char scheme[] = "Bearer ";
    const char *bearer = header(connection, "Authorization");
    const char *key = header(connection, "x-api-key");
    if (serve->config.key_count == 0)
        return true;
    if (bearer != NULL && strncmp(bearer, scheme, sizeof(scheme) - 1) == 0)
        key = bearer + sizeof(scheme) - 1;
    if (key == NULL || !weir_keys_match(serve->keys, serve->config.key_count, key, &which))
        return false;
    exchange->party = &serve->parties[which];
    return true;
}

/* Where no key is asked for, a page of the web must not reach us under a name of its own. */
static bool is_local_name(const char *host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t index = 0; index < WEIR_COUNT(names); index++) {
        const size_t length = strlen(names[index]);
        if (strncasecmp(host, names[index], length) == 0 &&
            (host[length] == '\0' || host[length] == ':'))
            return true;
    }
    return false;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    const struct sockaddr_in *four = (const void *)address;
    const struct sockaddr_in6 *six = (const void *)address;
    return address->ss_family == AF_UNIX ||
           (address->ss_family == AF_INET ? ntohl(four->sin_addr.s_addr) >> 24 == 127
                                          : IN6_IS_ADDR_LOOPBACK(&six->sin6_addr));
}

static bool is_json(const char *type)
{
    static const char wanted[] = "application/json";
    return type != NULL && strncasecmp(type, wanted, sizeof(wanted) - 1) == 0 &&
           (type[sizeof(wanted) - 1] == '\0' || type[sizeof(wanted) - 1] == ';' ||
            type[sizeof(wanted) - 1] == ' ');
}

/* Whatever can be said before the body comes. */
static void check_head(struct weir_http *http, struct weir_exchange *exchange,
                       struct MHD_Connection *connection, const char *url, const char *method)
{
    const struct weir_serve *serve = http->serve;
    struct weir_problem *problem = &exchange->problem;
    const char *length = header(connection, "Content-Length");
    const char *host = header(connection, "Host");
    const char *type = header(connection, "Content-Type");
    exchange->route = weir_route_find(method, url, &exchange->allow, exchange->part);
    if (serve->config.key_count == 0 && is_loopback(&http->address) && host != NULL &&
        !is_local_name(host))
        weir_problem_set(problem, 403, "invalid_request_error", "forbidden", NULL,
                         "this server is called localhost, and has no key that would let in "
                         "requests under other names");
    if (exchange->route == NULL && exchange->allow != NULL)
        weir_problem_set(problem, 405, "invalid_request_error", "method_not_allowed", NULL,
                         "the path has no such method");
    if (exchange->route == NULL)
        weir_problem_set(problem, 404, "invalid_request_error", "not_found", NULL,
                         "there is no such path here");
    if (exchange->route != NULL && !exchange->route->is_open && !find_party(exchange, connection))
        weir_problem_set(problem, 401, "authentication_error", "invalid_api_key", NULL,
                         "wanted a key of this server: Authorization: Bearer KEY");
    if (exchange->route != NULL && !exchange->route->is_open && !weir_serve_is_open(http->serve))
        weir_serve_problem_loading(http->serve, exchange);
    if (exchange->route == NULL || exchange->route->read == NULL)
        return;
    if (!is_json(type))
        weir_problem_set(problem, 415, "invalid_request_error", "unsupported_media_type", NULL,
                         "wanted Content-Type: application/json, found %s; to a curl -d add "
                         "-H 'Content-Type: application/json'",
                         type == NULL ? "none" : "another one");
    if (length != NULL && strtoull(length, NULL, 10) > serve->limits.body_bytes)
        weir_problem_set(problem, 413, "invalid_request_error", "request_too_large", NULL,
                         "the body: wanted at most %llu bytes",
                         (unsigned long long)serve->limits.body_bytes);
    if (atomic_load(&serve->is_draining))
        weir_problem_set(problem, 503, "server_error", "stopping", NULL,
                         "the server is being stopped");
}

static enum MHD_Result begin(struct weir_http *http, struct MHD_Connection *connection,
                             const char *url, const char *method, void **state)
{
    struct weir_exchange *exchange = weir_exchange_create(http->serve);
    if (exchange == NULL)
        return MHD_NO;
    atomic_fetch_add_explicit(&http->serve->open_count, 1, memory_order_relaxed);
    *state = exchange;
    exchange->connection = connection;
    exchange->fd = descriptor_of(connection);
    check_head(http, exchange, connection, url, method);
    mark_link(exchange, connection, WEIR_LINK_BODY);
    if (exchange->problem.status == 405 && weir_cors_is_question(exchange, connection, method)) {
        exchange->problem = (struct weir_problem){0};
        weir_exchange_reply(exchange, 204, NULL);
        return answer(exchange, connection);
    }
    return exchange->problem.status == 0 ? MHD_YES : refuse(exchange, connection);
}

/* What is too much is dropped: the answer comes when all has been read. */
static void take_body(struct weir_exchange *exchange, const char *bytes, size_t count)
{
    const struct weir_serve_limits *limits = weir_serve_limits_of(exchange->serve);
    /* A small one finds room whatever others send. */
    const size_t after = weir_max(exchange->body.length + count, WEIR_SERVE_SMALL_BODY_BYTES);
    const size_t more = after - weir_max(exchange->body.length, WEIR_SERVE_SMALL_BODY_BYTES);
    if (exchange->problem.status != 0)
        return;
    if (exchange->route->read == NULL || exchange->body.length + count > limits->body_bytes) {
        weir_problem_set(&exchange->problem, 413, "invalid_request_error", "request_too_large",
                         NULL, "the body: wanted at most %llu bytes",
                         exchange->route->read == NULL ? 0
                                                       : (unsigned long long)limits->body_bytes);
    } else if (!weir_serve_body_take(exchange->serve, more)) {
        weir_serve_problem_full(exchange->serve, exchange);
    } else {
        exchange->body_counted += more;
        weir_writer_put(&exchange->body, bytes, count);
    }
}

/* The request is whole: the desk gets it, and the connection waits. */
static enum MHD_Result ask(struct weir_http *http, struct weir_exchange *exchange,
                           struct MHD_Connection *connection)
{
    exchange->is_asked = true;
    mark_link(exchange, connection, WEIR_LINK_ASKS);
    if (exchange->problem.status != 0 || exchange->body.failed) {
        weir_problem_set(&exchange->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for the body");
        return refuse(exchange, connection);
    }
    if (exchange->route->tell != NULL) {
        weir_serve_hold_model(http->serve);
        exchange->route->tell(exchange);
        weir_serve_let_go(http->serve);
        return answer(exchange, connection);
    }
    if (weir_desk_is_full(http->serve->desk)) {
        weir_serve_problem_full(http->serve, exchange);
        return refuse(exchange, connection);
    }
    pthread_mutex_lock(&exchange->lock);
    exchange->is_suspended = true; /* keeps I1 */
    weir_mhd()->MHD_suspend_connection(connection);
    pthread_mutex_unlock(&exchange->lock);
    weir_exchange_hold(exchange);
    if (weir_desk_submit(http->serve->desk, exchange))
        return MHD_YES;
    weir_problem_set(&exchange->problem, 503, "server_error", "stopping", NULL,
                     "the server is being stopped");
    weir_exchange_refuse(exchange);
    weir_exchange_release(exchange);
    return MHD_YES;
}

static enum MHD_Result handle(void *user, struct MHD_Connection *connection, const char *url,
                              const char *method, const char *version, const char *bytes,
                              size_t *count, void **state)
{
    struct weir_http *http = user;
    struct weir_exchange *exchange = *state;
    (void)version;
    if (exchange == NULL)
        return begin(http, connection, url, method, state);
    if (*count > 0) {
        take_body(exchange, bytes, *count);
        *count = 0;
        return MHD_YES;
    }
    if (!exchange->is_asked)
        return ask(http, exchange, connection);
    pthread_mutex_lock(&exchange->lock);
    const bool is_ready = exchange->is_ready;
    pthread_mutex_unlock(&exchange->lock);
    return is_ready ? answer(exchange, connection) : MHD_NO;
}

static void complete(void *user, struct MHD_Connection *connection, void **state,
                     enum MHD_RequestTerminationCode code)
{
    struct weir_exchange *exchange = *state;
    (void)user;
    if (exchange == NULL)
        return;
    *state = NULL;
    mark_link(exchange, connection, WEIR_LINK_IDLE);
    pthread_mutex_lock(&exchange->lock);
    exchange->connection = NULL;
    exchange->has_left |= code != MHD_REQUEST_TERMINATED_COMPLETED_OK;
    pthread_mutex_unlock(&exchange->lock);
    weir_exchange_release(exchange);
}

/* ---- the daemon ---------------------------------------------------------------------------- */

static enum weir_status read_address(struct weir_http *http, const char *host, uint16_t port,
                                     struct weir_err *err)
{
    struct sockaddr_in *four = (void *)&http->address;
    struct sockaddr_in6 *six = (void *)&http->address;
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        return WEIR_OK;
    }
    if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6;
        six->sin6_port = htons(port);
        return WEIR_OK;
    }
    return WEIR_FAIL(err, WEIR_ERR_ARG, "wanted an address such as 127.0.0.1 or ::1, found \"%s\"",
                     host);
}

static enum weir_status read_socket(struct weir_http *http, int socket, struct weir_err *err)
{
    socklen_t size = sizeof(http->address);
    int is_listening = 0;
    socklen_t flag_size = sizeof(is_listening);
    if (getsockname(socket, (struct sockaddr *)(void *)&http->address, &size) != 0 ||
        getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &is_listening, &flag_size) != 0)
        return WEIR_FAIL_OS(err, errno, "the socket that the server was given");
    const int family = http->address.ss_family;
    if (!is_listening || (family != AF_INET && family != AF_INET6 && family != AF_UNIX))
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "wanted a socket of streams that listens (ListenStream=), found another");
    const struct sockaddr_in *four = (const void *)&http->address;
    const struct sockaddr_in6 *six = (const void *)&http->address;
    http->port = family == AF_UNIX ? 0 : ntohs(family == AF_INET ? four->sin_port : six->sin6_port);
    return WEIR_OK;
}

enum weir_status weir_serve_socket_check(int socket, bool *is_local, struct weir_err *err)
{
    struct weir_http http = {0};
    WEIR_TRY(read_socket(&http, socket, err));
    *is_local = is_loopback(&http.address);
    return WEIR_OK;
}

bool weir_serve_is_loopback(const char *host)
{
    struct weir_http http = {0};
    return read_address(&http, host, 0, NULL) == WEIR_OK && is_loopback(&http.address);
}

/* On a thread that no signal reaches, so that libmicrohttpd's inherits that. */
static void *start(void *argument)
{
    struct weir_http *http = argument;
    const struct weir_serve_limits *limits = weir_serve_limits_of(http->serve);
    const int given = http->serve->config.socket;
    const struct MHD_OptionItem where[] = {
        {given > 0 ? MHD_OPTION_LISTEN_SOCKET : MHD_OPTION_SOCK_ADDR, given, &http->address},
        {MHD_OPTION_END, 0, NULL}};
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_ALLOW_SUSPEND_RESUME;
    if (http->address.ss_family == AF_INET6)
        flags |= MHD_USE_IPv6;
    errno = 0;
    http->daemon = weir_mhd()->MHD_start_daemon(
        flags, http->serve->config.port, NULL, NULL, handle, http, MHD_OPTION_ARRAY, where,
        MHD_OPTION_NOTIFY_COMPLETED, complete, http, MHD_OPTION_NOTIFY_CONNECTION,
        notify_connection, http, MHD_OPTION_CONNECTION_LIMIT, (unsigned)limits->connection_max,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)limits->request_s,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_BYTES, MHD_OPTION_END);
    http->start_errno = errno;
    return NULL;
}

enum weir_status weir_http_open(struct weir_http **out, struct weir_serve *serve,
                                struct weir_err *err)
{
    enum { STACK_BYTES = 256 << 10 };
    enum weir_status status = WEIR_OK;
    pthread_t thread;
    WEIR_TRY(weir_mhd_load(err));
    struct weir_http *http = weir_heap_alloc(sizeof(*http));
    if (http == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a server");
    http->serve = serve;
    if (serve->config.socket > 0)
        WEIR_TRY_GOTO(read_socket(http, serve->config.socket, err));
    else
        WEIR_TRY_GOTO(read_address(http, serve->host, serve->config.port, err));
    int os_errno = weir_thread_start(&thread, STACK_BYTES, start, http);
    if (os_errno == 0)
        pthread_join(thread, NULL);
    if (http->daemon == NULL) {
        os_errno = os_errno != 0 ? os_errno : http->start_errno;
        status = WEIR_FAIL_OS(err, os_errno, "cannot listen at %s port %u", serve->host,
                              serve->config.port);
        goto fail;
    }
    const union MHD_DaemonInfo *info =
        weir_mhd()->MHD_get_daemon_info(http->daemon, MHD_DAEMON_INFO_BIND_PORT);
    if (serve->config.socket <= 0)
        http->port = info == NULL ? serve->config.port : info->port;
    *out = http;
    return WEIR_OK;

fail:
    weir_http_close(&http);
    return status;
}

uint16_t weir_http_port(const struct weir_http *http)
{
    return http->port;
}

void weir_http_drain(struct weir_http *http)
{
    if (http->is_drained)
        return;
    http->is_drained = true;
    const MHD_socket socket = weir_mhd()->MHD_quiesce_daemon(http->daemon);
    if (socket != MHD_INVALID_SOCKET)
        close(socket);
}

void weir_http_close(struct weir_http **http)
{
    if (*http == NULL)
        return;
    if ((*http)->daemon != NULL)
        weir_mhd()->MHD_stop_daemon((*http)->daemon);
    weir_heap_free(*http);
    *http = NULL;
}
