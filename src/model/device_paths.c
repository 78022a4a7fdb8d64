/* device_paths.c - how texts went through the experts: a rival's guess (MoE-Infinity,
 * arXiv:2401.14361, section 4): a table of uses by layer and expert for each text, and of those
 * kept the one at the smallest angle to the running text's says what comes. It is for one text at a
 * time, which begins at position 0. */
#include <math.h>
#include <string.h>

#include "model/device_internal.h"

static uint64_t table_values(const struct weir_device *device)
{
    return (uint64_t)device->shape->n_layer * device->shape->n_expert;
}

void weir_device_paths_layout(struct weir_device *device, struct weir_mem *mem)
{
    if (device->plan.ahead != WEIR_DEVICE_BY_PATH)
        return;
    device->cache.paths.uses =
        weir_take_floats(mem, (WEIR_DEVICE_PATHS + 1) * table_values(device));
    device->cache.paths.nearest = WEIR_DEVICE_PATHS;
}

static float *table_of(const struct weir_device *device, uint32_t path)
{
    return device->cache.paths.uses + path * table_values(device);
}

/* The running text is over: what it used is kept, in place of the oldest. */
static void keep(struct weir_device *device)
{
    struct weir_device_paths *paths = &device->cache.paths;
    float *own = table_of(device, WEIR_DEVICE_PATHS);
    const uint64_t bytes = table_values(device) * sizeof(*own);
    double sum = 0.0;
    for (uint64_t at = 0; at < table_values(device); at++)
        sum += (double)own[at];
    if (sum == 0.0)
        return;
    memcpy(table_of(device, paths->next), own, bytes);
    memset(own, 0, bytes);
    paths->next = (paths->next + 1) % WEIR_DEVICE_PATHS;
    paths->count = (uint32_t)weir_min(paths->count + 1, WEIR_DEVICE_PATHS);
}

static double cosine(const float *one, const float *other, uint64_t count)
{
    double product = 0.0;
    double squares[2] = {0.0, 0.0};
    for (uint64_t at = 0; at < count; at++) {
        product += (double)one[at] * (double)other[at];
        squares[0] += (double)one[at] * (double)one[at];
        squares[1] += (double)other[at] * (double)other[at];
    }
    return squares[0] == 0.0 || squares[1] == 0.0 ? 0.0 : product / sqrt(squares[0] * squares[1]);
}

static void find_nearest(struct weir_device *device)
{
    struct weir_device_paths *paths = &device->cache.paths;
    double best = -1.0;
    paths->nearest = WEIR_DEVICE_PATHS;
    for (uint32_t path = 0; path < paths->count; path++) {
        const double near = cosine(table_of(device, path), table_of(device, WEIR_DEVICE_PATHS),
                                   table_values(device));
        if (near > best) {
            best = near;
            paths->nearest = path;
        }
    }
}

static bool is_first_layer(const struct weir_device *device, uint32_t layer)
{
    for (uint32_t before = 0; before < layer; before++)
        if (device->layers[before].moves)
            return false;
    return true;
}

void weir_device_paths_count(struct weir_forward *forward)
{
    struct weir_device *device = forward->config.device;
    const struct weir_device_cache *cache = &device->cache;
    const uint32_t layer = forward->step.layer_index;
    if (is_first_layer(device, layer)) {
        if (forward->step.rows[0].position == 0)
            keep(device);
        find_nearest(device);
    }
    float *uses = table_of(device, WEIR_DEVICE_PATHS) + (size_t)layer * device->shape->n_expert;
    for (uint32_t at = 0; at < cache->used_count; at++)
        uses[cache->used[at]] += (float)cache->row_counts[at];
}

void weir_device_paths_score(const struct weir_forward *forward, uint32_t layer, float *scores)
{
    const struct weir_device *device = forward->config.device;
    const uint32_t n_expert = device->shape->n_expert;
    const float *uses = table_of(device, device->cache.paths.nearest) + (size_t)layer * n_expert;
    float sum = 0.0f;
    for (uint32_t expert = 0; expert < n_expert; expert++)
        sum += uses[expert];
    for (uint32_t expert = 0; expert < n_expert; expert++)
        scores[expert] = sum > 0.0f ? uses[expert] / sum : 0.0f;
}
