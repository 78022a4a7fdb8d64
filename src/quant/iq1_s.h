/* iq1_s.h - 256 values in 50 bytes: 32 entries of a codebook of 2048, 8 sub-blocks of four of them.
 *
 *   byte  0    2          34                        50
 *         | d  | qs[32]    | qh[8], 16 bits each      |
 *         f16    low 8      from bit 3 g on: high 3 bits of the index of entry g of a sub-block,
 *                bits of    bits 12 to 14: scale, bit 15: delta is minus
 *                an index
 *
 *   x = d * (2 * scale + 1) * (w + delta),   w is -1, 0 or 1: byte i of weir_iq1_grid[index],
 *   delta = 1/8 or -1/8 */
#ifndef WEIR_IQ1_S_H
#define WEIR_IQ1_S_H

#include <stdint.h>

enum { WEIR_IQ1_S_LEN = 256 };

struct weir_iq1_s {
    uint16_t d;
    uint8_t qs[32];
    uint16_t qh[8];
};
_Static_assert(sizeof(struct weir_iq1_s) == 50, "IQ1_S is 50 bytes");

#endif
