/* attend.c - blocks of positions, and what is kept between them. */
#include "kernels/attend.h"

#include <math.h>
#include <string.h>

#include "base/base.h"

/* What a query keeps of the positions so far, beside out. */
struct running {
    float most;
    float total;
};

static void scale_out(const struct weir_attention *job, float scale)
{
    for (size_t i = 0; i < job->d_value; i++)
        job->out[i] *= scale;
}

/* Where the block ends for job j, who may not see all of it. */
static size_t end_of(const struct weir_attend_range *range, size_t j)
{
    return weir_min(range->jobs[j].n_position, range->block + WEIR_ATTEND_BLOCK);
}

/* The positions of [begin, end) for job j alone; false when there are none. */
static bool alone(const struct weir_attend_range *range, size_t j, size_t begin, size_t end,
                  struct weir_attend_range *own)
{
    *own = (struct weir_attend_range){
        .jobs = range->jobs + j, .n = 1, .block = range->block, .begin = begin, .end = end};
    return own->begin < own->end;
}

/* The rows that job j sees before those which all see, and after them. */
static bool lead_of(const struct weir_attend_range *range, size_t j, struct weir_attend_range *own)
{
    return alone(range, j, weir_attend_first_row(range, &range->jobs[j]),
                 weir_min(range->begin, end_of(range, j)), own);
}

static bool rest_of(const struct weir_attend_range *range, size_t j, struct weir_attend_range *own)
{
    return alone(range, j, weir_max(range->end, weir_attend_first_row(range, &range->jobs[j])),
                 end_of(range, j), own);
}

/* The part of a range from `begin` on that lies in one page. */
static struct weir_attend_range page_of(const struct weir_attend_range *range, size_t begin)
{
    const struct weir_attention *job = range->jobs;
    const uint32_t page = (uint32_t)begin / (uint32_t)job->page_length;
    struct weir_attend_range part = *range;
    part.begin = begin;
    part.page = job->pages[page] * job->page_bytes;
    part.row = begin - page * job->page_length;
    part.left = job->page_length - part.row;
    part.end = weir_min(range->end, begin + part.left);
    return part;
}

static void fill_scores(const struct weir_attend_level *level,
                        const struct weir_attend_range *range, weir_attend_scores *scores)
{
    for (size_t at = range->begin; at < range->end;) {
        const struct weir_attend_range page = page_of(range, at);
        level->fill_scores(&page, scores);
        at = page.end;
    }
}

static void add_values(const struct weir_attend_level *level, const struct weir_attend_range *range,
                       const weir_attend_scores *scores)
{
    for (size_t at = range->begin; at < range->end;) {
        const struct weir_attend_range page = page_of(range, at);
        level->add_values(&page, scores);
        at = page.end;
    }
}

/* The jobs that see the tile of position `begin` packed, and which of the range's is the first of
 * them; false when none does. Those that see rows there come before them, those that see none of it
 * any more after them. */
static bool tile_of(const struct weir_attend_range *range, size_t begin,
                    struct weir_attend_range *tile, size_t *from)
{
    const struct weir_attention *jobs = range->jobs;
    size_t first = 0;
    size_t end = range->n;
    while (first < end && jobs[first].packed_end <= begin)
        first++;
    while (end > first && jobs[end - 1].first >= begin + WEIR_TILE)
        end--;
    *from = first;
    *tile = (struct weir_attend_range){.jobs = jobs + first,
                                       .n = end - first,
                                       .block = range->block,
                                       .begin = begin,
                                       .end = begin + WEIR_TILE};
    return first < end;
}

static void fill_tiles(const struct weir_attend_level *level, const struct weir_attend_range *range,
                       weir_attend_scores *scores)
{
    const size_t end =
        weir_min(range->jobs[range->n - 1].packed_end, range->block + WEIR_ATTEND_BLOCK);
    struct weir_attend_range tile;
    size_t from;
    for (size_t begin = range->block; begin < end; begin += WEIR_TILE)
        if (tile_of(range, begin, &tile, &from))
            level->fill_tile(&tile, scores + from);
}

static void add_tiles(const struct weir_attend_level *level, const struct weir_attend_range *range,
                      const weir_attend_scores *scores)
{
    const size_t end =
        weir_min(range->jobs[range->n - 1].packed_end, range->block + WEIR_ATTEND_BLOCK);
    struct weir_attend_range tile;
    size_t from;
    for (size_t begin = range->block; begin < end; begin += WEIR_TILE)
        if (tile_of(range, begin, &tile, &from))
            level->add_tile(&tile, scores + from);
}

/* Scores of the block become weights; what job j has so far is scaled to them. */
static void weigh(const struct weir_attend_level *level, const struct weir_attend_range *range,
                  size_t j, float *scores, struct running *running)
{
    const struct weir_attention *job = &range->jobs[j];
    const size_t begin = weir_attend_first(range, job);
    const size_t count = end_of(range, j) - begin;
    const float before = running->most;
    scores += begin - range->block;
    if (job->softcap != 0.0f)
        level->softcap(scores, count, job->softcap);
    const float sum = level->soften(scores, count, &running->most);
    const float shrink = expf(before - running->most);
    running->total = running->total * shrink + sum;
    if (shrink != 1.0f)
        scale_out(job, shrink);
}

static void add_block(const struct weir_attend_level *level, const struct weir_attend_range *range,
                      struct running *running)
{
    weir_attend_scores scores[WEIR_ATTENTION_MAX];
    struct weir_attend_range own;
    for (size_t j = 0; j < range->n; j++)
        if (lead_of(range, j, &own))
            fill_scores(level, &own, scores + j);
    fill_scores(level, range, scores);
    fill_tiles(level, range, scores);
    for (size_t j = 0; j < range->n; j++) {
        if (rest_of(range, j, &own))
            fill_scores(level, &own, scores + j);
        weigh(level, range, j, scores[j], &running[j]);
    }
    add_tiles(level, range, scores);
    for (size_t j = 0; j < range->n; j++)
        if (lead_of(range, j, &own))
            add_values(level, &own, scores + j);
    add_values(level, range, scores);
    for (size_t j = 0; j < range->n; j++)
        if (rest_of(range, j, &own))
            add_values(level, &own, scores + j);
}

/* The rows of a block that all n jobs see; where there are none, those before its first. */
static struct weir_attend_range common_of(const struct weir_attention *jobs, size_t n, size_t block)
{
    struct weir_attend_range range = {.jobs = jobs, .n = n, .block = block};
    range.begin = weir_attend_first_row(&range, &jobs[n - 1]);
    range.end = end_of(&range, 0);
    if (range.begin >= range.end)
        range.begin = range.end = block;
    return range;
}

/* Whether the n jobs all see the whole block. Where they do not, few are taken at once: a few of
 * neighbours have more rows in common. */
static bool sees_all(const struct weir_attention *jobs, size_t n, size_t block)
{
    return jobs[0].n_position >= block + WEIR_ATTEND_BLOCK && jobs[n - 1].first <= block;
}

void weir_attend(const struct weir_attend_level *level, const struct weir_attention *jobs,
                 size_t count)
{
    struct running running[WEIR_ATTENTION_MAX];
    size_t begin = 0; /* the jobs before it have seen all that they see */
    size_t end = 0;   /* the jobs from it on see only later blocks */
    for (size_t j = 0; j < count; j++) {
        /* Where there is no sink, the first score makes nothing of the total. */
        running[j] = (struct running){.most = jobs[j].sink == NULL ? -INFINITY : *jobs[j].sink,
                                      .total = 1.0f};
        memset(jobs[j].out, 0, jobs[j].d_value * sizeof(*jobs[j].out));
    }
    for (size_t block = jobs[0].first / WEIR_ATTEND_BLOCK * WEIR_ATTEND_BLOCK;
         block < jobs[count - 1].n_position; block += WEIR_ATTEND_BLOCK) {
        while (jobs[begin].n_position <= block)
            begin++;
        while (end < count && jobs[end].first < block + WEIR_ATTEND_BLOCK)
            end++;
        if (begin == end)
            continue;
        const size_t n =
            sees_all(jobs + begin, end - begin, block) ? WEIR_ATTENTION_MAX : WEIR_ATTENTION_TURN;
        for (size_t j = begin; j < end; j += n) {
            const struct weir_attend_range range = common_of(jobs + j, weir_min(end - j, n), block);
            add_block(level, &range, running + j);
        }
    }
    for (size_t j = 0; j < count; j++)
        scale_out(&jobs[j], 1.0f / running[j].total);
}
