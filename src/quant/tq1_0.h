/* tq1_0.h - 256 values of -1, 0 or 1 in 54 bytes: one scale, five of them in a byte.
 *
 *   byte  0          48      52   54
 *         | qs[48]    | qh[4] | d  |
 *         values 0     240 on  f16
 *         to 239
 *
 *   A byte is a fraction of 256 to the base 3: digit n = ((byte * 3^n) mod 256) * 3 / 256. Digit n
 *   of qs[i] is value 32 n + i for i < 32, else 160 + 16 n + i - 32; of qh[i] 240 + 4 n + i, n < 4.
 *
 *   x = d * (digit - 1) */
#ifndef WEIR_TQ1_0_H
#define WEIR_TQ1_0_H

#include <stdint.h>

enum { WEIR_TQ1_0_LEN = 256 };

struct weir_tq1_0 {
    uint8_t qs[48];
    uint8_t qh[4];
    uint16_t d;
};
_Static_assert(sizeof(struct weir_tq1_0) == 54, "TQ1_0 is 54 bytes");

#endif
