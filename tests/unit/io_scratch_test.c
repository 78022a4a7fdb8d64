/* io_scratch_test.c - scratch files: room that is there from the start, or an error that says. */
#include "io/io.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>

#include "io_toy.h"

#include "base/heap.h"
#include "sys/sys.h"

static weir_io *create(struct weir_io_config config)
{
    weir_io *io = NULL;
    assert_int_equal(weir_io_create(&io, &config, NULL), WEIR_OK);
    return io;
}

static const struct weir_io_config threads = {.kind = WEIR_IO_THREADS, .depth = 4};

/* A page goes there and comes back. */
static void check_works(weir_io *io, uint32_t file)
{
    struct weir_io_done done;
    const struct weir_write write = {
        .offset = PAGE, .src = content + 0, .bytes = PAGE, .file = file};
    struct weir_write copied = write;
    memcpy(places[1], content, PAGE);
    copied.src = places[1];
    assert_true(weir_io_queue_write(io, &copied));
    assert_int_equal(weir_io_reap(io, &done, 1, -1), 1);
    assert_int_equal(done.status, WEIR_OK);
    const struct weir_read read = {
        .offset = PAGE, .dst = places[0], .bytes = PAGE, .min_bytes = PAGE, .file = file};
    assert_int_equal(weir_io_submit(io, &read, 1), 1);
    assert_int_equal(weir_io_reap(io, &done, 1, -1), 1);
    assert_int_equal(done.status, WEIR_OK);
    assert_memory_equal(places[0], content, PAGE);
}

static unsigned count_names(const char *folder)
{
    unsigned count = 0;
    DIR *names = opendir(folder);
    assert_non_null(names);
    while (readdir(names) != NULL)
        count++;
    closedir(names);
    return count;
}

static void a_scratch_file_has_no_name_and_its_room_from_the_start(void **state)
{
    static const unsigned refusals[] = {0, WEIR_IO_REFUSE_UNNAMED, WEIR_IO_REFUSE_RESERVE,
                                        WEIR_IO_REFUSE_DIRECT};
    char folder[] = "build/scratch-test-XXXXXX";
    (void)state;
    assert_non_null(mkdtemp(folder));
    for (size_t index = 0; index < WEIR_COUNT(refusals); index++) {
        struct weir_err err = {0};
        struct weir_sys_filesystem before, after;
        enum { BYTES = 64 << 20 };
        uint32_t file;
        weir_io *io = create(threads);
        assert_true(weir_sys_filesystem_get(folder, &before));
        weir_io_refuse(refusals[index]);
        const enum weir_status status = weir_io_open_scratch(io, folder, BYTES, &file, &err);
        weir_io_refuse(0);
        if (status != WEIR_OK)
            fail_msg("%s", err.text);
        assert_true(weir_sys_filesystem_get(folder, &after));
        if (refusals[index] != WEIR_IO_REFUSE_RESERVE && strcmp(before.type, "tmpfs") != 0)
            assert_true(after.free_bytes + BYTES / 2 < before.free_bytes);
        assert_int_equal(count_names(folder), 2);
        assert_int_equal(weir_io_file_bytes(io, file), BYTES);
        const struct weir_io_mode *mode = weir_io_mode_get(io);
        if (refusals[index] == WEIR_IO_REFUSE_RESERVE)
            assert_non_null(strstr(mode->why, "cannot be reserved"));
        if (refusals[index] == WEIR_IO_REFUSE_DIRECT)
            assert_true(!mode->direct && strstr(mode->why, "direct reads refused") != NULL);
        check_works(io, file);
        assert_true(weir_io_destroy(&io));
    }
    assert_int_equal(rmdir(folder), 0);
}

static void a_full_disk_is_found_before_anything_is_written(void **state)
{
    static const unsigned refusals[] = {0, WEIR_IO_REFUSE_RESERVE};
    struct weir_sys_filesystem filesystem;
    (void)state;
    assert_true(weir_sys_filesystem_get("build", &filesystem));
    const uint64_t bytes = weir_align_up(filesystem.free_bytes, PAGE) + (1ull << 30);
    for (size_t index = 0; index < WEIR_COUNT(refusals); index++) {
        struct weir_err err = {0};
        char wanted[32];
        uint32_t file = 55;
        weir_io *io = create(threads);
        weir_io_refuse(refusals[index]);
        const enum weir_status status = weir_io_open_scratch(io, "build", bytes, &file, &err);
        weir_io_refuse(0);
        assert_int_equal(status, WEIR_ERR_IO);
        assert_int_equal(err.os_errno, ENOSPC);
        snprintf(wanted, sizeof(wanted), "(%llu bytes)", (unsigned long long)bytes);
        assert_non_null(strstr(err.text, wanted));
        assert_non_null(strstr(err.text, "build"));
        assert_non_null(strstr(err.text, "free"));
        assert_int_equal(file, 55);
        assert_int_equal(weir_io_open_scratch(io, "build", 4 * PAGE, &file, NULL), WEIR_OK);
        assert_int_equal(file, 0); /* what failed has taken no place */
        check_works(io, file);
        weir_io_destroy(&io);
    }
}

static void a_limit_on_file_sizes_is_an_error_and_no_signal(void **state)
{
    struct rlimit before;
    struct weir_err err = {0};
    uint32_t file;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    const struct rlimit less = {.rlim_cur = 16 * PAGE, .rlim_max = before.rlim_max};
    weir_io *io = create(threads);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    const enum weir_status status = weir_io_open_scratch(io, "build", 17 * PAGE, &file, &err);
    const enum weir_status fits = weir_io_open_scratch(io, "build", 16 * PAGE, &file, NULL);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(status, WEIR_ERR_IO);
    assert_int_equal(err.os_errno, EFBIG);
    assert_int_equal(fits, WEIR_OK);
    weir_io_destroy(&io);
}

static void a_folder_that_cannot_be_used_is_named(void **state)
{
    static const char *const folders[] = {"build/not/there", "Makefile", "/proc"};
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(folders); index++) {
        struct weir_err err = {0};
        uint32_t file;
        weir_io *io = create(threads);
        assert_int_equal(weir_io_open_scratch(io, folders[index], PAGE, &file, &err), WEIR_ERR_IO);
        assert_non_null(strstr(err.text, folders[index]));
        assert_true(err.os_errno != 0);
        weir_io_destroy(&io);
    }
}

static void files_of_both_kinds_share_the_limit(void **state)
{
    struct weir_err err = {0};
    uint32_t file;
    (void)state;
    weir_io *io = create(threads);
    for (uint32_t index = 0; index < WEIR_IO_FILE_MAX; index++) {
        const enum weir_status status = index % 2 == 0
                                            ? weir_io_open_scratch(io, "build", PAGE, &file, &err)
                                            : weir_io_open(io, path, &file, &err);
        assert_int_equal(status, WEIR_OK);
        assert_int_equal(file, index);
    }
    assert_int_equal(weir_io_open_scratch(io, "build", PAGE, &file, &err), WEIR_ERR_ARG);
    assert_non_null(strstr(err.text, "more than"));
    weir_io_destroy(&io);
}

static void every_failed_allocation_is_reported(void **state)
{
    const uint64_t before_bytes = weir_heap_bytes();
    (void)state;
    weir_io *io = create(threads);
    for (uint64_t call = 1;; call++) {
        struct weir_err err = {0};
        uint32_t file;
        weir_heap_fail_at(call);
        const enum weir_status status = weir_io_open_scratch(io, "build", PAGE, &file, &err);
        weir_heap_fail_at(0);
        assert_true(status == WEIR_OK ? call == 3 : status == WEIR_ERR_NOMEM && call < 3);
        if (status == WEIR_OK)
            break;
    }
    weir_io_destroy(&io);
    assert_int_equal(weir_heap_bytes(), before_bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scratch_file_has_no_name_and_its_room_from_the_start),
        cmocka_unit_test(a_full_disk_is_found_before_anything_is_written),
        cmocka_unit_test(a_limit_on_file_sizes_is_an_error_and_no_signal),
        cmocka_unit_test(a_folder_that_cannot_be_used_is_named),
        cmocka_unit_test(files_of_both_kinds_share_the_limit),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };
    alarm(DEADLINE_S);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
