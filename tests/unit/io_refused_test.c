/* io_refused_test.c - what io says and does when the kernel, a file or the memory says no. */
#include "io/io.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "io_toy.h"

#include "base/heap.h"

/* The file shrinks to new_bytes after it was opened; a read that wants more must say so. */
static void shrink_and_read(const struct weir_io_config *config, uint64_t new_bytes)
{
    char name[64];
    uint32_t file;
    weir_io *io = NULL;
    struct weir_read_done done;
    struct weir_read read = {.offset = PAGE, .dst = places[0], .bytes = READ_PAGES * PAGE};
    make_file(name, sizeof(name));
    assert_int_equal(weir_io_create(&io, config, NULL), WEIR_OK);
    assert_int_equal(weir_io_open(io, name, &file, NULL), WEIR_OK);
    const int shrunk = truncate(name, (off_t)new_bytes);
    unlink(name);
    assert_int_equal(shrunk, 0);
    const uint64_t left_bytes = new_bytes > PAGE ? new_bytes - PAGE : 0;
    read.file = file;
    read.min_bytes = (uint32_t)left_bytes + 1;
    assert_int_equal(weir_io_submit(io, &read, 1), 1);
    assert_int_equal(weir_io_reap(io, &done, 1, -1), 1);
    assert_int_equal(done.status, WEIR_ERR_FORMAT);
    assert_int_equal(done.bytes, left_bytes);
    assert_memory_equal(read.dst, content + PAGE, left_bytes);
    read.min_bytes = (uint32_t)left_bytes;
    assert_int_equal(weir_io_submit(io, &read, 1), 1);
    assert_int_equal(weir_io_reap(io, &done, 1, -1), 1);
    assert_int_equal(done.status, WEIR_OK);
    weir_io_destroy(&io);
}

static void a_file_that_shrank_is_a_format_error_and_never_a_wait(void **state)
{
    static const uint64_t sizes[] = {
        0, 100, PAGE, PAGE + 1, 5000, 2 * PAGE, 3 * PAGE + 904, 9 * PAGE + 512, 16 * PAGE + 4095};
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++)
        for (size_t size = 0; size < WEIR_COUNT(sizes); size++)
            shrink_and_read(&variants[variant], sizes[size]);
}

static void limits_and_missing_files_are_refused_in_words(void **state)
{
    struct weir_err err = {0};
    struct weir_io_config config = {.kind = WEIR_IO_THREADS, .depth = WEIR_IO_DEPTH_MAX};
    weir_io *io = NULL;
    uint32_t file = 77;
    (void)state;
    assert_int_equal(weir_io_create(&io, &config, &err), WEIR_OK);
    assert_int_equal(weir_io_open(io, "build/no such file", &file, &err), WEIR_ERR_IO);
    assert_int_equal(err.os_errno, ENOENT);
    assert_non_null(strstr(err.text, "build/no such file"));
    assert_int_equal(file, 77);
    for (uint32_t index = 0; index < WEIR_IO_FILE_MAX; index++) {
        assert_int_equal(weir_io_open(io, path, &file, NULL), WEIR_OK);
        assert_int_equal(file, index);
    }
    err = (struct weir_err){0};
    assert_int_equal(weir_io_open(io, path, &file, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "512"));
    weir_io_destroy(&io);
    config.depth++;
    err = (struct weir_err){0};
    assert_int_equal(weir_io_create(&io, &config, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "1025"));
    assert_null(io);
    weir_io_destroy(&io);
}

static void refused_io_uring_falls_back_to_threads_and_says_so(void **state)
{
    struct weir_err err = {0};
    const struct weir_io_config named = {.kind = WEIR_IO_URING};
    const struct weir_io_config any = {.kind = WEIR_IO_AUTO};
    weir_io *io = NULL;
    uint32_t file;
    (void)state;
    weir_io_refuse(WEIR_IO_REFUSE_URING);
    const enum weir_status status = weir_io_create(&io, &named, &err);
    weir_io_refuse(0);
    assert_int_equal(status, WEIR_ERR_UNSUPPORTED);
    assert_non_null(strstr(err.text, "io_uring"));
    assert_null(io);
    weir_io_refuse(WEIR_IO_REFUSE_URING);
    io = open_variant(any, 8, &file);
    weir_io_refuse(0);
#ifndef WEIR_HOSTILE /* whose engine of choice is the fake */
    assert_string_equal(weir_io_mode_get(io)->engine, "threads");
    assert_non_null(strstr(weir_io_mode_get(io)->why, "io_uring"));
    assert_non_null(strstr(weir_io_mode_get(io)->why, "threads"));
#endif
    read_many(io, file, real_depth(8), 50, -1);
    weir_io_destroy(&io);
}

static void refused_direct_reads_are_buffered_and_said_once(void **state)
{
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        uint32_t file, other;
        weir_io_refuse(WEIR_IO_REFUSE_DIRECT);
        weir_io *io = open_variant(variants[variant], 8, &file);
        const struct weir_io_mode *mode = weir_io_mode_get(io);
        const char *word = variants[variant].buffered ? "asked for" : "direct reads refused";
        assert_int_equal(weir_io_open(io, path, &other, NULL), WEIR_OK);
        weir_io_refuse(0);
        assert_false(mode->direct);
        assert_non_null(strstr(mode->why, word));
        assert_null(strstr(strstr(mode->why, word) + 1, word));
        read_many(io, file, real_depth(8), 50, -1);
        weir_io_destroy(&io);
    }
}

static void the_mode_says_nothing_when_all_is_as_asked(void **state)
{
    static const char *const names[] = {
        [WEIR_IO_URING] = "uring", [WEIR_IO_THREADS] = "threads", [WEIR_IO_FAKE] = "fake"};
    (void)state;
    for (size_t variant = 0; variant < WEIR_COUNT(variants); variant++) {
        uint32_t file;
        weir_io *io = open_variant(variants[variant], 0, &file);
        const struct weir_io_mode *mode = weir_io_mode_get(io);
        assert_string_equal(mode->engine, names[variants[variant].kind]);
        assert_int_equal(mode->direct, mode->why[0] == '\0');
        weir_io_destroy(&io);
    }
}

/* In a process of its own, because a filter stays: io_uring_setup fails with EPERM for real. */
static int read_behind_a_filter(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = WEIR_COUNT(steps), .filter = steps};
    const struct weir_io_config any = {.kind = WEIR_IO_AUTO};
    const struct weir_io_config named = {.kind = WEIR_IO_URING};
    struct weir_err err = {0};
    struct weir_read_done done;
    struct weir_read read = {.dst = places[0], .bytes = PAGE, .min_bytes = PAGE};
    weir_io *io = NULL;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
        return 77;
    if (weir_io_create(&io, &named, &err) != WEIR_ERR_UNSUPPORTED ||
        strstr(err.text, strerror(EPERM)) == NULL)
        return 1;
    if (weir_io_create(&io, &any, NULL) != WEIR_OK ||
        weir_io_open(io, path, &read.file, NULL) != WEIR_OK)
        return 2;
#ifndef WEIR_HOSTILE
    if (strcmp(weir_io_mode_get(io)->engine, "threads") != 0 ||
        strstr(weir_io_mode_get(io)->why, strerror(EPERM)) == NULL)
        return 3;
#endif
    if (weir_io_submit(io, &read, 1) != 1 || weir_io_reap(io, &done, 1, -1) != 1)
        return 4;
    if (done.status != WEIR_OK || memcmp(read.dst, content, PAGE) != 0)
        return 5;
    weir_io_destroy(&io);
    return 0;
}

static void a_seccomp_filter_on_io_uring_is_survived_and_named(void **state)
{
    int status = 0;
    (void)state;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(read_behind_a_filter());
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == 77) {
        printf("skipped: the kernel takes no seccomp filter\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void every_failed_allocation_is_reported_and_leaves_nothing(void **state)
{
    static const enum weir_io_kind kinds[] = {WEIR_IO_AUTO, WEIR_IO_URING, WEIR_IO_THREADS,
                                              WEIR_IO_FAKE};
    const uint64_t before_bytes = weir_heap_bytes();
    (void)state;
    for (size_t kind = 0; kind < WEIR_COUNT(kinds); kind++) {
        const struct weir_io_config config = {.kind = kinds[kind], .depth = 8};
        enum weir_status status = WEIR_ERR_NOMEM;
        for (uint64_t call = 1; status != WEIR_OK; call++) {
            struct weir_err err = {0};
            weir_io *io = NULL;
            uint32_t file;
            weir_heap_fail_at(call);
            status = weir_io_create(&io, &config, &err);
            if (status == WEIR_OK)
                status = weir_io_open(io, path, &file, &err);
            weir_heap_fail_at(0);
            assert_true(status == WEIR_OK || status == WEIR_ERR_NOMEM);
            assert_true(status == WEIR_OK || strstr(err.text, "no memory") != NULL);
            assert_true(status == WEIR_OK ? call > 5 : call < 15);
            weir_io_destroy(&io);
            assert_int_equal(weir_heap_bytes(), before_bytes);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_shrank_is_a_format_error_and_never_a_wait),
        cmocka_unit_test(limits_and_missing_files_are_refused_in_words),
        cmocka_unit_test(refused_io_uring_falls_back_to_threads_and_says_so),
        cmocka_unit_test(refused_direct_reads_are_buffered_and_said_once),
        cmocka_unit_test(the_mode_says_nothing_when_all_is_as_asked),
        cmocka_unit_test(a_seccomp_filter_on_io_uring_is_survived_and_named),
        cmocka_unit_test(every_failed_allocation_is_reported_and_leaves_nothing),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
