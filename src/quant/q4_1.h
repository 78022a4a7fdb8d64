/* q4_1.h - 32 values in 20 bytes: one scale, one minimum, unsigned 4-bit steps.
 *
 *   byte  0      2      4                          20
 *         | d    | m    | qs[0] ... qs[15]          |
 *         f16     f16    low nibble of qs[i]: value i, high nibble: value i + 16
 *
 *   x = d * nibble + m */
#ifndef WEIR_Q4_1_H
#define WEIR_Q4_1_H

#include <stdint.h>

enum { WEIR_Q4_1_LEN = 32 };

struct weir_q4_1 {
    uint16_t d;
    uint16_t m;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct weir_q4_1) == 20, "Q4_1 is 20 bytes");

#endif
