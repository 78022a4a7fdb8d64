/* tpl_value.h - the values of a template, as Python has them: none of them changes once made, but
 * namespaces, and generators, which give their items once. */
#ifndef WEIR_TPL_VALUE_H
#define WEIR_TPL_VALUE_H

#include "template/tpl_run.h"

enum tpl_kind {
    TPL_UNDEFINED, /* text: the name that nothing has */
    TPL_NONE,
    TPL_BOOL, /* integer: 0 or 1 */
    TPL_INTEGER,
    TPL_REAL,
    TPL_TEXT,
    TPL_LIST,
    TPL_DICT,
    TPL_SPACE, /* a namespace; dict: its attributes */
    TPL_LOOP,
    TPL_MACRO,
    TPL_METHOD,   /* of a text, list or dictionary */
    TPL_FUNCTION, /* integer: which of the built-in ones */
};

struct tpl_value {
    uint8_t kind;    /* enum tpl_kind */
    bool is_safe;    /* a text that the filter safe gave: what is added to it is escaped */
    uint32_t length; /* bytes of text */
    union {
        int64_t integer;
        double real;
        const char *text;
        struct tpl_list *list;
        struct tpl_dict *dict;
        struct tpl_loop *loop;
        struct tpl_macro *macro;
        const struct tpl_method *method;
    };
};

/* What Python calls what holds items; it decides how it is written and compared. */
enum tpl_list_kind { TPL_ITEMS, TPL_TUPLE, TPL_VIEW, TPL_RANGE, TPL_GENERATOR };

struct tpl_list {
    enum tpl_list_kind kind;
    struct tpl_value *items;
    uint32_t count, capacity;
    const char *name; /* of a view: "dict_items" */
};

struct tpl_entry {
    struct tpl_value key, value;
};

/* In the order in which keys were first set. */
struct tpl_dict {
    struct tpl_entry *entries;
    uint32_t count, capacity;
};

struct tpl_loop {
    const struct tpl_value *items;
    uint32_t count, index, depth;
    struct tpl_value changed; /* what loop.changed saw last; a list */
};

struct tpl_macro {
    const struct tpl_node *node;
    struct tpl_scope *scope; /* where it was defined */
};

struct tpl_method {
    struct tpl_value self;
    const struct tpl_method_row *row;
};

/* ---- making them: tpl_value.c -------------------------------------------------------------- */

#define TPL_WORD(word) weir_tpl_text((word), sizeof(word) - 1)

static inline struct tpl_value weir_tpl_undefined(const char *name, size_t length)
{
    return (struct tpl_value){.kind = TPL_UNDEFINED, .length = (uint32_t)length, .text = name};
}
static inline struct tpl_value weir_tpl_none(void)
{
    return (struct tpl_value){.kind = TPL_NONE};
}
static inline struct tpl_value weir_tpl_bool(bool flag)
{
    return (struct tpl_value){.kind = TPL_BOOL, .integer = flag};
}
static inline struct tpl_value weir_tpl_integer(int64_t integer)
{
    return (struct tpl_value){.kind = TPL_INTEGER, .integer = integer};
}
static inline struct tpl_value weir_tpl_real(double real)
{
    return (struct tpl_value){.kind = TPL_REAL, .real = real};
}
/* Borrows the bytes. */
static inline struct tpl_value weir_tpl_text(const char *bytes, size_t length)
{
    return (struct tpl_value){.kind = TPL_TEXT, .length = (uint32_t)length, .text = bytes};
}
static inline struct tpl_value weir_tpl_buffer_text(const struct tpl_buffer *buffer)
{
    return weir_tpl_text(buffer->length == 0 ? "" : buffer->bytes, buffer->length);
}
struct tpl_value weir_tpl_list(struct tpl_run *run, enum tpl_list_kind kind, size_t capacity);
void weir_tpl_list_push(struct tpl_run *run, struct tpl_value list, struct tpl_value item);
struct tpl_value weir_tpl_pair(struct tpl_run *run, struct tpl_value first,
                               struct tpl_value second);
struct tpl_value weir_tpl_dict(struct tpl_run *run, enum tpl_kind kind);
void weir_tpl_dict_set(struct tpl_run *run, struct tpl_dict *dict, struct tpl_value key,
                       struct tpl_value value);
/* NULL where there is none. */
const struct tpl_value *weir_tpl_dict_find(struct tpl_run *run, const struct tpl_dict *dict,
                                           struct tpl_value key);
const struct tpl_value *weir_tpl_dict_find_word(struct tpl_run *run, const struct tpl_dict *dict,
                                                const char *word);
/* By their keys; those with the same key stay in order, in reverse too. */
void weir_tpl_sort(struct tpl_run *run, struct tpl_entry *entries, size_t count, bool reverse);
/* ---- asking them --------------------------------------------------------------------------- */

bool weir_tpl_is(struct tpl_value text, const char *word);
static inline bool weir_tpl_is_number(struct tpl_value value)
{
    return value.kind == TPL_BOOL || value.kind == TPL_INTEGER || value.kind == TPL_REAL;
}
static inline bool weir_tpl_is_whole(struct tpl_value value)
{
    return value.kind == TPL_BOOL || value.kind == TPL_INTEGER;
}
static inline double weir_tpl_as_real(struct tpl_value value)
{
    return value.kind == TPL_REAL ? value.real : (double)value.integer;
}
static inline bool weir_tpl_is_list(struct tpl_value value, enum tpl_list_kind kind)
{
    return value.kind == TPL_LIST && value.list->kind == kind;
}
/* What Python calls its type, for messages: "str". */
const char *weir_tpl_type(struct tpl_value value);
bool weir_tpl_truth(struct tpl_value value);
bool weir_tpl_equal(struct tpl_run *run, struct tpl_value a, struct tpl_value b);
/* Below 0, 0, above 0; fails for kinds that have no order. sign names it in the message: "<". */
int weir_tpl_compare(struct tpl_run *run, struct tpl_value a, struct tpl_value b, const char *sign);
bool weir_tpl_contains(struct tpl_run *run, struct tpl_value holder, struct tpl_value item);
/* False: it has no length. */
bool weir_tpl_length(struct tpl_run *run, struct tpl_value value, int64_t *length);
/* The items that a for would see; a generator is empty afterwards. Fails for what has none. */
struct tpl_list weir_tpl_iterate(struct tpl_run *run, struct tpl_value value);
/* As Python's hash() refuses: lists and dictionaries are no keys. */
void weir_tpl_must_be_key(struct tpl_run *run, struct tpl_value key);

/* ---- as text: tpl_write.c ------------------------------------------------------------------ */

/* str(value). */
struct tpl_value weir_tpl_to_text(struct tpl_run *run, struct tpl_value value);
void weir_tpl_write(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value value);
/* printf of one number, such as "\\x%02x". */
void weir_tpl_push_code(struct tpl_run *run, struct tpl_buffer *out, const char *format,
                        unsigned code);
/* An integer or a real number. */
void weir_tpl_write_number(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value value,
                           bool as_json);
/* repr(value). */
void weir_tpl_write_repr(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value value);

/* ---- as JSON: tpl_json.c ------------------------------------------------------------------- */

struct tpl_json_style {
    bool only_ascii, sorts;
    bool has_lines;          /* an indent was given */
    struct tpl_value indent; /* a text */
    struct tpl_value item_separator, key_separator;
};
/* json.dumps(value). */
void weir_tpl_write_json(struct tpl_run *run, struct tpl_buffer *out, struct tpl_value value,
                         const struct tpl_json_style *style);
/* The text of a JSON object, as Python's json.loads() gives it. */
struct tpl_value weir_tpl_from_json(struct tpl_run *run, const char *bytes, size_t length);

#endif
