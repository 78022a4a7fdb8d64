/* openai_completions.c - /v1/completions: texts in, what follows them out. */
#include <string.h>

#include "serve/logprobs.h"
#include "serve/server.h"
#include "serve/text_fields.h"

enum { LOGPROBS_MAX = 5 };

/* ---- the answer ---------------------------------------------------------------------------- */

/* The four lists of the API grow together; they are kept one below the other, each entry followed
 * by a line break, and joined where they are written. */
static void write_logprob(struct weir_choice_text *choice, uint32_t id, const float *logits)
{
    const struct weir_request *request = choice->request;
    struct weir_writer *writer = &choice->logprobs;
    weir_tokenizer *tokenizer = weir_request_tokenizer(request);
    struct weir_logprob own, best[WEIR_TOP_LOGPROBS_MAX];
    char piece[WEIR_TOKEN_BYTES_MAX];
    weir_logprobs_find(logits, weir_request_n_vocab(request), id, &own, best,
                       request->top_logprobs);
    size_t length = weir_tokenizer_piece(tokenizer, id, piece);
    weir_writer_string(writer, piece, length);
    weir_writer_format(writer, "\n%.9g\n{", own.logprob);
    for (uint32_t index = 0; index < request->top_logprobs; index++) {
        length = weir_tokenizer_piece(tokenizer, best[index].id, piece);
        weir_writer_text(writer, index > 0 ? "," : "");
        weir_writer_string(writer, piece, length);
        weir_writer_format(writer, ":%.9g", best[index].logprob);
    }
    weir_writer_format(writer, "}\n%llu\n", (unsigned long long)choice->byte_count);
    choice->byte_count += weir_tokenizer_piece(tokenizer, id, piece);
}

/* Every fourth line from the first on. */
static void write_list(const struct weir_choice_text *choice, const char *name, unsigned first,
                       struct weir_writer *writer)
{
    const char *at = choice->logprobs.bytes;
    const char *end = at == NULL ? NULL : at + choice->logprobs.length;
    const char *between = "";
    weir_writer_format(writer, "\"%s\":[", name);
    for (unsigned line = 0; at < end; line++) {
        const char *next = memchr(at, '\n', (size_t)(end - at));
        if (line % 4 == first) {
            weir_writer_text(writer, between);
            weir_writer_put(writer, at, (size_t)(next - at));
            between = ",";
        }
        at = next + 1;
    }
    weir_writer_text(writer, "]");
}

static void write_logprobs(const struct weir_choice_text *choice, struct weir_writer *writer)
{
    if (!choice->request->wants_logprobs) {
        weir_writer_text(writer, "null");
        return;
    }
    weir_writer_text(writer, "{");
    write_list(choice, "tokens", 0, writer);
    weir_writer_text(writer, ",");
    write_list(choice, "token_logprobs", 1, writer);
    weir_writer_text(writer, ",");
    write_list(choice, "top_logprobs", 2, writer);
    weir_writer_text(writer, ",");
    write_list(choice, "text_offset", 3, writer);
    weir_writer_text(writer, "}");
}

static void write_head(const struct weir_request *request, struct weir_writer *writer)
{
    const char *model = weir_request_model(request);
    weir_writer_format(writer,
                       "{\"id\":\"%s\",\"object\":\"text_completion\",\"created\":%llu,\"model\":",
                       request->name, (unsigned long long)request->created_s);
    weir_writer_string(writer, model, strlen(model));
    weir_writer_text(writer, ",\"choices\":[");
}

static void write_choice(const struct weir_choice_text *choice, struct weir_writer *writer)
{
    weir_writer_format(writer, "{\"index\":%u,\"text\":", choice->index);
    weir_writer_string(writer, choice->content.bytes, choice->content.length);
    weir_writer_text(writer, ",\"logprobs\":");
    write_logprobs(choice, writer);
    if (choice->is_over)
        weir_writer_format(writer, ",\"finish_reason\":\"%s\"}", choice->why_over);
    else
        weir_writer_text(writer, ",\"finish_reason\":null}");
}

static void write_event(struct weir_choice_text *choice, struct weir_writer *writer)
{
    weir_writer_text(writer, "data: ");
    write_head(choice->request, writer);
    write_choice(choice, writer);
    weir_writer_text(writer, choice->request->wants_usage ? "],\"usage\":null}\n\n" : "]}\n\n");
}

static void write_progress(struct weir_choice_text *choice, const char *progress,
                           struct weir_writer *writer)
{
    weir_writer_text(writer, "data: ");
    write_head(choice->request, writer);
    weir_writer_format(writer,
                       "{\"index\":%u,\"text\":\"\",\"logprobs\":null,\"finish_reason\":null}]",
                       choice->index);
    weir_writer_text(writer, progress);
    weir_writer_text(writer, choice->request->wants_usage ? ",\"usage\":null}\n\n" : "}\n\n");
}

static void write_last(struct weir_request *request, struct weir_writer *writer)
{
    if (request->wants_usage) {
        weir_writer_text(writer, "data: ");
        write_head(request, writer);
        weir_writer_text(writer, "]");
        weir_request_write_usage(request, writer);
        weir_writer_text(writer, "}\n\n");
    }
    weir_writer_text(writer, "data: [DONE]\n\n");
}

static void write_whole(struct weir_request *request, struct weir_writer *writer)
{
    write_head(request, writer);
    for (uint32_t index = 0; index < request->choice_count; index++) {
        weir_writer_text(writer, index > 0 ? "," : "");
        write_choice(&request->choices[index], writer);
    }
    weir_writer_text(writer, "]");
    weir_request_write_usage(request, writer);
    weir_writer_text(writer, "}");
}

static const struct weir_dialect dialect = {
    .name_kind = "cmpl",
    .prompt_name = "prompt",
    .stop_name = "stop",
    .write_logprob = write_logprob,
    .write_event = write_event,
    .write_progress = write_progress,
    .write_last = write_last,
    .write_whole = write_whole,
};

/* ---- prompts ------------------------------------------------------------------------------- */

static void add_prompt(void *user, const uint32_t *ids, size_t count)
{
    weir_request_add_prompt(user, ids, count);
}

static void read_prompts(struct weir_request *request, const struct weir_fields *fields)
{
    const size_t count = weir_text_field_count(fields, "prompt");
    if (count > 0 && weir_request_reserve(request, count))
        weir_text_field_read(request->exchange->serve, fields, "prompt",
                             WEIR_TEXT_ADD_SPECIAL | WEIR_TEXT_PARSE_SPECIAL, add_prompt, request);
}

void weir_openai_completions_read(struct weir_exchange *exchange, json_t *root)
{
    const struct weir_fields fields = {root, &exchange->problem};
    struct weir_request *request = weir_request_create(exchange, &dialect);
    if (request != NULL) {
        weir_request_check(&fields, weir_completion_members);
        weir_field_only(&fields, "echo", "false");
        weir_field_only(&fields, "suffix", "\"\"");
        weir_sampling_read(request, &fields);
        request->wants_logprobs = weir_field(&fields, "logprobs") != NULL;
        request->top_logprobs =
            (uint32_t)weir_min((uint64_t)weir_field_count(&fields, "logprobs", 0, LOGPROBS_MAX, 0),
                               weir_request_n_vocab(request));
        weir_field_count(&fields, "best_of", request->answer_count, request->answer_count, 0);
        read_prompts(request, &fields);
    }
    if (exchange->problem.status == 0)
        weir_request_start(request);
    else
        weir_exchange_refuse(exchange);
}
