/* responses_request.c - a request of OpenAI's Responses API becomes a chat of its older one:
 * instructions, items, tools.
 *
 * The chat is at most as many values as the request. Items of an assistant that follow each other
 * (reasoning, a message, calls) are one message of the chat. What is the same in both is looked at
 * where the chat is read. */
#include <string.h>

#include "serve/draft.h"
#include "serve/members.h"
#include "serve/responses.h"
#include "serve/server.h"

/* ---- content ------------------------------------------------------------------------------- */

/* A part of a content, which is a text of one of these types. */
static void put_part(struct weir_draft *draft, const char *const *types, json_t *value,
                     struct weir_writer *text)
{
    static const char *const names[] = {"type", "text", "annotations", "logprobs", NULL};
    const struct weir_fields part = {value, draft->problem};
    size_t at = 0;
    while (types[at] != NULL && !weir_draft_is_word(json_object_get(value, "type"), types[at]))
        at++;
    if (types[at] == NULL) {
        WEIR_PROBLEM(draft->problem, "input",
                     "\"input\": a part of a content: wanted \"type\": %s; this server takes no "
                     "pictures or files",
                     types[0]);
        return;
    }
    weir_fields_check(&part, names);
    weir_field_array(&part, "annotations");
    weir_field_array(&part, "logprobs");
    const char *words = weir_field_text(&part, "text");
    if (words == NULL)
        WEIR_PROBLEM(draft->problem, "input", "\"input\": a part has no \"text\"");
    else
        weir_writer_put(text, words, json_string_length(json_object_get(value, "text")));
}

/* A string, or an array of parts. */
static void put_content(struct weir_draft *draft, const char *const *types, json_t *value,
                        struct weir_writer *text)
{
    size_t index = 0;
    json_t *part = NULL;
    if (json_is_string(value)) {
        weir_writer_put(text, json_string_value(value), json_string_length(value));
        return;
    }
    if (!json_is_array(value))
        WEIR_PROBLEM(draft->problem, "input",
                     "\"input\": wanted contents that are a string or an array of parts");
    json_array_foreach(value, index, part) put_part(draft, types, part, text);
}

/* ---- items --------------------------------------------------------------------------------- */

/* Members that say what an item was when it was an answer. */
static void check_item(const struct weir_fields *item, const char *const *names)
{
    weir_fields_check(item, names);
    weir_field_text(item, "id");
    weir_field_only(item, "status", "\"completed\"|\"incomplete\"|\"in_progress\"");
}

/* The assistant's message that goes on: the last one, if it has none of these members yet. */
static json_t *go_on(struct weir_draft *draft, const char *const *members)
{
    const size_t count = json_array_size(draft->messages);
    json_t *last = json_array_get(draft->messages, count == 0 ? 0 : count - 1);
    bool is_open = weir_draft_is_word(json_object_get(last, "role"), "assistant");
    for (; is_open && *members != NULL; members++) {
        const json_t *found = json_object_get(last, *members);
        is_open = found == NULL || (json_is_string(found) && json_string_length(found) == 0);
    }
    struct weir_writer none = {0};
    return is_open ? last : weir_draft_message(draft, "assistant", &none);
}

static void add_message(struct weir_draft *draft, json_t *value)
{
    static const char *const names[] = {"type", "role", "content", "id", "status", "phase", NULL};
    static const char *const roles[] = {"user", "system", "developer", "assistant"};
    static const char *const said[] = {"input_text", "output_text", NULL};
    static const char *const members[] = {"content", "tool_calls", NULL};
    const struct weir_fields item = {value, draft->problem};
    struct weir_writer text = {0};
    size_t at = 0;
    check_item(&item, names);
    weir_field_text(&item, "phase");
    while (at < WEIR_COUNT(roles) && !weir_draft_is_word(weir_field(&item, "role"), roles[at]))
        at++;
    if (at == WEIR_COUNT(roles)) {
        WEIR_PROBLEM(draft->problem, "input",
                     "\"input\": \"role\": wanted user, assistant, system or developer");
        return;
    }
    put_content(draft, said, weir_field(&item, "content"), &text);
    if (strcmp(roles[at], "assistant") != 0) {
        weir_draft_message(draft, roles[at], &text);
    } else {
        json_t *message = go_on(draft, members);
        if (message != NULL)
            weir_draft_set(draft, message, "content", weir_draft_text(&text));
    }
    weir_writer_free(&text);
}

static void add_reasoning(struct weir_draft *draft, json_t *value)
{
    static const char *const names[] = {
        "type", "id", "summary", "content", "status", "encrypted_content", NULL};
    static const char *const types[] = {"reasoning_text", "text", NULL};
    static const char *const summary_types[] = {"summary_text", NULL};
    static const char *const members[] = {"reasoning_content", "content", "tool_calls", NULL};
    const struct weir_fields item = {value, draft->problem};
    struct weir_writer text = {0};
    check_item(&item, names);
    weir_field_only(&item, "encrypted_content", "null");
    json_t *content = weir_field_array(&item, "content");
    json_t *summary = weir_field_array(&item, "summary");
    if (json_array_size(content) > 0)
        put_content(draft, types, content, &text);
    else if (summary != NULL)
        put_content(draft, summary_types, summary, &text);
    json_t *message = text.length == 0 ? NULL : go_on(draft, members);
    if (message != NULL)
        weir_draft_set(draft, message, "reasoning_content", weir_draft_text(&text));
    weir_writer_free(&text);
}

static void add_call(struct weir_draft *draft, json_t *value)
{
    static const char *const names[] = {"type",      "id",     "call_id", "name",
                                        "arguments", "status", NULL};
    static const char *const members[] = {NULL};
    const struct weir_fields item = {value, draft->problem};
    check_item(&item, names);
    const char *arguments = weir_field_text(&item, "arguments");
    if (weir_field_text(&item, "call_id") == NULL || weir_field_text(&item, "name") == NULL ||
        arguments == NULL) {
        WEIR_PROBLEM(draft->problem, "input",
                     "\"input\": a function_call wants \"call_id\", \"name\" and \"arguments\"");
        return;
    }
    json_t *message = go_on(draft, members);
    json_t *calls = message == NULL ? NULL : json_object_get(message, "tool_calls");
    if (message != NULL && calls == NULL) {
        weir_draft_set(draft, message, "tool_calls", json_array());
        calls = json_object_get(message, "tool_calls");
    }
    if (calls != NULL)
        weir_draft_call(draft, calls, weir_field(&item, "call_id"), weir_field(&item, "name"),
                        arguments);
}

static void add_output(struct weir_draft *draft, json_t *value)
{
    static const char *const names[] = {"type", "id", "call_id", "output", "status", NULL};
    static const char *const types[] = {"input_text", "output_text", NULL};
    const struct weir_fields item = {value, draft->problem};
    struct weir_writer text = {0};
    check_item(&item, names);
    if (weir_field_text(&item, "call_id") == NULL)
        WEIR_PROBLEM(draft->problem, "input",
                     "\"input\": a function_call_output has no \"call_id\"");
    put_content(draft, types, weir_field(&item, "output"), &text);
    json_t *message = weir_draft_message(draft, "tool", &text);
    if (message != NULL)
        weir_draft_share(draft, message, "tool_call_id", weir_field(&item, "call_id"));
    weir_writer_free(&text);
}

static void add_item(struct weir_draft *draft, json_t *value)
{
    static const struct {
        const char *type;
        void (*add)(struct weir_draft *draft, json_t *value);
    } rows[] = {{"message", add_message},
                {"reasoning", add_reasoning},
                {"function_call", add_call},
                {"function_call_output", add_output}};
    const json_t *type = json_object_get(value, "type");
    size_t row = 0;
    if (!json_is_null(type) && type != NULL)
        while (row < WEIR_COUNT(rows) && !weir_draft_is_word(type, rows[row].type))
            row++;
    if (!json_is_object(value) || row == WEIR_COUNT(rows))
        WEIR_PROBLEM(draft->problem, "input",
                     "\"input\": wanted items with \"type\": message, reasoning, function_call or "
                     "function_call_output");
    else
        rows[row].add(draft, value);
}

static void add_messages(struct weir_draft *draft, const struct weir_fields *fields,
                         const json_t *items)
{
    static const char *const said[] = {"input_text", NULL};
    json_t *instructions = weir_field(fields, "instructions");
    struct weir_writer text = {0};
    size_t index = 0;
    json_t *item = NULL;
    weir_field_text(fields, "instructions");
    if (json_is_string(instructions) && json_string_length(instructions) > 0) {
        put_content(draft, said, instructions, &text);
        weir_draft_message(draft, "system", &text);
    }
    json_array_foreach(items, index, item) add_item(draft, item);
    weir_writer_free(&text);
}

/* ---- tools --------------------------------------------------------------------------------- */

static void add_tools(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    static const char *const names[] = {"type",       "name",   "description",
                                        "parameters", "strict", NULL};
    json_t *given = weir_field_array(fields, "tools");
    json_t *tools = json_array();
    size_t index = 0;
    json_t *value = NULL;
    json_array_foreach(given, index, value)
    {
        const struct weir_fields tool = {value, draft->problem};
        if (!weir_draft_is_word(json_object_get(value, "type"), "function")) {
            WEIR_PROBLEM(draft->problem, "tools",
                         "\"tools\": wanted objects with \"type\": \"function\": this server has "
                         "no tools of its own (started with --ignore-tools it leaves others out)");
            break;
        }
        weir_fields_check(&tool, names);
        weir_draft_tool(draft, tools, value, "parameters");
    }
    weir_draft_set(draft, chat, "tools", tools);
    weir_draft_share(draft, chat, "parallel_tool_calls", weir_field(fields, "parallel_tool_calls"));
}

static void add_choice(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    static const char *const names[] = {"type", "name", NULL};
    json_t *given = weir_field(fields, "tool_choice");
    const struct weir_fields choice = {given, draft->problem};
    if (!json_is_object(given)) {
        weir_draft_share(draft, chat, "tool_choice", given);
        return;
    }
    weir_fields_check(&choice, names);
    weir_field_only(&choice, "type", "\"function\"");
    if (weir_field_text(&choice, "name") == NULL)
        WEIR_PROBLEM(draft->problem, "tool_choice", "\"tool_choice\": a function has no \"name\"");
    else
        weir_draft_choice(draft, chat, weir_field(&choice, "name"));
}

/* ---- how the answer is to be --------------------------------------------------------------- */

static void add_format(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    static const char *const names[] = {"format", "verbosity", NULL};
    static const char *const format_names[] = {"type",   "name",   "description",
                                               "schema", "strict", NULL};
    const struct weir_fields text = {weir_field_object(fields, "text"), draft->problem};
    if (text.object == NULL)
        return;
    weir_fields_check(&text, names);
    weir_field_only(&text, "verbosity", "\"medium\"");
    const struct weir_fields format = {weir_field_object(&text, "format"), draft->problem};
    if (format.object == NULL)
        return;
    weir_fields_check(&format, format_names);
    weir_field_text(&format, "name");
    weir_field_text(&format, "description");
    weir_field_flag(&format, "strict", true);
    json_t *outer = json_object();
    weir_draft_share(draft, outer, "type", weir_field(&format, "type"));
    if (weir_field(&format, "schema") != NULL) {
        json_t *inner = json_object();
        weir_draft_share(draft, inner, "schema", weir_field(&format, "schema"));
        weir_draft_set(draft, outer, "json_schema", inner);
    }
    weir_draft_set(draft, chat, "text.format", outer);
}

static void add_reasoning_wish(struct weir_draft *draft, json_t *chat,
                               const struct weir_fields *fields)
{
    static const char *const names[] = {"effort", "summary", "max_tokens", NULL};
    const struct weir_fields wish = {weir_field_object(fields, "reasoning"), draft->problem};
    if (wish.object == NULL)
        return;
    weir_fields_check(&wish, names);
    weir_field_only(&wish, "summary", "\"auto\""); /* none is made, which is as many as there are */
    weir_draft_share(draft, chat, "reasoning.effort", weir_field(&wish, "effort"));
    weir_draft_share(draft, chat, "reasoning.max_tokens", weir_field(&wish, "max_tokens"));
}

/* Nothing runs when nobody waits for it, nothing is left out of a prompt. */
static void check_running(const struct weir_fields *fields)
{
    static const char *const stream_names[] = {"include_obfuscation", NULL};
    const struct weir_fields more = {weir_field_object(fields, "stream_options"), fields->problem};
    weir_field_flag(fields, "store", true);
    weir_field_only(fields, "background", "false");
    weir_field_only(fields, "truncation", "\"disabled\"");
    weir_field_text(fields, "prompt_cache_key"); /* all of a prompt is kept, whatever its name */
    weir_field_text(fields, "safety_identifier");
    if (more.object == NULL)
        return;
    weir_fields_check(&more, stream_names);
    weir_field_only(&more, "include_obfuscation", "false");
}

/* What the answer is to have beside its text. Reasoning is not encrypted: what there is of it is in
 * its item. */
static void add_logprobs(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    json_t *include = weir_field_array(fields, "include");
    json_t *top = weir_field(fields, "top_logprobs");
    bool is_wanted = json_is_integer(top) && json_integer_value(top) > 0;
    size_t index = 0;
    json_t *value = NULL;
    json_array_foreach(include, index, value)
    {
        const bool is_logprobs = weir_draft_is_word(value, "message.output_text.logprobs");
        is_wanted = is_wanted || is_logprobs;
        if (!is_logprobs && !weir_draft_is_word(value, "reasoning.encrypted_content"))
            WEIR_PROBLEM(fields->problem, "include",
                         "\"include\": this server has \"message.output_text.logprobs\" and "
                         "\"reasoning.encrypted_content\", which is null");
    }
    weir_draft_set(draft, chat, "logprobs", json_boolean(is_wanted));
    weir_draft_share(draft, chat, "top_logprobs", top);
}

/* Members that mean the same in both. */
static void add_same(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    static const char *const names[] = {"model", "stream", "chat_template_kwargs"};
    const uint32_t limit = weir_serve_limits_of(draft->serve)->token_max;
    for (size_t index = 0; index < WEIR_COUNT(names); index++)
        weir_draft_share(draft, chat, names[index], weir_field(fields, names[index]));
    for (const struct weir_member *member = weir_sampling_members; member->name != NULL; member++)
        weir_draft_share(draft, chat, member->name, weir_field(fields, member->name));
    weir_field_count(fields, "max_output_tokens", 1, limit > 0 ? limit : INT32_MAX, 0);
    weir_draft_share(draft, chat, "max_completion_tokens", weir_field(fields, "max_output_tokens"));
}

json_t *weir_responses_chat(struct weir_exchange *exchange, json_t *root, const json_t *items)
{
    const struct weir_fields fields = {root, &exchange->problem};
    struct weir_draft draft = {
        .serve = exchange->serve, .problem = &exchange->problem, .messages = json_array()};
    json_t *chat = json_object();
    weir_fields_check_members(&fields, weir_responses_members, weir_sampling_members);
    check_running(&fields);
    add_same(&draft, chat, &fields);
    add_messages(&draft, &fields, items);
    weir_draft_set(&draft, chat, "messages", draft.messages);
    add_tools(&draft, chat, &fields);
    add_choice(&draft, chat, &fields);
    add_format(&draft, chat, &fields);
    add_reasoning_wish(&draft, chat, &fields);
    add_logprobs(&draft, chat, &fields);
    if (exchange->problem.status == 0)
        return chat;
    json_decref(chat);
    return NULL;
}

/* ---- what the answer has again ------------------------------------------------------------- */

/* The value of a member, or what is meant where there is none. */
static void echo_value(struct weir_writer *echo, const json_t *value, const char *usual)
{
    if (value == NULL || json_is_null(value))
        weir_writer_text(echo, usual);
    else
        weir_fields_write(value, echo);
}

void weir_responses_echo(struct weir_request *request, json_t *root)
{
    static const struct {
        const char *outer; /* the object that has it; NULL: the request */
        const char *name, *before, *usual;
    } rows[] = {
        {NULL, "instructions", ",\"instructions\":", "null"},
        {NULL, "tools", ",\"tools\":", "[]"},
        {NULL, "tool_choice", ",\"tool_choice\":", "\"auto\""},
        {"text", "format", ",\"text\":{\"format\":", "{\"type\":\"text\"}"},
        {"reasoning", "effort", ",\"verbosity\":\"medium\"},\"reasoning\":{\"effort\":", "null"},
        {"reasoning", "summary", ",\"summary\":", "null"},
        {"reasoning", "max_tokens", ",\"max_tokens\":", "null"},
        {NULL, "metadata", "},\"metadata\":", "{}"},
        {NULL, "top_logprobs", ",\"top_logprobs\":", "0"},
        {NULL, "presence_penalty", ",\"presence_penalty\":", "0"},
        {NULL, "frequency_penalty", ",\"frequency_penalty\":", "0"},
        {NULL, "user", ",\"user\":", "null"},
        {NULL, "previous_response_id", ",\"previous_response_id\":", "null"},
        {NULL, "prompt_cache_key", ",\"prompt_cache_key\":", "null"},
        {NULL, "safety_identifier", ",\"safety_identifier\":", "null"},
    };
    struct weir_exchange *exchange = request->exchange;
    struct weir_writer *echo = &request->echo;
    const uint64_t most = weir_serve_echo_bytes(weir_serve_limits_of(exchange->serve));
    for (size_t row = 0; row < WEIR_COUNT(rows); row++) {
        const json_t *object =
            rows[row].outer == NULL ? root : json_object_get(root, rows[row].outer);
        weir_writer_text(echo, rows[row].before);
        echo_value(echo, json_object_get(object, rows[row].name), rows[row].usual);
    }
    weir_writer_text(echo, ",\"max_tool_calls\":null,\"service_tier\":\"default\"");
    if (echo->failed)
        weir_problem_set(&exchange->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for what the answer has again");
    else if (echo->length > most)
        weir_problem_set(&exchange->problem, 413, "invalid_request_error", "request_too_large",
                         NULL,
                         "wanted instructions, tools, format and metadata, which the answer has "
                         "again, of at most %llu bytes, found %zu",
                         (unsigned long long)most, echo->length);
}
