/* i4.h - whole numbers of 4 bits, 8 too large, two in a byte (compressed-tensors, pack-quantized).
 *
 *   byte  0
 *         low nibble: value 0 plus 8, high nibble: value 1 plus 8
 *
 *   Files have them as 32-bit words, the first value in the lowest bits: the same bytes. The scales
 *   are in another tensor (struct weir_scales).
 *
 *   Where a third tensor has zero points, a nibble's value is what it is above its group's zero
 *   point, and not above 8. They are nibbles too, eight rows' in a word (packed_dim 0):
 *
 *   word  0 (rows 0 to 7), column 0       4 bytes   byte 0: low nibble row 0, high nibble row 1
 *         0                column 1       4
 *         1 (rows 8 to 15), column 0 ... */
#ifndef WEIR_I4_H
#define WEIR_I4_H

enum {
    WEIR_I4_LEN = 2,
    WEIR_I4_ZERO = 8,
    WEIR_I4_ZERO_ROWS = 8,  /* whose zero points are a word ... */
    WEIR_I4_ZERO_BYTES = 4, /* ... of so many bytes */
};

#endif
