/* cuda_driver.h - what weir calls of the CUDA driver's API, found in its library when it is wanted.
 *
 * Names, numbers and the order of arguments are the driver's (CUDA Driver API 13.0, sections 6.2 to
 * 6.28); a name that ends in _v2 is the one that its own header calls. No header of CUDA's is
 * needed to build this. */
#ifndef WEIR_CUDA_DRIVER_H
#define WEIR_CUDA_DRIVER_H

#include "base/base.h"

typedef int weir_cu_device;
typedef uint64_t weir_cu_pointer;
typedef struct weir_cu_context *weir_cu_context;
typedef struct weir_cu_module *weir_cu_module;
typedef struct weir_cu_function *weir_cu_function;
typedef struct weir_cu_stream *weir_cu_stream;
typedef struct weir_cu_event *weir_cu_event;
typedef struct weir_cu_graph *weir_cu_graph;
typedef struct weir_cu_graph_exec *weir_cu_graph_exec;

enum {
    WEIR_CU_SUCCESS = 0,
    WEIR_CU_OUT_OF_MEMORY = 2,
    WEIR_CU_NO_DEVICE = 100,
    WEIR_CU_INVALID_DEVICE = 101,
    WEIR_CU_NO_BINARY = 209,
    WEIR_CU_UNSUPPORTED_PTX = 222,
    WEIR_CU_NOT_FOUND = 500,
    WEIR_CU_NOT_READY = 600,
};
enum {
    WEIR_CU_STREAM_NON_BLOCKING = 1,
    WEIR_CU_EVENT_DEFAULT = 0,
    WEIR_CU_EVENT_DISABLE_TIMING = 2,
    WEIR_CU_REGISTER_PORTABLE = 1,
    WEIR_CU_CAPTURE_RELAXED = 2,
    WEIR_CU_DYNAMIC_SHARED_BYTES = 8, /* of a function's attributes */
};
enum { /* of a device's attributes */
       WEIR_CU_PROCESSORS = 16,
       WEIR_CU_L2_BYTES = 38,
       WEIR_CU_MAJOR = 75,
       WEIR_CU_MINOR = 76,
       WEIR_CU_SHARED_BYTES_OPTIN = 97,
};
/* cuLaunchKernel's `extra`. */
#define WEIR_CU_LAUNCH_END ((void *)0)
#define WEIR_CU_LAUNCH_BUFFER ((void *)1)
#define WEIR_CU_LAUNCH_BYTES ((void *)2)

/* CUlaunchConfig and CUlaunchAttribute. */
struct weir_cu_launch_attribute {
    int id;
    int pad;
    union {
        int allowed;
        char bytes[64];
    } value;
};
struct weir_cu_launch_config {
    unsigned grid[3], block[3], shared_bytes;
    weir_cu_stream stream;
    struct weir_cu_launch_attribute *attributes;
    unsigned attribute_count;
};
enum {
    WEIR_CU_LAUNCH_EARLY = 6,     /* programmatic stream serialization */
    WEIR_CU_EARLY_VERSION = 12030 /* from which on graphs have it too */
};

struct weir_cu {
    void *library;
    int version; /* 13000: CUDA 13.0 */
#define CALL(name, symbol, arguments) int(*name) arguments;
#include "gpu/cuda/cuda_calls.h"
#undef CALL
    /* cuLaunchKernelEx; NULL: this driver has none. */
    int (*launch_by)(const struct weir_cu_launch_config *config, weir_cu_function function,
                     void **args, void **extra);
};

/* Find the driver's library and start it. Errors: UNSUPPORTED names what is missing. */
enum weir_status weir_cu_open(struct weir_cu *cu, struct weir_err *err);
void weir_cu_close(struct weir_cu *cu);
/* "CUDA_ERROR_ILLEGAL_ADDRESS: an illegal memory access was encountered" into out; returns out. */
enum { WEIR_CU_TEXT_MAX = 200 };
const char *weir_cu_error(const struct weir_cu *cu, int code, char out[WEIR_CU_TEXT_MAX]);
/* "580.82.07, CUDA 13.0", as far as the machine says. */
void weir_cu_driver_text(const struct weir_cu *cu, char *out, size_t capacity);

#endif
