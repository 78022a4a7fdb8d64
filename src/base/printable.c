/* printable.c - what comes from outside, so that a terminal shows it and does not obey it. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"

/* Characters that move, hide or turn round what stands beside them (Unicode 15, chapter 23). */
static const struct {
    uint32_t first, last;
} hidden[] = {
    {0x0000, 0x001f}, /* C0 */
    {0x007f, 0x009f}, /* DEL and C1, of which U+009B begins an escape sequence */
    {0x061c, 0x061c}, /* direction marks, embeddings, overrides and isolates */
    {0x200e, 0x200f},   {0x2028, 0x202e}, /* line and paragraph separator among them */
    {0x2066, 0x2069},   {0xfeff, 0xfeff}, /* byte order mark */
    {0xfff9, 0xfffb},                     /* interlinear annotations */
    {0xfffe, 0xffff},                     /* no characters, in XML neither */
    {0xe0000, 0xe007f},                   /* tags */
};

static bool is_hidden(uint32_t character)
{
    for (size_t row = 0; row < WEIR_COUNT(hidden); row++)
        if (character >= hidden[row].first && character <= hidden[row].last)
            return true;
    return false;
}

/* How the character of step bytes at start is shown (step 0: a byte that is no UTF-8). */
static size_t show(const char *start, size_t step, char out[12])
{
    const uint32_t character = step == 0 ? (uint8_t)*start : weir_utf8_decode(start);
    if (step > 0 && !is_hidden(character)) {
        memcpy(out, start, step);
        return step;
    }
    if (character == '\n' || character == '\t' || character == '\r') {
        out[0] = '\\';
        out[1] = character == '\n' ? 'n' : character == '\t' ? 't' : 'r';
        return 2;
    }
    const char *format = step < 2 ? "\\x%02x" : character < 0x10000 ? "\\u%04x" : "\\U%08x";
    return (size_t)snprintf(out, 12, format, character);
}

size_t weir_printable(const char *bytes, size_t length, char *out, size_t capacity)
{
    size_t filled = 0;
    for (size_t offset = 0; offset < length;) {
        char shown[12];
        const size_t step = weir_utf8_char(bytes + offset, length - offset);
        const size_t wrote = show(bytes + offset, step, shown);
        if (filled + wrote >= capacity)
            break;
        memcpy(out + filled, shown, wrote);
        filled += wrote;
        offset += step == 0 ? 1 : step;
    }
    if (capacity > 0)
        out[filled] = '\0';
    return filled;
}
