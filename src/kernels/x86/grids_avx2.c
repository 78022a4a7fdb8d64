/* grids_avx2.c - super-blocks of the IQ and TQ formats on 256-bit registers: 32 values of a row.
 *
 * What a row looks up in a codebook lies side by side, so rows are not lanes here: a super-block is
 * taken apart once, and meets all tokens of a block as it lies.
 *
 * I1  Within a super-block all is integer, and exact in any order: at most 2^27. One output is
 *     summed super-block by super-block from the left:
 *     sum = fma(float(total), d * activation scale, sum),
 *     whatever the number of rows and tokens. */
#include "kernels/x86/iq1_tq_avx2.h"
#include "kernels/x86/iq2_iq3_avx2.h"
#include "kernels/x86/tile.h"
#include "kernels/x86/unpack_grids.h"

typedef const struct weir_act_q8_256 *act_block;

/* A super-block times one token's, as eight numbers to be added up. */
WEIR_INLINE __m256i dot_steps(const struct steps *w, act_block x)
{
    __m256i total = _mm256_madd_epi16(w->below, load_32((const uint8_t *)x->half_sums));
    for (int s = 0; s < 8; s++) {
        const __m256i pairs =
            _mm256_maddubs_epi16(w->steps[s], load_32((const uint8_t *)x->q + 32 * s));
        total = _mm256_add_epi32(total, _mm256_madd_epi16(pairs, w->scales[s]));
    }
    return total;
}

/* sum += one super-block of a token. */
WEIR_INLINE void add_token(const struct steps *w, act_block x, float *sum)
{
    const __m256i total = dot_steps(w, x);
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(total), _mm256_extracti128_si256(total, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    *sum = _mm_cvtss_f32(
        _mm_fmadd_ss(_mm_cvtepi32_ps(four), _mm_set_ss(w->d * x->scale), _mm_set_ss(*sum)));
}

/* The same of four tokens. */
WEIR_INLINE void add_tokens(const struct steps *w, const uint8_t *x, size_t x_row_bytes,
                            float *sums)
{
    __m256i totals[WEIR_TOKEN_TILE];
    act_block rows[WEIR_TOKEN_TILE];
    for (int t = 0; t < WEIR_TOKEN_TILE; t++) {
        rows[t] = (act_block)(const void *)(x + (size_t)t * x_row_bytes);
        totals[t] = dot_steps(w, rows[t]);
    }
    const __m256i two = _mm256_hadd_epi32(_mm256_hadd_epi32(totals[0], totals[1]),
                                          _mm256_hadd_epi32(totals[2], totals[3]));
    const __m128i four =
        _mm_add_epi32(_mm256_castsi256_si128(two), _mm256_extracti128_si256(two, 1));
    const __m128 scales =
        _mm_setr_ps(rows[0]->scale, rows[1]->scale, rows[2]->scale, rows[3]->scale);
    _mm_storeu_ps(sums, _mm_fmadd_ps(_mm_cvtepi32_ps(four), _mm_mul_ps(_mm_set1_ps(w->d), scales),
                                     _mm_loadu_ps(sums)));
}

/* One row and n tokens of which x is the first. */
WEIR_INLINE void dot_row(const struct weir_matmul *job, const uint8_t *w, const uint8_t *x,
                         size_t n, float *sums, const enum weir_type type)
{
    for (size_t at = 0; at < job->cols / 256; at++) {
        struct steps steps;
        size_t t = 0;
        unpack(w, &steps, type);
        for (; t + WEIR_TOKEN_TILE <= n; t += WEIR_TOKEN_TILE)
            add_tokens(&steps, x + t * job->x_row_bytes, job->x_row_bytes, sums + t);
        for (; t < n; t++)
            add_token(&steps, (act_block)(const void *)(x + t * job->x_row_bytes), &sums[t]);
        w += block_bytes(type);
        x += sizeof(struct weir_act_q8_256);
    }
}

WEIR_INLINE void run(const struct weir_matmul *job, const enum weir_type type)
{
    for (size_t first = 0; first < job->n_token; first += WEIR_TOKEN_BLOCK) {
        const size_t left = job->n_token - first;
        const size_t count = left < WEIR_TOKEN_BLOCK ? left : WEIR_TOKEN_BLOCK;
        const uint8_t *x = (const uint8_t *)job->x + first * job->x_row_bytes;
        for (size_t row = job->row_begin; row < job->row_end; row++) {
            const uint8_t *w = (const uint8_t *)job->w + row * job->w_row_bytes;
            float sums[WEIR_TOKEN_BLOCK] = {0};
            if (job->n_token == 1)
                dot_row(job, w, x, 1, sums, type);
            else
                dot_row(job, w, x, count, sums, type);
            for (size_t t = 0; t < count; t++)
                job->y[(first + t) * job->y_stride + row] = sums[t];
        }
    }
}

#define MATMUL(name, type)                                                                         \
    static void matmul_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        run(job, type);                                                                            \
    }
MATMUL(iq2_xxs, WEIR_TYPE_IQ2_XXS)
MATMUL(iq2_s, WEIR_TYPE_IQ2_S)
MATMUL(iq3_xxs, WEIR_TYPE_IQ3_XXS)
MATMUL(iq3_s, WEIR_TYPE_IQ3_S)
MATMUL(tq1_0, WEIR_TYPE_TQ1_0)
MATMUL(tq2_0, WEIR_TYPE_TQ2_0)
#undef MATMUL

void weir_iq1_s_avx2(const struct weir_matmul *job)
{
    run(job, WEIR_TYPE_IQ1_S);
}

void weir_iq1_m_avx2(const struct weir_matmul *job)
{
    run(job, WEIR_TYPE_IQ1_M);
}

void weir_iq2_xs_avx2(const struct weir_matmul *job)
{
    run(job, WEIR_TYPE_IQ2_XS);
}

void weir_grids_init_avx2(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_IQ1_S] = weir_iq1_s_avx2;
    kernels->matmul[WEIR_TYPE_IQ1_M] = weir_iq1_m_avx2;
    kernels->matmul[WEIR_TYPE_IQ2_XXS] = matmul_iq2_xxs;
    kernels->matmul[WEIR_TYPE_IQ2_XS] = weir_iq2_xs_avx2;
    kernels->matmul[WEIR_TYPE_IQ2_S] = matmul_iq2_s;
    kernels->matmul[WEIR_TYPE_IQ3_XXS] = matmul_iq3_xxs;
    kernels->matmul[WEIR_TYPE_IQ3_S] = matmul_iq3_s;
    kernels->matmul[WEIR_TYPE_TQ1_0] = matmul_tq1_0;
    kernels->matmul[WEIR_TYPE_TQ2_0] = matmul_tq2_0;
}
