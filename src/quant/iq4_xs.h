/* iq4_xs.h - 256 values in 136 bytes: 8 sub-blocks of 32 codes of IQ4_NL, each with a signed 6-bit
 * scale.
 *
 *   byte  0    2          4             8                        136
 *         | d  | scales_h | scales_l[4]  | qs[128]                 |
 *         f16   high 2     low 4 bits     16 bytes a sub-block,
 *               bits                      its first half in low nibbles
 *
 *   Sub-block s: the low bits of its scale are a nibble of scales_l[s / 2], low nibbles first, the
 *   high ones lie in scales_h from bit 2 s on; 32 is taken off.
 *
 *   x = d * scale(s) * weir_iq4_nl_steps[code],   s = index / 32 */
#ifndef WEIR_IQ4_XS_H
#define WEIR_IQ4_XS_H

#include <stdint.h>

enum { WEIR_IQ4_XS_LEN = 256 };

struct weir_iq4_xs {
    uint16_t d;
    uint16_t scales_h;
    uint8_t scales_l[4];
    uint8_t qs[128];
};
_Static_assert(sizeof(struct weir_iq4_xs) == 136, "IQ4_XS is 136 bytes");

static inline int weir_iq4_xs_scale(const struct weir_iq4_xs *block, int s)
{
    const int low = block->scales_l[s / 2] >> 4 * (s % 2) & 15;
    const int high = block->scales_h >> 2 * s & 3;
    return low + 16 * high - 32;
}

#endif
