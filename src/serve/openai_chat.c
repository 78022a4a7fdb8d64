/* openai_chat.c - /v1/chat/completions: messages in, an answer out. */
#include <string.h>

#include "base/heap.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/tools.h"

/* ---- the answer ---------------------------------------------------------------------------- */

static void write_token(struct weir_writer *writer, weir_tokenizer *tokenizer,
                        struct weir_logprob found)
{
    char piece[WEIR_TOKEN_BYTES_MAX];
    const size_t length = weir_tokenizer_piece(tokenizer, found.id, piece);
    weir_writer_text(writer, "{\"token\":");
    weir_writer_string(writer, piece, length);
    weir_writer_format(writer, ",\"logprob\":%.9g,\"bytes\":[", found.logprob);
    for (size_t at = 0; at < length; at++)
        weir_writer_format(writer, "%s%u", at > 0 ? "," : "", (unsigned)(unsigned char)piece[at]);
    weir_writer_text(writer, "]");
}

static void write_logprob(struct weir_choice_text *choice, uint32_t id, const float *logits)
{
    const struct weir_request *request = choice->request;
    struct weir_writer *writer = &choice->logprobs;
    weir_tokenizer *tokenizer = weir_request_tokenizer(request);
    struct weir_logprob own, best[WEIR_TOP_LOGPROBS_MAX];
    weir_logprobs_find(logits, weir_request_n_vocab(request), id, &own, best,
                       request->top_logprobs);
    weir_writer_text(writer, writer->length > 0 ? "," : "");
    write_token(writer, tokenizer, own);
    weir_writer_text(writer, ",\"top_logprobs\":[");
    for (uint32_t index = 0; index < request->top_logprobs; index++) {
        weir_writer_text(writer, index > 0 ? "," : "");
        write_token(writer, tokenizer, best[index]);
        weir_writer_text(writer, "}");
    }
    weir_writer_text(writer, "]}");
}

static void write_logprobs(const struct weir_choice_text *choice, struct weir_writer *writer)
{
    if (!choice->request->wants_logprobs) {
        weir_writer_text(writer, ",\"logprobs\":null");
        return;
    }
    weir_writer_text(writer, ",\"logprobs\":{\"content\":[");
    weir_writer_put(writer, choice->logprobs.bytes, choice->logprobs.length);
    weir_writer_text(writer, "],\"refusal\":null}");
}

static void write_head(const struct weir_request *request, const char *object,
                       struct weir_writer *writer)
{
    const char *model = weir_request_model(request);
    weir_writer_format(writer, "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%llu,\"model\":",
                       request->name, object, (unsigned long long)request->created_s);
    weir_writer_string(writer, model, strlen(model));
}

static void open_chunk(const struct weir_choice_text *choice, struct weir_writer *writer)
{
    weir_writer_text(writer, "data: ");
    write_head(choice->request, "chat.completion.chunk", writer);
    weir_writer_format(writer, ",\"choices\":[{\"index\":%u,\"delta\":{", choice->index);
}

/* In a stream that tells usage at its end every other event says that it has none. */
static void close_chunk(const struct weir_choice_text *choice, const char *why_over,
                        struct weir_writer *writer)
{
    weir_writer_text(writer, ",\"finish_reason\":");
    if (why_over == NULL)
        weir_writer_text(writer, "null}]");
    else
        weir_writer_format(writer, "\"%s\"}]", why_over);
    weir_writer_text(writer, choice->request->wants_usage ? ",\"usage\":null}\n\n" : "}\n\n");
}

/* The first part of a delta, and a comma when something follows. */
static void write_delta(const struct weir_choice_text *choice, struct weir_writer *writer)
{
    const char *between = "";
    if (!choice->has_begun) {
        weir_writer_text(writer, "\"role\":\"assistant\"");
        between = ",";
    }
    if (choice->reasoning.length > 0) {
        weir_writer_format(writer, "%s\"reasoning_content\":", between);
        weir_writer_string(writer, choice->reasoning.bytes, choice->reasoning.length);
        between = ",";
    }
    if (choice->content.length > 0) {
        weir_writer_format(writer, "%s\"content\":", between);
        weir_writer_string(writer, choice->content.bytes, choice->content.length);
        between = ",";
    }
    if (choice->calls.length > 0) {
        weir_writer_format(writer, "%s\"tool_calls\":[", between);
        weir_writer_put(writer, choice->calls.bytes, choice->calls.length);
        weir_writer_text(writer, "]");
    }
}

static void write_event(struct weir_choice_text *choice, struct weir_writer *writer)
{
    if (!choice->has_begun || choice->content.length + choice->reasoning.length > 0 ||
        choice->calls.length + choice->logprobs.length > 0) {
        open_chunk(choice, writer);
        write_delta(choice, writer);
        weir_writer_text(writer, "}");
        write_logprobs(choice, writer);
        close_chunk(choice, NULL, writer);
    }
    if (choice->is_over) {
        open_chunk(choice, writer);
        weir_writer_text(writer, "},\"logprobs\":null");
        close_chunk(choice, choice->why_over, writer);
    }
}

static void write_last(struct weir_request *request, struct weir_writer *writer)
{
    if (request->wants_usage) {
        weir_writer_text(writer, "data: ");
        write_head(request, "chat.completion.chunk", writer);
        weir_writer_text(writer, ",\"choices\":[]");
        weir_request_write_usage(request, writer);
        weir_writer_text(writer, "}\n\n");
    }
    weir_writer_text(writer, "data: [DONE]\n\n");
}

static void write_whole(struct weir_request *request, struct weir_writer *writer)
{
    write_head(request, "chat.completion", writer);
    weir_writer_text(writer, ",\"choices\":[");
    for (uint32_t index = 0; index < request->choice_count; index++) {
        const struct weir_choice_text *choice = &request->choices[index];
        weir_writer_format(writer,
                           "%s{\"index\":%u,\"message\":{\"role\":\"assistant\",\"content\":",
                           index > 0 ? "," : "", index);
        if (choice->content.length == 0 && choice->calls.length > 0)
            weir_writer_text(writer, "null");
        else
            weir_writer_string(writer, choice->content.bytes, choice->content.length);
        if (choice->calls.length > 0) {
            weir_writer_text(writer, ",\"tool_calls\":[");
            weir_writer_put(writer, choice->calls.bytes, choice->calls.length);
            weir_writer_text(writer, "]");
        }
        if (choice->reasoning.length > 0) {
            weir_writer_text(writer, ",\"reasoning_content\":");
            weir_writer_string(writer, choice->reasoning.bytes, choice->reasoning.length);
        }
        weir_writer_text(writer, ",\"refusal\":null}");
        write_logprobs(choice, writer);
        weir_writer_format(writer, ",\"finish_reason\":\"%s\"}", choice->why_over);
    }
    weir_writer_text(writer, "]");
    weir_request_write_usage(request, writer);
    weir_writer_text(writer, "}");
}

static const struct weir_dialect dialect = {
    .name_kind = "chatcmpl",
    .is_chat = true,
    .write_logprob = write_logprob,
    .write_event = write_event,
    .write_last = write_last,
    .write_whole = write_whole,
};

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

/* ---- what else is asked -------------------------------------------------------------------- */

static void read_format(struct weir_request *request, const struct weir_fields *fields)
{
    static const char any_object[] = "{\"type\":\"object\"}";
    static const char *const names[] = {"type", "json_schema", NULL};
    static const char *const schema_names[] = {"name", "description", "schema", "strict", NULL};
    const struct weir_fields format = {weir_field_object(fields, "response_format"),
                                       fields->problem};
    if (format.object == NULL)
        return;
    weir_fields_check(&format, names);
    const char *type = weir_field_text(&format, "type");
    const struct weir_fields outer = {weir_field_object(&format, "json_schema"), fields->problem};
    if (type == NULL || (strcmp(type, "text") != 0 && strcmp(type, "json_object") != 0 &&
                         strcmp(type, "json_schema") != 0)) {
        WEIR_PROBLEM(fields->problem, "response_format",
                     "\"response_format\": \"type\": wanted text, json_object or json_schema");
    } else if (strcmp(type, "json_object") == 0) {
        weir_request_set_grammar(request, "response_format", WEIR_GRAMMAR_SCHEMA, any_object,
                                 sizeof(any_object) - 1);
    } else if (strcmp(type, "json_schema") == 0) {
        json_t *schema = outer.object == NULL ? NULL : json_object_get(outer.object, "schema");
        if (outer.object != NULL)
            weir_fields_check(&outer, schema_names);
        char *text = schema == NULL ? NULL : json_dumps(schema, JSON_COMPACT | JSON_ENCODE_ANY);
        if (text == NULL)
            WEIR_PROBLEM(fields->problem, "response_format",
                         "\"response_format\": wanted \"json_schema\" with a \"schema\"");
        else
            weir_request_set_grammar(request, "response_format", WEIR_GRAMMAR_SCHEMA, text,
                                     strlen(text));
        weir_heap_free(text);
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

/* The template's own words for how much it is to think. NULL: nothing is asked. The caller owns the
 * object. */
static json_t *read_variables(const weir_chat *chat, const struct weir_fields *fields)
{
    static const char *const efforts[] = {"none", "minimal", "low", "medium", "high"};
    json_t *given = weir_field_object(fields, "chat_template_kwargs");
    const char *effort = weir_field_text(fields, "reasoning_effort");
    json_t *variables = json_object();
    json_object_update(variables, given);
    if (effort == NULL)
        return variables;
    size_t at = 0;
    while (at < WEIR_COUNT(efforts) && strcmp(efforts[at], effort) != 0)
        at++;
    if (at == WEIR_COUNT(efforts))
        WEIR_PROBLEM(fields->problem, "reasoning_effort",
                     "\"reasoning_effort\": wanted none, minimal, low, medium or high");
    else if (weir_chat_mentions(chat, "reasoning_effort"))
        json_object_set_new(variables, "reasoning_effort", json_string(effort));
    else if (weir_chat_mentions(chat, "enable_thinking"))
        json_object_set_new(variables, "enable_thinking", json_boolean(at > 0));
    else
        WEIR_PROBLEM(fields->problem, "reasoning_effort",
                     "\"reasoning_effort\": the model's chat template has no way to ask for it");
    return variables;
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

/* ---- the request --------------------------------------------------------------------------- */

/* The prompt of the messages. */
static void encode(struct weir_request *request, const struct weir_fields *fields)
{
    struct weir_exchange *exchange = request->exchange;
    const weir_chat *chat = exchange->serve->config.chat;
    struct weir_err err = {0};
    uint32_t *ids = NULL;
    size_t count = 0;
    json_t *variables = read_variables(chat, fields);
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
            weir_chat_encode(chat, exchange->serve->tokenizer, &rendered, &ids, &count, &err);
        if (status == WEIR_ERR_NOMEM)
            weir_problem_set(fields->problem, 413, "invalid_request_error", "request_too_large",
                             "messages", "%s", err.text);
        else if (status != WEIR_OK)
            WEIR_PROBLEM(fields->problem, "messages", "%s", err.text);
        else if (weir_request_reserve(request, 1))
            weir_request_add_prompt(request, ids, count);
    } else {
        weir_problem_set(fields->problem, 500, "server_error", "no_memory", NULL,
                         "no memory for the messages");
    }
    weir_ids_free(&ids);
    weir_heap_free(messages);
    weir_heap_free(more);
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

void weir_openai_chat_read(struct weir_exchange *exchange, json_t *root)
{
    static const char *const names[] = {
        "messages",     "max_completion_tokens", "response_format",     "logprobs",
        "top_logprobs", "chat_template_kwargs",  "reasoning_effort",    "modalities",
        "tools",        "tool_choice",           "parallel_tool_calls", NULL};
    const struct weir_fields fields = {root, &exchange->problem};
    struct weir_request *request = weir_request_create(exchange, &dialect);
    if (request != NULL) {
        weir_request_check(&fields, names);
        weir_field_only(&fields, "modalities", "[\"text\"]");
        read_messages(exchange->serve, &fields);
        weir_tools_read(request, &fields);
        weir_sampling_read(request, &fields);
        read_limit(request, &fields);
        read_logprobs(request, &fields);
        read_format(request, &fields);
        encode(request, &fields);
    }
    if (exchange->problem.status == 0)
        weir_request_start(request);
    else
        weir_exchange_refuse(exchange);
}
