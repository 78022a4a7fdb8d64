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
    const char *path = NULL, *name = NULL;
    char method[16], part[WEIR_PATH_PART_MAX];
    json_t *methods = NULL, *value = NULL;
    const char *allow = NULL;
    (void)state;
    json_object_foreach(json_object_get(document, "paths"), path, methods)
        json_object_foreach(methods, name, value)
    {
        size_t at = 0;
        for (; name[at] != '\0'; at++)
            method[at] = (char)(name[at] - 'a' + 'A');
        method[at] = '\0';
        assert_non_null(weir_route_find(method, path, &allow, part));
        assert_int_equal(part[0] != '\0', strchr(path, '{') != NULL);
    }
}

static void a_path_has_parts(void **state)
{
    const char *allow = NULL;
    char part[WEIR_PATH_PART_MAX], long_path[2 * WEIR_PATH_PART_MAX] = "/v1/responses/";
    (void)state;
    const struct weir_route *one = weir_route_find("GET", "/v1/responses/resp-1", &allow, part);
    assert_string_equal(part, "resp-1");
    assert_ptr_not_equal(weir_route_find("DELETE", "/v1/responses/resp-1", &allow, part), one);
    assert_ptr_not_equal(weir_route_find("HEAD", "/v1/responses/a/input_items", &allow, part), one);
    assert_string_equal(part, "a");
    assert_non_null(weir_route_find("GET", "/v1/models/org/name", &allow, part));
    assert_string_equal(part, "org/name");
    assert_null(weir_route_find("POST", "/v1/responses/resp-1", &allow, part));
    assert_string_equal(allow, "GET, HEAD, DELETE");
    assert_null(weir_route_find("DELETE", "/v1/responses", &allow, part));
    assert_string_equal(allow, "POST");
    assert_null(weir_route_find("PUT", "/", &allow, part));
    assert_string_equal(allow, "GET, HEAD");
    assert_null(weir_route_find("GET", "/v1/models/", &allow, part));
    assert_null(allow);
    memset(long_path + strlen(long_path), 'x', WEIR_PATH_PART_MAX - 1);
    assert_non_null(weir_route_find("GET", long_path, &allow, part));
    strcat(long_path, "x");
    assert_null(weir_route_find("GET", long_path, &allow, part));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_route_is_in_it),
        cmocka_unit_test(what_is_in_it_is_a_route),
        cmocka_unit_test(a_path_has_parts),
    };
    return cmocka_run_group_tests(tests, make_document, drop_document);
}
