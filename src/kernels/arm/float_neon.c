/* float_neon.c - float formats, activations, norms and SwiGLU on 128-bit registers. */
#include <arm_neon.h>
#include <math.h>
#include <string.h>

#include "kernels/kernels_internal.h"

/* Tokens that share a row's registers, and those whose activations stay in the second-level cache
 * while all rows of a part pass. */
enum { TOKEN_TILE = 4, TOKEN_BLOCK = 32 };

/* Eight values. */
struct eight {
    float32x4_t low;
    float32x4_t high;
};

WEIR_INLINE struct eight load_8(const uint8_t *at, const enum weir_type type)
{
    const uint8x16_t bytes = vld1q_u8(at);
    if (type == WEIR_TYPE_F32)
        return (struct eight){vreinterpretq_f32_u8(bytes), vreinterpretq_f32_u8(vld1q_u8(at + 16))};
    if (type == WEIR_TYPE_F16) {
        const float16x8_t halves = vreinterpretq_f16_u8(bytes);
        return (struct eight){vcvt_f32_f16(vget_low_f16(halves)), vcvt_high_f32_f16(halves)};
    }
    const uint16x8_t halves = vreinterpretq_u16_u8(bytes);
    return (struct eight){vreinterpretq_f32_u32(vshll_n_u16(vget_low_u16(halves), 16)),
                          vreinterpretq_f32_u32(vshll_high_n_u16(halves, 16))};
}

/* The first count of eight values; those past them read as zero. */
WEIR_INLINE struct eight load_tail(const uint8_t *at, size_t count, const enum weir_type type)
{
    uint8_t bytes[32] = {0};
    memcpy(bytes, at, count * (type == WEIR_TYPE_F32 ? sizeof(float) : sizeof(uint16_t)));
    return load_8(bytes, type);
}

/* out[t] = the dot product of a row with token t's, t in [0, n). Two sums, of the lower and upper
 * four of each eight, whatever n is. */
WEIR_INLINE void dots(const uint8_t *w, const uint8_t *const *x, size_t cols, float *out,
                      const int n, const enum weir_type type)
{
    const size_t value_bytes = type == WEIR_TYPE_F32 ? sizeof(float) : sizeof(uint16_t);
    struct eight sums[TOKEN_TILE];
    for (int t = 0; t < n; t++)
        sums[t] = (struct eight){vdupq_n_f32(0.0f), vdupq_n_f32(0.0f)};
    for (size_t i = 0; i < cols; i += 8) {
        const size_t left = cols - i;
        const uint8_t *at = w + i * value_bytes;
        const struct eight a = left >= 8 ? load_8(at, type) : load_tail(at, left, type);
        for (int t = 0; t < n; t++) {
            const uint8_t *b_at = x[t] + i * sizeof(float);
            const struct eight b =
                left >= 8 ? load_8(b_at, WEIR_TYPE_F32) : load_tail(b_at, left, WEIR_TYPE_F32);
            sums[t].low = vfmaq_f32(sums[t].low, a.low, b.low);
            sums[t].high = vfmaq_f32(sums[t].high, a.high, b.high);
        }
    }
    for (int t = 0; t < n; t++)
        out[t] = vaddvq_f32(vaddq_f32(sums[t].low, sums[t].high));
}

/* Rows times tokens [first, first + count). */
WEIR_INLINE void run_tokens(const struct weir_matmul *job, size_t first, size_t count,
                            const enum weir_type type)
{
    for (size_t row = job->row_begin; row < job->row_end; row++) {
        const uint8_t *w = (const uint8_t *)job->w + row * job->w_row_bytes;
        size_t token = first;
        for (; token + TOKEN_TILE <= first + count; token += TOKEN_TILE) {
            const uint8_t *x[TOKEN_TILE];
            float out[TOKEN_TILE];
            for (size_t t = 0; t < TOKEN_TILE; t++)
                x[t] = (const uint8_t *)job->x + (token + t) * job->x_row_bytes;
            dots(w, x, job->cols, out, TOKEN_TILE, type);
            for (size_t t = 0; t < TOKEN_TILE; t++)
                job->y[(token + t) * job->y_stride + row] = out[t];
        }
        for (; token < first + count; token++) {
            const uint8_t *x = (const uint8_t *)job->x + token * job->x_row_bytes;
            dots(w, &x, job->cols, &job->y[token * job->y_stride + row], 1, type);
        }
    }
}

#define MATMUL(name, type)                                                                         \
    static void matmul_##name(const struct weir_matmul *job)                                       \
    {                                                                                              \
        for (size_t first = 0; first < job->n_token; first += TOKEN_BLOCK) {                       \
            const size_t left = job->n_token - first;                                              \
            run_tokens(job, first, left < TOKEN_BLOCK ? left : TOKEN_BLOCK, type);                 \
        }                                                                                          \
    }
MATMUL(f32, WEIR_TYPE_F32)
MATMUL(f16, WEIR_TYPE_F16)
MATMUL(bf16, WEIR_TYPE_BF16)
#undef MATMUL

/* How count values are quantized, a multiple of 4. */
WEIR_INLINE struct weir_act_range range_of(const float *x, size_t count)
{
    uint32x4_t most = vdupq_n_u32(0);
    for (size_t i = 0; i < count; i += 4)
        most = vmaxq_u32(most, vreinterpretq_u32_f32(vabsq_f32(vld1q_f32(x + i))));
    const uint32_t bits = vmaxvq_u32(most);
    float largest;
    memcpy(&largest, &bits, sizeof(largest));
    return weir_act_range_of(largest);
}

/* Round(x * inverse) of 4 values; as vector_ref.c's quantize, bit for bit: minimum, maximum and
 * conversion keep what is not a number, and the conversion makes it 0. */
WEIR_INLINE int32x4_t to_steps(const float *x, float inverse)
{
    const float32x4_t step = vmulq_n_f32(vld1q_f32(x), inverse);
    return vcvtnq_s32_f32(vminq_f32(vmaxq_f32(step, vdupq_n_f32(-127.0f)), vdupq_n_f32(127.0f)));
}

/* 16 values to 8-bit steps; returns their sum. */
WEIR_INLINE int store_steps(const float *x, int8_t *q, float inverse)
{
    const int16x8_t low =
        vcombine_s16(vmovn_s32(to_steps(x, inverse)), vmovn_s32(to_steps(x + 4, inverse)));
    const int16x8_t high =
        vcombine_s16(vmovn_s32(to_steps(x + 8, inverse)), vmovn_s32(to_steps(x + 12, inverse)));
    const int8x16_t steps = vcombine_s8(vmovn_s16(low), vmovn_s16(high));
    vst1q_s8(q, steps);
    return vaddlvq_s8(steps);
}

static void act_q8_32(const float *src, void *dst, size_t cols)
{
    struct weir_act_q8_32 *act = dst;
    for (size_t at = 0; at < cols / 32; at++, act++, src += 32) {
        const struct weir_act_range range = range_of(src, 32);
        const int sum = store_steps(src, act->q, range.inverse) +
                        store_steps(src + 16, act->q + 16, range.inverse);
        act->scale = range.scale;
        act->sum = act->scale * (float)sum;
        act->offset = -128 * sum;
    }
}

static void act_q8_256(const float *src, void *dst, size_t cols)
{
    struct weir_act_q8_256 *act = dst;
    for (size_t at = 0; at < cols / 256; at++, act++, src += 256) {
        const struct weir_act_range range = range_of(src, 256);
        act->scale = range.scale;
        for (int j = 0; j < 8; j++) {
            const int low = store_steps(src + j * 32, act->q + j * 32, range.inverse);
            const int high = store_steps(src + j * 32 + 16, act->q + j * 32 + 16, range.inverse);
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
    float64x2_t even = vdupq_n_f64(0.0);
    float64x2_t odd = vdupq_n_f64(0.0);
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float32x4_t value = vld1q_f32(x + i);
        const float64x2_t low = vcvt_f64_f32(vget_low_f32(value));
        const float64x2_t high = vcvt_high_f64_f32(value);
        even = vfmaq_f64(even, low, low);
        odd = vfmaq_f64(odd, high, high);
    }
    double squares = vaddvq_f64(vaddq_f64(even, odd));
    for (; i < count; i++)
        squares += (double)x[i] * (double)x[i];
    const float scale = (float)(1.0 / sqrt(squares / (double)count + (double)epsilon));
    for (i = 0; i + 4 <= count; i += 4)
        vst1q_f32(y + i, vmulq_f32(vmulq_n_f32(vld1q_f32(x + i), scale), vld1q_f32(weight + i)));
    for (; i < count; i++)
        y[i] = x[i] * scale * weight[i];
    return scale;
}

static void axpy(float *y, const float *x, float scale, size_t count)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const float32x4_t product = vmulq_n_f32(vld1q_f32(x + i), scale);
        vst1q_f32(y + i, vaddq_f32(vld1q_f32(y + i), product));
    }
    for (; i < count; i++) {
        const float product = scale * x[i];
        y[i] = y[i] + product;
    }
}

static void to_f16(const float *src, uint16_t *dst, size_t count)
{
    size_t i = 0;
    for (; i + 4 <= count; i += 4)
        vst1_u16(dst + i, vreinterpret_u16_f16(vcvt_f16_f32(vld1q_f32(src + i))));
    for (; i < count; i++)
        dst[i] = weir_f32_to_f16(src[i]);
}

void weir_float_init_neon(struct weir_kernels *kernels)
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
