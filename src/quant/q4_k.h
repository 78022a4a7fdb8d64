/* q4_k.h - 256 values in 144 bytes: 8 sub-blocks of 32, each with a 6-bit scale and minimum.
 *
 *   byte  0    2      4              16                       144
 *         | d  | dmin | scales[12]   | qs[128]                 |
 *         f16   f16    packed 6 bits  64 values in each 32 bytes: low nibbles first, then high
 *
 *   x = d * scale(s) * nibble - dmin * minimum(s),   s = index / 32 */
#ifndef WEIR_Q4_K_H
#define WEIR_Q4_K_H

#include <stdint.h>

enum { WEIR_Q4_K_LEN = 256 };

struct weir_q4_k {
    uint16_t d;
    uint16_t dmin;
    uint8_t scales[12];
    uint8_t qs[128];
};
_Static_assert(sizeof(struct weir_q4_k) == 144, "Q4_K is 144 bytes");

/* Scale and minimum of sub-block s, both of Q4_K and Q5_K: the first four in the low 6 bits of
 * bytes 0..3 and 4..7; of the last four the low 4 bits in bytes 8..11, the high 2 on top of the
 * first. */
static inline void weir_k_scale(const uint8_t scales[12], int s, uint8_t *scale, uint8_t *minimum)
{
    if (s < 4) {
        *scale = scales[s] & 63;
        *minimum = scales[s + 4] & 63;
    } else {
        *scale = (uint8_t)((scales[s + 4] & 15) | (scales[s - 4] >> 6 << 4));
        *minimum = (uint8_t)((scales[s + 4] >> 4) | (scales[s] >> 6 << 4));
    }
}

#endif
