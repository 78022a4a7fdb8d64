/* nfc.c - Unicode's normal forms in linear time, stretch by stretch.
 *
 * Characters below U+0300 are starters that are already in normal form C and never join what stands
 * before them, so a text may be cut before each of them; stretches of nothing else are copied. Of
 * the other forms that holds for ASCII.
 */
#include <string.h>
#include <utf8proc.h>

#include "text/text_parts.h"

enum {
    COMPOSED = UTF8PROC_STABLE | UTF8PROC_COMPOSE,
    DECOMPOSED = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE,
};

/* utf8proc's options for each form. */
static const int options_of[] = {
    [WEIR_NORMAL_NFC] = COMPOSED,
    [WEIR_NORMAL_NFD] = DECOMPOSED,
    [WEIR_NORMAL_NFKC] = COMPOSED | UTF8PROC_COMPAT,
    [WEIR_NORMAL_NFKD] = DECOMPOSED | UTF8PROC_COMPAT,
};

/* The first byte of characters that may change: that of U+0300 in form C. */
static uint8_t first_lead(const struct weir_text_nfc *nfc)
{
    return nfc->form == WEIR_NORMAL_NFC ? 0xcc : 0x80;
}

static bool is_settled(const struct weir_text_nfc *nfc, char byte)
{
    return (uint8_t)byte < 0x80 || ((uint8_t)byte >= 0xc0 && (uint8_t)byte < first_lead(nfc));
}

static int combining_class(int32_t character)
{
    return utf8proc_get_property(character)->combining_class;
}

size_t weir_text_nfc_decompose(enum weir_normal_kind form, int32_t character,
                               int32_t out[WEIR_TEXT_DECOMPOSED_MAX])
{
    int last_boundclass = 0;
    const utf8proc_ssize_t got = utf8proc_decompose_char(character, out, WEIR_TEXT_DECOMPOSED_MAX,
                                                         options_of[form], &last_boundclass);
    WEIR_ASSERT(got > 0 && got <= WEIR_TEXT_DECOMPOSED_MAX);
    return (size_t)got;
}

bool weir_text_nfc_is_mark(int32_t character)
{
    return combining_class(character) != 0;
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
        WEIR_TRY(weir_text_array_reserve(&nfc->characters, filled + WEIR_TEXT_DECOMPOSED_MAX,
                                         sizeof(int32_t), err));
        int32_t *characters = nfc->characters.at;
        const size_t got =
            weir_text_nfc_decompose(nfc->form, (int32_t)character, characters + filled);
        for (const size_t end = filled + got; filled < end; filled++) {
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
        nfc->characters.at, (utf8proc_ssize_t)count, options_of[nfc->form]);
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
        if ((uint8_t)bytes[offset] < first_lead(nfc)) {
            offset++;
            continue;
        }
        size_t begin = offset;
        while (begin > copied && !is_settled(nfc, bytes[begin]))
            begin--;
        while (offset < length && !is_settled(nfc, bytes[offset]))
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

/* Scripts and signs of which no character is the second of two that become one, nor has a combining
 * class, and whose decompositions begin so too (a test looks at each). Others are held longer. */
static const struct {
    uint32_t first, last;
} afresh[] = {
    {0x0000, 0x02ff},   /* Latin */
    {0x0370, 0x0482},   /* Greek, Cyrillic */
    {0x048a, 0x058f},   /* Cyrillic, Armenian */
    {0x05d0, 0x060f},   /* Hebrew, signs of Arabic */
    {0x061b, 0x064a},   /* Arabic */
    {0x0660, 0x066f},   /* its digits */
    {0x0671, 0x06d5},   /* Arabic */
    {0x0904, 0x0939},   /* Devanagari */
    {0x0e01, 0x0e30},   /* Thai */
    {0x10a0, 0x1112},   /* Georgian, the first of Hangul's parts */
    {0x1e00, 0x1fff},   /* Latin, Greek */
    {0x2000, 0x20cf},   /* punctuation, currencies */
    {0x2100, 0x2bff},   /* letterlike and other signs */
    {0x3000, 0x3029},   /* punctuation of Chinese and Japanese */
    {0x3030, 0x3096},   /* Hiragana */
    {0x309d, 0x31ff},   /* Katakana, Bopomofo */
    {0x3200, 0xa4cf},   /* Chinese, Yi */
    {0xac00, 0xd7a3},   /* Hangul */
    {0xf900, 0xfaff},   /* Chinese, for compatibility */
    {0xff00, 0xffef},   /* widths */
    {0x1f000, 0x1faff}, /* pictures */
    {0x20000, 0x3ffff}, /* Chinese */
};

static bool is_in_table(uint32_t character)
{
    size_t row = 0;
    while (row + 1 < WEIR_COUNT(afresh) && character > afresh[row].last)
        row++;
    return character >= afresh[row].first && character <= afresh[row].last;
}

bool weir_text_nfc_starts_afresh(enum weir_normal_kind form, uint32_t character)
{
    int32_t parts[WEIR_TEXT_DECOMPOSED_MAX];
    if (!is_in_table(character) || (options_of[form] & UTF8PROC_COMPAT) == 0 || character < 0x80)
        return is_in_table(character);
    /* What is there for compatibility may become a mark. */
    weir_text_nfc_decompose(form, (int32_t)character, parts);
    return is_in_table((uint32_t)parts[0]);
}

/* Where the last character from `from` on begins that starts afresh, before which all is decided; 0
 * when there is none. */
static size_t find_afresh(enum weir_normal_kind form, const char *bytes, size_t from, size_t length)
{
    for (size_t at = length; at > from;) {
        do
            at--;
        while (((uint8_t)bytes[at] & 0xc0) == 0x80);
        if (weir_text_nfc_starts_afresh(form, weir_utf8_decode(bytes + at)))
            return at;
    }
    return 0;
}

enum weir_status weir_text_nfc_feed(struct weir_text_nfc *nfc, const char *bytes, size_t length,
                                    bool ends, struct weir_bytes *out, struct weir_err *err)
{
    /* What the last call gave is used up: what it held moves to the front. */
    char *held = nfc->held.at;
    if (nfc->given_count > 0)
        memmove(held, held + nfc->given_count, nfc->held_count - nfc->given_count);
    nfc->held_count -= nfc->given_count;
    nfc->given_count = 0;
    const size_t before = nfc->held_count;
    WEIR_TRY(weir_text_array_reserve(&nfc->held, before + length, 1, err));
    held = nfc->held.at;
    if (length > 0)
        memcpy(held + before, bytes, length);
    nfc->held_count += length;
    nfc->given_count =
        ends ? nfc->held_count : find_afresh(nfc->form, held, before, nfc->held_count);
    return weir_text_nfc_apply(nfc, held, nfc->given_count, out, err);
}

void weir_text_nfc_deinit(struct weir_text_nfc *nfc)
{
    weir_text_array_trim(&nfc->characters, sizeof(int32_t), 0);
    weir_text_array_trim(&nfc->sorted, sizeof(int32_t), 0);
    weir_text_array_trim(&nfc->bytes, 1, 0);
    weir_text_array_trim(&nfc->held, 1, 0);
}
