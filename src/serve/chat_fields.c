/* chat_fields.c - what a chat asks for: a prompt of its messages, and how it is to be answered. */
#include "serve/chat_fields.h"

#include <stdio.h>
#include <string.h>

#include "base/heap.h"
#include "serve/server.h"
#include "serve/tools.h"

/* ---- messages ------------------------------------------------------------------------------ */

/* Parts that are text become one text: templates know little else. */
static void join_parts(json_t *message, json_t *parts, struct weir_problem *problem)
{
    static const char *const names[] = {"type", "text", NULL};
    struct weir_writer text = {0};
    size_t index = 0;
    json_t *part = NULL;
    json_array_foreach(parts, index, part)
    {
        const struct weir_fields fields = {part, problem};
        const char *type = json_string_value(json_object_get(part, "type"));
        if (type == NULL || (strcmp(type, "text") != 0 && strcmp(type, "input_text") != 0)) {
            WEIR_PROBLEM(problem, "messages",
                         "\"messages\": a part of a content: wanted \"type\": \"text\"; this "
                         "server takes no pictures, sounds or files");
            break;
        }
        weir_fields_check(&fields, names);
        const char *words = weir_field_text(&fields, "text");
        if (words == NULL)
            WEIR_PROBLEM(problem, "messages", "\"messages\": a part has no \"text\"");
        else
            weir_writer_put(&text, words, json_string_length(json_object_get(part, "text")));
    }
    json_object_set_new(message, "content",
                        json_stringn(text.bytes == NULL ? "" : text.bytes, text.length));
    weir_writer_free(&text);
}

static void check_message(json_t *message, bool wants_text, struct weir_problem *problem)
{
    static const char *const names[] = {
        "role",         "content",           "name",      "tool_calls",
        "tool_call_id", "reasoning_content", "reasoning", NULL};
    static const char *const roles[] = {"system", "developer", "user", "assistant", "tool"};
    const struct weir_fields fields = {message, problem};
    if (!json_is_object(message)) {
        WEIR_PROBLEM(problem, "messages", "\"messages\": wanted objects with role and content");
        return;
    }
    weir_fields_check(&fields, names);
    const char *role = weir_field_text(&fields, "role");
    size_t at = 0;
    while (role != NULL && at < WEIR_COUNT(roles) && strcmp(roles[at], role) != 0)
        at++;
    if (role == NULL || at == WEIR_COUNT(roles))
        WEIR_PROBLEM(problem, "messages",
                     "\"messages\": \"role\": wanted system, developer, user, assistant or tool");
    json_t *content = weir_field(&fields, "content");
    if (json_is_array(content))
        join_parts(message, content, problem);
    else if (content != NULL && !json_is_string(content))
        WEIR_PROBLEM(problem, "messages",
                     "\"messages\": \"content\": wanted a string or an array of parts");
    else if (content == NULL && json_object_get(message, "tool_calls") == NULL)
        WEIR_PROBLEM(problem, "messages", "\"messages\": a message has no \"content\"");
    weir_tools_check_calls(message, wants_text, problem);
}

static void read_messages(const struct weir_serve *serve, const struct weir_fields *fields)
{
    json_t *messages = weir_field_array(fields, "messages");
    json_t *message = NULL;
    size_t index = 0;
    if (json_array_size(messages) == 0)
        WEIR_PROBLEM(fields->problem, "messages", "\"messages\": wanted at least one message");
    json_array_foreach(messages, index, message)
        check_message(message, serve->takes_text, fields->problem);
}

/* ---- what else is asked -------------------------------------------------------------------- */

/* The answer's schema, kept until the prompt is known. */
static void keep_schema(struct weir_request *request, const struct weir_fields *fields,
                        const json_t *schema)
{
    const char *name = request->dialect->format_name;
    const uint64_t most = weir_serve_tools_bytes(weir_serve_limits_of(request->exchange->serve));
    request->schema = json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
    if (request->schema == NULL)
        weir_problem_set(fields->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for a schema");
    else if (strlen(request->schema) > most)
        weir_problem_set(fields->problem, 413, "invalid_request_error", "request_too_large", name,
                         "\"%s\": wanted a schema of at most %llu bytes, found %zu", name,
                         (unsigned long long)most, strlen(request->schema));
}

static void read_format(struct weir_request *request, const struct weir_fields *fields)
{
    static const char *const names[] = {"type", "json_schema", NULL};
    static const char *const schema_names[] = {"name", "description", "schema", "strict", NULL};
    const char *name = request->dialect->format_name;
    const struct weir_fields format = {weir_field_object(fields, name), fields->problem};
    if (format.object == NULL)
        return;
    weir_fields_check(&format, names);
    const char *type = weir_field_text(&format, "type");
    const struct weir_fields outer = {weir_field_object(&format, "json_schema"), fields->problem};
    if (type == NULL || (strcmp(type, "text") != 0 && strcmp(type, "json_object") != 0 &&
                         strcmp(type, "json_schema") != 0)) {
        WEIR_PROBLEM(fields->problem, name,
                     "\"%s\": \"type\": wanted text, json_object or json_schema", name);
    } else if (strcmp(type, "json_object") == 0) {
        json_t *any_object = json_pack("{ss}", "type", "object");
        keep_schema(request, fields, any_object);
        json_decref(any_object);
    } else if (strcmp(type, "json_schema") == 0) {
        json_t *schema = outer.object == NULL ? NULL : json_object_get(outer.object, "schema");
        if (outer.object != NULL)
            weir_fields_check(&outer, schema_names);
        if (schema == NULL)
            WEIR_PROBLEM(fields->problem, name, "\"%s\": wanted \"json_schema\" with a \"schema\"",
                         name);
        else
            keep_schema(request, fields, schema);
    }
}

static void read_logprobs(struct weir_request *request, const struct weir_fields *fields)
{
    request->wants_logprobs = weir_field_flag(fields, "logprobs", false);
    request->top_logprobs =
        (uint32_t)weir_field_count(fields, "top_logprobs", 0, WEIR_TOP_LOGPROBS_MAX, 0);
    request->top_logprobs =
        (uint32_t)weir_min(request->top_logprobs, weir_request_n_vocab(request));
    if (request->top_logprobs > 0 && !request->wants_logprobs)
        WEIR_PROBLEM(fields->problem, "top_logprobs",
                     "\"top_logprobs\": wanted \"logprobs\": true with it");
}

/* How much a model may be asked to think; and the word for templates that do not have this one. */
static const struct {
    const char *word, *near;
} efforts[] = {{"none", NULL}, {"minimal", "low"}, {"low", NULL},  {"medium", NULL},
               {"high", NULL}, {"xhigh", "high"},  {"max", "high"}};

/* As a template that has reasoning_effort takes it. */
static const char *find_effort(const weir_chat *chat, size_t row)
{
    char quoted[2][16];
    snprintf(quoted[0], sizeof(quoted[0]), "'%s'", efforts[row].word);
    snprintf(quoted[1], sizeof(quoted[1]), "\"%s\"", efforts[row].word);
    const bool is_known = efforts[row].near == NULL || weir_chat_mentions(chat, quoted[0]) ||
                          weir_chat_mentions(chat, quoted[1]);
    return is_known ? efforts[row].word : efforts[row].near;
}

static bool can_ask(const weir_chat *chat)
{
    return weir_chat_mentions(chat, "reasoning_effort") ||
           weir_chat_mentions(chat, "enable_thinking");
}

void weir_chat_write_efforts(const weir_chat *chat, struct weir_writer *writer)
{
    const char *between = "";
    const bool has_words = weir_chat_mentions(chat, "reasoning_effort");
    weir_writer_text(writer, "[");
    for (size_t row = 0; can_ask(chat) && row < WEIR_COUNT(efforts); row++) {
        const char *word = efforts[row].word;
        const bool is_switch = strcmp(word, "none") == 0 || strcmp(word, "high") == 0;
        if (has_words ? strcmp(find_effort(chat, row), word) != 0 : !is_switch)
            continue;
        weir_writer_format(writer, "%s\"%s\"", between, word);
        between = ",";
    }
    weir_writer_text(writer, "]");
}

/* The server's own, unless the request has words for its template. NULL: there is none. */
static const char *find_usual_effort(const struct weir_request *request, const json_t *variables)
{
    const struct weir_serve *serve = request->exchange->serve;
    const bool is_said = json_object_get(variables, "reasoning_effort") != NULL ||
                         json_object_get(variables, "enable_thinking") != NULL;
    return is_said || !can_ask(serve->config.chat) ? NULL : serve->config.usual.effort;
}

/* The template's own words for how much it is to think. NULL: nothing is asked. The caller owns the
 * object. */
static json_t *read_variables(const struct weir_request *request, const struct weir_fields *fields)
{
    const weir_chat *chat = request->exchange->serve->config.chat;
    const char *name = request->dialect->effort_name;
    json_t *given = weir_field_object(fields, "chat_template_kwargs");
    const char *effort = weir_field_text(fields, name);
    json_t *variables = json_object();
    json_object_update(variables, given);
    if (effort == NULL)
        effort = find_usual_effort(request, variables);
    if (effort == NULL)
        return variables;
    size_t at = 0;
    while (at < WEIR_COUNT(efforts) && strcmp(efforts[at].word, effort) != 0)
        at++;
    if (at == WEIR_COUNT(efforts))
        WEIR_PROBLEM(fields->problem, name,
                     "\"%s\": wanted none, minimal, low, medium, high, xhigh or max", name);
    else if (weir_chat_mentions(chat, "reasoning_effort"))
        json_object_set_new(variables, "reasoning_effort", json_string(find_effort(chat, at)));
    else if (weir_chat_mentions(chat, "enable_thinking"))
        json_object_set_new(variables, "enable_thinking", json_boolean(at > 0));
    else
        WEIR_PROBLEM(fields->problem, name,
                     "\"%s\": the model's chat template has no way to ask for it", name);
    return variables;
}

/* Tokens of reasoning, after which it is ended; a user's own grammar says what may end it. */
static void read_budget(struct weir_request *request, const struct weir_fields *fields)
{
    const char *name = request->dialect->budget_name;
    const bool has_grammar = weir_field(fields, "grammar") != NULL;
    const uint32_t usual =
        has_grammar ? UINT32_MAX : request->exchange->serve->config.usual.reasoning_max;
    request->reasoning_max = (uint32_t)weir_field_count(fields, name, 0, INT32_MAX, usual);
    if (weir_field(fields, name) != NULL && has_grammar)
        WEIR_PROBLEM(fields->problem, name, "\"%s\": wanted this or \"grammar\", found both", name);
}

static void read_limit(struct weir_request *request, const struct weir_fields *fields)
{
    const uint32_t limit = weir_serve_limits_of(request->exchange->serve)->token_max;
    const uint32_t asked = (uint32_t)weir_field_count(fields, "max_completion_tokens", 1,
                                                      limit > 0 ? limit : INT32_MAX, 0);
    if (asked > 0 && weir_field(fields, "max_tokens") != NULL)
        WEIR_PROBLEM(fields->problem, "max_tokens",
                     "wanted \"max_tokens\" or \"max_completion_tokens\", found both");
    if (asked > 0)
        request->token_max = asked;
}

/* ---- the prompt ---------------------------------------------------------------------------- */

/* weir_ids_free() frees the ids; none: there is a problem. */
static void encode(const struct weir_request *request, const struct weir_fields *fields,
                   uint32_t **ids, size_t *count)
{
    const struct weir_serve *serve = request->exchange->serve;
    const char *name = request->dialect->prompt_name;
    struct weir_err err = {0};
    json_t *variables = read_variables(request, fields);
    char *messages = json_dumps(json_object_get(fields->object, "messages"), JSON_COMPACT);
    char *more = json_dumps(variables, JSON_COMPACT);
    json_decref(variables);
    if (fields->problem->status == 0 && messages != NULL && more != NULL) {
        const struct weir_chat_request rendered = {
            .messages = messages,
            .messages_length = strlen(messages),
            .variables = more,
            .variables_length = strlen(more),
            .tools = request->tools,
            .tools_length = request->tools == NULL ? 0 : strlen(request->tools),
        };
        const enum weir_status status =
            weir_chat_encode(serve->config.chat, serve->tokenizer, &rendered, ids, count, &err);
        if (status == WEIR_ERR_NOMEM)
            weir_problem_set(fields->problem, 413, "invalid_request_error", "request_too_large",
                             name, "%s", err.text);
        else if (status != WEIR_OK)
            WEIR_PROBLEM(fields->problem, name, "%s", err.text);
    } else {
        weir_problem_set(fields->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for the messages");
    }
    weir_heap_free(messages);
    weir_heap_free(more);
}

/* An answer that must be calls, or by a schema, is of a grammar that the model's family writes. */
static void hold_to_rules(struct weir_request *request, const struct weir_fields *fields,
                          const uint32_t *ids, size_t count)
{
    const char *field = request->must_call ? "tool_choice" : request->dialect->format_name;
    const char *schema = request->must_call ? NULL : request->schema;
    const struct weir_reply_rules rules = {
        .chat = request->exchange->serve->config.chat,
        .tools = request->tools,
        .tools_length = request->tools == NULL ? 0 : strlen(request->tools),
        .tool = request->tool,
        .one_call = request->is_one_call,
        .schema = schema,
        .schema_length = schema == NULL ? 0 : strlen(schema),
        .ids = ids,
        .id_count = count,
    };
    if (!request->must_call && schema == NULL)
        return;
    if (request->grammar != NULL)
        WEIR_PROBLEM(fields->problem, field, "\"%s\": wanted this or \"grammar\", found both",
                     field);
    else
        weir_request_set_grammar(request, field, &(struct weir_grammar_wish){.rules = &rules});
}

void weir_chat_choices_read(struct weir_request *request, const struct weir_fields *fields)
{
    weir_sampling_read(request, fields);
    read_limit(request, fields);
    read_budget(request, fields);
    read_logprobs(request, fields);
    read_format(request, fields);
}

void weir_chat_read(struct weir_request *request, const struct weir_fields *fields)
{
    uint32_t *ids = NULL;
    size_t count = 0;
    weir_chat_prompt(request, fields, &ids, &count);
    if (fields->problem->status == 0)
        hold_to_rules(request, fields, ids, count);
    if (fields->problem->status == 0 && weir_request_reserve(request, 1))
        weir_request_add_prompt(request, ids, count);
    weir_ids_free(&ids);
}

void weir_chat_prompt(struct weir_request *request, const struct weir_fields *fields,
                      uint32_t **ids, size_t *count)
{
    read_messages(request->exchange->serve, fields);
    weir_tools_read(request, fields);
    weir_chat_choices_read(request, fields);
    encode(request, fields, ids, count);
}

size_t weir_chat_count(struct weir_request *request, const struct weir_fields *fields)
{
    uint32_t *ids = NULL;
    size_t count = 0;
    weir_request_check_model(request->exchange->serve, fields);
    read_messages(request->exchange->serve, fields);
    weir_tools_read(request, fields);
    encode(request, fields, &ids, &count);
    weir_ids_free(&ids);
    return count;
}
