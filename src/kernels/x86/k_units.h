/* k_units.h - super-blocks of 256 values: where what lies, for the x86 levels. Steps come in groups
 * of bytes, and each group in units: the steps of one sub-block, of which a row has 4 in a word. */
#ifndef WEIR_KERNELS_K_UNITS_H
#define WEIR_KERNELS_K_UNITS_H

#include <stddef.h>

#include "kernels/kernels_internal.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"

/* Words of a row's steps in a super-block; units at most. */
enum { STEPS = 64, UNITS_MAX = 16 };

WEIR_INLINE size_t block_bytes(const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q2_K:
        return sizeof(struct weir_q2_k);
    case WEIR_TYPE_Q3_K:
        return sizeof(struct weir_q3_k);
    case WEIR_TYPE_Q4_K:
        return sizeof(struct weir_q4_k);
    case WEIR_TYPE_Q5_K:
        return sizeof(struct weir_q5_k);
    case WEIR_TYPE_Q6_K:
        return sizeof(struct weir_q6_k);
    default:
        return sizeof(struct weir_iq4_xs);
    }
}

WEIR_INLINE size_t steps_at(const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q2_K:
        return offsetof(struct weir_q2_k, qs);
    case WEIR_TYPE_Q3_K:
        return offsetof(struct weir_q3_k, qs);
    case WEIR_TYPE_Q4_K:
        return offsetof(struct weir_q4_k, qs);
    case WEIR_TYPE_Q5_K:
        return offsetof(struct weir_q5_k, qs);
    case WEIR_TYPE_Q6_K:
        return offsetof(struct weir_q6_k, ql);
    default:
        return offsetof(struct weir_iq4_xs, qs);
    }
}

WEIR_INLINE bool has_two_bits(const enum weir_type type)
{
    return type == WEIR_TYPE_Q2_K || type == WEIR_TYPE_Q3_K;
}

/* Registers of bytes that a group of units comes from. */
WEIR_INLINE int group_words(const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_K || type == WEIR_TYPE_Q5_K ? 8 : 4;
}

/* Units of a group: each takes other bits of the bytes. IQ4_XS's take both nibbles. */
WEIR_INLINE int group_units(const enum weir_type type)
{
    return has_two_bits(type) ? 4 : type == WEIR_TYPE_IQ4_XS ? 1 : 2;
}

WEIR_INLINE int unit_words(const enum weir_type type)
{
    return type == WEIR_TYPE_IQ4_XS ? 8 : group_words(type);
}

WEIR_INLINE int group_count(const enum weir_type type)
{
    return STEPS / group_units(type) / unit_words(type);
}

/* The sub-block that a unit of a group is. Bits of the same byte are 64 values apart in Q6_K, 32 in
 * the others: where sub-blocks have 16 values, those between come from other bytes. */
WEIR_INLINE int unit_at(int group, int which, const enum weir_type type)
{
    if (type == WEIR_TYPE_Q6_K)
        return group / 4 * 8 + which * 4 + group % 4;
    if (has_two_bits(type))
        return group / 2 * 8 + which * 2 + group % 2;
    return group * group_units(type) + which;
}

#endif
