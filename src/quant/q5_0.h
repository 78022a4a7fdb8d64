/* q5_0.h - 32 values in 22 bytes: one scale, 5-bit steps around 16.
 *
 *   byte  0      2          6                          22
 *         | d    | qh[4]    | qs[0] ... qs[15]          |
 *         f16     fifth bits low nibble of qs[i]: value i, high nibble: value i + 16
 *
 *   Bit i % 8 of qh[i / 8] is the fifth bit of value i.
 *
 *   x = d * (nibble + 16 * bit - 16) */
#ifndef WEIR_Q5_0_H
#define WEIR_Q5_0_H

#include <stdint.h>

enum { WEIR_Q5_0_LEN = 32 };

struct weir_q5_0 {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[16];
};
_Static_assert(sizeof(struct weir_q5_0) == 22, "Q5_0 is 22 bytes");

/* The unsigned step of value i, both of Q5_0 and Q5_1. */
static inline int weir_q5_step(const uint8_t qh[4], const uint8_t qs[16], int i)
{
    const int nibble = qs[i % 16] >> 4 * (i / 16) & 15;
    return nibble + 16 * (qh[i / 8] >> i % 8 & 1);
}

#endif
