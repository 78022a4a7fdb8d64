/* f4_e2m1.h - 4-bit floats, two in a byte (OCP Microscaling Formats v1.0, section 5.3.3).
 *
 *   byte  0
 *         low nibble: value 0, high nibble: value 1; each is a sign, two bits of exponent, one of
 *         mantissa: 0, 0.5, 1, 1.5, 2, 3, 4, 6 and their negatives
 *
 *   Unlike in mxfp4.h neighbours share a byte, and the scales are in another tensor (struct
 *   weir_scales): safetensors files of MXFP4 and NVFP4 have them so. */
#ifndef WEIR_F4_E2M1_H
#define WEIR_F4_E2M1_H

#include <stdint.h>

enum { WEIR_F4_E2M1_LEN = 2 };

/* Twice the value of each code. */
static const int8_t weir_f4_e2m1_steps[16] = {0, 1,  2,  3,  4,  6,  8,  12,
                                              0, -1, -2, -3, -4, -6, -8, -12};

#endif
