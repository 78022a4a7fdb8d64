/* plan.c - what would be allocated, and the largest choice that fits under the ceiling.
 *
 * I1  A plan's numbers come from running the layouts themselves against a counting weir_mem.
 * I2  More slots never need less memory, so the largest number that fits is found by halving. */
#include "engine/engine_internal.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "engine/forecast.h"
#include "engine/placement.h"

/* The program, its libraries, their tables and the kernel's share that is the same for every model:
 * measured by tests/integration/ceiling, rounded up. */
enum {
    PROGRAM_BYTES = 6 << 20,
    THREAD_BYTES = 128 << 10, /* touched stack, kernel stack, thread record */
    IO_THREAD_COUNT = 4 + 1,  /* for experts, for embedding rows */
    TEXT_BYTES = 1 << 20,     /* an encoder, and the part of a text that it is given */
    BEGUN_BYTES = 1 << 20,    /* of an engine that is only begun: handles, rings, its heap's gaps */
};

enum { CTX_DEFAULT_MAX = 4096, CHUNK_MAX = 512, CHUNK_MIN = 16 };
#define TEXTS_ON_DISK_BYTES (UINT64_C(4) << 30)

#ifdef WEIR_HOSTILE
enum { SNAPSHOT_MAX = 1 };
#else
enum { SNAPSHOT_MAX = 8 };
#endif

/* An embedding table stays on the disk when it is worth its while: a read of about 0.2 ms a token
 * for the room of several experts. */
enum { LEFT_BYTES_MIN = 16 << 20, LEFT_EXPERTS_MIN = 8 };

/* Whether a table is large enough; record_bytes is 0 in a model without experts. */
static bool is_worth_leaving(const struct weir_weight *table, uint64_t record_bytes)
{
#ifdef WEIR_HOSTILE
    (void)record_bytes;
    return table->cols > 0;
#else
    return table->matrix_bytes >= LEFT_BYTES_MIN &&
           table->matrix_bytes >= LEFT_EXPERTS_MIN * record_bytes;
#endif
}

/* The tables that may stay there, as struct weir_model has them: not one that is the output matrix
 * too, and the tokens' own only for the sake of experts. */
static unsigned tables_that_may_stay(const struct weir_model *model)
{
    const uint64_t n_record = (uint64_t)model->shape.n_expert * weir_moe_layer_count(model);
    const uint64_t record_bytes = n_record == 0 ? 0 : model->expert_bytes / n_record;
    unsigned tables = 0;
    if (!model->tied && n_record > 0 && is_worth_leaving(&model->token_embedding, record_bytes))
        tables |= 1u << WEIR_TABLE_TOKENS;
    if (is_worth_leaving(&model->layer_embedding, record_bytes))
        tables |= 1u << WEIR_TABLE_LAYERS;
    return tables;
}

/* Page tables: 8 bytes for every 4 KiB. */
static uint64_t page_table_bytes(uint64_t bytes)
{
    return weir_align_up(bytes / 512, 4096) + (64 << 10);
}

uint64_t weir_staging_bytes(const struct weir_model *model)
{
    return model->trunk_bytes >= 64u << 20 ? 4u << 20 : 256u << 10;
}

/* Of them, a sequence's block and the snapshots. */
static uint64_t block_bytes(const struct weir_blueprint *blueprint,
                            const struct weir_choice *choice)
{
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config config;
    weir_choice_state(blueprint, choice, layers, &config);
    return weir_state_block_bytes(&config) * (1 + choice->n_snapshot);
}

uint64_t weir_choice_index_bytes(const struct weir_blueprint *blueprint,
                                 const struct weir_choice *choice)
{
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config config;
    struct weir_state_shape shape;
    if (choice->text_bytes == 0)
        return 0;
    weir_choice_state(blueprint, choice, layers, &config);
    return weir_state_shape_plan(&config, &shape)
               ? weir_prefix_memory_bytes(&shape, choice->text_bytes)
               : 0;
}

static uint64_t fixed_bytes(const struct weir_blueprint *blueprint,
                            const struct weir_choice *choice)
{
    /* Candidates of a sampler, how often each id was there and would be repeated, and the logits of
     * a session. */
    const uint64_t sampler_bytes = (uint64_t)blueprint->model->shape.n_vocab * 6 * sizeof(float);
    /* Read, written, and computed again. */
    const uint64_t id_bytes = (uint64_t)choice->n_ctx * 3 * sizeof(uint32_t);
    const uint64_t text_bytes = blueprint->tokenizer == NULL ? 0 : TEXT_BYTES;
    return PROGRAM_BYTES + text_bytes + id_bytes +
           (uint64_t)(choice->n_thread + IO_THREAD_COUNT) * THREAD_BYTES + sampler_bytes +
           choice->caller_bytes + blueprint->description_bytes +
           weir_choice_index_bytes(blueprint, choice);
}

/* Planned memory: what is mapped and populated, and the first pages of a sequence. */
static uint64_t opened_bytes(const struct weir_blueprint *blueprint,
                             const struct weir_choice *choice, const struct weir_mem *mem)
{
    uint64_t bytes = weir_choice_state_bytes(blueprint, choice, choice->n_kv);
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++)
        bytes += weir_mem_reached_bytes(mem, (enum weir_mem_use)use);
    return bytes;
}

/* All memory that a choice needs from the start. */
static enum weir_status measure(const struct weir_blueprint *blueprint,
                                const struct weir_choice *choice, uint64_t *total_bytes,
                                struct weir_err *err)
{
    struct weir_mem mem;
    struct weir_gpu_mem gpu_mem;
    WEIR_TRY(weir_choice_layout(blueprint, choice, &mem, &gpu_mem, err));
    const uint64_t bytes = opened_bytes(blueprint, choice, &mem);
    *total_bytes = bytes + page_table_bytes(bytes) + fixed_bytes(blueprint, choice) +
                   weir_placement_host_bytes(choice, &gpu_mem);
    return WEIR_OK;
}

/* What the user fixed, and between which bounds the plan may choose. */
struct bounds {
    uint32_t slot_min, slot_max; /* over all layers */
    uint32_t chunk_min, chunk_max;
};

static enum weir_status find_slot_bounds(const struct weir_blueprint *blueprint,
                                         const struct weir_config *config,
                                         const struct weir_choice *choice, struct bounds *bounds,
                                         struct weir_err *err)
{
    const struct weir_model *model = blueprint->model;
    const struct weir_policy *policy = &choice->policy;
    const uint32_t n_moe_layer = weir_choice_moe_layer_count(blueprint, choice);
    const uint32_t n_expert = model->shape.n_expert;
    const uint32_t n_used = model->shape.n_expert_used;
    const uint32_t n_slot = config->n_slot;
    if (!(config->expert_share >= 0.0 && config->expert_share <= 1.0))
        return WEIR_FAIL(err, WEIR_ERR_ARG, "share of experts: wanted 0 to 1, found %g",
                         config->expert_share);
    if (n_moe_layer > 0 && n_slot > 0 && (n_slot < n_used || n_slot > n_expert))
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "expert slots a layer: wanted %u (the experts of one token) to %u (all), "
                         "found %u",
                         n_used, n_expert, n_slot);
    bounds->slot_min = (n_slot > 0 ? n_slot : n_used) * n_moe_layer;
    bounds->slot_max = (n_slot > 0 ? n_slot : n_expert) * n_moe_layer;
    if (config->expert_share > 0.0 && n_moe_layer > 0)
        bounds->slot_min = bounds->slot_max =
            weir_cache_slot_total(policy, config->expert_share, n_moe_layer, n_used, n_expert);
    return WEIR_OK;
}

/* name NULL: the usual one. */
static enum weir_status choose_kv(const struct weir_model *model, const char *name,
                                  enum weir_kv *kv, struct weir_err *err)
{
    *kv = WEIR_KV_F16;
    if (name != NULL && !weir_kv_from_name(name, kv))
        return WEIR_FAIL(err, WEIR_ERR_ARG, "keys and values: wanted one of %s, found %s",
                         weir_kv_names(), name);
    return weir_model_kv_check(model, *kv, err);
}

static enum weir_status check_lossy(const struct weir_config *config, struct weir_err *err)
{
    const bool has_copies = config->copies_path != NULL;
    const double values[] = {config->lossy_skip, config->lossy_resident};
    static const char *const names[] = {"skip", "resident"};
    if (has_copies != (config->lossy_copies > 0.0) || config->lossy_copies > 1.0)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "lossy copies: wanted a file of copies and a share above 0 and at most 1 "
                         "(--copies FILE --lossy copies=S), found %s and %g",
                         has_copies ? config->copies_path : "no file", config->lossy_copies);
    for (size_t index = 0; index < WEIR_COUNT(values); index++)
        if (!(values[index] >= 0.0) || !(values[index] < 1.0))
            return WEIR_FAIL(err, WEIR_ERR_ARG, "lossy %s: wanted a share below 1, found %g",
                             names[index], values[index]);
    if (config->gpu != WEIR_ENGINE_GPU_OFF &&
        (config->lossy_skip > 0.0 || config->lossy_resident > 0.0 || has_copies))
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "lossy routing is the CPU's alone: wanted no GPU (--gpu off)");
    return WEIR_OK;
}

static enum weir_status find_bounds(const struct weir_blueprint *blueprint,
                                    const struct weir_config *config, struct weir_choice *choice,
                                    struct bounds *bounds, struct weir_err *err)
{
    const struct weir_shape *shape = &blueprint->model->shape;
    const struct weir_bench_config bench = weir_bench_of(config);
    WEIR_TRY(check_lossy(config, err));
    WEIR_TRY(choose_kv(blueprint->model, config->kv, &choice->kv, err));
    choice->tables_on_disk = tables_that_may_stay(blueprint->model);
    choice->predictor = config->lookahead == WEIR_LOOKAHEAD_OFF ? WEIR_PREDICT_NONE
                        : bench.guess_by == WEIR_GUESS_BY_PATH  ? WEIR_PREDICT_PATH
                        : bench.guess_by == WEIR_GUESS_BY_GATE  ? WEIR_PREDICT_GATE
                                                                : WEIR_PREDICT_RESIDUAL;
    choice->caller_bytes = config->caller_bytes;
    choice->text_bytes = config->text_folder == NULL ? 0
                         : config->text_bytes == 0   ? TEXTS_ON_DISK_BYTES
                                                     : config->text_bytes;
    choice->timeline_events = config->timeline_events;
    choice->measures_inputs = config->measures_inputs;
    if (config->measures_inputs && config->gpu != WEIR_ENGINE_GPU_OFF)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "what weights are multiplied by is measured on the CPU alone: wanted no "
                         "GPU (--gpu off)");
    WEIR_TRY(weir_policy_check(bench.policy, bench.pool, true, err));
    WEIR_TRY(weir_policy_choose(bench.policy, bench.pool, &choice->policy, err));
    choice->n_thread = config->n_thread > 0 ? config->n_thread : weir_sys_cpu_count();
    if (choice->n_thread > WEIR_THREAD_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "threads: wanted 1 to %d, found %u", WEIR_THREAD_MAX,
                         choice->n_thread);
    choice->n_ctx =
        config->n_ctx > 0 ? config->n_ctx : (uint32_t)weir_min(shape->n_ctx_train, CTX_DEFAULT_MAX);
    choice->n_kv = choice->n_ctx;
    if (choice->n_ctx > shape->n_ctx_train)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "context: the model was trained for %u positions, %u are asked for",
                         shape->n_ctx_train, choice->n_ctx);
    const uint32_t n_chunk = (uint32_t)weir_min(config->n_chunk, choice->n_ctx);
    bounds->chunk_min = n_chunk > 0 ? n_chunk : (uint32_t)weir_min(CHUNK_MIN, choice->n_ctx);
    bounds->chunk_max = n_chunk > 0 ? n_chunk : (uint32_t)weir_min(CHUNK_MAX, choice->n_ctx);
#ifdef WEIR_HOSTILE
    if (config->n_chunk == 0)
        bounds->chunk_min = bounds->chunk_max = (uint32_t)weir_min(3, choice->n_ctx);
#endif
    return WEIR_OK;
}

/* What is on a device, and what that leaves to choose. */
static enum weir_status find_placement(const struct weir_blueprint *blueprint,
                                       const struct weir_config *config, struct weir_choice *choice,
                                       struct bounds *bounds, struct weir_gpu_plan *plan,
                                       struct weir_err *err)
{
    WEIR_TRY(weir_placement_find(blueprint, config, &bounds->chunk_max, choice, plan, err));
    bounds->chunk_min = (uint32_t)weir_min(bounds->chunk_min, bounds->chunk_max);
    WEIR_TRY(find_slot_bounds(blueprint, config, choice, bounds, err));
#ifdef WEIR_HOSTILE
    bounds->slot_max = bounds->slot_min;
#endif
    return WEIR_OK;
}

/* Whether a choice is free of charge, because all experts fit beside it, or else takes at most
 * most_bytes with the fewest slots. */
static enum weir_status is_affordable(const struct weir_blueprint *blueprint,
                                      const struct bounds *bounds, uint64_t budget_bytes,
                                      uint64_t most_bytes, struct weir_choice *choice,
                                      bool *affordable, struct weir_err *err)
{
    uint64_t all_bytes = 0;
    uint64_t few_bytes = 0;
    choice->slot_total = bounds->slot_max;
    WEIR_TRY(measure(blueprint, choice, &all_bytes, err));
    choice->slot_total = bounds->slot_min;
    WEIR_TRY(measure(blueprint, choice, &few_bytes, err));
    *affordable = all_bytes <= budget_bytes || few_bytes <= weir_min(budget_bytes, most_bytes);
    return WEIR_OK;
}

/* The longest chunk that is affordable: its scratch may take a sixteenth of the ceiling from the
 * slots. The same of snapshots: a thirty-second. */
static enum weir_status choose_chunk(const struct weir_blueprint *blueprint,
                                     const struct bounds *bounds, uint64_t budget_bytes,
                                     struct weir_choice *choice, struct weir_err *err)
{
    uint64_t least_bytes = 0;
    bool affordable = false;
    choice->slot_total = bounds->slot_min;
    choice->n_chunk = bounds->chunk_min;
    WEIR_TRY(measure(blueprint, choice, &least_bytes, err));
    for (uint32_t n_chunk = bounds->chunk_max; n_chunk > bounds->chunk_min; n_chunk /= 2) {
        choice->n_chunk = n_chunk;
        WEIR_TRY(is_affordable(blueprint, bounds, budget_bytes, least_bytes + budget_bytes / 16,
                               choice, &affordable, err));
        if (affordable)
            return WEIR_OK;
    }
    choice->n_chunk = bounds->chunk_min;
    return WEIR_OK;
}

/* As many as one text can have; of a device's blocks half are texts' own. */
static uint32_t most_snapshots(const struct weir_blueprint *blueprint,
                               const struct weir_choice *choice)
{
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config config;
    weir_choice_state(blueprint, choice, layers, &config);
    const uint64_t most = config.block_max > 0 ? config.block_max / 2 : SNAPSHOT_MAX;
    return (uint32_t)weir_min(weir_min(SNAPSHOT_MAX, most), choice->n_ctx / WEIR_SNAPSHOT_LENGTH);
}

static enum weir_status choose_snapshots(const struct weir_blueprint *blueprint,
                                         const struct bounds *bounds, uint64_t budget_bytes,
                                         struct weir_choice *choice, struct weir_err *err)
{
    uint64_t least_bytes = 0;
    bool affordable = false;
    if (block_bytes(blueprint, choice) == 0)
        return WEIR_OK;
    choice->slot_total = bounds->slot_min;
    WEIR_TRY(measure(blueprint, choice, &least_bytes, err));
    for (choice->n_snapshot = most_snapshots(blueprint, choice); choice->n_snapshot > 0;
         choice->n_snapshot--) {
        WEIR_TRY(is_affordable(blueprint, bounds, budget_bytes, least_bytes + budget_bytes / 32,
                               choice, &affordable, err));
        if (affordable)
            return WEIR_OK;
    }
    return WEIR_OK;
}

/* The most slots that fit; keeps I2. slot_min is known to fit. */
static enum weir_status choose_slots(const struct weir_blueprint *blueprint,
                                     const struct bounds *bounds, uint64_t budget_bytes,
                                     struct weir_choice *choice, struct weir_err *err)
{
    uint32_t fits = bounds->slot_min;
    uint32_t above = bounds->slot_max + 1;
    while (above - fits > 1) {
        uint64_t total_bytes = 0;
        const uint32_t middle = fits + (above - fits) / 2;
        choice->slot_total = middle;
        WEIR_TRY(measure(blueprint, choice, &total_bytes, err));
        if (total_bytes <= budget_bytes)
            fits = middle;
        else
            above = middle;
    }
    choice->slot_total = fits;
    return WEIR_OK;
}

/* Where there is room for all slots, the embedding comes into memory too if it fits. Where slots
 * are short, those that fit beside all of K and V are the last: until a text is so long its K and V
 * need less, and the rest is slots. */
static enum weir_status choose_memory(const struct weir_blueprint *blueprint,
                                      const struct bounds *bounds, struct weir_choice *choice,
                                      struct weir_plan *plan, struct weir_err *err)
{
    WEIR_TRY(choose_slots(blueprint, bounds, plan->budget_bytes, choice, err));
    plan->n_slot_last = choice->slot_total;
    if (choice->slot_total == bounds->slot_max) {
        struct weir_choice whole = *choice;
        uint64_t whole_bytes = 0;
        whole.tables_on_disk = 0;
        WEIR_TRY(measure(blueprint, &whole, &whole_bytes, err));
        if (whole_bytes <= plan->budget_bytes)
            *choice = whole;
        return WEIR_OK;
    }
    choice->n_kv = 1;
    return choose_slots(blueprint, bounds, plan->budget_bytes, choice, err);
}

static void add_line(struct weir_plan *plan, const char *what, uint64_t bytes)
{
    WEIR_ASSERT(plan->line_count < WEIR_PLAN_LINE_MAX);
    struct weir_plan_line *line = &plan->lines[plan->line_count++];
    snprintf(line->what, sizeof(line->what), "%s", what);
    line->bytes = bytes;
    plan->planned_bytes += bytes;
}

/* Before it is finished: no slot, no page, no thread that computes. What describes the model takes
 * as much again while it is read. */
static uint64_t begun_bytes(const struct weir_blueprint *blueprint,
                            const struct weir_choice *choice, const struct weir_mem *mem)
{
    const uint64_t opened = weir_mem_reached_bytes(mem, WEIR_MEM_TRUNK) +
                            weir_mem_use_bytes(mem, WEIR_MEM_IO) +
                            weir_mem_use_bytes(mem, WEIR_MEM_TIMELINE);
    return opened + page_table_bytes(opened) + 2 * blueprint->description_bytes +
           weir_choice_index_bytes(blueprint, choice) + IO_THREAD_COUNT * THREAD_BYTES +
           BEGUN_BYTES;
}

static enum weir_status fill_lines(const struct weir_blueprint *blueprint,
                                   const struct weir_choice *choice, struct weir_plan *plan,
                                   struct weir_err *err)
{
    struct weir_mem mem;
    struct weir_gpu_mem gpu_mem;
    WEIR_TRY(weir_choice_layout(blueprint, choice, &mem, &gpu_mem, err));
    add_line(plan, "program, libraries, threads, sampling",
             fixed_bytes(blueprint, choice) - choice->caller_bytes - blueprint->description_bytes -
                 weir_choice_index_bytes(blueprint, choice));
    if (choice->caller_bytes > 0)
        add_line(plan, "texts and ids of the caller", choice->caller_bytes);
    if (weir_choice_index_bytes(blueprint, choice) > 0)
        add_line(plan, "index of texts on disk", weir_choice_index_bytes(blueprint, choice));
    if (weir_choice_has_device(choice))
        add_line(plan,
                 choice->gpu_kind == WEIR_GPU_SIM ? "memory of the simulated GPU"
                                                  : "the GPU's driver",
                 weir_placement_host_bytes(choice, &gpu_mem));
    add_line(plan, "model description, vocabulary", blueprint->description_bytes);
    const uint64_t first_bytes = weir_choice_state_bytes(blueprint, choice, choice->n_kv);
    add_line(plan, "page tables", page_table_bytes(opened_bytes(blueprint, choice, &mem)));
    for (int use = 0; use < WEIR_MEM_USE_COUNT; use++)
        if (weir_mem_use_bytes(&mem, (enum weir_mem_use)use) > 0)
            add_line(plan, weir_mem_use_name((enum weir_mem_use)use),
                     use == WEIR_MEM_KV ? first_bytes - block_bytes(blueprint, choice)
                                        : weir_mem_reached_bytes(&mem, (enum weir_mem_use)use));
    plan->begun_bytes = begun_bytes(blueprint, choice, &mem);
    if (block_bytes(blueprint, choice) > 0)
        add_line(plan, "recurrent state, and snapshots of it", block_bytes(blueprint, choice));
    plan->embedding_on_disk_bytes = weir_model_on_disk_bytes(
        blueprint->model, choice->tables_on_disk & 1u << WEIR_TABLE_TOKENS);
    plan->layer_inputs_on_disk_bytes = weir_model_on_disk_bytes(
        blueprint->model, choice->tables_on_disk & 1u << WEIR_TABLE_LAYERS);
    plan->kv_later_bytes = weir_choice_state_bytes(blueprint, choice, choice->n_ctx) - first_bytes;
    return WEIR_OK;
}

/* The three ceilings, whatever the budget is. */
static enum weir_status fill_ceilings(const struct weir_blueprint *blueprint,
                                      const struct bounds *bounds, const struct weir_choice *choice,
                                      struct weir_plan *plan, struct weir_err *err)
{
    const struct weir_model *model = blueprint->model;
    const uint32_t n_moe_layer = weir_choice_moe_layer_count(blueprint, choice);
    struct weir_choice at = *choice;
    at.n_chunk = bounds->chunk_min;
    at.slot_total = bounds->slot_min;
    WEIR_TRY(measure(blueprint, &at, &plan->min_bytes, err));
    at.slot_total = model->shape.n_expert_used * n_moe_layer;
    WEIR_TRY(measure(blueprint, &at, &plan->useful_bytes, err));
    at.n_chunk = bounds->chunk_max;
    at.n_snapshot = most_snapshots(blueprint, choice);
    at.tables_on_disk = 0;
    at.slot_total = model->shape.n_expert * n_moe_layer;
    return measure(blueprint, &at, &plan->resident_bytes, err);
}

/* Bytes of experts that one token uses, about: layers' experts may be of several sizes. */
static uint64_t token_bytes(const struct weir_model *model)
{
    const uint64_t record_count = (uint64_t)weir_moe_layer_count(model) * model->shape.n_expert;
    return record_count == 0 ? 0
                             : (uint64_t)((double)model->expert_bytes / (double)record_count *
                                          (double)weir_model_use_count(model));
}

/* free_why: where a ceiling that nobody gave comes from; empty for one that was given. */
static enum weir_status refuse_ceiling(const struct weir_plan *plan, uint64_t caller_bytes,
                                       const char *path, const char *free_why, struct weir_err *err)
{
    enum { WORTH_TELLING_BYTES = 1 << 20 };
    char budget[32];
    char least[32];
    char held[32];
    char share[128] = "";
    if (caller_bytes >= WORTH_TELLING_BYTES)
        snprintf(share, sizeof(share),
                 ", %s of it for what is held beside the model (grammars, "
                 "texts, clients)",
                 weir_format_size(caller_bytes, held, sizeof(held)));
    return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                     "the ceiling of %s (%llu bytes) cannot hold %s: the smallest that does is "
                     "%s (--mem %llu)%s%s%s",
                     weir_format_size(plan->budget_bytes, budget, sizeof(budget)),
                     (unsigned long long)plan->budget_bytes, path,
                     weir_format_size(plan->min_bytes, least, sizeof(least)),
                     (unsigned long long)plan->min_bytes, share,
                     free_why[0] == '\0' ? "" : "; without --mem it is what is free: ", free_why);
}

enum weir_status weir_blueprint_plan(const struct weir_blueprint *blueprint,
                                     const struct weir_config *config, struct weir_choice *choice,
                                     struct weir_plan *plan, struct weir_err *err)
{
    const struct weir_model *model = blueprint->model;
    struct bounds bounds = {0};
    memset(plan, 0, sizeof(*plan));
    memset(choice, 0, sizeof(*choice));
    WEIR_TRY(find_bounds(blueprint, config, choice, &bounds, err));
    WEIR_TRY(find_placement(blueprint, config, choice, &bounds, &plan->gpu, err));
    const uint32_t n_moe_layer = weir_choice_moe_layer_count(blueprint, choice);
    WEIR_TRY(fill_ceilings(blueprint, &bounds, choice, plan, err));
    struct weir_sys_free free_memory = {0};
    if (config->mem_bytes == 0)
        weir_sys_free_get(&free_memory);
    plan->budget_bytes = config->mem_bytes > 0 ? config->mem_bytes : free_memory.bytes;
    plan->n_expert_total = model->shape.n_expert * n_moe_layer;
    plan->token_bytes = token_bytes(model);
    plan->io_budget_bytes =
        config->io_budget_bytes > 0 ? config->io_budget_bytes : WEIR_STORE_BUDGET_BYTES;
    weir_token_cost_fill(&plan->cost, model, &blueprint->kernels, choice->kv);
    if (plan->budget_bytes < plan->min_bytes)
        return refuse_ceiling(plan, config->caller_bytes, config->model_path, free_memory.why, err);
    WEIR_TRY(choose_chunk(blueprint, &bounds, plan->budget_bytes, choice, err));
    WEIR_TRY(choose_snapshots(blueprint, &bounds, plan->budget_bytes, choice, err));
    WEIR_TRY(choose_memory(blueprint, &bounds, choice, plan, err));
    plan->n_ctx = choice->n_ctx;
    plan->n_chunk = choice->n_chunk;
    plan->n_thread = choice->n_thread;
    plan->n_snapshot = choice->n_snapshot;
    plan->n_slot_total = choice->slot_total;
    plan->n_slot = n_moe_layer == 0 ? 0 : choice->slot_total / n_moe_layer;
    weir_placement_fill(blueprint, choice, &plan->gpu);
    return fill_lines(blueprint, choice, plan, err);
}

enum weir_status weir_plan_make(struct weir_plan *plan, const struct weir_config *config,
                                struct weir_err *err)
{
    struct weir_blueprint blueprint;
    struct weir_choice choice;
    WEIR_NEED(plan, err);
    WEIR_NEED(config, err);
    memset(plan, 0, sizeof(*plan));
    WEIR_TRY(weir_blueprint_open(&blueprint, config, err));
    const enum weir_status status = weir_blueprint_plan(&blueprint, config, &choice, plan, err);
    weir_blueprint_close(&blueprint);
    return status;
}
