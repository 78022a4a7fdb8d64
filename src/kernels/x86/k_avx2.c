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
#include "kernels/x86/k_heads_avx2.h"

enum { PANEL_BLOCKS = 2, TOKEN_TILE = 3 };

struct panel {
    struct head head;
    __m256i steps[STEPS];
};

typedef const struct weir_act_q8_256 *act_blocks;
typedef struct panel panel_block;
enum { BLOCK_VALUES = 256 };

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

#include "kernels/x86/panels8_avx2.h"

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

/* Q3_K and Q6_K are not read in the order of their bytes: the CPU would not know a row for a
 * stream. So each quarter of the work asks for that of two lanes, this many super-blocks ahead. */
enum { BLOCKS_AHEAD = 3 };

WEIR_INLINE void ask_ahead(const struct rows8 *rows, int quarter, const enum weir_type type)
{
    keep_order();
    for (int row = 2 * quarter; row < 2 * quarter + 2; row++)
        prefetch_near(rows8_row(rows, row) + BLOCKS_AHEAD * block_bytes(type), block_bytes(type));
}

/* total += the two sub-blocks of a group of Q4_K, rows as they lie (fold_16): a row's products stay
 * 16-bit numbers until its scale comes, 16 * 127 * 15. */
WEIR_INLINE void add_group_q4_k(const struct rows8 *rows, int group, const struct head *head,
                                const struct weir_act_q8_256 *x, __m256i *total)
{
    const size_t at = steps_at(WEIR_TYPE_Q4_K) + 32 * (size_t)group;
    __m256i bytes[8];
    rows8_pairs(rows, at, bytes);
    rows8_pairs(rows, at + 16, bytes + 4);
#pragma GCC unroll 2
    for (int which = 0; which < 2; which++) {
        const int sub_block = 2 * group + which;
        const __m256i low = spread_half(x->q + 32 * sub_block);
        const __m256i high = spread_half(x->q + 32 * sub_block + 16);
        __m256i sums[8];
#pragma GCC unroll 8
        for (int i = 0; i < 8; i++)
            sums[i] = multiply(nibble_steps(bytes, NULL, group, which, i, WEIR_TYPE_Q4_K),
                               i < 4 ? low : high, WEIR_TYPE_Q4_K);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            sums[j] = _mm256_add_epi16(sums[j], sums[4 + j]);
        const __m256i lanes = fold_lanes_16(fold_16(sums[0], sums[1]), fold_16(sums[2], sums[3]));
        *total = _mm256_add_epi32(*total, _mm256_madd_epi16(lanes, head->scales[sub_block]));
    }
}

/* total += one group of units of another type, which share the transposing. Units of eight words
 * come by halves. */
WEIR_INLINE void add_group(const struct rows8 *rows, int group, const __m256i high[8],
                           const struct head *head, const struct weir_act_q8_256 *x, __m256i *total,
                           const enum weir_type type)
{
    __m256i bytes[8];
#pragma GCC unroll 2
    for (int from = 0; from < group_words(type); from += 4) {
        load_bytes(rows, group, from, bytes, type);
#pragma GCC unroll 4
        for (int which = 0; which < group_units(type); which++)
            add_words(bytes, high, group, which, from, type == WEIR_TYPE_IQ4_XS ? 8 : 4, head, x,
                      total, type);
    }
}

/* Number j of each half's eight, in all places of its half. */
WEIR_INLINE __m256i spread_number(__m256i numbers, int j)
{
    const __m256i bytes =
        _mm256_add_epi8(_mm256_set1_epi16(0x0100), _mm256_set1_epi8((char)(2 * j)));
    return _mm256_shuffle_epi8(numbers, bytes);
}

/* total += unit `at` of a half of Q6_K's super-block, of two rows: its products fill 16 bits, so
 * the scale comes before any sum. */
WEIR_INLINE void add_unit_q6_k(__m256i steps, const int8_t *q, __m256i scales, int at,
                               __m256i *total)
{
    const __m256i pairs = _mm256_maddubs_epi16(steps, spread_half(q + 16 * at));
    *total = _mm256_add_epi32(*total, _mm256_madd_epi16(pairs, spread_number(scales, at)));
}

/* total += half a super-block of Q6_K, of rows j and 4 + j. scales: of its 8 units. */
WEIR_INLINE void add_half_q6_k(const struct rows8 *rows, int j, int half, const int8_t *q,
                               __m256i scales, __m256i *total)
{
    const __m256i zero = _mm256_setzero_si256();
    const size_t ql = offsetof(struct weir_q6_k, ql) + 64 * (size_t)half;
    const size_t qh = offsetof(struct weir_q6_k, qh) + 32 * (size_t)half;
#pragma GCC unroll 2
    for (int chunk = 0; chunk < 2; chunk++) {
        const __m256i high = rows8_pair(rows, j, qh + 16 * (size_t)chunk);
#pragma GCC unroll 2
        for (int bits = 0; bits < 4; bits += 2) { /* of high, and those 4 above them */
            const int at = bits + chunk;
            const __m256i low = rows8_pair(rows, j, ql + 16 * (size_t)at);
            const __m256i first = with_bits(with_bits(zero, low, 0, 0, 15), high, bits, 4, 0x30);
            add_unit_q6_k(first, q, scales, at, total);
            const __m256i second =
                with_bits(with_bits(zero, low, 4, 0, 15), high, bits + 4, 4, 0x30);
            add_unit_q6_k(second, q, scales, at + 4, total);
        }
    }
}

/* A super-block of Q6_K, of rows j and 4 + j, times one token's: four numbers of each row. */
WEIR_INLINE __m256i dot_pair_q6_k(const struct rows8 *rows, int j, const struct weir_act_q8_256 *x)
{
    const __m256i bytes = rows8_pair(rows, j, offsetof(struct weir_q6_k, scales));
    const __m256i scales[2] = {_mm256_srai_epi16(_mm256_unpacklo_epi8(bytes, bytes), 8),
                               _mm256_srai_epi16(_mm256_unpackhi_epi8(bytes, bytes), 8)};
    const int8_t *sums = (const int8_t *)x->half_sums;
    const __m256i below =
        _mm256_add_epi32(_mm256_madd_epi16(scales[0], spread_half(sums)),
                         _mm256_madd_epi16(scales[1], spread_half(sums + sizeof(x->sums))));
    const int offset = offset_bits(WEIR_TYPE_Q6_K);
    __m256i total = _mm256_sub_epi32(_mm256_setzero_si256(), _mm256_slli_epi32(below, offset));
    add_half_q6_k(rows, j, 0, x->q, scales[0], &total);
    add_half_q6_k(rows, j, 1, x->q + 128, scales[1], &total);
    return total;
}

/* As add_rows(), of Q6_K: two rows after two others, each from its first byte to its last, not
 * transposed (fold_16). */
WEIR_INLINE void add_rows_q6_k(const struct rows8 *rows, const struct weir_act_q8_256 *x,
                               __m256 *sum)
{
    const __m256 scale = rows8_halves(rows, offsetof(struct weir_q6_k, d));
    __m256i totals[4];
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        ask_ahead(rows, j, WEIR_TYPE_Q6_K);
        totals[j] = dot_pair_q6_k(rows, j, x);
    }
    const __m256i total =
        fold_lanes_32(fold_32(totals[0], totals[1]), fold_32(totals[2], totals[3]));
    *sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total),
                           _mm256_mul_ps(scale, _mm256_set1_ps(x->scale)), *sum);
}

/* sum += one super-block of eight rows times one token's. */
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
        keep_order();
        if (type == WEIR_TYPE_Q3_K)
            ask_ahead(rows, group, type);
        if (type == WEIR_TYPE_Q4_K)
            add_group_q4_k(rows, group, &head, x, &total);
        else
            add_group(rows, group, high, &head, x, &total, type);
    }
    add_total(&head, x, total, sum, type);
}

/* One token: steps go from memory through registers into the sum. */
WEIR_INLINE void run_stream(const struct weir_matmul *job, struct rows8 rows, size_t apart,
                            float *y, const enum weir_type type)
{
    const act_blocks x = job->x;
    __m256 sum = _mm256_setzero_ps();
    for (size_t at = 0; at < job->cols / 256; at++) {
        if (type == WEIR_TYPE_Q6_K)
            add_rows_q6_k(&rows, &x[at], &sum);
        else
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
