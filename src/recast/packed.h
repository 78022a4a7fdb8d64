/* packed.h - codes and their scales, which a directory has apart, put together in GGUF's blocks. */
#ifndef WEIR_PACKED_H
#define WEIR_PACKED_H

#include "recast/recast.h"

/* What a tensor whose source is codes becomes where nothing else is asked for. E2M1 floats have the
 * scales of MXFP4 or NVFP4 as a rule, and whole numbers those of Q4_0 (Q4_1 where they have zero
 * points) but for rounding; all else becomes BF16. */
enum weir_type weir_packed_type(const struct weir_recast_tensor *tensor);
/* Whether its rows become blocks of its type code by code: it has the type above, and no factor. */
bool weir_packed_is_kept(const struct weir_recast_tensor *tensor);

/* A row of codes. */
struct weir_packed {
    enum weir_type type;
    const uint8_t *codes;
    uint64_t cols;
    enum weir_scale_type scale_type;
    const uint8_t *scales; /* one for each group of columns */
    uint64_t group_cols;
    const uint8_t *zeros; /* of eight rows (quant/i4.h); NULL: there are none */
    uint32_t zero_row;    /* which of the eight */
};
/* The row as blocks of a type that weir_packed_type() gives, but BF16. */
void weir_packed_put(const struct weir_packed *row, enum weir_type type, void *out);

#endif
