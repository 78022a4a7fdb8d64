/* schema_pattern.c - a regular expression over the characters of a JSON text, as GBNF.
 *
 * What ECMA-262 and Python agree on: literals, . [...] \d \w \s and their opposites, (...) (?:...)
 * | * + ? {m} {m,} {m,n}, ^ at the very beginning and $ at the very end. What is said to be
 * anything but some characters is one of ASCII where the two disagree about the rest.
 */
#include <string.h>

#include "base/utf8.h"
#include "grammar/schema.h"

enum { SET_MAX = 256, PATTERN_MAX = 4096, NEST_MAX = 60, CHARACTER_MAX = 0x10ffff };

struct set {
    struct weir_tree_range ranges[SET_MAX];
    uint32_t count;
};

struct pattern {
    struct weir_schema *schema;
    struct weir_json value;
    const char *start, *at, *end;
    uint32_t depth;
};

static void refuse(struct pattern *pattern, const char *what)
{
    weir_schema_refuse(pattern->schema, pattern->value, WEIR_ERR_UNSUPPORTED,
                       "pattern, byte %zu: %s", (size_t)(pattern->at - pattern->start), what);
}

static bool takes(struct pattern *pattern, char wanted)
{
    const bool is_there = pattern->at < pattern->end && *pattern->at == wanted;
    pattern->at += is_there;
    return is_there;
}

/* ---- sets of characters -------------------------------------------------------------------- */

static void add(struct pattern *pattern, struct set *set, uint32_t low, uint32_t high)
{
    if (set->count == SET_MAX)
        refuse(pattern, "wanted a class of fewer characters");
    else if (low <= high)
        set->ranges[set->count++] = (struct weir_tree_range){low, high};
}

static bool holds(const struct set *set, uint32_t character)
{
    for (uint32_t at = 0; at < set->count; at++)
        if (character >= set->ranges[at].low && character <= set->ranges[at].high)
            return true;
    return false;
}

static void add_named(struct pattern *pattern, struct set *set, char name)
{
    static const char spaces[] = " \t\n\r\f\v";
    if (name == 'd' || name == 'w')
        add(pattern, set, '0', '9');
    if (name == 'w') {
        add(pattern, set, 'A', 'Z');
        add(pattern, set, 'a', 'z');
        add(pattern, set, '_', '_');
    }
    for (const char *space = spaces; name == 's' && *space != 0; space++)
        add(pattern, set, (uint32_t)*space, (uint32_t)*space);
}

/* What is below most and not in the set. */
static void negate(struct pattern *pattern, struct set *set, uint32_t most)
{
    struct set others = {.count = 0};
    uint32_t from = 0;
    while (from <= most) {
        uint32_t next = most + 1; /* the nearest that is in the set */
        uint32_t behind = from;
        for (uint32_t at = 0; at < set->count; at++) {
            if (set->ranges[at].low <= from && set->ranges[at].high >= from)
                behind = (uint32_t)weir_max(behind, set->ranges[at].high + 1);
            if (set->ranges[at].low > from)
                next = (uint32_t)weir_min(next, set->ranges[at].low);
        }
        if (behind > from) {
            from = behind;
            continue;
        }
        add(pattern, &others, from, next - 1);
        if (pattern->schema->status != WEIR_OK)
            return;
        from = next;
    }
    *set = others;
}

/* The characters as JSON writes them: some escaped, control characters without a short escape not
 * at all. */
static void write_set(struct pattern *pattern, const struct set *set)
{
    static const char escaped[] = "\"\\\b\f\n\r\t", letters[] = "\"\\bfnrt";
    struct set plain = *set;
    const char *bar = "";
    negate(pattern, &plain, CHARACTER_MAX);
    add(pattern, &plain, 0, 0x1f);
    add(pattern, &plain, '"', '"');
    add(pattern, &plain, '\\', '\\');
    add(pattern, &plain, 0x7f, 0x7f);
    add(pattern, &plain, 0xd800, 0xdfff);
    negate(pattern, &plain, CHARACTER_MAX);
    weir_schema_write(pattern->schema, "(");
    for (uint32_t at = 0; at < plain.count; at++)
        weir_schema_write(pattern->schema, "%s\\U%08x-\\U%08x", at == 0 ? "[" : "",
                          plain.ranges[at].low, plain.ranges[at].high);
    if (plain.count > 0) {
        weir_schema_write(pattern->schema, "] ");
        bar = "| ";
    }
    for (const char *at = escaped; *at != 0; at++) {
        const char spelled[] = {'\\', letters[at - escaped]};
        if (!holds(set, (uint32_t)*at))
            continue;
        weir_schema_write(pattern->schema, "%s", bar);
        weir_schema_write_literal(pattern->schema, spelled, sizeof(spelled));
        bar = "| ";
    }
    if (bar[0] == '\0')
        refuse(pattern, "wanted characters that JSON can write");
    weir_schema_write(pattern->schema, ") ");
}

/* ---- reading ------------------------------------------------------------------------------- */

static bool take_hex(struct pattern *pattern, int digits, uint32_t *character)
{
    *character = 0;
    for (int index = 0; index < digits; index++) {
        static const char hex[] = "0123456789abcdefABCDEF";
        const char *digit =
            pattern->at == pattern->end || *pattern->at == 0 ? NULL : strchr(hex, *pattern->at);
        if (digit == NULL)
            return false;
        pattern->at++;
        const uint32_t value = (uint32_t)(digit - hex);
        *character = *character * 16 + (value < 16 ? value : value - 6);
    }
    return true;
}

/* Behind a backslash. A class of characters goes into set, and *is_class is set. */
static uint32_t take_escape(struct pattern *pattern, struct set *set, bool *is_class)
{
    static const char letters[] = "nrtfv", meant[] = "\n\r\t\f\v";
    const char letter = pattern->at < pattern->end ? *pattern->at++ : 0;
    const char *control = letter == 0 ? NULL : strchr(letters, letter);
    uint32_t character = 0;
    *is_class = letter != 0 && strchr("dwsDWS", letter) != NULL;
    if (*is_class) {
        struct set named = {.count = 0};
        add_named(pattern, &named, (char)(letter | 0x20));
        if (letter < 'a')
            negate(pattern, &named, 0x7f);
        for (uint32_t at = 0; at < named.count; at++)
            add(pattern, set, named.ranges[at].low, named.ranges[at].high);
    } else if (control != NULL) {
        character = (uint32_t)meant[control - letters];
    } else if (letter == 'x' || letter == 'u') {
        if (!take_hex(pattern, letter == 'x' ? 2 : 4, &character) ||
            (character >= 0xd800 && character <= 0xdfff))
            refuse(pattern, "wanted the hexadecimal digits of a character");
    } else if (letter != 0 && strchr("^$\\.*+?()[]{}|/-\"'`~!@#%&=:;<>, ", letter) != NULL) {
        character = (uint32_t)letter;
    } else {
        refuse(pattern, "this escape is not built");
    }
    return character;
}

static uint32_t take_character(struct pattern *pattern, struct set *set, bool *is_class)
{
    *is_class = false;
    if (takes(pattern, '\\'))
        return take_escape(pattern, set, is_class);
    const uint32_t character = weir_utf8_decode(pattern->at);
    pattern->at += weir_utf8_char(pattern->at, (size_t)(pattern->end - pattern->at));
    return character;
}

static void read_class(struct pattern *pattern)
{
    struct set set = {.count = 0};
    const bool is_negated = takes(pattern, '^');
    bool has_named = false;
    while (pattern->schema->status == WEIR_OK && !takes(pattern, ']')) {
        bool is_class = false, is_second_class = false;
        if (pattern->at == pattern->end) {
            refuse(pattern, "wanted the end of a class");
            return;
        }
        const uint32_t low = take_character(pattern, &set, &is_class);
        uint32_t high = low;
        if (!is_class && pattern->end - pattern->at > 1 && pattern->at[0] == '-' &&
            pattern->at[1] != ']') {
            pattern->at++;
            high = take_character(pattern, &set, &is_second_class);
            if (is_second_class || low > high)
                refuse(pattern, "wanted a range that goes up");
        }
        has_named |= is_class;
        if (!is_class)
            add(pattern, &set, low, high);
    }
    if (is_negated)
        negate(pattern, &set, has_named ? 0x7f : CHARACTER_MAX);
    write_set(pattern, &set);
}

static uint32_t take_count(struct pattern *pattern)
{
    const char *start = pattern->at;
    uint32_t count = 0;
    while (pattern->at < pattern->end && *pattern->at >= '0' && *pattern->at <= '9' &&
           count <= WEIR_GRAMMAR_REPEAT_MAX)
        count = count * 10 + (uint32_t)(*pattern->at++ - '0');
    if (pattern->at == start || count > WEIR_GRAMMAR_REPEAT_MAX)
        refuse(pattern, "wanted a number of times up to 65536");
    return count;
}

/* How often what was written may come; lazy or greedy are the same texts. */
static void read_repeat(struct pattern *pattern)
{
    if (takes(pattern, '*')) {
        weir_schema_write(pattern->schema, "* ");
    } else if (takes(pattern, '+')) {
        weir_schema_write(pattern->schema, "+ ");
    } else if (takes(pattern, '?')) {
        weir_schema_write(pattern->schema, "? ");
    } else if (takes(pattern, '{')) {
        const uint32_t least = take_count(pattern);
        weir_schema_write(pattern->schema, "{%u", least);
        if (takes(pattern, ',')) {
            weir_schema_write(pattern->schema, ",");
            if (pattern->at < pattern->end && *pattern->at != '}') {
                const uint32_t most = take_count(pattern);
                weir_schema_write(pattern->schema, "%u", most);
                if (most < least)
                    refuse(pattern, "wanted a most that is not below the least");
            }
        }
        weir_schema_write(pattern->schema, "} ");
        if (!takes(pattern, '}'))
            refuse(pattern, "wanted a }");
    } else {
        return;
    }
    takes(pattern, '?');
    if (pattern->at < pattern->end && strchr("*+?{", *pattern->at) != NULL)
        refuse(pattern, "a repetition of a repetition is not built");
}

static void read_choice(struct pattern *pattern);

static void read_item(struct pattern *pattern)
{
    struct set set = {.count = 0};
    const char first = *pattern->at;
    if (first == '^' || first == '$') {
        refuse(pattern, "^ and $ are built only at the ends of a pattern without a choice");
    } else if (first != 0 && strchr("*+?{}])", first) != NULL) {
        refuse(pattern, "wanted something to match");
    } else if (takes(pattern, '(')) {
        if (pattern->at < pattern->end && *pattern->at == '?' &&
            !(pattern->end - pattern->at > 1 && pattern->at[1] == ':'))
            refuse(pattern, "of (?...) only (?:...) is built");
        if (takes(pattern, '?'))
            takes(pattern, ':');
        if (++pattern->depth > NEST_MAX)
            refuse(pattern, "wanted fewer parentheses in each other");
        weir_schema_write(pattern->schema, "(");
        read_choice(pattern);
        weir_schema_write(pattern->schema, ") ");
        pattern->depth--;
        if (!takes(pattern, ')'))
            refuse(pattern, "wanted a )");
    } else if (takes(pattern, '[')) {
        read_class(pattern);
    } else if (takes(pattern, '.')) {
        weir_schema_write(pattern->schema, "dot ");
    } else {
        bool is_class = false;
        const uint32_t character = take_character(pattern, &set, &is_class);
        if (!is_class)
            add(pattern, &set, character, character);
        write_set(pattern, &set);
    }
    if (pattern->schema->status == WEIR_OK)
        read_repeat(pattern);
}

static void read_choice(struct pattern *pattern)
{
    weir_schema_write(pattern->schema, "\"\" ");
    while (pattern->schema->status == WEIR_OK && pattern->at < pattern->end &&
           *pattern->at != ')') {
        if (takes(pattern, '|'))
            weir_schema_write(pattern->schema, "| \"\" ");
        else
            read_item(pattern);
    }
}

/* A bar outside of parentheses and classes. */
static bool has_choice(const struct pattern *pattern)
{
    uint32_t depth = 0;
    bool is_in_class = false;
    for (const char *at = pattern->at; at < pattern->end; at++) {
        if (*at == '\\')
            at++;
        else if (*at == '[')
            is_in_class = true;
        else if (*at == ']')
            is_in_class = false;
        else if (!is_in_class && *at == '(')
            depth++;
        else if (!is_in_class && *at == ')')
            depth--;
        else if (!is_in_class && *at == '|' && depth == 0)
            return true;
    }
    return false;
}

/* A $ at the end that no backslash makes a character. */
static bool takes_end(struct pattern *pattern)
{
    const char *at = pattern->end;
    if (at == pattern->at || at[-1] != '$')
        return false;
    size_t slashes = 0;
    while (at - 1 - slashes > pattern->at && at[-2 - (ptrdiff_t)slashes] == '\\')
        slashes++;
    if (slashes % 2 != 0)
        return false;
    pattern->end--;
    return true;
}

void weir_schema_write_pattern(struct weir_schema *schema, struct weir_json value)
{
    char text[PATTERN_MAX];
    const size_t length = weir_json_text(value, text, sizeof(text));
    struct pattern pattern = {
        .schema = schema, .value = value, .start = text, .at = text, .end = text + length};
    if (weir_json_kind(value) != WEIR_JSON_TEXT || length > sizeof(text)) {
        weir_schema_refuse(schema, value, WEIR_ERR_FORMAT,
                           "pattern: wanted a text of at most %d bytes", PATTERN_MAX);
        return;
    }
    const bool is_choice = has_choice(&pattern);
    const bool is_from_start = !is_choice && takes(&pattern, '^');
    const bool is_to_end = !is_choice && takes_end(&pattern);
    /* It may match anywhere where it does not say where. */
    weir_schema_write(schema, is_from_start ? "(" : "char* (");
    read_choice(&pattern);
    if (pattern.at < pattern.end && schema->status == WEIR_OK)
        refuse(&pattern, "wanted no ) that nothing opens");
    weir_schema_write(schema, is_to_end ? ") " : ") char* ");
}
