/* thread_test.c - no thread of the library is ever handed a signal of the program. */
#include "base/thread.h"

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/mem.h"
#include "io/io.h"
#include "sys/sys.h"

#include "pace.h"

/* All but SIGKILL and SIGSTOP, which nobody can block, and the two that glibc keeps to itself. */
#define UNBLOCKABLE (1ull << (SIGKILL - 1) | 1ull << (SIGSTOP - 1) | 3ull << 31)

/* The value of a line of /proc/self/task/TASK/status, "" when that thread has ended. */
static void read_line(const char *task, const char *key, char *out, size_t capacity)
{
    char name[300];
    char line[256];
    snprintf(name, sizeof(name), "/proc/self/task/%s/status", task);
    FILE *file = fopen(name, "r");
    out[0] = '\0';
    while (file != NULL && fgets(line, sizeof(line), file) != NULL)
        if (strncmp(line, key, strlen(key)) == 0)
            snprintf(out, capacity, "%.*s", (int)strcspn(line + strlen(key), "\n"),
                     line + strlen(key));
    if (file != NULL)
        fclose(file);
}

/* How many threads there are whose names begin with kind; each must block every signal. */
static unsigned check_threads(const char *kind)
{
    unsigned count = 0;
    DIR *tasks = opendir("/proc/self/task");
    assert_non_null(tasks);
    for (struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char name[64];
        char mask[64];
        read_line(task->d_name, "Name:\t", name, sizeof(name));
        read_line(task->d_name, "SigBlk:\t", mask, sizeof(mask));
        if (strncmp(name, kind, strlen(kind)) != 0 || mask[0] == '\0')
            continue;
        assert_int_equal(strtoull(mask, NULL, 16) | UNBLOCKABLE, UINT64_MAX);
        count++;
    }
    closedir(tasks);
    return count;
}

/* A thread names itself when it first runs. */
static void wait_for_threads(const char *kind, unsigned wanted)
{
    for (int look = 0; look < PACE_PATIENCE_S * 1000 && check_threads(kind) < wanted; look++)
        usleep(1000);
    assert_int_equal(check_threads(kind), wanted);
}

static void threads_that_compute_block_all_signals(void **state)
{
    weir_pool *pool = NULL;
    (void)state;
    assert_int_equal(weir_pool_create(&pool, 4, NULL), WEIR_OK);
    wait_for_threads("weir-cpu-", 3);
    weir_pool_destroy(&pool);
}

static void threads_that_read_block_all_signals(void **state)
{
    const struct weir_io_config config = {.kind = WEIR_IO_THREADS, .n_thread = 5};
    weir_io *io = NULL;
    (void)state;
    assert_int_equal(weir_io_create(&io, &config, NULL), WEIR_OK);
    wait_for_threads("weir-io-", 5);
    weir_io_destroy(&io);
}

/* They are there until all pages are, and on a busy machine whoever looks for them may have no turn
 * in that time: so it looks again and again. */
static void threads_that_touch_memory_block_all_signals(void **state)
{
    enum { BYTES = 256 << 20, PAGE_BYTES = 4096 };
    const uint64_t begin_ns = weir_now_ns();
    unsigned seen = 0;
    (void)state;
    while (seen == 0 && weir_now_ns() - begin_ns < PACE_PATIENCE_S * UINT64_C(1000000000)) {
        struct weir_mem mem;
        unsigned char has_last = 0;
        weir_mem_init(&mem);
        weir_mem_alloc(&mem, WEIR_MEM_SLOTS, BYTES, 64);
        assert_int_equal(weir_mem_open_begin(&mem, NULL), WEIR_OK);
        uint8_t *slots = weir_mem_alloc(&mem, WEIR_MEM_SLOTS, BYTES, 64);
        while (seen == 0 && (has_last & 1) == 0) {
            seen = check_threads("weir-slots-");
            assert_int_equal(mincore(slots + BYTES - PAGE_BYTES, PAGE_BYTES, &has_last), 0);
        }
        assert_int_equal(weir_mem_open_end(&mem, NULL, NULL, NULL), WEIR_OK);
        weir_mem_close(&mem);
    }
    assert_true(seen > 0);
}

static atomic_bool is_over;

static void *sleep_until_over(void *argument)
{
    weir_thread_name(argument, 7);
    while (!atomic_load(&is_over))
        usleep(1000);
    return NULL;
}

static void the_caller_keeps_its_own_mask(void **state)
{
    static char kind[] = "test";
    sigset_t before;
    sigset_t after;
    pthread_t id;
    (void)state;
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(weir_thread_start(&id, 64 << 10, sleep_until_over, kind), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    for (int number = 1; number < NSIG; number++)
        assert_int_equal(sigismember(&before, number), sigismember(&after, number));
    wait_for_threads("weir-test-7", 1);
    atomic_store(&is_over, true);
    pthread_join(id, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_that_compute_block_all_signals),
        cmocka_unit_test(threads_that_read_block_all_signals),
        cmocka_unit_test(threads_that_touch_memory_block_all_signals),
        cmocka_unit_test(the_caller_keeps_its_own_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
