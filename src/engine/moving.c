/* moving.c - whether experts of layers on a device stay there or come and go.
 *
 * What stays is computed by the CPU where it is not there. What comes and goes is computed there,
 * and crosses where it is missing: less often, for what a text used lately is there. Either way the
 * bits do not go by time, but they are not the same in both: so a close call goes to what stays. */
#include "engine/moving.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "engine/forecast.h"
#include "engine/probe.h"

enum { SLICES = 3, COPIES_WARM = 2, COPIES = 16, COMPUTE_NS = 20000000, PAGE_BYTES = 4096 };
/* Of the speed at which a kernel passes through memory, what single experts reach: the rest are
 * forks, joins and rows of 8 bits, as in the slow end of a forecast. */
static const double step_share = 0.5;
/* Moving has to be so much cheaper: measurements at two openings are to choose the same. */
static const double clearly = 0.8;
/* Beside trunk and experts, while this measures and later: the driver's, and what is measured
 * with. */
#define BESIDE_BYTES (UINT64_C(1) << 30)

/* As an expert crosses: its slices, one behind the other. */
static enum weir_status time_copies(weir_gpu *gpu, weir_gpu_address to, const uint8_t *from,
                                    uint64_t bytes, double *speed, struct weir_err *err)
{
    const uint64_t slice_bytes = bytes / SLICES;
    uint64_t began_ns = 0;
    for (int copy = 0; copy < COPIES_WARM + COPIES; copy++) {
        if (copy == COPIES_WARM)
            began_ns = weir_now_ns();
        for (uint64_t slice = 0; slice < SLICES; slice++)
            weir_gpu_copy_in(gpu, WEIR_GPU_COPY_IN, to + slice * slice_bytes,
                             from + slice * slice_bytes, slice_bytes);
        WEIR_TRY(weir_gpu_await_all(gpu, err));
    }
    const uint64_t took_ns = weir_max(weir_now_ns() - began_ns, 1);
    *speed = 1e9 * COPIES * SLICES * (double)slice_bytes / (double)took_ns;
    return WEIR_OK;
}

static enum weir_status measure_link(enum weir_gpu_kind kind, uint64_t expert_bytes, double *speed,
                                     struct weir_err *err)
{
    const uint64_t bytes = weir_align_up(expert_bytes, PAGE_BYTES);
    const struct weir_gpu_config config = {.kind = kind, .memory_bytes = bytes};
    enum weir_status status;
    weir_gpu *gpu = NULL;
    bool is_pinned = false;
    uint8_t *heap = weir_heap_alloc(bytes + PAGE_BYTES);
    if (heap == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a copy to the GPU");
    uint8_t *from = heap + PAGE_BYTES - (uintptr_t)heap % PAGE_BYTES;
    memset(from, 1, bytes); /* pages of its own, not one of zeros */
    WEIR_TRY_GOTO(weir_gpu_open(&gpu, &config, err));
    struct weir_gpu_mem mem = {.gpu = gpu};
    const weir_gpu_address to = weir_gpu_alloc(&mem, WEIR_GPU_SLOTS, bytes);
    is_pinned = weir_gpu_pin(gpu, from, bytes);
    WEIR_TRY_GOTO(is_pinned ? WEIR_OK
                            : WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                                        "the GPU's driver does not lock memory (ulimit -l)"));
    WEIR_TRY_GOTO(time_copies(gpu, to, from, bytes, speed, err));

fail:
    if (is_pinned)
        weir_gpu_unpin(gpu, from);
    weir_gpu_close(&gpu);
    weir_heap_free(heap);
    return status;
}

static enum weir_status measure_host(const struct weir_blueprint *blueprint, uint32_t n_thread,
                                     double *speed, struct weir_err *err)
{
    const struct weir_probe_matrix matrix =
        weir_probe_matrix_of(blueprint->model, &blueprint->kernels, 1);
    struct weir_memory_probe probe;
    WEIR_TRY(weir_memory_probe_open(&probe, n_thread, &matrix, err));
    *speed = step_share * weir_memory_probe_matmul(&probe, &matrix, 1, COMPUTE_NS);
    weir_memory_probe_close(&probe);
    return WEIR_OK;
}

enum weir_status weir_moving_measure(struct weir_moving_speeds *speeds,
                                     const struct weir_blueprint *blueprint,
                                     enum weir_gpu_kind kind, uint32_t n_thread,
                                     struct weir_err *err)
{
    struct weir_token_cost cost;
    struct weir_moving_speeds found = {0};
    weir_token_cost_fill(&cost, blueprint->model, &blueprint->kernels, WEIR_KV_F16);
    WEIR_TRY(measure_link(kind, cost.record_bytes, &found.link, err));
    WEIR_TRY(measure_host(blueprint, n_thread, &found.host, err));
    *speeds = found;
    return WEIR_OK;
}

static enum weir_status find_speeds(const struct weir_blueprint *blueprint,
                                    const struct weir_choice *choice,
                                    const struct weir_bench_config *bench,
                                    struct weir_moving_speeds *speeds, struct weir_err *err)
{
    *speeds = (struct weir_moving_speeds){bench->gpu_link_speed, bench->gpu_host_speed};
    if (speeds->link > 0.0 && speeds->host > 0.0)
        return WEIR_OK;
    if (choice->gpu_kind == WEIR_GPU_SIM)
        return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "a simulated GPU has no speed to go by");
    WEIR_TRY(weir_moving_measure(speeds, blueprint, choice->gpu_kind, choice->n_thread, err));
    if (bench->gpu_pace > 0.0 && bench->gpu_pace < speeds->link)
        speeds->link = bench->gpu_pace;
    return WEIR_OK;
}

static uint64_t count_there(const struct weir_device_plan *plan, uint32_t n_layer)
{
    uint64_t count = 0;
    for (uint32_t layer = 0; layer < n_layer; layer++)
        count += plan->layers[layer].expert_count;
    return count;
}

bool weir_moving_pays(const struct weir_blueprint *blueprint, const struct weir_choice *choice,
                      const struct weir_bench_config *bench, uint64_t budget_bytes,
                      struct weir_gpu_plan *plan)
{
    const struct weir_model *model = blueprint->model;
    struct weir_token_cost cost;
    struct weir_err err = {0};
    struct weir_moving_speeds speeds;
    weir_token_cost_fill(&cost, model, &blueprint->kernels, choice->kv);
    if (model->expert_bytes + model->trunk_bytes + BESIDE_BYTES > budget_bytes) {
        snprintf(plan->moves_why, sizeof(plan->moves_why),
                 "experts stay on the GPU: those that come and go want all of them in memory");
        return false;
    }
    if (find_speeds(blueprint, choice, bench, &speeds, &err) != WEIR_OK) {
        snprintf(plan->moves_why, sizeof(plan->moves_why), "experts stay on the GPU: %.180s",
                 err.text);
        return false;
    }
    const double share = (double)count_there(&choice->device, model->shape.n_layer) /
                         ((double)cost.n_moe_layer * cost.n_expert);
    const struct weir_moving_costs costs = {
        .n_used = (double)cost.expert_uses / cost.n_moe_layer,
        .missing_staying = 1.0 - share,
        .missing_moving = 1.0 - weir_expected_hit_rate(&cost, share),
        .compute_ns = 1e9 * (double)cost.record_bytes / speeds.host,
        .cross_ns = 1e9 * (double)cost.record_bytes / speeds.link,
    };
    const double stay_ns = weir_moving_stay_ns(&costs);
    const double move_ns = weir_moving_move_ns(&costs);
    const bool pays = move_ns < clearly * stay_ns;
    snprintf(plan->moves_why, sizeof(plan->moves_why),
             "experts %s: of a token's in a layer, what is not there would take %.0f us to "
             "cross (%.1f GB/s) and %.0f us to compute on the CPU (%.1f GB/s)",
             pays ? "come and go" : "stay on the GPU", 1e-3 * move_ns, 1e-9 * speeds.link,
             1e-3 * stay_ns, 1e-9 * speeds.host);
    return pays;
}
