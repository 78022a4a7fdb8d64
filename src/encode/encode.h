/* encode.h - floats to the blocks of every number format.
 *
 * Job       Blocks whose decoded values are near to the given floats, by the squared error under a
 *           weight for each value, and as large on the whole.
 * Not here  Which format a tensor gets, files, threads (weir quantize); decoding (quant/).
 * Shapes    A row is cols values, whole blocks of the format, as in quant/quant.h. Weights are one
 *           for each column.
 * Owns      Nothing but constant tables, which the first caller who needs one makes.
 * Threads   Any thread, several at once: a row depends on no other.
 * Errors    None. Values that are not finite are the caller's bug for block formats (asserts per
 *           element), as is a type that weir_encode_can() refuses. Weights below 0, or not finite,
 *           count as 0.
 * Limits    A finite value decodes to a finite one: scales end at the greatest finite half.
 * Source    Weighted least squares. Under fixed steps the best scale (and minimum) is the solution
 *           of a linear equation, under a fixed scale the best steps are the nearest: the two take
 *           turns, from each of a few starts around the scale that just reaches the largest value.
 *           Scales of sub-blocks are whole multiples of their block's unit: multiples are tried
 *           beside their neighbours, then the unit is solved for again. Entries of codebooks are
 *           the nearest under the weights. Scales that are halves then grow, so that decoded values
 *           are as large, on the whole, as what was given (docs/decisions/0062-encoders.md). The
 *           results are the same bits on every CPU.
 */
#ifndef WEIR_ENCODE_H
#define WEIR_ENCODE_H

#include <stdbool.h>
#include <stddef.h>

#include "quant/quant.h"

/* Floats of one row to blocks. weights: what an error in each column counts [cols], >= 0, such as
 * the mean square of what the column is multiplied with; NULL: not known, then the values
 * themselves say what counts. */
void weir_encode_row(enum weir_type type, const float *src, const float *weights, void *dst,
                     size_t cols);

/* Mean squares of what a text multiplies columns by become weights: half of what counts is the
 * column's own, half is the mean of all. A text says only roughly what an error costs; held to
 * exactly, it leaves too little of the columns that another text needs. */
void weir_encode_temper(float *weights, size_t cols);

/* True for the formats that a file's tensors can have: all below WEIR_TYPE_BLOCK_COUNT. The codes
 * above it have their scales in another tensor, and are read only. */
bool weir_encode_can(enum weir_type type);

/* True for formats of so few bits that a model is hardly usable unless weights are known. */
bool weir_encode_wants_weights(enum weir_type type);

#endif
