/* mhd_load.h - libmicrohttpd, brought in when a server is opened.
 *
 * The functions that the server calls, found in the shared library at run time: it brings GnuTLS
 * and what belongs to it along, and their pages count under a ceiling of memory
 * (docs/decisions/0031-serve.md).
 */
#ifndef WEIR_SERVE_MHD_LOAD_H
#define WEIR_SERVE_MHD_LOAD_H

#include <microhttpd.h>

#include "base/base.h"

#define WEIR_MHD_CALLS(X)                                                                          \
    X(MHD_start_daemon)                                                                            \
    X(MHD_stop_daemon)                                                                             \
    X(MHD_quiesce_daemon)                                                                          \
    X(MHD_get_connection_info)                                                                     \
    X(MHD_get_daemon_info)                                                                         \
    X(MHD_lookup_connection_value)                                                                 \
    X(MHD_get_connection_values)                                                                   \
    X(MHD_suspend_connection)                                                                      \
    X(MHD_resume_connection)                                                                       \
    X(MHD_create_response_from_buffer)                                                             \
    X(MHD_create_response_from_callback)                                                           \
    X(MHD_destroy_response)                                                                        \
    X(MHD_add_response_header)                                                                     \
    X(MHD_queue_response)

struct weir_mhd {
#define X(name) __typeof__(name) *name;
    WEIR_MHD_CALLS(X)
#undef X
};

/* Errors: UNSUPPORTED: it is not here, or too old. It stays loaded until the program ends. */
enum weir_status weir_mhd_load(struct weir_err *err);
/* Behind a load that went well. */
const struct weir_mhd *weir_mhd(void);

#endif
