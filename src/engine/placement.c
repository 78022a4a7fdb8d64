/* placement.c - which layers and experts are on a device: as much as its ceiling holds.
 *
 * A byte of the trunk is passed once a token, one of an expert as often as the expert is chosen. So
 * the trunk comes first: the output matrix, then layers from the last one on, so that the residual
 * stream crosses once. What is left is experts', the same number of each layer.
 *
 * I1  More layers, or more experts, never need less memory, so the most that fits is found by
 *     halving.
 * I2  The numbers come from running the layout itself against a counting weir_gpu_mem. */
#include <stdio.h>
#include <string.h>

#include "engine/moving.h"
#include "engine/placement.h"

enum { CHUNK_LEAST = 32, RESERVE_PARTS = 20, SCRATCH_PARTS = 4, KEYS_PARTS = 16, CONTEXTS = 64 };
enum { BLOCKS_LEAST = 4, BLOCKS_MOST = 80 }; /* of texts, and half as many snapshots at most */
#define RESERVE_BYTES_MIN (UINT64_C(512) << 20)
/* What the driver holds in this process: its own tables and code, as measured; and what the
 * simulated device has beside its memory: queues, and rows that its arithmetic turns over. */
#define DRIVER_BYTES (UINT64_C(512) << 20)
#define SIMULATION_BYTES (UINT64_C(24) << 20)

struct search {
    const struct weir_blueprint *blueprint;
    struct weir_choice *choice;
    uint64_t budget_bytes;
};

static uint64_t measure(const struct search *search, struct weir_gpu_mem *mem)
{
    const struct weir_device_config config = {.model = search->blueprint->model,
                                              .plan = &search->choice->device,
                                              .n_chunk = search->choice->n_chunk};
    struct weir_mem host;
    weir_device *device = NULL;
    *mem = (struct weir_gpu_mem){0};
    weir_mem_init(&host);
    weir_model_layout(search->blueprint->model, search->choice->tables_on_disk, &host);
    if (weir_choice_has_device(search->choice))
        (void)weir_device_create(&device, &config, mem, &host, NULL); /* planning never fails */
    return weir_gpu_mem_bytes(mem);
}

static bool fits(const struct search *search)
{
    struct weir_gpu_mem mem;
    return measure(search, &mem) <= search->budget_bytes;
}

/* Keys and values that several layers read are there with all of them, or not at all. */
static void keep_sharers_together(const struct search *search)
{
    const struct weir_model *model = search->blueprint->model;
    struct weir_device_plan *plan = &search->choice->device;
    bool has_changed = true;
    while (has_changed) {
        has_changed = false;
        for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
            const uint32_t keys_layer = model->layers[layer].mixer.keys_layer;
            if (!model->layers[layer].mixer.borrows ||
                plan->layers[layer].is_there == plan->layers[keys_layer].is_there)
                continue;
            plan->layers[layer].is_there = plan->layers[keys_layer].is_there = false;
            plan->n_layer--;
            has_changed = true;
        }
    }
}

/* The last `count` layers that may be there are. */
static void take_layers(const struct search *search, uint32_t count)
{
    const struct weir_model *model = search->blueprint->model;
    struct weir_device_plan *plan = &search->choice->device;
    plan->n_layer = 0;
    for (uint32_t layer = model->shape.n_layer; layer > 0; layer--) {
        plan->layers[layer - 1].is_there =
            plan->n_layer < count && weir_device_refusal(model, layer - 1, search->choice->gpu_kind,
                                                         search->choice->kv) == NULL;
        plan->n_layer += plan->layers[layer - 1].is_there;
    }
    keep_sharers_together(search);
}

static uint32_t expert_layers(const struct search *search)
{
    const struct weir_model *model = search->blueprint->model;
    uint32_t count = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        count += search->choice->device.layers[layer].is_there &&
                 weir_layer_has_experts(&model->layers[layer]);
    return count;
}

/* So many experts of all layers that are there: evenly, the last layers first; or as a policy deals
 * them that has the first layers whole. */
static void take_experts(const struct search *search, uint32_t count)
{
    const struct weir_model *model = search->blueprint->model;
    struct weir_device_plan *plan = &search->choice->device;
    const uint32_t n_layer = expert_layers(search);
    const uint32_t all = count;
    uint32_t left = n_layer;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        if (!plan->layers[layer].is_there || !weir_layer_has_experts(&model->layers[layer]))
            continue;
        plan->layers[layer].expert_count =
            plan->policy.is_shallow_first
                ? weir_cache_deal(&plan->policy, all, n_layer, n_layer - left, 0,
                                  model->shape.n_expert)
                : count / left;
        count -= plan->layers[layer].expert_count;
        left--;
    }
}

/* The most of `most` that fits; none is known to fit. */
static void find_most(const struct search *search,
                      void (*take)(const struct search *search, uint32_t count), uint32_t most)
{
    uint32_t held = 0;
    uint32_t above = most + 1;
    while (above - held > 1) {
        const uint32_t middle = held + (above - held) / 2;
        take(search, middle);
        if (fits(search))
            held = middle;
        else
            above = middle;
    }
    take(search, held);
}

static uint32_t count_layers(const struct search *search)
{
    take_layers(search, WEIR_LAYER_MAX);
    return search->choice->device.n_layer;
}

/* Of a block, or of a position, in all layers that may be there; 1: nothing is kept. */
static uint64_t bytes_there(const struct search *search, const struct weir_state_layer *layers,
                            bool is_block)
{
    const struct weir_model *model = search->blueprint->model;
    uint64_t bytes = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        if (search->choice->device.layers[layer].is_there &&
            (model->layers[layer].mixer.kind == WEIR_MIXER_DELTA) == is_block)
            bytes += layers[layer].bytes;
    return weir_max(bytes, 1);
}

/* Room for a whole context and a copy of its last page; for more of them where that is little. The
 * same of blocks: of a text and its fork, and of snapshots. */
static void choose_pages(const struct search *search)
{
    struct weir_state_layer layers[WEIR_STATE_LAYER_MAX];
    struct weir_state_config config;
    struct weir_device_plan *plan = &search->choice->device;
    take_layers(search, WEIR_LAYER_MAX);
    plan->page_max = UINT32_MAX;
    plan->kv = search->choice->kv;
    weir_choice_state(search->blueprint, search->choice, layers, &config);
    plan->page_length = weir_state_page_length(&config);
    plan->table_length = weir_state_table_length(&config);
    const uint64_t each = bytes_there(search, layers, false) * plan->page_length;
    const uint64_t block = bytes_there(search, layers, true);
    const uint64_t cheap = search->budget_bytes / KEYS_PARTS / each;
    plan->block_max = (uint32_t)weir_max(
        BLOCKS_LEAST, weir_min(search->budget_bytes / KEYS_PARTS / block, BLOCKS_MOST));
    plan->page_max = (uint32_t)weir_max((uint64_t)plan->table_length + 1,
                                        weir_min(cheap, CONTEXTS * (uint64_t)plan->table_length));
}

/* As many rows of a step as take a small part of what there is. */
static void choose_rows(const struct search *search)
{
    struct weir_gpu_mem mem;
    for (;;) {
        measure(search, &mem);
        if (mem.used_bytes[WEIR_GPU_SCRATCH] <= search->budget_bytes / SCRATCH_PARTS ||
            search->choice->n_chunk / 2 < CHUNK_LEAST)
            return;
        search->choice->n_chunk /= 2;
    }
}

/* All of them; or with room for those that cross, as a prompt wants of what is not there. */
static void choose_experts(const struct search *search)
{
    const uint32_t n_expert = search->blueprint->model->shape.n_expert;
    const uint32_t most = expert_layers(search) * n_expert;
    struct weir_device_plan *plan = &search->choice->device;
    take_experts(search, most);
    if (most == 0 || fits(search))
        return;
    take_experts(search, 0);
    plan->transit_count = (uint32_t)weir_min(WEIR_DEVICE_TRANSIT_MAX, n_expert);
    while (plan->transit_count > 0 && !fits(search))
        plan->transit_count--;
    find_most(search, take_experts, most);
}

static void choose_most(const struct search *search, uint32_t layer_count)
{
    struct weir_device_plan *plan = &search->choice->device;
    take_layers(search, 0);
    plan->has_output =
        weir_device_output_refusal(search->blueprint->model, search->choice->gpu_kind) == NULL;
    plan->has_output = plan->has_output && fits(search);
    find_most(search, take_layers, layer_count);
    if (plan->n_layer == layer_count)
        choose_experts(search);
}

/* What a measurement wants there. */
static enum weir_status choose_asked(const struct search *search,
                                     const struct weir_bench_config *bench, struct weir_err *err)
{
    const struct weir_model *model = search->blueprint->model;
    struct weir_device_plan *plan = &search->choice->device;
    plan->has_output = bench->gpu_has_output;
    plan->copies = (enum weir_device_copies)bench->gpu_copies;
    plan->transit_count = bench->gpu_expert_count >= model->shape.n_expert
                              ? 0
                              : (uint32_t)weir_min(WEIR_DEVICE_TRANSIT_MAX, model->shape.n_expert);
    plan->n_layer = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const bool is_asked = layer >= bench->gpu_first_layer &&
                              layer - bench->gpu_first_layer < bench->gpu_layer_count;
        plan->layers[layer].is_there =
            is_asked &&
            weir_device_refusal(model, layer, search->choice->gpu_kind, search->choice->kv) == NULL;
        plan->n_layer += plan->layers[layer].is_there;
        if (plan->layers[layer].is_there && weir_layer_has_experts(&model->layers[layer]))
            plan->layers[layer].expert_count =
                (uint32_t)weir_min(bench->gpu_expert_count, model->shape.n_expert);
    }
    keep_sharers_together(search);
    return fits(search) ? WEIR_OK
                        : WEIR_FAIL(err, WEIR_ERR_NOMEM,
                                    "the GPU's ceiling of %llu bytes does not hold what is to be "
                                    "there",
                                    (unsigned long long)search->budget_bytes);
}

/* What is asked for of experts that move. */
static enum weir_status choose_moves(const struct weir_config *config,
                                     const struct weir_bench_config *bench,
                                     struct weir_device_plan *plan, struct weir_err *err)
{
    WEIR_TRY(weir_policy_check(bench->gpu_policy, bench->gpu_pool, true, err));
    WEIR_TRY(weir_policy_choose(bench->gpu_policy, bench->gpu_pool, &plan->policy, err));
    static const enum weir_device_moves moves_of[] = {
        [WEIR_GPU_EXPERTS_AUTO] = WEIR_DEVICE_STAY,
        [WEIR_GPU_EXPERTS_STAY] = WEIR_DEVICE_STAY,
        [WEIR_GPU_EXPERTS_DEMAND] = WEIR_DEVICE_DEMAND,
        [WEIR_GPU_EXPERTS_CHEAPEST] = WEIR_DEVICE_CHEAPEST,
    };
    plan->moves = moves_of[bench->gpu_experts];
    if (config->gpu_moves && bench->gpu_experts <= WEIR_GPU_EXPERTS_STAY)
        plan->moves = WEIR_DEVICE_CHEAPEST;
    plan->ahead = (enum weir_device_ahead)bench->gpu_ahead;
    plan->is_serial = (bench->ablation & WEIR_ABLATE_GPU_OVERLAP) != 0;
    plan->pace_bytes_per_s = bench->gpu_pace;
    return WEIR_OK;
}

/* Nobody has said whether experts that are not all there stay: where they may move, they do if that
 * is cheaper. The layout of those that move is another, so it is chosen anew. */
static void choose_unasked(const struct search *search, const struct weir_config *config,
                           const struct weir_bench_config *bench, uint32_t layer_count,
                           struct weir_gpu_plan *gpu_plan)
{
    const struct weir_device_plan before = search->choice->device;
    struct weir_device_plan *plan = &search->choice->device;
    if (config->gpu_moves || bench->gpu_experts != WEIR_GPU_EXPERTS_AUTO ||
        plan->n_layer < layer_count || plan->transit_count == 0)
        return;
    const uint64_t budget_bytes = config->mem_bytes > 0 ? config->mem_bytes : weir_sys_free_bytes();
    if (!weir_moving_pays(search->blueprint, search->choice, bench, budget_bytes, gpu_plan))
        return;
    plan->moves = WEIR_DEVICE_DEMAND;
    choose_experts(search);
    if (plan->transit_count == 0)
        *plan = before;
}

/* Experts cross through places of their own, which all that move need. */
static enum weir_status check_moves(const struct search *search, uint32_t layer_count,
                                    struct weir_err *err)
{
    const struct weir_device_plan *plan = &search->choice->device;
    const uint32_t most = expert_layers(search) * search->blueprint->model->shape.n_expert;
    uint32_t count = 0;
    for (uint32_t layer = 0; layer < search->blueprint->model->shape.n_layer; layer++)
        count += plan->layers[layer].expert_count;
    if (plan->moves == WEIR_DEVICE_STAY || (count == most && plan->n_layer == layer_count) ||
        plan->transit_count > 0)
        return WEIR_OK;
    return WEIR_FAIL(
        err, WEIR_ERR_NOMEM,
        "the GPU's ceiling of %llu bytes (--gpu-mem) has room for %u of %u layers, "
        "and experts that move want all of them there, and room to cross: give more, or let "
        "them stay",
        (unsigned long long)search->budget_bytes, plan->n_layer, layer_count);
}

/* Why layers that would fit are not there: the first reason. */
static void say_refusal(const struct search *search, struct weir_gpu_plan *plan)
{
    const struct weir_model *model = search->blueprint->model;
    const char *why = NULL;
    uint32_t count = 0;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++) {
        const char *found =
            weir_device_refusal(model, layer, search->choice->gpu_kind, search->choice->kv);
        count += found != NULL;
        why = why == NULL ? found : why;
    }
    if (why != NULL)
        snprintf(plan->why, sizeof(plan->why), "%u of %u layers are not on the GPU: %s", count,
                 model->shape.n_layer, why);
}

/* The device, and how much of its memory may be taken. *has: there is one, and it is wanted. */
static enum weir_status find_device(const struct weir_config *config, struct weir_choice *choice,
                                    struct weir_gpu_plan *plan, bool *has, struct weir_err *err)
{
    struct weir_gpu_info info;
    struct weir_err why = {0};
    *has = false;
    choice->gpu_kind = config->gpu == WEIR_ENGINE_GPU_SIM ? WEIR_GPU_SIM : WEIR_GPU_CUDA;
    if ((unsigned)config->gpu > WEIR_ENGINE_GPU_SIM)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "gpu: wanted 0 to %d, found %d", WEIR_ENGINE_GPU_SIM,
                         (int)config->gpu);
    if (config->gpu == WEIR_ENGINE_GPU_OFF)
        return WEIR_OK;
    if (weir_gpu_probe(choice->gpu_kind, 0, &info, &why) != WEIR_OK) {
        snprintf(plan->why, sizeof(plan->why), "%.*s", (int)sizeof(plan->why) - 1, why.text);
        return WEIR_OK;
    }
    const uint64_t reserve_bytes = weir_max(info.total_bytes / RESERVE_PARTS, RESERVE_BYTES_MIN);
    plan->budget_bytes = config->gpu_bytes > 0             ? config->gpu_bytes
                         : info.free_bytes > reserve_bytes ? info.free_bytes - reserve_bytes
                                                           : 0;
    if (plan->budget_bytes > info.free_bytes)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM,
                         "the GPU (%s) has %llu bytes of its memory free, %llu are asked for "
                         "(--gpu-mem)",
                         info.name, (unsigned long long)info.free_bytes,
                         (unsigned long long)plan->budget_bytes);
    snprintf(plan->name, sizeof(plan->name), "%s", info.name);
    *has = true;
    return WEIR_OK;
}

enum weir_status weir_placement_find(const struct weir_blueprint *blueprint,
                                     const struct weir_config *config, uint32_t *n_chunk,
                                     struct weir_choice *choice, struct weir_gpu_plan *plan,
                                     struct weir_err *err)
{
    const struct weir_bench_config bench = weir_bench_of(config);
    struct search search = {.blueprint = blueprint, .choice = choice};
    bool has = false;
    WEIR_TRY(find_device(config, choice, plan, &has, err));
    if (!has)
        return WEIR_OK;
    search.budget_bytes = plan->budget_bytes;
    choice->n_chunk = *n_chunk;
    WEIR_TRY(choose_moves(config, &bench, &choice->device, err));
    const uint32_t layer_count = count_layers(&search);
    choose_pages(&search);
    choose_rows(&search);
    if (bench.gpu_is_placed)
        WEIR_TRY(choose_asked(&search, &bench, err));
    else {
        choose_most(&search, layer_count);
        choose_unasked(&search, config, &bench, layer_count, plan);
    }
    if (weir_choice_has_device(choice))
        WEIR_TRY(check_moves(&search, layer_count, err));
    say_refusal(&search, plan);
    if (!weir_choice_has_device(choice)) {
        memset(&choice->device, 0, sizeof(choice->device));
        plan->name[0] = '\0';
        if (plan->why[0] == '\0')
            snprintf(plan->why, sizeof(plan->why),
                     "the GPU is not used: no layer fits in %llu bytes of its memory (--gpu-mem)",
                     (unsigned long long)plan->budget_bytes);
        return WEIR_OK;
    }
    *n_chunk = choice->n_chunk;
    if (choice->device.n_layer > 0)
        choice->predictor = WEIR_PREDICT_NONE; /* routers there are not asked about others */
    return WEIR_OK;
}

void weir_placement_fill(const struct weir_blueprint *blueprint, const struct weir_choice *choice,
                         struct weir_gpu_plan *plan)
{
    struct weir_choice at = *choice;
    const struct search search = {.blueprint = blueprint, .choice = &at};
    struct weir_gpu_mem mem;
    if (!weir_choice_has_device(choice))
        return;
    plan->planned_bytes = measure(&search, &mem);
    plan->weight_bytes = mem.used_bytes[WEIR_GPU_TRUNK];
    plan->kv_bytes = mem.used_bytes[WEIR_GPU_KV];
    plan->scratch_bytes = mem.used_bytes[WEIR_GPU_SCRATCH];
    plan->expert_bytes = mem.used_bytes[WEIR_GPU_SLOTS];
    plan->n_layer = choice->device.n_layer;
    plan->has_output = choice->device.has_output;
    plan->moves = choice->device.moves != WEIR_DEVICE_STAY && choice->device.transit_count > 0;
    plan->moves_by_time = plan->moves && choice->device.moves == WEIR_DEVICE_CHEAPEST;
    for (uint32_t layer = blueprint->model->shape.n_layer; layer > 0; layer--) {
        plan->n_expert += choice->device.layers[layer - 1].expert_count;
        if (choice->device.layers[layer - 1].is_there)
            plan->layer_first = layer - 1;
    }
}

uint64_t weir_placement_host_bytes(const struct weir_choice *choice,
                                   const struct weir_gpu_mem *gpu_mem)
{
    if (!weir_choice_has_device(choice))
        return 0;
    return choice->gpu_kind == WEIR_GPU_SIM ? weir_gpu_mem_bytes(gpu_mem) + SIMULATION_BYTES
                                            : DRIVER_BYTES;
}
