/* fair.h - whose turn it is: deficit round robin over tokens, among the parties that ask.
 *
 * A party is whoever shows a key or, where no keys are asked for, one request. The wheel turns from
 * party to party; at its turn a party may have a quantum of tokens more computed, times its weight,
 * and what it may have and could not use is its deficit. Tokens of prompts and written ones count
 * alike. Who is let in next is who needs the fewest turns for all that it wants computed. The first
 * rows of a party that had nothing running come before turns, and are owed afterwards: a short
 * question among long texts is answered at once.
 *
 * Source    Shreedhar and Varghese, Efficient Fair Queuing Using Deficit Round Robin, IEEE/ACM
 *           Transactions on Networking 4(3), 1996. A packet is a text's prompt there; here it is
 *           also cut in pieces, and what is written is paid for afterwards, for nobody knows its
 *           length before.
 * Threads   One: the scheduler's.
 */
#ifndef WEIR_SERVE_FAIR_H
#define WEIR_SERVE_FAIR_H

#include "base/base.h"

struct weir_job;

struct weir_party {
    uint32_t weight; /* tokens that it gets for each of a party with weight 1; 0 is 1 */

    /* The scheduler's own; zero before its first text. */
    struct weir_party *next, *before; /* in the ring of those with texts; NULL: it has none */
    struct weir_job *first, *last;    /* that wait, in the order in which they came */
    uint32_t running;                 /* its texts that take part in steps */
    uint32_t wanted;                  /* rows that their prompts still want */
    uint32_t prompts;                 /* how many those are */
    uint32_t given;                   /* of them, in the next step */
    uint32_t head;                    /* rows that it may have before its turn: it has just come */
    uint64_t came;                    /* then it was this one to come */
    int64_t deficit;                  /* tokens that it may have computed; below 0: it owes them */
};

struct weir_fair {
    struct weir_party *turn; /* whose turn it is; NULL: nobody has a text */
    bool is_paid;            /* it has had its quantum for this turn */
    uint64_t written;        /* tokens outside turns for which the wheel has not turned yet */
    uint64_t came;           /* how many have come that had nothing running */
};

/* The job waits behind its party's others, or before them. */
void weir_fair_wait(struct weir_fair *fair, struct weir_job *job);
void weir_fair_wait_first(struct weir_fair *fair, struct weir_job *job);
/* Of the jobs that wait, which is next; NULL: none that may. may: whether this one could be let in;
 * where it says no, the next party is asked, for what stands in the way goes away by itself. */
struct weir_job *weir_fair_next(const struct weir_fair *fair,
                                bool (*may)(const void *user, const struct weir_job *job),
                                const void *user);
/* Whether it is a short question of a party that has nothing running. */
bool weir_fair_is_question(const struct weir_job *job);
/* The job, the first of its party's, waits no more and runs; a running one has ended or stops. */
void weir_fair_enter(struct weir_fair *fair, struct weir_job *job);
void weir_fair_leave(struct weir_fair *fair, struct weir_job *job);
/* Takes those out that do not stay: a list of them, by next. */
struct weir_job *weir_fair_weed(struct weir_fair *fair, bool (*stays)(const struct weir_job *job));
/* The party that has more texts running than it would have to, so that the job must not wait for
 * one of them to end; NULL: there is none. */
struct weir_party *weir_fair_debtor(const struct weir_fair *fair, const struct weir_job *job);

/* A token of the party's is written in the next step. */
void weir_fair_charge(struct weir_fair *fair, struct weir_party *party);
/* Rows that those want who have just come, and want no more than what is before turns. */
uint32_t weir_fair_questions(const struct weir_fair *fair);
/* Deals rows to the parties as they want them: `given` of each. So many stay for others than who
 * has just come, for these may come without end. Where one gets the last that it
 * wants, the others get theirs of this turn of the wheel and no more: its first token does not wait
 * for rows that may as well come later. */
void weir_fair_deal(struct weir_fair *fair, uint32_t rows, uint32_t others);

#endif
