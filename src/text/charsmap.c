/* charsmap.c - SentencePiece's precompiled map of characters: a trie of texts and what they become.
 *
 * A u32 of the trie's bytes, the trie's units of 32 bits, and the texts, each ended by NUL. Source:
 * darts-clone's double array as SentencePiece writes it.
 */
#include <string.h>

#include "text/text_parts.h"

enum { KEY_BYTES_MAX = 256 }; /* texts longer than that are not looked for */

static uint32_t read_u32(const char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof(value));
    return value;
}

static uint32_t count_units(struct weir_bytes map)
{
    return read_u32(map.start) / 4;
}

enum weir_status weir_text_charsmap_check(struct weir_bytes map, struct weir_err *err)
{
    const uint64_t trie = map.length < 4 ? 0 : read_u32(map.start);
    if (map.length < 4 || trie % 4 != 0 || trie < 4 || 4 + trie >= map.length ||
        map.start[map.length - 1] != 0)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT,
                         "precompiled_charsmap: wanted a trie and texts that end with NUL, found "
                         "%zu bytes with a trie of %llu",
                         map.length, (unsigned long long)trie);
    return WEIR_OK;
}

/* The unit of a node, or 0, which no byte leads to and which has no leaf. */
static uint32_t unit_at(struct weir_bytes map, uint32_t node)
{
    return node < count_units(map) ? read_u32(map.start + 4 + (size_t)node * 4) : 0;
}

static uint32_t base_of(uint32_t unit)
{
    return unit >> 10 << ((unit & 0x200) >> 6);
}

size_t weir_text_charsmap_match(struct weir_bytes map, const char *bytes, size_t length,
                                struct weir_bytes *to, bool *may_go_on)
{
    const size_t texts = 4 + (size_t)count_units(map) * 4;
    uint32_t node = base_of(unit_at(map, 0));
    size_t used = 0;
    *may_go_on = false;
    for (size_t at = 0; at < KEY_BYTES_MAX; at++) {
        if (at == length) {
            *may_go_on = true;
            break;
        }
        const uint8_t byte = (uint8_t)bytes[at];
        node ^= byte;
        const uint32_t unit = unit_at(map, node);
        if (byte == 0 || (unit & 0x800000ffu) != byte)
            break;
        node ^= base_of(unit);
        const size_t text = texts + (unit_at(map, node) & 0x7fffffffu);
        const bool cuts_character = at + 1 < length && ((uint8_t)bytes[at + 1] & 0xc0) == 0x80;
        if ((unit >> 8 & 1) == 0 || text >= map.length || cuts_character)
            continue;
        const size_t text_length = strlen(map.start + text);
        if (weir_utf8_valid(map.start + text, text_length) != text_length)
            continue;
        *to = (struct weir_bytes){map.start + text, text_length};
        used = at + 1;
    }
    return used;
}
