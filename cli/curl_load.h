/* curl_load.h - libcurl, brought in when it is needed.
 *
 * Job       The functions of libcurl that http.c calls, found in the shared library at run time.
 * Not here  What they are called for.
 * Owns      The library stays loaded until the program ends.
 * Threads   The main thread.
 * Errors    NULL: there is no libcurl, and which package has it was said.
 *
 * libcurl brings some thirty libraries along, and their pages count under a ceiling of memory: only
 * the command that downloads has them.
 */
#ifndef WEIR_CLI_CURL_LOAD_H
#define WEIR_CLI_CURL_LOAD_H

#define CURL_DISABLE_TYPECHECK
#include <curl/curl.h>

#define WEIR_CURL_CALLS(X)                                                                         \
    X(curl_global_init)                                                                            \
    X(curl_free)                                                                                   \
    X(curl_easy_init)                                                                              \
    X(curl_easy_cleanup)                                                                           \
    X(curl_easy_reset)                                                                             \
    X(curl_easy_setopt)                                                                            \
    X(curl_easy_perform)                                                                           \
    X(curl_easy_getinfo)                                                                           \
    X(curl_easy_strerror)                                                                          \
    X(curl_slist_append)                                                                           \
    X(curl_slist_free_all)                                                                         \
    X(curl_url)                                                                                    \
    X(curl_url_cleanup)                                                                            \
    X(curl_url_get)                                                                                \
    X(curl_url_set)

struct weir_curl {
#define X(name) __typeof__(name) *name;
    WEIR_CURL_CALLS(X)
#undef X
};

const struct weir_curl *weir_curl_load(void);

#endif
