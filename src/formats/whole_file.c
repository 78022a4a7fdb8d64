/* whole_file.c - a file from front to back, of which nobody sees a part.
 *
 * I1  PATH.unfinished begins with a mark of its own until all else is durable.
 * I2  A mark is written behind what it says is there.
 * I3  At most a window and a half of the file is in the page cache on its way to the disk. */
#include "formats/whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "sys/sys.h"

enum {
    MARK_MAGIC = 0x72696577,    /* "weir" */
    MARK_VERSION = 1 << 24 | 3, /* of no GGUF file */
    BUFFER_BYTES = 1 << 20,
    WINDOW_BYTES = 8 << 20,
};
_Static_assert(BUFFER_BYTES + 3 * WINDOW_BYTES / 2 == WEIR_WHOLE_BYTES, "what is promised");
/* Between two marks, each of which waits for the disk. */
#define MARK_STEP_BYTES (UINT64_C(256) << 20)

struct mark {
    uint32_t magic, version;
    uint64_t done, stamp;
};
_Static_assert(sizeof(struct mark) == WEIR_WHOLE_HEADER_BYTES, "in the header's place");

/* ---- bytes ----------------------------------------------------------------------------------- */

static void fail_write(struct weir_whole_file *file, int os_errno)
{
    WEIR_FAIL_OS(&file->failure, os_errno, "cannot write %s", file->unfinished);
}

/* 0 or an errno. */
static int write_at(int fd, const void *bytes, uint64_t length, uint64_t offset)
{
    const uint8_t *from = bytes;
    while (length > 0) {
        const ssize_t count = pwrite(fd, from, length, (off_t)offset);
        if (count < 0 && errno == EINTR)
            continue;
        if (count <= 0)
            return count < 0 ? errno : ENOSPC;
        from += count;
        offset += (uint64_t)count;
        length -= (uint64_t)count;
    }
    return 0;
}

/* Keeps I3: the disk is at work on what was written last while more comes. A file system that
 * cannot do this says so at fsync, if it matters. */
static void send_pages(struct weir_whole_file *file, uint64_t bytes)
{
    const off_t first = (off_t)file->synced_at;
    sync_file_range(file->fd, (off_t)(file->at - bytes), (off_t)bytes, SYNC_FILE_RANGE_WRITE);
    if (file->at - file->synced_at < WINDOW_BYTES)
        return;
    sync_file_range(file->fd, first, WINDOW_BYTES / 2,
                    SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                        SYNC_FILE_RANGE_WAIT_AFTER);
    posix_fadvise(file->fd, first, WINDOW_BYTES / 2, POSIX_FADV_DONTNEED);
    file->synced_at += WINDOW_BYTES / 2;
}

static void write_out(struct weir_whole_file *file, const void *bytes, uint64_t length)
{
    const uint8_t *from = bytes;
    if (file->fd < 0) { /* they are counted */
        file->at += length;
        return;
    }
    while (length > 0 && file->failure.status == WEIR_OK) {
        const uint64_t step = weir_min(length, WINDOW_BYTES / 2);
        const int os_errno = write_at(file->fd, from, step, file->at);
        if (os_errno != 0) {
            fail_write(file, os_errno);
            return;
        }
        from += step;
        length -= step;
        file->at += step;
        send_pages(file, step);
    }
}

void weir_whole_flush(struct weir_whole_file *file)
{
    const uint64_t held = file->held;
    file->held = 0;
    write_out(file, file->buffer, held);
}

void weir_whole_put(struct weir_whole_file *file, const void *bytes, uint64_t length)
{
    if (file->failure.status != WEIR_OK)
        return;
    if (file->held + length > BUFFER_BYTES)
        weir_whole_flush(file);
    if (length > BUFFER_BYTES) {
        write_out(file, bytes, length);
        return;
    }
    if (length > 0)
        memcpy(file->buffer + file->held, bytes, length);
    file->held += length;
}

void weir_whole_put_zeros(struct weir_whole_file *file, uint64_t count)
{
    static const uint8_t zeros[4096];
    for (; count > 0 && file->failure.status == WEIR_OK; count -= weir_min(count, sizeof(zeros)))
        weir_whole_put(file, zeros, weir_min(count, sizeof(zeros)));
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Links are followed, so that what they lead to is replaced and not they. */
static enum weir_status name_files(struct weir_whole_file *file, const char *path,
                                   struct weir_err *err)
{
    struct weir_sys_identity found;
    char target[WEIR_WHOLE_PATH_BYTES];
    weir_sys_identity_get(path, &found);
    if (found.is_there && !found.is_file)
        return WEIR_FAIL_OS(err, found.is_folder ? EISDIR : EINVAL,
                            "cannot write %s: wanted an ordinary file, or none yet", path);
    if (strlen(path) >= WEIR_WHOLE_PATH_BYTES)
        return WEIR_FAIL_OS(err, ENAMETOOLONG, "cannot write %s", path);
    snprintf(target, sizeof(target), "%s", path);
    if (found.is_there && realpath(path, target) == NULL)
        return WEIR_FAIL_OS(err, errno, "cannot write %s", path);
    memcpy(file->path, target, sizeof(target));
    snprintf(file->unfinished, sizeof(file->unfinished), "%s.unfinished", target);
    return WEIR_OK;
}

/* What somebody before us left there; keeps I1. */
static enum weir_status read_mark(struct weir_whole_file *file, struct weir_err *err)
{
    struct mark mark = {0};
    const off_t end = lseek(file->fd, 0, SEEK_END);
    const ssize_t count = pread(file->fd, &mark, sizeof(mark), 0);
    if (end < 0 || count < 0)
        return WEIR_FAIL_OS(err, errno, "cannot read %s", file->unfinished);
    if (end > 0 && (mark.magic != MARK_MAGIC || mark.version != MARK_VERSION))
        return WEIR_FAIL_OS(err, EEXIST,
                            "cannot write %s: it is no unfinished file of weir's; move it away",
                            file->unfinished);
    file->old_bytes = (uint64_t)end;
    if (count == (ssize_t)sizeof(mark)) {
        file->old_done = mark.done;
        file->old_stamp = mark.stamp;
    }
    return WEIR_OK;
}

static bool is_still_named(const struct weir_whole_file *file)
{
    struct weir_sys_identity ours, named;
    char by_number[64];
    snprintf(by_number, sizeof(by_number), "/proc/self/fd/%d", file->fd);
    weir_sys_identity_get(by_number, &ours);
    weir_sys_identity_get(file->unfinished, &named);
    return !ours.is_there ||
           (named.is_there && ours.device_id == named.device_id && ours.number == named.number);
}

static enum weir_status open_file(struct weir_whole_file *file, struct weir_err *err)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    file->fd = open(file->unfinished, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (file->fd < 0)
        return WEIR_FAIL_OS(err, errno, "cannot write %s", file->unfinished);
    /* Whoever held the lock may just have given the file its last name. */
    if (fcntl(file->fd, F_OFD_SETLK, &lock) != 0 || !is_still_named(file)) {
        close(file->fd);
        file->fd = -1;
        return WEIR_FAIL_OS(err, EAGAIN, "%s is being written by another process; wait for it",
                            file->path);
    }
    const enum weir_status status = read_mark(file, err);
    if (status != WEIR_OK) {
        close(file->fd);
        file->fd = -1;
    }
    return status;
}

/* The mark says of nothing yet that it is whole; what is behind it may still be of use. */
static void begin_file(struct weir_whole_file *file)
{
    const struct mark mark = {MARK_MAGIC, MARK_VERSION, 0, 0};
    if (!file->is_kept && ftruncate(file->fd, 0) != 0) {
        fail_write(file, errno);
        return;
    }
    const int os_errno = write_at(file->fd, &mark, sizeof(mark), 0);
    if (os_errno != 0)
        fail_write(file, os_errno);
    file->at = file->synced_at = WEIR_WHOLE_HEADER_BYTES;
}

enum weir_status weir_whole_open(struct weir_whole_file *file, const char *path, bool is_kept,
                                 struct weir_err *err)
{
    *file = (struct weir_whole_file){.fd = -1, .is_kept = is_kept};
    enum weir_status status = path == NULL ? WEIR_OK : name_files(file, path, err);
    if (status != WEIR_OK)
        return status;
    file->buffer = weir_heap_alloc(BUFFER_BYTES);
    status = file->buffer == NULL ? WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory to write %s",
                                              path == NULL ? "a file" : path)
             : path == NULL       ? WEIR_OK
                                  : open_file(file, err);
    if (status == WEIR_OK && path == NULL)
        file->at = WEIR_WHOLE_HEADER_BYTES;
    else if (status == WEIR_OK)
        begin_file(file);
    else
        weir_heap_free(file->buffer), file->buffer = NULL;
    return status;
}

void weir_whole_close(struct weir_whole_file *file)
{
    if (file->buffer == NULL)
        return;
    if (file->fd >= 0 && !file->is_kept)
        unlink(file->unfinished);
    if (file->fd >= 0)
        close(file->fd);
    weir_heap_free(file->buffer);
    file->buffer = NULL;
}

uint64_t weir_whole_at(const struct weir_whole_file *file)
{
    return file->at + file->held;
}

void weir_whole_skip(struct weir_whole_file *file, uint64_t at)
{
    WEIR_ASSERT(file->held == 0 && at >= file->at);
    file->at = file->synced_at = file->marked_at = at;
}

void weir_whole_reserve(struct weir_whole_file *file, uint64_t file_bytes)
{
    char wanted[32], left[32];
    struct weir_sys_filesystem filesystem = {0};
    if (file->fd < 0)
        return;
    int os_errno = weir_sys_room_check(file->unfinished, file->old_bytes, file_bytes);
    if (os_errno == 0)
        do
            os_errno = fallocate(file->fd, 0, 0, (off_t)file_bytes) == 0 ? 0 : errno;
        while (os_errno == EINTR);
    if (os_errno == 0 || os_errno == EOPNOTSUPP || os_errno == ENOSYS)
        return;
    weir_sys_filesystem_get(file->unfinished, &filesystem);
    WEIR_FAIL_OS(&file->failure, os_errno, "cannot write %s: wanted %s (%llu bytes), %s free",
                 file->path, weir_format_size(file_bytes, wanted, sizeof(wanted)),
                 (unsigned long long)file_bytes,
                 weir_format_size(filesystem.free_bytes + file->old_bytes, left, sizeof(left)));
}

bool weir_whole_wants_mark(const struct weir_whole_file *file)
{
    return file->is_kept && weir_whole_at(file) - file->marked_at >= MARK_STEP_BYTES;
}

void weir_whole_mark(struct weir_whole_file *file, uint64_t done, uint64_t stamp)
{
    const struct mark mark = {MARK_MAGIC, MARK_VERSION, done, stamp};
    weir_whole_flush(file);
    if (file->failure.status != WEIR_OK)
        return;
    int os_errno = fdatasync(file->fd) == 0 ? 0 : errno; /* keeps I2 */
    if (os_errno == 0)
        os_errno = write_at(file->fd, &mark, sizeof(mark), 0);
    if (os_errno != 0)
        fail_write(file, os_errno);
    file->marked_at = file->at;
}

/* ---- the end --------------------------------------------------------------------------------- */

/* The name is durable when its folder is; a file system that cannot sync one has its own rules. */
static void sync_folder(const struct weir_whole_file *file)
{
    char folder[WEIR_WHOLE_PATH_BYTES + 2];
    const char *slash = strrchr(file->path, '/');
    snprintf(folder, sizeof(folder), "%.*s.", slash == NULL ? 0 : (int)(slash + 1 - file->path),
             file->path);
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd);
    close(fd);
}

/* Keeps I1: the header last. 0 or an errno. */
static int make_whole(struct weir_whole_file *file, const void *header, uint64_t file_bytes)
{
    if (ftruncate(file->fd, (off_t)file_bytes) != 0 || fsync(file->fd) != 0)
        return errno;
    const int os_errno = write_at(file->fd, header, WEIR_WHOLE_HEADER_BYTES, 0);
    if (os_errno != 0)
        return os_errno;
    return fsync(file->fd) == 0 ? 0 : errno;
}

void weir_whole_seal(struct weir_whole_file *file, const void *header, uint64_t file_bytes)
{
    weir_whole_put_zeros(file, file_bytes - weir_min(weir_whole_at(file), file_bytes));
    weir_whole_flush(file);
    if (file->failure.status != WEIR_OK)
        return;
    const int os_errno = make_whole(file, header, file_bytes);
    if (os_errno != 0)
        fail_write(file, os_errno);
    posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
    file->is_kept = false; /* what is whole and wrong is of no use to anybody */
}

enum weir_status weir_whole_name(struct weir_whole_file *file, struct weir_err *err)
{
    if (rename(file->unfinished, file->path) != 0)
        return WEIR_FAIL_OS(err, errno, "cannot give %s its name %s", file->unfinished, file->path);
    file->is_kept = true; /* there is nothing left to remove */
    sync_folder(file);
    return WEIR_OK;
}
