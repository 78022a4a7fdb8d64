/* engine.c - open: plan, allocate exactly that, load, seal. */
#include "engine/engine_internal.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "engine/placement.h"
#include "model/copies.h"
#include "model/importance.h"

static bool tell_progress(void *user, uint64_t done_bytes, uint64_t total_bytes)
{
    struct weir_load_progress *progress = user;
    progress->done_bytes = done_bytes;
    progress->total_bytes = total_bytes;
    if (progress->config->progress == NULL)
        return true;
    return progress->config->progress(progress->config->progress_user, progress->what, done_bytes,
                                      total_bytes);
}

/* While a read is waited for: a load asks whoever is told of its progress, an evaluation whoever
 * may cancel it, and nobody wants what an engine that is closed still reads. */
static bool wants_stop(void *user)
{
    const struct weir_engine *engine = user;
    struct weir_load_progress *loading = engine->loading;
    if (loading != NULL)
        return !tell_progress(loading, loading->done_bytes, loading->total_bytes);
    return engine->is_closing || weir_batch_is_unwanted(&engine->batch);
}

/* A ceiling that nobody gave may come from who tells less than the usual source. */
static void note_second_source(struct weir_mode *mode)
{
    struct weir_sys_free free_memory;
    const size_t used = strlen(mode->why);
    weir_sys_free_get(&free_memory);
    if (free_memory.is_second)
        snprintf(mode->why + used, sizeof(mode->why) - used, "%s%s", used > 0 ? "; " : "",
                 free_memory.why);
}

/* An engine of their own for rows of tables: the file of each table that stays on the disk. */
static enum weir_status open_rows(struct weir_engine *engine, const struct weir_io_config *config,
                                  struct weir_err *err)
{
    const struct weir_model *model = engine->blueprint.model;
    WEIR_TRY(weir_io_create(&engine->row_io, config, err));
    for (int table = 0; table < WEIR_TABLE_COUNT; table++)
        if ((engine->choice.tables_on_disk & 1u << table) != 0)
            WEIR_TRY(weir_file_open(engine->row_io, engine->blueprint.manifest,
                                    weir_model_table(model, (enum weir_table)table)->file, err));
    return WEIR_OK;
}

static enum weir_status open_io(struct weir_engine *engine, const struct weir_config *config,
                                struct weir_err *err)
{
    static const enum weir_io_kind kinds[] = {
        [WEIR_ENGINE_IO_AUTO] = WEIR_IO_AUTO,
        [WEIR_ENGINE_IO_URING] = WEIR_IO_URING,
        [WEIR_ENGINE_IO_THREADS] = WEIR_IO_THREADS,
    };
    const struct weir_bench_config bench = weir_bench_of(config);
    struct weir_io_config io_config = {
        .kind = kinds[config->io],
        .buffered = config->buffered,
        .depth = config->io_depth,
        .stop = wants_stop,
        .stop_user = engine,
        .timeline = engine->timeline,
    };
    if (config->io_depth > WEIR_IO_DEPTH_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "reads in flight: wanted 1 to %d, found %u",
                         WEIR_IO_DEPTH_MAX, config->io_depth);
    if (bench.fake_io_seed != 0) {
        io_config.kind = WEIR_IO_FAKE;
        io_config.fake = (struct weir_io_fake){
            .seed = bench.fake_io_seed,
            .latency_ns_max = 200000,
            .short_rate = bench.fake_io_fault == 1 ? 0.2 : 0.0,
            .retry_rate = bench.fake_io_fault == 1 ? 0.1 : 0.0,
            .error_rate = bench.fake_io_fault == 2 ? 0.05 : 0.0,
            .lost_rate = bench.fake_io_fault == 3 ? 1.0 : 0.0,
            .full_rate = bench.fake_io_fault == 4 ? 1.0 : 0.0,
        };
    }
    engine->io_config = io_config;
    const weir_manifest *manifest = engine->blueprint.manifest;
    WEIR_TRY(weir_io_create(&engine->io, &io_config, err));
    WEIR_TRY(weir_files_open(engine->io, manifest, err));
    if (engine->blueprint.copies != NULL)
        WEIR_TRY(weir_files_open(engine->io, engine->blueprint.copies_manifest, err));
    if (engine->choice.tables_on_disk != 0) {
        io_config.depth = 0;
        io_config.n_thread = 1;
        WEIR_TRY(open_rows(engine, &io_config, err));
    }
    const struct weir_io_mode *mode = weir_io_mode_get(engine->io);
    engine->mode.io = mode->engine;
    engine->mode.direct = mode->direct;
    engine->mode.isa = engine->blueprint.kernels.isa;
    engine->mode.lossy_skip = config->lossy_skip;
    engine->mode.lossy_resident = config->lossy_resident;
    engine->mode.lossy_copies = config->lossy_copies;
    engine->mode.kv = weir_kv_info(engine->choice.kv)->name;
    engine->mode.kv_is_lossy = weir_kv_info(engine->choice.kv)->is_lossy;
    if (engine->choice.slot_total > 0) {
        engine->mode.policy = engine->choice.policy.name;
        engine->mode.pool = engine->choice.policy.is_pooled;
    }
    snprintf(engine->mode.why, sizeof(engine->mode.why), "%s", mode->why);
    if (config->mem_bytes == 0)
        note_second_source(&engine->mode);
    return WEIR_OK;
}

static enum weir_status load_trunk(struct weir_engine *engine, const struct weir_config *config,
                                   struct weir_err *err)
{
    struct weir_load_progress progress = {
        .config = config,
        .what = "weights every token needs",
        .total_bytes = weir_mem_use_bytes(&engine->mem, WEIR_MEM_TRUNK),
    };
    const uint64_t staging_bytes = weir_staging_bytes(engine->blueprint.model);
    engine->staging = weir_mem_alloc(&engine->mem, WEIR_MEM_IO, staging_bytes, WEIR_IO_ALIGN);
    if (engine->choice.measures_inputs)
        weir_importance_layout(engine->blueprint.model, &engine->mem);
    weir_model_layout(engine->blueprint.model, engine->choice.tables_on_disk, &engine->mem);
    if (engine->blueprint.copies != NULL)
        weir_copies_attach(engine->blueprint.model, engine->blueprint.copies);
    engine->loading = &progress;
    const enum weir_status status =
        weir_model_load(engine->blueprint.model, engine->io, engine->staging, staging_bytes,
                        tell_progress, &progress, err);
    engine->loading = NULL;
    if (status == WEIR_OK && !weir_choice_has_device(&engine->choice))
        weir_mem_drop(&engine->mem, WEIR_MEM_IO);
    return status;
}

/* Layers that are on a device go there from memory, their experts from the files. */
static enum weir_status load_device(struct weir_engine *engine, const struct weir_config *config,
                                    struct weir_err *err)
{
    struct weir_load_progress progress = {
        .config = config,
        .what = "experts on the GPU",
        .total_bytes = engine->plan.gpu.expert_bytes,
    };
    struct weir_device_config device_config = {
        .model = engine->blueprint.model,
        .plan = &engine->choice.device,
        .n_chunk = engine->choice.n_chunk,
        .timeline = engine->timeline,
        .io = engine->io,
        .staging = engine->staging,
        .staging_bytes = weir_staging_bytes(engine->blueprint.model),
        .progress = tell_progress,
        .progress_user = &progress,
    };
    if (!weir_choice_has_device(&engine->choice))
        return WEIR_OK;
    WEIR_TRY(weir_engine_open_gpu(engine, config, err));
    struct weir_record_name *wanted = weir_engine_list_wanted(config);
    device_config.wanted = wanted;
    device_config.wanted_count = wanted == NULL ? 0 : config->warm_up_count;
    engine->loading = &progress;
    const enum weir_status status =
        weir_device_create(&engine->device, &device_config, &engine->gpu_mem, &engine->mem, err);
    engine->loading = NULL;
    weir_heap_free(wanted);
    if (status == WEIR_OK)
        weir_mem_drop(&engine->mem, WEIR_MEM_IO);
    return status;
}

/* Reads through the page cache hold pages of it until they are done: no more than the load's
 * staging buffer had, which has gone back to the kernel. */
static uint64_t in_flight_bytes(const struct weir_engine *engine, const struct weir_config *config)
{
    if (weir_io_mode_get(engine->io)->direct)
        return config->io_budget_bytes;
    const uint64_t room_bytes = weir_staging_bytes(engine->blueprint.model);
    return config->io_budget_bytes == 0 ? room_bytes
                                        : weir_min(config->io_budget_bytes, room_bytes);
}

/* All reads of a queue tend to come back together: one budget would leave the device idle until the
 * next are asked for, which in a prompt is when a job of milliseconds ends. */
enum { PROMPT_BUDGETS = 4 };

static uint64_t prompt_budget_bytes(const struct weir_engine *engine, uint64_t budget_bytes)
{
    const uint64_t one_bytes = budget_bytes > 0 ? budget_bytes : WEIR_STORE_BUDGET_BYTES;
    return weir_io_mode_get(engine->io)->direct ? PROMPT_BUDGETS * one_bytes : one_bytes;
}

static enum weir_status create_store(struct weir_engine *engine, const struct weir_config *config,
                                     struct weir_err *err)
{
    const uint32_t n_layer = weir_copies_store_layers(engine->blueprint.model);
    const unsigned ablation = weir_bench_of(config).ablation;
    if (engine->choice.slot_total == 0)
        return WEIR_OK;
    struct weir_store_layer *layers = weir_heap_array(n_layer, sizeof(*layers));
    if (layers == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the store's %u layers", n_layer);
    for (uint32_t layer = 0; layer < n_layer; layer++) {
        weir_choice_layer(&engine->blueprint, &engine->choice, layer, &layers[layer]);
        if ((ablation & WEIR_ABLATE_GATE_UP_FIRST) != 0)
            layers[layer].head_count = layers[layer].slice_count;
    }
    const uint64_t budget_bytes = in_flight_bytes(engine, config);
    const struct weir_store_config store_config = {
        .layer_count = n_layer,
        .turn_count = engine->blueprint.model->shape.n_layer,
        .layers = layers,
        .policy = &engine->choice.policy,
        .step_max = engine->blueprint.model->shape.n_expert_used,
        .budget_bytes = budget_bytes,
        .prompt_budget_bytes = prompt_budget_bytes(engine, budget_bytes),
        .waits_for_all = (ablation & WEIR_ABLATE_HITS_FIRST) != 0,
        .forgets = (ablation & WEIR_ABLATE_CACHE) != 0,
    };
    const enum weir_status status =
        weir_store_create(&engine->store, &engine->mem, engine->io, &store_config, err);
    weir_heap_free(layers);
    return status;
}

static enum weir_status create_state(struct weir_engine *engine, struct weir_err *err)
{
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config config;
    weir_choice_state(&engine->blueprint, &engine->choice, layers, &config);
    if (getentropy(config.hash_key, sizeof(config.hash_key)) != 0)
        return WEIR_FAIL_OS(err, errno, "get %zu random bytes", sizeof(config.hash_key));
    if (engine->device != NULL) {
        config.copy_elsewhere = weir_device_copy_page;
        config.copy_block = config.block_max > 0 ? weir_device_copy_block : NULL;
        config.carry = engine->choice.text_bytes > 0 ? weir_device_carry : NULL;
        config.carried = weir_device_carried;
        config.copy_user = engine->device;
    }
    engine->plan_state_bytes =
        weir_choice_state_bytes(&engine->blueprint, &engine->choice, engine->choice.n_kv);
    return weir_state_create(&engine->state, &config, &engine->mem, err);
}

/* Everything else that lives in planned memory, in one go; then the seal. */
static enum weir_status furnish(struct weir_engine *engine, const struct weir_config *config,
                                struct weir_err *err)
{
    const struct weir_blueprint *blueprint = &engine->blueprint;
    WEIR_TRY(load_device(engine, config, err));
    WEIR_TRY(create_state(engine, err));
    if (engine->prefix != NULL)
        weir_prefix_bind(engine->prefix, engine->state);
    WEIR_TRY(create_store(engine, config, err));
    const struct weir_forward_config forward_config = {
        .model = blueprint->model,
        .kernels = &blueprint->kernels,
        .pool = engine->pool,
        .store = engine->store,
        .row_io = engine->row_io,
        .timeline = engine->timeline,
        .device = engine->device,
        .state = engine->state,
        .kv = engine->choice.kv,
        .n_chunk = engine->choice.n_chunk,
        .n_ctx = engine->choice.n_ctx,
        .n_thread = engine->choice.n_thread,
        .skip_share = (float)config->lossy_skip,
        .resident_margin = (float)config->lossy_resident,
        .copy_share = (float)config->lossy_copies,
        .predictor = engine->choice.predictor,
        .before_layer = weir_guard_check,
        .before_layer_user = &engine->guard,
    };
    WEIR_TRY(weir_forward_create(&engine->forward, &forward_config, &engine->mem, err));
    weir_batch_layout(&engine->batch, &engine->choice, blueprint->model->shape.n_vocab,
                      &engine->mem);
    weir_mem_seal(&engine->mem);
    return WEIR_OK;
}

/* What reads ahead start as. */
static void furnish_lookahead(struct weir_engine *engine, const struct weir_config *config)
{
    const struct weir_plan *plan = &engine->plan;
    const uint32_t n_expert = engine->blueprint.model->shape.n_expert;
    const uint32_t asked = weir_bench_of(config).lookahead_m;
    const uint32_t m = asked > 0 ? asked : engine->blueprint.model->shape.n_expert_used;
    engine->lookahead = config->lookahead;
    weir_trial_start(&engine->trials[0]);
    weir_trial_start(&engine->trials[1]);
    engine->mode.lookahead =
        engine->choice.predictor != WEIR_PREDICT_NONE && plan->n_slot_total < plan->n_expert_total;
    engine->lookahead_m = (uint32_t)weir_min(m, n_expert);
}

/* With room for all experts, read them now: no token should wait for what will be needed anyway. */
static enum weir_status fill_store(struct weir_engine *engine, const struct weir_config *config,
                                   struct weir_err *err)
{
    struct weir_load_progress progress = {
        .config = config,
        .what = "experts",
        .total_bytes = weir_mem_use_bytes(&engine->mem, WEIR_MEM_SLOTS),
    };
    if (engine->store == NULL || engine->choice.slot_total < engine->plan.n_expert_total)
        return WEIR_OK;
    engine->loading = &progress;
    const enum weir_status status = weir_store_fill(engine->store, tell_progress, &progress, err);
    engine->loading = NULL;
    return status;
}

/* What is left to fault in, once all is read. */
static enum weir_status wait_for_memory(struct weir_engine *engine,
                                        const struct weir_config *config, struct weir_err *err)
{
    struct weir_load_progress progress = {.config = config, .what = "memory"};
    return weir_mem_open_end(&engine->mem, tell_progress, &progress, err);
}

static enum weir_status open_guard(struct weir_engine *engine, const struct weir_config *config,
                                   struct weir_err *err)
{
    const struct weir_guard_config guard_config = {.store = engine->store,
                                                   .mem = &engine->mem,
                                                   .slot_total = engine->choice.slot_total,
                                                   .notice = config->notice,
                                                   .notice_user = config->notice_user};
    return weir_guard_open(&engine->guard, &guard_config, err);
}

/* What every token needs, and all that can be found wrong before it is read. */
static enum weir_status begin(struct weir_engine *engine, bool is_ahead, struct weir_err *err)
{
    const struct weir_config *config = &engine->config;
    WEIR_TRY(weir_blueprint_open(&engine->blueprint, config, err));
    weir_model_info_fill(&engine->info, &engine->blueprint);
    WEIR_TRY(weir_blueprint_plan(&engine->blueprint, config, &engine->choice, &engine->plan, err));
    WEIR_TRY(weir_choice_layout(&engine->blueprint, &engine->choice, &engine->mem, &engine->gpu_mem,
                                err));
    WEIR_TRY(is_ahead ? weir_mem_open_map(&engine->mem, err)
                      : weir_mem_open_begin(&engine->mem, err));
    engine->timeline = weir_timeline_layout(&engine->mem, engine->choice.timeline_events);
    engine->load_begin_ns = weir_timeline_now(engine->timeline);
    WEIR_TRY(open_io(engine, config, err));
    WEIR_TRY(weir_engine_open_texts(engine, config, err));
    return load_trunk(engine, config, err);
}

/* What follows from the whole ceiling: threads, slots, pages, the experts where all fit. */
static enum weir_status finish(struct weir_engine *engine, struct weir_err *err)
{
    const struct weir_config *config = &engine->config;
    WEIR_TRY(weir_pool_create(&engine->pool, engine->choice.n_thread, err));
    weir_pool_set_timeline(engine->pool, engine->timeline);
    WEIR_TRY(furnish(engine, config, err));
    WEIR_TRY(fill_store(engine, config, err));
    weir_timeline_add(engine->timeline, (struct weir_event){.name = "load",
                                                            .kind = WEIR_EVENT_LOAD,
                                                            .begin_ns = engine->load_begin_ns});
    WEIR_TRY(wait_for_memory(engine, config, err));
    weir_engine_pin(engine, config);
    WEIR_TRY(weir_state_populate_first(engine->state, err));
    furnish_lookahead(engine, config);
    WEIR_TRY(open_guard(engine, config, err));
    WEIR_TRY(weir_engine_begin_warm_up(engine, config, err));
    weir_engine_stats_reset(engine);
    return WEIR_OK;
}

/* A begun engine is as one that is busy with a call, which ends with finish or close. */
static enum weir_status create(weir_engine **out, const struct weir_config *config, bool is_ahead,
                               struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    WEIR_NEED(out, err);
    WEIR_NEED(config, err);
    weir_engine *engine = weir_heap_alloc(sizeof(*engine));
    if (engine == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the engine");
    weir_mem_init(&engine->mem);
    engine->config = *config;
    engine->is_begun = true;
    WEIR_TRY(weir_engine_enter(engine, NULL));
    WEIR_TRY_GOTO(begin(engine, is_ahead, err));
    if (!is_ahead)
        WEIR_TRY_GOTO(weir_engine_finish(engine, err));
    *out = engine;
    return WEIR_OK;

fail:
    weir_engine_close(&engine);
    return status;
}

enum weir_status weir_engine_open(weir_engine **out, const struct weir_config *config,
                                  struct weir_err *err)
{
    return create(out, config, false, err);
}

enum weir_status weir_engine_begin(weir_engine **out, const struct weir_config *config,
                                   struct weir_err *err)
{
    return create(out, config, true, err);
}

enum weir_status weir_engine_finish(weir_engine *engine, struct weir_err *err)
{
    WEIR_NEED(engine, err);
    if (!engine->is_begun || engine->pool != NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "only an engine that was begun, and not finished, can be finished");
    if (engine->mem.touch == NULL)
        WEIR_TRY(weir_mem_open_fill(&engine->mem, err));
    WEIR_TRY(finish(engine, err));
    engine->config = (struct weir_config){.model_path = NULL}; /* borrowed until here */
    engine->is_begun = false;
    weir_engine_leave(engine);
    return WEIR_OK;
}

enum weir_status weir_engine_enter(struct weir_engine *engine, struct weir_err *err)
{
    /* Acquire pairs with the release of whoever leaves. */
    if (!atomic_exchange_explicit(&engine->is_busy, true, memory_order_acquire))
        return WEIR_OK;
    return WEIR_FAIL(err, WEIR_ERR_ARG,
                     "a call to this engine is still running: wait until it has returned; its "
                     "callbacks and other threads may not change the engine or its sessions");
}

void weir_engine_leave(struct weir_engine *engine)
{
    atomic_store_explicit(&engine->is_busy, false, memory_order_release);
}

enum weir_status weir_engine_close(weir_engine **engine)
{
    if (engine == NULL || *engine == NULL)
        return WEIR_OK;
    weir_engine *closing = *engine;
    if (!closing->is_begun) /* else it is entered */
        WEIR_TRY(weir_engine_enter(closing, NULL));
    if (closing->session_count > 0) {
        weir_engine_leave(closing);
        return WEIR_ERR_ARG;
    }
    closing->is_closing = true;
    weir_guard_close(&closing->guard);
    const bool texts_are_quiet = weir_prefix_close(&closing->prefix);
    if (closing->forward != NULL)
        weir_forward_destroy(&closing->forward);
    weir_state_destroy(&closing->state);
    weir_engine_close_gpu(closing);
    if (closing->store != NULL)
        weir_store_destroy(&closing->store);
    if (closing->pool != NULL)
        weir_pool_destroy(&closing->pool);
    const bool rows_are_quiet = weir_io_destroy(&closing->row_io);
    if (weir_io_destroy(&closing->io) && rows_are_quiet && texts_are_quiet)
        weir_mem_close(&closing->mem);
    else
        weir_mem_leave(&closing->mem);
    weir_blueprint_close(&closing->blueprint);
    weir_heap_free(closing->warm_up);
    weir_heap_free(closing);
    *engine = NULL;
    return WEIR_OK;
}

const struct weir_plan *weir_engine_plan(const weir_engine *engine)
{
    return engine == NULL ? NULL : &engine->plan;
}

const struct weir_model_info *weir_engine_model(const weir_engine *engine)
{
    return engine == NULL ? NULL : &engine->info;
}

const struct weir_mode *weir_engine_mode(const weir_engine *engine)
{
    return engine == NULL ? NULL : &engine->mode;
}

weir_tokenizer *weir_engine_tokenizer(weir_engine *engine)
{
    return engine == NULL ? NULL : engine->blueprint.tokenizer;
}

const char *weir_engine_tokenizer_why(const weir_engine *engine)
{
    if (engine == NULL || engine->blueprint.tokenizer != NULL)
        return NULL;
    return engine->blueprint.no_tokenizer.text;
}

void weir_engine_stats_get(const weir_engine *engine, struct weir_stats *stats)
{
    struct weir_io_stats io;
    struct weir_io_stats rows;
    struct weir_store_stats store = {0};
    if (engine == NULL || stats == NULL)
        return;
    *stats = (struct weir_stats){.expert_uses = 0};
    if (engine->forward == NULL) /* only begun */
        return;
    rows = engine->row_base;
    weir_io_stats_get(engine->io, &io);
    if (engine->row_io != NULL)
        weir_io_stats_get(engine->row_io, &rows);
    if (engine->store != NULL)
        weir_store_stats_get(engine->store, &store);
    *stats = (struct weir_stats){
        .expert_uses = store.uses,
        .expert_hits = store.hits,
        .expert_reads = store.reads,
        .expert_bytes = store.slice_bytes,
        .read_bytes = store.read_bytes + (rows.read_bytes - engine->row_base.read_bytes),
        .io_wait_s = (double)store.wait_ns * 1e-9,
        .device_busy_s = (double)(io.busy_ns - engine->io_base.busy_ns) * 1e-9,
        .io_short_count = io.short_count - engine->io_base.short_count,
        .io_retry_count = io.retry_count - engine->io_base.retry_count,
        .reads_per_expert_max = store.step_reads_max,
        .pending_s = (double)store.pending_ns * 1e-9,
        .pending_bytes = store.pending_bytes,
        .ahead_reads = store.ahead_reads,
        .ahead_hits = store.ahead_hits,
        .ahead_late = store.ahead_late,
        .warm_up_reads = store.warm_up_reads,
        .ahead_wasted_bytes = store.ahead_wasted_bytes,
    };
    weir_forward_recall_get(engine->forward, &stats->guessed, &stats->guessed_right);
    stats->guessed -= engine->recall_used;
    stats->guessed_right -= engine->recall_found;
}

void weir_engine_stats_reset(weir_engine *engine)
{
    if (engine == NULL || engine->forward == NULL)
        return;
    weir_io_stats_get(engine->io, &engine->io_base);
    if (engine->row_io != NULL)
        weir_io_stats_get(engine->row_io, &engine->row_base);
    weir_forward_recall_get(engine->forward, &engine->recall_used, &engine->recall_found);
    if (engine->store != NULL)
        weir_store_stats_reset(engine->store);
    if (engine->device != NULL)
        weir_device_stats_reset(engine->device);
}

uint64_t weir_engine_timeline_write(weir_engine *engine, FILE *file)
{
    if (engine == NULL || file == NULL || weir_engine_enter(engine, NULL) != WEIR_OK)
        return UINT64_MAX;
    if (engine->store != NULL)
        weir_store_stop_ahead(engine->store); /* a read is told when it has landed */
    const uint64_t dropped = weir_timeline_write(engine->timeline, file);
    weir_engine_leave(engine);
    return dropped;
}

void weir_engine_guard_get(const weir_engine *engine, struct weir_guard_stats *stats)
{
    if (engine != NULL && stats != NULL)
        *stats = engine->guard.stats;
}

uint64_t weir_peak_bytes(void)
{
    return weir_sys_peak_rss_bytes();
}

uint64_t weir_memory_bytes(void)
{
    return weir_sys_rss_bytes();
}
