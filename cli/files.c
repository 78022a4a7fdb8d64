/* files.c - texts and token ids in, files out that are whole or not there. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/heap.h"
#include "cli.h"

enum { READ_BYTES = 1 << 16 };

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

uint64_t weir_cli_text_bytes_max(const struct weir_cli_options *options)
{
    /* A text, its ids (at worst one for each byte) and the scratch of both while they grow. */
    enum { BYTES_PER_TEXT_BYTE = 10 };
    if (options->mem == 0)
        return WEIR_CLI_TEXT_BYTES_MAX;
    return weir_min(options->mem / BYTES_PER_TEXT_BYTE, WEIR_CLI_TEXT_BYTES_MAX);
}

static bool read_all(int fd, const char *path, uint64_t most_bytes, struct weir_cli_buffer *buffer)
{
    if (!buffer_reserve(buffer, 0))
        return false;
    for (;;) {
        if (!buffer_reserve(buffer, READ_BYTES))
            return false;
        const ssize_t got = weir_cli_read(fd, buffer->bytes + buffer->length, READ_BYTES);
        if (got < 0) {
            if (weir_cli_stop_asked())
                weir_cli_say("stopped");
            else
                weir_cli_say("cannot read %s: %s", path, weir_cli_stream_why(errno));
            return false;
        }
        if (got == 0)
            break;
        buffer->length += (size_t)got;
        if (buffer->length > most_bytes) {
            weir_cli_say("%s: under this ceiling a text of at most %llu bytes can be cut into "
                         "tokens, it has more (a larger --mem, or a part of the text)",
                         path, (unsigned long long)most_bytes);
            return false;
        }
    }
    buffer->bytes[buffer->length] = '\0';
    return true;
}

bool weir_cli_file_read(const char *path, uint64_t most_bytes, struct weir_cli_buffer *buffer)
{
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", most_bytes, buffer);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        weir_cli_say("cannot open %s: %s", path, strerror(errno));
        return false;
    }
    const bool ok = read_all(fd, path, most_bytes, buffer);
    close(fd);
    return ok;
}

static bool is_gap(char letter)
{
    return letter == ' ' || letter == '\n' || letter == '\t' || letter == '\r' || letter == ',';
}

bool weir_cli_ids_parse(const char *what, const char *text, uint32_t **ids, size_t *count)
{
    size_t capacity = 0;
    *ids = NULL;
    *count = 0;
    for (const char *at = text;;) {
        while (is_gap(*at))
            at++;
        if (*at == '\0')
            return true;
        char *end = NULL;
        errno = 0;
        const unsigned long long value =
            *at < '0' || *at > '9' ? UINT64_MAX : strtoull(at, &end, 10);
        if (value >= WEIR_ID_NONE || errno != 0 || (*end != '\0' && !is_gap(*end))) {
            weir_cli_say("%s: wanted token ids, found \"%.20s\" as number %zu", what, at,
                         *count + 1);
            break;
        }
        if (*count == capacity) {
            capacity = capacity * 2 + 64;
            uint32_t *grown = weir_heap_grow(*ids, capacity * sizeof(**ids));
            if (grown == NULL) {
                weir_cli_say("%s: no memory for %zu ids", what, capacity);
                break;
            }
            *ids = grown;
        }
        (*ids)[(*count)++] = (uint32_t)value;
        at = end;
    }
    weir_heap_free(*ids);
    *ids = NULL;
    return false;
}

bool weir_cli_ids_check(const char *what, const char *model_path, const uint32_t *ids, size_t count)
{
    struct weir_model_info info;
    struct weir_err err = {0};
    if (weir_model_info_get(&info, model_path, &err) != WEIR_OK) {
        weir_cli_fail(&err);
        return false;
    }
    for (size_t index = 0; index < count; index++)
        if (ids[index] >= info.n_vocab) {
            weir_cli_say("%s: wanted ids from 0 to %u, found %u as number %zu", what,
                         info.n_vocab - 1, ids[index], index + 1);
            return false;
        }
    return true;
}

bool weir_cli_out_open(struct weir_cli_out *out, const char *path)
{
    out->path = path;
    out->file = fopen(path, "we");
    if (out->file == NULL)
        weir_cli_say("cannot write %s: %s", path, strerror(errno));
    return out->file != NULL;
}

/* Only a regular file can be cut to nothing, so a device or a pipe is never removed. */
static void remove_file(struct weir_cli_out *out)
{
    if (ftruncate(fileno(out->file), 0) == 0)
        unlink(out->path);
}

bool weir_cli_out_finish(struct weir_cli_out *out)
{
    if (out->file == NULL)
        return true;
    const bool ok = fflush(out->file) == 0 && ferror(out->file) == 0;
    if (!ok) {
        weir_cli_say("cannot write all of %s: %s", out->path, strerror(errno == 0 ? EIO : errno));
        remove_file(out);
    }
    fclose(out->file);
    out->file = NULL;
    return ok;
}

void weir_cli_out_discard(struct weir_cli_out *out)
{
    if (out->file == NULL)
        return;
    remove_file(out);
    fclose(out->file);
    out->file = NULL;
}
