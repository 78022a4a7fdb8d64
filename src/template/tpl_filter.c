/* tpl_filter.c - filters of texts and single values, tojson among them. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "formats/json.h"
#include "template/tpl_evaluate.h"
#include "template/tpl_text.h"

/* ---- texts --------------------------------------------------------------------------------- */

static struct tpl_value to_string(struct tpl_run *run, struct tpl_value value,
                                  struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_to_text(run, value);
}

static struct tpl_value trim(struct tpl_run *run, struct tpl_value value,
                             struct tpl_arguments *arguments)
{
    const struct tpl_value chars = weir_tpl_take_or(arguments, 0, "chars", weir_tpl_none());
    return weir_tpl_strip(run, weir_tpl_to_text(run, value), chars, TPL_LEFT | TPL_RIGHT);
}

static struct tpl_value upper(struct tpl_run *run, struct tpl_value value,
                              struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_change_case(run, weir_tpl_to_text(run, value), TPL_UPPER);
}

static struct tpl_value lower(struct tpl_run *run, struct tpl_value value,
                              struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_change_case(run, weir_tpl_to_text(run, value), TPL_LOWER);
}

static struct tpl_value capitalize(struct tpl_run *run, struct tpl_value value,
                                   struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_change_case(run, weir_tpl_to_text(run, value), TPL_CAPITALIZE);
}

static struct tpl_value title(struct tpl_run *run, struct tpl_value value,
                              struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_change_case(run, weir_tpl_to_text(run, value), TPL_TITLE_WORDS);
}

static struct tpl_value replace(struct tpl_run *run, struct tpl_value value,
                                struct tpl_arguments *arguments)
{
    struct tpl_value text = weir_tpl_to_text(run, value);
    const struct tpl_value *old = weir_tpl_take(arguments, 0, "old");
    const struct tpl_value *new = weir_tpl_take(arguments, 1, "new");
    const struct tpl_value count = weir_tpl_take_or(arguments, 2, "count", weir_tpl_none());
    if (old == NULL || new == NULL)
        weir_tpl_argument_missing(run, arguments, old == NULL ? "old" : "new");
    text.is_safe = false;
    return weir_tpl_replace(run, text, weir_tpl_to_text(run, *old), weir_tpl_to_text(run, *new),
                            weir_tpl_is_whole(count) ? count.integer : -1);
}

static struct tpl_value safe(struct tpl_run *run, struct tpl_value value,
                             struct tpl_arguments *arguments)
{
    (void)arguments;
    struct tpl_value text = weir_tpl_to_text(run, value);
    text.is_safe = true;
    return text;
}

static struct tpl_value escape(struct tpl_run *run, struct tpl_value value,
                               struct tpl_arguments *arguments)
{
    (void)arguments;
    return weir_tpl_escape(run, weir_tpl_to_text(run, value));
}

/* A width as blanks, or the text that was given. */
static struct tpl_value take_indent(struct tpl_run *run, struct tpl_arguments *arguments,
                                    uint32_t place, const char *keyword, struct tpl_value fallback)
{
    const struct tpl_value given = weir_tpl_take_or(arguments, place, keyword, fallback);
    struct tpl_buffer blanks = {0};
    if (given.kind == TPL_TEXT || given.kind == TPL_NONE)
        return given;
    if (!weir_tpl_is_whole(given))
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "'%.*s' wants an int or a str as '%s', found a %s",
                      (int)arguments->name.length, arguments->name.text, keyword,
                      weir_tpl_type(given));
    for (int64_t count = 0; count < given.integer; count++)
        weir_tpl_push_char(run, &blanks, ' ');
    return weir_tpl_buffer_text(&blanks);
}

static struct tpl_value indent(struct tpl_run *run, struct tpl_value value,
                               struct tpl_arguments *arguments)
{
    const struct tpl_value text = weir_tpl_to_text(run, value);
    const struct tpl_value margin = take_indent(run, arguments, 0, "width", weir_tpl_integer(4));
    const bool first = weir_tpl_take_flag(arguments, 1, "first", false);
    const bool blank = weir_tpl_take_flag(arguments, 2, "blank", false);
    struct tpl_buffer with_end = {0}, out = {0};
    if (text.is_safe)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the filter 'indent' of a safe text");
    weir_tpl_push(run, &with_end, text.text, text.length);
    weir_tpl_push_char(run, &with_end, '\n');
    const struct tpl_list lines =
        *weir_tpl_split_lines(run, weir_tpl_buffer_text(&with_end), false).list;
    for (uint32_t index = 0; index < lines.count; index++) {
        const bool has_margin = index == 0 ? first : blank || lines.items[index].length > 0;
        weir_tpl_push(run, &out, "\n", index > 0);
        weir_tpl_push(run, &out, margin.text, has_margin ? margin.length : 0);
        weir_tpl_push(run, &out, lines.items[index].text, lines.items[index].length);
    }
    return weir_tpl_buffer_text(&out);
}

static struct tpl_value to_json(struct tpl_run *run, struct tpl_value value,
                                struct tpl_arguments *arguments)
{
    struct tpl_json_style style = {
        .only_ascii = weir_tpl_take_flag(arguments, 0, "ensure_ascii", false),
        .indent = take_indent(run, arguments, 1, "indent", weir_tpl_none()),
        .sorts = weir_tpl_take_flag(arguments, 3, "sort_keys", false),
        .key_separator = TPL_WORD(": "),
    };
    style.has_lines = style.indent.kind == TPL_TEXT;
    style.item_separator = style.has_lines ? TPL_WORD(",") : TPL_WORD(", ");
    const struct tpl_value separators =
        weir_tpl_take_or(arguments, 2, "separators", weir_tpl_none());
    if (separators.kind != TPL_NONE) {
        const struct tpl_list pair = weir_tpl_iterate(run, separators);
        if (pair.count != 2 || pair.items[0].kind != TPL_TEXT || pair.items[1].kind != TPL_TEXT)
            weir_tpl_fail(run, WEIR_ERR_FORMAT, "tojson: 'separators' wants two texts");
        style.item_separator = pair.items[0];
        style.key_separator = pair.items[1];
    }
    struct tpl_buffer out = {0};
    weir_tpl_write_json(run, &out, value, &style);
    return weir_tpl_buffer_text(&out);
}

/* ---- single values ------------------------------------------------------------------------- */

static struct tpl_value default_of(struct tpl_run *run, struct tpl_value value,
                                   struct tpl_arguments *arguments)
{
    (void)run;
    const struct tpl_value fallback = weir_tpl_take_or(arguments, 0, "default_value", TPL_WORD(""));
    const bool of_false = weir_tpl_take_flag(arguments, 1, "boolean", false);
    const bool is_missing = value.kind == TPL_UNDEFINED || (of_false && !weir_tpl_truth(value));
    return is_missing ? fallback : value;
}

static struct tpl_value length(struct tpl_run *run, struct tpl_value value,
                               struct tpl_arguments *arguments)
{
    int64_t count = 0;
    if (!weir_tpl_length(run, value, &count))
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "the filter '%.*s': a %s has no length",
                      (int)arguments->name.length, arguments->name.text, weir_tpl_type(value));
    return weir_tpl_integer(count);
}

/* int(text), of a text of decimal digits; false: it is none, or too large. */
static bool read_integer(struct tpl_run *run, struct tpl_value text, int64_t *integer)
{
    const struct tpl_value spelled = weir_tpl_strip(run, text, weir_tpl_none(), 3);
    const bool has_sign = spelled.length > 0 && strchr("+-", spelled.text[0]) != NULL;
    int64_t sum = 0;
    weir_tpl_step(run, spelled.length / 4);
    if (spelled.length == has_sign)
        return false;
    for (uint32_t at = has_sign; at < spelled.length; at++) {
        const char byte = spelled.text[at];
        const int digit = spelled.text[0] == '-' ? '0' - byte : byte - '0';
        if (byte < '0' || byte > '9' || __builtin_mul_overflow(sum, 10, &sum) ||
            __builtin_add_overflow(sum, digit, &sum))
            return false;
    }
    *integer = sum;
    return true;
}

/* float(text), of what JSON takes too; false: it is none. */
static bool read_real(struct tpl_run *run, struct tpl_value text, double *real)
{
    const struct tpl_value spelled = weir_tpl_strip(run, text, weir_tpl_none(), 3);
    struct weir_json number = {0};
    return weir_json_parse(&number, spelled.text, spelled.length, "the number", NULL) == WEIR_OK &&
           weir_json_f64(number, real);
}

static bool fits_integer(double real)
{
    static const double limit = 9223372036854775808.0; /* 2^63 */
    return real >= -limit && real < limit;
}

static struct tpl_value to_int(struct tpl_run *run, struct tpl_value value,
                               struct tpl_arguments *arguments)
{
    const struct tpl_value fallback =
        weir_tpl_take_or(arguments, 0, "default", weir_tpl_integer(0));
    int64_t integer = 0;
    double real = 0.0;
    if (weir_tpl_take_integer(run, arguments, 1, "base", 10) != 10)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the filter 'int' of another base than 10");
    weir_tpl_must_be_defined(run, value);
    if (weir_tpl_is_whole(value))
        return weir_tpl_integer(value.integer);
    if (value.kind == TPL_TEXT && read_integer(run, value, &integer))
        return weir_tpl_integer(integer);
    if (value.kind == TPL_REAL)
        real = value.real;
    else if (value.kind != TPL_TEXT || !read_real(run, value, &real))
        return fallback;
    return fits_integer(real) ? weir_tpl_integer((int64_t)real) : fallback;
}

static struct tpl_value to_float(struct tpl_run *run, struct tpl_value value,
                                 struct tpl_arguments *arguments)
{
    const struct tpl_value fallback = weir_tpl_take_or(arguments, 0, "default", weir_tpl_real(0.0));
    double real = 0.0;
    weir_tpl_must_be_defined(run, value);
    if (weir_tpl_is_number(value))
        return weir_tpl_real(weir_tpl_as_real(value));
    return value.kind == TPL_TEXT && read_real(run, value, &real) ? weir_tpl_real(real) : fallback;
}

static struct tpl_value absolute(struct tpl_run *run, struct tpl_value value,
                                 struct tpl_arguments *arguments)
{
    (void)arguments;
    if (!weir_tpl_is_number(value))
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "the filter 'abs' of a %s", weir_tpl_type(value));
    if (value.kind == TPL_REAL)
        return weir_tpl_real(fabs(value.real));
    if (value.integer >= 0)
        return weir_tpl_integer(value.integer);
    return weir_tpl_arithmetic(run, TPL_OP1('-'), weir_tpl_integer(0), value);
}

/* As Python's round(): of the number as it is, to the even neighbour. */
static struct tpl_value round_off(struct tpl_run *run, struct tpl_value value,
                                  struct tpl_arguments *arguments)
{
    const int64_t precision = weir_tpl_take_integer(run, arguments, 0, "precision", 0);
    const struct tpl_value method = weir_tpl_take_text(run, arguments, 1, "method", "common");
    if (!weir_tpl_is_number(value))
        weir_tpl_fail(run, WEIR_ERR_FORMAT, "the filter 'round' of a %s", weir_tpl_type(value));
    if (precision != 0 || !weir_tpl_is(method, "common")) {
        if (precision == 0 && weir_tpl_is(method, "ceil"))
            return weir_tpl_real(ceil(weir_tpl_as_real(value)));
        if (precision == 0 && weir_tpl_is(method, "floor"))
            return weir_tpl_real(floor(weir_tpl_as_real(value)));
        if (precision < 0 || precision > 15 || !weir_tpl_is(method, "common"))
            weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED,
                          "the filter 'round' with this precision or method");
    }
    if (weir_tpl_is_whole(value) && weir_tpl_is(method, "common"))
        return weir_tpl_integer(value.integer);
    char spelled[512];
    snprintf(spelled, sizeof(spelled), "%.*f", (int)precision, weir_tpl_as_real(value));
    return weir_tpl_real(strtod(spelled, NULL));
}

static struct tpl_value attr(struct tpl_run *run, struct tpl_value value,
                             struct tpl_arguments *arguments)
{
    const struct tpl_value name = weir_tpl_take_text(run, arguments, 0, "name", NULL);
    if (value.kind != TPL_SPACE)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the filter 'attr' of a %s is not built in",
                      weir_tpl_type(value));
    return weir_tpl_member(run, value, name);
}

static const struct tpl_filter_row rows[] = {
    {"string", to_string},
    {"trim", trim},
    {"upper", upper},
    {"lower", lower},
    {"capitalize", capitalize},
    {"title", title},
    {"replace", replace},
    {"safe", safe},
    {"escape", escape},
    {"e", escape},
    {"indent", indent},
    {"tojson", to_json},
    {"default", default_of},
    {"d", default_of},
    {"length", length},
    {"count", length},
    {"int", to_int},
    {"float", to_float},
    {"abs", absolute},
    {"round", round_off},
    {"attr", attr},
};

const struct tpl_filter_row *weir_tpl_find_filter(struct tpl_value name)
{
    for (size_t row = 0; row < WEIR_COUNT(rows); row++)
        if (weir_tpl_is(name, rows[row].name))
            return &rows[row];
    return weir_tpl_find_list_filter(name);
}

struct tpl_value weir_tpl_filter(struct tpl_run *run, const struct tpl_filter_row *row,
                                 struct tpl_value value, struct tpl_arguments *arguments)
{
    if (row == NULL)
        weir_tpl_fail(run, WEIR_ERR_UNSUPPORTED, "the filter '%.*s' is not built in",
                      (int)weir_min(arguments->name.length, 60), arguments->name.text);
    const struct tpl_value filtered = row->apply(run, value, arguments);
    weir_tpl_end_arguments(run, arguments);
    return filtered;
}
