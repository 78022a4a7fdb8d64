/* iq1_tq_avx512.h - super-blocks of IQ1, TQ1_0 and TQ2_0 taken apart: steps of -1, 0 and 1. */
#ifndef WEIR_KERNELS_IQ1_TQ_AVX512_H
#define WEIR_KERNELS_IQ1_TQ_AVX512_H

#include "kernels/x86/grids_avx512.h"
#include "quant/grids.h"
#include "quant/iq1_m.h"
#include "quant/iq1_s.h"
#include "quant/tq1_0.h"
#include "quant/tq2_0.h"

/* Entries are 8 too large. A sub-block's delta of 1 or -1 comes with what is taken off for that. */
WEIR_INLINE void unpack_iq1_s(const uint8_t *w, struct steps *out)
{
    const __m128i qh = load_16(w + offsetof(struct weir_iq1_s, qh));
    const __m128i scales = odd_scales(_mm_and_si128(_mm_srli_epi16(qh, 12), _mm_set1_epi16(7)));
    const __m128i is_minus = _mm_srai_epi16(qh, 15);
    const __m128i factors = _mm_add_epi16(_mm_set1_epi16(-7), _mm_add_epi16(is_minus, is_minus));
    /* Part l of a register has numbers 2 l and 2 l + 1, each four times. */
    const __m512i at = _mm512_setr_epi64(0x0100010001000100, 0x0302030203020302, 0x0504050405040504,
                                         0x0706070607060706, 0x0908090809080908, 0x0b0a0b0a0b0a0b0a,
                                         0x0d0c0d0c0d0c0d0c, 0x0f0e0f0e0f0e0f0e);
    const __m512i words = _mm512_shuffle_epi8(_mm512_broadcast_i32x4(qh), at);
    const __m512i high =
        _mm512_srli_epi16(_mm512_sllv_epi16(words, _mm512_set1_epi64(0x00040007000a000d)), 5);
    const __m512i low = _mm512_cvtepu8_epi16(load_32(w + offsetof(struct weir_iq1_s, qs)));
    out->d = load_half(w) * 0.125f;
    put_entries(out, weir_iq1_grid,
                _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi16(0x700))));
    out->scales = twice(scales);
    out->below = twice(_mm_mullo_epi16(scales, factors));
}

/* Each entry has its delta: 9 are taken off entries with 2 or 0 added. */
WEIR_INLINE void unpack_iq1_m(const uint8_t *w, struct steps *out)
{
    const __m128i qh = load_16(w + offsetof(struct weir_iq1_m, qh));
    const __m512i words = _mm512_cvtepu8_epi16(
        _mm256_set_m128i(_mm_unpackhi_epi8(qh, qh), _mm_unpacklo_epi8(qh, qh)));
    const __m512i high = _mm512_sllv_epi16(words, _mm512_set1_epi32(0x00040008));
    const __mmask32 is_plus = _mm512_testn_epi16_mask(words, _mm512_set1_epi32(0x00800008));
    const __m512i low = _mm512_cvtepu8_epi16(load_32(w + offsetof(struct weir_iq1_m, qs)));
    const __m512i two = _mm512_set1_epi8(2);
    put_entries(out, weir_iq1_grid,
                _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi16(0x700))));
    for (int q = 0; q < 4; q++)
        out->steps[q] =
            _mm512_mask_add_epi64(out->steps[q], (__mmask8)(is_plus >> 8 * q), out->steps[q], two);
    uint16_t numbers[4];
    memcpy(numbers, w + offsetof(struct weir_iq1_m, scales), sizeof(numbers));
    out->d = _cvtsh_ss(weir_iq1_m_d(numbers)) * 0.125f;
    const __m256i each = _mm256_shuffle_epi8(
        _mm256_broadcastq_epi64(load_8(w + offsetof(struct weir_iq1_m, scales))),
        _mm256_setr_epi64x(0x0100010001000100, 0x0302030203020302, 0x0504050405040504,
                           0x0706070607060706));
    const __m256i bits = _mm256_and_si256(
        _mm256_srlv_epi16(each, _mm256_set1_epi64x(0x0009000600030000)), _mm256_set1_epi16(7));
    put_scales(out, _mm256_or_si256(_mm256_add_epi16(bits, bits), _mm256_set1_epi16(1)), 9);
}

/* The digit to the base 3 that a byte begins with, as a fraction of 256. */
WEIR_INLINE __m512i first_digit(__m512i bytes)
{
    const __m512i one = _mm512_set1_epi8(1);
    const __mmask64 past_one = _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8(86));
    const __mmask64 past_two = _mm512_cmpge_epu8_mask(bytes, _mm512_set1_epi8((char)171));
    const __m512i digit = _mm512_maskz_mov_epi8(past_one, one);
    return _mm512_mask_add_epi8(digit, past_two, digit, one);
}

WEIR_INLINE __m512i times_3(__m512i bytes)
{
    return _mm512_add_epi8(bytes, _mm512_add_epi8(bytes, bytes));
}

/* The last 16 values: 4 bytes, and these times 3, 9 and 27. */
WEIR_INLINE __m128i last_bytes(const uint8_t *qh)
{
    const __m256i bytes = _mm256_cvtepu8_epi16(_mm_broadcastd_epi32(load_4(qh)));
    const __m256i powers = _mm256_setr_epi64x(0x0001000100010001, 0x0003000300030003,
                                              0x0009000900090009, 0x001b001b001b001b);
    return _mm256_cvtepi16_epi8(_mm256_mullo_epi16(bytes, powers));
}

WEIR_INLINE void unpack_tq1_0(const uint8_t *w, struct steps *out)
{
    const __m512i first = _mm512_castsi256_si512(load_32(w + offsetof(struct weir_tq1_0, qs)));
    const __m128i second = load_16(w + offsetof(struct weir_tq1_0, qs) + 32);
    const __m512i four = _mm512_broadcast_i32x4(second);
    /* A register has its bytes' values before and after a multiplication; the next two digits come
     * of times 9. */
    __m512i bytes = _mm512_shuffle_i64x2(first, times_3(first), 0x44);
    const __m512i three = times_3(four);
    const __m512i nine = times_3(three);
    __m512i after = _mm512_mask_mov_epi64(four, 0x0c, three);
    after = _mm512_mask_mov_epi64(after, 0x30, nine);
    after = _mm512_mask_mov_epi64(after, 0xc0, times_3(nine));
    out->d = load_half(w + offsetof(struct weir_tq1_0, d));
    for (int q = 0; q < 2; q++) {
        out->steps[q] = first_digit(bytes);
        bytes = times_3(times_3(bytes));
    }
    /* The fifth digit of the 32 bytes; then the 16 bytes' five digits and the last values. */
    const __m512i fifth = _mm512_shuffle_i64x2(bytes, after, 0x44);
    const __m512i ends =
        _mm512_shuffle_i64x2(after,
                             _mm512_inserti32x4(times_3(times_3(nine)),
                                                last_bytes(w + offsetof(struct weir_tq1_0, qh)), 1),
                             0x4e);
    out->steps[2] = first_digit(fifth);
    out->steps[3] = first_digit(ends);
    put_scales(out, _mm256_set1_epi16(1), 1);
}

WEIR_INLINE void unpack_tq2_0(const uint8_t *w, struct steps *out)
{
    const __m512i three = _mm512_set1_epi8(3);
    const __m512i first = pair_of(_mm256_setzero_si256(), _mm256_set1_epi16(2));
    const __m512i second = _mm512_add_epi16(first, _mm512_set1_epi16(4));
    out->d = load_half(w + offsetof(struct weir_tq2_0, d));
    for (int half = 0; half < 2; half++) {
        const __m512i bytes = _mm512_broadcast_i64x4(load_32(w + 32 * half));
        out->steps[2 * half] = _mm512_and_si512(_mm512_srlv_epi16(bytes, first), three);
        out->steps[2 * half + 1] = _mm512_and_si512(_mm512_srlv_epi16(bytes, second), three);
    }
    put_scales(out, _mm256_set1_epi16(1), 1);
}

#endif
