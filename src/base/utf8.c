/* utf8.c - finds whole characters and unfinished ones. */
#include "base/utf8.h"

/* How a character that begins with lead goes on: bytes in all, and the range of the second one,
 * which rules out overlong forms, surrogates and what lies beyond U+10FFFF (Unicode table 3-7). */
static size_t read_lead(uint8_t lead, uint8_t *second_min, uint8_t *second_max)
{
    *second_min = 0x80;
    *second_max = 0xbf;
    if (lead < 0x80)
        return 1;
    if (lead < 0xc2 || lead > 0xf4)
        return 0;
    if (lead < 0xe0)
        return 2;
    if (lead < 0xf0) {
        if (lead == 0xe0)
            *second_min = 0xa0;
        if (lead == 0xed)
            *second_max = 0x9f;
        return 3;
    }
    if (lead == 0xf0)
        *second_min = 0x90;
    if (lead == 0xf4)
        *second_max = 0x8f;
    return 4;
}

/* Bytes of the character at start that are there and right, and in *wanted its full length. */
static size_t measure_char(const char *start, size_t length, size_t *wanted)
{
    *wanted = 0;
    if (length == 0)
        return 0;
    uint8_t second_min, second_max;
    *wanted = read_lead((uint8_t)start[0], &second_min, &second_max);
    if (*wanted == 0)
        return 0;
    size_t good = 1;
    while (good < *wanted && good < length) {
        const uint8_t byte = (uint8_t)start[good];
        const uint8_t min = good == 1 ? second_min : 0x80;
        const uint8_t max = good == 1 ? second_max : 0xbf;
        if (byte < min || byte > max) {
            *wanted = 0;
            return 0;
        }
        good++;
    }
    return good;
}

size_t weir_utf8_char(const char *start, size_t length)
{
    size_t wanted;
    const size_t good = measure_char(start, length, &wanted);
    return good == wanted ? good : 0;
}

size_t weir_utf8_valid(const char *start, size_t length)
{
    size_t offset = 0;
    while (offset < length) {
        if ((uint8_t)start[offset] < 0x80) {
            offset++;
            continue;
        }
        const size_t step = weir_utf8_char(start + offset, length - offset);
        if (step == 0)
            break;
        offset += step;
    }
    return offset;
}

size_t weir_utf8_unfinished(const char *start, size_t length)
{
    for (size_t back = 1; back <= 3 && back <= length; back++) {
        const uint8_t byte = (uint8_t)start[length - back];
        if (byte < 0x80)
            return 0;
        if (byte < 0xc0)
            continue;
        size_t wanted;
        const size_t good = measure_char(start + length - back, back, &wanted);
        return good == back && wanted > back ? back : 0;
    }
    return 0;
}

uint32_t weir_utf8_decode(const char *start)
{
    const uint8_t lead = (uint8_t)start[0];
    if (lead < 0x80)
        return lead;
    const size_t count = lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    uint32_t character = lead & (0xffu >> (count + 1));
    for (size_t index = 1; index < count; index++)
        character = character << 6 | ((uint8_t)start[index] & 0x3f);
    return character;
}

size_t weir_utf8_encode(uint32_t character, char out[4])
{
    if (character < 0x80) {
        out[0] = (char)character;
        return 1;
    }
    const size_t count = character < 0x800 ? 2 : character < 0x10000 ? 3 : 4;
    for (size_t index = count - 1; index > 0; index--) {
        out[index] = (char)(0x80 | (character & 0x3f));
        character >>= 6;
    }
    const uint32_t marker = 0xff00u >> count & 0xff;
    out[0] = (char)(marker | character);
    return count;
}
