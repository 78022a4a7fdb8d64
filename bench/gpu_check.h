/* gpu_check.h - what a check of an operation is. */
#ifndef WEIR_BENCH_GPU_CHECK_H
#define WEIR_BENCH_GPU_CHECK_H

#include "gpu_stage.h"

struct check {
    char name[64];
    void (*run)(struct stage *stage, const struct check *check, uint32_t n_row);
    enum weir_type type;
    enum weir_gpu_way way;
    uint32_t kind; /* what the check makes of it */
    bool is_tall;  /* so many rows that a device takes its longest tiles */
    uint32_t n_row;
    double bound;
};

static bool is_timed; /* set by the program */

/* Do it; when it is timed, often, and say how long one took. */
#define DO(stage, call)                                                                            \
    do {                                                                                           \
        call;                                                                                      \
        if (is_timed) {                                                                            \
            enum { TURNS = 50 };                                                                   \
            stage_await(stage);                                                                    \
            const uint64_t began_ns = weir_now_ns();                                               \
            for (int turn = 0; turn < TURNS; turn++)                                               \
                call;                                                                              \
            stage_await(stage);                                                                    \
            printf(" %9.1f us", (double)(weir_now_ns() - began_ns) / TURNS / 1e3);                 \
        }                                                                                          \
    } while (0)

static uint32_t size_of(uint32_t small, uint32_t large)
{
    return is_timed ? large : small;
}

static void set_workspace(struct stage *stage, uint32_t n_row, uint32_t n_assignment, uint32_t cols,
                          uint32_t n_expert)
{
    const uint64_t bytes = weir_gpu_workspace_bytes(n_row, n_assignment, cols, n_expert);
    weir_gpu_workspace_set(stage->gpu, stage_zeros(stage, bytes), bytes);
}

#endif
