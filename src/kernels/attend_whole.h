/* attend_whole.h - factors of packed keys and values as whole numbers: a part of attend_tiles.h.
 *
 * Factors times scales are whole numbers of 16 bits, of a step that the largest of PORTION pieces
 * chooses: 2^-15 of that is the most that one is off by, less than f16 would be. So codes stay
 * bytes, four indices are one dot of bytes, and a piece's sum is exact. A number of 16 bits is two
 * of eight, 256 high + low.
 *
 * A level gives, beside what attend_lanes.h asks for: type codes, of LANES words of four bytes;
 * TILE_JOBS, for which there are registers; type dots, of which no more than TILE_STEPS are added;
 * and
 *
 *   load_codes(at)  byte_codes(x, from, bits) of each byte those bits from bit `from` on
 *   spread_four(at) the same four bytes in each word
 *   no_dots()  add_dots(x, factors, sums) unsigned bytes times signed ones, of each word
 *   join_dots(high, low) 256 high + low of each word, as floats
 *   store_parts(x, bits, high, low) TILE_PIECE floats as whole numbers, in the order of the steps:
 *   byte b of step t is index t / n * 4 n + b n + t % n, where a byte has n = 8 / bits codes */
#ifndef WEIR_KERNELS_ATTEND_WHOLE_H
#define WEIR_KERNELS_ATTEND_WHOLE_H

enum {
    TILE_PIECE = 32,             /* indices whose dots are summed as whole numbers */
    TILE_STEPS = TILE_PIECE / 4, /* a byte of each word */
    TILE_REGISTERS = WEIR_TILE / LANES,
    PIECE_REGISTERS = TILE_PIECE / LANES,
    PORTION = 4, /* pieces whose factors have one step */
};

/* Pieces that share a step: of TILE_PIECE indices each, `codes` bytes and `halves` scales and zeros
 * from one to the next. */
struct pieces {
    const uint8_t *at;
    const uint16_t *scales, *zeros;
    size_t code_stride, half_stride;
    const uint8_t *ahead; /* as many bytes that are read later; NULL: there are none */
    size_t count;
};

/* What the factors of a piece are: the portion's step times (256 high + low). */
struct whole {
    int8_t high[TILE_PIECE], low[TILE_PIECE];
};

/* A job's factors of a portion. */
struct portion {
    struct whole whole[PORTION];
    lanes zeros[PORTION]; /* sums of factor times zero */
    float step;
};

/* A step, a power of two, of which numbers up to `most` are fewer than 2^15 - 128, and its inverse.
 * Where most is not finite the step is not either. */
WEIR_INLINE float step_of(float most, float *inverse)
{
    union {
        float value;
        uint32_t bits;
    } unit = {.value = most * (1.0f + 1.0f / 64) + 0x1p-80f}, shrink;
    enum { EXPONENT = 23, BITS = 14 };
    unit.bits &= 0x7f800000u;
    shrink.bits = ((254u + BITS) << EXPONENT) - unit.bits;
    *inverse = shrink.value;
    return unit.value * (1.0f / (1 << BITS));
}

/* Factors of the pieces, which are `stride` from one to the next, times scales. What is not finite
 * makes zeros not finite: a scale that is none has a zero that is none. */
WEIR_INLINE void scale_factors(const struct pieces *pieces, const float *factors, size_t stride,
                               struct portion *portion, const int bits)
{
    lanes products[PORTION][PIECE_REGISTERS];
    lanes most = spread(0.0f);
    const uint16_t *scale = pieces->scales;
    const uint16_t *zero = pieces->zeros;
    float inverse;
    for (size_t p = 0; p < pieces->count; p++) {
        lanes zeros = spread(0.0f);
        for (int r = 0; r < PIECE_REGISTERS; r++) {
            const lanes factor = load_floats(factors + r * LANES, LANES);
            const lanes product = multiply(factor, load_halves(scale + r * LANES, LANES));
            zeros = multiply_add(factor, load_halves(zero + r * LANES, LANES), zeros);
            most = maximum(most, maximum(product, subtract(spread(0.0f), product)));
            products[p][r] = product;
        }
        portion->zeros[p] = zeros;
        factors += stride;
        scale += pieces->half_stride;
        zero += pieces->half_stride;
    }
    portion->step = step_of(largest_of(most), &inverse);
    for (size_t p = 0; p < pieces->count; p++) {
        for (int r = 0; r < PIECE_REGISTERS; r++)
            products[p][r] = multiply(products[p][r], spread(inverse));
        store_parts(products[p], bits, portion->whole[p].high, portion->whole[p].low);
    }
}

WEIR_INLINE void ask_pieces(const struct pieces *pieces, const int bits)
{
    const size_t bytes = pieces->count * TILE_PIECE * weir_tile_row_bytes(bits, WEIR_TILE);
    for (size_t line = 0; line < bytes && pieces->ahead != NULL; line += LINE_BYTES)
        __builtin_prefetch(pieces->ahead + line, 0, FIRST_LEVEL);
}

/* sums[j][r]: of n jobs' factors times the codes of piece p, in steps. */
WEIR_INLINE void dot_piece(const uint8_t *codes_at, const struct portion portions[JOBS_MAX],
                           size_t p, lanes sums[JOBS_MAX][TILE_REGISTERS], const int n,
                           const int bits)
{
    const int each = 8 / bits; /* codes of a byte */
    dots high[JOBS_MAX][TILE_REGISTERS];
    dots low[JOBS_MAX][TILE_REGISTERS];
    for (int j = 0; j < n; j++)
        for (int r = 0; r < TILE_REGISTERS; r++)
            high[j][r] = low[j][r] = no_dots();
    for (int step = 0; step < TILE_STEPS; step++)
        for (int r = 0; r < TILE_REGISTERS; r++) {
            const uint8_t *at = codes_at + step / each * WEIR_TILE_UNIT_BYTES;
            const codes words = load_codes(at + (size_t)r * LANES * sizeof(uint32_t));
            const codes bytes = byte_codes(words, step % each * bits, bits);
            for (int j = 0; j < n; j++) {
                const struct whole *whole = &portions[j].whole[p];
                high[j][r] = add_dots(bytes, spread_four(whole->high + 4 * step), high[j][r]);
                low[j][r] = add_dots(bytes, spread_four(whole->low + 4 * step), low[j][r]);
            }
        }
    for (int j = 0; j < n; j++)
        for (int r = 0; r < TILE_REGISTERS; r++)
            sums[j][r] = join_dots(high[j][r], low[j][r]);
}

#endif
