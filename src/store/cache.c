/* cache.c - residency: numbered records, sets of slots, the choice of a victim.
 *
 * I1  slot_of and record_in agree, and a record's slot is one of its layer's set.
 * I2  A held slot is never a victim, so no record is read twice in a step.
 * I3  The records of a running step of one row are victims only when there is no other.
 * I4  A retired slot has no record, and gets none before it is readmitted.
 * I5  set_live counts a set's slots but the retired ones, set_empty those of them without a record.
 * I6  A slot without a record is not held.
 * I7  The policy counts where a set has fewer slots than records. */
#include "store/cache.h"

#include <string.h>

#include "store/store.h"

enum { TABLE_ALIGN = 64 };

static const struct weir_policy *const policies[] = {
    &weir_policy_learned, &weir_policy_decayed, &weir_policy_lru,    &weir_policy_arc,
    &weir_policy_fate,    &weir_policy_edgemoe, &weir_policy_belady,
};

const struct weir_policy *weir_policy_at(uint32_t index)
{
    return index < WEIR_COUNT(policies) ? policies[index] : NULL;
}

const struct weir_policy *weir_policy_find(const char *name)
{
    for (size_t index = 0; index < WEIR_COUNT(policies); index++)
        if (strcmp(policies[index]->name, name) == 0)
            return policies[index];
    return NULL;
}

static void *take(struct weir_mem *mem, uint64_t count, uint64_t each_bytes)
{
    return weir_mem_alloc(mem, WEIR_MEM_SLOTS, count * each_bytes, TABLE_ALIGN);
}

static void number_records(struct weir_cache *cache, const struct weir_cache_config *config)
{
    uint32_t record = 0;
    uint32_t slot = 0;
    for (uint32_t layer = 0; layer < config->layer_count; layer++) {
        cache->layers[layer] = config->layers[layer];
        cache->first[layer] = record;
        if (config->layers[layer].record_count > 0)
            cache->set_records[config->layers[layer].set] += config->layers[layer].record_count;
        for (uint32_t at = 0; at < config->layers[layer].record_count; at++) {
            cache->layer_of[record] = layer;
            cache->slot_of[record++] = WEIR_NO_SLOT;
        }
    }
    for (uint32_t set = 0; set < config->set_count; set++) {
        cache->set_first[set] = slot;
        cache->set_empty[set] = config->set_slots[set];
        cache->set_live[set] = config->set_slots[set];
        cache->is_counting |= config->set_slots[set] < cache->set_records[set];
        slot += config->set_slots[set];
    }
    cache->set_first[config->set_count] = slot;
    for (slot = 0; slot < cache->slot_count; slot++)
        cache->record_in[slot] = WEIR_NO_RECORD;
}

void weir_cache_layout(struct weir_cache *cache, struct weir_mem *mem,
                       const struct weir_cache_config *config)
{
    struct weir_cache made = {.policy = config->policy,
                              .layer_count = config->layer_count,
                              .turn_count =
                                  config->turn_count > 0 ? config->turn_count : config->layer_count,
                              .set_count = config->set_count};
    WEIR_ASSERT(made.layer_count <= 2 * made.turn_count);
    for (uint32_t layer = 0; layer < config->layer_count; layer++) {
        const uint32_t record_count = config->layers[layer].record_count;
        made.record_count += record_count;
        made.record_max = (uint32_t)weir_max(made.record_max, record_count);
    }
    for (uint32_t set = 0; set < config->set_count; set++)
        made.slot_count += config->set_slots[set];
    made.layers = take(mem, made.layer_count, sizeof(*made.layers));
    made.first = take(mem, made.layer_count, sizeof(*made.first));
    made.layer_of = take(mem, made.record_count, sizeof(*made.layer_of));
    made.set_first = take(mem, made.set_count + 1, sizeof(*made.set_first));
    made.set_records = take(mem, made.set_count, sizeof(*made.set_records));
    made.set_empty = take(mem, made.set_count, sizeof(*made.set_empty));
    made.set_live = take(mem, made.set_count, sizeof(*made.set_live));
    made.slot_of = take(mem, made.record_count, sizeof(*made.slot_of));
    made.record_in = take(mem, made.slot_count, sizeof(*made.record_in));
    made.holds = take(mem, made.slot_count, sizeof(*made.holds));
    made.last_steps = take(mem, made.record_count, sizeof(*made.last_steps));
    made.row_counts = take(mem, made.record_max, sizeof(*made.row_counts));
    if (config->policy->state_bytes != NULL)
        made.state = take(mem, 1, config->policy->state_bytes(&made));
    if (mem->phase == WEIR_MEM_PLANNING)
        return;
    number_records(&made, config);
    *cache = made;
}

void weir_cache_begin(struct weir_cache *cache, uint32_t layer, const struct weir_uses *uses)
{
    weir_cache_count(cache);
    cache->step++;
    cache->step_layer = layer;
    cache->step_rows = uses->row_counts == NULL ? 1 : uses->n_row;
    for (uint32_t index = 0; index < uses->count; index++) {
        const uint32_t record = cache->first[layer] + uses->records[index];
        cache->last_steps[record] = cache->step;
        cache->row_counts[uses->records[index]] =
            uses->row_counts == NULL ? 1 : uses->row_counts[index];
        if (cache->slot_of[record] != WEIR_NO_SLOT && cache->policy->hit != NULL)
            cache->policy->hit(cache, record);
    }
    cache->is_settled = cache->step_rows > 1;
    if (cache->is_settled && cache->policy->end != NULL && cache->is_counting)
        cache->policy->end(cache, layer);
}

bool weir_cache_is_used(const struct weir_cache *cache, uint32_t record)
{
    return cache->last_steps[record] == cache->step;
}

uint32_t weir_cache_rows(const struct weir_cache *cache, uint32_t record)
{
    return weir_cache_is_used(cache, record)
               ? cache->row_counts[record - cache->first[cache->step_layer]]
               : 0;
}

/* Others go before it: the running step may still need it. */
static bool is_spared(const struct weir_cache *cache, uint32_t record)
{
    return !cache->is_settled && weir_cache_is_used(cache, record); /* keeps I3 */
}

uint32_t weir_cache_find(const struct weir_cache *cache, uint32_t layer, uint32_t record)
{
    WEIR_ASSERT(record < cache->layers[layer].record_count);
    return cache->slot_of[cache->first[layer] + record];
}

bool weir_cache_has_empty(const struct weir_cache *cache, uint32_t layer)
{
    return cache->set_empty[cache->layers[layer].set] > 0;
}

/* A record that may lose its slot, and what decides whether it does. */
struct victim {
    bool is_spared;
    double value;
    uint64_t last_step;
    uint32_t record;
    uint32_t slot;
};

static struct victim victim_at(const struct weir_cache *cache, uint32_t slot)
{
    const uint32_t record = cache->record_in[slot];
    return (struct victim){.is_spared = is_spared(cache, record),
                           .value = cache->policy->value(cache, record),
                           .last_step = cache->last_steps[record],
                           .record = record,
                           .slot = slot};
}

static bool goes_first(const struct victim *a, const struct victim *b)
{
    if (a->is_spared != b->is_spared)
        return !a->is_spared;
    if (a->value != b->value)
        return a->value < b->value;
    if (a->last_step != b->last_step)
        return a->last_step < b->last_step;
    return a->record < b->record;
}

/* A slot without a record, or else the one whose record goes first. */
static uint32_t choose_slot(const struct weir_cache *cache, uint32_t set)
{
    struct victim best = {.slot = WEIR_NO_SLOT};
    const bool has_empty = cache->set_empty[set] > 0;
    for (uint32_t slot = cache->set_first[set]; slot < cache->set_first[set + 1]; slot++) {
        if (cache->holds[slot] >= WEIR_HOLD_FIRM) /* keeps I2, I4 */
            continue;
        if (cache->record_in[slot] == WEIR_NO_RECORD)
            return slot;
        if (has_empty)
            continue;
        const struct victim victim = victim_at(cache, slot);
        if (best.slot == WEIR_NO_SLOT || goes_first(&victim, &best))
            best = victim;
    }
    return best.slot;
}

/* The set has a slot to claim; when spares_step, not one of a spared record. */
static bool can_claim(const struct weir_cache *cache, uint32_t set, bool spares_step)
{
    for (uint32_t slot = cache->set_first[set]; slot < cache->set_first[set + 1]; slot++)
        if (cache->holds[slot] < WEIR_HOLD_FIRM &&
            (!spares_step || cache->record_in[slot] == WEIR_NO_RECORD ||
             !is_spared(cache, cache->record_in[slot])))
            return true;
    return false;
}

bool weir_cache_is_worth_more(struct weir_cache *cache, uint32_t layer, uint32_t record)
{
    const uint32_t number = cache->first[layer] + record;
    weir_cache_count(cache);
    const uint32_t slot = choose_slot(cache, cache->layers[layer].set);
    if (slot == WEIR_NO_SLOT)
        return false;
    return cache->record_in[slot] == WEIR_NO_RECORD ||
           cache->policy->value(cache, number) >
               cache->policy->value(cache, cache->record_in[slot]);
}

static void vacate(struct weir_cache *cache, uint32_t slot)
{
    const uint32_t record = cache->record_in[slot];
    cache->slot_of[record] = WEIR_NO_SLOT;
    cache->record_in[slot] = WEIR_NO_RECORD;
    cache->holds[slot] = WEIR_HOLD_NONE;
    cache->set_empty[cache->layers[cache->layer_of[record]].set]++;
}

static uint32_t claim(struct weir_cache *cache, uint32_t layer, uint32_t record, bool spares_step,
                      uint32_t *victim)
{
    const uint32_t number = cache->first[layer] + record;
    const uint32_t set = cache->layers[layer].set;
    WEIR_ASSERT(cache->slot_of[number] == WEIR_NO_SLOT);
    weir_cache_count(cache);
    *victim = WEIR_NO_RECORD;
    if (!can_claim(cache, set, spares_step))
        return WEIR_NO_SLOT;
    if (cache->policy->miss != NULL)
        cache->policy->miss(cache, number);
    const uint32_t slot = choose_slot(cache, set);
    WEIR_ASSERT(cache->holds[slot] == WEIR_HOLD_NONE); /* keeps I2 */
    if (cache->record_in[slot] != WEIR_NO_RECORD) {
        *victim = cache->record_in[slot];
        vacate(cache, slot);
        if (cache->policy->leave != NULL)
            cache->policy->leave(cache, *victim);
    }
    cache->slot_of[number] = slot;
    cache->record_in[slot] = number;
    cache->holds[slot] = WEIR_HOLD_FIRM;
    cache->set_empty[set]--;
    if (cache->policy->enter != NULL)
        cache->policy->enter(cache, number);
    return slot;
}

uint32_t weir_cache_claim(struct weir_cache *cache, uint32_t layer, uint32_t record,
                          uint32_t *victim)
{
    return claim(cache, layer, record, false, victim);
}

uint32_t weir_cache_claim_ahead(struct weir_cache *cache, uint32_t layer, uint32_t record,
                                uint32_t *victim)
{
    return claim(cache, layer, record, true, victim);
}

void weir_cache_hold(struct weir_cache *cache, uint32_t slot)
{
    cache->holds[slot] = WEIR_HOLD_FIRM;
}

void weir_cache_let_go(struct weir_cache *cache, uint32_t slot)
{
    cache->holds[slot] = WEIR_HOLD_NONE;
}

void weir_cache_drop(struct weir_cache *cache, uint32_t slot)
{
    const uint32_t record = cache->record_in[slot];
    vacate(cache, slot);
    if (cache->policy->leave != NULL)
        cache->policy->leave(cache, record);
}

uint32_t weir_cache_fewest(const struct weir_cache *cache, uint32_t set, uint32_t step_max)
{
    uint32_t fewest = 1;
    for (uint32_t layer = 0; layer < cache->layer_count; layer++)
        if (cache->layers[layer].set == set)
            fewest =
                (uint32_t)weir_max(fewest, weir_min(step_max, cache->layers[layer].record_count));
    return fewest;
}

/* The set has more slots that are not held than a step needs: look-ahead may hold some. */
static bool may_retire(const struct weir_cache *cache, uint32_t set, uint32_t step_max)
{
    uint32_t count = 0;
    for (uint32_t slot = cache->set_first[set]; slot < cache->set_first[set + 1]; slot++)
        count += cache->holds[slot] < WEIR_HOLD_FIRM;
    return count > weir_cache_fewest(cache, set, step_max);
}

uint32_t weir_cache_retire(struct weir_cache *cache, uint32_t step_max)
{
    struct victim best = {.slot = WEIR_NO_SLOT};
    uint32_t best_set = 0;
    weir_cache_count(cache);
    for (uint32_t set = 0; set < cache->set_count; set++) {
        if (!may_retire(cache, set, step_max))
            continue;
        const uint32_t slot = choose_slot(cache, set);
        const bool is_empty = cache->record_in[slot] == WEIR_NO_RECORD;
        const struct victim victim =
            is_empty ? (struct victim){.slot = slot} : victim_at(cache, slot);
        if (best.slot == WEIR_NO_SLOT || is_empty || goes_first(&victim, &best)) {
            best = victim;
            best_set = set;
        }
        if (is_empty)
            break;
    }
    if (best.slot == WEIR_NO_SLOT)
        return WEIR_NO_SLOT;
    if (cache->record_in[best.slot] != WEIR_NO_RECORD)
        weir_cache_drop(cache, best.slot);
    cache->holds[best.slot] = WEIR_HOLD_RETIRED;
    cache->set_empty[best_set]--;
    cache->set_live[best_set]--;
    cache->is_counting |= cache->set_live[best_set] < cache->set_records[best_set];
    return best.slot;
}

uint32_t weir_cache_find_retired(const struct weir_cache *cache, uint32_t set)
{
    for (uint32_t slot = cache->set_first[set]; slot < cache->set_first[set + 1]; slot++)
        if (cache->holds[slot] == WEIR_HOLD_RETIRED)
            return slot;
    return WEIR_NO_SLOT;
}

void weir_cache_readmit(struct weir_cache *cache, uint32_t slot)
{
    const uint32_t set = weir_cache_set_of(cache, slot);
    WEIR_ASSERT(cache->holds[slot] == WEIR_HOLD_RETIRED); /* keeps I4 */
    cache->holds[slot] = WEIR_HOLD_NONE;
    cache->set_empty[set]++;
    cache->set_live[set]++;
}

static uint32_t turn_of(const struct weir_cache *cache, uint32_t layer)
{
    return layer < cache->turn_count ? layer : layer - cache->turn_count;
}

uint32_t weir_cache_distance(const struct weir_cache *cache, uint32_t record)
{
    const uint32_t own = turn_of(cache, cache->layer_of[record]);
    const uint32_t now = turn_of(cache, cache->step_layer);
    return own > now ? own - now : own + cache->turn_count - now;
}

uint32_t weir_cache_set_of(const struct weir_cache *cache, uint32_t slot)
{
    uint32_t set = 0;
    while (slot >= cache->set_first[set + 1])
        set++;
    return set;
}

void weir_cache_end(struct weir_cache *cache)
{
    cache->is_count_due = cache->policy->end != NULL && cache->is_counting && !cache->is_settled;
}

void weir_cache_count(struct weir_cache *cache)
{
    if (!cache->is_count_due)
        return;
    cache->is_count_due = false;
    cache->policy->end(cache, cache->step_layer);
}

uint32_t weir_cache_slot_total(const struct weir_policy *policy, double share, uint32_t n_layer,
                               uint32_t least, uint32_t most)
{
    /* So that rounding does not make 2 of 0.3 x 10. */
    static const double epsilon = 1e-9;
    const uint32_t n_part = policy->is_pooled ? 1 : n_layer;
    const uint32_t n_whole = n_layer / n_part;
    const uint64_t slots = (uint64_t)(share * most * n_whole + epsilon);
    return (uint32_t)weir_min(weir_max(slots, least * n_whole), most * n_whole) * n_part;
}

uint32_t weir_cache_deal(const struct weir_policy *policy, uint32_t slot_total, uint32_t n_layer,
                         uint32_t index, uint32_t least, uint32_t most)
{
    enum { SHALLOW_LAYERS = 4 };
    if (!policy->is_shallow_first || slot_total <= least * n_layer)
        return slot_total / n_layer + (index < slot_total % n_layer);
    /* Fate, arXiv:2502.12224: the first layers whole, the others evenly (here never below least).
 * */
    uint32_t spare = slot_total - least * n_layer;
    uint32_t whole = (uint32_t)weir_min(most > least ? spare / (most - least) : n_layer, n_layer);
    whole = (uint32_t)weir_min(whole, SHALLOW_LAYERS);
    if (index < whole)
        return most;
    spare -= whole * (most - least);
    const uint32_t others = n_layer - whole;
    const uint32_t place = index - whole;
    return (uint32_t)weir_min(least + spare / others + (place < spare % others), most);
}
