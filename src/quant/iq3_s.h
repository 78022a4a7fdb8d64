/* iq3_s.h - 256 values in 110 bytes: 64 entries, of 4 values, of a codebook of 512; 8 sub-blocks.
 *
 *   byte  0    2          66          74           106         110
 *         | d  | qs[64]    | qh[8]     | signs[32]  | scales[4] |
 *         f16    low 8      bit g % 8:  bit of a     low nibble: sub-block 2 i, high nibble:
 *                bits of    high bit    value        2 i + 1
 *                an index   of index g
 *
 *   x = d * (2 * scale + 1) * size * sign,   size = byte i of weir_iq3_s_grid[index g],
 *   index g = qs[g] + 256 * (qh[g / 8] >> g % 8 & 1) */
#ifndef WEIR_IQ3_S_H
#define WEIR_IQ3_S_H

#include <stdint.h>

enum { WEIR_IQ3_S_LEN = 256 };

struct weir_iq3_s {
    uint16_t d;
    uint8_t qs[64];
    uint8_t qh[8];
    uint8_t signs[32];
    uint8_t scales[4];
};
_Static_assert(sizeof(struct weir_iq3_s) == 110, "IQ3_S is 110 bytes");

#endif
