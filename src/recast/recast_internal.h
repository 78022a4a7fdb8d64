/* recast_internal.h - pieces: rows of one matrix that are read, encoded and written at once. */
#ifndef WEIR_RECAST_INTERNAL_H
#define WEIR_RECAST_INTERNAL_H

#include "io/io.h"
#include "recast/recast.h"

/* What is read for a piece, in this order. */
enum recast_part { RECAST_CODES, RECAST_SCALES, RECAST_ZEROS, RECAST_FACTOR, RECAST_PART_COUNT };

struct recast_piece {
    uint32_t tensor;
    uint64_t matrix, row, row_count;
    struct weir_io_part parts[RECAST_PART_COUNT]; /* bytes 0: it has none */
    uint64_t first_rows[RECAST_PART_COUNT];       /* of its part's tensor, within the matrix */
    uint64_t in_bytes, out_bytes;                 /* of all parts; of what is written */
};

/* All pieces of a list, one after the other, the same each time. */
struct recast_cutter {
    const struct weir_recast_list *list;
    uint64_t target_bytes; /* of a piece, read or written; a row may have more */
    uint32_t tensor;       /* of the next piece */
    uint64_t matrix, row;
};

/* False: there are no more. */
bool weir_recast_cut(struct recast_cutter *cutter, struct recast_piece *piece);

/* How a source lies in its file. */
struct recast_source {
    uint64_t cols, rows; /* of a matrix */
    uint64_t row_bytes;
};
struct recast_source weir_recast_source(const struct weir_recast_tensor *tensor);
uint64_t weir_recast_lead(const struct weir_recast_tensor *tensor, uint64_t matrix);
/* Rows and columns that one scale is for. */
uint64_t weir_recast_group_rows(const struct weir_recast_tensor *tensor);
uint64_t weir_recast_group_cols(const struct weir_recast_tensor *tensor);

/* Room that a decoder needs beside the values: floats. */
uint64_t weir_recast_room(const struct weir_recast_tensor *tensor);
/* Row `row` of what is written, within the piece, from what was read for it: values [dims[0]]. */
void weir_recast_decode(const struct weir_recast_tensor *tensor, const struct recast_piece *piece,
                        const uint8_t *in, uint64_t row, float *values, float *room);
/* The same row of a tensor that weir_packed_is_kept(): its codes and scales as blocks. */
void weir_recast_keep(const struct weir_recast_tensor *tensor, const struct recast_piece *piece,
                      const uint8_t *in, uint64_t row, uint8_t *out);

#endif
