/* dram.c - how fast this machine's memory can be read: the ceiling of a resident model.
 *
 *   build/release/bench/dram [THREADS]      prints {"threads":T,"bytes":B,"bytes_per_s":R}
 *
 * Every thread sums its own part of a buffer that no cache holds. The best of several rounds
 * counts: whatever disturbs a round makes it slower and never faster.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/base.h"
#include "base/mem.h"
#include "sys/sys.h"

enum { ROUNDS = 9 };
#define BUFFER_BYTES (1ull << 30)

static int measure(uint32_t n_thread, uint64_t bytes)
{
    struct weir_mem mem;
    struct weir_err err = {0};
    weir_pool *pool = NULL;
    uint64_t best_ns = UINT64_MAX;
    weir_mem_init(&mem);
    weir_mem_alloc(&mem, WEIR_MEM_SCRATCH, bytes, 4096);
    if (weir_mem_open(&mem, &err) != WEIR_OK ||
        weir_pool_create(&pool, n_thread, &err) != WEIR_OK) {
        fprintf(stderr, "dram: %s\n", err.text);
        weir_mem_close(&mem);
        return EXIT_FAILURE;
    }
    const void *buffer = weir_mem_alloc(&mem, WEIR_MEM_SCRATCH, bytes, 4096);
    for (int round = 0; round < ROUNDS; round++)
        best_ns = weir_min(best_ns, weir_sys_dram_read_ns(pool, buffer, bytes));
    printf("{\"threads\": %u, \"bytes\": %llu, \"bytes_per_s\": %.0f}\n", n_thread,
           (unsigned long long)bytes, (double)bytes / ((double)best_ns * 1e-9));
    weir_pool_destroy(&pool);
    weir_mem_close(&mem);
    return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
    const uint64_t bytes = weir_align_down(weir_min(BUFFER_BYTES, weir_sys_free_bytes() / 4), 4096);
    uint32_t n_thread = weir_sys_cpu_count();
    if (argc > 1)
        n_thread = (uint32_t)strtoul(argv[1], NULL, 10);
    if (n_thread < 1 || n_thread > WEIR_THREAD_MAX || argc > 2) {
        fprintf(stderr, "usage: dram [THREADS]   wanted 1 to %d threads\n", WEIR_THREAD_MAX);
        return 2;
    }
    return measure(n_thread, bytes);
}
