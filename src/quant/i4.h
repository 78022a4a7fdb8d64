/* i4.h - whole numbers of 4 bits, 8 too large, two in a byte (compressed-tensors, pack-quantized).
 *
 *   byte  0
 *         low nibble: value 0 plus 8, high nibble: value 1 plus 8
 *
 *   Files have them as 32-bit words, the first value in the lowest bits: the same bytes. The scales
 *   are in another tensor (struct weir_scales). */
#ifndef WEIR_I4_H
#define WEIR_I4_H

enum { WEIR_I4_LEN = 2, WEIR_I4_ZERO = 8 };

#endif
