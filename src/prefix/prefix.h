/* prefix.h - what texts remember, kept in a file, so that it need not be computed again.
 *
 * Job       Write full pages and the last page of texts to a file under a budget, shared beginnings
 *           once; find the longest beginning of a text there and bring it back, also after a
 *           restart. All of it while others compute.
 * Not here  When a text is written or wanted (engine/, serve/); what a page's bytes mean (model/).
 * Shapes    A record is a page: head, memory of its classes, then its block where a layer is
 *           recurrent. Records form chains by the hash of all ids before them.
 *           docs/formats/prefixes.md has the file.
 * Units     *_bytes in bytes, *_ns in nanoseconds.
 * Owns      The file, its index, an I/O engine. It borrows the state, and holds pages of it while
 *           they are written (weir_state_hold).
 * Threads   The engine thread calls.
 * Errors    open: WEIR_ERR_IO, WEIR_ERR_NOMEM; WEIR_ERR_ARG (a budget that holds no page: names
 *           both; a folder in memory). What goes wrong later is no error of a text: it is computed
 *           again, and `say` is told.
 *           Files of texts of other models and layouts lie beside it: all together have the budget,
 *           and the one that was written longest ago gives up its end first.
 * Limits    WEIR_PREFIX_UNIT_MAX units in a file.
 * Source    Groups of contiguous bytes, written and read while others compute, with a check of what
 *           is in flight, and nothing written twice: FastSwitch, arXiv:2411.18424. Pages by the
 *           hash of a text: vLLM's and SGLang's idea, as in state/state.h.
 */
#ifndef WEIR_PREFIX_H
#define WEIR_PREFIX_H

#include "io/io.h"
#include "state/state.h"

enum { WEIR_PREFIX_UNIT_MAX = 1 << 20 };

typedef struct weir_prefix weir_prefix;

/* What must be equal so that bytes mean the same: random-looking numbers. */
struct weir_prefix_identity {
    uint8_t model[16];  /* the weights */
    uint8_t layout[16]; /* how positions lie in pages, and what computed them */
};

/* One sentence for people; borrowed during the call. */
typedef void weir_prefix_say_fn(void *user, const char *text);
/* A sequence that was expected is here, or what could be had of it. */
typedef void weir_prefix_arrived_fn(void *user, uint32_t length);

struct weir_prefix_config {
    const char *folder;
    uint64_t disk_bytes; /* of all such files in the folder at most */
    struct weir_prefix_identity identity;
    struct weir_io_config io; /* kind, buffered, fake, stop; the rest is chosen here */
    weir_prefix_say_fn *say;
    weir_prefix_arrived_fn *arrived;
    void *user; /* of say */
    /* To measure what FastSwitch's ideas are worth; zero: all of them. */
    uint32_t piece_bytes; /* of a read or write at most; 0: 4 MiB */
    bool writes_again;    /* also what is there */
    bool waits;           /* each save and recall until it is done */
};

struct weir_prefix_counts {
    uint64_t disk_bytes, disk_bytes_max; /* that records have; the budget */
    uint32_t records;
    uint64_t written_records, written_bytes, write_calls; /* since open, as all that follows */
    uint64_t read_records, read_bytes, read_calls;
    uint64_t reused_records; /* pages that were to be written, and were there */
    uint64_t evicted_records, torn_records;
    uint64_t failed_writes, failed_reads, dropped_writes; /* dropped: nothing was tried */
    uint64_t found_tokens;                                /* positions that came back */
    uint64_t wait_ns;                                     /* in which nothing else could be done */
    double read_bytes_per_s;                              /* as measured; 0: not yet */
    uint32_t writing, reading; /* records and texts that are on their way now */
};

/* Memory that one with these numbers takes; 0 where open would refuse. */
uint64_t weir_prefix_memory_bytes(const struct weir_state_shape *shape, uint64_t disk_bytes);

/* Opens the file of this identity, or makes it, and looks at what is there: for a state of that
 * shape, which need not be there yet. A file of another identity, or a torn one, begins anew; one
 * that is not ours stays, and is an error. */
enum weir_status weir_prefix_open(weir_prefix **out, const struct weir_state_shape *shape,
                                  const struct weir_prefix_config *config, struct weir_err *err);
/* The state is there, and is borrowed until close. Before anything of what follows. */
void weir_prefix_bind(weir_prefix *prefix, weir_state *state);
/* Waits for what is on its way. False: the device was given up, so the state's memory must stay
 * mapped for ever. */
bool weir_prefix_close(weir_prefix **prefix);

/* Begin to write what the sequence remembers and the file has not. It may go on meanwhile, but for
 * a recurrent one: see weir_prefix_settle(). */
void weir_prefix_save(weir_prefix *prefix, weir_sequence *sequence);

/* How many of these ids could come back, fewer than count. */
uint32_t weir_prefix_find(weir_prefix *prefix, const uint32_t *ids, uint32_t count);

struct weir_prefix_find {
    uint32_t length; /* positions that can come back, fewer than the ids; 0: nothing has begun */
    uint32_t lack;   /* pages of them that are not in memory */
    uint64_t bytes;  /* that are read for them */
};
/* A text comes back to an empty sequence in two steps, between which whoever asks makes room for
 * the pages that lack (weir_state_populate): begin keeps what was found, and then drop or go
 * follows. Errors: NOMEM. */
enum weir_status weir_prefix_recall_begin(weir_prefix *prefix, weir_sequence *sequence,
                                          const uint32_t *ids, uint32_t count,
                                          struct weir_prefix_find *found, struct weir_err *err);
/* The sequence is empty again. */
void weir_prefix_recall_drop(weir_prefix *prefix, weir_sequence *sequence);
/* Reads begin. The ids live until `arrived` is told user: by poll, wait, settle or this call. After
 * an error drop follows. */
enum weir_status weir_prefix_recall_go(weir_prefix *prefix, weir_sequence *sequence,
                                       const uint32_t *ids, void *user, struct weir_err *err);

/* Take what the device has done, and give it more to do; false: nothing is on its way. */
bool weir_prefix_poll(weir_prefix *prefix);
/* The same, and wait until something is done, at most wait_ns (negative: as long as it takes). */
bool weir_prefix_wait(weir_prefix *prefix, int64_t wait_ns);
/* Wait until a page that was held is free again; false: none is held. */
bool weir_prefix_wait_for_page(weir_prefix *prefix);
/* Before a sequence is changed or destroyed: until it is here, and its block is written. */
void weir_prefix_settle(weir_prefix *prefix, const weir_sequence *sequence);

void weir_prefix_counts_get(const weir_prefix *prefix, struct weir_prefix_counts *stats);

/* ---- the file's heads (prefix_head.c); for the fuzz target too ------------------------------- */

enum { WEIR_PREFIX_FILE_HEAD_BYTES = 4096, WEIR_PREFIX_VERSION = 1 };

/* By which a file of texts is known, whatever its version. */
extern const char weir_prefix_magic[8];

struct weir_prefix_file_head {
    struct weir_prefix_identity identity;
    uint8_t key[16]; /* of the hashes: random, so that no text can be made to collide */
    uint64_t unit_bytes;
    uint32_t page_length;
};

/* Of one record; its extra units and ids follow it. */
struct weir_prefix_head {
    uint64_t serial; /* of all records the newest has the highest */
    struct weir_hash before;
    uint32_t length;      /* positions, 1 to page_length */
    uint32_t classes;     /* bit c: class c is there */
    uint32_t extra_count; /* units of the block; 0: none is there */
    uint64_t class_sums[WEIR_STATE_CLASS_MAX], block_sum;
};

enum weir_prefix_verdict {
    WEIR_PREFIX_EMPTY, /* nothing was ever written there */
    WEIR_PREFIX_GOOD,
    WEIR_PREFIX_FOREIGN, /* not ours, or of another version */
    WEIR_PREFIX_OTHER,   /* ours, of another model or layout */
    WEIR_PREFIX_TORN,    /* ours, but the checksum is wrong */
};

/* XXH64 (Collet) of bytes, seed 0. */
uint64_t weir_prefix_sum(const void *bytes, uint64_t length);
void weir_prefix_file_head_write(uint8_t bytes[WEIR_PREFIX_FILE_HEAD_BYTES],
                                 const struct weir_prefix_file_head *head);
/* *head is set when it is GOOD or OTHER; OTHER: not as expected is, but for its key. */
enum weir_prefix_verdict weir_prefix_file_head_read(const uint8_t *bytes,
                                                    const struct weir_prefix_file_head *expected,
                                                    struct weir_prefix_file_head *head);
/* What a head can have: it has head_bytes bytes. */
struct weir_prefix_limits {
    uint64_t head_bytes;
    uint32_t page_length, class_count, unit_count, extra_count;
};
uint64_t weir_prefix_head_bytes(uint32_t page_length, uint32_t extra_count);
/* extra [head->extra_count], ids [head->length]. */
void weir_prefix_head_write(uint8_t *bytes, const struct weir_prefix_limits *limits,
                            const struct weir_prefix_head *head, const uint32_t *extra,
                            const uint32_t *ids);
/* extra [limits->extra_count], ids [limits->page_length]; set when it is GOOD. */
enum weir_prefix_verdict weir_prefix_head_read(const uint8_t *bytes,
                                               const struct weir_prefix_limits *limits,
                                               struct weir_prefix_head *head, uint32_t *extra,
                                               uint32_t *ids);

#endif
