/* cgroup.c - our control groups, version 1 or 2: where they are, and the CPU time they allow.
 *
 * /proc/self/cgroup names our group inside its tree, /proc/self/mountinfo says where that tree is
 * mounted and which part of it: in a container the mount often begins at our own group. Every group
 * from ours up to the mount point may limit us. Where one of the two cannot be read, the trees are
 * looked for where systems mount them.
 * Source: cgroups(7), proc(5), cgroup-v2.rst.
 */
#include "sys/sys_internal.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096 };

static FILE *open_text(const char *root, const char *path)
{
    char name[2 * WEIR_SYS_PATH_MAX];
    snprintf(name, sizeof(name), "%s%s", root, path);
    return fopen(name, "re");
}

/* Our path in the tree that governs the controller; -1 when that cannot be read. A version 1 tree
 * that lists the controller has it; otherwise the one version 2 tree may. Lines are
 * `id:controllers:path`. */
static int find_own_path(const char *root, const char *controller, char *path, size_t capacity)
{
    char line[LINE_MAX_BYTES];
    int version = 0;
    FILE *file = open_text(root, "/proc/self/cgroup");
    path[0] = '\0';
    if (file == NULL)
        return -1;
    while (version != 1 && fgets(line, sizeof(line), file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *own = controllers == NULL ? NULL : strchr(controllers + 1, ':');
        if (own == NULL)
            continue;
        *own++ = '\0';
        *controllers++ = '\0';
        int found = 0;
        if (weir_sys_text_has_word(controllers, ',', controller))
            found = 1;
        else if (*controllers == '\0' && strcmp(line, "0") == 0)
            found = 2;
        if (found == 0 || strlen(own) >= capacity)
            continue;
        version = found;
        memcpy(path, own, strlen(own) + 1);
    }
    fclose(file);
    return version;
}

/* mountinfo writes blanks and backslashes as three octal digits. */
static void decode_octal(char *text)
{
    char *out = text;
    for (const char *in = text; *in != '\0';) {
        const bool escaped = in[0] == '\\' && in[1] >= '0' && in[1] <= '3' && in[2] >= '0' &&
                             in[2] <= '7' && in[3] >= '0' && in[3] <= '7';
        if (escaped) {
            *out++ = (char)((in[1] - '0') * 64 + (in[2] - '0') * 8 + (in[3] - '0'));
            in += 4;
        } else {
            *out++ = *in++;
        }
    }
    *out = '\0';
}

/* The root and mount point of one mountinfo line when it mounts the tree that is wanted:
 * `id parent major:minor root mount options [optional...] - type source super-options`. */
static bool parse_mount(char *line, int version, const char *controller, char **tree, char **mount)
{
    char *tail = strstr(line, " - ");
    if (tail == NULL)
        return false;
    *tail = '\0';
    char *rest = NULL;
    const char *type = strtok_r(tail + 3, " \n", &rest);
    const char *source = strtok_r(NULL, " \n", &rest);
    const char *options = strtok_r(NULL, " \n", &rest);
    if (type == NULL || source == NULL || options == NULL)
        return false;
    if (version == 2 && strcmp(type, "cgroup2") != 0)
        return false;
    if (version == 1 &&
        (strcmp(type, "cgroup") != 0 || !weir_sys_text_has_word(options, ',', controller)))
        return false;
    const char *field = strtok_r(line, " ", &rest);
    for (int skipped = 0; skipped < 2 && field != NULL; skipped++)
        field = strtok_r(NULL, " ", &rest);
    *tree = field == NULL ? NULL : strtok_r(NULL, " ", &rest);
    *mount = *tree == NULL ? NULL : strtok_r(NULL, " ", &rest);
    if (*mount == NULL)
        return false;
    decode_octal(*tree);
    decode_octal(*mount);
    return true;
}

/* What of our path lies below the mounted part of the tree; empty when none of it is visible. */
static const char *path_below(const char *path, const char *tree)
{
    const size_t length = strcmp(tree, "/") == 0 ? 0 : strlen(tree);
    if (strncmp(path, tree, length) != 0 || (path[length] != '/' && path[length] != '\0'))
        return "";
    if (strstr(path, "/..") != NULL) /* a group above our namespace's root: out of sight */
        return "";
    return strcmp(path + length, "/") == 0 ? "" : path + length;
}

/* Where the tree is mounted, and our folder in it. */
static bool find_mount(const char *root, const char *controller, const char *path,
                       struct weir_sys_group *group)
{
    char line[LINE_MAX_BYTES];
    bool found = false;
    FILE *file = open_text(root, "/proc/self/mountinfo");
    while (file != NULL && !found && fgets(line, sizeof(line), file) != NULL) {
        char *tree = NULL;
        char *mount = NULL;
        if (!parse_mount(line, group->version, controller, &tree, &mount))
            continue;
        const char *below = path_below(path, tree);
        const int length =
            snprintf(group->directory, sizeof(group->directory), "%s%s", mount, below);
        found = length >= 0 && (size_t)length < sizeof(group->directory);
        group->mount_length = strlen(mount);
    }
    if (file != NULL)
        fclose(file);
    return found;
}

static bool is_there(const char *root, const char *directory, const char *name)
{
    char path[3 * WEIR_SYS_PATH_MAX];
    snprintf(path, sizeof(path), "%s%s%s", root, directory, name);
    return access(path, F_OK) == 0;
}

/* The usual place of the tree, and our path in it when that is known and there; the top of the tree
 * is our own group in most containers. */
static bool guess_mount(const char *root, const char *controller, const char *path,
                        struct weir_sys_group *group)
{
    char mount[64] = "/sys/fs/cgroup";
    if (group->version != 1 && is_there(root, mount, "/cgroup.controllers")) {
        group->version = 2;
    } else if (group->version != 2) {
        snprintf(mount, sizeof(mount), "/sys/fs/cgroup/%s", controller);
        group->version = 1;
    }
    if (!is_there(root, mount, "/cgroup.procs"))
        return false;
    const bool is_ours = path[0] != '\0' && strcmp(path, "/") != 0 && is_there(root, mount, path);
    const int length =
        snprintf(group->directory, sizeof(group->directory), "%s%s", mount, is_ours ? path : "");
    group->mount_length = strlen(mount);
    return length >= 0 && (size_t)length < sizeof(group->directory);
}

bool weir_sys_group_find(const char *root, const char *controller, struct weir_sys_group *group)
{
    char path[WEIR_SYS_PATH_MAX];
    memset(group, 0, sizeof(*group));
    const int version = find_own_path(root, controller, path, sizeof(path));
    if (version == 0) {
        group->why = "no control group of ours has this controller";
        return false;
    }
    group->version = version < 0 ? 0 : version;
    if (version > 0 && find_mount(root, controller, path, group))
        return true;
    group->why = version < 0 ? "/proc/self/cgroup cannot be read"
                             : "/proc/self/mountinfo does not say where control groups are";
    return guess_mount(root, controller, path, group);
}

bool weir_sys_group_up(struct weir_sys_group *group)
{
    char *slash = strrchr(group->directory, '/');
    if (slash == NULL || strlen(group->directory) <= group->mount_length)
        return false;
    *slash = '\0';
    return true;
}

static bool read_group_file(const char *root, const struct weir_sys_group *group, const char *name,
                            char *out, size_t capacity)
{
    char path[WEIR_SYS_PATH_MAX + 64];
    snprintf(path, sizeof(path), "%s/%s", group->directory, name);
    return weir_sys_text_read(root, path, out, capacity);
}

/* A file's number. UINT64_MAX for "max", for version 1's -1 and for no such file. */
static uint64_t read_number(const char *root, const struct weir_sys_group *group, const char *name)
{
    char text[64];
    if (!read_group_file(root, group, name, text, sizeof(text)) || !isdigit((unsigned char)*text))
        return UINT64_MAX;
    return strtoull(text, NULL, 10);
}

/* One group's quota: version 1 in two files, version 2 as "quota period" in one. */
static bool read_cpu_quota(const char *root, const struct weir_sys_group *group, uint64_t *quota_us,
                           uint64_t *period_us)
{
    char text[64];
    if (group->version == 1) {
        *quota_us = read_number(root, group, "cpu.cfs_quota_us");
        *period_us = read_number(root, group, "cpu.cfs_period_us");
    } else {
        if (!read_group_file(root, group, "cpu.max", text, sizeof(text)) ||
            !isdigit((unsigned char)*text))
            return false;
        char *end = NULL;
        *quota_us = strtoull(text, &end, 10);
        *period_us = strtoull(end, NULL, 10);
    }
    return *quota_us != UINT64_MAX && *period_us != UINT64_MAX && *quota_us > 0 && *period_us > 0;
}

uint32_t weir_sys_group_cpu_quota(const char *root)
{
    struct weir_sys_group group;
    uint64_t n_cpu = UINT64_MAX;
    if (!weir_sys_group_find(root, "cpu", &group))
        return 0;
    do {
        uint64_t quota_us = 0;
        uint64_t period_us = 0;
        if (read_cpu_quota(root, &group, &quota_us, &period_us))
            n_cpu = weir_min(n_cpu, (quota_us + period_us - 1) / period_us);
    } while (weir_sys_group_up(&group));
    return n_cpu > UINT32_MAX ? 0 : (uint32_t)n_cpu;
}
