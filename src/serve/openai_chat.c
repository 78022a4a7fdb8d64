/* openai_chat.c - /v1/chat/completions: the fields of a request, and the answer. */
#include <string.h>

#include "serve/chat_fields.h"
#include "serve/logprobs.h"
#include "serve/tools.h"

/* ---- the answer ---------------------------------------------------------------------------- */

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
                        const char *more, struct weir_writer *writer)
{
    weir_writer_text(writer, ",\"finish_reason\":");
    if (why_over == NULL)
        weir_writer_text(writer, "null}]");
    else
        weir_writer_format(writer, "\"%s\"}]", why_over);
    weir_writer_text(writer, more);
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

/* A call that is told whole, or one that begins: its arguments come later, as they are written. */
static void open_call(struct weir_choice_text *choice)
{
    struct weir_writer *calls = &choice->calls;
    weir_writer_text(calls, calls->length > 0 ? ",{" : "{");
    if (choice->request->is_stream)
        weir_writer_format(calls, "\"index\":%u,", choice->call_index);
    weir_writer_text(calls, "\"id\":");
    weir_writer_string(calls, choice->call_id.bytes, choice->call_id.length);
    weir_writer_text(calls, ",\"type\":\"function\",\"function\":{\"name\":");
    weir_writer_string(calls, choice->call_name.bytes, choice->call_name.length);
    weir_writer_text(calls, ",\"arguments\":");
}

static void write_call(struct weir_choice_text *choice)
{
    open_call(choice);
    weir_writer_string(&choice->calls, choice->arguments.bytes, choice->arguments.length);
    weir_writer_text(&choice->calls, "}}");
}

static void begin_call(struct weir_choice_text *choice)
{
    open_call(choice);
    weir_writer_text(&choice->calls, "\"\"}}");
}

static void put_arguments(struct weir_choice_text *choice, const char *bytes, size_t length)
{
    struct weir_writer *calls = &choice->calls;
    weir_writer_format(calls,
                       "%s{\"index\":%u,\"function\":{\"arguments\":", calls->length > 0 ? "," : "",
                       choice->call_index);
    weir_writer_string(calls, bytes, length);
    weir_writer_text(calls, "}}");
}

/* Whether it was one is seen from why the answer ends. */
static void end_call(struct weir_choice_text *choice, bool is_whole)
{
    (void)choice;
    (void)is_whole;
}

static void write_event(struct weir_choice_text *choice, struct weir_writer *writer)
{
    if (!choice->has_begun || choice->content.length + choice->reasoning.length > 0 ||
        choice->calls.length + choice->logprobs.length > 0) {
        open_chunk(choice, writer);
        write_delta(choice, writer);
        weir_writer_text(writer, "}");
        write_logprobs(choice, writer);
        close_chunk(choice, NULL, "", writer);
    }
    if (choice->is_over) {
        open_chunk(choice, writer);
        weir_writer_text(writer, "},\"logprobs\":null");
        close_chunk(choice, choice->why_over, "", writer);
    }
}

static void write_progress(struct weir_choice_text *choice, const char *progress,
                           struct weir_writer *writer)
{
    open_chunk(choice, writer);
    weir_writer_text(writer, choice->has_begun ? "\"content\":null"
                                               : "\"role\":\"assistant\",\"content\":null");
    weir_writer_text(writer, "},\"logprobs\":null");
    close_chunk(choice, NULL, progress, writer);
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
    .prompt_name = "messages",
    .stop_name = "stop",
    .format_name = "response_format",
    .effort_name = "reasoning_effort",
    .budget_name = "reasoning_budget_tokens",
    .write_call = write_call,
    .begin_call = begin_call,
    .put_arguments = put_arguments,
    .end_call = end_call,
    .write_progress = write_progress,
    .write_logprob = weir_logprobs_write,
    .write_event = write_event,
    .write_last = write_last,
    .write_whole = write_whole,
};

/* ---- the request --------------------------------------------------------------------------- */

static void check(struct weir_exchange *exchange, const struct weir_fields *fields)
{
    weir_tools_drop_others(exchange->serve, fields->object, "function");
    weir_request_check(fields, weir_chat_members);
    weir_field_only(fields, "modalities", "[\"text\"]");
    weir_field_flag(fields, "reasoning_control", true); /* every answer's can be ended */
}

void weir_openai_chat_read(struct weir_exchange *exchange, json_t *root)
{
    const struct weir_fields fields = {root, &exchange->problem};
    struct weir_request *request = weir_request_create(exchange, &dialect);
    if (request != NULL) {
        check(exchange, &fields);
        weir_chat_read(request, &fields);
    }
    if (exchange->problem.status == 0)
        weir_request_start(request);
    else
        weir_exchange_refuse(exchange);
}

void weir_template_read(struct weir_exchange *exchange, json_t *root)
{
    const struct weir_fields fields = {root, &exchange->problem};
    struct weir_request *request = weir_request_create(exchange, &dialect);
    uint32_t *ids = NULL;
    size_t count = 0;
    if (request != NULL) {
        check(exchange, &fields);
        weir_chat_prompt(request, &fields, &ids, &count);
    }
    weir_request_destroy(&exchange->request); /* what it holds is for texts that run */
    weir_template_tell(exchange, ids, count);
    weir_ids_free(&ids);
}
