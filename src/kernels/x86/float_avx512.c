/* float_avx512.c - float formats, activations, norms and SwiGLU on 512-bit registers. */
#include <immintrin.h>
#include <math.h>

#include "kernels/x86/lanes_avx512.h"
#include "kernels/x86/tile.h"

/* Two sums, of even and odd groups of 16; the tail goes to the first. */
#define DOTS(type, each_bytes)                                                                     \
    WEIR_INLINE void dots_##type(const uint8_t *w, const uint8_t *const *x, size_t cols,           \
                                 float *out, const int n)                                          \
    {                                                                                              \
        __m512 even[WEIR_TOKEN_TILE];                                                              \
        __m512 odd[WEIR_TOKEN_TILE];                                                               \
        for (int t = 0; t < n; t++)                                                                \
            even[t] = odd[t] = _mm512_setzero_ps();                                                \
        size_t i = 0;                                                                              \
        for (; i + 32 <= cols; i += 32) {                                                          \
            const __m512 w0 = load_##type(w + i * (each_bytes), 0xffff);                           \
            const __m512 w1 = load_##type(w + (i + 16) * (each_bytes), 0xffff);                    \
            for (int t = 0; t < n; t++) {                                                          \
                even[t] = _mm512_fmadd_ps(w0, _mm512_loadu_ps(x[t] + i * 4), even[t]);             \
                odd[t] = _mm512_fmadd_ps(w1, _mm512_loadu_ps(x[t] + (i + 16) * 4), odd[t]);        \
            }                                                                                      \
        }                                                                                          \
        for (; i < cols; i += 16) {                                                                \
            const __mmask16 mask = cols - i >= 16 ? 0xffff : tail_mask(cols - i);                  \
            const __m512 w0 = load_##type(w + i * (each_bytes), mask);                             \
            for (int t = 0; t < n; t++)                                                            \
                even[t] = _mm512_fmadd_ps(w0, _mm512_maskz_loadu_ps(mask, x[t] + i * 4), even[t]); \
        }                                                                                          \
        for (int t = 0; t < n; t++)                                                                \
            out[t] = _mm512_reduce_add_ps(_mm512_add_ps(even[t], odd[t]));                         \
    }                                                                                              \
    WEIR_MATMUL(type)
DOTS(f32, 4)
DOTS(f16, 2)
DOTS(bf16, 2)
#undef DOTS

/* Round(x * inverse) of 16 values as int32; as vector_ref.c's quantize, bit for bit. */
WEIR_INLINE __m512i to_steps(const float *x, __m512 inverse)
{
    __m512 step = _mm512_mul_ps(_mm512_loadu_ps(x), inverse);
    const __mmask16 number = _mm512_cmp_ps_mask(step, step, _CMP_ORD_Q);
    step = _mm512_min_ps(_mm512_max_ps(step, _mm512_set1_ps(-127.0f)), _mm512_set1_ps(127.0f));
    return _mm512_maskz_cvtps_epi32(number, step);
}

/* 16 values to 8-bit steps; returns their sum. */
WEIR_INLINE int store_steps(const float *x, int8_t *q, __m512 inverse)
{
    const __m512i steps = to_steps(x, inverse);
    _mm_storeu_si128((__m128i *)(void *)q, _mm512_cvtepi32_epi8(steps));
    return _mm512_reduce_add_epi32(steps);
}

/* By bits, as weir_act_range_of() wants it. */
WEIR_INLINE __m512i magnitude_max(__m512i most, const float *x)
{
    const __m512i bits = _mm512_loadu_si512(x);
    return _mm512_max_epi32(_mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff)), most);
}

WEIR_INLINE struct weir_act_range range_of(__m512i most)
{
    const __m256i eight =
        _mm256_max_epi32(_mm512_castsi512_si256(most), _mm512_extracti64x4_epi64(most, 1));
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256(eight, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return weir_act_range_of(_mm_cvtss_f32(_mm_castsi128_ps(four)));
}

static void act_q8_32(const float *src, void *dst, size_t cols)
{
    struct weir_act_q8_32 *act = dst;
    for (size_t at = 0; at < cols / 32; at++, act++, src += 32) {
        const struct weir_act_range range =
            range_of(magnitude_max(magnitude_max(_mm512_setzero_si512(), src), src + 16));
        const __m512 inverse = _mm512_set1_ps(range.inverse);
        const __m512i low = to_steps(src, inverse);
        const __m512i high = to_steps(src + 16, inverse);
        _mm_storeu_si128((__m128i *)(void *)act->q, _mm512_cvtepi32_epi8(low));
        _mm_storeu_si128((__m128i *)(void *)(act->q + 16), _mm512_cvtepi32_epi8(high));
        act->scale = range.scale;
        const int sum = _mm512_reduce_add_epi32(_mm512_add_epi32(low, high));
        act->sum = act->scale * (float)sum;
        act->offset = -128 * sum;
    }
}

static void act_q8_256(const float *src, void *dst, size_t cols)
{
    struct weir_act_q8_256 *act = dst;
    for (size_t at = 0; at < cols / 256; at++, act++, src += 256) {
        __m512i largest = _mm512_setzero_si512();
        for (int j = 0; j < 16; j++)
            largest = magnitude_max(largest, src + j * 16);
        const struct weir_act_range range = range_of(largest);
        const __m512 inverse = _mm512_set1_ps(range.inverse);
        act->scale = range.scale;
        for (int j = 0; j < 8; j++) {
            const int low = store_steps(src + j * 32, act->q + j * 32, inverse);
            const int high = store_steps(src + j * 32 + 16, act->q + j * 32 + 16, inverse);
            act->sums[j] = (int16_t)(low + high);
            act->half_sums[2 * j] = (int16_t)low;
            act->half_sums[2 * j + 1] = (int16_t)high;
            act->offsets[2 * j] = -32 * low;
            act->offsets[2 * j + 1] = -32 * high;
        }
    }
}

static float rmsnorm(const float *x, const float *weight, float *y, size_t count, float epsilon)
{
    __m512d even = _mm512_setzero_pd();
    __m512d odd = _mm512_setzero_pd();
    for (size_t i = 0; i < count; i += 16) {
        const __mmask16 mask = count - i >= 16 ? 0xffff : tail_mask(count - i);
        const __m512 value = _mm512_maskz_loadu_ps(mask, x + i);
        const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(value));
        const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(value, 1));
        even = _mm512_fmadd_pd(low, low, even);
        odd = _mm512_fmadd_pd(high, high, odd);
    }
    const double squares = _mm512_reduce_add_pd(_mm512_add_pd(even, odd));
    const float factor = (float)(1.0 / sqrt(squares / (double)count + (double)epsilon));
    const __m512 scale = _mm512_set1_ps(factor);
    for (size_t i = 0; i < count; i += 16) {
        const __mmask16 mask = count - i >= 16 ? 0xffff : tail_mask(count - i);
        const __m512 value = _mm512_mul_ps(_mm512_maskz_loadu_ps(mask, x + i), scale);
        _mm512_mask_storeu_ps(y + i, mask,
                              _mm512_mul_ps(value, _mm512_maskz_loadu_ps(mask, weight + i)));
    }
    return factor;
}

static void axpy(float *y, const float *x, float scale, size_t count)
{
    const __m512 s = _mm512_set1_ps(scale);
    for (size_t i = 0; i < count; i += 16) {
        const __mmask16 mask = count - i >= 16 ? 0xffff : tail_mask(count - i);
        const __m512 product = _mm512_mul_ps(s, _mm512_maskz_loadu_ps(mask, x + i));
        _mm512_mask_storeu_ps(y + i, mask,
                              _mm512_add_ps(_mm512_maskz_loadu_ps(mask, y + i), product));
    }
}

static void to_f16(const float *src, uint16_t *dst, size_t count)
{
    for (size_t i = 0; i < count; i += 16) {
        const __mmask16 mask = count - i >= 16 ? 0xffff : tail_mask(count - i);
        const __m512 value = _mm512_maskz_loadu_ps(mask, src + i);
        _mm256_mask_storeu_epi16(dst + i, mask, _mm512_cvtps_ph(value, _MM_FROUND_TO_NEAREST_INT));
    }
}

void weir_float_init_avx512(struct weir_kernels *kernels)
{
    kernels->matmul[WEIR_TYPE_F32] = matmul_f32;
    kernels->matmul[WEIR_TYPE_F16] = matmul_f16;
    kernels->matmul[WEIR_TYPE_BF16] = matmul_bf16;
    kernels->quantize[WEIR_ACT_Q8_32] = act_q8_32;
    kernels->quantize[WEIR_ACT_Q8_256] = act_q8_256;
    kernels->rmsnorm = rmsnorm;
    kernels->axpy = axpy;
    kernels->to_f16 = to_f16;
}
