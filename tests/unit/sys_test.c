/* sys_test.c - the parsers of /proc and /sys on fixture trees, then this machine's own facts. */
#include "sys/sys_internal.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "sys_toy.h"

static void numbers_and_words_are_found_whole(void **state)
{
    (void)state;
    uint64_t number = 0;
    const char *text = "MemTotalX: 1 kB\nMemTotal:   77 kB\ncache 5\nactive_file 9\nbad: x\n";
    assert_true(weir_sys_text_number(text, "MemTotal", &number));
    assert_int_equal(number, 77);
    assert_true(weir_sys_text_number(text, "active_file", &number));
    assert_int_equal(number, 9);
    assert_false(weir_sys_text_number(text, "file", &number));
    assert_false(weir_sys_text_number(text, "bad", &number));
    assert_false(weir_sys_text_number("", "bad", &number));
    assert_true(weir_sys_text_has_word("cpu,cpuacct", ',', "cpu"));
    assert_true(weir_sys_text_has_word("rw,memory\n", ',', "memory"));
    assert_false(weir_sys_text_has_word("cpuset,cpuacct", ',', "cpu"));
    assert_false(weir_sys_text_has_word("", ',', "cpu"));
}

static void text_is_cut_at_the_capacity(void **state)
{
    (void)state;
    char text[8];
    put("/proc/long", "0123456789");
    assert_true(weir_sys_text_read(root, "/proc/long", text, sizeof(text)));
    assert_string_equal(text, "0123456");
    put("/proc/empty", "");
    assert_false(weir_sys_text_read(root, "/proc/empty", text, sizeof(text)));
    assert_false(weir_sys_text_read(root, "/proc/none", text, sizeof(text)));
}

static void memory_without_groups_is_what_is_available(void **state)
{
    (void)state;
    struct weir_sys_memory memory;
    put("/proc/meminfo", MEMINFO);
    assert_int_equal(weir_sys_memory_get_at(root, &memory), UINT64_MAX);
    assert_int_equal(memory.total_bytes, 8000000 * KIB);
    assert_int_equal(memory.available_bytes, 4000000 * KIB);
    assert_int_equal(memory.cgroup_limit_bytes, UINT64_MAX);
    assert_int_equal(memory.cgroup_version, 0);
    assert_string_equal(memory.cgroup_path, "");
    assert_int_equal(weir_sys_free_bytes_at(root), 4000000 * KIB / 16 * 15);
}

static void version_2_walks_up_and_leaves_file_pages_out(void **state)
{
    (void)state;
    struct weir_sys_memory memory;
    put_version_2();
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 550000000);
    assert_int_equal(memory.cgroup_version, 2);
    assert_int_equal(memory.cgroup_limit_bytes, 1000000000);
    assert_int_equal(memory.cgroup_usage_bytes, 450000000);
    assert_string_equal(memory.cgroup_path, "/sys/fs/cgroup/user.slice");
    assert_int_equal(weir_sys_free_bytes_at(root), 550000000 - 550000000 / 16);
}

static void version_2_names_the_tightest_limit_and_counts_the_tightest_room(void **state)
{
    (void)state;
    struct weir_sys_memory memory;
    put_version_2();
    /* Our own limit is the lowest, yet the slice above has less left. */
    put("/sys/fs/cgroup/user.slice/job.service/memory.max", "900000000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 550000000);
    assert_int_equal(memory.cgroup_limit_bytes, 900000000);
    assert_int_equal(memory.cgroup_usage_bytes, 100000000 - 7);
    assert_string_equal(memory.cgroup_path, "/sys/fs/cgroup/user.slice/job.service");
    /* Where the kernel would throttle us is a limit too. */
    put("/sys/fs/cgroup/user.slice/job.service/memory.high", "200000000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 100000007);
    assert_int_equal(memory.cgroup_limit_bytes, 200000000);
}

static void usage_above_the_limit_leaves_no_room(void **state)
{
    (void)state;
    struct weir_sys_memory memory;
    put_version_2();
    put("/sys/fs/cgroup/user.slice/memory.max", "1000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 0);
    assert_int_equal(weir_sys_free_bytes_at(root), 0);
}

static void version_2_in_a_container_begins_at_the_mount(void **state)
{
    (void)state;
    struct weir_sys_memory memory;
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", "30 22 0:26 / /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    put("/sys/fs/cgroup/memory.max", "268435456\n");
    put("/sys/fs/cgroup/memory.current", "68435456\n");
    put("/sys/fs/cgroup/memory.stat", "inactive_file 0\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 200000000);
    assert_string_equal(memory.cgroup_path, "/sys/fs/cgroup");
    /* A process moved above the namespace's root sees only the mount. */
    put("/proc/self/cgroup", "0::/../other\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 200000000);
}

static void version_1_walks_up_from_our_group(void **state)
{
    (void)state;
    struct weir_sys_memory memory;
    put_version_1("/batch/job", "/");
    put("/c/my memory/batch/memory.limit_in_bytes", NO_LIMIT);
    put("/c/my memory/batch/memory.usage_in_bytes", "1\n");
    put("/c/my memory/batch/memory.stat", "x 1\n");
    put("/c/my memory/batch/job/memory.limit_in_bytes", "500000000\n");
    put("/c/my memory/batch/job/memory.usage_in_bytes", "400000000\n");
    put("/c/my memory/batch/job/memory.stat",
        "inactive_file 1\nhierarchical_memory_limit 500000000\n"
        "total_inactive_file 250000000\ntotal_active_file 50000000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 400000000);
    assert_int_equal(memory.cgroup_version, 1);
    assert_int_equal(memory.cgroup_limit_bytes, 500000000);
    assert_int_equal(memory.cgroup_usage_bytes, 100000000);
    assert_string_equal(memory.cgroup_path, "/c/my memory/batch/job");
}

static void version_1_in_a_container_drops_the_part_that_is_not_mounted(void **state)
{
    (void)state;
    struct weir_sys_memory memory;
    put_version_1("/docker/0123", "/docker/0123");
    put("/c/my memory/memory.limit_in_bytes", "1000000000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 100000000);
    assert_string_equal(memory.cgroup_path, "/c/my memory");
    /* The limit of a group above the mount, told by our own stat. */
    put("/c/my memory/memory.stat", "hierarchical_memory_limit 950000000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 50000000);
}

static void version_1_without_a_limit_has_none(void **state)
{
    (void)state;
    struct weir_sys_memory memory;
    put_version_1("/", "/");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), UINT64_MAX);
    assert_int_equal(memory.cgroup_version, 1);
    assert_int_equal(memory.cgroup_limit_bytes, UINT64_MAX);
}

static void broken_texts_are_no_limit(void **state)
{
    (void)state;
    static const char *const cgroups[] = {"", "\n", "::", "4:memory", "0::", "x", "0::/a\n"};
    static const char *const mounts[] = {"", "- ", " - cgroup2 c", "1 2 3 / - cgroup2 c rw\n",
                                         "1 - cgroup2 c rw\n"};
    struct weir_sys_memory memory;
    for (size_t first = 0; first < WEIR_COUNT(cgroups); first++)
        for (size_t second = 0; second < WEIR_COUNT(mounts); second++) {
            put("/proc/self/cgroup", cgroups[first]);
            put("/proc/self/mountinfo", mounts[second]);
            assert_int_equal(weir_sys_memory_get_at(root, &memory), UINT64_MAX);
            assert_int_equal(weir_sys_group_cpu_quota(root), 0);
        }
}

static void cpu_quota_is_rounded_up_and_the_tightest_counts(void **state)
{
    (void)state;
    put_version_2();
    assert_int_equal(weir_sys_group_cpu_quota(root), 0);
    put("/sys/fs/cgroup/user.slice/cpu.max", "350000 100000\n");
    put("/sys/fs/cgroup/user.slice/job.service/cpu.max", "max 100000\n");
    assert_int_equal(weir_sys_group_cpu_quota(root), 4);
    put("/sys/fs/cgroup/user.slice/job.service/cpu.max", "50000 100000\n");
    assert_int_equal(weir_sys_group_cpu_quota(root), 1);
    put("/proc/self/cgroup", "2:cpuacct,cpu:/job\n");
    put("/proc/self/mountinfo", "32 31 0:29 / /c/cpu rw - cgroup cgroup rw,cpu,cpuacct\n");
    put("/c/cpu/job/cpu.cfs_quota_us", "-1\n");
    put("/c/cpu/job/cpu.cfs_period_us", "100000\n");
    assert_int_equal(weir_sys_group_cpu_quota(root), 0);
    put("/c/cpu/job/cpu.cfs_quota_us", "200000\n");
    assert_int_equal(weir_sys_group_cpu_quota(root), 2);
}

/* Without a root of its own the kernel is asked, about this machine: the numbers are then its. */
static void memory_without_meminfo_is_told_by_another(void **state)
{
    static const char *const broken[] = {NULL, "garbage\n", "MemTotal: x kB\nMemAvailable: 5 kB\n"};
    struct weir_sys_memory memory;
    struct weir_sys_memory with_files;
    struct weir_sys_free free_memory;
    (void)state;
    for (size_t index = 0; index < WEIR_COUNT(broken); index++) {
        if (broken[index] != NULL)
            put("/proc/meminfo", broken[index]);
        assert_int_equal(weir_sys_memory_get_at(root, &memory), UINT64_MAX);
        assert_non_null(strstr(memory.source, "sysinfo(2)"));
        assert_true(memory.available_bytes > 0 && memory.available_bytes <= memory.total_bytes);
        weir_sys_free_get_at(root, &free_memory);
        assert_true(free_memory.is_second && free_memory.bytes > 0);
        assert_non_null(strstr(free_memory.why, "/proc/meminfo cannot be read"));
    }
    put("/sys/devices/system/node/node3/meminfo", "Node 3 MemTotal: 77 kB\n"
                                                  "Node 3 Active(file): 900000000000 kB\n");
    weir_sys_memory_get_at(root, &with_files);
    assert_non_null(strstr(with_files.source, "/sys/devices/system/node"));
    assert_int_equal(with_files.available_bytes, with_files.total_bytes); /* never more than that */
}

static void memory_of_old_kernels_is_added_up(void **state)
{
    struct weir_sys_memory memory;
    (void)state;
    put("/proc/meminfo", "MemTotal: 9000 kB\nMemFree: 100 kB\nCached: 4000 kB\n"
                         "Active(file): 20 kB\nInactive(file): 3 kB\n");
    weir_sys_memory_get_at(root, &memory);
    assert_int_equal(memory.available_bytes, 123 * KIB);
    assert_string_equal(memory.source, "/proc/meminfo");
}

static void what_is_free_names_who_says_so(void **state)
{
    struct weir_sys_free free_memory;
    (void)state;
    put_version_2();
    weir_sys_free_get_at(root, &free_memory);
    assert_non_null(strstr(free_memory.why, "/sys/fs/cgroup/user.slice"));
    assert_non_null(strstr(free_memory.why, "524.5 MiB"));
    assert_false(free_memory.is_second);
    put("/sys/fs/cgroup/user.slice/memory.max", "0\n");
    weir_sys_free_get_at(root, &free_memory);
    assert_int_equal(free_memory.bytes, 0);
    assert_non_null(strstr(free_memory.why, "control groups leave 0 B"));
    put("/proc/self/cgroup", "1:cpu:/\n");
    weir_sys_free_get_at(root, &free_memory);
    assert_non_null(strstr(free_memory.why, "3.81 GiB of 7.63 GiB are free by /proc/meminfo"));
}

static void a_group_is_looked_for_where_groups_usually_are(void **state)
{
    struct weir_sys_memory memory;
    (void)state;
    put("/proc/meminfo", MEMINFO);
    weir_sys_memory_get_at(root, &memory);
    assert_int_equal(memory.cgroup_version, 0);
    assert_string_equal(memory.cgroup_why, "/proc/self/cgroup cannot be read");
    put("/sys/fs/cgroup/memory/cgroup.procs", "");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "300000000\n");
    put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "100000000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 200000000);
    assert_int_equal(memory.cgroup_version, 1);
    put("/sys/fs/cgroup/cgroup.procs", "");
    put("/sys/fs/cgroup/cgroup.controllers", "memory\n");
    put("/sys/fs/cgroup/memory.max", "500000000\n");
    put("/sys/fs/cgroup/memory.current", "100000000\n");
    put("/sys/fs/cgroup/cpu.max", "300000 100000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 400000000);
    assert_int_equal(memory.cgroup_version, 2);
    assert_non_null(memory.cgroup_why);
    assert_int_equal(weir_sys_group_cpu_quota(root), 3);
    /* Our path is known, and where the tree is mounted is not. */
    put("/proc/self/cgroup", "0::/a/b\n");
    put("/sys/fs/cgroup/a/b/memory.max", "200000000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 200000000);
    assert_string_equal(memory.cgroup_path, "/sys/fs/cgroup/a/b");
    put("/proc/self/cgroup", "0::/gone\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 400000000);
}

static void a_limit_counts_though_the_other_files_are_missing_or_garbage(void **state)
{
    struct weir_sys_memory memory;
    (void)state;
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "0::/\n");
    put("/proc/self/mountinfo", "30 22 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
    put("/sys/fs/cgroup/memory.max", "500000000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 500000000);
    assert_null(memory.cgroup_why);
    put("/sys/fs/cgroup/memory.stat", "inactive_file x\n\377garbage");
    put("/sys/fs/cgroup/memory.current", "many\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 500000000);
    put("/sys/fs/cgroup/memory.current", "300000000\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), 200000000);
    put("/sys/fs/cgroup/memory.max", "lots\n");
    assert_int_equal(weir_sys_memory_get_at(root, &memory), UINT64_MAX);
    assert_int_equal(memory.cgroup_version, 2);
}

static void machine_is_read_from_the_kernels_texts(void **state)
{
    (void)state;
    struct weir_sys_machine machine;
    weir_sys_machine_get_at(root, &machine);
    assert_string_equal(machine.cpu_name, "");
    assert_int_equal(machine.io_uring_disabled, -1);
    assert_true(machine.psi_memory_avg10 < 0.0);
    put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: Example 9000 @ 3GHz\nflags : x\n");
    put("/proc/sys/kernel/io_uring_disabled", "2\n");
    put("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n");
    put("/proc/pressure/memory", "some avg10=1.25 avg60=0.00 avg300=0.00 total=5\n");
    put("/proc/self/status", "VmPeak:\t  900 kB\nVmHWM:\t    500 kB\nVmRSS:\t  300 kB\n");
    weir_sys_machine_get_at(root, &machine);
    assert_string_equal(machine.cpu_name, "Example 9000 @ 3GHz");
    assert_int_equal(machine.io_uring_disabled, 2);
    assert_string_equal(machine.huge_pages, "madvise");
    assert_true(machine.psi_memory_avg10 > 1.24 && machine.psi_memory_avg10 < 1.26);
    assert_int_equal(weir_sys_status_bytes_at(root, "VmHWM"), 500 * KIB);
    assert_int_equal(weir_sys_status_bytes_at(root, "VmSwap"), 0);
}

static void this_machine_has_plausible_facts(void **state)
{
    (void)state;
    struct weir_sys_memory memory;
    struct weir_sys_machine machine;
    struct weir_sys_filesystem filesystem;
    weir_sys_memory_get(&memory);
    weir_sys_machine_get(&machine);
    assert_true(memory.total_bytes >= memory.available_bytes);
    assert_true(memory.available_bytes > 0);
    assert_in_range(weir_sys_free_bytes(), 1, memory.available_bytes);
    /* The kernel keeps both in per-thread parts and adds them up now and then. */
    assert_in_range(weir_sys_rss_bytes(), 100 * KIB, weir_sys_peak_rss_bytes() + 1024 * KIB);
    assert_in_range(weir_sys_cpu_count(), 1, WEIR_THREAD_MAX);
    assert_true(machine.n_cpu == weir_sys_cpu_count());
    assert_memory_equal(machine.kernel, "Linux ", 6);
    assert_true(weir_sys_filesystem_get("/proc", &filesystem));
    assert_string_equal(filesystem.type, "0x9fa0");
    assert_true(weir_sys_filesystem_get(".", &filesystem));
    assert_true(filesystem.free_bytes > 0);
    assert_false(weir_sys_filesystem_get("/nowhere/at/all", &filesystem));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_and_words_are_found_whole),
        ROOTED(text_is_cut_at_the_capacity),
        ROOTED(memory_without_groups_is_what_is_available),
        ROOTED(version_2_walks_up_and_leaves_file_pages_out),
        ROOTED(version_2_names_the_tightest_limit_and_counts_the_tightest_room),
        ROOTED(usage_above_the_limit_leaves_no_room),
        ROOTED(version_2_in_a_container_begins_at_the_mount),
        ROOTED(version_1_walks_up_from_our_group),
        ROOTED(version_1_in_a_container_drops_the_part_that_is_not_mounted),
        ROOTED(version_1_without_a_limit_has_none),
        ROOTED(broken_texts_are_no_limit),
        ROOTED(cpu_quota_is_rounded_up_and_the_tightest_counts),
        ROOTED(memory_without_meminfo_is_told_by_another),
        ROOTED(memory_of_old_kernels_is_added_up),
        ROOTED(what_is_free_names_who_says_so),
        ROOTED(a_group_is_looked_for_where_groups_usually_are),
        ROOTED(a_limit_counts_though_the_other_files_are_missing_or_garbage),
        ROOTED(machine_is_read_from_the_kernels_texts),
        cmocka_unit_test(this_machine_has_plausible_facts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
