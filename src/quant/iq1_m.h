/* iq1_m.h - 256 values in 56 bytes: 32 entries of a codebook of 2048, 16 sub-blocks of two of them.
 *
 *   byte  0          32                      48                        56
 *         | qs[32]    | qh[16]                | scales[4], 16 bits each  |
 *         low 8       a nibble for entry g,    from bit 3 j on: scale of sub-block 4 i + j;
 *         bits of     low first: high 3 bits   bits 12 to 15: a nibble of d, the lowest in the
 *         an index    of the index, bit 3:     first
 *                     delta is minus
 *
 *   x = d * (2 * scale + 1) * (w + delta), as IQ1_S */
#ifndef WEIR_IQ1_M_H
#define WEIR_IQ1_M_H

#include <stdint.h>

enum { WEIR_IQ1_M_LEN = 256 };

struct weir_iq1_m {
    uint8_t qs[32];
    uint8_t qh[16];
    uint16_t scales[4];
};
_Static_assert(sizeof(struct weir_iq1_m) == 56, "IQ1_M is 56 bytes");

/* The bits of d, an f16. */
static inline uint16_t weir_iq1_m_d(const uint16_t scales[4])
{
    return (uint16_t)(scales[0] >> 12 | (scales[1] >> 8 & 0xf0) | (scales[2] >> 4 & 0xf00) |
                      (scales[3] & 0xf000));
}

#endif
