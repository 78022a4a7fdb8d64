/* rules.c - a grammar that is put together: rules of JSON schemas beside rules of the caller's. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "grammar/schema.h"

struct weir_rules {
    struct weir_schema schema;
    struct weir_err err;
};

enum weir_status weir_rules_create(weir_rules **out, struct weir_err *err)
{
    weir_rules *rules = weir_heap_alloc(sizeof(*rules));
    if (rules == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for a grammar");
    rules->schema.err = &rules->err;
    rules->schema.what = "grammar";
    weir_schema_begin(&rules->schema);
    *out = rules;
    return WEIR_OK;
}

void weir_rules_destroy(weir_rules **rules)
{
    if (rules == NULL || *rules == NULL)
        return;
    weir_heap_free((*rules)->schema.grammar.items);
    weir_heap_free((*rules)->schema.rules.items);
    weir_heap_free(*rules);
    *rules = NULL;
}

void weir_rules_write(weir_rules *rules, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    weir_schema_write_list(&rules->schema, format, arguments);
    va_end(arguments);
}

void weir_rules_write_literal(weir_rules *rules, const char *bytes, size_t length)
{
    weir_schema_write_literal(&rules->schema, bytes, length);
}

void weir_rules_refuse(weir_rules *rules, enum weir_status status, const char *format, ...)
{
    char sentence[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(sentence, sizeof(sentence), format, arguments);
    va_end(arguments);
    if (rules->schema.status == WEIR_OK)
        rules->schema.status = WEIR_FAIL(&rules->err, status, "%s", sentence);
}

uint32_t weir_rules_add_schema(weir_rules *rules, const struct weir_rules_text *text,
                               struct weir_json root, struct weir_json value)
{
    const struct weir_json none = {0};
    struct weir_schema *schema = &rules->schema;
    schema->what = text->what;
    schema->text = text->bytes;
    schema->length = text->length;
    schema->root = root;
    const uint32_t rule = weir_schema_rule_of(schema, value, none);
    weir_schema_write_rules(schema);
    return rule;
}

enum weir_status weir_rules_compile(struct weir_program **out, const weir_rules *rules,
                                    struct weir_err *err)
{
    if (rules->schema.status != WEIR_OK)
        return WEIR_FAIL(err, rules->schema.status, "%s", rules->err.text);
    return weir_gbnf_compile(out, rules->schema.grammar.items, rules->schema.grammar.count,
                             "grammar of a reply", err);
}
