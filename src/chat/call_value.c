/* call_value.c - values as models write them in calls, byte by byte, to JSON.
 *
 * Three dialects: JSON; JSON with bare keys and texts between <|"|> marks; Python's literals and
 * the arguments of a Python call. What models often get wrong and means one thing only is put
 * right: line breaks within a text, a backslash that escapes nothing, a comma before a bracket. */
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "chat/reply_parts.h"

enum state {
    AT_VALUE, /* one is wanted */
    AT_KEY,
    AT_COLON,
    AT_NEXT, /* a comma or a bracket */
    IN_TEXT,
    IN_ESCAPE,
    IN_UNIT,  /* the digits of one */
    IN_QUOTE, /* a mark that begins or ends a text */
    IN_WORD,  /* a number, a name */
    IN_BARE,  /* a key without quotes */
    AT_END
};

/* What closes a container: also the arguments of a call and a tuple, both ended by ')'. */
enum { CLOSES_OBJECT = '}', CLOSES_LIST = ']', CLOSES_TUPLE = ')', CLOSES_CALL = '=' };

static const char bare_quote[] = "<|\"|>";

static void put(struct weir_value *value, const char *text)
{
    value->put(value->user, text, strlen(text));
}

void weir_value_escape(weir_value_fn *put_bytes, void *user, const char *bytes, size_t length)
{
    static const char letters[] = "\"\\\n\t\r\b\f", names[] = "\"\\ntrbf";
    size_t plain = 0;
    for (size_t at = 0; at < length; at++) {
        char escaped[8];
        const char *letter = bytes[at] == '\0' ? NULL : strchr(letters, bytes[at]);
        if (letter == NULL && (unsigned char)bytes[at] >= 0x20)
            continue;
        if (at > plain)
            put_bytes(user, bytes + plain, at - plain);
        plain = at + 1;
        if (letter != NULL)
            snprintf(escaped, sizeof(escaped), "\\%c", names[letter - letters]);
        else
            snprintf(escaped, sizeof(escaped), "\\u%04x", (unsigned char)bytes[at]);
        put_bytes(user, escaped, strlen(escaped));
    }
    if (length > plain)
        put_bytes(user, bytes + plain, length - plain);
}

static void put_escaped(struct weir_value *value, char byte)
{
    weir_value_escape(value->put, value->user, &byte, 1);
}

void weir_value_init(struct weir_value *value, enum weir_dialect dialect, weir_value_fn *put_bytes,
                     void *user)
{
    *value = (struct weir_value){.dialect = dialect, .put = put_bytes, .user = user};
}

/* ---- containers ---------------------------------------------------------------------------- */

/* A comma is written when something follows it. */
static void put_comma(struct weir_value *value)
{
    if (value->has_comma)
        put(value, ",");
    value->has_comma = false;
}

static enum weir_value_step finish_value(struct weir_value *value)
{
    value->state = value->depth == 0 ? AT_END : AT_NEXT;
    return value->depth == 0 ? WEIR_VALUE_DONE : WEIR_VALUE_MORE;
}

static enum weir_value_step open_container(struct weir_value *value, char byte)
{
    const bool is_call = byte == '(' && value->depth == 0;
    if (value->depth == WEIR_JSON_DEPTH_MAX)
        return WEIR_VALUE_FAIL;
    value->closers[value->depth++] = byte == '{'   ? CLOSES_OBJECT
                                     : byte == '[' ? CLOSES_LIST
                                     : is_call     ? CLOSES_CALL
                                                   : CLOSES_TUPLE;
    put_comma(value);
    put(value, byte == '{' || is_call ? "{" : "[");
    value->state = byte == '{' || is_call ? AT_KEY : AT_VALUE;
    value->may_close = true;
    return WEIR_VALUE_MORE;
}

static char closer(const struct weir_value *value)
{
    return value->depth == 0 ? '\0' : value->closers[value->depth - 1];
}

static bool closes(const struct weir_value *value, char byte)
{
    return closer(value) == byte || (closer(value) == CLOSES_CALL && byte == ')');
}

static enum weir_value_step close_container(struct weir_value *value)
{
    const char kind = closer(value);
    value->depth--;
    value->has_comma = false;
    put(value, kind == CLOSES_OBJECT || kind == CLOSES_CALL ? "}" : "]");
    return finish_value(value);
}

static bool is_keyed(const struct weir_value *value)
{
    return closer(value) == CLOSES_OBJECT || closer(value) == CLOSES_CALL;
}

static enum weir_value_step go_next(struct weir_value *value, char byte)
{
    if (closes(value, byte))
        return close_container(value);
    if (byte != ',')
        return WEIR_VALUE_FAIL;
    value->has_comma = true;
    value->may_close = true;
    value->state = is_keyed(value) ? AT_KEY : AT_VALUE;
    return WEIR_VALUE_MORE;
}

/* ---- texts --------------------------------------------------------------------------------- */

static enum weir_value_step begin_text(struct weir_value *value, char quote)
{
    put_comma(value);
    put(value, "\"");
    value->quote = quote;
    value->state = IN_TEXT;
    value->has_high = false;
    return WEIR_VALUE_MORE;
}

static enum weir_value_step end_text(struct weir_value *value)
{
    if (value->has_high)
        return WEIR_VALUE_FAIL;
    put(value, "\"");
    if (!value->is_key)
        return finish_value(value);
    value->state = AT_COLON;
    return WEIR_VALUE_MORE;
}

/* The mark of the bare dialect: what begins like it and is something else belongs to the text. */
static enum weir_value_step go_on_quote(struct weir_value *value, char byte, bool is_in_text)
{
    if (byte == bare_quote[value->quote_at]) {
        value->quote_at++;
        value->state = IN_QUOTE;
        value->may_close = is_in_text;
        if (value->quote_at < sizeof(bare_quote) - 1)
            return WEIR_VALUE_MORE;
        value->quote_at = 0;
        return is_in_text ? end_text(value) : begin_text(value, '<');
    }
    if (!is_in_text)
        return WEIR_VALUE_FAIL;
    weir_value_escape(value->put, value->user, bare_quote, value->quote_at);
    value->quote_at = 0;
    value->state = IN_TEXT;
    if (byte == bare_quote[0])
        return go_on_quote(value, byte, true);
    put_escaped(value, byte);
    return WEIR_VALUE_MORE;
}

static enum weir_value_step go_on_text(struct weir_value *value, char byte)
{
    if (value->quote == '<' && byte == bare_quote[0])
        return go_on_quote(value, byte, true);
    if (value->quote != '<' && byte == value->quote)
        return end_text(value);
    if (value->quote != '<' && byte == '\\') {
        value->state = IN_ESCAPE;
        return WEIR_VALUE_MORE;
    }
    if (value->has_high) /* the other half is missing */
        return WEIR_VALUE_FAIL;
    if ((unsigned char)byte >= 0x20 && byte != '"' && byte != '\\')
        value->put(value->user, &byte, 1);
    else
        put_escaped(value, byte);
    return WEIR_VALUE_MORE;
}

static enum weir_value_step go_on_escape(struct weir_value *value, char byte)
{
    const bool is_python = value->dialect == WEIR_DIALECT_PYTHON;
    value->state = IN_TEXT;
    value->digit_count = 0;
    value->unit = 0;
    value->digit_max = byte == 'u'                ? 4
                       : is_python && byte == 'x' ? 2
                       : is_python && byte == 'U' ? 8
                                                  : 0;
    if (value->digit_max > 0) {
        value->state = IN_UNIT;
        return WEIR_VALUE_MORE;
    }
    if (value->has_high)
        return WEIR_VALUE_FAIL;
    if (is_python && byte == '\n')
        return WEIR_VALUE_MORE;
    if (byte == '\'') {
        put(value, "'");
    } else if (byte != '\0' && strchr("\"\\/bfnrt", byte) != NULL) {
        const char escaped[2] = {'\\', byte};
        value->put(value->user, escaped, 2);
    } else { /* it escapes nothing */
        put(value, "\\\\");
        return go_on_text(value, byte);
    }
    return WEIR_VALUE_MORE;
}

static int read_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    return byte >= 'A' && byte <= 'F' ? byte - 'A' + 10 : -1;
}

/* Both halves of a pair, or neither. */
static enum weir_value_step go_on_unit(struct weir_value *value, char byte)
{
    const int digit = read_digit(byte);
    char escaped[16];
    if (digit < 0)
        return WEIR_VALUE_FAIL;
    value->unit = value->unit * 16 + (uint32_t)digit;
    if (++value->digit_count < value->digit_max)
        return WEIR_VALUE_MORE;
    const uint32_t unit = value->unit;
    const bool is_low = unit >= 0xdc00 && unit <= 0xdfff;
    if (is_low != value->has_high || unit > 0x10ffff)
        return WEIR_VALUE_FAIL;
    value->has_high = unit >= 0xd800 && unit <= 0xdbff;
    value->state = IN_TEXT;
    if (unit > 0xffff)
        value->put(value->user, escaped, weir_utf8_encode(unit, escaped));
    else {
        snprintf(escaped, sizeof(escaped), "\\u%04x", unit);
        put(value, escaped);
    }
    return WEIR_VALUE_MORE;
}

/* ---- words --------------------------------------------------------------------------------- */

static size_t count_digits(const char *at)
{
    return strspn(at, "0123456789");
}

static bool is_number(const char *at)
{
    at += *at == '-';
    const size_t whole = count_digits(at);
    if (whole == 0 || (whole > 1 && *at == '0'))
        return false;
    at += whole;
    if (*at == '.') {
        const size_t part = count_digits(at + 1);
        if (part == 0)
            return false;
        at += 1 + part;
    }
    if (*at == 'e' || *at == 'E') {
        at++;
        at += *at == '+' || *at == '-';
        const size_t power = count_digits(at);
        if (power == 0)
            return false;
        at += power;
    }
    return *at == '\0';
}

static bool ends_word(char byte)
{
    return weir_mark_is_space(byte) || byte == '\0' || strchr(",:]})=([{\"'<", byte) != NULL;
}

/* False: it means nothing. */
static bool put_word(struct weir_value *value)
{
    static const char *const words[][2] = {{"true", "true"}, {"false", "false"}, {"null", "null"},
                                           {"True", "true"}, {"False", "false"}, {"None", "null"}};
    value->word[value->word_length] = '\0';
    const char *meant = is_number(value->word) ? value->word : NULL;
    for (size_t row = 0; row < WEIR_COUNT(words); row++)
        if (strcmp(value->word, words[row][0]) == 0)
            meant = words[row][1];
    if (meant == NULL)
        return false;
    put_comma(value);
    put(value, meant);
    return true;
}

static enum weir_value_step go_on_word(struct weir_value *value, char byte)
{
    if (!ends_word(byte)) {
        if (value->word_length == WEIR_JSON_NUMBER_MAX)
            return WEIR_VALUE_FAIL;
        value->word[value->word_length++] = byte;
        return WEIR_VALUE_MORE;
    }
    if (!put_word(value))
        return WEIR_VALUE_FAIL;
    if (finish_value(value) == WEIR_VALUE_DONE)
        return WEIR_VALUE_PAST;
    return weir_value_push(value, byte);
}

/* ---- keys ---------------------------------------------------------------------------------- */

static enum weir_value_step go_on_key(struct weir_value *value, char byte)
{
    if (value->may_close && closes(value, byte))
        return close_container(value);
    value->is_key = true;
    const bool is_call = closer(value) == CLOSES_CALL;
    if (!is_call && (byte == '"' || (byte == '\'' && value->dialect == WEIR_DIALECT_PYTHON)))
        return begin_text(value, byte);
    if (value->dialect == WEIR_DIALECT_BARE && byte == bare_quote[0])
        return go_on_quote(value, byte, false);
    if (value->dialect == WEIR_DIALECT_JSON || (value->dialect == WEIR_DIALECT_PYTHON && !is_call))
        return WEIR_VALUE_FAIL;
    if (ends_word(byte))
        return WEIR_VALUE_FAIL;
    put_comma(value);
    put(value, "\"");
    value->state = IN_BARE;
    put_escaped(value, byte);
    return WEIR_VALUE_MORE;
}

static enum weir_value_step go_on_colon(struct weir_value *value, char byte)
{
    if (byte != (closer(value) == CLOSES_CALL ? '=' : ':'))
        return WEIR_VALUE_FAIL;
    put(value, ":");
    value->state = AT_VALUE;
    value->is_key = false;
    value->may_close = false;
    return WEIR_VALUE_MORE;
}

static enum weir_value_step go_on_bare(struct weir_value *value, char byte)
{
    if (weir_mark_is_space(byte) || byte == ':' || byte == '=') {
        put(value, "\"");
        value->state = AT_COLON;
        return weir_mark_is_space(byte) ? WEIR_VALUE_MORE : go_on_colon(value, byte);
    }
    if (ends_word(byte))
        return WEIR_VALUE_FAIL;
    put_escaped(value, byte);
    return WEIR_VALUE_MORE;
}

/* ---- the next byte ------------------------------------------------------------------------- */

static enum weir_value_step begin_value(struct weir_value *value, char byte)
{
    const bool is_python = value->dialect == WEIR_DIALECT_PYTHON;
    value->is_key = false;
    if (value->may_close && closes(value, byte))
        return close_container(value);
    if (byte == '{' || byte == '[' || (byte == '(' && is_python))
        return open_container(value, byte);
    if (byte == '"' || (byte == '\'' && is_python))
        return begin_text(value, byte);
    if (value->dialect == WEIR_DIALECT_BARE && byte == bare_quote[0])
        return go_on_quote(value, byte, false);
    if (ends_word(byte))
        return WEIR_VALUE_FAIL;
    value->word_length = 0;
    value->state = IN_WORD;
    return go_on_word(value, byte);
}

enum weir_value_step weir_value_push(struct weir_value *value, char byte)
{
    const bool is_between = value->state == AT_VALUE || value->state == AT_KEY ||
                            value->state == AT_COLON || value->state == AT_NEXT;
    if (is_between && weir_mark_is_space(byte)) {
        if (value->dialect == WEIR_DIALECT_JSON && value->depth > 0 && !value->has_comma)
            value->put(value->user, &byte, 1);
        return WEIR_VALUE_MORE;
    }
    switch ((enum state)value->state) {
    case AT_VALUE:
        return begin_value(value, byte);
    case AT_KEY:
        return go_on_key(value, byte);
    case AT_COLON:
        return go_on_colon(value, byte);
    case AT_NEXT:
        return go_next(value, byte);
    case IN_TEXT:
        return go_on_text(value, byte);
    case IN_ESCAPE:
        return go_on_escape(value, byte);
    case IN_UNIT:
        return go_on_unit(value, byte);
    case IN_QUOTE:
        return go_on_quote(value, byte, value->may_close);
    case IN_WORD:
        return go_on_word(value, byte);
    case IN_BARE:
        return go_on_bare(value, byte);
    case AT_END:
        break;
    }
    return WEIR_VALUE_PAST;
}

bool weir_value_end(struct weir_value *value)
{
    if (value->state == IN_WORD && value->depth == 0)
        return weir_value_push(value, ' ') == WEIR_VALUE_PAST;
    return value->state == AT_END;
}
