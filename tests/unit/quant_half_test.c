/* quant_half_test.c - 16-bit floats against their definition. */
#include "quant_test.h"

#include <float.h>

/* IEEE 754 binary16 by its definition, for every half that is a number. */
static double half_value(uint16_t half)
{
    const int exponent = half >> 10 & 31;
    const int mantissa = half & 0x3ff;
    const double magnitude = exponent == 31  ? (double)INFINITY
                             : exponent == 0 ? ldexp(mantissa, -24)
                                             : ldexp(1024 + mantissa, exponent - 25);
    return half >> 15 != 0 ? -magnitude : magnitude;
}

static bool half_is_nan(uint16_t half)
{
    return (half & 0x7fff) > 0x7c00;
}

static void every_half_means_what_its_definition_says(void **state)
{
    (void)state;
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const uint16_t half = (uint16_t)bits;
        const float found = weir_f16_to_f32(half);
        if (half_is_nan(half)) {
            assert_true(isnan(found));
            assert_int_equal(bits_of(found) >> 31, half >> 15);
            assert_int_equal(weir_f32_to_f16(found), half | 0x200); /* quiet, payload kept */
            continue;
        }
        assert_int_equal(bits_of(found), bits_of((float)half_value(half)));
        assert_int_equal(weir_f32_to_f16(found), half);
    }
}

/* Rounding is monotone, so it is known everywhere once it is known at each boundary: the middle
 * between neighbours goes to the even one, the floats around it go to either side. */
static void floats_round_to_the_nearest_half(void **state)
{
    (void)state;
    for (uint32_t sign = 0; sign < 2; sign++)
        for (uint32_t at = 0; at < 0x7c00; at++) {
            const uint16_t low = (uint16_t)(at | sign << 15);
            const uint16_t high = (uint16_t)(low + 1);
            /* What would follow the largest finite half is 2^16. */
            const double beyond = sign == 0 ? 65536.0 : -65536.0;
            const double next = at == 0x7bff ? beyond : half_value(high);
            const float middle = (float)((half_value(low) + next) / 2.0);
            assert_int_equal(weir_f32_to_f16(middle), low % 2 == 0 ? low : high);
            assert_int_equal(weir_f32_to_f16(float_of(bits_of(middle) - 1)), low);
            assert_int_equal(weir_f32_to_f16(float_of(bits_of(middle) + 1)), high);
        }
    assert_int_equal(weir_f32_to_f16(FLT_MAX), 0x7c00);
    assert_int_equal(weir_f32_to_f16(-FLT_MAX), 0xfc00);
    assert_int_equal(weir_f32_to_f16(float_of(1)), 0);
    assert_int_equal(weir_f32_to_f16(float_of(0x80000001)), 0x8000);
    /* A payload that the shift would empty must not become infinity. */
    assert_true(half_is_nan(weir_f32_to_f16(float_of(0x7f800001))));
    assert_true(half_is_nan(weir_f32_to_f16(float_of(0xffffffff))));
}

static void check_bf16(uint32_t bits)
{
    const float value = float_of(bits);
    const uint16_t found = weir_f32_to_bf16(value);
    if (isnan(value)) {
        assert_true(isnan(weir_bf16_to_f32(found)));
        assert_int_equal(found >> 15, bits >> 31);
        return;
    }
    /* The two candidates as reals; what would follow the largest finite one is 2^128. */
    const uint16_t low = (uint16_t)(bits >> 16);
    const uint16_t high = (uint16_t)(low + 1);
    const double exact = fabs((double)value);
    const double below = fabs((double)float_of((uint32_t)low << 16));
    const double above =
        (low & 0x7fff) == 0x7f7f ? 0x1p128 : fabs((double)float_of((uint32_t)high << 16));
    const bool up = exact - below > above - exact || (exact - below == above - exact && low % 2);
    assert_int_equal(found, exact > below && up ? high : low);
}

static void floats_round_to_the_nearest_bf16(void **state)
{
    (void)state;
    static const uint32_t edges[] = {0,      1,      0x7fff,     0x8000,     0x8001,    0xffff,
                                     0x3f80, 0x7f7f, 0x7f7f8000, 0x7f7f7fff, 0x7f800000};
    for (uint32_t bits = 0; bits < 65536; bits++) {
        const float value = weir_bf16_to_f32((uint16_t)bits);
        assert_int_equal(bits_of(value), bits << 16);
        if (!isnan(value))
            assert_int_equal(weir_f32_to_bf16(value), bits);
        for (uint32_t low = 0x7fff; low <= 0x8001; low++)
            check_bf16(bits << 16 | low);
    }
    for (size_t at = 0; at < WEIR_COUNT(edges); at++) {
        check_bf16(edges[at]);
        check_bf16(edges[at] | 0x80000000);
    }
    check_bf16(0x7f800001); /* a payload that the shift would empty */
    check_bf16(0xffffffff);
    for (int round = 0; round < 1000000; round++)
        check_bf16((uint32_t)weir_random_next(&test_seed));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_half_means_what_its_definition_says),
        cmocka_unit_test(floats_round_to_the_nearest_half),
        cmocka_unit_test(floats_round_to_the_nearest_bf16),
    };
    return cmocka_run_group_tests(tests, choose_seed, NULL);
}
