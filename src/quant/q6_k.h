/* q6_k.h - 256 values in 210 bytes: 16 sub-blocks of 16, each with a signed 8-bit scale.
 *
 *   byte  0            128          192          208  210
 *         | ql[128]    | qh[64]     | scales[16] | d   |
 *         low 4 bits    high 2 bits  int8         f16
 *
 *   Each half of 128 values has 64 bytes of ql and 32 of qh. Of value i of a half:
 *   nibble = ql[i % 64] >> 4 * (i / 64) & 15,  high = qh[i % 32] >> 2 * (i / 32) & 3
 *
 *   x = d * scales[index / 16] * (nibble + 16 * high - 32) */
#ifndef WEIR_Q6_K_H
#define WEIR_Q6_K_H

#include <stdint.h>

enum { WEIR_Q6_K_LEN = 256 };

struct weir_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};
_Static_assert(sizeof(struct weir_q6_k) == 210, "Q6_K is 210 bytes");

#endif
