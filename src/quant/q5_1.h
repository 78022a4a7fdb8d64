/* q5_1.h - 32 values in 24 bytes: one scale, one minimum, unsigned 5-bit steps.
 *
 *   byte  0      2      4          8                          24
 *         | d    | m    | qh[4]    | qs[0] ... qs[15]          |
 *         f16     f16    fifth bits and nibbles as in q5_0.h
 *
 *   x = d * (nibble + 16 * bit) + m */
#ifndef WEIR_Q5_1_H
#define WEIR_Q5_1_H

#include <stdint.h>

enum { WEIR_Q5_1_LEN = 32 };

struct weir_q5_1 {
    uint16_t d;
    uint16_t m;
    uint8_t qh[4];
    uint8_t qs[16];
};
_Static_assert(sizeof(struct weir_q5_1) == 24, "Q5_1 is 24 bytes");

#endif
