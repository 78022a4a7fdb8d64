/* state.h - what sequences remember of their positions: pages that they may share, and blocks.
 *
 * Job       Keep what the mixers of all layers remember, per sequence: pages of positions for keys,
 *           values and latents, a block of fixed size for recurrences. Share pages among sequences,
 *           find pages of a text computed before, rewind, give memory back.
 * Not here  What the bytes mean (model/), which bytes of the ceiling they may have (engine/).
 * Shapes    A page holds page_length positions of every paged layer. Layers are grouped in classes:
 *           class 0 remembers every position, each further class the last `window` ones. Within a
 *           class a page is [layer of the class][position_bytes * page_length bytes], whose inner
 *           order is the mixer's. A sequence's table lists its pages in order, for all classes.
 * Units     *_bytes in bytes, lengths in positions.
 * Owns      The state owns its memory (weir_mem use KV) and all pages. A sequence owns its table
 *           and shares the pages in it; sequences are destroyed before their state.
 * Threads   The engine thread calls. What a page holds may be read and written by any thread
 *           between weir_sequence_reserve() and weir_sequence_commit().
 * Errors    WEIR_ERR_NOMEM where the kernel has no memory, or no page is left (names how many are
 *           in use, and how many there are), or no block.
 *           WEIR_ERR_UNSUPPORTED: more kinds of window than WEIR_STATE_CLASS_MAX.
 * Limits    WEIR_STATE_CLASS_MAX classes, WEIR_STATE_PAGE_MAX pages, WEIR_STATE_BLOCK_MAX sequences
 *           where a layer is recurrent.
 * Source    Pages: PagedAttention, arXiv:2309.06180 section 4. Prefixes by hash: SGLang's and
 *           vLLM's idea, arXiv:2312.07104 section 3; hashes are SipHash-2-4 with 128 bits (Aumasson
 *           and Bernstein, INDOCRYPT 2012).
 *
 *              reserve                commit, page full         last sequence lets go
 *   free page ---------> in a table -----------------> indexed ----------------------> kept
 *     ^                      |                                                           |
 *     +------ let go, not indexed --------+------ trim, or wanted for another text ------+
 */
#ifndef WEIR_STATE_H
#define WEIR_STATE_H

#include "base/mem.h"

enum weir_state_kind {
    WEIR_STATE_NONE,      /* nothing */
    WEIR_STATE_POSITIONS, /* every position: keys and values, or a latent vector */
    WEIR_STATE_WINDOW,    /* the same of the last `window` positions */
    WEIR_STATE_RECURRENT, /* a block that each position changes */
    /* A device has every position, under the same page numbers. Nothing of it is here, and it is no
     * reason why a rewind ends early. */
    WEIR_STATE_ELSEWHERE,
    WEIR_STATE_BLOCK_ELSEWHERE, /* RECURRENT, of which a device has the bytes */
};

enum {
    WEIR_STATE_CLASS_MAX = 4,
    WEIR_STATE_PAGE_MAX = 1 << 20,
    WEIR_STATE_PAGE_LENGTH_MIN = 16,
    /* Where nothing but a recurrence remembers: positions from one snapshot to the next. */
    WEIR_STATE_RECURRENT_PAGE_LENGTH = 1024,
    WEIR_STATE_BLOCK_MAX = 1024,
};
#define WEIR_STATE_NO_PAGE UINT32_MAX

/* What a layer remembers. */
struct weir_state_layer {
    enum weir_state_kind kind;
    uint32_t window; /* WINDOW: positions, 1 or more */
    uint64_t bytes;  /* of a position; RECURRENT: of the block */
    /* A device has it, under the same numbers; memory here is for what is carried away. */
    bool is_carried;
};

/* Of what is elsewhere: page, or block, `to` becomes what `from` is; NO_PAGE: a block of zeros. */
typedef void weir_state_copy_fn(void *user, uint32_t to, uint32_t from);
/* Of a layer that is carried: what a page, or a block, has comes to memory here, or goes there. */
typedef void weir_state_carry_fn(void *user, uint32_t layer, uint32_t number, void *here,
                                 bool comes);
/* All of that is over. False: the device is lost. */
typedef bool weir_state_carried_fn(void *user);

struct weir_state_config {
    uint32_t layer_count;
    const struct weir_state_layer *layers; /* borrowed during the call */
    uint32_t n_ctx;                        /* the most positions of a sequence */
    uint32_t group_length;    /* positions that lie in one page, a power of two; 0 or 1: any */
    uint32_t first_pages;     /* of weir_state_populate_first(): more than one lie side by side */
    uint32_t snapshot_count;  /* the most blocks kept for rewinding, beside the sequences' own */
    uint32_t snapshot_length; /* positions from one to the next, made whole pages; 0: each page */
    uint32_t rewind_length;   /* positions that windows keep beyond what they see */
    uint8_t hash_key[16];     /* random, so that no text can be made to collide */
    uint32_t page_max, block_max; /* that what is elsewhere has room for; 0: nothing is */
    weir_state_copy_fn *copy_elsewhere, *copy_block; /* NULL: nothing is */
    weir_state_carry_fn *carry;                      /* NULL: no layer is carried */
    weir_state_carried_fn *carried;
    void *copy_user; /* of these */
};

typedef struct weir_state weir_state;
typedef struct weir_sequence weir_sequence;

/* How many positions a page has: a power of two, WEIR_STATE_PAGE_LENGTH_MIN and a group at least,
 * for which a page of all layers has 1 to 4 MiB, the more the longer the context is; less only
 * where the whole context has less, more only where so few positions have more. */
uint32_t weir_state_page_length(const struct weir_state_config *config);
/* The most pages of one sequence. */
uint32_t weir_state_table_length(const struct weir_state_config *config);
/* Bytes of one page, of all its classes, as they are populated; 0 where create would refuse. */
uint64_t weir_state_page_bytes(const struct weir_state_config *config);
/* Bytes of one block, a sequence's or a snapshot's; 0: no layer is recurrent. */
uint64_t weir_state_block_bytes(const struct weir_state_config *config);
/* The most that is populated for one sequence that grows to n_position in steps of at most n_step,
 * its block and all snapshots among it; 0 where create would refuse. */
uint64_t weir_state_bytes(const struct weir_state_config *config, uint32_t n_position,
                          uint32_t n_step);

/* Ask mem for tables (use SCRATCH) and addresses (use KV, nothing of it populated). While mem is
 * PLANNING *out stays NULL. Errors: NOMEM, UNSUPPORTED. */
enum weir_status weir_state_create(weir_state **out, const struct weir_state_config *config,
                                   struct weir_mem *mem, struct weir_err *err);
/* No sequence may be left. */
void weir_state_destroy(weir_state **state);

/* Memory that pages and blocks have at the moment. */
uint64_t weir_state_populated_bytes(const weir_state *state);
/* Bytes that would have to be populated so that `page_count` pages (as page_bytes are) can be taken
 * without another text's: free pages that have memory count. */
uint64_t weir_state_lack_bytes(const weir_state *state, uint32_t page_count);
/* The same, so that a sequence can be created: for its block. */
uint64_t weir_state_block_lack_bytes(const weir_state *state);
/* What the snapshots that may still be taken will have. */
uint64_t weir_state_snapshot_room_bytes(const weir_state *state);
/* Populate free pages until page_count of them have memory. Where too few are free, kept ones are
 * forgotten, the oldest first. Errors: NOMEM; those that have memory by then keep it. */
enum weir_status weir_state_populate(weir_state *state, uint32_t page_count, struct weir_err *err);
/* Right after create: populate the first pages of the configuration as one piece of memory, which
 * huge pages fill. Errors: NOMEM. */
enum weir_status weir_state_populate_first(weir_state *state, struct weir_err *err);
/* Give memory back to the kernel until at most keep_bytes are populated: of free pages first, then
 * of pages that are kept for nobody, the oldest first. Returns how many bytes went. */
uint64_t weir_state_trim(weir_state *state, uint64_t keep_bytes);
/* Make the oldest kept page free, with its memory. False when none is kept. */
bool weir_state_forget_oldest(weir_state *state);

/* For the mixers. A class's pages: page p of it begins at base + p * stride_bytes. */
struct weir_state_view {
    uint8_t *base;
    uint64_t stride_bytes;
    uint64_t at_bytes; /* of this layer within a page; within a block */
    uint32_t page_length;
};
/* Of a paged layer. */
struct weir_state_view weir_state_view_get(const weir_state *state, uint32_t layer);
/* Of a recurrent layer: the sequence's own block, or its number, where a device has it. */
void *weir_sequence_block(const weir_sequence *sequence, uint32_t layer);
uint32_t weir_sequence_block_number(const weir_sequence *sequence);

/* What a sequence takes beside its pages and its block. */
uint64_t weir_sequence_bytes(const weir_state *state);
enum weir_status weir_sequence_create(weir_sequence **out, weir_state *state, struct weir_err *err);
void weir_sequence_destroy(weir_sequence **sequence);
/* A second sequence that begins as this one is: pages are shared until one of them writes, so this
 * one reserves again before it does. */
enum weir_status weir_sequence_fork(weir_sequence **out, const weir_sequence *sequence,
                                    struct weir_err *err);

uint32_t weir_sequence_length(const weir_sequence *sequence);
/* The table: page numbers, [ceil(length / page_length)] and those reserved. Borrowed; may change at
 * the next reserve. */
const uint32_t *weir_sequence_pages(const weir_sequence *sequence);
/* The id at a position before length. */
uint32_t weir_sequence_id(const weir_sequence *sequence, uint32_t position);

/* Pages that reserve would take for positions [length, n_position). */
uint32_t weir_sequence_lack(const weir_sequence *sequence, uint32_t n_position);
/* Of `count` more positions, how many may be computed in one step: a recurrence must be seen where
 * a snapshot is taken, so its steps do not pass one. */
uint32_t weir_sequence_step_max(const weir_sequence *sequence, uint32_t count);
/* Pages to write positions [length, n_position) in: new ones, and a copy of the last page where
 * another sequence shares it. n_position is at most n_ctx. Takes free pages with memory first, then
 * kept ones; NOMEM when neither is left (see weir_state_populate). What was reserved and is not
 * committed stays reserved until rewind or destroy; where such positions may have changed a block,
 * rewind comes before the next step. */
enum weir_status weir_sequence_reserve(weir_sequence *sequence, uint32_t n_position,
                                       struct weir_err *err);
/* Positions [length, length + count), reserved before, are computed; count is at most step_max.
 * Pages that are full are indexed, unless a sequence has equal ones that are; windows let go of
 * what lies wholly before them. */
void weir_sequence_commit(weir_sequence *sequence, const uint32_t *ids, uint32_t count);
/* Forget positions from `position` (at most length) on. Returns the new length: less than was asked
 * for where a recurrence has no snapshot there or a window has let go of what it would see; the
 * caller computes the rest again. Nothing stays reserved. */
uint32_t weir_sequence_rewind(weir_sequence *sequence, uint32_t position);
/* What rewind would return. */
uint32_t weir_sequence_reach(const weir_sequence *sequence, uint32_t position);
/* An empty sequence takes pages that hold the first of these ids, computed before by any sequence;
 * returns how many positions it has now: whole pages, and always fewer than count, so that there is
 * something to compute. */
uint32_t weir_sequence_adopt(weir_sequence *sequence, const uint32_t *ids, uint32_t count);

/* ---- numbers, and checks ------------------------------------------------------------------- */

struct weir_state_stats {
    uint32_t page_max, populated_pages, used_pages, kept_pages;
    uint64_t copied_pages, adopted_pages, forgotten_pages; /* since create */
};
void weir_state_stats_get(const weir_state *state, struct weir_state_stats *stats);
/* Assert the invariants of state.c; for tests and debug builds. Of all pages and blocks, and of a
 * sequence's table too. */
void weir_state_check(const weir_state *state);
void weir_sequence_check(const weir_sequence *sequence);

#include "state/state_carry.h"

#endif
