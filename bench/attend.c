/* attend.c - how fast attention is, beside how fast memory can be read and how fast the CPU can
 * multiply.
 *
 * Of each shape: a token's heads, which read keys and values that no cache holds, and a head of
 * tokens that follow each other, for which those of one thread stay in its cache. All levels take
 * turns, and so does the plain read of the same memory.
 */
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
    POSITIONS = 4096,       /* of a token's heads */
    PROMPT_POSITIONS = 256, /* half a prompt of 512 */
    ROUNDS = 7,
    LEVEL_MAX = 5,
    D_MAX = 576,
};
#define KEYS_BYTES (256ull << 20)
#define SAMPLE_NS 20e6 /* what a sample should last */

static const char help[] =
    "usage: attend [--threads N] [--kv FORMAT]\n"
    "\n"
    "How fast attention is at each instruction set of this CPU.\n"
    "\n"
    "  --threads N     threads that compute (default: all CPUs)\n"
    "  --kv FORMAT     what keys and values are kept as (default: f16); of tiles all are packed\n"
    "\n"
    "  jobs      queries that a thread computes together\n"
    "  GB/s      bytes of keys and values read in a second, each counted once for all jobs; the\n"
    "            median of 7 rounds\n"
    "  GFLOP/s   two operations for each value of a key, and of a value, and job\n"
    "  of read   GB/s divided by the median plain read of the same memory in these rounds\n"
    "  of peak   GFLOP/s divided by what the level's multiply-add of floats does from registers\n"
    "\n"
    "  Gvalue/s  values of keys and values read in a second\n"
    "\n"
    "example: build/release/bench/attend --threads 1\n";

/* Heads of models that are about. */
static const struct shape {
    const char *name;
    uint32_t d_head, d_value;
    uint32_t job_count; /* of a token: query heads that share keys */
    bool is_latent;     /* values are the first part of keys, one row for all threads */
} shapes[] = {
    {"8 heads share 128", 128, 128, 4, false},  {"each its own 128", 128, 128, 1, false},
    {"latent 512 + 64", 576, 512, 10, true},    {"the same, 16 together", 576, 512, 16, true},
    {"the same, expanded", 256, 256, 1, false},
};

static const unsigned level_flags[LEVEL_MAX] = {
    0, WEIR_CPU_AVX2, WEIR_CPU_AVX2 | WEIR_CPU_AVX512,
    WEIR_CPU_AVX2 | WEIR_CPU_AVX512 | WEIR_CPU_AVX512_VNNI, WEIR_CPU_NEON_DOTPROD};

struct bench {
    weir_pool *pool;
    uint32_t n_thread;
    enum weir_kv kv;
    uint8_t *keys;
    float *q, *out; /* [n_thread][WEIR_ATTENTION_MAX][D_MAX] */
    uint32_t pages[1];
};

struct sample {
    const struct shape *shape;
    bool is_prompt;
    struct weir_kernels kernels;
    unsigned flags;
    uint64_t count; /* of calls */
    double ns[ROUNDS];
};

struct run {
    struct bench *bench;
    const struct sample *sample;
};

static size_t row_values(const struct shape *shape)
{
    return shape->is_latent ? shape->d_head : (size_t)shape->d_head + shape->d_value;
}

static size_t row_bytes(const struct bench *bench, const struct shape *shape)
{
    return weir_kv_row_bytes(bench->kv, row_values(shape));
}

static uint32_t job_count(const struct sample *sample)
{
    return !sample->is_prompt         ? sample->shape->job_count
           : sample->shape->is_latent ? WEIR_ATTENTION_MAX
                                      : 4;
}

static uint32_t position_count(const struct sample *sample)
{
    return sample->is_prompt ? PROMPT_POSITIONS : POSITIONS;
}

/* Which keys a thread's call reads: of a token other ones each time, and all threads' are in one
 * row of memory; where all heads share them, all threads read the same. */
static size_t keys_at(const struct run *run, uint32_t part, uint64_t call)
{
    const struct sample *sample = run->sample;
    const size_t bytes = row_bytes(run->bench, sample->shape) * position_count(sample);
    const uint64_t places = KEYS_BYTES / bytes;
    const uint64_t each = call * run->bench->n_thread + part;
    if (sample->is_prompt)
        return part * bytes;
    return (sample->shape->is_latent ? call : each) % places * bytes;
}

static void run_part(void *user, uint32_t part, uint32_t n_part)
{
    const struct run *run = user;
    struct bench *bench = run->bench;
    const struct shape *shape = run->sample->shape;
    const uint32_t count = job_count(run->sample);
    const size_t k_bytes = weir_kv_row_bytes(bench->kv, shape->d_head);
    const bool is_packed = weir_kv_info(bench->kv)->bits > 0;
    struct weir_attention jobs[WEIR_ATTENTION_MAX];
    (void)n_part;
    for (uint64_t call = 0; call < run->sample->count; call++) {
        const uint8_t *keys = bench->keys + keys_at(run, part, call);
        const uint8_t *values =
            shape->is_latent ? keys : keys + k_bytes * position_count(run->sample);
        for (uint32_t at = 0; at < count; at++) {
            const size_t place = ((size_t)part * WEIR_ATTENTION_MAX + at) * D_MAX;
            jobs[at] = (struct weir_attention){
                .q = bench->q + place,
                .k = keys,
                .v = values,
                .packed_k = keys,
                .packed_v = values,
                .pages = bench->pages,
                .k_row_bytes = k_bytes,
                .v_row_bytes =
                    shape->is_latent ? k_bytes : weir_kv_row_bytes(bench->kv, shape->d_value),
                .page_length = position_count(run->sample),
                .d_head = shape->d_head,
                .d_value = shape->d_value,
                .n_position = position_count(run->sample),
                .packed_end = is_packed ? position_count(run->sample) : 0,
                .scale = 0.05f,
                .out = bench->out + place,
            };
        }
        run->sample->kernels.attention[bench->kv](jobs, count);
    }
}

static double time_sample(struct bench *bench, const struct sample *sample)
{
    struct run run = {bench, sample};
    const uint64_t start_ns = weir_now_ns();
    weir_pool_run(bench->pool, "attend", run_part, &run);
    return (double)(weir_now_ns() - start_ns);
}

static void choose_count(struct bench *bench, struct sample *sample)
{
    sample->count = 1;
    time_sample(bench, sample);
    sample->count = 2;
    const double one_ns = time_sample(bench, sample) / 2.0;
    sample->count = weir_max(1, (uint64_t)(SAMPLE_NS / one_ns));
}

/* The levels of this CPU whose attention is not the level's before. */
static size_t list_samples(const struct shape *shape, bool is_prompt, struct sample *samples)
{
    const unsigned found = weir_cpu_flags();
    weir_attention_fn *before = NULL;
    size_t count = 0;
    for (size_t level = 0; level < LEVEL_MAX; level++) {
        struct sample sample = {
            .shape = shape, .is_prompt = is_prompt, .flags = level_flags[level]};
        if ((level_flags[level] & ~found) != 0)
            continue;
        weir_kernels_init(&sample.kernels, level_flags[level]);
        if (sample.kernels.attention[WEIR_KV_F16] == before)
            continue;
        before = sample.kernels.attention[WEIR_KV_F16];
        samples[count++] = sample;
    }
    return count;
}

static void print_sample(const struct bench *bench, struct sample *sample, double read, double peak)
{
    const struct shape *shape = sample->shape;
    weir_sort_reals(sample->ns, ROUNDS);
    const double ns = sample->ns[ROUNDS / 2] / (double)sample->count;
    const double positions = position_count(sample);
    const double streams = shape->is_latent && !sample->is_prompt ? 1.0 : bench->n_thread;
    const double bytes = positions * (double)row_bytes(bench, shape) * streams;
    const double values = positions * (double)row_values(shape) * streams;
    const double flops =
        2.0 * positions * (shape->d_head + shape->d_value) * job_count(sample) * bench->n_thread;
    printf("%-22s %-7s %-12s %4u %8.2f %8.2f %9.1f", shape->name,
           sample->is_prompt ? "prompt" : "token", sample->kernels.isa, job_count(sample),
           bytes / ns, values / ns, flops / ns);
    if (sample->is_prompt)
        printf(" %9s", "-");
    else
        printf(" %8.0f%%", 100.0 * bytes / ns / read);
    if (peak > 0.0)
        printf(" %8.0f%%\n", 100.0 * flops / ns / peak);
    else
        printf(" %9s\n", "-");
}

static void measure_shape(struct bench *bench, const struct shape *shape, bool is_prompt)
{
    struct sample samples[LEVEL_MAX];
    const size_t count = list_samples(shape, is_prompt, samples);
    double reads[ROUNDS];
    double peaks[LEVEL_MAX] = {0};
    for (size_t at = 0; at < count; at++)
        choose_count(bench, &samples[at]);
    for (int round = 0; round < ROUNDS; round++) {
        reads[round] = (double)KEYS_BYTES /
                       (double)weir_sys_dram_read_ns(bench->pool, bench->keys, KEYS_BYTES);
        for (size_t at = 0; at < count; at++) {
            peaks[at] = fmax(
                peaks[at], ops_peak_measure(bench->pool, bench->n_thread, samples[at].flags, true));
            samples[at].ns[round] = time_sample(bench, &samples[at]);
        }
    }
    weir_sort_reals(reads, ROUNDS);
    for (size_t at = 0; at < count; at++)
        print_sample(bench, &samples[at], reads[ROUNDS / 2], peaks[at]);
    fflush(stdout);
}

static void lay_out(struct bench *bench, struct weir_mem *mem)
{
    const uint64_t values = (uint64_t)bench->n_thread * WEIR_ATTENTION_MAX * D_MAX;
    bench->keys = weir_mem_alloc(mem, WEIR_MEM_KV, KEYS_BYTES, 4096);
    bench->q = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, values * sizeof(float), 64);
    bench->out = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, values * sizeof(float), 64);
}

/* Halves of 0.15 or so, as which scales are read too; all steps and codes are there. */
static void fill(struct bench *bench)
{
    enum { PATTERN = 131072 };
    uint64_t seed = 1;
    for (size_t at = 0; at < KEYS_BYTES; at++)
        bench->keys[at] = at >= PATTERN ? bench->keys[at - PATTERN]
                          : at % 2 == 1 ? 0x30
                                        : (uint8_t)weir_random_next(&seed);
    for (size_t at = 0; at < (size_t)bench->n_thread * WEIR_ATTENTION_MAX * D_MAX; at++)
        bench->q[at] = (float)(weir_random_unit(&seed) - 0.5);
}

static int measure(uint32_t n_thread, enum weir_kv kv)
{
    struct bench bench = {.n_thread = n_thread, .kv = kv};
    struct weir_mem mem;
    struct weir_err err = {0};
    weir_mem_init(&mem);
    lay_out(&bench, &mem);
    if (weir_mem_open(&mem, &err) != WEIR_OK ||
        weir_pool_create(&bench.pool, n_thread, &err) != WEIR_OK) {
        fprintf(stderr, "attend: %s\n", err.text);
        weir_mem_close(&mem);
        return EXIT_FAILURE;
    }
    lay_out(&bench, &mem);
    fill(&bench);
    printf("%-22s %-7s %-12s %4s %8s %8s %9s %9s %9s\n", "heads", "of", "level", "jobs", "GB/s",
           "Gvalue/s", "GFLOP/s", "of read", "of peak");
    for (size_t shape = 0; shape < WEIR_COUNT(shapes); shape++)
        for (int is_prompt = 0; is_prompt < 2; is_prompt++)
            if (!shapes[shape].is_latent || weir_kv_info(kv)->bits == 0)
                measure_shape(&bench, &shapes[shape], is_prompt != 0);
    weir_pool_destroy(&bench.pool);
    weir_mem_close(&mem);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    uint32_t n_thread = weir_sys_cpu_count();
    enum weir_kv kv = WEIR_KV_F16;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return EXIT_SUCCESS;
    }
    for (int at = 1; at < argc; at += 2) {
        const char *value = at + 1 < argc ? argv[at + 1] : "";
        if (strcmp(argv[at], "--threads") == 0) {
            const unsigned long number = strtoul(value, NULL, 10);
            if (number < 1 || number > WEIR_THREAD_MAX) {
                fprintf(stderr, "attend: wanted 1 to %d threads, found %s\n", WEIR_THREAD_MAX,
                        value);
                return 2;
            }
            n_thread = (uint32_t)number;
        } else if (strcmp(argv[at], "--kv") != 0) {
            fprintf(stderr, "attend: what is %s?\n%s", argv[at], help);
            return 2;
        } else if (!weir_kv_from_name(value, &kv)) {
            fprintf(stderr, "attend: wanted one of %s, found %s\n", weir_kv_names(), value);
            return 2;
        }
    }
    return measure(n_thread, kv);
}
