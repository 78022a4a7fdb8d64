/* sys_toy.h - trees of fixture texts in the place of /proc and /sys. */
#ifndef WEIR_SYS_TOY_H
#define WEIR_SYS_TOY_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "scratch.h"

#define ROOTED(test) cmocka_unit_test_setup_teardown(test, make_root, remove_root)
#define MEMINFO "MemTotal:       8000000 kB\nMemFree:  100 kB\nMemAvailable:   4000000 kB\n"
#define NO_LIMIT "9223372036854771712\n"
#define KIB 1024ull

static char root[64];

static inline int make_root(void **state)
{
    (void)state;
    return scratch_folder(root, sizeof(root), "sys-test") ? 0 : -1;
}

static inline int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    return system(command);
}

/* A fixture file with its folders. */
static inline void put(const char *path, const char *text)
{
    char name[512];
    snprintf(name, sizeof(name), "%s%s", root, path);
    for (char *slash = strchr(name + strlen(root) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(name, 0700) != 0)
            assert_int_equal(errno, EEXIST);
        *slash = '/';
    }
    FILE *file = fopen(name, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* A pure version 2 machine: a slice with a loose limit above a service with none. */
static inline void put_version_2(void)
{
    put("/proc/meminfo", MEMINFO);
    put("/proc/self/cgroup", "0::/user.slice/job.service\n");
    put("/proc/self/mountinfo",
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "30 22 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n");
    put("/sys/fs/cgroup/memory.stat", "anon 5\n");
    put("/sys/fs/cgroup/user.slice/memory.max", "1000000000\n");
    put("/sys/fs/cgroup/user.slice/memory.current", "600000000\n");
    put("/sys/fs/cgroup/user.slice/memory.stat",
        "anon 300000000\ninactive_file 100000000\nactive_file 50000000\n");
    put("/sys/fs/cgroup/user.slice/job.service/memory.max", "max\n");
    put("/sys/fs/cgroup/user.slice/job.service/memory.current", "100000000\n");
    put("/sys/fs/cgroup/user.slice/job.service/memory.stat", "inactive_file 7\nactive_file 0\n");
}

/* Version 1 for memory beside an empty version 2 tree, mounted at a place with a blank. */
static inline void put_version_1(const char *own_path, const char *mounted)
{
    char line[512];
    put("/proc/meminfo", MEMINFO);
    snprintf(line, sizeof(line), "9:name=systemd:/\n5:cpuset:/x\n4:memory,hugetlb:%s\n0::/\n",
             own_path);
    put("/proc/self/cgroup", line);
    snprintf(line, sizeof(line),
             "31 23 0:28 / /c rw - tmpfs tmpfs rw\n"
             "34 31 0:31 / /c/cpuset rw - cgroup cgroup rw,cpuset\n"
             "35 31 0:32 %s /c/my\\040memory rw shared:3 - cgroup cgroup rw,memory,hugetlb\n"
             "41 31 0:38 / /c/unified rw - cgroup2 cgroup2 rw\n",
             mounted);
    put("/proc/self/mountinfo", line);
    put("/c/my memory/memory.limit_in_bytes", NO_LIMIT);
    put("/c/my memory/memory.usage_in_bytes", "900000000\n");
    put("/c/my memory/memory.stat", "hierarchical_memory_limit " NO_LIMIT);
}

#endif
