/* cuda_work.c - copies, kernels, events and graphs on a CUDA device's streams.
 *
 * I1  No wait is without an end: the device is asked again and again, and given up when it has not
 *     answered for WEIR_GPU_SILENT_NS. None of the driver's own waits is called. */
#include <string.h>
#include <time.h>

#include "gpu/cuda/cuda_device.h"

/* ---- copies --------------------------------------------------------------------------------- */

void weir_cuda_copy_in(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                       const void *from, uint64_t bytes)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cuda_enter(cuda);
    weir_cuda_check(cuda, cuda->cu.copy_in(to, from, bytes, cuda->streams[stream]),
                    "cuMemcpyHtoDAsync");
}

void weir_cuda_copy_out(weir_gpu *gpu, enum weir_gpu_stream stream, void *to, weir_gpu_address from,
                        uint64_t bytes)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cuda_enter(cuda);
    weir_cuda_check(cuda, cuda->cu.copy_out(to, from, bytes, cuda->streams[stream]),
                    "cuMemcpyDtoHAsync");
}

void weir_cuda_copy(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                    weir_gpu_address from, uint64_t bytes)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cuda_enter(cuda);
    weir_cuda_check(cuda, cuda->cu.copy(to, from, bytes, cuda->streams[stream]),
                    "cuMemcpyDtoDAsync");
}

void weir_cuda_zero(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address at, uint64_t bytes)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cuda_enter(cuda);
    weir_cuda_check(cuda, cuda->cu.set_bytes(at, 0, bytes, cuda->streams[stream]),
                    "cuMemsetD8Async");
}

/* ---- kernels -------------------------------------------------------------------------------- */

/* FNV-1a (draft-eastlake-fnv). */
static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * 16777619u;
    return hash;
}

static weir_cu_function look_up(struct weir_cuda *cuda, const char *name)
{
    weir_cu_function function = NULL;
    for (uint32_t index = 0; index < cuda->module_count; index++) {
        const int code = cuda->cu.function_get(&function, cuda->modules[index], name);
        if (code == WEIR_CU_SUCCESS)
            return function;
        if (code != WEIR_CU_NOT_FOUND && !weir_cuda_check(cuda, code, "cuModuleGetFunction"))
            return NULL;
    }
    weir_gpu_lose(&cuda->gpu, "weir's code has no kernel %s", name);
    return NULL;
}

static struct weir_cuda_kernel *find_kernel(struct weir_cuda *cuda, const char *name)
{
    uint32_t at = hash_of(name) % WEIR_CUDA_KERNEL_MAX;
    uint32_t looked = 0;
    for (; cuda->kernels[at].name != NULL; at = (at + 1) % WEIR_CUDA_KERNEL_MAX) {
        if (strcmp(cuda->kernels[at].name, name) == 0)
            return &cuda->kernels[at];
        WEIR_ASSERT(++looked < WEIR_CUDA_KERNEL_MAX);
    }
    const weir_cu_function function = look_up(cuda, name);
    if (function == NULL)
        return NULL;
    cuda->kernels[at] = (struct weir_cuda_kernel){
        .name = name, .function = function, .shared_bytes = WEIR_CUDA_SHARED_BYTES};
    return &cuda->kernels[at];
}

static void launch(struct weir_cuda *cuda, enum weir_gpu_stream stream, const char *name,
                   const uint32_t grid[3], const uint32_t block[3], uint32_t shared_bytes,
                   const void *args, size_t args_bytes, bool is_early)
{
    uint64_t copy[WEIR_CUDA_ARGS_BYTES / sizeof(uint64_t)];
    size_t copy_bytes = args_bytes;
    void *extra[] = {WEIR_CU_LAUNCH_BUFFER, copy, WEIR_CU_LAUNCH_BYTES, &copy_bytes,
                     WEIR_CU_LAUNCH_END};
    WEIR_ASSERT(args_bytes <= sizeof(copy) && shared_bytes <= cuda->limits.shared_bytes_max);
    if (grid[0] == 0 || grid[1] == 0 || grid[2] == 0)
        return;
    weir_cuda_enter(cuda);
    struct weir_cuda_kernel *kernel = find_kernel(cuda, name);
    if (kernel == NULL)
        return;
    if (shared_bytes > kernel->shared_bytes) {
        if (!weir_cuda_check(cuda,
                             cuda->cu.function_set(kernel->function, WEIR_CU_DYNAMIC_SHARED_BYTES,
                                                   (int)shared_bytes),
                             name))
            return;
        kernel->shared_bytes = shared_bytes;
    }
    memcpy(copy, args, args_bytes);
    struct weir_cu_launch_attribute early = {.id = WEIR_CU_LAUNCH_EARLY, .value.allowed = 1};
    const struct weir_cu_launch_config config = {
        .grid = {grid[0], grid[1], grid[2]},
        .block = {block[0], block[1], block[2]},
        .shared_bytes = shared_bytes,
        .stream = cuda->streams[stream],
        .attributes = &early,
        .attribute_count = 1,
    };
    const int code =
        is_early ? cuda->cu.launch_by(&config, kernel->function, NULL, extra)
                 : cuda->cu.launch(kernel->function, grid[0], grid[1], grid[2], block[0], block[1],
                                   block[2], shared_bytes, cuda->streams[stream], NULL, extra);
    weir_cuda_check(cuda, code, name);
}

void weir_cuda_launch(weir_gpu *gpu, enum weir_gpu_stream stream, const char *name,
                      const uint32_t grid[3], const uint32_t block[3], uint32_t shared_bytes,
                      const void *args, size_t args_bytes)
{
    launch(weir_cuda_of(gpu), stream, name, grid, block, shared_bytes, args, args_bytes, false);
}

void weir_cuda_launch_early(weir_gpu *gpu, const char *name, const uint32_t grid[3],
                            const uint32_t block[3], uint32_t shared_bytes, const void *args,
                            size_t args_bytes)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    launch(cuda, WEIR_GPU_COMPUTE, name, grid, block, shared_bytes, args, args_bytes,
           cuda->begins_early);
}

/* ---- order ---------------------------------------------------------------------------------- */

void weir_cuda_record(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cuda_enter(cuda);
    if (cuda->events[event] == NULL &&
        !weir_cuda_check(cuda,
                         cuda->cu.event_create(&cuda->events[event], WEIR_CU_EVENT_DISABLE_TIMING),
                         "cuEventCreate"))
        return;
    weir_cuda_check(cuda, cuda->cu.event_record(cuda->events[event], cuda->streams[stream]),
                    "cuEventRecord");
}

void weir_cuda_wait_for(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cuda_enter(cuda);
    weir_cuda_check(cuda, cuda->cu.stream_wait(cuda->streams[stream], cuda->events[event], 0),
                    "cuStreamWaitEvent");
}

bool weir_cuda_has_passed(weir_gpu *gpu, weir_gpu_event event)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cuda_enter(cuda);
    const int code = cuda->cu.event_query(cuda->events[event]);
    if (code == WEIR_CU_NOT_READY)
        return false;
    weir_cuda_check(cuda, code, "cuEventQuery");
    return true;
}

/* For so long the device is asked without a pause: a step's end is usually near. */
static const uint64_t spin_ns = 1000000;

/* True: whoever waits since began_ns may ask once more. */
static bool may_ask_again(struct weir_cuda *cuda, uint64_t began_ns)
{
    const uint64_t waited_ns = weir_now_ns() - began_ns;
    if (waited_ns > WEIR_GPU_SILENT_NS) { /* keeps I1 */
        cuda->is_silent = true;
        weir_gpu_lose(&cuda->gpu, "it has not answered for %llu s",
                      (unsigned long long)(WEIR_GPU_SILENT_NS / 1000000000));
        return false;
    }
    if (waited_ns > spin_ns)
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    return true;
}

void weir_cuda_drain(struct weir_cuda *cuda, weir_cu_stream stream)
{
    const uint64_t began_ns = weir_now_ns();
    int code;
    while ((code = cuda->cu.stream_query(stream)) == WEIR_CU_NOT_READY)
        if (!may_ask_again(cuda, began_ns))
            return;
    weir_cuda_check(cuda, code, "cuStreamQuery");
}

void weir_cuda_await(weir_gpu *gpu, weir_gpu_event event)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    const uint64_t began_ns = weir_now_ns();
    int code;
    weir_cuda_enter(cuda);
    while ((code = cuda->cu.event_query(cuda->events[event])) == WEIR_CU_NOT_READY)
        if (!may_ask_again(cuda, began_ns))
            return;
    weir_cuda_check(cuda, code, "cuEventQuery");
}

void weir_cuda_await_all(weir_gpu *gpu)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cuda_enter(cuda);
    for (int stream = 0; stream < WEIR_GPU_STREAM_COUNT && gpu->lost.status == WEIR_OK; stream++)
        weir_cuda_drain(cuda, cuda->streams[stream]);
}

/* ---- graphs --------------------------------------------------------------------------------- */

bool weir_cuda_graph_begin(weir_gpu *gpu, uint32_t number)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    (void)number;
    weir_cuda_enter(cuda);
    return weir_cuda_check(
        cuda, cuda->cu.capture_begin(cuda->streams[WEIR_GPU_COMPUTE], WEIR_CU_CAPTURE_RELAXED),
        "cuStreamBeginCapture");
}

void weir_cuda_graph_end(weir_gpu *gpu, uint32_t number)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cu_graph graph = NULL;
    if (cuda->is_silent)
        return;
    weir_cuda_enter(cuda);
    if (!weir_cuda_check(cuda, cuda->cu.capture_end(cuda->streams[WEIR_GPU_COMPUTE], &graph),
                         "cuStreamEndCapture"))
        return;
    weir_cuda_check(cuda, cuda->cu.graph_make(&cuda->graphs[number], graph, 0),
                    "cuGraphInstantiate");
    cuda->cu.graph_destroy(graph);
}

void weir_cuda_graph_launch(weir_gpu *gpu, uint32_t number)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    weir_cuda_enter(cuda);
    weir_cuda_check(cuda,
                    cuda->cu.graph_launch(cuda->graphs[number], cuda->streams[WEIR_GPU_COMPUTE]),
                    "cuGraphLaunch");
}

void weir_cuda_graph_forget(weir_gpu *gpu, uint32_t number)
{
    struct weir_cuda *cuda = weir_cuda_of(gpu);
    if (cuda->graphs[number] == NULL || cuda->is_silent)
        return;
    weir_cuda_enter(cuda);
    cuda->cu.graph_exec_destroy(cuda->graphs[number]);
    cuda->graphs[number] = NULL;
}
