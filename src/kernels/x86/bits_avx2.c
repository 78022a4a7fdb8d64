/* bits_avx2.c - Q1_0, Q2_0 and NVFP4 on 256-bit registers: 32 values of a row at a time.
 *
 * I1  Eight sums of one output are kept side by side, each of every eighth group of four values,
 *     and added up at the end of the row: sum = fma(float(integer dot), weight scale * activation
 *     scale, sum), whatever the number of rows and tokens. */
#include "kernels/x86/lanes_avx2.h"
#include "kernels/x86/tile.h"
#include "quant/nvfp4.h"
#include "quant/q1_0.h"
#include "quant/q2_0.h"

WEIR_INLINE size_t block_bytes(const enum weir_type type)
{
    return type == WEIR_TYPE_NVFP4  ? sizeof(struct weir_nvfp4)
           : type == WEIR_TYPE_Q1_0 ? sizeof(struct weir_q1_0)
                                    : sizeof(struct weir_q2_0);
}

/* Groups of 32 values in a block. */
WEIR_INLINE size_t part_count(const enum weir_type type)
{
    return type == WEIR_TYPE_Q1_0 ? WEIR_Q1_0_LEN / 32 : WEIR_NVFP4_LEN / 32;
}

WEIR_INLINE __m256i load_8_twice(const uint8_t *bytes)
{
    return _mm256_broadcastsi128_si256(_mm_loadl_epi64((const __m128i *)(const void *)bytes));
}

/* 1 where a bit is set, else -1. */
WEIR_INLINE __m256i bit_steps(const uint8_t *qs)
{
    const __m256i at =
        _mm256_setr_epi64x(0, 0x0101010101010101, 0x0202020202020202, 0x0303030303030303);
    const __m256i bits = _mm256_set1_epi64x((long long)0x8040201008040201);
    int word;
    __builtin_memcpy(&word, qs, sizeof(word));
    const __m256i bytes = _mm256_shuffle_epi8(_mm256_set1_epi32(word), at);
    const __m256i is_clear =
        _mm256_cmpeq_epi8(_mm256_and_si256(bytes, bits), _mm256_setzero_si256());
    return _mm256_or_si256(is_clear, _mm256_set1_epi8(1));
}

/* A byte has four steps: it comes four times, the last two moved to their low nibble, and of each
 * pair one takes two bits, the other the two above. */
WEIR_INLINE __m256i two_bit_steps(const uint8_t *qs)
{
    const __m256i at = _mm256_setr_epi32(0x00000000, 0x01010101, 0x02020202, 0x03030303, 0x04040404,
                                         0x05050505, 0x06060606, 0x07070707);
    const __m256i bytes = _mm256_shuffle_epi8(load_8_twice(qs), at);
    const __m256i nibbles = _mm256_blend_epi16(bytes, _mm256_srli_epi16(bytes, 4), 0xaa);
    const __m256i low = _mm256_and_si256(nibbles, _mm256_set1_epi16(0x0003));
    const __m256i high = _mm256_and_si256(_mm256_srli_epi16(nibbles, 2), _mm256_set1_epi16(0x0300));
    return _mm256_sub_epi8(_mm256_or_si256(low, high), _mm256_set1_epi8(1));
}

/* Two sub-blocks, of which low nibbles are the first half. */
WEIR_INLINE __m256i float_steps(const uint8_t *qs)
{
    const __m128i table = _mm_loadu_si128((const __m128i *)(const void *)weir_mxfp4_steps);
    const __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)qs);
    const __m128i mask = _mm_set1_epi8(15);
    const __m128i low = _mm_shuffle_epi8(table, _mm_and_si128(bytes, mask));
    const __m128i high = _mm_shuffle_epi8(table, _mm_and_si128(_mm_srli_epi16(bytes, 4), mask));
    return _mm256_set_m128i(_mm_unpackhi_epi64(low, high), _mm_unpacklo_epi64(low, high));
}

/* weir_nvfp4_scale() of the two bytes, four times each. A float of these bits has the exponent's
 * bias 120 too low, and the scale is halved. */
WEIR_INLINE __m256 float_scales(const uint8_t *scales)
{
    const __m256i bits = _mm256_set_m128i(_mm_set1_epi32((scales[1] & 0x7f) << 20),
                                          _mm_set1_epi32((scales[0] & 0x7f) << 20));
    const __m256i is_bad = _mm256_cmpeq_epi32(bits, _mm256_set1_epi32(0x7f << 20));
    return _mm256_or_ps(_mm256_mul_ps(_mm256_castsi256_ps(bits), _mm256_set1_ps(0x1p119f)),
                        _mm256_castsi256_ps(is_bad));
}

WEIR_INLINE __m256i load_steps(const uint8_t *w, size_t part, const enum weir_type type)
{
    switch (type) {
    case WEIR_TYPE_Q1_0:
        return bit_steps(w + offsetof(struct weir_q1_0, qs) + 4 * part);
    case WEIR_TYPE_Q2_0:
        return two_bit_steps(w + offsetof(struct weir_q2_0, qs) + 8 * part);
    default:
        return float_steps(w + offsetof(struct weir_nvfp4, qs) + 16 * part);
    }
}

WEIR_INLINE __m256 load_scales(const uint8_t *w, size_t part, const enum weir_type type)
{
    uint16_t half;
    if (type == WEIR_TYPE_NVFP4)
        return float_scales(w + 2 * part);
    __builtin_memcpy(&half, w, sizeof(half));
    return _mm256_set1_ps(_cvtsh_ss(half));
}

WEIR_INLINE void dots(const uint8_t *w, const uint8_t *const *x, size_t cols, float *out,
                      const int n, const enum weir_type type)
{
    const __m256i one = _mm256_set1_epi16(1);
    __m256 sums[WEIR_TOKEN_TILE];
    for (int t = 0; t < n; t++)
        sums[t] = _mm256_setzero_ps();
    for (size_t at = 0; at < cols / 32; w += block_bytes(type))
        for (size_t part = 0; part < part_count(type); part++, at++) {
            const __m256i steps = load_steps(w, part, type);
            const __m256i sizes = _mm256_abs_epi8(steps);
            const __m256 scales = load_scales(w, part, type);
            for (int t = 0; t < n; t++) {
                const struct weir_act_q8_32 *act = (const void *)x[t];
                const __m256i q = _mm256_loadu_si256((const __m256i *)(const void *)act[at].q);
                const __m256i pairs = _mm256_maddubs_epi16(sizes, _mm256_sign_epi8(q, steps));
                sums[t] =
                    _mm256_fmadd_ps(_mm256_cvtepi32_ps(_mm256_madd_epi16(pairs, one)),
                                    _mm256_mul_ps(scales, _mm256_set1_ps(act[at].scale)), sums[t]);
            }
        }
    for (int t = 0; t < n; t++)
        out[t] = sum_8(sums[t]);
}

#define DOTS(name, type)                                                                           \
    WEIR_INLINE void dots_##name(const uint8_t *w, const uint8_t *const *x, size_t cols,           \
                                 float *out, const int n)                                          \
    {                                                                                              \
        dots(w, x, cols, out, n, type);                                                            \
    }                                                                                              \
    WEIR_MATMUL(name)
DOTS(nvfp4, WEIR_TYPE_NVFP4)
DOTS(q1_0, WEIR_TYPE_Q1_0)
DOTS(q2_0, WEIR_TYPE_Q2_0)
#undef DOTS

void weir_bits_init_avx2(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_NVFP4] = matmul_nvfp4;
    kernels->matmul[WEIR_TYPE_Q1_0] = matmul_q1_0;
    kernels->matmul[WEIR_TYPE_Q2_0] = matmul_q2_0;
}
