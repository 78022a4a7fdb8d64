/* f8_e4m3.h - 8-bit floats: a sign, four bits of exponent, three of mantissa (arXiv:2209.05433).
 *
 *   bit   7    6 ... 3   2 1 0
 *         s    e         m          e = 0: (-1)^s m / 8 * 2^-6, else (-1)^s (1 + m / 8) * 2^(e - 7)
 *
 *   There is no infinity: 0x7f and 0xff are not a number, 0x7e is 448. Weights have scales in
 *   another tensor (struct weir_scales). */
#ifndef WEIR_F8_E4M3_H
#define WEIR_F8_E4M3_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The same bits as those of a float, whose exponent counts from 127 in place of 7. */
static inline float weir_f8_e4m3_to_f32(uint8_t code)
{
    const uint32_t bits = (uint32_t)(code & 0x80) << 24 | (uint32_t)(code & 0x7f) << 20;
    float value;
    if ((code & 0x7f) == 0x7f)
        return NAN;
    memcpy(&value, &bits, sizeof(value));
    return value * 0x1p120f;
}

#endif
