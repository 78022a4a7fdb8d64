/* iq1_tq_avx2.h - super-blocks of IQ1, TQ1_0 and TQ2_0 taken apart: steps of -1, 0 and 1. */
#ifndef WEIR_KERNELS_IQ1_TQ_AVX2_H
#define WEIR_KERNELS_IQ1_TQ_AVX2_H

#include <stddef.h>

#include "kernels/x86/grids_avx2.h"
#include "quant/grids.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

/* Entries are 8 too large, and a delta is 1 or -1: 9 are taken off entries with 2 or 0 added. */
WEIR_INLINE void unpack_iq1_s(const uint8_t *w, struct steps *out)
{
    const __m128i qh = load_16(w + offsetof(struct weir_iq1_s, qh));
    const __m256i both = _mm256_broadcastsi128_si256(qh);
    const __m256i factors = _mm256_set1_epi64x(0x0010008004002000);
    const __m256i at = _mm256_setr_epi64x(0x0100010001000100, 0x0302030203020302,
                                          0x0504050405040504, 0x0706070607060706);
    const __m256i deltas = _mm256_andnot_si256(_mm256_srai_epi16(both, 15), _mm256_set1_epi8(2));
    const __m128i scales = odd_scales(_mm_and_si128(_mm_srli_epi16(qh, 12), _mm_set1_epi16(7)));
    uint16_t index[32];
    for (int half = 0; half < 2; half++) {
        const __m256i words =
            _mm256_shuffle_epi8(both, _mm256_add_epi8(at, _mm256_set1_epi8((char)(8 * half))));
        const __m256i high = _mm256_srli_epi16(_mm256_mullo_epi16(words, factors), 5);
        store_indexes(index + 16 * half, w + offsetof(struct weir_iq1_s, qs) + 16 * half,
                      _mm256_and_si256(high, _mm256_set1_epi16(0x700)));
    }
    out->d = load_half(w) * 0.125f;
    for (int s = 0; s < 8; s++)
        out->steps[s] =
            _mm256_add_epi8(entries_of_8(weir_iq1_grid, index + 4 * s), spread_number(deltas, s));
    put_scales(out, scales, scales, 9);
}

WEIR_INLINE void unpack_iq1_m(const uint8_t *w, struct steps *out)
{
    const __m256i qh = _mm256_broadcastsi128_si256(load_16(w + offsetof(struct weir_iq1_m, qh)));
    const __m256i factors = _mm256_set1_epi32(0x00100100);
    const __m256i delta_bits = _mm256_set1_epi32(0x00800008);
    const __m256i at =
        _mm256_setr_epi16(-32768, -32768, -32767, -32767, -32766, -32766, -32765, -32765, -32764,
                          -32764, -32763, -32763, -32762, -32762, -32761, -32761);
    __m256i is_plus[2];
    uint16_t index[32];
    uint16_t scales[4];
    for (int half = 0; half < 2; half++) {
        const __m256i bytes =
            _mm256_shuffle_epi8(qh, _mm256_add_epi16(at, _mm256_set1_epi16((short)(8 * half))));
        is_plus[half] =
            _mm256_cmpeq_epi16(_mm256_and_si256(bytes, delta_bits), _mm256_setzero_si256());
        store_indexes(
            index + 16 * half, w + offsetof(struct weir_iq1_m, qs) + 16 * half,
            _mm256_and_si256(_mm256_mullo_epi16(bytes, factors), _mm256_set1_epi16(0x700)));
    }
    const __m256i packed = _mm256_packs_epi16(is_plus[0], is_plus[1]);
    const __m256i deltas =
        _mm256_and_si256(_mm256_permute4x64_epi64(packed, 0xd8), _mm256_set1_epi8(2));
    const __m256i first = _mm256_permute2x128_si256(deltas, deltas, 0x00);
    const __m256i second = _mm256_permute2x128_si256(deltas, deltas, 0x11);
    for (int s = 0; s < 8; s++)
        out->steps[s] = _mm256_add_epi8(entries_of_8(weir_iq1_grid, index + 4 * s),
                                        spread_bytes(s < 4 ? first : second, s % 4));
    __builtin_memcpy(scales, w + offsetof(struct weir_iq1_m, scales), sizeof(scales));
    out->d = _cvtsh_ss(weir_iq1_m_d(scales)) * 0.125f;
    const __m128i words = load_8(w + offsetof(struct weir_iq1_m, scales));
    const __m128i twice = _mm_unpacklo_epi16(words, words);
    const __m128i even = _mm_srli_epi16(_mm_mullo_epi16(twice, _mm_set1_epi32(0x00802000)), 13);
    const __m128i odd = _mm_srli_epi16(_mm_mullo_epi16(twice, _mm_set1_epi32(0x00100400)), 13);
    put_scales(out, odd_scales(even), odd_scales(odd), 9);
}

/* The digit to the base 3 that a byte begins with, as a fraction of 256. */
WEIR_INLINE __m256i first_digit(__m256i bytes)
{
    const __m256i one = _mm256_set1_epi8(86);
    const __m256i two = _mm256_set1_epi8((char)171);
    const __m256i past_one = _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, one), bytes);
    const __m256i past_two = _mm256_cmpeq_epi8(_mm256_max_epu8(bytes, two), bytes);
    return _mm256_sub_epi8(_mm256_setzero_si256(), _mm256_add_epi8(past_one, past_two));
}

WEIR_INLINE __m256i times_3(__m256i bytes)
{
    return _mm256_add_epi8(bytes, _mm256_add_epi8(bytes, bytes));
}

/* The last 16 values: 4 bytes, and these times 3, 9 and 27. */
WEIR_INLINE __m128i last_bytes(const uint8_t *qh)
{
    const __m256i bytes = _mm256_cvtepu8_epi16(_mm_broadcastd_epi32(load_4(qh)));
    const __m256i powers = _mm256_setr_epi64x(0x0001000100010001, 0x0003000300030003,
                                              0x0009000900090009, 0x001b001b001b001b);
    const __m256i low = _mm256_and_si256(_mm256_mullo_epi16(bytes, powers), _mm256_set1_epi16(255));
    return _mm_packus_epi16(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
}

WEIR_INLINE void unpack_tq1_0(const uint8_t *w, struct steps *out)
{
    const __m128i one = _mm_set1_epi16(1);
    __m256i bytes = load_32(w + offsetof(struct weir_tq1_0, qs));
    __m256i after = _mm256_broadcastsi128_si256(load_16(w + offsetof(struct weir_tq1_0, qs) + 32));
    out->d = load_half(w + offsetof(struct weir_tq1_0, d));
    for (int s = 0; s < 5; s++) {
        out->steps[s] = first_digit(bytes);
        bytes = times_3(bytes);
    }
    after = _mm256_blend_epi32(after, times_3(after), 0xf0);
    out->steps[5] = first_digit(after);
    after = times_3(times_3(after));
    out->steps[6] = first_digit(after);
    after = times_3(times_3(after));
    out->steps[7] = first_digit(
        _mm256_inserti128_si256(after, last_bytes(w + offsetof(struct weir_tq1_0, qh)), 1));
    put_scales(out, one, one, 1);
}

WEIR_INLINE void unpack_tq2_0(const uint8_t *w, struct steps *out)
{
    const __m128i one = _mm_set1_epi16(1);
    out->d = load_half(w + offsetof(struct weir_tq2_0, d));
    for (int s = 0; s < 8; s++) {
        const __m256i bytes = load_32(w + 32 * (s / 4));
        const __m256i moved = _mm256_srl_epi16(bytes, _mm_cvtsi32_si128(s % 4 * 2));
        out->steps[s] = _mm256_and_si256(moved, _mm256_set1_epi8(3));
    }
    put_scales(out, one, one, 1);
}

#endif
