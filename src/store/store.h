/* store.h - records on a device, slots in memory, leases between them.
 *
 * Job       Keep the records (layer, index) that are likely to be used inside a fixed number of
 *           slots; read the others when asked, or ahead when the device has time; hand out leases.
 * Not here  What a record means (model/), how bytes are read (io/).
 * Shapes    A record is slice_count slices, each somewhere in a file: records of a stack one stride
 *           apart, others where a table says. A slot holds each slice's 4 KiB-aligned superset; the
 *           lease points at the slice's first byte.
 * Units     *_bytes in bytes, counters since create.
 * Owns      Slots (from weir_mem use SLOTS) from create to destroy. A lease borrows one slot until
 *           release. In debug builds a released slot that is evicted is filled with 0xA5.
 * Threads   All calls but count: the engine thread. A leased record may be read by any thread.
 * Errors    next: WEIR_ERR_IO, WEIR_ERR_FORMAT name layer, record and slice; the slot is empty
 *           again, the step is over for the caller (call end) and the store stays usable. A read
 *           ahead that fails is forgotten: whoever needs the record asks again and is told.
 *           create: WEIR_ERR_ARG when a layer has fewer slots than step_max, or too many records
 *           or slices, or slices of no or too many bytes. fill: also WEIR_ERR_CANCELLED.
 * Limits    WEIR_SLICE_MAX slices a record of WEIR_SLICE_BYTES_MAX each, WEIR_RECORD_MAX records.
 * Source    Who gives up a slot: docs/decisions/0002-eviction.md.
 *
 * Classes of reads, one budget of bytes in flight: what the running step waits for (demand, and
 * reads ahead that it turned out to need: promoted) before what a later layer may need (ahead).
 * Of the demand, heads of records go before their tails, as far as one token's records reach.
 *
 *   EMPTY --begin (miss), expect--> READING --head is there--> READY --next--> LEASED
 *     ^                                |                        |  ^              |
 *     +---------- reap error ----------+<-------- evict --------+  +--- release --+
 *
 *   EMPTY or READY --shrink--> retired --grow--> EMPTY
 */
#ifndef WEIR_STORE_H
#define WEIR_STORE_H

#include "base/mem.h"
#include "io/io.h"

enum {
    WEIR_STORE_BUDGET_BYTES = 32 << 20,
    WEIR_STORE_AHEAD_BYTES = 2 << 20, /* of guesses in flight, or one slice if that is more */
    WEIR_SLICE_MAX = 4,
    WEIR_RECORD_MAX = 4096,
    WEIR_STORE_LAYER_MAX = 512,
    WEIR_SLICE_BYTES_MAX = 1 << 30,
};

/* Where something begins. */
struct weir_place {
    uint64_t offset;
    uint32_t file; /* weir_io file index */
};

/* One slice of every record of a layer. */
struct weir_slice {
    uint64_t offset;       /* of record 0 */
    uint64_t stride_bytes; /* from one record to the next */
    uint32_t bytes;
    uint32_t file; /* weir_io file index */
    /* [record_count], borrowed: where each record's slice is when they are not a stack; offset,
     * stride_bytes and file then say nothing. NULL: a stack. */
    const struct weir_place *places;
};

struct weir_store_layer {
    uint32_t record_count; /* 0: this layer has no records (a dense layer) */
    uint32_t slice_count;
    uint32_t head_count; /* slices without which a lease is of no use, the first; 0: all */
    uint32_t slot_count; /* at most record_count */
    struct weir_slice slice[WEIR_SLICE_MAX]; /* in the order they should be read */
};

struct weir_policy;

struct weir_store_config {
    uint32_t layer_count;
    const struct weir_store_layer *layers; /* copied; places are borrowed, until destroy */
    const struct weir_policy *policy;      /* who gives up its slot (store/cache.h) */
    uint32_t step_max;     /* most records of one layer that must be in slots at once (top-k) */
    uint64_t budget_bytes; /* of reads in flight; 0: WEIR_STORE_BUDGET_BYTES */
    /* The same for a prompt's chunk, which needs nearly all records of a layer: its reads delay no
     * other, and must last for its longest job. At least budget_bytes. */
    uint64_t prompt_budget_bytes;
    /* To measure what they would cost: */
    bool waits_for_all; /* nothing is leased while something is read */
    bool forgets;       /* a step's records lose their slots when it ends */
};

/* Where a lease's bytes are. */
enum weir_lease_place { WEIR_PLACE_MEMORY };

struct weir_lease {
    const uint8_t *slice[WEIR_SLICE_MAX]; /* first byte of each slice; any alignment */
    uint32_t record;
    uint32_t slot; /* store's own */
    enum weir_lease_place place;
};

struct weir_store_stats {
    uint64_t uses;           /* records asked for, each distinct one once a step */
    uint64_t hits;           /* of those, resident when the step began */
    uint64_t reads;          /* records whose reads began, for whatever reason */
    uint64_t slice_bytes;    /* bytes of those records, as the model has them */
    uint64_t read_bytes;     /* bytes asked of the device: aligned supersets */
    uint64_t wait_ns;        /* engine thread waiting for a record */
    uint64_t step_reads_max; /* most reads of one record within one step; 1 is the invariant */
    uint64_t pending_ns;     /* something that the step waits for was being read */
    uint64_t pending_bytes;  /* what arrived in that time */
    uint64_t ahead_reads;    /* of reads: records that were read ahead */
    uint64_t ahead_hits;     /* of those, resident when their layer's step began, and used by it */
    uint64_t ahead_late;     /* used too, but still on their way: promoted */
    uint64_t ahead_wasted_bytes; /* asked of the device for the others */
    uint64_t retired_slots;      /* those that are with the kernel now; a reset keeps both */
    uint64_t retired_bytes;
    uint64_t shrunk_slots; /* slots that were given back, each time counted */
    uint64_t grown_slots;  /* slots that came back */
};

typedef struct weir_store weir_store;

/* Where a record's slice is. */
struct weir_place weir_store_place(const struct weir_slice *slice, uint32_t record);
/* What a read of it asks the device for, in that file. */
struct weir_superset weir_store_superset(const struct weir_slice *slice, uint32_t record);
/* Bytes of one slot of this layer, a multiple of WEIR_IO_ALIGN. */
uint64_t weir_store_slot_bytes(const struct weir_store_layer *layer);
/* mem is OPENING, after a plan of the same config; mem and io outlive the store. */
enum weir_status weir_store_create(weir_store **out, struct weir_mem *mem, weir_io *io,
                                   const struct weir_store_config *config, struct weir_err *err);
/* Only count: mem is PLANNING and gets the same requests as create makes. config is one that create
 * takes. */
void weir_store_plan(struct weir_mem *mem, const struct weir_store_config *config);
/* Waits for reads in flight. A lease still out asserts. */
void weir_store_destroy(weir_store **store);

/* Begin a step: these distinct records of one layer will each be leased once. Demand reads for
 * those that are not resident go out at once, as far as slots and budget allow; the rest follow as
 * slots become free. Steps do not nest. */
void weir_store_begin(weir_store *store, uint32_t layer, const uint32_t *records, uint32_t count);
/* Lease the step's next record: resident ones first, in the order given, then each as its head
 * lands. With nothing left *more is false and lease is untouched. Waits when none is ready; when no
 * slot is free because the caller holds them all, asserts. */
enum weir_status weir_store_next(weir_store *store, struct weir_lease *lease, bool *more,
                                 struct weir_err *err);
/* True when next would not wait. */
bool weir_store_ready(weir_store *store);
/* Wait for the slices after the head; until then only the head may be read. */
enum weir_status weir_store_tail(weir_store *store, const struct weir_lease *lease,
                                 struct weir_err *err);
/* True when tail would not wait. */
bool weir_store_tail_ready(weir_store *store, const struct weir_lease *lease);
void weir_store_release(weir_store *store, struct weir_lease *lease);
/* End the step, also after an error: its records count as used (weir_store_count). Reads of the
 * step that were submitted are still collected and kept, others never begin. */
void weir_store_end(weir_store *store);
/* The policy counts the uses of the last step. Whatever needs that does it, so this is never a
 * must: a moment at which it keeps nobody waiting. Any thread, while the engine thread makes no
 * call. */
void weir_store_count(weir_store *store);

/* These records of a layer will probably be asked for when its step begins, the likeliest first:
 * read ahead while nothing that a step waits for is left to submit, into the slots of the least
 * valuable records, which are then kept until that step begins. Unless they are sure, a few at a
 * time, and as many as the device can begin between two steps' demands, as measured: a wrong guess
 * more would make the next demand wait. What is expected replaces what was expected before, of this
 * layer or another, but for what was submitted; what was not when the next step begins never is. */
void weir_store_expect(weir_store *store, uint32_t layer, const uint32_t *records, uint32_t count,
                       bool is_sure);
/* True when what is in flight is so little that the device will soon have nothing to do. */
bool weir_store_has_time(const weir_store *store);
/* True when all that is expected was submitted, and the device has time for more before the next
 * step: for a guess about the layer after it. */
bool weir_store_has_spare(const weir_store *store);
/* Expect nothing any more, and wait for what is in flight. */
void weir_store_stop_ahead(weir_store *store);
/* True when every record of the layer is in a slot. */
bool weir_store_is_whole(const weir_store *store, uint32_t layer);
/* Collect what has arrived and submit what may be: for pauses between steps. */
void weir_store_poll(weir_store *store);

/* Read records into free slots until they are full or all are resident, layer by layer: the
 * resident run and warm starts. progress (may be NULL) is told bytes done and to do; false cancels:
 * what is in flight still lands, the rest stays empty, and so it is after a failed read. */
typedef bool weir_store_progress_fn(void *user, uint64_t done_bytes, uint64_t total_bytes);
enum weir_status weir_store_fill(weir_store *store, weir_store_progress_fn *progress, void *user,
                                 struct weir_err *err);

/* Between steps, mem SEALED: retire slots, the least valuable first, until at least this many bytes
 * are with the kernel; never so many that a step could not run. Returns how many: fewer when no
 * slot may go, or when the kernel does not take the memory. */
uint64_t weir_store_shrink(weir_store *store, uint64_t bytes);
/* Between steps, mem SEALED: take retired slots back, empty and their memory faulted in, as many as
 * fit into this many bytes; those first whose layers lost the largest share of their records'
 * slots. Returns the bytes taken: fewer also when the kernel has no memory. */
uint64_t weir_store_grow(weir_store *store, uint64_t bytes);

/* Assert the numbered promises of the room's files. Debug builds do it after every call. */
void weir_store_check(const weir_store *store);

void weir_store_stats_get(const weir_store *store, struct weir_store_stats *stats);
/* Start counting anew; residency and what the policy knows stay. */
void weir_store_stats_reset(weir_store *store);

#endif
