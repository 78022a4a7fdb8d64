/* device_ahead.c - which experts go to a device before they are wanted: rivals to measure with.
 *
 * Fate (arXiv:2502.12224, section 4): the next layer's router is asked with this layer's input, and
 * as many of its likeliest experts go ahead as cross in the time until that layer's own choice. Or
 * by the paths of texts (device_paths.c), further layers counting less. */
#include <math.h>
#include <string.h>

#include "model/device_internal.h"
#include "model/lookahead.h"

enum { LAYERS_AHEAD = 4 }; /* that a path is asked about */

static bool goes_ahead(const struct weir_device *device, uint32_t layer)
{
    return layer < device->shape->n_layer && device->layers[layer].moves;
}

static bool is_prescribed(const struct weir_forward *forward)
{
    return forward->step.runs[0].prescription != NULL;
}

/* The running layer's input is for the next one's router, and rows are few. */
static bool asks(const struct weir_forward *forward)
{
    const struct weir_device *device = forward->config.device;
    return device->plan.ahead == WEIR_DEVICE_BY_GATE && !forward->step.has_prompt &&
           goes_ahead(device, forward->step.layer_index + 1);
}

void weir_device_ask_ahead(struct weir_forward *forward)
{
    const struct weir_device *device = forward->config.device;
    if (!asks(forward) || is_prescribed(forward))
        return;
    const struct weir_device_product product = {
        .w = &device->layers[forward->step.layer_index + 1].router,
        .x = device->scratch.normed,
        .x_stride = forward->shape->d_model,
        .y = device->scratch.guess,
        .y_stride = forward->shape->n_expert};
    weir_device_multiply(forward, &product);
}

void weir_device_bring_guess(const struct weir_forward *forward)
{
    const struct weir_device *device = forward->config.device;
    if (asks(forward) && !is_prescribed(forward))
        weir_gpu_copy_out(device->gpu, WEIR_GPU_COMPUTE, device->returns.guess,
                          device->scratch.guess,
                          (uint64_t)forward->step.n_row * forward->shape->n_expert * sizeof(float));
}

/* Shares of a row's softmax, summed over rows. */
static void score_by_gate(const struct weir_forward *forward, float *scores)
{
    const uint32_t n_expert = forward->shape->n_expert;
    memset(scores, 0, n_expert * sizeof(*scores));
    for (uint32_t row = 0; row < forward->step.n_row; row++) {
        const float *logits = forward->config.device->returns.guess + (size_t)row * n_expert;
        float most = logits[0];
        double sum = 0.0;
        for (uint32_t expert = 1; expert < n_expert; expert++)
            most = logits[expert] > most ? logits[expert] : most;
        for (uint32_t expert = 0; expert < n_expert; expert++)
            sum += exp((double)(logits[expert] - most));
        for (uint32_t expert = 0; expert < n_expert; expert++)
            scores[expert] += (float)(exp((double)(logits[expert] - most)) / sum);
    }
}

/* How many cross in the time that there is: m by time, not constant. */
static uint32_t count_in_time(const struct weir_device *device)
{
    const struct weir_device_cache *cache = &device->cache;
    const double copy_ns = cache->copy_ns_per_byte * (double)device->transit.slot_bytes;
    const double each_ns = cache->gather_ns > copy_ns ? cache->gather_ns : copy_ns;
    if (cache->window_ns == 0.0)
        return 1;
    const double count = cache->window_ns / each_ns;
    return count < WEIR_DEVICE_WISH_MAX ? (uint32_t)count : WEIR_DEVICE_WISH_MAX;
}

/* The likeliest `most` that are not there, of those likely enough. */
static void wish_by_gate(struct weir_forward *forward, uint32_t layer, uint32_t most)
{
    struct weir_device *device = forward->config.device;
    struct weir_device_cache *cache = &device->cache;
    const uint32_t n_used = forward->config.model->layers[layer].network.n_expert_used;
    if (!is_prescribed(forward))
        score_by_gate(forward, cache->scores);
    else if (forward->step.runs[0].prescription->recall == 0.0 ||
             !weir_prescribe_scores(forward, layer, forward->step.n_row, cache->scores))
        return;
    const uint32_t likely =
        (uint32_t)weir_min((uint64_t)2 * n_used * forward->step.n_row, device->shape->n_expert);
    const uint32_t count = weir_rank(cache->scores, device->shape->n_expert, cache->ranked, likely);
    for (uint32_t rank = 0; rank < count && most > 0; rank++) {
        const uint32_t expert = cache->ranked[rank];
        if (cache->scores[expert] <= 0.0f || weir_device_has_expert(&device->layers[layer], expert))
            continue;
        weir_device_wish(device, layer, expert);
        most--;
    }
}

/* Each layer's likeliest, the nearest layer first: priorities fall with the distance so slowly that
 * their order is that of the layers unless the nearer one's are rare. */
static void wish_by_path(struct weir_forward *forward, uint32_t most)
{
    struct weir_device *device = forward->config.device;
    struct weir_device_cache *cache = &device->cache;
    const uint32_t n_expert = device->shape->n_expert;
    double last = (double)INFINITY;
    /* The largest priority below the last one, again and again. */
    for (; most > 0; most--) {
        struct weir_record_name best = {0};
        double best_priority = 0.0;
        for (uint32_t far = 1; far <= LAYERS_AHEAD; far++) {
            const uint32_t layer = forward->step.layer_index + far;
            if (!goes_ahead(device, layer))
                continue;
            weir_device_paths_score(forward, layer, cache->scores);
            for (uint32_t expert = 0; expert < n_expert; expert++) {
                const double priority =
                    (double)cache->scores[expert] * (1.0 - (double)far / device->shape->n_layer);
                if (priority <= best_priority || priority >= last ||
                    weir_device_has_expert(&device->layers[layer], expert))
                    continue;
                best_priority = priority;
                best = (struct weir_record_name){layer, expert};
            }
        }
        if (best_priority == 0.0)
            return;
        weir_device_wish(device, best.layer, best.record);
        last = best_priority;
    }
}

void weir_device_guess(struct weir_forward *forward)
{
    struct weir_device *device = forward->config.device;
    struct weir_device_cache *cache = &device->cache;
    const enum weir_device_ahead by = device->plan.ahead;
    if (by == WEIR_DEVICE_NO_GUESS)
        return;
    if (by == WEIR_DEVICE_BY_PATH)
        weir_device_paths_count(forward);
    cache->wish_count = cache->wish_next = 0; /* what there was no time for is too late */
    cache->window_began_ns = weir_now_ns();
    if (forward->step.has_prompt)
        return;
    if (by == WEIR_DEVICE_BY_PATH)
        wish_by_path(forward, count_in_time(device));
    else if (asks(forward))
        wish_by_gate(forward, forward->step.layer_index + 1, count_in_time(device));
}
