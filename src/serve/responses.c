/* responses.c - /v1/responses: the answer, as items.
 *
 * A stream tells each item as it comes, and at its end all that was in it: so the text of the item
 * that is open is kept, and so are the items that are over, as JSON. */
#include "serve/responses.h"

#include <float.h>
#include <string.h>

#include "serve/chat_fields.h"
#include "serve/items.h"
#include "serve/logprobs.h"
#include "serve/server.h"
#include "serve/shelf.h"
#include "serve/tools.h"

/* What an item of an answer is called; one with a part has its text in that. */
struct item_kind {
    const char *type, *id_kind;
    const char *part;   /* NULL: it is a call */
    const char *events; /* of its text: this and .delta, .done */
};

static const struct item_kind item_kinds[] = {
    {"reasoning", "rs", "reasoning_text", "response.reasoning_text"},
    {"message", "msg", "output_text", "response.output_text"},
    {"function_call", "fc", NULL, "response.function_call_arguments"},
};

enum { ITEM_REASONING, ITEM_MESSAGE, ITEM_CALL };

static const struct item_kind *open_kind(const struct weir_choice_text *choice)
{
    size_t row = 0;
    while (strcmp(item_kinds[row].type, choice->block_type) != 0)
        row++;
    return &item_kinds[row];
}

/* ---- items --------------------------------------------------------------------------------- */

/* All of an item before its text, and all behind it. */
static void write_item_head(const struct weir_choice_text *choice, const struct item_kind *kind,
                            const char *status, bool has_part, struct weir_writer *writer)
{
    weir_writer_format(writer, "{\"id\":\"%s\",\"type\":\"%s\",\"status\":\"%s\"",
                       choice->item_name, kind->type, status);
    if (kind->part == NULL) {
        weir_writer_text(writer, ",\"call_id\":");
        weir_writer_string(writer, choice->call_id.bytes, choice->call_id.length);
        weir_writer_text(writer, ",\"name\":");
        weir_writer_string(writer, choice->call_name.bytes, choice->call_name.length);
        weir_writer_text(writer, ",\"arguments\":");
        return;
    }
    weir_writer_text(writer, kind == &item_kinds[ITEM_MESSAGE]
                                 ? ",\"role\":\"assistant\""
                                 : ",\"summary\":[],\"encrypted_content\":null");
    weir_writer_text(writer, ",\"content\":[");
    if (has_part)
        weir_writer_format(writer, "{\"type\":\"%s\",\"text\":", kind->part);
}

/* A message's. */
static void write_logprobs(const struct item_kind *kind, const struct weir_writer *logprobs,
                           struct weir_writer *writer)
{
    if (kind != &item_kinds[ITEM_MESSAGE])
        return;
    weir_writer_text(writer, ",\"logprobs\":[");
    weir_writer_put(writer, logprobs->bytes, logprobs->length);
    weir_writer_text(writer, "]");
}

/* All of a part behind its text. */
static void write_part_tail(const struct item_kind *kind, const struct weir_writer *logprobs,
                            struct weir_writer *writer)
{
    if (kind == &item_kinds[ITEM_MESSAGE])
        weir_writer_text(writer, ",\"annotations\":[]");
    write_logprobs(kind, logprobs, writer);
    weir_writer_text(writer, "}");
}

static void write_item_tail(const struct item_kind *kind, struct weir_writer *writer)
{
    weir_writer_text(writer, kind->part == NULL ? "}" : "]}");
}

/* A string whose inside is JSON already. */
static void write_kept(const struct weir_choice_text *choice, struct weir_writer *writer)
{
    weir_writer_text(writer, "\"");
    weir_writer_put(writer, choice->kept.bytes, choice->kept.length);
    weir_writer_text(writer, "\"");
}

static void write_open_item(const struct weir_choice_text *choice, const char *status,
                            struct weir_writer *writer)
{
    const struct item_kind *kind = open_kind(choice);
    write_item_head(choice, kind, status, true, writer);
    write_kept(choice, writer);
    if (kind->part != NULL)
        write_part_tail(kind, &choice->kept_logprobs, writer);
    write_item_tail(kind, writer);
}

/* ---- the response -------------------------------------------------------------------------- */

static void write_usage(const struct weir_request *request, struct weir_writer *writer)
{
    const struct weir_exchange *exchange = request->exchange;
    weir_writer_format(writer,
                       ",\"usage\":{\"input_tokens\":%u,\"input_tokens_details\":"
                       "{\"cached_tokens\":%u},\"output_tokens\":%u,\"output_tokens_details\":"
                       "{\"reasoning_tokens\":%u},\"total_tokens\":%u}",
                       exchange->prompt_tokens, exchange->cached_tokens, exchange->written_tokens,
                       request->choices[0].reasoning_count,
                       exchange->prompt_tokens + exchange->written_tokens);
}

static void open_response(const struct weir_request *request, const char *status,
                          struct weir_writer *writer)
{
    const char *model = weir_request_model(request);
    const float top_p = request->sampling.top_p;
    weir_writer_format(writer, "{\"id\":\"%s\",\"object\":\"response\",\"created_at\":%llu,",
                       request->name, (unsigned long long)request->created_s);
    weir_writer_format(writer,
                       "\"background\":false,\"store\":%s,\"truncation\":\"disabled\",\"model\":",
                       request->is_kept ? "true" : "false");
    weir_writer_string(writer, model, strlen(model));
    weir_writer_format(writer, ",\"parallel_tool_calls\":%s,\"temperature\":%.9g,\"top_p\":%.9g",
                       request->is_one_call ? "false" : "true",
                       (double)request->sampling.temperature,
                       top_p <= FLT_MIN ? 0.0 : (double)top_p);
    weir_writer_put(writer, request->echo.bytes, request->echo.length);
    if (request->token_max > 0)
        weir_writer_format(writer, ",\"max_output_tokens\":%u", request->token_max);
    else
        weir_writer_text(writer, ",\"max_output_tokens\":null");
    weir_writer_format(writer, ",\"status\":\"%s\",\"incomplete_details\":%s,\"error\":", status,
                       strcmp(status, "incomplete") == 0 ? "{\"reason\":\"max_output_tokens\"}"
                                                         : "null");
    if (strcmp(status, "failed") == 0) {
        const char *text = request->exchange->problem.text;
        weir_writer_text(writer, "{\"code\":\"server_error\",\"message\":");
        weir_writer_string(writer, text, strlen(text));
        weir_writer_text(writer, "}");
    } else {
        weir_writer_text(writer, "null");
    }
    weir_writer_text(writer, ",\"output\":[");
}

static void close_response(const struct weir_request *request, bool has_usage,
                           struct weir_writer *writer)
{
    weir_writer_text(writer, "]");
    if (has_usage)
        write_usage(request, writer);
    else
        weir_writer_text(writer, ",\"usage\":null");
    weir_writer_text(writer, "}");
}

static const char *last_status(const struct weir_choice_text *choice)
{
    return strcmp(choice->why_over, "length") == 0 ? "incomplete" : "completed";
}

/* ---- a stream ------------------------------------------------------------------------------ */

static void begin_event(struct weir_choice_text *choice, const char *name, const char *kind,
                        struct weir_writer *writer)
{
    weir_writer_format(writer, "event: %s%s\ndata: {\"type\":\"%s%s\",\"sequence_number\":%u", name,
                       kind, name, kind, choice->event_count++);
}

static void end_event(struct weir_writer *writer)
{
    weir_writer_text(writer, "}\n\n");
}

/* An event of the item that is open. */
static void begin_item_event(struct weir_choice_text *choice, const char *name, const char *kind,
                             struct weir_writer *writer)
{
    begin_event(choice, name, kind, writer);
    weir_writer_format(writer, ",\"item_id\":\"%s\",\"output_index\":%u", choice->item_name,
                       choice->block_index);
    if (open_kind(choice)->part != NULL)
        weir_writer_text(writer, ",\"content_index\":0");
}

static void write_response_event(struct weir_choice_text *choice, const char *status,
                                 struct weir_writer *writer)
{
    const struct weir_request *request = choice->request;
    weir_writer_text(writer, ",\"response\":");
    open_response(request, status, writer);
    weir_writer_put(writer, choice->items.bytes, choice->items.length);
    close_response(request, strcmp(status, "in_progress") != 0, writer);
}

static void begin_stream(struct weir_choice_text *choice, struct weir_writer *writer)
{
    static const char *const names[] = {"created", "in_progress"};
    for (size_t index = 0; choice->event_count < WEIR_COUNT(names); index++) {
        begin_event(choice, "response.", names[index], writer);
        write_response_event(choice, "in_progress", writer);
        end_event(writer);
    }
}

static void write_part_event(struct weir_choice_text *choice, const char *name,
                             struct weir_writer *writer)
{
    const struct item_kind *kind = open_kind(choice);
    begin_item_event(choice, "response.content_part.", name, writer);
    weir_writer_format(writer, ",\"part\":{\"type\":\"%s\",\"text\":", kind->part);
    write_kept(choice, writer);
    write_part_tail(kind, &choice->kept_logprobs, writer);
    end_event(writer);
}

/* The item that is open is over: told with all that was in it, and put with the others. */
static void close_item(struct weir_choice_text *choice, const char *status,
                       struct weir_writer *writer)
{
    if (choice->block_type == NULL)
        return;
    const struct item_kind *kind = open_kind(choice);
    begin_item_event(choice, kind->events, ".done", writer);
    weir_writer_text(writer, kind->part == NULL ? ",\"arguments\":" : ",\"text\":");
    write_kept(choice, writer);
    write_logprobs(kind, &choice->kept_logprobs, writer);
    end_event(writer);
    if (kind->part != NULL)
        write_part_event(choice, "done", writer);
    begin_event(choice, "response.output_item.", "done", writer);
    weir_writer_format(writer, ",\"output_index\":%u,\"item\":", choice->block_index);
    write_open_item(choice, status, writer);
    end_event(writer);
    weir_writer_text(&choice->items, choice->items.length > 0 ? "," : "");
    write_open_item(choice, status, &choice->items);
    weir_writer_clear(&choice->kept);
    weir_writer_clear(&choice->kept_logprobs);
    choice->block_type = NULL;
}

static void open_item(struct weir_choice_text *choice, const struct item_kind *kind,
                      struct weir_writer *writer)
{
    begin_stream(choice, writer);
    close_item(choice, "completed", writer);
    choice->block_type = kind->type;
    choice->block_index = choice->block_count++;
    weir_serve_name(choice->request->exchange->serve, kind->id_kind, choice->item_name);
    begin_event(choice, "response.output_item.", "added", writer);
    weir_writer_format(writer, ",\"output_index\":%u,\"item\":", choice->block_index);
    write_item_head(choice, kind, "in_progress", false, writer);
    weir_writer_text(writer, kind->part == NULL ? "\"\"" : "");
    write_item_tail(kind, writer);
    end_event(writer);
    if (kind->part != NULL)
        write_part_event(choice, "added", writer);
}

/* More of the item that is open. */
static void write_delta(struct weir_choice_text *choice, const char *bytes, size_t length,
                        struct weir_writer *writer)
{
    const struct item_kind *kind = open_kind(choice);
    begin_item_event(choice, kind->events, ".delta", writer);
    weir_writer_text(writer, ",\"delta\":");
    const size_t before = writer->length;
    weir_writer_string(writer, bytes, length);
    if (!writer->failed) /* without the quotes */
        weir_writer_put(&choice->kept, writer->bytes + before + 1, writer->length - before - 2);
    write_logprobs(kind, &choice->logprobs, writer);
    end_event(writer);
    if (kind != &item_kinds[ITEM_MESSAGE] || choice->logprobs.length == 0)
        return;
    weir_writer_text(&choice->kept_logprobs, choice->kept_logprobs.length > 0 ? "," : "");
    weir_writer_put(&choice->kept_logprobs, choice->logprobs.bytes, choice->logprobs.length);
}

static void write_text(struct weir_choice_text *choice, const struct item_kind *kind,
                       const struct weir_writer *text, struct weir_writer *writer)
{
    if (text->length == 0)
        return;
    if (choice->block_type == NULL || open_kind(choice) != kind)
        open_item(choice, kind, writer);
    write_delta(choice, text->bytes, text->length, writer);
}

static void begin_call(struct weir_choice_text *choice)
{
    open_item(choice, &item_kinds[ITEM_CALL], &choice->calls);
}

static void put_arguments(struct weir_choice_text *choice, const char *bytes, size_t length)
{
    write_delta(choice, bytes, length, &choice->calls);
}

static void end_call(struct weir_choice_text *choice, bool is_whole)
{
    close_item(choice, is_whole ? "completed" : "incomplete", &choice->calls);
}

static void write_event(struct weir_choice_text *choice, struct weir_writer *writer)
{
    begin_stream(choice, writer);
    write_text(choice, &item_kinds[ITEM_REASONING], &choice->reasoning, writer);
    write_text(choice, &item_kinds[ITEM_MESSAGE], &choice->content, writer);
    weir_writer_put(writer, choice->calls.bytes, choice->calls.length);
    if (choice->is_over)
        close_item(choice, last_status(choice), writer);
}

/* The response is whole: it is what the writer has from begin on. */
static void keep(struct weir_request *request, const struct weir_writer *writer, size_t begin)
{
    if (request->kept != NULL && !writer->failed)
        weir_shelf_end(request->exchange->serve->shelf, &request->kept, writer->bytes + begin,
                       writer->length - begin);
}

static void write_last(struct weir_request *request, struct weir_writer *writer)
{
    static const char member[] = ",\"response\":";
    struct weir_choice_text *choice = &request->choices[0];
    const char *status = last_status(choice);
    begin_event(choice, "response.", status, writer);
    const size_t begin = writer->length + sizeof(member) - 1;
    write_response_event(choice, status, writer);
    keep(request, writer, begin);
    end_event(writer);
}

static void write_failure(struct weir_request *request, struct weir_writer *writer)
{
    struct weir_choice_text *choice = &request->choices[0];
    begin_stream(choice, writer);
    begin_event(choice, "response.", "failed", writer);
    write_response_event(choice, "failed", writer);
    end_event(writer);
}

static void write_progress(struct weir_choice_text *choice, const char *progress,
                           struct weir_writer *writer)
{
    begin_stream(choice, writer);
    begin_event(choice, "response.", "in_progress", writer);
    write_response_event(choice, "in_progress", writer);
    weir_writer_text(writer, progress);
    end_event(writer);
}

/* ---- a whole answer ------------------------------------------------------------------------ */

/* Logprobs of tokens whose text was none of the message's. */
static void drop_untold(struct weir_choice_text *choice)
{
    choice->logprobs.length = choice->told_logprobs;
}

static void write_call(struct weir_choice_text *choice)
{
    const struct item_kind *kind = &item_kinds[ITEM_CALL];
    struct weir_writer *calls = &choice->calls;
    weir_serve_name(choice->request->exchange->serve, kind->id_kind, choice->item_name);
    weir_writer_text(calls, calls->length > 0 ? "," : "");
    write_item_head(choice, kind, "completed", true, calls);
    weir_writer_string(calls, choice->arguments.bytes, choice->arguments.length);
    write_item_tail(kind, calls);
    drop_untold(choice);
}

static void write_whole(struct weir_request *request, struct weir_writer *writer)
{
    struct weir_choice_text *choice = &request->choices[0];
    const struct weir_writer *const texts[] = {&choice->reasoning, &choice->content};
    const char *between = "";
    open_response(request, last_status(choice), writer);
    drop_untold(choice);
    for (size_t row = 0; row < WEIR_COUNT(texts); row++) {
        const struct item_kind *kind = &item_kinds[row];
        if (texts[row]->length == 0)
            continue;
        const bool is_last = row == ITEM_MESSAGE || choice->content.length == 0;
        weir_serve_name(request->exchange->serve, kind->id_kind, choice->item_name);
        weir_writer_text(writer, between);
        write_item_head(choice, kind, is_last ? last_status(choice) : "completed", true, writer);
        weir_writer_string(writer, texts[row]->bytes, texts[row]->length);
        write_part_tail(kind, &choice->logprobs, writer);
        write_item_tail(kind, writer);
        between = ",";
    }
    weir_writer_text(writer, choice->calls.length > 0 ? between : "");
    weir_writer_put(writer, choice->calls.bytes, choice->calls.length);
    close_response(request, true, writer);
    keep(request, writer, 0);
}

/* Only a message has them: not what a model thinks, nor its calls. */
static void write_logprob(struct weir_choice_text *choice, uint32_t id, const float *logits)
{
    if (weir_reply_reasoning_end(choice->reply) == NULL)
        weir_logprobs_write(choice, id, logits);
}

static const struct weir_dialect dialect = {
    .name_kind = "resp",
    .is_chat = true,
    .prompt_name = "input",
    .stop_name = "stop",
    .format_name = "text.format",
    .effort_name = "reasoning.effort",
    .budget_name = "reasoning.max_tokens",
    .write_begin = begin_stream,
    .begin_call = begin_call,
    .put_arguments = put_arguments,
    .end_call = end_call,
    .write_call = write_call,
    .write_logprob = write_logprob,
    .write_event = write_event,
    .write_progress = write_progress,
    .write_failure = write_failure,
    .write_last = write_last,
    .write_whole = write_whole,
};

/* ---- requests ------------------------------------------------------------------------------ */

/* The request as a chat, behind what it goes on from. *items: all of its conversation, which the
 * caller owns too. NULL: there is a problem. */
static json_t *read_chat(struct weir_exchange *exchange, json_t *root, json_t **items)
{
    *items = NULL;
    if (weir_request_create(exchange, &dialect) == NULL)
        return NULL;
    weir_tools_drop_others(exchange->serve, root, "function");
    *items = weir_items_gather(exchange, root);
    return *items == NULL ? NULL : weir_responses_chat(exchange, root, *items);
}

void weir_responses_count_read(struct weir_exchange *exchange, json_t *root)
{
    json_t *items = NULL;
    json_t *chat = read_chat(exchange, root, &items);
    struct weir_request *request = exchange->request;
    size_t count = 0;
    if (chat != NULL) {
        const struct weir_fields fields = {chat, &exchange->problem};
        weir_chat_choices_read(request, &fields); /* refused here as there */
        count = weir_chat_count(request, &fields);
    }
    json_decref(chat);
    json_decref(items);
    weir_request_destroy(&exchange->request); /* its tools are for texts that run */
    weir_writer_format(&exchange->answer,
                       "{\"object\":\"response.input_tokens\",\"input_tokens\":%zu}", count);
    if (exchange->problem.status == 0)
        weir_exchange_reply(exchange, 200, "application/json");
    else
        weir_exchange_refuse(exchange);
}

/* Its client may ask for the response again, unless it does not want that, or there is no room for
 * it where nobody said that there has to be. */
static void begin_keeping(struct weir_request *request, const struct weir_fields *fields,
                          const json_t *items)
{
    struct weir_exchange *exchange = request->exchange;
    struct weir_shelf *shelf = exchange->serve->shelf;
    const bool is_asked = weir_field(fields, "store") != NULL;
    struct weir_writer lines = {0};
    if (!weir_field_flag(fields, "store", true) || exchange->problem.status != 0)
        return;
    if (weir_shelf_keeps(shelf)) {
        weir_items_write(exchange->serve, items, &lines);
        request->kept = weir_shelf_begin(shelf, request->name, exchange->party, &lines);
        weir_writer_free(&lines);
    } else if (is_asked) {
        WEIR_PROBLEM(&exchange->problem, "store",
                     "\"store\": this server keeps no responses (--stored-bytes)");
    }
    request->is_kept = request->kept != NULL;
    if (!request->is_kept && is_asked)
        weir_problem_set(&exchange->problem, 413, "invalid_request_error", "request_too_large",
                         "store",
                         "\"store\": the conversation does not fit in what this server keeps of "
                         "responses (--stored-bytes)");
}

void weir_responses_read(struct weir_exchange *exchange, json_t *root)
{
    const struct weir_fields fields = {root, &exchange->problem};
    json_t *items = NULL;
    json_t *chat = read_chat(exchange, root, &items);
    struct weir_request *request = exchange->request;
    if (chat != NULL) {
        weir_responses_echo(request, root);
        weir_chat_read(request, &(struct weir_fields){chat, &exchange->problem});
        begin_keeping(request, &fields, items);
    }
    json_decref(chat);
    json_decref(items);
    if (exchange->problem.status == 0)
        weir_request_start(request);
    else
        weir_exchange_refuse(exchange);
}
