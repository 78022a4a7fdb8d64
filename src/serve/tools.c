/* tools.c - tools in a chat: what may be called, and calls in what was said before. */
#include "serve/tools.h"

#include <string.h>

#include "base/heap.h"
#include "serve/server.h"

/* ---- the request --------------------------------------------------------------------------- */

static void check_tool(json_t *tool, bool must_call, struct weir_problem *problem)
{
    static const char *const names[] = {"type", "function", NULL};
    static const char *const function_names[] = {"name", "description", "parameters", "strict",
                                                 NULL};
    const struct weir_fields fields = {tool, problem};
    if (!json_is_object(tool)) {
        WEIR_PROBLEM(problem, "tools", "\"tools\": wanted objects with \"type\" and \"function\"");
        return;
    }
    weir_fields_check(&fields, names);
    weir_field_only(&fields, "type", "\"function\"");
    const struct weir_fields function = {weir_field_object(&fields, "function"), problem};
    if (function.object == NULL) {
        WEIR_PROBLEM(problem, "tools", "\"tools\": a tool has no \"function\"");
        return;
    }
    weir_fields_check(&function, function_names);
    if (weir_field_text(&function, "name") == NULL)
        WEIR_PROBLEM(problem, "tools", "\"tools\": a function has no \"name\"");
    weir_field_text(&function, "description");
    weir_field_object(&function, "parameters");
    /* Unless a call must come what a model writes is read, not forced: nobody may count on it. */
    weir_field_only(&function, "strict", must_call ? "false|true" : "false");
}

/* The function that must be called, which has to be one of the tools. */
static void read_name(struct weir_request *request, const struct weir_fields *choice,
                      const json_t *tools)
{
    static const char *const names[] = {"type", "function", NULL};
    static const char *const function_names[] = {"name", NULL};
    const struct weir_fields function = {weir_field_object(choice, "function"), choice->problem};
    size_t index = 0;
    json_t *tool = NULL;
    weir_fields_check(choice, names);
    weir_field_only(choice, "type", "\"function\"");
    if (function.object != NULL)
        weir_fields_check(&function, function_names);
    const char *name = function.object == NULL ? NULL : weir_field_text(&function, "name");
    json_array_foreach(tools, index, tool)
    {
        const json_t *other = json_object_get(json_object_get(tool, "function"), "name");
        if (name != NULL && request->tool == NULL && json_is_string(other) &&
            strcmp(json_string_value(other), name) == 0)
            request->tool = weir_heap_text(name);
    }
    if (request->tool == NULL)
        WEIR_PROBLEM(
            choice->problem, "tool_choice",
            "\"tool_choice\": wanted {\"type\": \"function\", \"function\": {\"name\": one of "
            "\"tools\"}}");
}

/* False: none is to be called. */
static bool read_choice(struct weir_request *request, const struct weir_fields *fields,
                        const json_t *tools)
{
    json_t *choice = weir_field(fields, "tool_choice");
    const char *word = json_is_string(choice) ? json_string_value(choice) : "";
    if (choice == NULL || strcmp(word, "auto") == 0)
        return true;
    if (strcmp(word, "none") == 0)
        return false;
    request->must_call = true;
    if (json_is_object(choice))
        read_name(request, &(struct weir_fields){choice, fields->problem}, tools);
    else if (strcmp(word, "required") != 0)
        WEIR_PROBLEM(fields->problem, "tool_choice",
                     "\"tool_choice\": wanted auto, none, required, or a function");
    if (json_array_size(tools) == 0)
        WEIR_PROBLEM(fields->problem, "tool_choice",
                     "\"tool_choice\": wanted \"tools\" with it, found none");
    return true;
}

void weir_tools_read(struct weir_request *request, const struct weir_fields *fields)
{
    const weir_chat *chat = request->exchange->serve->config.chat;
    const uint64_t tools_max =
        weir_serve_tools_bytes(weir_serve_limits_of(request->exchange->serve));
    json_t *tools = weir_field_array(fields, "tools");
    json_t *tool = NULL;
    size_t index = 0;
    const bool may_call = read_choice(request, fields, tools);
    request->is_one_call = !weir_field_flag(fields, "parallel_tool_calls", true);
    json_array_foreach(tools, index, tool) check_tool(tool, request->must_call, fields->problem);
    if (json_array_size(tools) == 0 || !may_call || fields->problem->status != 0)
        return;
    if (weir_chat_calls(chat) == NULL || !weir_chat_mentions(chat, "tools")) {
        weir_problem_set(fields->problem, 400, "invalid_request_error", "unsupported_value",
                         "tools", "\"tools\": the model's chat template has no way to call them");
        return;
    }
    request->tools = json_dumps(tools, JSON_COMPACT);
    if (request->tools == NULL)
        weir_problem_set(fields->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for the tools");
    else if (strlen(request->tools) > tools_max)
        weir_problem_set(fields->problem, 413, "invalid_request_error", "request_too_large",
                         "tools", "\"tools\": wanted at most %llu bytes, found %zu",
                         (unsigned long long)tools_max, strlen(request->tools));
}

void weir_tools_drop_others(const struct weir_serve *serve, json_t *root, const char *type)
{
    json_t *tools = json_object_get(root, "tools");
    if (!serve->config.ignore_tools)
        return;
    for (size_t index = json_array_size(tools); index > 0; index--) {
        const json_t *found = json_object_get(json_array_get(tools, index - 1), "type");
        if (json_is_string(found) && strcmp(json_string_value(found), type) != 0)
            json_array_remove(tools, index - 1);
    }
}

/* ---- what was said before ------------------------------------------------------------------ */

static void check_call(json_t *call, bool wants_text, struct weir_problem *problem)
{
    static const char *const names[] = {"id", "type", "function", "index", NULL};
    static const char *const function_names[] = {"name", "arguments", NULL};
    const struct weir_fields fields = {call, problem};
    if (!json_is_object(call)) {
        WEIR_PROBLEM(problem, "messages", "\"messages\": \"tool_calls\": wanted objects");
        return;
    }
    weir_fields_check(&fields, names);
    weir_field_only(&fields, "type", "\"function\"");
    const struct weir_fields function = {weir_field_object(&fields, "function"), problem};
    if (function.object == NULL) {
        WEIR_PROBLEM(problem, "messages", "\"messages\": a call has no \"function\"");
        return;
    }
    weir_fields_check(&function, function_names);
    const char *arguments = weir_field_text(&function, "arguments");
    if (weir_field_text(&function, "name") == NULL || arguments == NULL) {
        WEIR_PROBLEM(problem, "messages",
                     "\"messages\": a call wants a \"name\", and \"arguments\" as a string");
        return;
    }
    if (wants_text)
        return;
    json_t *object = json_loads(arguments[0] == '\0' ? "{}" : arguments, 0, NULL);
    if (json_is_object(object))
        json_object_set(function.object, "arguments", object);
    else
        WEIR_PROBLEM(problem, "messages",
                     "\"messages\": the \"arguments\" of a call are no JSON object");
    json_decref(object);
}

void weir_tools_check_calls(json_t *message, bool wants_text, struct weir_problem *problem)
{
    const struct weir_fields fields = {message, problem};
    json_t *calls = weir_field_array(&fields, "tool_calls");
    json_t *call = NULL;
    size_t index = 0;
    json_array_foreach(calls, index, call) check_call(call, wants_text, problem);
}

bool weir_tools_take_text(const weir_chat *chat)
{
    static const char text[] = "{\"needle\": 1}";
    static const char messages[] =
        "[{\"role\":\"user\",\"content\":\"1\"},{\"role\":\"assistant\",\"content\":\"\","
        "\"tool_calls\":[{\"id\":\"call00000\",\"type\":\"function\",\"function\":{\"name\":\"f\","
        "\"arguments\":\"{\\\"needle\\\": 1}\"}}]}]";
    const struct weir_chat_request request = {.messages = messages,
                                              .messages_length = sizeof(messages) - 1,
                                              .no_generation_prompt = true};
    char *rendered = NULL;
    size_t length = 0;
    const bool takes = weir_chat_render(chat, &request, &rendered, &length, NULL) == WEIR_OK &&
                       memmem(rendered, length, text, sizeof(text) - 1) != NULL;
    weir_chat_text_free(&rendered);
    return takes;
}

/* ---- the answer ---------------------------------------------------------------------------- */

static void begin_call(struct weir_choice_text *choice, const struct weir_reply_event *event)
{
    weir_writer_clear(&choice->call_id);
    weir_writer_clear(&choice->call_name);
    weir_writer_clear(&choice->arguments);
    weir_writer_text(&choice->call_id, event->id);
    weir_writer_put(&choice->call_name, event->bytes, event->length);
    choice->call_index = event->call;
}

void weir_tools_hear(struct weir_choice_text *choice, const struct weir_reply_event *event)
{
    const struct weir_dialect *dialect = choice->request->dialect;
    const bool is_stream = choice->request->is_stream;
    switch (event->kind) {
    case WEIR_REPLY_CALL:
        begin_call(choice, event);
        if (is_stream)
            dialect->begin_call(choice);
        break;
    case WEIR_REPLY_ARGUMENTS:
        if (is_stream)
            dialect->put_arguments(choice, event->bytes, event->length);
        else
            weir_writer_put(&choice->arguments, event->bytes, event->length);
        break;
    case WEIR_REPLY_CALL_END:
        if (is_stream)
            dialect->end_call(choice, true);
        else
            dialect->write_call(choice);
        break;
    case WEIR_REPLY_CALL_BROKEN:
        dialect->end_call(choice, false);
        break;
    case WEIR_REPLY_ANSWER:
    case WEIR_REPLY_REASONING:
    case WEIR_REPLY_NOTE:
        break;
    }
}
