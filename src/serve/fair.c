/* fair.c - whose turn it is: deficit round robin over tokens, among the parties that ask.
 *
 * I1  A party is in the ring while it has a text that waits or runs. Outside it has no deficit.
 * I2  A deficit is at most what its party wants computed: nobody saves up. */
#include "serve/fair.h"

#include <stddef.h>

#include "serve/scheduler.h"

enum {
    QUANTUM = 8,     /* tokens a turn: the fewest rows of prompts that a step has for all */
    HEAD = 64,       /* rows that come before turns: a question's */
    PASSED = 16,     /* rows by which a question is as if shorter for each that came after it */
    DEBT_MAX = 4096, /* what was written before is forgotten */
};

static uint32_t weight_of(const struct weir_party *party)
{
    return party->weight == 0 ? 1 : party->weight;
}

/* ---- the ring ------------------------------------------------------------------------------ */

/* A new party comes last: just before the one whose turn it is. */
static void join_ring(struct weir_fair *fair, struct weir_party *party)
{
    if (party->next != NULL)
        return;
    party->next = party->before = party;
    if (fair->turn != NULL) {
        party->next = fair->turn;
        party->before = fair->turn->before;
        party->before->next = party;
        party->next->before = party;
    } else {
        fair->turn = party;
        fair->is_paid = false;
    }
}

static void leave_ring(struct weir_fair *fair, struct weir_party *party)
{
    if (party->first != NULL || party->running > 0)
        return;
    if (fair->turn == party) {
        fair->turn = party->next == party ? NULL : party->next;
        fair->is_paid = false;
    }
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
    const struct weir_party *party = fair->turn;
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
    } while (party != fair->turn);
    return best;
}

bool weir_fair_is_question(const struct weir_job *job)
{
    return job->party->running == 0 && job->cost <= HEAD;
}

void weir_fair_enter(struct weir_fair *fair, struct weir_job *job)
{
    struct weir_party *party = job->party;
    WEIR_ASSERT(party->first == job);
    party->first = job->next;
    if (party->first == NULL)
        party->last = NULL;
    job->next = NULL;
    if (party->running == 0) {
        party->head = HEAD;
        party->came = fair->came++;
    }
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
    struct weir_party *party = fair->turn;
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
    struct weir_party *party = fair->turn;
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
    } while (party != fair->turn);
    return most;
}

/* ---- rows ---------------------------------------------------------------------------------- */

void weir_fair_charge(struct weir_fair *fair, struct weir_party *party)
{
    fair->written++;
    if (party->deficit > -DEBT_MAX)
        party->deficit--;
}

/* What is written turns the wheel too: for as many tokens as a turn of the whole wheel gives, all
 * have theirs. Who writes more than its part owes it, who waits comes nearer. */
static void turn_for_written(struct weir_fair *fair)
{
    struct weir_party *party = fair->turn;
    uint64_t weights = 0;
    do {
        weights += weight_of(party);
        party = party->next;
    } while (party != fair->turn);
    const uint64_t turns = fair->written / (QUANTUM * weights);
    fair->written -= turns * QUANTUM * weights;
    if (turns == 0)
        return;
    do {
        const int64_t wanted = count_wanted(party);
        party->deficit += (int64_t)turns * QUANTUM * weight_of(party);
        party->deficit = party->deficit > wanted ? wanted : party->deficit; /* keeps I2 */
        party = party->next;
    } while (party != fair->turn);
}

/* Its quantum, once a turn; then rows as far as its deficit goes. */
static uint32_t take_turn(struct weir_fair *fair, uint32_t rows)
{
    struct weir_party *party = fair->turn;
    const int64_t wanted = count_wanted(party);
    const uint32_t left = party->wanted - party->given;
    if (!fair->is_paid)
        party->deficit += (int64_t)QUANTUM * weight_of(party);
    fair->is_paid = true;
    if (party->deficit > wanted - party->given)
        party->deficit = wanted - party->given; /* keeps I2 */
    const uint64_t may = party->deficit < 0 ? 0 : (uint64_t)party->deficit;
    const uint32_t taken = (uint32_t)weir_min(weir_min(may, left), rows);
    party->given += taken;
    party->deficit -= taken;
    return taken;
}

/* Lower is earlier: the fewest rows wanted, but nobody is passed by more than a few. */
static uint64_t place_of(const struct weir_party *party)
{
    return party->wanted + PASSED * party->came;
}

/* Of those that may have rows before turns and have none in this step, the first; NULL: there is
 * none. */
static struct weir_party *find_head(const struct weir_fair *fair)
{
    struct weir_party *party = fair->turn;
    struct weir_party *least = NULL;
    do {
        if (party->head > 0 && party->wanted > 0 && party->given == 0 &&
            (least == NULL || place_of(party) < place_of(least)))
            least = party;
        party = party->next;
    } while (party != fair->turn);
    return least;
}

/* Rows of those that have just come, which count as if they were written. A long prompt's first
 * rows bring it no token, so the shortest is first. How many, at most so many; *is_met: one has all
 * that it wants. */
static uint32_t take_heads(struct weir_fair *fair, uint32_t most, bool *is_met)
{
    struct weir_party *party = NULL;
    uint32_t all = 0;
    while (all < most && (party = find_head(fair)) != NULL) {
        const uint32_t taken = (uint32_t)weir_min(weir_min(party->head, party->wanted), most - all);
        party->head -= taken;
        party->deficit -= taken;
        party->given = taken;
        all += taken;
        *is_met = *is_met || taken == party->wanted;
    }
    fair->written += all;
    return all;
}

uint32_t weir_fair_questions(const struct weir_fair *fair)
{
    const struct weir_party *party = fair->turn;
    uint32_t rows = 0;
    if (party == NULL)
        return 0;
    do {
        rows += party->wanted <= party->head ? party->wanted : 0;
        party = party->next;
    } while (party != fair->turn);
    return rows;
}

void weir_fair_deal(struct weir_fair *fair, uint32_t rows, uint32_t others)
{
    struct weir_party *party = fair->turn;
    uint64_t wanted = 0;
    bool is_met = false;
    if (party == NULL)
        return;
    const struct weir_party *first = party;
    do {
        wanted += party->wanted;
        party->given = 0;
        party = party->next;
    } while (party != fair->turn);
    turn_for_written(fair);
    rows = (uint32_t)weir_min(rows, wanted);
    rows -= take_heads(fair, rows - (uint32_t)weir_min(others, rows), &is_met);
    while (rows > 0) {
        rows -= take_turn(fair, rows);
        if (rows == 0 && fair->turn->deficit > 0 && fair->turn->wanted > fair->turn->given)
            return; /* its turn is not over: the next step goes on with it */
        is_met = is_met || (fair->turn->given > 0 && fair->turn->given == fair->turn->wanted);
        fair->turn = fair->turn->next;
        fair->is_paid = false;
        if (is_met && fair->turn == first)
            return;
    }
}
