/* call_grammar.c - grammars that hold a reply to calls of tools, or to an answer by a schema, as a
 * family writes them.
 *
 * Control tokens stand where the format has them, and nowhere else. Properties come in the order of
 * their schema, as in all grammars of schemas. */
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "chat/reply_parts.h"
#include "grammar/grammar.h"

struct writer {
    weir_rules *rules;
    weir_text *text; /* NULL: all marks are text */
    const struct weir_call_format *format;
    struct weir_tools tools;
    struct weir_rules_text source;
    const struct weir_reply_rules *wish;
    uint32_t number; /* of rules, so that each has a name of its own */
    bool has_ended;  /* a mark was an end token: the text ends there */
};

/* ---- marks --------------------------------------------------------------------------------- */

/* The control token whose name begins the bytes; false: none. */
static bool find_control(struct writer *writer, const char *bytes, size_t length, uint32_t *id,
                         size_t *name_length)
{
    uint32_t *ids = NULL;
    size_t count = 0;
    bool is_found = false;
    if (writer->text == NULL || weir_text_find_control(writer->text, bytes, length, 0) != 0)
        return false;
    if (weir_text_tokenize(writer->text, bytes, length, WEIR_TOKENIZE_PARSE_SPECIAL, &ids, &count,
                           NULL) != WEIR_OK)
        return false;
    if (count > 0 && weir_text_is_control(writer->text, ids[0])) {
        const struct weir_bytes name = weir_text_piece(writer->text, ids[0], true);
        is_found = name.length <= length && memcmp(name.start, bytes, name.length) == 0;
        *id = ids[0];
        *name_length = name.length;
    }
    weir_heap_free(ids);
    return is_found;
}

/* Nothing comes behind a mark that ends the text. */
static void write_mark(struct writer *writer, const char *mark)
{
    const size_t length = mark == NULL ? 0 : strlen(mark);
    size_t plain = 0;
    for (size_t at = 0; at < length && !writer->has_ended;) {
        uint32_t id = 0;
        size_t name_length = 0;
        if (!find_control(writer, mark + at, length - at, &id, &name_length)) {
            at++;
            continue;
        }
        if (at > plain)
            weir_rules_write_literal(writer->rules, mark + plain, at - plain);
        writer->has_ended = weir_text_is_end(writer->text, id);
        if (!writer->has_ended)
            weir_rules_write(writer->rules, "<[%u]> ", id);
        at += name_length;
        plain = at;
    }
    if (!writer->has_ended && length > plain)
        weir_rules_write_literal(writer->rules, mark + plain, length - plain);
}

/* A rule of texts in which the mark does not come; its number. Such a text is made of pieces that
 * begin like the mark and go on otherwise. */
static uint32_t add_text_without(struct writer *writer, const char *mark)
{
    enum { CHARACTER_MAX = 64 };
    weir_rules *rules = writer->rules;
    const uint32_t number = writer->number++;
    uint32_t characters[CHARACTER_MAX] = {0};
    size_t count = 0;
    mark += *mark == '\n';
    /* Up to where it begins anew: less is enough, for such a text has none of it. */
    while (*mark != '\0' && count < CHARACTER_MAX && *mark != '\n') {
        characters[count++] = weir_utf8_decode(mark);
        mark += weir_utf8_char(mark, strlen(mark));
        if (count > 1 && characters[count - 1] == characters[0]) {
            count--;
            break;
        }
    }
    weir_rules_write(rules, "p%u ::= [^\\u%04x]", number, characters[0]);
    if (count > 1)
        weir_rules_write(rules, " | \"\\u%04x\"+ (", characters[0]);
    for (size_t at = 1; at < count; at++) {
        weir_rules_write(rules, "[^\\u%04x\\u%04x]", characters[0], characters[at]);
        if (at + 1 < count)
            weir_rules_write(rules, " | \"\\u%04x\" (", characters[at]);
    }
    for (size_t at = 1; at < count; at++)
        weir_rules_write(rules, ")");
    weir_rules_write(rules, "\nf%u ::= p%u*\n", number, number);
    return number;
}

/* ---- arguments one by one ------------------------------------------------------------------ */

static bool has_member(struct weir_json schema, const char *name)
{
    return weir_json_member(schema, name).start != NULL;
}

/* The texts of enum or const as they are, or any. False: the rule is not the caller's to write. */
static void write_text_value(struct writer *writer, struct weir_json schema, uint32_t free_text)
{
    const struct weir_json constant = weir_json_member(schema, "const");
    const struct weir_json list = weir_json_member(schema, "enum");
    static const char *const limits[] = {"pattern", "minLength", "maxLength"};
    for (size_t index = 0; index < WEIR_COUNT(limits); index++)
        if (has_member(schema, limits[index]))
            weir_rules_refuse(writer->rules, WEIR_ERR_UNSUPPORTED,
                              "tools: %s of an argument is not built for calls that are written "
                              "as %s does",
                              limits[index], writer->format->name);
    struct weir_json_walk walk = weir_json_walk(list);
    struct weir_json value = constant;
    bool is_first = true;
    while (constant.start != NULL ? is_first : weir_json_next(&walk)) {
        if (constant.start == NULL)
            value = walk.value;
        const size_t length = weir_json_text(value, NULL, 0);
        char *bytes = weir_heap_alloc(length + 1);
        if (bytes == NULL)
            weir_rules_refuse(writer->rules, WEIR_ERR_NOMEM, "no memory for a grammar");
        weir_rules_write(writer->rules, is_first ? "" : "| ");
        is_first = false;
        if (bytes != NULL) {
            weir_json_text(value, bytes, length);
            weir_rules_write_literal(writer->rules, bytes, length);
        }
        weir_heap_free(bytes);
    }
    if (is_first)
        weir_rules_write(writer->rules, "f%u ", free_text);
}

/* The rule of one argument, "name=value" as the format has it; its number. */
static uint32_t add_argument(struct writer *writer, struct weir_json root, struct weir_json key,
                             struct weir_json schema)
{
    const struct weir_call_format *format = writer->format;
    weir_rules *rules = writer->rules;
    const bool is_tags = format->shape == WEIR_CALL_TAGS;
    const bool is_bare = format->shape == WEIR_CALL_BARE;
    const bool is_text =
        (weir_schema_kinds(root, schema) & 1u << WEIR_JSON_TEXT) != 0 && (is_tags || is_bare);
    char name[WEIR_CALL_NAME_MAX + 1], end[WEIR_CALL_NAME_MAX + 64];
    const size_t length = weir_json_text(key, name, WEIR_CALL_NAME_MAX);
    if (length > WEIR_CALL_NAME_MAX)
        weir_rules_refuse(rules, WEIR_ERR_ARG, "tools: wanted names of at most %d bytes",
                          WEIR_CALL_NAME_MAX);
    name[weir_min(length, WEIR_CALL_NAME_MAX)] = '\0';
    const char *percent = is_tags ? strchr(format->argument_end, '%') : NULL;
    snprintf(end, sizeof(end), "%.*s%s%s",
             percent == NULL ? 0 : (int)(percent - format->argument_end),
             is_tags ? format->argument_end : "", percent == NULL ? "" : name,
             percent != NULL ? percent + 1
             : is_tags       ? format->argument_end
             : is_bare       ? "<|\"|>"
                             : "");
    const uint32_t value = is_text ? add_text_without(writer, end)
                                   : weir_rules_add_schema(rules, &writer->source, root, schema);
    const uint32_t number = writer->number++;
    weir_rules_write(rules, "v%u ::= ", number);
    if (is_text)
        write_text_value(writer, schema, value);
    else
        weir_rules_write(rules, "r%u", value);
    weir_rules_write(rules, "\ni%u ::= ", number);
    write_mark(writer, is_tags ? format->argument : "");
    weir_rules_write_literal(rules, name, strlen(name));
    write_mark(writer, is_tags ? format->key_end : is_bare ? ":" : "=");
    if (is_tags && format->type_end != NULL) {
        static const char *const kinds[] = {"",       "null",  "boolean", "number",
                                            "string", "array", "object"};
        uint32_t kind = WEIR_JSON_OBJECT;
        while (kind > WEIR_JSON_NULL && (weir_schema_kinds(root, schema) >> kind & 1) == 0)
            kind--;
        write_mark(writer, is_text                      ? format->type_text
                           : format->type_other != NULL ? format->type_other
                                                        : kinds[kind]);
        write_mark(writer, format->type_end);
    }
    write_mark(writer, is_text && is_bare ? end : "");
    weir_rules_write(rules, "v%u ", number);
    write_mark(writer, is_tags || is_text ? end : "");
    weir_rules_write(rules, "\n");
    return number;
}

static bool is_needed(struct weir_json schema, struct weir_json key)
{
    char name[WEIR_CALL_NAME_MAX + 1];
    const size_t length = weir_json_text(key, name, WEIR_CALL_NAME_MAX);
    name[weir_min(length, WEIR_CALL_NAME_MAX)] = '\0';
    struct weir_json_walk walk = weir_json_walk(weir_json_member(schema, "required"));
    while (weir_json_next(&walk))
        if (weir_json_is(walk.value, name))
            return true;
    return false;
}

/* All of them, in order: two rules for each, when nothing was written yet and when something was.
 * Returns the number of the first. */
static uint32_t add_arguments(struct writer *writer, struct weir_json schema)
{
    const bool has_comma = writer->format->shape != WEIR_CALL_TAGS;
    struct weir_json_walk walk = weir_json_walk(weir_json_member(schema, "properties"));
    const uint32_t first = writer->number;
    uint32_t at = first;
    writer->number += 1 + (uint32_t)weir_json_count(weir_json_member(schema, "properties"));
    for (; weir_json_next(&walk); at++) {
        const uint32_t item = add_argument(writer, schema, walk.key, walk.value);
        const bool needed = is_needed(schema, walk.key);
        weir_rules_write(writer->rules, "a%u ::= i%u b%u", at, item, at + 1);
        if (!needed)
            weir_rules_write(writer->rules, " | a%u", at + 1);
        weir_rules_write(writer->rules, "\nb%u ::= %si%u b%u", at, has_comma ? "\",\" " : "", item,
                         at + 1);
        if (!needed)
            weir_rules_write(writer->rules, " | b%u", at + 1);
        weir_rules_write(writer->rules, "\n");
    }
    weir_rules_write(writer->rules, "a%u ::= \"\"\nb%u ::= \"\"\n", at, at);
    return first;
}

/* ---- a call -------------------------------------------------------------------------------- */

static uint32_t add_object(struct writer *writer, struct weir_json schema)
{
    const uint32_t kinds = weir_schema_kinds(schema, schema);
    if (schema.start == NULL || weir_json_kind(schema) != WEIR_JSON_OBJECT ||
        kinds != 1u << WEIR_JSON_OBJECT) {
        const uint32_t number = writer->number++;
        weir_rules_write(writer->rules, "o%u ::= object\n", number);
        return number;
    }
    const uint32_t rule = weir_rules_add_schema(writer->rules, &writer->source, schema, schema);
    const uint32_t number = writer->number++;
    weir_rules_write(writer->rules, "o%u ::= r%u\n", number, rule);
    return number;
}

static void write_name(struct writer *writer, struct weir_json name, bool is_json)
{
    char bytes[WEIR_CALL_NAME_MAX + 1];
    if (is_json) {
        weir_rules_write_literal(writer->rules, name.start, (size_t)(name.end - name.start));
        return;
    }
    weir_rules_write_literal(
        writer->rules, bytes,
        weir_min(weir_json_text(name, bytes, WEIR_CALL_NAME_MAX), WEIR_CALL_NAME_MAX));
}

static void write_object_call(struct writer *writer, struct weir_json name, uint32_t arguments)
{
    const struct weir_call_format *format = writer->format;
    weir_rules_write(writer->rules, "\"{\" ");
    if (strcmp(format->name, "command") == 0)
        weir_rules_write(writer->rules, "\"\\\"tool_call_id\\\": \\\"\" [0-9]{1,3} \"\\\", \" ");
    weir_rules_write(writer->rules, "\"\\\"%s\\\": \" ", format->name_key);
    write_name(writer, name, true);
    weir_rules_write(writer->rules, "\", \\\"%s\\\": \" o%u ", format->arguments_key, arguments);
    if (format->ids == WEIR_CALL_IDS_NINE)
        weir_rules_write(writer->rules, "(\", \\\"id\\\": \\\"\" [0-9a-zA-Z]{9} \"\\\"\")? ");
    weir_rules_write(writer->rules, "\"}\"");
}

/* The rule of a call of one tool behind the mark that opens it. */
static void add_call(struct writer *writer, uint32_t number, struct weir_json function)
{
    const struct weir_call_format *format = writer->format;
    const struct weir_json schema = weir_tool_schema(function);
    const struct weir_json name = weir_json_member(function, "name");
    const bool is_one_by_one = format->shape == WEIR_CALL_TAGS || format->shape == WEIR_CALL_BARE ||
                               format->shape == WEIR_CALL_PYTHON;
    const uint32_t arguments =
        is_one_by_one ? add_arguments(writer, schema) : add_object(writer, schema);
    weir_rules_write(writer->rules, "c%u ::= ", number);
    if (format->shape == WEIR_CALL_OBJECTS) {
        write_object_call(writer, name, arguments);
        weir_rules_write(writer->rules, "\n");
        return;
    }
    if (format->prefix != NULL && format->shape != WEIR_CALL_CHANNEL)
        write_mark(writer, format->prefix);
    write_name(writer, name, false);
    if (format->ids == WEIR_CALL_IDS_NAME)
        weir_rules_write(writer->rules, "\":\" [0-9]{1,4} ");
    if (format->writes_id) {
        write_mark(writer, format->id_begin);
        weir_rules_write(writer->rules,
                         format->ids == WEIR_CALL_IDS_NINE ? "[0-9a-zA-Z]{9} " : "[0-9]{1,3} ");
    }
    write_mark(writer, format->name_end);
    write_mark(writer, format->shape == WEIR_CALL_BARE     ? "{"
                       : format->shape == WEIR_CALL_PYTHON ? "("
                                                           : "");
    weir_rules_write(writer->rules, is_one_by_one ? "a%u " : "o%u ", arguments);
    write_mark(writer, format->shape == WEIR_CALL_BARE     ? "}"
                       : format->shape == WEIR_CALL_PYTHON ? ")"
                                                           : "");
    write_mark(writer, format->close);
    weir_rules_write(writer->rules, "\n");
}

/* A call of any tool that is wished: rule "call". */
static void add_tools(struct writer *writer)
{
    struct weir_json_walk walk = weir_json_walk(writer->tools.list);
    const uint32_t first = writer->number;
    uint32_t count = 0;
    writer->number += (uint32_t)weir_json_count(writer->tools.list);
    while (weir_json_next(&walk)) {
        const struct weir_json function = weir_tool_function(walk.value);
        if (writer->wish->tool == NULL ||
            weir_json_is(weir_json_member(function, "name"), writer->wish->tool))
            add_call(writer, first + count++, function);
        writer->has_ended = false;
    }
    if (count == 0)
        weir_rules_refuse(writer->rules, WEIR_ERR_ARG,
                          "tools: wanted at least one, and one of the name that must be called");
    weir_rules_write(writer->rules, "call ::= ");
    for (uint32_t index = 0; index < count; index++)
        weir_rules_write(writer->rules, "%sc%u", index > 0 ? " | " : "", first + index);
    weir_rules_write(writer->rules, "\n");
}

/* Whether several calls may follow each other in this format. */
static bool may_repeat(const struct writer *writer)
{
    const struct weir_call_format *format = writer->format;
    return !writer->wish->one_call && !format->at_start && format->shape != WEIR_CALL_CHANNEL &&
           strcmp(format->name, "gigachat") != 0 && strcmp(format->name, "python-tag-call") != 0;
}

/* Rule "calls". */
static void add_calls(struct writer *writer)
{
    const struct weir_call_format *format = writer->format;
    weir_rules *rules = writer->rules;
    const bool is_objects = format->shape == WEIR_CALL_OBJECTS;
    const bool is_list = is_objects && format->is_list;
    add_tools(writer);
    weir_rules_write(rules, "calls ::= ");
    write_mark(writer, format->open);
    weir_rules_write(rules, is_list ? "\"[\" call " : "call ");
    if (is_objects && !is_list)
        write_mark(writer, format->close);
    if (may_repeat(writer)) {
        weir_rules_write(rules, "(");
        if (format->between != NULL)
            write_mark(writer, format->between);
        if (is_list)
            weir_rules_write(rules, "\", \" ");
        else
            write_mark(writer, format->shape == WEIR_CALL_PYTHON ? ", "
                               : format->next != NULL            ? format->next
                                                                 : format->open);
        weir_rules_write(rules, "call ");
        if (is_objects && !is_list)
            write_mark(writer, format->close);
        weir_rules_write(rules, "){0,%d} ", WEIR_CALL_MAX - 1);
    }
    if (is_list)
        weir_rules_write(rules, "\"]\" ");
    write_mark(writer, format->end);
    writer->has_ended = false;
    weir_rules_write(rules, "\n");
}

/* ---- the reply ----------------------------------------------------------------------------- */

/* Rule "answer". */
static void add_answer(struct writer *writer, struct weir_json schema,
                       const struct weir_rules_text *source)
{
    const struct weir_call_format *format = writer->format;
    const uint32_t rule = weir_rules_add_schema(writer->rules, source, schema, schema);
    weir_rules_write(writer->rules, "answer ::= ");
    if (format != NULL && format->shape == WEIR_CALL_CHANNEL)
        write_mark(writer, "<|channel|>final<|message|>");
    weir_rules_write(writer->rules, "r%u\n", rule);
}

/* Rule "thought": what may come before, or must. */
static void add_thought(struct writer *writer)
{
    const struct weir_reply_rules *wish = writer->wish;
    weir_rules *rules = writer->rules;
    const bool has_channels = writer->format != NULL && writer->format->shape == WEIR_CALL_CHANNEL;
    char tail[WEIR_PROMPT_TAIL_MAX];
    const size_t length =
        writer->text == NULL ? 0 : weir_prompt_tail(writer->text, wish->ids, wish->id_count, tail);
    const struct weir_reasoning_marks *marks = weir_reasoning_open(tail, length);
    const bool is_open = marks != NULL;
    for (size_t row = 0; marks == NULL && weir_reasoning_at(row) != NULL; row++) {
        const struct weir_reasoning_marks *family = weir_reasoning_at(row);
        if (has_channels
                ? family->heading_end != NULL
                : family->heading_end == NULL && weir_chat_mentions(wish->chat, family->begin))
            marks = family;
    }
    if (marks == NULL) {
        weir_rules_write(rules, "thought ::= \"\"\n");
        return;
    }
    const uint32_t words = add_text_without(writer, marks->end);
    weir_rules_write(rules, is_open ? "thought ::= " : "thought ::= (");
    if (!is_open)
        write_mark(writer, has_channels ? "<|channel|>analysis<|message|>" : marks->begin);
    weir_rules_write(rules, "f%u ", words);
    write_mark(writer, marks->end);
    write_mark(writer, has_channels ? "<|start|>assistant" : "");
    weir_rules_write(rules, has_channels ? "" : "[ \\n]{0,4} ");
    weir_rules_write(rules, is_open ? "\n" : ")?\n");
    writer->has_ended = false;
}

static enum weir_status write_reply(struct writer *writer, struct weir_err *err)
{
    const struct weir_reply_rules *wish = writer->wish;
    struct weir_json schema = {0};
    const struct weir_rules_text source = {"schema", wish->schema, wish->schema_length};
    WEIR_TRY(weir_call_format_choose(&writer->format, wish->chat, wish->format, err));
    if (wish->schema != NULL)
        WEIR_TRY(weir_json_parse(&schema, wish->schema, wish->schema_length, "schema", err));
    if (wish->tools != NULL) {
        if (writer->format == NULL)
            return WEIR_FAIL(err, WEIR_ERR_UNSUPPORTED,
                             "tools: the chat template has no known way to call them");
        WEIR_TRY(weir_tools_init(&writer->tools, wish->tools, wish->tools_length, err));
        writer->source = (struct weir_rules_text){"tools", writer->tools.bytes, wish->tools_length};
        add_calls(writer);
    }
    if (wish->schema != NULL)
        add_answer(writer, schema, &source);
    add_thought(writer);
    weir_rules_write(writer->rules, "root ::= thought %s\n",
                     wish->tools == NULL    ? "answer"
                     : wish->schema == NULL ? "calls"
                                            : "(calls | answer)");
    return WEIR_OK;
}

enum weir_status weir_reply_program(struct weir_program **out, weir_text *text,
                                    const struct weir_reply_rules *wish, struct weir_err *err)
{
    enum weir_status status = WEIR_OK;
    struct writer writer = {.text = text, .wish = wish};
    if (wish->tools == NULL && wish->schema == NULL)
        return WEIR_FAIL(err, WEIR_ERR_ARG,
                         "a reply's grammar: wanted tools or a schema, found "
                         "neither");
    WEIR_TRY_GOTO(weir_rules_create(&writer.rules, err));
    WEIR_TRY_GOTO(write_reply(&writer, err));
    WEIR_TRY_GOTO(weir_rules_compile(out, writer.rules, err));
fail:
    weir_rules_destroy(&writer.rules);
    weir_tools_deinit(&writer.tools);
    return status;
}
