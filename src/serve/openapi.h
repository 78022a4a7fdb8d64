/* openapi.h - the API's own description, at /openapi.json. */
#ifndef WEIR_SERVE_OPENAPI_H
#define WEIR_SERVE_OPENAPI_H

#include "serve/exchange.h"
#include "serve/members.h"

/* Of a route: what it is for, what its body may have, and what it answers. */
struct weir_operation {
    const char *method, *path, *summary;
    const char *answer;                       /* a JSON Schema; NULL: it is text/plain */
    bool is_stream;                           /* or a stream of events */
    const struct weir_member *members, *more; /* of its body; NULL: it has none */
    const char *required;                     /* of them, as JSON strings with commas */
};

/* NULL: none is known. */
const struct weir_operation *weir_operation_find(const char *method, const char *path);
/* All of it: OpenAPI 3.1 (spec.openapis.org/oas/v3.1.0). */
void weir_openapi_write(struct weir_writer *writer);
void weir_openapi_tell(struct weir_exchange *exchange);

#endif
