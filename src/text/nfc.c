/* nfc.c - Unicode normal form C in linear time, stretch by stretch.
 *
 * Characters below U+0300 are starters that are already in normal form and never join what stands
 * before them, so a text may be cut before each of them; stretches of nothing else are copied.
 */
#include <string.h>
#include <utf8proc.h>

#include "text/text_parts.h"

enum {
    DECOMPOSED_MAX = 18, /* characters that one character can become, as utf8proc documents */
    FIRST_LEAD = 0xcc,   /* the first byte of U+0300 */
};

static bool is_settled(char byte)
{
    return (uint8_t)byte < 0x80 || ((uint8_t)byte >= 0xc0 && (uint8_t)byte < FIRST_LEAD);
}

static int combining_class(int32_t character)
{
    return utf8proc_get_property(character)->combining_class;
}

/* Stable order by combining class of the marks in [first, end). By counting, because a text may
 * hold a million marks in a row. */
static enum weir_status sort_marks(struct weir_text_nfc *nfc, size_t first, size_t end,
                                   struct weir_err *err)
{
    int32_t *characters = nfc->characters.at;
    size_t place_of[257] = {0};
    bool in_order = true;
    for (size_t at = first; at < end; at++) {
        const int class_here = combining_class(characters[at]);
        if (at > first && class_here < combining_class(characters[at - 1]))
            in_order = false;
        place_of[class_here + 1]++;
    }
    if (in_order)
        return WEIR_OK;
    for (size_t class_here = 0; class_here < 256; class_here++)
        place_of[class_here + 1] += place_of[class_here];
    WEIR_TRY(weir_text_array_reserve(&nfc->sorted, end - first, sizeof(int32_t), err));
    int32_t *sorted = nfc->sorted.at;
    for (size_t at = first; at < end; at++)
        sorted[place_of[combining_class(characters[at])]++] = characters[at];
    memcpy(characters + first, sorted, (end - first) * sizeof(int32_t));
    return WEIR_OK;
}

/* One stretch decomposed and put in canonical order into nfc->characters. */
static enum weir_status decompose_stretch(struct weir_text_nfc *nfc, const char *bytes,
                                          size_t length, size_t *count, struct weir_err *err)
{
    size_t filled = 0, marks_from = 0;
    for (size_t offset = 0; offset < length;) {
        const uint32_t character = weir_utf8_decode(bytes + offset);
        offset += weir_utf8_char(bytes + offset, length - offset);
        WEIR_TRY(weir_text_array_reserve(&nfc->characters, filled + DECOMPOSED_MAX, sizeof(int32_t),
                                         err));
        int32_t *characters = nfc->characters.at;
        int last_boundclass = 0;
        const utf8proc_ssize_t got =
            utf8proc_decompose_char((int32_t)character, characters + filled, DECOMPOSED_MAX,
                                    UTF8PROC_STABLE | UTF8PROC_COMPOSE, &last_boundclass);
        WEIR_ASSERT(got > 0 && got <= DECOMPOSED_MAX);
        for (const size_t end = filled + (size_t)got; filled < end; filled++) {
            if (combining_class(characters[filled]) != 0)
                continue;
            if (filled - marks_from > 1)
                WEIR_TRY(sort_marks(nfc, marks_from, filled, err));
            marks_from = filled + 1;
        }
    }
    if (filled > marks_from + 1)
        WEIR_TRY(sort_marks(nfc, marks_from, filled, err));
    *count = filled;
    return WEIR_OK;
}

static enum weir_status append_bytes(struct weir_text_nfc *nfc, const char *bytes, size_t length,
                                     struct weir_err *err)
{
    if (length == 0)
        return WEIR_OK;
    WEIR_TRY(weir_text_array_reserve(&nfc->bytes, nfc->byte_count + length, 1, err));
    memcpy((char *)nfc->bytes.at + nfc->byte_count, bytes, length);
    nfc->byte_count += length;
    return WEIR_OK;
}

static enum weir_status append_normal(struct weir_text_nfc *nfc, const char *bytes, size_t length,
                                      struct weir_err *err)
{
    size_t count = 0;
    WEIR_TRY(decompose_stretch(nfc, bytes, length, &count, err));
    const utf8proc_ssize_t composed = utf8proc_normalize_utf32(
        nfc->characters.at, (utf8proc_ssize_t)count, UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    WEIR_ASSERT(composed > 0);
    const int32_t *characters = nfc->characters.at;
    for (utf8proc_ssize_t index = 0; index < composed; index++) {
        char encoded[4];
        const size_t wrote = weir_utf8_encode((uint32_t)characters[index], encoded);
        WEIR_TRY(append_bytes(nfc, encoded, wrote, err));
    }
    return WEIR_OK;
}

enum weir_status weir_text_nfc_apply(struct weir_text_nfc *nfc, const char *bytes, size_t length,
                                     struct weir_bytes *out, struct weir_err *err)
{
    nfc->byte_count = 0;
    size_t copied = 0; /* bytes before this are in nfc->bytes */
    for (size_t offset = 0; offset < length;) {
        if ((uint8_t)bytes[offset] < FIRST_LEAD) {
            offset++;
            continue;
        }
        size_t begin = offset;
        while (begin > copied && !is_settled(bytes[begin]))
            begin--;
        while (offset < length && !is_settled(bytes[offset]))
            offset++;
        WEIR_TRY(append_bytes(nfc, bytes + copied, begin - copied, err));
        WEIR_TRY(append_normal(nfc, bytes + begin, offset - begin, err));
        copied = offset;
    }
    if (copied == 0) {
        *out = (struct weir_bytes){bytes, length};
        return WEIR_OK;
    }
    WEIR_TRY(append_bytes(nfc, bytes + copied, length - copied, err));
    *out = (struct weir_bytes){nfc->bytes.at, nfc->byte_count};
    return WEIR_OK;
}
