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
    for (size_t i = 0; i < job->d_head; i++)
        job->out[i] *= scale;
}

/* Where the block ends for job j, who may not see all of it. */
static size_t end_of(const struct weir_attend_range *range, size_t j)
{
    return weir_min(range->jobs[j].n_position, range->block + WEIR_ATTEND_BLOCK);
}

/* The positions that job j sees beyond those which all see; false when there are none. */
static bool rest_of(const struct weir_attend_range *range, size_t j, struct weir_attend_range *rest)
{
    *rest = (struct weir_attend_range){.jobs = range->jobs + j,
                                       .n = 1,
                                       .block = range->block,
                                       .begin = range->end,
                                       .end = end_of(range, j)};
    return rest->begin < rest->end;
}

/* The part of a range from `begin` on that lies in one page. */
static struct weir_attend_range page_of(const struct weir_attend_range *range, size_t begin)
{
    const struct weir_attention *job = range->jobs;
    const uint32_t page = (uint32_t)begin / (uint32_t)job->page_length;
    const size_t at = begin - page * job->page_length;
    struct weir_attend_range part = *range;
    part.begin = begin;
    part.row = job->pages[page] * job->page_stride + at * job->kv_stride;
    part.left = job->page_length - at;
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

static void add_block(const struct weir_attend_level *level, const struct weir_attend_range *range,
                      struct running *running)
{
    weir_attend_scores scores[WEIR_ATTENTION_MAX];
    struct weir_attend_range rest;
    fill_scores(level, range, scores);
    for (size_t j = 1; j < range->n; j++)
        if (rest_of(range, j, &rest))
            fill_scores(level, &rest, scores + j);
    for (size_t j = 0; j < range->n; j++) {
        const float before = running[j].most;
        const float sum =
            level->soften(scores[j], end_of(range, j) - range->block, &running[j].most);
        const float shrink = expf(before - running[j].most);
        running[j].total = running[j].total * shrink + sum;
        if (shrink != 1.0f)
            scale_out(&range->jobs[j], shrink);
    }
    add_values(level, range, scores);
    for (size_t j = 1; j < range->n; j++)
        if (rest_of(range, j, &rest))
            add_values(level, &rest, scores + j);
}

void weir_attend(const struct weir_attend_level *level, const struct weir_attention *jobs,
                 size_t count)
{
    struct running running[WEIR_ATTENTION_MAX];
    size_t first = 0; /* the jobs before it have seen all that they see */
    for (size_t j = 0; j < count; j++) {
        running[j] = (struct running){.most = -INFINITY};
        memset(jobs[j].out, 0, jobs[j].d_head * sizeof(*jobs[j].out));
    }
    for (size_t block = 0; block < jobs[count - 1].n_position; block += WEIR_ATTEND_BLOCK) {
        while (jobs[first].n_position <= block)
            first++;
        struct weir_attend_range range = {
            .jobs = jobs + first, .n = count - first, .block = block, .begin = block};
        range.end = end_of(&range, 0);
        add_block(level, &range, running + first);
    }
    for (size_t j = 0; j < count; j++)
        scale_out(&jobs[j], 1.0f / running[j].total);
}
