/* mxfp4.h - 32 values in 17 bytes: one power of two, 4-bit floats (OCP Microscaling Formats v1.0).
 *
 *   byte  0      1                          17
 *         | e    | qs[0] ... qs[15]          |
 *         E8M0    low nibble of qs[i]: value i, high nibble: value i + 16; each is E2M1:
 *                 a sign, two bits of exponent, one of mantissa
 *
 *   x = 2^(e - 127) * E2M1(code) = weir_mxfp4_scale(e) * weir_mxfp4_steps[code]
 *
 *   E2M1 has halves; twice its values are whole, hence half the scale. e = 255 is not a number
 *   (section 5.4.1). */
#ifndef WEIR_MXFP4_H
#define WEIR_MXFP4_H

#include <math.h>
#include <stdint.h>

enum { WEIR_MXFP4_LEN = 32 };

struct weir_mxfp4 {
    uint8_t e;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct weir_mxfp4) == 17, "MXFP4 is 17 bytes");

/* Twice the value of each code. */
static const int8_t weir_mxfp4_steps[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                            0, -1, -2, -3, -4, -6, -8, -12};

/* 2^(e - 128), exact: the two least are subnormal. */
static inline float weir_mxfp4_scale(uint8_t e)
{
    return e == 255 ? NAN : ldexpf(1.0f, e - 128);
}

#endif
