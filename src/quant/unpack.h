/* unpack.h - blocks of the IQ, TQ and other low-bit formats as whole steps under whole scales. */
#ifndef WEIR_UNPACK_H
#define WEIR_UNPACK_H

#include <stdint.h>

#include "quant/quant.h"

/* x[i] = d * scales[i / 16] * steps[i], exact in f32: no product has more than 22 bits. Steps are
 * at most 62, scales at most 31. */
struct weir_steps {
    float d;
    int16_t scales[16];
    int8_t steps[256];
};

/* IQ1, IQ2, IQ3 and TQ. block is aligned for its struct. */
void weir_quant_unpack_256(enum weir_type type, const void *block, struct weir_steps *out);

/* 32 values of Q1_0, Q2_0 or NVFP4: the part-th of a block. x[i] = scales[i / 16] * steps[i]. */
struct weir_steps_32 {
    float scales[2];
    int8_t steps[32];
};
void weir_quant_unpack_32(enum weir_type type, const void *block, int part,
                          struct weir_steps_32 *out);

#endif
