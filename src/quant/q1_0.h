/* q1_0.h - 128 values in 18 bytes: one scale, a bit for each.
 *
 *   byte  0    2                          18
 *         | d  | qs[0] ... qs[15]          |
 *         f16    bit i % 8 of qs[i / 8]: value i
 *
 *   x = d where the bit is set, else -d */
#ifndef WEIR_Q1_0_H
#define WEIR_Q1_0_H

#include <stdint.h>

enum { WEIR_Q1_0_LEN = 128 };

struct weir_q1_0 {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct weir_q1_0) == 18, "Q1_0 is 18 bytes");

#endif
