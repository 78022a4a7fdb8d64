/* json_stream.c - the inside of a JSON string that comes in parts. */
#include <string.h>

#include "base/utf8.h"
#include "source.h"

static void write_character(FILE *file, uint32_t character)
{
    if (character == '"' || character == '\\')
        fprintf(file, "\\%c", (int)character);
    else if (character >= 0x20 && character < 0x7f)
        fputc((int)character, file);
    else if (character < 0x10000)
        fprintf(file, "\\u%04x", character);
    else
        fprintf(file, "\\u%04x\\u%04x", 0xd7c0 + (character >> 10), 0xdc00 + (character & 0x3ff));
}

static void write_whole(FILE *file, const char *bytes, size_t length)
{
    for (size_t at = 0; at < length;) {
        const size_t step = weir_utf8_char(bytes + at, length - at);
        write_character(file, step == 0 ? 0xfffd : weir_utf8_decode(bytes + at));
        at += step == 0 ? 1 : step;
    }
}

void weir_cli_json_part(struct weir_cli_json_part *part, const char *bytes, size_t length,
                        bool ends)
{
    while (part->held_count > 0 && length > 0) {
        part->held[part->held_count++] = *bytes++;
        length--;
        const size_t left = weir_utf8_unfinished(part->held, part->held_count);
        const size_t known = part->held_count - left;
        write_whole(part->file, part->held, known);
        memmove(part->held, part->held + known, left);
        part->held_count = left;
    }
    const size_t left = ends ? 0 : weir_utf8_unfinished(bytes, length);
    if (ends && length == 0) {
        write_whole(part->file, part->held, part->held_count);
        part->held_count = 0;
    }
    write_whole(part->file, bytes, length - left);
    if (left > 0) {
        memcpy(part->held, bytes + length - left, left);
        part->held_count = left;
    }
}
