/* json.h - values of a JSON text that was checked once; nothing is built from it.
 *
 * The text is the only memory: a value is its place in it, and looking for a member walks the text
 * again. That suits files of a few large tables (a vocabulary, a list of tensors), each walked once
 * or twice, and keeps what untrusted bytes cost to what they are.
 * Source: RFC 8259; also NaN, Infinity and -Infinity as numbers, as Python's json writes them.
 */
#ifndef WEIR_JSON_H
#define WEIR_JSON_H

#include "base/base.h"

enum { WEIR_JSON_DEPTH_MAX = 64, WEIR_JSON_NUMBER_MAX = 63 /* bytes of a number */ };

enum weir_json_kind {
    WEIR_JSON_NONE, /* there is no such value */
    WEIR_JSON_NULL,
    WEIR_JSON_BOOL,
    WEIR_JSON_NUMBER,
    WEIR_JSON_TEXT,
    WEIR_JSON_ARRAY,
    WEIR_JSON_OBJECT,
};

/* Borrowed from a checked text; zeroed: there is none. Every function below takes one that is not
 * there, or of another kind than it asks for, and finds nothing in it. */
struct weir_json {
    const char *start, *end;
};

/* Checks all of the text and gives the one value it is. what names it in messages ("FILE.json").
 * WEIR_ERR_FORMAT: the byte, the wanted and the found. Nothing after this can fail. */
enum weir_status weir_json_parse(struct weir_json *root, const char *bytes, size_t length,
                                 const char *what, struct weir_err *err);

enum weir_json_kind weir_json_kind(struct weir_json value);
/* "an object", for messages. */
const char *weir_json_kind_name(enum weir_json_kind kind);

/* The members of an object or the elements of an array, in order. */
struct weir_json_walk {
    struct weir_json key, value; /* key: a text; none in arrays */
    uint64_t index;              /* of value */
    const char *at, *end;
    bool is_object;
};
struct weir_json_walk weir_json_walk(struct weir_json container);
bool weir_json_next(struct weir_json_walk *walk);
uint64_t weir_json_count(struct weir_json container);
/* Of several with that name the last, as Python reads them. */
struct weir_json weir_json_member(struct weir_json object, const char *name);

/* The bytes of a text, which may hold NUL, into out, and how many they are; out NULL or more than
 * capacity: only how many. 0 for what is no text. */
size_t weir_json_text(struct weir_json value, char *out, size_t capacity);
bool weir_json_is(struct weir_json value, const char *text);
/* False, and the value stays: it is none, or does not fit. 32.0 and 3e1 are whole numbers. */
bool weir_json_u64(struct weir_json value, uint64_t *number);
bool weir_json_f64(struct weir_json value, double *number);
bool weir_json_bool(struct weir_json value, bool *flag);

#endif
