/* k_heads_avx2.h - what super-blocks of eight rows have beside their steps: scales and minimums of
 * sub-blocks, d and dmin. Rows are lanes. */
#ifndef WEIR_KERNELS_K_HEADS_AVX2_H
#define WEIR_KERNELS_K_HEADS_AVX2_H

#include "kernels/x86/k_units.h"
#include "kernels/x86/rows8_avx2.h"

/* What a super-block of 8 rows has beside its steps. */
struct head {
    __m256 scale;
    __m256i scales[UNITS_MAX]; /* by sub-block, twice in the 16-bit halves of a lane */
    __m256i minimums[8];       /* pairs of 16-bit numbers, as sums_pairs() says */
    __m256 minimum_scale;
};

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

#endif
