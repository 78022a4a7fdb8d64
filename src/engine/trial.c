/* trial.c - pairs of blocks, then a decision that is looked at again now and then. */
#include "engine/trial.h"

#include <string.h>

enum {
    BLOCK_TOKENS = 2,
    LEADER_TOKENS = 14,  /* what leads so far, at first "on": a trial shall cost little */
    PAIR_MIN = 5,        /* enough when all of them agree */
    PAIRS_A_DISSENT = 3, /* more for each that does not */
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

/* Pairs that say on, or off, whichever are fewer. */
static uint32_t count_dissent(const struct weir_trial *trial)
{
    uint32_t faster = 0;
    for (uint32_t pair = 0; pair < trial->pair_count; pair++)
        faster += trial->ratios[pair] < 1.0;
    return (uint32_t)weir_min(faster, trial->pair_count - faster);
}

static uint32_t block_tokens(const struct weir_trial *trial, bool is_on)
{
    return is_on == trial->leader_is_on ? LEADER_TOKENS : BLOCK_TOKENS;
}

static double token_ns(const struct weir_trial *trial, bool is_on)
{
    return (double)trial->block_ns[is_on] / block_tokens(trial, is_on);
}

static void finish_pair(struct weir_trial *trial)
{
    trial->ratios[trial->pair_count++] = token_ns(trial, true) / token_ns(trial, false);
    memset(trial->block_ns, 0, sizeof(trial->block_ns));
    trial->leader_is_on = weir_trial_ratio(trial) < 1.0;
    if (trial->pair_count < WEIR_TRIAL_PAIR_MAX &&
        trial->pair_count < PAIR_MIN + PAIRS_A_DISSENT * count_dissent(trial))
        return;
    trial->is_decided = true;
    trial->is_on = trial->leader_is_on;
    trial->decision_count++;
    trial->token = 0;
}

void weir_trial_tell(struct weir_trial *trial, uint64_t took_ns)
{
    trial->token++;
    if (trial->is_decided) {
        if (trial->token == TOKENS_HELD)
            weir_trial_start(trial);
        return;
    }
    trial->block_ns[trial->is_on] += weir_max(took_ns, 1);
    if (trial->token < block_tokens(trial, trial->is_on))
        return;
    trial->token = 0;
    trial->block++;
    /* on off, off on, on off, ... */
    trial->is_on = (trial->block + 1) / 2 % 2 == 0;
    if (trial->block % 2 == 0)
        finish_pair(trial);
}
