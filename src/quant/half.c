/* half.c - 16-bit floats. */
#include <string.h>

#include "quant/quant.h"

static float from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static uint32_t to_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

float weir_f16_to_f32(uint16_t half)
{
    const uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    const uint32_t exponent = half >> 10 & 31;
    const uint32_t mantissa = half & 0x3ff;
    if (exponent == 31) /* infinity, or not a number, which becomes quiet */
        return from_bits(sign | 0x7f800000 | mantissa << 13 | (mantissa != 0 ? 0x400000 : 0));
    if (exponent != 0)
        return from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    /* Subnormal: mantissa * 2^-24, exact in f32. */
    const float magnitude = (float)mantissa * 0x1p-24f;
    return from_bits(sign | to_bits(magnitude));
}

/* value >> shift, rounded to nearest even. */
static uint32_t shift_even(uint32_t value, uint32_t shift)
{
    const uint32_t half = 1u << (shift - 1);
    const uint32_t odd = value >> shift & 1;
    return (value + half - 1 + odd) >> shift;
}

uint16_t weir_f32_to_f16(float value)
{
    const uint32_t bits = to_bits(value);
    const uint32_t sign = bits >> 16 & 0x8000;
    const uint32_t magnitude = bits & 0x7fffffff;
    if (magnitude > 0x7f800000) /* not a number: quiet, payload's top kept */
        return (uint16_t)(sign | 0x7e00 | (magnitude >> 13 & 0x3ff));
    if (magnitude >= 0x477ff000) /* rounds to 2^16 or more */
        return (uint16_t)(sign | 0x7c00);
    if (magnitude >= 0x38800000) /* normal: carry of the rounding goes into the exponent */
        return (uint16_t)(sign | shift_even(magnitude - 0x38000000, 13));
    const uint32_t exponent = magnitude >> 23;
    if (exponent < 102) /* below half of the smallest subnormal */
        return (uint16_t)sign;
    const uint32_t mantissa = (magnitude & 0x7fffff) | 0x800000;
    return (uint16_t)(sign | shift_even(mantissa, 126 - exponent));
}

float weir_bf16_to_f32(uint16_t bits)
{
    return from_bits((uint32_t)bits << 16);
}

uint16_t weir_f32_to_bf16(float value)
{
    const uint32_t bits = to_bits(value);
    if ((bits & 0x7fffffff) > 0x7f800000)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}
