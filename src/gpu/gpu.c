/* gpu.c - the door to a device of either kind: what is checked, dealt out and remembered. */
#include "gpu/gpu.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "gpu/gpu_internal.h"

static const struct weir_gpu_device *device_of(enum weir_gpu_kind kind)
{
    return kind == WEIR_GPU_SIM ? &weir_gpu_sim : &weir_gpu_cuda;
}

enum weir_status weir_gpu_probe(enum weir_gpu_kind kind, uint32_t index, struct weir_gpu_info *info,
                                struct weir_err *err)
{
    struct weir_gpu_info found = {0};
    WEIR_TRY(device_of(kind)->probe(index, &found, err));
    *info = found;
    return WEIR_OK;
}

enum weir_status weir_gpu_open(weir_gpu **out, const struct weir_gpu_config *config,
                               struct weir_err *err)
{
    const struct weir_gpu_device *device = device_of(config->kind);
    weir_gpu *gpu = NULL;
    WEIR_TRY(device->open(&gpu, config, err));
    WEIR_ASSERT(gpu->base % WEIR_GPU_ALIGN == 0 && gpu->base > 0);
    gpu->device = device;
    gpu->config = *config;
    gpu->recording = WEIR_GPU_NO_GRAPH;
    *out = gpu;
    return WEIR_OK;
}

static bool is_lost(const weir_gpu *gpu)
{
    return gpu->lost.status != WEIR_OK;
}

void weir_gpu_close(weir_gpu **gpu)
{
    if (*gpu == NULL)
        return;
    if (!is_lost(*gpu))
        (*gpu)->device->await_all(*gpu);
    (*gpu)->device->close(*gpu);
    *gpu = NULL;
}

void weir_gpu_lose(weir_gpu *gpu, const char *format, ...)
{
    char what[320];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (!is_lost(gpu))
        WEIR_FAIL(&gpu->lost, WEIR_ERR_IO,
                  "the GPU %u (%s) is lost: %s. What it was computing is gone; try again, or run "
                  "without it (--gpu off)",
                  gpu->config.index, gpu->info.name, what);
}

void weir_gpu_info_get(const weir_gpu *gpu, struct weir_gpu_info *info)
{
    *info = gpu->info;
}

uint64_t weir_gpu_free_bytes(const weir_gpu *gpu)
{
    return gpu->device->free_bytes(gpu);
}

/* ---- memory --------------------------------------------------------------------------------- */

weir_gpu_address weir_gpu_alloc(struct weir_gpu_mem *mem, enum weir_gpu_use use, uint64_t bytes)
{
    const uint64_t taken_bytes = weir_align_up(bytes, WEIR_GPU_ALIGN);
    weir_gpu *gpu = mem->gpu;
    mem->used_bytes[use] += taken_bytes;
    if (gpu == NULL)
        return 0;
    WEIR_ASSERT(taken_bytes <= gpu->config.memory_bytes - gpu->handed_bytes);
    const weir_gpu_address at = gpu->base + gpu->handed_bytes;
    gpu->handed_bytes += taken_bytes;
    return at;
}

uint64_t weir_gpu_mem_bytes(const struct weir_gpu_mem *mem)
{
    uint64_t total = 0;
    for (int use = 0; use < WEIR_GPU_USE_COUNT; use++)
        total += mem->used_bytes[use];
    return total;
}

bool weir_gpu_pin(weir_gpu *gpu, void *start, uint64_t bytes)
{
    return gpu->device->pin(gpu, start, bytes);
}

void weir_gpu_unpin(weir_gpu *gpu, void *start)
{
    gpu->device->unpin(gpu, start);
}

void weir_gpu_workspace_set(weir_gpu *gpu, weir_gpu_address at, uint64_t bytes)
{
    WEIR_ASSERT(at % WEIR_GPU_ALIGN == 0);
    gpu->workspace = at;
    gpu->workspace_bytes = bytes;
}

/* ---- copies --------------------------------------------------------------------------------- */

/* Work is called for: false when there is nobody, or nothing to do. */
static bool may_call(const weir_gpu *gpu, uint64_t bytes)
{
    return bytes > 0 && !is_lost(gpu);
}

void weir_gpu_copy_in(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                      const void *from, uint64_t bytes)
{
    if (may_call(gpu, bytes))
        gpu->device->copy_in(gpu, stream, to, from, bytes);
}

void weir_gpu_copy_out(weir_gpu *gpu, enum weir_gpu_stream stream, void *to, weir_gpu_address from,
                       uint64_t bytes)
{
    if (may_call(gpu, bytes))
        gpu->device->copy_out(gpu, stream, to, from, bytes);
}

void weir_gpu_copy(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                   weir_gpu_address from, uint64_t bytes)
{
    if (may_call(gpu, bytes))
        gpu->device->copy(gpu, stream, to, from, bytes);
}

void weir_gpu_zero(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address at, uint64_t bytes)
{
    if (may_call(gpu, bytes))
        gpu->device->zero(gpu, stream, at, bytes);
}

/* ---- order ---------------------------------------------------------------------------------- */

/* A graph holds work alone: an event in it would mean another place at each launch. */
static void check_order(const weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event)
{
    WEIR_ASSERT(event < WEIR_GPU_EVENT_MAX);
    WEIR_ASSERT(stream != WEIR_GPU_COMPUTE || gpu->recording == WEIR_GPU_NO_GRAPH);
}

void weir_gpu_record(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event)
{
    check_order(gpu, stream, event);
    if (is_lost(gpu))
        return;
    gpu->is_recorded[event] = true;
    gpu->device->record(gpu, stream, event);
}

void weir_gpu_wait_for(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event)
{
    check_order(gpu, stream, event);
    if (gpu->is_recorded[event] && !is_lost(gpu))
        gpu->device->wait_for(gpu, stream, event);
}

bool weir_gpu_has_passed(weir_gpu *gpu, weir_gpu_event event)
{
    WEIR_ASSERT(event < WEIR_GPU_EVENT_MAX);
    return !gpu->is_recorded[event] || is_lost(gpu) || gpu->device->has_passed(gpu, event);
}

static enum weir_status tell_loss(const weir_gpu *gpu, struct weir_err *err)
{
    if (is_lost(gpu) && err != NULL && err->status == WEIR_OK)
        *err = gpu->lost;
    return gpu->lost.status;
}

enum weir_status weir_gpu_await(weir_gpu *gpu, weir_gpu_event event, struct weir_err *err)
{
    WEIR_ASSERT(event < WEIR_GPU_EVENT_MAX && gpu->recording == WEIR_GPU_NO_GRAPH);
    if (gpu->is_recorded[event] && !is_lost(gpu))
        gpu->device->await(gpu, event);
    return tell_loss(gpu, err);
}

enum weir_status weir_gpu_await_all(weir_gpu *gpu, struct weir_err *err)
{
    WEIR_ASSERT(gpu->recording == WEIR_GPU_NO_GRAPH);
    if (!is_lost(gpu))
        gpu->device->await_all(gpu);
    return tell_loss(gpu, err);
}

/* ---- work that repeats ---------------------------------------------------------------------- */

bool weir_gpu_graph_begin(weir_gpu *gpu, uint32_t number)
{
    WEIR_ASSERT(number < WEIR_GPU_GRAPH_MAX && gpu->recording == WEIR_GPU_NO_GRAPH);
    weir_gpu_graph_forget(gpu, number);
    if (is_lost(gpu) || !gpu->device->graph_begin(gpu, number))
        return false;
    gpu->recording = number;
    return true;
}

void weir_gpu_graph_end(weir_gpu *gpu, uint32_t number)
{
    WEIR_ASSERT(gpu->recording == number);
    gpu->recording = WEIR_GPU_NO_GRAPH;
    gpu->has_graph[number] = true;
    gpu->device->graph_end(gpu, number);
}

void weir_gpu_graph_launch(weir_gpu *gpu, uint32_t number)
{
    WEIR_ASSERT(gpu->has_graph[number] && gpu->recording == WEIR_GPU_NO_GRAPH);
    if (!is_lost(gpu))
        gpu->device->graph_launch(gpu, number);
}

void weir_gpu_graph_forget(weir_gpu *gpu, uint32_t number)
{
    WEIR_ASSERT(number < WEIR_GPU_GRAPH_MAX && gpu->recording != number);
    if (gpu->has_graph[number])
        gpu->device->graph_forget(gpu, number);
    gpu->has_graph[number] = false;
}

/* ---- operations ----------------------------------------------------------------------------- */

#define EACH(name)                                                                                 \
    void weir_gpu_##name(weir_gpu *gpu, const struct weir_gpu_##name *job)                         \
    {                                                                                              \
        if (!is_lost(gpu))                                                                         \
            gpu->device->name(gpu, job);                                                           \
    }
WEIR_GPU_OPERATIONS(EACH)
#undef EACH
