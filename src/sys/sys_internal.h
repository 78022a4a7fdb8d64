/* sys_internal.h - the parsers behind sys.h, each told where the system's root is.
 *
 * Tests give a folder of fixture texts as root; the public functions give "".
 */
#ifndef WEIR_SYS_INTERNAL_H
#define WEIR_SYS_INTERNAL_H

#include "sys/sys.h"

enum { WEIR_SYS_PATH_MAX = 1024 };

/* The start of root/path, at most capacity - 1 bytes, ended by NUL. False when it cannot be read
 * or is empty. */
bool weir_sys_text_read(const char *root, const char *path, char *out, size_t capacity);
/* The same of a file that stays open, from its first byte on; fd may be -1. */
bool weir_sys_text_sample(int fd, char *out, size_t capacity);
/* The number that follows key in a text of `key number` or `key: number kB` lines. */
bool weir_sys_text_number(const char *text, const char *key, uint64_t *number);
/* Is word among the words of list, which separator divides? */
bool weir_sys_text_has_word(const char *list, char separator, const char *word);

/* Our own place in the control group tree that governs a controller ("memory", "cpu"). */
struct weir_sys_group {
    int version;                       /* 1 or 2 */
    char directory[WEIR_SYS_PATH_MAX]; /* our group's folder: the mount point or below it */
    size_t mount_length;               /* how much of directory is the mount point */
    const char *why;                   /* what does not tell of it; NULL: all is known */
};

/* False when there is none to be seen: why says what does not tell of it. */
bool weir_sys_group_find(const char *root, const char *controller, struct weir_sys_group *group);
/* Go to the group above. False at the mount point. */
bool weir_sys_group_up(struct weir_sys_group *group);

/* The files that tell a group's memory, open; -1 where there is none. */
enum weir_sys_group_file {
    WEIR_SYS_GROUP_STAT,
    WEIR_SYS_GROUP_USAGE,
    WEIR_SYS_GROUP_LIMIT,
    WEIR_SYS_GROUP_HIGH, /* version 2 */
    WEIR_SYS_GROUP_FILE_COUNT
};
struct weir_sys_group_files {
    int version;
    int fds[WEIR_SYS_GROUP_FILE_COUNT];
};

/* False when the group has none of them: it has no memory controller. */
bool weir_sys_group_files_open(const char *root, const struct weir_sys_group *group,
                               struct weir_sys_group_files *files);
void weir_sys_group_files_close(struct weir_sys_group_files *files);
/* Without a limit: UINT64_MAX and 0. Allocates nothing. */
void weir_sys_group_files_read(const struct weir_sys_group_files *files, uint64_t *limit_bytes,
                               uint64_t *usage_bytes);

/* Fills the cgroup_ fields. The result is the room that the tree leaves: the smallest of limit less
 * usage on our path, whichever group sets it; UINT64_MAX when there is no limit. */
uint64_t weir_sys_group_memory(const char *root, struct weir_sys_memory *memory);
/* The tightest CPU quota on our path in whole CPUs, rounded up; 0 when there is none. */
uint32_t weir_sys_group_cpu_quota(const char *root);

/* As their public namesakes. The first returns the room as weir_sys_group_memory does. */
uint64_t weir_sys_memory_get_at(const char *root, struct weir_sys_memory *memory);
void weir_sys_free_get_at(const char *root, struct weir_sys_free *free_memory);
uint64_t weir_sys_free_bytes_at(const char *root);
void weir_sys_machine_get_at(const char *root, struct weir_sys_machine *machine);
enum weir_status weir_sys_watch_open_at(const char *root, weir_sys_watch **out,
                                        struct weir_err *err);
/* A line of /proc/self/status such as VmHWM, in bytes; 0 when it is not there. */
uint64_t weir_sys_status_bytes_at(const char *root, const char *key);

/* How long a thread of a pool waits for a signal before it sleeps. */
extern const uint64_t weir_pool_spin_ns;

#endif
