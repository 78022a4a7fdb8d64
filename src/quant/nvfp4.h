/* nvfp4.h - 64 values in 36 bytes: 4 sub-blocks of 16 4-bit floats, each with an 8-bit float scale.
 *
 *   byte  0         4                     36
 *         | scales[4] | qs[32]              |
 *         UE4M3        8 bytes a sub-block: low nibbles are its first half, each E2M1 as in MXFP4
 *
 *   x = UE4M3(scale) * E2M1(code) = weir_nvfp4_scale(scale) * weir_mxfp4_steps[code]
 *
 *   UE4M3: 4 bits of exponent, 3 of mantissa, bias 7, no sign (the top bit is not looked at); 0x7f
 *   is not a number (OCP 8-bit floating point v1.0, E4M3). */
#ifndef WEIR_NVFP4_H
#define WEIR_NVFP4_H

#include <math.h>
#include <stdint.h>

#include "quant/mxfp4.h"

enum { WEIR_NVFP4_LEN = 64 };

struct weir_nvfp4 {
    uint8_t scales[4];
    uint8_t qs[32];
};
_Static_assert(sizeof(struct weir_nvfp4) == 36, "NVFP4 is 36 bytes");

/* Half of the scale, as steps are twice the values. */
static inline float weir_nvfp4_scale(uint8_t bits)
{
    const int exponent = bits >> 3 & 15;
    const int mantissa = bits & 7;
    if ((bits & 0x7f) == 0x7f)
        return NAN;
    return exponent == 0 ? ldexpf((float)mantissa, -10)
                         : ldexpf((float)(8 + mantissa), exponent - 11);
}

#endif
