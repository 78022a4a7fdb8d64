/* disk.c - how fast a file can be read past the page cache: the ceiling of a streamed model.
 *
 * Blocks at random offsets, by both engines of src/io, at several depths. Every round measures
 * every cell once, so that whatever disturbs the device for a while disturbs all cells alike.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base.h"
#include "base/mem.h"
#include "io/io.h"

enum {
    ROUNDS = 5,
    ENGINES = 2,
    DEPTHS = 5,
    BLOCKS = 3,
    BLOCK_MAX = 2 << 20,
    DEPTH_MAX = 64,
    SECONDS_DEFAULT = 30,
    SECONDS_MAX = 3600,
    CELLS = ENGINES * DEPTHS * BLOCKS,
};

/* Less would mostly be read again from what the device, or its host, remembers. */
#define FILE_BYTES_MIN (256ull << 20)

static const enum weir_io_kind kinds[ENGINES] = {WEIR_IO_URING, WEIR_IO_THREADS};
static const char *const names[ENGINES] = {"uring", "threads"};
static const uint32_t depths[DEPTHS] = {1, 4, 16, 32, DEPTH_MAX};
static const uint32_t blocks[BLOCKS] = {128 << 10, 512 << 10, BLOCK_MAX};

struct cell {
    double rates[ROUNDS]; /* bytes per second; sorted when all rounds are over */
    uint32_t round_count; /* 0: the engine is refused */
};

struct bench {
    const char *path;
    uint64_t file_bytes;
    uint64_t cell_ns; /* what one measurement may take */
    uint8_t *buffer;  /* DEPTH_MAX places of BLOCK_MAX bytes */
    uint64_t random_state;
    char refusal[ENGINES][WEIR_ERR_TEXT_MAX];
    struct cell cells[ENGINES][DEPTHS][BLOCKS];
};

static const char help[] =
    "usage: disk FILE [--seconds S]\n"
    "\n"
    "Prints how fast FILE can be read past the page cache: blocks at random offsets, by io_uring\n"
    "and by threads (as many as the depth), each cell the median of 5 rounds and its spread. The\n"
    "last line is the fastest cell as JSON.\n"
    "\n"
    "  --seconds S   time for all of it, 1 to 3600; default 30. A device with a fast cache or\n"
    "                with credits shows what it can hold only when asked for long.\n"
    "\n"
    "example: build/release/bench/disk models/olmoe-q4_0.gguf --seconds 120\n";

static void ask(struct bench *bench, weir_io *io, uint32_t place, uint32_t bytes)
{
    const uint64_t pages = (bench->file_bytes - bytes) / WEIR_IO_ALIGN + 1;
    const struct weir_read read = {
        .offset = weir_random_next(&bench->random_state) % pages * WEIR_IO_ALIGN,
        .tag = place,
        .dst = bench->buffer + (uint64_t)place * BLOCK_MAX,
        .bytes = bytes,
        .min_bytes = bytes,
    };
    weir_io_submit(io, &read, 1);
}

/* Keep depth reads in flight for a while, then let the last ones come in; bytes per second. */
static enum weir_status measure(struct bench *bench, weir_io *io, uint32_t depth, uint32_t bytes,
                                double *rate, struct weir_err *err)
{
    struct weir_io_done done[DEPTH_MAX];
    uint64_t total_bytes = 0;
    uint32_t count;
    const uint64_t start_ns = weir_now_ns();
    for (uint32_t place = 0; place < depth; place++)
        ask(bench, io, place, bytes);
    while ((count = weir_io_reap(io, done, depth, -1)) > 0)
        for (uint32_t index = 0; index < count; index++) {
            if (done[index].status != WEIR_OK)
                return done[index].status == WEIR_ERR_IO
                           ? WEIR_FAIL_OS(err, done[index].os_errno, "read %s", bench->path)
                           : WEIR_FAIL(err, done[index].status, "%s shrank", bench->path);
            total_bytes += done[index].bytes;
            if (weir_now_ns() - start_ns < bench->cell_ns)
                ask(bench, io, (uint32_t)done[index].tag, bytes);
        }
    *rate = (double)total_bytes / ((double)(weir_now_ns() - start_ns) * 1e-9);
    return WEIR_OK;
}

static enum weir_status measure_cell(struct bench *bench, int engine, int depth, int block,
                                     struct weir_err *err)
{
    const struct weir_io_config config = {
        .kind = kinds[engine], .depth = depths[depth], .n_thread = depths[depth]};
    struct cell *cell = &bench->cells[engine][depth][block];
    struct weir_err refusal = {0};
    weir_io *io = NULL;
    uint32_t file;
    if (weir_io_create(&io, &config, &refusal) != WEIR_OK) {
        memcpy(bench->refusal[engine], refusal.text, sizeof(refusal.text));
        return WEIR_OK;
    }
    enum weir_status status = weir_io_open(io, bench->path, &file, err);
    if (status == WEIR_OK)
        status =
            measure(bench, io, depths[depth], blocks[block], &cell->rates[cell->round_count], err);
    weir_io_destroy(&io);
    cell->round_count += status == WEIR_OK;
    return status;
}

static enum weir_status measure_all(struct bench *bench, struct weir_err *err)
{
    for (int round = 0; round < ROUNDS; round++)
        for (int block = 0; block < BLOCKS; block++)
            for (int depth = 0; depth < DEPTHS; depth++)
                for (int engine = 0; engine < ENGINES; engine++)
                    WEIR_TRY(measure_cell(bench, engine, depth, block, err));
    return WEIR_OK;
}

/* Is there a file, is it large enough, and does its file system allow direct reads? */
static enum weir_status check_file(struct bench *bench, struct weir_err *err)
{
    const struct weir_io_config config = {.kind = WEIR_IO_THREADS, .depth = 1, .n_thread = 1};
    weir_io *io = NULL;
    uint32_t file;
    char size[32];
    WEIR_TRY(weir_io_create(&io, &config, err));
    enum weir_status status = weir_io_open(io, bench->path, &file, err);
    if (status == WEIR_OK) {
        bench->file_bytes = weir_io_file_bytes(io, file);
        if (bench->file_bytes < FILE_BYTES_MIN)
            status =
                WEIR_FAIL(err, WEIR_ERR_ARG, "%s: wanted a file of at least 256 MiB, found %s",
                          bench->path, weir_format_size(bench->file_bytes, size, sizeof(size)));
        else if (!weir_io_mode_get(io)->direct)
            status = WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED, "%s: %s: nothing to measure", bench->path,
                               weir_io_mode_get(io)->why);
    }
    weir_io_destroy(&io);
    return status;
}

static void print_results(struct bench *bench)
{
    char size[32];
    int best[3] = {ENGINES - 1, 0, 0};
    printf("%s, %s: direct reads at random offsets, %d rounds of %.2f s a cell\n", bench->path,
           weir_format_size(bench->file_bytes, size, sizeof(size)), ROUNDS,
           (double)bench->cell_ns * 1e-9);
    printf("median (min to max) in GB/s\n\n%10s %6s", "block", "depth");
    for (int engine = 0; engine < ENGINES; engine++)
        printf(" %24s", names[engine]);
    printf("\n");
    for (int block = 0; block < BLOCKS; block++)
        for (int depth = 0; depth < DEPTHS; depth++) {
            printf("%6u KiB %6u", blocks[block] >> 10, depths[depth]);
            for (int engine = 0; engine < ENGINES; engine++) {
                struct cell *cell = &bench->cells[engine][depth][block];
                double *rates = cell->rates;
                weir_sort_reals(rates, ROUNDS);
                if (cell->round_count < ROUNDS)
                    printf(" %24s", "refused");
                else
                    printf("     %5.2f (%5.2f to %5.2f)", rates[ROUNDS / 2] * 1e-9, rates[0] * 1e-9,
                           rates[ROUNDS - 1] * 1e-9);
                if (rates[ROUNDS / 2] > bench->cells[best[0]][best[1]][best[2]].rates[ROUNDS / 2])
                    memcpy(best, (int[]){engine, depth, block}, sizeof(best));
            }
            printf("\n");
        }
    printf("\n");
    for (int engine = 0; engine < ENGINES; engine++)
        if (bench->refusal[engine][0] != '\0')
            printf("%s: %s\n", names[engine], bench->refusal[engine]);
    printf("{\"engine\": \"%s\", \"depth\": %u, \"block_bytes\": %u, \"bytes_per_s\": %.0f}\n",
           names[best[0]], depths[best[1]], blocks[best[2]],
           bench->cells[best[0]][best[1]][best[2]].rates[ROUNDS / 2]);
}

static int run(struct bench *bench)
{
    struct weir_mem mem;
    struct weir_err err = {0};
    const uint64_t buffer_bytes = (uint64_t)DEPTH_MAX * BLOCK_MAX;
    weir_mem_init(&mem);
    weir_mem_alloc(&mem, WEIR_MEM_IO, buffer_bytes, WEIR_IO_ALIGN);
    enum weir_status status = check_file(bench, &err);
    if (status == WEIR_OK)
        status = weir_mem_open(&mem, &err);
    if (status == WEIR_OK) {
        bench->buffer = weir_mem_alloc(&mem, WEIR_MEM_IO, buffer_bytes, WEIR_IO_ALIGN);
        status = measure_all(bench, &err);
    }
    weir_mem_close(&mem);
    if (status == WEIR_OK)
        print_results(bench);
    else
        fprintf(stderr, "disk: %s\n", err.text);
    return status == WEIR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
    static struct bench bench = {.random_state = 1};
    double seconds = SECONDS_DEFAULT;
    for (int index = 1; index < argc; index++) {
        char *end = NULL;
        if (strcmp(argv[index], "--help") == 0) {
            fputs(help, stdout);
            return EXIT_SUCCESS;
        }
        if (strcmp(argv[index], "--seconds") == 0) {
            seconds = index + 1 < argc ? strtod(argv[++index], &end) : 0;
            if (!(seconds >= 1 && seconds <= SECONDS_MAX) || *end != '\0') {
                fprintf(stderr, "disk: --seconds wants 1 to %d\n", SECONDS_MAX);
                return 2;
            }
        } else if (bench.path == NULL && argv[index][0] != '-') {
            bench.path = argv[index];
        } else {
            fprintf(stderr, "disk: unknown argument %s; --help says more\n", argv[index]);
            return 2;
        }
    }
    if (bench.path == NULL) {
        fputs(help, stderr);
        return 2;
    }
    bench.cell_ns = (uint64_t)(seconds * 1e9 / (CELLS * ROUNDS));
    return run(&bench);
}
