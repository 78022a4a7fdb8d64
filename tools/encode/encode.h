/* encode.h - floats to the blocks of a weight format: for the model writer, the benchmarks and the
 * tests. No part of the library, which only reads such files. */
#ifndef WEIR_TOOLS_ENCODE_H
#define WEIR_TOOLS_ENCODE_H

#include "quant/quant.h"

/* Scales by the format's own usual rule, then the nearest step under the scale as stored;
 * deterministic. Finite values decode to finite ones: block formats end at their largest scale.
 * Non-finite input is the caller's bug for block formats (asserts per element). */
void weir_encode_row(enum weir_type type, const float *src, void *dst, size_t cols);

#endif
