/* grids_rows_avx512.h - rows of the IQ and TQ formats as they lie, one after another: as
 * grids_avx2.c, 64 values at a time.
 *
 * Whoever includes it says add_products(total, pairs, scales): total plus the sums of two
 * neighbouring 16-bit numbers of pairs, each times its own of scales.
 *
 * I1  Within a super-block all is integer, and exact in any order: at most 2^27. One output is
 *     summed super-block by super-block from the left:
 *     sum = fma(float(total), d * activation scale, sum),
 *     whatever the number of rows and tokens. */
#ifndef WEIR_KERNELS_GRIDS_ROWS_AVX512_H
#define WEIR_KERNELS_GRIDS_ROWS_AVX512_H

#include "kernels/x86/iq1_tq_avx512.h"
#include "kernels/x86/iq2_iq3_avx512.h"
#include "kernels/x86/tile.h"
#include "kernels/x86/unpack_grids.h"

typedef const struct weir_act_q8_256 *act_blocks;

/* A super-block and its scales as they are multiplied, each eight times. */
struct row_block {
    struct steps w;
    __m512i scales[4];
};

/* IQ3's entries are found faster by gathering, where the CPU is good at it. */
WEIR_INLINE void unpack_by(const uint8_t *w, struct steps *out, const enum weir_type type,
                           const bool gathers)
{
    if (gathers && type == WEIR_TYPE_IQ3_XXS)
        unpack_iq3_xxs_by(w, out, true);
    else if (gathers && type == WEIR_TYPE_IQ3_S)
        unpack_iq3_s_by(w, out, true);
    else
        unpack(w, out, type);
}

WEIR_INLINE void load_row_block(const uint8_t *w, struct row_block *out, const enum weir_type type,
                                const bool gathers)
{
    const __m512i each =
        _mm512_setr_epi64(0, 0, 0x0001000100010001, 0x0001000100010001, 0x0002000200020002,
                          0x0002000200020002, 0x0003000300030003, 0x0003000300030003);
    unpack_by(w, &out->w, type, gathers);
    for (int q = 0; q < 4; q++)
        out->scales[q] =
            _mm512_permutexvar_epi16(_mm512_add_epi16(each, _mm512_set1_epi16((short)(4 * q))),
                                     _mm512_castsi256_si512(out->w.scales));
}

/* A super-block times one token's, as eight numbers to be added up. */
WEIR_INLINE __m256i dot_steps(const struct row_block *block, act_blocks x)
{
    __m512i total = _mm512_zextsi256_si512(
        _mm256_madd_epi16(block->w.below, load_32((const uint8_t *)x->half_sums)));
    for (int q = 0; q < 4; q++) {
        const __m512i pairs =
            _mm512_maddubs_epi16(block->w.steps[q], load_64((const uint8_t *)x->q + 64 * q));
        total = add_products(total, pairs, block->scales[q]);
    }
    return _mm256_add_epi32(_mm512_castsi512_si256(total), _mm512_extracti64x4_epi64(total, 1));
}

/* sum += one super-block of a token. */
WEIR_INLINE void add_token(const struct row_block *block, act_blocks x, float *sum)
{
    const __m256i total = dot_steps(block, x);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    *sum = _mm_cvtss_f32(
        _mm_fmadd_ss(_mm_cvtepi32_ps(four), _mm_set_ss(block->w.d * x->scale), _mm_set_ss(*sum)));
}

/* The same of four tokens. */
WEIR_INLINE void add_tokens(const struct row_block *block, const uint8_t *x, size_t x_row_bytes,
                            float *sums)
{
    __m256i totals[WEIR_TOKEN_TILE];
    act_blocks rows[WEIR_TOKEN_TILE];
    for (int t = 0; t < WEIR_TOKEN_TILE; t++) {
        rows[t] = (act_blocks)(const void *)(x + (size_t)t * x_row_bytes);
        totals[t] = dot_steps(block, rows[t]);
    }
    const __m256i two = _mm256_hadd_epi32(_mm256_hadd_epi32(totals[0], totals[1]),
                                          _mm256_hadd_epi32(totals[2], totals[3]));
    const __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
    const __m128 scales =
        _mm_setr_ps(rows[0]->scale, rows[1]->scale, rows[2]->scale, rows[3]->scale);
    _mm_storeu_ps(sums,
                  _mm_fmadd_ps(_mm_cvtepi32_ps(four), _mm_mul_ps(_mm_set1_ps(block->w.d), scales),
                               _mm_loadu_ps(sums)));
}

/* One row and n tokens of which x is the first. */
WEIR_INLINE void dot_row(const struct weir_matmul *job, const uint8_t *w, const uint8_t *x,
                         size_t n, float *sums, const enum weir_type type, const bool gathers)
{
    for (size_t at = 0; at < job->cols / 256; at++) {
        struct row_block block;
        size_t t = 0;
        load_row_block(w, &block, type, gathers);
        for (; t + WEIR_TOKEN_TILE <= n; t += WEIR_TOKEN_TILE)
            add_tokens(&block, x + t * job->x_row_bytes, job->x_row_bytes, sums + t);
        for (; t < n; t++)
            add_token(&block, (act_blocks)(const void *)(x + t * job->x_row_bytes), &sums[t]);
        w += block_bytes(type);
        x += sizeof(struct weir_act_q8_256);
    }
}

WEIR_INLINE void run_rows(const struct weir_matmul *job, const enum weir_type type,
                          const bool gathers)
{
    for (size_t first = 0; first < job->n_token; first += WEIR_TOKEN_BLOCK) {
        const size_t left = job->n_token - first;
        const size_t count = left < WEIR_TOKEN_BLOCK ? left : WEIR_TOKEN_BLOCK;
        const uint8_t *x = (const uint8_t *)job->x + first * job->x_row_bytes;
        for (size_t row = job->row_begin; row < job->row_end; row++) {
            const uint8_t *w = (const uint8_t *)job->w + row * job->w_row_bytes;
            float sums[WEIR_TOKEN_BLOCK] = {0};
            if (job->n_token == 1)
                dot_row(job, w, x, 1, sums, type, gathers);
            else
                dot_row(job, w, x, count, sums, type, gathers);
            for (size_t t = 0; t < count; t++)
                job->y[(first + t) * job->y_stride + row] = sums[t];
        }
    }
}

/* Few tokens, in whichever form takes them faster. */
WEIR_INLINE void run_few(const struct weir_matmul *job, const enum weir_type type,
                         const bool gathers)
{
    if (job->n_token > 1)
        run_rows(job, type, gathers);
    else if (type == WEIR_TYPE_IQ1_S)
        weir_iq1_s_avx2(job);
    else if (type == WEIR_TYPE_IQ1_M)
        weir_iq1_m_avx2(job);
    else if (type == WEIR_TYPE_IQ2_XS)
        weir_iq2_xs_avx2(job);
    else
        run_rows(job, type, gathers);
}

#endif
