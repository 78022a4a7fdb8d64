/* gpu_sim.c - a device in host memory, whose streams go on as a seed decides.
 *
 * It is for what decides around a device: an event that is missing, a buffer that is used too early
 * or a stream that nobody waits for gives another result under some seed. Work is done inside the
 * calls of the one thread that makes them, by nobody else.
 *
 * I1  A stream's work is done in the order of its calls, and not before the events it waits for.
 * I2  Work that is waited for is done: a wait goes on until then, or until the device is lost. */
#include "gpu/gpu_sim.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/heap.h"
#include "gpu/sim_internal.h"

/* No address of the host's, so that nobody who mixes them up goes unnoticed. */
static const weir_gpu_address first_address = UINT64_C(0x5e0000000000);
static const uint64_t default_bytes = UINT64_C(16) << 30;

static struct weir_sim *sim_of(weir_gpu *gpu)
{
    return (struct weir_sim *)gpu;
}

void *weir_sim_at(const struct weir_sim *sim, weir_gpu_address at, uint64_t bytes)
{
    const uint64_t offset = at - first_address;
    WEIR_ASSERT(at >= first_address && offset <= sim->gpu.config.memory_bytes);
    WEIR_ASSERT(bytes <= sim->gpu.config.memory_bytes - offset);
    return sim->memory + offset;
}

void *weir_sim_scratch(struct weir_sim *sim, size_t bytes)
{
    if (bytes > sim->scratch_bytes) {
        void *larger = weir_heap_grow(sim->scratch, bytes);
        if (larger == NULL) {
            weir_gpu_lose(&sim->gpu, "no memory for its arithmetic (%zu bytes)", bytes);
            return NULL;
        }
        sim->scratch = larger;
        sim->scratch_bytes = bytes;
    }
    return sim->scratch;
}

/* ---- work ----------------------------------------------------------------------------------- */

static void copy_bytes(struct weir_sim *sim, enum weir_sim_kind kind,
                       const struct weir_sim_copy *copy)
{
    switch (kind) {
    case WEIR_SIM_COPY_IN:
        memcpy(weir_sim_at(sim, copy->to, copy->bytes), copy->from_host, copy->bytes);
        return;
    case WEIR_SIM_COPY_OUT:
        memcpy(copy->to_host, weir_sim_at(sim, copy->from, copy->bytes), copy->bytes);
        return;
    case WEIR_SIM_COPY:
        memmove(weir_sim_at(sim, copy->to, copy->bytes), weir_sim_at(sim, copy->from, copy->bytes),
                copy->bytes);
        return;
    default:
        memset(weir_sim_at(sim, copy->to, copy->bytes), 0, copy->bytes);
        return;
    }
}

static void do_work(struct weir_sim *sim, const struct weir_sim_work *work)
{
    switch (work->kind) {
    case WEIR_SIM_COPY_IN:
    case WEIR_SIM_COPY_OUT:
    case WEIR_SIM_COPY:
    case WEIR_SIM_ZERO:
        copy_bytes(sim, work->kind, &work->copy);
        return;
    case WEIR_SIM_RECORD:
        sim->passed[work->order.event] = work->order.turn;
        return;
    case WEIR_SIM_WAIT:
        return;
#define EACH(name)                                                                                 \
    case WEIR_SIM_##name:                                                                          \
        weir_sim_##name(sim, &work->name);                                                         \
        return;
        WEIR_GPU_OPERATIONS(EACH)
#undef EACH
    }
}

static bool is_lost(const struct weir_sim *sim)
{
    return sim->gpu.lost.status != WEIR_OK;
}

/* The stream's first work may be done now; keeps I1. */
static bool may_go(const struct weir_sim *sim, const struct weir_sim_stream *stream,
                   uint64_t now_ns)
{
    const struct weir_sim_work *work = &stream->work[stream->first];
    if (stream->count == 0 || now_ns < stream->head_ns + work->delay_ns)
        return false;
    return work->kind != WEIR_SIM_WAIT || sim->passed[work->order.event] >= work->order.turn;
}

/* When there are no delays the time does not matter, and is not asked for. */
static uint64_t time_of(const struct weir_sim *sim)
{
    return sim->gpu.config.faults.delay_us_max > 0 ? weir_now_ns() : 0;
}

static void do_first(struct weir_sim *sim, struct weir_sim_stream *stream, uint64_t now_ns)
{
    const struct weir_sim_work *work = &stream->work[stream->first];
    const bool counts = work->kind != WEIR_SIM_RECORD && work->kind != WEIR_SIM_WAIT;
    sim->work_count += counts;
    if (counts && sim->work_count == sim->gpu.config.faults.fails_at_work) {
        weir_gpu_lose(&sim->gpu, "it was to fail at its piece of work %llu",
                      (unsigned long long)sim->work_count);
        return;
    }
    do_work(sim, work);
    stream->first = (stream->first + 1) % WEIR_SIM_QUEUE;
    stream->count--;
    stream->head_ns = now_ns;
}

/* One piece of work of some stream; false: none may go now. */
static bool go_on(struct weir_sim *sim)
{
    const uint64_t now_ns = time_of(sim);
    uint64_t total = 0;
    for (int index = 0; index < WEIR_GPU_STREAM_COUNT; index++)
        if (may_go(sim, &sim->streams[index], now_ns))
            total += sim->streams[index].eagerness;
    if (total == 0 || is_lost(sim))
        return false;
    uint64_t drawn = weir_random_next(&sim->random) % total;
    for (int index = 0; index < WEIR_GPU_STREAM_COUNT; index++) {
        struct weir_sim_stream *stream = &sim->streams[index];
        if (!may_go(sim, stream, now_ns))
            continue;
        if (drawn < stream->eagerness) {
            do_first(sim, stream, now_ns);
            return true;
        }
        drawn -= stream->eagerness;
    }
    return false;
}

/* Go on, or let time pass until something may. */
static void go_on_or_sleep(struct weir_sim *sim)
{
    if (!go_on(sim) && !is_lost(sim)) {
        WEIR_ASSERT(sim->gpu.config.faults.delay_us_max > 0); /* keeps I2 */
        nanosleep(&(struct timespec){.tv_nsec = 10000}, NULL);
    }
}

/* Somebody called: as much as the seed has of hurry. */
static void be_called(struct weir_sim *sim)
{
    while (weir_random_unit(&sim->random) < sim->hurry && go_on(sim))
        ;
}

static void record_node(struct weir_sim *sim, const struct weir_sim_work *work)
{
    struct weir_sim_graph *graph = &sim->graphs[sim->gpu.recording];
    if (graph->count == graph->capacity) {
        const uint32_t capacity = graph->capacity * 2 + 64;
        void *larger = weir_heap_grow(graph->nodes, capacity * sizeof(*graph->nodes));
        if (larger == NULL) {
            weir_gpu_lose(&sim->gpu, "no memory for a graph of %u nodes", capacity);
            return;
        }
        graph->nodes = larger;
        graph->capacity = capacity;
    }
    graph->nodes[graph->count++] = *work;
}

static void call(struct weir_sim *sim, enum weir_gpu_stream index, struct weir_sim_work *work)
{
    struct weir_sim_stream *stream = &sim->streams[index];
    const uint64_t delay_us_max = sim->gpu.config.faults.delay_us_max;
    if (index == WEIR_GPU_COMPUTE && sim->gpu.recording != WEIR_GPU_NO_GRAPH) {
        record_node(sim, work);
        return;
    }
    if (delay_us_max > 0)
        work->delay_ns = weir_random_next(&sim->random) % (delay_us_max * 1000 + 1);
    while (stream->count == WEIR_SIM_QUEUE && !is_lost(sim))
        go_on_or_sleep(sim);
    if (is_lost(sim))
        return;
    if (stream->count == 0)
        stream->head_ns = time_of(sim);
    stream->work[(stream->first + stream->count) % WEIR_SIM_QUEUE] = *work;
    stream->count++;
    be_called(sim);
}

/* ---- the door's calls ----------------------------------------------------------------------- */

static void copy_in(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                    const void *from, uint64_t bytes)
{
    struct weir_sim_work work = {.kind = WEIR_SIM_COPY_IN,
                                 .copy = {.to = to, .from_host = from, .bytes = bytes}};
    call(sim_of(gpu), stream, &work);
}

static void copy_out(weir_gpu *gpu, enum weir_gpu_stream stream, void *to, weir_gpu_address from,
                     uint64_t bytes)
{
    struct weir_sim_work work = {.kind = WEIR_SIM_COPY_OUT,
                                 .copy = {.to_host = to, .from = from, .bytes = bytes}};
    call(sim_of(gpu), stream, &work);
}

static void copy(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address to,
                 weir_gpu_address from, uint64_t bytes)
{
    struct weir_sim_work work = {.kind = WEIR_SIM_COPY,
                                 .copy = {.to = to, .from = from, .bytes = bytes}};
    call(sim_of(gpu), stream, &work);
}

static void zero(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_address at, uint64_t bytes)
{
    struct weir_sim_work work = {.kind = WEIR_SIM_ZERO, .copy = {.to = at, .bytes = bytes}};
    call(sim_of(gpu), stream, &work);
}

static void record(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event)
{
    struct weir_sim *sim = sim_of(gpu);
    struct weir_sim_work work = {.kind = WEIR_SIM_RECORD,
                                 .order = {.event = event, .turn = ++sim->recorded[event]}};
    call(sim, stream, &work);
}

static void wait_for(weir_gpu *gpu, enum weir_gpu_stream stream, weir_gpu_event event)
{
    struct weir_sim *sim = sim_of(gpu);
    struct weir_sim_work work = {.kind = WEIR_SIM_WAIT,
                                 .order = {.event = event, .turn = sim->recorded[event]}};
    call(sim, stream, &work);
}

static bool has_passed(weir_gpu *gpu, weir_gpu_event event)
{
    struct weir_sim *sim = sim_of(gpu);
    /* Whoever asks again and again gets there, however little hurry the seed has. */
    if (sim->passed[event] < sim->recorded[event])
        go_on(sim);
    return sim->passed[event] >= sim->recorded[event];
}

static void await(weir_gpu *gpu, weir_gpu_event event)
{
    struct weir_sim *sim = sim_of(gpu);
    while (sim->passed[event] < sim->recorded[event] && !is_lost(sim))
        go_on_or_sleep(sim);
}

static void await_all(weir_gpu *gpu)
{
    struct weir_sim *sim = sim_of(gpu);
    for (int index = 0; index < WEIR_GPU_STREAM_COUNT; index++)
        while (sim->streams[index].count > 0 && !is_lost(sim))
            go_on_or_sleep(sim);
}

static bool graph_begin(weir_gpu *gpu, uint32_t number)
{
    sim_of(gpu)->graphs[number].count = 0;
    return true;
}

static void graph_end(weir_gpu *gpu, uint32_t number)
{
    (void)gpu;
    (void)number;
}

static void graph_launch(weir_gpu *gpu, uint32_t number)
{
    struct weir_sim *sim = sim_of(gpu);
    for (uint32_t node = 0; node < sim->graphs[number].count && !is_lost(sim); node++) {
        struct weir_sim_work work = sim->graphs[number].nodes[node];
        call(sim, WEIR_GPU_COMPUTE, &work);
    }
}

static void graph_forget(weir_gpu *gpu, uint32_t number)
{
    struct weir_sim_graph *graph = &sim_of(gpu)->graphs[number];
    weir_heap_free(graph->nodes);
    *graph = (struct weir_sim_graph){0};
}

#define EACH(name)                                                                                 \
    static void call_##name(weir_gpu *gpu, const struct weir_gpu_##name *job)                      \
    {                                                                                              \
        struct weir_sim_work work = {.kind = WEIR_SIM_##name, .name = *job};                       \
        call(sim_of(gpu), WEIR_GPU_COMPUTE, &work);                                                \
    }
WEIR_GPU_OPERATIONS(EACH)
#undef EACH

/* ---- the device ----------------------------------------------------------------------------- */

static enum weir_status describe(uint32_t index, uint64_t total_bytes, struct weir_gpu_info *info,
                                 struct weir_err *err)
{
    if (index > 0)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                         "there is no simulated GPU %u: there is one, number 0", index);
    snprintf(info->name, sizeof(info->name), "simulated GPU");
    snprintf(info->driver, sizeof(info->driver), "none: host memory and reference kernels");
    snprintf(info->code, sizeof(info->code), "C");
    info->processors = 1;
    info->total_bytes = info->free_bytes = total_bytes;
    return WEIR_OK;
}

static enum weir_status probe(uint32_t index, struct weir_gpu_info *info, struct weir_err *err)
{
    return describe(index, default_bytes, info, err);
}

/* How each stream goes on, and how much of it while nobody waits. */
static void take_seed(struct weir_sim *sim, uint64_t seed)
{
    static const double hurries[] = {0.0, 0.3, 0.7};
    static const uint32_t eagerness[] = {1, 8, 64};
    sim->random = seed;
    sim->hurry = seed == 0 ? 1.0 : hurries[weir_random_next(&sim->random) % WEIR_COUNT(hurries)];
    for (int index = 0; index < WEIR_GPU_STREAM_COUNT; index++)
        sim->streams[index].eagerness =
            eagerness[weir_random_next(&sim->random) % WEIR_COUNT(eagerness)];
}

static void close_sim(weir_gpu *gpu)
{
    struct weir_sim *sim = sim_of(gpu);
    for (uint32_t number = 0; number < WEIR_GPU_GRAPH_MAX; number++)
        weir_heap_free(sim->graphs[number].nodes);
    weir_heap_free(sim->scratch);
    weir_heap_free(sim->heap);
    weir_heap_free(sim);
}

static enum weir_status open_sim(weir_gpu **out, const struct weir_gpu_config *config,
                                 struct weir_err *err)
{
    const uint64_t set_bytes = config->faults.total_bytes;
    const uint64_t total_bytes = set_bytes > 0 ? set_bytes : default_bytes;
    struct weir_gpu_info info = {0};
    struct weir_sim *sim;
    WEIR_TRY(describe(config->index, total_bytes, &info, err));
    if (config->memory_bytes > total_bytes)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "the simulated GPU has %llu bytes of memory, and %llu are wanted: give "
                         "less (--gpu-mem)",
                         (unsigned long long)total_bytes, (unsigned long long)config->memory_bytes);
    sim = weir_heap_alloc(sizeof(*sim));
    if (sim != NULL)
        sim->heap = weir_heap_alloc(config->memory_bytes + WEIR_GPU_ALIGN);
    if (sim == NULL || sim->heap == NULL) {
        weir_heap_free(sim);
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "no host memory for the %llu bytes of the simulated GPU's memory",
                         (unsigned long long)config->memory_bytes);
    }
    sim->memory = sim->heap + WEIR_GPU_ALIGN - (uintptr_t)sim->heap % WEIR_GPU_ALIGN;
    weir_kernels_init(&sim->kernels, 0);
    take_seed(sim, config->faults.seed);
    sim->gpu.info = info;
    sim->gpu.base = first_address;
    *out = &sim->gpu;
    return WEIR_OK;
}

static uint64_t free_bytes(const weir_gpu *gpu)
{
    const struct weir_sim *sim = (const struct weir_sim *)gpu;
    const uint64_t taken_bytes = gpu->config.memory_bytes + sim->foreign_bytes;
    return gpu->info.total_bytes - weir_min(taken_bytes, gpu->info.total_bytes);
}

void weir_gpu_sim_take(weir_gpu *gpu, uint64_t bytes)
{
    WEIR_ASSERT(gpu->device == &weir_gpu_sim);
    sim_of(gpu)->foreign_bytes = bytes;
}

uint64_t weir_gpu_sim_work(const weir_gpu *gpu)
{
    WEIR_ASSERT(gpu->device == &weir_gpu_sim);
    return ((const struct weir_sim *)gpu)->work_count;
}

static bool pin(weir_gpu *gpu, void *start, uint64_t bytes)
{
    (void)gpu;
    WEIR_ASSERT((uintptr_t)start % 4096 == 0 && bytes % 4096 == 0);
    return true;
}

static void unpin(weir_gpu *gpu, void *start)
{
    (void)gpu;
    (void)start;
}

const struct weir_gpu_device weir_gpu_sim = {.probe = probe,
                                             .open = open_sim,
                                             .close = close_sim,
                                             .free_bytes = free_bytes,
                                             .pin = pin,
                                             .unpin = unpin,
                                             .copy_in = copy_in,
                                             .copy_out = copy_out,
                                             .copy = copy,
                                             .zero = zero,
                                             .record = record,
                                             .wait_for = wait_for,
                                             .has_passed = has_passed,
                                             .await = await,
                                             .await_all = await_all,
                                             .graph_begin = graph_begin,
                                             .graph_end = graph_end,
                                             .graph_launch = graph_launch,
                                             .graph_forget = graph_forget,
#define EACH(name) .name = call_##name,
                                             WEIR_GPU_OPERATIONS(EACH)
#undef EACH
};
