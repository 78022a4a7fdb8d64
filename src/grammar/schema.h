/* schema.h - a JSON Schema on its way to a grammar: what its parts write, and where. */
#ifndef WEIR_SCHEMA_H
#define WEIR_SCHEMA_H

#include <stdarg.h>

#include "formats/json.h"
#include "grammar/grammar_tree.h"

/* A rule of the grammar: a schema within the schema, or what one needs beside. */
struct weir_schema_rule {
    struct weir_json schema;
    struct weir_json name; /* the key that it stands under; none: "root" */
    bool is_beside;        /* written by what needs it, of the same schema */
};

/* The grammar is written as GBNF, rule N as rN; what fails first is kept in status and err, and
 * nothing is written after it. */
struct weir_schema {
    const char *what, *text;
    size_t length;
    struct weir_json root;
    struct weir_err *err;
    enum weir_status status;
    struct weir_tree_array grammar; /* bytes */
    struct weir_tree_array rules;   /* struct weir_schema_rule */
    uint32_t written;               /* of the rules; the first ones */
    uint64_t looked_at;             /* bytes that names and values have been looked for in */
};

/* What can be said of one place of a schema: the members that are known (schema_keywords.c). */
enum weir_schema_keyword {
    WEIR_SCHEMA_REF,
    WEIR_SCHEMA_TYPE,
    WEIR_SCHEMA_ENUM,
    WEIR_SCHEMA_CONST,
    WEIR_SCHEMA_ANY_OF,
    WEIR_SCHEMA_ONE_OF,
    WEIR_SCHEMA_ALL_OF,
    WEIR_SCHEMA_PROPERTIES,
    WEIR_SCHEMA_REQUIRED,
    WEIR_SCHEMA_ADDITIONAL,
    WEIR_SCHEMA_MIN_PROPERTIES,
    WEIR_SCHEMA_MAX_PROPERTIES,
    WEIR_SCHEMA_ITEMS,
    WEIR_SCHEMA_PREFIX_ITEMS,
    WEIR_SCHEMA_MIN_ITEMS,
    WEIR_SCHEMA_MAX_ITEMS,
    WEIR_SCHEMA_UNIQUE_ITEMS,
    WEIR_SCHEMA_MIN_LENGTH,
    WEIR_SCHEMA_MAX_LENGTH,
    WEIR_SCHEMA_PATTERN,
    WEIR_SCHEMA_FORMAT,
    WEIR_SCHEMA_MINIMUM,
    WEIR_SCHEMA_MAXIMUM,
    WEIR_SCHEMA_ABOVE,
    WEIR_SCHEMA_BELOW,
    WEIR_SCHEMA_KEYWORD_COUNT,
};

/* 1.0 is an integer and a number; 1.5 only a number. */
enum weir_schema_type {
    WEIR_TYPE_NULL = 1,
    WEIR_TYPE_BOOL = 2,
    WEIR_TYPE_INTEGER = 4,
    WEIR_TYPE_FRACTION = 8, /* a number that is no integer */
    WEIR_TYPE_TEXT = 16,
    WEIR_TYPE_ARRAY = 32,
    WEIR_TYPE_OBJECT = 64,
    WEIR_TYPE_ANY = 127,
};

struct weir_schema_place {
    struct weir_json schema;
    struct weir_json members[WEIR_SCHEMA_KEYWORD_COUNT]; /* none: not there */
    uint32_t types;
};

/* The rules that all schemas use; then, whenever rules were asked for, these and theirs. */
void weir_schema_begin(struct weir_schema *schema);
void weir_schema_write_rules(struct weir_schema *schema);
/* Each sets schema->status once; at is the value that is meant. */
void weir_schema_refuse(struct weir_schema *schema, struct weir_json at, enum weir_status status,
                        const char *format, ...) WEIR_PRINTF(4, 5);
void weir_schema_write(struct weir_schema *schema, const char *format, ...) WEIR_PRINTF(2, 3);
void weir_schema_write_list(struct weir_schema *schema, const char *format, va_list arguments);
/* The same for a text of any length. */
void weir_schema_write_grammar(struct weir_schema *schema, const char *grammar);
/* The bytes as a text of GBNF. */
void weir_schema_write_literal(struct weir_schema *schema, const char *bytes, size_t length);
/* A value as it is written there, but for white space between its parts. */
void weir_schema_write_value(struct weir_schema *schema, struct weir_json value);
/* The number of the rule of a schema; it is written later. */
uint32_t weir_schema_rule_of(struct weir_schema *schema, struct weir_json value,
                             struct weir_json name);
/* A rule beside that of a place, which the caller writes: a line "rN ::= ...". */
uint32_t weir_schema_rule_beside(struct weir_schema *schema, struct weir_json value,
                                 struct weir_json name);
/* A count; `otherwise` where it is not there. */
uint64_t weir_schema_count(struct weir_schema *schema, const struct weir_schema_place *place,
                           enum weir_schema_keyword keyword, uint64_t otherwise);

/* schema_keywords.c */
/* Before a list is looked through again. False: that was too often, and it has been refused. */
bool weir_schema_may_look(struct weir_schema *schema, struct weir_json list);
/* Whether two texts are the same, however they are escaped; long ones as they are written. */
bool weir_schema_is_same_text(struct weir_json left, struct weir_json right);
void weir_schema_read_place(struct weir_schema *schema, struct weir_json value,
                            struct weir_schema_place *place);
/* Where a reference leads; none, and it has been refused. */
struct weir_json weir_schema_follow(struct weir_schema *schema, struct weir_json ref);
/* enum weir_schema_type of a value. */
uint32_t weir_schema_type_of(struct weir_json value);
/* Whether no value is valid by both, as far as that is easy to see. */
bool weir_schema_excludes(struct weir_schema *schema, struct weir_json left,
                          struct weir_json right);

/* schema_containers.c: write the rules of such values; return the number of the first. */
uint32_t weir_schema_write_object(struct weir_schema *schema, const struct weir_schema_place *place,
                                  struct weir_json name);
uint32_t weir_schema_write_array(struct weir_schema *schema, const struct weir_schema_place *place,
                                 struct weir_json name);
/* schema_scalars.c: write such a value within a line. */
void weir_schema_write_text(struct weir_schema *schema, const struct weir_schema_place *place);
void weir_schema_write_number(struct weir_schema *schema, const struct weir_schema_place *place);
/* schema_pattern.c: the characters of a JSON text that match a regular expression. */
void weir_schema_write_pattern(struct weir_schema *schema, struct weir_json pattern);

#endif
