/* iq2_iq3_avx512.h - super-blocks of IQ2 and IQ3 taken apart: sizes of a codebook, and signs. */
#ifndef WEIR_KERNELS_IQ2_IQ3_AVX512_H
#define WEIR_KERNELS_IQ2_IQ3_AVX512_H

#include "kernels/x86/grids_avx512.h"
#include "quant/grids.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"

WEIR_INLINE void unpack_iq2_xxs(const uint8_t *w, struct steps *out)
{
    const uint8_t *parts = w + offsetof(struct weir_iq2_xxs, parts);
    out->d = load_half(w) * 0.125f;
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        const uint8_t *a = parts + 16 * q;
        const uint16_t index[8] = {a[0], a[1], a[2], a[3], a[8], a[9], a[10], a[11]};
        out->steps[q] = eight_entries(weir_iq2_xxs_grid, index);
    }
    put_words(out, _mm512_cvtepi64_epi32(_mm512_srli_epi64(load_64(parts), 32)), 43);
}

WEIR_INLINE void unpack_iq2_xs(const uint8_t *w, struct steps *out)
{
    const __m512i both = load_64(w + offsetof(struct weir_iq2_xs, qs));
    uint64_t minus[4];
    _mm256_storeu_si256((__m256i *)(void *)minus,
                        even_signs(_mm512_cvtepi16_epi8(_mm512_srli_epi16(both, 9))));
    out->d = load_half(w) * 0.125f;
    put_entries(out, weir_iq2_xs_grid, _mm512_and_si512(both, _mm512_set1_epi16(511)));
    put_signs(out, minus, 43);
    put_scales(out, nibble_scales(load_8(w + offsetof(struct weir_iq2_xs, scales))), 43);
}

WEIR_INLINE void unpack_iq2_s(const uint8_t *w, struct steps *out)
{
    const __m512i low = _mm512_cvtepu8_epi16(load_32(w + offsetof(struct weir_iq2_s, qs)));
    const __m512i qh = _mm512_broadcastq_epi64(load_8(w + offsetof(struct weir_iq2_s, qh)));
    /* Part l of a register has bytes 2 l and 2 l + 1, each four times. */
    const __m512i at = _mm512_setr_epi64(
        (long long)0x8000800080008000, (long long)0x8001800180018001, (long long)0x8002800280028002,
        (long long)0x8003800380038003, (long long)0x8004800480048004, (long long)0x8005800580058005,
        (long long)0x8006800680068006, (long long)0x8007800780078007);
    const __m512i high =
        _mm512_sllv_epi16(_mm512_shuffle_epi8(qh, at), _mm512_set1_epi64(0x0002000400060008));
    uint64_t minus[4];
    memcpy(minus, w + offsetof(struct weir_iq2_s, signs), sizeof(minus));
    out->d = load_half(w) * 0.125f;
    put_entries(out, weir_iq2_s_grid,
                _mm512_or_si512(low, _mm512_and_si512(high, _mm512_set1_epi16(0x300))));
    put_signs(out, minus, 43);
    put_scales(out, nibble_scales(load_8(w + offsetof(struct weir_iq2_s, scales))), 43);
}

WEIR_INLINE __m512i gather_entries(const uint32_t *grid, __m512i index)
{
    return _mm512_i32gather_epi32(index, (const int *)(const void *)grid, 4);
}

/* gathers: by one instruction for sixteen entries, which some CPUs are slow at. */
WEIR_INLINE void unpack_iq3_xxs_by(const uint8_t *w, struct steps *out, const bool gathers)
{
    const uint8_t *qs = w + offsetof(struct weir_iq3_xxs, qs);
    out->d = load_half(w) * 0.25f;
#pragma GCC unroll 4
    for (int q = 0; q < 4; q++) {
        uint16_t index[16];
        for (int g = 0; g < 16; g++)
            index[g] = qs[16 * q + g];
        if (gathers)
            out->steps[q] =
                gather_entries(weir_iq3_xxs_grid, _mm512_cvtepu8_epi32(load_16(qs + 16 * q)));
        else
            out->steps[q] = sixteen_entries(weir_iq3_xxs_grid, index);
    }
    put_words(out, load_32(w + offsetof(struct weir_iq3_xxs, words)), 62);
}

/* The nibbles of four bytes as eight odd scales, a low nibble first. */
WEIR_INLINE __m128i iq3_s_scales(const uint8_t *bytes)
{
    return _mm256_castsi256_si128(nibble_scales(load_4(bytes)));
}

WEIR_INLINE void unpack_iq3_s_by(const uint8_t *w, struct steps *out, const bool gathers)
{
    const uint8_t *qs = w + offsetof(struct weir_iq3_s, qs);
    uint32_t high[2];
    uint64_t minus[4];
    memcpy(high, w + offsetof(struct weir_iq3_s, qh), sizeof(high));
    memcpy(minus, w + offsetof(struct weir_iq3_s, signs), sizeof(minus));
#pragma GCC unroll 2
    for (int half = 0; half < 2; half++) {
        const __m512i low = _mm512_cvtepu8_epi16(load_32(qs + 32 * half));
        const __m512i all = _mm512_mask_add_epi16(low, high[half], low, _mm512_set1_epi16(0x100));
        const __m256i some[2] = {_mm512_castsi512_si256(all), _mm512_extracti64x4_epi64(all, 1)};
        uint16_t index[32];
        _mm512_storeu_si512(index, all);
        for (int i = 0; i < 2; i++)
            out->steps[2 * half + i] =
                gathers ? gather_entries(weir_iq3_s_grid, _mm512_cvtepu16_epi32(some[i]))
                        : sixteen_entries(weir_iq3_s_grid, index + 16 * i);
    }
    out->d = load_half(w);
    put_signs(out, minus, 15);
    put_scales(out, twice(iq3_s_scales(w + offsetof(struct weir_iq3_s, scales))), 15);
}

WEIR_INLINE void unpack_iq3_xxs(const uint8_t *w, struct steps *out)
{
    unpack_iq3_xxs_by(w, out, false);
}

WEIR_INLINE void unpack_iq3_s(const uint8_t *w, struct steps *out)
{
    unpack_iq3_s_by(w, out, false);
}

#endif
