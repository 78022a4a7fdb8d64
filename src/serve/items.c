/* items.c - the items of a conversation of the Responses API. */
#include "serve/items.h"

#include <string.h>

#include "serve/server.h"
#include "serve/shelf.h"

enum { ID_LENGTH_MAX = 64 };
#define ID_HEAD "{\"id\":\""

/* ---- what was kept ------------------------------------------------------------------------- */

/* {"items":[...],"response":{...}} */
static void copy_all(void *user, const struct weir_shelved *kept)
{
    static const char head[] = "{\"items\":[", between[] = "],\"response\":";
    struct weir_writer *text = user;
    weir_writer_reserve(text, sizeof(head) + sizeof(between) + kept->items_length +
                                  kept->response_length);
    weir_writer_text(text, head);
    const size_t begin = text->length;
    if (kept->items_length > 0) /* without the end of the last line */
        weir_writer_put(text, kept->items, kept->items_length - 1);
    for (size_t at = begin; !text->failed && at < text->length; at++)
        if (text->bytes[at] == '\n')
            text->bytes[at] = ',';
    weir_writer_text(text, between);
    weir_writer_put(text, kept->response, kept->response_length);
    weir_writer_text(text, "}");
}

static void fail_memory(struct weir_problem *problem)
{
    weir_problem_set(problem, 500, "server_error", "no_memory", NULL,
                     "no memory for the items of a conversation");
}

static void append_all(struct weir_problem *problem, json_t *items, json_t *more)
{
    if (json_array_extend(items, more) != 0)
        fail_memory(problem);
}

/* A text is a user's message. */
static void append_text(struct weir_problem *problem, json_t *items, json_t *text)
{
    json_t *message = json_pack("{sssO}", "role", "user", "content", text);
    if (json_array_append_new(items, message) != 0)
        fail_memory(problem);
}

/* The text of both is counted only as long as it is read. */
static void recall(struct weir_exchange *exchange, const char *name, json_t *items)
{
    struct weir_writer text = {0};
    const size_t counted = exchange->body_counted;
    if (!weir_shelf_keeps(exchange->serve->shelf)) {
        WEIR_PROBLEM(&exchange->problem, "previous_response_id",
                     "\"previous_response_id\": this server keeps no responses (--stored-bytes): "
                     "send the items of the conversation as \"input\"");
        return;
    }
    if (!weir_shelf_look(exchange, name, "previous_response_id", copy_all, &text))
        return;
    json_t *both = weir_fields_parse_more(&text, &exchange->problem);
    weir_writer_free(&text);
    weir_serve_body_give(exchange->serve, exchange->body_counted - counted);
    exchange->body_counted = counted;
    if (both != NULL) {
        append_all(&exchange->problem, items, json_object_get(both, "items"));
        append_all(&exchange->problem, items,
                   json_object_get(json_object_get(both, "response"), "output"));
    }
    json_decref(both);
}

json_t *weir_items_gather(struct weir_exchange *exchange, json_t *root)
{
    const struct weir_fields fields = {root, &exchange->problem};
    json_t *items = json_array();
    json_t *input = weir_field(&fields, "input");
    const char *previous = weir_field_text(&fields, "previous_response_id");
    if (previous != NULL)
        recall(exchange, previous, items);
    if (json_is_string(input))
        append_text(&exchange->problem, items, input);
    else if (json_array_size(input) > 0)
        append_all(&exchange->problem, items, input);
    else
        WEIR_PROBLEM(&exchange->problem, "input",
                     "\"input\": wanted a string, or an array of items");
    if (exchange->problem.status == 0)
        return items;
    json_decref(items);
    return NULL;
}

/* ---- how they are kept --------------------------------------------------------------------- */

/* Whether it needs no escapes, and tells items apart. */
static bool is_plain(const char *id)
{
    size_t length = 0;
    for (; id != NULL && id[length] != '\0'; length++)
        if (strchr("\"\\/", id[length]) != NULL || id[length] <= ' ' || id[length] > '~')
            return false;
    return length > 0 && length <= ID_LENGTH_MAX;
}

static const char *name_kind(const char *type)
{
    static const char *const kinds[][2] = {
        {"message", "msg"}, {"reasoning", "rs"}, {"function_call", "fc"}};
    for (size_t row = 0; row < WEIR_COUNT(kinds); row++)
        if (strcmp(kinds[row][0], type) == 0)
            return kinds[row][1];
    return "item";
}

/* A text is one part. */
static json_t *make_parts(const json_t *item, json_t *text)
{
    const char *role = json_string_value(json_object_get(item, "role"));
    if (role != NULL && strcmp(role, "assistant") == 0)
        return json_pack("[{sssOs[]}]", "type", "output_text", "text", text, "annotations");
    return json_pack("[{sssO}]", "type", "input_text", "text", text);
}

/* The item with all that those who ask for it want to see; its id comes first. */
static json_t *complete(struct weir_serve *serve, const json_t *item)
{
    char name[64];
    json_t *whole = json_object();
    json_t *content = json_object_get(item, "content");
    const char *given = json_string_value(json_object_get(item, "id"));
    const char *type = json_string_value(json_object_get(item, "type"));
    type = type == NULL ? "message" : type;
    weir_serve_name(serve, name_kind(type), name);
    json_object_set_new(whole, "id", json_string(is_plain(given) ? given : name));
    json_object_set_new(whole, "type", json_string(type));
    if (strcmp(type, "message") == 0 && json_is_string(content))
        json_object_set_new(whole, "content", make_parts(item, content));
    json_object_update_missing(whole, (json_t *)(uintptr_t)item);
    if (strcmp(type, "reasoning") != 0 && json_object_get(whole, "status") == NULL)
        json_object_set_new(whole, "status", json_string("completed"));
    return whole;
}

void weir_items_write(struct weir_serve *serve, const json_t *items, struct weir_writer *lines)
{
    size_t index = 0;
    json_t *item = NULL;
    json_array_foreach(items, index, item)
    {
        json_t *whole = complete(serve, item);
        weir_fields_write(whole, lines);
        weir_writer_text(lines, "\n");
        json_decref(whole);
    }
}

const char *weir_item_id(const char *line, size_t length, size_t *id_length)
{
    const char *id = line + sizeof(ID_HEAD) - 1;
    const char *end = memchr(id, '"', length - (sizeof(ID_HEAD) - 1));
    WEIR_ASSERT(end != NULL && memcmp(line, ID_HEAD, sizeof(ID_HEAD) - 1) == 0);
    *id_length = (size_t)(end - id);
    return id;
}
