/* trial.h - on or off? Both are tried on this machine with this model, in pairs.
 *
 * Blocks of tokens are decoded with the thing on and off in turn, the order of a pair alternating
 * so that a drift of the machine helps neither. What counts is each pair's ratio of time a token;
 * what leads so far has the longer blocks. */
#ifndef WEIR_TRIAL_H
#define WEIR_TRIAL_H

#include "base/base.h"

enum { WEIR_TRIAL_PAIR_MAX = 12 };

struct weir_trial {
    bool is_on;        /* for the next token */
    bool is_decided;   /* is_on stays for a while */
    bool leader_is_on; /* as it looks so far; its blocks are longer */
    uint32_t token;    /* within the block, or since the decision */
    uint32_t block;    /* of the trial */
    uint64_t block_ns[2];
    uint32_t pair_count;
    double ratios[WEIR_TRIAL_PAIR_MAX]; /* time with / time without, a pair each */
    uint32_t decision_count;
};

void weir_trial_start(struct weir_trial *trial);
/* The token that was decoded as is_on said took so long. */
void weir_trial_tell(struct weir_trial *trial, uint64_t took_ns);
/* The middle of the pairs' ratios; 1 when there is none. */
double weir_trial_ratio(const struct weir_trial *trial);

#endif
