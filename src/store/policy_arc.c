/* policy_arc.c - adaptive replacement (Megiddo, Modha, FAST 2003, figure 4), a cache for each set.
 *
 * T1 lists records used once lately, T2 those used again. B1 and B2 remember records that left
 * them. target (the paper's p) is how large T1 should be. The paper replaces one page at a time.
 * Here the records of a step cannot be victims, so the list that should give one up may have none:
 * then the victim comes from the other list. */
#include "store/cache.h"

enum list { NOWHERE, T1, T2, B1, B2, LIST_COUNT };

struct set_state {
    uint32_t sizes[LIST_COUNT];
    double target;
    bool gives_t1;  /* which list the next victim should come from */
    bool is_erased; /* the victim leaves no memory behind (case IV, T1 full) */
    enum list next; /* where the record that missed will go */
};

struct arc {
    uint64_t clock;
};

/* Layout of the state: struct arc, set_state[set_count], uint64_t stamps[records], uint8_t
 * lists[]. */
static struct set_state *set_of(const struct weir_cache *cache, uint32_t record)
{
    struct set_state *sets = (struct set_state *)((struct arc *)cache->state + 1);
    return &sets[cache->layers[cache->layer_of[record]].set];
}

static uint64_t *stamps_of(const struct weir_cache *cache)
{
    struct set_state *sets = (struct set_state *)((struct arc *)cache->state + 1);
    return (uint64_t *)(sets + cache->set_count);
}

static uint8_t *lists_of(const struct weir_cache *cache)
{
    return (uint8_t *)(stamps_of(cache) + cache->record_count);
}

static uint64_t state_bytes(const struct weir_cache *cache)
{
    return sizeof(struct arc) + cache->set_count * sizeof(struct set_state) +
           cache->record_count * (sizeof(uint64_t) + sizeof(uint8_t));
}

static void move(struct weir_cache *cache, uint32_t record, enum list to)
{
    struct set_state *set = set_of(cache, record);
    uint8_t *lists = lists_of(cache);
    set->sizes[lists[record]]--;
    set->sizes[to]++;
    lists[record] = (uint8_t)to;
    stamps_of(cache)[record] = ++((struct arc *)cache->state)->clock;
}

/* Forget the least recently used record of a ghost list. */
static void forget_oldest(struct weir_cache *cache, uint32_t of_set, enum list list)
{
    const uint64_t *stamps = stamps_of(cache);
    const uint8_t *lists = lists_of(cache);
    uint32_t oldest = WEIR_NO_RECORD;
    for (uint32_t record = 0; record < cache->record_count; record++)
        if (lists[record] == list && cache->layers[cache->layer_of[record]].set == of_set &&
            (oldest == WEIR_NO_RECORD || stamps[record] < stamps[oldest]))
            oldest = record;
    if (oldest != WEIR_NO_RECORD)
        move(cache, oldest, NOWHERE);
}

static void hit(struct weir_cache *cache, uint32_t record)
{
    move(cache, record, T2); /* case I */
}

static void miss(struct weir_cache *cache, uint32_t record)
{
    struct set_state *set = set_of(cache, record);
    const uint32_t set_index = cache->layers[cache->layer_of[record]].set;
    const uint32_t slots = cache->set_live[set_index];
    const uint32_t *sizes = set->sizes;
    const enum list from = lists_of(cache)[record];
    set->is_erased = false;
    set->next = from == B1 || from == B2 ? T2 : T1;
    if (from == B1) { /* case II */
        const double gain = sizes[B2] > sizes[B1] ? (double)sizes[B2] / sizes[B1] : 1.0;
        set->target = set->target + gain < slots ? set->target + gain : slots;
    } else if (from == B2) { /* case III */
        const double loss = sizes[B1] > sizes[B2] ? (double)sizes[B1] / sizes[B2] : 1.0;
        set->target = set->target > loss ? set->target - loss : 0.0;
    } else if (sizes[T1] + sizes[B1] >= slots) { /* case IV, A; above when slots were retired */
        set->is_erased = sizes[T1] >= slots;
        while (sizes[B1] > 0 && sizes[T1] < slots && sizes[T1] + sizes[B1] >= slots)
            forget_oldest(cache, set_index, B1);
    } else if (sizes[T1] + sizes[T2] + sizes[B1] + sizes[B2] >= 2 * slots) { /* case IV, B */
        forget_oldest(cache, set_index, B2);
    }
    set->gives_t1 =
        set->is_erased || (sizes[T1] > 0 && ((double)sizes[T1] > set->target ||
                                             (from == B2 && (double)sizes[T1] == set->target)));
}

static void leave(struct weir_cache *cache, uint32_t record)
{
    struct set_state *set = set_of(cache, record);
    const bool was_t1 = lists_of(cache)[record] == T1;
    move(cache, record, was_t1 ? (set->is_erased ? NOWHERE : B1) : B2);
    set->is_erased = false; /* it was for the victim of the miss; this one may leave without */
}

static void enter(struct weir_cache *cache, uint32_t record)
{
    move(cache, record, set_of(cache, record)->next);
}

static double value(const struct weir_cache *cache, uint32_t record)
{
    const bool is_t1 = lists_of(cache)[record] == T1;
    const double later = is_t1 == set_of(cache, record)->gives_t1 ? 0.0 : 0x1.0p52;
    return later + (double)stamps_of(cache)[record];
}

#define HOOKS                                                                                      \
    .state_bytes = state_bytes, .hit = hit, .miss = miss, .enter = enter, .leave = leave,          \
    .value = value

const struct weir_policy weir_policy_arc = {
    .name = "arc",
    .about = "adaptive replacement, textbook, in each layer",
    HOOKS,
};

const struct weir_policy weir_policy_fate = {
    .name = "fate",
    .about = "adaptive replacement, the first four layers whole (Fate, arXiv:2502.12224)",
    .is_shallow_first = true,
    HOOKS,
};
