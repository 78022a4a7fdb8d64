/* tpl_write.c - values as text: str() and repr() of Python. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "template/tpl_text.h"
#include "template/tpl_value.h"
#include "text/text.h"

/* ---- numbers ------------------------------------------------------------------------------- */

enum { DIGITS_MAX = 17, NUMBER_BYTES = 64 };

/* The fewest digits that are this number, and the power of ten of the first. The process may write
 * its decimal points in another way, so only digits are taken from what printf gives. */
static int shortest_digits(double real, char digits[DIGITS_MAX + 1], int *power)
{
    char spelled[NUMBER_BYTES];
    int count = 0;
    for (int precision = 0; precision < DIGITS_MAX; precision++) {
        snprintf(spelled, sizeof(spelled), "%.*e", precision, real);
        const double again = strtod(spelled, NULL);
        if (again <= real && again >= real)
            break;
    }
    const char *at = spelled;
    for (; *at != 'e'; at++)
        if (*at >= '0' && *at <= '9' && count < DIGITS_MAX)
            digits[count++] = *at;
    *power = (int)strtol(at + 1, NULL, 10);
    while (count > 1 && digits[count - 1] == '0')
        count--;
    digits[count] = 0;
    return count;
}

/* repr(float): 1e16 and more, and less than 1e-4, with an exponent. */
static void write_real(struct tpl_run *run, struct tpl_buffer *out, double real)
{
    char digits[DIGITS_MAX + 1], text[NUMBER_BYTES];
    int power;
    if (real < 0.0 || (real <= 0.0 && 1.0 / real < 0.0)) {
        weir_tpl_push_char(run, out, '-');
        real = -real;
    }
    const int count = shortest_digits(real, digits, &power);
    if (power >= 16 || power < -4) {
        snprintf(text, sizeof(text), "%.1s%s%se%c%02d", digits, count > 1 ? "." : "", digits + 1,
                 power < 0 ? '-' : '+', abs(power));
    } else if (power < 0) {
        snprintf(text, sizeof(text), "0.%.*s%s", -power - 1, "0000", digits);
    } else if (count <= power + 1) {
        snprintf(text, sizeof(text), "%s%.*s.0", digits, power + 1 - count, "0000000000000000");
    } else {
        snprintf(text, sizeof(text), "%.*s.%s", power + 1, digits, digits + power + 1);
    }
    weir_tpl_push_word(run, out, text);
}

void weir_tpl_write_number(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value value,
                           bool as_json)
{
    char text[NUMBER_BYTES];
    if (value.kind == TPL_INTEGER) {
        snprintf(text, sizeof(text), "%lld", (long long)value.integer);
        weir_tpl_push_word(run, out, text);
    } else if (value.real != value.real) {
        weir_tpl_push_word(run, out, as_json ? "NaN" : "nan");
    } else if (value.real - value.real != 0.0) {
        weir_tpl_push_word(run, out, value.real < 0 ? "-" : "");
        weir_tpl_push_word(run, out, as_json ? "Infinity" : "inf");
    } else {
        write_real(run, out, value.real);
    }
}

/* ---- str and repr -------------------------------------------------------------------------- */

void weir_tpl_push_code(struct tpl_run *run, struct tpl_buffer *out, const char *format,
                        unsigned code)
{
    char text[16];
    snprintf(text, sizeof(text), format, code);
    weir_tpl_push_word(run, out, text);
}

static void write_quoted(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value text)
{
    const bool has_single = memchr(text.text, '\'', text.length) != NULL;
    const bool has_double = memchr(text.text, '"', text.length) != NULL;
    const char quote = has_single && !has_double ? '"' : '\'';
    weir_tpl_step(run, text.length / 4);
    weir_tpl_push_char(run, out, quote);
    for (size_t at = 0; at < text.length;) {
        const uint32_t letter = weir_utf8_decode(text.text + at);
        const size_t step = weir_utf8_char(text.text + at, text.length - at);
        if (letter == (uint8_t)quote || letter == '\\') {
            weir_tpl_push_char(run, out, '\\');
            weir_tpl_push_char(run, out, (char)letter);
        } else if (letter == '\n' || letter == '\r' || letter == '\t') {
            weir_tpl_push_word(run, out, letter == '\n' ? "\\n" : letter == '\r' ? "\\r" : "\\t");
        } else if (weir_text_is_printable(letter)) {
            weir_tpl_push(run, out, text.text + at, step);
        } else {
            weir_tpl_push_code(run, out,
                               letter < 0x100     ? "\\x%02x"
                               : letter < 0x10000 ? "\\u%04x"
                                                  : "\\U%08x",
                               letter);
        }
        at += step;
    }
    weir_tpl_push_char(run, out, quote);
}

static void write_list(struct tpl_run *run, struct tpl_buffer *out, const struct tpl_list *list)
{
    const bool is_tuple = list->kind == TPL_TUPLE;
    if (list->kind == TPL_VIEW) {
        weir_tpl_push_word(run, out, list->name);
        weir_tpl_push_char(run, out, '(');
    }
    weir_tpl_push_char(run, out, is_tuple ? '(' : '[');
    for (uint32_t index = 0; index < list->count; index++) {
        weir_tpl_push_word(run, out, index == 0 ? "" : ", ");
        weir_tpl_write_repr(run, out, list->items[index]);
    }
    weir_tpl_push_word(run, out, is_tuple && list->count == 1 ? "," : "");
    weir_tpl_push_char(run, out, is_tuple ? ')' : ']');
    weir_tpl_push_word(run, out, list->kind == TPL_VIEW ? ")" : "");
}

static void write_dict(struct tpl_run *run, struct tpl_buffer *out, const struct tpl_dict *dict)
{
    weir_tpl_push_char(run, out, '{');
    for (uint32_t index = 0; index < dict->count; index++) {
        weir_tpl_push_word(run, out, index == 0 ? "" : ", ");
        weir_tpl_write_repr(run, out, dict->entries[index].key);
        weir_tpl_push_word(run, out, ": ");
        weir_tpl_write_repr(run, out, dict->entries[index].value);
    }
    weir_tpl_push_char(run, out, '}');
}

void weir_tpl_write_repr(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value value)
{
    weir_tpl_enter(run);
    if (value.kind == TPL_TEXT) {
        weir_tpl_push_word(run, out, value.is_safe ? "Markup(" : "");
        write_quoted(run, out, value);
        weir_tpl_push_word(run, out, value.is_safe ? ")" : "");
    } else if (value.kind == TPL_UNDEFINED) {
        weir_tpl_push_word(run, out, "Undefined");
    } else {
        weir_tpl_write(run, out, value);
    }
    weir_tpl_exit(run);
}

void weir_tpl_write(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value value)
{
    switch ((enum tpl_kind)value.kind) {
    case TPL_UNDEFINED:
        return;
    case TPL_NONE:
        weir_tpl_push_word(run, out, "None");
        return;
    case TPL_BOOL:
        weir_tpl_push_word(run, out, value.integer ? "True" : "False");
        return;
    case TPL_INTEGER:
    case TPL_REAL:
        weir_tpl_write_number(run, out, value, false);
        return;
    case TPL_TEXT:
        weir_tpl_push(run, out, value.text, value.length);
        return;
    case TPL_LIST:
        if (value.list->kind >= TPL_RANGE)
            break;
        write_list(run, out, value.list);
        return;
    case TPL_DICT:
        write_dict(run, out, value.dict);
        return;
    case TPL_SPACE:
        weir_tpl_push_word(run, out, "<Namespace ");
        weir_tpl_enter(run);
        write_dict(run, out, value.dict);
        weir_tpl_exit(run);
        weir_tpl_push_char(run, out, '>');
        return;
    default:
        break;
    }
    weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "a %s as text is not built in", weir_tpl_type(value));
}

struct tpl_value weir_tpl_to_text(struct tpl_run *run, struct tpl_value value)
{
    struct tpl_buffer out = {0};
    if (value.kind == TPL_TEXT)
        return value;
    weir_tpl_write(run, &out, value);
    return weir_tpl_buffer_text(&out);
}
