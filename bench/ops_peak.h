/* ops_peak.h - how many operations a second a CPU's multiply-add instruction can do, the operands
 * being in registers: the ceiling of a prompt's matmul.
 *
 * Two operations for each product: for integers the instruction that multiplies bytes, for floats
 * the fused multiply-add. */
#ifndef WEIR_BENCH_OPS_PEAK_H
#define WEIR_BENCH_OPS_PEAK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernels.h"
#include "sys/sys.h"

struct ops_peak {
    unsigned flag; /* what the CPU must have, enum weir_cpu_flag */
    bool is_float;
    double ops_per_round;
    void (*run)(uint64_t rounds);
};

/* Eight or more independent chains hide the latency of every CPU at hand. */
#define OPS_PEAK_LOOP(name, features, instructions, ...)                                           \
    __attribute__((target(features))) static void name(uint64_t rounds)                            \
    {                                                                                              \
        for (uint64_t round = 0; round < rounds; round++)                                          \
            __asm__ volatile(instructions::: __VA_ARGS__);                                         \
    }

#if defined(__x86_64__)
#define OPS_PEAK_X86(name, features, op, r)                                                        \
    OPS_PEAK_LOOP(name, features,                                                                  \
                  op " %%" r "0, %%" r "0, %%" r "1\n\t" op " %%" r "0, %%" r "0, %%" r "2\n\t" op \
                     " %%" r "0, %%" r "0, %%" r "3\n\t" op " %%" r "0, %%" r "0, %%" r "4\n\t" op \
                     " %%" r "0, %%" r "0, %%" r "5\n\t" op " %%" r "0, %%" r "0, %%" r "6\n\t" op \
                     " %%" r "0, %%" r "0, %%" r "7\n\t" op " %%" r "0, %%" r "0, %%" r "8\n\t" op \
                     " %%" r "0, %%" r "0, %%" r "9\n\t" op " %%" r "0, %%" r "0, %%" r "10",      \
                  "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10")
OPS_PEAK_X86(ops_peak_maddubs, "avx2", "vpmaddubsw", "ymm")
OPS_PEAK_X86(ops_peak_fma256, "avx2,fma", "vfmadd231ps", "ymm")
OPS_PEAK_X86(ops_peak_fma512, "avx512f", "vfmadd231ps", "zmm")
OPS_PEAK_X86(ops_peak_dpbusd, "avx512f,avx512vnni", "vpdpbusd", "zmm")

static const struct ops_peak ops_peaks[] = {
    {WEIR_CPU_AVX512_VNNI, false, 10 * 128, ops_peak_dpbusd},
    {WEIR_CPU_AVX512, true, 10 * 32, ops_peak_fma512},
    {WEIR_CPU_AVX2, false, 10 * 64, ops_peak_maddubs},
    {WEIR_CPU_AVX2, true, 10 * 16, ops_peak_fma256},
};
#elif defined(__aarch64__)
#define OPS_PEAK_ARM(name, features, op, b)                                                        \
    OPS_PEAK_LOOP(name, features,                                                                  \
                  op " v1.4s, v0." b ", v0." b "\n\t" op " v2.4s, v0." b ", v0." b "\n\t" op       \
                     " v3.4s, v0." b ", v0." b "\n\t" op " v4.4s, v0." b ", v0." b "\n\t" op       \
                     " v5.4s, v0." b ", v0." b "\n\t" op " v6.4s, v0." b ", v0." b "\n\t" op       \
                     " v7.4s, v0." b ", v0." b "\n\t" op " v16.4s, v0." b ", v0." b "\n\t" op      \
                     " v17.4s, v0." b ", v0." b "\n\t" op " v18.4s, v0." b ", v0." b,              \
                  "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v16", "v17", "v18")
OPS_PEAK_ARM(ops_peak_sdot, "arch=armv8.2-a+dotprod", "sdot", "16b")
OPS_PEAK_ARM(ops_peak_fmla, "arch=armv8-a", "fmla", "4s")

static const struct ops_peak ops_peaks[] = {
    {WEIR_CPU_NEON_DOTPROD, false, 10 * 32, ops_peak_sdot},
    {WEIR_CPU_NEON_DOTPROD, true, 10 * 8, ops_peak_fmla},
};
#else
static const struct ops_peak ops_peaks[] = {{0, false, 0, NULL}};
#endif

/* What the best instruction of a level's flags does; NULL for the reference. */
static inline const struct ops_peak *ops_peak_find(unsigned flags, bool is_float)
{
    for (size_t at = 0; at < sizeof(ops_peaks) / sizeof(ops_peaks[0]); at++)
        if ((ops_peaks[at].flag & flags) != 0 && ops_peaks[at].is_float == is_float)
            return &ops_peaks[at];
    return NULL;
}

struct ops_peak_job {
    const struct ops_peak *peak;
    uint64_t rounds;
};

static void ops_peak_run(void *user, uint32_t part, uint32_t n_part)
{
    const struct ops_peak_job *job = user;
    (void)part;
    (void)n_part;
    job->peak->run(job->rounds);
}

/* Operations a nanosecond of all threads, timed for some 5 ms; 0 where nothing is known of the
 * level. */
static double ops_peak_measure(weir_pool *pool, uint32_t n_thread, unsigned flags, bool is_float)
{
    struct ops_peak_job job = {.peak = ops_peak_find(flags, is_float), .rounds = 1000};
    uint64_t ns = 0;
    if (job.peak == NULL)
        return 0.0;
    for (; ns < 5000000; job.rounds *= 2) {
        const uint64_t start_ns = weir_now_ns();
        weir_pool_run(pool, "peak", ops_peak_run, &job);
        ns = weir_now_ns() - start_ns;
    }
    return (double)job.rounds / 2.0 * job.peak->ops_per_round * n_thread / (double)ns;
}

#endif
