/* walk16_avx512.h - in which order one token's rows pass: as streams, or in the order of memory.
 *
 * Streams: the lanes are rows far apart, and each goes through its own part of the matrix, which
 * the CPU follows by itself (docs/decisions/0010-long-streams.md). In order: the lanes are
 * neighbours, a tile, and while one is computed the next is asked for, line after line
 * (docs/decisions/0012-in-order.md). Which is faster is the CPU's habit. */
#ifndef WEIR_KERNELS_WALK16_AVX512_H
#define WEIR_KERNELS_WALK16_AVX512_H

#include "kernels/x86/rows16_avx512.h"

/* How much further ahead than a tile is asked: its last rows must be there when its first columns
 * are. */
enum { WEIR_LEAD_BYTES = 2048 };

/* Where unpacking takes nearly as long as memory, no line may be late: each is asked for twice, but
 * of Q4_K and Q8_0. */
enum { WEIR_FURTHER_BYTES = 8192 };

/* Rows [job->row_begin, job->row_end) tile after tile, in the order of memory. */
struct tiles {
    const uint8_t *w; /* the tile's first row */
    size_t row;
    size_t bytes; /* of a tile */
};

WEIR_INLINE struct tiles tiles_first(const struct weir_matmul *job, size_t rows)
{
    struct tiles tiles = {.w = (const uint8_t *)job->w + job->row_begin * job->w_row_bytes,
                          .row = job->row_begin,
                          .bytes = rows * job->w_row_bytes};
    prefetch_near(tiles.w, tiles.bytes + WEIR_LEAD_BYTES);
    return tiles;
}

/* What to ask for while the tile is computed; with the last one, what the caller reads next. */
WEIR_INLINE const uint8_t *tiles_ahead(const struct tiles *tiles, const struct weir_matmul *job,
                                       size_t rows)
{
    if (job->row_end - tiles->row > rows)
        return tiles->w + tiles->bytes + WEIR_LEAD_BYTES;
    return job->next == NULL ? tiles->w : (const uint8_t *)job->next + WEIR_LEAD_BYTES;
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
