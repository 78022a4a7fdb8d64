/* draft.c - a chat of OpenAI's that is put together of a request of another API. */
#include "serve/draft.h"

#include <string.h>

static void fail_memory(struct weir_draft *draft)
{
    weir_problem_set(draft->problem, 500, "server_error", "no_memory", NULL,
                     "no memory for the messages");
}

void weir_draft_set(struct weir_draft *draft, json_t *object, const char *name, json_t *value)
{
    if (json_object_set_new(object, name, value) != 0)
        fail_memory(draft);
}

void weir_draft_append(struct weir_draft *draft, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) != 0)
        fail_memory(draft);
}

void weir_draft_share(struct weir_draft *draft, json_t *object, const char *name, json_t *value)
{
    if (value != NULL)
        weir_draft_set(draft, object, name, json_incref(value));
}

json_t *weir_draft_text(const struct weir_writer *text)
{
    return text->failed ? NULL : json_stringn(text->bytes == NULL ? "" : text->bytes, text->length);
}

json_t *weir_draft_message(struct weir_draft *draft, const char *role, struct weir_writer *text)
{
    json_t *message = json_object();
    weir_draft_set(draft, message, "role", json_string(role));
    weir_draft_set(draft, message, "content", weir_draft_text(text));
    weir_draft_append(draft, draft->messages, message);
    weir_writer_clear(text);
    return draft->problem->status == 0 ? message : NULL;
}

void weir_draft_tool(struct weir_draft *draft, json_t *tools, json_t *given,
                     const char *schema_name)
{
    const struct weir_fields tool = {given, draft->problem};
    json_t *function = json_object();
    json_t *outer = json_object();
    weir_draft_share(draft, function, "name", weir_field(&tool, "name"));
    weir_draft_share(draft, function, "description", weir_field(&tool, "description"));
    weir_draft_share(draft, function, "parameters", weir_field(&tool, schema_name));
    weir_draft_share(draft, function, "strict", weir_field(&tool, "strict"));
    weir_draft_set(draft, outer, "type", json_string("function"));
    weir_draft_set(draft, outer, "function", function);
    weir_draft_append(draft, tools, outer);
}

void weir_draft_call(struct weir_draft *draft, json_t *calls, json_t *id, json_t *name,
                     const char *arguments)
{
    json_t *call = json_object();
    json_t *function = json_object();
    weir_draft_share(draft, function, "name", name);
    weir_draft_set(draft, function, "arguments", json_string(arguments == NULL ? "" : arguments));
    weir_draft_share(draft, call, "id", id);
    weir_draft_set(draft, call, "type", json_string("function"));
    weir_draft_set(draft, call, "function", function);
    weir_draft_append(draft, calls, call);
    if (arguments == NULL)
        fail_memory(draft);
}

void weir_draft_choice(struct weir_draft *draft, json_t *chat, json_t *name)
{
    json_t *function = json_object();
    json_t *outer = json_object();
    weir_draft_share(draft, function, "name", name);
    weir_draft_set(draft, outer, "type", json_string("function"));
    weir_draft_set(draft, outer, "function", function);
    weir_draft_set(draft, chat, "tool_choice", outer);
}

bool weir_draft_is_word(const json_t *value, const char *word)
{
    return json_is_string(value) && strcmp(json_string_value(value), word) == 0;
}
