/* recurrent.c - how fast the gated delta rule is, beside how fast memory can be read and how fast
 * the CPU can multiply and add.
 *
 * Heads are divided among the threads as the model divides them. All levels take turns, and so do
 * the plain read of the same buffer and the multiply-adds from registers. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "kernels/kernels.h"
#include "ops_peak.h"
#include "sys/sys.h"

enum {
    D_HEAD = 128, /* of keys and of values */
    STATE_VALUES = D_HEAD * D_HEAD,
    POSITIONS = 16, /* as many as the model takes at once in a prompt */
    ROUNDS = 7,
    LEVEL_MAX = 4,
    BIG_BYTES = 512 << 20,
};
/* What a value of a state costs for each position: one multiplication and three multiply-adds. */
enum { OPS_OF_VALUE = 4 * 2 };
#define SAMPLE_NS 20e6

static const char help[] =
    "usage: recurrent [--threads N]\n"
    "\n"
    "How fast the gated delta rule is at each instruction set of this CPU, for heads of 128: one\n"
    "position (decode) over states that stream from memory, and 16 positions (a piece of a "
    "prompt)\n"
    "over states that stay in L2.\n"
    "\n"
    "  us        of a thread, for one head and position\n"
    "  GB/s      bytes of states read and written in a second, the median of 7 rounds\n"
    "  of read   GB/s divided by the median plain read of the same memory in these rounds\n"
    "  of peak   operations divided by what multiply-adds of floats do from registers\n";

struct bench {
    weir_pool *pool;
    uint32_t n_thread;
    float *states;
    uint64_t state_count;
    float *vectors; /* [POSITIONS][D_HEAD] of q, k, v, and for each thread of out */
    struct weir_delta_gate gate[POSITIONS];
};

struct job {
    const struct bench *bench;
    weir_delta_fn *delta;
    uint64_t first, count; /* of states, each thread's own where streams is not set */
    uint32_t n_position;
    bool streams;
};

static void run_state(const struct job *job, float *state, float *out)
{
    const float *vectors = job->bench->vectors;
    for (size_t first = 0; first < D_HEAD; first += WEIR_DELTA_COL_MAX) {
        const struct weir_delta delta = {
            .state = state + first * D_HEAD,
            .q = vectors,
            .k = vectors + POSITIONS * D_HEAD,
            .v = vectors + 2 * POSITIONS * D_HEAD + first,
            .out = out + first,
            .gate = job->bench->gate,
            .key_stride = D_HEAD,
            .v_stride = D_HEAD,
            .gate_stride = 1,
            .d_key = D_HEAD,
            .n_col = WEIR_DELTA_COL_MAX,
            .n_position = job->n_position,
        };
        job->delta(&delta);
    }
}

static void run_part(void *user, uint32_t part, uint32_t n_part)
{
    const struct job *job = user;
    const struct bench *bench = job->bench;
    float *out = bench->vectors + (3 + part) * POSITIONS * D_HEAD;
    for (uint64_t index = part; index < job->count; index += n_part) {
        const uint64_t at = job->streams ? (job->first + index) % bench->state_count : part;
        run_state(job, bench->states + at * STATE_VALUES, out);
    }
}

/* Of count states; returns ns. */
static uint64_t time_states(struct job *job, uint64_t count)
{
    job->count = count;
    const uint64_t start_ns = weir_now_ns();
    weir_pool_run(job->bench->pool, "delta", run_part, job);
    const uint64_t ns = weir_now_ns() - start_ns;
    job->first += count;
    return ns;
}

/* One line of the table. */
struct sample {
    const char *isa;
    unsigned flags;
    struct job job;
    uint64_t count;
    double rate[ROUNDS]; /* values of states and positions in a nanosecond */
};

static size_t list_samples(const struct bench *bench, struct sample *samples)
{
    static const unsigned masks[LEVEL_MAX] = {0, WEIR_CPU_AVX2, WEIR_CPU_AVX2 | WEIR_CPU_AVX512,
                                              WEIR_CPU_NEON_DOTPROD};
    size_t count = 0;
    for (size_t level = 0; level < LEVEL_MAX; level++) {
        struct weir_kernels kernels;
        if ((masks[level] & ~weir_cpu_flags()) != 0)
            continue;
        weir_kernels_init(&kernels, masks[level]);
        for (int streams = 1; streams >= 0; streams--)
            samples[count++] = (struct sample){
                .isa = kernels.isa,
                .flags = masks[level],
                .job = {.bench = bench,
                        .delta = kernels.delta,
                        .n_position = streams ? 1 : POSITIONS,
                        .streams = streams != 0},
            };
    }
    return count;
}

static void measure(struct bench *bench)
{
    struct sample samples[2 * LEVEL_MAX];
    double reads[ROUNDS];
    double peaks[2 * LEVEL_MAX] = {0};
    const size_t count = list_samples(bench, samples);
    for (size_t at = 0; at < count; at++) {
        const double one_ns = (double)time_states(&samples[at].job, bench->n_thread * 4) / 4.0;
        samples[at].count = weir_max(1, (uint64_t)(SAMPLE_NS / one_ns)) * bench->n_thread;
    }
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t ns = weir_sys_dram_read_ns(bench->pool, bench->states, BIG_BYTES);
        reads[round] = (double)BIG_BYTES / (double)ns;
        for (size_t at = 0; at < count; at++) {
            struct sample *sample = &samples[at];
            peaks[at] = fmax(peaks[at],
                             ops_peak_measure(bench->pool, bench->n_thread, sample->flags, true));
            const double values = (double)sample->count * STATE_VALUES * sample->job.n_position;
            sample->rate[round] = values / (double)time_states(&sample->job, sample->count);
        }
    }
    weir_sort_reals(reads, ROUNDS);
    printf("plain read %.1f GB/s\n\n%-12s %9s %-7s %7s %7s %8s %8s\n", reads[ROUNDS / 2], "level",
           "positions", "states", "us", "GB/s", "of read", "of peak");
    for (size_t at = 0; at < count; at++) {
        const struct sample *sample = &samples[at];
        weir_sort_reals(samples[at].rate, ROUNDS);
        const double rate = sample->rate[ROUNDS / 2];
        const double bytes = 2.0 * sizeof(float) * rate / sample->job.n_position;
        printf("%-12s %9u %-7s %7.2f %7.2f", sample->isa, sample->job.n_position,
               sample->job.streams ? "memory" : "L2",
               (double)STATE_VALUES / rate * bench->n_thread * 1e-3, bytes);
        if (sample->job.streams)
            printf(" %7.0f%%", 100.0 * bytes / reads[ROUNDS / 2]);
        else
            printf(" %8s", "-");
        if (peaks[at] > 0.0)
            printf(" %7.0f%%\n", 100.0 * OPS_OF_VALUE * rate / peaks[at]);
        else
            printf(" %8s\n", "-");
    }
}

static void lay_out(struct bench *bench, struct weir_mem *mem)
{
    bench->states = weir_mem_alloc(mem, WEIR_MEM_TRUNK, BIG_BYTES, 4096);
    bench->vectors = weir_mem_alloc(
        mem, WEIR_MEM_SCRATCH, (3 + bench->n_thread) * POSITIONS * D_HEAD * sizeof(float), 4096);
}

static void fill(struct bench *bench)
{
    uint64_t seed = 1;
    for (uint64_t at = 0; at < bench->state_count * STATE_VALUES; at++)
        bench->states[at] = (float)(at % 1021) * 1e-3f - 0.5f;
    for (size_t at = 0; at < 3 * POSITIONS * D_HEAD; at++)
        bench->vectors[at] = (float)(weir_random_unit(&seed) - 0.5) / 4.0f;
    for (size_t at = 0; at < POSITIONS; at++)
        bench->gate[at] = (struct weir_delta_gate){.decay = 0.9f, .beta = 0.5f, .overlap = 0.1f};
}

int main(int argc, char **argv)
{
    struct bench bench = {.n_thread = weir_sys_cpu_count(),
                          .state_count = BIG_BYTES / sizeof(float) / STATE_VALUES};
    struct weir_sys_machine machine;
    struct weir_mem mem;
    struct weir_err err = {0};
    if (argc == 3 && strcmp(argv[1], "--threads") == 0)
        bench.n_thread = (uint32_t)weir_min(strtoul(argv[2], NULL, 10), WEIR_THREAD_MAX);
    else if (argc != 1) {
        fputs(help, argc == 2 && strcmp(argv[1], "--help") == 0 ? stdout : stderr);
        return argc == 2 && strcmp(argv[1], "--help") == 0 ? EXIT_SUCCESS : 2;
    }
    bench.n_thread = weir_max(bench.n_thread, 1);
    weir_mem_init(&mem);
    lay_out(&bench, &mem);
    if (weir_mem_open(&mem, &err) != WEIR_OK ||
        weir_pool_create(&bench.pool, bench.n_thread, &err) != WEIR_OK) {
        fprintf(stderr, "recurrent: %s\n", err.text);
        weir_mem_close(&mem);
        return EXIT_FAILURE;
    }
    lay_out(&bench, &mem);
    fill(&bench);
    weir_sys_machine_get(&machine);
    printf("%s, %u CPUs, %u threads\n", machine.cpu_name, machine.n_cpu, bench.n_thread);
    measure(&bench);
    weir_pool_destroy(&bench.pool);
    weir_mem_close(&mem);
    return EXIT_SUCCESS;
}
