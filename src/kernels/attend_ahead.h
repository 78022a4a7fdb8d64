/* attend_ahead.h - which rows of K and V attention reads next, asked for before they are read. */
#ifndef WEIR_KERNELS_ATTEND_AHEAD_H
#define WEIR_KERNELS_ATTEND_AHEAD_H

#include "base/base.h"
#include "kernels/attend.h"
#include "kernels/kernels_internal.h"

/* Rows of K or V that lie side by side. */
struct rows {
    const uint8_t *first;
    size_t count;
    size_t row_bytes; /* from one to the next, and of one */
};

/* Rows of a page that are read one after the other, and the rows after them, which lie elsewhere. A
 * block's K is followed by its V, and that by K of the next block or of the caller's next call. */
struct ahead {
    struct rows rows, after;
    size_t lead;       /* rows */
    size_t read_count; /* of the range's, in each of its turns, of which this is the turn-th */
    size_t turn, turn_count;
};

/* Near enough that not more is fetched ahead than the CPU waits for: what is beyond that, it drops.
 */
enum { LEAD_BYTES = 4096, LINE_BYTES = 64, FIRST_LEVEL = 3 };

/* Rows of K, or of V, from position p on, which is at or after the range's: those of p's block. */
WEIR_INLINE struct rows keys_from(const struct weir_attend_range *range, size_t p)
{
    const struct weir_attention *last = &range->jobs[range->n - 1];
    return (struct rows){
        .first = (const uint8_t *)last->k + weir_attend_row(range, last->k_row_bytes, p),
        .count = weir_min(weir_min(last->n_position - p, WEIR_ATTEND_BLOCK), last->page_length),
        .row_bytes = last->k_row_bytes};
}

WEIR_INLINE struct rows values_from(const struct weir_attend_range *range, size_t p)
{
    const struct weir_attention *last = &range->jobs[range->n - 1];
    return (struct rows){
        .first = (const uint8_t *)last->v + weir_attend_row(range, last->v_row_bytes, p),
        .count = weir_min(weir_min(last->n_position - p, WEIR_ATTEND_BLOCK), last->page_length),
        .row_bytes = last->v_row_bytes};
}

/* The range's own rows come first. Its queries take turns, WEIR_ATTENTION_TURN in each; jobs are
 * those of one. */
WEIR_INLINE struct ahead begin_with(const struct weir_attend_range *range,
                                    const struct weir_attention *jobs, struct rows rows)
{
    rows.count = range->end - range->begin;
    return (struct ahead){.rows = rows,
                          .lead = LEAD_BYTES / rows.row_bytes,
                          .read_count = rows.count,
                          .turn = (size_t)(jobs - range->jobs) / WEIR_ATTENTION_TURN,
                          .turn_count = (range->n + WEIR_ATTENTION_TURN - 1) / WEIR_ATTENTION_TURN};
}

/* Whether more of the range's block follows in another page. */
WEIR_INLINE bool goes_on(const struct weir_attend_range *range)
{
    return range->end < range->block + WEIR_ATTEND_BLOCK &&
           range->end < range->jobs[range->n - 1].n_position;
}

WEIR_INLINE struct ahead keys_ahead(const struct weir_attend_range *range,
                                    const struct weir_attention *jobs)
{
    const struct weir_attention *last = &range->jobs[range->n - 1];
    struct ahead ahead = begin_with(range, jobs, keys_from(range, range->begin));
    if (goes_on(range))
        ahead.after = keys_from(range, range->end);
    else if (range->begin == weir_attend_first_row(range, last))
        ahead.after = values_from(range, range->begin);
    return ahead;
}

WEIR_INLINE struct ahead values_ahead(const struct weir_attend_range *range,
                                      const struct weir_attention *jobs)
{
    const struct weir_attention *last = &range->jobs[range->n - 1];
    const size_t next = range->block + WEIR_ATTEND_BLOCK;
    struct ahead ahead = begin_with(range, jobs, values_from(range, range->begin));
    if (last->v == last->k) /* they were read as keys */
        ahead.rows.count = ahead.lead = 0;
    if (goes_on(range))
        ahead.after = values_from(range, range->end);
    else if (next < last->n_position)
        ahead.after = keys_from(range, next);
    else if (last->next_k != NULL)
        ahead.after = (struct rows){
            .first = last->next_k,
            .count = weir_min(weir_min(last->n_position - last->first, WEIR_ATTEND_BLOCK),
                              last->page_length),
            .row_bytes = last->k_row_bytes};
    return ahead;
}

WEIR_INLINE void ask_row(const struct rows *rows, size_t at)
{
    for (size_t i = 0; i < rows->row_bytes; i += LINE_BYTES)
        __builtin_prefetch(rows->first + at * rows->row_bytes + i, 0, FIRST_LEVEL);
}

/* Before rows [from, from + count) are read: as many are asked for. */
WEIR_INLINE void ask_near(const struct ahead *ahead, size_t from, size_t count)
{
    for (size_t row = from + ahead->lead; row < from + ahead->lead + count; row++) {
        const bool is_after = row >= ahead->rows.count;
        const struct rows *rows = is_after ? &ahead->after : &ahead->rows;
        const size_t at = is_after ? row - ahead->rows.count : row;
        if (at >= rows->count)
            return;
        ask_row(rows, at);
    }
}

/* The same where there are several turns: the rows after the range's are asked for in equal parts,
 * since the CPU does not wait for as many as one turn has time for. */
WEIR_INLINE void ask_in_turns(const struct ahead *ahead, size_t from, size_t count)
{
    const size_t first = ahead->turn * ahead->read_count + from;
    for (size_t at = first / ahead->turn_count;
         at < (first + count) / ahead->turn_count && at < ahead->after.count; at++)
        ask_row(&ahead->after, at);
}

WEIR_INLINE void ask_ahead(const struct ahead *ahead, size_t from, size_t count)
{
    if (ahead->turn_count > 1)
        ask_in_turns(ahead, from, count);
    else
        ask_near(ahead, from, count);
}

#endif
