/* state_carry.h - what is carried away from pages and blocks, and comes back (carry.c); a part of
 * state.h, which includes it. */
#ifndef WEIR_STATE_CARRY_H
#define WEIR_STATE_CARRY_H

/* What pages and blocks are, for whoever keeps them elsewhere. */
struct weir_state_shape {
    uint32_t page_length, class_count;
    uint32_t table_length; /* the most pages of a sequence */
    uint32_t windows[WEIR_STATE_CLASS_MAX];
    uint64_t class_bytes[WEIR_STATE_CLASS_MAX]; /* of a page: whole WEIR_IO_ALIGN */
    uint64_t block_bytes;                       /* the same of a block; 0: no layer is recurrent */
};
/* *shape of a state as config would have it. False where create would refuse. */
bool weir_state_shape_plan(const struct weir_state_config *config, struct weir_state_shape *shape);
void weir_state_shape_get(const weir_state *state, struct weir_state_shape *shape);

struct weir_hash {
    uint64_t word[2];
};
/* SipHash-2-4 of `count` words. */
struct weir_hash weir_hash_words(const uint8_t key[16], const uint64_t *words, size_t count);
/* Of a text that goes on with these ids behind one with the hash `before`. */
struct weir_hash weir_hash_ids(const uint8_t key[16], const struct weir_hash *before,
                               const uint32_t *ids, uint32_t count);

/* Bit c: class c of a page has memory, and so what its positions left there. */
uint8_t weir_state_page_classes(const weir_state *state, uint32_t page);
void *weir_state_page_memory(const weir_state *state, uint32_t page, uint32_t class);
const uint32_t *weir_state_page_ids(const weir_state *state, uint32_t page);
/* The block as it was after the page's last position; NULL: nobody kept it. */
const void *weir_state_page_block(const weir_state *state, uint32_t page);
/* All of a sequence's own block; NULL: no layer is recurrent. */
void *weir_sequence_own_block(const weir_sequence *sequence);
/* It gets another one, since the device may write in it for ever, where there is one. */
void weir_sequence_leave_block(weir_sequence *sequence);

/* Of layers that are carried: what a device has of a page's classes, or of a block, is in memory
 * here when the call ends; or the device has what is here. False: the device is lost. */
bool weir_state_carry_page(const weir_state *state, uint32_t page, uint8_t classes, bool comes);
bool weir_state_carry_block(const weir_state *state, void *block, bool comes);

/* A page in use keeps memory and snapshot, and what is there now, until it is released: who writes
 * in it takes a copy. Returns its classes, which release wants back. */
uint8_t weir_state_hold(weir_state *state, uint32_t page);
void weir_state_release(weir_state *state, uint32_t page, uint8_t classes);

/* What is elsewhere comes: an empty sequence is to have the first `length` of these ids. It gets
 * the pages at the beginning that are known here, as far as they are all that it will look at.
 * Returns how many pages it then has; the others come with weir_sequence_expect(). */
uint32_t weir_sequence_lead(weir_sequence *sequence, const uint32_t *ids, uint32_t length);
/* Pages for all `length` positions, which nobody else finds until they have arrived; before that
 * the sequence is only rewound to 0 or destroyed. Errors: as weir_sequence_reserve(). */
enum weir_status weir_sequence_expect(weir_sequence *sequence, uint32_t length,
                                      struct weir_err *err);
/* The pages have what these ids left: of page p the classes[p], each [pages of length]; has_block:
 * so has the sequence's block, after `length` positions. Returns how many positions the sequence
 * has now: `length`, or fewer whole pages where those behind them cannot be gone on from. */
uint32_t weir_sequence_arrive(weir_sequence *sequence, const uint32_t *ids, uint32_t length,
                              const uint8_t *classes, bool has_block);

#endif
