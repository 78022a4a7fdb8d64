/* device_move.c - single experts go to a device: before a step wants them, or because they are
 * sooner there.
 *
 * Where the device reads the store's slots by itself, it does. Else what crosses is gathered from
 * them into places of the transit's halves, which take turns.
 *
 * I1  A place here is written when its last copy has passed, and the halves' own copies have. */
#include <string.h>

#include "model/device_internal.h"
#include "model/linear.h"
#include "store/shown.h"

enum { MEASURED_COPIES = 4, WARM_COPIES = 2, SPARE_NS_MAX = 20000000 };
/* How much of a new measurement a mean takes; and which share of the time that this thread waits
 * may go to moves that nobody waits for. */
static const double mean_share = 0.1;
static const double spare_share = 0.5;

static void count_mean(double *mean, double value)
{
    *mean = *mean == 0.0 ? value : *mean + mean_share * (value - *mean);
}

void weir_device_count_here(struct weir_device *device, uint32_t count, uint64_t took_ns)
{
    count_mean(&device->cache.compute_ns, (double)took_ns / count);
}

void weir_device_count_wait(struct weir_device *device, uint64_t began_ns)
{
    struct weir_device_cache *cache = &device->cache;
    const uint64_t now_ns = weir_now_ns();
    device->stats.wait_ns += now_ns - began_ns;
    cache->spare_ns += spare_share * (double)(now_ns - began_ns);
    if (cache->spare_ns > SPARE_NS_MAX)
        cache->spare_ns = SPARE_NS_MAX;
    if (cache->window_began_ns > 0)
        count_mean(&cache->window_ns, (double)(now_ns - cache->window_began_ns));
    cache->window_began_ns = 0;
}

void weir_device_cross(struct weir_device *device, weir_gpu_address to, const void *from,
                       uint64_t bytes)
{
    double left = device->cache.pace;
    device->stats.copied_bytes += bytes;
    for (; left > 1.0; left -= 1.0)
        weir_gpu_copy_in(device->gpu, WEIR_GPU_COPY_IN, to, from, bytes);
    /* The last time as much of it as is left of the pace: the first bytes are there already. */
    const uint64_t part = device->cache.pace <= 1.0 ? bytes : (uint64_t)(left * (double)bytes);
    weir_gpu_copy_in(device->gpu, WEIR_GPU_COPY_IN, to, from, weir_min(part, bytes));
}

static uint8_t *place_here(const struct weir_device *device, uint64_t place)
{
    const uint32_t count = device->plan.transit_count;
    return device->transit.here[place / count] +
           weir_transit_slot_at(&device->transit, (uint32_t)(place % count));
}

enum weir_status weir_device_measure_copies(struct weir_device *device, struct weir_err *err)
{
    struct weir_device_cache *cache = &device->cache;
    const uint64_t bytes = device->transit.slot_bytes;
    const weir_gpu_address to =
        device->transit.there[0] + weir_transit_slot_at(&device->transit, 0);
    uint64_t began_ns = 0;
    if ((device->plan.moves == WEIR_DEVICE_STAY && device->plan.pace_bytes_per_s == 0.0) ||
        device->plan.transit_count == 0 || cache->copy_ns_per_byte > 0.0)
        return WEIR_OK;
    for (int copy = 0; copy < WARM_COPIES + MEASURED_COPIES; copy++) {
        if (copy == WARM_COPIES)
            began_ns = weir_now_ns();
        weir_gpu_copy_in(device->gpu, WEIR_GPU_COPY_IN, to, place_here(device, 0), bytes);
        WEIR_TRY(weir_gpu_await_all(device->gpu, err));
    }
    const double ns = (double)weir_max(weir_now_ns() - began_ns, 1);
    cache->copy_ns_per_byte = ns / ((double)bytes * MEASURED_COPIES);
    cache->pace = 1.0;
    if (device->plan.pace_bytes_per_s > 0.0) {
        const double wanted_ns = 1e9 / device->plan.pace_bytes_per_s;
        cache->pace =
            wanted_ns > cache->copy_ns_per_byte ? wanted_ns / cache->copy_ns_per_byte : 1.0;
        cache->copy_ns_per_byte *= cache->pace;
    }
    return WEIR_OK;
}

enum weir_status weir_device_await_moves(struct weir_device *device, struct weir_err *err)
{
    const uint64_t places = 2 * (uint64_t)device->plan.transit_count;
    if (device->cache.turn == 0)
        return WEIR_OK;
    return weir_gpu_await(device->gpu, WEIR_DEVICE_MOVED + (uint32_t)(device->cache.turn % places),
                          err);
}

/* One expert from a lease to its place. */
struct gathering {
    const struct weir_device_layer *layer;
    const struct weir_lease *lease;
    struct weir_store_layer view;
    uint8_t *to;
};

static void gather(void *user, uint32_t part, uint32_t n_part)
{
    const struct gathering *job = user;
    for (uint32_t slice = 0; slice < job->view.slice_count; slice++) {
        uint64_t begin;
        uint64_t end;
        weir_part_range(job->view.slice[slice].bytes, part, n_part, &begin, &end);
        memcpy(job->to + job->layer->slice_at[slice] + begin, job->lease->slice[slice] + begin,
               end - begin);
    }
}

void weir_device_cross_slices(struct weir_device *device, const struct weir_device_layer *layer,
                              const struct weir_store_layer *view, const struct weir_lease *lease,
                              weir_gpu_address to)
{
    for (uint32_t slice = 0; slice < view->slice_count; slice++)
        weir_device_cross(device, to + layer->slice_at[slice], lease->slice[slice],
                          view->slice[slice].bytes);
}

/* The lease's bytes into their place here, and from there across. */
static void gather_and_cross(struct weir_forward *forward, struct gathering *job, uint64_t place)
{
    struct weir_device *device = forward->config.device;
    const weir_gpu_event came =
        WEIR_DEVICE_CAME + (weir_gpu_event)(place / device->plan.transit_count);
    /* Keeps I1; that the device is lost is told at the step's next wait. */
    (void)weir_gpu_await(device->gpu, WEIR_DEVICE_MOVED + (weir_gpu_event)place, NULL);
    (void)weir_gpu_await(device->gpu, came, NULL);
    const uint64_t began_ns = weir_now_ns();
    job->to = place_here(device, place);
    weir_pool_run(forward->config.pool, "gather an expert", gather, job);
    count_mean(&device->cache.gather_ns, (double)(weir_now_ns() - began_ns));
    weir_device_cross(device, weir_device_slot(job->layer, job->lease->record), job->to,
                      job->layer->slot_bytes);
}

bool weir_device_move(struct weir_forward *forward, uint32_t layer, uint32_t expert, bool is_ahead)
{
    struct weir_device *device = forward->config.device;
    struct weir_device_cache *cache = &device->cache;
    const uint64_t turn = cache->turn + 1;
    const uint64_t place = turn % (2 * (uint64_t)device->plan.transit_count);
    const weir_gpu_event moved = WEIR_DEVICE_MOVED + (uint32_t)place;
    struct weir_lease lease;
    struct gathering job = {.layer = &device->layers[layer], .lease = &lease};
    if (!weir_store_show(forward->config.store, layer, expert, &lease))
        return false;
    if (!weir_device_cache_claim(device, layer, expert, is_ahead)) {
        weir_store_hide(forward->config.store, &lease);
        return false;
    }
    weir_model_store_layer(forward->config.model, layer, &job.view);
    if (weir_store_is_exposed(forward->config.store)) {
        (void)weir_gpu_await(device->gpu, moved, NULL); /* of an earlier turn */
        weir_device_cross_slices(device, job.layer, &job.view, &lease,
                                 weir_device_slot(job.layer, expert));
    } else {
        gather_and_cross(forward, &job, place);
    }
    weir_store_hide(forward->config.store, &lease);
    weir_gpu_record(device->gpu, WEIR_GPU_COPY_IN, moved);
    cache->turn = turn;
    cache->turns[(uint64_t)layer * device->shape->n_expert + expert] = turn;
    device->stats.ahead += is_ahead;
    device->stats.copied += !is_ahead;
    return true;
}

/* ---- when there is time ---------------------------------------------------------------------- */

void weir_device_wish(struct weir_device *device, uint32_t layer, uint32_t expert)
{
    struct weir_device_cache *cache = &device->cache;
    if (cache->wish_next == cache->wish_count)
        cache->wish_next = cache->wish_count = 0;
    if (cache->wish_count < WEIR_DEVICE_WISH_MAX)
        cache->wishes[cache->wish_count++] = (struct weir_record_name){layer, expert};
}

/* So few copies are under way that another one, which nobody waits for, is in nobody's way. */
static bool is_link_idle(const struct weir_device *device)
{
    const uint64_t places = 2 * (uint64_t)device->plan.transit_count;
    const uint64_t turn = device->cache.turn;
    return turn < 2 ||
           weir_gpu_has_passed(device->gpu, WEIR_DEVICE_MOVED + (uint32_t)((turn - 1) % places));
}

/* Whether what was computed here instead may cross now, which takes nobody's time. */
static bool has_time(const struct weir_forward *forward)
{
    const struct weir_device_cache *cache = &forward->config.device->cache;
    return is_link_idle(forward->config.device) &&
           (weir_store_is_exposed(forward->config.store) || cache->spare_ns >= cache->gather_ns);
}

/* A guess was bounded by time when it was made. What was computed here is to be worth more than
 * what it takes the place of. */
static bool is_worth_it(struct weir_device *device, const struct weir_record_name *wish)
{
    if (device->layers[wish->layer].slot_of[wish->record] != WEIR_DEVICE_NO_SLOT)
        return false;
    return device->plan.moves != WEIR_DEVICE_CHEAPEST ||
           weir_cache_is_worth_more(&device->cache.cache, wish->layer, wish->record);
}

void weir_device_make_moves(struct weir_forward *forward)
{
    struct weir_device *device = forward->config.device;
    struct weir_device_cache *cache = &device->cache;
    const bool may_wait = device->plan.moves == WEIR_DEVICE_CHEAPEST;
    while (cache->wish_next < cache->wish_count &&
           !weir_gpu_has_passed(device->gpu, WEIR_DEVICE_EVENT)) {
        const struct weir_record_name *wish = &cache->wishes[cache->wish_next];
        const uint64_t began_ns = weir_now_ns();
        if (may_wait && !has_time(forward))
            return;
        cache->wish_next++;
        if (is_worth_it(device, wish) && weir_device_move(forward, wish->layer, wish->record, true))
            cache->spare_ns -= (double)(weir_now_ns() - began_ns);
    }
}

/* ---- where it is sooner ---------------------------------------------------------------------- */

/* How many of `missing` experts should cross, while the others are computed here: the first to be
 * done. */
static uint32_t count_sooner(const struct weir_forward *forward, uint32_t missing)
{
    const struct weir_device *device = forward->config.device;
    const struct weir_device_cache *cache = &device->cache;
    const double copy_ns = cache->copy_ns_per_byte * (double)device->transit.slot_bytes;
    double least_ns = missing * cache->compute_ns;
    uint32_t best = 0;
    const bool is_exposed = weir_store_is_exposed(forward->config.store);
    const double gather_ns = is_exposed ? 0.0 : cache->gather_ns;
    if (cache->compute_ns == 0.0 || (gather_ns == 0.0 && !is_exposed))
        return 0;
    for (uint32_t count = 1; count <= missing; count++) {
        const double here_ns = (missing - count) * cache->compute_ns;
        const double there_ns = count * copy_ns;
        const double all_ns = count * cache->gather_ns + (here_ns > there_ns ? here_ns : there_ns);
        if (all_ns < least_ns) {
            least_ns = all_ns;
            best = count;
        }
    }
    return best;
}

/* The running layer's experts that are not there, those that are worth the most first; their order
 * goes into cache->ranked. */
static uint32_t rank_missing(struct weir_device *device, const struct weir_device_layer *layer,
                             uint32_t index)
{
    struct weir_device_cache *cache = &device->cache;
    const struct weir_policy *policy = cache->cache.policy;
    uint32_t count = 0;
    weir_cache_count(&cache->cache);
    for (uint32_t at = 0; at < cache->used_count; at++) {
        const uint32_t expert = cache->used[at];
        if (weir_device_has_expert(layer, expert))
            continue;
        const uint32_t number = cache->cache.first[index] + expert;
        cache->scores[expert] = (float)policy->value(&cache->cache, number);
        uint32_t place = count++;
        for (; place > 0 && cache->scores[cache->ranked[place - 1]] < cache->scores[expert];
             place--)
            cache->ranked[place] = cache->ranked[place - 1];
        cache->ranked[place] = expert;
    }
    return count;
}

void weir_device_move_cheapest(struct weir_forward *forward, struct weir_device_layer *layer)
{
    struct weir_device *device = forward->config.device;
    struct weir_device_cache *cache = &device->cache;
    const uint32_t index = forward->step.layer_index;
    const uint32_t missing = rank_missing(device, layer, index);
    uint32_t left = count_sooner(forward, missing);
    cache->wish_count = cache->wish_next = 0; /* those of the layer before are older */
    for (uint32_t rank = 0; rank < missing; rank++) {
        const uint32_t expert = cache->ranked[rank];
        if (left > 0 && weir_device_move(forward, index, expert, false)) {
            cache->late[cache->late_count++] = expert;
            left--;
        } else {
            weir_device_wish(device, index, expert);
        }
    }
}
