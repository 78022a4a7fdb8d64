/* matcher.h - the states of a text in a grammar, made as they are met. */
#ifndef WEIR_MATCHER_H
#define WEIR_MATCHER_H

#include "grammar/grammar.h"

enum {
    WEIR_STATE_DEAD = UINT32_MAX, /* no text begins so */
    WEIR_STATE_UNKNOWN = UINT32_MAX - 1,
    WEIR_STATE_FULL = UINT32_MAX - 2, /* there is no room for it */
};

/* An open rule: where it goes on, the stack under it, whose number is smaller, and how many bytes
 * all of them still need. */
struct weir_stack_node {
    uint32_t pc, below, least;
};

struct weir_match_state {
    uint32_t way_at, way_count;
    uint32_t mask;  /* its slot among the masks; UINT32_MAX: none */
    uint32_t least; /* bytes until the text may end */
    bool may_end;
};

/* I1  A way is an instruction BYTE that comes next, in the upper half, and a stack, in the lower.
 * I2  The ways of a state are sorted and differ; two states differ in their ways or in may_end.
 * I3  Two stacks with one number are the same, and two numbers are two stacks; 0 is the empty one.
 * All of it can be computed again, but for the state that the text is in. */
struct weir_states {
    const struct weir_program *program;
    uint8_t class_of[256]; /* bytes that no instruction tells apart are one class */
    uint8_t byte_of[256];  /* one of each class */
    uint32_t class_count;
    struct weir_match_state *states;
    uint32_t *table; /* [state_max][class_count] the next state */
    uint32_t state_max, state_count;
    uint64_t *ways;
    uint32_t way_count;
    uint32_t *state_slots; /* by the hash of their ways, plus one */
    struct weir_stack_node *stacks;
    uint32_t stack_count;
    uint32_t *stack_slots;
    /* Scratch of one step. */
    uint64_t *open; /* (instruction, stack) still to be followed */
    uint64_t *seen; /* by hash; of this step when its stamp says so */
    uint32_t *stamps;
    uint64_t *next; /* ways of the state that is being made */
    uint32_t stamp, open_count, next_count, seen_count;
    uint32_t work; /* steps since the caller put it to 0 */
    bool next_may_end;
    const char *culprit; /* the rule at which there was no room */
};

enum weir_status weir_states_init(struct weir_states *states, const struct weir_program *program,
                                  struct weir_err *err);
void weir_states_deinit(struct weir_states *states);
/* Of no text yet. FULL never comes. */
uint32_t weir_states_first(struct weir_states *states);
/* Behind one more byte; DEAD or FULL. */
uint32_t weir_states_next(struct weir_states *states, uint32_t state, uint8_t byte);
/* Forget all but this one; returns its new number. */
uint32_t weir_states_forget(struct weir_states *states, uint32_t state);

#endif
