/* iq4_nl.h - 32 values in 18 bytes: one scale, 4-bit codes of 16 uneven steps.
 *
 *   byte  0      2                          18
 *         | d    | qs[0] ... qs[15]          |
 *         f16     low nibble of qs[i]: code of value i, high nibble: of value i + 16
 *
 *   x = d * weir_iq4_nl_steps[code] */
#ifndef WEIR_IQ4_NL_H
#define WEIR_IQ4_NL_H

#include <stdint.h>

enum { WEIR_IQ4_NL_LEN = 32 };

struct weir_iq4_nl {
    uint16_t d;
    uint8_t qs[16];
};
_Static_assert(sizeof(struct weir_iq4_nl) == 18, "IQ4_NL is 18 bytes");

/* Both of IQ4_NL and IQ4_XS: denser around zero, as weights are. */
static const int8_t weir_iq4_nl_steps[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                             1,    13,   25,  38,  53,  69,  89,  113};

#endif
