/* openapi_test.c - the API's description is JSON, has every route and what requests are read by. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "serve/openapi.h"
#include "serve/server.h"

static json_t *document;

static int make_document(void **state)
{
    struct weir_writer writer = {0};
    json_error_t error = {0};
    (void)state;
    weir_openapi_write(&writer);
    document = json_loadb(writer.bytes, writer.length, JSON_REJECT_DUPLICATES, &error);
    weir_writer_free(&writer);
    if (document == NULL)
        print_error("line %d, column %d: %s\n", error.line, error.column, error.text);
    return document == NULL;
}

static int drop_document(void **state)
{
    (void)state;
    json_decref(document);
    return 0;
}

/* The schema of a body's member; NULL: the document has no such member. */
static json_t *member_schema(const struct weir_route *route, const char *name)
{
    json_t *path = json_object_get(json_object_get(document, "paths"), route->path);
    json_t *body = json_object_get(json_object_get(path, "post"), "requestBody");
    json_t *content = json_object_get(json_object_get(body, "content"), "application/json");
    json_t *members = json_object_get(json_object_get(content, "schema"), "properties");
    return json_object_get(members, name);
}

static size_t check_members(const struct weir_route *route, const struct weir_member *members)
{
    size_t count = 0;
    for (; members != NULL && members->name != NULL; members++, count++) {
        json_t *any = json_object_get(member_schema(route, members->name), "anyOf");
        json_t *schema = json_loads(members->schema, JSON_REJECT_DUPLICATES, NULL);
        assert_true(json_is_object(schema));
        assert_true(json_equal(json_array_get(any, 0), schema)); /* the other is null */
        json_decref(schema);
    }
    return count;
}

static void every_route_is_in_it(void **state)
{
    const struct weir_route *route = NULL;
    (void)state;
    for (uint32_t index = 0; (route = weir_route_at(index)) != NULL; index++) {
        const struct weir_operation *operation = weir_operation_find(route->method, route->path);
        if (operation == NULL)
            fail_msg("%s %s has no row in openapi.c", route->method, route->path);
        assert_int_equal(route->read != NULL, operation->members != NULL);
        const size_t count =
            check_members(route, operation->members) + check_members(route, operation->more);
        assert_true(route->read == NULL || count > 0);
    }
}

static void what_is_in_it_is_a_route(void **state)
{
    const char *path = NULL;
    json_t *value = NULL;
    const char *allow = NULL;
    (void)state;
    json_object_foreach(json_object_get(document, "paths"), path, value)
    {
        const char *method = json_object_get(value, "get") != NULL ? "GET" : "POST";
        assert_non_null(weir_route_find(method, path, &allow));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_in_it),
        cmocka_unit_test(what_is_in_it_is_a_route),
    };
    return cmocka_run_group_tests(tests, make_document, drop_document);
}
