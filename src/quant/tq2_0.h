/* tq2_0.h - 256 values in 66 bytes: one scale, steps of two bits.
 *
 *   byte  0          64   66
 *         | qs[64]    | d  |
 *         as Q2_K's    f16
 *
 *   x = d * (weir_k_two_bits(qs, index) - 1) */
#ifndef WEIR_TQ2_0_H
#define WEIR_TQ2_0_H

#include <stdint.h>

enum { WEIR_TQ2_0_LEN = 256 };

struct weir_tq2_0 {
    uint8_t qs[64];
    uint16_t d;
};
_Static_assert(sizeof(struct weir_tq2_0) == 66, "TQ2_0 is 66 bytes");

#endif
