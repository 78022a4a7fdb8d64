/* bits_avx512vnni.c - Q1_0, Q2_0 and NVFP4 with integer dot products: sixteen rows are the lanes.
 *
 * A part of a block, 32 values, is eight registers of steps; as in q32_avx512vnni.c they are
 * unsigned, 128 too large, which the activations' offset takes away.
 *
 * I1  One output is summed part by part from the left, of NVFP4 in halves: sum = fma(float(integer
 *     dot), weight scale * activation scale, sum), whatever the number of rows and tokens. */
#include "kernels/x86/rows16_avx512.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"

enum { PANEL_PARTS = 16, PARTS_MAX = 4, TOKEN_TILE = 8 };

/* 32 values of 16 rows. */
struct part {
    __m512i steps[8];
    __m512 scale;
    __m512 second; /* of the last 16 values: NVFP4 only */
};

typedef const struct weir_act_q8_32 *act_blocks;

WEIR_INLINE size_t block_bytes(const enum weir_type type)
{
    return type == WEIR_TYPE_NVFP4  ? sizeof(struct weir_nvfp4)
           : type == WEIR_TYPE_Q1_0 ? sizeof(struct weir_q1_0)
                                    : sizeof(struct weir_q2_0);
}

WEIR_INLINE size_t part_count(const enum weir_type type)
{
    return type == WEIR_TYPE_Q1_0 ? WEIR_Q1_0_LEN / 32 : WEIR_NVFP4_LEN / 32;
}

WEIR_INLINE bool has_halves(const enum weir_type type)
{
    return type == WEIR_TYPE_NVFP4;
}

/* Byte `byte` of each lane, four times. */
WEIR_INLINE __m512i repeat_byte(__m512i words, int byte)
{
    const __m512i at = _mm512_set4_epi32(0x0c0c0c0c, 0x08080808, 0x04040404, 0);
    return _mm512_shuffle_epi8(words, _mm512_add_epi8(at, _mm512_set1_epi8((char)byte)));
}

/* Bit i of each lane is value i: 1 or -1, 64 times larger for a 64th of the scale. */
WEIR_INLINE void bit_steps(__m512i words, __m512i steps[8])
{
    const __m512i minus = _mm512_set1_epi8(64);
    const __m512i plus = _mm512_set1_epi8((char)192);
    for (int k = 0; k < 8; k++) {
        const __m512i bits = _mm512_set1_epi32(k % 2 == 0 ? 0x08040201 : (int)0x80402010);
        const __mmask64 is_set = _mm512_test_epi8_mask(repeat_byte(words, k / 2), bits);
        steps[k] = _mm512_mask_mov_epi8(minus, is_set, plus);
    }
}

/* Two bits of a lane are a value: -1 to 2, 32 times larger for a 32nd of the scale. */
WEIR_INLINE void two_bit_steps(__m512i words, __m512i steps[4])
{
    const __m512i even = _mm512_set1_epi16(0x0060);
    const __m512i odd = _mm512_set1_epi16(0x6000);
    for (int k = 0; k < 4; k++) {
        /* The byte's last two values come from its high nibble. */
        const __m512i nibbles =
            _mm512_srlv_epi16(repeat_byte(words, k), _mm512_set1_epi32(0x00040000));
        const __m512i both = _mm512_or_si512(_mm512_and_si512(_mm512_slli_epi16(nibbles, 5), even),
                                             _mm512_and_si512(_mm512_slli_epi16(nibbles, 3), odd));
        steps[k] = _mm512_add_epi8(both, _mm512_set1_epi8(0x60));
    }
}

/* A sub-block's words hold its first half in low nibbles, its second in high ones. */
WEIR_INLINE void float_steps(const __m512i words[4], __m512i steps[8])
{
    const __m512i mask = _mm512_set1_epi8(15);
    const __m512i table = _mm512_xor_si512(
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)weir_mxfp4_steps)),
        _mm512_set1_epi8(-128));
    for (int i = 0; i < 4; i++) {
        const int first = i / 2 * 4 + i % 2;
        const __m512i high = _mm512_and_si512(_mm512_srli_epi16(words[i], 4), mask);
        steps[first] = _mm512_shuffle_epi8(table, _mm512_and_si512(words[i], mask));
        steps[first + 2] = _mm512_shuffle_epi8(table, high);
    }
}

/* weir_nvfp4_scale() of byte i of each lane. Its bits are those of a half whose exponent's bias is
 * 8 too low; and the scale is halved. */
WEIR_INLINE __m512 float_scales(__m512i words, unsigned i)
{
    const __m512i seven = _mm512_set1_epi32(0x7f);
    const __m512i bits = _mm512_and_si512(_mm512_srli_epi32(words, 8 * i), seven);
    const __mmask16 is_bad = _mm512_cmpeq_epi32_mask(bits, seven);
    const __m512 scale = _mm512_mul_ps(
        _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_slli_epi32(bits, 7))), _mm512_set1_ps(128.0f));
    return _mm512_mask_mov_ps(scale, is_bad, _mm512_set1_ps(NAN));
}

WEIR_INLINE void load_nvfp4(struct rows16 *rows, struct part *parts)
{
    __m512i words[12];
    rows16_words(rows, 0, words); /* the scales first */
    rows16_words(rows, 16, words + 4);
    rows16_words(rows, sizeof(struct weir_nvfp4) - 16, words + 8);
    words[8] = words[11];
    for (unsigned part = 0; part < 2; part++) {
        float_steps(words + 1 + 4 * part, parts[part].steps);
        parts[part].scale = float_scales(words[0], 2 * part);
        parts[part].second = float_scales(words[0], 2 * part + 1);
    }
}

/* The parts of a block. */
WEIR_INLINE void load_block(struct rows16 *rows, struct part *parts, const enum weir_type type)
{
    const bool has_bits = type == WEIR_TYPE_Q1_0;
    __m512i words[4];
    if (type == WEIR_TYPE_NVFP4) {
        load_nvfp4(rows, parts);
        return;
    }
    const __m512 scale =
        _mm512_mul_ps(rows16_halves(rows, 0), _mm512_set1_ps(has_bits ? 0x1p-6f : 0x1p-5f));
    rows16_words(rows, block_bytes(type) - 16, words);
    for (size_t part = 0; part < part_count(type); part++) {
        parts[part].scale = parts[part].second = scale;
        if (has_bits) {
            bit_steps(words[part], parts[part].steps);
        } else {
            two_bit_steps(words[2 * part], parts[part].steps);
            two_bit_steps(words[2 * part + 1], parts[part].steps + 4);
        }
    }
}

/* out[i] = -128 times the sum of the first 16 steps of x[i], what halves want in place of the
 * offset. Up to the next multiple of four of count is written. */
WEIR_INLINE void first_offsets(act_blocks x, size_t count, int32_t *out)
{
    const __m512i one = _mm512_set1_epi8(1);
    const __m512i ends = _mm512_setr_epi32(0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12);
    for (size_t at = 0; at < count; at += 4) {
        __m128i q[4];
        for (size_t j = 0; j < 4; j++) {
            const size_t block = at + j < count ? at + j : count - 1;
            q[j] = _mm_loadu_si128((const __m128i *)(const void *)x[block].q);
        }
        const __m512i all = _mm512_inserti64x4(_mm512_castsi256_si512(_mm256_set_m128i(q[1], q[0])),
                                               _mm256_set_m128i(q[3], q[2]), 1);
        __m512i sums = _mm512_dpbusd_epi32(_mm512_setzero_si512(), one, all);
        sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32(sums, 0x4e));
        sums = _mm512_add_epi32(sums, _mm512_shuffle_epi32(sums, 0xb1));
        sums = _mm512_sub_epi32(_mm512_setzero_si512(), _mm512_slli_epi32(sums, 7));
        _mm_storeu_si128((__m128i *)(void *)(out + at),
                         _mm512_castsi512_si128(_mm512_permutexvar_epi32(ends, sums)));
    }
}

/* sums[t] += the values of four registers from `from` on times token t's. */
WEIR_INLINE void add_dots(const struct part *part, int from, int to, const act_blocks *x, size_t at,
                          __m512i *dots, __m512 scale, __m512 *sums, const int n)
{
    for (int i = from; i < to; i++)
        for (int t = 0; t < n; t++)
            dots[t] = _mm512_dpbusd_epi32(dots[t], part->steps[i], spread_word(x[t][at].q + 4 * i));
    for (int t = 0; t < n; t++)
        sums[t] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dots[t]),
                                  _mm512_mul_ps(scale, _mm512_set1_ps(x[t][at].scale)), sums[t]);
}

/* sums[t] += a part times token t's, t in [0, n). firsts: of NVFP4, first_offsets() of each token's
 * block. */
WEIR_INLINE void add_part(const struct part *part, const act_blocks *x, size_t at,
                          const int32_t *const *firsts, __m512 *sums, const int n,
                          const enum weir_type type)
{
    __m512i dots[TOKEN_TILE];
    if (!has_halves(type)) {
        for (int t = 0; t < n; t++)
            dots[t] = spread_word(&x[t][at].offset);
        add_dots(part, 0, 8, x, at, dots, part->scale, sums, n);
        return;
    }
    for (int t = 0; t < n; t++)
        dots[t] = spread_word(&firsts[t][at]);
    add_dots(part, 0, 4, x, at, dots, part->scale, sums, n);
    for (int t = 0; t < n; t++)
        dots[t] = _mm512_sub_epi32(spread_word(&x[t][at].offset), spread_word(&firsts[t][at]));
    add_dots(part, 4, 8, x, at, dots, part->second, sums, n);
}

/* A panel against n tokens of which x is the first. */
WEIR_INLINE void add_panel(const struct part *panel, size_t count, const uint8_t *x,
                           size_t x_row_bytes, const int32_t (*firsts)[PANEL_PARTS], __m512 *sums,
                           const int n, const enum weir_type type)
{
    act_blocks rows[TOKEN_TILE];
    const int32_t *first_rows[TOKEN_TILE];
    __m512 sum[TOKEN_TILE];
    for (int t = 0; t < n; t++) {
        rows[t] = (act_blocks)(const void *)(x + (size_t)t * x_row_bytes);
        first_rows[t] = firsts[t];
        sum[t] = sums[t];
    }
    for (size_t at = 0; at < count; at++)
        add_part(&panel[at], rows, at, first_rows, sum, n, type);
    for (int t = 0; t < n; t++)
        sums[t] = sum[t];
}

/* A panel against all tokens. */
WEIR_INLINE void add_tokens(const struct part *panel, size_t count, const uint8_t *x,
                            size_t x_row_bytes, __m512 *sums, size_t n_token,
                            const enum weir_type type)
{
    int32_t firsts[WEIR_TOKENS_MAX][PANEL_PARTS];
    size_t t = 0;
    for (size_t token = 0; has_halves(type) && token < n_token; token++)
        first_offsets((act_blocks)(const void *)(x + token * x_row_bytes), count, firsts[token]);
    for (; t + TOKEN_TILE <= n_token; t += TOKEN_TILE)
        add_panel(panel, count, x + t * x_row_bytes, x_row_bytes, firsts + t, sums + t, TOKEN_TILE,
                  type);
    for (; t + 4 <= n_token; t += 4)
        add_panel(panel, count, x + t * x_row_bytes, x_row_bytes, firsts + t, sums + t, 4, type);
    for (; t < n_token; t++)
        add_panel(panel, count, x + t * x_row_bytes, x_row_bytes, firsts + t, sums + t, 1, type);
}

WEIR_INLINE void run_panels(const struct weir_matmul *job, size_t first, size_t n_token,
                            struct rows16 rows, const uint8_t *next, float *y,
                            const enum weir_type type)
{
    const size_t tile_bytes = WEIR_ROWS * block_bytes(type);
    const size_t parts_all = job->cols / 32;
    struct part panel[PANEL_PARTS];
    __m512 sums[WEIR_TOKENS_MAX];
    for (size_t t = 0; t < n_token; t++)
        sums[t] = _mm512_setzero_ps();
    for (size_t from = 0; from < parts_all; from += PANEL_PARTS) {
        const size_t left = parts_all - from;
        const size_t count = left < PANEL_PARTS ? left : PANEL_PARTS;
        for (size_t at = 0; at < count; at += part_count(type)) {
            prefetch_bytes(next, tile_bytes);
            load_block(&rows, &panel[at], type);
            rows16_advance(&rows, block_bytes(type));
            next += tile_bytes;
        }
        add_tokens(panel, count,
                   (const uint8_t *)job->x + first * job->x_row_bytes +
                       from * sizeof(struct weir_act_q8_32),
                   job->x_row_bytes, sums, n_token, type);
    }
    for (size_t t = 0; t < n_token; t++)
        rows16_store(&rows, y + t * job->y_stride, 1, sums[t]);
}

/* One token: parts go from memory through registers into the sum. */
WEIR_INLINE void run_stream(const struct weir_matmul *job, struct rows16 rows, size_t apart,
                            float *y, const enum weir_type type)
{
    const act_blocks x = job->x;
    const size_t parts_all = job->cols / 32;
    __m512 sum = _mm512_setzero_ps();
    for (size_t from = 0; from < parts_all; from += part_count(type)) {
        const act_blocks block_x = x + from;
        struct part parts[PARTS_MAX];
        int32_t firsts[PARTS_MAX];
        const int32_t *first = firsts;
        if (has_halves(type))
            first_offsets(block_x, part_count(type), firsts);
        load_block(&rows, parts, type);
        for (size_t part = 0; part < part_count(type); part++)
            add_part(&parts[part], &block_x, part, &first, &sum, 1, type);
        rows16_advance(&rows, block_bytes(type));
    }
    rows16_store(&rows, y, apart, sum);
}

WEIR_ROWS_MATMUL(rows16, rows16, nvfp4, WEIR_TYPE_NVFP4)
WEIR_ROWS_MATMUL(rows16, rows16, q1_0, WEIR_TYPE_Q1_0)
WEIR_ROWS_MATMUL(rows16, rows16, q2_0, WEIR_TYPE_Q2_0)

void weir_bits_init_vnni(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_NVFP4] = matmul_nvfp4;
    kernels->matmul[WEIR_TYPE_Q1_0] = matmul_q1_0;
    kernels->matmul[WEIR_TYPE_Q2_0] = matmul_q2_0;
}
