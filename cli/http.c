/* http.c - requests over libcurl: one answer, redirects followed, the token kept where it belongs.
 *
 * I1  The token goes to the hub's own server and to nobody else: each redirect is a request of its
 *     own here, and asks anew.
 * I2  What began as https stays https. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "curl_load.h"
#include "net.h"

enum {
    HOPS_MAX = 10,
    CONNECT_S = 30,
    SILENT_S = 60, /* without a byte, the connection is taken for dead */
    BUFFER_BYTES = 512 << 10,
};

static const struct weir_curl *lib; /* NULL until it is needed */

static bool load(void)
{
    if (lib == NULL)
        lib = weir_curl_load();
    return lib != NULL;
}

/* ---- where the hub is, and the token ----------------------------------------------------- */

static bool read_line(const char *path, char *out, size_t capacity)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    const bool found = fgets(out, (int)capacity, file) != NULL;
    fclose(file);
    return found;
}

/* As huggingface_hub looks for it. */
static bool find_token(char *out, size_t capacity)
{
    const char *token = getenv("HF_TOKEN");
    const char *file = getenv("HF_TOKEN_PATH");
    const char *house = getenv("HF_HOME");
    const char *cache = getenv("XDG_CACHE_HOME");
    const char *home = getenv("HOME");
    char path[WEIR_CLI_PATH_MAX];
    if (token != NULL && token[0] != '\0')
        return (size_t)snprintf(out, capacity, "%s", token) < capacity;
    if (file != NULL && file[0] != '\0')
        return read_line(file, out, capacity);
    if (house != NULL && house[0] != '\0')
        snprintf(path, sizeof(path), "%s/token", house);
    else if (cache != NULL && cache[0] == '/')
        snprintf(path, sizeof(path), "%s/huggingface/token", cache);
    else
        snprintf(path, sizeof(path), "%s/.cache/huggingface/token", home == NULL ? "" : home);
    return read_line(path, out, capacity);
}

/* A token that is not one printable word would end a header, or say something else in it. */
static bool check_token(char *token)
{
    size_t length = strlen(token);
    while (length > 0 && isspace((unsigned char)token[length - 1]))
        token[--length] = '\0';
    for (size_t at = 0; at < length; at++)
        if (token[at] <= ' ' || token[at] > '~') {
            weir_cli_say("the Hugging Face token (HF_TOKEN, or the file of hf auth login) has a "
                         "character that no token has; it is not sent");
            token[0] = '\0';
            return false;
        }
    return true;
}

bool weir_cli_net_open(struct weir_cli_net *net)
{
    const char *hub = getenv("HF_ENDPOINT");
    *net = (struct weir_cli_net){0};
    if (!load())
        return false;
    snprintf(net->hub, sizeof(net->hub), "%s",
             hub == NULL || hub[0] == '\0' ? "https://huggingface.co" : hub);
    for (size_t length = strlen(net->hub); length > 0 && net->hub[length - 1] == '/';)
        net->hub[--length] = '\0';
    if (!weir_cli_net_same_origin(net->hub, net->hub)) {
        weir_cli_say("HF_ENDPOINT: wanted a URL such as https://huggingface.co, found \"%s\"", hub);
        return false;
    }
    if (find_token(net->token, sizeof(net->token)) && !check_token(net->token))
        return false;
    lib->curl_global_init(CURL_GLOBAL_DEFAULT);
    net->curl = lib->curl_easy_init();
    if (net->curl == NULL)
        weir_cli_say("no memory for a connection");
    return net->curl != NULL;
}

void weir_cli_net_close(struct weir_cli_net *net)
{
    if (net->curl != NULL)
        lib->curl_easy_cleanup(net->curl);
    memset(net->token, 0, sizeof(net->token));
    net->curl = NULL;
}

/* ---- URLs ------------------------------------------------------------------------------------ */

/* The port is always there, so that it is compared too. */
static bool get_part(CURLU *parsed, CURLUPart part, unsigned flags, char *out, size_t capacity)
{
    char *text = NULL;
    if (lib->curl_url_get(parsed, part, &text, flags) != CURLUE_OK)
        return false;
    const bool fits = (size_t)snprintf(out, capacity, "%s", text) < capacity;
    lib->curl_free(text);
    return fits;
}

static bool find_origin(const char *url, char *out, size_t capacity)
{
    char scheme[16], host[512], port[16];
    if (!load())
        return false;
    CURLU *parsed = lib->curl_url();
    const bool ok = parsed != NULL &&
                    lib->curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                    get_part(parsed, CURLUPART_SCHEME, 0, scheme, sizeof(scheme)) &&
                    get_part(parsed, CURLUPART_HOST, 0, host, sizeof(host)) &&
                    get_part(parsed, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof(port)) &&
                    (strcasecmp(scheme, "http") == 0 || strcasecmp(scheme, "https") == 0);
    lib->curl_url_cleanup(parsed);
    return ok && (size_t)snprintf(out, capacity, "%s://%s:%s", scheme, host, port) < capacity;
}

bool weir_cli_net_wait(unsigned tries)
{
    for (unsigned step = 0; step < 10 * tries && !weir_cli_stop_asked(); step++)
        usleep(100000);
    return !weir_cli_stop_asked();
}

bool weir_cli_net_same_origin(const char *one, const char *other)
{
    char first[600], second[600];
    return find_origin(one, first, sizeof(first)) && find_origin(other, second, sizeof(second)) &&
           strcasecmp(first, second) == 0;
}

bool weir_cli_url_path(const char *url, char *path, size_t capacity)
{
    char origin[600];
    CURLU *parsed = find_origin(url, origin, sizeof(origin)) ? lib->curl_url() : NULL;
    const bool ok = parsed != NULL &&
                    lib->curl_url_set(parsed, CURLUPART_URL, url, 0) == CURLUE_OK &&
                    get_part(parsed, CURLUPART_PATH, CURLU_URLDECODE, path, capacity);
    lib->curl_url_cleanup(parsed);
    return ok;
}

bool weir_cli_copy(char *out, size_t capacity, const char *text)
{
    const size_t length = strlen(text);
    const bool fits = length < capacity;
    memcpy(out, text, fits ? length + 1 : 0);
    if (!fits)
        out[0] = '\0';
    return fits;
}

bool weir_cli_url_add(char *url, size_t capacity, const char *path)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "-._~/";
    size_t length = strlen(url);
    for (; *path != '\0' && length + 4 <= capacity; path++) {
        if (strchr(plain, *path) != NULL)
            url[length++] = *path;
        else
            length +=
                (size_t)snprintf(url + length, capacity - length, "%%%02X", (unsigned char)*path);
        url[length] = '\0';
    }
    return *path == '\0';
}

/* ---- one answer ------------------------------------------------------------------------------ */

struct hop {
    CURL *curl;
    const struct weir_cli_request *request;
    struct weir_cli_reply *reply;
    bool is_left; /* take wanted no more */
    char url[WEIR_CLI_URL_MAX];
    char why[CURL_ERROR_SIZE];
    struct curl_slist *headers;
};

static bool is_wanted(long status)
{
    return status == 200 || status == 206;
}

static bool read_number(const char *text, uint64_t *value)
{
    char *end = NULL;
    if (!isdigit((unsigned char)*text))
        return false;
    *value = strtoull(text, &end, 10);
    return true;
}

/* "bytes 5-9/10", or of a range that is not there "bytes *" and the whole after a slash. */
static void read_range(struct weir_cli_reply *reply, const char *text)
{
    const char *slash = strchr(text, '/');
    if (strncasecmp(text, "bytes ", 6) != 0 || slash == NULL)
        return;
    read_number(text + 6, &reply->range_first);
    read_number(slash + 1, &reply->total_bytes);
}

static void read_linked(struct weir_cli_reply *reply, const char *text)
{
    static const char digits[] = "0123456789abcdefABCDEF";
    text += *text == '"';
    if (strspn(text, digits) == WEIR_CLI_SHA256_MAX - 1)
        snprintf(reply->linked_sha256, sizeof(reply->linked_sha256), "%.*s",
                 WEIR_CLI_SHA256_MAX - 1, text);
}

static void read_field(struct weir_cli_reply *reply, const char *name, const char *value)
{
    if (strcasecmp(name, "etag") == 0)
        weir_cli_copy(reply->etag, sizeof(reply->etag), value);
    else if (strcasecmp(name, "content-length") == 0)
        read_number(value, &reply->content_bytes);
    else if (strcasecmp(name, "content-range") == 0)
        read_range(reply, value);
    else if (strcasecmp(name, "x-linked-size") == 0)
        read_number(value, &reply->linked_bytes);
    else if (strcasecmp(name, "x-linked-etag") == 0)
        read_linked(reply, value);
    else if (strcasecmp(name, "retry-after") == 0)
        weir_cli_copy(reply->retry_after, sizeof(reply->retry_after), value);
    else if (strcasecmp(name, "x-error-message") == 0)
        weir_cli_copy(reply->server_why, sizeof(reply->server_why), value);
}

/* A new answer: what the hub said of the file it links to stays. */
static void reset_reply(struct weir_cli_reply *reply)
{
    reply->content_bytes = reply->range_first = reply->total_bytes = UINT64_MAX;
    reply->etag[0] = reply->retry_after[0] = '\0';
}

void weir_cli_reply_take(struct weir_cli_reply *reply, const char *bytes, size_t count)
{
    char line[WEIR_CLI_URL_MAX];
    size_t length = weir_min(count, sizeof(line) - 1);
    memcpy(line, bytes, length);
    while (length > 0 && isspace((unsigned char)line[length - 1]))
        length--;
    line[length] = '\0';
    char *value = strchr(line, ':');
    if (strncmp(line, "HTTP/", 5) == 0) {
        reset_reply(reply);
    } else if (value != NULL) {
        *value++ = '\0';
        read_field(reply, line, value + strspn(value, " \t"));
    }
}

static size_t take_header(char *bytes, size_t each, size_t count, void *user)
{
    weir_cli_reply_take(((struct hop *)user)->reply, bytes, each * count);
    return each * count;
}

static size_t take_body(char *bytes, size_t each, size_t count, void *user)
{
    struct hop *hop = user;
    struct weir_cli_reply *reply = hop->reply;
    lib->curl_easy_getinfo(hop->curl, CURLINFO_RESPONSE_CODE, &reply->status);
    if (!is_wanted(reply->status))
        return 0;
    if (reply->status == 200)
        reply->total_bytes = reply->content_bytes;
    hop->is_left = !hop->request->take(hop->request->user, reply, bytes, count);
    return hop->is_left ? 0 : each * count;
}

static int ask_stop(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                    curl_off_t up)
{
    (void)user, (void)down_total, (void)down, (void)up_total, (void)up;
    return weir_cli_stop_asked();
}

static void set_range(struct hop *hop)
{
    const struct weir_cli_request *request = hop->request;
    char text[WEIR_CLI_ETAG_MAX + 32];
    if (request->first == 0 && request->end == 0)
        return;
    if (request->end == 0)
        snprintf(text, sizeof(text), "%llu-", (unsigned long long)request->first);
    else
        snprintf(text, sizeof(text), "%llu-%llu", (unsigned long long)request->first,
                 (unsigned long long)(request->end - 1));
    lib->curl_easy_setopt(hop->curl, CURLOPT_RANGE, text);
    if (request->if_range != NULL) {
        snprintf(text, sizeof(text), "If-Range: %s", request->if_range);
        hop->headers = lib->curl_slist_append(NULL, text);
        lib->curl_easy_setopt(hop->curl, CURLOPT_HTTPHEADER, hop->headers);
    }
}

static CURLcode perform(struct hop *hop, const struct weir_cli_net *net)
{
    CURL *curl = hop->curl;
    hop->why[0] = '\0';
    lib->curl_easy_reset(curl);
    lib->curl_easy_setopt(curl, CURLOPT_URL, hop->url);
    lib->curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    lib->curl_easy_setopt(curl, CURLOPT_USERAGENT, "weir/" WEIR_VERSION);
    lib->curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    lib->curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_S);
    lib->curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    lib->curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, (long)SILENT_S);
    lib->curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, (long)BUFFER_BYTES);
    lib->curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, hop->why);
    lib->curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, take_header);
    lib->curl_easy_setopt(curl, CURLOPT_HEADERDATA, hop);
    lib->curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_body);
    lib->curl_easy_setopt(curl, CURLOPT_WRITEDATA, hop);
    lib->curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ask_stop);
    lib->curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    /* keeps I1 */
    if (net->token[0] != '\0' && weir_cli_net_same_origin(hop->url, net->hub)) {
        lib->curl_easy_setopt(curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BEARER);
        lib->curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, net->token);
    }
    set_range(hop);
    hop->reply->status = 0;
    const CURLcode code = lib->curl_easy_perform(curl);
    lib->curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &hop->reply->status);
    lib->curl_slist_free_all(hop->headers);
    hop->headers = NULL;
    return code;
}

static void judge(struct hop *hop, CURLcode code)
{
    struct weir_cli_reply *reply = hop->reply;
    const bool is_answer = code == CURLE_OK || (code == CURLE_WRITE_ERROR && reply->status != 0);
    snprintf(reply->why, sizeof(reply->why), "%s",
             hop->why[0] != '\0' ? hop->why : lib->curl_easy_strerror(code));
    if (code == CURLE_ABORTED_BY_CALLBACK || weir_cli_stop_asked())
        reply->outcome = WEIR_CLI_NET_STOPPED;
    else if (hop->is_left)
        reply->outcome = WEIR_CLI_NET_LEFT;
    else if (is_answer)
        reply->outcome = is_wanted(reply->status) ? WEIR_CLI_NET_DONE : WEIR_CLI_NET_REFUSED;
    else if (code == CURLE_PEER_FAILED_VERIFICATION || code == CURLE_URL_MALFORMAT ||
             code == CURLE_UNSUPPORTED_PROTOCOL || code == CURLE_SSL_CACERT_BADFILE)
        reply->outcome = WEIR_CLI_NET_FATAL;
    else
        reply->outcome = WEIR_CLI_NET_BROKEN;
    if (is_answer && reply->status == 200)
        reply->total_bytes = reply->content_bytes;
}

/* The place that the server names becomes the next one. False: there is none, or it will not do. */
static bool follow(struct hop *hop, int number)
{
    struct weir_cli_reply *reply = hop->reply;
    char *next = NULL;
    if (reply->outcome != WEIR_CLI_NET_REFUSED || reply->status < 300 || reply->status > 399 ||
        lib->curl_easy_getinfo(hop->curl, CURLINFO_REDIRECT_URL, &next) != CURLE_OK || next == NULL)
        return false;
    reply->outcome = WEIR_CLI_NET_FATAL;
    if (number == HOPS_MAX)
        snprintf(reply->why, sizeof(reply->why), "it was sent elsewhere more than %d times",
                 HOPS_MAX);
    else if (strlen(next) >= sizeof(hop->url))
        snprintf(reply->why, sizeof(reply->why), "it was sent to a URL longer than %d bytes",
                 WEIR_CLI_URL_MAX);
    else if (strncasecmp(hop->url, "https:", 6) == 0 && strncasecmp(next, "https:", 6) != 0)
        snprintf(reply->why, sizeof(reply->why), "it was sent from https to %.*s",
                 (int)strcspn(next, "?"), next); /* keeps I2 */
    else {
        snprintf(hop->url, sizeof(hop->url), "%s", next);
        return true;
    }
    return false;
}

void weir_cli_net_get(struct weir_cli_net *net, const struct weir_cli_request *request,
                      struct weir_cli_reply *reply)
{
    struct hop hop = {.curl = net->curl, .request = request, .reply = reply};
    *reply = (struct weir_cli_reply){.linked_bytes = UINT64_MAX};
    reset_reply(reply);
    reply->outcome = WEIR_CLI_NET_FATAL;
    if ((size_t)snprintf(hop.url, sizeof(hop.url), "%s", request->url) >= sizeof(hop.url)) {
        snprintf(reply->why, sizeof(reply->why), "its URL is longer than %d bytes",
                 WEIR_CLI_URL_MAX);
        return;
    }
    for (int number = 0;; number++) {
        judge(&hop, perform(&hop, net));
        if (!follow(&hop, number))
            break;
    }
}

/* ---- why not --------------------------------------------------------------------------------- */

int weir_cli_net_fail(const struct weir_cli_net *net, const char *name,
                      const struct weir_cli_reply *reply)
{
    const bool has_token = net->token[0] != '\0';
    const char *why = reply->server_why;
    if (reply->outcome == WEIR_CLI_NET_STOPPED)
        weir_cli_say("stopped");
    else if (reply->outcome != WEIR_CLI_NET_REFUSED)
        weir_cli_say("%s cannot be had: %s", name, reply->why);
    else if (reply->status == 404 || reply->status == 410)
        weir_cli_say("%s is not there: the server says %ld%s%s; look at the name", name,
                     reply->status, why[0] == '\0' ? "" : ", ", why);
    else if (reply->status == 401 || reply->status == 403)
        weir_cli_say("%s is not given to us: the server says %ld%s%s; it may be private, want its "
                     "terms accepted on its web page, or not be there; %s",
                     name, reply->status, why[0] == '\0' ? "" : ", ", why,
                     has_token ? "the token that was sent is not enough"
                               : "a token is taken from HF_TOKEN, or as hf auth login keeps it");
    else if (reply->status == 429)
        weir_cli_say("%s: the server has had too many requests (429)%s%s%s; try again later%s",
                     name, reply->retry_after[0] == '\0' ? "" : ", and wants none for ",
                     reply->retry_after, reply->retry_after[0] == '\0' ? "" : " s",
                     has_token ? "" : ", or with a token in HF_TOKEN");
    else if (reply->status >= 500)
        weir_cli_say("%s: the server has a fault of its own (%ld)%s%s; try again later", name,
                     reply->status, why[0] == '\0' ? "" : ": ", why);
    else
        weir_cli_say("%s: wanted a file, the server says %ld%s%s", name, reply->status,
                     why[0] == '\0' ? "" : ": ", why);
    return WEIR_CLI_FAILURE;
}
