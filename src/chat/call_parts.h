/* call_parts.h - how models write reasoning and calls: marks, formats, tools, values. */
#ifndef WEIR_CALL_PARTS_H
#define WEIR_CALL_PARTS_H

#include "chat/chat.h"

/* ---- marks: reply_marks.c -------------------------------------------------------------------- */

/* A line break in a mark is any white space, or none; at its ends it only says how a model writes
 * it. */
enum weir_mark_match { WEIR_MARK_NONE, WEIR_MARK_BEGUN /* the bytes end in it */, WEIR_MARK_WHOLE };
enum { WEIR_MARK_SPACE_MAX = 64 /* bytes of one white space in or before a mark */ };

bool weir_mark_is_space(char byte);
/* tail: a byte that must come behind the mark, after white space, and is not of it; '\0': none.
 * *used: the bytes of the mark. */
enum weir_mark_match weir_mark_find(const char *bytes, size_t length, const char *mark, char tail,
                                    size_t *used);

/* How a family marks its reasoning. */
struct weir_reasoning_marks {
    const char *begin, *end;
    /* What follows `begin` up to here names the channel; NULL: there is none. Behind `end` another
     * heading comes. */
    const char *heading_end;
    /* What has to be written for the answer to begin; NULL: `end` alone. */
    const char *close;
};
/* NULL past the last. */
const struct weir_reasoning_marks *weir_reasoning_at(size_t row);
/* Those of the reasoning that a text, a prompt, ends with the beginning of; NULL: it does not. */
const struct weir_reasoning_marks *weir_reasoning_open(const char *text, size_t length);
/* The text of a prompt's last tokens, names of control tokens too. */
enum { WEIR_PROMPT_TAIL_MAX = 1024 };
size_t weir_prompt_tail(weir_text *text, const uint32_t *ids, size_t count, char *tail);

/* ---- formats of calls: call_formats.c ------------------------------------------------------- */

enum weir_call_shape {
    WEIR_CALL_OBJECTS, /* JSON: an object with the name and the arguments, or a list of them */
    WEIR_CALL_JSON,    /* the name, then arguments as JSON */
    WEIR_CALL_TAGS,    /* the name, then each argument between marks */
    WEIR_CALL_BARE,    /* the name, then {key:<|"|>text<|"|>,key:3} */
    WEIR_CALL_PYTHON,  /* name(key='text', key=3) */
    WEIR_CALL_CHANNEL, /* a channel whose heading names the tool, then arguments as JSON */
};

enum weir_call_ids {
    WEIR_CALL_IDS_MADE, /* the family has none, or none that a later turn tells apart */
    WEIR_CALL_IDS_NINE, /* nine letters and digits */
    WEIR_CALL_IDS_NAME, /* the name as it is written, "functions.NAME:3" */
};

/* All of the marks may be NULL. A call is open NAME name_end ARGUMENTS close; further calls of the
 * same section begin with next instead of open; the section ends with end. */
struct weir_call_format {
    const char *name;
    const char *words[2]; /* a template that has both in it writes so */
    enum weir_call_shape shape;
    enum weir_call_ids ids;
    bool at_start;       /* only where an answer begins */
    bool is_list;        /* of objects: a model of this family writes a list */
    bool writes_id;      /* id_begin is always there */
    bool ends_reasoning; /* one may come within reasoning: its marks are control tokens */
    const char *open, *next, *id_begin, *name_end, *close, *end;
    const char *between;                           /* written between two calls */
    const char *prefix;                            /* of the name, and no part of it */
    const char *argument, *key_end, *argument_end; /* TAGS; '%' in argument_end is the key */
    const char *type_end;               /* TAGS: between key_end and here stands the value's type */
    const char *type_text, *type_other; /* that type for texts, and for all else; NULL: its name */
    const char *name_key, *arguments_key; /* OBJECTS, as they are written; read are all of them */
    const char *also[2];                  /* formats that models of this family write too */
    const char *wrappers[4];              /* marks that stand around answers */
};

const struct weir_call_format *weir_call_format_find(const char *name);
/* NULL: none that is known. */
const struct weir_call_format *weir_call_format_of(const weir_chat *chat);
/* By name, or the template's where name is NULL. ARG: no such name. *format may be NULL. */
enum weir_status weir_call_format_choose(const struct weir_call_format **format,
                                         const weir_chat *chat, const char *name,
                                         struct weir_err *err);

/* ---- tools: call_tools.c -------------------------------------------------------------------- */

struct weir_tools {
    char *bytes;
    struct weir_json list;
};
/* Copies the text. Errors: ARG, NOMEM. */
enum weir_status weir_tools_init(struct weir_tools *tools, const char *bytes, size_t length,
                                 struct weir_err *err);
void weir_tools_deinit(struct weir_tools *tools);
/* The function of a tool: of OpenAI's shape, or a flat one. */
struct weir_json weir_tool_function(struct weir_json tool);
struct weir_json weir_tool_schema(struct weir_json function);
/* False: there is no tool of that name. *schema of its arguments; none: anything. */
bool weir_tools_find(const struct weir_tools *tools, const char *name, size_t length,
                     struct weir_json *schema);
/* The kinds that an argument may have by the schema of all: a bit 1 << kind for each. */
uint32_t weir_tool_kinds(struct weir_json schema, const char *key, size_t length);
uint32_t weir_schema_kinds(struct weir_json root, struct weir_json schema);
enum { WEIR_KINDS_ALL = (1 << (WEIR_JSON_OBJECT + 1)) - 2 };

/* ---- grammars: call_grammar.c --------------------------------------------------------------- */

struct weir_program;
/* weir_grammar_of_reply() of weir.h without the tokens. text NULL: marks are no control tokens. */
enum weir_status weir_reply_program(struct weir_program **out, weir_text *text,
                                    const struct weir_reply_rules *rules, struct weir_err *err);

/* ---- values: call_value.c ------------------------------------------------------------------- */

enum weir_dialect { WEIR_DIALECT_JSON, WEIR_DIALECT_BARE, WEIR_DIALECT_PYTHON };
enum weir_value_step {
    WEIR_VALUE_MORE,
    WEIR_VALUE_DONE, /* with this byte */
    WEIR_VALUE_PAST, /* before this byte, which is not of it */
    WEIR_VALUE_FAIL,
};
typedef void weir_value_fn(void *user, const char *bytes, size_t length);

/* A value that comes byte by byte and goes out as JSON. What it has put is the beginning of valid
 * JSON all the time. */
struct weir_value {
    enum weir_dialect dialect;
    weir_value_fn *put;
    void *user;
    uint8_t state, quote_at, digit_count, digit_max;
    bool is_key, may_close, has_comma, has_high;
    char quote;
    uint32_t unit;
    uint32_t depth, word_length;
    char closers[WEIR_JSON_DEPTH_MAX];
    char word[WEIR_JSON_NUMBER_MAX + 1];
};
void weir_value_init(struct weir_value *value, enum weir_dialect dialect, weir_value_fn *put,
                     void *user);
enum weir_value_step weir_value_push(struct weir_value *value, char byte);
/* There are no more bytes: whether the value is whole. */
bool weir_value_end(struct weir_value *value);
/* Text inside quotes as JSON. */
void weir_value_escape(weir_value_fn *put, void *user, const char *bytes, size_t length);

#endif
