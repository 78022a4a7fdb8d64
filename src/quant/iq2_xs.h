/* iq2_xs.h - 256 values in 74 bytes: 32 entries of a codebook of 512, 16 sub-blocks of two of them.
 *
 *   byte  0    2                     66          74
 *         | d  | qs[32], 16 bits each | scales[8] |
 *         f16    low 9 bits: index     low nibble: sub-block 2 i, high nibble: 2 i + 1
 *                high 7: signs
 *
 *   x = d / 8 * (2 * scale + 1) * size * sign,   size = byte i of weir_iq2_xs_grid[index],
 *   sign = bit i of weir_even_signs() of the 7 bits */
#ifndef WEIR_IQ2_XS_H
#define WEIR_IQ2_XS_H

#include <stdint.h>

enum { WEIR_IQ2_XS_LEN = 256 };

struct weir_iq2_xs {
    uint16_t d;
    uint16_t qs[32];
    uint8_t scales[8];
};
_Static_assert(sizeof(struct weir_iq2_xs) == 74, "IQ2_XS is 74 bytes");

#endif
