/* attend.h - attention with a running softmax: what is the same at every level.
 *
 * K and V pass once, WEIR_ATTEND_BLOCK positions at a time. Of the positions so far a query keeps
 * the largest score, the sum of exp(score - largest) and out, the values weighted by the same; when
 * a block holds a larger score, sum and out are scaled down to it (FlashAttention-2,
 * arXiv:2307.08691, algorithm 1). Blocks begin at multiples of their length, and positions are
 * added in their order, so a query's bits depend neither on its company nor on its chunk, nor on
 * the pages that a block lies in. Of what is packed whole tiles are added, the first of them and
 * the last for those of its positions that the query sees; rows follow. What a query counts beside
 * its positions, a sink, is there before the first of them. */
#ifndef WEIR_KERNELS_ATTEND_H
#define WEIR_KERNELS_ATTEND_H

#include "kernels/kernels.h"

enum { WEIR_ATTEND_BLOCK = 64 };

/* Rows of positions [begin, end) of one page and of one block, which begins at `block`, and n
 * queries in [1, MAX] that all see them; or the tile of [begin, begin + WEIR_TILE). */
struct weir_attend_range {
    const struct weir_attention *jobs;
    size_t n;
    size_t block, begin, end;
    size_t page; /* bytes from page 0 to begin's */
    size_t row;  /* begin's row in the page; of a tile its number there */
    size_t left; /* positions of the page from begin on */
};

/* Bytes from row 0 of page 0 of K or V, whose rows are so far apart, to begin's row. */
static inline size_t weir_attend_at(const struct weir_attend_range *range, size_t row_bytes)
{
    return range->page + range->row * row_bytes;
}

/* The same of position p, which is at or after begin. */
static inline size_t weir_attend_row(const struct weir_attend_range *range, size_t row_bytes,
                                     size_t p)
{
    const struct weir_attention *job = range->jobs;
    if (p - range->begin < range->left)
        return weir_attend_at(range, row_bytes) + (p - range->begin) * row_bytes;
    const uint32_t page = (uint32_t)p / (uint32_t)job->page_length;
    return job->pages[page] * job->page_bytes + (p - page * job->page_length) * row_bytes;
}

/* Bytes from tile 0 of page 0, with so many bytes for the tiles of WEIR_TILE positions, to those of
 * position p. */
static inline size_t weir_attend_tile(const struct weir_attention *job, size_t tile_bytes, size_t p)
{
    const uint32_t page = (uint32_t)p / (uint32_t)job->page_length;
    return job->pages[page] * job->packed_page_bytes +
           (p - page * job->page_length) / WEIR_TILE * tile_bytes;
}

/* Where the positions of the block that a job sees begin ... */
static inline size_t weir_attend_first(const struct weir_attend_range *range,
                                       const struct weir_attention *job)
{
    return job->first > range->block ? job->first : range->block;
}

/* ... and those of them that it sees as rows. */
static inline size_t weir_attend_first_row(const struct weir_attend_range *range,
                                           const struct weir_attention *job)
{
    const size_t first = weir_attend_first(range, job);
    return job->packed_end > first ? job->packed_end : first;
}

/* One query's scores of a block; position p is at [p - block]. */
typedef float weir_attend_scores[WEIR_ATTEND_BLOCK];

/* What a level does with a range of a block. */
struct weir_attend_level {
    /* scores[job][p - block] = scale * q . k[p] */
    void (*fill_scores)(const struct weir_attend_range *range, weir_attend_scores *scores);
    weir_softcap_fn *softcap;
    /* *most = max(*most, scores); score = exp(score - *most); returns the sum. */
    float (*soften)(float *scores, size_t count, float *most);
    /* out += sum over p of scores[job][p - block] * v[p], p ascending, one addition each. */
    void (*add_values)(const struct weir_attend_range *range, const weir_attend_scores *scores);
    /* The same of a tile; of values, the sum over the tile's positions from the job's first on is
     * one addition. NULL: of formats of rows. */
    void (*fill_tile)(const struct weir_attend_range *range, weir_attend_scores *scores);
    void (*add_tile)(const struct weir_attend_range *range, const weir_attend_scores *scores);
};

/* count jobs in [1, WEIR_ATTENTION_MAX]. */
void weir_attend(const struct weir_attend_level *level, const struct weir_attention *jobs,
                 size_t count);

/* Of a level that has fill_scores(), add_values() and soften(): fill_NAME() and add_NAME() of a
 * format's rows, and attend_NAME(), attention over them alone. */
#define WEIR_ATTEND_ROWS_OF(name, kv, softcap)                                                     \
    static void fill_##name(const struct weir_attend_range *range, weir_attend_scores *scores)     \
    {                                                                                              \
        fill_scores(range, scores, kv);                                                            \
    }                                                                                              \
    static void add_##name(const struct weir_attend_range *range,                                  \
                           const weir_attend_scores *scores)                                       \
    {                                                                                              \
        add_values(range, scores, kv);                                                             \
    }                                                                                              \
    static void attend_##name(const struct weir_attention *jobs, size_t count)                     \
    {                                                                                              \
        static const struct weir_attend_level level = {fill_##name, softcap, soften,               \
                                                       add_##name,  NULL,    NULL};                \
        weir_attend(&level, jobs, count);                                                          \
    }

#endif
