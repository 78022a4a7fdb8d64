/* prefix_internal.h - records, their index, and what is on its way. */
#ifndef WEIR_PREFIX_INTERNAL_H
#define WEIR_PREFIX_INTERNAL_H

#include "base/order.h"
#include "prefix/prefix.h"

#define WEIR_NO_UNIT UINT32_MAX

enum {
    WEIR_PREFIX_TRANSFER_MAX = 32, /* records on their way to or from the device: where others
                                      compute, nobody looks at them before a step is over */
    WEIR_PREFIX_WRITE_MAX = 4,     /* of them, those that are written */
    WEIR_PREFIX_LOAD_MAX = 64,     /* texts that come back at a time */
    WEIR_PREFIX_QUEUE_MAX = 4096,  /* pages that wait to be written */
    WEIR_PREFIX_UNIT_BYTES_MIN = 1 << 20, /* where a page is less and a block is cut into units */
    WEIR_PREFIX_CACHED_BYTES = 2 << 20, /* of the page cache, where the file has to go through it */
};

/* A record, named by its first unit. */
struct weir_record {
    uint64_t serial;
    struct weir_hash before, after; /* of all ids before it; and of its own too */
    uint32_t length;
    uint32_t extra;               /* first unit of its block; the others follow in next_unit */
    uint32_t next, next_after;    /* in its two buckets: by before, and by after */
    struct weir_order_link order; /* among all records, by use */
    uint32_t readers;             /* texts that it comes back to */
    uint8_t classes;
    bool has_block, is_listed;
    bool is_bad; /* its readers found it torn: it goes with the last of them */
};

/* A page that waits to be written, or is. */
struct weir_leaving {
    uint32_t page, length;
    struct weir_hash before, after;
    const weir_sequence *sequence; /* whose own block is the page's; NULL: the page's snapshot */
    bool has_block;
    uint8_t classes; /* that are held */
};

/* A text that comes back. */
struct weir_load {
    weir_sequence *sequence; /* NULL: none */
    const uint32_t *ids;
    void *user;
    uint32_t length, place_count;
    uint32_t next_place; /* not asked for yet */
    uint32_t in_flight;
    uint32_t *records; /* [place_count] those before `lead` are here already */
    uint8_t *classes;  /* [place_count] that have come */
    uint32_t lead;
    bool is_started, has_block, is_given_up;
};

enum weir_transfer_kind { WEIR_TRANSFER_NONE, WEIR_TRANSFER_WRITE, WEIR_TRANSFER_READ };

/* One record on its way, in pieces: its head, its classes, its block. */
struct weir_transfer {
    enum weir_transfer_kind kind;
    uint32_t record;
    uint8_t *head;   /* [head_bytes] */
    uint8_t classes; /* that go with it */
    uint8_t *memory[WEIR_STATE_CLASS_MAX];
    uint8_t *block;    /* NULL: none goes with it */
    uint32_t part;     /* 0: head, 1 to class_count: a class, then units of the block */
    uint32_t unit;     /* of the block's part */
    uint64_t at_bytes; /* of the part */
    uint32_t in_flight;
    bool has_failed, is_given_up;
    int os_errno;
    uint64_t begin_ns, bytes;
    struct weir_leaving leaving; /* of a write */
    uint32_t load, place;        /* of a read */
};

struct weir_prefix {
    struct weir_prefix_config config;
    weir_state *state;
    struct weir_state_shape shape;
    weir_io *io;
    uint32_t file;
    char path[512];
    uint8_t key[16];
    struct weir_prefix_limits limits;
    uint64_t unit_bytes;

    struct weir_record *records;   /* [unit_count] */
    uint32_t *ids;                 /* [unit_count][page_length] of records */
    uint32_t *next_unit;           /* [unit_count] of a block; in the list of free ones */
    uint32_t *buckets;             /* [bucket_count] by the hash before */
    uint32_t *after_buckets;       /* [bucket_count] by the hash after */
    uint32_t bucket_count;         /* a power of two */
    uint8_t *was_written;          /* [unit_count]: such a unit has its room on the disk */
    uint32_t free_unit, free_room; /* lists of free ones: without that, and with it */
    struct weir_order order;       /* of records, by use */
    uint64_t serial;               /* of the next record */

    struct weir_transfer transfers[WEIR_PREFIX_TRANSFER_MAX];
    void *heads;            /* of transfers */
    uint32_t *extra;        /* [extra_count] scratch, as the two that follow */
    uint32_t *scratch_ids;  /* [page_length] */
    uint32_t *path_records; /* [table_length] */
    uint32_t writing;
    struct weir_leaving *queue; /* [WEIR_PREFIX_QUEUE_MAX] a ring */
    uint32_t queue_first, queue_count;
    struct weir_load loads[WEIR_PREFIX_LOAD_MAX];
    uint32_t load_count;
    uint64_t writes_off_ns; /* nothing is written before then: the disk had no room, or failed */
    uint64_t no_room_ns;    /* only where something was written before, until then ... */
    int no_room_errno;      /* ... for this reason */
    /* Of the page cache: what is read, was written since the last barrier, and waits for it. */
    uint64_t reading_bytes, dirty_bytes, settling_bytes;
    bool has_write_failed; /* since the last barrier */
    bool has_cut;          /* another file of the folder, which has been said */
    bool is_given_up;
    weir_prefix *left_before; /* another one that could not be closed */
    struct weir_prefix_counts stats;
};

/* ---- the index (prefix_index.c) -------------------------------------------------------------- */

void weir_prefix_index_clear(weir_prefix *prefix);
uint32_t *weir_prefix_ids_of(const weir_prefix *prefix, uint32_t record);
/* Take a unit that is free; the oldest records that nobody reads go for it. WEIR_NO_UNIT. While the
 * disk has no more room it is one that has its own. */
uint32_t weir_prefix_unit_take(weir_prefix *prefix);
void weir_prefix_unit_give(weir_prefix *prefix, uint32_t unit);
/* Others find the record from now on. It is the newest but for those that it goes on behind. */
void weir_prefix_record_add(weir_prefix *prefix, uint32_t record);
/* It is the newest. */
void weir_prefix_record_touch(weir_prefix *prefix, uint32_t record);
/* Nobody finds it any more, and its units are free. Nobody reads it. */
void weir_prefix_record_drop(weir_prefix *prefix, uint32_t record);
/* Whether the record has these ids first, as many as both have: returns how many are equal. */
uint32_t weir_prefix_record_match(const weir_prefix *prefix, uint32_t record,
                                  const struct weir_hash *before, const uint32_t *ids,
                                  uint32_t count);
/* The first record behind a text with that hash; then the others by .next. */
uint32_t weir_prefix_bucket_first(const weir_prefix *prefix, const struct weir_hash *before);

/* ---- what is on its way (prefix_carry.c) ----------------------------------------------------- */

/* As much as the device takes. */
void weir_prefix_pump(weir_prefix *prefix);
/* Begin with the record's head. */
void weir_prefix_transfer_begin(weir_prefix *prefix, struct weir_transfer *transfer);
/* NULL: all are in use. */
struct weir_transfer *weir_prefix_transfer_idle(weir_prefix *prefix);

/* Where writes and reads begin and end (prefix_save.c, prefix_recall.c). start: false when there
 * is nothing more to start now. */
bool weir_prefix_write_start(weir_prefix *prefix, struct weir_transfer *transfer);
void weir_prefix_write_end(weir_prefix *prefix, struct weir_transfer *transfer);
void weir_prefix_writes_drop(weir_prefix *prefix);
/* A write failed, or what was written is not on the disk: nothing more is written for a while. */
void weir_prefix_write_failed(weir_prefix *prefix, int os_errno);
bool weir_prefix_read_start(weir_prefix *prefix, struct weir_transfer *transfer);
void weir_prefix_read_end(weir_prefix *prefix, struct weir_transfer *transfer);
/* Texts of which all is here, or nothing more will come. */
void weir_prefix_loads_end(weir_prefix *prefix);

/* ---- opening (prefix_scan.c) ----------------------------------------------------------------- */

/* What the file has, into the index. Errors: IO, NOMEM. */
enum weir_status weir_prefix_scan(weir_prefix *prefix, struct weir_err *err);
/* The file grows with what is written: so far that it has the unit. False: it may not. */
bool weir_prefix_reach(weir_prefix *prefix, uint32_t unit);
/* Our file is to have so many bytes: others of the folder become shorter for it, first the one
 * that was written longest ago. False: those that are in use leave too little (prefix_folder.c). */
bool weir_prefix_folder_make_room(weir_prefix *prefix, uint64_t own_bytes);

void weir_prefix_say(weir_prefix *prefix, const char *format, ...) WEIR_PRINTF(2, 3);

#endif
