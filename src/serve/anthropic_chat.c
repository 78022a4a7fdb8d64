/* anthropic_chat.c - /v1/messages and /v1/messages/count_tokens: the answers. */
#include <string.h>

#include "serve/anthropic.h"
#include "serve/chat_fields.h"
#include "serve/server.h"

/* ---- parts of both ------------------------------------------------------------------------- */

/* What was computed before is no input here. */
static void write_usage(const struct weir_request *request, struct weir_writer *writer)
{
    const struct weir_exchange *exchange = request->exchange;
    weir_writer_format(writer,
                       ",\"usage\":{\"input_tokens\":%u,\"cache_creation_input_tokens\":0,"
                       "\"cache_read_input_tokens\":%u,\"output_tokens\":%u}",
                       exchange->prompt_tokens - exchange->cached_tokens, exchange->cached_tokens,
                       exchange->written_tokens);
}

static void write_head(const struct weir_request *request, struct weir_writer *writer)
{
    const char *model = weir_request_model(request);
    weir_writer_format(
        writer,
        "{\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":", request->name);
    weir_writer_string(writer, model, strlen(model));
    weir_writer_text(writer, ",\"content\":[");
}

static void write_why(const struct weir_choice_text *choice, struct weir_writer *writer)
{
    const size_t stop = weir_stops_found(choice->stops);
    const bool is_whole = strcmp(choice->why_over, "stop") == 0;
    if (is_whole && stop != SIZE_MAX) {
        const char *text = choice->request->stop_strings[stop];
        weir_writer_text(writer, "\"stop_reason\":\"stop_sequence\",\"stop_sequence\":");
        weir_writer_string(writer, text, strlen(text));
        return;
    }
    weir_writer_format(writer, "\"stop_reason\":\"%s\",\"stop_sequence\":null",
                       is_whole                                      ? "end_turn"
                       : strcmp(choice->why_over, "tool_calls") == 0 ? "tool_use"
                                                                     : "max_tokens");
}

static void write_tool_use(const struct weir_choice_text *choice, struct weir_writer *writer)
{
    weir_writer_text(writer, "{\"type\":\"tool_use\",\"id\":");
    weir_writer_string(writer, choice->call_id.bytes, choice->call_id.length);
    weir_writer_text(writer, ",\"name\":");
    weir_writer_string(writer, choice->call_name.bytes, choice->call_name.length);
    weir_writer_text(writer, ",\"input\":");
}

/* ---- a stream ------------------------------------------------------------------------------ */

static void begin_event(struct weir_writer *writer, const char *name)
{
    weir_writer_format(writer, "event: %s\ndata: {\"type\":\"%s\"", name, name);
}

static void end_event(struct weir_writer *writer)
{
    weir_writer_text(writer, "}\n\n");
}

static void begin_message(const struct weir_choice_text *choice, struct weir_writer *writer)
{
    begin_event(writer, "message_start");
    weir_writer_text(writer, ",\"message\":");
    write_head(choice->request, writer);
    weir_writer_text(writer, "],\"stop_reason\":null,\"stop_sequence\":null");
    write_usage(choice->request, writer);
    weir_writer_text(writer, "}");
    end_event(writer);
    begin_event(writer, "ping");
    end_event(writer);
}

static void begin_delta(struct weir_writer *writer, uint32_t index, const char *type,
                        const char *member)
{
    begin_event(writer, "content_block_delta");
    weir_writer_format(writer, ",\"index\":%u,\"delta\":{\"type\":\"%s\",\"%s\":", index, type,
                       member);
}

static void end_block(struct weir_writer *writer, uint32_t index)
{
    begin_event(writer, "content_block_stop");
    weir_writer_format(writer, ",\"index\":%u", index);
    end_event(writer);
}

static void close_block(struct weir_choice_text *choice, struct weir_writer *writer)
{
    if (choice->block_type != NULL)
        end_block(writer, choice->block_index);
    choice->block_type = NULL;
}

/* Text in a block of that type, text or thinking: the open one, or a new one. */
static void write_text(struct weir_choice_text *choice, const char *type,
                       const struct weir_writer *text, struct weir_writer *writer)
{
    const bool is_thinking = strcmp(type, "thinking") == 0;
    if (text->length == 0)
        return;
    if (choice->block_type == NULL || strcmp(choice->block_type, type) != 0) {
        close_block(choice, writer);
        choice->block_type = type;
        choice->block_index = choice->block_count++;
        begin_event(writer, "content_block_start");
        weir_writer_format(
            writer, ",\"index\":%u,\"content_block\":{\"type\":\"%s\",\"%s\":\"\"%s}",
            choice->block_index, type, type, is_thinking ? ",\"signature\":\"\"" : "");
        end_event(writer);
    }
    begin_delta(writer, choice->block_index, is_thinking ? "thinking_delta" : "text_delta", type);
    weir_writer_string(writer, text->bytes, text->length);
    weir_writer_text(writer, "}");
    end_event(writer);
}

static void write_call(struct weir_choice_text *choice)
{
    struct weir_writer *calls = &choice->calls;
    weir_writer_text(calls, calls->length > 0 ? "," : "");
    write_tool_use(choice, calls);
    weir_writer_put(calls, choice->arguments.bytes, choice->arguments.length);
    weir_writer_text(calls, "}");
}

/* A call is a block of its own. */
static void begin_call(struct weir_choice_text *choice)
{
    struct weir_writer *calls = &choice->calls;
    if (!choice->has_begun && choice->block_count == 0)
        begin_message(choice, calls);
    close_block(choice, calls);
    choice->block_type = "tool_use";
    choice->block_index = choice->block_count++;
    begin_event(calls, "content_block_start");
    weir_writer_format(calls, ",\"index\":%u,\"content_block\":", choice->block_index);
    write_tool_use(choice, calls);
    weir_writer_text(calls, "{}}");
    end_event(calls);
}

static void put_arguments(struct weir_choice_text *choice, const char *bytes, size_t length)
{
    begin_delta(&choice->calls, choice->block_index, "input_json_delta", "partial_json");
    weir_writer_string(&choice->calls, bytes, length);
    weir_writer_text(&choice->calls, "}");
    end_event(&choice->calls);
}

static void end_call(struct weir_choice_text *choice, bool is_whole)
{
    (void)is_whole; /* that is seen from why the answer ends */
    close_block(choice, &choice->calls);
}

static void write_event(struct weir_choice_text *choice, struct weir_writer *writer)
{
    if (!choice->has_begun && choice->block_count == 0)
        begin_message(choice, writer);
    write_text(choice, "thinking", &choice->reasoning, writer);
    write_text(choice, "text", &choice->content, writer);
    weir_writer_put(writer, choice->calls.bytes, choice->calls.length);
    if (choice->is_over)
        close_block(choice, writer);
}

static void write_last(struct weir_request *request, struct weir_writer *writer)
{
    begin_event(writer, "message_delta");
    weir_writer_text(writer, ",\"delta\":{");
    write_why(&request->choices[0], writer);
    weir_writer_text(writer, "}");
    write_usage(request, writer);
    end_event(writer);
    begin_event(writer, "message_stop");
    end_event(writer);
}

/* ---- a whole answer ------------------------------------------------------------------------ */

static void write_whole(struct weir_request *request, struct weir_writer *writer)
{
    const struct weir_choice_text *choice = &request->choices[0];
    const char *between = "";
    write_head(request, writer);
    if (choice->reasoning.length > 0) {
        weir_writer_text(writer, "{\"type\":\"thinking\",\"signature\":\"\",\"thinking\":");
        weir_writer_string(writer, choice->reasoning.bytes, choice->reasoning.length);
        weir_writer_text(writer, "}");
        between = ",";
    }
    if (choice->content.length > 0) {
        weir_writer_format(writer, "%s{\"type\":\"text\",\"text\":", between);
        weir_writer_string(writer, choice->content.bytes, choice->content.length);
        weir_writer_text(writer, "}");
        between = ",";
    }
    weir_writer_text(writer, choice->calls.length > 0 ? between : "");
    weir_writer_put(writer, choice->calls.bytes, choice->calls.length);
    weir_writer_text(writer, "],");
    write_why(choice, writer);
    write_usage(request, writer);
    weir_writer_text(writer, "}");
}

static const struct weir_dialect dialect = {
    .name_kind = "msg",
    .is_chat = true,
    .prompt_name = "messages",
    .stop_name = "stop_sequences",
    .format_name = "output_config.format",
    .effort_name = "output_config.effort",
    .budget_name = "thinking.budget_tokens",
    .write_call = write_call,
    .begin_call = begin_call,
    .put_arguments = put_arguments,
    .end_call = end_call,
    .write_event = write_event,
    .write_last = write_last,
    .write_whole = write_whole,
};

/* ---- requests ------------------------------------------------------------------------------ */

void weir_anthropic_messages_read(struct weir_exchange *exchange, json_t *root)
{
    struct weir_request *request = weir_request_create(exchange, &dialect);
    json_t *chat = request == NULL ? NULL : weir_anthropic_chat(exchange, root, false);
    if (chat != NULL)
        weir_chat_read(request, &(struct weir_fields){chat, &exchange->problem});
    json_decref(chat);
    if (exchange->problem.status == 0)
        weir_request_start(request);
    else
        weir_exchange_refuse(exchange);
}

void weir_anthropic_count_read(struct weir_exchange *exchange, json_t *root)
{
    struct weir_request *request = weir_request_create(exchange, &dialect);
    json_t *chat = request == NULL ? NULL : weir_anthropic_chat(exchange, root, true);
    size_t count = 0;
    if (chat != NULL)
        count = weir_chat_count(request, &(struct weir_fields){chat, &exchange->problem});
    json_decref(chat);
    weir_request_destroy(&exchange->request); /* its tools are for texts that run */
    weir_writer_format(&exchange->answer, "{\"input_tokens\":%zu}", count);
    if (exchange->problem.status == 0)
        weir_exchange_reply(exchange, 200, "application/json");
    else
        weir_exchange_refuse(exchange);
}
