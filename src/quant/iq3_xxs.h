/* iq3_xxs.h - 256 values in 98 bytes: 64 entries, of 4 values, of a codebook of 256; 8 sub-blocks.
 *
 *   byte  0    2          66                     98
 *         | d  | qs[64]    | words[8]              |
 *         f16    indexes    32 bits a sub-block: from bit 7 j on the signs of its values 8 j to
 *                           8 j + 7, from bit 28 on the scale
 *
 *   x = d / 4 * (2 * scale + 1) * size * sign,   size = byte i of weir_iq3_xxs_grid[qs[g]],
 *   sign = bit of weir_even_signs() of the 7 bits */
#ifndef WEIR_IQ3_XXS_H
#define WEIR_IQ3_XXS_H

#include <stdint.h>

enum { WEIR_IQ3_XXS_LEN = 256 };

struct weir_iq3_xxs {
    uint16_t d;
    uint8_t qs[64];
    uint8_t words[8][4];
};
_Static_assert(sizeof(struct weir_iq3_xxs) == 98, "IQ3_XXS is 98 bytes");

#endif
