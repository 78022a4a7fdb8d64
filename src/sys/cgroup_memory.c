/* cgroup_memory.c - the memory that our control groups, version 1 or 2, allow, and is charged.
 *
 * A group's files stay open for whoever samples them often; a single look opens and closes them.
 * Source: cgroup-v1/memory.rst, cgroup-v2.rst.
 */
#include "sys/sys_internal.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { STAT_MAX_BYTES = 8192 };

/* Version 1 writes "no limit" as the largest multiple of a page; no machine has this much. */
#define NO_LIMIT_BYTES (1ull << 62)

bool weir_sys_group_files_open(const char *root, const struct weir_sys_group *group,
                               struct weir_sys_group_files *files)
{
    /* Above memory.high the kernel slows a group down until it is useless to us: a limit too. */
    static const char *const names[2][WEIR_SYS_GROUP_FILE_COUNT] = {
        {[WEIR_SYS_GROUP_STAT] = "memory.stat",
         [WEIR_SYS_GROUP_USAGE] = "memory.usage_in_bytes",
         [WEIR_SYS_GROUP_LIMIT] = "memory.limit_in_bytes"},
        {[WEIR_SYS_GROUP_STAT] = "memory.stat",
         [WEIR_SYS_GROUP_USAGE] = "memory.current",
         [WEIR_SYS_GROUP_LIMIT] = "memory.max",
         [WEIR_SYS_GROUP_HIGH] = "memory.high"},
    };
    char path[2 * WEIR_SYS_PATH_MAX];
    bool has_one = false;
    files->version = group->version;
    for (int file = 0; file < WEIR_SYS_GROUP_FILE_COUNT; file++) {
        const char *name = names[group->version - 1][file];
        const int length =
            snprintf(path, sizeof(path), "%s%s/%s", root, group->directory, name ? name : "");
        const bool is_whole = length >= 0 && (size_t)length < sizeof(path);
        files->fds[file] = name != NULL && is_whole ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        has_one = has_one || files->fds[file] >= 0;
    }
    return has_one;
}

void weir_sys_group_files_close(struct weir_sys_group_files *files)
{
    for (int file = 0; file < WEIR_SYS_GROUP_FILE_COUNT; file++)
        if (files->fds[file] >= 0)
            close(files->fds[file]);
}

/* A file's bytes. UINT64_MAX for "max", for version 1's "no limit" and for no such file. */
static uint64_t read_bytes(int fd)
{
    char text[64];
    if (!weir_sys_text_sample(fd, text, sizeof(text)) || !isdigit((unsigned char)*text))
        return UINT64_MAX;
    const uint64_t bytes = strtoull(text, NULL, 10);
    return bytes >= NO_LIMIT_BYTES ? UINT64_MAX : bytes;
}

static uint64_t read_limit(const struct weir_sys_group_files *files, const char *stat)
{
    const uint64_t limit_bytes = read_bytes(files->fds[WEIR_SYS_GROUP_LIMIT]);
    if (files->version == 2)
        return weir_min(limit_bytes, read_bytes(files->fds[WEIR_SYS_GROUP_HIGH]));
    /* Groups above a container's mount point are out of sight, but version 1 tells their sum. */
    uint64_t above_bytes = UINT64_MAX;
    if (!weir_sys_text_number(stat, "hierarchical_memory_limit", &above_bytes) ||
        above_bytes >= NO_LIMIT_BYTES)
        above_bytes = UINT64_MAX;
    return weir_min(limit_bytes, above_bytes);
}

/* Charged bytes less the file pages, which the kernel takes back before it refuses anyone. */
static uint64_t read_usage(const struct weir_sys_group_files *files, const char *stat)
{
    const bool first = files->version == 1;
    uint64_t inactive_bytes = 0;
    uint64_t active_bytes = 0;
    const uint64_t charged_bytes = read_bytes(files->fds[WEIR_SYS_GROUP_USAGE]);
    if (charged_bytes == UINT64_MAX)
        return 0;
    weir_sys_text_number(stat, first ? "total_inactive_file" : "inactive_file", &inactive_bytes);
    weir_sys_text_number(stat, first ? "total_active_file" : "active_file", &active_bytes);
    return charged_bytes - weir_min(charged_bytes, inactive_bytes + active_bytes);
}

void weir_sys_group_files_read(const struct weir_sys_group_files *files, uint64_t *limit_bytes,
                               uint64_t *usage_bytes)
{
    char stat[STAT_MAX_BYTES];
    *limit_bytes = UINT64_MAX;
    *usage_bytes = 0;
    /* A limit counts also where nothing tells of the pages that could be taken back. */
    if (!weir_sys_text_sample(files->fds[WEIR_SYS_GROUP_STAT], stat, sizeof(stat)))
        stat[0] = '\0';
    *limit_bytes = read_limit(files, stat);
    if (*limit_bytes != UINT64_MAX)
        *usage_bytes = read_usage(files, stat);
}

uint64_t weir_sys_group_memory(const char *root, struct weir_sys_memory *memory)
{
    struct weir_sys_group group;
    struct weir_sys_group_files files;
    uint64_t room_bytes = UINT64_MAX;
    memory->cgroup_limit_bytes = UINT64_MAX;
    memory->cgroup_usage_bytes = 0;
    memory->cgroup_path[0] = '\0';
    memory->cgroup_version = 0;
    const bool is_found = weir_sys_group_find(root, "memory", &group);
    memory->cgroup_why = group.why;
    if (!is_found)
        return UINT64_MAX;
    do {
        uint64_t limit_bytes;
        uint64_t usage_bytes;
        /* The root group of version 2 has memory.stat and no limit; without the controller there
         * is neither. */
        if (!weir_sys_group_files_open(root, &group, &files))
            continue;
        memory->cgroup_version = group.version;
        weir_sys_group_files_read(&files, &limit_bytes, &usage_bytes);
        weir_sys_group_files_close(&files);
        if (limit_bytes == UINT64_MAX)
            continue;
        room_bytes = weir_min(room_bytes, limit_bytes - weir_min(limit_bytes, usage_bytes));
        if (limit_bytes < memory->cgroup_limit_bytes) {
            memory->cgroup_limit_bytes = limit_bytes;
            memory->cgroup_usage_bytes = usage_bytes;
            snprintf(memory->cgroup_path, sizeof(memory->cgroup_path), "%.255s", group.directory);
        }
    } while (weir_sys_group_up(&group));
    return room_bytes;
}
