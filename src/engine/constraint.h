/* constraint.h - what a grammar leaves of a sampler's candidates. */
#ifndef WEIR_CONSTRAINT_H
#define WEIR_CONSTRAINT_H

#include "engine/ranking.h"
#include "grammar/grammar.h"
#include "weir.h"

struct weir_constraint {
    const weir_grammar *grammar; /* borrowed; NULL: everything is allowed */
    weir_matcher *matcher;
    const uint32_t *mask; /* of the last apply */
    bool has_ended;       /* the text is whole: nothing comes any more */
    bool ends_in_time;    /* within picks_left */
    uint32_t picks_left;
    struct weir_err why; /* why the last pick found nothing */
};

enum weir_status weir_constraint_init(struct weir_constraint *constraint,
                                      const weir_grammar *grammar, uint32_t whole_within,
                                      struct weir_err *err);
void weir_constraint_deinit(struct weir_constraint *constraint);
/* Logits of what is not allowed become -INFINITY. False: nothing may come, or why says what is
 * wrong. */
bool weir_constraint_apply(struct weir_constraint *constraint, struct weir_candidate *candidates,
                           uint32_t n_vocab);
/* The text goes on with id. False: it is not allowed (all that is had no share); as above. */
bool weir_constraint_accept(struct weir_constraint *constraint, uint32_t id);
/* Both for an id that was chosen elsewhere. False: it is not allowed here, and nothing has come: no
 * pick is used up. */
bool weir_constraint_take(struct weir_constraint *constraint, uint32_t id);
/* Bytes that the text needs at least to be whole; 0: it may end. */
uint32_t weir_constraint_bytes_left(const struct weir_constraint *constraint);

#endif
