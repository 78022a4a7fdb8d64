/* trial.h - on or off? Both are tried on this machine with this model, in pairs.
 *
 * A pair is many tokens as what leads so far, and in their middle a few as the other one: a drift
 * of the machine helps neither, and a trial costs little.
 *
 * Tokens differ by what they need from the device more than the thing is worth. So the time of
 * either is taken relative to what is expected of its tokens, and what counts is each pair's ratio:
 *
 *     expected = computing * tokens + reading * needed
 *
 * with computing the time of a token without its waits, reading the wait for one of the records
 * that were needed, both the means of all tokens of the trial. */
#ifndef WEIR_TRIAL_H
#define WEIR_TRIAL_H

#include "base/base.h"

enum { WEIR_TRIAL_PAIR_MAX = 12 };

/* One token, or several added up. */
struct weir_trial_tokens {
    uint64_t count;
    uint64_t took_ns;
    uint64_t wait_ns; /* of took_ns: for records */
    uint64_t needed;  /* records it used that would not be resident without reads ahead */
};

struct weir_trial {
    bool is_on;        /* for the next token */
    bool is_decided;   /* is_on stays for a while */
    bool leader_is_on; /* as it looks so far */
    uint32_t token;    /* within the pair, or since the decision */
    struct weir_trial_tokens all;
    struct weir_trial_tokens pair[2]; /* off, on */
    uint32_t pair_count;
    double ratios[WEIR_TRIAL_PAIR_MAX]; /* with / without, a pair each */
    uint32_t decision_count;
};

void weir_trial_start(struct weir_trial *trial);
/* One token was decoded as is_on said. */
void weir_trial_tell(struct weir_trial *trial, const struct weir_trial_tokens *token);
/* The middle of the pairs' ratios; 1 when there is none. */
double weir_trial_ratio(const struct weir_trial *trial);

#endif
