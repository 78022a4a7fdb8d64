/* tpl_cut.c - the text of a template into tokens, and the white space around its tags. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "formats/json.h"
#include "template/template.h"
#include "template/tpl_syntax.h"
#include "template/tpl_text.h"

struct cutter {
    struct tpl_run *run;
    const char *source;
    size_t length, at;
    size_t counted; /* bytes whose line ends are in line */
    uint32_t line;
    struct tpl_token *tokens;
    uint32_t count, capacity;
    char open[WEIR_TEMPLATE_NESTING_MAX]; /* brackets that wait for their end */
    uint32_t open_count;
};

static uint32_t line_of(struct cutter *cutter, size_t at)
{
    for (; cutter->counted < at; cutter->counted++)
        cutter->line += cutter->source[cutter->counted] == '\n';
    cutter->run->line = cutter->line;
    return cutter->line;
}

static struct tpl_token *add(struct cutter *cutter, enum tpl_token_kind kind, size_t at)
{
    if (cutter->count == cutter->capacity) {
        const uint32_t capacity = cutter->capacity == 0 ? 256 : 2 * cutter->capacity;
        struct tpl_token *tokens = weir_tpl_alloc(cutter->run, capacity, sizeof(*tokens));
        if (cutter->count > 0)
            memcpy(tokens, cutter->tokens, cutter->count * sizeof(*tokens));
        cutter->tokens = tokens;
        cutter->capacity = capacity;
    }
    struct tpl_token *token = &cutter->tokens[cutter->count++];
    *token = (struct tpl_token){.kind = kind, .line = line_of(cutter, at)};
    return token;
}

static bool looks_at(const struct cutter *cutter, size_t at, const char *word)
{
    const size_t length = strlen(word);
    return at + length <= cutter->length && memcmp(cutter->source + at, word, length) == 0;
}

static size_t skip_space(const struct cutter *cutter, size_t at)
{
    return at + weir_tpl_space_before(cutter->source + at, cutter->length - at);
}

/* Behind the end of a tag whose closing is word: "-" in front of it takes the white space that
 * follows, "+" takes nothing, and neither takes one line end where trims. 0: no such end at at. */
static size_t end_of_tag(const struct cutter *cutter, size_t at, const char *word, bool trims)
{
    if (at < cutter->length && cutter->source[at] == '-' && looks_at(cutter, at + 1, word))
        return skip_space(cutter, at + 1 + strlen(word));
    if (trims && at < cutter->length && cutter->source[at] == '+' && looks_at(cutter, at + 1, word))
        return at + 1 + strlen(word);
    if (!looks_at(cutter, at, word))
        return 0;
    const size_t end = at + strlen(word);
    return trims && end < cutter->length && cutter->source[end] == '\n' ? end + 1 : end;
}

/* ---- data ---------------------------------------------------------------------------------- */

/* The text before a tag whose sign is "-", "+" or another; strips: it is no {{. */
static void add_data(struct cutter *cutter, size_t from, size_t to, char sign, bool strips)
{
    const char *source = cutter->source;
    if (sign == '-') {
        to -= weir_tpl_space_after(source + from, to - from);
    } else if (sign != '+' && strips) {
        size_t line_start = to;
        while (line_start > from && source[line_start - 1] != '\n')
            line_start--;
        const bool starts_line = line_start > from || from == 0 || source[from - 1] == '\n';
        if (starts_line &&
            weir_tpl_space_before(source + line_start, to - line_start) == to - line_start)
            to = line_start;
    }
    if (to > from)
        add(cutter, TPL_TOKEN_DATA, from)->value = weir_tpl_text(source + from, to - from);
}

/* The rest of "{% raw %}", whose content begins behind it; 0: at is no such tag. */
static size_t begin_raw(const struct cutter *cutter, size_t at)
{
    size_t end = skip_space(cutter, at);
    if (!looks_at(cutter, end, "raw"))
        return 0;
    end = skip_space(cutter, end + 3);
    return end_of_tag(cutter, end, "%}", false);
}

static void cut_raw(struct cutter *cutter, size_t begin, size_t tag)
{
    for (size_t at = begin; at < cutter->length; at++) {
        if (!looks_at(cutter, at, "{%"))
            continue;
        const char sign = cutter->source[at + 2 < cutter->length ? at + 2 : at];
        const size_t word = skip_space(cutter, at + 2 + (sign == '-' || sign == '+'));
        if (!looks_at(cutter, word, "endraw"))
            continue;
        const size_t end = end_of_tag(cutter, skip_space(cutter, word + 6), "%}", true);
        if (end == 0)
            continue;
        add_data(cutter, begin, at, sign, true);
        cutter->at = end;
        return;
    }
    line_of(cutter, tag);
    weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "'raw' has no 'endraw'");
}

static void cut_comment(struct cutter *cutter, size_t begin, size_t tag)
{
    for (size_t at = begin; at < cutter->length; at++) {
        const size_t end = end_of_tag(cutter, at, "#}", true);
        if (end > 0) {
            cutter->at = end;
            return;
        }
    }
    line_of(cutter, tag);
    weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "the comment '{#' has no '#}'");
}

/* ---- inside tags --------------------------------------------------------------------------- */

static bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') || byte == '_' ||
           (byte >= '0' && byte <= '9') || (uint8_t)byte >= 0x80;
}

static int digit_value(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    const char lower = (char)(byte | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : 99;
}

/* Digits of a base, with single "_" between them; they are copied to spelled. */
static size_t skip_digits(const struct cutter *cutter, size_t at, int base, char *spelled,
                          size_t *filled)
{
    while (at < cutter->length) {
        const size_t digit = at + (cutter->source[at] == '_');
        if (digit >= cutter->length || digit_value(cutter->source[digit]) >= base ||
            (digit > at && !is_name_byte(cutter->source[at - 1])))
            break;
        if (*filled < WEIR_JSON_NUMBER_MAX)
            spelled[(*filled)++] = cutter->source[digit];
        else
            weir_tpl_fail(cutter->run, WEIR_ERR_UNSUPPORTED, "a number of more than %d digits",
                          WEIR_JSON_NUMBER_MAX);
        at = digit + 1;
    }
    return at;
}

static int64_t read_integer(struct cutter *cutter, const char *spelled, size_t length, int base)
{
    uint64_t sum = 0;
    for (size_t index = 0; index < length; index++)
        if (!weir_checked_mul(sum, (uint64_t)base, &sum) ||
            !weir_checked_add(sum, (uint64_t)digit_value(spelled[index]), &sum) || sum > INT64_MAX)
            weir_tpl_fail(cutter->run, WEIR_ERR_UNSUPPORTED, "an integer of more than 64 bits");
    return (int64_t)sum;
}

/* Behind the fraction and the exponent of a number whose digits are in spelled; at itself where
 * there are none. */
static size_t skip_fraction(struct cutter *cutter, size_t at, char *spelled, size_t *filled)
{
    const size_t integer_filled = *filled;
    size_t end = at;
    if (at + 1 < cutter->length && cutter->source[at] == '.' &&
        digit_value(cutter->source[at + 1]) < 10) {
        spelled[(*filled)++] = '.';
        end = skip_digits(cutter, at + 1, 10, spelled, filled);
    }
    const size_t fraction_filled = *filled;
    if (end < cutter->length && (cutter->source[end] | 0x20) == 'e') {
        size_t digits = end + 1;
        spelled[(*filled)++] = 'e';
        if (digits < cutter->length &&
            (cutter->source[digits] == '-' || cutter->source[digits] == '+'))
            spelled[(*filled)++] = cutter->source[digits++];
        if (digits < cutter->length && digit_value(cutter->source[digits]) < 10)
            return skip_digits(cutter, digits, 10, spelled, filled);
        *filled = fraction_filled;
    }
    if (end == at)
        *filled = integer_filled;
    return end;
}

static void cut_number(struct cutter *cutter)
{
    char spelled[WEIR_JSON_NUMBER_MAX + 8];
    size_t filled = 0;
    const size_t begin = cutter->at;
    struct tpl_token *token = add(cutter, TPL_TOKEN_CONST, begin);
    const char sign = begin + 1 < cutter->length ? (char)(cutter->source[begin + 1] | 0x20) : ' ';
    const int base = cutter->source[begin] != '0' ? 10
                     : sign == 'x'                ? 16
                     : sign == 'o'                ? 8
                     : sign == 'b'                ? 2
                                                  : 10;
    if (base != 10) {
        cutter->at = skip_digits(cutter, begin + 2, base, spelled, &filled);
        token->value = weir_tpl_integer(read_integer(cutter, spelled, filled, base));
        return;
    }
    size_t end = skip_digits(cutter, begin, 10, spelled, &filled);
    const bool behind_dot = begin > 0 && cutter->source[begin - 1] == '.';
    const size_t real_end = behind_dot ? end : skip_fraction(cutter, end, spelled, &filled);
    if (real_end == end) {
        token->value = weir_tpl_integer(read_integer(cutter, spelled, filled, 10));
    } else {
        double real = 0.0;
        struct weir_json number = {0};
        /* A JSON number has no leading zeros. */
        size_t zeros = 0;
        while (spelled[zeros] == '0' && digit_value(spelled[zeros + 1]) < 10)
            zeros++;
        if (weir_json_parse(&number, spelled + zeros, filled - zeros, "the number", NULL) !=
            WEIR_OK)
            weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "a number that cannot be read");
        weir_json_f64(number, &real);
        token->value = weir_tpl_real(real);
    }
    cutter->at = real_end;
}

/* What the escape at at (behind its backslash) stands for goes to out; returns behind it. */
static size_t cut_escape(struct cutter *cutter, size_t at, size_t end, struct tpl_buffer *out)
{
    static const char plain[] = "\n\0\\\\''\"\"a\ab\bf\fn\nr\rt\tv\v";
    const char byte = cutter->source[at];
    uint32_t code = 0;
    size_t digits = byte == 'x' ? 2 : byte == 'u' ? 4 : byte == 'U' ? 8 : 0, read = 0;
    if (byte == '\n')
        return at + 1;
    for (size_t index = 2; index + 1 < sizeof(plain); index += 2) {
        if (byte == plain[index]) {
            weir_tpl_push_char(cutter->run, out, plain[index + 1]);
            return at + 1;
        }
    }
    if (byte == 'N')
        weir_tpl_fail(cutter->run, WEIR_ERR_UNSUPPORTED, "the escape '\\N' is not built in");
    const bool is_octal = byte >= '0' && byte <= '7';
    if (digits == 0 && !is_octal) {
        weir_tpl_push_char(cutter->run, out, '\\');
        return at;
    }
    at += !is_octal;
    const size_t digits_max = is_octal ? 3 : digits;
    for (; read < digits_max && at < end && digit_value(cutter->source[at]) < (is_octal ? 8 : 16);
         read++)
        code = code * (is_octal ? 8 : 16) + (uint32_t)digit_value(cutter->source[at++]);
    if (read < digits || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "the escape '\\%c' names no character", byte);
    char spelled[4];
    weir_tpl_push(cutter->run, out, spelled, weir_utf8_encode(code, spelled));
    return at;
}

static void cut_string(struct cutter *cutter)
{
    const char quote = cutter->source[cutter->at];
    const size_t begin = cutter->at + 1;
    struct tpl_buffer out = {0};
    size_t end = begin;
    struct tpl_token *token = add(cutter, TPL_TOKEN_CONST, cutter->at);
    while (end < cutter->length && cutter->source[end] != quote)
        end += 1 + (cutter->source[end] == '\\');
    if (end >= cutter->length)
        weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "the text that begins with %c has no end",
                      quote);
    size_t plain = begin;
    for (size_t at = begin; at < end;) {
        if (cutter->source[at] != '\\') {
            at++;
            continue;
        }
        weir_tpl_push(cutter->run, &out, cutter->source + plain, at - plain);
        at = plain = cut_escape(cutter, at + 1, end, &out);
    }
    token->value = weir_tpl_text(cutter->source + plain, end - plain);
    if (plain > begin) {
        weir_tpl_push(cutter->run, &out, cutter->source + plain, end - plain);
        token->value = weir_tpl_buffer_text(&out);
    }
    cutter->at = end + 1;
}

static void follow_brackets(struct cutter *cutter, char byte)
{
    const char closing = byte == '(' ? ')' : byte == '[' ? ']' : byte == '{' ? '}' : 0;
    if (closing != 0) {
        if (cutter->open_count == WEIR_TEMPLATE_NESTING_MAX)
            weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "more than %d brackets in each other",
                          WEIR_TEMPLATE_NESTING_MAX);
        cutter->open[cutter->open_count++] = closing;
    } else if (byte == ')' || byte == ']' || byte == '}') {
        if (cutter->open_count == 0)
            weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "unexpected '%c'", byte);
        if (cutter->open[--cutter->open_count] != byte)
            weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "unexpected '%c', wanted '%c'", byte,
                          cutter->open[cutter->open_count]);
    }
}

static void cut_operator(struct cutter *cutter)
{
    static const char *const doubles[] = {"//", "**", "==", "!=", ">=", "<="};
    const char *at = cutter->source + cutter->at;
    struct tpl_token *token = add(cutter, TPL_TOKEN_OPERATOR, cutter->at);
    size_t length = 1;
    for (size_t index = 0; index < WEIR_COUNT(doubles); index++)
        if (looks_at(cutter, cutter->at, doubles[index]))
            length = 2;
    if (length == 1 && (*at == 0 || strchr("+-*/%~[](){}<>=.:|,;", *at) == NULL))
        weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "unexpected character '%.*s'",
                      (int)weir_utf8_char(at, cutter->length - cutter->at), at);
    follow_brackets(cutter, *at);
    token->op = TPL_OP(at[0], length == 2 ? at[1] : 0);
    token->value = weir_tpl_text(at, length);
    cutter->at += length;
}

static void cut_tag(struct cutter *cutter, bool is_print, size_t tag)
{
    cutter->open_count = 0;
    add(cutter, is_print ? TPL_TOKEN_PRINT_BEGIN : TPL_TOKEN_BLOCK_BEGIN, tag);
    for (;;) {
        cutter->at = skip_space(cutter, cutter->at);
        const size_t end = cutter->open_count > 0
                               ? 0
                               : end_of_tag(cutter, cutter->at, is_print ? "}}" : "%}", !is_print);
        if (end > 0) {
            add(cutter, is_print ? TPL_TOKEN_PRINT_END : TPL_TOKEN_BLOCK_END, cutter->at);
            cutter->at = end;
            return;
        }
        if (cutter->at >= cutter->length) {
            cutter->run->line = cutter->tokens[cutter->count - 1].line;
            weir_tpl_fail(cutter->run, WEIR_ERR_FORMAT, "the tag '%s' has no end",
                          is_print ? "{{" : "{%");
        }
        const char byte = cutter->source[cutter->at];
        if (byte >= '0' && byte <= '9') {
            cut_number(cutter);
        } else if (byte == '"' || byte == '\'') {
            cut_string(cutter);
        } else if (is_name_byte(byte)) {
            const size_t begin = cutter->at;
            while (cutter->at < cutter->length && is_name_byte(cutter->source[cutter->at]))
                cutter->at++;
            add(cutter, TPL_TOKEN_NAME, begin)->value =
                weir_tpl_text(cutter->source + begin, cutter->at - begin);
        } else {
            cut_operator(cutter);
        }
    }
}

/* From cutter->at to the end of the next tag. */
static void cut_next(struct cutter *cutter)
{
    const size_t begin = cutter->at;
    for (size_t at = begin; at + 1 < cutter->length; at++) {
        const char kind = cutter->source[at] == '{' ? cutter->source[at + 1] : ' ';
        if (kind != '{' && kind != '%' && kind != '#')
            continue;
        char sign = at + 2 < cutter->length ? cutter->source[at + 2] : ' ';
        size_t inside = at + 2 + (sign == '-' || sign == '+');
        add_data(cutter, begin, at, sign, kind != '{');
        const size_t raw = kind == '%' ? begin_raw(cutter, inside) : 0;
        cutter->at = inside;
        if (raw > 0)
            cut_raw(cutter, raw, at);
        else if (kind == '#')
            cut_comment(cutter, inside, at);
        else
            cut_tag(cutter, kind == '{', at);
        return;
    }
    add_data(cutter, begin, cutter->length, '+', false);
    cutter->at = cutter->length;
}

struct tpl_token *weir_tpl_cut(struct tpl_run *run, const char *source, size_t length)
{
    struct cutter cutter = {.run = run, .source = source, .length = length, .line = 1};
    while (cutter.at < length)
        cut_next(&cutter);
    add(&cutter, TPL_TOKEN_END, length);
    return cutter.tokens;
}
