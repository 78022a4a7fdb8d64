/* fields.h - members of a request's JSON object: each one known, of its type, and in its range.
 *
 * The first thing that is wrong is kept, with the member's name, and everything after it reads as
 * absent. A member that is null is absent. */
#ifndef WEIR_SERVE_FIELDS_H
#define WEIR_SERVE_FIELDS_H

#include <jansson.h>

#include "base/base.h"
#include "serve/writer.h"

/* Why a request is refused; status 0: it is not. */
struct weir_problem {
    unsigned status; /* HTTP's */
    const char *type, *code;
    char field[64];
    char text[512];
};

void weir_problem_set(struct weir_problem *problem, unsigned status, const char *type,
                      const char *code, const char *field, const char *format, ...)
    WEIR_PRINTF(6, 7);
/* 400: what the client sent is wrong. */
#define WEIR_PROBLEM(problem, field, ...)                                                          \
    weir_problem_set((problem), 400, "invalid_request_error", "invalid_value", (field), __VA_ARGS__)

struct weir_fields {
    json_t *object; /* borrowed */
    struct weir_problem *problem;
};

/* Refuse members that are not in names, which ends with NULL. */
void weir_fields_check(const struct weir_fields *fields, const char *const *names);

/* A member that a request may have, and a JSON Schema of its values, for /openapi.json. */
struct weir_member {
    const char *name; /* NULL: the end of a table */
    const char *schema;
};
/* Refuse members that are in neither table; the second one may be NULL. */
void weir_fields_check_members(const struct weir_fields *fields, const struct weir_member *members,
                               const struct weir_member *more);
/* NULL: absent. */
json_t *weir_field(const struct weir_fields *fields, const char *name);
double weir_field_real(const struct weir_fields *fields, const char *name, double low, double high,
                       double usual);
int64_t weir_field_count(const struct weir_fields *fields, const char *name, int64_t low,
                         int64_t high, int64_t usual);
bool weir_field_flag(const struct weir_fields *fields, const char *name, bool usual);
const char *weir_field_text(const struct weir_fields *fields, const char *name);
json_t *weir_field_object(const struct weir_fields *fields, const char *name);
json_t *weir_field_array(const struct weir_fields *fields, const char *name);
/* Only this value means anything here: absent, or equal to one of the JSON texts apart by |. */
void weir_field_only(const struct weir_fields *fields, const char *name, const char *values);

/* A body as JSON; memory_max bounds what its values may take. NULL: problem says why. */
json_t *weir_fields_parse(const char *bytes, size_t length, uint64_t memory_max,
                          struct weir_problem *problem);
/* What was kept of another request, for the one that was parsed last on this thread: both may take
 * what that one alone may. */
json_t *weir_fields_parse_more(const struct weir_writer *text, struct weir_problem *problem);
void weir_fields_write(const json_t *value, struct weir_writer *writer);
/* From here on jansson's memory is counted, for weir_fields_parse(). */
void weir_fields_init(void);

#endif
