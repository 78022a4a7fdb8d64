/* chat.h - conversations: messages to a prompt, and a model's words to reasoning and answer.
 *
 * Job       Choose a model's template or a known format, make the template's variables of messages
 *           as transformers does, and keep what users wrote from becoming control tokens. The part
 *           "chat" of weir.h is here, but for what needs a tokenizer, which room engine hands on.
 * Not here  Jinja (template/), what a file has (formats/), tokens (text/).
 * Owns      weir_chat owns its templates and special tokens, weir_reply what it holds back; it
 *           borrows the vocabulary.
 * Threads   A weir_chat is constant. A weir_reply and a weir_text: one thread at a time.
 * Errors    As in weir.h.
 * Limits    Messages of WEIR_CHAT_JSON_MAX bytes; those of a template.
 * Source    transformers 5.24, tokenization_utils_base.py apply_chat_template();
 *           docs/decisions/0030-chat.md
 */
#ifndef WEIR_CHAT_H
#define WEIR_CHAT_H

#include "formats/json.h"
#include "template/template.h"
#include "text/text.h"
#include "weir.h"

enum { WEIR_CHAT_JSON_MAX = 256 << 20 };

struct weir_chat {
    enum weir_chat_origin origin;
    weir_template *usual, *with_tools; /* with_tools NULL: the usual one does for both */
    char *sources[2];                  /* of both, for whoever looks for a word */
    char *specials;                    /* JSON members, each with a comma behind it */
    uint64_t memory_max;
};

/* weir_chat_encode() and weir_reply_create() of weir.h, with the tokenizer's own vocabulary. */
enum weir_status weir_chat_encode_by(const weir_chat *chat, weir_text *text,
                                     const struct weir_chat_request *request, uint32_t **ids,
                                     size_t *count, struct weir_err *err);
enum weir_status weir_reply_create_by(weir_reply **out, weir_text *text,
                                      const struct weir_reply_config *config, struct weir_err *err);

/* ---- known formats: chat_formats.c ---------------------------------------------------------- */

/* The Jinja of a format, ended by NUL; the caller frees it. ARG names all, when there is none of
 * that name. */
enum weir_status weir_chat_format_find(const char *name, char **source, struct weir_err *err);

/* ---- the template's variables: chat_variables.c --------------------------------------------- */

/* Text that grows; once memory was short it stays as it is. */
struct weir_chat_buffer {
    char *bytes;
    size_t length, capacity;
    bool failed;
};
void weir_chat_put(struct weir_chat_buffer *buffer, const char *bytes, size_t length);
/* A JSON string. */
void weir_chat_put_text(struct weir_chat_buffer *buffer, const char *bytes, size_t length);

/* Puts a mark behind the first character of each control token's name. */
struct weir_chat_guard {
    const weir_text *text;
    char mark[4];        /* UTF-8, ended by NUL, in none of the texts */
    uint64_t mark_count; /* that were put */
};

/* The JSON object for a template; guard may be NULL. The caller frees buffer->bytes in any case.
 * Errors: ARG, NOMEM. */
enum weir_status weir_chat_variables(struct weir_chat_buffer *buffer, const weir_chat *chat,
                                     const struct weir_chat_request *request,
                                     struct weir_chat_guard *guard, struct weir_err *err);

#endif
