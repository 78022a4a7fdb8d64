/* q3_k.h - 256 values in 110 bytes: 16 sub-blocks of 16, each with a signed 6-bit scale.
 *
 *   byte  0           32                    96           108  110
 *         | hmask[32] | qs[64]               | scales[12] | d   |
 *         third bits   low 2 bits, as in      packed 6     f16
 *                      q2_k.h                 bits
 *
 *   Bit index / 32 of hmask[index % 32] is the third bit of value index. Of the scale of sub-block
 *   s the low 4 bits are a nibble of scales[s % 8], low nibbles first, the high 2 bits lie in
 *   scales[8 + s % 4] from bit 2 * (s / 4) on; 32 is taken off.
 *
 *   x = d * scale(s) * (low + 4 * bit - 4),   s = index / 16 */
#ifndef WEIR_Q3_K_H
#define WEIR_Q3_K_H

#include <stdint.h>

enum { WEIR_Q3_K_LEN = 256 };

struct weir_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12];
    uint16_t d;
};
_Static_assert(sizeof(struct weir_q3_k) == 110, "Q3_K is 110 bytes");

static inline int weir_q3_k_scale(const uint8_t scales[12], int s)
{
    const int low = scales[s % 8] >> 4 * (s / 8) & 15;
    const int high = scales[8 + s % 4] >> 2 * (s / 4) & 3;
    return low + 16 * high - 32;
}

#endif
