/* q2_0.h - 64 values in 18 bytes: one scale, steps of two bits.
 *
 *   byte  0    2                          18
 *         | d  | qs[0] ... qs[15]          |
 *         f16    from bit 2 (i % 4) of qs[i / 4] on: step of value i
 *
 *   x = d * (step - 1) */
#ifndef WEIR_Q2_0_H
#define WEIR_Q2_0_H

#include <stdint.h>

enum { WEIR_Q2_0_LEN = 64 };

struct weir_q2_0 {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct weir_q2_0) == 18, "Q2_0 is 18 bytes");

#endif
