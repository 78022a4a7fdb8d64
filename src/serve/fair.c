/* fair.c - whose turn it is: deficit round robin over tokens, among the parties that ask.
 *
 * I1  A party is in the ring while it has a text that waits or runs. Outside it has no deficit.
 * I2  A deficit is at most what its party wants computed: nobody saves up. */
#include "serve/fair.h"

#include <stddef.h>

#include "serve/scheduler.h"

enum {
    QUANTUM = 8,     /* tokens a turn: the fewest rows of prompts that a step has for all */
    QUESTION = 64,   /* tokens of a short question: who then owes no more has all of it at once */
    PASSED = 16,     /* rows by which a prompt is as if shorter for each that came after it, */
    PASSED_MAX = 16, /* and of how many of those that come later it may be passed */
    DEBT_MAX = 4096, /* what was written before is forgotten */
};

static uint32_t weight_of(const struct weir_party *party)
{
    return party->weight == 0 ? 1 : party->weight;
}

/* ---- the ring ------------------------------------------------------------------------------ */

/* A new party comes last. */
static void join_ring(struct weir_fair *fair, struct weir_party *party)
{
    if (party->next != NULL)
        return;
    party->next = party->before = party;
    if (fair->first == NULL) {
        fair->first = party;
        return;
    }
    party->next = fair->first;
    party->before = fair->first->before;
    party->before->next = party;
    party->next->before = party;
}

static void leave_ring(struct weir_fair *fair, struct weir_party *party)
{
    if (party->first != NULL || party->running > 0)
        return;
    if (fair->first == party)
        fair->first = party->next == party ? NULL : party->next;
    party->before->next = party->next;
    party->next->before = party->before;
    party->next = party->before = NULL;
    party->deficit = 0; /* keeps I1 */
}

/* ---- jobs that wait ------------------------------------------------------------------------ */

void weir_fair_wait(struct weir_fair *fair, struct weir_job *job)
{
    struct weir_party *party = job->party;
    job->next = NULL;
    if (party->last != NULL)
        party->last->next = job;
    else
        party->first = job;
    party->last = job;
    join_ring(fair, party);
}

void weir_fair_wait_first(struct weir_fair *fair, struct weir_job *job)
{
    struct weir_party *party = job->party;
    job->next = party->first;
    party->first = job;
    if (party->last == NULL)
        party->last = job;
    join_ring(fair, party);
}

/* Tokens that the party wants computed: its prompts that run, and the next that waits. */
static int64_t count_wanted(const struct weir_party *party)
{
    return (int64_t)party->wanted + (party->first == NULL ? 0 : (int64_t)party->first->cost);
}

/* Until its deficit holds all of that. */
static int64_t count_turns(const struct weir_party *party)
{
    const int64_t each = (int64_t)QUANTUM * weight_of(party);
    const int64_t short_of = count_wanted(party) - party->deficit;
    return short_of <= 0 ? 0 : (short_of + each - 1) / each;
}

struct weir_job *weir_fair_next(const struct weir_fair *fair,
                                bool (*may)(const void *user, const struct weir_job *job),
                                const void *user)
{
    struct weir_job *best = NULL;
    const struct weir_party *party = fair->first;
    int64_t best_turns = 0;
    if (party == NULL)
        return NULL;
    do {
        const int64_t turns = count_turns(party);
        if (party->first != NULL && (best == NULL || turns < best_turns) &&
            may(user, party->first)) {
            best = party->first;
            best_turns = turns;
        }
        party = party->next;
    } while (party != fair->first);
    return best;
}

bool weir_fair_is_question(const struct weir_job *job)
{
    return job->party->running == 0 && job->cost <= QUESTION;
}

void weir_fair_enter(struct weir_fair *fair, struct weir_job *job)
{
    struct weir_party *party = job->party;
    WEIR_ASSERT(party->first == job);
    party->first = job->next;
    if (party->first == NULL)
        party->last = NULL;
    job->next = NULL;
    if (party->wanted == 0)
        party->came = fair->came++;
    party->running++;
    party->wanted += job->cost; /* until the next step counts again */
    /* What it had for coming in is used up: others' prompts must not wait for all of this one. */
    party->deficit = party->deficit > 0 ? 0 : party->deficit;
}

void weir_fair_leave(struct weir_fair *fair, struct weir_job *job)
{
    struct weir_party *party = job->party;
    WEIR_ASSERT(party->running > 0);
    party->running--;
    if (party->running == 0)
        party->wanted = party->prompts = 0;
    leave_ring(fair, party);
}

/* Those of one party that do not stay, before those that are gone already. */
static struct weir_job *weed_party(struct weir_party *party,
                                   bool (*stays)(const struct weir_job *job), struct weir_job *gone)
{
    struct weir_job *job = party->first;
    party->first = party->last = NULL;
    while (job != NULL) {
        struct weir_job *next = job->next;
        const bool is_kept = stays(job);
        job->next = is_kept ? NULL : gone;
        if (!is_kept)
            gone = job;
        else if (party->last != NULL)
            party->last->next = job;
        else
            party->first = job;
        if (is_kept)
            party->last = job;
        job = next;
    }
    return gone;
}

struct weir_job *weir_fair_weed(struct weir_fair *fair, bool (*stays)(const struct weir_job *job))
{
    struct weir_job *gone = NULL;
    struct weir_party *party = fair->first;
    const struct weir_party *last = party == NULL ? NULL : party->before;
    while (party != NULL) {
        struct weir_party *next = party == last ? NULL : party->next;
        gone = weed_party(party, stays, gone);
        leave_ring(fair, party);
        party = next;
    }
    return gone;
}

/* It has two at least, and by weight more than the job's party would have with one more, or the
 * job's has none. Among several the one that has the most by weight. As nobody loses its last text,
 * and nobody who loses one has less than who gets it, this comes to an end. */
struct weir_party *weir_fair_debtor(const struct weir_fair *fair, const struct weir_job *job)
{
    const struct weir_party *own = job->party;
    struct weir_party *most = NULL;
    struct weir_party *party = fair->first;
    do {
        const uint64_t with_one = ((uint64_t)own->running + 1) * weight_of(party);
        const bool has_more =
            party->running >= 2 &&
            (own->running == 0 || (uint64_t)party->running * weight_of(own) > with_one);
        if (party != own && has_more &&
            (most == NULL || (uint64_t)party->running * weight_of(most) >
                                 (uint64_t)most->running * weight_of(party)))
            most = party;
        party = party->next;
    } while (party != fair->first);
    return most;
}

/* ---- rows ---------------------------------------------------------------------------------- */

void weir_fair_charge(struct weir_fair *fair, struct weir_party *party)
{
    fair->computed++;
    if (party->deficit > -DEBT_MAX)
        party->deficit--;
}

/* Tokens that a turn of the wheel gives to all together. */
static uint64_t turn_tokens(const struct weir_fair *fair)
{
    const struct weir_party *party = fair->first;
    uint64_t tokens = 0;
    do {
        tokens += (uint64_t)QUANTUM * weight_of(party);
        party = party->next;
    } while (party != fair->first);
    return tokens;
}

/* So often; what it gives is what was computed since it turned last, as far as there was that. */
static void turn_wheel(struct weir_fair *fair, uint64_t turns)
{
    struct weir_party *party = fair->first;
    fair->computed -= weir_min(fair->computed, turns * turn_tokens(fair));
    do {
        const int64_t wanted = count_wanted(party) - party->given;
        party->deficit += (int64_t)turns * QUANTUM * weight_of(party);
        party->deficit = party->deficit > wanted ? wanted : party->deficit; /* keeps I2 */
        party = party->next;
    } while (party != fair->first);
}

/* Lower is earlier. A prompt's rows bring it no token but the last, so the shortest is first. */
static uint64_t place_of(const struct weir_party *party)
{
    return weir_min(party->wanted, PASSED * PASSED_MAX) + PASSED * party->came;
}

static uint32_t count_left(const struct weir_party *party)
{
    return party->wanted - party->given;
}

/* How much its deficit lacks until it may have rows: one, or all. Not above 0: it may. */
static int64_t count_lack(const struct weir_party *party)
{
    const int64_t left = count_left(party);
    return (left <= QUESTION ? left - QUESTION : 1) - party->deficit;
}

/* Whose rows are next; NULL: nobody's before the wheel turns. */
static struct weir_party *find_next(const struct weir_fair *fair)
{
    struct weir_party *party = fair->first;
    struct weir_party *next = NULL;
    do {
        if (count_left(party) > 0 && count_lack(party) <= 0 &&
            (next == NULL || place_of(party) < place_of(next)))
            next = party;
        party = party->next;
    } while (party != fair->first);
    return next;
}

/* Until one that wants rows may have some: none may now. */
static uint64_t count_turns_until_next(const struct weir_fair *fair)
{
    const struct weir_party *party = fair->first;
    uint64_t fewest = UINT64_MAX;
    do {
        const uint64_t each = (uint64_t)QUANTUM * weight_of(party);
        if (count_left(party) > 0)
            fewest = weir_min(fewest, ((uint64_t)count_lack(party) + each - 1) / each);
        party = party->next;
    } while (party != fair->first);
    return fewest;
}

uint32_t weir_fair_questions(const struct weir_fair *fair)
{
    const struct weir_party *party = fair->first;
    uint32_t rows = 0;
    if (party == NULL)
        return 0;
    do {
        rows += (int64_t)party->wanted <= party->deficit + QUESTION ? party->wanted : 0;
        party = party->next;
    } while (party != fair->first);
    return rows;
}

/* How many of the rows the party has; *is_met: that is all that it wants. */
static uint32_t give(struct weir_fair *fair, struct weir_party *party, uint32_t rows, bool *is_met)
{
    const uint32_t left = count_left(party);
    const bool is_question = left <= party->deficit + QUESTION;
    const uint32_t may = is_question ? left : (uint32_t)weir_min((uint64_t)party->deficit, left);
    const uint32_t taken = (uint32_t)weir_min(may, rows);
    party->given += taken;
    party->deficit -= taken;
    fair->computed += taken;
    *is_met = *is_met || taken == left;
    return taken;
}

void weir_fair_deal(struct weir_fair *fair, uint32_t rows)
{
    struct weir_party *party = fair->first;
    uint64_t wanted = 0;
    bool is_met = false;
    if (party == NULL)
        return;
    do {
        wanted += party->wanted;
        party->given = 0;
        party = party->next;
    } while (party != fair->first);
    turn_wheel(fair, fair->computed / turn_tokens(fair));
    rows = (uint32_t)weir_min(rows, wanted);
    while (rows > 0) {
        party = find_next(fair);
        if (party == NULL && is_met)
            return;
        if (party != NULL)
            rows -= give(fair, party, rows, &is_met);
        else
            turn_wheel(fair, count_turns_until_next(fair));
    }
}
