/* q32_blocks.h - blocks of 32 values: what lies where, for the x86 levels. */
#ifndef WEIR_KERNELS_Q32_BLOCKS_H
#define WEIR_KERNELS_Q32_BLOCKS_H

#include <stddef.h>

#include "kernels/kernels_internal.h"
#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q8_0.h"

WEIR_INLINE size_t block_bytes(const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q8_0:
        return sizeof(struct weir_q8_0);
    case WEIR_TYPE_Q4_0:
        return sizeof(struct weir_q4_0);
    case WEIR_TYPE_Q4_1:
        return sizeof(struct weir_q4_1);
    case WEIR_TYPE_Q5_0:
        return sizeof(struct weir_q5_0);
    case WEIR_TYPE_Q5_1:
        return sizeof(struct weir_q5_1);
    case WEIR_TYPE_IQ4_NL:
        return sizeof(struct weir_iq4_nl);
    default:
        return sizeof(struct weir_mxfp4);
    }
}

/* Steps are the last bytes of a block. */
WEIR_INLINE size_t steps_at(const enum weir_type type)
{
    return block_bytes(type) - (type == WEIR_TYPE_Q8_0 ? 32 : 16);
}

WEIR_INLINE bool has_fifth_bits(const enum weir_type type)
{
    return type == WEIR_TYPE_Q5_0 || type == WEIR_TYPE_Q5_1;
}

WEIR_INLINE bool has_minimum(const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_1 || type == WEIR_TYPE_Q5_1;
}

WEIR_INLINE bool has_codes(const enum weir_type type)
{
    return type == WEIR_TYPE_IQ4_NL || type == WEIR_TYPE_MXFP4;
}

#endif
