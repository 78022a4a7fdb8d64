/* encode.c - how fast floats become blocks of each number format, on one thread.
 *
 *   build/release/bench/encode [FORMAT...]
 *
 * Normal values, without weights and with one for each column: MB of floats a second of the
 * processor's time, and the root of the squared error over that of the values.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#include "base/base.h"
#include "encode/encode.h"

enum { ROWS = 16, COLS = 4096, ROUNDS = 5 };
static const double round_s = 0.1;

static float values[ROWS][COLS];
static float weights[COLS];
static float back[COLS];
static uint8_t blocks[COLS * sizeof(float)];

static double random_normal(uint64_t *seed)
{
    const double radius = sqrt(-2.0 * log(1.0 - weir_random_unit(seed)));
    return radius * cos(6.283185307179586 * weir_random_unit(seed));
}

static double processor_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double relative_error(enum weir_type type)
{
    double error = 0.0;
    double all = 0.0;
    for (int row = 0; row < ROWS; row++) {
        weir_encode_row(type, values[row], NULL, blocks, COLS);
        weir_quant_decode_row(type, blocks, back, COLS);
        for (int col = 0; col < COLS; col++) {
            const double miss = (double)back[col] - (double)values[row][col];
            error += miss * miss;
            all += (double)values[row][col] * (double)values[row][col];
        }
    }
    return sqrt(error / all);
}

/* The best of a few rounds. */
static double mb_per_s(enum weir_type type, const float *of_columns)
{
    double best = 0.0;
    for (int round = 0; round < ROUNDS; round++) {
        const double begin = processor_s();
        double taken = 0.0;
        double bytes = 0.0;
        for (int row = 0; taken < round_s; row = (row + 1) % ROWS) {
            weir_encode_row(type, values[row], of_columns, blocks, COLS);
            bytes += (double)sizeof(values[row]);
            taken = processor_s() - begin;
        }
        best = fmax(best, bytes / taken / 1e6);
    }
    return best;
}

static bool is_wanted(const char *name, int argc, char **argv)
{
    for (int at = 1; at < argc; at++)
        if (strcasecmp(argv[at], name) == 0)
            return true;
    return argc == 1;
}

int main(int argc, char **argv)
{
    uint64_t seed = 1;
    for (int row = 0; row < ROWS; row++)
        for (int col = 0; col < COLS; col++)
            values[row][col] = (float)(0.02 * random_normal(&seed));
    for (int col = 0; col < COLS; col++)
        weights[col] = (float)exp(random_normal(&seed));
    printf("%-8s %9s %16s %11s\n", "format", "MB/s", "with weights", "rel. error");
    for (int at = 0; at < WEIR_TYPE_BLOCK_COUNT; at++) {
        const enum weir_type type = (enum weir_type)at;
        const char *name = weir_quant_info(type)->name;
        if (!is_wanted(name, argc, argv))
            continue;
        printf("%-8s %9.1f %16.1f %11.5f\n", name, mb_per_s(type, NULL), mb_per_s(type, weights),
               relative_error(type));
        fflush(stdout);
    }
    return 0;
}
