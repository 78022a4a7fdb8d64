/* k_avx2.c - super-blocks of 256 values on 256-bit registers: eight rows are the lanes.
 *
 * As k_avx512vnni.c, with products of bytes summed to 16 bits first: these sums meet the scale of
 * their sub-block as 16-bit pairs, so that one vpmaddwd scales and widens.
 *
 * I1  Within a super-block all is integer, and exact in any order: at most 2^28. One output is
 *     summed super-block by super-block from the left:
 *     sum = fma(float(total), d * activation scale, sum), then
 *     sum = fma(-float(minimums), dmin * activation scale, sum),
 *     whatever the number of rows and tokens. */
#include "kernels/x86/rows8_avx2.h"
#include "quant/iq4_nl.h"
#include "quant/iq4_xs.h"
#include "quant/q2_k.h"
#include "quant/q3_k.h"
#include "quant/q4_k.h"
#include "quant/q5_k.h"
#include "quant/q6_k.h"

enum { PANEL_BLOCKS = 2, TOKEN_TILE = 3, STEPS = 64, UNITS_MAX = 16 };

/* What a super-block of 8 rows has beside its steps. */
struct head {
    __m256 scale;
    __m256i scales[UNITS_MAX]; /* by sub-block, twice in the 16-bit halves of a lane */
    __m256i minimums[8];       /* pairs of 16-bit numbers, as sums_pairs() says */
    __m256 minimum_scale;
};

struct panel {
    struct head head;
    __m256i steps[STEPS];
};

typedef const struct weir_act_q8_256 *act_blocks;

WEIR_INLINE size_t block_bytes(const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q2_K:
        return sizeof(struct weir_q2_k);
    case WEIR_TYPE_Q3_K:
        return sizeof(struct weir_q3_k);
    case WEIR_TYPE_Q4_K:
        return sizeof(struct weir_q4_k);
    case WEIR_TYPE_Q5_K:
        return sizeof(struct weir_q5_k);
    case WEIR_TYPE_Q6_K:
        return sizeof(struct weir_q6_k);
    default:
        return sizeof(struct weir_iq4_xs);
    }
}

WEIR_INLINE size_t steps_at(const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q2_K:
        return offsetof(struct weir_q2_k, qs);
    case WEIR_TYPE_Q3_K:
        return offsetof(struct weir_q3_k, qs);
    case WEIR_TYPE_Q4_K:
        return offsetof(struct weir_q4_k, qs);
    case WEIR_TYPE_Q5_K:
        return offsetof(struct weir_q5_k, qs);
    case WEIR_TYPE_Q6_K:
        return offsetof(struct weir_q6_k, ql);
    default:
        return offsetof(struct weir_iq4_xs, qs);
    }
}

WEIR_INLINE bool has_two_bits(const enum weir_type type)
{
    return type == WEIR_TYPE_Q2_K || type == WEIR_TYPE_Q3_K;
}

/* Registers of bytes that a group of units comes from. */
WEIR_INLINE int group_words(const enum weir_type type)
{
    return type == WEIR_TYPE_Q4_K || type == WEIR_TYPE_Q5_K ? 8 : 4;
}

/* Units of a group: each takes other bits of the bytes. IQ4_XS's take both nibbles. */
WEIR_INLINE int group_units(const enum weir_type type)
{
    return has_two_bits(type) ? 4 : type == WEIR_TYPE_IQ4_XS ? 1 : 2;
}

WEIR_INLINE int unit_words(const enum weir_type type)
{
    return type == WEIR_TYPE_IQ4_XS ? 8 : group_words(type);
}

WEIR_INLINE int group_count(const enum weir_type type)
{
    return STEPS / group_units(type) / unit_words(type);
}

/* The sub-block that a unit of a group is. Bits of the same byte are 64 values apart in Q6_K, 32 in
 * the others: where sub-blocks have 16 values, those between come from other bytes. */
WEIR_INLINE int unit_at(int group, int which, const enum weir_type type)
{
    if (type == WEIR_TYPE_Q6_K)
        return group / 4 * 8 + which * 4 + group % 4;
    if (has_two_bits(type))
        return group / 2 * 8 + which * 2 + group % 2;
    return group * group_units(type) + which;
}

/* Q3_K's and Q6_K's steps are unsigned: 4 and 32 too large, which is 2 to this power. */
WEIR_INLINE int offset_bits(const enum weir_type type)
{
    return type == WEIR_TYPE_Q3_K ? 2 : type == WEIR_TYPE_Q6_K ? 5 : 0;
}

/* Pairs of sub-blocks whose activations are needed as sums: for minimums, or for scales where steps
 * are too large. */
WEIR_INLINE int sums_pairs(const enum weir_type type)
{
    if (type == WEIR_TYPE_Q2_K || offset_bits(type) > 0)
        return 8;
    return type == WEIR_TYPE_Q4_K || type == WEIR_TYPE_Q5_K ? 4 : 0;
}

/* Byte j of each lane as a 16-bit number, twice. */
WEIR_INLINE __m256i twice_byte_of(__m256i words, int j)
{
    const __m256i first = _mm256_broadcastsi128_si256(
        _mm_set_epi32((int)0x800c800c, (int)0x80088008, (int)0x80048004, (int)0x80008000));
    return _mm256_shuffle_epi8(words, _mm256_add_epi16(first, _mm256_set1_epi16((short)j)));
}

WEIR_INLINE __m256i twice_signed_byte_of(__m256i words, int j)
{
    const __m256i first =
        _mm256_broadcastsi128_si256(_mm_set_epi32(0x0c800c80, 0x08800880, 0x04800480, 0x00800080));
    const __m256i at = _mm256_add_epi16(first, _mm256_set1_epi16((short)(j << 8)));
    return _mm256_srai_epi16(_mm256_shuffle_epi8(words, at), 8);
}

/* The half-precision number in the low 16 bits of each lane. */
WEIR_INLINE __m256 low_halves(__m256i words)
{
    const __m256i low = _mm256_and_si256(words, _mm256_set1_epi32(0xffff));
    return _mm256_cvtph_ps(
        _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)));
}

/* Bytes 0 and 1 of each lane as two 16-bit numbers, then bytes 2 and 3. */
WEIR_INLINE void spread_pairs(__m256i bytes, __m256i pairs[2])
{
    const __m256i first = _mm256_broadcastsi128_si256(
        _mm_set_epi32((int)0x800d800c, (int)0x80098008, (int)0x80058004, (int)0x80018000));
    pairs[0] = _mm256_shuffle_epi8(bytes, first);
    pairs[1] = _mm256_shuffle_epi8(bytes, _mm256_add_epi8(first, _mm256_set1_epi16(2)));
}

/* Bits `from` and on of each byte put into the mask's, which begin at bit `to`. */
WEIR_INLINE __m256i with_bits(__m256i steps, __m256i bytes, int from, int to, const int mask)
{
    const __m256i moved = from < to ? _mm256_sll_epi16(bytes, _mm_cvtsi32_si128(to - from))
                                    : _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(from - to));
    return _mm256_or_si256(steps, _mm256_and_si256(moved, _mm256_set1_epi8((char)mask)));
}

/* In place of minimums: the scales of neighbouring sub-blocks as pairs. */
WEIR_INLINE void pair_scales(struct head *head)
{
    for (int i = 0; i < 8; i++)
        head->minimums[i] = _mm256_blend_epi16(head->scales[2 * i], head->scales[2 * i + 1], 0xaa);
}

/* Four bits of each byte for the scale, four for the minimum. */
WEIR_INLINE void load_head_q2_k(const struct rows8 *rows, struct head *head)
{
    const __m256i four = _mm256_set1_epi8(15);
    __m256i words[4];
    rows8_words(rows, offsetof(struct weir_q2_k, scales), words);
    for (int i = 0; i < 4; i++) {
        const __m256i scales = _mm256_and_si256(words[i], four);
        for (int j = 0; j < 4; j++)
            head->scales[4 * i + j] = twice_byte_of(scales, j);
        spread_pairs(_mm256_and_si256(_mm256_srli_epi16(words[i], 4), four),
                     &head->minimums[2 * i]);
    }
    rows8_words(rows, offsetof(struct weir_q2_k, dmin) - 14, words);
    head->scale = low_halves(words[3]);
    head->minimum_scale = low_halves(_mm256_srli_epi32(words[3], 16));
}

/* Scales and d are a block's last bytes: words that end with it begin in the middle of one. */
WEIR_INLINE void load_head_q3_k(const struct rows8 *rows, struct head *head)
{
    const __m256i zero = _mm256_setzero_si256();
    __m256i words[4];
    rows8_words(rows, offsetof(struct weir_q3_k, d) - 14, words);
    head->scale = low_halves(_mm256_srli_epi32(words[3], 16));
    for (int i = 0; i < 3; i++)
        words[i] =
            _mm256_or_si256(_mm256_srli_epi32(words[i], 16), _mm256_slli_epi32(words[i + 1], 16));
    for (int i = 0; i < 4; i++) {
        const __m256i low = with_bits(zero, words[i % 2], i / 2 * 4, 0, 15);
        const __m256i scales = with_bits(low, words[2], 2 * i, 4, 0x30);
        for (int j = 0; j < 4; j++)
            head->scales[4 * i + j] =
                _mm256_sub_epi16(twice_byte_of(scales, j), _mm256_set1_epi16(32));
    }
    pair_scales(head);
}

/* The first 16 bytes of Q4_K and Q5_K; q4_k.h draws where the bits of the 6-bit numbers lie. */
WEIR_INLINE void load_head_q4_k(const struct rows8 *rows, struct head *head)
{
    __m256i words[4];
    rows8_words(rows, 0, words);
    head->scale = low_halves(words[0]);
    head->minimum_scale = low_halves(_mm256_srli_epi32(words[0], 16));
    const __m256i six = _mm256_set1_epi32(0x3f3f3f3f);
    const __m256i four = _mm256_set1_epi32(0x0f0f0f0f);
    const __m256i two = _mm256_set1_epi32(0x30303030);
    const __m256i scales_low = _mm256_and_si256(words[1], six);
    const __m256i minimums_low = _mm256_and_si256(words[2], six);
    const __m256i scales_high = _mm256_or_si256(
        _mm256_and_si256(words[3], four), _mm256_and_si256(_mm256_srli_epi32(words[1], 2), two));
    const __m256i minimums_high =
        _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(words[3], 4), four),
                        _mm256_and_si256(_mm256_srli_epi32(words[2], 2), two));
    for (int j = 0; j < 4; j++) {
        head->scales[j] = twice_byte_of(scales_low, j);
        head->scales[j + 4] = twice_byte_of(scales_high, j);
    }
    spread_pairs(minimums_low, &head->minimums[0]);
    spread_pairs(minimums_high, &head->minimums[2]);
}

WEIR_INLINE void load_head_q6_k(const struct rows8 *rows, struct head *head)
{
    head->scale = rows8_halves(rows, offsetof(struct weir_q6_k, d));
    __m256i words[4];
    rows8_words(rows, offsetof(struct weir_q6_k, scales), words);
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++)
            head->scales[4 * i + j] = twice_signed_byte_of(words[i], j);
    pair_scales(head);
}

/* Bit 2 s of scales_h is bit 16 + 2 s of the first word. */
WEIR_INLINE void load_head_iq4_xs(const struct rows8 *rows, struct head *head)
{
    __m256i words[4];
    rows8_words(rows, 0, words);
    head->scale = low_halves(words[0]);
    for (int s = 0; s < 8; s++) {
        const __m256i low = _mm256_and_si256(_mm256_srl_epi32(words[1], _mm_cvtsi32_si128(4 * s)),
                                             _mm256_set1_epi32(15));
        const __m256i high = _mm256_and_si256(
            _mm256_srl_epi32(words[0], _mm_cvtsi32_si128(16 + 2 * s)), _mm256_set1_epi32(3));
        const __m256i scale = twice_byte_of(_mm256_or_si256(low, _mm256_slli_epi32(high, 4)), 0);
        head->scales[s] = _mm256_sub_epi16(scale, _mm256_set1_epi16(32));
    }
}

WEIR_INLINE void load_head(const struct rows8 *rows, struct head *head, const enum weir_type type)
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
WEIR_INLINE void load_high(const struct rows8 *rows, int half, __m256i high[8],
                           const enum weir_type type)
{
    const size_t at = type == WEIR_TYPE_Q3_K   ? offsetof(struct weir_q3_k, hmask)
                      : type == WEIR_TYPE_Q5_K ? offsetof(struct weir_q5_k, qh)
                                               : offsetof(struct weir_q6_k, qh) + (size_t)half * 32;
    for (int i = 0; i < 8; i++)
        high[i] = _mm256_setzero_si256();
    if (type != WEIR_TYPE_Q3_K && type != WEIR_TYPE_Q5_K && type != WEIR_TYPE_Q6_K)
        return;
    rows8_words(rows, at, high);
    rows8_words(rows, at + 16, high + 4);
}

/* Registers [from, from + 4) of the bytes of a group of units. */
WEIR_INLINE void load_bytes(const struct rows8 *rows, int group, int from, __m256i bytes[8],
                            const enum weir_type type)
{
    const int at = group * group_words(type) + from;
    rows8_words(rows, steps_at(type) + (size_t)at * 4, bytes + from);
}

/* Word i of a unit of Q4_K, Q5_K or Q6_K: nibbles and the bits above them. */
WEIR_INLINE __m256i nibble_steps(const __m256i *bytes, const __m256i high[8], int group, int which,
                                 int i, const enum weir_type type)
{
    const __m256i steps = with_bits(_mm256_setzero_si256(), bytes[i], 4 * which, 0, 15);
    if (type == WEIR_TYPE_Q5_K)
        return with_bits(steps, high[i], 2 * group + which, 4, 0x10);
    if (type == WEIR_TYPE_Q6_K)
        return with_bits(steps, high[group % 2 * 4 + i], group % 4 / 2 * 2 + which * 4, 4, 0x30);
    return steps;
}

/* Word i of a unit of Q2_K or Q3_K. */
WEIR_INLINE __m256i two_bit_steps(const __m256i *bytes, const __m256i high[8], int group, int which,
                                  int i, const enum weir_type type)
{
    const __m256i steps = with_bits(_mm256_setzero_si256(), bytes[i], 2 * which, 0, 3);
    if (type == WEIR_TYPE_Q3_K)
        return with_bits(steps, high[group % 2 * 4 + i], group / 2 * 4 + which, 2, 4);
    return steps;
}

/* Word i of a unit of IQ4_XS: low nibbles are its first half. */
WEIR_INLINE __m256i code_steps(const __m256i *bytes, int i)
{
    const __m256i table = _mm256_broadcastsi128_si256(
        _mm_loadu_si128((const __m128i *)(const void *)weir_iq4_nl_steps));
    const __m256i codes = with_bits(_mm256_setzero_si256(), bytes[i % 4], i / 4 * 4, 0, 15);
    return _mm256_shuffle_epi8(table, codes);
}

/* Word i of the steps of one unit of a group. */
WEIR_INLINE __m256i unit_steps(const __m256i *bytes, const __m256i high[8], int group, int which,
                               int i, const enum weir_type type)
{
    if (type == WEIR_TYPE_IQ4_XS)
        return code_steps(bytes, i);
    if (has_two_bits(type))
        return two_bit_steps(bytes, high, group, which, i, type);
    return nibble_steps(bytes, high, group, which, i, type);
}

/* How many pairs of products of a unit fit 16 bits: 2 * 127 * steps of 15; 3, 7, 31; 63; 127. */
WEIR_INLINE int pairs_max(const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q4_K:
        return 8;
    case WEIR_TYPE_Q2_K:
    case WEIR_TYPE_Q3_K:
    case WEIR_TYPE_Q5_K:
        return 4;
    case WEIR_TYPE_Q6_K:
        return 2;
    default:
        return 1;
    }
}

/* The products of a register of steps and four values, summed in pairs. */
WEIR_INLINE __m256i multiply(__m256i steps, __m256i values, const enum weir_type type)
{
    if (type == WEIR_TYPE_IQ4_XS)
        return _mm256_maddubs_epi16(_mm256_abs_epi8(steps), _mm256_sign_epi8(values, steps));
    return _mm256_maddubs_epi16(steps, values);
}

/* totals[t][part] += one unit of each part times token t's, t in [0, n). */
WEIR_INLINE void add_unit(const struct panel *parts, int sub_block, const act_blocks *x, size_t at,
                          __m256i (*totals)[PARTS], const int n, const enum weir_type type)
{
    const int words = unit_words(type);
    const int first = sub_block * words;
#pragma GCC unroll 8
    for (int from = first; from < first + words; from += pairs_max(type)) {
        __m256i pairs[TOKEN_TILE][PARTS];
        for (int t = 0; t < n; t++)
            for (int part = 0; part < PARTS; part++)
                pairs[t][part] = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (int i = from; i < from + pairs_max(type); i++)
            for (int t = 0; t < n; t++) {
                const __m256i values = spread_word(x[t][at].q + 4 * i);
                for (int part = 0; part < PARTS; part++) {
                    __m256i *sum = &pairs[t][part];
                    *sum = _mm256_add_epi16(*sum, multiply(parts[part].steps[i], values, type));
                    settle(sum);
                }
            }
        for (int t = 0; t < n; t++)
            for (int part = 0; part < PARTS; part++) {
                const __m256i scale = parts[part].head.scales[sub_block];
                __m256i *sum = &totals[t][part];
                *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(pairs[t][part], scale));
                settle(sum);
            }
    }
}

/* Minimums times the sums of a token's activations, or scales where steps are too large. */
WEIR_INLINE __m256i dot_sums(const struct head *head, const struct weir_act_q8_256 *x,
                             const enum weir_type type)
{
    const int16_t *sums = sums_pairs(type) == 8 ? x->half_sums : x->sums;
    __m256i dot = _mm256_setzero_si256();
    for (int i = 0; i < sums_pairs(type); i++)
        dot =
            _mm256_add_epi32(dot, _mm256_madd_epi16(head->minimums[i], spread_word(&sums[2 * i])));
    return dot;
}

/* sum += the super-block whose units have been added up to total. */
WEIR_INLINE void add_total(const struct head *head, const struct weir_act_q8_256 *x, __m256i total,
                           __m256 *sum, const enum weir_type type)
{
    const __m256 scale = _mm256_set1_ps(x->scale);
    const __m256i below = dot_sums(head, x, type);
    if (offset_bits(type) > 0)
        total = _mm256_sub_epi32(total, _mm256_slli_epi32(below, offset_bits(type)));
    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), _mm256_mul_ps(head->scale, scale), *sum);
    if (sums_pairs(type) > 0 && offset_bits(type) == 0)
        *sum = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(below),
                                _mm256_mul_ps(head->minimum_scale, scale), *sum);
}

/* A panel against n tokens of which x is the first. */
WEIR_INLINE void add_panel(const struct panel (*panel)[PARTS], size_t count, const uint8_t *x,
                           size_t x_row_bytes, __m256 (*sums)[PARTS], const int n,
                           const enum weir_type type)
{
    act_blocks rows[TOKEN_TILE];
    for (int t = 0; t < n; t++)
        rows[t] = (act_blocks)(const void *)(x + (size_t)t * x_row_bytes);
    for (size_t at = 0; at < count; at++) {
        __m256i totals[TOKEN_TILE][PARTS];
        const struct panel *parts = panel[at];
        for (int t = 0; t < n; t++)
            totals[t][0] = totals[t][1] = _mm256_setzero_si256();
        for (int sub_block = 0; sub_block < STEPS / unit_words(type); sub_block++)
            add_unit(parts, sub_block, rows, at, totals, n, type);
        for (int t = 0; t < n; t++)
            for (int part = 0; part < PARTS; part++)
                add_total(&parts[part].head, &rows[t][at], totals[t][part], &sums[t][part], type);
    }
}

WEIR_INLINE void load_panel(const struct rows8 *rows, const uint8_t *next, struct panel *panel,
                            const enum weir_type type)
{
    const size_t group_bytes = WEIR_LANES * block_bytes(type) / (size_t)group_count(type);
    __m256i high[8];
    load_head(rows, &panel->head, type);
    load_high(rows, 0, high, type);
    for (int group = 0; group < group_count(type); group++) {
        __m256i bytes[8];
        prefetch_bytes(next + (size_t)group * group_bytes, group_bytes);
        if (type == WEIR_TYPE_Q6_K && group == 4)
            load_high(rows, 1, high, type);
        for (int from = 0; from < group_words(type); from += 4)
            load_bytes(rows, group, from, bytes, type);
        for (int which = 0; which < group_units(type); which++) {
            __m256i *steps = panel->steps + unit_at(group, which, type) * unit_words(type);
            for (int i = 0; i < unit_words(type); i++)
                steps[i] = unit_steps(bytes, high, group, which, i, type);
        }
    }
}

WEIR_INLINE void run_panels(const struct weir_matmul *job, size_t first, size_t n_token,
                            struct tile tile, const uint8_t *next, float *y,
                            const enum weir_type type)
{
    struct rows8 rows[PARTS] = {part_rows(&tile, 0), part_rows(&tile, 1)};
    struct panel panel[PANEL_BLOCKS][PARTS];
    __m256 sums[WEIR_TOKENS_MAX][PARTS];
    const size_t block_count = job->cols / 256;
    for (size_t t = 0; t < n_token; t++)
        sums[t][0] = sums[t][1] = _mm256_setzero_ps();
    for (size_t from = 0; from < block_count; from += PANEL_BLOCKS) {
        const size_t left = block_count - from;
        const size_t count = left < PANEL_BLOCKS ? left : PANEL_BLOCKS;
        for (size_t at = 0; at < count; at++)
            for (int part = 0; part < PARTS; part++) {
                load_panel(&rows[part], next, &panel[at][part], type);
                rows8_advance(&rows[part], block_bytes(type));
                next += WEIR_LANES * block_bytes(type);
            }
        const uint8_t *x = (const uint8_t *)job->x + first * job->x_row_bytes +
                           from * sizeof(struct weir_act_q8_256);
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

/* total += words [from, from + count) of one unit of eight rows times one token's. */
WEIR_INLINE void add_words(const __m256i *bytes, const __m256i high[8], int group, int which,
                           int from, int count, const struct head *head,
                           const struct weir_act_q8_256 *x, __m256i *total,
                           const enum weir_type type)
{
    const int sub_block = unit_at(group, which, type);
    const int8_t *q = x->q + 4 * sub_block * unit_words(type);
    const int step = pairs_max(type) < count ? pairs_max(type) : count;
#pragma GCC unroll 8
    for (int first = from; first < from + count; first += step) {
        __m256i pairs = _mm256_setzero_si256();
#pragma GCC unroll 8
        for (int i = first; i < first + step; i++) {
            const __m256i steps = unit_steps(bytes, high, group, which, i, type);
            pairs = _mm256_add_epi16(pairs, multiply(steps, spread_word(q + 4 * i), type));
        }
        *total = _mm256_add_epi32(*total, _mm256_madd_epi16(pairs, head->scales[sub_block]));
        if (pairs_max(type) == 1) /* 64 of them in a block are more than the registers hold */
            settle(total);
    }
}

/* Q3_K and Q6_K are not read in the order of their bytes: the CPU would not know the row for a
 * stream, so each group asks for that of a lane or two, this many super-blocks ahead. */
enum { BLOCKS_AHEAD = 3 };

WEIR_INLINE void ask_ahead(const struct rows8 *rows, int group, const enum weir_type type)
{
    const int lanes = offset_bits(type) > 0 ? WEIR_LANES / group_count(type) : 0;
    keep_order();
    for (int row = group * lanes; row < (group + 1) * lanes; row++)
        prefetch_near(rows8_row(rows, row) + BLOCKS_AHEAD * block_bytes(type), block_bytes(type));
}

/* sum += one super-block of eight rows times one token's. Units of eight words come by halves. */
WEIR_INLINE void add_rows(const struct rows8 *rows, const struct weir_act_q8_256 *x, __m256 *sum,
                          const enum weir_type type)
{
    struct head head;
    __m256i high[8];
    __m256i total = _mm256_setzero_si256();
    load_head(rows, &head, type);
    load_high(rows, 0, high, type);
#pragma GCC unroll 8
    for (int group = 0; group < group_count(type); group++) {
        __m256i bytes[8];
        ask_ahead(rows, group, type);
        if (type == WEIR_TYPE_Q6_K && group == 4)
            load_high(rows, 1, high, type);
#pragma GCC unroll 2
        for (int from = 0; from < group_words(type); from += 4) {
            load_bytes(rows, group, from, bytes, type);
#pragma GCC unroll 4
            for (int which = 0; which < group_units(type); which++)
                add_words(bytes, high, group, which, from, type == WEIR_TYPE_IQ4_XS ? 8 : 4, &head,
                          x, &total, type);
        }
    }
    add_total(&head, x, total, sum, type);
}

/* One token: steps go from memory through registers into the sum. */
WEIR_INLINE void run_one(const struct weir_matmul *job, struct rows8 rows, size_t apart, float *y,
                         const enum weir_type type)
{
    const act_blocks x = job->x;
    __m256 sum = _mm256_setzero_ps();
    for (size_t at = 0; at < job->cols / 256; at++) {
        add_rows(&rows, &x[at], &sum, type);
        rows8_advance(&rows, block_bytes(type));
    }
    rows8_store(&rows, y, apart, sum);
}

WEIR_ROWS_MATMUL(rows8, tile, q2_k, WEIR_TYPE_Q2_K)
WEIR_ROWS_MATMUL(rows8, tile, q3_k, WEIR_TYPE_Q3_K)
WEIR_ROWS_MATMUL(rows8, tile, q4_k, WEIR_TYPE_Q4_K)
WEIR_ROWS_MATMUL(rows8, tile, q5_k, WEIR_TYPE_Q5_K)
WEIR_ROWS_MATMUL(rows8, tile, q6_k, WEIR_TYPE_Q6_K)
WEIR_ROWS_MATMUL(rows8, tile, iq4_xs, WEIR_TYPE_IQ4_XS)

void weir_k_init_avx2(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_Q2_K] = matmul_q2_k;
    kernels->matmul[WEIR_TYPE_Q3_K] = matmul_q3_k;
    kernels->matmul[WEIR_TYPE_Q4_K] = matmul_q4_k;
    kernels->matmul[WEIR_TYPE_Q5_K] = matmul_q5_k;
    kernels->matmul[WEIR_TYPE_Q6_K] = matmul_q6_k;
    kernels->matmul[WEIR_TYPE_IQ4_XS] = matmul_iq4_xs;
}
