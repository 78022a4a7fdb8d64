/* anthropic_request.c - a request of Anthropic's API becomes a chat of OpenAI's: system, blocks,
 * tools.
 *
 * The chat is at most as many values as the request. What is the same in both is looked at where
 * the chat is read. */
#include <string.h>

#include "base/heap.h"
#include "serve/anthropic.h"
#include "serve/draft.h"
#include "serve/members.h"
#include "serve/tools.h"

/* ---- blocks -------------------------------------------------------------------------------- */

/* Names a block has beside type; where a prefix may be kept changes nothing here: all are. */
static void check_block(const struct weir_fields *block, const char *const *names)
{
    weir_fields_check(block, names);
    weir_field_object(block, "cache_control");
}

static void put_text_block(struct weir_draft *draft, json_t *value, struct weir_writer *text)
{
    static const char *const names[] = {"type", "text", "cache_control", NULL};
    const struct weir_fields block = {value, draft->problem};
    check_block(&block, names);
    const char *words = weir_field_text(&block, "text");
    if (words == NULL)
        WEIR_PROBLEM(draft->problem, "messages", "a block of type \"text\" has no \"text\"");
    else
        weir_writer_put(text, words, json_string_length(json_object_get(value, "text")));
}

/* A string, or blocks of text. */
static void put_texts(struct weir_draft *draft, const char *field, json_t *value,
                      struct weir_writer *text)
{
    size_t index = 0;
    json_t *block = NULL;
    if (json_is_string(value)) {
        weir_writer_put(text, json_string_value(value), json_string_length(value));
        return;
    }
    if (value != NULL && !json_is_array(value))
        WEIR_PROBLEM(draft->problem, field, "\"%s\": wanted a string or an array of blocks", field);
    json_array_foreach(value, index, block)
    {
        if (weir_draft_is_word(json_object_get(block, "type"), "text"))
            put_text_block(draft, block, text);
        else
            WEIR_PROBLEM(draft->problem, field,
                         "\"%s\": wanted blocks with \"type\": \"text\"; this server takes no "
                         "pictures or files",
                         field);
    }
}

/* ---- messages ------------------------------------------------------------------------------ */

/* Templates have no word for a tool that failed, so the text says it. */
static void add_result(struct weir_draft *draft, json_t *value)
{
    static const char *const names[] = {"type",     "tool_use_id",   "content",
                                        "is_error", "cache_control", NULL};
    const struct weir_fields block = {value, draft->problem};
    struct weir_writer text = {0};
    check_block(&block, names);
    if (weir_field_text(&block, "tool_use_id") == NULL)
        WEIR_PROBLEM(draft->problem, "messages",
                     "a block of type \"tool_result\" has no \"tool_use_id\"");
    if (weir_field_flag(&block, "is_error", false))
        weir_writer_text(&text, "Error: ");
    put_texts(draft, "content", weir_field(&block, "content"), &text);
    json_t *message = weir_draft_message(draft, "tool", &text);
    if (message != NULL)
        weir_draft_share(draft, message, "tool_call_id", weir_field(&block, "tool_use_id"));
    weir_writer_free(&text);
}

/* Texts and results stay in their order. */
static void add_user(struct weir_draft *draft, json_t *blocks)
{
    struct weir_writer text = {0};
    size_t index = 0;
    json_t *block = NULL;
    bool has_text = false;
    json_array_foreach(blocks, index, block)
    {
        const json_t *type = json_object_get(block, "type");
        if (weir_draft_is_word(type, "text")) {
            put_text_block(draft, block, &text);
            has_text = true;
            continue;
        }
        if (has_text)
            weir_draft_message(draft, "user", &text);
        has_text = false;
        if (weir_draft_is_word(type, "tool_result"))
            add_result(draft, block);
        else
            WEIR_PROBLEM(draft->problem, "messages",
                         "\"messages\": a user's block: wanted \"type\": text or tool_result; this "
                         "server takes no pictures or files");
    }
    if (has_text)
        weir_draft_message(draft, "user", &text);
    weir_writer_free(&text);
}

static void add_call(struct weir_draft *draft, json_t *calls, json_t *value)
{
    static const char *const names[] = {"type", "id", "name", "input", "cache_control", NULL};
    const struct weir_fields block = {value, draft->problem};
    check_block(&block, names);
    json_t *input = weir_field_object(&block, "input");
    if (weir_field_text(&block, "id") == NULL || weir_field_text(&block, "name") == NULL ||
        input == NULL) {
        WEIR_PROBLEM(draft->problem, "messages",
                     "a block of type \"tool_use\" wants \"id\", \"name\" and \"input\"");
        return;
    }
    char *arguments = json_dumps(input, 0);
    weir_draft_call(draft, calls, weir_field(&block, "id"), weir_field(&block, "name"), arguments);
    weir_heap_free(arguments);
}

static void put_thinking(struct weir_draft *draft, json_t *value, struct weir_writer *reasoning)
{
    static const char *const names[] = {"type", "thinking", "signature", NULL};
    const struct weir_fields block = {value, draft->problem};
    weir_fields_check(&block, names);
    weir_field_text(&block, "signature");
    const char *words = weir_field_text(&block, "thinking");
    if (words == NULL)
        WEIR_PROBLEM(draft->problem, "messages",
                     "a block of type \"thinking\" has no \"thinking\"");
    else
        weir_writer_put(reasoning, words, json_string_length(json_object_get(value, "thinking")));
}

static void add_assistant(struct weir_draft *draft, json_t *blocks)
{
    struct weir_writer text = {0}, reasoning = {0};
    json_t *calls = json_array();
    size_t index = 0;
    json_t *block = NULL;
    json_array_foreach(blocks, index, block)
    {
        const json_t *type = json_object_get(block, "type");
        if (weir_draft_is_word(type, "text"))
            put_text_block(draft, block, &text);
        else if (weir_draft_is_word(type, "thinking"))
            put_thinking(draft, block, &reasoning);
        else if (weir_draft_is_word(type, "tool_use"))
            add_call(draft, calls, block);
        else
            WEIR_PROBLEM(draft->problem, "messages",
                         "\"messages\": an assistant's block: wanted \"type\": text, thinking or "
                         "tool_use");
    }
    json_t *message = weir_draft_message(draft, "assistant", &text);
    if (message != NULL && reasoning.length > 0)
        weir_draft_set(draft, message, "reasoning_content", weir_draft_text(&reasoning));
    if (message != NULL && json_array_size(calls) > 0)
        weir_draft_share(draft, message, "tool_calls", calls);
    json_decref(calls);
    weir_writer_free(&text);
    weir_writer_free(&reasoning);
}

static void add_turn(struct weir_draft *draft, json_t *value)
{
    static const char *const names[] = {"role", "content", NULL};
    const struct weir_fields turn = {value, draft->problem};
    struct weir_writer text = {0};
    if (!json_is_object(value)) {
        WEIR_PROBLEM(draft->problem, "messages",
                     "\"messages\": wanted objects with role and content");
        return;
    }
    weir_fields_check(&turn, names);
    json_t *content = weir_field(&turn, "content");
    const json_t *role = weir_field(&turn, "role");
    const bool is_user = weir_draft_is_word(role, "user");
    if (!is_user && !weir_draft_is_word(role, "assistant")) {
        WEIR_PROBLEM(draft->problem, "messages",
                     "\"messages\": \"role\": wanted user or assistant");
    } else if (!json_is_string(content) && !json_is_array(content)) {
        WEIR_PROBLEM(draft->problem, "messages",
                     "\"messages\": \"content\": wanted a string or an array of blocks");
    } else if (json_is_string(content)) {
        put_texts(draft, "content", content, &text);
        weir_draft_message(draft, is_user ? "user" : "assistant", &text);
    } else if (is_user) {
        add_user(draft, content);
    } else {
        add_assistant(draft, content);
    }
    weir_writer_free(&text);
}

static void add_messages(struct weir_draft *draft, const struct weir_fields *fields)
{
    json_t *system = weir_field(fields, "system");
    json_t *turns = weir_field_array(fields, "messages");
    struct weir_writer text = {0};
    size_t index = 0;
    json_t *turn = NULL;
    put_texts(draft, "system", system, &text);
    if (text.length > 0)
        weir_draft_message(draft, "system", &text);
    weir_writer_free(&text);
    if (json_array_size(turns) == 0)
        WEIR_PROBLEM(draft->problem, "messages", "\"messages\": wanted at least one message");
    json_array_foreach(turns, index, turn) add_turn(draft, turn);
    if (weir_draft_is_word(
            json_object_get(json_array_get(turns, json_array_size(turns) - 1), "role"),
            "assistant"))
        WEIR_PROBLEM(draft->problem, "messages",
                     "\"messages\": wanted a user's message at the end: this server does not go on "
                     "with what the assistant has begun");
}

/* ---- tools --------------------------------------------------------------------------------- */

static void add_tool(struct weir_draft *draft, json_t *tools, json_t *value)
{
    static const char *const names[] = {"type",   "name",          "description", "input_schema",
                                        "strict", "cache_control", NULL};
    const struct weir_fields tool = {value, draft->problem};
    if (!json_is_object(value)) {
        WEIR_PROBLEM(draft->problem, "tools",
                     "\"tools\": wanted objects with name and input_schema");
        return;
    }
    weir_field_only(&tool, "type", "\"custom\""); /* tools of a server have other members */
    check_block(&tool, names);
    if (weir_field_object(&tool, "input_schema") == NULL)
        WEIR_PROBLEM(draft->problem, "tools", "\"tools\": a tool has no \"input_schema\"");
    weir_draft_tool(draft, tools, value, "input_schema");
}

static void add_choice(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    static const char *const names[] = {"type", "name", "disable_parallel_tool_use", NULL};
    static const char *const words[][2] = {
        {"auto", "auto"}, {"any", "required"}, {"none", "none"}, {"tool", NULL}};
    const struct weir_fields choice = {weir_field_object(fields, "tool_choice"), draft->problem};
    if (choice.object == NULL)
        return;
    weir_fields_check(&choice, names);
    const json_t *type = weir_field(&choice, "type");
    json_t *name = weir_field(&choice, "name");
    size_t row = 0;
    while (row < WEIR_COUNT(words) && !weir_draft_is_word(type, words[row][0]))
        row++;
    if (row == WEIR_COUNT(words) || (words[row][1] == NULL) != (name != NULL)) {
        WEIR_PROBLEM(draft->problem, "tool_choice",
                     "\"tool_choice\": wanted \"type\" auto, any or none, or tool with a \"name\"");
        return;
    }
    if (weir_field_flag(&choice, "disable_parallel_tool_use", false))
        weir_draft_set(draft, chat, "parallel_tool_calls", json_false());
    if (words[row][1] != NULL) {
        weir_draft_set(draft, chat, "tool_choice", json_string(words[row][1]));
        return;
    }
    weir_draft_choice(draft, chat, name);
}

static void add_tools(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    json_t *given = weir_field_array(fields, "tools");
    json_t *tools = json_array();
    size_t index = 0;
    json_t *tool = NULL;
    json_array_foreach(given, index, tool) add_tool(draft, tools, tool);
    weir_draft_set(draft, chat, "tools", tools);
    add_choice(draft, chat, fields);
}

/* ---- thinking and format ------------------------------------------------------------------- */

/* The template's own words. One that knows of no thinking has none to turn off. */
static void add_switch(struct weir_draft *draft, json_t *chat, bool is_off)
{
    const weir_chat *template = draft->serve->config.chat;
    if (weir_chat_mentions(template, "enable_thinking")) {
        json_t *variables = json_object();
        weir_draft_set(draft, variables, "enable_thinking", json_boolean(!is_off));
        weir_draft_set(draft, chat, "chat_template_kwargs", variables);
    } else if (is_off &&
               (weir_chat_mentions(template, "think") || weir_chat_mentions(template, "reason"))) {
        WEIR_PROBLEM(draft->problem, "thinking",
                     "\"thinking\": the model's chat template has no way to turn it off");
    }
}

static void add_thinking(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    static const char *const names[] = {"type", "budget_tokens", NULL};
    const struct weir_fields thinking = {weir_field_object(fields, "thinking"), draft->problem};
    if (thinking.object == NULL)
        return;
    const json_t *type = weir_field(&thinking, "type");
    const bool has_budget = weir_draft_is_word(type, "enabled");
    const bool is_off = weir_draft_is_word(type, "disabled");
    if (!is_off && !has_budget && !weir_draft_is_word(type, "adaptive")) {
        WEIR_PROBLEM(draft->problem, "thinking",
                     "\"thinking\": wanted \"type\" adaptive, enabled or disabled");
        return;
    }
    weir_fields_check(&thinking, names);
    json_t *budget = weir_field(&thinking, "budget_tokens");
    if (has_budget != (budget != NULL))
        WEIR_PROBLEM(draft->problem, "thinking",
                     "\"thinking\": wanted \"budget_tokens\" with \"type\" enabled, and only "
                     "there");
    weir_draft_share(draft, chat, "thinking.budget_tokens", budget);
    add_switch(draft, chat, is_off);
}

static void add_output(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    static const char *const names[] = {"effort", "format", NULL};
    static const char *const format_names[] = {"type", "schema", NULL};
    const struct weir_fields output = {weir_field_object(fields, "output_config"), draft->problem};
    const json_t *thinking = json_object_get(json_object_get(fields->object, "thinking"), "type");
    if (output.object == NULL)
        return;
    weir_fields_check(&output, names);
    if (weir_field_text(&output, "effort") != NULL && weir_draft_is_word(thinking, "disabled"))
        WEIR_PROBLEM(draft->problem, "output_config",
                     "\"output_config\": wanted \"effort\", or \"thinking\" disabled, found both");
    weir_draft_share(draft, chat, "output_config.effort", weir_field(&output, "effort"));
    const struct weir_fields format = {weir_field_object(&output, "format"), draft->problem};
    if (format.object == NULL)
        return;
    weir_fields_check(&format, format_names);
    weir_field_only(&format, "type", "\"json_schema\"");
    json_t *inner = json_object();
    json_t *outer = json_object();
    weir_draft_share(draft, inner, "schema", weir_field(&format, "schema"));
    weir_draft_set(draft, outer, "type", json_string("json_schema"));
    weir_draft_set(draft, outer, "json_schema", inner);
    weir_draft_set(draft, chat, "output_config.format", outer);
}

/* ---- the request --------------------------------------------------------------------------- */

/* Members that mean the same in both. */
static void add_same(struct weir_draft *draft, json_t *chat, const struct weir_fields *fields)
{
    static const char *const names[] = {"max_tokens",  "stream", "stop_sequences",
                                        "temperature", "top_p",  "top_k"};
    static const char *const user_names[] = {"user_id", NULL};
    const struct weir_fields metadata = {weir_field_object(fields, "metadata"), draft->problem};
    for (size_t index = 0; index < WEIR_COUNT(names); index++)
        weir_draft_share(draft, chat, names[index], weir_field(fields, names[index]));
    if (weir_field(fields, "max_tokens") == NULL)
        WEIR_PROBLEM(draft->problem, "max_tokens", "\"max_tokens\": wanted a number, found none");
    weir_field_array(fields, "stop_sequences");
    weir_field_only(fields, "service_tier", "\"auto\"|\"standard_only\"");
    if (metadata.object != NULL) {
        weir_fields_check(&metadata, user_names);
        weir_field_text(&metadata, "user_id"); /* whose it is changes nothing of an answer */
    }
}

json_t *weir_anthropic_chat(struct weir_exchange *exchange, json_t *root, bool only_count)
{
    const struct weir_fields fields = {root, &exchange->problem};
    struct weir_draft draft = {
        .serve = exchange->serve, .problem = &exchange->problem, .messages = json_array()};
    json_t *chat = json_object();
    weir_tools_drop_others(exchange->serve, root, "custom");
    weir_fields_check_members(&fields, weir_count_members,
                              only_count ? NULL : weir_message_members);
    weir_field_object(&fields, "cache_control");
    weir_draft_share(&draft, chat, "model", weir_field(&fields, "model"));
    if (!only_count)
        add_same(&draft, chat, &fields);
    add_messages(&draft, &fields);
    weir_draft_set(&draft, chat, "messages", draft.messages);
    add_tools(&draft, chat, &fields);
    add_thinking(&draft, chat, &fields);
    add_output(&draft, chat, &fields);
    if (exchange->problem.status == 0)
        return chat;
    json_decref(chat);
    return NULL;
}
