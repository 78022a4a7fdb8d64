/* gpu_door.c - an engine's device: opened for what the plan has there, and closed. */
#include "base/heap.h"
#include "engine/placement.h"
#include "store/shown.h"

enum weir_status weir_engine_open_gpu(struct weir_engine *engine, const struct weir_config *config,
                                      struct weir_err *err)
{
    const struct weir_bench_config bench = weir_bench_of(config);
    const struct weir_gpu_config gpu_config = {
        .kind = engine->choice.gpu_kind,
        .memory_bytes = engine->plan.gpu.planned_bytes,
        .faults = {.seed = bench.gpu_seed,
                   .delay_us_max = bench.gpu_delay_us_max,
                   .fails_at_work = bench.gpu_fails_at_work},
    };
    WEIR_TRY(weir_gpu_open(&engine->gpu, &gpu_config, err));
    engine->gpu_mem = (struct weir_gpu_mem){.gpu = engine->gpu};
    engine->mode.gpu = engine->plan.gpu.name;
    return WEIR_OK;
}

struct weir_record_name *weir_engine_list_wanted(const struct weir_config *config)
{
    const uint32_t count = config->warm_up == NULL ? 0 : config->warm_up_count;
    struct weir_record_name *wanted = weir_heap_array(count, sizeof(*wanted));
    for (uint32_t index = 0; wanted != NULL && index < count; index++)
        wanted[index] = (struct weir_record_name){.layer = config->warm_up[index].layer,
                                                  .record = config->warm_up[index].expert};
    return wanted;
}

/* Nothing crosses from slots any more. */
static void stop_reading(void *user)
{
    struct weir_engine *engine = user;
    (void)weir_gpu_await_all(engine->gpu, NULL);
    weir_gpu_unpin(engine->gpu, engine->mem.region[WEIR_MEM_SLOTS].start);
}

/* Experts that move cross from their slots, where all have one; else each is gathered first. */
static void pin_slots(struct weir_engine *engine)
{
    const struct weir_mem_region *region = &engine->mem.region[WEIR_MEM_SLOTS];
    if (engine->choice.device.moves != WEIR_DEVICE_STAY && engine->store != NULL &&
        engine->choice.slot_total == engine->plan.n_expert_total &&
        weir_gpu_pin(engine->gpu, region->start, region->total_bytes))
        weir_store_expose(engine->store, stop_reading, engine);
}

void weir_engine_pin(struct weir_engine *engine, const struct weir_config *config)
{
    const struct weir_mem_region *region = &engine->mem.region[WEIR_MEM_SCRATCH];
    if (engine->gpu == NULL)
        return;
    engine->is_pinned = weir_gpu_pin(engine->gpu, region->start, region->total_bytes);
    if (engine->is_pinned)
        pin_slots(engine);
    if (!engine->is_pinned && config->notice != NULL)
        config->notice(config->notice_user,
                       "the GPU's driver does not lock memory: what crosses to the GPU goes slowly "
                       "(ulimit -l is what this process may lock)");
}

void weir_engine_close_gpu(struct weir_engine *engine)
{
    if (engine->gpu != NULL) {
        (void)weir_gpu_await_all(engine->gpu, NULL);
        if (engine->store != NULL && weir_store_is_exposed(engine->store))
            weir_gpu_unpin(engine->gpu, engine->mem.region[WEIR_MEM_SLOTS].start);
        if (engine->is_pinned)
            weir_gpu_unpin(engine->gpu, engine->mem.region[WEIR_MEM_SCRATCH].start);
    }
    weir_device_destroy(&engine->device);
    weir_gpu_close(&engine->gpu);
}

void weir_engine_gpu_moves_get(const weir_engine *engine, struct weir_gpu_moves *moves)
{
    struct weir_device_stats stats = {0};
    if (engine->device != NULL)
        weir_device_stats_get(engine->device, &stats);
    *moves = (struct weir_gpu_moves){
        .copied = stats.copied,
        .copied_bytes = stats.copied_bytes,
        .ahead = stats.ahead,
        .ahead_used = stats.ahead_used,
        .wanted = stats.wanted,
        .hits = stats.hits,
        .late = stats.late,
        .wait_s = (double)stats.wait_ns * 1e-9,
        .uses = stats.uses,
        .uses_there = stats.uses_there,
    };
}
