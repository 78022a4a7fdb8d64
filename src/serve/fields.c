/* fields.c - members of a request's JSON object: each one known, of its type, and in its range. */
#include "serve/fields.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"

void weir_problem_set(struct weir_problem *problem, unsigned status, const char *type,
                      const char *code, const char *field, const char *format, ...)
{
    va_list arguments;
    if (problem->status != 0)
        return;
    problem->status = status;
    problem->type = type;
    problem->code = code;
    snprintf(problem->field, sizeof(problem->field), "%s", field == NULL ? "" : field);
    va_start(arguments, format);
    vsnprintf(problem->text, sizeof(problem->text), format, arguments);
    va_end(arguments);
}

/* A name from a client, in a message. */
static const char *show(const char *name, char out[64])
{
    weir_printable(name, strlen(name), out, 64);
    return out;
}

static const char *kind_of(const json_t *value)
{
    static const char *const names[] = {
        [JSON_OBJECT] = "an object", [JSON_ARRAY] = "an array", [JSON_STRING] = "a string",
        [JSON_INTEGER] = "a number", [JSON_REAL] = "a number",  [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",      [JSON_NULL] = "null",
    };
    return names[json_typeof(value)];
}

static void refuse_name(const struct weir_fields *fields, const char *name)
{
    char shown[64];
    weir_problem_set(fields->problem, 400, "invalid_request_error", "unknown_parameter",
                     show(name, shown), "\"%s\": this server knows no such field, and ignores none",
                     shown);
}

void weir_fields_check(const struct weir_fields *fields, const char *const *names)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(fields->object, name, value)
    {
        size_t at = 0;
        while (names[at] != NULL && strcmp(names[at], name) != 0)
            at++;
        if (names[at] == NULL && !json_is_null(value))
            refuse_name(fields, name);
    }
}

static bool has_member(const struct weir_member *members, const char *name)
{
    while (members != NULL && members->name != NULL && strcmp(members->name, name) != 0)
        members++;
    return members != NULL && members->name != NULL;
}

void weir_fields_check_members(const struct weir_fields *fields, const struct weir_member *members,
                               const struct weir_member *more)
{
    const char *name = NULL;
    json_t *value = NULL;
    json_object_foreach(fields->object, name, value)
    {
        if (!json_is_null(value) && !has_member(members, name) && !has_member(more, name))
            refuse_name(fields, name);
    }
}

json_t *weir_field(const struct weir_fields *fields, const char *name)
{
    json_t *value = fields->problem->status != 0 ? NULL : json_object_get(fields->object, name);
    return json_is_null(value) ? NULL : value;
}

double weir_field_real(const struct weir_fields *fields, const char *name, double low, double high,
                       double usual)
{
    const json_t *value = weir_field(fields, name);
    if (value == NULL)
        return usual;
    const double number = json_is_number(value) ? json_number_value(value) : (double)NAN;
    if (number >= low && number <= high)
        return number;
    if (json_is_number(value))
        WEIR_PROBLEM(fields->problem, name, "\"%s\": wanted a number from %g to %g, found %g", name,
                     low, high, number);
    else
        WEIR_PROBLEM(fields->problem, name, "\"%s\": wanted a number from %g to %g, found %s", name,
                     low, high, kind_of(value));
    return usual;
}

int64_t weir_field_count(const struct weir_fields *fields, const char *name, int64_t low,
                         int64_t high, int64_t usual)
{
    const json_t *value = weir_field(fields, name);
    if (value == NULL)
        return usual;
    if (json_is_integer(value) && json_integer_value(value) >= low &&
        json_integer_value(value) <= high)
        return json_integer_value(value);
    if (json_is_integer(value))
        WEIR_PROBLEM(fields->problem, name,
                     "\"%s\": wanted a whole number from %lld to %lld, found %lld", name,
                     (long long)low, (long long)high, (long long)json_integer_value(value));
    else
        WEIR_PROBLEM(fields->problem, name,
                     "\"%s\": wanted a whole number from %lld to %lld, found %s", name,
                     (long long)low, (long long)high, kind_of(value));
    return usual;
}

/* The value if it is of that type. */
static json_t *get_typed(const struct weir_fields *fields, const char *name, json_type type,
                         const char *wanted)
{
    json_t *value = weir_field(fields, name);
    if (value == NULL || json_typeof(value) == type)
        return value;
    WEIR_PROBLEM(fields->problem, name, "\"%s\": wanted %s, found %s", name, wanted,
                 kind_of(value));
    return NULL;
}

bool weir_field_flag(const struct weir_fields *fields, const char *name, bool usual)
{
    const json_t *value = weir_field(fields, name);
    if (value == NULL)
        return usual;
    if (json_is_boolean(value))
        return json_is_true(value);
    WEIR_PROBLEM(fields->problem, name, "\"%s\": wanted true or false, found %s", name,
                 kind_of(value));
    return usual;
}

const char *weir_field_text(const struct weir_fields *fields, const char *name)
{
    return json_string_value(get_typed(fields, name, JSON_STRING, "a string"));
}

json_t *weir_field_object(const struct weir_fields *fields, const char *name)
{
    return get_typed(fields, name, JSON_OBJECT, "an object");
}

json_t *weir_field_array(const struct weir_fields *fields, const char *name)
{
    return get_typed(fields, name, JSON_ARRAY, "an array");
}

void weir_field_only(const struct weir_fields *fields, const char *name, const char *values)
{
    char text[64] = "";
    const json_t *value = weir_field(fields, name);
    if (value == NULL)
        return;
    const size_t length = json_dumpb(value, text, sizeof(text) - 1, JSON_COMPACT | JSON_ENCODE_ANY);
    for (const char *at = values; *at != '\0';) {
        const size_t one = strcspn(at, "|");
        if (one == length && memcmp(at, text, one) == 0)
            return;
        at += one + (at[one] == '|');
    }
    WEIR_PROBLEM(fields->problem, name, "\"%s\": this server has only %s", name, values);
}

/* ---- bodies -------------------------------------------------------------------------------- */

/* What the running parse may still take; jansson has no limit of its own. Freed memory does not
 * come back, so it bounds more than what is held. */
static _Thread_local struct allowance {
    uint64_t left_bytes, most_bytes;
    bool is_counted, is_spent;
} parsing;

static void *take_counted(size_t bytes)
{
    if (parsing.is_counted) {
        parsing.is_spent |= bytes > parsing.left_bytes;
        if (parsing.is_spent)
            return NULL;
        parsing.left_bytes -= bytes;
    }
    return weir_heap_alloc(bytes);
}

void weir_fields_init(void)
{
    json_set_alloc_funcs(take_counted, weir_heap_free);
}

/* What the values would take is too much, with what was parsed before. */
static void refuse_values(struct weir_problem *problem, const char *what, uint64_t most)
{
    weir_problem_set(problem, 413, "invalid_request_error", "request_too_large", NULL,
                     "%s has too many values: they would take more than %llu bytes", what,
                     (unsigned long long)most);
}

static json_t *load_counted(const char *bytes, size_t length, json_error_t *error)
{
    parsing.is_counted = true;
    json_t *root = json_loadb(bytes == NULL ? "" : bytes, length, JSON_REJECT_DUPLICATES, error);
    parsing.is_counted = false;
    return root;
}

json_t *weir_fields_parse(const char *bytes, size_t length, uint64_t memory_max,
                          struct weir_problem *problem)
{
    json_error_t error = {0};
    char shown[256];
    parsing = (struct allowance){.left_bytes = memory_max, .most_bytes = memory_max};
    json_t *root = load_counted(bytes, length, &error);
    if (root == NULL && parsing.is_spent) {
        refuse_values(problem, "the body's JSON", memory_max);
    } else if (root == NULL) {
        weir_printable(error.text, strlen(error.text), shown, sizeof(shown));
        weir_problem_set(problem, 400, "invalid_request_error", "invalid_json", NULL,
                         "the body is no JSON: line %d, column %d: %s", error.line, error.column,
                         shown);
    } else if (!json_is_object(root)) {
        weir_problem_set(problem, 400, "invalid_request_error", "invalid_json", NULL,
                         "the body: wanted a JSON object, found %s", kind_of(root));
        json_decref(root);
        root = NULL;
    }
    return root;
}

/* It was written by this server: if it is no JSON, memory was short. */
json_t *weir_fields_parse_more(const struct weir_writer *text, struct weir_problem *problem)
{
    json_error_t error = {0};
    json_t *root = text->failed ? NULL : load_counted(text->bytes, text->length, &error);
    if (root == NULL && parsing.is_spent)
        refuse_values(problem, "the conversation, with what it goes on from,", parsing.most_bytes);
    else if (root == NULL)
        weir_problem_set(problem, 500, "server_error", "no_memory", NULL,
                         "no memory for what the conversation goes on from");
    return root;
}

static int put_json(const char *bytes, size_t length, void *user)
{
    weir_writer_put(user, bytes, length);
    return 0;
}

void weir_fields_write(const json_t *value, struct weir_writer *writer)
{
    if (json_dump_callback(value, put_json, writer, JSON_COMPACT | JSON_ENCODE_ANY) != 0)
        writer->failed = true;
}
