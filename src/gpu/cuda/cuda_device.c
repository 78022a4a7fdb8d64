/* cuda_device.c - one CUDA device: found, opened with all its memory, closed. */
#include "gpu/cuda/cuda_device.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"

void weir_cuda_enter(struct weir_cuda *cuda)
{
    weir_cuda_check(cuda, cuda->cu.context_set(cuda->context), "cuCtxSetCurrent");
}

bool weir_cuda_check(struct weir_cuda *cuda, int code, const char *call)
{
    char text[WEIR_CU_TEXT_MAX];
    if (code == WEIR_CU_SUCCESS)
        return true;
    weir_gpu_lose(&cuda->gpu, "%s says %s", call, weir_cu_error(&cuda->cu, code, text));
    return false;
}

const struct weir_cuda_limits *weir_cuda_limits(const weir_gpu *gpu)
{
    return &((const struct weir_cuda *)gpu)->limits;
}

struct weir_cuda_workspace weir_cuda_workspace(const weir_gpu *gpu)
{
    return (struct weir_cuda_workspace){.at = gpu->workspace, .bytes = gpu->workspace_bytes};
}

/* ---- what is there -------------------------------------------------------------------------- */

static enum weir_status fail_call(const struct weir_cu *cu, int code, const char *call,
                                  uint32_t index, struct weir_err *err)
{
    char text[WEIR_CU_TEXT_MAX];
    return WEIR_FAIL(err, WEIR_ERR_IO, "GPU %u: %s says %s", index, call,
                     weir_cu_error(cu, code, text));
}

static uint32_t attribute(const struct weir_cu *cu, weir_cu_device device, int which)
{
    int value = 0;
    cu->device_attribute(&value, which, device);
    return value < 0 ? 0 : (uint32_t)value;
}

/* The machine code that a device runs: its own architecture's, or that of a smaller minor number;
 * 0: there is none. */
static uint32_t arch_of(const struct weir_cuda_limits *limits)
{
    const uint32_t own = limits->major * 10 + limits->minor;
    uint32_t best = 0;
    for (const uint32_t *arch = weir_cuda_archs; *arch != 0; arch++)
        if (*arch / 10 == limits->major && *arch <= own)
            best = *arch;
    return best;
}

/* That, or the driver compiles what is for later ones. */
static enum weir_status choose_code(const struct weir_cuda_limits *limits,
                                    struct weir_gpu_info *info, struct weir_err *err)
{
    const uint32_t own = limits->major * 10 + limits->minor;
    const uint32_t best = arch_of(limits);
    if (best != 0)
        snprintf(info->code, sizeof(info->code), "sm_%u", best);
    else if (weir_cuda_ptx <= own)
        snprintf(info->code, sizeof(info->code), "PTX %u.%u", weir_cuda_ptx / 10,
                 weir_cuda_ptx % 10);
    else
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "%s has compute capability %u.%u, and this weir has no code for it: the "
                         "first that it has is for %u.%u. Build it with `make CUDA_ARCHS=%u`, if "
                         "your nvcc still knows that one",
                         info->name, limits->major, limits->minor, weir_cuda_archs[0] / 10,
                         weir_cuda_archs[0] % 10, own);
    return WEIR_OK;
}

static enum weir_status describe(const struct weir_cu *cu, uint32_t index, weir_cu_device *device,
                                 struct weir_cuda_limits *limits, struct weir_gpu_info *info,
                                 struct weir_err *err)
{
    int count = 0;
    size_t total_bytes = 0;
    int code = cu->device_count(&count);
    if (code != WEIR_CU_SUCCESS)
        return fail_call(cu, code, "cuDeviceGetCount", index, err);
    if (count <= 0 || index >= (uint32_t)count)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "there is no GPU %u: the NVIDIA driver finds %d of them", index, count);
    code = cu->device_get(device, (int)index);
    if (code != WEIR_CU_SUCCESS)
        return fail_call(cu, code, "cuDeviceGet", index, err);
    code = cu->device_total(&total_bytes, *device);
    if (code != WEIR_CU_SUCCESS)
        return fail_call(cu, code, "cuDeviceTotalMem", index, err);
    *limits = (struct weir_cuda_limits){
        .major = attribute(cu, *device, WEIR_CU_MAJOR),
        .minor = attribute(cu, *device, WEIR_CU_MINOR),
        .processors = attribute(cu, *device, WEIR_CU_PROCESSORS),
        .shared_bytes_max = attribute(cu, *device, WEIR_CU_SHARED_BYTES_OPTIN),
        .l2_bytes = attribute(cu, *device, WEIR_CU_L2_BYTES),
    };
    cu->device_name(info->name, sizeof(info->name), *device);
    weir_cu_driver_text(cu, info->driver, sizeof(info->driver));
    info->major = limits->major;
    info->minor = limits->minor;
    info->processors = limits->processors;
    info->total_bytes = total_bytes;
    return choose_code(limits, info, err);
}

/* Free memory is known to a context alone: one is made, which costs a tenth of a second. */
static enum weir_status probe(uint32_t index, struct weir_gpu_info *info, struct weir_err *err)
{
    struct weir_cu cu;
    struct weir_cuda_limits limits;
    weir_cu_device device;
    weir_cu_context context;
    WEIR_TRY(weir_cu_open(&cu, err));
    enum weir_status status = describe(&cu, index, &device, &limits, info, err);
    if (status == WEIR_OK) {
        const int code = cu.context_retain(&context, device);
        size_t free_bytes = 0;
        size_t total_bytes = 0;
        if (code != WEIR_CU_SUCCESS)
            status = fail_call(&cu, code, "cuDevicePrimaryCtxRetain", index, err);
        else {
            cu.context_set(context);
            cu.memory_info(&free_bytes, &total_bytes);
            info->free_bytes = free_bytes;
            cu.context_set(NULL);
            cu.context_release(device);
        }
    }
    weir_cu_close(&cu);
    return status;
}

/* ---- open and close ------------------------------------------------------------------------- */

static enum weir_status load_code(struct weir_cuda *cuda, struct weir_err *err)
{
    const struct weir_cu *cu = &cuda->cu;
    for (const void *const *image = weir_cuda_images; *image != NULL; image++) {
        char text[WEIR_CU_TEXT_MAX];
        WEIR_ASSERT(cuda->module_count < WEIR_CUDA_IMAGE_MAX);
        const int code = cu->module_load(&cuda->modules[cuda->module_count], *image);
        if (code == WEIR_CU_SUCCESS) {
            cuda->module_count++;
            continue;
        }
        weir_cu_error(cu, code, text);
        if (code == WEIR_CU_OUT_OF_MEMORY)
            return WEIR_FAIL(err, WEIR_ERR_NOMEM, "%s has no memory for weir's code (%s)",
                             cuda->gpu.info.name, text);
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "the NVIDIA driver (%s) does not take weir's code, which CUDA %s made, "
                         "for %s: %s. Install a newer driver, or build weir with an older CUDA",
                         cuda->gpu.info.driver, weir_cuda_compiler, cuda->gpu.info.name, text);
    }
    return WEIR_OK;
}

static enum weir_status take_memory(struct weir_cuda *cuda, uint64_t bytes, struct weir_err *err)
{
    const struct weir_cu *cu = &cuda->cu;
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    cu->memory_info(&free_bytes, &total_bytes);
    cuda->gpu.info.free_bytes = free_bytes;
    const int code = cu->memory_alloc(&cuda->memory, weir_max(bytes, WEIR_GPU_ALIGN));
    if (code == WEIR_CU_OUT_OF_MEMORY)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "%s has %zu bytes of memory free, and %llu are wanted in one piece: give "
                         "less (--gpu-mem), or end what else uses it (nvidia-smi lists it)",
                         cuda->gpu.info.name, free_bytes, (unsigned long long)bytes);
    if (code != WEIR_CU_SUCCESS)
        return fail_call(cu, code, "cuMemAlloc", cuda->gpu.config.index, err);
    cuda->gpu.base = cuda->memory;
    weir_cuda_zero(&cuda->gpu, WEIR_GPU_COMPUTE, cuda->gpu.base, weir_max(bytes, WEIR_GPU_ALIGN));
    weir_cuda_drain(cuda, cuda->streams[WEIR_GPU_COMPUTE]);
    if (cuda->gpu.lost.status != WEIR_OK && err != NULL)
        *err = cuda->gpu.lost;
    return cuda->gpu.lost.status;
}

static void close_cuda(weir_gpu *gpu)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    const struct weir_cu *cu = &cuda->cu;
    /* A device that was given up may never answer: what it has stays until the process ends. */
    if (cuda->context != NULL && !cuda->is_silent) {
        cu->context_set(cuda->context);
        for (uint32_t number = 0; number < WEIR_GPU_GRAPH_MAX; number++)
            if (cuda->graphs[number] != NULL)
                cu->graph_exec_destroy(cuda->graphs[number]);
        for (uint32_t event = 0; event < WEIR_GPU_EVENT_MAX; event++)
            if (cuda->events[event] != NULL)
                cu->event_destroy(cuda->events[event]);
        for (uint32_t index = 0; index < cuda->module_count; index++)
            cu->module_unload(cuda->modules[index]);
        if (cuda->memory != 0)
            cu->memory_free(cuda->memory);
        for (int stream = 0; stream < WEIR_GPU_STREAM_COUNT; stream++)
            if (cuda->streams[stream] != NULL)
                cu->stream_destroy(cuda->streams[stream]);
        cu->context_set(NULL);
        cu->context_release(cuda->device);
    }
    weir_cu_close(&cuda->cu);
    weir_heap_free(cuda);
}

static enum weir_status open_context(struct weir_cuda *cuda, struct weir_err *err)
{
    const struct weir_cu *cu = &cuda->cu;
    const uint32_t index = cuda->gpu.config.index;
    int code = cu->context_retain(&cuda->context, cuda->device);
    if (code == WEIR_CU_OUT_OF_MEMORY)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "%s has no memory free for a program's own needs: end what else uses it "
                         "(nvidia-smi lists it)",
                         cuda->gpu.info.name);
    if (code != WEIR_CU_SUCCESS) {
        cuda->context = NULL;
        return fail_call(cu, code, "cuDevicePrimaryCtxRetain", index, err);
    }
    code = cu->context_set(cuda->context);
    if (code != WEIR_CU_SUCCESS)
        return fail_call(cu, code, "cuCtxSetCurrent", index, err);
    for (int stream = 0; stream < WEIR_GPU_STREAM_COUNT; stream++) {
        code = cu->stream_create(&cuda->streams[stream], WEIR_CU_STREAM_NON_BLOCKING);
        if (code != WEIR_CU_SUCCESS)
            return fail_call(cu, code, "cuStreamCreate", index, err);
    }
    return WEIR_OK;
}

static enum weir_status open_cuda(weir_gpu **out, const struct weir_gpu_config *config,
                                  struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct weir_cuda *cuda = weir_heap_alloc(sizeof(*cuda));
    if (cuda == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to open GPU %u", config->index);
    cuda->gpu.config = *config;
    WEIR_TRY_GOTO(weir_cu_open(&cuda->cu, err));
    WEIR_TRY_GOTO(
        describe(&cuda->cu, config->index, &cuda->device, &cuda->limits, &cuda->gpu.info, err));
    /* grid.cuh: older code does not wait by itself. */
    cuda->begins_early = arch_of(&cuda->limits) >= 90 && cuda->cu.launch_by != NULL &&
                         cuda->cu.version >= WEIR_CU_EARLY_VERSION;
    WEIR_TRY_GOTO(open_context(cuda, err));
    WEIR_TRY_GOTO(load_code(cuda, err));
    WEIR_TRY_GOTO(take_memory(cuda, config->memory_bytes, err));
    *out = &cuda->gpu;
    return WEIR_OK;
fail:
    close_cuda(&cuda->gpu);
    return status;
}

static uint64_t free_bytes_now(const weir_gpu *gpu)
{
    const struct weir_cuda *cuda = (const struct weir_cuda *)gpu;
    size_t free_bytes = 0;
    size_t total_bytes = 0;
    if (cuda->is_silent || cuda->cu.context_set(cuda->context) != WEIR_CU_SUCCESS ||
        cuda->cu.memory_info(&free_bytes, &total_bytes) != WEIR_CU_SUCCESS)
        return 0;
    return free_bytes;
}

static bool pin(weir_gpu *gpu, void *start, uint64_t bytes)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    return !cuda->is_silent && cuda->cu.context_set(cuda->context) == WEIR_CU_SUCCESS &&
           cuda->cu.host_register(start, bytes, WEIR_CU_REGISTER_PORTABLE) == WEIR_CU_SUCCESS;
}

static void unpin(weir_gpu *gpu, void *start)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    if (!cuda->is_silent && cuda->cu.context_set(cuda->context) == WEIR_CU_SUCCESS)
        cuda->cu.host_unregister(start);
}

const struct weir_gpu_device weir_gpu_cuda = {.probe = probe,
                                              .open = open_cuda,
                                              .close = close_cuda,
                                              .free_bytes = free_bytes_now,
                                              .pin = pin,
                                              .unpin = unpin,
                                              .copy_in = weir_cuda_copy_in,
                                              .copy_out = weir_cuda_copy_out,
                                              .copy = weir_cuda_copy,
                                              .zero = weir_cuda_zero,
                                              .record = weir_cuda_record,
                                              .wait_for = weir_cuda_wait_for,
                                              .has_passed = weir_cuda_has_passed,
                                              .await = weir_cuda_await,
                                              .await_all = weir_cuda_await_all,
                                              .graph_begin = weir_cuda_graph_begin,
                                              .graph_end = weir_cuda_graph_end,
                                              .graph_launch = weir_cuda_graph_launch,
                                              .graph_forget = weir_cuda_graph_forget,
#define EACH(name) .name = weir_cuda_##name,
                                              WEIR_GPU_OPERATIONS(EACH)
#undef EACH
};
