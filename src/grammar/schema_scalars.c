/* schema_scalars.c - texts and numbers of a schema. */
#include <math.h>
#include <string.h>

#include "grammar/schema.h"

static bool has(const struct weir_schema_place *place, enum weir_schema_keyword keyword)
{
    return weir_json_kind(place->members[keyword]) != WEIR_JSON_NONE;
}

/* ---- texts --------------------------------------------------------------------------------- */

/* RFC 3339, RFC 4122 and dotted quads; every other format is an annotation, as the standard has
 * it. */
static const struct {
    const char *name, *grammar;
} formats[] = {
#define DATE                                                                                       \
    "[0-9]{4} \"-\" (\"0\" [1-9] | \"1\" [0-2]) \"-\" (\"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8]) "
#define TIME                                                                                       \
    "([0-1] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9] \":\" [0-5] [0-9] (\".\" [0-9]{1,6})? "         \
    "(\"Z\" | [-+] ([0-1] [0-9] | \"2\" [0-3]) \":\" [0-5] [0-9]) "
#define OCTET "(\"25\" [0-5] | \"2\" [0-4] [0-9] | \"1\" [0-9]{2} | [1-9]? [0-9]) "
    {"date", DATE},
    {"time", TIME},
    {"date-time", DATE "\"T\" " TIME},
    {"uuid",
     "[0-9a-f]{8} \"-\" [0-9a-f]{4} \"-\" [0-9a-f]{4} \"-\" [0-9a-f]{4} \"-\" [0-9a-f]{12} "},
    {"ipv4", OCTET "\".\" " OCTET "\".\" " OCTET "\".\" " OCTET},
#undef DATE
#undef TIME
#undef OCTET
};

static const char *find_format(struct weir_json format)
{
    for (size_t row = 0; row < WEIR_COUNT(formats); row++)
        if (weir_json_is(format, formats[row].name))
            return formats[row].grammar;
    return NULL;
}

void weir_schema_write_text(struct weir_schema *schema, const struct weir_schema_place *place)
{
    const uint64_t least = weir_schema_count(schema, place, WEIR_SCHEMA_MIN_LENGTH, 0);
    const uint64_t most = weir_schema_count(schema, place, WEIR_SCHEMA_MAX_LENGTH, UINT64_MAX);
    const bool has_length = has(place, WEIR_SCHEMA_MIN_LENGTH) || most != UINT64_MAX;
    const char *format = find_format(place->members[WEIR_SCHEMA_FORMAT]);
    if (has(place, WEIR_SCHEMA_PATTERN) + (format != NULL) + has_length > 1)
        weir_schema_refuse(schema, place->schema, WEIR_ERR_UNSUPPORTED,
                           "more than one of pattern, format and minLength or maxLength is not "
                           "built");
    if (least > most || least > WEIR_GRAMMAR_REPEAT_MAX ||
        (most > WEIR_GRAMMAR_REPEAT_MAX && most != UINT64_MAX))
        weir_schema_refuse(schema, place->schema, WEIR_ERR_FORMAT,
                           "minLength: wanted at most maxLength, and both at most %d",
                           WEIR_GRAMMAR_REPEAT_MAX);
    weir_schema_write(schema, "\"\\\"\" ");
    if (has(place, WEIR_SCHEMA_PATTERN))
        weir_schema_write_pattern(schema, place->members[WEIR_SCHEMA_PATTERN]);
    else if (format != NULL)
        weir_schema_write_grammar(schema, format);
    else if (most == UINT64_MAX)
        weir_schema_write(schema, "char{%llu,}", (unsigned long long)least);
    else
        weir_schema_write(schema, "char{%llu,%llu}", (unsigned long long)least,
                          (unsigned long long)most);
    weir_schema_write(schema, " \"\\\"\" ");
}

/* ---- whole numbers ------------------------------------------------------------------------- */

/* Numbers stay exact in a reader that has only doubles. */
#define WHOLE_MAX 9007199254740991.0 /* 2^53 - 1 */

static uint64_t power(uint32_t digits)
{
    uint64_t value = 1;
    while (digits-- > 0)
        value *= 10;
    return value;
}

static uint32_t count_digits(uint64_t value)
{
    uint32_t digits = 1;
    while (value >= 10) {
        value /= 10;
        digits++;
    }
    return digits;
}

static void write_digits(struct weir_schema *schema, char low, char high, uint32_t any)
{
    weir_schema_write(schema, low == high ? "[%c] " : "[%c-%c] ", low, high);
    if (any > 0)
        weir_schema_write(schema, "[0-9]{%u} ", any);
}

/* All numbers of so many digits, leading zeros and all, from low to high: those that begin as low
 * does, those between, those that begin as high does. */
static void write_same_length(struct weir_schema *schema, uint64_t low, uint64_t high,
                              uint32_t digits)
{
    if (digits == 0) {
        weir_schema_write(schema, "\"\" ");
        return;
    }
    const uint64_t unit = power(digits - 1);
    const uint64_t first = low / unit, last = high / unit;
    if (first == last) {
        write_digits(schema, (char)('0' + first), (char)('0' + first), 0);
        weir_schema_write(schema, "(");
        write_same_length(schema, low % unit, high % unit, digits - 1);
        weir_schema_write(schema, ") ");
        return;
    }
    const bool is_low_whole = low % unit == 0, is_high_whole = high % unit == unit - 1;
    const uint64_t from = first + !is_low_whole, to = last - !is_high_whole;
    const char *bar = "";
    if (!is_low_whole) {
        write_digits(schema, (char)('0' + first), (char)('0' + first), 0);
        weir_schema_write(schema, "(");
        write_same_length(schema, low % unit, unit - 1, digits - 1);
        weir_schema_write(schema, ") ");
        bar = "| ";
    }
    if (from <= to) {
        weir_schema_write(schema, "%s", bar);
        write_digits(schema, (char)('0' + from), (char)('0' + to), digits - 1);
        bar = "| ";
    }
    if (!is_high_whole) {
        weir_schema_write(schema, "%s", bar);
        write_digits(schema, (char)('0' + last), (char)('0' + last), 0);
        weir_schema_write(schema, "(");
        write_same_length(schema, 0, high % unit, digits - 1);
        weir_schema_write(schema, ") ");
    }
}

/* A choice without leading zeros, in parentheses. */
static void write_range(struct weir_schema *schema, uint64_t low, uint64_t high)
{
    const uint32_t last = count_digits(high);
    weir_schema_write(schema, "(");
    for (uint32_t digits = count_digits(low); digits <= last; digits++) {
        const uint64_t from = digits == 1 ? low : weir_max(low, power(digits - 1));
        write_same_length(schema, from, weir_min(high, power(digits) - 1), digits);
        weir_schema_write(schema, "%s", digits < last ? "| " : "");
    }
    weir_schema_write(schema, ") ");
}

/* ---- numbers ------------------------------------------------------------------------------- */

struct bounds {
    double low, high;    /* whole numbers lie from ... to */
    double above, below; /* whole steps whose fractions are all allowed begin and end here */
};

static double read_bound(struct weir_schema *schema, const struct weir_schema_place *place,
                         enum weir_schema_keyword keyword, double otherwise)
{
    const struct weir_json value = place->members[keyword];
    double bound = otherwise;
    if (weir_json_kind(value) == WEIR_JSON_NONE)
        return otherwise;
    if (!weir_json_f64(value, &bound) || isnan(bound))
        weir_schema_refuse(schema, value, WEIR_ERR_FORMAT, "wanted a number, found %s",
                           weir_json_kind_name(weir_json_kind(value)));
    return fmin(fmax(bound, -WHOLE_MAX), WHOLE_MAX);
}

static struct bounds read_bounds(struct weir_schema *schema, const struct weir_schema_place *place)
{
    /* Digits of a fraction stay exact below this. */
    static const double fraction_max = 1e9;
    const double least = read_bound(schema, place, WEIR_SCHEMA_MINIMUM, -WHOLE_MAX);
    const double most = read_bound(schema, place, WEIR_SCHEMA_MAXIMUM, WHOLE_MAX);
    const double above = read_bound(schema, place, WEIR_SCHEMA_ABOVE, -WHOLE_MAX - 1.0);
    const double below = read_bound(schema, place, WEIR_SCHEMA_BELOW, WHOLE_MAX + 1.0);
    struct bounds bounds = {.low = fmax(ceil(least), floor(above) + 1.0),
                            .high = fmin(floor(most), ceil(below) - 1.0)};
    bounds.above = fmax(bounds.low, -fraction_max);
    bounds.below = fmin(bounds.high, fraction_max);
    if (bounds.low > bounds.high)
        weir_schema_refuse(schema, place->schema, WEIR_ERR_UNSUPPORTED,
                           "wanted bounds of a number with a whole number between them");
    return bounds;
}

/* From low to high with a sign where one is wanted; *bar is what comes before a choice. */
static void write_wholes(struct weir_schema *schema, double low, double high, const char *fraction,
                         const char **bar)
{
    if (low > high)
        return;
    weir_schema_write(schema, "%s", *bar);
    write_range(schema, (uint64_t)low, (uint64_t)high);
    weir_schema_write(schema, "%s", fraction);
    *bar = "| ";
}

static void write_between(struct weir_schema *schema, const struct bounds *bounds,
                          bool has_fractions)
{
    static const char fraction[] = "\".\" [0-9]{1,6} ";
    const char *bar = "";
    weir_schema_write(schema, "(");
    write_wholes(schema, fmax(bounds->low, 0.0), bounds->high, "", &bar);
    if (has_fractions)
        write_wholes(schema, fmax(bounds->above, 0.0), bounds->below - 1.0, fraction, &bar);
    if (bounds->low < 0.0) {
        const char *first = "";
        weir_schema_write(schema, "%s\"-\" (", bar);
        write_wholes(schema, fmax(-bounds->high, 1.0), -bounds->low, "", &first);
        if (has_fractions)
            write_wholes(schema, fmax(-bounds->below, 0.0), -bounds->above - 1.0, fraction, &first);
        weir_schema_write(schema, ") ");
    }
    weir_schema_write(schema, ") ");
}

void weir_schema_write_number(struct weir_schema *schema, const struct weir_schema_place *place)
{
    const bool has_fractions = (place->types & WEIR_TYPE_FRACTION) != 0;
    if (has(place, WEIR_SCHEMA_MINIMUM) || has(place, WEIR_SCHEMA_MAXIMUM) ||
        has(place, WEIR_SCHEMA_ABOVE) || has(place, WEIR_SCHEMA_BELOW)) {
        const struct bounds bounds = read_bounds(schema, place);
        if (schema->status == WEIR_OK)
            write_between(schema, &bounds, has_fractions);
    } else {
        weir_schema_write(schema, has_fractions ? "number " : "integer ");
    }
}
