/* q4_0.h - 32 values in 18 bytes: one scale, signed 4-bit steps.
 *
 *   byte  0      2                          18
 *         | d    | qs[0] ... qs[15]          |
 *         f16     low nibble of qs[i]: value i, high nibble: value i + 16
 *
 *   x = d * (nibble - 8) */
#ifndef WEIR_Q4_0_H
#define WEIR_Q4_0_H

#include <stdint.h>

enum { WEIR_Q4_0_LEN = 32 };

struct weir_q4_0 {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct weir_q4_0) == 18, "Q4_0 is 18 bytes");

#endif
