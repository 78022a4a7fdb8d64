/* device_cache.c - slots on a device whose experts change: who is there, and what its tables say.
 *
 * I1  Whoever is called on COMPUTE reads slots of its layer's chosen experts alone. These are held
 *     until the next layer's choice is known here, which is after that work: so no copy is called
 *     into a slot that is read.
 * I2  The tables there name an expert when its bytes have come, for all that is called after them.
 * I3  A layer's tables are copied from memory of their own, which the layer after the next one
 *     writes again: when it does, the next one's choice was known. */
#include <string.h>

#include "model/device_internal.h"

bool weir_device_layer_moves(const struct weir_device *device, uint32_t layer)
{
    const struct weir_device_plan *plan = &device->plan;
    return plan->moves != WEIR_DEVICE_STAY && plan->layers[layer].is_there &&
           weir_layer_has_experts(&device->config.model->layers[layer]) &&
           plan->layers[layer].expert_count < device->shape->n_expert;
}

static bool is_laid_out_alike(const struct weir_device *device, uint32_t one, uint32_t other)
{
    uint64_t at[2][WEIR_SLICE_MAX] = {0};
    return weir_device_slot_bytes(device->config.model, one, at[0]) ==
               weir_device_slot_bytes(device->config.model, other, at[1]) &&
           memcmp(at[0], at[1], sizeof(at[0])) == 0;
}

void weir_device_find_sets(const struct weir_device *device, struct weir_device_sets *sets)
{
    sets->count = 0;
    for (uint32_t layer = 0; layer < device->shape->n_layer; layer++) {
        uint32_t set = 0;
        if (!weir_device_layer_moves(device, layer))
            continue;
        while (set < sets->count && !(device->plan.policy.is_pooled &&
                                      is_laid_out_alike(device, sets->first_layer[set], layer)))
            set++;
        if (set == sets->count) {
            sets->first_layer[set] = layer;
            sets->slots[set] = 0;
            sets->count++;
        }
        sets->of[layer] = set;
        sets->slots[set] += device->plan.layers[layer].expert_count;
    }
}

static void *take(struct weir_mem *mem, uint64_t count, uint64_t each_bytes)
{
    return weir_mem_alloc(mem, WEIR_MEM_SCRATCH, count * each_bytes, WEIR_GPU_ALIGN);
}

void weir_device_cache_layout(struct weir_device *device, const struct weir_device_sets *sets,
                              struct weir_mem *mem)
{
    struct weir_device_cache *cache = &device->cache;
    struct weir_cache_layer layers[WEIR_LAYER_MAX];
    const uint64_t n_layer = device->shape->n_layer;
    const uint64_t n_expert = device->shape->n_expert;
    uint32_t slot_count = 0;
    if (device->plan.moves == WEIR_DEVICE_STAY)
        return;
    for (uint32_t layer = 0; layer < n_layer; layer++)
        layers[layer] = weir_device_layer_moves(device, layer)
                            ? (struct weir_cache_layer){(uint32_t)n_expert, sets->of[layer]}
                            : (struct weir_cache_layer){0};
    for (uint32_t set = 0; set < sets->count; set++)
        slot_count += sets->slots[set];
    weir_cache_layout(&cache->cache, mem,
                      &(struct weir_cache_config){.policy = &device->plan.policy,
                                                  .layer_count = (uint32_t)n_layer,
                                                  .layers = layers,
                                                  .set_count = sets->count,
                                                  .set_slots = sets->slots});
    cache->table_bytes = WEIR_DEVICE_STACKS * weir_device_table_bytes(device->shape);
    cache->tables = take(mem, n_layer, cache->table_bytes);
    for (int index = 0; index < 2; index++)
        cache->published[index] = take(mem, 1, cache->table_bytes);
    cache->is_stale = take(mem, n_layer, sizeof(*cache->is_stale));
    cache->turns = take(mem, n_layer * n_expert, sizeof(*cache->turns));
    cache->is_ahead = take(mem, n_layer * n_expert, sizeof(*cache->is_ahead));
    cache->held = take(mem, slot_count, sizeof(*cache->held));
    cache->used = take(mem, n_expert, sizeof(*cache->used));
    cache->row_counts = take(mem, n_expert, sizeof(*cache->row_counts));
    cache->late = take(mem, n_expert, sizeof(*cache->late));
    cache->ranked = take(mem, n_expert, sizeof(*cache->ranked));
    cache->scores = take(mem, n_expert, sizeof(*cache->scores));
    weir_device_paths_layout(device, mem);
}

static uint64_t number_of(const struct weir_device *device, uint32_t layer, uint32_t expert)
{
    return (uint64_t)layer * device->shape->n_expert + expert;
}

/* Where the layer's tables will say that the expert is; 0: it is not there. */
static void write_place(struct weir_device *device, uint32_t index, uint32_t expert, bool is_there)
{
    struct weir_device_cache *cache = &device->cache;
    const struct weir_device_layer *layer = &device->layers[index];
    const struct weir_network *network = &device->config.model->layers[index].network;
    uint8_t *table = cache->tables + index * cache->table_bytes;
    for (int stack = 0; stack < WEIR_DEVICE_STACKS; stack++) {
        struct weir_gpu_place *places = (struct weir_gpu_place *)(void *)table;
        places[expert] = is_there
                             ? weir_device_place(layer, weir_device_expert_weight(network, stack),
                                                 weir_device_slot(layer, expert))
                             : (struct weir_gpu_place){0};
        table += weir_device_table_bytes(device->shape);
    }
    cache->is_stale[index] = true;
}

/* The slot is the expert's; whoever had it is gone. */
static void take_over(struct weir_device *device, uint32_t layer, uint32_t expert, uint32_t slot,
                      uint32_t victim)
{
    struct weir_device_cache *cache = &device->cache;
    if (victim != WEIR_NO_RECORD) {
        const uint32_t of = cache->cache.layer_of[victim];
        const uint32_t gone = victim - cache->cache.first[of];
        device->layers[of].slot_of[gone] = WEIR_DEVICE_NO_SLOT;
        cache->turns[number_of(device, of, gone)] = 0;
        cache->is_ahead[number_of(device, of, gone)] = false;
        write_place(device, of, gone, false);
    }
    const uint32_t set = cache->cache.layers[layer].set;
    device->layers[layer].slot_of[expert] = slot - cache->cache.set_first[set];
}

void weir_device_cache_put(struct weir_device *device, uint32_t layer, uint32_t expert)
{
    struct weir_cache *cache = &device->cache.cache;
    uint32_t victim = WEIR_NO_RECORD;
    const uint32_t slot = weir_cache_claim(cache, layer, expert, &victim);
    WEIR_ASSERT(slot != WEIR_NO_SLOT && victim == WEIR_NO_RECORD);
    weir_cache_let_go(cache, slot);
    take_over(device, layer, expert, slot, victim);
    write_place(device, layer, expert, true);
}

bool weir_device_cache_claim(struct weir_device *device, uint32_t layer, uint32_t expert,
                             bool is_ahead)
{
    struct weir_device_cache *cache = &device->cache;
    uint32_t victim = WEIR_NO_RECORD;
    const uint32_t slot = is_ahead ? weir_cache_claim_ahead(&cache->cache, layer, expert, &victim)
                                   : weir_cache_claim(&cache->cache, layer, expert, &victim);
    if (slot == WEIR_NO_SLOT)
        return false;
    take_over(device, layer, expert, slot, victim);
    cache->is_ahead[number_of(device, layer, expert)] = is_ahead;
    if (is_ahead)
        weir_cache_let_go(&cache->cache, slot);
    else
        cache->held[cache->held_count++] = slot; /* keeps I1 */
    return true;
}

void weir_device_cache_arrive(struct weir_device *device, uint32_t layer, uint32_t expert)
{
    device->cache.turns[number_of(device, layer, expert)] = 0;
    write_place(device, layer, expert, true);
}

/* The copy of that turn has passed: its place here is another's, which waited for it, or its event
 * says so. */
static bool has_passed(const struct weir_device *device, uint64_t turn)
{
    const uint64_t places = 2 * (uint64_t)device->plan.transit_count;
    return turn + places <= device->cache.turn ||
           weir_gpu_has_passed(device->gpu, WEIR_DEVICE_MOVED + (uint32_t)(turn % places));
}

void weir_device_cache_publish(struct weir_device *device, uint32_t index)
{
    struct weir_device_cache *cache = &device->cache;
    uint64_t *turns = cache->turns + number_of(device, index, 0);
    for (uint32_t expert = 0; expert < device->shape->n_expert; expert++)
        if (turns[expert] != 0 && has_passed(device, turns[expert]))
            weir_device_cache_arrive(device, index, expert); /* keeps I2 */
    if (!cache->is_stale[index])
        return;
    uint8_t *from = cache->published[cache->published_count++ % 2]; /* keeps I3 */
    memcpy(from, cache->tables + index * cache->table_bytes, cache->table_bytes);
    weir_gpu_copy_in(device->gpu, WEIR_GPU_COMPUTE,
                     device->layers[index].experts[WEIR_DEVICE_GATE].table, from,
                     cache->table_bytes);
    cache->is_stale[index] = false;
}

/* The step's experts of the layer, ascending, and of how many rows each. */
static void list_used(const struct weir_forward *forward, struct weir_device_cache *cache)
{
    const uint32_t n_expert = forward->shape->n_expert;
    const uint64_t count =
        (uint64_t)forward->step.n_row * forward->step.layer->network.n_expert_used;
    memset(cache->row_counts, 0, n_expert * sizeof(*cache->row_counts));
    for (uint64_t index = 0; index < count; index++)
        cache->row_counts[forward->routing.chosen[index]]++;
    cache->used_count = 0;
    for (uint32_t expert = 0; expert < n_expert; expert++)
        if (cache->row_counts[expert] > 0) {
            cache->row_counts[cache->used_count] = cache->row_counts[expert];
            cache->used[cache->used_count++] = expert;
        }
}

void weir_device_cache_let_go(struct weir_device *device)
{
    struct weir_device_cache *cache = &device->cache;
    for (uint32_t index = 0; index < cache->held_count; index++)
        weir_cache_let_go(&cache->cache, cache->held[index]);
    cache->held_count = 0;
}

static void use(struct weir_device *device, const struct weir_device_layer *layer, uint32_t index,
                uint32_t expert)
{
    struct weir_device_cache *cache = &device->cache;
    const uint64_t number = number_of(device, index, expert);
    if (!weir_device_has_expert(layer, expert))
        return;
    const uint32_t slot = weir_cache_find(&cache->cache, index, expert);
    weir_cache_hold(&cache->cache, slot); /* keeps I1 */
    cache->held[cache->held_count++] = slot;
    if (cache->turns[number] != 0)
        cache->late[cache->late_count++] = expert;
    device->stats.ahead_used += cache->is_ahead[number];
    cache->is_ahead[number] = false;
}

void weir_device_cache_begin(struct weir_forward *forward, struct weir_device_layer *layer)
{
    struct weir_device *device = forward->config.device;
    struct weir_device_cache *cache = &device->cache;
    const uint32_t index = forward->step.layer_index;
    const bool is_one = forward->step.n_row == 1;
    weir_device_cache_let_go(device);
    list_used(forward, cache);
    weir_cache_begin(&cache->cache, index,
                     &(struct weir_uses){.records = cache->used,
                                         .row_counts = is_one ? NULL : cache->row_counts,
                                         .count = cache->used_count,
                                         .n_row = forward->step.n_row,
                                         .is_prompt = forward->step.has_prompt});
    cache->late_count = 0;
    for (uint32_t at = 0; at < cache->used_count; at++)
        use(device, layer, index, cache->used[at]);
    device->stats.wanted += cache->used_count;
    device->stats.hits += cache->held_count - cache->late_count;
    device->stats.late += cache->late_count;
}

void weir_device_cache_end(struct weir_forward *forward)
{
    weir_cache_end(&forward->config.device->cache.cache);
}
