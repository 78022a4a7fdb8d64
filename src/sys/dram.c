/* dram.c - reading memory as fast as it goes: the ceiling that other figures are compared with. */
#include "sys/sys.h"

enum { LINE_PAIR_WORDS = 16 };

struct dram_read {
    const uint64_t *words;
    size_t word_count;
    uint64_t sums[WEIR_THREAD_MAX];
};

static void read_part(void *user, uint32_t part, uint32_t n_part)
{
    struct dram_read *job = user;
    /* Whole pairs of cache lines, so that no part shares a line with its neighbour. */
    const size_t unit_count = job->word_count / LINE_PAIR_WORDS;
    const size_t begin = unit_count * part / n_part * LINE_PAIR_WORDS;
    const size_t end = unit_count * (part + 1) / n_part * LINE_PAIR_WORDS;
    uint64_t sums[LINE_PAIR_WORDS] = {0};
    for (size_t word = begin; word < end; word += LINE_PAIR_WORDS)
        for (size_t lane = 0; lane < LINE_PAIR_WORDS; lane++)
            sums[lane] += job->words[word + lane];
    for (size_t lane = 0; lane < LINE_PAIR_WORDS; lane++)
        job->sums[part] += sums[lane]; /* seen by other threads, so the reads must happen */
}

uint64_t weir_sys_dram_read_ns(weir_pool *pool, const void *start, uint64_t bytes)
{
    struct dram_read job = {.words = start, .word_count = bytes / sizeof(uint64_t)};
    const uint64_t start_ns = weir_now_ns();
    weir_pool_run(pool, "read memory", read_part, &job);
    return weir_now_ns() - start_ns;
}
