/* call_tools.c - the tools of a request: their names, and what kinds their arguments have. */
#include <string.h>

#include "base/heap.h"
#include "chat/reply_parts.h"

enum { REF_MAX = 16 /* references and choices in each other */ };

enum weir_status weir_tools_init(struct weir_tools *tools, const char *bytes, size_t length,
                                 struct weir_err *err)
{
    struct weir_err reason = {0};
    if (length > WEIR_CHAT_JSON_MAX)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "tools: wanted at most %d bytes, found %zu",
                         WEIR_CHAT_JSON_MAX, length);
    tools->bytes = weir_heap_alloc(length + 1);
    if (tools->bytes == NULL)
        return WEIR_FAIL(err, WEIR_ERR_NOMEM, "no memory for tools of %zu bytes", length);
    if (length > 0)
        memcpy(tools->bytes, bytes, length);
    if (weir_json_parse(&tools->list, tools->bytes, length, "tools", &reason) != WEIR_OK)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "%s", reason.text);
    if (weir_json_kind(tools->list) != WEIR_JSON_ARRAY)
        return WEIR_FAIL(err, WEIR_ERR_ARG, "tools: wanted an array, found %s",
                         weir_json_kind_name(weir_json_kind(tools->list)));
    struct weir_json_walk walk = weir_json_walk(tools->list);
    while (weir_json_next(&walk)) {
        const struct weir_json name = weir_json_member(weir_tool_function(walk.value), "name");
        const size_t name_length = weir_json_text(name, NULL, 0);
        if (name_length == 0 || name_length > WEIR_CALL_NAME_MAX)
            return WEIR_FAIL(err, WEIR_ERR_ARG,
                             "tools: wanted a name of 1 to %d bytes at place %llu, found %s of %zu",
                             WEIR_CALL_NAME_MAX, (unsigned long long)walk.index,
                             weir_json_kind_name(weir_json_kind(name)), name_length);
    }
    return WEIR_OK;
}

void weir_tools_deinit(struct weir_tools *tools)
{
    weir_heap_free(tools->bytes);
    *tools = (struct weir_tools){0};
}

struct weir_json weir_tool_function(struct weir_json tool)
{
    const struct weir_json function = weir_json_member(tool, "function");
    return weir_json_kind(function) == WEIR_JSON_OBJECT ? function : tool;
}

struct weir_json weir_tool_schema(struct weir_json function)
{
    const struct weir_json schema = weir_json_member(function, "parameters");
    return schema.start != NULL ? schema : weir_json_member(function, "input_schema");
}

bool weir_tools_find(const struct weir_tools *tools, const char *name, size_t length,
                     struct weir_json *schema)
{
    struct weir_json_walk walk = weir_json_walk(tools->list);
    char wanted[WEIR_CALL_NAME_MAX + 1];
    if (length == 0 || length > WEIR_CALL_NAME_MAX || memchr(name, '\0', length) != NULL)
        return false;
    memcpy(wanted, name, length);
    wanted[length] = '\0';
    while (weir_json_next(&walk)) {
        const struct weir_json function = weir_tool_function(walk.value);
        if (!weir_json_is(weir_json_member(function, "name"), wanted))
            continue;
        *schema = weir_tool_schema(function);
        return true;
    }
    return false;
}

/* ---- kinds --------------------------------------------------------------------------------- */

static uint32_t kinds_of_type(struct weir_json type)
{
    static const struct {
        const char *name;
        enum weir_json_kind kind;
    } types[] = {{"string", WEIR_JSON_TEXT},   {"integer", WEIR_JSON_NUMBER},
                 {"number", WEIR_JSON_NUMBER}, {"boolean", WEIR_JSON_BOOL},
                 {"object", WEIR_JSON_OBJECT}, {"array", WEIR_JSON_ARRAY},
                 {"null", WEIR_JSON_NULL}};
    for (size_t row = 0; row < WEIR_COUNT(types); row++)
        if (weir_json_is(type, types[row].name))
            return 1u << types[row].kind;
    return WEIR_KINDS_ALL;
}

/* Where "#/$defs/NAME" leads; none: it leads out, or nowhere. */
static struct weir_json follow(struct weir_json root, struct weir_json ref)
{
    char path[512];
    const size_t length = weir_json_text(ref, path, sizeof(path) - 1);
    if (length == 0 || length >= sizeof(path) || path[0] != '#')
        return (struct weir_json){0};
    path[length] = '\0';
    char *rest = path + 1;
    struct weir_json at = root;
    while (*rest == '/') {
        char *end = strchrnul(++rest, '/');
        const bool is_last = *end == '\0';
        *end = '\0';
        at = weir_json_member(at, rest);
        rest = is_last ? end : end + 1;
        rest -= !is_last;
        if (!is_last)
            *rest = '/';
    }
    return at;
}

static uint32_t kinds_at(struct weir_json root, struct weir_json schema, uint32_t depth)
{
    static const char *const choices[] = {"anyOf", "oneOf", "allOf"};
    uint32_t kinds = 0;
    const struct weir_json ref = weir_json_member(schema, "$ref");
    const struct weir_json type = weir_json_member(schema, "type");
    const struct weir_json list = weir_json_member(schema, "enum");
    const struct weir_json constant = weir_json_member(schema, "const");
    if (depth == REF_MAX || weir_json_kind(schema) != WEIR_JSON_OBJECT)
        return WEIR_KINDS_ALL;
    if (ref.start != NULL)
        return kinds_at(root, follow(root, ref), depth + 1);
    if (constant.start != NULL)
        return 1u << weir_json_kind(constant);
    struct weir_json_walk walk =
        weir_json_walk(weir_json_kind(list) == WEIR_JSON_ARRAY ? list : type);
    while (weir_json_next(&walk))
        kinds |= weir_json_kind(list) == WEIR_JSON_ARRAY ? 1u << weir_json_kind(walk.value)
                                                         : kinds_of_type(walk.value);
    if (kinds != 0)
        return kinds;
    if (weir_json_kind(type) == WEIR_JSON_TEXT)
        return kinds_of_type(type);
    for (size_t index = 0; index < WEIR_COUNT(choices); index++) {
        walk = weir_json_walk(weir_json_member(schema, choices[index]));
        while (weir_json_next(&walk))
            kinds |= kinds_at(root, walk.value, depth + 1);
    }
    return kinds != 0 ? kinds : WEIR_KINDS_ALL;
}

uint32_t weir_schema_kinds(struct weir_json root, struct weir_json schema)
{
    return kinds_at(root, schema, 0);
}

uint32_t weir_tool_kinds(struct weir_json schema, const char *key, size_t length)
{
    char name[WEIR_CALL_NAME_MAX + 1];
    memcpy(name, key, length);
    name[length] = '\0';
    const struct weir_json found = weir_json_member(weir_json_member(schema, "properties"), name);
    return weir_schema_kinds(schema, found);
}
