/* iq2_iq3_avx2.h - super-blocks of IQ2 and IQ3 taken apart: sizes of a codebook, and signs. */
#ifndef WEIR_KERNELS_IQ2_IQ3_AVX2_H
#define WEIR_KERNELS_IQ2_IQ3_AVX2_H

#include <stddef.h>

#include "kernels/x86/grids_avx2.h"
#include "quant/grids.h"
#include "quant/iq2_s.h"
#include "quant/iq2_xs.h"
#include "quant/iq2_xxs.h"
#include "quant/iq3_s.h"
#include "quant/iq3_xxs.h"

WEIR_INLINE void unpack_iq2_xxs(const uint8_t *w, struct steps *out)
{
    const uint8_t *parts = w + offsetof(struct weir_iq2_xxs, parts);
    const __m256 first = _mm256_castsi256_ps(load_32(parts));
    const __m256 second = _mm256_castsi256_ps(load_32(parts + 32));
    const __m256i words = _mm256_castps_si256(_mm256_shuffle_ps(first, second, 0xdd));
    out->d = load_half(w) * 0.125f;
    for (int s = 0; s < 8; s++) {
        const uint8_t *index = parts + 8 * s;
        out->steps[s] = four_entries(weir_iq2_xxs_grid, index[0], index[1], index[2], index[3]);
    }
    put_words(out, _mm256_permute4x64_epi64(words, 0xd8), 43);
}

WEIR_INLINE void unpack_iq2_xs(const uint8_t *w, struct steps *out)
{
    const __m256i first = load_32(w + offsetof(struct weir_iq2_xs, qs));
    const __m256i second = load_32(w + offsetof(struct weir_iq2_xs, qs) + 32);
    const __m256i nine = _mm256_set1_epi16(511);
    const __m256i seven =
        _mm256_packus_epi16(_mm256_srli_epi16(first, 9), _mm256_srli_epi16(second, 9));
    uint16_t index[32];
    _mm256_storeu_si256((__m256i *)(void *)index, _mm256_and_si256(first, nine));
    _mm256_storeu_si256((__m256i *)(void *)(index + 16), _mm256_and_si256(second, nine));
    out->d = load_half(w) * 0.125f;
    for (int s = 0; s < 8; s++)
        out->steps[s] = entries_of_8(weir_iq2_xs_grid, index + 4 * s);
    put_signs(out, even_signs(_mm256_permute4x64_epi64(seven, 0xd8)), 43);
    put_nibble_scales(out, w + offsetof(struct weir_iq2_xs, scales), 43);
}

WEIR_INLINE void unpack_iq2_s(const uint8_t *w, struct steps *out)
{
    const __m256i qh = _mm256_broadcastq_epi64(load_8(w + offsetof(struct weir_iq2_s, qh)));
    const __m256i at =
        _mm256_setr_epi16(-32768, -32768, -32768, -32768, -32767, -32767, -32767, -32767, -32766,
                          -32766, -32766, -32766, -32765, -32765, -32765, -32765);
    const __m256i factors = _mm256_set1_epi64x(0x0004001000400100);
    uint16_t index[32];
    for (int half = 0; half < 2; half++) {
        const __m256i bytes =
            _mm256_shuffle_epi8(qh, _mm256_add_epi16(at, _mm256_set1_epi16((short)(4 * half))));
        store_indexes(
            index + 16 * half, w + offsetof(struct weir_iq2_s, qs) + 16 * half,
            _mm256_and_si256(_mm256_mullo_epi16(bytes, factors), _mm256_set1_epi16(0x300)));
    }
    out->d = load_half(w) * 0.125f;
    for (int s = 0; s < 8; s++)
        out->steps[s] = entries_of_8(weir_iq2_s_grid, index + 4 * s);
    put_signs(out, load_32(w + offsetof(struct weir_iq2_s, signs)), 43);
    put_nibble_scales(out, w + offsetof(struct weir_iq2_s, scales), 43);
}

WEIR_INLINE void unpack_iq3_xxs(const uint8_t *w, struct steps *out)
{
    const uint8_t *qs = w + offsetof(struct weir_iq3_xxs, qs);
    out->d = load_half(w) * 0.25f;
    for (int s = 0; s < 8; s++) {
        uint16_t index[8];
        for (int g = 0; g < 8; g++)
            index[g] = qs[8 * s + g];
        out->steps[s] = entries_of_4(weir_iq3_xxs_grid, index);
    }
    put_words(out, load_32(w + offsetof(struct weir_iq3_xxs, words)), 62);
}

WEIR_INLINE void unpack_iq3_s(const uint8_t *w, struct steps *out)
{
    const __m256i qh = _mm256_broadcastq_epi64(load_8(w + offsetof(struct weir_iq3_s, qh)));
    const __m256i bits = _mm256_broadcastsi128_si256(_mm_setr_epi16(1, 2, 4, 8, 16, 32, 64, 128));
    uint16_t index[64];
    for (int quarter = 0; quarter < 4; quarter++) {
        const __m256i at = _mm256_set_m128i(_mm_set1_epi16((short)(2 * quarter + 1 - 32768)),
                                            _mm_set1_epi16((short)(2 * quarter - 32768)));
        const __m256i is_set =
            _mm256_cmpeq_epi16(_mm256_and_si256(_mm256_shuffle_epi8(qh, at), bits), bits);
        store_indexes(index + 16 * quarter, w + offsetof(struct weir_iq3_s, qs) + 16 * quarter,
                      _mm256_and_si256(is_set, _mm256_set1_epi16(0x100)));
    }
    const __m128i both = load_4(w + offsetof(struct weir_iq3_s, scales));
    const __m128i four = _mm_set1_epi8(15);
    const __m128i scales = odd_scales(_mm_cvtepu8_epi16(_mm_unpacklo_epi8(
        _mm_and_si128(both, four), _mm_and_si128(_mm_srli_epi16(both, 4), four))));
    out->d = load_half(w);
    for (int s = 0; s < 8; s++)
        out->steps[s] = entries_of_4(weir_iq3_s_grid, index + 8 * s);
    put_signs(out, load_32(w + offsetof(struct weir_iq3_s, signs)), 15);
    put_scales(out, scales, scales, 15);
}

#endif
