/* device_load.c - weights go to the device: the trunk's from memory, experts from their files. */
#include "model/device_internal.h"
#include "model/linear.h"

#include <string.h>

/* Where weights are put; what, is the same planning and opening. */
struct placing {
    struct weir_gpu_mem *mem;
    const struct weir_device *device;
};

static weir_gpu_address place_bytes(const struct placing *to, const void *from, uint64_t bytes)
{
    if (bytes == 0)
        return 0;
    const weir_gpu_address at = weir_gpu_alloc(to->mem, WEIR_GPU_TRUNK, bytes);
    if (to->mem->gpu != NULL)
        weir_gpu_copy_in(to->mem->gpu, WEIR_GPU_COPY_IN, at, from, bytes);
    return at;
}

static weir_gpu_address place_vector(const struct placing *to, const struct weir_vector *vector)
{
    return vector->tensor == NULL
               ? 0
               : place_bytes(to, vector->data, vector->rows * vector->cols * sizeof(float));
}

/* Scales of a stack's matrices: a file may have one for all of them. */
static weir_gpu_address place_scales(const struct placing *to, const struct weir_weight *stack)
{
    float values[WEIR_RECORD_MAX];
    if (stack->scale.tensor == NULL || stack->scale.rows * stack->scale.cols > 1)
        return place_vector(to, &stack->scale);
    for (uint64_t index = 0; index < stack->count && to->mem->gpu != NULL; index++)
        values[index] = stack->scale.data[0];
    const weir_gpu_address at = place_bytes(to, values, stack->count * sizeof(*values));
    if (to->mem->gpu != NULL)
        (void)weir_gpu_await_all(to->mem->gpu, NULL); /* the values are read until then */
    return at;
}

struct weir_gpu_form weir_device_form(const struct weir_weight *weight)
{
    return (struct weir_gpu_form){.type = weight->type,
                                  .cols = (uint32_t)weight->cols,
                                  .rows = (uint32_t)weight->rows,
                                  .row_bytes = weight->row_bytes,
                                  .scales = weir_scales_of(weight, NULL, NULL)};
}

/* A matrix of the trunk; of none, nothing. */
static struct weir_gpu_matrix place_matrix(const struct placing *to,
                                           const struct weir_weight *weight)
{
    struct weir_gpu_matrix matrix = {.scale = 1.0f};
    if (weight->cols == 0)
        return matrix;
    matrix.form = weir_device_form(weight);
    matrix.data = place_bytes(to, weight->data, weight->matrix_bytes);
    if (weight->scales.tensor != NULL)
        matrix.scales = place_bytes(to, weight->scales.data, weight->scales.matrix_bytes);
    if (weight->zeros.tensor != NULL)
        matrix.zeros = place_bytes(to, weight->zeros.data, weight->zeros.matrix_bytes);
    matrix.bias = place_vector(to, &weight->bias);
    if (weight->scale.tensor != NULL && to->mem->gpu != NULL)
        matrix.scale = weight->scale.data[0];
    return matrix;
}

/* A row of weights is a matrix too. */
static struct weir_gpu_matrix place_row(const struct placing *to, const struct weir_vector *row)
{
    return (struct weir_gpu_matrix){.form = {.type = WEIR_TYPE_F32,
                                             .cols = (uint32_t)row->cols,
                                             .rows = 1,
                                             .row_bytes = row->cols * sizeof(float)},
                                    .data = place_vector(to, row),
                                    .scale = 1.0f};
}

/* The matrices of heads, each where a product may begin, and the table that says where. */
static void place_heads(const struct placing *to, const struct weir_weight *stack,
                        struct weir_device_stack *heads)
{
    struct weir_gpu_place places[WEIR_GPU_EXPERT_MAX];
    const uint64_t bytes = weir_align_up(stack->matrix_bytes, WEIR_GPU_ALIGN);
    const uint64_t scales_bytes = weir_align_up(stack->scales.matrix_bytes, WEIR_GPU_ALIGN);
    WEIR_ASSERT(stack->count <= WEIR_COUNT(places));
    const weir_gpu_address at = weir_gpu_alloc(to->mem, WEIR_GPU_TRUNK, stack->count * bytes);
    const weir_gpu_address scales_at =
        stack->scales.tensor == NULL
            ? 0
            : weir_gpu_alloc(to->mem, WEIR_GPU_TRUNK, stack->count * scales_bytes);
    for (uint64_t head = 0; head < stack->count && to->mem->gpu != NULL; head++) {
        places[head] =
            (struct weir_gpu_place){.data = at + head * bytes,
                                    .scales = scales_at == 0 ? 0 : scales_at + head * scales_bytes};
        weir_gpu_copy_in(to->mem->gpu, WEIR_GPU_COPY_IN, places[head].data,
                         stack->data + head * stack->stride_bytes, stack->matrix_bytes);
        if (scales_at != 0)
            weir_gpu_copy_in(to->mem->gpu, WEIR_GPU_COPY_IN, places[head].scales,
                             stack->scales.data + head * stack->scales.stride_bytes,
                             stack->scales.matrix_bytes);
    }
    heads->form = weir_device_form(stack);
    heads->table = place_bytes(to, places, stack->count * sizeof(*places));
    if (to->mem->gpu != NULL)
        (void)weir_gpu_await_all(to->mem->gpu, NULL); /* the places are read until then */
}

/* q_up, where there is one, is in q's place. */
static void place_latent(const struct placing *to, const struct weir_mixer *mixer,
                         struct weir_device_layer *layer)
{
    const struct weir_latent *latent = &mixer->latent;
    if (latent->shape.d_query > 0)
        layer->q = place_matrix(to, &latent->q_up);
    layer->latent.q_down = place_matrix(to, &latent->q_down);
    layer->latent.down = place_matrix(to, &latent->down);
    layer->latent.norm = place_vector(to, &latent->norm);
    layer->q_norm = place_vector(to, &latent->q_norm);
    place_heads(to, &latent->absorb, &layer->latent.absorb);
    place_heads(to, &latent->expand, &layer->latent.expand);
}

static void place_delta(const struct placing *to, const struct weir_delta_net *net,
                        struct weir_device_layer *layer)
{
    layer->gate = place_matrix(to, &net->gate);
    layer->out = place_matrix(to, &net->out);
    layer->delta.mixed = place_matrix(to, &net->mixed);
    layer->delta.packed = place_matrix(to, &net->packed);
    layer->delta.beta = place_matrix(to, &net->beta);
    layer->delta.alpha = place_matrix(to, &net->alpha);
    layer->delta.taps = place_vector(to, &net->taps);
    layer->delta.decay = place_vector(to, &net->decay);
    layer->delta.dt_bias = place_vector(to, &net->dt_bias);
    layer->delta.norm = place_vector(to, &net->norm);
}

static void place_mixer(const struct placing *to, const struct weir_mixer *mixer,
                        struct weir_device_layer *layer)
{
    layer->q = place_matrix(to, &mixer->q);
    layer->k = place_matrix(to, &mixer->k);
    layer->v = place_matrix(to, &mixer->v);
    layer->gate = place_matrix(to, &mixer->gate);
    layer->out = place_matrix(to, &mixer->out);
    layer->norm = place_vector(to, &mixer->norm);
    layer->post_norm = place_vector(to, &mixer->post_norm);
    layer->q_norm = place_vector(to, &mixer->q_norm);
    layer->k_norm = place_vector(to, &mixer->k_norm);
    layer->sinks = place_vector(to, &mixer->sinks);
    if (mixer->kind == WEIR_MIXER_LATENT)
        place_latent(to, mixer, layer);
    if (mixer->kind == WEIR_MIXER_DELTA)
        place_delta(to, &mixer->delta, layer);
}

static void place_network(const struct placing *to, const struct weir_network *network,
                          struct weir_device_layer *layer)
{
    const struct weir_weight *const dense[] = {&network->gate, &network->up, &network->down};
    const struct weir_weight *const shared[] = {&network->shared_gate, &network->shared_up,
                                                &network->shared_down};
    const struct weir_weight *const experts[] = {&network->expert_gate, &network->expert_up,
                                                 &network->expert_down};
    layer->network_norm = place_vector(to, &network->norm);
    layer->expert_norm = place_vector(to, &network->expert_norm);
    layer->shared_norm = place_vector(to, &network->shared_norm);
    layer->network_post_norm = place_vector(to, &network->post_norm);
    layer->expert_post_norm = place_vector(to, &network->expert_post_norm);
    layer->shared_post_norm = place_vector(to, &network->shared_post_norm);
    layer->router = place_matrix(to, &network->router);
    layer->selection_bias = place_vector(to, &network->selection_bias);
    layer->shared_router = place_row(to, &network->shared_router);
    for (int stack = 0; stack < WEIR_DEVICE_STACKS; stack++) {
        layer->dense[stack] = place_matrix(to, dense[stack]);
        layer->shared[stack] = place_matrix(to, shared[stack]);
        layer->experts[stack].form = weir_device_form(experts[stack]);
        layer->experts[stack].bias = place_vector(to, &experts[stack]->bias);
        layer->experts[stack].scale = place_scales(to, experts[stack]);
    }
}

void weir_device_place_layer(struct weir_device *device, struct weir_gpu_mem *mem, uint32_t layer,
                             struct weir_device_layer *to)
{
    const struct placing placing = {.mem = mem, .device = device};
    const struct weir_aside *aside = &device->config.model->layers[layer].aside;
    place_mixer(&placing, &device->config.model->layers[layer].mixer, to);
    to->aside_gate = place_matrix(&placing, &aside->gate);
    to->aside_out = place_matrix(&placing, &aside->out);
    to->aside_norm = place_vector(&placing, &aside->norm);
    place_network(&placing, &device->config.model->layers[layer].network, to);
}

void weir_device_place_output(struct weir_device *device, struct weir_gpu_mem *mem)
{
    const struct placing placing = {.mem = mem, .device = device};
    if (!device->plan.has_output)
        return;
    device->output_norm = place_vector(&placing, &device->config.model->output_norm);
    device->output = place_matrix(&placing, &device->config.model->output);
}

/* ---- experts --------------------------------------------------------------------------------- */

const struct weir_weight *weir_device_expert_weight(const struct weir_network *network, int stack)
{
    return stack == WEIR_DEVICE_GATE ? &network->expert_gate
           : stack == WEIR_DEVICE_UP ? &network->expert_up
                                     : &network->expert_down;
}

static weir_gpu_address beside(const struct weir_device_layer *layer, weir_gpu_address slot,
                               const struct weir_scale_stack *stack)
{
    return stack->tensor == NULL ? 0 : slot + layer->slice_at[stack->slice] + stack->lead_bytes;
}

struct weir_gpu_place weir_device_place(const struct weir_device_layer *layer,
                                        const struct weir_weight *weight, weir_gpu_address slot)
{
    return (struct weir_gpu_place){
        .data = slot + layer->slice_at[weight->slice] + weight->lead_bytes,
        .scales = beside(layer, slot, &weight->scales),
        .zeros = beside(layer, slot, &weight->zeros),
    };
}

static void take_slot(struct weir_device *device, uint32_t index, uint32_t *taken, uint32_t expert)
{
    struct weir_device_layer *layer = &device->layers[index];
    if (*taken == layer->expert_count || weir_device_has_expert(layer, expert))
        return;
    if (layer->moves)
        weir_device_cache_put(device, index, expert);
    else
        layer->slot_of[expert] = *taken;
    ++*taken;
}

/* Which experts have the layer's slots: those that are wanted, then the first ones. */
static void deal_slots(struct weir_device *device, uint32_t index)
{
    const struct weir_device_config *config = &device->config;
    struct weir_device_layer *layer = &device->layers[index];
    const uint32_t n_expert = device->shape->n_expert;
    uint32_t taken = 0;
    layer->slot_of = device->slots_of + (size_t)index * n_expert;
    for (uint32_t expert = 0; expert < n_expert; expert++)
        layer->slot_of[expert] = WEIR_DEVICE_NO_SLOT;
    for (uint32_t at = 0; at < config->wanted_count; at++)
        if (config->wanted[at].layer == index && config->wanted[at].record < n_expert)
            take_slot(device, index, &taken, config->wanted[at].record);
    for (uint32_t expert = 0; expert < n_expert; expert++)
        take_slot(device, index, &taken, expert);
}

/* The layer's tables name the slots of its experts. */
static enum weir_status write_tables(struct weir_device *device, uint32_t index,
                                     struct weir_err *err)
{
    const struct weir_network *network = &device->config.model->layers[index].network;
    const struct weir_device_layer *layer = &device->layers[index];
    const uint32_t n_expert = device->shape->n_expert;
    struct weir_gpu_place places[64];
    for (int stack = 0; stack < WEIR_DEVICE_STACKS; stack++)
        for (uint32_t first = 0; first < n_expert && layer->expert_count > 0;
             first += WEIR_COUNT(places)) {
            const uint32_t count = (uint32_t)weir_min(n_expert - first, WEIR_COUNT(places));
            memset(places, 0, sizeof(places));
            for (uint32_t at = 0; at < count; at++)
                if (weir_device_has_expert(layer, first + at))
                    places[at] = weir_device_place(layer, weir_device_expert_weight(network, stack),
                                                   weir_device_slot(layer, first + at));
            weir_gpu_copy_in(device->gpu, WEIR_GPU_COPY_IN,
                             layer->experts[stack].table + first * sizeof(*places), places,
                             count * sizeof(*places));
            WEIR_TRY(weir_gpu_await_all(device->gpu, err));
        }
    return WEIR_OK;
}

/* An expert from its files to its slot. */
static enum weir_status load_expert(struct weir_device *device, uint32_t index, uint32_t expert,
                                    struct weir_err *err)
{
    const struct weir_device_config *config = &device->config;
    const struct weir_device_layer *layer = &device->layers[index];
    struct weir_store_layer view;
    weir_model_store_layer(config->model, index, &view);
    for (uint32_t slice = 0; slice < view.slice_count; slice++) {
        const struct weir_place place = weir_store_place(&view.slice[slice], expert);
        WEIR_TRY(weir_io_read_exact(config->io, place.file, place.offset, view.slice[slice].bytes,
                                    device->returns.slot + layer->slice_at[slice], config->staging,
                                    config->staging_bytes, err));
    }
    weir_gpu_copy_in(device->gpu, WEIR_GPU_COPY_IN, weir_device_slot(layer, expert),
                     device->returns.slot, layer->slot_bytes);
    return weir_gpu_await_all(device->gpu, err);
}

static uint64_t total_bytes(const struct weir_device *device)
{
    uint64_t bytes = 0;
    for (uint32_t layer = 0; layer < device->shape->n_layer; layer++)
        bytes += device->layers[layer].expert_count * device->layers[layer].slot_bytes;
    return bytes;
}

enum weir_status weir_device_fill(struct weir_device *device, struct weir_err *err)
{
    const struct weir_device_config *config = &device->config;
    const uint64_t all_bytes = total_bytes(device);
    uint64_t done_bytes = 0;
    WEIR_TRY(weir_device_mixers_fill(device, err));
    WEIR_TRY(weir_gpu_await_all(device->gpu, err)); /* the trunk is there */
    for (uint32_t index = 0; index < device->shape->n_layer; index++) {
        const struct weir_device_layer *layer = &device->layers[index];
        deal_slots(device, index);
        for (uint32_t expert = 0; expert < device->shape->n_expert; expert++) {
            if (!weir_device_has_expert(layer, expert))
                continue;
            WEIR_TRY(load_expert(device, index, expert, err));
            done_bytes += layer->slot_bytes;
            if (config->progress != NULL &&
                !config->progress(config->progress_user, done_bytes, all_bytes))
                return WEIR_FAIL(err, WEIR_ERR_CANCELLED, "the load was stopped");
        }
        WEIR_TRY(write_tables(device, index, err));
    }
    return WEIR_OK;
}

enum weir_status weir_device_lend(struct weir_device *device, uint32_t layer, uint32_t expert,
                                  struct weir_lease *lease, struct weir_err *err)
{
    const struct weir_device_layer *from = &device->layers[layer];
    WEIR_ASSERT(weir_device_has_expert(from, expert));
    WEIR_TRY(weir_gpu_await_all(device->gpu, err)); /* it may be on its way there */
    weir_gpu_copy_out(device->gpu, WEIR_GPU_COPY_OUT, device->returns.slot,
                      weir_device_slot(from, expert), from->slot_bytes);
    WEIR_TRY(weir_gpu_await_all(device->gpu, err));
    *lease = (struct weir_lease){.record = expert};
    for (uint32_t slice = 0; slice < WEIR_SLICE_MAX; slice++)
        lease->slice[slice] = device->returns.slot + from->slice_at[slice];
    return WEIR_OK;
}
