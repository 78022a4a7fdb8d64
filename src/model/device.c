/* device.c - memory of the layers that are on a device, there and here.
 *
 * I1  create asks both memories for the same things in the same order, planning or opening. */
#include "model/device_internal.h"

#include "base/heap.h"
#include "model/branch.h"

enum { PARCEL_ALIGN = 64 };

/* The most that a layer which is there has of each, in values of a row. */
struct widths {
    uint64_t q, k, v, gate, attended, hidden, shared_hidden, most;
};

static void widen(uint64_t *width, uint64_t value)
{
    *width = weir_max(*width, value);
}

static void widen_attention(struct widths *widths, const struct weir_mixer *mixer)
{
    widen(&widths->q, mixer->q.rows);
    widen(&widths->k, (uint64_t)mixer->n_kv_head * mixer->d_head);
    widen(&widths->v, (uint64_t)mixer->n_kv_head * mixer->d_value);
    widen(&widths->gate, mixer->gate.rows);
    widen(&widths->attended, (uint64_t)mixer->n_head * mixer->d_value);
}

static void widen_layer(struct widths *widths, const struct weir_layer *layer)
{
    const struct weir_mixer *mixer = &layer->mixer;
    const struct weir_network *network = &layer->network;
    if (mixer->kind == WEIR_MIXER_ATTENTION)
        widen_attention(widths, mixer);
    if (mixer->kind == WEIR_MIXER_LATENT) {
        widen(&widths->q, (uint64_t)mixer->n_head * mixer->d_head);
        widen(&widths->attended, (uint64_t)mixer->n_head * mixer->d_value);
        widen(&widths->most, mixer->latent.shape.d_query);
    }
    if (mixer->kind == WEIR_MIXER_DELTA) {
        const struct weir_delta_shape *delta = &mixer->delta.shape;
        const uint64_t values = (uint64_t)delta->n_value_head * delta->d_value;
        widen(&widths->q, 2 * (uint64_t)delta->n_key_head * delta->d_key + values);
        widen(&widths->gate, values);
        widen(&widths->attended, values);
    }
    widen(&widths->shared_hidden, weir_max(network->gate.rows, network->shared_gate.rows));
    widen(&widths->shared_hidden, layer->aside.gate.rows);
    widen(&widths->hidden, network->expert_gate.rows * network->n_expert_used);
    widen(&widths->most, weir_max(network->down.cols, network->expert_down.cols));
    widen(&widths->most, weir_max(network->shared_down.cols, widths->attended));
}

static struct widths widths_of(const struct weir_device *device)
{
    struct widths widths = {.most = device->shape->d_model};
    for (uint32_t layer = 0; layer < device->shape->n_layer; layer++)
        if (device->plan.layers[layer].is_there)
            widen_layer(&widths, &device->config.model->layers[layer]);
    widen(&widths.hidden, widths.shared_hidden);
    return widths;
}

static weir_gpu_address take(struct weir_gpu_mem *mem, uint64_t rows, uint64_t values)
{
    const uint64_t bytes = rows * values * sizeof(float);
    return bytes == 0 ? 0 : weir_gpu_alloc(mem, WEIR_GPU_SCRATCH, bytes);
}

static void layout_scratch(struct weir_device *device, struct weir_gpu_mem *mem)
{
    const struct weir_shape *shape = device->shape;
    const struct widths widths = widths_of(device);
    const uint64_t n_chunk = device->config.n_chunk;
    const uint64_t n_assignment = n_chunk * shape->n_expert_used;
    struct weir_device_scratch *scratch = &device->scratch;
    scratch->residual = take(mem, n_chunk, shape->d_model);
    scratch->normed = take(mem, n_chunk, shape->d_model);
    scratch->projected = take(mem, n_chunk, shape->d_model);
    if (weir_model_has_branches(device->config.model))
        scratch->branch = take(mem, n_chunk, shape->d_model);
    scratch->q = take(mem, n_chunk, widths.q);
    scratch->k = take(mem, n_chunk, widths.k);
    scratch->v = take(mem, n_chunk, widths.v);
    scratch->gate = take(mem, n_chunk, widths.gate);
    scratch->attended = take(mem, n_chunk, widths.attended);
    weir_device_mixers_layout(device, mem);
    scratch->hidden_gate = take(mem, n_chunk, widths.hidden);
    scratch->hidden_up = take(mem, n_chunk, widths.hidden);
    scratch->router = take(mem, n_chunk, shape->n_expert);
    if (device->plan.ahead == WEIR_DEVICE_BY_GATE)
        scratch->guess = take(mem, n_chunk, shape->n_expert);
    scratch->chosen = take(mem, n_assignment, 1);
    scratch->weights = take(mem, n_assignment, 1);
    scratch->shared_logit = take(mem, n_chunk, 1);
    scratch->expert_out = take(mem, n_assignment, shape->d_model);
    scratch->arrived = take(mem, n_assignment, shape->d_model);
    scratch->scattered_at = take(mem, n_assignment, 1);
    scratch->logits = take(mem, WEIR_LOGIT_ROWS_MAX, device->plan.has_output ? shape->n_vocab : 0);
    scratch->damage = take(mem, 2, shape->n_layer);
    const uint64_t bytes =
        weir_max(weir_gpu_workspace_bytes((uint32_t)n_chunk, (uint32_t)n_assignment,
                                          (uint32_t)widths.most, shape->n_expert),
                 weir_device_mixers_workspace(device));
    const weir_gpu_address workspace = weir_gpu_alloc(mem, WEIR_GPU_SCRATCH, bytes);
    if (mem->gpu != NULL)
        weir_gpu_workspace_set(mem->gpu, workspace, bytes);
}

static uint64_t reserve(uint64_t *bytes, uint64_t count)
{
    const uint64_t at = *bytes;
    *bytes = weir_align_up(at + count * sizeof(uint32_t), PARCEL_ALIGN);
    return at;
}

/* Where its parts are in a step of so many rows; returns the bytes before the pages. */
static uint64_t cut_parcel(const struct weir_shape *shape, struct weir_device_parcel *parcel,
                           uint64_t n_row)
{
    uint64_t bytes = 0;
    parcel->positions = reserve(&bytes, n_row);
    parcel->table_at = reserve(&bytes, n_row);
    parcel->heat = reserve(&bytes, n_row);
    parcel->run_first = reserve(&bytes, n_row + 1);
    parcel->run_states = reserve(&bytes, shape->delta.n_value_head == 0 ? 0 : 2 * n_row);
    for (int kind = 0; kind < WEIR_ROPE_COUNT; kind++)
        parcel->angles[kind] = reserve(&bytes, n_row * shape->rope[kind].n_rot);
    parcel->pages = bytes;
    return bytes;
}

void weir_device_cut(struct weir_device *device, uint32_t n_row)
{
    (void)cut_parcel(device->shape, &device->parcel, n_row);
}

/* The store's view of a slot, with what each slice has there. */
uint64_t weir_device_slot_bytes(const struct weir_model *model, uint32_t layer, uint64_t *slice_at)
{
    struct weir_store_layer view;
    uint64_t bytes = 0;
    weir_model_store_layer(model, layer, &view);
    for (uint32_t slice = 0; slice < view.slice_count; slice++) {
        if (slice_at != NULL)
            slice_at[slice] = bytes;
        bytes += weir_align_up(view.slice[slice].bytes, WEIR_GPU_ALIGN);
    }
    return bytes;
}

static void layout_crossing(struct weir_device *device, struct weir_gpu_mem *gpu_mem,
                            struct weir_mem *mem)
{
    const struct weir_shape *shape = device->shape;
    const uint64_t n_chunk = device->config.n_chunk;
    struct weir_device_parcel *parcel = &device->parcel;
    uint64_t most_bytes = 0;
    parcel->most_bytes =
        cut_parcel(shape, parcel, n_chunk) + n_chunk * device->plan.table_length * sizeof(uint32_t);
    parcel->here = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, parcel->most_bytes, PARCEL_ALIGN);
    parcel->there = weir_gpu_alloc(gpu_mem, WEIR_GPU_SCRATCH, parcel->most_bytes);
    device->returns.damage = weir_take_indices(mem, 2 * (uint64_t)shape->n_layer);
    device->returns.at = weir_take_indices(mem, n_chunk * shape->n_expert_used);
    device->returns.logits = weir_take_floats(
        mem, device->plan.has_output ? (uint64_t)WEIR_LOGIT_ROWS_MAX * shape->n_vocab : 0);
    device->returns.guess = weir_take_floats(
        mem, device->plan.ahead == WEIR_DEVICE_BY_GATE ? n_chunk * shape->n_expert : 0);
    for (uint32_t layer = 0; layer < shape->n_layer; layer++)
        if (device->plan.layers[layer].is_there &&
            weir_layer_has_experts(&device->config.model->layers[layer]) &&
            (device->plan.layers[layer].expert_count > 0 || device->plan.transit_count > 0))
            most_bytes =
                weir_max(most_bytes, weir_device_slot_bytes(device->config.model, layer, NULL));
    device->returns.slot = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, most_bytes, WEIR_GPU_ALIGN);
    device->skips = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, n_chunk * shape->n_expert_used, 1);
    weir_transit_layout(device, gpu_mem, mem, most_bytes);
}

/* Of latent attention all heads see one key, whose first values are the values too. */
static struct weir_gpu_pages pages_of(const struct weir_device *device,
                                      const struct weir_mixer *mixer)
{
    const struct weir_latent_shape *latent = &mixer->latent.shape;
    const bool is_latent = mixer->kind == WEIR_MIXER_LATENT;
    const uint32_t d_latent = latent->d_latent + latent->d_turned;
    struct weir_gpu_pages pages = {
        .page_length = device->plan.page_length,
        .n_kv_head = is_latent ? 1 : mixer->n_kv_head,
        .d_head = is_latent ? d_latent : mixer->d_head,
        .d_value = is_latent ? latent->d_latent : mixer->d_value,
    };
    pages.page_stride = (uint64_t)pages.n_kv_head * pages.page_length *
                        (pages.d_head + (is_latent ? 0 : pages.d_value));
    return pages;
}

/* Where f16 lies of what attention reads. */
static void set_pages(const struct weir_device *device, const struct weir_mixer *mixer,
                      weir_gpu_address at, struct weir_gpu_pages *pages)
{
    const uint64_t keys = (uint64_t)pages->n_kv_head * pages->page_length * pages->d_head;
    WEIR_ASSERT(device->plan.page_length == pages->page_length);
    pages->k = at;
    pages->v = mixer->kind == WEIR_MIXER_LATENT ? at : at + keys * sizeof(uint16_t);
}

/* In fewer bits a page has as many values, with the scales among them. */
static void layout_keys(const struct weir_device *device, struct weir_gpu_mem *mem,
                        const struct weir_mixer *mixer, struct weir_device_layer *to)
{
    if (mixer->kind == WEIR_MIXER_DELTA || mixer->borrows)
        return;
    to->pages = pages_of(device, mixer);
    if (device->plan.kv == WEIR_KV_F16) {
        const uint64_t bytes = to->pages.page_stride * sizeof(uint16_t);
        set_pages(device, mixer, weir_gpu_alloc(mem, WEIR_GPU_KV, device->plan.page_max * bytes),
                  &to->pages);
        return;
    }
    to->kept = (struct weir_gpu_kept){
        .kv = device->plan.kv,
        .page_bytes = weir_kv_row_bytes(device->plan.kv, to->pages.page_stride)};
    to->kept.base = weir_gpu_alloc(mem, WEIR_GPU_KV, device->plan.page_max * to->kept.page_bytes);
}

/* One layer's pages as f16, for the layer that runs: of all layers that keep theirs in fewer bits.
 */
static void layout_expanded(struct weir_device *device, struct weir_gpu_mem *mem)
{
    uint64_t stride = 0;
    for (uint32_t layer = 0; layer < device->shape->n_layer; layer++) {
        const struct weir_mixer *mixer = &device->config.model->layers[layer].mixer;
        if (device->plan.layers[layer].is_there && mixer->kind != WEIR_MIXER_DELTA)
            stride = weir_max(stride, pages_of(device, mixer).page_stride);
    }
    if (device->plan.kv == WEIR_KV_F16 || stride == 0)
        return;
    const weir_gpu_address at =
        weir_gpu_alloc(mem, WEIR_GPU_KV, device->plan.page_max * stride * sizeof(uint16_t));
    for (uint32_t layer = 0; layer < device->shape->n_layer && device->layers != NULL; layer++) {
        const struct weir_mixer *mixer = &device->config.model->layers[layer].mixer;
        if (device->plan.layers[layer].is_there && mixer->kind != WEIR_MIXER_DELTA)
            set_pages(device, mixer, at, &device->layers[layer].pages);
    }
}

/* Layers that read another's keys and values. */
static void borrow_keys(struct weir_device *device)
{
    for (uint32_t layer = 0; layer < device->shape->n_layer && device->layers != NULL; layer++) {
        const struct weir_mixer *mixer = &device->config.model->layers[layer].mixer;
        if (!device->plan.layers[layer].is_there || !mixer->borrows)
            continue;
        WEIR_ASSERT(device->plan.layers[mixer->keys_layer].is_there);
        device->layers[layer].pages = device->layers[mixer->keys_layer].pages;
        device->layers[layer].kept = device->layers[mixer->keys_layer].kept;
    }
}

/* Slots of one layer, or of a set of them, which its first layer asks for. */
static void layout_slots(const struct weir_device *device, const struct weir_device_sets *sets,
                         struct weir_gpu_mem *mem, uint32_t layer, struct weir_device_layer *to)
{
    if (!weir_layer_has_experts(&device->config.model->layers[layer]))
        return;
    to->slot_bytes = weir_device_slot_bytes(device->config.model, layer, to->slice_at);
    to->expert_count = device->plan.layers[layer].expert_count;
    to->moves = weir_device_layer_moves(device, layer);
    const uint32_t first = to->moves ? sets->first_layer[sets->of[layer]] : layer;
    const uint64_t count = to->moves ? sets->slots[sets->of[layer]] : to->expert_count;
    if (first == layer && count > 0)
        to->slots = weir_gpu_alloc(mem, WEIR_GPU_SLOTS, count * to->slot_bytes);
    else if (first != layer && device->layers != NULL)
        to->slots = device->layers[first].slots;
    const uint64_t table_bytes = weir_device_table_bytes(device->shape);
    const weir_gpu_address tables =
        weir_gpu_alloc(mem, WEIR_GPU_TRUNK, WEIR_DEVICE_STACKS * table_bytes);
    for (uint32_t stack = 0; stack < WEIR_DEVICE_STACKS; stack++)
        to->experts[stack].table = tables + stack * table_bytes;
}

/* Keeps I1. */
static void layout(struct weir_device *device, struct weir_gpu_mem *gpu_mem, struct weir_mem *mem)
{
    struct weir_device_sets sets;
    weir_device_find_sets(device, &sets);
    for (uint32_t layer = 0; layer < device->shape->n_layer; layer++) {
        struct weir_device_layer counted = {0};
        struct weir_device_layer *to = device->layers == NULL ? &counted : &device->layers[layer];
        if (!device->plan.layers[layer].is_there)
            continue;
        weir_device_place_layer(device, gpu_mem, layer, to);
        layout_keys(device, gpu_mem, &device->config.model->layers[layer].mixer, to);
        layout_slots(device, &sets, gpu_mem, layer, to);
    }
    layout_expanded(device, gpu_mem);
    borrow_keys(device);
    weir_device_blocks_layout(device, gpu_mem);
    weir_device_place_output(device, gpu_mem);
    layout_scratch(device, gpu_mem);
    layout_crossing(device, gpu_mem, mem);
    weir_device_cache_layout(device, &sets, mem);
}

static bool is_whole(const struct weir_device *device)
{
    const struct weir_model *model = device->config.model;
    for (uint32_t layer = 0; layer < model->shape.n_layer; layer++)
        if (!device->plan.layers[layer].is_there ||
            (weir_layer_has_experts(&model->layers[layer]) &&
             device->plan.layers[layer].expert_count < model->shape.n_expert))
            return false;
    return device->plan.has_output;
}

/* A model has one at most, in all layers or in some. */
static struct weir_temperature temperature_of(const struct weir_model *model)
{
    uint32_t layer = 0;
    while (layer + 1 < model->shape.n_layer && model->layers[layer].mixer.temperature.scale == 0.0f)
        layer++;
    return model->layers[layer].mixer.temperature;
}

enum weir_status weir_device_create(weir_device **out, const struct weir_device_config *config,
                                    struct weir_gpu_mem *gpu_mem, struct weir_mem *mem,
                                    struct weir_err *err)
{
    struct weir_device plan = {.config = *config,
                               .plan = *config->plan,
                               .gpu = gpu_mem->gpu,
                               .temperature = temperature_of(config->model),
                               .shape = &config->model->shape};
    if (gpu_mem->gpu == NULL) {
        layout(&plan, gpu_mem, mem);
        return WEIR_OK;
    }
    weir_device *device = weir_heap_alloc(sizeof(*device));
    if (device == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the device's layers");
    *device = plan;
    device->layers = weir_heap_array(plan.shape->n_layer, sizeof(*device->layers));
    device->slots_of = weir_heap_array((size_t)plan.shape->n_layer * plan.shape->n_expert,
                                       sizeof(*device->slots_of));
    if (device->layers == NULL || device->slots_of == NULL) {
        weir_device_destroy(&device);
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for %u layers of the device",
                         plan.shape->n_layer);
    }
    layout(device, gpu_mem, mem);
    device->is_whole = is_whole(device);
    const enum weir_status status = weir_device_fill(device, err);
    if (status != WEIR_OK) {
        weir_device_destroy(&device);
        return status;
    }
    *out = device;
    return WEIR_OK;
}

void weir_device_destroy(weir_device **device)
{
    if (*device == NULL)
        return;
    weir_heap_free((*device)->slots_of);
    weir_heap_free((*device)->layers);
    weir_heap_free(*device);
    *device = NULL;
}

/* Where a layer has a page, or a block, and how long it is; 0: the layer has none. */
static weir_gpu_address place_of(const weir_device *device, uint32_t layer, uint32_t number,
                                 uint64_t *bytes)
{
    const struct weir_device_layer *at = &device->layers[layer];
    *bytes = 0;
    if (!device->plan.layers[layer].is_there)
        return 0;
    if (device->config.model->layers[layer].mixer.kind == WEIR_MIXER_DELTA) {
        *bytes = at->delta.state_bytes;
        return weir_device_at(device->blocks.base + number * device->blocks.bytes,
                              at->delta.state_at);
    }
    *bytes = at->kept.base != 0 ? at->kept.page_bytes : at->pages.page_stride * sizeof(uint16_t);
    return (at->kept.base != 0 ? at->kept.base : at->pages.k) + number * *bytes;
}

void weir_device_copy_page(void *user, uint32_t to, uint32_t from)
{
    const weir_device *device = user;
    for (uint32_t layer = 0; layer < device->shape->n_layer; layer++) {
        uint64_t bytes;
        const struct weir_mixer *mixer = &device->config.model->layers[layer].mixer;
        if (mixer->kind == WEIR_MIXER_DELTA || mixer->borrows)
            continue;
        const weir_gpu_address source = place_of(device, layer, from, &bytes);
        if (bytes > 0)
            weir_gpu_copy(device->gpu, WEIR_GPU_COMPUTE, place_of(device, layer, to, &bytes),
                          source, bytes);
    }
}

/* A layer's part of a page lies there as it does here, and so does that of a block. */
void weir_device_carry(void *user, uint32_t layer, uint32_t number, void *here, bool comes)
{
    const weir_device *device = user;
    uint64_t bytes;
    const weir_gpu_address there = place_of(device, layer, number, &bytes);
    if (comes)
        weir_gpu_copy_out(device->gpu, WEIR_GPU_COMPUTE, here, there, bytes);
    else
        weir_gpu_copy_in(device->gpu, WEIR_GPU_COMPUTE, there, here, bytes);
}

bool weir_device_carried(void *user)
{
    const weir_device *device = user;
    weir_gpu_record(device->gpu, WEIR_GPU_COMPUTE, WEIR_DEVICE_EVENT);
    return weir_gpu_await(device->gpu, WEIR_DEVICE_EVENT, NULL) == WEIR_OK;
}

bool weir_device_holds(const weir_device *device, uint32_t layer, uint32_t expert)
{
    return weir_device_has_expert(&device->layers[layer], expert);
}

void weir_device_stats_get(const weir_device *device, struct weir_device_stats *stats)
{
    *stats = device->stats;
}

void weir_device_stats_reset(weir_device *device)
{
    device->stats = (struct weir_device_stats){0};
}
