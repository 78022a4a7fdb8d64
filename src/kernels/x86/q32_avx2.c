/* q32_avx2.c - blocks of 32 values on 256-bit registers: eight rows are the lanes.
 *
 * As q32_avx512vnni.c, with products of bytes summed to 16 bits first, as many as fit there.
 *
 * I1  One output is summed block by block from the left: sum = fma(float(integer dot),
 *     weight scale * activation scale, sum), whatever the number of rows and tokens. */
#include "kernels/x86/rows8_avx2.h"
#include "quant/iq4_nl.h"
#include "quant/mxfp4.h"
#include "quant/q4_0.h"
#include "quant/q4_1.h"
#include "quant/q5_0.h"
#include "quant/q5_1.h"
#include "quant/q8_0.h"

enum { PANEL_BLOCKS = 16, TOKEN_TILE = 3 };

/* One block of 8 rows. */
struct block {
    __m256i steps[8];
    __m256 scale;
    __m256 minimum; /* Q4_1 and Q5_1 only */
};

typedef const struct weir_act_q8_32 *act_blocks;

WEIR_INLINE size_t block_bytes(const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q8_0:
        return sizeof(struct weir_q8_0);
    case WEIR_TYPE_Q4_0:
        return sizeof(struct weir_q4_0);
    case WEIR_TYPE_Q4_1:
        return sizeof(struct weir_q4_1);
    case WEIR_TYPE_Q5_0:
        return sizeof(struct weir_q5_0);
    case WEIR_TYPE_Q5_1:
        return sizeof(struct weir_q5_1);
    case WEIR_TYPE_IQ4_NL:
        return sizeof(struct weir_iq4_nl);
    default:
        return sizeof(struct weir_mxfp4);
    }
}

/* Steps are the last bytes of a block. */
WEIR_INLINE size_t steps_at(const enum weir_type type)
{
    return block_bytes(type) - (type == WEIR_TYPE_Q8_0 ? 32 : 16);
}

WEIR_INLINE bool has_fifth_bits(const enum weir_type type)
{
    return type == WEIR_TYPE_Q5_0 || type == WEIR_TYPE_Q5_1;
}

WEIR_INLINE bool has_minimum(const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_1 || type == WEIR_TYPE_Q5_1;
}

WEIR_INLINE bool has_codes(const enum weir_type type)
{
    return type == WEIR_TYPE_IQ4_NL || type == WEIR_TYPE_MXFP4;
}

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

/* weir_mxfp4_scale() of each row's first byte: the bits of 2^(e - 128). */
WEIR_INLINE __m256 load_powers(const struct rows8 *rows)
{
    __m256i words[4];
    rows8_words(rows, offsetof(struct weir_mxfp4, e), words);
    const __m256i e = _mm256_and_si256(words[0], _mm256_set1_epi32(255));
    const __m256i one = _mm256_set1_epi32(1);
    const __m256i normal = _mm256_slli_epi32(_mm256_sub_epi32(e, one), 23);
    const __m256i subnormal = _mm256_sllv_epi32(_mm256_set1_epi32(1 << 21), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(subnormal, normal, _mm256_cmpgt_epi32(e, one)));
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

WEIR_INLINE void load_block(const struct rows8 *rows, struct block *block,
                            const enum weir_type type)
{
    block->scale = type == WEIR_TYPE_MXFP4 ? load_powers(rows) : rows8_halves(rows, 0);
    block->minimum = _mm256_setzero_ps();
    rows8_words(rows, steps_at(type), block->steps);
    if (type == WEIR_TYPE_Q8_0) {
        rows8_words(rows, steps_at(type) + 16, block->steps + 4);
        return;
    }
    const __m256i mask = _mm256_set1_epi8(15);
    for (int i = 0; i < 4; i++) {
        block->steps[i + 4] = _mm256_and_si256(_mm256_srli_epi16(block->steps[i], 4), mask);
        block->steps[i] = _mm256_and_si256(block->steps[i], mask);
    }
    if (has_fifth_bits(type))
        add_fifth_bits(rows, block->steps, type);
    if (has_minimum(type))
        block->minimum = rows8_halves(rows, offsetof(struct weir_q4_1, m));
    if (has_codes(type)) {
        const bool is_mxfp4 = type == WEIR_TYPE_MXFP4;
        const int8_t *steps = is_mxfp4 ? weir_mxfp4_steps : weir_iq4_nl_steps;
        const __m256i table = _mm256_add_epi8(
            _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)(const void *)steps)),
            _mm256_set1_epi8(is_mxfp4 ? 16 : 0));
        for (int i = 0; i < 8; i++)
            block->steps[i] = _mm256_shuffle_epi8(table, block->steps[i]);
    }
}

/* The products of a register of steps and four values, summed in pairs. */
WEIR_INLINE __m256i multiply(__m256i steps, __m256i values, const enum weir_type type)
{
    if (is_signed(type))
        return _mm256_maddubs_epi16(_mm256_abs_epi8(steps), _mm256_sign_epi8(values, steps));
    return _mm256_maddubs_epi16(steps, values);
}

/* sums[t][part] += one block of each part times token t's, t in [0, n), part in [0, parts).
 * One part need not settle: its products fit the registers, and a chain of sums takes longer. */
WEIR_INLINE void add_block(const struct block *blocks, const act_blocks *x, size_t at,
                           __m256 (*sums)[PARTS], const int n, const int parts,
                           const enum weir_type type)
{
    __m256i dots[TOKEN_TILE][PARTS];
    for (int t = 0; t < n; t++)
        for (int part = 0; part < parts; part++)
            dots[t][part] = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (int from = 0; from < 8; from += pairs_max(type)) {
        __m256i pairs[TOKEN_TILE][PARTS];
        for (int t = 0; t < n; t++)
            for (int part = 0; part < parts; part++)
                pairs[t][part] = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (int i = from; i < from + pairs_max(type); i++)
            for (int t = 0; t < n; t++) {
                const __m256i values = spread_word(x[t][at].q + 4 * i);
                for (int part = 0; part < parts; part++) {
                    __m256i *sum = &pairs[t][part];
                    *sum = _mm256_add_epi16(*sum, multiply(blocks[part].steps[i], values, type));
                    if (parts > 1)
                        settle(sum);
                }
            }
        for (int t = 0; t < n; t++)
            for (int part = 0; part < parts; part++) {
                __m256i *sum = &dots[t][part];
                *sum =
                    _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs[t][part], _mm256_set1_epi16(1)));
                if (parts > 1)
                    settle(sum);
            }
    }
    for (int t = 0; t < n; t++) {
        const __m256 x_scale = _mm256_set1_ps(x[t][at].scale);
        const __m256i offset = _mm256_srai_epi32(spread_word(&x[t][at].offset), offset_shift(type));
        for (int part = 0; part < parts; part++) {
            __m256i dot = dots[t][part];
            __m256 *sum = &sums[t][part];
            if (offset_shift(type) > 0)
                dot = _mm256_add_epi32(dot, offset);
            *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot),
                                   _mm256_mul_ps(blocks[part].scale, x_scale), *sum);
            if (has_minimum(type))
                *sum = _mm256_fmadd_ps(blocks[part].minimum, _mm256_set1_ps(x[t][at].sum), *sum);
        }
    }
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
        add_block(panel[at], rows, at, sum, n, PARTS, type);
    __builtin_memcpy(sums, sum, n * sizeof(*sum));
}

WEIR_INLINE void run_panels(const struct weir_matmul *job, size_t first, size_t n_token,
                            struct tile tile, const uint8_t *next, float *y,
                            const enum weir_type type)
{
    const size_t tile_bytes = WEIR_ROWS * block_bytes(type);
    struct rows8 rows[PARTS] = {part_rows(&tile, 0), part_rows(&tile, 1)};
    struct block panel[PANEL_BLOCKS][PARTS];
    __m256 sums[WEIR_TOKENS_MAX][PARTS];
    const size_t block_count = job->cols / 32;
    for (size_t t = 0; t < n_token; t++)
        sums[t][0] = sums[t][1] = _mm256_setzero_ps();
    for (size_t from = 0; from < block_count; from += PANEL_BLOCKS) {
        const size_t left = block_count - from;
        const size_t count = left < PANEL_BLOCKS ? left : PANEL_BLOCKS;
        for (size_t at = 0; at < count; at++) {
            prefetch_bytes(next + (from + at) * tile_bytes, tile_bytes);
            for (int part = 0; part < PARTS; part++) {
                load_block(&rows[part], &panel[at][part], type);
                rows8_advance(&rows[part], block_bytes(type));
            }
        }
        const uint8_t *x = (const uint8_t *)job->x + first * job->x_row_bytes +
                           from * sizeof(struct weir_act_q8_32);
        size_t t = 0;
        for (; t + TOKEN_TILE <= n_token; t += TOKEN_TILE)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t,
                      TOKEN_TILE, type);
        for (; t + 2 <= n_token; t += 2)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t, 2, type);
        if (t < n_token)
            add_panel(panel, count, x + t * job->x_row_bytes, job->x_row_bytes, sums + t, 1, type);
    }
    for (size_t t = 0; t < n_token; t++)
        parts_store(&tile, rows, y + t * job->y_stride, sums[t]);
}

/* One token: blocks go from memory through registers into the sum. */
WEIR_INLINE void run_one(const struct weir_matmul *job, struct rows8 rows, size_t apart, float *y,
                         const enum weir_type type)
{
    const act_blocks x = job->x;
    __m256 sum[1][PARTS] = {{_mm256_setzero_ps()}};
    for (size_t at = 0; at < job->cols / 32; at++) {
        struct block block;
        load_block(&rows, &block, type);
        add_block(&block, &x, at, sum, 1, 1, type);
        rows8_advance(&rows, block_bytes(type));
    }
    rows8_store(&rows, y, apart, sum[0][0]);
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
