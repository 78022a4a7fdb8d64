/* store_internal.h - slots, layers, and the step that runs. */
#ifndef WEIR_STORE_INTERNAL_H
#define WEIR_STORE_INTERNAL_H

#include "store/cache.h"
#include "store/shown.h"
#include "store/store.h"

enum weir_slot_state { WEIR_SLOT_EMPTY, WEIR_SLOT_READING, WEIR_SLOT_READY, WEIR_SLOT_LEASED };

#define WEIR_LAYER_ANY UINT32_MAX
#define WEIR_GUESS_PARTS 8

_Static_assert((int)WEIR_SLICE_MAX <= 16, "a slot's slices are bits of two bytes");

/* Why a slice is read. */
enum weir_read_class {
    WEIR_READ_DEMAND,
    WEIR_READ_FILL,
    WEIR_READ_AHEAD,
    WEIR_READ_PROMOTED, /* the rest of a record read ahead, once its step wants it */
    WEIR_READ_WARM_UP,
};

struct weir_slot {
    uint8_t *memory;
    uint32_t layer;  /* of its record */
    uint32_t record; /* of its layer; WEIR_NO_RECORD when EMPTY */
    enum weir_slot_state state;
    enum weir_read_class class; /* of the slices that are submitted next */
    uint8_t submitted;          /* slices whose reads were submitted: so many, the first ones */
    uint16_t arrived;           /* mask of the slices whose reads came back */
    bool failed;                /* one of them came back with an error */
    bool is_wanted;             /* the running step, or fill, will use it and has not leased it */
    bool is_ahead;              /* read ahead, and its layer's step has not begun */
};

struct weir_layer_state {
    struct weir_store_layer config;
    uint32_t index;
    uint64_t slot_bytes;               /* of the slots of its set */
    uint64_t slice_at[WEIR_SLICE_MAX]; /* where each slice's superset begins in a slot */
};

/* The step that runs: records in the order given are first those resident, then those missing. */
struct weir_step {
    bool is_running, is_prompt;
    uint32_t layer;
    uint32_t *records; /* [record_max], as given */
    uint32_t count;
    uint32_t *resident; /* slots to lease at once, in order */
    uint32_t resident_count, resident_next;
    uint32_t *missing; /* records to read, in order */
    uint32_t missing_count, missing_next;
    uint32_t *reading; /* slots with slices still to come, in the order of their start */
    uint32_t reading_count;
    uint32_t *landed; /* slots whose heads have arrived, in this order */
    uint32_t landed_count, landed_next;
    uint32_t *read_count;      /* [record_max] reads of each record in this step */
    uint64_t pending_since_ns; /* 0: nothing that the step waits for is being read ... */
    uint64_t idle_since_ns;    /* ... since then */
    uint64_t pending_base_bytes;
    struct weir_err failure;
};

/* Medians of the last steps, by which look-ahead knows how much it may read. */
struct weir_pace {
    double idle_ns;      /* from the end of one demand to the begin of the next */
    double bytes_per_ns; /* that arrive while a demand is pending */
};

/* Records that are read into empty slots while the device has nothing else to do (warm_up.c). */
struct weir_warm_up {
    const struct weir_record_name *records; /* [count], borrowed */
    uint32_t count, next;
};

/* The hint, and the slots that look-ahead keeps for records of this hint and of earlier ones. */
struct weir_ahead {
    uint32_t layer;
    uint32_t *records; /* [record_max] the likeliest first */
    uint32_t count, next;
    double left_bytes; /* of records that may still be begun before the next step begins */
    bool is_sure;      /* nearly all of the records will be needed */
    uint32_t *slots;   /* [slot_count] is_ahead, or a read in flight that nobody waits for */
    uint32_t slot_count;
};

/* A guess about a layer: those of its records that have no slot. */
struct weir_guess {
    uint32_t layer;    /* WEIR_LAYER_ANY: none, or its layer's step has begun */
    uint32_t *missing; /* [record_max] */
    uint8_t *part;     /* [record_max]: of the guess, in which each was */
    uint32_t count;    /* of missing */
    float seen[WEIR_GUESS_PARTS], used[WEIR_GUESS_PARTS]; /* of missing, in earlier guesses */
};

/* Which records of a guess are worth a read (worth.c). */
struct weir_worth {
    struct weir_guess next, further; /* about the next layer that has records, and one beyond */
};

struct weir_store {
    weir_io *io;
    struct weir_mem *mem;
    uint32_t layer_count;
    uint32_t step_max;
    uint32_t record_max; /* of any layer */
    struct weir_layer_state *layers;
    struct weir_cache cache; /* which record is in which slot, and who gives it up */
    struct weir_slot *slots; /* [cache.slot_count] */
    uint64_t *slot_bytes;    /* [cache.set_count] */
    uint8_t **arenas;        /* [cache.set_count] memory of a set's slots */
    uint32_t lease_count;
    uint64_t budget_bytes, prompt_budget_bytes, in_flight_bytes;
    uint64_t arrived_bytes; /* in all */
    bool waits_for_all, forgets;
    weir_store_stop_fn *stop; /* NULL: slots are not exposed */
    void *stop_user;
    struct weir_step step;
    struct weir_pace pace;
    struct weir_ahead ahead;
    struct weir_worth worth;
    struct weir_warm_up warm_up;
    struct weir_store_stats stats;
};

/* Where the slot's record is. */
void weir_store_fill_lease(const struct weir_store *store, const struct weir_layer_state *layer,
                           uint32_t slot, struct weir_lease *lease);
/* Slots are about to be given back: nobody else reads them any more (shown.h). */
void weir_store_cover(struct weir_store *store);
/* Of the slot's record. */
struct weir_layer_state *weir_store_layer_of(struct weir_store *store, uint32_t slot);
/* All slices are there. */
bool weir_store_slot_is_whole(const struct weir_store *store, uint32_t slot);

/* A slot for the record, held; its reads can be submitted. WEIR_NO_SLOT when every slot that the
 * record could have is held. A read ahead cannot have those of the running step's records. */
uint32_t weir_store_take_slot(struct weir_store *store, struct weir_layer_state *layer,
                              uint32_t record, enum weir_read_class class);
/* The same for a record that the running step, or fill, waits for. False when there is none. */
bool weir_store_start_read(struct weir_store *store, struct weir_layer_state *layer,
                           uint32_t record, enum weir_read_class class);
/* Hand reads of the slot's first `until` slices to the device, those that it has not had yet. False
 * when the budget or the device takes no more now. */
bool weir_store_submit(struct weir_store *store, uint32_t slot, uint32_t until,
                       uint64_t budget_bytes);
/* The same for the slots in step.reading. True when all their slices were submitted. */
bool weir_store_submit_step(struct weir_store *store);
/* The same, and the device learns of it with the next flush. */
bool weir_store_queue_step(struct weir_store *store);
/* Few of the slots in step.reading have slices to submit: another record may have one. */
bool weir_store_may_start(const struct weir_store *store);
/* Give missing records slots and submit what the running step waits for, and when all of that was
 * submitted, what look-ahead may read. */
void weir_store_advance(struct weir_store *store);
/* The slot has no record any more. */
void weir_store_empty_slot(struct weir_store *store, uint32_t slot);
/* Empty the slots in step.reading of which no slice was submitted. The others are read whole. */
void weir_store_drop_reads(struct weir_store *store);
/* Take what the device has done; wait for something when `wait` is true. A slot whose head is there
 * becomes READY and, if the step wants it, is landed. A slot into which a read failed becomes EMPTY
 * when all its reads are back, and the step keeps the failure. */
void weir_store_collect(struct weir_store *store, bool wait);
/* Under ASan nobody may touch slices of a slot that is not leased. */
void weir_store_guard(const struct weir_store *store, uint32_t slot, uint32_t first, uint32_t last,
                      bool is_open);
void weir_store_guard_memory(uint8_t *memory, uint64_t bytes, bool is_open);
void weir_store_guard_set(const struct weir_store *store, uint32_t set, bool is_open);

/* Look-ahead (ahead.c). Submit slices of the hint's records, within budget and time. */
void weir_store_submit_ahead(struct weir_store *store);
/* The running step wants this slot. If look-ahead keeps it, it is the step's from now on. */
void weir_store_promote(struct weir_store *store, uint32_t slot);
/* A step of this layer begins, or everything ends (WEIR_LAYER_ANY). The hint is over, and slots
 * that were kept for the layer and were not promoted are abandoned: others may have each as soon as
 * no read into it is in flight. */
void weir_store_drop_hint(struct weir_store *store, uint32_t layer);
/* Before a step of this layer: empty the slots into which a read ahead failed, so that the step
 * reads these records again. Waits for their other reads. */
void weir_store_drop_failed_ahead(struct weir_store *store, uint32_t layer);
/* How many of the guess's records, from the first, are worth a read (worth.c). */
uint32_t weir_worth_cut(struct weir_store *store, uint32_t layer, const uint32_t *records,
                        uint32_t count);
/* A step has begun: which records of the guesses about its layer it wants. */
void weir_worth_learn(struct weir_store *store);
/* The slot is look-ahead's or the warm-up's, not the step's. */
bool weir_store_is_kept_ahead(const struct weir_store *store, uint32_t slot);
/* A slice has arrived. False when look-ahead does not keep the slot. */
bool weir_store_arrived_ahead(struct weir_store *store, uint32_t slot);
/* Keep a slot for a read that nobody waits for, which is submitted now; when it has arrived the
 * record may stay, and anybody may have the slot. */
void weir_store_keep_reading(struct weir_store *store, uint32_t slot);
/* The device has nothing to do: read the next record of the warm-up (warm_up.c). */
void weir_store_submit_warm_up(struct weir_store *store);
/* Look-ahead may keep one more slot of the set. */
bool weir_store_may_keep(const struct weir_store *store, uint32_t set);
/* Slots of the set that look-ahead keeps. */
uint32_t weir_store_ahead_held(const struct weir_store *store, uint32_t set);

/* After every call of the room, in debug builds. */
#ifdef WEIR_RELEASE
#define WEIR_STORE_CHECK(store) ((void)0)
#else
#define WEIR_STORE_CHECK(store) weir_store_check(store)
#endif

#endif
