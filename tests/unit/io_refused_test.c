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
    struct weir_io_done done;
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

enum { NO_SECCOMP = 77, ENTER_CALLS = 8 };

/* From here on the call is refused for real, for as long as this process lives. */
static bool refuse_call(uint32_t number, uint32_t os_errno)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | os_errno),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog filter = {.len = WEIR_COUNT(steps), .filter = steps};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) == 0;
}

/* Run test(number, os_errno) in a process of its own, because a filter stays; 0 is a pass. */
static void check_apart(int (*test)(uint32_t, uint32_t), uint32_t number, uint32_t os_errno)
{
    int status = 0;
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(DEADLINE_S / 4);
        _exit(test(number, os_errno));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status) || (WEXITSTATUS(status) != 0 && WEXITSTATUS(status) != NO_SECCOMP))
        fail_msg("call %u refused with %s: status %x", number, strerror((int)os_errno), status);
    if (WEXITSTATUS(status) == NO_SECCOMP) {
        printf("skipped: the kernel takes no seccomp filter\n");
        skip();
    }
}

static int read_a_page(weir_io *io, struct weir_io_done *done)
{
    struct weir_read read = {.dst = places[0], .bytes = PAGE, .min_bytes = PAGE};
    memset(places[0], 0xee, PAGE);
    if (weir_io_submit(io, &read, 1) != 1 || weir_io_reap(io, done, 1, -1) != 1)
        return 20;
    return done->status == WEIR_OK && memcmp(places[0], content, PAGE) != 0 ? 21 : 0;
}

/* Refused before the ring is made: by name an error, else threads and why. */
static int read_behind_a_filter(uint32_t number, uint32_t os_errno)
{
    const struct weir_io_config any = {.kind = WEIR_IO_AUTO};
    const struct weir_io_config named = {.kind = WEIR_IO_URING};
    struct weir_err err = {0};
    struct weir_io_done done;
    weir_io *io = NULL;
    uint32_t file;
    if (!refuse_call(number, os_errno))
        return NO_SECCOMP;
    if (weir_io_create(&io, &named, &err) != WEIR_ERR_UNSUPPORTED ||
        strstr(err.text, strerror((int)os_errno)) == NULL)
        return 1;
    if (weir_io_create(&io, &any, NULL) != WEIR_OK ||
        weir_io_open(io, path, &file, NULL) != WEIR_OK)
        return 2;
#ifndef WEIR_HOSTILE
    if (strcmp(weir_io_mode_get(io)->engine, "threads") != 0 ||
        strstr(weir_io_mode_get(io)->why, strerror((int)os_errno)) == NULL)
        return 3;
#endif
    const int failed = read_a_page(io, &done);
    weir_io_destroy(&io);
    return failed != 0 ? failed : done.status == WEIR_OK ? 0 : 4;
}

static void a_filter_on_either_call_of_io_uring_is_survived_and_named(void **state)
{
    static const uint32_t errnos[] = {EPERM, ENOSYS, EACCES, EINTR, EAGAIN, EBUSY, ENOMEM, EBADR};
    (void)state;
    check_apart(read_behind_a_filter, SYS_io_uring_setup, EPERM);
    check_apart(read_behind_a_filter, SYS_io_uring_setup, ENOMEM);
    for (size_t index = 0; index < WEIR_COUNT(errnos); index++)
        check_apart(read_behind_a_filter, SYS_io_uring_enter, errnos[index]);
}

static int read_without_the_call(uint32_t number, uint32_t os_errno)
{
    const struct weir_io_config named = {.kind = WEIR_IO_URING};
    struct weir_io_done done;
    weir_io *io = NULL;
    uint32_t file;
    if (!refuse_call(number, os_errno))
        return NO_SECCOMP;
    if (weir_io_create(&io, &named, NULL) != WEIR_OK ||
        weir_io_open(io, path, &file, NULL) != WEIR_OK)
        return 1;
    const int failed = read_a_page(io, &done);
    weir_io_destroy(&io);
    return failed != 0 ? failed : done.status == WEIR_OK ? 0 : 2;
}

static void a_filter_on_the_call_that_is_not_used_does_not_matter(void **state)
{
    (void)state;
    check_apart(read_without_the_call, SYS_io_uring_register, EPERM);
}

/* A ring that worked and then is refused: what it has taken still comes, the rest fails. */
static int refuse_in_the_middle(uint32_t number, uint32_t os_errno)
{
    const struct weir_io_config named = {
        .kind = WEIR_IO_URING,
        .depth = ENTER_CALLS,
        .stall_ns = 300000000,
        .buffered = true, /* what is submitted has come, however long the disk takes */
    };
    struct weir_io_done done[ENTER_CALLS];
    struct weir_read reads[ENTER_CALLS];
    uint64_t random_state = 3;
    uint32_t file, reaped = 0;
    weir_io *io = NULL;
    if (weir_io_create(&io, &named, NULL) != WEIR_OK ||
        weir_io_open(io, path, &file, NULL) != WEIR_OK || read_a_page(io, done) != 0 ||
        done[0].status != WEIR_OK)
        return 1;
    const uint32_t count = real_depth(ENTER_CALLS);
    for (uint32_t place = 0; place < count; place++) {
        reads[place] = random_read(&random_state, file, places[place]);
        reads[place].tag = place;
    }
    weir_io_submit(io, reads, count / 2);
    if (!refuse_call(number, os_errno))
        return NO_SECCOMP;
    weir_io_submit(io, reads + count / 2, count - count / 2);
    while (reaped < count) {
        const uint32_t arrived = weir_io_reap(io, done, ENTER_CALLS, -1);
        if (arrived == 0)
            return 2;
        for (uint32_t index = 0; index < arrived; index++) {
            const bool is_taken = done[index].tag < count / 2;
            if (is_taken != (done[index].status == WEIR_OK))
                return 3;
            if (!is_taken && done[index].os_errno != (int)os_errno)
                return 4;
        }
        reaped += arrived;
    }
    const int failed = read_a_page(io, done);
    if (failed != 0 || done[0].status != WEIR_ERR_IO || done[0].os_errno != (int)os_errno)
        return 5;
    return weir_io_destroy(&io) ? 0 : 6;
}

static void a_ring_that_is_refused_in_the_middle_is_an_error(void **state)
{
    static const uint32_t errnos[] = {EPERM, ENOSYS, EAGAIN, EBUSY, EINTR, EBADR};
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(errnos); index++)
        check_apart(refuse_in_the_middle, SYS_io_uring_enter, errnos[index]);
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
        cmocka_unit_test(a_filter_on_either_call_of_io_uring_is_survived_and_named),
        cmocka_unit_test(a_filter_on_the_call_that_is_not_used_does_not_matter),
        cmocka_unit_test(a_ring_that_is_refused_in_the_middle_is_an_error),
        cmocka_unit_test(every_failed_allocation_is_reported_and_leaves_nothing),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
