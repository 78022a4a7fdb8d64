/* store_internal.h - slots, layers, and the step that runs. */
#ifndef WEIR_STORE_INTERNAL_H
#define WEIR_STORE_INTERNAL_H

#include "store/cache.h"
#include "store/store.h"

enum weir_slot_state { WEIR_SLOT_EMPTY, WEIR_SLOT_READING, WEIR_SLOT_READY, WEIR_SLOT_LEASED };

#define WEIR_LAYER_ANY UINT32_MAX

/* Why a slice is read. */
enum weir_read_class {
    WEIR_READ_DEMAND,
    WEIR_READ_FILL,
    WEIR_READ_AHEAD,
    WEIR_READ_PROMOTED, /* the rest of a record read ahead, once its step wants it */
};

struct weir_slot {
    uint8_t *memory;
    uint32_t layer;  /* of its record */
    uint32_t record; /* of its layer; WEIR_NO_RECORD when EMPTY */
    enum weir_slot_state state;
    enum weir_read_class class; /* of the slices that are asked for next */
    uint8_t asked;              /* slices whose reads were submitted, the first ones */
    uint8_t arrived;            /* mask of the slices whose reads came back */
    bool failed;                /* one of them with an error */
    bool is_wanted;             /* of the running step and not leased yet */
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
    bool is_running;
    uint32_t layer;
    uint32_t *records; /* [record_max], as given */
    uint32_t count;
    uint32_t *resident; /* slots to lease at once, in order */
    uint32_t resident_count, resident_next;
    uint32_t *missing; /* records to read, in order */
    uint32_t missing_count, missing_next;
    uint32_t *reading; /* slots with slices still to come, in the order of their start */
    uint32_t reading_count;
    uint32_t *landed; /* slots whose heads have arrived, a queue */
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

/* What may be needed later: records, and the slots that these and others before them have taken,
 * each until its layer's step begins. */
struct weir_ahead {
    uint32_t layer;
    uint32_t *records; /* [record_max] the likeliest first */
    uint32_t count, next;
    double left_bytes; /* that may still be started before the next step begins */
    bool is_sure;      /* nearly all of the records will be needed */
    uint32_t *slots;   /* [slot_count] is_ahead, or given up with reads in flight */
    uint32_t slot_count;
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
    struct weir_step step;
    struct weir_pace pace;
    struct weir_ahead ahead;
    struct weir_store_stats stats;
};

/* Of the slot's record. */
struct weir_layer_state *weir_store_layer_of(struct weir_store *store, uint32_t slot);
/* All slices are there. */
bool weir_store_slot_is_whole(const struct weir_store *store, uint32_t slot);

/* Find a slot for record and start reading into it; reads go out with weir_store_pump_reads().
 * False when every slot that it could have is held. */
bool weir_store_start_read(struct weir_store *store, struct weir_layer_state *layer,
                           uint32_t record, enum weir_read_class class);
/* Submit slices of the step's slots, as many as budget and device take. True when none is left. */
bool weir_store_pump_reads(struct weir_store *store);
/* Ask for the slot's slices before `until`; false when budget or device take no more now. */
bool weir_store_ask(struct weir_store *store, uint32_t slot, uint32_t until, uint64_t budget_bytes);
/* The slot is taken for reading the record. */
void weir_store_open_slot(struct weir_store *store, uint32_t slot, uint32_t layer, uint32_t record,
                          uint32_t victim);
/* Nothing came of it: the slot is empty again. */
void weir_store_empty_slot(struct weir_store *store, uint32_t slot);
/* Empty the slots of which no slice was submitted yet; the others still have to come in whole. */
void weir_store_drop_reads(struct weir_store *store);
/* Collect completions, waiting for one if asked. Slots whose head is there become READY and, when
 * the step wants them, are queued as landed; failed ones become EMPTY and the failure is kept. */
void weir_store_collect(struct weir_store *store, bool wait);
/* Under ASan nobody may touch slices of a slot that is not leased. */
void weir_store_guard(const struct weir_store *store, uint32_t slot, uint32_t first, uint32_t last,
                      bool is_open);
void weir_store_guard_memory(uint8_t *memory, uint64_t bytes, bool is_open);
void weir_store_guard_set(const struct weir_store *store, uint32_t set, bool is_open);

/* Look-ahead (ahead.c). Read ahead, as far as budget_bytes in flight. */
void weir_store_pump_ahead(struct weir_store *store);
/* The running step wants this slot: if it was read ahead, it is the step's now. */
void weir_store_promote(struct weir_store *store, uint32_t slot);
/* The layer's step begins, or all is over (WEIR_LAYER_ANY): what was expected is asked for no more,
 * and slots that were read ahead and are not wanted are for others again; what is in flight still
 * lands. */
void weir_store_close_ahead(struct weir_store *store, uint32_t layer);
/* Before a step of this layer: what failed on its way must be gone, so that it is asked again. */
void weir_store_settle_ahead(struct weir_store *store, uint32_t layer);
/* A slice has come back. False when the slot is none of look-ahead's. */
bool weir_store_finish_ahead(struct weir_store *store, uint32_t slot);

#endif
