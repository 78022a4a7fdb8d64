/* io_kept.c - files that were kept, as others see them: whose they are, and one made shorter. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/io_internal.h"

/* What others could have written in is not what we wrote. 0 or an errno. */
int weir_io_kept_check(int fd, uint64_t *file_bytes)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0)
        return errno;
    if (!S_ISREG(facts.st_mode))
        return EINVAL;
    *file_bytes = (uint64_t)facts.st_size;
    return facts.st_uid == geteuid() && facts.st_nlink == 1 && (facts.st_mode & 077) == 0 ? 0
                                                                                          : EPERM;
}

int weir_io_kept_lock(int fd)
{
    struct flock whole = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    return fcntl(fd, F_OFD_SETLK, &whole) == 0 ? 0 : errno;
}

/* Open for a look; begins with that, and is ours. A descriptor, or -1. */
static int open_ours(const char *path, const void *begin, size_t count, uint64_t *file_bytes)
{
    char found[WEIR_IO_KEPT_BEGIN_MAX];
    WEIR_ASSERT(count <= sizeof(found));
    const int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0)
        return -1;
    /* Its first page comes into the page cache, and nothing behind it. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_RANDOM);
    const bool is_ours = weir_io_kept_check(fd, file_bytes) == 0 &&
                         pread(fd, found, count, 0) == (ssize_t)count &&
                         memcmp(found, begin, count) == 0;
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    if (is_ours)
        return fd;
    close(fd);
    return -1;
}

/* What it takes of the disk: it may have holes. */
static uint64_t disk_bytes_of(int fd)
{
    struct stat facts;
    return fstat(fd, &facts) == 0 ? (uint64_t)facts.st_blocks * 512 : 0;
}

bool weir_io_kept_is_ours(const char *path, const void *begin, size_t count, uint64_t *disk_bytes)
{
    uint64_t file_bytes = 0;
    const int fd = open_ours(path, begin, count, &file_bytes);
    if (fd < 0)
        return false;
    *disk_bytes = disk_bytes_of(fd);
    close(fd);
    return true;
}

/* From its end, where holes give nothing; it is as old as before. 0 or an errno. */
static int give_end(int fd, uint64_t bytes, uint64_t least_bytes, bool *is_all)
{
    struct stat facts;
    if (fstat(fd, &facts) != 0)
        return errno;
    const uint64_t before_bytes = disk_bytes_of(fd);
    uint64_t left_bytes = (uint64_t)facts.st_size, given_bytes = 0;
    while (given_bytes < bytes && left_bytes > least_bytes) {
        left_bytes -= weir_min(left_bytes, bytes - given_bytes);
        left_bytes = weir_align_down(left_bytes, WEIR_IO_ALIGN);
        if (left_bytes > least_bytes && ftruncate(fd, (off_t)left_bytes) != 0)
            return errno;
        given_bytes = before_bytes - disk_bytes_of(fd);
    }
    const struct timespec times[2] = {facts.st_atim, facts.st_mtim};
    (void)futimens(fd, times); /* refused, it only seems newer */
    *is_all = left_bytes <= least_bytes;
    return 0;
}

int weir_io_kept_shrink(const char *path, const void *begin, size_t count, uint64_t bytes,
                        uint64_t least_bytes, bool *is_gone)
{
    uint64_t file_bytes = 0;
    const int fd = open_ours(path, begin, count, &file_bytes);
    *is_gone = false;
    if (fd < 0)
        return ENOENT;
    int os_errno = weir_io_kept_lock(fd);
    if (os_errno == 0)
        os_errno = give_end(fd, bytes, least_bytes, is_gone);
    if (os_errno == 0 && *is_gone && unlink(path) != 0)
        os_errno = errno;
    close(fd);
    return os_errno;
}
