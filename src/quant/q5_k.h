/* q5_k.h - 256 values in 176 bytes: as Q4_K, with a fifth bit.
 *
 *   byte  0    2      4            16        48                       176
 *         | d  | dmin | scales[12] | qh[32]  | qs[128]                 |
 *                                   bit s of qh[i % 32] is the fifth bit of value i, s = i / 32
 *
 *   x = d * scale(s) * (nibble + 16 * bit) - dmin * minimum(s),   s = index / 32 */
#ifndef WEIR_Q5_K_H
#define WEIR_Q5_K_H

#include <stdint.h>

enum { WEIR_Q5_K_LEN = 256 };

struct weir_q5_k {
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12]; /* as in q4_k.h */
    uint8_t qh[32];
    uint8_t qs[128];
};
_Static_assert(sizeof(struct weir_q5_k) == 176, "Q5_K is 176 bytes");

#endif
