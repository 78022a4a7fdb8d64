/* kernels_test.h - what the kernel tests share: levels, guarded memory, seeded fills. */
#ifndef WEIR_TESTS_KERNELS_H
#define WEIR_TESTS_KERNELS_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <cmocka.h>

#include "base/base.h"
#include "kernels/kernels.h"

/* Every level this CPU has, the reference first. */
static const unsigned level_masks[] = {
    0,
    WEIR_CPU_AVX2,
    WEIR_CPU_AVX2 | WEIR_CPU_AVX512,
    WEIR_CPU_AVX2 | WEIR_CPU_AVX512 | WEIR_CPU_AVX512_VNNI,
    WEIR_CPU_AVX2 | WEIR_CPU_AVX512 | WEIR_CPU_AVX512_VNNI | WEIR_CPU_IN_ORDER,
    WEIR_CPU_NEON_DOTPROD,
};

/* False when the CPU lacks the level. */
static inline bool level_init(struct weir_kernels *kernels, size_t level)
{
    /* Every CPU can read in order, though not every one should. */
    if ((level_masks[level] & ~(weir_cpu_flags() | WEIR_CPU_IN_ORDER)) != 0)
        return false;
    weir_kernels_init(kernels, level_masks[level]);
    return true;
}

/* bytes that end exactly at an unreadable page, or begin exactly after one: one past either end is
 * a fault here, not a wrong answer on somebody else's machine. */
struct guarded {
    uint8_t *map;
    size_t map_bytes;
    uint8_t *start;
};

static inline struct guarded guarded_alloc(size_t bytes, bool at_end)
{
    const size_t page = 4096;
    struct guarded memory = {0};
    const size_t body = (bytes + page - 1) / page * page + page;
    memory.map_bytes = body + 2 * page;
    memory.map =
        mmap(NULL, memory.map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory.map != MAP_FAILED);
    assert_int_equal(mprotect(memory.map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(memory.map + page + body, page, PROT_NONE), 0);
    memory.start = at_end ? memory.map + page + body - bytes : memory.map + page;
    return memory;
}

static inline void guarded_free(struct guarded *memory)
{
    munmap(memory->map, memory->map_bytes);
}

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

enum fill { FILL_TINY, FILL_RANDOM, FILL_EXTREME, FILL_COUNT };

static inline float fill_value(enum fill fill)
{
    const double unit = 2.0 * weir_random_unit(&test_seed) - 1.0;
    switch (fill) {
    case FILL_TINY:
        return (float)(unit * 1e-6);
    case FILL_EXTREME:
        return (float)(weir_random_next(&test_seed) % 8 == 0 ? unit * 3e3 : unit * 1e-3);
    default:
        return (float)unit;
    }
}

static inline void fill_floats(float *x, size_t count, enum fill fill)
{
    for (size_t i = 0; i < count; i++)
        x[i] = fill_value(fill);
}

#endif
