/* gbnf.c - reads grammars as llama.cpp writes them.
 *
 * rule     name ::= choice, to the end of the line
 * choice   sequence | sequence ...; a line may end behind the bar, and anywhere in parentheses
 * item     "text"  [a-z]  [^a-z]  .  name  (choice)  <[id]>, and * + ? {m} {m,} {m,n} behind it
 * escapes  \n \r \t \\ \" \[ \] \- \^ \xHH \uHHHH \UHHHHHHHH
 * comments go from # to the end of the line
 */
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "grammar/grammar_tree.h"

enum { CHARACTER_MAX = 0x10ffff, SLOT_COUNT = 2 * WEIR_GRAMMAR_RULE_MAX };

struct reader {
    struct weir_tree *tree;
    const char *at, *end;
    uint32_t *slots; /* [SLOT_COUNT] rules by the hash of their names, plus one; 0: free */
    uint32_t depth;
};

/* ---- messages ------------------------------------------------------------------------------ */

static enum weir_status refuse_at(const struct reader *reader, const char *at, const char *wanted)
{
    const struct weir_tree *tree = reader->tree;
    const struct weir_place_in_text place = weir_tree_place(tree, (size_t)(at - tree->text));
    if (at == reader->end)
        return WEIR_FAIL(tree->err, WEIR_ERR_FORMAT,
                         "%s: line %u, column %u: wanted %s, found "
                         "the end",
                         tree->what, place.line, place.column, wanted);
    if (*at == '\n' || *at == '\r')
        return WEIR_FAIL(tree->err, WEIR_ERR_FORMAT,
                         "%s: line %u, column %u: wanted %s, found "
                         "the end of the line",
                         tree->what, place.line, place.column, wanted);
    const size_t step = weir_utf8_char(at, (size_t)(reader->end - at));
    return WEIR_FAIL(tree->err, WEIR_ERR_FORMAT,
                     "%s: line %u, column %u: wanted %s, found \"%.*s\"", tree->what, place.line,
                     place.column, wanted, step == 0 ? 1 : (int)step, at);
}

static enum weir_status refuse(const struct reader *reader, const char *wanted)
{
    return refuse_at(reader, reader->at, wanted);
}

/* ---- words --------------------------------------------------------------------------------- */

static bool sees(const struct reader *reader, char wanted)
{
    return reader->at < reader->end && *reader->at == wanted;
}

static bool takes(struct reader *reader, char wanted)
{
    const bool is_there = sees(reader, wanted);
    reader->at += is_there;
    return is_there;
}

static void skip_blanks(struct reader *reader, bool over_lines)
{
    while (reader->at < reader->end) {
        const char byte = *reader->at;
        if (byte == '#') {
            while (reader->at < reader->end && *reader->at != '\n')
                reader->at++;
        } else if (byte == ' ' || byte == '\t' || byte == '\r' || (byte == '\n' && over_lines)) {
            reader->at++;
        } else {
            return;
        }
    }
}

static bool is_name_byte(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

static size_t name_length(const struct reader *reader)
{
    size_t length = 0;
    while (reader->at + length < reader->end && is_name_byte(reader->at[length]))
        length++;
    return length;
}

static enum weir_status take_hex(struct reader *reader, int digits, uint32_t *value)
{
    *value = 0;
    for (int index = 0; index < digits; index++, reader->at++) {
        const char byte = reader->at < reader->end ? *reader->at : 0;
        const bool is_digit = byte >= '0' && byte <= '9';
        const char small = (char)(byte | 0x20);
        if (!is_digit && !(small >= 'a' && small <= 'f'))
            return refuse(reader, "a hexadecimal digit");
        *value = *value * 16 + (uint32_t)(is_digit ? byte - '0' : small - 'a' + 10);
    }
    return WEIR_OK;
}

/* One character of a text or a class, maybe escaped. */
static enum weir_status take_character(struct reader *reader, uint32_t *character)
{
    static const char letters[] = "nrt", meant[] = "\n\r\t", sizes[] = "xuU";
    static const int digits[] = {2, 4, 8};
    const char *start = reader->at;
    if (reader->at == reader->end || *reader->at == '\n')
        return refuse(reader, "the end of a text or of a class");
    if (!takes(reader, '\\')) {
        const size_t step = weir_utf8_char(reader->at, (size_t)(reader->end - reader->at));
        if (step == 0)
            return refuse(reader, "UTF-8");
        *character = weir_utf8_decode(reader->at);
        reader->at += step;
        return WEIR_OK;
    }
    const char escaped = reader->at < reader->end ? *reader->at++ : 0;
    const char *letter = escaped == 0 ? NULL : strchr(letters, escaped);
    const char *size = escaped == 0 ? NULL : strchr(sizes, escaped);
    if (letter != NULL) {
        *character = (uint32_t)meant[letter - letters];
    } else if (size != NULL) {
        WEIR_TRY(take_hex(reader, digits[size - sizes], character));
    } else if (escaped != 0 && strchr("\\\"[]-^", escaped) != NULL) {
        *character = (uint32_t)escaped;
    } else {
        return refuse_at(reader, start, "one of \\n \\r \\t \\\\ \\\" \\[ \\] \\- \\^ \\x \\u \\U");
    }
    if (*character > CHARACTER_MAX || (*character >= 0xd800 && *character <= 0xdfff))
        return refuse_at(reader, start, "a character of Unicode");
    return WEIR_OK;
}

/* ---- rules --------------------------------------------------------------------------------- */

/* The rule of that name; a new one when there is none yet. */
static enum weir_status find_rule(struct reader *reader, size_t length, uint32_t *rule)
{
    struct weir_tree *tree = reader->tree;
    uint64_t hash = 14695981039346656037u; /* FNV-1a */
    for (size_t at = 0; at < length; at++)
        hash = (hash ^ (uint8_t)reader->at[at]) * 1099511628211u;
    uint32_t slot = (uint32_t)(hash % SLOT_COUNT);
    for (; reader->slots[slot] != 0; slot = (slot + 1) % SLOT_COUNT) {
        const char *name = weir_tree_name(tree, reader->slots[slot] - 1);
        if (strlen(name) == length && memcmp(name, reader->at, length) == 0) {
            *rule = reader->slots[slot] - 1;
            return WEIR_OK;
        }
    }
    if (tree->rules.count == WEIR_GRAMMAR_RULE_MAX)
        return WEIR_FAIL(tree->err, WEIR_ERR_FORMAT, "%s: wanted at most %d rules, found more",
                         tree->what, WEIR_GRAMMAR_RULE_MAX);
    const uint32_t name_at = tree->names.count;
    WEIR_TRY(weir_tree_grow(tree, &tree->names, (uint32_t)length + 1, 1));
    memcpy((char *)tree->names.items + name_at, reader->at, length);
    WEIR_TRY(weir_tree_grow(tree, &tree->rules, 1, sizeof(struct weir_tree_rule)));
    *rule = tree->rules.count - 1;
    *weir_tree_rule(tree, *rule) =
        (struct weir_tree_rule){.name_at = name_at, .offset = (size_t)(reader->at - tree->text)};
    reader->slots[slot] = tree->rules.count;
    return WEIR_OK;
}

static enum weir_status add_node(struct reader *reader, struct weir_tree_node node, uint32_t *out)
{
    struct weir_tree *tree = reader->tree;
    if (tree->nodes.count > WEIR_GRAMMAR_PART_MAX) /* the first one is none */
        return refuse(reader, "a grammar of at most 131072 parts");
    WEIR_TRY(weir_tree_grow(tree, &tree->nodes, 1, sizeof(node)));
    *out = tree->nodes.count - 1;
    *weir_tree_node(tree, *out) = node;
    return WEIR_OK;
}

/* ---- items --------------------------------------------------------------------------------- */

static enum weir_status parse_text(struct reader *reader, uint32_t *out)
{
    struct weir_tree *tree = reader->tree;
    struct weir_tree_node node = {.kind = WEIR_TREE_LITERAL, .from = tree->bytes.count};
    while (!takes(reader, '"')) {
        uint32_t character = 0;
        char spelled[4];
        WEIR_TRY(take_character(reader, &character));
        const size_t length = weir_utf8_encode(character, spelled);
        WEIR_TRY(weir_tree_grow(tree, &tree->bytes, (uint32_t)length, 1));
        memcpy((char *)tree->bytes.items + tree->bytes.count - length, spelled, length);
    }
    node.count = tree->bytes.count - node.from;
    return add_node(reader, node, out);
}

static enum weir_status add_range(struct reader *reader, uint32_t low, uint32_t high)
{
    struct weir_tree *tree = reader->tree;
    if (tree->ranges.count == WEIR_GRAMMAR_PART_MAX)
        return refuse(reader, "classes of at most 131072 ranges in all");
    WEIR_TRY(weir_tree_grow(tree, &tree->ranges, 1, sizeof(struct weir_tree_range)));
    ((struct weir_tree_range *)tree->ranges.items)[tree->ranges.count - 1] =
        (struct weir_tree_range){low, high};
    return WEIR_OK;
}

static int compare_ranges(const void *left, const void *right)
{
    const struct weir_tree_range *a = left;
    const struct weir_tree_range *b = right;
    return a->low < b->low ? -1 : a->low > b->low;
}

/* Ranges from `from` on, sorted and apart; of [^...] what lies between them instead. */
static enum weir_status settle_ranges(struct reader *reader, uint32_t from, bool is_negated)
{
    struct weir_tree_array *array = &reader->tree->ranges;
    struct weir_tree_range *ranges = array->items;
    uint32_t kept = from;
    if (array->count > from)
        qsort(ranges + from, array->count - from, sizeof(*ranges), compare_ranges);
    for (uint32_t at = from; at < array->count; at++) {
        if (kept > from && ranges[at].low <= ranges[kept - 1].high + 1)
            ranges[kept - 1].high = (uint32_t)weir_max(ranges[kept - 1].high, ranges[at].high);
        else
            ranges[kept++] = ranges[at];
    }
    array->count = kept;
    if (!is_negated)
        return WEIR_OK;
    WEIR_TRY(add_range(reader, CHARACTER_MAX + 1, CHARACTER_MAX + 1));
    ranges = array->items;
    uint32_t free_from = 0, filled = from;
    for (uint32_t at = from; at < array->count; at++) {
        const struct weir_tree_range taken = ranges[at];
        if (taken.low > free_from)
            ranges[filled++] = (struct weir_tree_range){free_from, taken.low - 1};
        free_from = taken.high + 1;
    }
    array->count = filled;
    return WEIR_OK;
}

static enum weir_status parse_class(struct reader *reader, uint32_t *out)
{
    struct weir_tree *tree = reader->tree;
    struct weir_tree_node node = {.kind = WEIR_TREE_CHARS, .from = tree->ranges.count};
    const char *start = reader->at;
    const bool is_negated = takes(reader, '^');
    while (!takes(reader, ']')) {
        uint32_t low = 0, high = 0;
        const char *from = reader->at;
        WEIR_TRY(take_character(reader, &low));
        high = low;
        if (sees(reader, '-') && reader->at + 1 < reader->end && reader->at[1] != ']') {
            reader->at++;
            WEIR_TRY(take_character(reader, &high));
        }
        if (low > high)
            return refuse_at(reader, from, "a range that goes up");
        WEIR_TRY(add_range(reader, low, high));
    }
    WEIR_TRY(settle_ranges(reader, node.from, is_negated));
    node.count = tree->ranges.count - node.from;
    if (node.count == 0)
        return refuse_at(reader, start, "a class with characters in it");
    return add_node(reader, node, out);
}

/* A token by its id, in brackets. */
static enum weir_status parse_token(struct reader *reader, uint32_t *out)
{
    struct weir_tree *tree = reader->tree;
    const struct weir_tree_node node = {
        .kind = WEIR_TREE_LITERAL, .from = tree->bytes.count, .count = WEIR_GRAMMAR_MARK_BYTES};
    const char *start = reader->at;
    uint32_t id = 0;
    if (!takes(reader, '['))
        return refuse(reader, "a token's id in brackets, as <[7]>");
    const char *digits = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9' &&
           id <= WEIR_GRAMMAR_ID_MAX)
        id = id * 10 + (uint32_t)(*reader->at++ - '0');
    if (reader->at == digits)
        return refuse(reader, "a token's id");
    if (id > WEIR_GRAMMAR_ID_MAX)
        return refuse_at(reader, start, "an id up to 16777215");
    if (!takes(reader, ']') || !takes(reader, '>'))
        return refuse(reader, "]>");
    WEIR_TRY(weir_tree_grow(tree, &tree->bytes, WEIR_GRAMMAR_MARK_BYTES, 1));
    weir_grammar_mark(id, (char *)tree->bytes.items + node.from);
    return add_node(reader, node, out);
}

static enum weir_status parse_count(struct reader *reader, uint32_t *count)
{
    const char *start = reader->at;
    uint64_t value = 0;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9' &&
           value <= WEIR_GRAMMAR_REPEAT_MAX)
        value = value * 10 + (uint64_t)(*reader->at++ - '0');
    if (reader->at == start)
        return refuse(reader, "a number of times");
    if (value > WEIR_GRAMMAR_REPEAT_MAX)
        return refuse_at(reader, start, "a number of times up to 65536");
    *count = (uint32_t)value;
    skip_blanks(reader, false);
    return WEIR_OK;
}

/* One of * + ? {m} {m,} {m,n} behind *item. */
static enum weir_status parse_repeat(struct reader *reader, uint32_t *item)
{
    struct weir_tree_node node = {
        .kind = WEIR_TREE_REPEAT, .child = *item, .count = WEIR_REPEAT_FOREVER};
    const char *start = reader->at;
    if (takes(reader, '+')) {
        node.from = 1;
    } else if (takes(reader, '?')) {
        node.count = 1;
    } else if (takes(reader, '{')) {
        skip_blanks(reader, false);
        WEIR_TRY(parse_count(reader, &node.from));
        if (!takes(reader, ','))
            node.count = node.from;
        skip_blanks(reader, false);
        if (node.count != node.from && !sees(reader, '}'))
            WEIR_TRY(parse_count(reader, &node.count));
        if (!takes(reader, '}'))
            return refuse(reader, "a }");
        if (node.from > node.count)
            return refuse_at(reader, start, "a most that is not below the least");
    } else if (!takes(reader, '*')) {
        return WEIR_OK;
    }
    WEIR_TRY(add_node(reader, node, item));
    skip_blanks(reader, reader->depth > 0);
    return WEIR_OK;
}

static enum weir_status parse_choice(struct reader *reader, uint32_t *out);

/* *out stays 0 where no item begins. */
static enum weir_status parse_item(struct reader *reader, uint32_t *out)
{
    const size_t length = name_length(reader);
    struct weir_tree_node node = {.kind = WEIR_TREE_CALL};
    *out = WEIR_TREE_NONE;
    if (takes(reader, '"')) {
        WEIR_TRY(parse_text(reader, out));
    } else if (takes(reader, '[')) {
        WEIR_TRY(parse_class(reader, out));
    } else if (takes(reader, '<')) {
        WEIR_TRY(parse_token(reader, out));
    } else if (takes(reader, '.')) {
        node = (struct weir_tree_node){
            .kind = WEIR_TREE_CHARS, .from = reader->tree->ranges.count, .count = 1};
        WEIR_TRY(add_range(reader, 0, CHARACTER_MAX));
        WEIR_TRY(add_node(reader, node, out));
    } else if (takes(reader, '(')) {
        if (reader->depth == WEIR_GRAMMAR_NEST_MAX)
            return refuse(reader, "at most 128 parentheses in each other");
        reader->depth++;
        WEIR_TRY(parse_choice(reader, out));
        reader->depth--;
        if (!takes(reader, ')'))
            return refuse(reader, "an item, | or )");
    } else if (length > 0) {
        WEIR_TRY(find_rule(reader, length, &node.from));
        reader->at += length;
        WEIR_TRY(add_node(reader, node, out));
    } else {
        return WEIR_OK;
    }
    skip_blanks(reader, reader->depth > 0);
    return parse_repeat(reader, out);
}

static enum weir_status parse_sequence(struct reader *reader, uint32_t *out)
{
    uint32_t last = WEIR_TREE_NONE, item = WEIR_TREE_NONE;
    WEIR_TRY(add_node(reader, (struct weir_tree_node){.kind = WEIR_TREE_SEQUENCE}, out));
    for (;;) {
        /* In parentheses a name with ::= behind it is no item: they were not closed. */
        WEIR_TRY(parse_item(reader, &item));
        if (item == WEIR_TREE_NONE)
            return WEIR_OK;
        if (last == WEIR_TREE_NONE)
            weir_tree_node(reader->tree, *out)->child = item;
        else
            weir_tree_node(reader->tree, last)->next = item;
        last = item;
    }
}

static enum weir_status parse_choice(struct reader *reader, uint32_t *out)
{
    uint32_t last = WEIR_TREE_NONE, sequence = WEIR_TREE_NONE;
    WEIR_TRY(add_node(reader, (struct weir_tree_node){.kind = WEIR_TREE_CHOICE}, out));
    do {
        skip_blanks(reader, last != WEIR_TREE_NONE || reader->depth > 0);
        WEIR_TRY(parse_sequence(reader, &sequence));
        if (last == WEIR_TREE_NONE)
            weir_tree_node(reader->tree, *out)->child = sequence;
        else
            weir_tree_node(reader->tree, last)->next = sequence;
        last = sequence;
    } while (takes(reader, '|'));
    return WEIR_OK;
}

static enum weir_status parse_rule(struct reader *reader)
{
    struct weir_tree *tree = reader->tree;
    const char *start = reader->at;
    const size_t length = name_length(reader);
    uint32_t rule = 0, node = 0;
    if (length == 0)
        return refuse(reader, "the name of a rule");
    WEIR_TRY(find_rule(reader, length, &rule));
    if (weir_tree_rule(tree, rule)->node != WEIR_TREE_NONE)
        return refuse_at(reader, start, "a rule that is not defined yet");
    reader->at += length;
    skip_blanks(reader, false);
    if (reader->end - reader->at < 3 || memcmp(reader->at, "::=", 3) != 0)
        return refuse(reader, "::=");
    reader->at += 3;
    skip_blanks(reader, true);
    WEIR_TRY(parse_choice(reader, &node));
    weir_tree_rule(tree, rule)->node = node;
    weir_tree_rule(tree, rule)->offset = (size_t)(start - tree->text);
    if (reader->at < reader->end && !takes(reader, '\n'))
        return refuse(reader, "an item, | or the end of the line");
    return WEIR_OK;
}

static enum weir_status check_defined(const struct reader *reader)
{
    const struct weir_tree *tree = reader->tree;
    for (uint32_t rule = 0; rule < tree->rules.count; rule++) {
        const struct weir_tree_rule *called = weir_tree_rule(tree, rule);
        if (called->node != WEIR_TREE_NONE)
            continue;
        const struct weir_place_in_text place = weir_tree_place(tree, called->offset);
        return WEIR_FAIL(tree->err, WEIR_ERR_FORMAT,
                         "%s: line %u, column %u: rule %s is used and not defined", tree->what,
                         place.line, place.column, weir_tree_name(tree, rule));
    }
    return WEIR_OK;
}

static enum weir_status parse_rules(struct reader *reader)
{
    uint32_t none = 0;
    WEIR_TRY(add_node(reader, (struct weir_tree_node){.kind = WEIR_TREE_SEQUENCE}, &none));
    skip_blanks(reader, true);
    while (reader->at < reader->end) {
        WEIR_TRY(parse_rule(reader));
        skip_blanks(reader, true);
    }
    return check_defined(reader);
}

enum weir_status weir_gbnf_parse(struct weir_tree *tree)
{
    struct reader reader = {.tree = tree, .at = tree->text, .end = tree->text + tree->length};
    if (tree->length > WEIR_GRAMMAR_TEXT_MAX)
        return WEIR_FAIL(tree->err, WEIR_ERR_FORMAT, "%s: wanted at most %d bytes, found %zu",
                         tree->what, WEIR_GRAMMAR_TEXT_MAX, tree->length);
    reader.slots = weir_heap_array(SLOT_COUNT, sizeof(*reader.slots));
    if (reader.slots == NULL)
        return WEIR_FAIL(tree->err, WEIR_ERR_NOMEM, "%s: no memory for the grammar", tree->what);
    const enum weir_status status = parse_rules(&reader);
    weir_heap_free(reader.slots);
    return status;
}

/* The rule that is the text; every grammar has it. */
static enum weir_status find_root(const struct weir_tree *tree, uint32_t *root)
{
    for (*root = 0; *root < tree->rules.count; (*root)++)
        if (strcmp(weir_tree_name(tree, *root), "root") == 0)
            return WEIR_OK;
    return WEIR_FAIL(tree->err, WEIR_ERR_FORMAT, "%s: wanted a rule called root, found none",
                     tree->what);
}

enum weir_status weir_gbnf_compile(struct weir_program **out, const char *text, size_t length,
                                   const char *what, struct weir_err *err)
{
    struct weir_tree tree = {.what = what, .text = text, .length = length, .err = err};
    uint32_t root = 0;
    enum weir_status status = WEIR_OK;
    WEIR_TRY_GOTO(weir_gbnf_parse(&tree));
    WEIR_TRY_GOTO(find_root(&tree, &root));
    WEIR_TRY_GOTO(weir_tree_check(&tree));
    WEIR_TRY_GOTO(weir_tree_emit(&tree, root, out));
fail:
    weir_tree_deinit(&tree);
    return status;
}
