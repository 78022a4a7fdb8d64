/* pressure.c - samples of what memory is left, from files that stay open.
 *
 * Source: cgroup-v2.rst (memory), Documentation/accounting/psi.rst, proc(5), getrusage(2). Of a
 * process the kernel counts pages in portions for each thread, which are small beside a margin.
 */
#include "sys/sys_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/heap.h"

struct weir_sys_watch {
    struct weir_sys_group_files levels[WEIR_SYS_LEVEL_MAX]; /* ours first */
    uint32_t level_count;
    int available_fd, stall_fd, own_fd; /* -1 where there is none */
    bool stall_is_machine;
    struct weir_sys_sources sources;
};

static int open_source(const char *root, const char *path, char *name, size_t capacity)
{
    char text[256];
    char whole[2 * WEIR_SYS_PATH_MAX];
    snprintf(whole, sizeof(whole), "%s%s", root, path);
    const int fd = open(whole, O_RDONLY | O_CLOEXEC);
    /* Where the kernel keeps no pressure, its file may be there and yet refuse to be read. */
    if (fd >= 0 && !weir_sys_text_sample(fd, text, sizeof(text))) {
        close(fd);
        return -1;
    }
    if (fd >= 0)
        snprintf(name, capacity, "%.*s", (int)capacity - 1, path);
    return fd;
}

static void open_groups(weir_sys_watch *watch, const char *root)
{
    struct weir_sys_group group;
    char path[WEIR_SYS_PATH_MAX + 32];
    if (!weir_sys_group_find(root, "memory", &group))
        return;
    snprintf(path, sizeof(path), "%s/memory.pressure", group.directory);
    watch->stall_fd = open_source(root, path, watch->sources.stall, sizeof(watch->sources.stall));
    do {
        if (!weir_sys_group_files_open(root, &group, &watch->levels[watch->level_count]))
            continue;
        if (watch->level_count++ == 0)
            snprintf(watch->sources.group, sizeof(watch->sources.group), "%.255s", group.directory);
    } while (watch->level_count < WEIR_SYS_LEVEL_MAX && weir_sys_group_up(&group));
}

enum weir_status weir_sys_watch_open_at(const char *root, weir_sys_watch **out,
                                        struct weir_err *err)
{
    weir_sys_watch *watch = weir_heap_alloc(sizeof(*watch));
    if (watch == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to watch memory");
    struct weir_sys_sources *sources = &watch->sources;
    char own[32];
    *watch = (weir_sys_watch){.stall_fd = -1};
    watch->own_fd = open_source(root, "/proc/self/statm", own, sizeof(own));
    watch->available_fd =
        open_source(root, "/proc/meminfo", sources->available, sizeof(sources->available));
    open_groups(watch, root);
    if (watch->stall_fd < 0) {
        watch->stall_is_machine = true;
        watch->stall_fd =
            open_source(root, "/proc/pressure/memory", sources->stall, sizeof(sources->stall));
    }
    *out = watch;
    return WEIR_OK;
}

enum weir_status weir_sys_watch_open(weir_sys_watch **out, struct weir_err *err)
{
    return weir_sys_watch_open_at("", out, err);
}

void weir_sys_watch_close(weir_sys_watch **watch)
{
    weir_sys_watch *closing = *watch;
    if (closing == NULL)
        return;
    for (uint32_t level = 0; level < closing->level_count; level++)
        weir_sys_group_files_close(&closing->levels[level]);
    if (closing->available_fd >= 0)
        close(closing->available_fd);
    if (closing->stall_fd >= 0)
        close(closing->stall_fd);
    if (closing->own_fd >= 0)
        close(closing->own_fd);
    weir_heap_free(closing);
    *watch = NULL;
}

const struct weir_sys_sources *weir_sys_watch_sources(const weir_sys_watch *watch)
{
    return &watch->sources;
}

/* The group with the least room; more may be charged than a limit that was lowered allows. */
static void sample_groups(const weir_sys_watch *watch, struct weir_sys_pressure *pressure)
{
    int64_t least_bytes = INT64_MAX;
    for (uint32_t level = 0; level < watch->level_count; level++) {
        uint64_t limit_bytes;
        uint64_t usage_bytes;
        weir_sys_group_files_read(&watch->levels[level], &limit_bytes, &usage_bytes);
        if (limit_bytes == UINT64_MAX || (int64_t)(limit_bytes - usage_bytes) >= least_bytes)
            continue;
        least_bytes = (int64_t)(limit_bytes - usage_bytes);
        pressure->limit_bytes = limit_bytes;
        pressure->usage_bytes = usage_bytes;
        pressure->group_level = level;
    }
}

static uint64_t sample_available(const weir_sys_watch *watch)
{
    char text[512];
    uint64_t kilobytes = 0;
    if (!weir_sys_text_sample(watch->available_fd, text, sizeof(text)) ||
        !weir_sys_text_number(text, "MemAvailable", &kilobytes))
        return UINT64_MAX;
    return kilobytes * 1024;
}

/* Pages in all, resident, resident and a file's. */
static uint64_t sample_own(const weir_sys_watch *watch)
{
    char text[256];
    char *at = text;
    if (!weir_sys_text_sample(watch->own_fd, text, sizeof(text)))
        return UINT64_MAX;
    strtoull(at, &at, 10);
    const uint64_t resident = strtoull(at, &at, 10);
    const uint64_t of_files = strtoull(at, &at, 10);
    return (resident - weir_min(of_files, resident)) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* Line `some avg10=0.00 avg60=0.00 avg300=0.00 total=microseconds`. */
static uint64_t sample_stall(const weir_sys_watch *watch)
{
    char text[256];
    if (!weir_sys_text_sample(watch->stall_fd, text, sizeof(text)) ||
        strncmp(text, "some ", 5) != 0)
        return 0;
    const char *total = strstr(text, " total=");
    return total == NULL ? 0 : strtoull(total + strlen(" total="), NULL, 10);
}

void weir_sys_watch_sample(weir_sys_watch *watch, struct weir_sys_pressure *pressure)
{
    struct rusage usage = {0};
    *pressure =
        (struct weir_sys_pressure){.limit_bytes = UINT64_MAX, .own_least_bytes = sample_own(watch)};
    sample_groups(watch, pressure);
    pressure->available_bytes = sample_available(watch);
    pressure->own_most_bytes = weir_max(sample_own(watch), pressure->own_least_bytes);
    pressure->stall_us = sample_stall(watch);
    pressure->stall_is_machine = watch->stall_is_machine;
    getrusage(RUSAGE_SELF, &usage);
    pressure->major_faults = (uint64_t)usage.ru_majflt;
}
