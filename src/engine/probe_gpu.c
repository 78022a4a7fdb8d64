/* probe_gpu.c - what a GPU is, and how fast: copies by size, its memory, products by format.
 *
 * Everything is timed from the call to the end of a wait, many calls together: as callers have it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "engine/engine_internal.h"
#include "engine/probe.h"
#include "gpu/gpu_ops.h"

enum { COPY_NS = 20000000, KERNEL_NS = 8000000, TURNS_MAX = 1 << 14, PAGE = 4096 };

static const uint64_t copy_sizes[] = {64 << 10, 256 << 10, 1 << 20, 4 << 20, 16 << 20, 64 << 20};
_Static_assert(WEIR_COUNT(copy_sizes) <= WEIR_GPU_COPY_MAX, "room for all sizes");

void weir_gpu_facts_get(struct weir_gpu_facts *facts)
{
    struct weir_gpu_info info;
    struct weir_err err = {0};
    *facts = (struct weir_gpu_facts){0};
    facts->is_seen = access("/proc/driver/nvidia/version", F_OK) == 0;
    if (weir_gpu_probe(WEIR_GPU_CUDA, 0, &info, &err) != WEIR_OK) {
        snprintf(facts->why, sizeof(facts->why), "%.390s", err.text);
        return;
    }
    facts->is_there = true;
    snprintf(facts->name, sizeof(facts->name), "%s", info.name);
    snprintf(facts->driver, sizeof(facts->driver), "%s", info.driver);
    snprintf(facts->code, sizeof(facts->code), "%s", info.code);
    facts->major = info.major;
    facts->minor = info.minor;
    facts->processors = info.processors;
    facts->total_bytes = info.total_bytes;
    facts->free_bytes = info.free_bytes;
}

/* ---- an open device ------------------------------------------------------------------------- */

struct probing {
    const struct weir_gpu_probing *config;
    struct weir_gpu_speeds *out;
    weir_gpu *gpu;
    weir_gpu_address in, out_at; /* copy_bytes each */
    weir_gpu_address weights, x, y;
    uint64_t weight_bytes;
    uint8_t *heap;     /* of what follows */
    uint8_t *pinned;   /* two pieces of copy_bytes: in, out */
    uint8_t *pageable; /* the same */
    weir_calibrate_fn *progress;
    void *user;
    uint32_t told, steps; /* of the whole */
};

static enum weir_status tell(struct probing *probing, struct weir_err *err)
{
    probing->told++;
    if (probing->progress != NULL &&
        !probing->progress(probing->user,
                           (double)weir_min(probing->told, probing->steps) / probing->steps))
        return WEIR_FAIL(err, WEIR_ERR_CANCELLED, "the calibration was stopped");
    return WEIR_OK;
}

/* What is timed: called again and again. */
typedef void work_fn(struct probing *probing, uint64_t bytes, uint32_t turn);

/* Calls a second, over about min_ns. */
static enum weir_status time_work(struct probing *probing, work_fn *work, uint64_t bytes,
                                  uint64_t min_ns, double *calls_per_s, struct weir_err *err)
{
    uint32_t turns = 1;
    work(probing, bytes, 0);
    WEIR_TRY(weir_gpu_await_all(probing->gpu, err));
    for (;;) {
        const uint64_t began_ns = weir_now_ns();
        for (uint32_t turn = 0; turn < turns; turn++)
            work(probing, bytes, turn);
        WEIR_TRY(weir_gpu_await_all(probing->gpu, err));
        const uint64_t took_ns = weir_max(weir_now_ns() - began_ns, 1);
        *calls_per_s = 1e9 * turns / (double)took_ns;
        if (took_ns >= min_ns || turns >= TURNS_MAX)
            return WEIR_OK;
        turns = (uint32_t)weir_min(TURNS_MAX, turns * weir_min(16, 2 * min_ns / took_ns + 2));
    }
}

static void pinned_in(struct probing *probing, uint64_t bytes, uint32_t turn)
{
    (void)turn;
    weir_gpu_copy_in(probing->gpu, WEIR_GPU_COPY_IN, probing->in, probing->pinned, bytes);
}

static void pinned_out(struct probing *probing, uint64_t bytes, uint32_t turn)
{
    (void)turn;
    weir_gpu_copy_out(probing->gpu, WEIR_GPU_COPY_OUT,
                      probing->pinned + probing->config->copy_bytes, probing->out_at, bytes);
}

static void pinned_both(struct probing *probing, uint64_t bytes, uint32_t turn)
{
    pinned_in(probing, bytes, turn);
    pinned_out(probing, bytes, turn);
}

static void pageable_in(struct probing *probing, uint64_t bytes, uint32_t turn)
{
    (void)turn;
    weir_gpu_copy_in(probing->gpu, WEIR_GPU_COPY_IN, probing->in, probing->pageable, bytes);
}

static void pageable_out(struct probing *probing, uint64_t bytes, uint32_t turn)
{
    (void)turn;
    weir_gpu_copy_out(probing->gpu, WEIR_GPU_COPY_OUT,
                      probing->pageable + probing->config->copy_bytes, probing->out_at, bytes);
}

/* From one half of the weights to the other: each byte is read and written. */
static void copy_inside(struct probing *probing, uint64_t bytes, uint32_t turn)
{
    (void)turn;
    weir_gpu_copy(probing->gpu, WEIR_GPU_COMPUTE, probing->weights + bytes, probing->weights,
                  bytes);
}

static enum weir_status time_copies(struct probing *probing, struct weir_err *err)
{
    struct weir_gpu_speeds *out = probing->out;
    double calls = 0.0;
    for (size_t index = 0; index < WEIR_COUNT(copy_sizes); index++) {
        const uint64_t bytes = copy_sizes[index];
        if (bytes > probing->config->copy_bytes)
            break;
        struct weir_gpu_copy_speed *speed = &out->copies[out->copy_count++];
        const struct {
            work_fn *work;
            double *speed;
        } all[] = {{pinned_in, &speed->pinned_in_bytes_per_s},
                   {pinned_out, &speed->pinned_out_bytes_per_s},
                   {pageable_in, &speed->pageable_in_bytes_per_s},
                   {pageable_out, &speed->pageable_out_bytes_per_s}};
        speed->bytes = bytes;
        for (size_t way = 0; way < WEIR_COUNT(all); way++) {
            WEIR_TRY(time_work(probing, all[way].work, bytes, COPY_NS, &calls, err));
            *all[way].speed = calls * (double)bytes;
        }
        WEIR_TRY(tell(probing, err));
    }
    const uint64_t bytes = probing->config->copy_bytes;
    WEIR_TRY(time_work(probing, pinned_both, bytes, 2 * COPY_NS, &calls, err));
    out->both_bytes_per_s = calls * (double)bytes;
    const uint64_t half = weir_align_down(probing->weight_bytes / 2, WEIR_GPU_ALIGN);
    WEIR_TRY(time_work(probing, copy_inside, half, COPY_NS, &calls, err));
    out->memory_bytes_per_s = 2.0 * calls * (double)half;
    return tell(probing, err);
}

/* ---- products ------------------------------------------------------------------------------- */

/* bytes: the format; matrices follow each other, so that no cache holds them. */
static void multiply(struct probing *probing, uint64_t type, uint32_t n_row, enum weir_gpu_way way,
                     uint32_t turn)
{
    const uint32_t width = probing->config->width;
    const uint64_t row_bytes = weir_quant_row_bytes((enum weir_type)type, width);
    const uint64_t bytes = weir_align_up(row_bytes * width, WEIR_GPU_ALIGN);
    const uint64_t place = turn % (probing->weight_bytes / bytes);
    const struct weir_gpu_matmul job = {
        .w = {.form = {.type = (enum weir_type)type,
                       .cols = width,
                       .rows = width,
                       .row_bytes = row_bytes},
              .data = probing->weights + place * bytes,
              .scale = 1.0f},
        .x = probing->x,
        .y = probing->y,
        .x_stride = width,
        .y_stride = width,
        .n_row = n_row,
        .way = way,
    };
    weir_gpu_matmul(probing->gpu, &job);
}

static void multiply_token(struct probing *probing, uint64_t type, uint32_t turn)
{
    multiply(probing, type, 1, WEIR_GPU_DECODE, turn);
}

static void multiply_prompt(struct probing *probing, uint64_t type, uint32_t turn)
{
    multiply(probing, type, probing->config->prompt_rows, WEIR_GPU_PROMPT, turn);
}

static enum weir_status time_products(struct probing *probing, struct weir_err *err)
{
    struct weir_gpu_speeds *out = probing->out;
    const double width = probing->config->width;
    for (int type = 0; type < WEIR_TYPE_BLOCK_COUNT && out->format_count < WEIR_GPU_FORMAT_MAX;
         type++) {
        struct weir_gpu_format_speed *speed = &out->formats[out->format_count++];
        const size_t row_bytes = weir_quant_row_bytes((enum weir_type)type, probing->config->width);
        double calls = 0.0;
        snprintf(speed->type, sizeof(speed->type), "%s",
                 weir_quant_info((enum weir_type)type)->name);
        WEIR_TRY(time_work(probing, multiply_token, (uint64_t)type, KERNEL_NS, &calls, err));
        speed->decode_bytes_per_s = calls * (double)row_bytes * width;
        WEIR_TRY(time_work(probing, multiply_prompt, (uint64_t)type, KERNEL_NS, &calls, err));
        speed->prompt_ops_per_s = calls * 2.0 * width * width * probing->config->prompt_rows;
        WEIR_TRY(tell(probing, err));
    }
    return WEIR_OK;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static void lay_out(struct probing *probing, struct weir_gpu_mem *mem)
{
    const struct weir_gpu_probing *config = probing->config;
    const uint64_t row_bytes = (uint64_t)config->width * sizeof(float);
    const uint64_t bytes = weir_gpu_workspace_bytes(config->prompt_rows, 0, config->width, 0);
    /* The largest format's matrix fits. */
    probing->weight_bytes = weir_max(config->weight_bytes, row_bytes * config->width);
    probing->weights = weir_gpu_alloc(mem, WEIR_GPU_TRUNK, probing->weight_bytes);
    probing->in = weir_gpu_alloc(mem, WEIR_GPU_SCRATCH, config->copy_bytes);
    probing->out_at = weir_gpu_alloc(mem, WEIR_GPU_SCRATCH, config->copy_bytes);
    probing->x = weir_gpu_alloc(mem, WEIR_GPU_SCRATCH, config->prompt_rows * row_bytes);
    probing->y = weir_gpu_alloc(mem, WEIR_GPU_SCRATCH, config->prompt_rows * row_bytes);
    const weir_gpu_address workspace = weir_gpu_alloc(mem, WEIR_GPU_SCRATCH, bytes);
    if (mem->gpu != NULL)
        weir_gpu_workspace_set(mem->gpu, workspace, bytes);
}

static enum weir_status open_probing(struct probing *probing, struct weir_err *err)
{
    const uint64_t copy_bytes = probing->config->copy_bytes;
    struct weir_gpu_mem plan = {0};
    struct weir_gpu_info info;
    lay_out(probing, &plan);
    const struct weir_gpu_config config = {.kind = (enum weir_gpu_kind)probing->config->kind,
                                           .memory_bytes = weir_gpu_mem_bytes(&plan)};
    WEIR_TRY(weir_gpu_open(&probing->gpu, &config, err));
    plan = (struct weir_gpu_mem){.gpu = probing->gpu};
    lay_out(probing, &plan);
    weir_gpu_info_get(probing->gpu, &info);
    snprintf(probing->out->name, sizeof(probing->out->name), "%s", info.name);
    snprintf(probing->out->driver, sizeof(probing->out->driver), "%s", info.driver);
    probing->heap = weir_heap_alloc(4 * copy_bytes + PAGE);
    if (probing->heap == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for copies to and from the GPU");
    probing->pinned = probing->heap + PAGE - (uintptr_t)probing->heap % PAGE;
    probing->pageable = probing->pinned + 2 * copy_bytes;
    memset(probing->pinned, 1, 4 * copy_bytes); /* pages of its own, not one of zeros */
    probing->out->is_pinned = weir_gpu_pin(probing->gpu, probing->pinned, 2 * copy_bytes);
    return WEIR_OK;
}

enum weir_status weir_gpu_probe_speeds(struct weir_gpu_speeds *speeds,
                                       const struct weir_gpu_probing *config,
                                       weir_calibrate_fn *progress, void *user,
                                       struct weir_err *err)
{
    struct weir_gpu_speeds found = {0};
    struct probing probing = {.config = config,
                              .out = &found,
                              .progress = progress,
                              .user = user,
                              .steps = WEIR_COUNT(copy_sizes) + 1 + WEIR_TYPE_BLOCK_COUNT};
    WEIR_ASSERT(config->copy_bytes % PAGE == 0 && config->copy_bytes >= copy_sizes[0]);
    enum weir_status status = open_probing(&probing, err);
    if (status == WEIR_OK)
        status = time_copies(&probing, err);
    if (status == WEIR_OK)
        status = time_products(&probing, err);
    if (found.is_pinned)
        weir_gpu_unpin(probing.gpu, probing.pinned);
    weir_gpu_close(&probing.gpu);
    weir_heap_free(probing.heap);
    if (status == WEIR_OK)
        *speeds = found;
    return status;
}

enum weir_status weir_gpu_calibrate(struct weir_gpu_speeds *speeds, weir_calibrate_fn *progress,
                                    void *user, struct weir_err *err)
{
    const struct weir_gpu_probing config = {.kind = WEIR_GPU_CUDA,
                                            .copy_bytes = 64 << 20,
                                            .weight_bytes = 512 << 20,
                                            .width = 4096,
                                            .prompt_rows = 512};
    WEIR_NEED(speeds, err);
    return weir_gpu_probe_speeds(speeds, &config, progress, user, err);
}
