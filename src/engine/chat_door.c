/* chat_door.c - what room chat does with an engine's or a file's tokenizer. */
#include "chat/chat.h"

#include "chat/call_parts.h"
#include "engine/engine_internal.h"

enum weir_status weir_chat_encode(const weir_chat *chat, weir_tokenizer *tokenizer,
                                  const struct weir_chat_request *request, uint32_t **ids,
                                  size_t *count, struct weir_err *err)
{
    WEIR_NEED(tokenizer, err);
    WEIR_NEED(ids, err);
    WEIR_NEED(count, err);
    return weir_chat_encode_by(chat, tokenizer->text, request, ids, count, err);
}

enum weir_status weir_reply_create(weir_reply **out, weir_tokenizer *tokenizer,
                                   const struct weir_reply_config *config, struct weir_err *err)
{
    WEIR_NEED(out, err);
    WEIR_NEED(config, err);
    if (config->id_count > 0) {
        WEIR_NEED(config->ids, err);
        WEIR_NEED(tokenizer, err);
    }
    return weir_reply_create_by(out, tokenizer == NULL ? NULL : tokenizer->text, config, err);
}

const char *weir_reply_mark_before(weir_tokenizer *tokenizer, const uint32_t *ids, size_t count)
{
    char tail[WEIR_PROMPT_TAIL_MAX];
    if (tokenizer == NULL || ids == NULL)
        return NULL;
    const size_t length = weir_prompt_tail(tokenizer->text, ids, count, tail);
    const struct weir_reasoning_marks *marks = weir_reasoning_open(tail, length);
    return marks == NULL ? NULL : marks->begin;
}
