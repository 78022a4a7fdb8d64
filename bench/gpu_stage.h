/* gpu_stage.h - operands in a device's memory, drawn by a seed: the same on every device. */
#ifndef WEIR_BENCH_GPU_STAGE_H
#define WEIR_BENCH_GPU_STAGE_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "gpu/gpu_ops.h"

enum {
    STAGE_PIECES = 64,
    STAGE_GAP = 256,   /* bytes behind every piece, that nobody may write */
    STAGE_MARK = 0xa5, /* ... what is there */
};
#define STAGE_BYTES (512ull << 20)
#define STAGE_OUT_MAX (8u << 20)

/* One device, and what a check has put on it. */
struct stage {
    const char *name;
    weir_gpu *gpu;
    weir_gpu_address start;
    uint64_t used_bytes;
    uint64_t gaps[STAGE_PIECES]; /* offsets */
    uint32_t piece_count;
    uint64_t seed;
    uint64_t random; /* begins anew for each piece: the first rows of one are the same, however
                      * many there are */
    float *out;      /* what the check keeps, [STAGE_OUT_MAX] */
    size_t out_count;
    size_t out_row; /* values that are judged together; 0: all */
};

static inline void stage_fail(const char *what, const struct weir_err *err)
{
    fprintf(stderr, "gpu_check: %s: %s\n", what, err->text);
    exit(1);
}

static inline void stage_open(struct stage *stage, enum weir_gpu_kind kind)
{
    const struct weir_gpu_config config = {.kind = kind, .memory_bytes = STAGE_BYTES};
    struct weir_gpu_mem mem = {0};
    struct weir_err err = {0};
    *stage = (struct stage){.name = kind == WEIR_GPU_SIM ? "simulated" : "CUDA"};
    if (weir_gpu_open(&stage->gpu, &config, &err) != WEIR_OK)
        stage_fail(stage->name, &err);
    mem.gpu = stage->gpu;
    stage->start = weir_gpu_alloc(&mem, WEIR_GPU_SCRATCH, STAGE_BYTES);
    stage->out = malloc(STAGE_OUT_MAX * sizeof(float));
    if (stage->out == NULL)
        exit(1);
}

static inline void stage_await(struct stage *stage)
{
    struct weir_err err = {0};
    if (weir_gpu_await_all(stage->gpu, &err) != WEIR_OK)
        stage_fail(stage->name, &err);
}

static inline void stage_begin(struct stage *stage, uint64_t seed)
{
    stage->used_bytes = 0;
    stage->piece_count = 0;
    stage->random = stage->seed = seed;
    stage->out_count = stage->out_row = 0;
}

static inline weir_gpu_address stage_put(struct stage *stage, const void *from, uint64_t bytes)
{
    static uint8_t marks[2 * STAGE_GAP];
    const weir_gpu_address at = stage->start + stage->used_bytes;
    const uint64_t padded = weir_align_up(bytes, WEIR_GPU_ALIGN);
    memset(marks, STAGE_MARK, sizeof(marks));
    WEIR_ASSERT(stage->used_bytes + padded + STAGE_GAP <= STAGE_BYTES);
    WEIR_ASSERT(stage->piece_count < STAGE_PIECES);
    weir_gpu_copy_in(stage->gpu, WEIR_GPU_COMPUTE, at, from, bytes);
    weir_gpu_copy_in(stage->gpu, WEIR_GPU_COMPUTE, at + bytes, marks, padded - bytes + STAGE_GAP);
    stage_await(stage);
    stage->gaps[stage->piece_count++] = stage->used_bytes + bytes;
    stage->used_bytes += padded + STAGE_GAP;
    stage->random = stage->seed + stage->piece_count;
    return at;
}

/* Nothing wrote behind a piece. */
static inline bool stage_is_tidy(struct stage *stage)
{
    for (uint32_t piece = 0; piece < stage->piece_count; piece++) {
        uint8_t gap[STAGE_GAP];
        weir_gpu_copy_out(stage->gpu, WEIR_GPU_COMPUTE, gap, stage->start + stage->gaps[piece],
                          sizeof(gap));
        stage_await(stage);
        for (int at = 0; at < STAGE_GAP; at++)
            if (gap[at] != STAGE_MARK)
                return false;
    }
    return true;
}

static inline void *stage_host(size_t bytes)
{
    void *memory = calloc(1, bytes + 1);
    if (memory == NULL)
        exit(1);
    return memory;
}

static inline float stage_draw(struct stage *stage)
{
    return (float)(2.0 * weir_random_unit(&stage->random) - 1.0);
}

/* count values in (-size, size). */
static inline weir_gpu_address stage_floats(struct stage *stage, size_t count, float size)
{
    float *values = stage_host(count * sizeof(float));
    for (size_t at = 0; at < count; at++)
        values[at] = size * stage_draw(stage);
    const weir_gpu_address place = stage_put(stage, values, count * sizeof(float));
    free(values);
    return place;
}

static inline weir_gpu_address stage_zeros(struct stage *stage, size_t bytes)
{
    void *zeros = stage_host(bytes);
    const weir_gpu_address place = stage_put(stage, zeros, bytes);
    free(zeros);
    return place;
}

/* What a check is judged by: count values, `row` of them together. */
static inline void stage_keep(struct stage *stage, weir_gpu_address at, size_t count, size_t row)
{
    WEIR_ASSERT(stage->out_count + count <= STAGE_OUT_MAX);
    weir_gpu_copy_out(stage->gpu, WEIR_GPU_COMPUTE, stage->out + stage->out_count, at,
                      count * sizeof(float));
    stage_await(stage);
    stage->out_count += count;
    stage->out_row = row;
}

/* The same of whole numbers. */
static inline void stage_keep_numbers(struct stage *stage, weir_gpu_address at, size_t count)
{
    uint32_t *numbers = stage_host(count * sizeof(*numbers));
    weir_gpu_copy_out(stage->gpu, WEIR_GPU_COMPUTE, numbers, at, count * sizeof(*numbers));
    stage_await(stage);
    for (size_t index = 0; index < count; index++)
        stage->out[stage->out_count++] = (float)numbers[index];
    free(numbers);
}

#endif
