/* pressure_test.c - samples of memory pressure follow the kernel's texts and allocate nothing. */
#include "sys/sys_internal.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/heap.h"

#include "pace.h"
#include "sys_toy.h"

#define GROUP "/sys/fs/cgroup/user.slice"
#define PRESSURE(total)                                                                            \
    "some avg10=0.50 avg60=0.10 avg300=0.00 total=" total "\nfull avg10=0 total=1\n"

static weir_sys_watch *open_watch(void)
{
    weir_sys_watch *watch = NULL;
    assert_int_equal(weir_sys_watch_open_at(root, &watch, NULL), WEIR_OK);
    return watch;
}

static void open_files_tell_what_is_written_later(void **state)
{
    (void)state;
    struct weir_sys_pressure sample;
    put_version_2();
    put("/proc/pressure/memory", PRESSURE("77"));
    put("/proc/self/statm", "9000 300 100 1 0 200 0\n");
    weir_sys_watch *watch = open_watch();
    assert_string_equal(weir_sys_watch_sources(watch)->group, GROUP "/job.service");
    assert_string_equal(weir_sys_watch_sources(watch)->available, "/proc/meminfo");
    assert_string_equal(weir_sys_watch_sources(watch)->stall, "/proc/pressure/memory");
    weir_sys_watch_sample(watch, &sample);
    assert_int_equal(sample.limit_bytes, 1000000000);
    assert_int_equal(sample.usage_bytes, 450000000);
    assert_int_equal(sample.group_level, 1);
    assert_int_equal(sample.available_bytes, 4000000 * KIB);
    assert_int_equal(sample.own_least_bytes, 200 * sysconf(_SC_PAGESIZE));
    assert_int_equal(sample.own_most_bytes, sample.own_least_bytes);
    assert_int_equal(sample.stall_us, 77);
    assert_true(sample.stall_is_machine);
    put(GROUP "/memory.current", "900000000\n");
    put("/proc/meminfo", "MemTotal: 8000000 kB\nMemFree: 1 kB\nMemAvailable: 5 kB\n");
    put("/proc/pressure/memory", PRESSURE("1234567890123"));
    weir_sys_watch_sample(watch, &sample);
    assert_int_equal(sample.usage_bytes, 750000000);
    assert_int_equal(sample.available_bytes, 5 * KIB);
    assert_int_equal(sample.stall_us, 1234567890123);
    weir_sys_watch_close(&watch);
    assert_null(watch);
}

static void the_group_with_the_least_room_is_told_also_past_its_limit(void **state)
{
    (void)state;
    struct weir_sys_pressure sample;
    put_version_2();
    weir_sys_watch *watch = open_watch();
    /* A limit set while we run, beneath what is charged already. */
    put(GROUP "/job.service/memory.max", "80000000\n");
    weir_sys_watch_sample(watch, &sample);
    assert_int_equal(sample.limit_bytes, 80000000);
    assert_int_equal(sample.usage_bytes, 100000000 - 7);
    assert_int_equal(sample.group_level, 0);
    weir_sys_watch_close(&watch);
}

static void pressure_of_the_group_goes_before_the_machines(void **state)
{
    (void)state;
    struct weir_sys_pressure sample;
    put_version_2();
    put("/proc/pressure/memory", PRESSURE("1"));
    put(GROUP "/job.service/memory.pressure", PRESSURE("22"));
    weir_sys_watch *watch = open_watch();
    assert_string_equal(weir_sys_watch_sources(watch)->stall, GROUP "/job.service/memory.pressure");
    weir_sys_watch_sample(watch, &sample);
    assert_int_equal(sample.stall_us, 22);
    assert_false(sample.stall_is_machine);
    weir_sys_watch_close(&watch);
}

static void version_1_is_watched_by_its_own_files(void **state)
{
    (void)state;
    struct weir_sys_pressure sample;
    put_version_1("/job", "/");
    put("/c/my memory/job/memory.limit_in_bytes", "500000000\n");
    put("/c/my memory/job/memory.usage_in_bytes", "400000000\n");
    put("/c/my memory/job/memory.stat",
        "hierarchical_memory_limit 500000000\ntotal_inactive_file 1000\ntotal_active_file 1\n");
    weir_sys_watch *watch = open_watch();
    weir_sys_watch_sample(watch, &sample);
    assert_int_equal(sample.limit_bytes, 500000000);
    assert_int_equal(sample.usage_bytes, 400000000 - 1001);
    put("/c/my memory/job/memory.stat",
        "hierarchical_memory_limit 450000000\ntotal_inactive_file 0\ntotal_active_file 0\n");
    weir_sys_watch_sample(watch, &sample);
    assert_int_equal(sample.limit_bytes, 450000000);
    assert_int_equal(sample.usage_bytes, 400000000);
    weir_sys_watch_close(&watch);
}

static void what_is_not_there_is_said(void **state)
{
    (void)state;
    struct weir_sys_pressure sample;
    weir_sys_watch *watch = open_watch();
    assert_string_equal(weir_sys_watch_sources(watch)->group, "");
    assert_string_equal(weir_sys_watch_sources(watch)->available, "");
    assert_string_equal(weir_sys_watch_sources(watch)->stall, "");
    weir_sys_watch_sample(watch, &sample);
    assert_int_equal(sample.limit_bytes, UINT64_MAX);
    assert_int_equal(sample.usage_bytes, 0);
    assert_int_equal(sample.available_bytes, UINT64_MAX);
    assert_int_equal(sample.own_least_bytes, UINT64_MAX);
    assert_int_equal(sample.own_most_bytes, UINT64_MAX);
    assert_int_equal(sample.stall_us, 0);
    weir_sys_watch_close(&watch);
    weir_heap_fail_at(1);
    struct weir_err err = {0};
    assert_int_equal(weir_sys_watch_open_at(root, &watch, &err), WEIR_ERR_NOMEM);
    weir_heap_fail_at(0);
}

static void as_many_groups_as_there_is_room_for_are_watched(void **state)
{
    (void)state;
    struct weir_sys_pressure sample;
    char path[128] = "/sys/fs/cgroup";
    char own[128] = "0::";
    put("/proc/self/mountinfo", "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    for (int level = WEIR_SYS_LEVEL_MAX; level >= 0; level--) {
        char name[256];
        snprintf(path + strlen(path), 4, "/%c", 'a' + level);
        snprintf(own + strlen(own), 4, "/%c", 'a' + level);
        snprintf(name, sizeof(name), "%s/memory.stat", path);
        put(name, "anon 1\n");
        snprintf(name, sizeof(name), "%s/memory.current", path);
        put(name, "1\n");
        snprintf(name, sizeof(name), "%s/memory.max", path);
        /* The topmost leaves the least room, and is one too many. */
        put(name, level == WEIR_SYS_LEVEL_MAX       ? "10\n"
                  : level == WEIR_SYS_LEVEL_MAX - 1 ? "100\n"
                                                    : "1000\n");
    }
    strcat(own, "\n");
    put("/proc/self/cgroup", own);
    weir_sys_watch *watch = open_watch();
    weir_sys_watch_sample(watch, &sample);
    assert_int_equal(sample.limit_bytes, 100);
    assert_int_equal(sample.group_level, WEIR_SYS_LEVEL_MAX - 1);
    weir_sys_watch_close(&watch);
}

/* Until the only page of a file has left the memory: another processor may hold it for a while. */
static void drop_page(int fd, const volatile char *map)
{
    unsigned char is_there = 1;
    for (int turn = 0; turn < PACE_PATIENCE_S * 1000 && (is_there & 1) != 0; turn++) {
        assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
        assert_int_equal(mincore((void *)(uintptr_t)map, 4096, &is_there), 0);
        usleep(is_there & 1 ? 1000 : 0);
    }
}

/* A page of a file that is not in memory is a major fault; a second touch is none. */
static void a_page_read_from_disk_is_counted(void **state)
{
    (void)state;
    char name[] = "build/pressure-test-XXXXXX";
    char page[4096] = {1};
    struct weir_sys_pressure before;
    struct weir_sys_pressure after;
    struct weir_sys_filesystem filesystem;
    if (weir_sys_filesystem_get("build", &filesystem) && strcmp(filesystem.type, "tmpfs") == 0)
        skip(); /* its pages are always in memory */
    const int fd = mkstemp(name);
    assert_true(fd >= 0);
    unlink(name);
    assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
    assert_int_equal(fsync(fd), 0);
    const volatile char *map = mmap(NULL, sizeof(page), PROT_READ, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    drop_page(fd, map);
    weir_sys_watch *watch = open_watch();
    weir_sys_watch_sample(watch, &before);
    assert_int_equal(map[0], 1);
    weir_sys_watch_sample(watch, &after);
    assert_true(after.major_faults > before.major_faults);
    weir_sys_watch_close(&watch);
    munmap((void *)(uintptr_t)map, sizeof(page));
    close(fd);
}

static void this_machine_is_sampled_without_allocating(void **state)
{
    (void)state;
    enum { ROUNDS = 200 };
    weir_sys_watch *watch = NULL;
    struct weir_sys_pressure sample;
    assert_int_equal(weir_sys_watch_open(&watch, NULL), WEIR_OK);
    const uint64_t calls = weir_heap_calls();
    const uint64_t start_ns = weir_now_ns();
    for (int round = 0; round < ROUNDS; round++)
        weir_sys_watch_sample(watch, &sample);
    printf("a sample takes %.1f us\n", (double)(weir_now_ns() - start_ns) / ROUNDS * 1e-3);
    assert_int_equal(weir_heap_calls(), calls);
    assert_in_range(sample.available_bytes, 1, 1ull << 50);
    weir_sys_watch_close(&watch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROOTED(open_files_tell_what_is_written_later),
        ROOTED(the_group_with_the_least_room_is_told_also_past_its_limit),
        ROOTED(pressure_of_the_group_goes_before_the_machines),
        ROOTED(version_1_is_watched_by_its_own_files),
        ROOTED(what_is_not_there_is_said),
        ROOTED(as_many_groups_as_there_is_room_for_are_watched),
        ROOTED(a_page_read_from_disk_is_counted),
        cmocka_unit_test(this_machine_is_sampled_without_allocating),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
