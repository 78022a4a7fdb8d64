/* schema.c - JSON Schema as a grammar: every text of the grammar is valid by the schema. */
#include "grammar/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"

/* Rules that every schema may use. White space is what people and models write, and bounded, so
 * that a text cannot go on for ever without saying anything. \u escapes are those of characters
 * below the surrogates, of which only pairs mean something. */
static const char common[] =
    "ws ::= (\" \" | \"\\n\" [ \\t]{0,20})?\n"
    "char ::= [^\"\\\\\\x00-\\x1f\\x7f] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" [0-9a-cefA-CEF] "
    "[0-9a-fA-F]{3})\n"
    "text ::= \"\\\"\" char* \"\\\"\"\n"
    "dot ::= [^\"\\\\\\x00-\\x1f\\x7f\\u2028\\u2029] | \"\\\\\" [\"\\\\bft]\n"
    "integer ::= \"-\"? (\"0\" | [1-9] [0-9]{0,14})\n"
    "number ::= integer (\".\" [0-9]{1,15})? ([eE] [-+]? [0-9]{1,2})?\n"
    "array ::= \"[\" ws (any (\",\" ws any)*)? ws \"]\"\n"
    "pair ::= text \":\" ws any\n"
    "object ::= \"{\" ws (pair (\",\" ws pair)*)? ws \"}\"\n"
    "any ::= object | array | text | number | \"true\" | \"false\" | \"null\"\n";

enum { VALUE_NAME_MAX = 64 };

/* ---- what the parts use -------------------------------------------------------------------- */

void weir_schema_refuse(struct weir_schema *schema, struct weir_json at, enum weir_status status,
                        const char *format, ...)
{
    char sentence[256];
    va_list arguments;
    if (schema->status != WEIR_OK)
        return;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    const struct weir_tree tree = {.text = schema->text, .length = schema->length};
    const struct weir_place_in_text place =
        weir_tree_place(&tree, at.start == NULL ? 0 : (size_t)(at.start - schema->text));
    schema->status = WEIR_FAIL(schema->err, status, "%s: line %u, column %u: %s", schema->what,
                               place.line, place.column, sentence);
}

static void *grow(struct weir_schema *schema, struct weir_tree_array *array, uint32_t count,
                  size_t each)
{
    struct weir_tree tree = {.what = schema->what, .err = schema->err};
    if (schema->status == WEIR_OK)
        schema->status = weir_tree_grow(&tree, array, count, each);
    return schema->status == WEIR_OK ? (char *)array->items + (array->count - count) * each : NULL;
}

static void write_bytes(struct weir_schema *schema, const char *bytes, size_t length)
{
    if (schema->grammar.count + length > WEIR_GRAMMAR_TEXT_MAX)
        weir_schema_refuse(schema, schema->root, WEIR_ERR_FORMAT,
                           "the schema makes a grammar of more than %d bytes",
                           WEIR_GRAMMAR_TEXT_MAX);
    char *to = grow(schema, &schema->grammar, (uint32_t)length, 1);
    if (to != NULL && length > 0)
        memcpy(to, bytes, length);
}

void weir_schema_write_list(struct weir_schema *schema, const char *format, va_list arguments)
{
    char text[512];
    const int length = vsnprintf(text, sizeof(text), format, arguments);
    WEIR_ASSERT(length >= 0 && (size_t)length < sizeof(text));
    write_bytes(schema, text, (size_t)length);
}

void weir_schema_write(struct weir_schema *schema, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    weir_schema_write_list(schema, format, arguments);
    va_end(arguments);
}

void weir_schema_write_grammar(struct weir_schema *schema, const char *grammar)
{
    write_bytes(schema, grammar, strlen(grammar));
}

static void write_literal_byte(struct weir_schema *schema, char byte)
{
    if (byte == '"' || byte == '\\')
        write_bytes(schema, "\\", 1);
    if ((uint8_t)byte < 0x20 || byte == 0x7f)
        weir_schema_write(schema, "\\x%02x", (unsigned)byte);
    else
        write_bytes(schema, &byte, 1);
}

void weir_schema_write_literal(struct weir_schema *schema, const char *bytes, size_t length)
{
    write_bytes(schema, "\"", 1);
    for (size_t at = 0; at < length && schema->status == WEIR_OK; at++)
        write_literal_byte(schema, bytes[at]);
    write_bytes(schema, "\" ", 2);
}

void weir_schema_write_value(struct weir_schema *schema, struct weir_json value)
{
    bool is_in_text = false;
    write_bytes(schema, "\"", 1);
    for (const char *at = value.start; at < value.end && schema->status == WEIR_OK; at++) {
        if (!is_in_text && strchr(" \t\r\n", *at) != NULL)
            continue;
        if (!is_in_text && (*at == 'N' || *at == 'I'))
            weir_schema_refuse(schema, value, WEIR_ERR_FORMAT,
                               "wanted a value of JSON, found NaN or Infinity");
        write_literal_byte(schema, *at);
        if (*at == '"')
            is_in_text = !is_in_text;
        else if (*at == '\\')
            write_literal_byte(schema, *++at);
    }
    write_bytes(schema, "\" ", 2);
}

static uint32_t add_rule(struct weir_schema *schema, struct weir_schema_rule added)
{
    if (schema->rules.count == WEIR_GRAMMAR_RULE_MAX)
        weir_schema_refuse(schema, added.schema, WEIR_ERR_FORMAT,
                           "wanted a schema of at most %d parts, found more",
                           WEIR_GRAMMAR_RULE_MAX);
    struct weir_schema_rule *rule = grow(schema, &schema->rules, 1, sizeof(*rule));
    if (rule == NULL)
        return 0;
    *rule = added;
    return schema->rules.count - 1;
}

uint32_t weir_schema_rule_beside(struct weir_schema *schema, struct weir_json value,
                                 struct weir_json name)
{
    return add_rule(schema, (struct weir_schema_rule){value, name, true});
}

uint32_t weir_schema_rule_of(struct weir_schema *schema, struct weir_json value,
                             struct weir_json name)
{
    const struct weir_schema_rule *rules = schema->rules.items;
    for (uint32_t rule = 0; rule < schema->rules.count; rule++)
        if (rules[rule].schema.start == value.start && !rules[rule].is_beside)
            return rule;
    return add_rule(schema, (struct weir_schema_rule){value, name, false});
}

uint64_t weir_schema_count(struct weir_schema *schema, const struct weir_schema_place *place,
                           enum weir_schema_keyword keyword, uint64_t otherwise)
{
    const struct weir_json value = place->members[keyword];
    uint64_t count = otherwise;
    if (weir_json_kind(value) != WEIR_JSON_NONE && !weir_json_u64(value, &count))
        weir_schema_refuse(schema, value, WEIR_ERR_FORMAT,
                           "wanted a whole number that is not negative, found %s",
                           weir_json_kind_name(weir_json_kind(value)));
    return count;
}

/* ---- one place ----------------------------------------------------------------------------- */

/* A choice of schemas; the first is behind "::= " or a parenthesis. */
static void write_choice(struct weir_schema *schema, struct weir_json list, struct weir_json name,
                         bool is_exclusive)
{
    enum { EXCLUSIVE_MAX = 64 };
    const uint64_t count = weir_json_count(list);
    if (weir_json_kind(list) != WEIR_JSON_ARRAY || count == 0)
        weir_schema_refuse(schema, list, WEIR_ERR_FORMAT,
                           "wanted an array of schemas, at least one, found %s",
                           weir_json_kind_name(weir_json_kind(list)));
    if (is_exclusive && count > EXCLUSIVE_MAX)
        weir_schema_refuse(schema, list, WEIR_ERR_UNSUPPORTED,
                           "oneOf: wanted at most %d schemas, found %llu", EXCLUSIVE_MAX,
                           (unsigned long long)count);
    struct weir_json_walk walk = weir_json_walk(list);
    while (schema->status == WEIR_OK && weir_json_next(&walk)) {
        struct weir_json_walk other = walk;
        while (is_exclusive && weir_json_next(&other))
            if (!weir_schema_excludes(schema, walk.value, other.value))
                weir_schema_refuse(schema, other.value, WEIR_ERR_UNSUPPORTED,
                                   "oneOf: wanted schemas that exclude each other by type, const, "
                                   "enum or a required property with one, found some that may not "
                                   "(anyOf allows both)");
        weir_schema_write(schema, "%sr%u ", walk.index == 0 ? "" : "| ",
                          weir_schema_rule_of(schema, walk.value, name));
    }
}

/* The values of enum, or the one of const, that are of the types. */
static void write_values(struct weir_schema *schema, const struct weir_schema_place *place)
{
    const struct weir_json constant = place->members[WEIR_SCHEMA_CONST];
    const struct weir_json list = place->members[WEIR_SCHEMA_ENUM];
    uint32_t written = 0;
    if (weir_json_kind(constant) != WEIR_JSON_NONE) {
        written = (weir_schema_type_of(constant) & place->types) != 0;
        weir_schema_write_value(schema, constant);
    } else if (weir_json_kind(list) != WEIR_JSON_ARRAY) {
        weir_schema_refuse(schema, list, WEIR_ERR_FORMAT, "enum: wanted an array, found %s",
                           weir_json_kind_name(weir_json_kind(list)));
    } else {
        struct weir_json_walk walk = weir_json_walk(list);
        while (schema->status == WEIR_OK && weir_json_next(&walk)) {
            if ((weir_schema_type_of(walk.value) & place->types) == 0)
                continue;
            weir_schema_write(schema, "%s", written++ == 0 ? "" : "| ");
            weir_schema_write_value(schema, walk.value);
        }
    }
    if (written == 0)
        weir_schema_refuse(schema, place->schema, WEIR_ERR_FORMAT,
                           "wanted a value of the type among those of enum or const, found none");
}

/* Each choice but the first is behind a bar. */
static void begin_choice(struct weir_schema *schema, bool *is_first)
{
    weir_schema_write(schema, "%s", *is_first ? "" : "| ");
    *is_first = false;
}

static void write_types(struct weir_schema *schema, uint32_t number,
                        const struct weir_schema_place *place, struct weir_json name)
{
    static const struct {
        uint32_t types;
        const char *text;
    } plain[] = {{WEIR_TYPE_BOOL, "\"true\" | \"false\" "}, {WEIR_TYPE_NULL, "\"null\" "}};
    uint32_t containers[2];
    uint32_t container_count = 0;
    bool is_first = true;
    if ((place->types & WEIR_TYPE_OBJECT) != 0)
        containers[container_count++] = weir_schema_write_object(schema, place, name);
    if ((place->types & WEIR_TYPE_ARRAY) != 0)
        containers[container_count++] = weir_schema_write_array(schema, place, name);
    weir_schema_write(schema, "r%u ::= ", number);
    for (uint32_t index = 0; index < container_count; index++) {
        begin_choice(schema, &is_first);
        weir_schema_write(schema, "r%u ", containers[index]);
    }
    for (size_t index = 0; index < WEIR_COUNT(plain); index++)
        if ((place->types & plain[index].types) != 0) {
            begin_choice(schema, &is_first);
            weir_schema_write(schema, "%s", plain[index].text);
        }
    if ((place->types & WEIR_TYPE_TEXT) != 0) {
        begin_choice(schema, &is_first);
        weir_schema_write_text(schema, place);
    }
    if ((place->types & (WEIR_TYPE_INTEGER | WEIR_TYPE_FRACTION)) != 0) {
        begin_choice(schema, &is_first);
        weir_schema_write_number(schema, place);
    }
}

static bool has(const struct weir_schema_place *place, enum weir_schema_keyword keyword)
{
    return weir_json_kind(place->members[keyword]) != WEIR_JSON_NONE;
}

/* The rule's line, behind those of the rules that it needs beside itself. */
static void write_place(struct weir_schema *schema, uint32_t number, struct weir_schema_rule rule)
{
    struct weir_schema_place place;
    bool allows = true;
    if (weir_json_kind(rule.schema) == WEIR_JSON_BOOL && weir_json_bool(rule.schema, &allows)) {
        if (!allows)
            weir_schema_refuse(schema, rule.schema, WEIR_ERR_FORMAT,
                               "wanted a schema that something is valid by, found false");
        weir_schema_write(schema, "r%u ::= any\n", number);
        return;
    }
    weir_schema_read_place(schema, rule.schema, &place);
    if (schema->status != WEIR_OK)
        return;
    if (has(&place, WEIR_SCHEMA_REF)) {
        const struct weir_json target = weir_schema_follow(schema, place.members[WEIR_SCHEMA_REF]);
        weir_schema_write(schema, "r%u ::= r%u\n", number,
                          weir_schema_rule_of(schema, target, place.members[WEIR_SCHEMA_REF]));
        return;
    }
    const bool is_typed = !has(&place, WEIR_SCHEMA_ANY_OF) && !has(&place, WEIR_SCHEMA_ONE_OF) &&
                          !has(&place, WEIR_SCHEMA_ALL_OF) && !has(&place, WEIR_SCHEMA_CONST) &&
                          !has(&place, WEIR_SCHEMA_ENUM);
    if (is_typed)
        write_types(schema, number, &place, rule.name);
    else
        weir_schema_write(schema, "r%u ::= ", number);
    if (has(&place, WEIR_SCHEMA_ANY_OF))
        write_choice(schema, place.members[WEIR_SCHEMA_ANY_OF], rule.name, false);
    else if (has(&place, WEIR_SCHEMA_ONE_OF))
        write_choice(schema, place.members[WEIR_SCHEMA_ONE_OF], rule.name, true);
    else if (has(&place, WEIR_SCHEMA_ALL_OF))
        write_choice(schema, place.members[WEIR_SCHEMA_ALL_OF], rule.name, false);
    else if (!is_typed)
        write_values(schema, &place);
    weir_schema_write(schema, "\n");
}

/* ---- the whole ----------------------------------------------------------------------------- */

void weir_schema_begin(struct weir_schema *schema)
{
    weir_schema_write_grammar(schema, common);
}

/* Each rule may add others behind it; those that are beside one are written with it. */
void weir_schema_write_rules(struct weir_schema *schema)
{
    for (; schema->written < schema->rules.count && schema->status == WEIR_OK; schema->written++) {
        const struct weir_schema_rule next =
            ((const struct weir_schema_rule *)schema->rules.items)[schema->written];
        if (!next.is_beside)
            write_place(schema, schema->written, next);
    }
}

static enum weir_status write_grammar(struct weir_schema *schema)
{
    const struct weir_json none = {0};
    schema->status =
        weir_json_parse(&schema->root, schema->text, schema->length, schema->what, schema->err);
    weir_schema_begin(schema);
    weir_schema_write_grammar(schema, "root ::= r0\n");
    weir_schema_rule_of(schema, schema->root, none);
    weir_schema_write_rules(schema);
    return schema->status;
}

/* Messages about rules are about the schema's text and its keys from here on. */
static enum weir_status name_rules(struct weir_tree *tree, const struct weir_schema *schema)
{
    tree->text = schema->text;
    tree->length = schema->length;
    for (uint32_t rule = 0; rule < tree->rules.count; rule++) {
        unsigned number = 0;
        char name[VALUE_NAME_MAX] = "root";
        weir_tree_rule(tree, rule)->offset = 0;
        if (sscanf(weir_tree_name(tree, rule), "r%u", &number) != 1 ||
            number >= schema->rules.count)
            continue;
        const struct weir_schema_rule *named =
            (const struct weir_schema_rule *)schema->rules.items + number;
        size_t length = weir_json_text(named->name, name, sizeof(name) - 1);
        if (length >= sizeof(name)) /* nothing was written */
            length = (size_t)snprintf(name, sizeof(name), "(a long name)");
        else if (weir_json_kind(named->name) == WEIR_JSON_NONE)
            length = strlen(name);
        for (size_t at = 0; at < length; at++)
            name[at] = name[at] == '\0' ? '?' : name[at];
        const uint32_t name_at = tree->names.count;
        WEIR_TRY(weir_tree_grow(tree, &tree->names, (uint32_t)length + 1, 1));
        memcpy((char *)tree->names.items + name_at, name, length);
        weir_tree_rule(tree, rule)->name_at = name_at;
        weir_tree_rule(tree, rule)->offset = (size_t)(named->schema.start - schema->text);
    }
    return WEIR_OK;
}

static uint32_t find_root(const struct weir_tree *tree)
{
    uint32_t root = 0;
    while (strcmp(weir_tree_name(tree, root), "root") != 0)
        root++;
    return root;
}

enum weir_status weir_schema_compile(struct weir_program **out, const char *text, size_t length,
                                     const char *what, struct weir_err *err)
{
    struct weir_schema schema = {.what = what, .text = text, .length = length, .err = err};
    struct weir_tree tree = {.what = what, .err = err};
    enum weir_status status = WEIR_OK;
    uint32_t root = 0;
    if (length > WEIR_GRAMMAR_TEXT_MAX)
        return WEIR_FAIL(err, WEIR_ERR_FORMAT, "%s: wanted at most %d bytes, found %zu", what,
                         WEIR_GRAMMAR_TEXT_MAX, length);
    WEIR_TRY_GOTO(write_grammar(&schema));
    tree.text = schema.grammar.items;
    tree.length = schema.grammar.count;
    WEIR_TRY_GOTO(weir_gbnf_parse(&tree));
    root = find_root(&tree);
    WEIR_TRY_GOTO(name_rules(&tree, &schema));
    WEIR_TRY_GOTO(weir_tree_check(&tree));
    WEIR_TRY_GOTO(weir_tree_emit(&tree, root, out));
fail:
    weir_tree_deinit(&tree);
    weir_heap_free(schema.grammar.items);
    weir_heap_free(schema.rules.items);
    return status;
}
