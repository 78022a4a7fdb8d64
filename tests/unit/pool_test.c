/* pool_test.c - every part runs once, on its own thread, and what it wrote is seen. */
#include "sys/sys.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/heap.h"

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED
#endif
#endif
#if !defined(SANITIZED) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define LIMITED_ADDRESS_SPACE
#endif

struct counting_job {
    uint64_t runs[WEIR_THREAD_MAX]; /* plain: only the pool's hand-off orders these */
    uint32_t n_part;
};

static void count_run(void *user, uint32_t part, uint32_t n_part)
{
    struct counting_job *job = user;
    job->runs[part]++;
    if (part == 0)
        job->n_part = n_part;
}

static void run_many(uint32_t n_thread, uint64_t rounds)
{
    weir_pool *pool = NULL;
    struct counting_job job = {0};
    assert_int_equal(weir_pool_create(&pool, n_thread, NULL), WEIR_OK);
    assert_int_equal(weir_pool_thread_count(pool), n_thread);
    for (uint64_t round = 1; round <= rounds; round++) {
        weir_pool_run(pool, "count", count_run, &job);
        assert_int_equal(job.n_part, n_thread);
        for (uint32_t part = 0; part < n_thread; part++)
            assert_int_equal(job.runs[part], round);
        if (round % 500 == 0)
            usleep(200); /* long enough for every thread to fall asleep */
    }
    weir_pool_destroy(&pool);
    assert_null(pool);
}

static void pool_runs_every_part_once(void **state)
{
    (void)state;
    run_many(1, 100);
    run_many(2, 20000);
    run_many(3, 3000);
    run_many(8, 1000);
}

/* What is expected is asked for, not read: it need not be there, nor be what was meant. */
static void pool_expects_what_is_not_there(void **state)
{
    (void)state;
    weir_pool *pool = NULL;
    struct counting_job job = {0};
    assert_int_equal(weir_pool_create(&pool, 2, NULL), WEIR_OK);
    for (uint64_t round = 1; round <= 2000; round++) {
        weir_pool_prefetch(pool, 0, (const void *)(uintptr_t)(round * 4096), 1000);
        weir_pool_prefetch(pool, 1, (const void *)(UINTPTR_MAX / 2), UINT64_MAX / 4);
        weir_pool_run(pool, "count", count_run, &job);
        assert_int_equal(job.runs[0], round);
        assert_int_equal(job.runs[1], round);
    }
    weir_pool_destroy(&pool);
}

static void pool_takes_up_to_its_limit_of_threads(void **state)
{
    (void)state;
    struct weir_err err = {0};
    weir_pool *pool = NULL;
    run_many(WEIR_THREAD_MAX, 3);
    assert_int_equal(weir_pool_create(&pool, WEIR_THREAD_MAX + 1, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "257"));
    assert_int_equal(weir_pool_create(&pool, 0, NULL), WEIR_ERR_ARG);
    assert_null(pool);
    weir_pool_destroy(&pool);
}

/* Nobody goes on before all are there: each part on a thread of its own. */
static void meet(_Atomic uint32_t *arrived, uint32_t count)
{
    atomic_fetch_add(arrived, 1);
    while (atomic_load(arrived) < count)
        usleep(10);
}

struct name_job {
    _Atomic uint32_t arrived;
    char name[4][16];
    bool blocks_interrupt[4];
};

static void read_name(void *user, uint32_t part, uint32_t n_part)
{
    struct name_job *job = user;
    sigset_t mask;
    meet(&job->arrived, n_part);
    pthread_getname_np(pthread_self(), job->name[part], sizeof(job->name[part]));
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    job->blocks_interrupt[part] = sigismember(&mask, SIGINT) == 1;
}

static void pool_threads_have_names_and_leave_signals_alone(void **state)
{
    (void)state;
    struct name_job job = {0};
    weir_pool *pool = NULL;
    assert_int_equal(weir_pool_create(&pool, 3, NULL), WEIR_OK);
    weir_pool_run(pool, "name", read_name, &job);
    bool has_name[3] = {false};
    for (uint32_t part = 0; part < 3; part++) {
        unsigned index = 0;
        if (sscanf(job.name[part], "weir-cpu-%u", &index) != 1)
            index = 0; /* the caller's has the name of the program */
        assert_true(index < 3 && !has_name[index]);
        assert_int_equal(job.blocks_interrupt[part], index > 0);
        has_name[index] = true;
    }
    weir_pool_destroy(&pool);
}

/* A part that waits for a thread which is busy elsewhere would wait for ever here. */
static void hold_up(void *user, uint32_t part, uint32_t n_part)
{
    _Atomic uint32_t *left = user;
    (void)n_part;
    if (part == 0) /* whoever has the first part leaves all others to the others */
        while (atomic_load(left) > 1)
            usleep(10);
    atomic_fetch_sub(left, 1);
}

static void pool_parts_go_to_whoever_comes_first(void **state)
{
    (void)state;
    weir_pool *pool = NULL;
    assert_int_equal(weir_pool_create(&pool, 2, NULL), WEIR_OK);
    for (int round = 0; round < 200; round++) {
        _Atomic uint32_t left = 2;
        weir_pool_run(pool, "hold up", hold_up, &left);
        assert_int_equal(atomic_load(&left), 0);
    }
    weir_pool_destroy(&pool);
    assert_int_equal(weir_pool_create(&pool, 8, NULL), WEIR_OK);
    for (int round = 0; round < 50; round++) {
        _Atomic uint32_t left = 8;
        weir_pool_run(pool, "hold up", hold_up, &left);
        assert_int_equal(atomic_load(&left), 0);
    }
    weir_pool_destroy(&pool);
}

static void pool_creation_survives_each_failed_allocation(void **state)
{
    (void)state;
    const uint64_t before_bytes = weir_heap_bytes();
    bool succeeded = false;
    for (uint64_t call = 1; !succeeded; call++) {
        struct weir_err err = {0};
        weir_pool *pool = NULL;
        weir_heap_fail_at(call);
        const enum weir_status status = weir_pool_create(&pool, 2, &err);
        weir_heap_fail_at(0);
        succeeded = status == WEIR_OK;
        if (!succeeded) {
            assert_int_equal(status, WEIR_ERR_NOMEM);
            assert_null(pool);
            assert_non_null(strstr(err.text, "2 threads"));
        }
        assert_true(succeeded || call < 8);
        weir_pool_destroy(&pool);
    }
    assert_int_equal(weir_heap_bytes(), before_bytes);
}

/* The sanitizers need address space without a limit, so this is for the other builds. */
#ifdef LIMITED_ADDRESS_SPACE
/* In a process of its own, whose address space has no room for all the stacks. */
static int create_without_room(void)
{
    struct weir_err err = {0};
    weir_pool *pool = NULL;
    FILE *file = fopen("/proc/self/statm", "r");
    unsigned long pages = 0;
    if (file == NULL || fscanf(file, "%lu", &pages) != 1)
        return 77;
    const struct rlimit limit = {pages * 4096 + (24u << 20), RLIM_INFINITY};
    if (setrlimit(RLIMIT_AS, &limit) != 0)
        return 77;
    if (weir_pool_create(&pool, 200, &err) != WEIR_ERR_IO || pool != NULL)
        return 1;
    return strstr(err.text, "of 200") != NULL && err.os_errno != 0 ? 0 : 2;
}

static void pool_creation_says_which_thread_could_not_start(void **state)
{
    (void)state;
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(create_without_room());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}
#endif

static void do_nothing(void *user, uint32_t part, uint32_t n_part)
{
    (void)user;
    (void)part;
    (void)n_part;
}

/* Not a check but a figure: what one fork and join costs here. */
static void pool_run_latency_is_printed(void **state)
{
    (void)state;
    enum { ROUNDS = 20000 };
    for (uint32_t n_thread = 1; n_thread <= 4; n_thread++) {
        weir_pool *pool = NULL;
        assert_int_equal(weir_pool_create(&pool, n_thread, NULL), WEIR_OK);
        const uint64_t start_ns = weir_now_ns();
        for (int round = 0; round < ROUNDS; round++)
            weir_pool_run(pool, "nothing", do_nothing, NULL);
        const double run_us = (double)(weir_now_ns() - start_ns) / 1e3 / ROUNDS;
        printf("pool_run with %u threads on %u CPUs: %.2f us\n", n_thread, weir_sys_cpu_count(),
               run_us);
        weir_pool_destroy(&pool);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pool_runs_every_part_once),
        cmocka_unit_test(pool_expects_what_is_not_there),
        cmocka_unit_test(pool_takes_up_to_its_limit_of_threads),
        cmocka_unit_test(pool_parts_go_to_whoever_comes_first),
        cmocka_unit_test(pool_threads_have_names_and_leave_signals_alone),
        cmocka_unit_test(pool_creation_survives_each_failed_allocation),
#ifdef LIMITED_ADDRESS_SPACE
        cmocka_unit_test(pool_creation_says_which_thread_could_not_start),
#endif
        cmocka_unit_test(pool_run_latency_is_printed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
