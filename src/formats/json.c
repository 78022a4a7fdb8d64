/* json.c - checks a JSON text once, and then walks it without doubts. */
#include "formats/json.h"

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"

struct reader {
    const char *start, *at, *end;
    const char *what;
    struct weir_err *err;
};

/* ---- the check ----------------------------------------------------------------------------- */

static enum weir_status refuse(const struct reader *reader, const char *wanted)
{
    const size_t offset = (size_t)(reader->at - reader->start);
    if (reader->at == reader->end)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%s: byte %zu: wanted %s, found the end",
                         reader->what, offset, wanted);
    const size_t step = weir_utf8_char(reader->at, (size_t)(reader->end - reader->at));
    return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT, "%s: byte %zu: wanted %s, found \"%.*s\"",
                     reader->what, offset, wanted, step == 0 ? 1 : (int)step, reader->at);
}

static void skip_spaces(const char **at, const char *end)
{
    while (*at < end && (**at == ' ' || **at == '\n' || **at == '\r' || **at == '\t'))
        (*at)++;
}

static bool takes(struct reader *reader, char wanted)
{
    if (reader->at == reader->end || *reader->at != wanted)
        return false;
    reader->at++;
    return true;
}

static int hex_digit(char character)
{
    if (character >= '0' && character <= '9')
        return character - '0';
    if (character >= 'a' && character <= 'f')
        return character - 'a' + 10;
    if (character >= 'A' && character <= 'F')
        return character - 'A' + 10;
    return -1;
}

/* The number of \uXXXX at at, or UINT32_MAX. */
static uint32_t read_unit(const char *at, const char *end)
{
    uint32_t unit = 0;
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return UINT32_MAX;
    for (int index = 2; index < 6; index++) {
        const int digit = hex_digit(at[index]);
        if (digit < 0)
            return UINT32_MAX;
        unit = unit * 16 + (uint32_t)digit;
    }
    return unit;
}

static bool is_high(uint32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low(uint32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

static enum weir_status check_escape(struct reader *reader)
{
    if (reader->end - reader->at < 2)
        return refuse(reader, "an escaped character");
    if (reader->at[1] != 'u') {
        if (strchr("\"\\/bfnrt", reader->at[1]) == NULL || reader->at[1] == 0)
            return refuse(reader, "one of \\\" \\\\ \\/ \\b \\f \\n \\r \\t \\u");
        reader->at += 2;
        return WEIR_OK;
    }
    const uint32_t unit = read_unit(reader->at, reader->end);
    if (unit == UINT32_MAX)
        return refuse(reader, "four hexadecimal digits behind \\u");
    if (is_low(unit) || (is_high(unit) && !is_low(read_unit(reader->at + 6, reader->end))))
        return refuse(reader, "both halves of a surrogate pair");
    reader->at += is_high(unit) ? 12 : 6;
    return WEIR_OK;
}

static enum weir_status check_text(struct reader *reader)
{
    if (!takes(reader, '"'))
        return refuse(reader, "a text in quotes");
    while (!takes(reader, '"')) {
        const size_t step = weir_utf8_char(reader->at, (size_t)(reader->end - reader->at));
        if (step == 0)
            return refuse(reader, reader->at == reader->end ? "the end of a text" : "UTF-8");
        if ((uint8_t)*reader->at < 0x20)
            return refuse(reader, "an escaped control character");
        if (*reader->at == '\\')
            WEIR_TRY(check_escape(reader));
        else
            reader->at += step;
    }
    return WEIR_OK;
}

static size_t take_digits(struct reader *reader)
{
    const char *from = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return (size_t)(reader->at - from);
}

static bool takes_word(struct reader *reader, const char *word)
{
    const size_t length = strlen(word);
    if ((size_t)(reader->end - reader->at) < length || memcmp(reader->at, word, length) != 0)
        return false;
    reader->at += length;
    return true;
}

static enum weir_status check_number(struct reader *reader)
{
    const char *from = reader->at;
    takes(reader, '-');
    if (takes_word(reader, "Infinity"))
        return WEIR_OK;
    if (!takes(reader, '0') && take_digits(reader) == 0)
        return refuse(reader, "a value");
    if (takes(reader, '.') && take_digits(reader) == 0)
        return refuse(reader, "a digit");
    if (takes(reader, 'e') || takes(reader, 'E')) {
        if (!takes(reader, '+'))
            takes(reader, '-');
        if (take_digits(reader) == 0)
            return refuse(reader, "a digit");
    }
    if (reader->at - from > WEIR_JSON_NUMBER_MAX)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "%s: byte %zu: wanted a number of at most %d bytes, found %zu",
                         reader->what, (size_t)(from - reader->start), WEIR_JSON_NUMBER_MAX,
                         (size_t)(reader->at - from));
    return WEIR_OK;
}

static enum weir_status check_value(struct reader *reader, uint32_t depth);

static enum weir_status check_container(struct reader *reader, uint32_t depth)
{
    const bool is_object = *reader->at == '{';
    const char close = is_object ? '}' : ']';
    if (depth == WEIR_JSON_DEPTH_MAX)
        return WEIR_FAIL(reader->err, WEIR_ERR_FORMAT,
                         "%s: byte %zu: wanted values at most %d deep, found one deeper",
                         reader->what, (size_t)(reader->at - reader->start), WEIR_JSON_DEPTH_MAX);
    reader->at++;
    skip_spaces(&reader->at, reader->end);
    if (takes(reader, close))
        return WEIR_OK;
    for (;;) {
        if (is_object) {
            skip_spaces(&reader->at, reader->end);
            WEIR_TRY(check_text(reader));
            skip_spaces(&reader->at, reader->end);
            if (!takes(reader, ':'))
                return refuse(reader, "a colon");
        }
        WEIR_TRY(check_value(reader, depth + 1));
        if (takes(reader, close))
            return WEIR_OK;
        if (!takes(reader, ','))
            return refuse(reader, is_object ? "a comma or }" : "a comma or ]");
    }
}

/* A value and the white space on both sides of it. */
static enum weir_status check_value(struct reader *reader, uint32_t depth)
{
    enum weir_status status = WEIR_OK;
    skip_spaces(&reader->at, reader->end);
    const char first = reader->at == reader->end ? 0 : *reader->at;
    if (first == '{' || first == '[')
        status = check_container(reader, depth);
    else if (first == '"')
        status = check_text(reader);
    else if (!takes_word(reader, "null") && !takes_word(reader, "true") &&
             !takes_word(reader, "false") && !takes_word(reader, "NaN"))
        status = check_number(reader);
    skip_spaces(&reader->at, reader->end);
    return status;
}

enum weir_status weir_json_parse(struct weir_json *root, const char *bytes, size_t length,
                                 const char *what, struct weir_err *err)
{
    struct reader reader = {bytes, bytes, bytes + length, what, err};
    WEIR_TRY(check_value(&reader, 0));
    if (reader.at != reader.end)
        return refuse(&reader, "the end");
    struct weir_json value = {bytes, reader.end};
    skip_spaces(&value.start, value.end);
    while (strchr(" \n\r\t", value.end[-1]) != NULL)
        value.end--;
    *root = value;
    return WEIR_OK;
}

/* ---- what was checked ---------------------------------------------------------------------- */

enum weir_json_kind weir_json_kind(struct weir_json value)
{
    if (value.start == NULL)
        return WEIR_JSON_NONE;
    switch (*value.start) {
    case '{':
        return WEIR_JSON_OBJECT;
    case '[':
        return WEIR_JSON_ARRAY;
    case '"':
        return WEIR_JSON_TEXT;
    case 't':
    case 'f':
        return WEIR_JSON_BOOL;
    case 'n':
        return WEIR_JSON_NULL;
    default:
        return WEIR_JSON_NUMBER;
    }
}

const char *weir_json_kind_name(enum weir_json_kind kind)
{
    static const char *const names[] = {"nothing", "null",     "true or false", "a number",
                                        "a text",  "an array", "an object"};
    return names[kind];
}

static const char *skip_text(const char *at)
{
    for (at++; *at != '"'; at++)
        at += *at == '\\';
    return at + 1;
}

/* Behind the value that begins at at. */
static const char *skip_value(const char *at, const char *end)
{
    uint32_t depth = 0;
    do {
        if (*at == '"') {
            at = skip_text(at);
            continue;
        }
        depth += *at == '{' || *at == '[';
        depth -= *at == '}' || *at == ']';
        at++;
        /* A number or a word goes on to what cannot be in it. */
        while (depth == 0 && at < end && strchr(",:]} \n\r\t", *at) == NULL)
            at++;
    } while (depth > 0);
    return at;
}

struct weir_json_walk weir_json_walk(struct weir_json container)
{
    const enum weir_json_kind kind = weir_json_kind(container);
    struct weir_json_walk walk = {.index = UINT64_MAX, .is_object = kind == WEIR_JSON_OBJECT};
    if (kind == WEIR_JSON_ARRAY || kind == WEIR_JSON_OBJECT) {
        walk.at = container.start;
        walk.end = container.end;
    }
    return walk;
}

bool weir_json_next(struct weir_json_walk *walk)
{
    const char *at = walk->at;
    if (at == NULL || *at == ']' || *at == '}')
        return false;
    at++; /* the bracket, or the comma behind the last value */
    skip_spaces(&at, walk->end);
    walk->at = at;
    if (*at == ']' || *at == '}') /* there is nothing in it */
        return false;
    if (walk->is_object) {
        walk->key = (struct weir_json){at, skip_text(at)};
        at = walk->key.end;
        skip_spaces(&at, walk->end);
        at++;
        skip_spaces(&at, walk->end);
    }
    walk->value = (struct weir_json){at, skip_value(at, walk->end)};
    walk->at = walk->value.end;
    skip_spaces(&walk->at, walk->end);
    walk->index++;
    return true;
}

uint64_t weir_json_count(struct weir_json container)
{
    uint64_t count = 0;
    for (struct weir_json_walk walk = weir_json_walk(container); weir_json_next(&walk);)
        count++;
    return count;
}

struct weir_json weir_json_member(struct weir_json object, const char *name)
{
    struct weir_json found = {0};
    if (weir_json_kind(object) != WEIR_JSON_OBJECT)
        return found;
    for (struct weir_json_walk walk = weir_json_walk(object); weir_json_next(&walk);)
        if (weir_json_is(walk.key, name))
            found = walk.value;
    return found;
}

/* One character of a text, decoded; *at moves behind it. */
static size_t decode_character(const char **at, char out[4])
{
    static const char letters[] = "bfnrt", meant[] = "\b\f\n\r\t";
    if (**at != '\\') {
        out[0] = *(*at)++;
        return 1;
    }
    if ((*at)[1] != 'u') {
        const char *letter = strchr(letters, (*at)[1]);
        out[0] = letter == NULL ? (*at)[1] : meant[letter - letters];
        *at += 2;
        return 1;
    }
    uint32_t character = read_unit(*at, *at + 6);
    *at += 6;
    if (is_high(character)) {
        character = 0x10000 + (character - 0xd800) * 0x400 + read_unit(*at, *at + 6) - 0xdc00;
        *at += 6;
    }
    return weir_utf8_encode(character, out);
}

size_t weir_json_text(struct weir_json value, char *out, size_t capacity)
{
    size_t filled = 0;
    if (weir_json_kind(value) != WEIR_JSON_TEXT)
        return 0;
    for (const char *at = value.start + 1; at < value.end - 1;) {
        char character[4];
        const size_t step = decode_character(&at, character);
        if (out != NULL && filled + step <= capacity)
            memcpy(out + filled, character, step);
        filled += step;
    }
    return filled;
}

bool weir_json_is(struct weir_json value, const char *text)
{
    if (weir_json_kind(value) != WEIR_JSON_TEXT)
        return false;
    const size_t length = strlen(text);
    size_t passed = 0;
    for (const char *at = value.start + 1; at < value.end - 1;) {
        char character[4];
        const size_t step = decode_character(&at, character);
        if (length - passed < step || memcmp(text + passed, character, step) != 0)
            return false;
        passed += step;
    }
    return passed == length;
}

bool weir_json_f64(struct weir_json value, double *number)
{
    if (weir_json_kind(value) != WEIR_JSON_NUMBER)
        return false;
    /* The process may write its decimal points in another way. */
    const char *point = localeconv()->decimal_point;
    char spelled[WEIR_JSON_NUMBER_MAX + 16];
    size_t filled = 0;
    for (const char *at = value.start; at < value.end; at++) {
        if (*at != '.') {
            spelled[filled++] = *at;
            continue;
        }
        for (const char *from = point; *from != 0 && filled < WEIR_JSON_NUMBER_MAX + 8; from++)
            spelled[filled++] = *from;
    }
    spelled[filled] = 0;
    *number = strtod(spelled, NULL);
    return true;
}

bool weir_json_u64(struct weir_json value, uint64_t *number)
{
    uint64_t sum = 0;
    double real = 0.0;
    const char *at = value.start;
    if (weir_json_kind(value) != WEIR_JSON_NUMBER)
        return false;
    for (; at < value.end && *at >= '0' && *at <= '9'; at++)
        if (!weir_checked_mul(sum, 10, &sum) || !weir_checked_add(sum, (uint64_t)(*at - '0'), &sum))
            return false;
    if (at == value.end) {
        *number = sum;
        return true;
    }
    static const double exact_max = 9007199254740992.0; /* 2^53 */
    weir_json_f64(value, &real);
    if (!(real >= 0.0 && real <= exact_max) || real != floor(real))
        return false;
    *number = (uint64_t)real;
    return true;
}

bool weir_json_bool(struct weir_json value, bool *flag)
{
    if (weir_json_kind(value) != WEIR_JSON_BOOL)
        return false;
    *flag = *value.start == 't';
    return true;
}
