/* q8_0.h - 32 values in 34 bytes: one scale, signed 8-bit steps.
 *
 *   byte  0      2                          34
 *         | d    | qs[0] ... qs[31]          |
 *         f16     int8
 *
 *   x = d * qs */
#ifndef WEIR_Q8_0_H
#define WEIR_Q8_0_H

#include <stdint.h>

enum { WEIR_Q8_0_LEN = 32 };

struct weir_q8_0 {
    uint16_t d;
    int8_t qs[32];
};
_Static_assert(sizeof(struct weir_q8_0) == 34, "Q8_0 is 34 bytes");

#endif
