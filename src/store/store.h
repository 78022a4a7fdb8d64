/* store.h - records on a device, slots in memory, leases between them.
 *
 * Job       Keep records (layer, index) that are likely to be used in slots. Read the others when a
 *           step needs them, or ahead, on a hint, when the device has time. Hand out leases.
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
 *           ahead that fails is forgotten: a step that needs the record reads it again.
 *           create: WEIR_ERR_ARG when a layer has fewer slots than step_max, or too many records
 *           or slices, or slices of no or too many bytes. fill: also WEIR_ERR_CANCELLED.
 * Limits    WEIR_SLICE_MAX slices a record of WEIR_SLICE_BYTES_MAX each, WEIR_RECORD_MAX records.
 * Source    Who gives up a slot: docs/decisions/0002-eviction.md.
 *
 * A read is submitted to the device when the bytes in flight stay within a budget. Reads that the
 * running step waits for go first (demand). Reads on a hint (ahead) go when no demand is left to
 * submit; one that the step turns out to need counts as demand from then on (promoted). Last come
 * those that fill empty slots (warm-up), one record at a time. A record's
 * first slices are its head, the others its tail: a step's heads go before its tails.
 *
 *   EMPTY --begin (miss) or hint--> READING --head arrives--> READY --next--> LEASED
 *     ^                                |                       |  ^              |
 *     +---------- read failed ---------+<-------- evict -------+  +--- release --+
 *
 *   EMPTY or READY --shrink--> retired --grow--> EMPTY
 */
#ifndef WEIR_STORE_H
#define WEIR_STORE_H

#include "base/mem.h"
#include "io/io.h"

enum {
    WEIR_STORE_BUDGET_BYTES = 32 << 20,
    WEIR_STORE_AHEAD_BYTES = 2 << 20, /* in flight for guesses; one slice if that is more */
    WEIR_SLICE_MAX = 9,
    WEIR_RECORD_MAX = 4096,
    WEIR_STORE_LAYER_MAX = 512,
    WEIR_SLICE_BYTES_MAX = 1 << 30,
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
    uint32_t head_count; /* slices of the head: a lease begins when they are there; 0: all */
    uint32_t slot_count; /* at most record_count */
    struct weir_slice slice[WEIR_SLICE_MAX]; /* in the order they should be read */
};

struct weir_policy;

struct weir_store_config {
    uint32_t layer_count;
    /* After so many layers the first one comes again; as many may follow, and layer
     * l + turn_count has its steps when layer l has. 0: layer_count */
    uint32_t turn_count;
    const struct weir_store_layer *layers; /* copied; places are borrowed, until destroy */
    const struct weir_policy *policy;      /* which record loses its slot (store/cache.h) */
    uint32_t step_max;     /* most records of one layer that must be in slots at once (top-k) */
    uint64_t budget_bytes; /* of reads in flight; 0: WEIR_STORE_BUDGET_BYTES */
    /* The same for a prompt's chunk of more records than step_max. It needs nearly all records of a
     * layer, so its reads delay no others, and what is in flight must last while it computes. At
     * least budget_bytes. */
    uint64_t prompt_budget_bytes;
    /* To measure what they would cost: */
    bool waits_for_all; /* nothing is leased while something is read */
    bool forgets;       /* a step's records lose their slots when it ends */
};

/* A record and its layer. */
struct weir_record_name {
    uint32_t layer, record;
};

/* Where a lease's bytes are. */
enum weir_lease_place { WEIR_PLACE_MEMORY, WEIR_PLACE_COUNT };

struct weir_lease {
    const uint8_t *slice[WEIR_SLICE_MAX]; /* first byte of each slice; any alignment */
    uint32_t record;
    uint32_t slot; /* store's own */
    enum weir_lease_place place;
};

struct weir_store_stats {
    uint64_t uses;               /* records that steps used, each once a step */
    uint64_t hits;               /* of those: all of it was in a slot when the step began */
    uint64_t reads;              /* records of which a slice was submitted, for any reason */
    uint64_t slice_bytes;        /* bytes of the slices submitted, as the model has them */
    uint64_t read_bytes;         /* bytes of these reads: aligned supersets */
    uint64_t wait_ns;            /* the engine thread waited for a read */
    uint64_t step_reads_max;     /* most reads of one record within one step: never above 1 */
    uint64_t pending_ns;         /* a read that the step needs was under way */
    uint64_t pending_bytes;      /* what arrived in that time */
    uint64_t ahead_reads;        /* of reads: ahead */
    uint64_t ahead_hits;         /* of those: whole when their layer's step began, and used by it */
    uint64_t ahead_late;         /* of those: used by it, but still being read (promoted) */
    uint64_t ahead_wasted_bytes; /* of read_bytes: read ahead and not used by that step */
    uint64_t warm_up_reads;      /* of reads: by the warm-up */
    uint64_t retired_slots;      /* without memory now; a reset keeps these two */
    uint64_t retired_bytes;
    uint64_t shrunk_slots; /* slots that weir_store_shrink() gave back */
    uint64_t grown_slots;  /* slots that weir_store_grow() took back */
};

typedef struct weir_store weir_store;

/* Where a record's slice is in its file. */
struct weir_place weir_store_place(const struct weir_slice *slice, uint32_t record);
/* What a read of it covers: the slice, widened to whole blocks of the file. */
struct weir_superset weir_store_superset(const struct weir_slice *slice, uint32_t record);
/* Bytes of one slot of this layer, a multiple of WEIR_IO_ALIGN. */
uint64_t weir_store_slot_bytes(const struct weir_store_layer *layer);
/* mem is OPENING, after a plan of the same config; mem and io outlive the store. */
enum weir_status weir_store_create(weir_store **out, struct weir_mem *mem, weir_io *io,
                                   const struct weir_store_config *config, struct weir_err *err);
/* Count what create will allocate: mem is PLANNING. create must accept this config. */
void weir_store_plan(struct weir_mem *mem, const struct weir_store_config *config);
/* Waits for reads in flight. Asserts that no lease is out. */
void weir_store_destroy(weir_store **store);

/* Which records of a layer a step uses. Its rows are tokens, of one text or of several. */
struct weir_uses {
    const uint32_t *records; /* [count], distinct */
    /* [count] how many of the rows use each; NULL: the step has one row, which uses all. */
    const uint32_t *row_counts;
    uint32_t count;
    uint32_t n_row; /* with row_counts */
    bool is_prompt; /* a prompt's rows: nearly all records, and the reads' budget is a prompt's */
};

/* Begin a step: these records of one layer will each be leased once. Reads of those that have no
 * slot are submitted at once, as far as slots and budget allow; the others follow when others have
 * come. A record of a step of several rows may lose its slot as soon as it is released. One step at
 * a time. */
void weir_store_begin(weir_store *store, uint32_t layer, const struct weir_uses *uses);
/* Lease the step's next record: first those that were whole when it began, in the order given, then
 * each when its head is there; the other way round in a step of more records than step_max. Waits
 * when none is ready. When none is left, *more is false and the lease is untouched. Asserts that
 * the caller does not hold all slots while records are missing. */
enum weir_status weir_store_next(weir_store *store, struct weir_lease *lease, bool *more,
                                 struct weir_err *err);
/* True when next would not wait. */
bool weir_store_ready(weir_store *store);
/* Wait for the slices of the tail. Until then the caller may use only the head. */
enum weir_status weir_store_tail(weir_store *store, const struct weir_lease *lease,
                                 struct weir_err *err);
/* True when tail would not wait. */
bool weir_store_tail_ready(const weir_store *store, const struct weir_lease *lease);
void weir_store_release(weir_store *store, struct weir_lease *lease);
/* End the step, also after an error. Its records count as used (weir_store_count). Records of which
 * a slice was submitted are read whole and kept; the others of the step are not read. */
void weir_store_end(weir_store *store);
/* Let the policy count the uses of the last step, at a moment when nobody waits for it. This call
 * may be left out: the next call that needs the counts makes them. Any thread, while the engine
 * thread makes no call. */
void weir_store_count(weir_store *store);

/* A hint: these records of a layer will probably be used by its next step, the likeliest first.
 * Those without a slot are read ahead, when all that the running step waits for was submitted. Each
 * takes the slot of the least valuable record and keeps it until that step begins.
 *
 * A guess (not is_sure) gets few bytes in flight at a time, and in all no more than the device can
 * read between the reads of one step and those of the next, as measured: a read too many would
 * delay the next step. Its records are taken in parts, the likeliest first. A part is read if, so
 * far, at least half of its records that had to be read were used (worth.c). A hint that is_sure
 * has only the budget of a prompt as its limit.
 *
 * A new hint, for this layer or another, replaces the one before, and every step that begins ends
 * it. Reads that have begun go on. Never fails. */
void weir_store_hint(weir_store *store, uint32_t layer, const uint32_t *records, uint32_t count,
                     bool is_sure);
/* True when all that the running step waits for and all that was hinted at was submitted, and the
 * device will soon have nothing to do: a moment for a hint, about the next layer or, after one,
 * about the layer that follows it. */
bool weir_store_has_time(const weir_store *store);
/* Drop the hint, and wait for the reads in flight. */
void weir_store_stop_ahead(weir_store *store);
/* True when every record of the layer has a slot. */
bool weir_store_is_whole(const weir_store *store, uint32_t layer);
/* Collect what has arrived and submit what may be submitted: for pauses between steps. */
void weir_store_poll(weir_store *store);

/* Read records into empty slots, layer by layer, until no slot is empty or no record is without
 * one. progress (may be NULL) is told bytes done and to do; when it returns false, or a read fails,
 * no more reads are submitted, and the records that were begun are kept. */
typedef bool weir_store_progress_fn(void *user, uint64_t done_bytes, uint64_t total_bytes);
enum weir_status weir_store_fill(weir_store *store, weir_store_progress_fn *progress, void *user,
                                 struct weir_err *err);

/* What is so of a record now; bits. */
enum weir_record_mark {
    WEIR_RECORD_WHOLE = 1,   /* all of it is in a slot */
    WEIR_RECORD_READING = 2, /* it has a slot, and some of it was not collected yet */
    WEIR_RECORD_USED = 4,    /* by its layer's last step */
    WEIR_RECORD_ABSENT = 8,  /* the layer has no such record */
};
/* Of the layer's first records; marks [count]. Changes nothing. */
void weir_store_marks_get(const weir_store *store, uint32_t layer, uint8_t *marks, uint32_t count);

/* From now on, whenever the device has nothing to do, read the first of these records that has no
 * slot into an empty one, until no slot is empty or none of these is left. It takes nobody's slot,
 * and at most one record is under way that nobody waits for. records [count]: distinct, borrowed
 * until destroy. A record that this store does not have is passed over. */
void weir_store_warm_up(weir_store *store, const struct weir_record_name *records, uint32_t count);
/* Before the first step: which share of its layer's rows an earlier run of the same records saw use
 * each of them, for a policy that counts. What this store does not have is passed over. NOMEM. */
enum weir_status weir_store_recall(weir_store *store, const struct weir_record_name *records,
                                   const float *shares, uint32_t count, struct weir_err *err);
/* The same of this run; 0 where the policy does not count. */
float weir_store_share(const weir_store *store, struct weir_record_name name);
/* Of the records that have a slot and are whole, or were used as far as the policy counts that,
 * those that are the most worth a slot, the most of them first: at most count into records. Returns
 * how many. */
uint32_t weir_store_kept(weir_store *store, struct weir_record_name *records, uint32_t count);

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
