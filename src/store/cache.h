/* cache.h - which record is in which slot, and which one gives its slot up.
 *
 * Records of all layers are numbered through: record r of a layer is first[layer] + r. Slots
 * belong to sets; a layer's records live in the slots of its set. A policy over layers of their
 * own makes a set of each layer, a pool makes one of all layers whose records have the same size.
 * No memory of slots here, and no reads: the store and the replay of traces both decide through
 * this file.
 *
 * A step: weir_cache_begin(), then for each record weir_cache_find(); those there are held with
 * weir_cache_hold(), the others get a slot from weir_cache_claim(); weir_cache_let_go() as each is
 * done with; weir_cache_end(), and when it suits weir_cache_count(). */
#ifndef WEIR_STORE_CACHE_H
#define WEIR_STORE_CACHE_H

#include "base/mem.h"

enum { WEIR_NO_SLOT = UINT32_MAX, WEIR_NO_RECORD = UINT32_MAX };

struct weir_cache;

/* How a policy thinks. Hooks may be NULL; records are numbered through. */
struct weir_policy {
    const char *name;
    const char *about;     /* one sentence */
    bool is_pooled;        /* layers share slots; may be set in a copy of any other ... */
    bool is_shallow_first; /* ... but this: the first layers get all the slots they can use */
    bool needs_future;     /* replay only */
    uint64_t (*state_bytes)(const struct weir_cache *cache);
    void (*hit)(struct weir_cache *cache, uint32_t record);   /* used, and there */
    void (*miss)(struct weir_cache *cache, uint32_t record);  /* used, before a victim is chosen */
    void (*enter)(struct weir_cache *cache, uint32_t record); /* has a slot now */
    void (*leave)(struct weir_cache *cache, uint32_t record); /* gave its slot up */
    void (*end)(struct weir_cache *cache, uint32_t layer);    /* used ones: weir_cache_is_used() */
    /* The smallest goes; ties go to the least recently used, then to the smaller number. */
    double (*value)(const struct weir_cache *cache, uint32_t record);
};

extern const struct weir_policy weir_policy_lru;
extern const struct weir_policy weir_policy_decayed;
extern const struct weir_policy weir_policy_learned;
extern const struct weir_policy weir_policy_arc;
extern const struct weir_policy weir_policy_fate;
extern const struct weir_policy weir_policy_edgemoe;
extern const struct weir_policy weir_policy_belady;

/* By place in the list, or by name; NULL when there is none. */
const struct weir_policy *weir_policy_at(uint32_t index);
const struct weir_policy *weir_policy_find(const char *name);

struct weir_cache_layer {
    uint32_t record_count; /* 0: a layer without records */
    uint32_t set;
};

struct weir_cache_config {
    const struct weir_policy *policy;
    uint32_t layer_count;
    const struct weir_cache_layer *layers; /* copied */
    uint32_t set_count;
    const uint32_t *set_slots; /* [set_count]; copied */
};

enum weir_hold {
    WEIR_HOLD_NONE,    /* a victim, one of the running step only when there is no other */
    WEIR_HOLD_FIRM,    /* never a victim */
    WEIR_HOLD_RETIRED, /* no slot until it is readmitted */
};

struct weir_cache {
    const struct weir_policy *policy;
    uint32_t layer_count, set_count, record_count, slot_count;
    uint32_t record_max;             /* of one layer */
    struct weir_cache_layer *layers; /* [layer_count] */
    uint32_t *first;                 /* [layer_count] number of a layer's record 0 */
    uint32_t *layer_of;              /* [record_count] */
    uint32_t *set_first;             /* [set_count + 1] first slot of each set */
    uint32_t *set_records;           /* [set_count] records that may be in its slots */
    uint32_t *set_empty;             /* [set_count] slots without a record, retired ones apart */
    uint32_t *set_live;              /* [set_count] slots that are not retired */
    uint32_t *slot_of;               /* [record_count] */
    uint32_t *record_in;             /* [slot_count] */
    uint8_t *holds;                  /* [slot_count] enum weir_hold */
    uint64_t *last_steps;            /* [record_count] step of the last use; 0: never */
    uint64_t step;                   /* counts up from 1 */
    uint32_t step_layer;             /* of the running or the last step */
    bool is_counting;                /* a set has, or had, fewer slots than records */
    bool is_count_due;               /* the policy has not counted the last step's uses yet */
    void *state;                     /* the policy's own, zeroed at first */
    const uint32_t *next_use;        /* [record_count] step, for Belady: replay keeps it */
};

/* Ask mem for all of it: counts while PLANNING (cache is then not filled). */
void weir_cache_layout(struct weir_cache *cache, struct weir_mem *mem,
                       const struct weir_cache_config *config);

/* A step of this layer begins: these records (of the layer, distinct) are its own. */
void weir_cache_begin(struct weir_cache *cache, uint32_t layer, const uint32_t *records,
                      uint32_t count);
/* True for the records of the running step. */
bool weir_cache_is_used(const struct weir_cache *cache, uint32_t record);
/* WEIR_NO_SLOT when it has none. */
uint32_t weir_cache_find(const struct weir_cache *cache, uint32_t layer, uint32_t record);
/* A slot for a record that has none, held; *victim is the record that gave it up, or
 * WEIR_NO_RECORD. WEIR_NO_SLOT when every slot of the set is held. */
uint32_t weir_cache_claim(struct weir_cache *cache, uint32_t layer, uint32_t record,
                          uint32_t *victim);
/* The same for a record that may be needed later: never takes a slot from the running step's own
 * records. */
uint32_t weir_cache_claim_ahead(struct weir_cache *cache, uint32_t layer, uint32_t record,
                                uint32_t *victim);
/* True when claim would find a slot without a record. */
bool weir_cache_has_empty(const struct weir_cache *cache, uint32_t layer);
void weir_cache_hold(struct weir_cache *cache, uint32_t slot);
void weir_cache_let_go(struct weir_cache *cache, uint32_t slot);
/* The slot's record never arrived: it is empty again. */
void weir_cache_drop(struct weir_cache *cache, uint32_t slot);
/* Between steps: the slot that is worth least over all sets is no slot any more. A set keeps as
 * many that are not held as a step of step_max records needs. WEIR_NO_SLOT when none may go. */
uint32_t weir_cache_retire(struct weir_cache *cache, uint32_t step_max);
/* A retired slot of the set; WEIR_NO_SLOT when it has none. */
uint32_t weir_cache_find_retired(const struct weir_cache *cache, uint32_t set);
/* The retired slot is an empty slot again. */
void weir_cache_readmit(struct weir_cache *cache, uint32_t slot);
uint32_t weir_cache_set_of(const struct weir_cache *cache, uint32_t slot);
/* Slots of the set that a step of at most step_max records needs, whichever of its layers runs. */
uint32_t weir_cache_fewest(const struct weir_cache *cache, uint32_t set, uint32_t step_max);
/* Assert the promises at the top of cache.c. */
void weir_cache_check(const struct weir_cache *cache);
/* The step is over: nothing is held any more. */
void weir_cache_end(struct weir_cache *cache);
/* The policy counts the uses of the step that is over, unless it has: done by the next call that
 * chooses a slot or begins a step, if not before. As long as every record has had a slot there is
 * nothing to choose and nothing is counted: the first slots to retire are then those used longest
 * ago. From the first retired slot on it counts without a gap, also when all slots are back. */
void weir_cache_count(struct weir_cache *cache);

/* Slots of all layers for a share of their records: the layers' own are whole numbers each, a pool
 * only in all. At least least a layer. */
uint32_t weir_cache_slot_total(const struct weir_policy *policy, double share, uint32_t n_layer,
                               uint32_t least, uint32_t most);
/* Slots of one of n_layer layers when slot_total are dealt: at least least each, at most most. */
uint32_t weir_cache_deal(const struct weir_policy *policy, uint32_t slot_total, uint32_t n_layer,
                         uint32_t index, uint32_t least, uint32_t most);

#endif
