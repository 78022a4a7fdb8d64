/* source.c - the head of a file, read as far as the parser asks. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "formats/manifest_internal.h"

enum { STEP_BYTES = 1 << 20 };

enum weir_status weir_gguf_source_open(struct gguf_source *source, struct weir_err *err)
{
    source->fd = open(source->name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (source->fd < 0)
        return WEIR_FAIL_OS(err, errno, "open %s", source->name);
    const off_t end = lseek(source->fd, 0, SEEK_END);
    if (end < 0)
        return WEIR_FAIL_OS(err, errno, "%s is not a file that can be read at any place",
                            source->name);
    uint8_t byte;
    const ssize_t found = pread(source->fd, &byte, 1, 0);
    if (found < 0)
        return WEIR_FAIL_OS(err, errno, "read %s", source->name);
    if (end == 0 && found > 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s has no size: wanted a file, found a device",
                         source->name);
    if (end == 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s is empty", source->name);
    source->file_bytes = (uint64_t)end;
    return WEIR_OK;
}

void weir_gguf_source_close(struct gguf_source *source)
{
    if (source->fd >= 0) {
        posix_fadvise(source->fd, 0, 0, POSIX_FADV_DONTNEED);
        close(source->fd);
    }
    weir_heap_free(source->bytes);
    *source = (struct gguf_source){.fd = -1, .name = source->name};
}

/* Read [length, end) of the file into the buffer, which has the room. */
static enum weir_status read_more(struct gguf_source *source, uint64_t end, struct weir_err *err)
{
    while (source->length < end) {
        const ssize_t found = pread(source->fd, source->bytes + source->length,
                                    end - source->length, (off_t)source->length);
        if (found < 0 && errno == EINTR)
            continue;
        if (found < 0)
            return WEIR_FAIL_OS(err, errno, "read %s at byte %llu", source->name,
                                (unsigned long long)source->length);
        if (found == 0)
            return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                             "%s shrank while it was read: wanted byte %llu, it ends at %llu",
                             source->name, (unsigned long long)end,
                             (unsigned long long)source->length);
        source->length += (uint64_t)found;
    }
    return WEIR_OK;
}

enum weir_status weir_gguf_source_need(struct gguf_source *source, uint64_t end, const char *what,
                                       struct weir_err *err)
{
    if (end <= source->length)
        return WEIR_OK;
    if (end > source->file_bytes)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s is cut off in %s: wanted %llu bytes, the file has %llu", source->name,
                         what, (unsigned long long)end, (unsigned long long)source->file_bytes);
    if (source->there_bytes > 0 && end > source->there_bytes) {
        source->wanted_bytes = end;
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: %s is not there yet: wanted byte %llu",
                         source->name, what, (unsigned long long)end);
    }
    if (end > WEIR_METADATA_BYTES_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "%s: its head is longer than %d bytes (%s): found %llu", source->name,
                         WEIR_METADATA_BYTES_MAX, what, (unsigned long long)end);
    if (source->fd < 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s is cut off in %s: wanted byte %llu, found %llu",
                         source->name, what, (unsigned long long)end,
                         (unsigned long long)source->length);
    /* Half as much again each time: a long vocabulary takes a dozen steps, not one for each MiB. */
    const uint64_t wanted = weir_max(end, source->length + source->length / 2);
    const uint64_t there = source->there_bytes > 0 ? source->there_bytes : source->file_bytes;
    const uint64_t length =
        weir_min(weir_align_up(weir_min(wanted, WEIR_METADATA_BYTES_MAX), STEP_BYTES), there);
    if (length > source->capacity) {
        uint8_t *bytes = weir_heap_grow(source->bytes, length);
        if (bytes == NULL)
            return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for the first %llu bytes of %s",
                             (unsigned long long)length, source->name);
        source->bytes = bytes;
        source->capacity = length;
    }
    return read_more(source, length, err);
}
