/* q32_avx2.c - blocks of 32 values on 256-bit registers: eight rows are the lanes.
 *
 * As q32_avx512vnni.c, with products of bytes summed to 16 bits first, as many as fit there.
 *
 * I1  One output is summed block by block from the left: sum = fma(float(integer dot),
 *     weight scale * activation scale, sum), whatever the number of rows and tokens. */
#include "kernels/x86/q32_blocks.h"
#include "kernels/x86/rows8_avx2.h"

enum { PANEL_BLOCKS = 16, TOKEN_TILE = 3 };

/* One block of 8 rows. */
struct block {
    __m256i steps[8];
    __m256i sizes[8]; /* of steps with a sign: without it */
    __m256 scale;
    __m256 minimum; /* Q4_1 and Q5_1 only */
};

typedef const struct weir_act_q8_32 *act_blocks;
typedef struct block panel_block;
enum { BLOCK_VALUES = 32 };

/* Steps that are too many for an offset to make them unsigned. */
WEIR_INLINE bool is_signed(const enum weir_type type)
{
    return type == WEIR_TYPE_Q8_0 || type == WEIR_TYPE_IQ4_NL;
}

/* How many pairs of products fit 16 bits: 2 * 127 * steps of at most 128, 31 or 15. */
WEIR_INLINE int pairs_max(const enum weir_type type)
{
    if (is_signed(type))
        return 1;
    return has_fifth_bits(type) || type == WEIR_TYPE_MXFP4 ? 4 : 8;
}

/* Steps are unsigned: 8 too large in Q4_0, 16 in Q5_0 and MXFP4. The activations' offset is for
 * 128, and a multiple of it: larger by this many bits. */
WEIR_INLINE int offset_shift(const enum weir_type type)
{
    if (type == WEIR_TYPE_Q4_0)
        return 4;
    return type == WEIR_TYPE_Q5_0 || type == WEIR_TYPE_MXFP4 ? 3 : 0;
}

/* weir_mxfp4_scale() of each row's first byte: half of 2^(e - 127), whose bits are e << 23 but for
 * the least; 255 is infinite. */
WEIR_INLINE __m256 load_powers(const struct rows8 *rows)
{
    __m256i words[4];
    rows8_words(rows, offsetof(struct weir_mxfp4, e), words);
    const __m256i e = _mm256_and_si256(words[0], _mm256_set1_epi32(255));
    const __m256i powers = _mm256_max_epi32(_mm256_slli_epi32(e, 23), _mm256_set1_epi32(1 << 22));
    return _mm256_mul_ps(_mm256_castsi256_ps(powers), _mm256_set1_ps(0.5f));
}

/* The fifth bits, which lie before the nibbles, put above them: bit 4 k + j of a row's word belongs
 * to byte j of register k. */
WEIR_INLINE void add_fifth_bits(const struct rows8 *rows, __m256i steps[8],
                                const enum weir_type type)
{
    __m256i words[4];
    rows8_words(rows, steps_at(type) - 4, words);
    for (int k = 0; k < 8; k++) {
        const __m256i same = _mm256_add_epi8(
            _mm256_broadcastsi128_si256(_mm_set_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0)),
            _mm256_set1_epi8((char)(k / 2)));
        const __m256i mask = _mm256_set1_epi32(k % 2 == 0 ? 0x08040201 : (int)0x80402010);
        const __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(words[0], same), mask);
        const __m256i is_set = _mm256_cmpeq_epi8(bits, mask);
        steps[k] = _mm256_or_si256(steps[k], _mm256_and_si256(is_set, _mm256_set1_epi8(16)));
    }
}

/* What the low nibbles of bytes stand for, or (half 1) the high ones. */
WEIR_INLINE __m256i nibble_steps(__m256i bytes, int half, const enum weir_type type)
{
    const __m256i moved = half == 0 ? bytes : _mm256_srli_epi16(bytes, 4);
    const __m256i nibbles = _mm256_and_si256(moved, _mm256_set1_epi8(15));
    if (!has_codes(type))
        return nibbles;
    const bool is_mxfp4 = type == WEIR_TYPE_MXFP4;
    const int8_t *steps = is_mxfp4 ? weir_mxfp4_steps : weir_iq4_nl_steps;
    const __m256i table = _mm256_add_epi8(spread_half(steps), _mm256_set1_epi8(is_mxfp4 ? 16 : 0));
    return _mm256_shuffle_epi8(table, nibbles);
}

WEIR_INLINE void load_scales(const struct rows8 *rows, struct block *block,
                             const enum weir_type type)
{
    block->scale = type == WEIR_TYPE_MXFP4 ? load_powers(rows) : rows8_halves(rows, 0);
    block->minimum =
        has_minimum(type) ? rows8_halves(rows, offsetof(struct weir_q4_1, m)) : _mm256_setzero_ps();
}

WEIR_INLINE void load_steps(const struct rows8 *rows, struct block *block,
                            const enum weir_type type)
{
    rows8_words(rows, steps_at(type), block->steps);
    if (type == WEIR_TYPE_Q8_0) {
        rows8_words(rows, steps_at(type) + 16, block->steps + 4);
        return;
    }
    for (int i = 0; i < 4; i++) {
        block->steps[i + 4] = nibble_steps(block->steps[i], 1, type);
        block->steps[i] = nibble_steps(block->steps[i], 0, type);
    }
    if (has_fifth_bits(type))
        add_fifth_bits(rows, block->steps, type);
}

WEIR_INLINE void load_block(const struct rows8 *rows, struct block *block,
                            const enum weir_type type)
{
    load_scales(rows, block, type);
    load_steps(rows, block, type);
    for (int i = 0; i < 8 && is_signed(type); i++)
        block->sizes[i] = _mm256_abs_epi8(block->steps[i]);
}

/* The products of a register of steps, which without signs are sizes, and four values, summed in
 * pairs. */
WEIR_INLINE __m256i multiply(__m256i steps, __m256i sizes, __m256i values,
                             const enum weir_type type)
{
    if (is_signed(type))
        return _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(values, steps));
    return _mm256_maddubs_epi16(steps, values);
}

/* sum += the block whose steps times x's are dot. */
WEIR_INLINE void add_dot(const struct block *block, const struct weir_act_q8_32 *x, __m256i dot,
                         __m256 *sum, const enum weir_type type)
{
    const __m256i offset = _mm256_srai_epi32(spread_word(&x->offset), offset_shift(type));
    if (offset_shift(type) > 0)
        dot = _mm256_add_epi32(dot, offset);
    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot),
                           _mm256_mul_ps(block->scale, _mm256_set1_ps(x->scale)), *sum);
    if (has_minimum(type))
        *sum = _mm256_fmadd_ps(block->minimum, _mm256_set1_ps(x->sum), *sum);
}

/* sums[t][part] += one block of each part times token t's, t in [0, n). */
WEIR_INLINE void add_block(const struct block *blocks, const act_blocks *x, size_t at,
                           __m256 (*sums)[PARTS], const int n, const enum weir_type type)
{
    __m256i dots[TOKEN_TILE][PARTS];
    for (int t = 0; t < n; t++)
        for (int part = 0; part < PARTS; part++)
            dots[t][part] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int from = 0; from < 8; from += pairs_max(type)) {
        __m256i pairs[TOKEN_TILE][PARTS];
        for (int t = 0; t < n; t++)
            for (int part = 0; part < PARTS; part++)
                pairs[t][part] = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (int i = from; i < from + pairs_max(type); i++)
            for (int t = 0; t < n; t++) {
                const __m256i values = spread_word(x[t][at].q + 4 * i);
                for (int part = 0; part < PARTS; part++) {
                    const __m256i pair =
                        multiply(blocks[part].steps[i], blocks[part].sizes[i], values, type);
                    __m256i *sum = &pairs[t][part];
                    *sum = _mm256_add_epi16(*sum, pair);
                    settle(sum);
                }
            }
        for (int t = 0; t < n; t++)
            for (int part = 0; part < PARTS; part++) {
                __m256i *sum = &dots[t][part];
                *sum =
                    _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs[t][part], _mm256_set1_epi16(1)));
                settle(sum);
            }
    }
    for (int t = 0; t < n; t++)
        for (int part = 0; part < PARTS; part++)
            add_dot(&blocks[part], &x[t][at], dots[t][part], &sums[t][part], type);
}

/* A panel against n tokens of which x is the first. */
WEIR_INLINE void add_panel(const struct block (*panel)[PARTS], size_t count, const uint8_t *x,
                           size_t x_row_bytes, __m256 (*sums)[PARTS], const int n,
                           const enum weir_type type)
{
    act_blocks rows[TOKEN_TILE];
    __m256 sum[TOKEN_TILE][PARTS];
    for (int t = 0; t < n; t++)
        rows[t] = (act_blocks)(const void *)(x + (size_t)t * x_row_bytes);
    __builtin_memcpy(sum, sums, n * sizeof(*sum));
    for (size_t at = 0; at < count; at++)
        add_block(panel[at], rows, at, sum, n, type);
    __builtin_memcpy(sums, sum, n * sizeof(*sum));
}

WEIR_INLINE void load_panel(const struct rows8 *rows, const uint8_t *next, struct block *block,
                            const enum weir_type type)
{
    const size_t part_bytes = WEIR_LANES * block_bytes(type);
    prefetch_bytes(next, part_bytes);
    load_block(rows, block, type);
}

#include "kernels/x86/panels8_avx2.h"

/* How often sums of a block's products can be folded before they need 32 bits, from 4 * 127 * steps
 * of at most 31 or 15 on; not even these, of steps of 128, fit 16. */
WEIR_INLINE int folds(const enum weir_type type)
{
    return pairs_max(type) / 4;
}

/* The fifth bits of a half of the steps of rows j and 4 + j, put where they belong: bit 16 half + i
 * of a row's word is of step i. */
WEIR_INLINE __m256i fifth_bits(const struct rows8 *rows, int j, int half, const enum weir_type type)
{
    const __m256i bytes = rows8_pair(rows, j, steps_at(type) - 4);
    const __m256i same =
        _mm256_add_epi8(_mm256_broadcastsi128_si256(_mm_set_epi32(0x01010101, 0x01010101, 0, 0)),
                        _mm256_set1_epi8((char)(2 * half)));
    const __m256i mask = _mm256_set1_epi64x((long long)0x8040201008040201);
    const __m256i bits = _mm256_and_si256(_mm256_shuffle_epi8(bytes, same), mask);
    return _mm256_and_si256(_mm256_cmpeq_epi8(bits, mask), _mm256_set1_epi8(16));
}

/* Steps [16 half, 16 half + 16) of rows j and 4 + j. */
WEIR_INLINE __m256i half_steps(const struct rows8 *rows, int j, int half, const enum weir_type type)
{
    if (type == WEIR_TYPE_Q8_0)
        return rows8_pair(rows, j, steps_at(type) + 16 * (size_t)half);
    const __m256i steps = nibble_steps(rows8_pair(rows, j, steps_at(type)), half, type);
    return has_fifth_bits(type) ? _mm256_or_si256(steps, fifth_bits(rows, j, half, type)) : steps;
}

/* The dot products of one block of 8 rows, as lanes. */
WEIR_INLINE __m256i dot_rows(const struct rows8 *rows, const int8_t *q, const enum weir_type type)
{
    const __m256i one = _mm256_set1_epi16(1);
    const __m256i x[2] = {spread_half(q), spread_half(q + 16)};
    __m256i sums[4];
    for (int j = 0; j < 4; j++) {
        const __m256i low = half_steps(rows, j, 0, type);
        const __m256i high = half_steps(rows, j, 1, type);
        const __m256i first = multiply(low, _mm256_abs_epi8(low), x[0], type);
        const __m256i second = multiply(high, _mm256_abs_epi8(high), x[1], type);
        sums[j] = folds(type) == 0 ? _mm256_add_epi32(_mm256_madd_epi16(first, one),
                                                      _mm256_madd_epi16(second, one))
                                   : _mm256_add_epi16(first, second);
    }
    if (folds(type) == 0)
        return fold_lanes_32(fold_32(sums[0], sums[1]), fold_32(sums[2], sums[3]));
    const __m256i a = fold_16(sums[0], sums[1]);
    const __m256i b = fold_16(sums[2], sums[3]);
    if (folds(type) == 1)
        return fold_lanes_32(_mm256_madd_epi16(a, one), _mm256_madd_epi16(b, one));
    return _mm256_madd_epi16(fold_lanes_16(a, b), one);
}

/* One token: blocks go from memory through registers into the sum. */
WEIR_INLINE void run_stream(const struct weir_matmul *job, struct rows8 rows, size_t apart,
                            float *y, const enum weir_type type)
{
    const act_blocks x = job->x;
    __m256 sum = _mm256_setzero_ps();
    for (size_t at = 0; at < job->cols / 32; at++) {
        struct block block;
        load_scales(&rows, &block, type);
        add_dot(&block, &x[at], dot_rows(&rows, x[at].q, type), &sum, type);
        rows8_advance(&rows, block_bytes(type));
    }
    rows8_store(&rows, y, apart, sum);
}

WEIR_ROWS_MATMUL(rows8, tile, q8_0, WEIR_TYPE_Q8_0)
WEIR_ROWS_MATMUL(rows8, tile, q4_0, WEIR_TYPE_Q4_0)
WEIR_ROWS_MATMUL(rows8, tile, q4_1, WEIR_TYPE_Q4_1)
WEIR_ROWS_MATMUL(rows8, tile, q5_0, WEIR_TYPE_Q5_0)
WEIR_ROWS_MATMUL(rows8, tile, q5_1, WEIR_TYPE_Q5_1)
WEIR_ROWS_MATMUL(rows8, tile, iq4_nl, WEIR_TYPE_IQ4_NL)
WEIR_ROWS_MATMUL(rows8, tile, mxfp4, WEIR_TYPE_MXFP4)

void weir_q32_init_avx2(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_Q8_0] = matmul_q8_0;
    kernels->matmul[WEIR_TYPE_Q4_0] = matmul_q4_0;
    kernels->matmul[WEIR_TYPE_Q4_1] = matmul_q4_1;
    kernels->matmul[WEIR_TYPE_Q5_0] = matmul_q5_0;
    kernels->matmul[WEIR_TYPE_Q5_1] = matmul_q5_1;
    kernels->matmul[WEIR_TYPE_IQ4_NL] = matmul_iq4_nl;
    kernels->matmul[WEIR_TYPE_MXFP4] = matmul_mxfp4;
}
