/* mhd_load.c - libmicrohttpd, brought in when a server is opened. */
#include "serve/mhd_load.h"

#include <dlfcn.h>
#include <string.h>

/* As distributions call it. */
static const char *const names[] = {"libmicrohttpd.so.12"};

/* Written by the first load, before any other thread of the server runs. */
static struct weir_mhd calls;
static bool is_loaded;

enum weir_status weir_mhd_load(struct weir_err *err)
{
    if (is_loaded)
        return WEIR_OK;
    void *library = dlopen(names[0], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "a server needs libmicrohttpd, which is not here (on Debian: apt-get "
                         "install libmicrohttpd12): %s",
                         dlerror());
#define X(name)                                                                                    \
    {                                                                                              \
        void *found = dlsym(library, #name);                                                       \
        if (found == NULL)                                                                         \
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,                                            \
                             "the libmicrohttpd that is here is too old: it has no %s", #name);    \
        memcpy(&calls.name, &found, sizeof(found));                                                \
    }
    WEIR_MHD_CALLS(X)
#undef X
    is_loaded = true;
    return WEIR_OK;
}

const struct weir_mhd *weir_mhd(void)
{
    return &calls;
}
