/* tpl_text.c - the methods of Python's str, on UTF-8. */
#include "template/tpl_text.h"

#include <string.h>

#include "base/utf8.h"
#include "text/text.h"

static bool is_continuation(char byte)
{
    return ((uint8_t)byte & 0xc0) == 0x80;
}

size_t weir_tpl_count_chars(struct tpl_value text)
{
    size_t count = 0;
    for (uint32_t at = 0; at < text.length; at++)
        count += !is_continuation(text.text[at]);
    return count;
}

/* str.isspace() of one character: Unicode's white space and the four separators of ASCII. */
static bool is_space(uint32_t letter)
{
    return (letter >= 0x09 && letter <= 0x0d) || (letter >= 0x1c && letter <= 0x20) ||
           letter == 0x85 || letter == 0xa0 || letter == 0x1680 ||
           (letter >= 0x2000 && letter <= 0x200a) || letter == 0x2028 || letter == 0x2029 ||
           letter == 0x202f || letter == 0x205f || letter == 0x3000;
}

/* The byte at which the character before end begins. */
static size_t char_before(const char *bytes, size_t end)
{
    do
        end--;
    while (end > 0 && is_continuation(bytes[end]));
    return end;
}

size_t weir_tpl_space_before(const char *bytes, size_t length)
{
    size_t at = 0;
    while (at < length && is_space(weir_utf8_decode(bytes + at)))
        at += weir_utf8_char(bytes + at, length - at);
    return at;
}

size_t weir_tpl_space_after(const char *bytes, size_t length)
{
    size_t end = length;
    while (end > 0) {
        const size_t start = char_before(bytes, end);
        if (!is_space(weir_utf8_decode(bytes + start)))
            break;
        end = start;
    }
    return length - end;
}

struct tpl_value weir_tpl_part(struct tpl_value text, size_t from, size_t to)
{
    text.text += from;
    text.length = (uint32_t)(to > from ? to - from : 0);
    return text;
}

size_t weir_tpl_find(struct tpl_run *run, struct tpl_value text, struct tpl_value part, size_t from)
{
    weir_tpl_step(run, 1 + (text.length - from) / 8);
    if (part.length == 0)
        return from;
    const char *found = memmem(text.text + from, text.length - from, part.text, part.length);
    return found == NULL ? SIZE_MAX : (size_t)(found - text.text);
}

size_t weir_tpl_find_last(struct tpl_run *run, struct tpl_value text, struct tpl_value part,
                          size_t to)
{
    if (part.length > to)
        return SIZE_MAX;
    for (size_t at = to - part.length;; at--) {
        weir_tpl_step(run, at % 8 == 0);
        if (memcmp(text.text + at, part.text, part.length) == 0)
            return at;
        weir_tpl_step(run, part.length / 64);
        if (at == 0)
            return SIZE_MAX;
    }
}

static bool has_char(struct tpl_value chars, const char *letter, size_t length)
{
    return memmem(chars.text, chars.length, letter, length) != NULL;
}

struct tpl_value weir_tpl_strip(struct tpl_run *run, struct tpl_value text, struct tpl_value chars,
                                unsigned sides)
{
    size_t from = 0, to = text.length;
    if (chars.kind == TPL_UNDEFINED || chars.kind == TPL_NONE) {
        from = sides & TPL_LEFT ? weir_tpl_space_before(text.text, to) : 0;
        to -= sides & TPL_RIGHT ? weir_tpl_space_after(text.text + from, to - from) : 0;
        weir_tpl_step(run, 1 + (text.length - (to - from)) / 4);
        return weir_tpl_part(text, from, to);
    }
    if (chars.kind != TPL_TEXT)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "strip wants a str of characters, found a %s",
                      weir_tpl_type(chars));
    while (sides & TPL_LEFT && from < to) {
        const size_t step = weir_utf8_char(text.text + from, to - from);
        weir_tpl_step(run, 1 + chars.length / 8);
        if (!has_char(chars, text.text + from, step))
            break;
        from += step;
    }
    while (sides & TPL_RIGHT && from < to) {
        const size_t start = char_before(text.text, to);
        weir_tpl_step(run, 1 + chars.length / 8);
        if (!has_char(chars, text.text + start, to - start))
            break;
        to = start;
    }
    return weir_tpl_part(text, from, to);
}

struct tpl_value weir_tpl_replace(struct tpl_run *run, struct tpl_value text, struct tpl_value old,
                                  struct tpl_value new, int64_t limit)
{
    struct tpl_buffer out = {0};
    size_t at = 0;
    for (int64_t count = 0; limit < 0 || count < limit; count++) {
        const size_t found = weir_tpl_find(run, text, old, at);
        weir_tpl_step(run, 1);
        if (found == SIZE_MAX)
            break;
        weir_tpl_push(run, &out, text.text + at, found - at);
        weir_tpl_push(run, &out, new.text, new.length);
        at = found + old.length;
        if (old.length > 0)
            continue;
        /* Nothing is found before each character, and at the end. */
        if (at == text.length)
            break;
        const size_t step = weir_utf8_char(text.text + at, text.length - at);
        weir_tpl_push(run, &out, text.text + at, step);
        at += step;
    }
    weir_tpl_push(run, &out, text.text + at, text.length - at);
    struct tpl_value replaced = weir_tpl_buffer_text(&out);
    replaced.is_safe = text.is_safe;
    return replaced;
}

/* ---- parts --------------------------------------------------------------------------------- */

static void split_at_space(struct tpl_run *run, struct tpl_value text, int64_t limit,
                           struct tpl_value parts)
{
    size_t at = weir_tpl_space_before(text.text, text.length);
    while (at < text.length) {
        size_t end = at;
        if (limit >= 0 && parts.list->count >= limit) {
            end = text.length; /* with the white space at its end */
        } else {
            while (end < text.length && !is_space(weir_utf8_decode(text.text + end)))
                end += weir_utf8_char(text.text + end, text.length - end);
        }
        weir_tpl_step(run, 1 + (end - at) / 4);
        weir_tpl_list_push(run, parts, weir_tpl_part(text, at, end));
        if (limit >= 0 && parts.list->count > limit)
            return;
        at = end + weir_tpl_space_before(text.text + end, text.length - end);
    }
}

static struct tpl_value split_from_right(struct tpl_run *run, struct tpl_value text,
                                         struct tpl_value at, int64_t limit)
{
    struct tpl_value backwards = weir_tpl_list(run, TPL_ITEMS, 0);
    size_t end = text.length;
    while (limit < 0 || backwards.list->count < limit) {
        const size_t found = weir_tpl_find_last(run, text, at, end);
        if (found == SIZE_MAX)
            break;
        weir_tpl_list_push(run, backwards, weir_tpl_part(text, found + at.length, end));
        end = found;
    }
    weir_tpl_list_push(run, backwards, weir_tpl_part(text, 0, end));
    struct tpl_value parts = weir_tpl_list(run, TPL_ITEMS, backwards.list->count);
    for (uint32_t index = backwards.list->count; index > 0; index--)
        weir_tpl_list_push(run, parts, backwards.list->items[index - 1]);
    return parts;
}

struct tpl_value weir_tpl_split(struct tpl_run *run, struct tpl_value text, struct tpl_value at,
                                int64_t limit, bool from_right)
{
    struct tpl_value parts = weir_tpl_list(run, TPL_ITEMS, 0);
    if (at.kind == TPL_UNDEFINED || at.kind == TPL_NONE) {
        if (from_right && limit >= 0)
            weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED,
                          "the method 'rsplit' with a limit and no separator is not built in");
        split_at_space(run, text, limit, parts);
        return parts;
    }
    if (at.kind != TPL_TEXT || at.length == 0)
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "split wants a str that is not empty, found a %s",
                      weir_tpl_type(at));
    if (from_right)
        return split_from_right(run, text, at, limit);
    size_t from = 0;
    while (limit < 0 || parts.list->count < limit) {
        const size_t found = weir_tpl_find(run, text, at, from);
        if (found == SIZE_MAX)
            break;
        weir_tpl_list_push(run, parts, weir_tpl_part(text, from, found));
        from = found + at.length;
    }
    weir_tpl_list_push(run, parts, weir_tpl_part(text, from, text.length));
    return parts;
}

/* Bytes of the end of line at start; 0: none. */
static size_t line_end(const char *start, size_t length)
{
    const uint32_t letter = weir_utf8_decode(start);
    if (letter == '\r')
        return length > 1 && start[1] == '\n' ? 2 : 1;
    const bool is_end = (letter >= 0x0a && letter <= 0x0d) || (letter >= 0x1c && letter <= 0x1e) ||
                        letter == 0x85 || letter == 0x2028 || letter == 0x2029;
    return is_end ? weir_utf8_char(start, length) : 0;
}

struct tpl_value weir_tpl_split_lines(struct tpl_run *run, struct tpl_value text, bool keeps_ends)
{
    struct tpl_value lines = weir_tpl_list(run, TPL_ITEMS, 0);
    size_t from = 0;
    weir_tpl_step(run, text.length / 4);
    for (size_t at = 0; at < text.length;) {
        const size_t end = line_end(text.text + at, text.length - at);
        if (end == 0) {
            at += weir_utf8_char(text.text + at, text.length - at);
            continue;
        }
        weir_tpl_list_push(run, lines, weir_tpl_part(text, from, keeps_ends ? at + end : at));
        at += end;
        from = at;
    }
    if (from < text.length)
        weir_tpl_list_push(run, lines, weir_tpl_part(text, from, text.length));
    return lines;
}

/* The byte at which the character of that index begins, from byte at on. */
static size_t skip_chars(struct tpl_value text, size_t at, int64_t count)
{
    for (; count > 0 && at < text.length; count--)
        at += weir_utf8_char(text.text + at, text.length - at);
    return at;
}

struct tpl_value weir_tpl_slice_text(struct tpl_run *run, struct tpl_value text, int64_t from,
                                     int64_t count, int64_t step)
{
    weir_tpl_step(run, text.length / 4);
    if (step == 1 || count <= 1) {
        const size_t start = skip_chars(text, 0, from);
        return weir_tpl_part(text, start, skip_chars(text, start, count));
    }
    const struct tpl_list letters = weir_tpl_iterate(run, text);
    struct tpl_buffer out = {0};
    for (int64_t index = 0; index < count; index++) {
        const struct tpl_value letter = letters.items[from + index * step];
        weir_tpl_push(run, &out, letter.text, letter.length);
    }
    struct tpl_value slice = weir_tpl_buffer_text(&out);
    slice.is_safe = text.is_safe;
    return slice;
}

/* ---- letters ------------------------------------------------------------------------------- */

static uint32_t change_letter(struct tpl_run *run, uint32_t letter, bool upper)
{
    uint32_t changed = letter;
    if (letter < 0x80) {
        if (upper && letter >= 'a' && letter <= 'z')
            changed -= 'a' - 'A';
        if (!upper && letter >= 'A' && letter <= 'Z')
            changed += 'a' - 'A';
        return changed;
    }
    if (!weir_text_change_case(letter, upper, &changed))
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the %s case of U+%04X is not built in",
                      upper ? "upper" : "lower", letter);
    return changed;
}

/* What begins a word for the filter title: all but the characters of -({[< and white space. */
static bool begins_word_behind(uint32_t letter)
{
    return is_space(letter) || (letter < 0x80 && strchr("-({[<", (int)letter) != NULL);
}

struct tpl_value weir_tpl_change_case(struct tpl_run *run, struct tpl_value text, enum tpl_case how)
{
    struct tpl_buffer out = {0};
    uint32_t before = ' ';
    weir_tpl_step(run, text.length / 4);
    for (size_t at = 0; at < text.length;) {
        const uint32_t letter = weir_utf8_decode(text.text + at);
        bool upper = how == TPL_UPPER || (how == TPL_CAPITALIZE && at == 0);
        if (how == TPL_TITLE_WORDS)
            upper = begins_word_behind(before);
        if (how == TPL_TITLE)
            upper = !weir_text_is_cased(before);
        char spelled[4];
        if (letter == 0xdf && upper) /* the one letter that becomes two in common texts */
            weir_tpl_push_word(run, &out, how == TPL_UPPER ? "SS" : "Ss");
        else
            weir_tpl_push(run, &out, spelled,
                          weir_utf8_encode(change_letter(run, letter, upper), spelled));
        before = letter;
        at += weir_utf8_char(text.text + at, text.length - at);
    }
    struct tpl_value changed = weir_tpl_buffer_text(&out);
    changed.is_safe = text.is_safe;
    return changed;
}

struct tpl_value weir_tpl_escape(struct tpl_run *run, struct tpl_value text)
{
    struct tpl_buffer out = {0};
    if (text.is_safe)
        return text;
    weir_tpl_step(run, text.length / 4);
    for (uint32_t at = 0; at < text.length; at++) {
        const char byte = text.text[at];
        const char *word = byte == '&'    ? "&amp;"
                           : byte == '<'  ? "&lt;"
                           : byte == '>'  ? "&gt;"
                           : byte == '"'  ? "&#34;"
                           : byte == '\'' ? "&#39;"
                                          : NULL;
        if (word != NULL)
            weir_tpl_push_word(run, &out, word);
        else
            weir_tpl_push_char(run, &out, byte);
    }
    struct tpl_value escaped = weir_tpl_buffer_text(&out);
    escaped.is_safe = true;
    return escaped;
}

struct tpl_value weir_tpl_add_texts(struct tpl_run *run, struct tpl_value a, struct tpl_value b)
{
    const bool is_safe = a.is_safe || b.is_safe;
    if (is_safe) {
        a = weir_tpl_escape(run, a);
        b = weir_tpl_escape(run, b);
    }
    struct tpl_buffer out = {0};
    weir_tpl_push(run, &out, a.text, a.length);
    weir_tpl_push(run, &out, b.text, b.length);
    struct tpl_value sum = weir_tpl_buffer_text(&out);
    sum.is_safe = is_safe;
    return sum;
}
