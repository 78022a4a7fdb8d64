/* vector_ref.c - activations, norms, SwiGLU, rope in C: the definition of correct. */
#include <math.h>
#include <string.h>

#include "kernels/kernels_internal.h"

size_t weir_act_row_bytes(enum weir_act act, size_t cols)
{
    switch (act) {
    case WEIR_ACT_Q8_32:
        return cols / 32 * sizeof(struct weir_act_q8_32);
    case WEIR_ACT_Q8_256:
        return cols / 256 * sizeof(struct weir_act_q8_256);
    default:
        return cols * sizeof(float);
    }
}

/* The bits of an infinity; what is not a number has larger ones, its sign put away. */
enum { INFINITY_BITS = 0x7f800000 };

/* Of a value without its sign. Of two finite ones the larger has the larger bits, and an infinity
 * or what is not a number has larger ones than all of them. */
static uint32_t magnitude_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof(bits));
    return bits & 0x7fffffffu;
}

static void act_f32(const float *src, void *dst, size_t cols)
{
    memcpy(dst, src, cols * sizeof(*src));
}

/* The magnitude whose bits are the largest of count values. */
static float find_most(const float *x, size_t count)
{
    uint32_t bits = 0;
    float most;
    for (size_t i = 0; i < count; i++)
        bits = magnitude_bits(x[i]) > bits ? magnitude_bits(x[i]) : bits;
    memcpy(&most, &bits, sizeof(most));
    return most;
}

/* q = round(x * 127 / most); all levels compute exactly this, so their bits agree. */
static float quantize(const float *x, int8_t *q, size_t count)
{
    const struct weir_act_range range = weir_act_range_of(find_most(x, count));
    for (size_t i = 0; i < count; i++) {
        /* A subnormal maximum makes the inverse infinite: the products are then kept in range. */
        const float step = x[i] * range.inverse;
        q[i] = (int8_t)lrintf(step > 127.0f    ? 127.0f
                              : step < -127.0f ? -127.0f
                              : step == step   ? step
                                               : 0.0f);
    }
    return range.scale;
}

static void act_q8_32(const float *src, void *dst, size_t cols)
{
    struct weir_act_q8_32 *act = dst;
    for (size_t at = 0; at < cols / 32; at++, act++) {
        int sum = 0;
        act->scale = quantize(src + at * 32, act->q, 32);
        for (int i = 0; i < 32; i++)
            sum += act->q[i];
        act->sum = act->scale * (float)sum;
        act->offset = -128 * sum;
    }
}

static void act_q8_256(const float *src, void *dst, size_t cols)
{
    struct weir_act_q8_256 *act = dst;
    for (size_t at = 0; at < cols / 256; at++, act++) {
        act->scale = quantize(src + at * 256, act->q, 256);
        for (int j = 0; j < 16; j++) {
            int sum = 0;
            for (int i = 0; i < 16; i++)
                sum += act->q[j * 16 + i];
            act->half_sums[j] = (int16_t)sum;
            act->offsets[j] = -32 * sum;
            act->sums[j / 2] = (int16_t)(j % 2 == 0 ? sum : act->sums[j / 2] + sum);
        }
    }
}

static float rmsnorm(const float *x, const float *weight, float *y, size_t count, float epsilon)
{
    double squares = 0.0;
    for (size_t i = 0; i < count; i++)
        squares += (double)x[i] * (double)x[i];
    const float scale = (float)(1.0 / sqrt(squares / (double)count + (double)epsilon));
    for (size_t i = 0; i < count; i++)
        y[i] = x[i] * scale * weight[i];
    return scale;
}

static void axpy(float *y, const float *x, float scale, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const float product = scale * x[i];
        y[i] = y[i] + product;
    }
}

static void sigmoid_mul(float *x, const float *gate, size_t count)
{
    for (size_t i = 0; i < count; i++)
        /* Times 0 a finite gate is nothing, and an infinity what is not a number. */
        x[i] *= 1.0f / (1.0f + expf(-gate[i])) + 0.0f * gate[i];
}

void weir_softcap_ref(float *x, size_t count, float cap)
{
    for (size_t i = 0; i < count; i++)
        /* Times 0 a finite value is nothing, and an infinity what is not a number. */
        x[i] = cap * tanhf(x[i] / cap) + 0.0f * x[i];
}

static void to_f16(const float *src, uint16_t *dst, size_t count)
{
    for (size_t i = 0; i < count; i++)
        dst[i] = weir_f32_to_f16(src[i]);
}

void weir_kernels_init_ref(struct weir_kernels *kernels)
{
    weir_matmul_init_ref(kernels);
    weir_recurrent_init_ref(kernels);
    weir_codes_init_ref(kernels);
    kernels->quantize[WEIR_ACT_F32] = act_f32;
    kernels->quantize[WEIR_ACT_Q8_32] = act_q8_32;
    kernels->quantize[WEIR_ACT_Q8_256] = act_q8_256;
    kernels->rmsnorm = rmsnorm;
    weir_glu_init_ref(kernels);
    kernels->axpy = axpy;
    kernels->softcap = weir_softcap_ref;
    kernels->sigmoid_mul = sigmoid_mul;
    weir_attention_init_ref(kernels);
    kernels->to_f16 = to_f16;
    kernels->isa = "ref";
}

void weir_softmax(float *x, size_t count)
{
    float most = x[0];
    for (size_t i = 1; i < count; i++)
        most = x[i] > most ? x[i] : most;
    float sum = 0.0f;
    for (size_t i = 0; i < count; i++) {
        /* Times 0 a finite value is nothing, and minus infinity what is not a number. */
        x[i] = expf(x[i] - most) + 0.0f * x[i];
        sum += x[i];
    }
    const float inverse = 1.0f / sum;
    for (size_t i = 0; i < count; i++)
        x[i] *= inverse;
}

bool weir_all_finite(const float *x, size_t count)
{
    uint32_t is_bad = 0; /* no early end: so it needs no branch for each value */
    for (size_t i = 0; i < count; i++)
        is_bad |= magnitude_bits(x[i]) >= INFINITY_BITS;
    return is_bad == 0;
}

WEIR_INLINE void turn(float *a, float *b, float cosine, float sine)
{
    const float x = *a;
    const float y = *b;
    *a = x * cosine - y * sine;
    *b = x * sine + y * cosine;
}

void weir_rope(float *head, const float *restrict angles, size_t n_rot, bool interleaved)
{
    const size_t n_pair = n_rot / 2;
    const float *cosines = angles;
    const float *sines = angles + n_pair;
    float *second = head + n_pair;
    if (interleaved)
        for (size_t pair = 0; pair < n_pair; pair++)
            turn(&head[2 * pair], &head[2 * pair + 1], cosines[pair], sines[pair]);
    else
        for (size_t pair = 0; pair < n_pair; pair++)
            turn(&head[pair], &second[pair], cosines[pair], sines[pair]);
}
