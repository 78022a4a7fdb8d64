/* iq2_xxs.h - 256 values in 66 bytes: 8 sub-blocks of 32, each of four entries of a
 * codebook of 256.
 *
 *   byte  0    2                                   66
 *         | d  | 8 sub-blocks of 8 bytes            |
 *         f16    index[4] | word, 32 bits: from bit 7 g on the signs of entry g, from bit 28 on
 *                           the scale
 *
 *   x = d / 8 * (2 * scale + 1) * size * sign,   size = byte i of weir_iq2_xxs_grid[index[g]],
 *   sign = bit i of weir_even_signs() of the 7 bits of entry g */
#ifndef WEIR_IQ2_XXS_H
#define WEIR_IQ2_XXS_H

#include <stdint.h>

enum { WEIR_IQ2_XXS_LEN = 256 };

struct weir_iq2_xxs {
    uint16_t d;
    struct {
        uint8_t index[4];
        uint8_t word[4];
    } parts[8];
};
_Static_assert(sizeof(struct weir_iq2_xxs) == 66, "IQ2_XXS is 66 bytes");

#endif
