/* tokens.c - /tokenize, /detokenize and /apply-template: texts and chats to token ids, and back. */
#include <string.h>

#include "base/heap.h"
#include "base/utf8.h"
#include "serve/chat_fields.h"
#include "serve/request.h"
#include "serve/server.h"
#include "serve/text_fields.h"

/* The answer stays until its client has taken it, so that it counts like a body. */
static void reply(struct weir_exchange *exchange)
{
    const uint64_t most = weir_serve_answer_bytes(weir_serve_limits_of(exchange->serve));
    const struct weir_writer *answer = &exchange->answer;
    if (answer->length > most)
        weir_problem_set(&exchange->problem, 413, "invalid_request_error", "request_too_large",
                         NULL, "wanted what has an answer of at most %llu bytes, found %zu",
                         (unsigned long long)most, answer->length);
    else if (exchange->problem.status == 0 &&
             !weir_serve_body_take(exchange->serve, answer->capacity))
        weir_serve_problem_full(exchange->serve, exchange);
    else if (exchange->problem.status == 0)
        exchange->body_counted += answer->capacity;
    if (exchange->problem.status == 0)
        weir_exchange_reply(exchange, 200, "application/json");
    else
        weir_exchange_refuse(exchange);
}

/* {"id", "piece"} of each; a piece that is no text by itself is an array of bytes. */
static void write_pieces(struct weir_exchange *exchange, const uint32_t *ids, size_t count)
{
    struct weir_writer *answer = &exchange->answer;
    char piece[WEIR_TOKEN_BYTES_MAX];
    for (size_t index = 0; index < count; index++) {
        const size_t length = weir_tokenizer_piece(exchange->serve->tokenizer, ids[index], piece);
        weir_writer_format(answer, "%s{\"id\":%u,\"piece\":", index > 0 ? "," : "", ids[index]);
        if (weir_utf8_valid(piece, length) == length) {
            weir_writer_string(answer, piece, length);
        } else {
            for (size_t at = 0; at < length; at++)
                weir_writer_format(answer, "%s%u", at > 0 ? "," : "[", (unsigned char)piece[at]);
            weir_writer_text(answer, "]");
        }
        weir_writer_text(answer, "}");
    }
}

void weir_tokenize_read(struct weir_exchange *exchange, json_t *root)
{
    const struct weir_fields fields = {root, &exchange->problem};
    struct weir_err err = {0};
    uint32_t *ids = NULL;
    size_t count = 0;
    weir_fields_check_members(&fields, weir_tokenize_members, NULL);
    const char *text = weir_field_text(&fields, "content");
    const unsigned flags =
        (weir_field_flag(&fields, "add_special", false) ? (unsigned)WEIR_TEXT_ADD_SPECIAL : 0u) |
        (weir_field_flag(&fields, "parse_special", true) ? (unsigned)WEIR_TEXT_PARSE_SPECIAL : 0u);
    if (text == NULL)
        WEIR_PROBLEM(&exchange->problem, "content", "\"content\": wanted a string");
    else if (weir_tokenizer_encode(exchange->serve->tokenizer, text,
                                   json_string_length(json_object_get(root, "content")), flags,
                                   &ids, &count, &err) != WEIR_OK)
        WEIR_PROBLEM(&exchange->problem, "content", "\"content\": %s", err.text);
    weir_writer_text(&exchange->answer, "{\"tokens\":[");
    if (weir_field_flag(&fields, "with_pieces", false))
        write_pieces(exchange, ids, count);
    else
        for (size_t index = 0; index < count; index++)
            weir_writer_format(&exchange->answer, "%s%u", index > 0 ? "," : "", ids[index]);
    weir_writer_format(&exchange->answer, "],\"count\":%zu}", count);
    weir_ids_free(&ids);
    reply(exchange);
}

/* What a chat becomes, of which the fields were read: the text, and its tokens. */
void weir_template_tell(struct weir_exchange *exchange, const uint32_t *ids, size_t count)
{
    struct weir_writer *answer = &exchange->answer, text = {0};
    char piece[WEIR_TOKEN_BYTES_MAX];
    for (size_t index = 0; index < count; index++)
        weir_writer_put(&text, piece,
                        weir_tokenizer_piece(exchange->serve->tokenizer, ids[index], piece));
    weir_writer_text(answer, "{\"prompt\":");
    weir_writer_string(answer, text.bytes, text.length);
    weir_writer_text(answer, ",\"tokens\":[");
    write_pieces(exchange, ids, count);
    weir_writer_format(answer, "],\"count\":%zu}", count);
    weir_writer_free(&text);
    reply(exchange);
}

/* The text of ids. */
static void put_ids(struct weir_exchange *exchange, const struct weir_fields *fields,
                    const json_t *array, struct weir_writer *text)
{
    const uint64_t text_max = weir_serve_answer_bytes(weir_serve_limits_of(exchange->serve));
    char piece[WEIR_TOKEN_BYTES_MAX];
    weir_decoder *decoder = NULL;
    const size_t count = json_array_size(array);
    if (weir_decoder_create(&decoder, exchange->serve->tokenizer, false, NULL) != WEIR_OK) {
        weir_problem_set(&exchange->problem, 500, "server_error", "no_memory", NULL, "no memory");
        return;
    }
    for (size_t index = 0; index < count && exchange->problem.status == 0; index++) {
        uint32_t id = 0;
        if (weir_text_field_id(exchange->serve, fields, "tokens", array, index, &id))
            weir_writer_put(text, piece, weir_decoder_push(decoder, id, piece));
        if (text->length > text_max)
            WEIR_PROBLEM(&exchange->problem, "tokens",
                         "\"tokens\": wanted a text of at most %llu bytes, found more",
                         (unsigned long long)text_max);
    }
    weir_writer_put(text, piece, weir_decoder_flush(decoder, piece));
    weir_decoder_destroy(&decoder);
}

void weir_detokenize_read(struct weir_exchange *exchange, json_t *root)
{
    const struct weir_fields fields = {root, &exchange->problem};
    struct weir_writer text = {0};
    weir_fields_check_members(&fields, weir_detokenize_members, NULL);
    const json_t *array = weir_field_array(&fields, "tokens");
    if (array == NULL)
        WEIR_PROBLEM(&exchange->problem, "tokens", "\"tokens\": wanted an array of token ids");
    else
        put_ids(exchange, &fields, array, &text);
    weir_writer_text(&exchange->answer, "{\"content\":");
    weir_writer_string(&exchange->answer, text.bytes, text.length);
    weir_writer_text(&exchange->answer, "}");
    weir_writer_free(&text);
    reply(exchange);
}
