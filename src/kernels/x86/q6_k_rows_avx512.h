/* q6_k_rows_avx512.h - one token's rows of Q6_K, eight at a time, each read as it lies.
 *
 * A register has 64 neighbouring steps of a row, a sub-block in each quarter. The sum of four
 * products fits 16 bits (63 * 127 * 4), and there the sub-block's scale multiplies it. At the end
 * of a super-block eight rows are folded into lanes (docs/decisions/0011-folded-rows.md). */
#ifndef WEIR_KERNELS_Q6_K_ROWS_AVX512_H
#define WEIR_KERNELS_Q6_K_ROWS_AVX512_H

#include <stddef.h>

#include "kernels/x86/walk16_avx512.h"
#include "quant/q6_k.h"

enum { Q6_K_ROWS = WEIR_LANES / 2 };

/* A super-block of the activations. */
struct q6_k_x {
    __m512i q[4];
    /* -16 times what the activations of each sub-block add up to, twice: once for each half of a
     * register of scales. Together they are what steps that are 32 too large add. */
    __m512i below;
};

WEIR_INLINE struct q6_k_x q6_k_x(const struct weir_act_q8_256 *x)
{
    const __m256i sums = _mm256_loadu_si256((const __m256i *)(const void *)x->half_sums);
    const __m256i below = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(sums, 4));
    struct q6_k_x values = {.below = _mm512_broadcast_i64x4(below)};
    for (int i = 0; i < 4; i++)
        values.q[i] = _mm512_loadu_si512(x->q + 64 * i);
    return values;
}

/* Four words of sub-block `low` + i and four of `high` + i for each quarter i. */
WEIR_INLINE __m512i quarter_scales(__m512i scales, int low, int high)
{
    const __m128i words = _mm_set_epi64x(0x0001000100010001 * high, 0x0001000100010001 * low);
    const __m512i quarter =
        _mm512_set_epi64(0x0003000300030003, 0x0003000300030003, 0x0002000200020002,
                         0x0002000200020002, 0x0001000100010001, 0x0001000100010001, 0, 0);
    return _mm512_permutexvar_epi16(_mm512_add_epi16(_mm512_broadcast_i32x4(words), quarter),
                                    scales);
}

/* The six bits of a nibble and of the bits above it; what else is in the bytes does not count. */
WEIR_INLINE __m512i six_bits(__m512i nibbles, __m512i above)
{
    const __m512i four = _mm512_set1_epi8(15);
    const __m512i both = _mm512_ternarylogic_epi32(four, nibbles, above, 0xca);
    return _mm512_and_si512(both, _mm512_set1_epi8(63));
}

/* A super-block of the row at w times x: sixteen integers to be added up. */
WEIR_INLINE __m512i q6_k_products(struct rows16 *rows, const uint8_t *w, const struct q6_k_x *x)
{
    /* The bits above the low nibbles of the first and of the second 32 bytes of a half, and above
     * their high nibbles, put at bit 4. */
    const __m512i low_bits = _mm512_inserti64x4(_mm512_set1_epi32(4), _mm256_set1_epi32(2), 1);
    const __m512i high_bits = _mm512_inserti64x4(_mm512_set1_epi32(0), _mm256_set1_epi32(30), 1);
    const __m128i bytes =
        _mm_loadu_si128((const __m128i *)(const void *)(w + offsetof(struct weir_q6_k, scales)));
    const __m512i scales = _mm512_cvtepi8_epi16(_mm256_broadcastsi128_si256(bytes));
    __m512i sum = _mm512_madd_epi16(scales, x->below);
    for (int half = 0; half < 2; half++) {
        rows16_ask(rows);
        const __m512i ql = _mm512_loadu_si512(w + offsetof(struct weir_q6_k, ql) + 64 * half);
        rows16_ask(rows);
        const __m512i qh = _mm512_broadcast_i64x4(_mm256_loadu_si256(
            (const __m256i *)(const void *)(w + offsetof(struct weir_q6_k, qh) + 32 * half)));
        const __m512i low = six_bits(ql, _mm512_rolv_epi32(qh, low_bits));
        const __m512i high = six_bits(_mm512_srli_epi16(ql, 4), _mm512_rolv_epi32(qh, high_bits));
        const __m512i zero = _mm512_setzero_si512();
        const __m512i products =
            _mm512_packs_epi32(_mm512_dpbusd_epi32(zero, low, x->q[2 * half]),
                               _mm512_dpbusd_epi32(zero, high, x->q[2 * half + 1]));
        sum = _mm512_dpwssd_epi32(sum, products, quarter_scales(scales, 8 * half, 8 * half + 4));
    }
    return sum;
}

WEIR_INLINE __m512i fold_32(__m512i row, __m512i after)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi32(row, after), _mm512_unpackhi_epi32(row, after));
}

WEIR_INLINE __m512i fold_64(__m512i rows, __m512i after)
{
    return _mm512_add_epi32(_mm512_unpacklo_epi64(rows, after), _mm512_unpackhi_epi64(rows, after));
}

/* The sums of eight registers. */
WEIR_INLINE __m256i fold_rows(const __m512i sums[Q6_K_ROWS])
{
    __m512i fours[2];
    for (int i = 0; i < 2; i++)
        fours[i] = fold_64(fold_32(sums[4 * i], sums[4 * i + 1]),
                           fold_32(sums[4 * i + 2], sums[4 * i + 3]));
    const __m512i halves = _mm512_add_epi32(_mm512_shuffle_i32x4(fours[0], fours[1], 0x44),
                                            _mm512_shuffle_i32x4(fours[0], fours[1], 0xee));
    return _mm256_add_epi32(_mm512_castsi512_si256(_mm512_shuffle_i32x4(halves, halves, 0x88)),
                            _mm512_castsi512_si256(_mm512_shuffle_i32x4(halves, halves, 0xdd)));
}

WEIR_INLINE void q6_k_run_rows(const struct weir_matmul *job, struct rows16 rows,
                               struct tiles *tiles, float *y)
{
    const struct weir_act_q8_256 *x = job->x;
    __m256 sum = _mm256_setzero_ps();
    for (size_t at = 0; at < job->cols / WEIR_Q6_K_LEN; at++) {
        const struct q6_k_x values = q6_k_x(&x[at]);
        __m512i sums[Q6_K_ROWS];
        tiles_ask(tiles, Q6_K_ROWS * sizeof(struct weir_q6_k), &rows);
        for (int row = 0; row < Q6_K_ROWS; row++)
            sums[row] = q6_k_products(&rows, rows16_row(&rows, row), &values);
        const __m256 scale = rows8_halves(&rows, offsetof(struct weir_q6_k, d));
        sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(fold_rows(sums)),
                              _mm256_mul_ps(scale, _mm256_set1_ps(x[at].scale)), sum);
        rows16_advance(&rows, sizeof(struct weir_q6_k));
    }
    rows8x2_store(&rows, y, sum);
}

/* One token's rows in the order of memory. */
WEIR_INLINE void q6_k_run_in_order(const struct weir_matmul *job)
{
    struct tiles tiles = tiles_first(job, Q6_K_ROWS, Q6_K_ROWS * sizeof(struct weir_q6_k), true);
    for (; tiles.row < job->row_end; tiles_next(&tiles, Q6_K_ROWS))
        q6_k_run_rows(job, rows8x2_at(tiles.w, job->w_row_bytes, job->row_end - tiles.row, 0),
                      &tiles, job->y + tiles.row);
}

#endif
