/* state_internal.h - pages, their index, and a sequence's table. */
#ifndef WEIR_STATE_INTERNAL_H
#define WEIR_STATE_INTERNAL_H

#include "base/order.h"
#include "state/state.h"

#define WEIR_NO_BLOCK UINT32_MAX

struct weir_page {
    struct weir_hash hash;                /* of all ids up to its end; once it is full */
    uint32_t refs;                        /* tables that it is in */
    uint32_t users[WEIR_STATE_CLASS_MAX]; /* tables whose windows still reach it */
    uint32_t next;                        /* in its bucket, or in the list of free pages */
    struct weir_order_link kept;          /* among kept pages */
    uint32_t snapshot;                    /* block as it was after the page's last position */
    uint32_t holds;                       /* of refs, those that keep its snapshot too */
    uint8_t populated;                    /* mask of classes whose memory is there */
    bool is_indexed, is_kept;
};

struct weir_state_class {
    uint32_t window; /* 0: every position */
    uint64_t page_bytes, stride_bytes;
    uint8_t *base;
};

struct weir_state_place {
    enum weir_state_kind kind;
    bool is_carried;
    uint32_t class;
    uint64_t at_bytes;
};

struct weir_state {
    struct weir_mem *mem;
    uint32_t n_ctx, page_length, page_max, table_length, first_pages;
    uint32_t snapshot_length; /* whole pages */
    uint32_t rewind_length;
    uint32_t class_count, layer_count;
    struct weir_state_class classes[WEIR_STATE_CLASS_MAX];
    struct weir_state_place *places; /* [layer_count] */
    uint64_t ids_at_bytes;           /* of a page's ids within class 0's memory */
    uint64_t page_bytes;             /* of all classes */
    uint8_t hash_key[16];
    weir_state_copy_fn *copy_elsewhere, *copy_block; /* NULL: nothing is elsewhere */
    weir_state_carry_fn *carry;
    weir_state_carried_fn *carried;
    void *copy_user;

    struct weir_page *pages; /* [page_max] */
    uint32_t *buckets;       /* [bucket_count] first page of each hash */
    uint32_t bucket_count;   /* a power of two */
    uint32_t ready, bare;    /* free pages: with all their memory, and without */
    uint32_t ready_count;
    struct weir_order kept; /* pages that are kept for nobody, by use */
    uint32_t kept_count;
    uint64_t populated_bytes;

    uint64_t block_bytes, block_stride_bytes; /* 0: no layer is recurrent */
    uint8_t *block_base;
    uint32_t block_max, free_block;
    uint32_t lost_blocks;                  /* that a device may still write in */
    uint32_t snapshot_max, snapshot_count; /* blocks that pages may have, and have */
    uint32_t *next_block;                  /* [block_max] */
    uint8_t *block_is_populated;

    uint32_t sequence_count;
    struct weir_state_stats stats;
};

struct weir_sequence {
    struct weir_state *state;
    uint32_t length;
    uint32_t page_count;                       /* in the table */
    uint32_t *pages;                           /* [table_length] */
    uint32_t first_kept[WEIR_STATE_CLASS_MAX]; /* pages before it are out of the window's reach */
    uint32_t block;                            /* WEIR_NO_BLOCK: no layer is recurrent */
    bool is_ahead; /* positions were reserved: the block may have seen them already */
};

static inline uint32_t *weir_page_ids(const struct weir_state *state, uint32_t page)
{
    return (uint32_t *)(void *)(state->classes[0].base + page * state->classes[0].stride_bytes +
                                state->ids_at_bytes);
}

/* How many pages hold n_position positions. */
static inline uint32_t weir_page_count(const struct weir_state *state, uint32_t n_position)
{
    return (uint32_t)(((uint64_t)n_position + state->page_length - 1) / state->page_length);
}

/* A free page with memory, else the oldest kept one; WEIR_STATE_NO_PAGE. It has one reference. */
uint32_t weir_page_take(struct weir_state *state);
/* There is none: NOMEM. */
enum weir_status weir_page_refuse(const struct weir_state *state, struct weir_err *err);
void weir_page_share(struct weir_state *state, uint32_t page);
/* One table less has it, in which it is at this place. */
void weir_page_let_go(struct weir_state *state, uint32_t page, const uint32_t *first_kept,
                      uint32_t place);
/* The window of a class has passed it, for one table. */
void weir_page_pass(struct weir_state *state, uint32_t page, uint32_t class);

/* hash = H(before, ids[page_length]). */
struct weir_hash weir_hash_page(const struct weir_state *state, const struct weir_hash *before,
                                const uint32_t *ids);
/* A full page of the index with this hash and these ids; WEIR_STATE_NO_PAGE. */
uint32_t weir_index_find(const struct weir_state *state, const struct weir_hash *hash,
                         const uint32_t *ids);
/* A page is full, after pages whose ids have the hash `before`: others find it, unless a table has
 * an equal one that they find already. */
void weir_page_finish(struct weir_state *state, uint32_t page, const struct weir_hash *before);
/* Let it have a copy of this block, as it is after the page's last position; where snapshot_max of
 * them are taken, instead of the page that was kept the longest, or else of the first of those that
 * has one among `before_count` pages; or not at all. */
void weir_page_snapshot(struct weir_state *state, uint32_t page, uint32_t block,
                        const uint32_t *before, uint32_t before_count);
/* A page will be written again: nobody finds it any more. */
void weir_page_reopen(struct weir_state *state, uint32_t page);

/* A block with memory, zeroed; WEIR_NO_BLOCK when none is left or the kernel has no memory. */
uint32_t weir_block_take(struct weir_state *state);
/* One snapshot less, of the page that was kept the longest; false when no kept page has one. */
bool weir_block_forget_oldest(struct weir_state *state);
uint8_t *weir_block_memory(const struct weir_state *state, uint32_t block);
void weir_block_give(struct weir_state *state, uint32_t block);
void weir_block_clear(struct weir_state *state, uint32_t block);
void weir_block_copy(struct weir_state *state, uint32_t to, uint32_t from);

/* After every call of the room, in debug builds. */
#ifdef WEIR_RELEASE
#define WEIR_STATE_CHECK(state) ((void)0)
#define WEIR_SEQUENCE_CHECK(sequence) ((void)0)
#else
#define WEIR_STATE_CHECK(state) weir_state_check(state)
#define WEIR_SEQUENCE_CHECK(sequence) weir_sequence_check(sequence)
#endif

#endif
