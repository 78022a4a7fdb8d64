/* dram.c - reading memory as fast as it goes: the ceiling that other figures are compared with. */
#include "sys/sys.h"

/* A thread that reads on in several places, asking ahead, gets more than in one and without. They
 * are no multiple of a page apart: they would want the same sets of the caches. */
enum { STREAM_COUNT = 2, LINE_WORDS = 8, PAGE_LINES = 64, WORDS_AHEAD = 512 };

struct dram_read {
    const uint64_t *words;
    size_t word_count;
    uint64_t sums[WEIR_THREAD_MAX];
};

static size_t stream_lines(size_t line_count)
{
    const size_t pages = line_count / STREAM_COUNT / PAGE_LINES;
    return pages == 0 ? 0 : pages * PAGE_LINES - PAGE_LINES / STREAM_COUNT;
}

static void read_part(void *user, uint32_t part, uint32_t n_part)
{
    struct dram_read *job = user;
    /* Whole cache lines, so that no part shares one with its neighbour. */
    const size_t line_count = job->word_count / LINE_WORDS;
    const size_t begin = line_count * part / n_part * LINE_WORDS;
    const size_t end = line_count * (part + 1) / n_part * LINE_WORDS;
    const size_t apart = stream_lines((end - begin) / LINE_WORDS) * LINE_WORDS;
    uint64_t sums[LINE_WORDS] = {0};
    for (size_t word = begin; word < begin + apart; word += LINE_WORDS)
        for (size_t stream = 0; stream < STREAM_COUNT; stream++) {
            const uint64_t *line = job->words + word + stream * apart;
            __builtin_prefetch(line + WORDS_AHEAD);
            for (size_t lane = 0; lane < LINE_WORDS; lane++)
                sums[lane] += line[lane];
        }
    for (size_t word = begin + STREAM_COUNT * apart; word < end; word++)
        sums[0] += job->words[word];
    for (size_t lane = 0; lane < LINE_WORDS; lane++)
        job->sums[part] += sums[lane]; /* seen by other threads, so the reads must happen */
}

uint64_t weir_sys_dram_read_ns(weir_pool *pool, const void *start, uint64_t bytes)
{
    struct dram_read job = {.words = start, .word_count = bytes / sizeof(uint64_t)};
    const uint64_t start_ns = weir_now_ns();
    weir_pool_run(pool, "read memory", read_part, &job);
    return weir_now_ns() - start_ns;
}
