/* iq2_s.h - 256 values in 82 bytes: 32 entries of a codebook of 1024, 16 sub-blocks of two of them.
 *
 *   byte  0    2          34          66            74          82
 *         | d  | qs[32]    | signs[32] | qh[8]       | scales[8] |
 *         f16    low 8      bit i: of   high 2 bits   low nibble: sub-block 2 i, high nibble:
 *                bits of    value i     of 4 indexes  2 i + 1
 *                an index
 *
 *   x = d / 8 * (2 * scale + 1) * size * sign,   size = byte i of weir_iq2_s_grid[index g],
 *   index g = qs[g] + 256 * (qh[g / 4] >> 2 * (g % 4) & 3) */
#ifndef WEIR_IQ2_S_H
#define WEIR_IQ2_S_H

#include <stdint.h>

enum { WEIR_IQ2_S_LEN = 256 };

struct weir_iq2_s {
    uint16_t d;
    uint8_t qs[32];
    uint8_t signs[32];
    uint8_t qh[8];
    uint8_t scales[8];
};
_Static_assert(sizeof(struct weir_iq2_s) == 82, "IQ2_S is 82 bytes");

#endif
