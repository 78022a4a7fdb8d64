/* portions.h - how many rows of prompts a step has.
 *
 * Beside tokens of others: as many as keep the step within the gap, or within three times of what
 * a step without a prompt takes where that is longer. Where not even eight rows do, a step may take
 * twice as long as with eight: what is read for these serves many. Where nobody's token waits, but
 * somebody may come: pieces of about the gap too, as long as they cost an eighth more than the
 * cheapest at most. While short questions come, which wait for the step that is under way, it is
 * half of the gap, half more than a plain step, and half more instead of an eighth. Only the step
 * that reads a question may take all of the gap, and has up to 32 rows of it beside tokens. All of
 * this follows from what steps took, in whatever way the machine spends the time.
 *
 * Threads   One: the scheduler's.
 */
#ifndef WEIR_SERVE_PORTIONS_H
#define WEIR_SERVE_PORTIONS_H

#include "base/base.h"

enum { WEIR_PORTION_SIZES = 32 };

struct weir_portions {
    uint64_t gap_ns;
    uint32_t n_chunk;    /* rows of a step */
    uint32_t first_rows; /* of a step of nothing but prompts, before any is known */
    bool is_awaited;     /* short questions come now and then: steps are shorter for them */

    /* Steps with tokens of others. */
    double plain_ns;      /* of one without a prompt; 0: not known */
    uint32_t plain_count; /* with so many tokens */
    uint32_t plain_age;   /* steps since */
    double least_ns;      /* of one with the fewest rows of a prompt; 0: not known */
    uint32_t least_age;   /* steps since */
    double row_ns;        /* that a row of a prompt adds; 0: not known */
    uint32_t tried;       /* rows that were added at once */
    double question_ns;   /* that a row adds in a step that reads a question; 0: not known */
    bool is_question;     /* the step under way does */
    bool is_tight;        /* the last one took nearly the gap, or longer */

    /* Steps of nothing but prompts: what a row takes among 2^size and more; 0: not known. */
    double size_ns[WEIR_PORTION_SIZES];
    uint32_t steps;
};

/* is_streamed: a step reads experts from the disk, so that few rows cost nearly what many do. */
void weir_portions_init(struct weir_portions *pieces, uint32_t gap_ms, uint32_t n_chunk,
                        bool is_streamed);
/* Rows for prompts in the next step, beside so many tokens, where short questions want `asked` of
 * them; *others: of these, how many stay for prompts that wait since before. 0: it does without
 * them, and tells how long that takes. */
uint32_t weir_portions_rows(struct weir_portions *pieces, uint32_t token_count, uint32_t asked,
                            uint32_t *others);
/* What the step took that had so many of both. */
void weir_portions_tell(struct weir_portions *pieces, uint32_t token_count, uint32_t row_count,
                        uint64_t took_ns);

#endif
