/* files.c - buffers, and the token ids of the command line. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "source.h"

static bool buffer_reserve(struct weir_cli_buffer *buffer, size_t more)
{
    if (buffer->capacity - buffer->length > more)
        return true;
    size_t capacity = buffer->capacity + buffer->capacity / 2 + more + 1;
    char *bytes = weir_heap_grow(buffer->bytes, capacity);
    if (bytes == NULL) {
        weir_cli_say("no memory for a text of %zu bytes", buffer->length + more);
        return false;
    }
    buffer->bytes = bytes;
    buffer->capacity = capacity;
    return true;
}

bool weir_cli_buffer_append(struct weir_cli_buffer *buffer, const char *bytes, size_t length)
{
    if (!buffer_reserve(buffer, length))
        return false;
    memcpy(buffer->bytes + buffer->length, bytes, length);
    buffer->length += length;
    buffer->bytes[buffer->length] = '\0';
    return true;
}

void weir_cli_buffer_free(struct weir_cli_buffer *buffer)
{
    weir_heap_free(buffer->bytes);
    *buffer = (struct weir_cli_buffer){0};
}

bool weir_cli_file_read(struct weir_cli_buffer *buffer, const char *option, const char *path,
                        size_t most)
{
    enum { STEP = 1 << 16 };
    const bool is_input = strcmp(path, "-") == 0;
    const int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    bool ok = fd >= 0 && buffer_reserve(buffer, STEP);
    ssize_t got = ok ? 1 : -1;
    while (ok && got > 0) {
        ok = buffer_reserve(buffer, STEP);
        got = ok ? weir_cli_read(fd, buffer->bytes + buffer->length, STEP) : -1;
        buffer->length += got > 0 ? (size_t)got : 0;
        buffer->bytes[buffer->length] = '\0';
        if (buffer->length <= most)
            continue;
        weir_cli_say("%s %s: wanted at most %zu bytes, found more", option, path, most);
        ok = false;
    }
    if (got < 0 && (fd < 0 || ok))
        weir_cli_say("%s %s: cannot be read: %s", option, path,
                     weir_cli_stop_asked() ? "stopped" : weir_cli_stream_why(errno));
    if (fd >= 0 && !is_input)
        close(fd);
    return ok && got == 0;
}

bool weir_cli_ids_parse(const char *what, const char *text, uint32_t **ids, size_t *count)
{
    enum { STEP = 1024 };
    struct weir_cli_source source = {0};
    size_t found = STEP;
    *ids = NULL;
    *count = 0;
    weir_cli_source_text(&source, what, text);
    while (found == STEP) {
        uint32_t *grown = weir_heap_grow(*ids, (*count + STEP) * sizeof(**ids));
        if (grown == NULL)
            weir_cli_say("%s: no memory for %zu ids", what, *count + STEP);
        *ids = grown == NULL ? *ids : grown;
        if (grown == NULL || !weir_cli_source_next(&source, grown + *count, STEP, &found)) {
            weir_ids_free(ids);
            return false;
        }
        *count += found;
    }
    return true;
}

bool weir_cli_model_info(struct weir_model_info *info, const char *model_path)
{
    struct weir_err err = {0};
    if (weir_model_info_get(info, model_path, &err) != WEIR_OK) {
        weir_cli_fail(&err);
        return false;
    }
    if (info->status != WEIR_OK)
        weir_cli_say("%s", info->missing[0]);
    return info->status == WEIR_OK;
}

bool weir_cli_ids_check(const char *what, const char *model_path, const uint32_t *ids, size_t count)
{
    struct weir_model_info info;
    if (!weir_cli_model_info(&info, model_path))
        return false;
    for (size_t index = 0; index < count; index++)
        if (ids[index] >= info.n_vocab) {
            weir_cli_say("%s: wanted ids from 0 to %u, found %u as number %zu", what,
                         info.n_vocab - 1, ids[index], index + 1);
            return false;
        }
    return true;
}
