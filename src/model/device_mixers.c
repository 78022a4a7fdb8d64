/* device_mixers.c - scratch of the mixers on a device that are not plain attention. */
#include "base/heap.h"
#include "model/device_internal.h"

static bool has_kind(const struct weir_device *device, enum weir_mixer_kind kind)
{
    for (uint32_t layer = 0; layer < device->shape->n_layer; layer++)
        if (device->plan.layers[layer].is_there &&
            device->config.model->layers[layer].mixer.kind == kind)
            return true;
    return false;
}

static weir_gpu_address take(struct weir_gpu_mem *mem, uint64_t rows, uint64_t values)
{
    const uint64_t bytes = rows * values * sizeof(float);
    return bytes == 0 ? 0 : weir_gpu_alloc(mem, WEIR_GPU_SCRATCH, bytes);
}

static uint64_t query_count(const struct weir_device *device)
{
    return (uint64_t)weir_device_latent_rows(device->shape, device->config.n_chunk) *
           device->shape->n_head;
}

static void layout_latent(struct weir_device *device, struct weir_gpu_mem *mem)
{
    struct weir_device_mixer_scratch *scratch = &device->scratch.mixers;
    const struct weir_latent_shape *shape = &device->shape->latent;
    const uint64_t width = (uint64_t)shape->d_latent + shape->d_turned;
    scratch->low_query = take(mem, device->config.n_chunk, shape->d_query);
    scratch->latent = take(mem, device->config.n_chunk, width);
    scratch->absorbed = take(mem, query_count(device), width);
    scratch->mixed = take(mem, query_count(device), shape->d_latent);
    scratch->head_ids = take(mem, query_count(device), 1);
}

/* Values of a row of layers whose q, k, v and gate come from one matrix; 0: there is none. */
static uint64_t packed_width(const struct weir_device *device)
{
    uint64_t width = 0;
    for (uint32_t layer = 0; layer < device->shape->n_layer; layer++)
        if (device->plan.layers[layer].is_there)
            width = weir_max(width, device->config.model->layers[layer].mixer.delta.packed.rows);
    return width;
}

static void layout_delta(struct weir_device *device, struct weir_gpu_mem *mem)
{
    struct weir_device_mixer_scratch *scratch = &device->scratch.mixers;
    const struct weir_delta_shape *shape = &device->shape->delta;
    const uint64_t n_chunk = device->config.n_chunk;
    scratch->convolved = take(mem, n_chunk,
                              2 * (uint64_t)shape->n_key_head * shape->d_key +
                                  (uint64_t)shape->n_value_head * shape->d_value);
    scratch->packed = take(mem, n_chunk, packed_width(device));
    scratch->beta = take(mem, n_chunk, 2 * (uint64_t)shape->n_value_head);
    scratch->alpha = take(mem, n_chunk, shape->n_value_head);
}

void weir_device_mixers_layout(struct weir_device *device, struct weir_gpu_mem *mem)
{
    device->scratch.mixers.inputs =
        take(mem, device->config.n_chunk,
             device->plan.n_layer == 0
                 ? 0
                 : (uint64_t)device->shape->n_layer * device->shape->d_layer_input);
    if (has_kind(device, WEIR_MIXER_LATENT))
        layout_latent(device, mem);
    if (has_kind(device, WEIR_MIXER_DELTA))
        layout_delta(device, mem);
}

uint64_t weir_device_mixers_workspace(const struct weir_device *device)
{
    const struct weir_shape *shape = device->shape;
    uint64_t bytes = 0;
    for (uint32_t layer = 0; layer < shape->n_layer; layer++) {
        const struct weir_mixer *mixer = &device->config.model->layers[layer].mixer;
        if (!device->plan.layers[layer].is_there || mixer->kind == WEIR_MIXER_DELTA)
            continue;
        const bool is_latent = mixer->kind == WEIR_MIXER_LATENT;
        bytes = weir_max(
            bytes, weir_gpu_attention_bytes(mixer->n_head, is_latent ? 1 : mixer->n_kv_head,
                                            is_latent ? shape->latent.d_latent : mixer->d_value));
    }
    if (!has_kind(device, WEIR_MIXER_LATENT))
        return bytes;
    const uint32_t count = (uint32_t)query_count(device);
    const uint32_t cols = (uint32_t)weir_max(shape->latent.d_plain, shape->latent.d_latent);
    return weir_max(bytes, weir_gpu_workspace_bytes(count, count, cols, shape->n_head));
}

enum weir_status weir_device_mixers_fill(struct weir_device *device, struct weir_err *err)
{
    if (!has_kind(device, WEIR_MIXER_LATENT))
        return WEIR_OK;
    const uint64_t count = query_count(device);
    uint32_t *ids = weir_heap_array(count, sizeof(*ids));
    if (ids == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the numbers of %llu heads",
                         (unsigned long long)count);
    for (uint64_t at = 0; at < count; at++)
        ids[at] = (uint32_t)(at % device->shape->n_head);
    weir_gpu_copy_in(device->gpu, WEIR_GPU_COPY_IN, device->scratch.mixers.head_ids, ids,
                     count * sizeof(*ids));
    const enum weir_status status = weir_gpu_await_all(device->gpu, err);
    weir_heap_free(ids);
    return status;
}
