/* guest_test.c - the library is a guest: it leaves the process of its caller as it is. */
#include <dirent.h>
#include <fcntl.h>
#include <fenv.h>
#include <locale.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "weir.h"

#define DEMO "models/demo/weir-demo.gguf"

enum { SIGNAL_MAX = 65, DESCRIPTOR_MAX = 256 };

/* What belongs to the whole process, or to the caller's thread. */
struct process {
    mode_t umask;
    sigset_t mask;
    void (*handlers[SIGNAL_MAX])(int);
    char locale[64];
    char folder[512];
    struct rlimit limits[RLIM_NLIMITS];
    int rounding, priority;
    bool is_open[DESCRIPTOR_MAX];
    unsigned thread_count;
};

static unsigned count_entries(const char *path)
{
    unsigned count = 0;
    DIR *folder = opendir(path);
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    closedir(folder);
    return count - 2;
}

static void look(struct process *process)
{
    memset(process, 0, sizeof(*process));
    process->umask = umask(0);
    umask(process->umask);
    pthread_sigmask(SIG_SETMASK, NULL, &process->mask);
    for (int number = 1; number < SIGNAL_MAX; number++) {
        struct sigaction action;
        if (sigaction(number, NULL, &action) == 0)
            process->handlers[number] = action.sa_handler;
    }
    snprintf(process->locale, sizeof(process->locale), "%s", setlocale(LC_ALL, NULL));
    assert_non_null(getcwd(process->folder, sizeof(process->folder)));
    for (int limit = 0; limit < RLIM_NLIMITS; limit++)
        getrlimit(limit, &process->limits[limit]);
    process->rounding = fegetround();
    process->priority = getpriority(PRIO_PROCESS, 0);
    for (int descriptor = 0; descriptor < DESCRIPTOR_MAX; descriptor++)
        process->is_open[descriptor] = fcntl(descriptor, F_GETFD) >= 0;
    process->thread_count = count_entries("/proc/self/task");
}

static void assert_as_before(const struct process *before, bool is_closed)
{
    struct process now;
    look(&now);
    /* The kernel lists a thread for a moment after it was joined. */
    for (int turn = 0; is_closed && now.thread_count > before->thread_count && turn < 300000;
         turn++) {
        usleep(1000);
        look(&now);
    }
    if (!is_closed) {
        memcpy(now.is_open, before->is_open, sizeof(now.is_open));
        now.thread_count = before->thread_count;
    }
    assert_memory_equal(&now, before, sizeof(now));
}

/* What a child of the caller would inherit: nothing of the library's. */
static void assert_no_descriptor_outlives_exec(const struct process *before)
{
    unsigned own = 0;
    for (int descriptor = 0; descriptor < DESCRIPTOR_MAX; descriptor++) {
        const int flags = fcntl(descriptor, F_GETFD);
        if (flags < 0 || before->is_open[descriptor])
            continue;
        own++;
        if ((flags & FD_CLOEXEC) == 0)
            fail_msg("descriptor %d would reach a child", descriptor);
    }
    assert_true(own > 0);
}

static bool look_while_loading(void *user, const char *what, uint64_t done_bytes,
                               uint64_t total_bytes)
{
    (void)what;
    (void)done_bytes;
    (void)total_bytes;
    assert_no_descriptor_outlives_exec(user);
    return true;
}

static bool look_while_evaluating(void *user, uint32_t position, const float *logits)
{
    (void)position;
    (void)logits;
    assert_as_before(user, false);
    assert_no_descriptor_outlives_exec(user);
    return true;
}

static void run_once(enum weir_engine_io io, struct process *before)
{
    static const uint32_t ids[] = {5, 6, 7, 8, 9};
    const struct weir_config config = {.model_path = DEMO,
                                       .n_thread = 3,
                                       .n_ctx = 64,
                                       .expert_share = 0.3,
                                       .io = io,
                                       .progress = look_while_loading,
                                       .progress_user = before};
    struct weir_err err = {0};
    weir_engine *engine = NULL;
    weir_session *session = NULL;
    if (weir_engine_open(&engine, &config, &err) != WEIR_OK ||
        weir_session_create(&session, engine, &err) != WEIR_OK ||
        weir_session_eval(session, ids, 5, look_while_evaluating, before, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    weir_session_destroy(&session);
    weir_engine_close(&engine);
}

static void an_engine_leaves_the_process_as_it_was(void **state)
{
    (void)state;
    struct process before;
    sigset_t some;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &some, NULL);
    umask(027);
    fesetround(FE_TONEAREST);
    look(&before);
    run_once(WEIR_ENGINE_IO_AUTO, &before);
    assert_as_before(&before, true);
    run_once(WEIR_ENGINE_IO_THREADS, &before);
    assert_as_before(&before, true);
}

static void looking_at_machine_and_disk_leaves_the_process_as_it_was(void **state)
{
    (void)state;
    struct process before;
    struct weir_machine machine;
    struct weir_calibration calibration;
    const struct weir_calibrate_config config = {.path = DEMO, .quick = true};
    struct weir_err err = {0};
    look(&before);
    weir_machine_get(&machine, ".");
    assert_as_before(&before, true);
    if (weir_calibrate(&calibration, &config, NULL, NULL, &err) != WEIR_OK)
        fail_msg("%s", err.text);
    assert_as_before(&before, true);
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
static void *count_arenas(void *user)
{
    char *text = NULL;
    size_t size = 0;
    void *volatile own = malloc(1000); /* gives this thread an arena of its own */
    FILE *file = open_memstream(&text, &size);
    malloc_info(0, file);
    fclose(file);
    for (const char *at = text; (at = strstr(at, "<heap nr=")) != NULL; at++)
        ++*(unsigned *)user;
    free(text);
    free(own);
    return NULL;
}

/* With mallopt the caller's threads would share one arena, and wait for each other. */
static void the_allocator_stays_as_the_caller_has_it(void **state)
{
    (void)state;
    struct process before;
    unsigned count = 0;
    pthread_t thread;
    look(&before);
    run_once(WEIR_ENGINE_IO_AUTO, &before);
    assert_int_equal(pthread_create(&thread, NULL, count_arenas, &count), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(count > 1);
}
#endif

static void *do_nothing(void *user)
{
    return user;
}

int main(void)
{
    /* A sanitizer starts a thread of its own beside the first one of the program. */
    pthread_t thread;
    if (pthread_create(&thread, NULL, do_nothing, NULL) == 0)
        pthread_join(thread, NULL);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_engine_leaves_the_process_as_it_was),
        cmocka_unit_test(looking_at_machine_and_disk_leaves_the_process_as_it_was),
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__) && defined(__GLIBC__)
        cmocka_unit_test(the_allocator_stays_as_the_caller_has_it),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
