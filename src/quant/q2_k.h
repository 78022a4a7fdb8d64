/* q2_k.h - 256 values in 84 bytes: 16 sub-blocks of 16, each with a 4-bit scale and minimum.
 *
 *   byte  0            16                     80   82     84
 *         | scales[16] | qs[64]                | d  | dmin |
 *         low nibble:   2-bit steps             f16  f16
 *         scale, high:
 *         minimum
 *
 *   Each half of 128 values has 32 bytes of qs. Of value i of a half:
 *   step = qs[i % 32] >> 2 * (i / 32) & 3
 *
 *   x = d * scale(s) * step - dmin * minimum(s),   s = index / 16 */
#ifndef WEIR_Q2_K_H
#define WEIR_Q2_K_H

#include <stdint.h>

enum { WEIR_Q2_K_LEN = 256 };

struct weir_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    uint16_t d;
    uint16_t dmin;
};
_Static_assert(sizeof(struct weir_q2_k) == 84, "Q2_K is 84 bytes");

/* The 2 bits of value index, both of Q2_K and Q3_K. */
static inline int weir_k_two_bits(const uint8_t qs[64], int index)
{
    const int i = index % 128;
    return qs[index / 128 * 32 + i % 32] >> 2 * (i / 32) & 3;
}

#endif
