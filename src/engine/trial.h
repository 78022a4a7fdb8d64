/* trial.h - is decode faster with look-ahead or without it? Both are tried, on this machine with
 * this model, while texts are written.
 *
 * Look-ahead reads while the device would do nothing. That is worth much on a disk whose time is
 * lost when it rests, and nothing on one that is only held to an average (many a virtual disk);
 * there it costs the bytes of wrong guesses. No measurement before tells which it is.
 *
 * A pair is many steps in the way that leads so far, and in their middle a few in the other way. So
 * a machine that gets slower helps neither, and a trial costs little. What steps read differs by
 * more than look-ahead saves, so the time of each side is divided by the time that its steps are
 * expected to take, and the ratio of the two sides is what a pair says. A side's expected time is
 *
 *     expected = computing * steps + reading * needed
 *
 * where computing is the time of a step without its waits, and reading is the wait for one of the
 * records that it needed: both are means over all steps of the trial. */
#ifndef WEIR_TRIAL_H
#define WEIR_TRIAL_H

#include "base/base.h"

enum { WEIR_TRIAL_PAIR_MAX = 12 };

/* One step that decodes, or several added up. */
struct weir_trial_steps {
    uint64_t count;
    uint64_t took_ns;
    uint64_t wait_ns; /* of took_ns: for records */
    uint64_t needed;  /* records it used that would have no slot without reads ahead */
};

struct weir_trial {
    bool is_on;        /* for the next step */
    bool is_decided;   /* is_on stays for a while */
    bool leader_is_on; /* as it looks so far */
    uint32_t step;     /* within the pair, or since the decision */
    struct weir_trial_steps all;
    struct weir_trial_steps pair[2]; /* off, on */
    uint32_t pair_count;
    double ratios[WEIR_TRIAL_PAIR_MAX]; /* with / without, a pair each */
};

void weir_trial_start(struct weir_trial *trial);
/* One step decoded as is_on said. */
void weir_trial_tell(struct weir_trial *trial, const struct weir_trial_steps *step);
/* The middle of the pairs' ratios, time with over time without; 0 when there is none. */
double weir_trial_ratio(const struct weir_trial *trial);

#endif
