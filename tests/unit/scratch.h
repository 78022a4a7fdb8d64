/* scratch.h - where tests put files and folders: in memory where it has room, for a disk takes its
 * time with each of thousands. What is to be read past the page cache belongs in build/. */
#ifndef WEIR_TESTS_SCRATCH_H
#define WEIR_TESTS_SCRATCH_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

static inline const char *scratch_place(void)
{
    enum { WANTED_BYTES = 64 << 20 };
    struct statvfs left;
    const bool has_room = access("/dev/shm", W_OK) == 0 && statvfs("/dev/shm", &left) == 0 &&
                          left.f_bavail * left.f_frsize >= WANTED_BYTES;
    return has_room ? "/dev/shm" : "/tmp";
}

/* An empty file, or a folder, of a name that nobody else has; the caller removes it. */
static inline bool scratch_file(char *path, size_t capacity, const char *what)
{
    snprintf(path, capacity, "%s/weir-%s-XXXXXX", scratch_place(), what);
    const int fd = mkstemp(path);
    return fd >= 0 && close(fd) == 0;
}

static inline bool scratch_folder(char *path, size_t capacity, const char *what)
{
    snprintf(path, capacity, "%s/weir-%s-XXXXXX", scratch_place(), what);
    return mkdtemp(path) != NULL;
}

/* Remove a folder and the files in it. */
static inline void scratch_remove(const char *folder)
{
    char path[512];
    DIR *names = opendir(folder);
    for (struct dirent *name; names != NULL && (name = readdir(names)) != NULL;) {
        snprintf(path, sizeof(path), "%s/%s", folder, name->d_name);
        unlink(path);
    }
    if (names != NULL)
        closedir(names);
    rmdir(folder);
}

#endif
