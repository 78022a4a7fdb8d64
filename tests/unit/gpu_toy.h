/* gpu_toy.h - a simulated device for tests, and values in its memory. */
#ifndef WEIR_TESTS_GPU_TOY_H
#define WEIR_TESTS_GPU_TOY_H

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/base.h"
#include "gpu/gpu_ops.h"
#include "gpu/gpu_sim.h"

enum { TOY_BYTES = 4 << 20 };

struct gpu_toy {
    weir_gpu *gpu;
    struct weir_gpu_mem mem;
    uint64_t random;
};

static inline struct gpu_toy gpu_toy_open(struct weir_gpu_faults faults)
{
    const struct weir_gpu_config config = {
        .kind = WEIR_GPU_SIM, .memory_bytes = TOY_BYTES, .faults = faults};
    struct gpu_toy toy = {.random = 7};
    struct weir_err err = {0};
    if (weir_gpu_open(&toy.gpu, &config, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    toy.mem.gpu = toy.gpu;
    return toy;
}

static inline weir_gpu_address gpu_toy_take(struct gpu_toy *toy, uint64_t bytes)
{
    return weir_gpu_alloc(&toy->mem, WEIR_GPU_SCRATCH, bytes);
}

/* bytes in new device memory. */
static inline weir_gpu_address gpu_toy_put(struct gpu_toy *toy, const void *from, uint64_t bytes)
{
    const weir_gpu_address at = gpu_toy_take(toy, bytes);
    weir_gpu_copy_in(toy->gpu, WEIR_GPU_COMPUTE, at, from, bytes);
    assert_int_equal(weir_gpu_await_all(toy->gpu, NULL), WEIR_OK);
    return at;
}

static inline void gpu_toy_get(struct gpu_toy *toy, void *to, weir_gpu_address at, uint64_t bytes)
{
    weir_gpu_copy_out(toy->gpu, WEIR_GPU_COMPUTE, to, at, bytes);
    assert_int_equal(weir_gpu_await_all(toy->gpu, NULL), WEIR_OK);
}

static inline void gpu_toy_fill(struct gpu_toy *toy, float *x, size_t count)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(2.0 * weir_random_unit(&toy->random) - 1.0);
}

#endif
