/* trial.c - pairs, then a decision that is looked at again now and then. */
#include "engine/trial.h"

#include <math.h>
#include <string.h>

enum {
    PAIR_STEPS = 32, /* in the way that leads so far, at first with look-ahead */
    OTHER_STEPS = 2, /* of them in the other way, in the middle */
    OTHER_AT = (PAIR_STEPS - OTHER_STEPS) / 2,
    VOTES_TO_LEAD = 2,   /* more pairs for the other way: then that one leads */
    PAIR_MIN = 4,        /* they are enough when all of them agree */
    PAIRS_A_DISSENT = 2, /* so many more for each pair that disagrees */
    STEPS_HELD = 1024,   /* until a decision is looked at again: texts and machines change */
};

void weir_trial_start(struct weir_trial *trial)
{
    *trial = (struct weir_trial){.is_on = true, .leader_is_on = true};
}

double weir_trial_ratio(const struct weir_trial *trial)
{
    double sorted[WEIR_TRIAL_PAIR_MAX];
    const uint32_t count = trial->pair_count;
    if (count == 0)
        return 0.0;
    for (uint32_t index = 0; index < count; index++) {
        uint32_t at = index;
        for (; at > 0 && sorted[at - 1] > trial->ratios[index]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = trial->ratios[index];
    }
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
}

/* The time of a side of the pair relative to what its steps should take. */
static double pace(const struct weir_trial *trial, bool is_on)
{
    const struct weir_trial_steps *all = &trial->all;
    const struct weir_trial_steps *side = &trial->pair[is_on];
    const double computing = (double)(all->took_ns - all->wait_ns) / (double)all->count;
    const double reading = (double)all->wait_ns / (double)weir_max(all->needed, 1);
    const double expected = computing * (double)side->count + reading * (double)side->needed;
    return (double)side->took_ns / fmax(expected, 1.0);
}

static void finish_pair(struct weir_trial *trial)
{
    trial->ratios[trial->pair_count++] = pace(trial, true) / pace(trial, false);
    memset(trial->pair, 0, sizeof(trial->pair));
    uint32_t votes[2] = {0, 0}; /* for off, for on */
    for (uint32_t pair = 0; pair < trial->pair_count; pair++)
        votes[trial->ratios[pair] < 1.0]++;
    if (votes[!trial->leader_is_on] >= votes[trial->leader_is_on] + VOTES_TO_LEAD)
        trial->leader_is_on = !trial->leader_is_on;
    const uint32_t dissent = (uint32_t)weir_min(votes[0], votes[1]);
    if (trial->pair_count < WEIR_TRIAL_PAIR_MAX &&
        trial->pair_count < PAIR_MIN + PAIRS_A_DISSENT * dissent)
        return;
    trial->is_decided = true;
    trial->is_on = trial->leader_is_on = weir_trial_ratio(trial) < 1.0;
}

static void add_steps(struct weir_trial_steps *sum, const struct weir_trial_steps *more)
{
    sum->count += more->count;
    sum->took_ns += more->took_ns;
    sum->wait_ns += more->wait_ns;
    sum->needed += more->needed;
}

void weir_trial_tell(struct weir_trial *trial, const struct weir_trial_steps *step)
{
    WEIR_ASSERT(step->count == 1 && step->wait_ns <= step->took_ns);
    trial->step++;
    if (trial->is_decided) {
        if (trial->step == STEPS_HELD)
            weir_trial_start(trial);
        return;
    }
    add_steps(&trial->all, step);
    add_steps(&trial->pair[trial->is_on], step);
    if (trial->step == PAIR_STEPS) {
        trial->step = 0;
        finish_pair(trial);
    }
    if (!trial->is_decided) {
        const bool is_other = trial->step >= OTHER_AT && trial->step < OTHER_AT + OTHER_STEPS;
        trial->is_on = is_other != trial->leader_is_on;
    }
}
