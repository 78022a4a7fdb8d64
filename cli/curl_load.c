/* curl_load.c - libcurl, brought in when it is needed. */
#include "curl_load.h"

#include <dlfcn.h>
#include <string.h>

#include "cli.h"

/* As distributions call it; Debian's build with GnuTLS first, whose headers weir is built with. */
static const char *const names[] = {"libcurl-gnutls.so.4", "libcurl.so.4"};

static void *open_library(void)
{
    void *library = NULL;
    for (size_t index = 0; index < WEIR_COUNT(names) && library == NULL; index++)
        library = dlopen(names[index], RTLD_NOW | RTLD_LOCAL);
    return library;
}

const struct weir_curl *weir_curl_load(void)
{
    static struct weir_curl calls;
    static bool is_loaded;
    if (is_loaded)
        return &calls;
    void *library = open_library();
    if (library == NULL) {
        weir_cli_say("a download needs libcurl, which is not here (on Debian: apt-get install "
                     "libcurl3-gnutls): %s",
                     dlerror());
        return NULL;
    }
#define X(name)                                                                                    \
    {                                                                                              \
        void *found = dlsym(library, #name);                                                       \
        if (found == NULL) {                                                                       \
            weir_cli_say("the libcurl that is here is too old: it has no %s", #name);              \
            return NULL;                                                                           \
        }                                                                                          \
        memcpy(&calls.name, &found, sizeof(found));                                                \
    }
    WEIR_CURL_CALLS(X)
#undef X
    is_loaded = true;
    return &calls;
}
