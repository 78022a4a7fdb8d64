/* cuda_driver.c - the CUDA driver's library, looked for when a device is. */
#include "gpu/cuda/cuda_driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum weir_status weir_cu_open(struct weir_cu *cu, struct weir_err *err)
{
    char why[WEIR_CU_TEXT_MAX];
    *cu =
        (struct weir_cu){.library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE)};
    if (cu->library == NULL)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "there is no NVIDIA driver: libcuda.so.1 is not found. Where the machine "
                         "has an NVIDIA GPU, install its driver");
    static const char *const symbols[] = {
#define CALL(name, symbol, arguments) symbol,
#include "gpu/cuda/cuda_calls.h"
#undef CALL
    };
    void *found[WEIR_COUNT(symbols)];
    for (size_t index = 0; index < WEIR_COUNT(symbols); index++) {
        found[index] = dlsym(cu->library, symbols[index]);
        if (found[index] != NULL)
            continue;
        weir_cu_close(cu);
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "the NVIDIA driver is too old: its library has no %s. Install a driver of "
                         "2021 or later (470)",
                         symbols[index]);
    }
    size_t next = 0;
#define CALL(name, symbol, arguments)                                                              \
    memcpy(&cu->name, &found[next++], sizeof(cu->name)); /* POSIX: both are one kind of pointer */
#include "gpu/cuda/cuda_calls.h"
#undef CALL
    void *launch_by = dlsym(cu->library, "cuLaunchKernelEx");
    memcpy(&cu->launch_by, &launch_by, sizeof(cu->launch_by));
    const int code = cu->init(0);
    if (code == WEIR_CU_SUCCESS) {
        cu->driver_version(&cu->version);
        return WEIR_OK;
    }
    weir_cu_error(cu, code, why);
    weir_cu_close(cu);
    if (code == WEIR_CU_NO_DEVICE)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "the NVIDIA driver finds no GPU (%s). Look at what nvidia-smi says, and "
                         "in a container at whether the GPU was given to it",
                         why);
    return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                     "the NVIDIA driver does not start: cuInit says %s. Look at what nvidia-smi "
                     "says; after an update of the driver the machine must start again",
                     why);
}

/* The driver has threads that outlive this, so its library is never unmapped (NODELETE). */
void weir_cu_close(struct weir_cu *cu)
{
    if (cu->library != NULL)
        dlclose(cu->library);
    *cu = (struct weir_cu){0};
}

const char *weir_cu_error(const struct weir_cu *cu, int code, char out[WEIR_CU_TEXT_MAX])
{
    const char *name = NULL;
    const char *text = NULL;
    cu->error_name(code, &name);
    cu->error_string(code, &text);
    if (name == NULL || text == NULL)
        snprintf(out, WEIR_CU_TEXT_MAX, "CUDA error %d", code);
    else
        snprintf(out, WEIR_CU_TEXT_MAX, "%s: %s", name, text);
    return out;
}

void weir_cu_driver_text(const struct weir_cu *cu, char *out, size_t capacity)
{
    char number[32] = "";
    FILE *file = fopen("/sys/module/nvidia/version", "re");
    if (file != NULL) {
        if (fgets(number, sizeof(number), file) != NULL)
            number[strcspn(number, "\n")] = '\0';
        fclose(file);
    }
    snprintf(out, capacity, "%s%sCUDA %d.%d", number, number[0] == '\0' ? "" : ", ",
             cu->version / 1000, cu->version % 1000 / 10);
}
