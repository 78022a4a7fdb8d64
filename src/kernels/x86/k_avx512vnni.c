/* k_avx512vnni.c - super-blocks of 256 values, integer dot products: sixteen rows are the lanes.
 *
 * A super-block is 64 registers of unsigned steps, in units that share a scale: eight registers
 * where sub-blocks have 32 values, four where they have 16. The units of a group come from the same
 * bytes.
 *
 * I1  Within a super-block all is integer, and exact in any order: at most 2^28. One output is
 *     summed super-block by super-block from the left:
 *     sum = fma(float(total), d * activation scale, sum), then
 *     sum = fma(-float(minimums), dmin * activation scale, sum),
 *     whatever the number of rows and tokens. */
#include "kernels/x86/k_units.h"
#include "kernels/x86/q6_k_rows_avx512.h"
#include "kernels/x86/walk16_avx512.h"

enum { PANEL_BLOCKS = 2, TOKEN_TILE = 8 };

/* What a super-block of 16 rows has beside its steps. */
struct head {
    __m512 scale;
    __m512i scales[UNITS_MAX]; /* by sub-block */
    __m512i minimums[8];       /* pairs of 16-bit numbers, as minimum_pairs() says */
    __m512 minimum_scale;
};

struct panel {
    struct head head;
    __m512i steps[STEPS];
};

typedef const struct weir_act_q8_256 *act_blocks;
typedef struct panel panel_block;
enum { BLOCK_VALUES = 256 };

/* Q3_K's and Q6_K's steps are unsigned and their middle is 32, which the activations' offsets take
 * away: Q3_K's are taken 8 times larger for an eighth of the scale, all of it exact. */
WEIR_INLINE bool has_offset(const enum weir_type type)
{
    return type == WEIR_TYPE_Q3_K || type == WEIR_TYPE_Q6_K;
}

/* Pairs of sub-blocks whose activations' sums count too. What IQ4_XS's steps are too large is 128
 * times its scales. */
WEIR_INLINE int minimum_pairs(const enum weir_type type)
{
    return has_offset(type) ? 0 : type == WEIR_TYPE_Q2_K ? 8 : 4;
}

/* Byte j of each lane. */
WEIR_INLINE __m512i byte_of(__m512i words, int j)
{
    const __m512i shifted = _mm512_srl_epi32(words, _mm_cvtsi32_si128(8 * j));
    return _mm512_and_si512(shifted, _mm512_set1_epi32(255));
}

WEIR_INLINE __m512i signed_byte_of(__m512i words, int j)
{
    return _mm512_srai_epi32(_mm512_sll_epi32(words, _mm_cvtsi32_si128(24 - 8 * j)), 24);
}

/* The half-precision number in the low 16 bits of each lane. */
WEIR_INLINE __m512 low_halves(__m512i words)
{
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(words));
}

/* Bytes 0 and 1 of each lane as two 16-bit numbers, then bytes 2 and 3. */
WEIR_INLINE void spread_pairs(__m512i bytes, __m512i pairs[2])
{
    const __m512i first =
        _mm512_set4_epi32((int)0x800d800c, (int)0x80098008, (int)0x80058004, (int)0x80018000);
    pairs[0] = _mm512_shuffle_epi8(bytes, first);
    pairs[1] = _mm512_shuffle_epi8(bytes, _mm512_add_epi8(first, _mm512_set1_epi16(2)));
}

/* Bits `from` and on of each byte put into the mask's, which begin at bit `to`. A rotation of 32
 * bits moves every byte's bits alike. */
WEIR_INLINE __m512i with_bits(__m512i steps, __m512i bytes, int from, int to, const int mask)
{
    const __m512i moved = _mm512_rorv_epi32(bytes, _mm512_set1_epi32(from - to));
    return _mm512_or_si512(steps, _mm512_and_si512(moved, _mm512_set1_epi8((char)mask)));
}

/* Four bits of each byte for the scale, four for the minimum. */
WEIR_INLINE void load_head_q2_k(struct rows16 *rows, struct head *head)
{
    const __m512i four = _mm512_set1_epi8(15);
    __m512i words[4];
    rows16_words(rows, offsetof(struct weir_q2_k, scales), words);
    for (int i = 0; i < 4; i++) {
        const __m512i scales = _mm512_and_si512(words[i], four);
        for (int j = 0; j < 4; j++)
            head->scales[4 * i + j] = byte_of(scales, j);
        spread_pairs(_mm512_and_si512(_mm512_srli_epi16(words[i], 4), four),
                     &head->minimums[2 * i]);
    }
    rows16_words(rows, offsetof(struct weir_q2_k, dmin) - 14, words);
    head->scale = low_halves(words[3]);
    head->minimum_scale = low_halves(_mm512_srli_epi32(words[3], 16));
}

/* Scales and d are a block's last bytes: words that end with it begin in the middle of one. */
WEIR_INLINE void load_head_q3_k(struct rows16 *rows, struct head *head)
{
    const __m512i zero = _mm512_setzero_si512();
    __m512i words[4];
    rows16_words(rows, offsetof(struct weir_q3_k, d) - 14, words);
    head->scale =
        _mm512_mul_ps(low_halves(_mm512_srli_epi32(words[3], 16)), _mm512_set1_ps(0.125f));
    for (int i = 0; i < 3; i++)
        words[i] =
            _mm512_or_si512(_mm512_srli_epi32(words[i], 16), _mm512_slli_epi32(words[i + 1], 16));
    for (int i = 0; i < 4; i++) {
        const __m512i low = with_bits(zero, words[i % 2], i / 2 * 4, 0, 15);
        const __m512i scales = with_bits(low, words[2], 2 * i, 4, 0x30);
        for (int j = 0; j < 4; j++)
            head->scales[4 * i + j] = _mm512_sub_epi32(byte_of(scales, j), _mm512_set1_epi32(32));
    }
}

/* The first 16 bytes of Q4_K and Q5_K; q4_k.h draws where the bits of the 6-bit numbers lie. */
WEIR_INLINE void load_head_q4_k(struct rows16 *rows, struct head *head)
{
    __m512i words[4];
    rows16_words(rows, 0, words);
    head->scale = low_halves(words[0]);
    head->minimum_scale = low_halves(_mm512_srli_epi32(words[0], 16));
    const __m512i six = _mm512_set1_epi32(0x3f3f3f3f);
    const __m512i four = _mm512_set1_epi32(0x0f0f0f0f);
    const __m512i two = _mm512_set1_epi32(0x30303030);
    const __m512i scales_low = _mm512_and_si512(words[1], six);
    const __m512i minimums_low = _mm512_and_si512(words[2], six);
    const __m512i scales_high = _mm512_or_si512(
        _mm512_and_si512(words[3], four), _mm512_and_si512(_mm512_srli_epi32(words[1], 2), two));
    const __m512i minimums_high =
        _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(words[3], 4), four),
                        _mm512_and_si512(_mm512_srli_epi32(words[2], 2), two));
    for (int j = 0; j < 4; j++) {
        head->scales[j] = byte_of(scales_low, j);
        head->scales[j + 4] = byte_of(scales_high, j);
    }
    spread_pairs(minimums_low, &head->minimums[0]);
    spread_pairs(minimums_high, &head->minimums[2]);
}

WEIR_INLINE void load_head_q6_k(struct rows16 *rows, struct head *head)
{
    head->scale = rows16_halves(rows, offsetof(struct weir_q6_k, d));
    __m512i words[4];
    rows16_words(rows, offsetof(struct weir_q6_k, scales), words);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            head->scales[4 * i + j] = signed_byte_of(words[i], j);
}

/* Bit 2 s of scales_h is bit 16 + 2 s of the first word. */
WEIR_INLINE void load_head_iq4_xs(struct rows16 *rows, struct head *head)
{
    __m512i words[4];
    rows16_words(rows, 0, words);
    head->scale = low_halves(words[0]);
    for (unsigned s = 0; s < 8; s++) {
        const __m512i low =
            _mm512_and_si512(_mm512_srli_epi32(words[1], 4 * s), _mm512_set1_epi32(15));
        const __m512i high =
            _mm512_and_si512(_mm512_srli_epi32(words[0], 16 + 2 * s), _mm512_set1_epi32(3));
        head->scales[s] = _mm512_sub_epi32(_mm512_or_si512(low, _mm512_slli_epi32(high, 4)),
                                           _mm512_set1_epi32(32));
    }
    for (int pair = 0; pair < 4; pair++)
        head->minimums[pair] = _mm512_mask_blend_epi16(
            0xaaaaaaaa, head->scales[2 * pair], _mm512_slli_epi32(head->scales[2 * pair + 1], 16));
}

WEIR_INLINE void load_head(struct rows16 *rows, struct head *head, const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q2_K:
        load_head_q2_k(rows, head);
        break;
    case WEIR_TYPE_Q3_K:
        load_head_q3_k(rows, head);
        break;
    case WEIR_TYPE_Q6_K:
        load_head_q6_k(rows, head);
        break;
    case WEIR_TYPE_IQ4_XS:
        load_head_iq4_xs(rows, head);
        break;
    default:
        load_head_q4_k(rows, head);
    }
}

/* The highest bits, which groups share: all of Q3_K's and Q5_K's, or those of a half of Q6_K. */
WEIR_INLINE void load_high(struct rows16 *rows, int half, __m512i high[8],
                           const enum weir_type type)
{
    const size_t at = type == WEIR_TYPE_Q3_K   ? offsetof(struct weir_q3_k, hmask)
                      : type == WEIR_TYPE_Q5_K ? offsetof(struct weir_q5_k, qh)
                                               : offsetof(struct weir_q6_k, qh) + (size_t)half * 32;
    for (int i = 0; i < 8; i++)
        high[i] = _mm512_setzero_si512();
    if (type != WEIR_TYPE_Q3_K && type != WEIR_TYPE_Q5_K && type != WEIR_TYPE_Q6_K)
        return;
    rows16_words(rows, at, high);
    rows16_words(rows, at + 16, high + 4);
}

/* Nibbles and the bits above them: two units of Q4_K, Q5_K or Q6_K. */
WEIR_INLINE void split_nibbles(const __m512i *bytes, int group, const __m512i high[8],
                               __m512i *steps, const enum weir_type type)
{
    const __m512i mask = _mm512_set1_epi8(15);
    const int words = group_words(type);
    for (int i = 0; i < words; i++) {
        __m512i *low = &steps[i];
        __m512i *up = &steps[i + words];
        *low = _mm512_and_si512(bytes[i], mask);
        *up = _mm512_and_si512(_mm512_srli_epi16(bytes[i], 4), mask);
        if (type == WEIR_TYPE_Q5_K) {
            *low = with_bits(*low, high[i], 2 * group, 4, 0x10);
            *up = with_bits(*up, high[i], 2 * group + 1, 4, 0x10);
        }
        if (type == WEIR_TYPE_Q6_K) {
            const __m512i both = group % 2 == 0 ? high[i] : high[i + 4];
            *low = with_bits(*low, both, group % 4 / 2 * 2, 4, 0x30);
            *up = with_bits(*up, both, group % 4 / 2 * 2 + 4, 4, 0x30);
        }
    }
}

/* Four units of Q2_K, or of Q3_K, 8 times larger. */
WEIR_INLINE void split_two_bits(const __m512i *bytes, int group, const __m512i high[8],
                                __m512i *steps, const enum weir_type type)
{
    const __m512i zero = _mm512_setzero_si512();
    for (int which = 0; which < 4; which++)
        for (int i = 0; i < 4; i++) {
            __m512i *step = &steps[which * 4 + i];
            if (type == WEIR_TYPE_Q2_K) {
                *step = with_bits(zero, bytes[i], 2 * which, 0, 3);
            } else {
                *step = with_bits(zero, bytes[i], 2 * which, 3, 0x18);
                *step = with_bits(*step, high[group % 2 * 4 + i], group / 2 * 4 + which, 5, 0x20);
            }
        }
}

/* One unit of IQ4_XS: low nibbles are its first half. Its steps are kept 128 too large. */
WEIR_INLINE void split_codes(const __m512i *bytes, __m512i *steps)
{
    const __m512i mask = _mm512_set1_epi8(15);
    const __m512i table = _mm512_xor_si512(
        _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)(const void *)weir_iq4_nl_steps)),
        _mm512_set1_epi8(-128));
    for (int i = 0; i < 4; i++) {
        const __m512i high = _mm512_and_si512(_mm512_srli_epi16(bytes[i], 4), mask);
        steps[i] = _mm512_shuffle_epi8(table, _mm512_and_si512(bytes[i], mask));
        steps[i + 4] = _mm512_shuffle_epi8(table, high);
    }
}

/* The steps of a group of units, one unit after another. */
WEIR_INLINE void load_group(struct rows16 *rows, int group, const __m512i high[8], __m512i *steps,
                            const enum weir_type type)
{
    __m512i bytes[8];
    const size_t at = steps_at(type) + (size_t)(group * group_words(type)) * 4;
    rows16_words(rows, at, bytes);
    if (group_words(type) == 8)
        rows16_words(rows, at + 16, bytes + 4);
    if (has_two_bits(type))
        split_two_bits(bytes, group, high, steps, type);
    else if (type == WEIR_TYPE_IQ4_XS)
        split_codes(bytes, steps);
    else
        split_nibbles(bytes, group, high, steps, type);
}

/* totals[t] += one unit times token t's, t in [0, n). */
WEIR_INLINE void add_unit(const __m512i *steps, __m512i scale, int sub_block, const act_blocks *x,
                          size_t at, __m512i *totals, const int n, const enum weir_type type)
{
    __m512i dots[TOKEN_TILE];
    const int words = unit_words(type);
    for (int t = 0; t < n; t++)
        dots[t] =
            has_offset(type) ? spread_word(&x[t][at].offsets[sub_block]) : _mm512_setzero_si512();
    for (int i = 0; i < words; i++)
        for (int t = 0; t < n; t++)
            dots[t] = _mm512_dpbusd_epi32(dots[t], steps[i],
                                          spread_word(x[t][at].q + 4 * (sub_block * words + i)));
    for (int t = 0; t < n; t++)
        totals[t] = _mm512_add_epi32(totals[t], _mm512_mullo_epi32(dots[t], scale));
}

/* sums[t] += the super-block whose units have been added up. */
WEIR_INLINE void add_totals(const struct head *head, const act_blocks *x, size_t at,
                            const __m512i *totals, __m512 *sums, const int n,
                            const enum weir_type type)
{
    for (int t = 0; t < n; t++) {
        const __m512 scale = _mm512_set1_ps(x[t][at].scale);
        const int16_t *x_sums = type == WEIR_TYPE_Q2_K ? x[t][at].half_sums : x[t][at].sums;
        __m512i total = totals[t];
        __m512i below = _mm512_setzero_si512();
        for (int i = 0; i < minimum_pairs(type); i++)
            below = _mm512_dpwssd_epi32(below, head->minimums[i], spread_word(&x_sums[2 * i]));
        if (type == WEIR_TYPE_IQ4_XS)
            total = _mm512_sub_epi32(total, _mm512_slli_epi32(below, 7));
        sums[t] =
            _mm512_fmadd_ps(_mm512_cvtepi32_ps(total), _mm512_mul_ps(head->scale, scale), sums[t]);
        if (type == WEIR_TYPE_IQ4_XS || has_offset(type))
            continue;
        sums[t] = _mm512_fnmadd_ps(_mm512_cvtepi32_ps(below),
                                   _mm512_mul_ps(head->minimum_scale, scale), sums[t]);
    }
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
        const __m512i *steps = panel[at].steps;
        const int units = group_units(type);
        for (int unit = 0; unit < units * group_count(type); unit++, steps += unit_words(type)) {
            const int sub_block = unit_at(unit / units, unit % units, type);
            add_unit(steps, panel[at].head.scales[sub_block], sub_block, rows, at, totals, n, type);
        }
        add_totals(&panel[at].head, rows, at, totals, sums, n, type);
    }
}

WEIR_INLINE void load_panel(struct rows16 *rows, const uint8_t *next, struct panel *panel,
                            const enum weir_type type)
{
    const size_t group_bytes = WEIR_ROWS * block_bytes(type) / (size_t)group_count(type);
    __m512i high[8];
    load_head(rows, &panel->head, type);
    load_high(rows, 0, high, type);
    for (int group = 0; group < group_count(type); group++) {
        prefetch_bytes(next + (size_t)group * group_bytes, group_bytes);
        if (type == WEIR_TYPE_Q6_K && group == 4)
            load_high(rows, 1, high, type);
        load_group(rows, group, high, panel->steps + group * group_units(type) * unit_words(type),
                   type);
    }
}

#include "kernels/x86/panels16_avx512.h"

/* Q6_K is not read in the order of its bytes: the CPU would not know the row for a stream, so each
 * group asks for that of two lanes, this many super-blocks ahead. */
enum { BLOCKS_AHEAD = 2 };

WEIR_INLINE void ask_ahead(const struct rows16 *rows, int group, const enum weir_type type)
{
    const int lanes = WEIR_LANES / group_count(type);
    if (type != WEIR_TYPE_Q6_K)
        return;
    for (int row = group * lanes; row < (group + 1) * lanes; row++)
        prefetch_near(rows16_row(rows, row) + BLOCKS_AHEAD * block_bytes(type), block_bytes(type));
}

/* One token: steps go from memory through registers into the sum. tiles: what rows in order ask
 * for; NULL: they are streams. */
WEIR_INLINE void run_one(const struct weir_matmul *job, struct rows16 rows, struct tiles *tiles,
                         size_t apart, float *y, const enum weir_type type)
{
    const size_t group_bytes = WEIR_LANES * block_bytes(type) / (size_t)group_count(type);
    const act_blocks x = job->x;
    __m512 sum = _mm512_setzero_ps();
    for (size_t at = 0; at < job->cols / 256; at++) {
        struct head head;
        __m512i high[8];
        __m512i total = _mm512_setzero_si512();
        struct asked asked = {0};
        if (tiles != NULL)
            asked = tiles_take(tiles, WEIR_LANES * block_bytes(type));
        load_head(&rows, &head, type);
        load_high(&rows, 0, high, type);
        for (int group = 0; group < group_count(type); group++) {
            __m512i steps[16];
            if (tiles != NULL)
                asked_part(&asked, (size_t)group * group_bytes, group_bytes, &rows);
            else
                ask_ahead(&rows, group, type);
            if (type == WEIR_TYPE_Q6_K && group == 4)
                load_high(&rows, 1, high, type);
            load_group(&rows, group, high, steps, type);
            for (int which = 0; which < group_units(type); which++) {
                const int sub_block = unit_at(group, which, type);
                add_unit(steps + which * unit_words(type), head.scales[sub_block], sub_block, &x,
                         at, &total, 1, type);
            }
        }
        add_totals(&head, &x, at, &total, &sum, 1, type);
        rows16_advance(&rows, block_bytes(type));
    }
    rows16_store(&rows, y, apart, sum);
}

WEIR_INLINE void run_stream(const struct weir_matmul *job, struct rows16 rows, size_t apart,
                            float *y, const enum weir_type type)
{
    run_one(job, rows, NULL, apart, y, type);
}

WEIR_INLINE void run_in_order(const struct weir_matmul *job, const enum weir_type type)
{
    const size_t step_bytes = WEIR_LANES * block_bytes(type);
    if (type == WEIR_TYPE_Q6_K) {
        q6_k_run_in_order(job);
        return;
    }
    struct tiles tiles = tiles_first(job, WEIR_LANES, step_bytes, type != WEIR_TYPE_Q4_K);
    for (; tiles.row < job->row_end; tiles_next(&tiles, WEIR_LANES))
        run_one(job, rows16_at(tiles.w, job->w_row_bytes, job->row_end - tiles.row), &tiles, 1,
                job->y + tiles.row, type);
}

WEIR_ROWS16_MATMUL(q2_k, WEIR_TYPE_Q2_K)
WEIR_ROWS16_MATMUL(q3_k, WEIR_TYPE_Q3_K)
WEIR_ROWS16_MATMUL(q4_k, WEIR_TYPE_Q4_K)
WEIR_ROWS16_MATMUL(q5_k, WEIR_TYPE_Q5_K)
WEIR_ROWS16_MATMUL(q6_k, WEIR_TYPE_Q6_K)
WEIR_ROWS16_MATMUL(iq4_xs, WEIR_TYPE_IQ4_XS)

void weir_k_init_vnni(struct weir_kernels *kernels, bool in_order)
{
    kernels->matmul[WEIR_TYPE_Q2_K] = in_order ? matmul_q2_k_in_order : matmul_q2_k;
    kernels->matmul[WEIR_TYPE_Q3_K] = in_order ? matmul_q3_k_in_order : matmul_q3_k;
    kernels->matmul[WEIR_TYPE_Q4_K] = in_order ? matmul_q4_k_in_order : matmul_q4_k;
    kernels->matmul[WEIR_TYPE_Q5_K] = in_order ? matmul_q5_k_in_order : matmul_q5_k;
    kernels->matmul[WEIR_TYPE_Q6_K] = in_order ? matmul_q6_k_in_order : matmul_q6_k;
    kernels->matmul[WEIR_TYPE_IQ4_XS] = in_order ? matmul_iq4_xs_in_order : matmul_iq4_xs;
}
