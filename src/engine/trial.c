/* trial.c - pairs, then a decision that is looked at again now and then. */
#include "engine/trial.h"

#include <math.h>
#include <string.h>

enum {
    PAIR_TOKENS = 32, /* what leads so far, at first "on", but for */
    OTHER_TOKENS = 2, /* in the middle */
    OTHER_AT = (PAIR_TOKENS - OTHER_TOKENS) / 2,
    VOTES_TO_LEAD = 2,   /* pairs more for it that make the other lead: single pairs are noisy */
    PAIR_MIN = 4,        /* enough when all of them agree */
    PAIRS_A_DISSENT = 2, /* more for each that does not */
    TOKENS_HELD = 1024,  /* after a decision; texts and machines change */
};

void weir_trial_start(struct weir_trial *trial)
{
    const uint32_t decision_count = trial->decision_count;
    *trial =
        (struct weir_trial){.is_on = true, .leader_is_on = true, .decision_count = decision_count};
}

double weir_trial_ratio(const struct weir_trial *trial)
{
    double sorted[WEIR_TRIAL_PAIR_MAX];
    const uint32_t count = trial->pair_count;
    if (count == 0)
        return 1.0;
    for (uint32_t index = 0; index < count; index++) {
        uint32_t at = index;
        for (; at > 0 && sorted[at - 1] > trial->ratios[index]; at--)
            sorted[at] = sorted[at - 1];
        sorted[at] = trial->ratios[index];
    }
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2.0;
}

/* The time of a side of the pair relative to what its tokens should take. */
static double pace(const struct weir_trial *trial, bool is_on)
{
    const struct weir_trial_tokens *all = &trial->all;
    const struct weir_trial_tokens *side = &trial->pair[is_on];
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
    trial->decision_count++;
}

static void add_tokens(struct weir_trial_tokens *sum, const struct weir_trial_tokens *more)
{
    sum->count += more->count;
    sum->took_ns += more->took_ns;
    sum->wait_ns += more->wait_ns;
    sum->needed += more->needed;
}

void weir_trial_tell(struct weir_trial *trial, const struct weir_trial_tokens *token)
{
    WEIR_ASSERT(token->count == 1 && token->wait_ns <= token->took_ns);
    trial->token++;
    if (trial->is_decided) {
        if (trial->token == TOKENS_HELD)
            weir_trial_start(trial);
        return;
    }
    add_tokens(&trial->all, token);
    add_tokens(&trial->pair[trial->is_on], token);
    if (trial->token == PAIR_TOKENS) {
        trial->token = 0;
        finish_pair(trial);
    }
    if (!trial->is_decided) {
        const bool is_other = trial->token >= OTHER_AT && trial->token < OTHER_AT + OTHER_TOKENS;
        trial->is_on = is_other != trial->leader_is_on;
    }
}
