/* float_avx2.c - float formats, activations, norms and SwiGLU on 256-bit registers. */
#include <immintrin.h>
#include <math.h>
#include <string.h>

#include "kernels/x86/lanes_avx2.h"
#include "kernels/x86/tile.h"

/* Two sums, of even and odd groups of 8; the tail goes to the first. */
#define DOTS(type, each_bytes)                                                                     \
    WEIR_INLINE void dots_##type(const uint8_t *w, const uint8_t *const *x, size_t cols,           \
                                 float *out, const int n)                                          \
    {                                                                                              \
        __m256 even[WEIR_TOKEN_TILE];                                                              \
        __m256 odd[WEIR_TOKEN_TILE];                                                               \
        for (int t = 0; t < n; t++)                                                                \
            even[t] = odd[t] = _mm256_setzero_ps();                                                \
        size_t i = 0;                                                                              \
        for (; i + 16 <= cols; i += 16) {                                                          \
            const __m256 w0 = load_##type(w + i * (each_bytes), 8);                                \
            const __m256 w1 = load_##type(w + (i + 8) * (each_bytes), 8);                          \
            for (int t = 0; t < n; t++) {                                                          \
                even[t] = _mm256_fmadd_ps(w0, load_f32(x[t] + i * 4, 8), even[t]);                 \
                odd[t] = _mm256_fmadd_ps(w1, load_f32(x[t] + (i + 8) * 4, 8), odd[t]);             \
            }                                                                                      \
        }                                                                                          \
        for (; i < cols; i += 8) {                                                                 \
            const size_t left = cols - i;                                                          \
            const __m256 w0 = load_##type(w + i * (each_bytes), left);                             \
            for (int t = 0; t < n; t++)                                                            \
                even[t] = _mm256_fmadd_ps(w0, load_f32(x[t] + i * 4, left), even[t]);              \
        }                                                                                          \
        for (int t = 0; t < n; t++)                                                                \
            out[t] = sum_8(_mm256_add_ps(even[t], odd[t]));                                        \
    }                                                                                              \
    WEIR_MATMUL(type)
DOTS(f32, 4)
DOTS(f16, 2)
DOTS(bf16, 2)
#undef DOTS

/* By bits, as weir_act_range_of() wants it. */
WEIR_INLINE __m256i magnitude_max(__m256i most, const float *x)
{
    const __m256i bits = _mm256_loadu_si256((const __m256i *)(const void *)x);
    return _mm256_max_epi32(_mm256_and_si256(bits, _mm256_set1_epi32(0x7fffffff)), most);
}

WEIR_INLINE struct weir_act_range range_of(__m256i most)
{
    __m128i four = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 0xb1));
    return weir_act_range_of(_mm_cvtss_f32(_mm_castsi128_ps(four)));
}

/* Round(x * inverse) of 8 values as int32; as vector_ref.c's quantize, bit for bit. */
WEIR_INLINE __m256i to_steps(const float *x, __m256 inverse)
{
    __m256 step = _mm256_mul_ps(_mm256_loadu_ps(x), inverse);
    step = _mm256_and_ps(step, _mm256_cmp_ps(step, step, _CMP_ORD_Q));
    step = _mm256_min_ps(_mm256_max_ps(step, _mm256_set1_ps(-127.0f)), _mm256_set1_ps(127.0f));
    return _mm256_cvtps_epi32(step);
}

/* 16 values to 8-bit steps; returns their sum. */
WEIR_INLINE int store_steps(const float *x, int8_t *q, __m256 inverse)
{
    const __m256i low = to_steps(x, inverse);
    const __m256i high = to_steps(x + 8, inverse);
    const __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xd8);
    const __m128i bytes =
        _mm_packs_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    _mm_storeu_si128((__m128i *)(void *)q, bytes);
    const __m256i pairs = _mm256_madd_epi16(words, _mm256_set1_epi16(1));
    __m128i four = _mm_add_epi32(_mm256_castsi256_si128(pairs), _mm256_extracti128_si256(pairs, 1));
    four = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4e));
    return _mm_cvtsi128_si32(_mm_add_epi32(four, _mm_shuffle_epi32(four, 0xb1)));
}

static void act_q8_32(const float *src, void *dst, size_t cols)
{
    struct weir_act_q8_32 *act = dst;
    for (size_t at = 0; at < cols / 32; at++, act++, src += 32) {
        __m256i largest = _mm256_setzero_si256();
        for (int j = 0; j < 4; j++)
            largest = magnitude_max(largest, src + j * 8);
        const struct weir_act_range range = range_of(largest);
        const __m256 inverse = _mm256_set1_ps(range.inverse);
        const int sum =
            store_steps(src, act->q, inverse) + store_steps(src + 16, act->q + 16, inverse);
        act->scale = range.scale;
        act->sum = act->scale * (float)sum;
        act->offset = -128 * sum;
    }
}

static void act_q8_256(const float *src, void *dst, size_t cols)
{
    struct weir_act_q8_256 *act = dst;
    for (size_t at = 0; at < cols / 256; at++, act++, src += 256) {
        __m256i largest = _mm256_setzero_si256();
        for (int j = 0; j < 32; j++)
            largest = magnitude_max(largest, src + j * 8);
        const struct weir_act_range range = range_of(largest);
        const __m256 inverse = _mm256_set1_ps(range.inverse);
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
    __m256d even = _mm256_setzero_pd();
    __m256d odd = _mm256_setzero_pd();
    for (size_t i = 0; i < count; i += 8) {
        const __m256 value = count - i >= 8 ? _mm256_loadu_ps(x + i) : load_tail(x + i, count - i);
        const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(value));
        const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(value, 1));
        even = _mm256_fmadd_pd(low, low, even);
        odd = _mm256_fmadd_pd(high, high, odd);
    }
    double sums[4];
    _mm256_storeu_pd(sums, _mm256_add_pd(even, odd));
    const double squares = (sums[0] + sums[1]) + (sums[2] + sums[3]);
    const float factor = (float)(1.0 / sqrt(squares / (double)count + (double)epsilon));
    const __m256 scale = _mm256_set1_ps(factor);
    for (size_t i = 0; i < count; i += 8) {
        const __m256i mask = tail_mask(count - i >= 8 ? 8 : count - i);
        const __m256 value = _mm256_mul_ps(_mm256_maskload_ps(x + i, mask), scale);
        _mm256_maskstore_ps(y + i, mask,
                            _mm256_mul_ps(value, _mm256_maskload_ps(weight + i, mask)));
    }
    return factor;
}

static void axpy(float *y, const float *x, float scale, size_t count)
{
    const __m256 s = _mm256_set1_ps(scale);
    for (size_t i = 0; i < count; i += 8) {
        const __m256i mask = tail_mask(count - i >= 8 ? 8 : count - i);
        const __m256 product = _mm256_mul_ps(s, _mm256_maskload_ps(x + i, mask));
        _mm256_maskstore_ps(y + i, mask, _mm256_add_ps(_mm256_maskload_ps(y + i, mask), product));
    }
}

static void to_f16(const float *src, uint16_t *dst, size_t count)
{
    size_t i = 0;
    for (; i + 8 <= count; i += 8)
        _mm_storeu_si128((__m128i *)(void *)(dst + i),
                         _mm256_cvtps_ph(_mm256_loadu_ps(src + i), _MM_FROUND_TO_NEAREST_INT));
    if (i < count) {
        uint16_t halves[8];
        const __m128i last =
            _mm256_cvtps_ph(load_tail(src + i, count - i), _MM_FROUND_TO_NEAREST_INT);
        _mm_storeu_si128((__m128i *)(void *)halves, last);
        memcpy(dst + i, halves, (count - i) * sizeof(halves[0]));
    }
}

void weir_float_init_avx2(struct weir_kernels *kernels)
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
