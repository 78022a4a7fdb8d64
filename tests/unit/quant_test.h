/* quant_test.h - what the quant tests share: seeds, bits of floats. */
#ifndef WEIR_TESTS_QUANT_H
#define WEIR_TESTS_QUANT_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "quant/quant.h"

enum { ROW = 1024 }; /* values in the rows that these tests draw: whole blocks of any format */

static uint64_t test_seed;

/* Seeds come from WEIR_TEST_SEED, or are fixed; a failure prints the one in use. */
static inline int choose_seed(void **state)
{
    const char *text = getenv("WEIR_TEST_SEED");
    (void)state;
    test_seed = text == NULL ? 20240 : strtoull(text, NULL, 0);
    printf("WEIR_TEST_SEED=%llu\n", (unsigned long long)test_seed);
    return 0;
}

static inline uint32_t bits_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

static inline float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

#endif
