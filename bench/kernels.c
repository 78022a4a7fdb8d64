/* kernels.c - how fast every matmul is, beside how fast memory can be read and how fast the CPU can
 * multiply. What is timed was compared with the reference just before.
 *
 * Weights that no cache holds are walked round and round, so that each sample reads rows that were
 * last touched a whole buffer ago. All levels of one type take turns, and so does the plain read of
 * the same buffer: what disturbs one of them disturbs its neighbours too. Rows are divided among
 * the threads as the model divides them; one fork and join for each sample.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/base.h"
#include "base/mem.h"
#include "encode/encode.h"
#include "kernels/kernels.h"
#include "ops_peak.h"
#include "sys/sys.h"

enum {
    COLS = 2048,
    MATRIX_ROWS =
        1024, /* weights that stream are many matrices of this many rows, as experts are */
    TOKENS_MAX = 128,
    SEED_ROWS = 64, /* encoded from random values; the others are copies of them */
    CHECKED_ROWS = SEED_ROWS - 3,
    CHECKED_TOKENS = 13,
    ROUNDS = 7,
    LEVEL_MAX = 5,
    CASE_MAX = LEVEL_MAX * 6,
    SCALE_ROW_BYTES = COLS / 16,
};
#define BIG_BYTES_MIN (256ull << 20)
#define BIG_BYTES_MAX (1ull << 30)
#define SAMPLE_NS 20e6 /* what a sample should last */
#define TOLERANCE 1e-4 /* of the largest output */

static const char help[] =
    "usage: kernels [--type NAME] [--threads N] [--layout rows|cols]\n"
    "\n"
    "How fast each weight type's matmul is at each instruction set of this CPU, with 1 token\n"
    "(decode), 16 and 128 tokens (prompt), over weights that stream from memory and over weights\n"
    "that stay in L2. The reference is spared the 128.\n"
    "\n"
    "  --type NAME     only this type, such as Q4_K (default: all); F8_E4M3, F4_E2M1 and I4 are\n"
    "                  codes, whose scales are read too but not counted as bytes\n"
    "  --threads N     threads that compute (default: all CPUs)\n"
    "  --layout cols   matrices that lie column by column (floats; default: rows)\n"
    "\n"
    "  GB/s      bytes of weights read in a second, the median of 7 rounds\n"
    "  GFLOP/s   two operations for each weight and token\n"
    "  of read   GB/s divided by the median plain read of the same memory in these rounds\n"
    "  of peak   GFLOP/s divided by what the level's multiply-add instruction (of bytes; of "
    "floats\n"
    "            for types of floats) does from registers, the best of these rounds\n"
    "\n"
    "Each level is first compared with the reference; a difference ends the program with status "
    "1.\n"
    "A level is listed where it has a matmul of its own for the type.\n"
    "\n"
    "example: build/release/bench/kernels --type Q4_K --threads 1\n";

struct bench {
    weir_pool *pool;
    uint32_t n_thread;
    uint64_t big_bytes;   /* of the buffer */
    uint64_t small_bytes; /* of weights that all threads' L2 hold together */
    uint8_t *weights;
    uint8_t *scales; /* of codes: SCALE_ROW_BYTES for each row of a matrix */
    uint8_t *x;      /* TOKENS_MAX rows of activations */
    float *y;
    size_t y_capacity;
    uint64_t cursor; /* the matrix that streams next */
    bool by_cols;    /* matrices lie column by column */
};

/* One line of the table. */
struct sample {
    const char *isa;
    weir_matmul_fn *matmul;
    unsigned flags; /* enum weir_cpu_flag */
    uint32_t n_token;
    bool streams;
    uint64_t matrix_count; /* of a sample; the small one again and again */
    double bytes_per_ns[ROUNDS];
};

struct job {
    weir_matmul_fn *matmul;
    struct weir_matmul matrix; /* w is the first matrix; no rows chosen yet */
    uint64_t matrix_rows, matrix_bytes;
    uint64_t first, count, modulo; /* matrices first .. first + count, wrapped round at modulo */
};

static void run_part(void *user, uint32_t part, uint32_t n_part)
{
    const struct job *job = user;
    struct weir_matmul matmul = job->matrix;
    const uint8_t *weights = matmul.w;
    matmul.row_begin = job->matrix_rows * part / n_part;
    matmul.row_end = job->matrix_rows * (part + 1) / n_part;
    for (uint64_t index = job->first; index < job->first + job->count; index++) {
        matmul.w = weights + index % job->modulo * job->matrix_bytes;
        if (matmul.row_begin < matmul.row_end)
            job->matmul(&matmul);
    }
}

static bool has_codes(enum weir_type type)
{
    return type >= WEIR_TYPE_BLOCK_COUNT;
}

/* Scales as the formats that have most of them use them: of FP8 a number for 128 rows and columns,
 * of NVFP4 one for 16 columns, of whole numbers one for 128. */
static struct weir_scales scales_of(const struct bench *bench, enum weir_type type)
{
    struct weir_scales scales = {.data = bench->scales,
                                 .row_bytes = SCALE_ROW_BYTES,
                                 .group_rows = 1,
                                 .group_cols = 128,
                                 .type = WEIR_SCALE_BF16};
    if (type == WEIR_TYPE_F8_E4M3)
        scales.group_rows = 128;
    if (type == WEIR_TYPE_F4_E2M1) {
        scales.group_cols = 16;
        scales.type = WEIR_SCALE_F8_E4M3;
    }
    return scales;
}

static weir_matmul_fn *matmul_of(const struct bench *bench, const struct weir_kernels *kernels,
                                 enum weir_type type)
{
    return bench->by_cols ? kernels->turned[type] : kernels->matmul[type];
}

/* How far apart the values of a matrix of so many rows are. */
static void place_values(const struct bench *bench, enum weir_type type, uint64_t rows,
                         struct weir_matmul *matrix)
{
    const size_t value_bytes = weir_quant_info(type)->block_bytes;
    matrix->w_row_bytes = bench->by_cols ? value_bytes : weir_quant_row_bytes(type, COLS);
    matrix->w_col_bytes = bench->by_cols ? rows * value_bytes : 0;
}

/* Time `count` matrices; returns ns. */
static uint64_t time_matrices(struct bench *bench, const struct weir_kernels *kernels,
                              enum weir_type type, const struct sample *sample, uint64_t count)
{
    const size_t row_bytes = weir_quant_row_bytes(type, COLS);
    const uint64_t rows = sample->streams ? MATRIX_ROWS : bench->small_bytes / row_bytes;
    const struct weir_scales scales = scales_of(bench, type);
    struct job job = {
        .matmul = sample->matmul,
        .matrix = {.w = bench->weights,
                   .x = bench->x,
                   .x_row_bytes = weir_act_row_bytes(kernels->act[type], COLS),
                   .y = bench->y,
                   .y_stride = rows,
                   .cols = COLS,
                   .n_token = sample->n_token,
                   .scales = has_codes(type) ? &scales : NULL},
        .matrix_rows = rows,
        .matrix_bytes = rows * row_bytes,
        .first = sample->streams ? bench->cursor : 0,
        .count = count,
        .modulo = sample->streams ? bench->big_bytes / (rows * row_bytes) : 1,
    };
    WEIR_ASSERT(rows * sample->n_token <= bench->y_capacity && job.modulo > 0);
    place_values(bench, type, rows, &job.matrix);
    if (sample->streams)
        bench->cursor = (bench->cursor + count) % job.modulo;
    const uint64_t start_ns = weir_now_ns();
    weir_pool_run(bench->pool, "matmul", run_part, &job);
    return weir_now_ns() - start_ns;
}

/* How many matrices make a sample of the wanted length, at most once round the buffer. */
static uint64_t choose_count(struct bench *bench, const struct weir_kernels *kernels,
                             enum weir_type type, const struct sample *sample)
{
    const uint64_t matrix_bytes = MATRIX_ROWS * weir_quant_row_bytes(type, COLS);
    const uint64_t most = sample->streams ? bench->big_bytes / matrix_bytes : 1u << 20;
    time_matrices(bench, kernels, type, sample, 1);
    const double one_ns = (double)time_matrices(bench, kernels, type, sample, 2) / 2.0;
    return weir_max(1, weir_min(most, (uint64_t)(SAMPLE_NS / one_ns)));
}

/* Any codes, but for those that are not a number. */
static void fill_codes(uint8_t *row, size_t row_bytes, uint64_t *seed)
{
    for (size_t at = 0; at < row_bytes; at++) {
        const uint8_t code = (uint8_t)weir_random_next(seed);
        row[at] = (code & 0x7f) == 0x7f ? 0 : code;
    }
}

/* No type has rows shorter than an eighth of a byte for each value. */
static uint64_t rows_max(const struct bench *bench)
{
    return weir_max(MATRIX_ROWS, bench->small_bytes / (COLS / 8));
}

static uint64_t scale_bytes(const struct bench *bench)
{
    return rows_max(bench) * SCALE_ROW_BYTES;
}

static void fill_weights(struct bench *bench, enum weir_type type)
{
    static float row[COLS];
    uint64_t seed = 1;
    const size_t row_bytes = weir_quant_row_bytes(type, COLS);
    const uint64_t row_count = bench->big_bytes / row_bytes;
    for (uint64_t index = 0; index < row_count; index++) {
        uint8_t *at = bench->weights + index * row_bytes;
        if (index >= SEED_ROWS) {
            memcpy(at, bench->weights + index % SEED_ROWS * row_bytes, row_bytes);
            continue;
        }
        if (has_codes(type)) {
            fill_codes(at, row_bytes, &seed);
            continue;
        }
        for (int i = 0; i < COLS; i++)
            row[i] = (float)(weir_random_unit(&seed) - 0.5);
        weir_encode_row(type, row, NULL, at, COLS);
    }
}

/* Scales from 0.5 to 2: as bf16, or of each byte as FP8. */
static void fill_scales(struct bench *bench, enum weir_type type)
{
    const struct weir_scales scales = scales_of(bench, type);
    uint64_t seed = 3;
    for (uint64_t at = 0; at < scale_bytes(bench); at += weir_scale_bytes(scales.type)) {
        const uint16_t half = weir_f32_to_bf16((float)(0.5 + 1.5 * weir_random_unit(&seed)));
        if (scales.type == WEIR_SCALE_BF16)
            memcpy(bench->scales + at, &half, sizeof(half));
        else
            bench->scales[at] = (uint8_t)(0x30 + weir_random_next(&seed) % 16);
    }
}

static void fill_activations(struct bench *bench, const struct weir_kernels *kernels,
                             enum weir_act act)
{
    static float row[COLS];
    uint64_t seed = 2;
    for (size_t token = 0; token < TOKENS_MAX; token++) {
        for (int i = 0; i < COLS; i++)
            row[i] = (float)(weir_random_unit(&seed) - 0.5);
        kernels->quantize[act](row, bench->x + token * weir_act_row_bytes(act, COLS), COLS);
    }
}

/* The levels of this CPU whose matmul is not the level's before. */
static size_t list_samples(const struct bench *bench, enum weir_type type, struct sample *samples)
{
    static const unsigned masks[LEVEL_MAX] = {
        0, WEIR_CPU_AVX2, WEIR_CPU_AVX2 | WEIR_CPU_AVX512,
        WEIR_CPU_AVX2 | WEIR_CPU_AVX512 | WEIR_CPU_AVX512_VNNI, WEIR_CPU_NEON_DOTPROD};
    const unsigned found = weir_cpu_flags();
    static const uint32_t n_tokens[] = {1, 16, TOKENS_MAX};
    weir_matmul_fn *before = NULL;
    size_t count = 0;
    for (size_t level = 0; level < LEVEL_MAX; level++) {
        struct weir_kernels kernels;
        if ((masks[level] & ~found) != 0)
            continue;
        weir_kernels_init(&kernels, masks[level] | (found & WEIR_CPU_IN_ORDER));
        if (matmul_of(bench, &kernels, type) == before)
            continue;
        before = matmul_of(bench, &kernels, type);
        for (int streams = 1; streams >= 0; streams--)
            /* The reference would take seconds over a long prompt. */
            for (size_t at = 0; at < WEIR_COUNT(n_tokens) - (masks[level] == 0); at++)
                samples[count++] = (struct sample){.isa = kernels.isa,
                                                   .matmul = before,
                                                   .flags = masks[level],
                                                   .n_token = n_tokens[at],
                                                   .streams = streams != 0};
    }
    return count;
}

/* Whether a level's outputs are the reference's, but for rounding. */
static bool check_sample(const struct bench *bench, enum weir_type type,
                         const struct sample *sample)
{
    static float wanted[CHECKED_ROWS * CHECKED_TOKENS];
    static float found[CHECKED_ROWS * CHECKED_TOKENS];
    struct weir_kernels ref;
    double most = 0.0;
    const struct weir_scales scales = scales_of(bench, type);
    weir_kernels_init(&ref, 0);
    struct weir_matmul job = {.w = bench->weights,
                              .x = bench->x,
                              .x_row_bytes = weir_act_row_bytes(ref.act[type], COLS),
                              .y = wanted,
                              .y_stride = CHECKED_ROWS,
                              .cols = COLS,
                              .row_end = CHECKED_ROWS,
                              .n_token = weir_min(sample->n_token, CHECKED_TOKENS),
                              .scales = has_codes(type) ? &scales : NULL};
    const size_t count = CHECKED_ROWS * job.n_token;
    place_values(bench, type, CHECKED_ROWS, &job);
    matmul_of(bench, &ref, type)(&job);
    job.y = found;
    sample->matmul(&job);
    for (size_t at = 0; at < count; at++)
        most = fmax(most, fabs((double)wanted[at]));
    for (size_t at = 0; at < count; at++) {
        if (fabs((double)found[at] - (double)wanted[at]) <= TOLERANCE * most)
            continue;
        fprintf(stderr,
                "kernels: %s %s: row %zu of token %zu: wanted %.7g as the reference, found %.7g\n",
                weir_quant_info(type)->name, sample->isa, at % CHECKED_ROWS, at / CHECKED_ROWS,
                (double)wanted[at], (double)found[at]);
        return false;
    }
    return true;
}

static bool measure_type(struct bench *bench, enum weir_type type)
{
    struct sample samples[CASE_MAX];
    struct weir_kernels kernels;
    const size_t row_bytes = weir_quant_row_bytes(type, COLS);
    const size_t count = list_samples(bench, type, samples);
    double reads[ROUNDS];
    double peaks[CASE_MAX] = {0};
    weir_kernels_init(&kernels, weir_cpu_flags());
    fill_weights(bench, type);
    if (has_codes(type))
        fill_scales(bench, type);
    fill_activations(bench, &kernels, kernels.act[type]);
    bench->cursor = 0;
    for (size_t at = 0; at < count; at++) {
        if (!check_sample(bench, type, &samples[at]))
            return false;
        samples[at].matrix_count = choose_count(bench, &kernels, type, &samples[at]);
    }
    for (int round = 0; round < ROUNDS; round++) {
        const uint64_t read_ns =
            weir_sys_dram_read_ns(bench->pool, bench->weights, bench->big_bytes);
        reads[round] = (double)bench->big_bytes / (double)read_ns;
        for (size_t at = 0; at < count; at++) {
            struct sample *sample = &samples[at];
            const uint64_t rows = sample->streams ? MATRIX_ROWS : bench->small_bytes / row_bytes;
            peaks[at] =
                fmax(peaks[at], ops_peak_measure(bench->pool, bench->n_thread, sample->flags,
                                                 kernels.act[type] == WEIR_ACT_F32));
            if (!sample->streams) /* what the sample before left in L2 is not ours */
                time_matrices(bench, &kernels, type, sample, 1);
            const uint64_t ns = time_matrices(bench, &kernels, type, sample, sample->matrix_count);
            sample->bytes_per_ns[round] =
                (double)(sample->matrix_count * rows * row_bytes) / (double)ns;
        }
    }
    weir_sort_reals(reads, ROUNDS);
    const double read = reads[ROUNDS / 2];
    printf("\n%-6s plain read %.1f GB/s\n", weir_quant_info(type)->name, read);
    for (size_t at = 0; at < count; at++) {
        struct sample *sample = &samples[at];
        weir_sort_reals(sample->bytes_per_ns, ROUNDS);
        const double median = sample->bytes_per_ns[ROUNDS / 2];
        const double flops = 2.0 * COLS * sample->n_token / (double)row_bytes;
        printf("%-6s  %-12s %6u  %-7s %7.2f %9.1f %8.0f%%", weir_quant_info(type)->name,
               sample->isa, sample->n_token, sample->streams ? "memory" : "L2", median,
               median * flops, 100.0 * median / read);
        if (peaks[at] > 0.0)
            printf(" %8.0f%%\n", 100.0 * median * flops / peaks[at]);
        else
            printf(" %9s\n", "-");
    }
    fflush(stdout);
    return true;
}

/* The size of a data cache of this CPU, or otherwise a usual one. */
static uint64_t cache_bytes(int name, uint64_t otherwise)
{
    const long bytes = sysconf(name);
    return bytes > 0 ? (uint64_t)bytes : otherwise;
}

static void lay_out(struct bench *bench, struct weir_mem *mem)
{
    bench->weights = weir_mem_alloc(mem, WEIR_MEM_TRUNK, bench->big_bytes, 4096);
    bench->scales = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, scale_bytes(bench), 4096);
    bench->x = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, TOKENS_MAX * COLS * sizeof(float), 4096);
    bench->y = weir_mem_alloc(mem, WEIR_MEM_SCRATCH, bench->y_capacity * sizeof(float), 4096);
}

static void print_header(const struct bench *bench)
{
    struct weir_sys_machine machine;
    char big[32];
    char small[32];
    weir_sys_machine_get(&machine);
    printf("%s, %u CPUs, %u threads\n", machine.cpu_name, machine.n_cpu, bench->n_thread);
    printf(
        "rows of %d values; memory: %s of weights, walked round; L2: %s, half of it each thread\n",
        COLS, weir_format_size(bench->big_bytes, big, sizeof(big)),
        weir_format_size(bench->small_bytes, small, sizeof(small)));
    printf("median of %d interleaved rounds of about %.0f ms\n\n", ROUNDS, SAMPLE_NS * 1e-6);
    printf("%-6s  %-12s %6s  %-7s %7s %9s %9s %9s\n", "type", "level", "tokens", "weights", "GB/s",
           "GFLOP/s", "of read", "of peak");
}

static bool is_built(const struct bench *bench, enum weir_type type)
{
    struct weir_kernels ref;
    weir_kernels_init(&ref, 0);
    return matmul_of(bench, &ref, type) != NULL;
}

static int measure(uint32_t n_thread, int only, bool by_cols)
{
    /* Eight times the last cache, so that little of it is there when the walk comes round; some
     * virtual machines report the host's whole cache, hence the limit. */
    const uint64_t eight = 8 * cache_bytes(_SC_LEVEL3_CACHE_SIZE, 0);
    const uint64_t wanted = weir_min(weir_max(eight, BIG_BYTES_MIN), BIG_BYTES_MAX);
    struct bench bench = {
        .n_thread = n_thread,
        .big_bytes = weir_align_down(weir_min(wanted, weir_sys_free_bytes() / 2), 4096),
        .small_bytes = cache_bytes(_SC_LEVEL2_CACHE_SIZE, 512 << 10) / 2 * n_thread,
        .by_cols = by_cols,
    };
    struct weir_mem mem;
    struct weir_err err = {0};
    bench.big_bytes = weir_max(bench.big_bytes, 4 * MATRIX_ROWS * COLS * sizeof(float));
    bench.small_bytes = weir_min(bench.small_bytes, bench.big_bytes);
    bench.y_capacity = TOKENS_MAX * rows_max(&bench);
    weir_mem_init(&mem);
    lay_out(&bench, &mem);
    if (weir_mem_open(&mem, &err) != WEIR_OK ||
        weir_pool_create(&bench.pool, n_thread, &err) != WEIR_OK) {
        fprintf(stderr, "kernels: %s\n", err.text);
        weir_mem_close(&mem);
        return EXIT_FAILURE;
    }
    lay_out(&bench, &mem);
    print_header(&bench);
    bool is_good = true;
    for (int type = 0; type < WEIR_TYPE_COUNT && is_good; type++)
        if ((only < 0 || type == only) && is_built(&bench, (enum weir_type)type))
            is_good = measure_type(&bench, (enum weir_type)type);
    weir_pool_destroy(&bench.pool);
    weir_mem_close(&mem);
    return is_good ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    uint32_t n_thread = weir_sys_cpu_count();
    int only = -1;
    bool by_cols = false;
    for (int at = 1; at < argc; at += 2) { /* every option has a value */
        const char *value = at + 1 < argc ? argv[at + 1] : NULL;
        enum weir_type type;
        if (strcmp(argv[at], "--help") == 0) { /* but this */
            fputs(help, stdout);
            return EXIT_SUCCESS;
        }
        if (strcmp(argv[at], "--type") == 0 && value != NULL) {
            if (!weir_quant_from_name(value, &type)) {
                fprintf(stderr, "kernels: there is no type called %s\n", value);
                return 2;
            }
            only = (int)type;
        } else if (strcmp(argv[at], "--layout") == 0 && value != NULL &&
                   (strcmp(value, "rows") == 0 || strcmp(value, "cols") == 0)) {
            by_cols = strcmp(value, "cols") == 0;
        } else if (strcmp(argv[at], "--threads") == 0 && value != NULL) {
            char *end = NULL;
            const unsigned long number = strtoul(value, &end, 10);
            if (end == value || *end != '\0' || number < 1 || number > WEIR_THREAD_MAX) {
                fprintf(stderr, "kernels: wanted 1 to %d threads, found %s\n", WEIR_THREAD_MAX,
                        value);
                return 2;
            }
            n_thread = (uint32_t)number;
        } else {
            fprintf(stderr, "kernels: what is %s?\n%s", argv[at], help);
            return 2;
        }
    }
    return measure(n_thread, only, by_cols);
}
