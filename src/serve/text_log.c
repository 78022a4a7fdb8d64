/* text_log.c - what is asked and answered, in the log, for who wants that. */
#include "serve/text_log.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "serve/server.h"

enum {
    PART_BYTES = 512 /* each as six characters at most, with the head fewer than a pipe's 4096 */
};

/* As JSON has it, with what a terminal would obey as \u. */
static void write_character(struct weir_writer *writer, const char *bytes, size_t length)
{
    char shown[4 * WEIR_PRINTABLE_EACH_MAX + 1];
    const size_t step = weir_utf8_char(bytes, length);
    const bool is_plain = step > 0 && bytes[0] != '"' && bytes[0] != '\\' &&
                          weir_printable(bytes, step, shown, sizeof(shown)) == step;
    const uint32_t character = step == 0 ? 0xfffd : weir_utf8_decode(bytes);
    if (is_plain)
        weir_writer_put(writer, bytes, step);
    else if (character < 0x10000)
        weir_writer_format(writer, "\\u%04x", character);
    else
        weir_writer_format(writer, "\\u%04x\\u%04x", 0xd800 + (character - 0x10000) / 0x400,
                           0xdc00 + (character - 0x10000) % 0x400);
}

static void write_json(struct weir_writer *writer, const char *bytes, size_t length)
{
    weir_writer_text(writer, "\"");
    for (size_t at = 0; at < length;) {
        write_character(writer, bytes + at, length - at);
        at += weir_max(weir_utf8_char(bytes + at, length - at), 1);
    }
    weir_writer_text(writer, "\"");
}

static void tell_part(struct weir_serve *serve, const char *name, uint32_t number, const char *what,
                      const char *bytes, size_t length)
{
    char when[32], shown[PART_BYTES * WEIR_PRINTABLE_EACH_MAX + 1];
    struct weir_writer line = {0};
    weir_serve_write_time(when);
    if (serve->config.log_json) {
        weir_writer_format(&line, "{\"time\":\"%s\",\"id\":\"%s\",\"number\":%u,\"%s\":", when,
                           name, number, what);
        write_json(&line, bytes, length);
        weir_writer_text(&line, "}");
    } else {
        weir_writer_format(&line, "%s %s %u %s: ", when, name, number, what);
        weir_writer_put(&line, shown, weir_printable(bytes, length, shown, sizeof(shown)));
    }
    weir_writer_put(&line, "", 1);
    if (!line.failed)
        weir_serve_tell(serve, line.bytes);
    weir_writer_free(&line);
}

/* Whole characters, as far as they are there. */
static void tell_parts(struct weir_text_log *log, struct weir_serve *serve, const char *name,
                       uint32_t number, const char *what, bool is_end)
{
    size_t at = 0;
    while (log->length - at >= PART_BYTES || (is_end && log->length > at)) {
        size_t length = weir_min(log->length - at, PART_BYTES);
        if (length < log->length - at || !is_end)
            length -= weir_utf8_unfinished(log->bytes + at, length);
        tell_part(serve, name, number, what, log->bytes + at, length);
        at += length;
    }
    log->length -= at;
    memmove(log->bytes, log->bytes + at, log->length);
}

void weir_text_log_put(struct weir_text_log *log, struct weir_serve *serve, const char *name,
                       uint32_t number, const char *what, uint32_t id)
{
    char piece[WEIR_TOKEN_BYTES_MAX];
    size_t length = weir_tokenizer_piece(serve->tokenizer, id, piece), at = 0;
    while (at < length) {
        const size_t part = weir_min(length - at, sizeof(log->bytes) - log->length);
        memcpy(log->bytes + log->length, piece + at, part);
        log->length += part;
        at += part;
        tell_parts(log, serve, name, number, what, false);
    }
}

void weir_text_log_end(struct weir_text_log *log, struct weir_serve *serve, const char *name,
                       uint32_t number, const char *what)
{
    tell_parts(log, serve, name, number, what, true);
}

void weir_text_log_ids(struct weir_serve *serve, const char *name, uint32_t number,
                       const char *what, const uint32_t *ids, size_t count)
{
    struct weir_text_log log = {0};
    for (size_t index = 0; index < count; index++)
        weir_text_log_put(&log, serve, name, number, what, ids[index]);
    weir_text_log_end(&log, serve, name, number, what);
}
