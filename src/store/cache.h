/* cache.h - which record is in which slot, and which record loses its slot to another.
 *
 * Records are numbered through all layers: record r of a layer is first[layer] + r. Slots belong
 * to sets, and a record can only be in a slot of its layer's set. Each layer has its own set, but
 * when the policy is pooled, all layers whose records have the same size share one.
 *
 * This file knows slots by number, not their memory, and reads nothing. So the store and the replay
 * of traces decide by the same code.
 *
 * A step calls weir_cache_begin(), and for each record weir_cache_find(). A record that has a slot
 * is held with weir_cache_hold(). Another gets a slot, held, from weir_cache_claim(): an empty one,
 * or that of a victim, the record that the policy values least. After its use each is let go with
 * weir_cache_let_go(). Then come weir_cache_end() and, at a convenient time, weir_cache_count(). */
#ifndef WEIR_STORE_CACHE_H
#define WEIR_STORE_CACHE_H

#include "base/mem.h"

enum { WEIR_NO_SLOT = UINT32_MAX, WEIR_NO_RECORD = UINT32_MAX };

struct weir_cache;
struct weir_uses; /* store/store.h */

/* How much a record was used; a number as in struct weir_cache. */
struct weir_cache_share {
    uint32_t record;
    float share;
};

/* How to choose victims. The functions are told what happens to records; any but value may be NULL.
 * Records are numbers as in struct weir_cache. */
struct weir_policy {
    const char *name;
    const char *about;     /* one sentence */
    bool is_pooled;        /* layers share slots; a copy of a policy may change this, ... */
    bool is_shallow_first; /* ... unless this is set: the first layers get slots for all records */
    bool needs_future;     /* replay only */
    uint64_t (*state_bytes)(const struct weir_cache *cache);
    void (*hit)(struct weir_cache *cache, uint32_t record); /* used, and has a slot */
    void (*miss)(struct weir_cache *cache,
                 uint32_t record); /* will get a slot: before the choice */
    void (*enter)(struct weir_cache *cache, uint32_t record); /* has got a slot */
    void (*leave)(struct weir_cache *cache, uint32_t record); /* has lost its slot */
    void (*end)(struct weir_cache *cache, uint32_t layer);    /* count uses: weir_cache_is_used() */
    /* What it has counted, for a cache that begins later: of its layer's rows, the share that used
     * the record; and before the first step, what an earlier one had counted. Both or neither. */
    double (*share)(const struct weir_cache *cache, uint32_t record);
    void (*recall)(struct weir_cache *cache, const struct weir_cache_share *shares, uint32_t count);
    /* The smallest is the victim; of equals the least recently used, then the smaller number. */
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
    uint32_t turn_count;                   /* as in struct weir_cache; 0: layer_count */
    const struct weir_cache_layer *layers; /* copied */
    uint32_t set_count;
    const uint32_t *set_slots; /* [set_count]; copied */
};

enum weir_hold {
    WEIR_HOLD_NONE,    /* its record may be a victim */
    WEIR_HOLD_FIRM,    /* its record is not a victim */
    WEIR_HOLD_RETIRED, /* not in use until it is readmitted */
};

struct weir_cache {
    const struct weir_policy *policy;
    uint32_t layer_count, set_count, record_count, slot_count;
    uint32_t turn_count; /* after so many layers the first comes again; l + turn_count: with l */
    uint32_t record_max; /* of one layer */
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
    uint32_t step_rows;              /* the same */
    uint32_t *row_counts;            /* [record_max] the same: rows that use each record, if any */
    bool is_counting;                /* a set has, or had, fewer slots than records */
    bool is_count_due;               /* the policy has not counted the last step's uses yet */
    bool is_settled;                 /* it counted them when the step began */
    void *state;                     /* the policy's own, zeroed at first */
    const uint32_t *next_use;        /* [record_count] step, for Belady: replay keeps it */
};

/* Allocate from mem. While PLANNING this only counts, and cache is not written. */
void weir_cache_layout(struct weir_cache *cache, struct weir_mem *mem,
                       const struct weir_cache_config *config);

/* A step of this layer begins. When it has several rows its uses count at once: it may go over more
 * records than there are slots, and those that are computed and will probably not be used by the
 * next step are the first that should make room. */
void weir_cache_begin(struct weir_cache *cache, uint32_t layer, const struct weir_uses *uses);
/* True for the records of the running step, or of the last one when none runs. */
bool weir_cache_is_used(const struct weir_cache *cache, uint32_t record);
/* How many rows of that step use the record. */
uint32_t weir_cache_rows(const struct weir_cache *cache, uint32_t record);
/* WEIR_NO_SLOT when it has none. */
uint32_t weir_cache_find(const struct weir_cache *cache, uint32_t layer, uint32_t record);
/* A slot for a record that has none, held. *victim is the record that lost it, or WEIR_NO_RECORD.
 * Records of a running step of one row are victims only when there is no other. WEIR_NO_SLOT when
 * every slot of the set is held. */
uint32_t weir_cache_claim(struct weir_cache *cache, uint32_t layer, uint32_t record,
                          uint32_t *victim);
/* The same for a record that is read ahead: a record of a running step of one row is never the
 * victim. */
uint32_t weir_cache_claim_ahead(struct weir_cache *cache, uint32_t layer, uint32_t record,
                                uint32_t *victim);
/* Whether the record, which has no slot, is worth more to the policy than what it would take the
 * place of; an empty slot is worth nothing. False also where every slot of the set is held. */
bool weir_cache_is_worth_more(struct weir_cache *cache, uint32_t layer, uint32_t record);
/* True when the layer's set has an empty slot. */
bool weir_cache_has_empty(const struct weir_cache *cache, uint32_t layer);
void weir_cache_hold(struct weir_cache *cache, uint32_t slot);
void weir_cache_let_go(struct weir_cache *cache, uint32_t slot);
/* The slot loses its record: it is empty. */
void weir_cache_drop(struct weir_cache *cache, uint32_t slot);
/* Between steps: retire an empty slot, or of all sets the one whose record goes first. A set keeps
 * as many slots that are not held as a step needs (weir_cache_fewest). WEIR_NO_SLOT when no slot
 * may go. */
uint32_t weir_cache_retire(struct weir_cache *cache, uint32_t step_max);
/* A retired slot of the set; WEIR_NO_SLOT when it has none. */
uint32_t weir_cache_find_retired(const struct weir_cache *cache, uint32_t set);
/* The retired slot is an empty slot again. */
void weir_cache_readmit(struct weir_cache *cache, uint32_t slot);
/* How many turns of layers are between a record's and the running or the last step's. */
uint32_t weir_cache_distance(const struct weir_cache *cache, uint32_t record);
uint32_t weir_cache_set_of(const struct weir_cache *cache, uint32_t slot);
/* Slots of the set that a step of at most step_max records needs, whichever of its layers runs. */
uint32_t weir_cache_fewest(const struct weir_cache *cache, uint32_t set, uint32_t step_max);
/* Assert the promises at the top of cache.c. */
void weir_cache_check(const struct weir_cache *cache);
/* The step is over. All slots that it held were let go. */
void weir_cache_end(struct weir_cache *cache);
/* Let the policy count the uses of the last step. The next call that begins a step or chooses a
 * victim does it otherwise. A policy counts nothing as long as there was always a slot for every
 * record, because then there is nothing to choose; the first slots to retire are those used longest
 * ago. From the first retired slot on it counts every step, also when all slots are back: otherwise
 * it would take steps for neighbours that are not. */
void weir_cache_count(struct weir_cache *cache);

/* Slots of all layers together for a share of their records. Without a pool each layer gets a whole
 * number, with one only all together do. At least `least` and at most `most` a layer. */
uint32_t weir_cache_slot_total(const struct weir_policy *policy, double share, uint32_t n_layer,
                               uint32_t least, uint32_t most);
/* Slots of layer `index` when slot_total are dealt to n_layer layers: `least` to `most` each. */
uint32_t weir_cache_deal(const struct weir_policy *policy, uint32_t slot_total, uint32_t n_layer,
                         uint32_t index, uint32_t least, uint32_t most);

#endif
