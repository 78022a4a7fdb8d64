/* walk16_avx512.h - in which order one token's rows pass: as streams, or in the order of memory.
 *
 * Streams: the lanes are rows far apart, and each goes through its own part of the matrix, which
 * the CPU follows by itself (docs/decisions/0010-long-streams.md). In order: the lanes are
 * neighbours, a tile, and while one is computed the next is asked for, line after line
 * (docs/decisions/0012-in-order.md). Which is faster is the CPU's habit. */
#ifndef WEIR_KERNELS_WALK16_AVX512_H
#define WEIR_KERNELS_WALK16_AVX512_H

#include "base/base.h"
#include "kernels/x86/rows16_avx512.h"

/* How much further ahead than a tile is asked: its last rows must be there when its first columns
 * are. */
enum { WEIR_LEAD_BYTES = 2048 };

/* A line that is asked for while too many are under way is not brought: where that is worth more
 * than it costs, each is asked for twice. */
enum { WEIR_FURTHER_BYTES = 2048 };

/* Goes through the rows of a call, and then through what its thread reads next. */
struct route {
    const uint8_t *at, *end, *next;
};

WEIR_INLINE struct route route_start(const struct weir_matmul *job, size_t from_bytes)
{
    const uint8_t *w = job->w;
    const uint8_t *begin = w + job->row_begin * job->w_row_bytes;
    const uint8_t *end = w + job->row_end * job->w_row_bytes;
    const uint8_t *next = job->next != NULL ? job->next : begin;
    const size_t bytes = (size_t)(end - begin);
    if (from_bytes < bytes)
        return (struct route){.at = begin + from_bytes, .end = end, .next = next};
    return (struct route){.at = next + (from_bytes - bytes), .end = NULL};
}

/* The next bytes of it; those that a route's end divides are taken from where they begin. */
WEIR_INLINE const uint8_t *route_take(struct route *route, size_t bytes)
{
    const uint8_t *at = route->at;
    route->at += bytes;
    if (route->end != NULL && route->at >= route->end) {
        route->at = route->next + (route->at - route->end);
        route->end = NULL;
    }
    return at;
}

/* Rows [job->row_begin, job->row_end) tile after tile, in the order of memory. */
struct tiles {
    const uint8_t *w; /* the tile's first row */
    size_t row;
    size_t bytes;       /* of a tile */
    struct route ahead; /* to be asked for */
    struct route further;
    bool asks_twice;
};

WEIR_INLINE size_t up_to_step(size_t bytes, size_t step_bytes)
{
    return (bytes + step_bytes - 1) / step_bytes * step_bytes;
}

/* Rows are taken step by step: leads of whole steps make routes end where rows do. */
WEIR_INLINE struct tiles tiles_first(const struct weir_matmul *job, size_t rows, size_t step_bytes,
                                     bool asks_twice)
{
    const size_t bytes = rows * job->w_row_bytes;
    const size_t count = job->row_end - job->row_begin;
    const size_t asked = bytes + up_to_step(WEIR_LEAD_BYTES, step_bytes);
    const size_t further = asked + up_to_step(WEIR_FURTHER_BYTES, step_bytes);
    const struct tiles tiles = {.w = (const uint8_t *)job->w + job->row_begin * job->w_row_bytes,
                                .row = job->row_begin,
                                .bytes = bytes,
                                .ahead = route_start(job, asked),
                                .further = route_start(job, further),
                                .asks_twice = asks_twice};
    prefetch_near(tiles.w, weir_min(asked, count * job->w_row_bytes));
    return tiles;
}

/* What to ask for while `bytes` are computed. */
struct asked {
    const uint8_t *ahead;
    const uint8_t *further; /* NULL: nothing */
};

WEIR_INLINE struct asked tiles_take(struct tiles *tiles, size_t bytes)
{
    struct asked asked = {.ahead = route_take(&tiles->ahead, bytes)};
    if (tiles->asks_twice)
        asked.further = route_take(&tiles->further, bytes);
    return asked;
}

/* Bytes [from, from + bytes) of it. */
WEIR_INLINE void asked_part(const struct asked *asked, size_t from, size_t bytes,
                            struct rows16 *rows)
{
    rows16_ask_for(rows, asked->ahead + from, asked->further != NULL ? asked->further + from : NULL,
                   bytes);
}

WEIR_INLINE void tiles_ask(struct tiles *tiles, size_t bytes, struct rows16 *rows)
{
    const struct asked asked = tiles_take(tiles, bytes);
    asked_part(&asked, 0, bytes, rows);
}

WEIR_INLINE void tiles_next(struct tiles *tiles, size_t rows)
{
    tiles->w += tiles->bytes;
    tiles->row += rows;
}

/* Define matmul_NAME and matmul_NAME_in_order from the file's run_stream, run_in_order, run_panels.
 * One token's rows are read as streams, or in the order of memory. */
#define WEIR_ROWS16_MATMUL(name, type)                                                             \
    WEIR_ROWS_MATMUL(rows16, rows16, name, type)                                                   \
    static void matmul_##name##_in_order(const struct weir_matmul *job)                            \
    {                                                                                              \
        if (job->n_token == 1)                                                                     \
            run_in_order(job, type);                                                               \
        else                                                                                       \
            prompt_##name(job);                                                                    \
    }

#endif
