/* io_files.c - files to read, scratch files, kept ones: direct where they can be, and why where
 * not. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/heap.h"
#include "io/io_internal.h"
#include "sys/sys.h"

/* A file system may take the flag and refuse the read: only a read proves it. 0 or an errno.
 * room holds an aligned page somewhere. */
static int probe_direct(int fd, uint8_t *room)
{
    if ((weir_io_refused() & WEIR_IO_REFUSE_DIRECT) != 0)
        return EINVAL;
    const uint64_t lead_bytes = weir_align_up((uintptr_t)room, WEIR_IO_ALIGN) - (uintptr_t)room;
    const int32_t found = weir_io_perform(
        (struct weir_io_range){.fd = fd, .dst = room + lead_bytes, .bytes = WEIR_IO_ALIGN});
    return found < 0 ? -found : 0;
}

/* Open for direct reads; when that is refused, *os_errno says why and the result is -1. */
static int open_direct(const char *path, uint8_t *room, int *os_errno)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_DIRECT);
    if (fd < 0) {
        *os_errno = errno;
        return -1;
    }
    *os_errno = probe_direct(fd, room);
    if (*os_errno == 0)
        return fd;
    close(fd);
    return -1;
}

/* Each reason once, however many files give it. */
static void add_reason(struct weir_io_mode *mode, const char *reason)
{
    const size_t used = strlen(mode->why);
    if (strstr(mode->why, reason) == NULL)
        snprintf(mode->why + used, sizeof(mode->why) - used, "%s%s", used > 0 ? "; " : "", reason);
}

/* Pages that are read or written through the page cache are given back one by one: read-ahead would
 * fill it with what nobody asked for. */
static void use_page_cache(weir_io *io, int fd, int os_errno)
{
    char reason[120] = "buffered reads were asked for";
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    io->mode.direct = false;
    if (!io->config.buffered)
        snprintf(reason, sizeof(reason),
                 "direct reads refused (%s), reading through the page cache", strerror(os_errno));
    add_reason(&io->mode, reason);
}

static enum weir_status open_file(weir_io *io, struct weir_io_file *file, const char *path,
                                  uint8_t *room, struct weir_err *err)
{
    int os_errno = 0;
    file->fd = io->config.buffered ? -1 : open_direct(path, room, &os_errno);
    file->direct = file->fd >= 0;
    if (file->fd < 0)
        file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0)
        return WEIR_FAIL_OS(err, errno, "open %s", path);
    const off_t end = lseek(file->fd, 0, SEEK_END);
    if (end < 0) {
        close(file->fd);
        return WEIR_FAIL_OS(err, errno, "find the size of %s", path);
    }
    file->file_bytes = (uint64_t)end;
    if (!file->direct)
        use_page_cache(io, file->fd, os_errno);
    return WEIR_OK;
}

/* Without a name, or with one for a moment where the file system knows no other way. */
static int open_unnamed(const char *folder)
{
    char name[4096];
    int fd = -1;
    errno = EOPNOTSUPP;
    if ((weir_io_refused() & WEIR_IO_REFUSE_UNNAMED) == 0)
        fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
        return fd;
    if (snprintf(name, sizeof(name), "%s/.weir-XXXXXX", folder) >= (int)sizeof(name)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    fd = mkostemp(name, O_CLOEXEC);
    if (fd >= 0)
        unlink(name);
    return fd;
}

/* Have room for all bytes now. 0 or an errno. */
static int reserve_bytes(weir_io *io, int fd, const char *folder, uint64_t bytes)
{
    struct rlimit limit;
    struct weir_sys_filesystem filesystem;
    int os_errno = EOPNOTSUPP;
    /* The kernel would answer with a signal that ends the process. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur)
        return EFBIG;
    /* Before anything is reserved: a reservation that fails takes all that is free for a moment,
     * and others' writes fail meanwhile. */
    if (weir_sys_filesystem_get(folder, &filesystem) && filesystem.free_bytes < bytes)
        return ENOSPC;
    if ((weir_io_refused() & WEIR_IO_REFUSE_RESERVE) == 0)
        do
            os_errno = fallocate(fd, 0, 0, (off_t)bytes) == 0 ? 0 : errno;
        while (os_errno == EINTR);
    if (os_errno != EOPNOTSUPP && os_errno != ENOSYS)
        return os_errno;
    add_reason(&io->mode, "a scratch file's space cannot be reserved: the disk may fill up later");
    return ftruncate(fd, (off_t)bytes) == 0 ? 0 : errno;
}

/* Past the page cache from here on, if the file system lets us. 0 or an errno. */
static int make_direct(int fd, uint8_t *room)
{
    const int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_DIRECT) != 0)
        return errno;
    const int os_errno = probe_direct(fd, room);
    if (os_errno != 0)
        fcntl(fd, F_SETFL, flags);
    return os_errno;
}

static enum weir_status open_scratch(weir_io *io, struct weir_io_file *file, const char *folder,
                                     uint8_t *room, struct weir_err *err)
{
    struct weir_sys_filesystem filesystem = {0};
    char size[32];
    char left[32];
    file->fd = open_unnamed(folder);
    if (file->fd < 0)
        return WEIR_FAIL_OS(err, errno, "open a scratch file in %s", folder);
    int os_errno = reserve_bytes(io, file->fd, folder, file->file_bytes);
    if (os_errno != 0) {
        close(file->fd);
        weir_sys_filesystem_get(folder, &filesystem);
        return WEIR_FAIL_OS(err, os_errno, "%s: wanted %s (%llu bytes) for a scratch file, %s free",
                            folder, weir_format_size(file->file_bytes, size, sizeof(size)),
                            (unsigned long long)file->file_bytes,
                            weir_format_size(filesystem.free_bytes, left, sizeof(left)));
    }
    os_errno = io->config.buffered ? EINVAL : make_direct(file->fd, room);
    file->direct = os_errno == 0;
    file->is_writable = true;
    if (!file->direct)
        use_page_cache(io, file->fd, os_errno);
    return WEIR_OK;
}

static enum weir_status open_kept(weir_io *io, struct weir_io_file *file, const char *path,
                                  uint8_t *room, struct weir_err *err)
{
    file->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (file->fd < 0)
        return WEIR_FAIL_OS(err, errno, "open %s", path);
    int os_errno = weir_io_kept_check(file->fd, &file->file_bytes);
    if (os_errno == 0)
        os_errno = weir_io_kept_lock(file->fd);
    if (os_errno != 0) {
        close(file->fd);
        return WEIR_FAIL_OS(err, os_errno, "open %s as a file of this process alone", path);
    }
    os_errno = io->config.buffered ? EINVAL : make_direct(file->fd, room);
    file->direct = os_errno == 0;
    file->is_writable = true;
    if (!file->direct)
        use_page_cache(io, file->fd, os_errno);
    return WEIR_OK;
}

typedef enum weir_status open_fn(weir_io *io, struct weir_io_file *file, const char *path,
                                 uint8_t *room, struct weir_err *err);

static enum weir_status add_file(weir_io *io, const struct weir_io_file *wanted, open_fn *open_it,
                                 const char *path, uint32_t *file, struct weir_err *err)
{
    if (io->file_count == WEIR_IO_FILE_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "more than %d files", WEIR_IO_FILE_MAX);
    struct weir_io_file *added = &io->files[io->file_count];
    char *copy = weir_heap_text(path);
    uint8_t *room = weir_heap_alloc(2 * WEIR_IO_ALIGN);
    *added = *wanted;
    const enum weir_status status =
        copy == NULL || room == NULL ? WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to open %s", path)
                                     : open_it(io, added, path, room, err);
    weir_heap_free(room);
    if (status != WEIR_OK) {
        weir_heap_free(copy);
        return status;
    }
    added->path = copy;
    *file = io->file_count++;
    return WEIR_OK;
}

enum weir_status weir_io_open(weir_io *io, const char *path, uint32_t *file, struct weir_err *err)
{
    return add_file(io, &(struct weir_io_file){0}, open_file, path, file, err);
}

enum weir_status weir_io_open_scratch(weir_io *io, const char *folder, uint64_t bytes,
                                      uint32_t *file, struct weir_err *err)
{
    WEIR_ASSERT(bytes > 0 && bytes % WEIR_IO_ALIGN == 0 && bytes <= INT64_MAX);
    return add_file(io, &(struct weir_io_file){.file_bytes = bytes}, open_scratch, folder, file,
                    err);
}

enum weir_status weir_io_open_kept(weir_io *io, const char *path, uint32_t *file,
                                   struct weir_err *err)
{
    return add_file(io, &(struct weir_io_file){0}, open_kept, path, file, err);
}

enum weir_status weir_io_resize(weir_io *io, uint32_t file, uint64_t bytes, struct weir_err *err)
{
    struct rlimit limit;
    char size[32];
    struct weir_io_file *at = &io->files[file];
    WEIR_ASSERT(file < io->file_count && at->is_writable && bytes % WEIR_IO_ALIGN == 0);
    /* A write past the limit ends the process. */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && bytes > limit.rlim_cur)
        return WEIR_FAIL_OS(err, EFBIG, "%s: wanted %s, files may have %llu bytes (ulimit -f)",
                            at->path, weir_format_size(bytes, size, sizeof(size)),
                            (unsigned long long)limit.rlim_cur);
    if (ftruncate(at->fd, (off_t)bytes) != 0)
        return WEIR_FAIL_OS(err, errno, "%s: make it %s long", at->path,
                            weir_format_size(bytes, size, sizeof(size)));
    at->file_bytes = bytes;
    return WEIR_OK;
}

const char *weir_io_file_path(const weir_io *io, uint32_t file)
{
    WEIR_ASSERT(file < io->file_count);
    return io->files[file].path;
}

uint64_t weir_io_file_bytes(const weir_io *io, uint32_t file)
{
    WEIR_ASSERT(file < io->file_count);
    return io->files[file].file_bytes;
}
