/* writer.c - text that grows, with JSON in it. */
#include "serve/writer.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"

void weir_writer_free(struct weir_writer *writer)
{
    weir_heap_free(writer->bytes);
    *writer = (struct weir_writer){0};
}

void weir_writer_clear(struct weir_writer *writer)
{
    writer->length = 0;
}

static bool reserve(struct weir_writer *writer, size_t more)
{
    if (writer->failed || writer->capacity - writer->length > more)
        return !writer->failed;
    const size_t capacity = writer->capacity + writer->capacity / 2 + more + 1;
    char *bytes = weir_heap_grow(writer->bytes, capacity);
    writer->failed = bytes == NULL;
    if (writer->failed)
        return false;
    writer->bytes = bytes;
    writer->capacity = capacity;
    return true;
}

void weir_writer_reserve(struct weir_writer *writer, size_t more)
{
    reserve(writer, more);
}

void weir_writer_put(struct weir_writer *writer, const char *bytes, size_t length)
{
    if (length == 0 || !reserve(writer, length))
        return;
    memcpy(writer->bytes + writer->length, bytes, length);
    writer->length += length;
}

void weir_writer_text(struct weir_writer *writer, const char *text)
{
    weir_writer_put(writer, text, strlen(text));
}

void weir_writer_format(struct weir_writer *writer, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    WEIR_ASSERT(length >= 0 && (size_t)length < sizeof(text));
    weir_writer_put(writer, text, (size_t)length);
}

/* What JSON wants written another way (RFC 8259, section 7). */
static void put_escape(struct weir_writer *writer, char byte)
{
    switch (byte) {
    case '"':
        weir_writer_text(writer, "\\\"");
        break;
    case '\\':
        weir_writer_text(writer, "\\\\");
        break;
    case '\n':
        weir_writer_text(writer, "\\n");
        break;
    case '\t':
        weir_writer_text(writer, "\\t");
        break;
    case '\r':
        weir_writer_text(writer, "\\r");
        break;
    default:
        weir_writer_format(writer, "\\u%04x", (unsigned)(unsigned char)byte);
        break;
    }
}

static bool needs_escape(char byte)
{
    return (unsigned char)byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f;
}

void weir_writer_string(struct weir_writer *writer, const char *bytes, size_t length)
{
    size_t begin = 0; /* of what may stand as it is */
    size_t at = 0;
    bytes = bytes == NULL ? "" : bytes;
    weir_writer_put(writer, "\"", 1);
    while (at < length) {
        const size_t step = weir_utf8_char(bytes + at, length - at);
        if (step > 0 && !needs_escape(bytes[at])) {
            at += step;
            continue;
        }
        weir_writer_put(writer, bytes + begin, at - begin);
        if (step == 0)
            weir_writer_text(writer, "\xef\xbf\xbd");
        else
            put_escape(writer, bytes[at]);
        begin = ++at;
    }
    weir_writer_put(writer, bytes + begin, length - begin);
    weir_writer_put(writer, "\"", 1);
}
