/* reads.c - records on their way from the device to their slots.
 *
 * I1  A slot's slices are submitted in order, each once; only what was submitted arrives.
 * I2  A slot is READING until its head is there without an error, then READY or LEASED. */
#include <string.h>

#include "store/store_internal.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static const char *const class_names[] = {
    [WEIR_READ_DEMAND] = "demand",    [WEIR_READ_FILL] = "fill",
    [WEIR_READ_AHEAD] = "look-ahead", [WEIR_READ_PROMOTED] = "promoted",
    [WEIR_READ_WARM_UP] = "warm-up",
};

struct weir_layer_state *weir_store_layer_of(struct weir_store *store, uint32_t slot)
{
    return &store->layers[store->slots[slot].layer];
}

/* Where in a slot this slice begins; behind the last one, the slot's end. */
static uint64_t slice_begin(const struct weir_layer_state *layer, uint32_t slice)
{
    return slice < layer->config.slice_count ? layer->slice_at[slice] : layer->slot_bytes;
}

void weir_store_guard_memory(uint8_t *memory, uint64_t bytes, bool is_open)
{
#if defined(__SANITIZE_ADDRESS__)
    if (is_open)
        __asan_unpoison_memory_region(memory, bytes);
    else
        __asan_poison_memory_region(memory, bytes);
#else
    (void)memory;
    (void)bytes;
    (void)is_open;
#endif
}

void weir_store_guard(const struct weir_store *store, uint32_t slot, uint32_t first, uint32_t last,
                      bool is_open)
{
    const struct weir_layer_state *layer = &store->layers[store->slots[slot].layer];
    const uint64_t begin = slice_begin(layer, first);
    if (store->stop != NULL) /* it is open, to whoever else reads it */
        return;
    weir_store_guard_memory(store->slots[slot].memory + begin, slice_begin(layer, last) - begin,
                            is_open);
}

void weir_store_guard_set(const struct weir_store *store, uint32_t set, bool is_open)
{
    const struct weir_cache *cache = &store->cache;
    const uint32_t slot_count = cache->set_first[set + 1] - cache->set_first[set];
    weir_store_guard_memory(store->arenas[set], slot_count * store->slot_bytes[set], is_open);
}

bool weir_store_slot_is_whole(const struct weir_store *store, uint32_t slot)
{
    const struct weir_slot *at = &store->slots[slot];
    const uint32_t slice_count = store->layers[at->layer].config.slice_count;
    return !at->failed && at->arrived == (1u << slice_count) - 1;
}

/* The slot loses its record. In debug builds whoever still reads it, past its lease, then finds
 * nonsense and not the old weights. */
static void spoil(struct weir_store *store, uint32_t slot)
{
    WEIR_ASSERT(store->slots[slot].state == WEIR_SLOT_READY && !store->slots[slot].is_wanted);
#ifndef WEIR_RELEASE
    const struct weir_layer_state *layer = weir_store_layer_of(store, slot);
    weir_store_guard(store, slot, 0, layer->config.slice_count, true);
    memset(store->slots[slot].memory, 0xa5, layer->slot_bytes);
#endif
}

uint32_t weir_store_take_slot(struct weir_store *store, struct weir_layer_state *layer,
                              uint32_t record, enum weir_read_class class)
{
    uint32_t victim;
    const uint32_t slot = class == WEIR_READ_AHEAD
                              ? weir_cache_claim_ahead(&store->cache, layer->index, record, &victim)
                              : weir_cache_claim(&store->cache, layer->index, record, &victim);
    if (slot == WEIR_NO_SLOT)
        return slot;
    struct weir_slot *at = &store->slots[slot];
    if (victim != WEIR_NO_RECORD)
        spoil(store, slot);
    else
        WEIR_ASSERT(at->state == WEIR_SLOT_EMPTY);
    *at = (struct weir_slot){.memory = at->memory,
                             .layer = layer->index,
                             .record = record,
                             .state = WEIR_SLOT_READING,
                             .class = class};
    weir_store_guard(store, slot, 0, layer->config.slice_count, true);
    return slot;
}

bool weir_store_start_read(struct weir_store *store, struct weir_layer_state *layer,
                           uint32_t record, enum weir_read_class class)
{
    const uint32_t slot = weir_store_take_slot(store, layer, record, class);
    if (slot == WEIR_NO_SLOT)
        return false;
    store->slots[slot].is_wanted = true;
    store->step.reading[store->step.reading_count++] = slot;
    return true;
}

/* The first slice of a record was submitted. */
static void count_read(struct weir_store *store, const struct weir_slot *slot)
{
    store->stats.reads++;
    store->stats.ahead_reads += slot->is_ahead;
    store->stats.warm_up_reads += slot->class == WEIR_READ_WARM_UP;
    if (slot->is_ahead || slot->class == WEIR_READ_WARM_UP)
        return;
    const uint32_t count = ++store->step.read_count[slot->record];
    store->stats.step_reads_max = weir_max(store->stats.step_reads_max, count);
}

bool weir_store_submit(struct weir_store *store, uint32_t slot, uint32_t until,
                       uint64_t budget_bytes)
{
    struct weir_slot *at = &store->slots[slot];
    const struct weir_layer_state *layer = weir_store_layer_of(store, slot);
    while (at->submitted < until) {
        const struct weir_slice *slice = &layer->config.slice[at->submitted];
        const struct weir_superset superset = weir_store_superset(slice, at->record);
        const struct weir_read read = {
            .offset = superset.offset,
            .tag = (uint64_t)slot * WEIR_SLICE_MAX + at->submitted,
            .dst = at->memory + layer->slice_at[at->submitted],
            .bytes = superset.bytes,
            .min_bytes = superset.lead_bytes + slice->bytes,
            .file = weir_store_place(slice, at->record).file,
            .label = {class_names[at->class], layer->index, at->record, at->submitted},
        };
        if (store->in_flight_bytes > 0 && store->in_flight_bytes + superset.bytes > budget_bytes)
            return false;
        const bool is_first = store->in_flight_bytes == 0;
        if (!weir_io_queue(store->io, &read))
            return false;
        if (is_first) /* the device begins while the next ones are prepared */
            weir_io_flush(store->io);
        store->in_flight_bytes += superset.bytes;
        store->stats.slice_bytes += slice->bytes;
        store->stats.read_bytes += superset.bytes;
        if (at->submitted++ == 0)
            count_read(store, at);
    }
    return true;
}

/* Slices go to the device in this order: the head of each record, and behind the heads of the next
 * records, so many, its tail. So a token's heads all go before its tails, and its experts can be
 * computed while the tails are being read. A step of more records is long enough for its experts
 * to be computed beside its reads in any order. */
static uint32_t lead_of(const struct weir_store *store)
{
    enum { LEAD_LONG = 2 };
    return store->step.count > store->step_max ? LEAD_LONG : store->step_max;
}

bool weir_store_may_start(const struct weir_store *store)
{
    const struct weir_step *step = &store->step;
    uint32_t count = 0;
    for (uint32_t index = 0; index < step->reading_count; index++) {
        const struct weir_slot *at = &store->slots[step->reading[index]];
        count += at->submitted < store->layers[at->layer].config.slice_count;
    }
    return count < weir_max(lead_of(store), 1);
}

bool weir_store_queue_step(struct weir_store *store)
{
    const struct weir_step *step = &store->step;
    const uint32_t lead = lead_of(store);
    const bool is_long_prompt = step->is_prompt && step->count > store->step_max;
    const uint64_t budget_bytes = is_long_prompt ? store->prompt_budget_bytes : store->budget_bytes;
    for (uint32_t index = 0; index < step->reading_count + lead; index++) {
        if (index < step->reading_count) {
            const uint32_t slot = step->reading[index];
            const uint32_t head_count = weir_store_layer_of(store, slot)->config.head_count;
            if (!weir_store_submit(store, slot, head_count, budget_bytes))
                return false;
        }
        if (index < lead)
            continue;
        const uint32_t slot = step->reading[index - lead];
        const uint32_t slice_count = weir_store_layer_of(store, slot)->config.slice_count;
        if (!weir_store_submit(store, slot, slice_count, budget_bytes))
            return false;
    }
    return true;
}

bool weir_store_submit_step(struct weir_store *store)
{
    const bool is_all = weir_store_queue_step(store);
    weir_io_flush(store->io);
    return is_all;
}

static void keep_failure(struct weir_store *store, const struct weir_io_done *done)
{
    const uint32_t slice = (uint32_t)(done->tag % WEIR_SLICE_MAX);
    const struct weir_slot *slot = &store->slots[done->tag / WEIR_SLICE_MAX];
    const struct weir_slice *at = &store->layers[slot->layer].config.slice[slice];
    const struct weir_superset superset = weir_store_superset(at, slot->record);
    const char *path = weir_io_file_path(store->io, weir_store_place(at, slot->record).file);
    struct weir_err *failure = &store->step.failure;
    if (done->status == WEIR_ERR_FORMAT)
        WEIR_FAIL(failure, WEIR_ERR_FORMAT,
                  "%s ends early: layer %u record %u slice %u: wanted %u bytes at %llu, found %u",
                  path, slot->layer, slot->record, slice, superset.lead_bytes + at->bytes,
                  (unsigned long long)superset.offset, done->bytes);
    else
        WEIR_FAIL_OS(failure, done->os_errno,
                     "read %s: layer %u record %u slice %u: %u bytes at %llu", path, slot->layer,
                     slot->record, slice, superset.bytes, (unsigned long long)superset.offset);
}

static void unlist_reading(struct weir_step *step, uint32_t slot)
{
    uint32_t at = 0;
    while (step->reading[at] != slot)
        at++;
    step->reading_count--;
    memmove(step->reading + at, step->reading + at + 1,
            (step->reading_count - at) * sizeof(step->reading[0]));
}

void weir_store_empty_slot(struct weir_store *store, uint32_t slot)
{
    struct weir_slot *at = &store->slots[slot];
    weir_store_guard(store, slot, 0, weir_store_layer_of(store, slot)->config.slice_count, false);
    weir_cache_drop(&store->cache, slot);
    *at = (struct weir_slot){.memory = at->memory, .record = WEIR_NO_RECORD};
}

void weir_store_drop_reads(struct weir_store *store)
{
    struct weir_step *step = &store->step;
    for (uint32_t index = step->reading_count; index > 0; index--) {
        const uint32_t slot = step->reading[index - 1];
        if (store->slots[slot].submitted > 0)
            continue;
        unlist_reading(step, slot);
        weir_store_empty_slot(store, slot);
    }
}

/* All slices of a slot in step.reading have arrived. */
static void finish_slot(struct weir_store *store, uint32_t slot)
{
    const struct weir_slot *at = &store->slots[slot];
    unlist_reading(&store->step, slot);
    if (at->state == WEIR_SLOT_LEASED)
        return; /* release lets the slot go, or empties it */
    if (at->failed)
        weir_store_empty_slot(store, slot);
    else if (!at->is_wanted)
        weir_cache_let_go(&store->cache, slot); /* released before its tail came */
}

static void take_slice(struct weir_store *store, const struct weir_io_done *done)
{
    const uint32_t slot = (uint32_t)(done->tag / WEIR_SLICE_MAX);
    const uint32_t slice = (uint32_t)(done->tag % WEIR_SLICE_MAX);
    struct weir_slot *at = &store->slots[slot];
    const struct weir_store_layer *config = &store->layers[at->layer].config;
    const uint32_t head = (1u << config->head_count) - 1;
    const uint32_t bytes = weir_store_superset(&config->slice[slice], at->record).bytes;
    const bool is_of_step = at->is_wanted || at->state == WEIR_SLOT_LEASED;
    store->in_flight_bytes -= bytes;
    store->arrived_bytes += bytes;
    weir_store_guard(store, slot, slice, slice + 1, false);
    if (done->status != WEIR_OK) {
        at->failed = true;
        if (is_of_step)
            keep_failure(store, done);
    }
    at->arrived |= (uint16_t)(1u << slice);
    if (at->state == WEIR_SLOT_READING && !at->failed && (at->arrived & head) == head) {
        at->state = WEIR_SLOT_READY;
        if (at->is_wanted)
            store->step.landed[store->step.landed_count++] = slot;
    }
    if (!weir_store_arrived_ahead(store, slot) && at->arrived == (1u << config->slice_count) - 1)
        finish_slot(store, slot);
}

/* Move towards the median of the values, by a fixed factor a value. So a value that is far off,
 * because the machine was busy or the program waited for a text, counts no more than another. */
static void follow(double *middle, double value)
{
    if (*middle == 0.0)
        *middle = value;
    else
        *middle *= value > *middle ? 16.0 / 15.0 : 15.0 / 16.0;
}

/* Measure how long reads of the step are pending, how many bytes arrive in that time, and how long
 * the pauses between are. */
static void note_pending(struct weir_store *store)
{
    struct weir_step *step = &store->step;
    const bool is_pending = step->reading_count > 0;
    if (is_pending == (step->pending_since_ns != 0))
        return;
    const uint64_t now_ns = weir_now_ns();
    if (is_pending) {
        if (step->idle_since_ns != 0)
            follow(&store->pace.idle_ns, (double)(now_ns - step->idle_since_ns));
        step->pending_since_ns = now_ns;
        step->pending_base_bytes = store->arrived_bytes;
        return;
    }
    const uint64_t pending_ns = weir_max(now_ns - step->pending_since_ns, 1);
    const uint64_t bytes = store->arrived_bytes - step->pending_base_bytes;
    follow(&store->pace.bytes_per_ns, (double)bytes / (double)pending_ns);
    store->stats.pending_ns += pending_ns;
    store->stats.pending_bytes += bytes;
    step->pending_since_ns = 0;
    step->idle_since_ns = now_ns;
}

void weir_store_collect(struct weir_store *store, bool wait)
{
    enum { BATCH = 64 };
    struct weir_io_done done[BATCH];
    const uint64_t begin_ns = wait ? weir_now_ns() : 0;
    note_pending(store);
    const uint32_t count = weir_io_reap(store->io, done, BATCH, wait ? -1 : 0);
    for (uint32_t index = 0; index < count; index++)
        take_slice(store, &done[index]);
    note_pending(store);
    if (wait)
        store->stats.wait_ns += weir_now_ns() - begin_ns;
}
