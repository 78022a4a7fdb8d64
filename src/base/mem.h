/* mem.h - planned memory: planned first, allocated once, then sealed.
 *
 * Job       One region per use. The same layout code runs twice: in PLANNING it only counts, in
 *           OPENING it hands out pre-faulted memory; so plan and allocation cannot disagree.
 * Not here  Small descriptions made while parsing (heap.h).
 * Units     bytes.
 * Owns      Every region from weir_mem_open() to weir_mem_close(). Callers borrow.
 * Threads   One thread until sealed; the memory itself is the borrower's business.
 * Errors    WEIR_ERR_NOMEM from opening, and from weir_mem_check() and weir_mem_reach().
 *
 *   weir_mem_init -> PLANNING --weir_mem_open--> OPENING --weir_mem_seal--> SEALED
 */
#ifndef WEIR_MEM_H
#define WEIR_MEM_H

#include "base/base.h"

enum weir_mem_use {
    WEIR_MEM_TRUNK,    /* weights every token needs                */
    WEIR_MEM_KV,       /* KV cache                                 */
    WEIR_MEM_SCRATCH,  /* activations, logits                      */
    WEIR_MEM_IO,       /* staging for the load, fake devices       */
    WEIR_MEM_SLOTS,    /* expert slots and their bookkeeping       */
    WEIR_MEM_TIMELINE, /* events of the timeline                  */
    WEIR_MEM_SUMS,     /* what columns of weights are multiplied by, where it is measured */
    WEIR_MEM_USE_COUNT
};

enum weir_mem_phase { WEIR_MEM_PLANNING, WEIR_MEM_OPENING, WEIR_MEM_SEALED };

struct weir_mem_region {
    uint8_t *start;        /* NULL while planning */
    uint64_t used_bytes;   /* asked for so far in this phase, alignment included */
    uint64_t total_bytes;  /* what planning asked for, rounded up to whole pages */
    uint64_t absent_bytes; /* of these, those without pages: until SEALED the last ones */
};

struct weir_mem {
    enum weir_mem_phase phase;
    struct weir_mem_region region[WEIR_MEM_USE_COUNT];
    struct weir_mem_touch *touch; /* while pages are faulted in */
};

const char *weir_mem_use_name(enum weir_mem_use use);

void weir_mem_init(struct weir_mem *mem);
/* PLANNING: counts and returns NULL. OPENING: zeroed memory, never NULL. SEALED, or more than was
 * planned: our bug, asserts. align is a power of two, at most 2 MiB. */
void *weir_mem_alloc(struct weir_mem *mem, enum weir_mem_use use, uint64_t bytes, uint64_t align);
/* Bytes of one use, or of all, as mapped: whole pages. Valid in every phase. */
uint64_t weir_mem_use_bytes(const struct weir_mem *mem, enum weir_mem_use use);
uint64_t weir_mem_bytes(const struct weir_mem *mem);
/* Opening faults in only a region's first bytes, rounded up to huge pages; 0 is none of them. The
 * rest are addresses without pages until weir_mem_restore() or weir_mem_reach(). PLANNING. */
void weir_mem_begin_with(struct weir_mem *mem, enum weir_mem_use use, uint64_t bytes);
/* Bytes of one use that have pages. */
uint64_t weir_mem_reached_bytes(const struct weir_mem *mem, enum weir_mem_use use);
/* What weir_mem_reached_bytes() will be when bytes have been reached. */
uint64_t weir_mem_reach_bytes(const struct weir_mem *mem, enum weir_mem_use use, uint64_t bytes);
/* Fault in a SEALED region as far as bytes, rounded up to huge pages: for a region that only grows,
 * of which nothing is discarded. NOMEM. */
enum weir_status weir_mem_reach(struct weir_mem *mem, enum weir_mem_use use, uint64_t bytes,
                                struct weir_err *err);
/* Map and pre-fault what was planned, on huge pages where the kernel has them.
 * WEIR_ERR_NOMEM names the use that did not fit. */
enum weir_status weir_mem_open(struct weir_mem *mem, struct weir_err *err);
/* The same in two steps: after begin the memory can be used, while threads of their own fault in
 * what nobody has touched yet; end waits for all of it but the slots and the scratch, whose threads
 * go on, only while nothing else wants their processor, until all has pages or weir_mem_discard()
 * is called. progress is told of the rest; false from it ends the opening: CANCELLED. NULL is
 * allowed. Where end fails mem stays open: borrowers go before it. */
enum weir_status weir_mem_open_begin(struct weir_mem *mem, struct weir_err *err);
/* Begin in two steps: after map whoever uses memory faults it in, and what nobody uses has no
 * pages; fill starts the threads. */
enum weir_status weir_mem_open_map(struct weir_mem *mem, struct weir_err *err);
enum weir_status weir_mem_open_fill(struct weir_mem *mem, struct weir_err *err);
typedef bool weir_mem_progress_fn(void *user, uint64_t done_bytes, uint64_t total_bytes);
enum weir_status weir_mem_open_end(struct weir_mem *mem, weir_mem_progress_fn *progress, void *user,
                                   struct weir_err *err);
/* After open_end: NOMEM once the kernel had no pages for the slots or the scratch. */
enum weir_status weir_mem_check(const struct weir_mem *mem, struct weir_err *err);
/* Asserts that all that was planned was handed out. */
void weir_mem_seal(struct weir_mem *mem);
/* Give one use's memory back early (the staging buffer after the load). */
void weir_mem_drop(struct weir_mem *mem, enum weir_mem_use use);
/* Give whole pages of a SEALED region back to the kernel. Until weir_mem_restore() nobody touches
 * this memory. All of the range has pages. False when the kernel does not take them (they are
 * locked in memory): then they stay. */
bool weir_mem_discard(struct weir_mem *mem, enum weir_mem_use use, void *start, uint64_t bytes);
/* Fault whole pages of a SEALED region in, zeroed: of those that were discarded, or never there.
 * Nothing of the range has pages. False when the kernel has no memory: then none of it has. */
bool weir_mem_restore(struct weir_mem *mem, enum weir_mem_use use, void *start, uint64_t bytes);
void weir_mem_close(struct weir_mem *mem);
/* As close, but what is mapped stays so for ever: a device that was given up may still write. */
void weir_mem_leave(struct weir_mem *mem);

#endif
