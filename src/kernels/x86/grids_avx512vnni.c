/* grids_avx512vnni.c - super-blocks of the IQ and TQ formats with integer dot products.
 *
 * Few tokens meet a row as it lies (grids_rows_avx512.h). For more, sixteen rows are taken apart
 * and become the lanes: so no sum crosses lanes, and sub-blocks are scaled sixteen at a time. Both
 * have the same bits (I1 there). */
#include <immintrin.h>

#include "kernels/kernels_internal.h"

WEIR_INLINE __m512i add_products(__m512i total, __m512i pairs, __m512i scales)
{
    return _mm512_dpwssd_epi32(total, pairs, scales);
}

#include "kernels/x86/grids_rows_avx512.h"
#include "kernels/x86/rows16_avx512.h"

enum { PANEL_BLOCKS = 2, TOKEN_TILE = 8, FEW_TOKENS = 2 };
enum { SUPER_BLOCK = 256, WORDS = SUPER_BLOCK / 4, HALVES = SUPER_BLOCK / 16 };

/* A super-block of 16 rows. */
struct panel {
    __m512 d;
    __m512i scales[HALVES];    /* by sub-block */
    __m512i below[HALVES / 2]; /* of two sub-blocks, as 16-bit numbers */
    __m512i steps[WORDS];
};
typedef struct panel panel_block;
enum { BLOCK_VALUES = SUPER_BLOCK };

/* Sub-blocks whose activations' sums are told apart: of 16 values, or of 32. */
WEIR_INLINE int sub_blocks(const enum weir_type type)
{
    return type == WEIR_TYPE_IQ1_M || type == WEIR_TYPE_IQ2_XS || type == WEIR_TYPE_IQ2_S ? 16 : 8;
}

/* TQ1_0 and TQ2_0 have d alone. */
WEIR_INLINE bool has_scales(const enum weir_type type)
{
    return type != WEIR_TYPE_TQ1_0 && type != WEIR_TYPE_TQ2_0;
}

/* Sixteen rows one after the other. */
struct rows_apart {
    _Alignas(64) uint8_t steps[WEIR_ROWS][SUPER_BLOCK];
    _Alignas(64) int16_t scales[WEIR_ROWS][HALVES];
    _Alignas(64) int16_t below[WEIR_ROWS][HALVES];
    _Alignas(64) float d[WEIR_ROWS];
};

WEIR_INLINE void load_row(const uint8_t *w, struct rows_apart *rows, int row,
                          const enum weir_type type)
{
    struct steps steps;
    unpack(w, &steps, type);
    for (int q = 0; q < 4; q++)
        _mm512_store_si512(rows->steps[row] + 64 * q, steps.steps[q]);
    _mm256_store_si256((__m256i *)(void *)rows->scales[row], steps.scales);
    /* Of 32 values the two numbers are one. */
    if (sub_blocks(type) == 16)
        _mm256_store_si256((__m256i *)(void *)rows->below[row], steps.below);
    else
        _mm_store_si128((__m128i *)(void *)rows->below[row], _mm256_cvtepi32_epi16(steps.below));
    rows->d[row] = steps.d;
}

/* words[i]: word i of each of sixteen rows. */
WEIR_INLINE void turn_rows(const void *rows, size_t row_bytes, int count, __m512i *words)
{
    struct rows16 at = rows16_at(rows, row_bytes, WEIR_ROWS);
    for (int i = 0; i < count; i += 4)
        rows16_words(&at, 4 * (size_t)i, words + i);
}

WEIR_INLINE void load_panel(const struct rows16 *rows, const uint8_t *next, struct panel *panel,
                            const enum weir_type type)
{
    struct rows_apart apart;
    __m512i pairs[HALVES / 2];
    for (int row = 0; row < WEIR_ROWS; row++) {
        prefetch_bytes(next + (size_t)row * block_bytes(type), block_bytes(type));
        load_row(rows16_row(rows, row), &apart, row, type);
    }
    panel->d = _mm512_load_ps(apart.d);
    turn_rows(apart.steps, sizeof(apart.steps[0]), WORDS, panel->steps);
    turn_rows(apart.below, sizeof(apart.below[0]), sub_blocks(type) / 2, panel->below);
    if (!has_scales(type))
        return;
    turn_rows(apart.scales, sizeof(apart.scales[0]), HALVES / 2, pairs);
    for (int i = 0; i < HALVES / 2; i++) {
        const __m512i second = _mm512_srli_epi32(pairs[i], 16);
        if (sub_blocks(type) == 16) {
            panel->scales[2 * i] = _mm512_and_si512(pairs[i], _mm512_set1_epi32(0xffff));
            panel->scales[2 * i + 1] = second;
        } else {
            panel->scales[i] = second;
        }
    }
}

/* totals[t] += a sub-block times token t's, t in [0, n). */
WEIR_INLINE void add_sub_block(const struct panel *panel, int s, const act_blocks *x, size_t at,
                               __m512i *totals, const int n, const enum weir_type type)
{
    const int words = WORDS / sub_blocks(type);
    __m512i dots[TOKEN_TILE];
    for (int t = 0; t < n; t++)
        dots[t] = has_scales(type) ? _mm512_setzero_si512() : totals[t];
    for (int i = s * words; i < (s + 1) * words; i++)
        for (int t = 0; t < n; t++)
            dots[t] =
                _mm512_dpbusd_epi32(dots[t], panel->steps[i], spread_word(x[t][at].q + 4 * i));
    for (int t = 0; t < n; t++)
        totals[t] = has_scales(type)
                        ? _mm512_add_epi32(totals[t], _mm512_mullo_epi32(dots[t], panel->scales[s]))
                        : dots[t];
}

/* A panel against n tokens of which x is the first. */
WEIR_INLINE void add_panel(const struct panel *panel, size_t count, const uint8_t *x,
                           size_t x_row_bytes, __m512 *sums, const int n, const enum weir_type type)
{
    act_blocks rows[TOKEN_TILE];
    for (int t = 0; t < n; t++)
        rows[t] = (act_blocks)(const void *)(x + (size_t)t * x_row_bytes);
    for (size_t at = 0; at < count; at++) {
        __m512i totals[TOKEN_TILE];
        for (int t = 0; t < n; t++)
            totals[t] = _mm512_setzero_si512();
        for (int s = 0; s < sub_blocks(type); s++)
            add_sub_block(&panel[at], s, rows, at, totals, n, type);
        for (int t = 0; t < n; t++) {
            const struct weir_act_q8_256 *act = &rows[t][at];
            const int16_t *act_sums = sub_blocks(type) == 16 ? act->half_sums : act->sums;
            for (int i = 0; i < sub_blocks(type) / 2; i++)
                totals[t] = _mm512_dpwssd_epi32(totals[t], panel[at].below[i],
                                                spread_word(&act_sums[2 * i]));
            sums[t] =
                _mm512_fmadd_ps(_mm512_cvtepi32_ps(totals[t]),
                                _mm512_mul_ps(panel[at].d, _mm512_set1_ps(act->scale)), sums[t]);
        }
    }
}

#include "kernels/x86/panels16_avx512.h"

#define MATMUL(name, type)                                                                         \
    WEIR_ROWS_PROMPT(rows16, name, type)                                                           \
    static void matmul_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        if (job->n_token <= FEW_TOKENS)                                                            \
            run_few(job, type, false);                                                             \
        else                                                                                       \
            prompt_##name(job);                                                                    \
    }
MATMUL(iq1_s, WEIR_TYPE_IQ1_S)
MATMUL(iq1_m, WEIR_TYPE_IQ1_M)
MATMUL(iq2_xxs, WEIR_TYPE_IQ2_XXS)
MATMUL(iq2_xs, WEIR_TYPE_IQ2_XS)
MATMUL(iq2_s, WEIR_TYPE_IQ2_S)
MATMUL(iq3_xxs, WEIR_TYPE_IQ3_XXS)
MATMUL(iq3_s, WEIR_TYPE_IQ3_S)
MATMUL(tq1_0, WEIR_TYPE_TQ1_0)
MATMUL(tq2_0, WEIR_TYPE_TQ2_0)
#undef MATMUL

#define MATMUL(name, type)                                                                         \
    static void matmul_##name##_gathered(const struct weir_matmul *job)                            \
    {                                                                                              \
        if (job->n_token <= FEW_TOKENS)                                                            \
            run_few(job, type, true);                                                              \
        else                                                                                       \
            prompt_##name(job);                                                                    \
    }
MATMUL(iq3_xxs, WEIR_TYPE_IQ3_XXS)
MATMUL(iq3_s, WEIR_TYPE_IQ3_S)
#undef MATMUL

void weir_grids_init_vnni(struct weir_kernels *kernels, bool slow_gather)
{
    kernels->matmul[WEIR_TYPE_IQ1_S] = matmul_iq1_s;
    kernels->matmul[WEIR_TYPE_IQ1_M] = matmul_iq1_m;
    kernels->matmul[WEIR_TYPE_IQ2_XXS] = matmul_iq2_xxs;
    kernels->matmul[WEIR_TYPE_IQ2_XS] = matmul_iq2_xs;
    kernels->matmul[WEIR_TYPE_IQ2_S] = matmul_iq2_s;
    kernels->matmul[WEIR_TYPE_IQ3_XXS] = slow_gather ? matmul_iq3_xxs : matmul_iq3_xxs_gathered;
    kernels->matmul[WEIR_TYPE_IQ3_S] = slow_gather ? matmul_iq3_s : matmul_iq3_s_gathered;
    kernels->matmul[WEIR_TYPE_TQ1_0] = matmul_tq1_0;
    kernels->matmul[WEIR_TYPE_TQ2_0] = matmul_tq2_0;
}
