/* device_transit.c - experts that are not on the device go there for the rows of a step: to stay,
 * where experts move and there is a place for them, or no longer than that.
 *
 * Many rows use an expert of a prompt, so that its bytes cross sooner than the CPU computes it. A
 * batch of experts is gathered from the store's slots while the one before crosses, and the one
 * before that is computed with: two halves, here and there, take turns. Those of the most rows go
 * first: the next ones cross while they are computed with.
 *
 * I1  A half here is written when its last copy has passed, one there when the work with it has. */
#include <stdlib.h>
#include <string.h>

#include "model/device_internal.h"
#include "model/network.h"
#include "store/shown.h"

enum { ROWS_MIN = 32 }; /* of prompts: fewer are sooner computed here */

/* The running layer's experts in transit. */
struct transit {
    struct weir_forward *forward;
    struct weir_device_layer *layer;
    struct weir_store_layer view;
    struct weir_lease leases[WEIR_DEVICE_TRANSIT_MAX];
    weir_gpu_address to[WEIR_DEVICE_TRANSIT_MAX];
    uint32_t count;      /* of leases */
    uint32_t stay_count; /* of those, in slots of their own */
    uint32_t half;
    bool prompts_only;
};

static uint32_t prompt_rows(const struct weir_step_view *step)
{
    uint32_t count = 0;
    for (uint32_t run = 0; run < step->n_run; run++)
        count += step->runs[run].phase == WEIR_PROMPT ? step->runs[run].n_row : 0;
    return count;
}

bool weir_device_copies(const struct weir_forward *forward)
{
    const weir_device *device = forward->config.device;
    const uint32_t least = device->plan.copies == WEIR_DEVICE_COPIES_ALWAYS ? 1 : ROWS_MIN;
    return device->plan.transit_count > 0 && device->plan.copies != WEIR_DEVICE_COPIES_NEVER &&
           prompt_rows(&forward->step) >= least;
}

void weir_transit_layout(struct weir_device *device, struct weir_gpu_mem *gpu_mem,
                         struct weir_mem *mem, uint64_t slot_bytes)
{
    struct weir_device_transit *transit = &device->transit;
    const uint64_t n_expert = device->shape->n_expert;
    const uint64_t table_bytes = WEIR_DEVICE_STACKS * n_expert * sizeof(struct weir_gpu_place);
    if (device->plan.transit_count == 0)
        return;
    transit->slot_bytes = slot_bytes;
    transit->table_bytes = weir_align_up(table_bytes, WEIR_GPU_ALIGN);
    const uint64_t half_bytes =
        transit->table_bytes + device->plan.transit_count * transit->slot_bytes;
    for (int half = 0; half < 2; half++) {
        transit->here[half] = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, half_bytes, WEIR_GPU_ALIGN);
        transit->there[half] = weir_gpu_alloc(gpu_mem, WEIR_GPU_SLOTS, half_bytes);
    }
    transit->records = weir_take_indices(mem, n_expert);
    transit->row_counts = weir_take_indices(mem, n_expert);
}

uint64_t weir_transit_slot_at(const struct weir_device_transit *transit, uint32_t place)
{
    return transit->table_bytes + place * transit->slot_bytes;
}

/* Parts of the leases' bytes. */
static void gather(void *user, uint32_t part, uint32_t n_part)
{
    const struct transit *at = user;
    const struct weir_device_transit *to = &at->forward->config.device->transit;
    for (uint32_t place = 0; place < at->count; place++)
        for (uint32_t slice = 0; slice < at->view.slice_count; slice++) {
            uint64_t begin;
            uint64_t end;
            weir_part_range(at->view.slice[slice].bytes, part, n_part, &begin, &end);
            memcpy(to->here[at->half] + weir_transit_slot_at(to, place) +
                       at->layer->slice_at[slice] + begin,
                   at->leases[place].slice[slice] + begin, end - begin);
        }
}

/* Where the batch's experts will be: in slots that they keep, or in the half. */
static void find_places(struct transit *at)
{
    weir_device *device = at->forward->config.device;
    const uint32_t layer = at->forward->step.layer_index;
    at->stay_count = 0;
    for (uint32_t place = 0; place < at->count; place++) {
        const uint32_t expert = at->leases[place].record;
        const bool stays =
            at->layer->moves && weir_device_cache_claim(device, layer, expert, false);
        at->to[place] =
            stays ? weir_device_slot(at->layer, expert)
                  : device->transit.there[at->half] + weir_transit_slot_at(&device->transit, place);
        at->stay_count += stays;
    }
}

static void write_place(const struct transit *at, uint32_t expert, weir_gpu_address to)
{
    const weir_device *device = at->forward->config.device;
    const struct weir_network *network = &at->forward->step.layer->network;
    struct weir_gpu_place *places = (struct weir_gpu_place *)(void *)device->transit.here[at->half];
    for (uint32_t stack = 0; stack < WEIR_DEVICE_STACKS; stack++)
        places[stack * device->shape->n_expert + expert] =
            weir_device_place(at->layer, weir_device_expert_weight(network, (int)stack), to);
}

/* The half's tables: its experts' places, those of the ones that are on their way, and no other. */
static void write_tables(const struct transit *at)
{
    weir_device *device = at->forward->config.device;
    struct weir_device_cache *cache = &device->cache;
    memset(device->transit.here[at->half], 0, device->transit.table_bytes);
    for (uint32_t place = 0; place < at->count; place++)
        write_place(at, at->leases[place].record, at->to[place]);
    /* Copies of one stream pass in their order: when the tables have come, so have these. */
    for (uint32_t index = 0; index < cache->late_count; index++) {
        write_place(at, cache->late[index], weir_device_slot(at->layer, cache->late[index]));
        weir_device_cache_arrive(device, at->forward->step.layer_index, cache->late[index]);
    }
    cache->late_count = 0;
}

/* Tables and leases to where they belong. */
static void copy_batch(const struct transit *at)
{
    weir_device *device = at->forward->config.device;
    const struct weir_device_transit *transit = &device->transit;
    const uint8_t *here = transit->here[at->half];
    const bool is_exposed = weir_store_is_exposed(at->forward->config.store);
    if (at->stay_count == 0 && !is_exposed) { /* all in one piece */
        weir_device_cross(device, transit->there[at->half], here,
                          weir_transit_slot_at(transit, at->count));
        return;
    }
    weir_gpu_copy_in(device->gpu, WEIR_GPU_COPY_IN, transit->there[at->half], here,
                     transit->table_bytes);
    for (uint32_t place = 0; place < at->count; place++) {
        if (is_exposed)
            weir_device_cross_slices(device, at->layer, &at->view, &at->leases[place],
                                     at->to[place]);
        else
            weir_device_cross(device, at->to[place], here + weir_transit_slot_at(transit, place),
                              at->layer->slot_bytes);
        if (weir_device_has_expert(at->layer, at->leases[place].record))
            weir_device_cache_arrive(device, at->forward->step.layer_index,
                                     at->leases[place].record);
    }
}

/* The batch crosses, and is computed with. */
static void send_batch(const struct transit *at)
{
    weir_device *device = at->forward->config.device;
    const struct weir_device_transit *transit = &device->transit;
    const weir_gpu_event came = WEIR_DEVICE_CAME + at->half;
    const weir_gpu_event computed = WEIR_DEVICE_COMPUTED + at->half;
    weir_gpu_address tables[WEIR_DEVICE_STACKS];
    weir_gpu_wait_for(device->gpu, WEIR_GPU_COPY_IN, computed); /* keeps I1 */
    copy_batch(at);
    weir_gpu_record(device->gpu, WEIR_GPU_COPY_IN, came);
    weir_gpu_wait_for(device->gpu, WEIR_GPU_COMPUTE, came);
    for (uint64_t stack = 0; stack < WEIR_DEVICE_STACKS; stack++)
        tables[stack] = transit->there[at->half] +
                        stack * device->shape->n_expert * sizeof(struct weir_gpu_place);
    weir_device_compute(at->forward, at->layer, tables, at->prompts_only);
    weir_gpu_record(device->gpu, WEIR_GPU_COMPUTE, computed);
}

static void release_all(struct transit *at)
{
    for (uint32_t place = 0; place < at->count; place++)
        weir_store_release(at->forward->config.store, &at->leases[place]);
    at->count = 0;
}

/* What is leased goes, once the half is free and the tails are there. */
static enum weir_status finish_batch(struct transit *at, struct weir_err *err)
{
    weir_device *device = at->forward->config.device;
    enum weir_status status =
        weir_gpu_await(device->gpu, WEIR_DEVICE_CAME + at->half, err); /* keeps I1 */
    for (uint32_t place = 0; place < at->count && status == WEIR_OK; place++)
        status = weir_store_tail(at->forward->config.store, &at->leases[place], err);
    if (status == WEIR_OK) {
        if (!weir_store_is_exposed(at->forward->config.store))
            weir_pool_run(at->forward->config.pool, "gather experts", gather, at);
        find_places(at);
        write_tables(at);
        send_batch(at);
        device->stats.copied += at->count;
    }
    if (status == WEIR_OK && device->plan.is_serial)
        status = weir_gpu_await(device->gpu, WEIR_DEVICE_COMPUTED + at->half, err);
    release_all(at);
    at->half = 1 - at->half;
    return status;
}

/* Lease and send every expert of the list. */
static enum weir_status run_leases(struct transit *at, uint32_t left, struct weir_err *err)
{
    weir_store *store = at->forward->config.store;
    const struct weir_device_plan *plan = &at->forward->config.device->plan;
    const uint32_t most = plan->is_serial ? 1 : plan->transit_count;
    for (; left > 0; left--) {
        bool more = false;
        /* Send what we hold rather than wait for what we do not. */
        if (at->count == most || (at->count > 0 && !weir_store_ready(store)))
            WEIR_TRY(finish_batch(at, err));
        WEIR_TRY(weir_store_next(store, &at->leases[at->count], &more, err));
        WEIR_ASSERT(more);
        at->count++;
    }
    return finish_batch(at, err);
}

/* The most rows first; of as many, the smaller number. */
static int compare(const void *left, const void *right)
{
    const uint64_t a = *(const uint64_t *)left;
    const uint64_t b = *(const uint64_t *)right;
    return (a < b) - (a > b);
}

/* Which experts the rows want that are not there, and of how many rows. */
static uint32_t list_experts(const struct transit *at)
{
    const struct weir_forward *forward = at->forward;
    const struct weir_device_transit *transit = &forward->config.device->transit;
    const uint32_t n_used = forward->step.layer->network.n_expert_used;
    const uint32_t *chosen = forward->routing.chosen;
    uint64_t order[WEIR_RECORD_MAX];
    uint32_t count = 0;
    memset(transit->row_counts, 0, forward->shape->n_expert * sizeof(uint32_t));
    for (uint32_t row = 0; row < forward->step.n_row; row++)
        for (uint32_t rank = 0; rank < n_used; rank++)
            transit->row_counts[chosen[row * n_used + rank]] +=
                !at->prompts_only || weir_device_is_prompt(forward, row);
    for (uint32_t expert = 0; expert < forward->shape->n_expert; expert++)
        if (transit->row_counts[expert] > 0 && !weir_device_has_expert(at->layer, expert))
            order[count++] = (uint64_t)transit->row_counts[expert] << 32 | (UINT32_MAX - expert);
    qsort(order, count, sizeof(*order), compare);
    for (uint32_t index = 0; index < count; index++) {
        transit->records[index] = UINT32_MAX - (uint32_t)order[index];
        transit->row_counts[index] = (uint32_t)(order[index] >> 32);
    }
    return count;
}

void weir_device_compute_late(struct weir_forward *forward, struct weir_device_layer *layer)
{
    struct weir_device *device = forward->config.device;
    struct transit at = {.forward = forward, .layer = layer};
    if (device->cache.late_count == 0)
        return;
    /* Keeps I1; that the device is lost is told at the step's next wait. */
    (void)weir_gpu_await(device->gpu, WEIR_DEVICE_CAME, NULL);
    write_tables(&at);
    send_batch(&at);
}

enum weir_status weir_device_run_transit(struct weir_forward *forward,
                                         struct weir_device_layer *layer, bool prompts_only,
                                         struct weir_err *err)
{
    const struct weir_device_transit *transit = &forward->config.device->transit;
    struct transit at = {.forward = forward, .layer = layer, .prompts_only = prompts_only};
    const uint32_t count = list_experts(&at);
    if (count == 0)
        return WEIR_OK;
    WEIR_TRY(weir_device_await_moves(forward->config.device, err)); /* keeps I1 */
    weir_model_store_layer(forward->config.model, forward->step.layer_index, &at.view);
    weir_store_begin(forward->config.store, forward->step.layer_index,
                     &(struct weir_uses){.records = transit->records,
                                         .row_counts = transit->row_counts,
                                         .count = count,
                                         .n_row = forward->step.n_row,
                                         .is_prompt = prompts_only || forward->step.has_prompt});
    const enum weir_status status = run_leases(&at, count, err);
    release_all(&at);
    weir_store_end(forward->config.store);
    return status;
}
